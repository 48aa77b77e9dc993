//! Metrics of orders, refunds and periods.
//!
//! Kinds of orders, calendars and volumes are labeled by their position in the plan, from 0: positions stay
//! what they are, and the plan bounds them.

use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, Key, Label, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use strum::VariantNames;

use super::{METADATA, counters_by, gauge_of, table};
use crate::core::{
    PeriodState, VALUES_MAX,
    command::Command,
    plan::commerce::{AMOUNT, CALENDARS_MAX, ORDER_KINDS_MAX},
};

/// What came of an order or a refund that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum OrderAnswer {
    /// It is in the log, and acts.
    Done = 0,
    /// It was there already, with the same content.
    Repeated = 1,
    /// A rule refused it.
    Refused = 2,
}

pub struct OrderMetrics {
    recorder: Arc<PrometheusRecorder>,
    /// By kind, then those without one; by [`OrderAnswer`]. Series appear with the first order of a kind, but
    /// for those without one.
    placed: Vec<[OnceLock<Counter>; OrderAnswer::VARIANTS.len()]>,
    /// By [`OrderAnswer`].
    refunded: Vec<Counter>,
    pub orders: Gauge,
    pub refunds: Gauge,
    /// By value: the amount, then the volumes.
    booked: Vec<Gauge>,
    /// By calendar, by state.
    periods: Vec<[Gauge; PeriodState::ALL.len()]>,
    pub period_unlocked_age_seconds: Gauge,
}

impl OrderMetrics {
    pub(super) fn new(recorder: &Arc<PrometheusRecorder>) -> Self {
        let gauge = |name, labels| recorder.register_gauge(&Key::from_parts(name, labels), &METADATA);
        let value = |value: usize| match value.checked_sub(1) {
            None => AMOUNT.to_owned(),
            Some(volume) => volume.to_string(),
        };
        let of_calendar = |calendar: usize| {
            PeriodState::ALL.map(|state| {
                let calendar = Label::new("calendar", calendar.to_string());
                gauge(table::PERIODS.name, vec![calendar, Label::new("state", state.name())])
            })
        };
        let metrics = Self {
            recorder: Arc::clone(recorder),
            placed: (0..=ORDER_KINDS_MAX).map(|_| Default::default()).collect(),
            refunded: counters_by::<OrderAnswer>(recorder, &table::REFUNDS_ANSWERED),
            orders: gauge_of(recorder, &table::ORDERS, &[]),
            refunds: gauge_of(recorder, &table::REFUNDS, &[]),
            booked: (0..VALUES_MAX)
                .map(|at| gauge(table::ORDER_UNITS.name, vec![Label::new("value", value(at))]))
                .collect(),
            periods: (0..CALENDARS_MAX).map(of_calendar).collect(),
            period_unlocked_age_seconds: gauge_of(recorder, &table::PERIOD_UNLOCKED_AGE, &[]),
        };
        for answer in [OrderAnswer::Done, OrderAnswer::Repeated, OrderAnswer::Refused] {
            metrics.placed(ORDER_KINDS_MAX, answer);
        }
        metrics
    }

    /// The counter of orders of a kind; [`ORDER_KINDS_MAX`] is none.
    fn placed(&self, kind: usize, answer: OrderAnswer) -> &Counter {
        self.placed[kind][answer as usize].get_or_init(|| {
            let kind = if kind == ORDER_KINDS_MAX { "none".to_owned() } else { kind.to_string() };
            let answer = OrderAnswer::VARIANTS[answer as usize];
            let labels = vec![Label::new("kind", kind), Label::new("answer", answer)];
            self.recorder.register_counter(&Key::from_parts(table::ORDERS_ANSWERED.name, labels), &METADATA)
        })
    }

    /// Counts what came of a command, if it is an order or a refund.
    pub fn answered(&self, command: &Command, answer: OrderAnswer) {
        match command {
            Command::PlaceOrder(order) => {
                // A kind that no plan can have is refused.
                let kind = order.kind.map_or(ORDER_KINDS_MAX, |kind| usize::from(kind).min(ORDER_KINDS_MAX));
                self.placed(kind, answer).increment(1);
            }
            Command::RefundOrder(_) => self.refunded[answer as usize].increment(1),
            _ => {}
        }
    }

    /// Sums of all orders, in the smallest units of each value.
    pub fn set_booked(&self, sums: &[i64; VALUES_MAX]) {
        for (gauge, sum) in self.booked.iter().zip(sums) {
            gauge.set(*sum as f64);
        }
    }

    /// Periods of each calendar, by state.
    pub fn set_periods(&self, by_state: &[[u64; PeriodState::ALL.len()]]) {
        for (gauges, counts) in self.periods.iter().zip(by_state) {
            for (gauge, count) in gauges.iter().zip(counts) {
                gauge.set(*count as f64);
            }
        }
    }
}
