//! Ctrl-C and SIGTERM: the first asks the command to stop where it leaves nothing half-done, the second ends
//! the process at once. SIGUSR1 and SIGUSR2, which would end it by default, do nothing: some supervisors and
//! log rotations send them to everything. SIGHUP is a server's, see [`Hangups`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use super::{
    exit::{Exit, Failure},
    screen::tell,
};

/// Knows whether the command was asked to stop.
#[derive(Clone)]
pub(super) struct Interrupt {
    asked: Arc<AtomicBool>,
    changed: watch::Receiver<bool>,
}

impl Interrupt {
    /// Begins to listen, in a thread of its own.
    ///
    /// # Errors
    /// When the operating system gives no thread or no signals.
    pub fn listen() -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let (sender, changed) = watch::channel(false);
        let asked = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&asked);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let wait = async move {
            let mut signals = match Signals::new() {
                Ok(signals) => signals,
                Err(error) => return ready.send(Err(error)).unwrap_or_default(),
            };
            _ = ready.send(Ok(()));
            signals.next().await;
            flag.store(true, Ordering::Relaxed);
            _ = sender.send(true);
            tell("stopping; once more to stop at once");
            signals.next().await;
            crate::cli::end_at_once(Exit::Interrupted);
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(wait))
            .map_err(failed)?;
        let listening = is_ready.recv().unwrap_or_else(|_| Err(std::io::Error::other("the thread ended")));
        listening.map_err(failed)?;
        Ok(Self { asked, changed })
    }

    /// One that nobody asks.
    #[cfg(test)]
    pub fn never() -> Self {
        Self { asked: Arc::default(), changed: watch::channel(false).1 }
    }

    /// Whether to stop. Cheap enough for every row.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Returns when asked to stop.
    pub async fn wait(mut self) {
        // An error means that the thread is gone and nobody can ask any more.
        if self.changed.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// Listened to and never asked: a signal with a listener does not end the process.
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

/// SIGHUP, for a server: reads again what can be read again, as supervisors and administrators mean it. Other
/// commands end by it, as when their terminal goes.
#[cfg(unix)]
pub(super) struct Hangups(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangups {
    /// Begins to listen; in a runtime.
    ///
    /// # Errors
    /// When the operating system gives no signals.
    pub fn listen() -> Result<Self, Failure> {
        let kind = tokio::signal::unix::SignalKind::hangup();
        let signal = tokio::signal::unix::signal(kind);
        signal
            .map(Self)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot listen for SIGHUP: {error}")))
    }

    /// The next one. Several that come at once are one.
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
