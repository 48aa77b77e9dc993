//! The ticker: periodic work that no command triggers.
//!
//! It requests a mark frame from the writer after an idle moment, drains the histograms, reports clock jumps,
//! releases a past state that is no longer used, and has periods opened and closed (`periods.rs`). It never
//! touches the state or the log.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    ClockJump, ClockStanding,
    limits::{IDLE_MARK_AFTER, METRICS_UPKEEP_EVERY, TICK},
    periods::PeriodKeeper,
    shared::Shared,
    sync::{Condvar, Mutex},
    writer::Job,
};
use crate::durability::LogTrouble;

/// What others want of the ticker.
#[derive(Default)]
pub(super) struct TickerDesk {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default)]
struct Asked {
    /// To end.
    stop: bool,
    /// To look at the periods now: signaled when it was done.
    periods: Vec<oneshot::Sender<()>>,
}

impl TickerDesk {
    pub fn stop(&self) {
        self.asked.lock().stop = true;
        self.changed.notify_all();
    }

    /// Has periods opened and closed now, not only with the next tick. The answer fails when the ticker ends.
    pub fn ask_for_periods(&self) -> oneshot::Receiver<()> {
        let (done, answer) = oneshot::channel();
        let mut asked = self.asked.lock();
        if !asked.stop {
            asked.periods.push(done);
        }
        self.changed.notify_all();
        answer
    }

    /// Sleeps until something is wanted; returns who waits for the periods, or `None` when it is time to end.
    fn wait(&self, duration: Duration) -> Option<Vec<oneshot::Sender<()>>> {
        let mut asked = self.asked.lock();
        if !asked.stop && asked.periods.is_empty() {
            self.changed.wait_for(&mut asked, duration);
        }
        let waiting = std::mem::take(&mut asked.periods);
        (!asked.stop).then_some(waiting)
    }
}

pub(super) struct Ticker {
    pub shared: Arc<Shared>,
    /// Weak: the ticker does not keep the writer alive.
    pub queue: mpsc::WeakSender<Job>,
    /// `None` where this engine opens no periods.
    pub keeper: Option<PeriodKeeper>,
}

impl Ticker {
    /// Opens and closes the periods that are due.
    pub fn keep_periods(&mut self) {
        if let Some(keeper) = &mut self.keeper
            && let Some(queue) = self.queue.upgrade()
        {
            keeper.keep(&queue);
        }
    }

    /// Runs until stopped.
    pub fn run(mut self, desk: &TickerDesk) {
        let shared = Arc::clone(&self.shared);
        let mut idle = Idle::new(shared.marks.applied(), Instant::now());
        let mut upkeep_at = Instant::now() + METRICS_UPKEEP_EVERY;
        let mut trouble = None;
        let mut jump = None;
        while let Some(waiting) = desk.wait(TICK) {
            self.keep_periods();
            for done in waiting {
                // The one who asked may be gone.
                let _ = done.send(());
            }
            let now = Instant::now();
            if idle.mark_is_due(shared.marks.applied(), now) {
                // A full queue is not idle; the mark then comes after the next idle moment.
                let asked = self.queue.upgrade().is_some_and(|queue| queue.try_send(Job::Mark).is_ok());
                if asked {
                    idle.marked();
                }
            }
            shared.history.release_idle();
            let was = std::mem::replace(&mut trouble, shared.log_health.trouble());
            report_change(was.as_ref(), trouble.as_ref());
            let was = std::mem::replace(&mut jump, shared.clock.jump());
            report_jump(was, jump, || shared.clock.standing());
            if upkeep_at <= now {
                shared.metrics.upkeep();
                upkeep_at = now + METRICS_UPKEEP_EVERY;
            }
        }
        shared.metrics.upkeep();
    }
}

/// Logs once that the next segment cannot be created, once that writes are refused for it, and once that it
/// recovered.
fn report_change(was: Option<&LogTrouble>, is: Option<&LogTrouble>) {
    match (was, is) {
        (Some(_), None) => tracing::info!("the next segment of the log exists again: writes continue"),
        (was, Some(is)) if is.refuses_writes && !was.is_some_and(|was| was.refuses_writes) => {
            tracing::error!(
                error = %is.why,
                "the log is full, and its next segment cannot be made: writes are refused until it can"
            );
        }
        (None, Some(is)) => {
            tracing::warn!(
                error = %is.why,
                "the next segment of the log cannot be made; it is tried again, and writes go on \
                 until this one is full"
            );
        }
        _ => {}
    }
}

/// Logs once that the clock jumped, and once that it recovered or was accepted.
fn report_jump(was: Option<ClockJump>, is: Option<ClockJump>, standing: impl FnOnce() -> ClockStanding) {
    let what = match is {
        _ if was == is => return,
        None => return tracing::info!("the clock is well again: writes go on"),
        Some(ClockJump::Ahead) => {
            "the clock jumped ahead: writes are refused until it is back, or is accepted \
             (`upline clock accept`)"
        }
        Some(ClockJump::Behind) => {
            "the clock is behind the log: writes are refused until it is back, or is accepted \
             (`upline clock accept`)"
        }
    };
    tracing::error!(seconds = standing().jumped_by().as_secs_f64(), "{what}");
}

/// Since when the log is idle, and whether that was marked.
struct Idle {
    lsn: u64,
    since: Instant,
    marked: bool,
}

impl Idle {
    fn new(lsn: u64, now: Instant) -> Self {
        Self { lsn, since: now, marked: false }
    }

    fn mark_is_due(&mut self, lsn: u64, now: Instant) -> bool {
        if lsn != self.lsn {
            *self = Self::new(lsn, now);
        }
        !self.marked && IDLE_MARK_AFTER <= now.saturating_duration_since(self.since)
    }

    fn marked(&mut self) {
        self.marked = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_for_each_idle_moment() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut idle = Idle::new(7, start);
        assert!(!idle.mark_is_due(7, after(900)), "too early");
        assert!(idle.mark_is_due(7, after(1_000)));
        assert!(idle.mark_is_due(7, after(1_250)), "still due: nobody took it");
        idle.marked();
        assert!(!idle.mark_is_due(7, after(9_000)), "marked once");
        assert!(!idle.mark_is_due(8, after(9_250)), "something was written");
        assert!(!idle.mark_is_due(9, after(10_000)), "and again");
        assert!(!idle.mark_is_due(9, after(10_900)));
        assert!(idle.mark_is_due(9, after(11_000)));
    }
}
