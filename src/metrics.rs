//! Metrics: [`TABLE`] is the only place that defines their names, types, units, help, buckets and labels.
//!
//! No recorder is installed globally: a [`Metrics`] owns its recorder, so that two engines in one process
//! (tests) never mix. Handles are resolved once and kept; labels come from closed enums, so the code bounds
//! the number of series. Histograms have fixed buckets and are never summaries, which cannot be aggregated
//! across instances. Samples accumulate until they are drained: [`Metrics::upkeep`] must be called every few
//! seconds, which the engine's ticker does.

use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use strum::VariantNames;

use crate::{
    core::{
        Breakage, BreakageReason,
        command::{Command, CommandKind, Rejection},
        plan::RANKS_MAX,
    },
    huge_pages,
};

mod access;
mod orders;
mod table;

pub use access::{AccessMetrics, AuthOutcome, LimitedBy, Loaded};
pub use orders::{OrderAnswer, OrderMetrics};
pub use table::{Definition, Kind, TABLE};

/// HTTP statuses with their own series; all others count as `other`.
pub const STATUSES: [u16; 24] = [
    200, 201, 202, 204, 206, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429,
    431, 500, 503,
];

/// All metrics of one process (or of one engine, in tests).
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    huge_pages: Gauge,
    pub writes: WriteMetrics,
    pub snapshots: SnapshotMetrics,
    pub recovery: RecoveryMetrics,
    pub network: NetworkMetrics,
    pub orders: OrderMetrics,
    pub log: LogMetrics,
    pub http: HttpMetrics,
    pub access: AccessMetrics,
}

impl Metrics {
    /// `routes` is the method and path of each route of the HTTP edge; [`HttpMetrics::request`] refers to
    /// them by index.
    ///
    /// # Panics
    /// If a histogram in the table has no buckets, which is a bug.
    pub fn new(routes: &[(&'static str, &'static str)]) -> Arc<Self> {
        let mut builder = PrometheusBuilder::new();
        for definition in TABLE {
            if let Kind::Histogram { buckets } = definition.kind {
                builder = builder
                    .set_buckets_for_metric(Matcher::Full(definition.name.to_owned()), buckets)
                    .expect("each histogram of the table has buckets");
            }
        }
        let recorder = Arc::new(builder.build_recorder());
        let handle = recorder.handle();
        for definition in TABLE {
            describe(&recorder, &definition);
        }
        let process = metrics_process::Collector::default();
        metrics::with_local_recorder(&*recorder, || process.describe());
        gauge_of(&recorder, &table::BUILD_INFO, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        let huge_pages = gauge_of(&recorder, &table::HUGE_PAGES, &[]);
        Arc::new(Self {
            huge_pages,
            writes: WriteMetrics::new(&recorder),
            snapshots: SnapshotMetrics::new(&recorder),
            recovery: RecoveryMetrics::new(&recorder),
            network: NetworkMetrics::new(&recorder),
            orders: OrderMetrics::new(&recorder),
            log: LogMetrics::new(&recorder),
            http: HttpMetrics::new(&recorder, routes),
            access: AccessMetrics::new(&recorder),
            recorder,
            handle,
            process,
        })
    }

    /// Renders all metrics in the Prometheus text format, including those of the process. Engine gauges show
    /// its last refresh (`Engine::refresh_metrics`). Reads `/proc`, so it blocks for some milliseconds in a
    /// large process.
    pub fn render(&self) -> String {
        metrics::with_local_recorder(&*self.recorder, || self.process.collect());
        self.huge_pages.set(huge_pages::bytes_in_use().unwrap_or(0) as f64);
        self.handle.render()
    }

    /// Moves accumulated samples into their buckets. Call it every five seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// The write path, stage by stage.
pub struct WriteMetrics {
    pub signups: Counter,
    /// By kind, in the order of [`CommandKind::ALL`].
    commands: Vec<Counter>,
    /// By reason, in the order of `Rejection::ALL`, and by [`RejectionStage`].
    rejections: Vec<[Counter; 2]>,
    /// By [`Refusal`].
    refusals: Vec<Counter>,
    pub repeats: Counter,
    pub wait_seconds: Histogram,
    pub append_seconds: Histogram,
    pub sync_seconds: Histogram,
    pub apply_seconds: Histogram,
    pub answer_seconds: Histogram,
    pub group_commands: Histogram,
    pub queue_depth: Gauge,
    pub queue_capacity: Gauge,
    /// 1 after the first failed write or sync.
    pub poisoned: Gauge,
    /// 1 while writes are accepted.
    pub ready: Gauge,
}

/// Where a rule rejected a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RejectionStage {
    /// Before the log.
    Admission = 0,
    /// By `apply`: a race between two writes.
    Log = 1,
}

/// Why a write was not attempted, or its outcome is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    Overloaded = 0,
    ReadOnly = 1,
    OutcomeUnknown = 2,
    Stopping = 3,
    TooLarge = 4,
    NoRoom = 5,
    ClockJumped = 6,
    SealsUnreadable = 7,
}

impl WriteMetrics {
    fn new(recorder: &PrometheusRecorder) -> Self {
        let rejection =
            |reason: &'static str, stage| counter_of(recorder, &table::REJECTIONS, &[reason, stage]);
        Self {
            signups: counter_of(recorder, &table::SIGNUPS, &[]),
            commands: CommandKind::ALL
                .map(|kind| counter_of(recorder, &table::COMMANDS, &[kind.name()]))
                .into(),
            rejections: Rejection::ALL
                .map(|reason| ["admission", "log"].map(|stage| rejection(reason.name(), stage)))
                .into(),
            refusals: counters_by::<Refusal>(recorder, &table::REFUSALS),
            repeats: counter_of(recorder, &table::REPEATS, &[]),
            wait_seconds: histogram_of(recorder, &table::WAIT_SECONDS, &[]),
            append_seconds: histogram_of(recorder, &table::APPEND_SECONDS, &[]),
            sync_seconds: histogram_of(recorder, &table::SYNC_SECONDS, &[]),
            apply_seconds: histogram_of(recorder, &table::APPLY_SECONDS, &[]),
            answer_seconds: histogram_of(recorder, &table::ANSWER_SECONDS, &[]),
            group_commands: histogram_of(recorder, &table::GROUP_SIZE, &[]),
            queue_depth: gauge_of(recorder, &table::QUEUE_DEPTH, &[]),
            queue_capacity: gauge_of(recorder, &table::QUEUE_CAPACITY, &[]),
            poisoned: gauge_of(recorder, &table::POISONED, &[]),
            ready: gauge_of(recorder, &table::READY, &[]),
        }
    }

    /// Counts a command that was logged and applied.
    pub fn command(&self, command: &Command) {
        self.commands[command.kind().position()].increment(1);
    }

    pub fn rejection(&self, reason: Rejection, stage: RejectionStage) {
        let position =
            Rejection::ALL.iter().position(|known| *known == reason).expect("ALL has every rejection");
        self.rejections[position][stage as usize].increment(1);
    }

    pub fn refusal(&self, reason: Refusal) {
        self.refusals[reason as usize].increment(1);
    }
}

pub struct SnapshotMetrics {
    pub made: Counter,
    pub failures: Counter,
    pub duration_seconds: Histogram,
    pub bytes: Gauge,
    pub age_seconds: Gauge,
}

impl SnapshotMetrics {
    fn new(recorder: &PrometheusRecorder) -> Self {
        Self {
            made: counter_of(recorder, &table::SNAPSHOTS, &[]),
            failures: counter_of(recorder, &table::SNAPSHOT_FAILURES, &[]),
            duration_seconds: histogram_of(recorder, &table::SNAPSHOT_DURATION, &[]),
            bytes: gauge_of(recorder, &table::SNAPSHOT_BYTES, &[]),
            age_seconds: gauge_of(recorder, &table::SNAPSHOT_AGE, &[]),
        }
    }
}

pub struct RecoveryMetrics {
    pub cuts: Counter,
    pub fallbacks: Counter,
    pub replayed_commands: Gauge,
    pub seconds: Gauge,
    pub clock_ahead_seconds: Gauge,
}

impl RecoveryMetrics {
    fn new(recorder: &PrometheusRecorder) -> Self {
        Self {
            cuts: counter_of(recorder, &table::RECOVERY_CUTS, &[]),
            fallbacks: counter_of(recorder, &table::RECOVERY_FALLBACKS, &[]),
            replayed_commands: gauge_of(recorder, &table::RECOVERY_REPLAYED, &[]),
            seconds: gauge_of(recorder, &table::RECOVERY_SECONDS, &[]),
            clock_ahead_seconds: gauge_of(recorder, &table::RECOVERY_CLOCK_AHEAD, &[]),
        }
    }
}

pub struct NetworkMetrics {
    pub members: Gauge,
    pub depth: Gauge,
    /// By rank up to `RANKS_MAX`, and one for all above.
    ranks: Vec<Gauge>,
    pub ledger_entries: Gauge,
    pub ledger_pending: Gauge,
    pub ledger_held: Gauge,
    pub ledger_void: Gauge,
    /// Levels and minor units, by reason.
    breakage: Vec<[Gauge; 2]>,
    pub plan_version: Gauge,
}

impl NetworkMetrics {
    fn new(recorder: &PrometheusRecorder) -> Self {
        let label = |rank: usize| if rank <= RANKS_MAX { rank.to_string() } else { "above".to_owned() };
        let ranks = (0..=RANKS_MAX + 1)
            .map(|rank| {
                let labels = vec![Label::new("rank", label(rank))];
                recorder.register_gauge(&Key::from_parts(table::RANK_MEMBERS.name, labels), &METADATA)
            })
            .collect();
        Self {
            members: gauge_of(recorder, &table::MEMBERS, &[]),
            depth: gauge_of(recorder, &table::DEPTH, &[]),
            ranks,
            ledger_entries: gauge_of(recorder, &table::LEDGER_ENTRIES, &[]),
            ledger_pending: gauge_of(recorder, &table::LEDGER_PENDING, &[]),
            ledger_held: gauge_of(recorder, &table::LEDGER_HELD, &[]),
            ledger_void: gauge_of(recorder, &table::LEDGER_VOID, &[]),
            breakage: BreakageReason::ALL
                .map(|reason| {
                    [&table::BREAKAGE_LEVELS, &table::BREAKAGE_AMOUNT]
                        .map(|gauge| gauge_of(recorder, gauge, &[reason.name()]))
                })
                .into(),
            plan_version: gauge_of(recorder, &table::PLAN_VERSION, &[]),
        }
    }

    pub fn set_breakage(&self, breakage: &Breakage) {
        for (reason, [levels, amount]) in BreakageReason::ALL.into_iter().zip(&self.breakage) {
            let sum = breakage.of(reason);
            levels.set(sum.entries as f64);
            amount.set(sum.amount as f64);
        }
    }

    /// `distribution[rank]` members hold `rank`; ranks not in it have none.
    pub fn set_ranks(&self, distribution: &[u64]) {
        let above: u64 = distribution.iter().skip(RANKS_MAX + 1).sum();
        let named = distribution.iter().copied().chain(std::iter::repeat(0)).take(RANKS_MAX + 1);
        for (gauge, members) in self.ranks.iter().zip(named.chain([above])) {
            gauge.set(members as f64);
        }
    }
}

pub struct LogMetrics {
    pub bytes: Gauge,
    pub segments: Gauge,
    pub age_seconds: Gauge,
    pub admitted_lsn: Gauge,
    pub durable_lsn: Gauge,
    pub applied_lsn: Gauge,
    pub snapshot_lsn: Gauge,
    pub segment_failures: Counter,
    /// 1 while the next segment cannot be prepared, 2 while writes are refused for that reason.
    pub next_segment_missing: Gauge,
    /// 1 while writes are refused because the clock jumped.
    pub clock_jumped: Gauge,
    pub clock_ahead_seconds: Gauge,
    pub clock_behind_seconds: Gauge,
}

impl LogMetrics {
    fn new(recorder: &PrometheusRecorder) -> Self {
        Self {
            bytes: gauge_of(recorder, &table::LOG_BYTES, &[]),
            segments: gauge_of(recorder, &table::LOG_SEGMENTS, &[]),
            age_seconds: gauge_of(recorder, &table::LOG_AGE, &[]),
            admitted_lsn: gauge_of(recorder, &table::ADMITTED_LSN, &[]),
            durable_lsn: gauge_of(recorder, &table::DURABLE_LSN, &[]),
            applied_lsn: gauge_of(recorder, &table::APPLIED_LSN, &[]),
            snapshot_lsn: gauge_of(recorder, &table::SNAPSHOT_LSN, &[]),
            segment_failures: counter_of(recorder, &table::LOG_SEGMENT_FAILURES, &[]),
            next_segment_missing: gauge_of(recorder, &table::LOG_NEXT_SEGMENT_MISSING, &[]),
            clock_jumped: gauge_of(recorder, &table::CLOCK_JUMPED, &[]),
            clock_ahead_seconds: gauge_of(recorder, &table::CLOCK_AHEAD, &[]),
            clock_behind_seconds: gauge_of(recorder, &table::CLOCK_BEHIND, &[]),
        }
    }
}

/// Counters of the HTTP edge. Routes are known at startup and are identified by index.
pub struct HttpMetrics {
    recorder: Arc<PrometheusRecorder>,
    routes: Vec<RouteMetrics>,
    pub connections: Gauge,
    pub connections_accepted: Counter,
    connections_refused: Counter,
    /// By [`ConnectionRefused`].
    turned_away: Vec<Counter>,
    /// By [`ConnectionCut`].
    cut: Vec<Counter>,
    pub answer_bytes_held: Gauge,
    pub heavy_waiting: Gauge,
    /// By [`Lane`].
    heavy_refused: Vec<Counter>,
}

/// Why a connection was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum ConnectionRefused {
    /// All connections are busy.
    Busy = 0,
    /// Its address has reached its limit.
    Address = 1,
}

/// Why a connection was closed to make room for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum ConnectionCut {
    Idle = 0,
    SlowReader = 1,
}

/// The queue that heavy work waits in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Lane {
    /// Work on the current state, in short pieces.
    Present = 0,
    /// Work on past states, one request at a time.
    Past = 1,
    /// Searches, one at a time.
    Search = 2,
}

/// Series of one route, resolved on first use: `/metrics` shows what happened, not the product of all routes
/// and statuses.
struct RouteMetrics {
    method: &'static str,
    path: &'static str,
    seconds: OnceLock<Histogram>,
    /// One for each of [`STATUSES`], then one for all others.
    by_status: Vec<OnceLock<Counter>>,
}

impl HttpMetrics {
    fn new(recorder: &Arc<PrometheusRecorder>, routes: &[(&'static str, &'static str)]) -> Self {
        let series = |(method, path): &(&'static str, &'static str)| RouteMetrics {
            method,
            path,
            seconds: OnceLock::new(),
            by_status: (0..=STATUSES.len()).map(|_| OnceLock::new()).collect(),
        };
        Self {
            recorder: Arc::clone(recorder),
            routes: routes.iter().map(series).collect(),
            connections: gauge_of(recorder, &table::HTTP_CONNECTIONS, &[]),
            connections_accepted: counter_of(recorder, &table::HTTP_ACCEPTED, &[]),
            connections_refused: counter_of(recorder, &table::HTTP_REFUSED, &[]),
            turned_away: counters_by::<ConnectionRefused>(recorder, &table::HTTP_TURNED_AWAY),
            cut: counters_by::<ConnectionCut>(recorder, &table::HTTP_CUT),
            answer_bytes_held: gauge_of(recorder, &table::HTTP_HELD, &[]),
            heavy_waiting: gauge_of(recorder, &table::HEAVY_WAITING, &[]),
            heavy_refused: counters_by::<Lane>(recorder, &table::HEAVY_REFUSED),
        }
    }

    /// Counts a refused connection.
    pub fn refused(&self, reason: ConnectionRefused) {
        self.connections_refused.increment(1);
        self.turned_away[reason as usize].increment(1);
    }

    /// Counts a connection closed to make room for others.
    pub fn cut(&self, reason: ConnectionCut) {
        self.cut[reason as usize].increment(1);
    }

    /// Counts a request refused because too much heavy work was queued.
    pub fn heavy_refused(&self, lane: Lane) {
        self.heavy_refused[lane as usize].increment(1);
    }

    /// Counts one answered request. `route` is an index into the list given to `Metrics::new`.
    ///
    /// # Panics
    /// If there is no such route, which is a bug.
    pub fn request(&self, route: usize, status: u16, seconds: f64) {
        let series = &self.routes[route];
        let position = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len());
        let counter = series.by_status[position].get_or_init(|| {
            let status: &'static str = STATUS_LABELS[position];
            counter_of(&self.recorder, &table::HTTP_REQUESTS, &[series.method, series.path, status])
        });
        counter.increment(1);
        let histogram = series.seconds.get_or_init(|| {
            histogram_of(&self.recorder, &table::HTTP_SECONDS, &[series.method, series.path])
        });
        histogram.record(seconds);
    }
}

/// [`STATUSES`] as label values.
const STATUS_LABELS: [&str; STATUSES.len() + 1] = [
    "200", "201", "202", "204", "206", "303", "304", "307", "308", "400", "401", "403", "404", "405", "408",
    "409", "410", "413", "415", "422", "429", "431", "500", "503", "other",
];

/// The exporter ignores it.
static METADATA: Metadata<'static> = Metadata::new("upline", Level::INFO, None);

fn describe(recorder: &PrometheusRecorder, definition: &Definition) {
    let (name, unit, help) =
        (KeyName::from_const_str(definition.name), Some(definition.unit), definition.help.into());
    match definition.kind {
        Kind::Counter => recorder.describe_counter(name, unit, help),
        Kind::Gauge => recorder.describe_gauge(name, unit, help),
        Kind::Histogram { .. } => recorder.describe_histogram(name, unit, help),
    }
}

fn key_of(definition: &Definition, labels: &[&'static str]) -> Key {
    assert_eq!(labels.len(), definition.labels.len(), "{} has a value for each label", definition.name);
    let labels: Vec<Label> =
        definition.labels.iter().zip(labels).map(|(name, value)| Label::new(*name, *value)).collect();
    Key::from_parts(definition.name, labels)
}

fn counter_of(recorder: &PrometheusRecorder, definition: &Definition, labels: &[&'static str]) -> Counter {
    assert_eq!(definition.kind, Kind::Counter);
    recorder.register_counter(&key_of(definition, labels), &METADATA)
}

/// A counter for each value of an enum, in their order; the value's name is the label.
fn counters_by<E: VariantNames>(recorder: &PrometheusRecorder, definition: &Definition) -> Vec<Counter> {
    E::VARIANTS.iter().map(|name| counter_of(recorder, definition, &[*name])).collect()
}

fn gauge_of(recorder: &PrometheusRecorder, definition: &Definition, labels: &[&'static str]) -> Gauge {
    assert_eq!(definition.kind, Kind::Gauge);
    recorder.register_gauge(&key_of(definition, labels), &METADATA)
}

fn histogram_of(
    recorder: &PrometheusRecorder,
    definition: &Definition,
    labels: &[&'static str],
) -> Histogram {
    assert!(matches!(definition.kind, Kind::Histogram { .. }));
    recorder.register_histogram(&key_of(definition, labels), &METADATA)
}

#[cfg(test)]
mod tests;
