//! What a worker does for a checkpoint.
//!
//! A barrier comes over each channel, in line with the batches, and tells apart what belongs to the checkpoint and what
//! does not (Chandy and Lamport, 1985; aligned as in Carbone, Ewen, Fóra, Haridi, Richter and Tzoumas, 2017). A worker
//! holds back the channels whose barrier has come until all have; saves what it keeps; and sends barriers on.
//!
//! Workers that send to each other would wait for each other that way. So their channels are not waited for: what comes
//! over them between a worker's own barrier and that of a peer is saved with the checkpoint, and handled as well. When
//! alignment takes too long, all channels are treated so (`hurry`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::{Message, Parcel, Phase, State};
use crate::id::{Part, VertexId, WorkerId};
use crate::workflow::{Commit, Earlier, Finished, Flush, Later, Origin, Pieces, Saving, Snapshot};

/// Most checkpoints that a worker has saved and that may still become complete: one, and one that it has not heard of.
const MOST_UNSEALED: usize = 4;

/// A way in: a link of a worker that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel {
    pub from: WorkerId,
    pub link: u32,
}

/// What a worker has saved for a checkpoint.
#[derive(Debug)]
pub struct WorkerSnapshot {
    pub worker: WorkerId,
    pub checkpoint: u64,
    pub parts: Vec<(VertexId, Part, Pieces)>,
    /// Those that are made when they are stored.
    pub later: Vec<Later>,
    /// What has not changed since a complete checkpoint, and which that is.
    pub kept: Vec<(VertexId, Part)>,
    pub base: Option<u64>,
    /// It has come to its end, and told its receivers.
    pub finished: bool,
    /// All of its senders had ended, and it has drained.
    pub drained: bool,
}

/// What a worker goes on with.
#[derive(Clone, Debug, Default)]
pub struct Inheritance {
    /// By vertex; of each that was there, if there is nothing, too.
    pub parts: BTreeMap<VertexId, BTreeMap<Part, Bytes>>,
    pub finished: bool,
    pub drained: bool,
}

impl Inheritance {
    /// The batches that were under way from peers, in their order.
    pub fn flights(&self) -> impl Iterator<Item = &Bytes> {
        let all = self.parts.values().flatten();
        all.filter(|(part, _)| matches!(part, Part::Flight { .. })).map(|(_, bytes)| bytes)
    }
}

/// Barriers that have come, and those that are awaited.
#[derive(Default)]
pub(super) struct Barriers {
    /// Waits until the barrier has come over all channels.
    pub(super) aligning: Option<Aligning>,
    /// Saves what it keeps, and what comes from peers.
    pub(super) saving: Option<InProgress>,
    /// What it has saved for the newest checkpoint that is complete, and not changed since, may be kept.
    earlier: Option<Arc<Earlier>>,
    /// What counts if another one is complete. They are few: one at a time is under way.
    unsealed: BTreeMap<u64, Earlier>,
}

pub(super) struct Aligning {
    pub checkpoint: u64,
    pub barred: BTreeSet<Channel>,
    pub held: VecDeque<Message>,
}

pub(super) struct InProgress {
    checkpoint: u64,
    snapshot: Snapshot,
    state_done: bool,
    /// Peers whose barrier has come.
    peers: BTreeSet<Channel>,
    /// Over so many channels something may still come that belongs to it, and over these nothing; all have none when
    /// they were aligned.
    pub open: usize,
    pub barred: BTreeSet<Channel>,
    /// Batches so far over each of the others, and their bytes.
    flights: BTreeMap<Channel, u32>,
    logged: usize,
    drained: bool,
    finished: bool,
}

impl State {
    /// Whether a message is held back, because the barrier of its channel has come and that of others has not. Gives it
    /// back if it is not.
    pub(super) fn hold(&mut self, from: Channel, message: Message) -> Option<Message> {
        match &mut self.barriers.aligning {
            Some(aligning) if aligning.barred.contains(&from) => {
                aligning.held.push_back(message);
                None
            }
            _ => Some(message),
        }
    }

    /// The coordinator wants a checkpoint, of a worker that no barrier may come to.
    pub(super) fn trigger(&mut self, checkpoint: u64, halt: bool) {
        if halt && self.arguments.stage.factory.origin() != Origin::Links {
            self.halts_at = checkpoint;
        }
        self.align(checkpoint);
        self.save_if_aligned();
    }

    /// A barrier has come.
    pub(super) fn barrier(&mut self, checkpoint: u64, from: Channel) {
        if self.is_peer(from) {
            return self.barrier_of_peer(checkpoint, from);
        }
        self.align(checkpoint);
        // That of an older one, which was given up, cuts nothing: what follows it belongs to the newer one.
        if let Some(aligning) = self.barriers.aligning.as_mut().filter(|aligning| aligning.checkpoint == checkpoint) {
            aligning.barred.insert(from);
        }
        self.save_if_aligned();
    }

    fn align(&mut self, checkpoint: u64) {
        let is_new = self.barriers.aligning.as_ref().is_none_or(|aligning| aligning.checkpoint < checkpoint);
        let is_saved = self.last_checkpoint >= checkpoint;
        if is_new && !is_saved {
            // What an older one held back, which is given up, is next in line.
            if let Some(older) = self.barriers.aligning.take() {
                self.release(older.held);
            }
            let (barred, held) = (BTreeSet::new(), VecDeque::new());
            self.barriers.aligning = Some(Aligning { checkpoint, barred, held });
        }
    }

    pub(super) fn release(&mut self, held: VecDeque<Message>) {
        let later = std::mem::replace(&mut self.aside, held);
        self.aside.extend(later);
    }

    pub(super) fn is_peer(&self, from: Channel) -> bool {
        from.from.vertex == self.arguments.id.vertex
    }

    /// Saves what it keeps if no channel is left over which something may come that belongs to the checkpoint.
    pub(super) fn save_if_aligned(&mut self) {
        let Some(aligning) = &self.barriers.aligning else { return };
        // The thread of a source that listens sends no barriers: what it has handed in so far belongs to the
        // checkpoint.
        let listens = self.arguments.stage.factory.origin() == Origin::Listen && self.channels_left > 0;
        if aligning.barred.len() < self.channels_left - usize::from(listens) {
            return;
        }
        match self.phase {
            Phase::Running | Phase::Draining | Phase::Finished => {}
            // What it emitted last is still on its way out; it looks again then.
            Phase::Empty | Phase::Leaving | Phase::Ended => return,
        }
        let Some(Aligning { checkpoint, held, .. }) = self.barriers.aligning.take() else { return };
        self.save(checkpoint, BTreeSet::new(), 0);
        self.release(held);
    }

    /// Saves what it keeps, and begins to save what comes over channels that are still open: so many beside those whose
    /// barrier has come.
    pub(super) fn save(&mut self, checkpoint: u64, barred: BTreeSet<Channel>, open: usize) {
        let finished = self.phase == Phase::Finished;
        let mut snapshot = match &self.barriers.earlier {
            Some(earlier) => Snapshot::after(checkpoint, Arc::clone(earlier)),
            None => Snapshot::new(checkpoint),
        }
        .by(self.arguments.id.index);
        let saved = self.run(|stage| {
            if !finished {
                stage.flush(Flush::Barrier)?;
            }
            stage.snapshot(&mut snapshot, true)
        });
        let Some(saving) = saved else { return };
        if !finished {
            self.arguments.flow.barrier(checkpoint);
        }
        self.last_checkpoint = checkpoint;
        self.halted = self.halts_at == checkpoint;
        let drained = self.phase == Phase::Draining;
        let state_done = saving == Saving::Done;
        self.barriers.saving = Some(InProgress {
            checkpoint,
            snapshot,
            state_done,
            peers: BTreeSet::new(),
            open,
            barred,
            flights: BTreeMap::new(),
            logged: 0,
            drained,
            finished,
        });
        for (number, from) in std::mem::take(&mut self.early_peers) {
            self.barrier_of_peer(number, from);
        }
        let held: Vec<Message> = self.held_of_peers.drain(..).collect();
        held.into_iter().for_each(|message| self.take(message));
        if !state_done {
            self.own.send(Message::Save);
        }
        self.hand_over_if_done();
    }

    /// Saves more of it.
    pub(super) fn save_more(&mut self) {
        // The turn may be one that a checkpoint has asked for that was given up.
        let Some(mut saving) = self.barriers.saving.take_if(|saving| !saving.state_done) else { return };
        let Some(more) = self.run(|stage| stage.snapshot(&mut saving.snapshot, false)) else { return };
        saving.state_done = more == Saving::Done;
        if !saving.state_done {
            self.own.send(Message::Save);
        }
        self.barriers.saving = Some(saving);
        self.hand_over_if_done();
    }

    /// Gives away what it has saved, if that is all. Peers that have come to their end send no barrier, but nothing is
    /// under way between workers when the first of them may.
    pub(super) fn hand_over_if_done(&mut self) {
        let peers = if self.arguments.stage.factory.peers() { self.arguments.stage.workers.len() } else { 0 };
        let at_rest = !matches!(self.phase, Phase::Running | Phase::Draining);
        let is_done =
            |saving: &mut InProgress| saving.state_done && saving.open == 0 && (at_rest || saving.peers.len() >= peers);
        if let Some(InProgress { checkpoint, snapshot, drained, finished, .. }) = self.barriers.saving.take_if(is_done)
        {
            let worker = self.arguments.id;
            let base = snapshot.base();
            let Finished { parts, later, kept, earlier } = snapshot.finish();
            // Of those before, none will be complete that is not yet, or this worker will not hear of it in time.
            while self.barriers.unsealed.len() >= MOST_UNSEALED {
                self.barriers.unsealed.pop_first();
            }
            self.barriers.unsealed.insert(checkpoint, earlier);
            (self.arguments.save)(WorkerSnapshot { worker, checkpoint, parts, later, kept, base, finished, drained });
        }
    }

    /// A barrier has come from a peer: what it sends from now on does not belong to the checkpoint.
    fn barrier_of_peer(&mut self, checkpoint: u64, from: Channel) {
        let is_early = self.is_early(from);
        match &mut self.barriers.saving {
            Some(saving) if saving.checkpoint == checkpoint => {
                saving.peers.insert(from);
                self.hand_over_if_done();
            }
            // What came before it is still held: it stays behind that.
            _ if is_early => self.held_of_peers.push_back(Message::Barrier { checkpoint, from }),
            _ if checkpoint > self.last_checkpoint => self.early_peers.push((checkpoint, from)),
            // Of a checkpoint that was given up.
            _ => {}
        }
    }

    fn is_early(&self, peer: Channel) -> bool {
        self.early_peers.iter().any(|(_, early)| *early == peer)
    }

    /// A batch has come from a peer. Gives it back if it is to be handled now.
    pub(super) fn hold_of_peer(&mut self, from: Channel, message: Message) -> Option<Message> {
        if self.is_early(from) {
            self.held_of_peers.push_back(message);
            return None;
        }
        Some(message)
    }

    /// Keeps a batch that belongs to the checkpoint that is being saved, if it does; says how many bytes were kept so
    /// far.
    pub(super) fn log_flight(&mut self, from: Channel, parcel: &Parcel) -> usize {
        let Some(saving) = self.barriers.saving.as_mut().filter(|saving| !saving.peers.contains(&from)) else {
            return 0;
        };
        let number = saving.flights.entry(from).or_default();
        let part = Part::Flight { from: from.from, link: from.link, number: *number };
        *number += 1;
        let mut bytes = Vec::new();
        let encoded = match parcel {
            Parcel::Open(batch) => batch.encode(&mut bytes),
            Parcel::Sealed(sealed) => {
                bytes.extend_from_slice(sealed);
                Ok(())
            }
        };
        match encoded {
            Ok(()) => {
                saving.logged += bytes.len();
                let logged = saving.logged;
                saving.snapshot.put_flight(self.arguments.id.vertex, part, bytes);
                logged
            }
            Err(error) => {
                let error = format!("a batch between workers cannot be saved: {error}");
                self.fail(crate::workflow::Error::Operation(error));
                0
            }
        }
    }

    /// The checkpoint that it may have halted for is not completed.
    pub(super) fn go_on(&mut self) {
        if std::mem::take(&mut self.halted) && self.phase == Phase::Running && !self.is_blocked() {
            self.resume();
        }
    }

    /// Ends at a savepoint.
    pub(super) fn suspend(&mut self, checkpoint: u64) {
        self.commit(Commit::Checkpoint(checkpoint));
        if let Some(listener) = &self.listener {
            listener.close();
        }
        if self.phase != Phase::Ended {
            self.part();
        }
    }

    /// Effects are there to stay.
    pub(super) fn commit(&mut self, commit: Commit) {
        if self.phase == Phase::Empty || self.stage.is_none() {
            return;
        }
        if let Commit::Checkpoint(checkpoint) = commit {
            // What it goes on with from an attempt before is not known well enough to be kept.
            self.barriers.earlier = self.barriers.unsealed.remove(&checkpoint).map(Arc::new);
            self.barriers.unsealed.retain(|later, _| *later > checkpoint);
        }
        if self.run(|stage| stage.commit(commit)).is_some() && commit == Commit::End && self.phase == Phase::Finished {
            self.part();
        }
    }

    /// Lets go of all that it keeps.
    fn part(&mut self) {
        if self.drop_stage().is_some() {
            self.phase = Phase::Ended;
        }
    }

    /// Somebody sends, and so has been told to start: all are open, though this worker may not have been told yet.
    pub(super) fn take_up_flights_before(&mut self, message: &Message) {
        let is_sent = matches!(
            message,
            Message::Batch { .. } | Message::Watermark { .. } | Message::End { .. } | Message::Barrier { .. }
        );
        if is_sent && !self.flights.is_empty() {
            self.take_up_flights();
        }
    }

    /// Handles what was under way from peers when it was saved, before all that they send now. The peers have counted
    /// none of it.
    pub(super) fn take_up_flights(&mut self) {
        for sealed in std::mem::take(&mut self.flights) {
            let decoded = self.arguments.stage.factory.decode(&sealed, self.spare.take());
            match decoded {
                Ok(mut batch) => {
                    if self.run(|stage| stage.process(batch.as_mut())).is_none() {
                        return;
                    }
                }
                Err(error) => {
                    let error = format!("a batch between workers that was saved cannot be read: {error}");
                    return self.fail(crate::workflow::Error::Operation(error));
                }
            }
        }
    }
}

/// Where batches come from that the thread of a source that listens hands in.
pub fn own_channel(id: WorkerId) -> Channel {
    Channel { from: id, link: u32::MAX }
}
