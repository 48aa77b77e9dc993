//! Read-only commands: `member`, `tree`, `snapshot`, `config`, completions and manual pages, and their input
//! errors.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::support::{Place, Ran, Server, command, run, verified};

const TEAM: &str = "member,sponsor,joined_at\nalice,,2025-03-01\nbob,alice,2025-03-02\n\
                    carol,alice,2025-03-03\ndave,alice,2025-03-04\nerin,bob,2025-03-05\n\
                    frank,alice,2025-03-06\ngrace,alice,2025-03-07\n";

const NOBODY: &str = "00000000-0000-4000-8000-000000000099";

fn team(place: &Place) -> String {
    let data = place.text("team");
    run(["import", &place.file("team.csv", TEAM), "--data-dir", &data]).ends_with(0);
    data
}

/// Returns every file below a directory with its content.
fn content(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                files.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_member_is_found_by_id_name_and_code_and_nothing_is_changed() {
    let place = Place::new();
    let data = team(&place);
    let before = content(Path::new(&data));
    let object = run(["member", "bob", "--data-dir", &data, "--json"]).ends_with(0).json();
    let id = object["member"]["user_id"].as_str().unwrap().to_owned();
    for name in [id.as_str(), &id.to_uppercase(), "BOB"] {
        assert_eq!(
            run(["member", name, "--data-dir", &data, "--json"]).ends_with(0).json(),
            object,
            "{name}"
        );
    }
    assert_eq!(object["member"]["placement"], serde_json::json!({"direct": 3, "downline": 3}));
    assert_eq!(object["member"]["sponsored"]["direct"], 1);
    assert_eq!(object["levels"]["placement"][0], 3);
    assert_eq!(object["rank"]["paid_as"]["name"], "Bronze");
    assert_eq!(object["rank"]["next"]["missing"], 7);
    assert_eq!(object["bonuses"], serde_json::json!([]));
    let text = run(["member", "bob", "--data-dir", &data]).ends_with(0).out;
    assert!(text.contains("Silver: 7 more members (3 of 10)") && text.contains("no bonuses"), "{text}");
    let root = run(["member", "alice", "--data-dir", &data, "--json"]).ends_with(0).json();
    assert_eq!(
        (&root["member"]["sponsor"], &root["member"]["parent"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    run(["tree", "--data-dir", &data]).ends_with(0);
    assert!(content(Path::new(&data)) == before, "looking changes nothing");
}

#[test]
fn who_is_not_there_is_named() {
    let place = Place::new();
    let data = team(&place);
    for name in ["nobody", NOBODY, "not a uuid, and no code", "00000000-0000-4000-8000-00000000009"] {
        for arguments in [vec!["member", name], vec!["tree", name], vec!["dot", "--root", name]] {
            let arguments = arguments.into_iter().chain(["--data-dir", data.as_str()]);
            run(arguments).ends_with(11).says(&format!("member {name} is not known"));
        }
    }
    for command in ["member", "tree"] {
        run([command, "bob", "--data-dir", &place.text("nowhere")]).ends_with(7).says("does not exist");
    }
    run(["member"]).ends_with(2);
}

#[test]
fn trees_are_drawn_within_bounds() {
    let place = Place::new();
    let data = team(&place);
    let draw = |more: &[&str]| run(["tree", "--data-dir", &data].iter().chain(more)).ends_with(0).out;
    let whole = "\
alice  Bronze  6 below
├─ bob  Bronze  3 below
│  ├─ erin
│  ├─ frank
│  └─ grace
├─ carol
│  └─ (slots 0 to 2 free)
└─ dave
   └─ (slots 0 to 2 free)
";
    assert_eq!(draw(&["--depth", "2"]), whole);
    assert_eq!(
        draw(&["--depth", "1", "--tree", "sponsor"]),
        "alice  Bronze  5 directly below\n├─ bob  Bronze  1 directly below\n├─ carol\n├─ dave\n\
         ├─ frank\n└─ grace\n"
    );
    assert_eq!(
        draw(&["--depth", "1", "--limit", "3"]),
        "alice  Bronze  6 below\n├─ bob  Bronze  3 below\n├─ carol\n└─ … and 1 more\n"
    );
    assert_eq!(draw(&["--depth", "0"]), "alice  Bronze  6 below\n");
    let dumb: Ran = command(["tree", "bob", "--depth", "1", "--data-dir", &data])
        .env("TERM", "dumb")
        .output()
        .unwrap()
        .into();
    assert_eq!(dumb.ends_with(0).out, "bob  Bronze  3 below\n|- erin\n|- frank\n`- grace\n");
    assert_eq!(
        draw(&["bob", "--depth", "1", "--ascii"]),
        "bob  Bronze  3 below\n|- erin\n|- frank\n`- grace\n"
    );
    let object = run(["tree", "--data-dir", &data, "--depth", "1", "--json"]).ends_with(0).json();
    assert_eq!(object["members"].as_array().unwrap().len(), 4);
    assert_eq!((&object["members"][1]["hidden"], &object["members"][1]["code"]), (&3.into(), &"bob".into()));
    run(["tree", "--data-dir", &data, "--limit", "0"]).ends_with(2);
    run(["tree", "--data-dir", &data, "--limit", "10001"]).ends_with(2);
}

#[test]
fn deep_and_wide_trees_are_bounded_too() {
    let place = Place::new();
    for (shape, last) in [("chain", "… and"), ("star", "… and")] {
        let data = place.text(shape);
        let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/levels.toml");
        let plan = plan.to_str().unwrap();
        run([
            "demo",
            "--members",
            "5000",
            "--shape",
            shape,
            "--plan",
            plan,
            "--data-dir",
            &data,
            "--no-serve",
        ])
        .ends_with(0);
        let out = run(["tree", "--data-dir", &data, "--depth", "1000", "--limit", "1000"]).ends_with(0).out;
        assert!(out.lines().count() <= 1_001, "{shape}: {}", out.lines().count());
        assert_eq!(out.contains(last), shape == "star", "{shape}");
    }
}

#[test]
fn nobody_reading_is_no_failure() {
    let place = Place::new();
    let data = place.text("data");
    run(["demo", "--orders", "0", "--members", "20000", "--data-dir", &data, "--no-serve"]).ends_with(0);
    let commands: [&[&str]; 4] = [
        &["tree", "--data-dir", &data, "--depth", "1000", "--limit", "10000"],
        &["export", "--data-dir", &data],
        &["completions", "zsh"],
        &["man"],
    ];
    for arguments in commands {
        let mut child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One byte, then the pipe is closed.
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_pipe_gets_no_colours() {
    for colours in [None, Some("1")] {
        let mut help = command(["--help"]);
        match colours {
            Some(value) => help.env("NO_COLOR", value),
            None => &mut help,
        };
        let ran: Ran = help.output().unwrap().into();
        assert!(!ran.ends_with(0).out.contains('\u{1b}'), "{colours:?}");
    }
}

#[test]
fn a_directory_that_a_server_holds_is_asked_through_it() {
    let place = Place::new();
    let data = team(&place);
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    let commands: [&[&str]; 3] = [&["member", "bob"], &["tree"], &["snapshot"]];
    for arguments in commands {
        run(arguments.iter().chain(&["--data-dir", &data])).ends_with(4).says("--url http://127.0.0.1:8000");
    }
    server.signal("TERM");
    server.end().ends_with(0);
}

#[test]
fn a_directory_gets_a_snapshot() {
    let place = Place::new();
    let data = team(&place);
    let before = verified(&data);
    run([
        "import",
        &place.file("more.csv", "member,sponsor,joined_at\nheidi,alice,2025-03-08\n"),
        "--data-dir",
        &data,
    ])
    .ends_with(0);
    assert_eq!(verified(&data)["replayed"], 1);
    let made = run(["snapshot", "--data-dir", &data, "--json"]).ends_with(0).json();
    let after = verified(&data);
    assert_eq!(
        (&made["made"], &made["lsn"], &after["replayed"]),
        (&true.into(), &after["snapshot_lsn"], &0.into())
    );
    assert_ne!(before["snapshot_lsn"], after["snapshot_lsn"]);
    let again = run(["snapshot", "--data-dir", &data, "--json"]).ends_with(0).json();
    assert_eq!((&again["made"], &again["lsn"]), (&false.into(), &made["lsn"]));
    run(["snapshot", "--data-dir", &place.text("nowhere")]).ends_with(7);
    assert!(!place.path("nowhere").exists(), "it makes no directory");
}

/// Ids, names and codes are looked up in the same order everywhere.
#[test]
fn a_text_means_the_same_member_in_a_directory_and_on_a_server() {
    let place = Place::new();
    let data = place.text("data");
    let (one, two) = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002");
    let rows = format!(
        "member,sponsor,joined_at,code\n17,,2025-01-01,42\n5,42,2025-01-01,5\n42,17,2025-01-01,7\n\
         Anna,42,2025-01-01,\n{one},17,2025-01-01,A-I1\n{two},17,2025-01-01,A-1I\nbert,ANNA,2025-01-01,B0B\n"
    );
    run(["import", &place.file("rows.csv", &rows), "--data-dir", &data]).ends_with(0);
    let id = |name: &str, from: [&str; 2]| {
        let member = run(["member", name, "--json", from[0], from[1]]).ends_with(0).json();
        member["member"]["user_id"].as_str().unwrap().to_owned()
    };
    // texts for one member
    let table: [&[&str]; 6] = [
        &["42", "7"],
        &["17"],
        &["Anna", "ANNA", "anna"],
        &[one, "a-i1"],
        &[two, "A-1i"],
        &["bert", "BERT", "B0B", "bob"],
    ];
    let of_directory: Vec<Vec<String>> = table
        .iter()
        .map(|texts| texts.iter().map(|text| id(text, ["--data-dir", &data])).collect())
        .collect();
    for (texts, ids) in table.iter().zip(&of_directory) {
        assert!(ids.iter().all(|id| *id == ids[0]), "{texts:?}: {ids:?}");
    }
    let distinct: std::collections::BTreeSet<&String> = of_directory.iter().flatten().collect();
    assert_eq!(distinct.len(), table.len(), "each text means one of six");
    run(["member", "A-11", "--data-dir", &data]).ends_with(11).says("several referral codes are like it");
    let sponsor =
        run(["member", "5", "--json", "--data-dir", &data]).ends_with(0).json()["member"]["sponsor"].clone();
    assert_eq!(sponsor, of_directory[0][0].as_str(), "5 is under 42, not under whose code is 42");
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    let url = format!("http://{}", server.address);
    for (texts, ids) in table.iter().zip(&of_directory) {
        for (text, expected) in texts.iter().zip(ids) {
            assert_eq!(&id(text, ["--url", &url]), expected, "{text}");
        }
    }
    run(["member", "A-11", "--url", &url]).ends_with(13).says("code_ambiguous");
    server.signal("TERM");
    server.end().ends_with(0);
}

/// A running server gives the same output as its directory, word for word.
#[test]
fn a_server_says_what_its_directory_says() {
    let place = Place::new();
    let made = place.text("made");
    run(["demo", "--orders", "0", "--members", "3000", "--seed", "3", "--data-dir", &made, "--no-serve"])
        .ends_with(0);
    let member = run(["export", "--data-dir", &made])
        .ends_with(0)
        .out
        .lines()
        .nth(20)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .to_owned();
    // Sixty roots, the first with long and wide legs.
    let forest = place.text("forest");
    let mut rows = String::from("member,sponsor,joined_at\n");
    (0..60).for_each(|root| rows += &format!("root{root},,\n"));
    for number in 0..400 {
        let sponsor =
            if number < 60 { format!("root{}", number * number % 9) } else { format!("m{}", number / 3) };
        rows += &format!("m{number},{sponsor},\n");
    }
    run(["import", &place.file("forest.csv", rows), "--data-dir", &forest]).ends_with(0);
    let empty = place.text("empty");
    run(["demo", "--orders", "0", "--members", "0", "--data-dir", &empty, "--no-serve"]).ends_with(0);
    let networks = [
        (team(&place), vec!["alice", "BOB"]),
        (made, vec![member.as_str(), member.as_str()]),
        (forest, vec!["root0", "root5"]),
        (empty, vec![]),
    ];
    for (data, members) in networks {
        let mut commands: Vec<Vec<&str>> = members
            .iter()
            .flat_map(|member| {
                [
                    vec!["member", member],
                    vec!["member", member, "--json"],
                    vec!["tree", member],
                    vec!["tree", member, "--depth", "5", "--limit", "30", "--json"],
                    vec!["tree", member, "--tree", "sponsor", "--limit", "7", "--ascii"],
                    vec!["tree", member, "--depth", "0"],
                ]
            })
            .collect();
        // Without a member: the roots, each with its downline.
        let trees: [&[&str]; 8] = [
            &[],
            &["--json"],
            &["--depth", "0", "--limit", "1"],
            &["--depth", "6", "--limit", "30", "--json"],
            &["--depth", "2", "--limit", "301", "--json"],
            &["--tree", "sponsor", "--limit", "7", "--ascii"],
            &["--tree", "sponsor", "--limit", "243", "--json"],
            &["--depth", "32", "--limit", "1000", "--json"],
        ];
        commands.extend(trees.iter().map(|more| [&["tree"], *more].concat()));
        let asked = |more: [&str; 2]| -> Vec<String> {
            commands.iter().map(|arguments| run(arguments.iter().chain(&more)).ends_with(0).out).collect()
        };
        let of_directory = asked(["--data-dir", &data]);
        let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
        let url = format!("http://{}", server.address);
        for ((command, from_directory), from_server) in
            commands.iter().zip(&of_directory).zip(asked(["--url", &url]))
        {
            assert_eq!(&from_server, from_directory, "{command:?}");
        }
        for name in ["nobody", NOBODY, "not a uuid, and no code"] {
            run(["member", name, "--url", &url]).ends_with(11).says(&format!("member {name} is not known"));
            run(["tree", name, "--url", &format!("{url}/")]).ends_with(11);
        }
        if let Some(member) = members.first() {
            run(["tree", member, "--url", &url, "--limit", "2000"])
                .ends_with(13)
                .says("limit must be within 1..=1000 (422 parameter_invalid)");
            run(["member", member, "--url", &format!("{url}/elsewhere")]).ends_with(13).says("404");
        }
        run(["tree", "--url", &format!("{url}/elsewhere")]).ends_with(13).says("404");
        server.signal("TERM");
        server.end().ends_with(0);
    }
}

#[test]
fn a_server_makes_a_snapshot_when_it_is_told_to() {
    let place = Place::new();
    let data = team(&place);
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    let url = format!("http://{}", server.address);
    let before = run(["snapshot", "--url", &url, "--json"]).ends_with(0).json();
    assert_eq!(
        server.request("POST", "/user/register", "{\"user_id\":\"00000000-0000-4000-8000-000000000001\"}").0,
        200
    );
    let made = run(["snapshot", "--url", &url, "--json"]).ends_with(0).json();
    assert_eq!((&before["made"], &made["made"], &made["members"]), (&false.into(), &true.into(), &8.into()));
    let text = run(["snapshot", "--url", &url]).ends_with(0).out;
    assert!(text.starts_with("nothing changed since the snapshot at LSN 8: 8 members, "), "{text}");
    server.signal("KILL");
    server.end();
    assert_eq!(verified(&data)["snapshot_lsn"], made["lsn"], "it is durable");
    let of_directory = run(["snapshot", "--data-dir", &data, "--json"]).ends_with(0).json();
    let keys = |object: &serde_json::Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&of_directory), keys(&made), "the same words");
}

#[test]
fn a_server_that_asks_who_is_there_takes_a_key_file() {
    let place = Place::new();
    let data = team(&place);
    let key = run(["keys", "create", "--name", "reports", "--role", "auditor", "--data-dir", &data])
        .ends_with(0)
        .out;
    let file = place.file("reports.key", &key);
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    let url = format!("http://{}", server.address);
    run(["member", "bob", "--url", &url]).ends_with(13).says("--key-file").says("unauthenticated");
    let bob = run(["member", "bob", "--url", &url, "--key-file", &file]).ends_with(0).out;
    let words: Vec<&str> =
        key.lines().filter_map(|line| line.split_once(": ")).map(|(_, word)| word).collect();
    let mut by_variables = command(["member", "bob", "--url", &url]);
    let ran: Ran = by_variables
        .env("UPLINE_API_KEY", words[0])
        .env("UPLINE_API_SECRET", words[1])
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.ends_with(0).out, bob);
    // An auditor can only read.
    let ran = run(["snapshot", "--url", &url, "--key-file", &file]).ends_with(13);
    assert!(!ran.err.contains(words[1]), "a secret is never shown: {}", ran.err);
    server.signal("TERM");
    server.end().ends_with(0);
}

/// A server with one fixed response.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4_096];
        _ = stream.read(&mut head);
        _ = stream.write_all(answer.as_bytes());
    });
    format!("http://{address}")
}

#[test]
fn servers_that_say_no_are_passed_on() {
    let place = Place::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(["member", "bob", "--url", &format!("http://{free}")])
        .ends_with(12)
        .says("cannot reach http://127.0.0.1");
    run(["member", "bob", "--url", "http://no-such-host.invalid"]).ends_with(12).says("cannot reach");
    run(["member", "bob", "--url", "127.0.0.1:8000"]).ends_with(2).says("must begin with http://");
    run(["member", "bob", "--url", "http://a:b@127.0.0.1"]).ends_with(2).says("must not hold credentials");
    run(["member", "bob", "--url", "http://127.0.0.1", "--data-dir", "x"]).ends_with(2);
    // response, exit code, message
    let table = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", 13, "is it an upline server?"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nhi", 13, "is it an upline server?"),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 54\r\n\r\n{\"code\":\"forbidden\",\"title\":\"No\",\
             \"detail\":\"not yours\"}",
            13,
            "No: not yours (403 forbidden)",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 26\r\n\r\n{\"code\":\"unauthenticated\"}",
            13,
            "--key-file",
        ),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", 13, "(302)"),
        ("not http at all\r\n\r\n", 12, "cannot reach"),
    ];
    for (answer, code, said) in table {
        run(["member", NOBODY, "--url", &answering(answer)]).ends_with(code).says(said);
    }
    let bad = place.file("key", "only-one-word\n");
    run(["member", "bob", "--url", "http://127.0.0.1:1", "--key-file", &bad])
        .ends_with(3)
        .says("does not hold a key");
    let half: Ran = command(["member", "bob", "--url", "http://127.0.0.1:1"])
        .env("UPLINE_API_KEY", "ulk_1")
        .output()
        .unwrap()
        .into();
    half.ends_with(3).says("go together");
}

#[test]
fn the_configuration_is_shown_with_its_origins_and_checked() {
    let place = Place::new();
    let file = place.file("upline.toml", "data_dir = \"here\"\nsnapshot_every_seconds = 60\n");
    let mut show = command(["config", "show", "--config", &file, "--connections-max", "9", "--origin"]);
    let shown: Ran = show.env("UPLINE_LOG", "warn").output().unwrap().into();
    let shown = shown.ends_with(0).out;
    for (setting, origin) in [
        ("data_dir = \"here\"", format!("# {file} line 1")),
        ("snapshot_every_seconds = 60", format!("# {file} line 2")),
        ("connections_max = 9", "# --connections-max".into()),
        ("log = \"warn\"", "# environment UPLINE_LOG".into()),
        ("drain_seconds = 7", "# default".into()),
    ] {
        assert!(
            shown.lines().any(|line| line.starts_with(setting) && line.ends_with(&origin)),
            "{setting} {origin}:\n{shown}"
        );
    }
    let object = run(["config", "show", "--json"]).ends_with(0).json();
    assert_eq!(
        object["settings"]["addr"],
        serde_json::json!({"value": "127.0.0.1:8000", "origin": "default"})
    );
    assert_eq!(
        run(["config", "show", "log", "addr"]).ends_with(0).out,
        "addr = \"127.0.0.1:8000\"\nlog = \"info\"\n"
    );
    run(["config", "show", "adr"]).ends_with(2).says("addr");
    run(["config", "show", "--segment-bytes", "7"]).ends_with(3).says("segment_bytes");

    run(["config", "check", &file]).ends_with(0);
    // The output is a file with the same settings.
    let printed = place.file("printed.toml", run(["config", "show", "--config", &file]).ends_with(0).out);
    run(["config", "check", &printed]).ends_with(0);
    let wrong = place.file("wrong.toml", "data_dirr = \"x\"\nsegment_bytes = 7\n");
    let ran = run(["config", "check", &wrong, "--json"])
        .ends_with(3)
        .says("line 1: data_dirr")
        .says("is not a configuration that can be used");
    assert_eq!(ran.json()["valid"], false);
    let plan = place.file("plan.toml", format!("plan = {:?}\n", place.text("no-plan.toml")));
    run(["config", "check", &plan]).ends_with(3).says("no-plan.toml");
    run(["config", "check", &place.text("nothing.toml")]).ends_with(3).says("cannot read");
}

#[test]
fn completions_and_pages_know_every_command() {
    let place = Place::new();
    let help = run(["--help"]).ends_with(0).out;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Continued descriptions are indented further.
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(12 <= commands.len() && commands.contains(&"tree"), "{commands:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(["completions", shell]).ends_with(0).out;
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    run(["completions", "csh"]).ends_with(2);
    let pages = place.text("man/man1");
    run(["man", "--output", &pages]).ends_with(0);
    for command in &commands {
        assert!(place.path("man/man1").join(format!("upline-{command}.1")).exists(), "{command}");
    }
    let page = run(["man"]).ends_with(0).out;
    assert!(page.contains(".TH upline 1") && page.contains("Exit codes"), "{page}");
    run(["man", "--output", "/dev/null/x"]).ends_with(1).says("/dev/null/x");
}
