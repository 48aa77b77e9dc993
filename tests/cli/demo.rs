use crate::support::{Place, Server, command, run, verified};

#[test]
fn every_shape_makes_a_network_that_verifies() {
    let place = Place::new();
    for shape in ["real", "uniform", "pa", "star", "chain", "root", "freebsd", "jazz"] {
        let data = place.text(shape);
        let object = run(["demo", "--members", "2000", "--shape", shape, "--seed", "5", "--data-dir", &data, "--no-serve", "--json"])
            .ends_with(0)
            .json();
        let verified = verified(&data);
        assert_eq!((&object["members"], &verified["members"]), (&2000.into(), &2000.into()), "{shape}");
        assert_eq!(object["network_digest"], verified["network_digest"], "{shape}");
        // A referral bonus per member, four levels each but for those near the top.
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
