//! Joins against what they are by definition.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::operations::process::Processing;
use crate::operations::windows::{Outcome, Windowed, Windows};
use crate::workflow::{React, Saving, Snapshot, Timestamp};

/// A record: its time, its key, and a number that tells it apart.
type Record = (Timestamp, u8, u32);

/// What happens: a record of one side that is so far ahead of time, time passes, or it goes on elsewhere.
#[derive(Clone, Debug)]
enum Step {
    Record { left: bool, ahead: i64, key: u8 },
    Advance(i64),
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<bool>(), 0i64..40, 0u8..3).prop_map(|(left, ahead, key)| Step::Record { left, ahead, key }),
        3 => (0i64..25).prop_map(Step::Advance),
        1 => Just(Step::Restore),
    ];
    vec(step, 1..100)
}

fn kind() -> impl Strategy<Value = JoinKind> {
    prop_oneof![Just(JoinKind::Inner), Just(JoinKind::Left), Just(JoinKind::Outer)]
}

/// Does what the steps say; gives the records of both sides, and what was emitted.
fn act<O>(operation: &O, steps: &[Step]) -> (Vec<Record>, Vec<Record>, Vec<O::Out>)
where
    O: React<In = Either<Record, Record>>,
{
    let (mut lefts, mut rights, mut emitted) = (Vec::new(), Vec::new(), Vec::new());
    let (mut state, mut time) = (operation.init(), 0);
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Record { left, ahead, key } => {
                let record = (time + ahead, key, number as u32);
                let side = if left { &mut lefts } else { &mut rights };
                side.push(record);
                let record = if left { Either::Left(record) } else { Either::Right(record) };
                operation.react(&mut state, record, &mut emitted).expect("accepted");
            }
            Step::Advance(by) => {
                time += by;
                operation.advance(&mut state, time, &mut emitted).expect("advanced");
            }
            Step::Restore => {
                let mut snapshot = Snapshot::new(1);
                while operation.snapshot_in_slices(&mut state, &mut snapshot) == Ok(Saving::More) {}
                let saved = snapshot.finish().into_saved(0).expect("saved");
                state = operation.restore(&saved).expect("restored");
            }
        }
    }
    operation.finish(&mut state, &mut emitted).expect("finished");
    (lefts, rights, emitted)
}

/// All that a join of this kind gives, where `fits` says who are a pair.
fn oracle(
    lefts: &[Record],
    rights: &[Record],
    kind: JoinKind,
    fits: impl Fn(&Record, &Record) -> bool,
) -> Vec<Joined<Record, Record>> {
    let mut all = Vec::new();
    for left in lefts {
        all.extend(rights.iter().filter(|right| fits(left, right)).map(|right| Joined::Both(*left, *right)));
        if kind != JoinKind::Inner && !rights.iter().any(|right| fits(left, right)) {
            all.push(Joined::Left(*left));
        }
    }
    for right in rights {
        if kind == JoinKind::Outer && !lefts.iter().any(|left| fits(left, right)) {
            all.push(Joined::Right(*right));
        }
    }
    all.sort_unstable();
    all
}

proptest! {
    #[test]
    fn an_interval_join_gives_all_that_are_near(
        (before, after) in (0i64..20, 0i64..20),
        kind in kind(),
        steps in steps(),
    ) {
        let milliseconds = |number: i64| Duration::from_millis(number as u64);
        let interval = Interval::new(milliseconds(before), milliseconds(after)).kind(kind);
        let (key, time): (fn(&Record) -> u8, fn(&Record) -> i64) = (|record| record.1, |record| record.0);
        let join = Processing::new(IntervalJoin::new((key, key), (time, time), interval));
        let (lefts, rights, mut emitted) = act(&join, &steps);
        emitted.sort_unstable();
        let near = |left: &Record, right: &Record| {
            left.1 == right.1 && (left.0 - before..=left.0 + after).contains(&right.0)
        };
        prop_assert_eq!(emitted, oracle(&lefts, &rights, kind, near));
    }

    #[test]
    fn a_window_join_gives_all_of_a_window(size in 1u64..30, kind in kind(), steps in steps()) {
        let key = |record: &Either<Record, Record>| match record { Either::Left(one) | Either::Right(one) => one.1 };
        let time = |record: &Either<Record, Record>| match record { Either::Left(one) | Either::Right(one) => one.0 };
        let join = WindowJoin::new(key, time, Windows::tumbling(Duration::from_millis(size)), kind);
        let (lefts, rights, emitted) = act(&join, &steps);
        let mut emitted: Vec<_> = emitted.into_iter().map(|given| match given {
            Outcome::Result(Windowed { value, .. }) => value,
            Outcome::Late(record) => panic!("{record:?} was late"),
        }).collect();
        emitted.sort_unstable();
        let together = |left: &Record, right: &Record| {
            left.1 == right.1 && left.0.div_euclid(size as i64) == right.0.div_euclid(size as i64)
        };
        prop_assert_eq!(emitted, oracle(&lefts, &rights, kind, together));
    }
}

#[test]
fn a_table_may_forget() {
    let lookup = Lookup::new(|n: &u64| *n, |(key, value): (u64, Option<char>)| (key, value));
    let (mut table, mut emitted) = (lookup.init(), Vec::new());
    let changes = [Either::Left(1), Either::Right((1, Some('a'))), Either::Left(1), Either::Right((1, None))];
    for record in changes.into_iter().chain([Either::Left(1)]) {
        lookup.react(&mut table, record, &mut emitted).expect("accepted");
    }
    assert_eq!(emitted, [(1, None), (1, Some('a')), (1, None)]);
}
