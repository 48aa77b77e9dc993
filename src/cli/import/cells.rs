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
    /// The end of each cell. The first begins at 0, each other where the previous one ends.
    ends: Vec<usize>,
    pub fault: Option<LineFault>,
}

impl Cells {
    pub fn begin(&mut self, line: u64) {
        self.line = line;
        self.text.clear();
        self.ends.clear();
        self.fault = None;
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

    pub fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[index]]
    }

    pub fn are_empty(&self) -> bool {
        self.text.trim().is_empty()
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
                (0..self.len()).map(|at| self.get(at)).collect::<Vec<_>>().join("|")
            ),
        }
    }
}
