//! What a user sees while workers start and stop.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use crate::cli::output;
use crate::hosts::Trouble;

/// Colours of hosts in front of what their workers write, as numbers of ANSI's foreground colours.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Shows it on stdout.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// No status lines.
    quiet: bool,
    colours: bool,
}

impl Screen {
    /// With colours if stdout is a terminal and nobody wants none.
    pub fn new(quiet: bool) -> Screen {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { quiet, colours: wanted && stdout().is_terminal() }
    }

    fn status(&self, text: &str) {
        if !self.quiet {
            show(text);
        }
    }

    fn coloured(&self, colour: u8, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn tick(&self) -> String {
        self.coloured(32, "✓")
    }

    fn cross(&self) -> String {
        self.coloured(31, "✗")
    }

    /// What is about to be done, and with which options.
    pub fn begin(&self, workers: &[String], options: &[String]) {
        let mut text =
            format!("⬡⬢⬡⬢ Skitter deploy {}\n> workers:  {}\n", env!("CARGO_PKG_VERSION"), workers.join(" "));
        if !options.is_empty() {
            text.push_str(&format!("> options:  {}\n", options.join(" ")));
        }
        self.status(&format!("{text}\n"));
    }

    /// A line of a plan that is not carried out.
    pub fn would(&self, what: &str) {
        show(&format!("* would {what}\n"));
    }

    /// Some hosts are not ready: which, and why.
    pub fn not_ready(&self, table: &[(String, String)]) {
        show("Nothing was started, because some hosts are not ready:\n");
        let width = table.iter().map(|(host, _)| host.chars().count()).max().unwrap_or_default();
        for (host, why) in table {
            show(&format!("{} {host:width$}  {why}\n", self.cross()));
        }
    }

    /// A worker has started, or not.
    pub fn started(&self, worker: &str, unchanged: bool, trouble: Option<&Trouble>) {
        match trouble {
            None if unchanged => {
                self.status(&format!("* worker on {worker} runs already: unchanged {}\n", self.tick()));
            }
            None => self.status(&format!("* starting worker on {worker} {}\n", self.tick())),
            Some(why) => show(&format!("* starting worker on {worker} {}\n  {}\n", self.cross(), indented(why))),
        }
    }

    /// A worker has stopped, or there was none to stop, for this reason; or it does not stop.
    pub fn stopped(&self, worker: &str, result: &Result<bool, Trouble>, otherwise: &str) {
        match result {
            Ok(true) => self.status(&format!("* stopping worker on {worker} {}\n", self.tick())),
            Ok(false) => self.status(&format!("* worker on {worker} {otherwise} {}\n", self.tick())),
            Err(why) => show(&format!("* stopping worker on {worker} {}\n  {}\n", self.cross(), indented(why))),
        }
    }

    /// Workers have this long until they have to be up.
    pub fn waiting(&self, wait: Duration) {
        self.status(&format!("\n⧖ sleeping {} second(s) while workers start.\n", wait.as_secs_f64()));
    }

    /// All are up.
    pub fn finished(&self) {
        self.status(&format!("{} finished deployment, starting master.\n", self.tick()));
    }

    /// Something is wrong.
    pub fn problem(&self, what: &str) {
        show(&format!("{} {what}\n", self.cross()));
    }

    /// Some workers did not start.
    pub fn some_failed(&self, good: &[String], bad: &[String]) {
        let of = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
        show(&format!("\nFailed to initialize some workers:\n> Succeeded: {}\n> Failed: {}\n", of(good), of(bad)));
        if !good.is_empty() {
            self.status("\nShutting down initialized workers:\n");
        }
    }

    /// A line that a worker has written.
    pub fn line(&self, host: &str, line: &str) {
        let hash = host.bytes().fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        show(&format!("{} {line}\n", self.coloured(COLOURS[hash % COLOURS.len()], &format!("{host} |"))));
    }
}

/// Who does not want to read it need not.
fn show(text: &str) {
    let _ = output::print(text.as_bytes());
}

fn indented(trouble: &Trouble) -> String {
    trouble.to_string().replace('\n', "\n  ")
}
