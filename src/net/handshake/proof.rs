//! The codes by which both sides prove to know the cookie.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Nonce;
use super::wire::{ACCEPTOR, CODE, DIALER};
use crate::net::Cookie;

/// What both codes cover: one handshake, and no other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transcript {
    pub dialer: Nonce,
    pub acceptor: Nonce,
}

impl Transcript {
    /// The dialer's code of what it says.
    pub fn dialer_code(&self, cookie: &Cookie, claim: &[u8]) -> [u8; CODE] {
        finish(self.keyed(cookie, DIALER).chain_update(claim))
    }

    /// The acceptor's code of what it says; it covers the dialer's.
    pub fn acceptor_code(&self, cookie: &Cookie, dialer_code: &[u8; CODE], claim: &[u8]) -> [u8; CODE] {
        finish(self.keyed(cookie, ACCEPTOR).chain_update(dialer_code).chain_update(claim))
    }

    /// Whether this is the dialer's code. Takes as long whatever the difference is.
    pub fn is_dialers(&self, cookie: &Cookie, code: &[u8; CODE], claim: &[u8]) -> bool {
        self.keyed(cookie, DIALER).chain_update(claim).verify_slice(code).is_ok()
    }

    /// Whether this is the acceptor's code. Takes as long whatever the difference is.
    pub fn is_acceptors(&self, cookie: &Cookie, dialer_code: &[u8; CODE], code: &[u8; CODE], claim: &[u8]) -> bool {
        self.keyed(cookie, ACCEPTOR).chain_update(dialer_code).chain_update(claim).verify_slice(code).is_ok()
    }

    fn keyed(&self, cookie: &Cookie, label: &[u8; 24]) -> Hmac<Sha256> {
        keyed(cookie).chain_update(label).chain_update(self.dialer.0).chain_update(self.acceptor.0)
    }
}

fn keyed(cookie: &Cookie) -> Hmac<Sha256> {
    // A key for HMAC may have any length, so there is no error; were there one, no code would be right.
    Hmac::new_from_slice(cookie.secret()).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

fn finish(code: Hmac<Sha256>) -> [u8; CODE] {
    code.finalize().into_bytes().into()
}
