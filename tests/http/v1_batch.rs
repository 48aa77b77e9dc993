//! `POST /v1/members/batch` on the running binary: order, errors line by line, cut connections, clients that
//! do not read, and memory.
//!
//! The large batch has 100,000 lines; with `UPLINE_DEEP=1` in the environment it has a million.

use std::{
    fmt::Write as _,
    io::Write,
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{Client, Server, uuid};

fn line(number: u64, sponsor: Option<u64>) -> String {
    match sponsor {
        Some(sponsor) => format!(
            "{{\"user_id\":\"{}\",\"sponsor\":{{\"user_id\":\"{}\"}}}}\n",
            uuid(number),
            uuid(sponsor)
        ),
        None => format!("{{\"user_id\":\"{}\"}}\n", uuid(number)),
    }
}

/// Returns a root and members below it: every line's sponsor is some lines above it, often just above.
fn tree(first: u64, members: u64) -> String {
    let mut text = line(first, None);
    for number in 1..members {
        let back = 1 + number * 7_919 % 1_000;
        text.push_str(&line(first + number, Some(first + number.saturating_sub(back))));
    }
    text
}

fn head(length: Option<usize>) -> String {
    let framing =
        length.map_or("transfer-encoding: chunked".into(), |length| format!("content-length: {length}"));
    format!(
        "POST /v1/members/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         {framing}\r\n\r\n"
    )
}

fn send_chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
}

/// Sends a batch on one thread while another reads. Returns the responses, one per line.
fn batch(server: &Server, text: &str) -> Vec<Value> {
    let mut client = server.connect();
    let mut sender = client.sender();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            sender.write_all(head(Some(text.len())).as_bytes()).unwrap();
            sender.write_all(text.as_bytes()).unwrap();
        });
        let reply = client.read_reply(false).unwrap();
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("application/x-ndjson")),
            "{}",
            reply.text()
        );
        answers(&reply.body)
    })
}

fn answers(body: &[u8]) -> Vec<Value> {
    body.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn told(answer: &Value) -> (u64, u64, &str) {
    (
        answer["line"].as_u64().unwrap(),
        answer["status"].as_u64().unwrap(),
        answer["problem"]["code"].as_str().unwrap_or_default(),
    )
}

/// Returns a memory figure of the process in KiB, e.g. `VmRSS`.
fn memory(server: &Server, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn members(server: &Server) -> u64 {
    server.get("/v1/digest").json()["members"].as_u64().unwrap()
}

#[test]
fn each_line_is_answered_in_its_place() {
    let place = crate::common::scratch();
    let server = Server::start(place.path(), &[]);
    let long = format!("{{\"user_id\":\"{}\",\"code\":\"{}\"}}\n", uuid(50), "x".repeat(5_000));
    // line, status, code
    let table = [
        (line(1, None), 201, ""),
        (line(2, Some(1)), 201, ""),
        (line(3, Some(2)), 201, ""),
        (line(9, Some(8)), 404, "sponsor_unknown"),
        (line(8, Some(3)), 201, ""),
        (line(9, Some(8)), 201, ""),
        ("{\"user_id\":\n".into(), 400, "body_malformed"),
        ("nonsense\n".into(), 400, "body_malformed"),
        (long, 413, "body_too_large"),
        (format!("{{\"user_id\":\"{}\",\"extra\":1}}\n", uuid(10)), 422, "field_unknown"),
        (format!("{{\"user_id\":\"{}\",\"code\":\"Bob\"}}\n", uuid(10)), 201, ""),
        (format!("{{\"user_id\":\"{}\",\"code\":\"BOB\"}}\n", uuid(11)), 409, "code_taken"),
        (format!("{{\"user_id\":\"{}\",\"code\":\"b0b\"}}\n", uuid(11)), 409, "code_taken"),
        (format!("{{\"user_id\":\"{}\",\"code\":\"{}\"}}\n", uuid(11), uuid(1)), 422, "code_reads_as_id"),
        (format!("{{\"user_id\":\"{}\",\"sponsor\":{{\"code\":\"b0b\"}}}}\n", uuid(11)), 201, ""),
        (line(11, Some(10)), 200, ""),
        (line(11, Some(1)), 409, "member_exists"),
        (
            format!(
                "{{\"user_id\":\"{0}\",\"sponsor\":{{\"user_id\":\"{1}\"}},\
                 \"placement\":{{\"parent\":\"{1}\",\"slot\":2}}}}\n",
                uuid(12),
                uuid(11)
            ),
            201,
            "",
        ),
        (
            format!(
                "{{\"user_id\":\"{0}\",\"sponsor\":{{\"user_id\":\"{1}\"}},\
                 \"placement\":{{\"parent\":\"{1}\",\"slot\":3}}}}\n",
                uuid(13),
                uuid(11)
            ),
            409,
            "slot_out_of_range",
        ),
        (line(14, Some(12)).trim_end().to_owned(), 201, ""),
    ];
    let text: String = table.iter().map(|(line, ..)| line.as_str()).collect();
    let found = batch(&server, &text);
    let expected: Vec<(u64, u64, &str)> =
        table.iter().zip(1..).map(|((_, status, code), number)| (number, *status, *code)).collect();
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(found[9]["problem"]["field"], "extra");
    for answer in found.iter().filter(|answer| answer["status"] == 201) {
        let member = server.get(&format!("/v1/members/{}", answer["user_id"].as_str().unwrap())).json();
        for name in ["user_id", "code", "sponsor", "parent", "slot"] {
            assert_eq!(answer[name], member[name], "{name} of {answer}");
        }
    }
    // Chunks split lines anywhere; empty lines count but get no response.
    let text = format!("\n{}\r\n\n{}", line(20, Some(1)).trim_end(), line(21, Some(20)));
    for size in [1, 3, 1_000] {
        let mut client = server.connect();
        let mut sender = client.sender();
        sender.write_all(head(None).as_bytes()).unwrap();
        text.as_bytes().chunks(size).for_each(|chunk| send_chunk(&mut sender, chunk).unwrap());
        sender.write_all(b"0\r\n\r\n").unwrap();
        let found = answers(&client.read_reply(false).unwrap().body);
        let status = if size == 1 { 201 } else { 200 };
        assert_eq!(
            found.iter().map(told).collect::<Vec<_>>(),
            [(2, status, ""), (4, status, "")],
            "chunks of {size}"
        );
        // The connection stays usable.
        assert_eq!(client.request("GET", "/livez", &[], b"").status, 200);
    }
    assert_eq!(batch(&server, ""), [] as [Value; 0]);
    let wrong = server.request("POST", "/v1/members/batch", &[("content-type", "application/json")], b"{}");
    assert_eq!(
        (wrong.status, wrong.json()["code"].as_str(), wrong.header("connection")),
        (415, Some("media_type_unsupported"), Some("close"))
    );
    assert_eq!(server.get("/v1/members/batch").json()["code"], "method_not_allowed");
}

#[test]
fn an_answer_comes_while_the_next_line_is_not_sent_yet() {
    let place = crate::common::scratch();
    let server = Server::start(place.path(), &[]);
    let mut client = server.connect();
    let mut sender = client.sender();
    sender.write_all(head(None).as_bytes()).unwrap();
    assert_eq!(client.read_head().unwrap().0, 200, "before the first line");
    let mut seen = Vec::new();
    for number in 1..6 {
        send_chunk(&mut sender, line(number, (number != 1).then_some(number - 1)).as_bytes()).unwrap();
        let begin = seen.len();
        assert!(client.read_chunk(&mut seen).unwrap());
        assert_eq!(told(&answers(&seen[begin..])[0]), (number, 201, ""));
    }
    sender.write_all(b"0\r\n\r\n").unwrap();
    assert!(!client.read_chunk(&mut seen).unwrap());
    // A client that expects 100-continue gets it before anything else.
    let text = line(6, Some(1));
    let mut client = server.connect();
    client
        .send(
            head(Some(text.len()))
                .replace("host: localhost", "host: localhost\r\nexpect: 100-continue")
                .as_bytes(),
        )
        .unwrap();
    assert_eq!(client.read_head().unwrap().0, 100);
    client.send(text.as_bytes()).unwrap();
    assert_eq!(told(&answers(&client.read_reply(false).unwrap().body)[0]), (1, 201, ""));
}

#[test]
fn a_cut_connection_loses_nothing_answered_and_the_whole_may_be_sent_again() {
    const MEMBERS: u64 = 20_000;
    let place = crate::common::scratch();
    let server = Server::start(place.path(), &[]);
    let text = tree(1, MEMBERS);
    let mut client = server.connect();
    let mut sender = client.sender();
    sender.write_all(head(Some(text.len())).as_bytes()).unwrap();
    sender.write_all(&text.as_bytes()[..text.len() / 2 + 17]).unwrap();
    client.read_head().unwrap();
    let mut seen = Vec::new();
    while seen.len() < 100_000 {
        assert!(client.read_chunk(&mut seen).unwrap());
    }
    drop((client, sender));
    let whole_lines = seen.iter().rposition(|byte| *byte == b'\n').unwrap();
    let answered = answers(&seen[..whole_lines]);
    server.kill();
    let server = Server::start(place.path(), &[]);
    let again = batch(&server, &text);
    assert_eq!(again.len() as u64, MEMBERS);
    for (first, second) in answered.iter().zip(&again) {
        assert_eq!(
            (first["status"].as_u64(), second["status"].as_u64()),
            (Some(201), Some(200)),
            "{first} {second}"
        );
        for name in ["user_id", "code", "parent", "slot"] {
            assert_eq!(first[name], second[name]);
        }
    }
    let twice = again.iter().filter(|answer| answer["status"] == 200).count();
    println!("{} answered before the cut, {twice} there before the second time", answered.len());
    assert!(again.iter().all(|answer| matches!(answer["status"].as_u64(), Some(200 | 201))));
    assert_eq!(members(&server), MEMBERS);
    assert_eq!(server.post("/v1/ranks/recompute", "").json()["differences"], 0);
}

#[test]
fn batches_and_single_signups_go_side_by_side() {
    const MEMBERS: u64 = 20_000;
    let place = crate::common::scratch();
    let server = Arc::new(Server::start(place.path(), &[]));
    let shared = tree(1, MEMBERS);
    let own = tree(1_000_000, MEMBERS);
    let texts = [shared.clone(), shared, own];
    let batches: Vec<_> = texts
        .into_iter()
        .map(|text| {
            let server = Arc::clone(&server);
            std::thread::spawn(move || batch(&server, &text))
        })
        .collect();
    let mut client = server.connect();
    for number in 0..50 {
        let reply = client.post("/v1/members", line(2_000_000 + number, None).trim_end());
        assert_eq!(reply.status, 201, "a batch does not crowd others out: {}", reply.text());
    }
    let found: Vec<Vec<Value>> = batches.into_iter().map(|batch| batch.join().unwrap()).collect();
    for answers in &found {
        assert_eq!(answers.len() as u64, MEMBERS);
        // A line of one of the two identical batches can precede its sponsor's line in the other, but not in
        // its own.
        assert!(answers.iter().all(|answer| matches!(answer["status"].as_u64(), Some(200 | 201))));
    }
    for (one, other) in found[0].iter().zip(&found[1]) {
        let statuses = [one["status"].as_u64(), other["status"].as_u64()];
        assert!(
            statuses.contains(&Some(200)) && statuses.contains(&Some(201)),
            "one made it, the other found it: {one} {other}"
        );
        assert_eq!(
            (&one["code"], &one["parent"], &one["slot"]),
            (&other["code"], &other["parent"], &other["slot"])
        );
    }
    assert_eq!(members(&server), 2 * MEMBERS + 50);
}

#[test]
fn there_is_a_limit_of_batches_and_of_patience() {
    let place = crate::common::scratch();
    let server = Server::start(place.path(), &[]);
    let mut open: Vec<Client> = (0..4)
        .map(|number| {
            let mut client = server.connect();
            client.send(head(None).as_bytes()).unwrap();
            assert_eq!(client.read_head().unwrap().0, 200);
            send_chunk(&mut client.sender(), line(number + 1, None).as_bytes()).unwrap();
            send_chunk(&mut client.sender(), b"{\"user_id\":").unwrap();
            client
        })
        .collect();
    let fifth =
        server.request("POST", "/v1/members/batch", &[("content-type", "application/x-ndjson")], b"{}");
    assert_eq!((fifth.status, fifth.json()["code"].as_str()), (503, Some("overloaded")));
    assert!(fifth.header("retry-after").is_some() && fifth.header("connection") == Some("close"));
    // One is cut inside a line: complete lines are answered, and the slot is free again.
    drop(open.pop());
    // The others time out inside their line.
    for client in &mut open {
        let mut seen = Vec::new();
        while client.read_chunk(&mut seen).unwrap() {}
        let found = answers(&seen);
        assert_eq!(
            found
                .iter()
                .map(told)
                .map(|(line, status, code)| (line, status, code.to_owned()))
                .collect::<Vec<_>>(),
            [(1, 201, String::new()), (2, 408, "body_too_slow".to_owned())]
        );
    }
    assert_eq!(batch(&server, &line(9, None)).len(), 1);
    assert_eq!(members(&server), 5);
}

#[test]
fn stopping_ends_a_batch_between_two_lines() {
    let place = crate::common::scratch();
    let server = Server::start(place.path(), &[]);
    let mut client = server.connect();
    let mut sender = client.sender();
    sender.write_all(head(None).as_bytes()).unwrap();
    client.read_head().unwrap();
    let mut seen = Vec::new();
    send_chunk(&mut sender, line(1, None).as_bytes()).unwrap();
    assert!(client.read_chunk(&mut seen).unwrap());
    server.terminate();
    let mut number = 2;
    // Until the signal arrives lines are accepted as usual.
    while answers(&seen).last().unwrap()["status"] != 503 {
        std::thread::sleep(Duration::from_millis(5));
        send_chunk(&mut sender, line(number, Some(1)).as_bytes()).unwrap();
        number += 1;
        assert!(client.read_chunk(&mut seen).unwrap());
    }
    assert!(!client.read_chunk(&mut seen).unwrap(), "a proper end");
    assert_eq!(told(answers(&seen).last().unwrap()).2, "stopping");
    assert!(server.wait().success());
    let made = answers(&seen).len() as u64 - 1;
    assert_eq!(members(&Server::start(place.path(), &[])), made);
}

#[test]
fn who_does_not_read_is_not_read_from_and_may_begin_to_read_late() {
    const MEMBERS: u64 = 100_000;
    let place = crate::common::scratch();
    let server = Server::start(place.path(), &[]);
    let text = tree(1, MEMBERS);
    let before = memory(&server, "VmRSS");
    let mut client = server.connect();
    let mut sender = client.sender();
    sender.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    sender.write_all(head(Some(text.len())).as_bytes()).unwrap();
    let mut sent = 0;
    while sent < text.len() {
        match sender.write(&text.as_bytes()[sent..text.len().min(sent + 16 * 1_024)]) {
            Ok(bytes) => sent += bytes,
            Err(_) => break,
        }
    }
    let grown = memory(&server, "VmRSS").saturating_sub(before);
    println!(
        "{sent} of {} bytes taken from a client that does not read; the server grew by {grown} KiB",
        text.len()
    );
    assert!(grown < 96 * 1_024, "members and 4 MiB of answers");
    // Now it reads, and everything arrives.
    let rest = text[sent..].to_owned();
    sender.set_write_timeout(None).unwrap();
    let writer = std::thread::spawn(move || sender.write_all(rest.as_bytes()));
    let found = answers(&client.read_reply(false).unwrap().body);
    writer.join().unwrap().unwrap();
    assert_eq!(found.len() as u64, MEMBERS);
    assert!(found.iter().all(|answer| answer["status"] == 201));
}

#[test]
fn curl_sends_a_file() {
    let place = crate::common::scratch();
    let server = Server::start(place.path(), &[]);
    let file = place.path().join("members.ndjson");
    std::fs::write(&file, tree(1, 30_000)).unwrap();
    let url = format!("http://{}/v1/members/batch", server.address);
    let data = format!("@{}", file.display());
    let upload = file.display().to_string();
    for arguments in [["--data-binary", data.as_str()], ["--upload-file", upload.as_str()]] {
        let curl = std::process::Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "60",
                "--request",
                "POST",
                "--header",
                "content-type: application/x-ndjson",
            ])
            .args(arguments)
            .arg(&url)
            .output();
        let Ok(output) = curl else {
            println!("curl is not here: not tried");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(answers(&output.stdout).len(), 30_000, "{arguments:?}");
    }
}

#[test]
fn a_long_batch_stays_in_bounded_memory() {
    /// First responses that need no member, then repeats: then only the batch's own memory grows.
    const GROWTH_KIB_MAX: u64 = 64 * 1_024;
    let lines: u64 = if std::env::var_os("UPLINE_DEEP").is_some() { 1_000_000 } else { 100_000 };
    let place = crate::common::scratch();
    // A snapshot takes the memory of a second state while it is made, and the million's last command would
    // trigger one.
    let server =
        Server::start(place.path(), &["--snapshot-every-commands", "0", "--snapshot-every-seconds", "0"]);
    let mut unknown = String::new();
    for number in 0..lines {
        write!(unknown, "{}", line(number + 1, Some(u64::from(u32::MAX)))).unwrap();
    }
    let text = tree(1, lines);
    for (what, text, status) in
        [("refused", &unknown, 404), ("registered", &text, 201), ("repeated", &text, 200)]
    {
        let before = memory(&server, "VmRSS");
        // Resets the peak.
        std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
        let begin = Instant::now();
        let found = count(&server, text, status);
        let seconds = begin.elapsed().as_secs_f64();
        let (peak, after) = (
            memory(&server, "VmHWM").saturating_sub(before),
            memory(&server, "VmRSS").saturating_sub(before),
        );
        println!(
            "{what}: {lines} lines in {seconds:.2} s, {:.0} lines/s; memory grew by {peak} KiB at most, \
             {after} KiB in the end",
            lines as f64 / seconds
        );
        assert_eq!(found, lines, "all are {status}");
        // A member takes some 200 bytes; the hash tables double occasionally.
        let of_members = if status == 201 { lines * 400 / 1_024 + 16 * 1_024 } else { 0 };
        assert!(peak < GROWTH_KIB_MAX + of_members, "{peak} KiB");
    }
}

/// Sends a batch and counts the responses with a status, without keeping them.
fn count(server: &Server, text: &str, status: u16) -> u64 {
    let mut client = server.connect();
    let mut sender = client.sender();
    let wanted = format!("\"status\":{status},");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            sender.write_all(head(Some(text.len())).as_bytes()).unwrap();
            sender.write_all(text.as_bytes()).unwrap();
        });
        assert_eq!(client.read_head().unwrap().0, 200);
        let (mut found, mut bytes) = (0, Vec::new());
        loop {
            let more = client.read_chunk(&mut bytes).unwrap();
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines = std::str::from_utf8(&bytes[..whole]).unwrap();
            found += lines.lines().filter(|line| line.contains(&wanted)).count() as u64;
            bytes.drain(..whole);
            if !more {
                assert_eq!(bytes, b"");
                return found;
            }
        }
    })
}

#[test]
fn what_the_description_says_of_a_line_is_so() {
    let place = crate::common::scratch();
    let server = Server::start(place.path(), &[]);
    let description = server.get("/openapi.json").json();
    let operation = &description["paths"]["/v1/members/batch"]["post"];
    assert!(operation["requestBody"]["content"]["application/x-ndjson"].is_object(), "{operation}");
    assert!(operation["responses"]["200"]["content"]["application/x-ndjson"].is_object(), "{operation}");
    let answer = &batch(&server, &line(1, None))[0];
    let names: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(
        json!(names),
        json!(["code", "line", "lsn", "parent", "slot", "sponsor", "status", "user_id"])
    );
}
