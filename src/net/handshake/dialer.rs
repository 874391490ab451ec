//! The side of the handshake that connects.

use super::inbox::Inbox;
use super::proof::Transcript;
use super::wire::{CODE, Claim, Kind, NONCE, frame, read_claim, write_claim, write_refusal};
use super::{Nonce, compare};
use crate::net::{Cookie, Expect, Identity, Purpose, Reason, Refusal};

/// The side of the handshake that connects.
///
/// # Examples
/// ```
/// # use skitter::net::{Acceptor, Cookie, Dialer, Fingerprint, Identity, Mode, Nonce, Purpose};
/// # fn node(name: &str, mode: Mode) -> Identity {
/// #     let (name, skitter, build) = (name.parse().unwrap(), "0.1.0".into(), Fingerprint([0; 32]));
/// #     Identity { name, mode, incarnation: 1, port: 1, skitter, build, tags: vec![], cores: 1, memory: 1 }
/// # }
/// # let (master, worker) = (node("master@here", Mode::Master), node("worker@here", Mode::Worker));
/// let cookie = Cookie::new("secret")?;
/// let (mut dialer, hello) = Dialer::new(&cookie, master, Purpose::Control, Mode::Worker, Nonce([1; 32]))?;
/// let mut acceptor = Acceptor::new(&cookie, worker, Nonce([2; 32]))?;
///
/// let (mut to_acceptor, mut to_dialer) = (hello, Vec::new());
/// assert!(acceptor.receive(&to_acceptor, &mut to_dialer, |_, _| Ok(()))?.is_none());
/// to_acceptor.clear();
/// assert!(dialer.receive(&to_dialer, &mut to_acceptor)?.is_none());
/// to_dialer.clear();
/// let (peer, purpose) = acceptor.receive(&to_acceptor, &mut to_dialer, |_, _| Ok(()))?.expect("it knows enough");
/// assert_eq!((peer.mode, purpose), (Mode::Master, Purpose::Control));
/// let peer = dialer.receive(&to_dialer, &mut Vec::new())?.expect("so does this one");
/// assert_eq!(peer.mode, Mode::Worker);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dialer {
    cookie: Cookie,
    identity: Identity,
    expect: Expect,
    /// What it says, as it travels.
    claim: Vec<u8>,
    nonce: Nonce,
    inbox: Inbox,
    state: State,
}

#[derive(Debug)]
enum State {
    Greeted,
    Proved { transcript: Transcript, code: [u8; CODE] },
    Over,
}

impl Dialer {
    /// Begins a handshake. Gives the bytes to send first.
    ///
    /// # Errors
    /// When the identity is too long to be told.
    pub fn new(
        cookie: &Cookie,
        identity: Identity,
        purpose: Purpose,
        expect: impl Into<Expect>,
        nonce: Nonce,
    ) -> Result<(Dialer, Vec<u8>), Refusal> {
        let claim = Claim { identity, purpose, expect: expect.into() };
        let bytes = write_claim(&claim)?;
        let Claim { identity, expect, .. } = claim;
        let (cookie, inbox, state) = (cookie.clone(), Inbox::new("dialer"), State::Greeted);
        let dialer = Dialer { cookie, identity, expect, claim: bytes, nonce, inbox, state };
        Ok((dialer, frame(Kind::Hello, &[&nonce.0])))
    }

    /// How many bytes of the peer's it can use now: no more than that belongs to the handshake. 0 when it is over.
    pub fn wants(&self) -> usize {
        if matches!(self.state, State::Over) { 0 } else { self.inbox.wants() }
    }

    /// Takes bytes of the peer, in any pieces, at most [`Dialer::wants`]; puts what is to be sent into `answer`, even
    /// when it fails. Gives the peer's identity when the handshake is done.
    ///
    /// # Errors
    /// When the peer refuses, or is refused; the handshake is over then.
    pub fn receive(&mut self, mut bytes: &[u8], answer: &mut Vec<u8>) -> Result<Option<Identity>, Refusal> {
        let result = self.step(&mut bytes, answer);
        if !matches!(result, Ok(None)) {
            self.state = State::Over;
        }
        result
    }

    fn step(&mut self, bytes: &mut &[u8], answer: &mut Vec<u8>) -> Result<Option<Identity>, Refusal> {
        if matches!(self.state, State::Over) {
            return Err(Refusal::new(Reason::NotSkitter, "the handshake is over"));
        }
        while let Some((kind, body)) = self.inbox.take(bytes)? {
            let refused = match self.handle(kind, &body, answer) {
                Ok(Some(_)) if !bytes.is_empty() => early(),
                Ok(None) => continue,
                Ok(done) => return Ok(done),
                Err(refusal) => refusal,
            };
            answer.extend(write_refusal(&refused));
            return Err(refused);
        }
        Ok(None)
    }

    fn handle(&mut self, kind: Kind, body: &[u8], answer: &mut Vec<u8>) -> Result<Option<Identity>, Refusal> {
        match (&self.state, kind) {
            (State::Greeted, Kind::Challenge) => {
                let nonce = <[u8; NONCE]>::try_from(body).map_err(|_| unexpected())?;
                let transcript = Transcript { dialer: self.nonce, acceptor: Nonce(nonce) };
                let code = transcript.dialer_code(&self.cookie, &self.claim);
                answer.extend(frame(Kind::Proof, &[&code, &self.claim]));
                self.state = State::Proved { transcript, code };
                Ok(None)
            }
            (State::Proved { transcript, code }, Kind::Welcome) => {
                let (theirs, claim) = body.split_first_chunk::<CODE>().ok_or_else(unexpected)?;
                if !transcript.is_acceptors(&self.cookie, code, theirs, claim) {
                    return Err(Refusal::new(Reason::BadCookie, "the node that is dialled has another cookie"));
                }
                let peer: Identity = read_claim(claim)?;
                compare(&self.identity, &peer)?;
                super::acceptor::meets(&peer, &self.expect)?;
                Ok(Some(peer))
            }
            _ => Err(unexpected()),
        }
    }
}

/// What came is no step of a handshake.
pub(super) fn unexpected() -> Refusal {
    Refusal::new(Reason::NotSkitter, "it sends something that is no step of a handshake")
}

/// More came than a step.
fn early() -> Refusal {
    Refusal::new(Reason::NotSkitter, "it goes on before the handshake is over")
}
