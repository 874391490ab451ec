//! The table of one worker: how long it takes to be saved and restored.

use std::time::Instant;

use skitter::codec::stable_hash;
use skitter::id::{Part, VertexId};
use skitter::workflow::{Finished, KeyedTable, Saved, Saving, Snapshot};

use crate::figures::checkpoints::Sliced;
use crate::jobs::splitmix64;

/// Keys that are looked up to see how long that takes.
const LOOKED_UP: u64 = 1_000_000;

/// Saves and restores a table of so many keys.
///
/// # Errors
/// When it cannot be written or read.
pub fn measure(keys: u64) -> Result<Sliced, String> {
    let mut table = KeyedTable::new();
    for n in 0..keys {
        let key = splitmix64(n);
        table.insert(stable_hash(&key), key, n);
    }
    let before = look_up(&mut table, keys);
    let (first, save_ms, longest_ms) = save(&mut table, Snapshot::new(1))?;
    let slices = first.1;
    let Finished { parts, earlier, .. } = first.0.finish();
    // As much as a batch or two changes.
    (0..200).for_each(|n| change(&mut table, n));
    let mut snapshot = Snapshot::after(2, earlier.into());
    snapshot.of(VertexId(1));
    let clock = Instant::now();
    let saving = table.snapshot(&mut snapshot).map_err(|error| error.to_string())?;
    let mut again_ms = clock.elapsed().as_secs_f64() * 1e3;
    let meanwhile = look_up(&mut table, keys);
    if saving == Saving::More {
        again_ms += rest(&mut table, &mut snapshot)?.1;
    }
    let bytes = parts.iter().flat_map(|(_, _, pieces)| pieces).map(Vec::len).sum();
    let parts: Vec<(Part, Vec<u8>)> = parts.into_iter().map(|(_, part, pieces)| (part, pieces.concat())).collect();
    let saved = Saved::new(parts.into_iter().map(|(part, bytes)| (part, bytes.into())).collect(), 0);
    let clock = Instant::now();
    let restored = KeyedTable::<u64, u64>::restore(&saved).map_err(|error| error.to_string())?;
    let restore_ms = clock.elapsed().as_secs_f64() * 1e3;
    if restored.len() as u64 != keys {
        return Err(format!("{} keys of {keys} are there", restored.len()));
    }
    Ok(Sliced {
        keys,
        bytes,
        slices,
        save_ms,
        longest_ms,
        again_ms,
        find_ns: before,
        find_meanwhile_ns: meanwhile,
        restore_ms,
    })
}

fn change(table: &mut KeyedTable<u64, u64>, n: u64) {
    let key = splitmix64(n);
    if let Some(value) = table.find(stable_hash(&key), |other| *other == key) {
        *value = value.wrapping_add(1);
    }
}

/// How long it takes to change a value, in nanoseconds.
fn look_up(table: &mut KeyedTable<u64, u64>, keys: u64) -> f64 {
    let clock = Instant::now();
    (0..LOOKED_UP).for_each(|n| change(table, splitmix64(n) % keys));
    clock.elapsed().as_secs_f64() * 1e9 / LOOKED_UP as f64
}

type Slices = ((Snapshot, usize), f64, f64);

fn save(table: &mut KeyedTable<u64, u64>, mut snapshot: Snapshot) -> Result<Slices, String> {
    snapshot.of(VertexId(1));
    let (slices, all, longest) = rest(table, &mut snapshot)?;
    Ok(((snapshot, slices), all, longest))
}

/// Saves what is left: how many slices, and how long all and the longest of them took.
fn rest(table: &mut KeyedTable<u64, u64>, snapshot: &mut Snapshot) -> Result<(usize, f64, f64), String> {
    let (mut slices, mut all, mut longest) = (0, 0.0, 0.0);
    loop {
        let clock = Instant::now();
        let saving = table.snapshot(snapshot).map_err(|error| error.to_string())?;
        let took = clock.elapsed().as_secs_f64() * 1e3;
        (slices, all, longest) = (slices + 1, all + took, took.max(longest));
        if saving == Saving::Done {
            return Ok((slices, all, longest));
        }
    }
}
