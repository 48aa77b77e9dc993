//! Accounts: the balance and the newest entry of each member that ever received an entry.
//!
//! Numbered in order of the first entry; members refer to theirs by number, so a member without entries costs
//! nothing here. Balances are derived from the entries: images omit them.
//!
//! Paying all pending entries must not visit every account. It starts a new *round*: the pending amount of an
//! account that was last written in an earlier round counts as paid.

use std::collections::HashMap;

use bytemuck::{Pod, Zeroable};

use crate::core::{
    ledger::rows::EntryRow,
    store::column::{Column, Scalar, freeze_fields},
    words::types::{EntryStatus, Money, NONE},
};

/// Sums of one member's entries by state, in minor units. Void entries are in none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Balance {
    /// Owed: what the next payout takes. Negative when more was taken back than is owed.
    pub pending: i128,
    /// Owed, but not taken by a payout until released.
    pub held: i128,
    pub paid: i128,
}

/// A signed sum of 96 bits, which hold the sum of a whole ledger, aligned to four bytes.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Wide([u32; 3]);

impl Wide {
    const ZERO: Wide = Wide([0; 3]);

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "splits the low 96 bits")]
    fn of(sum: i128) -> Self {
        debug_assert!((-(1_i128 << 95)..1_i128 << 95).contains(&sum), "2^32 amounts of 10^13");
        let sum = sum.cast_unsigned();
        Self([sum as u32, (sum >> 32) as u32, (sum >> 64) as u32])
    }

    #[inline]
    fn get(self) -> i128 {
        let [low, middle, high] = self.0;
        i128::from(high.cast_signed()) << 64 | i128::from(middle) << 32 | i128::from(low)
    }
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Account {
    pending: Wide,
    paid: Wide,
    /// The newest entry that is not late, `NONE` if there is none.
    newest: u32,
    round: u32,
}

const _: () = assert!(size_of::<Account>() == 32);

impl Account {
    /// Writes down that what was pending in an earlier round is paid.
    #[inline]
    fn enter(&mut self, round: u32) {
        if self.round != round {
            self.paid = Wide::of(self.paid.get() + self.pending.get());
            (self.pending, self.round) = (Wide::ZERO, round);
        }
    }

    /// Adds an amount to the sum of a state. Held amounts are not in the row, void ones nowhere.
    #[inline]
    fn add(&mut self, round: u32, status: EntryStatus, amount: i128) {
        self.enter(round);
        let sum = match status {
            EntryStatus::Pending => &mut self.pending,
            EntryStatus::Paid => &mut self.paid,
            EntryStatus::Held | EntryStatus::Void => return,
        };
        *sum = Wide::of(sum.get() + amount);
    }
}

pub(crate) struct Accounts {
    rows: Column<Account>,
    round: Scalar<u32>,
    /// Held amounts of the few accounts that have any. Not in copies: `FrozenCopy::into_state` adds them up
    /// from the entries.
    held: HashMap<u32, i128>,
}

freeze_fields!(Accounts { rows, round } cached { held });

impl Accounts {
    pub fn new() -> Self {
        Self { rows: Column::new(), round: Scalar::new(0), held: HashMap::new() }
    }

    /// Opens an account; returns its number.
    pub fn open(&mut self) -> u32 {
        let number = u32::try_from(self.rows.len()).expect("at most as many as members");
        self.rows.push(Account { pending: Wide::ZERO, paid: Wide::ZERO, newest: NONE, round: *self.round });
        number
    }

    pub fn newest(&self, account: u32) -> Option<u32> {
        let newest = self.rows.get(account as usize).newest;
        (newest != NONE).then_some(newest)
    }

    /// Reads an account for prefetching. The result is meaningless.
    pub fn prefetch(&self, account: u32) -> u32 {
        self.rows.get(account as usize).round
    }

    /// Adds an entry to the account of its receiver, in one look at the row. `push` appends it to the ledger
    /// and replaces the newest entry, unless the new one is late. Returns what it returns. O(1).
    pub fn receive(
        &mut self,
        account: u32,
        entry: EntryRow,
        push: impl FnOnce(&mut Option<u32>) -> u32,
    ) -> u32 {
        let round = *self.round;
        let row = self.rows.get_mut(account as usize);
        let mut newest = (row.newest != NONE).then_some(row.newest);
        let index = push(&mut newest);
        row.newest = newest.unwrap_or(NONE);
        row.add(round, entry.status, entry.amount.into());
        if entry.status == EntryStatus::Held {
            self.hold(account, entry.amount.into());
        }
        index
    }

    /// O(1).
    pub fn balance(&self, account: u32) -> Balance {
        let row = self.rows.get(account as usize);
        let (pending, paid) = (row.pending.get(), row.paid.get());
        let held = self.held.get(&account).copied().unwrap_or_default();
        if row.round == *self.round {
            Balance { pending, held, paid }
        } else {
            Balance { pending: 0, held, paid: paid + pending }
        }
    }

    /// Adds an amount to the sum of a state, or takes a negative one from it. O(1).
    pub fn add(&mut self, account: u32, status: EntryStatus, amount: i128) {
        match status {
            EntryStatus::Void => {}
            EntryStatus::Held => self.hold(account, amount),
            EntryStatus::Pending | EntryStatus::Paid => {
                self.rows.get_mut(account as usize).add(*self.round, status, amount);
            }
        }
    }

    fn hold(&mut self, account: u32, amount: i128) {
        let held = self.held.entry(account).or_default();
        *held += amount;
        if *held == 0 {
            self.held.remove(&account);
        }
    }

    /// Moves an entry's amount from one state to another. O(1).
    pub fn shift(&mut self, account: u32, from: EntryStatus, to: EntryStatus, amount: Money) {
        self.add(account, from, -i128::from(amount.0));
        self.add(account, to, i128::from(amount.0));
    }

    /// Makes everything pending paid. O(1), but O(accounts) once in four billion times.
    pub fn pay_all(&mut self) {
        if let Some(next) = self.round.checked_add(1) {
            *self.round = next;
            return;
        }
        for account in 0..self.rows.len() {
            let row = self.rows.get_mut(account);
            row.enter(*self.round);
            row.enter(0);
        }
        *self.round = 0;
    }

    /// Adds the held amounts of a frozen copy.
    pub fn index_held(&mut self, held: impl Iterator<Item = (u32, Money)>) {
        self.held.clear();
        held.for_each(|(account, amount)| self.add(account, EntryStatus::Held, i128::from(amount.0)));
    }

    /// Bytes held, the map estimated by its capacity.
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.held.capacity() * (4 + 16 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_sums_come_back() {
        for sum in [0, 1, -1, 1 << 32, -(1 << 32), 1 << 64, -(1 << 64), (1 << 95) - 1, -(1 << 95)] {
            assert_eq!(Wide::of(sum).get(), sum);
        }
    }

    #[test]
    fn balances_are_sums_whatever_is_paid_at_once() {
        let mut accounts = Accounts::new();
        let (mut expected, mut random) = (vec![Balance::default(); 10], 1_u64);
        (0..10).for_each(|number| assert_eq!(accounts.open(), number));
        *accounts.round = u32::MAX - 20;
        for _ in 0..2_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let account = random >> 33 & 7;
            let number = u32::try_from(account).unwrap();
            let balance = &mut expected[number as usize];
            match random >> 40 & 31 {
                0 => {
                    accounts.pay_all();
                    for balance in &mut expected {
                        balance.paid += std::mem::take(&mut balance.pending);
                    }
                }
                1..8 => {
                    balance.held += 5;
                    accounts.add(number, EntryStatus::Held, 5);
                }
                8..12 => {
                    balance.held -= 5;
                    balance.pending += 5;
                    accounts.shift(number, EntryStatus::Held, EntryStatus::Pending, Money(5));
                }
                12 => accounts.add(number, EntryStatus::Void, 7),
                _ => {
                    balance.pending -= 3;
                    accounts.add(number, EntryStatus::Pending, -3);
                }
            }
            for (number, expected) in expected.iter().enumerate() {
                assert_eq!(accounts.balance(u32::try_from(number).unwrap()), *expected);
            }
        }
        assert!(*accounts.round < 100, "the rounds began again");
    }
}
