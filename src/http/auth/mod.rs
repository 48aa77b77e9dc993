//! Who is asking, and whether they may.
//!
//! - `gate`: every request passes it once, before routing: limits, credentials, principal.
//! - `credentials`, `tokens`, `jwks`, `rates`, `costs`: the parts of the gate.
//! - `policy`: the one decision, [`authorize`], and its table. Routes ask it; a route that answers without
//!   having asked is a hole, which the service closes.
//! - `identity`: names of principals, unique to each.
//! - `entries`: which parts of a bonus are shown to whom, also asked by every route that shows one.
//! - `pages`: keeps web pages out of a server that asks for no credentials.
//! - `refusals`: logs refused requests.
//! - `answers`: answers to requests that were turned away.

mod answers;
mod costs;
mod credentials;
mod entries;
#[cfg(any(test, fuzzing))]
pub(in crate::http) mod fuzzing;
mod gate;
mod identity;
mod jwks;
mod pages;
mod policy;
mod rates;
mod refusals;
mod tokens;

#[cfg(test)]
pub(super) use self::costs::Costs;
pub(super) use self::{
    answers::{TurnedAway, turned_away, whole_seconds},
    costs::Payer,
    policy::Verdict,
    rates::client_of,
    refusals::{Refusal, is_told},
};
pub use self::{
    entries::{HIDDEN_SOURCE, SeenEntry},
    gate::{Gate, GateError},
    policy::{Action, Denied, Principal, Rule, Sight, Target, authorize, may_none, permit},
};
pub use crate::access::{Role, Scope, Scopes};
