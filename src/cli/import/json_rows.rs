//! Rows of NDJSON, as `export --format ndjson` writes it: one object per line, a scalar value per column.
//!
//! Strings and numbers are cells, null and missing keys are empty ones. A number too large for an exact float
//! is refused, because it would change.

use std::{
    fmt,
    io::{self, BufRead, Read},
};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::cells::{Cells, LineFault, ROW_BYTES_MAX, as_text};

/// Floats below this represent every integer.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// A column: its name in the file and, if every object must have it, ours.
pub(super) struct JsonColumn {
    pub name: String,
    pub needed: Option<&'static str>,
}

pub(super) struct JsonRows {
    source: Box<dyn BufRead + Send>,
    columns: Vec<JsonColumn>,
    transcoded: bool,
    line: u64,
    buffer: Vec<u8>,
    values: Vec<Option<String>>,
}

impl JsonRows {
    pub fn new(source: Box<dyn BufRead + Send>, columns: Vec<JsonColumn>, transcoded: bool) -> Self {
        let values = columns.iter().map(|_| None).collect();
        Self { source, columns, transcoded, line: 0, buffer: Vec::new(), values }
    }

    /// Reads the next line that is not blank, into cells in the order of the columns. False at the end.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn next(&mut self, cells: &mut Cells) -> io::Result<bool> {
        while self.read_line()? {
            if !self.buffer.trim_ascii().is_empty() {
                cells.begin(self.line);
                cells.fault = self.take(cells).err();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads one line into `buffer`, at most one byte beyond the bound. `false` at the end.
    fn read_line(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let bound = ROW_BYTES_MAX as u64 + 2;
        if (&mut self.source).take(bound).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(false);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if ROW_BYTES_MAX < self.buffer.len() {
            self.source.skip_until(b'\n')?;
        }
        Ok(true)
    }

    fn take(&mut self, cells: &mut Cells) -> Result<(), LineFault> {
        if ROW_BYTES_MAX < self.buffer.len() {
            return Err(LineFault::TooLong);
        }
        let line = as_text(&self.buffer, self.transcoded)?;
        self.values.iter_mut().for_each(|value| *value = None);
        read_object(line, Row { columns: &self.columns, values: &mut self.values })
            .map_err(LineFault::BadJson)?;
        for (column, value) in self.columns.iter().zip(&self.values) {
            match (value, column.needed) {
                (None, Some(name)) => return Err(LineFault::KeyMissing(name)),
                (value, _) => cells.push(value.as_deref().unwrap_or_default()),
            }
        }
        Ok(())
    }
}

/// Returns the keys of an object, unmodified.
pub(super) fn keys(line: &str) -> Result<Vec<String>, String> {
    let mut keys = Vec::new();
    read_object(line, Keys(&mut keys))?;
    Ok(keys)
}

fn read_object<'de>(line: &'de str, seed: impl DeserializeSeed<'de>) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let read = seed.deserialize(&mut json).and_then(|_| json.end());
    // The position in the file is reported elsewhere.
    read.map_err(|error| {
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default();
        if error.column() == 0 {
            reason.to_string()
        } else {
            format!("{reason} at column {}", error.column())
        }
    })
}

struct Keys<'a>(&'a mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            self.0.push(key);
        }
        Ok(())
    }
}

struct Row<'a> {
    columns: &'a [JsonColumn],
    values: &'a mut [Option<String>],
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let Some(at) =
                self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(key.trim()))
            else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if self.values[at].is_some() {
                return Err(A::Error::custom(format_args!("`{key}` twice")));
            }
            self.values[at] = Some(map.next_value_seed(Plain)?);
        }
        Ok(())
    }
}

/// Formats a value as the text of a cell.
struct Plain;

impl<'de> DeserializeSeed<'de> for Plain {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Plain {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, a number or null")
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {
        if number.abs() < EXACT_FLOAT_MAX {
            Ok(number.to_string())
        } else {
            Err(E::custom("a number with more digits than can be read exactly: write it as a text"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn rows(text: &[u8]) -> Vec<String> {
        let column = |name: &str, needed| JsonColumn { name: name.into(), needed };
        let columns =
            vec![column("member", Some("member")), column("Ref", Some("sponsor")), column("level", None)];
        let mut rows = JsonRows::new(Box::new(Cursor::new(text.to_vec())), columns, false);
        let (mut all, mut cells) = (Vec::new(), Cells::default());
        while rows.next(&mut cells).unwrap() {
            all.push(cells.to_string());
        }
        all
    }

    #[test]
    fn objects_are_rows() {
        // line, cells
        let table = [
            (r#"{"member":"a","ref":null}"#, "1:a||"),
            ("\r\n {\"level\":3,\"REF\":\"b,\\\"\\n\",\"member\":\"=a\"}\r\n", "2:=a|b,\"\n|3"),
            (r#"{"member":42,"ref":-1,"level":10.50,"other":{"deep":[[[1]]]}}"#, "1:42|-1|10.5"),
            (r#"{"member":"a"}"#, "1:KeyMissing(\"sponsor\")"),
            (r#"{"member":"a","ref":"b","member":"c"}"#, "1:`member` twice at column 32"),
            (
                r#"{"member":["a"],"ref":"b"}"#,
                "1:invalid type: sequence, expected a text, a number or null at column 11",
            ),
            (
                r#"{"member":true,"ref":"b"}"#,
                "1:invalid type: boolean `true`, expected a text, a number or null at column 14",
            ),
            (r#"["a","b"]"#, "1:invalid type: sequence, expected an object"),
            (r#"{"member":"a","ref":"b"} {}"#, "1:trailing characters at column 26"),
            (r#"{"member":"a","#, "1:EOF while parsing a value at column 14"),
        ];
        for (line, expected) in table {
            assert_eq!(rows(line.as_bytes()), [expected], "{line}");
        }
        let big = "123456789012345678901234567890";
        assert!(
            rows(format!("{{\"member\":{big},\"ref\":null}}").as_bytes())[0].contains("write it as a text")
        );
        assert_eq!(rows(b"{\"member\":\"\xff\",\"ref\":null}\n"), ["1:NotUtf8"]);
    }

    #[test]
    fn long_lines_spoil_themselves() {
        let long =
            format!("{{\"member\":\"{}\"}}\n{{\"member\":1,\"ref\":2}}", "x".repeat(ROW_BYTES_MAX * 3));
        assert_eq!(rows(long.as_bytes()), ["1:TooLong", "2:1|2|"]);
    }
}
