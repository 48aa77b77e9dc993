//! The types of a plan document, and the plan in it. The shipped files in `plans/` explain the fields.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{EnumAccess, VariantAccess, Visitor},
};
use strum::{IntoStaticStr, VariantNames};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::{
    decimal::Decimal,
    faults::Faults,
    named::Named,
    orders::{
        AnswersDocument, AttributesDocument, CalendarDocument, CalendarsShown, OrderFields, OrdersDocument,
        RoundingName, VolumesDocument,
    },
};
use crate::core::{
    plan::{
        BonusRule, CURRENCY_EXPONENT_MAX, Currency, LevelPay, Placement, PlacementRule, Plan, RankBasis,
        RankRule, RankStep,
    },
    types::{LEVELS_MAX, Money, Tree},
};

/// Fields that may be left out. The others are needed where what they belong to is there.
pub(super) const OPTIONAL: [&str; 37] = [
    "level_cap",
    "count_sponsor_tree",
    "allow",
    "strategic",
    "trigger",
    "tree",
    "money",
    "percent",
    "on_registration",
    "admins_beyond",
    "basis",
    "rank",
    "reward",
    "rounding",
    "live_levels",
    "calendar",
    "volume",
    "orders",
    "attributes",
    "answers",
    "begins",
    "from_month",
    "days",
    "from",
    "periods",
    "of",
    "timezone",
    "grace",
    "late",
    "first",
    "approval",
    "live",
    "kinds",
    "tags",
    "market",
    "owner",
    "refund_lowers_volume",
];

/// Types of which each field is needed, even one that may be left out elsewhere.
pub(super) const ALL_NEEDED: [&str; 1] = ["LaddersDocument"];

/// A compensation plan: the fields of a plan file. Amounts are decimals in units of the plan's currency,
/// rates decimals in percent, both as strings.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Plan)]
pub struct PlanDocument {
    #[schema(min_length = 1, max_length = 64, example = "Matrix 3 x 15")]
    name: String,
    currency: CurrencyDocument,
    /// Levels counted, paid and ranked for members that are not admins.
    #[serde(default = "all_levels")]
    #[schema(minimum = 1, maximum = 15, default = 15)]
    level_cap: u8,
    /// Keep counts per level and of the whole downline for the sponsor tree too.
    #[serde(default)]
    #[schema(default = false)]
    count_sponsor_tree: bool,
    /// How volumes that are a percentage are rounded; `half-away` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    rounding: Option<RoundingName>,
    /// Levels whose volumes are kept live; 7 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 15)]
    live_levels: Option<u8>,
    placement: PlacementDocument,
    /// Calendars by name, in their order. Without any the network takes no orders.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    #[schema(value_type = CalendarsShown)]
    calendar: Named<CalendarDocument>,
    #[serde(default, skip_serializing_if = "VolumesDocument::is_empty")]
    volume: VolumesDocument,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    orders: Option<OrdersDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<AttributesDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answers: Option<AnswersDocument>,
    /// What pays at once.
    #[serde(default)]
    #[schema(max_items = 12)]
    trigger: Vec<TriggerDocument>,
    ladder: LaddersDocument,
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
    /// Rules that a signup may ask for in addition to the default.
    #[serde(default)]
    #[schema(max_items = 14)]
    allow: Vec<RuleName>,
    /// Whether a signup may name parent and slot.
    #[serde(default)]
    #[schema(default = false)]
    strategic: bool,
}

/// What one trigger pays to the uplines of its source.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanTrigger)]
pub struct TriggerDocument {
    /// The `kind` of the bonuses that it makes.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]{1,64}$", example = "referral")]
    id: String,
    /// Along which tree the bonus goes up.
    #[serde(default)]
    #[schema(inline, default = "placement")]
    tree: TreeName,
    rate: RateDocument,
    /// Pay this on each signup too, the new member being the source.
    #[serde(default)]
    #[schema(default = false)]
    on_registration: bool,
    /// Pay admins above the last level as well, the last level's amount.
    #[serde(default)]
    #[schema(default = false)]
    admins_beyond: bool,
}

/// What each level gets, nearest first: `money` or `percent`, one of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanRate)]
struct RateDocument {
    #[schema(inline)]
    by: RateBy,
    /// The same amount whatever the trigger's: units of the currency, each up to 10^13 minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        value_type = Option<Vec<String>>, min_items = 1, max_items = 15,
        example = json!(["10.00", "5.00"])
    )]
    money: Option<Vec<Decimal>>,
    /// A part of the trigger's amount: percent with up to two decimals, each up to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 15, example = json!(["10", "2.5"]))]
    percent: Option<Vec<Decimal>>,
}

/// What a rate depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum RateBy {
    /// The receiver's level above the source.
    Level,
}

/// The ladders of ranks, by name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanLadders)]
struct LaddersDocument {
    live: LiveLadderDocument,
}

/// The ladder whose ranks are kept at all times, by head-count.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanLiveLadder)]
struct LiveLadderDocument {
    #[schema(inline)]
    rule: RankRuleName,
    #[serde(default)]
    #[schema(inline, default = "placement")]
    tree: TreeName,
    /// Goes with `thresholds` alone; `downline` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    basis: Option<BasisName>,
    /// Lowest first; minima strictly rise for `thresholds`.
    #[serde(default)]
    #[schema(max_items = 64)]
    rank: Vec<RankDocument>,
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
    /// The whole downline.
    Downline,
    /// Children.
    Direct,
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
    /// Units of the currency, paid once ever to a member who reaches the rank by the growth of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 32, example = "50.00")]
    reward: Option<Decimal>,
}

/// Which genealogy.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum TreeName {
    #[default]
    Placement,
    Sponsor,
}

impl From<TreeName> for Tree {
    fn from(name: TreeName) -> Self {
        match name {
            TreeName::Placement => Tree::Placement,
            TreeName::Sponsor => Tree::Sponsor,
        }
    }
}

impl From<Tree> for TreeName {
    fn from(tree: Tree) -> Self {
        match tree {
            Tree::Placement => TreeName::Placement,
            Tree::Sponsor => TreeName::Sponsor,
        }
    }
}

impl TreeName {
    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A placement rule by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RuleName(pub PlacementRule);

/// The names of all placement rules.
const RULES: &[&str] = PlacementRule::VARIANTS;

impl Serialize for RuleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for RuleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("PlacementRule", RULES, ByName)
    }
}

struct ByName;

impl<'de> Visitor<'de> for ByName {
    type Value = RuleName;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a placement rule")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<RuleName, A::Error> {
        let (name, variant) = data.variant::<String>()?;
        variant.unit_variant()?;
        let unknown = || serde::de::Error::unknown_variant(&name, RULES);
        name.parse().map(RuleName).map_err(|_| unknown())
    }
}

impl PartialSchema for RuleName {
    fn schema() -> RefOr<Schema> {
        let description = Some("How a free slot is found, starting at the sponsor");
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(RULES.iter().copied()))
            .description(description)
            .into()
    }
}

impl ToSchema for RuleName {
    fn name() -> std::borrow::Cow<'static, str> {
        "PlacementRule".into()
    }
}

impl PlanDocument {
    /// Returns the canonical document: every field, defaults included.
    pub fn new(plan: &Plan) -> Self {
        let exponent = plan.currency.exponent;
        let code = String::from_utf8_lossy(&plan.currency.code).into_owned();
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
            reward: step.reward.map(|reward| Decimal::of_money(reward, exponent)),
        };
        let live = LiveLadderDocument {
            rule,
            tree: plan.ranks.tree().into(),
            basis,
            rank: plan.ranks.steps().iter().map(rank).collect(),
        };
        let OrderFields { rounding, live_levels, calendar, volume, orders, attributes, answers } =
            OrderFields::new(&plan.commerce);
        Self {
            name: plan.name.to_string(),
            rounding,
            live_levels,
            calendar,
            volume,
            orders,
            attributes,
            answers,
            currency: CurrencyDocument { code, exponent },
            level_cap: plan.level_cap,
            count_sponsor_tree: plan.count_sponsor_tree,
            placement: PlacementDocument {
                width: plan.placement.width.unwrap_or(0),
                rule: RuleName(plan.placement.default_rule),
                allow: plan.placement.other_rules.iter().copied().map(RuleName).collect(),
                strategic: plan.placement.strategic,
            },
            trigger: plan.bonuses.iter().map(|rule| TriggerDocument::new(rule, plan.currency)).collect(),
            ladder: LaddersDocument { live },
        }
    }

    /// Returns the plan. Where `faults` has something about a value that others depend on, a harmless one
    /// takes its place; what is wrong with the plan as such is added.
    pub(super) fn plan(self, faults: &mut Faults) -> Plan {
        let currency = self.currency.value(faults);
        let triggers = self.trigger.iter().enumerate();
        let bonuses = triggers.map(|(position, trigger)| trigger.rule(position, currency, faults)).collect();
        let orders = OrderFields {
            rounding: self.rounding,
            live_levels: self.live_levels,
            calendar: self.calendar,
            volume: self.volume,
            orders: self.orders,
            attributes: self.attributes,
            answers: self.answers,
        };
        let commerce = orders.commerce(faults);
        let plan = Plan {
            name: self.name.as_str().into(),
            currency,
            placement: self.placement.value(faults),
            count_sponsor_tree: self.count_sponsor_tree,
            level_cap: if faults.touch("level_cap") { all_levels() } else { self.level_cap },
            bonuses,
            commerce,
            ranks: self.ladder.live.ranks(currency.exponent, faults),
        };
        let found = plan.validate().err().unwrap_or_default();
        // What the notation's faults have to do with is not reported twice.
        let fresh: Vec<_> = found.into_iter().filter(|error| !faults.touch(&error.field)).collect();
        fresh.into_iter().for_each(|error| faults.add(&error.field, error.reason));
        plan
    }
}

impl CurrencyDocument {
    fn value(&self, faults: &mut Faults) -> Currency {
        let code = <[u8; 3]>::try_from(self.code.as_bytes()).ok();
        if code.is_none() && !faults.touch("currency.code") {
            faults.add("currency.code", format!("must be three capital letters, is `{}`", self.code));
        }
        // An exponent beyond the limit is refused by `validate`; meanwhile amounts are read with the limit.
        let exponent = if faults.touch("currency.exponent") { CURRENCY_EXPONENT_MAX } else { self.exponent };
        Currency { code: code.unwrap_or(*b"XXX"), exponent }
    }
}

impl PlacementDocument {
    fn value(&self, faults: &Faults) -> Placement {
        if faults.touch("placement.width") || faults.touch("placement.rule") {
            return Placement {
                width: Some(2),
                default_rule: PlacementRule::BreadthFirst,
                other_rules: Vec::new(),
                strategic: false,
            };
        }
        let mut other_rules: Vec<PlacementRule> = self.allow.iter().map(|rule| rule.0).collect();
        // The plan keeps them ascending; a document may list them in any order.
        other_rules.sort_unstable();
        Placement {
            width: (self.width != 0).then_some(self.width),
            default_rule: self.rule.0,
            other_rules,
            strategic: self.strategic,
        }
    }
}

impl TriggerDocument {
    pub fn new(rule: &BonusRule, currency: Currency) -> Self {
        let money = |amounts: &[Money]| {
            amounts.iter().map(|amount| Decimal::of_money(*amount, currency.exponent)).collect()
        };
        let (money, percent) = match &rule.pay {
            LevelPay::Fixed(amounts) => (Some(money(amounts)), None),
            LevelPay::Share(rates) => (None, Some(rates.iter().copied().map(Decimal::of_rate).collect())),
        };
        Self {
            id: rule.trigger.to_string(),
            tree: rule.tree.into(),
            rate: RateDocument { by: RateBy::Level, money, percent },
            on_registration: rule.on_registration,
            admins_beyond: rule.admins_beyond,
        }
    }

    fn rule(&self, position: usize, currency: Currency, faults: &mut Faults) -> BonusRule {
        BonusRule {
            trigger: self.id.as_str().into(),
            tree: self.tree.into(),
            pay: self.rate.pay(&format!("trigger[{position}].rate"), currency, faults),
            on_registration: self.on_registration,
            admins_beyond: self.admins_beyond,
        }
    }
}

impl RateDocument {
    fn pay(&self, field: &str, currency: Currency, faults: &mut Faults) -> LevelPay {
        match (&self.money, &self.percent) {
            (Some(money), None) => {
                let read = |decimal: &Decimal| decimal.money(currency.exponent);
                LevelPay::Fixed(each(money, &format!("{field}.money"), faults, read))
            }
            (None, Some(percent)) => {
                LevelPay::Share(each(percent, &format!("{field}.percent"), faults, Decimal::rate))
            }
            _ => {
                if !faults.touch(field) {
                    faults.add(field, "one of `money` and `percent` is needed, not both");
                }
                LevelPay::Fixed(vec![Money(0)])
            }
        }
    }
}

/// Returns the values of a list; one that cannot be read is reported and replaced.
fn each<T: Default>(
    list: &[Decimal],
    field: &str,
    faults: &mut Faults,
    read: impl Fn(&Decimal) -> Result<T, String>,
) -> Vec<T> {
    let mut values = Vec::with_capacity(list.len());
    for (position, decimal) in list.iter().enumerate() {
        values.push(read(decimal).unwrap_or_else(|reason| {
            faults.add(&format!("{field}[{position}]"), reason);
            T::default()
        }));
    }
    values
}

impl LiveLadderDocument {
    fn ranks(&self, exponent: u8, faults: &mut Faults) -> RankRule {
        let mut steps: Vec<RankStep> = Vec::with_capacity(self.rank.len());
        for (position, rank) in self.rank.iter().enumerate() {
            let field = format!("ladder.live.rank[{position}]");
            // One that could not be read is replaced by the least value that may follow, so that the next
            // one is not blamed for it.
            let least = steps.last().map_or(1, |step| step.minimum.saturating_add(1));
            let minimum = if faults.touch(&format!("{field}.minimum")) { least } else { rank.minimum };
            let reward = rank.reward.as_ref().map(|reward| reward.money(exponent));
            let reward = reward.transpose().unwrap_or_else(|reason| {
                faults.add(&format!("{field}.reward"), reason);
                None
            });
            steps.push(RankStep { name: rank.name.as_str().into(), minimum, reward });
        }
        let tree = self.tree.into();
        match (self.rule, self.basis) {
            (RankRuleName::LevelFill, basis) => {
                if basis.is_some() && !faults.touch("ladder.live.basis") {
                    faults.add("ladder.live.basis", "goes with `thresholds` alone");
                }
                RankRule::LevelFill { tree, steps }
            }
            (RankRuleName::Thresholds, Some(BasisName::Direct)) => {
                RankRule::Thresholds { tree, basis: RankBasis::Direct, steps }
            }
            (RankRuleName::Thresholds, Some(BasisName::Downline) | None) => {
                RankRule::Thresholds { tree, basis: RankBasis::Downline, steps }
            }
        }
    }
}
