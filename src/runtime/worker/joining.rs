//! What a worker does when others join.

use super::{Phase, State};
use crate::id::NodeId;
use crate::runtime::coordinator::Event;
use crate::runtime::wiring::Joined;

impl State {
    /// Others are about to join before this worker. Once all of its senders have ended it cannot wait for more.
    pub(super) fn expect(&mut self, joined: NodeId, ends: u32) {
        let agreed = self.phase == Phase::Running && self.channels_left > 0;
        if agreed {
            self.channels_left += ends as usize;
        }
        (self.arguments.tell)(Event::Expects { worker: self.arguments.id, joined, agreed });
    }

    /// Others have joined behind this worker, or beside it. Once it has finished it sends them nothing.
    pub(super) fn joined(&mut self, joined: &Joined) {
        let knows = matches!(self.phase, Phase::Running | Phase::Draining);
        if knows {
            let flow = self.arguments.flow.clone();
            if flow.with_joined(&joined.ways, || self.run(|stage| stage.joined(&joined.grown))).is_none() {
                return;
            }
        }
        (self.arguments.tell)(Event::Told { worker: self.arguments.id, joined: joined.node, knows });
    }
}
