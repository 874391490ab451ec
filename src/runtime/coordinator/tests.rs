//! Schedules of events, a few by hand and many by chance.

mod cases;
mod growing;
mod joining;
mod restarting;
mod saving;

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn worker(vertex: u32, index: u32) -> WorkerId {
    WorkerId { vertex: VertexId(vertex), index }
}

/// A coordinator of workers on one node, which has made them and needs no connection.
fn coordinator(workers: impl IntoIterator<Item = WorkerId>) -> Coordinator {
    let mut coordinator = Coordinator::new(workers.into_iter().map(|id| (id, NodeId::LOCAL)), Links::new());
    assert_eq!(coordinator.handle(Event::Prepared(NodeId::LOCAL)), [Command::Connect]);
    assert_eq!(coordinator.handle(Event::Connected(NodeId::LOCAL)), [Command::Open]);
    coordinator
}

#[test]
fn it_starts_when_all_are_open_and_ends_when_all_are_gone() {
    let (a, b) = (worker(0, 0), worker(1, 0));
    let mut coordinator = coordinator([a, b]);
    assert_eq!(coordinator.handle(Event::Opened(a)), []);
    assert_eq!(coordinator.handle(Event::Opened(b)), [Command::Start]);
    for id in [a, b] {
        assert_eq!(coordinator.handle(Event::Done(id)), []);
    }
    assert_eq!(coordinator.handle(Event::Gone(b)), []);
    assert_eq!(coordinator.handle(Event::Gone(a)), [Command::End(Ending::Completed)]);
}

#[test]
fn a_stop_before_the_start_is_not_forgotten() {
    let a = worker(0, 0);
    let mut coordinator = coordinator([a]);
    assert_eq!(coordinator.handle(Event::Stop), []);
    assert_eq!(coordinator.handle(Event::Opened(a)), [Command::Start, Command::StopSources]);
    coordinator.handle(Event::Done(a));
    assert_eq!(coordinator.handle(Event::Gone(a)), [Command::End(Ending::Stopped)]);
}

fn node(number: u32) -> NodeId {
    NodeId { number, incarnation: 0 }
}

#[test]
fn nodes_go_step_by_step() {
    let (a, b) = (worker(0, 0), worker(0, 1));
    let mut coordinator = Coordinator::new([(a, node(1)), (b, node(2))], Links::new());
    assert_eq!(coordinator.handle(Event::Prepared(node(1))), []);
    assert_eq!(coordinator.handle(Event::Prepared(node(9))), [], "it has no worker");
    assert_eq!(coordinator.handle(Event::Prepared(node(2))), [Command::Connect]);
    assert_eq!(coordinator.handle(Event::Connected(node(2))), []);
    assert_eq!(coordinator.handle(Event::Connected(node(1))), [Command::Open]);
}

#[test]
fn a_lost_node_fails_the_deployment_and_is_not_waited_for() {
    let (a, b) = (worker(0, 0), worker(0, 1));
    let mut coordinator = Coordinator::new([(a, node(1)), (b, node(2))], Links::new());
    let lost = |number| Event::Lost { node: node(number), error: Error::from("gone") };
    assert_eq!(coordinator.handle(lost(9)), []);
    assert_eq!(coordinator.handle(lost(1)), [Command::GiveUp]);
    assert_eq!(coordinator.handle(Event::Prepared(node(2))), []);
    let failure = Failed { vertex: None, error: Error::from("gone") };
    let ending = Ending::Failed { worker: None, failure, stuck: Vec::new() };
    assert_eq!(coordinator.handle(Event::Gone(b)), [Command::End(ending)]);
}

#[test]
fn the_first_failure_counts() {
    let (a, b) = (worker(0, 0), worker(1, 0));
    let mut coordinator = coordinator([a, b]);
    let failure = |vertex, text: &str| Failure { vertex: VertexId(vertex), error: Error::from(text) };
    assert_eq!(coordinator.handle(Event::Failed(b, failure(7, "first"))), [Command::GiveUp]);
    assert_eq!(coordinator.handle(Event::Failed(a, failure(0, "second"))), []);
    assert_eq!(coordinator.handle(Event::Gone(b)), []);
    let commands = coordinator.handle(Event::Expired);
    let failed = Failed { vertex: Some(VertexId(7)), error: Error::from("first") };
    let ending = Ending::Failed { worker: Some(b), failure: failed, stuck: vec![a] };
    assert_eq!(commands, [Command::End(ending)]);
}

#[test]
fn a_worker_that_goes_without_a_word_fails_the_deployment() {
    let a = worker(0, 0);
    let mut coordinator = coordinator([a]);
    coordinator.handle(Event::Opened(a));
    let commands = coordinator.handle(Event::Gone(a));
    assert!(matches!(&commands[..], [Command::GiveUp, Command::End(Ending::Failed { .. })]), "{commands:?}");
}

#[test]
fn peers_finish_when_nothing_is_under_way() {
    let (a, b) = (worker(3, 0), worker(3, 1));
    let vertex = a.vertex;
    let mut coordinator = coordinator([a, b]);
    let drained = |worker, sent, received| Event::Drained { worker, sent, received };
    let probed = |worker, round, sent, received| Event::Probed { worker, round, sent, received };
    assert_eq!(coordinator.handle(drained(a, 2, 0)), []);
    assert_eq!(coordinator.handle(drained(b, 0, 1)), [], "one message is under way");
    assert_eq!(coordinator.handle(drained(b, 0, 2)), [Command::Probe { vertex, round: 2 }]);
    assert_eq!(coordinator.handle(probed(a, 2, 2, 0)), []);
    // It has answered since; the first answer is worth nothing.
    assert_eq!(coordinator.handle(drained(b, 1, 2)), []);
    assert_eq!(coordinator.handle(probed(b, 2, 0, 2)), []);
    assert_eq!(coordinator.handle(drained(a, 2, 1)), [Command::Probe { vertex, round: 4 }]);
    assert_eq!(coordinator.handle(probed(a, 4, 2, 1)), []);
    assert_eq!(coordinator.handle(probed(b, 4, 1, 2)), [Command::Finish { vertex }]);
}

/// A worker of a vertex whose workers send to each other, as far as the coordinator sees it.
#[derive(Default)]
struct Peer {
    /// Messages to it, each with how many it will lead to.
    inbox: VecDeque<usize>,
    /// What the coordinator has told it.
    told: VecDeque<Command>,
    /// What it has told the coordinator.
    tells: VecDeque<Event>,
    /// Its senders have ended.
    drains: bool,
    unreported: bool,
    sent: u64,
    received: u64,
    finished: bool,
}

/// Peers and their coordinator; each step happens when chance wants it.
struct Peers {
    coordinator: Coordinator,
    peers: Vec<Peer>,
}

impl Peers {
    fn new(inboxes: &[Vec<usize>]) -> Peers {
        let peers: Vec<Peer> =
            inboxes.iter().map(|inbox| Peer { inbox: inbox.iter().copied().collect(), ..Peer::default() }).collect();
        let mut coordinator = coordinator((0..peers.len() as u32).map(|index| worker(1, index)));
        for index in 0..peers.len() as u32 {
            coordinator.handle(Event::Opened(worker(1, index)));
        }
        let mut all = Peers { coordinator, peers };
        // What it begins with was sent by somebody.
        all.peers[0].sent = inboxes.iter().map(|inbox| inbox.len() as u64).sum();
        all
    }

    fn rests(&self) -> bool {
        self.peers.iter().all(|peer| peer.finished)
    }

    /// A step of one worker, or of the coordinator with what that worker has told it; false if there is none.
    fn step(&mut self, index: usize, what: usize, to: usize) -> bool {
        let count = self.peers.len();
        let id = worker(1, index as u32);
        let peer = &mut self.peers[index];
        match what {
            0 if !peer.drains => {
                peer.drains = true;
                peer.unreported = true;
            }
            1 if !peer.inbox.is_empty() => {
                let follows = peer.inbox.pop_front().unwrap_or(0);
                assert!(!peer.finished, "a message comes after the finish");
                peer.received += 1;
                peer.unreported = true;
                if follows > 0 {
                    peer.sent += 1;
                    self.peers[to % count].inbox.push_back(follows - 1);
                }
            }
            2 if peer.drains && peer.unreported && peer.inbox.is_empty() => {
                peer.unreported = false;
                peer.tells.push_back(Event::Drained { worker: id, sent: peer.sent, received: peer.received });
            }
            3 if !peer.told.is_empty() => match peer.told.pop_front() {
                Some(Command::Probe { round, .. }) => {
                    let (sent, received) = (peer.sent, peer.received);
                    peer.tells.push_back(Event::Probed { worker: id, round, sent, received });
                }
                _ => {
                    assert!(peer.inbox.is_empty() && peer.drains && !peer.finished);
                    peer.finished = true;
                }
            },
            4 if !peer.tells.is_empty() => {
                let Some(event) = peer.tells.pop_front() else { return false };
                for command in self.coordinator.handle(event) {
                    if matches!(command, Command::Finish { .. }) {
                        let under_way: usize = self.peers.iter().map(|peer| peer.inbox.len()).sum();
                        assert_eq!(under_way, 0, "messages are under way");
                        self.peers
                            .iter_mut()
                            .for_each(|peer| peer.told.push_back(Command::Finish { vertex: id.vertex }));
                    } else if let Command::Probe { vertex, round } = command {
                        self.peers.iter_mut().for_each(|peer| peer.told.push_back(Command::Probe { vertex, round }));
                    }
                }
            }
            _ => return false,
        }
        true
    }
}

/// What happens to a deployment, and when.
fn happening() -> impl Strategy<Value = (usize, Index)> {
    (0..12usize, any::<Index>())
}

proptest! {
    /// Whoever sends to whom, in whatever order all happens: workers are told to finish when nothing is under way
    /// between them, once, and they always are.
    #[test]
    fn peers_always_finish_and_never_too_early(
        inboxes in vec(vec(0..6usize, 0..4), 1..5),
        steps in vec((any::<Index>(), 0..5usize, any::<Index>()), 0..200),
    ) {
        let mut peers = Peers::new(&inboxes);
        let count = inboxes.len();
        for (who, what, to) in steps {
            peers.step(who.index(count), what, to.index(count));
        }
        let mut moves = true;
        while moves {
            moves = false;
            for index in 0..count {
                for what in 0..5 {
                    while peers.step(index, what, index + 1) {
                        moves = true;
                    }
                }
            }
        }
        prop_assert!(peers.rests());
    }

    /// It starts once, when all are open; gives up once; and says once that it has ended, when all are gone or those
    /// that are not have had their time. Nothing follows.
    #[test]
    fn a_deployment_starts_at_most_once_and_ends_once(steps in vec(happening(), 0..80)) {
        let ids = [worker(0, 0), worker(0, 1), worker(2, 0)];
        let mut coordinator = coordinator(ids);
        let (mut opened, mut gone) = (BTreeSet::new(), BTreeSet::new());
        let (mut starts, mut stops, mut failures) = (0, 0, 0);
        let mut ending = None;
        let all_go = ids.into_iter().enumerate().map(|(n, _)| (8, n));
        let steps = steps.into_iter().map(|(what, who)| (what, who.index(ids.len()))).chain(all_go);
        for (what, who) in steps {
            let id = ids[who];
            let event = match what {
                0..=3 => Event::Opened(id),
                4 | 5 => Event::Done(id),
                6 => Event::Failed(id, Failure { vertex: id.vertex, error: Error::from("failed") }),
                7 => Event::Stop,
                8 => Event::Gone(id),
                9 => Event::Abort,
                10 => Event::Drained { worker: id, sent: 0, received: 0 },
                _ => Event::Expired,
            };
            match what {
                0..=3 => drop(opened.insert(id)),
                8 => drop(gone.insert(id)),
                _ => {}
            }
            for command in coordinator.handle(event) {
                prop_assert!(ending.is_none(), "{:?} after the end", command);
                match command {
                    Command::Start => {
                        starts += 1;
                        prop_assert!(opened.len() == ids.len() && failures == 0);
                    }
                    Command::StopSources => {
                        stops += 1;
                        prop_assert!(starts == 1 && failures == 0);
                    }
                    Command::GiveUp => failures += 1,
                    Command::End(end) => {
                        match &end {
                            Ending::Failed { stuck, .. } => {
                                prop_assert!(failures == 1 && stuck.iter().all(|id| !gone.contains(id)));
                            }
                            _ => prop_assert!(failures == 0 && gone.len() == ids.len()),
                        }
                        ending = Some(end);
                    }
                    _ => {}
                }
            }
            prop_assert!(starts <= 1 && stops <= 1 && failures <= 1);
            prop_assert!(ending.is_some() || gone.len() < ids.len());
        }
        prop_assert!(ending.is_some());
    }
}

fn saved(worker: WorkerId, checkpoint: u64, base: Option<u64>) -> Event {
    Event::Saved(WorkerSaved { worker, checkpoint, finished: false, drained: false, objects: Vec::new(), base })
}

#[test]
fn what_was_kept_of_another_checkpoint_than_the_last_does_not_count() {
    let a = worker(0, 0);
    let mut coordinator = coordinator([a]).with_checkpoints(None);
    coordinator.handle(Event::Opened(a));
    for checkpoint in [1, 2] {
        coordinator.handle(Event::Checkpoint);
        let commands = coordinator.handle(saved(a, checkpoint, (checkpoint > 1).then_some(1)));
        assert!(matches!(commands.as_slice(), [Command::Seal { .. }]), "{commands:?}");
        coordinator.handle(Event::Sealed { checkpoint });
    }
    coordinator.handle(Event::Checkpoint);
    let commands = coordinator.handle(saved(a, 3, Some(1)));
    assert!(matches!(commands.as_slice(), [Command::Abandon { checkpoint: 3, .. }]), "{commands:?}");
    coordinator.handle(Event::Checkpoint);
    let commands = coordinator.handle(saved(a, 4, Some(2)));
    assert!(matches!(commands.as_slice(), [Command::Seal { checkpoint: 4, .. }]), "{commands:?}");
}

/// A coordinator of one source that has begun, and takes checkpoints.
fn saving(source: WorkerId) -> Coordinator {
    let mut coordinator = coordinator([source]).with_checkpoints(None);
    assert_eq!(coordinator.handle(Event::Opened(source)), [Command::Start]);
    coordinator
}

#[test]
fn what_was_stopped_at_a_savepoint_and_fails_then_does_not_go_on() {
    let a = worker(0, 0);
    let mut first = saving(a);
    let trigger = Command::Trigger { checkpoint: 1, workers: vec![a], halt: true };
    assert_eq!(first.handle(Event::Savepoint { stop: true }), [trigger]);
    first.handle(saved(a, 1, None));
    assert!(!first.is_suspended());
    assert_eq!(first.handle(Event::Sealed { checkpoint: 1 }), [Command::Suspend { checkpoint: 1 }]);
    assert!(first.is_suspended());
    first.handle(Event::Failed(a, Failure { vertex: a.vertex, error: Error::from("killed") }));
    assert!(matches!(&first.handle(Event::Gone(a))[..], [Command::End(Ending::Failed { .. })]));
    // What it had prepared is brought about, and no record is read.
    let mut second = coordinator([a]).with_checkpoints(Some(1)).suspended();
    assert_eq!(second.handle(Event::Opened(a)), [Command::Suspend { checkpoint: 1 }]);
    assert_eq!(second.handle(Event::Checkpoint), []);
    assert_eq!(second.handle(Event::Gone(a)), [Command::End(Ending::Stopped)]);
}

/// Who goes on from it would go on with sources that have ended.
#[test]
fn a_savepoint_that_was_asked_for_comes_before_the_stop() {
    let a = worker(0, 0);
    let mut coordinator = saving(a);
    coordinator.handle(Event::Checkpoint);
    assert_eq!(coordinator.handle(Event::Savepoint { stop: false }), []);
    assert_eq!(coordinator.handle(Event::Stop), []);
    let error = Error::from("full");
    let commands = coordinator.handle(Event::NotSaved { worker: a, checkpoint: 1, error });
    let trigger = Command::Trigger { checkpoint: 2, workers: vec![a], halt: false };
    assert_eq!(commands[1..], [trigger, Command::StopSources]);
}
