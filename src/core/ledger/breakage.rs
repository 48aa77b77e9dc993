//! Breakage: what plans would have paid, and why nobody got it.

use strum::{IntoStaticStr, VariantArray};

use crate::core::{
    ledger::sum::Sum,
    store::held::holds_nothing,
    words::{
        all::all,
        types::{Money, Status},
    },
};

/// Why an amount was paid to nobody. Codes are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum BreakageReason {
    /// The receiver was inactive: of a level, or of the reward for a rank.
    Inactive = 0,
    /// The receiver was terminated.
    Terminated = 1,
    /// The rule pays a level on which the source has no ancestor: its upline is shorter.
    ShortUpline = 2,
    /// The receiver is an admin further above the source than admins are paid (`ADMIN_LEVELS_MAX`).
    LevelCap = 3,
}

impl BreakageReason {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The reason for which a receiver with this status gets nothing; `None` if it may earn.
    pub(in crate::core) fn of_status(status: Status) -> Option<Self> {
        match status {
            Status::Active => None,
            Status::Inactive => Some(BreakageReason::Inactive),
            Status::Terminated => Some(BreakageReason::Terminated),
        }
    }
}

/// Breakage by reason: how many levels were not paid, and what they would have been paid.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Breakage([Sum; BreakageReason::ALL.len()]);

impl Breakage {
    /// By code.
    pub fn of_parts(parts: [Sum; BreakageReason::ALL.len()]) -> Self {
        Self(parts)
    }

    pub fn of(&self, reason: BreakageReason) -> Sum {
        self.0[reason as usize]
    }

    /// The reasons that occurred, by code.
    pub fn items(&self) -> impl Iterator<Item = (BreakageReason, Sum)> + '_ {
        BreakageReason::ALL
            .into_iter()
            .map(|reason| (reason, self.of(reason)))
            .filter(|(_, sum)| sum.entries != 0)
    }

    /// Adds one level. Levels that would have been paid nothing do not count.
    pub(in crate::core) fn add(&mut self, reason: BreakageReason, amount: Money) {
        if amount != Money(0) {
            self.0[reason as usize].add(amount);
        }
    }

    pub(in crate::core) fn add_all(&mut self, other: &Breakage) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, other)| sum.add_all(other));
    }
}

holds_nothing!(Unpaid);

/// All breakage of a network.
#[derive(Clone, Copy, Default)]
pub(crate) struct Unpaid {
    /// What was not paid because the receiver may not earn: levels and their amount.
    pub levels: u64,
    pub amount: i64,
    /// The first command that was logged in format 4 or later. From there on breakage is itemized.
    pub itemized_from: Option<u64>,
    pub by_reason: Breakage,
}

impl Unpaid {
    /// Adds what was not paid because the receiver, with this status, may not earn.
    pub fn withhold(&mut self, status: Status, amount: Money) {
        self.levels += 1;
        self.amount = self.amount.saturating_add(amount.0);
        if let Some(reason) = BreakageReason::of_status(status).filter(|_| self.itemized_from.is_some()) {
            self.by_reason.add(reason, amount);
        }
    }
}
