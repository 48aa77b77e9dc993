//! Files as written by other programs, and the flags that tell how to read them.

use std::io::Write;

use crate::support::{Place, Ran, run, verified};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Imports a file with flags into a new directory; also returns the members as `code<sponsor@parent.slot`, in
/// join order.
fn import(place: &Place, content: impl AsRef<[u8]>, flags: &[&str]) -> (Ran, Vec<String>) {
    let (file, data) = (place.file("members.csv", content), place.text("data"));
    if place.path("data").exists() {
        std::fs::remove_dir_all(place.path("data")).unwrap();
    }
    let ran = run([&["import", &file, "--data-dir", &data, "--json"], flags].concat());
    // All rows, or the valid ones, were imported.
    let tree = if matches!(ran.code, Some(0 | 16)) { tree(&data) } else { Vec::new() };
    (ran, tree)
}

fn tree(data: &str) -> Vec<String> {
    let rows = run(["export", "--data-dir", data]).ends_with(0).out;
    let rows: Vec<Vec<&str>> = rows.lines().skip(1).map(|row| row.split(',').collect()).collect();
    let code = |id: &str| rows.iter().find(|row| row[0] == id).map_or("-", |row| row[9]);
    rows.iter().map(|row| format!("{}<{}@{}.{}", row[9], code(row[1]), code(row[2]), row[3])).collect()
}

const NETWORK: [&str; 3] = ["root<-@-.", "anna<root@root.0", "bert<anna@anna.0"];

#[test]
fn files_of_other_programs_give_the_same_network() {
    let place = Place::new();
    // A note with a line break is a cell of one row; empty rows come from below the table.
    let excel = "\u{feff}Member;Sponsor;Joined_At;Note\r\nroot;;2025-03-01;\"first\r\nof; all\"\r\n\
                 anna;root;2025-03-02;\r\nbert;anna;;\r\n;;;\r\n;;;\r\n";
    let tabs = excel.replace(';', "\t").replace("of\t all", "of; all");
    let forms: [(&str, Vec<u8>, u64); 7] = [
        ("Excel, CSV UTF-8", excel.into(), 2),
        ("Excel, with sep=", excel.replacen('\u{feff}', "\u{feff}sep=;\r\n", 1).into(), 2),
        ("Excel, Unicode text", utf16(&tabs), 2),
        ("the same, packed", gzip(&utf16(&tabs)), 2),
        (
            "Google Sheets",
            b"member,sponsor,joined_at\r\nroot,,2025/03/01\r\nanna,root,2025-03-02 0:00:00\r\nbert,anna,"
                .to_vec(),
            0,
        ),
        (
            "Go",
            b"member|sponsor|joined_at\nroot||2025-03-01 00:00:00 +0000 UTC\n\
              anna|root|2025-03-02 00:00:00 UTC\nbert|anna|\n"
                .to_vec(),
            0,
        ),
        (
            "NDJSON",
            gzip(
                b"{\"member\":\"root\",\"sponsor\":null,\"joined_at\":\"2025-03-01\"}\n\
                  {\"sponsor\":\"root\",\"member\":\"anna\",\"joined_at\":\"2025-03-02\"}\n\
                  {\"member\":\"bert\",\"sponsor\":\"anna\",\"joined_at\":null}\n",
            ),
            0,
        ),
    ];
    for (program, bytes, empty) in forms {
        let (ran, tree) = import(&place, bytes, &["--strict"]);
        assert_eq!(tree, NETWORK, "{program}: {}", ran.err);
        let object = ran.json();
        assert_eq!((&object["rows_empty"], &object["roots"]), (&empty.into(), &1.into()), "{program}");
        let rows = run(["export", "--data-dir", &place.text("data")]).ends_with(0).out;
        assert!(
            rows.contains(",2025-03-01T00:00:00.000000Z,") && rows.contains(",2025-03-02T00:00:00.000000Z,"),
            "{program}"
        );
    }
}

#[test]
fn what_export_writes_in_either_format_is_read_back() {
    let place = Place::new();
    let from = place.text("from");
    run(["demo", "--orders", "0", "--members", "300", "--data-dir", &from, "--no-serve"]).ends_with(0);
    let expected = verified(&from)["network_digest"].clone();
    for (format, packed) in [("csv", false), ("csv", true), ("ndjson", false), ("ndjson", true)] {
        let (members, bonuses) = (place.text("members"), place.text("bonuses"));
        run(["export", "--data-dir", &from, "--format", format, "-o", &members, "--bonuses", &bonuses])
            .ends_with(0);
        if packed {
            for name in ["members", "bonuses"] {
                let bytes = std::fs::read(place.path(name)).unwrap();
                place.file(name, gzip(&bytes));
            }
        }
        let to = place.text(&format!("{format}-{packed}"));
        let object =
            run(["import", &members, "--bonuses", &bonuses, "--data-dir", &to, "--strict", "--json"])
                .ends_with(0)
                .json();
        assert_eq!(object["network_digest"], expected, "{format}, packed: {packed}");
        assert_eq!(verified(&to)["network_digest"], expected);
        assert!(0 < object["bonuses"].as_u64().unwrap());
    }
}

#[test]
fn a_table_of_another_system_is_read_by_flags() {
    let place = Place::new();
    // As `SELECT ... INTO OUTFILE` writes it, with a header.
    let mysql = "ID\tParentID\tCreated\tBox\tSide\tState\n\
        1\t\\N\t01/02/2025 9:30\t0\t0\t\\N\n\
        2\t1\t02/02/2025 10:00\t1\tLeft\tinactive\n\
        3\t0\t\\N\t\\N\t\\N\t\n\
        4\t1\t04/02/2025 10:00\t1\tr\t-\n";
    let columns = [
        "--columns",
        "member=ID,sponsor=ParentID,joined_at=Created,parent=Box",
        "--columns",
        "slot=Side,status=State",
    ];
    let flags = [
        &columns[..],
        &["--time-format", "%d/%m/%Y %H:%M", "--root-marks", r"0,\N,-", "--max-children", "2"],
    ]
    .concat();
    let (ran, tree) = import(&place, mysql, &[&flags[..], &["--strict"]].concat());
    assert_eq!(tree, ["1<-@-.", "2<1@1.0", "3<-@-.", "4<1@1.1"], "{}", ran.err);
    assert_eq!(ran.json()["roots"], 2);
    let rows = run(["export", "--data-dir", &place.text("data")]).ends_with(0).out;
    assert!(
        rows.contains(",2025-02-01T09:30:00.000000Z,") && rows.contains(",2,inactive,member\n"),
        "{rows}"
    );

    // The same with a default sponsor.
    let (ran, tree) = import(
        &place,
        "member,sponsor,joined_at\n2,-,\n1,,\ncompany,NULL,\n3,1,\n",
        &["--root-marks", "-,NULL", "--default-sponsor", "company"],
    );
    assert_eq!(
        tree,
        ["company<-@-.", "2<company@company.0", "1<company@company.1", "3<1@1.0"],
        "{}",
        ran.err
    );
    assert_eq!((&ran.json()["roots"], &ran.json()["members_waited"]), (&1.into(), &2.into()));
    let (ran, _) = import(&place, "member,sponsor,joined_at\n1,,\n", &["--default-sponsor", "company"]);
    ran.ends_with(10).says("sponsor company is not known");

    // Without the flags nothing of it is guessed.
    let (ran, tree) = import(
        &place,
        "member,sponsor,joined_at,parent,slot\na,,2025-01-01,,\nb,0,,,\nc,NULL,,,\n\
         d,a,01/02/2025,,\ne,a,,a,Left\n",
        &[],
    );
    assert_eq!(tree, ["a<-@-."]);
    for said in [
        "line 3: b: sponsor 0 is not known",
        "line 4: c: sponsor NULL is not known",
        "line 5: d: `01/02/2025` is a date that can begin with its day or its month: write 2025-03-01 \
         (--time-format reads other forms",
        "line 6: e: left and right are slots where the plan has two",
    ] {
        assert!(ran.err.contains(said), "`{said}`: {}", ran.err);
    }
}

#[test]
fn flags_that_cannot_be_meant_are_refused_before_anything_is_read() {
    let place = Place::new();
    let table: [(&[&str], &str); 11] = [
        (&["--columns", "member"], "is not of the form member=ID"),
        (&["--columns", "place=x"], "there is no column `place`"),
        (&["--bonus-columns", "receiver=x"], "--bonuses"),
        (&["--delimiter", "x"], "not a delimiter"),
        (&["--delimiter", " "], "comma, semicolon, tab, pipe and ASCII punctuation except \"'-+._:@"),
        (&["--delimiter", "\u{e9}"], "not a delimiter"),
        (&["--time-format", "%H:%M"], "does not say year, month and day"),
        (&["--time-format", "%d/%m/%Y %Z"], "--time-format"),
        (&["--default-sponsor", ""], "not a name"),
        (&["--columns", "sponsor=a,parent=A"], "named before"),
        (&["--delimiter", ""], "--delimiter"),
    ];
    for (flags, said) in table {
        let (ran, _) = import(&place, "member,sponsor,joined_at\na,,\n", flags);
        ran.ends_with(2).says(said);
    }
    assert!(!place.path("data").exists());
    // A column that was named is required.
    let (ran, _) = import(&place, "member,sponsor,joined_at\na,,\n", &["--columns", "code=Ref"]);
    ran.ends_with(1).says("the header has no column `ref` (it has: member, sponsor, joined_at)");
}

#[test]
fn what_is_no_list_is_named_as_what_it_is() {
    let place = Place::new();
    let table: [(&[u8], &str); 6] = [
        (b"PK\x03\x04\x14\0\0\0\x08\0", "is a zip archive: unpack it first"),
        (&utf16("member,sponsor,joined_at\na,,\n"), "is UTF-16 text without a byte order mark"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0\0\0\0\0", "is an old Office file"),
        (b"[{\"member\":1}]", "is a JSON array: write one object a line"),
        (b"<html><body><table>", "is a page of HTML or XML"),
        (b"-- MySQL dump 10.13\nINSERT INTO x VALUES (1);\n", "is a script of SQL"),
    ];
    let utf16_packed = gzip(table[1].0);
    for (bytes, said) in table.into_iter().chain([(&utf16_packed[..], "is UTF-16 text without")]) {
        let (ran, _) = import(&place, bytes, &[]);
        ran.ends_with(1).says(said);
    }
    assert!(!place.path("data").exists());
}

#[test]
fn quoted_cells_are_read_whole_and_lines_stay_right() {
    let place = Place::new();
    let file = "member,sponsor,joined_at,note\na,,,\"x\ny,z\n\"\nb,a,,\nc,nobody,,\"1\r\n2\"\nd,nobody,,\n\
                e,a,,\"never\nclosed\n";
    let (ran, tree) = import(&place, file, &[]);
    assert_eq!(tree, ["a<-@-.", "b<a@a.0"]);
    for said in [
        "line 6: c: sponsor nobody is not known",
        "line 8: d: sponsor nobody is not known",
        "line 9: the quote that opens on line 9 is not closed: everything to the end of the file is in it",
    ] {
        assert!(ran.err.contains(said), "`{said}`: {}", ran.err);
    }
    assert_eq!(ran.json()["refused_by_reason"]["open_quote"], 1);
    // A name with a line break is one bad name, and never two rows.
    let (ran, tree) = import(&place, "member,sponsor,joined_at\na,,\n\"b\nc,a,\",a,\n\"d\"x,a,\n", &[]);
    assert_eq!(tree, ["a<-@-."]);
    assert!(
        ran.err.contains("line 3: the member has more than 255 bytes or control characters"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("line 5: text follows the quote on line 5 that closes the one opened on line 5"),
        "{}",
        ran.err
    );
}

#[test]
fn names_that_look_alike_are_told_apart() {
    let place = Place::new();
    let file =
        "member,sponsor,joined_at\nann lee,,\nbob,ann\u{a0}lee,\ncarl,bo\u{200b}b,\nZoe\u{308},nobody,\n";
    let (ran, _) = import(&place, file, &[]);
    for said in [
        "bob: sponsor ann\\u{a0}lee is not known",
        "carl: sponsor bo\\u{200b}b is not known",
        "line 5: Zoe\\u{308}: sponsor nobody",
    ] {
        assert!(ran.err.contains(said), "`{said}`: {}", ran.err);
    }
}

#[test]
fn statuses_and_roles_are_told_and_set_on_request() {
    let place = Place::new();
    let data = place.text("data");
    let first = place.file(
        "first.csv",
        "member,sponsor,joined_at,status,role\nroot,,,,\nanna,root,,active,\nbert,anna,,inactive,admin\n\
         carl,anna,,terminated,\n",
    );
    run(["import", &first, "--data-dir", &data]).ends_with(0);
    let before = verified(&data);

    // Empty cells mean no change. Differences are reported by line, and have no effect.
    let changed = "member,sponsor,joined_at,status,role,code\nroot,,,,,\nanna,root,,inactive,admin,other\n\
                   bert,anna,,,member,\ncarl,anna,,active,,\ndora,anna,,,,\n";
    let changed = place.file("changed.csv", changed);
    let ran = run(["import", &changed, "--data-dir", &data, "--json", "--dry-run"]).ends_with(0);
    for said in [
        "line 3: anna: is there already, its code is anna, not other; its status is active, not inactive; \
         its role is member, not admin",
        "line 4: bert: is there already, its role is admin, not member",
        "line 5: carl: is there already, its status is terminated, not active",
    ] {
        assert!(ran.err.contains(said), "`{said}`: {}", ran.err);
    }
    assert_eq!(
        (&ran.json()["members_already_there_differing"], &ran.json()["members_updated"]),
        (&3.into(), &0.into())
    );
    assert_eq!(verified(&data)["digest"], before["digest"]);

    let ran = run(["import", &changed, "--data-dir", &data, "--json", "--update"]).ends_with(16);
    let object = ran.json();
    assert_eq!(
        (&object["members"], &object["members_updated"], &object["members_already_there_differing"]),
        (&1.into(), &2.into(), &1.into())
    );
    assert!(ran.err.contains("line 3: anna: is there already, its code is anna, not other\n"), "{}", ran.err);
    assert!(ran.err.contains("line 5: carl: refused by a rule: "), "terminated is for good: {}", ran.err);
    let rows = run(["export", "--data-dir", &data]).ends_with(0).out;
    for row in [
        ",root,active,member\n",
        ",anna,inactive,admin\n",
        ",bert,inactive,member\n",
        ",carl,terminated,member\n",
        ",dora,active,member\n",
    ] {
        assert!(rows.contains(row), "{row}: {rows}");
    }
    // Repeating it changes nothing, and the log does not grow.
    let after = verified(&data);
    let object = run(["import", &changed, "--data-dir", &data, "--json", "--update"]).ends_with(16).json();
    assert_eq!((&object["members"], &object["members_updated"]), (&0.into(), &0.into()));
    assert_eq!(verified(&data)["digest"], after["digest"]);

    // Conflicting lines for one member: the first counts, even where its cell is empty; the others are
    // refused every time.
    let silent = place.file("silent.csv", "member,sponsor,joined_at,status\nroot,,,\nroot,,,inactive\n");
    let ran = run(["import", &silent, "--data-dir", &data, "--json", "--update"]).ends_with(16);
    assert_eq!(ran.says("line 3: root: the member is on line 2 already").json()["members_updated"], 0);
    let twice = place.file(
        "twice.csv",
        "member,sponsor,joined_at,status\nroot,,,inactive\nroot,,,inactive\nroot,,,active\n",
    );
    for updated in [1, 0] {
        let ran = run(["import", &twice, "--data-dir", &data, "--json", "--update"])
            .ends_with(16)
            .says("line 4: root: the member is on line 2 already");
        assert_eq!(ran.json()["members_updated"], updated);
    }
}
