//! What windows keep: values by slice first and by key second.
//!
//! So a window that ends is whole tables, no timer is kept for a key, and a slice that no window needs is dropped at
//! once. Windows that overlap are merged from slices by *two stacks* (Tangwongsan, Hirzel, Schneider and Wu, 2015):
//! sums of the older slices from each of them on, and one sum of the newer ones, so that a slice is merged about twice
//! however many windows it is in. Where slices have few keys in common that would take more than it saves, and windows
//! are merged as they are.

use std::collections::BTreeMap;
use std::hash::Hash;

use super::spans::{FARTHEST, Window, Windows};
use crate::codec::{Record, key_group, stable_hash};
use crate::id::Part;
use crate::workflow::{KeyedTable, Result, Saved, Snapshot, Timestamp, load, save};

/// Windows are merged by stacks if each key is in one of so many slices at least: they take up to so many times the
/// memory of the slices then.
const SPARSE: usize = 4;
/// Windows of so few slices are merged as they are.
const FEW: usize = 4;

/// Values of keys in slices of time.
#[derive(Debug)]
pub struct Slices<K, A> {
    /// How far time has come: windows that end by then have been given.
    time: Timestamp,
    /// When results were given early.
    early: Timestamp,
    /// Up to which time windows of each key group have been given, where workers of different times are joined: until
    /// time has come as far as in all.
    known: BTreeMap<u32, Timestamp>,
    /// The slice that the last record was in, apart from the others: most are in the same.
    hot: (Timestamp, KeyedTable<K, A>),
    others: BTreeMap<Timestamp, KeyedTable<K, A>>,
    /// Sums of slices, made again from them where there are none.
    stacks: Option<Stacks<K, A>>,
    /// How many keys the last window had.
    keys: usize,
}

#[derive(Debug)]
struct Stacks<K, A> {
    /// Sums of the slices from each of these up to `middle`, the oldest last.
    older: Vec<(Timestamp, KeyedTable<K, A>)>,
    middle: Timestamp,
    /// The sum of those from there up to `end`.
    newer: KeyedTable<K, A>,
    end: Timestamp,
}

/// Whether a record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No window that it is in has been given.
    OnTime,
    /// Some have.
    Late,
    /// All windows that it is in are gone.
    Gone,
}

/// How two values of a key are joined, the earlier one first.
pub(super) trait Merge<A> {
    fn merge(&self, value: &mut A, other: A);
}

impl<K, A> Slices<K, A> {
    pub(super) fn new() -> Self {
        Slices {
            time: Timestamp::MIN,
            early: Timestamp::MIN,
            known: BTreeMap::new(),
            hot: (Timestamp::MIN, KeyedTable::new()),
            others: BTreeMap::new(),
            stacks: None,
            keys: 0,
        }
    }

    /// How far time has come.
    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    /// What counts of a record in this slice.
    #[inline(always)]
    pub(super) fn standing(&self, windows: &Windows, slice: Timestamp) -> Standing {
        // Before all that has been given: what most records are.
        if slice >= self.time.max(-FARTHEST) && slice <= FARTHEST {
            return Standing::OnTime;
        }
        self.standing_of_old(windows, slice)
    }

    #[cold]
    #[inline(never)]
    fn standing_of_old(&self, windows: &Windows, slice: Timestamp) -> Standing {
        let is_far = !Windows::are_at(slice);
        if is_far || windows.last_end(slice).saturating_add(windows.late()) <= self.time {
            Standing::Gone
        } else if windows.end_after(slice) <= self.time {
            Standing::Late
        } else {
            Standing::OnTime
        }
    }

    /// The table of a slice.
    #[inline(always)]
    pub(super) fn table(&mut self, slice: Timestamp) -> &mut KeyedTable<K, A> {
        if slice != self.hot.0 {
            self.change(slice);
        }
        &mut self.hot.1
    }

    #[cold]
    #[inline(never)]
    fn change(&mut self, slice: Timestamp) {
        if self.stacks.as_ref().is_some_and(|stacks| slice < stacks.end) {
            // A record that is late for sums that have been made.
            self.stacks = None;
        }
        let table = self.others.remove(&slice).unwrap_or_default();
        let (before, table) = std::mem::replace(&mut self.hot, (slice, table));
        if !table.is_empty() {
            self.others.insert(before, table);
        }
    }

    /// Puts all slices in order.
    fn settle(&mut self) {
        if !self.hot.1.is_empty() {
            let (slice, table) = std::mem::replace(&mut self.hot, (Timestamp::MIN, KeyedTable::new()));
            self.others.insert(slice, table);
        }
    }
}

impl<K: Record + Hash + Eq + Clone, A: Record + Clone> Slices<K, A> {
    /// Time has come to `time`: gives the windows that have ended, the earliest first, with each key in them.
    pub(super) fn advance(
        &mut self,
        windows: &Windows,
        merge: &impl Merge<A>,
        time: Timestamp,
        give: &mut impl FnMut(Window, K, A),
    ) {
        if time <= self.time {
            return;
        }
        let mut given = std::mem::replace(&mut self.time, time);
        self.settle();
        let known = std::mem::take(&mut self.known);
        let mut give = |window: Window, key: K, value: A| {
            let before = if known.is_empty() { None } else { known.get(&key_group(stable_hash(&key))) };
            if before.is_none_or(|before| window.end > *before) {
                give(window, key, value);
            }
        };
        while let Some(end) = self.next_end(windows, given).filter(|end| *end <= time) {
            let window = windows.ending(end);
            given = end;
            if windows.is_tumbling() {
                self.give_slice(windows, window, &mut give);
            } else {
                self.give_slices(window, merge, &mut give);
            }
            self.drop_until(windows, end);
        }
        self.drop_until(windows, time);
        if known.values().any(|known| *known > time) {
            self.known = known;
        }
    }

    /// The end of the next window that may have a record, behind those that end by `given`.
    fn next_end(&self, windows: &Windows, given: Timestamp) -> Option<Timestamp> {
        let slice = *self.others.range(given.saturating_sub(windows.size()).saturating_add(1)..).next()?.0;
        Some(windows.end_after(slice.max(given)))
    }

    fn give_slice(&mut self, windows: &Windows, window: Window, give: &mut impl FnMut(Window, K, A)) {
        if windows.late() > 0 {
            let Some(table) = self.others.get(&window.start) else { return };
            return table.iter().for_each(|(key, value)| give(window, key.clone(), value.clone()));
        }
        let Some(mut table) = self.others.remove(&window.start) else { return };
        table.drain().for_each(|(key, value)| give(window, key, value));
    }

    fn give_slices(&mut self, window: Window, merge: &impl Merge<A>, give: &mut impl FnMut(Window, K, A)) {
        let values: usize = self.others.range(window.start..window.end).map(|(_, table)| table.len()).sum();
        let mut keys = 0usize;
        let mut give = |key: K, value: A| {
            keys += 1;
            give(window, key, value);
        };
        let slices = self.others.range(window.start..window.end).count();
        let is_dense = |keys: usize| slices > FEW && values.saturating_mul(SPARSE) > keys.saturating_mul(slices);
        // As many keys as the last window had, if it had any.
        if self.stacks.is_none() && !is_dense(if self.keys == 0 { values } else { self.keys }) {
            let mut all = KeyedTable::new();
            for (_, table) in self.others.range(window.start..window.end) {
                add(&mut all, table, merge);
            }
            all.drain().for_each(|(key, value)| give(key, value));
        } else {
            let stacks = self.stacks.get_or_insert_with(|| Stacks::new(window.start));
            stacks.turn_to(window, &self.others, merge);
            stacks.give(merge, &mut give);
        }
        if !is_dense(keys) {
            self.stacks = None;
        }
        self.keys = keys;
    }

    /// Drops what no window needs that ends behind `end`, nor one that is kept.
    fn drop_until(&mut self, windows: &Windows, end: Timestamp) {
        while let Some(first) = self.others.first_entry() {
            let last = windows.last_end(*first.key());
            if last > end || last.saturating_add(windows.late()) > self.time {
                return;
            }
            first.remove();
        }
    }

    /// The value of a key in a window that has been given.
    pub(super) fn again(&mut self, window: Window, key: &K, merge: &impl Merge<A>) -> Option<A> {
        self.settle();
        let hash = stable_hash(key);
        let mut value = None;
        for (_, table) in self.others.range_mut(window.start..window.end) {
            if let Some(other) = table.find(hash, |other| other == key) {
                match &mut value {
                    None => value = Some(other.clone()),
                    Some(value) => merge.merge(value, other.clone()),
                }
            }
        }
        value
    }

    /// Whether results are to be given early, and gives what has come of all windows that have not ended.
    pub(super) fn early(&mut self, windows: &Windows, merge: &impl Merge<A>, give: &mut impl FnMut(Window, K, A)) {
        match windows.early_at(self.time) {
            Some(due) if due > self.early => self.early = due,
            _ => return,
        }
        let ends = self.others.keys().flat_map(|slice| {
            let (first, last) = (windows.end_after(*slice), windows.last_end(*slice));
            (first..=last).step_by(usize::try_from(windows.slide()).unwrap_or(usize::MAX))
        });
        let open: std::collections::BTreeSet<Timestamp> = ends.filter(|end| *end > self.time).collect();
        for window in open.into_iter().map(|end| windows.ending(end)) {
            let mut all = KeyedTable::new();
            for (_, table) in self.others.range(window.start..window.end) {
                add(&mut all, table, merge);
            }
            all.drain().for_each(|(key, value)| give(window, key, value));
        }
    }

    /// Saves all, by key group; and in each of these what is known of time.
    pub(super) fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<()> {
        self.settle();
        let mut groups: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for (slice, table) in &self.others {
            for (key, value) in table.iter() {
                let group = key_group(stable_hash(key));
                let bytes = groups.entry(group).or_default();
                if bytes.is_empty() {
                    save(&self.known.get(&group).map_or(self.time, |known| self.time.max(*known)), bytes)?;
                }
                save(slice, bytes)?;
                save(key, bytes)?;
                save(value, bytes)?;
            }
        }
        groups.into_iter().for_each(|(group, bytes)| snapshot.put_part(Part::Group(group), bytes));
        Ok(())
    }

    /// What was saved. Of several that knew of time, who knew least is believed, so that nothing is late that would
    /// have counted; but what the others have given is not given again.
    pub(super) fn restore(saved: &Saved) -> Result<Self> {
        let (mut slices, mut known) = (Slices::new(), None);
        for (group, mut bytes) in saved.groups() {
            let time: Timestamp = load(&mut bytes)?;
            slices.known.insert(group, time);
            known = Some(
                known.map_or((time, time), |(least, most): (Timestamp, Timestamp)| (least.min(time), most.max(time))),
            );
            while !bytes.is_empty() {
                let (slice, key, value): (Timestamp, K, A) = (load(&mut bytes)?, load(&mut bytes)?, load(&mut bytes)?);
                slices.others.entry(slice).or_insert_with(KeyedTable::new).insert(stable_hash(&key), key, value);
            }
        }
        if let Some((least, most)) = known {
            (slices.time, slices.early) = (least, least);
            if least == most {
                slices.known.clear();
            }
        }
        Ok(slices)
    }
}

impl<K: Record + Hash + Eq + Clone, A: Record + Clone> Stacks<K, A> {
    fn new(start: Timestamp) -> Self {
        Stacks { older: Vec::new(), middle: start, newer: KeyedTable::new(), end: start }
    }

    /// Lets go of slices before the window, and takes in those up to its end.
    fn turn_to(&mut self, window: Window, slices: &BTreeMap<Timestamp, KeyedTable<K, A>>, merge: &impl Merge<A>) {
        for (_, table) in slices.range(self.end.max(window.start)..window.end) {
            add(&mut self.newer, table, merge);
        }
        self.end = window.end;
        while self.older.pop_if(|(slice, _)| *slice < window.start).is_some() {}
        if self.middle < window.start {
            // The newer ones have slices that are gone: they become the older ones.
            let mut sum = KeyedTable::new();
            for (slice, table) in slices.range(window.start..window.end).rev() {
                let mut with = copy(table);
                add(&mut with, &sum, merge);
                sum = with;
                self.older.push((*slice, copy(&sum)));
            }
            (self.middle, self.newer) = (window.end, KeyedTable::new());
        }
    }

    /// Gives the sum of each key.
    fn give(&mut self, merge: &impl Merge<A>, give: &mut impl FnMut(K, A)) {
        let Stacks { older, newer, .. } = self;
        let Some((_, older)) = older.last_mut() else {
            return newer.iter().for_each(|(key, value)| give(key.clone(), value.clone()));
        };
        for (key, value) in older.iter() {
            let mut value = value.clone();
            if let Some(other) = newer.find(stable_hash(key), |other| other == key) {
                merge.merge(&mut value, other.clone());
            }
            give(key.clone(), value);
        }
        for (key, value) in newer.iter() {
            if older.find(stable_hash(key), |other| other == key).is_none() {
                give(key.clone(), value.clone());
            }
        }
    }
}

fn copy<K: Hash + Clone, A: Clone>(table: &KeyedTable<K, A>) -> KeyedTable<K, A> {
    let mut copy = KeyedTable::new();
    for (key, value) in table.iter() {
        copy.insert(stable_hash(key), key.clone(), value.clone());
    }
    copy
}

/// Merges later values into earlier ones.
fn add<K: Hash + Eq + Clone, A: Clone>(sum: &mut KeyedTable<K, A>, table: &KeyedTable<K, A>, merge: &impl Merge<A>) {
    for (key, value) in table.iter() {
        let hash = stable_hash(key);
        match sum.find(hash, |other| other == key) {
            Some(earlier) => merge.merge(earlier, value.clone()),
            None => drop(sum.insert(hash, key.clone(), value.clone())),
        }
    }
}
