use std::time::{Duration, Instant};

use crate::support::{Place, Server, command, run, verified};

fn start(data: &str) -> Server {
    Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", data]))
}

fn register(server: &Server, number: u32, parent: Option<u32>) -> u16 {
    let id = |number| format!("\"00000000-0000-4000-8000-{number:012}\"");
    let parent = parent.map_or("null".into(), id);
    server.request("POST", "/user/register", &format!("{{\"user_id\":{},\"parent_id\":{parent}}}", id(number))).0
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
        assert_eq!((&verified["members"], &verified["replayed"]), (&number.into(), &0.into()), "a stop makes a snapshot");
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
    let mut bare = command(["--addr", "127.0.0.1:0"]);
    let server = Server::start(bare.current_dir(place.root()));
    assert_eq!(server.request("GET", "/health", "").0, 200);
    server.signal("TERM");
    server.end().ends_with(0);
    assert!(place.path("snapshots/live/instance").exists());
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
        let started = Instant::now();
        run(arguments).ends_with(4).says("in use by another process");
        assert!(started.elapsed() < Duration::from_secs(5), "{arguments:?}");
    }
    server.signal("TERM");
    server.end().ends_with(0);
}

#[test]
fn the_width_of_the_original_counts_for_a_new_directory_only() {
    let place = Place::new();
    let data = place.text("data");
    let serve = ["serve", "--addr", "127.0.0.1:0", "--data-dir", &data];
    let server = Server::start(command(serve).env("MAX_CHILDREN", "2").env("DB_URL", "postgresql://x").env("REDIS_ENABLED", "true"));
    assert_eq!(register(&server, 1, None), 200);
    server.signal("TERM");
    server.end().ends_with(0).says("ignored, since there is no database and no cache: DB_URL, REDIS_ENABLED");
    let ran: crate::support::Ran = command(serve).env("MAX_CHILDREN", "5").output().unwrap().into();
    ran.ends_with(8).says("placement.width: 2 in the directory, 5 wanted");
    // Nobody asks for a width: the directory's counts.
    let server = start(&data);
    server.signal("TERM");
    server.end().ends_with(0);
    let plan = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/levels.toml");
    let ran = run(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data, "--plan", plan.to_str().unwrap()]).ends_with(8);
    assert!(ran.err.contains("name: \"matrix\" in the directory, \"levels\" wanted"), "{}", ran.err);
    assert!(ran.err.contains("leave out what asks for another plan") && ran.err.contains("PUT /v1/plan"), "{}", ran.err);
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
    let server = Server::start(&mut command(["serve", "--addr", "localhost:0", "--data-dir", &place.text("data")]));
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
        let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data, "--none-parent-is-null", value]));
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
    let server = Server::start(&mut command(["serve", "--addr", "0.0.0.0:0", "--insecure", "--data-dir", &place.text("data")]));
    server.signal("TERM");
    server.end().ends_with(0);
}

#[test]
fn the_second_signal_ends_at_once() {
    use std::io::Write;
    let place = Place::new();
    let server =
        Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--drain-seconds", "60", "--data-dir", &place.text("data")]));
    // A request whose body does not come holds the server up.
    let mut half = std::net::TcpStream::connect(&server.address).unwrap();
    half.write_all(b"POST /user/register HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(500));
    server.signal("TERM");
    server.end().ends_with(130).says("once more to stop at once");
    assert!(started.elapsed() < Duration::from_secs(5));
}
