//! Tests of sessions, on a simulated network where it is about time, and over TCP where it is about sockets.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::*;
use crate::id::DeploymentId;
use crate::net::handshake::tests::{cookie, master, worker};
use crate::net::{Listener, Mode, Simulated, SimulatedHost, Tcp};

const PORT: u16 = 4000;

/// A host that dials, and one with an open port.
async fn hosts() -> (Arc<SimulatedHost>, Box<dyn Listener>) {
    let network = Simulated::new(1);
    let listener = network.host("there").listen(([0; 4], PORT).into()).await.expect("a free port");
    (network.host("here"), listener)
}

async fn dialled(host: &SimulatedHost) -> Result<Session, Refusal> {
    dial(host, ("there", PORT), &cookie("secret"), &master(), Purpose::Control, Mode::Worker).await
}

async fn accepted(listener: &mut dyn Listener) -> Result<Session, Refusal> {
    let (stream, _) = listener.accept().await.expect("a connection");
    accept(stream, &cookie("secret"), &worker(), |_, _| Ok(())).await
}

#[tokio::test(start_paused = true)]
async fn both_ends_know_each_other_and_talk() {
    let (host, mut listener) = hosts().await;
    let (a, b) = tokio::join!(dialled(&host), accepted(&mut *listener));
    let (mut a, mut b) = (a.expect("a session"), b.expect("a session"));
    assert_eq!((&a.peer, &b.peer), (&worker(), &master()));
    assert_eq!((a.purpose, b.purpose), (Purpose::Control, Purpose::Control));
    assert_eq!(a.address.map(|address| address.port()), Some(PORT));
    assert_eq!(b.address.map(|address| address.ip()), Some(host.address()));
    assert!(format!("{a:?}").contains("worker1"));
    a.stream.write_all(b"hello").await.expect("a peer");
    let mut bytes = [0; 5];
    b.stream.read_exact(&mut bytes).await.expect("a greeting");
    assert_eq!(&bytes, b"hello");
}

#[tokio::test(start_paused = true)]
async fn what_the_acceptor_sends_at_once_is_there() {
    let (host, mut listener) = hosts().await;
    let sends = async {
        let mut session = accepted(&mut *listener).await.expect("a session");
        session.stream.write_all(b"first").await.expect("a peer");
        session
    };
    let (a, _b) = tokio::join!(dialled(&host), sends);
    let mut bytes = [0; 5];
    a.expect("a session").stream.read_exact(&mut bytes).await.expect("all of it");
    assert_eq!(&bytes, b"first");
}

/// Somebody answers so; what the dialer makes of it, and after how long.
async fn answered(answer: &[u8], closes: bool) -> (Refusal, Duration) {
    let (host, mut listener) = hosts().await;
    let answers = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut bytes = [0; 1000];
        let _ = stream.read(&mut bytes).await;
        stream.write_all(answer).await.expect("a peer");
        if closes {
            drop(stream);
        }
        std::future::pending::<()>().await;
    };
    let start = Instant::now();
    tokio::select! {
        biased;
        () = answers => unreachable!("it never ends"),
        refused = dialled(&host) => (refused.expect_err("no node"), start.elapsed()),
    }
}

#[tokio::test(start_paused = true)]
async fn who_answers_something_else_is_no_node() {
    for (answer, closes, reason) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), true, Reason::NotSkitter),
        (b"SSH-2.0-OpenSSH_9.6\r\n", false, Reason::NotSkitter),
        (&vec![0; 100_000], false, Reason::NotSkitter),
        (b"", true, Reason::NotSkitter),
        (b"SKTR\x01\x02\x00\x20half", true, Reason::NotConnected),
        (b"SKTR\x01\x05\x00\x05\x07else", false, Reason::HasMaster),
    ] {
        let (refusal, took) = answered(answer, closes).await;
        assert_eq!(refusal.reason, reason, "{refusal}");
        assert!(took < Duration::from_millis(100), "{took:?}");
    }
    for part in [b"".as_slice(), b"SKTR\x01\x02\x00\x20half"] {
        let (refusal, took) = answered(part, false).await;
        assert_eq!((refusal.reason, took), (Reason::NotConnected, HANDSHAKE_TIMEOUT), "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_answers() {
    let network = Simulated::new(1);
    let refusal = dialled(&network.host("here")).await.expect_err("nobody");
    assert_eq!(refusal.to_string(), "not_connected (no host is named `there`)");
    network.host("there");
    let refusal = dialled(&network.host("here")).await.expect_err("nobody listens");
    assert_eq!(refusal.to_string(), "not_connected (nobody listens there)");
    network.isolate("there");
    let start = Instant::now();
    assert_eq!(dialled(&network.host("here")).await.expect_err("nobody").reason, Reason::NotConnected);
    assert_eq!(start.elapsed(), HANDSHAKE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn strangers_are_let_go_after_five_seconds_whatever_they_do() {
    for drip in [None, Some(b"SKTR\x01\x01\x00\x20".as_slice())] {
        let (host, mut listener) = hosts().await;
        let stranger = async {
            let mut stream = host.connect("there", PORT).await.expect("a listener");
            for byte in drip.unwrap_or_default().iter().chain(&[7; 1000]) {
                // One byte a second would take a handshake of minutes.
                if drip.is_none() || stream.write_all(&[*byte]).await.is_err() {
                    std::future::pending::<()>().await;
                }
                sleep(Duration::from_secs(1)).await;
            }
        };
        let start = Instant::now();
        let refusal = tokio::select! {
            biased;
            () = stranger => unreachable!("it never ends"),
            refused = accepted(&mut *listener) => refused.expect_err("a stranger"),
        };
        assert_eq!(refusal.reason, Reason::NotConnected, "{refusal}");
        assert!((HANDSHAKE_TIMEOUT..HANDSHAKE_TIMEOUT + Duration::from_millis(100)).contains(&start.elapsed()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_known_to_both() {
    let (host, mut listener) = hosts().await;
    let refuses = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        accept(stream, &cookie("secret"), &worker(), |peer, _| {
            Err(Refusal::new(Reason::HasMaster, format!("not {}, `other@here` is its master", peer.name)))
        })
        .await
    };
    let (a, b) = tokio::join!(dialled(&host), refuses);
    let refusal = a.expect_err("refused");
    assert_eq!(refusal.to_string(), "has_master (not master@here, `other@here` is its master)");
    assert_eq!(Some(refusal), b.err());
}

#[tokio::test]
async fn over_tcp_both_know_each_other_or_why_not() {
    let mut listener = Tcp.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let port = listener.local_address().expect("an address").port();
    let purpose = Purpose::Data { deployment: DeploymentId(1), from: 2 };
    for (text, name, reason) in [
        ("secret", "worker1", None),
        ("guess", "worker1", Some(Reason::BadCookie)),
        ("secret", "worker2", Some(Reason::NotConnected)),
    ] {
        let (cookie_a, master) = (cookie(text), master());
        let dials = dial(&Tcp, ("localhost", port), &cookie_a, &master, purpose, Mode::Worker.named(name));
        let (a, b) = tokio::join!(dials, accepted(&mut *listener));
        match reason {
            None => assert_eq!((a.expect("a session").purpose, b.expect("a session").purpose), (purpose, purpose)),
            Some(reason) => {
                let refusal = a.expect_err("refused");
                assert_eq!(refusal.reason, reason);
                assert_eq!(Some(refusal), b.err());
            }
        }
    }
}
