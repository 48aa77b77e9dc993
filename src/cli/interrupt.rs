//! Ctrl-C and SIGTERM: the first asks the command to stop cleanly, the second ends the process at once. Work
//! that leaves nothing half-done wherever it ends runs in [`Interrupt::interruptible`]: the first signal ends
//! it, even while it waits for a pipe. SIGUSR1 and SIGUSR2, which would end the process by default, are
//! ignored: some supervisors and log rotations send them to everything. SIGHUP is for servers, see
//! [`Hangups`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    exit::{Exit, Failure, end_at_once},
    screen::tell_soon,
};

/// Tracks whether the command was asked to stop.
#[derive(Clone)]
pub(super) struct Interrupt {
    shared: Arc<Shared>,
    changed: watch::Receiver<bool>,
}

#[derive(Default)]
struct Shared {
    asked: AtomicBool,
    work: Mutex<Work>,
}

/// What the first signal means for the work that runs.
#[derive(Clone, Copy, Default)]
enum Work {
    /// It looks now and then whether it is to stop.
    #[default]
    Looks,
    /// It leaves nothing half-done wherever it ends: the message if it is cut short.
    Interruptible(&'static str),
    /// It goes on to its end.
    CarriedThrough,
}

impl Shared {
    /// Handles the first signal, and returns what to say. Does not return if the work is interruptible.
    fn ask(&self) -> &'static str {
        // Held until the process exits, so that the command cannot begin its next step meanwhile.
        let work = self.work.lock();
        self.asked.store(true, Ordering::Relaxed);
        match *work {
            Work::Looks => "stopping; once more to stop at once",
            Work::Interruptible(meaning) => {
                tell_soon(&Failure::interrupted(meaning).line());
                end_at_once(Exit::Interrupted);
            }
            Work::CarriedThrough => "what was read is written to its end; once more to stop at once",
        }
    }

    /// Notes which work runs. False if a signal came before.
    fn begin(&self, work: Work) -> bool {
        let mut current = self.work.lock();
        *current = work;
        !self.asked.load(Ordering::Relaxed)
    }
}

/// Ends a stretch of such work on drop.
struct Stretch<'a>(&'a Shared);

impl Drop for Stretch<'_> {
    fn drop(&mut self) {
        self.0.begin(Work::Looks);
    }
}

impl Interrupt {
    /// Starts listening in a separate thread.
    ///
    /// # Errors
    /// When the operating system refuses a thread or signals.
    pub fn listen() -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let (sender, changed) = watch::channel(false);
        let shared = Arc::new(Shared::default());
        let asked = Arc::clone(&shared);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let wait = async move {
            let mut signals = match Signals::new() {
                Ok(signals) => signals,
                Err(error) => return ready.send(Err(error)).unwrap_or_default(),
            };
            _ = ready.send(Ok(()));
            signals.next().await;
            let words = asked.ask();
            _ = sender.send(true);
            tell_soon(words);
            signals.next().await;
            end_at_once(Exit::Interrupted);
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(wait))
            .map_err(failed)?;
        let listening = is_ready.recv().unwrap_or_else(|_| Err(std::io::Error::other("the thread ended")));
        listening.map_err(failed)?;
        Ok(Self { shared, changed })
    }

    /// An interrupt that never fires.
    #[cfg(test)]
    pub fn never() -> Self {
        Self { shared: Arc::default(), changed: watch::channel(false).1 }
    }

    /// Returns whether to stop. Cheap enough to call per row.
    pub fn asked(&self) -> bool {
        self.shared.asked.load(Ordering::Relaxed)
    }

    /// Runs work that leaves nothing half-done wherever it ends. The first signal during it ends the process,
    /// even if it blocks, e.g. on a pipe without a writer; the last line says what that means. Not to be
    /// nested.
    ///
    /// # Errors
    /// `Interrupted` when a signal came before; errors of the work.
    pub fn interruptible<T>(
        &self,
        meaning: &'static str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.stretch(Work::Interruptible(meaning), meaning, work)
    }

    /// Runs work that goes on to its end if a signal comes during it, and says so; a second one ends the
    /// process. `meaning` is what it means that the work did not begin.
    ///
    /// # Errors
    /// As [`Interrupt::interruptible`].
    pub fn carried_through<T>(
        &self,
        meaning: &'static str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.stretch(Work::CarriedThrough, meaning, work)
    }

    fn stretch<T>(
        &self,
        kind: Work,
        meaning: &'static str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let stretch = Stretch(&self.shared);
        if !self.shared.begin(kind) {
            return Err(Failure::interrupted(meaning));
        }
        let result = work();
        drop(stretch);
        result
    }

    /// Returns when asked to stop.
    pub async fn wait(mut self) {
        // An error means that the thread is gone and no signal can arrive any more.
        if self.changed.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// Never polled: a signal with a listener does not end the process.
    _ignored: [tokio::signal::unix::Signal; 2],
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let ignored = [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?];
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _ignored: ignored,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        _ = tokio::signal::ctrl_c().await;
    }
}

/// SIGHUP, for a server: reloads what can be reloaded, as supervisors and administrators expect. It ends
/// other commands, as when their terminal closes.
#[cfg(unix)]
pub(super) struct Hangups(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangups {
    /// Starts listening; must be called in a runtime.
    ///
    /// # Errors
    /// When the operating system refuses signals.
    pub fn listen() -> Result<Self, Failure> {
        let kind = tokio::signal::unix::SignalKind::hangup();
        let signal = tokio::signal::unix::signal(kind);
        signal
            .map(Self)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot listen for SIGHUP: {error}")))
    }

    /// Waits for the next one. Simultaneous ones are coalesced.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
pub(super) struct Hangups;

#[cfg(not(unix))]
impl Hangups {
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self)
    }

    pub async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_says_what_becomes_of_the_work() {
        let interrupt = Interrupt::never();
        let said = interrupt.carried_through("nothing was done", || Ok(interrupt.shared.ask()));
        assert_eq!(said.ok(), Some("what was read is written to its end; once more to stop at once"));
        assert_eq!(interrupt.shared.ask(), "stopping; once more to stop at once");
        // Neither begins any more.
        assert!(interrupt.carried_through("nothing was done", || Ok(())).is_err());
        assert!(interrupt.interruptible("nothing was done", || Ok(())).is_err());
    }
}
