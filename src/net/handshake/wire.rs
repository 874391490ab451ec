//! Every byte of the handshake.
//!
//! A *frame* is a head of eight bytes and its body. The head, the body of `Refused` and the first 32 bytes of that of
//! `Hello` stay the same in all versions, so that nodes of different versions can say so to each other.
//!
//! | bytes | head |
//! |---|---|
//! | 4 | `SKTR` |
//! | 1 | [`PROTOCOL`], the version of everything behind it, and of what follows the handshake |
//! | 1 | kind: 1 `Hello`, 2 `Challenge`, 3 `Proof`, 4 `Welcome`, 5 `Refused` |
//! | 2 | length of the body, the high byte first |
//!
//! | kind | from | body |
//! |---|---|---|
//! | `Hello` | dialer | 32 bytes: its nonce |
//! | `Challenge` | acceptor | 32 bytes: its nonce |
//! | `Proof` | dialer | 32 bytes: its code, then [`Claim`] in postcard |
//! | `Welcome` | acceptor | 32 bytes: its code, then [`Identity`] in postcard |
//! | `Refused` | either | one byte: the reason, then at most [`MAX_DETAIL`] bytes of text in UTF-8 |
//!
//! A *code* is HMAC-SHA-256, with the cookie as its key, of the label of the side ([`DIALER`], [`ACCEPTOR`]), the
//! dialer's nonce, the acceptor's nonce, that of the acceptor also the dialer's code, and the rest of the body.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::net::{Expect, Identity, Purpose, Reason, Refusal};

/// The version of the handshake and of what follows it. Goes up with every change of a byte; the tests of this room
/// pin them.
pub const PROTOCOL: u8 = 1;

/// Most bytes that either side sends before it is trusted, in all: what a node tells of itself is far smaller, and a
/// thousand strangers take no memory worth speaking of.
pub const MAX_HANDSHAKE: usize = 4096;

/// Most bytes of the text of a refusal, so that it is a line of a log.
pub const MAX_DETAIL: usize = 512;

/// What every frame begins with.
pub(in crate::net) const MAGIC: [u8; 4] = *b"SKTR";
/// Bytes of a head.
pub(super) const HEAD: usize = 8;
/// Bytes of a nonce.
pub(super) const NONCE: usize = 32;
/// Bytes of a code.
pub(super) const CODE: usize = 32;
/// What the code of the dialer covers first. As long as [`ACCEPTOR`], so that no other split of the bytes is the same.
pub(super) const DIALER: &[u8; 24] = b"skitter handshake dialer";
/// What the code of the acceptor covers first.
pub(super) const ACCEPTOR: &[u8; 24] = b"skitter handshake accept";

/// Most bytes of a `Claim` or an `Identity`: what is left of [`MAX_HANDSHAKE`] by heads, codes and nonces, and a bit.
pub(super) const MAX_CLAIM: usize = MAX_HANDSHAKE - 256;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Hello = 1,
    Challenge = 2,
    Proof = 3,
    Welcome = 4,
    Refused = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        [Kind::Hello, Kind::Challenge, Kind::Proof, Kind::Welcome, Kind::Refused]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What the dialer says of itself and wants.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claim {
    pub identity: Identity,
    pub purpose: Purpose,
    pub expect: Expect,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub protocol: u8,
    /// None if this version does not know it.
    pub kind: Option<Kind>,
    pub length: usize,
}

impl Head {
    /// Reads a head; none if the bytes are not Skitter's.
    pub fn read(bytes: [u8; HEAD]) -> Option<Head> {
        let [a, b, c, d, protocol, kind, high, low] = bytes;
        let length = usize::from(u16::from_be_bytes([high, low]));
        ([a, b, c, d] == MAGIC).then_some(Head { protocol, kind: Kind::of(kind), length })
    }
}

/// A frame of these bytes. Bodies are checked to be short before they get here; what is cut off would be refused.
pub(super) fn frame(kind: Kind, body: &[&[u8]]) -> Vec<u8> {
    let length = body.iter().map(|part| part.len()).sum::<usize>();
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let mut bytes = Vec::with_capacity(HEAD + length);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[PROTOCOL, kind as u8, high, low]);
    body.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// Writes what one side says of itself.
///
/// # Errors
/// When it is too long to be told.
pub(super) fn write_claim<T: codec::Record>(claim: &T) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let written = codec::encode(claim, &mut bytes);
    match written {
        Ok(()) if bytes.len() <= MAX_CLAIM => Ok(bytes),
        Ok(()) => {
            let length = bytes.len();
            let detail = format!("the node's name and tags take {length} bytes, at most {MAX_CLAIM} can be told");
            Err(Refusal::new(Reason::Incompatible, detail))
        }
        Err(error) => Err(Refusal::new(Reason::Incompatible, error.to_string())),
    }
}

/// Reads what the other side says of itself; only after its code has been verified.
pub(super) fn read_claim<T: codec::Record>(bytes: &[u8]) -> Result<T, Refusal> {
    codec::decode(bytes).map_err(|error| Refusal::new(Reason::Incompatible, format!("it introduces itself: {error}")))
}

/// A frame that tells the other side why it is refused.
pub(super) fn write_refusal(refusal: &Refusal) -> Vec<u8> {
    let mut end = refusal.detail.len().min(MAX_DETAIL);
    while !refusal.detail.is_char_boundary(end) {
        end -= 1;
    }
    frame(Kind::Refused, &[&[code_of(refusal.reason)], &refusal.detail.as_bytes()[..end]])
}

/// Reads why the other side refuses. It may be anybody, so nothing of it can be an order to a terminal.
pub(super) fn read_refusal(body: &[u8]) -> Refusal {
    let stranger = || Refusal::new(Reason::NotSkitter, "it refuses for a reason that is none");
    let Some((code, text)) = body.split_first().filter(|_| body.len() <= 1 + MAX_DETAIL) else { return stranger() };
    let Some(reason) = Reason::ALL.into_iter().find(|reason| code_of(*reason) == *code) else { return stranger() };
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    Refusal::new(reason, String::from_utf8_lossy(text).chars().map(plain).collect::<String>())
}

fn code_of(reason: Reason) -> u8 {
    match reason {
        Reason::NotConnected => 1,
        Reason::NotSkitter => 2,
        Reason::BadCookie => 3,
        Reason::Incompatible => 4,
        Reason::ModeMismatch => 5,
        Reason::AlreadyConnected => 6,
        Reason::HasMaster => 7,
        Reason::NameTaken => 8,
        Reason::DeclaredDead => 9,
    }
}
