//! Errors of encoding and decoding records.

/// The longest text (trigger, kind) in a record. Valid ones are far shorter; the bound keeps records small,
/// whatever is requested.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// Limit on bytes of a record with a plan that says nothing about orders: the largest takes about 8 KiB.
pub(super) const PLAN_BYTES_MAX: usize = 12 * 1_024;
/// Limit on bytes of a record: the largest full plan takes about 40 KiB. This and the number of commands
/// bound a group.
pub const RECORD_BYTES_MAX: usize = 48 * 1_024;

/// A command that has no on-disk form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("a text of {0} bytes is over the limit of {TEXT_BYTES_MAX}")]
    TextTooLong(usize),
    #[error("a list of {0} is over the limit of 255")]
    ListTooLong(usize),
    #[error("a command of an earlier format than {0} cannot say this")]
    NotBefore(u32),
}

/// Bytes that are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct DecodeError {
    /// Offset from the start of the decoded bytes.
    pub offset: usize,
    pub reason: &'static str,
}
