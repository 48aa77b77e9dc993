//! Each kind of thing is wired everywhere it must be: commands, outcomes, rejections, sections of a snapshot,
//! metrics. Routes are in `tests/http/routes.rs`.
//!
//! The compiler detects a `match` that lacks one, and a table gives the rest. It does not detect a list or a
//! page that does; each of those is a row here.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    sync::{Mutex, PoisonError},
};

use strum::VariantArray;
use upline::{
    access,
    core::{
        ActorKind, BreakageReason, RowKind,
        command::{CommandKind, EntryChange, Rejection, commands},
        plan::PlacementRule,
        sections::sections,
        types::{EntryStatus, Role, Status},
    },
    durability::FORMAT_VERSION,
};

use super::layers::root;

/// The page that repeats the tables of commands and of sections.
const SPECIFICATION: &str = "snapshots/README.md";

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

/// A command of the table.
struct Specified {
    kind: CommandKind,
    /// The lines that describe it.
    about: &'static [&'static str],
    /// Name and type of each field, or of the content.
    fields: &'static [(&'static str, &'static str)],
    /// The outcome, and name and type of each of its fields.
    outcome: Option<(&'static str, &'static [(&'static str, &'static str)])>,
}

macro_rules! commands_of_the_specification {
    ($(
        $(#[doc = $about:literal])+
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
    )+) => {
        const COMMANDS: &[Specified] = &[$(Specified {
            kind: CommandKind::$kind,
            about: &[$($about),+],
            fields: &[
                $((stringify!($content), stringify!($type)))?
                $($((stringify!($field), stringify!($field_type))),+)?
            ],
            outcome: [$((
                stringify!($outcome),
                &[$((stringify!($part), stringify!($part_type))),+] as &[(&str, &str)],
            ))?].as_slice().first().copied(),
        }),+];
    };
}
commands!(commands_of_the_specification);

/// The compiler detects a command without rules, JSON, an arm of the second implementation, or a type of
/// field without bytes or random values; all else follows from the table. The specification repeats it, and
/// says how the types of fields are written.
#[test]
fn every_command_is_specified() {
    let mut table =
        String::from("| kind | domain | since | command | content |\n| --- | --- | --- | --- | --- |");
    let mut types = BTreeSet::new();
    for Specified { kind, about, fields, .. } in COMMANDS {
        let domain = format!("{:?}", kind.domain()).to_lowercase();
        let about = about.concat();
        write!(
            table,
            "\n| {} | {domain} | {} | `{kind:?}`: {} |{} |",
            *kind as u16,
            kind.since(),
            about.trim(),
            listed(fields),
        )
        .unwrap();
        types.extend(fields.iter().map(|(_, type_of)| plain(type_of)));
    }
    let page = specified("| kind | domain | since |", &table);
    for type_of in types {
        assert!(page.contains(&format!("\n| `{type_of}` | ")), "the page lacks the bytes of `{type_of}`");
    }
}

/// Each field takes the first free place of its size, as in `durability/codec/outcome.rs`.
#[test]
fn every_outcome_is_specified() {
    let mut table = String::from(
        "| kind | outcome | small | middle | first | second |\n| --- | --- | --- | --- | --- | --- |\n\
         | 0 | `Rejected` | the rejection | | | |",
    );
    for (kind, (name, fields)) in COMMANDS.iter().filter_map(|row| Some((row.kind, row.outcome?))) {
        let mut places: [Option<String>; 4] = [const { None }; 4];
        for (field, type_of) in fields {
            let numbers: &[(&[usize], &str)] = match *type_of {
                "bool" => &[(&[0], "")],
                "u32" | "MemberIx" => &[(&[1, 2, 3], "")],
                "u64" => &[(&[2, 3], "")],
                "WideMoney" => &[(&[2, 3], ", lower 64 bits"), (&[2, 3], ", upper 32 bits with the sign")],
                other => panic!("{name}: where is a {other}?"),
            };
            for (free, which) in numbers {
                let at = free.iter().find(|at| places[**at].is_none()).expect("there is a free place");
                places[*at] = Some(format!("`{field}`{which}"));
            }
        }
        let places = places.map(|place| place.map_or(" |".into(), |text| format!(" {text} |"))).concat();
        write!(table, "\n| {} | `{name}` |{places}", kind as u16).unwrap();
    }
    specified("| kind | outcome |", &table);
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
        $row:ident $(in $part:ident.$list:ident: $List:ident)? { $($column:ident: $stored:ty),+ $(,)? }
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
        let before = at.checked_sub(1).map_or(1, |before| SECTIONS[before].0);
        assert!(before < *number, "{name}: numbers ascend");
        assert!((1..=FORMAT_VERSION).contains(since), "{name}: no format version {since}");
        let vectors: usize =
            columns.iter().map(|(_, stored)| 1 + usize::from(stored.starts_with("Text"))).sum();
        let root = vectors * 8;
        write!(table, "\n| {number} | `{name}` | {since} | {root} |{} |", listed(columns)).unwrap();
    }
    specified("| section | name |", &table);
}

/// Returns fields with their types, as a cell of the specification without the blank at its end.
fn listed(fields: &[(&str, &str)]) -> String {
    let fields = fields.iter().map(|(name, type_of)| format!(" `{name}` `{}`", plain(type_of)));
    fields.collect::<Vec<_>>().join(" ·")
}

/// Tokens may be printed with blanks around angle brackets.
fn plain(type_of: &str) -> String {
    type_of.replace(" < ", "<").replace(" >", ">")
}

/// Requires that the specification has a table, which begins so, and returns the page. With
/// `UPLINE_REGENERATE_SPEC` it is written there first.
fn specified(begin: &str, table: &str) -> String {
    /// Tests write to one page.
    static PAGE: Mutex<()> = Mutex::new(());
    let _guard = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let page = text_of(SPECIFICATION);
    let found = item(&page, begin);
    if std::env::var_os("UPLINE_REGENERATE_SPEC").is_none() {
        let command = "UPLINE_REGENERATE_SPEC=1 cargo test --test tidy wiring::";
        assert_eq!(found, table, "{SPECIFICATION} is of an older table; `{command}` writes it");
        return page;
    }
    let page = page.replace(found, table);
    fs::write(root().join(SPECIFICATION), &page).unwrap();
    page
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
    let users = ["src/metrics.rs", "src/metrics/access.rs", "src/metrics/orders.rs"].map(text_of).concat();
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
            "0 unknown, 1 member, 2 service, 3 auditor, 4 admin, 5 cli, 6 anonymous, 7 system",
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
             37 entry_change_not_allowed, 40 plan_names_removed, \
             41 orders_not_taken, 42 order_id_taken, 43 order_malformed, 44 order_kind_unknown, 45 \
             order_tag_unknown, 46 market_unknown, 47 customer_of_another, 48 before_opening, 49 \
             order_late, 50 period_not_open, 51 volumes_full, 52 orders_full, 53 order_unknown, 54 \
             order_line_unknown, 55 refund_too_large, 56 calendar_unknown, 57 period_unknown, 58 \
             period_mismatched, 59 period_not_over, 60 period_out_of_order, 61 \
             period_step_not_allowed, 62 approver_is_runner, 63 run_mismatched, 64 attribute_unknown, \
             65 attribute_malformed, 66 owner_unknown, 67 attribute_period_locked, 68 attributes_full, \
             69 refunds_full, 70 periods_full, 71 seal_stale, 72 recall_mismatched, \
             80 opening_closed, 81 opening_too_late, 82 opening_malformed, \
             83 opening_out_of_order, 84 opening_mismatched, \
             85 opening_unfinished, 86 opening_full",
        ),
        (
            shown(access::Role::VARIANTS, |of| (of as u16, of.name())),
            "0 member, 1 service, 2 auditor, 3 admin",
        ),
        (
            shown(access::Scope::VARIANTS, |of| (of as u16, of.name())),
            "0 members:read, 1 members:register, 2 members:manage, 3 bonuses:read, 4 bonuses:trigger, \
             5 bonuses:pay, 6 network:read, 7 plan:read, 8 plan:change, 9 events:read, 10 operations:read, \
             11 operate, 12 metrics, 13 orders:write, 14 finance, 15 support",
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
