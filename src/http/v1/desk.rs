//! What the routes of `/v1` share between requests: turns at work that grows with the network.

use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore};

use super::problem::{Code, Problem};
use crate::{
    engine::Digests,
    http::{limits::BATCHES_MAX, service::Shared},
};

/// Turns.
pub struct Desk {
    /// Batches that run at once.
    pub batches: Arc<Semaphore>,
    /// Work on frozen views: each takes the memory of a second state, so one at a time.
    heavy: Arc<Semaphore>,
    /// Held while a plan is changed.
    pub plan: Mutex<()>,
    /// The last digests; held while they are computed.
    pub digests: Mutex<Option<Digests>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            batches: Arc::new(Semaphore::new(BATCHES_MAX)),
            heavy: Arc::new(Semaphore::new(1)),
            plan: Mutex::default(),
            digests: Mutex::default(),
        }
    }
}

/// Runs work that grows with the network on a thread that may block, alone. Whoever comes meanwhile waits. The work ends even if nobody waits for
/// it any more, and keeps its turn until then.
///
/// # Errors
/// `internal` when it panicked.
pub async fn alone<R: Send + 'static>(shared: &Shared, work: impl FnOnce() -> R + Send + 'static) -> Result<R, Problem> {
    let turn = Arc::clone(&shared.desk.heavy).acquire_owned().await.map_err(|_| Problem::from(Code::Internal))?;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    done.await.map_err(|_| Code::Internal.into())
}
