//! The table against a plain one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::id::VertexId;
use crate::workflow::KeyedTable;

/// Memory for some 200 keys.
const MEMORY: usize = 1 << 14;

/// A key, all of which have one of few hashes: as if different keys had the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
struct Clashing(u32);

impl Hash for Clashing {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.0 % 97).hash(state);
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Adds a number to the values of so many keys from this one on.
    Add(u32, u32, u64),
    /// Removes so many keys from this one on.
    Remove(u32, u32),
    /// Lets what is in memory be written.
    Write,
    /// Waits until it is.
    Wait,
    /// Begins a snapshot, or, if there is one, ends it and goes on with it if that is true.
    Snapshot(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u32..400, 1u32..80, any::<u64>()).prop_map(|(from, count, by)| Step::Add(from, count, by)),
        2 => (0u32..400, 1u32..80).prop_map(|(from, count)| Step::Remove(from, count)),
        2 => Just(Step::Write),
        1 => Just(Step::Wait),
        2 => any::<bool>().prop_map(Step::Snapshot),
    ]
}

fn add<K: Record + Hash + Eq + Clone>(table: &mut DiskTable<K, String>, key: &K, by: u64) {
    let hash = stable_hash(key);
    let value = match table.find(hash, |other| other == key).expect("a disk") {
        Some(value) => value,
        None => table.insert(hash, key.clone(), "0".to_owned()),
    };
    *value = value.parse::<u64>().expect("a number").wrapping_add(by).to_string();
}

fn contents<K: Record + Hash + Eq + Ord, V: Record>(mut table: DiskTable<K, V>) -> BTreeMap<K, V> {
    let (mut all, keys) = (BTreeMap::new(), table.len());
    let show = |key, value| {
        assert!(all.insert(key, value).is_none(), "a key came twice");
        Ok(())
    };
    table.drain(show).expect("a disk");
    assert_eq!(all.len(), keys);
    assert!(table.is_empty());
    all
}

fn begin(checkpoint: u64) -> Snapshot {
    let mut snapshot = Snapshot::new(checkpoint);
    snapshot.of(VertexId(1));
    snapshot
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn it_is_a_table_whatever_is_written_and_saved_meanwhile(steps in prop::collection::vec(step(), 1..40)) {
        // So little memory that it is written often.
        let mut table = DiskTable::new(Some(MEMORY));
        let mut model: BTreeMap<Clashing, String> = BTreeMap::new();
        let mut saved: Option<(Snapshot, BTreeMap<Clashing, String>)> = None;
        for (number, step) in (1..).zip(steps) {
            match step {
                Step::Add(from, count, by) => {
                    for key in (from..from + count).map(Clashing) {
                        add(&mut table, &key, by);
                        let value = model.entry(key).or_insert_with(|| "0".to_owned());
                        *value = value.parse::<u64>().expect("a number").wrapping_add(by).to_string();
                    }
                }
                Step::Remove(from, count) => {
                    for key in (from..from + count).map(Clashing) {
                        let removed = table.remove(stable_hash(&key), |other| *other == key).expect("a disk");
                        prop_assert_eq!(removed.map(|(_, value)| value), model.remove(&key));
                    }
                }
                Step::Write => table.freeze(|| {}).expect("a disk"),
                Step::Wait => table.wait().expect("a disk"),
                Step::Snapshot(go_on) => match saved.take() {
                    None => {
                        let mut snapshot = begin(number);
                        prop_assert_eq!(table.snapshot(&mut snapshot), Ok(Saving::Done));
                        saved = Some((snapshot, model.clone()));
                    }
                    Some((snapshot, then)) => {
                        let restored = snapshot.finish().into_saved(0).expect("a disk");
                        if go_on {
                            table = DiskTable::restore(&restored, Some(MEMORY)).expect("what was saved");
                            model = then;
                        } else {
                            let table = DiskTable::restore(&restored, None).expect("what was saved");
                            prop_assert_eq!(contents(table), then);
                        }
                    }
                },
            }
            prop_assert_eq!(table.len(), model.len());
        }
        prop_assert_eq!(contents(table), model);
    }
}

#[test]
fn it_goes_on_with_what_a_table_in_memory_has_saved_and_the_other_way() {
    let mut memory = KeyedTable::new();
    for key in 0..5000u64 {
        memory.insert(stable_hash(&key), key, key * key);
    }
    let mut snapshot = begin(1);
    while memory.snapshot(&mut snapshot).expect("saved") == Saving::More {}
    let saved = snapshot.finish().into_saved(0).expect("saved");
    let mut disk = DiskTable::<u64, u64>::restore(&saved, None).expect("what was saved");
    assert_eq!(disk.len(), 5000);
    let seven = disk.find(stable_hash(&7u64), |key| *key == 7).expect("a disk").expect("a key");
    *seven += 1;
    let mut snapshot = begin(2);
    disk.snapshot(&mut snapshot).expect("saved");
    let saved = snapshot.finish().into_saved(0).expect("saved");
    let mut memory = KeyedTable::<u64, u64>::restore(&saved).expect("what was saved");
    assert_eq!(memory.len(), 5000);
    assert_eq!(memory.find(stable_hash(&7u64), |key| *key == 7), Some(&mut 50));
    assert_eq!(memory.find(stable_hash(&8u64), |key| *key == 8), Some(&mut 64));
}

#[test]
fn a_snapshot_has_what_was_there_however_much_is_changed_before_it_is_stored() {
    let mut table = DiskTable::new(Some(MEMORY));
    let all = |table: &mut DiskTable<u64, String>, by| (0..2000u64).for_each(|key| add(table, &key, by));
    all(&mut table, 1);
    let mut snapshots = Vec::new();
    for checkpoint in 1..10 {
        let mut snapshot = begin(checkpoint);
        table.snapshot(&mut snapshot).expect("saved");
        snapshots.push(snapshot);
        all(&mut table, 1);
    }
    drop(table);
    for (was, snapshot) in (1u64..).zip(snapshots) {
        let saved = snapshot.finish().into_saved(0).expect("a disk");
        let table = DiskTable::<u64, String>::restore(&saved, None).expect("what was saved");
        assert_eq!(contents(table), (0..2000).map(|key| (key, was.to_string())).collect());
    }
}

#[test]
fn bytes_that_are_no_group_are_refused() {
    for bytes in [&[][..], &[0], &[0, 1, 0, 0, 0], &[9, 1, 0, 0, 0, 7, 7]] {
        let parts = [(crate::id::Part::Group(3), bytes::Bytes::copy_from_slice(bytes))];
        let restored = DiskTable::<String, u64>::restore(&Saved::new(parts.into(), 0), None);
        assert!(restored.is_err(), "{bytes:?}");
    }
}

#[test]
fn keys_in_memory_take_no_more_of_it_than_they_may() {
    assert_eq!(most::<u64, u64>(64 << 20, 1000), (1 << 20) / 8 * 7 - SPARE);
    assert_eq!(most::<u64, String>(0, 1000), FEWEST / 8 * 7 - SPARE);
    let each = size_of::<(u64, String)>() + 1 + 100;
    let places = most::<u64, String>(64 << 20, 100) * 8 / 7;
    assert!(places * each <= 32 << 20 && places * each * 2 >= 31 << 20);
}
