//! What the example `exact` has to write, and what it has written.

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

#[test]
fn the_oracle_is_right() {
    assert_eq!(sums(5, 2), ["0\t3\t6\t0", "1\t2\t4\t0"]);
    assert_eq!(sums(2, 5), ["0\t1\t0\t0", "1\t1\t1\t0"]);
}
