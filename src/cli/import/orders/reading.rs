//! Reads a file of orders: it is split on one thread, its orders are read in batches on others, and come out
//! in the order of the file.

use std::ops::ControlFlow;

use super::{
    super::{
        cells,
        command::each_parsed,
        lines::{FileFault, LineFault},
    },
    lines::{ObjectBatch, OrderLines},
    sink::{OnLine, Reader, order_id},
    table::{Grouping, Seen, Table, TableRow, cuts},
    taken::Reason,
};
use crate::{cli::exit::Failure, http::offline};

/// An order of a file.
pub enum Read<O> {
    Order(O),
    Refused {
        order: String,
        reason: Reason,
    },
    /// An order of an export, and the command that placed it in its network.
    Exported {
        lsn: u64,
        text: Box<[u8]>,
    },
}

/// Lines of a file that are read together.
enum Batch {
    Rows(cells::Batch),
    Objects(ObjectBatch),
}

/// What a batch comes to.
struct Piece<O> {
    /// Rows that may belong to the last order of the batch before.
    head: Vec<TableRow<String>>,
    /// Orders, if any are whole in the batch.
    whole: Option<Vec<OnLine<Read<O>>>>,
    /// Rows that may belong to the first order of the batch behind it.
    tail: Vec<TableRow<String>>,
}

/// Reads all lines of a file as orders, and hands them on in the order of the file.
///
/// # Errors
/// When the file cannot be read, and those of `take`, which gets nothing more after one.
pub fn each_order<R: Reader>(
    lines: &mut OrderLines,
    table: &Table<'_>,
    reader: &R,
    mut take: impl FnMut(Vec<OnLine<Read<R::Order>>>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let columns = lines.columns();
    let mut pieces = Pieces { rows: Grouping::default(), table, reader };
    let mut taken = Ok(());
    each_parsed(
        || next_batch(lines),
        |batch| match batch {
            Batch::Rows(batch) => {
                let rows = columns.iter().flat_map(|columns| columns.rows(&batch));
                let rows = rows.map(|row| TableRow::of(row, table.columns()));
                read_rows(rows.collect(), table, reader)
            }
            Batch::Objects(batch) => {
                let read = |(line, text)| (line, read_object(text, reader));
                Piece { head: Vec::new(), whole: Some(batch.lines().map(read).collect()), tail: Vec::new() }
            }
        },
        |piece| {
            taken = take(pieces.take(piece));
            if taken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    )?;
    taken?;
    take(pieces.finish())
}

/// Puts the pieces of a file together.
struct Pieces<'r, R> {
    /// Rows of an order that is not over.
    rows: Grouping<String>,
    table: &'r Table<'r>,
    reader: &'r R,
}

impl<R: Reader> Pieces<'_, R> {
    /// Takes the next piece, and returns the orders that are over by that.
    fn take(&mut self, Piece { head, whole, tail }: Piece<R::Order>) -> Vec<OnLine<Read<R::Order>>> {
        let mut over = Vec::new();
        self.take_rows(head, &mut over);
        if let Some(whole) = whole {
            self.close(&mut over);
            over.extend(whole);
        }
        self.take_rows(tail, &mut over);
        over
    }

    fn finish(mut self) -> Vec<OnLine<Read<R::Order>>> {
        let mut over = Vec::new();
        self.close(&mut over);
        over
    }

    fn take_rows(&mut self, rows: Vec<TableRow<String>>, over: &mut Vec<OnLine<Read<R::Order>>>) {
        let mut each = |seen| over.push(read_seen(seen, self.table, self.reader));
        rows.into_iter().for_each(|row| self.rows.take(row, &mut each));
    }

    fn close(&mut self, over: &mut Vec<OnLine<Read<R::Order>>>) {
        self.rows.close(&mut |seen| over.push(read_seen(seen, self.table, self.reader)));
    }
}

fn next_batch(lines: &mut OrderLines) -> Result<Option<Batch>, FileFault> {
    match lines {
        OrderLines::Rows(lines) => Ok(lines.next_batch()?.map(Batch::Rows)),
        OrderLines::Objects(lines) => Ok(lines.next_batch()?.map(Batch::Objects)),
    }
}

/// Reads the rows of a batch: orders that are whole in it, and the rows before and behind them.
fn read_rows<R: Reader>(mut rows: Vec<TableRow<&str>>, table: &Table<'_>, reader: &R) -> Piece<R::Order> {
    let owned = |rows: &[TableRow<&str>]| rows.iter().map(TableRow::to_owned).collect();
    let Some([first, last]) = cuts(&rows) else {
        return Piece { head: owned(&rows), whole: None, tail: Vec::new() };
    };
    let (head, tail) = (owned(&rows[..first]), owned(&rows[last..]));
    let mut whole = Vec::with_capacity(last - first);
    let mut each = |seen| whole.push(read_seen(seen, table, reader));
    let mut grouping = Grouping::default();
    rows.drain(first..last).for_each(|row| grouping.take(row, &mut each));
    grouping.close(&mut each);
    Piece { head, whole: Some(whole), tail }
}

fn read_seen<C: AsRef<str>, R: Reader>(
    seen: Seen<C>,
    table: &Table<'_>,
    reader: &R,
) -> OnLine<Read<R::Order>> {
    match seen {
        Seen::Unreadable(line, fault) => (line, unreadable(&fault)),
        Seen::Order(mut rows) => {
            let read = table.read(&mut rows, reader);
            let refused = |reason| Read::Refused { order: rows.order_id().to_owned(), reason };
            (rows.line, read.map_or_else(refused, Read::Order))
        }
    }
}

/// Reads an order as it is sent, or as an export has it: what is sent names no periods.
fn read_object<R: Reader>(text: Result<&[u8], &LineFault>, reader: &R) -> Read<R::Order> {
    let text = match text {
        Ok(text) => text,
        Err(fault) => return unreadable(fault),
    };
    if let Some(lsn) = offline::lsn_of_exported(text) {
        return Read::Exported { lsn, text: text.into() };
    }
    reader.object(text).map_or_else(|reason| Read::Refused { order: order_id(text), reason }, Read::Order)
}

fn unreadable<O>(fault: &LineFault) -> Read<O> {
    Read::Refused { order: String::new(), reason: Reason::of_line(fault) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cli::names::Name, http::offline::OrderGiven};

    /// Shows an order as it is sent.
    struct Shown;

    impl Reader for Shown {
        type Order = String;

        fn row(&self, given: OrderGiven, member: Name) -> Result<String, Reason> {
            let given = serde_json::to_value(&given).expect("an object");
            let lines = given["lines"].as_array().expect("lines").len();
            Ok(format!("{} of {member}: {lines}", given["order_id"]))
        }

        fn object(&self, _: &[u8]) -> Result<String, Reason> {
            unreachable!("these are rows")
        }
    }

    fn shown(read: Vec<OnLine<Read<String>>>) -> Vec<String> {
        let in_words = |(line, read)| match read {
            Read::Order(order) => format!("{line}: {order}"),
            Read::Refused { order, reason } => format!("{line}: {order} {}: {}", reason.name, reason.words),
            Read::Exported { .. } => unreachable!("these are rows"),
        };
        read.into_iter().map(in_words).collect()
    }

    proptest! {
        /// However rows are cut into batches, they are the same orders.
        #[test]
        fn batches_do_not_matter(
            rows in prop::collection::vec((0_u8..4, 0_u8..9), 0..40),
            sizes in prop::collection::vec(1_usize..8, 1..8),
        ) {
            let table = Table { volumes: Vec::new(), time_form: None };
            let ids = ["a", "b", "c", "d"];
            let row = |(line, (id, kind)): (u64, &(u8, u8))| {
                let mut cells = vec![ids[usize::from(*id)], "anna", "1", "", "", "", "", "", ""];
                // One in nine cannot be read, one is another customer's.
                cells[3] = if *kind == 1 { "C-1" } else { "" };
                TableRow { line, cells: if *kind == 0 { Err(LineFault::CutOff) } else { Ok(cells) } }
            };
            let all = || (2..).zip(&rows).map(row).collect::<Vec<TableRow<&str>>>();

            let mut naive = Vec::new();
            let mut grouping = Grouping::default();
            let mut each = |seen| naive.push(read_seen(seen, &table, &Shown));
            all().into_iter().for_each(|row| grouping.take(row, &mut each));
            grouping.close(&mut each);

            let mut pieces = Pieces { rows: Grouping::default(), table: &table, reader: &Shown };
            let (mut read, mut rest) = (Vec::new(), all());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let batch = rest.drain(..rest.len().min(*size)).collect();
                read.extend(pieces.take(read_rows(batch, &table, &Shown)));
            }
            read.extend(pieces.finish());
            prop_assert_eq!(shown(read), shown(naive));
        }
    }
}
