//! Random plans and random steps. The same seed always gives the same ones; numbers are small, so that limits
//! and collisions are hit.

mod attributes;
mod commerce;
mod drawn;
mod opening;
mod seals;

use super::{naive::Naive, picture::Network};
use upline::core::{
    Actor,
    command::{
        Carried, Command, CommandKind, ImportEntry, Origin, Outcome, PayFilter, PeriodRef, PlacementRequest,
        Register, RequestKey, SponsorRef, Stamped, TriggerBonus,
    },
    plan::{
        BonusRule, Currency, LevelPay, Placement, PlacementRule, Plan, RankBasis, RankRule, RankStep,
        commerce::Commerce,
    },
    types::{
        BasisPoints, Code, EntryStatus, MemberId, Money, Reason, Reference, Role, Status, Timestamp, Tree,
    },
};

const HOUR: i64 = 3_600_000_000;

/// Splitmix64: random enough for a test, and independent of package versions.
pub struct Chance(u64);

impl Chance {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// `0..end`
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn of_slice<T: Clone>(&mut self, slice: &[T]) -> T {
        slice[self.below(slice.len() as u64) as usize].clone()
    }
}

// --- plans

const TRIGGERS: [&str; 4] = ["referral", "purchase", "welcome", "gift"];

pub fn plan(chance: &mut Chance) -> Plan {
    let takes = commerce::commerce(chance);
    plan_with(chance, takes)
}

/// The plan of a network that is mostly orders, and periods that end soon.
pub fn plan_of_shop(chance: &mut Chance) -> Plan {
    let takes = commerce::commerce_of_shop(chance);
    plan_with(chance, takes)
}

fn plan_with(chance: &mut Chance, commerce: Commerce) -> Plan {
    let placement = placement(chance);
    let level_cap = chance.of_slice(&[1, 2, 3, 5, 15]);
    let level_fill = chance.percent(40);
    let plan = Plan {
        name: "random".into(),
        currency: Currency { code: *b"EUR", exponent: 2 },
        placement,
        count_sponsor_tree: true,
        level_cap,
        bonuses: bonuses(chance, level_cap),
        commerce,
        ranks: if level_fill { level_fill_ranks(chance, level_cap, 0) } else { threshold_ranks(chance, 0) },
    };
    without_needless_counts(chance, plan)
}

/// Disables counting of the sponsor tree half the time, where the ranks allow it.
fn without_needless_counts(chance: &mut Chance, mut plan: Plan) -> Plan {
    let keeps_volumes = plan.commerce.amount_live || plan.commerce.volumes.iter().any(|volume| volume.live);
    if chance.percent(50) {
        plan.count_sponsor_tree = false;
        let is_needed = keeps_volumes && !plan.placement.trees_coincide();
        plan.count_sponsor_tree = is_needed || plan.validate().is_err();
    }
    plan.validate().expect("random plans are valid");
    plan
}

fn placement(chance: &mut Chance) -> Placement {
    let strategic = chance.percent(50);
    if chance.percent(20) {
        return Placement {
            width: None,
            default_rule: PlacementRule::Unilevel,
            other_rules: Vec::new(),
            strategic,
        };
    }
    let width = chance.of_slice(&[1, 2, 2, 2, 3, 4]);
    let fits = |rule: &PlacementRule| *rule != PlacementRule::Unilevel && (width == 2 || !rule.is_binary());
    let mut rules: Vec<PlacementRule> = PlacementRule::ALL.into_iter().filter(fits).collect();
    let default_rule = chance.of_slice(&rules);
    let share = chance.of_slice(&[0, 50, 100]);
    rules.retain(|rule| *rule != default_rule && chance.percent(share));
    Placement { width: Some(width), default_rule, other_rules: rules, strategic }
}

fn tree(chance: &mut Chance) -> Tree {
    chance.of_slice(&[Tree::Sponsor, Tree::Placement])
}

fn bonuses(chance: &mut Chance, level_cap: u8) -> Vec<BonusRule> {
    let mut rules = Vec::new();
    for trigger in TRIGGERS {
        if chance.percent(40) {
            continue;
        }
        let levels = chance.between(1, u64::from(level_cap.min(4)));
        let fixed = chance.percent(60);
        let pay = if fixed {
            LevelPay::Fixed((0..levels).map(|_| Money(chance.of_slice(&[0, 1, 250, 1_000]))).collect())
        } else {
            LevelPay::Share(
                (0..levels).map(|_| BasisPoints(chance.of_slice(&[0, 33, 500, 10_000, 100_000]))).collect(),
            )
        };
        rules.push(BonusRule {
            trigger: trigger.into(),
            tree: tree(chance),
            pay,
            on_registration: fixed && chance.percent(50),
            admins_beyond: chance.percent(50),
        });
    }
    rules
}

fn reward(chance: &mut Chance) -> Option<Money> {
    chance.of_slice(&[None, Some(Money(0)), Some(Money(500)), Some(Money(700))])
}

fn threshold_ranks(chance: &mut Chance, steps_min: usize) -> RankRule {
    let steps = chance.between(steps_min as u64, 6.max(steps_min as u64));
    let mut minimum = 0;
    let mut step = |at| {
        minimum += chance.between(1, 4) as u32;
        RankStep { name: format!("Rank {at}").into(), minimum, reward: reward(chance) }
    };
    let steps = (0..steps).map(&mut step).collect();
    RankRule::Thresholds {
        tree: tree(chance),
        basis: chance.of_slice(&[RankBasis::Direct, RankBasis::Downline]),
        steps,
    }
}

fn level_fill_ranks(chance: &mut Chance, level_cap: u8, steps_min: usize) -> RankRule {
    let steps = chance.between(steps_min as u64, u64::from(level_cap).min(5).max(steps_min as u64));
    let mut step = |at| RankStep {
        name: format!("Level {at}").into(),
        minimum: chance.between(1, 3) as u32,
        reward: reward(chance),
    };
    let mut steps: Vec<RankStep> = (0..steps).map(&mut step).collect();
    // Rank 1 is held from the start: a plan with a reward for it is not valid.
    steps.first_mut().into_iter().for_each(|first| first.reward = None);
    RankRule::LevelFill { tree: tree(chance), steps }
}

/// Returns a plan to change to: mostly a valid successor of `before`, sometimes not.
fn changed_plan(chance: &mut Chance, before: &Plan) -> Plan {
    if chance.percent(10) {
        return before.clone();
    }
    if chance.percent(15) {
        let other = Plan { commerce: before.commerce.clone(), count_sponsor_tree: true, ..plan(chance) };
        return without_needless_counts(chance, other);
    }
    let steps_min = if chance.percent(10) { 0 } else { before.ranks.steps().len() };
    let (level_cap, ranks) = match before.ranks {
        RankRule::Thresholds { .. } => {
            (chance.of_slice(&[1, 2, 3, 5, 15]), threshold_ranks(chance, steps_min))
        }
        RankRule::LevelFill { .. } => {
            let level_cap = chance.between((steps_min as u64).max(1), 15) as u8;
            (level_cap, level_fill_ranks(chance, level_cap, steps_min))
        }
    };
    let bonuses = bonuses(chance, level_cap);
    let commerce = commerce::continued(chance, &before.commerce);
    let mut plan = Plan { level_cap, bonuses, ranks, commerce, count_sponsor_tree: true, ..before.clone() };
    if chance.percent(10) {
        plan.currency.code = *b"USD";
    }
    without_needless_counts(chance, plan)
}

// --- steps

/// One command and its time.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    pub command: Command,
    pub key: Option<RequestKey>,
    /// Microseconds since the previous step.
    pub pause: i64,
    /// For a signup: name the sponsor by the code of this member, whatever that is.
    pub by_code_of: Option<MemberId>,
}

impl Step {
    /// Returns the command, with the sponsor named by code where the step requires it.
    pub fn command(&self, code_of: impl Fn(&MemberId) -> Option<Code>) -> Command {
        let mut command = self.command.clone();
        if let (Command::Register(Register { sponsor, .. }), Some(id)) = (&mut command, &self.by_code_of)
            && let Some(code) = code_of(id)
        {
            *sponsor = SponsorRef::Code(code);
        }
        command
    }
}

/// A plan and the steps under it.
pub struct Scenario {
    pub plan: Plan,
    pub steps: Vec<Step>,
}

pub fn scenario(seed: u64, steps: usize) -> Scenario {
    scenario_of(seed, steps, false)
}

/// One whose steps are mostly orders, and periods that end soon.
pub fn scenario_of_shop(seed: u64, steps: usize) -> Scenario {
    scenario_of(seed, steps, true)
}

fn scenario_of(seed: u64, steps: usize, shop: bool) -> Scenario {
    let mut chance = Chance::of(seed);
    let first = if shop { plan_of_shop(&mut chance) } else { plan(&mut chance) };
    let mut maker = StepMaker::new(chance, first.clone(), shop);
    // Applies the steps as they are generated, so that most of the next ones are meaningful.
    let mut model = Naive::new(first.clone());
    let (mut time, mut made) = (0, Vec::with_capacity(steps));
    for lsn in 1..=steps as u64 {
        let step = maker.step();
        time += step.pause;
        let command = step.command(|id| model.code_of(id));
        let applied = model.apply(&Stamped {
            lsn,
            time: Timestamp(time),
            key: step.key,
            actor: Some(Actor::unknown()),
            format: Stamped::FORMAT,
            command,
        });
        if applied.lsn == lsn {
            maker.learn(&step.command, applied.outcome);
        }
        maker.entries = model.entries();
        if maker.has_posted() {
            maker.show_files(model.files());
        }
        made.push(step);
    }
    Scenario { plan: first, steps: made }
}

/// Generates steps one by one, given their outcomes.
pub struct StepMaker {
    chance: Chance,
    /// Members that joined.
    ids: Vec<MemberId>,
    /// Length of the ledger.
    pub entries: u64,
    /// Reversals, what they reverse, and what was held, released or voided.
    halves: Vec<u64>,
    keys: u64,
    /// The plan in force.
    plan: Plan,
    plan_version: u32,
    /// Log time, and the newest LSN, by the steps so far.
    pub time: i64,
    pub lsn: u64,
    known: commerce::Known,
    opening: opening::Known,
    seals: seals::Seals,
    /// Whether many signups are imports.
    imports: bool,
    /// Whether the newest member is often the next sponsor, so that the trees get deep.
    chains: bool,
    /// How soon periods are posted after they end.
    pace: commerce::Pace,
    /// Whether most commands are about orders.
    shop: bool,
}

impl StepMaker {
    /// For a network that starts with `plan`, that of a shop or another.
    pub fn new(mut chance: Chance, plan: Plan, shop: bool) -> Self {
        let (imports, chains, brisk) = (chance.percent(20), chance.percent(30), chance.percent(60));
        let pace = match (shop, brisk) {
            (true, _) => commerce::Pace::SHOP,
            (false, true) => commerce::Pace::BRISK,
            (false, false) => commerce::Pace::SLOW,
        };
        let (ids, halves) = (Vec::new(), Vec::new());
        let (known, opening) = (commerce::Known::default(), opening::Known::default());
        let (plan_version, time, lsn) = (1, 0, 0);
        Self {
            chance,
            ids,
            entries: 0,
            halves,
            keys: 0,
            plan,
            plan_version,
            time,
            lsn,
            known,
            opening,
            seals: seals::Seals::default(),
            imports,
            chains,
            pace,
            shop,
        }
    }

    pub fn step(&mut self) -> Step {
        let mut pause = self.chance.of_slice(&[
            0,
            0,
            1,
            1_000_000,
            3_600_000_000,
            3_600_000_001,
            36 * 3_600_000_000,
            9_000 * 3_600_000_000,
        ]);
        // Orders and refunds need periods that last.
        if self.plan.commerce.takes_orders() && self.chance.percent(90) {
            pause = pause.min(HOUR / 3);
        }
        self.time += pause;
        let command = self.command();
        let key = self.key();
        self.lsn += 1;
        let by_code = matches!(&command, Command::Register(Register { sponsor: SponsorRef::Member(_), .. }))
            && self.chance.percent(15);
        let by_code_of = if by_code { Some(self.somebody()) } else { None };
        Step { command, key, pause, by_code_of }
    }

    /// Records the outcome of a command that was not a repeat.
    pub fn learn(&mut self, command: &Command, outcome: Outcome) {
        match (outcome, command) {
            (Outcome::Registered { .. }, Command::Register(register)) => self.ids.push(register.member),
            (Outcome::PlanActivated { version }, Command::PutPlan(plan)) => {
                (self.plan, self.plan_version) = (Plan::clone(plan), version);
            }
            (Outcome::OrderPlaced { changed: true, .. }, Command::PlaceOrder(order)) => {
                self.known.placed(order);
            }
            (Outcome::OrderRefunded { changed: true, .. }, Command::RefundOrder(refund)) => {
                self.known.refunded(refund);
            }
            (Outcome::PeriodOpened { .. }, Command::OpenPeriod(period)) => {
                self.known.opened(period, self.plan_version);
            }
            (Outcome::PeriodClosing { .. }, Command::ClosePeriod(period)) => self.known.closed(*period),
            (Outcome::RunRecorded { .. }, Command::RecordRun(run)) => self.known.ran(run.period),
            (Outcome::PeriodStepped { changed: true, .. }, Command::StepPeriod(step)) => {
                self.known.stepped(step);
            }
            (Outcome::PeriodSealed { changed: true, .. }, Command::SealPeriod(seal)) => {
                self.known.sealed(seal.period);
                self.seals.sealed();
            }
            (Outcome::OrderRecalled { changed: true, .. }, Command::RecallOrder(order)) => {
                self.seals.recalled(order);
            }
            (Outcome::OpeningAdded { .. }, Command::AddOpening(add)) => self.opening_added(add),
            (Outcome::OpeningClosed { .. }, Command::CloseOpening(_)) => self.opening_closed(),
            (Outcome::Reversed { entry, reversal, .. }, _) => self.halves.extend([entry, reversal]),
            (Outcome::EntryChanged { entry, changed: true }, _) => self.halves.push(entry),
            _ => {}
        }
    }

    /// Whether most commands are about orders.
    pub fn is_shop(&self) -> bool {
        self.shop
    }

    /// What is due in a shop, which does not wait for its orders.
    pub fn due_in_shop(&mut self) -> Option<Command> {
        let takes_orders = self.shop && self.plan.commerce.takes_orders();
        if takes_orders { self.due_now() } else { None }
    }

    /// The next period to seal, or rarely another one.
    pub fn next_seal(&mut self) -> Option<PeriodRef> {
        let next = self.known.next_to_seal()?;
        Some(if self.chance.percent(5) { self.period() } else { next })
    }

    /// Who acts, and why.
    pub fn acts(&mut self) -> (Actor, Option<Reason>) {
        let reason = if self.chance.percent(50) { Reason::parse("as it fell") } else { None };
        (self.operator(), reason)
    }

    fn key(&mut self) -> Option<RequestKey> {
        if self.chance.percent(75) {
            return None;
        }
        if self.chance.percent(60) {
            self.keys += 1;
        }
        let number = self.keys - self.chance.below(self.keys.min(4) + 1);
        let mut key = [7; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        Some(RequestKey { key, fingerprint: u64::from(self.chance.percent(10)) })
    }

    fn command(&mut self) -> Command {
        let takes_orders = self.plan.commerce.takes_orders();
        if takes_orders && let Some(due) = self.due() {
            return due;
        }
        if self.is_opening_unfinished() && self.chance.percent(10) {
            return Command::CloseOpening(Box::new(self.close_opening()));
        }
        let seals = self.seals.is_possible();
        let orders = self.shop;
        let weight = |kind| match kind {
            CommandKind::PlaceOrder | CommandKind::RefundOrder if takes_orders && orders => 300,
            kind => drawn::weight(kind, takes_orders, seals),
        };
        let mut place = self.chance.below(CommandKind::ALL.into_iter().map(weight).sum());
        let kind = CommandKind::ALL.into_iter().find(|kind| match place.checked_sub(weight(*kind)) {
            None => true,
            Some(rest) => {
                place = rest;
                false
            }
        });
        let kind = kind.expect("the place is below the sum of the weights");
        let is_early = kind == CommandKind::RefundOrder && self.known.has_no_orders();
        let kind = if is_early { CommandKind::PlaceOrder } else { kind };
        // An order needs a member.
        let is_early = kind == CommandKind::PlaceOrder && self.ids.is_empty() && takes_orders;
        let is_early = is_early && !self.chance.percent(10);
        self.drawn(if is_early { CommandKind::Register } else { kind })
    }

    /// Returns any entry, or often one half of a reversal or one that changed before.
    fn entry(&mut self) -> u64 {
        if self.halves.is_empty() || self.chance.percent(70) {
            self.chance.below(self.entries + 2)
        } else {
            self.chance.of_slice(&self.halves)
        }
    }

    /// Returns the name of a trigger, of the plan or not; sometimes an invalid one.
    fn trigger_name(&mut self) -> Box<str> {
        let other = format!("of-old-{}", self.chance.below(14));
        let names = [TRIGGERS[0], TRIGGERS[1], TRIGGERS[2], &other, "registration", "a b"];
        self.chance.of_slice(&names).into()
    }

    fn reference(&mut self) -> Option<Reference> {
        if self.chance.percent(70) {
            None
        } else {
            Reference::parse(&format!("order {}", self.chance.below(12)))
        }
    }

    fn pay_filter(&mut self) -> PayFilter {
        let time = |chance: &mut Chance| Timestamp(chance.below(1_000_000) as i64);
        let mut filter = PayFilter::default();
        if self.chance.percent(50) {
            filter.up_to_lsn = Some(self.chance.below(self.entries + 50));
        }
        if self.chance.percent(30) {
            filter.kind = Some(
                self.chance
                    .of_slice(&[
                        "referral",
                        "registration",
                        "rank:1",
                        "purchase",
                        "of-old-3",
                        "rank:02",
                        "never",
                    ])
                    .into(),
            );
        }
        if self.chance.percent(30) {
            filter.receiver = Some(self.somebody());
        }
        if self.chance.percent(20) {
            filter.from = Some(time(&mut self.chance));
        }
        if self.chance.percent(20) {
            filter.until = Some(time(&mut self.chance));
        }
        filter
    }

    /// Returns mostly an existing member, occasionally an unknown one.
    fn somebody(&mut self) -> MemberId {
        if self.ids.is_empty() || self.chance.percent(3) {
            MemberId([0xEE; 16])
        } else {
            self.chance.of_slice(&self.ids)
        }
    }

    fn new_id(&mut self) -> MemberId {
        if !self.ids.is_empty() && self.chance.percent(3) {
            return self.somebody();
        }
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.chance.next().to_le_bytes());
        id[8..].copy_from_slice(&(self.ids.len() as u64).to_be_bytes());
        MemberId(id)
    }

    fn register(&mut self) -> Register {
        let member = self.new_id();
        let sponsor = match self.chance.below(100) {
            _ if self.ids.is_empty() => SponsorRef::None,
            0..=2 => SponsorRef::None,
            3..=7 => SponsorRef::Code(self.code()),
            8..=19 if self.imports => SponsorRef::Code(self.code()),
            8..=49 if self.chains => SponsorRef::Member(self.ids[self.ids.len() - 1]),
            // Few sponsors for many, so that there is spillover.
            8..=59 => SponsorRef::Member(self.ids[self.chance.below(self.ids.len().min(4) as u64) as usize]),
            _ => SponsorRef::Member(self.somebody()),
        };
        let origin = if self.chance.percent(if self.imports { 60 } else { 5 }) {
            Origin::Import(self.carried())
        } else {
            Origin::Signup
        };
        Register {
            member,
            sponsor,
            placement: self.placement(),
            code: if self.chance.percent(25) { Some(self.code()) } else { None },
            role: if self.chance.percent(10) { Role::Admin } else { Role::Member },
            joined_at: if self.chance.percent(20) {
                Some(Timestamp(self.chance.below(1_000_000) as i64))
            } else {
                None
            },
            origin,
        }
    }

    /// Mostly nothing; few row ids, so that they collide.
    fn carried(&mut self) -> Carried {
        if self.chance.percent(50) {
            return Carried::default();
        }
        let lifetime_rank = self.chance.below(6) as u16;
        let turn = if self.chance.percent(70) { 0 } else { self.chance.below(4) as u16 };
        let status =
            if self.chance.percent(15) { Status::ALL[self.chance.below(3) as usize] } else { Status::Active };
        Carried { row_id: self.row_id(), lifetime_rank, turn, status, sponsor_too: self.chance.percent(30) }
    }

    fn row_id(&mut self) -> Option<[u8; 16]> {
        if self.chance.percent(50) { Some([self.chance.below(60) as u8; 16]) } else { None }
    }

    fn placement(&mut self) -> PlacementRequest {
        let allowed = &self.plan.placement;
        match self.chance.below(100) {
            50..=79 if !allowed.other_rules.is_empty() => {
                PlacementRequest::Rule(self.chance.of_slice(&allowed.other_rules))
            }
            80..=95 if allowed.strategic => {
                PlacementRequest::Slot { parent: self.somebody(), slot: self.chance.below(4) as u32 }
            }
            96 => PlacementRequest::Rule(self.chance.of_slice(&PlacementRule::ALL)),
            97 => PlacementRequest::Slot { parent: self.somebody(), slot: self.chance.below(4) as u32 },
            _ => PlacementRequest::PlanDefault,
        }
    }

    /// Few, so that they collide; fewer among imports, which alone may have similar codes.
    fn code(&mut self) -> Code {
        if self.chance.percent(2) {
            return Code::parse("6F1F6D1E-0000-4000-8000-000000000001")
                .expect("a UUID has the letters of a code");
        }
        let letters = self.chance.of_slice(&["code", "CODE", "Code", "c0de", "1ode", "l0de", "Iode"]);
        let number = self.chance.below(if self.imports { 2 } else { 60 });
        Code::parse(&format!("{letters}-{number}")).expect("letters, a hyphen and digits")
    }

    fn amount(&mut self) -> Money {
        Money(self.chance.of_slice(&[
            0,
            1,
            149,
            12_345,
            12_345,
            1_000_000,
            Money::MAX.0 / 10,
            Money::MAX.0,
            Money::MAX.0 + 1,
            -1,
            i64::MAX,
            i64::MIN,
        ]))
    }

    fn trigger(&mut self) -> TriggerBonus {
        let amount = if self.chance.percent(20) { None } else { Some(self.amount()) };
        let named: Vec<Box<str>> = self.plan.bonuses.iter().map(|rule| rule.trigger.clone()).collect();
        let any = named.is_empty() || self.chance.percent(5);
        let trigger = if any { self.chance.of_slice(&TRIGGERS).into() } else { self.chance.of_slice(&named) };
        TriggerBonus {
            source: self.somebody(),
            trigger,
            amount,
            once: self.chance.percent(50),
            reference: self.reference(),
        }
    }

    fn import_entry(&mut self) -> ImportEntry {
        let kind = match self.chance.below(10) {
            0..=6 => self.chance.of_slice(&["referral", "registration", "rank:2"]).into(),
            7 => self
                .chance
                .of_slice(&["", "rank:0", "rank:02", "rank:x", "rank:70000", "Referral", "a b"])
                .into(),
            _ => format!("of-old-{}", self.chance.below(14)).into(),
        };
        ImportEntry {
            receiver: self.somebody(),
            source: self.somebody(),
            kind,
            level: self.chance.below(20) as u32,
            amount: self.amount(),
            status: self.chance.of_slice(&EntryStatus::ALL),
            time: Timestamp(self.chance.below(1_000_000) as i64),
            row_id: self.row_id(),
            reference: self.reference(),
            reverses: if self.chance.percent(10) { Some(self.entry()) } else { None },
        }
    }
}
