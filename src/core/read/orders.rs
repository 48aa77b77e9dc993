//! Queries about orders, refunds, periods and volumes.

use crate::core::{
    orders::{
        admission::AdmittedOrder,
        live::PERIODS_LIVE,
        periods::{PeriodRow, PeriodState},
        placed::{NO_NAME, NO_ORDER, Order},
        refund_bookings::RefundState,
        runs::RunRow,
        shares,
        steps::StepRow,
        strays::OrderList,
        totals::{PeriodTotals, VALUES_MAX},
    },
    requests::command::{OrderId, PeriodRef, PlaceOrder, Rejection, WHOLE},
    state::{parts::State, plans::PlanVersion},
    words::{
        directory::Directory,
        types::{LEVELS_MAX, MemberIx, Timestamp, Tree},
    },
};

/// An order as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderView {
    /// Counted from 0 in the order in which they were placed.
    pub number: u32,
    pub id: Box<str>,
    /// The command that placed it.
    pub lsn: u64,
    pub time: Timestamp,
    /// Members and their parts of [`WHOLE`].
    pub credits: Vec<(MemberIx, u32)>,
    pub customer: Option<Box<str>>,
    /// Positions in the plan.
    pub kind: Option<u16>,
    pub market: Option<u16>,
    /// A bit for each of the plan's tags of orders.
    pub tags: u64,
    pub group: Option<Box<str>>,
    pub lines: Vec<LineView>,
    /// By calendar.
    pub periods: Vec<PeriodRef>,
    /// Oldest first.
    pub refunds: Vec<RefundView>,
}

/// A line of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineView {
    /// As it was placed: the amount, then the volumes, in units of their exponents.
    pub values: Vec<i64>,
    /// How much of it was refunded, in parts of [`WHOLE`].
    pub refunded: u32,
}

impl OrderView {
    /// The order as it stood after a command; `None` if it was placed later.
    pub fn as_of(mut self, lsn: u64) -> Option<Self> {
        self.refunds.retain(|refund| refund.lsn <= lsn);
        let Self { lines, refunds, .. } = &mut self;
        lines.iter_mut().for_each(|line| line.refunded = 0);
        for (line, _, to) in refunds.iter().flat_map(|refund| &refund.lines) {
            lines.get_mut(usize::from(*line))?.refunded = *to;
        }
        (self.lsn <= lsn).then_some(self)
    }

    /// Whether all of it was refunded.
    pub fn is_refunded(&self) -> bool {
        self.lines.iter().all(|line| line.refunded == WHOLE)
    }

    /// The sums over all lines by value, as placed.
    pub fn totals(&self) -> Vec<i64> {
        self.sums(|value, _| value)
    }

    /// The sums over all lines by value, without what was refunded.
    pub fn left(&self) -> Vec<i64> {
        self.sums(shares::left)
    }

    fn sums(&self, of: impl Fn(i64, u32) -> i64) -> Vec<i64> {
        let mut sums = vec![0; self.lines.first().map_or(0, |line| line.values.len())];
        for LineView { values, refunded } in &self.lines {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += of(*value, *refunded));
        }
        sums
    }
}

/// The live sums of a value for a member in a period. As booked: refunds may make them negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiveSums {
    /// Of the member.
    pub own: i64,
    /// Along each tree, by its number; `None` where it is not counted.
    pub along: [Option<LiveAlong>; 2],
}

/// The live sums below a member along one tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiveAlong {
    /// Of the member and its whole downline.
    pub group: i64,
    /// Of those 1, 2, ... levels below it; 0 beyond the levels that the period keeps.
    pub levels: [i64; LEVELS_MAX],
}

/// A refund of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefundView {
    pub id: Box<str>,
    /// The command that gave it.
    pub lsn: u64,
    pub time: Timestamp,
    /// Position of the line, what was refunded of it before, and with it, in parts of [`WHOLE`].
    pub lines: Vec<(u8, u32, u32)>,
    /// By calendar: the period in which it acts, and how.
    pub states: Vec<(PeriodRef, RefundState)>,
}

impl State {
    /// Whether the network has orders, refunds, periods or attributes, which refer to names of the plan.
    pub fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    /// The number of orders.
    pub fn orders_len(&self) -> u32 {
        u32::try_from(self.orders.len()).expect("limited by ORDERS_MAX")
    }

    /// The number of refunds.
    pub fn refunds_len(&self) -> u32 {
        self.orders.refunds_len()
    }

    /// By value, the sums over all orders, before refunds.
    pub fn order_sums(&self) -> &[i64; VALUES_MAX] {
        self.orders.sums()
    }

    /// The number of an order. O(1).
    pub fn order_number(&self, id: &OrderId) -> Option<u32> {
        self.orders.find(id)
    }

    /// The number of the order of a refund, and of the refund. O(1).
    pub fn refund_number(&self, id: &OrderId) -> Option<(u32, u32)> {
        let refund = self.orders.find_refund(id)?;
        Some((self.orders.refund(refund).order, refund))
    }

    /// The order that a refund is of. O(1).
    pub fn order_of_refund(&self, refund: u32) -> u32 {
        self.orders.refund(refund).order
    }

    /// The id of an order.
    pub fn order_id(&self, order: u32) -> Box<str> {
        self.orders.order_id(order)
    }

    /// The periods in which an order is booked, by calendar.
    pub fn order_periods(&self, order: u32) -> impl Iterator<Item = PeriodRef> + '_ {
        self.orders.periods_of(order)
    }

    /// The members that an order is credited to.
    pub fn credited(&self, order: u32) -> impl Iterator<Item = MemberIx> + '_ {
        self.orders.credits_of(order).map(|credit| MemberIx(credit.member))
    }

    /// The number of a customer, and the member to whom it belongs. O(1).
    pub fn customer(&self, id: &OrderId) -> Option<(u32, MemberIx)> {
        let customer = self.orders.find_customer(id)?;
        Some((customer, self.orders.customer_owner(customer)))
    }

    /// The number of a group of orders. O(1).
    pub fn order_group(&self, id: &OrderId) -> Option<u32> {
        self.orders.find_group(id)
    }

    /// An order, by number. O(lines and refunds).
    pub fn order(&self, number: u32) -> OrderView {
        let orders = &self.orders;
        let Order { lsn, time, kind, market, tags, group, lines, values, .. } = *orders.order(number);
        let refunded = orders.refunded(number, |_| true);
        let line = |line: u8| LineView {
            values: (0..values).map(|value| orders.value(number, line, value)).collect(),
            refunded: refunded[usize::from(line)],
        };
        let mut refunds: Vec<RefundView> =
            orders.refunds_of(number).map(|refund| self.refund_view(refund)).collect();
        refunds.reverse();
        let name = |name: u16| Some(name).filter(|name| *name != NO_NAME);
        OrderView {
            number,
            id: orders.order_id(number),
            lsn,
            time,
            credits: orders.credits_of(number).map(|credit| (MemberIx(credit.member), credit.part)).collect(),
            customer: orders.customer_of(number).map(|customer| orders.customer_id(customer)),
            kind: name(kind),
            market: name(market),
            tags,
            group: Some(group).filter(|group| *group != NO_ORDER).map(|group| orders.group_id(group)),
            lines: (0..lines).map(line).collect(),
            periods: orders.periods_of(number).collect(),
            refunds,
        }
    }

    /// What an order would be, placed at the log time `now`: one that is there already is shown as it is. Its
    /// number and LSN are not known yet, and 0.
    ///
    /// # Errors
    /// As placing it.
    pub fn preview_order<D: Directory>(
        &self,
        directory: &D,
        order: &PlaceOrder,
        now: Timestamp,
    ) -> Result<OrderView, Rejection> {
        let new = match self.judge_order(directory, order, now)? {
            AdmittedOrder::Known(number) => return Ok(self.order(number)),
            AdmittedOrder::New(new) => new,
        };
        let text = |id: &Option<OrderId>| id.as_ref().map(|id| id.as_str().into());
        let parts = order.credits.iter().map(|credit| credit.part);
        Ok(OrderView {
            number: 0,
            id: order.id.as_str().into(),
            lsn: 0,
            time: new.time,
            credits: new.members.iter().copied().zip(parts).collect(),
            customer: text(&order.customer),
            kind: order.kind,
            market: order.market,
            tags: order.tags,
            group: text(&order.group),
            lines: new.values_of_lines().map(|line| LineView { values: line.into(), refunded: 0 }).collect(),
            periods: (0..)
                .zip(new.periods())
                .map(|(calendar, period)| PeriodRef { calendar, period: *period })
                .collect(),
            refunds: Vec::new(),
        })
    }

    /// How a refund of this time would act, given at the log time `now`, of an order that is booked in these
    /// periods.
    ///
    /// # Errors
    /// As giving it.
    pub fn preview_refund(
        &self,
        periods: &[PeriodRef],
        [time, now]: [Timestamp; 2],
    ) -> Result<Vec<(PeriodRef, RefundState)>, Rejection> {
        self.orders.acts_of_refund(periods, self.refunds_lower_volume(), [time, now])
    }

    fn refund_view(&self, refund: u32) -> RefundView {
        let row = self.orders.refund(refund);
        RefundView {
            id: self.orders.refund_id(refund),
            lsn: row.lsn,
            time: row.time,
            lines: self.orders.refund_lines(refund).collect(),
            states: self.orders.refund_states(refund).collect(),
        }
    }

    /// Where a list of orders begins; `None` if it is empty. Its places follow the numbers of orders: see
    /// [`OrderWalk`](crate::core::OrderWalk) for the order in which they were placed.
    pub fn first_order(&self, list: OrderList) -> Option<u32> {
        let orders = &self.orders;
        let present = |place: u32| Some(place).filter(|place| *place != NO_ORDER);
        match list {
            OrderList::All => self.orders_len().checked_sub(1),
            OrderList::OfMember(member) => orders.newest_credit(member),
            OrderList::OfCustomer(customer) => present(orders.newest_of_customer(customer)),
            OrderList::OfGroup(group) => present(orders.newest_of_group(group)),
            OrderList::InPeriod(period) => present(orders.newest_booking(period)),
        }
    }

    /// The order at a place of a list, and the next place. `None` for a place that is not in the list.
    pub fn order_at(&self, list: OrderList, place: u32) -> Option<(u32, Option<u32>)> {
        let orders = &self.orders;
        let present = |place: u32| Some(place).filter(|place| *place != NO_ORDER);
        let is_order = (place as usize) < orders.len();
        match list {
            OrderList::All => is_order.then(|| (place, place.checked_sub(1))),
            OrderList::OfMember(member) => {
                let credit = orders.credit(place).filter(|credit| credit.member == member.0)?;
                Some((credit.order, present(credit.before)))
            }
            OrderList::OfCustomer(customer) => {
                let is_in = is_order && orders.order(place).customer == customer;
                is_in.then(|| (place, present(orders.before(place).of_customer)))
            }
            OrderList::OfGroup(group) => {
                let is_in = is_order && orders.order(place).group == group;
                is_in.then(|| (place, present(orders.before(place).of_group)))
            }
            OrderList::InPeriod(period) => {
                let booked = orders.booking(place)?;
                let is_in = (booked.calendar, booked.period) == (period.calendar.into(), period.period);
                is_in.then(|| (booked.order, present(booked.before)))
            }
        }
    }

    /// The periods of a calendar whose volumes may be kept live, newest first.
    pub fn live_periods(&self, calendar: u8) -> impl Iterator<Item = PeriodRef> {
        let newest = self.periods_len(calendar);
        let oldest = newest.saturating_sub(u32::try_from(PERIODS_LIVE).expect("few"));
        (oldest..newest).rev().map(move |period| PeriodRef { calendar, period })
    }

    /// The numbers of the values that are kept live in a period: 0 is the amount, 1 the first volume.
    pub fn live_values_in(&self, period: PeriodRef) -> impl Iterator<Item = u8> + '_ {
        let values = (0..).take(VALUES_MAX);
        values.filter(move |value| self.orders.live().read(period, *value).is_some())
    }

    /// The live sums of a value for a member; `None` if they are not kept. O(log n).
    pub fn live_sums(&self, period: PeriodRef, value: u8, member: MemberIx) -> Option<LiveSums> {
        let live = self.orders.live().read(period, value)?;
        let trees = self.network.volume_trees();
        let along = |tree| {
            let tree = self.network.kept_tree(tree);
            let group = live.group(&trees, tree, member)?;
            Some(LiveAlong { group, levels: live.levels(&trees, tree, member)? })
        };
        Some(LiveSums { own: live.own(member), along: [Tree::Sponsor, Tree::Placement].map(along) })
    }

    /// The live sum of a value for a member and its downline; `None` if it is not kept, or the tree is not
    /// counted. O(log n).
    pub fn live_group(&self, period: PeriodRef, value: u8, tree: Tree, member: MemberIx) -> Option<i64> {
        let live = self.orders.live().read(period, value)?;
        live.group(&self.network.volume_trees(), self.network.kept_tree(tree), member)
    }

    /// The number of periods of a calendar.
    pub fn periods_len(&self, calendar: u8) -> u32 {
        self.orders.periods().of_calendar(calendar)
    }

    /// A period.
    pub fn period(&self, period: PeriodRef) -> Option<&PeriodRow> {
        self.orders.periods().get(period)
    }

    /// The plan version that holds for a period, by which it is run: the newest at its start, or, if it was
    /// opened later than that, when it was opened. A later version holds from the calendar's next period on.
    /// O(plan versions).
    pub fn plan_version_of_period(&self, period: PeriodRef) -> Option<u32> {
        let row = self.period(period)?;
        let holds = |known: &&PlanVersion| known.time <= row.start || known.lsn < row.opened;
        self.plan_versions().list().iter().rev().find(holds).map(|known| known.version)
    }

    /// The period of a calendar with a label. O(1).
    pub fn period_labeled(&self, calendar: u8, label: &str) -> Option<PeriodRef> {
        self.orders.periods().find(calendar, label)
    }

    /// What the company has in a period.
    pub fn period_totals(&self, period: PeriodRef) -> PeriodTotals {
        self.orders.totals(period)
    }

    /// The steps that people took with a period, oldest first.
    pub fn period_steps(&self, period: PeriodRef) -> impl Iterator<Item = &StepRow> + '_ {
        self.orders.steps().list().iter().filter(move |step| step.is_of(period))
    }

    /// The runs of a period with their numbers, oldest first.
    pub fn period_runs(&self, period: PeriodRef) -> impl Iterator<Item = (usize, &RunRow)> + '_ {
        self.orders.runs().list().iter().enumerate().filter(move |(_, run)| run.is_of(period))
    }

    /// The periods of a calendar that are not posted, oldest first, with where each stands.
    pub fn periods_not_posted(&self, calendar: u8) -> impl Iterator<Item = (PeriodRef, PeriodState)> + '_ {
        let periods = (0..self.periods_len(calendar)).map(move |period| PeriodRef { calendar, period });
        periods
            .filter_map(|period| Some((period, self.period(period)?.state())))
            .filter(|(_, state)| !state.is_final())
    }
}
