//! Reads orders and refunds from their files.

use std::{borrow::Cow, ops::Deref, sync::Arc};

use parquet::{
    data_type::{ByteArray, FixedLenByteArray},
    errors::Result,
};

use super::{
    cursor::{Numbers, SmallNumbers, Texts, Uuids, wrong},
    file::{Checked, LOST},
    order::{Credit, RefundBooking, RefundedLine, SealedOrder, SealedRefund, WHOLE},
    rows::{ALL, ONE, RowFile},
    schema::{SCHEMA_KEY, Schema, column, refund_column},
};
use crate::{core::types::Timestamp, durability::error::Error};

/// An open file of orders or refunds.
pub(super) struct Rows {
    file: RowFile,
    pub schema: Schema,
}

impl Rows {
    /// Opens a file; `rows` is what its manifest says.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn open(file: Checked, rows: u64) -> crate::durability::error::Result<Self> {
        let file = RowFile::open(file, rows)?;
        let schema = file.description(SCHEMA_KEY).and_then(Schema::parse);
        let reason = "it does not say what its columns are";
        let schema = schema.ok_or_else(|| Error::damaged(file.path(), 0, None, reason, LOST))?;
        Ok(Self { file, schema })
    }
}

impl Deref for Rows {
    type Target = RowFile;

    fn deref(&self) -> &RowFile {
        &self.file
    }
}

/// The orders of a row group, read on from the first.
pub(super) struct OrderRows {
    ids: Texts,
    supersedes: SmallNumbers,
    lsns: Numbers,
    times: Numbers,
    fingerprints: Numbers,
    /// Kind, market, group, customer.
    names: [Texts; 4],
    tags: Texts,
    members: Uuids,
    credit_members: Uuids,
    credit_parts: Numbers,
    lines: SmallNumbers,
    refunds: SmallNumbers,
    amounts: Numbers,
    volumes: Vec<Numbers>,
    periods: Vec<Texts>,
    /// The position of the line in its order, of the next row.
    next_line: Option<i32>,
    /// Rows that follow.
    left: usize,
}

/// An order without its refunds, and how many there are.
pub(super) struct Bare {
    pub order: SealedOrder<'static>,
    pub refunds: usize,
}

impl OrderRows {
    pub fn open(rows: &Rows, group: usize, batch: usize) -> Result<Self> {
        let reader = rows.group(group)?;
        let reader = &reader;
        let schema = &rows.schema;
        let text = |column| Texts::open(reader, column, batch);
        let number = |column| Numbers::open(reader, column, batch);
        let small = |column| SmallNumbers::open(reader, column, batch);
        let calendars = 0..schema.calendars.len();
        let mut this = Self {
            ids: text(column::ORDER_ID)?,
            supersedes: small(column::SUPERSEDES)?,
            lsns: number(column::LSN)?,
            times: number(column::TIME)?,
            fingerprints: number(column::FINGERPRINT)?,
            names: [
                text(column::KIND)?,
                text(column::MARKET)?,
                text(column::GROUP)?,
                text(column::CUSTOMER)?,
            ],
            tags: text(column::TAGS)?,
            members: Uuids::open(reader, column::MEMBER, batch)?,
            credit_members: Uuids::open(reader, column::CREDIT_MEMBER, batch)?,
            credit_parts: number(column::CREDIT_PART)?,
            lines: small(column::LINE)?,
            refunds: small(column::REFUNDS)?,
            amounts: number(column::AMOUNT)?,
            volumes: schema.volume_columns().map(number).collect::<Result<_>>()?,
            periods: calendars.map(|calendar| text(schema.period(calendar))).collect::<Result<_>>()?,
            next_line: None,
            left: rows.rows_of(group),
        };
        this.look_ahead()?;
        Ok(this)
    }

    /// Reads the position of the next row's line.
    fn look_ahead(&mut self) -> Result<()> {
        self.next_line = if self.left == 0 { None } else { Some(self.lines.require()?) };
        Ok(())
    }

    /// Passes over rows, all of which belong to whole orders.
    pub fn skip(&mut self, rows: usize) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        if self.left < rows {
            return Err(wrong("there is no such row"));
        }
        // One line was read ahead.
        self.lines.skip(rows - 1)?;
        self.skip_order(rows)?;
        self.amounts.skip(rows)?;
        self.volumes.iter_mut().try_for_each(|volume| volume.skip(rows))?;
        self.left -= rows;
        self.look_ahead()
    }

    /// Passes over rows in the columns that are the same in each line of an order.
    fn skip_order(&mut self, rows: usize) -> Result<()> {
        self.ids.skip(rows)?;
        self.supersedes.skip(rows)?;
        self.lsns.skip(rows)?;
        self.times.skip(rows)?;
        self.fingerprints.skip(rows)?;
        self.names.iter_mut().try_for_each(|name| name.skip(rows))?;
        self.tags.skip(rows)?;
        self.members.skip(rows)?;
        self.credit_members.skip(rows)?;
        self.credit_parts.skip(rows)?;
        self.refunds.skip(rows)?;
        self.periods.iter_mut().try_for_each(|period| period.skip(rows))
    }

    /// The next order.
    pub fn next(&mut self) -> Result<Option<Bare>> {
        match self.next_line {
            None => return Ok(None),
            Some(0) => {}
            Some(_) => return Err(wrong("an order does not begin with its first line")),
        }
        let mut order = SealedOrder {
            id: take_text(&self.ids.require()?)?,
            supersedes: self.supersedes.next()?.map(i32::cast_unsigned),
            lsn: self.lsns.require()?.cast_unsigned(),
            time: Timestamp(self.times.require()?),
            fingerprint: self.fingerprints.require()?.cast_unsigned(),
            ..SealedOrder::default()
        };
        let [kind, market, group, customer] = &mut self.names;
        let name = |column: &mut Texts| column.next()?.map(|text| take_text(&text)).transpose();
        (order.kind, order.market) = (name(kind)?, name(market)?);
        (order.group, order.customer) = (name(group)?, name(customer)?);
        order.tags = self.tags.next_list()?.iter().map(take_text).collect::<Result<_>>()?;
        order.credits = self.credits()?;
        for period in &mut self.periods {
            order.periods.extend(name(period)?);
        }
        let refunds = usize::try_from(self.refunds.require()?).map_err(|_| wrong("less than no refunds"))?;
        let mut lines = 0;
        while self.next_line == Some(lines) {
            order.values.push(self.amounts.require()?);
            for volume in &mut self.volumes {
                order.values.extend(volume.next()?);
            }
            lines += 1;
            self.left -= 1;
            self.look_ahead()?;
        }
        order.lines = u8::try_from(lines).map_err(|_| wrong("too many lines"))?;
        self.skip_order(usize::from(order.lines) - 1)?;
        Ok(Some(Bare { order, refunds }))
    }

    fn credits(&mut self) -> Result<Vec<Credit>> {
        let first = take_uuid(&self.members.require()?)?;
        let members = self.credit_members.next_list()?;
        let parts = self.credit_parts.next_list()?;
        if members.is_empty() && parts.is_empty() {
            return Ok(vec![Credit { member: first, part: WHOLE }]);
        }
        if members.len() != parts.len() {
            return Err(wrong("credits without parts"));
        }
        let credit = |(member, part): (&FixedLenByteArray, i64)| {
            let part = u32::try_from(part).map_err(|_| wrong("an impossible part"))?;
            Ok(Credit { member: take_uuid(member)?, part })
        };
        members.iter().zip(parts).map(credit).collect()
    }
}

/// What follows in a file of refunds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ahead {
    /// The first row of a refund, which has its fingerprint.
    Refund(u64),
    /// Another line of the refund before.
    Line,
    Nothing,
}

/// The refunds of a row group, read on from the first.
pub(super) struct RefundRows {
    ids: Texts,
    order_rows: Numbers,
    lsns: Numbers,
    times: Numbers,
    fingerprints: Numbers,
    lines: SmallNumbers,
    parts: [Numbers; 2],
    bookings: Vec<[Texts; 2]>,
    /// Of the next row.
    ahead: Ahead,
    left: usize,
}

impl RefundRows {
    pub fn open(rows: &Rows, group: usize, batch: usize) -> Result<Self> {
        let reader = rows.group(group)?;
        let reader = &reader;
        let text = |column| Texts::open(reader, column, batch);
        let number = |column| Numbers::open(reader, column, batch);
        let booking = |calendar: usize| {
            let column = refund_column::PERIODS + 2 * calendar;
            Ok([text(column)?, text(column + 1)?])
        };
        let mut this = Self {
            ids: text(refund_column::REFUND_ID)?,
            order_rows: number(refund_column::ORDER_ROW)?,
            lsns: number(refund_column::LSN)?,
            times: number(refund_column::TIME)?,
            fingerprints: number(refund_column::FINGERPRINT)?,
            lines: SmallNumbers::open(reader, refund_column::LINE, batch)?,
            parts: [number(refund_column::FROM)?, number(refund_column::TO)?],
            bookings: (0..rows.schema.calendars.len()).map(booking).collect::<Result<_>>()?,
            ahead: Ahead::Nothing,
            left: rows.rows_of(group),
        };
        this.look_ahead()?;
        Ok(this)
    }

    fn look_ahead(&mut self) -> Result<()> {
        self.ahead = if self.left == 0 {
            Ahead::Nothing
        } else {
            self.fingerprints
                .next()?
                .map_or(Ahead::Line, |fingerprint| Ahead::Refund(fingerprint.cast_unsigned()))
        };
        Ok(())
    }

    /// Passes over rows, all of which belong to whole refunds.
    pub fn skip(&mut self, rows: usize) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        if self.left < rows {
            return Err(wrong("there is no such row"));
        }
        self.fingerprints.skip(rows - 1)?;
        self.skip_refund(rows)?;
        self.lines.skip(rows)?;
        self.parts.iter_mut().try_for_each(|part| part.skip(rows))?;
        self.left -= rows;
        self.look_ahead()
    }

    fn skip_refund(&mut self, rows: usize) -> Result<()> {
        self.ids.skip(rows)?;
        self.order_rows.skip(rows)?;
        self.lsns.skip(rows)?;
        self.times.skip(rows)?;
        self.bookings.iter_mut().flatten().try_for_each(|text| text.skip(rows))
    }

    /// The next refund, and the row of its order.
    pub fn next(&mut self) -> Result<Option<(SealedRefund<'static>, u64)>> {
        let fingerprint = match self.ahead {
            Ahead::Nothing => return Ok(None),
            Ahead::Line => return Err(wrong("a refund does not begin with its first row")),
            Ahead::Refund(fingerprint) => fingerprint,
        };
        let mut refund = SealedRefund {
            id: take_text(&self.ids.require()?)?,
            lsn: self.lsns.require()?.cast_unsigned(),
            time: Timestamp(self.times.require()?),
            fingerprint,
            ..SealedRefund::default()
        };
        let order_row = self.order_rows.require()?.cast_unsigned();
        for [period, state] in &mut self.bookings {
            if let (Some(period), Some(state)) = (period.next()?, state.next()?) {
                refund
                    .bookings
                    .push(RefundBooking { period: take_text(&period)?, state: take_text(&state)? });
            }
        }
        let mut rows = 0;
        while rows == 0 || self.ahead == Ahead::Line {
            let part = |part: Option<i64>| part.and_then(|part| u32::try_from(part).ok());
            let [from, to] = &mut self.parts;
            let (line, from, to) = (self.lines.next()?, part(from.next()?), part(to.next()?));
            match (line.map(u8::try_from), from, to) {
                (Some(Ok(line)), Some(from), Some(to)) => refund.lines.push(RefundedLine { line, from, to }),
                (None, None, None) => {}
                _ => return Err(wrong("an impossible line of a refund")),
            }
            rows += 1;
            self.left -= 1;
            self.look_ahead()?;
        }
        self.skip_refund(rows - 1)?;
        Ok(Some((refund, order_row)))
    }
}

/// All refunds of a file, in order.
pub(super) struct AllRefunds {
    rows: Arc<Rows>,
    group: usize,
    reader: Option<RefundRows>,
}

impl AllRefunds {
    pub fn new(rows: Arc<Rows>) -> Self {
        Self { rows, group: 0, reader: None }
    }

    /// Begins with the refunds of the order in this row.
    pub fn of_order(rows: Arc<Rows>, order_row: u64) -> Result<Self> {
        let mut this = Self::new(rows);
        let order_row = order_row.cast_signed();
        let group = (0..this.rows.groups()).find(|group| {
            this.rows.range(*group, refund_column::ORDER_ROW).is_none_or(|[_, last]| order_row <= last)
        });
        let Some(group) = group else { return Err(wrong("the refunds of an order are missing")) };
        let reader = this.rows.group(group)?;
        let mut order_rows = Numbers::open(&reader, refund_column::ORDER_ROW, ALL)?;
        let mut before = 0;
        while before < this.rows.rows_of(group) && order_rows.require()? < order_row {
            before += 1;
        }
        let mut reader = RefundRows::open(&this.rows, group, ONE)?;
        reader.skip(before)?;
        (this.group, this.reader) = (group + 1, Some(reader));
        Ok(this)
    }

    /// The next refunds, all of the order in this row.
    pub fn take(&mut self, count: usize, order_row: u64) -> Result<Vec<SealedRefund<'static>>> {
        let mut refunds = Vec::new();
        while refunds.len() < count {
            let next = match &mut self.reader {
                Some(reader) => reader.next()?,
                None => None,
            };
            match next {
                Some((refund, row)) if row == order_row => refunds.push(refund),
                Some(_) => return Err(wrong("a refund of another order")),
                None if self.group < self.rows.groups() => {
                    self.reader = Some(RefundRows::open(&self.rows, self.group, ALL)?);
                    self.group += 1;
                }
                None => return Err(wrong("the refunds of an order are missing")),
            }
        }
        Ok(refunds)
    }

    /// Whether there are no more.
    pub fn is_over(&mut self) -> Result<bool> {
        loop {
            match &self.reader {
                Some(reader) if reader.ahead != Ahead::Nothing => return Ok(false),
                _ if self.group == self.rows.groups() => return Ok(true),
                _ => {
                    self.reader = Some(RefundRows::open(&self.rows, self.group, ALL)?);
                    self.group += 1;
                }
            }
        }
    }
}

fn take_text(text: &ByteArray) -> Result<Cow<'static, str>> {
    Ok(Cow::Owned(text.as_utf8()?.to_owned()))
}

fn take_uuid(bytes: &FixedLenByteArray) -> Result<[u8; 16]> {
    bytes.data().try_into().map_err(|_| wrong("a UUID of another length"))
}
