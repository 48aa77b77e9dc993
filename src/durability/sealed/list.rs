//! Lists of sealed orders, newest first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use parquet::errors::Result as ParquetResult;

use super::{
    cursor::{Numbers, SmallNumbers, Texts, Uuids},
    file::reading,
    order::SealedOrder,
    place::{FileKind, Month, Place},
    read::{AllRefunds, OrderRows, Rows},
    rows::{ALL, ONE},
    schema::column,
    store::Store,
};
use crate::{core::types::Timestamp, durability::error::Result};

/// Orders of a page at most.
pub const LIST_MAX: usize = 10_000;

/// Which orders a list has: those that all of these hold for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filter<'f> {
    /// A credited member, by the bytes of its UUID.
    pub member: Option<[u8; 16]>,
    pub customer: Option<&'f str>,
    pub group: Option<&'f str>,
    /// A calendar and the label of a period.
    pub period: Option<(&'f str, &'f str)>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// Newest LSN first.
    pub orders: Vec<SealedOrder<'static>>,
    /// Where the next page begins: after this LSN. `None` if there are no more.
    pub next: Option<u64>,
}

/// A row that a list may have: by LSN and seal, so that of two rows of one order the newer comes first.
type Candidate = (u64, u32, Place);

impl Store {
    /// Lists orders whose LSN is below `before`, at most `limit` of them ([`LIST_MAX`] at the most). Row
    /// groups that cannot have one are passed over by what their file says of them: the range of their LSNs,
    /// times and periods, and filters of their members, customers and groups. Memory does not grow with the
    /// orders.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn list(&self, filter: &Filter<'_>, before: Option<u64>, limit: usize) -> Result<Listed> {
        let limit = limit.clamp(1, LIST_MAX);
        let mut listed = Listed::default();
        let mut before = before;
        loop {
            // One more shows whether there are more.
            let want = limit + 1 - listed.orders.len();
            let candidates = self.candidates(filter, before, want)?;
            let is_last = candidates.len() < want;
            before = candidates.last().map(|candidate| candidate.0);
            let places: Vec<Place> = candidates.iter().map(|candidate| candidate.2).collect();
            for (place, order) in places.iter().zip(self.orders(&places)?) {
                if self.is_superseded(place.seal)
                    && self.find(&order.id)?.is_none_or(|found| found.place != *place)
                {
                    continue;
                }
                if listed.orders.len() == limit {
                    listed.next = listed.orders.last().map(|order| order.lsn);
                    return Ok(listed);
                }
                listed.orders.push(order);
            }
            if is_last {
                return Ok(listed);
            }
        }
    }

    /// The `want` rows of the greatest LSNs that the filter lets through, in that order.
    fn candidates(&self, filter: &Filter<'_>, before: Option<u64>, want: usize) -> Result<Vec<Candidate>> {
        let before = before.unwrap_or(u64::MAX);
        // The files by their greatest LSN: one is opened when it can still have some.
        let mut files = BinaryHeap::new();
        for (number, seal) in self.seals() {
            for (month, file) in seal.order_files() {
                if file.lsns[0] < before && filter.may_have_month(month) {
                    files.push((file.lsns[1], *number, month));
                }
            }
        }
        let mut best: BinaryHeap<Reverse<Candidate>> = BinaryHeap::new();
        while let Some((greatest, seal, month)) = files.pop() {
            let least = best.peek().filter(|_| best.len() == want);
            if least.is_some_and(|Reverse((least, ..))| greatest < *least) {
                break;
            }
            let rows = self.rows(seal, month, FileKind::Orders)?;
            for group in (0..rows.groups()).rev() {
                let least = best.peek().filter(|_| best.len() == want).map(|Reverse((least, ..))| *least);
                let result = (|| {
                    if !filter.may_have(&rows, group, [least.unwrap_or(0), before])? {
                        return Ok(());
                    }
                    filter.scan(&rows, group, &mut |row, lsn| {
                        let Ok(row) = u32::try_from(row) else { return };
                        if before <= lsn {
                            return;
                        }
                        best.push(Reverse((lsn, seal, Place { seal, month, row })));
                        if want < best.len() {
                            best.pop();
                        }
                    })
                })();
                result.map_err(reading(rows.path()))?;
            }
        }
        Ok(best.into_sorted_vec().into_iter().map(|Reverse(candidate)| candidate).collect())
    }

    /// Reads orders, in the order of the places; those of one row group together.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn orders(&self, places: &[Place]) -> Result<Vec<SealedOrder<'static>>> {
        let mut sorted: Vec<(Place, usize)> = places.iter().copied().zip(0..).collect();
        sorted.sort_unstable_by_key(|(place, at)| (place.seal, place.month, place.row, *at));
        let mut read: BTreeMap<usize, SealedOrder<'static>> = BTreeMap::new();
        for same in sorted.chunk_by(|(one, _), (other, _)| (one.seal, one.month) == (other.seal, other.month))
        {
            let (seal, month) = (same[0].0.seal, same[0].0.month);
            let rows = self.rows(seal, month, FileKind::Orders)?;
            let mut reader: Option<(usize, usize, OrderRows)> = None;
            for (place, at) in same {
                let bare = (|| {
                    let (group, row) = rows.locate(place.row.into()).ok_or_else(no_row)?;
                    let mut orders = match reader.take() {
                        // Two places may be the same.
                        Some((open, next, mut orders)) if open == group && next <= row => {
                            orders.skip(row - next)?;
                            orders
                        }
                        _ => {
                            let mut orders = OrderRows::open(&rows, group, ONE)?;
                            orders.skip(row)?;
                            orders
                        }
                    };
                    let bare = orders.next()?.ok_or_else(no_row)?;
                    reader = Some((group, row + usize::from(bare.order.lines), orders));
                    Ok(bare)
                })();
                let mut bare = bare.map_err(reading(rows.path()))?;
                if bare.refunds != 0 {
                    bare.order.refunds = self.refunds(*place, bare.refunds)?;
                }
                read.insert(*at, bare.order);
            }
        }
        Ok(read.into_values().collect())
    }

    /// Reads the refunds of an order.
    pub(super) fn refunds(&self, order: Place, count: usize) -> Result<Vec<super::SealedRefund<'static>>> {
        let rows = self.rows(order.seal, order.month, FileKind::Refunds)?;
        let path = rows.path().to_path_buf();
        let row = order.row.into();
        AllRefunds::of_order(rows, row).and_then(|mut all| all.take(count, row)).map_err(reading(&path))
    }
}

fn no_row() -> parquet::errors::ParquetError {
    super::cursor::wrong("there is no such row")
}

impl Filter<'_> {
    fn may_have_month(&self, month: Month) -> bool {
        let is_at_or_after = |time: Timestamp| Month::of(time).is_none_or(|first| first <= month);
        let is_before = |time: Timestamp| Month::of(time).is_none_or(|last| month <= last);
        self.from.is_none_or(is_at_or_after) && self.until.is_none_or(is_before)
    }

    /// Whether a row group may have orders for it, with LSNs of a range.
    fn may_have(&self, rows: &Rows, group: usize, [least, before]: [u64; 2]) -> ParquetResult<bool> {
        let overlaps = |column: usize, from: Option<i64>, until: Option<i64>| {
            rows.range(group, column).is_none_or(|[first, last]| {
                from.is_none_or(|from| from <= last) && until.is_none_or(|until| first < until)
            })
        };
        let number = |lsn: u64| i64::try_from(lsn).ok();
        let times = [self.from, self.until].map(|time| time.map(|time| time.0));
        // LSNs of the upper half are negative in the file.
        let are_lower = rows.range(group, column::LSN).is_some_and(|[first, _]| 0 <= first);
        if are_lower && !overlaps(column::LSN, number(least), number(before))
            || !overlaps(column::TIME, times[0], times[1])
        {
            return Ok(false);
        }
        if let Some((calendar, label)) = self.period {
            let Some(calendar) = rows.schema.calendars.iter().position(|name| name == calendar) else {
                return Ok(false);
            };
            let range = rows.text_range(group, rows.schema.period(calendar));
            if range.is_some_and(|[first, last]| label.as_bytes() < first || last < label.as_bytes()) {
                return Ok(false);
            }
        }
        for (column, text) in [(column::CUSTOMER, self.customer), (column::GROUP, self.group)] {
            if let Some(text) = text
                && !rows.may_have(group, column, text.as_bytes())?
            {
                return Ok(false);
            }
        }
        if let Some(member) = &self.member {
            return Ok(rows.may_have(group, column::MEMBER, member)?
                || rows.may_have(group, column::CREDIT_MEMBER, member)?);
        }
        Ok(true)
    }

    /// Tells `each` row and LSN of the orders of a row group that it lets through.
    fn scan(&self, rows: &Rows, group: usize, each: &mut dyn FnMut(u64, u64)) -> ParquetResult<()> {
        let reader = &rows.group(group)?;
        let number = |column| Numbers::open(reader, column, ALL);
        let mut lines = SmallNumbers::open(reader, column::LINE, ALL)?;
        let mut lsns = number(column::LSN)?;
        let has_times = self.from.is_some() || self.until.is_some();
        let mut times = has_times.then(|| number(column::TIME)).transpose()?;
        let mut texts = Vec::new();
        let text = |column: usize| Texts::open(reader, column, ALL);
        if let Some(customer) = self.customer {
            texts.push((text(column::CUSTOMER)?, customer));
        }
        if let Some(group) = self.group {
            texts.push((text(column::GROUP)?, group));
        }
        if let Some((calendar, label)) = self.period {
            let Some(calendar) = rows.schema.calendars.iter().position(|name| name == calendar) else {
                return Ok(());
            };
            texts.push((text(rows.schema.period(calendar))?, label));
        }
        let mut members = match &self.member {
            Some(member) => {
                let has_credits = rows.may_have(group, column::CREDIT_MEMBER, member)?;
                let credits = has_credits.then(|| Uuids::open(reader, column::CREDIT_MEMBER, ALL));
                Some((Uuids::open(reader, column::MEMBER, ALL)?, credits.transpose()?, member))
            }
            None => None,
        };
        for row in rows.start(group)..rows.start(group) + rows.rows_of(group) as u64 {
            let (is_first, lsn) = (lines.require()? == 0, lsns.require()?.cast_unsigned());
            let mut lets = is_first;
            if let Some(times) = &mut times {
                let time = Timestamp(times.require()?);
                lets &= self.from.is_none_or(|from| from <= time);
                lets &= self.until.is_none_or(|until| time < until);
            }
            for (column, text) in &mut texts {
                lets &= column.next()?.is_some_and(|found| found.data() == text.as_bytes());
            }
            if let Some((first, credits, member)) = &mut members {
                let mut is_credited = first.require()?.data() == &member[..];
                if let Some(credits) = credits {
                    is_credited |= credits.next_list()?.iter().any(|credit| credit.data() == &member[..]);
                }
                lets &= is_credited;
            }
            if lets {
                each(row, lsn);
            }
        }
        Ok(())
    }
}
