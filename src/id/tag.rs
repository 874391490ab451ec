//! Tags: what strategies can ask of a node.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A property of a node, such as `gpu`, that a strategy can ask for.
///
/// Not to be mixed up with the *role* of a worker, which says what a worker is for its strategy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Tag(String);

/// A text that cannot be a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no tag: a tag is not empty and has no white space, comma or colon")]
pub struct InvalidTag(pub String);

impl Tag {
    /// Makes a tag of a text.
    ///
    /// # Errors
    /// When the text is empty or holds white space, a comma or a colon.
    pub fn new(text: impl Into<String>) -> Result<Tag, InvalidTag> {
        let text = text.into();
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == ',' || c == ':') {
            return Err(InvalidTag(text));
        }
        Ok(Tag(text))
    }

    /// The text of the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidTag;

    fn try_from(text: String) -> Result<Tag, InvalidTag> {
        Tag::new(text)
    }
}

impl std::str::FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Tag, InvalidTag> {
        Tag::new(text)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_no_separators() {
        assert_eq!(Tag::new("gpu").map(|t| t.to_string()), Ok("gpu".to_owned()));
        for bad in ["", "a b", "a,b", "a:b", "a\n"] {
            assert_eq!(Tag::new(bad), Err(InvalidTag(bad.to_owned())));
        }
    }

    #[test]
    fn a_tag_that_comes_from_outside_is_checked() {
        assert_eq!(serde_json::from_str::<Tag>("\"gpu\"").ok(), Tag::new("gpu").ok());
        assert!(serde_json::from_str::<Tag>("\"a b\"").is_err());
    }
}
