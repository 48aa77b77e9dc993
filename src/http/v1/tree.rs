//! Trees for viewers: a bounded window, the uplines of a member, and the next placement.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    extract::{Path, Query},
    lists::{MemberProblems, Problems, cursor_invalid, known, opened},
    page::{Cursors, LIMIT_DEFAULT, LIMIT_MAX},
    problem::{Code, Problem, problems},
    rank::RankName,
    types::{Role, Status, Time, TreeName, TreeQuery, user_id},
};
use crate::{
    engine::{Engine, MemberIx, PlacementRule, Rejection, State, Tree, WindowMember, WindowSize},
    http::{
        auth::Action,
        context::Shared,
        limits::{LIGHT_ROWS, ROW_UNITS},
        reply::Reply,
    },
};

/// Cost of a member in a window: its children and empty slots are read too.
const NODE_UNITS: u64 = 2 * ROW_UNITS;
/// Maximum levels of a window: more does not fit a screen.
const DEPTH_MAX: u32 = 32;
/// Default levels of a window.
const DEPTH_DEFAULT: u32 = 3;
/// Default number of children shown per member: one wide node leaves room for the others.
const SIBLINGS_DEFAULT: u32 = 50;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(window)).routes(routes!(is_ancestor)).routes(routes!(preview))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct WindowQuery {
    /// Which genealogy.
    #[serde(default)]
    #[param(inline, default = "placement")]
    tree: TreeName,
    /// Levels below the member.
    #[param(minimum = 0, maximum = 32, default = 3)]
    depth: Option<u32>,
    /// Members in the window, at most, the top included.
    #[param(minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<u32>,
    /// Children of one member, at most.
    #[param(minimum = 1, maximum = 1_000, default = 50)]
    siblings: Option<u32>,
    /// `more` of this member in an earlier window: the window goes on with its later children. Anything else
    /// is 400.
    #[param(max_length = 128)]
    cursor: Option<String>,
}

impl WindowQuery {
    /// # Errors
    /// `parameter_invalid` for a value out of range.
    fn size(&self) -> Result<WindowSize, Problem> {
        let within = |field: &str, asked: Option<u32>, default: u32, range: std::ops::RangeInclusive<u32>| {
            let value = asked.unwrap_or(default);
            if range.contains(&value) {
                return Ok(value);
            }
            let detail = format!("{field} must be within {}..={}", range.start(), range.end());
            Err(Problem::new(Code::ParameterInvalid).with("field", field).detail(detail))
        };
        Ok(WindowSize {
            depth: within("depth", self.depth, DEPTH_DEFAULT, 0..=DEPTH_MAX)?,
            members: within("limit", self.limit, LIMIT_DEFAULT, 1..=LIMIT_MAX)? as usize,
            siblings: within("siblings", self.siblings, SIBLINGS_DEFAULT, 1..=LIMIT_MAX)? as usize,
        })
    }
}

/// The members nearest to one, level by level.
#[derive(Serialize, ToSchema)]
struct TreeWindow {
    #[schema(inline)]
    tree: TreeName,
    /// Parents before children; the first is the member that was asked about.
    #[schema(max_items = 1_000)]
    nodes: Vec<TreeNode>,
}

/// One member of a window.
#[derive(Serialize, ToSchema)]
struct TreeNode {
    user_id: Uuid,
    /// Referral code.
    #[schema(max_length = 64)]
    code: String,
    /// Above it in the window; null for the first.
    above: Option<Uuid>,
    /// Levels below the first.
    #[schema(maximum = 32)]
    depth: u32,
    /// Slot under the parent; in the sponsor tree the number among the sponsor's recruits. From 0.
    slot: u32,
    joined_at: Time,
    status: Status,
    role: Role,
    rank: RankName,
    /// Children.
    direct: u32,
    /// All below; null where the plan does not count this tree.
    downline: Option<u32>,
    /// Children that are neither in this window nor, for a window that goes on with later children, in an
    /// earlier one.
    hidden: u32,
    /// Where there are hidden children: `cursor` for the window of this member that goes on with them.
    more: Option<String>,
    /// Empty slots, the lowest sixteen. None in the sponsor tree and where the width is unlimited.
    #[schema(max_items = 16)]
    empty_slots: Vec<u32>,
    /// All empty slots; null where the width is unlimited, and in the sponsor tree.
    empty: Option<u32>,
}

fn cursors_of(engine: &Engine, tree: TreeName, member: Uuid) -> Cursors {
    Cursors::new(engine, &format!("tree/{member}/{}", tree.name()))
}

/// Written instead of the last child shown when there is none.
const NOBODY: u64 = u64::MAX;

fn node(
    engine: &Engine,
    state: &State,
    tree: TreeName,
    found: WindowMember,
    above: Option<Uuid>,
) -> TreeNode {
    let member = state.member(found.member);
    let user_id = Uuid::from_bytes(member.id.0);
    let hidden = found.direct.saturating_sub(found.shown);
    // Not by counts: the number shown before comes from the cursor, and a wrong one must not cause a loop.
    let goes_on = match found.last_shown {
        Some(last) => state.later_children(tree.into(), last).next().is_some(),
        None => 0 < found.direct,
    };
    let last = found.last_shown.map_or(NOBODY, |last| u64::from(last.0));
    let is_bounded = tree == TreeName::Placement && state.plan().placement.width.is_some();
    TreeNode {
        user_id,
        code: state.code(found.member).into_string(),
        above,
        depth: found.depth,
        slot: state.slot_in(tree.into(), found.member),
        joined_at: Time(member.joined_at),
        status: member.status.into(),
        role: member.role.into(),
        rank: RankName::new(&state.plan().ranks, state.paid_as(found.member)),
        direct: found.direct,
        downline: found.downline,
        hidden,
        more: goes_on.then(|| cursors_of(engine, tree, user_id).seal(&[last, u64::from(found.shown)])),
        empty_slots: found.empty,
        empty: is_bounded.then_some(found.empty_count),
    }
}

/// Where a window continues: the last child shown, and how many were.
fn going_on(
    state: &State,
    tree: Tree,
    top: MemberIx,
    words: &[u64],
) -> Result<Option<(MemberIx, u32)>, Problem> {
    let [last, shown] = words else { return Err(cursor_invalid()) };
    if *last == NOBODY {
        return if *shown == 0 { Ok(None) } else { Err(cursor_invalid()) };
    }
    let last = known(state, *last)?;
    // At least one was shown, and some were not: members never leave.
    let shown = u32::try_from(*shown)
        .ok()
        .filter(|shown| (1..state.direct(tree, top)).contains(shown))
        .ok_or_else(cursor_invalid)?;
    if state.above(tree, last) == Some(top) { Ok(Some((last, shown))) } else { Err(cursor_invalid()) }
}

/// A window of a tree
///
/// The members nearest to one, level by level, for viewers: each with what is below it, with what is hidden
/// and how to get there, and with its empty slots.
#[utoipa::path(
    get, path = "/v1/members/{id}/tree", tag = "trees",
    params(("id" = Uuid, Path, description = "The member's user_id"), WindowQuery),
    responses(
        (
            status = 200, description = "The window", body = TreeWindow,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        Problems
    )
)]
async fn window(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<WindowQuery>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    caller.may_cost()?;
    let size = query.size()?;
    let after = opened(&cursors_of(engine, query.tree, id), query.cursor.as_deref())?;
    let tree = query.tree.into();
    let read = || {
        let (nodes, lsn) = engine.read(|state, directory| {
            let top = caller.member(Action::ReadMember, id, state, directory)?;
            let after = after.as_deref().map_or(Ok(None), |words| going_on(state, tree, top, words))?;
            let found = state.window(tree, top, after, size);
            let mut nodes: Vec<TreeNode> = Vec::with_capacity(found.len());
            for found in found {
                let above = found.above.map(|above| nodes[above].user_id);
                nodes.push(node(engine, state, query.tree, found, above));
            }
            Ok::<_, Problem>((nodes, state.lsn()))
        })?;
        caller.pays(NODE_UNITS * nodes.len() as u64);
        Ok::<_, Problem>((TreeWindow { tree: query.tree, nodes }, lsn))
    };
    // Printed after the lock is released, and by itself: both together are a long piece of work.
    let print = |(window, lsn): (TreeWindow, u64)| answer(StatusCode::OK, lsn, &window);
    if size.members <= LIGHT_ROWS {
        return read().map(print);
    }
    shared.heavy.enter()?;
    let window = shared.heavy.run(read).await?;
    Ok(shared.heavy.run(|| print(window)).await)
}

/// Whether one member stands above another.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "is_ancestor": true, "distance": 3 }))]
struct Ancestry {
    is_ancestor: bool,
    /// Levels between the two; null when it is not.
    distance: Option<u32>,
}

/// Whether a member stands above another
///
/// No member is above itself.
#[utoipa::path(
    get, path = "/v1/members/{id}/is-ancestor-of/{other}", tag = "trees",
    params(
        ("id" = Uuid, Path, description = "The one that may be above"),
        ("other" = Uuid, Path, description = "The one that may be below"),
        TreeQuery
    ),
    responses(
        (
            status = 200, description = "Yes or no", body = Ancestry,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        MemberProblems
    )
)]
async fn is_ancestor(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path((id, other)): Path<(Uuid, Uuid)>,
    Query(query): Query<TreeQuery>,
) -> Result<Reply, Problem> {
    shared.v1_engine()?.read(|state, directory| {
        let above = caller.member(Action::ReadMember, id, state, directory)?;
        let below = caller.member(Action::ReadMember, other, state, directory)?;
        let distance = state.distance(query.tree.into(), above, below);
        Ok(answer(StatusCode::OK, state.lsn(), &Ancestry { is_ancestor: distance.is_some(), distance }))
    })
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PreviewQuery {
    /// user_id of who would recruit.
    sponsor: Uuid,
    /// A placement rule that the plan allows; its default rule, unless given.
    #[param(max_length = 64, example = "breadth-first")]
    rule: Option<String>,
}

/// Where the next one would go.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "parent": "2b22e1a6-0289-4314-a6d2-6b688bb468fa", "slot": 1, "level": 4, "rule": "breadth-first",
}))]
struct NextPlace {
    parent: Uuid,
    slot: u32,
    /// Level in the placement tree that a member there would have.
    level: u32,
    rule: &'static str,
}

problems!(
    /// What a preview can fail with.
    PreviewProblems: [
        Code::Rejected(Rejection::SponsorUnknown),
        Code::Rejected(Rejection::SponsorNotActive),
        Code::Rejected(Rejection::RuleNotAllowed),
        Code::FieldUnknown,
        Code::ParameterInvalid,
    ]
);

/// Where the next signup would go
///
/// Nothing is reserved: another signup may take the place first.
#[utoipa::path(
    get, path = "/v1/placement/preview", tag = "trees",
    params(PreviewQuery),
    responses(
        (
            status = 200, description = "The place", body = NextPlace,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        PreviewProblems
    )
)]
async fn preview(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<PreviewQuery>,
) -> Result<Reply, Problem> {
    let named = query.rule.as_deref().map(|name| {
        let unknown = || {
            Problem::new(Code::ParameterInvalid)
                .with("field", "rule")
                .detail("there is no such placement rule")
        };
        name.parse::<PlacementRule>().map_err(|_| unknown())
    });
    let named = named.transpose()?;
    shared.v1_engine()?.read(|state, directory| {
        let at = |rejection: Rejection| Problem::from(rejection).at(state.lsn());
        let sponsor =
            caller.member(Action::ReadMember, query.sponsor, state, directory).map_err(|problem| {
                let is_unknown = problem.code() == Code::Rejected(Rejection::MemberUnknown);
                if is_unknown { at(Rejection::SponsorUnknown) } else { problem }
            })?;
        if state.member(sponsor).status != crate::engine::Status::Active {
            return Err(at(Rejection::SponsorNotActive));
        }
        let rule = named.unwrap_or(state.plan().placement.default_rule);
        let (parent, slot) = state.preview(sponsor, rule).map_err(at)?;
        let level = state.member(parent).level + 1;
        Ok(answer(
            StatusCode::OK,
            state.lsn(),
            &NextPlace { parent: user_id(state, parent), slot, level, rule: rule.name() },
        ))
    })
}
