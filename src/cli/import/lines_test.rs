use std::io::Write;

use super::*;
use crate::cli::import::columns::Column;

const COLUMNS: [Column; 3] = [("member", true), ("sponsor", true), ("code", false)];

fn open(bytes: &[u8]) -> Result<Lines, FileFault> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Lines::open(file.path(), &Layout::new(&COLUMNS), |source| source)
}

/// Returns each row as `line:member|sponsor|code`, or `line:fault`; and the number of empty ones.
fn rows_and_empty(bytes: &[u8]) -> (Vec<String>, u64) {
    let mut lines = open(bytes).unwrap();
    let mut rows = Vec::new();
    let columns = lines.columns();
    while let Some(batch) = lines.next_batch().unwrap() {
        rows.extend(columns.rows(&batch).map(|row| match row {
            Ok(row) => format!("{}:{}|{}|{}", row.line, row.cell(0), row.cell(1), row.cell(2)),
            Err((line, fault)) => format!("{line}:{fault:?}"),
        }));
    }
    (rows, lines.empty)
}

fn rows(bytes: &[u8]) -> Vec<String> {
    rows_and_empty(bytes).0
}

#[test]
fn rows_have_line_numbers_and_columns_any_order() {
    assert_eq!(rows(b"sponsor,note,member\n,x,a\n\na,y,b\n"), ["2:a||", "4:b|a|"]);
    assert_eq!(rows(b"member,sponsor,code\na,,c"), ["2:a||c"]);
    assert_eq!(rows("\u{feff}Member , Sponsor\r\n a ,\t\r\nb, a\r\n".as_bytes()), ["2:a||", "3:b|a|"]);
    assert_eq!(rows(b"\"member\",\"sponsor\"\n\"a,\"\"1\"\"\",b\n"), ["2:a,\"1\"|b|"]);
    assert_eq!(rows(b"\"member\nname\",member,sponsor\n\"x\ny\",a,\nz,b,a\n"), ["3:a||", "5:b|a|"]);
}

#[test]
fn spoilt_lines_spoil_only_themselves() {
    let mut bytes = b"member,sponsor\na,\nb\nc,d,e\nh\xff,\n".to_vec();
    bytes.extend(vec![b'x'; 400_000]);
    bytes.extend(b"\n\"i\"x,\nj,\n\"k,");
    let after = "8:j||";
    let open = "9:OpenQuote { line: 9, at_end: true }";
    let text = "7:TextAfterQuote { opened: 7, closed: 7 }";
    assert_eq!(rows(&bytes), ["2:a||", "3:CutOff", "4:CutOff", "5:NotUtf8", "6:TooLong", text, after, open]);
}

#[test]
fn rows_of_empty_cells_are_counted_and_passed_over() {
    let file = b"member,sponsor\n,\n\n , \t\na,\n,,,\n \n\"\",\n\r\nb,a\n";
    assert_eq!(rows_and_empty(file), (vec!["5:a||".into(), "10:b|a|".into()], 5));
    let file = b"{\"member\":\"a\",\"sponsor\":null}\n\n{\"member\":null,\"sponsor\":\" \"}\n";
    assert_eq!(rows_and_empty(file), (vec!["1:a||".into()], 1));
}

#[test]
fn marks_against_spreadsheets_are_taken_off_where_they_are_put() {
    let file = b"member,sponsor,code\na,,'-x\nb,a,'x\nc,a,''-x\n";
    assert_eq!(rows(file), ["2:a||-x", "3:b|a|'x", "4:c|a|'-x"]);
    assert_eq!(rows(b"{\"member\":\"a\",\"sponsor\":null,\"code\":\"'-x\"}"), ["1:a||'-x"]);
}

/// The same rows as written by Excel, Google Sheets, MySQL, PostgreSQL and `export`.
#[test]
fn one_list_in_every_form_is_the_same_list() {
    let utf16 = |text: &str, big: bool| -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    };
    let tabs = "sponsor\tname\tmember\tcode\r\n\tZo\u{eb}\tann\tA1\r\nann\t\"x\ty\"\tbob\t\r\n";
    let forms: [(&str, Vec<u8>); 10] = [
        ("plain", b"sponsor,name,member,code\n,Zo,ann,A1\nann,\"x,y\",bob,\n".to_vec()),
        ("Google Sheets", b"sponsor,name,member,code\r\n,Zo,ann,A1\r\nann,\"x,y\",bob,".to_vec()),
        ("an old Macintosh", b"sponsor,name,member,code\r,Zo,ann,A1\rann,\"x,y\",bob,\r".to_vec()),
        (
            "Excel, CSV UTF-8 in Europe",
            "\u{feff}sponsor;name;member;code\r\n;Zo\u{eb};ann;A1\r\nann;\"x;y\";bob;\r\n".into(),
        ),
        (
            "Excel, with a line for itself",
            b"sponsor|name|member|code\n|Zo|ann|A1\nann|\"x|y\"|bob|\n".to_vec(),
        ),
        ("Excel, Unicode text", utf16(&format!("\u{feff}{tabs}"), false)),
        ("the same, big-endian", utf16(&format!("\u{feff}{tabs}"), true)),
        ("mysql --batch", tabs.replace('"', "").replace("x\ty", "x y").into()),
        ("COPY WITH (HEADER)", tabs.replace("\r\n", "\n").replace("\"x\ty\"", "x\\ty").into()),
        (
            "ours",
            b"{\"sponsor\":null,\"member\":\"ann\",\"code\":\"A1\"}\n\
              {\"member\":\"bob\",\"sponsor\":\"ann\"}\n"
                .to_vec(),
        ),
    ];
    let rows_of = |bytes: &[u8]| -> Vec<String> {
        rows(bytes)
            .into_iter()
            .map(|row| row.split_once(':').map(|(_, cells)| cells.to_string()).unwrap())
            .collect()
    };
    for (program, bytes) in forms {
        assert_eq!(rows_of(&bytes), ["ann||A1", "bob|ann|"], "{program}");
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(&bytes).unwrap();
        assert_eq!(rows_of(&zip.finish().unwrap()), ["ann||A1", "bob|ann|"], "{program}, packed");
    }
    assert_eq!(rows(b"sep=;\r\nsponsor;member\r\n;ann\r\n"), ["3:ann||"], "lines are those of the file");
}

#[test]
fn text_that_was_no_text_in_utf_16_is_refused() {
    let mut bytes: Vec<u8> =
        "\u{feff}member,sponsor\na,\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.extend([0x00, 0xd8]);
    bytes.extend(",\nb,\n".encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(rows(&bytes), ["2:a||", "3:NotUtf16", "4:b||"]);
    let said = LineFault::NotUtf16.to_string();
    assert!(said.contains("UTF-16") && said.contains("half a surrogate pair"), "{said}");
    // An extra byte at the end of the file.
    let mut bytes: Vec<u8> =
        "\u{feff}member,sponsor\na,\nb,".encode_utf16().flat_map(u16::to_be_bytes).collect();
    bytes.push(0);
    assert_eq!(rows(&bytes), ["2:a||", "3:NotUtf16"]);
    let mut bytes: Vec<u8> = "\u{feff}{\"member\":\"a\",\"sponsor\":null}\n{\"member\":\"b"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    bytes.push(b'x');
    assert_eq!(rows(&bytes), ["1:a||", "2:NotUtf16"]);
    // In UTF-8 the replacement character is an ordinary character.
    assert_eq!(rows("member,sponsor\n\u{fffd},\n".as_bytes()), ["2:\u{fffd}||"]);
}

#[test]
fn headers_are_checked() {
    // file, part of the error
    let table: [(&[u8], &str); 14] = [
        (b"", "no header line"),
        (b"\r\n\n", "no header line"),
        (b"{\0\"\0m\0", "is UTF-16 text without a byte order mark"),
        (b"\xef\xbb\xbf", "no header line"),
        (b"member,parent\n", "no column `sponsor` (it has: member, parent); --columns sponsor=NAME"),
        (b"member,sponsor,member\n", "names `member` twice"),
        (b"caf\xe9,member,sponsor\n", "the header is not text of names (UTF-8,"),
        (b"\xff\xfe,member,sponsor\n", "header"),
        (&[0x1f, 0x8b, 8, 0], "cannot read"),
        (b"PK\x03\x04\x14\0\0\0", "is a zip archive: unpack it first"),
        (b"m\0e\0m\0b\0e\0r\0,\0", "is UTF-16 text without a byte order mark"),
        (b"{\n\"member\": 1}\n", "the first line is not an object (NDJSON has one on each line)"),
        (b"{\"member\":1}\n", "no column `sponsor` (it has: member)"),
        (b"[{\"member\":1}]\n", "is a JSON array: write one object a line (NDJSON)"),
    ];
    for (bytes, expected) in table {
        let error = open(bytes).err().expect("the header is wrong").to_string();
        assert!(error.contains(expected), "{bytes:?}: {error}");
    }
    assert_eq!(open(b"member,sponsor,note,,\n").unwrap().ignored, ["note"]);
    assert_eq!(open(b"{\"member\":1,\"sponsor\":2,\"Note\":3}\n").unwrap().ignored, ["note"]);
}

#[test]
fn gzip_is_recognised_and_a_cut_is_an_error() {
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut plain = String::new();
    (0..50_000).for_each(|number| plain += &format!("m{number},\n"));
    zip.write_all(format!("member,sponsor\n{plain}").as_bytes()).unwrap();
    let zipped = zip.finish().unwrap();
    assert_eq!(rows(&zipped).len(), 50_000);
    let mut lines = open(&zipped[..zipped.len() / 2]).unwrap();
    let fault = loop {
        match lines.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the end should not be reached"),
            Err(fault) => break fault.to_string(),
        }
    };
    assert!(fault.contains("cannot read"), "{fault}");
}
