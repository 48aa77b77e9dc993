//! The table of all metrics: name, type, unit, labels, help.

use metrics::Unit;

/// What a metric is, as Prometheus sees it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    Counter,
    Gauge,
    /// Upper bounds of the buckets, ascending; the infinite one is implied.
    Histogram {
        buckets: &'static [f64],
    },
}

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    /// Names of its labels; their values come from closed enums.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// Stages of the write path: from a microsecond (applying one signup) to ten seconds (a disk that hangs).
const STAGE_SECONDS: &[f64] = &[
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1,
    0.25, 0.5, 1.0, 2.5, 10.0,
];
/// Requests: the interesting range is 50 us to some ms.
const REQUEST_SECONDS: &[f64] =
    &[5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Snapshots: milliseconds for a small network, minutes for ten million members on a slow disk.
const SNAPSHOT_SECONDS: &[f64] =
    &[0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Groups: powers of two up to the largest.
const GROUP_COMMANDS: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Definition {
    Definition { name, kind: Kind::Counter, unit: Unit::Count, labels, help }
}

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Definition {
    Definition { name, kind: Kind::Gauge, unit, labels: &[], help }
}

const fn seconds(name: &'static str, buckets: &'static [f64], help: &'static str) -> Definition {
    Definition { name, kind: Kind::Histogram { buckets }, unit: Unit::Seconds, labels: &[], help }
}

pub const SIGNUPS: Definition = counter("upline_signups_total", &[], "Members registered.");
pub const COMMANDS: Definition =
    counter("upline_commands_total", &["kind"], "Commands logged and applied, whatever their outcome.");
pub const REJECTIONS: Definition = counter(
    "upline_rejections_total",
    &["reason", "stage"],
    "Writes that broke a rule: before the log (admission), or when applied because another \
     write was faster (log).",
);
pub const REFUSALS: Definition = counter(
    "upline_refused_writes_total",
    &["reason"],
    "Writes that were not tried, or whose outcome is not known.",
);
pub const REPEATS: Definition = counter(
    "upline_repeated_writes_total",
    &[],
    "Writes answered with the result of an earlier write of the same idempotency key.",
);
pub const WAIT_SECONDS: Definition =
    seconds("upline_write_wait_seconds", STAGE_SECONDS, "From the queue to the writer, for each command.");
pub const APPEND_SECONDS: Definition =
    seconds("upline_write_append_seconds", STAGE_SECONDS, "Encoding a group and writing it to the log.");
pub const SYNC_SECONDS: Definition = seconds("upline_write_sync_seconds", STAGE_SECONDS, "Syncing a group.");
pub const APPLY_SECONDS: Definition = seconds(
    "upline_write_apply_seconds",
    STAGE_SECONDS,
    "Applying a group, the wait for the write lock included.",
);
pub const ANSWER_SECONDS: Definition =
    seconds("upline_write_answer_seconds", STAGE_SECONDS, "Handing out the answers of a group.");
pub const GROUP_SIZE: Definition = Definition {
    name: "upline_group_commands",
    kind: Kind::Histogram { buckets: GROUP_COMMANDS },
    unit: Unit::Count,
    labels: &[],
    help: "Commands that share one sync.",
};
pub const QUEUE_DEPTH: Definition =
    gauge("upline_queue_depth", Unit::Count, "Writes that wait for the writer.");
pub const QUEUE_CAPACITY: Definition =
    gauge("upline_queue_capacity", Unit::Count, "Writes that may wait before new ones are refused.");
pub const POISONED: Definition = gauge(
    "upline_writer_poisoned",
    Unit::Count,
    "1 after the first failed write or sync: read-only until restart.",
);

pub const SNAPSHOTS: Definition = counter("upline_snapshots_total", &[], "Snapshots published.");
pub const SNAPSHOT_FAILURES: Definition =
    counter("upline_snapshot_failures_total", &[], "Snapshots that failed. Signups went on.");
pub const SNAPSHOT_DURATION: Definition = seconds(
    "upline_snapshot_duration_seconds",
    SNAPSHOT_SECONDS,
    "From the frozen view to the published snapshot.",
);
pub const SNAPSHOT_BYTES: Definition =
    gauge("upline_snapshot_bytes", Unit::Bytes, "Size of the newest snapshot.");
pub const SNAPSHOT_AGE: Definition =
    gauge("upline_snapshot_age_seconds", Unit::Seconds, "Time since the newest snapshot was published.");

pub const RECOVERY_CUTS: Definition = counter(
    "upline_recovery_cuts_total",
    &[],
    "Torn tails, never acknowledged, that opening the directory cut off.",
);
pub const RECOVERY_FALLBACKS: Definition = counter(
    "upline_recovery_fallbacks_total",
    &[],
    "Snapshots that failed their checks when the directory was opened.",
);
pub const RECOVERY_REPLAYED: Definition = gauge(
    "upline_recovery_replayed_commands",
    Unit::Count,
    "Commands applied from the log when the directory was opened.",
);
pub const RECOVERY_SECONDS: Definition =
    gauge("upline_recovery_seconds", Unit::Seconds, "How long opening the directory took.");
pub const RECOVERY_CLOCK_AHEAD: Definition = gauge(
    "upline_recovery_clock_ahead_seconds",
    Unit::Seconds,
    "How far the clock was ahead of the log's last time when the directory was opened: \
     how long nothing had been written.",
);

pub const MEMBERS: Definition = gauge("upline_members", Unit::Count, "Members of the network.");
pub const DEPTH: Definition =
    gauge("upline_depth_levels", Unit::Count, "Deepest level of the placement tree.");
pub const RANK_MEMBERS: Definition = Definition {
    name: "upline_rank_members",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["rank"],
    help: "Members at each paid-as rank, by ordinal; 0 is no rank.",
};
pub const LEDGER_ENTRIES: Definition = gauge("upline_ledger_entries", Unit::Count, "Bonus entries.");
pub const LEDGER_PENDING: Definition =
    gauge("upline_ledger_pending_entries", Unit::Count, "Bonus entries that the next payout takes.");
pub const LEDGER_HELD: Definition =
    gauge("upline_ledger_held_entries", Unit::Count, "Bonus entries that are owed, but held.");
pub const LEDGER_VOID: Definition =
    gauge("upline_ledger_void_entries", Unit::Count, "Bonus entries that are never to be paid.");
pub const BREAKAGE_LEVELS: Definition = Definition {
    name: "upline_breakage_levels",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["reason"],
    help: "Levels of bonuses that nobody was paid, by reason.",
};
pub const BREAKAGE_AMOUNT: Definition = Definition {
    name: "upline_breakage_minor_units",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["reason"],
    help: "What those levels would have been paid, in minor units.",
};
pub const PLAN_VERSION: Definition =
    gauge("upline_plan_version", Unit::Count, "How often a plan was activated.");

pub const ORDERS: Definition = gauge("upline_orders", Unit::Count, "Orders of the network.");
pub const REFUNDS: Definition = gauge("upline_refunds", Unit::Count, "Refunds of the network.");
pub const ORDERS_ANSWERED: Definition = counter(
    "upline_orders_answered_total",
    &["kind", "answer"],
    "Orders by kind (its position in the plan, from 0) and by what came of them: done, repeated (it was \
     there already), or refused by a rule.",
);
pub const REFUNDS_ANSWERED: Definition =
    counter("upline_refunds_answered_total", &["answer"], "Refunds by what came of them, as orders.");
pub const ORDER_UNITS: Definition = Definition {
    name: "upline_order_units",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["value"],
    help: "Sum over all orders that are not sealed, before refunds, of the amount and of each volume (by its \
           position in the plan, from 0), in the smallest units.",
};
pub const PERIODS: Definition = Definition {
    name: "upline_periods",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["calendar", "state"],
    help: "Periods by where they stand; calendars by their position in the plan, from 0.",
};
pub const PERIOD_UNLOCKED_AGE: Definition = gauge(
    "upline_period_unlocked_age_seconds",
    Unit::Seconds,
    "Time since the end of the oldest period that is over and not locked; 0 when there is none.",
);

pub const LOG_BYTES: Definition =
    gauge("upline_log_bytes", Unit::Bytes, "Size of the live log, pre-zeroed space included.");
pub const LOG_SEGMENTS: Definition = gauge("upline_log_segments", Unit::Count, "Segments of the live log.");
pub const LOG_AGE: Definition =
    gauge("upline_log_age_seconds", Unit::Seconds, "Time since the newest command was logged.");
pub const ADMITTED_LSN: Definition =
    gauge("upline_admitted_lsn", Unit::Count, "LSN of the newest command given to the log.");
pub const DURABLE_LSN: Definition =
    gauge("upline_durable_lsn", Unit::Count, "LSN of the newest command that survived a sync.");
pub const APPLIED_LSN: Definition =
    gauge("upline_applied_lsn", Unit::Count, "LSN of the newest command that readers see.");
pub const SNAPSHOT_LSN: Definition = gauge("upline_snapshot_lsn", Unit::Count, "LSN of the newest snapshot.");
pub const LOG_SEGMENT_FAILURES: Definition =
    counter("upline_log_segment_failures_total", &[], "Failed tries to make the next segment of the log.");
pub const LOG_NEXT_SEGMENT_MISSING: Definition = gauge(
    "upline_log_next_segment_missing",
    Unit::Count,
    "1 while the next segment of the log cannot be made, 2 while writes are refused because the \
     active one is full.",
);
pub const CLOCK_JUMPED: Definition = gauge(
    "upline_clock_jumped",
    Unit::Count,
    "1 while writes are refused because the clock jumped: set it right, or accept it \
     (`upline clock accept`).",
);
pub const CLOCK_AHEAD: Definition = gauge(
    "upline_clock_ahead_seconds",
    Unit::Seconds,
    "What the clock gained on the machine's boot clock since the newest command.",
);
pub const CLOCK_BEHIND: Definition = gauge(
    "upline_clock_behind_seconds",
    Unit::Seconds,
    "How far the clock is behind the log time of the newest command.",
);

pub const HTTP_REQUESTS: Definition = counter(
    "upline_http_requests_total",
    &["method", "route", "status"],
    "Requests answered; rare statuses count as `other`.",
);
pub const HTTP_SECONDS: Definition = Definition {
    name: "upline_http_request_seconds",
    kind: Kind::Histogram { buckets: REQUEST_SECONDS },
    unit: Unit::Seconds,
    labels: &["method", "route"],
    help: "From the request's head to the answer's head.",
};
pub const HTTP_CONNECTIONS: Definition = gauge("upline_http_connections", Unit::Count, "Open connections.");
pub const HTTP_ACCEPTED: Definition =
    counter("upline_http_connections_accepted_total", &[], "Connections accepted.");
pub const HTTP_REFUSED: Definition = counter(
    "upline_http_connections_refused_total",
    &[],
    "Connections closed at once since too many were open.",
);

pub const HTTP_TURNED_AWAY: Definition = counter(
    "upline_http_connections_turned_away_total",
    &["reason"],
    "Connections closed at once: all others were busy, or their address had as many as it may.",
);
pub const HTTP_CUT: Definition = counter(
    "upline_http_connections_cut_total",
    &["reason"],
    "Connections closed for others: idle when room was wanted, or with a reader so slow that answers \
     took too much memory.",
);
pub const HTTP_HELD: Definition = gauge(
    "upline_http_answer_held_bytes",
    Unit::Bytes,
    "Answers that wait for their readers, without what all of them share.",
);
pub const HEAVY_WAITING: Definition =
    gauge("upline_heavy_waiting", Unit::Count, "Pieces of heavy work that wait for their turn.");
pub const HEAVY_REFUSED: Definition = counter(
    "upline_heavy_refused_total",
    &["lane"],
    "Requests answered 503 since too much heavy work was waiting.",
);
pub const COST_UNITS: Definition = counter(
    "upline_cost_units_total",
    &["of"],
    "Units of work (a row of a list is 8) that principals were charged for.",
);

pub const AUTH_REQUESTS: Definition = counter(
    "upline_auth_requests_total",
    &["outcome"],
    "Requests on routes that need credentials, by what the credentials came to.",
);
pub const AUTH_DENIED: Definition = counter(
    "upline_auth_denied_total",
    &["reason"],
    "Requests of known principals that were hidden from (404) or forbidden to (403) them.",
);
pub const HUGE_PAGES: Definition = gauge(
    "upline_huge_pages_bytes",
    Unit::Bytes,
    "Memory of the process that is in huge pages; with many members it should be most of it.",
);
pub const RATE_LIMITED: Definition = counter(
    "upline_rate_limited_total",
    &["by"],
    "Requests answered 429, by the limit: of the principal, the address, its failures, \
     or the cost of its work.",
);
pub const AUTH_ENABLED: Definition =
    gauge("upline_auth_enabled", Unit::Count, "1 while credentials are asked for.");
pub const KEYS_ACTIVE: Definition =
    gauge("upline_keys_active", Unit::Count, "Service keys that open something.");
pub const JWKS_KEYS: Definition =
    gauge("upline_jwks_keys", Unit::Count, "Usable public keys of the token issuer.");
pub const CREDENTIALS_AGE: Definition = Definition {
    name: "upline_credentials_age_seconds",
    kind: Kind::Gauge,
    unit: Unit::Seconds,
    labels: &["source"],
    help: "Time since the key file, or the issuer's key set, was last looked at with success.",
};
pub const CREDENTIALS_FAILURES: Definition = counter(
    "upline_credentials_failures_total",
    &["source"],
    "Times that the key file, or the issuer's key set, could not be read; the last good one went on.",
);

/// All of them; the `process_*` metrics follow the Prometheus convention and come from `metrics-process`.
pub const TABLE: [Definition; 75] = [
    HUGE_PAGES,
    SIGNUPS,
    COMMANDS,
    REJECTIONS,
    REFUSALS,
    REPEATS,
    WAIT_SECONDS,
    APPEND_SECONDS,
    SYNC_SECONDS,
    APPLY_SECONDS,
    ANSWER_SECONDS,
    GROUP_SIZE,
    QUEUE_DEPTH,
    QUEUE_CAPACITY,
    POISONED,
    SNAPSHOTS,
    SNAPSHOT_FAILURES,
    SNAPSHOT_DURATION,
    SNAPSHOT_BYTES,
    SNAPSHOT_AGE,
    RECOVERY_CUTS,
    RECOVERY_FALLBACKS,
    RECOVERY_REPLAYED,
    RECOVERY_SECONDS,
    RECOVERY_CLOCK_AHEAD,
    MEMBERS,
    DEPTH,
    RANK_MEMBERS,
    LEDGER_ENTRIES,
    LEDGER_PENDING,
    LEDGER_HELD,
    LEDGER_VOID,
    BREAKAGE_LEVELS,
    BREAKAGE_AMOUNT,
    PLAN_VERSION,
    ORDERS,
    REFUNDS,
    ORDERS_ANSWERED,
    REFUNDS_ANSWERED,
    ORDER_UNITS,
    PERIODS,
    PERIOD_UNLOCKED_AGE,
    LOG_BYTES,
    LOG_SEGMENTS,
    LOG_AGE,
    ADMITTED_LSN,
    DURABLE_LSN,
    APPLIED_LSN,
    SNAPSHOT_LSN,
    LOG_SEGMENT_FAILURES,
    LOG_NEXT_SEGMENT_MISSING,
    CLOCK_JUMPED,
    CLOCK_AHEAD,
    CLOCK_BEHIND,
    HTTP_REQUESTS,
    HTTP_SECONDS,
    HTTP_CONNECTIONS,
    HTTP_ACCEPTED,
    HTTP_REFUSED,
    HTTP_TURNED_AWAY,
    HTTP_CUT,
    HTTP_HELD,
    HEAVY_WAITING,
    HEAVY_REFUSED,
    COST_UNITS,
    AUTH_REQUESTS,
    AUTH_DENIED,
    RATE_LIMITED,
    AUTH_ENABLED,
    KEYS_ACTIVE,
    JWKS_KEYS,
    CREDENTIALS_AGE,
    CREDENTIALS_FAILURES,
    BUILD_INFO,
    READY,
];

pub const BUILD_INFO: Definition = Definition {
    name: "upline_build_info",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["version"],
    help: "Always 1.",
};
pub const READY: Definition = gauge("upline_ready", Unit::Count, "1 while writes are accepted.");
