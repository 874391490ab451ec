//! Sources that emit a part of their input each time they are scheduled, and a container builder for
//! batches larger than Timely's 8 KiB.

use std::collections::VecDeque;

use timely::ContainerBuilder;
use timely::container::{LengthPreservingContainerBuilder, PushInto};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::{OutputBuilderSession, operator::source};
use timely::dataflow::{Scope, Stream};

/// A source whose `emit` sends one part of the input and says whether there is more.
pub fn parts<'scope, CB, F>(scope: Scope<'scope, u64>, mut emit: F) -> Stream<'scope, u64, CB::Container>
where
    CB: ContainerBuilder,
    F: FnMut(&Capability<u64>, &mut OutputBuilderSession<'_, u64, CB>) -> bool + 'static,
{
    source(scope, "Source", |capability, info| {
        let activator = scope.activator_for(info.address);
        let mut capability = Some(capability);
        move |output| {
            let Some(held) = &capability else { return };
            if emit(held, output) {
                activator.activate();
            } else {
                capability = None;
            }
        }
    })
}

/// Builds vectors of `N` records.
pub struct Batches<T, const N: usize> {
    current: Vec<T>,
    /// Full ones that have not been taken.
    full: VecDeque<Vec<T>>,
    /// The one that was taken last; what is left of it is used again.
    taken: Vec<T>,
}

impl<T, const N: usize> Default for Batches<T, N> {
    fn default() -> Self {
        Batches { current: Vec::new(), full: VecDeque::new(), taken: Vec::new() }
    }
}

impl<T, const N: usize> PushInto<T> for Batches<T, N> {
    #[inline(always)]
    fn push_into(&mut self, record: T) {
        if self.current.capacity() == 0 {
            self.current = std::mem::take(&mut self.taken);
            self.current.clear();
            self.current.reserve_exact(N);
        }
        self.current.push(record);
        if self.current.len() == N {
            self.full.push_back(std::mem::take(&mut self.current));
        }
    }
}

impl<T, const N: usize> timely::container::ContainerBuilder for Batches<T, N> {
    type Container = Vec<T>;

    #[inline(always)]
    fn extract(&mut self) -> Option<&mut Vec<T>> {
        self.taken = self.full.pop_front()?;
        Some(&mut self.taken)
    }

    fn finish(&mut self) -> Option<&mut Vec<T>> {
        if !self.current.is_empty() {
            self.full.push_back(std::mem::take(&mut self.current));
        }
        self.extract()
    }
}

impl<T, const N: usize> LengthPreservingContainerBuilder for Batches<T, N> {}
