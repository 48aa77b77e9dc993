//! Members and codes as plain rows.

use crate::core::words::types::Timestamp;

/// A member. `u32::MAX` stands for "none" in index fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberRow {
    pub id: [u8; 16],
    pub joined_at: Timestamp,
    pub sponsor: u32,
    pub parent: u32,
    pub slot: u32,
    /// Status, role, requested placement, triggers paid once: the bits of `members.rs`.
    pub flags: u32,
    pub paid_as: u16,
    pub lifetime: u16,
    /// Round-robin turn: the slot that the next spill goes to.
    pub turn: u16,
}

/// A referral code that was given, not generated. Ascending by member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeRow {
    pub member: u32,
    pub code: Box<str>,
}
