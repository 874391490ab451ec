//! Nothing is lost and nothing counts twice, whatever fails on the way: the example `exact` sums numbers by key.

mod chaos;
mod cluster;
mod incremental;
mod local;
mod master;
mod oracle;
mod regional;
mod savepoint;
mod soak;
mod unaligned;
mod watch;
mod words;

use std::path::Path;

use self::oracle::{sums, written};

/// What is left in a directory beside these names.
pub fn others(directory: &Path, names: &[&str]) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let names_there = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names_there.filter(|name| !names.contains(&name.as_str())).collect()
}
