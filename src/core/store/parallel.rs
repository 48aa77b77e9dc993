//! Parallel work whose result does not depend on the number of threads.

use rayon::{ThreadPoolBuilder, prelude::*};

use crate::core::store::{pace, room::use_small_pages};

/// Members handled together by one thread.
pub(in crate::core) const BLOCK: usize = 16 * 1_024;

/// Runs recounts and digests on this many dedicated threads instead of one per core: while serving, the
/// writer must find a core free. If no threads can be started, uses the existing ones.
pub fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    on_pool(ThreadPoolBuilder::new().num_threads(threads), work)
}

/// As [`on_threads`], for work that lets others run: long passes call `pause` after each stride
/// (`store/pace.rs`), and memory is in small pages. Nothing else runs on a core while the system clears a
/// huge one.
pub fn in_background<R: Send>(threads: usize, pause: fn(), work: impl FnOnce() -> R + Send) -> R {
    let start = move |_| {
        pace::pause_by(pause);
        use_small_pages();
    };
    on_pool(ThreadPoolBuilder::new().num_threads(threads).start_handler(start), work)
}

fn on_pool<R: Send>(threads: ThreadPoolBuilder, work: impl FnOnce() -> R + Send) -> R {
    match threads.build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

/// Applies `work` to consecutive ranges that cover `0..len`, in parallel; returns results in order.
pub(in crate::core) fn in_blocks<R: Send>(
    len: usize,
    work: impl Fn(std::ops::Range<usize>) -> R + Sync,
) -> Vec<R> {
    (0..len.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| work(block * BLOCK..len.min((block + 1) * BLOCK)))
        .collect()
}

/// Applies `work` to each of `items`, in parallel; returns results in order.
pub(in crate::core) fn of_each<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync + Send,
) -> Vec<R> {
    items.par_iter().map(work).collect()
}

/// Runs two pieces of work, in parallel if a thread is available.
pub(crate) fn both<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    rayon::join(one, other)
}

/// Sorts in parallel. Equal values are identical, so an unstable sort is enough.
pub(in crate::core) fn sort<T: Ord + Send>(items: &mut [T]) {
    items.par_sort_unstable();
}
