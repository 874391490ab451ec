//! Whose user code failed, where the failure itself does not say.

use crate::id::VertexId;

thread_local! {
    static BLAMED: std::cell::Cell<Option<VertexId>> = const { std::cell::Cell::new(None) };
}

/// Notes the vertex whose user code panicked, or failed with an error that cannot say where: made before the code runs,
/// forgotten after it, dropped only when a panic or error passes. Costs nothing while all goes well.
pub(super) struct Blame(pub VertexId);

impl Drop for Blame {
    fn drop(&mut self) {
        BLAMED.with(|blamed| blamed.set(blamed.get().or(Some(self.0))));
    }
}

/// The vertex that the last panic or error on this thread is to be blamed on, if it passed through user code.
pub fn take_blame() -> Option<VertexId> {
    BLAMED.with(std::cell::Cell::take)
}
