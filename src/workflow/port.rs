//! Ports: the typed, named places where links begin and end.

use super::Emit;

/// The in port of an operation that takes `In`, accepting records of type `Record`.
///
/// An operation with one in port needs none of its own: [`In`] is its port.
///
/// ```
/// use skitter::workflow::InPort;
///
/// /// What a join takes.
/// enum Either { Left(u64), Right(String) }
///
/// struct Left;
/// impl InPort<Either> for Left {
///     type Record = u64;
///     const INDEX: usize = 0;
///     fn wrap(record: u64) -> Either { Either::Left(record) }
/// }
/// assert!(matches!(Left::wrap(3), Either::Left(3)));
/// ```
pub trait InPort<In>: Send + Sync + 'static {
    /// What the port accepts.
    type Record: 'static;
    /// Its place in [`Operation::IN_PORTS`](super::Operation::IN_PORTS).
    const INDEX: usize;
    /// Makes the operation's input of a record.
    fn wrap(record: Self::Record) -> In;
}

/// The out port of an operation that emits `Out`, giving records of type `Record`.
///
/// An operation with one out port needs none of its own: [`Out`] is its port.
pub trait OutPort<O>: Send + Sync + 'static {
    /// What the port gives.
    type Record: 'static;
    /// Its place in [`Operation::OUT_PORTS`](super::Operation::OUT_PORTS).
    const INDEX: usize;
    /// Whether this output leaves by this port.
    fn has(output: &O) -> bool;
    /// The record, if this output leaves by this port.
    fn take(output: O) -> Option<Self::Record>;

    /// Emits the record, if this output leaves by this port. To be written only where every output does: none need be
    /// made an option of then, for which large ones are copied.
    #[inline(always)]
    fn pass<E: Emit<Self::Record>>(output: O, emit: &mut E) {
        if let Some(record) = Self::take(output) {
            emit.emit(record);
        }
    }
}

/// The port of an operation that has one in port.
#[derive(Clone, Copy, Debug)]
pub struct In;

/// The port of an operation that has one out port.
#[derive(Clone, Copy, Debug)]
pub struct Out;

impl<T: 'static> InPort<T> for In {
    type Record = T;
    const INDEX: usize = 0;

    #[inline(always)]
    fn wrap(record: T) -> T {
        record
    }
}

impl<T: 'static> OutPort<T> for Out {
    type Record = T;
    const INDEX: usize = 0;

    #[inline(always)]
    fn has(_output: &T) -> bool {
        true
    }

    #[inline(always)]
    fn take(output: T) -> Option<T> {
        Some(output)
    }

    #[inline(always)]
    fn pass<E: Emit<T>>(output: T, emit: &mut E) {
        emit.emit(output);
    }
}
