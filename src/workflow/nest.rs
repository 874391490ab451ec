//! Workflows inside workflows.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::builder::{OpenPort, Ports};
use super::chain::{Linked, Upstream};
use super::fork::{Branches, Fork, Shared};
use super::graph::{Draft, Graph};
use super::{Chain, Error, In, LinkInfo, Origin, OutPort, Stream, VertexKind, Workflow, WorkflowBuilder};
use crate::id::VertexId;

/// A workflow that has been put into another one: its open ports, to be linked.
///
/// ```
/// use skitter::prelude::*;
///
/// let inner = WorkflowBuilder::new();
/// let doubled = inner.input::<u64>("numbers").map(|n| n * 2);
/// inner.output("doubled", doubled);
///
/// let outer = WorkflowBuilder::new();
/// let nested = outer.nest("double", inner.build()?);
/// nested.input("numbers", outer.source(StreamSource::new(|| 0..5u64)));
/// nested.output::<u64>("doubled").print();
/// let workflow = outer.build()?;
/// assert!(workflow.vertices().iter().any(|vertex| vertex.name == "double/map"));
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone)]
pub struct Nested {
    name: String,
    offset: u32,
    graph: Graph,
    ports: Rc<RefCell<Ports>>,
}

impl WorkflowBuilder {
    /// Puts a workflow into this one. Its vertices are named `name/vertex`; its in ports must be linked, its out ports
    /// can be.
    pub fn nest(&self, name: &str, inner: Workflow) -> Nested {
        let mut data = self.graph.0.borrow_mut();
        if name.is_empty() {
            data.errors.push((None, Error::EmptyName));
        } else if !data.nests.insert(name.to_owned()) {
            data.errors.push((None, Error::DuplicateName(name.to_owned())));
        }
        let offset = data.vertices.len() as u32;
        let shift = |vertex: VertexId| VertexId(vertex.0 + offset);
        for mut vertex in inner.vertices {
            vertex.id = shift(vertex.id);
            vertex.name = format!("{name}/{}", vertex.name);
            vertex.nest.insert(0, name.to_owned());
            // A port has two sides now: the inner side of an in port is linked, its outer side has to be.
            match vertex.kind {
                VertexKind::InPort => vertex.in_ports = vec!["in".to_owned()],
                VertexKind::OutPort => vertex.out_ports = vec!["out".to_owned()],
                VertexKind::Operation => {}
            }
            // What was built has been checked, and its sources have no in ports any more.
            let origin = if vertex.in_ports.is_empty() { Origin::Produce } else { Origin::Links };
            data.vertices.push(vertex);
            data.drafts.push(Draft { named: true, closed: true, origin, ..Draft::default() });
        }
        data.links.extend(
            inner
                .links
                .into_iter()
                .map(|link| LinkInfo { from: (shift(link.from.0), link.from.1), to: (shift(link.to.0), link.to.1) }),
        );
        for (vertex, (inner_offset, stage)) in inner.stages {
            data.stages.insert(shift(vertex), (inner_offset + offset, stage));
        }
        drop(data);
        let ports = Rc::new(RefCell::new(inner.ports));
        Nested { name: name.to_owned(), offset, graph: self.graph.clone(), ports }
    }
}

impl Nested {
    /// Links a stream to an in port. Several streams can be linked to one port. A port that is not there, or takes
    /// another type, is reported by `build()`.
    pub fn input<C, P>(&self, port: &str, stream: Stream<C, P>)
    where
        C: Chain,
        P: OutPort<C::Out>,
        P::Record: Clone + Send,
    {
        let ports = self.ports.borrow();
        let Some((inner, branches)) = find::<P::Record>(&ports.inputs, port) else {
            self.no_such_port::<P::Record>("in", port, &ports.inputs);
            return;
        };
        let vertex = VertexId(inner.0 + self.offset);
        if !stream.graph.holds(stream.chain.vertex(), &self.graph, vertex) {
            return;
        }
        self.graph.add_link(stream.end(), (vertex, 0));
        let linked = Linked::<C, P, In> { chain: stream.chain, ports: std::marker::PhantomData };
        linked.close(Fork::new(Some(vertex), i64::from(self.offset), branches), &self.graph);
    }

    /// The stream of an out port. Can be asked for several times; each stream gets every record. A port that is not
    /// there, or gives another type, is reported by `build()`.
    pub fn output<T: Clone + Send + 'static>(&self, port: &str) -> Stream<Shared<T>> {
        let ports = self.ports.borrow();
        let (inner, branches) = find::<T>(&ports.outputs, port).unwrap_or_else(|| {
            self.no_such_port::<T>("out", port, &ports.outputs);
            (VertexId(0), Branches::new())
        });
        let vertex = VertexId(inner.0 + self.offset);
        Stream::new(Shared { vertex, port: 0, branches, shift: -i64::from(self.offset) }, self.graph.clone())
    }

    fn no_such_port<T>(&self, direction: &'static str, port: &str, ports: &BTreeMap<String, OpenPort>) {
        let there: Vec<_> = ports.iter().map(|(name, port)| format!("`{name}: {}`", port.record)).collect();
        let hint = if there.is_empty() { String::new() } else { format!("; there is {}", there.join(", ")) };
        let wanted = format!("{direction} port `{port}` of type `{}`", type_name::<T>());
        self.graph.fail(Error::NoSuchPort { workflow: self.name.clone(), wanted, hint });
    }
}

fn find<T: 'static>(ports: &BTreeMap<String, OpenPort>, name: &str) -> Option<(VertexId, Branches<T>)> {
    let port = ports.get(name)?;
    Some((port.vertex, port.branches.downcast_ref::<Branches<T>>()?.clone()))
}
