//! The engine's synchronization primitives in one place: locks, atomics, waits and threads.
//!
//! In the program, and in all tests but one kind, they come from `parking_lot` and the standard library,
//! re-exported. In the unit tests built with the feature `shuttle` they belong to a scheduler that chooses
//! after each step which thread runs next: `models.rs` runs the engine itself on them, in thousands of
//! orders, reproducible by seed. Channels are tokio's in both: only the two functions here block on them.

#[cfg(not(all(test, feature = "shuttle")))]
pub(super) use self::real::*;
#[cfg(all(test, feature = "shuttle"))]
pub(super) use self::scheduled::*;

#[cfg(not(all(test, feature = "shuttle")))]
mod real {
    use std::{
        cell::Cell,
        time::{Duration, Instant},
    };
    pub use std::{
        sync::{
            OnceLock,
            atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
            mpsc::{SyncSender, sync_channel},
        },
        thread::{JoinHandle, sleep},
        thread_local,
    };

    pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    use tokio::sync::{mpsc, oneshot};

    /// How long work in the background keeps its core. A signup is four turns of other threads, each of which
    /// may have to wait for it.
    const KEPT: Duration = Duration::from_micros(50);

    thread_local! {
        /// When this thread last got its core back.
        static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    /// Runs long work on threads of its own that leave their cores now and then, so that requests find one
    /// soon.
    pub fn in_background<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        crate::core::in_background(threads, leave_core, work)
    }

    /// Leaves the core to others if this thread had it for long enough. For as short as the system can sleep,
    /// some 50 us; a thread that yields loses the rest of its slice, and among busy threads got a tenth of
    /// its share.
    fn leave_core() {
        if SINCE.get().is_none_or(|since| KEPT <= since.elapsed()) {
            sleep(Duration::from_nanos(1));
            SINCE.set(Some(Instant::now()));
        }
    }

    /// Waits for the next message; `None` when no sender is left. Not inside an async runtime.
    pub fn receive<T>(queue: &mut mpsc::Receiver<T>) -> Option<T> {
        queue.blocking_recv()
    }

    /// Waits for the answer; `None` when its sender is gone. Not inside an async runtime.
    pub fn wait_for_answer<T>(answer: oneshot::Receiver<T>) -> Option<T> {
        answer.blocking_recv().ok()
    }

    /// Starts a thread.
    pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(name.to_owned()).spawn(run)
    }
}

/// The subset of the above in use, on shuttle. Timed waits wait without a limit: progress that depends only
/// on time passing shows up as a deadlock.
#[cfg(all(test, feature = "shuttle"))]
#[allow(clippy::unnecessary_wraps, reason = "as what it stands in for")]
mod scheduled {
    use std::{
        ops::{Deref, DerefMut},
        sync::{Arc, PoisonError},
        time::{Duration, Instant},
    };

    use shuttle::sync as inner;
    pub use shuttle::{
        sync::{
            atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
            mpsc::{SyncSender, sync_channel},
        },
        thread_local,
    };
    use tokio::sync::{mpsc, oneshot};

    /// Yields to other threads, whatever the scheduler would prefer: one of them must do what is waited for.
    pub fn sleep(_time: Duration) {
        shuttle::thread::yield_now();
    }

    /// On this thread: the scheduler knows no others.
    pub fn in_background<R: Send>(_threads: usize, work: impl FnOnce() -> R + Send) -> R {
        work()
    }

    pub fn receive<T>(queue: &mut mpsc::Receiver<T>) -> Option<T> {
        shuttle::future::block_on(queue.recv())
    }

    pub fn wait_for_answer<T>(answer: oneshot::Receiver<T>) -> Option<T> {
        shuttle::future::block_on(answer).ok()
    }

    /// Can be joined, and asked whether the thread has ended.
    pub struct JoinHandle<T> {
        thread: shuttle::thread::JoinHandle<T>,
        is_finished: Arc<AtomicBool>,
    }

    impl<T> JoinHandle<T> {
        pub fn join(self) -> std::thread::Result<T> {
            self.thread.join()
        }

        pub fn is_finished(&self) -> bool {
            self.is_finished.load(Ordering::Acquire)
        }
    }

    pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
        let is_finished = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&is_finished);
        let run = move || {
            run();
            finished.store(true, Ordering::Release);
        };
        let thread = shuttle::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(JoinHandle { thread, is_finished })
    }

    /// `parking_lot` locks have no poisoning: a panic ends the model anyway.
    fn sane<T>(result: Result<T, PoisonError<T>>) -> T {
        result.unwrap_or_else(PoisonError::into_inner)
    }

    #[derive(Default)]
    pub struct Mutex<T>(inner::Mutex<T>);

    /// Empty only while waiting on a condition.
    pub struct MutexGuard<'a, T>(Option<inner::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(inner::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(sane(self.0.lock())))
        }

        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
        }

        pub fn try_lock_for(&self, _within: Duration) -> Option<MutexGuard<'_, T>> {
            Some(self.lock())
        }

        pub fn try_lock_until(&self, _until: Instant) -> Option<MutexGuard<'_, T>> {
            Some(self.lock())
        }

        pub fn get_mut(&mut self) -> &mut T {
            sane(self.0.get_mut())
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            self.0.as_ref().expect("nobody looks while waiting")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("nobody looks while waiting")
        }
    }

    #[derive(Default)]
    pub struct Condvar(inner::Condvar);

    impl Condvar {
        pub fn new() -> Self {
            Self::default()
        }

        pub fn notify_all(&self) {
            self.0.notify_all();
        }

        pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _limit: Duration) {
            let held = guard.0.take().expect("the lock is held");
            guard.0 = Some(sane(self.0.wait(held)));
        }
    }

    #[derive(Default)]
    pub struct RwLock<T>(inner::RwLock<T>);

    pub struct RwLockReadGuard<'a, T>(inner::RwLockReadGuard<'a, T>);

    pub struct RwLockWriteGuard<'a, T>(inner::RwLockWriteGuard<'a, T>);

    impl<T> RwLock<T> {
        pub fn new(value: T) -> Self {
            Self(inner::RwLock::new(value))
        }

        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            RwLockReadGuard(sane(self.0.read()))
        }

        /// As `read`: a model that reads inside a read is stopped.
        pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
            self.read()
        }

        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
            RwLockWriteGuard(sane(self.0.write()))
        }

        pub fn get_mut(&mut self) -> &mut T {
            sane(self.0.get_mut())
        }
    }

    impl<T> Deref for RwLockReadGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> Deref for RwLockWriteGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> DerefMut for RwLockWriteGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }

    impl<T> RwLockWriteGuard<'_, T> {
        /// The scheduler chooses the next thread in any case.
        pub fn unlock_fair(guard: Self) {
            drop(guard);
        }
    }

    /// Set once; each read and the set are scheduling points.
    pub struct OnceLock<T> {
        step: AtomicBool,
        value: std::sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub fn new() -> Self {
            Self { step: AtomicBool::new(false), value: std::sync::OnceLock::new() }
        }

        pub fn get(&self) -> Option<&T> {
            let _ = self.step.load(Ordering::Acquire);
            self.value.get()
        }

        pub fn set(&self, value: T) -> Result<(), T> {
            self.step.store(true, Ordering::Release);
            self.value.set(value)
        }
    }
}
