//! Dates and graces of calendars as texts.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::core::plan::calendar::{Date, Grace};

/// What [`super::reader`] is asked for by a [`DateText`].
pub(super) const DATE: &str = "Date";

/// A date as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct DateText(String);

impl<'de> Deserialize<'de> for DateText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(DATE, Digits)
    }
}

struct Digits;

impl<'de> de::Visitor<'de> for Digits {
    type Value = DateText;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a date")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DateText, E> {
        Ok(DateText(text.to_owned()))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<DateText, D::Error> {
        String::deserialize(deserializer).map(DateText)
    }
}

impl DateText {
    pub(super) fn of(date: Date) -> Self {
        let Date { year, month, day } = date;
        Self(format!("{year:04}-{month:02}-{day:02}"))
    }

    /// # Errors
    /// Why it has not the form of a date. `Plan::validate` knows whether there is such a day.
    pub(super) fn date(&self) -> Result<Date, String> {
        let part = |range: std::ops::Range<usize>| {
            let digits = self.0.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse::<u16>().ok())
        };
        let read = || {
            let separators = [self.0.get(4..5)?, self.0.get(7..8)?];
            let small = |range| part(range).and_then(|number| u8::try_from(number).ok());
            let date = Date { year: part(0..4)?, month: small(5..7)?, day: small(8..10)? };
            (self.0.len() == 10 && separators == ["-", "-"]).then_some(date)
        };
        read().ok_or_else(|| format!("`{}` is not a date such as 2026-07-01", self.0))
    }
}

/// Prints a grace: `3 days`, `12 hours`, `2 days 6 hours`; `0 days` for none.
pub(super) fn print_grace(grace: Grace) -> String {
    let part = |count: u16, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match grace {
        Grace { days, hours: 0 } => part(days, "day"),
        Grace { days: 0, hours } => part(hours, "hour"),
        Grace { days, hours } => format!("{} {}", part(days, "day"), part(hours, "hour")),
    }
}

/// # Errors
/// Why it is not a grace.
pub(super) fn read_grace(text: &str) -> Result<Grace, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (pairs, rest) = words.as_chunks::<2>();
    let read = || {
        let mut grace = Grace::default();
        let mut units = Vec::new();
        for [count, unit] in pairs {
            let count = Some(*count).filter(|count| count.bytes().all(|byte| byte.is_ascii_digit()));
            let count: u16 = count?.parse().ok()?;
            match *unit {
                "day" | "days" => (grace.days, units) = (count, [units, vec!['d']].concat()),
                "hour" | "hours" => (grace.hours, units) = (count, [units, vec!['h']].concat()),
                _ => return None,
            }
        }
        (rest.is_empty() && [&['d'][..], &['h'], &['d', 'h']].contains(&&units[..])).then_some(grace)
    };
    read().ok_or_else(|| format!("`{text}` is not a time such as 3 days, 12 hours or 2 days 6 hours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_printed() {
        let date = Date { year: 2026, month: 7, day: 1 };
        assert_eq!(DateText("2026-07-01".into()).date(), Ok(date));
        assert_eq!(DateText::of(date), DateText("2026-07-01".into()));
        for text in ["", "2026-7-1", "2026-07-01T00:00:00", "+026-07-01", "2026/07/01", "2026-07-0\u{661}"] {
            assert!(DateText(text.into()).date().unwrap_err().contains("not a date"), "{text}");
        }
    }

    #[test]
    fn graces_are_read_and_printed() {
        let table = [
            ("3 days", (3, 0)),
            ("1 day", (1, 0)),
            ("0 days", (0, 0)),
            ("12 hours", (0, 12)),
            ("1 hour", (0, 1)),
            ("2 days 6 hours", (2, 6)),
        ];
        for (text, (days, hours)) in table {
            assert_eq!(read_grace(text), Ok(Grace { days, hours }), "{text}");
            assert_eq!(print_grace(Grace { days, hours }), text);
        }
        for text in
            ["", "3", "days", "3 weeks", "6 hours 2 days", "1 day 1 day", "-1 days", "1.5 days", "99999 days"]
        {
            assert!(read_grace(text).is_err(), "{text}");
        }
    }
}
