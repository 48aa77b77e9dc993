//! Maps each operation of the drop-in to an action and a target for `authorize`.
//!
//! Where authorization is off, no checks are made and unknown members have empty results, as in the original.
//! To a member, which the original did not have as a client, hidden members and missing ones are both 404: it
//! cannot tell them apart.

use axum::http::request::Parts;

use super::body;
use crate::{
    engine::MemberId,
    http::{
        auth::{self, Action, Principal, Role, Target, TurnedAway, authorize},
        context::Shared,
        reply::{self, Refused},
        route_table::Operation,
    },
};

/// The action of an operation, and whether its path names the member it is about; `None` for operations open
/// to all.
fn action_of(operation: Operation) -> Option<(Action, bool)> {
    match operation {
        Operation::Welcome | Operation::Health | Operation::Status => None,
        Operation::Register | Operation::RootUser => Some((Action::RegisterMember, false)),
        Operation::Downline | Operation::DownlineCount | Operation::EvaluateRank => {
            Some((Action::ReadMember, true))
        }
        Operation::BonusesOf | Operation::Weekly => Some((Action::ReadBonuses, true)),
        Operation::Bonuses => Some((Action::ReadNetwork, false)),
        Operation::Trigger => Some((Action::TriggerBonus, false)),
        Operation::MarkPaid | Operation::MarkAllPaid => Some((Action::PayBonus, false)),
        Operation::AddTestData => Some((Action::Operate, false)),
    }
}

/// Returns the principal of a request, if it may do this.
///
/// # Errors
/// The answer to give instead: 404 or 403, or 503 while no network is loaded.
pub fn check<'p>(
    shared: &Shared,
    operation: Operation,
    parameter: &str,
    parts: &'p Parts,
) -> Result<&'p Principal, Refused> {
    // Without a principal nothing would be allowed; the gate puts one into every request.
    let principal = parts.extensions.get::<Principal>().ok_or_else(reply::internal_error)?;
    let Some((action, is_about_member)) = action_of(operation) else {
        principal.answers_everybody();
        return Ok(principal);
    };
    let denied = |denied| auth::turned_away(parts.uri.path(), TurnedAway::Denied(denied));
    // Principals other than members see all members: no lookup for the gateway, which sends most of these
    // requests.
    if !is_about_member || principal.role != Role::Member {
        auth::permit(principal, action).map_err(denied)?;
        return Ok(principal);
    }
    let engine = shared.engine()?;
    // An invalid id names nobody; principals who may know that learn it from the operation itself.
    let member = body::path_uuid("user_id", parameter).ok().map(MemberId);
    let decision = engine.read(|state, directory| {
        let target = member
            .map_or(Target::Unknown { stand_in: None }, |member| Target::member(state, directory, &member));
        authorize(principal, action, target, state, directory)
    });
    decision.map_err(denied)?;
    Ok(principal)
}
