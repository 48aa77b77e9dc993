//! Lists of bonuses: those of one member, those of the network.

use std::sync::Arc;

use axum::{extract::State as Extract, http::HeaderMap};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    caller::Caller,
    extract::{Path, Query},
    lists::{COMMON, Problems, cursor_invalid, opened},
    page::{self, Cursors, Listing, Page, Reader, list_query},
    pay::KIND_BYTES_MAX,
    problem::{Code, Problem, problems},
    types::{Bonus, BonusStatus, Time, member_id},
};
use crate::{
    engine::{Directory, EntryFilter, EntryStatus, Listed, MemberDirectory, Reference, Rejection, State},
    http::{
        auth::{Action, Sight},
        context::Shared,
        limits::SLICE_STEPS,
        reply::Reply,
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

list_query! {
    struct NetworkBonusQuery {
        /// Only those that have this status when they are read.
        #[param(inline)]
        status: Option<BonusStatus>,
        /// Only those of this time or later.
        from: Option<Time>,
        /// Only those of before this time.
        to: Option<Time>,
        /// Only those of this kind: a trigger's name, `registration`, or `rank:` and a number.
        #[param(min_length = 1, max_length = 64, example = "purchase")]
        kind: Option<String>,
        /// Only those that this member gets.
        receiver: Option<Uuid>,
        /// Only those that come from this member's signups and triggers.
        source: Option<Uuid>,
        /// Only those of the trigger, or triggers, with exactly this reference, and what takes them back.
        #[param(min_length = 1, max_length = 64, example = "order 4711")]
        reference: Option<String>,
    }
}

impl NetworkBonusQuery {
    /// Everything that identifies the list.
    fn name(&self) -> String {
        let Self { status, from, to, kind, receiver, source, reference, limit: _, cursor: _ } = self;
        let time = |time: &Option<Time>| time.map(|time| time.0.0);
        let list = (
            status.map(|status| EntryStatus::from(status).name()),
            time(from),
            time(to),
            kind,
            receiver,
            source,
            reference,
        );
        format!("bonuses/{list:?}")
    }

    /// The entries that the list shows in a network.
    ///
    /// # Errors
    /// `member_unknown`; `parameter_invalid` for an invalid reference.
    fn filter<D: Directory>(&self, state: &State, directory: &D) -> Result<EntryFilter, Problem> {
        let member = |id: Option<Uuid>, field: &'static str| {
            let find = |id| state.find(directory, &member_id(id)).ok_or_else(|| unknown(field, state.lsn()));
            id.map(find).transpose()
        };
        if self.kind.as_ref().is_some_and(|kind| !(1..=KIND_BYTES_MAX).contains(&kind.chars().count())) {
            let detail = format!("a kind has 1 to {KIND_BYTES_MAX} characters");
            return Err(Problem::new(Code::ParameterInvalid).with("field", "kind").detail(detail));
        }
        let reference = |text: &String| Reference::parse(text).ok_or_else(|| no_reference("reference"));
        let nothing = EntryFilter::default();
        let filter = EntryFilter {
            reference: self.reference.as_ref().map(reference).transpose()?,
            receiver: member(self.receiver, "receiver")?,
            source: member(self.source, "source")?,
            statuses: self.status.map(EntryStatus::from).into(),
            from: self.from.map_or(nothing.from, |from| from.0),
            until: self.to.map_or(nothing.until, |to| to.0),
            kind: None,
        };
        Ok(match self.kind.as_deref() {
            None => filter,
            Some(name) => match state.kind_named(name) {
                // No bonus ever had this kind.
                None => EntryFilter { until: nothing.from, ..filter },
                kind => EntryFilter { kind, ..filter },
            },
        })
    }
}

fn unknown(field: &'static str, lsn: u64) -> Problem {
    Problem::from(Rejection::MemberUnknown).at(lsn).with("field", field)
}

fn no_reference(field: &'static str) -> Problem {
    let detail = "a reference has 1 to 64 printable characters, neither blank at its ends";
    Problem::new(Code::ParameterInvalid).with("field", field).detail(detail)
}

problems!(
    NetworkListProblems: COMMON, [Code::CursorInvalid, Code::Rejected(Rejection::MemberUnknown)]
);

/// A bonus as a caller sees it.
fn seen(reader: &Reader<'_>, sight: Sight, index: u64) -> Bonus {
    Bonus::new(reader, &sight.of_entry(reader.state, &reader.state.entry(index)))
}

/// A list of bonuses.
struct Bonuses {
    sight: Sight,
    walk: Listed,
}

impl Bonuses {
    /// Begins a list, or resumes it at a cursor's position.
    fn new(state: &State, sight: Sight, filter: EntryFilter, after: Option<&[u64]>) -> Result<Self, Problem> {
        let walk = match after {
            None => state.listed(filter),
            Some(words) => {
                let position = words.try_into().map_err(|_| cursor_invalid())?;
                state.listed_from(filter, position).ok_or_else(cursor_invalid)?
            }
        };
        Ok(Self { sight, walk })
    }
}

impl Listing for Bonuses {
    type Item = Bonus;
    const WALKS: bool = true;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Bonus>) -> bool {
        let (state, most) = (reader.state, out.len() + rows);
        let mut steps = SLICE_STEPS;
        let mut is_through = false;
        while out.len() < most && !is_through {
            match state.listed_step(&mut self.walk, &mut steps) {
                Some(index) => out.push(seen(reader, self.sight, index)),
                None => is_through = true,
            }
        }
        let goes_on = state.listed_goes_on(&mut self.walk, &mut steps) || !self.walk.is_over();
        reader.note(SLICE_STEPS - steps);
        goes_on
    }

    fn position(&self) -> Vec<u64> {
        self.walk.position().to_vec()
    }
}

/// The bonuses of one member
///
/// Newest first, by time and then by LSN; the bonuses of one command by level. Those that come after the
/// first page was read are in no later page of the same list.
#[utoipa::path(
    get, path = "/v1/members/{id}/bonuses", tag = "bonuses",
    params(("id" = Uuid, Path, description = "The member's user_id"), BonusQuery),
    responses(
        (
            status = 200, description = "A page, or all as NDJSON",
            content((Page<Bonus> = "application/json"), (Bonus = "application/x-ndjson")),
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
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
        let sight = caller.0.sight(state, directory);
        let filter = EntryFilter {
            receiver: Some(receiver),
            statuses: query.status.map(EntryStatus::from).into(),
            ..EntryFilter::default()
        };
        Bonuses::new(state, sight, filter, after.as_deref())
    };
    page::list(&shared, &caller, &headers, query.limit, &cursors, begin).await
}

/// All bonuses of the network
///
/// Newest first, by time and then by LSN; the bonuses of one command by level. With a status, those that have
/// it when they are read: one that is paid while the list is read may be missing from both. Of time, receiver
/// and reference there is an index; other filters look through all that these leave, so that a page may be
/// short, or empty with a cursor.
#[utoipa::path(
    get, path = "/v1/bonuses", tag = "bonuses",
    params(NetworkBonusQuery),
    responses(
        (
            status = 200, description = "A page, or all as NDJSON",
            content((Page<Bonus> = "application/json"), (Bonus = "application/x-ndjson")),
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        NetworkListProblems
    )
)]
async fn bonuses(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<NetworkBonusQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let cursors = Cursors::new(engine, &query.name());
    let after = opened(&cursors, query.cursor.as_deref())?;
    let begin = |state: &State, directory: &MemberDirectory| {
        caller.network(Action::ReadNetwork, state, directory)?;
        let filter = query.filter(state, directory)?;
        Bonuses::new(state, caller.0.sight(state, directory), filter, after.as_deref())
    };
    page::list(&shared, &caller, &headers, query.limit, &cursors, begin).await
}
