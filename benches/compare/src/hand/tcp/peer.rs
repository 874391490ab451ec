//! The connection to the other process: frames out, frames in, never waiting for one alone.

use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Bytes that may wait to be written before this process reads instead of going on.
const MOST_WAITING: usize = 256 << 10;
/// Memory for what has been read; more than the longest frame.
const INBOX: usize = 1 << 20;
/// Bytes of a frame's head: how many there are of fixed-width records, and of text behind them.
const HEAD: usize = 8;

/// The connection to the other process.
pub struct Peer {
    stream: TcpStream,
    /// What the system has not taken, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// What has been read and not been handled, in `begin..end`.
    inbox: Vec<u8>,
    begin: usize,
    end: usize,
    has_ended: bool,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Peer {
        stream.set_nonblocking(true).expect("a TCP connection");
        let inbox = vec![0; INBOX];
        Peer { stream, out: Vec::new(), written: 0, inbox, begin: 0, end: 0, has_ended: false }
    }

    /// Sends a frame of records, if there are any, and their text, and hands those that have come to `receive`.
    pub fn send(&mut self, records: &[u8], text: &[u8], mut receive: impl FnMut(&[u8], &str)) {
        if records.is_empty() {
            return;
        }
        self.write(records, text).expect("the other process reads");
        self.read(&mut receive).expect("the other process writes");
        while self.out.len() - self.written > MOST_WAITING {
            self.wait();
            self.flush().expect("the other process reads");
            self.read(&mut receive).expect("the other process writes");
        }
    }

    /// Says that no more comes, and receives until the other process has said so.
    pub fn finish(mut self, mut receive: impl FnMut(&[u8], &str)) {
        self.write(&[], &[]).expect("the other process reads");
        loop {
            self.flush().expect("the other process reads");
            self.read(&mut receive).expect("the other process writes");
            if self.has_ended && self.out.is_empty() {
                return;
            }
            self.wait();
        }
    }

    fn write(&mut self, records: &[u8], text: &[u8]) -> Result<()> {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&(records.len() as u32).to_le_bytes());
        head[4..].copy_from_slice(&(text.len() as u32).to_le_bytes());
        self.flush()?;
        let parts = [&head[..], records, text];
        let mut taken = 0;
        if self.out.is_empty() {
            taken = or_nothing(self.stream.write_vectored(&parts.map(IoSlice::new)))?;
        }
        for part in parts {
            let skipped = taken.min(part.len());
            taken -= skipped;
            self.out.extend_from_slice(&part[skipped..]);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        while self.written < self.out.len() {
            match or_nothing(self.stream.write(&self.out[self.written..]))? {
                0 => return Ok(()),
                bytes => self.written += bytes,
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Takes what has come, once.
    fn read(&mut self, receive: &mut impl FnMut(&[u8], &str)) -> Result<()> {
        match self.stream.read(&mut self.inbox[self.end..]) {
            Ok(0) if self.has_ended => return Ok(()),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            read => self.end += or_nothing(read)?,
        }
        while let Some((head, rest)) = self.inbox[self.begin..self.end].split_first_chunk::<HEAD>() {
            let [records, text] = [&head[..4], &head[4..]].map(|bytes| {
                let mut length = [0; 4];
                length.copy_from_slice(bytes);
                u32::from_le_bytes(length) as usize
            });
            let Some(body) = rest.get(..records + text) else { break };
            if body.is_empty() {
                self.has_ended = true;
            } else {
                receive(&body[..records], str::from_utf8(&body[records..]).expect("words are text"));
            }
            self.begin += HEAD + body.len();
        }
        // What is left is less than a frame.
        self.inbox.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
        Ok(())
    }

    fn wait(&self) {
        let mut wanted = PollFlags::POLLIN;
        wanted.set(PollFlags::POLLOUT, !self.out.is_empty());
        wanted.set(PollFlags::POLLIN, !self.has_ended);
        let _ = poll(&mut [PollFd::new(self.stream.as_fd(), wanted)], PollTimeout::NONE);
    }
}

/// How many bytes were taken; none when the system would have waited.
fn or_nothing(result: Result<usize>) -> Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn two_that_send_more_than_the_system_holds_do_not_wait_for_each_other() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let exchange = |stream: TcpStream, from: u8| {
            let (mut peer, mut found) = (Peer::new(stream), 0u64);
            let mut receive = |records: &[u8], text: &str| {
                assert!(records.iter().all(|byte| *byte == 1 - from) && text.bytes().all(|byte| byte == b'x'));
                found += records.len() as u64 + text.len() as u64;
            };
            let (records, text) = (vec![from; 100_000], "x".repeat(7));
            for _ in 0..500 {
                peer.send(&records, text.as_bytes(), &mut receive);
            }
            peer.finish(&mut receive);
            assert_eq!(found, 500 * 100_007);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| exchange(TcpStream::connect(address).expect("connected"), 1));
            exchange(listener.accept().expect("accepted").0, 0);
        });
    }
}
