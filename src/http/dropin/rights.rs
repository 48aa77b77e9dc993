//! Asks `authorize` what a route of the drop-in needs, by its row in the table.
//!
//! Where authorization is off, no checks are made and unknown members have empty results, as in the original.
//! To a member, which the original did not have as a client, hidden members and missing ones are both 404: it
//! cannot tell them apart.

use axum::http::request::Parts;

use super::body;
use crate::{
    engine::MemberId,
    http::{
        auth::{self, Principal, Role, Target, TurnedAway, authorize},
        context::Shared,
        reply::{self, Refused},
        route_table::Access,
    },
};

/// Returns the principal of a request, if it may do this.
///
/// # Errors
/// The answer to give instead: 404 or 403, or 503 while no network is loaded.
pub fn check<'p>(
    shared: &Shared,
    access: Access,
    parameter: &str,
    parts: &'p Parts,
) -> Result<&'p Principal, Refused> {
    // Without a principal nothing would be allowed; the gate puts one into every request.
    let principal = parts.extensions.get::<Principal>().ok_or_else(reply::internal_error)?;
    let (action, is_about_member) = match access {
        Access::May(action) => (action, false),
        Access::MayOfMember(action) => (action, true),
        Access::Open => {
            principal.answers_everybody();
            return Ok(principal);
        }
        // No route of the drop-in has these: without an answer here, the service lets nothing out.
        Access::Docs | Access::Metrics(_) | Access::Asks(_) => return Ok(principal),
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
