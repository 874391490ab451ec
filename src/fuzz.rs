//! Ways in for bytes of any kind, by which whoever can send something to a node tries what it does: for `cargo fuzz`
//! (see `fuzz/`) and for tests. Not there otherwise.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{Record, decode, decode_batch, encode, encode_batch};
use crate::node::console::wire as console_wire;

/// What takes bytes. It panics when something is not as it has to be, whatever they are.
pub type Entry = fn(&[u8]);

/// All of them, by the names of their targets and of their corpora.
pub const ENTRIES: [(&str, Entry); 11] = [
    ("acceptor", crate::net::fuzz::acceptor),
    ("dialer", crate::net::fuzz::dialer),
    ("claims", crate::net::fuzz::claims),
    ("mapper", crate::net::fuzz::lines),
    ("control", crate::node::fuzz::control),
    ("frames", crate::runtime::fuzz_frames),
    ("batches", batches),
    ("values", values),
    ("console", console),
    ("manifests", crate::runtime::fuzz_manifests),
    ("snapshots", crate::runtime::fuzz_snapshots),
];

/// Bytes for the entry of this name.
///
/// # Panics
/// As the entry; and when there is none of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let entry = ENTRIES.iter().find(|(other, _)| *other == name);
    assert!(entry.is_some(), "there is no `{name}`");
    if let Some((_, entry)) = entry {
        entry(bytes);
    }
}

/// A record with something of everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Odd {
    /// Nothing.
    Unit,
    /// Numbers and a text.
    Tuple(i64, u8, String),
    /// Itself.
    Deep(Box<Odd>),
    /// More of everything.
    Struct {
        /// A list of lists.
        lists: Vec<Vec<u16>>,
        /// What may be there.
        perhaps: Option<char>,
        /// A table.
        table: std::collections::BTreeMap<String, (bool, f64)>,
    },
}

/// Most bytes of an input of which what was read is written again: the largest take long, and have nothing new.
const MOST_AGAIN: usize = 64 * 1024;

fn batches(bytes: &[u8]) {
    fn of<T: Record + Clone>(bytes: &[u8]) {
        let mut records: Vec<T> = Vec::new();
        if decode_batch(bytes, &mut records).is_ok() && bytes.len() <= MOST_AGAIN {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            assert!(encode_batch(&records, &mut first).is_ok(), "what can be read can be written");
            let mut again: Vec<T> = Vec::new();
            assert!(decode_batch(&first, &mut again).is_ok(), "and read again");
            assert!(encode_batch(&again, &mut second).is_ok() && first == second, "and is the same");
        }
    }
    of::<u64>(bytes);
    of::<(u64, u64)>(bytes);
    of::<()>(bytes);
    of::<(String, u64)>(bytes);
    of::<crate::Word>(bytes);
    of::<Odd>(bytes);
}

fn values(bytes: &[u8]) {
    fn of<T: Record>(bytes: &[u8]) {
        if let Ok(value) = decode::<T>(bytes)
            && bytes.len() <= MOST_AGAIN
        {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            assert!(encode(&value, &mut first).is_ok(), "what can be read can be written");
            let again = decode::<T>(&first);
            assert!(again.is_ok_and(|again| encode(&again, &mut second).is_ok()) && first == second, "and is the same");
        }
    }
    of::<Odd>(bytes);
    of::<Vec<()>>(bytes);
    of::<Vec<Vec<Odd>>>(bytes);
    of::<crate::net::Identity>(bytes);
}

fn console(bytes: &[u8]) {
    fn again<T: Serialize + DeserializeOwned + PartialEq>(content: &T, most: usize, read: impl Fn(&[u8]) -> Option<T>) {
        if let Ok(line) = console_wire::encode(content, most) {
            assert!(line.ends_with(b"\n") && !line[..line.len() - 1].contains(&b'\n'), "it is one line");
            assert!(read(&line).is_some_and(|again| again == *content), "what is read is what was written");
        }
    }
    if let Ok(request) = console_wire::decode_request(bytes) {
        again(&request, console_wire::MAX_REQUEST, |line| console_wire::decode_request(line).ok());
    }
    if let Ok(reply) = console_wire::decode_reply(bytes) {
        again(&reply, console_wire::MAX_REPLY, |line| console_wire::decode_reply(line).ok());
    }
}

#[cfg(test)]
mod tests;
