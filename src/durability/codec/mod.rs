//! Commands as bytes: the body of a log frame.
//!
//! Hand-written and little-endian, so that the format is what `snapshots/README.md` says and not what a
//! library makes of our types. A group is the concatenated records of its commands; a record is `{kind u16,
//! version u16, length u32}` and `length` bytes. LSNs are not stored: a frame holds its first, and the
//! commands of a group are consecutive.
//!
//! Decoding trusts nothing: every length is checked against what is there, every code against what exists,
//! and a record must be consumed to its last byte. No input makes it panic or allocate more than a small
//! multiple of its own size.

mod bytes;
mod commerce;
mod contents;
mod encoded;
mod error;
mod fields;
mod orders;
mod outcome;
mod plan;
mod record;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod tests;

pub(crate) use self::{bytes::Reader, record::records};
pub use self::{
    encoded::EncodedGroup,
    error::{DecodeError, EncodeError, RECORD_BYTES_MAX, TEXT_BYTES_MAX},
    outcome::{OUTCOME_BYTES, decode_outcome, encode_outcome},
    plan::{PlanForm, decode_plan, encode_plan},
    record::{decode_group, encode_group, longest_text, record_bytes, record_bytes_bound},
};
