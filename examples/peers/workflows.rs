//! Workflows by which one can see what a bad peer does to the others.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use skitter::id::Tag;
use skitter::prelude::*;
use skitter::workflow::{Cluster, Deployment, Extended, Extension};
use skitter::{NoArgs, WorkflowEntry, clap, workflow};

/// Bytes of a record of the flood.
const RECORD: usize = 8192;

/// Records after which the trickle says that it goes on.
const SAYS: u64 = 100;

pub fn all() -> [WorkflowEntry; 4] {
    [
        workflow("unequal", "A flood to all nodes, and a trickle beside it", unequal),
        workflow("lies", "Has records that claim to be larger than memory", lies),
        workflow("differs", "Is another one wherever DIFFERS is set", differs),
        workflow("numbers", "Prints numbers from all nodes until it is stopped", numbers),
    ]
}

#[derive(clap::Args)]
struct Unequal {
    /// Records of the flood, 8 KiB each
    #[arg(long)]
    flood: u64,
    /// Records of the trickle, one a millisecond
    #[arg(long)]
    trickle: u64,
    /// The trickle goes to nodes with this tag alone
    #[arg(long)]
    tag: Option<Tag>,
}

/// The flood comes first: what takes it is the vertex with number [`TAKEN`](super::cable::TAKEN).
fn unequal(args: &Unequal) -> Result<Workflow> {
    let Unequal { flood, trickle, ref tag } = *args;
    let workflow = WorkflowBuilder::new();
    let records = move || (0..flood).map(|_| "x".repeat(RECORD));
    let length = |record: String| record.len() as u64;
    workflow.source(StreamSource::new(records)).named("flood").map(length).with(RoundRobin).named("taken").discard();

    let dawdle = |n: u64| {
        std::thread::park_timeout(Duration::from_millis(1));
        n
    };
    let look = |n: u64| {
        if n.is_multiple_of(SAYS) {
            tracing::info!(n, "The trickle goes on");
        }
        n
    };
    let trickle = workflow.source(StreamSource::new(move || 0..trickle)).named("trickle").map(dawdle).named("dawdle");
    trickle.map(look).with(Extended(OnTag(tag.clone()))).named("seen").discard();
    workflow.build()
}

/// One worker after the other, of those on nodes that have a tag.
#[derive(Clone)]
struct OnTag(Option<Tag>);

impl<O: Operation> Extension<O> for OnTag
where
    RoundRobin: Strategy<O>,
{
    type Base = RoundRobin;
    const NAME: &'static str = "on tag";

    fn base(&self) -> &RoundRobin {
        &RoundRobin
    }

    fn deploy(&self, operation: &O, cluster: &Cluster) -> Result<Deployment> {
        match &self.0 {
            Some(tag) => Ok(cluster.on_tagged_worker_cores(tag)),
            None => RoundRobin.deploy(operation, cluster),
        }
    }
}

/// Is written as a list of 2^40 numbers of which none follows.
#[derive(Clone, Debug)]
struct Lie;

impl Serialize for Lie {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (1u64 << 40).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lie {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lie, D::Error> {
        Vec::<u64>::deserialize(deserializer).map(|_| Lie)
    }
}

fn lies(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let lies = workflow.source(StreamSource::new(|| 0..64u64)).map(|_| Lie);
    lies.map(|_| 1u64).with(RoundRobin).named("believer").discard();
    workflow.build()
}

fn differs(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let name = if std::env::var_os("DIFFERS").is_some() { "another" } else { "one" };
    workflow.source(StreamSource::new(|| 0..9u64)).map(|n| n).named(name).with(RoundRobin).print();
    workflow.build()
}

fn numbers(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let dawdle = |n: u64| {
        std::thread::park_timeout(Duration::from_millis(1));
        n
    };
    workflow.source(StreamSource::split(|_| 0u64..)).map(dawdle).map(|n| n).with(RoundRobin).print();
    workflow.build()
}
