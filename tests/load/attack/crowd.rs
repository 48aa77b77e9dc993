//! Connections that occupy the server: idle ones, and heads that never end.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{is_run_alone, percentile, resident_bytes};
use crate::{
    common::{Client, PATIENCE, Server, assert_within, is_strict, registration, turn, uuid},
    proof,
};

/// The head timeout, plus slack for a busy machine.
const CUT_WITHIN: Duration = Duration::from_secs(5 + 10);

/// Memory allowed per additional connection.
const BYTES_PER_CONNECTION: u64 = 64 << 10;

/// Returns the latencies of a well-behaved client's sequential writes.
fn write_times(client: &mut Client, first: u64, count: u64) -> Vec<Duration> {
    let begin_and_end = |member: u64, client: &mut Client| {
        let begin = Instant::now();
        assert_eq!(client.post("/user/register", &registration(&uuid(member), None)).status, 200);
        begin.elapsed()
    };
    (first..first + count).map(|member| begin_and_end(member, client)).collect()
}

fn crowd(address: SocketAddr, count: u64, beginning: &[u8]) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect(address).expect("the server accepts");
        stream.write_all(beginning).expect("it takes some bytes");
        stream
    };
    (0..count).map(connect).collect()
}

/// Returns when the last of them was cut.
fn last_cut(crowd: Vec<TcpStream>, begin: Instant) -> Duration {
    for mut stream in crowd {
        let left = PATIENCE.saturating_sub(begin.elapsed());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).expect("a socket");
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not cut after {:?}: {error}", begin.elapsed()),
        }
    }
    begin.elapsed()
}

fn attack() {
    let count = proof::number("UPLINE_CONNECTIONS", 1_000);
    let directory = crate::common::scratch();
    let most = (3 * count + 100).to_string();
    let server = Server::start(
        &directory.path().join("data"),
        &["--connections-max", &most, "--connections-per-address", "0", "--log", "warn"],
    );
    let mut client = server.connect();
    write_times(&mut client, 1_000_000, 50);
    let mut quiet = write_times(&mut client, 0, 500);
    let memory = resident_bytes(server.pid());
    let begin = Instant::now();
    let idle = crowd(server.address, count, b"");
    let half = crowd(server.address, count, b"POST /user/register HTTP/1.1\r\nhost: localhost\r\ncontent-le");
    let grown = resident_bytes(server.pid()).saturating_sub(memory);
    // While they are connected; heads get five seconds.
    let mut loaded = write_times(&mut client, 10_000, 500);
    let cut = last_cut(idle, begin).max(last_cut(half, begin));
    let (quiet, loaded) = (percentile(&mut quiet, 99), percentile(&mut loaded, 99));
    proof::summary(&format!(
        "crowd: idle={count} half={count} last_cut_ms={} p99_quiet_us={} p99_crowd_us={} \
         bytes_per_connection={}",
        cut.as_millis(),
        quiet.as_micros(),
        loaded.as_micros(),
        grown / (2 * count).max(1)
    ));
    assert!(grown < 2 * count * BYTES_PER_CONNECTION + (16 << 20), "{grown} bytes for {count} connections");
    assert_within(CUT_WITHIN, cut, "the last of the crowd is cut");
    let bound =
        if is_strict() { quiet.mul_f64(1.2) } else { quiet.mul_f64(5.0) + Duration::from_millis(100) };
    assert_within(bound, loaded, &format!("others waited, {quiet:?} before"));
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn a_crowd_that_says_nothing_is_cut_and_others_hardly_notice() {
    let _turn = turn();
    if !is_run_alone("attack::crowd::a_crowd_that_says_nothing_is_cut_and_others_hardly_notice") {
        attack();
    }
}
