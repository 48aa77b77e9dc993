//! Volumes of a member: `GET /v1/members/{id}/volumes`. Those that are kept live are looked up, others are
//! added up from the orders of their period.

use std::sync::Arc;

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
    extract::{Path, Query},
    lists::COMMON,
    order_view::{
        GROUP_STEPS, VolumeSum, calendar, find_calendar, label, value_exponent, value_name, value_named,
    },
    problem::{Code, Problem, problems},
    types::user_id,
};
use crate::{
    engine::{
        LiveAlong, LiveSums, MemberDirectory, MemberIx, PeriodChanged, PeriodRef, PeriodSums, Rejection,
        State, Tree, VALUES_MAX,
    },
    http::{
        auth::Action,
        context::Shared,
        limits::{LIGHT_STEPS, RETRY_SOON_SECONDS, SLICE_STEPS},
        reply::Reply,
    },
};

/// Legs that are shown for a volume, at most.
const LEGS_MAX: usize = 100;
/// How often sums are begun again when a period is locked, unlocked, approved or posted meanwhile.
const TRIES: usize = 3;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(member_volumes))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct VolumesQuery {
    /// Only those of this calendar.
    #[param(min_length = 1, max_length = 64, example = "month")]
    calendar: Option<String>,
    /// The label of a period of `calendar`: any, however old. What is not kept live is added up from the
    /// orders that are booked in it, which costs accordingly.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]{1,64}$", example = "2026-07")]
    period: Option<String>,
    /// With `period`: `amount`, or a volume of the plan, kept live or not. Those that are kept live, unless
    /// given.
    #[param(min_length = 1, max_length = 64, example = "cv")]
    volume: Option<String>,
    /// Read the past: an LSN, or a time that is over. As far back as the log is kept.
    #[param(value_type = Option<String>, max_length = 96)]
    as_of: Option<AsOf>,
}

/// The volumes of a member in some periods.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c", "more_legs": false,
    "periods": [{ "calendar": "month", "period": "2026-11", "volumes": [{
        "volume": "pv", "own": { "sum": "10.00", "raw": null }, "sponsor": null,
        "placement": {
            "group": { "sum": "120.00", "raw": null }, "levels": [{ "sum": "110.00", "raw": null }],
        },
        "legs": [{
            "user_id": "0c7f6a52-6a5e-4a7e-8d5f-1f2e3d4c5b6a", "slot": 0,
            "group": { "sum": "110.00", "raw": null },
        }],
    }] }],
}))]
struct Volumes {
    user_id: Uuid,
    /// By calendar, in the plan's order, the newest period first: at most two of each. Only the period that
    /// was asked for, if one was.
    #[schema(max_items = 16)]
    periods: Vec<PeriodVolumes>,
    /// Whether the member has more children than are in `legs`.
    more_legs: bool,
}

/// The volumes of a member in a period.
#[derive(Serialize, ToSchema)]
struct PeriodVolumes {
    #[schema(max_length = 64, example = "month")]
    calendar: String,
    #[schema(max_length = 64, example = "2026-11")]
    period: String,
    /// Those that the plan keeps live; only the one that was asked for, if one was.
    #[schema(max_items = 9)]
    volumes: Vec<VolumeSums>,
}

/// The sums of a volume.
#[derive(Serialize, ToSchema)]
struct VolumeSums {
    /// `amount`, or a volume of the plan.
    #[schema(max_length = 64, example = "pv")]
    volume: String,
    /// Of the member's orders and of those of its customers.
    own: VolumeSum,
    /// Along the sponsor tree; null where the plan does not count it.
    sponsor: Option<SumsBelow>,
    /// Along the placement tree; null where the plan does not count it.
    placement: Option<SumsBelow>,
    /// The groups of the member's children in the placement tree: the first 100 by slot, fewer where many
    /// volumes are kept live.
    #[schema(max_items = 100)]
    legs: Vec<Leg>,
}

/// The sums along a tree.
#[derive(Serialize, ToSchema)]
struct SumsBelow {
    /// The member and everybody below it.
    group: VolumeSum,
    /// Those one level below the member, two levels below it, and so on: as many levels as the plan keeps
    /// live.
    #[schema(max_items = 15)]
    levels: Vec<VolumeSum>,
}

/// A leg: a child and everybody below it.
#[derive(Serialize, ToSchema)]
struct Leg {
    user_id: Uuid,
    slot: u32,
    group: VolumeSum,
}

/// A value in a period.
type Kept = (PeriodRef, u8);

/// What there is to show of a member.
struct Shown {
    member: MemberIx,
    /// Periods, each with the values to show.
    kept: Vec<(PeriodRef, Vec<Kept>)>,
    legs: Vec<MemberIx>,
    more_legs: bool,
    /// What is not kept live: of one period at most.
    summed: Option<PeriodSums>,
}

impl Shown {
    fn new(state: &State, member: MemberIx, query: &VolumesQuery) -> Result<Self, Problem> {
        let invalid = |field: &'static str, detail: &'static str| {
            Problem::new(Code::ParameterInvalid).with("field", field).detail(detail)
        };
        if query.period.is_some() && query.calendar.is_none() {
            return Err(invalid("period", "a period goes with its calendar"));
        }
        if query.volume.is_some() && query.period.is_none() {
            return Err(invalid("volume", "a volume goes with its period"));
        }
        let of =
            |period: PeriodRef| (period, values_kept(state, period).map(|value| (period, value)).collect());
        let calendars = || 0..u8::try_from(state.plan().commerce.calendars.len()).expect("limited");
        let mut kept: Vec<(PeriodRef, Vec<Kept>)> = match (&query.calendar, &query.period) {
            (Some(name), Some(label)) => vec![of(calendars::find(state, name, label)?)],
            (Some(name), None) => state.live_periods(find_calendar(state, name)?).map(of).collect(),
            (None, _) => calendars().flat_map(|calendar| state.live_periods(calendar)).map(of).collect(),
        };
        if let (Some(name), [(period, values)]) = (&query.volume, &mut kept[..]) {
            let value = value_named(state.plan(), name);
            let value =
                value.ok_or_else(|| invalid("volume", "neither `amount` nor a volume of the plan"))?;
            *values = vec![(*period, value)];
        }
        let sums: usize = kept.iter().map(|(_, kept)| kept.len()).sum();
        let most = (SLICE_STEPS / GROUP_STEPS / sums.max(1)).min(LEGS_MAX);
        let mut children = state.children(Tree::Placement, member);
        let legs: Vec<MemberIx> = children.by_ref().take(most).collect();
        let mut summed = None;
        if query.period.is_some()
            && let Some((period, kept)) = kept.first()
        {
            let is_live = |value: u8| state.live_values_in(*period).any(|live| live == value);
            let others: Vec<u8> =
                kept.iter().map(|(_, value)| *value).filter(|value| !is_live(*value)).collect();
            if !others.is_empty() && state.has_sealed_orders(*period) {
                return Err(Problem::new(Code::PeriodSealed).with("field", "period"));
            }
            if !others.is_empty() {
                summed = state.period_sums(member, *period, &others, &legs);
            }
        }
        Ok(Self { member, kept, legs, more_legs: children.next().is_some(), summed })
    }

    /// How much work it is to look the sums up.
    fn steps(&self) -> usize {
        let sums: usize = self.kept.iter().map(|(_, kept)| kept.len()).sum();
        sums * (2 + self.legs.len()) * GROUP_STEPS
    }

    fn volumes(&self, state: &State) -> Volumes {
        let of_period = |(period, kept): &(PeriodRef, Vec<Kept>)| PeriodVolumes {
            calendar: calendar(state.plan(), *period).to_owned(),
            period: label(state, *period).to_owned(),
            volumes: kept.iter().filter_map(|kept| self.sums_of(state, *kept)).collect(),
        };
        Volumes {
            user_id: user_id(state, self.member),
            periods: self.kept.iter().map(of_period).collect(),
            more_legs: self.more_legs,
        }
    }

    /// The sums of a value: added up, or looked up.
    fn sums_of(&self, state: &State, kept: Kept) -> Option<VolumeSums> {
        let (period, value) = kept;
        let (sums, legs): (LiveSums, Vec<Option<i64>>) =
            match self.summed.as_ref().and_then(|summed| summed.of(value)) {
                Some(summed) => (summed.sums, summed.legs.iter().map(|leg| Some(*leg)).collect()),
                None => {
                    let group = |leg: &MemberIx| state.live_group(period, value, Tree::Placement, *leg);
                    (state.live_sums(period, value, self.member)?, self.legs.iter().map(group).collect())
                }
            };
        let legs = self.legs.iter().copied().zip(legs);
        Some(VolumeSums::new(state, kept, &sums, legs))
    }
}

/// The values whose sums are kept live in a period, as long as it is new enough.
fn values_kept(state: &State, period: PeriodRef) -> impl Iterator<Item = u8> {
    let live = state.period(period).map_or(0, |row| row.live);
    (0..).take(VALUES_MAX).filter(move |value| live >> value & 1 != 0)
}

impl VolumeSums {
    fn new(
        state: &State,
        (period, value): Kept,
        sums: &LiveSums,
        legs: impl Iterator<Item = (MemberIx, Option<i64>)>,
    ) -> Self {
        let exponent = value_exponent(state.plan(), value);
        let sum = |units| VolumeSum::new(units, exponent);
        let levels = state.period(period).map_or(0, |row| usize::from(row.live_levels));
        let below = |along: LiveAlong| SumsBelow {
            group: sum(along.group),
            levels: along.levels.iter().take(levels).map(|units| sum(*units)).collect(),
        };
        let [sponsor, placement] = sums.along.map(|along| along.map(below));
        let leg = |(child, units): (MemberIx, Option<i64>)| {
            let slot = state.slot_in(Tree::Placement, child);
            Some(Leg { user_id: user_id(state, child), slot, group: sum(units?) })
        };
        Self {
            volume: value_name(state.plan(), value),
            own: sum(sums.own),
            sponsor,
            placement,
            legs: legs.filter_map(leg).collect(),
        }
    }
}

problems!(
    VolumesProblems: COMMON,
    [
        Code::Rejected(Rejection::MemberUnknown),
        Code::Rejected(Rejection::CalendarUnknown),
        Code::Rejected(Rejection::PeriodUnknown),
        Code::PeriodSealed,
    ], as_of::PROBLEMS
);

/// The volumes of a member
///
/// Exact at the answer's LSN: own, group, levels and legs, of each volume that the plan keeps live, in the
/// newest two periods of each calendar, or in the period that is named. An older period, and a volume that is
/// not kept live, are added up from the orders of the period, in pieces; the answer is of the LSN at which
/// that began. A refund lowers the period that has it, so that a sum may become negative: it is shown as 0,
/// and as booked in `raw`.
#[utoipa::path(
    get, path = "/v1/members/{id}/volumes", tag = "orders",
    params(("id" = Uuid, Path, description = "The member's user_id"), VolumesQuery),
    responses(
        (
            status = 200, description = "Its volumes", body = Volumes,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        VolumesProblems
    )
)]
async fn member_volumes(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<VolumesQuery>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    caller.may_cost()?;
    let member =
        |state: &State, directory: &MemberDirectory| caller.member(Action::ReadMember, id, state, directory);
    let allowed = |state: &State, directory: &MemberDirectory| member(state, directory).map(drop);
    let moment = Moment::of(&shared, &caller, query.as_of, allowed).await?;
    // An answer, unless it is too much work.
    let show = |steps_max: usize| {
        let (volumes, lsn) = moment.read(engine, |state, directory| {
            let shown = Shown::new(state, member(state, directory)?, &query)?;
            if steps_max < shown.steps() || shown.summed.is_some() {
                return Ok::<_, Problem>((Err(shown), state.lsn()));
            }
            caller.pays(shown.steps() as u64);
            Ok((Ok(shown.volumes(state)), state.lsn()))
        })?;
        Ok::<_, Problem>(
            volumes.map(|volumes| answer(StatusCode::OK, lsn, &volumes)).map_err(|shown| (shown, lsn)),
        )
    };
    if let Ok(reply) = show(LIGHT_STEPS)? {
        return Ok(reply);
    }
    shared.heavy.enter()?;
    for _ in 0..TRIES {
        let (mut shown, lsn) = match shared.heavy.run(|| show(usize::MAX)).await? {
            Ok(reply) => return Ok(reply),
            Err(begun) => begun,
        };
        if add_up(&shared, &caller, &moment, &mut shown).await?.is_err() {
            continue;
        }
        let print = || {
            moment.read(engine, |state, _| {
                caller.pays(shown.steps() as u64);
                answer(StatusCode::OK, lsn, &shown.volumes(state))
            })
        };
        return Ok(shared.heavy.run(print).await);
    }
    let detail = "periods were locked, unlocked or posted while the sums were added up";
    Err(Problem::new(Code::Overloaded).detail(detail).retry_after(RETRY_SOON_SECONDS))
}

/// Adds up what is not kept live, in pieces.
async fn add_up(
    shared: &Shared,
    caller: &Caller,
    moment: &Moment,
    shown: &mut Shown,
) -> Result<Result<(), PeriodChanged>, Problem> {
    let engine = shared.v1_engine()?;
    let Some(summed) = &mut shown.summed else { return Ok(Ok(())) };
    while !summed.is_over() {
        let looked = summed.looked;
        let step = || moment.read(engine, |state, _| state.period_sums_step(summed, SLICE_STEPS));
        let done = shared.heavy.run(step).await;
        caller.pays(summed.looked - looked);
        if done.is_err() {
            return Ok(done);
        }
    }
    Ok(Ok(()))
}
