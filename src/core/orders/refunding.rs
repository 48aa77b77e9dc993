//! Judges refunds, and gives them.
//!
//! A refund lowers the order in its period while that is unlocked. While it is locked, the refund waits; when
//! it is posted, the refund becomes a correction in a period that still takes orders, and lowers the volumes
//! of that one if the plan says so. What is refunded counts as refunded in each of these cases.

use crate::core::{
    orders::{
        part::Orders,
        refund_bookings::{RefundBookingRow, RefundState},
        refund_lines::RefundLineRow,
        refunds::{ORDER_REFUNDS_MAX, RefundRow},
    },
    plan::calendar::Late,
    requests::command::{LinePart, PeriodRef, RefundOrder, RefundScope, Rejection, WHOLE},
    words::types::Timestamp,
};

/// What judging a refund found.
pub(in crate::core) enum AdmittedRefund {
    /// It was given before.
    Known(u32),
    New(NewRefund),
}

/// A refund that can be given.
pub(in crate::core) struct NewRefund {
    order: u32,
    time: Timestamp,
    lines: Vec<RefundLineRow>,
    /// By calendar of the order.
    bookings: Vec<RefundBookingRow>,
}

/// A change of an order's values in a period.
pub(in crate::core) struct ValuesChange {
    pub order: u32,
    pub period: PeriodRef,
    pub before: Vec<i64>,
    pub after: Vec<i64>,
}

impl Orders {
    /// Judges a refund at the log time `now`. `lowers_volume`: corrections lower the volumes of their period.
    pub fn judge_refund(
        &self,
        refund: &RefundOrder,
        lowers_volume: bool,
        now: Timestamp,
    ) -> Result<AdmittedRefund, Rejection> {
        if let Some(known) = self.find_refund(&refund.id) {
            let is_same = self.refund(known).fingerprint == refund.fingerprint();
            return if is_same { Ok(AdmittedRefund::Known(known)) } else { Err(Rejection::OrderIdTaken) };
        }
        if self.find(&refund.id).is_some() {
            return Err(Rejection::OrderIdTaken);
        }
        let order = self.find(&refund.order).ok_or(Rejection::OrderUnknown)?;
        let lists = &self.lists;
        let lines = lists.refund_lines.len() + usize::from(self.order(order).lines);
        if u32::MAX as usize <= lines || u32::MAX as usize / 8 <= lists.refunds.len() {
            return Err(Rejection::OrdersFull);
        }
        if ORDER_REFUNDS_MAX <= self.refunds_of(order).count() {
            return Err(Rejection::RefundsFull);
        }
        let lines = lines_of(&refund.scope, &self.refunded(order, |_| true))?;
        let time = refund.time.unwrap_or(now);
        let booking = |period: PeriodRef| self.booking_of_refund(period, lowers_volume, [time, now]);
        let bookings = self.periods_of(order).map(booking).collect::<Result<_, _>>()?;
        Ok(AdmittedRefund::New(NewRefund { order, time, lines, bookings }))
    }

    /// How a refund acts that is given now, of an order that is booked in these periods.
    pub fn acts_of_refund(
        &self,
        periods: &[PeriodRef],
        lowers_volume: bool,
        times: [Timestamp; 2],
    ) -> Result<Vec<(PeriodRef, RefundState)>, Rejection> {
        let act = |period: &PeriodRef| {
            let booking = self.booking_of_refund(*period, lowers_volume, times)?;
            Ok((PeriodRef { period: booking.period, ..*period }, booking.state()))
        };
        periods.iter().map(act).collect()
    }

    /// How a refund of an order that is booked in `period` acts there.
    fn booking_of_refund(
        &self,
        period: PeriodRef,
        lowers_volume: bool,
        [time, now]: [Timestamp; 2],
    ) -> Result<RefundBookingRow, Rejection> {
        use crate::core::orders::periods::PeriodState as State;
        let state = self.periods().get(period).ok_or(Rejection::PeriodUnknown)?.state();
        let (state, period) = match state {
            State::Open | State::Closing => (RefundState::Lowered, period.period),
            State::Locked | State::Approved => (RefundState::Waiting, period.period),
            State::Posted | State::Sealed => {
                let later = self.correction_period(period.calendar, time, now)?;
                (RefundState::correction(lowers_volume), later)
            }
        };
        Ok(RefundBookingRow { period, state: state as u8 })
    }

    /// The period that takes a correction: as if it were an order of that time.
    fn correction_period(&self, calendar: u8, time: Timestamp, now: Timestamp) -> Result<u32, Rejection> {
        let first = self.periods().get(PeriodRef { calendar, period: 0 });
        let time = first.map_or(time, |first| first.start.max(time));
        self.periods().book(calendar, Late::Book, [time, time, now])
    }

    /// Gives a refund that was judged, by the command `lsn`. Returns it, and what it changes.
    pub fn give_refund(
        &mut self,
        refund: &RefundOrder,
        new: &NewRefund,
        lsn: u64,
    ) -> (u32, Vec<ValuesChange>) {
        let NewRefund { order, time, lines, bookings } = new;
        let order = *order;
        let before: Vec<Vec<i64>> = (0..)
            .zip(bookings)
            .map(|(calendar, booking)| self.before_refund(order, calendar, booking.state()))
            .collect();
        let short = |count: usize| u8::try_from(count).expect("limited");
        let row = RefundRow {
            lsn,
            time: *time,
            fingerprint: refund.fingerprint(),
            order,
            lines: short(lines.len()),
            calendars: short(bookings.len()),
            id: refund.id.as_str().into(),
        };
        let number = self.lists.refunds.push(&row, &refund.id);
        lines.iter().for_each(|line| self.lists.refund_lines.push(*line));
        bookings.iter().for_each(|booking| self.lists.refund_bookings.push(*booking));
        let acts = self.refund_states(number).zip(before);
        let changes = acts.filter_map(|(act, before)| self.change_by(number, act, before)).collect();
        self.note_waiting(number);
        for (calendar, booking) in (0..).zip(bookings) {
            if booking.state() != RefundState::Waiting {
                self.count_refund(PeriodRef { calendar, period: booking.period });
            }
        }
        (number, changes)
    }

    /// The values of an order that a refund is going to lower: those in its period, or, for a correction,
    /// what is left of it at all.
    fn before_refund(&self, order: u32, calendar: u8, state: RefundState) -> Vec<i64> {
        match state {
            RefundState::Lowered => self.values_in(order, calendar),
            RefundState::Waiting | RefundState::Correction => Vec::new(),
            RefundState::LowersLater => self.values_left(order, &self.refunded(order, |_| true)),
        }
    }

    /// What a refund that is in the lists changes in a period.
    fn change_by(
        &self,
        refund: u32,
        (period, state): (PeriodRef, RefundState),
        before: Vec<i64>,
    ) -> Option<ValuesChange> {
        let order = self.refund(refund).order;
        let after = match state {
            RefundState::Lowered => self.values_in(order, period.calendar),
            RefundState::LowersLater => {
                self.values_left(order, &self.refunded(order, |other| other <= refund))
            }
            RefundState::Waiting | RefundState::Correction => return None,
        };
        Some(ValuesChange { order, period, before, after })
    }

    /// Whether refunds wait for a period to be unlocked or posted.
    pub fn has_waiting(&self, period: PeriodRef) -> bool {
        self.waiting.contains_key(&period)
    }

    /// Lets the refunds that wait for a period act: those of an unlocked one lower their orders, those of a
    /// posted one become corrections. Returns what they change. O(waiting refunds of the period).
    pub fn end_waiting(
        &mut self,
        period: PeriodRef,
        is_posted: bool,
        now: Timestamp,
        lowers_volume: bool,
    ) -> Vec<ValuesChange> {
        let waiting = self.waiting.remove(&period).unwrap_or_default();
        let mut changes = Vec::new();
        for refund in waiting {
            let order = self.refund(refund).order;
            let time = self.refund(refund).time;
            let (state, target) = if is_posted {
                // The newest takes orders, or the period would not have been posted. A refund of a later time
                // is corrected there.
                let newest = self.periods().of_calendar(period.calendar).saturating_sub(1);
                let target = self.correction_period(period.calendar, time, now).unwrap_or(newest);
                (RefundState::correction(lowers_volume), target)
            } else {
                (RefundState::Lowered, period.period)
            };
            let before = match state {
                RefundState::LowersLater => {
                    self.values_left(order, &self.refunded(order, |other| other < refund))
                }
                state => self.before_refund(order, period.calendar, state),
            };
            let place = self.refund(refund).first_booking + u32::from(period.calendar);
            self.lists.refund_bookings.set(place, RefundBookingRow { period: target, state: state as u8 });
            let target = PeriodRef { period: target, ..period };
            self.count_refund(target);
            changes.extend(self.change_by(refund, (target, state), before));
        }
        changes
    }

    /// Notes in which periods a refund waits.
    pub(super) fn note_waiting(&mut self, refund: u32) {
        let waits: Vec<PeriodRef> = self
            .refund_states(refund)
            .filter(|(_, state)| *state == RefundState::Waiting)
            .map(|(period, _)| period)
            .collect();
        for period in waits {
            self.waiting.entry(period).or_default().push(refund);
        }
    }
}

/// The lines that a refund takes back a part of, where so much of each was refunded before.
fn lines_of(scope: &RefundScope, refunded: &[u32]) -> Result<Vec<RefundLineRow>, Rejection> {
    let take = |line: usize, part: Option<u32>| {
        let from = refunded[line];
        let to = part.map_or(WHOLE, |part| from.saturating_add(part));
        if part == Some(0) {
            return Err(Rejection::OrderMalformed);
        }
        if to <= from || WHOLE < to {
            return Err(Rejection::RefundTooLarge);
        }
        Ok(RefundLineRow { from, to, line: u8::try_from(line).expect("limited") })
    };
    let all = 0..refunded.len();
    match scope {
        RefundScope::Rest => {
            let left: Vec<usize> = all.filter(|line| refunded[*line] < WHOLE).collect();
            if left.is_empty() {
                return Err(Rejection::RefundTooLarge);
            }
            left.into_iter().map(|line| take(line, None)).collect()
        }
        RefundScope::Part(part) => all.map(|line| take(line, Some(*part))).collect(),
        RefundScope::Lines(lines) => {
            let ascends = lines.windows(2).all(|pair| pair[0].line < pair[1].line);
            if !ascends || lines.is_empty() {
                return Err(Rejection::OrderMalformed);
            }
            lines
                .iter()
                .map(|LinePart { line, part }| {
                    let line = usize::from(*line);
                    if refunded.len() <= line { Err(Rejection::OrderLineUnknown) } else { take(line, *part) }
                })
                .collect()
        }
    }
}
