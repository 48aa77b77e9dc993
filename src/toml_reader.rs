//! Reads a TOML table field by field and remembers the line of each field, so that plan and configuration
//! files can be refused with all their errors, each with place and reason. Knows nothing about plans or
//! configuration.
//!
//! A field that cannot be read is reported and read as absent: the caller continues with a harmless value and
//! finds the remaining errors.

use std::{collections::BTreeMap, fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The largest file that is read. A plan with every list at its bound takes some 20 KiB.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// One error in a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileError {
    /// Line in the file, from 1; `None` if something is missing from the file as a whole.
    pub line: Option<usize>,
    /// Path of the field, e.g. `trigger[0].id`; empty for a syntax error.
    pub field: String,
    pub reason: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(out, "line {line}: ")?;
        }
        if !self.field.is_empty() {
            write!(out, "{}: ", self.field)?;
        }
        out.write_str(&self.reason)
    }
}

/// A document and the errors found in it so far.
pub(crate) struct Reader {
    /// Byte offset at which each line after the first begins.
    line_starts: Vec<usize>,
    /// Line of each field present.
    lines: BTreeMap<String, usize>,
    errors: Vec<FileError>,
}

impl Reader {
    /// Parses the TOML syntax.
    ///
    /// # Errors
    /// All syntax errors.
    pub(crate) fn parse(text: &str) -> Result<(Self, Spanned<DeTable<'_>>), Vec<FileError>> {
        let line_starts =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect();
        let mut reader = Self { line_starts, lines: BTreeMap::new(), errors: Vec::new() };
        let (document, faults) = DeTable::parse_recoverable(text);
        for fault in faults {
            let line = fault.span().map(|span| reader.line_of(&span));
            reader.errors.push(FileError { line, field: String::new(), reason: fault.message().to_string() });
        }
        if reader.errors.is_empty() { Ok((reader, document)) } else { Err(reader.into_errors()) }
    }

    fn line_of(&self, span: &Range<usize>) -> usize {
        1 + self.line_starts.partition_point(|start| *start <= span.start)
    }

    /// Reports that `field` is wrong. The place is the field's, else that of its parent.
    pub(crate) fn fault(&mut self, field: &str, reason: impl Into<String>) {
        let mut place = field;
        let line = loop {
            if let Some(line) = self.lines.get(place) {
                break Some(*line);
            }
            match place.rfind(['.', '[']) {
                Some(end) => place = &place[..end],
                None => break None,
            }
        };
        self.errors.push(FileError { line, field: field.into(), reason: reason.into() });
    }

    pub(crate) fn is_faultless(&self) -> bool {
        self.errors.is_empty()
    }

    /// Returns the line of a field that was read.
    pub(crate) fn line(&self, field: &str) -> Option<usize> {
        self.lines.get(field).copied()
    }

    /// Returns all errors, in file order; those without a place last.
    pub(crate) fn into_errors(mut self) -> Vec<FileError> {
        self.errors.sort_by_key(|error| error.line.unwrap_or(usize::MAX));
        self.errors
    }

    /// Notes the line of a field.
    pub(crate) fn note_line(&mut self, path: &str, span: &Range<usize>) {
        let line = self.line_of(span);
        self.lines.insert(path.into(), line);
    }
}

/// A table being read: fields are taken, and those left at the end are unknown.
pub(crate) struct Fields<'a, 'text> {
    /// Path of the table with a trailing dot, or empty for the document itself.
    prefix: String,
    left: BTreeMap<&'a str, (&'a Spanned<DeValue<'text>>, Range<usize>)>,
    known: Vec<&'static str>,
}

impl<'a, 'text> Fields<'a, 'text> {
    pub(crate) fn of(prefix: String, table: &'a DeTable<'text>) -> Self {
        let left = table.iter().map(|(key, value)| (key.get_ref().as_ref(), (value, key.span()))).collect();
        Self { prefix, left, known: Vec::new() }
    }

    /// Returns the path of a field of this table.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Takes a field out, if present.
    pub(crate) fn take(&mut self, reader: &mut Reader, name: &'static str) -> Option<&'a DeValue<'text>> {
        self.known.push(name);
        let (value, span) = self.left.remove(name)?;
        reader.note_line(&self.path(name), &span);
        Some(value.get_ref())
    }

    /// Ends the table: fields not taken are unknown.
    pub(crate) fn finish(self, reader: &mut Reader) {
        for (name, (_, span)) in &self.left {
            let path = self.path(name);
            reader.note_line(&path, span);
            reader.fault(&path, format!("is not known here (known: {})", self.known.join(", ")));
        }
    }
}

/// Returns a value as errors show it.
pub(crate) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string `{text}`"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => format!("{flag}"),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "an array".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
