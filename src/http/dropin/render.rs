//! Prints the drop-in's objects: field order, timestamps, amounts.

use std::fmt::Write;

use jiff::civil::DateTime;

use super::{
    python::print::{print_float, print_str},
    uuid,
};
use crate::{engine::Timestamp, time_text};

/// A member object without the end of its `children`: the caller prints them, then `]}`.
pub struct MemberObject<'a> {
    pub id: [u8; 16],
    pub user_id: &'a [u8; 16],
    pub parent_id: Option<&'a [u8; 16]>,
    pub level: u32,
    /// Microseconds since 1970.
    pub created_at: i64,
}

impl MemberObject<'_> {
    pub fn print_open(&self, out: &mut String) {
        out.push_str("{\"id\":\"");
        uuid::print(&self.id, out);
        out.push_str("\",\"user_id\":\"");
        uuid::print(self.user_id, out);
        out.push_str("\",\"parent_id\":");
        match self.parent_id {
            None => out.push_str("null"),
            Some(parent) => print_id(parent, out),
        }
        out.push_str(",\"level\":");
        print_integer(u64::from(self.level), out);
        out.push_str(",\"created_at\":\"");
        print_timestamp(self.created_at, "Z", out);
        // The original never sets it, and its app fails on anything but null.
        out.push_str("\",\"updated_at\":null,\"children\":[");
    }
}

/// The end of a member object.
pub const MEMBER_CLOSE: &str = "]}";

/// A bonus object.
pub struct BonusObject<'a> {
    pub id: [u8; 16],
    pub user_id: &'a [u8; 16],
    pub source_user_id: &'a [u8; 16],
    pub level: u32,
    /// Minor units.
    pub amount: i64,
    /// Decimals of the currency.
    pub exponent: u8,
    pub kind: &'a str,
    pub status: &'a str,
    pub created_at: i64,
    /// `Z`, or `+00:00` in the weekly report.
    pub zone: &'a str,
}

impl BonusObject<'_> {
    pub fn print(&self, out: &mut String) {
        out.push_str("{\"id\":\"");
        uuid::print(&self.id, out);
        out.push_str("\",\"user_id\":\"");
        uuid::print(self.user_id, out);
        out.push_str("\",\"source_user_id\":\"");
        uuid::print(self.source_user_id, out);
        out.push_str("\",\"level\":");
        print_integer(u64::from(self.level), out);
        out.push_str(",\"amount\":");
        print_amount(i128::from(self.amount), self.exponent, out);
        out.push_str(",\"type\":");
        print_str(self.kind, out);
        out.push_str(",\"status\":\"");
        out.push_str(self.status);
        out.push_str("\",\"created_at\":\"");
        print_timestamp(self.created_at, self.zone, out);
        out.push_str("\"}");
    }
}

/// An id in quotes.
pub fn print_id(id: &[u8; 16], out: &mut String) {
    out.push('"');
    uuid::print(id, out);
    out.push('"');
}

/// A number without a sign.
pub fn print_integer(value: u64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// An amount of minor units as Python prints its float: always with a point, and with no more decimals than
/// needed.
///
/// Up to 10^15 minor units the decimal number is itself the shortest text that reads back as its nearest
/// float, so its digits are printed unchanged. Larger ones (totals) are rounded to the nearest float, as in
/// the original.
pub fn print_amount(minor: i128, exponent: u8, out: &mut String) {
    let scale = 10_u64.pow(u32::from(exponent.min(18)));
    let magnitude = minor.unsigned_abs();
    let whole = magnitude / u128::from(scale);
    let part = u64::try_from(magnitude % u128::from(scale)).expect("a remainder is below its divisor");
    // Python switches to an exponent below 10^-4.
    let is_tiny = whole == 0 && part != 0 && u128::from(part) * 10_000 < u128::from(scale);
    let width = usize::from(exponent.min(18));
    match u64::try_from(magnitude) {
        Ok(magnitude) if magnitude <= 1_000_000_000_000_000 && !is_tiny => {
            if minor < 0 {
                out.push('-');
            }
            print_integer(magnitude / scale, out);
            let decimals = format!("{part:0width$}");
            let decimals = decimals.trim_end_matches('0');
            out.push('.');
            out.push_str(if decimals.is_empty() { "0" } else { decimals });
        }
        _ => {
            let sign = if minor < 0 { "-" } else { "" };
            let value: f64 =
                format!("{sign}{whole}.{part:0width$}").parse().expect("digits with a point are a float");
            print_float(value, out);
        }
    }
}

/// ISO 8601 in UTC: six digits of microseconds, none when they are 0, then the zone's suffix.
///
/// Times beyond the calendar (which ends with the year 9999) are clamped to its range.
pub fn print_timestamp(microseconds: i64, zone: &str, out: &mut String) {
    let nearest = if microseconds < 0 { DateTime::MIN } else { DateTime::MAX };
    let date = time_text::civil(Timestamp(microseconds)).unwrap_or(nearest);
    let two = |value: i8, out: &mut String| {
        let value = value.unsigned_abs();
        out.push(char::from(b'0' + value / 10 % 10));
        out.push(char::from(b'0' + value % 10));
    };
    if date.year() < 0 {
        out.push('-');
    }
    let year = date.year().unsigned_abs();
    if year < 1000 {
        out.push_str(&"000"[..3 - year.checked_ilog10().unwrap_or(0) as usize]);
    }
    print_integer(u64::from(year), out);
    out.push('-');
    two(date.month(), out);
    out.push('-');
    two(date.day(), out);
    out.push('T');
    two(date.hour(), out);
    out.push(':');
    two(date.minute(), out);
    out.push(':');
    two(date.second(), out);
    let micros = date.subsec_nanosecond() / 1_000;
    if micros != 0 {
        write!(out, ".{micros:06}").expect("strings take everything");
    }
    out.push_str(zone);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(print: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        print(&mut out);
        out
    }

    #[test]
    fn timestamps_have_six_digits_or_none() {
        // microseconds, text
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.000001Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_763_663_703_068_920, "2025-11-20T18:35:03.068920Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (-62_135_596_800_000_000, "0001-01-01T00:00:00Z"),
            (253_402_207_200_000_000, "9999-12-30T22:00:00Z"),
            (time_text::TIME_MAX, "9999-12-31T23:59:59.999999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
        ];
        for (microseconds, text) in table {
            assert_eq!(printed(|out| print_timestamp(microseconds, "Z", out)), text);
        }
        for extreme in [i64::MIN, i64::MAX] {
            printed(|out| print_timestamp(extreme, "Z", out));
        }
        assert_eq!(printed(|out| print_timestamp(1, "+00:00", out)), "1970-01-01T00:00:00.000001+00:00");
    }

    #[test]
    fn amounts_print_as_python_floats() {
        // minor units, exponent, text
        let table = [
            (1_000, 2, "10.0"),
            (10, 2, "0.1"),
            (1, 2, "0.01"),
            (1_234, 2, "12.34"),
            (-1_234, 2, "-12.34"),
            (0, 2, "0.0"),
            (5, 0, "5.0"),
            (10_000_000_000_000, 2, "100000000000.0"),
            (9_999_999_999_999, 2, "99999999999.99"),
            (10_000_000_000_000, 0, "10000000000000.0"),
            (9_999_999_999_999, 8, "99999.99999999"),
            (1, 4, "0.0001"),
            (1, 8, "1e-08"),
            (12, 6, "1.2e-05"),
            (999_999_999_999_999_999, 2, "1e+16"),
            (123_456_789_012_345_678, 2, "1234567890123456.8"),
            (i128::MAX, 2, "1.7014118346046924e+36"),
        ];
        for (minor, exponent, text) in table {
            assert_eq!(printed(|out| print_amount(minor, exponent, out)), text, "{minor} at {exponent}");
        }
    }

    /// The shortcut for small amounts matches rounding to a float and printing its shortest digits.
    #[test]
    fn printed_digits_are_those_of_the_float() {
        use rand_pcg::rand_core::RngCore;
        let seed = 5;
        println!("seed {seed}");
        let mut random = rand_pcg::Pcg64Mcg::new(seed);
        for _ in 0..100_000 {
            let exponent = (random.next_u32() % 9) as u8;
            let minor = (random.next_u64() >> (random.next_u32() % 64)) % 10_000_000_000_001;
            let scale = 10_u64.pow(u32::from(exponent));
            let width = usize::from(exponent);
            let float: f64 = format!("{}.{:0width$}", minor / scale, minor % scale).parse().unwrap();
            let expected = printed(|out| print_float(float, out));
            assert_eq!(
                printed(|out| print_amount(i128::from(minor), exponent, out)),
                expected,
                "{minor} at {exponent}"
            );
        }
    }

    #[test]
    fn objects_keep_the_order_of_their_fields() {
        let member =
            MemberObject { id: [1; 16], user_id: &[2; 16], parent_id: None, level: 1, created_at: 0 };
        assert_eq!(
            printed(|out| member.print_open(out)) + MEMBER_CLOSE,
            "{\"id\":\"01010101-0101-0101-0101-010101010101\",\
             \"user_id\":\"02020202-0202-0202-0202-020202020202\",\"parent_id\":null,\"level\":1,\
             \"created_at\":\"1970-01-01T00:00:00Z\",\"updated_at\":null,\"children\":[]}"
        );
        let bonus = BonusObject {
            id: [1; 16],
            user_id: &[2; 16],
            source_user_id: &[3; 16],
            level: 4,
            amount: 1_000,
            exponent: 2,
            kind: "referral",
            status: "pending",
            created_at: 0,
            zone: "Z",
        };
        assert_eq!(
            printed(|out| bonus.print(out)),
            "{\"id\":\"01010101-0101-0101-0101-010101010101\",\
             \"user_id\":\"02020202-0202-0202-0202-020202020202\",\
             \"source_user_id\":\"03030303-0303-0303-0303-030303030303\",\"level\":4,\"amount\":10.0,\
             \"type\":\"referral\",\"status\":\"pending\",\"created_at\":\"1970-01-01T00:00:00Z\"}"
        );
    }
}
