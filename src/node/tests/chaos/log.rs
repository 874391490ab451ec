//! What happens in a simulation, with its time.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Takes the events of a thread. Clones are the same.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    keeps: bool,
    now: u64,
    host: String,
    lines: Vec<String>,
    recovered: u64,
    deployed: u64,
    completed: u64,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        } else if field.name() != "run" {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}

/// The text without the names of stores and runs, which are others each time.
fn without_names(text: &str) -> String {
    let mut parts = text.split("memory://");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest.push_str(part.find([' ', '"']).map_or("", |end| &part[end..]));
    }
    rest
}

impl Log {
    /// Keeps what happens, or only counts.
    pub fn new(keeps: bool) -> Log {
        Log(Arc::new(Mutex::new(Lines { keeps, ..Lines::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().expect("no panic")
    }

    /// From now on something happens at this time, on this host.
    pub fn at(&self, now: u64, host: &str) {
        let mut lines = self.lock();
        lines.now = now;
        if lines.keeps {
            host.clone_into(&mut lines.host);
        }
    }

    pub fn line(&self, text: &str) {
        let mut lines = self.lock();
        if lines.keeps {
            let line = format!("{:>7} {:<2} {}", lines.now, lines.host, without_names(text));
            lines.lines.push(line);
        }
    }

    /// How often a deployment went on.
    pub fn recovered(&self) -> u64 {
        self.lock().recovered
    }

    /// How often a master has deployed.
    pub fn deployed(&self) -> u64 {
        self.lock().deployed
    }

    /// How often a deployment has come to its end.
    pub fn completed(&self) -> u64 {
        self.lock().completed
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().lines)
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("skitter")
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        if text.0.starts_with("Recovered ") {
            self.lock().recovered += 1;
        }
        if text.0.starts_with("Deploying ") {
            self.lock().deployed += 1;
        }
        if text.0.starts_with("Completed ") {
            self.lock().completed += 1;
        }
        self.line(&text.0);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}
