//! Tests of the handshake: how it goes well, and how it goes wrong.

mod attacks;
mod golden;

use super::*;
use crate::id::DeploymentId;
use crate::net::{Cookie, Expect, Fingerprint, Mode, Purpose};

pub(in crate::net) fn cookie(text: &str) -> Cookie {
    Cookie::new(text).expect("a cookie")
}

pub(in crate::net) fn node(name: &str, mode: Mode) -> Identity {
    Identity {
        name: name.parse().expect("a name"),
        mode,
        incarnation: 7,
        port: 4000,
        skitter: "0.1.0".to_owned(),
        build: Fingerprint([3; 32]),
        tags: vec!["gpu".parse().expect("a tag")],
        cores: 2,
        memory: 1 << 30,
    }
}

pub(in crate::net) fn master() -> Identity {
    node("master@here", Mode::Master)
}

pub(in crate::net) fn worker() -> Identity {
    node("worker1@there", Mode::Worker)
}

pub(super) fn dialer(secret: &str, identity: Identity, expect: impl Into<Expect>) -> (Dialer, Vec<u8>) {
    Dialer::new(&cookie(secret), identity, Purpose::Control, expect, Nonce([1; 32])).expect("a short identity")
}

pub(super) fn acceptor(secret: &str, identity: Identity) -> Acceptor {
    Acceptor::new(&cookie(secret), identity, Nonce([2; 32])).expect("a short identity")
}

/// What became of one side: nothing yet, or known, or refused.
pub(super) type Outcome<T> = Option<Result<T, Refusal>>;

/// A handshake under way: what each side has been sent and has not read, and what became of it.
pub(super) struct Pair {
    pub dialer: Dialer,
    pub acceptor: Acceptor,
    pub to_dialer: Vec<u8>,
    pub to_acceptor: Vec<u8>,
    pub dialed: Outcome<Identity>,
    pub accepted: Outcome<(Identity, Purpose)>,
    pub asked: usize,
    /// All that the dialer has sent, and all that the acceptor has.
    pub sent: [Vec<u8>; 2],
}

impl Pair {
    pub fn new((dialer, hello): (Dialer, Vec<u8>), acceptor: Acceptor) -> Pair {
        let (to_dialer, to_acceptor) = (Vec::new(), hello);
        let sent = [to_acceptor.clone(), Vec::new()];
        Pair { dialer, acceptor, to_dialer, to_acceptor, dialed: None, accepted: None, asked: 0, sent }
    }

    /// Gives the acceptor some of its bytes, at most what it wants.
    pub fn accept(&mut self, most: usize, admit: &Result<(), Refusal>) {
        let count = most.min(self.to_acceptor.len()).min(self.acceptor.wants());
        let bytes: Vec<u8> = self.to_acceptor.drain(..count).collect();
        let asked = &mut self.asked;
        let admit = |_: &Identity, _: &Purpose| {
            *asked += 1;
            admit.clone()
        };
        let mut answer = Vec::new();
        if self.accepted.is_none() {
            self.accepted = self.acceptor.receive(&bytes, &mut answer, admit).transpose();
        }
        self.sent[1].extend_from_slice(&answer);
        self.to_dialer.append(&mut answer);
    }

    /// Gives the dialer some of its bytes, at most what it wants.
    pub fn dial(&mut self, most: usize) {
        let count = most.min(self.to_dialer.len()).min(self.dialer.wants());
        let bytes: Vec<u8> = self.to_dialer.drain(..count).collect();
        let mut answer = Vec::new();
        if self.dialed.is_none() {
            self.dialed = self.dialer.receive(&bytes, &mut answer).transpose();
        }
        self.sent[0].extend_from_slice(&answer);
        self.to_acceptor.append(&mut answer);
    }

    /// Goes on in pieces of these sizes until nothing moves.
    pub fn run(mut self, pieces: &[usize], admit: Result<(), Refusal>) -> Pair {
        let mut pieces = pieces.iter().copied().cycle();
        loop {
            let before = (self.to_dialer.len(), self.to_acceptor.len());
            self.accept(pieces.next().unwrap_or(usize::MAX), &admit);
            self.dial(pieces.next().unwrap_or(usize::MAX));
            if before == (self.to_dialer.len(), self.to_acceptor.len()) {
                return self;
            }
        }
    }

    /// Both know each other.
    pub fn is_done(&self) -> bool {
        matches!((&self.dialed, &self.accepted), (Some(Ok(_)), Some(Ok(_))))
    }

    /// Both know the same reason for a refusal, which is given.
    pub fn refused(self) -> Refusal {
        let (Some(Err(a)), Some(Err(b))) = (self.dialed, self.accepted) else { panic!("not refused by both") };
        assert_eq!(a, b);
        a
    }
}

fn meet(dialing: Identity, accepting: Identity, expect: impl Into<Expect>) -> Pair {
    Pair::new(dialer("secret", dialing, expect), acceptor("secret", accepting)).run(&[], Ok(()))
}

#[test]
fn both_get_to_know_each_other() {
    for pieces in [&[usize::MAX][..], &[1], &[3, 7], &[8, 40, 1]] {
        let purpose = Purpose::Data { deployment: DeploymentId(3), from: 9 };
        let dialer = Dialer::new(&cookie("secret"), master(), purpose, Mode::Worker.named("worker1"), Nonce([1; 32]));
        let pair = Pair::new(dialer.expect("short"), acceptor("secret", worker())).run(pieces, Ok(()));
        assert_eq!(pair.dialed, Some(Ok(worker())));
        assert_eq!(pair.accepted, Some(Ok((master(), purpose))));
        assert_eq!((pair.asked, pair.dialer.wants(), pair.acceptor.wants()), (1, 0, 0));
    }
}

#[test]
fn what_follows_the_handshake_is_left_alone() {
    let mut pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("secret", worker()));
    pair.accept(usize::MAX, &Ok(()));
    pair.accept(usize::MAX, &Ok(()));
    pair.dial(usize::MAX);
    pair.dial(usize::MAX);
    while pair.accepted.is_none() {
        pair.accept(usize::MAX, &Ok(()));
    }
    pair.to_dialer.extend(b"more");
    let pair = pair.run(&[], Ok(()));
    assert!(pair.is_done());
    assert_eq!(pair.to_dialer, b"more");
}

#[test]
fn another_cookie_is_refused_on_either_side() {
    for (a, b) in [("secret", "Secret"), ("guess", "secret"), ("secret", "secret2")] {
        let pair = Pair::new(dialer(a, master(), Mode::Worker), acceptor(b, worker())).run(&[], Ok(()));
        assert_eq!(pair.asked, 0, "a stranger is not let in");
        assert!(!String::from_utf8_lossy(&pair.sent[1]).contains("worker1"), "a stranger is told nothing");
        assert_eq!(pair.refused().reason, Reason::BadCookie);
    }
}

#[test]
fn an_acceptor_without_the_cookie_is_refused() {
    // It takes anything for a proof, and makes up its answer.
    let mut pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("other", worker()));
    pair.accept(usize::MAX, &Ok(()));
    pair.accept(usize::MAX, &Ok(()));
    pair.dial(usize::MAX);
    pair.dial(usize::MAX);
    let claim = wire::write_claim(&worker()).expect("short");
    pair.to_dialer = wire::frame(wire::Kind::Welcome, &[&[0; 32], &claim]);
    pair.dial(usize::MAX);
    pair.dial(usize::MAX);
    let Some(Err(refusal)) = pair.dialed else { panic!("not refused") };
    assert_eq!(refusal.reason, Reason::BadCookie);
}

#[test]
fn other_versions_and_builds_are_refused_with_both_values() {
    let older = Identity { skitter: "0.0.9".to_owned(), ..worker() };
    let refusal = meet(master(), older, Mode::Worker).refused();
    assert_eq!(refusal.reason, Reason::Incompatible);
    assert_eq!(refusal.detail, "versions of Skitter: `master@here` has 0.1.0, `worker1@there` has 0.0.9");
    let other = Identity { build: Fingerprint([0xab; 32]), ..worker() };
    let refusal = meet(master(), other, Mode::Worker).refused();
    assert_eq!(refusal.reason, Reason::Incompatible);
    let both = "builds of the application: `master@here` has 0303030303030303, `worker1@there` has abababababababab";
    assert_eq!(refusal.detail, both);
}

#[test]
fn another_protocol_is_refused_with_both_values() {
    let mut pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("secret", worker()));
    pair.to_acceptor[4] = 9;
    let refusal = pair.run(&[], Ok(())).refused();
    assert_eq!(refusal.reason, Reason::Incompatible);
    assert_eq!(refusal.detail, "the node that is dialled speaks protocol 1, the one that dials 9");

    let mut pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("secret", worker()));
    pair.accept(usize::MAX, &Ok(()));
    pair.accept(usize::MAX, &Ok(()));
    pair.to_dialer[4] = 9;
    pair.dial(usize::MAX);
    pair.dial(usize::MAX);
    let Some(Err(refusal)) = pair.dialed else { panic!("not refused") };
    assert_eq!(refusal.detail, "the node that dials speaks protocol 1, the one that is dialled 9");
}

#[test]
fn only_who_is_expected_is_welcome() {
    let refusal = meet(worker(), worker(), Mode::Master).refused();
    assert_eq!(refusal.to_string(), "mode_mismatch (`worker1@there` is a worker, a master was expected)");
    let refusal = meet(master(), worker(), Mode::Worker.named("worker2")).refused();
    assert_eq!(refusal.to_string(), "not_connected (`worker1@there` answers where `worker2` was expected)");
}

#[test]
fn every_reason_reaches_the_other_side() {
    for reason in Reason::ALL {
        let refusal = Refusal::new(reason, "because ä");
        let pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("secret", worker()));
        assert_eq!(pair.run(&[1], Err(refusal.clone())).refused(), refusal);
    }
    let long = Refusal::new(Reason::HasMaster, "ä\n".repeat(MAX_DETAIL));
    let pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("secret", worker()));
    let pair = pair.run(&[], Err(long));
    let Some(Err(told)) = pair.dialed else { panic!("not refused") };
    assert!(told.detail.len() <= MAX_DETAIL && told.detail.starts_with("ä ä ä "), "{told}");
}

#[test]
fn an_identity_that_is_too_long_is_found_at_once() {
    let tags = (0..1000).map(|n| format!("tag{n}").parse().expect("a tag")).collect();
    let identity = Identity { tags, ..worker() };
    let refusal = Acceptor::new(&cookie("secret"), identity.clone(), Nonce([0; 32])).expect_err("too long");
    assert!(refusal.detail.contains("at most 3840"), "{refusal}");
    assert!(Dialer::new(&cookie("secret"), identity, Purpose::Control, Mode::Master, Nonce([0; 32])).is_err());
}

#[test]
fn the_longest_identity_that_can_be_told_is_welcome() {
    let mut identity = worker();
    identity.tags = vec!["x".repeat(100).parse().expect("a tag"); 37];
    let length = wire::write_claim(&identity).expect("short enough").len();
    assert!((wire::MAX_CLAIM - 100..wire::MAX_CLAIM - 20).contains(&length), "{length}");
    assert!(meet(Identity { mode: Mode::Master, ..identity.clone() }, identity, Mode::Worker).is_done());
}
