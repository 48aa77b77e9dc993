//! The ledger as a part of the state: all that is known of bonuses, with the only functions that change it.
//!
//! Commands that change entries are judged and applied in `changes.rs`. Who is paid, and how much, is decided
//! above (`state/bonus.rs`), where the trees are; accounts are named by members, so their numbers are
//! arguments here.

use std::sync::Arc;

use crate::core::{
    ledger::{
        accounts::Accounts,
        breakage::{Breakage, Unpaid},
        entries::Entries,
        kinds::Kinds,
        lists::Lists,
        once::{ONCE_ROWS_MAX, OnceRow},
        references::References,
        released::Released,
        reversals::{ReversalRow, Reversals},
        row_ids::{CarriedIds, RowIdRow},
        rows::{EntryRow, TriggerRow},
    },
    requests::command::Rejection,
    store::{
        column::{Scalar, freeze_fields},
        rows::Rows,
        sums::FreshSum,
    },
    words::{
        row_kind::RowKind,
        types::{MemberIx, Money, Reference, Status, Timestamp},
    },
};

pub(crate) struct Ledger {
    pub(super) entries: Entries,
    pub(super) accounts: Accounts,
    pub(super) lists: Lists,
    /// Trigger names ever in a plan or imported.
    kinds: Scalar<Arc<Kinds>>,
    unpaid: Scalar<Unpaid>,
}

freeze_fields!(Ledger { entries, accounts, lists, kinds, unpaid });

/// An entry that was added, and the account of its receiver.
#[derive(Clone, Copy)]
pub(crate) struct Posted {
    pub entry: u32,
    pub account: u32,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            entries: Entries::new(),
            accounts: Accounts::new(),
            lists: Lists::new(),
            kinds: Scalar::new(Arc::default()),
            unpaid: Scalar::new(Unpaid::default()),
        }
    }

    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub fn reversals(&self) -> &Reversals {
        &self.lists.reversals
    }

    pub fn released(&self) -> &Released {
        &self.lists.released
    }

    pub fn references(&self) -> &References {
        &self.lists.references
    }

    pub fn row_ids(&self) -> &CarriedIds {
        &self.lists.row_ids
    }

    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// What was paid to nobody.
    pub fn unpaid(&self) -> &Unpaid {
        &self.unpaid
    }

    /// The reference behind an entry. O(log references).
    pub fn reference_of(&self, entry: u64) -> Option<Reference> {
        self.lists.references.of(self.entries.trigger_of(entry))
    }

    /// The last trigger of a reference before a list position. O(log references).
    pub fn referred_before(&self, reference: &Reference, place: (Timestamp, u32)) -> Option<u32> {
        self.lists.references.before(reference, place, |trigger| self.entries.trigger_key(trigger).0)
    }

    /// Starts a group of entries. At least one [`Ledger::post`] must follow.
    pub fn begin(&mut self, trigger: TriggerRow) {
        self.entries.begin(trigger);
    }

    /// Adds an entry to the group begun last. `account` is that of its receiver, if it has one; else one is
    /// opened.
    pub fn post(&mut self, row: EntryRow, account: Option<u32>) -> Posted {
        let account = account.unwrap_or_else(|| self.accounts.open());
        let entry = self.accounts.receive(account, row, |newest| self.entries.push(row, newest));
        Posted { entry, account }
    }

    /// Stores the reference of the group begun last.
    pub fn refer(&mut self, reference: Option<&Reference>) {
        let Some(reference) = reference else { return };
        let newest = u32::try_from(self.entries.triggers() - 1).expect("limited by ENTRIES_MAX");
        let entries = &self.entries;
        self.lists.references.push(newest, reference, |trigger| entries.trigger_key(trigger).0);
        self.entries.entries_of_trigger(newest).for_each(|entry| self.entries.touch(entry));
    }

    /// Records that the newest entry reverses another one.
    pub fn keep_reversal(&mut self, entry: u32, reverses: u64) {
        let reverses = u32::try_from(reverses).expect("limited by ENTRIES_MAX");
        self.lists.reversals.push(ReversalRow { entry, reverses });
        self.entries.touch(entry.into());
    }

    /// Keeps a sum of the hashes of entries.
    pub fn keep_sum(&mut self, fresh: &FreshSum) {
        self.entries.keep_sum(fresh);
    }

    /// Numbers a trigger name that has no number. Room was checked before.
    pub fn add_kind(&mut self, name: &str) -> u16 {
        Arc::make_mut(&mut self.kinds).add(name)
    }

    /// Replaces the numbers of trigger names: in a ledger without entries.
    pub fn set_kinds(&mut self, kinds: Kinds) {
        *self.kinds = Arc::new(kinds);
    }

    /// Whether a trigger of this name was paid with `once`, of those that have no flag of the member. O(1).
    pub fn paid_once(&self, source: MemberIx, kind: u16) -> bool {
        self.lists.once.contains(source, kind)
    }

    /// The triggers that [`Ledger::paid_once`] tells of, in the order in which they were paid.
    pub fn once(&self) -> impl Iterator<Item = OnceRow> + '_ {
        (0..self.lists.once.len()).map(|at| self.lists.once.row_at(at))
    }

    /// Records what [`Ledger::paid_once`] tells.
    pub fn set_paid_once(&mut self, source: MemberIx, kind: u16) {
        self.lists.once.push(OnceRow { member: source.0, kind });
    }

    /// Whether there is room for one more [`Ledger::set_paid_once`].
    pub fn has_room_for_once(&self) -> bool {
        self.lists.once.len() < ONCE_ROWS_MAX
    }

    /// An imported row id must be new.
    pub fn judge_row_id(&self, id: Option<[u8; 16]>) -> Result<(), Rejection> {
        match id.and_then(|id| self.lists.row_ids.row_of(&id)) {
            Some(_) => Err(Rejection::RowIdTaken),
            None => Ok(()),
        }
    }

    /// Records the imported id of the newest row of a kind.
    pub fn keep_row_id(&mut self, kind: RowKind, index: u32, id: Option<[u8; 16]>) {
        if let Some(id) = id {
            self.lists.row_ids.push(RowIdRow { id, kind, index });
        }
    }

    /// From this command on breakage is itemized, unless it is already.
    pub fn itemize_from(&mut self, lsn: u64) {
        self.unpaid.itemized_from.get_or_insert(lsn);
    }

    /// Replaces what was paid to nobody: by that of an image, or as it was before [`Ledger::itemize_from`].
    pub fn set_unpaid(&mut self, unpaid: Unpaid) {
        *self.unpaid = unpaid;
    }

    /// Adds what was not paid because the receiver, with this status, may not earn.
    pub fn withhold(&mut self, status: Status, amount: Money) {
        self.unpaid.withhold(status, amount);
    }

    /// Adds what reached nobody.
    pub fn add_unreached(&mut self, unreached: &Breakage) {
        self.unpaid.by_reason.add_all(unreached);
    }

    /// From here on late entries are ordered only by [`Ledger::order`]: for bulk loading.
    pub fn defer_order(&mut self) {
        self.entries.defer_order();
    }

    /// Orders late entries, and restored references. O(n log n) for n of them.
    pub fn order(&mut self) {
        self.entries.order_late();
        let entries = &self.entries;
        self.lists.references.order(|trigger| entries.trigger_key(trigger).0);
    }

    /// Adds up the held amounts of each account in a copy. `account_of` returns the number of a member's
    /// account.
    pub fn index_held(&mut self, account_of: impl Fn(MemberIx) -> Option<u32>) {
        let entries = &self.entries;
        self.accounts.index_held(entries.held().map(|index| {
            let entry = entries.entry(index);
            let account = account_of(entry.receiver).expect("who received an entry has an account");
            (account, entry.amount)
        }));
    }

    /// Corrupts entries, for a test of the audit.
    #[cfg(test)]
    pub fn entries_mut(&mut self) -> &mut Entries {
        &mut self.entries
    }

    /// Corrupts accounts, likewise.
    #[cfg(test)]
    pub fn accounts_mut(&mut self) -> &mut Accounts {
        &mut self.accounts
    }
}
