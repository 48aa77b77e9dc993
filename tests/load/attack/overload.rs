//! Write overload, from clients in an open loop: excess requests are refused at once, and the rest proceed as
//! before.
//!
//! The capacity is that of a disk whose syncs take twelve milliseconds and a short queue, in this process, so
//! that the figures are those of the edge and the writer and not of this machine's disk and cores.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use upline::{
    config::HttpConfig,
    durability::{memory::Memory, surrounded::Surrounded},
    engine::{Engine, EngineOptions, PlanChoice},
    http::{Options, Server, auth, request_series},
    metrics::Metrics,
    plan_file::default_plan,
};

use super::{is_run_alone, percentile, resident_bytes};
use crate::{
    common::{Client, PATIENCE, are_times_judged, assert_within, is_strict, registration, turn, uuid},
    proof::{self, slow_disk::SlowSync},
};

const SYNC: Duration = Duration::from_millis(12);
const QUEUE: usize = 6;

/// Connections that share an open loop: enough that one is always free when a request is due.
const CONNECTIONS: u64 = 64;

/// The results of a load.
#[derive(Default)]
struct Seen {
    done: u64,
    refused: u64,
    /// Latencies of refusals.
    refusal_times: Vec<Duration>,
}

fn write(client: &mut Client, next: &AtomicU64, seen: &mut Seen) {
    let member = uuid(next.fetch_add(1, Ordering::Relaxed));
    let sent = Instant::now();
    let reply = client.post("/user/register", &registration(&member, None));
    match reply.status {
        200 => seen.done += 1,
        503 => {
            seen.refusal_times.push(sent.elapsed());
            let seconds: u32 =
                reply.header("retry-after").expect("when to come back").parse().expect("seconds");
            assert!((1..=60).contains(&seconds));
            assert!(reply.text().contains("Overloaded"), "{}", reply.text());
            seen.refused += 1;
        }
        other => panic!("{other}: {}", reply.text()),
    }
}

/// Runs clients that each wait for their response, at `per_second` in total if given, else in a closed loop.
fn load(
    address: std::net::SocketAddr,
    clients: u64,
    per_second: Option<f64>,
    time: Duration,
    next: &Arc<AtomicU64>,
) -> Seen {
    let begin = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|number| {
            let next = Arc::clone(next);
            std::thread::spawn(move || {
                let (mut client, mut seen) = (Client::connect(address), Seen::default());
                for turn in 0_u32.. {
                    if let Some(per_second) = per_second {
                        let at = Duration::from_secs_f64(
                            (f64::from(turn) * clients as f64 + number as f64) / per_second,
                        );
                        std::thread::sleep(at.saturating_sub(begin.elapsed()));
                    }
                    if time < begin.elapsed() {
                        break;
                    }
                    write(&mut client, &next, &mut seen);
                }
                seen
            })
        })
        .collect();
    let mut all = Seen::default();
    for thread in threads {
        let seen = thread.join().expect("a client ends in peace");
        all.done += seen.done;
        all.refused += seen.refused;
        all.refusal_times.extend(seen.refusal_times);
    }
    all
}

#[test]
fn beyond_its_capacity_it_does_what_it_can_and_refuses_the_rest_at_once() {
    let _turn = turn();
    if is_run_alone("attack::overload::beyond_its_capacity_it_does_what_it_can_and_refuses_the_rest_at_once")
    {
        return;
    }
    let time = Duration::from_secs(proof::number("UPLINE_OVERLOAD_SECONDS", 1));
    let metrics = Metrics::new(request_series());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let server = {
        let _inside = runtime.enter();
        let options = Options::new(([127, 0, 0, 1], 0).into(), &HttpConfig::default());
        Server::bind(options, Arc::clone(&metrics), auth::Gate::off(&metrics)).expect("a free port")
    };
    let (address, slot) = (server.address(), server.engine_slot());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = std::thread::spawn(move || runtime.block_on(server.run(async { _ = stopped.await })));
    let choice = PlanChoice { plan: default_plan(), plan_is_explicit: false, width_is_explicit: false };
    let mut options = EngineOptions::new(PathBuf::from("/data"), choice, metrics);
    options.storage = Arc::new(Surrounded::new(Memory::new().shared(), Arc::new(SlowSync(SYNC))));
    options.log.segment_bytes = 1 << 20;
    options.queue_max = QUEUE;
    slot.set(Engine::open(options).expect("a new directory").0);

    let next = Arc::new(AtomicU64::new(1));
    // Somewhat more clients than fit into the current group and the queue.
    let peak = load(address, 4 * QUEUE as u64, None, time, &next);
    let peak = peak.done as f64 / time.as_secs_f64();
    let memory = resident_bytes(std::process::id());
    let mut figures = Vec::new();
    for (factor, goodput_least) in [(2.0, 0.9), (5.0, 0.8)] {
        let mut seen = load(address, CONNECTIONS, Some(peak * factor), time, &next);
        let goodput = seen.done as f64 / time.as_secs_f64() / peak;
        let refusal = percentile(&mut seen.refusal_times, 99);
        let offered = (seen.done + seen.refused) as f64 / time.as_secs_f64() / peak;
        figures.push(format!(
            "at_{factor}x: offered={offered:.1} goodput={goodput:.2} refused={} refusal_p99_us={}",
            seen.refused,
            refusal.as_micros()
        ));
        assert!(0 < seen.refused, "the load is too much: {offered:.1} times the capacity");
        let (least, most) = if is_strict() {
            (goodput_least, Duration::from_millis(10))
        } else {
            (0.5, Duration::from_millis(250))
        };
        assert!(
            !are_times_judged() || least <= goodput,
            "{factor} times: {goodput:.2} of the peak of {peak:.0} per second"
        );
        assert_within(most, refusal, &format!("{factor} times: a refusal"));
    }
    let grown = resident_bytes(std::process::id()).saturating_sub(memory);
    // Back to normal load: as before.
    let begin = Instant::now();
    let mut client = Client::connect(address);
    let mut in_a_row = 0;
    while in_a_row < 20 {
        let mut seen = Seen::default();
        write(&mut client, &next, &mut seen);
        in_a_row = if seen.refused == 0 { in_a_row + 1 } else { 0 };
        assert!(begin.elapsed() < PATIENCE, "it does not come back");
    }
    let back = begin.elapsed();
    assert_within(Duration::from_secs(5), back, "back to normal");
    proof::summary(&format!(
        "overload: peak_per_second={peak:.0} seconds={} {} grown_bytes={grown} back_after_ms={}",
        time.as_secs(),
        figures.join(" "),
        back.as_millis()
    ));
    assert!(grown < 64 << 20, "{grown} bytes");
    drop(client);
    drop(stop);
    running.join().expect("it ends in peace");
}
