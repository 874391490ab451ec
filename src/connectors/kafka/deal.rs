//! Which worker reads which partition.
//!
//! Those that there are when a workflow begins are dealt out by their numbers, and so are those that are found later.
//! Whoever goes on with a checkpoint has what it, or the deal among another number of workers, has given it; and it
//! knows which partitions somebody has, so that the others are new to all, and dealt out by their numbers again.

use std::collections::BTreeSet;

use crate::workflow::Share;

/// Those of these partitions that nobody has had, as far as they are for this worker.
pub(super) fn new(share: Share, partitions: &[i32], known: &BTreeSet<i32>) -> Vec<i32> {
    let mine = |partition: i32| usize::try_from(partition).is_ok_and(|number| number % share.of.max(1) == share.index);
    partitions.iter().copied().filter(|partition| mine(*partition) && !known.contains(partition)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a worker has, and what it knows that somebody has.
    type Worker = (BTreeSet<i32>, BTreeSet<i32>);

    #[derive(Clone, Debug)]
    enum Step {
        Add(i32),
        /// A worker looks for partitions that are new.
        Look(usize),
        Rescale(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..4i32).prop_map(Step::Add),
            (0..5usize).prop_map(Step::Look),
            (1..5usize).prop_map(Step::Rescale),
        ]
    }

    fn look(workers: &mut [Worker], index: usize, count: i32) {
        let share = Share { index, of: workers.len() };
        let all: Vec<i32> = (0..count).collect();
        let (own, known) = &mut workers[index];
        let found = new(share, &all, known);
        own.extend(&found);
        known.extend(&found);
    }

    /// As the runtime deals out what is saved: with as many workers as before each keeps its own.
    fn rescale(workers: Vec<Worker>, of: usize) -> Vec<Worker> {
        if workers.len() == of {
            return workers;
        }
        let all: BTreeSet<i32> = workers.iter().flat_map(|worker| worker.1.iter().copied()).collect();
        let mut heirs = vec![(BTreeSet::new(), all); of];
        for (nth, partition) in workers.iter().flat_map(|worker| worker.0.iter()).enumerate() {
            heirs[nth % of].0.insert(*partition);
        }
        heirs
    }

    proptest! {
        #[test]
        fn each_partition_has_one_worker(
            begin in 1..6i32,
            of in 1..5usize,
            steps in prop::collection::vec(step(), 0..20),
        ) {
            let (mut count, mut workers) = (begin, vec![Worker::default(); of]);
            for index in 0..of {
                look(&mut workers, index, count);
            }
            for step in steps.into_iter().chain([Step::Rescale(3)]) {
                match step {
                    Step::Add(more) => count += more,
                    Step::Look(index) => { let index = index % workers.len(); look(&mut workers, index, count) }
                    Step::Rescale(of) => workers = rescale(workers, of),
                }
            }
            for index in 0..workers.len() {
                look(&mut workers, index, count);
            }
            let mut all: Vec<i32> = workers.iter().flat_map(|worker| worker.0.iter().copied()).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
