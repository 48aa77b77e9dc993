//! Figures of the network, the log, the snapshots and the memory.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{answer, caller::Caller, lists::NetworkProblems, problem::Problem, totals::Total, types::Time};
use crate::{
    engine::{Engine, EngineStatus, State, Sum},
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
    bonuses: u64,
    pending_bonuses: u64,
    /// Bonuses withheld because their receiver may not earn, and what they would have been.
    breakage: Total,
    /// How often a plan was activated, the first included.
    plan_version: u32,
    #[schema(max_length = 64)]
    plan: String,
    /// Log time of the last command; null before the first.
    last_command: Option<Time>,
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
        breakage: Total::new(Sum { entries, amount: i128::from(amount.0) }, plan),
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
            search,
        },
    }
}

/// Figures of network, log, snapshots and memory
///
/// As they are now; `/metrics` has them over time.
#[utoipa::path(
    get, path = "/v1/stats", tag = "operations",
    responses((status = 200, description = "All figures", body = Stats, headers(("x-lsn" = u64, description = "LSN of the state that was read"))), NetworkProblems)
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
