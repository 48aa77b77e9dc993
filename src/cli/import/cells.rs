//! The cells of one row, independent of the file format.

use crate::core::{plan::NAME_BYTES_MAX, types::KINDS_MAX};

/// Maximum bytes of a row, including line breaks: several times the longest valid row (two codes, four ids,
/// names of 255 bytes), and as many names of triggers as a network can have.
pub(super) const ROW_BYTES_MAX: usize = (16 << 10) + KINDS_MAX * (NAME_BYTES_MAX + 1);

/// Faults of a row that are detected before its cells are parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LineFault {
    NotUtf8,
    /// In UTF-16 an unpaired surrogate, or the replacement character, which stands for one.
    NotUtf16,
    TooLong,
    /// Fewer or more cells than the header.
    CutOff,
    /// A quote opened on this line is not closed before the row is too long, or before the end of the file.
    OpenQuote {
        line: u64,
        at_end: bool,
    },
    /// Text follows the quote on line `closed`, which closes the one on line `opened`.
    TextAfterQuote {
        opened: u64,
        closed: u64,
    },
    /// Not an object of scalar values: the reason.
    BadJson(String),
    /// An object without a required column.
    KeyMissing(&'static str),
}

/// Returns the text of a row. `transcoded` text was UTF-16 in the file, with replacement characters for
/// invalid sequences.
///
/// # Errors
/// The row is not valid text.
pub(super) fn as_text(bytes: &[u8], transcoded: bool) -> Result<&str, LineFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| LineFault::NotUtf8)?;
    if transcoded && text.contains(char::REPLACEMENT_CHARACTER) { Err(LineFault::NotUtf16) } else { Ok(text) }
}

/// One row as read: its cells in one text, or its fault. Reused for the next row.
#[derive(Default)]
pub(super) struct Cells {
    /// The number of its first line.
    pub line: u64,
    text: String,
    /// The end of each cell.
    ends: Vec<usize>,
    /// Bytes between a cell and the next one.
    gap: usize,
    pub fault: Option<LineFault>,
}

/// The valid cells of one row.
#[derive(Clone, Copy)]
pub(super) struct RowCells<'a> {
    text: &'a str,
    ends: &'a [usize],
    gap: usize,
}

impl<'a> RowCells<'a> {
    pub fn get(&self, index: usize) -> &'a str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] + self.gap);
        &self.text[start..self.ends[index]]
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Rows of a file, one after the other: their cells, or their faults.
#[derive(Default)]
pub(super) struct Batch {
    text: String,
    /// The ends of all cells, counted from the begin of their row.
    ends: Vec<usize>,
    rows: Vec<BatchRow>,
    /// NDJSON is exact: no spreadsheet evaluates it.
    pub exact: bool,
}

struct BatchRow {
    line: u64,
    /// Where its text and its cells end; they begin where those of the row before end.
    text: usize,
    cells: usize,
    gap: usize,
    fault: Option<LineFault>,
}

impl Batch {
    pub fn new(exact: bool) -> Self {
        Self { exact, ..Self::default() }
    }

    pub fn push(&mut self, cells: &Cells, fault: Option<LineFault>) {
        self.text.push_str(&cells.text);
        self.ends.extend_from_slice(&cells.ends);
        let (text, ends) = (self.text.len(), self.ends.len());
        self.rows.push(BatchRow { line: cells.line, text, cells: ends, gap: cells.gap, fault });
    }

    /// Bytes of all cells.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The line of each row, and its cells or its fault.
    pub fn rows(&self) -> impl Iterator<Item = (u64, Result<RowCells<'_>, &LineFault>)> {
        let mut begin = (0, 0);
        self.rows.iter().map(move |row| {
            let (text, cells) = std::mem::replace(&mut begin, (row.text, row.cells));
            let (text, ends) = (&self.text[text..row.text], &self.ends[cells..row.cells]);
            (row.line, row.fault.as_ref().map_or(Ok(RowCells { text, ends, gap: row.gap }), Err))
        })
    }
}

impl Cells {
    pub fn begin(&mut self, line: u64) {
        self.line = line;
        self.text.clear();
        self.ends.clear();
        self.gap = 0;
        self.fault = None;
    }

    /// Sets a whole row: a text in which the delimiter is between cells, and nowhere else.
    pub fn take_delimited(&mut self, text: &str, delimiter: u8) {
        self.gap = 1;
        self.text.push_str(text);
        self.ends.extend(memchr::memchr_iter(delimiter, text.as_bytes()));
        self.ends.push(text.len());
    }

    /// Sets a whole row: its text and the ends of its cells. `None` if an end is inside a character.
    pub fn take(&mut self, text: &str, ends: &[usize]) -> Option<()> {
        ends.iter().all(|end| text.is_char_boundary(*end)).then(|| {
            self.text.push_str(text);
            self.ends.extend_from_slice(ends);
        })
    }

    /// Appends a cell.
    pub fn push(&mut self, cell: &str) {
        self.text.push_str(cell);
        self.ends.push(self.text.len());
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn row(&self) -> RowCells<'_> {
        RowCells { text: &self.text, ends: &self.ends, gap: self.gap }
    }

    /// Whether no cell has anything but blanks.
    pub fn are_empty(&self) -> bool {
        let row = self.row();
        (0..row.len()).all(|cell| row.get(cell).trim().is_empty())
    }
}

/// Formats as `line:cell|cell`, or `line:` and the fault.
#[cfg(test)]
impl std::fmt::Display for Cells {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.fault {
            Some(LineFault::BadJson(reason)) => write!(out, "{}:{reason}", self.line),
            Some(fault) => write!(out, "{}:{fault:?}", self.line),
            None => write!(
                out,
                "{}:{}",
                self.line,
                (0..self.len()).map(|at| self.row().get(at)).collect::<Vec<_>>().join("|")
            ),
        }
    }
}
