//! Two regions: one is started anew while the other goes on.

use super::*;
use crate::runtime::plan::Outline;
use crate::runtime::regions::{Region, Regions};
use crate::workflow::{Commit, Role, WorkerInfo};

const LEFT: Region = Region(0);
const RIGHT: Region = Region(1);

fn ids() -> [WorkerId; 2] {
    [worker(0, 0), worker(1, 0)]
}

/// A source on each of two nodes, that no link joins.
fn regions() -> Regions {
    let at = |number| [WorkerInfo { node: node(number), role: Role::WORKER }].into();
    Regions::of(&Outline { workers: [(VertexId(0), at(1)), (VertexId(1), at(2))].into(), ..Outline::default() })
}

fn within(region: Region, command: Command) -> Command {
    Command::Within(region, Box::new(command))
}

fn began() -> Coordinator {
    let [a, b] = ids();
    let coordinator = Coordinator::new([(a, node(1)), (b, node(2))], Links::new()).with_checkpoints(None);
    let mut coordinator = coordinator.with_regions(&regions());
    for (region, number) in [(LEFT, 1), (RIGHT, 2)] {
        let connect = coordinator.handle_from(region, Event::Prepared(node(number)));
        assert_eq!(connect, [within(region, Command::Connect)]);
        let open = coordinator.handle_from(region, Event::Connected(node(number)));
        assert_eq!(open, [within(region, Command::Open)]);
    }
    coordinator
}

fn running() -> Coordinator {
    let mut coordinator = began();
    assert_eq!(coordinator.handle_from(LEFT, Event::Opened(ids()[0])), [], "nobody begins before all are there");
    assert_eq!(coordinator.handle_from(RIGHT, Event::Opened(ids()[1])), [Command::Start]);
    coordinator
}

fn failed(worker: WorkerId) -> Event {
    let failure = Failure { vertex: worker.vertex, error: Error::from("as asked for") };
    Event::Failed(worker, failure)
}

fn why(worker: WorkerId) -> Failed {
    Failed { vertex: Some(worker.vertex), error: Error::from("as asked for") }
}

fn restart(worker: WorkerId, region: Region) -> Command {
    Command::Restart { region, worker: Some(worker), failure: why(worker), stuck: Vec::new() }
}

fn saved(worker: WorkerId, checkpoint: u64) -> Event {
    let (objects, base) = (Vec::new(), None);
    Event::Saved(WorkerSaved { worker, checkpoint, finished: false, drained: false, objects, base })
}

/// Everybody has come to an end, and has saved that.
fn save_last(coordinator: &mut Coordinator, checkpoint: u64) -> Vec<Command> {
    let [a, b] = ids();
    coordinator.handle_from(LEFT, Event::Done(a));
    coordinator.handle_from(RIGHT, Event::Done(b));
    coordinator.handle_from(LEFT, saved(a, checkpoint));
    coordinator.handle_from(RIGHT, saved(b, checkpoint))
}

/// It is made anew, and takes all steps of a beginning.
fn comes_back(coordinator: &mut Coordinator, resumed: Option<u64>) -> Vec<Command> {
    let again = NodeId { number: 2, incarnation: 7 };
    coordinator.relaunch(RIGHT, [(ids()[1], again)], resumed);
    assert_eq!(coordinator.handle_from(RIGHT, Event::Prepared(again)), [within(RIGHT, Command::Connect)]);
    assert_eq!(coordinator.handle_from(RIGHT, Event::Connected(again)), [within(RIGHT, Command::Open)]);
    coordinator.handle_from(RIGHT, Event::Opened(ids()[1]))
}

#[test]
fn one_goes_on_while_the_other_begins_anew() {
    let [a, b] = ids();
    let mut coordinator = running();
    assert_eq!(coordinator.handle_from(RIGHT, failed(b)), [within(RIGHT, Command::GiveUp)]);
    assert_eq!(coordinator.handle(Event::Checkpoint), [], "not without it");
    assert_eq!(coordinator.handle_from(RIGHT, Event::Gone(b)), [restart(b, RIGHT)]);
    assert!(coordinator.awaits(RIGHT) && !coordinator.awaits(LEFT));
    // The other one comes to its end meanwhile, and waits for what is saved last.
    assert_eq!(coordinator.handle_from(LEFT, Event::Done(a)), []);
    let commit = Command::Commit(Commit::Checkpoint(3));
    assert_eq!(comes_back(&mut coordinator, Some(3)), [within(RIGHT, Command::Start), within(RIGHT, commit)]);
    let last = coordinator.handle_from(RIGHT, Event::Done(b));
    assert!(matches!(&last[..], [Command::Trigger { workers, .. }] if *workers == [a, b]), "{last:?}");
}

#[test]
fn a_checkpoint_that_is_under_way_is_given_up_with_it() {
    let [a, b] = ids();
    let mut coordinator = running();
    coordinator.handle(Event::Checkpoint);
    assert_eq!(coordinator.handle_from(LEFT, saved(a, 1)), []);
    let follows = coordinator.handle_from(RIGHT, failed(b));
    assert!(matches!(&follows[1..], [Command::Abandon { checkpoint: 1, .. }]), "{follows:?}");
    coordinator.handle_from(RIGHT, Event::Gone(b));
    comes_back(&mut coordinator, None);
    let next = coordinator.handle(Event::Checkpoint);
    assert!(matches!(&next[..], [Command::Trigger { checkpoint: 2, .. }]), "{next:?}");
}

/// Which one it goes on at is only known when the store has answered.
#[test]
fn it_waits_for_a_checkpoint_that_is_about_to_be_complete() {
    let [a, b] = ids();
    for complete in [true, false] {
        let mut coordinator = running();
        coordinator.handle(Event::Checkpoint);
        coordinator.handle_from(LEFT, saved(a, 1));
        let seal = coordinator.handle_from(RIGHT, saved(b, 1));
        assert!(matches!(&seal[..], [Command::Seal { .. }]), "{seal:?}");
        assert_eq!(coordinator.handle_from(RIGHT, failed(b)), [within(RIGHT, Command::GiveUp)]);
        assert_eq!(coordinator.handle_from(RIGHT, Event::Gone(b)), []);
        let error = Error::from("the disk is full");
        let event = if complete { Event::Sealed { checkpoint: 1 } } else { Event::NotSealed { checkpoint: 1, error } };
        let follows = coordinator.handle(event);
        assert_eq!(follows.last(), Some(&restart(b, RIGHT)), "{follows:?}");
        assert_eq!(follows[0] == Command::Commit(Commit::Checkpoint(1)), complete);
    }
}

#[test]
fn before_the_beginning_or_behind_the_end_all_fail() {
    let [_, b] = ids();
    let mut coordinator = began();
    assert_eq!(coordinator.handle_from(RIGHT, failed(b)), [Command::GiveUp]);

    let mut coordinator = running();
    save_last(&mut coordinator, 1);
    let ended = [Command::Commit(Commit::Checkpoint(1)), Command::Commit(Commit::End)];
    assert_eq!(coordinator.handle(Event::Sealed { checkpoint: 1 }), ended);
    assert_eq!(coordinator.handle_from(RIGHT, failed(b)), [Command::GiveUp]);
}

/// Effects are about to be brought about everywhere, which somebody has to be there for.
#[test]
fn who_fails_while_the_last_checkpoint_is_sealed_has_all_begin_anew() {
    let [_, b] = ids();
    let mut coordinator = running();
    save_last(&mut coordinator, 1);
    assert_eq!(coordinator.handle_from(RIGHT, failed(b)), [within(RIGHT, Command::GiveUp)]);
    let commit = Command::Commit(Commit::Checkpoint(1));
    assert_eq!(coordinator.handle(Event::Sealed { checkpoint: 1 }), [commit, Command::GiveUp]);
}

#[test]
fn a_lost_node_is_missed_by_its_region_alone() {
    let [_, b] = ids();
    let mut coordinator = running();
    let lost = |number| Event::Lost { node: node(number), error: Error::from("it is gone") };
    assert_eq!(coordinator.handle_from(LEFT, lost(2)), [], "it had none there");
    let failure = Failed { vertex: None, error: Error::from("it is gone") };
    let restart = Command::Restart { region: RIGHT, worker: None, failure, stuck: Vec::new() };
    assert_eq!(coordinator.handle_from(RIGHT, lost(2)), [within(RIGHT, Command::GiveUp), restart]);
    // And again, on the way back.
    let again = NodeId { number: 2, incarnation: 7 };
    coordinator.relaunch(RIGHT, [(b, again)], None);
    let error = Error::from("it is gone");
    let follows = coordinator.handle_from(RIGHT, Event::Lost { node: again, error });
    assert!(matches!(&follows[..], [_, Command::Restart { region: RIGHT, .. }]), "{follows:?}");
}

#[test]
fn a_stop_is_not_forgotten_by_who_begins_anew() {
    let [a, b] = ids();
    let mut coordinator = running();
    coordinator.handle_from(RIGHT, failed(b));
    coordinator.handle_from(RIGHT, Event::Gone(b));
    assert_eq!(coordinator.handle(Event::Stop), [within(LEFT, Command::StopSources)]);
    let commands = comes_back(&mut coordinator, None);
    assert_eq!(commands, [within(RIGHT, Command::Start), within(RIGHT, Command::StopSources)]);
    coordinator.handle_from(LEFT, Event::Done(a));
    assert!(!coordinator.handle_from(RIGHT, Event::Done(b)).is_empty(), "the last checkpoint");
}

/// Its thread is left behind.
#[test]
fn who_does_not_return_keeps_nobody_from_going_on() {
    let [_, b] = ids();
    let mut coordinator = running();
    coordinator.handle_from(RIGHT, failed(b));
    let stuck = Command::Restart { region: RIGHT, worker: Some(b), failure: why(b), stuck: vec![b] };
    assert_eq!(coordinator.expired(RIGHT), [stuck]);
    assert_eq!(coordinator.expired(RIGHT), [], "once");
}

#[test]
fn whoever_cannot_be_started_anew_is_the_failure_of_all() {
    let [a, b] = ids();
    let mut coordinator = running();
    coordinator.handle_from(RIGHT, failed(b));
    coordinator.handle_from(RIGHT, Event::Gone(b));
    assert_eq!(coordinator.fail(Some(b), why(b)), [Command::GiveUp]);
    assert!(!coordinator.awaits(RIGHT));
    let failed = Ending::Failed { worker: Some(b), failure: why(b), stuck: Vec::new() };
    assert_eq!(coordinator.handle_from(LEFT, Event::Gone(a)), [Command::End(failed)]);
}

/// Nobody is told twice to stop, nor before it has begun.
#[test]
fn a_stop_on_the_way_back_comes_behind_the_start() {
    let [_, b] = ids();
    let mut coordinator = running();
    coordinator.handle_from(RIGHT, failed(b));
    coordinator.handle_from(RIGHT, Event::Gone(b));
    let again = NodeId { number: 2, incarnation: 7 };
    coordinator.relaunch(RIGHT, [(b, again)], None);
    coordinator.handle_from(RIGHT, Event::Prepared(again));
    coordinator.handle_from(RIGHT, Event::Connected(again));
    assert_eq!(coordinator.handle(Event::Stop), [within(LEFT, Command::StopSources)]);
    let begins = coordinator.handle_from(RIGHT, Event::Opened(b));
    assert_eq!(begins, [within(RIGHT, Command::Start), within(RIGHT, Command::StopSources)]);
}

/// The store has failed often, and once more while a region is gone: that one's effects are still to come.
#[test]
fn the_end_without_a_checkpoint_waits_for_who_is_started_anew() {
    let [a, b] = ids();
    let mut coordinator = running();
    coordinator.handle_from(LEFT, Event::Done(a));
    coordinator.handle_from(RIGHT, Event::Done(b));
    let full = |checkpoint| Event::NotSealed { checkpoint, error: Error::from("the disk is full") };
    for checkpoint in 1..=3 {
        coordinator.handle_from(LEFT, saved(a, checkpoint));
        coordinator.handle_from(RIGHT, saved(b, checkpoint));
        if checkpoint == 3 {
            coordinator.handle_from(RIGHT, failed(b));
            coordinator.handle_from(RIGHT, Event::Gone(b));
        }
        let follows = coordinator.handle(full(checkpoint));
        assert!(!follows.contains(&Command::Commit(Commit::End)), "{follows:?}");
        coordinator.handle(Event::Checkpoint);
    }
    assert!(coordinator.awaits(RIGHT));
    comes_back(&mut coordinator, None);
    coordinator.handle_from(RIGHT, Event::Done(b));
    coordinator.handle_from(LEFT, saved(a, 4));
    coordinator.handle_from(RIGHT, saved(b, 4));
    assert!(coordinator.handle(full(4)).contains(&Command::Commit(Commit::End)));
}

/// It has had its time while a checkpoint was about to be complete.
#[test]
fn who_does_not_return_is_left_behind_when_the_store_has_answered() {
    let [a, b] = ids();
    let mut coordinator = running();
    coordinator.handle(Event::Checkpoint);
    coordinator.handle_from(LEFT, saved(a, 1));
    coordinator.handle_from(RIGHT, saved(b, 1));
    coordinator.handle_from(RIGHT, failed(b));
    assert_eq!(coordinator.expired(RIGHT), []);
    let follows = coordinator.handle(Event::Sealed { checkpoint: 1 });
    assert!(matches!(follows.last(), Some(Command::Restart { stuck, .. }) if *stuck == [b]), "{follows:?}");
}

/// Nor does its time end that of all others.
#[test]
fn the_time_of_a_region_is_not_that_of_all() {
    let [a, b] = ids();
    let mut coordinator = running();
    coordinator.handle_from(RIGHT, failed(b));
    coordinator.handle(Event::Abort);
    assert_eq!(coordinator.expired(RIGHT), []);
    coordinator.handle_from(RIGHT, Event::Gone(b));
    assert!(matches!(coordinator.handle_from(LEFT, Event::Gone(a))[..], [Command::End(_)]));
}
