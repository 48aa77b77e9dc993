//! JSON as described: what is described as an object must be an object, and a name must be a string.
//!
//! Structs that derive `Deserialize` also accept an array, with their fields by position, and enums also
//! accept `{"name": null}`. The description allows neither, and such a request is a mistake that would be
//! carried out. [`Strict`] stands between serde and the JSON parser and refuses both, anywhere in the
//! document. Enums have only variants without content.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};

/// A deserializer, or a seed of one, under this rule.
pub struct Strict<T>(pub T);

/// Reads one document of JSON.
///
/// # Errors
/// When it is not JSON, or not a `T`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Strict(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// Methods for values that contain no others, and for those that accept anything.
macro_rules! passed_on {
    ($($method:ident)*) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
                self.0.$method(visitor)
            }
        )*
    };
}

/// Methods for values that contain others.
macro_rules! looked_into {
    ($($method:ident($($argument:ident: $kind:ty),*))*) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(
                self, $($argument: $kind,)* visitor: V
            ) -> Result<V::Value, D::Error> {
                self.0.$method($($argument,)* Inside(visitor))
            }
        )*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    passed_on! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    looked_into! {
        deserialize_option()
        deserialize_seq()
        deserialize_map()
        deserialize_newtype_struct(name: &'static str)
        deserialize_unit_struct(name: &'static str)
        deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Object(visitor))
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_str(Name { variants, visitor })
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(deserializer))
    }
}

/// Applies the rule to nested values.
struct Inside<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Inside<V> {
    type Value = V::Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(out)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(entries))
    }
}

/// Accepts only an object.
struct Object<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Object<V> {
    type Value = V::Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<V::Value, A::Error> {
        Err(A::Error::invalid_type(Unexpected::Other("array"), &self))
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(entries))
    }
}

/// Accepts a string that names a variant.
struct Name<V> {
    variants: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Name<V> {
    type Value = V::Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "one of `{}`", self.variants.join("`, `"))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<V::Value, E> {
        self.visitor.visit_enum(name.into_deserializer())
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Outer {
        inner: Option<Inner>,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        numbers: Vec<u32>,
        #[serde(default)]
        pair: Option<(u32, Inner)>,
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Inner {
        kind: Kind,
    }

    #[derive(Deserialize, Clone, Copy, Debug, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        One,
        Two,
    }

    #[test]
    fn objects_are_objects_and_names_are_texts() {
        // document, whether serde alone would accept it, result
        let table = [
            (
                r#"{"inner":{"kind":"one"},"list":[{"kind":"two"}],"numbers":[1,2],"pair":[1,{"kind":"one"}]}"#,
                true,
                None,
            ),
            (r#"{"inner":null}"#, true, None),
            (r#"{"inner":{"k\u0069nd":"o\u006ee"}}"#, true, None),
            (r"[null,[],[],null]", true, Some("invalid type: array, expected an object")),
            (r#"{"inner":["one"]}"#, true, Some("invalid type: array, expected an object")),
            (
                r#"{"inner":{"kind":"one"},"list":[["two"]]}"#,
                true,
                Some("invalid type: array, expected an object"),
            ),
            (r#"{"pair":[1,["one"]]}"#, true, Some("invalid type: array, expected an object")),
            (r#"{"inner":{"kind":{"one":null}}}"#, true, Some("expected one of `one`, `two`")),
            (r#"{"inner":{"kind":null}}"#, false, Some("invalid type: null, expected one of `one`, `two`")),
            (
                r#"{"inner":{"kind":"three"}}"#,
                false,
                Some("unknown variant `three`, expected `one` or `two`"),
            ),
            (r#"{"inner":5}"#, false, Some("invalid type: integer `5`, expected an object")),
            (r#"{"numbers":{}}"#, false, Some("expected a sequence")),
            (r"{} {}", false, Some("trailing characters")),
        ];
        for (document, alone, said) in table {
            assert_eq!(serde_json::from_str::<Outer>(document).is_ok(), alone, "{document}");
            let found = from_slice::<Outer>(document.as_bytes());
            match (&found, said) {
                (Ok(read), None) => assert_eq!(*read, serde_json::from_str(document).unwrap(), "{document}"),
                (Err(error), Some(said)) => {
                    let text = error.to_string();
                    assert!(text.contains(said) && text.contains(" at line 1 column "), "{document}: {text}");
                }
                _ => panic!("{document}: {found:?}"),
            }
        }
    }
}
