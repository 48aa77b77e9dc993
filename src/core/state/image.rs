//! A network as plain rows: what a snapshot or an importer must keep to rebuild the state, and nothing that
//! can be computed.
//!
//! The durability layer gives these rows a versioned form on disk; it knows their fields, not their meaning.

use crate::core::{ledger::breakage::Breakage, network::codes::CodeKey, plan::Plan, words::types::Timestamp};

pub use crate::core::{
    ledger::{
        once::OnceRow,
        row_ids::RowIdRow,
        rows::{EntryRow, ReferenceRow, ReversalRow, TriggerRow},
    },
    network::rows::{CodeRow, MemberRow},
    requests::rows::{KeyRow, UnchangedRow},
};

/// The scalars of a state, and the number of rows of each section.
#[derive(Clone, PartialEq, Debug)]
pub struct ImageHeader {
    /// All commands up to and including this one are in the image.
    pub lsn: u64,
    /// Log time of that command.
    pub time: Timestamp,
    /// Microseconds of log time that did not count toward the expiry of idempotency keys, never negative.
    pub key_lag: i64,
    /// Rolling hash over the outcomes of all commands so far.
    pub outcome_hash: u64,
    /// How generated referral codes are made; decided when the network was created.
    pub code_key: CodeKey,
    pub plan: Plan,
    /// Number of plans activated, the first included.
    pub plan_version: u32,
    /// Names of entry kinds in order of first use; rows refer to positions here.
    pub kinds: Vec<Box<str>>,
    /// Levels not paid because their receiver may not earn, and their total amount.
    pub breakage_levels: u64,
    pub breakage_amount: i64,
    /// Breakage is itemized since this LSN, if it is.
    pub itemized_from: Option<u64>,
    pub breakage: Breakage,
    pub members: u32,
    pub codes: u32,
    pub triggers: u32,
    pub entries: u32,
    pub keys: u32,
    pub unchanged: u32,
    pub row_ids: u32,
    pub references: u32,
    pub reversals: u32,
    pub once: u32,
    /// All commands after this LSN that changed nothing are among the rows.
    pub unchanged_after: u64,
}

impl ImageHeader {
    /// The number of rows of each section, in the order of [`ImageRows`].
    pub fn counts(&self) -> [u32; SECTIONS] {
        [
            self.members,
            self.codes,
            self.triggers,
            self.entries,
            self.keys,
            self.unchanged,
            self.row_ids,
            self.references,
            self.reversals,
            self.once,
        ]
    }
}

/// Sections of rows.
pub const SECTIONS: usize = 10;

/// Rows of one section, in index order. Sections follow each other in the order of the variants; each may
/// come in many chunks.
#[derive(Clone, PartialEq, Debug)]
pub enum ImageRows {
    Members(Vec<MemberRow>),
    Codes(Vec<CodeRow>),
    Triggers(Vec<TriggerRow>),
    Entries(Vec<EntryRow>),
    Keys(Vec<KeyRow>),
    Unchanged(Vec<UnchangedRow>),
    RowIds(Vec<RowIdRow>),
    References(Vec<ReferenceRow>),
    Reversals(Vec<ReversalRow>),
    Once(Vec<OnceRow>),
}

impl ImageRows {
    /// Number of rows. O(1).
    pub fn len(&self) -> usize {
        match self {
            ImageRows::Members(rows) => rows.len(),
            ImageRows::Codes(rows) => rows.len(),
            ImageRows::Triggers(rows) => rows.len(),
            ImageRows::Entries(rows) => rows.len(),
            ImageRows::Keys(rows) => rows.len(),
            ImageRows::Unchanged(rows) => rows.len(),
            ImageRows::RowIds(rows) => rows.len(),
            ImageRows::References(rows) => rows.len(),
            ImageRows::Reversals(rows) => rows.len(),
            ImageRows::Once(rows) => rows.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of the section, from 0.
    pub fn section(&self) -> usize {
        match self {
            ImageRows::Members(_) => 0,
            ImageRows::Codes(_) => 1,
            ImageRows::Triggers(_) => 2,
            ImageRows::Entries(_) => 3,
            ImageRows::Keys(_) => 4,
            ImageRows::Unchanged(_) => 5,
            ImageRows::RowIds(_) => 6,
            ImageRows::References(_) => 7,
            ImageRows::Reversals(_) => 8,
            ImageRows::Once(_) => 9,
        }
    }
}
