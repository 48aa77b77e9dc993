//! Decodes request bytes to text, as Python's `json.loads` does.

use std::borrow::Cow;

use super::error::JsonError;

/// Bytes as UTF-8, except that lone surrogates may occur (as three bytes each), whatever the source encoding.
pub struct Decoded<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) has_surrogates: bool,
}

impl<'a> Decoded<'a> {
    /// `json.detect_encoding`, then `bytes.decode(..., "surrogatepass")`.
    ///
    /// # Errors
    /// [`JsonError::Unreadable`] where Python raises `UnicodeDecodeError`.
    pub fn new(body: &'a [u8]) -> Result<Self, JsonError> {
        if let Some(rest) = body.strip_prefix(&[0, 0, 0xfe, 0xff]) {
            return Self::from_units(utf32_units(rest, u32::from_be_bytes));
        }
        if let Some(rest) = body.strip_prefix(&[0xff, 0xfe, 0, 0]) {
            return Self::from_units(utf32_units(rest, u32::from_le_bytes));
        }
        if let Some(rest) = body.strip_prefix(&[0xfe, 0xff]) {
            return Self::from_units(utf16_units(rest, u16::from_be_bytes));
        }
        if let Some(rest) = body.strip_prefix(&[0xff, 0xfe]) {
            return Self::from_units(utf16_units(rest, u16::from_le_bytes));
        }
        if let Some(rest) = body.strip_prefix(&[0xef, 0xbb, 0xbf]) {
            return Self::from_utf8(rest);
        }
        match body {
            [0, 0, _, _, ..] => Self::from_units(utf32_units(body, u32::from_be_bytes)),
            [0, _, _, _, ..] | [0, _] => Self::from_units(utf16_units(body, u16::from_be_bytes)),
            [_, 0, 0, 0, ..] => Self::from_units(utf32_units(body, u32::from_le_bytes)),
            [_, 0, _, _, ..] | [_, 0] => Self::from_units(utf16_units(body, u16::from_le_bytes)),
            _ => Self::from_utf8(body),
        }
    }

    fn from_utf8(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let mut rest = bytes;
        let mut has_surrogates = false;
        while let Err(error) = std::str::from_utf8(rest) {
            rest = match &rest[error.valid_up_to()..] {
                [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => after,
                _ => return Err(JsonError::Unreadable),
            };
            has_surrogates = true;
        }
        Ok(Self { bytes: Cow::Borrowed(bytes), has_surrogates })
    }

    fn from_units(units: Option<Vec<u32>>) -> Result<Self, JsonError> {
        let units = units.ok_or(JsonError::Unreadable)?;
        let mut bytes = Vec::with_capacity(units.len());
        let mut has_surrogates = false;
        for unit in units {
            has_surrogates |= push_code_point(&mut bytes, unit).ok_or(JsonError::Unreadable)?;
        }
        Ok(Self { bytes: Cow::Owned(bytes), has_surrogates })
    }

    /// Characters before a byte position, as Python counts them.
    pub(super) fn characters_before(&self, at: usize) -> usize {
        self.bytes[..at].iter().filter(|byte| !(0x80..0xc0).contains(*byte)).count()
    }
}

fn utf16_units(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Option<Vec<u32>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let decoded = char::decode_utf16(pairs.iter().map(|pair| read(*pair)));
    Some(
        decoded
            .map(|unit| unit.map_or_else(|lone| u32::from(lone.unpaired_surrogate()), u32::from))
            .collect(),
    )
}

fn utf32_units(bytes: &[u8], read: fn([u8; 4]) -> u32) -> Option<Vec<u32>> {
    let (quads, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| quads.iter().map(|quad| read(*quad)).collect())
}

/// Appends a code point, surrogates as three bytes. `Some(true)` for a surrogate, `None` beyond Unicode.
pub(super) fn push_code_point(bytes: &mut Vec<u8>, unit: u32) -> Option<bool> {
    if let Some(character) = char::from_u32(unit) {
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        return Some(false);
    }
    let unit = u16::try_from(unit).ok()?;
    let [high, low] = unit.to_be_bytes();
    bytes.extend_from_slice(&[0xed, 0x80 | ((high & 0x0f) << 2) | (low >> 6), 0x80 | (low & 0x3f)]);
    Some(true)
}
