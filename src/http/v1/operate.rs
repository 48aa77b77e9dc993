//! For operators: snapshots, digests, the full recomputation of ranks.

use std::sync::Arc;

use axum::{
    extract::State as Extract,
    http::{HeaderValue, StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    problem::{Code, Problem, problems},
    types::Time,
};
use crate::{
    engine::{Digests, KeptSnapshot, NetworkDigest, RankComparison, SnapshotError, SnapshotInfo},
    http::{
        auth::Action,
        context::Shared,
        reply::{self, Reply},
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(snapshots, make_snapshot))
        .routes(routes!(digest))
        .routes(routes!(network_digest))
        .routes(routes!(recompute_ranks))
}

/// A snapshot that is durable.
#[derive(Serialize, ToSchema)]
struct SnapshotMade {
    /// It holds everything up to here.
    lsn: u64,
    members: u32,
    bytes: u64,
    /// Seconds that making it took; 0 when it was found at the start.
    seconds: f64,
    made_at: Time,
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    state_digest: String,
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    network_digest: String,
}

impl SnapshotMade {
    fn new(info: &SnapshotInfo) -> Self {
        Self {
            lsn: info.lsn,
            members: info.members,
            bytes: info.bytes,
            seconds: info.duration.as_secs_f64(),
            made_at: Time(info.made_at),
            state_digest: info.state_digest.to_string(),
            network_digest: info.network_digest.to_string(),
        }
    }
}

/// The snapshots in the data directory.
#[derive(Serialize, ToSchema)]
struct Snapshots {
    /// Newest first: the newest, and one to fall back to.
    #[schema(max_items = 3)]
    items: Vec<SnapshotKept>,
    /// Whether one is being made.
    running: bool,
}

#[derive(Serialize, ToSchema)]
struct SnapshotKept {
    lsn: u64,
    bytes: u64,
    /// Null for those older than the newest: they are not read for this.
    members: Option<u32>,
    made_at: Option<Time>,
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    state_digest: Option<String>,
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    network_digest: Option<String>,
}

impl From<KeptSnapshot> for SnapshotKept {
    fn from(kept: KeptSnapshot) -> Self {
        let info = kept.info.as_ref();
        Self {
            lsn: kept.lsn,
            bytes: kept.bytes,
            members: info.map(|info| info.members),
            made_at: info.map(|info| Time(info.made_at)),
            state_digest: info.map(|info| info.state_digest.to_string()),
            network_digest: info.map(|info| info.network_digest.to_string()),
        }
    }
}

/// Digests of everything at one LSN.
#[derive(Serialize, ToSchema)]
struct DigestsAt {
    lsn: u64,
    members: u32,
    bonuses: u64,
    /// BLAKE3 of the network: ids, codes, edges, slots, join times, statuses, roles, ranks and bonuses,
    /// whatever log led to it.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    network_digest: String,
    /// BLAKE3 of everything, LSN and order included: the same log gives the same.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    state_digest: String,
    seconds: f64,
}

impl From<&Digests> for DigestsAt {
    fn from(digests: &Digests) -> Self {
        Self {
            lsn: digests.lsn,
            members: digests.members,
            bonuses: digests.entries,
            network_digest: digests.network.to_string(),
            state_digest: digests.state.to_string(),
            seconds: digests.took.as_secs_f64(),
        }
    }
}

/// The network digest at one LSN.
#[derive(Serialize, ToSchema)]
struct NetworkDigestAt {
    lsn: u64,
    members: u32,
    bonuses: u64,
    /// As that of `GET /v1/digest`.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    network_digest: String,
    seconds: f64,
}

impl From<NetworkDigest> for NetworkDigestAt {
    fn from(digest: NetworkDigest) -> Self {
        Self {
            lsn: digest.lsn,
            members: digest.members,
            bonuses: digest.entries,
            network_digest: digest.digest.to_string(),
            seconds: digest.took.as_secs_f64(),
        }
    }
}

/// The full recomputation of ranks, compared with those that signups keep up to date.
#[derive(Serialize, ToSchema)]
struct Recomputed {
    lsn: u64,
    members: u32,
    /// Members whose rank is not what was recomputed: 0, or there is a bug to report.
    differences: u64,
    /// The first of them.
    #[schema(max_items = 100)]
    first: Vec<RankDifference>,
    /// Seconds for the frozen view.
    view_seconds: f64,
    /// Seconds for computing and comparing.
    seconds: f64,
}

#[derive(Serialize, ToSchema)]
struct RankDifference {
    user_id: Uuid,
    kept: u16,
    recomputed: u16,
}

impl From<RankComparison> for Recomputed {
    fn from(compared: RankComparison) -> Self {
        let first = compared.first.into_iter();
        Self {
            lsn: compared.lsn,
            members: compared.members,
            differences: compared.differences,
            first: first
                .map(|(id, kept, recomputed)| RankDifference {
                    user_id: Uuid::from_bytes(id.0),
                    kept,
                    recomputed,
                })
                .collect(),
            view_seconds: compared.froze_in.as_secs_f64(),
            seconds: compared.computed_in.as_secs_f64(),
        }
    }
}

const COMMON: [Code; 2] = [Code::FieldUnknown, Code::AnswerTooSlow];

problems!(ReadProblems: COMMON);
problems!(WorkProblems: [Code::OutcomeUnknown], COMMON);
problems!(
    SnapshotProblems: [
        Code::SnapshotFailed, Code::Overloaded, Code::Stopping, Code::ReadOnly, Code::OutcomeUnknown
    ],
    COMMON
);

fn of_snapshot(error: &SnapshotError) -> Problem {
    Problem::new(match error {
        // The reason is in the server's log and in its status: it names files.
        SnapshotError::Failed(_) => Code::SnapshotFailed,
        SnapshotError::ReadOnly => Code::ReadOnly,
        SnapshotError::Overloaded => Code::Overloaded,
        SnapshotError::Stopping => Code::Stopping,
    })
}

/// Make a snapshot
///
/// 201 when it is durable; signups go on meanwhile. Requests that come while one is made share the next. When
/// nothing changed since the newest, that one is the answer (200).
#[utoipa::path(
    post,
    path = "/v1/snapshots",
    tag = "operations",
    responses(
        (
            status = 201, body = SnapshotMade, description = "Durable",
            headers(("Location" = String), ("x-lsn" = u64))
        ),
        (
            status = 200, body = SnapshotMade, description = "Nothing changed since this one",
            headers(("x-lsn" = u64))
        ),
        SnapshotProblems,
    ),
)]
async fn make_snapshot(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    caller.may(Action::Operate)?;
    let engine = shared.v1_engine()?;
    let before = engine.status().snapshot.lsn;
    let info = engine.snapshot_now().await.map_err(|error| of_snapshot(&error))?;
    let status = if info.lsn == before { StatusCode::OK } else { StatusCode::CREATED };
    let reply = answer(status, info.lsn, &SnapshotMade::new(&info));
    Ok(reply::with_header(reply, header::LOCATION, HeaderValue::from_static("/v1/snapshots")))
}

/// The snapshots that are kept
///
/// Those from which the server would start, and whether one is being made.
#[utoipa::path(
    get,
    path = "/v1/snapshots",
    tag = "operations",
    responses(
        (status = 200, body = Snapshots, description = "Newest first", headers(("x-lsn" = u64))),
        ReadProblems
    ),
)]
async fn snapshots(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    caller.may(Action::ReadOperations)?;
    let engine = shared.v1_engine()?.clone();
    let listed = tokio::task::spawn_blocking(move || {
        let status = engine.status();
        engine.kept_snapshots().map(|kept| (kept, status))
    });
    let listed = listed.await.map_err(|_| Problem::from(Code::Internal))?;
    let (kept, status) = listed.map_err(|error| {
        tracing::error!(%error, "the snapshots cannot be listed");
        Problem::from(Code::Internal)
    })?;
    let items = kept.into_iter().map(SnapshotKept::from).collect();
    Ok(answer(StatusCode::OK, status.lsn.applied, &Snapshots { items, running: status.snapshot_running }))
}

/// Digests of the network
///
/// Computed on a frozen view, at an LSN that is not before the request. Requests that wait share what is
/// computed next.
#[utoipa::path(
    get,
    path = "/v1/digest",
    tag = "operations",
    responses(
        (status = 200, body = DigestsAt, description = "At the LSN", headers(("x-lsn" = u64))),
        ReadProblems
    ),
)]
async fn digest(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    caller.may(Action::ReadOperations)?;
    let engine = shared.v1_engine()?.clone();
    let asked_at = engine.read(|state, _| state.lsn());
    let mut last = shared.desk.digests.lock().await;
    let digests = match last.take() {
        Some(digests) if asked_at <= digests.lsn => digests,
        _ => shared.desk.alone(move || engine.digests()).await?,
    };
    let digests = last.insert(digests);
    Ok(answer(StatusCode::OK, digests.lsn, &DigestsAt::from(&*digests)))
}

/// Digest of the network, without its log
///
/// The network digest alone, at an LSN that is not before the request. Only what changed since the last one,
/// or the last snapshot, is hashed, so it takes milliseconds where `GET /v1/digest` takes seconds; after a
/// start, as long as hashing everything takes once.
#[utoipa::path(
    get,
    path = "/v1/digest/network",
    tag = "operations",
    responses(
        (status = 200, body = NetworkDigestAt, description = "At the LSN", headers(("x-lsn" = u64))),
        ReadProblems
    ),
)]
async fn network_digest(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    caller.may(Action::ReadOperations)?;
    let engine = shared.v1_engine()?.clone();
    let digest = shared.desk.alone(move || engine.network_digest()).await?;
    Ok(answer(StatusCode::OK, digest.lsn, &NetworkDigestAt::from(digest)))
}

/// Recompute all ranks
///
/// From scratch, in parallel, on a frozen view, one request at a time. Changes nothing: ranks are kept up to
/// date by each signup, and this shows that they are right.
#[utoipa::path(
    post,
    path = "/v1/ranks/recompute",
    tag = "operations",
    responses(
        (status = 200, body = Recomputed, description = "Compared", headers(("x-lsn" = u64))),
        WorkProblems
    ),
)]
async fn recompute_ranks(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    caller.may(Action::Operate)?;
    let engine = shared.v1_engine()?.clone();
    let compared = shared.desk.alone(move || engine.compare_ranks()).await?;
    if compared.differences != 0 {
        tracing::error!(
            differences = compared.differences,
            lsn = compared.lsn,
            "ranks that were kept are not those recomputed: a bug"
        );
    }
    Ok(answer(StatusCode::OK, compared.lsn, &Recomputed::from(compared)))
}
