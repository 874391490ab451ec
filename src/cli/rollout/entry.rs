//! A worker on a host.

use std::fmt;

use crate::cli::command::WORKER;
use crate::cli::worker_file;
use crate::id::Tag;

/// A worker that is to be on a host, as `[NAME@]HOST[:TAG,TAG]` says. The name is that of the node; who logs in is for
/// ssh's configuration to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name of the node.
    pub name: String,
    /// The host, as ssh knows it.
    pub host: String,
    /// What the worker is tagged with.
    pub tags: Vec<Tag>,
}

impl Entry {
    /// The entry in a text.
    ///
    /// # Errors
    /// When there is none, or it is no worker; says what is wrong.
    pub fn parse(text: &str) -> Result<Entry, String> {
        match worker_file::parse(text, WORKER)? {
            Some((address, tags)) => Ok(Entry { name: address.name, host: address.host, tags }),
            None => Err("it is empty; write [NAME@]HOST[:TAG,TAG]".to_owned()),
        }
    }
}

/// As the user wrote it, without tags: a name that is not said is not shown.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name != WORKER {
            write!(f, "{}@", self.name)?;
        }
        if self.host.contains(':') { write!(f, "[{}]", self.host) } else { f.write_str(&self.host) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_shown_as_it_was_written() {
        for (text, shown, tags) in
            [("a", "a", 0), ("w1@b:gpu,big", "w1@b", 2), ("skitter_worker@c:x", "c", 1), ("[::1]:x", "[::1]", 1)]
        {
            let entry = Entry::parse(text).expect("an entry");
            assert_eq!((entry.to_string().as_str(), entry.tags.len()), (shown, tags));
        }
        for wrong in ["", "# a", "a:b c", "a:x,,y", "@a"] {
            assert!(Entry::parse(wrong).is_err(), "{wrong}");
        }
    }
}
