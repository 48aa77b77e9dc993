//! Lists of members along a tree: `upline`, `downline`, `children`.
//!
//! Each shows the members that existed when its first page was read: later ones appear in no later page of
//! the same list, and no member is lost or shown twice. The rest of a row (status, rank, children) is as of
//! the page it is in.

use std::sync::Arc;

use axum::{extract::State as Extract, http::HeaderMap};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    as_of::{self, AsOf},
    caller::Caller,
    extract::{Path, Query},
    media::accepts,
    page::{self, Cursors, Listing, Page, Reader, list_query},
    problem::{Code, Problem, problems},
    types::{Role, Status, Time, user_id},
    volume_columns::{Columns, PeriodColumns, shown_too},
};
use crate::{
    engine::{
        BreadthFirst, LEVEL_ORDER_WORDS, LevelOrder, MemberDirectory, MemberIx, Rejection, State, Tree,
    },
    http::{
        auth::{Action, Sight},
        context::Shared,
        limits::{BULK_SLICES_AHEAD, SLICE_ROWS, SLICE_STEPS},
        reply::Reply,
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(upline)).routes(routes!(downline)).routes(routes!(children))
}

/// A member in a list.
#[derive(Serialize, ToSchema)]
pub struct MemberRow {
    pub user_id: Uuid,
    /// Referral code.
    #[schema(max_length = 64)]
    pub code: String,
    /// Levels between this member and the one that was asked about.
    pub depth: u32,
    /// Above this member in the tree that was asked about; null for a root, and where the caller may not see
    /// it.
    pub above: Option<Uuid>,
    /// Slot under the parent; in the sponsor tree the number among the sponsor's recruits. From 0.
    pub slot: u32,
    pub joined_at: Time,
    pub status: Status,
    pub role: Role,
    /// Ordinal of the rank in force; 0 for none.
    pub rank: u16,
    /// Children in the tree that was asked about.
    pub direct: u32,
    /// Its volumes in the newest two periods of the calendars that `volumes` names; not there otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    pub volumes: Option<Vec<PeriodColumns>>,
}

impl MemberRow {
    /// O(log n) for a caller that does not see everything, O(1) for others.
    pub fn new(state: &State, sight: Sight, tree: Tree, member: MemberIx, depth: u32) -> Self {
        let facts = state.member(member);
        let above = state.above(tree, member).filter(|above| sight.sees(state, *above));
        Self {
            user_id: Uuid::from_bytes(facts.id.0),
            code: state.code(member).into_string(),
            depth,
            above: above.map(|above| user_id(state, above)),
            slot: state.slot_in(tree, member),
            joined_at: Time(facts.joined_at),
            status: facts.status.into(),
            role: facts.role.into(),
            rank: state.paid_as(member),
            direct: state.direct(tree, member),
            volumes: None,
        }
    }
}

/// What rows show, and to whom.
struct Rows {
    sight: Sight,
    tree: Tree,
    columns: Columns,
}

impl Rows {
    /// Appends the rows of `members`, which are anywhere above or below a member at `level`. Each is
    /// elsewhere in memory, so all are prefetched.
    fn push(&self, reader: &Reader<'_>, level: u32, members: &[MemberIx], out: &mut Vec<MemberRow>) {
        let (state, now) = (reader.state, self.columns.now(reader.state));
        state.prefetch_rows(self.tree, members);
        out.extend(members.iter().map(|member| {
            let depth = state.level_in(self.tree, *member).abs_diff(level);
            let row = MemberRow::new(state, self.sight, self.tree, *member, depth);
            MemberRow { volumes: now.of(*member), ..row }
        }));
        reader.note(now.steps(members.len()));
    }

    /// The rows that a slice may have.
    fn most(&self, state: &State, asked: usize) -> usize {
        self.columns.now(state).rows(asked)
    }
}

list_query! {
    struct ListQuery {
        tree, volumes,
    }
}

/// More levels than any tree can have.
const DEPTH_MAX: u32 = 2_147_483_647;

list_query! {
    struct UplineQuery {
        tree, volumes,
        /// Read the past: an LSN, or a time that is over. As far back as the log is kept; always in pages.
        #[param(value_type = Option<String>, max_length = 96)]
        as_of: Option<AsOf>,
    }
}

list_query! {
    struct DownlineQuery {
        tree, volumes,
        /// Levels to go down; all, unless given.
        #[param(minimum = 1, maximum = 2_147_483_647)]
        depth: Option<u32>,
    }
}

/// Errors of every reading route.
pub const COMMON: [Code; 4] =
    [Code::FieldUnknown, Code::ParameterInvalid, Code::Overloaded, Code::AnswerTooSlow];

problems!(
    /// What a list about one member can fail with.
    pub Problems: COMMON, [Code::CursorInvalid, Code::Rejected(Rejection::MemberUnknown)]
);
problems!(
    /// What a list of members with their volumes can fail with.
    pub VolumeProblems: COMMON,
    [
        Code::CursorInvalid, Code::Rejected(Rejection::MemberUnknown),
        Code::Rejected(Rejection::CalendarUnknown)
    ]
);
problems!(
    /// What an answer about one member can fail with.
    pub MemberProblems: COMMON, [Code::Rejected(Rejection::MemberUnknown)]
);
problems!(
    /// What a list about one member can fail with, also of the past.
    pub PastProblems: COMMON,
    [
        Code::CursorInvalid, Code::Rejected(Rejection::MemberUnknown),
        Code::Rejected(Rejection::CalendarUnknown), Code::AsOfInvalid, Code::HistoryNotRetained,
        Code::Overloaded, Code::Stopping
    ]
);
problems!(
    /// What an answer about one member can fail with, also of the past.
    pub PastMemberProblems: COMMON,
    [
        Code::Rejected(Rejection::MemberUnknown), Code::AsOfInvalid, Code::HistoryNotRetained,
        Code::Overloaded, Code::Stopping
    ]
);
problems!(
    /// What an answer about the network can fail with.
    pub NetworkProblems: COMMON
);

/// The words of a cursor, if one was given.
///
/// # Errors
/// `cursor_invalid`.
pub fn opened(cursors: &Cursors, cursor: Option<&str>) -> Result<Option<Vec<u64>>, Problem> {
    cursor.map(|cursor| cursors.open(cursor)).transpose()
}

pub fn cursor_invalid() -> Problem {
    Code::CursorInvalid.into()
}

/// A member index from a cursor, checked to exist.
pub fn known(state: &State, word: u64) -> Result<MemberIx, Problem> {
    u32::try_from(word).ok().filter(|index| *index < state.len()).map(MemberIx).ok_or_else(cursor_invalid)
}

/// Children of one member, in slot order.
struct Children {
    rows: Rows,
    parent: MemberIx,
    /// The last one that was examined.
    last: Option<MemberIx>,
    /// Members from this index on joined after the list was begun.
    before: u32,
}

impl Children {
    fn new(state: &State, rows: Rows, parent: MemberIx, after: Option<&[u64]>) -> Result<Self, Problem> {
        let (last, before) = match after {
            None => (None, state.len()),
            Some([last, before]) => {
                let last = known(state, *last)?;
                if state.above(rows.tree, last) != Some(parent) {
                    return Err(cursor_invalid());
                }
                let before = u32::try_from(*before).ok().filter(|before| *before <= state.len());
                (Some(last), before.ok_or_else(cursor_invalid)?)
            }
            Some(_) => return Err(cursor_invalid()),
        };
        Ok(Self { rows, parent, last, before })
    }

    fn rest<'state>(&self, state: &'state State) -> Box<dyn Iterator<Item = MemberIx> + 'state> {
        match self.last {
            None => Box::new(state.children(self.rows.tree, self.parent)),
            Some(last) => Box::new(state.later_children(self.rows.tree, last)),
        }
    }
}

impl Listing for Children {
    type Item = MemberRow;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<MemberRow>) -> bool {
        let state = reader.state;
        let (most, level) = (self.rows.most(state, rows), state.level_in(self.rows.tree, self.parent));
        let mut members = Vec::new();
        let mut is_full = false;
        for child in self.rest(state).take(SLICE_STEPS) {
            if child.0 < self.before {
                is_full = members.len() == most;
                if is_full {
                    break;
                }
                members.push(child);
            }
            self.last = Some(child);
        }
        self.rows.push(reader, level, &members, out);
        is_full || self.rest(state).next().is_some()
    }

    fn position(&self) -> Vec<u64> {
        let last = self.last.expect("a list that goes on has looked at somebody");
        vec![u64::from(last.0), u64::from(self.before)]
    }
}

/// Direct children of a member
///
/// In slot order; in the sponsor tree in the order of joining.
#[utoipa::path(
    get, path = "/v1/members/{id}/children", tag = "lists",
    params(("id" = Uuid, Path, description = "The member's user_id"), ListQuery),
    responses(
        (
            status = 200, description = "A page, or all as NDJSON",
            content((Page<MemberRow> = "application/json"), (MemberRow = "application/x-ndjson")),
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        VolumeProblems
    )
)]
async fn children(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let cursors = Cursors::new(
        engine,
        &format!("children/{id}/{}{}", query.tree.name(), shown_too(query.volumes.as_deref())),
    );
    let after = opened(&cursors, query.cursor.as_deref())?;
    let begin = |state: &State, directory: &MemberDirectory| {
        let parent = caller.member(Action::ReadMember, id, state, directory)?;
        let rows = Rows {
            sight: caller.0.sight(state, directory),
            tree: query.tree.into(),
            columns: Columns::asked(query.volumes.as_deref(), state)?,
        };
        Children::new(state, rows, parent, after.as_deref())
    };
    let is_heavy = query.volumes.is_some();
    page::list_as(&shared, &caller, &headers, query.limit, &cursors, is_heavy, begin).await
}

/// The uplines of one member, as far as the caller sees.
struct Upline {
    rows: Rows,
    /// Level of the requested member.
    level: u32,
    /// The last one that was shown.
    at: MemberIx,
}

impl Upline {
    fn next(&self, state: &State) -> Option<MemberIx> {
        let Rows { sight, tree, .. } = self.rows;
        state.above(tree, self.at).filter(|above| sight.sees(state, *above))
    }
}

impl Listing for Upline {
    type Item = MemberRow;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<MemberRow>) -> bool {
        let state = reader.state;
        let rows = self.rows.most(state, rows);
        let mut members = Vec::new();
        while members.len() < rows
            && let Some(above) = self.next(state)
        {
            self.at = above;
            members.push(above);
        }
        self.rows.push(reader, self.level, &members, out);
        self.next(state).is_some()
    }

    fn position(&self) -> Vec<u64> {
        vec![u64::from(self.at.0)]
    }
}

/// Who stands above a member, nearest first
///
/// A member that asks sees itself and who is below it, so its own upline is empty, and that of a member below
/// it ends with itself.
#[utoipa::path(
    get, path = "/v1/members/{id}/upline", tag = "lists",
    params(("id" = Uuid, Path, description = "The member's user_id"), UplineQuery),
    responses(
        (
            status = 200, description = "A page, or all as NDJSON",
            content((Page<MemberRow> = "application/json"), (MemberRow = "application/x-ndjson")),
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        PastProblems
    )
)]
async fn upline(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<UplineQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let cursors = Cursors::new(engine, &upline_query(id, &query));
    let after = opened(&cursors, query.cursor.as_deref())?;
    let tree = query.tree.into();
    let begin = |state: &State, directory: &MemberDirectory| {
        let member = caller.member(Action::ReadMember, id, state, directory)?;
        let sight = caller.0.sight(state, directory);
        let at = match after.as_deref() {
            None => member,
            Some([at]) => {
                let at = known(state, *at)?;
                if state.distance(tree, at, member).is_none() || !sight.sees(state, at) {
                    return Err(cursor_invalid());
                }
                at
            }
            Some(_) => return Err(cursor_invalid()),
        };
        let rows = Rows { sight, tree, columns: Columns::asked(query.volumes.as_deref(), state)? };
        Ok::<_, Problem>(Upline { rows, level: state.level_in(tree, member), at })
    };
    let is_heavy = query.volumes.is_some();
    let Some(as_of) = query.as_of else {
        return page::list_as(&shared, &caller, &headers, query.limit, &cursors, is_heavy, begin).await;
    };
    // A principal that may not see the present may not see the past.
    engine.read(begin)?;
    let past = as_of::past(&shared, &caller, as_of).await?;
    page::past(&shared, &caller, &past, query.limit, &cursors, begin).await
}

/// Identifies the list. Further pages of the past stay at the same moment.
fn upline_query(id: Uuid, query: &UplineQuery) -> String {
    let as_of = query.as_of.map(|as_of| format!("/{as_of}")).unwrap_or_default();
    format!("upline/{id}/{}{as_of}{}", query.tree.name(), shown_too(query.volumes.as_deref()))
}

/// A downline, level by level.
struct Downline {
    rows: Rows,
    /// Level of the requested member.
    level: u32,
    walk: Walk,
}

enum Walk {
    /// Keeps a queue, so there are never more than a few of these.
    Streamed {
        walk: BreadthFirst,
        _permit: OwnedSemaphorePermit,
    },
    Paged(LevelOrder),
}

impl Downline {
    fn next(&mut self, state: &State, steps: &mut usize) -> Option<MemberIx> {
        match &mut self.walk {
            Walk::Streamed { walk, .. } => {
                state.breadth_first_step(self.rows.tree, walk, steps).map(|(member, _)| member)
            }
            Walk::Paged(walk) => state.level_order_step(self.rows.tree, walk, steps),
        }
    }
}

impl Listing for Downline {
    type Item = MemberRow;
    const SLICES_AHEAD: usize = BULK_SLICES_AHEAD;
    const STREAM_ROWS: usize = SLICE_ROWS;
    const WALKS: bool = true;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<MemberRow>) -> bool {
        let state = reader.state;
        let mut steps = SLICE_STEPS;
        let rows = self.rows.most(state, rows);
        let members: Vec<MemberIx> = std::iter::from_fn(|| self.next(state, &mut steps)).take(rows).collect();
        reader.note(SLICE_STEPS - steps);
        self.rows.push(reader, self.level, &members, out);
        match &mut self.walk {
            Walk::Streamed { walk, .. } => !walk.is_over(),
            Walk::Paged(walk) => goes_on(state, self.rows.tree, walk, steps),
        }
    }

    fn position(&self) -> Vec<u64> {
        match &self.walk {
            Walk::Paged(walk) => packed(walk),
            Walk::Streamed { .. } => unreachable!("a stream has no pages"),
        }
    }
}

/// Whether a walk may find another member. If `steps` are too few to tell, returns true and keeps the walk's
/// progress.
pub fn goes_on(state: &State, tree: Tree, walk: &mut LevelOrder, mut steps: usize) -> bool {
    let mut ahead = *walk;
    if state.level_order_step(tree, &mut ahead, &mut steps).is_some() {
        return true;
    }
    *walk = ahead;
    !walk.is_over()
}

/// Words of a packed walk.
pub const PACKED_WORDS: usize = LEVEL_ORDER_WORDS.div_ceil(2);

/// The words of a walk, two to each word of a cursor.
pub fn packed(walk: &LevelOrder) -> Vec<u64> {
    let words = walk.to_words();
    words
        .chunks(2)
        .map(|pair| u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 32)
        .collect()
}

/// Restores the walk of `top`'s downline from its words.
///
/// # Errors
/// `cursor_invalid` when no such walk has these words.
pub fn unpacked(state: &State, tree: Tree, top: MemberIx, words: &[u64]) -> Result<LevelOrder, Problem> {
    if words.len() != PACKED_WORDS {
        return Err(cursor_invalid());
    }
    let mut unpacked = [0; LEVEL_ORDER_WORDS];
    for (place, word) in unpacked.iter_mut().enumerate() {
        *word = u32::try_from(words[place / 2] >> (32 * (place % 2)) & u64::from(u32::MAX)).expect("masked");
    }
    state.level_order_from(tree, top, unpacked).ok_or_else(cursor_invalid)
}

/// A permit to stream in bulk. Taken before anything is read, so that too many streams cost nothing.
///
/// # Errors
/// `Overloaded` while the maximum is in flight.
pub fn bulk_permit(shared: &Shared) -> Result<OwnedSemaphorePermit, Problem> {
    Ok(Arc::clone(&shared.bulk).try_acquire_owned().map_err(|_| Code::Overloaded)?)
}

/// The downline of a member, level by level
///
/// Nearest first; inside a level in tree order. A page costs what stands between its members in the tree:
/// usually little more than its rows; in the worst case (long legs far apart) it ends early, with fewer rows
/// than `limit` and a cursor. NDJSON always costs one step per member.
#[utoipa::path(
    get, path = "/v1/members/{id}/downline", tag = "lists",
    params(("id" = Uuid, Path, description = "The member's user_id"), DownlineQuery),
    responses(
        (
            status = 200, description = "A page, or all as NDJSON",
            content((Page<MemberRow> = "application/json"), (MemberRow = "application/x-ndjson")),
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        VolumeProblems
    )
)]
async fn downline(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<DownlineQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let deepest = query.depth.unwrap_or(DEPTH_MAX);
    if !(1..=DEPTH_MAX).contains(&deepest) {
        return Err(Problem::new(Code::ParameterInvalid)
            .with("field", "depth")
            .detail(format!("levels count from 1 to {DEPTH_MAX}")));
    }
    let tree = query.tree.into();
    let shown_too = shown_too(query.volumes.as_deref());
    let cursors = Cursors::new(engine, &format!("downline/{id}/{}/{deepest}{shown_too}", query.tree.name()));
    let after = opened(&cursors, query.cursor.as_deref())?;
    // Taken before anything is read, so that too many streams cost nothing.
    let permit = match (&after, accepts(&headers, page::NDJSON)) {
        (None, true) => Some(bulk_permit(&shared)?),
        _ => None,
    };
    let begin = |state: &State, directory: &MemberDirectory| {
        let top = caller.member(Action::ReadMember, id, state, directory)?;
        let walk = match (after.as_deref(), permit) {
            (None, Some(permit)) => {
                Walk::Streamed { walk: state.breadth_first(tree, top, deepest), _permit: permit }
            }
            (None, None) => Walk::Paged(state.level_order(tree, top, 1, deepest)),
            (Some(words), _) => Walk::Paged(unpacked(state, tree, top, words)?),
        };
        let sight = caller.0.sight(state, directory);
        let rows = Rows { sight, tree, columns: Columns::asked(query.volumes.as_deref(), state)? };
        Ok(Downline { rows, level: state.level_in(tree, top), walk })
    };
    page::list(&shared, &caller, &headers, query.limit, &cursors, begin).await
}
