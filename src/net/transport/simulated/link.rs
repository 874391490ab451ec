//! One direction of a simulated connection.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::world::HostId;

/// How much may be under way in one direction, in bytes: about what a system's buffers hold.
const CAPACITY: usize = 256 * 1024;
/// What a piece counts beyond its bytes, so that many small ones take no more memory.
const PIECE: usize = 64;

/// What becomes of bytes that cannot get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// They arrive when the partition is healed, as TCP sees to it when packets are lost.
    Hold,
    /// They are lost, and connections on which any were are reset when the partition is healed, as when somebody in
    /// between has forgotten them.
    Lose,
}

/// One direction of a connection.
pub(super) struct Link {
    pub from: HostId,
    pub to: HostId,
    /// What is under way, and when it arrives.
    pieces: VecDeque<(Duration, Vec<u8>)>,
    /// How much that is.
    weight: usize,
    /// When the last piece arrives.
    last: Duration,
    /// When the end arrives.
    end: Option<Duration>,
    /// The reader is dropped.
    pub unread: bool,
    /// The writer is dropped.
    pub unwritten: bool,
    /// Nothing goes on.
    pub reset: bool,
    /// It is reset as soon as the ends hear of each other.
    pub doomed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What somebody sees who looks at a link.
pub(super) struct Look<T> {
    pub found: Poll<io::Result<T>>,
    /// When to look again, if something is under way.
    pub again: Option<Duration>,
    /// Whom to wake, after the world is unlocked.
    pub wake: Option<Waker>,
}

impl<T> Look<T> {
    fn new(found: Poll<io::Result<T>>) -> Look<T> {
        Look { found, again: None, wake: None }
    }

    /// There is no connection any more.
    pub fn lost() -> Look<T> {
        Look::failed(io::ErrorKind::ConnectionReset)
    }

    fn failed(kind: io::ErrorKind) -> Look<T> {
        Look::new(Poll::Ready(Err(kind.into())))
    }
}

impl Link {
    pub fn new(from: HostId, to: HostId) -> Link {
        Link {
            from,
            to,
            pieces: VecDeque::new(),
            weight: 0,
            last: Duration::ZERO,
            end: None,
            unread: false,
            unwritten: false,
            reset: false,
            doomed: false,
            reader: None,
            writer: None,
        }
    }

    /// Who waits for something to change.
    pub fn wakers(&mut self) -> impl Iterator<Item = Waker> {
        self.reader.take().into_iter().chain(self.writer.take())
    }

    /// Whether somebody waits for what has arrived by now.
    pub fn is_due(&self, now: Duration) -> bool {
        let next = self.pieces.front().map(|(at, _)| *at).or(self.end);
        self.reader.is_some() && next.is_some_and(|at| at <= now)
    }

    pub fn read(&mut self, now: Duration, silent: bool, most: usize, cx: &Context<'_>) -> Look<Vec<u8>> {
        if self.reset {
            return Look::lost();
        }
        self.reader = Some(cx.waker().clone());
        let next = self.pieces.front().map(|(at, _)| *at).or(self.end).filter(|_| !silent);
        let Some(at) = next else { return Look::new(Poll::Pending) };
        if at > now {
            return Look { again: Some(at), ..Look::new(Poll::Pending) };
        }
        let Some((_, piece)) = self.pieces.front_mut() else { return Look::new(Poll::Ready(Ok(Vec::new()))) };
        let rest = piece.split_off(most.min(piece.len()));
        let bytes = std::mem::replace(piece, rest);
        self.weight -= bytes.len();
        if piece.is_empty() {
            self.pieces.pop_front();
            self.weight -= PIECE;
        }
        Look { wake: self.writer.take(), ..Look::new(Poll::Ready(Ok(bytes))) }
    }

    /// Takes some bytes, which arrive at `then` or behind those before them.
    pub fn write(&mut self, silent: Option<Silence>, bytes: &[u8], then: Duration, cx: &Context<'_>) -> Look<usize> {
        if self.reset {
            return Look::lost();
        }
        if self.end.is_some() || (self.unread && silent.is_none()) {
            return Look::failed(io::ErrorKind::BrokenPipe);
        }
        if silent == Some(Silence::Lose) {
            self.doomed = true;
            return Look::new(Poll::Ready(Ok(bytes.len())));
        }
        let room = CAPACITY.saturating_sub(self.weight + PIECE);
        if room == 0 {
            self.writer = Some(cx.waker().clone());
            return Look::new(Poll::Pending);
        }
        let taken = &bytes[..bytes.len().min(room)];
        self.last = self.last.max(then);
        self.weight += taken.len() + PIECE;
        self.pieces.push_back((self.last, taken.to_vec()));
        Look { wake: self.reader.take(), ..Look::new(Poll::Ready(Ok(taken.len()))) }
    }

    /// Nothing more is written, which is known at `then`. Gives who has to know.
    pub fn end(&mut self, silent: Option<Silence>, then: Duration) -> Option<Waker> {
        if self.end.is_none() {
            self.doomed |= silent == Some(Silence::Lose);
            self.last = self.last.max(then);
            self.end = Some(self.last);
        }
        self.reader.take()
    }

    /// Nothing more is read. Gives who has to know.
    pub fn leave(&mut self) -> Option<Waker> {
        self.unread = true;
        self.pieces.clear();
        self.weight = 0;
        self.writer.take()
    }
}
