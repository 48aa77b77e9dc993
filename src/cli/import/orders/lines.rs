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
    /// The number of each line, and its text or its fault.
    pub fn lines(&self) -> impl Iterator<Item = (u64, Result<&[u8], &LineFault>)> {
        let mut begin = 0;
        self.lines.iter().map(move |line| {
            let text = &self.text[std::mem::replace(&mut begin, line.end)..line.end];
            (line.number, line.fault.as_ref().map_or(Ok(text), Err))
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
