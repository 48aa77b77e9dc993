//! All members of the network: `GET /v1/members`.

use std::sync::Arc;

use axum::{extract::State as Extract, http::HeaderMap};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Caller,
    extract::Query,
    lists::{COMMON, cursor_invalid, opened},
    members::Member,
    page::{self, Cursors, Listing, Page, Reader, list_query},
    problem::{Code, Problem, problems},
    types::{Role, Status, Time},
    volume_columns::{Columns, shown_too},
};
use crate::{
    engine::{
        ADMIN_LEVELS_MAX, MemberDirectory, MemberFilter, MemberIx, Rejection, Roster, RosterOrder, State,
        Tree,
    },
    http::{
        auth::{Action, Sight},
        context::Shared,
        limits::{ROW_UNITS, SLICE_STEPS},
        reply::Reply,
    },
};

/// The highest ordinal that a rank can have.
const RANK_MAX: u16 = 1_024;
const _: () = assert!(RANK_MAX as usize == ADMIN_LEVELS_MAX);

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(members))
}

/// In which order members are listed. Order is that of their registrations, which is that of their join times
/// but for those that were given or imported.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum JoinOrder {
    /// A member comes after its sponsor and its parent.
    #[default]
    Oldest,
    Newest,
}

impl From<JoinOrder> for RosterOrder {
    fn from(order: JoinOrder) -> Self {
        match order {
            JoinOrder::Oldest => RosterOrder::OldestFirst,
            JoinOrder::Newest => RosterOrder::NewestFirst,
        }
    }
}

list_query! {
    struct MembersQuery {
        volumes,
        /// Only roots: members without a sponsor.
        #[serde(default)]
        #[param(default = false)]
        roots: bool,
        /// Only those that have this status when they are read.
        #[param(inline)]
        status: Option<Status>,
        /// Only those that have this role in the network when they are read.
        #[param(inline)]
        role: Option<Role>,
        /// Only those whose rank in force has this ordinal when they are read; 0 for none.
        #[param(minimum = 0, maximum = 1_024)]
        rank: Option<u16>,
        /// Only those that joined at this time or later.
        from: Option<Time>,
        /// Only those that joined before this time.
        to: Option<Time>,
        /// Who was registered first comes first, or last.
        #[serde(default)]
        #[param(inline, default = "oldest")]
        order: JoinOrder,
    }
}

impl MembersQuery {
    /// Everything that identifies the list.
    fn name(&self) -> String {
        format!("members/{:?}/{:?}{}", self.filter(), self.order, shown_too(self.volumes.as_deref()))
    }

    fn filter(&self) -> MemberFilter {
        let everybody = MemberFilter::default();
        MemberFilter {
            roots: self.roots,
            status: self.status.map(Into::into),
            role: self.role.map(Into::into),
            rank: self.rank,
            from: self.from.map_or(everybody.from, |from| from.0),
            until: self.to.map_or(everybody.until, |to| to.0),
        }
    }
}

/// Members as they are found.
struct Members {
    roster: Roster,
    columns: Columns,
}

impl Listing for Members {
    type Item = Member;
    const WALKS: bool = true;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Member>) -> bool {
        let (state, mut steps) = (reader.state, SLICE_STEPS);
        let now = self.columns.now(state);
        let members: Vec<MemberIx> = std::iter::from_fn(|| state.roster_step(&mut self.roster, &mut steps))
            .take(now.rows(rows))
            .collect();
        let goes_on = state.roster_goes_on(&mut self.roster, &mut steps);
        // Counting the members below takes lookups in two trees, as much work as showing the rest of the row.
        reader
            .note(SLICE_STEPS - steps + usize::try_from(ROW_UNITS).expect("a small number") * members.len());
        state.prefetch_rows(Tree::Placement, &members);
        // Principals that may ask at all see every member.
        out.extend(
            members
                .iter()
                .map(|member| Member { volumes: now.of(*member), ..Member::new(state, Sight::All, *member) }),
        );
        reader.note(now.steps(members.len()));
        goes_on
    }

    fn position(&self) -> Vec<u64> {
        self.roster.position().to_vec()
    }
}

problems!(
    MembersProblems: COMMON, [Code::CursorInvalid, Code::Rejected(Rejection::CalendarUnknown)]
);

/// All members of the network
///
/// In the order in which they were registered. Who registers after the first page was read is in no later
/// page of the same list, and nobody who was there is lost or shown twice. There is no index of what a filter
/// asks for, so that a list looks at every member: a page whose filter fits few may be short, or empty with a
/// cursor, after a million members at most. For those who see the whole network; a member asks for its
/// downline.
#[utoipa::path(
    get, path = "/v1/members", tag = "members",
    params(MembersQuery),
    responses(
        (
            status = 200, description = "A page, or all as NDJSON",
            content((Page<Member> = "application/json"), (Member = "application/x-ndjson")),
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        MembersProblems
    )
)]
async fn members(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<MembersQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    if query.rank.is_some_and(|rank| RANK_MAX < rank) {
        let detail = format!("rank must be within 0..={RANK_MAX}");
        return Err(Problem::new(Code::ParameterInvalid).with("field", "rank").detail(detail));
    }
    let cursors = Cursors::new(engine, &query.name());
    let after = opened(&cursors, query.cursor.as_deref())?;
    let (filter, order) = (query.filter(), query.order.into());
    let begin = |state: &State, directory: &MemberDirectory| {
        caller.network(Action::ReadNetwork, state, directory)?;
        let roster = match after.as_deref() {
            None => state.roster(filter, order),
            Some(words) => {
                let position = words.try_into().map_err(|_| cursor_invalid())?;
                state.roster_from(filter, order, position).ok_or_else(cursor_invalid)?
            }
        };
        Ok(Members { roster, columns: Columns::asked(query.volumes.as_deref(), state)? })
    };
    page::list(&shared, &caller, &headers, query.limit, &cursors, begin).await
}
