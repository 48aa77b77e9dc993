//! Long passes that let other threads run now and then.
//!
//! A scheduler lets a thread that computes run on for milliseconds before another one that woke up gets its
//! turn. On Linux that is until its slice is used up, which many machines look at 250 times a second: while a
//! past state was rebuilt on a core, signups there waited for up to 5 ms, at any priority. So a pass in the
//! background offers its core after each stride. Its caller says what comes of an offer ([`in_background`]):
//! the core has no clock, and strides differ in time.
//!
//! [`in_background`]: crate::core::store::parallel::in_background
//!
//! Only the rebuild of a past state is such a pass, so only what a restore runs counts its steps. All other
//! passes run on without a pause.

use std::cell::Cell;

/// Steps between two offers. A step of a pass takes 20 ns to 1 us, and with new memory some more, so a stride
/// takes less than 0.1 ms.
const STRIDE: u32 = 64;

thread_local! {
    /// What passes on this thread do to pause.
    static PAUSE: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// From now on passes on this thread pause so.
pub(super) fn pause_by(pause: fn()) {
    PAUSE.set(Some(pause));
}

/// Lets other threads run, if this one works in the background.
#[inline]
pub(crate) fn give_way() {
    if let Some(pause) = PAUSE.get() {
        pause();
    }
}

/// An iterator that pauses after each stride.
pub(crate) struct Paced<I> {
    steps: I,
    stride: u32,
    left: u32,
}

/// [`Paced`] for any iterator.
pub(crate) trait Pace: Iterator + Sized {
    /// The same items. For passes over all members or entries.
    #[inline]
    fn paced(self) -> Paced<Self> {
        self.paced_by(STRIDE)
    }

    /// The same items, for steps that are longer.
    #[inline]
    fn paced_by(self, stride: u32) -> Paced<Self> {
        Paced { steps: self, stride, left: stride }
    }
}

impl<I: Iterator> Pace for I {}

impl<I: Iterator> Iterator for Paced<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        self.left -= 1;
        if self.left == 0 {
            self.left = self.stride;
            give_way();
        }
        self.steps.next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.steps.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::store::parallel::{both, in_background};

    #[test]
    fn the_items_are_the_same() {
        for items in [0, 1, STRIDE - 1, STRIDE, STRIDE + 1, 10 * STRIDE] {
            assert!((0..items).paced().eq(0..items), "{items}");
            assert_eq!((0..items).paced().size_hint(), (0..items).size_hint());
        }
    }

    #[test]
    fn every_thread_of_work_in_the_background_pauses_and_no_other() {
        let pauses = || PAUSE.get().is_some();
        assert_eq!(in_background(2, || (), || both(pauses, pauses)), (true, true));
        assert!(!pauses() && both(pauses, pauses) == (false, false));
    }
}
