//! A workflow as JSON, for other programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::builder::OpenPort;
use super::super::{LinkInfo, VertexInfo, VertexKind, Workflow};

/// The version of the form that [`Workflow::to_json`] writes. It rises when a field changes its meaning or goes away; a
/// new field does not change it, so readers must skip fields that they do not know.
pub const DRAWING_FORMAT: u32 = 1;

#[derive(Serialize)]
struct Drawing<'a> {
    format: u32,
    fingerprint: String,
    vertices: Vec<Vertex<'a>>,
    links: Vec<Link<'a>>,
    open_ports: OpenPorts<'a>,
}

#[derive(Serialize)]
struct Vertex<'a> {
    id: u32,
    name: &'a str,
    kind: &'static str,
    operation: Option<&'a str>,
    strategy: Option<&'a str>,
    parallelism: Option<usize>,
    workers: bool,
    nest: &'a [String],
    in_ports: &'a [String],
    out_ports: &'a [String],
    takes: Option<&'a str>,
    gives: Option<&'a str>,
}

#[derive(Serialize)]
struct Link<'a> {
    from: End<'a>,
    to: End<'a>,
}

#[derive(Serialize)]
struct End<'a> {
    vertex: u32,
    port: &'a str,
}

#[derive(Serialize)]
struct OpenPorts<'a> {
    r#in: Vec<Open<'a>>,
    out: Vec<Open<'a>>,
}

#[derive(Serialize)]
struct Open<'a> {
    name: &'a str,
    vertex: u32,
    record: &'a str,
}

impl Workflow {
    /// The workflow as JSON, indented, with its fields always in the same order; equal workflows give equal texts.
    ///
    /// | field | what it is |
    /// |---|---|
    /// | `format` | [`DRAWING_FORMAT`] |
    /// | `fingerprint` | [`Workflow::fingerprint`], as 16 hexadecimal digits |
    /// | `vertices[].id` | the number of the vertex, from 0 |
    /// | `vertices[].name` | its name, unique; `outer/inner` in a nested workflow |
    /// | `vertices[].kind` | `operation`, or `in_port` or `out_port` for a port of a workflow |
    /// | `vertices[].operation`, `.strategy` | their names; null for a port |
    /// | `vertices[].parallelism` | how many workers the user asked for, or null |
    /// | `vertices[].workers` | whether it has workers of its own; otherwise it runs in those of the vertices before it |
    /// | `vertices[].nest` | the names of the workflows that it is nested in, the outermost first |
    /// | `vertices[].in_ports`, `.out_ports` | the names of its ports |
    /// | `vertices[].takes`, `.gives` | the Rust types of its records; null where it has no port; not stable over compilers |
    /// | `links[].from`, `.to` | `vertex`, a number, and `port`, a name |
    /// | `open_ports.in`, `.out` | the ports by which it can be nested: `name`, `vertex`, and `record`, their Rust type |
    ///
    /// ```
    /// use skitter::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new();
    /// workflow.source(StreamSource::new(|| 0..10u64)).named("numbers").discard();
    /// let json: serde_json::Value = serde_json::from_str(&workflow.build()?.to_json())?;
    /// assert_eq!(json["format"], 1);
    /// assert_eq!(json["vertices"][0]["name"], "numbers");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_json(&self) -> String {
        let drawing = Drawing {
            format: DRAWING_FORMAT,
            fingerprint: format!("{:016x}", self.fingerprint()),
            vertices: self.vertices.iter().map(|vertex| self.vertex(vertex)).collect(),
            links: self.links.iter().map(|link| self.link(link)).collect(),
            open_ports: OpenPorts { r#in: open(&self.ports.inputs), out: open(&self.ports.outputs) },
        };
        let json = serde_json::to_string_pretty(&drawing);
        debug_assert!(json.is_ok(), "strings and numbers can be written as JSON");
        json.unwrap_or_default()
    }

    fn vertex<'a>(&self, vertex: &'a VertexInfo) -> Vertex<'a> {
        let VertexInfo { id, name, kind, operation, strategy, in_ports, out_ports, types, nest, parallelism } = vertex;
        let (kind, is_operation) = match kind {
            VertexKind::Operation => ("operation", true),
            VertexKind::InPort => ("in_port", false),
            VertexKind::OutPort => ("out_port", false),
        };
        let [takes, gives] = types;
        Vertex {
            id: id.0,
            name,
            kind,
            operation: is_operation.then_some(operation),
            strategy: is_operation.then_some(strategy),
            parallelism: *parallelism,
            workers: self.stages.contains_key(id),
            nest,
            in_ports,
            out_ports,
            takes: (!in_ports.is_empty()).then_some(takes),
            gives: (!out_ports.is_empty()).then_some(gives),
        }
    }

    fn link(&self, link: &LinkInfo) -> Link<'_> {
        let LinkInfo { from, to } = link;
        let out_port = self.vertices.get(from.0.0 as usize).and_then(|vertex| vertex.out_ports.get(from.1));
        let in_port = self.vertices.get(to.0.0 as usize).and_then(|vertex| vertex.in_ports.get(to.1));
        Link {
            from: End { vertex: from.0.0, port: out_port.map_or("", String::as_str) },
            to: End { vertex: to.0.0, port: in_port.map_or("", String::as_str) },
        }
    }
}

fn open(ports: &BTreeMap<String, OpenPort>) -> Vec<Open<'_>> {
    let open = |(name, port): (_, &OpenPort)| Open { name, vertex: port.vertex.0, record: port.record };
    ports.iter().map(|(name, port)| open((name.as_str(), port))).collect()
}
