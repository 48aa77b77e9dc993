//! Every bound of a setting that users can run into, with assertions between them.

use crate::durability;

/// Commands between two snapshots: fewer would rewrite the whole network every few seconds under load.
pub const SNAPSHOT_COMMANDS_MIN: u64 = 1_000;
/// Seconds between two snapshots, for the same reason.
pub const SNAPSHOT_SECONDS_MIN: u64 = 10;
/// A month: a higher value is a typo.
pub const SNAPSHOT_SECONDS_MAX: u64 = 31 * 24 * 3_600;
/// Bytes of one log segment: room for many full groups, so that rotation is rare.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// Segments are filled with zeros before their first use and read into memory by recovery.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// Bytes of a request body. A signup takes some 150.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Seconds to receive a request's header, so that silent connections cannot pile up.
pub const HEADER_SECONDS: u64 = 5;
/// Seconds to receive a request's body.
pub const BODY_SECONDS: u64 = 10;
/// Default limit on connections: each costs some 20 KiB and a file descriptor.
pub const CONNECTIONS_DEFAULT: usize = 10_000;
pub const CONNECTIONS_MAX: usize = 1_000_000;
/// Default limit on connections per address: ten addresses cannot fill the server, and no gateway needs more.
pub const CONNECTIONS_PER_ADDRESS_DEFAULT: usize = 1_024;
/// Seconds to drain running requests at shutdown: leaves three of the ten that most supervisors wait before
/// they kill.
pub const DRAIN_SECONDS_DEFAULT: u64 = 7;
pub const DRAIN_SECONDS_MAX: u64 = 600;
/// Seconds that the clock may jump between two commands: more than NTP steps and leap seconds need.
pub const CLOCK_JUMP_SECONDS_MIN: u64 = 10;
/// A day: a larger bound would keep nothing out; use 0 for no bound.
pub const CLOCK_JUMP_SECONDS_MAX: u64 = 24 * 3_600;

const _: () =
    assert!(SEGMENT_BYTES_MIN <= SEGMENT_BYTES_DEFAULT && SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX);
const _: () = assert!(
    4 * BODY_BYTES_MAX as u64 <= SEGMENT_BYTES_MIN,
    "the smallest segment holds several of the largest requests"
);
const _: () = assert!(HEADER_SECONDS <= BODY_SECONDS, "a body may take at least as long as its header");
const _: () = assert!(
    HEADER_SECONDS <= DRAIN_SECONDS_DEFAULT,
    "a request that just began can end while the server stops"
);
const _: () = assert!(
    durability::SEGMENT_BYTES_MIN <= SEGMENT_BYTES_MIN && SEGMENT_BYTES_MAX <= durability::SEGMENT_BYTES_MAX
);
const _: () = assert!(SNAPSHOT_SECONDS_MIN < SNAPSHOT_SECONDS_MAX && CONNECTIONS_DEFAULT <= CONNECTIONS_MAX);
