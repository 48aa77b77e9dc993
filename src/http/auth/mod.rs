//! Who is asking, and whether they may.
//!
//! - `gate`: every request passes it once, before it is routed: limits, credentials, principal.
//! - `credentials`, `tokens`, `jwks`, `rates`, `costs`: what it is made of.
//! - `policy`: the one decision, [`authorize`], and its table. Routes ask it; a route that answers without having asked is a hole, which the
//!   service closes.
//! - `answers`: what those are told who do not come in.

mod answers;
mod costs;
mod credentials;
#[cfg(any(test, fuzzing))]
pub(in crate::http) mod fuzzing;
mod gate;
mod jwks;
mod policy;
mod rates;
mod tokens;

pub(super) use self::{
    answers::{TurnedAway, turned_away, whole_seconds},
    costs::Payer,
    policy::Verdict,
    rates::client_of,
};
pub use self::{
    gate::{Gate, GateError},
    policy::{Action, Denied, Principal, Rule, Sight, Target, authorize, permit},
};
pub use crate::access::{Role, Scope, Scopes};
