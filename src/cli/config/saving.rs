//! Settings of checkpoints: how often, where, how many, and what follows a failure.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, Seconds, Settings};
use crate::cli::daemon;
use crate::{runtime, state};

/// The shortest time between checkpoints: writing one to a good disk takes a few milliseconds.
const SHORTEST: Duration = Duration::from_millis(10);

/// How many checkpoints are kept unless it is said: enough for one that is damaged, and one more.
const KEPT: usize = 3;

/// How long a checkpoint waits for what is under way unless it is said: half of the time between two, so that each is
/// complete when the next one is due.
const UNALIGNED_AFTER: Interval = Interval(Some(Duration::from_secs(5)));

/// How long a lost worker is waited for unless it is said: about what restarting one takes, by systemd or by hand.
const RECOVERY_WAIT: Duration = Duration::from_secs(5);

/// How often a workflow is restarted unless it is said. One that fails each time has a fault that does not pass.
const MAX_RESTARTS: u32 = 3;

/// The time within which so many restarts are the most.
pub const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// How often state is saved; none means never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Interval(pub Option<Duration>);

impl Interval {
    /// Unless it is said, in a cluster.
    pub const CLUSTER: Interval = Interval(Some(Duration::from_secs(10)));
    /// Unless it is said, in local mode: who tries something on one machine has no use for it.
    pub const LOCAL: Interval = Interval(None);
}

impl TryFrom<Seconds> for Interval {
    type Error = String;

    fn try_from(Seconds(time): Seconds) -> Result<Interval, String> {
        match time < SHORTEST {
            true => Err(format!("checkpoints cannot be less than {} ms apart", SHORTEST.as_millis())),
            false => Ok(Interval(Some(time))),
        }
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Interval, String> {
        if text == "off" {
            return Ok(Interval(None));
        }
        text.parse::<Seconds>().map_err(|error| format!("{error}, or `off`")).and_then(Interval::try_from)
    }
}

impl TryFrom<toml::Value> for Interval {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Interval, String> {
        let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
        match (value.as_str(), number) {
            (Some(text), _) => text.parse(),
            (None, Some(number)) => Seconds::try_from(number).and_then(Interval::try_from),
            (None, None) => Err("it is `off`, or a time such as \"10s\"".to_owned()),
        }
    }
}

/// A number from `LEAST` to `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Number<const LEAST: i64, const MOST: i64>(pub u32);

/// How many checkpoints are kept.
pub type Kept = Number<1, 1000>;

/// How often a workflow is restarted within [`RESTART_WINDOW`].
pub type Restarts = Number<0, 1000>;

impl<const LEAST: i64, const MOST: i64> TryFrom<i64> for Number<LEAST, MOST> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let fits = u32::try_from(number).ok().filter(|_| (LEAST..=MOST).contains(&number));
        fits.map(Number).ok_or_else(|| format!("{number} is not a number from {LEAST} to {MOST}"))
    }
}

impl<const LEAST: i64, const MOST: i64> FromStr for Number<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse::<i64>().map_err(|_| format!("`{text}` is not a number from {LEAST} to {MOST}"))?;
        Number::try_from(number)
    }
}

/// Where checkpoints are kept: an absolute path, or a URL.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct StoreUrl(pub String);

impl FromStr for StoreUrl {
    type Err = String;

    /// A path is taken from the working directory, wherever it is written.
    fn from_str(text: &str) -> Result<StoreUrl, String> {
        state::absolute_url(text).map(StoreUrl).map_err(|error| error.to_string())
    }
}

impl TryFrom<String> for StoreUrl {
    type Error = String;

    fn try_from(text: String) -> Result<StoreUrl, String> {
        text.parse()
    }
}

impl Settings {
    /// Where checkpoints are kept: an absolute path, or a URL.
    ///
    /// # Errors
    /// When it is not said, and there is no home directory.
    pub fn checkpoint_store(&self) -> Result<String, ConfigError> {
        if let Some(StoreUrl(url)) = &self.checkpoint_store {
            return Ok(url.clone());
        }
        let path = daemon::state_directory().ok_or(ConfigError::NoStore)?.join("checkpoints");
        path.into_os_string().into_string().map_err(|_| ConfigError::NoStore)
    }
}

impl Settings {
    /// How checkpoints are taken, by all that is configured; none if they are off.
    ///
    /// # Errors
    /// When there is no place to keep them.
    pub fn checkpoints(&self, default: Interval) -> Result<Option<runtime::Checkpoints>, ConfigError> {
        let Some(interval) = self.checkpoint_interval(default) else { return Ok(None) };
        let (store, kept, intensity) = (self.checkpoint_store()?, self.checkpoints_kept(), self.intensity());
        let unaligned_after = self.unaligned_after();
        Ok(Some(runtime::Checkpoints { interval, store, kept, intensity, unaligned_after }))
    }

    /// How often what fails is started again: a workflow, or a worker that a deployer has started.
    pub fn intensity(&self) -> runtime::Intensity {
        runtime::Intensity { most: self.max_restarts() as usize, period: RESTART_WINDOW }
    }

    /// How often state is saved; this often, unless it is said. None means never.
    pub fn checkpoint_interval(&self, default: Interval) -> Option<Duration> {
        self.checkpoint_interval.unwrap_or(default).0
    }

    /// How long a checkpoint waits for what is under way, before it saves that, too. None means without end.
    pub fn unaligned_after(&self) -> Option<Duration> {
        self.unaligned_after.unwrap_or(UNALIGNED_AFTER).0
    }

    /// How many checkpoints are kept, one at least.
    pub fn checkpoints_kept(&self) -> usize {
        self.checkpoints_kept.map_or(KEPT, |Number(kept)| kept as usize)
    }

    /// How long a lost worker is waited for.
    pub fn recovery_wait(&self) -> Duration {
        self.recovery_wait.map_or(RECOVERY_WAIT, |Seconds(wait)| wait)
    }

    /// How often a workflow is restarted within [`RESTART_WINDOW`], before its failure counts.
    pub fn max_restarts(&self) -> u32 {
        self.max_restarts.map_or(MAX_RESTARTS, |Number(restarts)| restarts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read() {
        let millis = |text: &str| text.parse::<Interval>().map(|Interval(time)| time.map(|time| time.as_millis()));
        for (text, time) in
            [("off", None), ("10s", Some(10_000)), ("500ms", Some(500)), ("2m", Some(120_000)), ("10ms", Some(10))]
        {
            assert_eq!(millis(text), Ok(time), "{text}");
        }
        assert_eq!(millis("0.5"), Ok(Some(500)));
        for (text, why) in [
            ("9ms", "checkpoints cannot be less than 10 ms apart"),
            ("0", "0 is no time"),
            ("Off", "`Off` is no time"),
            ("often", "or with a unit: 500ms, 2m, 1h, or `off`"),
            ("", "`` is no time"),
        ] {
            let said = millis(text).expect_err(text);
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn defaults_are_those_that_help_tells() {
        let settings = Settings::default();
        assert_eq!(settings.checkpoint_interval(Interval::CLUSTER), Some(Duration::from_secs(10)));
        assert_eq!(settings.checkpoint_interval(Interval::LOCAL), None);
        assert_eq!((settings.checkpoints_kept(), settings.max_restarts()), (3, 3));
        assert_eq!(settings.recovery_wait(), Duration::from_secs(5));
        if let Some(state) = daemon::state_directory() {
            let store = settings.checkpoint_store().expect("a store");
            assert_eq!(std::path::PathBuf::from(store), state.join("checkpoints"));
        }
        let said = Settings {
            checkpoint_interval: Some(Interval(None)),
            checkpoint_store: "/x".parse().ok(),
            checkpoints_kept: Some(Number(7)),
            recovery_wait: "1m".parse().ok(),
            max_restarts: Some(Number(0)),
            ..Settings::default()
        };
        assert_eq!(said.checkpoint_interval(Interval::CLUSTER), None);
        assert_eq!(said.checkpoint_store().ok().as_deref(), Some("/x"));
        assert_eq!((said.checkpoints_kept(), said.max_restarts()), (7, 0));
        assert_eq!(said.recovery_wait(), Duration::from_secs(60));
    }
}
