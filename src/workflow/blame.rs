//! Whose user code failed, where the failure itself does not say.

use crate::id::VertexId;

thread_local! {
    static BLAMED: std::cell::Cell<Option<VertexId>> = const { std::cell::Cell::new(None) };
}

/// Notes the vertex whose user code panicked: made before the code runs, forgotten after it, dropped only when a panic
/// passes. Costs nothing while nothing panics.
pub(super) struct Blame(pub VertexId);

impl Drop for Blame {
    fn drop(&mut self) {
        BLAMED.with(|blamed| blamed.set(blamed.get().or(Some(self.0))));
    }
}

/// Notes the vertex whose user code failed, where the error itself cannot carry it.
pub(super) fn blame(vertex: VertexId) {
    drop(Blame(vertex));
}

/// The vertex that the last panic on this thread is to be blamed on, if it passed through user code.
pub fn take_blame() -> Option<VertexId> {
    BLAMED.with(std::cell::Cell::take)
}
