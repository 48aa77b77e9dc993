//! A short list of rows of any size: shared by copies, which costs them nothing.

use std::sync::Arc;

use crate::core::store::{
    column::{Scalar, freeze_fields},
    held::Held,
};

pub(crate) struct KeptLog<T: Clone> {
    rows: Scalar<Arc<Vec<T>>>,
}

freeze_fields!([T: Clone + Held] KeptLog<T> { rows });

impl<T: Clone> KeptLog<T> {
    pub fn new() -> Self {
        Self { rows: Scalar::new(Arc::default()) }
    }

    pub fn list(&self) -> &[T] {
        &self.rows
    }

    /// Adds a row. O(1) unless a copy shares the list; O(rows) then.
    pub fn push(&mut self, row: T) {
        Arc::make_mut(&mut self.rows).push(row);
    }

    /// Changes a row, likewise.
    pub fn get_mut(&mut self, at: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.rows)[at]
    }
}
