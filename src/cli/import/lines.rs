//! Rows of a CSV file, one line each, with their line numbers. Knows columns by name and nothing of what is in them.
//!
//! A line is a row: no cell of ours holds a line break, so an open quote ends with its line and spoils one row, not the rest of the file.
//! Quotes (`"a,b"`, doubled inside), a byte order mark, CRLF and columns in any order are read. Gzip is recognised by its first
//! bytes. Memory is bounded by the longest line allowed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

/// The longest line: several times the longest possible row (two codes, four ids, names of 255 bytes).
const LINE_BYTES_MAX: usize = 16 << 10;

/// Buffer of the file: large reads keep a network disk busy.
const BUFFER_BYTES: usize = 1 << 20;

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    #[error("cannot read {path}: {source}")]
    Io { path: String, source: io::Error },
    #[error("{path} has no header line")]
    Empty { path: String },
    #[error("{path}: the header names `{column}` twice")]
    ColumnTwice { path: String, column: String },
    #[error("{path}: the header has no column `{column}` (it has: {present})")]
    ColumnMissing { path: String, column: &'static str, present: String },
    #[error("{path}: the header is not UTF-8 text of comma separated names")]
    BadHeader { path: String },
}

/// What is wrong with a line before any cell is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineFault {
    NotUtf8,
    TooLong,
    /// Fewer or more cells than the header, or an open quote.
    CutOff,
}

/// A file of rows.
pub struct Lines {
    source: Source,
    path: String,
    /// Number of the line read last, from 1.
    line: u64,
    buffer: Vec<u8>,
    cells: Vec<String>,
    /// Position in a row of each column that was asked for.
    positions: Vec<Option<usize>>,
    columns: usize,
    /// Columns of the file that nobody asked for.
    pub ignored: Vec<String>,
}

/// The bytes, counted and hashed as they are in the file.
type Source = BufReader<Box<dyn Read + Send>>;

/// A row, or the number of a line and what is wrong with it.
pub type NextRow<'a> = Result<Row<'a>, (u64, LineFault)>;

/// A row: the cells of the columns asked for, in that order; `""` for a column that the file has not.
pub struct Row<'a> {
    pub line: u64,
    cells: &'a [String],
    positions: &'a [Option<usize>],
}

impl Row<'_> {
    /// The cell of the `column`-th column asked for, without surrounding blanks and without the mark that `export` puts before
    /// cells which a spreadsheet would evaluate.
    pub fn cell(&self, column: usize) -> &str {
        let cell = self.positions[column].map_or("", |position| self.cells[position].trim());
        match cell.strip_prefix('\'') {
            Some(marked) if marked.starts_with(super::super::export::EVALUATED) => marked,
            _ => cell,
        }
    }
}

impl Lines {
    /// Opens a file and reads its header. `-` is standard input. `progress` sees the bytes of the file as they are read.
    ///
    /// # Errors
    /// See [`FileFault`]. A column of `columns` is needed if its flag says so.
    pub fn open(
        path: &Path,
        columns: &[(&'static str, bool)],
        wrap: impl FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send>,
    ) -> Result<Self, FileFault> {
        let name = path.display().to_string();
        let io = |source| FileFault::Io { path: name.clone(), source };
        let file: Box<dyn Read + Send> = if name == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(io)?) };
        Self::read(name, wrap(file), columns)
    }

    /// As [`Lines::open`], from what was opened already. `name` is for messages.
    ///
    /// # Errors
    /// See [`FileFault`].
    pub fn read(name: String, file: Box<dyn Read + Send>, columns: &[(&'static str, bool)]) -> Result<Self, FileFault> {
        let io = |source| FileFault::Io { path: name.clone(), source };
        let mut raw = BufReader::with_capacity(BUFFER_BYTES, file);
        let zipped = raw.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
        let bytes: Box<dyn Read + Send> = if zipped { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        let mut lines = Self {
            source: BufReader::with_capacity(BUFFER_BYTES, bytes),
            path: name,
            line: 0,
            buffer: Vec::new(),
            cells: Vec::new(),
            positions: Vec::new(),
            columns: 0,
            ignored: Vec::new(),
        };
        lines.read_header(columns)?;
        Ok(lines)
    }

    fn read_header(&mut self, columns: &[(&'static str, bool)]) -> Result<(), FileFault> {
        let path = self.path.clone();
        if !self.read_line()? {
            return Err(FileFault::Empty { path });
        }
        if self.buffer.starts_with("\u{feff}".as_bytes()) {
            self.buffer.drain(..3);
        }
        self.split().map_err(|_| FileFault::BadHeader { path: path.clone() })?;
        let names: Vec<String> = self.cells.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        if names.iter().any(|name| name.is_empty() || name.contains(char::is_control)) {
            return Err(FileFault::BadHeader { path });
        }
        if let Some(column) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| name.clone()) {
            return Err(FileFault::ColumnTwice { path, column });
        }
        for (column, needed) in columns {
            let position = names.iter().position(|name| name == column);
            if *needed && position.is_none() {
                return Err(FileFault::ColumnMissing { path, column, present: names.join(", ") });
            }
            self.positions.push(position);
        }
        self.columns = names.len();
        self.ignored = names.into_iter().filter(|name| columns.iter().all(|(column, _)| column != name)).collect();
        Ok(())
    }

    /// The next row that is not empty, or what is wrong with its line; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read on, e.g. because its compressed form is cut off.
    pub fn next_row(&mut self) -> Result<Option<NextRow<'_>>, FileFault> {
        loop {
            if !self.read_line()? {
                return Ok(None);
            }
            if !self.buffer.is_empty() {
                break;
            }
        }
        let line = self.line;
        let fault = match self.split() {
            Err(fault) => Some(fault),
            Ok(()) => (self.cells.len() != self.columns).then_some(LineFault::CutOff),
        };
        Ok(Some(match fault {
            Some(fault) => Err((line, fault)),
            None => Ok(Row { line, cells: &self.cells, positions: &self.positions }),
        }))
    }

    /// Reads one line without its end into `buffer`; of a line that is too long, one byte more than the bound. `false` at the end.
    fn read_line(&mut self) -> Result<bool, FileFault> {
        self.buffer.clear();
        let path = &self.path;
        let io = |source| FileFault::Io { path: path.clone(), source };
        let bound = LINE_BYTES_MAX as u64 + 2;
        if (&mut self.source).take(bound).read_until(b'\n', &mut self.buffer).map_err(io)? == 0 {
            return Ok(false);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        } else if LINE_BYTES_MAX < self.buffer.len() {
            self.source.skip_until(b'\n').map_err(io)?;
        }
        Ok(true)
    }

    /// Splits `buffer` into `cells`.
    fn split(&mut self) -> Result<(), LineFault> {
        if LINE_BYTES_MAX < self.buffer.len() {
            return Err(LineFault::TooLong);
        }
        let text = std::str::from_utf8(&self.buffer).map_err(|_| LineFault::NotUtf8)?;
        let mut count = 0;
        let mut rest = text;
        loop {
            if self.cells.len() == count {
                self.cells.push(String::new());
            }
            let cell = &mut self.cells[count];
            cell.clear();
            count += 1;
            let after = match rest.strip_prefix('"') {
                Some(quoted) => unquote(quoted, cell)?,
                None => {
                    let end = rest.find(',').unwrap_or(rest.len());
                    cell.push_str(&rest[..end]);
                    &rest[end..]
                }
            };
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return Err(LineFault::CutOff),
            }
        }
        self.cells.truncate(count);
        Ok(())
    }
}

/// Appends a cell whose opening quote was taken; gives back what follows its closing quote.
fn unquote<'a>(mut rest: &'a str, cell: &mut String) -> Result<&'a str, LineFault> {
    loop {
        let end = rest.find('"').ok_or(LineFault::CutOff)?;
        cell.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                cell.push('"');
                rest = after;
            }
            None => return Ok(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const COLUMNS: [(&str, bool); 3] = [("member", true), ("sponsor", true), ("code", false)];

    fn open(bytes: &[u8]) -> Result<Lines, FileFault> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Lines::open(file.path(), &COLUMNS, |source| source)
    }

    /// Each row as `line:member|sponsor|code`, or `line:fault`.
    fn rows(bytes: &[u8]) -> Vec<String> {
        let mut lines = open(bytes).unwrap();
        let mut rows = Vec::new();
        while let Some(row) = lines.next_row().unwrap() {
            rows.push(match row {
                Ok(row) => format!("{}:{}|{}|{}", row.line, row.cell(0), row.cell(1), row.cell(2)),
                Err((line, fault)) => format!("{line}:{fault:?}"),
            });
        }
        rows
    }

    #[test]
    fn rows_have_line_numbers_and_columns_any_order() {
        assert_eq!(rows(b"sponsor,note,member\n,x,a\n\na,y,b\n"), ["2:a||", "4:b|a|"]);
        assert_eq!(rows(b"member,sponsor,code\na,,c"), ["2:a||c"]);
        assert_eq!(rows("\u{feff}Member , Sponsor\r\n a ,\t\r\nb, a\r\n".as_bytes()), ["2:a||", "3:b|a|"]);
        assert_eq!(rows(b"\"member\",\"sponsor\"\n\"a,\"\"1\"\"\",b\n"), ["2:a,\"1\"|b|"]);
    }

    #[test]
    fn spoilt_lines_spoil_only_themselves() {
        let mut bytes = b"member,sponsor\na,\nb\nc,d,e\n\"f,g\nh\xff,\n".to_vec();
        bytes.extend(vec![b'x'; LINE_BYTES_MAX * 5]);
        bytes.extend(b"\n\"i\"x,\nj,");
        assert_eq!(rows(&bytes), ["2:a||", "3:CutOff", "4:CutOff", "5:CutOff", "6:NotUtf8", "7:TooLong", "8:CutOff", "9:j||"]);
    }

    #[test]
    fn marks_against_spreadsheets_are_taken_off() {
        assert_eq!(rows(b"member,sponsor,code\na,,'-x\nb,a,'x\n"), ["2:a||-x", "3:b|a|'x"]);
    }

    #[test]
    fn headers_are_checked() {
        // file, part of the error
        let table: [(&[u8], &str); 6] = [
            (b"", "no header line"),
            (b"member,parent\n", "no column `sponsor` (it has: member, parent)"),
            (b"member,sponsor,member\n", "names `member` twice"),
            (b"member,sponsor,\n", "not UTF-8 text of comma separated names"),
            (b"\xff\xfe,member,sponsor\n", "not UTF-8 text"),
            (&[0x1f, 0x8b, 8, 0], "cannot read"),
        ];
        for (bytes, expected) in table {
            let error = open(bytes).err().expect("the header is wrong").to_string();
            assert!(error.contains(expected), "{bytes:?}: {error}");
        }
        assert_eq!(open(b"member,sponsor,note\n").unwrap().ignored, ["note"]);
    }

    #[test]
    fn gzip_is_recognised_and_a_cut_is_an_error() {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut plain = String::new();
        (0..5_000).for_each(|number| plain += &format!("m{number},\n"));
        zip.write_all(format!("member,sponsor\n{plain}").as_bytes()).unwrap();
        let zipped = zip.finish().unwrap();
        assert_eq!(rows(&zipped).len(), 5_000);
        let mut lines = open(&zipped[..zipped.len() / 2]).unwrap();
        let fault = loop {
            match lines.next_row() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the end should not be reached"),
                Err(fault) => break fault.to_string(),
            }
        };
        assert!(fault.contains("cannot read"), "{fault}");
    }
}
