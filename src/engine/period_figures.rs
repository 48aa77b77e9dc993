//! Where the periods of a network stand: for metrics, and for people who have to lock them.

use crate::core::{
    PeriodRow, PeriodState, command::PeriodRef, plan::calendar::Calendar, state::State, types::Timestamp,
};

/// A period that waits for a person to lock it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeriodToLock {
    pub calendar: Box<str>,
    pub label: Box<str>,
}

/// How the periods stand, for metrics.
pub(super) struct PeriodFigures {
    /// By calendar, by state.
    pub by_state: Vec<[u64; PeriodState::ALL.len()]>,
    /// End of the oldest period that is over and not locked.
    pub unlocked_since: Option<Timestamp>,
}

impl PeriodFigures {
    /// O(periods that are not posted).
    pub fn of(state: &State) -> Self {
        let calendars = state.plan().commerce.calendars.len();
        let mut by_state = vec![[0; PeriodState::ALL.len()]; calendars];
        let mut unlocked_since: Option<Timestamp> = None;
        for (calendar, counts) in (0_u8..).zip(&mut by_state) {
            let periods = state.periods_len(calendar);
            let (not_sealed, not_posted) = (not_sealed(state, calendar), not_posted(state, calendar));
            counts[PeriodState::Sealed as usize] = u64::from(not_sealed);
            counts[PeriodState::Posted as usize] = u64::from(not_posted - not_sealed);
            for period in (not_posted..periods).map(|period| PeriodRef { calendar, period }) {
                let Some(row) = state.period(period) else { continue };
                counts[row.state() as usize] += 1;
                if row.state() == PeriodState::Closing {
                    unlocked_since = Some(unlocked_since.map_or(row.end, |oldest| oldest.min(row.end)));
                }
            }
        }
        Self { by_state, unlocked_since }
    }
}

/// The number of the first period of a calendar that is not posted: they are posted in their order.
fn not_posted(state: &State, calendar: u8) -> u32 {
    first_without(state, calendar, PeriodState::is_final)
}

/// The number of the first period of a calendar that is not sealed: they are sealed in their order.
fn not_sealed(state: &State, calendar: u8) -> u32 {
    first_without(state, calendar, |state| state == PeriodState::Sealed)
}

/// The number of the first period of a calendar for which this does not hold, as for all later ones.
fn first_without(state: &State, calendar: u8, holds: impl Fn(PeriodState) -> bool) -> u32 {
    let holds = |period| state.period(PeriodRef { calendar, period }).is_some_and(|row| holds(row.state()));
    let (mut from, mut to) = (0, state.periods_len(calendar));
    while from < to {
        let middle = from.midpoint(to);
        if holds(middle) { from = middle + 1 } else { to = middle }
    }
    from
}

/// Periods whose grace has passed at a time and that are not locked, by calendar, oldest first; at most
/// `most` of each. O(periods that are not posted).
pub(super) fn to_lock(state: &State, now: Timestamp, most: usize) -> Vec<PeriodToLock> {
    let calendars = (0_u8..).zip(&state.plan().commerce.calendars);
    let of_calendar = |(number, calendar): (u8, &Calendar)| {
        let periods = (not_posted(state, number)..state.periods_len(number))
            .filter_map(|period| state.period(PeriodRef { calendar: number, period }));
        let due = periods.filter(|row| row.state() == PeriodState::Closing && row.grace_until <= now);
        let to_lock =
            |row: &PeriodRow| PeriodToLock { calendar: calendar.name.clone(), label: row.label.clone() };
        due.take(most).map(to_lock).collect::<Vec<_>>()
    };
    calendars.flat_map(of_calendar).collect()
}
