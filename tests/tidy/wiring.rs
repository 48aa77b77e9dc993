//! Each kind of thing is wired everywhere it must be: commands, outcomes, rejections, sections of a snapshot,
//! metrics. Routes are in `tests/http/routes.rs`.
//!
//! The compiler detects a `match` that lacks one. It does not detect a decoder, a list, a page, a random
//! generator or a golden directory that does; each of those is a row here.

use std::{collections::BTreeSet, fmt::Write, fs};

use strum::VariantArray;
use upline::{
    access,
    core::{
        ActorKind, BreakageReason, RowKind,
        command::{CommandKind, EntryChange, Rejection},
        plan::PlacementRule,
        sections::sections,
        types::{EntryStatus, Role, Status},
    },
    durability::FORMAT_VERSION,
};

use super::layers::{root, sources};

/// A variant, as in the source.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Kind {
    /// `PayEntry`.
    name: String,
    /// Its number on disk; 0 if it has none.
    number: u32,
}

impl Kind {
    /// `pay_entry`.
    fn snake(&self) -> String {
        let mut text = String::new();
        for character in self.name.chars() {
            if character.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.extend(character.to_lowercase());
        }
        text
    }
}

/// Where each variant must appear: the file, the item in it (none: anywhere), and in which form.
type Place = (&'static str, &'static str, fn(&Kind) -> String);

/// The compiler detects a command without rules, JSON or an arm of another `match`; its record in the log,
/// the label of metrics and the printed name follow from the table of commands. These are the others.
#[test]
fn every_command_is_wired_everywhere() {
    let named: fn(&Kind) -> String = |kind| format!("Command::{}", kind.name);
    let kinds: Vec<Kind> = CommandKind::ALL
        .iter()
        .map(|kind| Kind { name: format!("{kind:?}"), number: u32::from(*kind as u16) })
        .collect();
    check(
        &kinds,
        &[
            // The starting point of fuzzers and codec tests.
            ("src/durability/codec/arbitrary.rs", "fn command(", named),
            ("tests/networks/naive.rs", "    fn execute(", named),
            ("tests/networks/random.rs", "    fn command(", named),
            ("tests/disk/format.rs", "fn command(", named),
        ],
    );
    let page = text_of("snapshots/README.md");
    let rows: Vec<&str> = item(&page, "| kind | domain |").lines().skip(2).collect();
    let described = rows.iter().zip(CommandKind::ALL).all(|(row, kind)| {
        let begin = format!("| {} | {} | ", kind as u16, format!("{:?}", kind.domain()).to_lowercase());
        let since = format!("(since version {})", kind.since());
        row.starts_with(&begin) && row.contains(&since) == (1 < kind.since())
    });
    assert!(
        described && rows.len() == CommandKind::ALL.len(),
        "the page lacks a kind, or its version: {rows:?}"
    );
}

/// Numbers, labels and printed names are those of the table, each once but for one name.
#[test]
fn kinds_of_commands_are_told_apart() {
    assert!(CommandKind::ALL.is_sorted_by(|one, next| (*one as u16) < (*next as u16)));
    let labels: BTreeSet<&str> = CommandKind::ALL.into_iter().map(CommandKind::name).collect();
    assert_eq!(labels.len(), CommandKind::ALL.len());
    assert_eq!(CommandKind::printed_names().len() + 1, CommandKind::ALL.len(), "two print `pay_all`");
    for kind in CommandKind::ALL {
        assert_eq!(CommandKind::from_code(kind as u16), Some(kind));
        assert!((1..=FORMAT_VERSION).contains(&kind.since()), "{kind:?}: no format version {}", kind.since());
    }
}

#[test]
fn every_outcome_is_wired_everywhere() {
    let named: fn(&Kind) -> String = |kind| format!("Outcome::{}", kind.name);
    check(
        &variants("src/core/requests/command.rs", "pub enum Outcome {"),
        &[
            ("src/core/requests/outcome.rs", "pub fn to_bytes(", named),
            ("src/core/requests/outcome.rs", "pub fn of_bytes(", named),
            ("src/durability/codec/arbitrary.rs", "pub(crate) fn outcome(", named),
            ("snapshots/README.md", "| kind | outcome |", |kind| format!("\n| {} | ", kind.number)),
        ],
    );
}

/// `tests/state/scenarios.rs` checks that each has a scenario, `src/http/v1/problem.rs` that its row in
/// `docs/api.md` is complete.
#[test]
fn every_rejection_is_wired_everywhere() {
    let named: fn(&Kind) -> String = |kind| format!("Rejection::{}", kind.name);
    check(
        &variants("src/core/requests/command.rs", "pub enum Rejection {"),
        &[
            ("src/http/v1/problem.rs", "", named),
            ("src/http/dropin/errors.rs", "", named),
            ("docs/api.md", "", |kind| format!("| `{}` | ", kind.snake())),
        ],
    );
}

macro_rules! rows_of_the_specification {
    ($(
        $number:literal $section:ident $name:literal since $since:literal:
        $row:ident $(in $part:ident)? { $($column:ident: $stored:ty),+ $(,)? }
        $(before $version:literal: $older:ident { $($older_columns:tt)* })*
    )+) => {
        const SECTIONS: &[(u32, &str, u32, &[(&str, &str)])] =
            &[$(($number, $name, $since, &[$((stringify!($column), stringify!($stored))),+])),+];
    };
}
sections!(rows_of_the_specification);

/// The compiler detects a section that is not written, read, restored or digested: all of that follows from
/// the table. The specification repeats it.
#[test]
fn every_section_of_a_snapshot_is_specified() {
    let mut table =
        String::from("| section | name | since | root | columns |\n| --- | --- | --- | --- | --- |");
    for (at, (number, name, since, columns)) in SECTIONS.iter().enumerate() {
        assert_eq!(*number as usize, at + 2, "{name}: numbers ascend by one");
        assert!((1..=FORMAT_VERSION).contains(since), "{name}: no format version {since}");
        let vectors: usize =
            columns.iter().map(|(_, stored)| 1 + usize::from(stored.starts_with("Text"))).sum();
        // Tokens are printed with blanks around angle brackets.
        let stored = |stored: &str| stored.replace(" < ", "<").replace(" >", ">");
        let columns: Vec<String> =
            columns.iter().map(|(name, kind)| format!("`{name}` `{}`", stored(kind))).collect();
        let root = vectors * 8;
        write!(table, "\n| {number} | `{name}` | {since} | {root} | {} |", columns.join(" · ")).unwrap();
    }
    let page = text_of("snapshots/README.md");
    assert_eq!(item(&page, "| section | name |"), table, "the page must have this table:\n{table}\n");
}

/// The compiler detects neither a list that a part keeps without a section, which a restart would lose, nor
/// two of them under one row.
#[test]
fn every_list_that_a_part_keeps_is_a_section() {
    let table = text_of("src/core/state/sections.rs");
    let mut lists = 0;
    for source in sources("src/core") {
        for kept in source.text.split("\nkeeps!(").skip(1) {
            let (part, fields) = kept.split_once('{').expect("a part, then its lists");
            let fields = fields.split_once('}').expect("it ends").0.matches(':').count();
            let named = table.matches(&format!(" in {} {{", part.trim().to_lowercase())).count();
            assert_eq!(fields, named, "lists of {part}in {}, and sections of them", source.name);
            lists += fields;
        }
    }
    assert_eq!(lists, table.matches("Row in ").count(), "each section of a part is a list of it");
}

#[test]
fn every_metric_is_in_the_table_and_set() {
    let definitions = text_of("src/metrics/table.rs");
    let metrics: Vec<Kind> = definitions
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": Definition"))
        .map(|(name, _)| Kind { name: name.into(), number: 0 })
        .collect();
    check(&metrics, &[("src/metrics/table.rs", "pub const TABLE", |kind| kind.name.clone())]);
    let users = text_of("src/metrics.rs") + &text_of("src/metrics/access.rs");
    for Kind { name, .. } in metrics {
        assert!(stands(&users, &format!("table::{name}")), "{name} is never set");
    }
}

/// `strum` lists the variants of enums. This one has a variant that wraps another enum, so its list is ours.
#[test]
fn every_problem_of_our_own_is_listed() {
    let mut kinds = variants("src/http/v1/problem.rs", "pub enum Code {");
    kinds.retain(|kind| kind.name != "Rejected");
    let named: fn(&Kind) -> String = |kind| format!("Code::{}", kind.name);
    check(&kinds, &[("src/http/v1/problem.rs", "    pub const OURS: [Code", named)]);
}

/// The numbers on disk and the printed names of the enums whose names `strum` derives from the variants: a
/// variant that is renamed keeps its name by `#[strum(serialize = ...)]`.
#[test]
fn numbers_and_names_never_change() {
    let table = [
        (shown(&Status::ALL, |of| (of as u16, of.name())), "0 active, 1 inactive, 2 terminated"),
        (shown(&Role::ALL, |of| (of as u16, of.name())), "0 member, 1 admin"),
        (shown(&EntryStatus::ALL, |of| (of as u16, of.name())), "0 pending, 1 paid, 2 held, 3 void"),
        (shown(&EntryChange::ALL, |of| (of as u16, of.name())), "1 hold, 2 release, 3 void"),
        (
            shown(&ActorKind::ALL, |of| (of as u16, of.name())),
            "0 unknown, 1 member, 2 service, 3 auditor, 4 admin, 5 cli, 6 anonymous",
        ),
        (
            shown(&BreakageReason::ALL, |of| (of as u16, of.name())),
            "0 inactive, 1 terminated, 2 short_upline, 3 level_cap",
        ),
        (
            shown(&PlacementRule::ALL, |of| (of as u16, of.name())),
            "1 breadth-first, 2 breadth-first-by-slot, 3 balanced, 4 round-robin, 5 power-leg, 6 unilevel, \
             7 left, 8 right, 9 weak-leg-outside, 10 weak-leg-even, 11 strong-leg-outside, \
             12 strong-leg-even, 13 even-fill, 14 left-even, 15 right-even",
        ),
        (
            shown(&Rejection::ALL, |of| (of as u16, of.name())),
            "1 member_exists, 2 sponsor_unknown, 3 sponsor_not_active, 4 parent_unknown, \
             5 parent_outside_sponsor_subtree, 6 slot_taken, 7 slot_out_of_range, 8 rule_not_allowed, \
             9 strategic_not_allowed, 10 code_taken, 11 network_full, 13 member_unknown, 14 admins_full, \
             15 status_change_not_allowed, 16 trigger_unknown, 17 amount_missing, 18 amount_out_of_range, \
             19 triggered_before, 20 entry_unknown, 21 ledger_full, 22 key_reused, 23 plan_placement_fixed, \
             24 plan_currency_fixed, 25 plan_ranks_removed, 26 plan_kinds_full, 27 plan_unchanged, \
             28 root_with_placement, 29 row_id_taken, 30 rank_unknown, 31 turn_unknown, 35 code_ambiguous, \
             36 code_reads_as_id, 32 reversed_before, 33 entry_is_reversal, 34 reversal_unmatched, \
             37 entry_change_not_allowed",
        ),
        (
            shown(access::Role::VARIANTS, |of| (of as u16, of.name())),
            "0 member, 1 service, 2 auditor, 3 admin",
        ),
        (
            shown(access::Scope::VARIANTS, |of| (of as u16, of.name())),
            "0 members:read, 1 members:register, 2 members:manage, 3 bonuses:read, 4 bonuses:trigger, \
             5 bonuses:pay, 6 network:read, 7 plan:read, 8 plan:change, 9 events:read, 10 operations:read, \
             11 operate, 12 metrics",
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
    assert_eq!(RowKind::ALL.map(|kind| kind as u8), [1, 2]);
    assert!(Rejection::ALL.into_iter().all(|reason| Rejection::from_repr(reason as u16) == Some(reason)));
    assert_eq!(
        (Rejection::from_repr(12), Status::from_repr(3), "Active".parse::<Status>().ok()),
        (None, None, None)
    );
}

/// Returns the numbers and names of an enum's values.
fn shown<T: Copy>(all: &[T], of: fn(T) -> (u16, &'static str)) -> String {
    let rows = all.iter().map(|value| {
        let (number, name) = of(*value);
        format!("{number} {name}")
    });
    rows.collect::<Vec<_>>().join(", ")
}

fn check(kinds: &[Kind], places: &[Place]) {
    assert!(9 <= kinds.len(), "{kinds:?}");
    let mut missing = Vec::new();
    for (file, of, form) in places {
        let text = text_of(file);
        let text = item(&text, of);
        missing.extend(
            kinds
                .iter()
                .map(|kind| (kind, form(kind)))
                .filter(|(_, wanted)| !stands(text, wanted))
                .map(|(kind, wanted)| format!("{}: {file} ({of}) lacks {wanted:?}", kind.name)),
        );
    }
    assert_eq!(missing, Vec::<String>::new());
}

fn text_of(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns a text from the line with `begin` up to the line that closes what begins there, or the end of a
/// table in a page. An empty `begin` returns all.
fn item<'text>(text: &'text str, begin: &str) -> &'text str {
    let at = text.find(begin).unwrap_or_else(|| panic!("there is no {begin:?}"));
    let indent = &begin[..begin.len() - begin.trim_start().len()];
    let rest = &text[at..];
    let ends = match begin.chars().next() {
        None => vec![],
        Some('|') => vec![rest.find("\n\n")],
        Some(_) => ["}", "]"].map(|close| rest.find(&format!("\n{indent}{close}"))).into(),
    };
    &rest[..ends.into_iter().flatten().min().unwrap_or(rest.len())]
}

fn variants(file: &str, begin: &str) -> Vec<Kind> {
    variants_of(item(&text_of(file), begin))
}

/// Returns the variants of an enum, with the number assigned to each, or at the start of its documentation.
fn variants_of(text: &str) -> Vec<Kind> {
    let (mut number, mut kinds) = (0, Vec::new());
    for line in text.lines().skip(1).filter_map(|line| line.strip_prefix("    ")) {
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse();
        if let Some(words) = line.strip_prefix("/// ") {
            number = digits(words).unwrap_or(number);
        } else if line.starts_with(char::is_uppercase) {
            let name: String = line.chars().take_while(|character| character.is_alphanumeric()).collect();
            let given = line.split_once("= ").and_then(|(_, given)| digits(given).ok());
            kinds.push(Kind { name, number: given.unwrap_or(number) });
            number = 0;
        }
    }
    kinds
}

/// Returns whether a text contains something, and not only as part of something longer.
fn stands(text: &str, wanted: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(wanted).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(is_part) && wanted.starts_with(is_part);
        let after =
            text[at + wanted.len()..].chars().next().is_some_and(is_part) && wanted.ends_with(is_part);
        !before && !after
    })
}

/// The rules above must detect violations.
#[test]
fn what_is_forgotten_is_found() {
    let source = "pub enum Pay {\n    /// 1: one.\n    One(u8),\n    /// 12\n    \
                  Another { a: u8 },\n    Third = 3,\n}\n\
                  fn pay() {\n    Pay::One;\n    Pay::AnotherOne;\n}\n";
    let kinds = variants_of(item(source, "pub enum Pay {"));
    let found: Vec<_> = kinds.iter().map(|kind| (kind.snake(), kind.number)).collect();
    assert_eq!(found, [("one".into(), 1), ("another".into(), 12), ("third".into(), 3)]);
    let of_pay = item(source, "fn pay(");
    let named: Vec<bool> = kinds.iter().map(|kind| stands(of_pay, &format!("Pay::{}", kind.name))).collect();
    assert_eq!(named, [true, false, false]);
}
