//! Placement: the rules for a new member's position, each in at most the depth of the slot it finds.
//!
//! Searching the sponsor's downline is what made the services we replace slow. Instead each member stores
//! what its plan's rules need to route newcomers: the distance to the nearest free slot (breadth first), the
//! end of its leg (power leg, outside), its turn (round robin). Only what an allowed rule needs is stored.
//! Definitions: `PlacementRule`.

use crate::core::{
    plan::{Placement, PlacementRule},
    store::{
        column::{Column, freeze_fields},
        pace::Pace,
    },
    tree::{full::FullFamilies, genealogy::Genealogy, open_key::OpenKey, spines::Spines},
    words::types::{MemberIx, NONE, index},
};

/// A parent and a slot under it.
pub(crate) type Spot = (MemberIx, u32);

/// Prefetched children of a full member: as many as the usual widths have.
const PREFETCHED_CHILDREN: usize = 16;

/// The default has no data for any rule, as a shadow needs none.
#[derive(Default)]
pub(crate) struct SlotFinder {
    open: Option<Column<OpenKey>>,
    power: Option<Spines>,
    left: Option<Spines>,
    right: Option<Spines>,
    turns: Option<Column<u16>>,
    full: FullFamilies,
}

freeze_fields!(SlotFinder { open, power, left, right, turns, full });

impl SlotFinder {
    /// The data that the rules of `placement` need.
    pub fn new(placement: &Placement) -> Self {
        use PlacementRule as Rule;
        let uses = |rules: &[Rule]| placement.any_rule(|rule| rules.contains(&effective(placement, rule)));
        let open = [
            Rule::BreadthFirst,
            Rule::BreadthFirstBySlot,
            Rule::WeakLegEven,
            Rule::StrongLegEven,
            Rule::EvenFill,
            Rule::LeftEven,
            Rule::RightEven,
        ];
        let outside = [Rule::WeakLegOutside, Rule::StrongLegOutside];
        Self {
            open: uses(&open).then(Column::new),
            power: uses(&[Rule::PowerLeg]).then(Spines::new),
            left: (uses(&[Rule::Left]) || uses(&outside)).then(Spines::new),
            right: (uses(&[Rule::Right]) || uses(&outside)).then(Spines::new),
            turns: uses(&[Rule::RoundRobin]).then(Column::new),
            full: FullFamilies::default(),
        }
    }

    /// Where `rule`, which the plan must allow, puts the next member sponsored by `sponsor`.
    pub fn find(
        &self,
        tree: &Genealogy,
        placement: &Placement,
        sponsor: MemberIx,
        rule: PlacementRule,
    ) -> Spot {
        use PlacementRule as Rule;
        let Some(width) = placement.width.map(u32::from) else {
            return (sponsor, tree.link(sponsor).children);
        };
        let leg = |slot: u32, fill: Fill| match tree.child_in(sponsor, slot) {
            Some(child) => self.fill(tree, child, slot, fill),
            None => (sponsor, slot),
        };
        match effective(placement, rule) {
            Rule::BreadthFirst | Rule::EvenFill => self.breadth_first(tree, sponsor, false),
            Rule::BreadthFirstBySlot => self.breadth_first(tree, sponsor, true),
            Rule::Balanced => balanced(tree, width, sponsor),
            Rule::RoundRobin => self.round_robin(tree, width, sponsor),
            Rule::PowerLeg => {
                let end = self.power.as_ref().expect("kept for power leg").end(sponsor);
                (end, tree.lowest_free(end))
            }
            Rule::Unilevel => unreachable!("a plan with a width does not allow unilevel"),
            Rule::Left => self.outside(sponsor, 0),
            Rule::Right => self.outside(sponsor, 1),
            Rule::WeakLegOutside => leg(weak_leg(tree, sponsor), Fill::Outside),
            Rule::WeakLegEven => leg(weak_leg(tree, sponsor), Fill::Even),
            Rule::StrongLegOutside => leg(strong_leg(tree, sponsor), Fill::Outside),
            Rule::StrongLegEven => leg(strong_leg(tree, sponsor), Fill::Even),
            Rule::LeftEven => leg(0, Fill::Even),
            Rule::RightEven => leg(1, Fill::Even),
        }
    }

    /// Prefetches what a search from `member` reads first. The result is meaningless.
    pub fn prefetch(&self, member: MemberIx) -> u32 {
        self.open.as_ref().map_or(0, |open| open.get(member.at()).0)
    }

    /// Prefetches what a search reads to descend from `member`. The result is meaningless.
    pub fn prefetch_children(&self, tree: &Genealogy, member: MemberIx) -> u32 {
        let Some(open) = &self.open else { return 0 };
        if open.get(member.at()).distance() == 0 {
            return 0;
        }
        tree.children(member).take(PREFETCHED_CHILDREN).fold(0, |seen, child| seen ^ open.get(child.at()).0)
    }

    /// The next member on the breadth-first path from `member` to the free slot; `member` itself at the end.
    pub fn step_down(&self, tree: &Genealogy, member: MemberIx) -> MemberIx {
        let Some(open) = &self.open else { return member };
        let distance = open.get(member.at()).distance();
        if distance == 0 {
            return member;
        }
        self.full.first_with(tree, open, member, |key| key.distance() + 1 == distance).unwrap_or(member)
    }

    /// Records all members of `tree`, none of which was recorded before: like `attached` one by one, in O(n).
    /// Turns are 0.
    pub fn attached_all(&mut self, tree: &Genealogy, placement: &Placement) {
        let members = tree.len();
        if let Some(open) = &mut self.open {
            *open = Column::filled(OpenKey::here(0), members);
        }
        if let Some(turns) = &mut self.turns {
            *turns = Column::filled(0, members);
        }
        for spines in [&mut self.power, &mut self.left, &mut self.right].into_iter().flatten() {
            (0..members).paced().for_each(|member| spines.push(index(member)));
        }
        let Some(width) = placement.width.map(u32::from) else { return };
        let by_slot = placement.any_rule(|rule| rule == PlacementRule::BreadthFirstBySlot);
        // A key follows from those of the children.
        for member in tree.order().children_first() {
            let link = tree.link(member);
            if let Some(open) = &mut self.open
                && link.first_child != NONE
            {
                if link.children == width {
                    self.full.note(tree, Some(open), member);
                }
                let key = open_key(open, &self.full, tree, width, member, by_slot);
                *open.get_mut(member.at()) = key;
            } else if link.children == width && self.turns.is_some() {
                self.full.note(tree, None, member);
            }
            if let (true, Some(power)) = (link.children == width, &mut self.power) {
                power.join(member, MemberIx(link.first_child));
            }
            let Some(parent) = MemberIx::from_column(link.parent) else { continue };
            match (link.slot, &mut self.left, &mut self.right) {
                (0, Some(left), _) => left.join(parent, member),
                (1, _, Some(right)) => right.join(parent, member),
                _ => {}
            }
        }
    }

    /// Records the member that was just attached to `tree`.
    pub fn attached(&mut self, tree: &Genealogy, placement: &Placement, member: MemberIx) {
        self.open.iter_mut().for_each(|open| open.push(OpenKey::here(0)));
        self.turns.iter_mut().for_each(|turns| turns.push(0));
        for spines in [&mut self.power, &mut self.left, &mut self.right].into_iter().flatten() {
            spines.push(member);
        }
        let link = tree.link(member);
        let (Some(parent), Some(width)) = (MemberIx::from_column(link.parent), placement.width) else {
            return;
        };
        let full = tree.link(parent).children == u32::from(width);
        if full && (self.open.is_some() || self.turns.is_some()) {
            self.full.note(tree, self.open.as_ref(), parent);
        }
        if let (true, Some(power)) = (full, &mut self.power) {
            power.join(parent, MemberIx(tree.link(parent).first_child));
        }
        if let (0, Some(left)) = (link.slot, &mut self.left) {
            left.join(parent, member);
        }
        if let (1, Some(right)) = (link.slot, &mut self.right) {
            right.join(parent, member);
        }
        let by_slot = placement.any_rule(|rule| rule == PlacementRule::BreadthFirstBySlot);
        self.update_open(tree, u32::from(width), parent, by_slot);
    }

    /// Advances the turn of each member that the spill from `sponsor` down to `parent` passed.
    pub fn spilled(&mut self, tree: &Genealogy, placement: &Placement, sponsor: MemberIx, parent: MemberIx) {
        let (Some(turns), Some(width)) = (&mut self.turns, placement.width) else { return };
        if sponsor == parent {
            return;
        }
        for passed in tree.upline(parent) {
            let turn = turns.get_mut(passed.at());
            *turn = (*turn + 1) % width;
            if passed == sponsor {
                return;
            }
        }
    }

    pub fn turn(&self, member: MemberIx) -> u16 {
        self.turns.as_ref().map_or(0, |turns| *turns.get(member.at()))
    }

    /// Whether a member can have this turn under the plan: 0 always, others only if it has turns.
    pub fn has_turn(&self, placement: &Placement, turn: u16) -> bool {
        turn == 0 || self.turns.is_some() && placement.width.is_some_and(|width| turn < width)
    }

    /// Sets a restored or imported turn. Returns false if the plan has no such turn.
    pub fn set_turn(&mut self, placement: &Placement, member: MemberIx, turn: u16) -> bool {
        let has_turn = self.has_turn(placement, turn);
        if let (true, Some(turns)) = (has_turn && turn != 0, &mut self.turns) {
            *turns.get_mut(member.at()) = turn;
        }
        has_turn
    }

    fn fill(&self, tree: &Genealogy, child: MemberIx, slot: u32, fill: Fill) -> Spot {
        match fill {
            Fill::Outside => self.outside(child, slot),
            Fill::Even => self.breadth_first(tree, child, false),
        }
    }

    /// The end of the spine of children in `slot` 0 or 1 through `member`.
    fn outside(&self, member: MemberIx, slot: u32) -> Spot {
        let spines = if slot == 0 { &self.left } else { &self.right };
        (spines.as_ref().expect("kept for outside rules").end(member), slot)
    }

    fn breadth_first(&self, tree: &Genealogy, sponsor: MemberIx, by_slot: bool) -> Spot {
        let open = self.open.as_ref().expect("kept for breadth first");
        let mut at = sponsor;
        let mut key = *open.get(at.at());
        while 0 < key.distance() {
            let leads_there = |below: OpenKey| {
                let below = below.one_level_down();
                if by_slot { below == key } else { below.distance() == key.distance() }
            };
            at = self
                .full
                .first_with(tree, open, at, leads_there)
                .expect("a full member's key is one of its children's");
            key = *open.get(at.at());
        }
        (at, tree.lowest_free(at))
    }

    fn round_robin(&self, tree: &Genealogy, width: u32, sponsor: MemberIx) -> Spot {
        let turns = self.turns.as_ref().expect("kept for round robin");
        let mut at = sponsor;
        while tree.link(at).children == width {
            let turn = u32::from(*turns.get(at.at()));
            at = self.full.child_in(tree, at, turn).expect("a full member has a child in each slot");
        }
        (at, tree.lowest_free(at))
    }

    /// Updates the keys of `member` and of the ancestors affected.
    fn update_open(&mut self, tree: &Genealogy, width: u32, member: MemberIx, by_slot: bool) {
        let Some(open) = &mut self.open else { return };
        let mut at = member;
        loop {
            let key = open_key(open, &self.full, tree, width, at, by_slot);
            if *open.get(at.at()) == key {
                return;
            }
            *open.get_mut(at.at()) = key;
            let Some(parent) = MemberIx::from_column(tree.link(at).parent) else { return };
            if tree.link(parent).children < width {
                return;
            }
            self.full.changed(tree, open, parent, at);
            at = parent;
        }
    }
}

#[derive(Clone, Copy)]
enum Fill {
    Outside,
    Even,
}

/// The key of a member whose children's keys are known.
fn open_key(
    open: &Column<OpenKey>,
    full: &FullFamilies,
    tree: &Genealogy,
    width: u32,
    member: MemberIx,
    by_slot: bool,
) -> OpenKey {
    if tree.link(member).children < width {
        return OpenKey::here(if by_slot { tree.lowest_free(member) } else { 0 });
    }
    full.least(tree, open, member).one_level_down()
}

/// With width 1 there is a single leg, and all rules mean its end; "levels down" would grow without bound
/// there.
fn effective(placement: &Placement, rule: PlacementRule) -> PlacementRule {
    if placement.width == Some(1) { PlacementRule::PowerLeg } else { rule }
}

fn balanced(tree: &Genealogy, width: u32, sponsor: MemberIx) -> Spot {
    let mut at = sponsor;
    while tree.link(at).children == width {
        // `min_by_key` returns the first of equal keys: the lowest slot.
        at =
            tree.children(at).min_by_key(|child| downline(tree, *child)).expect("a full member has children");
    }
    (at, tree.lowest_free(at))
}

fn downline(tree: &Genealogy, member: MemberIx) -> u32 {
    tree.downline(member).expect("the placement tree is counted")
}

fn leg_sizes(tree: &Genealogy, sponsor: MemberIx) -> [u32; 2] {
    [0, 1].map(|slot| tree.child_in(sponsor, slot).map_or(0, |child| 1 + downline(tree, child)))
}

fn weak_leg(tree: &Genealogy, sponsor: MemberIx) -> u32 {
    let [left, right] = leg_sizes(tree, sponsor);
    u32::from(right < left)
}

fn strong_leg(tree: &Genealogy, sponsor: MemberIx) -> u32 {
    let [left, right] = leg_sizes(tree, sponsor);
    u32::from(left < right)
}
