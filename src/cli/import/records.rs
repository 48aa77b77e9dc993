//! Records of delimited text as in RFC 4180, split by `csv-core`, with line numbers.
//!
//! A quoted cell is read whole, with the line breaks in it; lines end with LF, CRLF or CR. `csv-core` accepts
//! any input; what it tolerates (an unclosed quote, text after a closing one) is detected here afterwards and
//! reported with its line, since such a quote may have swallowed rows. Reading continues after the record as
//! its quotes delimit it, so that nothing inside a cell is ever taken for a row.
//!
//! Memory is bounded by [`ROW_BYTES_MAX`], however long a record is.

use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::cells::{Cells, LineFault, ROW_BYTES_MAX, as_text};

/// A file of records.
pub(super) struct Records {
    source: Box<dyn BufRead + Send>,
    splitter: Reader,
    delimiter: u8,
    /// The file was not UTF-8; a replacement character stands for invalid text.
    transcoded: bool,
    position: Position,
    /// The raw record, up to the maximum length.
    raw: Vec<u8>,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The splitter has seen the begin of the file: it skips a byte order mark there.
    begun: bool,
}

/// Line numbers, from 1.
#[derive(Clone, Copy)]
struct Position {
    line: u64,
    after_return: bool,
}

impl Position {
    fn pass(&mut self, bytes: &[u8]) {
        // CRLF is one line end, even when split across two chunks.
        let count = |end: u8| bytes.iter().map(|byte| u64::from(*byte == end)).sum::<u64>();
        let returns = count(b'\r');
        let inside: u64 =
            if returns == 0 { 0 } else { bytes.windows(2).map(|pair| u64::from(pair == b"\r\n")).sum() };
        let across = u64::from(self.after_return && bytes.first() == Some(&b'\n'));
        self.line += returns + count(b'\n') - inside - across;
        if let Some(last) = bytes.last() {
            self.after_return = *last == b'\r';
        }
    }
}

impl Records {
    /// Reads from a source whose first line has the given number.
    pub fn new(source: Box<dyn BufRead + Send>, delimiter: u8, first_line: u64, transcoded: bool) -> Self {
        Self {
            source,
            splitter: ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
            transcoded,
            position: Position { line: first_line, after_return: false },
            raw: Vec::new(),
            text: vec![0; ROW_BYTES_MAX + 1],
            ends: vec![0; ROW_BYTES_MAX + 2],
            begun: false,
        }
    }

    /// Reads the next record that is not an empty line. False at the end.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn next(&mut self, cells: &mut Cells) -> io::Result<bool> {
        self.skip_line_ends()?;
        cells.begin(self.position.line);
        if self.begun && self.take_line(cells)? {
            return Ok(true);
        }
        self.begun = true;
        self.raw.clear();
        let mut record = Extent::default();
        loop {
            let chunk = self.source.fill_buf()?;
            record.at_end |= chunk.is_empty();
            let (text, ends) = (&mut self.text[record.text..], &mut self.ends[record.cells..]);
            let (result, bytes, text, ends) = self.splitter.read_record(chunk, text, ends);
            let taken = &chunk[..bytes];
            self.position.pass(taken);
            self.raw
                .extend_from_slice(&taken[..bytes.min((ROW_BYTES_MAX + 1).saturating_sub(self.raw.len()))]);
            self.source.consume(bytes);
            record.bytes += bytes;
            record.text += text;
            record.cells += ends;
            match result {
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(false),
                ReadRecordResult::InputEmpty => {}
                // A record that is too long is read to its end, and refused.
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    (record.text, record.cells) = (0, 0);
                }
            }
        }
        // Unless the file ends, the last byte is the line end.
        record.bytes -= usize::from(!record.at_end);
        cells.fault = self.take(&record, cells).err();
        Ok(true)
    }

    /// Takes a record without quotes that ends within the bytes at hand, as nearly all do: it is a line, and
    /// its cells are what is between delimiters. Returns false, and takes nothing, if it is another one.
    fn take_line(&mut self, cells: &mut Cells) -> io::Result<bool> {
        let chunk = self.source.fill_buf()?;
        let near = &chunk[..chunk.len().min(ROW_BYTES_MAX + 1)];
        let Some(end) = memchr::memchr2(b'\n', b'\r', near) else { return Ok(false) };
        if memchr::memchr(b'"', &chunk[..end]).is_some() {
            return Ok(false);
        }
        match as_text(&chunk[..end], self.transcoded) {
            Ok(line) => cells.take_delimited(line, self.delimiter),
            Err(fault) => cells.fault = Some(fault),
        }
        self.position = Position { line: self.position.line + 1, after_return: chunk[end] == b'\r' };
        self.source.consume(end + 1);
        Ok(true)
    }

    /// Stores the record that was read, if it is valid.
    fn take(&self, record: &Extent, cells: &mut Cells) -> Result<(), LineFault> {
        let raw = &self.raw[..self.raw.len().min(record.bytes)];
        let is_long = ROW_BYTES_MAX < record.bytes;
        let line = cells.line;
        let line_of = |offset: usize| {
            let mut position = Position { line, after_return: false };
            position.pass(&raw[..offset]);
            position.line
        };
        match check_quotes(raw, self.delimiter) {
            Err(QuoteFault::Open(opened)) => {
                return Err(LineFault::OpenQuote {
                    line: line_of(opened),
                    at_end: record.at_end && !is_long,
                });
            }
            _ if is_long => return Err(LineFault::TooLong),
            Err(QuoteFault::TextAfter { opened, closed }) => {
                return Err(LineFault::TextAfterQuote { opened: line_of(opened), closed: line_of(closed) });
            }
            Ok(()) => {}
        }
        let text = as_text(&self.text[..record.text], self.transcoded)?;
        cells.take(text, &self.ends[..record.cells]).ok_or(LineFault::NotUtf8)
    }

    /// Skips empty lines, so that the next record begins here.
    fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            let chunk = self.source.fill_buf()?;
            let empty = chunk.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            let goes_on = empty != 0 && empty == chunk.len();
            self.position.pass(&chunk[..empty]);
            self.source.consume(empty);
            if !goes_on {
                return Ok(());
            }
        }
    }
}

/// The extent of a record in the source, the text and the cells.
#[derive(Default)]
struct Extent {
    bytes: usize,
    text: usize,
    cells: usize,
    /// The file ends with it, without a line end.
    at_end: bool,
}

/// A quoting error in a record.
enum QuoteFault {
    /// The quote opened there is not closed.
    Open(usize),
    /// The quote at `closed` is followed by neither a delimiter nor the end.
    TextAfter { opened: usize, closed: usize },
}

fn check_quotes(record: &[u8], delimiter: u8) -> Result<(), QuoteFault> {
    let next =
        |byte: u8, from: usize| record[from..].iter().position(|other| *other == byte).map(|at| from + at);
    if next(b'"', 0).is_none() {
        return Ok(());
    }
    let mut at = 0;
    while at < record.len() {
        if record[at] == b'"' {
            let opened = at;
            let mut closed = next(b'"', opened + 1).ok_or(QuoteFault::Open(opened))?;
            while record.get(closed + 1) == Some(&b'"') {
                closed = next(b'"', closed + 2).ok_or(QuoteFault::Open(opened))?;
            }
            at = closed + 1;
            if at < record.len() && record[at] != delimiter {
                return Err(QuoteFault::TextAfter { opened, closed });
            }
        }
        at = next(delimiter, at).map_or(record.len(), |delimiter| delimiter + 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use proptest::prelude::*;

    use super::*;

    /// Returns each record as `line:cell|cell`, or `line:fault`, read in chunks of `chunk` bytes.
    fn records(bytes: &[u8], chunk: usize) -> Vec<String> {
        let source = Box::new(BufReader::with_capacity(chunk, Cursor::new(bytes.to_vec())));
        let mut records = Records::new(source, b',', 1, false);
        let (mut all, mut cells) = (Vec::new(), Cells::default());
        while records.next(&mut cells).unwrap() {
            all.push(cells.to_string());
        }
        all
    }

    #[test]
    fn records_are_split_as_rfc_4180_has_it() {
        // bytes, records
        let table: [(&str, &[&str]); 14] = [
            ("", &[]),
            ("\n\r\n\r", &[]),
            ("a,b\nc,d", &["1:a|b", "2:c|d"]),
            ("a,b\r\n\r\nc,d\r\n", &["1:a|b", "3:c|d"]),
            ("a,b\rc,d\r\re,f\r", &["1:a|b", "2:c|d", "4:e|f"]),
            ("\"a\nb\",c\nd,e\n", &["1:a\nb|c", "3:d|e"]),
            ("x\n\"a\r\n\r\nb\",c\r\nd,e\r\n", &["1:x", "2:a\r\n\r\nb|c", "5:d|e"]),
            ("\"a,\"\"1\"\"\",\"\"\nb,\n", &["1:a,\"1\"|", "2:b|"]),
            ("5\" pipe,a \"b\" c\n", &["1:5\" pipe|a \"b\" c"]),
            // Quoted text is never a row: all up to the end is the one cell.
            ("a\nb,\"c\nd,e\n", &["1:a", "2:OpenQuote { line: 2, at_end: true }"]),
            ("\"a\nb\nc,\"d\n", &["1:TextAfterQuote { opened: 1, closed: 3 }"]),
            ("\"a\nb\"x,c\nd\n", &["1:TextAfterQuote { opened: 1, closed: 2 }", "3:d"]),
            ("\"Smith, J,1\n\"Doe, J\",2\nx,y\n", &["1:TextAfterQuote { opened: 1, closed: 2 }", "3:x|y"]),
            ("\"\"\"\n", &["1:OpenQuote { line: 1, at_end: true }"]),
        ];
        for (text, expected) in table {
            for chunk in [1, 2, 3, 1_000] {
                assert_eq!(records(text.as_bytes(), chunk), expected, "{text:?} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn the_bound_is_exact_and_what_is_longer_spoils_one_record() {
        for (extra, is_long) in [(0, false), (1, true), (ROW_BYTES_MAX * 3, true)] {
            let long = "x".repeat(ROW_BYTES_MAX + extra);
            for (text, after) in
                [(format!("{long}\na\n"), 2), (format!("{long}\r\na"), 2), (format!("\n{long}\ra\n"), 3)]
            {
                let all = records(text.as_bytes(), 4_096);
                assert_eq!(all[0].ends_with("TooLong"), is_long, "{extra}");
                assert_eq!(all[1..], [format!("{after}:a")]);
            }
            assert_eq!(
                records(long.as_bytes(), 4_096)[0].ends_with("TooLong"),
                is_long,
                "at the end of the file"
            );
        }
        let quoted = format!("a,\"{}\nb\n\",c\nd\n", "\n".repeat(ROW_BYTES_MAX));
        let line = ROW_BYTES_MAX + 4;
        assert_eq!(
            records(quoted.as_bytes(), 100),
            ["1:OpenQuote { line: 1, at_end: false }".to_string(), format!("{line}:d")]
        );
        let cells = ",".repeat(ROW_BYTES_MAX * 2);
        assert_eq!(records(format!("{cells}\na\n").as_bytes(), 100), ["1:TooLong", "2:a"]);
    }

    #[test]
    fn text_must_be_text_in_each_cell() {
        assert_eq!(
            records(b"a\xff,b\n\xc3,\xa9\n\xc3\xa9,c\n", 100),
            ["1:NotUtf8", "2:NotUtf8", "3:\u{e9}|c"]
        );
    }

    proptest! {
        /// Any cell contents round-trip, with the line on which each record begins.
        #[test]
        fn what_is_quoted_comes_back(
            rows in prop::collection::vec(prop::collection::vec("[a,\"\r\n;\u{e9} ]{0,6}", 2..4), 0..6),
            chunk in 1..40_usize
        ) {
            let mut text = String::new();
            let mut expected = Vec::new();
            let mut position = Position { line: 1, after_return: false };
            for row in &rows {
                expected.push(format!("{}:{}", position.line, row.join("|")));
                let line: Vec<String> =
                    row.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
                let line = line.join(",") + "\n";
                position.pass(line.as_bytes());
                text += &line;
            }
            prop_assert_eq!(records(text.as_bytes(), chunk), expected);
        }
    }
}
