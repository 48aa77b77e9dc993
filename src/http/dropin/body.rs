//! Request bodies: content type, document, fields, and the 422 items that describe what is wrong with them.

use super::{
    python::print::print_str,
    python::text::Decoded,
    python::{
        error::JsonError,
        json::{Token, Value},
    },
    uuid,
};

/// Why a request's content was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// 400: the body is not even text.
    Unparsable,
    /// 422 with these items.
    Invalid(Items),
}

/// The items of a 422 answer, printed one after the other, in declaration order of the fields.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Items(String);

/// Location of a value.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    Body,
    BodyOffset(usize),
    Field(&'a str),
    Path(&'a str),
}

impl Items {
    /// `input` prints the refused value; `context` is the name and text of the only entry of `ctx`.
    fn push(
        &mut self,
        kind: &str,
        place: Place<'_>,
        message: &str,
        input: impl FnOnce(&mut String),
        context: Option<(&str, &str)>,
    ) {
        let out = &mut self.0;
        out.push_str(if out.is_empty() { "{\"type\":\"" } else { ",{\"type\":\"" });
        out.push_str(kind);
        out.push_str("\",\"loc\":[");
        let (source, name) = match place {
            Place::Body => ("\"body\"", None),
            Place::BodyOffset(offset) => ("\"body\"", Some(offset.to_string())),
            Place::Field(name) => ("\"body\"", Some(format!("\"{name}\""))),
            Place::Path(name) => ("\"path\"", Some(format!("\"{name}\""))),
        };
        out.push_str(source);
        if let Some(name) = name {
            out.push(',');
            out.push_str(&name);
        }
        out.push_str("],\"msg\":");
        print_str(message, out);
        out.push_str(",\"input\":");
        input(out);
        if let Some((name, text)) = context {
            out.push_str(",\"ctx\":{\"");
            out.push_str(name);
            out.push_str("\":");
            print_str(text, out);
            out.push('}');
        }
        out.push('}');
    }

    /// The complete answer.
    pub fn into_json(self) -> String {
        format!("{{\"detail\":[{}]}}", self.0)
    }

    fn uuid_parsing(&mut self, place: Place<'_>, reason: &str, input: impl FnOnce(&mut String)) {
        let message = format!("Input should be a valid UUID, {reason}");
        self.push("uuid_parsing", place, &message, input, Some(("error", reason)));
    }
}

/// Reads an id in the path, already percent-decoded.
///
/// # Errors
/// The 422 that the original gives.
pub fn path_uuid(name: &str, text: &str) -> Result<[u8; 16], Refusal> {
    uuid::parse(text).map_err(|reason| {
        let mut items = Items::default();
        items.uuid_parsing(Place::Path(name), &reason, |out| print_str(text, out));
        Refusal::Invalid(items)
    })
}

/// Body of `POST /user/register` and `POST /user/root_user`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegisterBody {
    pub user_id: [u8; 16],
    pub parent_id: Option<[u8; 16]>,
}

impl RegisterBody {
    /// `none_is_null`: the original's gateway writes the text `None` where it has no parent.
    ///
    /// # Errors
    /// The original's answer to such a body.
    pub fn read(content_type: Option<&[u8]>, body: &[u8], none_is_null: bool) -> Result<Self, Refusal> {
        with_fields(content_type, body, |fields, items| {
            let user_id =
                required(fields, "user_id", items).and_then(|value| uuid_field("user_id", value, items));
            let parent = fields.get("parent_id").filter(|value| match value.token() {
                Token::Null => false,
                Token::Str(text) => !(none_is_null && text.text == "None"),
                _ => true,
            });
            let parent_id = parent.and_then(|value| uuid_field("parent_id", value, items));
            user_id.map(|user_id| Self { user_id, parent_id })
        })
    }
}

/// Body of `POST /bonus/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TriggerBody {
    pub source_user_id: [u8; 16],
    pub trigger_type: &'static str,
}

/// The triggers that the drop-in's clients know.
const TRIGGER_TYPES: [&str; 2] = ["referral", "purchase"];

impl TriggerBody {
    /// # Errors
    /// The original's answer to such a body.
    pub fn read(content_type: Option<&[u8]>, body: &[u8]) -> Result<Self, Refusal> {
        with_fields(content_type, body, |fields, items| {
            let source = required(fields, "source_user_id", items)
                .and_then(|value| uuid_field("source_user_id", value, items));
            let trigger =
                required(fields, "trigger_type", items).and_then(|value| trigger_field(value, items));
            Some(Self { source_user_id: source?, trigger_type: trigger? })
        })
    }
}

/// Reads the body as an object and passes it to `read`, whose result counts if no item was added.
fn with_fields<T>(
    content_type: Option<&[u8]>,
    body: &[u8],
    read: impl FnOnce(Value<'_>, &mut Items) -> Option<T>,
) -> Result<T, Refusal> {
    let mut items = Items::default();
    if body.is_empty() {
        items.push("missing", Place::Body, "Field required", |out| out.push_str("null"), None);
        return Err(Refusal::Invalid(items));
    }
    if !is_json(content_type) {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::Unparsable)?;
        not_an_object(&mut items, |out| print_str(text, out));
        return Err(Refusal::Invalid(items));
    }
    let decoded = Decoded::new(body).map_err(refusal)?;
    let document = decoded.scan().map_err(refusal)?;
    let root = document.root();
    match root.token() {
        Token::Null => items.push("missing", Place::Body, "Field required", |out| out.push_str("null"), None),
        Token::Dict { .. } => {
            let content = read(root, &mut items);
            if let (Some(content), true) = (content, items.0.is_empty()) {
                return Ok(content);
            }
        }
        _ => not_an_object(&mut items, |out| root.print(out)),
    }
    Err(Refusal::Invalid(items))
}

fn refusal(error: JsonError) -> Refusal {
    match error {
        JsonError::Unreadable => Refusal::Unparsable,
        JsonError::Decode { message, offset } => {
            let mut items = Items::default();
            let input = |out: &mut String| out.push_str("{}");
            items.push(
                "json_invalid",
                Place::BodyOffset(offset),
                "JSON decode error",
                input,
                Some(("error", message)),
            );
            Refusal::Invalid(items)
        }
    }
}

fn not_an_object(items: &mut Items, input: impl FnOnce(&mut String)) {
    let message = "Input should be a valid dictionary or object to extract fields from";
    items.push("model_attributes_type", Place::Body, message, input, None);
}

fn required<'d>(fields: Value<'d>, name: &str, items: &mut Items) -> Option<Value<'d>> {
    let value = fields.get(name);
    if value.is_none() {
        items.push("missing", Place::Field(name), "Field required", |out| fields.print(out), None);
    }
    value
}

fn uuid_field(name: &str, value: Value<'_>, items: &mut Items) -> Option<[u8; 16]> {
    let place = Place::Field(name);
    let input = |out: &mut String| value.print(out);
    match value.token() {
        Token::Str(text) if text.broken => not_unicode(items, place, value),
        Token::Str(text) => match uuid::parse(&text.text) {
            Ok(id) => return Some(id),
            Err(reason) => items.uuid_parsing(place, &reason, input),
        },
        _ => {
            items.push(
                "uuid_type",
                place,
                "UUID input should be a string, bytes or UUID object",
                input,
                None,
            );
        }
    }
    None
}

fn trigger_field(value: Value<'_>, items: &mut Items) -> Option<&'static str> {
    let place = Place::Field("trigger_type");
    match value.token() {
        Token::Str(text) if text.broken => not_unicode(items, place, value),
        token => {
            let known = match token {
                Token::Str(text) => TRIGGER_TYPES.into_iter().find(|name| *name == text.text),
                _ => None,
            };
            if known.is_some() {
                return known;
            }
            let expected = "'referral' or 'purchase'";
            items.push(
                "literal_error",
                place,
                "Input should be 'referral' or 'purchase'",
                |out| value.print(out),
                Some(("expected", expected)),
            );
        }
    }
    None
}

fn not_unicode(items: &mut Items, place: Place<'_>, value: Value<'_>) {
    let message = "Input should be a valid string, unable to parse raw data as a unicode string";
    items.push("string_unicode", place, message, |out| value.print(out), None);
}

/// Whether a body of this content type is read as JSON: without one, `application/json` and
/// `application/*+json`, by the rules of Python's `email.message`.
fn is_json(content_type: Option<&[u8]>) -> bool {
    let Some(value) = content_type.filter(|value| !value.is_empty()) else { return true };
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    let mut parts = essence.split(|byte| *byte == b'/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(b"application"), Some(subtype), None) => subtype == b"json" || subtype.ends_with(b"+json"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn answer_of(refusal: Refusal) -> (u64, String) {
        match refusal {
            Refusal::Unparsable => (400, "{\"detail\":\"There was an error parsing the body\"}".into()),
            Refusal::Invalid(items) => (422, items.into_json()),
        }
    }

    fn printed(id: &[u8; 16]) -> String {
        let mut out = String::new();
        uuid::print(id, &mut out);
        out
    }

    /// The fixture's stand-in for the original's answer to a register call.
    fn register(content_type: Option<&[u8]>, body: &[u8]) -> (u64, String) {
        match RegisterBody::read(content_type, body, false) {
            Ok(body) => {
                let parent =
                    body.parent_id.map_or("null".into(), |parent| format!("\"{}\"", printed(&parent)));
                (200, format!("{{\"user_id\":\"{}\",\"parent_id\":{parent}}}", printed(&body.user_id)))
            }
            Err(refusal) => answer_of(refusal),
        }
    }

    fn trigger(content_type: Option<&[u8]>, body: &[u8]) -> (u64, String) {
        match TriggerBody::read(content_type, body) {
            Ok(body) => (
                200,
                format!(
                    "{{\"source_user_id\":\"{}\",\"trigger_type\":\"{}\"}}",
                    printed(&body.source_user_id),
                    body.trigger_type
                ),
            ),
            Err(refusal) => answer_of(refusal),
        }
    }

    #[test]
    fn bodies_are_answered_as_the_original_answers_them() {
        let table = include_str!("../../../tests/fixtures/request_bodies.jsonl");
        let mut rows = 0;
        for line in table.lines() {
            let row: Vec<Json> = serde_json::from_str(line).unwrap();
            let text = |at: usize| row[at].as_str().unwrap();
            let body: Vec<u8> =
                text(3).chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
            let content_type = row[2].as_str().map(str::trim).map(str::as_bytes);
            let got = match (text(0), text(1)) {
                ("POST", "/user/register") => register(content_type, &body),
                ("POST", "/bonus/") => trigger(content_type, &body),
                _ => continue,
            };
            assert_eq!(got, (row[4].as_u64().unwrap(), text(5).to_owned()), "{line}");
            rows += 1;
        }
        assert!(500 < rows, "only {rows} rows");
    }

    #[test]
    fn a_parent_written_none_is_no_parent() {
        let body = br#"{"user_id":"00000000-0000-4000-8000-000000000001","parent_id":"None"}"#;
        assert_eq!(RegisterBody::read(None, body, true).unwrap().parent_id, None);
        assert!(RegisterBody::read(None, body, false).is_err());
    }
}
