//! Registration: the checks in order, then placement, counts, ranks and payments.

use crate::core::{
    network::{
        members::{Ranks, flags_of},
        rank::{self, Standing},
    },
    plan::{PlacementRule, RankBasis, RankRule},
    requests::command::{
        Carried, CodeRules, Origin, Outcome, PlacementRequest, Register, Rejection, SponsorRef,
    },
    state::parts::State,
    tree::placement::Spot,
    words::{
        directory::Directory,
        row_kind::RowKind,
        types::{
            ADMIN_LEVELS_MAX, ADMINS_MAX, Code, LEVELS_MAX, MEMBERS_MAX, MemberId, MemberIx, Role, Status,
            Timestamp, Tree,
        },
    },
};

/// What judging a registration found.
pub(in crate::core) struct Admission {
    sponsor: Option<MemberIx>,
    /// The given code, folded ([`Code::folded`]).
    folded_code: Option<String>,
    seat: Seat,
}

enum Seat {
    Root,
    ByRule(PlacementRule),
    Named(Spot),
}

impl State {
    /// The checks of a registration, in the order of precedence.
    pub(in crate::core) fn judge_register<D: Directory>(
        &self,
        directory: &D,
        register: &Register,
        rules: CodeRules,
    ) -> Result<Admission, Rejection> {
        if self.find(directory, &register.member).is_some() {
            return Err(Rejection::MemberExists);
        }
        if MEMBERS_MAX <= self.len() {
            return Err(Rejection::NetworkFull);
        }
        if register.origin == Origin::Signup && !self.has_room_for_signup() {
            return Err(Rejection::LedgerFull);
        }
        let sponsor = match &register.sponsor {
            SponsorRef::None => None,
            SponsorRef::Member(id) => Some(self.find(directory, id).ok_or(Rejection::SponsorUnknown)?),
            SponsorRef::Code(code) => {
                let owner = match rules {
                    CodeRules::Exact => self.member_by_code(directory, code),
                    CodeRules::Alike => self.look_up_code(directory, code)?,
                };
                Some(owner.ok_or(Rejection::SponsorUnknown)?)
            }
        };
        if sponsor.is_some_and(|sponsor| self.members.status(sponsor) != Status::Active)
            && !register.origin.carried().sponsor_too
        {
            return Err(Rejection::SponsorNotActive);
        }
        let given_code = register.code.as_ref();
        let folded_code =
            given_code.map(|code| self.judge_code(directory, code, register.origin, rules)).transpose()?;
        if register.role == Role::Admin && ADMINS_MAX <= self.admins.len() {
            return Err(Rejection::AdminsFull);
        }
        let seat = self.judge_seat(directory, sponsor, register)?;
        if let Origin::Import(carried) = &register.origin {
            self.judge_carried(carried)?;
        }
        Ok(Admission { sponsor, folded_code, seat })
    }

    /// Whether a member may have a code; returns it folded. An imported code was chosen elsewhere, and may be
    /// similar to another, but not equal.
    fn judge_code<D: Directory>(
        &self,
        directory: &D,
        code: &Code,
        origin: Origin,
        rules: CodeRules,
    ) -> Result<String, Rejection> {
        let folded = code.folded();
        let is_free = match (rules, origin) {
            (CodeRules::Alike, _) if code.reads_as_id() => return Err(Rejection::CodeReadsAsId),
            (CodeRules::Alike, Origin::Signup) => self.owner_of_code(directory, &folded) == Ok(None),
            (CodeRules::Alike, Origin::Import(_)) | (CodeRules::Exact, _) => {
                self.owner_of_exact_code(directory, &folded).is_none()
            }
        };
        if is_free { Ok(folded) } else { Err(Rejection::CodeTaken) }
    }

    /// Whether a code could be chosen now: no member has it or a similar one, and it does not read as a UUID.
    pub fn may_choose<D: Directory>(&self, directory: &D, code: &Code) -> bool {
        self.judge_code(directory, code, Origin::Signup, CodeRules::Alike).is_ok()
    }

    /// Carried history must exist in the plan, and the row id must be unused.
    fn judge_carried(&self, carried: &Carried) -> Result<(), Rejection> {
        self.ledger.judge_row_id(carried.row_id)?;
        let plan = self.plan();
        if plan.ranks.steps().len() < usize::from(carried.lifetime_rank) {
            return Err(Rejection::RankUnknown);
        }
        if !self.slots.has_turn(&plan.placement, carried.turn) {
            return Err(Rejection::TurnUnknown);
        }
        Ok(())
    }

    /// An imported member keeps its position, whatever rule put it there: an import may name slots under any
    /// plan whose parents need not be the sponsors.
    fn judge_seat<D: Directory>(
        &self,
        directory: &D,
        sponsor: Option<MemberIx>,
        register: &Register,
    ) -> Result<Seat, Rejection> {
        let placement = &self.plans.plan().placement;
        let request = register.placement;
        let may_name_slots =
            placement.strategic || (register.origin != Origin::Signup && !placement.trees_coincide());
        let Some(sponsor) = sponsor else {
            return if request == PlacementRequest::PlanDefault {
                Ok(Seat::Root)
            } else {
                Err(Rejection::RootWithPlacement)
            };
        };
        match request {
            PlacementRequest::PlanDefault => Ok(Seat::ByRule(placement.default_rule)),
            PlacementRequest::Rule(rule) if placement.allows(rule) => Ok(Seat::ByRule(rule)),
            PlacementRequest::Rule(_) => Err(Rejection::RuleNotAllowed),
            PlacementRequest::Slot { .. } if !may_name_slots => Err(Rejection::StrategicNotAllowed),
            PlacementRequest::Slot { parent, slot } => {
                let parent = self.find(directory, &parent).ok_or(Rejection::ParentUnknown)?;
                if parent != sponsor && !self.placement.is_ancestor(sponsor, parent) {
                    return Err(Rejection::ParentOutsideSponsorSubtree);
                }
                self.judge_slot(parent, slot)?;
                Ok(Seat::Named((parent, slot)))
            }
        }
    }

    /// A named slot must be free. Without a width, slots are filled in order, so only the next one is.
    fn judge_slot(&self, parent: MemberIx, slot: u32) -> Result<(), Rejection> {
        let children = self.placement.link(parent).children;
        let (out_of_range, taken) = match self.plans.plan().placement.width {
            Some(width) => (u32::from(width) <= slot, self.placement.is_taken(parent, slot)),
            None => (children < slot, slot < children),
        };
        match (out_of_range, taken) {
            (true, _) => Err(Rejection::SlotOutOfRange),
            (_, true) => Err(Rejection::SlotTaken),
            _ => Ok(()),
        }
    }

    pub(in crate::core) fn register<D: Directory>(
        &mut self,
        directory: &mut D,
        register: &Register,
        admission: &Admission,
    ) -> Outcome {
        let member = MemberIx(self.len());
        let spot = self.spot(admission);
        let first = rank::first_rank(&self.plans.plan().ranks);
        let joined_at = register.joined_at.unwrap_or(self.scalars.time);
        let carried = register.origin.carried();
        let lifetime = first.max(carried.lifetime_rank);
        self.enter(flags_of(register), register.member, joined_at, Ranks { paid_as: first, lifetime });
        self.ledger.keep_row_id(RowKind::Member, member.0, carried.row_id);
        directory.add_member(&register.member, member, |member| *self.members.id(member));
        self.enter_code(directory, register.code.as_ref().zip(admission.folded_code.as_deref()), member);
        let mut reached = self.attach(member, admission.sponsor, spot);
        if let (Some(sponsor), Seat::ByRule(PlacementRule::RoundRobin), Some((parent, _))) =
            (admission.sponsor, &admission.seat, spot)
        {
            self.slots.spilled(&self.placement, &self.plans.plan().placement, sponsor, parent);
        }
        let has_turn = self.slots.set_turn(&self.plans.plan().placement, member, carried.turn);
        debug_assert!(has_turn, "judged");
        if register.role == Role::Admin {
            self.admins.insert(member, [Vec::new(), Vec::new()]);
        }
        self.count_for_admins(member, &mut reached);
        if register.origin == Origin::Signup {
            self.pay_registration(member);
        }
        self.rerate_reached(member, &reached, register.origin);
        Outcome::Registered { member }
    }

    fn spot(&self, admission: &Admission) -> Option<Spot> {
        match (&admission.seat, admission.sponsor) {
            (Seat::ByRule(rule), Some(sponsor)) => {
                Some(self.slots.find(&self.placement, &self.plans.plan().placement, sponsor, *rule))
            }
            (Seat::Named(spot), _) => Some(*spot),
            _ => None,
        }
    }

    /// Appends the member's own columns.
    pub(in crate::core) fn enter(&mut self, flags: u32, id: MemberId, joined_at: Timestamp, ranks: Ranks) {
        self.members.push(id, joined_at, flags, ranks);
        self.count_rank(ranks.paid_as, 1);
    }

    /// Stores the code of a new member: the given one, with its folded form, or one in place of a generated
    /// one that is taken.
    fn enter_code<D: Directory>(
        &mut self,
        directory: &mut D,
        given: Option<(&Code, &str)>,
        member: MemberIx,
    ) {
        let key = self.scalars.code_key;
        if let Some((code, folded)) = given {
            self.codes.push(key, member, code, folded);
            directory.add_code(folded, member);
        } else if let Some(code) = self.codes.replacement(key, directory, member) {
            let folded = code.folded();
            self.codes.push(key, member, &code, &folded);
            directory.add_code(&folded, member);
        }
    }

    /// Attaches the newest member to both trees and counts it there. Returns the members whose count reached
    /// a rank's minimum, nearest first.
    pub(in crate::core) fn attach(
        &mut self,
        member: MemberIx,
        sponsor: Option<MemberIx>,
        spot: Option<Spot>,
    ) -> Vec<MemberIx> {
        let mut reached = Vec::new();
        let Self { scalars, plans, placement, sponsors, slots, .. } = self;
        let scalars = &mut **scalars;
        let [sponsor_watch, placement_watch] = &scalars.watches;
        placement.attach(spot, placement_watch, &mut reached);
        if !plans.plan().placement.trees_coincide() {
            let recruit = sponsor.map(|sponsor| (sponsor, sponsors.link(sponsor).children));
            sponsors.attach(recruit, sponsor_watch, &mut reached);
        }
        slots.attached(placement, &plans.plan().placement, member);
        scalars.depth = scalars.depth.max(placement.link(member).level);
        if let RankRule::Thresholds { tree, basis: RankBasis::Direct, .. } = plans.plan().ranks {
            reached.extend(MemberIx::from_column(self.tree(tree).link(member).parent));
        }
        reached
    }

    /// Counts the newest member for admins more than `LEVELS_MAX` levels above it.
    pub(in crate::core) fn count_for_admins(&mut self, member: MemberIx, reached: &mut Vec<MemberIx>) {
        if self.admins.is_empty() {
            return;
        }
        let trees: Vec<Tree> = self.counted_trees().collect();
        for tree in trees {
            let genealogy = self.tree(tree);
            let distance_to = |admin: &MemberIx| {
                let distance =
                    genealogy.link(member).level.saturating_sub(genealogy.link(*admin).level) as usize;
                let counted = LEVELS_MAX < distance
                    && distance <= ADMIN_LEVELS_MAX
                    && genealogy.is_ancestor(*admin, member);
                counted.then_some((distance, *admin))
            };
            let mut above: Vec<(usize, MemberIx)> = self.admins.keys().filter_map(distance_to).collect();
            above.sort_unstable();
            for (distance, admin) in above {
                let deep = self.admins.get_mut(&admin).expect("it was among the keys");
                add_at(&mut deep[tree as usize], distance - LEVELS_MAX - 1);
                if tree == self.kept_tree(self.plans.plan().ranks.tree()) {
                    reached.push(admin);
                }
            }
        }
    }

    /// Re-rates the ancestors of `member` that reached a minimum, and pays rewards for ranks reached for the
    /// first time.
    fn rerate_reached(&mut self, member: MemberIx, reached: &[MemberIx], origin: Origin) {
        for receiver in reached {
            let (before, after) = self.rerate(*receiver);
            if origin == Origin::Signup {
                for rank in before.lifetime + 1..=after.lifetime {
                    self.pay_reward(member, *receiver, rank);
                }
            }
        }
    }

    /// Updates a member's ranks from its counts. Returns those before and after.
    pub(in crate::core) fn rerate(&mut self, member: MemberIx) -> (Ranks, Ranks) {
        let before = self.members.ranks(member);
        let paid_as = rank::paid_as(&self.plans.plan().ranks, &self.standing(member));
        let after = Ranks { paid_as, lifetime: before.lifetime.max(paid_as) };
        if before != after {
            self.members.set_ranks(member, after);
            self.count_rank(before.paid_as, -1);
            self.count_rank(after.paid_as, 1);
        }
        (before, after)
    }

    /// The inputs of the plan's rank rule for a member.
    pub(in crate::core) fn standing(&self, member: MemberIx) -> Standing<'_> {
        let tree = self.kept_tree(self.plans.plan().ranks.tree());
        let genealogy = self.tree(tree);
        Standing {
            direct: genealogy.link(member).children,
            near_downline: genealogy.near_downline(member).unwrap_or(0),
            levels: genealogy.levels(member).unwrap_or([0; LEVELS_MAX]),
            deep: self.admins.get(&member).map(|deep| deep[tree as usize].as_slice()),
        }
    }

    pub(in crate::core) fn count_rank(&mut self, rank: u16, change: i64) {
        let distribution = &mut self.scalars.rank_distribution;
        let at = usize::from(rank);
        if distribution.len() <= at {
            distribution.resize(at + 1, 0);
        }
        distribution[at] =
            distribution[at].checked_add_signed(change).expect("each member is counted at one rank");
    }
}

pub(in crate::core) fn add_at(counts: &mut Vec<u32>, place: usize) {
    if counts.len() <= place {
        counts.resize(place + 1, 0);
    }
    counts[place] += 1;
}
