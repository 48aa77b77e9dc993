//! Who is asking, and whether they may.
//!
//! - `gate`: every request passes it once, before it is routed: limits, credentials, principal.
//! - `credentials`, `tokens`, `jwks`, `rates`, `costs`: what it is made of.
//! - `policy`: the one decision, [`authorize`], and its table. Routes ask it; a route that answers without
//!   having asked is a hole, which the service closes.
//! - `identity`: what principals are called, so that no two are one.
//! - `entries`: what of a bonus is shown to whom, also asked by every route that shows one.
//! - `pages`: what keeps web pages out of a server that asks nobody for credentials.
//! - `refusals`: what the log of the process says of those who did not get what they asked for.
//! - `answers`: what those are told who do not come in.

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

pub(super) use self::{
    answers::{TurnedAway, turned_away, whole_seconds},
    costs::Payer,
    gate::is_unlimited,
    policy::Verdict,
    rates::client_of,
    refusals::{Refusal, is_told},
};
pub use self::{
    entries::{HIDDEN_SOURCE, SeenEntry},
    gate::{Gate, GateError},
    policy::{Action, Denied, Principal, Rule, Sight, Target, authorize, permit},
};
pub use crate::access::{Role, Scope, Scopes};
