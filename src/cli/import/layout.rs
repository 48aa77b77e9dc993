//! Finds the declared columns in the header of a file, and its delimiter.

use std::collections::BTreeMap;

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::columns::Column;

/// Delimiters, the most common first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The caller's options for finding the columns.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    columns: Vec<Column>,
    /// Our names, lower case, and those of the header.
    names: BTreeMap<&'static str, String>,
    delimiter: Option<u8>,
    /// The flag that sets names.
    pub flag: &'static str,
}

/// Faults of a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// Not text.
    Unreadable,
    Twice(String),
    /// Our name, the expected name, and what the header has instead.
    Missing {
        column: &'static str,
        name: String,
        present: String,
    },
}

/// A header with all required columns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Position in a row of each requested column.
    pub positions: Vec<Option<usize>>,
    /// Columns of the file that are not read.
    pub ignored: Vec<String>,
    /// Number of columns in the file.
    pub count: usize,
}

/// A header of delimited text, its delimiter and its position.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub header: Header,
    pub delimiter: u8,
    /// Bytes and lines before the header: what Excel reads as `sep=;`.
    pub skip: usize,
    pub first_line: u64,
}

impl Layout {
    /// Finds columns by our own names.
    pub fn new(columns: &'static [Column]) -> Self {
        Self::with_more(columns, [])
    }

    /// As [`Layout::new`], with more columns that a file need not have: a few, of one plan. Their names are
    /// kept for as long as the process runs.
    pub fn with_more(columns: &'static [Column], more: impl IntoIterator<Item = String>) -> Self {
        let more = more.into_iter().map(|name| (&*name.leak(), false));
        let columns = columns.iter().copied().chain(more).collect();
        Self { columns, names: BTreeMap::new(), delimiter: None, flag: "--columns" }
    }

    /// Sets the delimiter, and name pairs such as `member=ID` that came with `flag`.
    ///
    /// # Errors
    /// A pair is invalid.
    pub fn given(
        mut self,
        delimiter: Option<u8>,
        flag: &'static str,
        pairs: &[String],
    ) -> Result<Self, String> {
        (self.delimiter, self.flag) = (delimiter, flag);
        for pair in pairs {
            let (ours, theirs) = pair
                .split_once('=')
                .ok_or_else(|| format!("{flag}: `{pair}` is not of the form member=ID"))?;
            let known = self.columns.iter().find(|(column, _)| column.eq_ignore_ascii_case(ours.trim()));
            let known = known.ok_or_else(|| {
                let all: Vec<&str> = self.columns.iter().map(|(column, _)| *column).collect();
                format!("{flag}: there is no column `{}` (there are {})", ours.trim(), all.join(", "))
            })?;
            let name = normal(theirs);
            if name.is_empty()
                || self.names.values().any(|other| *other == name)
                || self.names.insert(known.0, name).is_some()
            {
                return Err(format!("{flag}: `{pair}` names nothing, or what was named before"));
            }
        }
        Ok(self)
    }

    /// Returns the requested columns, with their names in the file and whether they are required.
    pub fn wanted(&self) -> impl Iterator<Item = (&'static str, &str, bool)> {
        self.columns.iter().map(|(column, needed)| match self.names.get(column) {
            // A column that was named explicitly is required.
            Some(name) => (*column, name.as_str(), true),
            None => (*column, *column, *needed),
        })
    }

    /// Finds the columns in a header.
    ///
    /// # Errors
    /// See [`HeaderFault`].
    pub fn find(&self, present: &[String]) -> Result<Header, HeaderFault> {
        let present: Vec<String> = present.iter().map(|name| normal(name)).collect();
        let mut header = Header { positions: Vec::new(), ignored: Vec::new(), count: present.len() };
        for (column, name, needed) in self.wanted() {
            let mut at = present.iter().enumerate().filter(|(_, other)| *other == name).map(|(at, _)| at);
            // A column is not found by our name if that name was assigned to another one.
            let taken = column == name
                && self.names.values().any(|other| other == name)
                && !self.names.contains_key(column);
            let first = at.next().filter(|_| !taken);
            if first.is_some() && at.next().is_some() {
                return Err(HeaderFault::Twice(name.into()));
            }
            if needed && first.is_none() {
                let present = present.join(", ");
                return Err(HeaderFault::Missing { column, name: name.into(), present });
            }
            header.positions.push(first);
        }
        let is_read = |at: &usize| header.positions.contains(&Some(*at));
        header.ignored = present
            .iter()
            .enumerate()
            .filter(|(at, name)| !name.is_empty() && !is_read(at))
            .map(|(_, name)| name.clone())
            .collect();
        Ok(header)
    }

    /// Finds the header at the beginning of a text: the delimiter is the given one, or the one that yields
    /// the required columns.
    ///
    /// # Errors
    /// The fault under the delimiter that yields the most cells.
    pub fn detect(&self, head: &[u8]) -> Result<Found, HeaderFault> {
        let (said, skip) = separator_line(head);
        let first_line = if skip == 0 { 1 } else { 2 };
        let candidates: Vec<u8> = match self.delimiter.or(said) {
            Some(delimiter) => vec![delimiter],
            None => DELIMITERS.to_vec(),
        };
        let mut worst: Option<(usize, HeaderFault)> = None;
        for delimiter in candidates {
            let names = first_record(&head[skip..], delimiter);
            let (count, found) = match &names {
                Some(names) => (names.len(), self.find(names)),
                None => (0, Err(HeaderFault::Unreadable)),
            };
            match found {
                Ok(header) => return Ok(Found { header, delimiter, skip, first_line }),
                Err(fault) if worst.as_ref().is_none_or(|(most, _)| *most < count) => {
                    worst = Some((count, fault));
                }
                Err(_) => {}
            }
        }
        Err(worst.map_or(HeaderFault::Unreadable, |(_, fault)| fault))
    }
}

/// Normalizes a column name for comparison.
fn normal(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Parses Excel's delimiter line: a first line `sep=;`, perhaps in quotes. Returns its length too.
fn separator_line(head: &[u8]) -> (Option<u8>, usize) {
    let end = head.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(head.len());
    let line =
        head[..end].strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(&head[..end]);
    match line {
        [s, e, p, b'=', delimiter]
            if [*s, *e, *p].eq_ignore_ascii_case(b"sep") && is_delimiter(*delimiter) =>
        {
            let line_end = if head[end..].starts_with(b"\r\n") { 2 } else { 1 };
            (Some(*delimiter), (end + line_end).min(head.len()))
        }
        _ => (None, 0),
    }
}

/// ASCII punctuation that is no delimiter, since it occurs in names, numbers, times or quotes.
const NEVER_DELIMITERS: &str = "\"'-+._:@";

/// Returns whether a byte can be a delimiter.
fn is_delimiter(byte: u8) -> bool {
    byte == b'\t' || (byte.is_ascii_punctuation() && !NEVER_DELIMITERS.as_bytes().contains(&byte))
}

/// Parses a delimiter from the command line.
///
/// # Errors
/// When it cannot be one.
pub(super) fn parse_delimiter(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("tab" | "\\t", _) => Ok(b'\t'),
        ("comma", _) => Ok(b','),
        ("semicolon", _) => Ok(b';'),
        ("pipe", _) => Ok(b'|'),
        (_, [byte]) if is_delimiter(*byte) => Ok(*byte),
        _ => Err(format!(
            "not a delimiter: these are comma, semicolon, tab, pipe and ASCII punctuation except \
             {NEVER_DELIMITERS}"
        )),
    }
}

/// Returns the cells of the first record that is not an empty line. `None` where it is not text, or does not
/// end within the head.
fn first_record(head: &[u8], delimiter: u8) -> Option<Vec<String>> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    let (mut text, mut ends) = (vec![0; head.len() + 1], vec![0; head.len() + 2]);
    let (mut result, read, written, mut ended) = reader.read_record(head, &mut text, &mut ends);
    if result == ReadRecordResult::InputEmpty && read == head.len() {
        let more;
        (result, _, _, more) = reader.read_record(&[], &mut text[written..], &mut ends[ended..]);
        ended += more;
    }
    let text = std::str::from_utf8(&text[..written]).ok()?;
    let mut begin = 0;
    let mut names = Vec::new();
    for end in &ends[..ended] {
        names.push(text.get(begin..*end)?.to_string());
        begin = *end;
    }
    let is_text = !text.contains(['\0', char::REPLACEMENT_CHARACTER]);
    (result == ReadRecordResult::Record && is_text && !names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [("member", true), ("sponsor", true), ("code", false), ("id", false)];

    fn detect(layout: &Layout, head: &str) -> Result<(char, Vec<Option<usize>>, usize), HeaderFault> {
        layout
            .detect(head.as_bytes())
            .map(|found| (char::from(found.delimiter), found.header.positions, found.skip))
    }

    fn given(delimiter: Option<u8>, pairs: &[&str]) -> Result<Layout, String> {
        Layout::new(&COLUMNS).given(
            delimiter,
            "--columns",
            &pairs.iter().map(|pair| (*pair).to_string()).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn the_delimiter_is_the_one_that_gives_the_columns() {
        let layout = Layout::new(&COLUMNS);
        // head, delimiter, positions of member, sponsor and code, skipped bytes
        let table: [(&str, char, [Option<usize>; 3], usize); 10] = [
            ("member,sponsor\na;b", ',', [Some(0), Some(1), None], 0),
            ("Sponsor ;CODE; member\r\n", ';', [Some(2), Some(0), Some(1)], 0),
            ("member\tsponsor", '\t', [Some(0), Some(1), None], 0),
            ("\n\nmember|note|sponsor\n", '|', [Some(0), Some(2), None], 0),
            ("\"member\";\"sponsor\"\n", ';', [Some(0), Some(1), None], 0),
            ("\"full,\nname\";member;sponsor\n", ';', [Some(1), Some(2), None], 0),
            ("sep=;\r\nmember;sponsor\n", ';', [Some(0), Some(1), None], 7),
            ("SEP=\t\nmember\tsponsor\n", '\t', [Some(0), Some(1), None], 6),
            ("\"sep=^\"\nmember^sponsor\n", '^', [Some(0), Some(1), None], 8),
            ("member;;sponsor;;;\n", ';', [Some(0), Some(2), None], 0),
        ];
        for (head, delimiter, positions, skip) in table {
            let found = detect(&layout, head);
            let [member, sponsor, code] = positions;
            assert_eq!(found, Ok((delimiter, vec![member, sponsor, code, None], skip)), "{head:?}");
        }
        assert_eq!(
            detect(&given(Some(b':'), &[]).unwrap(), "member:sponsor\n"),
            Ok((':', vec![Some(0), Some(1), None, None], 0))
        );
        let missing = detect(&given(Some(b';'), &[]).unwrap(), "member,sponsor\n");
        assert!(matches!(missing, Err(HeaderFault::Missing { column: "member", .. })), "{missing:?}");
    }

    #[test]
    fn headers_without_the_columns_are_told_by_the_best_delimiter() {
        let missing = |present: &str| HeaderFault::Missing {
            column: "sponsor",
            name: "sponsor".into(),
            present: present.into(),
        };
        let layout = Layout::new(&COLUMNS);
        assert_eq!(detect(&layout, "member;parent,x;note\n"), Err(missing("member, parent,x, note")));
        assert_eq!(detect(&layout, "member,sponsor,member\n"), Err(HeaderFault::Twice("member".into())));
        assert_eq!(layout.detect(b"\xe9,member,sponsor\n"), Err(HeaderFault::Unreadable));
        assert_eq!(detect(&layout, ""), Err(HeaderFault::Unreadable));
        // Unread columns may be duplicated.
        assert_eq!(layout.detect(b"member,note,note,sponsor\n").unwrap().header.ignored, ["note", "note"]);
    }

    #[test]
    fn columns_have_the_names_that_are_given() {
        let layout = given(None, &["member=ID", " Sponsor = Parent ID "]).unwrap();
        assert_eq!(
            detect(&layout, "id,parent id,sponsor\n"),
            Ok((',', vec![Some(0), Some(1), None, None], 0))
        );
        let fault = detect(&layout, "id,parent\n");
        assert_eq!(
            fault,
            Err(HeaderFault::Missing {
                column: "sponsor",
                name: "parent id".into(),
                present: "id, parent".into()
            })
        );
        // A column that was named is required, even one that is otherwise optional.
        assert!(detect(&given(None, &["code=Ref"]).unwrap(), "member,sponsor\n").is_err());
        for (pairs, said) in [
            (&["member"][..], "not of the form"),
            (&["place=x"][..], "there is no column `place`"),
            (&["code="][..], "names nothing"),
            (&["code=x", "id=X"][..], "named before"),
            (&["code=x", "code=y"][..], "named before"),
        ] {
            assert!(given(None, pairs).unwrap_err().contains(said), "{pairs:?}");
        }
    }

    #[test]
    fn delimiters_are_named() {
        for (text, byte) in
            [(",", b','), ("tab", b'\t'), ("\\t", b'\t'), ("\t", b'\t'), ("pipe", b'|'), ("^", b'^')]
        {
            assert_eq!(parse_delimiter(text), Ok(byte), "{text}");
        }
        for bad in ["", "x", "1", "\"", "-", ",,", " ", "\n", "\u{e9}"] {
            assert!(parse_delimiter(bad).is_err(), "{bad:?}");
        }
    }
}
