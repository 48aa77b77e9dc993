//! Levels of a member's downline: how many members each has, and the commissions from them.
//!
//! A commission belongs to the level at which it was paid, along the tree of its bonus; `tree` chooses whose
//! members are counted and listed. Where a plan pays along one tree, both refer to the same members.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    extract::State as Extract,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    as_of::{self, AsOf},
    caller::Caller,
    extract::{Path, Query},
    lists::{self, MemberRow, PastMemberProblems, VolumeProblems},
    media::accepts,
    page::{self, Cursors, Listing, Page, Reader, Source, list_query},
    problem::{Code, Problem},
    totals::{self, Total},
    types::TreeName,
    volume_columns::{Columns, shown_too},
};
use crate::{
    engine::{
        Brought, LEVELS_MAX, LevelOrder, MemberDirectory, MemberIx, ReceivedSums, State, Sum, Timestamp, Tree,
    },
    http::{
        auth::{Action, Sight},
        context::Shared,
        limits::{BULK_SLICES_AHEAD, PAGE_SLICES_MAX, SLICE_ROWS, SLICE_STEPS},
        reply::Reply,
    },
};

/// Members of a level whose commissions are summed in one walk through the receiver's entries, in a stream:
/// some 3 MiB for each of the bulk streams. A smaller batch would walk more often.
const STREAM_BATCH: usize = 1 << 15;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(levels)).routes(routes!(level))
}

/// What stands below a member, by level, and what it brought.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names on the wire")]
pub struct Levels {
    pub user_id: Uuid,
    #[schema(inline)]
    pub tree: TreeName,
    /// Levels that the plan counts and pays for members that are not admins.
    #[schema(minimum = 1, maximum = 15)]
    pub level_cap: u8,
    /// Level 1 first. Those within the cap always, deeper ones where there is something to say. Commissions
    /// above level 2,048, which only an import makes, count as of level 2,048.
    pub levels: Vec<Level>,
    /// All commissions, rank rewards left out. Void bonuses are in no sum.
    pub commission: Total,
    /// Rewards for ranks, which belong to no level.
    pub rank_rewards: Total,
}

/// One level.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names on the wire")]
pub struct Level {
    #[schema(minimum = 1, maximum = 2048)]
    pub level: u32,
    /// Members at this level; null where they are not counted (beyond the cap, or in a tree that the plan
    /// does not count).
    pub members: Option<u32>,
    pub commission: Total,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct LevelsQuery {
    /// Which genealogy.
    #[serde(default)]
    #[param(inline, default = "placement")]
    tree: TreeName,
    /// Read the past: an LSN, or a time that is over. As far back as the log is kept.
    #[param(value_type = Option<String>, max_length = 96)]
    as_of: Option<AsOf>,
}

/// A member at the level that was asked about, and what it brought.
#[derive(Serialize, ToSchema)]
pub struct LevelRow {
    pub member: MemberRow,
    /// What it brought to the member that was asked about, at this level, void bonuses left out.
    pub commission: Total,
}

/// Head-counts of a member as one list, level 1 first.
fn counts(state: &State, tree: Tree, member: MemberIx) -> Vec<u32> {
    let Some(near) = state.levels(tree, member) else { return Vec::new() };
    let cap = usize::from(state.plan().level_cap);
    match state.deep_levels_of(tree, member) {
        // An admin's levels are counted beyond the cap.
        Some(deep) if cap == LEVELS_MAX => near.iter().chain(deep).copied().collect(),
        _ => near[..cap].to_vec(),
    }
}

fn levels_of(state: &State, tree: TreeName, member: MemberIx, counts: &[u32], sums: &ReceivedSums) -> Levels {
    let plan = state.plan();
    let cap = usize::from(plan.level_cap);
    let counted = counts.iter().rposition(|count| *count != 0).map_or(0, |last| last + 1);
    let paid = sums.by_level.keys().next_back().map_or(0, |level| *level as usize);
    let total = |sum: Sum| Total::new(sum, plan);
    let of_level = |level: usize| {
        let number = u32::try_from(level).expect("levels are limited by SUM_LEVELS_MAX");
        let sum = sums.by_level.get(&number).copied().unwrap_or_default();
        Level { level: number, members: counts.get(level - 1).copied(), commission: total(sum) }
    };
    let has_something = |level: &usize| {
        *level <= cap.max(counted) || sums.by_level.contains_key(&u32::try_from(*level).unwrap_or(u32::MAX))
    };
    let rewards = sums.by_level.get(&0).copied().unwrap_or_default();
    let commission =
        Sum { entries: sums.total.entries - rewards.entries, amount: sums.total.amount - rewards.amount };
    Levels {
        user_id: super::types::user_id(state, member),
        tree,
        level_cap: plan.level_cap,
        levels: (1..=cap.max(counted).max(paid)).filter(has_something).map(of_level).collect(),
        commission: total(commission),
        rank_rewards: total(rewards),
    }
}

/// Members and commissions by level
///
/// Counts are at hand. Commissions are added up over all bonuses of the member that are not void, some ten
/// million a second.
#[utoipa::path(
    get, path = "/v1/members/{id}/levels", tag = "levels",
    params(("id" = Uuid, Path, description = "The member's user_id"), LevelsQuery),
    responses(
        (
            status = 200, description = "All levels", body = Levels,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        PastMemberProblems
    )
)]
async fn levels(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<LevelsQuery>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    caller.may_cost()?;
    // Everything mutable is read now; existing entries change in nothing but their state.
    let begin = |state: &State, directory: &MemberDirectory| {
        let member = caller.member(Action::ReadMember, id, state, directory)?;
        caller.member(Action::ReadBonuses, id, state, directory)?;
        let sums = state.received_sums(member, Timestamp(i64::MIN), Timestamp(i64::MAX));
        Ok::<_, Problem>((member, counts(state, query.tree.into(), member), sums, state.lsn()))
    };
    let (member, head_counts, mut sums, lsn) = engine.read(begin)?;
    if let Some(as_of) = query.as_of {
        let past = as_of::past(&shared, &caller, as_of).await?;
        let (member, counts, mut sums, lsn) = engine.read(|_, directory| begin(&past, directory))?;
        shared.heavy.enter()?;
        while !sums.is_over() {
            let looked = sums.looked;
            shared.heavy.run(|| past.received_sums_step(&mut sums, SLICE_STEPS)).await;
            caller.pays(sums.looked - looked);
        }
        return Ok(answer(StatusCode::OK, lsn, &levels_of(&past, query.tree, member, &counts, &sums)));
    }
    totals::add_up(&shared, &caller, &mut sums).await?;
    Ok(engine.read(|state, _| {
        answer(StatusCode::OK, lsn, &levels_of(state, query.tree, member, &head_counts, &sums))
    }))
}

list_query! {
    struct LevelQuery {
        tree, volumes,
    }
}

/// The members of one level, batch by batch: first found, then looked up among the receiver's entries, then
/// shown.
pub struct LevelList {
    _permit: Option<OwnedSemaphorePermit>,
    sight: Sight,
    tree: Tree,
    columns: Columns,
    receiver: MemberIx,
    level: u32,
    /// Members of a batch.
    batch: usize,
    walk: LevelOrder,
    /// The walk before the current batch.
    begun: LevelOrder,
    found: VecDeque<MemberIx>,
    is_collected: bool,
    brought: Brought,
}

impl LevelList {
    /// Collects members. Returns true when the batch is complete.
    fn collect(&mut self, reader: &Reader<'_>) -> bool {
        let mut steps = SLICE_STEPS;
        let is_complete = loop {
            if self.batch <= self.found.len() {
                break true;
            }
            match reader.state.level_order_step(self.tree, &mut self.walk, &mut steps) {
                Some(member) => {
                    self.found.push_back(member);
                    self.brought.ask(member);
                }
                None => break self.walk.is_over(),
            }
        };
        reader.note(SLICE_STEPS - steps);
        is_complete
    }

    /// Whether the current batch lacks its sums: work that a position cannot represent.
    fn is_adding_up(&self) -> bool {
        !self.found.is_empty()
    }

    /// Closes the batch at the members found so far, to be shown once their sums are there: the rest is for
    /// another page.
    fn close_batch(&mut self) {
        self.is_collected = self.is_adding_up();
    }
}

impl Listing for LevelList {
    type Item = LevelRow;
    const SLICES_AHEAD: usize = BULK_SLICES_AHEAD;
    const STREAM_ROWS: usize = SLICE_ROWS;
    const WALKS: bool = true;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<LevelRow>) -> bool {
        let state = reader.state;
        // Do as much as possible under this lock: then the page is of one state.
        if !self.is_collected {
            self.is_collected = self.collect(reader);
            if !self.is_collected {
                return true;
            }
        }
        let looked = self.brought.looked;
        let has_all = state.brought_step(&mut self.brought, SLICE_STEPS);
        reader.note(usize::try_from(self.brought.looked - looked).expect("no more than its steps"));
        if !has_all {
            return true;
        }
        let now = self.columns.now(state);
        let most = if self.batch == STREAM_BATCH { now.rows(rows) } else { rows };
        let rows = most.min(self.found.len());
        for member in self.found.drain(..rows) {
            let commission = Total::new(self.brought.of(member), state.plan());
            let row = MemberRow::new(state, self.sight, self.tree, member, self.level);
            out.push(LevelRow { member: MemberRow { volumes: now.of(member), ..row }, commission });
        }
        reader.note(now.steps(rows));
        if !self.found.is_empty() {
            return true;
        }
        (self.is_collected, self.brought) = (false, state.brought(self.receiver, self.level));
        let goes_on = lists::goes_on(state, self.tree, &mut self.walk, SLICE_STEPS);
        self.begun = self.walk;
        goes_on
    }

    /// Where the current batch begins, if it was not shown yet.
    fn position(&self) -> Vec<u64> {
        lists::packed(if self.is_adding_up() { &self.begun } else { &self.walk })
    }
}

/// The members of one level, each with the commission it brought
///
/// In tree order. There is no index of bonuses by source, so a page adds up over all bonuses of the member
/// that was asked about, and NDJSON does so once for some thirty thousand rows. A page whose work is too much
/// for one request is empty and has `next`, which goes on with that work: ask until `next` is null.
#[utoipa::path(
    get, path = "/v1/members/{id}/levels/{level}", tag = "levels",
    params(
        ("id" = Uuid, Path, description = "The member's user_id"),
        ("level" = u32, Path, description = "Level below the member", minimum = 1),
        LevelQuery
    ),
    responses(
        (
            status = 200, description = "A page, or all as NDJSON",
            content((Page<LevelRow> = "application/json"), (LevelRow = "application/x-ndjson")),
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        VolumeProblems
    )
)]
async fn level(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path((id, level)): Path<(Uuid, u32)>,
    Query(query): Query<LevelQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    if level == 0 {
        return Err(Problem::new(Code::ParameterInvalid)
            .with("field", "level")
            .detail("levels count from 1"));
    }
    let engine = shared.v1_engine()?;
    caller.may_cost()?;
    let query_name =
        format!("level/{id}/{level}/{}{}", query.tree.name(), shown_too(query.volumes.as_deref()));
    let cursors = Cursors::new(engine, &query_name);
    let after = lists::opened(&cursors, query.cursor.as_deref())?;
    let limit = page::limit(query.limit)?;
    let permit = if accepts(&headers, page::NDJSON) { Some(lists::bulk_permit(&shared)?) } else { None };
    let is_stream = permit.is_some();
    let tree = query.tree.into();
    let (position, ticket) = match after.as_deref() {
        // The last word is the ticket of unfinished work.
        Some([position @ .., ticket]) if position.len() == lists::PACKED_WORDS => {
            (Some(position), Some(*ticket))
        }
        other => (other, None),
    };
    let (new, lsn) = engine.read(|state, directory| {
        let receiver = caller.member(Action::ReadMember, id, state, directory)?;
        caller.member(Action::ReadBonuses, id, state, directory)?;
        let walk = match position {
            None => state.level_order(tree, receiver, level, level),
            Some(words) => lists::unpacked(state, tree, receiver, words)?,
        };
        let sight = caller.0.sight(state, directory);
        let columns = Columns::asked(query.volumes.as_deref(), state)?;
        // A page shows its batch whole.
        let batch = if is_stream { STREAM_BATCH } else { columns.now(state).rows(limit) };
        let brought = state.brought(receiver, level);
        let found = VecDeque::new();
        let list = LevelList {
            _permit: permit,
            sight,
            tree,
            columns,
            receiver,
            level,
            batch,
            walk,
            begun: walk,
            found,
            is_collected: false,
            brought,
        };
        Ok::<_, Problem>((list, state.lsn()))
    })?;
    let source = Source::new(&shared, &caller)?;
    if is_stream {
        return Ok(page::stream(source, new, lsn));
    }
    shared.heavy.enter()?;
    let owner = format!("{}/{query_name}", caller.0.name);
    let unfinished = ticket.and_then(|ticket| shared.desk.unfinished.take(ticket, &owner));
    // Only pages of levels are left unfinished today; the query in the owner distinguishes them from others.
    let unfinished = unfinished.and_then(|work| work.downcast().ok());
    let listing = unfinished.map_or(new, |work| *work);
    level_page(&shared, &source, listing, limit, &cursors, &owner).await
}

/// A page of a level: complete, or partial with a cursor to resume it.
///
/// # Errors
/// None: a level is read from the state alone.
async fn level_page(
    shared: &Shared,
    source: &Source,
    mut listing: LevelList,
    limit: usize,
    cursors: &Cursors,
    owner: &str,
) -> Result<Reply, Problem> {
    let mut items = Vec::new();
    let mut lsn = 0;
    for number in 1..=PAGE_SLICES_MAX {
        let more;
        (more, lsn) = shared.heavy.run(|| source.take(&mut listing, limit, &mut items)).await?;
        if !items.is_empty() || !more {
            let next = more.then(|| cursors.seal(&listing.position()));
            return Ok(shared.heavy.run(|| answer(StatusCode::OK, lsn, &Page { items, next })).await);
        }
        // Half of the work goes to finding members, so that some is left for their sums.
        if number == PAGE_SLICES_MAX / 2 {
            listing.close_batch();
        }
    }
    let mut position = listing.position();
    if listing.is_adding_up() {
        position.push(shared.desk.unfinished.keep(owner, Box::new(listing)));
    }
    let page = Page::<LevelRow> { items: Vec::new(), next: Some(cursors.seal(&position)) };
    Ok(answer(StatusCode::OK, lsn, &page))
}
