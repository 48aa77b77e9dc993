//! What the commands about sealed orders contain.

use crate::core::{
    requests::orders::{Credit, ORDER_CREDITS_MAX, ORDER_LINES_MAX, OrderId, PeriodRef, VALUE_MAX, WHOLE},
    words::{
        actor::Actor,
        types::{Reason, Timestamp},
    },
};

/// Seals a posted period. The files of the seal are durable; from then on they hold its orders, and the state
/// no longer does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealPeriod {
    pub period: PeriodRef,
    /// The number of the seal, from 0: the next one.
    pub seal: u32,
    /// The command up to which the files know the network.
    pub as_of: u64,
    /// Orders and refunds of the state then: what came later must not be in the files.
    pub orders_known: u32,
    pub refunds_known: u32,
    /// Orders and refunds in the files.
    pub orders: u32,
    pub refunds: u32,
    /// BLAKE3 of the manifest that names the files.
    pub manifest: [u8; 32],
    /// The last command at the end of the period, and BLAKE3 of the manifest of the network's files then.
    pub boundary: u64,
    pub network: [u8; 32],
    pub reason: Option<Reason>,
    /// Who decided it: kept with the period.
    pub by: Actor,
}

/// A sealed order, brought back into the state with its refunds: what is to be refunded is in the state. It
/// is sealed once more by a later seal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecallOrder {
    pub id: OrderId,
    /// The command that placed it.
    pub lsn: u64,
    pub time: Timestamp,
    /// [`PlaceOrder::fingerprint`](crate::core::requests::orders::PlaceOrder::fingerprint) of that command.
    pub fingerprint: u64,
    pub tags: u64,
    pub kind: Option<u16>,
    pub market: Option<u16>,
    pub customer: Option<OrderId>,
    pub group: Option<OrderId>,
    pub credits: Vec<Credit>,
    /// The amount and the volumes of each line.
    pub lines: Vec<Vec<i64>>,
    /// Its period in each calendar.
    pub periods: Vec<u32>,
    /// Oldest first.
    pub refunds: Vec<RecallRefund>,
}

/// A refund of a sealed order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecallRefund {
    pub id: OrderId,
    /// The command that gave it.
    pub lsn: u64,
    pub time: Timestamp,
    /// [`RefundOrder::fingerprint`](crate::core::requests::orders::RefundOrder::fingerprint) of that command.
    pub fingerprint: u64,
    pub lines: Vec<RecallLine>,
    /// How it acts in each calendar of the order.
    pub bookings: Vec<RecallBooking>,
}

/// How much of a line was refunded before a refund, and with it, in parts of [`WHOLE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecallLine {
    pub line: u8,
    pub from: u32,
    pub to: u32,
}

/// How a refund acts in a calendar, and in which period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecallBooking {
    pub period: u32,
    /// Code of the state of a refund.
    pub state: u8,
}

/// Refunds of a sealed order, and lines of them: so that what recalls it fits a record of the log. An order
/// that has more stays in the state.
pub const SEALED_REFUNDS_MAX: usize = 100;
/// See [`SEALED_REFUNDS_MAX`].
pub const SEALED_REFUND_LINES_MAX: usize = 2_000;

impl RecallOrder {
    /// Whether counts, parts, signs and sizes are those of an order, and the refunds follow one another.
    pub fn is_well_formed(&self) -> bool {
        let Self { credits, lines, periods, refunds, .. } = self;
        let parts: u64 = credits.iter().map(|credit| u64::from(credit.part)).sum();
        let values = lines.first().map_or(0, Vec::len);
        let is_line = |line: &Vec<i64>| {
            line.len() == values && line.iter().all(|value| (0..=VALUE_MAX).contains(value))
        };
        let mut refunded = vec![0; lines.len()];
        let follows = |refund: &RecallRefund| {
            let ascends = refund.lines.windows(2).all(|pair| pair[0].line < pair[1].line);
            ascends
                && refund.bookings.len() == periods.len()
                && refund.lines.iter().all(|row| {
                    let fits = refunded.get(usize::from(row.line)) == Some(&row.from)
                        && row.from < row.to
                        && row.to <= WHOLE;
                    if fits {
                        refunded[usize::from(row.line)] = row.to;
                    }
                    fits
                })
        };
        (1..=ORDER_CREDITS_MAX).contains(&credits.len())
            && credits.iter().all(|credit| credit.part != 0)
            && parts == u64::from(WHOLE)
            && (1..=ORDER_LINES_MAX).contains(&lines.len())
            && values != 0
            && lines.iter().all(is_line)
            && !periods.is_empty()
            && refunds.len() <= SEALED_REFUNDS_MAX
            && refunds.iter().map(|refund| refund.lines.len()).sum::<usize>() <= SEALED_REFUND_LINES_MAX
            && refunds.iter().all(follows)
    }
}
