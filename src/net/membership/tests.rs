//! Tests of membership, with schedules that anything may happen in.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn node(number: u8) -> NodeName {
    format!("n{number}@host").parse().expect("a name")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn connected(number: u8, incarnation: u64, now: Duration) -> Event {
    Event::Connected { node: node(number), incarnation, now }
}

fn heard(number: u8, incarnation: u64, now: Duration) -> Event {
    Event::Heard { node: node(number), incarnation, now }
}

fn reset(number: u8, incarnation: u64, now: Duration) -> Event {
    Event::Reset { node: node(number), incarnation, now }
}

fn left(number: u8, incarnation: u64, now: Duration) -> Event {
    Event::Left { node: node(number), incarnation, now }
}

fn up(number: u8, incarnation: u64) -> Vec<Command> {
    vec![Command::Up { node: node(number), incarnation }]
}

fn down(number: u8, incarnation: u64, reason: Cause) -> Vec<Command> {
    vec![Command::Down { node: node(number), incarnation, reason }]
}

fn refused(commands: Vec<Command>) -> Reason {
    match commands.as_slice() {
        [Command::Refuse { refusal, .. }] => refusal.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_that_is_silent_is_down_after_three_seconds_and_not_before() {
    let mut members = Membership::new(SILENCE);
    assert_eq!(members.handle(connected(1, 5, ms(100))), up(1, 5));
    assert_eq!(members.handle(heard(1, 5, ms(900))), []);
    for now in [1000, 2000, 3000, 3899] {
        assert_eq!(members.handle(Event::Tick { now: ms(now) }), [], "{now}");
    }
    assert_eq!(members.handle(Event::Tick { now: ms(3900) }), down(1, 5, Cause::Silent(SILENCE)));
    assert_eq!(members.handle(Event::Tick { now: ms(4900) }), []);
    assert_eq!(members.handle(heard(1, 5, ms(5000))), [], "too late");
    assert!(!members.is_up(&node(1), 5));
}

#[test]
fn a_node_whose_connection_is_lost_is_down_at_once() {
    let mut members = Membership::new(SILENCE);
    members.handle(connected(1, 5, ms(0)));
    members.handle(connected(2, 1, ms(0)));
    assert_eq!(members.handle(reset(1, 4, ms(1))), [], "an earlier life of it");
    assert_eq!(members.handle(reset(1, 5, ms(1))), down(1, 5, Cause::Reset));
    assert_eq!(members.handle(reset(1, 5, ms(1))), []);
    assert_eq!(members.up().map(|(node, _)| node.name()).collect::<Vec<_>>(), ["n2"]);
}

#[test]
fn who_is_dead_comes_back_only_as_another() {
    let mut members = Membership::new(SILENCE);
    members.handle(connected(1, 5, ms(0)));
    members.handle(reset(1, 5, ms(1)));
    assert_eq!(refused(members.handle(connected(1, 5, ms(2)))), Reason::DeclaredDead);
    assert_eq!(refused(members.handle(connected(1, 4, ms(2)))), Reason::DeclaredDead);
    assert_eq!(members.handle(connected(1, 6, ms(2))), up(1, 6));
    assert_eq!(members.handle(heard(1, 5, ms(3))), []);
    assert!(members.is_up(&node(1), 6) && !members.is_up(&node(1), 5));
}

#[test]
fn a_name_has_one_node() {
    let mut members = Membership::new(SILENCE);
    members.handle(connected(1, 5, ms(0)));
    assert_eq!(refused(members.handle(connected(1, 5, ms(1)))), Reason::AlreadyConnected);
    assert_eq!(refused(members.handle(connected(1, 6, ms(1)))), Reason::NameTaken);
    assert_eq!(refused(members.handle(connected(1, 4, ms(1)))), Reason::NameTaken);
    assert!(members.is_up(&node(1), 5), "a refusal changes nothing");
}

#[test]
fn who_leaves_in_order_may_come_back() {
    let mut members = Membership::new(SILENCE);
    members.handle(connected(1, 5, ms(0)));
    assert_eq!(members.handle(left(1, 4, ms(1))), []);
    assert!(members.is_up(&node(1), 5));
    assert_eq!(members.handle(left(1, 5, ms(1))), []);
    assert_eq!(members.handle(connected(1, 5, ms(2))), up(1, 5));
}

#[test]
fn a_watcher_that_was_away_blames_nobody() {
    let mut members = Membership::new(SILENCE);
    members.handle(connected(1, 5, ms(0)));
    // Ten seconds in which nobody looked; what has come meanwhile is read next.
    assert_eq!(members.handle(Event::Tick { now: ms(10_000) }), []);
    assert_eq!(members.handle(heard(1, 5, ms(10_001))), []);
    assert_eq!(members.handle(Event::Tick { now: ms(60_000) }), []);
    assert_eq!(members.handle(Event::Tick { now: ms(61_000) }), []);
    assert_eq!(members.handle(Event::Tick { now: ms(62_000) }).len(), 1, "but whoever stays silent is down");
    // Nor does a clock that goes back.
    members.handle(connected(2, 1, ms(62_000)));
    assert_eq!(members.handle(Event::Tick { now: ms(0) }), []);
    assert_eq!(members.handle(Event::Tick { now: ms(62_001) }), []);
}

#[test]
fn the_memory_of_the_dead_is_bounded() {
    let mut members = Membership::new(SILENCE);
    let name = |number: usize| format!("n{number}@host").parse::<NodeName>().expect("a name");
    for number in 0..=MOST_DEAD {
        members.handle(Event::Connected { node: name(number), incarnation: 1, now: ms(0) });
        members.handle(Event::Reset { node: name(number), incarnation: 1, now: ms(0) });
    }
    assert!(members.check(&name(0), 1).is_ok(), "the first is forgotten");
    assert!(members.check(&name(1), 1).is_err());
}

#[derive(Clone, Debug)]
enum Act {
    Connect(u8, u64),
    Hear(u8, u64),
    Reset(u8, u64),
    Leave(u8, u64),
    Tick,
}

fn act() -> impl Strategy<Value = (Act, u64)> {
    let who = || (0..3u8, 0..4u64);
    let act = prop_oneof![
        4 => who().prop_map(|(n, i)| Act::Connect(n, i)),
        6 => who().prop_map(|(n, i)| Act::Hear(n, i)),
        1 => who().prop_map(|(n, i)| Act::Reset(n, i)),
        1 => who().prop_map(|(n, i)| Act::Leave(n, i)),
        6 => Just(Act::Tick),
    ];
    (act, prop_oneof![8 => 0..1000u64, 1 => 1000..20_000u64])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A plain account of the same events, node by node, kept beside it.
    #[test]
    fn every_schedule_keeps_the_rules(schedule in vec(act(), 0..120)) {
        let mut members = Membership::new(SILENCE);
        // For each node: the life that is up, and when it was heard, in time that somebody watched; and the dead one.
        let mut lives = [None::<(u64, u64)>; 3];
        let mut dead = [None::<u64>; 3];
        let (mut now, mut watched) = (0, 0);
        for (act, pause) in schedule {
            now += pause;
            watched += pause.min(1000);
            let (time, commands) = (ms(now), match act {
                Act::Connect(n, i) => members.handle(connected(n, i, ms(now))),
                Act::Hear(n, i) => members.handle(heard(n, i, ms(now))),
                Act::Reset(n, i) => members.handle(reset(n, i, ms(now))),
                Act::Leave(n, i) => members.handle(left(n, i, ms(now))),
                Act::Tick => members.handle(Event::Tick { now: ms(now) }),
            });
            let mut expected = Vec::new();
            if matches!(act, Act::Tick | Act::Connect(..)) {
                for n in 0..3u8 {
                    let at = usize::from(n);
                    if let Some((i, last)) = lives[at].filter(|(_, last)| watched - last >= 3000) {
                        expected.extend(down(n, i, Cause::Silent(ms(watched - last))));
                        (lives[at], dead[at]) = (None, Some(i));
                    }
                }
            }
            match act {
                Act::Connect(n, i) => {
                    let at = usize::from(n);
                    let reason = match (lives[at], dead[at]) {
                        (Some((up, _)), _) if up == i => Some(Reason::AlreadyConnected),
                        (Some(_), _) => Some(Reason::NameTaken),
                        (None, Some(dead)) if i <= dead => Some(Reason::DeclaredDead),
                        (None, _) => None,
                    };
                    match reason {
                        None => {
                            lives[at] = Some((i, watched));
                            expected.extend(up(n, i));
                        }
                        Some(reason) => {
                            prop_assert_eq!(refused(commands[commands.len() - 1..].to_vec()), reason);
                            expected.push(commands[commands.len() - 1].clone());
                        }
                    }
                }
                Act::Hear(n, i) => {
                    lives[usize::from(n)].iter_mut().filter(|(up, _)| *up == i).for_each(|(_, last)| *last = watched);
                }
                Act::Reset(n, i) if lives[usize::from(n)].is_some_and(|(up, _)| up == i) => {
                    (lives[usize::from(n)], dead[usize::from(n)]) = (None, Some(i));
                    expected.extend(down(n, i, Cause::Reset));
                }
                Act::Leave(n, i) if lives[usize::from(n)].is_some_and(|(up, _)| up == i) => {
                    lives[usize::from(n)] = None;
                }
                Act::Reset(..) | Act::Leave(..) | Act::Tick => {}
            }
            prop_assert_eq!(commands, expected, "at {:?}", time);
            let up: Vec<_> = members.up().map(|(node, i)| (node.clone(), i)).collect();
            let expected: Vec<_> = (0..3).filter_map(|n| Some((node(n), lives[usize::from(n)]?.0))).collect();
            prop_assert_eq!(up, expected);
        }
    }

    /// Whoever sends a heartbeat every half second is never down, whatever else happens and however late it comes.
    #[test]
    fn who_is_heard_is_never_down(delays in vec(0..2000u64, 1..60), others in vec(act(), 60)) {
        let mut members = Membership::new(SILENCE);
        members.handle(connected(9, 1, ms(0)));
        let mut now = 0;
        for (delay, (other, _)) in delays.iter().zip(others) {
            now += delay;
            let event = match other {
                Act::Connect(n, i) => connected(n, i, ms(now)),
                Act::Reset(n, i) => reset(n, i, ms(now)),
                _ => Event::Tick { now: ms(now) },
            };
            members.handle(event);
            members.handle(heard(9, 1, ms(now)));
            prop_assert!(members.is_up(&node(9), 1));
        }
    }
}
