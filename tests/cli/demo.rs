use crate::support::{Place, Server, command, run, verified};

#[test]
fn every_shape_makes_a_network_that_verifies() {
    let place = Place::new();
    for shape in ["real", "uniform", "pa", "star", "chain", "root", "freebsd", "jazz"] {
        let data = place.text(shape);
        let object = run([
            "demo",
            "--members",
            "2000",
            "--shape",
            shape,
            "--seed",
            "5",
            "--data-dir",
            &data,
            "--no-serve",
            "--json",
        ])
        .ends_with(0)
        .json();
        let verified = verified(&data);
        assert_eq!((&object["members"], &verified["members"]), (&2000.into(), &2000.into()), "{shape}");
        assert_eq!(object["network_digest"], verified["network_digest"], "{shape}");
        // A referral bonus per member, four levels each except near the top.
        let bonuses = verified["bonuses"].as_u64().unwrap();
        assert!((4 * 2000 - 300..4 * 2000).contains(&bonuses), "{shape}: {bonuses}");
    }
}

#[test]
fn the_same_seed_gives_the_same_tree() {
    let place = Place::new();
    let tree = |name: &str, seed: &str| {
        let data = place.text(name);
        run(["demo", "--members", "500", "--seed", seed, "--data-dir", &data, "--no-serve"]).ends_with(0);
        let rows = run(["export", "--data-dir", &data]).ends_with(0).out;
        rows.lines().map(|row| row.split(',').take(5).collect::<Vec<_>>().join(",")).collect::<Vec<_>>()
    };
    assert_eq!(tree("a", "1"), tree("b", "1"));
    assert_ne!(tree("c", "1"), tree("d", "2"));
}

#[test]
fn a_demo_refuses_a_directory_that_holds_something() {
    let place = Place::new();
    let data = place.text("data");
    run(["demo", "--members", "10", "--data-dir", &data, "--no-serve"]).ends_with(0);
    let before = verified(&data)["digest"].clone();
    run(["demo", "--members", "10", "--data-dir", &data, "--no-serve"]).ends_with(7);
    assert_eq!(verified(&data)["digest"], before);
}

#[test]
fn a_demo_serves_what_it_made_and_leaves_nothing_behind() {
    let place = Place::new();
    let mut demo = command(["demo", "--members", "100", "--addr", "127.0.0.1:0"]);
    // The first line is about the network; the server's comes after it.
    demo.env("TMPDIR", place.root()).stderr(std::process::Stdio::piped());
    let server = Server::start_after(&mut demo, 1);
    let (status, body) = server.request("GET", "/health", "");
    assert_eq!((status, body.as_str()), (200, r#"{"status":"healthy"}"#));
    server.signal("TERM");
    server.end().ends_with(0);
    assert_eq!(std::fs::read_dir(place.root()).unwrap().count(), 0);
}

#[test]
fn what_a_killed_demo_left_goes_when_the_next_one_starts() {
    let place = Place::new();
    let demo = || {
        let mut demo = command(["demo", "--members", "1", "--addr", "127.0.0.1:0"]);
        demo.env("TMPDIR", place.root());
        demo
    };
    let left = || {
        std::fs::read_dir(place.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    let killed = Server::start_after(&mut demo(), 1);
    let first = left();
    killed.signal("KILL");
    killed.end();
    assert_eq!((first.len(), left()), (1, first.clone()), "a kill leaves it");
    let running = Server::start_after(&mut demo(), 1);
    assert!(left().len() == 1 && left() != first, "{:?}", left());
    let beside = Server::start_after(&mut demo(), 1);
    assert_eq!(left().len(), 2, "what is in use stays");
    for server in [running, beside] {
        server.signal("TERM");
        server.end().ends_with(0);
    }
    assert!(left().is_empty());
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_made() {
    let place = Place::new();
    let data = place.text("data");
    run(["demo", "--members", "4000000000", "--data-dir", &data, "--no-serve"])
        .ends_with(2)
        .says("4000000000 is not in 0..=100000000");
    run(["demo", "--members", "10", "--no-serve"]).ends_with(2).says("needs --data-dir");
    assert!(!place.path("data").exists());
    let help = run(["demo", "--help"]).ends_with(0).out;
    assert!(help.contains("a temporary one") && !help.contains("snapshots/live"), "{help}");
}

#[test]
fn one_member_is_not_many() {
    let place = Place::new();
    let data = place.text("data");
    let out = run(["demo", "--members", "1", "--data-dir", &data, "--no-serve"]).ends_with(0).out;
    assert!(out.starts_with("made 1 member (real, seed 0), 0 bonuses, depth 1 in "), "{out}");
    let out = run(["verify", "--data-dir", &data]).ends_with(0).out;
    assert!(out.starts_with("everything holds: 1 member, depth 1, 0 bonuses"), "{out}");
}

#[test]
fn what_would_keep_a_demo_from_serving_is_found_before_a_network_is_made() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = place.text("data");
    // flags, exit code, message
    let table: [(&[&str], i32, &str); 3] = [
        (&["--addr", &address], 1, &address),
        (&["--addr", "127.0.0.1:0", "--ops-addr", &address], 1, &address),
        (&["--addr", "0.0.0.0:0"], 3, "reachable from other machines"),
    ];
    for (flags, code, said) in table {
        let demo = ["demo", "--members", "100", "--data-dir", &data];
        let ran = run(demo.iter().chain(flags)).ends_with(code).says(said);
        assert!(ran.out.is_empty() && !place.path("data").exists(), "{flags:?}: {}", ran.out);
    }
    run(["demo", "--members", "1", "--data-dir", &data, "--no-serve", "--addr", &address])
        .ends_with(0)
        .says(&data);
}
