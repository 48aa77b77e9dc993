//! Seats of batches: how many run at once, how many one principal may take, and which is evicted.
//!
//! A batch lives as long as its client wants, so without eviction clients that hardly send could hold seats
//! forever. A client that finds no seat takes that of the batch that has waited longest for its client, if it
//! has waited for [`BATCH_IDLE`] with everything answered: such a batch loses nothing by ending, and its
//! client can send the rest again. An occasional line, sent or read, does not keep a seat: if none is idle,
//! the batch held up most by its client is evicted, if it was slower than [`BATCH_PACE_LINES`] meanwhile.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::http::limits::{BATCH_IDLE, BATCH_PACE_LINES, BATCH_PACE_TIME, BATCHES_MAX};

/// The seats, shared by all batches.
#[derive(Default)]
pub struct Seats {
    taken: Mutex<Vec<Arc<Taken>>>,
}

struct Taken {
    /// Name of the principal.
    holder: Arc<str>,
    /// Since when the batch has only waited for its client.
    idle_since: Mutex<Option<Instant>>,
    pace: Mutex<Pace>,
    give_way: Notify,
}

/// Recent pace of a batch, over the time for which its client held it up.
#[derive(Default)]
struct Pace {
    lines: u64,
    waited: Duration,
    waits_since: Option<Instant>,
}

impl Pace {
    /// Notes whether the batch waits for its client from now on.
    fn wait(&mut self, waits: bool, now: Instant) {
        match (self.waits_since, waits) {
            (None, true) => self.waits_since = Some(now),
            (Some(since), false) => {
                self.waited += now.saturating_duration_since(since);
                self.waits_since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// How long it has been held up, if it was too slow meanwhile. Fast stretches are forgotten after a
    /// while, so that they buy no time later.
    fn too_slow(&mut self, now: Instant) -> Option<Duration> {
        let waits = self.waits_since.is_some();
        self.wait(false, now);
        self.wait(waits, now);
        let least = self.waited.as_secs().saturating_mul(BATCH_PACE_LINES);
        if BATCH_PACE_TIME <= self.waited && self.lines < least {
            return Some(self.waited);
        }
        if 2 * BATCH_PACE_TIME <= self.waited {
            (self.lines, self.waited) = (0, Duration::ZERO);
        }
        None
    }

    fn line(&mut self, now: Instant) {
        self.lines += 1;
        _ = self.too_slow(now);
    }
}

/// A seat, released on drop.
pub struct Seat {
    seats: Arc<Seats>,
    taken: Arc<Taken>,
}

impl Seats {
    /// A seat for a principal that may hold `share` of them; `None` when there is none, and none can be
    /// evicted. O(seats).
    pub fn take(self: &Arc<Self>, holder: &Arc<str>, share: usize) -> Option<Seat> {
        self.take_after(holder, share, BATCH_IDLE)
    }

    fn take_after(self: &Arc<Self>, holder: &Arc<str>, share: usize, idle: Duration) -> Option<Seat> {
        let mut seats = self.taken.lock();
        let has_share = seats.iter().filter(|taken| taken.holder == *holder).count() < share;
        if !has_share || BATCHES_MAX <= seats.len() {
            // A principal with its full share can only evict its own batches.
            let may_give_way = |taken: &Taken| has_share || taken.holder == *holder;
            let idle_since =
                |taken: &Taken| (*taken.idle_since.lock()).filter(|since| idle <= since.elapsed());
            let waiting = seats.iter().enumerate().filter(|(_, taken)| may_give_way(taken));
            let idle = waiting.clone().filter_map(|(at, taken)| Some((idle_since(taken)?, at))).min();
            let now = Instant::now();
            let slowest =
                || waiting.filter_map(|(at, taken)| Some((taken.pace.lock().too_slow(now)?, at))).max();
            let at = idle.map(|(_, at)| at).or_else(|| slowest().map(|(_, at)| at))?;
            seats.swap_remove(at).give_way.notify_one();
        }
        let taken = Arc::new(Taken {
            holder: Arc::clone(holder),
            idle_since: Mutex::new(None),
            pace: Mutex::default(),
            give_way: Notify::new(),
        });
        seats.push(Arc::clone(&taken));
        Some(Seat { seats: Arc::clone(self), taken })
    }
}

impl Seat {
    /// Notes whether the batch is only waiting for its client.
    pub fn note(&self, is_idle: bool) {
        let mut since = self.taken.idle_since.lock();
        *since = if is_idle { since.or_else(|| Some(Instant::now())) } else { None };
    }

    /// Notes whether the client holds the batch up, by not sending or not reading.
    pub fn waits(&self, waits: bool) {
        self.taken.pace.lock().wait(waits, Instant::now());
    }

    /// Notes that a line has come.
    pub fn line(&self) {
        self.note(false);
        self.taken.pace.lock().line(Instant::now());
    }

    /// Waits until another batch has taken the seat; returns at once if it already has.
    pub async fn lost(&self) {
        self.taken.give_way.notified().await;
        self.taken.give_way.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.lock().retain(|taken| !Arc::ptr_eq(taken, &self.taken));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(seats: &Arc<Seats>, holder: &str, share: usize) -> Option<Seat> {
        seats.take_after(&holder.into(), share, Duration::ZERO)
    }

    #[test]
    fn a_principal_has_its_share_and_leaves_the_rest() {
        let seats = Arc::default();
        let own: Vec<Option<Seat>> = (0..3).map(|_| taken(&seats, "one", 2)).collect();
        assert_eq!(own.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        let others: Vec<Option<Seat>> = ["two", "two", "three"].map(|holder| taken(&seats, holder, 2)).into();
        assert_eq!(
            others.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, true, false],
            "as many as there are"
        );
        drop(own);
        assert!(taken(&seats, "three", 2).is_some());
    }

    #[tokio::test]
    async fn who_waits_longest_for_its_client_makes_way() {
        let seats = Arc::default();
        let held: Vec<Seat> = (0..BATCHES_MAX).map(|_| taken(&seats, "one", BATCHES_MAX).unwrap()).collect();
        assert!(taken(&seats, "two", BATCHES_MAX).is_none(), "all are at work");
        held[2].note(true);
        held[1].note(true);
        // Repeating it does not reset the time.
        held[2].note(true);
        let newcomer = taken(&seats, "two", BATCHES_MAX).expect("one makes way");
        held[2].lost().await;
        drop(newcomer);
        assert!(
            taken(&seats, "two", BATCHES_MAX).is_some(),
            "a seat that was lost is not given back a second time"
        );
        held[1].note(false);
        let _newcomer = taken(&seats, "two", BATCHES_MAX);
        assert!(taken(&seats, "three", BATCHES_MAX).is_none(), "a line has come meanwhile");
    }

    #[test]
    fn a_line_now_and_then_is_too_slow_and_the_servers_own_time_does_not_count() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let seconds = BATCH_PACE_TIME.as_secs();
        // lines per second, seconds of each in which the client is waited for or the server works, whether it
        // is too slow
        for (lines, is_waiting, expected) in [
            (1, true, true),
            (BATCH_PACE_LINES, true, false),
            (1, false, false),
            (BATCH_PACE_LINES - 1, true, true),
        ] {
            let mut pace = Pace::default();
            let mut found = Vec::new();
            for second in 0..5 * seconds {
                pace.wait(is_waiting, at(second));
                pace.wait(false, at(second + 1));
                (0..lines).for_each(|_| pace.line(at(second + 1)));
                found.push(pace.too_slow(at(second + 1)).is_some());
            }
            assert!(!found[..usize::try_from(seconds).unwrap() - 1].contains(&true), "it has a while");
            assert_eq!(found.contains(&true), expected, "{lines} {is_waiting}");
        }
        // A million lines at first buy only limited time for a client that stops reading.
        let mut pace = Pace { lines: 1_000_000, ..Pace::default() };
        pace.wait(true, begin);
        assert_eq!(pace.too_slow(at(3 * seconds)), None);
        assert!(pace.too_slow(at(4 * seconds)).is_some());
    }

    #[tokio::test]
    async fn who_is_slow_makes_way_when_nobody_is_idle() {
        let seats = Arc::default();
        let held: Vec<Seat> = (0..BATCHES_MAX).map(|_| taken(&seats, "one", BATCHES_MAX).unwrap()).collect();
        assert!(taken(&seats, "two", BATCHES_MAX).is_none());
        for (seat, times) in held.iter().zip([2, 1, 3, 0]) {
            *seat.taken.pace.lock() = Pace { lines: 5, waited: times * BATCH_PACE_TIME, waits_since: None };
        }
        let _first = taken(&seats, "two", BATCHES_MAX).expect("the slowest makes way");
        held[2].lost().await;
        held[2].lost().await;
        let _second = taken(&seats, "two", BATCHES_MAX).expect("the next one");
        held[0].lost().await;
        let _third = taken(&seats, "two", BATCHES_MAX).expect("the next one");
        held[1].lost().await;
        assert!(taken(&seats, "three", BATCHES_MAX).is_none(), "the rest is fast enough");
    }

    #[tokio::test]
    async fn who_has_its_share_takes_only_its_own_place() {
        let seats = Arc::default();
        let (one, two) = (taken(&seats, "one", 1).unwrap(), taken(&seats, "two", 1).unwrap());
        two.note(true);
        assert!(taken(&seats, "one", 1).is_none());
        one.note(true);
        let _again = taken(&seats, "one", 1).expect("its own waits");
        one.lost().await;
    }
}
