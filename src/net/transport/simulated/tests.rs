//! Tests of the simulated network, on a clock that stands still until nobody has anything to do.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;

const HELD: Duration = Duration::from_secs(60);

struct Two {
    network: Simulated,
    a: BoxStream,
    b: BoxStream,
    listener: Box<dyn Listener>,
}

/// Two hosts with a connection from `a` to `b`, port 80.
async fn two(seed: u64) -> Two {
    let network = Simulated::new(seed);
    let mut listener = listen(&network, "b", "[::]:80").await.expect("a free port");
    let a = connect(&network, "a", "b", 80).await.expect("a listener");
    let (b, address) = listener.accept().await.expect("a connection");
    assert_eq!(address.ip(), network.host("a").address());
    assert_eq!(b.peer_address(), Some(address));
    assert_eq!(a.peer_address(), Some(SocketAddr::new(network.host("b").address(), 80)));
    Two { network, a, b, listener }
}

async fn listen(network: &Simulated, host: &str, address: &str) -> io::Result<Box<dyn Listener>> {
    network.host(host).listen(address.parse().expect("an address")).await
}

async fn connect(network: &Simulated, from: &str, to: &str, port: u16) -> io::Result<BoxStream> {
    network.host(from).connect(to, port).await
}

async fn read(stream: &mut BoxStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 1 << 20];
    let count = stream.read(&mut bytes).await?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Nothing comes within a minute.
async fn nothing_from(stream: &mut BoxStream) {
    assert!(timeout(HELD, read(stream)).await.is_err());
}

fn is_reset<T>(found: io::Result<T>) -> bool {
    found.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_and_take_their_time() {
    let Two { network, mut a, mut b, .. } = two(1).await;
    network.latency(Duration::from_millis(10)..=Duration::from_millis(20));
    let start = Instant::now();
    for byte in 0..100 {
        a.write_all(&[byte]).await.expect("a peer");
    }
    a.shutdown().await.expect("a peer");
    let mut bytes = Vec::new();
    b.read_to_end(&mut bytes).await.expect("all of it");
    assert_eq!(bytes, (0..100).collect::<Vec<u8>>());
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(10) && took < Duration::from_millis(25), "{took:?}");
    b.write_all(b"the other way lives on").await.expect("a peer");
    assert_eq!(read(&mut a).await.expect("an answer"), b"the other way lives on");
    assert!(a.write_all(b"x").await.is_err(), "it was shut down");
}

/// What happens, and when.
async fn trace(seed: u64) -> Vec<(Duration, Vec<u8>)> {
    let Two { network, mut a, mut b, .. } = two(seed).await;
    network.latency(Duration::from_millis(1)..=Duration::from_secs(1));
    let (start, mut trace) = (Instant::now(), Vec::new());
    for byte in 0..20 {
        a.write_all(&[byte]).await.expect("a peer");
        let bytes = read(&mut b).await.expect("a peer");
        b.write_all(&bytes).await.expect("a peer");
        trace.push((start.elapsed(), read(&mut a).await.expect("a peer")));
    }
    trace
}

#[tokio::test(start_paused = true)]
async fn a_seed_gives_a_run() {
    let first = trace(7).await;
    assert_eq!(first, trace(7).await);
    assert_ne!(first, trace(8).await);
}

#[tokio::test(start_paused = true)]
async fn a_partition_holds_bytes_until_it_is_healed() {
    let Two { network, mut a, mut b, .. } = two(1).await;
    a.write_all(b"one ").await.expect("a peer");
    network.partition("b", "a", Silence::Hold);
    a.write_all(b"two ").await.expect("nobody knows");
    nothing_from(&mut b).await;
    nothing_from(&mut a).await;
    drop(a);
    nothing_from(&mut b).await;
    network.heal("a", "b");
    let mut text = String::new();
    b.read_to_string(&mut text).await.expect("all of it");
    assert_eq!(text, "one two ");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_loses_bytes_ends_the_connections_that_had_any() {
    let Two { network, mut a, mut b, mut listener } = two(1).await;
    let quiet = connect(&network, "a", "b", 80).await.expect("a listener");
    let (mut quiet_b, _) = listener.accept().await.expect("a connection");
    network.partition("a", "b", Silence::Lose);
    a.write_all(&vec![0; 10_000_000]).await.expect("lost bytes take no room");
    nothing_from(&mut b).await;
    network.heal_all();
    assert!(is_reset(read(&mut b).await) && is_reset(read(&mut a).await) && is_reset(a.write_all(b"x").await));
    drop(quiet);
    assert_eq!(read(&mut quiet_b).await.expect("it lives"), b"");
}

#[tokio::test(start_paused = true)]
async fn a_cut_resets_connections_and_leaves_ports_open() {
    let Two { network, mut a, mut b, mut listener } = two(1).await;
    a.write_all(b"lost").await.expect("a peer");
    network.cut("a", "b");
    assert!(is_reset(read(&mut b).await) && is_reset(read(&mut a).await) && is_reset(a.write_all(b"x").await));
    let mut again = connect(&network, "a", "b", 80).await.expect("a listener");
    let (mut accepted, _) = listener.accept().await.expect("a connection");
    again.write_all(b"hello").await.expect("a peer");
    assert_eq!(read(&mut accepted).await.expect("a peer"), b"hello");
}

#[tokio::test(start_paused = true)]
async fn processes_that_are_killed_are_missed_at_once() {
    let Two { network, mut a, b, listener } = two(1).await;
    let waits = async { is_reset(read(&mut a).await) };
    let kills = async {
        network.kill("b");
        drop((b, listener));
    };
    assert!(tokio::join!(waits, kills).0);
    let refused = connect(&network, "a", "b", 80).await.err().map(|error| error.kind());
    assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
    assert!(listen(&network, "b", "[::]:80").await.is_ok(), "the host is there");
}

#[tokio::test(start_paused = true)]
async fn a_host_without_power_is_missed_by_nobody() {
    let Two { network, mut a, b, listener } = two(1).await;
    network.power_off("b");
    drop((b, listener));
    a.write_all(b"x").await.expect("nobody knows");
    nothing_from(&mut a).await;
    let start = Instant::now();
    let late = connect(&network, "a", "b", 80).await.err().map(|error| error.kind());
    assert_eq!((late, start.elapsed()), (Some(io::ErrorKind::TimedOut), CONNECT_TIMEOUT));
    assert!(connect(&network, "b", "a", 80).await.is_err() && listen(&network, "b", "[::]:80").await.is_err());
    network.power_on("b");
    assert!(is_reset(read(&mut a).await));
    let mut listener = listen(&network, "b", "[::]:80").await.expect("a free port");
    let (dialled, accepted) = tokio::join!(connect(&network, "a", "b", 80), listener.accept());
    assert!(dialled.is_ok() && accepted.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_connects_through_a_partition_waits_for_its_end() {
    let Two { network, mut listener, .. } = two(1).await;
    network.isolate("b");
    let connects = connect(&network, "a", "b", 80);
    let heals = async {
        sleep(CONNECT_TIMEOUT / 2).await;
        network.heal_all();
        listener.accept().await
    };
    let (dialled, accepted) = tokio::join!(connects, heals);
    assert!(dialled.is_ok() && accepted.is_ok());
    network.isolate("b");
    assert!(connect(&network, "b", "localhost", 80).await.is_ok(), "a host reaches itself");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_stops_the_writer() {
    let Two { mut a, mut b, .. } = two(1).await;
    let mut written = 0;
    while let Ok(count) = timeout(HELD, a.write(&vec![7; 100_000])).await {
        written += count.expect("a peer");
    }
    assert!((200_000..300_000).contains(&written), "{written}");
    let (mut reader, writer) = b.into_halves();
    drop(writer);
    let reads = async {
        let mut all = vec![0; written + 1];
        reader.read_exact(&mut all).await.expect("all of it");
        all.iter().all(|byte| *byte == 7)
    };
    let (all_there, more) = tokio::join!(reads, a.write_all(&[7]));
    assert!(all_there && more.is_ok());
    drop(reader);
    assert!(a.write_all(b"x").await.is_err(), "nobody reads");
    assert_eq!(read(&mut a).await.expect("nobody writes"), b"");
    b = a;
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn names_addresses_and_ports_are_as_on_real_hosts() {
    let network = Simulated::new(1);
    let kind = |found: io::Result<BoxStream>| found.err().map(|error| error.kind());
    assert_eq!(kind(connect(&network, "a", "nowhere", 80).await), Some(io::ErrorKind::NotFound));
    let mut own = listen(&network, "a", "127.0.0.1:80").await.expect("a free port");
    assert_eq!(kind(connect(&network, "b", "a", 80).await), Some(io::ErrorKind::ConnectionRefused));
    for name in ["localhost", "127.0.0.1", "::1"] {
        let dialled = connect(&network, "a", name, 80).await.expect("a listener");
        let (_, address) = own.accept().await.expect("a connection");
        assert!(address.ip().is_loopback() && dialled.peer_address().is_some_and(|peer| peer.ip().is_loopback()));
    }
    let taken = listen(&network, "a", "[::]:80").await.err().map(|error| error.kind());
    assert_eq!(taken, Some(io::ErrorKind::AddrInUse));
    assert!(listen(&network, "a", "192.168.0.1:81").await.is_err());
    drop(own);
    assert!(listen(&network, "a", "[::]:80").await.is_ok());

    let (first, second) = (listen(&network, "a", "[::]:0").await, listen(&network, "a", "[::]:0").await);
    let port = |listener: &io::Result<Box<dyn Listener>>| {
        listener.as_ref().expect("a free port").local_address().expect("an address").port()
    };
    assert_ne!(port(&first), port(&second));
    let by_address = network.host("a").address().to_string();
    assert!(connect(&network, "b", &by_address, port(&first)).await.is_ok());
    assert!(format!("{network:?} {:?}", network.host("a")).contains("\"a\", \"b\""));
}
