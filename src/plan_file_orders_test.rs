//! What a plan file says about orders, and what is said of it when it is wrong.

use super::*;
use crate::core::plan::{
    calendar::{Calendar, Date, Every, Grace, Late, Weekday},
    commerce::{Commerce, LIVE_LEVELS, Rounding, Volume, VolumeForm, VolumeOf},
};
use crate::core::types::BasisPoints;

const MONTHLY: &str = include_str!("../plans/monthly-volume.toml");

fn commerce(text: &str) -> Commerce {
    parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}")).commerce
}

/// Returns a small plan of width 0 with some lines about orders.
fn with(lines: &str) -> String {
    format!(
        "name = \"x\"\ncurrency = {{ code = \"USD\", exponent = 2 }}\n\
         placement = {{ width = 0, rule = \"unilevel\" }}\n\
         ladder = {{ live = {{ rule = \"thresholds\" }} }}\n{lines}"
    )
}

const MONTH: &str = "[calendar.month]\nevery = \"month\"\ntimezone = \"UTC\"\n";
const ANSWER: &str = "[answers]\nrefund_lowers_volume = \"yes\"\n";

fn taking_orders(lines: &str) -> String {
    with(&format!("{MONTH}{lines}\n{ANSWER}"))
}

/// Returns the shipped plan with some text replaced, where it first is in no comment.
fn changed(from: &str, to: &str) -> String {
    let is_said = |at: &usize| {
        let line = MONTHLY[..*at].rfind('\n').map_or(0, |end| end + 1);
        !MONTHLY[line..].starts_with('#')
    };
    let places = MONTHLY.match_indices(from).map(|(at, _)| at);
    let at = places.into_iter().find(is_said).unwrap_or_else(|| panic!("{from}"));
    format!("{}{to}{}", &MONTHLY[..at], &MONTHLY[at + from.len()..])
}

fn messages(text: &str) -> Vec<String> {
    parse(text).expect_err("the plan should be refused").iter().map(ToString::to_string).collect()
}

#[test]
fn the_shipped_plan_says_what_its_file_says() {
    let commerce = commerce(MONTHLY);
    let calendar = |name: &str, every, grace, first, four_eyes| Calendar {
        name: name.into(),
        every,
        timezone: "America/Denver".into(),
        grace,
        late: Late::Book,
        first,
        four_eyes,
    };
    let first = Date { year: 2026, month: 7, day: 1 };
    let grace = Grace { days: 3, hours: 0 };
    let volume = |name: &str, form, live| Volume { name: name.into(), exponent: 2, form, live };
    let rate = BasisPoints(8_000);
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect::<Vec<Box<str>>>();
    let expected = Commerce {
        calendars: vec![
            calendar("week", Every::Week { begins: Weekday::Saturday }, Grace::default(), None, false),
            calendar("month", Every::Month, grace, Some(first), true),
            calendar(
                "fiscal-month",
                Every::Periods { of: 0, pattern: vec![4, 4, 5] },
                Grace::default(),
                None,
                false,
            ),
        ],
        volumes: vec![
            volume("pv", VolumeForm::Given, true),
            volume("cv", VolumeForm::Percent { of: VolumeOf::Volume(0), rate }, false),
        ],
        amount_live: false,
        live_levels: 7,
        order_kinds: names(&["retail", "autoship", "signup"]),
        order_tags: names(&["online", "party"]),
        markets: names(&["us", "ca"]),
        has_owners: true,
        member_tags: names(&["founder", "fee-paid"]),
        rounding: Rounding::HalfAway,
        refund_lowers_volume: Some(false),
    };
    assert_eq!(commerce, expected);
}

#[test]
fn a_plan_without_orders_is_written_without_them() {
    assert_eq!(default_plan().commerce, Commerce::default());
    let text = to_text(&default_plan());
    for word in ["calendar", "volume", "orders", "attributes", "answers", "rounding", "live_levels"] {
        assert!(!text.contains(word), "{text}");
    }
}

#[test]
fn the_order_of_tables_is_that_of_the_plan() {
    let volumes = "[volume.z]\nexponent = 2\npercent = 5\nof = \"amount\"\n[volume.b]\nexponent = 0\n\
                   [volume.a]\nexponent = 3\npercent = 50\nof = \"b\"\n\
                   [calendar.day]\nevery = \"day\"\ntimezone = \"UTC\"\n";
    let plan = parse(&taking_orders(volumes)).unwrap();
    let names: Vec<&str> = plan.commerce.volumes.iter().map(|volume| &*volume.name).collect();
    assert_eq!(names, ["z", "b", "a"]);
    let names: Vec<&str> = plan.commerce.calendars.iter().map(|calendar| &*calendar.name).collect();
    assert_eq!(names, ["month", "day"]);
    assert_eq!(parse(&to_text(&plan)).as_ref(), Ok(&plan), "{}", to_text(&plan));
    // JSON has the same order.
    let json = serde_json::to_string(&PlanDocument::new(&plan)).unwrap();
    let node: Node = serde_json::from_str(&json).unwrap();
    assert_eq!(read(&node, Format::Json).as_ref(), Ok(&plan), "{json}");
    let mut other = plan.clone();
    other.commerce.calendars.swap(0, 1);
    assert_eq!(diff(&plan, &other), ["calendar: month, day in the directory, day, month wanted"]);
}

#[test]
fn the_first_volume_is_live_unless_something_is_said() {
    // volumes, those that are live
    let table = [
        ("", vec!["amount"]),
        ("[volume.pv]\nexponent = 2\n[volume.cv]\nexponent = 2", vec!["pv"]),
        ("[volume.pv]\nexponent = 2\n[volume.cv]\nexponent = 2\nlive = true", vec!["cv"]),
        ("[volume.pv]\nexponent = 2\n[volume.amount]\nlive = true", vec!["amount"]),
        ("[volume.pv]\nexponent = 2\nlive = true\n[volume.amount]\nlive = true", vec!["amount", "pv"]),
        ("[volume.pv]\nexponent = 2\nlive = false", vec![]),
        ("[volume.amount]\nlive = false", vec![]),
    ];
    for (lines, expected) in table {
        let text = taking_orders(lines);
        let found = commerce(&text);
        let amount = Some("amount").filter(|_| found.amount_live);
        let volumes = found.volumes.iter().filter(|volume| volume.live).map(|volume| &*volume.name);
        let live: Vec<&str> = amount.into_iter().chain(volumes).collect();
        assert_eq!(live, expected, "{lines}");
        assert_eq!(found.live_levels, LIVE_LEVELS);
        let plan = parse(&text).unwrap();
        assert_eq!(parse(&to_text(&plan)), Ok(plan));
    }
}

#[test]
fn each_length_of_periods_is_read() {
    let date = Date { year: 2026, month: 1, day: 5 };
    // lines, what they say
    let table = [
        ("every = \"day\"", Every::Day),
        ("every = \"week\"", Every::Week { begins: Weekday::Monday }),
        ("every = \"week\"\nbegins = \"sunday\"", Every::Week { begins: Weekday::Sunday }),
        ("every = \"half-month\"", Every::HalfMonth),
        ("every = \"quarter\"", Every::Quarter),
        ("every = \"year\"", Every::Year { from_month: 1 }),
        ("every = \"year\"\nfrom_month = \"april\"", Every::Year { from_month: 4 }),
        ("every = \"days\"\ndays = 10\nfrom = \"2026-01-05\"", Every::Days { count: 10, anchor: date }),
        ("every = \"days\"\ndays = 10\nfrom = 2026-01-05", Every::Days { count: 10, anchor: date }),
        ("every = \"periods\"\nperiods = [13]\nof = \"month\"", Every::Periods { of: 0, pattern: vec![13] }),
    ];
    for (lines, every) in table {
        let zone = if matches!(every, Every::Periods { .. }) { "" } else { "timezone = \"utc\"\n" };
        let found = commerce(&taking_orders(&format!("[calendar.x]\n{zone}{lines}")));
        assert_eq!((&found.calendars[1].every, &*found.calendars[1].timezone), (&every, "UTC"), "{lines}");
    }
    let found = commerce(&taking_orders(
        "[calendar.x]\nevery = \"month\"\ntimezone = \"america/denver\"\n\
         grace = \"2 days 6 hours\"\nlate = \"refuse\"",
    ));
    let found = &found.calendars[1];
    assert_eq!(
        (&*found.timezone, found.grace, found.late),
        ("America/Denver", Grace { days: 2, hours: 6 }, Late::Refuse)
    );
}

/// Text replaced in the shipped plan, replacement, text that marks the line, rest of the message.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    (
        "rounding = \"half-away\"",
        "rounding = \"up\"",
        "\"up\"",
        "rounding: must be one of half-away, half-even, truncate",
    ),
    ("live_levels = 7", "live_levels = 16", "= 16", "live_levels: must be between 1 and 15"),
    ("live_levels = 7", "live_levels = 0", "live_levels = 0", "live_levels: must be between 1 and 15"),
    ("[calendar.week]", "[calendar.\"My week\"]", "My week", "calendar.My week: must be 1 to 64 of a-z, 0-9"),
    (
        "every = \"week\"",
        "every = \"fortnight\"",
        "fortnight",
        "calendar.week.every: must be one of day, week, half-month",
    ),
    (
        "every = \"week\"",
        "evry = \"week\"",
        "evry",
        "calendar.week.evry: is not known here (known: every, begins",
    ),
    ("every = \"week\"", "evry = \"week\"", "[calendar.week]", "calendar.week.every: is missing"),
    (
        "begins = \"saturday\"",
        "begins = \"sabbath\"",
        "sabbath",
        "calendar.week.begins: must be one of monday, ",
    ),
    (
        "late = \"book\"",
        "late = \"book\"\nbegins = \"monday\"",
        "begins = \"monday\"",
        "calendar.month.begins: goes with `every = \"week\"` alone",
    ),
    (
        "late = \"book\"",
        "late = \"book\"\nfrom_month = \"may\"",
        "\"may\"",
        "calendar.month.from_month: goes with `every = \"year\"` alone",
    ),
    (
        "late = \"book\"",
        "late = \"book\"\ndays = 3",
        "days = 3",
        "calendar.month.days: goes with `every = \"days\"` alone",
    ),
    (
        "late = \"book\"",
        "late = \"later\"",
        "\"later\"",
        "calendar.month.late: must be `book` or `refuse`, is the string `later`",
    ),
    (
        "approval = \"four-eyes\"",
        "approval = \"two\"",
        "\"two\"",
        "calendar.month.approval: must be `one` or `four-eyes`",
    ),
    (
        "grace = \"3 days\"",
        "grace = \"3 weeks\"",
        "3 weeks",
        "calendar.month.grace: `3 weeks` is not a time such as 3 days",
    ),
    (
        "grace = \"3 days\"",
        "grace = 3",
        "grace = 3",
        "calendar.month.grace: must be a string, is the number 3",
    ),
    (
        "grace = \"3 days\"",
        "grace = \"401 days\"",
        "401",
        "calendar.month.grace: at most 400 days and 9600 hours",
    ),
    (
        "first = \"2026-07-01\"",
        "first = \"1 July\"",
        "1 July",
        "calendar.month.first: `1 July` is not a date such as 2026-07-01",
    ),
    (
        "first = \"2026-07-01\"",
        "first = \"2026-02-29\"",
        "2026-02-29",
        "calendar.month.first: is not a day of the years 1970 to 9998",
    ),
    (
        "first = \"2026-07-01\"",
        "first = 2026-07-01T00:00:00",
        "T00",
        "calendar.month.first: `2026-07-01T00:00:00` is not a date",
    ),
    (
        "first = \"2026-07-01\"",
        "first = 7",
        "first = 7",
        "calendar.month.first: must be a date such as \"2026-07-01\", is the number 7",
    ),
    (
        "of = \"week\"",
        "of = \"year\"",
        "of = \"year\"",
        "calendar.fiscal-month.of: the plan has no calendar `year`",
    ),
    (
        "of = \"week\"",
        "of = \"fiscal-month\"",
        "of = \"fiscal-month\"",
        "calendar.fiscal-month.of: must be a calendar that stands before this one",
    ),
    ("of = \"week\"", "", "[calendar.fiscal-month]", "calendar.fiscal-month.of: is missing: the calendar"),
    (
        "periods = [4, 4, 5]\nof",
        "of",
        "[calendar.fiscal-month]",
        "calendar.fiscal-month.periods: is missing: how many",
    ),
    ("[4, 4, 5]\nof", "[]\nof", "periods = []", "calendar.fiscal-month.periods: must have 1 to 12 numbers"),
    (
        "[4, 4, 5]\nof",
        "[4, 61]\nof",
        "periods = [4, 61]",
        "calendar.fiscal-month.periods: each must be between 1 and 60",
    ),
    (
        "[4, 4, 5]\nof",
        "[4, \"x\"]\nof",
        "periods = [4, \"x\"]",
        "calendar.fiscal-month.periods[1]: must be a whole number in range",
    ),
    (
        "of = \"week\"",
        "of = \"week\"\ntimezone = \"UTC\"",
        "timezone = \"UTC\"",
        "calendar.fiscal-month.timezone: must be that of `week`, America/Denver",
    ),
    (
        "of = \"week\"",
        "of = \"week\"\nfirst = \"2026-01-03\"",
        "first = \"2026-01-03\"",
        "calendar.fiscal-month.first: the first period is known",
    ),
    (
        "timezone = \"America/Denver\" #",
        "timezone = \"Mars/Olympus\" #",
        "Mars",
        "calendar.week.timezone: `Mars/Olympus` is not a time zone of the IANA database",
    ),
    (
        "timezone = \"America/Denver\" #",
        "timezone = \"Factory\" #",
        "Factory",
        "calendar.week.timezone: `Factory` is not a time zone",
    ),
    ("timezone = \"America/Denver\" #", "#", "[calendar.week]", "calendar.week.timezone: is missing"),
    (
        "every = \"week\"\nbegins = \"saturday\"",
        "every = \"days\"",
        "[calendar.week]",
        "calendar.week.days: is missing: how many",
    ),
    (
        "every = \"week\"\nbegins = \"saturday\"",
        "every = \"days\"\ndays = 7",
        "[calendar.week]",
        "calendar.week.from: is missing: a date with which a period begins",
    ),
    (
        "every = \"week\"\nbegins = \"saturday\"",
        "every = \"days\"\ndays = 0\nfrom = \"2026-01-03\"",
        "days = 0",
        "calendar.week.days: must be between 1 and 400",
    ),
    (
        "every = \"week\"\nbegins = \"saturday\"",
        "every = \"days\"\ndays = 7\nfrom = \"2026-13-01\"",
        "2026-13-01",
        "calendar.week.from: is not a day",
    ),
    (
        "[volume.cv]",
        "[volume.CV]",
        "[volume.CV]",
        "volume.CV: must be 1 to 64 of a-z, 0-9, `_`, `-`, and not `amount`",
    ),
    ("exponent = 2 #", "exponent = 9 #", "exponent = 9", "volume.pv.exponent: must be at most 8"),
    ("exponent = 2 #", "#", "[volume.pv]", "volume.pv.exponent: is missing"),
    ("percent = 80", "percent = 0", "percent = 0", "volume.cv.percent: must be above 0 and at most 1000"),
    (
        "percent = 80",
        "percent = 1000.01",
        "percent = 1000.01",
        "volume.cv.percent: must be above 0 and at most 1000",
    ),
    ("percent = 80", "percent = \"many\"", "\"many\"", "volume.cv.percent: `many` is not a percentage"),
    ("percent = 80", "percent = true", "percent = true", "volume.cv.percent: must be a decimal number"),
    ("percent = 80", "", "[volume.cv]", "volume.cv.percent: is missing: `of` goes with a percentage alone"),
    (
        "of = \"pv\"",
        "",
        "[volume.cv]",
        "volume.cv.of: is missing: a percentage is of `amount` or of a volume",
    ),
    ("of = \"pv\"", "of = \"qv\"", "\"qv\"", "volume.cv.of: the plan has no volume `qv`"),
    (
        "of = \"pv\"",
        "of = \"cv\"",
        "of = \"cv\"",
        "volume.cv.of: must be `amount`, or a volume that stands before this one",
    ),
    ("live = true", "live = \"yes\"", "\"yes\"", "volume.pv.live: must be true or false"),
    (
        "[volume.pv]",
        "[volume.amount]\nexponent = 3\n[volume.pv]",
        "exponent = 3",
        "volume.amount.exponent: is not known here (known: live)",
    ),
    (
        "[volume.pv]\nexponent = 2 # decimal digits\nlive = true",
        "[volume]\npv = 3",
        "pv = 3",
        "volume.pv: must be a table, is the number 3",
    ),
    ("\"autoship\"", "\"retail\"", "kinds =", "orders.kinds[1]: `retail` is there twice"),
    ("\"autoship\"", "\"Auto\"", "kinds =", "orders.kinds[1]: must be 1 to 64 of a-z"),
    ("\"autoship\"", "7", "kinds =", "orders.kinds[1]: must be a string, is the number 7"),
    ("\"party\"", "\"\"", "\"online\", \"\"", "orders.tags[1]: must be 1 to 64 of"),
    (
        "market = [\"us\", \"ca\"]",
        "market = \"us\"",
        "market = \"us\"",
        "attributes.market: must be an array",
    ),
    ("\"ca\"]", "\"us\"]", "market = [", "attributes.market[1]: `us` is there twice"),
    ("owner = true", "owner = \"yes\"", "owner = \"yes\"", "attributes.owner: must be true or false"),
    (
        "owner = true",
        "owners = true",
        "owners = true",
        "attributes.owners: is not known here (known: market, owner, tags)",
    ),
    ("\"founder\", \"fee-paid\"", "\"a\", \"a\"", "\"a\", \"a\"", "attributes.tags[1]: `a` is there twice"),
    (
        "refund_lowers_volume = \"no\"",
        "refund_lowers_volume = \"maybe\"",
        "maybe",
        "answers.refund_lowers_volume: must be `yes` or `no`, is the string `maybe`",
    ),
    (
        "refund_lowers_volume = \"no\"",
        "",
        "[answers]",
        "answers.refund_lowers_volume: is an open question of this plan: does a refund",
    ),
    (
        "[answers]",
        "[answers]\nsuspended = \"nothing\"",
        "suspended",
        "answers.suspended: is not known here (known: refund_lowers_volume)",
    ),
];

#[test]
fn each_fault_about_orders_is_named_with_line_field_and_reason() {
    let mut wrong = Vec::new();
    for (from, to, mark, rest) in FAULTS {
        let text = changed(from, to);
        let found = messages(&text);
        let marked = |line: &str| !line.starts_with('#') && line.contains(mark);
        let line = 1 + text.lines().position(marked).expect(mark);
        let expected = |message: &&String| message.starts_with(&format!("line {line}: {rest}"));
        // One fault is one error, but for a key or a name that is missing then, and a length that needs two.
        let more = ["evry", "[calendar.\"", "every = \"days\""].iter().any(|start| to.starts_with(start));
        if found.iter().filter(expected).count() != 1 || 1 + usize::from(more) < found.len() {
            wrong.push(format!("{to}: line {line}: {rest}, found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn live_volumes_need_the_sponsor_tree_counted() {
    let text = taking_orders("").replace("width = 0, rule = \"unilevel\"", "width = 2, rule = \"balanced\"");
    let found = messages(&text);
    assert!(
        matches!(&found[..], [one] if one.starts_with("count_sponsor_tree: live volumes are kept in")),
        "{found:?}"
    );
    for mended in
        [format!("count_sponsor_tree = true\n{text}"), format!("{text}[volume.amount]\nlive = false\n")]
    {
        assert_eq!(parse(&mended).map(|plan| plan.commerce.takes_orders()), Ok(true));
    }
}

#[test]
fn without_a_calendar_nothing_is_said_about_orders() {
    let needs = "needs a calendar, into whose periods orders are booked: this plan takes no orders";
    let lines = "rounding = \"truncate\"\nlive_levels = 3\n[volume.pv]\nexponent = 2\n\
                 [orders]\nkinds = [\"a\"]\n\
                 [answers]\nrefund_lowers_volume = \"yes\"\n";
    let expected = [
        format!("line 5: rounding: {needs}"),
        format!("line 6: live_levels: {needs}"),
        format!("line 7: volume: {needs}"),
        format!("line 9: orders: {needs}"),
        format!("line 12: answers.refund_lowers_volume: {needs}"),
    ];
    assert_eq!(messages(&with(lines)), expected);
    // Attributes of members are not about orders.
    let plan = parse(&with("[attributes]\nmarket = [\"us\"]\n")).unwrap();
    assert_eq!(plan.commerce.markets, ["us".into()]);
    assert_eq!(parse(&to_text(&plan)), Ok(plan));
    // Calendars that cannot be read are not missed.
    let found = messages(&with(&format!("calendar = 3\n{lines}")));
    assert_eq!(found, ["line 5: calendar: must be a table, is the number 3"]);
}

#[test]
fn all_faults_about_orders_are_reported_at_once() {
    let text = MONTHLY
        .replace("live_levels = 7", "live_levels = 99")
        .replace("begins = \"saturday\"", "begins = \"caturday\"")
        .replace("grace = \"3 days\"", "grace = \"soon\"")
        .replace("percent = 80", "percent = 0")
        .replace("\"party\"", "\"online\"")
        .replace("refund_lowers_volume = \"no\"", "");
    let found = messages(&text);
    let fields = [
        "live_levels",
        "calendar.week.begins",
        "calendar.month.grace",
        "volume.cv.percent",
        "orders.tags[1]",
        "answers.refund_lowers_volume",
    ];
    assert_eq!(found.len(), fields.len(), "{found:#?}");
    for (message, field) in found.iter().zip(fields) {
        assert!(message.contains(&format!(": {field}: ")), "{found:#?}");
    }
}

#[test]
fn lists_beyond_their_limits_are_refused() {
    let calendars = |count: usize| {
        (0..count).fold(String::new(), |text, number| text + &MONTH.replace("month]", &format!("c{number}]")))
    };
    assert!(parse(&with(&format!("{}{ANSWER}", calendars(8)))).is_ok());
    let found = messages(&with(&format!("{}{ANSWER}", calendars(9))));
    assert!(found.iter().any(|message| message.ends_with("calendar: at most 8 calendars")), "{found:?}");
    let volumes =
        (0..9).fold(String::new(), |text, number| text + &format!("[volume.v{number}]\nexponent = 0\n"));
    let found = messages(&taking_orders(&volumes));
    assert!(found.iter().any(|message| message.ends_with("volume: at most 8 volumes")), "{found:?}");
    let markets: Vec<String> = (0..257).map(|number| format!("\"m{number}\"")).collect();
    let found = messages(&with(&format!("[attributes]\nmarket = [{}]\n", markets.join(", "))));
    assert!(found[0].ends_with("attributes.market: at most 256 names"), "{found:?}");
}

#[test]
fn a_name_twice_in_json_is_refused() {
    let json = serde_json::to_string(&PlanDocument::new(&parse(&taking_orders("")).unwrap())).unwrap();
    let calendar = "\"calendar\":{";
    assert!(json.contains(calendar), "{json}");
    let twice =
        json.replacen(calendar, "\"calendar\":{\"month\":{\"every\":\"day\",\"timezone\":\"UTC\"},", 1);
    let node: Node = serde_json::from_str(&twice).unwrap();
    let faults = read(&node, Format::Json).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((&*faults[0].field, &*faults[0].reason), ("calendar.month", "is there twice"));
}
