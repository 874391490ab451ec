//! The stderr of the process: log lines, which may go to a file, too, and under them the progress of a workflow.
//!
//! One thread writes to it. Whoever has a line hands it over and does not wait: when stderr takes none, lines are
//! dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::log_file::LogFile;
use super::progress::Bar;
use crate::actor::{self, Census};
use crate::runtime::DeploymentStatus;
use crate::telemetry::events;

/// Lines that may wait to be written: some hundred KiB; more than a start or an end says.
const WAITING: usize = 1024;

/// How long the end of a process waits for its last lines to be read, by a pager for example.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Message {
    Line(String),
    Progress(Box<DeploymentStatus>),
    /// Remove the progress.
    Clear,
    /// Answer when all before it is written.
    Flush(SyncSender<()>),
}

/// The way to stderr. Clones lead to the same.
#[derive(Clone)]
pub struct Terminal {
    to: SyncSender<Message>,
    lost: Arc<AtomicU64>,
    file: Option<LogFile>,
}

impl Terminal {
    /// Starts its thread. Lines are written to the file, too.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn open(file: Option<LogFile>) -> io::Result<Terminal> {
        let (to, from) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        actor::thread("skitter-log".to_owned(), &Census::new(), move || write(&from, &counted), drop)?;
        Ok(Terminal { to, lost, file })
    }

    /// Writes a line, soon.
    pub fn line(&self, line: String) {
        let copy = self.file.as_ref().map(|file| (file, line.clone()));
        if self.to.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        if let Some((file, line)) = copy {
            file.line(line);
        }
    }

    /// Shows how far a workflow has come, under the lines.
    pub fn progress(&self, status: &DeploymentStatus) {
        // The next one comes soon.
        let _ = self.to.try_send(Message::Progress(Box::new(status.clone())));
    }

    /// Removes the progress and waits until all lines are written, but not for ever.
    pub fn close(&self) {
        let (written, wait) = sync_channel(1);
        if self.to.try_send(Message::Clear).is_ok() && self.to.try_send(Message::Flush(written)).is_ok() {
            let _ = wait.recv_timeout(LAST_LINES);
        }
        if let Some(file) = &self.file {
            file.close();
        }
    }
}

fn write(from: &Receiver<Message>, lost: &AtomicU64) {
    let mut bar: Option<Bar> = None;
    for message in from {
        match message {
            Message::Line(line) => {
                // A closed stderr is no reason to stop anything.
                let write = || drop(io::stderr().write_all(line.as_bytes()));
                match &bar {
                    Some(bar) => bar.above(write),
                    None => write(),
                }
                match lost.swap(0, Ordering::Relaxed) {
                    0 => {}
                    lines => events::lines_lost(lines),
                }
            }
            Message::Progress(status) => bar = Bar::show(bar.take(), &status),
            Message::Clear => bar = None,
            // Who asked may not wait any more.
            Message::Flush(written) => drop(written.try_send(())),
        }
    }
}
