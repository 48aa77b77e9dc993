//! How a network grows: a new member's columns, its place in both trees, its code, and who counts it.

use crate::core::{
    network::{
        members::Ranks,
        part::{Admins, Network},
    },
    plan::{PlacementRule, Plan, RankBasis, RankRule},
    tree::{genealogy::Genealogy, placement::Spot},
    words::{
        directory::Directory,
        types::{ADMIN_LEVELS_MAX, Code, LEVELS_MAX, MemberId, MemberIx, Timestamp, Tree},
    },
};

impl Network {
    /// Appends a new member's own columns.
    pub fn enter(&mut self, flags: u32, id: MemberId, joined_at: Timestamp, ranks: Ranks) {
        self.members.push(id, joined_at, flags, ranks);
        self.count_rank(ranks.paid_as, 1);
    }

    /// Stores the code of the newest member: the given one, with its folded form, or one in place of a
    /// generated one that is taken.
    pub fn enter_code<D: Directory>(
        &mut self,
        directory: &mut D,
        given: Option<(&Code, &str)>,
        member: MemberIx,
    ) {
        let key = self.code_key();
        if let Some((code, folded)) = given {
            self.codes.push(key, member, code, folded);
            directory.add_code(folded, member);
        } else if let Some(code) = self.codes.replacement(key, directory, member) {
            let folded = code.folded();
            self.codes.push(key, member, &code, &folded);
            directory.add_code(&folded, member);
        }
    }

    /// Where a rule, which the plan must allow, puts the next member sponsored by `sponsor`.
    pub fn spot(&self, plan: &Plan, sponsor: MemberIx, rule: PlacementRule) -> Spot {
        self.slots.find(&self.placement, &plan.placement, sponsor, rule)
    }

    /// Attaches the newest member to both trees and counts it there. Returns the members whose count reached
    /// a rank's minimum, nearest first.
    pub fn attach(
        &mut self,
        plan: &Plan,
        member: MemberIx,
        sponsor: Option<MemberIx>,
        spot: Option<Spot>,
    ) -> Vec<MemberIx> {
        let mut reached = Vec::new();
        let Self { shape, placement, sponsors, slots, .. } = self;
        let shape = &mut **shape;
        let [sponsor_watch, placement_watch] = &shape.watches;
        placement.attach(spot, placement_watch, &mut reached);
        if !shape.trees_coincide {
            let recruit = sponsor.map(|sponsor| (sponsor, sponsors.link(sponsor).children));
            sponsors.attach(recruit, sponsor_watch, &mut reached);
        }
        slots.attached(placement, &plan.placement, member);
        shape.depth = shape.depth.max(placement.link(member).level);
        if let RankRule::Thresholds { tree, basis: RankBasis::Direct, .. } = plan.ranks {
            reached.extend(MemberIx::from_column(self.tree(tree).link(member).parent));
        }
        reached
    }

    /// Advances the turn of `sponsor` after round robin put a member below `parent`.
    pub fn spilled(&mut self, plan: &Plan, sponsor: MemberIx, parent: MemberIx) {
        self.slots.spilled(&self.placement, &plan.placement, sponsor, parent);
    }

    /// Sets a member's turn. Returns whether the plan has it.
    pub fn set_turn(&mut self, plan: &Plan, member: MemberIx, turn: u16) -> bool {
        self.slots.set_turn(&plan.placement, member, turn)
    }

    /// Adds the newest member, which nobody is below, to the admins.
    pub fn add_admin(&mut self, member: MemberIx) {
        self.admins.insert(member, [Vec::new(), Vec::new()]);
    }

    /// Counts the newest member for admins more than `LEVELS_MAX` levels above it. Those that the rank rule
    /// counts for are added to `reached`.
    pub fn count_for_admins(&mut self, rule: &RankRule, member: MemberIx, reached: &mut Vec<MemberIx>) {
        if self.admins.is_empty() || !self.placement.is_counted() {
            return;
        }
        let ranked = self.kept_tree(rule.tree());
        let trees: Vec<Tree> = self.counted_trees().collect();
        for tree in trees {
            let Self { admins, placement, sponsors, .. } = self;
            let genealogy = if tree == Tree::Placement { placement } else { sponsors };
            for (distance, admin) in admins_far_above(admins, genealogy, member) {
                let deep = admins.get_mut(&admin).expect("it was among the keys");
                add_at(&mut deep[tree as usize], distance - LEVELS_MAX - 1);
                if tree == ranked {
                    reached.push(admin);
                }
            }
        }
    }
}

/// Admins more than `LEVELS_MAX` levels above a member, with the distance, nearest first.
fn admins_far_above(admins: &Admins, tree: &Genealogy, member: MemberIx) -> Vec<(usize, MemberIx)> {
    let distance_to = |admin: &MemberIx| {
        let distance = tree.link(member).level.saturating_sub(tree.link(*admin).level) as usize;
        let counted =
            LEVELS_MAX < distance && distance <= ADMIN_LEVELS_MAX && tree.is_ancestor(*admin, member);
        counted.then_some((distance, *admin))
    };
    let mut above: Vec<(usize, MemberIx)> = admins.keys().filter_map(distance_to).collect();
    above.sort_unstable();
    above
}

pub(in crate::core) fn add_at(counts: &mut Vec<u32>, place: usize) {
    if counts.len() <= place {
        counts.resize(place + 1, 0);
    }
    counts[place] += 1;
}
