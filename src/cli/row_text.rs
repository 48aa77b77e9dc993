//! Prints the rows of exported files, as CSV or NDJSON, straight into the text that is written.

use uuid::{Uuid, fmt::Hyphenated};

use super::spreadsheet::mark_of;
use crate::{
    amount,
    core::types::{MemberId, Money, Timestamp},
    time_text,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Format {
    Csv,
    Ndjson,
}

/// The text of some rows. Cells are appended one by one, in the order of the columns.
pub(super) struct RowText<'a> {
    format: Format,
    columns: &'a [&'static str],
    /// The column of the next cell.
    column: usize,
    text: String,
}

impl<'a> RowText<'a> {
    /// No rows yet, with room for `bytes`.
    pub fn with_capacity(format: Format, columns: &'a [&'static str], bytes: usize) -> Self {
        Self { format, columns, column: 0, text: String::with_capacity(bytes) }
    }

    /// The line before all rows; NDJSON has none.
    pub fn header(format: Format, columns: &[&'static str]) -> String {
        match format {
            Format::Csv => columns.join(",") + "\n",
            Format::Ndjson => String::new(),
        }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    /// Ends a row.
    pub fn end(&mut self) {
        debug_assert_eq!(self.column, self.columns.len());
        self.column = 0;
        self.text.push_str(match self.format {
            Format::Csv => "\n",
            Format::Ndjson => "}\n",
        });
    }

    fn next(&mut self) {
        match self.format {
            Format::Csv if self.column == 0 => {}
            Format::Csv => self.text.push(','),
            Format::Ndjson => {
                self.text.push_str(if self.column == 0 { "{\"" } else { ",\"" });
                self.text.push_str(self.columns[self.column]);
                self.text.push_str("\":");
            }
        }
        self.column += 1;
    }

    /// Null in NDJSON.
    pub fn empty(&mut self) {
        self.next();
        if self.format == Format::Ndjson {
            self.text.push_str("null");
        }
    }

    pub fn number(&mut self, number: u64) {
        self.next();
        self.text.push_str(itoa::Buffer::new().format(number));
    }

    pub fn number_or_empty(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.number(number),
            None => self.empty(),
        }
    }

    /// Any text. In CSV it is quoted where it needs to be, and marked for spreadsheets. (The writer of
    /// `csv-core` fills a buffer that its caller must flush: more code than this.)
    pub fn text(&mut self, text: &str) {
        self.next();
        match self.format {
            Format::Csv => {
                let mark = mark_of(text);
                if text.contains([',', '"', '\n', '\r']) {
                    self.text.extend(["\"", mark, &text.replace('"', "\"\""), "\""]);
                } else {
                    self.text.extend([mark, text]);
                }
            }
            Format::Ndjson => {
                let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
                if text.bytes().any(is_escaped) {
                    self.text.push_str(&serde_json::Value::from(text).to_string());
                } else {
                    self.text.extend(["\"", text, "\""]);
                }
            }
        }
    }

    pub fn text_or_empty(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.empty(),
        }
    }

    /// Text that needs neither quotes nor escapes in CSV, and is no formula.
    pub fn plain(&mut self, push: impl FnOnce(&mut String)) {
        self.next();
        let quote = if self.format == Format::Ndjson { "\"" } else { "" };
        self.text.push_str(quote);
        push(&mut self.text);
        self.text.push_str(quote);
    }

    pub fn id(&mut self, id: MemberId) {
        self.uuid(id.0);
    }

    /// The id of a row in another system, if it has one.
    pub fn row_id(&mut self, id: Option<[u8; 16]>) {
        match id {
            Some(id) => self.uuid(id),
            None => self.empty(),
        }
    }

    fn uuid(&mut self, id: [u8; 16]) {
        let text = &mut [0; Hyphenated::LENGTH];
        self.plain(|out| out.push_str(Uuid::from_bytes(id).hyphenated().encode_lower(text)));
    }

    pub fn time(&mut self, time: Timestamp) {
        self.plain(|out| time_text::push(time, out));
    }

    /// Decimal text; a string in NDJSON too, so that no reader parses it as a float. A negative one is not
    /// marked: a spreadsheet shall read it as the number that it is.
    pub fn amount(&mut self, amount: Money, exponent: u8) {
        self.plain(|out| amount::push(amount, exponent, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(format: Format, columns: &[&'static str], fill: impl FnOnce(&mut RowText<'_>)) -> String {
        let mut row = RowText::with_capacity(format, columns, 0);
        fill(&mut row);
        row.end();
        RowText::header(format, columns) + &String::from_utf8(row.into_bytes()).unwrap()
    }

    #[test]
    fn cells_are_quoted_and_marked_where_needed() {
        // text, cell
        let table = [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("-code", "'-code"),
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("+x,y", "\"'+x,y\""),
        ];
        for (text, expected) in table {
            assert_eq!(row(Format::Csv, &["a"], |row| row.text(text)), format!("a\n{expected}\n"));
        }
    }

    #[test]
    fn both_formats_write_the_same_row() {
        let id = Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0eff).into_bytes();
        let fill = |row: &mut RowText<'_>| {
            row.text("=x");
            row.empty();
            row.number(7);
            row.amount(Money(-150), 2);
            row.id(MemberId(id));
            row.row_id(Some(id));
            row.row_id(None);
            row.time(Timestamp(1));
        };
        let columns = &["a", "b", "c", "d", "e", "f", "g", "h"];
        let printed = "00010203-0405-0607-0809-0a0b0c0d0eff";
        assert_eq!(
            row(Format::Csv, columns, fill),
            format!("a,b,c,d,e,f,g,h\n'=x,,7,-1.50,{printed},{printed},,1970-01-01T00:00:00.000001Z\n")
        );
        assert_eq!(
            row(Format::Ndjson, columns, fill),
            format!(
                "{{\"a\":\"=x\",\"b\":null,\"c\":7,\"d\":\"-1.50\",\"e\":\"{printed}\",\"f\":\"{printed}\",\
                 \"g\":null,\"h\":\"1970-01-01T00:00:00.000001Z\"}}\n"
            )
        );
    }

    #[test]
    fn json_escapes_as_its_library_does() {
        for text in ["", "a\"b", "back\\slash", "tab\t", "nul\0", "\u{7f}\u{e9}\u{1f600}", "line\nbreak"] {
            let expected = format!("{{\"a\":{}}}\n", serde_json::to_string(text).unwrap());
            assert_eq!(row(Format::Ndjson, &["a"], |row| row.text(text)), expected);
        }
    }
}
