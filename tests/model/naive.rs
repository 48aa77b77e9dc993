//! The whole core, written a second time from its definitions: plain vectors and hash maps, everything counted from scratch whenever it is
//! needed, nothing clever. Slow, and obviously right; where it and the core differ, one of them misread the rules.

use std::collections::{HashMap, HashSet};

use upline::core::{
    NextRank,
    command::{Applied, Command, ImportEntry, Origin, Outcome, PlacementRequest, Register, Rejection, SponsorRef, Stamped, TriggerBonus},
    plan::{BonusRule, KIND_REGISTRATION, LevelPay, PlacementRule, Plan, RankBasis, RankRule},
    types::{Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money, Role, Status, Timestamp, Tree},
};

use super::picture::{EntryPicture, MemberPicture, Network, Picture, TREES};

const ADMINS_MAX: usize = 64;
/// Admins are ranked and paid this deep.
const ADMIN_LEVELS_MAX: usize = 1_024;
const KEY_LIFE_MICROSECONDS: i64 = 72 * 3_600 * 1_000_000;
const KEYS_MAX: usize = 1_000_000;
/// Trigger names that a network can meet in its life: those of all its plans, and those of imported entries.
const KINDS_MAX: usize = 16;

pub struct Naive {
    plan: Plan,
    plan_version: u32,
    lsn: u64,
    time: Timestamp,
    members: Vec<Person>,
    entries: Vec<EntryPicture>,
    /// Source and trigger name of what was triggered with `once`.
    once: HashSet<(usize, String)>,
    /// Trigger names met so far.
    kinds: HashSet<String>,
    remembered: HashMap<[u8; 16], Remembered>,
    breakage: (u64, i64),
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
    /// Slot of the child to whom the next round-robin spill goes.
    turn: u32,
}

struct Remembered {
    fingerprint: u64,
    time: Timestamp,
    applied: Applied,
}

/// What would be paid to whom; not yet in the ledger.
struct Payment {
    receiver: usize,
    level: u32,
    amount: Money,
    kind: String,
}

impl Network for Naive {
    fn apply(&mut self, stamped: &Stamped) -> Applied {
        assert_eq!(stamped.lsn, self.lsn + 1);
        self.lsn = stamped.lsn;
        self.time = stamped.time;
        let now = stamped.time.0;
        self.remembered.retain(|_, one| now - one.time.0 < KEY_LIFE_MICROSECONDS);
        if let Some(key) = stamped.key
            && let Some(earlier) = self.remembered.get(&key.key)
        {
            let reused = Applied { outcome: Outcome::Rejected(Rejection::KeyReused), lsn: stamped.lsn };
            return if earlier.fingerprint == key.fingerprint { earlier.applied } else { reused };
        }
        let outcome = match self.execute(&stamped.command) {
            Ok(outcome) => outcome,
            Err(rejection) => Outcome::Rejected(rejection),
        };
        let applied = Applied { outcome, lsn: stamped.lsn };
        if let Some(key) = stamped.key
            && !matches!(outcome, Outcome::Rejected(_))
        {
            self.remembered.insert(key.key, Remembered { fingerprint: key.fingerprint, time: stamped.time, applied });
            if KEYS_MAX < self.remembered.len() {
                let oldest = self.remembered.iter().min_by_key(|(_, one)| one.applied.lsn).map(|(key, _)| *key);
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

    fn check(&self) {
        for (member, person) in self.members.iter().enumerate() {
            let sponsors_subtree = person.sponsor.zip(person.parent).map(|(sponsor, parent)| self.path_below(sponsor, parent));
            assert!(sponsors_subtree.is_none_or(|path| path.is_some()), "{member} sits outside the sponsor's subtree");
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
            depth: (0..self.members.len()).map(|member| self.level(member)).max().unwrap_or(0),
            rank_distribution,
            breakage: (self.breakage.0, Money(self.breakage.1)),
            pending: self.entries.iter().filter(|entry| entry.status == EntryStatus::Pending).count() as u64,
            members: (0..self.members.len()).map(|member| self.member_picture(member, &tables)).collect(),
            entries: self.entries.clone(),
        }
    }
}

impl Naive {
    pub fn new(plan: Plan) -> Self {
        Self {
            kinds: trigger_names(&plan),
            plan,
            plan_version: 1,
            lsn: 0,
            time: Timestamp(0),
            members: Vec::new(),
            entries: Vec::new(),
            once: HashSet::new(),
            remembered: HashMap::new(),
            breakage: (0, 0),
        }
    }

    /// Takes over the code that the real core generated: how codes are made is not for the model to know, that they are new is.
    pub fn learn_code(&mut self, member: usize, code: &Code) {
        let others_code = self.members.iter().enumerate().any(|(other, person)| other != member && same_code(&person.code, code.as_str()));
        assert!(!others_code, "the generated code {} is taken", code.as_str());
        code.as_str().clone_into(&mut self.members[member].code);
    }

    /// The referral code of a member.
    pub fn code_of(&self, id: &MemberId) -> Option<Code> {
        Code::parse(&self.members[self.find(id).ok()?].code)
    }

    /// Length of the ledger.
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
        }
    }
}

// --- signups

#[derive(Clone, Copy)]
struct Place {
    parent: usize,
    slot: u32,
    /// Found by round robin, so that the turns on the way advance.
    in_turn: bool,
}

impl Naive {
    fn register(&mut self, register: &Register) -> Result<Outcome, Rejection> {
        if self.find(&register.member).is_ok() {
            return Err(Rejection::MemberExists);
        }
        let sponsor = match &register.sponsor {
            SponsorRef::None => None,
            SponsorRef::Member(id) => Some(self.find(id).map_err(|_| Rejection::SponsorUnknown)?),
            SponsorRef::Code(code) => Some(self.find_code(code).ok_or(Rejection::SponsorUnknown)?),
        };
        if sponsor.is_some_and(|sponsor| self.members[sponsor].status != Status::Active) {
            return Err(Rejection::SponsorNotActive);
        }
        if register.code.as_ref().is_some_and(|code| self.find_code(code).is_some()) {
            return Err(Rejection::CodeTaken);
        }
        if register.role == Role::Admin && ADMINS_MAX <= self.admins() {
            return Err(Rejection::AdminsFull);
        }
        let place = match sponsor {
            None if register.placement != PlacementRequest::PlanDefault => return Err(Rejection::RootWithPlacement),
            None => None,
            Some(sponsor) => Some(self.requested_place(sponsor, register.placement)?),
        };
        if let (Some(sponsor), Some(Place { in_turn: true, .. })) = (sponsor, place) {
            self.advance_turns(sponsor);
        }
        let member = self.members.len();
        self.members.push(Person {
            id: register.member,
            sponsor,
            parent: place.map(|place| place.parent),
            slot: place.map_or(0, |place| place.slot),
            joined_at: register.joined_at.unwrap_or(self.time),
            status: Status::Active,
            role: register.role,
            code: register.code.as_ref().map_or_else(|| format!("generated-{member}"), |code| code.as_str().to_owned()),
            paid_as: 0,
            lifetime: 0,
            turn: 0,
        });
        self.rank_after_signup(member, register.origin);
        Ok(Outcome::Registered { member: index(member) })
    }

    fn requested_place(&self, sponsor: usize, request: PlacementRequest) -> Result<Place, Rejection> {
        match request {
            PlacementRequest::PlanDefault => Ok(self.find_place(sponsor, self.plan.placement.default_rule)),
            PlacementRequest::Rule(rule) if self.plan.placement.allows(rule) => Ok(self.find_place(sponsor, rule)),
            PlacementRequest::Rule(_) => Err(Rejection::RuleNotAllowed),
            PlacementRequest::Slot { .. } if !self.plan.placement.strategic => Err(Rejection::StrategicNotAllowed),
            PlacementRequest::Slot { parent, slot } => {
                let parent = self.find(&parent).map_err(|_| Rejection::ParentUnknown)?;
                if self.path_below(sponsor, parent).is_none() {
                    return Err(Rejection::ParentOutsideSponsorSubtree);
                }
                let out_of_range = match self.plan.placement.width {
                    Some(width) => u32::from(width) <= slot,
                    None => self.next_slot(parent) < slot,
                };
                if out_of_range {
                    return Err(Rejection::SlotOutOfRange);
                }
                if self.child_at(parent, slot).is_some() {
                    return Err(Rejection::SlotTaken);
                }
                Ok(Place { parent, slot, in_turn: false })
            }
        }
    }

    /// Where `rule` puts the next member that `sponsor` brings.
    fn find_place(&self, sponsor: usize, rule: PlacementRule) -> Place {
        let at = |(parent, slot)| Place { parent, slot, in_turn: false };
        let lighter = || self.leg_with(sponsor, |left, right| left <= right);
        let heavier = || self.leg_with(sponsor, |left, right| right <= left);
        match rule {
            PlacementRule::BreadthFirst | PlacementRule::EvenFill => at(self.breadth_first(sponsor)),
            PlacementRule::BreadthFirstBySlot => at(self.breadth_first_by_slot(sponsor)),
            PlacementRule::Balanced => at(self.descend(sponsor, |full| self.smallest_child(full))),
            PlacementRule::RoundRobin => Place { in_turn: true, ..at(self.descend(sponsor, |full| self.child_in_turn(full))) },
            PlacementRule::PowerLeg => at(self.descend(sponsor, |full| self.child_at(full, 0).expect("a full member has a first child"))),
            PlacementRule::Unilevel => at((sponsor, self.next_slot(sponsor))),
            PlacementRule::Left => at(self.outside(sponsor, 0)),
            PlacementRule::Right => at(self.outside(sponsor, 1)),
            PlacementRule::WeakLegOutside => at(self.outside(sponsor, lighter())),
            PlacementRule::WeakLegEven => at(self.even_in_leg(sponsor, lighter())),
            PlacementRule::StrongLegOutside => at(self.outside(sponsor, heavier())),
            PlacementRule::StrongLegEven => at(self.even_in_leg(sponsor, heavier())),
            PlacementRule::LeftEven => at(self.even_in_leg(sponsor, 0)),
            PlacementRule::RightEven => at(self.even_in_leg(sponsor, 1)),
        }
    }

    /// The placement subtree of `top`, itself included, in level order, inside a level in order of the path of slots.
    fn level_order(&self, top: usize) -> Vec<(usize, Vec<u32>)> {
        let with_path = |member| self.path_below(top, member).map(|path| (member, path));
        let mut subtree: Vec<(usize, Vec<u32>)> = (0..self.members.len()).filter_map(with_path).collect();
        subtree.sort_by_key(|(_, path)| (path.len(), path.clone()));
        subtree
    }

    fn breadth_first(&self, top: usize) -> (usize, u32) {
        let order = self.level_order(top);
        order.iter().find_map(|(member, _)| Some((*member, self.free_slot(*member)?))).expect("the deepest members have free slots")
    }

    fn breadth_first_by_slot(&self, top: usize) -> (usize, u32) {
        let mut free = Vec::new();
        for (member, path) in self.level_order(top) {
            for slot in (0..self.width()).filter(|slot| self.child_at(member, *slot).is_none()) {
                free.push((path.len(), slot, path.clone(), member));
            }
        }
        let (_, slot, _, parent) = free.into_iter().min().expect("the deepest members have free slots");
        (parent, slot)
    }

    /// Goes down from `top`, at each full member to the child that `choose` names.
    fn descend(&self, top: usize, choose: impl Fn(usize) -> usize) -> (usize, u32) {
        let mut here = top;
        loop {
            match self.free_slot(here) {
                Some(slot) => return (here, slot),
                None => here = choose(here),
            }
        }
    }

    fn smallest_child(&self, full: usize) -> usize {
        let children = (0..self.width()).map(|slot| self.child_at(full, slot).expect("a full member has a child in each slot"));
        // `min_by_key` returns the first of equals, so ties go to the lowest slot.
        children.min_by_key(|child| self.subtree_size(*child)).expect("width is at least 1")
    }

    fn child_in_turn(&self, full: usize) -> usize {
        self.child_at(full, self.members[full].turn).expect("a full member has a child in each slot")
    }

    /// What a round-robin spill from `top` leaves behind: each full member it passed hands the next one to its next child.
    fn advance_turns(&mut self, top: usize) {
        let mut here = top;
        while self.free_slot(here).is_none() {
            let next = self.child_in_turn(here);
            self.members[here].turn = (self.members[here].turn + 1) % self.width();
            here = next;
        }
    }

    /// Follows `side` down to the first member that has no child there.
    fn outside(&self, top: usize, side: u32) -> (usize, u32) {
        let mut here = top;
        while let Some(child) = self.child_at(here, side) {
            here = child;
        }
        (here, side)
    }

    fn even_in_leg(&self, top: usize, side: u32) -> (usize, u32) {
        match self.child_at(top, side) {
            Some(leg) => self.breadth_first(leg),
            None => (top, side),
        }
    }

    /// Left (0) when `prefer_left` holds for the sizes of the two legs, else right (1).
    fn leg_with(&self, top: usize, prefer_left: impl Fn(usize, usize) -> bool) -> u32 {
        let size = |side| self.child_at(top, side).map_or(0, |leg| self.subtree_size(leg));
        u32::from(!prefer_left(size(0), size(1)))
    }

    fn width(&self) -> u32 {
        u32::from(self.plan.placement.width.expect("only asked where the width is limited"))
    }

    fn child_at(&self, parent: usize, slot: u32) -> Option<usize> {
        self.members.iter().position(|person| person.parent == Some(parent) && person.slot == slot)
    }

    fn free_slot(&self, parent: usize) -> Option<u32> {
        (0..self.width()).find(|slot| self.child_at(parent, *slot).is_none())
    }

    /// The only open slot under unlimited width.
    fn next_slot(&self, parent: usize) -> u32 {
        self.members.iter().filter(|person| person.parent == Some(parent)).map(|person| person.slot + 1).max().unwrap_or(0)
    }

    fn subtree_size(&self, top: usize) -> usize {
        (0..self.members.len()).filter(|member| self.path_below(top, *member).is_some()).count()
    }

    /// The slots that lead from `top` down to `member` in the placement tree; `None` when it is not there.
    fn path_below(&self, top: usize, member: usize) -> Option<Vec<u32>> {
        let mut path = Vec::new();
        let mut here = member;
        while here != top {
            path.push(self.members[here].slot);
            here = self.members[here].parent?;
        }
        path.reverse();
        Some(path)
    }
}

// --- counts and ranks

/// `[member][k]`: descendants of a member exactly `k + 1` edges below.
type HeadCounts = Vec<Vec<u32>>;

impl Naive {
    fn above(&self, tree: Tree, member: usize) -> Option<usize> {
        match tree {
            Tree::Sponsor => self.members[member].sponsor,
            Tree::Placement => self.members[member].parent,
        }
    }

    /// Nearest first.
    fn upline(&self, tree: Tree, member: usize) -> Vec<usize> {
        let mut upline = Vec::new();
        let mut here = member;
        while let Some(above) = self.above(tree, here) {
            upline.push(above);
            here = above;
        }
        upline
    }

    fn head_counts(&self, tree: Tree) -> HeadCounts {
        let mut counts = vec![Vec::new(); self.members.len()];
        for member in 0..self.members.len() {
            for (distance, above) in self.upline(tree, member).into_iter().enumerate() {
                let levels: &mut Vec<u32> = &mut counts[above];
                levels.resize(levels.len().max(distance + 1), 0);
                levels[distance] += 1;
            }
        }
        counts
    }

    fn level(&self, member: usize) -> u32 {
        1 + self.upline(Tree::Placement, member).len() as u32
    }

    /// The highest rank that a member can have.
    fn top_rank(&self, member: usize) -> u16 {
        let steps = self.plan.ranks.steps().len();
        match self.plan.ranks {
            RankRule::LevelFill { .. } if self.members[member].role == Role::Admin && steps != 0 => ADMIN_LEVELS_MAX as u16,
            RankRule::LevelFill { .. } => steps.max(1) as u16,
            RankRule::Thresholds { .. } => steps as u16,
        }
    }

    /// Members needed on level `k` of a rank by level fill. For admins the last minimum goes on.
    fn minimum_on_level(&self, k: usize) -> u32 {
        let steps = self.plan.ranks.steps();
        steps[k.min(steps.len()) - 1].minimum
    }

    fn rank_by_rule(&self, member: usize, counts: &HeadCounts) -> u16 {
        let on_level = |k: usize| counts[member].get(k - 1).copied().unwrap_or(0);
        match &self.plan.ranks {
            RankRule::Thresholds { basis, steps, .. } => {
                let count = match basis {
                    RankBasis::Direct => on_level(1),
                    RankBasis::Downline => counts[member].iter().sum(),
                };
                steps.iter().filter(|step| step.minimum <= count).count() as u16
            }
            RankRule::LevelFill { steps, .. } => {
                let levels = if steps.is_empty() { 0 } else { usize::from(self.top_rank(member)) };
                let filled = (1..=levels).take_while(|k| self.minimum_on_level(*k) <= on_level(*k)).count();
                filled.max(1) as u16
            }
        }
    }

    fn next_rank(&self, member: usize, counts: &HeadCounts) -> Option<NextRank> {
        let paid_as = self.members[member].paid_as;
        if self.top_rank(member) <= paid_as {
            return None;
        }
        let on_level = |k: usize| counts[member].get(k - 1).copied().unwrap_or(0);
        let rank = paid_as + 1;
        let (level, count, minimum) = match &self.plan.ranks {
            RankRule::Thresholds { basis, steps, .. } => {
                let count = match basis {
                    RankBasis::Direct => on_level(1),
                    RankBasis::Downline => counts[member].iter().sum(),
                };
                (0, count, steps[usize::from(paid_as)].minimum)
            }
            RankRule::LevelFill { .. } => {
                // Rank 1 is held from the start, so what holds a member there may be level 1 or level 2.
                let level = if on_level(1) < self.minimum_on_level(1) { 1 } else { usize::from(rank) };
                (level, on_level(level), self.minimum_on_level(level))
            }
        };
        Some(NextRank { rank, level: level as u32, minimum, missing: minimum - count })
    }

    /// Gives everybody the rank that the rule says; who rose how far is the answer: (member, lifetime rank before).
    fn rerank(&mut self) -> Vec<(usize, u16)> {
        let counts = self.head_counts(self.plan.ranks.tree());
        let mut risen = Vec::new();
        for member in 0..self.members.len() {
            let rank = self.rank_by_rule(member, &counts);
            let person = &mut self.members[member];
            person.paid_as = rank;
            if person.lifetime < rank {
                risen.push((member, person.lifetime));
                person.lifetime = rank;
            }
        }
        risen
    }

    fn rank_after_signup(&mut self, member: usize, origin: Origin) {
        let risen = self.rerank();
        if origin == Origin::Import {
            return;
        }
        let mut payments = Vec::new();
        let rules: Vec<BonusRule> = self.plan.bonuses.iter().filter(|rule| rule.on_registration).cloned().collect();
        for rule in rules {
            payments.extend(self.payments(&rule, member, None, KIND_REGISTRATION));
        }
        // What one signup pays stands in the ledger by level.
        payments.sort_by_key(|payment| payment.level);
        let upline = self.upline(self.plan.ranks.tree(), member);
        for receiver in upline {
            let Some((_, before)) = risen.iter().find(|(riser, _)| *riser == receiver) else { continue };
            for rank in before + 1..=self.members[receiver].lifetime {
                let step = self.plan.ranks.steps().get(usize::from(rank) - 1);
                if let Some(reward) = step.and_then(|step| step.reward)
                    && reward != Money(0)
                {
                    payments.push(Payment { receiver, level: 0, amount: reward, kind: format!("rank:{rank}") });
                }
            }
        }
        self.pay(member, payments);
    }
}

// --- bonuses

impl Naive {
    /// What `rule` gives to whom, those who may not earn included, by level.
    fn payments(&self, rule: &BonusRule, source: usize, amount: Option<Money>, kind: &str) -> Vec<Payment> {
        let levels = rule.pay.levels();
        let mut payments = Vec::new();
        for (above, receiver) in self.upline(rule.tree, source).into_iter().enumerate() {
            let level = above + 1;
            let beyond = rule.admins_beyond && level <= ADMIN_LEVELS_MAX && self.members[receiver].role == Role::Admin;
            if levels < level && !beyond {
                continue;
            }
            let amount = rule.pay.at(level.min(levels), amount).expect("amounts were checked");
            if amount != Money(0) {
                payments.push(Payment { receiver, level: level as u32, amount, kind: kind.to_owned() });
            }
        }
        payments
    }

    /// Books payments; how many entries that made and how many were withheld from members who may not earn.
    fn pay(&mut self, source: usize, payments: Vec<Payment>) -> (u32, u32) {
        let (mut paid, mut withheld) = (0, 0);
        for payment in payments {
            if self.members[payment.receiver].status == Status::Active {
                self.entries.push(EntryPicture {
                    lsn: self.lsn,
                    time: self.time,
                    receiver: index(payment.receiver),
                    source: index(source),
                    level: payment.level,
                    amount: payment.amount,
                    kind: payment.kind,
                    status: EntryStatus::Pending,
                    plan_version: self.plan_version,
                });
                paid += 1;
            } else {
                self.breakage.0 += 1;
                self.breakage.1 += payment.amount.0;
                withheld += 1;
            }
        }
        (paid, withheld)
    }

    fn trigger_bonus(&mut self, trigger: &TriggerBonus) -> Result<Outcome, Rejection> {
        let source = self.find(&trigger.source)?;
        let rule = self.plan.bonus(&trigger.trigger).ok_or(Rejection::TriggerUnknown)?.clone();
        if matches!(rule.pay, LevelPay::Share(_)) && trigger.amount.is_none() {
            return Err(Rejection::AmountMissing);
        }
        let good = |amount: Money| 0 <= amount.0 && amount.in_range();
        // What a level would get is checked whether somebody is there or not.
        let mut shares = (1..=rule.pay.levels()).filter_map(|level| rule.pay.at(level, trigger.amount));
        if trigger.amount.is_some_and(|amount| !good(amount)) || !shares.all(good) {
            return Err(Rejection::AmountOutOfRange);
        }
        let mark = (source, trigger.trigger.to_string());
        if trigger.once && self.once.contains(&mark) {
            return Err(Rejection::TriggeredBefore);
        }
        let payments = self.payments(&rule, source, trigger.amount, &trigger.trigger);
        if trigger.once {
            self.once.insert(mark);
        }
        let first_entry = self.entries.len() as u64;
        let (entries, withheld) = self.pay(source, payments);
        Ok(Outcome::BonusPaid { first_entry, entries, withheld })
    }

    fn pay_entry(&mut self, entry: u64) -> Result<Outcome, Rejection> {
        let row = usize::try_from(entry).ok().and_then(|at| self.entries.get_mut(at)).ok_or(Rejection::EntryUnknown)?;
        let changed = row.status == EntryStatus::Pending;
        row.status = EntryStatus::Paid;
        Ok(Outcome::EntryPaid { entry, changed })
    }

    fn pay_all(&mut self) -> Outcome {
        let mut entries = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.status == EntryStatus::Pending) {
            entry.status = EntryStatus::Paid;
            entries += 1;
        }
        Outcome::AllPaid { entries }
    }

    fn import_entry(&mut self, entry: &ImportEntry) -> Result<Outcome, Rejection> {
        let receiver = self.find(&entry.receiver)?;
        let source = self.find(&entry.source)?;
        let trigger = kind_is_trigger(&entry.kind).ok_or(Rejection::TriggerUnknown)?;
        let new = trigger && !self.kinds.contains(&*entry.kind);
        if new && self.kinds.len() == KINDS_MAX {
            return Err(Rejection::PlanKindsFull);
        }
        if entry.amount.0 < 0 || !entry.amount.in_range() {
            return Err(Rejection::AmountOutOfRange);
        }
        if new {
            self.kinds.insert(entry.kind.to_string());
        }
        self.entries.push(EntryPicture {
            lsn: self.lsn,
            time: entry.time,
            receiver: index(receiver),
            source: index(source),
            level: entry.level,
            amount: entry.amount,
            kind: entry.kind.to_string(),
            status: entry.status,
            plan_version: self.plan_version,
        });
        Ok(Outcome::EntryImported { entry: self.entries.len() as u64 - 1 })
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
        // An admin is ranked beyond the cap. That is not growth, so nobody is rewarded.
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
        if !self.entries.is_empty() && plan.currency != self.plan.currency {
            return Err(Rejection::PlanCurrencyFixed);
        }
        let same_kind = matches!(
            (&plan.ranks, &self.plan.ranks),
            (RankRule::Thresholds { .. }, RankRule::Thresholds { .. }) | (RankRule::LevelFill { .. }, RankRule::LevelFill { .. })
        );
        if has_members && (!same_kind || plan.ranks.steps().len() < self.plan.ranks.steps().len()) {
            return Err(Rejection::PlanRanksRemoved);
        }
        let kinds = self.kinds.union(&trigger_names(plan)).cloned().collect::<HashSet<String>>();
        if KINDS_MAX < kinds.len() {
            return Err(Rejection::PlanKindsFull);
        }
        self.kinds = kinds;
        self.plan = plan.clone();
        self.plan_version += 1;
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

    fn admins(&self) -> usize {
        self.members.iter().filter(|person| person.role == Role::Admin).count()
    }

    fn member_picture(&self, member: usize, tables: &[HeadCounts; 2]) -> MemberPicture {
        let person = &self.members[member];
        let cap = usize::from(self.plan.level_cap);
        let count = |at: usize, k: usize| tables[at][member].get(k - 1).copied().unwrap_or(0);
        let rank_table = &tables[TREES.iter().position(|tree| *tree == self.plan.ranks.tree()).expect("there are two")];
        MemberPicture {
            id: person.id,
            sponsor: person.sponsor.map(index),
            parent: person.parent.map(index),
            slot: person.slot,
            level: self.level(member),
            sponsor_level: 1 + self.upline(Tree::Sponsor, member).len() as u32,
            joined_at: person.joined_at,
            status: person.status,
            role: person.role,
            code: person.code.clone(),
            direct: [0, 1].map(|at| count(at, 1)),
            downline: [0, 1].map(|at| self.plan.counts(TREES[at]).then(|| tables[at][member].iter().sum())),
            levels: [0, 1].map(|at| {
                let levels = || std::array::from_fn::<u32, LEVELS_MAX, _>(|k| if k < cap { count(at, k + 1) } else { 0 });
                self.plan.counts(TREES[at]).then(levels)
            }),
            paid_as: person.paid_as,
            lifetime: person.lifetime,
            next: self.next_rank(member, rank_table),
        }
    }
}

fn trigger_names(plan: &Plan) -> HashSet<String> {
    plan.bonuses.iter().map(|rule| rule.trigger.to_string()).collect()
}

/// Whether a kind of entry is a trigger's name; `None` when it is none of the kinds there are.
fn kind_is_trigger(kind: &str) -> Option<bool> {
    if kind == KIND_REGISTRATION {
        return Some(false);
    }
    if let Some(ordinal) = kind.strip_prefix("rank:") {
        let rank: u32 = ordinal.parse().ok()?;
        return (1 <= rank && rank <= 1_024 && rank.to_string() == ordinal).then_some(false);
    }
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_' || letter == '-';
    ((1..=64).contains(&kind.len()) && kind.chars().all(allowed)).then_some(true)
}

fn same_code(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}

fn index(member: usize) -> MemberIx {
    MemberIx(u32::try_from(member).expect("models are small"))
}
