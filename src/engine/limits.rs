//! Every bound of this layer, with its reason.

use std::time::Duration;

/// Writes that may wait for the writer. At the 40,000 signups/s aimed at this is some 200 ms of work: a
/// longer queue would only turn overload into answers that come after the client gave up.
pub const QUEUE_MAX: usize = 8_192;

/// The longest queue that may be configured: at some 200 bytes each this is 200 MiB of waiting writes, and
/// far beyond any use.
pub const QUEUE_LIMIT: usize = 1 << 20;

/// Commands in one group. Larger groups no longer save syncs that matter, and lengthen the wait of whoever
/// comes just after.
pub const GROUP_COMMANDS_MAX: usize = 4_096;

/// Bytes of commands in one group, estimated: a group is encoded into one buffer, and plans are the only
/// large commands.
pub const GROUP_BYTES_MAX: usize = 1 << 20;

/// Commands applied under one hold of the write lock. Some 256 us at a million signups a second, so that
/// readers wait well under a millisecond however large the group is.
pub const APPLY_SLICE_MAX: usize = 256;

/// How long the log must have been silent before a mark frame closes it, so that a sector lost inside the
/// last acknowledged group can no longer look like a torn tail.
pub const IDLE_MARK_AFTER: Duration = Duration::from_secs(1);

/// How often the ticker looks at the clock: fine enough for [`IDLE_MARK_AFTER`], and four wake-ups a second
/// cost nothing.
pub const TICK: Duration = Duration::from_millis(250);

/// How far the wall clock may jump from one command to the next, unless told otherwise. Corrections of a
/// clock that is kept by NTP are far below; a clock that was set wrongly, by hours or years, is beyond.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_mins(10);

/// How often histograms are drained; without it their samples pile up until somebody scrapes.
pub const METRICS_UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Shards of each directory map. With the default few, one shard's growth stalls everybody for tens of
/// milliseconds at ten million members; with this many each holds some ten thousand.
pub const DIRECTORY_SHARDS: usize = 1_024;

/// Rows that go to the snapshot writer at once: some 2 MiB of members, small enough that pacing has something
/// to pace.
pub const SNAPSHOT_ROWS_MAX: usize = 32_768;

/// Steps of a frozen copy, some 64 KiB each, between two short holds of the write lock in which what was kept
/// for the copied parts is given back. That is a region (32 MiB) at a time, so more often would find nothing.
pub const RELEASE_EVERY_STEPS: usize = 512;

/// Threads that compute a snapshot's digests while the network serves: one, so that the writer finds a core
/// free on any machine.
pub const SNAPSHOT_THREADS: usize = 1;

/// While writes come in, the snapshotter rests as long as its last chunk took, but at most this long.
pub const SNAPSHOT_REST_MAX: Duration = Duration::from_millis(50);

/// How long to wait after a failed snapshot before the next one that nobody asked for: a full disk does not
/// get better by trying.
pub const SNAPSHOT_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Requests that may wait for one snapshot. They share it, so only their channels cost memory.
pub const SNAPSHOT_WAITERS_MAX: usize = 1_024;

/// Commands after which a snapshot is made, unless told otherwise: some seconds of replay at most.
pub const SNAPSHOT_EVERY_COMMANDS: u64 = 1_000_000;

/// Time after which a snapshot is made if anything changed, unless told otherwise.
pub const SNAPSHOT_EVERY: Duration = Duration::from_mins(15);

/// How long stopping waits before it asks again for a place in a full queue: the writer makes room in
/// milliseconds.
pub const DRAIN_RETRY: Duration = Duration::from_millis(1);

/// How long a thread that was told to give up may take to notice when stopping has run out of time: a few
/// chunks of a snapshot.
pub const GIVE_UP_AFTER: Duration = Duration::from_millis(200);

/// How long a state of the past is kept after it was last asked for. Whoever looks around in the past asks
/// again within a minute, and the memory is that of a whole network.
pub const HISTORY_IDLE: Duration = Duration::from_mins(1);

/// How long a question about the past waits for one before it. Small networks are rebuilt in less; for large
/// ones waiting is the client's.
pub const HISTORY_WAIT: Duration = Duration::from_secs(2);

/// Questions about the past that may wait: each holds a thread that may block.
pub const HISTORY_WAITERS_MAX: usize = 16;

/// How often a waiting question looks whether the state of the past is free.
pub const HISTORY_RETRY: Duration = Duration::from_millis(5);

/// How long an answer about the past is worked on before it gives way: it rests as long as it worked, while
/// writes come in.
pub const HISTORY_STRETCH: Duration = Duration::from_millis(2);

/// How long it rests at most.
pub const HISTORY_REST_MAX: Duration = Duration::from_millis(50);

/// Commands that a change feed reads before it hands them out (and the rest of the group that the last one is
/// in): some milliseconds of reading, and half a megabyte of signups.
pub const FEED_BATCH_COMMANDS: usize = 1_024;

/// Events whose effects are looked up under one hold of the read lock.
pub const FEED_EFFECTS_MAX: usize = 256;

/// Commands that are read for one page of the audit, at most: some tens of milliseconds. A page may come to
/// less than was asked for.
pub const AUDIT_SCAN_COMMANDS: u64 = 1 << 16;

/// Commands that are read to find the one that marked an entry paid, or a member's signup: at most a second
/// of reading. Beyond, the answer says how far was looked.
pub const EXPLAIN_SCAN_COMMANDS: u64 = 1 << 18;

/// Members that a plan change or a new admin touches at least for its effect to be prepared ahead. Fewer take
/// some milliseconds.
pub const PREPARE_FROM_MEMBERS: u32 = 10_000;

/// Small steps of a preparation under one hold of the read lock: about a millisecond.
pub const PREPARATION_STEPS: usize = 1_024;

/// Threads that compute a preparation beside a network that serves: one, as for a snapshot's digests.
pub const PREPARATION_THREADS: usize = 1;

/// Commands between two calls of the progress callback while opening.
pub const PROGRESS_EVERY_COMMANDS: u64 = 65_536;

const _: () = assert!(APPLY_SLICE_MAX <= GROUP_COMMANDS_MAX, "a slice is a part of a group");
const _: () = assert!(GROUP_COMMANDS_MAX <= QUEUE_MAX, "a full group can be waiting");
const _: () = assert!(QUEUE_MAX <= QUEUE_LIMIT, "the default is within the limit");
const _: () =
    assert!(1_024 <= DIRECTORY_SHARDS && DIRECTORY_SHARDS.is_power_of_two(), "dashmap wants a power of two");
