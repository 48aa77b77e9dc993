//! Opens periods and lets them begin to close when it is time. Nothing else does, and no other step of a
//! period happens by itself.
//!
//! The engine knows no time zones: [`MissingPeriods`] computes the periods of a calendar. Commands go through
//! the queue as any other, with the server itself as their actor. There is one keeper in an engine, on the
//! ticker's thread, and it waits for its commands before it looks again: nothing is opened twice.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    answer::Sent,
    error::SubmitError,
    limits::{PERIODS_AHEAD, PERIODS_AT_ONCE, PERIODS_MISSING_MAX, PERIODS_RETRY_AFTER, TICK},
    shared::Shared,
    sync,
    writer::{Job, Write},
};
use crate::core::{
    Actor, ActorKind, PeriodState,
    command::{Command, OpenPeriod, OrderId, Outcome, PeriodRef, RecordRun},
    plan::calendar::Calendar,
    state::State,
    types::Timestamp,
};

/// Computes the periods of a calendar that begin at or before a time and are not open yet, oldest first.
///
/// Gets the plan's calendars, the periods of each that are open, oldest first, the position of the calendar,
/// the present and that time, and the most periods that there may be.
pub type MissingPeriods = fn(
    &[Calendar],
    &[Vec<OpenPeriod>],
    u8,
    [Timestamp; 2],
    usize,
) -> Result<Vec<OpenPeriod>, Box<dyn Error + Send + Sync>>;

pub(super) struct PeriodKeeper {
    shared: Arc<Shared>,
    missing: MissingPeriods,
    /// Calendars whose next periods could not be computed, why, and when: they are tried again later, or
    /// under another plan.
    failed: Option<Failed>,
    /// The plan version under which a rule refused a command, and when. Such commands are in the log: the
    /// next are tried later, or under another plan.
    refused: Option<(u32, Instant)>,
}

#[derive(PartialEq, Eq)]
struct Failed {
    plan_version: u32,
    calendars: Vec<(u8, String)>,
    at: Instant,
}

/// What is known of the calendars when something is due.
struct Seen {
    plan_version: u32,
    now: Timestamp,
    calendars: Vec<Calendar>,
    /// All periods of each calendar, oldest first.
    opened: Vec<Vec<OpenPeriod>>,
    /// Those whose end has passed and that are still open, with their ends.
    over: Vec<(Timestamp, PeriodRef)>,
}

impl PeriodKeeper {
    pub fn new(shared: Arc<Shared>, missing: MissingPeriods) -> Self {
        Self { shared, missing, failed: None, refused: None }
    }

    /// Submits all that is due, in groups, and waits until it is applied. Stops early where writes are not
    /// taken: it is all done the next time.
    pub fn keep(&mut self, queue: &mpsc::Sender<Job>) {
        loop {
            let (plan_version, commands) = self.due();
            if commands.is_empty() || !self.submit(plan_version, commands, queue) {
                return;
            }
        }
    }

    /// The commands that are due, in the order of the times at which they came to be, at most
    /// [`PERIODS_AT_ONCE`], and the plan version that they are of.
    fn due(&mut self) -> (u32, Vec<Command>) {
        // A clock that jumped opens nothing.
        if !self.shared.takes_writes() {
            return (0, Vec::new());
        }
        let wall = self.shared.clock.wall();
        let Some(seen) = self.shared.read(|state, _| Seen::of(state, wall.max(state.time()))) else {
            return (0, Vec::new());
        };
        let rests = |(version, at): &(u32, Instant)| {
            *version == seen.plan_version && at.elapsed() < PERIODS_RETRY_AFTER
        };
        if self.refused.as_ref().is_some_and(rests) {
            return (seen.plan_version, Vec::new());
        }
        let resting = self.failed.as_ref().filter(|failed| failed.rests(seen.plan_version));
        let (openings, failures) =
            seen.openings(self.missing, |calendar| resting.and_then(|failed| failed.of(calendar)));
        self.report(seen.plan_version, failures);
        (seen.plan_version, seen.commands(openings))
    }

    /// Says once why a calendar stands still, and once that it goes on.
    fn report(&mut self, plan_version: u32, failures: Vec<(u8, String)>) {
        let before = self.failed.take();
        let was = before.as_ref().map_or(&[][..], |failed| &failed.calendars);
        for (calendar, why) in failures.iter().filter(|failure| !was.contains(failure)) {
            tracing::error!(calendar, why, "the next period of a calendar cannot be opened");
        }
        if failures.is_empty() {
            if before.is_some() {
                tracing::info!("the periods of all calendars go on");
            }
            return;
        }
        let resting = before.filter(|failed| failed.rests(plan_version) && failed.calendars == failures);
        let failed = Failed { plan_version, calendars: failures, at: Instant::now() };
        self.failed = Some(resting.unwrap_or(failed));
    }

    /// Submits commands and waits until they are applied. Returns whether all of them were.
    fn submit(&mut self, plan_version: u32, commands: Vec<Command>, queue: &mpsc::Sender<Job>) -> bool {
        let actor = Actor::new(ActorKind::System, "");
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            let (reply, answer) = oneshot::channel();
            let sent = Sent { actor: actor.clone(), key: None };
            // Judged when applied: each follows the one before it in the queue.
            let write = Write { command, sent, preparation: None, queued_at: Instant::now(), reply };
            if queue.try_send(Job::Write(write)).is_err() {
                break;
            }
            answers.push(answer);
        }
        let (done, waiting) = sync::sync_channel(1);
        let mut fence = Job::Fence(done);
        loop {
            match queue.try_send(fence) {
                Ok(()) => break,
                Err(mpsc::error::TrySendError::Full(job)) if !self.shared.is_stopping() => fence = job,
                Err(_) => return false,
            }
            sync::sleep(super::limits::DRAIN_RETRY);
        }
        // A disk that hangs must not keep the engine from stopping.
        while waiting.recv_timeout(TICK).is_err() {
            if self.shared.is_stopping() {
                return false;
            }
        }
        for answer in &mut answers {
            match answer.try_recv().unwrap_or(Err(SubmitError::Stopping)).map(|applied| applied.outcome) {
                Ok(Outcome::Rejected(rejection)) => {
                    tracing::error!(reason = rejection.name(), "a rule refused to open or close a period");
                    self.refused = Some((plan_version, Instant::now()));
                    return false;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "periods were not opened and closed; it is tried again");
                    return false;
                }
            }
        }
        true
    }
}

impl Failed {
    fn rests(&self, plan_version: u32) -> bool {
        self.plan_version == plan_version && self.at.elapsed() < PERIODS_RETRY_AFTER
    }

    fn of(&self, calendar: u8) -> Option<&str> {
        let found = self.calendars.iter().find(|(failed, _)| *failed == calendar);
        found.map(|(_, why)| why.as_str())
    }
}

impl Seen {
    /// `None` when no period is to be opened or closed.
    fn of(state: &State, now: Timestamp) -> Option<Self> {
        let calendars = &state.plan().commerce.calendars;
        let numbers = || (0_u8..).take(calendars.len());
        let horizon = now.0.saturating_add(micros(PERIODS_AHEAD + TICK));
        let over: Vec<_> = numbers().flat_map(|calendar| over(state, calendar, now)).collect();
        let is_open_due = |calendar| last_period(state, calendar).is_none_or(|(_, end, _)| end.0 <= horizon);
        if over.is_empty() && !numbers().any(is_open_due) {
            return None;
        }
        let opened = |calendar| {
            (0..state.periods_len(calendar))
                .filter_map(|period| opened(state, PeriodRef { calendar, period }))
                .collect()
        };
        Some(Self {
            plan_version: state.plan_version(),
            now,
            calendars: calendars.clone(),
            opened: numbers().map(opened).collect(),
            over,
        })
    }

    /// The periods of each calendar that are to be opened, and the calendars for which they are not known,
    /// and why. `failed`: why that of a calendar is known not to be.
    fn openings<'f>(
        &self,
        missing: MissingPeriods,
        failed: impl Fn(u8) -> Option<&'f str>,
    ) -> (Vec<Vec<OpenPeriod>>, Vec<(u8, String)>) {
        let times = [self.now, Timestamp(self.now.0.saturating_add(micros(PERIODS_AHEAD + TICK)))];
        let mut failures = Vec::new();
        let mut openings = Vec::new();
        for calendar in (0_u8..).take(self.calendars.len()) {
            let found = match failed(calendar) {
                Some(why) => Err(why.to_owned()),
                None => missing(&self.calendars, &self.opened, calendar, times, PERIODS_MISSING_MAX)
                    .map_err(|error| error.to_string()),
            };
            openings.push(found.unwrap_or_else(|why| {
                failures.push((calendar, why));
                Vec::new()
            }));
        }
        (openings, failures)
    }

    /// The commands that open these periods and close those that are over, in the order of the times at which
    /// they came to be due; at most [`PERIODS_AT_ONCE`].
    fn commands(self, openings: Vec<Vec<OpenPeriod>>) -> Vec<Command> {
        let mut over = self.over;
        let mut commands: Vec<(Timestamp, Command)> = Vec::new();
        for ((calendar, opened), openings) in (0_u8..).zip(&self.opened).zip(openings) {
            for (number, opening) in (opened.len()..).zip(openings) {
                let period = PeriodRef { calendar, period: u32::try_from(number).expect("few periods") };
                if opening.end <= self.now {
                    over.push((opening.end, period));
                }
                commands.push((opening.start, Command::OpenPeriod(opening)));
            }
        }
        commands.extend(over.into_iter().map(|(end, period)| (end, Command::ClosePeriod(period))));
        // Of one calendar the next period opens before the one that ended begins to close: it is in front.
        commands.sort_by_key(|(at, _)| *at);
        commands.into_iter().take(PERIODS_AT_ONCE).map(|(_, command)| command).collect()
    }
}

/// The newest period of a calendar, its end, and where it stands.
fn last_period(state: &State, calendar: u8) -> Option<(PeriodRef, Timestamp, PeriodState)> {
    let period = PeriodRef { calendar, period: state.periods_len(calendar).checked_sub(1)? };
    state.period(period).map(|row| (period, row.end, row.state()))
}

/// The open periods of a calendar whose end has passed, with their ends. Open ones are the newest.
fn over(state: &State, calendar: u8, now: Timestamp) -> Vec<(Timestamp, PeriodRef)> {
    let newest_first = (0..state.periods_len(calendar)).rev().map(|period| PeriodRef { calendar, period });
    let open = newest_first.map_while(|period| {
        state.period(period).filter(|row| row.state() == PeriodState::Open).map(|row| (row.end, period))
    });
    open.filter(|(end, _)| *end <= now).collect()
}

fn opened(state: &State, period: PeriodRef) -> Option<OpenPeriod> {
    let row = state.period(period)?;
    let label = OrderId::parse(&row.label)?;
    let (start, end, grace_until) = (row.start, row.end, row.grace_until);
    Some(OpenPeriod { calendar: period.calendar, label, start, end, grace_until })
}

/// The commands that open and close periods in a network without an engine, at a log time: some of them, to
/// be applied before the next are asked for. Also the calendars whose next period is not known, and why.
pub fn due_periods(
    state: &State,
    now: Timestamp,
    missing: MissingPeriods,
) -> (Vec<Command>, Vec<(u8, String)>) {
    let Some(seen) = Seen::of(state, now.max(state.time())) else { return Default::default() };
    let (openings, failures) = seen.openings(missing, |_| None);
    (seen.commands(openings), failures)
}

/// The result of a run of a period of the state: nothing, until plans pay bonuses over periods.
pub fn empty_run(state: &State, period: PeriodRef, by: Actor) -> RecordRun {
    RecordRun {
        period,
        // Without the period the run is refused whatever it says.
        plan_version: state.plan_version_of_period(period).unwrap_or_default(),
        up_to_lsn: state.lsn(),
        lines: 0,
        digest: *blake3::hash(&[]).as_bytes(),
        by,
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
