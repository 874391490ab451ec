//! A master and its workers on a simulated network, with everything of this room together: what each knows of the
//! others while hosts freeze, die and come back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{AbortHandle, LocalBoxFuture, abortable};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::handshake::tests::{cookie, node};
use super::*;
use crate::id::NodeName;

const PORT: u16 = 4000;

type Work = LocalBoxFuture<'static, ()>;

/// Runs work, and what is added to it meanwhile, until the first of it is done.
async fn run(first: impl Future<Output = ()>, added: &RefCell<Vec<Work>>) {
    let mut first = std::pin::pin!(first);
    let mut all = FuturesUnordered::new();
    poll_fn(|cx| {
        loop {
            if first.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let new: Vec<Work> = added.borrow_mut().drain(..).collect();
            let none_new = new.is_empty();
            all.extend(new);
            if all.poll_next_unpin(cx).is_pending() && none_new {
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// A worker: takes one master at a time; when that is lost, it starts anew as a later life of itself.
async fn worker(host: Arc<SimulatedHost>, name: String, first: u64) {
    for incarnation in first.. {
        let identity = Identity { incarnation, ..node(&format!("{name}@{name}"), Mode::Worker) };
        let listener = host.listen(([0; 4], PORT).into()).await.expect("a free port");
        let mut reception = Reception::new(listener, cookie("secret"), move || identity.clone(), |_, _| Ok(()));
        let session = loop {
            if let Ok(session) = reception.next().await {
                break session;
            }
        };
        drop(reception);
        let (_sender, mut receiver, courier) = channel::<u64, u64>(session.stream, HEARTBEAT);
        let hears = async { while let Ok(Ok(Some(_))) = timeout(SILENCE, receiver.recv()).await {} };
        tokio::select! {
            biased;
            _ = courier.run() => {}
            () = hears => {}
        }
    }
}

/// What the master knows.
struct Master {
    start: Instant,
    members: Membership,
    /// How to end a connection.
    connections: BTreeMap<NodeName, oneshot::Sender<()>>,
    /// What happened, and when.
    story: Vec<(Duration, String)>,
}

impl Master {
    fn tell(&mut self, event: impl FnOnce(Duration) -> Event) {
        let now = self.start.elapsed();
        for command in self.members.handle(event(now)) {
            match command {
                Command::Up { node, incarnation } => self.story.push((now, format!("{node} {incarnation} up"))),
                Command::Down { node, incarnation, reason } => {
                    self.connections.remove(&node);
                    self.story.push((now, format!("{node} {incarnation} down, {reason}")));
                }
                Command::Refuse { .. } => {}
            }
        }
    }
}

async fn ticks(master: Rc<RefCell<Master>>) {
    loop {
        sleep(HEARTBEAT).await;
        master.borrow_mut().tell(|now| Event::Tick { now });
    }
}

/// The master's connections to one worker, one after the other.
async fn connections(master: Rc<RefCell<Master>>, host: Arc<SimulatedHost>, name: String) {
    let (identity, cookie) = (node("master@master", Mode::Master), cookie("secret"));
    loop {
        let expect = Mode::Worker.named(&name);
        let dialled = dial(&*host, (&name, PORT), &cookie, &identity, Purpose::Control, expect).await;
        if let Ok(Session { peer, stream, .. }) = dialled {
            let (node, incarnation) = (peer.name, peer.incarnation);
            master.borrow_mut().tell(|now| Event::Connected { node: node.clone(), incarnation, now });
            if master.borrow().members.is_up(&node, incarnation) {
                let (end, ended) = oneshot::channel();
                master.borrow_mut().connections.insert(node.clone(), end);
                let (_sender, mut receiver, courier) = channel::<u64, u64>(stream, HEARTBEAT);
                let hears = async {
                    while let Ok(Some(_)) = receiver.recv().await {
                        master.borrow_mut().tell(|now| Event::Heard { node: node.clone(), incarnation, now });
                    }
                };
                tokio::select! {
                    biased;
                    _ = ended => {}
                    _ = courier.run() => {}
                    () = hears => {}
                }
                master.borrow_mut().tell(|now| Event::Reset { node, incarnation, now });
            }
        }
        sleep(HEARTBEAT).await;
    }
}

/// A cluster of a master and so many workers, to which something happens. Gives what the master saw of it, and who is
/// up in the end.
async fn cluster<F: Future<Output = ()>>(
    workers: usize,
    seed: u64,
    happens: impl FnOnce(Simulated, Rc<dyn Fn(usize, bool)>) -> F,
) -> (Vec<(Duration, String)>, usize) {
    let network = Simulated::new(seed);
    let work = Rc::new(RefCell::new(Vec::<Work>::new()));
    let (members, connections_of) = (Membership::new(SILENCE), BTreeMap::new());
    let master = Master { start: Instant::now(), members, connections: connections_of, story: Vec::new() };
    let master = Rc::new(RefCell::new(master));
    work.borrow_mut().push(Box::pin(ticks(Rc::clone(&master))));
    let running = Rc::new(RefCell::new(BTreeMap::<usize, (AbortHandle, u64)>::new()));
    // Ends the process of a worker, or starts it again, as a later life than any before.
    let process = {
        let (network, work, running) = (network.clone(), Rc::clone(&work), Rc::clone(&running));
        move |number: usize, lives: bool| {
            let lifes = running.borrow().get(&number).map_or(0, |(handle, lifes)| {
                handle.abort();
                lifes + 1000
            });
            if lives {
                let name = format!("n{number}");
                let (process, handle) = abortable(worker(network.host(&name), name, lifes));
                running.borrow_mut().insert(number, (handle, lifes));
                work.borrow_mut().push(Box::pin(async { process.await.unwrap_or(()) }));
            }
        }
    };
    for number in 0..workers {
        process(number, true);
        let name = format!("n{number}");
        network.host(&name);
        work.borrow_mut().push(Box::pin(connections(Rc::clone(&master), network.host("master"), name)));
    }
    run(happens(network, Rc::new(process)), &work).await;
    let master = master.borrow();
    (master.story.clone(), master.members.up().count())
}

async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// What happened to a worker after so many seconds, each with how many milliseconds later.
fn of(story: &[(Duration, String)], number: usize, seconds: u64) -> Vec<(u128, &str)> {
    let (name, since) = (format!("n{number}@"), Duration::from_secs(seconds));
    let later = story.iter().filter(|(at, what)| *at >= since && what.starts_with(&name));
    later.map(|(at, what)| ((*at - since).as_millis(), what.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_master_knows_who_lives() {
    let (story, up) = cluster(5, 1, |network, process| async move {
        pass(10).await;
        // 0 is killed; 1 loses power; 2 is out of reach for a second, 3 for ten; 4 loses a connection.
        network.kill("n0");
        process(0, false);
        network.power_off("n1");
        process(1, false);
        network.isolate("n2");
        network.partition("master", "n3", Silence::Hold);
        network.cut("n4", "master");
        pass(1).await;
        // Also ends the wall before 3, which is built anew.
        network.heal_all();
        network.partition("master", "n3", Silence::Hold);
        pass(9).await;
        network.heal_all();
        network.power_on("n1");
        process(0, true);
        process(1, true);
        pass(10).await;
    })
    .await;
    assert_eq!(up, 5, "{story:#?}");
    let soon = |found: &[(u128, &str)], what: &str, from: u128, to: u128| {
        let there = found.iter().find(|(_, text)| text.ends_with(what));
        assert!(there.is_some_and(|(at, _)| (from..to).contains(at)), "{what}: {found:?}");
    };
    soon(&of(&story, 0, 10), "n0 0 down, its connection is lost", 0, 50);
    soon(&of(&story, 0, 20), "n0 1000 up", 0, 1500);
    soon(&of(&story, 1, 10), " down, nothing was heard of it for 3.5 s", 2500, 4000);
    soon(&of(&story, 1, 20), "n1 1000 up", 0, 6000);
    assert_eq!(of(&story, 2, 10), [], "a second of silence is nothing");
    soon(&of(&story, 4, 10), "n4 0 down, its connection is lost", 0, 50);
    soon(&of(&story, 4, 10), "n4 1 up", 0, 1500);
    let third = of(&story, 3, 10);
    assert!(third.iter().any(|(at, what)| *at < 5000 && what.contains(" down, nothing was heard")), "{third:?}");
    soon(&third, "n3 1 up", 10_000, 16_000);
}

/// A day of fifty nodes in which anything happens to any of them; the same day for the same seed.
async fn day(seed: u64) -> (Vec<(Duration, String)>, usize) {
    const WORKERS: usize = 49;
    cluster(WORKERS, seed, |network, process| async move {
        let mut dice = seed;
        let mut roll = |sides: u64| {
            dice = crate::codec::stable_hash(&dice);
            dice % sides
        };
        let mut dark = Vec::new();
        for _ in 0..60 {
            let number = usize::try_from(roll(WORKERS as u64)).expect("a small number");
            let name = format!("n{number}");
            match roll(6) {
                0 => network.isolate(&name),
                1 => network.partition("master", &name, Silence::Lose),
                2 => network.cut("master", &name),
                3 => network.heal_all(),
                4 => {
                    network.kill(&name);
                    process(number, !dark.contains(&number));
                }
                _ => {
                    network.power_off(&name);
                    process(number, false);
                    dark.push(number);
                }
            }
            sleep(Duration::from_millis(roll(3000))).await;
        }
        network.heal_all();
        for number in dark {
            network.power_on(&format!("n{number}"));
            process(number, true);
        }
        pass(20).await;
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn fifty_nodes_survive_any_day_and_each_day_can_be_repeated() {
    let (story, up) = day(1).await;
    assert_eq!(up, 49, "all are found again: {story:#?}");
    assert!(story.len() > 120, "much has happened: {}", story.len());
    // Each life of a node comes up at most once, and goes down at most once, after it has come.
    let mut lives = BTreeMap::<&str, (usize, usize)>::new();
    for (_, what) in &story {
        let (life, downs) = match what.split_once(" down") {
            Some((life, _)) => (life, true),
            None => (what.trim_end_matches(" up"), false),
        };
        let (came, went) = lives.entry(life).or_default();
        *(if downs { &mut *went } else { &mut *came }) += 1;
        assert!(*came == 1 && *went <= 1, "{what}: {story:#?}");
    }
    assert_eq!((story, up), day(1).await, "the same seed is the same day");
    assert_ne!(day(1).await.0, day(2).await.0);
}
