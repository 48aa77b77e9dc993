//! What came of a file of orders.

use std::path::Path;

use serde_json::Value;

use super::super::{lines::LineFault, visible::visible};
use crate::{
    cli::{problem, screen},
    core::command::ORDER_ID_CHARS_MAX,
    http::Problem,
};

/// Why an order was refused: a stable name, the field that is wrong if it is one, and words.
pub struct Reason {
    pub name: String,
    pub field: Option<String>,
    pub words: String,
}

impl Reason {
    pub fn new(name: &str, words: impl Into<String>) -> Self {
        Self { name: name.into(), field: None, words: words.into() }
    }

    pub fn of(problem: impl Into<Problem>) -> Self {
        let problem: Problem = problem.into();
        Self::of_json(problem.code().status().as_u16(), &problem.to_json())
    }

    /// As a server says it.
    pub fn of_json(status: u16, problem: &Value) -> Self {
        let name = problem["code"].as_str().unwrap_or("refused");
        let field = problem["field"].as_str().map(str::to_owned);
        Self { field, ..Self::new(name, problem::in_words(status, Some(problem))) }
    }

    pub fn of_line(fault: &LineFault) -> Self {
        Self::new("bad_row", fault.to_string())
    }
}

/// A refused order.
pub struct Refused {
    pub line: u64,
    pub order: String,
    pub reason: Reason,
}

/// What came of a file.
#[derive(Default)]
pub struct Taken {
    pub orders: u64,
    pub already_there: u64,
    /// Given with orders of an export.
    pub refunds: u64,
    pub refused: Vec<Refused>,
    /// BLAKE3 of the file.
    pub hash: String,
}

impl Taken {
    /// Refuses an order. What is longer than an id may be is told by its beginning.
    pub fn refuse(&mut self, line: u64, mut order: String, reason: Reason) {
        if let Some((end, _)) = order.char_indices().nth(ORDER_ID_CHARS_MAX) {
            order.truncate(end);
            order.push_str("...");
        }
        self.refused.push(Refused { line, order, reason });
    }

    /// Says which orders were refused, and why.
    pub fn tell_refused(&self, path: &Path) {
        for Refused { line, order, reason } in &self.refused {
            let order = if order.is_empty() { String::new() } else { format!("{}: ", visible(order)) };
            let field = reason.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
            screen::tell(&format!("{}: line {line}: {order}{field}{}", path.display(), reason.words));
        }
    }
}
