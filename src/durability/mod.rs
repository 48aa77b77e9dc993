//! Durability: the layer of bytes. It appends, syncs, scans and loads, and knows no business rules.
//!
//! It knows the on-disk form of commands and of image rows, files, their names, their checksums, and which of
//! their bytes can have been acknowledged. It does not know what a command does, whether an outcome is right,
//! what time it is, who waits for an answer, threads other than the one that prepares log segments and the
//! one that encodes sealed orders, sockets or configuration files.
//!
//! # The files of a data directory
//!
//! ```text
//! instance                      the identity of this directory
//! lock                          locked while the directory is open, with `instance` and the directory itself
//! creating                      exists only until the directory is complete
//! log/00000000000000000001.log  segments, consecutively numbered; the last one or two are in use
//! archive/<number>.log          segments that no kept snapshot needs any more
//! archive/<lsn>.snap            older snapshots, from which past states are rebuilt: the base of the
//!                               retained log, and a few more
//! snapshots/<lsn>.snap          the two newest snapshots
//! orders/<month>/<seal>.parquet  sealed orders of a month, and `<seal>.refunds.parquet`, their refunds
//! orders/seals/<seal>.toml      the manifest of a seal, published last; `<seal>.sums`, checksums of blocks
//! order-ids/<first>-<last>.ids  the ids of sealed orders and refunds of these seals
//! network/<lsn>/                the members at the end of a sealed period
//! *.tmp                         unfinished; the next opening removes it if it holds nothing unique
//! damaged-<time>/               what a repair moved aside, with its report
//! snapshots/*.damaged           a snapshot that did not verify, set aside for the operator to inspect and
//!                               delete
//! ```
//!
//! The format is specified to the byte in `snapshots/README.md`.
//!
//! # Use
//!
//! 1. [`DataDir::create`], [`Creation::begin_snapshot`], push the rows of the first image,
//!    [`Creation::finish`].
//! 2. [`DataDir::open`]: build the state from [`Opened::snapshot`] and apply [`Opened::tail`], comparing the
//!    outcome hash before each group. Continue with [`Opened::journal`]: `append`, `sync`, apply, answer;
//!    after an idle moment `mark` and `sync`.
//! 3. Now and then, from a frozen view at LSN `n` and concurrently with everything else:
//!    [`SnapshotStore::begin`], push, publish with the log's durable LSN of that moment, at least `n`; then
//!    [`Journal::purge_prefix`] up to [`Published::oldest_kept_lsn`].
//!
//! 4. To read past states: [`SnapshotStore::base_of`] an LSN, and from there [`LogReader::read_range`] up to
//!    it.
//!
//! Dropping a journal does not sync: commands that were appended but not synced were never acknowledged.
//!
//! # Guarantees (`D1` to `D4` of the project's promises)
//!
//! - D1: what [`Journal::sync`] reports as durable survived a successful fdatasync of a file whose name was
//!   made durable before its first use.
//! - D2: opening yields the snapshot and then the commands after it in LSN order without a gap: everything
//!   that was ever durable, and a prefix of the groups in flight at a crash.
//! - D3: a damaged byte in the live log or in the snapshot in use is found when the directory is opened,
//!   before anything is served: the error names the file, offset, LSN and what would be lost, and nothing is
//!   changed. (A damaged newer snapshot loses nothing while the older one and the log after it are intact:
//!   the older one is used, and the damage reported.)
//! - D4: after the first failed write or sync of a segment with commands, the log accepts no more: it returns
//!   [`Error::PreviousIo`] and never retries. Preparing the next segment, which holds no commands, is retried
//!   until it succeeds; [`LogHealth`] reports it, and so does [`Error::NoRoom`] once the active one is full.

mod codec;
mod data_dir;
mod error;
mod format;
mod health;
pub mod inspect;
mod instance;
mod journal;
mod judgment;
mod leftovers;
mod lock;
mod log;
pub mod memory;
mod names;
mod paths;
mod pending;
mod recovery;
pub mod repair;
mod retained;
pub mod sealed;
mod snapshot;
pub mod storage;
pub mod surrounded;
mod unfinished;

#[cfg(test)]
mod test_data;
#[cfg(test)]
mod tests;

pub use self::{
    codec::{
        DecodeError, EncodeError, EncodedGroup, RECORD_BYTES_MAX, TEXT_BYTES_MAX, decode_group, encode_group,
        longest_text, record_bytes, record_bytes_bound,
    },
    data_dir::{Creation, DataDir, Genesis},
    error::{Damage, Error, Result},
    format::FORMAT_VERSION,
    health::{LogHealth, LogTrouble},
    instance::{Instance, InstanceId},
    journal::{ChainAt, Figures, Group, GroupReader, HardState, Journal, LogReader, Purged},
    judgment::past,
    log::{
        FileJournal, LOG_READERS_MAX, LogOptions, Retention, SEGMENT_BYTES, SEGMENT_BYTES_MAX,
        SEGMENT_BYTES_MIN,
    },
    pending::PendingCut,
    recovery::{Opened, Report, TornTail},
    snapshot::{
        ARCHIVED_SNAPSHOTS_MAX, CHUNK_ROWS_MAX, ChunkSeen, Manifest, Published, SNAPSHOTS_KEPT,
        SnapshotReader, SnapshotSeen, SnapshotStore, SnapshotWriter, inspect_snapshot,
    },
};
// For benchmarks that do to the bare disk what the log does to it.
pub(crate) use self::log::{fill_with_zeros, frame_bytes};
#[cfg(any(test, fuzzing))]
pub(crate) use self::{
    log::fuzzing::{frame, reseal_segment},
    snapshot::fuzzing::reseal_snapshot,
};
