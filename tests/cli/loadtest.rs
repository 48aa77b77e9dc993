//! The scripts in `loadtest/` against the running binary.
//!
//! k6 itself is not needed: each script's functions are run once by Node, with a shim in place of k6's
//! modules (`loadtest/k6/shim`). Without Node 20 or later the test says so. `.ci/loadtest` checks types.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::common::Server;

/// The first version with `module.register`, which the shim needs.
const NODE_MIN: u32 = 20;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/k6");
    let entries = std::fs::read_dir(folder).expect("the scripts are there");
    let mut scripts: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "js") && !path.ends_with("network.js")
        })
        .collect();
    scripts.sort();
    scripts
}

fn node_version() -> Option<u32> {
    let output = Command::new("node").arg("--version").stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[test]
fn each_script_of_k6_runs_once() {
    if node_version().is_none_or(|version| version < NODE_MIN) {
        println!("not run: there is no node {NODE_MIN} or later here");
        return;
    }
    let names: Vec<String> = scripts()
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str().expect("names are UTF-8").to_owned()))
        .collect();
    assert_eq!(names, ["mixed", "orders", "reads", "signup", "soak"]);
    let dir = crate::common::scratch();
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/demo.toml");
    let plan = ["--plan", plan.to_str().expect("UTF-8")];
    let server = Server::start(&dir.path().join("data"), &plan);
    let mut members = 0;
    for script in scripts() {
        let output = Command::new("node")
            .arg(script.with_file_name("shim/run.mjs"))
            .arg(&script)
            .arg(format!("http://{}", server.address))
            .arg("MEMBERS=10")
            .output()
            .expect("node starts");
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {said}\n{complained}", script.display());
        let result: Value =
            serde_json::from_str(said.lines().last().expect("it says something")).expect("an object");
        println!("{result}");
        assert_eq!(result["failed"], serde_json::json!([]));
        assert!(1 <= result["checks"].as_u64().expect("a number"));
        let now = server.get("/v1/stats").json()["network"]["members"].as_u64().expect("a number");
        // Its setup has signed up ten, and its functions more, if it signs up.
        assert!(members + 10 <= now, "{}", script.display());
        if script.ends_with("signup.js") {
            assert_eq!(now, members + 11);
        }
        if script.ends_with("orders.js") {
            let listed = server.get("/v1/orders").json();
            // Its default function has placed one, and that of its scenario another.
            assert_eq!(listed["items"].as_array().expect("a list").len(), 2, "{listed}");
        }
        members = now;
    }
}

#[test]
fn what_a_script_gets_wrong_is_noticed() {
    if node_version().is_none_or(|version| version < NODE_MIN) {
        println!("not run: there is no node {NODE_MIN} or later here");
        return;
    }
    let dir = crate::common::scratch();
    let server = Server::start(&dir.path().join("data"), &[]);
    let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/k6/shim/run.mjs");
    let options = |executor: &str| {
        format!("export const options = {{ scenarios: {{ a: {{ executor: \"{executor}\" }} }} }};\n")
    };
    let imports = "import http from \"k6/http\";\nimport { check } from \"k6\";\n";
    // what, script
    let table = [
        ("an executor that is none", options("constant-arival-rate") + "export default function () {}"),
        ("a closed loop", options("constant-vus") + "export default function () {}"),
        ("no checks", options("constant-arrival-rate") + "export default function () {}"),
        (
            "a check that fails",
            options("constant-arrival-rate")
                + imports
                + "export default function () { check(1, { two: (one) => one === 2 }); }",
        ),
        (
            "a request that fails",
            options("constant-arrival-rate")
                + imports
                + "export default function () { http.get(__ENV.URL + \"/nowhere\"); \
                   check(1, { one: (one) => one === 1 }); }",
        ),
    ];
    for (number, (what, text)) in table.into_iter().enumerate() {
        let script = dir.path().join(format!("{number}.mjs"));
        std::fs::write(&script, text).expect("a temporary file can be written");
        let output = Command::new("node")
            .arg(&shim)
            .arg(&script)
            .arg(format!("http://{}", server.address))
            .output()
            .expect("node starts");
        assert!(!output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// `bash -n` checks their syntax; running them needs oha.
#[test]
fn the_scripts_of_oha_are_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/oha");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the scripts are there") {
        let path = entry.expect("it can be listed").path();
        let text = std::fs::read_to_string(&path).expect("it is text");
        assert!(
            text.contains("--latency-correction") && text.contains("-q "),
            "{} is an open loop",
            path.display()
        );
        let checked = Command::new("bash").arg("-n").arg(&path).status().expect("bash starts");
        assert!(checked.success(), "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 3);
}
