//! Sixteen clients that write until the server is gone.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    ledger::{Answer, Ask, Ledger, Request, Told, changes_status},
    orders::{self, Orders},
};
use crate::{
    common::{Client, Reply, Server, uuid},
    proof::Chance,
};

const CLIENTS: u64 = 16;

/// Lines per batch.
const BATCH_LINES: usize = 20;

/// Timeout for every wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// State shared by the clients.
pub struct World {
    pub orders: Orders,
    sponsors: Mutex<Vec<u64>>,
    unpaid: Mutex<Vec<String>>,
    next_member: AtomicU64,
    next_key: AtomicU64,
    /// Part of each key, so that keys of different rounds differ.
    round: u64,
    answered: AtomicU64,
}

impl World {
    pub fn key(&self) -> String {
        format!("{:x}-{}", self.round, self.next_key.fetch_add(1, Ordering::Relaxed))
    }

    /// A member that sponsors others, and never becomes inactive.
    pub fn sponsor(&self, chance: &mut Chance) -> u64 {
        *chance.pick(&self.sponsors.lock().expect("no client panicked"))
    }

    fn register(&self, chance: &mut Chance) -> Request {
        let member = self.next_member.fetch_add(1, Ordering::Relaxed);
        let key = chance.one_in(2).then(|| self.key());
        Request::register(member, Some(self.sponsor(chance)), key)
    }

    fn request(&self, chance: &mut Chance) -> Request {
        match chance.below(14) {
            10 | 11 => orders::order(self, chance),
            12 | 13 => {
                let refund = orders::refund(self, chance);
                refund.unwrap_or_else(|| orders::order(self, chance))
            }
            0 | 1 => {
                let body = json!({
                    "once": false, "source": uuid(self.sponsor(chance)),
                    "kind": if chance.one_in(2) { "referral" } else { "purchase" },
                    "amount": { "minor": chance.below(1_000_000) } });
                self.keyed(Ask::Trigger, "POST", "/v1/bonuses".into(), body.to_string())
            }
            2 => {
                let bonus = self.unpaid.lock().expect("no client panicked").pop();
                let Some(bonus) = bonus else { return self.register(chance) };
                let path = format!("/v1/bonuses/{bonus}/pay");
                self.keyed(Ask::Pay { bonus }, "POST", path, String::new())
            }
            3 => {
                let known = self.next_member.load(Ordering::Relaxed);
                let (member, is_active) =
                    (known.saturating_sub(64 + chance.below(32)) / 16 * 16 + 15, chance.one_in(2));
                if known < 200 {
                    return self.register(chance);
                }
                let body = json!({ "status": if is_active { "active" } else { "inactive" } });
                self.keyed(
                    Ask::Status { member, is_active },
                    "PATCH",
                    format!("/v1/members/{}", uuid(member)),
                    body.to_string(),
                )
            }
            _ => self.register(chance),
        }
    }

    pub fn keyed(&self, ask: Ask, method: &'static str, path: String, body: String) -> Request {
        Request { ask, method, path, key: Some(self.key()), body }
    }

    /// Records what a response makes possible.
    pub fn learn(&self, request: &Request, answer: &Answer) {
        match request.ask {
            Ask::Register { member } if !changes_status(member) => {
                self.sponsors.lock().expect("no client panicked").push(member);
            }
            Ask::Trigger => {
                let bonuses = answer.body["bonuses"].as_array().expect("a list");
                let ids = bonuses.iter().map(|bonus| bonus["id"].as_str().expect("an id").to_owned());
                self.unpaid.lock().expect("no client panicked").extend(ids);
            }
            Ask::Order { order } => self.orders.is_placed(order),
            _ => {}
        }
        if matches!(request.ask, Ask::Register { .. }) {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends a write. `None`: no response.
pub fn send(client: &mut Client, request: &Request) -> Option<Reply> {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(request.key.as_ref().map(|key| ("idempotency-key", key.as_str())));
    client.try_request(request.method, &request.path, &headers, request.body.as_bytes()).ok()
}

/// Returns the response on success. `None`: the member whose status was to change is unknown, which proves
/// nothing.
pub fn accept(request: &Request, reply: &Reply) -> Option<Answer> {
    if reply.status == 404 && matches!(request.ask, Ask::Status { .. }) {
        return None;
    }
    assert!(matches!(reply.status, 200 | 201), "{request:?}: {} {}", reply.status, reply.text());
    let lsn = reply.header("x-lsn").expect("every answer names its LSN").parse().expect("a number");
    Some(Answer { lsn, is_first: reply.status == 201, body: reply.json() })
}

pub fn register_root(server: &Server, ledger: &mut Ledger) {
    let request = Request::register(0, None, None);
    let reply = send(&mut server.connect(), &request).expect("an answer");
    let answer = accept(&request, &reply).expect("a registration");
    ledger.enter(request, answer);
}

fn write_until_the_end(world: &World, mut client: Client, mut chance: Chance) -> Vec<Told> {
    let mut told = Vec::new();
    loop {
        let request = world.request(&mut chance);
        match send(&mut client, &request) {
            Some(reply) => {
                let Some(answer) = accept(&request, &reply) else { continue };
                world.learn(&request, &answer);
                told.push(Told { request, answer: Some(answer) });
            }
            None => {
                told.push(Told { request, answer: None });
                return told;
            }
        }
    }
}

/// A batch: where it goes, and its next line.
struct Batch {
    path: &'static str,
    line: fn(&World, &mut Chance) -> Request,
}

const REGISTRATIONS: Batch = Batch { path: "/v1/members/batch", line: World::register };
const ORDERS: Batch = Batch { path: "/v1/orders/batch", line: orders::order };

/// The last two clients send batches.
fn batches_until_the_end(world: &World, batch: &Batch, mut client: Client, mut chance: Chance) -> Vec<Told> {
    let mut told = Vec::new();
    loop {
        let requests: Vec<Request> =
            (0..BATCH_LINES).map(|_| Request { key: None, ..(batch.line)(world, &mut chance) }).collect();
        let lines: String = requests.iter().map(|request| request.body.clone() + "\n").collect();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
             content-length: {}\r\n\r\n{lines}",
            batch.path,
            lines.len()
        );
        let mut answers = Vec::new();
        let went_well = client.send(head.as_bytes()).and_then(|()| {
            let (status, _) = client.read_head()?;
            assert_eq!(status, 200);
            while client.read_chunk(&mut answers)? {}
            Ok(())
        });
        // Text after the last line break is an incomplete response.
        let whole = answers.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut lines = std::str::from_utf8(&answers[..whole]).expect("UTF-8").lines();
        for request in requests {
            let answer = lines.next().map(|line| {
                let body: Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(body["status"], 201, "{line}");
                Answer { lsn: body["lsn"].as_u64().expect("a number"), is_first: true, body }
            });
            if let Some(answer) = &answer {
                world.learn(&request, answer);
            }
            told.push(Told { request, answer });
        }
        if went_well.is_err() {
            return told;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub struct Load {
    world: Arc<World>,
    clients: Vec<JoinHandle<Vec<Told>>>,
    /// For requests outside the clients.
    address: std::net::SocketAddr,
    more: Mutex<Vec<Told>>,
    waiting: Mutex<Vec<JoinHandle<()>>>,
    /// Number of completed snapshot requests.
    pub snapshots: Arc<AtomicU64>,
}

impl Load {
    pub fn start(server: &Server, ledger: &Ledger, seed: u64) -> Self {
        let world = Arc::new(World {
            orders: Orders::after(ledger),
            sponsors: Mutex::new(ledger.sponsors()),
            unpaid: Mutex::new(ledger.unpaid()),
            next_member: AtomicU64::new(ledger.next_member()),
            next_key: AtomicU64::new(0),
            round: seed,
            answered: AtomicU64::new(0),
        });
        let clients = (0..CLIENTS)
            .map(|number| {
                let (world, client, chance) =
                    (Arc::clone(&world), server.connect(), Chance::new(seed.wrapping_add(number)));
                std::thread::spawn(move || match CLIENTS - number {
                    1 => batches_until_the_end(&world, &REGISTRATIONS, client, chance),
                    2 => batches_until_the_end(&world, &ORDERS, client, chance),
                    _ => write_until_the_end(&world, client, chance),
                })
            })
            .collect();
        Self {
            world,
            clients,
            address: server.address,
            more: Mutex::default(),
            waiting: Mutex::default(),
            snapshots: Arc::default(),
        }
    }

    /// Waits for this many answered signups.
    pub fn wait_for(&self, signups: u64) {
        let begin = Instant::now();
        while self.world.answered.load(Ordering::Relaxed) < signups {
            assert!(begin.elapsed() < PATIENCE, "the clients stand still");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Requests a snapshot without waiting for it.
    pub fn snapshot(&self) {
        let (mut client, snapshots) = (Client::connect(self.address), Arc::clone(&self.snapshots));
        let waiting = std::thread::spawn(move || {
            if client.try_request("POST", "/v1/snapshots", &[], b"").is_ok() {
                snapshots.fetch_add(1, Ordering::Relaxed);
            }
        });
        self.waiting.lock().expect("no thread panicked").push(waiting);
    }

    /// Changes the plan repeatedly, since it is the largest command, until the log rotates. The visible sign
    /// is that the following segment is being prepared.
    pub fn fill_segment(&self, log: &Path) {
        let before = names(log);
        let mut client = Client::connect(self.address);
        let mut plan = client.request("GET", "/v1/plan", &[], b"").json()["plan"].take();
        let begin = Instant::now();
        while names(log).is_subset(&before) {
            assert!(begin.elapsed() < PATIENCE, "no segment is begun");
            let name = self.world.key();
            plan["name"] = Value::from(name.clone());
            let request = self.world.keyed(Ask::Plan { name }, "PUT", "/v1/plan".into(), plan.to_string());
            let answer = send(&mut client, &request).and_then(|reply| accept(&request, &reply));
            self.more
                .lock()
                .expect("no thread panicked")
                .push(Told { request, answer: Some(answer.expect("it was not killed yet")) });
        }
    }

    /// Waits for the clients after their server is gone.
    pub fn end(self) -> Vec<Told> {
        let mut told: Vec<Told> = self
            .clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client ends in peace"))
            .collect();
        told.extend(self.more.into_inner().expect("no thread panicked"));
        for waiting in self.waiting.into_inner().expect("no thread panicked") {
            waiting.join().expect("it ends in peace");
        }
        told
    }
}

/// Returns the files in the log's directory.
fn names(log: &Path) -> BTreeSet<std::ffi::OsString> {
    let entries = std::fs::read_dir(log).expect("the log's directory");
    entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect()
}
