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
fn a_demo_has_orders_of_four_ended_periods_and_of_the_current_one() {
    let place = Place::new();
    let made = |name: &str, seed: &str| {
        let data = place.text(name);
        let demo = ["demo", "--members", "50", "--seed", seed, "--orders", "402", "--no-serve", "--json"];
        let object = run(demo.iter().chain(&["--data-dir", &data])).ends_with(0).json();
        assert_eq!((&object["orders"], &object["members"]), (&402.into(), &50.into()));
        assert!(object["refunds"].as_u64().unwrap() != 0);
        verified(&data);
        data
    };
    let periods = |data: &str| {
        let list = run(["period", "list", "month", "--data-dir", data, "--json"]).ends_with(0).json();
        list["periods"].as_array().unwrap().clone()
    };
    let data = made("a", "1");
    let found = periods(&data);
    let states: Vec<&str> = found.iter().rev().map(|period| period["state"].as_str().unwrap()).collect();
    assert_eq!(states[..4], ["posted", "posted", "posted", "closing"]);
    // The month may end while this runs.
    assert!(["open", "closing"].contains(&states[4]), "{states:?}");
    let of = |field: &str| found.iter().map(|period| period["totals"][field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(of("orders"), 402);
    // One in fifty comes late, and is booked into the period before.
    let orders: Vec<_> = found.iter().rev().map(|period| period["totals"]["orders"].clone()).collect();
    assert_eq!(orders, [81, 81, 80, 80, 80]);
    assert!(of("refunds") != 0);
    let label = found[3]["label"].as_str().unwrap();
    let show = ["period", "show", "month", label, "--data-dir", &data, "--json"];
    let shown = run(show).ends_with(0).json();
    let steps: Vec<_> = shown["steps"].as_array().unwrap().iter().map(|step| step["step"].clone()).collect();
    assert_eq!(steps, ["post", "approve", "lock"]);
    assert_eq!(shown["runs"].as_array().unwrap().len(), 1);
    let order = run(["orders", "show", "demo-0", "--data-dir", &data, "--json"]).ends_with(0).json();
    assert_eq!(order["order"]["booking"]["month"], found[4]["label"]);

    // What was sold depends on the seed, and not on when the demo is made.
    let totals =
        |data: &str| -> Vec<_> { periods(data).iter().map(|period| period["totals"].clone()).collect() };
    assert_eq!(totals(&made("b", "1")), totals(&data));
    assert_ne!(totals(&made("c", "2")), totals(&data));
}

#[test]
fn the_orders_of_a_demo_follow_its_plan() {
    let place = Place::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let plan = |name: &str| root.join(format!("plans/{name}.toml")).to_str().unwrap().to_owned();
    let demo = |name: &str, more: &[&str]| {
        let data = place.text(name);
        run(["demo", "--members", "20", "--no-serve", "--json", "--data-dir", &data].iter().chain(more))
    };
    let object = demo("monthly", &["--plan", &plan("monthly-volume")]).ends_with(0).json();
    assert_eq!(object["orders"], 80);
    verified(&place.text("monthly"));
    let periods = ["period", "list", "--data-dir", &place.text("monthly"), "--json"];
    let periods = run(periods).ends_with(0).json();
    let count = |calendar: &str, state: &str| {
        let periods = periods["periods"].as_array().unwrap().iter();
        periods.filter(|period| period["calendar"] == calendar && period["state"] == state).count()
    };
    // The first calendar sets the pace; the months begin with a date of the plan.
    assert!(3 <= count("week", "posted") && 1 <= count("month", "posted"), "{periods}");
    for (name, more) in [("none", &["--orders", "0"][..]), ("matrix", &["--plan", &plan("matrix")])] {
        assert_eq!(demo(name, more).ends_with(0).json()["orders"], 0, "{name}");
        let list = run(["period", "list", "--data-dir", &place.text(name)]).ends_with(0);
        assert_eq!(list.out, "no periods\n", "{name}");
    }
    let refused = demo("refused", &["--orders", "1", "--plan", &plan("matrix")]).ends_with(2);
    refused.says("--orders: the plan takes no orders");
    assert!(!place.path("refused").exists());
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
    let (status, body) = server.request("GET", "/v1/orders/demo-0", "");
    assert!(status == 200 && body.contains("\"order_id\":\"demo-0\""), "{body}");
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
    let said = "made 1 member (real, seed 0), 0 bonuses, 4 orders, 0 refunds, depth 1 in ";
    assert!(out.starts_with(said), "{out}");
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
