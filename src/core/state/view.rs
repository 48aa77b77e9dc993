//! Frozen views of a state, which snapshots, exports and recounts read without a lock.

use crate::core::{
    state::parts::{State, View},
    store::column::{Freeze, Kept},
};

/// A copy of a frozen view in progress.
#[derive(Default)]
pub struct FrozenCopy(pub(in crate::core) Option<State>);

/// Pages kept for a frozen view, or replaced columns.
#[must_use = "drop it outside of the lock"]
pub struct KeptPages {
    pub(in crate::core) pages: Kept,
}

impl KeptPages {
    /// Whether there is no memory to free.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}

/// How far a copy of the frozen view got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyProgress {
    More,
    Complete,
    /// The view is gone: a plan change rebuilt its columns. Freeze again and start over.
    Lost,
}

impl State {
    /// Starts the frozen view at the present LSN, without copying anything. One at a time.
    pub fn freeze(&mut self) {
        Freeze::freeze(self);
    }

    /// Ends the frozen view. A no-op when there is none. Drop the result after releasing the lock: it is the
    /// memory of all kept pages.
    pub fn thaw(&mut self) -> KeptPages {
        let mut kept = Kept::new();
        Freeze::thaw(self, &mut kept);
        KeptPages { pages: kept }
    }

    /// Takes out the pages kept for parts already copied, to be dropped after releasing the lock. O(columns).
    pub fn release(&mut self) -> KeptPages {
        let mut kept = Kept::new();
        Freeze::release(self, &mut kept);
        KeptPages { pages: kept }
    }

    /// Copies the next part, some 64 KiB, of the frozen view. Each view can be copied once: pages already
    /// copied are no longer kept.
    pub fn copy_frozen(&self, copy: &mut FrozenCopy) -> CopyProgress {
        if self.view != View::Frozen {
            return CopyProgress::Lost;
        }
        let copy =
            copy.0.get_or_insert_with(|| Self::empty((*self.scalars.plan).clone(), self.scalars.code_key));
        if self.copy_step(copy) { CopyProgress::Complete } else { CopyProgress::More }
    }

    /// Abandons a frozen view before columns are replaced rather than changed. Its pages go to `replaced`.
    pub(in crate::core) fn lose_view(&mut self, replaced: &mut Kept) {
        if self.view == View::Frozen {
            Freeze::thaw(self, replaced);
            self.view = View::Lost;
        }
    }
}

impl FrozenCopy {
    /// The state as it was when the view was frozen.
    ///
    /// # Panics
    /// When the copy is not complete.
    pub fn into_state(self) -> State {
        let mut state = self.0.expect("a complete copy");
        state.index_copy();
        let State { ledger, members, accounts, .. } = &mut state;
        accounts.index_held(ledger.held().map(|index| {
            let entry = ledger.entry(index);
            let account = members.account(entry.receiver).expect("who received an entry has an account");
            (account, entry.amount)
        }));
        state
    }
}
