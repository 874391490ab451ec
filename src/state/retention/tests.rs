//! Tests of what may be deleted, with whatever can be there.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn names(savepoint: bool, objects: &[&str]) -> Says {
    Says::Names { savepoint, objects: objects.iter().map(|&path| path.to_owned()).collect() }
}

fn listed(checkpoint: u64, says: Says) -> Listed {
    Listed { checkpoint, says }
}

fn stored(path: &str, checkpoint: u64) -> Stored {
    Stored { path: path.to_owned(), checkpoint }
}

fn gone(deletions: Deletions) -> (Vec<u64>, Vec<String>) {
    (deletions.manifests, deletions.objects)
}

#[test]
fn old_checkpoints_go_and_what_others_need_stays() {
    let manifests = [
        listed(4, names(false, &["c"])),
        listed(1, names(false, &["a"])),
        listed(2, names(true, &["a", "b"])),
        listed(3, names(false, &["b3"])),
        // Incremental: it goes on from 3.
        listed(5, names(false, &["b3", "d"])),
    ];
    let objects = [("a", 1), ("b", 2), ("b3", 3), ("c", 4), ("d", 5), ("left", 5), ("early", 6)];
    let objects = objects.map(|(path, checkpoint)| stored(path, checkpoint));
    let text = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let of = |keep| gone(deletions(&manifests, &objects, keep));
    assert_eq!(of(Keep::Newest(9)), (vec![], text(&["left"])));
    assert_eq!(of(Keep::Newest(2)), (vec![1, 3], text(&["left"])));
    assert_eq!(of(Keep::Newest(1)), (vec![1, 3, 4], text(&["c", "left"])));
    assert_eq!(of(Keep::Newest(0)), of(Keep::Newest(1)), "the newest one stays");
    assert_eq!(of(Keep::Savepoints), (vec![1, 3, 4, 5], text(&["b3", "c", "d", "left", "early"])));
}

#[test]
fn what_cannot_be_read_is_treated_as_a_savepoint() {
    let manifests = [
        listed(1, names(false, &[])),
        listed(2, Says::Nothing),
        listed(3, names(false, &[])),
        listed(4, names(false, &[])),
    ];
    let objects = [stored("a", 1), stored("b", 2), stored("c", 3)];
    let (manifests, objects) = gone(deletions(&manifests, &objects, Keep::Newest(1)));
    assert_eq!((manifests, objects), (vec![1, 3], vec!["c".to_owned()]));
}

#[test]
fn before_the_first_checkpoint_all_is_under_way() {
    let objects = [stored("a", 1), stored("b", 9)];
    assert_eq!(deletions(&[], &objects, Keep::Newest(1)), Deletions::default());
    assert_eq!(deletions(&[], &objects, Keep::Savepoints).objects.len(), 2);
}

/// Manifests and objects, as attempts that fail and others that go on leave them; and what to keep.
fn anything() -> impl Strategy<Value = (Vec<Listed>, Vec<Stored>, Keep)> {
    let objects = btree_set((0u64..12, 0u8..4), 0..30);
    let says = prop_oneof![
        1 => Just(None),
        2 => vec(any::<Index>(), 0..6).prop_map(|named| Some((true, named))),
        6 => vec(any::<Index>(), 0..6).prop_map(|named| Some((false, named))),
    ];
    let manifests = btree_map(0u64..12, says, 0..8);
    let keep = prop_oneof![(0usize..5).prop_map(Keep::Newest), Just(Keep::Savepoints)];
    (objects, manifests, keep, any::<bool>()).prop_map(|(objects, manifests, keep, reversed)| {
        let objects: Vec<_> =
            objects.into_iter().map(|(checkpoint, n)| stored(&format!("{checkpoint}/{n}"), checkpoint)).collect();
        let list = |(checkpoint, says): (u64, Option<(bool, Vec<Index>)>)| {
            // A manifest names what is as old as itself, or older.
            let older: Vec<_> = objects.iter().filter(|object| object.checkpoint <= checkpoint).collect();
            let named = |named: Vec<Index>| {
                let path = |index: Index| (!older.is_empty()).then(|| index.get(&older).path.clone());
                named.into_iter().filter_map(path).collect()
            };
            let says = says.map_or(Says::Nothing, |(savepoint, all)| Says::Names { savepoint, objects: named(all) });
            listed(checkpoint, says)
        };
        let mut manifests: Vec<_> = manifests.into_iter().map(list).collect();
        if reversed {
            manifests.reverse();
        }
        (manifests, objects, keep)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_goes_that_somebody_needs_and_nothing_else_stays((manifests, objects, keep) in anything()) {
        let goes = deletions(&manifests, &objects, keep);
        let stays: Vec<_> =
            manifests.iter().filter(|manifest| !goes.manifests.contains(&manifest.checkpoint)).cloned().collect();
        let is_savepoint = |manifest: &&Listed| matches!(manifest.says, Says::Names { savepoint: true, .. });
        let is_plain = |manifest: &&Listed| matches!(manifest.says, Says::Names { savepoint: false, .. });
        for manifest in &manifests {
            let sacred = manifest.says == Says::Nothing || is_savepoint(&manifest);
            prop_assert!(!sacred || stays.contains(manifest));
        }
        // The newest ones, and no more.
        let kept = match keep { Keep::Newest(keep) => keep.max(1), Keep::Savepoints => 0 };
        let mut plain: Vec<_> = manifests.iter().filter(is_plain).map(|manifest| manifest.checkpoint).collect();
        plain.sort_unstable();
        let older = plain.len().saturating_sub(kept);
        prop_assert_eq!(&goes.manifests, &plain[..older]);
        let newest = manifests.iter().map(|manifest| manifest.checkpoint).max();
        for object in &objects {
            let named = stays.iter().any(|manifest| match &manifest.says {
                Says::Names { objects, .. } => objects.contains(&object.path),
                Says::Nothing => object.checkpoint <= manifest.checkpoint,
            });
            let under_way = keep != Keep::Savepoints && newest.is_none_or(|newest| object.checkpoint > newest);
            prop_assert_eq!(goes.objects.contains(&object.path), !named && !under_way, "{:?}", object);
        }
        prop_assert!(goes.objects.iter().all(|path| objects.iter().any(|object| object.path == *path)));
        // Once it is done there is nothing left to do.
        let left: Vec<_> = objects.into_iter().filter(|object| !goes.objects.contains(&object.path)).collect();
        prop_assert_eq!(deletions(&stays, &left, keep), Deletions::default());
    }
}
