//! How long a server that is away is waited for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{Timespec, poll};

use crate::codec::stable_hash;

/// How long a server may be away at the start: programs that are started together with this one are up by then, and
/// who has mistyped the address learns of it.
pub(super) const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// How long it may be away later, unless told otherwise: within that it has been started again, or another one has
/// taken its place.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a connection may take to come about: a packet that got lost is sent again after 1 and after 3 seconds.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take. A server that takes longer for what is asked here is stuck, or nobody's.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The wait before the second attempt, and the longest one; in between it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The attempts to reach a server.
#[derive(Debug)]
pub(super) struct Retry {
    patience: Duration,
    wait: Duration,
    /// Since when it has been away.
    since: Option<Instant>,
}

impl Retry {
    pub fn new(patience: Duration) -> Self {
        Retry { patience, wait: FIRST_WAIT, since: None }
    }

    /// An attempt has failed: how long to wait before the next one; none when there is to be no other.
    pub fn failed(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let wait = jittered(self.wait);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Some(wait).filter(|wait| now.saturating_duration_since(since) + *wait <= self.patience)
    }

    /// Whether an attempt has failed since it was well.
    pub fn is_away(&self) -> bool {
        self.since.is_some()
    }

    /// It has answered.
    pub fn is_well(&mut self) {
        (self.since, self.wait) = (None, FIRST_WAIT);
    }
}

/// Between a half and the whole of a time, so that those who lost one server do not all come back at once.
fn jittered(time: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let random = stable_hash(&(now, std::process::id())) % 1024;
    time / 2 + time * u32::try_from(random).unwrap_or(0) / 2048
}

/// Waits before another attempt, on a thread that may be kept from others.
pub(super) fn wait(time: Duration) {
    let timeout = Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(1), tv_nsec: time.subsec_nanos().into() };
    // Of nothing; a signal makes it shorter, which does no harm.
    let _ = poll(&mut [], Some(&timeout));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_until_patience_ends() {
        let mut retry = Retry::new(PATIENCE);
        let (mut now, mut waits) = (Instant::now(), Vec::new());
        let begin = now;
        while let Some(wait) = retry.failed(now) {
            waits.push(wait);
            now += wait;
        }
        assert!(now - begin > PATIENCE / 2 && now - begin <= PATIENCE, "{waits:?}");
        assert!(waits[0] <= FIRST_WAIT && waits.iter().all(|wait| *wait <= LONGEST_WAIT), "{waits:?}");
        assert!((12..60).contains(&waits.len()), "{waits:?}");
        assert!(retry.is_away());
        retry.is_well();
        assert!(!retry.is_away());
        assert!(retry.failed(now).is_some_and(|wait| wait <= FIRST_WAIT));
    }

    #[test]
    fn who_waits_waits() {
        let begin = Instant::now();
        wait(Duration::from_millis(2));
        assert!(begin.elapsed() >= Duration::from_millis(1));
    }
}
