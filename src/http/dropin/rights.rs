//! What each operation of the drop-in is to `authorize`: an action and a target.
//!
//! Where authorization is off nobody is asked anything and unknown members have empty results, as in the
//! original. To a member, which the original did not know as a client, a member that it may not see is 404,
//! and so is one that does not exist: it cannot tell them apart.

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

/// What an operation does and whether its path names the member it is about; `None` for what everybody may
/// ask.
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

/// The principal of a request, if it may do this.
///
/// # Errors
/// The answer to give instead: 404 or 403, or 503 while there is no network to look at.
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
    // Whoever is no member sees all members: nothing to look up for the gateway, whose requests these mostly
    // are.
    if !is_about_member || principal.role != Role::Member {
        auth::permit(principal, action).map_err(denied)?;
        return Ok(principal);
    }
    let engine = shared.engine()?;
    // What is no id names nobody; who may know that is told so by the operation itself.
    let member = body::path_uuid("user_id", parameter).ok().map(MemberId);
    let decision = engine.read(|state, directory| {
        let target = member
            .map_or(Target::Unknown { stand_in: None }, |member| Target::member(state, directory, &member));
        authorize(principal, action, target, state, directory)
    });
    decision.map_err(denied)?;
    Ok(principal)
}
