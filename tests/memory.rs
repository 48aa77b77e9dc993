//! Memory use of heavy operator requests, and that all of it is released.
//!
//! A server with a network and four bonuses per member; then each request once, under signups, with the peak
//! resident memory during it and the resident memory afterwards. `UPLINE_MEMBERS=2000000 cargo test --release
//! --test memory -- --nocapture` prints the table of `BENCHMARKS.md`.

#![cfg(target_os = "linux")]

mod common;

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use common::{Server, binary, registration, uuid};

/// Large enough that a copy of the state far exceeds the program's other memory.
const MEMBERS: u32 = 100_000;
/// Maximum memory of a request relative to the network, and maximum that remains.
const PEAK_MAX: f64 = 1.6;
const STAYS_MAX: f64 = 1.15;
/// Memory that does not grow with the network: buffers, thread stacks, the allocator's caches for small
/// objects.
const BESIDES_BYTES: f64 = 32.0 * 1_024.0 * 1_024.0;
/// Timeout for memory to be released: separate threads drop it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Attempts per request.
const TRIES: u32 = 50;

fn members() -> u32 {
    std::env::var("UPLINE_MEMBERS").map_or(MEMBERS, |text| text.parse().expect("a number of members"))
}

struct Watched(Server);

impl Watched {
    fn bytes(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
        let kib: u32 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        f64::from(kib) * 1_024.0
    }

    fn resident(&self) -> f64 {
        self.bytes("VmRSS:")
    }

    /// Starts recording peak resident memory.
    fn watch(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.0.pid()), "5").expect("a process of this user");
    }

    fn peak(&self) -> f64 {
        self.bytes("VmHWM:")
    }

    fn signs_up(&self, number: u64) {
        let sponsor = if number == 0 { None } else { Some(uuid(number / 2)) };
        let reply = self.0.post("/user/register", &registration(&uuid(number), sponsor.as_deref()));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Runs a request during signups.
    fn works(&self, method: &str, path: &str, body: &str, next: &mut u64) {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    self.signs_up(*next);
                    *next += 1;
                }
            });
            let headers: &[(&str, &str)] =
                if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
            // Without the usual timeout: a large network takes minutes.
            let mut client = self.0.connect();
            client.be_patient();
            // On a busy machine a first search may exceed the response timeout: the index is built
            // nevertheless, and the next search finds it.
            let ask = |_| client.try_request(method, path, headers, body.as_bytes()).ok();
            let reply = (0..TRIES).filter_map(ask).find(|reply| reply.status != 503);
            done.store(true, Ordering::Relaxed);
            let reply = reply.expect("an answer");
            assert_eq!(reply.status / 100, 2, "{method} {path}: {}", reply.text());
        });
    }
}

#[test]
fn heavy_work_is_bounded_and_gives_its_memory_back() {
    let place = crate::common::scratch();
    let data = place.path().join("data");
    let made = Command::new(binary())
        .args([
            "demo",
            "--no-serve",
            "--orders",
            "0",
            "--members",
            &members().to_string(),
            "--seed",
            "3",
            "--data-dir",
        ])
        .arg(&data)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .output()
        .expect("the binary runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Watched(Server::start(&data, &[]));
    let mut next = 0;
    while next < 100 {
        server.signs_up(next);
        next += 1;
    }
    let plan = server.0.get("/v1/plan").json()["plan"].clone();
    let mut other = plan.clone();
    other["ladder"]["live"]["rank"][0]["minimum"] = 4.into();
    let (plan, other) = (plan.to_string(), other.to_string());
    let past = server.0.get("/v1/plan").header("x-lsn").expect("the LSN of the answer").to_owned();
    let past = format!("/v1/members/{}?as_of={past}", uuid(0));
    let start = server.resident();
    let mib = |bytes: f64| bytes / 1_024.0 / 1_024.0;
    println!("{} members: {:.0} MiB", members(), mib(start));
    let table = [
        ("snapshot", "POST", "/v1/snapshots", ""),
        ("recompute", "POST", "/v1/ranks/recompute", ""),
        ("digest", "GET", "/v1/digest", ""),
        ("search", "GET", "/v1/search?q=aa", ""),
        ("plan check", "POST", "/v1/plan/check", &other),
        ("plan change", "PUT", "/v1/plan", &other),
        ("plan change back", "PUT", "/v1/plan", &plan),
        ("snapshot again", "POST", "/v1/snapshots", ""),
        ("digest again", "GET", "/v1/digest", ""),
        ("past state", "GET", &past, ""),
    ];
    let mut findings = Vec::new();
    for (work, method, path, body) in table {
        server.watch();
        let began = Instant::now();
        server.works(method, path, body, &mut next);
        let took = began.elapsed();
        // A past state is kept for a minute.
        let stays_max = if path == past { PEAK_MAX } else { STAYS_MAX };
        let bound = stays_max * start + BESIDES_BYTES;
        while bound < server.resident() && began.elapsed() < took + PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        let (peak, stays) = (server.peak(), server.resident());
        let line = format!(
            "{work:<18} {:6.0} MiB at most ({:.2} times), {:6.0} MiB afterwards ({:.2} times), {:.1} s",
            mib(peak),
            peak / start,
            mib(stays),
            stays / start,
            took.as_secs_f64()
        );
        println!("{line}");
        if PEAK_MAX * start + BESIDES_BYTES < peak || bound < stays {
            findings.push(line);
        }
    }
    assert!(findings.is_empty(), "{:.0} MiB at first\n{}", mib(start), findings.join("\n"));
}
