//! Drawing of workflows: for Graphviz and as JSON. Text only; rendering it to an image is not for this room.

mod dot;
mod json;
#[cfg(test)]
mod tests;

pub use json::DRAWING_FORMAT;

use super::VertexInfo;

/// The name of a vertex in the workflow that it was written in, without the names of those that this is nested in.
fn short_name(vertex: &VertexInfo) -> &str {
    vertex
        .nest
        .iter()
        .try_fold(vertex.name.as_str(), |name, nest| name.strip_prefix(nest)?.strip_prefix('/'))
        .unwrap_or(&vertex.name)
}
