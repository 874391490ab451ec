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
use crate::cluster::node::Host;

/// Sources of `exact` do not end before [`go_on`], so that a test sees what it waits for before they do, however slow
/// disks are.
pub const HELD: [&str; 2] = ["--until", "go"];

pub fn go_on(host: &Host) {
    std::fs::write(host.directory().join(HELD[1]), "").expect("a file");
}

/// What is left in a directory beside these names.
pub fn others(directory: &Path, names: &[&str]) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let names_there = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names_there.filter(|name| !names.contains(&name.as_str())).collect()
}
