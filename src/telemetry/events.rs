//! Every event in the life of a node, in the order in which they come.
//!
//! The messages are part of the command line's contract. They say their fields, so the text format shows none behind
//! them; the JSON format has both.

use std::fmt::Display;

use tracing::{error, info, warn};

/// The target of events whose message says all of their fields.
pub(super) const SAID: &str = "skitter::event";

/// The version of Skitter.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The node runs, in `local` mode or another.
pub fn started(mode: &str) {
    info!(target: SAID, mode, version = VERSION, "⬡⬢⬡⬢ Skitter v{VERSION} started in {mode} mode");
}

/// The node can be reached by this name.
pub fn reachable(node: &dyn Display) {
    info!(target: SAID, node = %node, "Reachable at `{node}`");
}

/// A worker has its master.
pub fn connected_to_master(master: &dyn Display) {
    info!(target: SAID, master = %master, "Connected to master: `{master}`");
}

/// A worker's master is gone.
pub fn master_disconnected(master: &dyn Display) {
    info!(target: SAID, master = %master, "Master `{master}` disconnected");
}

/// A worker ends because its master is gone.
pub fn shutting_down() {
    info!(target: SAID, "Lost connection to master, shutting down...");
}

/// A worker has no master, and waits for one.
pub fn waiting_for_master() {
    info!(target: SAID, "Waiting for a master");
}

/// A worker could not join its master, and goes on trying.
pub fn cannot_join(master: &dyn Display, reason: &str, detail: &str) {
    let message = format_args!("Could not connect to `{master}`: {reason}: {detail}; trying again");
    warn!(target: SAID, master = %master, reason, detail, "{message}");
}

/// A master has a worker.
pub fn connected(node: &dyn Display, tags: &str) {
    info!(target: SAID, node = %node, tags, "Connected to `{node}`, tags: [{tags}]");
}

/// A master could not reach a worker, or was refused.
pub fn cannot_connect(node: &dyn Display, reason: &str, detail: &str) {
    error!(target: SAID, node = %node, reason, detail, "Could not connect to `{node}`: {reason}: {detail}");
}

/// A master's worker is gone.
pub fn worker_disconnected(node: &dyn Display, cause: &str) {
    warn!(target: SAID, node = %node, cause, "Worker `{node}` disconnected");
}

/// A worker that was started over ssh has died, and is about to be started again.
pub fn worker_died(node: &dyn Display, pid: u32) {
    warn!(target: SAID, node = %node, pid, "Worker `{node}` has died, process {pid}; it is started again");
}

/// A worker that has died runs again.
pub fn worker_started_again(node: &dyn Display, pid: u32) {
    info!(target: SAID, node = %node, pid, "Started worker `{node}` again, process {pid}");
}

/// A worker that has died could not be started again; another attempt may follow.
pub fn worker_not_started(node: &dyn Display, cause: &dyn Display) {
    warn!(target: SAID, node = %node, cause = %cause, "Could not start worker `{node}` again: {cause}");
}

/// A worker will not be started again.
pub fn worker_stays_dead(node: &dyn Display, cause: &str) {
    warn!(target: SAID, node = %node, cause, "Worker `{node}` is not started again: {cause}");
}

/// A peer was not let in, or did not want to.
pub fn connection_refused(address: &dyn Display, reason: &str, detail: &str) {
    warn!(target: SAID, address = %address, reason, detail, "Refused a connection from {address}: {reason}: {detail}");
}

/// A peer was not let in, or did not want to, and so many others from its address since that was said last.
pub fn connections_refused(address: &dyn Display, reason: &str, detail: &str, more: u64) {
    if more == 0 {
        return connection_refused(address, reason, detail);
    }
    let what = format_args!("Refused a connection from {address}: {reason}: {detail}; and {more} more");
    warn!(target: SAID, address = %address, reason, detail, more, "{what}");
}

/// Another node has taken the name at the port mapper.
pub fn name_lost(detail: &str) {
    warn!(target: SAID, detail, "This node can not be found by its name any more: {detail}");
}

/// A workflow is about to be deployed.
pub fn deploying(workflow: &str) {
    info!(target: SAID, workflow, "Deploying `{workflow}`");
}

/// A strategy was not given what it wished for.
pub fn placed_otherwise(workflow: &str, warning: &str) {
    warn!(target: SAID, workflow, "Workflow `{workflow}`: {warning}");
}

/// A vertex of a workflow that runs has got workers on a node that has joined.
pub fn grew(vertex: &str, workers: usize, node: &str) {
    let plural = if workers == 1 { "" } else { "s" };
    info!(target: SAID, vertex, workers, node, "`{vertex}` grew by {workers} worker{plural} on `{node}`");
}

/// A node has joined while a workflow runs, and no strategy of that has use for it.
pub fn not_grown(workflow: &str, node: &str) {
    info!(target: SAID, workflow, node, "`{workflow}` goes on without `{node}`: no strategy of it adds workers");
}

/// A workflow was to get workers on a node that has joined, and did not.
pub fn cannot_grow(workflow: &str, node: &str, cause: &dyn Display) {
    warn!(target: SAID, workflow, node, cause = %cause, "`{workflow}` goes on without `{node}`: {cause}");
}

/// A checkpoint is not the one that a workflow goes on from, for it is damaged.
pub fn checkpoint_skipped(workflow: &str, checkpoint: u64, cause: &dyn Display) {
    let message = format_args!("`{workflow}`: checkpoint {checkpoint} is skipped: {cause}");
    warn!(target: SAID, workflow, checkpoint, cause = %cause, "{message}");
}

/// A checkpoint could not be completed. The workflow goes on, and so do attempts.
pub fn checkpoint_failed(workflow: &str, checkpoint: u64, cause: &dyn Display) {
    let message = format_args!("`{workflow}`: checkpoint {checkpoint} failed: {cause}");
    warn!(target: SAID, workflow, checkpoint, cause = %cause, "{message}");
}

/// Checkpoints that nobody needs any more could not be deleted.
pub fn checkpoints_stay(workflow: &str, cause: &dyn Display) {
    warn!(target: SAID, workflow, cause = %cause, "`{workflow}`: old checkpoints could not be deleted: {cause}");
}

/// User code has failed on a record, which is skipped or written to a file of dead letters; so many so far.
pub fn record_failed(vertex: &str, cause: &str, count: u64, letters: Option<&std::path::Path>) {
    let path = letters.map(|path| path.display().to_string());
    let what = path.as_ref().map_or_else(|| "is skipped".to_owned(), |path| format!("is in `{path}`"));
    let so_far = if count > 1 { format!(" ({count} so far)") } else { String::new() };
    warn!(target: SAID, vertex, cause, count, path, "`{vertex}` failed on a record, which {what}: {cause}{so_far}");
}

/// What a master deploys cannot be written down, so a master that comes after it would not know.
pub fn journal_fails(cause: &dyn Display) {
    warn!(target: SAID, cause = %cause, "What runs cannot be written down for a master that goes on: {cause}");
}

/// A master goes on with what the one before it had not ended.
pub fn goes_on(workflow: &str, run: &str) {
    info!(target: SAID, workflow, run, "Going on with `{workflow}`, which the master before has not ended");
}

/// A savepoint is complete.
pub fn saved(workflow: &str, savepoint: &str) {
    info!(target: SAID, workflow, savepoint, "Saved `{workflow}`: go on with --from {savepoint}");
}

/// A workflow has failed, and will be started anew.
pub fn recovering(workflow: &str, cause: &dyn Display) {
    warn!(target: SAID, workflow, cause = %cause, "Recovering `{workflow}`: {cause}");
}

/// A workflow that has failed goes on, at this checkpoint or from its beginning.
pub fn recovered(workflow: &str, checkpoint: Option<u64>) {
    match checkpoint {
        Some(checkpoint) => {
            info!(target: SAID, workflow, checkpoint, "Recovered `{workflow}`, from checkpoint {checkpoint}");
        }
        None => info!(target: SAID, workflow, "Recovered `{workflow}`, from its beginning"),
    }
}

/// Vertices of a workflow have failed, and will be started anew, while all others go on.
pub fn recovering_part(workflow: &str, part: &str, cause: &dyn Display) {
    warn!(target: SAID, workflow, part, cause = %cause, "Recovering {part} of `{workflow}`: {cause}");
}

/// Vertices of a workflow go on, as all others do.
pub fn recovered_part(workflow: &str, part: &str, checkpoint: Option<u64>) {
    match checkpoint {
        Some(checkpoint) => {
            let from = format!("from checkpoint {checkpoint}");
            info!(target: SAID, workflow, part, checkpoint, "Recovered {part} of `{workflow}`, {from}");
        }
        None => info!(target: SAID, workflow, part, "Recovered {part} of `{workflow}`, from the beginning"),
    }
}

/// All sources came to their end and the last record has been handled. The summary counts the records in and out of
/// each vertex.
pub fn completed(workflow: &str, summary: &dyn Display, seconds: f64) {
    info!(target: SAID, workflow, seconds, "Completed `{workflow}`: {summary}");
}

/// The node was told to stop by a signal, or over its control socket.
pub fn stopping(signal: &str) {
    info!(target: SAID, signal, "Stopping on {signal}; a second signal ends it at once");
}

/// A worker ends because no master came.
pub fn not_adopted(seconds: f64) {
    info!(target: SAID, seconds, "No master has come within {seconds} s, shutting down...");
}

/// A deployment is told to stop, over the control socket.
pub fn undeploying(workflow: &str, deployment: u32) {
    info!(target: SAID, workflow, deployment, "Stopping `{workflow}`, deployment {deployment}");
}

/// The node cannot be managed: it has no control socket.
pub fn no_console(cause: &dyn Display) {
    warn!(target: SAID, cause = %cause, "This node cannot be managed while it runs: {cause}");
}

/// The level of the log was changed, over the control socket.
pub fn log_level(level: &str) {
    info!(target: SAID, level, "The level of the log is now {level}");
}

/// The node was told to stop, and these workers have not ended yet.
pub fn waiting(workflow: &str, workers: &str) {
    info!(target: SAID, workflow, workers, "Still waiting for {workers}; another signal ends it at once");
}

/// A workflow was told to stop and has drained.
pub fn stopped(workflow: &str, summary: &dyn Display, seconds: f64) {
    info!(target: SAID, workflow, seconds, "Stopped `{workflow}`: {summary}");
}

/// A workflow has failed.
pub fn failed(workflow: &str, cause: &dyn Display) {
    error!(target: SAID, workflow, "Workflow `{workflow}` failed: {cause}");
}

/// A thread has panicked where nobody catches it: a fault of Skitter itself.
pub fn panicked(thread: &str, message: &dyn Display) {
    error!(target: SAID, thread, "Thread `{thread}` {message}");
}

/// Lines of the log were dropped because stderr did not take them.
pub fn lines_lost(lines: u64) {
    warn!(target: SAID, lines, "{lines} lines of this log were lost: stderr did not take them in time");
}

/// Lines of the log were dropped because its file did not take them.
pub fn lines_lost_in_file(lines: u64) {
    warn!(target: SAID, lines, "{lines} lines were lost in the file of this log: it did not take them in time");
}

/// The log cannot be written to its file. The node goes on, and so do attempts to write.
pub fn log_file_fails(path: &dyn Display, cause: &dyn Display) {
    warn!(target: SAID, path = %path, cause = %cause, "Cannot write the log to `{path}`, going on without: {cause}");
}

/// The cookie was given as an option.
pub fn cookie_shows() {
    warn!(
        target: SAID,
        "Every user of this host can read the cookie in the list of processes; use --cookie-file or SKITTER_COOKIE"
    );
}

/// In a list of workers stands a tag that looks like a port.
pub fn tag_or_port(at: &str, tag: &dyn Display) {
    warn!(target: SAID, at, tag = %tag, "{at}: `{tag}` is taken for a tag; a worker's port is not told in a file");
}
