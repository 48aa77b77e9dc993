//! The caller, and the checks that nearly every route begins with.

use axum::{extract::FromRequestParts, http::request::Parts};
use uuid::Uuid;

use super::{
    problem::{Code, Problem},
    types::member_id,
};
use crate::{
    engine::{Directory, Engine, MemberIx, Rejection, RequestKey, Sent, State},
    http::{
        auth::{Action, Denied, Principal, Refusal, Target, authorize, is_told, permit, whole_seconds},
        context::Shared,
        heavy::Full,
    },
};

/// The principal of a request, put there by authentication.
#[derive(Clone)]
pub struct Caller(pub Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Principal>().cloned().map(Self).ok_or_else(|| Code::Internal.into())
    }
}

impl Caller {
    /// What accompanies a command of this request: its sender and its key.
    pub fn sends(&self, key: Option<RequestKey>) -> Sent {
        self.0.sends(key)
    }

    /// Logs a refused line of a batch, as for a request.
    pub fn tell_refused_line(&self, shared: &Shared, path: &str, status: u16) {
        if is_told(status, true) {
            let refusal =
                Refusal { status, method: "POST", path, address: self.0.address(), principal: &self.0.name };
            shared.gate.refusals().tell(&refusal);
        }
    }

    /// Returns a member that may be acted on or read.
    ///
    /// # Errors
    /// `member_unknown` when there is none that this principal may see, `forbidden`.
    pub fn member<D: Directory>(
        &self,
        action: Action,
        id: Uuid,
        state: &State,
        directory: &D,
    ) -> Result<MemberIx, Problem> {
        self.found(action, Target::member(state, directory, &member_id(id)), state, directory)
    }

    /// As [`Caller::member`], for one that was looked up in another way.
    ///
    /// # Errors
    /// As [`Caller::member`].
    pub fn found<D: Directory>(
        &self,
        action: Action,
        target: Target,
        state: &State,
        directory: &D,
    ) -> Result<MemberIx, Problem> {
        let unknown = || Problem::from(Rejection::MemberUnknown).at(state.lsn());
        self.allowed(action, target, state, directory, unknown)?;
        target.found_member().ok_or_else(unknown)
    }

    /// Checks an action on a target. `unknown` is the answer where it is hidden.
    ///
    /// # Errors
    /// `unknown`, `forbidden`.
    pub fn allowed<D: Directory>(
        &self,
        action: Action,
        target: Target,
        state: &State,
        directory: &D,
        unknown: impl Fn() -> Problem,
    ) -> Result<(), Problem> {
        let decision = authorize(&self.0, action, target, state, directory);
        decision.map_err(|denied| of_denied(denied, unknown))
    }

    /// Returns a ledger entry that may be acted on or read, by the id of its bonus.
    ///
    /// # Errors
    /// `entry_unknown`, `forbidden`.
    pub fn entry(&self, action: Action, id: Uuid, engine: &Engine) -> Result<u64, Problem> {
        let index = engine.entry_of(id.into_bytes());
        engine.read(|state, directory| {
            let unknown = || Problem::from(Rejection::EntryUnknown).at(state.lsn());
            let target = Target::entry(state, id.into_bytes(), index);
            let denied = authorize(&self.0, action, target, state, directory);
            denied.map_err(|denied| of_denied(denied, unknown))?;
            match target {
                Target::Entry(entry) => Ok(entry),
                _ => Err(unknown()),
            }
        })
    }

    /// Checks an action on the network as a whole.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn network<D: Directory>(&self, action: Action, state: &State, directory: &D) -> Result<(), Problem> {
        let denied = authorize(&self.0, action, Target::Network, state, directory);
        denied.map_err(|denied| of_denied(denied, || Code::Forbidden.into()))
    }

    /// Checks whether this principal may do this at all; for routes that need no state.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may(&self, action: Action) -> Result<(), Problem> {
        permit(&self.0, action).map_err(|denied| of_denied(denied, || Code::Forbidden.into()))
    }
}

impl Caller {
    /// Checks whether this principal may begin costly work: called first by each route that does any.
    ///
    /// # Errors
    /// `rate_limited` while its account is in debt.
    pub fn may_cost(&self) -> Result<(), Problem> {
        self.0.payer.check().map_err(|wait| {
            let seconds = u32::try_from(whole_seconds(wait)).unwrap_or(u32::MAX);
            Problem::new(Code::RateLimited).detail("too much work was asked for").retry_after(seconds)
        })
    }

    /// Charges for work that was done.
    pub fn pays(&self, units: u64) {
        self.0.payer.charge(units);
    }
}

impl From<Full> for Problem {
    fn from(_: Full) -> Self {
        Problem::new(Code::Overloaded).detail("too much heavy work is waiting")
    }
}

fn of_denied(denied: Denied, unseen: impl Fn() -> Problem) -> Problem {
    match denied {
        Denied::Unseen => unseen(),
        Denied::Forbidden => Code::Forbidden.into(),
    }
}
