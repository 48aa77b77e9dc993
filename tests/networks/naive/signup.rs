//! Who may join, and where each rule places them.

use upline::core::{
    command::{Carried, CodeRules, Origin, Outcome, PlacementRequest, Register, Rejection, SponsorRef},
    plan::PlacementRule,
    types::{Role, Status},
};

use super::{ADMINS_MAX, Naive, Person, index};

#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) parent: usize,
    pub(super) slot: u32,
    /// Found by round robin, so the turns along the path advance.
    in_turn: bool,
}

impl Naive {
    fn take_carried(&mut self, carried: &Carried) -> Result<(), Rejection> {
        if carried.row_id.is_some_and(|id| self.row_ids.contains(&id)) {
            return Err(Rejection::RowIdTaken);
        }
        if self.plan.ranks.steps().len() < usize::from(carried.lifetime_rank) {
            return Err(Rejection::RankUnknown);
        }
        let placement = &self.plan.placement;
        if carried.turn != 0
            && !(placement.allows(PlacementRule::RoundRobin) && Some(carried.turn) < placement.width)
        {
            return Err(Rejection::TurnUnknown);
        }
        self.row_ids.extend(carried.row_id);
        Ok(())
    }

    pub(super) fn register(&mut self, register: &Register) -> Result<Outcome, Rejection> {
        if self.find(&register.member).is_ok() {
            return Err(Rejection::MemberExists);
        }
        let sponsor = match &register.sponsor {
            SponsorRef::None => None,
            SponsorRef::Member(id) => Some(self.find(id).map_err(|_| Rejection::SponsorUnknown)?),
            SponsorRef::Code(code) => Some(self.look_up_code(code)?.ok_or(Rejection::SponsorUnknown)?),
        };
        let carried = register.origin.carried();
        if !carried.sponsor_too
            && sponsor.is_some_and(|sponsor| self.members[sponsor].status != Status::Active)
        {
            return Err(Rejection::SponsorNotActive);
        }
        if let Some(code) = &register.code {
            if code.reads_as_id() && self.code_rules == CodeRules::Alike {
                return Err(Rejection::CodeReadsAsId);
            }
            // Imported codes were chosen elsewhere.
            let owner = if register.origin == Origin::Signup {
                self.look_up_code(code)
            } else {
                Ok(self.find_code(code))
            };
            if owner != Ok(None) {
                return Err(Rejection::CodeTaken);
            }
        }
        if register.role == Role::Admin && ADMINS_MAX <= self.admins() {
            return Err(Rejection::AdminsFull);
        }
        let place = match sponsor {
            None if register.placement != PlacementRequest::PlanDefault => {
                return Err(Rejection::RootWithPlacement);
            }
            None => None,
            Some(sponsor) => Some(self.requested_place(sponsor, register)?),
        };
        self.take_carried(&carried)?;
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
            status: carried.status,
            role: register.role,
            code: register
                .code
                .as_ref()
                .map_or_else(|| format!("generated-{member}"), |code| code.as_str().to_owned()),
            paid_as: 0,
            lifetime: carried.lifetime_rank,
            turn: carried.turn.into(),
        });
        self.rank_after_signup(member, register.origin);
        Ok(Outcome::Registered { member: index(member) })
    }

    fn requested_place(&self, sponsor: usize, register: &Register) -> Result<Place, Rejection> {
        let placement = &self.plan.placement;
        // Imported placements are kept, unless parents are always the sponsors.
        let may_name =
            placement.strategic || (register.origin != Origin::Signup && !placement.trees_coincide());
        match register.placement {
            PlacementRequest::PlanDefault => Ok(self.find_place(sponsor, self.plan.placement.default_rule)),
            PlacementRequest::Rule(rule) if self.plan.placement.allows(rule) => {
                Ok(self.find_place(sponsor, rule))
            }
            PlacementRequest::Rule(_) => Err(Rejection::RuleNotAllowed),
            PlacementRequest::Slot { .. } if !may_name => Err(Rejection::StrategicNotAllowed),
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

    /// Returns where `rule` places the next recruit of `sponsor`.
    pub(super) fn find_place(&self, sponsor: usize, rule: PlacementRule) -> Place {
        let at = |(parent, slot)| Place { parent, slot, in_turn: false };
        let lighter = || self.leg_with(sponsor, |left, right| left <= right);
        let heavier = || self.leg_with(sponsor, |left, right| right <= left);
        match rule {
            PlacementRule::BreadthFirst | PlacementRule::EvenFill => at(self.breadth_first(sponsor)),
            PlacementRule::BreadthFirstBySlot => at(self.breadth_first_by_slot(sponsor)),
            PlacementRule::Balanced => at(self.descend(sponsor, |full| self.smallest_child(full))),
            PlacementRule::RoundRobin => {
                Place { in_turn: true, ..at(self.descend(sponsor, |full| self.child_in_turn(full))) }
            }
            PlacementRule::PowerLeg => at(self
                .descend(sponsor, |full| self.child_at(full, 0).expect("a full member has a first child"))),
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

    /// Returns the placement subtree of `top`, itself included, in level order, within a level in order of
    /// the slot path.
    fn level_order(&self, top: usize) -> Vec<(usize, Vec<u32>)> {
        let with_path = |member| self.path_below(top, member).map(|path| (member, path));
        let mut subtree: Vec<(usize, Vec<u32>)> = (0..self.members.len()).filter_map(with_path).collect();
        subtree.sort_by_key(|(_, path)| (path.len(), path.clone()));
        subtree
    }

    fn breadth_first(&self, top: usize) -> (usize, u32) {
        let order = self.level_order(top);
        order
            .iter()
            .find_map(|(member, _)| Some((*member, self.free_slot(*member)?)))
            .expect("the deepest members have free slots")
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

    /// Descends from `top`, at each full member to the child that `choose` returns.
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
        let children = (0..self.width())
            .map(|slot| self.child_at(full, slot).expect("a full member has a child in each slot"));
        // `min_by_key` returns the first of equals, so ties go to the lowest slot.
        children.min_by_key(|child| self.subtree_size(*child)).expect("width is at least 1")
    }

    fn child_in_turn(&self, full: usize) -> usize {
        self.child_at(full, self.members[full].turn).expect("a full member has a child in each slot")
    }

    /// Updates the turns after a round-robin spillover from `top`: each full member on the path advances to
    /// its next child.
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

    pub(super) fn child_at(&self, parent: usize, slot: u32) -> Option<usize> {
        self.members.iter().position(|person| person.parent == Some(parent) && person.slot == slot)
    }

    fn free_slot(&self, parent: usize) -> Option<u32> {
        (0..self.width()).find(|slot| self.child_at(parent, *slot).is_none())
    }

    /// Returns the only open slot under unlimited width.
    fn next_slot(&self, parent: usize) -> u32 {
        self.members
            .iter()
            .filter(|person| person.parent == Some(parent))
            .map(|person| person.slot + 1)
            .max()
            .unwrap_or(0)
    }

    fn subtree_size(&self, top: usize) -> usize {
        (0..self.members.len()).filter(|member| self.path_below(top, *member).is_some()).count()
    }

    /// Returns the slots that lead from `top` down to `member` in the placement tree; `None` when it is not
    /// below.
    pub(super) fn path_below(&self, top: usize, member: usize) -> Option<Vec<u32>> {
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
