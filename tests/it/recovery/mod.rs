//! Nothing is lost and nothing counts twice, whatever fails on the way: the example `exact` sums numbers by key.

mod chaos;
mod cluster;
mod incremental;
mod local;
mod master;
mod savepoint;

use std::path::Path;

/// What the example writes: a line for each key, in order.
pub fn sums(count: u64, keys: u64) -> Vec<String> {
    let mut lines: Vec<String> = (0..keys.min(count))
        .map(|key| {
            let of = (count - key).div_ceil(keys);
            // key, key + keys, key + 2 * keys, …
            let sum = of * key + keys * (of * (of - 1) / 2);
            format!("{key}\t{of}\t{sum}\t0")
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// What it has written, in order.
pub fn written(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// What is left in a directory beside these names.
pub fn others(directory: &Path, names: &[&str]) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let names_there = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names_there.filter(|name| !names.contains(&name.as_str())).collect()
}

#[test]
fn the_oracle_is_right() {
    assert_eq!(sums(5, 2), ["0\t3\t6\t0", "1\t2\t4\t0"]);
    assert_eq!(sums(2, 5), ["0\t1\t0\t0", "1\t1\t1\t0"]);
}
