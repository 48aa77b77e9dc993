//! Completes orders that were read from an image: checks what the lists say of each other, and computes what
//! follows from them.

use crate::core::{
    orders::{
        part::Orders,
        placed::NO_NAME,
        refund_bookings::RefundState,
        shares::{less, shares_of},
    },
    plan::commerce::Commerce,
    requests::command::{PeriodRef, WHOLE},
    store::{
        pace::Pace,
        rows::{Rows, require},
    },
    words::types::{MemberIx, NONE},
};

impl Orders {
    /// Checks the lists, and puts each order into those of its customer, group and periods. Volumes are
    /// booked by the caller ([`Orders::booked_values`]). O(orders).
    ///
    /// # Errors
    /// What does not fit together.
    pub fn complete(&mut self, commerce: &Commerce) -> Result<(), String> {
        self.check_counts()?;
        self.lists.attributes.check_names(commerce)?;
        self.check_opening(commerce)?;
        let calendars = self.periods().counts().iter().rposition(|periods| *periods != 0);
        let is_known = calendars.is_none_or(|last| last < commerce.calendars.len());
        require(is_known, || "periods of a calendar that the plan does not have".into())?;
        for order in (0..self.count()).paced() {
            self.check_order(order)?;
            self.check_names(order, commerce)?;
            self.link(order);
            let values = self.placed_values(order);
            self.totals.judge(&values).map_err(|_| "orders: volumes beyond 64 bits".to_owned())?;
            self.totals.place(&values);
        }
        for refund in (0..self.refunds_len()).paced() {
            self.check_refund(refund)?;
            self.note_waiting(refund);
        }
        Ok(())
    }

    /// Calendars of the opening state are those of the plan, and its end says how many rows it has.
    fn check_opening(&self, commerce: &Commerce) -> Result<(), String> {
        let calendars = commerce.calendars.len();
        let is_known = self.opening().calendars().all(|calendar| usize::from(calendar) < calendars);
        require(is_known, || "opening state: a calendar that the plan does not have".into())?;
        let closed = self.opening_close().get();
        let rows = self.opening().count() as u64;
        require(closed.is_none_or(|closed| closed.rows == rows), || {
            "opening state: its end is of other rows".into()
        })
    }

    fn count(&self) -> u32 {
        u32::try_from(self.len()).expect("limited by ORDERS_MAX")
    }

    /// The rows of each list are as many as orders and refunds say.
    fn check_counts(&self) -> Result<(), String> {
        let lists = &self.lists;
        let (mut credits, mut values, mut bookings) = (0, 0, 0);
        if let Some(last) = self.count().checked_sub(1) {
            let last = self.order(last);
            credits = last.first_credit as usize + usize::from(last.credits);
            bookings = last.first_booking as usize + usize::from(last.calendars);
            values = usize::try_from(last.first_value).expect("places are in memory")
                + usize::from(last.lines) * usize::from(last.values);
        }
        let (mut lines, mut refund_bookings) = (0, 0);
        if let Some(last) = self.refunds_len().checked_sub(1) {
            let last = self.refund(last);
            lines = last.first_line as usize + usize::from(last.lines);
            refund_bookings = last.first_booking as usize + usize::from(last.calendars);
        }
        let table = [
            ("credits", lists.credits.count(), credits),
            ("values", lists.values.count(), values),
            ("bookings", lists.bookings.count(), bookings),
            ("refund lines", lists.refund_lines.count(), lines),
            ("refund bookings", lists.refund_bookings.count(), refund_bookings),
        ];
        table.into_iter().try_for_each(|(what, found, expected)| {
            require(found == expected, || format!("{what}: {found}, expected {expected}"))
        })
    }

    fn check_order(&self, order: u32) -> Result<(), String> {
        let wrong = |what: &str| format!("order {order}: {what}");
        let row = *self.order(order);
        let mut parts = 0_u64;
        for credit in self.credits_of(order) {
            require(credit.order == order, || wrong("a credit of another order"))?;
            parts += u64::from(credit.part);
        }
        require(parts == u64::from(WHOLE), || wrong("parts that do not add up"))?;
        for calendar in 0..row.calendars {
            let booked = self.lists.bookings.get(row.first_booking + u32::from(calendar));
            let fits = booked.order == order && booked.calendar == u32::from(calendar);
            require(fits, || wrong("a booking of another order"))?;
        }
        let is_customer = row.customer == NONE || (row.customer as usize) < self.lists.customers.count();
        let is_group = row.group == NONE || (row.group as usize) < self.lists.groups.count();
        require(is_customer && is_group, || wrong("no such customer or group"))
    }

    /// Its names are those of the plan, which a plan change never takes away.
    fn check_names(&self, order: u32, commerce: &Commerce) -> Result<(), String> {
        let row = self.order(order);
        let is_name = |name: u16, names: &[Box<str>]| name == NO_NAME || usize::from(name) < names.len();
        let tags = u32::try_from(commerce.order_tags.len()).expect("few");
        let fits = is_name(row.kind, &commerce.order_kinds)
            && is_name(row.market, &commerce.markets)
            && row.tags.checked_shr(tags).is_none_or(|beyond| beyond == 0)
            && usize::from(row.values) <= commerce.volumes.len() + 1;
        require(fits, || format!("order {order}: a name that the plan does not have"))
    }

    fn check_refund(&self, refund: u32) -> Result<(), String> {
        let wrong = |what: &str| format!("refund {refund}: {what}");
        let row = *self.refund(refund);
        let order = self.order(row.order);
        require(u16::from(order.calendars) == row.calendars, || wrong("other calendars than its order"))?;
        let earlier = self.refunded(row.order, |other| other < refund);
        for (line, from, _) in self.refund_lines(refund) {
            let so_far = earlier.get(usize::from(line));
            require(so_far == Some(&from), || wrong("does not follow the refund before it"))?;
        }
        for ((period, state), booked) in self.refund_states(refund).zip(self.periods_of(row.order)) {
            let is_there = self.periods().get(period).is_some();
            let fits = is_there && (state.is_later() || period == booked);
            require(fits, || wrong("booked in an impossible period"))?;
        }
        Ok(())
    }

    /// Books all orders, refunds and corrections, in a state that has no volumes yet, for their members
    /// alone. O(orders).
    pub fn book_all(&mut self) {
        let sealed: Vec<_> = self.lists.sealed_totals.iter().collect();
        sealed.iter().for_each(|(period, totals)| self.totals.get_mut(*period).add(totals));
        for order in (0..self.count()).paced() {
            let booked: Vec<Booked> = self.booked_values(order).collect();
            for Booked { period, values, shares } in booked {
                self.count_order(period);
                self.load(period, &values, &shares);
            }
        }
        for refund in (0..self.refunds_len()).paced() {
            let acts: Vec<_> = self.refund_states(refund).collect();
            for (period, _) in acts.into_iter().filter(|(_, state)| *state != RefundState::Waiting) {
                self.count_refund(period);
            }
            let corrected: Vec<Booked> = self.corrected_values(refund).collect();
            for Booked { period, values, shares } in corrected {
                self.load(period, &values, &shares);
            }
        }
    }

    fn load(&mut self, period: PeriodRef, values: &[i64], shares: &[(MemberIx, Vec<i64>)]) {
        self.totals.add(period, values);
        for (member, share) in shares {
            self.live.load(period, *member, share);
        }
    }

    /// What members have from an order in a period, and the whole of it: of the order itself, less the
    /// refunds that lower it.
    pub fn booked_values(&self, order: u32) -> impl Iterator<Item = Booked> + '_ {
        let parts: Vec<u32> = self.credits_of(order).map(|credit| credit.part).collect();
        self.periods_of(order).map(move |period| {
            let values = self.values_in(order, period.calendar);
            let members = self.credits_of(order).map(|credit| MemberIx(credit.member));
            Booked { period, shares: members.zip(shares_of(&values, &parts)).collect(), values }
        })
    }

    /// What the corrections by a refund take from members in later periods.
    pub fn corrected_values(&self, refund: u32) -> impl Iterator<Item = Booked> + '_ {
        let order = self.refund(refund).order;
        let parts: Vec<u32> = self.credits_of(order).map(|credit| credit.part).collect();
        let corrections = self.refund_states(refund).filter(|(_, state)| *state == RefundState::LowersLater);
        corrections.map(move |(period, _)| {
            let left = |with: bool| {
                let counts = move |other| if with { other <= refund } else { other < refund };
                self.values_left(order, &self.refunded(order, counts))
            };
            let (before, after) = (left(false), left(true));
            let [of_before, of_after] = [&before, &after].map(|values| shares_of(values, &parts));
            let shares = of_before.iter().zip(&of_after).map(|(before, after)| less(before, after));
            let members = self.credits_of(order).map(|credit| MemberIx(credit.member));
            Booked { period, shares: members.zip(shares).collect(), values: less(&before, &after) }
        })
    }
}

/// Values in a period.
pub(in crate::core) struct Booked {
    pub period: PeriodRef,
    /// By value, of the whole company.
    pub values: Vec<i64>,
    /// By value, of each member.
    pub shares: Vec<(MemberIx, Vec<i64>)>,
}
