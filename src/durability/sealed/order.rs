//! A sealed order, and its canonical bytes: what digests are over, and what waits in memory until its rows
//! are written.

use std::borrow::Cow;

use super::place::hash_of_id;
use crate::{
    core::types::Timestamp,
    durability::error::{Error, Result},
};

/// Of a part, the whole: parts are in 10^-9.
pub const WHOLE: u32 = 1_000_000_000;
/// The longest text of an order: an id, a name of the plan, a label.
const TEXT_BYTES_MAX: usize = 254;
/// The largest value of a line: 18 digits, as Parquet's decimals of 64 bits have.
const VALUE_MAX: u64 = 999_999_999_999_999_999;
/// Lines of an order at most; a limit of the form, above the one of the rules.
const LINES_MAX: u8 = 128;

/// An order that is sealed, with all of its refunds. While writing it borrows its texts; what is read owns
/// them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SealedOrder<'a> {
    pub id: Cow<'a, str>,
    /// The command that placed it.
    pub lsn: u64,
    pub time: Timestamp,
    /// Hash of its content.
    pub fingerprint: u64,
    /// The seal that has an older row of this order: it was brought back, and is sealed again.
    pub supersedes: Option<u32>,
    pub kind: Option<Cow<'a, str>>,
    pub market: Option<Cow<'a, str>>,
    pub tags: Vec<Cow<'a, str>>,
    pub group: Option<Cow<'a, str>>,
    pub customer: Option<Cow<'a, str>>,
    /// The members that it is credited to, as they were named; at least one.
    pub credits: Vec<Credit>,
    /// At least one.
    pub lines: u8,
    /// Line by line, the amount first, then the volumes in the order of the schema. The last volumes may be
    /// missing, in all lines alike: the plan had fewer when it was placed.
    pub values: Vec<i64>,
    /// The label of its period, by calendar. The last calendars may be missing, likewise.
    pub periods: Vec<Cow<'a, str>>,
    /// In the order in which they were given.
    pub refunds: Vec<SealedRefund<'a>>,
}

/// A member that an order is credited to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credit {
    /// The bytes of its UUID.
    pub member: [u8; 16],
    /// In 10^-9.
    pub part: u32,
}

/// A refund of a sealed order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SealedRefund<'a> {
    pub id: Cow<'a, str>,
    pub lsn: u64,
    pub time: Timestamp,
    pub fingerprint: u64,
    pub lines: Vec<RefundedLine>,
    /// By calendar.
    pub bookings: Vec<RefundBooking<'a>>,
}

/// A line that a refund takes back a part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefundedLine {
    pub line: u8,
    /// How much of it was refunded before the refund, and with it, in 10^-9.
    pub from: u32,
    pub to: u32,
}

/// How a refund acts in a calendar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefundBooking<'a> {
    /// The label of the period.
    pub period: Cow<'a, str>,
    /// The name of the state.
    pub state: Cow<'a, str>,
}

impl SealedOrder<'_> {
    /// The values of a line.
    pub fn width(&self) -> usize {
        self.values.len() / usize::from(self.lines.max(1))
    }

    /// How much of a line its refunds take back, in 10^-9.
    pub fn refunded(&self, line: u8) -> u32 {
        let lines = self.refunds.iter().flat_map(|refund| &refund.lines);
        lines.filter(|refunded| refunded.line == line).map(|refunded| refunded.to).max().unwrap_or(0)
    }

    /// Checks what the columns can hold.
    ///
    /// # Errors
    /// `BadSeal`.
    pub(super) fn check(&self, volumes: usize, calendars: usize) -> Result<()> {
        let bad = |reason: &str| Err(Error::BadSeal(format!("order `{}`: {reason}", self.id)));
        if self.id.is_empty() {
            return bad("it has no id");
        }
        if !(1..=LINES_MAX).contains(&self.lines) || self.credits.is_empty() || 255 < self.credits.len() {
            return bad("an impossible number of lines or credits");
        }
        let width = self.width();
        if self.values.len() != width * usize::from(self.lines) || !(1..=volumes + 1).contains(&width) {
            return bad("an impossible number of values");
        }
        if self.values.iter().any(|value| VALUE_MAX < value.unsigned_abs()) {
            return bad("a value of more than 18 digits");
        }
        if calendars < self.periods.len() || 255 < self.tags.len() {
            return bad("an impossible number of periods or tags");
        }
        if self.supersedes == Some(u32::MAX) || usize::from(u16::MAX) < self.refunds.len() {
            return bad("an impossible number");
        }
        for refund in &self.refunds {
            let fits = refund.lines.len() <= usize::from(LINES_MAX) && refund.bookings.len() <= calendars;
            if !fits || refund.id.is_empty() {
                return bad("an impossible refund");
            }
        }
        Ok(())
    }

    /// Appends its canonical bytes, and returns where what the columns need is in them.
    ///
    /// Numbers are little-endian. Its length without this number (4), LSN (8), time (8), fingerprint (8), the
    /// seal that it supersedes (4; all ones for none), the numbers of lines, values of a line, credits,
    /// periods and tags (1 each) and of refunds (2); each credit: member (16), part (4); each value (8); id,
    /// kind, market, group, customer, tags and periods as texts. A text is its length plus one (1), 0 for
    /// none, and its bytes. Each refund: LSN, time, fingerprint (8 each), the numbers of lines and calendars
    /// (1 each); each line: its position (1), from and to (4 each); its id; each calendar: label and state.
    ///
    /// # Errors
    /// `BadSeal` for a text that is too long.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<Parts> {
        let start = out.len();
        let byte = |count: usize| u8::try_from(count).expect("it was checked");
        out.extend_from_slice(&[0; 4]);
        for number in [self.lsn, self.time.0.cast_unsigned(), self.fingerprint] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.supersedes.unwrap_or(u32::MAX).to_le_bytes());
        let counts = [self.width(), self.credits.len(), self.periods.len(), self.tags.len()].map(byte);
        out.push(self.lines);
        out.extend_from_slice(&counts);
        out.extend_from_slice(&u16::try_from(self.refunds.len()).expect("it was checked").to_le_bytes());
        let credits = out.len();
        for credit in &self.credits {
            out.extend_from_slice(&credit.member);
            out.extend_from_slice(&credit.part.to_le_bytes());
        }
        let values = out.len();
        for value in &self.values {
            out.extend_from_slice(&value.to_le_bytes());
        }
        let mut text = |text: Option<&str>| put_text(text, out);
        let id = text(Some(&self.id))?;
        let kind = text(self.kind.as_deref())?;
        let market = text(self.market.as_deref())?;
        let group = text(self.group.as_deref())?;
        let customer = text(self.customer.as_deref())?;
        let tags = out.len();
        for tag in &self.tags {
            put_text(Some(tag), out)?;
        }
        let periods = out.len();
        for period in &self.periods {
            put_text(Some(period), out)?;
        }
        let refunds = out.len();
        for refund in &self.refunds {
            refund.encode(out)?;
        }
        let at = |place: usize| u32::try_from(place).expect("buffers are far smaller");
        let length = u32::try_from(out.len() - start - 4).expect("an order is far smaller");
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        Ok(Parts {
            hash: hash_of_id(self.id.as_bytes()),
            start: at(start),
            credits: at(credits),
            values: at(values),
            texts: [id, kind, market, group, customer].map(at),
            tags: at(tags),
            periods: at(periods),
            refunds: at(refunds),
        })
    }
}

impl SealedRefund<'_> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        for number in [self.lsn, self.time.0.cast_unsigned(), self.fingerprint] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let counts = [self.lines.len(), self.bookings.len()];
        out.extend_from_slice(&counts.map(|count| u8::try_from(count).expect("it was checked")));
        for line in &self.lines {
            out.push(line.line);
            out.extend_from_slice(&line.from.to_le_bytes());
            out.extend_from_slice(&line.to.to_le_bytes());
        }
        put_text(Some(&self.id), out)?;
        for booking in &self.bookings {
            put_text(Some(&booking.period), out)?;
            put_text(Some(&booking.state), out)?;
        }
        Ok(())
    }
}

/// Where the parts of an order are in the buffer that holds its canonical bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    /// The hash that its id is found by.
    pub hash: [u8; 16],
    pub start: u32,
    pub credits: u32,
    pub values: u32,
    /// Id, kind, market, group, customer.
    pub texts: [u32; 5],
    pub tags: u32,
    pub periods: u32,
    pub refunds: u32,
}

fn put_text(text: Option<&str>, out: &mut Vec<u8>) -> Result<usize> {
    let at = out.len();
    let Some(text) = text else {
        out.push(0);
        return Ok(at);
    };
    if TEXT_BYTES_MAX < text.len() {
        return Err(Error::BadSeal(format!("a text of {} bytes", text.len())));
    }
    out.push(u8::try_from(text.len() + 1).expect("it was checked"));
    out.extend_from_slice(text.as_bytes());
    Ok(at)
}

/// The range of a text's bytes, and where the next one begins. `None` for a missing text.
pub(super) fn text_at(bytes: &[u8], at: u32) -> (Option<std::ops::Range<usize>>, u32) {
    let start = at as usize + 1;
    match usize::from(bytes[at as usize]) {
        0 => (None, at + 1),
        length => (Some(start..start + length - 1), at + u32::from(bytes[at as usize])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_again() {
        let mut out = Vec::new();
        let places = [Some("abc"), None, Some("")].map(|text| put_text(text, &mut out).expect("it is short"));
        let read = |at: usize| text_at(&out, u32::try_from(at).expect("it is small"));
        assert_eq!(places, [0, 4, 5]);
        assert_eq!(read(0), (Some(1..4), 4));
        assert_eq!(read(4), (None, 5));
        assert_eq!(read(5), (Some(6..6), 6));
        assert!(put_text(Some(&"x".repeat(TEXT_BYTES_MAX + 1)), &mut out).is_err());
    }
}
