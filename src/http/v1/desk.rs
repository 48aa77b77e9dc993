//! State that routes of `/v1` share between requests: turns for work that grows with the network.

use std::{any::Any, sync::Arc};

use tokio::sync::{Mutex, Semaphore};

use super::{
    batch::seats::Seats,
    problem::{Code, Problem},
    unfinished::Unfinished,
};
use crate::engine::Digests;

/// Turns for such work.
pub struct Desk {
    /// Batches that run at once.
    pub batches: Arc<Seats>,
    /// Work on frozen views: each takes the memory of a second state, so one at a time.
    heavy: Arc<Semaphore>,
    /// Unfinished pages of levels.
    pub unfinished: Unfinished<Box<dyn Any + Send>>,
    /// Held while a plan is changed.
    pub plan: Arc<Mutex<()>>,
    /// The last digests; locked while they are computed.
    pub digests: Mutex<Option<Digests>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            batches: Arc::default(),
            heavy: Arc::new(Semaphore::new(1)),
            unfinished: Unfinished::default(),
            plan: Arc::default(),
            digests: Mutex::default(),
        }
    }
}

impl Desk {
    /// Runs work that grows with the network alone, on a thread that may block; others wait for their turn.
    /// The work runs to its end even if its caller is gone, and keeps its turn until then.
    ///
    /// # Errors
    /// `internal` when it panicked.
    pub async fn alone<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Problem> {
        let turn =
            Arc::clone(&self.heavy).acquire_owned().await.map_err(|_| Problem::from(Code::Internal))?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| Code::Internal.into())
    }
}

/// Runs work to its end, even if its caller is gone: when a client leaves, its request is dropped between any
/// two steps, with the locks that it holds. For work that must not stop half-way, or must keep others out
/// until it is done; it takes ownership of its locks.
///
/// # Errors
/// Those of the work; `internal` when it panicked.
pub async fn to_the_end<R: Send + 'static>(
    work: impl Future<Output = Result<R, Problem>> + Send + 'static,
) -> Result<R, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(Code::Internal.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_on_with_its_lock_when_nobody_waits() {
        let lock = Arc::new(Mutex::new(0));
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (go, goes) = tokio::sync::oneshot::channel::<()>();
        let mut held = Arc::clone(&lock).lock_owned().await;
        let work = to_the_end(async move {
            begun.send(()).expect("somebody waits");
            goes.await.expect("it is sent");
            *held += 1;
            Ok(())
        });
        let client = tokio::spawn(work);
        begins.await.expect("it begins");
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
        assert!(lock.try_lock().is_err(), "still held");
        go.send(()).expect("the work is there");
        assert_eq!(*lock.lock().await, 1, "done before anybody else came in");
    }
}
