//! The rules: a deterministic function from (state, LSN, time, command) to an outcome.
//!
//! This layer does no I/O and knows no clock, chance, lock, thread of its own, float or wire format. Time, generated ids and everything
//! else that is not determined come in with the command. Rayon is used in `recompute` and `recount` alone, for work whose result
//! does not depend on the number of threads.
//!
//! In reading order: the words (`types`, `command`, `plan`, `image`), the state and what changes it (`state`, `signup`,
//! `bonus`, `change`, `prepare`), what it is made of (`column`, `members`, `genealogy`, `tour`, `placement`, `codes`, `ledger`, `keys`, `rank`), what
//! can be asked of it (`query`, `walk`, `window`, `received`, `explain`, `graph`), and the second way to every number (`restore`, `recompute`,
//! `recount`, `audit`, `digest`).

pub mod command;
pub mod image;
pub mod plan;
pub mod types;

pub mod state;

mod bonus;
mod change;
mod prepare;
mod signup;

mod codes;
mod column;
mod genealogy;
mod keys;
mod ledger;
mod members;
mod placement;
mod rank;
mod row_ids;
pub(crate) mod steps;
mod tour;
mod unchanged;
mod warm;

mod explain;
pub mod graph;
mod query;
mod received;
mod registration;
mod walk;
mod window;

mod audit;
mod digest;
mod recompute;
mod recount;
mod restore;

pub use self::{
    audit::audit,
    bonus::ShareFate,
    digest::{Digest, network_digest, state_digest, state_digest_of_format_1},
    explain::{EntryKind, ExplainedShare, RankNeed, RankReached, Walk},
    genealogy::Preorder,
    keys::{KEY_TIME, KEYS_MAX},
    ledger::Entry,
    prepare::{Need, Preparation},
    query::{Member, MemoryUse, RankView},
    rank::{ADMIN_LEVELS_MAX, NextRank},
    received::{Brought, Received, ReceivedSums, SUM_LEVELS_MAX, Sum},
    recompute::{
        counts as recomputed_counts, on_threads, ranks as recomputed_ranks, ranks_from as recomputed_ranks_from,
        ranks_under as recomputed_ranks_under,
    },
    recount::Counts,
    restore::Restore,
    row_ids::RowKind,
    signup::ADMINS_MAX,
    unchanged::{UNCHANGED_MAX, Unchanged},
    walk::{BreadthFirst, LEVEL_ORDER_WORDS, LevelOrder},
    window::{EMPTY_SLOTS_NAMED_MAX, WindowMember, WindowSize},
};
