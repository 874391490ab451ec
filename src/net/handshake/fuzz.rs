//! Ways into the handshake for bytes of any kind; see [`crate::fuzz`].

use super::proof::Transcript;
use super::wire::{Claim, Kind, frame, read_claim};
use super::{Acceptor, Dialer, MAX_HANDSHAKE, Nonce};
use crate::net::{Cookie, Identity, Mode, Purpose};

const DIALERS: Nonce = Nonce([1; 32]);
const ACCEPTORS: Nonce = Nonce([2; 32]);

/// What the two sides are in all of this; nothing, if it cannot be had.
fn sides() -> Option<(Cookie, Identity, Identity)> {
    let node = |name: &str, mode| {
        let (skitter, build) = ("0.1.0".to_owned(), crate::net::Fingerprint([3; 32]));
        let name = name.parse().ok()?;
        Some(Identity { name, mode, incarnation: 7, port: 4000, skitter, build, tags: Vec::new(), cores: 2, memory: 9 })
    };
    Some((Cookie::new("secret").ok()?, node("master@here", Mode::Master)?, node("worker1@there", Mode::Worker)?))
}

/// Gives one side bytes of the other in pieces, the size of which the first byte says, as far as they are wanted.
fn feed(bytes: &[u8], mut take: impl FnMut(&[u8]) -> (usize, bool)) {
    let Some((&size, mut rest)) = bytes.split_first() else { return };
    let (mut wants, mut over) = take(&[]);
    let mut taken = 0;
    while !over && !rest.is_empty() {
        assert!(wants > 0 && wants <= MAX_HANDSHAKE, "it wants {wants} bytes, and is not over");
        let (piece, behind) = rest.split_at(wants.min(usize::from(size) + 1).min(rest.len()));
        taken += piece.len();
        assert!(taken <= MAX_HANDSHAKE, "{taken} bytes of a stranger");
        (wants, over) = take(piece);
        rest = behind;
    }
}

/// The side that is connected to hears anything.
///
/// # Panics
/// When it trusts who has proved nothing, or takes or says too much.
pub fn acceptor(bytes: &[u8]) {
    let Some((cookie, _, worker)) = sides() else { return };
    let Ok(mut acceptor) = Acceptor::new(&cookie, worker, ACCEPTORS) else { return };
    let mut said = 0;
    feed(bytes, |piece| {
        let mut answer = Vec::new();
        let mut proved = false;
        let heard = acceptor.receive(piece, &mut answer, |_, _| {
            proved = true;
            Ok(())
        });
        said += answer.len();
        assert!(said <= MAX_HANDSHAKE, "{said} bytes for a stranger");
        assert!(!proved && !matches!(heard, Ok(Some(_))), "nobody proves anything by chance");
        (acceptor.wants(), heard.is_err())
    });
}

/// The side that connects hears anything.
///
/// # Panics
/// When it trusts who has proved nothing, or takes or says too much.
pub fn dialer(bytes: &[u8]) {
    let Some((cookie, master, _)) = sides() else { return };
    let Ok((mut dialer, _)) = Dialer::new(&cookie, master, Purpose::Control, Mode::Worker, DIALERS) else { return };
    let mut said = 0;
    feed(bytes, |piece| {
        let mut answer = Vec::new();
        let heard = dialer.receive(piece, &mut answer);
        said += answer.len();
        assert!(said <= MAX_HANDSHAKE, "{said} bytes for a stranger");
        assert!(!matches!(heard, Ok(Some(_))), "nobody proves anything by chance");
        (dialer.wants(), heard.is_err())
    });
}

/// Both sides hear of themselves what they may not believe, from somebody who knows the cookie.
///
/// # Panics
/// When one of them trusts another than it was told of.
pub fn claims(claim: &[u8]) {
    let Some((cookie, master, worker)) = sides() else { return };
    let transcript = Transcript { dialer: DIALERS, acceptor: ACCEPTORS };
    let mut answer = Vec::new();
    if let Ok(mut acceptor) = Acceptor::new(&cookie, worker.clone(), ACCEPTORS)
        && claim.len() <= super::wire::MAX_CLAIM
    {
        let proof = frame(Kind::Proof, &[&transcript.dialer_code(&cookie, claim), claim]);
        let _ = acceptor.receive(&frame(Kind::Hello, &[&DIALERS.0]), &mut answer, |_, _| Ok(()));
        let known = acceptor.receive(&proof, &mut answer, |_, _| Ok(()));
        if let Ok(Some((peer, _))) = known {
            assert!(peer.build == worker.build && peer.skitter == worker.skitter, "another build is let in");
            assert!(read_claim::<Claim>(claim).is_ok_and(|claim| claim.expect.mode == worker.mode));
        }
    }
    let dialer = Dialer::new(&cookie, master.clone(), Purpose::Control, Mode::Worker.named("worker1"), DIALERS);
    if let Ok((mut dialer, _)) = dialer
        && claim.len() <= super::wire::MAX_CLAIM
    {
        let mut proof = Vec::new();
        let _ = dialer.receive(&frame(Kind::Challenge, &[&ACCEPTORS.0]), &mut proof);
        let own = proof.get(8..40).and_then(|code| <[u8; 32]>::try_from(code).ok()).unwrap_or_default();
        let code = transcript.acceptor_code(&cookie, &own, claim);
        let known = dialer.receive(&frame(Kind::Welcome, &[&code, claim]), &mut answer);
        if let Ok(Some(peer)) = known {
            assert!(peer.mode == Mode::Worker && peer.name.name() == "worker1", "another one than was dialled");
        }
    }
}
