//! Writes orders and refunds as columns.

use std::io::Write;

use bytes::Bytes;
use parquet::{
    column::writer::get_typed_column_writer_mut,
    data_type::{
        ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
    },
    errors::{ParquetError, Result},
    file::writer::{SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter},
};

use super::{
    group::{Ended, Order},
    order::WHOLE,
    schema::{BATCH_ROWS, Schema},
};

/// The levels of a list that has an element, of one that is missing, and of an element that is not the first.
const PRESENT: i16 = 2;
const MISSING: i16 = 0;

/// Writes columns one after the other.
pub(super) struct Columns<'w, 'g, W: Write> {
    group: &'w mut SerializedRowGroupWriter<'g, W>,
    /// Rows that are gathered at a time.
    batch: usize,
}

impl<'w, 'g, W: Write + Send> Columns<'w, 'g, W> {
    /// `batch`: the rows that the writer is told to write at a time, or more than there are. Given in such
    /// pieces, the bytes are those that all rows at once would give.
    pub fn new(group: &'w mut SerializedRowGroupWriter<'g, W>, batch: usize) -> Self {
        Self { group, batch }
    }

    fn next(&mut self) -> Result<SerializedColumnWriter<'_>> {
        Ok(self.group.next_column()?.expect("the schema has as many columns"))
    }

    fn put<T: DataType>(&mut self, values: &[T::T], levels: [Option<&[i16]>; 2]) -> Result<()> {
        let mut column = self.next()?;
        get_typed_column_writer_mut::<T>(column.untyped()).write_batch(values, levels[0], levels[1])?;
        column.close()
    }

    pub fn all<T: DataType>(&mut self, mut values: impl Iterator<Item = T::T>) -> Result<()> {
        let rows = self.batch;
        let mut column = self.next()?;
        let writer = get_typed_column_writer_mut::<T>(column.untyped());
        let mut batch = Vec::new();
        values.try_for_each(|value| {
            batch.push(value);
            if batch.len() < rows {
                return Ok(());
            }
            writer.write_batch(&batch, None, None)?;
            batch.clear();
            Ok::<_, ParquetError>(())
        })?;
        if !batch.is_empty() {
            writer.write_batch(&batch, None, None)?;
        }
        column.close()
    }

    /// A column of which values may be missing.
    pub fn some<T: DataType>(&mut self, mut values: impl Iterator<Item = Option<T::T>>) -> Result<()> {
        let rows = self.batch;
        let mut column = self.next()?;
        let writer = get_typed_column_writer_mut::<T>(column.untyped());
        let (mut batch, mut definitions) = (Vec::new(), Vec::new());
        values.try_for_each(|value| {
            definitions.push(i16::from(value.is_some()));
            batch.extend(value);
            if definitions.len() < rows {
                return Ok(());
            }
            writer.write_batch(&batch, Some(&definitions), None)?;
            batch.clear();
            definitions.clear();
            Ok::<_, ParquetError>(())
        })?;
        if !definitions.is_empty() {
            writer.write_batch(&batch, Some(&definitions), None)?;
        }
        column.close()
    }

    /// A column of few different names, which are parts of `all` and may be missing. Where the batch before
    /// has the same name in the same place it stays: most of the work would be to count references to `all`.
    fn names<'n>(&mut self, all: &Bytes, mut names: impl Iterator<Item = Option<&'n [u8]>>) -> Result<()> {
        let rows = self.batch;
        let mut column = self.next()?;
        let writer = get_typed_column_writer_mut::<ByteArrayType>(column.untyped());
        let (mut batch, mut definitions): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
        let mut filled = 0;
        names.try_for_each(|name| {
            definitions.push(i16::from(name.is_some()));
            if let Some(name) = name {
                match batch.get_mut(filled) {
                    Some(before) if before.data() == name => {}
                    Some(before) => *before = text(all.slice_ref(name)),
                    None => batch.push(text(all.slice_ref(name))),
                }
                filled += 1;
            }
            if definitions.len() < rows {
                return Ok(());
            }
            writer.write_batch(&batch[..filled], Some(&definitions), None)?;
            filled = 0;
            definitions.clear();
            Ok::<_, ParquetError>(())
        })?;
        if !definitions.is_empty() {
            writer.write_batch(&batch[..filled], Some(&definitions), None)?;
        }
        column.close()
    }

    /// A column inside a list that no row has.
    fn no_lists<T: DataType>(&mut self, rows: usize) -> Result<()> {
        let levels = vec![MISSING; rows];
        self.put::<T>(&[], [Some(&levels), Some(&levels)])
    }

    /// A column inside a list that may be missing: each item is a row's values.
    pub fn lists<T: DataType, L: Iterator<Item = T::T>>(
        &mut self,
        rows: impl Iterator<Item = L>,
    ) -> Result<()> {
        self.put_lists::<T, _>(rows.map(|row| row.map(Some)), PRESENT)
    }

    /// As [`Columns::lists`], of values that may be missing in an element that is there.
    pub fn sparse_lists<T: DataType, L: Iterator<Item = Option<T::T>>>(
        &mut self,
        rows: impl Iterator<Item = L>,
    ) -> Result<()> {
        self.put_lists::<T, _>(rows, PRESENT + 1)
    }

    fn put_lists<T: DataType, L: Iterator<Item = Option<T::T>>>(
        &mut self,
        rows: impl Iterator<Item = L>,
        present: i16,
    ) -> Result<()> {
        let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let before = definitions.len();
            for item in row {
                repetitions.push(i16::from(before < definitions.len()));
                definitions.push(if item.is_some() { present } else { present - 1 });
                values.extend(item);
            }
            if before == definitions.len() {
                definitions.push(MISSING);
                repetitions.push(0);
            }
        }
        self.put::<T>(&values, [Some(&definitions), Some(&repetitions)])
    }
}

/// Writes a row group of orders.
pub(super) fn write_orders<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    schema: &Schema,
    seal: i32,
    ended: &Ended,
) -> Result<()> {
    let mut group = file.next_row_group()?;
    let mut columns = Columns::new(&mut group, BATCH_ROWS);
    let rows = || ended.orders().flat_map(|order| (0..order.lines()).map(move |line| (order, line)));
    columns.all::<ByteArrayType>(repeated(ended, |order| text(order.id())))?;
    columns.all::<Int32Type>(std::iter::repeat_n(seal, ended.lines))?;
    columns.some::<Int32Type>(repeated(ended, |order| order.supersedes().map(u32::cast_signed)))?;
    columns.all::<Int64Type>(repeated(ended, |order| order.lsn()))?;
    columns.all::<Int64Type>(repeated(ended, |order| order.time()))?;
    // It is needed once, and nothing compresses it.
    columns.some::<Int64Type>(
        rows().map(|(order, line)| (line == 0).then(|| order.fingerprint().cast_signed())),
    )?;
    for which in [1, 2] {
        columns.names(ended.bytes(), repeated(ended, |order| order.name(which)))?;
    }
    if ended.orders().any(|order| order.tags().next().is_some()) {
        columns.lists::<ByteArrayType, _>(rows().map(|(order, _)| order.tags().map(text)))?;
    } else {
        columns.no_lists::<ByteArrayType>(ended.lines)?;
    }
    for which in [3, 4] {
        let of = |order: Order<'_>| order.name(which).map(|name| text(ended.bytes().slice_ref(name)));
        columns.some::<ByteArrayType>(repeated(ended, of))?;
    }
    columns.all::<FixedLenByteArrayType>(repeated(ended, |order| uuid(order.credit(0).0)))?;
    if ended.orders().any(|order| !shared(order).is_empty()) {
        columns.lists::<FixedLenByteArrayType, _>(
            rows().map(|(order, _)| shared(order).map(move |credit| uuid(order.credit(credit).0))),
        )?;
        columns.lists::<Int64Type, _>(
            rows().map(|(order, _)| shared(order).map(move |credit| order.credit(credit).1.into())),
        )?;
    } else {
        columns.no_lists::<FixedLenByteArrayType>(ended.lines)?;
        columns.no_lists::<Int64Type>(ended.lines)?;
    }
    columns.all::<Int32Type>(rows().map(|(_, line)| i32::try_from(line).expect("it is at most 255")))?;
    if ended.orders().any(|order| order.refunds() != 0) {
        columns.all::<Int64Type>(ended.orders().flat_map(refunded))?;
    } else {
        columns.all::<Int64Type>(std::iter::repeat_n(0, ended.lines))?;
    }
    columns.all::<Int32Type>(repeated(ended, |order| {
        i32::try_from(order.refunds()).expect("it is at most 65535")
    }))?;
    columns.all::<Int64Type>(rows().map(|(order, line)| order.value(line, 0)))?;
    for value in 1..=schema.volumes.len() {
        let of =
            |(order, line): (Order<'_>, usize)| (value < order.width()).then(|| order.value(line, value));
        columns.some::<Int64Type>(rows().map(of))?;
    }
    for calendar in 0..schema.calendars.len() {
        columns.names(ended.bytes(), repeated(ended, |order| order.period(calendar)))?;
    }
    group.close()?;
    Ok(())
}

/// A value of each order, for each of its lines.
fn repeated<'s, T: Clone + 's>(
    ended: &'s Ended,
    value: impl Fn(Order<'s>) -> T + 's,
) -> impl Iterator<Item = T> + 's {
    ended.orders().flat_map(move |order| std::iter::repeat_n(value(order), order.lines()))
}

/// The credits of an order that has several, or one of only a part: all others have the whole for one member.
fn shared(order: Order<'_>) -> std::ops::Range<usize> {
    let is_whole = order.credits() == 1 && order.credit(0).1 == WHOLE;
    if is_whole { 0..0 } else { 0..order.credits() }
}

/// How much of each line its refunds take back.
fn refunded(order: Order<'_>) -> Vec<i64> {
    let mut refunded = vec![0; order.lines()];
    for refund in order.each_refund() {
        for (line, _, to) in refund.lines() {
            if let Some(so_far) = refunded.get_mut(usize::from(line)) {
                *so_far = i64::from(to).max(*so_far);
            }
        }
    }
    refunded
}

/// Rows of refunds that wait until they are written: a row for each line, at least one for each refund.
#[derive(Debug, Default)]
pub(super) struct RefundRows(Vec<RefundRow>);

#[derive(Clone, Debug)]
struct RefundRow {
    id: Bytes,
    order: Bytes,
    order_row: i64,
    member: Bytes,
    lsn: i64,
    time: i64,
    /// In the first row of a refund.
    fingerprint: Option<u64>,
    line: Option<(u8, u32, u32)>,
    bookings: Vec<[Bytes; 2]>,
}

impl RefundRows {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds the refunds of an order whose first row is `order_row`.
    pub fn push(&mut self, order: Order<'_>, order_row: u64) {
        for refund in order.each_refund() {
            let mut lines: Vec<_> = refund.lines().map(Some).collect();
            if lines.is_empty() {
                lines.push(None);
            }
            // What outlives its group must not keep the group's memory.
            let own = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
            let bookings = refund.bookings.iter().map(|texts| [own(&texts[0]), own(&texts[1])]).collect();
            let mut row = RefundRow {
                id: own(&refund.id),
                order: own(&order.id()),
                order_row: order_row.cast_signed(),
                member: own(&order.credit(0).0),
                lsn: refund.lsn,
                time: refund.time,
                fingerprint: Some(refund.fingerprint),
                line: None,
                bookings,
            };
            for line in lines {
                row.line = line;
                self.0.push(row.clone());
                row.fingerprint = None;
            }
        }
    }

    /// Writes them as a row group, and empties it.
    pub fn write<W: Write + Send>(
        &mut self,
        file: &mut SerializedFileWriter<W>,
        schema: &Schema,
        seal: i32,
    ) -> Result<()> {
        let rows = || self.0.iter();
        let mut group = file.next_row_group()?;
        let mut columns = Columns::new(&mut group, BATCH_ROWS);
        columns.all::<ByteArrayType>(rows().map(|row| text(row.id.clone())))?;
        columns.all::<ByteArrayType>(rows().map(|row| text(row.order.clone())))?;
        columns.all::<Int32Type>(rows().map(|_| seal))?;
        columns.all::<Int64Type>(rows().map(|row| row.order_row))?;
        columns.all::<FixedLenByteArrayType>(rows().map(|row| uuid(row.member.clone())))?;
        columns.all::<Int64Type>(rows().map(|row| row.lsn))?;
        columns.all::<Int64Type>(rows().map(|row| row.time))?;
        columns.some::<Int64Type>(rows().map(|row| row.fingerprint.map(u64::cast_signed)))?;
        columns.some::<Int32Type>(rows().map(|row| row.line.map(|line| line.0.into())))?;
        columns.some::<Int64Type>(rows().map(|row| row.line.map(|line| line.1.into())))?;
        columns.some::<Int64Type>(rows().map(|row| row.line.map(|line| line.2.into())))?;
        for calendar in 0..schema.calendars.len() {
            for which in [0, 1] {
                let of = |row: &RefundRow| row.bookings.get(calendar).map(|texts| text(texts[which].clone()));
                columns.some::<ByteArrayType>(rows().map(of))?;
            }
        }
        group.close()?;
        self.0.clear();
        Ok(())
    }
}

fn text(bytes: Bytes) -> ByteArray {
    bytes.into()
}

fn uuid(bytes: Bytes) -> FixedLenByteArray {
    ByteArray::from(bytes).into()
}
