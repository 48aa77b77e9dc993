//! The clients in `clients/` against the running binary, with authorization on.
//!
//! Each runs where its interpreter is available: Python's everywhere there is a `python3`, TypeScript's where
//! `.ci/clients` has compiled it. Where one cannot run the test says so.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use crate::common::{Server, binary};

/// Starts a server with an admin key, and returns that key.
fn guarded(dir: &Path) -> (Server, String, String) {
    let data_dir = dir.join("data");
    let created = Command::new(binary())
        .args(["keys", "create", "--name", "client", "--role", "admin", "--json", "--data-dir"])
        .arg(&data_dir)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .output()
        .expect("the binary starts");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let key: serde_json::Value = serde_json::from_slice(&created.stdout).expect("one object");
    let field = |name: &str| key[name].as_str().expect("text").to_owned();
    (Server::start(&data_dir, &[]), field("id"), field("secret"))
}

fn run_example(interpreter: &str, example: &Path) {
    let dir = crate::common::scratch();
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

/// Answers one request with three lines, and ends as it is told: after `last`, what else a chunked answer
/// has.
fn breaks_off(last: &'static [u8]) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = Vec::new();
        let mut piece = [0; 4_096];
        let is_whole = |request: &[u8]| {
            let text = String::from_utf8_lossy(request);
            text.starts_with("GET ") && text.contains("\r\n\r\n") || text.ends_with("0\r\n\r\n")
        };
        while !is_whole(&request) {
            let read = stream.read(&mut piece).expect("a request");
            assert_ne!(read, 0, "the client left");
            request.extend_from_slice(&piece[..read]);
        }
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("a client that reads");
        for line in 1..=3 {
            let line = format!("{{\"line\":{line},\"lsn\":{line},\"status\":201}}\n");
            let chunk = format!("{:x}\r\n{line}\r\n", line.len());
            stream.write_all(chunk.as_bytes()).expect("a client that reads");
        }
        stream.write_all(last).expect("a client that reads");
    });
    (address, server)
}

/// An answer that breaks off, wherever it does, must not look like one that ended.
#[test]
fn the_python_client_notices_an_answer_that_breaks_off() {
    const STREAM: &str = "for row in client.downline('a'): seen += 1";
    const BATCH: &str = "for line in client.register_all([registration('a')] * 5): seen += 1";
    if !is_there("python3") {
        println!("not run: there is no python3 here");
        return;
    }
    // what is called, the end of the answer, what comes of it
    let table: [(&str, &[u8], &str); 6] = [
        (STREAM, b"0\r\n\r\n", "3 ended"),
        (STREAM, b"", "3 Unreachable"),
        (STREAM, b"5\r\n{\"li", "3 Unreachable"),
        (BATCH, b"", "3 Unreachable"),
        (BATCH, b"1", "3 Unreachable"),
        (BATCH, b"0\r\n\r\n", "3 Unreachable"),
    ];
    for (call, last, expected) in table {
        let (address, server) = breaks_off(last);
        let program = format!(
            "from upline import Client, Unreachable, registration\n\
             client, seen = Client('http://{address}', retries=0), 0\n\
             try:\n    {call}\n    print(seen, 'ended')\n\
             except Unreachable: print(seen, 'Unreachable')\n",
            call = call.replacen(": ", ":\n        ", 1),
        );
        let output = Command::new("python3")
            .args(["-B", "-c", &program])
            .current_dir(clients().join("python"))
            .output()
            .expect("the interpreter starts");
        server.join().expect("an answer was given");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.trim(), expected, "{call}, then {last:?}: {complained}");
    }
}
