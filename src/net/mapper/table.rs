//! Which names are taken, by whom. Pure.

use std::collections::BTreeMap;

use super::wire::Answer;

/// Most names of a host: far more nodes than fit on one, and a few hundred kilobytes.
pub(super) const MAX_NAMES: usize = 1024;

/// Names, with the port and the lease of each.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: BTreeMap<String, Entry>,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    port: u16,
    lease: u64,
    /// Whether its node had the name with the mapper before this one.
    again: bool,
}

/// A name was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The number of the lease.
    pub lease: u64,
    /// The lease that loses the name by it.
    pub evicted: Option<u64>,
}

impl Table {
    /// Takes a name. A node that had it with the mapper before wins against one that is new, but only while the mapper
    /// is `young`: all who had names come at once, and who comes later has been away for long.
    ///
    /// # Errors
    /// With the answer to give.
    pub fn register(&mut self, name: &str, port: u16, again: bool, young: bool) -> Result<Taken, Answer> {
        let evicted = match self.names.get(name) {
            Some(entry) if again && young && !entry.again => Some(entry.lease),
            Some(_) => return Err(Answer::Taken),
            None if self.names.len() >= MAX_NAMES => return Err(Answer::Full),
            None => None,
        };
        self.last += 1;
        self.names.insert(name.to_owned(), Entry { port, lease: self.last, again });
        Ok(Taken { lease: self.last, evicted })
    }

    /// Gives a lease back; nothing happens if its name was taken from it.
    pub fn release(&mut self, lease: u64) {
        self.names.retain(|_, entry| entry.lease != lease);
    }

    /// Where a node listens.
    pub fn port(&self, name: &str) -> Option<u16> {
        self.names.get(name).map(|entry| entry.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lease: u64, evicted: Option<u64>) -> Result<Taken, Answer> {
        Ok(Taken { lease, evicted })
    }

    #[test]
    fn a_name_has_one_node() {
        let mut table = Table::default();
        assert_eq!(table.register("a", 1, false, false), taken(1, None));
        assert_eq!(table.register("a", 2, false, true), Err(Answer::Taken));
        assert_eq!(table.register("b", 2, false, true), taken(2, None));
        assert_eq!((table.port("a"), table.port("b"), table.port("c")), (Some(1), Some(2), None));
        table.release(1);
        assert_eq!(table.register("a", 3, false, false), taken(3, None));
        table.release(1);
        assert_eq!(table.port("a"), Some(3), "an old lease has no say");
    }

    #[test]
    fn who_had_the_name_wins_while_the_mapper_is_young() {
        let mut table = Table::default();
        assert_eq!(table.register("a", 1, false, true), taken(1, None));
        assert_eq!(table.register("a", 2, true, false), Err(Answer::Taken), "too late");
        assert_eq!(table.register("a", 2, true, true), taken(2, Some(1)));
        table.release(1);
        assert_eq!(table.port("a"), Some(2));
        assert_eq!(table.register("a", 3, true, true), Err(Answer::Taken), "both had it");
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let mut table = Table::default();
        for number in 0..MAX_NAMES {
            assert!(table.register(&format!("n{number}"), 1, false, false).is_ok());
        }
        assert_eq!(table.register("one more", 1, true, true), Err(Answer::Full));
        table.release(5);
        assert!(table.register("one more", 1, false, false).is_ok());
    }
}
