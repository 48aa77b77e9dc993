//! Counts the small steps of a query, so that a test can show that two queries do the same work, which timing
//! cannot. Test builds only.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Adds steps: words of memory that were read.
#[inline]
pub(crate) fn add(taken: u32) {
    #[cfg(test)]
    STEPS.with(|steps| steps.set(steps.get() + u64::from(taken)));
    #[cfg(not(test))]
    let _ = taken;
}

/// Does some work, and returns how many steps it took on this thread.
#[cfg(test)]
pub(crate) fn steps_of<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let before = STEPS.with(Cell::get);
    let done = work();
    (done, STEPS.with(Cell::get) - before)
}
