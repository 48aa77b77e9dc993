//! Every limit of this layer, with its reason.

use std::time::Duration;

/// Writes that may wait for the writer. At the target of 40,000 signups/s this is some 200 ms of work: a
/// longer queue would only turn overload into answers after the client's timeout.
pub const QUEUE_MAX: usize = 8_192;

/// The longest queue that may be configured: at some 200 bytes each this is 200 MiB of waiting writes, far
/// more than is useful.
pub const QUEUE_LIMIT: usize = 1 << 20;

/// Commands in one group. Larger groups save no significant number of syncs, and delay the next command.
pub const GROUP_COMMANDS_MAX: usize = 4_096;

/// Bytes of commands in one group, estimated: a group is encoded into one buffer, and plans are the only
/// large commands.
pub const GROUP_BYTES_MAX: usize = 1 << 20;

/// Commands applied under one hold of the write lock. Some 64 us at a million signups a second, so that
/// readers wait well under a millisecond however large the group is. What the commands of a slice touch is
/// prefetched before: more than this, and it would no longer be in the nearest caches when it is used.
pub const APPLY_SLICE_MAX: usize = 64;

/// Idle time of the log before a mark frame closes it, so that a sector lost inside the last acknowledged
/// group can no longer look like a torn tail.
pub const IDLE_MARK_AFTER: Duration = Duration::from_secs(1);

/// The ticker's period: fine enough for [`IDLE_MARK_AFTER`], and four wake-ups a second cost nothing.
pub const TICK: Duration = Duration::from_millis(250);

/// How far the wall clock may jump between two commands, by default. NTP corrections are far smaller; a
/// wrongly set clock, off by hours or years, is far beyond.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_mins(10);

/// How often histograms are drained; otherwise their samples pile up until the next scrape.
pub const METRICS_UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Shards of each directory map. With the default few, growing one shard stalls all threads for tens of
/// milliseconds at ten million members; with this many each holds some ten thousand.
pub const DIRECTORY_SHARDS: usize = 1_024;

/// Rows per chunk of a snapshot: some 2 MiB of members, small enough for pacing to take effect.
pub const SNAPSHOT_ROWS_MAX: usize = 32_768;

/// Frozen views made at once: a run, a what-if, a snapshot, and a digest. Each may take a copy of what can
/// change in the parts that it names. The next one waits until one of them is made.
pub const FROZEN_VIEWS_MAX: usize = 4;

/// Steps of a frozen copy, some 64 KiB each, between two short holds of the write lock that free what was
/// kept for the copied parts. A region (8 MiB) is freed at a time, so a shorter interval would find nothing.
pub const RELEASE_EVERY_STEPS: usize = 128;

/// Threads that compute a snapshot's digests while serving: one, so that the writer finds a core free on any
/// machine.
pub const SNAPSHOT_THREADS: usize = 1;

/// While writes come in, the snapshotter rests as long as its last chunk took, but at most this long.
pub const SNAPSHOT_REST_MAX: Duration = Duration::from_millis(50);

/// Delay after a failed snapshot before the next automatic one: retrying does not help a full disk.
pub const SNAPSHOT_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Requests that may wait for one snapshot. They share it, so only their channels cost memory.
pub const SNAPSHOT_WAITERS_MAX: usize = 1_024;

/// Commands between automatic snapshots, by default: some seconds of replay at most.
pub const SNAPSHOT_EVERY_COMMANDS: u64 = 1_000_000;

/// Time after which a snapshot is made if anything changed, by default.
pub const SNAPSHOT_EVERY: Duration = Duration::from_mins(15);

/// How long shutdown waits before it retries a full queue: the writer makes room in milliseconds.
pub const DRAIN_RETRY: Duration = Duration::from_millis(1);

/// How long a thread may take to notice that it was told to give up when shutdown ran out of time: a few
/// chunks of a snapshot.
pub const GIVE_UP_AFTER: Duration = Duration::from_millis(200);

/// How long a past state is cached after its last use. A user who explores the past comes back within a
/// minute, and the memory is that of a whole network.
pub const HISTORY_IDLE: Duration = Duration::from_mins(1);

/// How long a query about the past waits for the one before it. Small networks are rebuilt in less; for large
/// ones the client must retry.
pub const HISTORY_WAIT: Duration = Duration::from_secs(2);

/// Queries about the past that may wait: each occupies a blocking thread.
pub const HISTORY_WAITERS_MAX: usize = 16;

/// How often a waiting query checks whether the past state is free.
pub const HISTORY_RETRY: Duration = Duration::from_millis(5);

/// How long an answer about the past works before it yields: it rests as long as it worked, while writes come
/// in.
pub const HISTORY_STRETCH: Duration = Duration::from_millis(2);

/// Threads that rebuild a past state: one, as for a snapshot's digests.
pub const HISTORY_THREADS: usize = 1;

/// The longest such rest.
pub const HISTORY_REST_MAX: Duration = Duration::from_millis(50);

/// Commands per batch of a change feed (plus the rest of the last one's group): some milliseconds of reading,
/// and half a megabyte of signups.
pub const FEED_BATCH_COMMANDS: usize = 1_024;

/// Looking up the effect of a command, in cheap steps, without those of an order's lines and bookings.
pub const EVENT_STEPS: usize = 16;

/// Steps of looking up effects under one hold of the read lock: those of 256 commands, or of fewer orders.
pub const FEED_STEPS_MAX: usize = 256 * EVENT_STEPS;

/// Commands read for one page of the audit, at most: some tens of milliseconds. A page may be shorter than
/// requested.
pub const AUDIT_SCAN_COMMANDS: u64 = 1 << 16;

/// Commands read to find the one that marked an entry paid, or a member's signup: at most a second of
/// reading. Beyond that, the answer says how far the search went.
pub const EXPLAIN_SCAN_COMMANDS: u64 = 1 << 18;

/// Affected members from which a plan change or a new admin is prepared ahead. Fewer take some milliseconds.
pub const PREPARE_FROM_MEMBERS: u32 = 10_000;

/// Small steps of a preparation under one hold of the read lock: about a millisecond.
pub const PREPARATION_STEPS: usize = 1_024;

/// Threads that compute a preparation while serving: one, as for a snapshot's digests.
pub const PREPARATION_THREADS: usize = 1;

/// Chunks whose sums are computed for one moment of the network: what may change in them is copied under one
/// hold of the read lock, at most a millisecond.
pub const SUMS_CAPTURED_MAX: usize = 256;

/// Stale sums up to which the network digest is computed of the network itself, on one thread: some 0.1 s of
/// work where members changed, at most two where all are of bonuses. Beyond, a frozen view and all cores but
/// one are quicker.
pub const SUMS_STALE_MAX: usize = 8_192;

/// Captures after which a frozen view is taken, since signups make sums stale as fast as these are computed.
pub const SUMS_CAPTURES_MAX: usize = 2 * SUMS_STALE_MAX / SUMS_CAPTURED_MAX;

/// Sums given back under one hold of the write lock: some 10 us.
pub const SUMS_KEPT_AT_ONCE: usize = 1_024;

/// Stale sums from which an idle engine computes them. A digest does not notice fewer: 1 to 10 ms.
pub const SUMS_REFRESHED_FROM: usize = 64;

/// How long before its start a period is opened: as far ahead of the clock as the time of an order may be, so
/// that each finds its period.
pub const PERIODS_AHEAD: Duration = Duration::from_mins(5);

/// Periods opened or closed in one group, so that writes of others wait for milliseconds at most.
pub const PERIODS_AT_ONCE: usize = 256;

/// Periods of a calendar that may be missing: eleven years of days. More mean a wrong date in the plan or a
/// wrong clock, and periods that were opened stay for ever.
pub const PERIODS_MISSING_MAX: usize = 4_096;

/// When the next period of a calendar could not be computed, how long until it is tried again.
pub const PERIODS_RETRY_AFTER: Duration = Duration::from_mins(1);

/// How often a refund is submitted again because its order was sealed in front of it. Each time takes another
/// seal, which lasts far longer than a refund.
pub const SEALED_MEANWHILE_MAX: usize = 3;

/// Commands between two calls of the progress callback while opening.
pub const PROGRESS_EVERY_COMMANDS: u64 = 65_536;

const _: () = assert!(APPLY_SLICE_MAX <= GROUP_COMMANDS_MAX, "a slice is a part of a group");
const _: () = assert!(GROUP_COMMANDS_MAX <= QUEUE_MAX, "a full group can be waiting");
const _: () = assert!(QUEUE_MAX <= QUEUE_LIMIT, "the default is within the limit");
const _: () =
    assert!(1_024 <= DIRECTORY_SHARDS && DIRECTORY_SHARDS.is_power_of_two(), "dashmap wants a power of two");
