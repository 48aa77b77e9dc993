//! What commands about orders, refunds, periods and attributes contain.

use strum::{FromRepr, IntoStaticStr, VariantArray};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::core::{
    plan::commerce::VOLUMES_MAX,
    words::{
        actor::Actor,
        all::all,
        types::{MemberId, Money, Reason, Timestamp},
    },
};

/// Lines of an order.
pub const ORDER_LINES_MAX: usize = 64;
/// Members that an order is credited to.
pub const ORDER_CREDITS_MAX: usize = 16;
/// Characters of the id of an order, a refund, a customer or a group.
pub const ORDER_ID_CHARS_MAX: usize = 64;
/// The largest amount or volume of a line, in units of its exponent.
pub const VALUE_MAX: i64 = Money::MAX.0;
/// The whole of an order or of a line, in the parts that credits and refunds are given in.
pub const WHOLE: u32 = 1_000_000_000;

/// An id that a client chose: 1 to 64 of `[A-Za-z0-9._:-]`. Upper and lower case differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderId(Box<str>);

impl OrderId {
    /// Returns `None` unless the text is an id.
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        let fits = (1..=ORDER_ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_allowed);
        fits.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An order, as a client sends it. Names of the plan are their positions in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceOrder {
    /// Unique for ever, among refunds too: the same id with the same content is answered as the first time.
    pub id: OrderId,
    /// The members that it is credited to: 1 to [`ORDER_CREDITS_MAX`], each once.
    pub credits: Vec<Credit>,
    /// The customer who bought it; `None` if the first credited member did.
    pub customer: Option<OrderId>,
    /// When it was placed; `None` for the time of the command.
    pub time: Option<Timestamp>,
    /// The position of its kind.
    pub kind: Option<u16>,
    /// A bit for each of the plan's tags of orders.
    pub tags: u64,
    /// What it belongs to: a party, a shopping event.
    pub group: Option<OrderId>,
    /// The position of its market.
    pub market: Option<u16>,
    /// 1 to [`ORDER_LINES_MAX`].
    pub lines: Vec<OrderLine>,
}

/// A member to whom an order is credited, and how much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credit {
    pub member: MemberId,
    /// In parts of [`WHOLE`], at least 1; those of an order add up to it.
    pub part: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderLine {
    /// `0..=VALUE_MAX`.
    pub amount: Money,
    /// The volumes that lines name ([`VolumeForm::Given`]), in the plan's order: at most [`VOLUMES_MAX`],
    /// each `0..=VALUE_MAX`. Missing ones are 0.
    ///
    /// [`VolumeForm::Given`]: crate::core::plan::commerce::VolumeForm::Given
    pub volumes: Vec<i64>,
}

/// A refund of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefundOrder {
    /// Of the same name space as the ids of orders.
    pub id: OrderId,
    pub order: OrderId,
    /// When it was given; `None` for the time of the command.
    pub time: Option<Timestamp>,
    pub scope: RefundScope,
}

/// What of an order is refunded. Refunds add up, and never exceed the order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RefundScope {
    /// All that is left of it.
    Rest,
    /// A part of each line, of [`WHOLE`].
    Part(u32),
    /// Parts of lines, of [`WHOLE`]; ascending by line, each once.
    Lines(Vec<LinePart>),
}

/// A part of a line that is refunded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinePart {
    /// The position of the line in the order.
    pub line: u8,
    /// In parts of [`WHOLE`]; `None` for what is left of the line.
    pub part: Option<u32>,
}

/// The next period of a calendar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenPeriod {
    /// The position of the calendar in the plan.
    pub calendar: u8,
    /// Its name, unique in the calendar: `2026-11`.
    pub label: OrderId,
    /// When it begins: where the one before ends.
    pub start: Timestamp,
    /// The first instant behind it.
    pub end: Timestamp,
    /// The first instant at which it takes no more orders.
    pub grace_until: Timestamp,
}

/// A period of a calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeriodRef {
    /// The position of the calendar in the plan.
    pub calendar: u8,
    /// Counted from 0 in each calendar.
    pub period: u32,
}

/// A step in the life of a period that a person decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepPeriod {
    pub period: PeriodRef,
    pub step: PeriodStep,
    pub reason: Option<Reason>,
    /// Who decides it: kept with the period.
    pub by: Actor,
}

/// What people do with a period. Codes are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[derive(FromRepr, IntoStaticStr, VariantArray, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum PeriodStep {
    /// Ends its grace: nothing of the period changes any more.
    Lock = 1,
    /// Takes back the lock, and an approval.
    Unlock = 2,
    /// Accepts the newest run.
    Approve = 3,
    /// Makes it final.
    Post = 4,
    /// Moves its orders into files: by a command of its own ([`SealPeriod`]).
    ///
    /// [`SealPeriod`]: crate::core::requests::seals::SealPeriod
    Seal = 5,
}

impl PeriodStep {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The result of a run, which was computed beside serving.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordRun {
    pub period: PeriodRef,
    /// The plan version by which it was computed.
    pub plan_version: u32,
    /// The last command that it took into account.
    pub up_to_lsn: u64,
    /// Lines of pay.
    pub lines: u64,
    /// BLAKE3 of its results.
    pub digest: [u8; 32],
    /// Who asked for it: kept with the run.
    pub by: Actor,
}

impl PlaceOrder {
    /// A hash of everything that a client says of an order but the id: a repeat has the same.
    pub fn fingerprint(&self) -> u64 {
        let Self { id: _, credits, customer, time, kind, tags, group, market, lines } = self;
        let mut content = Content::new();
        content.number(credits.len() as u64);
        for Credit { member, part } in credits {
            content.bytes(&member.0).number(u64::from(*part));
        }
        content.text(customer.as_ref()).time(*time);
        content.number(kind.map_or(0, |kind| u64::from(kind) + 1)).number(*tags);
        content.text(group.as_ref()).number(market.map_or(0, |market| u64::from(market) + 1));
        for OrderLine { amount, volumes } in lines {
            // Volumes that are not named are 0.
            let named = volumes.iter().rposition(|volume| *volume != 0).map_or(0, |last| last + 1);
            content.signed(amount.0).number(named as u64);
            volumes[..named].iter().for_each(|volume| _ = content.signed(*volume));
        }
        content.finish()
    }

    /// Whether the shape is one that can be judged: counts, parts, signs and sizes.
    pub fn is_well_formed(&self) -> bool {
        let Self { credits, lines, .. } = self;
        let is_value = |value: i64| (0..=VALUE_MAX).contains(&value);
        let parts: u64 = credits.iter().map(|credit| u64::from(credit.part)).sum();
        let repeats = |(at, credit): (usize, &Credit)| {
            credits[..at].iter().any(|earlier| earlier.member == credit.member)
        };
        (1..=ORDER_CREDITS_MAX).contains(&credits.len())
            && credits.iter().all(|credit| credit.part != 0)
            && parts == u64::from(WHOLE)
            && !credits.iter().enumerate().any(repeats)
            && (1..=ORDER_LINES_MAX).contains(&lines.len())
            && lines.iter().all(|line| {
                let volumes = &line.volumes;
                is_value(line.amount.0)
                    && volumes.len() <= VOLUMES_MAX
                    && volumes.iter().all(|volume| is_value(*volume))
            })
    }
}

impl RefundOrder {
    /// A hash of everything but the id, as [`PlaceOrder::fingerprint`].
    pub fn fingerprint(&self) -> u64 {
        let Self { id: _, order, time, scope } = self;
        let mut content = Content::new();
        content.text(Some(order)).time(*time);
        match scope {
            RefundScope::Rest => _ = content.number(0),
            RefundScope::Part(part) => _ = content.number(1).number(u64::from(*part)),
            RefundScope::Lines(lines) => {
                content.number(2);
                for LinePart { line, part } in lines {
                    content.number(u64::from(*line)).number(part.map_or(0, |part| u64::from(part) + 1));
                }
            }
        }
        content.finish()
    }
}

/// Bytes of content that are hashed at once: all of most orders. Preparing to hash in pieces takes longer
/// than hashing them.
const CONTENT_BYTES: usize = 256;

/// The content of a request, fed to a hash field by field.
struct Content {
    /// What is not in the hash yet.
    last: [u8; CONTENT_BYTES],
    len: usize,
    /// Of what came before, if there is more.
    before: Option<Box<Xxh3>>,
}

impl Content {
    fn new() -> Self {
        Self { last: [0; CONTENT_BYTES], len: 0, before: None }
    }

    /// Feeds at most [`CONTENT_BYTES`].
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if CONTENT_BYTES < self.len + bytes.len() {
            self.before.get_or_insert_with(|| Box::new(Xxh3::new())).update(&self.last[..self.len]);
            self.len = 0;
        }
        self.last[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn signed(&mut self, number: i64) -> &mut Self {
        self.number(number.cast_unsigned())
    }

    fn time(&mut self, time: Option<Timestamp>) -> &mut Self {
        self.number(u64::from(time.is_some())).signed(time.unwrap_or_default().0)
    }

    fn text(&mut self, text: Option<&OrderId>) -> &mut Self {
        let text = text.map_or("", OrderId::as_str);
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    fn finish(mut self) -> u64 {
        let last = &self.last[..self.len];
        match &mut self.before {
            None => xxh3_64(last),
            Some(before) => {
                before.update(last);
                before.digest()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_hashed_as_if_it_were_one_piece() {
        for numbers in [0, 1, 2, 29, 30, 31, 32, 33, 63, 64, 65, 500] {
            let (mut content, mut whole) = (Content::new(), Vec::new());
            for number in 0..numbers {
                let text = OrderId::parse(&"x".repeat(1 + usize::try_from(number).unwrap() % 64)).unwrap();
                content.number(number).text(Some(&text));
                whole.extend(number.to_le_bytes());
                whole.extend((text.as_str().len() as u64).to_le_bytes());
                whole.extend(text.as_str().as_bytes());
            }
            assert_eq!(content.finish(), xxh3_64(&whole), "{numbers}");
        }
    }
}
