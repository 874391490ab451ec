//! A master whose deployments share its workers, on a simulated network.

use std::pin::pin;
use std::sync::{Condvar, MutexGuard};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::*;
use crate::actor::Census;
use crate::net::mapper::MAPPER_PORT;
use crate::net::{Cookie, Fingerprint, Silence, Simulated};
use crate::node::worker::{self, WorkerOptions};
use crate::runtime::{DeploymentHandle, Phase, Settings, Summary};
use crate::workflow::Result;

/// How long a test waits for what must come: many times what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers of the workflow that has an end.
const NUMBERS: u64 = 200_000;

/// The number at which it waits until it may go on.
const HALF: u64 = NUMBERS / 2;

/// What the workflows of all nodes share, as far as a test wants to see or hold it.
#[derive(Default)]
struct Shared {
    bounded: Mutex<Vec<u64>>,
    endless: Mutex<Vec<u64>>,
    may_go_on: Mutex<bool>,
    goes_on: Condvar,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn let_go_on(&self) {
        *locked(&self.may_go_on) = true;
        self.goes_on.notify_all();
    }

    fn wait(&self) {
        let wait = self.goes_on.wait_timeout_while(locked(&self.may_go_on), PATIENCE, |may| !*may);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
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

/// The workflows.
#[derive(Clone, Default)]
struct Workflows(Arc<Shared>);

impl Catalog for Workflows {
    fn build(&self, name: &str, _arguments: &[String]) -> Result<Workflow> {
        use crate::operations::StreamSource;
        use crate::strategies::RoundRobin;
        use crate::workflow::WorkflowBuilder;

        let (shared, workflow) = (Arc::clone(&self.0), WorkflowBuilder::new());
        match name {
            "bounded" => {
                let waits = Arc::clone(&shared);
                let wait = move |n: u64| {
                    if n == HALF {
                        waits.wait();
                    }
                    n
                };
                let keep = move |n: u64| locked(&shared.bounded).push(n);
                workflow.source(StreamSource::new(|| 0..NUMBERS)).map(wait).map(keep).with(RoundRobin).discard();
            }
            "endless" => {
                let keep = move |n: u64| locked(&shared.endless).push(n);
                let dawdle = |n: u64| {
                    std::thread::park_timeout(Duration::from_micros(100));
                    n
                };
                workflow.source(StreamSource::new(|| 0u64..)).map(dawdle).map(keep).with(RoundRobin).discard();
            }
            _ => {
                let lies = workflow.source(StreamSource::new(|| 0..64u64)).map(|_| Lie);
                lies.map(|_| 1u64).with(RoundRobin).named("believer").discard();
            }
        }
        workflow.build()
    }
}

/// A master with two workers, each on a host of its own.
struct Scene {
    network: Simulated,
    master: Master,
    workflows: Workflows,
    _presence: Presence,
}

fn settings(network: &Simulated, name: &str, host: &str) -> NodeSettings {
    NodeSettings {
        name: NodeName::new(name, host).expect("a name"),
        tags: Vec::new(),
        listen: "[::]:0".parse().expect("an address"),
        mapper_port: MAPPER_PORT,
        cookie: Cookie::new("secret").expect("a cookie"),
        build: Fingerprint([7; 32]),
        runtime: Settings { cores: 2, threads: 2, name: format!("{name}@{host}"), ..Settings::default() },
        transport: network.host(host),
        credentials: None,
    }
}

impl Scene {
    async fn new() -> Scene {
        let (network, workflows) = (Simulated::new(1), Workflows::default());
        for name in ["w1", "w2"] {
            let (settings, catalog) = (settings(&network, name, name), Arc::new(workflows.clone()));
            // Ends with its master.
            let work = move || {
                let (mut signals, mut console) = (Signals::none(), Console::none());
                drop(worker::run(settings, catalog, WorkerOptions::default(), &mut signals, &mut console));
            };
            actor::thread(name.to_owned(), &Census::new(), work, drop).expect("a thread");
        }
        let settings = settings(&network, "m", "m");
        let (endpoint, presence) = Endpoint::open(&settings, Mode::Master).await.expect("a free port");
        let runtime = Runtime::with(settings.runtime).expect("a runtime");
        let mut master = Master::new(endpoint, runtime, MasterOptions::default());
        let begin = Instant::now();
        for name in ["w1", "w2"] {
            let address = NodeAddress::parse(&format!("{name}@{name}"), "").expect("an address");
            let session = loop {
                match master.endpoint.dial(&address, Purpose::Control, Mode::Worker).await {
                    Ok(session) => break session,
                    Err(refusal) => assert!(begin.elapsed() < PATIENCE, "{refusal}"),
                }
            };
            master.meet(session).expect("it is let in");
        }
        Scene { network, master, workflows, _presence: presence }
    }

    fn deploy(&mut self, name: &str) -> DeploymentHandle {
        let workflow = self.workflows.build(name, &[]).expect("a workflow");
        self.master.deploy(name, Vec::new(), workflow, (None, Vec::new())).expect("it can be deployed").0
    }

    /// The master does its work while somebody waits.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let (mut work, end) = (pin!(timeout(PATIENCE, work)), Instant::now() + PATIENCE);
        let mut tick = interval(HEARTBEAT);
        loop {
            tokio::select! {
                biased;
                Some((number, heard)) = self.master.heard.recv() => self.master.hear(number, heard),
                done = &mut work => return done.expect("in time"),
                _ = tick.tick() => self.master.look(),
            }
            assert!(Instant::now() < end + HEARTBEAT, "it takes too long");
        }
    }

    /// Until this is so.
    async fn until(&mut self, is_so: impl Fn(&Shared) -> bool) {
        let shared = Arc::clone(&self.workflows.0);
        let mut look = interval(Duration::from_millis(1));
        self.during(async {
            while !is_so(&shared) {
                look.tick().await;
            }
        })
        .await;
    }

    async fn ended(&mut self, deployment: &DeploymentHandle) -> Result<Summary> {
        self.during(deployment.ended()).await
    }

    /// The workflow with an end has come to it, and each number has come once.
    async fn completes(mut self, bounded: &DeploymentHandle) {
        assert_eq!(bounded.status().phase, Phase::Running);
        self.workflows.0.let_go_on();
        let summary = self.ended(bounded).await.expect("it completes");
        assert!(!summary.stopped);
        assert_eq!(sorted(&self.workflows.0.bounded), (0..NUMBERS).collect::<Vec<_>>());
        self.master.tell_all(&ToWorker::Shutdown).await;
    }
}

fn sorted(numbers: &Mutex<Vec<u64>>) -> Vec<u64> {
    let mut numbers = locked(numbers).clone();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_deployment_is_stopped_in_order_and_the_other_one_goes_on() {
    let mut scene = Scene::new().await;
    let (bounded, endless) = (scene.deploy("bounded"), scene.deploy("endless"));
    assert_ne!(bounded.id(), endless.id());
    scene.until(|shared| locked(&shared.bounded).len() > 100 && locked(&shared.endless).len() > 100).await;
    endless.stop();
    let summary = scene.ended(&endless).await.expect("it stops");
    assert!(summary.stopped);
    // What its source had emitted has arrived.
    let kept = sorted(&scene.workflows.0.endless);
    assert_eq!(kept, (0..kept.len() as u64).collect::<Vec<_>>());
    assert_eq!(summary.vertex("stream source").map(|vertex| vertex.emitted()), Some(kept.len() as u64));
    scene.completes(&bounded).await;
}

#[tokio::test]
async fn a_deployment_fails_by_its_batches_and_the_others_go_on() {
    let mut scene = Scene::new().await;
    let (bounded, lies, endless) = (scene.deploy("bounded"), scene.deploy("lies"), scene.deploy("endless"));
    let failed = scene.ended(&lies).await.expect_err("it fails").to_string();
    for part in ["vertex `believer`, worker ", " on `w2@w2`: ", "a batch from `w1@w1` cannot be read: "] {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    let before = locked(&scene.workflows.0.endless).len();
    scene.until(|shared| locked(&shared.endless).len() > before + 100).await;
    // Nor does it harm those that come later.
    let again = scene.deploy("lies");
    scene.ended(&again).await.expect_err("it fails");
    endless.stop();
    scene.ended(&endless).await.expect("it stops");
    scene.completes(&bounded).await;
}

#[tokio::test]
async fn a_deployment_is_given_up_and_the_other_one_goes_on() {
    let mut scene = Scene::new().await;
    let (bounded, endless) = (scene.deploy("bounded"), scene.deploy("endless"));
    scene.until(|shared| locked(&shared.endless).len() > 100).await;
    endless.abort();
    assert!(matches!(scene.ended(&endless).await, Err(Error::Aborted)));
    scene.completes(&bounded).await;
}

/// They do not watch each other yet; the first thing that they find is that they cannot begin to.
#[tokio::test]
async fn workers_that_are_cut_off_at_once_find_out_in_seven_seconds() {
    let mut scene = Scene::new().await;
    let endless = scene.deploy("endless");
    scene.until(|shared| !locked(&shared.endless).is_empty()).await;
    scene.network.partition("w1", "w2", Silence::Lose);
    let begin = Instant::now();
    let failed = scene.ended(&endless).await.expect_err("it fails").to_string();
    assert!(failed.starts_with("`w1@w1`: cannot connect to `w2@w2`: "), "{failed}");
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    scene.master.tell_all(&ToWorker::Shutdown).await;
}
