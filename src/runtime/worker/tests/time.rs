//! Watermarks in a worker: merged, in line with batches, and with credit.

use super::alignment::{saves, say, started};
use super::bench::{BARRIER, Bench, Kind, TIME, channel};
use super::saved::{flights, seen};
use super::told::Emission;
use super::*;

fn at(time: Timestamp) -> Watermark {
    Watermark::At(time)
}

/// Ends its senders, and gives what its receiver has got.
fn got(mut bench: Bench, channels: u32) -> Vec<u64> {
    (0..channels).for_each(|number| bench.end(channel(number)));
    bench.complete();
    bench.got.remove(0).into_iter().filter(|label| *label != BARRIER + 1).collect()
}

#[test]
fn time_is_that_of_the_sender_that_is_most_behind() {
    let mut bench = started(plain(3, 1));
    bench.tell(channel(0), at(5));
    bench.tell(channel(1), at(7));
    bench.send_over(channel(0), say(1));
    bench.tell(channel(2), at(3));
    bench.send_over(channel(1), say(2));
    bench.tell(channel(2), Watermark::Idle);
    bench.tell(channel(0), at(6));
    bench.end(channel(0));
    bench.send_over(channel(1), say(3));
    bench.end(channel(1));
    bench.end(channel(2));
    bench.complete();
    // It is short of credit after the first four, so that a later time may stand for an earlier one.
    bench.got[0].retain(|label| !(TIME + 5..TIME + 7).contains(label));
    assert_eq!(bench.got[0], [1, TIME + 3, 2, TIME + 7, 3]);
}

#[test]
fn who_is_short_of_credit_tells_the_latest_time() {
    let mut bench = started(plain(1, 1));
    for time in 1..=2 * WINDOW as Timestamp {
        bench.tell(channel(0), at(time));
    }
    bench.listen_until(|bench| bench.got[0].len() == WINDOW);
    let all = got(bench, 1);
    let first = (1..=WINDOW as u64).map(|time| TIME + time);
    assert!(all.iter().copied().zip(first).all(|(got, first)| got == first), "{all:?}");
    assert_eq!(all.last(), Some(&(TIME + 2 * WINDOW as u64)));
}

/// A watermark that stands behind a barrier is not known to the checkpoint, nor is one that stands before it lost.
#[test]
fn watermarks_stand_in_line_with_barriers() {
    let mut bench = started(saves(2));
    bench.tell(channel(0), at(2));
    bench.tell(channel(1), at(1));
    bench.bar(channel(0), 1);
    bench.tell(channel(0), at(9));
    bench.tell(channel(1), at(5));
    bench.send_over(channel(1), say(1));
    bench.bar(channel(1), 1);
    bench.listen_until(|bench| !bench.saved.is_empty());
    assert_eq!(seen(&bench.saved[0]), [TIME + 1, TIME + 2, 1]);
    assert_eq!(got(bench, 2), [TIME + 1, TIME + 2, 1, TIME + 5]);
}

/// Nothing is saved of those that it takes in ahead, and they count later.
#[test]
fn watermarks_may_be_taken_in_ahead() {
    let mut bench = started(saves(1));
    let sent = WINDOW as u64 + 1;
    (1..=sent).for_each(|label| bench.send_over(channel(0), say(label)));
    bench.listen_until(|bench| bench.got[0].len() == WINDOW);
    bench.tell(channel(0), at(4));
    bench.send_over(channel(0), say(11));
    bench.hurry(1);
    bench.bar(channel(0), 1);
    bench.listen_until(|bench| !bench.saved.is_empty());
    assert_eq!(flights(&bench.saved[0]), [(0, 11)]);
    let all = got(bench, 1);
    assert_eq!(all[sent as usize..], [TIME + 4, 11]);
}

/// What it would emit by the clock has to wait, too; nor is it forgotten.
#[test]
fn who_is_short_of_credit_is_told_of_the_clock_later() {
    let mut bench = started(Kind { follows_clock: true, ..plain(1, 1) });
    bench.send_over(channel(0), Emission { to: 0, count: WINDOW + 2, label: 1 });
    bench.send_over(channel(0), say(2));
    bench.listen_until(|bench| bench.got[0].len() == WINDOW);
    bench.worker.send(Message::Probe { round: 1 });
    bench.listen_until(|bench| bench.probed == 1);
    let before = bench.calls.tick.load(Ordering::SeqCst);
    (0..20).for_each(|_| bench.worker.send(Message::Tick));
    bench.worker.send(Message::Probe { round: 2 });
    bench.listen_until(|bench| bench.probed == 2);
    assert_eq!(bench.calls.tick.load(Ordering::SeqCst), before);
    let calls = Arc::clone(&bench.calls);
    assert_eq!(got(bench, 1), [vec![1; WINDOW + 2], vec![2]].concat());
    assert!(calls.tick.load(Ordering::SeqCst) >= before + 20);
}
