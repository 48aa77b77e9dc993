use proptest::prelude::*;

use super::*;
use crate::core::{
    plan::{
        BonusRule, CURRENCY_EXPONENT_MAX, Currency, LevelPay, Placement, PlacementRule, RANKS_MAX, RATE_MAX,
        RankBasis, RankRule, RankStep, THRESHOLD_MAX, TRIGGERS_MAX, WIDTH_MAX, arbitrary_test::commerce,
    },
    types::{BasisPoints, LEVELS_MAX, Money, Tree},
};

const LEVELS: u8 = 15;
const _: () = assert!(LEVELS as usize == LEVELS_MAX);

const SHIPPED: [(&str, &str); 5] = [
    ("matrix", DEFAULT_PLAN),
    ("levels", include_str!("../plans/levels.toml")),
    ("binary", include_str!("../plans/binary.toml")),
    ("monthly-volume", include_str!("../plans/monthly-volume.toml")),
    ("demo", DEMO_PLAN),
];

fn messages(text: &str) -> Vec<String> {
    parse(text).expect_err("the plan should be refused").iter().map(ToString::to_string).collect()
}

#[test]
fn shipped_plans_are_valid_and_survive_a_round_trip() {
    for (name, text) in SHIPPED {
        let plan = parse(text).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        assert_eq!(&*plan.name, name);
        assert_eq!(parse(&to_text(&plan)).as_ref(), Ok(&plan), "{name}:\n{}", to_text(&plan));
        assert_eq!(diff(&plan, &plan), Vec::<String>::new());
    }
}

#[test]
fn the_default_plan_is_the_original_service() {
    let plan = default_plan();
    assert_eq!(plan.placement.width, Some(3));
    assert_eq!(plan.placement.default_rule, PlacementRule::BreadthFirst);
    let pay = LevelPay::Fixed([1_000, 500, 200, 100].map(Money).to_vec());
    for trigger in ["referral", "purchase"] {
        let rule = plan.bonus(trigger).expect(trigger);
        assert_eq!((rule.tree, &rule.pay, rule.on_registration), (Tree::Placement, &pay, false), "{trigger}");
    }
    let RankRule::Thresholds { tree: Tree::Placement, basis: RankBasis::Downline, steps } = &plan.ranks
    else {
        panic!("{:?}", plan.ranks)
    };
    let ladder: Vec<(&str, u32)> = steps.iter().map(|step| (&*step.name, step.minimum)).collect();
    assert_eq!(ladder, [("Bronze", 3), ("Silver", 10), ("Gold", 25), ("Diamond", 50)]);
}

#[test]
fn the_article_plan_pays_fifteen_levels_on_registration() {
    let plan = parse(SHIPPED[1].1).unwrap();
    assert!(plan.placement.trees_coincide());
    let rule = plan.bonus("referral").unwrap();
    assert_eq!(
        (rule.tree, rule.pay.levels(), rule.on_registration, rule.admins_beyond),
        (Tree::Sponsor, 15, true, true)
    );
    assert_eq!(plan.ranks.steps().len(), 15);
}

/// Returns the default plan with some text replaced.
fn changed(from: &str, to: &str) -> String {
    assert!(DEFAULT_PLAN.contains(from), "{from}");
    DEFAULT_PLAN.replacen(from, to, 1)
}

fn line_of(text: &str, part: &str) -> usize {
    1 + text.lines().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} is in the plan"))
}

#[test]
fn each_fault_is_named_with_line_field_and_reason() {
    // text replaced, replacement, text that marks the line, rest of the message
    let table = [
        ("name = \"matrix\"", "name = 3", "name = 3", "name: must be a string, is the number 3"),
        ("name = \"matrix\"", "name = \"\"", "name = \"\"", "name: must have 1 to 64 bytes"),
        ("level_cap = 15", "level_cap = 16", "level_cap = 16", "level_cap: must be between 1 and 15"),
        (
            "level_cap = 15",
            "level_cap = 300",
            "level_cap = 300",
            "level_cap: must be a whole number in range, is the number 300",
        ),
        ("level_cap = 15", "levelcap = 15", "levelcap = 15", "levelcap: is not known here (known: name, "),
        (
            "code = \"USD\"",
            "code = \"usd\"",
            "code = \"usd\"",
            "currency.code: must be three capital letters",
        ),
        (
            "code = \"USD\"",
            "code = \"DOLLAR\"",
            "DOLLAR",
            "currency.code: must be three capital letters, is `DOLLAR`",
        ),
        ("exponent = 2", "exponent = 9", "exponent = 9", "currency.exponent: must be at most 8"),
        (", exponent = 2", "", "currency = {", "currency.exponent: is missing"),
        ("width = 3", "width = 1001", "width = 1001", "placement.width: must be between 1 and 1000"),
        ("width = 3", "width = -1", "width = -1", "placement.width: must be a whole number in range"),
        (
            "width = 3",
            "width = 0",
            "rule = \"breadth-first\"",
            "placement.rule: unlimited width goes with `unilevel` alone",
        ),
        (
            "rule = \"breadth-first\"",
            "rule = \"bfs\"",
            "rule = \"bfs\"",
            "placement.rule: must be one of breadth-first, breadth-first-by-slot, ",
        ),
        (
            "rule = \"breadth-first\"",
            "rule = \"left\"",
            "rule = \"left\"",
            "placement.rule: rules of left and right legs need width 2",
        ),
        (
            "allow = []",
            "allow = [\"left\", 7]",
            "allow = [\"left\", 7]",
            "placement.allow[1]: must be one of breadth-first, ",
        ),
        ("allow = []", "allow = [\"breadth-first\"]", "allow =", "placement.allow: names a rule twice"),
        (
            "strategic = true",
            "strategic = \"yes\"",
            "strategic = \"yes\"",
            "placement.strategic: must be true or false, is the string `yes`",
        ),
        (
            "tree = \"placement\"",
            "tree = \"family\"",
            "family",
            "trigger[0].tree: must be `placement` or `sponsor`, is the string `family`",
        ),
        (
            "\"10.00\", ",
            "\"10.001\", ",
            "10.001",
            "trigger[0].rate.money[0]: `10.001` has more decimals than the 2 of the currency",
        ),
        ("\"10.00\", ", "\"-1\", ", "\"-1\"", "trigger[0].rate.money: an amount is negative or too large"),
        ("\"10.00\", ", "1e3, ", "1e3", "trigger[0].rate.money[0]: `1e3` is not an amount"),
        (
            "\"10.00\", ",
            "true, ",
            "true, ",
            "trigger[0].rate.money[0]: must be a decimal number such as \"10.00\", is true",
        ),
        ("id = \"purchase\"", "id = \"referral\"", "", "trigger[1].id: `referral` is there twice"),
        (
            "id = \"purchase\"",
            "id = \"registration\"",
            "\"registration\"",
            "trigger[1].id: must be 1 to 64 of",
        ),
        ("id = \"purchase\"", "ib = \"purchase\"", "ib =", "trigger[1].ib: is not known here"),
        (
            "basis = \"downline\"",
            "basis = \"all\"",
            "basis = \"all\"",
            "ladder.live.basis: must be `downline` or `direct`, is the string `all`",
        ),
        (
            "rule = \"thresholds\"",
            "rule = \"level-fill\"",
            "basis = \"downline\"",
            "ladder.live.basis: goes with `thresholds` alone",
        ),
        (
            "rule = \"thresholds\"",
            "rule = \"points\"",
            "rule = \"points\"",
            "ladder.live.rule: must be `thresholds` or `level-fill`, is the string `points`",
        ),
        (
            "minimum = 10",
            "minimum = 3",
            "",
            "ladder.live.rank[1].minimum: must be above that of the rank before",
        ),
        ("minimum = 10", "minimum = 0", "minimum = 0", "ladder.live.rank[1].minimum: must be between 1 and"),
        (
            "minimum = 50",
            "minimum = 50\nreward = \"x\"",
            "reward = \"x\"",
            "ladder.live.rank[3].reward: `x` is not an amount",
        ),
    ];
    for (from, to, mark, rest) in table {
        let text = changed(from, to);
        let found = messages(&text);
        let expected = |message: &String| {
            let place_is_right =
                mark.is_empty() || message.starts_with(&format!("line {}: ", line_of(&text, mark)));
            place_is_right && message.contains(rest)
        };
        assert!(found.iter().any(expected), "{to} should say `{rest}` at the line of `{mark}`: {found:?}");
    }
}

#[test]
fn all_faults_are_reported_in_the_order_of_the_file() {
    let text = changed("level_cap = 15", "level_cap = 99")
        .replace("exponent = 2", "exponent = \"two\"")
        .replace("minimum = 25", "minimum = 1");
    let found = messages(&text);
    assert_eq!(found.len(), 3, "{found:?}");
    for (message, field) in
        found.iter().zip(["currency.exponent", "level_cap", "ladder.live.rank[2].minimum"])
    {
        assert!(message.contains(&format!(": {field}: ")), "{found:?}");
    }
}

#[test]
fn faults_of_the_notation_name_their_line() {
    let found = messages("name = \"a\"\nlevel_cap = = 3\n");
    assert!(found[0].starts_with("line 2: "), "{found:?}");
    let found = messages("name = \"a\"\nname = \"b\"\n");
    assert!(found[0].starts_with("line 2: "), "{found:?}");
    let nested = format!("x = {}", "[".repeat(100_000));
    assert!(!messages(&nested).is_empty());
}

#[test]
fn an_empty_file_lacks_what_is_needed() {
    let found = messages("");
    assert_eq!(
        found,
        ["name: is missing", "currency: is missing", "placement: is missing", "ladder: is missing"]
    );
}

#[test]
fn pay_is_named_once() {
    let needed = "trigger[0].rate: one of `money` and `percent` is needed, not both";
    let both = messages(&changed("\"1.00\"] }", "\"1.00\"], percent = [1] }"));
    assert!(both[0].contains(needed), "{both:?}");
    let neither = messages(&changed(", money = [\"10.00\", \"5.00\", \"2.00\", \"1.00\"]", ""));
    assert!(neither[0].contains(needed), "{neither:?}");
    let none = messages(&changed("[\"10.00\", \"5.00\", \"2.00\", \"1.00\"]", "[]"));
    assert!(none[0].contains("trigger[0].rate.money: pays 0 levels"), "{none:?}");
}

#[test]
fn amounts_are_exact_as_strings_and_as_numbers() {
    let text = changed("[\"10.00\", \"5.00\", \"2.00\", \"1.00\"]", "[10, 0.1, 0.29, \"99999999999.99\"]");
    let plan = parse(&text).unwrap();
    assert_eq!(plan.bonuses[0].pay, LevelPay::Fixed([1_000, 10, 29, 9_999_999_999_999].map(Money).to_vec()));
}

#[test]
fn differences_name_field_and_both_values() {
    let plan = default_plan();
    let mut other = plan.clone();
    other.placement.width = Some(5);
    let RankRule::Thresholds { steps, .. } = &mut other.ranks else {
        unreachable!("the default plan has thresholds")
    };
    steps.pop();
    assert_eq!(
        diff(&plan, &other),
        [
            "ladder.live.rank[3].minimum: 50 in the directory, absent wanted",
            "ladder.live.rank[3].name: \"Diamond\" in the directory, absent wanted",
            "placement.width: 3 in the directory, 5 wanted",
        ]
    );
}

fn any_name() -> impl Strategy<Value = Box<str>> {
    prop_oneof!["[a-zA-Z0-9 =#'\\\\\"ä-]{1,20}", "\\PC{1,12}"]
        .prop_filter("within the limit", |name| name.len() <= 64 && !name.chars().any(char::is_control))
        .prop_map(String::into_boxed_str)
}

fn any_placement() -> impl Strategy<Value = Placement> {
    let unilevel = any::<bool>().prop_map(|strategic| Placement {
        width: None,
        default_rule: PlacementRule::Unilevel,
        other_rules: Vec::new(),
        strategic,
    });
    let wide = (3..=WIDTH_MAX, any_rules(5));
    let binary = (Just(2_u16), any_rules(14));
    let limited = prop_oneof![wide, binary].prop_map(|(width, (default_rule, other_rules, strategic))| {
        Placement { width: Some(width), default_rule, other_rules, strategic }
    });
    prop_oneof![unilevel, limited]
}

fn any_rules(most: usize) -> impl Strategy<Value = (PlacementRule, Vec<PlacementRule>, bool)> {
    let rules: Vec<PlacementRule> =
        PlacementRule::ALL.into_iter().filter(|rule| *rule != PlacementRule::Unilevel).take(most).collect();
    (prop::sample::subsequence(rules, 1..=most).prop_shuffle(), any::<bool>()).prop_map(
        |(mut rules, strategic)| {
            let default_rule = rules.pop().expect("at least one was drawn");
            rules.sort_unstable();
            (default_rule, rules, strategic)
        },
    )
}

fn any_bonus(position: usize, cap: u8) -> impl Strategy<Value = BonusRule> {
    let levels = 1..=usize::from(cap);
    let fixed = (prop::collection::vec((0..=Money::MAX.0).prop_map(Money), levels.clone()), any::<bool>())
        .prop_map(|(amounts, on_registration)| (LevelPay::Fixed(amounts), on_registration));
    let share = prop::collection::vec((0..=RATE_MAX.0).prop_map(BasisPoints), levels)
        .prop_map(|rates| (LevelPay::Share(rates), false));
    (prop_oneof![fixed, share], any_tree(), any::<bool>()).prop_map(
        move |((pay, on_registration), tree, admins_beyond)| BonusRule {
            trigger: format!("trigger-{position}").into(),
            tree,
            pay,
            on_registration,
            admins_beyond,
        },
    )
}

fn any_tree() -> impl Strategy<Value = Tree> {
    prop_oneof![Just(Tree::Sponsor), Just(Tree::Placement)]
}

fn any_ranks(cap: u8) -> impl Strategy<Value = RankRule> {
    let reward = || prop::option::of((0..=Money::MAX.0).prop_map(Money));
    let step = move || {
        (any_name(), 1..=THRESHOLD_MAX, reward()).prop_map(|(name, minimum, reward)| RankStep {
            name,
            minimum,
            reward,
        })
    };
    let basis = prop_oneof![Just(RankBasis::Direct), Just(RankBasis::Downline)];
    let thresholds = (any_tree(), basis, prop::collection::vec(step(), 0..=RANKS_MAX)).prop_map(
        |(tree, basis, mut steps)| {
            steps.sort_by_key(|step| step.minimum);
            steps.dedup_by_key(|step| step.minimum);
            RankRule::Thresholds { tree, basis, steps }
        },
    );
    let level_fill =
        (any_tree(), prop::collection::vec(step(), 0..=usize::from(cap))).prop_map(|(tree, mut steps)| {
            // The first rank is held from the start, so nothing can be paid for reaching it.
            steps.iter_mut().take(1).for_each(|step| step.reward = None);
            RankRule::LevelFill { tree, steps }
        });
    prop_oneof![thresholds, level_fill]
}

fn any_plan() -> impl Strategy<Value = Plan> {
    (1..=LEVELS, 0..=TRIGGERS_MAX).prop_flat_map(|(level_cap, triggers)| {
        let bonuses: Vec<_> = (0..triggers).map(|position| any_bonus(position, level_cap)).collect();
        let currency = ("[A-Z]{3}", 0..=CURRENCY_EXPONENT_MAX).prop_map(|(code, exponent)| Currency {
            code: code.as_bytes().try_into().expect("three letters were drawn"),
            exponent,
        });
        (any_name(), currency, any_placement(), bonuses, any_ranks(level_cap), commerce()).prop_map(
            move |(name, currency, placement, bonuses, ranks, commerce)| Plan {
                name,
                currency,
                placement,
                count_sponsor_tree: true,
                level_cap,
                bonuses,
                commerce,
                ranks,
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_survives_a_round_trip(plan in any_plan()) {
        prop_assert_eq!(plan.validate(), Ok(()));
        let text = to_text(&plan);
        prop_assert_eq!(parse(&text), Ok(plan), "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        position in 0..DEFAULT_PLAN.len(), inserted in "\\PC{0,4}|[\\[\\]{}\"=\n.]{1,5}", cut in 0_usize..40
    ) {
        let start = DEFAULT_PLAN.floor_char_boundary(position);
        let end = DEFAULT_PLAN.floor_char_boundary((start + cut).min(DEFAULT_PLAN.len()));
        let text = format!("{}{inserted}{}", &DEFAULT_PLAN[..start], &DEFAULT_PLAN[end..]);
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.is_empty());
        }
    }
}
