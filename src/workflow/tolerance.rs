//! Records that user code fails on, where that is not to be the end of their deployment.
//!
//! What stands in the path of a record is compiled a second time for this, one operation at a time and with its types
//! erased, so that whoever lets a deployment fail pays nothing: see [`Downstream::open_tolerant`](super::Downstream).

use std::any::{Any, TypeId};
use std::sync::Arc;

use serde_json::Value;

use super::blame::take_blame;
use super::chain::Outlet;
use super::failure::Failure;
use super::{Commit, Emit, Error, Flush, Grown, Result, Snapshot, Watermark};
use crate::codec::{Record, decode};
use crate::id::VertexId;

/// Takes records that user code fails on.
pub trait Tolerance: Send + Sync {
    /// Whether it wants to see the records, and not only hear of them.
    fn keeps_records(&self) -> bool;
    /// Runs user code for one record; the message of a panic is the error.
    ///
    /// # Errors
    /// When it panics.
    fn catch(&self, work: &mut dyn FnMut()) -> Result<(), String>;
    /// User code has failed on a record, which has no effect from now on.
    ///
    /// # Errors
    /// When it cannot be kept as it should be. The deployment fails.
    fn failed(&self, record: FailedRecord) -> Result<()>;
}

/// A record that user code has failed on.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedRecord {
    /// Whose code.
    pub vertex: VertexId,
    /// What happened.
    pub cause: Error,
    /// The type of the record.
    pub type_name: &'static str,
    /// The record, if it is known how to write one of its type, and if records are kept.
    pub record: Option<Value>,
}

/// Whether an error may be the fault of a record.
fn is_of_record(error: &Error) -> bool {
    !matches!(error, Error::Outside(_) | Error::OutputClosed)
}

/// How records of a type are kept while user code has them: as bytes, until it turns out that somebody wants to see
/// one.
struct Form<T> {
    keep: fn(&T, &mut Vec<u8>) -> bool,
    show: fn(&[u8]) -> Option<Value>,
}

fn show<R: Record>(bytes: &[u8]) -> Option<Value> {
    serde_json::to_value(decode::<R>(bytes).ok()?).ok()
}

fn keep<R: Record>(record: &R, bytes: &mut Vec<u8>) -> bool {
    super::save(record, bytes).is_ok()
}

/// How a type is kept of which nothing is known but that it is one of these.
fn known<T: 'static>() -> Option<Form<T>> {
    macro_rules! of {
        ($($known:ty),+ $(,)?) => {$(
            if TypeId::of::<T>() == TypeId::of::<$known>() {
                fn keep_any<T: 'static>(record: &T, bytes: &mut Vec<u8>) -> bool {
                    (record as &dyn Any).downcast_ref::<$known>().is_some_and(|record| keep(record, bytes))
                }
                return Some(Form { keep: keep_any::<T>, show: show::<$known> });
            }
        )+};
    }
    of!(String, Vec<u8>, u64, i64, u32, i32, u16, i16, u8, i8, u128, i128, usize, isize, f64, f32, bool, char, ());
    of!((String, String), (String, u64), (String, i64), (String, f64), (u64, u64), (u64, String), (u64, f64));
    of!(Vec<String>, Vec<u64>, Vec<f64>, Option<String>, (String, String, String), (u64, u64, u64), Box<str>);
    None
}

/// Keeps watch over user code that is given records of a type.
pub(super) struct Watch<T> {
    pub(super) tolerance: Arc<dyn Tolerance>,
    vertex: VertexId,
    form: Option<Form<T>>,
    kept: Vec<u8>,
    is_kept: bool,
}

impl<T: 'static> Watch<T> {
    /// Over records that may be of any type.
    pub(super) fn new(tolerance: Arc<dyn Tolerance>, vertex: VertexId) -> Self {
        let form = if tolerance.keeps_records() { known::<T>() } else { None };
        Watch { tolerance, vertex, form, kept: Vec::new(), is_kept: false }
    }

    /// Notes what is given to user code next.
    fn note(&mut self, record: &T) {
        if let Some(form) = &self.form {
            self.kept.clear();
            self.is_kept = (form.keep)(record, &mut self.kept);
        }
    }

    /// Runs user code that may fail on a record.
    ///
    /// # Errors
    /// When it fails, and the record is not at fault, or cannot be kept.
    pub(super) fn give(&mut self, record: T, mut work: impl FnMut(T) -> Option<Error>) -> Result<()> {
        self.note(&record);
        let (mut given, mut error) = (Some(record), None);
        let caught = self.tolerance.catch(&mut || error = given.take().and_then(&mut work));
        let cause = match (caught, error) {
            (Err(message), _) => {
                // Whom it would be blamed on is known.
                take_blame();
                Error::Panic(message)
            }
            (Ok(()), Some(error)) => error,
            (Ok(()), None) => return Ok(()),
        };
        if !is_of_record(&cause) {
            return Err(cause);
        }
        let record = self.form.as_ref().filter(|_| self.is_kept).and_then(|form| (form.show)(&self.kept));
        let type_name = std::any::type_name::<T>();
        self.tolerance.failed(FailedRecord { vertex: self.vertex, cause, type_name, record })
    }
}

impl<T: Record> Watch<T> {
    /// Over messages.
    pub(super) fn of_messages(tolerance: Arc<dyn Tolerance>, vertex: VertexId) -> Self {
        let form = tolerance.keeps_records().then_some(Form { keep: keep::<T>, show: show::<T> });
        Watch { tolerance, vertex, form, kept: Vec::new(), is_kept: false }
    }
}

/// An outlet that records may fail in.
pub(super) struct Guarded<T, N> {
    next: N,
    watch: Watch<T>,
    error: Option<Error>,
}

impl<T: 'static, N: Outlet<T>> Guarded<T, N> {
    pub(super) fn new(next: N, watch: Watch<T>) -> Self {
        Guarded { next, watch, error: None }
    }
}

impl<T: 'static, N: Outlet<T>> Emit<T> for Guarded<T, N> {
    fn emit(&mut self, record: T) {
        let next = &mut self.next;
        let given = self.watch.give(record, |record| {
            next.emit(record);
            next.take_error()
        });
        if let Err(error) = given {
            self.error.get_or_insert(error);
        }
    }
}

impl<T: Send + 'static, N: Outlet<T>> Outlet<T> for Guarded<T, N> {
    fn settle(&mut self, records: u64) -> Result<(), Failure> {
        if let Some(error) = self.error.take() {
            return Err(Failure { vertex: self.watch.vertex, error });
        }
        self.next.settle(records)
    }

    fn flush(&mut self, due: Flush) -> Result<(), Failure> {
        self.next.flush(due)
    }

    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure> {
        self.next.advance(watermark)
    }

    fn joined(&mut self, grown: &Grown) {
        self.next.joined(grown);
    }

    fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        self.next.snapshot(snapshot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        self.next.commit(commit)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.next.finish()
    }
}

impl<T> Emit<T> for Box<dyn Outlet<T>> {
    fn emit(&mut self, record: T) {
        (**self).emit(record);
    }
}

impl<T: 'static> Outlet<T> for Box<dyn Outlet<T>> {
    fn settle(&mut self, records: u64) -> Result<(), Failure> {
        (**self).settle(records)
    }

    fn flush(&mut self, due: Flush) -> Result<(), Failure> {
        (**self).flush(due)
    }

    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure> {
        (**self).advance(watermark)
    }

    fn joined(&mut self, grown: &Grown) {
        (**self).joined(grown);
    }

    fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        (**self).snapshot(snapshot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        (**self).commit(commit)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        (**self).finish()
    }

    fn take_error(&mut self) -> Option<Error> {
        (**self).take_error()
    }
}
