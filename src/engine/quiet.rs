//! Long computations next to serving, on threads that give way to the writer and to requests.
//!
//! They run at a lower priority, so they must hold no lock of the engine: on a busy machine its other users
//! would wait until the scheduler lets such a thread go on.

use rayon::{ThreadPool, ThreadPoolBuilder};

/// How far the priority lies below that of the other threads, as `nice` counts. Where these keep all cores
/// busy, about a tenth of a core is left: a snapshot still ends.
#[cfg(target_os = "linux")]
const PRIORITY_BELOW: i32 = 10;
/// The lowest priority that there is.
#[cfg(target_os = "linux")]
const LOWEST: i32 = 19;

/// Threads for such work.
pub(super) struct Quiet(Option<ThreadPool>);

impl Quiet {
    /// Starts threads. If none can be started, work runs on those that there are.
    pub fn new(threads: usize) -> Self {
        Self(ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| give_way()).build().ok())
    }

    /// For work while nothing is served: it runs on all cores, at the usual priority.
    pub fn not_needed() -> Self {
        Self(None)
    }

    /// Runs work, which may use all of the threads. Waits for the result.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

/// Lowers the priority of the current thread. On Linux each thread has its own; on other systems this does
/// nothing.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let this = Some(rustix::thread::gettid());
        let lowered = getpriority_process(this)
            .and_then(|usual| setpriority_process(this, (usual + PRIORITY_BELOW).min(LOWEST)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "long computations run at the usual priority");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_on_threads_of_its_own_that_give_way() {
        let caller = std::thread::current().id();
        let priority = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let usual = priority();
        let (thread, quiet) = Quiet::new(1).run(|| (std::thread::current().id(), priority()));
        assert_ne!(thread, caller);
        let expected = if cfg!(target_os = "linux") { (usual + 10).min(19) } else { usual };
        assert_eq!(quiet, expected);
        assert_eq!(priority(), usual, "the caller's is unchanged");
        assert_eq!(Quiet::not_needed().run(|| std::thread::current().id()), caller);
    }
}
