//! Counts per level and ranks, recounted each time.

use upline::core::{
    NextRank,
    command::Origin,
    plan::{BonusRule, KIND_REGISTRATION, RankBasis, RankRule},
    types::{Money, Role, Tree},
};

use super::{ADMIN_LEVELS_MAX, Naive, Payment};

/// `[member][k]`: descendants of a member exactly `k + 1` edges below.
pub(super) type HeadCounts = Vec<Vec<u32>>;

impl Naive {
    fn above(&self, tree: Tree, member: usize) -> Option<usize> {
        match tree {
            Tree::Sponsor => self.members[member].sponsor,
            Tree::Placement => self.members[member].parent,
        }
    }

    /// Nearest first.
    pub(super) fn upline(&self, tree: Tree, member: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.above(tree, member), move |here| self.above(tree, *here))
    }

    pub(super) fn head_counts(&self, tree: Tree) -> HeadCounts {
        let mut counts = vec![Vec::new(); self.members.len()];
        for member in 0..self.members.len() {
            for (distance, above) in self.upline(tree, member).enumerate() {
                let levels: &mut Vec<u32> = &mut counts[above];
                if levels.len() <= distance {
                    levels.resize(distance + 1, 0);
                }
                levels[distance] += 1;
            }
        }
        counts
    }

    pub(super) fn level(&self, member: usize) -> u32 {
        1 + self.upline(Tree::Placement, member).count() as u32
    }

    /// The highest rank that a member can have.
    fn top_rank(&self, member: usize) -> u16 {
        let steps = self.plan.ranks.steps().len();
        match self.plan.ranks {
            RankRule::LevelFill { .. } if self.members[member].role == Role::Admin && steps != 0 => {
                ADMIN_LEVELS_MAX as u16
            }
            RankRule::LevelFill { .. } => steps.max(1) as u16,
            RankRule::Thresholds { .. } => steps as u16,
        }
    }

    /// Members required on level `k` of a level-fill rank. For admins the last minimum repeats.
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

    pub(super) fn next_rank(&self, member: usize, counts: &HeadCounts) -> Option<NextRank> {
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
                // Rank 1 is held from the start, so what limits a member there may be level 1 or level 2.
                let level = if on_level(1) < self.minimum_on_level(1) { 1 } else { usize::from(rank) };
                (level, on_level(level), self.minimum_on_level(level))
            }
        };
        Some(NextRank { rank, level: level as u32, minimum, missing: minimum - count })
    }

    /// Gives every member the rank by the rule; returns promotions: (member, lifetime rank before).
    pub(super) fn rerank(&mut self) -> Vec<(usize, u16)> {
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

    pub(super) fn rank_after_signup(&mut self, member: usize, origin: Origin) {
        let risen = self.rerank();
        if origin != Origin::Signup {
            return;
        }
        let mut payments = Vec::new();
        let rules: Vec<BonusRule> =
            self.plan.bonuses.iter().filter(|rule| rule.on_registration).cloned().collect();
        for rule in rules {
            payments.extend(self.payments(&rule, member, None, KIND_REGISTRATION));
            self.itemize_unreached(&rule, member, None);
        }
        // Payments of one signup are in the ledger by level.
        payments.sort_by_key(|payment| payment.level);
        for receiver in self.upline(self.plan.ranks.tree(), member) {
            let Some((_, before)) = risen.iter().find(|(riser, _)| *riser == receiver) else { continue };
            for rank in before + 1..=self.members[receiver].lifetime {
                let step = self.plan.ranks.steps().get(usize::from(rank) - 1);
                if let Some(reward) = step.and_then(|step| step.reward)
                    && reward != Money(0)
                {
                    payments.push(Payment {
                        receiver,
                        level: 0,
                        amount: reward,
                        kind: format!("rank:{rank}"),
                    });
                }
            }
        }
        self.pay(member, payments, None);
    }
}
