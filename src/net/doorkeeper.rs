//! Who may begin a handshake at once, and who has to wait, because others from the same place have failed; pure.
//!
//! A handshake that has begun counts as one that has failed until its peer has proved to be a node. So a node
//! that starts, or a thousand of them, is not held up, and who guesses at the cookie, or has a node do the arithmetic
//! of TLS for nothing, is slowed down: to [`REFILL`] for each attempt. Who shares an address with such a one waits with
//! it, and nobody else does.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many handshakes from one place may be under way or have failed before the next one has to wait: more than the
/// workers of one host begin at a time with one of another.
pub const BURST: u32 = 64;

/// The time after which one that has failed is forgotten: four guesses a second, from one place, are none at a cookie
/// of 32 random bytes and few at one that somebody has made up.
pub const REFILL: Duration = Duration::from_millis(250);

/// Most places that are remembered, some fifty bytes each. When there are more, the one that has failed least is
/// forgotten.
pub const MAX_ORIGINS: usize = 1024;

/// The most that can be held against a place.
const LIMIT: Duration = REFILL.saturating_mul(BURST);

/// Where a peer is, as far as it cannot choose that itself: an address of IPv4, or a network of IPv6, the smallest of
/// which has 64 bits of its own for hosts. On the link everybody can be everybody, and there are neighbours there, so
/// those addresses count as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(u128);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Origin {
        match address.to_canonical() {
            IpAddr::V4(address) => Origin(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) if address.is_unicast_link_local() || address.is_loopback() => {
                Origin(address.to_bits())
            }
            IpAddr::V6(address) => Origin(address.to_bits() & !u128::from(u64::MAX)),
        }
    }
}

/// Remembers which places have failed. Times are those since a moment that whoever asks has chosen.
#[derive(Debug, Default)]
pub struct Doorkeeper {
    /// Until when something is held against a place: a [`REFILL`] for each handshake.
    until: BTreeMap<Origin, Duration>,
}

impl Doorkeeper {
    /// Lets somebody begin a handshake.
    ///
    /// # Errors
    /// When it has to wait; gives until when, unless others have proved to be nodes by then.
    pub fn begin(&mut self, origin: Origin, now: Duration) -> Result<(), Duration> {
        let until = self.until.get(&origin).map_or(now, |until| (*until).max(now)) + REFILL;
        if until > now + LIMIT {
            return Err(until - LIMIT);
        }
        if !self.until.contains_key(&origin) {
            self.make_room(now);
        }
        self.until.insert(origin, until);
        Ok(())
    }

    /// One that has begun has proved to know the cookie, so nothing is held against it.
    pub fn proved(&mut self, origin: Origin) {
        if let Some(until) = self.until.get_mut(&origin) {
            *until = until.saturating_sub(REFILL);
        }
    }

    fn make_room(&mut self, now: Duration) {
        if self.until.len() < MAX_ORIGINS {
            return;
        }
        self.until.retain(|_, until| *until > now);
        while self.until.len() >= MAX_ORIGINS
            && let Some(least) = self.until.iter().min_by_key(|(_, until)| **until).map(|(origin, _)| *origin)
        {
            self.until.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse::<IpAddr>().expect("an address").into()
    }

    const NOW: Duration = Duration::from_secs(1000);

    #[test]
    fn a_place_is_what_a_peer_cannot_choose() {
        assert_eq!(origin("10.0.0.1"), origin("::ffff:10.0.0.1"));
        assert_ne!(origin("10.0.0.1"), origin("10.0.0.2"));
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1:2:3"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_ne!(origin("fe80::1"), origin("fe80::2"));
        assert_ne!(origin("::1"), origin("127.0.0.1"));
    }

    #[test]
    fn who_fails_is_slowed_down_and_nobody_else() {
        let (mut keeper, bad, good) = (Doorkeeper::default(), origin("10.0.0.1"), origin("10.0.0.2"));
        for _ in 0..BURST {
            assert_eq!(keeper.begin(bad, NOW), Ok(()));
        }
        assert_eq!(keeper.begin(bad, NOW), Err(NOW + REFILL));
        assert_eq!(keeper.begin(good, NOW), Ok(()));
        // One more for each time that has passed; nothing is forgiven for asking.
        assert_eq!(keeper.begin(bad, NOW + REFILL / 2), Err(NOW + REFILL));
        assert_eq!(keeper.begin(bad, NOW + REFILL), Ok(()));
        assert_eq!(keeper.begin(bad, NOW + REFILL), Err(NOW + REFILL * 2));
        // And at last all is as it was.
        for _ in 0..BURST {
            assert_eq!(keeper.begin(bad, NOW * 2), Ok(()));
        }
        assert!(keeper.begin(bad, NOW * 2).is_err());
    }

    #[test]
    fn nodes_that_prove_themselves_are_not_held_up() {
        let (mut keeper, host) = (Doorkeeper::default(), origin("10.0.0.1"));
        for _ in 0..100 * BURST {
            assert_eq!(keeper.begin(host, NOW), Ok(()));
            keeper.proved(host);
        }
        keeper.proved(origin("10.0.0.9"));
        assert_eq!(keeper.until.len(), 1);
    }

    #[test]
    fn a_table_that_is_full_forgets_who_failed_least() {
        let mut keeper = Doorkeeper::default();
        let bad = origin("10.255.255.255");
        for _ in 0..BURST {
            assert_eq!(keeper.begin(bad, NOW), Ok(()));
        }
        for n in 0..4 * MAX_ORIGINS {
            assert_eq!(keeper.begin(Origin(n as u128), NOW), Ok(()));
            assert!(keeper.until.len() <= MAX_ORIGINS);
        }
        assert!(keeper.begin(bad, NOW).is_err(), "it is remembered");
        // Those that nothing is held against any more go first.
        assert_eq!(keeper.begin(Origin(u128::MAX), NOW * 2), Ok(()));
        assert_eq!(keeper.until.len(), 1);
    }

    proptest! {
        /// In any time, no place fails more often than it may, whatever others do; and who comes alone is let in.
        #[test]
        fn no_place_gets_more_than_its_share(
            steps in prop::collection::vec((0u128..4, 0u64..400, prop::bool::weighted(0.3)), 1..2000),
        ) {
            let (mut keeper, mut now) = (Doorkeeper::default(), NOW);
            let mut failed: Vec<Vec<Duration>> = vec![Vec::new(); 4];
            for (place, milliseconds, proves) in steps {
                now += Duration::from_millis(milliseconds) / 8;
                let others = failed[place as usize].iter().filter(|at| now - **at < LIMIT).count();
                match keeper.begin(Origin(place), now) {
                    Ok(()) if proves => keeper.proved(Origin(place)),
                    Ok(()) => failed[place as usize].push(now),
                    Err(at) => {
                        prop_assert!(others > 0, "it was held up for what others did");
                        prop_assert!(at > now && at <= now + REFILL);
                    }
                }
            }
            for times in failed {
                for (first, from) in times.iter().enumerate() {
                    for (count, to) in (1..).zip(&times[first..]) {
                        let most = u128::from(BURST) + (*to - *from).as_millis() / REFILL.as_millis() + 1;
                        prop_assert!(count <= most, "{count} in {:?}", *to - *from);
                    }
                }
            }
        }
    }
}
