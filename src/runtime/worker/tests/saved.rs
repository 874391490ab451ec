//! What a worker has saved, and what it goes on with.

use std::collections::BTreeMap;

use super::super::*;
use super::bench::peer;
use super::told::{Emission, Told, told};
use crate::id::{Part, VertexId};
use crate::workflow::{Pieces, load};

/// What had been handled when this was saved.
pub(super) fn seen(saved: &WorkerSnapshot) -> Vec<u64> {
    let whole = saved.parts.iter().find(|(_, part, _)| matches!(part, Part::Whole(_)));
    load(&mut whole.expect("it is saved").2.concat().as_slice()).expect("a list")
}

/// What was under way, with the number of each sender.
pub(super) fn flights(saved: &WorkerSnapshot) -> Vec<(u32, u64)> {
    let flight = |(_, part, pieces): &(VertexId, Part, Pieces)| {
        let Part::Flight { from, .. } = part else { return None };
        let mut batch = Told::decode(&pieces.concat(), None).expect("a batch");
        let told = batch.as_any_mut().downcast_mut::<Told>().expect("what was told");
        Some((from.index, told.0[0].2))
    };
    saved.parts.iter().filter_map(flight).collect()
}

/// So that it goes on with these batches under way.
pub(super) fn inherited(id: WorkerId, flights: &[Emission]) -> Option<(u64, Arc<BTreeMap<WorkerId, Inheritance>>)> {
    let flight = |(number, emission): (u32, &Emission)| {
        let mut bytes = Vec::new();
        told(*emission).encode(&mut bytes).expect("a batch");
        (Part::Flight { from: peer(1).from, link: 0, number }, bytes.into())
    };
    let parts: BTreeMap<Part, Bytes> = (0..).zip(flights).map(flight).collect();
    let inheritance = Inheritance { parts: [(id.vertex, parts)].into(), ..Inheritance::default() };
    (!flights.is_empty()).then(|| (3, Arc::new([(id, inheritance)].into())))
}
