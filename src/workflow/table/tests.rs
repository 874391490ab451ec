//! A snapshot is the table as it was, whatever happens to it meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::codec::key_group;
use crate::id::{Part, VertexId};
use crate::workflow::{Earlier, Finished};

#[test]
fn a_table_keeps_the_values_of_many_keys() {
    let mut table = KeyedTable::new();
    for _ in 0..3 {
        for key in 0..20_000u64 {
            let hash = stable_hash(&key);
            match table.find_key(hash, |other| *other == key) {
                Some((_, count)) => *count += 1,
                None => assert_eq!(table.insert(hash, key, 1), (&key, &mut 1)),
            }
        }
    }
    assert_eq!(table.len(), 20_000);
    assert_eq!(table.iter_mut().filter(|(_, count)| **count == 3).count(), 20_000);
    let taken: HashMap<u64, i32> = table.drain().collect();
    assert_eq!(taken, (0..20_000).map(|key| (key, 3)).collect());
    assert!(table.is_empty() && table.find(stable_hash(&7u64), |_| true).is_none());
}

#[test]
fn keys_with_one_hash_are_different_keys() {
    let mut table = KeyedTable::new();
    table.insert(1, "a", 10);
    table.insert(1, "b", 20);
    assert_eq!(table.find(1, |key| *key == "a"), Some(&mut 10));
    assert_eq!(table.find_key(1, |key| *key == "b"), Some((&"b", &mut 20)));
    assert_eq!(table.find(1, |key| *key == "c"), None);
}

/// The bytes of groups, as a store has them.
#[derive(Default)]
struct Kept {
    /// By checkpoint.
    complete: BTreeMap<u64, BTreeMap<Part, Vec<u8>>>,
    earlier: Option<Arc<Earlier>>,
}

impl Kept {
    fn begin(&self, checkpoint: u64) -> Snapshot {
        let mut snapshot = match &self.earlier {
            Some(earlier) => Snapshot::after(checkpoint, Arc::clone(earlier)),
            None => Snapshot::new(checkpoint),
        };
        snapshot.of(VertexId(1));
        snapshot
    }

    fn complete(&mut self, snapshot: Snapshot) -> usize {
        let (base, checkpoint) = (snapshot.base(), snapshot.checkpoint());
        let Finished { parts, kept, earlier, .. } = snapshot.finish();
        let written = parts.len();
        let written_now = parts.into_iter().map(|(_, part, pieces)| (part, pieces.concat()));
        let mut all: BTreeMap<Part, Vec<u8>> = written_now.collect();
        for (_, part) in kept {
            let old = base.and_then(|base| self.complete.get(&base)?.get(&part));
            all.insert(part, old.expect("what is kept is there").clone());
        }
        self.complete.insert(checkpoint, all);
        self.earlier = Some(Arc::new(earlier));
        written
    }

    fn restore<K: Record + Hash + Ord, V: Record>(&self, checkpoint: u64) -> BTreeMap<K, V> {
        let parts = self.complete[&checkpoint].iter().map(|(part, bytes)| (*part, Bytes::from(bytes.clone())));
        let mut table = KeyedTable::restore(&Saved::new(parts.collect(), 0)).expect("what was saved");
        table.drain().collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Adds a number to the values of so many keys from this one on.
    Add(u64, u64, u64),
    /// Removes so many keys from this one on.
    Remove(u64, u64),
    Drain,
    /// Adds 1 to all values.
    All,
    /// Begins with a checkpoint.
    Begin,
    /// Saves so many slices.
    Slices(usize),
    /// What was begun is given up.
    GiveUp,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0u64..2_000, 1u64..1_500, any::<u64>()).prop_map(|(from, many, add)| Step::Add(from, many, add)),
        8 => (0u64..2_000, 1u64..30, any::<u64>()).prop_map(|(from, many, add)| Step::Add(from, many, add)),
        3 => (0u64..2_000, 1u64..30).prop_map(|(from, many)| Step::Remove(from, many)),
        1 => (0u64..2_000, 1u64..3_000).prop_map(|(from, many)| Step::Remove(from, many)),
        1 => Just(Step::Drain),
        1 => Just(Step::All),
        4 => Just(Step::Begin),
        8 => (1usize..4).prop_map(Step::Slices),
        1 => Just(Step::GiveUp),
    ];
    prop::collection::vec(step, 1..40)
}

/// Goes through the steps beside a model, of which a clone is what a snapshot should be.
fn follow<V: Record + Clone + PartialEq + std::fmt::Debug>(
    steps: Vec<Step>,
    first: impl Fn(u64) -> V,
    add: impl Fn(&mut V, u64),
) -> Result<(), TestCaseError> {
    let mut table = KeyedTable::<u64, V>::new();
    let mut model = BTreeMap::<u64, V>::new();
    let mut kept = Kept::default();
    let mut under_way: Option<(Snapshot, BTreeMap<u64, V>)> = None;
    let mut checkpoint = 0;
    for step in steps.into_iter().chain([Step::Begin, Step::Slices(usize::MAX)]) {
        match step {
            Step::Add(from, many, number) => {
                for key in from..from + many {
                    let hash = stable_hash(&key);
                    match table.find(hash, |other| *other == key) {
                        Some(value) => add(value, number),
                        None => drop(table.insert(hash, key, first(number))),
                    }
                    model.entry(key).and_modify(|value| add(value, number)).or_insert_with(|| first(number));
                }
            }
            Step::Remove(from, many) => {
                for key in from..from + many {
                    let removed = table.remove(stable_hash(&key), |other| *other == key);
                    prop_assert_eq!(removed.map(|(_, value)| value), model.remove(&key));
                }
            }
            Step::Drain => {
                let drained: BTreeMap<u64, V> = table.drain().collect();
                prop_assert_eq!(&drained, &model);
                model.clear();
            }
            Step::All => {
                table.iter_mut().for_each(|(_, value)| add(value, 1));
                model.values_mut().for_each(|value| add(value, 1));
            }
            Step::Begin => {
                checkpoint += 1;
                let mut snapshot = kept.begin(checkpoint);
                let clone = model.clone();
                if table.snapshot(&mut snapshot).expect("it can be written") == Saving::Done {
                    kept.complete(snapshot);
                    prop_assert_eq!(kept.restore::<u64, V>(checkpoint), clone);
                    under_way = None;
                } else {
                    under_way = Some((snapshot, clone));
                }
            }
            Step::Slices(slices) => {
                for _ in 0..slices {
                    let Some((mut snapshot, clone)) = under_way.take() else { break };
                    if table.snapshot(&mut snapshot).expect("it can be written") == Saving::Done {
                        let checkpoint = snapshot.checkpoint();
                        kept.complete(snapshot);
                        prop_assert_eq!(kept.restore::<u64, V>(checkpoint), clone);
                    } else {
                        under_way = Some((snapshot, clone));
                    }
                }
            }
            Step::GiveUp => under_way = None,
        }
        prop_assert_eq!(table.len(), model.len());
    }
    prop_assert_eq!(&table.iter().cloned().collect::<BTreeMap<u64, V>>(), &model);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_snapshot_is_the_table_as_it_was(steps in steps()) {
        follow(steps, |number| number, |value, number| *value = value.wrapping_add(number))?;
    }

    #[test]
    fn a_snapshot_of_text_is_the_table_as_it_was(steps in steps()) {
        follow(steps, |number| (number % 9).to_string(), |value, number| *value = format!("{number}"))?;
    }
}

fn table_of(keys: std::ops::Range<u64>) -> KeyedTable<u64, u64> {
    let mut table = KeyedTable::new();
    for key in keys {
        table.insert(stable_hash(&key), key, key + 1);
    }
    table
}

fn save_all<K: Record + Hash, V: Record>(table: &mut KeyedTable<K, V>, mut snapshot: Snapshot) -> Snapshot {
    while table.snapshot(&mut snapshot).expect("it can be written") == Saving::More {}
    snapshot
}

#[test]
fn what_has_not_changed_is_saved_once() {
    let (mut table, mut kept) = (table_of(0..20_000), Kept::default());
    let snapshot = save_all(&mut table, kept.begin(1));
    assert_eq!(kept.complete(snapshot), 1024);
    for key in 0..3u64 {
        *table.find(stable_hash(&key), |other| *other == key).expect("it is there") = 77;
    }
    // A checkpoint that is never completed loses no change.
    save_all(&mut table, kept.begin(2));
    let snapshot = save_all(&mut table, kept.begin(3));
    assert_eq!(kept.complete(snapshot), 3);
    let expected = (0..20_000).map(|key| (key, if key < 3 { 77 } else { key + 1 }));
    assert_eq!(kept.restore::<u64, u64>(3), expected.collect());
    let snapshot = save_all(&mut table, kept.begin(4));
    assert_eq!(kept.complete(snapshot), 0);
    assert_eq!(table.len(), 20_000);
    // When all is touched, nothing is noted any more.
    for key in 0..20_000u64 {
        table.find(stable_hash(&key), |other| *other == key).expect("it is there");
    }
    assert_eq!((table.aside, table.table.len()), (0, 20_000));
    let snapshot = save_all(&mut table, kept.begin(5));
    assert_eq!(kept.complete(snapshot), 1024);
}

fn group_of<K: Record + Hash, V: Record>(key: K, value: V) -> Vec<u8> {
    let mut table = KeyedTable::new();
    table.insert(stable_hash(&key), key, value);
    let mut snapshot = Snapshot::new(1);
    snapshot.of(VertexId(1));
    let parts = save_all(&mut table, snapshot).finish().parts;
    parts.into_iter().map(|(_, _, pieces)| pieces.concat()).next().expect("a group")
}

#[test]
fn the_bytes_of_a_group_are_pinned() {
    assert_eq!(group_of(258u64, 3u64), [1, 1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    let pair = [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(group_of(1u64, (2u64, 3u64)), pair);
    assert_eq!(group_of("to".to_owned(), 300u64), [0, 1, 0, 0, 0, 2, b't', b'o', 172, 2]);
    assert_eq!(group_of(7u64, Some(1u8)), [0, 1, 0, 0, 0, 7, 1, 1]);
}

#[test]
fn bytes_of_something_else_are_refused() {
    let restore = |bytes: &[u8]| {
        let group = Part::Group(key_group(stable_hash(&1u64)));
        let parts = [(group, Bytes::copy_from_slice(bytes))].into_iter().collect();
        KeyedTable::<u64, u64>::restore(&Saved::new(parts, 0)).map(|table| table.len())
    };
    let good = group_of(1u64, 2u64);
    assert_eq!(restore(&good), Ok(1));
    // Postcard is read, whatever is written.
    assert_eq!(restore(&[0, 1, 0, 0, 0, 1, 2]), Ok(1));
    assert!(restore(&good[..good.len() - 1]).is_err());
    assert!(restore(&[]).is_err() && restore(&[1, 0]).is_err());
    assert!(restore(&[2, 1, 0, 0, 0, 1, 2]).is_err(), "a form of a later version");
    assert!(restore(&[0, 2, 0, 0, 0, 1, 2]).is_err(), "another number of keys");
}
