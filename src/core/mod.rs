//! The rules: a deterministic function from (state, LSN, time, command) to an outcome.
//!
//! This layer does no I/O and knows no clock, chance, lock, thread of its own, float or wire format. Time,
//! generated ids and everything else that is not determined come in with the command. Rayon is used in
//! `store::parallel`, `state::all_ranks` and `tree::passes` alone, for work whose result does not depend on
//! the number of threads. Work in the background pauses now and then (`store::pace`), which changes no
//! result.
//!
//! The folders are layers, bottom up: each may use those before it, which `tests/tidy` enforces. The core's
//! interface to other layers is re-exported here.

mod words;

pub mod plan;

mod store;

mod tree;

mod requests;

mod orders;

mod ledger;

mod network;

pub mod state;

mod read;

pub(crate) use self::store::{
    id_table,
    pace::{Pace, give_way},
    parallel::both,
    region,
};
pub use self::{
    ledger::{
        accounts::Balance,
        breakage::{Breakage, BreakageReason},
        entries::Entry,
        filter::EntryFilter,
        statuses::Statuses,
        sum::Sum,
    },
    network::{
        codes::{CodeForm, CodeKey},
        rank::NextRank,
    },
    orders::{
        opening::{
            OPENING_MEMBER_ROWS_MAX, OPENING_ROWS_MAX, OPENING_TOTALS_MAX, OpeningRow, OpeningTotal,
            units as opening_units,
        },
        opening_close::OpeningCloseRow,
        periods::{PeriodRow, PeriodState},
        refund_bookings::RefundState,
        runs::RunRow,
        seals::SealRow,
        steps::StepRow,
        strays::OrderList,
        totals::{PeriodTotals, VALUES_MAX},
    },
    read::{
        attributes::{MemberAttributes, MemberTag},
        booked::Bookings,
        digest::{Digest, state_digest, state_digest_of_format_1},
        explain::{EntryKind, ExplainedShare, RankNeed, RankReached, Walk},
        graph,
        invariants::audit,
        listed::{Listed, ReceivedWalk},
        network_digest::{Capture, kept_network_digest, network_digest},
        order_walk::{OrderWalk, Peeked},
        orders::{LineView, LiveAlong, LiveSums, OrderView, RefundView},
        period_sums::{PeriodChanged, PeriodSums, SummedValue},
        query::{Member, MemoryUse, RankView},
        received::{Brought, ReceivedSums, SUM_LEVELS_MAX},
        roster::{MemberFilter, Roster, RosterOrder},
        walk::{BreadthFirst, LEVEL_ORDER_WORDS, LevelOrder},
        window::{EMPTY_SLOTS_NAMED_MAX, WindowMember, WindowSize},
    },
    requests::{
        command,
        keys::{KEY_STEP_MAX, KEY_TIME, KEYS_MAX},
        opening::{
            Need as OpeningNeed, OPENING_BACK_MAX, OPENING_BATCH_MAX, OPENING_DECIMALS_MAX, OPENING_HELD_MAX,
            OPENING_POSITION_MAX, OPENING_TEXT_BYTES_MAX, OPENING_VALUE_MAX, OpeningShape, OpeningValue,
        },
        outcome::OUTCOME_BYTES,
        rules::judge_carried_id,
        unchanged::{UNCHANGED_MAX, Unchanged},
    },
    state::{
        all_ranks::{
            counts as recounted, ranks as recomputed_ranks, ranks_from as recomputed_ranks_from,
            ranks_under as recomputed_ranks_under,
        },
        bonus::ShareFate,
        kept_sums::FreshSums,
        once::is_trigger_name,
        payout::Payout,
        plans::{PLAN_VERSIONS_MAX, PlanVersion, PlanVersions},
        prepare::{Need, Preparation},
        restore::Restore,
        sections,
    },
    store::parallel::{in_background, on_threads},
    tree::{passes::recount::Counts, preorder::Preorder},
    words::{
        actor::{ACTOR_ID_BYTES_MAX, Actor, ActorKind},
        row_ids::RowIds,
        row_kind::RowKind,
        types::{self, ADMIN_LEVELS_MAX, ADMINS_MAX},
    },
};
#[cfg(test)]
pub(crate) use self::{store::steps, tree::families::work as family_work};
