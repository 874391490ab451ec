//! How often a deployment that fails is started anew. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::workflow::Error;

/// The wait before the first restart: long enough that the system has let go of what the failure has left.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest wait before a restart; each is twice as long as the one before, as long as nothing is achieved between
/// two failures.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The restart intensity, as of a supervisor in OTP: so many restarts within a period, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Most restarts within the period. Default: 3.
    pub most: usize,
    /// The period. Default: 60 s.
    pub period: Duration,
}

impl Default for Intensity {
    fn default() -> Self {
        Intensity { most: 3, period: Duration::from_secs(60) }
    }
}

/// Whether a node is lost.
pub fn is_of_node(failure: &Error) -> bool {
    match failure {
        Error::Node(_) => true,
        Error::Failed { cause, .. } => is_of_node(cause),
        _ => false,
    }
}

/// Whether starting anew would not help: somebody wants it to end, or nobody reads what it prints.
pub fn is_final(failure: &Error) -> bool {
    match failure {
        Error::Aborted | Error::OutputClosed | Error::Unsaved { .. } => true,
        Error::Failed { cause, .. } => is_final(cause),
        _ => false,
    }
}

/// The restarts of a deployment so far.
#[derive(Debug)]
pub struct Restarts {
    intensity: Intensity,
    /// When each has happened, and why.
    recent: VecDeque<(Duration, String)>,
    /// How many since something was achieved.
    in_vain: usize,
}

impl Restarts {
    /// None so far.
    pub fn new(intensity: Intensity) -> Self {
        Restarts { intensity, recent: VecDeque::new(), in_vain: 0 }
    }

    /// Something was achieved that a further failure does not undo: whoever fails next has not been started in vain.
    pub fn achieved(&mut self) {
        self.in_vain = 0;
    }

    /// It has failed: how long to wait before it is started anew; none if that has been often enough.
    pub fn failed(&mut self, now: Duration, cause: &str) -> Option<Duration> {
        while self.recent.front().is_some_and(|(then, _)| now.saturating_sub(*then) > self.intensity.period) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.intensity.most {
            return None;
        }
        let in_vain = self.in_vain.min(self.recent.len());
        let wait = FIRST_WAIT.saturating_mul(1 << in_vain.min(16)).min(LONGEST_WAIT);
        self.in_vain = in_vain + 1;
        self.recent.push_back((now, cause.to_owned()));
        Some(wait)
    }

    /// Why it was started anew, the oldest first.
    pub fn history(&self) -> impl Iterator<Item = &str> {
        self.recent.iter().map(|(_, cause)| cause.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_waits_longer_each_time_and_gives_up() {
        let mut restarts = Restarts::new(Intensity::default());
        let at = Duration::from_secs;
        assert_eq!(restarts.failed(at(0), "a"), Some(FIRST_WAIT));
        assert_eq!(restarts.failed(at(10), "b"), Some(FIRST_WAIT * 2));
        assert_eq!(restarts.failed(at(20), "c"), Some(FIRST_WAIT * 4));
        assert_eq!(restarts.failed(at(30), "d"), None);
        assert_eq!(restarts.history().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(restarts.failed(at(61), "e"), Some(FIRST_WAIT * 4), "the first one is long ago");
    }

    #[test]
    fn what_achieves_something_is_not_kept_waiting() {
        let mut restarts = Restarts::new(Intensity { most: 100, ..Intensity::default() });
        for second in 0..20 {
            assert_eq!(restarts.failed(Duration::from_secs(second), "x"), Some(FIRST_WAIT));
            restarts.achieved();
        }
        let waits: Vec<_> = (20..30).filter_map(|second| restarts.failed(Duration::from_secs(second), "y")).collect();
        assert!(waits.is_sorted() && waits[0] == FIRST_WAIT && waits[9] == LONGEST_WAIT, "{waits:?}");
    }

    proptest! {
        #[test]
        fn no_period_has_more_than_it_may(gaps in vec(0..40_000u64, 0..40), most in 0..5usize) {
            let period = Duration::from_secs(60);
            let mut restarts = Restarts::new(Intensity { most, period });
            let (mut now, mut times) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                if restarts.failed(now, "x").is_some() {
                    times.push(now);
                }
                let within = times.iter().filter(|then| now - **then <= period).count();
                prop_assert!(within <= most);
            }
        }
    }
}
