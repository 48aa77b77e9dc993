//! The gate: every request passes it once, before routing, and leaves with a principal or is turned away.
//!
//! Keys and key sets are read outside of requests, by `watch`; requests take the last version read without a
//! lock. A file that becomes unreadable changes nothing: the last good keys stay in force, the error is
//! logged once, and a metric counts it. So that this cannot open a door, keys keep their expiry, and a gate
//! that has asked for credentials once never stops asking.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::http::request::Parts;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    answers::TurnedAway,
    costs::Costs,
    credentials::{self, Credentials, Unreadable, client_address, is_trusted},
    jwks,
    pages::Names,
    policy::{Credential, Principal},
    rates::Rates,
    refusals::Refusals,
    tokens::{KeySet, Rules},
};
use crate::{
    access::{KeyFile, KeyFileError, KeyRefusal, KeyRing, Role, Scopes, Stamp},
    config::{AuthConfig, AuthMode, JwtKeys},
    http::{
        route_table::Access,
        routing::{access_of, is_unlimited},
    },
    metrics::{AccessMetrics, AuthOutcome, LimitedBy, Loaded, Metrics},
};

/// How often the key file is checked. What `keys revoke` takes away is gone after this and the time of one
/// read: two seconds at most.
const KEYS_LOOK: Duration = Duration::from_secs(1);
/// How long to wait before asking the issuer again when it has never answered or the last attempt failed.
const JWKS_RETRY: Duration = Duration::from_secs(5);
/// How often limits drop idle keys.
const RATES_CLEAN: Duration = Duration::from_secs(5);

/// Why the server may not start with its configuration.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    #[error("the keys of the token issuer cannot be used: {0}")]
    Jwks(String),
    #[error(
        "{0} is reachable from other machines and there is no authorization: \
         make a key with `upline keys create`, configure tokens (jwt_jwks or jwt_hs256_secret_file), \
         or allow it with `--insecure`"
    )]
    Exposed(SocketAddr),
    #[error(
        "the service keys are gone: there is no file {}, and there was one. Put it back, make a key with \
         `upline keys create`, or start with `--auth off` to require no credentials", .0.display()
    )]
    Gone(PathBuf),
    #[error(
        "authorization is on, but no key is active and no tokens are configured, so every request would be \
         refused: create a key with `upline keys create`"
    )]
    Nobody,
}

/// The gate of one server.
pub struct Gate {
    mode: AuthMode,
    metrics_open: bool,
    docs_open: bool,
    trusted_proxies: Vec<(std::net::Ipv6Addr, u8)>,
    names: Names,
    metrics: Arc<Metrics>,
    rates: Rates,
    refusals: Refusals,
    costs: Arc<Costs>,
    /// Credentials are asked for. Goes from false to true, never back.
    is_on: AtomicBool,
    /// `None` only for tests and tools without a data directory.
    key_file: Option<KeyFile>,
    keys: ArcSwap<KeyRing>,
    keys_seen: Mutex<Seen>,
    rules: Option<Rules>,
    key_set: ArcSwapOption<KeySet>,
    key_set_read: Mutex<Option<Instant>>,
    /// Held while the key set is read, so that the last read wins.
    key_set_reading: Mutex<()>,
    /// A token named a key that is not in the set.
    key_wanted: Notify,
}

/// The key file as last read.
struct Seen {
    stamp: Option<Stamp>,
    checked: Instant,
    /// It could not be read; this was logged.
    is_failing: bool,
}

impl Gate {
    /// Reads the keys. A key set in a file must be there. A key set at an address is fetched while serving,
    /// since an issuer that is down must not stop services that have their own keys. Blocks for milliseconds.
    ///
    /// # Errors
    /// See [`GateError`].
    pub fn open(
        config: &AuthConfig,
        data_dir: &Path,
        addr: SocketAddr,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, GateError> {
        let key_file = KeyFile::of(data_dir);
        let stamp = key_file.stamp()?;
        let ring = key_file.load()?;
        let has_file = ring.is_some();
        let ring = ring.unwrap_or_default();
        let active = ring.active(now());
        let is_on = match config.mode {
            AuthMode::On => true,
            AuthMode::Off => false,
            AuthMode::Auto => has_file || config.jwt.is_some(),
        };
        if has_file && let Err(error) = key_file.note_made() {
            // On a read-only medium, nobody can add or lose keys either.
            tracing::warn!(
                %error,
                "cannot record that service keys exist: if their file is lost, \
                 the next start will not detect it"
            );
        }
        // A lost file must not open a door that was shut.
        if !is_on && config.mode == AuthMode::Auto && key_file.was_made()? {
            return Err(GateError::Gone(key_file.path()));
        }
        if !is_on && !addr.ip().is_loopback() && !config.insecure {
            return Err(GateError::Exposed(addr));
        }
        // With `on`, keys may come later; with `auto`, the last one was revoked, and starting open or closed
        // would both surprise.
        if is_on && active == 0 && config.jwt.is_none() && config.mode == AuthMode::Auto {
            return Err(GateError::Nobody);
        }
        let gate = Self::new(config, addr.ip(), Some(key_file), ring, is_on, metrics);
        gate.keys_seen.lock().stamp = stamp;
        if let Some(JwtKeys::File(_) | JwtKeys::SharedSecrets(_)) = config.jwt.as_ref().map(|jwt| &jwt.keys) {
            gate.read_key_set().map_err(GateError::Jwks)?;
        }
        Ok(Arc::new(gate))
    }

    /// A gate that asks for no credentials.
    pub fn off(metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self::new(
            &AuthConfig::default(),
            IpAddr::from([127, 0, 0, 1]),
            None,
            KeyRing::default(),
            false,
            metrics,
        ))
    }

    fn new(
        config: &AuthConfig,
        bound: IpAddr,
        key_file: Option<KeyFile>,
        ring: KeyRing,
        is_on: bool,
        metrics: &Arc<Metrics>,
    ) -> Self {
        metrics.access.keys_active.set(ring.active(now()) as f64);
        metrics.access.enabled.set(f64::from(u8::from(is_on)));
        Self {
            mode: config.mode,
            metrics_open: config.metrics_open,
            docs_open: config.docs_open,
            trusted_proxies: config.trusted_proxies.clone(),
            names: Names::new(bound, &config.allowed_hosts),
            metrics: Arc::clone(metrics),
            rates: Rates::new(&config.rates),
            refusals: Refusals::new(),
            costs: Costs::new(&config.rates, metrics),
            is_on: AtomicBool::new(is_on),
            key_file,
            keys: ArcSwap::from_pointee(ring),
            keys_seen: Mutex::new(Seen { stamp: None, checked: Instant::now(), is_failing: false }),
            rules: config.jwt.clone().map(Rules::new),
            key_set: ArcSwapOption::empty(),
            key_set_read: Mutex::new(None),
            key_set_reading: Mutex::new(()),
            key_wanted: Notify::new(),
        }
    }

    /// Whether credentials are asked for.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Whether a path, as written in a request, is answered without credentials.
    pub fn is_open(&self, path: &str) -> bool {
        match access_of(path) {
            Some(Access::Open) => true,
            Some(Access::Docs) => self.docs_open,
            Some(Access::Metrics(_)) => self.metrics_open,
            _ => false,
        }
    }

    /// Returns the sender of a request, counted against all limits.
    ///
    /// # Errors
    /// Why it was turned away.
    pub fn admit(&self, parts: &Parts, peer: IpAddr) -> Result<Principal, TurnedAway> {
        let path = parts.uri.path();
        if is_unlimited(path) {
            return Ok(if self.is_on() { Principal::nobody() } else { Principal::anonymous() });
        }
        let address = self.address_of(parts, peer);
        self.rates.address(address).map_err(|wait| self.too_often(LimitedBy::Address, wait))?;
        if !self.is_on() {
            return self.admit_anybody(parts, address);
        }
        if self.is_open(path) {
            return Ok(Principal::nobody().at(address));
        }
        let principal = self.authenticate(parts).map_err(|turned| match turned {
            // Clients that fail too often learn less; right credentials are never locked out by other clients
            // of the same address.
            TurnedAway::Missing | TurnedAway::Invalid { .. } | TurnedAway::NotMember => {
                match self.rates.failure(address) {
                    Ok(()) => turned,
                    Err(wait) => self.too_often(LimitedBy::Failures, wait),
                }
            }
            other => other,
        })?;
        self.rates.principal(&principal.name).map_err(|wait| self.too_often(LimitedBy::Principal, wait))?;
        let payer = self.costs.payer(&principal.name, principal.role, None);
        Ok(principal.at(address).paid_by(payer))
    }

    /// Whether the credentials of a principal are still good: for requests that go on for long, and are to
    /// end when its access does.
    pub fn stands(&self, principal: &Principal) -> bool {
        match &principal.credential {
            Credential::None => !self.is_on(),
            Credential::Key(id) => self.keys.load().is_active(id, now()),
            Credential::Token { until } => now() < *until,
        }
    }

    /// The client address of a request, behind trusted proxies.
    pub fn address_of(&self, parts: &Parts, peer: IpAddr) -> IpAddr {
        client_address(peer, &parts.headers, &self.trusted_proxies)
    }

    /// The log of refused requests.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Every client that reaches the address may do everything, except foreign web pages.
    fn admit_anybody(&self, parts: &Parts, address: IpAddr) -> Result<Principal, TurnedAway> {
        let checked = self.names.check(parts);
        self.access().outcome(match checked {
            Ok(()) => AuthOutcome::Anonymous,
            Err(TurnedAway::HostUnknown) => AuthOutcome::HostUnknown,
            Err(_) => AuthOutcome::PageForeign,
        });
        checked.inspect_err(|reason| {
            tracing::debug!(
                ?reason, %address, host = ?parts.headers.get("host"), path = parts.uri.path(),
                "a web page was not let in"
            );
        })?;
        let anonymous = Principal::anonymous().at(address);
        let payer = self.costs.payer(&anonymous.name, anonymous.role, Some(address));
        Ok(anonymous.paid_by(payer))
    }

    /// Whether a peer is a trusted proxy: it stands for many clients, and what it reports of them is
    /// believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        is_trusted(peer, &self.trusted_proxies)
    }

    fn access(&self) -> &AccessMetrics {
        &self.metrics.access
    }

    fn too_often(&self, by: LimitedBy, wait: Duration) -> TurnedAway {
        self.access().limited(by);
        TurnedAway::TooOften(wait)
    }

    fn authenticate(&self, parts: &Parts) -> Result<Principal, TurnedAway> {
        let (checked, was_token) = match credentials::read(&parts.headers) {
            Ok(Credentials::Key { id, secret }) => (self.check_key(id, secret), false),
            Ok(Credentials::Token(token)) => (self.check_token(token), true),
            Err(Unreadable::Missing) => (Err(AuthOutcome::Missing), false),
            Err(Unreadable::Malformed) => (Err(AuthOutcome::Malformed), false),
        };
        let outcome = match &checked {
            Ok(_) if was_token => AuthOutcome::Token,
            Ok(_) => AuthOutcome::Key,
            Err(outcome) => *outcome,
        };
        self.access().outcome(outcome);
        checked.map_err(|outcome| {
            tracing::debug!(?outcome, path = parts.uri.path(), "not let in");
            match outcome {
                AuthOutcome::Missing => TurnedAway::Missing,
                AuthOutcome::TokenKeysMissing => TurnedAway::KeysMissing,
                AuthOutcome::TokenSubject => TurnedAway::NotMember,
                _ => TurnedAway::Invalid { was_token },
            }
        })
    }

    fn check_key(&self, id: &str, secret: &str) -> Result<Principal, AuthOutcome> {
        let keys = self.keys.load();
        let key = keys.check(id, secret, now()).map_err(|refusal| match refusal {
            KeyRefusal::Unknown => AuthOutcome::KeyUnknown,
            KeyRefusal::WrongSecret => AuthOutcome::KeySecret,
            KeyRefusal::Expired => AuthOutcome::KeyExpired,
            KeyRefusal::Revoked => AuthOutcome::KeyRevoked,
        })?;
        let scopes = if key.role == Role::Service { key.scopes } else { Scopes::NONE };
        let client = Arc::clone(keys.client_of(key));
        let principal = Principal::new(key.role, None, Arc::clone(&key.id), scopes);
        Ok(principal.as_client(client).by(Credential::Key(Arc::clone(&key.id))))
    }

    fn check_token(&self, token: &str) -> Result<Principal, AuthOutcome> {
        let rules = self.rules.as_ref().ok_or(AuthOutcome::TokenNotTaken)?;
        let keys = self.key_set.load();
        let keys = keys.as_ref().ok_or(AuthOutcome::TokenKeysMissing)?;
        let checked = rules.check(keys, token);
        if checked.as_ref().err() == Some(&AuthOutcome::TokenKey) {
            self.key_wanted.notify_one();
        }
        checked
    }

    /// Sets the ages that `/metrics` shows.
    pub fn refresh_metrics(&self) {
        if self.key_file.is_some() {
            self.access().set_age(Loaded::Keys, self.keys_seen.lock().checked.elapsed().as_secs_f64());
            self.access().keys_active.set(self.keys.load().active(now()) as f64);
        }
        if let Some(read) = *self.key_set_read.lock() {
            self.access().set_age(Loaded::Jwks, read.elapsed().as_secs_f64());
        }
    }

    // --- reading again

    /// Rereads keys and key sets until it is dropped. Blocking work runs outside the runtime.
    pub async fn watch(self: Arc<Self>) {
        let keys = Arc::clone(&self);
        let look = async {
            let mut cleaned = Instant::now();
            loop {
                tokio::time::sleep(KEYS_LOOK).await;
                let (gate, clean) = (Arc::clone(&keys), RATES_CLEAN <= cleaned.elapsed());
                if clean {
                    cleaned = Instant::now();
                }
                beside(move || {
                    gate.refusals.tell_left_out();
                    gate.look_at_keys(false);
                    if clean {
                        gate.rates.clean();
                        gate.costs.clean();
                    }
                })
                .await;
            }
        };
        tokio::join!(look, Arc::clone(&self).watch_key_set());
    }

    /// Reads the key set every `jwt_refresh_seconds`, and once in between when a token names a key that is
    /// not in it.
    async fn watch_key_set(self: Arc<Self>) {
        let Some(rules) = &self.rules else { return };
        let refresh = rules.config().refresh;
        let mut had_early_look = false;
        let mut wait = if self.key_set.load().is_none() { Duration::ZERO } else { refresh };
        loop {
            let is_early = tokio::select! {
                () = tokio::time::sleep(wait) => false,
                () = self.key_wanted.notified(), if !had_early_look => true,
            };
            let begin = Instant::now();
            let gate = Arc::clone(&self);
            let is_good = beside(move || gate.read_key_set_or_say()).await;
            // The regular read keeps its schedule: invented key names cannot move it.
            let left = wait.saturating_sub(begin.elapsed());
            had_early_look = is_early;
            wait = match (is_good, is_early) {
                (false, _) => JWKS_RETRY.min(refresh),
                (true, false) => refresh,
                (true, true) => left.max(KEYS_LOOK),
            };
        }
    }

    /// Rereads service keys and the issuer's keys at once, whether or not their files look changed: for
    /// SIGHUP. If a file cannot be read, the keys in force stay, and the log says why. An issuer's
    /// certificates (`jwt_ca_file`) are read with its keys. Blocks.
    pub fn reload(&self) {
        self.look_at_keys(true);
        if self.rules.is_some() && self.read_key_set_or_say() {
            let keys = self.key_set.load().as_ref().map_or(0, |keys| keys.len());
            tracing::info!(keys, "the token issuer's keys read");
        }
    }

    /// Reads the key file if it has changed, or if a reload was requested.
    fn look_at_keys(&self, is_asked: bool) {
        let Some(file) = &self.key_file else { return };
        let mut seen = self.keys_seen.lock();
        let looked = file.stamp().and_then(|stamp| {
            if stamp == seen.stamp && !seen.is_failing && !is_asked {
                return Ok(None);
            }
            let ring = file.load()?;
            // A missing file is a mistake, or an attempt to lock everybody out; `keys revoke` does that
            // explicitly.
            if ring.is_none() && seen.stamp.is_some() {
                let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
                return Err(KeyFileError::Io { what: "open", path: file.path(), source: gone });
            }
            Ok(ring.map(|ring| (stamp, ring)))
        });
        match looked {
            Ok(changed) => {
                seen.checked = Instant::now();
                seen.is_failing = false;
                let Some((stamp, ring)) = changed else { return };
                seen.stamp = stamp;
                tracing::info!(active = ring.active(now()), "service keys read");
                self.keys.store(Arc::new(ring));
                self.turn_on();
            }
            Err(error) => {
                self.access().load_failed(Loaded::Keys);
                if !seen.is_failing || is_asked {
                    tracing::error!(%error, "the service keys cannot be read; the last good ones go on");
                }
                seen.is_failing = true;
            }
        }
    }

    /// The first key of a server without authentication: from now on it asks for credentials.
    fn turn_on(&self) {
        if self.mode == AuthMode::Auto && !self.is_on.swap(true, Ordering::Relaxed) {
            self.access().enabled.set(1.0);
            tracing::warn!("a service key exists now: credentials are required from now on");
        }
    }

    fn read_key_set(&self) -> Result<(), String> {
        let Some(rules) = &self.rules else { return Ok(()) };
        let _reading = self.key_set_reading.lock();
        let keys = jwks::fetch(rules.config())?;
        self.access().jwks_keys.set(keys.len() as f64);
        self.key_set.store(Some(Arc::new(keys)));
        *self.key_set_read.lock() = Some(Instant::now());
        Ok(())
    }

    fn read_key_set_or_say(&self) -> bool {
        let read = self.read_key_set();
        if let Err(error) = &read {
            self.access().load_failed(Loaded::Jwks);
            let has_last = self.key_set.load().is_some();
            tracing::error!(
                %error, has_last, "the token issuer's keys cannot be read; the last good ones, if any, go on"
            );
        }
        read.is_ok()
    }
}

/// Runs blocking work on a thread meant for it.
async fn beside<T: Send + Default + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
