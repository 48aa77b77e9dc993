//! What commands about orders, periods, attributes and the opening state contain, as fields of a record.

use super::{
    bytes::{Reader, put_count, put_text},
    contents::{in_order, of_all},
    error::{DecodeError, EncodeError},
    fields::{Bound, Field},
};
use crate::core::{
    Actor, ActorKind,
    command::{
        AddOpening, AttributeChange, CloseOpening, Credit, LinePart, OpenPeriod, OpeningEntry, OpeningKind,
        OpeningText, OrderId, OrderLine, PeriodRef, PeriodStep, PlaceOrder, RecallBooking, RecallLine,
        RecallOrder, RecallRefund, RecordRun, RefundOrder, RefundScope, SealPeriod, SetAttributes,
        StepPeriod,
    },
};

in_order!(PlaceOrder { id, credits, customer, time, kind, tags, group, market, lines });
in_order!(Credit { member, part });
in_order!(OrderLine { amount, volumes });
in_order!(RefundOrder { id, order, time, scope });
in_order!(LinePart { line, part });
in_order!(OpenPeriod { calendar, label, start, end, grace_until });
in_order!(PeriodRef { calendar, period });
in_order!(StepPeriod { period, step, reason, by });
in_order!(SetAttributes { member, changes, effective });
in_order!(RecordRun { period, plan_version, up_to_lsn, lines, digest, by });
in_order!(SealPeriod {
    period,
    seal,
    as_of,
    orders_known,
    refunds_known,
    orders,
    refunds,
    manifest,
    boundary,
    network,
    reason,
    by
});
in_order!(RecallOrder {
    id,
    lsn,
    time,
    fingerprint,
    tags,
    kind,
    market,
    customer,
    group,
    credits,
    lines,
    periods,
    refunds
});
in_order!(RecallRefund { id, lsn, time, fingerprint, lines, bookings });
in_order!(RecallLine { line, from, to });
in_order!(RecallBooking { period, state });

in_order!(AddOpening { rows });
in_order!(OpeningEntry { member, kind, name, text, calendar, position, since, value, decimals });
in_order!(CloseOpening { rows, digest, by });

/// The content of a command that is kept small.
macro_rules! boxed {
    ($($type:ty),+) => {
        $(
            impl Field for Box<$type> {
                fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                    (**self).put(version, out)
                }

                fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
                    Field::take(body, version).map(Box::new)
                }

                fn bound(&self) -> Bound {
                    (**self).bound()
                }
            }
        )+
    };
}
boxed!(
    PlaceOrder,
    RefundOrder,
    StepPeriod,
    RecordRun,
    SetAttributes,
    AddOpening,
    CloseOpening,
    SealPeriod,
    RecallOrder
);

/// A count of at most 255, and the items.
impl<T: Field> Field for Vec<T> {
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_count(self.len(), out)?;
        self.iter().try_for_each(|item| item.put(version, out))
    }

    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        (0..body.u8()?).map(|_| T::take(body, version)).collect()
    }

    fn bound(&self) -> Bound {
        self.iter().fold(Bound::of(1), |bound, item| bound.and(item.bound()))
    }
}

impl Field for OrderId {
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_text(self.as_str(), out)
    }

    fn take(body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
        let error = body.error("no id of an order");
        OrderId::parse(body.text()?).ok_or(error)
    }

    fn bound(&self) -> Bound {
        Bound::of(2 + self.as_str().len())
    }
}

impl Field for OpeningText {
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_text(self.as_str(), out)
    }

    fn take(body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
        let error = body.error("no text of the opening state");
        OpeningText::parse(body.text()?).ok_or(error)
    }

    fn bound(&self) -> Bound {
        Bound::of(2 + self.as_str().len())
    }
}

impl Field for OpeningKind {
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(*self as u8);
        Ok(())
    }

    fn take(body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
        body.code(OpeningKind::from_repr, "an unknown kind of row of the opening state")
    }

    fn bound(&self) -> Bound {
        Bound::of(1)
    }
}

impl Field for Actor {
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(self.kind() as u8);
        put_text(self.id(), out)
    }

    fn take(body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
        take_actor(body)
    }

    fn bound(&self) -> Bound {
        Bound::of(3 + self.id().len())
    }
}

/// Reads an actor: its kind and its id.
pub(super) fn take_actor(body: &mut Reader<'_>) -> Result<Actor, DecodeError> {
    let kind = body.code(ActorKind::from_repr, "an unknown kind of actor")?;
    let error = body.error("the id of an actor that is too long");
    let id = body.text()?;
    if crate::core::ACTOR_ID_BYTES_MAX < id.len() { Err(error) } else { Ok(Actor::new(kind, id)) }
}

impl Field for RefundScope {
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            RefundScope::Rest => {
                out.push(0);
                Ok(())
            }
            RefundScope::Part(part) => {
                out.push(1);
                part.put(version, out)
            }
            RefundScope::Lines(lines) => {
                out.push(2);
                lines.put(version, out)
            }
        }
    }

    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        match body.u8()? {
            0 => Ok(RefundScope::Rest),
            1 => Field::take(body, version).map(RefundScope::Part),
            2 => Field::take(body, version).map(RefundScope::Lines),
            _ => Err(body.error_before("an unknown scope of a refund")),
        }
    }

    fn bound(&self) -> Bound {
        match self {
            RefundScope::Rest => Bound::of(1),
            RefundScope::Part(part) => Bound::of(1).and(part.bound()),
            RefundScope::Lines(lines) => Bound::of(1).and(lines.bound()),
        }
    }
}

impl Field for PeriodStep {
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(*self as u8);
        Ok(())
    }

    fn take(body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
        body.code(PeriodStep::from_repr, "an unknown step of a period")
    }

    fn bound(&self) -> Bound {
        Bound::of(1)
    }
}

impl Field for AttributeChange {
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            AttributeChange::Market(market) => {
                out.push(1);
                market.put(version, out)
            }
            AttributeChange::Owner(owner) => {
                out.push(2);
                owner.put(version, out)
            }
            AttributeChange::Tag { tag, from, until, set } => {
                out.push(3);
                tag.put(version, out)?;
                from.put(version, out)?;
                until.put(version, out)?;
                set.put(version, out)
            }
        }
    }

    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        match body.u8()? {
            1 => Field::take(body, version).map(AttributeChange::Market),
            2 => Field::take(body, version).map(AttributeChange::Owner),
            3 => Ok(AttributeChange::Tag {
                tag: Field::take(body, version)?,
                from: Field::take(body, version)?,
                until: Field::take(body, version)?,
                set: Field::take(body, version)?,
            }),
            _ => Err(body.error_before("an unknown attribute")),
        }
    }

    fn bound(&self) -> Bound {
        match self {
            AttributeChange::Market(market) => Bound::of(1).and(market.bound()),
            AttributeChange::Owner(owner) => Bound::of(1).and(owner.bound()),
            AttributeChange::Tag { tag, from, until, set } => {
                let bounds = from.bound().and(until.bound());
                Bound::of(1).and(tag.bound()).and(bounds).and(set.bound())
            }
        }
    }
}
