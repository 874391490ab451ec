//! Tests of the reception: good peers get in, whatever the others do.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::net::handshake::tests::{cookie, master, worker};
use crate::net::{HANDSHAKE_TIMEOUT, Mode, Simulated, Tcp, Transport, dial};

fn reception(listener: Box<dyn Listener>) -> Reception {
    Reception::new(listener, cookie("secret"), worker, |_, purpose| match purpose {
        Purpose::Control => Ok(()),
        _ => Err(Refusal::new(Reason::HasMaster, "not now")),
    })
}

/// What strangers do to a port.
const DEEDS: [&[u8]; 7] = [
    b"",
    b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    b"SKTR\x01\x01\x00\x20half",
    b"SKTR\x01\x01\xff\xff",
    b"SKTR\x01\x03\x00\x00",
    b"\xff\xff\xff\xff\xff",
    &[0; 10_000],
];

/// Dials among a crowd of strangers, and gives how many of these have been let go of by then.
async fn in_a_crowd(transport: &dyn Transport, host: &str, mut reception: Reception, crowd: usize) -> usize {
    let port = reception.local_address().expect("an address").port();
    let (cookie, master) = (cookie("secret"), master());
    let work = async {
        let mut strangers = Vec::new();
        for number in 0..crowd {
            let mut stream = transport.connect(host, port).await.expect("a listener");
            // It may have been let go of by now.
            let _ = stream.write_all(DEEDS[number % DEEDS.len()]).await;
            strangers.push(stream);
            if number % 100 == 99 {
                let session = dial(transport, (host, port), &cookie, &master, Purpose::Control, Mode::Worker).await;
                assert_eq!(session.expect("a node gets in").peer, worker());
            }
        }
        let purpose = Purpose::Data { deployment: crate::id::DeploymentId(1), from: 1 };
        let refused = dial(transport, (host, port), &cookie, &master, purpose, Mode::Worker).await;
        assert_eq!(refused.expect_err("refused").reason, Reason::HasMaster);
        // Time enough for all who have to go.
        let _ = timeout(HANDSHAKE_TIMEOUT / 2, std::future::pending::<()>()).await;
        strangers
    };
    let (mut sessions, mut refused) = (0, 0);
    let serve = async {
        loop {
            match reception.next().await {
                Ok(_) => sessions += 1,
                Err(_) => refused += 1,
            }
        }
    };
    let strangers = tokio::select! {
        biased;
        () = serve => unreachable!("it never ends"),
        strangers = work => strangers,
    };
    assert_eq!(sessions, crowd / 100);
    assert!(reception.strangers.len() <= MAX_STRANGERS, "{reception:?}");
    drop(strangers);
    refused
}

#[tokio::test(start_paused = true)]
async fn a_node_gets_in_among_a_thousand_strangers() {
    let network = Simulated::new(3);
    let listener = network.host("there").listen(([0; 4], 4000).into()).await.expect("a free port");
    let refused = in_a_crowd(&*network.host("here"), "there", reception(listener), 1000).await;
    assert!(refused > 1000 - MAX_STRANGERS, "{refused}");
}

/// Guesses come one after the other for a while; no more of them are heard than may be, and a node at another address
/// is not held up, nor is one at theirs for longer than it takes to be the next.
#[tokio::test(start_paused = true)]
async fn who_guesses_is_slowed_down() {
    let network = Simulated::new(3);
    let listener = network.host("there").listen(([0; 4], 4000).into()).await.expect("a free port");
    let (bad, good) = (network.host("bad"), network.host("good"));
    let mut reception = reception(listener);
    let (wrong, right, master) = (cookie("guess"), cookie("secret"), master());
    const TIME: Duration = Duration::from_secs(20);
    let node = |host: Arc<crate::net::SimulatedHost>| {
        let (right, master) = (right.clone(), master.clone());
        async move { dial(&*host, ("there", 4000), &right, &master, Purpose::Control, Mode::Worker).await }
    };
    let guesses = async {
        let guess = async || loop {
            let _ = dial(&*bad, ("there", 4000), &wrong, &master, Purpose::Control, Mode::Worker).await;
        };
        let all = futures_util::future::join_all((0..50).map(|_| guess()));
        let _: Result<Vec<()>, _> = timeout(TIME, all).await;
        let start = Instant::now();
        node(Arc::clone(&bad)).await.expect("a node gets in");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    };
    let nodes = async {
        for _ in 0..100 {
            let start = Instant::now();
            node(Arc::clone(&good)).await.expect("a node gets in");
            assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (mut heard, mut sessions) = (0, 0);
    let serve = async {
        loop {
            match reception.next().await {
                Ok(_) => sessions += 1,
                Err(stranger) if stranger.refusal.reason == Reason::BadCookie => heard += 1,
                Err(_) => {}
            }
        }
    };
    tokio::select! {
        biased;
        () = serve => unreachable!("it never ends"),
        _ = async { tokio::join!(guesses, nodes) } => {}
    }
    let most = crate::net::BURST as usize + (TIME.as_millis() / crate::net::REFILL.as_millis()) as usize + 8;
    assert!(heard > 60 && heard <= most, "{heard} guesses, of at most {most}");
    assert_eq!(sessions, 101);
}

/// Who refuses this node, for whatever reason, has proved nothing by that.
#[tokio::test(start_paused = true)]
async fn who_says_that_it_refuses_is_counted_as_well() {
    let network = Simulated::new(3);
    let listener = network.host("there").listen(([0; 4], 4000).into()).await.expect("a free port");
    let (bad, mut reception) = (network.host("bad"), reception(listener));
    let refuses = async {
        loop {
            if let Ok(mut stream) = bad.connect("there", 4000).await {
                let _ = stream.write_all(b"SKTR\x01\x05\x00\x05\x07else").await;
                let _ = stream.read(&mut [0]).await;
            }
        }
    };
    let mut heard = 0;
    let serve = async {
        loop {
            if reception.next().await.is_err_and(|stranger| stranger.refusal.reason == Reason::HasMaster) {
                heard += 1;
            }
        }
    };
    let _ = timeout(Duration::from_secs(5), async { tokio::join!(refuses, serve) }).await;
    let most = crate::net::BURST + (Duration::from_secs(5).as_millis() / crate::net::REFILL.as_millis()) as u32 + 1;
    assert!(heard > 30 && heard <= most, "{heard}, of at most {most}");
}

#[tokio::test]
async fn a_node_gets_in_over_tcp() {
    let listener = Tcp.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let mut reception = reception(listener);
    let port = reception.local_address().expect("an address").port();
    let (cookie, master) = (cookie("secret"), master());
    let dials = async {
        let mut silent = Vec::new();
        for deed in DEEDS {
            let mut stream = Tcp.connect("127.0.0.1", port).await.expect("a listener");
            // It may have been let go of by now.
            let _ = stream.write_all(deed).await;
            silent.push(stream);
        }
        dial(&Tcp, ("127.0.0.1", port), &cookie, &master, Purpose::Control, Mode::Worker).await
    };
    let receives = async {
        let mut refused = Vec::new();
        loop {
            match reception.next().await {
                Ok(mut session) => {
                    session.stream.write_all(b"hi").await.expect("a peer");
                    return (session, refused);
                }
                Err(stranger) => refused.push(stranger.to_string()),
            }
        }
    };
    let (session, (_peer, refused)) = tokio::join!(dials, receives);
    let mut bytes = [0; 2];
    session.expect("a session").stream.read_exact(&mut bytes).await.expect("a greeting");
    assert_eq!(&bytes, b"hi");
    assert!(refused.iter().all(|stranger| stranger.contains(": not_skitter (")), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shortage_passes() {
    struct Short(usize, Box<dyn Listener>);

    impl Listener for Short {
        fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
            let Short(left, listener) = self;
            Box::pin(async {
                if *left > 0 {
                    *left -= 1;
                    return Err(io::Error::other("too many open files"));
                }
                listener.accept().await
            })
        }

        fn local_address(&self) -> io::Result<SocketAddr> {
            self.1.local_address()
        }
    }

    let network = Simulated::new(3);
    let listener = network.host("there").listen(([0; 4], 4000).into()).await.expect("a free port");
    let mut reception = reception(Box::new(Short(3, listener)));
    let (here, cookie, master) = (network.host("here"), cookie("secret"), master());
    let dials = dial(&*here, ("there", 4000), &cookie, &master, Purpose::Control, Mode::Worker);
    let start = Instant::now();
    let (dialled, received) = tokio::join!(dials, reception.next());
    assert!(dialled.is_ok() && received.is_ok());
    assert!(start.elapsed() >= ACCEPT_PAUSE * 3);
}

/// Whoever has been told that it is welcome has a session, however the end falls; who comes later has none.
#[tokio::test(start_paused = true)]
async fn who_has_been_admitted_is_given_on_at_the_end() {
    let (mut came, mut never) = (0, 0);
    for delay in 0..200 {
        let network = Simulated::new(delay);
        let listener = network.host("there").listen(([0; 4], 4000).into()).await.expect("a free port");
        let (mut reception, here) = (reception(listener), network.host("here"));
        let (cookie, master) = (cookie("secret"), master());
        let dialled = dial(&*here, ("there", 4000), &cookie, &master, Purpose::Control, Mode::Worker);
        let served = async {
            let next = timeout(Duration::from_micros(100 * delay), reception.next()).await;
            let last = if next.is_err() { reception.last().await } else { None };
            drop(reception);
            (next.is_ok(), last.is_some())
        };
        let (dialled, (early, last)) = tokio::join!(dialled, served);
        assert_eq!(early || last, dialled.is_ok(), "{delay}");
        came += usize::from(early || last);
        never += usize::from(!early && !last);
    }
    assert!(came > 0 && never > 0, "{came} {never}");
}
