//! Many concurrent clients, and a kill in the middle.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;

use crate::common::{self, Client, Server, registration, uuid};

/// Concurrent clients, as in the original's measurements.
const CLIENTS: u64 = 16;

/// Signups, unless `UPLINE_TEST_SIGNUPS` is set. 20,000 take some ten seconds on a slow disk.
const SIGNUPS: u64 = 20_000;

const WIDTH: usize = 3;

fn signups() -> u64 {
    std::env::var("UPLINE_TEST_SIGNUPS").ok().and_then(|text| text.parse().ok()).unwrap_or(SIGNUPS)
}

/// Returns the fields of a member object, without its children.
fn fields(member: &Value) -> [String; 5] {
    ["id", "user_id", "parent_id", "level", "created_at"].map(|field| member[field].to_string())
}

/// Registers members `first..end` below member 0 with many clients, until all are done or the server is gone;
/// returns the acknowledged ones.
fn register_all(
    server: &Server,
    first: u64,
    end: u64,
    acknowledged_so_far: &Arc<AtomicU64>,
) -> std::thread::JoinHandle<Vec<Value>> {
    let address = server.address;
    let next = Arc::new(AtomicU64::new(first));
    let acknowledged_so_far = Arc::clone(acknowledged_so_far);
    std::thread::spawn(move || {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (next, acknowledged_so_far) = (Arc::clone(&next), Arc::clone(&acknowledged_so_far));
                std::thread::spawn(move || {
                    let mut client = Client::connect(address);
                    let mut acknowledged = Vec::new();
                    loop {
                        let member = next.fetch_add(1, Ordering::Relaxed);
                        if end <= member {
                            return acknowledged;
                        }
                        let body = registration(&uuid(member), Some(&uuid(0)));
                        let headers = [("content-type", "application/json")];
                        let Ok(reply) =
                            client.try_request("POST", "/user/register", &headers, body.as_bytes())
                        else {
                            return acknowledged;
                        };
                        assert_eq!(reply.status, 200, "{}", reply.text());
                        acknowledged.push(reply.json());
                        acknowledged_so_far.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// Reads the downline of member 0 in level order and checks its form: never wider than allowed, every member
/// full before the next one gets its first child, and in time order. Returns the members by id.
fn checked_tree(server: &Server) -> BTreeMap<String, [String; 5]> {
    let tree = server.get(&format!("/user/downline/{}", uuid(0)));
    assert_eq!(tree.status, 200);
    let mut members = BTreeMap::new();
    let mut left = VecDeque::from([tree.json()]);
    let mut last_time = String::new();
    let mut is_filling = true;
    while let Some(children) = left.pop_front() {
        let children = children.as_array().unwrap();
        assert!(children.len() <= WIDTH, "{} children", children.len());
        assert!(is_filling || children.is_empty(), "a member has children before an earlier one is full");
        is_filling &= children.len() == WIDTH;
        for child in children {
            let time = child["created_at"].as_str().unwrap().to_owned();
            // Without a fraction the text is shorter, and sorts after others of its second; skip those.
            if time.len() == "2026-11-20T18:35:03.068920Z".len() {
                assert!(last_time <= time, "{time} was placed before {last_time}");
                last_time = time;
            }
            let user = child["user_id"].as_str().unwrap().to_owned();
            assert!(members.insert(user, fields(child)).is_none(), "a member is there twice");
            left.push_back(child["children"].clone());
        }
    }
    members
}

fn assert_acknowledged(members: &BTreeMap<String, [String; 5]>, acknowledged: &[Value]) {
    for member in acknowledged {
        let user = member["user_id"].as_str().unwrap();
        assert_eq!(members.get(user), Some(&fields(member)), "{user} was acknowledged");
    }
}

#[test]
fn sixteen_clients_fill_one_matrix_in_order() {
    let _turn = crate::common::turn();
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    let server = Server::start(&data, &[]);
    assert_eq!(server.post("/user/register", &registration(&uuid(0), None)).status, 200);
    let acknowledged = register_all(&server, 1, signups() + 1, &Arc::default()).join().unwrap();
    assert_eq!(acknowledged.len() as u64, signups());
    let members = checked_tree(&server);
    assert_eq!(members.len(), acknowledged.len());
    assert_acknowledged(&members, &acknowledged);
    server.kill();
    let server = Server::start(&data, &[]);
    assert_eq!(checked_tree(&server), members, "after a kill nothing is different");
}

#[test]
fn a_kill_in_the_middle_loses_nothing_acknowledged() {
    let _turn = crate::common::turn();
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    let mut all: Vec<Value> = Vec::new();
    for round in 1..=3_u64 {
        let server = Server::start(&data, &[]);
        let root = server.post("/user/register", &registration(&uuid(0), None));
        assert_eq!(root.status, if round == 1 { 200 } else { 400 });
        let so_far = Arc::new(AtomicU64::new(0));
        let running = register_all(&server, round * 1_000_000, u64::MAX, &so_far);
        while so_far.load(Ordering::Relaxed) < 1_000 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        server.kill();
        let acknowledged = running.join().unwrap();
        assert!(1_000 <= acknowledged.len());
        all.extend(acknowledged);
    }
    let server = Server::start(&data, &[]);
    let members = checked_tree(&server);
    assert_acknowledged(&members, &all);
    assert!(
        members.len() <= all.len() + 3 * usize::try_from(CLIENTS).unwrap(),
        "more members than were ever sent"
    );
    server.terminate();
    assert!(server.wait().success());
    let verify = std::process::Command::new(common::binary())
        .args(["verify", "--data-dir"])
        .arg(&data)
        .env_clear()
        .output()
        .unwrap();
    assert!(
        verify.status.success(),
        "{}{}",
        String::from_utf8_lossy(&verify.stdout),
        String::from_utf8_lossy(&verify.stderr)
    );
}

#[test]
fn one_member_registered_by_many_is_registered_once() {
    let _turn = crate::common::turn();
    // mended: the original answers some of them with 500.
    let dir = crate::common::scratch();
    let server = Server::start(&dir.path().join("data"), &[]);
    let address = server.address;
    for member in 0..50 {
        let racers: Vec<_> = (0..12)
            .map(|_| {
                std::thread::spawn(move || {
                    Client::connect(address).post("/user/register", &registration(&uuid(member), None)).status
                })
            })
            .collect();
        let mut statuses: Vec<u16> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200][..], &[400; 11][..]].concat());
    }
}
