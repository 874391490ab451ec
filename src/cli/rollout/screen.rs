//! What a user sees while workers start and stop.

use std::io::{self, IsTerminal, stdout};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{Entry, Failed};
use crate::actor::{self, Census};
use crate::cli::output;
use crate::hosts::Trouble;

/// Colours of hosts in front of what their workers write, as numbers of ANSI's foreground colours.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Shows it on stdout.
#[derive(Clone, Copy, Debug)]
pub struct Screen(Form);

#[derive(Clone, Copy, Debug)]
enum Form {
    /// For people.
    Text {
        /// No status lines.
        quiet: bool,
        colours: bool,
    },
    /// A line of JSON for each event.
    Json,
}

impl Screen {
    /// For people: with colours if stdout is a terminal and nobody wants none.
    pub fn text(quiet: bool) -> Screen {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen(Form::Text { quiet, colours: wanted && stdout().is_terminal() })
    }

    /// For programs.
    pub fn json() -> Screen {
        Screen(Form::Json)
    }

    /// What is of no interest to who wants no status lines.
    fn status(&self, event: Value, text: impl FnOnce(&Self) -> String) {
        self.tell(event, true, text);
    }

    /// What everybody has to see.
    fn news(&self, event: Value, text: impl FnOnce(&Self) -> String) {
        self.tell(event, false, text);
    }

    fn tell(&self, event: Value, status: bool, text: impl FnOnce(&Self) -> String) {
        match self.0 {
            Form::Json => show(&format!("{event}\n")),
            Form::Text { quiet: true, .. } if status => {}
            Form::Text { .. } => show(&text(self)),
        }
    }

    fn coloured(&self, colour: u8, text: &str) -> String {
        match self.0 {
            Form::Text { colours: true, .. } => format!("\x1b[{colour}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    fn tick(&self) -> String {
        self.coloured(32, "✓")
    }

    fn cross(&self) -> String {
        self.coloured(31, "✗")
    }

    /// What is about to be done, and with which options.
    pub fn begin(&self, workers: &[String], options: &[String]) {
        let version = env!("CARGO_PKG_VERSION");
        let event = json!({"event": "begin", "version": version, "workers": workers, "options": options});
        self.status(event, |_| {
            let mut text = format!("⬡⬢⬡⬢ Skitter deploy {version}\n> workers:  {}\n", workers.join(" "));
            if !options.is_empty() {
                text.push_str(&format!("> options:  {}\n", options.join(" ")));
            }
            text + "\n"
        });
    }

    /// A worker that would be started.
    pub fn would_start(&self, entry: &Entry, directory: &str) {
        let tags: Vec<_> = entry.tags.iter().map(ToString::to_string).collect();
        let (name, host) = (&entry.name, &entry.host);
        let event = json!({"event": "would_start", "name": name, "host": host, "directory": directory, "tags": tags});
        self.news(event, |_| {
            let tags = if tags.is_empty() { String::new() } else { format!(", tags: {}", tags.join(" ")) };
            format!("* would start worker `{name}` on {host} in {directory}{tags}\n")
        });
    }

    /// What the master would do.
    pub fn would_deploy(&self, workflow: Option<&str>) {
        self.news(json!({"event": "would_deploy", "workflow": workflow}), |_| {
            let what = workflow.map_or("without a workflow".to_owned(), |workflow| format!("and deploy `{workflow}`"));
            format!("* would start a master here {what}\n")
        });
    }

    /// Some hosts are not ready: which, and why.
    pub fn not_ready(&self, table: &[(String, String)]) {
        self.table("Nothing was started, because some hosts are not ready:", table);
    }

    fn table(&self, title: &str, table: &[(String, String)]) {
        let hosts: Vec<_> = table.iter().map(|(worker, why)| json!({"worker": worker, "why": why})).collect();
        self.news(json!({"event": "not_ready", "hosts": hosts}), |screen| {
            let mut text = format!("{title}\n");
            let width = table.iter().map(|(host, _)| host.chars().count()).max().unwrap_or_default();
            for (host, why) in table {
                text.push_str(&format!("{} {host:width$}  {why}\n", screen.cross()));
            }
            text
        });
    }

    /// Some hosts cannot go back: which, and why.
    pub fn not_back(&self, table: &[(String, String)]) {
        self.table("Nothing was changed, because some hosts cannot go back:", table);
    }

    /// A master is up in the background, or has ended already.
    pub fn background(&self, name: &str, process: Option<u32>, log: &Path) {
        let event = json!({"event": "master", "name": name, "pid": process, "log": log});
        self.status(event, |_| {
            let log = log.display();
            match process {
                Some(pid) => format!(
                    "master `{name}` is up: process {pid}, log {log}\nsee it by `skitter master status --name {name}`, \
                     stop it and its workers by `skitter master stop --name {name}`\n"
                ),
                None => format!("master `{name}` has done its work and ended: log {log}\n"),
            }
        });
    }

    /// How far a copy is, of those that take longer.
    pub fn sending(&self, worker: &str, what: &str, sent: u64, size: u64) {
        let event = json!({"event": "sending", "worker": worker, "what": what, "bytes": sent, "of": size});
        let share = sent.saturating_mul(100) / size.max(1);
        self.status(event, |_| format!("* sending {what} to {worker}: {share} %\n"));
    }

    /// A copy is there.
    pub fn sent(&self, worker: &str, what: &str, bytes: u64, took: Duration) {
        let event = json!({
            "event": "sent", "worker": worker, "what": what, "bytes": bytes, "seconds": took.as_secs_f64()
        });
        self.status(event, |screen| {
            let (megabytes, seconds) = (bytes as f64 / 1e6, took.as_secs_f64());
            format!("* sending {what} to {worker} {} {megabytes:.1} MB in {seconds:.1} s\n", screen.tick())
        });
    }

    /// A host has gone back to another release, or not.
    pub fn back(&self, worker: &str, to: &str, trouble: Option<&Trouble>) {
        let why = trouble.map(ToString::to_string);
        self.news(json!({"event": "back", "worker": worker, "to": to, "why": why}), |screen| match trouble {
            None => format!("* {to} counts again on {worker} {}\n", screen.tick()),
            Some(why) => format!("* going back on {worker} {}\n  {}\n", screen.cross(), indented(why)),
        });
    }

    /// A worker has started, or not.
    pub fn started(&self, worker: &str, unchanged: bool, trouble: Option<&Trouble>) {
        match trouble {
            None => self.status(json!({"event": "started", "worker": worker, "unchanged": unchanged}), |screen| {
                let tick = screen.tick();
                match unchanged {
                    true => format!("* worker on {worker} runs already: unchanged {tick}\n"),
                    false => format!("* starting worker on {worker} {tick}\n"),
                }
            }),
            Some(why) => self.not_done("not_started", "starting", worker, why),
        }
    }

    /// A worker has died, and is about to be started again. People read it in the log.
    pub fn died(&self, worker: &str, pid: u32) {
        self.for_programs(json!({"event": "died", "worker": worker, "pid": pid}));
    }

    /// A worker that has died, or may have, is not started again. People read it in the log.
    pub fn not_kept(&self, worker: &str, why: &str) {
        self.for_programs(json!({"event": "not_kept", "worker": worker, "why": why}));
    }

    /// A worker that has died runs again, or cannot be started. People read it in the log.
    pub fn started_again(&self, worker: &str, trouble: Option<&Trouble>) {
        self.for_programs(match trouble {
            None => json!({"event": "started", "worker": worker, "unchanged": false}),
            Some(why) => json!({"event": "not_started", "worker": worker, "why": why.to_string()}),
        });
    }

    fn for_programs(&self, event: Value) {
        if let Form::Json = self.0 {
            show(&format!("{event}\n"));
        }
    }

    /// A worker has stopped, or there was none to stop, for this reason; or it does not stop.
    pub fn stopped(&self, worker: &str, result: &Result<bool, Trouble>, otherwise: &str) {
        match result {
            Ok(stopped) => self.status(json!({"event": "stopped", "worker": worker, "ran": stopped}), |screen| {
                let tick = screen.tick();
                match stopped {
                    true => format!("* stopping worker on {worker} {tick}\n"),
                    false => format!("* worker on {worker} {otherwise} {tick}\n"),
                }
            }),
            Err(why) => self.not_done("not_stopped", "stopping", worker, why),
        }
    }

    fn not_done(&self, event: &str, doing: &str, worker: &str, why: &Trouble) {
        let event = json!({"event": event, "worker": worker, "why": why.to_string()});
        self.news(event, |screen| format!("* {doing} worker on {worker} {}\n  {}\n", screen.cross(), indented(why)));
    }

    /// Workers have this long until they have to be up.
    pub fn waiting(&self, wait: Duration) {
        let seconds = wait.as_secs_f64();
        let event = json!({"event": "waiting", "seconds": seconds});
        self.status(event, |_| format!("\n⧖ sleeping {seconds} second(s) while workers start.\n"));
    }

    /// All are up.
    pub fn finished(&self) {
        let text = |screen: &Screen| format!("{} finished deployment, starting master.\n", screen.tick());
        self.status(json!({"event": "finished"}), text);
    }

    /// Something is wrong.
    pub fn problem(&self, what: &str) {
        self.news(json!({"event": "problem", "what": what}), |screen| format!("{} {what}\n", screen.cross()));
    }

    /// The same, where nothing more can be done.
    pub fn failed(&self, what: &str) -> Failed {
        self.problem(what);
        Failed
    }

    /// Some workers did not start.
    pub fn some_failed(&self, good: &[String], bad: &[String]) {
        let of = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
        self.news(json!({"event": "some_failed", "succeeded": good, "failed": bad}), |_| {
            let text =
                format!("\nFailed to initialize some workers:\n> Succeeded: {}\n> Failed: {}\n", of(good), of(bad));
            if good.is_empty() { text } else { text + "\nShutting down initialized workers:\n" }
        });
    }

    /// Shows lines that workers have written, with their hosts, until there are no more; then what it returns goes. It
    /// has a thread of its own: whoever reads may take a break, in which hosts have to be told that this process is
    /// there.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn lines(self, mut lines: mpsc::Receiver<(String, String)>) -> io::Result<oneshot::Receiver<()>> {
        let (done, shown) = oneshot::channel();
        let show = move || {
            let _done: oneshot::Sender<()> = done;
            while let Some((host, line)) = lines.blocking_recv() {
                self.line(&host, &line);
            }
        };
        actor::thread("skitter-show".to_owned(), &Census::new(), show, drop)?;
        Ok(shown)
    }

    fn line(&self, host: &str, line: &str) {
        self.news(json!({"event": "output", "host": host, "line": line}), |screen| {
            let hash = host.bytes().fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
            let prefix = screen.coloured(COLOURS[hash % COLOURS.len()], &format!("{host} |"));
            format!("{prefix} {line}\n")
        });
    }
}

/// Who does not want to read it need not.
fn show(text: &str) {
    let _ = output::print(text.as_bytes());
}

fn indented(trouble: &Trouble) -> String {
    trouble.to_string().replace('\n', "\n  ")
}
