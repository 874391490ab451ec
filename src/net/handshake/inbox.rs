//! Frames out of bytes that come in any pieces from anybody.

use super::wire::{HEAD, Head, Kind, MAGIC, MAX_HANDSHAKE, PROTOCOL, read_refusal};
use crate::net::{Reason, Refusal};

/// What a peer is told that has TLS where this node has not, or the other way round.
pub(in crate::net) const ONE_SIDED: &str = "one of the two nodes has TLS and the other one has not; give --tls-cert, \
                                            --tls-key and --tls-ca to both, or to none";

/// What TLS begins with: the kind of a record, and a version that is always the same.
const TLS_ALERT: u8 = 21;
const TLS_HANDSHAKE: u8 = 22;
const TLS_VERSION: u8 = 3;

/// Collects the bytes of one frame at a time. It never asks for more than the frame has, so nothing behind the
/// handshake is taken, and it never holds more than [`MAX_HANDSHAKE`] bytes, whatever a head claims.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Of which frame; for the other side, if it speaks another version.
    here: &'static str,
    bytes: Vec<u8>,
    head: Option<Head>,
    /// How many bytes may come in all.
    left: usize,
}

impl Inbox {
    /// `here` is the side that reads: `dialer` or `acceptor`.
    pub fn new(here: &'static str) -> Inbox {
        Inbox { here, bytes: Vec::new(), head: None, left: MAX_HANDSHAKE }
    }

    /// How many bytes are missing of the head, or of the frame.
    pub fn wants(&self) -> usize {
        self.head.map_or(HEAD, |head| HEAD + head.length) - self.bytes.len()
    }

    /// Takes bytes until a frame is there, which is given; the bytes that were not needed stay in `bytes`.
    ///
    /// # Errors
    /// When they are not Skitter's, or of another version, or too many, or the frame says that the other side refuses.
    pub fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<(Kind, Vec<u8>)>, Refusal> {
        loop {
            let (taken, rest) = bytes.split_at(self.wants().min(bytes.len()));
            *bytes = rest;
            self.bytes.extend_from_slice(taken);
            if self.wants() > 0 {
                // A stranger is known by its first bytes, and may not send more.
                self.check_magic()?;
                return Ok(None);
            }
            let Some(head) = self.head else {
                self.head = Some(self.read_head()?);
                continue;
            };
            let body = self.bytes.split_off(HEAD);
            (self.bytes, self.head) = (Vec::new(), None);
            return Ok(Some((self.check(head, &body)?, body)));
        }
    }

    fn check_magic(&self) -> Result<(), Refusal> {
        let known = self.bytes.len().min(MAGIC.len());
        match self.bytes[..known] {
            [] => Ok(()),
            [TLS_ALERT | TLS_HANDSHAKE] => Ok(()),
            ref first if *first == MAGIC[..known] => Ok(()),
            ref first => Err(stranger(first)),
        }
    }

    fn read_head(&mut self) -> Result<Head, Refusal> {
        let head = self.bytes.first_chunk().and_then(|bytes| Head::read(*bytes));
        let head = head.ok_or_else(|| stranger(&self.bytes))?;
        self.left = self.left.checked_sub(HEAD + head.length).ok_or_else(|| {
            let detail = format!("it sends more than {MAX_HANDSHAKE} bytes before it is known");
            Refusal::new(Reason::NotSkitter, detail)
        })?;
        Ok(head)
    }

    fn check(&self, head: Head, body: &[u8]) -> Result<Kind, Refusal> {
        match head.kind {
            Some(Kind::Refused) => Err(read_refusal(body)),
            _ if head.protocol != PROTOCOL => {
                let (here, there) =
                    if self.here == "dialer" { ("dials", "is dialled") } else { ("is dialled", "dials") };
                let detail = format!("the node that {here} speaks protocol {PROTOCOL}, the one that {there} ");
                Err(Refusal::new(Reason::Incompatible, format!("{detail}{}", head.protocol)))
            }
            Some(kind) => Ok(kind),
            None => Err(Refusal::new(Reason::NotSkitter, "it sends a frame of an unknown kind")),
        }
    }
}

/// Who begins so is no node, or one that has TLS.
fn stranger(first: &[u8]) -> Refusal {
    match first {
        [TLS_ALERT | TLS_HANDSHAKE, TLS_VERSION, ..] => Refusal::new(Reason::Incompatible, ONE_SIDED),
        _ => Refusal::new(Reason::NotSkitter, "it does not speak Skitter's protocol"),
    }
}
