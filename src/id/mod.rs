//! Names and numbers of the things that a running system is made of, and their text form.
//!
//! A *node* is a running Skitter process, a *vertex* one place in a workflow, a *worker* an actor that a strategy made
//! for a vertex, a *deployment* a workflow that runs. Ids are small, `Copy` where they can be, and serde types, because
//! they travel in plans.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One place in a workflow: the position of an operation and its strategy, numbered in the order of building.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VertexId(pub u32);

/// A workflow that runs on a node or a cluster, numbered by the runtime that deployed it, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeploymentId(pub u32);

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A node: its number in the cluster and its incarnation, so that a node that comes back is not taken for the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId {
    /// Number of the node in its cluster; 0 is the first.
    pub number: u32,
    /// Which life of the node this is.
    pub incarnation: u32,
}

impl NodeId {
    /// The only node of a local system.
    pub const LOCAL: NodeId = NodeId { number: 0, incarnation: 0 };
}

/// A worker: the vertex it works for and its number among the workers of that vertex, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId {
    /// The vertex.
    pub vertex: VertexId,
    /// The number of the worker in its vertex.
    pub index: u32,
}

/// A property of a node, such as `gpu`, that a strategy can ask for.
///
/// Not to be mixed up with the *role* of a worker, which says what a worker is for its strategy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
}
