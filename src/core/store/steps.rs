//! Counts the small steps of a question, where a test must show that two questions take the same work: time
//! would say too little. Only tests count; the program has none of it.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// So many steps: words of memory that were looked at.
#[inline]
pub(crate) fn add(taken: u32) {
    #[cfg(test)]
    STEPS.with(|steps| steps.set(steps.get() + u64::from(taken)));
    #[cfg(not(test))]
    let _ = taken;
}

/// Does some work, and how many steps it took on this thread.
#[cfg(test)]
pub(crate) fn steps_of<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let before = STEPS.with(Cell::get);
    let done = work();
    (done, STEPS.with(Cell::get) - before)
}
