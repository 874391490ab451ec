//! The side of the handshake that is connected to.

use super::dialer::unexpected;
use super::inbox::Inbox;
use super::proof::Transcript;
use super::wire::{CODE, Claim, Kind, NONCE, frame, read_claim, write_claim, write_refusal};
use super::{Nonce, compare};
use crate::net::{Cookie, Expect, Identity, Purpose, Reason, Refusal};

/// The side of the handshake that is connected to; see [`Dialer`](super::Dialer) for an example.
#[derive(Debug)]
pub struct Acceptor {
    cookie: Cookie,
    identity: Identity,
    /// What it says, as it travels.
    claim: Vec<u8>,
    nonce: Nonce,
    inbox: Inbox,
    state: State,
}

#[derive(Debug)]
enum State {
    Listening,
    Challenged(Transcript),
    Over,
}

impl Acceptor {
    /// Waits for a handshake.
    ///
    /// # Errors
    /// When the identity is too long to be told.
    pub fn new(cookie: &Cookie, identity: Identity, nonce: Nonce) -> Result<Acceptor, Refusal> {
        let claim = write_claim(&identity)?;
        let (cookie, inbox, state) = (cookie.clone(), Inbox::new("acceptor"), State::Listening);
        Ok(Acceptor { cookie, identity, claim, nonce, inbox, state })
    }

    /// How many bytes of the peer's it can use now: no more than that belongs to the handshake. 0 when it is over.
    pub fn wants(&self) -> usize {
        if matches!(self.state, State::Over) { 0 } else { self.inbox.wants() }
    }

    /// Takes bytes of the peer, in any pieces, at most [`Acceptor::wants`]; puts what is to be sent into `answer`, even
    /// when it fails. `admit` is asked at most once, when the peer has proved to know the cookie and to run the same
    /// build. Gives the peer's identity and what it wants when the handshake is done.
    ///
    /// # Errors
    /// When the peer refuses, or is refused; the handshake is over then. A stranger is told nothing.
    pub fn receive(
        &mut self,
        mut bytes: &[u8],
        answer: &mut Vec<u8>,
        admit: impl FnOnce(&Identity, &Purpose) -> Result<(), Refusal>,
    ) -> Result<Option<(Identity, Purpose)>, Refusal> {
        let result = self.step(&mut bytes, answer, admit);
        if !matches!(result, Ok(None)) {
            self.state = State::Over;
        }
        result
    }

    fn step(
        &mut self,
        bytes: &mut &[u8],
        answer: &mut Vec<u8>,
        admit: impl FnOnce(&Identity, &Purpose) -> Result<(), Refusal>,
    ) -> Result<Option<(Identity, Purpose)>, Refusal> {
        let mut admit = Some(admit);
        loop {
            let frame = match (&self.state, self.inbox.take(bytes)) {
                (State::Over, _) => return Err(Refusal::new(Reason::NotSkitter, "the handshake is over")),
                (_, Ok(Some(frame))) => frame,
                (_, Ok(None)) => return Ok(None),
                (_, Err(refusal)) => {
                    // Who speaks another version is told; who refuses knows; who is no node would not understand.
                    if refusal.reason == Reason::Incompatible {
                        answer.extend(write_refusal(&refusal));
                    }
                    return Err(refusal);
                }
            };
            // The dialer waits for an answer to each of its steps.
            let result = if bytes.is_empty() { self.handle(frame, answer, &mut admit) } else { Err(unexpected()) };
            match result {
                Ok(None) => {}
                Ok(done) => return Ok(done),
                Err(refusal) => {
                    answer.extend(write_refusal(&refusal));
                    return Err(refusal);
                }
            }
        }
    }

    fn handle(
        &mut self,
        (kind, body): (Kind, Vec<u8>),
        answer: &mut Vec<u8>,
        admit: &mut Option<impl FnOnce(&Identity, &Purpose) -> Result<(), Refusal>>,
    ) -> Result<Option<(Identity, Purpose)>, Refusal> {
        match (&self.state, kind) {
            (State::Listening, Kind::Hello) => {
                let nonce = <[u8; NONCE]>::try_from(body).map_err(|_| unexpected())?;
                self.state = State::Challenged(Transcript { dialer: Nonce(nonce), acceptor: self.nonce });
                answer.extend(frame(Kind::Challenge, &[&self.nonce.0]));
                Ok(None)
            }
            (State::Challenged(transcript), Kind::Proof) => {
                let (theirs, claim) = body.split_first_chunk::<CODE>().ok_or_else(unexpected)?;
                if !transcript.is_dialers(&self.cookie, theirs, claim) {
                    return Err(Refusal::new(Reason::BadCookie, "the node that dials has another cookie"));
                }
                let Claim { identity, purpose, expect } = read_claim(claim)?;
                compare(&identity, &self.identity)?;
                meets(&self.identity, &expect)?;
                if let Some(admit) = admit.take() {
                    admit(&identity, &purpose)?;
                }
                let code = transcript.acceptor_code(&self.cookie, theirs, &self.claim);
                answer.extend(frame(Kind::Welcome, &[&code, &self.claim]));
                Ok(Some((identity, purpose)))
            }
            _ => Err(unexpected()),
        }
    }
}

/// Whether the acceptor is whom the dialer wants to reach.
pub(super) fn meets(acceptor: &Identity, expect: &Expect) -> Result<(), Refusal> {
    if acceptor.mode != expect.mode {
        let detail = format!("`{}` is a {}, a {} was expected", acceptor.name, acceptor.mode, expect.mode);
        return Err(Refusal::new(Reason::ModeMismatch, detail));
    }
    match &expect.name {
        Some(name) if name != acceptor.name.name() => {
            let detail = format!("`{}` answers where `{name}` was expected", acceptor.name);
            Err(Refusal::new(Reason::NotConnected, detail))
        }
        _ => Ok(()),
    }
}
