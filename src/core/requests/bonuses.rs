//! What commands about bonuses contain.

use strum::{FromRepr, IntoStaticStr, VariantArray};

use crate::core::words::{
    all::all,
    types::{EntryStatus, MemberId, Money, Reason, Reference, Timestamp},
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TriggerBonus {
    pub source: MemberId,
    /// The trigger's name in the plan, e.g. `referral`.
    pub trigger: Box<str>,
    /// The base of percentage pay; without it only fixed amounts can be paid.
    pub amount: Option<Money>,
    /// Refuse if this source's trigger of this name was already paid with `once`.
    pub once: bool,
    /// The external name of its cause, e.g. an order.
    pub reference: Option<Reference>,
}

/// Which pending entries to pay: those that match all fields.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PayFilter {
    /// Only entries made by commands up to this LSN, and not released since: those that were pending when a
    /// list was read. (Before format 5 also those released since.)
    pub up_to_lsn: Option<u64>,
    /// Kind as printed.
    pub kind: Option<Box<str>>,
    pub receiver: Option<MemberId>,
    /// Entries of this time or later.
    pub from: Option<Timestamp>,
    /// Entries from before this time.
    pub until: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportEntry {
    pub receiver: MemberId,
    pub source: MemberId,
    /// Kind as printed: a trigger's name, `registration`, or `rank:<ordinal>`.
    pub kind: Box<str>,
    /// Distance of source and receiver; 0 for a rank reward.
    pub level: u32,
    pub amount: Money,
    pub status: EntryStatus,
    pub time: Timestamp,
    /// Its row id in the old system, by which other systems know it.
    pub row_id: Option<[u8; 16]>,
    /// The external name of its cause.
    pub reference: Option<Reference>,
    /// The ledger entry that it reverses: one of the same receiver, source, level and kind, and of the
    /// opposite amount. Negative amounts need one.
    pub reverses: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeEntry {
    pub entry: u64,
    pub change: EntryChange,
    pub reason: Reason,
}

/// The rules for changes of entries, by the format of the command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryRules {
    /// Before format 5: each entry changes alone, neither half of a reversal becomes void, and a payout does
    /// not look at when an entry was released.
    OneByOne,
    /// Since format 5: unpaid halves of a reversal change together, and a payout up to an LSN does not take
    /// what was released since.
    InPairs,
}

/// What happens to an entry that is not paid. Codes are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[derive(FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum EntryChange {
    /// No payout takes it until it is released.
    Hold = 1,
    /// It is pending again.
    Release = 2,
    /// It is never paid.
    Void = 3,
}

impl EntryChange {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The state that it leads to.
    pub fn status(self) -> EntryStatus {
        match self {
            EntryChange::Hold => EntryStatus::Held,
            EntryChange::Release => EntryStatus::Pending,
            EntryChange::Void => EntryStatus::Void,
        }
    }

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A sum of many amounts, in minor units: 96 bits hold the sum of a whole ledger.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WideMoney {
    high: i32,
    low: u64,
}

impl WideMoney {
    /// # Panics
    /// When the sum exceeds what a full ledger can hold.
    pub fn new(sum: i128) -> Self {
        let low = u64::try_from(sum & i128::from(u64::MAX)).expect("masked");
        Self { high: i32::try_from(sum >> 64).expect("2^32 amounts of 10^13"), low }
    }

    /// Reassembles [`WideMoney::parts`].
    pub fn of_parts(high: i32, low: u64) -> Self {
        Self { high, low }
    }

    /// The upper 32 bits, signed, and the lower 64.
    pub fn parts(self) -> (i32, u64) {
        (self.high, self.low)
    }

    pub fn sum(self) -> i128 {
        i128::from(self.high) << 64 | i128::from(self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_sums_come_back() {
        for sum in [
            0,
            1,
            -1,
            i128::from(u64::MAX),
            -i128::from(u64::MAX) - 1,
            (1 << 32) * i128::from(Money::MAX.0),
            -(1 << 32) * i128::from(Money::MAX.0),
        ] {
            let wide = WideMoney::new(sum);
            assert_eq!((wide.sum(), WideMoney::of_parts(wide.parts().0, wide.parts().1)), (sum, wide));
        }
    }
}
