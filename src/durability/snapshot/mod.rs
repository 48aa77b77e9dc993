//! Snapshots: the primary rows of a state at one LSN, in one file each.
//!
//! A file is a header, chunks and a manifest. A chunk is one rkyv archive of at most some megabytes (rkyv
//! panics beyond 2 GiB, and its validation protects memory, not data). Each chunk has its own checksum, which
//! is verified before the archive is accessed, and then only through checked access. The manifest comes last:
//! without it the file is not a snapshot. The bytes are in `snapshots/README.md`.
//!
//! The log holds no marks about snapshots. A snapshot counts if its file verifies; its manifest says how far
//! the log was durable when it was published. Segments are retired by the older of the two snapshots kept, so
//! that either of them and the log after it are complete.

mod archive;
mod container;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod header;
mod inspect;
mod read;
mod relabel;
mod rows;
mod seals;
mod store;
mod write;

pub use self::{
    archive::ARCHIVED_SNAPSHOTS_MAX,
    container::{CHUNK_ROWS_MAX, Manifest},
    inspect::{ChunkSeen, SnapshotSeen, inspect_snapshot},
    read::SnapshotReader,
    store::{Published, SNAPSHOTS_KEPT, SnapshotStore},
    write::SnapshotWriter,
};
pub(crate) use self::{
    archive::{drop_bases_below, has_base},
    relabel::relabel,
    seals::seals_in,
    store::of_another_history,
};
