//! What has to hold, whatever happens.

use std::rc::Rc;

use super::super::super::*;
use super::super::worker::{KEYED, Kept, Phase, Place, Transaction};
use super::World;

impl World {
    pub(super) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.wrong.is_none() {
            self.wrong = Some(what());
        }
    }

    /// What is saved is of one point: each record that was read by then is counted once, or will be.
    pub(super) fn check_cut(&mut self, checkpoint: u64) {
        let is_there = |stored: &Option<(u64, Rc<Kept>)>| stored.as_ref().is_some_and(|(of, _)| *of == checkpoint);
        let all = self.stored.iter().all(is_there);
        self.check(all, || "not all is stored".to_owned());
        let kept = |place: Place| self.stored[place].as_ref().map(|(_, kept)| Rc::clone(kept));
        let (Some(first), Some(second)) = (kept(0), kept(1)) else { return };
        let mut read = Vec::new();
        for (items, source) in self.case.items.iter().zip([first, second]) {
            read.extend(items[..source.position].iter().map(|item| item.bit));
        }
        let mut counted = Vec::new();
        for kept in KEYED.iter().filter_map(|place| kept(*place)) {
            let bits = (0..u8::BITS).map(|bit| 1u8 << bit);
            counted.extend(bits.clone().filter(|bit| kept.counted & bit != 0));
            counted.extend(bits.filter(|bit| kept.waiting & bit != 0));
            counted.extend(kept.flights.iter().copied());
        }
        read.sort_unstable();
        counted.sort_unstable();
        self.check(read == counted, || format!("checkpoint {checkpoint}: {read:?} were read, {counted:?} counted"));
    }

    pub(super) fn apply(&mut self, Transaction { checkpoint, attempt, bits }: Transaction) {
        let is_there = self.newest.as_ref().is_some_and(|(newest, _)| *newest >= checkpoint);
        self.check(is_there, || format!("effects of {checkpoint} come before it is complete"));
        for bit in (0..8).filter(|bit| bits & 1 << bit != 0) {
            let before = self.book[bit].replace((checkpoint, attempt));
            let twice = before.is_some_and(|before| before != (checkpoint, attempt));
            self.check(!twice, || format!("record {bit} has its effect twice"));
        }
    }

    pub(super) fn end(&mut self, ending: &Ending) {
        let living = self.workers.iter().any(|worker| worker.phase != Phase::Ended);
        self.check(!living, || "workers are left".to_owned());
        match ending {
            Ending::Stopped if self.stopped => {
                // Everything before the savepoint is there to stay, and somebody goes on from it.
                let read = |place: Place| self.workers[place].kept.position;
                self.check_book([read(0), read(1)]);
                (self.ending, self.stopping) = (None, false);
                self.begin(false);
            }
            Ending::Stopped if self.stopping => {
                let read = |place: Place| self.workers[place].kept.position;
                self.check_book([read(0), read(1)]);
            }
            Ending::Completed if !self.stopped && !self.stopping => {
                self.check_book([self.case.items[0].len(), self.case.items[1].len()]);
            }
            other => self.check(false, || format!("it ends otherwise: {other:?}")),
        }
    }

    /// Of what was read each record has had its effect, and no other.
    fn check_book(&mut self, read: [usize; 2]) {
        let mut bits = 0u8;
        for (items, read) in self.case.items.iter().zip(read) {
            items[..read].iter().for_each(|item| bits |= item.bit);
        }
        let done = (0..8).filter(|bit| self.book[*bit].is_some()).fold(0, |all, bit| all | 1u8 << bit);
        self.check(done == bits, || format!("{bits:b} were read, {done:b} have had their effects"));
    }
}
