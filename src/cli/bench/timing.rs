//! Durations, many of them.

use std::time::{Duration, Instant};

use super::{processes::on_core, report::Report};

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

    /// Calls so many times, at least once.
    pub fn measure(calls: u32, mut call: impl FnMut()) -> Self {
        let once = |_| {
            let started = Instant::now();
            call();
            nanos(started.elapsed())
        };
        Self::of((0..calls.max(1)).map(once).collect())
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

/// How long work on this thread took, in parts, by the clock and on a core.
#[derive(Default)]
pub(super) struct Stopwatch {
    took: Duration,
    on_core: Duration,
}

impl Stopwatch {
    pub fn time<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let (started, before) = (Instant::now(), on_core());
        let result = work();
        self.took += started.elapsed();
        if let (Some(before), Some(after)) = (before, on_core()) {
            self.on_core += after.saturating_sub(before);
        }
        result
    }

    /// By the clock: what counts.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// On a core: what this machine would do if it did nothing else.
    pub fn on_core(&self) -> Duration {
        self.on_core
    }

    /// Both times: where they differ, something else was running.
    pub fn report(&self, report: &mut Report) {
        report.figure("seconds", self.took.as_secs_f64());
        report.figure("on_core_seconds", self.on_core.as_secs_f64());
    }
}
