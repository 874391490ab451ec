//! The vertices and links of a workflow that is being built.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::stage::StageFactory;
use super::{Error, Operation};
use crate::id::VertexId;

/// What a vertex is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VertexKind {
    /// An operation with its strategy.
    Operation,
    /// An in port of a workflow that is, or can be, nested in another one.
    InPort,
    /// An out port of a workflow that is, or can be, nested in another one.
    OutPort,
}

/// A vertex, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VertexInfo {
    /// Its number.
    pub id: VertexId,
    /// Its name, unique in the workflow; `outer/inner` in a nested one.
    pub name: String,
    /// What it is.
    pub kind: VertexKind,
    /// The name of the operation.
    pub operation: String,
    /// The name of the strategy.
    pub strategy: String,
    /// The names of its in ports.
    pub in_ports: Vec<String>,
    /// The names of its out ports.
    pub out_ports: Vec<String>,
    /// The types of its records, in and out: part of the workflow's fingerprint.
    pub types: [String; 2],
    /// The names of the workflows that it is nested in, the outermost first.
    pub nest: Vec<String>,
    /// The number of workers that the user asked for.
    pub parallelism: Option<usize>,
}

/// A link from an out port to an in port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkInfo {
    /// Vertex and port that it leaves from.
    pub from: (VertexId, usize),
    /// Vertex and port that it leads to.
    pub to: (VertexId, usize),
}

#[derive(Default)]
pub(super) struct GraphData {
    pub vertices: Vec<VertexInfo>,
    /// By vertex: whether its name was given by the user, and whether something stands behind it.
    pub named: Vec<bool>,
    pub closed: Vec<bool>,
    pub links: Vec<LinkInfo>,
    /// With the offset of the numbers that the stage was built with.
    pub stages: BTreeMap<VertexId, (u32, Arc<dyn StageFactory>)>,
    pub errors: Vec<Error>,
}

/// A workflow that is being built. Strategies that close chains themselves add their stages to it.
#[derive(Clone, Default)]
pub struct Graph(pub(super) Rc<RefCell<GraphData>>);

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Graph").field(&self.0.borrow().vertices).finish()
    }
}

impl Graph {
    pub(super) fn add_vertex<O: Operation>(&self, operation: &O, strategy: &'static str) -> VertexId {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let source = std::any::TypeId::of::<O::In>() == std::any::TypeId::of::<std::convert::Infallible>();
        let id = self.add(VertexInfo {
            id: VertexId(0),
            name: O::NAME.to_owned(),
            kind: VertexKind::Operation,
            operation: O::NAME.to_owned(),
            strategy: strategy.to_owned(),
            in_ports: if source { Vec::new() } else { owned(O::IN_PORTS) },
            out_ports: owned(O::OUT_PORTS),
            types: [std::any::type_name::<O::In>().to_owned(), std::any::type_name::<O::Out>().to_owned()],
            nest: Vec::new(),
            parallelism: None,
        });
        if let Err(error) = operation.check() {
            self.check_failed(id, error);
        }
        id
    }

    pub(super) fn add(&self, mut vertex: VertexInfo) -> VertexId {
        let mut data = self.0.borrow_mut();
        let id = VertexId(data.vertices.len() as u32);
        vertex.id = id;
        data.vertices.push(vertex);
        data.named.push(false);
        data.closed.push(false);
        id
    }

    pub(super) fn add_link(&self, from: (VertexId, usize), to: (VertexId, usize)) {
        self.0.borrow_mut().links.push(LinkInfo { from, to });
    }

    /// Registers the workers of a vertex.
    pub(super) fn add_stage(&self, vertex: VertexId, stage: impl StageFactory + 'static) {
        self.0.borrow_mut().stages.insert(vertex, (0, Arc::new(stage)));
    }

    pub(super) fn closed(&self, vertex: VertexId) {
        self.0.borrow_mut().closed[vertex.0 as usize] = true;
    }

    pub(super) fn rename(&self, vertex: VertexId, name: &str) {
        let mut data = self.0.borrow_mut();
        name.clone_into(&mut data.vertices[vertex.0 as usize].name);
        data.named[vertex.0 as usize] = true;
    }

    pub(super) fn edit(&self, vertex: VertexId, edit: impl FnOnce(&mut VertexInfo)) {
        edit(&mut self.0.borrow_mut().vertices[vertex.0 as usize]);
    }

    pub(super) fn fail(&self, error: Error) {
        self.0.borrow_mut().errors.push(error);
    }

    /// Makes `build()` fail with this reason, naming the vertex.
    pub fn refuse(&self, vertex: VertexId, reason: &str) {
        self.check_failed(vertex, Error::Operation(reason.to_owned()));
    }

    pub(super) fn check_failed(&self, vertex: VertexId, error: Error) {
        let name = self.0.borrow().vertices[vertex.0 as usize].name.clone();
        self.fail(Error::Vertex { vertex: name, reason: error.to_string() });
    }
}
