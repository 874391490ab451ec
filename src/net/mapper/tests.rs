//! Tests of the port mapper, over real sockets where it is about those, and simulated ones where it is about time.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;
use crate::net::{BoxFuture, BoxStream, Simulated, Tcp};

/// Nodes of a host, each with its lease.
struct Nodes {
    transport: Arc<dyn Transport>,
    port: u16,
    running: FuturesUnordered<BoxFuture<'static, (String, Option<Refusal>)>>,
    ended: Vec<(String, Refusal)>,
}

/// A port that is free, that the system gives to nobody who asks for any, and no other test is likely to find.
fn free_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let (first, last) = (10_000, 30_000);
    let dice = crate::codec::stable_hash(&(std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed)));
    let start = first + u16::try_from(dice % u64::from(last - first)).unwrap_or(0);
    let mut ports = (start..last).chain(first..start);
    ports.find(|port| TcpListener::bind(("::", *port)).is_ok()).expect("a free port")
}

impl Nodes {
    fn real() -> Nodes {
        Nodes::on(Arc::new(Tcp), free_port())
    }

    fn on(transport: Arc<dyn Transport>, port: u16) -> Nodes {
        Nodes { transport, port, running: FuturesUnordered::new(), ended: Vec::new() }
    }

    /// Does something while the nodes run.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let Nodes { running, ended, .. } = self;
        let runs = async {
            while let Some((name, refusal)) = running.next().await {
                ended.extend(refusal.map(|refusal| (name, refusal)));
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = runs => unreachable!("it never ends"),
            result = work => result,
        }
    }

    async fn join(&mut self, name: &str, own_port: u16) -> Result<Node, Refusal> {
        let lease = self.during(join(Arc::clone(&self.transport), self.port, name, own_port)).await?;
        Ok(self.start(lease))
    }

    fn start(&mut self, lease: Lease) -> Node {
        let (name, holds) = (lease.wish.name.clone(), lease.holds_the_port());
        let (run, handle) = abortable(lease.run());
        self.running.push(Box::pin(async move { (name, run.await.ok()) }));
        Node { handle, holds }
    }

    async fn lookup(&mut self, name: &str) -> Result<u16, Refusal> {
        let (transport, port) = (Arc::clone(&self.transport), self.port);
        self.during(lookup(&*transport, "localhost", port, name)).await
    }

    async fn reason(&mut self, name: &str) -> Reason {
        self.lookup(name).await.expect_err("nobody").reason
    }

    /// Looks a name up until it is there: nobody answers while the port goes from one to the other.
    async fn found(&mut self, name: &str) -> u16 {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            match self.lookup(name).await {
                Ok(port) => return port,
                Err(refusal) => assert!(Instant::now() < end, "{name}: {refusal}"),
            }
        }
    }
}

struct Node {
    handle: AbortHandle,
    holds: bool,
}

impl Node {
    fn kill(&self) {
        self.handle.abort();
    }
}

#[tokio::test]
async fn nodes_of_a_host_are_found_by_name() {
    let mut nodes = Nodes::real();
    assert_eq!(nodes.reason("worker1").await, Reason::NotConnected, "there is no mapper");
    assert!(nodes.join("worker1", 4001).await.expect("the first").holds);
    let second = nodes.join("worker2", 4002).await.expect("the second");
    assert!(!second.holds);
    assert!(!nodes.join("master", 4003).await.expect("the third").holds);
    assert_eq!(nodes.lookup("worker1").await, Ok(4001));
    assert_eq!(nodes.lookup("worker2").await, Ok(4002));
    assert_eq!(nodes.lookup("master").await, Ok(4003));
    assert_eq!(
        nodes.lookup("worker3").await.expect_err("nobody").to_string(),
        "not_connected (there is no node `worker3` on `localhost`)"
    );
    assert_eq!(nodes.reason("a b\n").await, Reason::NotConnected);

    for name in ["worker1", "worker2"] {
        let refusal = nodes.join(name, 5000).await.err().expect("a living node has the name");
        assert_eq!(refusal.reason, Reason::NameTaken);
    }
    second.kill();
    nodes.join("worker2", 5002).await.expect("its name is free at once");
    assert_eq!(nodes.found("worker2").await, 5002);
}

#[tokio::test]
async fn the_mapper_is_taken_over_and_nobody_loses_a_name() {
    let mut nodes = Nodes::real();
    let mut living = std::collections::VecDeque::new();
    for number in 0..16 {
        let (name, port) = (format!("worker{number}"), 4000 + number);
        living.push_back((name.clone(), port, nodes.join(&name, port).await.expect("a name")));
        if living.len() > 4 {
            // One of those that are killed holds the port: the first, for example.
            let (dead, _, node) = living.pop_front().expect("somebody");
            node.kill();
            for (name, port, _) in &living {
                assert_eq!(nodes.found(name).await, *port);
            }
            assert_eq!(nodes.reason(&dead).await, Reason::NotConnected);
            nodes.join(&dead, 9).await.expect("the name of the dead is free").kill();
        }
    }
    assert_eq!(nodes.ended, []);
}

#[tokio::test]
async fn who_had_a_name_keeps_it_against_who_comes_first_after_the_holder_has_died() {
    let mut nodes = Nodes::real();
    let join = |name, own_port| join(Arc::clone(&nodes.transport), nodes.port, name, own_port);
    let mut holder = Box::pin(join("holder", 1).await.expect("the port").run());
    let worker = tokio::select! {
        biased;
        _ = &mut holder => unreachable!("its name is its own"),
        worker = join("worker", 2) => worker.expect("a name"),
    };
    drop(holder);
    let newcomer = join("worker", 3).await.expect("the port, before anybody else looks");
    assert!(newcomer.holds_the_port() && !worker.holds_the_port());
    nodes.start(newcomer);
    nodes.start(worker);
    while nodes.ended.is_empty() {
        // The newcomer may be asked before the other comes, or nobody may be there.
        let _ = nodes.lookup("worker").await;
    }
    assert_eq!(nodes.ended.iter().map(|(_, refusal)| refusal.reason).collect::<Vec<_>>(), [Reason::NameTaken]);
    assert_eq!(nodes.found("worker").await, 2);
    nodes.join("another", 4).await.expect("a name");
    assert_eq!((nodes.found("another").await, nodes.found("worker").await), (4, 2));
    assert_eq!(nodes.ended.len(), 1);
}

#[tokio::test]
async fn who_says_nothing_or_nonsense_keeps_nobody_out() {
    let mut nodes = Nodes::real();
    nodes.join("worker", 4001).await.expect("a name");
    let (transport, port) = (Arc::clone(&nodes.transport), nodes.port);
    let mut silent = Vec::new();
    for number in 0..600 {
        let mut stream = nodes.during(transport.connect("127.0.0.1", port)).await.expect("a listener");
        let nonsense: &[u8] = match number % 6 {
            0 => b"",
            1 => b"GET / HTTP/1.1\r\n\r\n",
            2 => b"SKTRMAP 1 lookup ",
            3 => b"SKTRMAP 1 lookup a b c\n",
            4 => &[0; 5000],
            _ => &[b'S'; 513],
        };
        // It may have closed the connection by now.
        let _ = nodes.during(stream.write_all(nonsense)).await;
        silent.push(stream);
        if number % 50 == 0 {
            assert_eq!(nodes.lookup("worker").await, Ok(4001));
        }
    }
    assert_eq!(nodes.lookup("worker").await, Ok(4001));
    nodes.join("worker2", 4002).await.expect("a name");
    // Those that could not become a question were closed, and the oldest of the others.
    let mut closed = 0;
    for stream in &mut silent {
        let mut bytes = [0; 100];
        let ended = async {
            loop {
                match stream.read(&mut bytes).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        closed += usize::from(nodes.during(timeout(Duration::from_millis(1), ended)).await.is_ok());
    }
    assert!(closed >= 600 - 128, "{closed}");
    assert_eq!(nodes.ended, []);
}

/// A host `liar` at whose mapper's port somebody answers so, and closes the connection; or not.
async fn asked(answer: &[u8], closes: bool) -> (Refusal, Duration) {
    let network = Simulated::new(1);
    let liar = network.host("liar");
    let mut listener = liar.listen("[::]:4370".parse().expect("an address")).await.expect("a free port");
    let lies = async {
        let mut kept = Vec::<BoxStream>::new();
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut question = [0; 100];
            let _ = stream.read(&mut question).await;
            stream.write_all(answer).await.expect("a peer");
            if !closes {
                kept.push(stream);
            }
        }
    };
    let here = network.host("here");
    let start = Instant::now();
    let lookup = async { (lookup(&*here, "liar", MAPPER_PORT, "worker").await.expect_err("a lie"), start.elapsed()) };
    tokio::select! {
        biased;
        () = lies => unreachable!("it never ends"),
        refused = lookup => refused,
    }
}

#[tokio::test(start_paused = true)]
async fn a_mapper_that_lies_is_not_believed() {
    for (answer, reason) in [
        (b"SKTRMAP 1 port 0\n".as_slice(), Reason::NotSkitter),
        (b"SKTRMAP 1 port 99999\n", Reason::NotSkitter),
        (b"SKTRMAP 1 pot 9\n", Reason::NotSkitter),
        (b"SKTRMAP 1 unknown\n", Reason::NotConnected),
        (b"SKTRMAP 1 taken\n", Reason::Incompatible),
        (b"SKTRMAP 1 malformed\n", Reason::Incompatible),
        (b"SKTRMAP 2 at 9\n", Reason::Incompatible),
        (b"HTTP/1.1 400 Bad Request\r\n", Reason::NotSkitter),
        (&[0; 9000], Reason::NotSkitter),
        (&[b'S'; 9000], Reason::NotSkitter),
    ] {
        for closes in [false, true] {
            let (refusal, took) = asked(answer, closes).await;
            assert_eq!(refusal.reason, reason, "{refusal}");
            assert!(took < Duration::from_millis(100), "{took:?}");
        }
    }
    let (refusal, _) = asked(b"SKTRMAP 1 po", true).await;
    assert_eq!(refusal.reason, Reason::NotSkitter, "{refusal}");
    let (refusal, _) = asked(b"", true).await;
    assert_eq!(refusal.reason, Reason::NotSkitter, "{refusal}");
    for part in [b"".as_slice(), b"SKTRMAP 1 po"] {
        let (refusal, took) = asked(part, false).await;
        assert_eq!((refusal.reason, took), (Reason::NotConnected, LINE_TIMEOUT), "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_in_other_hands_is_no_mapper() {
    for (answer, reason) in [
        (b"HTTP/1.1 400 Bad Request\r\n".as_slice(), Reason::NotSkitter),
        (b"SKTRMAP 1 unknown\n", Reason::Incompatible),
        (b"SKTRMAP 1 full\n", Reason::NotConnected),
        (b"", Reason::NotConnected),
    ] {
        let host = Simulated::new(1).host("here");
        let mut listener = host.listen("[::]:4370".parse().expect("an address")).await.expect("a free port");
        let answers = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.write_all(answer).await.expect("a peer");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = answers => unreachable!("it never ends"),
            joined = join(Arc::<crate::net::SimulatedHost>::clone(&host), MAPPER_PORT, "worker", 1) => {
                assert_eq!(joined.expect_err("no mapper").reason, reason);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_nodes_of_the_host_register() {
    let network = Simulated::new(1);
    let mut nodes = Nodes::on(network.host("here"), MAPPER_PORT);
    nodes.join("worker", 4001).await.expect("a name");
    let far = network.host("far");
    let line = Request::Register { name: "evil".to_owned(), port: 6666, again: true }.line();
    let (_, answer) = nodes.during(ask(&*far, "here", MAPPER_PORT, &line)).await.ok().expect("an answer");
    assert_eq!(answer, Answer::Forbidden);
    assert_eq!(nodes.reason("evil").await, Reason::NotConnected);
    assert_eq!(nodes.during(lookup(&*far, "here", MAPPER_PORT, "worker")).await, Ok(4001), "but they may ask");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_comes_late_is_waited_for_while_the_mapper_is_young() {
    let network = Simulated::new(1);
    let mut nodes = Nodes::on(network.host("here"), MAPPER_PORT);
    nodes.join("holder", 1).await.expect("the port");
    let (host, far) = (network.host("here"), network.host("far"));
    let comes = async {
        sleep(YOUTH_HALF).await;
        join(host, MAPPER_PORT, "late", 2).await
    };
    let both = async { tokio::join!(comes, lookup(&*far, "here", MAPPER_PORT, "late")) };
    let (lease, found) = nodes.during(both).await;
    assert_eq!(found, Ok(2));
    drop(lease);
    let start = Instant::now();
    assert_eq!(nodes.reason("never").await, Reason::NotConnected);
    assert!(start.elapsed() <= YOUTH_HALF);
    let start = Instant::now();
    assert_eq!(nodes.reason("never").await, Reason::NotConnected);
    assert!(start.elapsed() < Duration::from_millis(50), "it is not young for ever");
}

/// Half of the time for which a mapper is young.
const YOUTH_HALF: Duration = Duration::from_millis(500);
