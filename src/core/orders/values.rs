//! The values of the lines of orders: of each line its amount, then its volumes.

use crate::core::{
    requests::command::VALUE_MAX,
    store::{
        column::freeze_fields,
        rows::{Rows, SoFar, require},
        settled::Settled,
    },
};

/// A value of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueRow {
    pub value: i64,
}

pub(crate) struct Values {
    rows: Settled<i64>,
}

freeze_fields!(Values { rows });

impl Rows for Values {
    type Row = ValueRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> ValueRow {
        ValueRow { value: *self.rows.get(at) }
    }

    fn restore(&mut self, row: ValueRow, _so_far: &SoFar) -> Result<(), String> {
        require((0..=VALUE_MAX).contains(&row.value), || format!("value {}: out of range", row.value))?;
        self.push(row.value);
        Ok(())
    }
}

impl Values {
    pub fn new() -> Self {
        Self { rows: Settled::new() }
    }

    pub fn push(&mut self, value: i64) {
        self.rows.push(value);
    }

    /// Adds the values of the newest order.
    pub fn extend(&mut self, values: &[i64]) {
        self.rows.extend_from_slice(values);
    }

    /// The value at a place.
    pub fn get(&self, place: u64) -> i64 {
        *self.rows.get(usize::try_from(place).expect("places are in memory"))
    }
}
