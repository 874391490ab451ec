//! Checkpoints that do not wait until barriers have come through all that waits to be handled.
//!
//! Where operations are slow, a barrier stands behind all that their senders had been allowed to send, worker after
//! worker. A worker that is told to hurry saves what it keeps at once, and with it what has been sent to it and belongs
//! to the checkpoint: that is taken in, logged, and put aside to be handled later, until barriers have come over all
//! channels (as by Chandy and Lamport, 1985, again). Its senders get their credit back for it at once, so that what
//! stands before their barriers comes, too. So a checkpoint takes as long as bytes take, and not as operations take.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering;

use super::barriers::{Aligning, Channel};
use super::{Credit, Message, Phase, State};
use crate::workflow::Origin;

/// Most bytes for which a worker gives credit back before it has handled them, for one checkpoint. Senders that have
/// saved have little more than their windows before their barriers; one that has not heard yet may have any number.
const MOST_AHEAD: usize = 16 * 1024 * 1024;

impl State {
    /// Saves now, if it has been told that alignment takes too long. Sources and those that have ended need not hurry:
    /// they wait for no barriers.
    pub(super) fn hurry_if_told(&mut self) {
        let checkpoint = self.arguments.hurry.load(Ordering::Acquire);
        if checkpoint <= self.last_checkpoint
            || self.phase != Phase::Running
            || self.arguments.stage.factory.origin() != Origin::Links
        {
            return;
        }
        let (mut barred, mut held) = (BTreeSet::new(), VecDeque::new());
        match self.barriers.aligning.take() {
            Some(newer) if newer.checkpoint > checkpoint => return self.barriers.aligning = Some(newer),
            Some(Aligning { checkpoint: same, barred: over, held: behind }) if same == checkpoint => {
                (barred, held) = (over, behind);
            }
            Some(older) => self.release(older.held),
            None => {}
        }
        let open = self.channels_left.saturating_sub(barred.len());
        self.save(checkpoint, barred, open);
        // What is here already comes before what came behind barriers.
        let mut here = std::mem::take(&mut self.aside);
        here.retain_mut(|message| self.take_ahead(message));
        let later = std::mem::replace(&mut self.aside, here);
        self.aside.extend(later);
        self.release(held);
        self.hand_over_if_done();
    }

    /// Whether it takes in what belongs to a checkpoint, to handle it later.
    pub(super) fn hurries(&self) -> bool {
        self.barriers.saving.as_ref().is_some_and(|saving| saving.open > 0)
    }

    /// Takes in what has come over a channel while it hurries.
    pub(super) fn put_aside(&mut self, mut message: Message) {
        if self.take_ahead(&mut message) {
            self.aside.push_back(message);
        }
        self.hand_over_if_done();
    }

    /// Logs what belongs to the checkpoint. Whether it is to be handled later.
    fn take_ahead(&mut self, message: &mut Message) -> bool {
        match message {
            Message::Batch { parcel, credit, from, .. } if self.is_open(*from) => {
                let ahead = self.log_flight(*from, parcel);
                if ahead <= MOST_AHEAD {
                    // Its batch is here and is needed, so there is no empty one to give back.
                    let _ = std::mem::replace(credit, Credit::Given).give_back(None);
                }
                true
            }
            Message::Watermark { credit, from, .. } if self.is_open(*from) => {
                let _ = std::mem::replace(credit, Credit::Given).give_back(None);
                true
            }
            Message::End { from } => {
                self.close_channel(*from);
                true
            }
            Message::Barrier { checkpoint, from } if self.last_checkpoint == *checkpoint && self.is_open(*from) => {
                self.close_channel(*from);
                false
            }
            _ => true,
        }
    }

    fn is_open(&self, from: Channel) -> bool {
        let is_open = |saving: &super::barriers::InProgress| saving.open > 0 && !saving.barred.contains(&from);
        !self.is_peer(from) && self.barriers.saving.as_ref().is_some_and(is_open)
    }

    fn close_channel(&mut self, from: Channel) {
        if self.is_open(from)
            && let Some(saving) = &mut self.barriers.saving
        {
            saving.barred.insert(from);
            saving.open -= 1;
        }
    }
}
