//! Files of orders: rows of a table, or an object on each line, which holds others.

use std::io::{self, BufRead, Read};

use super::super::{
    cells::{self, LineFault},
    layout::Layout,
    lines::{Columns, FileFault, Lines},
    meter::Meter,
    source::Source,
};

/// Maximum bytes of an object: those of an order of 64 lines, and a thousand refunds of some lines each.
const OBJECT_BYTES_MAX: usize = 1 << 20;

/// Lines, and bytes of text, after which a batch ends.
const BATCH_LINES: usize = 1_024;
const BATCH_BYTES: usize = 1 << 18;

pub enum OrderLines {
    Rows(Box<Lines>),
    Objects(ObjectLines),
}

/// Objects, one a line.
pub struct ObjectLines {
    text: Box<dyn BufRead + Send>,
    name: String,
    line: u64,
    transcoded: bool,
}

/// Objects one after the other.
#[derive(Default)]
pub struct ObjectBatch {
    text: Vec<u8>,
    lines: Vec<ObjectLine>,
}

struct ObjectLine {
    number: u64,
    /// Where its text ends; it begins where that of the line before ends.
    end: usize,
    fault: Option<LineFault>,
}

impl OrderLines {
    /// Opens a file. NDJSON is recognized by its first character.
    ///
    /// # Errors
    /// See [`FileFault`].
    pub fn open(meter: &Meter<'_>, layout: &Layout) -> Result<Self, FileFault> {
        Self::read(meter.name(), meter.open_bytes()?, layout)
    }

    /// The same, of the bytes of a file.
    ///
    /// # Errors
    /// See [`FileFault`].
    pub fn read(name: String, file: Box<dyn Read + Send>, layout: &Layout) -> Result<Self, FileFault> {
        let io = |source| FileFault::Io { path: name.clone(), source };
        let source = Source::open(file).map_err(io)?;
        if !source.head.trim_ascii_start().starts_with(b"{") {
            return Ok(Self::Rows(Box::new(Lines::from_source(name, source, layout)?)));
        }
        let transcoded = source.transcoded;
        let text = source.text_from(0).map_err(io)?;
        Ok(Self::Objects(ObjectLines { text, name, line: 0, transcoded }))
    }

    /// How rows are to be understood, if it has rows.
    pub fn columns(&self) -> Option<Columns> {
        match self {
            Self::Rows(lines) => Some(lines.columns()),
            Self::Objects(_) => None,
        }
    }
}

impl ObjectBatch {
    /// The number of each line, and its text without blanks around it, or its fault.
    pub fn lines(&self) -> impl Iterator<Item = (u64, Result<&[u8], &LineFault>)> {
        let mut begin = 0;
        self.lines.iter().map(move |line| {
            let text = &self.text[std::mem::replace(&mut begin, line.end)..line.end];
            (line.number, line.fault.as_ref().map_or(Ok(text.trim_ascii()), Err))
        })
    }
}

impl ObjectLines {
    /// Reads the next lines that are not blank; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_batch(&mut self) -> Result<Option<ObjectBatch>, FileFault> {
        let mut batch = ObjectBatch::default();
        while batch.lines.len() < BATCH_LINES && batch.text.len() < BATCH_BYTES {
            let begin = batch.text.len();
            let read = read_line(&mut *self.text, &mut batch.text);
            let read = read.map_err(|source| FileFault::Io { path: self.name.clone(), source })?;
            if read == 0 {
                break;
            }
            self.line += 1;
            let fault = if OBJECT_BYTES_MAX < read {
                Some(LineFault::BadJson(format!("it is longer than {OBJECT_BYTES_MAX} bytes")))
            } else if batch.text[begin..].trim_ascii().is_empty() {
                // What it had is no part of the next line, and does not fill a batch without lines.
                batch.text.truncate(begin);
                continue;
            } else {
                cells::as_text(&batch.text[begin..], self.transcoded).err()
            };
            batch.lines.push(ObjectLine { number: self.line, end: batch.text.len(), fault });
        }
        Ok((!batch.lines.is_empty()).then_some(batch))
    }
}

/// Reads a line with its end, behind what `bytes` has; of a longer one than [`OBJECT_BYTES_MAX`] nothing.
/// Returns its length.
fn read_line(text: &mut (dyn BufRead + Send), bytes: &mut Vec<u8>) -> io::Result<usize> {
    let begin = bytes.len();
    let most = OBJECT_BYTES_MAX as u64 + 1;
    let mut read = (&mut *text).take(most).read_until(b'\n', bytes)?;
    if read <= OBJECT_BYTES_MAX {
        return Ok(read);
    }
    while bytes.last() != Some(&b'\n') {
        // It is read to its end and forgotten.
        bytes.truncate(begin);
        match (&mut *text).take(most).read_until(b'\n', bytes)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(begin);
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// The numbers and texts of all lines; `!` for one that is too long.
    fn lines(text: &[u8]) -> Vec<(u64, String)> {
        let text = [b"{\n", text].concat();
        let read = OrderLines::read("it".into(), Box::new(Cursor::new(text)), &Layout::with_more(&[], []));
        let OrderLines::Objects(mut objects) = read.unwrap() else { panic!("it begins as an object does") };
        let mut all = Vec::new();
        while let Some(batch) = objects.next_batch().unwrap() {
            let text = |text: Result<&[u8], &LineFault>| {
                text.map_or_else(|_| "!".into(), |text| String::from_utf8_lossy(text).into_owned())
            };
            all.extend(batch.lines().map(|(number, line)| (number, text(line))));
        }
        assert_eq!(all.remove(0), (1, "{".to_owned()));
        all
    }

    #[test]
    fn blank_lines_end_nothing_however_many_they_are() {
        let blank = "\n".repeat(2 * BATCH_BYTES);
        let before = "{\n".repeat(BATCH_LINES - 1);
        let wide = " ".repeat(2 * BATCH_BYTES);
        let read = lines(format!("{before}{blank} a\r\n{blank}{wide}\n\u{c}\nb").as_bytes());
        let first = (BATCH_LINES + 2 * BATCH_BYTES + 1) as u64;
        let expected = [(first, "a".to_owned()), (first + 2 * BATCH_BYTES as u64 + 3, "b".to_owned())];
        assert_eq!(read[BATCH_LINES - 1..], expected);
    }

    #[test]
    fn lines_are_themselves_beside_one_that_is_too_long() {
        let longest = "x".repeat(OBJECT_BYTES_MAX - 1);
        let read = lines(format!("a\n{longest}\n{longest}y\n\nb\n{longest}yz").as_bytes());
        let expected = [(2, "a"), (3, &*longest), (4, "!"), (6, "b"), (7, "!")];
        assert!(read.iter().map(|(number, text)| (*number, &**text)).eq(expected));
    }
}
