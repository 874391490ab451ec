//! What sinks have in common that keep nothing but what is not sent yet.

/// The hooks of `React` by which all is sent that was not sent yet: from time to time, at the end, and before a
/// checkpoint, so that nothing of it is in one.
macro_rules! sends_at_flushes {
    () => {
        fn flush(&self, writer: &mut Self::State) -> $crate::workflow::Result<()> {
            self.send(writer)
        }

        fn finish<E: $crate::workflow::Emit<Self::Out>>(
            &self,
            writer: &mut Self::State,
            _emit: &mut E,
        ) -> $crate::workflow::Result<()> {
            self.send(writer)
        }

        fn snapshot(
            &self,
            writer: &mut Self::State,
            _snapshot: &mut $crate::workflow::Snapshot,
        ) -> $crate::workflow::Result<()> {
            self.send(writer)
        }

        fn restore(&self, _saved: &$crate::workflow::Saved) -> $crate::workflow::Result<Self::State> {
            Ok(self.init())
        }
    };
}

pub(super) use sends_at_flushes;
