//! Errors of encoding and decoding records.

/// The longest text (trigger, kind) in a record. Valid ones are far shorter; the bound keeps records small,
/// whatever is requested.
pub const TEXT_BYTES_MAX: usize = 1_024;

/// A command that has no on-disk form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("a text of {0} bytes is over the limit of {TEXT_BYTES_MAX}")]
    TextTooLong(usize),
    #[error("a list of {0} is over the limit of 255")]
    ListTooLong(usize),
    #[error("a command without an actor has the form of format 2, which cannot say this")]
    NotBeforeFormat3,
    #[error("a command of an earlier format than 4 cannot say this")]
    NotBeforeFormat4,
    #[error("a command of an earlier format than 5 cannot say this")]
    NotBeforeFormat5,
}

/// Bytes that are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct DecodeError {
    /// Offset from the start of the decoded bytes.
    pub offset: usize,
    pub reason: &'static str,
}
