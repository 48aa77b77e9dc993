//! The clients in `clients/` against the running binary, with authorization on.
//!
//! Each runs where its interpreter is available: Python's everywhere there is a `python3`, TypeScript's where
//! `.ci/clients` has compiled it. Where one cannot run the test says so.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::common::{Server, binary};

/// Starts a server with an admin key, and returns that key.
fn guarded(dir: &Path) -> (Server, String, String) {
    let data_dir = dir.join("data");
    let created = Command::new(binary())
        .args(["keys", "create", "--name", "client", "--role", "admin", "--json", "--data-dir"])
        .arg(&data_dir)
        .env_clear()
        .output()
        .expect("the binary starts");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let key: serde_json::Value = serde_json::from_slice(&created.stdout).expect("one object");
    let field = |name: &str| key[name].as_str().expect("text").to_owned();
    (Server::start(&data_dir, &[]), field("id"), field("secret"))
}

fn run_example(interpreter: &str, example: &Path) {
    let dir = tempfile::tempdir().expect("a directory");
    let (server, id, secret) = guarded(dir.path());
    let output = Command::new(interpreter)
        .arg(example)
        .arg(format!("http://{}", server.address))
        .env("UPLINE_API_KEY", id)
        .env("UPLINE_API_SECRET", secret)
        // Do not leave compiled files in the tree.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("the interpreter starts");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    println!("{said}");
    assert!(said.contains("registered 2002 members"), "{said}");
}

fn is_there(interpreter: &str) -> bool {
    Command::new(interpreter)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

#[test]
fn the_python_client_does_a_day_s_work() {
    if is_there("python3") {
        run_example("python3", &clients().join("python/example.py"));
    } else {
        println!("not run: there is no python3 here");
    }
}

#[test]
fn the_typescript_client_does_a_day_s_work() {
    let example = clients().join("typescript/dist/example.js");
    if example.is_file() && is_there("node") {
        run_example("node", &example);
    } else {
        println!("not run: {} is made by .ci/clients, which needs node and npm", example.display());
    }
}
