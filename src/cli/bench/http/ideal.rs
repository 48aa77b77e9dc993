//! The latency of an ideal group commit, computed from the start and duration of a run's own syncs.
//!
//! A request that arrives during a sync cannot be part of it: it waits at least for the rest of that sync and
//! for the next one. A request that arrives between syncs waits for one sync. Nothing else takes time: no
//! network, no encoding, no applying. (If the server is busy between two syncs, a request that arrives then
//! is counted as if the next sync began at once, which flatters the ideal, not the server.)

use hdrhistogram::Histogram;
use rand_pcg::{Pcg64, rand_core::RngCore};

/// Start and duration of a sync, in nanoseconds of one clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sync {
    pub began: u64,
    pub took: u64,
}

/// Arrival times drawn: of a million, a thousand are beyond the 99.9th percentile.
const DRAWS: u64 = 1_000_000;

/// Returns latencies in microseconds of requests at random times between the first sync and the last but one.
/// `None` with fewer than three syncs. Syncs are in order and do not overlap.
pub(super) fn latencies(syncs: &[Sync], seed: u64) -> Option<Histogram<u64>> {
    let [first, .., last, _] = syncs else { return None };
    let span = last.began.checked_sub(first.began).filter(|span| *span != 0)?;
    let mut random = Pcg64::new(u128::from(seed), 0);
    let mut histogram = Histogram::new_with_bounds(1, 120_000_000, 3).expect("the bounds are in order");
    for _ in 0..DRAWS {
        let moment = first.began + random.next_u64() % span;
        histogram.saturating_record(latency(syncs, moment) / 1_000);
    }
    Some(histogram)
}

/// Latency in nanoseconds for a moment from the start of the first sync to before the last one.
fn latency(syncs: &[Sync], moment: u64) -> u64 {
    let running = syncs.partition_point(|sync| sync.began <= moment) - 1;
    let left = (syncs[running].began + syncs[running].took).saturating_sub(moment);
    left + syncs.get(running + 1).map_or(0, |next| next.took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_and_the_next_one() {
        let syncs = [(0, 100), (150, 50), (200, 10)].map(|(began, took)| Sync { began, took });
        // moment, latency
        for (moment, expected) in [(0, 150), (99, 51), (100, 50), (149, 50), (150, 60), (199, 11)] {
            assert_eq!(latency(&syncs, moment), expected, "{moment}");
        }
    }

    #[test]
    fn equal_syncs_without_a_pause_give_one_and_a_half() {
        let syncs: Vec<Sync> =
            (0..1_000).map(|number| Sync { began: number * 1_000_000, took: 1_000_000 }).collect();
        let histogram = latencies(&syncs, 1).unwrap();
        let median = histogram.value_at_quantile(0.5);
        assert!((1_495..=1_505).contains(&median), "{median}");
        assert!(histogram.max() <= 2_001 && 1_000 <= histogram.min());
        assert!(latencies(&syncs[..2], 1).is_none());
    }
}
