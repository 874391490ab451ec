//! A node that joins: a few schedules by hand.

use super::growing::{AGAIN, SINK, growth, links};
use super::*;

/// A coordinator of one worker each, which has started.
fn started() -> Coordinator {
    let ids: Vec<WorkerId> = (0..4).map(|vertex| worker(vertex, 0)).collect();
    let mut coordinator = Coordinator::new(ids.iter().map(|id| (*id, node(1))), links());
    coordinator.handle(Event::Prepared(node(1)));
    coordinator.handle(Event::Connected(node(1)));
    ids.iter().for_each(|id| drop(coordinator.handle(Event::Opened(*id))));
    coordinator
}

#[test]
fn a_node_joins_step_by_step() {
    let (mut coordinator, two) = (started(), node(2));
    assert_eq!(coordinator.handle(Event::Grow(growth(2))), [Command::Invite(two)]);
    assert_eq!(coordinator.handle(Event::Prepared(two)), [Command::Meet(growth(2))]);
    assert_eq!(coordinator.handle(Event::Met { node: two, joined: two }), []);
    assert_eq!(coordinator.handle(Event::Met { node: node(1), joined: two }), [Command::OpenOn(two)]);
    let added = [worker(1, 1), worker(1, 2), worker(2, 1), worker(2, 2)];
    added[1..].iter().for_each(|id| assert_eq!(coordinator.handle(Event::Opened(*id)), []));
    let ends = BTreeMap::from([(AGAIN, 2), (SINK, 4)]);
    assert_eq!(coordinator.handle(Event::Opened(added[0])), [Command::Expect { joined: two, ends }]);
    // What is taken in is not what another growth was asked.
    let expects = |vertex, joined| Event::Expects { worker: worker(vertex, 0), joined, agreed: true };
    assert_eq!(coordinator.handle(expects(3, node(9))), []);
    assert_eq!(coordinator.handle(expects(3, two)), []);
    assert_eq!(coordinator.handle(expects(2, two)), [Command::Welcome(two)]);
    // Another one waits until all before the new ones have been told. The source had ended.
    assert_eq!(coordinator.handle(Event::Grow(growth(3))), []);
    assert_eq!(coordinator.handle(Event::Done(worker(0, 0))), []);
    let told = |vertex| Event::Told { worker: worker(vertex, 0), joined: two, knows: true };
    assert_eq!(coordinator.handle(told(1)), []);
    let release = |worker| Command::Release { worker, ends: 1 };
    let released = [release(added[0]), release(added[1]), Command::Invite(node(3))];
    assert_eq!(coordinator.handle(told(2)), released);
}

#[test]
fn who_agreed_is_released_when_another_one_cannot() {
    let (mut coordinator, two) = (started(), node(2));
    for event in [Event::Grow(growth(2)), Event::Prepared(two), Event::Met { node: two, joined: two }] {
        coordinator.handle(event);
    }
    coordinator.handle(Event::Met { node: node(1), joined: two });
    for id in [worker(1, 1), worker(1, 2), worker(2, 1), worker(2, 2)] {
        coordinator.handle(Event::Opened(id));
    }
    let expects = |vertex, agreed| Event::Expects { worker: worker(vertex, 0), joined: two, agreed };
    let commands = coordinator.handle(expects(3, false));
    assert!(matches!(&commands[..], [Command::Dismiss { joined, .. }] if *joined == two), "{commands:?}");
    // What becomes of the node is of no interest any more; but nobody joins before all have answered.
    assert_eq!(coordinator.handle(Event::Lost { node: two, error: Error::from("gone") }), []);
    assert_eq!(coordinator.handle(Event::Grow(growth(3))), []);
    let released = [Command::Release { worker: worker(2, 0), ends: 2 }, Command::Invite(node(3))];
    assert_eq!(coordinator.handle(expects(2, true)), released);
}

#[test]
fn a_node_that_joins_waits_for_the_start_and_not_for_the_end() {
    let a = worker(0, 0);
    let mut coordinator = coordinator([a]);
    assert_eq!(coordinator.handle(Event::Grow(growth(2))), []);
    assert_eq!(coordinator.handle(Event::Opened(a)), [Command::Start, Command::Invite(node(2))]);
    let dismissed = |number, why| Command::Dismiss { joined: node(number), error: Error::from(why) };
    let stops = "the deployment stops";
    assert_eq!(coordinator.handle(Event::Stop), [dismissed(2, stops), Command::StopSources]);
    assert_eq!(coordinator.handle(Event::Grow(growth(3))), [dismissed(3, stops)]);
    let broken = Event::Broken { node: NodeId::LOCAL, with: Some(2), error: Error::from("the connection ended") };
    assert_eq!(coordinator.handle(broken), [], "it was let go of");
}
