//! What waits in a worker, in line, until there is credit for what may follow from it.

use std::sync::atomic::Ordering;

use super::{Message, Phase, State};

impl State {
    /// Takes what comes when its turn has come: behind what was put aside for want of credit.
    pub(super) fn take_in_line(&mut self, message: Message) {
        if self.is_blocked() {
            self.aside.push_back(message);
        } else {
            self.admit(message);
        }
    }

    /// Takes what comes over a channel, unless that is held back.
    pub(super) fn admit(&mut self, message: Message) {
        let (Message::Batch { from, .. }
        | Message::Watermark { from, .. }
        | Message::End { from }
        | Message::Barrier { from, .. }) = message
        else {
            // The clock stands in line, too, where something may be emitted by it.
            return self.tick();
        };
        match self.hold(from, message) {
            Some(Message::Batch { parcel, credit, peer, .. }) => self.process(parcel, &credit, peer),
            Some(Message::Watermark { watermark, credit, from }) => self.watermark(from, watermark, &credit),
            Some(Message::End { from }) => self.channel_ended(from),
            Some(Message::Barrier { checkpoint, from }) => self.barrier(checkpoint, from),
            _ => {}
        }
    }

    /// Takes what was put aside, as long as there is credit for what follows from it.
    pub(super) fn proceed(&mut self) {
        while self.phase != Phase::Ended
            && !self.halted
            && !self.arguments.flow.is_blocked()
            && !self.arguments.flow.is_given_up()
        {
            // What comes is taken in first.
            if self.hurries() && self.arguments.waiting.load(Ordering::Acquire) > 0 {
                break;
            }
            let Some(message) = self.aside.pop_front() else { break };
            self.admit(message);
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        !self.aside.is_empty() || self.halted || self.arguments.flow.is_blocked()
    }

    /// There is credit again.
    pub(super) fn woken(&mut self) {
        if !self.arguments.flow.pump() {
            return;
        }
        self.proceed();
        if self.phase == Phase::Running && !self.arguments.flow.is_blocked() {
            self.resume();
        }
        self.leave_if_empty();
    }
}
