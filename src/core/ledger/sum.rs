//! Sums of entries.

use crate::core::words::types::Money;

/// Count and amount of some entries. The amount is wider than one entry's: four billion of the largest do not
/// fit 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sum {
    pub entries: u64,
    pub amount: i128,
}

impl Sum {
    pub(in crate::core) fn add(&mut self, amount: Money) {
        self.entries += 1;
        self.amount += i128::from(amount.0);
    }

    /// Takes out an entry that was added.
    pub(in crate::core) fn take(&mut self, amount: Money) {
        self.entries -= 1;
        self.amount -= i128::from(amount.0);
    }

    /// Adds all entries of another sum.
    pub(in crate::core) fn add_all(&mut self, other: Sum) {
        self.entries += other.entries;
        self.amount += other.amount;
    }
}
