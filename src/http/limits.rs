//! Every bound of this layer, with its reason.

use std::time::Duration;

use crate::{
    config::HttpConfig,
    engine::{LOG_READERS_MAX, limits::PERIODS_AHEAD},
};

/// Bounds of the HTTP edge. The defaults are for one process behind a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Open connections. One idle connection costs some 20 KiB and a file descriptor; further ones are
    /// answered 503 and closed. Lowered at startup to the process's limit of open files (see
    /// [`FILES_KEPT_BACK`]).
    pub connections_max: usize,
    /// Connections of one address (IPv4 address, or IPv6 network of 64 bits) that is no trusted proxy;
    /// further ones are answered 503. 0 is no limit.
    pub connections_per_address: usize,
    /// From a connection, or from the first byte of a later request, to the end of its head. A client that
    /// needs longer for a few hundred bytes is holding the connection on purpose.
    pub head_timeout: Duration,
    /// Bytes of one request head; more is 431. Gateways add headers, but 32 KiB of them are an error or an
    /// attack.
    pub head_bytes_max: usize,
    /// From the head to the end of the body.
    pub body_timeout: Duration,
    /// Bytes of one body; more is 413. The largest valid body of these routes has some 200.
    pub body_bytes_max: usize,
    /// How much of an oversized body is read and dropped before the answer, so that an honest client sees the
    /// 413 instead of a reset connection.
    pub body_discard_max: usize,
    /// Between requests on one connection. Longer than the 60 s of common gateways, so that they close first
    /// and never send a request into a connection we are closing.
    pub idle_timeout: Duration,
    /// A reader that takes nothing for this long is considered gone. Bounds how long a streamed answer can be
    /// held open.
    pub write_timeout: Duration,
    /// From the head to the beginning of the answer. A write waits for a sync of the log; a disk that takes
    /// longer than this is failing, and the client is told that the outcome is unknown.
    pub request_timeout: Duration,
    /// From the stop signal until open connections are cut. Leaves three of the promised ten seconds to the
    /// engine.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self::configured(&HttpConfig::default())
    }
}

impl Limits {
    /// Configurable limits as configured, the others at their defaults.
    #[must_use]
    pub fn configured(config: &HttpConfig) -> Self {
        Self {
            connections_max: config.connections_max,
            connections_per_address: config.connections_per_address,
            head_timeout: config.header_timeout,
            head_bytes_max: 32 * 1024,
            body_timeout: config.body_timeout,
            body_bytes_max: config.body_bytes_max,
            body_discard_max: 4 * 1024 * 1024,
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            drain_timeout: config.drain,
        }
    }
}

/// Descriptors of the log: the active segment, the next one while it is created, the file `durable`,
/// directories while they are synced, locks.
pub const FILES_OF_THE_LOG: usize = 16;

/// Descriptors of snapshots: one being written, one being read for a query of the past, and checks of their
/// sizes.
pub const FILES_OF_SNAPSHOTS: usize = 16;

/// Other descriptors: standard streams, the runtime, the listeners, a connection being refused, key files and
/// key sets, `/proc` for metrics.
pub const FILES_OF_THE_PROCESS: usize = 24;

/// Connections that answer probes and metrics when all others are busy.
pub const SPARE_CONNECTIONS_MAX: usize = 16;

/// Connections of the operations listener: some people, a scraper, a few probes.
pub const OPS_CONNECTIONS_MAX: usize = 64;

/// Connections that were told to end but have not yet. They end at once; beyond this number new ones must
/// wait.
pub const CLOSING_MAX: usize = 64;

/// Connections without a seat that have not yet shown whether they are a probe. When more come, those silent
/// for longest are closed.
pub const DOORSTEP_MAX: usize = 32;

/// How long a new connection waits to be given a seat. Meanwhile those after it wait in the listener's
/// backlog, and those on the doorstep say what they want or become old enough to be closed.
pub const SEAT_TIME: Duration = Duration::from_millis(100);

/// How long one may take for its head: probes and scrapers send it at once.
pub const DOORSTEP_TIME: Duration = Duration::from_secs(1);

/// Bytes of the head of a probe: a path and some headers.
pub const DOORSTEP_HEAD_BYTES_MAX: usize = 2_048;

/// Refused connections whose client is given time to read the answer. Further ones are closed at once.
pub const LEAVING_MAX: usize = 32;

/// For how long, and how many bytes of its input are read and dropped meanwhile.
pub const LEAVING_TIME: Duration = Duration::from_secs(1);
pub const LEAVING_BYTES_MAX: usize = 256 * 1_024;

/// Descriptors of connections outside the main room.
pub const FILES_OF_OTHER_CONNECTIONS: usize =
    SPARE_CONNECTIONS_MAX + OPS_CONNECTIONS_MAX + CLOSING_MAX + DOORSTEP_MAX + LEAVING_MAX;

/// Descriptors that connections of the main room never get. Readers of the log (change feeds, explanations,
/// states of the past) are bounded where they open files (`LOG_READERS_MAX`); further ones are refused, so
/// they never take what the log needs.
pub const FILES_KEPT_BACK: usize = FILES_OF_THE_LOG
    + FILES_OF_SNAPSHOTS
    + LOG_READERS_MAX
    + FILES_OF_THE_PROCESS
    + FILES_OF_OTHER_CONNECTIONS;

/// Minimum limit of open files: the reserve, and as many connections.
pub const FILES_MIN: usize = 2 * FILES_KEPT_BACK;

/// Bytes of answers that one connection may hold while its reader is stalled. With the connection itself
/// (some 10 KiB) 64 KiB.
pub const HELD_BYTES_ALLOWED: usize = 48 * 1_024;

/// Bytes that all connections together may hold beyond that: some hundred of the largest answers in flight.
/// When it is used up, those over their own allowance for longest are closed.
pub const HELD_BYTES_BEYOND_MAX: usize = 64 << 20;

/// Unsent bytes that the kernel may hold for one connection. It would otherwise hold megabytes for a stalled
/// reader.
pub const UNSENT_BYTES_MAX: u32 = 128 * 1_024;

/// Rows of a list that a stream takes at once, where any number of streams may be in flight: some 16 KiB of
/// text.
pub const STREAM_ROWS: usize = 64;

/// Connections the kernel may queue until we accept them: enough for a burst of signups, not a queue to wait
/// in.
pub const LISTEN_BACKLOG: i32 = 1_024;

/// How long to pause when accepting fails for lack of descriptors or memory: retrying at once would only burn
/// a core.
pub const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Headers of one request. Hyper's default, named here: 100 is more than gateways send.
pub const HEADERS_MAX: usize = 100;

/// Rows printed under one hold of the read lock: some 50 us, so that the writer never waits long for a list.
pub const SLICE_ROWS: usize = 256;

/// Cheap steps (entries examined, brackets closed) of a slice under one hold of the lock.
pub const SLICE_STEPS: usize = 4_096;

/// Rows of a list up to which a page is read on the thread that serves the request: some 50 us. Larger ones
/// are heavy work.
pub const LIGHT_ROWS: usize = 128;

/// The same in cheap steps.
pub const LIGHT_STEPS: usize = 512;

/// Pieces of heavy work waiting for a turn: at a millisecond each, half a second. Further requests get 503.
pub const HEAVY_WAITING_MAX: usize = 512;

/// How long the core is left after each piece of heavy work, where there is only one: as short as the system
/// can sleep, some 50 us. Threads that wait for the core, above all the writer, get it after one piece, and
/// not after all that are done until a rest is due.
pub const BREATH: Duration = Duration::from_nanos(1);

/// The shortest rest after heavy work, where there is only one core: what the runtime can sleep.
pub const REST_MIN: Duration = Duration::from_millis(1);

/// Queries of the past, and searches, that wait for the previous one, and for how long. Small networks are
/// rebuilt in less; for large ones the client must wait. A waiting request holds no thread, and its client
/// does not retry meanwhile.
pub const SINGLE_WAITING_MAX: usize = 512;
pub const SINGLE_WAIT: Duration = Duration::from_secs(2);

/// Cost of work, in units of a step of a walk, some tenth of a microsecond: a row that is shown; a command
/// read from the log; a command or snapshot row that goes into a state of the past.
pub const ROW_UNITS: u64 = 8;
pub const READ_UNITS: u64 = 8;
pub const REBUILD_UNITS: u64 = 16;

/// Slices that one page may take before it is answered partially, with a cursor: a million steps, some tens
/// of milliseconds of work.
pub const PAGE_SLICES_MAX: usize = if cfg!(test) { 2 } else { 256 };

/// Pages whose work resumes when their cursor comes back: in total, and of one principal. Each holds sums for
/// one page of members, some 100 KiB at worst. One that was dropped is restarted.
pub const UNFINISHED_PAGES_MAX: usize = 64;
pub const UNFINISHED_PAGES_OF_ONE_MAX: usize = 4;

/// Whole downlines and levels streamed at once; a further one is 503. Each keeps a queue, 20 MB at worst in a
/// network of ten million.
pub const BULK_STREAMS_MAX: usize = 16;

/// Slices that such a stream prefetches while earlier ones are printed: enough to hide the handoff between
/// threads (one would cost what it gains).
pub const BULK_SLICES_AHEAD: usize = 4;

/// Change feeds followed at once; a further one is 503. Each holds one batch, some megabytes at worst.
pub const EVENT_STREAMS_MAX: usize = 64;

/// An idle change feed sends a heartbeat after this long: below the usual timeout of proxies, a minute.
pub const EVENT_HEARTBEAT: Duration = Duration::from_secs(15);

/// Events that a change feed prints at once, on the thread that serves it: some 100 us. More are heavy work.
pub const EVENTS_AT_ONCE: usize = 8;

/// How often a waiting change feed checks for shutdown: well within the time that running requests get.
pub const EVENT_LOOK: Duration = Duration::from_secs(1);

/// `Retry-After` when another query of the past is running: a network of ten million takes longer, most do
/// not.
pub const RETRY_HISTORY_SECONDS: u32 = 2;

/// Lists up to this size are sent with a content length, as the original sends all lists; longer ones are
/// streamed in chunks.
pub const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// Batches at once; a further one is 503. Together they fill at most half of the write queue
/// (`BATCH_WINDOW`), so that single signups proceed.
pub const BATCHES_MAX: usize = 4;

/// Batches at once of one principal, where credentials are asked for: half of them, so that no service can
/// lock out all others.
pub const BATCHES_OF_PRINCIPAL_MAX: usize = BATCHES_MAX / 2;

/// A batch that has waited this long for its next line is evicted when another finds no seat. Networks and
/// busy clients pause for less.
pub const BATCH_IDLE: Duration = Duration::from_secs(2);

/// Minimum pace of a batch while another waits for its seat: lines per second of waiting for its client to
/// send or to read, measured over at least [`BATCH_PACE_TIME`] of such waiting. The server's own time does
/// not count. Anything slower is a single signup now and then.
pub const BATCH_PACE_LINES: u64 = 10;
pub const BATCH_PACE_TIME: Duration = Duration::from_secs(10);

/// Lines of one batch in flight: one group commit of the log.
pub const BATCH_WINDOW: usize = 1_024;

/// Bytes of one line of a batch; a longer one is answered with its own problem and skipped. The longest valid
/// line has some 500.
pub const BATCH_LINE_BYTES_MAX: usize = 4_096;

/// The same for orders: 64 lines with a few volumes each have some 8 KiB. A window of the largest orders
/// takes some 10 MiB while it waits for the log.
pub const ORDER_LINE_BYTES_MAX: usize = 32 * 1_024;

/// How far the time of an order or a refund may be ahead of the server's clock: clocks of shops differ.
/// Periods are opened as early.
pub const TIME_AHEAD_MAX: Duration = PERIODS_AHEAD;

/// Answers are handed over in pieces of about this many bytes.
pub const BATCH_PIECE_BYTES: usize = 32 * 1_024;

/// Pieces waiting for a client that sends but does not read: 4 MiB, some 25,000 answers, besides what sockets
/// hold. Beyond that, nothing more is read from it until it reads.
pub const BATCH_PIECES_MAX: usize = 128;

/// For work that grows with the network: snapshots, digests, recounts. Some seconds for ten million members;
/// on a busy machine, minutes.
pub const LONG_REQUEST_TIMEOUT: Duration = Duration::from_mins(10);

/// Bytes of an `Idempotency-Key`. UUIDs and hashes fit well.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// `Retry-After` under overload and while starting, in seconds: queues empty in fractions of one.
pub const RETRY_SOON_SECONDS: u32 = 1;

/// `Retry-After` when a restart is needed, or an operator must check the clock.
pub const RETRY_AFTER_RESTART_SECONDS: u32 = 30;

const _: () = assert!(SLICE_ROWS <= SLICE_STEPS && STREAM_ROWS <= SLICE_ROWS);
const _: () = assert!(
    EVENT_STREAMS_MAX + 8 <= LOG_READERS_MAX,
    "change feeds leave readers for explanations and the past"
);
const _: () = assert!(2 * BATCHES_MAX * BATCH_WINDOW <= crate::engine::limits::QUEUE_MAX);

impl Limits {
    /// Caps connections to the process's limit of open files.
    #[must_use]
    pub fn within_open_files(mut self, open_files_max: Option<usize>) -> Self {
        if let Some(files) = open_files_max {
            let available = files.saturating_sub(FILES_KEPT_BACK).max(files / 2);
            self.connections_max = self.connections_max.min(available).max(1);
        }
        self
    }
}

/// The process's soft limit of open files; `None` where there is none.
#[must_use]
pub fn open_files_max() -> Option<usize> {
    let soft = rlimit::Resource::NOFILE.get_soft().ok()?;
    (soft != rlimit::INFINITY).then(|| usize::try_from(soft).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        // open files, connections
        let table =
            [(None, 10_000), (Some(1_024), 688), (Some(100), 50), (Some(0), 1), (Some(1 << 20), 10_000)];
        for (files, connections) in table {
            assert_eq!(Limits::default().within_open_files(files).connections_max, connections, "{files:?}");
        }
    }
}
