//! Live volumes of a member: `GET /v1/members/{id}/volumes`.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    decimal::print,
    extract::Path,
    lists::MemberProblems,
    order_view::{calendar, label, value_exponent, value_name},
    problem::{Code, Problem},
    types::user_id,
};
use crate::{
    engine::{LiveAlong, MemberIx, PeriodRef, State, Tree},
    http::{
        auth::Action,
        context::Shared,
        limits::{LIGHT_STEPS, SLICE_STEPS},
        reply::Reply,
    },
};

/// Legs that are shown for a volume, at most.
const LEGS_MAX: usize = 100;
/// Looking up the sum of a group, in steps.
pub const GROUP_STEPS: usize = 4;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(member_volumes))
}

/// The volumes of a member in the newest periods.
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
    /// By calendar, in the plan's order, the newest period first: at most two of each.
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
    /// Those that the plan keeps live.
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

/// A sum of a volume, as text with all decimals.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "sum": "120.00", "raw": null }))]
pub struct VolumeSum {
    /// Not below 0.
    #[schema(example = "120.00")]
    pub sum: String,
    /// The sum as it was booked, where refunds made it negative; null otherwise.
    #[schema(example = json!(null))]
    pub raw: Option<String>,
}

impl VolumeSum {
    pub fn new(units: i64, exponent: u8) -> Self {
        let raw = (units < 0).then(|| print(units, exponent));
        Self { sum: print(units.max(0), exponent), raw }
    }
}

/// A value that is kept live in a period.
type Kept = (PeriodRef, u8);

/// What there is to show of a member.
struct Shown {
    member: MemberIx,
    /// The newest periods, each with the values that are kept live in it.
    kept: Vec<(PeriodRef, Vec<Kept>)>,
    legs: Vec<MemberIx>,
    more_legs: bool,
}

impl Shown {
    fn new(state: &State, member: MemberIx) -> Self {
        let calendars = u8::try_from(state.plan().commerce.calendars.len()).expect("limited");
        let kept: Vec<(PeriodRef, Vec<Kept>)> = (0..calendars)
            .flat_map(|calendar| state.live_periods(calendar))
            .map(|period| (period, state.live_values_in(period).map(|value| (period, value)).collect()))
            .collect();
        let sums: usize = kept.iter().map(|(_, kept)| kept.len()).sum();
        let most = (SLICE_STEPS / GROUP_STEPS / sums.max(1)).min(LEGS_MAX);
        let mut children = state.children(Tree::Placement, member);
        let legs = children.by_ref().take(most).collect();
        Self { member, kept, legs, more_legs: children.next().is_some() }
    }

    /// How much work it is to look the sums up.
    fn steps(&self) -> usize {
        let sums: usize = self.kept.iter().map(|(_, kept)| kept.len()).sum();
        sums * (2 + self.legs.len()) * GROUP_STEPS
    }

    fn volumes(&self, state: &State) -> Volumes {
        let of_period = |(period, kept): &(PeriodRef, Vec<Kept>)| PeriodVolumes {
            calendar: calendar(state.plan(), *period),
            period: label(state, *period),
            volumes: kept.iter().map(|kept| VolumeSums::new(state, self.member, *kept, &self.legs)).collect(),
        };
        Volumes {
            user_id: user_id(state, self.member),
            periods: self.kept.iter().map(of_period).collect(),
            more_legs: self.more_legs,
        }
    }
}

impl VolumeSums {
    fn new(state: &State, member: MemberIx, (period, value): Kept, legs: &[MemberIx]) -> Self {
        let exponent = value_exponent(state.plan(), value);
        let sum = |units| VolumeSum::new(units, exponent);
        let sums = state.live_sums(period, value, member).expect("it is kept");
        let levels = state.period(period).map_or(0, |row| usize::from(row.live_levels));
        let below = |along: LiveAlong| SumsBelow {
            group: sum(along.group),
            levels: along.levels.iter().take(levels).map(|units| sum(*units)).collect(),
        };
        let [sponsor, placement] = sums.along.map(|along| along.map(below));
        let leg = |child: &MemberIx| {
            let units = state.live_group(period, value, Tree::Placement, *child)?;
            let slot = state.slot_in(Tree::Placement, *child);
            Some(Leg { user_id: user_id(state, *child), slot, group: sum(units) })
        };
        Self {
            volume: value_name(state.plan(), value),
            own: sum(sums.own),
            sponsor,
            placement,
            legs: legs.iter().filter_map(leg).collect(),
        }
    }
}

/// The volumes of a member
///
/// Exact at the answer's LSN: own, group, levels and legs, of each volume that the plan keeps live, in the
/// newest two periods of each calendar. A refund lowers the period that has it, so that a sum may become
/// negative: it is shown as 0, and as booked in `raw`.
#[utoipa::path(
    get, path = "/v1/members/{id}/volumes", tag = "orders",
    params(("id" = Uuid, Path, description = "The member's user_id")),
    responses(
        (
            status = 200, description = "Its volumes", body = Volumes,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        MemberProblems
    )
)]
async fn member_volumes(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    caller.may_cost()?;
    let show = |steps_max: usize| {
        let (volumes, lsn) = engine.read(|state, directory| {
            let member = caller.member(Action::ReadMember, id, state, directory)?;
            let shown = Shown::new(state, member);
            if steps_max < shown.steps() {
                return Ok::<_, Problem>((None, state.lsn()));
            }
            caller.pays(shown.steps() as u64);
            Ok((Some(shown.volumes(state)), state.lsn()))
        })?;
        Ok::<_, Problem>(volumes.map(|volumes| answer(StatusCode::OK, lsn, &volumes)))
    };
    if let Some(reply) = show(LIGHT_STEPS)? {
        return Ok(reply);
    }
    shared.heavy.enter()?;
    let reply = shared.heavy.run(|| show(usize::MAX)).await?;
    reply.ok_or_else(|| Code::Internal.into())
}
