//! Handshakes with peers that do what they want.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::wire::{HEAD, Kind, frame};
use super::*;

/// All bytes of a good handshake, by who sends them.
fn good() -> (Vec<u8>, Vec<u8>) {
    let pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("secret", worker())).run(&[], Ok(()));
    assert!(pair.is_done());
    let [dialers, acceptors] = pair.sent;
    (dialers, acceptors)
}

/// Gives bytes to a dialer that has sent its greeting, as far as it takes them.
fn feed_dialer(bytes: &[u8], pieces: &[usize]) -> Outcome<Identity> {
    let mut pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("secret", worker()));
    pair.to_dialer = bytes.to_vec();
    let mut pieces = pieces.iter().copied().chain([1]).cycle();
    while pair.dialed.is_none() && !pair.to_dialer.is_empty() {
        assert!(pair.dialer.wants() <= MAX_HANDSHAKE);
        pair.dial(pieces.next().unwrap_or(1).max(1));
    }
    if pair.dialed.is_some() {
        assert_eq!(pair.dialer.wants(), 0);
        assert!(pair.dialer.receive(b"", &mut Vec::new()).is_err(), "what is over stays over");
    }
    pair.dialed
}

/// Gives bytes to an acceptor, as far as it takes them.
fn feed_acceptor(bytes: &[u8], pieces: &[usize]) -> Outcome<(Identity, Purpose)> {
    let mut pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("secret", worker()));
    pair.to_acceptor = bytes.to_vec();
    let mut pieces = pieces.iter().copied().chain([1]).cycle();
    while pair.accepted.is_none() && !pair.to_acceptor.is_empty() {
        assert!(pair.acceptor.wants() <= MAX_HANDSHAKE);
        pair.accept(pieces.next().unwrap_or(1).max(1), &Ok(()));
    }
    if pair.accepted.is_some() {
        assert_eq!(pair.acceptor.wants(), 0);
        assert!(pair.acceptor.receive(b"", &mut Vec::new(), |_, _| Ok(())).is_err(), "what is over stays over");
    }
    pair.accepted
}

#[test]
fn the_good_bytes_are_good() {
    let (dialers, acceptors) = good();
    assert!(matches!(feed_acceptor(&dialers, &[5]), Some(Ok(_))));
    assert!(matches!(feed_dialer(&acceptors, &[5]), Some(Ok(_))));
}

/// What a bad line does to bytes.
#[derive(Clone, Debug)]
enum Harm {
    Cut(Index),
    Flip(Index, u8),
    Repeat(Index, Index),
    Swap(Index, Index),
    Lose(Index),
    Insert(Index, u8),
}

impl Harm {
    fn on(&self, bytes: &mut Vec<u8>) {
        match self {
            _ if bytes.is_empty() => {}
            Harm::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Harm::Flip(at, bits) => *at.get_mut(bytes) ^= bits,
            Harm::Repeat(from, to) => {
                let (a, b) = (from.index(bytes.len()), to.index(bytes.len()));
                let piece = bytes[a.min(b)..=a.max(b)].to_vec();
                let behind = bytes.split_off(a.max(b) + 1);
                bytes.extend(piece.into_iter().chain(behind));
            }
            Harm::Swap(a, b) => {
                let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
                bytes.swap(a, b);
            }
            Harm::Lose(at) => drop(bytes.remove(at.index(bytes.len()))),
            Harm::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
        }
    }
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Harm::Cut),
        (at(), 1..=u8::MAX).prop_map(|(at, bits)| Harm::Flip(at, bits)),
        (at(), at()).prop_map(|(a, b)| Harm::Repeat(a, b)),
        (at(), at()).prop_map(|(a, b)| Harm::Swap(a, b)),
        at().prop_map(Harm::Lose),
        (at(), any::<u8>()).prop_map(|(at, byte)| Harm::Insert(at, byte)),
    ]
}

proptest! {
    #[test]
    fn harmed_bytes_are_never_trusted(harms in vec(harm(), 1..4), pieces in vec(1..99usize, 0..9)) {
        let (good_dialers, good_acceptors) = good();
        let (mut dialers, mut acceptors) = (good_dialers.clone(), good_acceptors.clone());
        harms.iter().for_each(|harm| { harm.on(&mut dialers); harm.on(&mut acceptors); });
        // What comes behind a whole handshake is no part of it.
        if !dialers.starts_with(&good_dialers) {
            prop_assert!(!matches!(feed_acceptor(&dialers, &pieces), Some(Ok(_))));
        }
        if !acceptors.starts_with(&good_acceptors) {
            prop_assert!(!matches!(feed_dialer(&acceptors, &pieces), Some(Ok(_))));
        }
    }

    #[test]
    fn noise_is_never_trusted(
        head in prop_oneof![
            Just(Vec::new()),
            Just(b"SKTR".to_vec()),
            (0..6u8).prop_map(|kind| [b"SKTR\x01".as_slice(), &[kind]].concat()),
        ],
        noise in vec(any::<u8>(), 0..5000),
        pieces in vec(1..5000usize, 0..5),
    ) {
        let bytes = [head, noise].concat();
        prop_assert!(!matches!(feed_acceptor(&bytes, &pieces), Some(Ok(_))));
        prop_assert!(!matches!(feed_dialer(&bytes, &pieces), Some(Ok(_))));
        // Also behind a good beginning.
        let (dialers, acceptors) = good();
        let behind = |good: &[u8]| [&good[..HEAD + 32], &bytes].concat();
        prop_assert!(!matches!(feed_acceptor(&behind(&dialers), &pieces), Some(Ok(_))));
        prop_assert!(!matches!(feed_dialer(&behind(&acceptors), &pieces), Some(Ok(_))));
    }
}

#[test]
fn a_stranger_is_known_by_the_first_byte() {
    for bytes in [b"HTTP/1.1 400 Bad Request\r\n".as_slice(), b"\0", &[0; 9000], b"S ", b"SKTX", b"skitter"] {
        for pieces in [&[1][..], &[5000]] {
            let Some(Err(refusal)) = feed_dialer(bytes, pieces) else { panic!("not refused") };
            assert_eq!(refusal.reason, Reason::NotSkitter);
            let mut pair = Pair::new(dialer("secret", master(), Mode::Worker), acceptor("secret", worker()));
            pair.to_acceptor = bytes.to_vec();
            let pair = pair.run(pieces, Ok(()));
            assert!(matches!(pair.accepted, Some(Err(Refusal { reason: Reason::NotSkitter, .. }))));
            assert!(pair.to_dialer.is_empty() && pair.dialed.is_none(), "it is told nothing");
        }
    }
}

#[test]
fn a_head_that_claims_too_much_is_refused_at_once() {
    for length in [u16::MAX, 4096, 4089] {
        for kind in 1..=6 {
            let [high, low] = length.to_be_bytes();
            let head = [b'S', b'K', b'T', b'R', PROTOCOL, kind, high, low];
            for outcome in [feed_acceptor(&head, &[]).map(|r| r.err()), feed_dialer(&head, &[]).map(|r| r.err())] {
                let Some(Some(refusal)) = outcome else { panic!("not refused") };
                assert_eq!(refusal.to_string(), "not_skitter (it sends more than 4096 bytes before it is known)");
            }
        }
    }
    // Many frames together are too much as well.
    let frames: Vec<u8> = (0..200).flat_map(|_| frame(Kind::Hello, &[&[0; 32]])).collect();
    assert!(matches!(feed_acceptor(&frames, &[5000]), Some(Err(_))));
}

#[test]
fn a_handshake_that_was_heard_is_worth_nothing() {
    let (dialers, acceptors) = good();
    let mut acceptor = Acceptor::new(&cookie("secret"), worker(), Nonce([9; 32])).expect("short");
    let mut admitted = false;
    let (hello, proof) = dialers.split_at(HEAD + 32);
    assert_eq!(acceptor.receive(hello, &mut Vec::new(), |_, _| Ok(())), Ok(None));
    let mut answer = Vec::new();
    let replayed = acceptor.receive(proof, &mut answer, |_, _| {
        admitted = true;
        Ok(())
    });
    assert_eq!(replayed.expect_err("heard before").reason, Reason::BadCookie);
    assert!(!admitted);

    let nonce = Nonce([9; 32]);
    let (mut dialer, _) =
        Dialer::new(&cookie("secret"), master(), Purpose::Control, Mode::Worker, nonce).expect("short");
    assert_eq!(dialer.receive(&acceptors[..HEAD + 32], &mut Vec::new()), Ok(None));
    let replayed = dialer.receive(&acceptors[HEAD + 32..], &mut Vec::new());
    assert_eq!(replayed.expect_err("heard before").reason, Reason::BadCookie);
}

#[test]
fn a_mirror_is_refused() {
    // Everything that the dialer sends comes back to it.
    let (mut mirrored, mut bytes) = dialer("secret", master(), Mode::Worker);
    let mut answer = Vec::new();
    assert_eq!(mirrored.receive(&bytes, &mut answer).expect_err("its own").reason, Reason::NotSkitter);

    // Or with the kinds that it expects: its own nonce, then its own code and claim.
    let (mut mirrored, _) = dialer("secret", master(), Mode::Worker);
    bytes[5] = 2;
    answer.clear();
    assert_eq!(mirrored.receive(&bytes, &mut answer), Ok(None));
    answer[5] = 4;
    let refusal = mirrored.receive(&answer, &mut Vec::new()).expect_err("its own");
    assert_eq!(refusal.reason, Reason::BadCookie);
}

#[test]
fn a_handshake_that_is_passed_on_reaches_nobody_else() {
    // The master wants `worker1`; whoever is in between passes everything on to another node, or back to the master.
    for target in [node("worker2@there", Mode::Worker), master()] {
        let pair = Pair::new(dialer("secret", master(), Mode::Worker.named("worker1")), acceptor("secret", target));
        let pair = pair.run(&[], Ok(()));
        assert_eq!(pair.asked, 0);
        let reason = pair.refused().reason;
        assert!(matches!(reason, Reason::NotConnected | Reason::ModeMismatch), "{reason}");
    }
}

/// Who is at the network in [`Crowd`]: dialers, then as many acceptors.
const SIDES: usize = 2;

/// Gives what a machine has sent, its last frame or an earlier one, to a machine.
#[derive(Clone, Debug)]
struct Step {
    from: usize,
    earlier: Option<Index>,
    to: usize,
}

/// Several handshakes at once, of nodes with one cookie, and somebody between them who hears all frames and gives any
/// of them to anybody.
struct Crowd {
    dialers: Vec<(Dialer, Outcome<Identity>, Vec<Vec<u8>>)>,
    acceptors: Vec<(Acceptor, Outcome<(Identity, Purpose)>)>,
    /// The frames that each machine has sent.
    heard: Vec<Vec<Vec<u8>>>,
}

impl Crowd {
    fn new() -> Crowd {
        let (mut crowd, cookie) = (Crowd { dialers: vec![], acceptors: vec![], heard: vec![] }, cookie("secret"));
        for side in (0..).take(SIDES) {
            let identity = node(&format!("master{side}@host"), Mode::Master);
            let dialer = Dialer::new(&cookie, identity, Purpose::Control, Mode::Worker, Nonce([10 + side; 32]));
            let (dialer, hello) = dialer.expect("short");
            crowd.dialers.push((dialer, None, Vec::new()));
            crowd.heard.push(vec![hello]);
        }
        for side in (0..).take(SIDES) {
            let identity = node(&format!("worker{side}@host"), Mode::Worker);
            let acceptor = Acceptor::new(&cookie, identity, Nonce([20 + side; 32])).expect("short");
            crowd.acceptors.push((acceptor, None));
            crowd.heard.push(Vec::new());
        }
        crowd
    }

    fn take(&mut self, step: &Step) {
        let frames = &self.heard[step.from];
        let found = step.earlier.map_or(frames.last(), |at| (!frames.is_empty()).then(|| at.get(frames)));
        let Some(frame) = found.cloned() else { return };
        let mut answer = Vec::new();
        if let Some((dialer, outcome, read)) = self.dialers.get_mut(step.to) {
            if outcome.is_none() {
                *outcome = dialer.receive(&frame, &mut answer).transpose();
                read.push(frame);
            }
        } else if let Some((acceptor, outcome @ None)) = self.acceptors.get_mut(step.to - SIDES) {
            *outcome = acceptor.receive(&frame, &mut answer, |_, _| Ok(())).transpose();
        }
        if !answer.is_empty() {
            self.heard[step.to].push(answer);
        }
    }

    /// Who believes to know whom: dialers, then acceptors.
    fn known(&self) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
        let number = |peer: &Identity| peer.name.name().chars().last().and_then(|c| c.to_digit(10)).map(|n| n as usize);
        let dialers = self.dialers.iter().map(|(_, outcome, _)| outcome.as_ref()?.as_ref().ok().and_then(number));
        let acceptors = self.acceptors.iter();
        let acceptors =
            acceptors.map(|(_, outcome)| outcome.as_ref()?.as_ref().ok().and_then(|(peer, _)| number(peer)));
        (dialers.collect(), acceptors.collect())
    }
}

#[test]
fn a_crowd_can_get_to_know_each_other() {
    let mut crowd = Crowd::new();
    for (from, to) in [(0, 3), (3, 0), (1, 2), (0, 3), (2, 1), (3, 0), (1, 2), (2, 1)] {
        crowd.take(&Step { from, earlier: None, to });
    }
    assert_eq!(crowd.known(), (vec![Some(1), Some(0)], vec![Some(1), Some(0)]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn who_hears_all_and_passes_on_any_gains_nothing(
        schedule in vec((0..2 * SIDES, proptest::option::weighted(0.2, any::<Index>()), 0..2 * SIDES), 0..40),
    ) {
        let mut crowd = Crowd::new();
        for (from, earlier, to) in schedule {
            crowd.take(&Step { from, earlier, to });
        }
        let (dialers, acceptors) = crowd.known();
        for (at, known) in acceptors.iter().enumerate() {
            // That dialer has answered this very challenge.
            let challenge = [20 + u8::try_from(at).unwrap_or(0); 32];
            let first = |dialer: usize| crowd.dialers[dialer].2.first();
            let answered = |dialer| first(dialer).is_some_and(|read| read[HEAD..] == challenge);
            prop_assert!(known.is_none_or(answered));
        }
        for (at, known) in dialers.iter().enumerate() {
            // That acceptor knows this very dialer.
            prop_assert!(known.is_none_or(|acceptor| acceptors[acceptor] == Some(at)));
        }
    }
}
