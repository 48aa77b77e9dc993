//! The bytes of a file as text: decompresses gzip, strips a byte order mark, transcodes UTF-16 that has one.
//! Identifies files that are not rows of text.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use encoding_rs_io::DecodeReaderBytesBuilder;
use flate2::bufread::GzDecoder;

/// File buffer size: large reads keep a network disk busy.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes examined to identify a file: headers end within it, and archives have listed their first names.
const HEAD_BYTES: usize = 64 << 10;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes after a gzip stream that a message shows.
const FOLLOWING_BYTES_SHOWN: usize = 16;

/// A file that was opened.
pub(super) struct Source {
    /// The beginning of the text.
    pub head: Vec<u8>,
    text: Box<dyn BufRead + Send>,
    /// It was UTF-16. Invalid sequences became replacement characters.
    pub transcoded: bool,
}

impl Source {
    /// # Errors
    /// When the file cannot be read, or decompressed.
    pub fn open(file: Box<dyn Read + Send>) -> io::Result<Self> {
        let (start, file) = headed(file, GZIP.len())?;
        let file: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(BUFFER_BYTES, file));
        let bytes: Box<dyn Read + Send> =
            if start == GZIP { Box::new(Gunzip::new(file)) } else { Box::new(file) };
        let (start, bytes) = headed(bytes, 4)?;
        // The UTF-32 mark begins with that of UTF-16; it is left for `kind` to detect.
        let is_utf16 =
            matches!(start.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) && start != [0xff, 0xfe, 0, 0];
        let has_mark = is_utf16 || start.starts_with(&[0xef, 0xbb, 0xbf]);
        let text = DecodeReaderBytesBuilder::new()
            .utf8_passthru(true)
            .strip_bom(has_mark)
            .bom_sniffing(has_mark)
            .build(bytes);
        let (head, text) = headed(Box::new(text), HEAD_BYTES)?;
        Ok(Self { head, text: Box::new(BufReader::with_capacity(BUFFER_BYTES, text)), transcoded: is_utf16 })
    }

    /// Returns the whole text, from the `skip`-th byte of the head on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn text_from(mut self, skip: usize) -> io::Result<Box<dyn BufRead + Send>> {
        io::copy(&mut (&mut self.text).take(skip as u64), &mut io::sink())?;
        Ok(self.text)
    }
}

/// The content of a gzip file: of all its streams, one after the other.
struct Gunzip {
    stream: Option<GzDecoder<Box<dyn BufRead + Send>>>,
    /// The first bytes after the end of a stream, which must begin another one; empty in the first.
    next: Vec<u8>,
}

impl Gunzip {
    fn new(file: Box<dyn BufRead + Send>) -> Self {
        Self { stream: Some(GzDecoder::new(file)), next: Vec::new() }
    }
}

impl Read for Gunzip {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(stream) = &mut self.stream {
            match stream.read(into) {
                Ok(0) if !into.is_empty() => {
                    let rest = stream.get_mut().fill_buf()?;
                    self.next = rest[..rest.len().min(FOLLOWING_BYTES_SHOWN)].to_vec();
                    let ended = self.stream.take().filter(|_| !self.next.is_empty());
                    self.stream = ended.map(|ended| GzDecoder::new(ended.into_inner()));
                }
                Err(error) if is_bad_gzip(&error) => {
                    let is_other = stream.header().is_none() && !self.next.is_empty();
                    return Err(io::Error::new(
                        error.kind(),
                        if is_other {
                            format!("other bytes follow the gzip stream: {}", self.next.escape_ascii())
                        } else {
                            format!("the gzip stream is damaged or cut off: {error}")
                        },
                    ));
                }
                read => return read,
            }
        }
        Ok(0)
    }
}

/// Whether the bytes are wrong, rather than unreadable.
fn is_bad_gzip(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// Returns the first bytes of a source, fewer only where it ends, and the whole source with them.
fn headed(mut source: Box<dyn Read + Send>, bytes: usize) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut head = Vec::with_capacity(bytes);
    (&mut source).take(bytes as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Box::new(Cursor::new(head).chain(source))))
}

/// Identifies a file without readable rows, and suggests what to do. Only for a head in which no header was
/// found: text can begin with anything.
pub(super) fn kind(head: &[u8]) -> Option<(String, &'static str)> {
    const SAVE: &str = "save it as CSV (UTF-8)";
    const UNPACK: &str = "unpack it first";
    const LINES: &str = "write one object a line (NDJSON)";
    let text = String::from_utf8_lossy(&head[..head.len().min(256)]);
    let text = text.trim_start().to_ascii_lowercase();
    let zeros_at = |parity: usize| {
        4 <= head.len() && head.iter().take(64).skip(parity).step_by(2).all(|byte| *byte == 0)
    };
    let named = match head {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some(("UTF-32 text", SAVE)),
        _ if zeros_at(1) || zeros_at(0) => {
            Some(("UTF-16 text without a byte order mark", "save it as UTF-8, or with the mark"))
        }
        _ if head.starts_with(b"PGCOPY\n") => {
            Some(("a binary COPY of PostgreSQL", "copy WITH (FORMAT csv, HEADER)"))
        }
        _ if head.starts_with(b"PGDMP") => {
            Some(("a dump of PostgreSQL", "copy the table WITH (FORMAT csv, HEADER)"))
        }
        _ if text.starts_with('[') => Some(("a JSON array", LINES)),
        _ if text.starts_with("-- ") || text.starts_with("/*") || text.starts_with("insert into") => {
            Some(("a script of SQL", "export the table as CSV"))
        }
        _ => None,
    };
    if let Some((kind, advice)) = named {
        return Some((kind.into(), advice));
    }
    let found = infer::get(head)?;
    let (kind, advice) = match found.extension() {
        "xlsx" => ("an Excel workbook (.xlsx)", SAVE),
        "xls" | "doc" | "ppt" | "msi" => ("an old Office file (such as .xls)", SAVE),
        "ods" => ("an OpenDocument spreadsheet (.ods)", SAVE),
        "zip" => ("a zip archive", UNPACK),
        "bz2" | "xz" | "zst" | "7z" | "rar" | "tar" | "lz4" | "Z" | "lz" => {
            return Some((
                format!("an archive ({})", found.extension()),
                "unpack it first; only gzip is read packed",
            ));
        }
        "html" | "xml" => ("a page of HTML or XML", SAVE),
        _ => return Some((format!("a file of the kind {}", found.mime_type()), SAVE)),
    };
    Some((kind.into(), advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (String, bool) {
        let source = Source::open(Box::new(Cursor::new(bytes.to_vec()))).unwrap();
        let transcoded = source.transcoded;
        assert!(source.head.len() <= HEAD_BYTES);
        let head = source.head.clone();
        let mut text = Vec::new();
        source.text_from(0).unwrap().read_to_end(&mut text).unwrap();
        assert!(text.starts_with(&head));
        (String::from_utf8(text).unwrap(), transcoded)
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    }

    #[test]
    fn marks_and_packing_are_taken_off() {
        let long = "row \u{1f600}\u{e9},".repeat(40_000);
        for text in ["", "m", "member,sponsor\n", long.as_str()] {
            assert_eq!(read(text.as_bytes()), (text.into(), false));
            assert_eq!(read(format!("\u{feff}{text}").as_bytes()), (text.into(), false));
            for big in [false, true] {
                assert_eq!(
                    read(&utf16(&format!("\u{feff}{text}"), big)),
                    (text.into(), true),
                    "big-endian: {big}"
                );
            }
            let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            io::Write::write_all(&mut zip, &utf16(&format!("\u{feff}{text}"), false)).unwrap();
            assert_eq!(read(&zip.finish().unwrap()), (text.into(), true));
        }
        let mut broken = utf16("\u{feff}a,", false);
        broken.extend([0, 0xd8]);
        assert_eq!(read(&broken).0, "a,\u{fffd}", "half a pair of surrogates");
    }

    #[test]
    fn gzip_streams_are_read_one_after_another_and_what_is_none_is_named() {
        let zip = |text: &str| {
            let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
            zip.finish().unwrap()
        };
        let two = [zip("member,"), zip("sponsor\n")].concat();
        assert_eq!(read(&two).0, "member,sponsor\n");
        assert_eq!(read(&[zip(""), zip("a")].concat()).0, "a");
        let fault = |bytes: Vec<u8>| {
            let source = Source::open(Box::new(Cursor::new(bytes)))?;
            source.text_from(0)?.read_to_end(&mut Vec::new())
        };
        let said = |bytes: Vec<u8>| fault(bytes).unwrap_err().to_string();
        for (follows, shown) in [
            ("a", "a"),
            ("member,sponsor\n", "member,sponsor\\n"),
            ("\0\0\0\0\0\0\0\0\0\0", "\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"),
            ("more than sixteen bytes", "more than sixtee"),
        ] {
            let bytes = [zip("member,sponsor\n").as_slice(), follows.as_bytes()].concat();
            assert_eq!(said(bytes), format!("other bytes follow the gzip stream: {shown}"));
        }
        let whole = zip("member,sponsor\n");
        for cut in [3, whole.len() / 2, whole.len() - 1] {
            let said = said(whole[..cut].to_vec());
            assert!(said.starts_with("the gzip stream is damaged or cut off: "), "{cut}: {said}");
        }
    }

    #[test]
    fn other_files_are_named() {
        let zip = |name: &str| {
            let mut head = b"PK\x03\x04".to_vec();
            head.extend([0; 22]);
            head.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            head.extend([0, 0]);
            head.extend(name.as_bytes());
            head.extend([0; 64]);
            head
        };
        let mut ods = zip("mimetype");
        ods.truncate(38);
        ods.extend(b"application/vnd.oasis.opendocument.spreadsheet");
        let table: [(Vec<u8>, &str); 15] = [
            (zip("members.csv"), "a zip archive"),
            (ods, "an OpenDocument spreadsheet (.ods)"),
            (
                [&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1][..], &[0; 600]].concat(),
                "an old Office file (such as .xls)",
            ),
            (b"BZh91AY&SY".to_vec(), "an archive (bz2)"),
            (b"\xfd7zXZ\0\0\0".to_vec(), "an archive (xz)"),
            (b"\x28\xb5\x2f\xfd\0\0\0\0".to_vec(), "an archive (zst)"),
            (b"7z\xbc\xaf\x27\x1c\0\0".to_vec(), "an archive (7z)"),
            (utf16("member,sponsor", false), "UTF-16 text without a byte order mark"),
            (utf16("member,sponsor", true), "UTF-16 text without a byte order mark"),
            (b"\xff\xfe\0\0m\0\0\0".to_vec(), "UTF-32 text"),
            (b" [{\"member\":1}]".to_vec(), "a JSON array"),
            (b"-- MySQL dump 10.13".to_vec(), "a script of SQL"),
            (b"PGCOPY\n\xff\r\n\0".to_vec(), "a binary COPY of PostgreSQL"),
            (b"<html><table><tr>".to_vec(), "a page of HTML or XML"),
            (b"SQLite format 3\0".to_vec(), "a file of the kind application/vnd.sqlite3"),
        ];
        for (head, expected) in table {
            let (kind, advice) = kind(&head).unwrap_or_else(|| panic!("{expected}"));
            assert_eq!(kind, expected);
            assert!(!advice.is_empty());
        }
        assert_eq!(kind(b"parent,child\n1,2\n"), None);
        assert_eq!(kind(b""), None);
    }
}
