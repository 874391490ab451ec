//! What a worker does, whatever happens in whatever order.

mod alignment;
mod bench;
mod hurry;
mod saved;
mod time;
mod told;

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use self::bench::{Bench, Kind};
use self::told::Emission;
use super::*;
use crate::runtime::window::WINDOW;
use crate::workflow::{Pull, Timestamp};

const NOTHING: Emission = Emission { to: 0, count: 0, label: 0 };

fn plain(channels: usize, receivers: usize) -> Kind {
    Kind {
        origin: Origin::Links,
        follows_clock: false,
        peers: false,
        channels,
        receivers,
        pulls: Vec::new(),
        at_end: NOTHING,
        checkpoints: false,
        more: 0,
        flights: Vec::new(),
    }
}

/// Senders that were started before may have ended before it is.
#[test]
fn it_finishes_once_when_its_senders_end_before_it_starts() {
    for peers in [false, true] {
        let at_end = Emission { to: 0, count: 3 * WINDOW, label: 7 };
        let mut bench = Bench::new(Kind { peers, at_end, ..plain(1, 1) });
        bench.open();
        bench.worker.send(end());
        bench.worker.send(Message::Start);
        bench.complete();
        assert_eq!(bench.got[0], [7; 3 * WINDOW]);
        assert_eq!(bench.calls.finish.load(Ordering::SeqCst), 1);
        assert_eq!(bench.calls.drain.load(Ordering::SeqCst), usize::from(peers));
    }
}

/// Others are not prepared yet.
#[test]
fn nothing_is_flushed_before_the_start() {
    let mut bench = Bench::new(plain(1, 1));
    bench.open();
    bench.send(Emission { to: 0, count: 1, label: 1 }, false);
    bench.listen_until(|bench| !bench.got[0].is_empty());
    assert_eq!(bench.calls.flush.load(Ordering::SeqCst), 0);
    bench.worker.send(Message::Start);
    bench.await_flush();
    bench.worker.send(end());
    bench.complete();
}

#[test]
fn it_holds_back_its_senders_and_not_its_peers() {
    let mut bench = Bench::new(Kind { peers: true, ..plain(1, 1) });
    bench.open();
    bench.worker.send(Message::Start);
    bench.send(Emission { to: 0, count: WINDOW + 1, label: 1 }, false);
    bench.send(Emission { to: 0, count: 1, label: 2 }, false);
    bench.send(Emission { to: 0, count: 1, label: 3 }, true);
    bench.worker.send(end());
    // The peer's message is answered while what the sender sent waits.
    bench.listen_until(|bench| bench.got[1].len() >= 2);
    assert_eq!(bench.got[1], [1, 3]);
    bench.complete();
    assert_eq!(bench.got[0], [vec![1; WINDOW + 1], vec![3, 2]].concat());
    assert_eq!(bench.got[1], [1, 3, 2]);
}

/// A source that is told to end does not wait for the turn that it asked for.
#[test]
fn a_source_that_waits_for_its_turn_can_be_stopped() {
    let hour = Duration::from_secs(3600);
    for count in [0, 1, WINDOW, WINDOW + 1, 3 * WINDOW] {
        let pulls = vec![(Emission { to: 0, count, label: 1 }, Pull::After(hour))];
        let mut bench = Bench::new(Kind { origin: Origin::Produce, pulls, ..plain(0, 1) });
        bench.open();
        bench.worker.send(Message::Start);
        bench.listen_until(|bench| bench.got[0].len() >= count.min(WINDOW));
        bench.worker.send(Message::Stop);
        bench.complete();
        assert_eq!(bench.got[0], vec![1; count]);
    }
}

/// Once it has finished, those who join get nothing, and are not waited for.
#[test]
fn a_worker_that_leaves_takes_no_part_in_who_joins() {
    let mut bench = Bench::new(Kind { at_end: Emission { to: 0, count: WINDOW + 1, label: 1 }, ..plain(1, 1) });
    bench.open();
    bench.worker.send(Message::Start);
    bench.worker.send(end());
    // It waits for credit with what it emitted at its end.
    bench.listen_until(|bench| bench.got[0].len() == WINDOW);
    bench.join();
    bench.worker.send(Message::Expect { joined: NodeId::LOCAL, ends: 1 });
    bench.listen_until(|bench| !bench.agreed.is_empty());
    assert_eq!((&bench.knew[..], &bench.agreed[..]), (&[false][..], &[false][..]));
    bench.complete();
}

/// What happens to a worker.
#[derive(Clone, Debug)]
enum Step {
    Start,
    Batch(Emission),
    FromPeer(Emission),
    End,
    /// Credit of one of the batches that are held.
    GiveBack(prop::sample::Index),
    Wake,
    Probe,
    Listen,
    Stop,
    /// A sender is about to join.
    Expect,
    /// A receiver has joined.
    Join,
}

fn emission() -> impl Strategy<Value = Emission> {
    (0..4usize, prop_oneof![4 => 0..3usize, 1 => 0..2 * WINDOW]).prop_map(|(to, count)| Emission {
        to,
        count,
        label: 0,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Start),
        4 => emission().prop_map(Step::Batch),
        2 => emission().prop_map(Step::FromPeer),
        1 => Just(Step::End),
        4 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        1 => Just(Step::Wake),
        1 => Just(Step::Probe),
        2 => Just(Step::Listen),
        1 => Just(Step::Stop),
        1 => Just(Step::Expect),
        1 => Just(Step::Join),
    ]
}

fn pull() -> impl Strategy<Value = Pull> {
    prop_oneof![
        3 => Just(Pull::More),
        1 => Just(Pull::Again),
        1 => Just(Pull::After(Duration::ZERO)),
        1 => Just(Pull::After(Duration::from_millis(1))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever happens in whatever order, all that it was to emit arrives, once and in order, it finishes once, and
    /// ends.
    #[test]
    fn nothing_is_lost_by_a_worker(
        peers in any::<bool>(),
        channels in 1..4usize,
        at_end in emission(),
        steps in vec(step(), 0..60),
    ) {
        let at_end = Emission { label: u64::MAX, to: at_end.to % 3, ..at_end };
        let mut bench = Bench::new(Kind { peers, at_end, ..plain(channels, 3) });
        bench.open();
        let (mut started, mut ended, mut label) = (false, 0, 0);
        let (mut channels, mut joined) = (channels, false);
        let (mut expected, mut of_peers) = (vec![Vec::new(); 4], vec![Vec::new(); 4]);
        // The fourth receiver is there when it has joined.
        let to = |joined: bool, of: Emission| Emission { to: of.to % (3 + usize::from(joined)), ..of };
        for step in steps {
            match step {
                Step::Start if !started => {
                    started = true;
                    bench.worker.send(Message::Start);
                }
                Step::Batch(emission) if ended < channels => {
                    label += 1;
                    let emission = Emission { label, ..to(joined, emission) };
                    expected[emission.to].extend(vec![label; emission.count]);
                    bench.send(emission, false);
                }
                Step::FromPeer(emission) if peers => {
                    label += 1;
                    let emission = Emission { label, ..to(joined, emission) };
                    of_peers[emission.to].extend(vec![label; emission.count]);
                    bench.send(emission, true);
                }
                Step::End if ended < channels => {
                    ended += 1;
                    bench.worker.send(end());
                }
                Step::GiveBack(which) if !bench.held.is_empty() => {
                    let (_, window) = bench.held.swap_remove(which.index(bench.held.len()));
                    window.give_back(None);
                }
                Step::Wake => bench.worker.send(Message::Wake),
                Step::Probe => bench.worker.send(Message::Probe { round: 1 }),
                Step::Expect if ended < channels => {
                    bench.worker.send(Message::Expect { joined: NodeId::LOCAL, ends: 1 });
                    let answers = bench.agreed.len();
                    bench.listen_until(|bench| bench.agreed.len() > answers);
                    prop_assert!(bench.agreed[answers], "it has senders left");
                    channels += 1;
                }
                Step::Join if !joined && ended < channels => {
                    bench.join();
                    joined = true;
                }
                _ => bench.listen(),
            }
        }
        for _ in ended..channels {
            bench.worker.send(end());
        }
        if !started {
            bench.worker.send(Message::Start);
        }
        bench.complete();
        prop_assert_eq!(bench.knew.len(), usize::from(joined));
        for receiver in 0..4 {
            // The peer stands between.
            let mut got = bench.got[if receiver == 3 { 4 } else { receiver }].clone();
            let last = if at_end.to == receiver { vec![u64::MAX; at_end.count] } else { Vec::new() };
            prop_assert!(got.ends_with(&last), "{got:?}");
            got.truncate(got.len() - last.len());
            // What comes of peers may come before what was put aside.
            let (mine, theirs): (Vec<_>, Vec<_>) = got.into_iter().partition(|n| expected[receiver].contains(n));
            prop_assert_eq!(&mine, &expected[receiver]);
            prop_assert_eq!(&theirs, &of_peers[receiver]);
        }
        prop_assert_eq!(bench.calls.finish.load(Ordering::SeqCst), 1);
        prop_assert_eq!(bench.calls.drain.load(Ordering::SeqCst), usize::from(peers));
    }

    /// A source gives what its reads gave, in order, whatever they answer and whoever is slow; once it is told to stop
    /// it ends with what it has read.
    #[test]
    fn nothing_is_lost_by_a_source(
        pulls in vec((emission(), pull()), 0..12),
        at_end in emission(),
        steps in vec(step(), 0..40),
    ) {
        let numbered = |(number, (emission, pull)): (usize, (Emission, Pull))| {
            (Emission { label: number as u64, to: emission.to % 3, ..emission }, pull)
        };
        let pulls: Vec<_> = pulls.into_iter().enumerate().map(numbered).collect();
        let at_end = Emission { label: u64::MAX, to: at_end.to % 3, ..at_end };
        let kind = Kind { origin: Origin::Produce, pulls: pulls.clone(), at_end, ..plain(0, 3) };
        let mut bench = Bench::new(kind);
        bench.open();
        bench.worker.send(Message::Start);
        let mut stopped = false;
        for step in steps {
            match step {
                Step::GiveBack(which) if !bench.held.is_empty() => {
                    let (_, window) = bench.held.swap_remove(which.index(bench.held.len()));
                    window.give_back(None);
                }
                Step::Wake => bench.worker.send(Message::Wake),
                Step::Probe => bench.worker.send(Message::Probe { round: 1 }),
                Step::Stop => {
                    stopped = true;
                    bench.worker.send(Message::Stop);
                }
                _ => bench.listen(),
            }
        }
        bench.complete();
        let whole = |reads: usize, receiver: usize| {
            let all = pulls[..reads].iter().map(|(emission, _)| emission).chain([&at_end]);
            all.filter(|e| e.to == receiver).flat_map(|e| vec![e.label; e.count]).collect::<Vec<u64>>()
        };
        let reads = |reads| (0..3).all(|receiver| bench.got[receiver] == whole(reads, receiver));
        let after_any = (0..pulls.len()).any(reads);
        prop_assert!(reads(pulls.len()) || (stopped && after_any), "{:?} of {:?}", bench.got, pulls);
        prop_assert_eq!(bench.calls.finish.load(Ordering::SeqCst), 1);
    }
}

/// The end of the one sender.
fn end() -> Message {
    Message::End { from: Channel { from: WorkerId { vertex: crate::id::VertexId(0), index: 0 }, link: 0 } }
}
