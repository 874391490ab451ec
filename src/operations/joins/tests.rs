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

/// A record that is kept: since when, if that is known, and whether it has been in a pair.
type Held = (Option<Timestamp>, Record, bool);

/// A join that forgets, by definition: all that is kept is looked through each time.
fn expiring_oracle(steps: &[Step], time_to_live: i64, kind: JoinKind) -> Vec<Joined<Record, Record>> {
    let (mut sides, mut all): ([Vec<Held>; 2], Vec<_>) = Default::default();
    let (mut time, mut known) = (0, None);
    let alone = |left: bool, record| match (left, kind) {
        (true, JoinKind::Left | JoinKind::Outer) => Some(Joined::Left(record)),
        (false, JoinKind::Outer) => Some(Joined::Right(record)),
        _ => None,
    };
    let forget = |sides: &mut [Vec<Held>; 2], is_over: &dyn Fn(Timestamp) -> bool, all: &mut Vec<_>| {
        for (side, left) in sides.iter_mut().zip([true, false]) {
            let over = side.extract_if(.., |(came, ..)| came.is_some_and(is_over));
            all.extend(over.filter(|(.., joined)| !joined).filter_map(|(_, record, _)| alone(left, record)));
        }
    };
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Record { left, ahead, key } => {
                let record = (time + ahead, key, number as u32);
                let [lefts, rights] = &mut sides;
                let (own, others) = if left { (lefts, rights) } else { (rights, lefts) };
                let mut joined = false;
                for (_, other, has_joined) in others.iter_mut().filter(|(_, other, _)| other.1 == key) {
                    (joined, *has_joined) = (true, true);
                    all.push(if left { Joined::Both(record, *other) } else { Joined::Both(*other, record) });
                }
                own.push((known, record, joined));
            }
            Step::Advance(by) => {
                time += by;
                known = Some(time);
                sides.iter_mut().flatten().for_each(|(came, ..)| *came = came.or(known));
                forget(&mut sides, &|came| came + time_to_live < time, &mut all);
            }
            Step::Restore => {}
        }
    }
    sides.iter_mut().flatten().for_each(|(came, ..)| *came = came.or(Some(0)));
    forget(&mut sides, &|_| true, &mut all);
    all.sort_unstable();
    all
}

proptest! {
    #[test]
    fn an_expiring_join_forgets(time_to_live in 0i64..60, kind in kind(), steps in steps()) {
        let key: fn(&Record) -> u8 = |record| record.1;
        let join = ExpiringJoin::new((key, key), Duration::from_millis(time_to_live as u64), kind);
        let (_, _, mut emitted) = act(&Processing::new(join), &steps);
        emitted.sort_unstable();
        prop_assert_eq!(emitted, expiring_oracle(&steps, time_to_live, kind));
    }

    /// Against a map; what is over is not found, and most of what is forgotten is gone.
    #[test]
    fn a_table_forgets(
        time_to_live in prop::option::of(0i64..60),
        steps in vec(prop_oneof![
            4 => (0u64..400, any::<bool>()).prop_map(|(key, forgets)| (Some(key), forgets, 0)),
            1 => (0i64..20).prop_map(|by| (None, false, by)),
        ], 1..1200),
    ) {
        let update = |(key, value): (u64, Option<usize>)| (key, value);
        match time_to_live {
            None => table_forgets(&Lookup::new(|n: &u64| *n, update), i64::MAX / 2, &steps)?,
            Some(life) => {
                let life_of = Duration::from_millis(life as u64);
                table_forgets(&Lookup::expiring(|n: &u64| *n, update, life_of), life, &steps)?;
            }
        }
    }
}

fn table_forgets<KF, UF, const EXPIRES: bool>(
    lookup: &Lookup<u64, (u64, Option<usize>), u64, usize, KF, UF, EXPIRES>,
    time_to_live: i64,
    steps: &[(Option<u64>, bool, i64)],
) -> Result<(), TestCaseError>
where
    KF: Fn(&u64) -> u64 + Clone + Send + Sync + 'static,
    UF: Fn((u64, Option<usize>)) -> (u64, Option<usize>) + Clone + Send + Sync + 'static,
{
    let (mut table, mut emitted) = (lookup.init(), Vec::new());
    let mut model = std::collections::BTreeMap::new();
    let mut time = 0;
    lookup.advance(&mut table, time, &mut emitted).expect("advanced");
    for (number, (key, forgets, by)) in steps.iter().enumerate() {
        match key {
            Some(key) => {
                let value = (!forgets).then_some(number);
                lookup.react(&mut table, Either::Right((*key, value)), &mut emitted).expect("accepted");
                let _ = match value {
                    Some(value) => model.insert(*key, (value, time + time_to_live)),
                    None => model.remove(key),
                };
                lookup.react(&mut table, Either::Left(number as u64 % 400), &mut emitted).expect("accepted");
                let expected = model.get(&(number as u64 % 400)).map(|(value, _)| *value);
                prop_assert_eq!(emitted.pop(), Some((number as u64 % 400, expected)));
            }
            None if *by == 0 => {
                let mut snapshot = Snapshot::new(1);
                while lookup.snapshot_in_slices(&mut table, &mut snapshot) == Ok(Saving::More) {}
                let saved = snapshot.finish().into_saved(0).expect("saved");
                table = lookup.restore(&saved).expect("restored");
                lookup.advance(&mut table, time, &mut emitted).expect("advanced");
            }
            None => {
                time += by;
                lookup.advance(&mut table, time, &mut emitted).expect("advanced");
                model.retain(|_, (_, until)| *until >= time);
            }
        }
        let most = 2 * model.len() + 64 + if EXPIRES { 400 } else { 0 };
        prop_assert!(table.kept() <= most);
    }
    if EXPIRES {
        time += time_to_live * 2 + 1;
        lookup.advance(&mut table, time, &mut emitted).expect("advanced");
        prop_assert_eq!(table.kept(), 0);
    }
    Ok(())
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
