//! State shared by all requests.

use std::sync::{Arc, OnceLock, atomic::AtomicBool};

use super::{
    auth::Gate,
    heavy::Heavy,
    limits::{BULK_STREAMS_MAX, EVENT_STREAMS_MAX, RETRY_SOON_SECONDS},
    options::Options,
    rendering::Rendering,
    reply::{self, Refused},
    v1::{
        desk::Desk,
        problem::{Code, Problem},
    },
};
use crate::{engine::Engine, metrics::Metrics};

/// State shared by all requests.
pub struct Shared {
    pub options: Options,
    pub metrics: Arc<Metrics>,
    pub gate: Arc<Gate>,
    /// Empty while the engine opens.
    pub engine: OnceLock<Engine>,
    /// The process is stopping.
    pub draining: AtomicBool,
    /// Held while test data is added to the network.
    pub seeding: tokio::sync::Mutex<()>,
    /// Streams that keep a queue of their own (`limits::BULK_STREAMS_MAX`).
    pub bulk: Arc<tokio::sync::Semaphore>,
    /// Change feeds being followed (`limits::EVENT_STREAMS_MAX`).
    pub feeds: Arc<tokio::sync::Semaphore>,
    /// The rendering of metrics in flight.
    pub rendering: Rendering,
    /// Turns for heavy work.
    pub heavy: Arc<Heavy>,
    /// Turns for `/v1` work that is limited in concurrency.
    pub desk: Desk,
}

impl Shared {
    pub fn new(options: Options, metrics: Arc<Metrics>, gate: Arc<Gate>) -> Arc<Self> {
        let (engine, draining, seeding) =
            (OnceLock::new(), AtomicBool::new(false), tokio::sync::Mutex::new(()));
        let bulk = Arc::new(tokio::sync::Semaphore::new(BULK_STREAMS_MAX));
        let feeds = Arc::new(tokio::sync::Semaphore::new(EVENT_STREAMS_MAX));
        let heavy = Heavy::new(Arc::clone(&metrics));
        let (rendering, desk) = (Rendering::default(), Desk::default());
        Arc::new(Self {
            options,
            metrics,
            gate,
            engine,
            draining,
            seeding,
            bulk,
            feeds,
            rendering,
            heavy,
            desk,
        })
    }

    /// The engine, or the answer to give without one.
    ///
    /// # Errors
    /// 503 while the engine opens.
    pub fn engine(&self) -> Result<&Engine, Refused> {
        self.engine.get().ok_or_else(|| {
            reply::unavailable("Starting: the network is being loaded", RETRY_SOON_SECONDS).into()
        })
    }

    /// As [`Shared::engine`], for `/v1`.
    ///
    /// # Errors
    /// `starting` while the engine opens.
    pub fn v1_engine(&self) -> Result<&Engine, Problem> {
        self.engine.get().ok_or_else(|| Code::Starting.into())
    }
}
