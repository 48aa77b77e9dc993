//! `upline serve`: opens the data directory and serves it until stopped.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    DataDirArgs, PlanArgs, announce,
    clock::in_words,
    descriptors,
    exit::{Exit, Failure},
    flags::{Flags, OfServer},
    interrupt::{Hangups, Interrupt},
    log_options, logging, open_periods, plan_choice, screen,
};
use crate::{
    config::Config,
    engine::{Engine, EngineOptions, OpenReport, ShutdownReport, SnapshotError, SnapshotPolicy},
    http::{self, Server, auth::Gate},
    huge_pages,
    metrics::Metrics,
    plan_file, version,
};

/// Time for the engine to stop after running requests were drained. With the default drain of seven seconds a
/// stop takes at most ten, of which the rest is for exiting: what most supervisors wait before they kill.
const AFTER_DRAIN: Duration = Duration::from_millis(2_200);

/// Periods of a calendar that the banner names as due for locking.
const PERIODS_TOLD_MAX: usize = 3;

#[derive(clap::Args, Clone, Default, Debug)]
#[group(id = "serve")]
pub(super) struct Args {
    #[command(flatten)]
    pub data_dir: DataDirArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
    #[command(flatten)]
    flags: Flags<OfServer>,
}

impl Args {
    /// Builds the configuration from these flags.
    ///
    /// # Errors
    /// Every error found in it.
    pub fn config(&self) -> Result<Config, Failure> {
        let mut flags = self.flags.given.clone();
        flags.extend(self.plan.given.clone());
        self.data_dir.resolve(flags)
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.config()?;
    serve(&config, Interrupt::listen()?)
}

/// Serves until interrupted.
///
/// # Errors
/// When the directory cannot be opened or the address cannot be bound; when the final writes fail.
pub(super) fn serve(config: &Config, interrupt: Interrupt) -> Result<(), Failure> {
    logging::begin(config);
    descriptors::ensure()?;
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot start the runtime: {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let served = runtime.block_on(serve_in_runtime(config, interrupt));
    // Only the opening of a directory that is no longer wanted may still run; it can be cut anywhere.
    runtime.shutdown_background();
    served
}

async fn serve_in_runtime(config: &Config, interrupt: Interrupt) -> Result<(), Failure> {
    // First of all: a SIGHUP while a large network loads must not end it.
    let hangups = Hangups::listen()?;
    let metrics = Metrics::new(http::request_series());
    let (of_config, of_metrics) = (config.clone(), Arc::clone(&metrics));
    let read = move || Ok((engine_options(&of_config, &of_metrics)?, open_gate(&of_config, &of_metrics)?));
    let (options, gate) = tokio::select! {
        read = beside(read) => read?,
        // A plan or a key set may be a pipe without a writer.
        () = interrupt.clone().wait() => return Ok(()),
    };
    let reloads = tokio::spawn(reload(hangups, Arc::clone(&gate)));
    // Listen before opening, so that a port in use is detected at once and probes get a response during a
    // long replay.
    let http_options = http::Options {
        plan_text: Some(plan_file::to_text),
        ..http::Options::new(config.addr, &config.http)
    };
    let server = Server::bind(http_options, metrics, Arc::clone(&gate))
        .map_err(|error| Failure::new(Exit::Failed, error))?;
    let (address, ops_address, slot) = (server.address(), server.ops_address(), server.engine_slot());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async move { _ = stopped.await }));
    let opened = tokio::select! {
        opened = beside(|| Ok(Engine::open(options)?)) => opened,
        () = interrupt.clone().wait() => return Ok(()),
    };
    let (engine, report) = opened?;
    slot.set(engine.clone());
    greet(config, address, &report, gate.is_on());
    tell_periods(&engine);
    screen::say(&format!("listening on http://{address}"))?;
    if let Some(ops) = ops_address {
        screen::say(&format!("operations on http://{ops}"))?;
    }
    interrupt.wait().await;
    tracing::info!("stopping");
    // The keys stay unchanged until the last request is answered.
    reloads.abort();
    let deadline = Instant::now() + config.http.drain + AFTER_DRAIN;
    _ = stop.send(());
    if let Err(error) = running.await {
        tracing::error!(%error, "the server ended badly");
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let report = tokio::task::spawn_blocking(move || engine.shutdown_within(left)).await;
    report.map_or_else(|error| Err(Failure::new(Exit::Failed, error)), |report| last_words(&report))
}

/// Reloads keys and key sets on each SIGHUP. Meanwhile requests use the previous ones.
async fn reload(mut hangups: Hangups, gate: Arc<Gate>) {
    loop {
        hangups.next().await;
        tracing::info!("SIGHUP: reading service keys and the token issuer's keys again");
        let gate = Arc::clone(&gate);
        _ = tokio::task::spawn_blocking(move || gate.reload()).await;
    }
}

/// Checks what would prevent serving a configuration before anything is created for it: too few file
/// descriptors, missing credentials, addresses that cannot be bound.
///
/// # Errors
/// As [`serve`].
pub(super) fn preflight(config: &Config, interrupt: &Interrupt) -> Result<(), Failure> {
    descriptors::ensure()?;
    interrupt
        .interruptible("nothing was served", || open_gate(config, &Metrics::new(http::request_series())))?;
    let addresses: Vec<_> = [Some(config.addr), config.http.ops_address].into_iter().flatten().collect();
    http::can_listen(&addresses).map_err(|error| Failure::new(Exit::Failed, error))
}

/// Returns the gate, and warns where it is open to other machines.
fn open_gate(config: &Config, metrics: &Arc<Metrics>) -> Result<Arc<Gate>, Failure> {
    let addr = config.exposed_addr();
    let gate = Gate::open(&config.auth, &config.data_dir, addr, metrics)?;
    if !gate.is_on() && !addr.ip().is_loopback() {
        let hosts = config.auth.allowed_hosts.join(", ");
        tracing::warn!(
            %addr,
            allowed_hosts = %hosts,
            "authorization is off (--insecure): every client that reaches this address has all rights; \
             the only host names accepted are those of allowed_hosts"
        );
    }
    Ok(gate)
}

fn engine_options(config: &Config, metrics: &Arc<Metrics>) -> Result<EngineOptions, Failure> {
    let mut loading = screen::Loading::new();
    let snapshots = SnapshotPolicy {
        every_commands: config.snapshot_every_commands,
        every: config.snapshot_every,
        on_shutdown: true,
    };
    Ok(EngineOptions {
        snapshots,
        log: log_options(config),
        clock_jump_max: config.clock_jump_max,
        missing_periods: Some(open_periods::missing_periods),
        progress: Some(Box::new(move |progress| loading.show(progress))),
        ..EngineOptions::new(config.data_dir.clone(), plan_choice(config)?, Arc::clone(metrics))
    })
}

/// Runs blocking work off the runtime.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(Exit::Failed, format!("opening failed: {error}")))?
}

/// Prints the banner on a terminal, a log line elsewhere.
fn greet(config: &Config, address: std::net::SocketAddr, report: &OpenReport, asks_for_credentials: bool) {
    for cut in &report.cuts {
        tracing::warn!("a write that never completed was dropped: {cut}");
    }
    for fallback in &report.fallbacks {
        tracing::error!("an older snapshot is used: {fallback}");
    }
    for note in &report.notes {
        tracing::warn!("{note}");
    }
    if report.created {
        announce::empty_network(&config.data_dir);
    }
    let seconds = report.duration.as_secs_f64();
    tracing::info!(
        version = version::VERSION,
        commit = version::commit(),
        %address,
        data_dir = %config.data_dir.display(),
        created = report.created,
        members = report.members,
        lsn = report.lsn,
        replayed = report.replayed,
        clock_ahead_seconds = report.clock_ahead.as_secs_f64(),
        clock_behind_seconds = report.clock_behind.as_secs_f64(),
        seconds,
        "open"
    );
    if !screen::on_terminal() {
        return;
    }
    let lines = [
        ("data", format!("{}{}", config.data_dir.display(), if report.created { " (new)" } else { "" })),
        ("members", screen::grouped(report.members.into())),
        (
            "opened",
            format!(
                "in {seconds:.2} s, {} commands replayed, LSN {}",
                screen::grouped(report.replayed),
                report.lsn
            ),
        ),
        ("clock", in_words(report, config.clock_jump_max)),
        ("huge pages", huge_pages::offer()),
        ("durability", "every answer to a write follows its fdatasync".into()),
        ("api", format!("http://{address}/")),
        ("metrics", format!("http://{address}/metrics")),
        (
            "access",
            if asks_for_credentials {
                "service keys and tokens"
            } else {
                "open to every client that reaches the address"
            }
            .into(),
        ),
    ];
    screen::tell(&format!("upline {}", version::SHOWN));
    for (name, value) in lines {
        screen::tell(&format!("  {name:<11}{value}"));
    }
}

/// Says which periods wait for somebody to lock them.
fn tell_periods(engine: &Engine) {
    let periods = engine.periods_to_lock(PERIODS_TOLD_MAX);
    if periods.is_empty() {
        return;
    }
    let names: Vec<String> =
        periods.iter().map(|period| format!("{} {}", period.calendar, period.label)).collect();
    let names = names.join(", ");
    tracing::info!(periods = %names, "periods are due for locking");
    if screen::on_terminal() {
        screen::tell(&format!("  {:<11}{names}: lock with `upline period lock`", "periods"));
    }
}

fn last_words(report: &ShutdownReport) -> Result<(), Failure> {
    match &report.snapshot {
        None | Some(Ok(_)) => {
            tracing::info!(lsn = report.lsn, "stopped");
            Ok(())
        }
        Some(Err(SnapshotError::Stopping)) => {
            tracing::info!(
                lsn = report.lsn,
                "stopped without a last snapshot, for want of time: the next start replays the log"
            );
            Ok(())
        }
        // Nothing acknowledged is lost: the log has it. But the disk needs attention.
        Some(Err(error)) => Err(Failure::new(
            Exit::Failed,
            format!("stopped at LSN {}, but without a final snapshot: {error}", report.lsn),
        )),
    }
}
