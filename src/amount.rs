//! Amounts as decimal text in units of a currency (`10.00`), the form of plan files, `import` and `export`.
//! Exact: floats are never involved.

use std::fmt;

use crate::core::types::Money;

/// Parses an amount such as `10`, `-0.5` or `10.00` for a currency with `exponent` decimal digits.
///
/// # Errors
/// Why the text is not an amount: no digits, more decimals than the currency has, or beyond `Money::MAX`.
pub fn parse(text: &str, exponent: u8) -> Result<Money, String> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (units, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if units.is_empty() || !all_digits(units) || !all_digits(decimals) || digits.ends_with('.') {
        return Err(format!("`{text}` is not an amount such as 10 or 10.00"));
    }
    let decimals = decimals.trim_end_matches('0');
    let exponent = usize::from(exponent);
    if exponent < decimals.len() {
        return Err(format!("`{text}` has more decimals than the {exponent} of the currency"));
    }
    let padding = std::iter::repeat_n(b'0', exponent - decimals.len());
    let mut minor = 0_i64;
    for digit in units.bytes().chain(decimals.bytes()).chain(padding) {
        let next = minor.checked_mul(10).and_then(|tens| tens.checked_add(i64::from(digit - b'0')));
        minor = next.filter(|sum| *sum <= Money::MAX.0).ok_or_else(|| format!("`{text}` is too large"))?;
    }
    Ok(Money(if negative { -minor } else { minor }))
}

/// Prints the amount with all decimals of its currency: the inverse of [`parse`].
pub fn print(amount: Money, exponent: u8) -> String {
    let mut text = String::new();
    push(amount, exponent, &mut text);
    text
}

/// Appends an amount as [`print`] prints it.
pub fn push(amount: Money, exponent: u8, out: &mut String) {
    // A string takes any text.
    _ = write(amount, exponent, out);
}

/// Writes an amount as [`print`] prints it.
///
/// # Errors
/// Those of `out`.
pub fn write(amount: Money, exponent: u8, out: &mut impl fmt::Write) -> fmt::Result {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(amount.0.unsigned_abs());
    let exponent = usize::from(exponent);
    if amount.0 < 0 {
        out.write_char('-')?;
    }
    // At least one digit stands before the point.
    let units = digits.len().saturating_sub(exponent);
    out.write_str(if units == 0 { "0" } else { &digits[..units] })?;
    if exponent == 0 {
        return Ok(());
    }
    out.write_char('.')?;
    (digits.len()..exponent).try_for_each(|_| out.write_char('0'))?;
    out.write_str(&digits[units..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        // text, exponent, minor units
        let table = [
            ("10.00", 2, 1_000),
            ("10", 2, 1_000),
            ("0.1", 2, 10),
            ("-0.01", 2, -1),
            ("+1.10", 2, 110),
            ("1.500", 1, 15),
            ("7", 0, 7),
            ("0", 2, 0),
            ("100000000000.00", 2, Money::MAX.0),
            ("0.00000001", 8, 1),
        ];
        for (text, exponent, minor) in table {
            assert_eq!(parse(text, exponent), Ok(Money(minor)), "{text} with {exponent}");
            assert_eq!(parse(&print(Money(minor), exponent), exponent), Ok(Money(minor)), "{text} printed");
        }
    }

    #[test]
    fn what_is_not_an_amount_says_why() {
        // text, exponent, part of the reason
        let table = [
            ("", 2, "not an amount"),
            ("-", 2, "not an amount"),
            (".5", 2, "not an amount"),
            ("5.", 2, "not an amount"),
            ("1e3", 2, "not an amount"),
            ("inf", 2, "not an amount"),
            ("1,000", 2, "not an amount"),
            ("--1", 2, "not an amount"),
            ("١", 2, "not an amount"),
            ("0.001", 2, "more decimals"),
            ("1.5", 0, "more decimals"),
            ("100000000000.01", 2, "too large"),
            ("999999999999999999999999999999", 2, "too large"),
        ];
        for (text, exponent, reason) in table {
            let error = parse(text, exponent).unwrap_err();
            assert!(error.contains(reason), "{text} with {exponent}: {error}");
        }
    }

    #[test]
    fn all_decimals_are_printed() {
        for (minor, exponent, text) in [
            (1_000, 2, "10.00"),
            (-5, 2, "-0.05"),
            (0, 2, "0.00"),
            (7, 0, "7"),
            (i64::MIN, 0, "-9223372036854775808"),
        ] {
            assert_eq!(print(Money(minor), exponent), text);
        }
    }
}
