//! Outcomes as 24 bytes each: what is kept of the first answer to an idempotency key, in memory and in
//! snapshots.
//!
//! `{kind u16, small u16, middle u32, first u64, second u64}`; fields that a kind does not use are 0.

use crate::core::{
    requests::command::{Outcome, Rejection, WideMoney},
    words::types::MemberIx,
};

/// Bytes of an outcome.
pub const OUTCOME_BYTES: usize = 24;

impl Outcome {
    /// The outcome as bytes.
    pub fn to_bytes(self) -> [u8; OUTCOME_BYTES] {
        let (kind, small, middle, first, second): (u16, u16, u32, u64, u64) = match self {
            Outcome::Rejected(rejection) => (0, rejection as u16, 0, 0, 0),
            Outcome::Registered { member } => (1, 0, member.0, 0, 0),
            Outcome::BonusPaid { first_entry, entries, withheld } => {
                (2, 0, entries, first_entry, u64::from(withheld))
            }
            Outcome::EntryPaid { entry, changed } => (3, u16::from(changed), 0, entry, 0),
            Outcome::AllPaid { entries } => (4, 0, 0, entries, 0),
            Outcome::StatusSet { member, changed } => (5, u16::from(changed), member.0, 0, 0),
            Outcome::RoleSet { member, changed } => (6, u16::from(changed), member.0, 0, 0),
            Outcome::PlanActivated { version } => (7, 0, version, 0, 0),
            Outcome::EntryImported { entry } => (9, 0, 0, entry, 0),
            Outcome::Reversed { entry, reversal } => (10, 0, 0, entry, reversal),
            Outcome::EntryChanged { entry, changed } => (12, u16::from(changed), 0, entry, 0),
            Outcome::MatchingPaid { entries, amount } => {
                let (high, low) = amount.parts();
                (11, 0, entries, low, high.cast_unsigned().into())
            }
        };
        let mut out = [0; OUTCOME_BYTES];
        out[0..2].copy_from_slice(&kind.to_le_bytes());
        out[2..4].copy_from_slice(&small.to_le_bytes());
        out[4..8].copy_from_slice(&middle.to_le_bytes());
        out[8..16].copy_from_slice(&first.to_le_bytes());
        out[16..24].copy_from_slice(&second.to_le_bytes());
        out
    }

    /// The outcome of these bytes.
    ///
    /// # Errors
    /// If they are not an outcome, the offset of what is wrong, and what it is: an unknown kind or rejection,
    /// or a nonzero field that should be 0.
    pub fn of_bytes(bytes: &[u8; OUTCOME_BYTES]) -> Result<Self, (usize, &'static str)> {
        let kind = u16::from_le_bytes(part(bytes, 0));
        let small = u16::from_le_bytes(part(bytes, 2));
        let middle = u32::from_le_bytes(part(bytes, 4));
        let first = u64::from_le_bytes(part(bytes, 8));
        let second = u64::from_le_bytes(part(bytes, 16));
        let changed = small == 1;
        let member = MemberIx(middle);
        let outcome = match kind {
            0 => Outcome::Rejected(Rejection::from_repr(small).ok_or((2, "an unknown rejection"))?),
            1 => Outcome::Registered { member },
            2 => Outcome::BonusPaid {
                first_entry: first,
                entries: middle,
                withheld: u32::try_from(second).map_err(|_| (16, "too many withheld levels"))?,
            },
            3 => Outcome::EntryPaid { entry: first, changed },
            4 => Outcome::AllPaid { entries: first },
            5 => Outcome::StatusSet { member, changed },
            6 => Outcome::RoleSet { member, changed },
            7 => Outcome::PlanActivated { version: middle },
            9 => Outcome::EntryImported { entry: first },
            10 => Outcome::Reversed { entry: first, reversal: second },
            11 => {
                let high = u32::try_from(second).map_err(|_| (16, "a sum beyond 96 bits"))?;
                Outcome::MatchingPaid {
                    entries: middle,
                    amount: WideMoney::of_parts(high.cast_signed(), first),
                }
            }
            12 => Outcome::EntryChanged { entry: first, changed },
            _ => return Err((0, "an unknown kind of outcome")),
        };
        // Each outcome has one form: we did not write anything that encodes differently.
        if outcome.to_bytes() != *bytes {
            return Err((0, "an outcome with fields it does not have"));
        }
        Ok(outcome)
    }
}

fn part<const N: usize>(bytes: &[u8; OUTCOME_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|byte| bytes[at + byte])
}
