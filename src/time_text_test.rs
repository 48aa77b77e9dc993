use super::*;

/// Returns the microseconds of a time in UTC. Computed by days, since the library's own instants end before
/// the year 9999 does.
fn micros(text: &str) -> i64 {
    let civil: DateTime = text.strip_suffix('Z').unwrap().parse().unwrap();
    let days = i64::from((civil.date() - date(1970, 1, 1)).get_days());
    let into_day = civil.time().duration_since(jiff::civil::Time::midnight());
    days * 86_400_000_000 + i64::try_from(into_day.as_micros()).unwrap()
}

/// Text, the result of `exact`, the result of `lenient`: an instant in UTC, or the fault.
type Row<'a> = (&'a str, Result<&'a str, TimeFault>, Result<&'a str, TimeFault>);

fn check(table: &[Row<'_>]) {
    for (text, by_exact, by_lenient) in table {
        let expected = |result: &Result<&str, TimeFault>| result.map(|text| Timestamp(micros(text)));
        assert_eq!(exact(text), expected(by_exact), "exact: {text}");
        assert_eq!(lenient(text), expected(by_lenient), "lenient: {text}");
    }
}

#[test]
fn a_moment_is_the_same_for_all_readers() {
    let same = |text: &'static str, moment: Result<&'static str, TimeFault>| (text, moment, moment);
    check(&[
        same("2025-03-01T10:00:00Z", Ok("2025-03-01T10:00:00Z")),
        same("2025-03-01t10:00:00z", Ok("2025-03-01T10:00:00Z")),
        same("2025-03-01 10:00:00+00:00", Ok("2025-03-01T10:00:00Z")),
        same("2025-03-01T10:00:00-05:00", Ok("2025-03-01T15:00:00Z")),
        same("2025-03-01T10:00:00.1234567+01:00", Ok("2025-03-01T09:00:00.123456Z")),
        // A zone name in any case; with `Z` or an offset that agrees.
        same("2025-03-01T10:00:00[America/New_York]", Ok("2025-03-01T15:00:00Z")),
        same("2025-07-01T10:00:00[America/New_York]", Ok("2025-07-01T14:00:00Z")),
        same("2025-03-01 10:00[america/new_york]", Ok("2025-03-01T15:00:00Z")),
        same("2025-03-01T10:00:00-05:00[America/New_York]", Ok("2025-03-01T15:00:00Z")),
        same("2025-03-01T15:00:00Z[America/New_York]", Ok("2025-03-01T15:00:00Z")),
        same("2025-03-01T15:00:00-00:00[America/New_York]", Ok("2025-03-01T15:00:00Z")),
        same("2025-03-01T10:00:00[UTC]", Ok("2025-03-01T10:00:00Z")),
        same("2025-03-01T10:00:00[+05:30]", Ok("2025-03-01T04:30:00Z")),
        same("2025-03-01T10:00:00[!Asia/Kolkata][u-ca=iso8601]", Ok("2025-03-01T04:30:00Z")),
        same("2025-03-01T10:00:00+00:00[Europe/London]", Ok("2025-03-01T10:00:00Z")),
        // Far in the future a zone follows its present rule.
        same("2999-07-01T10:00:00[Europe/Berlin]", Ok("2999-07-01T08:00:00Z")),
        // An offset of 44 minutes and 30 seconds, which is written as 45 minutes.
        same("1971-06-01T00:00:00-00:45[Africa/Monrovia]", Ok("1971-06-01T00:45:00Z")),
        same("2016-12-31T23:59:60Z", Ok("2016-12-31T23:59:59Z")),
        same("2025-03-01T10:00:00[Nowhere/Town]", Err(TimeFault::UnknownZone)),
        same("2025-03-01T10:00:00Z[Nowhere/Town]", Err(TimeFault::UnknownZone)),
        // Names in the database that say that the zone is not known.
        same("2025-03-01T10:00:00[Etc/Unknown]", Err(TimeFault::UnknownZone)),
        same("2025-03-01T10:00:00Z[etc/unknown]", Err(TimeFault::UnknownZone)),
        same("2025-03-01T10:00:00+00:00[!Etc/Unknown]", Err(TimeFault::UnknownZone)),
        same("2025-03-01T10:00:00[Factory]", Err(TimeFault::UnknownZone)),
        same("2025-03-01T10:00:00Z[FACTORY]", Err(TimeFault::UnknownZone)),
        same("2025-03-01T10:00:00+01:00[EST9]", Err(TimeFault::UnknownZone)),
        same("2025-03-01T10:00:00-08:00[America/New_York]", Err(TimeFault::OtherOffset)),
        // The nights in which clocks go forward and back.
        same("2025-03-09T02:30:00[America/New_York]", Err(TimeFault::Skipped)),
        same("2025-03-09T03:00:00[America/New_York]", Ok("2025-03-09T07:00:00Z")),
        same("2025-11-02T01:30:00[America/New_York]", Err(TimeFault::Twice)),
        same("2025-11-02T01:30:00-04:00[America/New_York]", Ok("2025-11-02T05:30:00Z")),
        same("2025-11-02T01:30:00-05:00[America/New_York]", Ok("2025-11-02T06:30:00Z")),
        same("2025-11-02T01:30:00-06:00[America/New_York]", Err(TimeFault::OtherOffset)),
        same("1970-01-01T00:00:00Z", Ok("1970-01-01T00:00:00Z")),
        same("1970-01-01T01:00:00+01:00", Ok("1970-01-01T00:00:00Z")),
        same("1970-01-01T00:00:00+01:00", Err(TimeFault::OutOfRange)),
        same("1969-12-31T23:59:59.9999999Z", Err(TimeFault::OutOfRange)),
        same("0001-01-01T00:00:00Z", Err(TimeFault::OutOfRange)),
        same("-009999-01-02T00:00:00Z", Err(TimeFault::OutOfRange)),
        same("9999-12-30T21:59:59.999999Z", Ok("9999-12-30T21:59:59.999999Z")),
        same("9999-12-30T22:00:00Z", Ok("9999-12-30T22:00:00Z")),
        same("9999-12-31T23:59:59.999999Z", Ok("9999-12-31T23:59:59.999999Z")),
        same("9999-12-31T23:59:59.999999[UTC]", Ok("9999-12-31T23:59:59.999999Z")),
        same("9999-12-31T13:59:59-10:00", Ok("9999-12-31T23:59:59Z")),
        same("9999-12-31T18:00:00[America/New_York]", Ok("9999-12-31T23:00:00Z")),
        same("9999-12-31T18:00:00-05:00[America/New_York]", Ok("9999-12-31T23:00:00Z")),
        same("9999-12-31T18:00:00-04:00[America/New_York]", Err(TimeFault::OtherOffset)),
        same("9999-12-31T23:59:59-10:00", Err(TimeFault::OutOfRange)),
        same("9999-12-31T19:00:00[America/New_York]", Err(TimeFault::OutOfRange)),
        same("2025-03-01T10:00:00+23:59", Ok("2025-02-28T10:01:00Z")),
        same("2025-03-01T10:00:00+24:00", Err(TimeFault::LongOffset)),
        same("2025-03-01T10:00:00-25:00", Err(TimeFault::LongOffset)),
        same("2025-03-01T10:00:00[+25:00]", Err(TimeFault::LongOffset)),
        same("10000-01-01T00:00:00Z", Err(TimeFault::NotATime)),
        same("2025-02-30T00:00:00Z", Err(TimeFault::NotATime)),
        same("2025-03-01T24:00:00Z", Err(TimeFault::NotATime)),
        same("2025-03-01T10:00:00+25:00:00:00", Err(TimeFault::NotATime)),
        same("", Err(TimeFault::NotATime)),
        same("yesterday", Err(TimeFault::NotATime)),
        same("1700000000", Err(TimeFault::NotATime)),
        same("0000-00-00 00:00:00", Err(TimeFault::NotATime)),
        same("12:00", Err(TimeFault::NotATime)),
    ]);
    let long = format!("2025-03-01T10:00:00Z[{}]", "x".repeat(TEXT_BYTES_MAX));
    assert_eq!((exact(&long), lenient(&long)), (Err(TimeFault::NotATime), Err(TimeFault::NotATime)));
}

#[test]
fn files_may_say_less_and_in_other_ways() {
    let midnight = Ok("2025-03-01T00:00:00Z");
    let ten = Ok("2025-03-01T10:00:00Z");
    let none = Err(TimeFault::NotATime);
    check(&[
        ("2025-03-01", none, midnight),
        ("20250301", none, midnight),
        ("2025-03-01[America/New_York]", none, Ok("2025-03-01T05:00:00Z")),
        ("2025-03-01T10:00:00", Err(TimeFault::NoOffset), ten),
        ("2025-03-01 10:00", Err(TimeFault::NoOffset), ten),
        ("2025-03-01 10:00:00 UTC", none, ten),
        ("2025-03-01 10:00:00 GMT", none, ten),
        ("2025-03-01 10:00:00Z", ten, ten),
        ("2025-03-01 10:00:00 Z", none, ten),
        ("2025-03-01 10:00:00 +0000", none, ten),
        ("2025-03-01 10:00:00+00", ten, ten),
        ("2025-03-01 15:30:00.5 +0530", none, Ok("2025-03-01T10:00:00.5Z")),
        ("2025-03-01 10:00:00 +0000 UTC", none, ten),
        ("2025-03-01 05:00:00 -05:00", none, ten),
        ("2025-03-01 5:00:00 [America/New_York]", none, ten),
        ("2025-03-01 UTC", none, midnight),
        ("2025/03/01", none, midnight),
        ("2025/3/1", none, midnight),
        ("2025/3/1 9:05", none, Ok("2025-03-01T09:05:00Z")),
        ("2025/03/01 10:00:00 UTC", none, ten),
        ("1969/12/31", none, Err(TimeFault::OutOfRange)),
        ("2025/13/01", none, none),
        ("01/02/2025", none, Err(TimeFault::DayOrMonthFirst)),
        ("1.2.25", none, Err(TimeFault::DayOrMonthFirst)),
        ("01-02-2025 10:00:00", none, Err(TimeFault::DayOrMonthFirst)),
        ("3/1/2025 10:00:00 AM", none, Err(TimeFault::DayOrMonthFirst)),
        ("2025-03-01 10:00:00 EST", none, Err(TimeFault::Abbreviated)),
        ("2025-03-01 10:00:00 AM", none, none),
        ("2025-03-01 10:00:00 +0500 UTC", none, Ok("2025-03-01T05:00:00Z")),
        ("2025/03/09 2:30:00 [America/New_York]", none, Err(TimeFault::Skipped)),
        ("2025-03-", none, none),
        ("5-pipe", none, none),
        ("1.2.3.4", none, none),
        ("UTC", none, none),
        ("\u{e9}/\u{e9}/\u{e9}", none, none),
        ("45717.41667", none, none),
    ]);
}

#[test]
fn a_form_reads_what_it_writes() {
    let form = |text: &str| TimeForm::new(text).unwrap();
    // form, text, instant
    let table = [
        ("%d/%m/%Y", "01/02/2025", Ok("2025-02-01T00:00:00Z")),
        ("%m/%d/%Y", "01/02/2025", Ok("2025-01-02T00:00:00Z")),
        ("%d.%m.%y %H:%M", "1.2.25 9:05", Ok("2025-02-01T09:05:00Z")),
        ("%m/%d/%Y %I:%M:%S %p", "3/1/2025 10:00:00 PM", Ok("2025-03-01T22:00:00Z")),
        ("%s", "1700000000", Ok("2023-11-14T22:13:20Z")),
        ("%Y-%m-%dT%H:%M:%S%z", "2025-03-01T10:00:00-0500", Ok("2025-03-01T15:00:00Z")),
        ("%Y-%m-%d %H:%M %Q", "2025-03-01 10:00 America/New_York", Ok("2025-03-01T15:00:00Z")),
        ("%Y-%m-%d %H:%M %Q", "2025-03-09 02:30 America/New_York", Err(TimeFault::Skipped)),
        ("%Y-%m-%d %H:%M %Q", "2025-03-01 10:00 Nowhere/Town", Err(TimeFault::UnknownZone)),
        ("%Y-%m-%d %H:%M %Q", "2025-03-01 10:00 Etc/Unknown", Err(TimeFault::UnknownZone)),
        ("%Y-%m-%d %H:%M%z %Q", "2025-03-01 10:00+0000 factory", Err(TimeFault::UnknownZone)),
        ("%s %Q", "1700000000 Nowhere/Town", Err(TimeFault::UnknownZone)),
        ("%s %Q", "1700000000 America/New_York", Ok("2023-11-14T22:13:20Z")),
        ("%b %d, %Y", "Mar 1, 2025", Ok("2025-03-01T00:00:00Z")),
        ("%Y-%m-%d %H:%M:%S%.f", "2025-03-01 10:00:00.25", Ok("2025-03-01T10:00:00.25Z")),
        ("%d/%m/%Y", "2025-02-01", Err(TimeFault::OtherForm)),
        ("%d/%m/%Y", "31/02/2025", Err(TimeFault::OtherForm)),
        ("%d/%m/%Y", "01/02/2025 10:00", Err(TimeFault::OtherForm)),
        ("%d/%m/%Y", "01/02/1969", Err(TimeFault::OutOfRange)),
        ("%s", "-1", Err(TimeFault::OutOfRange)),
    ];
    for (text, time, moment) in table {
        assert_eq!(form(text).read(time), moment.map(|moment| Timestamp(micros(moment))), "{text}: {time}");
    }
    for bad in ["", "%H:%M", "%d/%m", "%m/%Y", "date", "%!", "%", "%Y-%m-%d %Z", &"%d/%m/%Y ".repeat(20)] {
        assert!(TimeForm::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_printed_is_read_back() {
    for micros in [0, 1, 1_700_000_000_123_456, 253_402_207_200_000_000, TIME_MAX] {
        let text = print(Timestamp(micros));
        assert_eq!((exact(&text), lenient(&text)), (Ok(Timestamp(micros)), Ok(Timestamp(micros))), "{text}");
    }
    for (micros, text) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
        (TIME_MAX, "9999-12-31T23:59:59.999999Z"),
        (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
        (-62_198_755_200_000_000, "-000001-01-01T00:00:00.000000Z"),
    ] {
        assert_eq!(print(Timestamp(micros)), text);
    }
    assert_eq!(print(Timestamp(1_700_000_000_000_000)), "2023-11-14T22:13:20.000000Z");
    assert_eq!(print(Timestamp(i64::MAX)), format!("{}us", i64::MAX));
}

mod random {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The digits of times in the form that is printed mean what they mean to the parser of all forms,
        /// to which the blank leads.
        #[test]
        fn printed_times_are_read_as_any_other(
            date in "(19[67]|20[0-9]|999)[0-9]-[01][0-9]-[0-3][0-9]",
            time in "[0-2][0-9]:[0-6][0-9]:[0-6][0-9]",
            fraction in "(\\.[0-9]{6})?",
        ) {
            let others = [format!("{date} {time}{fraction}Z"), format!("{date}T{time}{fraction}+00:00")];
            for other in others {
                prop_assert_eq!(exact(&format!("{date}T{time}{fraction}Z")), exact(&other));
            }
        }

        #[test]
        fn times_are_printed_as_their_library_does(micros in 0..=TIME_MAX) {
            let time = Timestamp(micros);
            prop_assert_eq!(print(time), format!("{:.6}Z", civil(time).unwrap()));
        }

        /// What both readers accept they read alike, and no text makes either panic.
        #[test]
        fn readers_agree(
            text in "(20[0-9]{2}[-/][0-3]?[0-9][-/][0-3]?[0-9])?[ T]?([0-2]?[0-9]:[0-5][0-9](:[0-6][0-9])?)?\
                     [ ]?(Z|UTC|[+-][01][0-9]:?[03]0)?(\\[(America/New_York|Asia/Tokyo|X)\\])?|\\PC{0,40}"
        ) {
            if let Ok(time) = exact(&text) {
                prop_assert_eq!(lenient(&text), Ok(time));
                prop_assert!((0..=TIME_MAX).contains(&time.0));
            }
            if let Ok(time) = lenient(&text) {
                prop_assert_eq!(exact(&print(time)), Ok(time));
            }
        }
    }
}
