//! Live volumes as columns of lists of members: `volumes=month`.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    order_view::{GROUP_STEPS, VolumeSum, calendar, find_calendar, label, value_exponent, value_name},
    problem::{Code, Problem},
};
use crate::{
    engine::{MemberIx, PeriodRef, State, commerce::CALENDARS_MAX},
    http::limits::SLICE_STEPS,
};

/// Looking up the sums of a volume for a member, in steps: its own, and its group in each tree.
const SUM_STEPS: usize = 1 + 2 * GROUP_STEPS;

/// The volumes of a member in a period, as a list shows them.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "calendar": "month", "period": "2026-11", "volumes": [{
    "volume": "pv", "own": { "sum": "10.00", "raw": null }, "sponsor": null,
    "placement": { "group": { "sum": "120.00", "raw": null } },
}] }))]
pub struct PeriodColumns {
    #[schema(max_length = 64, example = "month")]
    calendar: String,
    #[schema(max_length = 64, example = "2026-11")]
    period: String,
    /// Those that the plan keeps live.
    #[schema(max_items = 9)]
    volumes: Vec<VolumeColumns>,
}

/// The sums of a volume: those of `GET /v1/members/{id}/volumes`, without levels and legs.
#[derive(Serialize, ToSchema)]
pub struct VolumeColumns {
    /// `amount`, or a volume of the plan.
    #[schema(max_length = 64, example = "pv")]
    volume: String,
    /// Of the member's orders and of those of its customers.
    own: VolumeSum,
    /// Along the sponsor tree; null where the plan does not count it.
    sponsor: Option<GroupColumn>,
    /// Along the placement tree; null where the plan does not count it.
    placement: Option<GroupColumn>,
}

/// The sum along a tree.
#[derive(Serialize, ToSchema)]
pub struct GroupColumn {
    /// The member and everybody below it.
    group: VolumeSum,
}

/// The end of the name of a list, for the volumes that it shows.
pub fn shown_too(asked: Option<&str>) -> String {
    asked.as_ref().map(|names| format!("/volumes {names}")).unwrap_or_default()
}

/// The calendars whose volumes a list shows; none, unless asked for.
#[derive(Clone, Default)]
pub struct Columns {
    /// Positions in the plan, ascending.
    calendars: Vec<u8>,
}

/// What a list shows under one hold of the read lock: a period may open between two of them.
pub struct ColumnsNow<'s> {
    state: &'s State,
    /// `None` where no volumes are asked for. The newest periods, each with the values kept live in it.
    kept: Option<Vec<(PeriodRef, Vec<u8>)>>,
    /// Sums of a row.
    sums: usize,
}

impl Columns {
    /// What a query asks for: names of calendars, separated by commas.
    ///
    /// # Errors
    /// `calendar_unknown`; `parameter_invalid` for a name that is there twice, and for too many.
    pub fn asked(text: Option<&str>, state: &State) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(Self::default()) };
        let invalid =
            |detail: String| Problem::new(Code::ParameterInvalid).with("field", "volumes").detail(detail);
        let mut calendars = Vec::new();
        for name in text.split(',') {
            if calendars.len() == CALENDARS_MAX {
                return Err(invalid(format!("{CALENDARS_MAX} calendars at most")));
            }
            let found = find_calendar(state, name)
                .map_err(|problem| problem.detail(format!("there is no calendar `{name}`")))?;
            if calendars.contains(&found) {
                return Err(invalid(format!("`{name}` is there twice")));
            }
            calendars.push(found);
        }
        calendars.sort_unstable();
        Ok(Self { calendars })
    }

    /// Whether no volumes are asked for.
    pub fn is_empty(&self) -> bool {
        self.calendars.is_empty()
    }

    pub fn now<'s>(&self, state: &'s State) -> ColumnsNow<'s> {
        if self.is_empty() {
            return ColumnsNow { state, kept: None, sums: 0 };
        }
        let periods = self.calendars.iter().flat_map(|calendar| state.live_periods(*calendar));
        let kept: Vec<(PeriodRef, Vec<u8>)> =
            periods.map(|period| (period, state.live_values_in(period).collect())).collect();
        let sums = kept.iter().map(|(_, values)| values.len()).sum();
        ColumnsNow { state, kept: Some(kept), sums }
    }
}

impl ColumnsNow<'_> {
    /// The rows that a slice may have: fewer where each takes many sums, at least one.
    pub fn rows(&self, asked: usize) -> usize {
        let steps = self.sums * SUM_STEPS;
        SLICE_STEPS.checked_div(steps).map_or(asked, |most| asked.min(most.max(1)))
    }

    /// How much work the sums of so many rows are, in steps.
    pub fn steps(&self, rows: usize) -> usize {
        rows * self.sums * SUM_STEPS
    }

    /// The volumes of a row; `None` where none are asked for.
    pub fn of(&self, member: MemberIx) -> Option<Vec<PeriodColumns>> {
        let periods = self.kept.as_ref()?.iter().map(|(period, values)| PeriodColumns {
            calendar: calendar(self.state.plan(), *period).to_owned(),
            period: label(self.state, *period).to_owned(),
            volumes: values.iter().filter_map(|value| self.sums_of(*period, *value, member)).collect(),
        });
        Some(periods.collect())
    }

    fn sums_of(&self, period: PeriodRef, value: u8, member: MemberIx) -> Option<VolumeColumns> {
        let state = self.state;
        let exponent = value_exponent(state.plan(), value);
        let sums = state.live_sums(period, value, member)?;
        let group = |units| GroupColumn { group: VolumeSum::new(units, exponent) };
        let [sponsor, placement] = sums.along.map(|along| along.map(|along| group(along.group)));
        Some(VolumeColumns {
            volume: value_name(state.plan(), value),
            own: VolumeSum::new(sums.own, exponent),
            sponsor,
            placement,
        })
    }
}
