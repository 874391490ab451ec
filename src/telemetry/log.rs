//! The log of a process: which events become lines, and in which format.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::events::SAID;
use super::line::Content;
use super::zone;

/// Which events are logged: those of this level and the more important ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What made something fail.
    Error,
    /// What may not be as wished.
    Warn,
    /// What a user wants to know.
    #[default]
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything, that of libraries included.
    Trace,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `[HH:MM:SS.mmm][level] message key=value…`, in local time.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Libraries that talk a lot: of theirs, only warnings are logged below level `trace`.
const TALKATIVE: [&str; 4] = ["ractor", "tokio", "mio", "runtime"];

/// Makes events lines of a log from now on, in the whole process. `sink` takes whole lines, the line feed included; it
/// must not wait for anything. Gives the way to change the level later; nothing, and changes nothing, when the process
/// has a subscriber already.
pub fn install(level: Level, format: Format, sink: impl Fn(String) + Send + Sync + 'static) -> Option<Verbosity> {
    let verbosity = Verbosity::new(level);
    let log = Log { level: verbosity.clone(), format, zone: zone::local(), sink };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log)).ok()?;
    Some(verbosity)
}

/// The level of a log, which can be changed while it is written. Clones are the level of the same log.
#[derive(Clone, Debug)]
pub struct Verbosity(Arc<AtomicU8>);

impl Verbosity {
    const LEVELS: [Level; 5] = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

    fn new(level: Level) -> Verbosity {
        Verbosity(Arc::new(AtomicU8::new(level as u8)))
    }

    /// The level.
    pub fn get(&self) -> Level {
        Verbosity::LEVELS.get(usize::from(self.0.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// Changes it, from the next event on.
    pub fn set(&self, level: Level) {
        self.0.store(level as u8, Ordering::Relaxed);
        // Each place that tells events has kept whether anybody listens.
        tracing::callsite::rebuild_interest_cache();
    }

    fn filter(&self) -> LevelFilter {
        self.get().into()
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> LevelFilter {
        match level {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        }
    }
}

struct Log<F> {
    level: Verbosity,
    format: Format,
    zone: TimeZone,
    sink: F,
}

impl<F> Log<F> {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let krate = metadata.target().split("::").next().unwrap_or_default();
        let level = self.level.filter();
        let quiet = level < LevelFilter::TRACE && TALKATIVE.contains(&krate);
        metadata.is_event() && *metadata.level() <= if quiet { LevelFilter::WARN.min(level) } else { level }
    }
}

impl<S: Subscriber, F: Fn(String) + Send + Sync + 'static> Layer<S> for Log<F> {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.filter())
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let (metadata, mut content) = (event.metadata(), Content::default());
        event.record(&mut content);
        let now = Timestamp::now().to_zoned(self.zone.clone());
        let line = match self.format {
            Format::Text => {
                if metadata.target() == SAID {
                    content.drop_fields();
                }
                content.text(&now, *metadata.level())
            }
            Format::Json => content.json(&now, *metadata.level(), metadata.target()),
        };
        (self.sink)(line);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn logged(level: Level, format: Format, work: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let sink = move |line| kept.lock().expect("no panic").push(line);
        let log = Log { level: Verbosity::new(level), format, zone: TimeZone::UTC, sink };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), work);
        std::mem::take(&mut lines.lock().expect("no panic"))
    }

    #[test]
    fn events_that_say_their_fields_show_none() {
        let lines = logged(Level::Info, Format::Text, || super::super::events::deploying("hello"));
        assert!(lines[0].ends_with("][info] Deploying `hello`\n"), "{lines:?}");
        let lines = logged(Level::Info, Format::Json, || super::super::events::deploying("hello"));
        assert!(lines[0].contains("\"workflow\":\"hello\""), "{lines:?}");
    }

    #[test]
    fn levels_and_talkative_libraries_are_heeded() {
        let talk = || {
            tracing::debug!("ours");
            tracing::info!(target: "ractor::actor", "theirs");
            tracing::warn!(target: "ractor::actor", "serious");
        };
        assert_eq!(logged(Level::Debug, Format::Text, talk).len(), 2);
        assert_eq!(logged(Level::Error, Format::Text, talk).len(), 0);
        assert_eq!(logged(Level::Trace, Format::Text, talk).len(), 3);
    }

    #[test]
    fn the_level_changes_while_the_log_is_written() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (kept, verbosity) = (Arc::clone(&lines), Verbosity::new(Level::Info));
        let sink = move |line| kept.lock().expect("no panic").push(line);
        let log = Log { level: verbosity.clone(), format: Format::Text, zone: TimeZone::UTC, sink };
        let talk = |number: u64| tracing::debug!(number, "One place");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            talk(1);
            verbosity.set(Level::Debug);
            talk(2);
            verbosity.set(Level::Warn);
            talk(3);
        });
        assert_eq!(verbosity.get(), Level::Warn);
        let lines = lines.lock().expect("no panic");
        assert!(lines.len() == 1 && lines[0].contains("number=2"), "{lines:?}");
    }

    #[test]
    fn the_local_time_zone_is_found() {
        // Whatever it is: finding it must not fail.
        let _ = Timestamp::now().to_zoned(zone::local());
    }
}
