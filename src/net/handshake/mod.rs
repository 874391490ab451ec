//! The handshake: two nodes prove to each other that they know the cookie, and tell what they are.
//!
//! ```text
//!  Dialer                                   Acceptor
//!     │ ── Hello: nonce ─────────────────────▶ │
//!     │ ◀───────────────────── Challenge: nonce │
//!     │ ── Proof: code, identity, purpose ────▶ │  verifies; compares versions; asks `admit`
//!     │ ◀────────────── Welcome: code, identity │  or Refused: reason, detail
//!  verifies
//! ```
//!
//! Both machines are pure: bytes in, bytes and an outcome out. Whoever drives them brings the bytes, the nonces and the
//! time-out. The dialer proves first, so the acceptor tells a stranger nothing but a nonce. A code covers the role and
//! both nonces: one that was heard before, or of the other role, is worth nothing. It covers whom the dialer wants to
//! reach, so a peer that passes it on to another node gets nowhere. Bytes after the handshake are not protected by it.

mod acceptor;
mod dialer;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod inbox;
mod proof;
#[cfg(test)]
pub(super) mod tests;
mod wire;

pub use acceptor::Acceptor;
pub use dialer::Dialer;
pub(super) use inbox::ONE_SIDED;
pub(super) use wire::MAGIC;
pub use wire::{MAX_DETAIL, MAX_HANDSHAKE, PROTOCOL};

use super::{Identity, Reason, Refusal};

/// 32 random bytes, new for each handshake: so an answer to it has not been heard before. Where they come from decides
/// how much the handshake is worth: the system's source of randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; 32]);

/// Compares what both sides run.
///
/// # Errors
/// [`Reason::Incompatible`] when they differ; the detail has both values.
fn compare(dialer: &Identity, acceptor: &Identity) -> Result<(), Refusal> {
    let differ = |what: &str, a: &dyn std::fmt::Display, b: &dyn std::fmt::Display| {
        let detail = format!("{what}: `{}` has {a}, `{}` has {b}", dialer.name, acceptor.name);
        Err(Refusal::new(Reason::Incompatible, detail))
    };
    if dialer.skitter != acceptor.skitter {
        return differ("versions of Skitter", &dialer.skitter, &acceptor.skitter);
    }
    if dialer.build != acceptor.build {
        return differ("builds of the application", &dialer.build, &acceptor.build);
    }
    Ok(())
}
