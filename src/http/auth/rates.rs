//! Rate limits: one for each principal, each address, and the failures of each address.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};

use crate::config::RateConfig;

/// Principals or addresses with a counter of their own. Each costs some 40 bytes; an attacker with more
/// addresses than this shares counters.
const KEYS_MAX: usize = 100_000;
/// Counters that all others share while there are too many.
const SHARED: u64 = 1_024;
/// Requests between two checks of the number of counters.
const LOOK_EVERY: u32 = 64;

/// One limit, counted per key.
struct Limiter {
    counts: DefaultKeyedRateLimiter<u64>,
    clock: DefaultClock,
    /// Keys are hashed with a random seed, so that nobody can choose to share another's counter.
    hasher: RandomState,
    requests: AtomicU32,
    is_full: AtomicBool,
}

impl Limiter {
    fn new(quota: Quota) -> Self {
        Self {
            counts: DefaultKeyedRateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
            requests: AtomicU32::new(0),
            is_full: AtomicBool::new(false),
        }
    }

    /// Counts one event.
    ///
    /// # Errors
    /// How long to wait, when the limit is exceeded.
    fn check(&self, key: impl Hash) -> Result<(), Duration> {
        let hash = self.hasher.hash_one(key);
        if self.requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_EVERY) {
            self.is_full.store(KEYS_MAX <= self.counts.len(), Ordering::Relaxed);
        }
        let key = if self.is_full.load(Ordering::Relaxed) { hash % SHARED } else { hash };
        self.counts.check_key(&key).map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Drops keys that have been idle so long that their count is zero. O(keys).
    fn clean(&self) {
        self.counts.retain_recent();
        self.counts.shrink_to_fit();
        self.is_full.store(KEYS_MAX <= self.counts.len(), Ordering::Relaxed);
    }
}

/// All limits; one that is not configured limits nobody.
pub struct Rates {
    principals: Option<Limiter>,
    addresses: Option<Limiter>,
    failures: Option<Limiter>,
}

impl Rates {
    pub fn new(config: &RateConfig) -> Self {
        let per_second = |(rate, burst): (NonZeroU32, NonZeroU32)| {
            Limiter::new(Quota::per_second(rate).allow_burst(burst))
        };
        Self {
            principals: config.principal_per_second.map(per_second),
            addresses: config.address_per_second.map(per_second),
            failures: config.failures_per_minute.map(|rate| Limiter::new(Quota::per_minute(rate))),
        }
    }

    /// Counts a request of a principal.
    ///
    /// # Errors
    /// How long to wait.
    pub fn principal(&self, name: &str) -> Result<(), Duration> {
        self.principals.as_ref().map_or(Ok(()), |limiter| limiter.check(name))
    }

    /// Counts a request from an address.
    ///
    /// # Errors
    /// How long to wait.
    pub fn address(&self, address: IpAddr) -> Result<(), Duration> {
        self.addresses.as_ref().map_or(Ok(()), |limiter| limiter.check(client_of(address)))
    }

    /// Counts a failed authentication from an address.
    ///
    /// # Errors
    /// How long to wait.
    pub fn failure(&self, address: IpAddr) -> Result<(), Duration> {
        self.failures.as_ref().map_or(Ok(()), |limiter| limiter.check(client_of(address)))
    }

    /// To be called every few seconds, from a thread that may block.
    pub fn clean(&self) {
        [&self.principals, &self.addresses, &self.failures].into_iter().flatten().for_each(Limiter::clean);
    }
}

/// The client of an address, as far as can be told: an IPv4 address, or the network of 64 bits that one IPv6
/// client has to itself.
pub fn client_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // Outside of the ranges that IPv6 assigns (2000::/3 and fc00::/7), so the two never collide.
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).expect("the upper half has 64 bits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn limited() -> Rates {
        let pair = Some((number(1), number(3)));
        let failures_per_minute = Some(number(2));
        let config = RateConfig {
            principal_per_second: pair,
            address_per_second: pair,
            failures_per_minute,
            ..RateConfig::default()
        };
        Rates::new(&config)
    }

    #[test]
    fn each_has_a_count_of_its_own_and_learns_when_to_come_back() {
        let rates = limited();
        assert!((0..3).all(|_| rates.principal("a").is_ok()));
        let wait = rates.principal("a").unwrap_err();
        assert!(Duration::ZERO < wait && wait <= Duration::from_secs(1), "{wait:?}");
        assert!(rates.principal("b").is_ok());
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        assert!(rates.failure(address).is_ok() && rates.failure(address).is_ok());
        let wait = rates.failure(address).unwrap_err();
        assert!(Duration::from_secs(1) < wait && wait <= Duration::from_secs(30), "{wait:?}");
        assert!(rates.address(address).is_ok(), "another limit, another count");
    }

    #[test]
    fn addresses_of_one_client_are_one() {
        let same =
            |one: &str, other: &str| client_of(one.parse().unwrap()) == client_of(other.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1") && same("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1") && !same("10.0.0.1", "10.0.0.2"));
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let rates = Rates::new(&RateConfig {
            principal_per_second: Some((number(1_000), number(1))),
            ..RateConfig::default()
        });
        for name in 0..2 * KEYS_MAX {
            _ = rates.principal(&name.to_string());
        }
        let limiter = rates.principals.as_ref().unwrap();
        assert!(limiter.counts.len() <= KEYS_MAX + LOOK_EVERY as usize + 1_024, "{}", limiter.counts.len());
        std::thread::sleep(Duration::from_millis(20));
        rates.clean();
        assert!(limiter.counts.len() < KEYS_MAX / 2, "{}", limiter.counts.len());
    }

    #[test]
    fn no_limit_holds_nobody() {
        let rates = Rates::new(&RateConfig::default());
        assert!((0..10_000).all(|_| rates.principal("a").is_ok()));
        rates.clean();
    }
}
