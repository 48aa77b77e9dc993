//! Ranks: a member's rank from its counts under the plan.

use std::sync::Arc;

use crate::core::{
    plan::{Plan, RankBasis, RankRule},
    tree::counting::Watch,
    words::types::{ADMIN_LEVELS_MAX, LEVELS_MAX, Tree},
};

/// The inputs of a rank rule, for one member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'state> {
    pub direct: u32,
    /// Exact up to the largest minimum.
    pub near_downline: u32,
    pub levels: [u32; LEVELS_MAX],
    /// Levels beyond, for admins.
    pub deep: Option<&'state [u32]>,
}

impl Standing<'_> {
    /// Head-count of a level from 1.
    pub fn level(&self, level: usize) -> u32 {
        let deep = || self.deep.and_then(|deep| deep.get(level - LEVELS_MAX - 1)).copied().unwrap_or(0);
        if level <= LEVELS_MAX { self.levels[level - 1] } else { deep() }
    }
}

/// The rank a member holds.
pub(crate) fn paid_as(rule: &RankRule, standing: &Standing<'_>) -> u16 {
    let rank = match rule {
        RankRule::Thresholds { basis, steps, .. } => {
            let count = match basis {
                RankBasis::Direct => standing.direct,
                RankBasis::Downline => standing.near_downline,
            };
            steps.iter().take_while(|step| step.minimum <= count).count()
        }
        RankRule::LevelFill { .. } => filled_levels(rule, standing).max(1),
    };
    u16::try_from(rank).expect("ranks are limited by RANKS_MAX and ADMIN_LEVELS_MAX")
}

/// The rank a member has on joining.
pub(crate) fn first_rank(rule: &RankRule) -> u16 {
    match rule {
        RankRule::Thresholds { .. } => 0,
        RankRule::LevelFill { .. } => 1,
    }
}

/// Requirements of the next rank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextRank {
    pub rank: u16,
    /// The level whose head-count matters, for level fill; 0 otherwise.
    pub level: u32,
    pub minimum: u32,
    pub missing: u32,
}

pub(crate) fn next_rank(rule: &RankRule, standing: &Standing<'_>) -> Option<NextRank> {
    match rule {
        RankRule::Thresholds { basis, steps, .. } => {
            let held = paid_as(rule, standing);
            let minimum = steps.get(usize::from(held))?.minimum;
            let count = if *basis == RankBasis::Direct { standing.direct } else { standing.near_downline };
            Some(NextRank { rank: held + 1, level: 0, minimum, missing: minimum - count })
        }
        RankRule::LevelFill { .. } => {
            let level = filled_levels(rule, standing) + 1;
            let minimum = level_minimum(rule, level, standing.deep.is_some())?;
            let rank = level.max(2);
            // A rule of one level has no second rank to reach.
            level_minimum(rule, rank, standing.deep.is_some())?;
            let rank = u16::try_from(rank).expect("levels are limited by ADMIN_LEVELS_MAX");
            let missing = minimum - standing.level(level);
            Some(NextRank {
                rank,
                level: u32::try_from(level).expect("limited by ADMIN_LEVELS_MAX"),
                minimum,
                missing,
            })
        }
    }
}

/// Deepest level reached from 1 without a gap, each having its minimum.
fn filled_levels(rule: &RankRule, standing: &Standing<'_>) -> usize {
    let filled = |level: &usize| {
        level_minimum(rule, *level, standing.deep.is_some())
            .is_some_and(|minimum| minimum <= standing.level(*level))
    };
    (1..=ADMIN_LEVELS_MAX).take_while(filled).count()
}

/// For admins the last minimum applies to all deeper levels.
pub(in crate::core) fn level_minimum(rule: &RankRule, level: usize, admin: bool) -> Option<u32> {
    let steps = rule.steps();
    let last = if admin && level <= ADMIN_LEVELS_MAX { steps.last() } else { None };
    steps.get(level - 1).or(last).map(|step| step.minimum)
}

/// The counts at which a member's rank may change, for the tree the rule uses. A rule on direct counts
/// watches none: the parent of a new member is checked anyway.
pub(crate) fn watch(rule: &RankRule, tree: Tree, trees_coincide: bool) -> Watch {
    let mut watch = Watch::default();
    if rule.tree() != tree && !trees_coincide {
        return watch;
    }
    match rule {
        RankRule::Thresholds { basis: RankBasis::Direct, .. } => {}
        RankRule::Thresholds { basis: RankBasis::Downline, steps, .. } => {
            watch.downline = steps.iter().map(|step| step.minimum).collect();
        }
        RankRule::LevelFill { steps, .. } => {
            for level in 1..=LEVELS_MAX {
                // For an admin's levels beyond the last step, the last step applies.
                watch.levels[level] = steps.get(level - 1).or(steps.last()).map_or(0, |step| step.minimum);
            }
        }
    }
    watch
}

/// The watched counts in each tree under a plan.
pub(crate) fn watches(plan: &Plan) -> [Arc<Watch>; 2] {
    let coincide = plan.placement.trees_coincide();
    [Tree::Sponsor, Tree::Placement].map(|tree| Arc::new(watch(&plan.ranks, tree, coincide)))
}
