//! The lines that refunds take back a part of.

use bytemuck::{Pod, Zeroable};

use crate::core::{
    requests::command::{ORDER_LINES_MAX, WHOLE},
    store::{
        column::freeze_fields,
        rows::{Rows, SoFar, require},
        settled::Settled,
    },
};

/// A line of a refund: how much of the order's line was refunded before it, and with it. Those of a refund
/// follow one another, ascending by line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefundLineRow {
    /// In parts of 10^-9 of the line.
    pub from: u32,
    pub to: u32,
    /// The position of the line in the order.
    pub line: u8,
}

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(C)]
struct Kept {
    from: u32,
    to: u32,
    line: u32,
}

pub(crate) struct RefundLines {
    rows: Settled<Kept>,
}

freeze_fields!(RefundLines { rows });

impl Rows for RefundLines {
    type Row = RefundLineRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> RefundLineRow {
        let Kept { from, to, line } = *self.rows.get(at);
        RefundLineRow { from, to, line: u8::try_from(line).expect("it was one") }
    }

    fn restore(&mut self, row: RefundLineRow, _so_far: &SoFar) -> Result<(), String> {
        let fits = row.from < row.to && row.to <= WHOLE && usize::from(row.line) < ORDER_LINES_MAX;
        require(fits, || "a line of a refund: an impossible part".into())?;
        self.push(row);
        Ok(())
    }
}

impl RefundLines {
    pub fn new() -> Self {
        Self { rows: Settled::new() }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn push(&mut self, row: RefundLineRow) {
        let RefundLineRow { from, to, line } = row;
        self.rows.push(Kept { from, to, line: line.into() });
    }
}
