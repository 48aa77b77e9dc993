//! The plan: everything a company may choose, as validated data.
//!
//! Every `Plan` in use has passed [`Plan::validate`], whether it came from a file (`plan_file.rs`), the log
//! or a snapshot. Each choice is documented at its field; the definitions follow the field's usual terms
//! (README, "Words").

#[cfg(test)]
pub(crate) mod arbitrary_test;
pub mod calendar;
pub mod commerce;
mod rules;
mod validate_commerce;

use std::fmt;

use strum::{EnumString, FromRepr, IntoStaticStr, VariantArray};

use crate::core::{
    plan::{
        commerce::Commerce,
        rules::{Errors, is_name, is_short_name, short_name_rule},
    },
    words::{
        all::all,
        types::{BasisPoints, LEVELS_MAX, Money, Tree},
    },
};

pub use rules::{NAME_BYTES_MAX, PlanError};

/// The widest forced matrix. A signup scans the children of each node on its way down, so width is a cost per
/// level.
pub const WIDTH_MAX: u16 = 1_000;
/// Ranks of a threshold ladder.
pub const RANKS_MAX: usize = 64;
/// Triggers that a plan may have at a time; a network may have more over its life (`KINDS_MAX`).
pub const TRIGGERS_MAX: usize = 12;
/// The largest head-count a rank may ask for. A signup walks up until the count of an ancestor passes the
/// highest threshold.
pub const THRESHOLD_MAX: u32 = 10_000_000;
/// The largest rate: ten times the amount. Plans that pay more than 100% over all levels get a warning, not a
/// refusal.
pub const RATE_MAX: BasisPoints = BasisPoints(100_000);
/// Minor units per unit are at most 10^8.
pub const CURRENCY_EXPONENT_MAX: u8 = 8;

/// A compensation plan. Its fields are public because `validate` is the only invariant and every entry into
/// the core passes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub name: Box<str>,
    pub currency: Currency,
    pub placement: Placement,
    /// Also keep counts per level and of the whole downline for the sponsor tree; the placement tree always
    /// has them. Needed when a rank rule uses the sponsor tree; free where both trees are the same
    /// (`Placement::trees_coincide`).
    pub count_sponsor_tree: bool,
    /// Levels counted, paid and ranked for members that are not admins: `1..=LEVELS_MAX`.
    pub level_cap: u8,
    pub bonuses: Vec<BonusRule>,
    pub ranks: RankRule,
    /// Orders, volumes and periods.
    pub commerce: Commerce,
}

/// The currency of amounts. Fixed once the ledger has an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Currency {
    /// Three capital letters (ISO 4217), or `XXX` for none.
    pub code: [u8; 3],
    /// Decimal digits of the minor unit: 2 for cents.
    pub exponent: u8,
}

/// Placement options. Fixed once a member exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Slots under each member; `None` is unlimited and goes with `Unilevel` alone.
    pub width: Option<u16>,
    pub default_rule: PlacementRule,
    /// Rules a signup may request in addition to the default, ascending, without the default and without
    /// repeats.
    pub other_rules: Vec<PlacementRule>,
    /// Whether a signup may name parent and slot.
    pub strategic: bool,
}

impl Placement {
    /// Whether `rule` may be used.
    pub fn allows(&self, rule: PlacementRule) -> bool {
        rule == self.default_rule || self.other_rules.contains(&rule)
    }

    /// Whether any allowed rule satisfies `wanted`.
    pub fn any_rule(&self, wanted: impl Fn(PlacementRule) -> bool) -> bool {
        wanted(self.default_rule) || self.other_rules.iter().copied().any(wanted)
    }

    /// Whether the default rule compares the downlines of legs.
    pub fn counts_legs(&self) -> bool {
        use PlacementRule as Rule;
        match self.default_rule {
            Rule::Balanced
            | Rule::WeakLegOutside
            | Rule::WeakLegEven
            | Rule::StrongLegOutside
            | Rule::StrongLegEven => self.width != Some(1),
            Rule::BreadthFirst
            | Rule::BreadthFirstBySlot
            | Rule::RoundRobin
            | Rule::PowerLeg
            | Rule::Unilevel
            | Rule::Left
            | Rule::Right
            | Rule::EvenFill
            | Rule::LeftEven
            | Rule::RightEven => false,
        }
    }

    /// Whether parent and sponsor are always the same member, so that one genealogy serves as both trees.
    pub fn trees_coincide(&self) -> bool {
        self.default_rule == PlacementRule::Unilevel && self.other_rules.is_empty() && !self.strategic
    }
}

/// How a slot is found, starting at the sponsor. A free slot is always taken lowest number first. Codes are
/// on disk.
///
/// Definitions and worked examples: `tests/scenarios/placement_*.txt`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[derive(EnumString, FromRepr, IntoStaticStr, VariantArray, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum PlacementRule {
    /// The first member in level order, within a level in slot order of the path, that has a free slot.
    BreadthFirst = 1,
    /// Of all free slots below: the least (depth of the parent, slot number, path of the parent).
    BreadthFirstBySlot = 2,
    /// At a full member descend to the child with the fewest descendants; ties to the lowest slot.
    Balanced = 3,
    /// Each full member hands spilled members to its children in turn; the turn advances only on spillover.
    RoundRobin = 4,
    /// At a full member descend to the first child.
    PowerLeg = 5,
    /// Directly under the sponsor, in the next slot. Unlimited width.
    Unilevel = 6,
    /// Width 2: from the sponsor follow left children to the first member without one ("outside").
    Left = 7,
    /// Width 2: the same to the right.
    Right = 8,
    /// Width 2: the sponsor's leg with fewer members (ties left), there outside.
    WeakLegOutside = 9,
    /// Width 2: the sponsor's leg with fewer members (ties left), there breadth first.
    WeakLegEven = 10,
    /// Width 2: the sponsor's leg with more members (ties left), there outside.
    StrongLegOutside = 11,
    /// Width 2: the sponsor's leg with more members (ties left), there breadth first.
    StrongLegEven = 12,
    /// Width 2: breadth first over both legs.
    EvenFill = 13,
    /// Width 2: breadth first in the left leg.
    LeftEven = 14,
    /// Width 2: breadth first in the right leg.
    RightEven = 15,
}

impl PlacementRule {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The name in plan files and requests.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Rules that refer to a left and a right leg.
    pub fn is_binary(self) -> bool {
        PlacementRule::Left <= self
    }
}

/// What one trigger pays to the uplines of its source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BonusRule {
    /// The trigger's name, unique in the plan: `[a-z0-9_-]{1,64}`. The drop-in API uses `referral` and
    /// `purchase`.
    pub trigger: Box<str>,
    /// The tree along which the bonus goes up. Each ancestor is one level, whatever its status (no
    /// compression).
    pub tree: Tree,
    /// The pay of each level, nearest first: `1..=level_cap` of them. An admin beyond the last level gets the
    /// last level's pay when `BonusRule::admins_beyond` is set.
    pub pay: LevelPay,
    /// Also pay this on each signup, with the new member as the source.
    pub on_registration: bool,
    /// Pay admins above the last level as well (the last level's amount).
    pub admins_beyond: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LevelPay {
    /// The same amount, whatever the trigger's.
    Fixed(Vec<Money>),
    /// A share of the trigger's amount.
    Share(Vec<BasisPoints>),
}

impl LevelPay {
    /// Number of paid levels.
    pub fn levels(&self) -> usize {
        match self {
            LevelPay::Fixed(amounts) => amounts.len(),
            LevelPay::Share(rates) => rates.len(),
        }
    }

    /// What the level `1..=levels()` pays on a trigger of `amount`. `None` for a share without an amount.
    pub fn at(&self, level: usize, amount: Option<Money>) -> Option<Money> {
        match self {
            LevelPay::Fixed(amounts) => Some(amounts[level - 1]),
            LevelPay::Share(rates) => amount.map(|amount| amount.basis_points(rates[level - 1])),
        }
    }
}

/// The rule that determines ranks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RankRule {
    /// Rank `k` (from 1) is held when the count reaches the k-th minimum; minima strictly rise. Rank 0 is "no
    /// rank".
    Thresholds { tree: Tree, basis: RankBasis, steps: Vec<RankStep> },
    /// Rank is the deepest level, counted from 1 without a gap, that has its minimum of members; 1 when level
    /// 1 does not (so that rank 1 means "none or level 1", as in the article this comes from). Admins are not
    /// capped by the number of minima: for them the last one applies to deeper levels, down to
    /// `ADMIN_LEVELS_MAX`.
    LevelFill { tree: Tree, steps: Vec<RankStep> },
}

impl RankRule {
    pub fn tree(&self) -> Tree {
        match self {
            RankRule::Thresholds { tree, .. } | RankRule::LevelFill { tree, .. } => *tree,
        }
    }

    pub fn steps(&self) -> &[RankStep] {
        match self {
            RankRule::Thresholds { steps, .. } | RankRule::LevelFill { steps, .. } => steps,
        }
    }

    /// The name of a rank. `None` for rank 0.
    pub fn name_of(&self, rank: u16) -> Option<String> {
        let step = usize::from(rank).checked_sub(1)?;
        Some(match self.steps().get(step) {
            Some(step) => step.name.to_string(),
            None => format!("Level {rank}"),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, FromRepr)]
#[repr(u8)]
pub enum RankBasis {
    /// Children in the tree (personal recruits, for the sponsor tree).
    Direct = 0,
    /// The whole downline.
    Downline = 1,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RankStep {
    pub name: Box<str>,
    /// Members needed, at least 1.
    pub minimum: u32,
    /// Paid once ever to a member who reaches the rank through network growth. A plan change re-rates without
    /// paying.
    pub reward: Option<Money>,
}

/// A trigger that pays more than the whole of its amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AboveWhole<'plan> {
    pub trigger: &'plan str,
    /// The sum of its rates over all levels.
    pub basis_points: u64,
}

impl fmt::Display for AboveWhole<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trigger, basis_points } = self;
        write!(
            out,
            "`{trigger}` pays {}.{:02}% of its amount over all levels",
            basis_points / 100,
            basis_points % 100
        )
    }
}

impl Plan {
    /// Triggers that pay more than the whole of their amount over all levels. That is allowed, but usually a
    /// mistake: plan displays warn about it.
    pub fn above_whole(&self) -> impl Iterator<Item = AboveWhole<'_>> {
        let rates = self.bonuses.iter().filter_map(|rule| match &rule.pay {
            LevelPay::Share(rates) => {
                let basis_points = rates.iter().map(|rate| u64::from(rate.0)).sum();
                Some(AboveWhole { trigger: &rule.trigger, basis_points })
            }
            LevelPay::Fixed(_) => None,
        });
        rates.filter(|rates| u64::from(BasisPoints::WHOLE.0) < rates.basis_points)
    }

    /// The rule for a trigger.
    pub fn bonus(&self, trigger: &str) -> Option<&BonusRule> {
        self.bonus_position(trigger).map(|position| &self.bonuses[position])
    }

    /// The position in `bonuses` of the rule for a trigger.
    pub fn bonus_position(&self, trigger: &str) -> Option<usize> {
        self.bonuses.iter().position(|rule| &*rule.trigger == trigger)
    }

    /// Whether levels and downlines of `tree` are counted.
    pub fn counts(&self, tree: Tree) -> bool {
        tree == Tree::Placement || self.count_sponsor_tree || self.placement.trees_coincide()
    }

    /// Checks every limit and every cross-field rule.
    ///
    /// # Errors
    /// All violations, in the order of the fields.
    pub fn validate(&self) -> Result<(), Vec<PlanError>> {
        let mut errors = Errors(Vec::new());
        errors.require(is_name(&self.name), "name", || {
            format!("must have 1 to {NAME_BYTES_MAX} bytes and no control characters")
        });
        errors.require(self.currency.code.iter().all(u8::is_ascii_uppercase), "currency.code", || {
            "must be three capital letters".into()
        });
        errors.require(self.currency.exponent <= CURRENCY_EXPONENT_MAX, "currency.exponent", || {
            format!("must be at most {CURRENCY_EXPONENT_MAX}")
        });
        self.placement.validate(&mut errors);
        errors.require((1..=LEVELS_MAX).contains(&usize::from(self.level_cap)), "level_cap", || {
            format!("must be between 1 and {LEVELS_MAX}")
        });
        self.validate_bonuses(&mut errors);
        self.validate_ranks(&mut errors);
        self.commerce.validate(self.counts(Tree::Sponsor), &mut errors);
        if errors.0.is_empty() { Ok(()) } else { Err(errors.0) }
    }

    fn validate_bonuses(&self, errors: &mut Errors) {
        errors.require(self.bonuses.len() <= TRIGGERS_MAX, "trigger", || {
            format!("at most {TRIGGERS_MAX} triggers")
        });
        // Further ones are refused as a whole; comparing all of them would take quadratic time.
        for (position, rule) in self.bonuses.iter().enumerate().take(TRIGGERS_MAX) {
            let field = |name: &str| format!("trigger[{position}].{name}");
            errors.require(!rule.admins_beyond || self.counts(rule.tree), &field("admins_beyond"), || {
                "needs the tree counted, to find who is above whom".into()
            });
            errors.require(is_trigger_name(&rule.trigger), &field("id"), || {
                format!("{}, and not `registration`", short_name_rule())
            });
            let repeated = self.bonuses[..position].iter().any(|earlier| earlier.trigger == rule.trigger);
            errors.require(!repeated, &field("id"), || format!("`{}` is there twice", rule.trigger));
            let levels = rule.pay.levels();
            let rate = field(match rule.pay {
                LevelPay::Fixed(_) => "rate.money",
                LevelPay::Share(_) => "rate.percent",
            });
            errors.require((1..=usize::from(self.level_cap)).contains(&levels), &rate, || {
                format!("pays {levels} levels, must be between 1 and the level cap of {}", self.level_cap)
            });
            match &rule.pay {
                LevelPay::Fixed(amounts) => {
                    let good = amounts.iter().all(|amount| 0 <= amount.0 && amount.in_range());
                    errors.require(good, &rate, || "an amount is negative or too large".into());
                }
                LevelPay::Share(rates) => {
                    let good = rates.iter().all(|rate| *rate <= RATE_MAX);
                    errors.require(good, &rate, || format!("at most {} percent", RATE_MAX.0 / 100));
                    errors.require(!rule.on_registration, &field("on_registration"), || {
                        "a signup has no amount to take a share of".into()
                    });
                }
            }
        }
    }

    fn validate_ranks(&self, errors: &mut Errors) {
        let steps = self.ranks.steps();
        let most = match self.ranks {
            RankRule::Thresholds { .. } => RANKS_MAX,
            RankRule::LevelFill { .. } => usize::from(self.level_cap),
        };
        errors.require(steps.len() <= most, "ladder.live.rank", || format!("at most {most} ranks"));
        for (position, step) in steps.iter().enumerate() {
            let field = |name: &str| format!("ladder.live.rank[{position}].{name}");
            errors.require(is_name(&step.name), &field("name"), || {
                format!("must have 1 to {NAME_BYTES_MAX} bytes and no control characters")
            });
            errors.require((1..=THRESHOLD_MAX).contains(&step.minimum), &field("minimum"), || {
                format!("must be between 1 and {THRESHOLD_MAX}")
            });
            let reward_good = step.reward.is_none_or(|reward| 0 <= reward.0 && reward.in_range());
            errors.require(reward_good, &field("reward"), || "is negative or too large".into());
            let never_reached = matches!(self.ranks, RankRule::LevelFill { .. }) && position == 0;
            errors.require(!never_reached || step.reward.is_none(), &field("reward"), || {
                "rank 1 is held from the start, so it is never reached".into()
            });
            if let (RankRule::Thresholds { .. }, Some(before)) = (&self.ranks, position.checked_sub(1)) {
                errors.require(steps[before].minimum < step.minimum, &field("minimum"), || {
                    "must be above that of the rank before".into()
                });
            }
        }
        let needs_counts = !matches!(self.ranks, RankRule::Thresholds { basis: RankBasis::Direct, .. });
        errors.require(!needs_counts || self.counts(self.ranks.tree()), "count_sponsor_tree", || {
            "ranks look at downlines of the sponsor tree, which is not counted".into()
        });
    }
}

impl Placement {
    fn validate(&self, errors: &mut Errors) {
        let unilevel = self.any_rule(|rule| rule == PlacementRule::Unilevel);
        let binary = self.any_rule(PlacementRule::is_binary);
        match self.width {
            None => errors.require(
                !self.any_rule(|rule| rule != PlacementRule::Unilevel),
                "placement.rule",
                || "unlimited width goes with `unilevel` alone".into(),
            ),
            Some(width) => {
                errors.require((1..=WIDTH_MAX).contains(&width), "placement.width", || {
                    format!("must be between 1 and {WIDTH_MAX}, or 0 for unlimited")
                });
                errors.require(!unilevel, "placement.rule", || "`unilevel` needs unlimited width".into());
                errors.require(!binary || width == 2, "placement.rule", || {
                    "rules of left and right legs need width 2".into()
                });
            }
        }
        let ascending = self.other_rules.windows(2).all(|pair| pair[0] < pair[1]);
        errors.require(
            ascending && !self.other_rules.contains(&self.default_rule),
            "placement.allow",
            || "names a rule twice".into(),
        );
    }
}

fn is_trigger_name(name: &str) -> bool {
    is_short_name(name) && name != KIND_REGISTRATION
}

/// Kind of the entries that a signup makes under a rule with `on_registration`.
pub const KIND_REGISTRATION: &str = "registration";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_above_the_whole_are_told() {
        let mut plan = crate::plan_file::default_plan();
        let rule = |trigger: &str, rates: &[u32]| BonusRule {
            trigger: trigger.into(),
            tree: Tree::Placement,
            pay: LevelPay::Share(rates.iter().map(|rate| BasisPoints(*rate)).collect()),
            on_registration: false,
            admins_beyond: false,
        };
        plan.bonuses = vec![rule("whole", &[9_000, 1_000]), rule("more", &[9_000, 1_000, 505])];
        let told: Vec<String> = plan.above_whole().map(|warning| warning.to_string()).collect();
        assert_eq!(told, ["`more` pays 105.05% of its amount over all levels"]);
    }
}
