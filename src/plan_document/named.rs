//! Tables that a document names itself, and words of the core.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{EnumAccess, Error, MapAccess, VariantAccess, Visitor},
};
use strum::VariantNames;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

/// Tables by their names, in the order of the document: it is that of the plan.
#[derive(Clone, Debug)]
pub(super) struct Named<T>(pub Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Named<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, table)| (name, table)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Tables(PhantomData))
    }
}

struct Tables<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Tables<T> {
    type Value = Named<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("tables by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Named<T>, A::Error> {
        let mut tables = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            tables.push(entry);
        }
        Ok(Named(tables))
    }
}

/// A value of the core with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word<T>(pub T);

impl<T: Copy + Into<&'static str>> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.into())
    }
}

impl<'de, T: FromStr + VariantNames> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("Word", T::VARIANTS, ByName(PhantomData))
    }
}

struct ByName<T>(PhantomData<T>);

impl<'de, T: FromStr + VariantNames> Visitor<'de> for ByName<T> {
    type Value = Word<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a word")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Word<T>, A::Error> {
        let (name, variant) = data.variant::<String>()?;
        variant.unit_variant()?;
        name.parse().map(Word).map_err(|_| Error::unknown_variant(&name, T::VARIANTS))
    }
}

impl<T: VariantNames> PartialSchema for Word<T> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(T::VARIANTS.iter().copied())).into()
    }
}

impl<T: VariantNames> ToSchema for Word<T> {}
