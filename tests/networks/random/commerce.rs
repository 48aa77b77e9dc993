//! Random calendars and volumes, and commands about orders and periods.

use upline::core::{
    Actor, ActorKind,
    command::{
        Command, CommandKind, Credit, LinePart, OpenPeriod, OrderId, OrderLine, PeriodRef, PeriodStep,
        PlaceOrder, RecordRun, RefundOrder, RefundScope, StepPeriod, VALUE_MAX, WHOLE,
    },
    plan::{
        calendar::{Calendar, Every, Grace, Late},
        commerce::{Commerce, Rounding, Volume, VolumeForm, VolumeOf},
    },
    types::{BasisPoints, Money, Reason, Timestamp},
};

use super::{Chance, HOUR, StepMaker};

/// What a plan says about orders: nothing in half of the cases.
pub(super) fn commerce(chance: &mut Chance) -> Commerce {
    if chance.percent(50) { Commerce::default() } else { taking_orders(chance) }
}

fn taking_orders(chance: &mut Chance) -> Commerce {
    let calendars = (0..chance.between(1, 2)).map(|at| calendar(chance, at)).collect();
    let mut volumes = Vec::new();
    for at in 0..chance.between(1, 3) {
        volumes.push(volume(chance, at));
    }
    Commerce {
        calendars,
        volumes,
        amount_live: chance.percent(30),
        live_levels: chance.of_slice(&[1, 2, 7, 15]),
        order_kinds: names(chance, "kind"),
        order_tags: names(chance, "tag"),
        markets: names(chance, "market"),
        has_owners: chance.percent(50),
        member_tags: names(chance, "label"),
        rounding: chance.of_slice(&[Rounding::HalfAway, Rounding::HalfEven, Rounding::Truncate]),
        refund_lowers_volume: Some(chance.percent(50)),
    }
}

/// The commerce of a later plan: its lists only grow.
pub(super) fn continued(chance: &mut Chance, before: &Commerce) -> Commerce {
    let mut commerce = before.clone();
    if commerce.calendars.is_empty() {
        return if chance.percent(20) { self::commerce(chance) } else { commerce };
    }
    if chance.percent(15) && commerce.volumes.len() < 5 {
        let next = volume(chance, commerce.volumes.len() as u64);
        commerce.volumes.push(next);
    }
    if chance.percent(15) && commerce.order_kinds.len() < 5 {
        commerce.order_kinds.push(format!("kind-{}", commerce.order_kinds.len()).into());
    }
    if chance.percent(5) && commerce.calendars.len() < 3 {
        let next = calendar(chance, commerce.calendars.len() as u64);
        commerce.calendars.push(next);
    }
    commerce
}

fn names(chance: &mut Chance, what: &str) -> Vec<Box<str>> {
    (0..chance.below(4)).map(|at| format!("{what}-{at}").into()).collect()
}

fn calendar(chance: &mut Chance, at: u64) -> Calendar {
    Calendar {
        name: format!("calendar-{at}").into(),
        every: chance.of_slice(&[Every::Day, Every::Month]),
        timezone: "UTC".into(),
        grace: Grace { days: chance.below(3) as u16, hours: 0 },
        late: chance.of_slice(&[Late::Book, Late::Book, Late::Refuse]),
        first: None,
        four_eyes: chance.percent(50),
    }
}

fn volume(chance: &mut Chance, at: u64) -> Volume {
    let form = if chance.percent(40) {
        let of = match chance.below(at + 1) {
            0 => VolumeOf::Amount,
            earlier => VolumeOf::Volume(earlier as u8 - 1),
        };
        VolumeForm::Percent { of, rate: BasisPoints(chance.of_slice(&[1, 1_250, 5_000, 7_500, 30_000])) }
    } else {
        VolumeForm::Given
    };
    Volume {
        name: format!("volume-{at}").into(),
        exponent: chance.of_slice(&[0, 2, 2, 4]),
        form,
        live: chance.percent(60),
    }
}

/// How soon periods are posted after they end, in percent.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Steps in which nothing is done though something is due.
    idle: u64,
    /// Acts on a period that is not the oldest.
    later: u64,
    /// Delays of a locked period, in which its refunds wait.
    held: u64,
    /// Steps that seal a period, where one can be sealed.
    seals: u64,
}

impl Pace {
    pub const SLOW: Self = Self { idle: 85, later: 30, held: 60, seals: 8 };
    pub const BRISK: Self = Self { idle: 65, later: 10, held: 5, seals: 8 };
    /// Many short periods, of which most are posted and sealed.
    pub const SHOP: Self = Self { idle: 35, later: 3, held: 2, seals: 30 };
}

/// Lengths of periods: long ones, or there would be more periods than orders; short ones, which end with
/// orders in them.
const LENGTHS: [i64; 8] = [1, HOUR, 2 * HOUR, 2 * HOUR, 10 * HOUR, 36 * HOUR, 36 * HOUR, 9_000 * HOUR];
const GRACES: [i64; 5] = [0, 0, 1, 36 * HOUR, 9_000 * HOUR];
const SHOP_LENGTHS: [i64; 3] = [HOUR, 2 * HOUR, 3 * HOUR];

/// What the plan of a shop says: mostly one calendar, whose periods one person can post.
pub(super) fn commerce_of_shop(chance: &mut Chance) -> Commerce {
    let mut commerce = taking_orders(chance);
    if chance.percent(80) {
        commerce.calendars.truncate(1);
    }
    commerce.calendars.iter_mut().for_each(|calendar| calendar.four_eyes = false);
    commerce
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    Closing,
    Locked,
    Run,
    Approved,
    Posted,
    Sealed,
}

/// What the maker of steps knows of orders and periods.
#[derive(Default)]
pub(super) struct Known {
    /// By calendar, oldest first.
    periods: Vec<Vec<OpenPeriod>>,
    /// By calendar and period: the plan version under which it was opened.
    versions: Vec<Vec<u32>>,
    /// By calendar and period: how far its life has come.
    stages: Vec<Vec<Stage>>,
    orders: Vec<PlaceOrder>,
    refunds: Vec<RefundOrder>,
    /// What was last due.
    due: Option<(CommandKind, u8, Option<PeriodStep>)>,
    /// Ids that were drawn: several orders may be drawn before the first of them is known.
    ids: u64,
}

impl Known {
    pub(super) fn opened(&mut self, period: &OpenPeriod, plan_version: u32) {
        let calendar = usize::from(period.calendar);
        self.periods.resize_with(self.periods.len().max(calendar + 1), Vec::new);
        self.stages.resize_with(self.periods.len(), Vec::new);
        self.versions.resize_with(self.periods.len(), Vec::new);
        self.periods[calendar].push(period.clone());
        self.versions[calendar].push(plan_version);
        self.stages[calendar].push(Stage::Open);
    }

    fn stage(&mut self, period: PeriodRef) -> &mut Stage {
        &mut self.stages[usize::from(period.calendar)][period.period as usize]
    }

    pub(super) fn closed(&mut self, period: PeriodRef) {
        let stage = self.stage(period);
        *stage = Stage::Closing.max(*stage);
    }

    pub(super) fn ran(&mut self, period: PeriodRef) {
        *self.stage(period) = Stage::Run;
    }

    pub(super) fn stepped(&mut self, step: &StepPeriod) {
        *self.stage(step.period) = match step.step {
            PeriodStep::Lock => Stage::Locked,
            PeriodStep::Unlock => Stage::Closing,
            PeriodStep::Approve => Stage::Approved,
            PeriodStep::Post => Stage::Posted,
            PeriodStep::Seal => Stage::Sealed,
        };
    }

    pub(super) fn sealed(&mut self, period: PeriodRef) {
        *self.stage(period) = Stage::Sealed;
    }

    /// A posted period that can be sealed.
    pub(super) fn next_to_seal(&self) -> Option<PeriodRef> {
        let of_calendar = |(calendar, stages): (u8, &Vec<Stage>)| {
            let next = stages.iter().position(|stage| *stage != Stage::Sealed)?;
            let is_posted = stages[next] == Stage::Posted;
            is_posted.then_some(PeriodRef { calendar, period: next as u32 })
        };
        (0..).zip(&self.stages).find_map(of_calendar)
    }

    pub(super) fn has_no_orders(&self) -> bool {
        self.orders.is_empty()
    }

    /// The oldest period that is not posted.
    fn oldest(&self, calendar: u8) -> u32 {
        let stages = self.stages.get(usize::from(calendar)).map_or(&[][..], Vec::as_slice);
        stages.iter().filter(|stage| Stage::Posted <= **stage).count() as u32
    }

    pub(super) fn placed(&mut self, order: &PlaceOrder) {
        self.orders.push(order.clone());
    }

    pub(super) fn refunded(&mut self, refund: &RefundOrder) {
        self.refunds.push(refund.clone());
    }
}

impl StepMaker {
    /// One of the plan's calendars; rarely another.
    fn calendar(&mut self) -> u8 {
        let calendars = self.plan.commerce.calendars.len() as u64;
        let calendar = if self.chance.percent(3) { calendars } else { self.chance.below(calendars.max(1)) };
        calendar as u8
    }

    /// What is due, mostly once: its outcome may still be on its way.
    pub(super) fn due(&mut self) -> Option<Command> {
        let due = self.due_now()?;
        let what = match &due {
            Command::OpenPeriod(period) => (due.kind(), period.calendar, None),
            Command::StepPeriod(step) => (due.kind(), step.period.calendar, Some(step.step)),
            Command::ClosePeriod(period) => (due.kind(), period.calendar, None),
            _ => (due.kind(), 0, None),
        };
        let is_again = self.known.due == Some(what);
        self.known.due = Some(what);
        (!is_again || self.chance.percent(20)).then_some(due)
    }

    /// The next period of a calendar that has none for the present, or the next step in the life of its
    /// oldest one.
    pub(super) fn due_now(&mut self) -> Option<Command> {
        let calendars = 0..self.plan.commerce.calendars.len() as u8;
        let is_behind = |calendar: &u8| {
            let newest = self.known.periods.get(usize::from(*calendar)).and_then(|periods| periods.last());
            newest.is_none_or(|newest| newest.end.0 <= self.time)
        };
        let behind = calendars.clone().find(is_behind);
        if let Some(calendar) = behind.filter(|_| self.chance.percent(if self.shop { 95 } else { 75 })) {
            return Some(Command::OpenPeriod(self.period_of(calendar)));
        }
        if self.seals.is_possible()
            && self.known.next_to_seal().is_some()
            && self.chance.percent(self.pace.seals)
        {
            return Some(Command::SealPeriod(Box::new(self.seal())));
        }
        if self.chance.percent(self.pace.idle) {
            return None;
        }
        let calendar = self.chance.below(u64::from(calendars.end)) as u8;
        let later = u32::from(self.chance.percent(self.pace.later));
        let period = PeriodRef { calendar, period: self.known.oldest(calendar) + later };
        let row = self.known.periods.get(usize::from(calendar))?.get(period.period as usize)?;
        if self.time < row.end.0 {
            return None;
        }
        let stage = *self.known.stage(period);
        // Refunds of a locked period wait.
        if Stage::Locked <= stage && self.chance.percent(self.pace.held) {
            return None;
        }
        let step = match stage {
            Stage::Open => return Some(Command::ClosePeriod(period)),
            Stage::Locked => {
                return Some(Command::RecordRun(Box::new(self.run_of(period))));
            }
            Stage::Closing => PeriodStep::Lock,
            Stage::Run => PeriodStep::Approve,
            Stage::Approved | Stage::Posted | Stage::Sealed => PeriodStep::Post,
        };
        Some(Command::StepPeriod(Box::new(StepPeriod { period, step, ..self.step_of_period() })))
    }

    pub(super) fn next_period(&mut self) -> OpenPeriod {
        let calendar = self.calendar();
        self.period_of(calendar)
    }

    /// Mostly the one after the newest period, around the present.
    fn period_of(&mut self, calendar: u8) -> OpenPeriod {
        let known = self.known.periods.get(usize::from(calendar)).map_or(&[][..], Vec::as_slice);
        let last = known.last().cloned();
        let number = known.len();
        let start = last
            .as_ref()
            .map_or(self.time - self.chance.of_slice(&[0, 1, HOUR, 50 * HOUR]), |last| last.end.0);
        let (lengths, graces) =
            if self.shop { (&SHOP_LENGTHS[..], &[0][..]) } else { (&LENGTHS[..], &GRACES[..]) };
        let from = if self.chance.percent(80) { start.max(self.time) } else { start };
        let end = from + self.chance.of_slice(lengths);
        let grace = end + self.chance.of_slice(graces);
        let grace = last.as_ref().map_or(grace, |last| grace.max(last.grace_until.0));
        let mut period = OpenPeriod {
            calendar,
            label: id('p', number as u64),
            start: Timestamp(start),
            end: Timestamp(end),
            grace_until: Timestamp(grace),
        };
        match self.chance.below(40) {
            0 => period.start.0 += 1,
            1 => period.start.0 -= 1,
            2 => period.end = period.start,
            3 => period.grace_until.0 = period.end.0 - 1,
            4 => period.label = id('p', self.chance.below(number as u64 + 1)),
            5 => period.grace_until.0 = last.map_or(0, |last| last.grace_until.0 - 1),
            _ => {}
        }
        period
    }

    /// Mostly the oldest that is not posted, or one near it.
    pub(super) fn period(&mut self) -> PeriodRef {
        let calendar = self.calendar();
        let oldest = self.known.oldest(calendar);
        let period = match self.chance.below(20) {
            0 => oldest + 5,
            1..=2 => oldest.saturating_sub(1),
            3..=6 => oldest + 1,
            _ => oldest,
        };
        PeriodRef { calendar, period }
    }

    pub(super) fn step_of_period(&mut self) -> StepPeriod {
        use PeriodStep::{Approve, Lock, Post, Unlock};
        StepPeriod {
            period: self.period(),
            step: self.chance.of_slice(&[Lock, Lock, Lock, Unlock, Approve, Approve, Post, Post, Post]),
            reason: if self.chance.percent(50) { Reason::parse("as it fell") } else { None },
            by: self.operator(),
        }
    }

    /// One of two people.
    pub(super) fn operator(&mut self) -> Actor {
        Actor::new(ActorKind::Admin, self.chance.of_slice(&["ann", "bob"]))
    }

    pub(super) fn run(&mut self) -> RecordRun {
        let period = self.period();
        self.run_of(period)
    }

    fn run_of(&mut self, period: PeriodRef) -> RecordRun {
        let versions = self.known.versions.get(usize::from(period.calendar));
        let version = versions.and_then(|versions| versions.get(period.period as usize)).copied();
        let plan_version = match self.chance.below(20) {
            0 => self.plan_version + 1,
            1 => 0,
            2..=3 => self.plan_version,
            _ => version.unwrap_or(1),
        };
        let ahead = if self.chance.percent(5) { 1_000 } else { 0 };
        RecordRun {
            period,
            plan_version,
            up_to_lsn: (self.lsn + ahead).saturating_sub(self.chance.below(3)),
            lines: self.chance.below(3),
            digest: [self.chance.below(256) as u8; 32],
            by: self.operator(),
        }
    }

    /// At the present, or a while ago, or where a period begins or ends.
    pub(super) fn order_time(&mut self) -> Option<Timestamp> {
        if self.chance.percent(60) {
            return None;
        }
        let calendar = self.calendar();
        let ends: Vec<i64> = (self.known.periods.get(usize::from(calendar)).into_iter().flatten())
            .flat_map(|period| [period.start.0, period.end.0])
            .collect();
        let ago = [0, 1, HOUR, 40 * HOUR, 9_001 * HOUR];
        Some(Timestamp(if ends.is_empty() || self.chance.percent(40) {
            self.time - self.chance.of_slice(&ago)
        } else {
            self.chance.of_slice(&ends) - i64::from(self.chance.percent(30))
        }))
    }

    /// One that was not there before; rarely one that was.
    fn order_or_refund_id(&mut self, letter: char) -> OrderId {
        self.known.ids += 1;
        let fresh = id(letter, self.known.ids);
        match self.chance.below(20) {
            0 if !self.known.orders.is_empty() => self.chance.of_slice(&self.known.orders).id,
            1 if !self.known.refunds.is_empty() => self.chance.of_slice(&self.known.refunds).id,
            _ => fresh,
        }
    }

    pub(super) fn order(&mut self) -> PlaceOrder {
        if !self.known.orders.is_empty() && self.chance.percent(6) {
            return self.chance.of_slice(&self.known.orders);
        }
        let kinds = self.plan.commerce.order_kinds.len();
        let tags = self.plan.commerce.order_tags.len() as u64;
        let markets = self.plan.commerce.markets.len();
        let customer = if self.chance.percent(50) { Some(id('c', self.chance.below(6))) } else { None };
        let mut credits = self.credits();
        // Mostly the member to whom the customer belongs.
        let first = self.known.orders.iter().find(|order| order.customer == customer);
        if customer.is_some()
            && let Some(first) = first
            && self.chance.percent(80)
        {
            let owner = first.credits[0].member;
            credits.retain(|credit| credit.member != owner);
            credits.truncate(1);
            credits.insert(0, Credit { member: owner, part: WHOLE });
            if let [owner, other] = &mut credits[..] {
                (owner.part, other.part) = (WHOLE / 3, WHOLE - WHOLE / 3);
            }
        }
        PlaceOrder {
            id: self.order_or_refund_id('o'),
            credits,
            customer,
            time: self.order_time(),
            kind: self.position(kinds, 2),
            tags: self.chance.next() & ((1 << tags) - 1) | u64::from(self.chance.percent(2)) << tags,
            group: if self.chance.percent(30) { Some(id('g', self.chance.below(3))) } else { None },
            market: self.position(markets, 50),
            lines: (0..self.chance.between(1, 3)).map(|_| self.order_line()).collect(),
        }
    }

    /// The position of a name; `none` percent have none, and rarely one that is not there.
    pub(super) fn position(&mut self, names: usize, none: u64) -> Option<u16> {
        if self.chance.percent(2) {
            return Some(names as u16);
        }
        (names != 0 && !self.chance.percent(none)).then(|| self.chance.below(names as u64) as u16)
    }

    fn credits(&mut self) -> Vec<Credit> {
        let parts: &[u32] = match self.chance.below(50) {
            0 => &[WHOLE - 1],
            1 => &[WHOLE, 0],
            2..=6 => &[WHOLE / 2, WHOLE / 2],
            7..=13 => &[333_333_333, 333_333_333, 333_333_334],
            14 => &[WHOLE - 1, 1],
            _ => &[WHOLE],
        };
        parts.iter().map(|part| Credit { member: self.somebody(), part: *part }).collect()
    }

    fn order_line(&mut self) -> OrderLine {
        let given = |volume: &&Volume| volume.form == VolumeForm::Given;
        let mut volumes = self.plan.commerce.volumes.iter().filter(given).count();
        match self.chance.below(100) {
            0 => volumes += 1,
            1..=5 => volumes = volumes.saturating_sub(1),
            _ => {}
        }
        OrderLine {
            amount: Money(self.line_value()),
            volumes: (0..volumes).map(|_| self.line_value()).collect(),
        }
    }

    fn line_value(&mut self) -> i64 {
        match self.chance.below(500) {
            0 => VALUE_MAX,
            1 => VALUE_MAX + 1,
            2 => -1,
            _ => self.chance.of_slice(&[0, 1, 5, 33, 100, 1_000, 12_345]),
        }
    }

    pub(super) fn refund(&mut self) -> RefundOrder {
        if !self.known.refunds.is_empty() && self.chance.percent(6) {
            return self.chance.of_slice(&self.known.refunds);
        }
        let bad = if self.chance.percent(15) { [0, WHOLE + 1] } else { [WHOLE / 7, 1] };
        let parts = [WHOLE / 2, WHOLE / 4, WHOLE / 3, 1, WHOLE / 10, WHOLE, bad[0], bad[1]];
        let scope = match self.chance.below(10) {
            0 => RefundScope::Rest,
            2..=4 => RefundScope::Part(self.chance.of_slice(&parts)),
            _ => {
                let mut lines: Vec<LinePart> = (0..3)
                    .filter_map(|line| {
                        let part = self.chance.of_slice(&parts);
                        let part = if self.chance.percent(80) { Some(part) } else { None };
                        self.chance.percent(60).then_some(LinePart { line, part })
                    })
                    .collect();
                if self.chance.percent(5) {
                    lines.reverse();
                }
                RefundScope::Lines(lines)
            }
        };
        let orders = self.known.orders.len() as u64;
        // Often one of the newest.
        let among = if self.chance.percent(50) { orders.min(4) } else { orders };
        let back = self.chance.below(among.max(1));
        let order = match (orders.checked_sub(1 + back), self.chance.percent(4)) {
            (Some(order), false) => self.known.orders[order as usize].id.clone(),
            _ => id('x', 0),
        };
        let order = self.refunded_before_a_seal().unwrap_or(order);
        RefundOrder { id: self.order_or_refund_id('r'), order, time: self.order_time(), scope }
    }
}

fn id(letter: char, number: u64) -> OrderId {
    OrderId::parse(&format!("{letter}{number}")).expect("a letter and digits")
}
