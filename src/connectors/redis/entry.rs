//! An entry of a stream, and its place there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An entry of a Redis stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisEntry {
    /// The name of the stream.
    pub stream: String,
    /// Its id there, `MILLISECONDS-NUMBER`.
    pub id: String,
    /// Its fields, in order. What is not UTF-8 in a name is replaced.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl RedisEntry {
    /// The value of the first field of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_slice())
    }

    /// The same as text; none, too, if it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// The id of an entry. They ascend in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct EntryId {
    pub milliseconds: u64,
    pub number: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.number)
    }
}

impl FromStr for EntryId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('-').and_then(|(before, behind)| {
            Some(EntryId { milliseconds: before.parse().ok()?, number: behind.parse().ok()? })
        });
        parsed.ok_or_else(|| format!("`{text}` is not the id of an entry"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_as_numbers() {
        let id = |text: &str| text.parse::<EntryId>().expect("an id");
        assert!(id("9-1") < id("10-0") && id("10-0") < id("10-1"));
        assert_eq!(id("1526919030474-55").to_string(), "1526919030474-55");
        assert!("1526919030474".parse::<EntryId>().is_err() && "a-b".parse::<EntryId>().is_err());
    }

    #[test]
    fn fields_are_found_by_name() {
        let fields = vec![("a".to_owned(), b"x".to_vec()), ("b".to_owned(), vec![0xff])];
        let entry = RedisEntry { stream: "s".to_owned(), id: "1-1".to_owned(), fields };
        assert_eq!((entry.text("a"), entry.text("b"), entry.text("c")), (Some("x"), None, None));
        assert_eq!(entry.get("b"), Some([0xff].as_slice()));
    }
}
