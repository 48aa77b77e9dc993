//! The whole core, written a second time from its definitions: plain vectors and hash maps, everything
//! recounted whenever it is needed, nothing clever. Slow, and obviously right; where it and the core differ,
//! one of them misread the rules.

mod attributes;
mod bonuses;
pub mod opening;
mod orders;
mod ranks;
mod signup;

use std::collections::{BTreeMap, HashMap, HashSet};

use upline::core::{
    command::{Applied, CodeRules, Command, Outcome, Rejection, RequestKey, Stamped},
    plan::{KIND_REGISTRATION, PlacementRule, Plan, RankRule},
    types::{Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money, Role, Status, Timestamp, Tree},
};

use super::picture::{EntryPicture, Files, MemberPicture, Network, Picture, TREES};
use ranks::HeadCounts;

const ADMINS_MAX: usize = 64;
/// Admins are ranked and paid down to this depth.
const ADMIN_LEVELS_MAX: usize = 1_024;
const KEY_LIFE_MICROSECONDS: i64 = 72 * 3_600 * 1_000_000;
/// Maximum that one step of log time counts toward a key's lifetime, since format 3.
const KEY_STEP_MICROSECONDS: i64 = 3_600 * 1_000_000;
const KEYS_MAX: usize = 1_000_000;
/// Maximum trigger names in a network's lifetime: those of all its plans, and those of imported entries.
const KINDS_MAX: usize = 4_096;
const KINDS_MAX_BEFORE_FORMAT_4: usize = 16;

pub struct Naive {
    plan: Plan,
    plan_version: u32,
    plan_versions: Vec<(u32, u64, Timestamp, Plan)>,
    lsn: u64,
    time: Timestamp,
    members: Vec<Person>,
    entries: Vec<EntryPicture>,
    /// Source and trigger name of triggers with `once`.
    once: HashSet<(usize, String)>,
    /// Trigger names seen so far.
    kinds: HashSet<String>,
    remembered: HashMap<[u8; 16], Remembered>,
    /// Microseconds counted toward key expiry so far.
    counted: i64,
    /// The rules for the command being applied.
    code_rules: CodeRules,
    breakage: (u64, i64),
    itemized_from: Option<u64>,
    breakage_by_reason: BTreeMap<&'static str, (u64, i128)>,
    /// Trigger names that the present command may lead to.
    kinds_max: usize,
    /// Whether unpaid halves of a reversal change together under the present command, and payouts look at
    /// when an entry was released.
    in_pairs: bool,
    /// Imported row ids.
    row_ids: HashSet<[u8; 16]>,
    /// Orders, refunds and periods.
    commerce: orders::Commerce,
    attributes: attributes::Attributes,
    opening: opening::Opening,
}

struct Person {
    id: MemberId,
    sponsor: Option<usize>,
    parent: Option<usize>,
    slot: u32,
    joined_at: Timestamp,
    status: Status,
    role: Role,
    code: String,
    paid_as: u16,
    lifetime: u16,
    /// Slot of the child that gets the next round-robin spillover.
    turn: u32,
}

struct Remembered {
    fingerprint: u64,
    /// The time counted by then.
    since: i64,
    applied: Applied,
}

/// A payment not yet in the ledger.
struct Payment {
    receiver: usize,
    level: u32,
    amount: Money,
    kind: String,
}

impl Network for Naive {
    fn apply(&mut self, stamped: &Stamped) -> Applied {
        assert_eq!(stamped.lsn, self.lsn + 1);
        let step = stamped.time.0 - self.time.0;
        let is_first = self.lsn == 0;
        self.lsn = stamped.lsn;
        self.time = stamped.time;
        if 4 <= stamped.format && self.itemized_from.is_none() {
            self.itemized_from = Some(stamped.lsn);
        }
        self.counted +=
            if stamped.is_of_format_3() && !is_first { step.min(KEY_STEP_MICROSECONDS) } else { step };
        let now = self.counted;
        self.remembered.retain(|_, one| now - one.since < KEY_LIFE_MICROSECONDS);
        if let Some(key) = stamped.key
            && let Some(earlier) = self.remembered.get(&key.key)
        {
            let reused = Applied { outcome: Outcome::Rejected(Rejection::KeyReused), lsn: stamped.lsn };
            return if earlier.fingerprint == key.fingerprint { earlier.applied } else { reused };
        }
        self.code_rules = stamped.code_rules();
        self.kinds_max = if stamped.format < 4 { KINDS_MAX_BEFORE_FORMAT_4 } else { KINDS_MAX };
        self.in_pairs = 5 <= stamped.format;
        let outcome = match self.execute(&stamped.command) {
            Ok(outcome) => outcome,
            Err(rejection) => Outcome::Rejected(rejection),
        };
        let applied = Applied { outcome, lsn: stamped.lsn };
        if let Some(key) = stamped.key
            && !matches!(outcome, Outcome::Rejected(_))
        {
            self.remembered.insert(key.key, Remembered { fingerprint: key.fingerprint, since: now, applied });
            if KEYS_MAX < self.remembered.len() {
                let oldest =
                    self.remembered.iter().min_by_key(|(_, one)| one.applied.lsn).map(|(key, _)| *key);
                self.remembered.remove(&oldest.expect("there are many"));
            }
        }
        applied
    }

    fn preview(&self, sponsor: MemberIx, rule: PlacementRule) -> Result<(MemberIx, u32), Rejection> {
        if !self.plan.placement.allows(rule) {
            return Err(Rejection::RuleNotAllowed);
        }
        let place = self.find_place(sponsor.at(), rule);
        Ok((index(place.parent), place.slot))
    }

    fn files(&self) -> Files {
        self.sealable()
    }

    fn check(&self) {
        for (member, person) in self.members.iter().enumerate() {
            let sponsors_subtree =
                person.sponsor.zip(person.parent).map(|(sponsor, parent)| self.path_below(sponsor, parent));
            assert!(
                sponsors_subtree.is_none_or(|path| path.is_some()),
                "{member} sits outside the sponsor's subtree"
            );
            let alone = person.parent.is_none_or(|parent| self.child_at(parent, person.slot) == Some(member));
            assert!(alone, "{member} shares a slot");
            assert!(person.paid_as <= person.lifetime);
        }
    }

    fn picture(&self) -> Picture {
        let tables = TREES.map(|tree| self.head_counts(tree));
        let mut rank_distribution = Vec::new();
        for person in &self.members {
            let rank = usize::from(person.paid_as);
            rank_distribution.resize(rank_distribution.len().max(rank + 1), 0);
            rank_distribution[rank] += 1;
        }
        Picture {
            lsn: self.lsn,
            time: self.time,
            plan: self.plan.clone(),
            plan_version: self.plan_version,
            plan_versions: self.plan_versions.clone(),
            depth: (0..self.members.len()).map(|member| self.level(member)).max().unwrap_or(0),
            rank_distribution,
            breakage: (self.breakage.0, Money(self.breakage.1)),
            itemized_from: self.itemized_from,
            breakage_by_reason: self.breakage_by_reason.clone(),
            pending: self.entries.iter().filter(|entry| entry.status == EntryStatus::Pending).count() as u64,
            members: (0..self.members.len()).map(|member| self.member_picture(member, &tables)).collect(),
            entries: self.entries.clone(),
            paid_once: self.once.iter().map(|(member, name)| (index(*member), name.clone())).collect(),
            customers: self.present_customers(),
            periods: self.period_pictures(),
            orders: self.order_pictures(),
            live: self.live_pictures(),
            opening: self.opening_picture(),
        }
    }
}

impl Naive {
    pub fn new(plan: Plan) -> Self {
        Self {
            kinds: trigger_names(&plan),
            plan_versions: vec![(1, 0, Timestamp(0), plan.clone())],
            plan,
            plan_version: 1,
            lsn: 0,
            time: Timestamp(0),
            members: Vec::new(),
            entries: Vec::new(),
            once: HashSet::new(),
            remembered: HashMap::new(),
            counted: 0,
            code_rules: CodeRules::Alike,
            breakage: (0, 0),
            itemized_from: None,
            breakage_by_reason: BTreeMap::new(),
            kinds_max: KINDS_MAX,
            in_pairs: true,
            row_ids: HashSet::new(),
            commerce: orders::Commerce::default(),
            attributes: attributes::Attributes::default(),
            opening: opening::Opening::default(),
        }
    }

    /// Adopts the code that the real core generated: the model does not know how codes are made, only that
    /// they are unique.
    pub fn learn_code(&mut self, member: usize, code: &Code) {
        let others_code = self
            .members
            .iter()
            .enumerate()
            .any(|(other, person)| other != member && same_code(&person.code, code.as_str()));
        assert!(!others_code, "the generated code {} is taken", code.as_str());
        code.as_str().clone_into(&mut self.members[member].code);
    }

    /// Returns the response to a command without effect: the previous outcome, or the reason. Panics if it
    /// would have an effect.
    pub fn without_effect(
        &mut self,
        key: Option<RequestKey>,
        command: &Command,
    ) -> Result<Applied, Rejection> {
        match key.and_then(|key| self.repeat_of(key)) {
            Some(answer) => answer,
            None => match self.execute(command) {
                Err(rejection) => Err(rejection),
                Ok(outcome) => panic!("it has an effect: {outcome:?}"),
            },
        }
    }

    /// Returns the response to a known key.
    pub fn repeat_of(&self, key: RequestKey) -> Option<Result<Applied, Rejection>> {
        let earlier = self.remembered.get(&key.key)?;
        Some(if earlier.fingerprint == key.fingerprint {
            Ok(earlier.applied)
        } else {
            Err(Rejection::KeyReused)
        })
    }

    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the newest LSN, and its log time.
    pub fn position(&self) -> (u64, Timestamp) {
        (self.lsn, self.time)
    }

    /// Returns the referral code of a member.
    pub fn code_of(&self, id: &MemberId) -> Option<Code> {
        Code::parse(&self.members[self.find(id).ok()?].code)
    }

    /// Returns the length of the ledger.
    pub fn entries(&self) -> u64 {
        self.entries.len() as u64
    }

    fn execute(&mut self, command: &Command) -> Result<Outcome, Rejection> {
        match command {
            Command::Register(register) => self.register(register),
            Command::TriggerBonus(trigger) => self.trigger_bonus(trigger),
            Command::PayEntry { entry } => self.pay_entry(*entry),
            Command::PayAll => Ok(self.pay_all()),
            Command::SetStatus { member, status } => self.set_status(member, *status),
            Command::SetRole { member, role } => self.set_role(member, *role),
            Command::PutPlan(plan) => self.put_plan(plan),
            Command::ImportEntry(entry) => self.import_entry(entry),
            Command::ReverseEntry { entry } => self.reverse_entry(*entry),
            Command::PayMatching(filter) => self.pay_matching(filter),
            Command::ChangeEntry(change) => self.change_entry(change),
            Command::KeepOnce { source, trigger } => self.keep_once(source, trigger),
            Command::PlaceOrder(order) => self.place_order(order),
            Command::RefundOrder(refund) => self.refund_order(refund),
            Command::OpenPeriod(period) => self.open_period(period),
            Command::ClosePeriod(period) => self.close_period(*period),
            Command::StepPeriod(step) => self.step_period(step),
            Command::RecordRun(run) => self.record_run(run),
            Command::SetAttributes(change) => self.set_attributes(change),
            Command::AddOpening(add) => self.add_opening(add),
            Command::CloseOpening(close) => self.close_opening(close),
            Command::SealPeriod(seal) => self.seal_period(seal),
            Command::RecallOrder(order) => self.recall_order(order),
        }
    }
}
// --- statuses, roles, plans

impl Naive {
    fn set_status(&mut self, member: &MemberId, status: Status) -> Result<Outcome, Rejection> {
        let member = self.find(member)?;
        let now = self.members[member].status;
        if now == Status::Terminated && status != Status::Terminated {
            return Err(Rejection::StatusChangeNotAllowed);
        }
        self.members[member].status = status;
        Ok(Outcome::StatusSet { member: index(member), changed: now != status })
    }

    fn set_role(&mut self, member: &MemberId, role: Role) -> Result<Outcome, Rejection> {
        let member = self.find(member)?;
        let changed = self.members[member].role != role;
        if changed && role == Role::Admin && ADMINS_MAX <= self.admins() {
            return Err(Rejection::AdminsFull);
        }
        self.members[member].role = role;
        // An admin is ranked beyond the cap. That is not growth, so no reward is paid.
        self.rerank();
        Ok(Outcome::RoleSet { member: index(member), changed })
    }

    fn put_plan(&mut self, plan: &Plan) -> Result<Outcome, Rejection> {
        if *plan == self.plan {
            return Err(Rejection::PlanUnchanged);
        }
        let has_members = !self.members.is_empty();
        if has_members && plan.placement != self.plan.placement {
            return Err(Rejection::PlanPlacementFixed);
        }
        let of_orders = self.has_orders() && self.plan.commerce.takes_orders();
        let has_amounts = !self.entries.is_empty() || of_orders || self.has_opening();
        if has_amounts && plan.currency != self.plan.currency {
            return Err(Rejection::PlanCurrencyFixed);
        }
        let same_kind = matches!(
            (&plan.ranks, &self.plan.ranks),
            (RankRule::Thresholds { .. }, RankRule::Thresholds { .. })
                | (RankRule::LevelFill { .. }, RankRule::LevelFill { .. })
        );
        if has_members && (!same_kind || plan.ranks.steps().len() < self.plan.ranks.steps().len()) {
            return Err(Rejection::PlanRanksRemoved);
        }
        if self.has_orders() && plan.commerce.continues(&self.plan.commerce).is_err() {
            return Err(Rejection::PlanNamesRemoved);
        }
        let kinds = self.kinds.union(&trigger_names(plan)).cloned().collect::<HashSet<String>>();
        if self.kinds_max < kinds.len() {
            return Err(Rejection::PlanKindsFull);
        }
        self.kinds = kinds;
        self.plan = plan.clone();
        self.plan_version += 1;
        self.plan_versions.push((self.plan_version, self.lsn, self.time, plan.clone()));
        self.rerank();
        Ok(Outcome::PlanActivated { version: self.plan_version })
    }
}

// --- helpers

impl Naive {
    fn find(&self, id: &MemberId) -> Result<usize, Rejection> {
        self.members.iter().position(|person| person.id == *id).ok_or(Rejection::MemberUnknown)
    }

    fn find_code(&self, code: &Code) -> Option<usize> {
        self.members.iter().position(|person| same_code(&person.code, code.as_str()))
    }

    /// Returns the member with this code, or else the only one with a similar code.
    fn look_up_code(&self, code: &Code) -> Result<Option<usize>, Rejection> {
        let exact = self.find_code(code);
        if exact.is_some() || self.code_rules == CodeRules::Exact {
            return Ok(exact);
        }
        let like = |text: &str| text.to_lowercase().replace('o', "0").replace(['i', 'l'], "1");
        let mut owners =
            (0..self.members.len()).filter(|member| like(&self.members[*member].code) == like(code.as_str()));
        match (owners.next(), owners.next()) {
            (_, Some(_)) => Err(Rejection::CodeAmbiguous),
            (owner, None) => Ok(owner),
        }
    }

    fn admins(&self) -> usize {
        self.members.iter().filter(|person| person.role == Role::Admin).count()
    }

    fn member_picture(&self, member: usize, tables: &[HeadCounts; 2]) -> MemberPicture {
        let person = &self.members[member];
        let cap = usize::from(self.plan.level_cap);
        let count = |at: usize, k: usize| tables[at][member].get(k - 1).copied().unwrap_or(0);
        let rank_table =
            &tables[TREES.iter().position(|tree| *tree == self.plan.ranks.tree()).expect("there are two")];
        MemberPicture {
            id: person.id,
            sponsor: person.sponsor.map(index),
            parent: person.parent.map(index),
            slot: person.slot,
            level: self.level(member),
            sponsor_level: 1 + self.upline(Tree::Sponsor, member).count() as u32,
            joined_at: person.joined_at,
            status: person.status,
            role: person.role,
            code: person.code.clone(),
            direct: [0, 1].map(|at| count(at, 1)),
            downline: [0, 1].map(|at| self.plan.counts(TREES[at]).then(|| tables[at][member].iter().sum())),
            levels: [0, 1].map(|at| {
                let levels = || {
                    std::array::from_fn::<u32, LEVELS_MAX, _>(|k| if k < cap { count(at, k + 1) } else { 0 })
                };
                self.plan.counts(TREES[at]).then(levels)
            }),
            paid_as: person.paid_as,
            lifetime: person.lifetime,
            next: self.next_rank(member, rank_table),
            attributes: self.attribute_pictures(member),
            balance: [EntryStatus::Pending, EntryStatus::Held, EntryStatus::Paid].map(|status| {
                let entries = self.entries.iter().filter(|entry| entry.receiver == index(member));
                entries.filter(|entry| entry.status == status).map(|entry| i128::from(entry.amount.0)).sum()
            }),
        }
    }
}

fn trigger_names(plan: &Plan) -> HashSet<String> {
    plan.bonuses.iter().map(|rule| rule.trigger.to_string()).collect()
}

/// Returns whether an entry kind is a trigger name; `None` for an unknown kind.
fn kind_is_trigger(kind: &str) -> Option<bool> {
    if kind == KIND_REGISTRATION {
        return Some(false);
    }
    if let Some(ordinal) = kind.strip_prefix("rank:") {
        let rank: u32 = ordinal.parse().ok()?;
        return ((1..=1_024).contains(&rank) && rank.to_string() == ordinal).then_some(false);
    }
    let allowed = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_' || letter == '-'
    };
    ((1..=64).contains(&kind.len()) && kind.chars().all(allowed)).then_some(true)
}

fn same_code(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}

fn index(member: usize) -> MemberIx {
    MemberIx(u32::try_from(member).expect("models are small"))
}
