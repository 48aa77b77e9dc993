//! How reading JSON fails in Python.

/// Why a body is not a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JsonError {
    /// `JSONDecodeError`: message and offset in characters.
    Decode { message: &'static str, offset: usize },
    /// Any other exception of the decoder: text that cannot be decoded, too deep, too many digits.
    Unreadable,
}
