//! Durations, many of them.

use std::time::Duration;

/// How long each of many calls took, sorted.
pub(super) struct Latencies(Vec<u32>);

impl Latencies {
    /// Of durations in nanoseconds; more than four seconds count as four.
    ///
    /// # Panics
    /// Without any.
    pub fn of(mut nanos: Vec<u32>) -> Self {
        assert!(!nanos.is_empty(), "somebody called");
        nanos.sort_unstable();
        Self(nanos)
    }

    /// What all but this share of the calls kept to.
    pub fn at(&self, share: f64) -> Duration {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the length of a list")]
        let place = ((self.0.len() as f64 * share) as usize).min(self.0.len() - 1);
        Duration::from_nanos(u64::from(self.0[place]))
    }

    pub fn longest(&self) -> Duration {
        self.at(1.0)
    }
}

pub(super) fn nanos(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX)
}

/// A duration as a figure in microseconds.
pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// How many in a second.
pub(super) fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}
