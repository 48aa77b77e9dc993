//! Ctrl-C and SIGTERM: the first asks the command to stop where it leaves nothing half-done, the second ends the process at once.

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
        let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}"));
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
        std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait)).map_err(failed)?;
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
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
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
