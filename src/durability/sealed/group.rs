//! Orders that wait in memory until their rows are written: a row group.

use bytes::Bytes;

use super::order::{Parts, SealedOrder, text_at};
use crate::durability::error::Result;

/// Orders as canonical bytes.
#[derive(Debug, Default)]
pub(super) struct Group {
    bytes: Vec<u8>,
    parts: Vec<Parts>,
    lines: usize,
}

impl Group {
    pub fn push(&mut self, order: &SealedOrder<'_>) -> Result<()> {
        let parts = order.encode(&mut self.bytes)?;
        self.parts.push(parts);
        self.lines += usize::from(order.lines);
        Ok(())
    }

    pub fn lines(&self) -> usize {
        self.lines
    }

    /// The canonical bytes of its orders, one after the other.
    pub fn canonical(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory that it takes.
    pub fn memory(&self) -> usize {
        self.bytes.len() + self.parts.len() * size_of::<Parts>()
    }

    /// Ends it.
    pub fn ended(self) -> Ended {
        let Self { bytes, parts, lines } = self;
        Ended { bytes: Bytes::from(bytes), parts, lines }
    }
}

/// A row group that is complete.
pub(super) struct Ended {
    bytes: Bytes,
    parts: Vec<Parts>,
    pub lines: usize,
}

impl Ended {
    /// What its orders are parts of.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn orders(&self) -> impl Iterator<Item = Order<'_>> + Clone {
        self.parts.iter().map(|parts| Order { bytes: &self.bytes, parts })
    }
}

/// An order of a row group.
#[derive(Clone, Copy)]
pub(super) struct Order<'g> {
    bytes: &'g Bytes,
    parts: &'g Parts,
}

/// A refund of such an order.
pub(super) struct Refund<'g> {
    pub id: Bytes,
    pub lsn: i64,
    pub time: i64,
    pub fingerprint: u64,
    bytes: &'g Bytes,
    lines_at: usize,
    lines: usize,
    pub bookings: Vec<[Bytes; 2]>,
}

impl<'g> Order<'g> {
    fn head(&self, at: usize) -> usize {
        self.parts.start as usize + at
    }

    pub fn lsn(&self) -> i64 {
        u64_at(self.bytes, self.head(4)).cast_signed()
    }

    pub fn time(&self) -> i64 {
        u64_at(self.bytes, self.head(12)).cast_signed()
    }

    pub fn fingerprint(&self) -> u64 {
        u64_at(self.bytes, self.head(20))
    }

    pub fn supersedes(&self) -> Option<u32> {
        Some(u32_at(self.bytes, self.head(28))).filter(|seal| *seal != u32::MAX)
    }

    fn count(&self, at: usize) -> usize {
        self.bytes[self.head(32 + at)].into()
    }

    pub fn lines(&self) -> usize {
        self.count(0)
    }

    pub fn width(&self) -> usize {
        self.count(1)
    }

    pub fn credits(&self) -> usize {
        self.count(2)
    }

    pub fn refunds(&self) -> usize {
        let at = self.head(37);
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]).into()
    }

    /// A member that it is credited to, and the part.
    pub fn credit(&self, credit: usize) -> (Bytes, u32) {
        let at = self.parts.credits as usize + credit * 20;
        (self.bytes.slice(at..at + 16), u32_at(self.bytes, at + 16))
    }

    pub fn value(&self, line: usize, value: usize) -> i64 {
        let at = self.parts.values as usize + (line * self.width() + value) * 8;
        u64_at(self.bytes, at).cast_signed()
    }

    fn text(&self, at: u32) -> Option<&'g [u8]> {
        let bytes: &'g [u8] = self.bytes;
        text_at(bytes, at).0.map(|range| &bytes[range])
    }

    /// The hash that its id is found by.
    pub fn hash(&self) -> [u8; 16] {
        self.parts.hash
    }

    pub fn id(&self) -> Bytes {
        self.bytes.slice_ref(self.text(self.parts.texts[0]).expect("every order has one"))
    }

    /// Its kind, market, group or customer: 1 to 4.
    pub fn name(&self, which: usize) -> Option<&'g [u8]> {
        self.text(self.parts.texts[which])
    }

    pub fn tags(self) -> impl Iterator<Item = Bytes> + 'g {
        let (bytes, mut at) = (self.bytes, self.parts.tags);
        (0..self.count(4)).map(move |_| {
            let (range, next) = text_at(bytes, at);
            at = next;
            bytes.slice(range.expect("lists have no missing texts"))
        })
    }

    /// The label of its period in a calendar.
    pub fn period(self, calendar: usize) -> Option<&'g [u8]> {
        let past = |at, _| text_at(self.bytes, at).1;
        (calendar < self.count(3)).then(|| self.text((0..calendar).fold(self.parts.periods, past)))?
    }

    /// Its refunds, in the order in which they were given.
    pub fn each_refund(self) -> impl Iterator<Item = Refund<'g>> + 'g {
        let bytes = self.bytes;
        let mut at = self.parts.refunds as usize;
        (0..self.refunds()).map(move |_| {
            let number = |which: usize| u64_at(bytes, at + which * 8);
            let (lsn, time, fingerprint) = (number(0), number(1), number(2));
            let [lines, calendars] = [bytes[at + 24], bytes[at + 25]].map(usize::from);
            let lines_at = at + 26;
            let mut next = u32::try_from(lines_at + lines * 9).expect("buffers are far smaller");
            let mut text = || {
                let (range, after) = text_at(bytes, next);
                next = after;
                bytes.slice(range.expect("refunds have no missing texts"))
            };
            let id = text();
            let bookings = (0..calendars).map(|_| [text(), text()]).collect();
            at = next as usize;
            let [lsn, time] = [lsn, time].map(u64::cast_signed);
            Refund { id, lsn, time, fingerprint, bytes, lines_at, lines, bookings }
        })
    }
}

impl Refund<'_> {
    /// Its lines: position, part before, part with it.
    pub fn lines(&self) -> impl Iterator<Item = (u8, u32, u32)> + '_ {
        (0..self.lines).map(|line| {
            let at = self.lines_at + line * 9;
            (self.bytes[at], u32_at(self.bytes, at + 1), u32_at(self.bytes, at + 5))
        })
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
