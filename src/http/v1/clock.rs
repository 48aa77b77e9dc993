//! The clock that stamps commands: its state, and accepting it after a jump.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer,
    caller::Caller,
    problem::{Code, Problem, problems},
    types::Time,
};
use crate::{
    engine::{ClockJump, ClockStanding},
    http::{auth::Action, context::Shared, reply::Reply},
    time_text,
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(clock)).routes(routes!(accept))
}

/// Which way a clock jumped.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Jump {
    /// It gained more than it may on the machine's boot clock since the last command.
    Ahead,
    /// It is behind the log time of the last command by more than it may be.
    Behind,
}

/// How the server's clock stands.
#[derive(Serialize, ToSchema)]
struct ClockNow {
    /// What it says.
    clock: Time,
    /// Log time of the last command; null before the first. What is written next gets the later of the two.
    last_command: Option<Time>,
    /// Seconds that it gained on the machine's boot clock, which nobody sets, since the last command of this
    /// process or its start; negative: lost. Null when there is nothing to compare with: the clock was behind
    /// by too much at the start.
    gained_seconds: Option<f64>,
    /// Seconds that it is behind `last_command`.
    #[schema(minimum = 0)]
    behind_seconds: f64,
    /// `clock_jump_max`: seconds that it may jump; null is no limit.
    #[schema(minimum = 1)]
    jump_max_seconds: Option<u64>,
    /// Why writes are refused with `clock_jumped`; null when they are not.
    jumped: Option<Jump>,
}

impl From<&ClockStanding> for ClockNow {
    fn from(standing: &ClockStanding) -> Self {
        Self {
            clock: Time(standing.wall),
            last_command: standing.last.map(Time),
            gained_seconds: standing.gained.map(|gained| gained as f64 / 1e6),
            behind_seconds: standing.behind_log().as_secs_f64(),
            jump_max_seconds: standing.bound.map(|bound| bound.as_secs()),
            jumped: standing.jump.map(|jump| match jump {
                ClockJump::Ahead => Jump::Ahead,
                ClockJump::Behind => Jump::Behind,
            }),
        }
    }
}

/// What accepting came to.
#[derive(Serialize, ToSchema)]
struct ClockAccepted {
    /// False when there was nothing to accept.
    accepted: bool,
    /// How the clock stood when it was accepted.
    was: ClockNow,
}

problems!(ClockProblems: [Code::FieldUnknown, Code::AnswerTooSlow]);

/// How the clock stands
///
/// A clock that jumps is not written by: it would stamp everything that follows. Writes are answered 503
/// `clock_jumped` then, and reads go on.
#[utoipa::path(
    get,
    path = "/v1/clock",
    tag = "operations",
    responses(
        (status = 200, body = ClockNow, description = "As it is now", headers(("x-lsn" = u64))),
        ClockProblems
    ),
)]
async fn clock(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    caller.may(Action::ReadOperations)?;
    let engine = shared.v1_engine()?;
    let lsn = engine.read(|state, _| state.lsn());
    Ok(answer(StatusCode::OK, lsn, &ClockNow::from(&engine.clock())))
}

/// Accept the clock as it is
///
/// For a clock that is right although it jumped: a machine that was paused, or that was set right. Only the
/// jump that is seen now is accepted, and a later one is refused again. When there is none nothing is done,
/// so it may be repeated. An accepted clock that is behind goes on behind: what is written gets the time of
/// the last command until the clock has reached it. Who accepted what is told in the log of the process.
#[utoipa::path(
    post,
    path = "/v1/clock/accept",
    tag = "operations",
    responses(
        (
            status = 200, body = ClockAccepted, description = "Accepted, or nothing to accept",
            headers(("x-lsn" = u64))
        ),
        ClockProblems
    ),
)]
async fn accept(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    caller.may(Action::Operate)?;
    let engine = shared.v1_engine()?;
    let was = engine.accept_clock();
    let lsn = engine.read(|state, _| state.lsn());
    let accepted = ClockAccepted { accepted: was.jump.is_some(), was: ClockNow::from(&was) };
    if accepted.accepted {
        let address = caller.0.address().map_or_else(|| "unknown".to_owned(), |address| address.to_string());
        tracing::warn!(
            principal = %caller.0.name,
            address = %address,
            clock = time_text::print(was.wall),
            last_command = was.last.map(time_text::print),
            seconds = was.jumped_by().as_secs_f64(),
            "a clock that jumped was accepted"
        );
    }
    Ok(answer(StatusCode::OK, lsn, &accepted))
}
