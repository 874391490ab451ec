//! The file that lists the workers of a cluster.
//!
//! ```text
//! # one worker a line: [name@]host[:tag1,tag2]
//! isabelle-a
//! worker2@isabelle-b:gpu,big   # with what it is to be tagged
//! ```
//!
//! Blank lines are skipped, and comments: from a `#` that begins a line or stands behind white space. Tags are for who
//! starts the workers; a master asks the workers themselves what they are tagged with.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::config::ConfigError;
use crate::id::{NodeAddress, Tag};

/// Most bytes of the file: some ten thousand workers. What is longer is a file of another kind.
const MOST_BYTES: u64 = 1 << 20;

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The worker.
    pub address: NodeAddress,
    /// What it is to be tagged with.
    pub tags: Vec<Tag>,
    /// File and line.
    pub at: String,
}

/// Reads the file. A worker without a name has `default_name`. That there are no two of a name on a host is for
/// [`add`] to see.
///
/// # Errors
/// When it cannot be read, or a line of it is no worker.
pub fn read(path: &Path, default_name: &str) -> Result<Vec<Entry>, ConfigError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    let long = |read: usize| match read as u64 > MOST_BYTES {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {MOST_BYTES} bytes"))),
        false => Ok(()),
    };
    read.and_then(long).map_err(|source| ConfigError::Read { what: "worker file", path: path.to_owned(), source })?;
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let at = format!("{}:{number}", path.display());
        let wrong = |reason: String| ConfigError::At { at: at.clone(), reason };
        let line = str::from_utf8(line).map_err(|_| wrong("the line is not UTF-8".to_owned()))?;
        if let Some((address, tags)) = parse(line, default_name).map_err(wrong)? {
            entries.push(Entry { address, tags, at });
        }
    }
    Ok(entries)
}

/// The worker in a line, if there is one. A worker without a name has `default_name`.
///
/// # Errors
/// With what is wrong with it.
pub fn parse(line: &str, default_name: &str) -> Result<Option<(NodeAddress, Vec<Tag>)>, String> {
    let text = without_comment(line).trim();
    if text.is_empty() {
        return Ok(None);
    }
    // The last colon, if it is not one of an IPv6 address.
    let (place, tags) = match text.rsplit_once(':') {
        Some((place, tags)) if !tags.contains(']') => (place, Some(tags)),
        _ => (text, None),
    };
    let wrong = |why: &str| format!("`{text}` is no worker: {why}; write [NAME@]HOST[:TAG,TAG]");
    let address = NodeAddress::parse(place, default_name).map_err(|error| wrong(error.why))?;
    if address.port.is_some() {
        return Err(wrong("it has two colons"));
    }
    if address.host.starts_with('-') {
        return Err(wrong("a host does not begin with a dash"));
    }
    let tags = tags.into_iter().flat_map(|tags| tags.split(','));
    let tags: Result<_, _> = tags.map(|tag| Tag::new(tag).map_err(|error| wrong(&error.to_string()))).collect();
    Ok(Some((address, tags?)))
}

fn without_comment(line: &str) -> &str {
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let comment = line.match_indices('#').map(|(at, _)| at).find(begins);
    comment.map_or(line, |at| &line[..at])
}

/// Adds a worker to those that are there.
///
/// # Errors
/// When there is one of its name on its host, by whatever port.
pub fn add(workers: &mut Vec<NodeAddress>, address: NodeAddress) -> Result<(), String> {
    let same = |other: &&NodeAddress| other.name == address.name && other.host.eq_ignore_ascii_case(&address.host);
    match workers.iter().find(same) {
        Some(other) => Err(format!("worker `{address}` is there twice, the first time as `{other}`")),
        None => {
            workers.push(address);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    fn workers(text: impl AsRef<[u8]>) -> Result<Vec<(String, Vec<String>)>, String> {
        let directory = tempdir().expect("a directory");
        let path = directory.path().join("workers");
        std::fs::write(&path, text).expect("written");
        let entries = read(&path, "skitter_worker").map_err(|error| {
            let said = error.to_string();
            said.replace(&format!("{}/", directory.path().display()), "")
        })?;
        let tags = |tags: Vec<Tag>| tags.iter().map(Tag::to_string).collect();
        Ok(entries.into_iter().map(|Entry { address, tags: t, .. }| (address.to_string(), tags(t))).collect())
    }

    #[test]
    fn a_worker_stands_in_a_line() {
        let text =
            "# all of them\n\nisabelle-a\r\n  w2@isabelle-b:gpu,big  # strong\n\t# w3@c\n[::1]\nw4@[::1]:c#\nlast";
        let found = workers(text).expect("workers");
        let found: Vec<_> = found.iter().map(|(address, tags)| (address.as_str(), tags.join(" "))).collect();
        let expected = [
            ("skitter_worker@isabelle-a", ""),
            ("w2@isabelle-b", "gpu big"),
            ("skitter_worker@[::1]", ""),
            ("w4@[::1]", "c#"),
            ("skitter_worker@last", ""),
        ];
        assert_eq!(found, expected.map(|(address, tags)| (address, tags.to_owned())));
        assert_eq!(workers(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_worker_is_named_with_its_line() {
        for (text, error) in [
            ("a\n\nw@\n", "workers:3: `w@` is no worker: it has no host"),
            ("w1@a b", "workers:1: `w1@a b` is no worker: the host has a character"),
            ("a:gpu,", "workers:1: `a:gpu,` is no worker: `` is no tag"),
            ("a:", "workers:1: `a:` is no worker: `` is no tag"),
            ("a:4000:gpu", "workers:1: `a:4000:gpu` is no worker: it has two colons"),
            ("::1", "workers:1: `::1` is no worker: "),
            ("@a", "workers:1: `@a` is no worker: it has no name"),
        ] {
            let said = workers(text).expect_err(text);
            assert!(said.starts_with(error), "{said}");
        }
        assert_eq!(workers(b"a\n\xff\n"), Err("workers:2: the line is not UTF-8".to_owned()));
        let long = workers("a\n".repeat(600_000)).expect_err("too long");
        assert!(long.starts_with("cannot read worker file `workers`: it is longer than"), "{long}");
    }

    #[test]
    fn a_worker_is_there_once() {
        let address = |text| NodeAddress::parse(text, "skitter_worker").expect("an address");
        let mut workers = Vec::new();
        for text in ["w1@a", "w1@b", "w2@a", "a"] {
            add(&mut workers, address(text)).expect("another one");
        }
        for text in ["w1@a", "w1@A", "w1@a:4000", "skitter_worker@a"] {
            let said = add(&mut workers, address(text)).expect_err(text);
            assert!(said.contains("is there twice"), "{said}");
        }
        assert_eq!(workers.len(), 4);
    }
}
