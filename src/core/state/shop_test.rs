//! A small shop, for tests of orders, periods and seals.

use crate::{
    core::{
        PeriodTotals,
        plan::{
            Plan,
            calendar::{Calendar, Every, Grace, Late},
            commerce::{Commerce, Volume, VolumeForm, VolumeOf},
        },
        requests::command::{
            Command, Credit, OpenPeriod, OrderId, OrderLine, Origin, Outcome, PeriodRef, PeriodStep,
            PlaceOrder, PlacementRequest, RecordRun, RefundOrder, RefundScope, Register, Rejection,
            SponsorRef, Stamped, StepPeriod, WHOLE,
        },
        state::{parts::State, prepare::Preparation},
        words::{
            actor::Actor,
            types::{BasisPoints, MemberId, MemberIx, Money, Role, Timestamp, Tree},
        },
    },
    engine::{MemberDirectory, UnsharedDirectory},
};

/// A network with two calendars, `short` with periods of 10 and `long` with periods of 30.
pub(super) struct Shop {
    pub state: State,
    pub directory: MemberDirectory,
    pub time: i64,
}

pub(super) fn calendar(name: &str, late: Late) -> Calendar {
    Calendar {
        name: name.into(),
        every: Every::Month,
        timezone: "UTC".into(),
        grace: Grace::default(),
        late,
        first: None,
        four_eyes: false,
    }
}

pub(super) fn plan(late: Late, refund_lowers_volume: bool) -> Plan {
    let volume = |name: &str, form, live| Volume { name: name.into(), exponent: 2, form, live };
    let percent = VolumeForm::Percent { of: VolumeOf::Volume(0), rate: BasisPoints(7_500) };
    Plan {
        commerce: Commerce {
            calendars: vec![calendar("short", late), calendar("long", Late::Book)],
            volumes: vec![volume("pv", VolumeForm::Given, true), volume("cv", percent, false)],
            live_levels: 7,
            refund_lowers_volume: Some(refund_lowers_volume),
            ..Commerce::default()
        },
        count_sponsor_tree: true,
        ..crate::plan_file::default_plan()
    }
}

pub(super) fn member(number: u8) -> MemberId {
    MemberId([number; 16])
}

pub(super) fn id(text: &str) -> OrderId {
    OrderId::parse(text).unwrap()
}

pub(super) fn line(amount: i64, pv: i64) -> OrderLine {
    OrderLine { amount: Money(amount), volumes: vec![pv] }
}

pub(super) fn order(name: &str, by: u8, time: i64, lines: Vec<OrderLine>) -> PlaceOrder {
    PlaceOrder {
        id: id(name),
        credits: vec![Credit { member: member(by), part: WHOLE }],
        customer: None,
        time: Some(Timestamp(time)),
        kind: None,
        tags: 0,
        group: None,
        market: None,
        lines,
    }
}

pub(super) fn at(calendar: u8, period: u32) -> PeriodRef {
    PeriodRef { calendar, period }
}

impl Shop {
    /// Members 1, 2 below it, 3 below that; the first periods are open, and last until 10 and 30, with as
    /// much grace as `grace`.
    pub fn open(plan: Plan, grace: i64) -> Self {
        let mut shop =
            Self { state: State::new(plan, 7), directory: MemberDirectory::with_capacity(0, 0), time: 0 };
        for (number, sponsor) in [(1, SponsorRef::None), (2, by(1)), (3, by(2))] {
            let register = Register {
                member: member(number),
                sponsor,
                placement: PlacementRequest::PlanDefault,
                code: None,
                role: Role::Member,
                joined_at: None,
                origin: Origin::Signup,
            };
            shop.does(Command::Register(register));
        }
        for period in 0..2 {
            shop.opens(0, period, (i64::from(period) * 10, 10), grace);
        }
        shop.opens(1, 0, (0, 30), grace);
        shop
    }

    pub fn opens(&mut self, calendar: u8, period: u32, (start, length): (i64, i64), grace: i64) {
        let end = start + length;
        self.does(Command::OpenPeriod(OpenPeriod {
            calendar,
            label: id(&format!("p{period}")),
            start: Timestamp(start),
            end: Timestamp(end),
            grace_until: Timestamp(end + grace),
        }));
    }

    pub fn outcome(&mut self, command: Command) -> Outcome {
        let stamped = self.stamped(command);
        self.state.apply(&mut self.directory.write(), &stamped).outcome
    }

    fn stamped(&self, command: Command) -> Stamped {
        Stamped {
            lsn: self.state.lsn() + 1,
            time: Timestamp(self.time),
            key: None,
            actor: Some(Actor::unknown()),
            format: Stamped::FORMAT,
            command,
        }
    }

    /// As `outcome`, with what was prepared for the command.
    pub fn outcome_prepared(&mut self, command: Command, prepared: Preparation) -> Outcome {
        let stamped = self.stamped(command);
        let (applied, _) = self.state.apply_prepared(&mut self.directory.write(), &stamped, Some(prepared));
        applied.outcome
    }

    pub fn does(&mut self, command: Command) -> Outcome {
        let outcome = self.outcome(command);
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        outcome
    }

    pub fn refuses(&mut self, command: Command, why: Rejection) {
        assert_eq!(self.outcome(command), Outcome::Rejected(why));
    }

    pub fn places(&mut self, order: PlaceOrder) -> Outcome {
        self.does(Command::PlaceOrder(Box::new(order)))
    }

    pub fn refunds(&mut self, name: &str, of: &str, scope: RefundScope) -> Outcome {
        let refund = RefundOrder { id: id(name), order: id(of), time: None, scope };
        self.outcome(Command::RefundOrder(Box::new(refund)))
    }

    pub fn steps(&mut self, period: PeriodRef, step: PeriodStep) -> Outcome {
        let step = StepPeriod { period, step, reason: None, by: Actor::unknown() };
        self.outcome(Command::StepPeriod(Box::new(step)))
    }

    pub fn closes(&mut self, period: PeriodRef) {
        self.does(Command::ClosePeriod(period));
    }

    /// Locks a period and makes everything of it final.
    pub fn posts(&mut self, period: PeriodRef) {
        assert!(matches!(self.steps(period, PeriodStep::Lock), Outcome::PeriodStepped { .. }));
        self.does(Command::RecordRun(Box::new(RecordRun {
            period,
            plan_version: 1,
            up_to_lsn: self.state.lsn(),
            lines: 0,
            digest: [0; 32],
            by: Actor::unknown(),
        })));
        for step in [PeriodStep::Approve, PeriodStep::Post] {
            assert!(matches!(self.steps(period, step), Outcome::PeriodStepped { changed: true, .. }));
        }
    }

    /// The sums of the amount, pv and cv in a period.
    pub fn sums(&self, period: PeriodRef) -> [i64; 3] {
        let PeriodTotals { sums, .. } = self.state.period_totals(period);
        [sums[0], sums[1], sums[2]]
    }

    /// Own pv, and the group's in the sponsor tree.
    pub fn pv(&self, period: PeriodRef, number: u8) -> (i64, i64) {
        let trees = self.state.network.volume_trees();
        let volume = self.state.orders.live().read(period, 1).expect("it is kept");
        let member = MemberIx(u32::from(number) - 1);
        (volume.own(member), volume.group(&trees, Tree::Sponsor, member).expect("it is counted"))
    }
}

pub(super) fn by(number: u8) -> SponsorRef {
    SponsorRef::Member(member(number))
}
pub(super) fn restored(state: &State) -> State {
    let mut restore = crate::core::Restore::new(state.image_header()).unwrap();
    let mut directory = UnsharedDirectory::from(MemberDirectory::with_capacity(0, 0));
    for rows in state.image_rows(7) {
        restore.push(&mut directory, rows).unwrap();
    }
    restore.finish().unwrap()
}
