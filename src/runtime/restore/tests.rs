//! Who gets what, of workers that need not be as many as they were.

use proptest::prelude::*;

use super::*;
use crate::state::{SavedVertex, SavedWorker};
use crate::workflow::VertexKind;

const VERTEX: VertexId = VertexId(1);

fn info() -> VertexInfo {
    VertexInfo {
        id: VERTEX,
        name: "counts".to_owned(),
        kind: VertexKind::Operation,
        operation: "o".to_owned(),
        strategy: "s".to_owned(),
        in_ports: Vec::new(),
        out_ports: Vec::new(),
        types: Default::default(),
        nest: Vec::new(),
        parallelism: None,
    }
}

/// Workers that have saved their groups, two units each, and what they share.
fn saved_by(workers: usize) -> Manifest {
    let VertexInfo { id, name, operation, strategy, types, .. } = info();
    let worker = |index| WorkerId { vertex: VERTEX, index: index as u32 };
    let object = |index: usize| {
        let groups = (0..KEY_GROUPS).filter(|group| owner_of_group(*group, workers) == index).map(Part::Group);
        let units = [2 * index as u64, 2 * index as u64 + 1].map(Part::Unit);
        let parts = groups.chain(units).chain([Part::Shared(index as u32)]);
        let section = |part| Section { vertex: VERTEX, part, at: 0, length: 0, checksum: 0 };
        SavedObject {
            path: index.to_string(),
            length: 0,
            worker: worker(index),
            sections: parts.map(section).collect(),
        }
    };
    Manifest {
        checkpoint: 1,
        run: "r".to_owned(),
        workflow: "w".to_owned(),
        arguments: Vec::new(),
        fingerprint: 0,
        version: "0".to_owned(),
        build: None,
        at_ms: 0,
        took_ms: 0,
        savepoint: false,
        vertices: vec![SavedVertex { id, name, operation, strategy, types, workers: workers as u32 }],
        workers: (0..workers)
            .map(|index| SavedWorker { worker: worker(index), finished: false, drained: false })
            .collect(),
        objects: (0..workers).map(object).collect(),
    }
}

proptest! {
    #[test]
    fn groups_go_to_their_owners_units_to_one_and_what_is_shared_to_all(before in 1usize..9, count in 1usize..9) {
        let dealt = deal(
            &saved_by(before),
            &[info()],
            &[(VERTEX, count)].into(),
            &[(VERTEX, Rescale::Dealt)].into(),
            false,
        );
        let (heirs, _) = dealt.expect("it fits");
        prop_assert_eq!(heirs.len(), count);
        let mut units = Vec::new();
        for (worker, heir) in heirs {
            let (mut groups, mut shared) = (Vec::new(), Vec::new());
            for (_, section) in heir.sections {
                match section.part {
                    Part::Group(group) => groups.push(group),
                    Part::Unit(unit) => units.push(unit),
                    Part::Shared(from) => shared.push(from),
                    other => prop_assert!(false, "{}", other),
                }
            }
            let own = (0..KEY_GROUPS).filter(|group| owner_of_group(*group, count) == worker.index as usize);
            prop_assert_eq!(groups, own.collect::<Vec<_>>());
            let told = if before == count { vec![worker.index] } else { (0..before as u32).collect() };
            prop_assert_eq!(shared, told);
        }
        units.sort_unstable();
        prop_assert_eq!(units, (0..2 * before as u64).collect::<Vec<_>>());
    }
}
