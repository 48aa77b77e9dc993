//! Plan files: TOML to a validated [`Plan`] and back.
//!
//! The shipped files in `plans/` explain the format. A file is refused with all its errors, each with line,
//! field and reason; an unknown key is an error, since a misspelled one would silently mean its default.

use std::{collections::BTreeMap, fmt::Write};

use toml::de::DeValue;

use crate::{
    amount,
    core::{
        plan::{
            BonusRule, CURRENCY_EXPONENT_MAX, Currency, LevelPay, Placement, PlacementRule, Plan, RankBasis,
            RankRule, RankStep,
        },
        types::{BasisPoints, LEVELS_MAX, Money, Tree},
    },
    toml_reader::{Fields, FileError, Reader, describe, whole},
};

/// The default plan of a network: `plans/matrix.toml`.
pub const DEFAULT_PLAN: &str = include_str!("../plans/matrix.toml");

/// The most levels that can be counted.
const LEVEL_CAP_DEFAULT: u8 = 15;
const _: () = assert!(LEVEL_CAP_DEFAULT as usize == LEVELS_MAX);

/// The default plan.
pub fn default_plan() -> Plan {
    parse(DEFAULT_PLAN).expect("the embedded plan is checked by a test")
}

/// Reads and validates a plan.
///
/// # Errors
/// All errors, in file order.
pub fn parse(text: &str) -> Result<Plan, Vec<FileError>> {
    let (mut reader, document) = Reader::parse(text)?;
    let plan = read_plan(&mut reader, Fields::of(String::new(), document.get_ref()));
    for error in plan.validate().err().unwrap_or_default() {
        let field = field_in_file(&error.field, &plan);
        if !reader.is_faulty(&field) {
            reader.fault(&field, error.reason);
        }
    }
    if reader.is_faultless() { Ok(plan) } else { Err(reader.into_errors()) }
}

/// Returns the field of the file that a finding of `Plan::validate` refers to.
fn field_in_file(field: &str, plan: &Plan) -> String {
    let Some(rule) = field.strip_suffix(".levels") else { return field.into() };
    let position = rule
        .strip_prefix("bonus[")
        .and_then(|rest| rest.strip_suffix(']'))
        .and_then(|number| number.parse::<usize>().ok());
    match position.and_then(|position| plan.bonuses.get(position)).map(|bonus| &bonus.pay) {
        Some(LevelPay::Share(_)) => format!("{rule}.basis_points"),
        _ => format!("{rule}.amounts"),
    }
}

fn read_plan(reader: &mut Reader, mut fields: Fields<'_, '_>) -> Plan {
    let name = needed_text(reader, &mut fields, "name").unwrap_or("unnamed").into();
    let currency = match needed_table(reader, &mut fields, "currency") {
        Some(table) => read_currency(reader, table),
        None => Currency { code: *b"XXX", exponent: 2 },
    };
    let placement = match needed_table(reader, &mut fields, "placement") {
        Some(table) => read_placement(reader, table),
        None => harmless_placement(),
    };
    let level_cap = fields.whole(reader, "level_cap").unwrap_or(LEVEL_CAP_DEFAULT);
    let count_sponsor_tree = fields.flag(reader, "count_sponsor_tree").unwrap_or(false);
    let bonuses =
        fields.tables(reader, "bonus").into_iter().map(|table| read_bonus(reader, table, currency)).collect();
    let steps = read_steps(reader, &mut fields, currency);
    let ranks = match needed_table(reader, &mut fields, "ranks") {
        Some(table) => read_ranks(reader, table, steps),
        None => RankRule::Thresholds { tree: Tree::Placement, basis: RankBasis::Downline, steps },
    };
    fields.finish(reader);
    Plan { name, currency, placement, count_sponsor_tree, level_cap, bonuses, ranks }
}

fn needed_text<'a>(reader: &mut Reader, fields: &mut Fields<'a, '_>, name: &'static str) -> Option<&'a str> {
    let text = fields.text(reader, name);
    missing(reader, &fields.path(name), text.is_none());
    text
}

fn needed_table<'a, 'text>(
    reader: &mut Reader,
    fields: &mut Fields<'a, 'text>,
    name: &'static str,
) -> Option<Fields<'a, 'text>> {
    let table = fields.table(reader, name);
    missing(reader, &fields.path(name), table.is_none());
    table
}

/// Reports a required field that is absent, unless it is present and faulty.
fn missing(reader: &mut Reader, field: &str, absent: bool) {
    if absent && !reader.is_faulty(field) {
        reader.fault(field, "is missing");
    }
}

fn read_currency(reader: &mut Reader, mut table: Fields<'_, '_>) -> Currency {
    let code = needed_text(reader, &mut table, "code");
    let field = table.path("code");
    let code = code.and_then(|code| {
        let bytes = <[u8; 3]>::try_from(code.as_bytes()).ok();
        missing_as(reader, &field, bytes.is_none(), || format!("must be three capital letters, is `{code}`"));
        bytes
    });
    let exponent: Option<u8> = table.whole(reader, "exponent");
    missing(reader, &table.path("exponent"), exponent.is_none());
    table.finish(reader);
    // `validate` rejects an exponent beyond the limit; meanwhile amounts are read with the limit.
    Currency { code: code.unwrap_or(*b"XXX"), exponent: exponent.unwrap_or(CURRENCY_EXPONENT_MAX) }
}

fn missing_as(reader: &mut Reader, field: &str, wrong: bool, reason: impl FnOnce() -> String) {
    if wrong {
        reader.fault(field, reason());
    }
}

fn harmless_placement() -> Placement {
    Placement {
        width: Some(2),
        default_rule: PlacementRule::BreadthFirst,
        other_rules: Vec::new(),
        strategic: false,
    }
}

fn read_placement(reader: &mut Reader, mut table: Fields<'_, '_>) -> Placement {
    let width: Option<u16> = table.whole(reader, "width");
    missing(reader, &table.path("width"), width.is_none());
    let rule = needed_text(reader, &mut table, "rule");
    let default_rule = rule.and_then(|name| read_rule(reader, &table.path("rule"), name));
    let mut other_rules = Vec::new();
    for (path, item) in table.list(reader, "allow").unwrap_or_default() {
        match item.as_str() {
            Some(name) => other_rules.extend(read_rule(reader, &path, name)),
            None => reader.fault(&path, format!("must be a string, is {}", describe(item))),
        }
    }
    // The plan keeps them ascending; a file may list them in any order.
    other_rules.sort_unstable();
    let strategic = table.flag(reader, "strategic").unwrap_or(false);
    table.finish(reader);
    let (Some(width), Some(default_rule)) = (width, default_rule) else {
        return harmless_placement();
    };
    Placement { width: (width != 0).then_some(width), default_rule, other_rules, strategic }
}

fn read_rule(reader: &mut Reader, field: &str, name: &str) -> Option<PlacementRule> {
    let rule = PlacementRule::from_name(name);
    missing_as(reader, field, rule.is_none(), || {
        let known: Vec<&str> = PlacementRule::ALL.iter().map(|rule| rule.name()).collect();
        format!("`{name}` is not a placement rule (known: {})", known.join(", "))
    });
    rule
}

fn read_tree(reader: &mut Reader, table: &mut Fields<'_, '_>) -> Tree {
    match table.text(reader, "tree") {
        None | Some("placement") => Tree::Placement,
        Some("sponsor") => Tree::Sponsor,
        Some(other) => {
            reader.fault(&table.path("tree"), format!("must be `placement` or `sponsor`, is `{other}`"));
            Tree::Placement
        }
    }
}

fn read_bonus(reader: &mut Reader, mut table: Fields<'_, '_>, currency: Currency) -> BonusRule {
    let trigger = needed_text(reader, &mut table, "trigger").unwrap_or("unnamed").into();
    let tree = read_tree(reader, &mut table);
    let amounts = table.list(reader, "amounts");
    let rates = table.list(reader, "basis_points");
    let pay = match (amounts, rates) {
        (Some(amounts), None) => LevelPay::Fixed(
            amounts
                .iter()
                .map(|(path, item)| read_money(reader, path, item, currency).unwrap_or_default())
                .collect(),
        ),
        (None, Some(rates)) => {
            LevelPay::Share(rates.iter().map(|(path, item)| read_rate(reader, path, item)).collect())
        }
        (amounts, _) => {
            let field = table.path(if amounts.is_some() { "basis_points" } else { "amounts" });
            if !reader.is_faulty(&field) && !reader.is_faulty(&table.path("basis_points")) {
                reader.fault(&field, "one of `amounts` and `basis_points` is needed, not both");
            }
            LevelPay::Fixed(vec![Money(0)])
        }
    };
    let on_registration = table.flag(reader, "on_registration").unwrap_or(false);
    let admins_beyond = table.flag(reader, "admins_beyond").unwrap_or(false);
    table.finish(reader);
    BonusRule { trigger, tree, pay, on_registration, admins_beyond }
}

/// Reads an amount: a string or a number, read digit by digit from the file's text, so `0.1` is a tenth.
fn read_money(reader: &mut Reader, field: &str, value: &DeValue<'_>, currency: Currency) -> Option<Money> {
    let exponent = currency.exponent.min(CURRENCY_EXPONENT_MAX);
    let read = match value {
        DeValue::String(text) => amount::parse(text, exponent),
        DeValue::Integer(number) if number.radix() == 10 => amount::parse(number.as_str(), exponent),
        DeValue::Float(number) => amount::parse(number.as_str(), exponent),
        other => Err(format!("must be an amount such as \"10.00\", is {}", describe(other))),
    };
    match read {
        Ok(money) => Some(money),
        Err(reason) => {
            reader.fault(field, reason);
            None
        }
    }
}

fn read_rate(reader: &mut Reader, field: &str, value: &DeValue<'_>) -> BasisPoints {
    let rate = whole(value);
    missing_as(reader, field, rate.is_none(), || {
        format!("must be a whole number of basis points, is {}", describe(value))
    });
    BasisPoints(rate.unwrap_or(0))
}

fn read_steps(reader: &mut Reader, fields: &mut Fields<'_, '_>, currency: Currency) -> Vec<RankStep> {
    let mut steps: Vec<RankStep> = Vec::new();
    for mut table in fields.tables(reader, "rank") {
        let name = needed_text(reader, &mut table, "name").unwrap_or("unnamed").into();
        let minimum = table.whole(reader, "minimum");
        missing(reader, &table.path("minimum"), minimum.is_none());
        // One that cannot be read is replaced by the least value that could follow, so that the next one is
        // not blamed for it.
        let least = steps.last().map_or(1, |step| step.minimum.saturating_add(1));
        let path = table.path("reward");
        let reward =
            table.take(reader, "reward").and_then(|value| read_money(reader, &path, value, currency));
        table.finish(reader);
        steps.push(RankStep { name, minimum: minimum.unwrap_or(least), reward });
    }
    steps
}

fn read_ranks(reader: &mut Reader, mut table: Fields<'_, '_>, steps: Vec<RankStep>) -> RankRule {
    let rule = needed_text(reader, &mut table, "rule");
    let tree = read_tree(reader, &mut table);
    let basis_given = table.text(reader, "basis");
    let basis = match basis_given {
        None | Some("downline") => RankBasis::Downline,
        Some("direct") => RankBasis::Direct,
        Some(other) => {
            reader.fault(&table.path("basis"), format!("must be `downline` or `direct`, is `{other}`"));
            RankBasis::Downline
        }
    };
    let level_fill = rule == Some("level-fill");
    if let Some(other) = rule.filter(|rule| *rule != "thresholds" && !level_fill) {
        reader.fault(&table.path("rule"), format!("must be `thresholds` or `level-fill`, is `{other}`"));
    }
    if level_fill && basis_given.is_some() {
        reader.fault(&table.path("basis"), "goes with `rule = \"thresholds\"` alone");
    }
    table.finish(reader);
    if level_fill { RankRule::LevelFill { tree, steps } } else { RankRule::Thresholds { tree, basis, steps } }
}

fn tree_name(tree: Tree) -> &'static str {
    match tree {
        Tree::Sponsor => "sponsor",
        Tree::Placement => "placement",
    }
}

/// Returns the canonical text of a plan: every field, defaults included, in a fixed order. `parse` reads the
/// same plan back.
pub fn to_text(plan: &Plan) -> String {
    let mut text = String::new();
    for (section, fields) in sections(plan) {
        if !section.is_empty() {
            writeln!(text, "\n{section}").expect("writing to a string does not fail");
        }
        for (name, value) in fields {
            writeln!(text, "{name} = {value}").expect("writing to a string does not fail");
        }
    }
    text
}

/// Returns the sections of a plan file with the fields of each, as TOML.
fn sections(plan: &Plan) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let exponent = plan.currency.exponent;
    let rules: Vec<String> = plan.placement.other_rules.iter().map(|rule| quoted(rule.name())).collect();
    let mut sections = vec![
        (
            "",
            vec![
                ("name", quoted(&plan.name)),
                ("level_cap", plan.level_cap.to_string()),
                ("count_sponsor_tree", plan.count_sponsor_tree.to_string()),
            ],
        ),
        (
            "[currency]",
            vec![
                ("code", quoted(&String::from_utf8_lossy(&plan.currency.code))),
                ("exponent", plan.currency.exponent.to_string()),
            ],
        ),
        (
            "[placement]",
            vec![
                ("width", plan.placement.width.unwrap_or(0).to_string()),
                ("rule", quoted(plan.placement.default_rule.name())),
                ("allow", format!("[{}]", rules.join(", "))),
                ("strategic", plan.placement.strategic.to_string()),
            ],
        ),
    ];
    for rule in &plan.bonuses {
        let (name, levels): (_, Vec<String>) = match &rule.pay {
            LevelPay::Fixed(amounts) => {
                ("amounts", amounts.iter().map(|money| quoted(&amount::print(*money, exponent))).collect())
            }
            LevelPay::Share(rates) => ("basis_points", rates.iter().map(|rate| rate.0.to_string()).collect()),
        };
        let fields = vec![
            ("trigger", quoted(&rule.trigger)),
            ("tree", quoted(tree_name(rule.tree))),
            (name, format!("[{}]", levels.join(", "))),
            ("on_registration", rule.on_registration.to_string()),
            ("admins_beyond", rule.admins_beyond.to_string()),
        ];
        sections.push(("[[bonus]]", fields));
    }
    let (rule, basis) = match plan.ranks {
        RankRule::Thresholds { basis: RankBasis::Direct, .. } => ("thresholds", Some("direct")),
        RankRule::Thresholds { basis: RankBasis::Downline, .. } => ("thresholds", Some("downline")),
        RankRule::LevelFill { .. } => ("level-fill", None),
    };
    let mut fields = vec![("rule", quoted(rule)), ("tree", quoted(tree_name(plan.ranks.tree())))];
    fields.extend(basis.map(|basis| ("basis", quoted(basis))));
    sections.push(("[ranks]", fields));
    for step in plan.ranks.steps() {
        let mut fields = vec![("name", quoted(&step.name)), ("minimum", step.minimum.to_string())];
        fields.extend(step.reward.map(|reward| ("reward", quoted(&amount::print(reward, exponent)))));
        sections.push(("[[rank]]", fields));
    }
    sections
}

/// Returns a TOML string on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            other => quoted.push(other), // plan names hold no control characters
        }
    }
    quoted.push('"');
    quoted
}

/// Returns the differences between two plans, one line per field: `placement.width: 3 in the directory, 5
/// wanted`. Empty if they are the same.
pub fn diff(in_directory: &Plan, wanted: &Plan) -> Vec<String> {
    let (old, new) = (flat(in_directory), flat(wanted));
    let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let value = |plan: &BTreeMap<String, String>, field: &String| {
        plan.get(field).map_or("absent".into(), Clone::clone)
    };
    let differing = fields.into_iter().filter(|field| old.get(*field) != new.get(*field));
    differing
        .map(|field| {
            format!("{field}: {} in the directory, {} wanted", value(&old, field), value(&new, field))
        })
        .collect()
}

/// Returns every field of a plan under its path.
fn flat(plan: &Plan) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    let mut repeats: BTreeMap<&str, usize> = BTreeMap::new();
    for (section, fields) in sections(plan) {
        let name = section.trim_matches(['[', ']']);
        let prefix = match section {
            "" => String::new(),
            _ if section.starts_with("[[") => {
                let position = repeats.entry(name).or_default();
                *position += 1;
                format!("{name}[{}].", *position - 1)
            }
            _ => format!("{name}."),
        };
        flat.extend(fields.into_iter().map(|(field, value)| (format!("{prefix}{field}"), value)));
    }
    flat
}

#[cfg(test)]
#[path = "plan_file_test.rs"]
mod tests;
