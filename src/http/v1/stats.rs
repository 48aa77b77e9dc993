//! Figures of the network, the log, the snapshots and the memory.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{answer, caller::Caller, lists::NetworkProblems, problem::Problem, totals::Total, types::Time};
use crate::{
    engine::{Breakage, BreakageReason, Engine, EngineStatus, EntryStatus, Plan, State, Sum},
    http::{auth::Action, context::Shared, reply::Reply},
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(stats))
}

/// Figures of a running network. `network` and `memory` are of the answer's LSN; the others may be a moment
/// apart.
#[derive(Serialize, ToSchema)]
struct Stats {
    instance_id: Uuid,
    network_id: u32,
    network: NetworkFigures,
    writes: WriteFigures,
    log: LogFigures,
    snapshots: SnapshotFigures,
    memory: MemoryFigures,
}

#[derive(Serialize, ToSchema)]
struct NetworkFigures {
    members: u32,
    /// Deepest level of the placement tree; 0 when empty.
    depth: u32,
    /// All of them, void ones too.
    bonuses: u64,
    pending_bonuses: u64,
    /// Bonuses that are owed, but that no payout takes until they are released.
    held_bonuses: u64,
    /// Bonuses that are never to be paid.
    void_bonuses: u64,
    /// Bonuses withheld because their receiver may not earn, and what they would have been.
    breakage: Total,
    /// What plans would have paid, and nobody got, by reason; those that occurred.
    breakage_by_reason: Vec<BrokenOff>,
    /// The reasons count from this command on; null before the first. 1, unless an older release made the
    /// network.
    breakage_by_reason_from_lsn: Option<u64>,
    /// How often a plan was activated, the first included.
    plan_version: u32,
    #[schema(max_length = 64)]
    plan: String,
    /// Log time of the last command; null before the first.
    last_command: Option<Time>,
}

/// What nobody got for one reason.
#[derive(Serialize, ToSchema)]
pub struct BrokenOff {
    /// `inactive`, `terminated`: the receiver was; `short_upline`: the source has fewer ancestors than the
    /// rule pays levels; `level_cap`: the receiver is an admin further above the source than admins are
    /// paid.
    #[schema(pattern = "^(inactive|terminated|short_upline|level_cap)$", example = "short_upline")]
    reason: &'static str,
    /// How many levels, and what they would have been paid.
    total: Total,
}

impl BrokenOff {
    /// The reasons that occurred.
    pub fn all(breakage: &Breakage, plan: &Plan) -> Vec<Self> {
        let item = |(reason, sum): (BreakageReason, Sum)| Self {
            reason: reason.name(),
            total: Total::new(sum, plan),
        };
        breakage.items().map(item).collect()
    }
}

#[derive(Serialize, ToSchema)]
struct WriteFigures {
    /// Whether writes are accepted.
    ready: bool,
    /// The log failed: reads go on, writes need a restart.
    read_only: bool,
    stopping: bool,
    /// WriteFigures that wait.
    queued: usize,
    queue_capacity: usize,
}

/// `snapshot <= applied <= durable <= admitted`, always.
#[derive(Serialize, ToSchema)]
struct LogFigures {
    /// LSN up to which the newest snapshot holds everything.
    snapshot_lsn: u64,
    /// LSN up to which reads see everything.
    applied_lsn: u64,
    durable_lsn: u64,
    admitted_lsn: u64,
    /// Bytes of the live log, room made in advance included.
    bytes: u64,
    segments: u64,
}

#[derive(Serialize, ToSchema)]
struct SnapshotFigures {
    /// Whether one is being made.
    running: bool,
    newest_lsn: u64,
    /// Null while there is none.
    newest_at: Option<Time>,
    newest_bytes: u64,
    /// Failed tries since the start.
    failures: u64,
}

/// Bytes held by the parts of the state.
#[derive(Serialize, ToSchema)]
struct MemoryFigures {
    members: usize,
    links: usize,
    counts: usize,
    slots: usize,
    codes: usize,
    ledger: usize,
    /// Idempotency keys, and commands that changed nothing.
    requests: usize,
    /// Orders, refunds, customers, and volumes that are kept live.
    orders: usize,
    /// Plans, deep counts of admins, and what exists once per network.
    others: usize,
    /// Index of the search; 0 until somebody searches.
    search: usize,
}

fn network(state: &State) -> NetworkFigures {
    let (entries, amount) = state.breakage();
    let plan = state.plan();
    NetworkFigures {
        members: state.len(),
        depth: state.depth(),
        bonuses: state.entries(),
        pending_bonuses: state.pending(),
        held_bonuses: state.entries_in(EntryStatus::Held).entries,
        void_bonuses: state.entries_in(EntryStatus::Void).entries,
        breakage: Total::new(Sum { entries, amount: i128::from(amount.0) }, plan),
        breakage_by_reason: BrokenOff::all(state.breakage_by_reason(), plan),
        breakage_by_reason_from_lsn: state.itemized_from(),
        plan_version: state.plan_version(),
        plan: plan.name.to_string(),
        last_command: (0 < state.lsn()).then(|| Time(state.time())),
    }
}

fn stats_of(engine: &Engine, status: &EngineStatus, state: &State, search: usize) -> Stats {
    let memory = state.memory();
    Stats {
        instance_id: Uuid::from_bytes(engine.instance_id()),
        network_id: engine.network_id(),
        network: network(state),
        writes: WriteFigures {
            ready: status.ready,
            read_only: status.poisoned.is_some(),
            stopping: status.stopping,
            queued: status.queue_depth,
            queue_capacity: status.queue_capacity,
        },
        log: LogFigures {
            snapshot_lsn: status.lsn.snapshot,
            applied_lsn: status.lsn.applied,
            durable_lsn: status.lsn.durable,
            admitted_lsn: status.lsn.admitted,
            bytes: status.log.bytes,
            segments: status.log.segments,
        },
        snapshots: SnapshotFigures {
            running: status.snapshot_running,
            newest_lsn: status.snapshot.lsn,
            newest_at: (0 < status.snapshot.bytes).then_some(Time(status.snapshot.made_at)),
            newest_bytes: status.snapshot.bytes,
            failures: status.snapshot_failures,
        },
        memory: MemoryFigures {
            members: memory.members,
            links: memory.links,
            counts: memory.counts,
            slots: memory.slots,
            codes: memory.codes,
            ledger: memory.ledger,
            requests: memory.requests,
            orders: memory.orders,
            others: memory.others,
            search,
        },
    }
}

/// Figures of network, log, snapshots and memory
///
/// As they are now; `/metrics` has them over time.
#[utoipa::path(
    get, path = "/v1/stats", tag = "operations",
    responses(
        (
            status = 200, description = "All figures", body = Stats,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        NetworkProblems
    )
)]
async fn stats(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    // The table first: unauthorized callers learn no figures. `status` and the search have their own locks
    // and cannot be read inside a read.
    caller.may(Action::ReadOperations)?;
    let (status, search) = (engine.status(), engine.search_bytes());
    engine.read(|state, directory| {
        caller.network(Action::ReadOperations, state, directory)?;
        Ok(answer(StatusCode::OK, state.lsn(), &stats_of(engine, &status, state, search)))
    })
}
