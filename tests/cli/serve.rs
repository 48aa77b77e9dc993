use std::time::Duration;

use crate::support::{Place, Ran, Server, command, run, verified};

fn start(data: &str) -> Server {
    Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", data]))
}

fn register(server: &Server, number: u32, parent: Option<u32>) -> u16 {
    let id = |number| format!("\"00000000-0000-4000-8000-{number:012}\"");
    let parent = parent.map_or("null".into(), id);
    server
        .request("POST", "/user/register", &format!("{{\"user_id\":{},\"parent_id\":{parent}}}", id(number)))
        .0
}

#[test]
fn it_serves_stops_and_goes_on() {
    let place = Place::new();
    let data = place.text("data");
    for (round, name) in ["TERM", "INT"].into_iter().enumerate() {
        let server = start(&data);
        let number = u32::try_from(round).unwrap() + 1;
        assert_eq!(register(&server, number, (number != 1).then_some(1)), 200);
        assert_eq!(register(&server, number, None), 400, "it exists");
        server.signal(name);
        server.end().ends_with(0);
        let verified = verified(&data);
        assert_eq!(
            (&verified["members"], &verified["replayed"]),
            (&number.into(), &0.into()),
            "a stop makes a snapshot"
        );
    }
}

#[test]
fn a_kill_loses_nothing_that_was_answered() {
    let place = Place::new();
    let data = place.text("data");
    let server = start(&data);
    for number in 1..=20 {
        assert_eq!(register(&server, number, (number != 1).then_some(1)), 200);
    }
    server.signal("KILL");
    assert_eq!(server.end().code, None);
    let object = verified(&data);
    assert_eq!((&object["members"], &object["replayed"]), (&20.into(), &20.into()));
}

#[test]
fn a_bare_call_serves_with_no_configuration() {
    let place = Place::new();
    let home = place.text("home");
    let from = |directory: &str, environment: &[(&str, &str)]| {
        let mut bare = command(["--addr", "127.0.0.1:0"]);
        bare.current_dir(place.path(directory)).env_remove("XDG_STATE_HOME").env_remove("HOME");
        bare.env("UPLINE_SEGMENT_BYTES", "1M").envs(environment.iter().copied());
        bare
    };
    let serves = |directory: &str, environment: &[(&str, &str)]| {
        let server = Server::start(&mut from(directory, environment));
        assert_eq!(server.request("GET", "/health", "").0, 200);
        server.signal("TERM");
        server.end().ends_with(0).err
    };
    for directory in ["anywhere", "elsewhere", "checkout/snapshots", "live/snapshots/live"] {
        std::fs::create_dir_all(place.path(directory)).unwrap();
    }
    std::fs::write(place.path("checkout/snapshots/README.md"), "").unwrap();
    // Regardless of where it is started there is one network, and its creation is announced once.
    let said = serves("anywhere", &[("HOME", &home)]);
    let data = place.path("home/.local/state/upline");
    assert!(data.join("instance").exists());
    assert!(
        said.contains("A NEW, EMPTY NETWORK was begun in") && said.contains(data.to_str().unwrap()),
        "{said}"
    );
    assert!(
        said.contains("a new, empty network was begun: there was none") && said.contains("WARN"),
        "{said}"
    );
    let said = serves("elsewhere", &[("HOME", &home)]);
    assert!(!said.contains("NEW") && !said.contains("was begun"), "{said}");
    let state = place.text("state");
    serves("elsewhere", &[("HOME", &home), ("XDG_STATE_HOME", &state)]);
    assert!(place.path("state/upline/instance").exists());
    for checkout in ["checkout", "live"] {
        serves(checkout, &[("HOME", &home)]);
        assert!(place.path(checkout).join("snapshots/live/instance").exists(), "{checkout}");
    }
    assert!(!place.path("anywhere/snapshots").exists() && !place.path("elsewhere/snapshots").exists());
    let ran: crate::support::Ran = from("elsewhere", &[]).output().unwrap().into();
    ran.ends_with(3).says("name a directory with --data-dir");
}

#[test]
fn every_command_that_begins_a_network_says_so() {
    let place = Place::new();
    let rows = place.file("rows.csv", "member,sponsor,joined_at\na,,\n");
    let at = |name: &str| place.text(name);
    run(["import", &rows, "--data-dir", &at("import"), "--dry-run"]).ends_with(0);
    run(["import", &rows, "--data-dir", &at("import")])
        .ends_with(0)
        .says(&format!("a new network was begun in {}", at("import")));
    let again = run(["import", &rows, "--data-dir", &at("import")]).ends_with(0);
    assert!(!again.err.contains("was begun"), "{}", again.err);
    let demo = run(["demo", "--members", "0", "--no-serve", "--data-dir", &at("demo")]).ends_with(0);
    demo.says(&format!("a new network was begun in {}", at("demo")));
    let key = ["keys", "create", "--name", "a", "--data-dir", &at("keys")];
    run(key).ends_with(0).says(&format!("made the data directory {}", at("keys")));
    assert!(!run(key).ends_with(0).err.contains("made the data directory"));
    // Read-only commands create nothing.
    for command in ["verify", "export", "snapshot", "tree"] {
        run([command, "--data-dir", &at("nowhere")]).ends_with(7);
    }
    for arguments in [vec!["keys", "list"], vec!["keys", "revoke", "ulk_0000000000000000"]] {
        run(arguments.into_iter().chain(["--data-dir", &at("nowhere")]))
            .ends_with(7)
            .says("there is no such directory");
    }
    assert!(!place.path("nowhere").exists());
}

/// Nobody has the secret of such a key, and nobody would know.
#[test]
fn a_key_whose_secret_cannot_be_shown_is_revoked() {
    let place = Place::new();
    let data = place.text("data");
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let outputs: [(std::process::Stdio, &[&str]); 2] = [(full.into(), &[]), (closed.into(), &["--json"])];
    for (number, (output, more)) in outputs.into_iter().enumerate() {
        let create = ["keys", "create", "--name", "a", "--data-dir", &data];
        let ran = command(create.iter().chain(more)).stdout(output).output().unwrap();
        Ran::from(ran).ends_with(1).says("was not shown, so the key is revoked");
        let keys = run(["keys", "list", "--json", "--data-dir", &data]).ends_with(0).json();
        let keys = keys["keys"].as_array().unwrap();
        assert_eq!(keys.len(), number + 1);
        assert!(keys.iter().all(|key| key["status"] == "revoked"), "{keys:?}");
    }
}

#[test]
fn only_signals_that_mean_an_end_are_one() {
    let place = Place::new();
    let server = start(&place.text("data"));
    for name in ["HUP", "USR1", "USR2", "HUP"] {
        server.signal(name);
        assert_eq!(server.request("GET", "/health", "").0, 200, "{name}");
    }
    server.signal("TERM");
    server.end().ends_with(0).says("SIGHUP: reading service keys and the token issuer's keys again");
}

#[test]
fn sizes_are_bytes_or_have_a_letter() {
    let place = Place::new();
    let config = place.file("upline.toml", "segment_bytes = \"2M\"\n");
    let shown = |arguments: &[&str], variable: &str| {
        let mut show =
            command(["config", "show", "segment_bytes", "log_retention_bytes"].iter().chain(arguments));
        let ran: crate::support::Ran =
            show.env("UPLINE_LOG_RETENTION_BYTES", variable).output().unwrap().into();
        ran
    };
    let out = shown(&["--config", &config], "10G").ends_with(0).out;
    assert_eq!(out, "segment_bytes = \"2M\"\nlog_retention_bytes = \"10G\"\n");
    shown(&["--config", &config], "10GB").ends_with(3).says("log_retention_bytes: `10GB` is not a size");
    shown(&["--segment-bytes", "1.5M"], "").ends_with(3).says("such as 64M");
    // The log has segments of the configured size.
    let data = place.text("data");
    let server = Server::start(&mut command([
        "serve",
        "--addr",
        "127.0.0.1:0",
        "--data-dir",
        &data,
        "--segment-bytes",
        "1024K",
    ]));
    server.signal("TERM");
    server.end().ends_with(0);
    assert_eq!(std::fs::metadata(place.path("data/log/00000000000000000001.log")).unwrap().len(), 1 << 20);
}

#[test]
fn a_directory_in_use_is_refused_at_once_and_unchanged() {
    let place = Place::new();
    let data = place.text("data");
    let server = start(&data);
    let commands: [&[&str]; 4] = [
        &["serve", "--addr", "127.0.0.1:0", "--data-dir", &data],
        &["verify", "--data-dir", &data],
        &["export", "--data-dir", &data],
        &["import", &place.file("rows.csv", "member,sponsor,joined_at\na,,\n"), "--data-dir", &data],
    ];
    for arguments in commands {
        run(arguments).ends_with(4).says("in use by another process");
    }
    server.signal("TERM");
    server.end().ends_with(0);
}

#[test]
fn the_width_of_the_original_counts_for_a_new_directory_only() {
    let place = Place::new();
    let data = place.text("data");
    let serve = ["serve", "--addr", "127.0.0.1:0", "--data-dir", &data];
    let server = Server::start(
        command(serve).env("MAX_CHILDREN", "2").env("DB_URL", "postgresql://x").env("REDIS_ENABLED", "true"),
    );
    assert_eq!(register(&server, 1, None), 200);
    server.signal("TERM");
    server.end().ends_with(0).says("ignored, since there is no database and no cache: DB_URL, REDIS_ENABLED");
    let ran: crate::support::Ran = command(serve).env("MAX_CHILDREN", "5").output().unwrap().into();
    ran.ends_with(8).says("placement.width: 2 in the directory, 5 wanted");
    // Without a requested width the directory's applies.
    let server = start(&data);
    server.signal("TERM");
    server.end().ends_with(0);
    let plan = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/levels.toml");
    let ran = run(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data, "--plan", plan.to_str().unwrap()])
        .ends_with(8);
    assert!(ran.err.contains("name: \"matrix\" in the directory, \"levels\" wanted"), "{}", ran.err);
    assert!(
        ran.err.contains("leave out what asks for another plan") && ran.err.contains("PUT /v1/plan"),
        "{}",
        ran.err
    );
}

#[test]
fn wrong_configuration_is_refused_before_anything_is_made() {
    let place = Place::new();
    let data = place.text("data");
    let config = place.file("upline.toml", "adr = \"127.0.0.1:1\"\n");
    // flags, what is said
    let table: [(&[&str], &str); 4] = [
        (&["--addr", "0.0.0.0:0"], "reachable from other machines"),
        (&["--addr", "nowhere"], "is not an address"),
        (&["--segment-bytes", "7", "--connections-max", "0"], "connections_max: `0` must be between"),
        (&["--config", &config], "line 1: adr: is not known here"),
    ];
    for (flags, said) in table {
        let arguments = ["serve", "--data-dir", &data].into_iter().chain(flags.iter().copied());
        run(arguments).ends_with(3).says(said);
    }
    assert!(!place.path("data").exists());
}

#[test]
fn a_host_name_is_an_address() {
    let place = Place::new();
    let server =
        Server::start(&mut command(["serve", "--addr", "localhost:0", "--data-dir", &place.text("data")]));
    assert_eq!(server.request("GET", "/health", "").0, 200);
    server.signal("TERM");
    server.end().ends_with(0);
}

#[test]
fn the_text_none_as_a_parent_is_a_choice() {
    let place = Place::new();
    let body = "{\"user_id\":\"00000000-0000-4000-8000-000000000001\",\"parent_id\":\"None\"}";
    for (value, status) in [("true", 200), ("false", 422)] {
        let data = place.text(value);
        let server = Server::start(&mut command([
            "serve",
            "--addr",
            "127.0.0.1:0",
            "--data-dir",
            &data,
            "--none-parent-is-null",
            value,
        ]));
        assert_eq!(server.request("POST", "/user/register", body).0, status, "{value}");
        server.signal("TERM");
        server.end().ends_with(0);
    }
}

#[test]
fn the_version_is_the_same_everywhere() {
    let place = Place::new();
    let shown = run(["--version"]).ends_with(0).out;
    let server = start(&place.text("data"));
    let (_, body) = server.request("GET", "/version", "");
    let version: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = |key: &str| version[key].as_str().unwrap_or_default().to_owned();
    let commit = if version["commit"].is_null() { String::new() } else { format!(" ({})", text("commit")) };
    assert_eq!(shown, format!("upline {}{commit}\n", text("version")));
    server.signal("TERM");
    server.end().ends_with(0);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    run(["serve", "--addr", &address, "--data-dir", &place.text("data")]).ends_with(1).says(&address);
}

#[test]
fn an_open_address_needs_consent() {
    let place = Place::new();
    let server = Server::start(&mut command([
        "serve",
        "--addr",
        "0.0.0.0:0",
        "--insecure",
        "--data-dir",
        &place.text("data"),
    ]));
    server.signal("TERM");
    server.end().ends_with(0);
}

#[test]
fn the_second_signal_ends_at_once() {
    use std::io::Write;
    let place = Place::new();
    let server = Server::start(&mut command([
        "serve",
        "--addr",
        "127.0.0.1:0",
        "--drain-seconds",
        "60",
        "--data-dir",
        &place.text("data"),
    ]));
    // A request with a missing body delays the stop.
    let mut half = std::net::TcpStream::connect(&server.address).unwrap();
    half.write_all(b"POST /user/register HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{")
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(500));
    server.signal("TERM");
    // A stop that waited for the body, or for its sixty seconds, would end with 0.
    server.end().ends_with(130).says("once more to stop at once");
}
