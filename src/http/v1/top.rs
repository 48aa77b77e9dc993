//! The largest groups: `GET /v1/volumes/top`.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use axum::{extract::State as Extract, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    as_of::{self, AsOf, Moment},
    calendars,
    caller::Caller,
    extract::Query,
    lists::COMMON,
    order_view::{VolumeSum, value_exponent, value_named},
    problem::{Code, Problem, problems},
    types::{TreeName, user_id},
};
use crate::{
    engine::{MemberDirectory, MemberIx, PeriodRef, Rejection, State, Tree},
    http::{auth::Action, context::Shared, limits::SLICE_STEPS, reply::Reply},
};

/// Groups of an answer, at most.
const TOP_MAX: u32 = 100;
/// Groups of an answer, unless asked otherwise.
const TOP_DEFAULT: u32 = 20;
/// Members that are looked at under one hold of the read lock.
const SLICE_MEMBERS: u32 = 1_024;
const _: () = assert!(4 * SLICE_MEMBERS as usize <= SLICE_STEPS);

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(top_groups))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct TopQuery {
    /// A calendar of the plan.
    #[param(min_length = 1, max_length = 64, example = "month")]
    calendar: String,
    /// The label of one of its newest two periods.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]{1,64}$", example = "2026-11")]
    period: String,
    /// `amount`, or a volume of the plan: one that is kept live.
    #[param(min_length = 1, max_length = 64, example = "pv")]
    volume: String,
    /// Which genealogy.
    #[serde(default)]
    #[param(inline, default = "placement")]
    tree: TreeName,
    /// Groups, at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// Read the past: an LSN, or a time that is over. As far back as the log is kept.
    #[param(value_type = Option<String>, max_length = 96)]
    as_of: Option<AsOf>,
}

/// The members with the largest groups.
#[derive(Serialize, ToSchema)]
struct TopGroups {
    /// Largest first; of equal ones, who was registered first. Groups of 0 are left out.
    #[schema(max_items = 100)]
    items: Vec<TopGroup>,
}

/// A member and its group.
#[derive(Serialize, ToSchema)]
struct TopGroup {
    user_id: Uuid,
    /// The member and everybody below it.
    group: VolumeSum,
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Asked {
    period: PeriodRef,
    value: u8,
    tree: Tree,
}

impl Asked {
    fn new(query: &TopQuery, state: &State) -> Result<Self, Problem> {
        let period = calendars::find(state, &query.calendar, &query.period)?;
        let not_kept = |field: &'static str, detail: &'static str| {
            Problem::new(Code::ParameterInvalid).with("field", field).detail(detail)
        };
        let value = value_named(state.plan(), &query.volume)
            .filter(|value| state.live_values_in(period).any(|kept| kept == *value))
            .ok_or_else(|| not_kept("volume", "no volume that is kept live in this period"))?;
        let asked = Self { period, value, tree: query.tree.into() };
        if !state.is_empty() && asked.group(state, MemberIx(0)).is_none() {
            return Err(not_kept("tree", "the plan does not count this tree"));
        }
        Ok(asked)
    }

    fn group(self, state: &State, member: MemberIx) -> Option<i64> {
        state.live_group(self.period, self.value, self.tree, member)
    }
}

/// The largest groups so far: the smallest of them on top.
struct Largest {
    most: usize,
    groups: BinaryHeap<Reverse<(i64, Reverse<u32>)>>,
}

impl Largest {
    fn see(&mut self, group: i64, member: u32) {
        if group <= 0 {
            return;
        }
        self.groups.push(Reverse((group, Reverse(member))));
        if self.most < self.groups.len() {
            self.groups.pop();
        }
    }
}

problems!(
    TopProblems: COMMON,
    [Code::Rejected(Rejection::CalendarUnknown), Code::Rejected(Rejection::PeriodUnknown)], as_of::PROBLEMS
);

/// The largest groups of a volume
///
/// Of a volume that is kept live, in one of the newest two periods of a calendar. All members are looked at,
/// in pieces, so that it takes a second or so for a few million; orders go on meanwhile, and the sums that
/// are shown are those of the answer's LSN.
#[utoipa::path(
    get, path = "/v1/volumes/top", tag = "orders",
    params(TopQuery),
    responses(
        (
            status = 200, description = "The largest groups", body = TopGroups,
            headers(("x-lsn" = u64, description = "LSN of the state that was read at the end"))
        ),
        TopProblems
    )
)]
async fn top_groups(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<TopQuery>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    caller.may_cost()?;
    let most = query.limit.unwrap_or(TOP_DEFAULT);
    if !(1..=TOP_MAX).contains(&most) {
        let detail = format!("limit must be within 1..={TOP_MAX}");
        return Err(Problem::new(Code::ParameterInvalid).with("field", "limit").detail(detail));
    }
    let allowed =
        |state: &State, directory: &MemberDirectory| caller.network(Action::ReadNetwork, state, directory);
    let moment = Moment::of(&shared, &caller, query.as_of, allowed).await?;
    let (asked, members) = moment.read(engine, |state, directory| {
        allowed(state, directory)?;
        Ok::<_, Problem>((Asked::new(&query, state)?, state.len()))
    })?;
    shared.heavy.enter()?;
    let mut largest = Largest { most: most as usize, groups: BinaryHeap::new() };
    let mut next = 0;
    while next < members {
        let end = members.min(next + SLICE_MEMBERS);
        let look = || {
            moment.read(engine, |state, _| {
                for member in next..end {
                    largest.see(asked.group(state, MemberIx(member)).unwrap_or(0), member);
                }
            });
        };
        shared.heavy.run(look).await;
        caller.pays(4 * u64::from(end - next));
        next = end;
    }
    Ok(moment.read(engine, |state, _| {
        let sums = largest.groups.iter().map(|Reverse((_, Reverse(member)))| {
            (Reverse(asked.group(state, MemberIx(*member)).unwrap_or(0)), *member)
        });
        let mut sums: Vec<(Reverse<i64>, u32)> = sums.filter(|(Reverse(sum), _)| 0 < *sum).collect();
        sums.sort_unstable();
        let exponent = value_exponent(state.plan(), asked.value);
        let items = sums.into_iter().map(|(Reverse(sum), member)| TopGroup {
            user_id: user_id(state, MemberIx(member)),
            group: VolumeSum::new(sum, exponent),
        });
        answer(StatusCode::OK, state.lsn(), &TopGroups { items: items.collect() })
    }))
}
