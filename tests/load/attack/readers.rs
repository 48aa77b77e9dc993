//! Readers that request the whole network and read nothing.

use serde_json::json;

use super::resident_bytes;
use crate::{
    common::{Client, Server, turn, uuid},
    proof,
};

const MEMBERS: u64 = 20_000;

/// Memory allowed per stalled reader: a few chunks of its response; kernel buffers do not count.
const BYTES_PER_READER: u64 = 512 << 10;
/// Memory allowed per connection, including those told to retry: some 9 KiB, as measured in `crowd.rs`.
const BYTES_PER_CONNECTION: u64 = 16 << 10;

#[test]
fn readers_that_take_nothing_cost_little_however_long_their_answer() {
    let _turn = turn();
    let count = proof::number("UPLINE_SLOW_READERS", 150);
    let directory = crate::common::scratch();
    let server = Server::start(&directory.path().join("data"), &["--log", "warn"]);
    let body = |member: u64| {
        if member == 0 {
            json!({ "user_id": uuid(0) })
        } else {
            json!({ "user_id": uuid(member), "sponsor": { "user_id": uuid(0) } })
        }
    };
    let lines: String = (0..MEMBERS).map(|member| body(member).to_string() + "\n").collect();
    let mut client = server.connect();
    let head = format!(
        "POST /v1/members/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\n\r\n",
        lines.len()
    );
    let mut sender = client.sender();
    let sending =
        std::thread::spawn(move || std::io::Write::write_all(&mut sender, (head + &lines).as_bytes()));
    assert_eq!(client.read_reply(false).expect("an answer").status, 200);
    sending.join().expect("it ends in peace").expect("all was taken");

    let path = format!("/v1/members/{}/downline", uuid(0));
    let whole = client.request("GET", &path, &[("accept", "application/x-ndjson")], b"").body.len();
    let before = resident_bytes(server.pid());
    let mut stopped: Vec<Client> = (0..count).map(|_| server.connect()).collect();
    for reader in &mut stopped {
        reader
            .send(
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n")
                    .as_bytes(),
            )
            .expect("it is taken");
    }
    // This many walk the tree at once; the others are told to retry.
    let heads: Vec<(u16, Vec<(String, String)>)> =
        stopped.iter_mut().map(|reader| reader.read_head().expect("an answer")).collect();
    let walking = heads.iter().filter(|(status, _)| *status == 200).count();
    for (status, headers) in &heads {
        assert!(
            *status == 200 || *status == 503 && headers.iter().any(|(name, _)| name == "retry-after"),
            "{status}"
        );
    }
    assert!(0 < walking);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    // Other clients read pages and write as before.
    let page = client.request("GET", &format!("{path}?limit=1000"), &[], b"");
    assert_eq!(page.json()["items"].as_array().expect("a page").len(), 1_000);
    let more = json!({ "user_id": uuid(MEMBERS), "sponsor": { "user_id": uuid(0) } }).to_string();
    assert_eq!(client.post("/v1/members", &more).status, 201);
    drop(stopped);
    proof::summary(&format!(
        "readers: stopped={count} walking={walking} answer_bytes={whole} bytes_per_reader={}",
        grown / walking.max(1) as u64
    ));
    let allowed = walking as u64 * BYTES_PER_READER + count * BYTES_PER_CONNECTION + (8 << 20);
    assert!(grown < allowed, "{grown} bytes for {walking} readers of {whole} bytes each");
    assert!(2 * BYTES_PER_READER < whole as u64, "an answer is so long that keeping it would be seen");
}
