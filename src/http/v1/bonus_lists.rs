//! Lists of bonuses: those of one member, those of the network.

use std::sync::Arc;

use axum::{extract::State as Extract, http::HeaderMap};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    caller::Caller,
    extract::{Path, Query},
    lists::{NetworkListProblems, Problems, cursor_invalid, opened},
    page::{self, Cursors, Listing, Page, Reader, list_query},
    problem::Problem,
    types::{Bonus, BonusStatus},
};
use crate::{
    engine::{EntryStatus, MemberDirectory, Received, State},
    http::{
        auth::{Action, Sight},
        limits::SLICE_STEPS,
        reply::Reply,
        service::Shared,
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(bonuses_of)).routes(routes!(bonuses))
}

list_query! {
    struct BonusQuery {
        /// Only those that have this status when they are read.
        #[param(inline)]
        status: Option<BonusStatus>,
    }
}

impl BonusQuery {
    fn name(&self) -> &'static str {
        self.status.map_or("all", |status| EntryStatus::from(status).name())
    }
}

/// A bonus as a caller sees it.
fn seen(reader: &Reader<'_>, sight: Sight, index: u64) -> Bonus {
    let entry = reader.state.entry(index);
    let bonus = Bonus::new(reader, &entry);
    Bonus { source: bonus.source.filter(|_| sight.sees(reader.state, entry.source)), ..bonus }
}

/// The bonuses of one member.
struct BonusesOf {
    sight: Sight,
    status: Option<EntryStatus>,
    walk: Received,
}

impl Listing for BonusesOf {
    type Item = Bonus;
    const WALKS: bool = true;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Bonus>) -> bool {
        let (state, most) = (reader.state, out.len() + rows);
        for _ in 0..SLICE_STEPS {
            if out.len() == most {
                break;
            }
            reader.note(1);
            let Some(index) = state.received_step(&mut self.walk) else { return false };
            if self.status.is_none_or(|status| state.entry(index).status == status) {
                out.push(seen(reader, self.sight, index));
            }
        }
        !self.walk.is_over()
    }

    fn position(&self) -> Vec<u64> {
        let (head, shown) = self.walk.position().expect("a list that goes on has a next entry");
        vec![head, u64::from(shown)]
    }
}

/// The bonuses of one member
///
/// Newest command first, then level ascending. Those that come after the first page was read are in no later page of the same list.
#[utoipa::path(
    get, path = "/v1/members/{id}/bonuses", tag = "bonuses",
    params(("id" = Uuid, Path, description = "The member's user_id"), BonusQuery),
    responses(
        (status = 200, description = "A page, or all as NDJSON", content((Page<Bonus> = "application/json"), (Bonus = "application/x-ndjson")), headers(("x-lsn" = u64, description = "LSN of the state that was read"))),
        Problems
    )
)]
async fn bonuses_of(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<BonusQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let cursors = Cursors::new(engine, &format!("bonuses-of/{id}/{}", query.name()));
    let after = opened(&cursors, query.cursor.as_deref())?;
    let begin = |state: &State, directory: &MemberDirectory| {
        let receiver = caller.member(Action::ReadBonuses, id, state, directory)?;
        let walk = match after.as_deref() {
            None => state.received(receiver),
            Some([head, shown]) => {
                let shown = u32::try_from(*shown).map_err(|_| cursor_invalid())?;
                state.received_from(receiver, (*head, shown)).ok_or_else(cursor_invalid)?
            }
            Some(_) => return Err(cursor_invalid()),
        };
        let sight = caller.0.sight(state, directory);
        Ok(BonusesOf { sight, status: query.status.map(Into::into), walk })
    };
    page::list(&shared, &caller, &headers, query.limit, &cursors, begin).await
}

/// All bonuses.
struct Bonuses {
    status: Option<EntryStatus>,
    after: Option<u64>,
    /// Entries that existed when the list was begun.
    before: u64,
}

impl Listing for Bonuses {
    type Item = Bonus;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Bonus>) -> bool {
        for _ in 0..rows {
            let Some(index) = reader.state.next_entry(self.after, self.before, self.status) else { return false };
            self.after = Some(index);
            out.push(seen(reader, Sight::All, index));
        }
        reader.state.next_entry(self.after, self.before, self.status).is_some()
    }

    fn position(&self) -> Vec<u64> {
        vec![self.after.expect("a list that goes on has shown something"), self.before]
    }
}

/// All bonuses of the network
///
/// Newest command first, then level ascending. With a status, those that have it when they are read: one that is paid while the list is read
/// may be missing from both.
#[utoipa::path(
    get, path = "/v1/bonuses", tag = "bonuses",
    params(BonusQuery),
    responses(
        (status = 200, description = "A page, or all as NDJSON", content((Page<Bonus> = "application/json"), (Bonus = "application/x-ndjson")), headers(("x-lsn" = u64, description = "LSN of the state that was read"))),
        NetworkListProblems
    )
)]
async fn bonuses(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<BonusQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let cursors = Cursors::new(engine, &format!("bonuses/{}", query.name()));
    let after = opened(&cursors, query.cursor.as_deref())?;
    let begin = |state: &State, directory: &MemberDirectory| {
        caller.network(Action::ReadNetwork, state, directory)?;
        let (after, before) = match after.as_deref() {
            None => (None, state.entries()),
            Some([after, before]) if after < before && *before <= state.entries() => (Some(*after), *before),
            Some(_) => return Err(cursor_invalid()),
        };
        Ok(Bonuses { status: query.status.map(Into::into), after, before })
    };
    page::list(&shared, &caller, &headers, query.limit, &cursors, begin).await
}
