//! The log as the engine knows it: what every log promises, wherever its bytes are.
//!
//! A log of files in one directory implements it (`log/journal.rs`). Another may keep its commands in a
//! cluster of machines. Nothing here names a file, a path or a segment of one; nothing above this layer may
//! assume that a log is local.
//!
//! There is one writer, a [`Journal`], and any number of readers: [`LogReader`]s, which hand out
//! [`GroupReader`]s.

use std::{fmt::Debug, sync::Arc};

use super::{codec::EncodedGroup, error::Result, health::LogHealth};
use crate::core::{command::Stamped, types::Timestamp};

/// The writer's end of a log of groups of commands.
///
/// A command is *durable* once it survives whatever the log promises to survive: a power loss of this
/// machine, or the loss of some machines of a cluster. Only durable commands are read, applied and answered.
pub trait Journal: Send + Debug {
    /// Hands a group to the log, whose LSNs are consecutive and continue it. It is not durable yet: several
    /// groups may be appended before one `sync`. `outcome_hash_before` is the rolling hash over the outcomes
    /// of all commands before the group, as far as the caller has applied them: replay must reproduce it. An
    /// empty group changes nothing.
    ///
    /// # Errors
    /// `OutOfOrder`, `GroupTooLarge`, `Unstorable`, `NoRoom`, `ReadOnly`: nothing was written; after `NoRoom`
    /// the call may be retried. After any other error it is unknown what was written: every later call that
    /// writes fails with `PreviousIo`, and only opening the log again tells.
    fn append(&mut self, group: &[Stamped], outcome_hash_before: u64) -> Result<()>;

    /// The same of commands that are encoded already.
    ///
    /// # Errors
    /// As `append`.
    fn append_encoded(&mut self, group: &EncodedGroup, outcome_hash_before: u64) -> Result<()>;

    /// Makes everything appended durable; returns the last durable LSN. Blocks until it is.
    ///
    /// # Errors
    /// `ReadOnly`; any other as `append`: a failed sync is never retried, and its commands may or may not
    /// become durable.
    fn sync(&mut self) -> Result<u64>;

    /// Writes a commit mark, which records in the log itself how far it is durable. Call it after an idle
    /// moment, since nothing else tells the log that its last group was acknowledged. Returns whether it
    /// wrote anything, which the next `sync` makes durable; it does not if the log already says so.
    ///
    /// # Errors
    /// As `append`.
    fn mark(&mut self, outcome_hash: u64) -> Result<bool>;

    /// Returns what the log remembers across restarts besides its commands. O(1).
    fn hard_state(&self) -> HardState;

    /// Returns a reader, for any thread.
    fn reader(&self) -> Arc<dyn LogReader>;

    /// Raises the retention floor: nothing up to `up_to` is needed to serve any more. What is not needed may
    /// be kept for history and dropped later, as the log's retention policy says; but the state at `needed`,
    /// if any, can be rebuilt from what is kept.
    ///
    /// # Errors
    /// `ReadOnly`; any other leaves the log usable, and the next call retries.
    fn purge_prefix(&mut self, up_to: u64, needed: Option<u64>) -> Result<Purged>;

    /// Returns sizes, for status and metrics.
    fn figures(&self) -> Figures;

    /// Returns whether the log will have room for more; may be read from any thread.
    fn health(&self) -> LogHealth;

    /// Returns the most bytes of a group's records (`codec::record_bytes`) that `append` accepts.
    fn group_bytes_max(&self) -> usize;
}

/// What a log must remember, besides its commands, for its promises to hold after a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    /// The term of the writer. A log that several processes may write gives each new writer a higher term,
    /// and refuses what writers of earlier ones still append. 0 where a lock makes sure that there is only
    /// one.
    pub term: u64,
    /// Everything up to here is durable and was or may have been acknowledged: a log that ends before it has
    /// lost commands.
    pub durable_lsn: u64,
}

/// Reads a log concurrently with its writer, from any thread.
pub trait LogReader: Send + Sync + Debug {
    /// Returns the first LSN that can be read: what came before is not retained.
    fn oldest_lsn(&self) -> u64;

    /// Returns the last LSN that can be read.
    fn durable_lsn(&self) -> u64;

    /// Returns whether the log is retained from its very first command on.
    fn is_whole(&self) -> bool;

    /// Returns the groups from the one that holds `first` up to the one that holds `last`, as far as they are
    /// durable now. What the outer groups hold beyond that is left out.
    ///
    /// # Errors
    /// `BelowRetained` if the log does not reach back to `first`; `TooManyReaders`.
    fn read_range(&self, first: u64, last: u64) -> Result<Box<dyn GroupReader>>;

    /// As [`LogReader::read_range`], up to what is durable now.
    ///
    /// # Errors
    /// As `read_range`.
    fn read_from(&self, first: u64) -> Result<Box<dyn GroupReader>> {
        self.read_range(first, u64::MAX)
    }

    /// Returns the last durable LSN whose log time is `time` or earlier.
    ///
    /// # Errors
    /// `BelowRetained` if that is before the retained log; as [`GroupReader::next_into`].
    fn lsn_at(&self, time: Timestamp) -> Result<u64>;

    /// Returns the chain after the durable command `lsn`, which tells apart two histories that share their
    /// LSNs.
    ///
    /// # Errors
    /// `BelowRetained` if the log does not continue from `lsn`; as [`GroupReader::next_into`].
    fn chain_at(&self, lsn: u64) -> Result<ChainAt>;
}

/// Groups in LSN order. Ends after an error.
pub trait GroupReader: Iterator<Item = Result<Group>> + Send + Debug {
    /// Reads the next group into `group`, reusing its memory. Returns false at the end.
    ///
    /// # Errors
    /// `Damaged` if the log differs from what was written, `BelowRetained` if it was dropped meanwhile, `Io`.
    fn next_into(&mut self, group: &mut Group) -> Result<bool>;

    /// Lets a reader that reached its end continue up to what is durable now: for followers of the log.
    fn extend(&mut self);
}

/// One group, as appended.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Group {
    /// Rolling hash over the outcomes of all commands before the group. `None` if the reader was asked to
    /// begin inside it.
    pub outcome_hash_before: Option<u64>,
    /// Never empty; the LSNs are consecutive.
    pub commands: Vec<Stamped>,
}

/// The chain after a command: a hash over all commands up to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainAt {
    /// `None` if the log there is older than chains are.
    pub chain: Option<u64>,
    /// Whether the chain begins right here: what an older release wrote about this LSN has none.
    pub begins: bool,
}

/// The result of raising the retention floor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Purged {
    /// Segments that only history needs from now on.
    pub archived: u64,
    /// Segments dropped.
    pub deleted: u64,
}

/// Sizes of a log. A log that is not made of segments counts as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Segments above the retention floor, and their bytes.
    pub live_segments: u64,
    pub live_bytes: u64,
    /// Segments below it that are still kept, and their bytes.
    pub archived_segments: u64,
    pub archived_bytes: u64,
}
