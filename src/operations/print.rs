//! Records in debug form.

use std::convert::Infallible;
use std::fmt::Debug;
use std::io::{ErrorKind, Write};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use super::cause::cause;
use crate::strategies::Chained;
use crate::workflow::{Behind, Chain, Emit, Error, Operation, OutPort, React, Result, Sink, Stream};

/// How many bytes a worker keeps back while it is busy: enough that few system calls are made, and no more than the
/// worker's own cache holds beside its work.
const PRINT_BYTES: usize = 8 << 10;

/// Prints each record in Rust's debug form, one a line, to standard output.
///
/// Lines are written as soon as the worker has nothing else to do, ten times a second while it is busy, and whenever it
/// has 8 KiB of them; lines of different workers do not mix. Those of one worker are in order.
///
/// **On failure** lines are printed again that have been since the last checkpoint (at least once); in a deployment
/// that takes none, those that have not been written yet are lost.
///
/// # Errors
/// The deployment fails with [`Error::OutputClosed`] when whoever reads the output has closed it (`| head`), and with
/// the cause when it cannot be written to.
pub struct Print<T> {
    target: Target,
    types: PhantomData<fn(T)>,
}

#[derive(Clone)]
enum Target {
    Stdout,
    Writer(Arc<Mutex<dyn Write + Send>>),
}

impl<T> Print<T> {
    /// An operation that prints to standard output.
    pub fn new() -> Self {
        Print { target: Target::Stdout, types: PhantomData }
    }

    /// An operation that prints to this writer, from all workers of this process.
    ///
    /// ```
    /// use skitter::operations::Print;
    /// use skitter::strategies::Chained;
    /// use skitter::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new();
    /// workflow.source(StreamSource::new(|| 0..3u64)).sink(Print::to(std::io::stderr()), Chained);
    /// assert!(workflow.build().is_ok());
    /// ```
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Print { target: Target::Writer(Arc::new(Mutex::new(writer))), types: PhantomData }
    }
}

impl<T> Default for Print<T> {
    fn default() -> Self {
        Print::new()
    }
}

impl<T> Clone for Print<T> {
    fn clone(&self) -> Self {
        Print { target: self.target.clone(), types: PhantomData }
    }
}

impl<T> Debug for Print<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Print").finish_non_exhaustive()
    }
}

impl Target {
    /// Writes whole lines, between which no other worker's come.
    fn write(&self, lines: &[u8]) -> Result<()> {
        let written = match self {
            Target::Stdout => write_all(&mut std::io::stdout().lock(), lines),
            Target::Writer(writer) => write_all(&mut *writer.lock().unwrap_or_else(PoisonError::into_inner), lines),
        };
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Error::OutputClosed,
            _ => Error::Outside(format!("cannot print: {}", cause(&error))),
        })
    }
}

fn write_all(writer: &mut dyn Write, lines: &[u8]) -> std::io::Result<()> {
    writer.write_all(lines)?;
    writer.flush()
}

impl<T: Send + 'static> Operation for Print<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "print";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;
}

impl<T: Debug + Send + 'static> React for Print<T> {
    /// Lines that have not been written yet.
    type State = Vec<u8>;

    fn init(&self) -> Vec<u8> {
        Vec::new()
    }

    fn react<E: Emit<Infallible>>(&self, lines: &mut Vec<u8>, record: T, _emit: &mut E) -> Result<()> {
        // Writing to a vector cannot fail, but the record's own form may.
        writeln!(lines, "{record:?}").map_err(|_| Error::from("cannot print: the record has no debug form"))?;
        if lines.len() >= PRINT_BYTES { self.flush(lines) } else { Ok(()) }
    }

    fn flush(&self, lines: &mut Vec<u8>) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let written = self.target.write(lines);
        lines.clear();
        written
    }

    fn finish<E: Emit<Infallible>>(&self, lines: &mut Vec<u8>, _emit: &mut E) -> Result<()> {
        self.flush(lines)
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Prints each record in Rust's debug form, one a line, to standard output; see [`Print`].
    ///
    /// ```
    /// use skitter::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new();
    /// workflow.source(StreamSource::new(|| [("Hello", 1)])).print();
    ///
    /// // Prints `("Hello", 1)`.
    /// skitter::Runtime::local()?.deploy("hello", workflow.build()?)?.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn print(self) -> Sink<Behind<C, P, Print<P::Record>, Chained>>
    where
        P::Record: Debug + Send,
    {
        self.sink(Print::new(), Chained)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Notes each write.
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);

    impl Notes {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().expect("no panic"))
        }
    }

    impl Write for Notes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Fails.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn nothing() -> Vec<Infallible> {
        Vec::new()
    }

    #[test]
    fn records_are_printed_in_debug_form_when_it_is_due() {
        let notes = Notes::default();
        let print = Print::to(notes.clone());
        let mut lines = print.init();
        print.react(&mut lines, ("Hello", 1), &mut nothing()).expect("printed");
        print.react(&mut lines, ("a\nb", 2), &mut nothing()).expect("printed");
        assert!(notes.take().is_empty());
        print.flush(&mut lines).expect("printed");
        print.flush(&mut lines).expect("printed");
        assert_eq!(notes.take(), ["(\"Hello\", 1)\n(\"a\\nb\", 2)\n"]);
        print.react(&mut lines, ("", 3), &mut nothing()).expect("printed");
        print.finish(&mut lines, &mut nothing()).expect("printed");
        assert_eq!(notes.take(), ["(\"\", 3)\n"]);
    }

    #[test]
    fn each_write_is_of_whole_lines_and_of_bounded_size() {
        let notes = Notes::default();
        let print = Print::to(notes.clone());
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let print = print.clone();
                scope.spawn(move || {
                    let mut lines = print.init();
                    (0..5000).try_for_each(|n| print.react(&mut lines, (worker, n), &mut nothing())).expect("printed");
                    print.finish(&mut lines, &mut nothing()).expect("printed");
                });
            }
        });
        let writes = notes.take();
        assert!(writes.iter().all(|write| write.ends_with('\n') && write.len() < PRINT_BYTES + 100));
        assert_eq!(writes.iter().map(|write| write.lines().count()).sum::<usize>(), 20_000);
    }

    #[test]
    fn a_closed_output_is_told_apart() {
        let print = Print::to(Broken(ErrorKind::BrokenPipe));
        let mut lines = print.init();
        print.react(&mut lines, 1, &mut nothing()).expect("buffered");
        assert_eq!(print.flush(&mut lines), Err(Error::OutputClosed));

        let print = Print::to(Broken(ErrorKind::Other));
        print.react(&mut lines, 1, &mut nothing()).expect("buffered");
        assert_eq!(
            print.finish(&mut lines, &mut nothing()),
            Err(Error::Outside("cannot print: other error".to_owned()))
        );
    }
}
