use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::support::{Place, Server, command, run, signal, verified, wait};

const SMALL: &str =
    "member,sponsor,joined_at\nroot,,2025-01-01\nanna,root,2025-01-02T10:00:00Z\nbert,anna,\n";

#[test]
fn a_file_of_which_nothing_can_be_taken_makes_no_network() {
    let place = Place::new();
    let file = place.file("circle.csv", "member,sponsor,joined_at\na,b,\nb,a,\n");
    run(["import", &file, "--data-dir", &place.text("data")]).ends_with(10).says("not one row can be taken");
    assert!(!place.path("data").exists(), "no directory is left behind");
}

#[test]
fn a_small_file_becomes_a_network() {
    let place = Place::new();
    let data = place.text("data");
    let file = place.file("small.csv", SMALL);
    let object = run(["import", &file, "--data-dir", &data, "--json"]).ends_with(0).json();
    assert_eq!(
        (&object["members"], &object["members_refused"], &object["imported"]),
        (&3.into(), &0.into(), &true.into())
    );
    assert_eq!(object["source_blake3"], blake3::hash(SMALL.as_bytes()).to_hex().as_str());
    let verified = verified(&data);
    assert_eq!(
        (&verified["members"], &verified["replayed"]),
        (&3.into(), &0.into()),
        "the snapshot is written directly"
    );
    assert_eq!(verified["network_digest"], object["network_digest"]);
    let rows = run(["export", "--data-dir", &data]).ends_with(0).out;
    assert!(rows.contains(",2025-01-02T10:00:00.000000Z,1,1,,anna,active,member\n"), "{rows}");
}

#[test]
fn dirty_rows_are_reported_by_line_and_the_rest_is_imported() {
    let place = Place::new();
    let mut dirty = b"\xef\xbb\xbfmember,sponsor,joined_at,note\r\n".to_vec();
    // Row, and its message. From the one real network of this kind: a root that is its own sponsor, children
    // before their parents, a date of 1970-01-01, a row cut off in the middle.
    let table: [(&[u8], &str); 10] = [
        (b"top,,1970-01-01,x\r\n", ""),
        (b"self,self,2025-01-01,x\r\n", "line 3: self: is its own sponsor"),
        (b"late,early,2025-01-01,x\r\n", ""),
        (b"early,top,2025-01-01,x\r\n", ""),
        (b"lost,nobody,2025-01-01,x\r\n", "line 6: lost: sponsor nobody is not known"),
        (b"top,,2025-01-01,x\r\n", "line 7: top: the member is on line 2 already"),
        (b"when,top,2025-99-01,x\r\n", "line 8: when: `2025-99-01` is not a time"),
        (b"cut,to\r\n", "line 9: cut off"),
        (b"\xff\xfe,top,,\r\n", "line 10: the line is not UTF-8"),
        (b"ring,ring2,,\r\nring2,ring,,\r\n", "line 11: ring: sponsors and parents lead back"),
    ];
    table.iter().for_each(|(row, _)| dirty.extend_from_slice(row));
    let file = place.file("dirty.csv", &dirty);
    let data = place.text("data");

    let ran = run(["import", &file, "--data-dir", &data, "--dry-run", "--json"]).ends_with(16);
    assert_eq!(ran.json()["imported"], false);
    assert!(!place.path("data").exists(), "a dry run writes nothing");

    let ran = run(["import", &file, "--data-dir", &data, "--strict", "--json"])
        .ends_with(10)
        .says("nothing was imported");
    assert_eq!(ran.json()["imported"], false);
    assert!(!place.path("data").exists(), "a strict import of dirty rows writes nothing");

    let ran =
        run(["import", &file, "--data-dir", &data, "--json"]).ends_with(16).says("columns not read: note");
    for (_, said) in table.iter().filter(|(_, said)| !said.is_empty()) {
        assert!(ran.err.contains(said), "`{said}`:\n{}", ran.err);
    }
    let object = ran.json();
    assert_eq!(
        (&object["members"], &object["members_refused"], &object["members_waited"]),
        (&3.into(), &8.into(), &1.into())
    );
    assert_eq!(object["refused_by_reason"]["cycle"], 2);
    assert_eq!(verified(&data)["members"], 3);

    let object =
        run(["import", &file, "--data-dir", &place.text("forgiving"), "--own-sponsor-is-root", "--json"])
            .ends_with(16)
            .json();
    assert_eq!(object["members"], 4);
}

#[test]
fn an_existing_network_grows_through_its_log() {
    let place = Place::new();
    let data = place.text("data");
    let first = place.file("first.csv", SMALL);
    run(["import", &first, "--data-dir", &data]).ends_with(0);
    let before = verified(&data);

    // Strict refuses the whole file; nothing in the directory changes.
    let second = place.file("second.csv", format!("{SMALL}carl,anna,\ndora,nobody,\nemil,carl,,\n"));
    run(["import", &second, "--data-dir", &data, "--strict"]).ends_with(10);
    assert_eq!(verified(&data)["digest"], before["digest"]);

    let second = place.file("second.csv", format!("{SMALL}carl,anna,\ndora,nobody,\nemil,carl,\n"));
    let object = run(["import", &second, "--data-dir", &data, "--json"]).ends_with(16).json();
    assert_eq!(
        (&object["members"], &object["members_already_there"], &object["members_refused"]),
        (&2.into(), &3.into(), &1.into())
    );
    let after = verified(&data);
    assert_eq!(
        (&after["members"], &after["replayed"]),
        (&5.into(), &2.into()),
        "what came later is in the log"
    );
    assert_eq!(after["network_digest"], object["network_digest"]);

    let again = run(["import", &second, "--data-dir", &data, "--json"]).ends_with(16).json();
    assert_eq!((&again["members"], &again["members_already_there"]), (&0.into(), &5.into()));
    assert_eq!(verified(&data)["digest"], after["digest"], "a repeat is harmless");
}

#[test]
fn bonuses_travel_in_a_second_file_and_never_twice() {
    let place = Place::new();
    let (from, to) = (place.text("from"), place.text("to"));
    run(["demo", "--orders", "0", "--members", "300", "--data-dir", &from, "--no-serve"]).ends_with(0);
    let (members, bonuses) = (place.text("members.csv"), place.text("bonuses.csv"));
    run(["export", "--data-dir", &from, "--output", &members, "--bonuses", &bonuses]).ends_with(0);
    let import = ["import", &members, "--bonuses", &bonuses, "--data-dir", &to, "--json"];
    let object = run(import).ends_with(0).json();
    let (original, copy) = (verified(&from), verified(&to));
    assert!(0 < original["bonuses"].as_u64().unwrap());
    assert_eq!(object["bonuses"], original["bonuses"]);
    assert_eq!(copy["network_digest"], original["network_digest"]);

    let again = run(import).ends_with(0).json();
    assert_eq!((&again["bonuses"], &again["bonuses_already_there"]), (&0.into(), &original["bonuses"]));
    assert_eq!(verified(&to)["digest"], copy["digest"]);

    // The ledger holds different lines: importing these could only pay twice.
    let lines = std::fs::read_to_string(&bonuses).unwrap();
    let other = lines.replacen("10.00", "11.00", 1);
    let other = place.file("other.csv", other);
    run(["import", &members, "--bonuses", &other, "--data-dir", &to]).ends_with(1).says("could pay twice");
    assert_eq!(verified(&to)["digest"], copy["digest"]);
}

#[test]
fn dirty_bonuses_are_reported_by_line() {
    let place = Place::new();
    let members = place.file("members.csv", SMALL);
    let rows = "receiver,source,level,amount,kind,status,created_at\n\
        root,anna,1,10.00,referral,pending,2025-01-02T10:00:00Z\n\
        root,zoe,1,10.00,referral,pending,2025-01-02T10:00:00Z\n\
        root,anna,one,10.00,referral,pending,2025-01-02T10:00:00Z\n\
        root,anna,1,10.001,referral,pending,2025-01-02T10:00:00Z\n\
        root,anna,1,10.00,referral,maybe,2025-01-02T10:00:00Z\n\
        root,anna,1,10.00,referral,paid,someday\n\
        root,anna,1,-9.00,referral,paid,2025-01-02T10:00:00Z\n\
        root,anna,1,10.00,No Such Kind!,paid,2025-01-02T10:00:00Z\n\
        root,anna\n";
    let bonuses = place.file("bonuses.csv", rows);
    let ran = run(["import", &members, "--bonuses", &bonuses, "--data-dir", &place.text("data"), "--json"])
        .ends_with(16);
    let reasons = [
        "unknown_member",
        "bad_level",
        "bad_amount",
        "bad_status",
        "bad_time",
        "reversal_unmatched",
        "trigger_unknown",
        "cut_off",
    ];
    let object = ran.json();
    for reason in reasons {
        assert_eq!(object["refused_by_reason"][reason], 1, "{reason}: {object}");
    }
    assert_eq!((&object["bonuses"], &object["bonuses_refused"]), (&1.into(), &8.into()));
    assert!(ran.err.contains("bonuses.csv: line 3: root: zoe is not known"), "{}", ran.err);
}

/// Neither a reversal nor what it takes back is void: the other would be owed, or taken back for nothing.
#[test]
fn a_reversal_in_a_state_that_does_not_fit_is_refused() {
    let place = Place::new();
    let members = place.file("members.csv", SMALL);
    for (of_bonus, of_reversal) in [("pending", "void"), ("void", "pending"), ("pending", "held")] {
        let rows = format!(
            "receiver,source,level,amount,kind,status,created_at,number,reverses\n\
             root,anna,1,10.00,referral,{of_bonus},2025-01-02,1,\n\
             root,anna,1,-10.00,referral,{of_reversal},2025-01-02,,1\n"
        );
        let (bonuses, data) =
            (place.file("bonuses.csv", rows), place.text(&format!("{of_bonus}{of_reversal}")));
        let import = |flags: &[&str], code: i32| {
            let files = ["import", &members, "--bonuses", &bonuses, "--data-dir", &data];
            run([&files, flags].concat()).ends_with(code)
        };
        import(&["--strict"], 10).says("1 row was refused, so nothing was imported (--strict)");
        for _ in 0..2 {
            let ran = import(&["--json"], 16);
            let said = "line 3: root: a reversal is void exactly if the bonus that it takes back is";
            assert!(ran.err.contains(said), "{}", ran.err);
            assert!(ran.err.contains("1 row was refused; all others are in the network"), "{}", ran.err);
            assert_eq!(ran.json()["refused_by_reason"]["entry_change_not_allowed"], 1);
        }
    }
}

#[test]
fn places_codes_roles_and_statuses_survive() {
    let place = Place::new();
    let file = place.file(
        "places.csv",
        "member,sponsor,joined_at,parent,slot,code,status,role\n\
         a,,2025-01-01,,,-dash,inactive,admin\n\
         b,a,2025-01-01,a,2,,active,member\n\
         c,a,2025-01-01,b,1,Code_C,terminated,member\n\
         d,-DASH,2025-01-01,a,,,,\n",
    );
    let data = place.text("data");
    run(["import", &file, "--data-dir", &data, "--strict"]).ends_with(0);
    let rows = run(["export", "--data-dir", &data]).ends_with(0).out;
    assert!(rows.contains(",'-dash,inactive,admin\n"), "spreadsheets must not evaluate a code:\n{rows}");
    assert!(rows.contains(",Code_C,terminated,member\n"), "{rows}");
    let slots: Vec<&str> = rows.lines().skip(1).map(|row| row.split(',').nth(3).unwrap()).collect();
    assert_eq!(slots, ["", "2", "1", "0"]);
    let copy = place.file("copy.csv", &rows);
    run(["import", &copy, "--data-dir", &place.text("copy"), "--strict"]).ends_with(0);
    assert_eq!(verified(&place.text("copy"))["network_digest"], verified(&data)["network_digest"]);
}

#[test]
fn files_that_cannot_be_read_import_nothing() {
    let place = Place::new();
    let data = place.text("data");
    // file, message
    let table: [(&str, &[u8], &str); 4] = [
        ("empty.csv", b"", "no header line"),
        ("no-sponsor.csv", b"member,parent\n", "no column `sponsor`"),
        ("cut.csv.gz", &[0x1f, 0x8b, 8, 0, 0, 0], "the gzip stream is damaged or cut off"),
        ("twice.csv", b"member,sponsor,joined_at,member\n", "names `member` twice"),
    ];
    for (name, content, said) in table {
        let file = place.file(name, content);
        run(["import", &file, "--data-dir", &data]).ends_with(1).says(said);
    }
    run(["import", &place.text("missing.csv"), "--data-dir", &data]).ends_with(1).says("cannot read");
    // The message names the flag for the file that it is about.
    let (members, bonuses) =
        (place.file("m.csv", SMALL), place.file("b.csv", "receiver,source,level,amount\n"));
    run(["import", &members, "--bonuses", &bonuses, "--data-dir", &data])
        .ends_with(1)
        .says("no column `kind`")
        .says("; --bonus-columns kind=NAME reads it from another one");
    let bonuses = place.file("b.csv", "{\"receiver\":\"a\"}\n");
    run(["import", &members, "--bonuses", &bonuses, "--data-dir", &data])
        .ends_with(1)
        .says("; --bonus-columns source=NAME reads it from another one");
    let file = place.file("no-sponsor.csv", "member,parent\n");
    run(["import", &file, "--data-dir", &data]).ends_with(1).says("; --columns sponsor=NAME reads it");
    assert!(!place.path("data").exists());
}

#[test]
fn ctrl_c_leaves_nothing_half_done() {
    let place = Place::new();
    let data = place.text("data");
    for name in ["INT", "TERM"] {
        let mut child = command(["import", "-", "--data-dir", &data])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(SMALL.as_bytes()).unwrap();
        input.flush().unwrap();
        // It handles signals before it reads: once it has taken more than fits into a pipe, it has read.
        let mut rows = String::new();
        (0..20_000).for_each(|number| rows += &format!("m{number},root,\n"));
        input.write_all(rows.as_bytes()).unwrap();
        signal(&child, name);
        // It may have checked between the rows and exited already.
        for _ in 0..50 {
            if input.write_all(rows.replace('m', "n").as_bytes()).is_err() {
                break;
            }
        }
        drop(input);
        wait(child).ends_with(130).says("interrupted: nothing was imported");
        assert!(!place.path("data").exists(), "{name}");
    }
}

#[test]
fn a_killed_import_can_be_done_again() {
    let place = Place::new();
    let data = place.text("data");
    let mut rows = String::from("member,sponsor,joined_at\nroot,,\n");
    (0..60_000).for_each(|number| rows += &format!("m{number},root,\n"));
    let file = place.file("rows.csv", &rows);
    for milliseconds in [50, 150, 250, 350, 450] {
        let mut child = command(["import", &file, "--data-dir", &data])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        // It may have exited already.
        _ = child.kill();
        child.wait().unwrap();
        if place.path("data").join("instance").exists() {
            break;
        }
    }
    let object = run(["import", &file, "--data-dir", &data, "--json"]).ends_with(0).json();
    assert_eq!(object["network_members"], 60_001);
    assert_eq!(verified(&data)["members"], 60_001);
}

#[test]
fn bounded_memory_for_an_endless_line() {
    // Ten times the longest line, repeated: each is one refused row.
    let place = Place::new();
    let mut child = command(["import", "-", "--data-dir", &place.text("data"), "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(SMALL.as_bytes()).unwrap();
    for _ in 0..20 {
        input.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    drop(input);
    let object = wait(child).ends_with(16).json();
    assert_eq!(object["refused_by_reason"]["too_long"], 1);
    assert_eq!(object["members"], 3);
}

#[test]
fn help_explains_exit_codes() {
    let out = Command::new(env!("CARGO_BIN_EXE_upline")).arg("--help").output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("import --strict refused rows"), "{text}");
    run(["import"]).ends_with(2);
    run(["no-such-command"]).ends_with(2);
}

/// Other systems know rows by the ids of the replaced one: those are kept, in every response and in requests.
#[test]
fn the_ids_that_rows_had_elsewhere_are_kept_and_found() {
    let place = Place::new();
    let data = place.text("data");
    let (root, anna, bonus) = (
        "11111111-0000-4000-8000-000000000001",
        "22222222-0000-4000-8000-000000000002",
        "33333333-0000-4000-8000-000000000003",
    );
    let (root_row, anna_row) =
        ("aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002");
    let members = place.file(
        "members.csv",
        format!(
            "member,sponsor,joined_at,id,lifetime_rank\n{root},,2025-01-01,{root_row},2\n\
             {anna},{root},2025-01-02,{anna_row},\nbert,{root},2025-01-03,,\n\
             twin,{root},2025-01-03,{anna_row},\n"
        ),
    );
    let bonuses = place.file(
        "bonuses.csv",
        format!(
            "id,receiver,source,level,amount,kind,status,created_at\n\
             {bonus},{root},{anna},1,10.00,referral,pending,2025-01-02T10:00:00Z\n"
        ),
    );
    run(["import", &members, "--bonuses", &bonuses, "--data-dir", &data])
        .ends_with(16)
        .says("another row has this id");
    let again =
        run(["import", &members, "--bonuses", &bonuses, "--data-dir", &data, "--json"]).ends_with(16).json();
    assert_eq!((&again["members"], &again["bonuses"]), (&0.into(), &0.into()));

    for _ in 0..2 {
        let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
        let get = |path: &str| server.request("GET", path, "");
        let (status, body) = get(&format!("/user/downline/{root}"));
        assert!(status == 200 && body.contains(anna_row), "{status} {body}");
        let (status, body) = get(&format!("/v1/members/{root}/bonuses"));
        assert!(status == 200 && body.contains(bonus), "{status} {body}");
        assert_eq!(get(&format!("/v1/bonuses/{bonus}/explain")).0, 200);
        assert_eq!(server.request("POST", &format!("/v1/bonuses/{bonus}/pay"), "").0, 200);
        server.signal("KILL");
        server.end();
    }
    let rows = run(["export", "--data-dir", &data]).ends_with(0).out;
    assert!(
        rows.lines().next().unwrap().contains(",id") && rows.contains(anna_row) && rows.contains(root_row),
        "{rows}"
    );
    let copied = place.file("copy.csv", &rows);
    run(["import", &copied, "--data-dir", &place.text("copy"), "--strict"]).ends_with(0);
    assert_eq!(run(["export", "--data-dir", &place.text("copy")]).ends_with(0).out, rows);
}

/// A trigger that was paid once is refused in the network that an export and an import make, too.
#[test]
fn what_was_paid_once_stays_so_after_a_move() {
    let place = Place::new();
    let (from, to) = (place.text("from"), place.text("to"));
    let file = place.file("small.csv", SMALL);
    run(["import", &file, "--data-dir", &from]).ends_with(0);
    let id = |rows: &str, code: &str| {
        let row = rows.lines().find(|row| row.contains(&format!(",{code},active"))).unwrap();
        row.split(',').next().unwrap().to_owned()
    };
    let rows = run(["export", "--data-dir", &from]).ends_with(0).out;
    let members = ["root", "anna"].map(|code| id(&rows, code));
    let refer = |server: &Server, member: &str| {
        let body = format!(r#"{{"source":"{member}","kind":"referral"}}"#);
        let (status, body) = server.request("POST", "/v1/bonuses", &body);
        (status, body.contains("triggered_before"))
    };
    let serve =
        |data: &str| Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", data]));
    let server = serve(&from);
    for member in &members {
        // The root's pays nobody, and counts all the same.
        assert_eq!([refer(&server, member), refer(&server, member)], [(201, false), (409, true)]);
    }
    server.signal("TERM");
    server.end().ends_with(0);
    for format in ["csv", "ndjson"] {
        let (moved, bonuses) = (place.text(&format!("m.{format}")), place.text(&format!("b.{format}")));
        let export = |data: &str, members: &str, bonuses: &str| {
            let arguments = ["export", "--data-dir", data, "--format", format, "-o", members];
            run(arguments.iter().chain(&["--bonuses", bonuses])).ends_with(0);
        };
        export(&from, &moved, &bonuses);
        let data = format!("{to}-{format}");
        let object = run(["import", &moved, "--bonuses", &bonuses, "--data-dir", &data, "--json"]);
        assert_eq!(object.ends_with(0).json()["triggers_kept_once"], 2);
        let (again, again_bonuses) = (place.text("again"), place.text("again-bonuses"));
        export(&data, &again, &again_bonuses);
        let read = |path: &str| std::fs::read(path).unwrap();
        assert!(read(&moved) == read(&again) && read(&bonuses) == read(&again_bonuses), "to the byte");
        let server = serve(&data);
        for member in &members {
            assert_eq!(refer(&server, member), (409, true), "{format}");
        }
        server.signal("TERM");
        server.end().ends_with(0);
        for more in [&[][..], &["--update"]] {
            let arguments = ["import", &moved, "--bonuses", &bonuses, "--data-dir", &data, "--json"];
            let object = run(arguments.iter().chain(more)).ends_with(0).json();
            assert_eq!((&object["triggers_kept_once"], &object["members"]), (&0.into(), &0.into()));
        }
        verified(&data);
    }
}

/// Where bonuses were imported out of the order of their times, one of them does not say what a list showed.
#[test]
fn a_payout_up_to_a_bonus_needs_bonuses_in_order() {
    let place = Place::new();
    let data = place.text("data");
    let file = place.file("small.csv", SMALL);
    let rows = "receiver,source,level,amount,kind,status,created_at\n\
                root,anna,1,1.00,old,pending,2025-03-01\nroot,anna,1,2.00,old,pending,2025-02-01\n";
    let bonuses = place.file("bonuses.csv", rows);
    run(["import", &file, "--bonuses", &bonuses, "--data-dir", &data]).ends_with(0);
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    let (_, listed) = server.request("GET", "/v1/bonuses?status=pending", "");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let newest = listed["items"][0].clone();
    assert_eq!(newest["amount"]["minor"], 100, "the newest by time was imported first: {listed}");
    let pay = |up_to: &str| server.request("POST", &format!("/v1/bonuses/pay-all?up_to={up_to}"), "");
    let (status, said) = pay(newest["id"].as_str().unwrap());
    assert!(status == 422 && said.contains("x-lsn"), "{status} {said}");
    let (status, paid) = pay(&newest["lsn"].as_u64().unwrap().saturating_add(1).to_string());
    assert!(status == 200 && paid.contains(r#""entries":2"#), "{status} {paid}");
}
