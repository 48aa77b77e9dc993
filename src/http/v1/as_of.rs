//! `as_of`: reads of the past.
//!
//! A route that takes it has `as_of: Option<AsOf>` in its query and reads through [`read`], or [`past`] where
//! it needs more than one read. Anything hidden from a principal now is hidden in the past too: both states
//! are checked.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use super::{
    caller::Caller,
    problem::{Code, Problem},
    types::Time,
};
use crate::{
    engine::{Effort, Engine, HistoryError, MemberDirectory, State, Timestamp},
    http::{
        context::Shared,
        limits::{READ_UNITS, REBUILD_UNITS, RETRY_HISTORY_SECONDS},
    },
    time_text::{TEXT_BYTES_MAX, TimeFault},
};

/// A moment of the past: the LSN of a command, right after it, or a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsOf {
    Lsn(u64),
    Time(Timestamp),
}

impl<'de> Deserialize<'de> for AsOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for AsOf {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if TEXT_BYTES_MAX < text.len() {
            return Err("neither an LSN nor a time");
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(AsOf::Lsn).map_err(|_| "an LSN beyond any that can be");
        }
        let time: Result<Time, TimeFault> = text.parse();
        time.map(|time| AsOf::Time(time.0)).map_err(|fault| match fault {
            TimeFault::NotATime | TimeFault::NoOffset => "neither an LSN nor a time as RFC 3339 writes it",
            more => more.reason(),
        })
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsOf::Lsn(lsn) => write!(out, "{lsn}"),
            AsOf::Time(time) => write!(out, "t{}", time.0),
        }
    }
}

impl utoipa::PartialSchema for AsOf {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        let description = "An LSN, or a time as RFC 3339 writes it that is over: the state right after the \
                           last command up to then";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(TEXT_BYTES_MAX))
            .description(Some(description))
            .into()
    }
}

impl ToSchema for AsOf {}

/// `as_of` of a query that has nothing else.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AsOfQuery {
    /// Read the past: an LSN, or a time that is over. As far back as the log is kept.
    #[param(value_type = Option<String>, max_length = 96)]
    pub as_of: Option<AsOf>,
}

/// Errors of reading the past, in addition to the route's own.
pub const PROBLEMS: [Code; 4] =
    [Code::AsOfInvalid, Code::HistoryNotRetained, Code::Overloaded, Code::Stopping];

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::BelowRetained { oldest } => {
                Problem::new(Code::HistoryNotRetained).with("oldest_lsn", oldest)
            }
            HistoryError::Ahead { applied } => {
                Problem::new(Code::AsOfInvalid).with("newest_lsn", applied).detail("this LSN is yet to come")
            }
            HistoryError::InFuture { .. } => {
                Problem::new(Code::AsOfInvalid).detail("this moment is not over yet")
            }
            HistoryError::Busy => {
                let detail = "another question about the past is being answered";
                Problem::new(Code::Overloaded).detail(detail).retry_after(RETRY_HISTORY_SECONDS)
            }
            HistoryError::Stopping => Code::Stopping.into(),
            // Its text is about files; it is in the process's log.
            HistoryError::Unreadable(_) => {
                Problem::new(Code::Internal).detail("the past cannot be read; the present is not affected")
            }
        }
    }
}

/// Runs work on the past: one request at a time, on a thread that may block. The caller is charged for its
/// cost, even without a result.
///
/// # Errors
/// The work's own; `overloaded` when too much waits.
pub async fn on_past<R: Send + 'static>(
    shared: &Shared,
    caller: &Caller,
    work: impl FnOnce(&Engine, &mut Effort) -> Result<R, HistoryError> + Send + 'static,
) -> Result<R, Problem> {
    let (engine, payer) = (shared.v1_engine()?.clone(), caller.0.payer.clone());
    let counted = move || {
        let mut effort = Effort::default();
        let done = work(&engine, &mut effort);
        payer.charge(READ_UNITS * effort.read + REBUILD_UNITS * effort.rebuilt);
        done
    };
    let done = shared.heavy.run_on_past(counted).await.map_err(|_| HistoryError::Busy)?;
    Ok(done.map_err(|_| Problem::from(Code::Internal))??)
}

/// The state at a moment. Other queries of the past wait until it is dropped.
///
/// # Errors
/// Those of [`PROBLEMS`], `rate_limited`.
pub async fn past(shared: &Shared, caller: &Caller, as_of: AsOf) -> Result<Arc<State>, Problem> {
    caller.may_cost()?;
    on_past(shared, caller, move |engine, effort| {
        let lsn = match as_of {
            AsOf::Lsn(lsn) => lsn,
            AsOf::Time(time) => engine.lsn_at(time)?,
        };
        engine.state_at_counting(lsn, effort)
    })
    .await
}

/// Reads the present, or the past if asked for: short and bounded, as `Engine::read`. `view` also authorizes;
/// for the past it runs on the present first, and that answer is dropped.
///
/// # Errors
/// Those of `view` and of [`PROBLEMS`].
pub async fn read<R>(
    shared: &Shared,
    caller: &Caller,
    as_of: Option<AsOf>,
    view: impl Fn(&State, &MemberDirectory) -> Result<R, Problem>,
) -> Result<R, Problem> {
    let engine = shared.v1_engine()?;
    let now = engine.read(&view)?;
    let Some(as_of) = as_of else { return Ok(now) };
    let state = past(shared, caller, as_of).await?;
    engine.read(|_, directory| view(&state, directory))
}

/// The state that a request reads in several steps: the present one, which changes meanwhile, or one of the
/// past.
pub enum Moment {
    Now,
    Then(Arc<State>),
}

impl Moment {
    /// The present, or the past if asked for. `allowed` authorizes on the present before the past is rebuilt:
    /// who may not see the present may not see the past.
    ///
    /// # Errors
    /// Those of `allowed` and of [`PROBLEMS`].
    pub async fn of(
        shared: &Shared,
        caller: &Caller,
        as_of: Option<AsOf>,
        allowed: impl FnOnce(&State, &MemberDirectory) -> Result<(), Problem>,
    ) -> Result<Self, Problem> {
        let Some(as_of) = as_of else { return Ok(Self::Now) };
        shared.v1_engine()?.read(allowed)?;
        Ok(Self::Then(past(shared, caller, as_of).await?))
    }

    /// Short and bounded, as `Engine::read`.
    pub fn read<R>(&self, engine: &Engine, view: impl FnOnce(&State, &MemberDirectory) -> R) -> R {
        match self {
            Self::Now => engine.read(view),
            Self::Then(past) => engine.read(|_, directory| view(past, directory)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_lsn_or_a_time() {
        // text, moment
        let table = [
            ("0", Some(AsOf::Lsn(0))),
            ("18446744073709551615", Some(AsOf::Lsn(u64::MAX))),
            ("18446744073709551616", None),
            ("1970-01-01T00:00:01Z", Some(AsOf::Time(Timestamp(1_000_000)))),
            ("1970-01-01T01:00:00.5+01:00", Some(AsOf::Time(Timestamp(500_000)))),
            ("", None),
            ("-1", None),
            ("yesterday", None),
            ("1970-01-01", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
