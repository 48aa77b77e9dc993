//! `bench export`: all members below the root as NDJSON, from a separate server (P12), compared with `upline
//! export`.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use super::{Args, Report, child::Child, on_disk, stop_if_asked, timing::rate};
use crate::{
    cli::{
        exit::{Exit, Failure},
        interrupt::Interrupt,
    },
    core::types::MemberId,
    shapes::{Shape, member_id},
};

const MEMBERS: u32 = 10_000_000;
/// Minimum members per second.
const RATE_MIN: f64 = 2.5e6;
const GROWTH_MAX_BYTES: u64 = 64 << 20;

/// Bytes per read.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks between two samples of the server's memory.
const LOOK_EVERY_BLOCKS: u64 = 16;
/// Read timeout in the middle of a response.
const PATIENCE: Duration = Duration::from_secs(60);
/// Maximum bytes sent to measure loopback throughput: a second or two.
const LOOPBACK_BYTES_MAX: u64 = 2 << 30;

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let (members, shape, plan) = (args.members(MEMBERS), args.shape(Shape::Real), args.plan()?);
    let target = "P12: a downline of 10 M streamed at >= 2.5 M members/s, the server growing <= 64 MiB";
    let mut report = args.report("export", target, members, shape, &plan);
    let scratch = args.scratch()?;
    on_disk::write(&on_disk::grown(&plan, shape, members, args.seed, interrupt)?, &scratch.data_dir())?;
    let (server, address) = Child::serve(scratch.folder(), &scratch.data_dir(), interrupt)?;
    let streamed = stream(&server, address, member_id(args.seed, 0), interrupt)?;
    drop(server);
    if streamed.lines != u64::from(members) - 1 {
        return Err(Failure::new(
            Exit::Failed,
            format!("the stream has {} lines for {members} members", streamed.lines),
        ));
    }
    let reached = rate(streamed.lines, streamed.took);
    report.figure("members_per_second", reached);
    report.figure("seconds", streamed.took.as_secs_f64());
    report.figure("bytes", streamed.bytes);
    if let Some(growth) = streamed.growth_bytes {
        report.figure("server_growth_bytes", growth);
    }
    report.digest = Some(streamed.digest);
    let (csv, data_dir) = (
        scratch.folder().join("members.csv").display().to_string(),
        scratch.data_dir().display().to_string(),
    );
    let exported = Child::run(
        scratch.folder(),
        &["export", "--json", "--output", &csv, "--data-dir", &data_dir],
        interrupt,
    )?;
    report.figure("csv_with_loading_seconds", exported.took.as_secs_f64());
    let limit = loopback_rate(streamed.bytes.min(LOOPBACK_BYTES_MAX)).map_err(|error| broken(&error))?
        * streamed.lines as f64
        / streamed.bytes as f64;
    report.limit("loopback_members_per_second", limit);
    report.compare(reached, limit);
    let keeps = RATE_MIN <= reached && streamed.growth_bytes.is_none_or(|growth| growth <= GROWTH_MAX_BYTES);
    report.met = (members == MEMBERS && shape == Shape::Real).then_some(keeps);
    Ok(vec![report])
}

fn broken(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the stream broke: {error}"))
}

struct Streamed {
    lines: u64,
    bytes: u64,
    took: Duration,
    /// The server's peak memory growth since the stream began.
    growth_bytes: Option<u64>,
    /// Digest of the bytes received.
    digest: String,
}

/// Streams the downline of a member and discards it.
fn stream(
    server: &Child,
    address: SocketAddr,
    top: MemberId,
    interrupt: &Interrupt,
) -> Result<Streamed, Failure> {
    let config = ureq::Agent::config_builder().proxy(None).max_redirects(0).timeout_connect(Some(PATIENCE));
    let agent: ureq::Agent = config.timeout_recv_response(Some(PATIENCE)).build().into();
    let get = |path: &str| {
        agent.get(format!("http://{address}{path}")).header("accept", "application/x-ndjson").call()
    };
    let refused =
        |error: ureq::Error| Failure::new(Exit::Failed, format!("the server did not answer: {error}"));
    // Warm up first: the allocator keeps what the first response used, whatever is requested.
    get(&format!("/v1/members/{top}/children?limit=1")).map_err(refused)?;
    let before = server.resident_bytes();
    let started = Instant::now();
    let mut body = get(&format!("/v1/members/{top}/downline")).map_err(refused)?.into_body().into_reader();
    let mut block = vec![0; BLOCK_BYTES];
    let mut hash = blake3::Hasher::new();
    let (mut bytes, mut lines, mut most) = (0, 0, before);
    for blocks in 0_u64.. {
        let filled = fill(&mut body, &mut block).map_err(|error| broken(&error))?;
        if filled == 0 {
            break;
        }
        let part = &block[..filled];
        bytes += filled as u64;
        lines += part.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        hash.update(part);
        if blocks.is_multiple_of(LOOK_EVERY_BLOCKS) {
            most = most.max(server.resident_bytes());
            stop_if_asked(interrupt)?;
        }
    }
    let took = started.elapsed();
    let growth_bytes =
        most.max(server.resident_bytes()).zip(before).map(|(most, before)| most.saturating_sub(before));
    Ok(Streamed { lines, bytes, took, growth_bytes, digest: hash.finalize().to_hex().to_string() })
}

/// Reads until the block is full or the source ends; returns the bytes read.
fn fill(source: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match source.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Measures bytes per second between two threads over a loopback connection.
fn loopback_rate(bytes: u64) -> io::Result<f64> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut receiver = TcpStream::connect(listener.local_addr()?)?;
    let (mut sender, _) = listener.accept()?;
    let sending = std::thread::Builder::new().name("loopback".into()).spawn(move || -> io::Result<()> {
        let block = vec![b'x'; BLOCK_BYTES];
        let mut left = bytes;
        while left != 0 {
            let part = left.min(BLOCK_BYTES as u64);
            sender.write_all(&block[..usize::try_from(part).expect("at most a block")])?;
            left -= part;
        }
        Ok(())
    })?;
    let started = Instant::now();
    let mut block = vec![0; BLOCK_BYTES];
    while fill(&mut receiver, &mut block)? != 0 {}
    let took = started.elapsed();
    sending.join().map_err(|_| io::Error::other("the sending thread panicked"))??;
    Ok(rate(bytes, took))
}
