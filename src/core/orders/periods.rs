//! The periods of calendars, and where each stands in its life.

use std::collections::HashMap;

use strum::{FromRepr, IntoStaticStr, VariantArray};

use crate::core::{
    orders::{kept_log::KeptLog, totals::VALUES_MAX},
    plan::{calendar::Late, commerce::CALENDARS_MAX},
    requests::command::{OpenPeriod, OrderId, PeriodRef, PeriodStep, Rejection},
    store::{
        column::freeze_fields,
        held::Held,
        rows::{Rows, SoFar, require},
        search::partition_point,
    },
    words::{
        all::all,
        types::{LEVELS_MAX, Timestamp},
    },
};

/// Periods of a network, of all calendars.
pub const PERIODS_MAX: usize = 100_000;

/// Where a period stands in its life. Codes are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[derive(FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum PeriodState {
    /// Its end has not passed.
    Open = 0,
    /// Its end has passed; it takes late orders until its grace ends.
    Closing = 1,
    /// Nothing of it changes any more, unless it is unlocked.
    Locked = 2,
    /// Somebody accepted its run.
    Approved = 3,
    /// Final.
    Posted = 4,
    /// Its orders are in files, but for those that are booked in periods of other calendars that are not
    /// posted yet.
    Sealed = 5,
}

impl PeriodState {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether orders and refunds of the period are final.
    pub fn is_locked(self) -> bool {
        Self::Locked <= self
    }

    /// Whether nothing of the period can change any more.
    pub fn is_final(self) -> bool {
        Self::Posted <= self
    }
}

/// A period of a calendar, in the order in which they were opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeriodRow {
    /// The command that opened it.
    pub opened: u64,
    pub start: Timestamp,
    /// The first instant behind it.
    pub end: Timestamp,
    /// The first instant at which it takes no more orders.
    pub grace_until: Timestamp,
    /// The position of the calendar in the plan.
    pub calendar: u16,
    /// A bit for each value whose sums are kept live in it: the amount first, then the volumes.
    pub live: u16,
    /// Levels whose sums are kept live.
    pub live_levels: u8,
    /// Code of its [`PeriodState`].
    pub state: u8,
    /// 1 if it was ever locked: it takes no more orders, even when unlocked.
    pub was_locked: u8,
    pub label: Box<str>,
}

impl PeriodRow {
    pub fn state(&self) -> PeriodState {
        PeriodState::from_repr(self.state).expect("it was one")
    }

    /// Whether it takes orders at a log time.
    pub fn takes_orders(&self, now: Timestamp) -> bool {
        self.was_locked == 0 && now < self.grace_until
    }
}

impl Held for PeriodRow {
    fn bytes(&self) -> usize {
        self.label.len()
    }
}

pub(crate) struct Periods {
    rows: KeptLog<PeriodRow>,
    /// The rows of each calendar.
    of_calendar: Vec<Vec<u32>>,
    /// The numbers of each calendar's periods.
    by_label: Vec<HashMap<Box<str>, u32>>,
}

freeze_fields!(Periods { rows } derived { of_calendar, by_label });

impl Rows for Periods {
    type Row = PeriodRow;

    fn count(&self) -> usize {
        self.rows.list().len()
    }

    fn row_at(&self, at: usize) -> PeriodRow {
        self.rows.list()[at].clone()
    }

    fn restore(&mut self, row: PeriodRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("period `{}`: {what}", row.label);
        require(usize::from(row.calendar) < CALENDARS_MAX, || wrong("no such calendar"))?;
        require((1..=so_far.lsn).contains(&row.opened), || wrong("opened by no command so far"))?;
        require(PeriodState::from_repr(row.state).is_some(), || wrong("an unknown state"))?;
        require(row.was_locked <= 1, || wrong("a flag that is none"))?;
        let is_live = u32::from(row.live) < 1 << VALUES_MAX && usize::from(row.live_levels) <= LEVELS_MAX;
        require(is_live, || wrong("impossible live values or levels"))?;
        let label = OrderId::parse(&row.label).ok_or_else(|| wrong("not a label"))?;
        let calendar = u8::try_from(row.calendar).expect("checked");
        let (start, end, grace_until) = (row.start, row.end, row.grace_until);
        let open = OpenPeriod { calendar, label, start, end, grace_until };
        self.judge_next(&open).map_err(|_| wrong("does not follow the one before"))?;
        self.add(row);
        Ok(())
    }
}

impl Periods {
    pub fn new() -> Self {
        Self { rows: KeptLog::new(), of_calendar: Vec::new(), by_label: Vec::new() }
    }

    fn index_derived(&mut self) {
        (self.of_calendar, self.by_label) = (Vec::new(), Vec::new());
        (0..self.count()).for_each(|at| self.index(at));
    }

    fn index(&mut self, at: usize) {
        let PeriodRow { calendar, label, .. } = &self.rows.list()[at];
        let calendar = usize::from(*calendar);
        if self.of_calendar.len() <= calendar {
            self.of_calendar.resize(calendar + 1, Vec::new());
            self.by_label.resize(calendar + 1, HashMap::new());
        }
        let narrow = |at: usize| u32::try_from(at).expect("limited by PERIODS_MAX");
        let periods = &mut self.of_calendar[calendar];
        self.by_label[calendar].insert(label.clone(), narrow(periods.len()));
        periods.push(narrow(at));
    }

    fn add(&mut self, row: PeriodRow) {
        self.rows.push(row);
        self.index(self.count() - 1);
    }

    /// The number of periods of a calendar.
    pub fn of_calendar(&self, calendar: u8) -> u32 {
        let periods = self.of_calendar.get(usize::from(calendar)).map_or(0, Vec::len);
        u32::try_from(periods).expect("limited by PERIODS_MAX")
    }

    /// The numbers of periods by calendar.
    pub fn counts(&self) -> [u32; CALENDARS_MAX] {
        std::array::from_fn(|calendar| self.of_calendar(u8::try_from(calendar).expect("a calendar")))
    }

    /// A period.
    pub fn get(&self, period: PeriodRef) -> Option<&PeriodRow> {
        let at = self.of_calendar.get(usize::from(period.calendar))?.get(period.period as usize)?;
        self.rows.list().get(*at as usize)
    }

    /// The newest period of a calendar.
    pub fn newest(&self, calendar: u8) -> Option<&PeriodRow> {
        let newest = self.of_calendar(calendar).checked_sub(1)?;
        self.get(PeriodRef { calendar, period: newest })
    }

    /// The period with a label. O(1).
    pub fn find(&self, calendar: u8, label: &str) -> Option<PeriodRef> {
        let period = *self.by_label.get(usize::from(calendar))?.get(label)?;
        Some(PeriodRef { calendar, period })
    }

    /// Whether a period may be the next one of its calendar.
    pub fn judge_next(&self, open: &OpenPeriod) -> Result<(), Rejection> {
        let OpenPeriod { calendar, label, start, end, grace_until } = open;
        let newest = self.newest(*calendar);
        let is_new = self.find(*calendar, label.as_str()).is_none();
        // Periods cease to take orders in their order, whatever the plan says later.
        let follows = newest.is_none_or(|newest| newest.end == *start && newest.grace_until <= *grace_until);
        let is_ordered = start < end && end <= grace_until;
        if !(follows && is_new && is_ordered) {
            return Err(Rejection::PeriodMismatched);
        }
        if self.count() < PERIODS_MAX { Ok(()) } else { Err(Rejection::PeriodsFull) }
    }

    /// Whether a period of any calendar was ever locked. They are locked in their order. O(calendars).
    pub fn any_was_locked(&self) -> bool {
        let first = |calendar| self.get(PeriodRef { calendar, period: 0 });
        (0..).take(CALENDARS_MAX).filter_map(first).any(|row| row.was_locked != 0)
    }

    /// Opens a period that was judged, by the command `lsn`. `live`: see [`PeriodRow::live`].
    pub fn open(&mut self, open: &OpenPeriod, lsn: u64, (live, live_levels): (u16, u8)) -> PeriodRef {
        let OpenPeriod { calendar, label, start, end, grace_until } = open;
        let period = self.of_calendar(*calendar);
        self.add(PeriodRow {
            opened: lsn,
            start: *start,
            end: *end,
            grace_until: *grace_until,
            calendar: (*calendar).into(),
            live,
            live_levels,
            state: PeriodState::Open as u8,
            was_locked: 0,
            label: label.as_str().into(),
        });
        PeriodRef { calendar: *calendar, period }
    }

    /// Sets where a period stands.
    pub fn set_state(&mut self, period: PeriodRef, state: PeriodState) {
        let at = self.of_calendar[usize::from(period.calendar)][period.period as usize];
        let row = self.rows.get_mut(at as usize);
        row.state = state as u8;
        row.was_locked |= u8::from(state.is_locked());
    }

    /// The period of a calendar into which something of the time `own` is booked at the log time `now`: the
    /// one that holds the latest of `own`, `not_before`, and the start of the oldest period that takes
    /// orders. O(log periods).
    ///
    /// # Errors
    /// Before the first period, in one that is not open yet, or late where that is refused: where the period
    /// that holds the latest of `own` and `not_before` takes no more orders.
    pub fn book(
        &self,
        calendar: u8,
        late: Late,
        [own, not_before, now]: [Timestamp; 3],
    ) -> Result<u32, Rejection> {
        let period = |number: u32| self.get(PeriodRef { calendar, period: number });
        let first = period(0).ok_or(Rejection::PeriodNotOpen)?;
        if own < first.start {
            return Err(Rejection::BeforeOpening);
        }
        let count = self.of_calendar(calendar);
        let at = own.max(not_before);
        let holding = self.holding(calendar, at).unwrap_or(count);
        // Both locks and ends of graces come in the order of periods, so those that take orders are last.
        let oldest = first_for_which(count, |number| period(number).is_some_and(|row| row.takes_orders(now)));
        let is_late = holding < oldest;
        match late {
            _ if holding == count => Err(Rejection::PeriodNotOpen),
            Late::Refuse if is_late => Err(Rejection::OrderLate),
            // No period takes orders.
            Late::Book if oldest == count => Err(Rejection::PeriodNotOpen),
            Late::Book | Late::Refuse => Ok(holding.max(oldest)),
        }
    }

    /// Whether one of a calendar's periods takes orders at the log time `now`.
    pub fn any_takes_orders(&self, calendar: u8, now: Timestamp) -> bool {
        // The newest is the last to cease.
        self.newest(calendar).is_some_and(|newest| newest.takes_orders(now))
    }

    /// The period of a calendar that holds an instant after its first one began. O(log periods).
    fn holding(&self, calendar: u8, at: Timestamp) -> Option<u32> {
        let count = self.of_calendar(calendar);
        let period = |number: u32| self.get(PeriodRef { calendar, period: number });
        let holding = first_for_which(count, |number| period(number).is_some_and(|row| at < row.end));
        (holding < count).then_some(holding)
    }

    /// Whether an instant lies in a period of any calendar that is not locked.
    pub fn is_correctable(&self, at: Timestamp) -> bool {
        (0..).take(CALENDARS_MAX).any(|calendar| {
            let period = self.holding(calendar, at).map(|period| PeriodRef { calendar, period });
            let period = period.and_then(|period| self.get(period));
            period.is_some_and(|row| row.start <= at && !row.state().is_locked())
        })
    }

    /// Where a step leads from where a period stands; `None` if it stands there already.
    ///
    /// # Errors
    /// When the step is out of order, or not allowed from there.
    pub fn judge_step(
        &self,
        period: PeriodRef,
        step: PeriodStep,
        has_run: bool,
    ) -> Result<Option<PeriodState>, Rejection> {
        use PeriodState as State;
        let row = self.get(period).ok_or(Rejection::PeriodUnknown)?;
        let neighbor = |number: Option<u32>| {
            let number = number?;
            self.get(PeriodRef { period: number, ..period }).map(PeriodRow::state)
        };
        let before = neighbor(period.period.checked_sub(1));
        let after = neighbor(period.period.checked_add(1));
        let state = row.state();
        match (step, state) {
            (PeriodStep::Lock, State::Open) => Err(Rejection::PeriodNotOver),
            (PeriodStep::Lock, State::Closing) if before.is_some_and(|before| !before.is_locked()) => {
                Err(Rejection::PeriodOutOfOrder)
            }
            (PeriodStep::Lock, State::Closing) => Ok(Some(State::Locked)),
            (PeriodStep::Unlock, State::Locked | State::Approved)
                if after.is_some_and(PeriodState::is_locked) =>
            {
                Err(Rejection::PeriodOutOfOrder)
            }
            (PeriodStep::Unlock, State::Locked | State::Approved) => Ok(Some(State::Closing)),
            (PeriodStep::Approve, State::Locked) if has_run => Ok(Some(State::Approved)),
            (PeriodStep::Post, State::Approved) if before.is_some_and(|before| !before.is_final()) => {
                Err(Rejection::PeriodOutOfOrder)
            }
            (PeriodStep::Post, State::Approved) => Ok(Some(State::Posted)),
            (PeriodStep::Unlock, State::Closing)
            | (PeriodStep::Lock, State::Locked)
            | (PeriodStep::Approve, State::Approved)
            | (PeriodStep::Post, State::Posted | State::Sealed) => Ok(None),
            // A seal is a command of its own.
            _ => Err(Rejection::PeriodStepNotAllowed),
        }
    }

    /// Whether a period can be sealed: after all earlier ones of its calendar. False if it is sealed already.
    ///
    /// # Errors
    /// When it is not posted, or an earlier one is not sealed.
    pub fn judge_seal(&self, period: PeriodRef) -> Result<bool, Rejection> {
        let row = self.get(period).ok_or(Rejection::PeriodUnknown)?;
        let before = period.period.checked_sub(1).map(|before| PeriodRef { period: before, ..period });
        let before = before.and_then(|before| self.get(before)).map(PeriodRow::state);
        match row.state() {
            PeriodState::Sealed => Ok(false),
            PeriodState::Posted if before.is_some_and(|before| before != PeriodState::Sealed) => {
                Err(Rejection::PeriodOutOfOrder)
            }
            PeriodState::Posted => Ok(true),
            _ => Err(Rejection::PeriodStepNotAllowed),
        }
    }

    /// Whether everything that is booked in a period is final.
    pub fn is_final(&self, period: PeriodRef) -> bool {
        self.get(period).is_some_and(|row| row.state().is_final())
    }
}

/// The first of `0..count` for which `holds`, which must hold for all after one for which it does.
fn first_for_which(count: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let number = |at: usize| u32::try_from(at).expect("below `count`");
    number(partition_point(0..count as usize, |at| !holds(number(at))))
}
