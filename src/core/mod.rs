//! The rules: a deterministic function from (state, LSN, time, command) to an outcome.
//!
//! This layer does no I/O and knows no clock, chance, lock, thread of its own, float or wire format. Time,
//! generated ids and everything else that is not determined come in with the command. Rayon is used in
//! `recompute` and `recount` alone, for work whose result does not depend on the number of threads.
//!
//! In reading order: the words (`types`, `actor`, `command`, `plan`, `image`), the state and what changes it
//! (`state`, `signup`, `bonus`, `payout`, `change`, `prepare`), what it is made of (`column`, `members`,
//! `genealogy`, `siblings`, `tour`, `placement`, `full`, `codes`, `ledger`, `late`, `order`, `keys`, `rank`),
//! what can be asked of it (`query`, `walk`, `window`, `listed`, `received`, `roster`, `explain`, `graph`),
//! and the second way to every number (`restore`, `recompute`, `recount`, `audit`, `digest`).

pub mod command;
pub mod image;
pub mod plan;
pub mod types;

pub mod state;

mod actor;
mod bonus;
mod change;
mod payout;
mod prepare;
mod signup;

mod codes;
mod column;
mod full;
mod genealogy;
mod keys;
mod late;
mod ledger;
mod members;
mod order;
mod placement;
mod rank;
mod references;
pub(crate) mod region;
mod reversals;
mod row_ids;
mod settled;
pub(crate) mod siblings;
pub(crate) mod steps;
mod tour;
mod unchanged;
mod warm;

mod explain;
pub mod graph;
mod listed;
mod query;
mod received;
mod registration;
mod roster;
mod walk;
mod window;

mod audit;
mod digest;
mod recompute;
mod recount;
mod restore;

pub use self::{
    actor::{ACTOR_ID_BYTES_MAX, Actor, ActorKind},
    audit::audit,
    bonus::ShareFate,
    codes::{CodeForm, CodeKey},
    digest::{Digest, network_digest, state_digest, state_digest_of_format_1},
    explain::{EntryKind, ExplainedShare, RankNeed, RankReached, Walk},
    genealogy::Preorder,
    keys::{KEY_STEP_MAX, KEY_TIME, KEYS_MAX},
    ledger::Entry,
    listed::{EntryFilter, Listed, ReceivedWalk},
    payout::Payout,
    prepare::{Need, Preparation},
    query::{Member, MemoryUse, RankView},
    rank::{ADMIN_LEVELS_MAX, NextRank},
    received::{Brought, ReceivedSums, SUM_LEVELS_MAX, Sum},
    recompute::{
        counts as recomputed_counts, on_threads, ranks as recomputed_ranks,
        ranks_from as recomputed_ranks_from, ranks_under as recomputed_ranks_under,
    },
    recount::Counts,
    restore::Restore,
    roster::{MemberFilter, Roster, RosterOrder},
    row_ids::RowKind,
    signup::ADMINS_MAX,
    unchanged::{UNCHANGED_MAX, Unchanged},
    walk::{BreadthFirst, LEVEL_ORDER_WORDS, LevelOrder},
    window::{EMPTY_SLOTS_NAMED_MAX, WindowMember, WindowSize},
};
