//! Rows of a CSV or NDJSON file, with line numbers. Knows columns by name and nothing about their content.
//!
//! The format is detected: compression and encoding ([`super::source`]), the delimiter ([`super::layout`]),
//! and NDJSON by its first character. Memory is bounded by the longest row allowed.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

pub use super::cells::LineFault;
use super::{
    cells::{Batch, Cells, RowCells},
    json_rows::{self, JsonColumn, JsonRows},
    layout::{Found, HeaderFault, Layout},
    records::Records,
    source::{self, Source},
};
use crate::cli::spreadsheet::unmarked;

/// Rows, and bytes of text, after which a batch ends.
const BATCH_ROWS: usize = 1_024;
const BATCH_BYTES: usize = 1 << 18;

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
        "{path}: the header has no column `{name}` (it has: {present}); {flag} {column}=NAME reads it \
         from another one"
    )]
    ColumnMissing { path: String, flag: &'static str, column: &'static str, name: String, present: String },
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
    /// Position in a row of each requested column.
    positions: Vec<Option<usize>>,
    columns: usize,
    /// Columns of the file that were not requested.
    pub ignored: Vec<String>,
    /// Skipped rows whose cells were all empty.
    pub empty: u64,
    /// Whether anything but a header was seen.
    pub has_rows: bool,
}

#[expect(clippy::large_enum_variant, reason = "there is one for each file")]
enum Rows {
    Csv(Records),
    Json(JsonRows),
}

/// A row, or a line number and its fault.
pub type NextRow<'a> = Result<Row<'a>, (u64, LineFault)>;

/// A row: the cells of the requested columns, in that order; `""` for a column that the file lacks.
pub struct Row<'a> {
    pub line: u64,
    cells: RowCells<'a>,
    positions: &'a [Option<usize>],
    /// NDJSON is exact: no spreadsheet evaluates it.
    exact: bool,
}

impl<'a> Row<'a> {
    /// Returns the cell of the `column`-th requested column, trimmed, and without the apostrophe that
    /// `export` puts before cells which a spreadsheet would evaluate.
    pub fn cell(&self, column: usize) -> &'a str {
        let cell = self.positions[column].map_or("", |position| self.cells.get(position).trim());
        if self.exact { cell } else { unmarked(cell) }
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
        Self::read(path.display().to_string(), wrap(opened(path)?), layout)
    }

    /// As [`Lines::open`], from an opened source. `name` is for messages.
    ///
    /// # Errors
    /// See [`FileFault`].
    pub fn read(name: String, file: Box<dyn Read + Send>, layout: &Layout) -> Result<Self, FileFault> {
        let io = |source| FileFault::Io { path: name.clone(), source };
        let source = Source::open(file).map_err(io)?;
        Self::from_source(name, source, layout)
    }

    /// As [`Lines::read`], of a text.
    ///
    /// # Errors
    /// See [`FileFault`].
    pub fn from_source(name: String, source: Source, layout: &Layout) -> Result<Self, FileFault> {
        let io = |source| FileFault::Io { path: name.clone(), source };
        if source.head.trim_ascii().is_empty() {
            return Err(FileFault::Empty { path: name });
        }
        let first = source.head.trim_ascii_start();
        if first.starts_with(b"{") {
            return Self::json(&name, source, layout);
        }
        let Found { header, delimiter, skip, first_line } =
            layout.detect(&source.head).map_err(|fault| file_fault(&name, layout, &source.head, fault))?;
        let transcoded = source.transcoded;
        let mut records =
            Records::new(source.text_from(skip).map_err(io)?, delimiter, first_line, transcoded);
        // The header was already read from the head.
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
        let header = layout.find(&keys).map_err(|fault| file_fault(name, layout, &source.head, fault))?;
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

    /// Reads the next rows that are not empty; `None` at the end.
    ///
    /// # Errors
    /// When reading fails, e.g. because the compressed stream is truncated.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, FileFault> {
        let mut batch = Batch::new(matches!(self.rows, Rows::Json(_)));
        while batch.len() < BATCH_ROWS && batch.bytes() < BATCH_BYTES && self.next()? {
            let fault = self.cells.fault.take();
            let is_cut = fault.is_none() && self.cells.len() != self.columns;
            batch.push(&self.cells, fault.or(is_cut.then_some(LineFault::CutOff)));
        }
        Ok((batch.len() != 0).then_some(batch))
    }

    /// Reads the next row that is not empty into `cells`. False at the end.
    fn next(&mut self) -> Result<bool, FileFault> {
        let cells = &mut self.cells;
        loop {
            let is_there = match &mut self.rows {
                Rows::Csv(records) => records.next(cells),
                Rows::Json(rows) => rows.next(cells),
            };
            if !is_there.map_err(|source| FileFault::Io { path: self.path.clone(), source })? {
                return Ok(false);
            }
            self.has_rows = true;
            if cells.fault.is_some() || !cells.are_empty() {
                return Ok(true);
            }
            self.empty += 1;
        }
    }

    /// How batches of this file are to be understood, on any thread.
    pub fn columns(&self) -> Columns {
        Columns(self.positions.clone())
    }
}

/// Where the requested columns are in a row.
pub struct Columns(Vec<Option<usize>>);

impl Columns {
    /// The rows of a batch, each with its line's fault if it has one.
    pub fn rows<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = NextRow<'a>> {
        batch.rows().map(|(line, cells)| match cells {
            Ok(cells) => Ok(Row { line, cells, positions: &self.0, exact: batch.exact }),
            Err(fault) => Err((line, fault.clone())),
        })
    }
}

/// Opens a file. `-` is standard input.
///
/// # Errors
/// `Io`.
pub(super) fn opened(path: &Path) -> Result<Box<dyn Read + Send>, FileFault> {
    let name = path.display().to_string();
    if name == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|source| FileFault::Io { path: name, source })?;
    Ok(Box::new(file))
}

/// Explains a file without a header at its beginning.
fn file_fault(path: &str, layout: &Layout, head: &[u8], fault: HeaderFault) -> FileFault {
    let path = path.to_string();
    match (source::kind(head), fault) {
        (Some((kind, advice)), _) => FileFault::OtherKind { path, kind, advice },
        (None, HeaderFault::Unreadable) => FileFault::BadHeader { path },
        (None, HeaderFault::Twice(column)) => FileFault::ColumnTwice { path, column },
        (None, HeaderFault::Missing { column, name, present }) => {
            FileFault::ColumnMissing { path, flag: layout.flag, column, name, present }
        }
    }
}

#[cfg(test)]
#[path = "lines_test.rs"]
mod tests;
