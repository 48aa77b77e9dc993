//! The past of a demo: customers who bought in four periods that have ended and in the current one, refunds,
//! attributes of members, and what was done with the periods.
//!
//! What happens follows from the seed and the number of orders alone. When it happens follows from the plan's
//! first calendar and the present: the orders of a period are spread evenly over it, those of the current one
//! over what has passed of it. So the sums of a period are the same on every day.
//!
//! Each ended period but the newest of its calendar is locked, run, approved and posted.

use std::{collections::HashSet, ops::Range};

use rand_pcg::{Pcg64, rand_core::RngCore};

use crate::{
    calendars,
    cli::{
        exit::{Exit, Failure},
        network::{Network, part_of},
        open_periods,
    },
    core::{
        Actor, ActorKind, PeriodState,
        command::{
            AttributeChange, Command, Credit, OrderId, OrderLine, PeriodRef, PeriodStep, PlaceOrder,
            RefundOrder, RefundScope, Rejection, SetAttributes, StepPeriod, WHOLE,
        },
        plan::{
            Plan,
            calendar::{Calendar, Late},
            commerce::VolumeForm,
        },
        types::{MemberId, Money, Reason, Timestamp},
    },
    engine::{self, limits::PERIODS_MISSING_MAX},
    shapes::member_id,
};

/// Ended periods of the plan's first calendar that have orders.
const ENDED: usize = 4;
/// How long before the first of those the first member joined.
const JOINING_MICROS: i64 = 365 * 24 * 3_600_000_000;
/// Members who get attributes: more make a demo no more like a company, and take time.
const ATTRIBUTES_MAX: u32 = 10_000;
/// Each so manyth order...
/// ...of a period is one of the one before that comes late,
const LATE_EVERY: u32 = 50;
/// ...is credited to two members,
const SHARED_EVERY: u32 = 20;
/// ...is of a group,
const GROUPED_EVERY: u32 = 10;
/// ...is followed by a refund of an earlier one.
const REFUND_EVERY: u32 = 25;
/// Customers of a member.
const CUSTOMERS: u32 = 3;
/// Amounts, in whole units of the currency.
const AMOUNTS: Range<u32> = 5..150;
/// The part of a period after which the periods before it are looked through and posted.
const LOOKED_THROUGH: u32 = 6;
/// Orders between two looks at progress and interruption.
const LOOK_EVERY: u32 = 256;
/// Keeps these draws apart from those of the network's shape.
const STREAM: u128 = 0x6f72_6465_7273;

/// What a plan says of orders, as far as they are made up.
struct Shop {
    kinds: u32,
    tags: u32,
    markets: usize,
    /// One of the currency, and one of each volume that lines name, in stored units.
    unit: i64,
    volumes: Vec<i64>,
    /// No calendar refuses orders that come late.
    takes_late: bool,
}

impl Shop {
    fn of(plan: &Plan) -> Self {
        let one = |exponent: u8| 10_i64.pow(exponent.into());
        let commerce = &plan.commerce;
        let few = |names: &[Box<str>]| u32::try_from(names.len()).expect("a plan has few names");
        let given = commerce.volumes.iter().filter(|volume| volume.form == VolumeForm::Given);
        Self {
            kinds: few(&commerce.order_kinds),
            tags: few(&commerce.order_tags),
            markets: commerce.markets.len(),
            unit: one(plan.currency.exponent),
            volumes: given.map(|volume| one(volume.exponent)).collect(),
            takes_late: commerce.calendars.iter().all(|calendar| calendar.late == Late::Book),
        }
    }
}

/// When the orders of a demo are placed.
pub(super) struct History {
    /// The ended periods and what has passed of the current one, oldest first.
    periods: Vec<Range<Timestamp>>,
}

/// What was made up.
#[derive(Default)]
pub(super) struct Made {
    pub orders: u32,
    pub refunds: u32,
}

impl History {
    /// Returns the past of a plan that takes orders; `None` of one that takes none.
    ///
    /// # Errors
    /// When a calendar has no period that holds `now`.
    pub fn of(plan: &Plan, now: Timestamp) -> Result<Option<Self>, Failure> {
        let calendars = &plan.commerce.calendars;
        if calendars.is_empty() {
            return Ok(None);
        }
        // Without its first date a calendar begins with the period that holds the present it is given.
        let endless: Vec<Calendar> =
            calendars.iter().map(|calendar| Calendar { first: None, ..calendar.clone() }).collect();
        let mut periods = vec![first_period(&endless, 0, now)?.start..now];
        for _ in 0..ENDED {
            let end = periods[0].start;
            let Some(before) = end.0.checked_sub(1).filter(|before| 0 <= *before) else { break };
            periods.insert(0, first_period(&endless, 0, Timestamp(before))?.start..end);
        }
        // No order can be older than the first period of a calendar that has a first date.
        let mut begins = periods[0].start;
        for (calendar, rules) in (0..).zip(calendars) {
            if rules.first.is_some() {
                begins = begins.max(first_period(calendars, calendar, now)?.start);
            }
        }
        periods.retain(|period| begins < period.end);
        let first = periods.first_mut().ok_or_else(|| {
            Failure::new(Exit::Failed, "a calendar of the plan begins in the future, so there is no past")
        })?;
        first.start = first.start.max(begins);
        Ok(Some(Self { periods }))
    }

    /// When the members of the network join: before the first order.
    pub fn joining(&self) -> Range<Timestamp> {
        let end = self.periods[0].start;
        Timestamp((end.0 - JOINING_MICROS).max(0))..end
    }
}

/// The first period of a calendar that has none yet.
fn first_period(calendars: &[Calendar], calendar: u8, now: Timestamp) -> Result<engine::OpenPeriod, Failure> {
    let found = calendars::missing(calendars, &[], calendar, [now, now], PERIODS_MISSING_MAX);
    let first = found.map(|periods| periods.into_iter().next());
    let why = match first {
        Ok(Some(first)) => return Ok(first),
        Ok(None) => "it begins in the future".to_owned(),
        Err(fault) => fault.to_string(),
    };
    let name = &calendars[usize::from(calendar)].name;
    Err(Failure::new(Exit::Failed, format!("the calendar {name} has no periods that can have orders: {why}")))
}

/// Makes up the past of a network that has members, and no periods yet. `look` is called with the number of
/// orders now and then, and may stop it.
///
/// # Errors
/// When the plan refuses it, and errors of `look`.
pub(super) fn make(
    network: &mut Network,
    history: &History,
    [members, orders]: [u32; 2],
    seed: u64,
    look: &mut dyn FnMut(u32) -> Result<(), Failure>,
) -> Result<Made, Failure> {
    let random = Pcg64::new(u128::from(seed), STREAM);
    let mut maker = Maker { network, members, seed, random, refunded: HashSet::new(), made: Made::default() };
    let periods = u32::try_from(history.periods.len()).expect("five at most");
    for (number, period) in (0..periods).zip(&history.periods) {
        // The first periods have one more, if the number of orders is not a multiple.
        let orders = orders / periods + u32::from(number < orders % periods);
        let before = number.checked_sub(1).map(|before| &history.periods[before as usize]);
        maker.at(period.start)?;
        if number == 0 {
            maker.set_attributes()?;
        }
        for order in 0..=orders {
            if order == orders / LOOKED_THROUGH {
                maker.at(part_of(period, order, orders))?;
                maker.post_ended()?;
            }
            if order == orders {
                break;
            }
            if maker.made.orders.is_multiple_of(LOOK_EVERY) {
                look(maker.made.orders)?;
            }
            maker.at(part_of(period, order, orders))?;
            let is_late = order % LATE_EVERY == LATE_EVERY / 2 && order < orders / LOOKED_THROUGH;
            maker.place(before.filter(|_| is_late))?;
        }
    }
    Ok(maker.made)
}

struct Maker<'n> {
    network: &'n mut Network,
    members: u32,
    seed: u64,
    random: Pcg64,
    /// Numbers of the orders that have a refund.
    refunded: HashSet<u32>,
    made: Made,
}

impl Maker<'_> {
    /// Goes on to a time: opens and closes what is due.
    fn at(&mut self, time: Timestamp) -> Result<(), Failure> {
        self.network.go_on_to(time);
        open_periods::keep(self.network)
    }

    fn apply(&mut self, command: Command) -> Result<(), Failure> {
        let refused = |rejection: Rejection| {
            let message = format!("the plan does not take the orders of a demo: {}", rejection.name());
            Failure::new(Exit::Failed, message)
        };
        self.network.apply(command).map(|_| ()).map_err(refused)
    }

    fn below(&mut self, bound: u32) -> u32 {
        let scaled = u128::from(self.random.next_u64()) * u128::from(bound);
        u32::try_from(scaled >> 64).expect("the high half of the product is below the bound")
    }

    fn is_one_in(&mut self, many: u32) -> bool {
        self.below(many) == 0
    }

    fn member(&mut self) -> u32 {
        self.below(self.members)
    }

    fn id(&self, member: u32) -> MemberId {
        member_id(self.seed, member)
    }

    /// Markets, owners and tags of members, as far as the plan has them.
    fn set_attributes(&mut self) -> Result<(), Failure> {
        let commerce = &self.network.state.plan().commerce;
        let (markets, tags, has_owners) =
            (commerce.markets.len(), commerce.member_tags.len(), commerce.has_owners);
        for member in 0..self.members.min(ATTRIBUTES_MAX) {
            let mut changes = Vec::new();
            if let Some(market) = market_of(member, markets) {
                changes.push(AttributeChange::Market(Some(market)));
            }
            if tags != 0 && self.is_one_in(20) {
                changes.push(AttributeChange::Tag { tag: 0, from: None, until: None, set: true });
            }
            if has_owners && member != 0 && self.is_one_in(50) {
                let owner = self.below(member);
                changes.push(AttributeChange::Owner(Some(self.id(owner))));
            }
            if !changes.is_empty() {
                let set = SetAttributes { member: self.id(member), changes, effective: None };
                self.apply(Command::SetAttributes(Box::new(set)))?;
            }
        }
        Ok(())
    }

    /// Places an order; one that comes late is of the end of `before`. Perhaps an earlier one is refunded.
    fn place(&mut self, before: Option<&Range<Timestamp>>) -> Result<(), Failure> {
        let Shop { kinds, tags, markets, unit, volumes, takes_late } = Shop::of(self.network.state.plan());
        let before = before.filter(|_| takes_late);
        let member = self.member();
        let customer = self.below(CUSTOMERS + 1);
        let mut credits = vec![Credit { member: self.id(member), part: WHOLE }];
        if self.is_one_in(SHARED_EVERY) && 1 < self.members {
            let other = (member + 1 + self.below(self.members - 1)) % self.members;
            credits[0].part = WHOLE / 4 * 3;
            credits.push(Credit { member: self.id(other), part: WHOLE / 4 });
        }
        let lines = (0..=self.below(3)).map(|_| {
            let price = i64::from(AMOUNTS.start + self.below(AMOUNTS.end - AMOUNTS.start));
            // As prices are: 49.95.
            let cents = if unit < 100 { 0 } else { unit / 20 };
            let volumes = volumes.iter().map(|unit| price * 4 / 5 * unit).collect();
            OrderLine { amount: Money(price * unit - cents), volumes }
        });
        let lines = lines.collect();
        let number = self.made.orders;
        let order = PlaceOrder {
            id: name(&format!("demo-{number}")),
            credits,
            customer: (customer != 0).then(|| name(&format!("customer-{member}-{customer}"))),
            time: before.map(|before| Timestamp((before.end.0 - 1).max(before.start.0))),
            kind: (kinds != 0).then(|| u16::try_from(self.below(kinds)).expect("few kinds")),
            // Half of them have a tag.
            tags: Some(self.below(2 * tags)).filter(|tag| *tag < tags).map_or(0, |tag| 1 << tag),
            group: self.is_one_in(GROUPED_EVERY).then(|| name(&format!("party-{}", number / 100))),
            market: market_of(member, markets),
            lines,
        };
        self.apply(Command::PlaceOrder(Box::new(order)))?;
        self.made.orders += 1;
        if self.is_one_in(REFUND_EVERY) { self.refund() } else { Ok(()) }
    }

    /// Refunds an earlier order, if the one that is drawn has no refund yet.
    fn refund(&mut self) -> Result<(), Failure> {
        let order = self.below(self.made.orders);
        let scope = match self.below(3) {
            0 => RefundScope::Part(WHOLE / 2),
            _ => RefundScope::Rest,
        };
        if !self.refunded.insert(order) {
            return Ok(());
        }
        let (id, order) = (name(&format!("demo-{order}-back")), name(&format!("demo-{order}")));
        self.made.refunds += 1;
        self.apply(Command::RefundOrder(Box::new(RefundOrder { id, order, time: None, scope })))
    }

    /// Locks, runs, approves and posts the ended periods of each calendar, but for the newest of them.
    fn post_ended(&mut self) -> Result<(), Failure> {
        let calendars =
            u8::try_from(self.network.state.plan().commerce.calendars.len()).expect("eight at most");
        for calendar in 0..calendars {
            let state = &self.network.state;
            let of = |period| PeriodRef { calendar, period };
            let ended: Vec<PeriodRef> = (0..state.periods_len(calendar))
                .map(of)
                .filter(|period| state.period(*period).is_some_and(|row| row.state() == PeriodState::Closing))
                .collect();
            let Some((_newest, others)) = ended.split_last() else { continue };
            for period in others {
                self.post(*period)?;
            }
        }
        Ok(())
    }

    fn post(&mut self, period: PeriodRef) -> Result<(), Failure> {
        // Two people, as plans may ask for.
        let runner = Actor::new(ActorKind::Service, "demo-finance");
        let approver = Actor::new(ActorKind::Admin, "demo-admin");
        let step = |step, by: &Actor| {
            let reason = Reason::parse("made up by the demo");
            Command::StepPeriod(Box::new(StepPeriod { period, step, reason, by: by.clone() }))
        };
        self.apply(step(PeriodStep::Lock, &approver))?;
        let run = engine::empty_run(&self.network.state, period, runner);
        self.apply(Command::RecordRun(Box::new(run)))?;
        self.apply(step(PeriodStep::Approve, &approver))?;
        self.apply(step(PeriodStep::Post, &approver))
    }
}

/// The market of a member: most are in the first one.
fn market_of(member: u32, markets: usize) -> Option<u16> {
    let last = u16::try_from(markets).ok()?.checked_sub(1)?;
    Some(if member.is_multiple_of(4) { last } else { 0 })
}

fn name(text: &str) -> OrderId {
    OrderId::parse(text).expect("letters, digits and hyphens")
}
