//! Values of the opening state as text. Exact: floats are never involved.

use crate::core::{
    OPENING_DECIMALS_MAX, OPENING_HELD_MAX, OPENING_VALUE_MAX, OpeningValue, command::OpeningKind,
    opening_units,
};

/// Parses a value of a kind: units, and their decimals. An empty text is 0 where there is no value.
///
/// # Errors
/// Why it is none.
pub fn parse_value(is: OpeningValue, text: &str) -> Result<(i64, u8), String> {
    match is {
        OpeningValue::Nothing if text.is_empty() => Ok((0, 0)),
        OpeningValue::Nothing => Err("is not of this kind".into()),
        OpeningValue::Periods => parse_periods(text).map(|bits| (bits.cast_signed(), 0)),
        OpeningValue::Number | OpeningValue::Volume | OpeningValue::Money => parse_decimal(text),
    }
}

/// Prints a value as [`parse_value`] reads it; `None` where there is none.
pub fn print_value(is: OpeningValue, value: i64, decimals: u8) -> Option<String> {
    match is {
        OpeningValue::Nothing => None,
        OpeningValue::Periods => Some(print_periods(value.cast_unsigned())),
        OpeningValue::Number | OpeningValue::Volume | OpeningValue::Money => {
            Some(print_units(opening_units(value, decimals)))
        }
    }
}

/// Parses a position: a number; of a leg also `left` and `right`.
pub fn parse_position(kind: OpeningKind, text: &str) -> Option<u32> {
    match text {
        "left" if kind == OpeningKind::Carry => Some(0),
        "right" if kind == OpeningKind::Carry => Some(1),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    }
}

/// Parses the sum of values of a kind, as [`print_sum`] prints it.
///
/// # Errors
/// Why it is none.
pub fn parse_sum(is: OpeningValue, text: &str) -> Result<i128, String> {
    if is == OpeningValue::Periods {
        return text.parse::<u32>().map(i128::from).map_err(|_| "is not a number of periods".into());
    }
    units(text, i128::MAX / 10)
}

/// Prints the sum of values of a kind.
pub fn print_sum(is: OpeningValue, sum: i128) -> String {
    if is == OpeningValue::Periods { sum.to_string() } else { print_units(sum) }
}

fn parse_decimal(text: &str) -> Result<(i64, u8), String> {
    let units = units(text, opening_units(OPENING_VALUE_MAX, 0))?;
    let (mut value, mut decimals) = (units, OPENING_DECIMALS_MAX);
    while decimals != 0 && value % 10 == 0 {
        (value, decimals) = (value / 10, decimals - 1);
    }
    let value = i64::try_from(value).ok().filter(|value| value.unsigned_abs() <= OPENING_VALUE_MAX as u64);
    value.map(|value| (value, decimals)).ok_or_else(|| "has more digits than can be kept".into())
}

/// A decimal in units of 10^-[`OPENING_DECIMALS_MAX`], at most `most`.
fn units(text: &str, most: i128) -> Result<i128, String> {
    let wrong = || "is not a decimal such as 12 or -12.5".to_owned();
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(decimals) || digits.ends_with('.') {
        return Err(wrong());
    }
    let decimals = decimals.trim_end_matches('0');
    let places = usize::from(OPENING_DECIMALS_MAX);
    if places < decimals.len() {
        return Err(format!("has more than {OPENING_DECIMALS_MAX} decimals"));
    }
    let padding = std::iter::repeat_n(b'0', places - decimals.len());
    let mut units = 0_i128;
    for digit in whole.bytes().chain(decimals.bytes()).chain(padding) {
        let next = units.checked_mul(10).and_then(|tens| tens.checked_add(i128::from(digit - b'0')));
        units = next.filter(|units| *units <= most).ok_or("is too large")?;
    }
    Ok(if negative { -units } else { units })
}

/// Units of 10^-[`OPENING_DECIMALS_MAX`] as a decimal without zeros at its end.
fn print_units(units: i128) -> String {
    let places = usize::from(OPENING_DECIMALS_MAX);
    let digits = format!("{:0>1$}", units.unsigned_abs(), places + 1);
    let (whole, decimals) = digits.split_at(digits.len() - places);
    let (sign, decimals) = (if units < 0 { "-" } else { "" }, decimals.trim_end_matches('0'));
    if decimals.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{decimals}") }
}

/// Parses periods, counted back from 1, and ranges of them: `1-3 5`.
fn parse_periods(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("is not a list of periods, counted back from 1 to {OPENING_HELD_MAX}, such as 1-3 5");
    let number = |word: &str| {
        let number = word.parse::<u32>().ok();
        number.filter(|number| (1..=OPENING_HELD_MAX).contains(number)).ok_or_else(wrong)
    };
    let mut bits = 0_u64;
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(wrong());
        }
        (first..=last).for_each(|period| bits |= 1 << (period - 1));
    }
    if bits == 0 { Err(wrong()) } else { Ok(bits) }
}

fn print_periods(bits: u64) -> String {
    let has = |period: u32| period <= OPENING_HELD_MAX && bits >> (period - 1) & 1 == 1;
    let mut ranges = Vec::new();
    let mut period = 1;
    while period <= OPENING_HELD_MAX {
        let first = period;
        while has(period) {
            period += 1;
        }
        match period - first {
            0 => period += 1,
            1 => ranges.push(first.to_string()),
            _ => ranges.push(format!("{first}-{}", period - 1)),
        }
    }
    ranges.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_printed_exactly() {
        // text, units and decimals, printed
        let table = [
            ("12.50", Some((125, 1)), "12.5"),
            ("-0.00000001", Some((-1, 8)), "-0.00000001"),
            ("+7", Some((7, 0)), "7"),
            ("700", Some((700, 0)), "700"),
            ("0.0", Some((0, 0)), "0"),
            ("1000000000000000000", Some((OPENING_VALUE_MAX, 0)), "1000000000000000000"),
            ("1000000000000000001", None, ""),
            ("10000000000000000.001", None, ""),
            ("0.000000001", None, ""),
            ("", None, ""),
            ("-", None, ""),
            (".5", None, ""),
            ("5.", None, ""),
            ("1e3", None, ""),
            ("1,000", None, ""),
        ];
        for (text, expected, printed) in table {
            let found = parse_value(OpeningValue::Number, text).ok();
            assert_eq!(found, expected, "{text}");
            if let Some((value, decimals)) = found {
                let again = print_value(OpeningValue::Number, value, decimals);
                assert_eq!(again.as_deref(), Some(printed), "{text}");
            }
        }
    }

    #[test]
    fn periods_are_numbers_and_ranges() {
        // text, bits, printed
        let table = [
            ("1", Some(1), "1"),
            ("1-3 5", Some(0b1_0111), "1-3 5"),
            ("5,3,2,1", Some(0b1_0111), "1-3 5"),
            ("1-64", Some(u64::MAX), "1-64"),
            ("64", Some(1 << 63), "64"),
            ("", None, ""),
            ("0", None, ""),
            ("65", None, ""),
            ("3-1", None, ""),
            ("x", None, ""),
        ];
        for (text, expected, printed) in table {
            let found = parse_periods(text).ok();
            assert_eq!(found, expected, "{text}");
            if let Some(bits) = found {
                assert_eq!(print_periods(bits), printed, "{text}");
            }
        }
    }

    #[test]
    fn sums_are_wider_than_values() {
        let text = "123456789012345678901234567.5";
        let sum = parse_sum(OpeningValue::Money, text).unwrap();
        assert_eq!(print_sum(OpeningValue::Money, sum), text);
        assert_eq!(parse_sum(OpeningValue::Periods, "12"), Ok(12));
        assert!(parse_sum(OpeningValue::Periods, "1.5").is_err());
    }
}
