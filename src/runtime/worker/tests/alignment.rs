//! Checkpoints of one worker: what belongs to one, and what does not.

use std::collections::BTreeSet;

use super::bench::{BARRIER, channel, peer};
use super::saved::{flights, seen};
use super::*;

pub(super) fn saves(channels: usize) -> Kind {
    Kind { checkpoints: true, ..plain(channels, 1) }
}

pub(super) fn say(label: u64) -> Emission {
    Emission { to: 0, count: 1, label }
}

pub(super) fn started(kind: Kind) -> Bench {
    let bench = Bench::new(kind);
    bench.open();
    bench.worker.send(Message::Start);
    bench
}

#[test]
fn what_comes_behind_a_barrier_waits_for_the_other_barriers() {
    let mut bench = started(saves(3));
    bench.send_over(channel(0), say(1));
    bench.bar(channel(0), 1);
    bench.send_over(channel(0), say(2));
    bench.send_over(channel(1), say(3));
    bench.end(channel(2));
    bench.send_over(channel(1), say(4));
    bench.listen_until(|bench| bench.got[0].len() == 3);
    assert_eq!(bench.got[0], [1, 3, 4]);
    bench.bar(channel(1), 1);
    bench.listen_until(|bench| bench.got[0].len() == 5 && !bench.saved.is_empty());
    assert_eq!(bench.got[0], [1, 3, 4, BARRIER + 1, 2]);
    assert_eq!(seen(&bench.saved[0]), [1, 3, 4]);
    bench.end(channel(0));
    bench.end(channel(1));
    bench.complete();
}

#[test]
fn an_end_stands_for_a_barrier_also_behind_one() {
    let mut bench = started(saves(2));
    bench.bar(channel(0), 1);
    bench.end(channel(0));
    bench.send_over(channel(1), say(1));
    bench.end(channel(1));
    bench.listen_until(|bench| bench.done && !bench.saved.is_empty());
    assert_eq!((seen(&bench.saved[0]), bench.saved[0].finished), (vec![1], false));
    // No barrier can come any more.
    bench.worker.send(Message::Trigger { checkpoint: 2, halt: false });
    bench.listen_until(|bench| bench.saved.len() == 2);
    assert!(bench.saved[1].finished);
    bench.complete();
    assert_eq!(bench.got[0], [1, BARRIER + 1], "those who have got an end get no barrier");
}

#[test]
fn a_barrier_stands_in_line_where_there_is_no_credit() {
    let mut bench = started(saves(2));
    bench.send_over(channel(0), Emission { to: 0, count: WINDOW + 2, label: 1 });
    bench.bar(channel(0), 1);
    bench.bar(channel(1), 1);
    bench.send_over(channel(1), say(2));
    bench.end(channel(0));
    bench.end(channel(1));
    bench.listen_until(|bench| bench.got[0].len() == WINDOW);
    assert!(bench.saved.is_empty(), "what it has put aside belongs to the checkpoint, for all that it knows");
    bench.complete();
    assert_eq!(bench.got[0], [vec![1; WINDOW + 2], vec![BARRIER + 1, 2]].concat());
    assert_eq!(seen(&bench.saved[0]), [1]);
}

/// It is told to save before it knows that its senders have ended.
#[test]
fn a_trigger_waits_for_the_ends_that_are_under_way() {
    let mut bench = started(saves(2));
    bench.worker.send(Message::Trigger { checkpoint: 5, halt: false });
    bench.send_over(channel(0), say(1));
    bench.end(channel(0));
    bench.send_over(channel(1), say(2));
    bench.listen_until(|bench| bench.got[0].len() == 2);
    assert!(bench.saved.is_empty());
    bench.end(channel(1));
    bench.complete();
    bench.listen_until(|bench| !bench.saved.is_empty());
    assert_eq!(seen(&bench.saved[0]), [1, 2]);
}

/// The one before was given up by some of its senders.
#[test]
fn a_newer_checkpoint_takes_the_place_of_one_that_waits() {
    let mut bench = started(saves(2));
    bench.bar(channel(0), 1);
    bench.send_over(channel(0), say(1));
    bench.bar(channel(1), 2);
    bench.send_over(channel(1), say(2));
    bench.send_over(channel(0), say(3));
    bench.bar(channel(0), 2);
    bench.listen_until(|bench| bench.got[0].len() == 4 && !bench.saved.is_empty());
    assert_eq!(bench.got[0], [1, 3, BARRIER + 2, 2]);
    assert_eq!((bench.saved[0].checkpoint, seen(&bench.saved[0])), (2, vec![1, 3]));
    bench.end(channel(0));
    bench.end(channel(1));
    bench.complete();
}

/// A sender that had not heard that it was given up sends its barrier late.
#[test]
fn a_barrier_of_an_older_checkpoint_cuts_nothing() {
    let mut bench = started(saves(2));
    bench.bar(channel(0), 2);
    bench.bar(channel(1), 1);
    bench.send_over(channel(1), say(1));
    bench.bar(channel(1), 2);
    bench.send_over(channel(1), say(2));
    bench.listen_until(|bench| bench.got[0].len() == 3 && !bench.saved.is_empty());
    assert_eq!(bench.got[0], [1, BARRIER + 2, 2]);
    assert_eq!((bench.saved[0].checkpoint, seen(&bench.saved[0])), (2, vec![1]));
    bench.end(channel(0));
    bench.end(channel(1));
    bench.complete();
}

#[test]
fn what_is_under_way_between_peers_is_saved_with_the_checkpoint() {
    let mut bench = started(Kind { peers: true, ..saves(1) });
    bench.send_over(channel(0), say(1));
    bench.bar(channel(0), 1);
    bench.listen_until(|bench| bench.got[0].len() == 2);
    bench.send_over(peer(1), say(2));
    bench.bar(peer(0), 1);
    bench.send_over(peer(1), say(3));
    bench.bar(peer(1), 1);
    bench.send_over(peer(1), say(4));
    bench.listen_until(|bench| bench.got[0].len() == 5 && !bench.saved.is_empty());
    assert_eq!(bench.got[0], [1, BARRIER + 1, 2, 3, 4], "they are handled as well");
    assert_eq!((seen(&bench.saved[0]), flights(&bench.saved[0])), (vec![1], vec![(1, 2), (1, 3)]));
}

#[test]
fn what_a_peer_sends_behind_its_barrier_waits_for_the_own_one() {
    let mut bench = started(Kind { peers: true, ..saves(1) });
    bench.send_over(peer(1), say(1));
    bench.bar(peer(1), 1);
    bench.send_over(peer(1), say(2));
    bench.send_over(channel(0), say(3));
    bench.bar(channel(0), 1);
    bench.bar(peer(0), 1);
    bench.listen_until(|bench| bench.got[0].len() == 4 && !bench.saved.is_empty());
    assert_eq!(bench.got[0], [1, 3, BARRIER + 1, 2]);
    assert_eq!((seen(&bench.saved[0]), flights(&bench.saved[0])), (vec![1, 3], Vec::new()));
}

/// The peer has come to the next checkpoint already, because the first one was given up.
#[test]
fn what_a_peer_sends_between_two_barriers_belongs_to_the_second_checkpoint() {
    let mut bench = started(Kind { peers: true, ..saves(1) });
    bench.bar(peer(1), 1);
    bench.send_over(peer(1), say(1));
    bench.bar(peer(1), 2);
    bench.send_over(peer(1), say(2));
    bench.bar(channel(0), 1);
    bench.bar(peer(0), 1);
    bench.bar(channel(0), 2);
    bench.bar(peer(0), 2);
    bench.listen_until(|bench| bench.got[0].len() == 4 && bench.saved.len() == 2);
    assert_eq!(bench.got[0], [BARRIER + 1, 1, BARRIER + 2, 2]);
    assert_eq!((seen(&bench.saved[0]), flights(&bench.saved[0])), (Vec::new(), Vec::new()));
    assert_eq!((seen(&bench.saved[1]), flights(&bench.saved[1])), (vec![1], Vec::new()));
}

/// Others may have been told to start before it. What was under way to it when it was saved comes before what they send
/// now, and before it is saved again.
#[test]
fn what_was_under_way_comes_first_though_others_have_begun_before() {
    let kind = Kind { peers: true, flights: vec![say(1), say(2)], ..saves(1) };
    let mut bench = Bench::new(kind);
    bench.open();
    bench.send_over(peer(1), say(3));
    bench.bar(channel(0), 4);
    bench.bar(peer(0), 4);
    bench.bar(peer(1), 4);
    bench.listen_until(|bench| !bench.saved.is_empty());
    assert_eq!((seen(&bench.saved[0]), flights(&bench.saved[0])), (vec![1, 2, 3], Vec::new()));
    bench.worker.send(Message::Start);
    bench.send_over(peer(1), say(5));
    bench.listen_until(|bench| bench.got[0].len() == 5);
    assert_eq!(bench.got[0], [1, 2, 3, BARRIER + 4, 5], "and only once");
}

/// A checkpoint is given up while it is being saved, and the turn that it asked for comes when another one has been.
#[test]
fn a_turn_of_a_checkpoint_that_was_given_up_adds_nothing_to_another_one() {
    let mut bench = started(Kind { peers: true, more: 0, ..saves(1) });
    bench.bar(channel(0), 2);
    bench.worker.send(Message::Save);
    bench.bar(peer(0), 2);
    bench.bar(peer(1), 2);
    bench.listen_until(|bench| !bench.saved.is_empty());
    assert_eq!(bench.saved[0].parts.len(), 1, "{:?}", bench.saved[0].parts);
}

#[test]
fn what_is_saved_in_turns_is_saved_whole() {
    let mut bench = started(Kind { more: 3, ..saves(1) });
    bench.send_over(channel(0), say(1));
    bench.bar(channel(0), 1);
    bench.send_over(channel(0), say(2));
    bench.listen_until(|bench| !bench.saved.is_empty());
    assert_eq!((seen(&bench.saved[0]), bench.saved[0].parts.len()), (vec![1], 4));
    bench.end(channel(0));
    bench.complete();
}

/// What comes over a channel.
#[derive(Clone, Copy, Debug)]
enum Item {
    Batch(Emission),
    Barrier(u64),
}

/// What comes over a channel: batches, and barriers of so many checkpoints; and whether it ends before they have all
/// come.
fn script(checkpoints: u64) -> impl Strategy<Value = Vec<Item>> {
    let between = vec(vec((0..2usize, 0..2 * WINDOW), 0..4), checkpoints as usize + 1);
    (between, 0..2 * checkpoints).prop_map(move |(between, last)| {
        let mut items = Vec::new();
        for (checkpoint, batches) in (1..).zip(between) {
            items.extend(batches.into_iter().map(|(to, count)| Item::Batch(Emission { to, count, label: 0 })));
            if checkpoint > last {
                break;
            }
            if checkpoint <= checkpoints {
                items.push(Item::Barrier(checkpoint));
            }
        }
        items
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever comes in whatever order, with whatever credit: what is saved is what came before the barriers, and
    /// behind the barrier that is sent on comes nothing of that.
    #[test]
    fn a_checkpoint_cuts_all_channels_where_their_barriers_are(
        mut scripts in vec(script(3), 1..4),
        picks in vec((any::<prop::sample::Index>(), 0..4usize), 0..80),
    ) {
        let mut label = 0;
        for item in scripts.iter_mut().flatten() {
            if let Item::Batch(emission) = item {
                label += 1;
                emission.label = label;
            }
        }
        let mut bench = started(Kind { receivers: 2, ..saves(scripts.len()) });
        let mut left: Vec<VecDeque<Item>> = scripts.iter().map(|script| script.iter().copied().collect()).collect();
        let mut ended = BTreeSet::new();
        let send = |bench: &mut Bench, left: &mut Vec<VecDeque<Item>>, ended: &mut BTreeSet<usize>, which: usize| {
            match left[which].pop_front() {
                Some(Item::Batch(emission)) => bench.send_over(channel(which as u32), emission),
                Some(Item::Barrier(checkpoint)) => bench.bar(channel(which as u32), checkpoint),
                None if ended.insert(which) => bench.end(channel(which as u32)),
                None => {}
            }
        };
        for (which, what) in picks {
            match what {
                0 if !bench.held.is_empty() => {
                    let (_, window) = bench.held.swap_remove(which.index(bench.held.len()));
                    window.give_back(None);
                }
                1 => bench.listen(),
                _ => send(&mut bench, &mut left, &mut ended, which.index(scripts.len())),
            }
        }
        for which in 0..scripts.len() {
            while !ended.contains(&which) {
                send(&mut bench, &mut left, &mut ended, which);
            }
        }
        bench.complete();
        let has = |checkpoint: u64, script: &[Item]| {
            script.iter().any(|item| matches!(item, Item::Barrier(other) if *other == checkpoint))
        };
        let before = |checkpoint: u64| -> BTreeSet<u64> {
            let of = |script: &Vec<Item>| {
                let until = script.iter().take_while(|item| !matches!(item, Item::Barrier(at) if *at == checkpoint));
                let label = |item: &Item| if let Item::Batch(emission) = item { Some(emission.label) } else { None };
                until.filter_map(label).collect::<Vec<_>>()
            };
            scripts.iter().flat_map(of).collect()
        };
        let awaited = (1..=3u64).filter(|checkpoint| scripts.iter().any(|script| has(*checkpoint, script))).count();
        bench.listen_until(|bench| bench.saved.len() == awaited);
        for saved in &bench.saved {
            let expected = before(saved.checkpoint);
            prop_assert_eq!(seen(saved).into_iter().collect::<BTreeSet<_>>(), expected.clone());
            for got in &bench.got[..2] {
                let Some(at) = got.iter().position(|label| *label == BARRIER + saved.checkpoint) else {
                    return Err(TestCaseError::fail(format!("no barrier {} in {got:?}", saved.checkpoint)));
                };
                prop_assert!(got[..at].iter().all(|label| *label >= BARRIER || expected.contains(label)));
                prop_assert!(got[at..].iter().all(|label| *label >= BARRIER || !expected.contains(label)));
            }
        }
    }
}
