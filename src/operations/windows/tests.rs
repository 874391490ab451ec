//! Windows against what they are by definition.

mod sessions;
mod triggers;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::operations::process::Processing;
use crate::workflow::{Keyed, React, Saving, Snapshot, Timestamp};

/// A record: its time, its key, and a number that tells it apart.
type Record = (Timestamp, u8, u32);

type Results = BTreeMap<(Window, u8), Vec<u32>>;

fn milliseconds(number: i64) -> Duration {
    Duration::from_millis(number as u64)
}

/// What each window has, by definition.
fn oracle(records: &[Record], size: i64, slide: i64, offset: i64) -> Results {
    let mut results = Results::new();
    for (time, key, number) in records {
        let ends = (time + 1..=time + size).filter(|end| (end - size - offset).rem_euclid(slide) == 0);
        for end in ends {
            results.entry((Window { start: end - size, end }, *key)).or_default().push(*number);
        }
    }
    results.values_mut().for_each(|numbers| numbers.sort_unstable());
    results
}

/// What happens to an operation.
#[derive(Clone, Debug)]
enum Step {
    Record(i64, u8),
    /// Time comes as far as it may, less so much.
    Advance(i64),
    /// It goes on elsewhere with what it has saved.
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (-20i64..60, 0u8..4).prop_map(|(ahead, key)| Step::Record(ahead, key)),
        3 => (0i64..30).prop_map(Step::Advance),
        1 => Just(Step::Restore),
    ];
    vec(step, 1..120)
}

/// An operation, what it has emitted, and how far time has come.
struct Scene<O: React> {
    operation: O,
    state: O::State,
    emitted: Vec<O::Out>,
    records: Vec<Record>,
    time: Timestamp,
}

impl<R: 'static, O: React<In = Record, Out = Outcome<R, Record>>> Scene<O> {
    fn new(operation: O) -> Self {
        operation.check().expect("there are such windows");
        let state = operation.init();
        let mut scene = Scene { operation, state, emitted: Vec::new(), records: Vec::new(), time: 0 };
        scene.act(&Step::Advance(0));
        scene
    }

    fn act(&mut self, step: &Step) {
        match *step {
            Step::Record(ahead, key) => {
                let record = (self.time + ahead, key, self.records.len() as u32);
                self.records.push(record);
                self.operation.react(&mut self.state, record, &mut self.emitted).expect("accepted");
            }
            Step::Advance(by) => {
                self.time += by;
                self.operation.advance(&mut self.state, self.time, &mut self.emitted).expect("advanced");
            }
            Step::Restore => {
                let mut snapshot = Snapshot::new(1);
                while self.operation.snapshot_in_slices(&mut self.state, &mut snapshot) == Ok(Saving::More) {}
                let saved = snapshot.finish().into_saved(0).expect("saved");
                self.state = self.operation.restore(&saved).expect("restored");
                // What is empty knows no time any more.
                self.operation.advance(&mut self.state, self.time, &mut self.emitted).expect("advanced");
            }
        }
    }

    fn end(mut self) -> (Vec<Record>, Vec<O::Out>) {
        self.operation.finish(&mut self.state, &mut self.emitted).expect("finished");
        (self.records, self.emitted)
    }
}

fn keyed(windows: Windows) -> KeyedWindow<Record, u8, fn(&Record) -> u8, fn(&Record) -> i64, Collect> {
    KeyedWindow::new(|record| record.1, |record| record.0, windows, Collect)
}

fn numbers(records: &[Record]) -> Vec<u32> {
    let mut numbers: Vec<u32> = records.iter().map(|record| record.2).collect();
    numbers.sort_unstable();
    numbers
}

/// The last result of each window, the records that were late, and how often each result was given on time.
type Given = (Results, Vec<Record>, BTreeMap<(Window, u8), usize>);

fn given(emitted: Vec<Outcome<Windowed<u8, Vec<Record>>, Record>>) -> Given {
    let (mut results, mut late, mut times) = Given::default();
    for outcome in emitted {
        match outcome {
            Outcome::Result(Windowed { window, key, value, firing }) => {
                *times.entry((window, key)).or_default() += usize::from(firing == Firing::OnTime);
                results.insert((window, key), numbers(&value));
            }
            Outcome::Late(record) => late.push(record),
        }
    }
    (results, late, times)
}

proptest! {
    /// Records that are not late: each window is given once, whatever the order, however slices are merged.
    #[test]
    fn windows_have_their_records(
        (size, slide) in (1i64..40).prop_flat_map(|size| (Just(size), 1..=size)),
        offset in 0i64..20,
        steps in steps(),
    ) {
        let windows = Windows::sliding(milliseconds(size), milliseconds(slide)).offset(milliseconds(offset));
        let mut scene = Scene::new(keyed(windows));
        for step in &steps {
            // None comes before the time that has come.
            let step = if let Step::Record(ahead, key) = step { Step::Record(ahead.abs(), *key) } else { step.clone() };
            scene.act(&step);
        }
        let (records, emitted) = scene.end();
        let (results, late, times) = given(emitted);
        prop_assert_eq!(results, oracle(&records, size, slide, offset));
        prop_assert!(late.is_empty());
        prop_assert!(times.values().all(|times| *times == 1), "{:?}", times);
    }

    /// With lateness, what is given last has all that was not too late; and what was is given as late.
    #[test]
    fn late_records_count_as_long_as_windows_are_kept(
        (size, slide) in (1i64..40).prop_flat_map(|size| (Just(size), 1..=size)),
        lateness in 0i64..30,
        steps in steps(),
    ) {
        let windows = Windows::sliding(milliseconds(size), milliseconds(slide));
        let mut scene = Scene::new(keyed(windows.allowed_lateness(milliseconds(lateness))));
        let mut counted = Results::new();
        let mut too_late = Vec::new();
        for step in steps.iter().filter(|step| !matches!(step, Step::Restore)) {
            scene.act(step);
            if let (Step::Record(..), Some(record)) = (step, scene.records.last()) {
                let all = oracle(&[*record], size, slide, 0);
                // One that is a little late counts for the windows that are still there.
                let open: Vec<_> = all.into_keys().filter(|(window, _)| window.end + lateness > scene.time).collect();
                if open.is_empty() {
                    too_late.push(*record);
                }
                open.into_iter().for_each(|window| counted.entry(window).or_default().push(record.2));
            }
        }
        let (results, late, times) = given(scene.end().1);
        prop_assert_eq!(results, counted);
        prop_assert_eq!(late, too_late);
        prop_assert!(times.values().all(|times| *times <= 1), "{:?}", times);
    }

    /// Sessions are what records come to that have less than the gap between them.
    #[test]
    fn sessions_have_their_records(gap in 1i64..20, steps in steps()) {
        let (key, time): (fn(&Record) -> u8, fn(&Record) -> i64) = (|record| record.1, |record| record.0);
        let mut scene = Scene::new(Processing::new(SessionWindow::new(key, time, milliseconds(gap), Collect)));
        for step in &steps {
            let step = if let Step::Record(ahead, key) = step { Step::Record(ahead.abs(), *key) } else { step.clone() };
            scene.act(&step);
        }
        let (records, emitted) = scene.end();
        let (results, late, times) = given(emitted);
        let mut sessions = Results::new();
        for key in 0..4 {
            let mut of_key: Vec<Record> = records.iter().filter(|record| record.1 == key).copied().collect();
            of_key.sort_unstable();
            for session in of_key.chunk_by(|a, b| b.0 - a.0 < gap) {
                if let (Some(first), Some(last)) = (session.first(), session.last()) {
                    sessions.insert((Window { start: first.0, end: last.0 + gap }, key), numbers(session));
                }
            }
        }
        prop_assert_eq!(results, sessions);
        prop_assert!(late.is_empty() && times.values().all(|times| *times == 1));
    }
}

#[test]
fn results_are_given_early_as_far_as_they_have_come() {
    let windows = Windows::tumbling(milliseconds(10)).early_every(milliseconds(4));
    let mut scene = Scene::new(keyed(windows));
    let steps = [Step::Record(1, 7), Step::Advance(4), Step::Record(1, 7), Step::Advance(4), Step::Advance(5)];
    steps.iter().for_each(|step| scene.act(step));
    let firings = |outcome: &Outcome<Windowed<u8, Vec<Record>>, Record>| match outcome {
        Outcome::Result(result) => Some((result.firing, result.value.len())),
        Outcome::Late(_) => None,
    };
    let firings: Vec<_> = scene.emitted.iter().filter_map(firings).collect();
    assert_eq!(firings, [(Firing::Early, 1), (Firing::Early, 2), (Firing::OnTime, 2)]);
}

#[test]
fn a_far_jump_of_time_costs_nothing() {
    let mut scene = Scene::new(keyed(Windows::sliding(Duration::from_secs(60), milliseconds(1))));
    scene.act(&Step::Record(5, 1));
    scene.act(&Step::Advance(1_000_000_000_000));
    scene.act(&Step::Record(1_000_000_000_000, 1));
    let (_, emitted) = scene.end();
    assert_eq!(emitted.len(), 2 * 60_000);
}

/// The key of a record is found by what it is, and not by how its operation is built.
#[test]
fn keys_are_those_of_records() {
    assert_eq!(keyed(Windows::tumbling(milliseconds(5))).key(&(3, 9, 0)), 9);
}
