//! Request bodies as the original reads them: with the decoder of `CPython` 3.11.
//!
//! Its error messages and character offsets are part of the contract (`json_invalid`), and so is what it
//! accepts beyond the standard: `NaN` and infinities, repeated keys, lone surrogates, UTF-16 and UTF-32. The
//! rules here are those of `CPython`'s `Modules/_json.c` and `Lib/json/__init__.py`;
//! `tests/fixtures/python_json.jsonl` holds several hundred documents with what `CPython` made of them.
//!
//! A document becomes a flat list of tokens: no recursion while it is read, printed or dropped, whatever its
//! nesting.

use std::borrow::Cow;

use super::{
    error::JsonError,
    text::{Decoded, push_code_point},
};

/// Nesting depth of containers. `CPython` fails with `RecursionError` at a depth that depends on its own
/// stack, somewhat below a thousand; a body this deep can only be an attack.
pub const DEPTH_MAX: usize = 900;

/// Digits of one integer; `CPython` 3.11 refuses to convert more (`sys.int_info.default_max_str_digits`).
pub const INT_DIGITS_MAX: usize = 4_300;

/// A string of the document. Lone surrogates, which Python keeps and UTF-8 cannot hold, are replaced by
/// U+FFFD.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text<'a> {
    pub text: Cow<'a, str>,
    /// Whether a lone surrogate was replaced.
    pub broken: bool,
}

/// One step of the document in reading order. In dictionaries, a `Str` and a value alternate.
#[derive(Clone, PartialEq, Debug)]
pub enum Token<'a> {
    Null,
    Bool(bool),
    /// As written, of any size.
    Int(&'a str),
    /// `NaN` and infinities included.
    Float(f64),
    Str(Text<'a>),
    /// Position just after the matching `Close`.
    List {
        end: usize,
    },
    Dict {
        end: usize,
    },
    Close,
}

/// A document: its tokens. The first one is the value itself, or opens it.
#[derive(Debug)]
pub struct Document<'a> {
    tokens: Vec<Token<'a>>,
}

/// A value inside a document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'d> {
    tokens: &'d [Token<'d>],
    at: usize,
}

impl Decoded<'_> {
    /// `json.loads`.
    ///
    /// # Errors
    /// What Python raises.
    pub fn scan(&self) -> Result<Document<'_>, JsonError> {
        let scanner =
            Scanner { source: self, bytes: &self.bytes, at: 0, tokens: Vec::new(), open: Vec::new() };
        scanner.document().map_err(|failure| match failure {
            Failure::Decode(message, at) => JsonError::Decode { message, offset: self.characters_before(at) },
            Failure::Unreadable => JsonError::Unreadable,
        })
    }
}

/// What went wrong, and at which byte.
enum Failure {
    Decode(&'static str, usize),
    Unreadable,
}

const EXPECTING_VALUE: &str = "Expecting value";
const EXPECTING_NAME: &str = "Expecting property name enclosed in double quotes";
const EXPECTING_COLON: &str = "Expecting ':' delimiter";
const EXPECTING_COMMA: &str = "Expecting ',' delimiter";
const EXTRA_DATA: &str = "Extra data";
const UNTERMINATED: &str = "Unterminated string starting at";
const CONTROL_CHARACTER: &str = "Invalid control character at";
const INVALID_ESCAPE: &str = "Invalid \\escape";
const INVALID_UNICODE_ESCAPE: &str = "Invalid \\uXXXX escape";

/// A container that is being read.
#[derive(Clone, Copy)]
struct Open {
    token: usize,
    is_dict: bool,
}

struct Scanner<'a> {
    source: &'a Decoded<'a>,
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token<'a>>,
    open: Vec<Open>,
}

impl<'a> Scanner<'a> {
    fn document(mut self) -> Result<Document<'a>, Failure> {
        self.skip_space();
        self.value()?;
        while let Some(open) = self.open.last().copied() {
            self.skip_space();
            let closing = if open.is_dict { b'}' } else { b']' };
            match self.peek() {
                Some(byte) if byte == closing => self.close(open),
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                    if open.is_dict {
                        self.name()?;
                    }
                    self.value()?;
                }
                _ => return Err(Failure::Decode(EXPECTING_COMMA, self.at)),
            }
        }
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(Failure::Decode(EXTRA_DATA, self.at));
        }
        Ok(Document { tokens: self.tokens })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Reads values until one is complete by itself: a scalar, or an empty container. Containers with
    /// contents are left open for `document`.
    fn value(&mut self) -> Result<(), Failure> {
        loop {
            let rest = &self.bytes[self.at..];
            match rest.first() {
                Some(b'"') => {
                    let text = self.string()?;
                    self.tokens.push(Token::Str(text));
                }
                Some(b'{') => {
                    let open = self.enter(true)?;
                    if self.peek() == Some(b'}') {
                        self.close(open);
                        return Ok(());
                    }
                    self.name()?;
                    continue;
                }
                Some(b'[') => {
                    let open = self.enter(false)?;
                    if self.peek() == Some(b']') {
                        self.close(open);
                        return Ok(());
                    }
                    continue;
                }
                Some(b'n') if rest.starts_with(b"null") => self.word(Token::Null, 4),
                Some(b't') if rest.starts_with(b"true") => self.word(Token::Bool(true), 4),
                Some(b'f') if rest.starts_with(b"false") => self.word(Token::Bool(false), 5),
                Some(b'N') if rest.starts_with(b"NaN") => self.word(Token::Float(f64::NAN), 3),
                Some(b'I') if rest.starts_with(b"Infinity") => self.word(Token::Float(f64::INFINITY), 8),
                Some(b'-') if rest.starts_with(b"-Infinity") => self.word(Token::Float(f64::NEG_INFINITY), 9),
                _ => self.number()?,
            }
            return Ok(());
        }
    }

    fn word(&mut self, token: Token<'a>, length: usize) {
        self.tokens.push(token);
        self.at += length;
    }

    /// Opens a container and skips to its first character that is not space.
    fn enter(&mut self, is_dict: bool) -> Result<Open, Failure> {
        if DEPTH_MAX <= self.open.len() {
            return Err(Failure::Unreadable);
        }
        let open = Open { token: self.tokens.len(), is_dict };
        self.open.push(open);
        self.tokens.push(Token::Close);
        self.at += 1;
        self.skip_space();
        Ok(open)
    }

    fn close(&mut self, open: Open) {
        self.at += 1;
        self.open.pop();
        self.tokens.push(Token::Close);
        let end = self.tokens.len();
        self.tokens[open.token] = if open.is_dict { Token::Dict { end } } else { Token::List { end } };
    }

    /// A key, the colon, and space around it.
    fn name(&mut self) -> Result<(), Failure> {
        if self.peek() != Some(b'"') {
            return Err(Failure::Decode(EXPECTING_NAME, self.at));
        }
        let text = self.string()?;
        self.tokens.push(Token::Str(text));
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(Failure::Decode(EXPECTING_COLON, self.at));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Failure> {
        let start = self.at;
        let digits_end =
            |from: usize| from + self.bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let byte_at = |at: usize| self.bytes.get(at).copied();
        let first = start + usize::from(byte_at(start) == Some(b'-'));
        let int_end = match byte_at(first) {
            Some(b'0') => first + 1,
            Some(b'1'..=b'9') => digits_end(first),
            _ => return Err(Failure::Decode(EXPECTING_VALUE, start)),
        };
        let mut end = int_end;
        if byte_at(end) == Some(b'.') && byte_at(end + 1).is_some_and(|byte| byte.is_ascii_digit()) {
            end = digits_end(end + 1);
        }
        if matches!(byte_at(end), Some(b'e' | b'E')) {
            let exponent = end + 1 + usize::from(matches!(byte_at(end + 1), Some(b'+' | b'-')));
            let exponent_end = digits_end(exponent.min(self.bytes.len()));
            if exponent < exponent_end {
                end = exponent_end;
            }
        }
        let text =
            std::str::from_utf8(&self.bytes[start..end]).expect("digits, signs, points and `e` are ASCII");
        if end == int_end {
            if INT_DIGITS_MAX < int_end - first {
                return Err(Failure::Unreadable);
            }
            self.tokens.push(Token::Int(if text == "-0" { "0" } else { text }));
        } else {
            let float = text.parse().expect("Rust reads every float that JSON can write");
            self.tokens.push(Token::Float(float));
        }
        self.at = end;
        Ok(())
    }

    /// A string, from its opening quote to just after its closing one.
    fn string(&mut self) -> Result<Text<'a>, Failure> {
        let begin = self.at;
        let mut from = begin + 1;
        // Filled from the first escape on; until then the text is a slice of the source.
        let mut unescaped: Option<Vec<u8>> = None;
        let mut broken = false;
        loop {
            let stop = self.bytes[from..]
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
                .map(|length| from + length);
            let Some(stop) = stop else { return Err(Failure::Decode(UNTERMINATED, begin)) };
            let piece = &self.bytes[from..stop];
            match self.bytes[stop] {
                b'"' => {
                    self.at = stop + 1;
                    let bytes = match unescaped {
                        None => Cow::Borrowed(piece),
                        Some(mut bytes) => {
                            bytes.extend_from_slice(piece);
                            Cow::Owned(bytes)
                        }
                    };
                    return Ok(text_of(bytes, broken || self.source.has_surrogates));
                }
                b'\\' => {
                    let bytes = unescaped.get_or_insert_default();
                    bytes.extend_from_slice(piece);
                    let (unit, end) = escape(self.bytes, begin, stop + 1)?;
                    broken |=
                        push_code_point(bytes, unit).expect("escapes are 16 bit units or pairs of them");
                    from = end;
                }
                _ => return Err(Failure::Decode(CONTROL_CHARACTER, stop)),
            }
        }
    }
}

/// Decodes the escape whose character after the backslash is at `at`; returns its value, and where it ends.
fn escape(bytes: &[u8], begin: usize, at: usize) -> Result<(u32, usize), Failure> {
    let simple = match bytes.get(at) {
        None => return Err(Failure::Decode(UNTERMINATED, begin)),
        Some(b'u') => {
            let high = hex_unit(bytes, at)?;
            let end = at + 5;
            // CPython reads the second half only where one more character follows it.
            let pair_follows = end + 6 < bytes.len() && bytes[end..].starts_with(b"\\u");
            if (0xd800..0xdc00).contains(&high) && pair_follows {
                let low = hex_unit(bytes, end + 1)?;
                if (0xdc00..0xe000).contains(&low) {
                    return Ok((0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), end + 6));
                }
            }
            return Ok((high, end));
        }
        Some(plain @ (b'"' | b'\\' | b'/')) => *plain,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(_) => return Err(Failure::Decode(INVALID_ESCAPE, at - 1)),
    };
    Ok((u32::from(simple), at + 1))
}

/// Four hexadecimal digits after the `u` at `at`, with at least one character after them.
fn hex_unit(bytes: &[u8], at: usize) -> Result<u32, Failure> {
    let invalid = Failure::Decode(INVALID_UNICODE_ESCAPE, at);
    if bytes.len() <= at + 5 {
        return Err(invalid);
    }
    let digit = |unit: u32, byte: &u8| Some(unit << 4 | char::from(*byte).to_digit(16)?);
    bytes[at + 1..at + 5].iter().try_fold(0, digit).ok_or(invalid)
}

/// Bytes as text; `suspicious` when they may contain surrogates.
fn text_of(bytes: Cow<'_, [u8]>, suspicious: bool) -> Text<'_> {
    if !suspicious {
        let text = match bytes {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|error| error.utf8_error()),
        };
        return Text {
            text: text.expect("the source was checked, escapes make whole characters"),
            broken: false,
        };
    }
    let mut text = String::with_capacity(bytes.len());
    let mut broken = false;
    let mut rest = &*bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                return Text { text: Cow::Owned(text), broken };
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                text.push(char::REPLACEMENT_CHARACTER);
                broken = true;
                // Whatever is not UTF-8 here is a surrogate of three bytes.
                rest = after.get(3..).unwrap_or_default();
            }
        }
    }
}

impl Document<'_> {
    pub fn root(&self) -> Value<'_> {
        Value { tokens: &self.tokens, at: 0 }
    }
}

impl<'d> Value<'d> {
    pub fn token(&self) -> &'d Token<'d> {
        &self.tokens[self.at]
    }

    pub fn is_dict(&self) -> bool {
        matches!(self.token(), Token::Dict { .. })
    }

    /// Position just after this value.
    fn end(&self) -> usize {
        match self.token() {
            Token::List { end } | Token::Dict { end } => *end,
            _ => self.at + 1,
        }
    }

    /// The value of a key in a dictionary, the last one if the key is repeated. `None` if this is no
    /// dictionary.
    pub fn get(&self, key: &str) -> Option<Value<'d>> {
        self.entries().filter(|(name, _)| !name.broken && name.text == key).last().map(|(_, value)| value)
    }

    /// The values of a list; empty if this is no list.
    pub(super) fn items(&self) -> impl Iterator<Item = Value<'d>> + use<'d> {
        let tokens = self.tokens;
        let (mut at, close) = match self.token() {
            Token::List { end } => (self.at + 1, end - 1),
            _ => (0, 0),
        };
        std::iter::from_fn(move || {
            let item = (at < close).then_some(Value { tokens, at })?;
            at = item.end();
            Some(item)
        })
    }

    /// Keys and values as written, including repeats; empty if this is no dictionary.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'d Text<'d>, Value<'d>)> + use<'d> {
        let tokens = self.tokens;
        let mut at = if self.is_dict() { self.at + 1 } else { usize::MAX };
        std::iter::from_fn(move || {
            let Some(Token::Str(name)) = tokens.get(at) else { return None };
            let value = Value { tokens, at: at + 1 };
            at = value.end();
            Some((name, value))
        })
    }

    /// Entries as a Python dictionary holds them: each key once, at its first position, with its last value.
    pub(super) fn distinct_entries(&self) -> Vec<(&'d Text<'d>, Value<'d>)> {
        let mut positions = std::collections::HashMap::new();
        let mut distinct: Vec<(&Text, Value)> = Vec::new();
        for (name, value) in self.entries() {
            let position = *positions.entry(&*name.text).or_insert(distinct.len());
            match distinct.get_mut(position) {
                Some(entry) => entry.1 = value,
                None => distinct.push((name, value)),
            }
        }
        distinct
    }
}

#[cfg(test)]
#[path = "json_test.rs"]
mod tests;
