//! Latency and throughput figures.

use std::time::{Duration, Instant};

use super::{processes::on_core, report::Report};

/// Durations of many calls, sorted.
pub(super) struct Latencies(Vec<u32>);

/// Returns whether this many samples support a percentile: with fewer than a hundred the 99th percentile is
/// merely the maximum.
pub(super) fn is_enough(samples: u64, share: f64) -> bool {
    // Shares such as 0.999 have no exact representation.
    const ROUNDING: f64 = 1e-6;
    1.0 - ROUNDING <= samples as f64 * (1.0 - share)
}

impl Latencies {
    /// Builds from durations in nanoseconds; more than four seconds count as four.
    pub fn of(mut nanos: Vec<u32>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    /// Times this many calls, at least one.
    pub fn measure(calls: u32, mut call: impl FnMut()) -> Self {
        let once = |_| {
            let started = Instant::now();
            call();
            nanos(started.elapsed())
        };
        Self::of((0..calls.max(1)).map(once).collect())
    }

    /// Returns the quantile; `None` with too few calls.
    pub fn at(&self, share: f64) -> Option<Duration> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the length of a list"
        )]
        let place = (self.0.len() as f64 * share) as usize;
        let nanos = self.0.get(place).filter(|_| is_enough(self.0.len() as u64, share))?;
        Some(Duration::from_nanos(u64::from(*nanos)))
    }

    /// Returns `None` without any calls.
    pub fn longest(&self) -> Option<Duration> {
        self.0.last().map(|nanos| Duration::from_nanos(u64::from(*nanos)))
    }

    /// As [`Latencies::at`], in microseconds.
    pub fn micros_at(&self, share: f64) -> Option<f64> {
        self.at(share).map(micros)
    }
}

pub(super) fn nanos(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX)
}

/// Converts a duration to microseconds.
pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Returns the rate per second.
pub(super) fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

/// The duration of work on this thread, in parts, in wall-clock and CPU time.
#[derive(Default)]
pub(super) struct Stopwatch {
    took: Duration,
    /// `None` where the system does not report it.
    on_core: Option<Duration>,
}

impl Stopwatch {
    pub fn time<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let (started, before) = (Instant::now(), on_core());
        let result = work();
        self.took += started.elapsed();
        if let (Some(before), Some(after)) = (before, on_core()) {
            self.on_core = Some(self.on_core.unwrap_or_default() + after.saturating_sub(before));
        }
        result
    }

    /// Wall-clock time: the one that counts.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// CPU time: what this machine would take without other load. `None` where unknown.
    pub fn on_core(&self) -> Option<Duration> {
        self.on_core
    }

    /// Reports both times: where they differ, something else was running.
    pub fn report(&self, report: &mut Report) {
        report.figure("seconds", self.took.as_secs_f64());
        report.figure("on_core_seconds", self.on_core.map(|time| time.as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_calls_are_not_known() {
        // calls, share, whether it is known
        let table = [
            (0, 0.5, false),
            (1, 0.5, false),
            (2, 0.5, true),
            (9, 0.9, false),
            (10, 0.9, true),
            (99, 0.99, false),
            (100, 0.99, true),
            (999, 0.999, false),
            (1_000, 0.999, true),
        ];
        for (calls, share, expected) in table {
            let latencies = Latencies::of((0..calls).rev().collect());
            assert_eq!(latencies.at(share).is_some(), expected, "{calls} calls, {share}");
            assert_eq!(
                latencies.longest(),
                calls.checked_sub(1).map(|last| Duration::from_nanos(last.into()))
            );
        }
        let latencies = Latencies::of((0..1_000).rev().collect());
        assert_eq!(
            (latencies.at(0.5), latencies.at(0.999)),
            (Some(Duration::from_nanos(500)), Some(Duration::from_nanos(999)))
        );
    }
}
