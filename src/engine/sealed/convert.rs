//! Orders between their two forms: with the names of the plan, as files have them, and with positions in it,
//! as the core does.

use std::borrow::Cow;

use crate::{
    core::{
        LineView, OrderView, PeriodRow, RefundState, RefundView,
        command::{Credit, OrderId, PeriodRef, RecallBooking, RecallLine, RecallOrder, RecallRefund},
        state::{Directory, State},
        types::MemberId,
    },
    durability::sealed::{self, RefundBooking, RefundedLine, Schema, SealedOrder, SealedRefund, Volume},
};

/// What the plan calls things now.
pub(super) fn schema(state: &State) -> Schema {
    let plan = state.plan();
    Schema {
        currency: String::from_utf8_lossy(&plan.currency.code).into_owned(),
        amount_exponent: plan.currency.exponent,
        volumes: plan
            .commerce
            .volumes
            .iter()
            .map(|volume| Volume { name: volume.name.to_string(), exponent: volume.exponent })
            .collect(),
        calendars: plan.commerce.calendars.iter().map(|calendar| calendar.name.to_string()).collect(),
    }
}

fn label(state: &State, calendar: u8, period: u32) -> Cow<'static, str> {
    let row = state.period(PeriodRef { calendar, period });
    row.map(|row: &PeriodRow| row.label.to_string()).unwrap_or_default().into()
}

/// An order as files have it. `supersedes`: the seal that has an older row of it.
pub(super) fn to_files(state: &State, order: &RecallOrder, supersedes: Option<u32>) -> SealedOrder<'static> {
    let commerce = &state.plan().commerce;
    let name = |names: &[Box<str>], at: Option<u16>| {
        at.and_then(|at| names.get(usize::from(at))).map(|name| Cow::Owned(name.to_string()))
    };
    let text = |id: &Option<OrderId>| id.as_ref().map(|id| Cow::Owned(id.as_str().to_owned()));
    let tags = (0..).zip(&commerce.order_tags).filter(|(bit, _)| order.tags >> bit & 1 != 0);
    SealedOrder {
        id: order.id.as_str().to_owned().into(),
        lsn: order.lsn,
        time: order.time,
        fingerprint: order.fingerprint,
        supersedes,
        kind: name(&commerce.order_kinds, order.kind),
        market: name(&commerce.markets, order.market),
        tags: tags.map(|(_, name): (u32, _)| Cow::Owned(name.to_string())).collect(),
        group: text(&order.group),
        customer: text(&order.customer),
        credits: order
            .credits
            .iter()
            .map(|credit| sealed::Credit { member: credit.member.0, part: credit.part })
            .collect(),
        lines: u8::try_from(order.lines.len()).expect("limited"),
        values: order.lines.iter().flatten().copied().collect(),
        periods: (0..).zip(&order.periods).map(|(at, period)| label(state, at, *period)).collect(),
        refunds: order.refunds.iter().map(|refund| refund_to_files(state, refund)).collect(),
    }
}

fn refund_to_files(state: &State, refund: &RecallRefund) -> SealedRefund<'static> {
    let state_name = |code: u8| RefundState::from_repr(code).map_or("", RefundState::name);
    let bookings = (0..).zip(&refund.bookings);
    SealedRefund {
        id: refund.id.as_str().to_owned().into(),
        lsn: refund.lsn,
        time: refund.time,
        fingerprint: refund.fingerprint,
        lines: refund
            .lines
            .iter()
            .map(|line| RefundedLine { line: line.line, from: line.from, to: line.to })
            .collect(),
        bookings: bookings
            .map(|(calendar, booking)| RefundBooking {
                period: label(state, calendar, booking.period),
                state: state_name(booking.state).into(),
            })
            .collect(),
    }
}

/// A sealed order as the core has it. `None` if it names what the network does not know: the files are not
/// those of this network.
pub(super) fn from_files(state: &State, order: &SealedOrder<'_>) -> Option<RecallOrder> {
    let commerce = &state.plan().commerce;
    let position = |names: &[Box<str>], name: &Option<Cow<'_, str>>| match name {
        None => Some(None),
        Some(name) => {
            let at = names.iter().position(|known| **known == **name)?;
            Some(Some(u16::try_from(at).ok()?))
        }
    };
    let id = |text: &Option<Cow<'_, str>>| match text {
        None => Some(None),
        Some(text) => OrderId::parse(text).map(Some),
    };
    let mut tags = 0_u64;
    for name in &order.tags {
        let at = commerce.order_tags.iter().position(|known| **known == **name)?;
        tags |= 1_u64.checked_shl(u32::try_from(at).ok()?)?;
    }
    let period = |(calendar, label): (u8, &Cow<'_, str>)| {
        state.period_labeled(calendar, label).map(|period| period.period)
    };
    Some(RecallOrder {
        id: OrderId::parse(&order.id)?,
        lsn: order.lsn,
        time: order.time,
        fingerprint: order.fingerprint,
        tags,
        kind: position(&commerce.order_kinds, &order.kind)?,
        market: position(&commerce.markets, &order.market)?,
        customer: id(&order.customer)?,
        group: id(&order.group)?,
        credits: order
            .credits
            .iter()
            .map(|credit| Credit { member: MemberId(credit.member), part: credit.part })
            .collect(),
        lines: order.values.chunks(order.width().max(1)).map(<[i64]>::to_vec).collect(),
        periods: (0..).zip(&order.periods).map(period).collect::<Option<_>>()?,
        refunds: order
            .refunds
            .iter()
            .map(|refund| refund_from_files(state, refund))
            .collect::<Option<_>>()?,
    })
}

fn refund_from_files(state: &State, refund: &SealedRefund<'_>) -> Option<RecallRefund> {
    let booking = |(calendar, booking): (u8, &RefundBooking<'_>)| {
        let period = state.period_labeled(calendar, &booking.period)?.period;
        let state = RefundState::ALL.into_iter().find(|known| *known.name() == *booking.state)?;
        Some(RecallBooking { period, state: state as u8 })
    };
    Some(RecallRefund {
        id: OrderId::parse(&refund.id)?,
        lsn: refund.lsn,
        time: refund.time,
        fingerprint: refund.fingerprint,
        lines: refund
            .lines
            .iter()
            .map(|line| RecallLine { line: line.line, from: line.from, to: line.to })
            .collect(),
        bookings: (0..).zip(&refund.bookings).map(booking).collect::<Option<_>>()?,
    })
}

/// A sealed order as it is shown. `None` as for [`from_files`].
pub(super) fn view<D: Directory>(state: &State, directory: &D, order: &RecallOrder) -> Option<OrderView> {
    let credits = order.credits.iter();
    let mut refunded = vec![0; order.lines.len()];
    for line in order.refunds.iter().flat_map(|refund| &refund.lines) {
        *refunded.get_mut(usize::from(line.line))? = line.to;
    }
    let text = |id: &Option<OrderId>| id.as_ref().map(|id| id.as_str().into());
    let period = |(calendar, period): (u8, &u32)| PeriodRef { calendar, period: *period };
    let refund = |refund: &RecallRefund| {
        let states = (0..).zip(&refund.bookings).map(|(calendar, booking)| {
            let state = RefundState::from_repr(booking.state)?;
            Some((PeriodRef { calendar, period: booking.period }, state))
        });
        Some(RefundView {
            id: refund.id.as_str().into(),
            lsn: refund.lsn,
            time: refund.time,
            lines: refund.lines.iter().map(|line| (line.line, line.from, line.to)).collect(),
            states: states.collect::<Option<_>>()?,
        })
    };
    Some(OrderView {
        number: u32::MAX,
        id: order.id.as_str().into(),
        lsn: order.lsn,
        time: order.time,
        credits: credits
            .map(|credit| Some((state.find(directory, &credit.member)?, credit.part)))
            .collect::<Option<_>>()?,
        customer: text(&order.customer),
        kind: order.kind,
        market: order.market,
        tags: order.tags,
        group: text(&order.group),
        lines: order
            .lines
            .iter()
            .zip(refunded)
            .map(|(values, refunded)| LineView { values: values.clone(), refunded })
            .collect(),
        periods: (0..).zip(&order.periods).map(period).collect(),
        refunds: order.refunds.iter().map(refund).collect::<Option<_>>()?,
    })
}
