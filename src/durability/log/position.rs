//! A place between two frames of a segment.

use crate::core::types::Timestamp;

/// The state after the last frame that verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    /// Offset of the next frame.
    pub offset: u64,
    pub next_lsn: u64,
    /// CRC that the next frame must name.
    pub previous_crc: u32,
    /// The highest durable LSN that a frame or a header recorded.
    pub durable_lsn: u64,
    /// Log time of the newest command.
    pub time: Timestamp,
    pub sealed: bool,
    /// The chain after the last command; none in a segment before version 3.
    pub chain: Option<u64>,
}
