//! Frozen views, made alongside the writer and each other.
//!
//! A view copies the parts that its reader names, in short steps, and several are made at once: a run, a
//! what-if and a snapshot do not wait for each other. Beyond [`limits::FROZEN_VIEWS_MAX`] the next one waits.
//! A view that is held, or being made, is shared with all who need the same moment and no other parts.

use std::sync::Arc;

use super::{limits, shared::Shared, view_desk::Making};
use crate::core::state::{CopyProgress, FrozenCopy, Parts, State, ViewId};

enum Begun<'a> {
    Made(Arc<State>),
    Making(Frozen<'a>),
    GivenUp,
}

/// The result of a copy.
enum Copied {
    Whole(Box<State>),
    /// A plan change took the view away.
    Lost,
    GivenUp,
}

impl Shared {
    /// An owned copy of these parts of the state at one LSN, made in short steps alongside the writer. See
    /// `Engine::frozen_view`.
    pub fn frozen_view(&self, parts: Parts) -> Arc<State> {
        self.frozen_view_unless(parts, &mut || true).expect("nobody gives it up")
    }

    /// As `frozen_view`; `goes_on` is asked before each step of the copy and while waiting, with no lock
    /// held. `None` when it said no.
    pub fn frozen_view_unless(&self, parts: Parts, goes_on: &mut dyn FnMut() -> bool) -> Option<Arc<State>> {
        // A plan change may take a view away while it is copied; the next try sees the network under the new
        // plan.
        loop {
            let frozen = match self.begin_view(parts, true, goes_on) {
                Begun::Made(view) => return Some(view),
                Begun::Making(frozen) => frozen,
                Begun::GivenUp => return None,
            };
            match frozen.copy(goes_on) {
                Copied::Whole(view) => {
                    let view = Arc::new(*view);
                    let mut desk = self.views.desk.lock();
                    desk.made.retain(|(made, other)| *made != parts && other.strong_count() != 0);
                    desk.made.push((parts, Arc::downgrade(&view)));
                    return Some(view);
                }
                Copied::Lost => {}
                Copied::GivenUp => return None,
            }
        }
    }

    /// As `frozen_view`, not shared. `None` when the engine stops.
    pub fn frozen_copy(&self, parts: Parts) -> Option<State> {
        let goes_on = &mut || !self.is_stopping();
        loop {
            let Begun::Making(frozen) = self.begin_view(parts, false, goes_on) else { return None };
            match frozen.copy(goes_on) {
                Copied::Whole(copy) => return Some(*copy),
                Copied::Lost => {}
                Copied::GivenUp => return None,
            }
        }
    }

    /// Freezes a view, or finds one to share. Waits while too many are being made, or one to share is.
    fn begin_view(&self, parts: Parts, is_shared: bool, goes_on: &mut dyn FnMut() -> bool) -> Begun<'_> {
        self.assert_not_reading();
        loop {
            let mut desk = self.views.desk.lock();
            let lsn = self.state.read().lsn();
            if is_shared && let Some(view) = desk.made_at(lsn, parts) {
                return Begun::Made(view);
            }
            let waits = is_shared && desk.is_making(lsn, parts);
            if !waits && desk.making.len() < limits::FROZEN_VIEWS_MAX {
                let mut state = self.state.write();
                let view = state.freeze(parts).expect("the core takes as many as this layer");
                desk.making.push(Making { view, lsn: state.lsn(), parts, is_shared });
                return Begun::Making(Frozen { shared: self, view });
            }
            self.views.changed.wait_for(&mut desk, limits::TICK);
            drop(desk);
            if !goes_on() {
                return Begun::GivenUp;
            }
        }
    }
}

/// A view being copied. Ends it on every exit path: a leaked view would slow down all later writes.
struct Frozen<'a> {
    shared: &'a Shared,
    view: ViewId,
}

impl Frozen<'_> {
    fn copy(&self, goes_on: &mut dyn FnMut() -> bool) -> Copied {
        let mut copy = FrozenCopy::default();
        for step in 1_usize.. {
            if !goes_on() {
                break;
            }
            let progress = self.shared.state.read().copy_frozen(self.view, &mut copy);
            if step.is_multiple_of(limits::RELEASE_EVERY_STEPS) {
                let kept = self.shared.state.write().release(self.view);
                drop(kept);
            }
            match progress {
                CopyProgress::More => {}
                CopyProgress::Complete => return Copied::Whole(Box::new(copy.into_state())),
                CopyProgress::Lost => return Copied::Lost,
            }
        }
        Copied::GivenUp
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let state = &self.shared.state;
        state.read().skip(self.view);
        // An older view may need pages of this one: these change hands in short steps.
        loop {
            let kept = state.write().release(self.view);
            let is_all = kept.is_all();
            drop(kept);
            if is_all {
                break;
            }
        }
        let kept = state.write().thaw(self.view);
        drop(kept);
        self.shared.views.desk.lock().making.retain(|one| one.view != self.view);
        self.shared.views.changed.notify_all();
    }
}

const _: () = assert!(
    limits::FROZEN_VIEWS_MAX <= crate::core::state::VIEWS_MAX,
    "the core takes as many views as the engine makes at once"
);
