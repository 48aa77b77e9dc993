//! Plans as JSON: read strictly, written in full, with the names of plan files (`plans/`), except that money
//! is in minor units.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::{
    problem::{Code, Problem, cut},
    types::TreeName,
};
use crate::engine::{
    BasisPoints, BonusRule, Currency, LEVELS_MAX, LevelPay, Money, Placement, PlacementRule, Plan, PlanError,
    RankBasis, RankRule, RankStep, Tree,
};

/// A placement rule by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RuleName(pub PlacementRule);

impl Serialize for RuleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for RuleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let known = || PlacementRule::ALL.map(PlacementRule::name).join(", ");
        PlacementRule::from_name(&name)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format_args!("not a placement rule; known: {}", known())))
    }
}

impl PartialSchema for RuleName {
    fn schema() -> RefOr<Schema> {
        let names = PlacementRule::ALL.map(PlacementRule::name);
        let description = Some("How a free slot is found, starting at the sponsor");
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(names))
            .description(description)
            .into()
    }
}

impl ToSchema for RuleName {
    fn name() -> std::borrow::Cow<'static, str> {
        "PlacementRule".into()
    }
}

/// A compensation plan: the fields of a plan file. Amounts are minor units of the plan's currency.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Plan)]
pub struct PlanDocument {
    #[schema(min_length = 1, max_length = 64, example = "Matrix 3 x 15")]
    name: String,
    /// Levels counted, paid and ranked for members that are not admins.
    #[serde(default = "all_levels")]
    #[schema(minimum = 1, maximum = 15, default = 15)]
    level_cap: u8,
    /// Keep counts per level and of the whole downline for the sponsor tree too.
    #[serde(default)]
    #[schema(default = false)]
    count_sponsor_tree: bool,
    currency: CurrencyDocument,
    placement: PlacementDocument,
    /// One per trigger.
    #[serde(default)]
    #[schema(max_items = 12)]
    bonus: Vec<BonusDocument>,
    ranks: RanksDocument,
    /// In the order of the ranks; minima strictly rise for `thresholds`.
    #[serde(default)]
    #[schema(max_items = 64)]
    rank: Vec<RankDocument>,
}

fn all_levels() -> u8 {
    const { assert!(LEVELS_MAX == 15) };
    15
}

/// Fixed once a bonus exists.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanCurrency)]
struct CurrencyDocument {
    /// ISO 4217, or XXX for none.
    #[schema(min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$", example = "USD")]
    code: String,
    /// Decimal digits of the minor unit: 2 for cents.
    #[schema(maximum = 8, example = 2)]
    exponent: u8,
}

/// Fixed once a member exists.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanPlacement)]
struct PlacementDocument {
    /// Slots under each member; 0 is unlimited and goes with `unilevel` alone.
    #[schema(maximum = 1000, example = 3)]
    width: u16,
    rule: RuleName,
    /// Rules that a signup may ask for beside the default.
    #[serde(default)]
    #[schema(max_items = 14)]
    allow: Vec<RuleName>,
    /// May a signup name parent and slot.
    #[serde(default)]
    #[schema(default = false)]
    strategic: bool,
}

/// What one trigger pays to the uplines of its source: `amounts` or `basis_points`, one of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanBonus)]
struct BonusDocument {
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]{1,64}$", example = "referral")]
    trigger: String,
    /// Along which tree the bonus goes up.
    #[serde(default)]
    #[schema(inline, default = "placement")]
    tree: TreeName,
    /// The same amount whatever the trigger's, nearest level first: minor units, each from 0 to 10^13.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 15, example = json!([1000, 500]))]
    amounts: Option<Vec<i64>>,
    /// A part of the trigger's amount, nearest level first: hundredths of a percent, each up to 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 15)]
    basis_points: Option<Vec<u32>>,
    /// Pay this on each signup too, the new member being the source.
    #[serde(default)]
    #[schema(default = false)]
    on_registration: bool,
    /// Pay admins above the last level as well, the last level's amount.
    #[serde(default)]
    #[schema(default = false)]
    admins_beyond: bool,
}

/// What makes a rank.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanRanks)]
struct RanksDocument {
    #[schema(inline)]
    rule: RankRuleName,
    #[serde(default)]
    #[schema(inline, default = "placement")]
    tree: TreeName,
    /// Goes with `thresholds` alone; `downline` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    basis: Option<BasisName>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum RankRuleName {
    /// Rank k is held when a count reaches the k-th minimum.
    Thresholds,
    /// Rank is the deepest level, from 1 without a gap, that has its minimum of members.
    LevelFill,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BasisName {
    /// Children.
    Direct,
    /// The whole downline.
    Downline,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanRank)]
struct RankDocument {
    #[schema(min_length = 1, max_length = 64, example = "Gold")]
    name: String,
    /// Members needed.
    #[schema(minimum = 1, maximum = 10_000_000)]
    minimum: u32,
    /// Minor units, paid once ever to a member who reaches the rank by the growth of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 10_000_000_000_000_i64)]
    reward: Option<i64>,
}

impl PlanDocument {
    /// Canonical: every field, defaults included.
    pub fn new(plan: &Plan) -> Self {
        let code = std::str::from_utf8(&plan.currency.code)
            .expect("plans have capital letters as currency")
            .to_owned();
        let (rule, basis) = match plan.ranks {
            RankRule::Thresholds { basis: RankBasis::Direct, .. } => {
                (RankRuleName::Thresholds, Some(BasisName::Direct))
            }
            RankRule::Thresholds { basis: RankBasis::Downline, .. } => {
                (RankRuleName::Thresholds, Some(BasisName::Downline))
            }
            RankRule::LevelFill { .. } => (RankRuleName::LevelFill, None),
        };
        let rank = |step: &RankStep| RankDocument {
            name: step.name.to_string(),
            minimum: step.minimum,
            reward: step.reward.map(|reward| reward.0),
        };
        Self {
            name: plan.name.to_string(),
            level_cap: plan.level_cap,
            count_sponsor_tree: plan.count_sponsor_tree,
            currency: CurrencyDocument { code, exponent: plan.currency.exponent },
            placement: PlacementDocument {
                width: plan.placement.width.unwrap_or(0),
                rule: RuleName(plan.placement.default_rule),
                allow: plan.placement.other_rules.iter().copied().map(RuleName).collect(),
                strategic: plan.placement.strategic,
            },
            bonus: plan.bonuses.iter().map(BonusDocument::new).collect(),
            ranks: RanksDocument { rule, tree: tree_name(plan.ranks.tree()), basis },
            rank: plan.ranks.steps().iter().map(rank).collect(),
        }
    }

    /// The plan, validated.
    ///
    /// # Errors
    /// `field_invalid` with all errors.
    pub fn plan(&self) -> Result<Plan, Problem> {
        let mut errors = Vec::new();
        let code = <[u8; 3]>::try_from(self.currency.code.as_bytes());
        if code.is_err() {
            errors.push(wrong("currency.code", "must be three capital letters"));
        }
        let bonuses = self
            .bonus
            .iter()
            .enumerate()
            .map(|(position, bonus)| bonus.rule(position, &mut errors))
            .collect();
        if self.ranks.rule == RankRuleName::LevelFill && self.ranks.basis.is_some() {
            errors.push(wrong("ranks.basis", "goes with `thresholds` alone"));
        }
        let mut other_rules: Vec<PlacementRule> = self.placement.allow.iter().map(|rule| rule.0).collect();
        other_rules.sort_unstable();
        let plan = Plan {
            name: self.name.as_str().into(),
            currency: Currency { code: code.unwrap_or(*b"XXX"), exponent: self.currency.exponent },
            placement: Placement {
                width: (self.placement.width != 0).then_some(self.placement.width),
                default_rule: self.placement.rule.0,
                other_rules,
                strategic: self.placement.strategic,
            },
            count_sponsor_tree: self.count_sponsor_tree,
            level_cap: self.level_cap,
            bonuses,
            ranks: self.rank_rule(),
        };
        let known: Vec<String> = errors.iter().map(|error: &PlanError| error.field.clone()).collect();
        let found = plan.validate().err().unwrap_or_default();
        errors.extend(
            found
                .into_iter()
                .map(|error| in_document(error, &plan))
                .filter(|error| !known.contains(&error.field)),
        );
        if errors.is_empty() { Ok(plan) } else { Err(invalid(&errors)) }
    }

    fn rank_rule(&self) -> RankRule {
        let step = |rank: &RankDocument| RankStep {
            name: rank.name.as_str().into(),
            minimum: rank.minimum,
            reward: rank.reward.map(Money),
        };
        let (tree, steps) = (self.ranks.tree.into(), self.rank.iter().map(step).collect());
        match self.ranks.rule {
            RankRuleName::LevelFill => RankRule::LevelFill { tree, steps },
            RankRuleName::Thresholds => {
                let basis = if self.ranks.basis == Some(BasisName::Direct) {
                    RankBasis::Direct
                } else {
                    RankBasis::Downline
                };
                RankRule::Thresholds { tree, basis, steps }
            }
        }
    }
}

impl BonusDocument {
    fn new(rule: &BonusRule) -> Self {
        let (amounts, basis_points) = match &rule.pay {
            LevelPay::Fixed(amounts) => (Some(amounts.iter().map(|amount| amount.0).collect()), None),
            LevelPay::Share(rates) => (None, Some(rates.iter().map(|rate| rate.0).collect())),
        };
        Self {
            trigger: rule.trigger.to_string(),
            tree: tree_name(rule.tree),
            amounts,
            basis_points,
            on_registration: rule.on_registration,
            admins_beyond: rule.admins_beyond,
        }
    }

    fn rule(&self, position: usize, errors: &mut Vec<PlanError>) -> BonusRule {
        let pay = match (&self.amounts, &self.basis_points) {
            (Some(amounts), None) => LevelPay::Fixed(amounts.iter().copied().map(Money).collect()),
            (None, Some(rates)) => LevelPay::Share(rates.iter().copied().map(BasisPoints).collect()),
            _ => {
                errors.push(wrong(
                    &format!("bonus[{position}].amounts"),
                    "one of `amounts` and `basis_points` is needed, not both",
                ));
                LevelPay::Fixed(vec![Money(0)])
            }
        };
        let Self { on_registration, admins_beyond, .. } = *self;
        BonusRule {
            trigger: self.trigger.as_str().into(),
            tree: self.tree.into(),
            pay,
            on_registration,
            admins_beyond,
        }
    }
}

fn tree_name(tree: Tree) -> TreeName {
    match tree {
        Tree::Placement => TreeName::Placement,
        Tree::Sponsor => TreeName::Sponsor,
    }
}

fn wrong(field: &str, reason: &str) -> PlanError {
    PlanError { field: field.into(), reason: reason.into() }
}

/// Translates an error of `Plan::validate` to the field's name in this document.
fn in_document(error: PlanError, plan: &Plan) -> PlanError {
    let Some(rule) = error.field.strip_suffix(".levels") else { return error };
    let position = rule
        .strip_prefix("bonus[")
        .and_then(|rest| rest.strip_suffix(']'))
        .and_then(|number| number.parse::<usize>().ok());
    let name = match position.and_then(|position| plan.bonuses.get(position)).map(|bonus| &bonus.pay) {
        Some(LevelPay::Share(_)) => "basis_points",
        _ => "amounts",
    };
    PlanError { field: format!("{rule}.{name}"), reason: error.reason }
}

/// Maximum errors in one answer: more than a plan has limits, and fewer than a body full of mistakes could
/// cause.
const ERRORS_MAX: usize = 100;

fn invalid(errors: &[PlanError]) -> Problem {
    let list = errors
        .iter()
        .take(ERRORS_MAX)
        .map(|error| json!({ "field": cut(error.field.clone().into()), "reason": cut(error.reason.clone().into()) }));
    let list: Vec<Value> = list.collect();
    let detail = format!("{}: {}", errors[0].field, errors[0].reason);
    Problem::new(Code::FieldInvalid)
        .with("field", errors[0].field.clone())
        .detail(detail)
        .with("errors", list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({
            "name": "Two legs",
            "currency": { "code": "USD", "exponent": 2 },
            "placement": { "width": 2, "rule": "breadth-first", "allow": ["right", "left"], "strategic": true },
            "bonus": [
                { "trigger": "referral", "amounts": [1000, 500], "on_registration": true },
                { "trigger": "purchase", "tree": "sponsor", "basis_points": [500] },
            ],
            "ranks": { "rule": "thresholds", "basis": "direct" },
            "rank": [{ "name": "Silver", "minimum": 3 }, { "name": "Gold", "minimum": 9, "reward": 100 }],
        })
    }

    fn read(document: &Value) -> Result<Plan, Value> {
        let read: PlanDocument = super::super::extract::parse(document.to_string().as_bytes())
            .map_err(|problem| problem.to_json())?;
        read.plan().map_err(|problem| problem.to_json())
    }

    #[test]
    fn a_plan_written_is_the_plan_read() {
        let plan = read(&document()).unwrap();
        assert_eq!(plan.level_cap, 15);
        assert_eq!(plan.placement.other_rules, [PlacementRule::Left, PlacementRule::Right]);
        let written = serde_json::to_value(PlanDocument::new(&plan)).unwrap();
        assert_eq!(written["count_sponsor_tree"], false, "defaults are written: {written}");
        assert_eq!(read(&written), Ok(plan));
    }

    #[test]
    fn what_is_wrong_with_a_plan_is_named() {
        let no_bonuses: &[Value] = &[];
        // where, inserted value, code, field
        let table = [
            ("/name", json!(""), "field_invalid", "name"),
            ("/name", json!(7), "field_invalid", "name"),
            ("/currency/code", json!("dollar"), "field_invalid", "currency.code"),
            ("/currency/code", json!("usd"), "field_invalid", "currency.code"),
            ("/placement/rule", json!("sideways"), "field_invalid", "placement.rule"),
            ("/placement/width", json!(1_001), "field_invalid", "placement.width"),
            ("/placement/allow", json!(["left", "left"]), "field_invalid", "placement.allow"),
            ("/placement/allow", json!(["unilevel"]), "field_invalid", "placement.rule"),
            ("/bonus/0/amounts", json!([]), "field_invalid", "bonus[0].amounts"),
            ("/bonus/0/amounts", json!([-1]), "field_invalid", "bonus[0].amounts"),
            ("/bonus/0/amounts", json!([1.5]), "field_invalid", "bonus[0].amounts[0]"),
            ("/bonus/1/basis_points", json!([100_001]), "field_invalid", "bonus[1].basis_points"),
            ("/bonus/1/basis_points", json!(vec![1; 16]), "field_invalid", "bonus[1].basis_points"),
            ("/bonus/1/basis_points", Value::Null, "field_invalid", "bonus[1].amounts"),
            ("/bonus/1/trigger", json!("referral"), "field_invalid", "bonus[1].trigger"),
            (
                "/bonus/0",
                json!({ "trigger": "x", "amounts": [1], "pays": 1 }),
                "field_unknown",
                "bonus[0].pays",
            ),
            ("/ranks/rule", json!("level-fill"), "field_invalid", "ranks.basis"),
            ("/rank/1/minimum", json!(3), "field_invalid", "rank[1].minimum"),
            ("/bonus", json!(no_bonuses), "", ""),
        ];
        for (place, value, code, field) in table {
            let mut document = document();
            *document.pointer_mut(place).unwrap() = value.clone();
            let found = read(&document);
            let expected = (!code.is_empty()).then_some((code, field));
            let found = found
                .as_ref()
                .err()
                .map(|problem| (problem["code"].as_str().unwrap(), problem["field"].as_str().unwrap()));
            assert_eq!(found, expected, "{place} = {value}");
        }
    }
}
