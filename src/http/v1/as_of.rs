//! `as_of`: the same question to the network as it was, at an LSN or at a moment.

use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    problem::{Code, Problem},
    types::Time,
};
use crate::{
    engine::{Engine, HistoryError, MemberIx, State, Timestamp},
    http::{
        auth::{Action, Sight},
        reply::Reply,
    },
};

/// A moment in the network's past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsOf {
    /// Right after this command.
    Lsn(u64),
    /// After the last command until then.
    Time(Timestamp),
}

impl AsOf {
    /// Reads the parameter: an LSN in digits, or a time as RFC 3339 writes it.
    ///
    /// # Errors
    /// `parameter_invalid`.
    pub fn parse(text: Option<&str>) -> Result<Option<Self>, Problem> {
        let invalid =
            || Problem::new(Code::ParameterInvalid).with("field", "as_of").detail("as_of is an LSN or a time as RFC 3339 writes it");
        let read = |text: &str| {
            if text.bytes().all(|byte| byte.is_ascii_digit()) {
                return text.parse().map(Self::Lsn).map_err(|_| invalid());
            }
            text.parse::<Time>().map(|time| Self::Time(time.0)).map_err(|_| invalid())
        };
        text.map(read).transpose()
    }
}

/// Answers from the past. The caller must see the member now, or nothing is rebuilt for it, and then too.
///
/// Rebuilding takes seconds for large networks and is done for one question at a time, on a thread that may block.
///
/// # Errors
/// `history_not_retained` with `oldest_lsn`, `as_of_invalid` for what is yet to come, `overloaded` while others ask, and those of the member.
pub async fn past<B: Serialize + Send + 'static>(
    engine: &Engine,
    moment: AsOf,
    caller: Caller,
    (action, id): (Action, Uuid),
    read: impl FnOnce(&State, Sight, MemberIx) -> Result<B, Problem> + Send + 'static,
) -> Result<Reply, Problem> {
    engine.read(|state, directory| caller.member(action, id, state, directory))?;
    let engine = engine.clone();
    let answered = tokio::task::spawn_blocking(move || {
        let lsn = match moment {
            AsOf::Lsn(lsn) => lsn,
            AsOf::Time(time) => engine.lsn_at(time).map_err(problem)?,
        };
        let past = engine.state_at(lsn).map_err(problem)?;
        // The directory is that of the present: what it knows and the past does not is unknown there.
        let (member, sight) = engine
            .read(|_, directory| Ok::<_, Problem>((caller.member(action, id, &past, directory)?, caller.0.sight(&past, directory))))?;
        Ok(answer(StatusCode::OK, past.lsn(), &read(&past, sight, member)?))
    });
    answered.await.map_err(|_| Code::Internal)?
}

fn problem(error: HistoryError) -> Problem {
    let detail = error.to_string();
    match error {
        HistoryError::BelowRetained { oldest } => Problem::new(Code::HistoryNotRetained).with("oldest_lsn", oldest).detail(detail),
        HistoryError::Ahead { applied } => Problem::new(Code::AsOfInvalid).at(applied).detail(detail),
        HistoryError::InFuture { .. } => Problem::new(Code::AsOfInvalid).detail(detail),
        HistoryError::Busy => Problem::new(Code::Overloaded).detail(detail),
        HistoryError::Stopping => Code::Stopping.into(),
        HistoryError::Unreadable(reason) => {
            // What is on disk is for those who run the process, not for clients.
            tracing::error!(reason, "a question about the past cannot be answered");
            Code::Internal.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_lsns_or_times() {
        assert_eq!(AsOf::parse(None).unwrap(), None);
        assert_eq!(AsOf::parse(Some("17")).unwrap(), Some(AsOf::Lsn(17)));
        assert_eq!(AsOf::parse(Some("1970-01-01T00:00:01Z")).unwrap(), Some(AsOf::Time(Timestamp(1_000_000))));
        for bad in ["", "-1", "yesterday", "99999999999999999999", "2026-01-01"] {
            assert_eq!(AsOf::parse(Some(bad)).unwrap_err().to_json()["field"], "as_of", "{bad}");
        }
    }
}
