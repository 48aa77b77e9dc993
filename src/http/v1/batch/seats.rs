//! Seats of batches: how many run at once, how many of them one principal may take, and who makes way.
//!
//! A batch lives as long as its client likes, so seats alone could be held for ever by clients that hardly send. Whoever finds no seat
//! takes that of the batch that has waited longest for its client, if it has waited for [`BATCH_IDLE`] with everything answered: such a batch loses
//! nothing by ending, and its client can send the rest again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::http::limits::{BATCH_IDLE, BATCHES_MAX};

/// The seats, shared by all batches.
#[derive(Default)]
pub struct Seats {
    taken: Mutex<Vec<Arc<Taken>>>,
}

struct Taken {
    /// Name of the principal.
    holder: Arc<str>,
    /// Since when the batch has had nothing to do but wait for its client.
    idle_since: Mutex<Option<Instant>>,
    give_way: Notify,
}

/// A seat. It is free again when this is dropped.
pub struct Seat {
    seats: Arc<Seats>,
    taken: Arc<Taken>,
}

impl Seats {
    /// A seat for a principal that may hold `share` of them; `None` when there is none, and nobody makes way. O(seats).
    pub fn take(self: &Arc<Self>, holder: &Arc<str>, share: usize) -> Option<Seat> {
        self.take_after(holder, share, BATCH_IDLE)
    }

    fn take_after(self: &Arc<Self>, holder: &Arc<str>, share: usize, idle: Duration) -> Option<Seat> {
        let mut seats = self.taken.lock();
        let has_share = seats.iter().filter(|taken| taken.holder == *holder).count() < share;
        if !has_share || BATCHES_MAX <= seats.len() {
            // Who has its share can only take its own place.
            let may_give_way = |taken: &Taken| has_share || taken.holder == *holder;
            let idle_since = |taken: &Taken| (*taken.idle_since.lock()).filter(|since| idle <= since.elapsed());
            let waiting = seats.iter().enumerate().filter(|(_, taken)| may_give_way(taken));
            let (_, at) = waiting.filter_map(|(at, taken)| Some((idle_since(taken)?, at))).min()?;
            seats.swap_remove(at).give_way.notify_one();
        }
        let taken = Arc::new(Taken { holder: Arc::clone(holder), idle_since: Mutex::new(None), give_way: Notify::new() });
        seats.push(Arc::clone(&taken));
        Some(Seat { seats: Arc::clone(self), taken })
    }
}

impl Seat {
    /// Says whether the batch has nothing to do but wait for its client.
    pub fn note(&self, is_idle: bool) {
        let mut since = self.taken.idle_since.lock();
        *since = if is_idle { since.or_else(|| Some(Instant::now())) } else { None };
    }

    /// Waits until another batch has taken the seat.
    pub async fn lost(&self) {
        self.taken.give_way.notified().await;
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
        assert_eq!(others.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false], "as many as there are");
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
        // Said again, it is no later.
        held[2].note(true);
        let newcomer = taken(&seats, "two", BATCHES_MAX).expect("one makes way");
        held[2].lost().await;
        drop(newcomer);
        assert!(taken(&seats, "two", BATCHES_MAX).is_some(), "a seat that was lost is not given back a second time");
        held[1].note(false);
        let _newcomer = taken(&seats, "two", BATCHES_MAX);
        assert!(taken(&seats, "three", BATCHES_MAX).is_none(), "a line has come meanwhile");
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
