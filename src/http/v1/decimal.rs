//! Amounts, volumes and parts of orders on the wire: decimals as text (`"12.50"`) or as whole numbers (`12`).
//! Exact: a number with a decimal point would be a floating-point number to many clients, so it is refused.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
    ser::SerializeMap,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaType, Type},
    },
};

use super::problem::{Code, Problem};
use crate::{
    amount,
    engine::{Money, WHOLE},
};

/// Decimals of the parts that credits and refunds are given in: [`WHOLE`] is `1`.
const PART_EXPONENT: u8 = 9;
const _: () = assert!(WHOLE == 10_u32.pow(PART_EXPONENT as u32));

/// A decimal as it was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decimal {
    Text(Box<str>),
    Whole(u64),
}

impl Decimal {
    /// The decimal in units of an exponent, from 0 on.
    ///
    /// # Errors
    /// `field_invalid`: it is none, is negative, or has more decimals.
    pub fn units(&self, exponent: u8, field: impl FnOnce() -> String) -> Result<i64, Problem> {
        let text = match self {
            Self::Text(text) => Cow::Borrowed(&**text),
            Self::Whole(number) => number.to_string().into(),
        };
        match amount::parse(&text, exponent) {
            Ok(Money(units)) if 0 <= units => Ok(units),
            _ => {
                let largest = print(Money::MAX.0, exponent);
                let detail = format!(
                    "must be a decimal such as 12 or \"12.50\", from 0 to {largest}, with {exponent} \
                     decimals at most"
                );
                Err(Problem::new(Code::FieldInvalid).with("field", field()).detail(detail))
            }
        }
    }

    /// The part of a whole, in parts of [`WHOLE`].
    ///
    /// # Errors
    /// `field_invalid`: it is none, is 0, exceeds 1, or has more decimals.
    pub fn part(&self, field: impl Fn() -> String) -> Result<u32, Problem> {
        let units = self.units(PART_EXPONENT, &field).ok().and_then(|units| u32::try_from(units).ok());
        units.filter(|units| (1..=WHOLE).contains(units)).ok_or_else(|| {
            let detail = "must be a part such as \"0.25\", above 0 and up to 1, with 9 decimals at most";
            Problem::new(Code::FieldInvalid).with("field", field()).detail(detail)
        })
    }
}

/// Units of an exponent as text, with all decimals.
pub fn print(units: i64, exponent: u8) -> String {
    amount::print(Money(units), exponent)
}

/// Units of an exponent, which are shown as text with all decimals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Units {
    pub units: i64,
    pub exponent: u8,
}

/// A part of [`WHOLE`], which is shown as text without zeros at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part(pub u32);

impl fmt::Display for Units {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        amount::write(Money(self.units), self.exponent, out)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut units, mut exponent) = (self.0, PART_EXPONENT);
        while 0 < exponent && units.is_multiple_of(10) {
            (units, exponent) = (units / 10, exponent - 1);
        }
        Units { units: units.into(), exponent }.fmt(out)
    }
}

impl Serialize for Units {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Whole(number) => serializer.serialize_u64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sent;

        impl Visitor<'_> for Sent {
            type Value = Decimal;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a decimal as text, such as \"12.50\", or a whole number that is not negative")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Decimal, E> {
                Ok(Decimal::Whole(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Decimal, E> {
                Ok(Decimal::Text(text.into()))
            }
        }

        deserializer.deserialize_any(Sent)
    }
}

impl PartialSchema for Decimal {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Array(vec![Type::String, Type::Integer]))
            .pattern(Some(r"^[0-9]+(\.[0-9]+)?$"))
            .minimum(Some(0))
            .description(Some("A decimal as text, or a whole number"))
            .examples([serde_json::json!("12.50")])
            .into()
    }
}

impl ToSchema for Decimal {}

/// Decimals by name, each name once, in the order in which they were sent.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct NamedDecimals(pub Vec<(Box<str>, Decimal)>);

impl Serialize for NamedDecimals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, decimal) in &self.0 {
            map.serialize_entry(name, decimal)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for NamedDecimals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sent;

        impl<'de> Visitor<'de> for Sent {
            type Value = NamedDecimals;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of decimals")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamedDecimals, A::Error> {
                let mut all: Vec<(Box<str>, Decimal)> = Vec::new();
                while let Some((name, decimal)) = map.next_entry::<Box<str>, Decimal>()? {
                    if all.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("`{name}` is there twice")));
                    }
                    if NAMES_MAX <= all.len() {
                        return Err(A::Error::custom("too many names"));
                    }
                    all.push((name, decimal));
                }
                Ok(NamedDecimals(all))
            }
        }

        deserializer.deserialize_map(Sent)
    }
}

/// More than any plan has volumes.
const NAMES_MAX: usize = 64;

impl PartialSchema for NamedDecimals {
    fn schema() -> RefOr<Schema> {
        let decimals = AdditionalProperties::RefOr(RefOr::T(match Decimal::schema() {
            RefOr::T(schema) => schema,
            RefOr::Ref(_) => unreachable!("it is written out"),
        }));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(decimals))
            .examples([serde_json::json!({ "pv": "10" })])
            .into()
    }
}

impl ToSchema for NamedDecimals {}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(json: &str) -> Option<Decimal> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn decimals_are_read_exactly() {
        // as sent, exponent, units
        let table = [
            (r#""12.50""#, 2, Some(1_250)),
            (r#""12.5""#, 2, Some(1_250)),
            ("12", 2, Some(1_200)),
            (r#""0""#, 0, Some(0)),
            (r#""100000000000""#, 2, Some(Money::MAX.0)),
            (r#""100000000000.01""#, 2, None),
            (r#""1.234""#, 2, None),
            (r#""-1""#, 2, None),
            (r#""1e3""#, 2, None),
            (r#""""#, 2, None),
            ("18446744073709551615", 2, None),
        ];
        for (json, exponent, units) in table {
            let sent = decimal(json).unwrap();
            assert_eq!(sent.units(exponent, String::new).ok(), units, "{json}");
        }
        for json in ["12.5", "-1", "1e2", "null", "true", "[]"] {
            assert_eq!(decimal(json), None, "{json}");
        }
    }

    #[test]
    fn parts_are_above_zero_and_up_to_one() {
        let part = |json| decimal(json).unwrap().part(String::new).ok();
        // as sent, part, printed
        let table = [
            ("1", Some(WHOLE), "1"),
            (r#""1.0""#, Some(WHOLE), "1"),
            (r#""0.5""#, Some(WHOLE / 2), "0.5"),
            (r#""0.000000001""#, Some(1), "0.000000001"),
        ];
        for (json, expected, printed) in table {
            assert_eq!(part(json), expected, "{json}");
            assert_eq!(Part(expected.unwrap()).to_string(), printed);
        }
        for json in ["0", "2", r#""0.0000000001""#, r#""1.000000001""#, r#""-0.5""#, r#""half""#] {
            assert_eq!(part(json), None, "{json}");
        }
    }

    #[test]
    fn a_name_is_there_once() {
        let read = |json: &str| serde_json::from_str::<NamedDecimals>(json);
        assert_eq!(read(r#"{"pv": "1", "cv": 2}"#).unwrap().0.len(), 2);
        assert!(read(r#"{"pv": "1", "pv": "1"}"#).is_err());
    }
}
