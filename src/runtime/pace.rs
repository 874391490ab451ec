//! How far the time of sources has come that are to stay near each other, and who of them is too far ahead.
//!
//! Sources that are aligned are members of a group. Each tells how far the time of its records has come; one that is
//! farther than its drift ahead of the one that is most behind reads nothing until that has caught up. On a node they
//! see each other at once. Between nodes, and between parts of a deployment on one, the master tells: each site reports
//! how far the slowest of its members is when that has changed ([`REPORT_INTERVAL`]), and is told the same of all
//! others. What is known of others is never ahead of them, so who waits may wait longer than it has to, by the time
//! that takes, and nobody is farther ahead than it may be.
//!
//! Nobody waits for one that is idle, or has ended; for one that has not had a record yet, all that have do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::id::NodeId;
use crate::workflow::{Alignment, Pacing, Timestamp, Watermark};

/// How often a site tells the master how far its slowest sources are, at most: seldom enough that the messages are
/// nothing beside those with records, often enough that a drift of seconds is kept by sources that read a thousand
/// times as fast as time goes.
pub const REPORT_INTERVAL: Duration = Duration::from_millis(25);

/// Of a member that has not had a record.
const UNKNOWN: Timestamp = Timestamp::MIN;

/// Of one that nobody waits for.
const NOBODY: Timestamp = Timestamp::MAX;

/// How far the slowest is in each group, by its name: the lowest number if one has had no record, and the highest if
/// there is nobody to wait for.
pub type Slowest = BTreeMap<String, Timestamp>;

/// The groups of a site.
#[derive(Clone, Debug)]
pub struct Paces {
    groups: Arc<Mutex<BTreeMap<String, Arc<Group>>>>,
    /// How far the slowest elsewhere is, of those of whom nobody has told.
    untold: Timestamp,
}

/// Of a site that knows of no others.
impl Default for Paces {
    fn default() -> Self {
        Paces { groups: Arc::default(), untold: NOBODY }
    }
}

/// The members of a group that are here.
#[derive(Debug)]
struct Group {
    members: Mutex<Vec<Arc<AtomicI64>>>,
    /// How far the slowest of them is.
    here: AtomicI64,
    /// How far the slowest of the others is.
    elsewhere: AtomicI64,
}

impl Paces {
    /// Those of a site whose sources wait until they are told of others.
    pub fn among_others() -> Self {
        Paces { untold: UNKNOWN, ..Paces::default() }
    }

    /// A new member.
    pub fn join(&self, alignment: &Alignment) -> Arc<Member> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let (here, elsewhere) = (AtomicI64::new(NOBODY), AtomicI64::new(self.untold));
            Arc::new(Group { members: Mutex::default(), here, elsewhere })
        };
        let group = Arc::clone(groups.entry(alignment.group.clone()).or_insert_with(new));
        let own = Arc::new(AtomicI64::new(UNKNOWN));
        group.members.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&own));
        group.look();
        Arc::new(Member { group, own, drift: alignment.drift })
    }

    /// How far the slowest here is in each group.
    pub fn slowest(&self) -> Slowest {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.iter().map(|(name, group)| (name.clone(), group.here.load(Ordering::Relaxed))).collect()
    }

    /// Takes in how far the slowest elsewhere is.
    pub fn set_elsewhere(&self, slowest: &Slowest) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, group) in groups.iter() {
            let time = slowest.get(name).copied().unwrap_or(NOBODY);
            group.elsewhere.store(time, Ordering::Relaxed);
        }
    }
}

impl Group {
    fn look(&self) {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let slowest = members.iter().map(|member| member.load(Ordering::Relaxed)).min().unwrap_or(NOBODY);
        self.here.store(slowest, Ordering::Relaxed);
    }
}

/// A source that is aligned with others.
#[derive(Debug)]
pub struct Member {
    group: Arc<Group>,
    own: Arc<AtomicI64>,
    drift: Timestamp,
}

impl Member {
    /// Whether it is too far ahead.
    pub fn is_ahead(&self) -> bool {
        let own = self.own.load(Ordering::Relaxed);
        let slowest = self.group.here.load(Ordering::Relaxed).min(self.group.elsewhere.load(Ordering::Relaxed));
        own != NOBODY && own > slowest.saturating_add(self.drift)
    }
}

impl Pacing for Member {
    fn tell(&self, watermark: Watermark) {
        let time = match watermark {
            Watermark::At(time) => time.clamp(UNKNOWN + 1, NOBODY - 1),
            Watermark::Idle => NOBODY,
        };
        if self.own.swap(time, Ordering::Relaxed) != time {
            self.group.look();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.group.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| !Arc::ptr_eq(member, &self.own));
        drop(members);
        self.group.look();
    }
}

/// What sites have told, for the master: how far the slowest is of those that are elsewhere.
#[derive(Debug)]
pub struct Pacemaker<P> {
    told: BTreeMap<(P, NodeId), Slowest>,
    /// Those that have told nothing yet.
    awaited: BTreeSet<(P, NodeId)>,
}

impl<P> Default for Pacemaker<P> {
    fn default() -> Self {
        Pacemaker { told: BTreeMap::new(), awaited: BTreeSet::new() }
    }
}

impl<P: Ord + Copy> Pacemaker<P> {
    /// A part begins on these nodes: what it has told before does not count any more.
    pub fn expect(&mut self, part: P, nodes: impl IntoIterator<Item = NodeId>) {
        self.told.retain(|(other, _), _| *other != part);
        self.awaited.retain(|(other, _)| *other != part);
        self.awaited.extend(nodes.into_iter().map(|node| (part, node)));
    }

    /// Takes in what the part of a deployment on a node has told.
    pub fn told(&mut self, part: P, node: NodeId, slowest: Slowest) {
        self.awaited.remove(&(part, node));
        self.told.insert((part, node), slowest);
    }

    /// What one is to be told; nothing before all have told something.
    pub fn elsewhere(&self, part: P, node: NodeId) -> Option<Slowest> {
        let mut elsewhere = Slowest::new();
        for (_, slowest) in self.told.iter().filter(|(other, _)| **other != (part, node)) {
            for (name, time) in slowest {
                let known = elsewhere.entry(name.clone()).or_insert(NOBODY);
                *known = (*known).min(*time);
            }
        }
        self.awaited.is_empty().then_some(elsewhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;

    fn alignment(drift: Timestamp) -> Alignment {
        Alignment { group: "all".to_owned(), drift }
    }

    #[test]
    fn who_is_ahead_waits_for_the_slowest() {
        let paces = Paces::default();
        let [fast, slow] = [10, 10].map(|drift| paces.join(&alignment(drift)));
        assert!(!fast.is_ahead(), "it has not had a record");
        fast.tell(Watermark::At(5));
        assert!(fast.is_ahead(), "the other one has had none");
        slow.tell(Watermark::At(0));
        assert!(!fast.is_ahead() && !slow.is_ahead());
        fast.tell(Watermark::At(11));
        assert!(fast.is_ahead() && !slow.is_ahead());
        slow.tell(Watermark::Idle);
        assert!(!fast.is_ahead());
        slow.tell(Watermark::At(0));
        assert!(fast.is_ahead());
        drop(slow);
        assert!(!fast.is_ahead());
    }

    #[test]
    fn those_elsewhere_are_waited_for() {
        let (paces, node) = (Paces::among_others(), |number| NodeId { number, incarnation: 1 });
        let fast = paces.join(&alignment(10));
        fast.tell(Watermark::At(100));
        assert!(fast.is_ahead(), "nobody knows of others");
        let mut pacemaker = Pacemaker::default();
        pacemaker.expect((), [node(1), node(2)]);
        pacemaker.told((), node(1), paces.slowest());
        assert_eq!(pacemaker.elsewhere((), node(1)), None, "the other one has not told");
        for (told, is_ahead) in [(UNKNOWN, true), (89, true), (90, false), (NOBODY, false)] {
            pacemaker.told((), node(2), [("all".to_owned(), told)].into());
            paces.set_elsewhere(&pacemaker.elsewhere((), node(1)).expect("there is another one"));
            assert_eq!(fast.is_ahead(), is_ahead, "{told}");
        }
        assert_eq!(pacemaker.elsewhere((), node(2)), Some([("all".to_owned(), 100)].into()));
    }
}
