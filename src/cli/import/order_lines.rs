//! Files of orders: rows of a table, or an object on each line, which holds others.

use std::io::{self, BufRead, Read};

use super::{
    cells::LineFault,
    layout::Layout,
    lines::{FileFault, Lines},
    meter::Meter,
    source::Source,
};

/// Maximum bytes of an object: those of an order of 64 lines, and a thousand refunds of some lines each.
const OBJECT_BYTES_MAX: usize = 1 << 20;

pub(super) enum OrderLines {
    Rows(Box<Lines>),
    Json(JsonLines),
}

/// Objects, one a line.
pub(super) struct JsonLines {
    text: Box<dyn BufRead + Send>,
    name: String,
    line: u64,
    bytes: Vec<u8>,
    transcoded: bool,
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
        Ok(Self::Json(JsonLines { text, name, line: 0, bytes: Vec::new(), transcoded }))
    }
}

impl JsonLines {
    /// Reads the next line that is not blank: its number, and its text or its fault. `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    #[expect(clippy::type_complexity, reason = "a number and a text")]
    pub fn next(&mut self) -> Result<Option<(u64, Result<&[u8], LineFault>)>, FileFault> {
        loop {
            self.bytes.clear();
            let read = read_line(&mut *self.text, &mut self.bytes);
            let read = read.map_err(|source| FileFault::Io { path: self.name.clone(), source })?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            if OBJECT_BYTES_MAX < read {
                let reason = format!("it is longer than {OBJECT_BYTES_MAX} bytes");
                return Ok(Some((self.line, Err(LineFault::BadJson(reason)))));
            }
            if !self.bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let text = self.bytes.trim_ascii();
        let text = super::cells::as_text(text, self.transcoded).map(str::as_bytes);
        Ok(Some((self.line, text)))
    }
}

/// Reads a line with its end; of a longer one than [`OBJECT_BYTES_MAX`] the beginning. Returns its length.
fn read_line(text: &mut (dyn BufRead + Send), bytes: &mut Vec<u8>) -> io::Result<usize> {
    let most = OBJECT_BYTES_MAX as u64 + 1;
    let mut read = (&mut *text).take(most).read_until(b'\n', bytes)?;
    while OBJECT_BYTES_MAX < read && bytes.last() != Some(&b'\n') {
        // The rest is read and forgotten.
        bytes.clear();
        match (&mut *text).take(most).read_until(b'\n', bytes)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}
