//! Judges orders, and places them.

use bytemuck::Zeroable;

use crate::core::{
    orders::{
        bookings::BookingRow,
        credits::CreditRow,
        part::Orders,
        placed::{Before, NO_NAME, NO_ORDER, ORDERS_MAX, Order},
        strays::OrderList,
        totals::VALUES_MAX,
    },
    plan::{
        Plan,
        commerce::{CALENDARS_MAX, Commerce, VolumeForm, VolumeOf},
    },
    requests::command::{OrderLine, PlaceOrder, Rejection, VALUE_MAX},
    words::types::{MemberIx, Timestamp},
};

/// What judging an order found.
pub(in crate::core) enum AdmittedOrder {
    /// It was placed before.
    Known(u32),
    New(NewOrder),
}

/// An order that can be placed.
pub(in crate::core) struct NewOrder {
    pub members: Vec<MemberIx>,
    /// The number of its customer and of its group, if they are known.
    customer: Option<u32>,
    group: Option<u32>,
    pub time: Timestamp,
    /// The values of all lines, those of a line together.
    values: Vec<i64>,
    /// The sums over all lines, by value, and their number.
    totals: ([i64; VALUES_MAX], usize),
    /// By calendar, and their number.
    periods: ([u32; CALENDARS_MAX], usize),
}

impl NewOrder {
    /// The sums over all lines, by value.
    pub fn totals(&self) -> &[i64] {
        let (totals, values) = &self.totals;
        &totals[..*values]
    }

    /// By line.
    pub fn values_of_lines(&self) -> impl Iterator<Item = &[i64]> {
        self.values.chunks_exact(self.totals().len())
    }

    /// By calendar.
    pub fn periods(&self) -> &[u32] {
        let (periods, calendars) = &self.periods;
        &periods[..*calendars]
    }
}

impl Orders {
    /// Whether an order with this id is there: its number, if it is the same.
    ///
    /// # Errors
    /// Another order or a refund has the id.
    pub fn judge_order_id(&self, order: &PlaceOrder) -> Result<Option<u32>, Rejection> {
        if let Some(known) = self.find(&order.id) {
            let is_same = self.order(known).fingerprint == order.fingerprint();
            return if is_same { Ok(Some(known)) } else { Err(Rejection::OrderIdTaken) };
        }
        if self.find_refund(&order.id).is_some() { Err(Rejection::OrderIdTaken) } else { Ok(None) }
    }

    /// Judges an order whose id is free, by the plan. `members` are the credited ones, `joined` is when the
    /// latest of them joined, `now` is the log time.
    pub fn judge_order(
        &self,
        plan: &Plan,
        order: &PlaceOrder,
        members: Vec<MemberIx>,
        [joined, now]: [Timestamp; 2],
    ) -> Result<NewOrder, Rejection> {
        let commerce = &plan.commerce;
        judge_names(commerce, order)?;
        let customer = order.customer.as_ref().and_then(|id| self.find_customer(id));
        if customer.is_some_and(|customer| self.customer_owner(customer) != members[0]) {
            return Err(Rejection::CustomerOfAnother);
        }
        let has_room = self.len() < ORDERS_MAX
            && self.lists.customers.has_room()
            && self.lists.groups.has_room()
            && self.lists.credits.len() + members.len() < u32::MAX as usize;
        if !has_room {
            return Err(Rejection::OrdersFull);
        }
        let width = commerce.volumes.len() + 1;
        let mut values = Vec::with_capacity(order.lines.len() * width);
        for line in &order.lines {
            put_values(plan, line, &mut values)?;
        }
        let mut totals = [0; VALUES_MAX];
        for line in values.chunks_exact(width) {
            totals.iter_mut().zip(line).for_each(|(total, value)| *total += value);
        }
        self.totals.judge(&totals[..width])?;
        let time = order.time.unwrap_or(now);
        let mut periods = [0; CALENDARS_MAX];
        for ((calendar, rules), period) in (0..).zip(&commerce.calendars).zip(&mut periods) {
            *period = self.periods().book(calendar, rules.late, [time, joined, now])?;
        }
        let group = order.group.as_ref().and_then(|id| self.find_group(id));
        let (totals, periods) = ((totals, width), (periods, commerce.calendars.len()));
        Ok(NewOrder { members, customer, group, time, values, totals, periods })
    }

    /// Places an order by the command `lsn`. Its volumes are booked by the caller.
    pub fn place(&mut self, order: &PlaceOrder, new: &NewOrder, lsn: u64) -> u32 {
        let lists = &mut self.lists;
        let customer = match (&order.customer, new.customer) {
            (Some(id), None) => lists.customers.push(id, new.members[0]),
            (_, known) => known.unwrap_or(NO_ORDER),
        };
        let group = match (&order.group, new.group) {
            (Some(id), None) => lists.groups.push(id),
            (_, known) => known.unwrap_or(NO_ORDER),
        };
        let short = |count: usize| u8::try_from(count).expect("limited");
        let row = Order {
            lsn,
            time: new.time,
            fingerprint: order.fingerprint(),
            tags: order.tags,
            customer,
            group,
            kind: order.kind.unwrap_or(NO_NAME),
            market: order.market.unwrap_or(NO_NAME),
            lines: short(order.lines.len()),
            credits: short(new.members.len()),
            calendars: short(new.periods().len()),
            values: short(new.totals().len()),
            ..Order::zeroed()
        };
        let number = lists.placed.push(row, &order.id);
        for (member, credit) in new.members.iter().zip(&order.credits) {
            lists.credits.push(CreditRow { order: number, member: member.0, part: credit.part });
        }
        lists.values.extend(&new.values);
        for (calendar, period) in (0..).zip(new.periods()) {
            lists.bookings.push(BookingRow { order: number, period: *period, calendar });
        }
        self.link(number);
        self.totals.place(new.totals());
        number
    }

    /// Puts the newest order that is in none yet into the lists of its customer and its group; one that came
    /// back into all of its lists among the [`Strays`](super::strays::Strays).
    pub(super) fn link(&mut self, order: u32) {
        let (customer, group) = (self.order(order).customer, self.order(order).group);
        let lists = &mut self.lists;
        let mut before = Before { of_customer: NO_ORDER, of_group: NO_ORDER };
        if customer != NO_ORDER {
            before.of_customer = lists.customers.set_newest(customer, order);
        }
        if group != NO_ORDER {
            before.of_group = lists.groups.set_newest(group, order);
        }
        lists.placed.link(before);
        let lsn = self.order(order).lsn;
        if self.strays.note(lsn) {
            self.note_stray(order, lsn);
        }
    }

    fn note_stray(&mut self, order: u32, lsn: u64) {
        let named = |number: u32, list: fn(u32) -> OrderList| (number != NO_ORDER).then(|| list(number));
        let row = self.order(order);
        let members = self.credits_of(order).map(|credit| OrderList::OfMember(MemberIx(credit.member)));
        let lists: Vec<OrderList> = std::iter::once(OrderList::All)
            .chain(members)
            .chain(named(row.customer, OrderList::OfCustomer))
            .chain(named(row.group, OrderList::OfGroup))
            .chain(self.periods_of(order).map(OrderList::InPeriod))
            .collect();
        lists.into_iter().for_each(|list| self.strays.add(list, lsn, order));
    }
}

/// Kind, tags and market must be those of the plan.
fn judge_names(commerce: &Commerce, order: &PlaceOrder) -> Result<(), Rejection> {
    let kinds = commerce.order_kinds.len();
    let is_kind = match order.kind {
        Some(kind) => usize::from(kind) < kinds,
        None => kinds == 0,
    };
    if !is_kind {
        return Err(Rejection::OrderKindUnknown);
    }
    if order.tags.checked_shr(narrow(commerce.order_tags.len())).is_some_and(|beyond| beyond != 0) {
        return Err(Rejection::OrderTagUnknown);
    }
    if order.market.is_some_and(|market| commerce.markets.len() <= usize::from(market)) {
        return Err(Rejection::MarketUnknown);
    }
    Ok(())
}

/// Appends the values of a line: the amount, the volumes that it names, and those that follow from others.
fn put_values(plan: &Plan, line: &OrderLine, values: &mut Vec<i64>) -> Result<(), Rejection> {
    let Plan { commerce, currency, .. } = plan;
    let first = values.len();
    values.push(line.amount.0);
    let mut named = line.volumes.iter().copied();
    for volume in &commerce.volumes {
        let value = match volume.form {
            VolumeForm::Given => named.next().unwrap_or(0),
            VolumeForm::Percent { of, rate } => {
                let base = match of {
                    VolumeOf::Amount => 0,
                    VolumeOf::Volume(position) => usize::from(position) + 1,
                };
                let digits = |value: usize| match value {
                    0 => currency.exponent,
                    value => commerce.volumes[value - 1].exponent,
                };
                let (from, to) = (digits(base), volume.exponent);
                let product = i128::from(values[first + base]) * i128::from(rate.0);
                let up = i128::from(10_u64.pow(to.saturating_sub(from).into()));
                let down = i128::from(10_u64.pow(from.saturating_sub(to).into()));
                let exact = commerce.rounding.divide(product * up, 10_000 * down);
                i64::try_from(exact).map_err(|_| Rejection::OrderMalformed)?
            }
        };
        if VALUE_MAX < value {
            return Err(Rejection::OrderMalformed);
        }
        values.push(value);
    }
    // A volume that the plan does not have.
    if named.any(|value| value != 0) { Err(Rejection::OrderMalformed) } else { Ok(()) }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("limited")
}
