//! Building a workflow, and the workflow that comes out.

use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use super::chain::{Nothing, OneByOne, Prepared};
use super::deliver::Deliver;
use super::fork::{Branches, Fork, Shared};
use super::graph::{Graph, GraphData};
use super::stage::StageFactory;
use super::stream::{Placed, Stream};
use super::{Chain, Error, In, LinkInfo, Operation, Out, OutPort, Result, Strategy, VertexInfo, VertexKind, verify};
use crate::id::VertexId;

/// Where a workflow begins: makes sources and vertices, and checks what was built.
///
/// ```
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// workflow.source(StreamSource::new(|| 0..10u64)).map(|n| n * 2).named("double").print();
/// let workflow = workflow.build()?;
/// assert_eq!(workflow.vertices().len(), 3);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Default)]
pub struct WorkflowBuilder {
    pub(super) graph: Graph,
    ports: std::cell::RefCell<Ports>,
}

/// The open ports of a workflow: in either direction, name to vertex and branches, a [`Branches`] of the port's type.
#[derive(Default)]
pub(super) struct Ports {
    pub inputs: BTreeMap<String, OpenPort>,
    pub outputs: BTreeMap<String, OpenPort>,
}

pub(super) struct OpenPort {
    pub vertex: VertexId,
    pub record: &'static str,
    pub branches: Box<dyn Any + Send>,
}

impl WorkflowBuilder {
    /// An empty workflow.
    pub fn new() -> Self {
        WorkflowBuilder::default()
    }

    /// A vertex behind nothing: a source with its strategy.
    pub fn source_with<O: Operation, S: Strategy<O>>(&self, operation: O, strategy: S) -> Stream<Placed<Nothing, O, S>>
    where
        Out: OutPort<O::Out>,
    {
        let vertex = self.graph.add_vertex::<O, S>(&operation);
        self.graph.draft(vertex, |draft| draft.source = true);
        Stream::new(Placed { upstream: Nothing, operation, strategy, vertex }, self.graph.clone())
    }

    /// A vertex whose in ports are linked one by one, with [`Stream::to`]; see [`Vertex`].
    pub fn vertex<O: Operation, S: Strategy<O>>(&self, operation: O, strategy: S) -> Vertex<O, S> {
        let vertex = self.graph.add_vertex::<O, S>(&operation);
        Vertex { graph: self.graph.clone(), vertex, operation, strategy }
    }

    /// Opens an in port of this workflow, for nesting it in another one.
    pub fn input<T: Clone + Send + 'static>(&self, name: &str) -> Stream<Shared<T>> {
        let vertex = self.graph.add(port_vertex::<T>(name, VertexKind::InPort));
        self.graph.closed(vertex);
        let branches = Branches::<T>::new();
        let port = OpenPort { vertex, record: std::any::type_name::<T>(), branches: Box::new(branches.clone()) };
        if self.ports.borrow_mut().inputs.insert(name.to_owned(), port).is_some() {
            self.graph.fail(Error::DuplicateName(name.to_owned()));
        }
        Stream::new(Shared { vertex, port: 0, branches, shift: 0 }, self.graph.clone())
    }

    /// Opens an out port of this workflow: what `stream` gives leaves by it.
    pub fn output<C, P>(&self, name: &str, stream: Stream<C, P>)
    where
        C: Chain,
        P: OutPort<C::Out>,
        P::Record: Clone + Send,
    {
        let vertex = self.graph.add(port_vertex::<P::Record>(name, VertexKind::OutPort));
        self.graph.closed(vertex);
        if !stream.graph.holds(stream.chain.vertex(), &self.graph, vertex) {
            return;
        }
        self.graph.add_link(stream.end(), (vertex, 0));
        let branches = Branches::<P::Record>::new();
        let record = std::any::type_name::<P::Record>();
        let port = OpenPort { vertex, record, branches: Box::new(branches.clone()) };
        if self.ports.borrow_mut().outputs.insert(name.to_owned(), port).is_some() {
            self.graph.fail(Error::DuplicateName(name.to_owned()));
        }
        let linked = super::chain::Linked::<C, P, In> { chain: stream.chain, ports: PhantomData };
        super::chain::Upstream::close(linked, Fork::new(Some(vertex), 0, branches), &self.graph);
    }

    /// Checks what was built.
    ///
    /// # Errors
    /// The first of: an operation or strategy that refuses its configuration or place, an empty or duplicate name, a
    /// workflow without vertices, an unlinked port, a cycle; each with vertex and port named. A stream that is still
    /// held, or that was shared and is not read, counts as unlinked. To link what is still held has no effect
    /// afterwards.
    pub fn build(self) -> Result<Workflow> {
        let data = std::mem::take(&mut *self.graph.0.borrow_mut());
        let GraphData { mut vertices, drafts, links, stages, errors, .. } = data;
        let named = verify::name(&mut vertices, &drafts);
        if let Some((vertex, error)) = errors.into_iter().next() {
            return Err(match vertex.and_then(|vertex| vertices.get(vertex.0 as usize)) {
                Some(vertex) => Error::Vertex { vertex: vertex.name.clone(), reason: error.to_string() },
                None => error,
            });
        }
        named?;
        verify::origins(&mut vertices, &links, &drafts)?;
        verify::links(&vertices, &links, &drafts)?;
        verify::acyclic(&vertices, &links)?;
        Ok(Workflow { vertices, links, stages, ports: self.ports.into_inner() })
    }
}

fn port_vertex<T: 'static>(name: &str, kind: VertexKind) -> VertexInfo {
    VertexInfo {
        id: VertexId(0),
        name: name.to_owned(),
        kind,
        operation: String::new(),
        strategy: String::new(),
        in_ports: if kind == VertexKind::OutPort { vec!["in".to_owned()] } else { Vec::new() },
        out_ports: if kind == VertexKind::InPort { vec!["out".to_owned()] } else { Vec::new() },
        types: [std::any::type_name::<T>().to_owned(), std::any::type_name::<T>().to_owned()],
        nest: Vec::new(),
        parallelism: None,
    }
}

/// A vertex whose in ports are linked one by one: for operations with several.
///
/// ```
/// use skitter::prelude::*;
/// use skitter::operations::Union;
/// use skitter::workflow::In;
///
/// let workflow = WorkflowBuilder::new();
/// let (inputs, both) = workflow.vertex(Union::<u64>::new(), RoundRobin).named("both").open();
/// workflow.source(StreamSource::new(|| 0..5u64)).named("low").to(&inputs.port(In));
/// workflow.source(StreamSource::new(|| 5..9u64)).named("high").to(&inputs.port(In));
/// both.print();
/// assert!(workflow.build().is_ok());
/// ```
pub struct Vertex<O, S> {
    graph: Graph,
    vertex: VertexId,
    operation: O,
    strategy: S,
}

impl<O: Operation, S: Strategy<O>> Vertex<O, S> {
    /// Gives the vertex a name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.graph.rename(self.vertex, name);
        self
    }

    /// Asks for this number of workers in all.
    #[must_use]
    pub fn parallelism(self, workers: usize) -> Self {
        self.graph.edit(self.vertex, |info| info.parallelism = Some(workers.max(1)));
        self
    }

    /// Its in ports, to link streams to, and its stream, to put more behind it. Its strategy is fixed now, because
    /// those that are linked to the ports run a part of it:
    ///
    /// ```compile_fail,E0277
    /// # use skitter::operations::Union;
    /// # use skitter::prelude::*;
    /// # let workflow = WorkflowBuilder::new();
    /// let (inputs, both) = workflow.vertex(Union::<u64>::new(), RoundRobin).open();
    /// both.with(Broadcast).discard();
    /// ```
    pub fn open(self) -> (Inputs<O, S>, Stream<Placed<OneByOne, O, S>>) {
        let Vertex { graph, vertex, operation, strategy } = self;
        let prepared = Prepared::new(operation.clone());
        graph.keep_prepared(vertex, prepared.clone());
        let inputs = Inputs { graph: graph.clone(), vertex, operation: prepared, strategy: strategy.clone() };
        (inputs, Stream::new(Placed { upstream: OneByOne, operation, strategy, vertex }, graph))
    }
}

/// The in ports of a vertex.
pub struct Inputs<O, S> {
    graph: Graph,
    vertex: VertexId,
    operation: Prepared<O>,
    strategy: S,
}

impl<O: Operation, S: Strategy<O>> Inputs<O, S> {
    /// An in port. Any number of streams can be linked to it.
    pub fn port<P: super::InPort<O::In>>(&self, port: P) -> Input<O, S, P> {
        let _ = port;
        let (operation, strategy) = (self.operation.clone(), self.strategy.clone());
        Input { graph: self.graph.clone(), vertex: self.vertex, operation, strategy, port: PhantomData }
    }
}

/// An in port of a vertex.
pub struct Input<O, S, P> {
    pub(super) graph: Graph,
    pub(super) vertex: VertexId,
    operation: Prepared<O>,
    strategy: S,
    port: PhantomData<fn(P)>,
}

impl<O: Operation, S: Strategy<O>, P> Input<O, S, P> {
    pub(super) fn deliver(&self) -> Deliver<S, O> {
        Deliver::new(self.vertex, self.strategy.clone(), self.operation.clone())
    }
}

/// A workflow that has been checked: a recipe that can be drawn, nested in another one, or deployed.
pub struct Workflow {
    pub(super) vertices: Vec<VertexInfo>,
    pub(super) links: Vec<LinkInfo>,
    pub(super) stages: BTreeMap<VertexId, (u32, Arc<dyn StageFactory>)>,
    pub(super) ports: Ports,
}

impl std::fmt::Debug for Workflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workflow").field("vertices", &self.vertices).field("links", &self.links).finish_non_exhaustive()
    }
}

impl Workflow {
    /// The vertices, in the order of building.
    pub fn vertices(&self) -> &[VertexInfo] {
        &self.vertices
    }

    /// The links.
    pub fn links(&self) -> &[LinkInfo] {
        &self.links
    }

    /// The vertices that have workers, each with its recipe and the offset of the numbers in it.
    pub fn stages(&self) -> impl Iterator<Item = (VertexId, u32, &Arc<dyn StageFactory>)> {
        self.stages.iter().map(|(vertex, (offset, stage))| (*vertex, *offset, stage))
    }

    /// Whether every port is linked, so that the workflow can be deployed.
    ///
    /// # Errors
    /// [`Error::OpenPort`] for the first one that is not.
    pub fn closed(&self) -> Result<()> {
        match self.ports.inputs.keys().chain(self.ports.outputs.keys()).next() {
            Some(port) => Err(Error::OpenPort(port.clone())),
            None => Ok(()),
        }
    }

    /// A number that two nodes compare to know that they built the same workflow: equal for equal vertices, ports,
    /// types and links, whatever the process. It does not see into user code; the build's fingerprint does.
    pub fn fingerprint(&self) -> u64 {
        let links: Vec<_> =
            self.links.iter().map(|link| (link.from.0.0, link.from.1, link.to.0.0, link.to.1)).collect();
        let vertices: Vec<_> = self
            .vertices
            .iter()
            .map(|v| (&v.name, &v.operation, &v.strategy, &v.in_ports, &v.out_ports, &v.types))
            .collect();
        crate::codec::stable_hash(&(vertices, links))
    }
}
