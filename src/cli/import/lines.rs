//! Rows of a file, CSV or NDJSON, with the numbers of their lines. Knows columns by name and nothing of what
//! is in them.
//!
//! What a file is, is found out and not asked for: packing and encoding ([`super::source`]), what separates
//! cells ([`super::layout`]), and NDJSON by its first character. Memory is bounded by the longest row
//! allowed.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

pub use super::cells::LineFault;
use super::{
    cells::Cells,
    json_rows::{self, JsonColumn, JsonRows},
    layout::{Found, HeaderFault, Layout},
    records::Records,
    source::{self, Source},
};
use crate::cli::spreadsheet::EVALUATED;

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    #[error("cannot read {path}: {source}")]
    Io { path: String, source: io::Error },
    #[error("{path} has no header line")]
    Empty { path: String },
    #[error("{path}: the header names `{column}` twice")]
    ColumnTwice { path: String, column: String },
    #[error(
        "{path}: the header has no column `{name}` (it has: {present}); --columns {column}=NAME reads it from another one"
    )]
    ColumnMissing { path: String, column: &'static str, name: String, present: String },
    #[error("{path}: the header is not text of names (UTF-8, or UTF-16 with a byte order mark)")]
    BadHeader { path: String },
    #[error("{path}: the first line is not an object (NDJSON has one on each line): {reason}")]
    BadObject { path: String, reason: String },
    #[error("{path} is {kind}: {advice}")]
    OtherKind { path: String, kind: String, advice: &'static str },
}

/// A file of rows.
pub struct Lines {
    rows: Rows,
    cells: Cells,
    path: String,
    /// Position in a row of each column that was asked for.
    positions: Vec<Option<usize>>,
    columns: usize,
    /// Columns of the file that nobody asked for.
    pub ignored: Vec<String>,
    /// Rows whose cells were all empty; they were passed over.
    pub empty: u64,
    /// Whether there was anything but a header yet.
    pub has_rows: bool,
}

#[expect(clippy::large_enum_variant, reason = "there is one for each file")]
enum Rows {
    Csv(Records),
    Json(JsonRows),
}

/// A row, or the number of a line and what is wrong with it.
pub type NextRow<'a> = Result<Row<'a>, (u64, LineFault)>;

/// A row: the cells of the columns asked for, in that order; `""` for a column that the file has not.
pub struct Row<'a> {
    pub line: u64,
    cells: &'a Cells,
    positions: &'a [Option<usize>],
    /// NDJSON is exact: no spreadsheet evaluates it.
    exact: bool,
}

impl<'a> Row<'a> {
    /// The cell of the `column`-th column asked for, without surrounding blanks and without the mark that
    /// `export` puts before cells which a spreadsheet would evaluate.
    pub fn cell(&self, column: usize) -> &'a str {
        let cell = self.positions[column].map_or("", |position| self.cells.get(position).trim());
        match cell.strip_prefix('\'') {
            Some(marked) if !self.exact && marked.starts_with(EVALUATED) => marked,
            _ => cell,
        }
    }
}

impl Lines {
    /// Opens a file and finds its columns. `-` is standard input. `wrap` sees the bytes of the file as they
    /// are read.
    ///
    /// # Errors
    /// See [`FileFault`].
    pub fn open(
        path: &Path,
        layout: &Layout,
        wrap: impl FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send>,
    ) -> Result<Self, FileFault> {
        let name = path.display().to_string();
        let io = |source| FileFault::Io { path: name.clone(), source };
        let file: Box<dyn Read + Send> =
            if name == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(io)?) };
        Self::read(name, wrap(file), layout)
    }

    /// As [`Lines::open`], from what was opened already. `name` is for messages.
    ///
    /// # Errors
    /// See [`FileFault`].
    pub fn read(name: String, file: Box<dyn Read + Send>, layout: &Layout) -> Result<Self, FileFault> {
        let io = |source| FileFault::Io { path: name.clone(), source };
        let source = Source::open(file).map_err(io)?;
        if source.head.trim_ascii().is_empty() {
            return Err(FileFault::Empty { path: name });
        }
        let first = source.head.trim_ascii_start();
        if first.starts_with(b"{") {
            return Self::json(&name, source, layout);
        }
        let Found { header, delimiter, skip, first_line } =
            layout.detect(&source.head).map_err(|fault| file_fault(&name, &source.head, fault))?;
        let transcoded = source.transcoded;
        let mut records =
            Records::new(source.text_from(skip).map_err(io)?, delimiter, first_line, transcoded);
        // The header was read already, from the head.
        let mut cells = Cells::default();
        if !records.next(&mut cells).map_err(io)? || cells.fault.is_some() {
            return Err(FileFault::BadHeader { path: name });
        }
        Ok(Self {
            rows: Rows::Csv(records),
            cells: Cells::default(),
            path: name,
            positions: header.positions,
            columns: header.count,
            ignored: header.ignored,
            empty: 0,
            has_rows: false,
        })
    }

    fn json(name: &str, source: Source, layout: &Layout) -> Result<Self, FileFault> {
        let head = source.head.trim_ascii_start();
        let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\n').next().unwrap_or_default());
        let bad = |reason| match source::kind(&source.head) {
            Some((kind, advice)) => FileFault::OtherKind { path: name.into(), kind, advice },
            None => FileFault::BadObject { path: name.into(), reason },
        };
        let keys = json_rows::keys(&line).map_err(bad)?;
        let header = layout.find(&keys).map_err(|fault| file_fault(name, &source.head, fault))?;
        let wanted = layout
            .wanted()
            .map(|(column, name, needed)| JsonColumn { name: name.into(), needed: needed.then_some(column) });
        let columns: Vec<JsonColumn> = wanted.collect();
        let (count, transcoded) = (columns.len(), source.transcoded);
        let text = source.text_from(0).map_err(|source| FileFault::Io { path: name.into(), source })?;
        Ok(Self {
            rows: Rows::Json(JsonRows::new(text, columns, transcoded)),
            cells: Cells::default(),
            path: name.into(),
            positions: (0..count).map(Some).collect(),
            columns: count,
            ignored: header.ignored,
            empty: 0,
            has_rows: false,
        })
    }

    /// The next row that is not empty, or what is wrong with its line; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read on, e.g. because its compressed form is cut off.
    pub fn next_row(&mut self) -> Result<Option<NextRow<'_>>, FileFault> {
        let cells = &mut self.cells;
        loop {
            let is_there = match &mut self.rows {
                Rows::Csv(records) => records.next(cells),
                Rows::Json(rows) => rows.next(cells),
            };
            if !is_there.map_err(|source| FileFault::Io { path: self.path.clone(), source })? {
                return Ok(None);
            }
            self.has_rows = true;
            if cells.fault.is_some() || !cells.are_empty() {
                break;
            }
            self.empty += 1;
        }
        let cells = &self.cells;
        if let Some(fault) = &cells.fault {
            return Ok(Some(Err((cells.line, fault.clone()))));
        }
        if cells.len() != self.columns {
            return Ok(Some(Err((cells.line, LineFault::CutOff))));
        }
        let exact = matches!(self.rows, Rows::Json(_));
        Ok(Some(Ok(Row { line: cells.line, cells, positions: &self.positions, exact })))
    }
}

/// What is wrong with a file in whose beginning no header was found.
fn file_fault(path: &str, head: &[u8], fault: HeaderFault) -> FileFault {
    let path = path.to_string();
    match (source::kind(head), fault) {
        (Some((kind, advice)), _) => FileFault::OtherKind { path, kind, advice },
        (None, HeaderFault::Unreadable) => FileFault::BadHeader { path },
        (None, HeaderFault::Twice(column)) => FileFault::ColumnTwice { path, column },
        (None, HeaderFault::Missing { column, name, present }) => {
            FileFault::ColumnMissing { path, column, name, present }
        }
    }
}

#[cfg(test)]
#[path = "lines_test.rs"]
mod tests;
