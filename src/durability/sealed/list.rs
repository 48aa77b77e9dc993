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
/// What a page may cost, in row groups whose filters are read; one that is read itself is as much as
/// [`SCAN_COST`] of them. Few in tests, so that they come to the end of it.
const COST_MAX: usize = if cfg!(test) { 3 } else { 64 };
const SCAN_COST: usize = if cfg!(test) { 1 } else { 4 };

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
    /// Newest LSN first. They are all that the list has from `next` on.
    pub orders: Vec<SealedOrder<'static>>,
    /// Where the next page begins: before this LSN. `None` if there are no more.
    pub next: Option<u64>,
}

/// A row that a list may have: by LSN and seal, so that of two rows of one order the newer comes first.
type Candidate = (u64, u32, Place);

/// A file, or a row group of one that was opened, with the greatest LSN that it may have below that of the
/// page before: the order in which they are looked at.
type Source = (u64, u32, Month, Option<usize>);

impl Store {
    /// Lists orders of the seals with numbers below `seals` whose LSN is below `before`, at most `limit` of
    /// them ([`LIST_MAX`] at the most): as they were in the newest of these seals. It goes through row groups
    /// by their greatest LSN, and passes over those that cannot have one by what their file says of them: the
    /// range of their LSNs, times and periods, and filters of their members, customers and groups.
    ///
    /// A page may have fewer orders than `limit`, or none, and not be the last: it reads the filters of 64
    /// row groups, or 16 row groups themselves, and then ends before the LSN to which it is complete. It goes
    /// on beyond that only through row groups that all have LSNs on both sides of `before`: of a month, a
    /// seal has one or two of them. A row group has up to 131,072 lines, and of each order of the page one
    /// row is read. Memory does not grow with the orders.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn list(&self, filter: &Filter<'_>, seals: u32, before: Option<u64>, limit: usize) -> Result<Listed> {
        let limit = limit.clamp(1, LIST_MAX);
        // One more shows whether there are more.
        let (mut candidates, mut next) = self.candidates(filter, seals, before, limit + 1)?;
        let is_cut = candidates.len() == limit + 1;
        // An order that was sealed again has a row for each time.
        candidates.dedup_by_key(|(lsn, ..)| *lsn);
        candidates.truncate(limit);
        if is_cut {
            next = candidates.last().map(|(lsn, ..)| *lsn);
        }
        let places: Vec<Place> = candidates.iter().map(|(.., place)| *place).collect();
        Ok(Listed { orders: self.orders(&places)?, next })
    }

    /// The `want` rows of the greatest LSNs that the filter lets through, in that order; and the LSN down to
    /// which these are all, where the rest is too much for one page.
    fn candidates(
        &self,
        filter: &Filter<'_>,
        seals: u32,
        before: Option<u64>,
        want: usize,
    ) -> Result<(Vec<Candidate>, Option<u64>)> {
        let before = before.unwrap_or(u64::MAX);
        let mut sources: BinaryHeap<Source> = BinaryHeap::new();
        for (number, seal) in self.seals().range(..seals) {
            for (month, file) in seal.order_files() {
                if file.lsns[0] < before && filter.may_have_month(month) {
                    sources.push((file.lsns[1].min(before - 1), *number, month, None));
                }
            }
        }
        let mut best: BinaryHeap<Reverse<Candidate>> = BinaryHeap::new();
        let (mut cost, mut next) = (0, None);
        while let Some((greatest, seal, month, group)) = sources.pop() {
            let least = best.peek().filter(|_| best.len() == want).map_or(0, |Reverse((least, ..))| *least);
            if greatest < least {
                break;
            }
            // Without this a page could end where it began.
            if COST_MAX <= cost && greatest + 1 < before {
                next = Some(greatest + 1);
                break;
            }
            let rows = self.rows(seal, month, FileKind::Orders)?;
            let Some(group) = group else {
                sources.extend((0..rows.groups()).map(|group| {
                    let newest = lsns_of(&rows, group).map_or(greatest, |[_, last]| last.min(greatest));
                    (newest, seal, month, Some(group))
                }));
                continue;
            };
            let result = (|| {
                if !filter.may_have_in_range(&rows, group, [least, before]) {
                    return Ok(());
                }
                cost += 1;
                if !filter.may_have(&rows, group)? {
                    return Ok(());
                }
                cost += SCAN_COST;
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
        let mut found: Vec<Candidate> = best.into_iter().map(|Reverse(candidate)| candidate).collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found.retain(|(lsn, ..)| next.is_none_or(|next| next <= *lsn));
        Ok((found, next))
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

/// The least and the greatest LSN of a row group of orders, where the file says them. Those of the upper half
/// are negative there.
fn lsns_of(rows: &Rows, group: usize) -> Option<[u64; 2]> {
    let range = rows.range(group, column::LSN).filter(|[first, _]| 0 <= *first);
    range.map(|range| range.map(i64::cast_unsigned))
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

    /// Whether a row group may have orders for it, with LSNs of a range, by what the description of the file
    /// says.
    fn may_have_in_range(&self, rows: &Rows, group: usize, [least, before]: [u64; 2]) -> bool {
        let is_older = |[first, last]: [u64; 2]| last < least || before <= first;
        if lsns_of(rows, group).is_some_and(is_older) {
            return false;
        }
        let is_other = |[first, last]: [i64; 2]| {
            self.from.is_some_and(|from| last < from.0) || self.until.is_some_and(|until| until.0 <= first)
        };
        if rows.range(group, column::TIME).is_some_and(is_other) {
            return false;
        }
        self.period.is_none_or(|(calendar, label)| {
            let calendar = rows.schema.calendars.iter().position(|name| name == calendar);
            calendar.is_some_and(|calendar| {
                let range = rows.text_range(group, rows.schema.period(calendar));
                range.is_none_or(|[first, last]| (first..=last).contains(&label.as_bytes()))
            })
        })
    }

    /// Whether a row group may have orders for it, by its filters.
    fn may_have(&self, rows: &Rows, group: usize) -> ParquetResult<bool> {
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
