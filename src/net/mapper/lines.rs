//! Lines over a connection, with a bound.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::wire::{MAX_LINE, can_be_ours};
use crate::net::BoxStream;

/// How long either side may take for its line: a packet that got lost is sent again after 1 and after 3 seconds.
pub(super) const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that lines are read from.
pub(super) struct Lines {
    stream: BoxStream,
    bytes: Vec<u8>,
}

/// What stands where a line could be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its line feed.
    Whole(Vec<u8>),
    /// Something that is no line of a mapper's, or too long.
    Strange,
    /// The end, in order or not; with something before it or not.
    End {
        /// Whether a part of a line stands before it.
        cut_off: bool,
    },
}

impl Lines {
    pub fn new(stream: BoxStream) -> Lines {
        Lines { stream, bytes: Vec::new() }
    }

    /// The next line, at once when it is not one of a mapper's. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Line {
        loop {
            if !can_be_ours(&self.bytes) {
                return Line::Strange;
            }
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let rest = self.bytes.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.bytes, rest);
                line.truncate(end);
                return Line::Whole(line);
            }
            let mut some = [0; MAX_LINE];
            let room = MAX_LINE - self.bytes.len();
            if room == 0 {
                return Line::Strange;
            }
            match self.stream.read(&mut some[..room]).await {
                Ok(0) | Err(_) => return Line::End { cut_off: !self.bytes.is_empty() },
                Ok(count) => self.bytes.extend_from_slice(&some[..count]),
            }
        }
    }

    /// Sends a line, within [`LINE_TIMEOUT`].
    ///
    /// # Errors
    /// When the connection is lost, or the peer takes nothing.
    pub async fn send(&mut self, line: &str) -> io::Result<()> {
        let sent = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.flush().await
        };
        timeout(LINE_TIMEOUT, sent).await?
    }

    /// Ends the connection in order. If the peer is gone, so be it.
    pub async fn end(mut self) {
        let _: Result<io::Result<()>, _> = timeout(LINE_TIMEOUT, self.stream.shutdown()).await;
    }
}
