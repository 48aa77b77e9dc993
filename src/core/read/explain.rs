//! Explains why a member was paid, or was not: the walk of a payment, line by line.
//!
//! Each query runs against the state right after the command that paid, with the very functions that paid
//! (`bonus.rs`, `rank.rs`), so there is no second rule to keep in step. That state answers exactly: such a
//! command changes neither a status nor the plan, and what it adds to the trees, a new member, was already
//! there when its signup was paid.

use std::ops::Range;

use crate::core::{
    ledger::breakage::{Breakage, BreakageReason},
    plan::{RankBasis, RankRule},
    state::{
        bonus::{KIND_RANK, KIND_SIGNUP, Share, ShareFate},
        parts::State,
    },
    store::search::partition_point,
    words::types::{MemberIx, Money, Tree},
};

/// The walk up from the source of a trigger or signup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walk {
    pub source: MemberIx,
    /// Every member considered, nearest first: in payment order.
    pub shares: Vec<ExplainedShare>,
    /// Ancestors above the last paid level (of the longest rule), including those among `shares`.
    pub beyond: u32,
    /// What the rules paid to nobody, by reason.
    pub breakage: Breakage,
}

/// One receiver on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExplainedShare {
    pub receiver: MemberIx,
    /// Edges from source to receiver, in the rule's tree.
    pub level: u32,
    pub amount: Money,
    pub fate: ShareFate,
    /// An admin above the last level, who gets the last level's pay.
    pub is_beyond: bool,
    /// Position in the plan of the rule that sets the amount.
    pub rule: usize,
}

/// How a rank was reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RankReached {
    pub rank: u16,
    /// Its name in the plan.
    pub name: Option<String>,
    pub tree: Tree,
    /// `None` for a rule of level fill.
    pub basis: Option<RankBasis>,
    /// The rank's requirements: one count, or one for each level up to it.
    pub needs: Vec<RankNeed>,
    pub reward: Option<Money>,
    /// Edges from the receiver down to the member whose signup it was.
    pub distance: Option<u32>,
}

/// One count that a rank requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RankNeed {
    /// For level fill; 0 otherwise.
    pub level: u32,
    pub minimum: u32,
    /// The count right after the command; exact up to the highest minimum of the plan.
    pub count: u32,
}

/// The purpose of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A trigger, of the plan or imported.
    Trigger,
    Registration,
    Rank(u16),
}

impl EntryKind {
    /// Decodes `Entry::kind`.
    pub fn of(kind: u16) -> Self {
        match kind {
            KIND_SIGNUP => EntryKind::Registration,
            KIND_RANK.. => EntryKind::Rank(kind - KIND_RANK),
            _ => EntryKind::Trigger,
        }
    }
}

impl State {
    /// The walk of a trigger that was just paid; `None` when the plan in force has no such trigger, or it
    /// needs an amount and none was given. O(levels + admins).
    pub fn explain_trigger(&self, source: MemberIx, trigger: &str, amount: Option<Money>) -> Option<Walk> {
        let plan = self.plan();
        let position = plan.bonus_position(trigger)?;
        let rule = &plan.bonuses[position];
        rule.pay.at(1, amount)?;
        let shares = self.shares(rule, amount, source);
        let shares: Vec<ExplainedShare> =
            shares.iter().map(|share| self.explained(position, share)).collect();
        let mut breakage = withheld(&shares);
        if let Some(unreached) = self.unreached(rule, amount, source) {
            breakage.add_all(&unreached);
        }
        let beyond = self.levels_beyond(rule.tree, source, rule.pay.levels());
        Some(Walk { source, shares, beyond, breakage })
    }

    /// The walk of a signup that was just paid. O(rules * (levels + admins)).
    pub fn explain_registration(&self, member: MemberIx) -> Walk {
        let plan = self.plan();
        let shares: Vec<ExplainedShare> = self
            .registration_shares(member)
            .iter()
            .map(|(position, share)| self.explained(*position, share))
            .collect();
        let rules = || plan.bonuses.iter().filter(|rule| rule.on_registration);
        let beyond =
            rules().map(|rule| self.levels_beyond(rule.tree, member, rule.pay.levels())).min().unwrap_or(0);
        let mut breakage = withheld(&shares);
        rules()
            .filter_map(|rule| self.unreached(rule, None, member))
            .for_each(|unreached| breakage.add_all(&unreached));
        Walk { source: member, shares, beyond, breakage }
    }

    /// How `receiver` reached `rank` through the signup of `source` that was just applied. `None` for a rank
    /// that the plan in force does not have. O(rank).
    pub fn explain_rank(&self, receiver: MemberIx, rank: u16, source: MemberIx) -> Option<RankReached> {
        let rule = &self.plan().ranks;
        let standing = self.standing(receiver);
        let (basis, needs) = match rule {
            RankRule::Thresholds { basis, steps, .. } => {
                let minimum = steps.get(usize::from(rank).checked_sub(1)?)?.minimum;
                let count =
                    if *basis == RankBasis::Direct { standing.direct } else { standing.near_downline };
                (Some(*basis), vec![RankNeed { level: 0, minimum, count }])
            }
            RankRule::LevelFill { .. } => {
                let need = |level: usize| {
                    let minimum =
                        crate::core::network::rank::level_minimum(rule, level, standing.deep.is_some())?;
                    Some(RankNeed {
                        level: u32::try_from(level).ok()?,
                        minimum,
                        count: standing.level(level),
                    })
                };
                (None, (1..=usize::from(rank)).map(need).collect::<Option<Vec<_>>>()?)
            }
        };
        let step = rule.steps().get(usize::from(rank).checked_sub(1)?);
        Some(RankReached {
            rank,
            name: rule.name_of(rank),
            tree: rule.tree(),
            basis,
            needs,
            reward: step.and_then(|step| step.reward),
            distance: self.distance(rule.tree(), receiver, source),
        })
    }

    /// The ledger entries that a command made. O(log entries).
    pub fn entries_of(&self, lsn: u64) -> Range<u64> {
        let entries = self.ledger.entries();
        let first = |lsn: u64| {
            let at = partition_point(0..entries.triggers(), |at| entries.trigger(at).lsn < lsn);
            if at < entries.triggers() { u64::from(entries.trigger(at).first_entry) } else { entries.len() }
        };
        first(lsn)..first(lsn.saturating_add(1))
    }

    fn explained(&self, rule: usize, share: &Share) -> ExplainedShare {
        let Share { receiver, level, amount, is_beyond } = *share;
        ExplainedShare { receiver, level, amount, fate: self.fate(share), is_beyond, rule }
    }

    /// Ancestors of `source` above the first `levels`.
    fn levels_beyond(&self, tree: Tree, source: MemberIx, levels: usize) -> u32 {
        let ancestors = self.tree(tree).link(source).level - 1;
        ancestors.saturating_sub(u32::try_from(levels).expect("limited by LEVELS_MAX"))
    }
}

/// The breakage of receivers that may not earn.
fn withheld(shares: &[ExplainedShare]) -> Breakage {
    let mut breakage = Breakage::default();
    for share in shares {
        if let ShareFate::Withheld(status) = share.fate
            && let Some(reason) = BreakageReason::of_status(status)
        {
            breakage.add(reason, share.amount);
        }
    }
    breakage
}
