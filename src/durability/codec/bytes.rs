//! Bounds-checked reading, and the few writing helpers needed besides `extend_from_slice`.

use super::error::{DecodeError, EncodeError, TEXT_BYTES_MAX};

/// Writes a text: `u16` length and UTF-8.
#[inline]
pub(super) fn put_text(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let length = u16::try_from(text.len()).ok().filter(|length| usize::from(*length) <= TEXT_BYTES_MAX);
    let length = length.ok_or(EncodeError::TextTooLong(text.len()))?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Writes the length of a short list: `u8`.
#[inline]
pub(super) fn put_count(length: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(u8::try_from(length).map_err(|_| EncodeError::ListTooLong(length))?);
    Ok(())
}

/// Takes values off the front of a slice.
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Offset of the end of `rest` from the start of the outermost reader's input: unlike that of its start,
    /// it does not change with every value.
    end: usize,
}

impl<'a> Reader<'a> {
    /// Returns a reader of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, end: bytes.len() }
    }

    #[inline]
    fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    #[inline]
    pub(super) fn error(&self, reason: &'static str) -> DecodeError {
        DecodeError { offset: self.offset(), reason }
    }

    /// Returns an error at the byte that was just read.
    #[inline]
    pub(super) fn error_before(&self, reason: &'static str) -> DecodeError {
        DecodeError { offset: self.offset().saturating_sub(1), reason }
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.error("the bytes end too early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Returns the next `length` bytes, without consuming them.
    #[inline]
    pub(super) fn peek(&self, length: usize) -> Result<&'a [u8], DecodeError> {
        self.rest.get(..length).ok_or_else(|| self.error("the bytes end too early"))
    }

    /// Returns a reader for only the next `length` bytes.
    #[inline]
    pub(super) fn sub(&mut self, length: usize) -> Result<Reader<'a>, DecodeError> {
        let end = self.offset().saturating_add(length);
        Ok(Reader { rest: self.take(length)?, end })
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("`take` returns as many bytes as asked for"))
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(super) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Reads one byte, which must be 0 or 1: each value has one form.
    #[inline]
    pub(super) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.error_before("a flag that is neither 0 nor 1")),
        }
    }

    #[inline]
    pub(super) fn optional_i64(&mut self) -> Result<Option<i64>, DecodeError> {
        Ok(if self.flag()? { Some(self.i64()?) } else { None })
    }

    /// Reads one byte that stands for a value of a closed set.
    #[inline]
    pub(super) fn code<T>(
        &mut self,
        from_code: impl FnOnce(u8) -> Option<T>,
        reason: &'static str,
    ) -> Result<T, DecodeError> {
        let code = self.u8()?;
        from_code(code).ok_or_else(|| self.error_before(reason))
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let offset = self.offset();
        let no_text = || DecodeError { offset, reason: "no text" };
        let length = usize::from(self.u16()?);
        if TEXT_BYTES_MAX < length {
            return Err(no_text());
        }
        std::str::from_utf8(self.take(length)?).map_err(|_| no_text())
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// If something is.
    #[inline]
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error("bytes are left over")) }
    }
}

#[inline]
pub(super) fn put_optional(value: Option<i64>, out: &mut Vec<u8>) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}
