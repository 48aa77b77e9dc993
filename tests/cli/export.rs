use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;

use crate::support::{Place, Ran, command, run, wait};

fn demo(place: &Place, members: &str) -> String {
    let data = place.text("data");
    run(["demo", "--orders", "0", "--members", members, "--seed", "3", "--data-dir", &data, "--no-serve"])
        .ends_with(0);
    data
}

#[test]
fn both_formats_hold_the_same_rows_in_join_order() {
    let place = Place::new();
    let data = demo(&place, "50");
    let csv = run(["export", "--data-dir", &data]).ends_with(0).out;
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some("member,sponsor,parent,slot,level,joined_at,direct,downline,rank,code,status,role,paid_once")
    );
    let (bonuses, json) = (place.text("bonuses.ndjson"), place.text("members.ndjson"));
    let object = run([
        "export",
        "--data-dir",
        &data,
        "--format",
        "ndjson",
        "-o",
        &json,
        "--bonuses",
        &bonuses,
        "--json",
    ])
    .ends_with(0)
    .json();
    let text = std::fs::read_to_string(&json).unwrap();
    for (row, line) in lines.zip(text.lines()) {
        let object: Value = serde_json::from_str(line).unwrap();
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(object["member"], cells[0]);
        assert_eq!(object["sponsor"].as_str().unwrap_or(""), cells[1]);
        assert_eq!(object["slot"].as_u64().map(|slot| slot.to_string()).unwrap_or_default(), cells[3]);
        assert_eq!(object["downline"].to_string(), cells[7]);
        assert_eq!(object["rank"].as_str().unwrap_or(""), cells[8]);
    }
    assert_eq!((&object["members"], text.lines().count()), (&50.into(), 50));
    let bonuses = std::fs::read_to_string(&bonuses).unwrap();
    assert_eq!(object["bonuses"], bonuses.lines().count());
    let first: Value = serde_json::from_str(bonuses.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["amount"], &first["kind"], &first["level"]),
        (&"10.00".into(), &"referral".into(), &1.into())
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let data = demo(&place, "5000");
    let mut child = command(["export", "--data-dir", &data])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("member,"));
    let ran = wait(child).ends_with(0);
    assert_eq!(ran.err, "");
}

#[test]
fn a_file_appears_only_when_it_is_complete() {
    let place = Place::new();
    let data = demo(&place, "10");
    run(["export", "--data-dir", &data, "-o", &place.text("no/such/place.csv")])
        .ends_with(1)
        .says("cannot write");
    let out = place.text("out.csv");
    run(["export", "--data-dir", &data, "-o", &out]).ends_with(0);
    assert!(place.path("out.csv").exists() && !place.path("out.csv.partial").exists());
    run(["export", "--data-dir", &data, "--json"]).ends_with(2);
}

/// Neither file is replaced unless both can be: one of each export would not go together.
#[test]
fn two_files_appear_together_or_not_at_all() {
    let place = Place::new();
    let data = demo(&place, "10");
    std::fs::create_dir(place.path("folder")).unwrap();
    let members = place.file("members.csv", "what was there");
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(place.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    for other in
        [place.text("no/such/place.csv"), "/dev/full".into(), place.text("folder/"), place.text("folder")]
    {
        for (output, bonuses) in [(&members, &other), (&other, &members)] {
            run(["export", "--data-dir", &data, "-o", output, "--bonuses", bonuses])
                .ends_with(1)
                .says("cannot write");
            assert_eq!(std::fs::read_to_string(&members).unwrap(), "what was there", "{output} {bonuses}");
            assert_eq!(names(), before, "{output} {bonuses}");
        }
    }
    // A reader that goes away is no failure, and the file is there.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut export = command(["export", "--data-dir", &data, "--bonuses", &members]);
    let ran = Ran::from(export.stdout(writer).output().unwrap()).ends_with(0);
    assert_eq!(ran.err, "");
    assert!(std::fs::read_to_string(&members).unwrap().starts_with("receiver,"));
}

/// `-` is standard output, which takes one of the two.
#[test]
fn a_dash_is_standard_output() {
    let place = Place::new();
    let data = demo(&place, "20");
    let exported = |arguments: &[&str]| {
        let all = ["export", "--data-dir", &data].into_iter().chain(arguments.iter().copied());
        let mut command = command(all);
        command.current_dir(place.root());
        Ran::from(command.output().unwrap())
    };
    let (members, bonuses) = (place.text("members.csv"), place.text("bonuses.csv"));
    exported(&["--output", &members, "--bonuses", &bonuses]).ends_with(0);
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert_eq!(exported(&["--output", "-"]).ends_with(0).out, read(&members));
    assert_eq!(exported(&["--output", &members, "--bonuses", "-"]).ends_with(0).out, read(&bonuses));
    assert_eq!(exported(&["--output", "-", "--bonuses", &bonuses]).ends_with(0).out, read(&members));
    for both in [
        &["--bonuses", "-"][..],
        &["--output", "-", "--bonuses", "-"],
        &["--output", "-", "--json"],
        &["--output", &members, "--bonuses", "-", "--json"],
    ] {
        let ran = exported(both).ends_with(2).says("standard output");
        assert_eq!(ran.out, "", "{both:?}");
    }
    assert!(!place.path("-").exists() && !place.path("-.partial").exists());
}

#[test]
fn dot_draws_a_bounded_part() {
    let place = Place::new();
    let data = demo(&place, "200");
    let ran = run(["dot", "--data-dir", &data, "--limit", "0"]).ends_with(0);
    assert!(ran.out.starts_with("digraph {"), "{}", ran.out);
    assert_eq!(ran.out.matches("->").count(), 199);
    let ran = run(["dot", "--data-dir", &data, "--limit", "20", "--tree", "sponsor"])
        .ends_with(0)
        .says("there are more");
    assert_eq!(ran.out.matches("label = ").count(), 20);
    let top = run(["export", "--data-dir", &data])
        .out
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .to_string();
    let ran = run(["dot", "--data-dir", &data, "--root", &top, "--depth", "1"]).ends_with(0);
    assert_eq!(ran.out.matches("->").count(), 3);
    run(["dot", "--data-dir", &data, "--root", "nobody"]).ends_with(11).says("member nobody is not known");
}

/// For any two names and any existing file: nothing is lost silently.
#[test]
fn one_file_is_not_written_over_the_other() {
    let place = Place::new();
    let data = demo(&place, "20");
    let members = place.file("members.csv", "what was there");
    std::fs::create_dir(place.path("folder")).unwrap();
    std::os::unix::fs::symlink(place.path("members.csv"), place.path("link.csv")).unwrap();
    std::os::unix::fs::symlink(place.path("new.csv"), place.path("to-new.csv")).unwrap();
    std::os::unix::fs::symlink(place.path("folder"), place.path("same-folder")).unwrap();
    std::fs::hard_link(place.path("members.csv"), place.path("hard.csv")).unwrap();
    let config = place.file("upline.toml", "log = \"warn\"\n");
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(place.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    // output, bonuses
    let table = [
        ("members.csv", "members.csv"),
        ("members.csv", "./members.csv"),
        ("members.csv", "folder/../members.csv"),
        ("members.csv", "link.csv"),
        ("link.csv", "members.csv"),
        ("members.csv", "hard.csv"),
        ("new.csv", "new.csv"),
        ("new.csv", "to-new.csv"),
        ("folder/new.csv", "same-folder/new.csv"),
        // The temporary name of the other file.
        ("new.csv.partial", "new.csv"),
        ("new.csv", "new.csv.partial"),
        ("members.csv.partial", "link.csv"),
        ("upline.toml", "new.csv"),
        ("new.csv", "upline.toml"),
        ("data/instance", "new.csv"),
        ("new.csv", "data/new.csv"),
        ("new.csv", "data/log/new.csv"),
    ];
    for (output, bonuses) in table {
        let arguments = [
            "export",
            "--data-dir",
            &data,
            "--config",
            &config,
            "--output",
            &place.text(output),
            "--bonuses",
            &place.text(bonuses),
        ];
        let ran = run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{output} and {bonuses}: {}", ran.err);
    }
    let to_members = std::fs::File::options().append(true).open(&members).unwrap();
    let ran: crate::support::Ran =
        command(["export", "--data-dir", &data, "--bonuses", &place.text("hard.csv")])
            .stdout(to_members)
            .output()
            .unwrap()
            .into();
    ran.ends_with(2).says("standard output");
    assert_eq!((before, std::fs::read_to_string(&members).unwrap().as_str()), (names(), "what was there"));
    // Two distinct files work, and a link stays a link.
    run([
        "export",
        "--data-dir",
        &data,
        "--output",
        &place.text("link.csv"),
        "--bonuses",
        &place.text("new.csv"),
    ])
    .ends_with(0);
    assert!(
        place.path("link.csv").is_symlink()
            && std::fs::read_to_string(&members).unwrap().lines().count() == 21
    );
    assert!(std::fs::read_to_string(place.path("new.csv")).unwrap().starts_with("receiver,"));
    run(["export", "--data-dir", &data, "--output", "/dev/null", "--bonuses", "/dev/null"]).ends_with(0);
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file(), "a device is written to, not replaced");
    let twice =
        run(["import", &members, "--bonuses", &place.text("link.csv"), "--data-dir", &place.text("other")]);
    twice.ends_with(2).says("are one file");
}
