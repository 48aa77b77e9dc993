use proptest::prelude::*;

use super::*;
use crate::core::plan::calendar::{self, Late};

fn at(text: &str) -> Timestamp {
    time_text::exact(text).unwrap()
}

fn day(text: &str) -> calendar::Date {
    let date: Date = text.parse().unwrap();
    calendar::Date {
        year: u16::try_from(date.year()).unwrap(),
        month: u8::try_from(date.month()).unwrap(),
        day: u8::try_from(date.day()).unwrap(),
    }
}

fn calendar(every: Every, zone: &str, first: Option<&str>) -> Calendar {
    Calendar {
        name: "it".into(),
        every,
        timezone: zone.into(),
        grace: Grace::default(),
        late: Late::Book,
        first: first.map(day),
        four_eyes: false,
    }
}

/// The first periods of the last of some calendars.
fn first_of(calendars: &[Calendar], now: Timestamp, count: usize) -> Vec<OpenPeriod> {
    following(calendars, &[], now, count)
}

/// The next periods of the last of some calendars.
fn following(
    calendars: &[Calendar],
    opened: &[Vec<OpenPeriod>],
    now: Timestamp,
    count: usize,
) -> Vec<OpenPeriod> {
    let mut opened = opened.to_vec();
    opened.resize(calendars.len(), Vec::new());
    let number = calendars.len() - 1;
    let calendar = u8::try_from(number).unwrap();
    for _ in 0..count {
        let found = match opened[number].last() {
            // The first one, whenever it begins.
            None => vec![Ahead::new(calendars, &opened, now).next(calendar).unwrap()],
            Some(last) => missing(calendars, &opened, calendar, [now, last.end], 2).unwrap(),
        };
        assert_eq!(found.len(), 1, "the next period begins where the last one ended");
        opened[number].extend(found);
    }
    opened.pop().unwrap()
}

fn shown(period: &OpenPeriod) -> String {
    let text = |at| time_text::print(at).replace(":00.000000Z", "").replace(":00:00.000000Z", "");
    format!("{} {} {}", period.label.as_str(), text(period.start), text(period.end))
}

fn week(begins: Weekday) -> Every {
    Every::Week { begins }
}

fn days(count: u16, anchor: &str) -> Every {
    Every::Days { count, anchor: day(anchor) }
}

#[test]
fn periods_of_each_form_and_zone() {
    // Length, zone, first date; label, start and end in UTC of the first periods.
    let table: &[(Every, &str, &str, &[&str])] = &[
        (
            Every::Day,
            "America/New_York",
            "2026-03-07",
            &[
                "2026-03-07 2026-03-07T05:00 2026-03-08T05:00",
                // 23 hours.
                "2026-03-08 2026-03-08T05:00 2026-03-09T04:00",
                "2026-03-09 2026-03-09T04:00 2026-03-10T04:00",
            ],
        ),
        (
            Every::Day,
            "Europe/Berlin",
            "2026-10-25",
            // 25 hours.
            &["2026-10-25 2026-10-24T22:00 2026-10-25T23:00", "2026-10-26 2026-10-25T23:00 2026-10-26T23:00"],
        ),
        (
            Every::Day,
            "America/Sao_Paulo",
            "2018-11-03",
            // Midnight of the 4th does not exist there: the day begins at 1:00.
            &[
                "2018-11-03 2018-11-03T03:00 2018-11-04T03:00",
                "2018-11-04 2018-11-04T03:00 2018-11-05T02:00",
                "2018-11-05 2018-11-05T02:00 2018-11-06T02:00",
            ],
        ),
        (
            Every::Day,
            "America/Sao_Paulo",
            "2019-02-16",
            // The last hour of the 16th comes twice.
            &["2019-02-16 2019-02-16T02:00 2019-02-17T03:00", "2019-02-17 2019-02-17T03:00 2019-02-18T03:00"],
        ),
        (
            Every::Day,
            "Pacific/Apia",
            "2011-12-28",
            // The 30th was skipped.
            &[
                "2011-12-28 2011-12-28T10:00 2011-12-29T10:00",
                "2011-12-29 2011-12-29T10:00 2011-12-30T10:00",
                "2011-12-31 2011-12-30T10:00 2011-12-31T10:00",
            ],
        ),
        (Every::Day, "Pacific/Apia", "2011-12-30", &["2011-12-31 2011-12-30T10:00 2011-12-31T10:00"]),
        (
            Every::Day,
            "Africa/Cairo",
            "2026-04-24",
            // Clocks go forward at midnight of the 24th.
            &["2026-04-24 2026-04-23T22:00 2026-04-24T21:00", "2026-04-25 2026-04-24T21:00 2026-04-25T21:00"],
        ),
        (Every::Day, "America/Toronto", "2026-11-01", &["2026-11-01 2026-11-01T04:00 2026-11-02T05:00"]),
        (
            Every::Day,
            "America/St_Johns",
            "2010-11-06",
            // At 0:01 of the 7th clocks went back to 23:01 of the 6th.
            &["2010-11-06 2010-11-06T02:30 2010-11-07T02:30", "2010-11-07 2010-11-07T02:30 2010-11-08T03:30"],
        ),
        (
            week(Weekday::Monday),
            "Asia/Kathmandu",
            "2026-12-22",
            // A year of 53 weeks; the last one reaches into the next year.
            &[
                "2026-W52 2026-12-20T18:15 2026-12-27T18:15",
                "2026-W53 2026-12-27T18:15 2027-01-03T18:15",
                "2027-W01 2027-01-03T18:15 2027-01-10T18:15",
            ],
        ),
        (week(Weekday::Monday), "UTC", "2024-12-31", &["2025-W01 2024-12-30T00:00 2025-01-06T00:00"]),
        (
            week(Weekday::Sunday),
            "America/New_York",
            "2026-11-01",
            &[
                "2026-11-01w 2026-11-01T04:00 2026-11-08T05:00",
                "2026-11-08w 2026-11-08T05:00 2026-11-15T05:00",
            ],
        ),
        (week(Weekday::Friday), "UTC", "2026-11-26", &["2026-11-20w 2026-11-20T00:00 2026-11-27T00:00"]),
        (
            Every::HalfMonth,
            "UTC",
            "2026-02-15",
            &[
                "2026-02-H1 2026-02-01T00:00 2026-02-16T00:00",
                "2026-02-H2 2026-02-16T00:00 2026-03-01T00:00",
                "2026-03-H1 2026-03-01T00:00 2026-03-16T00:00",
            ],
        ),
        (
            Every::Month,
            "Europe/Berlin",
            "2026-12-31",
            &["2026-12 2026-11-30T23:00 2026-12-31T23:00", "2027-01 2026-12-31T23:00 2027-01-31T23:00"],
        ),
        (
            Every::Quarter,
            "America/New_York",
            "2026-11-30",
            &["2026-Q4 2026-10-01T04:00 2027-01-01T05:00", "2027-Q1 2027-01-01T05:00 2027-04-01T04:00"],
        ),
        (Every::Year { from_month: 1 }, "UTC", "2026-11-30", &["2026 2026-01-01T00:00 2027-01-01T00:00"]),
        (
            Every::Year { from_month: 4 },
            "UTC",
            "2026-11-30",
            &["FY2027 2026-04-01T00:00 2027-04-01T00:00", "FY2028 2027-04-01T00:00 2028-04-01T00:00"],
        ),
        (Every::Year { from_month: 4 }, "UTC", "2026-03-31", &["FY2026 2025-04-01T00:00 2026-04-01T00:00"]),
        (
            days(28, "2026-01-05"),
            "UTC",
            "2026-01-31",
            &["2026-01-05 2026-01-05T00:00 2026-02-02T00:00", "2026-02-02 2026-02-02T00:00 2026-03-02T00:00"],
        ),
        // Before the anchor.
        (days(10, "2026-01-05"), "UTC", "2026-01-04", &["2025-12-26 2025-12-26T00:00 2026-01-05T00:00"]),
        // Nothing begins before 1970.
        (Every::Month, "Europe/Berlin", "1970-01-01", &["1970-01 1970-01-01T00:00 1970-01-31T23:00"]),
    ];
    for (every, zone, first, expected) in table {
        let found = first_of(&[calendar(every.clone(), zone, Some(first))], Timestamp(0), expected.len());
        let found: Vec<String> = found.iter().map(shown).collect();
        assert_eq!(found, *expected, "{every:?} in {zone} from {first}");
    }
}

#[test]
fn without_a_first_date_the_first_period_holds_now() {
    let calendars = [calendar(Every::Month, "America/New_York", None)];
    // It is still November there.
    let now = at("2026-12-01T04:59:59.999999Z");
    assert_eq!(shown(&first_of(&calendars, now, 1)[0]), "2026-11 2026-11-01T04:00 2026-12-01T05:00");
    let now = at("2026-12-01T05:00:00Z");
    assert_eq!(shown(&first_of(&calendars, now, 1)[0]), "2026-12 2026-12-01T05:00 2027-01-01T05:00");
    // The second 23:30 of the 6th: the 7th has begun.
    let calendars = [calendar(Every::Day, "America/St_Johns", None)];
    let now = at("2010-11-07T03:00:00Z");
    assert_eq!(shown(&first_of(&calendars, now, 1)[0]), "2010-11-07 2010-11-07T02:30 2010-11-08T03:30");
}

#[test]
fn periods_of_another_calendar_are_taken_by_turns() {
    let weeks = calendar(week(Weekday::Monday), "Europe/Berlin", Some("2026-01-01"));
    let by = |pattern: &[u16], first| {
        calendar(Every::Periods { of: 0, pattern: pattern.to_vec() }, "Europe/Berlin", first)
    };
    let now = at("2026-11-30T00:00:00Z");
    let found = |calendars: &[Calendar], count| -> Vec<String> {
        first_of(calendars, now, count).iter().map(shown).collect()
    };
    assert_eq!(
        found(&[weeks.clone(), by(&[4, 4, 5], None)], 4),
        [
            "2025-12-29-p4 2025-12-28T23:00 2026-01-25T23:00",
            "2026-01-26-p4 2026-01-25T23:00 2026-02-22T23:00",
            "2026-02-23-p5 2026-02-22T23:00 2026-03-29T22:00",
            "2026-03-30-p4 2026-03-29T22:00 2026-04-26T22:00",
        ]
    );
    assert_eq!(
        found(&[weeks.clone(), by(&[4, 4, 5], Some("2026-03-01"))], 2),
        [
            "2026-02-23-p5 2026-02-22T23:00 2026-03-29T22:00",
            "2026-03-30-p4 2026-03-29T22:00 2026-04-26T22:00"
        ]
    );
    // Of periods that are made up of periods themselves.
    let thirteen = Every::Periods { of: 1, pattern: vec![3] };
    let calendars = [weeks.clone(), by(&[4, 4, 5], None), calendar(thirteen, "Europe/Berlin", None)];
    assert_eq!(found(&calendars, 1), ["2025-12-29-p3 2025-12-28T23:00 2026-03-29T22:00"]);
    // The other calendar's periods may be open already, some of them or all.
    let opened = first_of(std::slice::from_ref(&weeks), now, 20);
    for known in [1, 3, 4, 5, 13, 20] {
        let lists = [opened[..known].to_vec()];
        let later = following(&[weeks.clone(), by(&[4, 4, 5], None)], &lists, now, 4);
        assert_eq!(shown(&later[2]), "2026-02-23-p5 2026-02-22T23:00 2026-03-29T22:00", "{known}");
    }
    // A calendar behind it.
    let wrong = [by(&[13], None), weeks];
    let refused = missing(&wrong, &[], 0, [now, now], 9);
    assert_eq!(refused, Err(CalendarFault::NotBefore));
}

#[test]
fn a_change_of_the_calendar_acts_from_the_next_period_on() {
    let now = at("2026-11-15T00:00:00Z");
    let before = calendar(Every::Month, "America/New_York", None);
    let opened = [first_of(&[before], now, 1)];
    // The new length and zone, and the next periods.
    let table: &[(Every, &str, &[&str])] = &[
        // Begins later in the new zone: what is between is a period of its own, with the old month's label.
        (
            Every::Month,
            "America/Los_Angeles",
            &["2026-11.2 2026-12-01T05:00 2026-12-01T08:00", "2026-12 2026-12-01T08:00 2027-01-01T08:00"],
        ),
        (
            Every::Month,
            "Europe/Berlin",
            &["2026-12 2026-12-01T05:00 2026-12-31T23:00", "2027-01 2026-12-31T23:00 2027-01-31T23:00"],
        ),
        (
            week(Weekday::Monday),
            "America/New_York",
            &["2026-W49 2026-12-01T05:00 2026-12-07T05:00", "2026-W50 2026-12-07T05:00 2026-12-14T05:00"],
        ),
        (days(7, "2026-12-01"), "America/New_York", &["2026-12-01 2026-12-01T05:00 2026-12-08T05:00"]),
        (Every::Quarter, "UTC", &["2026-Q4 2026-12-01T05:00 2027-01-01T00:00"]),
    ];
    for (every, zone, expected) in table {
        let changed = [calendar(every.clone(), zone, Some("2020-01-01"))];
        let found = following(&changed, &opened, now, expected.len());
        let found: Vec<String> = found[1..].iter().map(shown).collect();
        assert_eq!(found, *expected, "{every:?} {zone}");
    }
}

#[test]
fn a_label_is_never_used_twice_in_a_calendar() {
    let label = |text: &str| OrderId::parse(text).unwrap();
    let mut taken = HashSet::new();
    for expected in ["2026-11", "2026-11.2", "2026-11.3"] {
        let next = unused(label("2026-11"), &taken);
        assert_eq!(next.as_str(), expected);
        taken.insert(next);
    }
    // A label of the past, not of the period before.
    let now = at("2026-11-25T00:00:00Z");
    let opened = [first_of(&[calendar(Every::Day, "UTC", None)], now, 3)];
    let found = following(&[calendar(days(7, "2026-11-25"), "UTC", None)], &opened, now, 2);
    assert_eq!(shown(&found[3]), "2026-11-25.2 2026-11-28T00:00 2026-12-02T00:00");
}

#[test]
fn grace_is_days_of_the_zone_then_hours() {
    // Zone, first date, days and hours of grace; end and end of the grace of that day's period.
    let table = [
        ("UTC", "2026-11-30", 3, 0, "2026-12-01T00:00:00Z", "2026-12-04T00:00:00Z"),
        ("UTC", "2026-11-30", 0, 36, "2026-12-01T00:00:00Z", "2026-12-02T12:00:00Z"),
        ("UTC", "2026-11-30", 0, 0, "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        // The second day has 23 hours.
        ("America/New_York", "2026-03-06", 2, 0, "2026-03-07T05:00:00Z", "2026-03-09T04:00:00Z"),
        ("America/New_York", "2026-03-06", 2, 1, "2026-03-07T05:00:00Z", "2026-03-09T05:00:00Z"),
        // It ends with a day that has no midnight, and with one after such a day.
        ("America/Sao_Paulo", "2018-11-02", 1, 0, "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"),
        ("America/Sao_Paulo", "2018-11-03", 1, 0, "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
        // A skipped day is no day of grace of its own.
        ("Pacific/Apia", "2011-12-28", 1, 0, "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-29", 1, 0, "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
    ];
    for (zone, first, days, hours, end, until) in table {
        let mut it = calendar(Every::Day, zone, Some(first));
        it.grace = Grace { days, hours };
        let period = &first_of(&[it], Timestamp(0), 1)[0];
        assert_eq!((period.end, period.grace_until), (at(end), at(until)), "{zone} {first} {days} {hours}");
    }
}

#[test]
fn the_end_of_a_grace_never_goes_back() {
    let now = at("2026-11-30T12:00:00Z");
    let mut it = calendar(Every::Day, "UTC", None);
    it.grace.days = 10;
    let opened = [first_of(std::slice::from_ref(&it), now, 1)];
    it.grace.days = 0;
    let found = following(&[it], &opened, now, 11);
    let ends = found.iter().map(|period| time_text::print(period.grace_until)[..10].to_owned());
    let expected = (1..12).map(|day| format!("2026-12-{:02}", day.max(11))).chain(["2026-12-12".into()]);
    assert_eq!(ends.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn missing_periods_are_those_that_have_begun() {
    let calendars = [calendar(Every::Month, "UTC", Some("2026-08-10"))];
    let labels = |until: &str, most| {
        let until = at(until);
        let found = missing(&calendars, &[], 0, [until, until], most);
        found.map(|found| found.iter().map(|period| period.label.as_str().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(labels("2026-07-31T23:59:59.999999Z", 9).unwrap(), [""; 0]);
    assert_eq!(labels("2026-08-01T00:00:00Z", 9).unwrap(), ["2026-08"]);
    assert_eq!(labels("2026-10-31T23:59:59.999999Z", 3).unwrap(), ["2026-08", "2026-09", "2026-10"]);
    assert_eq!(labels("2026-11-01T00:00:00Z", 3), Err(CalendarFault::TooMany { most: 3 }));
    let unknown = [calendar(Every::Month, "Mars/Olympus", None)];
    let refused = missing(&unknown, &[], 0, [Timestamp(0); 2], 9);
    assert_eq!(refused, Err(CalendarFault::UnknownZone { zone: "Mars/Olympus".into() }));
}

#[test]
fn the_calendar_ends_with_the_year_9998() {
    let last = [calendar(Every::Month, "UTC", Some("9998-12-01"))];
    let found = first_of(&last, Timestamp(0), 1);
    assert_eq!(shown(&found[0]), "9998-12 9998-12-01T00:00 9999-01-01T00:00");
    let refused = missing(&last, &[found], 0, [Timestamp(0), at("9999-01-01T00:00:00Z")], 9);
    assert_eq!(refused, Err(CalendarFault::OutOfRange));
}

#[test]
fn a_week_counts_where_it_ends() {
    let months = first_of(&[calendar(Every::Month, "UTC", Some("2026-10-01"))], Timestamp(0), 3);
    // End of a week, label of its month.
    let table = [
        ("2026-10-01T00:00:00Z", None),
        ("2026-10-01T00:00:00.000001Z", Some("2026-10")),
        ("2026-10-05T00:00:00Z", Some("2026-10")),
        // It ends in the instant in which October ends, so it is of October.
        ("2026-11-01T00:00:00Z", Some("2026-10")),
        ("2026-11-01T00:00:00.000001Z", Some("2026-11")),
        ("2027-01-01T00:00:00Z", Some("2026-12")),
        ("2027-01-04T00:00:00Z", None),
    ];
    for (end, expected) in table {
        assert_eq!(holding_end(&months, at(end)).map(|month| month.label.as_str()), expected, "{end}");
    }
}

fn any_every() -> impl Strategy<Value = Every> {
    let begins = proptest::sample::select(vec![
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ]);
    prop_oneof![
        Just(Every::Day),
        begins.prop_map(week),
        Just(Every::HalfMonth),
        Just(Every::Month),
        Just(Every::Quarter),
        (1_u8..=12).prop_map(|from_month| Every::Year { from_month }),
        (1_u16..=400).prop_map(|count| days(count, "2000-02-29")),
    ]
}

fn any_zone() -> impl Strategy<Value = String> {
    let zones = jiff::tz::TimeZoneDatabase::bundled();
    let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
    assert!(300 < names.len(), "the database has the zones of the world");
    let known = |name: &String| time_text::zone(name).is_some();
    proptest::sample::select(names.into_iter().filter(known).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each begins where the one before ended, with a label of its own; those that are computed one at a time
    /// are those that are computed at once; and between boundaries lie the dates of the period.
    #[test]
    fn periods_cover_ten_years_without_a_gap(
        every in any_every(),
        zone in any_zone(),
        year in 1970_i16..2060,
        grace in (0_u16..40, 0_u16..48),
    ) {
        let first = format!("{year}-05-17");
        let mut it = calendar(every.clone(), &zone, Some(&first));
        it.grace = Grace { days: grace.0, hours: grace.1 };
        let calendars = [it];
        let until = at(&format!("{}-05-17T00:00:00Z", year + 10));
        let found = missing(&calendars, &[], 0, [until; 2], 4_000).unwrap();
        let zone = Zone(time_text::zone(&zone).unwrap());
        let labels: HashSet<&str> = found.iter().map(|period| period.label.as_str()).collect();
        prop_assert_eq!(labels.len(), found.len());
        prop_assert!(found.iter().all(|period| !period.label.as_str().contains(".2")));
        prop_assert!(until < found.last().unwrap().end);
        for pair in found.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
            prop_assert!(pair[0].grace_until <= pair[1].grace_until);
        }
        for period in &found {
            prop_assert!(period.start < period.end && period.end <= period.grace_until);
            let own = dates(&every, zone.date(period.start).unwrap()).unwrap();
            prop_assert!(period.start == Timestamp(0) || own.start <= zone.date(period.start).unwrap());
            // The end is the first instant with a date behind the period's.
            prop_assert!(own.end <= zone.date(period.end).unwrap());
            prop_assert!(zone.date(Timestamp(period.end.0 - 1)).unwrap() < own.end);
        }
        let half = found.len() / 2;
        let rest = missing(&calendars, &[found[..half].to_vec()], 0, [until; 2], 4_000).unwrap();
        prop_assert_eq!(&rest[..], &found[half..]);
    }
}
