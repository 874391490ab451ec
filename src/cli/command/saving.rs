//! How the state of workflows is saved, and what follows when one fails.

use std::ffi::OsString;

use clap::ValueEnum;

use crate::cli::config::{Interval, Kept, Number, Restarts, Seconds, Settings, StoreUrl};
use crate::runtime::OnError;

/// Options of modes that deploy workflows.
#[derive(Debug, Default, PartialEq, clap::Args)]
pub struct Saving {
    /// How often the state of workflows is saved, such as 10s, 500ms or 2m; never if `off` [env:
    /// SKITTER_CHECKPOINT_INTERVAL] [default: 10s, and off in local mode]
    #[arg(long, value_name = "TIME")]
    checkpoint_interval: Option<Interval>,

    /// Where it is saved: a directory here, or a URL such as s3://BUCKET/PREFIX [env: SKITTER_CHECKPOINT_STORE]
    /// [default: ~/.local/state/skitter/checkpoints]
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::DirPath)]
    checkpoint_store: Option<StoreUrl>,

    /// How long a checkpoint waits until what is under way has been handled, before it saves that, too; without end if
    /// `off` [env: SKITTER_UNALIGNED_AFTER] [default: 5s]
    #[arg(long, value_name = "TIME")]
    unaligned_after: Option<Interval>,

    /// How many checkpoints are kept, beside savepoints [env: SKITTER_CHECKPOINTS_KEPT] [default: 3]
    #[arg(long, value_name = "N")]
    checkpoints_kept: Option<Kept>,

    /// How long a lost worker is waited for before its work goes to others [env: SKITTER_RECOVERY_WAIT] [default: 5]
    #[arg(long, value_name = "SECONDS")]
    recovery_wait: Option<Seconds>,

    /// How often a workflow that fails goes on from its last checkpoint, within a minute [env: SKITTER_MAX_RESTARTS]
    /// [default: 3]
    #[arg(long, value_name = "N")]
    max_restarts: Option<Restarts>,

    /// What follows when an operation fails on a record, or panics: the workflow fails, or the record is skipped, or
    /// written to a file of dead letters [env: SKITTER_ON_ERROR] [default: fail]
    #[arg(long, value_name = "WHAT")]
    on_error: Option<OnError>,
}

impl Saving {
    /// These options, and those that were given at another place.
    pub fn and(self, other: Saving) -> Saving {
        Saving {
            checkpoint_interval: self.checkpoint_interval.or(other.checkpoint_interval),
            checkpoint_store: self.checkpoint_store.or(other.checkpoint_store),
            unaligned_after: self.unaligned_after.or(other.unaligned_after),
            checkpoints_kept: self.checkpoints_kept.or(other.checkpoints_kept),
            recovery_wait: self.recovery_wait.or(other.recovery_wait),
            max_restarts: self.max_restarts.or(other.max_restarts),
            on_error: self.on_error.or(other.on_error),
        }
    }

    /// Adds what the options say.
    pub fn options(&self, options: Settings) -> Settings {
        Settings {
            checkpoint_interval: self.checkpoint_interval,
            checkpoint_store: self.checkpoint_store.clone(),
            unaligned_after: self.unaligned_after,
            checkpoints_kept: self.checkpoints_kept,
            recovery_wait: self.recovery_wait,
            max_restarts: self.max_restarts,
            on_error: self.on_error,
            ..options
        }
    }

    /// The options as another process is told them.
    pub fn arguments(&self) -> Vec<OsString> {
        let name = |value: OnError| Some(value.to_possible_value()?.get_name().to_owned());
        let seconds = |seconds: Seconds| seconds.0.as_secs_f64().to_string();
        let interval = |Interval(time): Interval| time.map_or("off".to_owned(), |time| seconds(Seconds(time)));
        [
            ("--checkpoint-interval", self.checkpoint_interval.map(interval)),
            ("--checkpoint-store", self.checkpoint_store.clone().map(|StoreUrl(url)| url)),
            ("--unaligned-after", self.unaligned_after.map(interval)),
            ("--checkpoints-kept", self.checkpoints_kept.map(|Number(kept)| kept.to_string())),
            ("--recovery-wait", self.recovery_wait.map(seconds)),
            ("--max-restarts", self.max_restarts.map(|Number(restarts)| restarts.to_string())),
            ("--on-error", self.on_error.and_then(name)),
        ]
        .into_iter()
        .filter_map(|(option, value)| Some(format!("{option}={}", value?).into()))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        saving: Saving,
    }

    fn parse(arguments: Vec<OsString>) -> Saving {
        let arguments = std::iter::once("x".into()).chain(arguments);
        Line::try_parse_from(arguments).expect("right").saving
    }

    #[test]
    fn another_process_is_told_the_same() {
        let all = ["--checkpoint-interval=500ms", "--checkpoint-store=/x y", "--checkpoints-kept=1"];
        let all = all
            .into_iter()
            .chain(["--recovery-wait=1m", "--max-restarts=0", "--on-error=dead-letter", "--unaligned-after=0.5"])
            .map(OsString::from)
            .collect();
        let saving = parse(all);
        assert_eq!(saving.arguments().len(), 7);
        assert_eq!(parse(saving.arguments()), saving);
        let off = parse(vec!["--checkpoint-interval=off".into()]);
        assert_eq!(off.arguments(), ["--checkpoint-interval=off"]);
        assert_eq!(parse(off.arguments()), off);
        assert_eq!(Saving::default().arguments(), Vec::<OsString>::new());
    }

    #[test]
    fn a_path_is_taken_from_here() {
        let here = std::env::current_dir().expect("a directory");
        let saving = parse(vec!["--checkpoint-store=state".into()]);
        let said = format!("--checkpoint-store={}", here.join("state").display());
        assert_eq!(saving.arguments(), [OsString::from(said)]);
    }
}
