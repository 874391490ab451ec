//! Checkpoints of a worker that is told not to wait.

use super::alignment::{saves, say, started};
use super::bench::{BARRIER, Bench, channel};
use super::saved::{flights, seen};
use super::*;

/// A worker whose receiver has taken all that it may, and which has one batch more to send.
fn blocked(channels: usize) -> Bench {
    let mut bench = started(saves(channels));
    let sent = WINDOW as u64 + 1;
    (1..=sent).for_each(|label| bench.send_over(channel(0), say(label)));
    bench.listen_until(|bench| bench.got[0].len() == WINDOW);
    bench
}

fn resume(bench: &mut Bench) {
    bench.held.drain(..).for_each(|(_, window)| window.give_back(None));
}

#[test]
fn what_waits_is_saved_and_handled_later() {
    let mut bench = blocked(2);
    // What waits before the barriers, and behind one.
    bench.send_over(channel(0), say(11));
    bench.send_over(channel(1), say(12));
    bench.bar(channel(0), 1);
    bench.send_over(channel(0), say(13));
    bench.hurry(1);
    bench.send_over(channel(1), say(14));
    bench.bar(channel(1), 1);
    bench.send_over(channel(1), say(15));
    bench.listen_until(|bench| !bench.saved.is_empty());
    let handled: Vec<u64> = (1..=WINDOW as u64 + 1).collect();
    assert_eq!(seen(&bench.saved[0]), handled);
    assert_eq!(flights(&bench.saved[0]), [(0, 11), (1, 12), (1, 14)]);
    // Of what is handled, and of what is saved, senders have their credit.
    assert_eq!(bench.window.free(), handled.len() + 3);
    // Another one is complete in the usual way.
    bench.bar(channel(0), 2);
    bench.bar(channel(1), 2);
    while bench.saved.len() < 2 {
        resume(&mut bench);
        let got = bench.got[0].len();
        bench.listen_until(|bench| bench.got[0].len() > got || bench.saved.len() == 2);
    }
    let all = [handled, vec![11, 12, 13, 14, 15]].concat();
    assert_eq!((seen(&bench.saved[1]), flights(&bench.saved[1])), (all.clone(), Vec::new()));
    bench.end(channel(0));
    bench.end(channel(1));
    bench.complete();
    let labels: Vec<u64> = bench.got[0].iter().copied().filter(|label| *label < BARRIER).collect();
    assert_eq!(labels, all, "once and in order");
    let barrier = bench.got[0].iter().position(|label| *label == BARRIER + 1).expect("it was sent on");
    assert_eq!(barrier, WINDOW + 1, "behind all that was handled, and nothing else");
}

#[test]
fn an_end_that_waits_stands_for_a_barrier() {
    let mut bench = blocked(2);
    bench.send_over(channel(1), say(11));
    bench.end(channel(1));
    bench.hurry(1);
    bench.end(channel(0));
    bench.listen_until(|bench| !bench.saved.is_empty());
    assert_eq!(flights(&bench.saved[0]), [(1, 11)]);
    assert!(!bench.saved[0].finished);
    bench.complete();
}

#[test]
fn what_was_held_back_for_alignment_is_not_saved() {
    let mut bench = started(saves(2));
    bench.bar(channel(0), 1);
    bench.send_over(channel(0), say(1));
    bench.send_over(channel(1), say(2));
    bench.listen_until(|bench| bench.got[0].len() == 1);
    bench.hurry(1);
    bench.send_over(channel(1), say(3));
    bench.bar(channel(1), 1);
    bench.listen_until(|bench| !bench.saved.is_empty() && bench.got[0].len() == 4);
    assert_eq!((seen(&bench.saved[0]), flights(&bench.saved[0])), (vec![2], vec![(1, 3)]));
    assert_eq!(bench.got[0], [2, BARRIER + 1, 1, 3]);
    // It has saved that one.
    bench.hurry(1);
    bench.end(channel(0));
    bench.end(channel(1));
    bench.complete();
    assert_eq!(bench.saved.len(), 1);
}
