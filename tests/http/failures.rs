//! Responses when the engine is unavailable: while it opens, when too many writes wait, after its log has
//! failed.
//!
//! These states cannot be caused from outside the process, so the server runs inside the test.

mod clock;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use upline::{
    config::HttpConfig,
    durability::memory::{Fault, Memory},
    engine::{Engine, EngineOptions, PlanChoice, system_clock},
    http::{Drained, EngineSlot, Options, Server, auth, request_series},
    metrics::Metrics,
    plan_file::default_plan,
};

use crate::common::{Client, PATIENCE, Reply, registration, uuid};

/// A server in this process. Stopped on drop.
struct Running {
    address: SocketAddr,
    slot: EngineSlot,
    metrics: Arc<Metrics>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Drained>>,
}

fn run(adjust: impl FnOnce(&mut Options)) -> Running {
    let metrics = Metrics::new(request_series());
    let mut options = Options::new(([127, 0, 0, 1], 0).into(), &HttpConfig::default());
    options.limits.drain_timeout = Duration::from_secs(1);
    adjust(&mut options);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = {
        let _inside = runtime.enter();
        Server::bind(options, Arc::clone(&metrics), auth::Gate::off(&metrics)).unwrap()
    };
    let (address, slot) = (server.address(), server.engine_slot());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        runtime.block_on(server.run(async {
            let _ = stopped.await;
        }))
    });
    Running { address, slot, metrics, stop: Some(stop), thread: Some(thread) }
}

impl Running {
    fn get(&self, path: &str) -> Reply {
        Client::connect(self.address).request("GET", path, &[], b"")
    }

    fn register(&self, member: u64, parent: Option<u64>) -> Reply {
        Client::connect(self.address)
            .post("/user/register", &registration(&uuid(member), parent.map(uuid).as_deref()))
    }

    fn engine_options(&self, memory: &Memory) -> EngineOptions {
        let choice = PlanChoice { plan: default_plan(), plan_is_explicit: false, width_is_explicit: false };
        let mut options = EngineOptions::new(PathBuf::from("/data"), choice, Arc::clone(&self.metrics));
        options.storage = memory.shared();
        options.log.segment_bytes = 1 << 20;
        options
    }

    fn stop(mut self) -> Drained {
        self.stop.take();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn assert_unavailable(reply: &Reply, detail: &str) {
    assert_eq!((reply.status, reply.text()), (503, format!("{{\"detail\":\"{detail}\"}}").as_str()));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let seconds: u32 = reply.header("retry-after").expect("when to come back").parse().unwrap();
    assert!((1..=60).contains(&seconds));
}

#[test]
fn while_the_engine_opens_the_process_is_live_and_not_ready() {
    let running = run(|_| {});
    assert_eq!(running.get("/livez").status, 200);
    assert_eq!(running.get("/metrics").status, 200);
    assert_eq!(running.get("/health").text(), "{\"status\":\"healthy\"}");
    let ready = running.get("/readyz");
    assert_eq!((ready.status, ready.text()), (503, "{\"status\":\"starting\"}"));
    let starting = "Starting: the network is being loaded";
    assert_unavailable(&running.register(1, None), starting);
    for path in [
        "/bonus/",
        "/bonus/mark-paid/all",
        &format!("/user/downline/{}", uuid(1)),
        &format!("/reports/weekly/{}", uuid(1)),
    ] {
        assert_unavailable(&running.get(path), starting);
    }
    // Invalid requests are detected without the network.
    assert_eq!(running.get("/user/downline/x").status, 422);
    assert_eq!(running.get("/nothing").status, 404);
    let (engine, _) = Engine::open(running.engine_options(&Memory::new())).unwrap();
    running.slot.set(engine);
    assert_eq!(running.get("/readyz").status, 200);
    assert_eq!(running.register(1, None).status, 200);
}

#[test]
fn after_the_log_has_failed_reads_go_on_and_writes_say_why_not() {
    let running = run(|_| {});
    let memory = Memory::new();
    let (engine, _) = Engine::open(running.engine_options(&memory)).unwrap();
    running.slot.set(engine);
    assert_eq!(running.register(1, None).status, 200);
    let before = running.register(2, Some(1));
    assert_eq!(before.status, 200);
    memory.set_fault(Some(Fault::PowerLoss { at: 1 }));
    let unknown =
        "outcome: unknown. The log failed while it held this write; after a restart it is there or not";
    assert_unavailable(&running.register(3, Some(1)), unknown);
    let read_only = "Read-only: an earlier write to the log failed, nothing was done";
    assert_unavailable(&running.register(4, Some(1)), read_only);
    let trigger = format!("{{\"source_user_id\":\"{}\",\"trigger_type\":\"referral\"}}", uuid(2));
    assert_unavailable(&Client::connect(running.address).post("/bonus/", &trigger), read_only);
    let ready = running.get("/readyz");
    assert_eq!((ready.status, ready.text()), (503, "{\"status\":\"read_only\"}"));
    assert_eq!(running.get("/livez").status, 200);
    // Nothing is visible before it is durable.
    assert_eq!(running.get(&format!("/user/downline/{}", uuid(1))).text(), format!("[{}]", before.text()));
}

/// A gate that blocks the writer at its clock.
#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set_closed(&self, closed: bool) {
        *self.is_closed.lock().unwrap() = closed;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let _open = self.changed.wait_while(self.is_closed.lock().unwrap(), |is_closed| *is_closed).unwrap();
    }
}

/// Opens an engine whose writer blocks while the gate is closed.
fn open_gated(running: &Running, queue_max: usize) -> Arc<Gate> {
    let gate = Arc::new(Gate::default());
    let (at_clock, clock) = (Arc::clone(&gate), system_clock());
    let mut options = running.engine_options(&Memory::new());
    options.queue_max = queue_max;
    options.clock = Arc::new(move || {
        at_clock.pass();
        clock()
    });
    running.slot.set(Engine::open(options).unwrap().0);
    gate
}

#[test]
fn when_too_many_writes_wait_the_rest_is_told_at_once() {
    let running = run(|_| {});
    let gate = open_gated(&running, 4);
    assert_eq!(running.register(0, None).status, 200);
    gate.set_closed(true);
    let address = running.address;
    let writers: Vec<_> = (1..=40)
        .map(|member| {
            std::thread::spawn(move || {
                Client::connect(address).post("/user/register", &registration(&uuid(member), Some(&uuid(0))))
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(running.get("/health").status, 200);
    gate.set_closed(false);
    let replies: Vec<Reply> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let (done, refused): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.status == 200);
    assert!(4 <= done.len() && !refused.is_empty(), "{} done, {} refused", done.len(), refused.len());
    for reply in refused {
        assert_unavailable(reply, "Overloaded: too many writes are waiting, nothing was done");
    }
    let count = running.get(&format!("/user/downline/{}/count", uuid(0)));
    assert_eq!(count.text(), done.len().to_string(), "what was refused was not done");
}

#[test]
fn a_write_that_takes_too_long_has_an_unknown_outcome() {
    let running = run(|options| options.limits.request_timeout = Duration::from_millis(200));
    let gate = open_gated(&running, 100);
    assert_eq!(running.register(0, None).status, 200);
    gate.set_closed(true);
    assert_unavailable(
        &running.register(1, Some(0)),
        "outcome: unknown. The write took too long; it is done or not",
    );
    gate.set_closed(false);
    assert_eq!(running.register(2, Some(0)).status, 200);
    assert_eq!(running.register(1, Some(0)).status, 400, "it was done after all");
}

#[test]
fn a_stop_ends_idle_connections_at_once() {
    let running = run(|_| {});
    let mut idle = Client::connect(running.address);
    assert_eq!(idle.request("GET", "/health", &[], b"").status, 200);
    // If it had waited for this one, it would have had to cut it.
    assert_eq!(running.stop(), Drained { cut: 0 });
    assert_eq!(idle.read_to_end(PATIENCE).as_deref(), Some(&b""[..]));
}
