//! Reads a document into the types of `document.rs`, whatever is wrong with it: serde names the fields and
//! their types, and a value that does not fit is reported and replaced by a harmless one, so that all faults
//! of a document are found at once.

use std::{cell::RefCell, collections::BTreeSet};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::{Error, StrDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{
    dates::DATE,
    decimal::DECIMAL,
    document::{ALL_NEEDED, OPTIONAL, PlanDocument},
    faults::{Fault, Faults},
    former,
    node::Node,
};
use crate::core::plan::Plan;

/// The notation of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Decimals are strings or numbers: the digits of both are at hand.
    Toml,
    /// Decimals are strings alone (`docs/decisions.md`, "One plan document").
    Json,
}

/// Reads a plan from its document, and validates it.
///
/// # Errors
/// All faults, at most 25, those of the notation's types first.
pub fn read(document: &Node, format: Format) -> Result<Plan, Vec<Fault>> {
    let reading = Reading { format, faults: RefCell::default() };
    let found =
        PlanDocument::deserialize(Place { node: Some(document), path: String::new(), reading: &reading });
    let mut faults = reading.faults.into_inner();
    let plan = match found {
        Ok(document) => Some(document.plan(&mut faults)),
        Err(error) => {
            faults.add("", error.to_string());
            None
        }
    };
    let faults = faults.into_vec();
    plan.filter(|_| faults.is_empty()).ok_or(faults)
}

struct Reading {
    format: Format,
    faults: RefCell<Faults>,
}

/// A value to be read; without a node, one that is not there and has been reported.
struct Place<'a> {
    node: Option<&'a Node>,
    path: String,
    reading: &'a Reading,
}

impl<'a> Place<'a> {
    /// Returns what `take` finds in the value; reports what else it is.
    fn take<T>(&self, wanted: &str, take: impl FnOnce(&'a Node) -> Option<T>) -> Option<T> {
        let node = self.node?;
        let found = take(node);
        if found.is_none() {
            let is = self.describe(node);
            self.reading.faults.borrow_mut().add(&self.path, format!("must be {wanted}, is {is}"));
        }
        found
    }

    fn describe(&self, node: &Node) -> String {
        match node {
            Node::Null => "null".into(),
            Node::Flag(flag) => flag.to_string(),
            Node::Whole(digits) | Node::Real(digits) => format!("the number {digits}"),
            Node::Text(text) => format!("the string `{text}`"),
            Node::List(_) => "an array".into(),
            Node::Table(_) => self.table().into(),
            Node::Date(date) => format!("the date {date}"),
        }
    }

    /// Returns the notation's word for a set of fields.
    fn table(&self) -> &'static str {
        match self.reading.format {
            Format::Toml => "a table",
            Format::Json => "an object",
        }
    }

    fn part(&self, node: Option<&'a Node>, name: &str) -> Place<'a> {
        let dot = if self.path.is_empty() { "" } else { "." };
        Place { node, path: format!("{}{dot}{name}", self.path), reading: self.reading }
    }

    /// Returns a whole number that fits `T`, or 0.
    fn whole<T: std::str::FromStr + Default>(&self) -> T {
        let fitting = |node: &Node| match node {
            Node::Whole(digits) => digits.parse().ok(),
            _ => None,
        };
        self.take("a whole number in range", fitting).unwrap_or_default()
    }
}

impl<'de> Deserializer<'de> for Place<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // No field of a plan is of any type, and what is unknown is not read.
        visitor.visit_unit()
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let flag = |node: &Node| if let Node::Flag(flag) = node { Some(*flag) } else { None };
        visitor.visit_bool(self.take("true or false", flag).unwrap_or_default())
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(self.whole())
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u16(self.whole())
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u32(self.whole())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.take("a string", as_text).unwrap_or_default())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == DATE {
            return visitor
                .visit_str(self.take("a date such as \"2026-07-01\"", as_date).unwrap_or_default());
        }
        debug_assert_eq!(name, DECIMAL, "no other is in a plan");
        let are_numbers_exact = self.reading.format == Format::Toml;
        let digits = if are_numbers_exact { as_digits } else { as_text };
        let wanted = if are_numbers_exact {
            "a decimal number such as \"10.00\""
        } else {
            "a decimal number as a string, such as \"10.00\""
        };
        visitor.visit_str(self.take(wanted, digits).unwrap_or("0"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node {
            None | Some(Node::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let named = |node: &Node| variants.iter().find(|name| as_text(node) == Some(**name));
        let wanted = match variants {
            [one] => format!("`{one}`"),
            [one, other] => format!("`{one}` or `{other}`"),
            more => format!("one of {}", more.join(", ")),
        };
        let name = self.take(&wanted, named).unwrap_or(&variants[0]);
        let name: StrDeserializer<'_, Error> = (*name).into_deserializer();
        visitor.visit_enum(name)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items = self.take("an array", as_list).unwrap_or_default();
        visitor.visit_seq(Items { list: &self, left: items.iter().enumerate() })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let entries = self.take(self.table(), as_table);
        visitor.visit_map(Fields {
            table: &self,
            is_there: entries.is_some(),
            entries: entries.unwrap_or_default().iter(),
            known: fields,
            needs_all: ALL_NEEDED.contains(&name),
            seen: Vec::new(),
            is_known_said: false,
            next: None,
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let entries = self.take(self.table(), as_table).unwrap_or_default();
        visitor.visit_map(Names { table: &self, entries: entries.iter(), seen: BTreeSet::new(), next: None })
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u64 u128 f32 f64 char str bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

fn as_text(node: &Node) -> Option<&str> {
    if let Node::Text(text) = node { Some(text) } else { None }
}

fn as_digits(node: &Node) -> Option<&str> {
    match node {
        Node::Text(digits) | Node::Whole(digits) | Node::Real(digits) => Some(digits),
        _ => None,
    }
}

fn as_date(node: &Node) -> Option<&str> {
    if let Node::Text(date) | Node::Date(date) = node { Some(date) } else { None }
}

fn as_list(node: &Node) -> Option<&[Node]> {
    if let Node::List(items) = node { Some(items) } else { None }
}

fn as_table(node: &Node) -> Option<&[(String, Node)]> {
    if let Node::Table(entries) = node { Some(entries) } else { None }
}

struct Items<'p, 'a> {
    list: &'p Place<'a>,
    left: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((position, node)) = self.left.next() else { return Ok(None) };
        let Place { path, reading, .. } = self.list;
        seed.deserialize(Place { node: Some(node), path: format!("{path}[{position}]"), reading }).map(Some)
    }
}

/// The fields of a table: those of the document, in its order, then those that are missing.
struct Fields<'p, 'a> {
    table: &'p Place<'a>,
    /// False for a table that is not there, whose fields are not missed.
    is_there: bool,
    entries: std::slice::Iter<'a, (String, Node)>,
    known: &'static [&'static str],
    /// Whether [`OPTIONAL`] does not hold here.
    needs_all: bool,
    seen: Vec<&'static str>,
    /// Whether a fault of this table has listed `known`: once is enough, however many keys are wrong.
    is_known_said: bool,
    next: Option<Place<'a>>,
}

impl<'a> Fields<'_, 'a> {
    fn next_field(&mut self) -> Option<(&'static str, Option<&'a Node>)> {
        let faults = &self.table.reading.faults;
        for (key, node) in self.entries.by_ref() {
            let path = self.table.part(None, key).path;
            let Some(known) = self.known.iter().find(|field| *field == key) else {
                let reason = match former::hint(key) {
                    Some(hint) => hint.to_owned(),
                    None if self.is_known_said => "is not known here".to_owned(),
                    None => {
                        self.is_known_said = true;
                        format!("is not known here (known: {})", self.known.join(", "))
                    }
                };
                faults.borrow_mut().add_unknown(&path, reason);
                continue;
            };
            if self.seen.contains(known) {
                faults.borrow_mut().add(&path, "is there twice");
                continue;
            }
            return Some((known, Some(node)));
        }
        let is_needed = |field: &&&'static str| self.needs_all || !OPTIONAL.contains(*field);
        let missing = self.known.iter().find(|field| is_needed(field) && !self.seen.contains(field));
        let missing = *missing?;
        if self.is_there {
            faults.borrow_mut().add(&self.table.part(None, missing).path, "is missing");
        }
        Some((missing, None))
    }
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((name, node)) = self.next_field() else { return Ok(None) };
        self.seen.push(name);
        self.next = Some(self.table.part(node, name));
        let name: StrDeserializer<'_, Error> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let place =
            self.next.take().ok_or_else(|| <Error as serde::de::Error>::custom("a value without a name"))?;
        seed.deserialize(place)
    }
}

/// The entries of a table with names of its own, in its order.
struct Names<'p, 'a> {
    table: &'p Place<'a>,
    entries: std::slice::Iter<'a, (String, Node)>,
    seen: BTreeSet<&'a str>,
    next: Option<Place<'a>>,
}

impl<'de> MapAccess<'de> for Names<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for (name, node) in self.entries.by_ref() {
            let place = self.table.part(Some(node), name);
            if !self.seen.insert(name) {
                place.reading.faults.borrow_mut().add(&place.path, "is there twice");
                continue;
            }
            self.next = Some(place);
            let name: StrDeserializer<'_, Error> = name.as_str().into_deserializer();
            return seed.deserialize(name).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let place =
            self.next.take().ok_or_else(|| <Error as serde::de::Error>::custom("a value without a name"))?;
        seed.deserialize(place)
    }
}
