//! Exact decimals of a plan: amounts in units of its currency, and percentages.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    amount,
    core::types::{BasisPoints, Money},
};

/// What [`super::reader`] is asked for by a [`Decimal`].
pub(super) const DECIMAL: &str = "Decimal";
/// Decimals of a percentage: a basis point is a hundredth of a percent.
const PERCENT_DIGITS: u8 = 2;

/// A decimal number as it is written. It becomes a value only with the exponent of its currency.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Decimal(String);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(DECIMAL, Digits)
    }
}

struct Digits;

impl<'de> de::Visitor<'de> for Digits {
    type Value = Decimal;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a decimal number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
        Ok(Decimal(text.to_owned()))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Decimal, D::Error> {
        String::deserialize(deserializer).map(Decimal)
    }
}

impl Decimal {
    pub(super) fn of_money(amount: Money, exponent: u8) -> Self {
        Self(amount::print(amount, exponent))
    }

    pub(super) fn of_rate(rate: BasisPoints) -> Self {
        Self(print_percent(rate.0.into()))
    }

    /// # Errors
    /// Why it is not an amount of a currency with this exponent.
    pub(super) fn money(&self, exponent: u8) -> Result<Money, String> {
        amount::parse(&self.0, exponent)
    }

    /// # Errors
    /// Why it is not a percentage.
    pub(super) fn rate(&self) -> Result<BasisPoints, String> {
        let Ok(hundredths) = amount::parse(&self.0, PERCENT_DIGITS) else {
            return Err(format!(
                "`{}` is not a percentage such as 10 or 2.5, of two decimals at most",
                self.0
            ));
        };
        if hundredths.0 < 0 {
            return Err(format!("`{}` is negative", self.0));
        }
        // `Plan::validate` refuses what is too large, and says what is not.
        Ok(BasisPoints(u32::try_from(hundredths.0).unwrap_or(u32::MAX)))
    }
}

/// Prints a percentage without needless zeros: 250 basis points are `2.5`.
pub fn print_percent(basis_points: u64) -> String {
    let (whole, part) = (basis_points / 100, basis_points % 100);
    match (part, part % 10) {
        (0, _) => whole.to_string(),
        (_, 0) => format!("{whole}.{}", part / 10),
        _ => format!("{whole}.{part:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_and_printed_exactly() {
        let table = [
            ("0", 0),
            ("10", 1_000),
            ("2.5", 250),
            ("0.05", 5),
            ("0.5", 50),
            ("100.01", 10_001),
            ("1000", 100_000),
        ];
        for (text, basis_points) in table {
            assert_eq!(Decimal(text.into()).rate(), Ok(BasisPoints(basis_points)), "{text}");
            assert_eq!(Decimal::of_rate(BasisPoints(basis_points)), Decimal(text.into()));
        }
        assert_eq!(Decimal("5.00".into()).rate(), Ok(BasisPoints(500)));
        assert_eq!(Decimal("99999999999".into()).rate(), Ok(BasisPoints(u32::MAX)));
        for (text, reason) in [
            ("x", "not a percentage"),
            ("0.001", "two decimals at most"),
            ("-1", "is negative"),
            ("10%", "not a percentage"),
        ] {
            let error = Decimal(text.into()).rate().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
