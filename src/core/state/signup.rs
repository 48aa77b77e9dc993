//! Registration: the checks in order, then placement, counts, ranks and payments.

use crate::core::{
    network::{
        members::{Ranks, flags_of},
        rank::{self, Standing},
    },
    plan::PlacementRule,
    requests::command::{
        Carried, CodeRules, Origin, Outcome, PlacementRequest, Register, Rejection, SponsorRef,
    },
    state::{
        parts::State,
        prepare::Aside,
        rules::{FormatRules, Rules, kinds},
    },
    tree::placement::Spot,
    words::{
        directory::Directory,
        row_kind::RowKind,
        types::{ADMINS_MAX, Code, MEMBERS_MAX, MemberIx, Role, Status},
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

impl Rules for kinds::Register {
    type Content<'a> = &'a Register;
    type Found = Admission;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        register: Self::Content<'_>,
        format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.judge_register(directory, register, format.codes)
    }

    fn act<D: Directory>(
        state: &mut State,
        directory: &mut D,
        register: Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.register(directory, register, &found)
    }
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
        if sponsor.is_some_and(|sponsor| self.network.members().status(sponsor) != Status::Active)
            && !register.origin.carried().sponsor_too
        {
            return Err(Rejection::SponsorNotActive);
        }
        let given_code = register.code.as_ref();
        let folded_code =
            given_code.map(|code| self.judge_code(directory, code, register.origin, rules)).transpose()?;
        if register.role == Role::Admin && ADMINS_MAX <= self.network.admins().len() {
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
        if !self.network.slots().has_turn(&plan.placement, carried.turn) {
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
                if parent != sponsor && !self.network.placement().is_ancestor(sponsor, parent) {
                    return Err(Rejection::ParentOutsideSponsorSubtree);
                }
                self.judge_slot(parent, slot)?;
                Ok(Seat::Named((parent, slot)))
            }
        }
    }

    /// A named slot must be free. Without a width, slots are filled in order, so only the next one is.
    fn judge_slot(&self, parent: MemberIx, slot: u32) -> Result<(), Rejection> {
        let children = self.network.placement().link(parent).children;
        let (out_of_range, taken) = match self.plans.plan().placement.width {
            Some(width) => (u32::from(width) <= slot, self.network.placement().is_taken(parent, slot)),
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
        let ranks = Ranks { paid_as: first, lifetime };
        self.network.enter(flags_of(register), register.member, joined_at, ranks);
        self.ledger.keep_row_id(RowKind::Member, member.0, carried.row_id);
        directory.add_member(&register.member, member, |member| *self.network.members().id(member));
        let code = register.code.as_ref().zip(admission.folded_code.as_deref());
        self.network.enter_code(directory, code, member);
        let plan = self.plans.plan();
        let mut reached = self.network.attach(plan, member, admission.sponsor, spot);
        self.follow_tours();
        let plan = self.plans.plan();
        if let (Some(sponsor), Seat::ByRule(PlacementRule::RoundRobin), Some((parent, _))) =
            (admission.sponsor, &admission.seat, spot)
        {
            self.network.spilled(plan, sponsor, parent);
        }
        let has_turn = self.network.set_turn(plan, member, carried.turn);
        debug_assert!(has_turn, "judged");
        if register.role == Role::Admin {
            self.network.add_admin(member);
        }
        self.network.count_for_admins(&plan.ranks, member, &mut reached);
        if register.origin == Origin::Signup {
            self.pay_registration(member);
        }
        self.rerate_reached(member, &reached, register.origin);
        Outcome::Registered { member }
    }

    fn spot(&self, admission: &Admission) -> Option<Spot> {
        match (&admission.seat, admission.sponsor) {
            (Seat::ByRule(rule), Some(sponsor)) => Some(self.network.spot(self.plan(), sponsor, *rule)),
            (Seat::Named(spot), _) => Some(*spot),
            _ => None,
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
        self.network.rerate(&self.plans.plan().ranks, member)
    }

    /// The inputs of the plan's rank rule for a member.
    pub(in crate::core) fn standing(&self, member: MemberIx) -> Standing<'_> {
        self.network.standing(&self.plans.plan().ranks, member)
    }
}
