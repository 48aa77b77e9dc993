//! Frozen views of a state, which snapshots, exports, recounts and other long work read without a lock.
//!
//! Several views can be frozen at once, each at its own LSN, and each of the parts that its reader names:
//! what is not named costs neither the writer nor the copy anything. A view that is copied is an ordinary
//! `State`.

use std::fmt;

use crate::core::{
    network::part::Network,
    state::parts::{LiveView, State},
    store::{
        column::{Freeze, ViewId},
        freeing::Freeing,
        view_parts::{Part, Parts, freeze_parts},
    },
};

/// The most views of a state at once: each may cost a copy of what can change.
pub const VIEWS_MAX: usize = 8;
/// Kept pages that one release gives up at most, and those of a region: some 100 us.
const RELEASE_STEPS: usize = 16 * 1_024;

freeze_parts!(State {
    always { scalars, plans }
    parts { Ledger: ledger, Requests: requests, Orders: orders }
    within { network }
    never { views }
});

/// Each part has a field. Counts are in the trees.
const _: () = assert!(State::PARTS.and(Network::PARTS).with(Part::Counts).contains(Parts::of(&Part::ALL)));

/// There are as many frozen views as there may be: [`VIEWS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyViews;

impl fmt::Display for TooManyViews {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{VIEWS_MAX} views are frozen already")
    }
}

impl std::error::Error for TooManyViews {}

/// A copy of a frozen view in progress.
#[derive(Default)]
pub struct FrozenCopy(Option<(State, Parts)>);

/// Pages kept for a frozen view, or replaced columns.
#[must_use = "drop it outside of the lock"]
pub struct KeptPages {
    pub(in crate::core) pages: Freeing,
}

impl KeptPages {
    /// Whether there is no memory to free.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Whether nothing remains to be released.
    pub fn is_all(&self) -> bool {
        self.pages.may_go_on()
    }
}

/// How far a copy of a frozen view got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyProgress {
    More,
    Complete,
    /// The view is gone: a plan change replaced columns of it. Freeze again and start over.
    Lost,
}

impl State {
    /// Starts a frozen view of these parts at the present LSN, without copying anything. O(columns and
    /// regions).
    ///
    /// # Errors
    /// When there are [`VIEWS_MAX`] already.
    pub fn freeze(&mut self, parts: Parts) -> Result<ViewId, TooManyViews> {
        if VIEWS_MAX <= self.views.live.len() {
            return Err(TooManyViews);
        }
        self.views.newest += 1;
        let id = ViewId { number: self.views.newest, lean: !parts.has(Part::Counts) };
        self.views.live.push(LiveView { id, parts, is_lost: false });
        self.freeze_parts(id, parts);
        Ok(id)
    }

    /// The number of frozen views.
    pub fn views(&self) -> usize {
        self.views.live.len()
    }

    /// Ends a frozen view. A no-op when it has ended. Drop the result after releasing the lock: it is the
    /// memory of all pages kept for this view alone. O(columns and regions) after everything was released;
    /// else also O(pages) where an older view needs pages of this one.
    pub fn thaw(&mut self, view: ViewId) -> KeptPages {
        let mut pages = Freeing::new();
        self.thaw_parts(view, &mut pages);
        self.views.live.retain(|live| live.id != view);
        KeptPages { pages }
    }

    /// Declares that the rest of a view is not going to be copied: the writer keeps no more pages for it.
    pub fn skip(&self, view: ViewId) {
        self.skip_parts(view);
    }

    /// Takes out pages kept for what a view has copied or skipped, to be dropped after releasing the lock.
    /// O(columns and regions), and a bounded number of steps for pages that an older view needs:
    /// [`KeptPages::is_all`] says whether that was all.
    pub fn release(&mut self, view: ViewId) -> KeptPages {
        let mut pages = Freeing::within(RELEASE_STEPS);
        self.release_parts(view, &mut pages);
        KeptPages { pages }
    }

    /// Copies the next part, some 64 KiB, of a frozen view. Each view can be copied once: pages already
    /// copied are no longer kept.
    pub fn copy_frozen(&self, view: ViewId, copy: &mut FrozenCopy) -> CopyProgress {
        let Some(LiveView { parts, .. }) = self.views.find(view) else { return CopyProgress::Lost };
        let empty = || (Self::empty((**self.plan()).clone(), self.network.code_key()), *parts);
        let (copy, _) = copy.0.get_or_insert_with(empty);
        if self.copy_parts(view, *parts, copy) { CopyProgress::Complete } else { CopyProgress::More }
    }

    /// Shares with `other` the memory of immutable rows that both have: ids, join times, the ledger. `self`
    /// is usually an earlier state of the same network. Compares a region of 4 MiB at most, and each once in
    /// the life of `self`: call it until [`KeptPages::is_all`], and drop the result outside of the lock.
    pub fn share(&mut self, other: &State) -> KeptPages {
        let mut pages = Freeing::within(1);
        self.share_parts(other, &mut pages);
        KeptPages { pages }
    }

    /// Abandons the frozen views that have one of these parts, before their columns are replaced rather than
    /// changed. Their pages go to `replaced`.
    pub(in crate::core) fn lose_views(&mut self, parts: Parts, replaced: &mut Freeing) {
        let mut lost = Vec::new();
        for live in &mut self.views.live {
            if !live.is_lost && live.parts.shares_some_of(parts) {
                live.is_lost = true;
                lost.push(live.id);
            }
        }
        lost.into_iter().for_each(|view| self.thaw_parts(view, replaced));
    }
}

impl FrozenCopy {
    /// The state as it was when the view was frozen. Parts that the view does not have are empty, and its
    /// trees are not counted if it was frozen without [`Part::Counts`].
    ///
    /// # Panics
    /// When the copy is not complete.
    pub fn into_state(self) -> State {
        let (mut state, parts) = self.0.expect("a complete copy");
        state.ledger.index_copy();
        state.requests.index_copy();
        state.orders.index_copy();
        state.network.complete_copy(parts.has(Part::Slots), parts.has(Part::Counts));
        if parts.contains(Parts::of(&[Part::Members, Part::Ledger])) {
            let State { ledger, network, .. } = &mut state;
            ledger.index_held(|receiver| network.members().account(receiver));
        }
        state
    }
}
