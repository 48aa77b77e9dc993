//! Work on many pieces on several threads, with the results in order and few pieces in memory at a time.
//!
//! Pieces go round: the n-th one to the thread n modulo their number, through a short queue of its own, and
//! its result comes back the same way. So the order needs no numbers and no sorting, and whichever side is
//! slow stops the others.

use std::{
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

/// Pieces, and results, that wait at each thread.
const WAITING: usize = 2;

/// Takes pieces from `produce` until there is none, has `work` done on them by threads, and passes the
/// results to `consume`, in order and on this thread. `produce` has a thread of its own.
///
/// # Errors
/// The first error of `consume`, after which nothing more is produced.
pub(super) fn in_order<T: Send, R: Send, E>(
    mut produce: impl FnMut() -> Option<T> + Send,
    work: impl Fn(T) -> R + Sync,
    mut consume: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let work = &work;
    thread::scope(|scope| {
        let queues = (0..threads).map(|_| {
            let (pieces, to_do) = mpsc::sync_channel(WAITING);
            let (done, results) = mpsc::sync_channel(WAITING);
            scope.spawn(move || each(&to_do, &done, work));
            (pieces, results)
        });
        let (pieces, results): (Vec<SyncSender<T>>, Vec<Receiver<R>>) = queues.unzip();
        scope.spawn(move || {
            for queue in pieces.iter().cycle() {
                let Some(piece) = produce() else { return };
                // Nobody takes it after an error.
                if queue.send(piece).is_err() {
                    return;
                }
            }
        });
        for queue in results.iter().cycle() {
            let Ok(result) = queue.recv() else { break };
            consume(result)?;
        }
        Ok(())
    })
}

fn each<T, R>(to_do: &Receiver<T>, done: &SyncSender<R>, work: impl Fn(T) -> R) {
    while let Ok(piece) = to_do.recv() {
        if done.send(work(piece)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_and_few_wait() {
        for pieces in [0_usize, 1, 2, 3, 500] {
            let (begun, mut numbers, mut seen) = (AtomicUsize::new(0), 0..pieces, Vec::new());
            let threads = thread::available_parallelism().map_or(1, usize::from);
            let done = in_order(
                || numbers.next().inspect(|_| _ = begun.fetch_add(1, Ordering::SeqCst)),
                |number| {
                    // The earlier of two takes longer.
                    if number.is_multiple_of(2) {
                        thread::yield_now();
                    }
                    number * 10
                },
                |result| {
                    seen.push(result);
                    // Each thread has one at hand and a full queue on both sides; one more is offered.
                    let most = seen.len() + threads * (1 + 2 * WAITING) + threads + 1;
                    assert!(begun.load(Ordering::SeqCst) <= most, "{pieces}");
                    Ok::<(), ()>(())
                },
            );
            assert_eq!(done, Ok(()));
            assert_eq!(seen, (0..pieces).map(|number| number * 10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_ends_it() {
        let mut consumed = 0;
        let ended = in_order(
            || Some(1),
            |one| one,
            |_| {
                consumed += 1;
                if consumed == 7 { Err("enough") } else { Ok(()) }
            },
        );
        assert_eq!((ended, consumed), (Err("enough"), 7));
    }
}
