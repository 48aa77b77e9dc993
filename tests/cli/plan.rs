use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Place, Server, command, run};

#[test]
fn shipped_plans_are_valid() {
    for name in ["matrix", "levels", "binary", "monthly-volume", "demo"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("plans/{name}.toml"));
        let ran = run(["plan", "check", path.to_str().unwrap(), "--json"]).ends_with(0);
        assert_eq!(ran.json()["valid"], true);
        let ran = run(["plan", "check", path.to_str().unwrap()]).ends_with(0);
        assert!(ran.out.contains(&format!("name = \"{name}\"")), "{}", ran.out);
    }
}

#[test]
fn faults_are_named_with_line_and_reason() {
    let place = Place::new();
    let matrix =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/matrix.toml")).unwrap();
    let broken = place
        .file("broken.toml", matrix.replace("width = 3", "width = 0").replace("minimum = 10", "minimum = 2"));
    let ran = run(["plan", "check", &broken, "--json"])
        .ends_with(3)
        .says("unlimited width goes with `unilevel` alone");
    let errors = ran.json()["errors"].clone();
    assert_eq!(errors.as_array().unwrap().len(), 2, "{errors}");
    assert_eq!(
        (&errors[0]["field"], &errors[1]["field"]),
        (&"placement.rule".into(), &"ladder.live.rank[1].minimum".into())
    );
    assert!(errors[0]["line"].is_u64());
    run(["plan", "check", &place.text("missing.toml")]).ends_with(3).says("cannot read");
    // So is one that a command takes.
    for flag in ["--plan", "--config"] {
        let missing = [flag, &place.text("missing.toml"), "--data-dir", &place.text("data")];
        run(["serve"].iter().chain(&missing)).ends_with(3).says("cannot read");
        run(["import", "members.csv"].iter().chain(&missing)).ends_with(3).says("cannot read");
    }
    let latin = place.file("latin.toml", b"name = \"a\"\n# caf\xe9\n");
    for arguments in [["plan", "check", &latin], ["config", "check", &latin]] {
        run(arguments).ends_with(3).says("line 2 is not UTF-8 text");
    }
    // Every command that would use the file refuses it.
    run(["serve", "--addr", "127.0.0.1:0", "--data-dir", &place.text("data"), "--plan", &broken])
        .ends_with(3)
        .says("unlimited width");
    assert!(!place.path("data").exists());
}

#[test]
fn a_plan_of_the_former_form_is_told_in_that_of_today() {
    let place = Place::new();
    let former = place.file(
        "former.toml",
        "name = \"old\"\ncurrency = { code = \"EUR\", exponent = 2 }\n\
         placement = { width = 2, rule = \"left\" }\n[[bonus]]\ntrigger = \"referral\"\n\
         amounts = [\"10.00\", 0.5]\n[[bonus]]\ntrigger = \"purchase\"\nbasis_points = [1000, 250, 5]\n\
         [ranks]\nrule = \"thresholds\"\nbasis = \"direct\"\n[[rank]]\nname = \"Pair\"\n\
         minimum = 2\nreward = \"1\"\n",
    );
    let ran = run(["plan", "check", &former, "--json"]).ends_with(3);
    let json = ran.json();
    let error = &json["errors"][0];
    assert_eq!((&error["line"], &error["field"]), (&4.into(), &"bonus".into()));
    // What is printed can be pasted as it is.
    let reason = error["reason"].as_str().unwrap();
    let (_, pasted) = reason.split_once(":\n\n").unwrap();
    let today = place.file("today.toml", pasted);
    let checked = run(["plan", "check", &today, "--json"]).ends_with(0).json();
    assert_eq!(checked["canonical"].as_str().unwrap().trim_end(), pasted);
    for part in [
        "money = [\"10.00\", \"0.50\"]",
        "percent = [\"10\", \"2.5\", \"0.05\"]",
        "basis = \"direct\"",
        "reward = \"1.00\"",
    ] {
        assert!(pasted.contains(part), "{pasted}");
    }
    // What else is wrong with it is told at the lines of the file.
    let wrong = std::fs::read_to_string(&former)
        .unwrap()
        .replace("minimum = 2", "minimum = 0")
        .replace("1000", "1.5");
    let wrong = place.file("wrong.toml", wrong);
    let json = run(["plan", "check", &wrong, "--json"]).ends_with(3).json();
    let errors: Vec<_> = json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["line"].as_u64(), error["field"].as_str().unwrap()))
        .collect();
    assert_eq!(
        errors,
        [(Some(4), "bonus"), (Some(9), "bonus[1].basis_points[0]"), (Some(15), "rank[0].minimum")]
    );
}

#[test]
fn a_network_shows_the_plans_that_it_had() {
    let place = Place::new();
    let data = place.text("data");
    run(["demo", "--members", "5", "--data-dir", &data, "--no-serve"]).ends_with(0);
    let begun = run(["plan", "show", "--json", "--data-dir", &data]).ends_with(0).json();
    assert_eq!(
        (&begun["command"], &begun["version"], &begun["from_lsn"], &begun["from_time"], &begun["exact"]),
        (&"plan show".into(), &1.into(), &0.into(), &Value::Null, &true.into())
    );
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    let url = format!("http://{}", server.address);
    let mut next = begun["plan"].clone();
    next["name"] = json!("second");
    let (status, answer) = server.request("PUT", "/v1/plan", &next.to_string());
    assert_eq!(status, 200, "{answer}");
    let lsn = begun["lsn"].as_u64().unwrap();
    let (before, after, ahead) = (lsn.to_string(), (lsn + 1).to_string(), (lsn + 2).to_string());
    let commands: [&[&str]; 7] = [
        &["show"],
        &["show", "--json"],
        &["show", "--at", &before],
        &["show", "--at", &after, "--json"],
        &["show", "--at", "0", "--json"],
        &["versions"],
        &["versions", "--json"],
    ];
    let asked = |from: [&str; 2]| -> Vec<String> {
        let run = |more: &&[&str]| run(["plan"].iter().chain(*more).chain(&from)).ends_with(0).out;
        commands.iter().map(run).collect()
    };
    let refused = |from: [&str; 2]| {
        run(["plan", "show", "--at", &ahead, from[0], from[1]])
            .ends_with(13)
            .says("this LSN is yet to come (400 as_of_invalid)");
        run(["plan", "show", "--at", "first", from[0], from[1]]).ends_with(2);
    };
    let of_server = asked(["--url", &url]);
    refused(["--url", &url]);
    for command in ["show", "versions"] {
        run(["plan", command, "--data-dir", &data]).ends_with(4).says("--url http://127.0.0.1:8000");
        run(["plan", command, "--data-dir", &place.text("nowhere")]).ends_with(7);
        run(["plan", command, "--url", "http://127.0.0.1:1"]).ends_with(12);
    }
    server.signal("TERM");
    server.end().ends_with(0);
    assert_eq!(asked(["--data-dir", &data]), of_server, "a directory says what its server said");
    refused(["--data-dir", &data]);

    let json = |at: usize| serde_json::from_str::<Value>(&of_server[at]).unwrap();
    assert_eq!(json(1)["plan"], next);
    assert_eq!((&json(3)["version"], &json(3)["from_lsn"]), (&2.into(), &(lsn + 1).into()));
    assert_eq!((&json(4)["version"], &json(4)["plan"]), (&1.into(), &begun["plan"]));
    let versions = json(6)["versions"].clone();
    let named: Vec<(u64, &str)> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (version["version"].as_u64().unwrap(), version["name"].as_str().unwrap()))
        .collect();
    assert_eq!(named, [(2, "second"), (1, begun["plan"]["name"].as_str().unwrap())]);
    // What is printed is a plan file.
    assert!(
        of_server[0].starts_with(&format!("# version 2, in force from LSN {after}\n")),
        "{}",
        of_server[0]
    );
    let printed = place.file("printed.toml", &of_server[0]);
    let checked = run(["plan", "check", &printed, "--json"]).ends_with(0).json();
    assert!(of_server[0].contains(checked["canonical"].as_str().unwrap().trim_end()));
}
