//! The vertices and links of a workflow that is being built.

use std::any::{Any, TypeId, type_name};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::stage::StageFactory;
use super::{Error, Operation, Origin, Prepared, Strategy};
use crate::id::VertexId;

/// What a vertex is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Its name, unique among the vertices of its kind in the workflow; `outer/inner` in a nested one.
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
    /// What is known of each vertex until it has been checked.
    pub drafts: Vec<Draft>,
    pub links: Vec<LinkInfo>,
    /// With the offset of the numbers that the stage was built with.
    pub stages: BTreeMap<VertexId, (u32, Arc<dyn StageFactory>)>,
    /// The names of the workflows that are nested here.
    pub nests: BTreeSet<String>,
    /// What went wrong, with the vertex to be named.
    pub errors: Vec<(Option<VertexId>, Error)>,
    /// The operations of vertices that senders know before the vertex is closed, each a [`Prepared`].
    prepared: BTreeMap<VertexId, Box<dyn Any>>,
}

/// What is known of a vertex until it has been checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// Whether the user gave it its name.
    pub named: bool,
    /// Whether it was made as a source.
    pub source: bool,
    /// Where its strategy takes records from.
    pub origin: Origin,
    /// Whether something stands behind it.
    pub closed: bool,
    /// The out ports whose streams are shared and not read by anybody yet.
    pub unread: BTreeSet<usize>,
    /// The out ports that were asked for one by one.
    pub taken: BTreeSet<usize>,
}

/// A workflow that is being built. Strategies that close chains themselves add their stages to it.
///
/// Streams and sinks that are still held after `build()` find it empty; what is done with them then has no effect.
#[derive(Clone, Default)]
pub struct Graph(pub(super) Rc<RefCell<GraphData>>);

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Graph").field(&self.0.borrow().vertices).finish()
    }
}

impl Graph {
    pub(super) fn add_vertex<O: Operation, S: Strategy<O>>(&self, operation: &O) -> VertexId {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let takes_nothing = TypeId::of::<O::In>() == TypeId::of::<Infallible>();
        let id = self.add(VertexInfo {
            id: VertexId(0),
            name: O::NAME.to_owned(),
            kind: VertexKind::Operation,
            operation: O::NAME.to_owned(),
            strategy: S::NAME.to_owned(),
            in_ports: if takes_nothing { Vec::new() } else { owned(O::IN_PORTS) },
            out_ports: owned(O::OUT_PORTS),
            types: [type_name::<O::In>().to_owned(), type_name::<O::Out>().to_owned()],
            nest: Vec::new(),
            parallelism: None,
        });
        self.draft(id, |draft| draft.origin = S::ORIGIN);
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
        data.drafts.push(Draft::default());
        id
    }

    pub(super) fn add_link(&self, from: (VertexId, usize), to: (VertexId, usize)) {
        self.0.borrow_mut().links.push(LinkInfo { from, to });
    }

    /// Whether the vertex `to` of `other` is in this workflow, so that `from` can be linked to it; if not, both
    /// workflows fail to build.
    pub(super) fn holds(&self, from: VertexId, other: &Graph, to: VertexId) -> bool {
        let same = Rc::ptr_eq(&self.0, &other.0);
        if !same {
            self.refuse(
                from,
                "its stream was linked to a vertex of another workflow; nest that one in this to link them",
            );
            other.refuse(to, "a stream of another workflow was linked to it; nest that one in this to link them");
        }
        same
    }

    /// Registers the workers of a vertex.
    pub(super) fn add_stage(&self, vertex: VertexId, stage: impl StageFactory + 'static) {
        self.0.borrow_mut().stages.insert(vertex, (0, Arc::new(stage)));
    }

    /// Keeps the operation of a vertex for when it is closed.
    pub(super) fn keep_prepared<O: Operation>(&self, vertex: VertexId, operation: Prepared<O>) {
        self.0.borrow_mut().prepared.insert(vertex, Box::new(operation));
    }

    /// The operation of a vertex, the same for all that use it, so that it is prepared once.
    pub(super) fn prepared<O: Operation>(&self, vertex: VertexId, operation: O) -> Prepared<O> {
        let kept = self.0.borrow().prepared.get(&vertex).and_then(|kept| kept.downcast_ref::<Prepared<O>>().cloned());
        kept.unwrap_or_else(|| Prepared::new(operation))
    }

    pub(super) fn closed(&self, vertex: VertexId) {
        self.draft(vertex, |draft| draft.closed = true);
    }

    pub(super) fn rename(&self, vertex: VertexId, name: &str) {
        self.edit(vertex, |info| name.clone_into(&mut info.name));
        self.draft(vertex, |draft| draft.named = true);
    }

    /// Gives a vertex another strategy.
    pub(super) fn set_strategy<O: Operation, S: Strategy<O>>(&self, vertex: VertexId) {
        self.edit(vertex, |info| S::NAME.clone_into(&mut info.strategy));
        self.draft(vertex, |draft| draft.origin = S::ORIGIN);
    }

    pub(super) fn edit(&self, vertex: VertexId, edit: impl FnOnce(&mut VertexInfo)) {
        self.0.borrow_mut().vertices.get_mut(vertex.0 as usize).map(edit);
    }

    pub(super) fn draft<R>(&self, vertex: VertexId, edit: impl FnOnce(&mut Draft) -> R) -> Option<R> {
        self.0.borrow_mut().drafts.get_mut(vertex.0 as usize).map(edit)
    }

    pub(super) fn fail(&self, error: Error) {
        self.0.borrow_mut().errors.push((None, error));
    }

    /// Makes `build()` fail with this reason, naming the vertex.
    pub fn refuse(&self, vertex: VertexId, reason: &str) {
        self.check_failed(vertex, Error::Operation(reason.to_owned()));
    }

    pub(super) fn check_failed(&self, vertex: VertexId, error: Error) {
        self.0.borrow_mut().errors.push((Some(vertex), error));
    }
}
