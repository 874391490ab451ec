//! How many prime numbers are there below a limit? Work for processors, on the nodes that have a tag.

use skitter::clap;
use skitter::id::Tag;
use skitter::prelude::*;
use skitter::workflow::{Cluster, Deployment, Extended, Extension};

/// Numbers that are looked at together: enough work, some 100 µs, to be worth the way to another worker.
const CHUNK: u64 = 1000;

#[derive(clap::Args)]
pub struct Primes {
    /// Count the primes below this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    below: u64,

    /// Work only on nodes that have this tag; on all, if none has it [default: all nodes]
    #[arg(long)]
    tag: Option<Tag>,
}

pub fn primes(args: &Primes) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let below = args.below;
    workflow
        .source(StreamSource::new(move || (0..below).step_by(CHUNK as usize)))
        .named("chunks")
        .map(move |begin| (begin..below.min(begin + CHUNK)).filter(|n| is_prime(*n)).count() as u64)
        .with(Extended(OnTag(args.tag.clone())))
        .named("primes")
        .fold(0u64, |sum, primes| *sum += primes)
        .print();
    workflow.build()
}

fn is_prime(n: u64) -> bool {
    n >= 2 && (2..=n.isqrt()).all(|d| !n.is_multiple_of(d))
}

/// The least loaded worker gets a record, as with `Rebalance`, but there are only workers on nodes that have a tag.
#[derive(Clone)]
struct OnTag(Option<Tag>);

impl<O: Operation> Extension<O> for OnTag
where
    Rebalance: Strategy<O>,
{
    type Base = Rebalance;
    const NAME: &'static str = "on tag";

    fn base(&self) -> &Rebalance {
        &Rebalance
    }

    fn deploy(&self, operation: &O, cluster: &Cluster) -> Result<Deployment> {
        match &self.0 {
            Some(tag) => Ok(cluster.on_tagged_worker_cores(tag)),
            None => Rebalance.deploy(operation, cluster),
        }
    }
}
