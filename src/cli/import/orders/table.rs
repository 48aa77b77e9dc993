//! Orders as rows of a table: rows with one order id stand one behind the other, and become an order.

use super::{
    super::{
        columns::Column,
        layout::Layout,
        lines::{LineFault, NextRow},
        visible::visible,
    },
    sink::{Reader, unknown_member},
    taken::Reason,
};
use crate::{
    cli::names::Name,
    core::types::Timestamp,
    http::offline::OrderCells,
    time_text::{self, TimeForm},
};

/// Columns of every file, and whether they are required. Volumes follow.
const COLUMNS: [Column; 9] = [
    ("order_id", true),
    ("user_id", true),
    ("amount", true),
    ("customer", false),
    ("time", false),
    ("kind", false),
    ("tags", false),
    ("group", false),
    ("market", false),
];
/// Where the columns are.
const ORDER_ID: usize = 0;
const USER_ID: usize = 1;
const AMOUNT: usize = 2;
const CUSTOMER: usize = 3;
const TIME: usize = 4;
const KIND: usize = 5;
const TAGS: usize = 6;
const GROUP: usize = 7;
const MARKET: usize = 8;

/// The columns of a file of orders of a plan.
pub fn columns_of(volumes: &[String]) -> Layout {
    Layout::with_more(&COLUMNS, volumes.iter().cloned())
}

/// How the cells of a file are to be understood.
#[derive(Clone)]
pub struct Table<'t> {
    /// The volumes that have a column of their own.
    pub volumes: Vec<String>,
    /// The form of times.
    pub time_form: Option<&'t TimeForm>,
}

/// A row: its cells, or why it cannot be read.
pub struct TableRow<C> {
    pub line: u64,
    pub cells: Result<Vec<C>, LineFault>,
}

/// The rows of one order, and why it is refused, if that is known.
pub struct Group<C> {
    pub line: u64,
    rows: Vec<Vec<C>>,
    fault: Option<Reason>,
}

/// What rows come to.
pub enum Seen<C> {
    Order(Group<C>),
    /// A row that cannot be read, so that its order is not known.
    Unreadable(u64, LineFault),
}

/// Puts rows that stand one behind the other together. A row that cannot be read may belong to the order
/// before it and to the one behind it: both are refused.
pub struct Grouping<C> {
    /// The order whose rows are being read.
    open: Option<Group<C>>,
    /// The line of an unreadable row that may belong to the next order.
    unreadable: Option<u64>,
}

impl<C> Default for Grouping<C> {
    fn default() -> Self {
        Self { open: None, unreadable: None }
    }
}

impl<C: AsRef<str>> Grouping<C> {
    /// Takes the next row, and tells `each` what is complete by that.
    pub fn take(&mut self, TableRow { line, cells }: TableRow<C>, each: &mut impl FnMut(Seen<C>)) {
        let cells = match cells {
            Ok(cells) => cells,
            Err(fault) => {
                if let Some(open) = &mut self.open {
                    open.fault.get_or_insert_with(|| near_unreadable(line));
                }
                self.unreadable = Some(line);
                each(Seen::Unreadable(line, fault));
                return;
            }
        };
        let unreadable = self.unreadable.take();
        if let Some(open) = self.open.as_mut().filter(|open| is_one_order(&open.rows[0], &cells)) {
            open.rows.push(cells);
            return;
        }
        self.close(each);
        self.open = Some(Group { line, rows: vec![cells], fault: unreadable.map(near_unreadable) });
    }

    /// No row of the open order follows.
    pub fn close(&mut self, each: &mut impl FnMut(Seen<C>)) {
        self.open.take().map(Seen::Order).into_iter().for_each(each);
    }
}

fn is_one_order<C: AsRef<str>>(one: &[C], other: &[C]) -> bool {
    one[ORDER_ID].as_ref() == other[ORDER_ID].as_ref()
}

/// The rows at which other orders begin for certain, whatever is before: the first, and the last.
pub fn cuts<C: AsRef<str>>(rows: &[TableRow<C>]) -> Option<[usize; 2]> {
    let begins = |at: &usize| match (&rows[at - 1].cells, &rows[*at].cells) {
        (Ok(before), Ok(cells)) => !is_one_order(before, cells),
        _ => false,
    };
    Some([(1..rows.len()).find(begins)?, (1..rows.len()).rev().find(begins)?])
}

impl<'a> TableRow<&'a str> {
    /// A row of a file with so many requested columns.
    pub fn of(row: NextRow<'a>, columns: usize) -> Self {
        match row {
            Ok(row) => Self { line: row.line, cells: Ok((0..columns).map(|cell| row.cell(cell)).collect()) },
            Err((line, fault)) => Self { line, cells: Err(fault) },
        }
    }

    pub fn to_owned(&self) -> TableRow<String> {
        let cells = self.cells.as_ref().map_err(LineFault::clone);
        let owned = cells.map(|cells| cells.iter().map(|cell| (*cell).to_owned()).collect());
        TableRow { line: self.line, cells: owned }
    }
}

impl<C: AsRef<str>> Group<C> {
    /// The id of the order as it stands in the file.
    pub fn order_id(&self) -> &str {
        self.cell(ORDER_ID)
    }

    /// What the first row says.
    fn cell(&self, column: usize) -> &str {
        self.rows[0][column].as_ref()
    }
}

impl Table<'_> {
    /// Columns of a row.
    pub fn columns(&self) -> usize {
        COLUMNS.len() + self.volumes.len()
    }

    /// The order that rows stand for.
    ///
    /// # Errors
    /// Why they stand for none.
    pub fn read<C: AsRef<str>, R: Reader>(
        &self,
        rows: &mut Group<C>,
        reader: &R,
    ) -> Result<R::Order, Reason> {
        if let Some(fault) = rows.fault.take() {
            return Err(fault);
        }
        refuse_differing(&rows.rows)?;
        let name = rows.cell(USER_ID);
        let member = Name::parse(name).map_err(|_| unknown_member(name))?;
        let cells = OrderCells {
            order_id: rows.order_id(),
            customer: rows.cell(CUSTOMER),
            time: self.time(rows.cell(TIME))?,
            kind: rows.cell(KIND),
            tags: rows.cell(TAGS),
            group: rows.cell(GROUP),
            market: rows.cell(MARKET),
        };
        let lines = rows.rows.iter().map(|row| (row[AMOUNT].as_ref(), &row[COLUMNS.len()..]));
        reader.row(cells.given(&self.volumes, lines), member).map_err(in_columns)
    }

    fn time(&self, cell: &str) -> Result<Option<Timestamp>, Reason> {
        if cell.is_empty() {
            return Ok(None);
        }
        let read = self.time_form.map_or_else(|| time_text::lenient(cell), |form| form.read(cell));
        let bad = |fault| Reason::new("bad_time", format!("time: `{}` is {fault}", visible(cell)));
        read.map(Some).map_err(bad)
    }
}

/// What is said of the order itself stands in its first row, and in the others again or not at all.
fn refuse_differing<C: AsRef<str>>(rows: &[Vec<C>]) -> Result<(), Reason> {
    let (first, others) = (&rows[0], &rows[1..]);
    for (at, (name, _)) in COLUMNS.iter().enumerate().filter(|(at, _)| *at != AMOUNT) {
        let differs = |row: &&Vec<C>| {
            let cell = row[at].as_ref();
            !cell.is_empty() && cell != first[at].as_ref()
        };
        if others.iter().any(|row| differs(&row)) {
            let words = format!("its rows differ in {name}, which is of the whole order");
            return Err(Reason::new("rows_differ", words));
        }
    }
    Ok(())
}

/// A reason in the words of a table: a field of an order has a column, and a line has a row.
pub fn in_columns(mut reason: Reason) -> Reason {
    reason.field = reason.field.map(|field| {
        let Some((line, name)) = field.strip_prefix("lines[").and_then(|rest| rest.split_once("].")) else {
            let (column, _) = field.split_once('[').unwrap_or((&field, ""));
            return column.to_owned();
        };
        let column = name.strip_prefix("volumes.").unwrap_or(name);
        match line.parse() {
            Ok(0) | Err(_) => column.to_owned(),
            Ok(line @ 1_u64..) => format!("{column}, row {} of the order", line + 1),
        }
    });
    reason
}

fn near_unreadable(line: u64) -> Reason {
    Reason::new("near_bad_row", format!("the row on line {line} may belong to it, and cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_columns() {
        let table = [
            ("order_id", "order_id"),
            ("tags[1]", "tags"),
            ("lines", "lines"),
            ("lines[0].amount", "amount"),
            ("lines[2].volumes.pv", "pv, row 3 of the order"),
        ];
        for (field, expected) in table {
            let reason = Reason { field: Some(field.into()), ..Reason::new("field_invalid", "it is bad") };
            assert_eq!(in_columns(reason).field.as_deref(), Some(expected));
        }
    }

    #[test]
    fn rows_are_cut_between_readable_ones_of_two_orders() {
        // ids, `!` for an unreadable row; where they may be cut
        let table = [
            ("", None),
            ("a", None),
            ("aa", None),
            ("ab", Some([1, 1])),
            ("aabbcc", Some([2, 4])),
            ("a!b", None),
            ("a!bc!d", Some([3, 3])),
            ("ab!!cde", Some([1, 6])),
        ];
        for (ids, expected) in table {
            let row = |id: char| match id {
                '!' => TableRow { line: 1, cells: Err(LineFault::CutOff) },
                _ => TableRow { line: 1, cells: Ok(vec![id.to_string()]) },
            };
            assert_eq!(cuts(&ids.chars().map(row).collect::<Vec<_>>()), expected, "{ids}");
        }
    }
}
