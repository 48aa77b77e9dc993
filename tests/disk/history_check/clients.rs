//! The clients: their requests, and their records.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    common::{Client, Server, uuid},
    proof::Chance,
};

const CLIENTS: u64 = 16;

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    Register { member: u64, sponsor: u64 },
    Trigger { source: u64, amount: u64 },
    Pay { bonus: String },
    Status { member: u64, is_active: bool },
    Member { member: u64 },
    Rank { member: u64 },
    Children { member: u64 },
    Upline { member: u64 },
    Bonuses { member: u64 },
    Distribution,
}

impl Ask {
    pub fn is_write(&self) -> bool {
        matches!(self, Ask::Register { .. } | Ask::Trigger { .. } | Ask::Pay { .. } | Ask::Status { .. })
    }

    fn request(&self) -> (&'static str, String, String) {
        let read =
            |member: &u64, what: &str| ("GET", format!("/v1/members/{}{what}", uuid(*member)), String::new());
        match self {
            Ask::Register { member, sponsor } => {
                let body = json!({ "user_id": uuid(*member), "sponsor": { "user_id": uuid(*sponsor) } });
                ("POST", "/v1/members".into(), body.to_string())
            }
            Ask::Trigger { source, amount } => {
                let body =
                    json!({ "source": uuid(*source), "kind": "purchase", "amount": { "minor": amount } });
                ("POST", "/v1/bonuses".into(), body.to_string())
            }
            Ask::Pay { bonus } => ("POST", format!("/v1/bonuses/{bonus}/pay"), String::new()),
            Ask::Status { member, is_active } => {
                let body = json!({ "status": if *is_active { "active" } else { "inactive" } });
                ("PATCH", format!("/v1/members/{}", uuid(*member)), body.to_string())
            }
            Ask::Member { member } => read(member, ""),
            Ask::Rank { member } => read(member, "/rank"),
            Ask::Children { member } => read(member, "/children?limit=1000"),
            Ask::Upline { member } => read(member, "/upline?limit=1000"),
            Ask::Bonuses { member } => read(member, "/bonuses?limit=20"),
            Ask::Distribution => ("GET", "/v1/ranks".into(), String::new()),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Answered {
    pub ask: Ask,
    pub begin: Duration,
    pub end: Duration,
    pub status: u16,
    pub lsn: u64,
    /// Answered with an earlier LSN, because of its key.
    pub is_repeat: bool,
    pub body: Value,
}

impl Answered {
    /// Returns whether the LSN is that of its own command.
    pub fn is_write(&self) -> bool {
        self.ask.is_write()
            && !self.is_repeat
            && self.status < 300
            && !(matches!(self.ask, Ask::Register { .. }) && self.status == 200)
    }
}

struct World {
    start: Instant,
    /// Members that appeared in a response, and are visible to all from then on.
    known: Mutex<Vec<u64>>,
    bonuses: Mutex<Vec<String>>,
    next_member: AtomicU64,
    asked: AtomicU64,
    operations: u64,
}

/// Sends requests until there are enough; returns all responses, unordered.
pub fn run(server: &Server, operations: u64, seed: u64) -> Vec<Answered> {
    let world = Arc::new(World {
        start: Instant::now(),
        known: Mutex::new(vec![0]),
        bonuses: Mutex::default(),
        next_member: AtomicU64::new(1),
        asked: AtomicU64::new(0),
        operations,
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (world, client) = (Arc::clone(&world), server.connect());
            std::thread::spawn(move || {
                ask_and_ask(
                    &world,
                    client,
                    number,
                    Chance::new(seed.wrapping_mul(1_000).wrapping_add(number)),
                )
            })
        })
        .collect();
    clients.into_iter().flat_map(|client| client.join().expect("a client ends in peace")).collect()
}

fn ask_and_ask(world: &World, mut client: Client, number: u64, mut chance: Chance) -> Vec<Answered> {
    let mut answers: Vec<Answered> = Vec::new();
    let mut keys = 0;
    while world.asked.fetch_add(1, Ordering::Relaxed) < world.operations {
        let ask = world.choose(&mut chance);
        keys += 1;
        let key = format!("{number}-{keys}");
        let mut answer = send(world, &mut client, ask.clone(), &key);
        if answer.status < 300 {
            world.learn(&answer);
            if ask.is_write() && chance.one_in(4) {
                // A client sees its own write.
                if let Ask::Register { member, .. } = ask {
                    let seen = send(world, &mut client, Ask::Member { member }, "");
                    assert_eq!(seen.status, 200, "a client sees what it was answered: {answer:?}");
                    answers.push(seen);
                }
                let mut again = send(world, &mut client, ask, &key);
                assert_eq!(again.body, answer.body, "the same key gives the same result");
                again.is_repeat = again.lsn == answer.lsn;
                answers.push(again);
            }
        }
        if answer.lsn == 0 {
            // Only these refusals depend on the state.
            assert!(matches!(answer.status, 404 | 409), "{answer:?}");
            answer.is_repeat = true;
            continue;
        }
        answers.push(answer);
    }
    answers
}

fn send(world: &World, client: &mut Client, ask: Ask, key: &str) -> Answered {
    let (method, path, body) = ask.request();
    let mut headers = vec![("content-type", "application/json")];
    if ask.is_write() {
        headers.push(("idempotency-key", key));
    }
    let begin = world.start.elapsed();
    let reply = client.request(method, &path, &headers, body.as_bytes());
    let end = world.start.elapsed();
    assert!(matches!(reply.status, 200 | 201 | 404 | 409), "{ask:?}: {} {}", reply.status, reply.text());
    let lsn = reply.header("x-lsn").map_or(0, |lsn| lsn.parse().expect("a number"));
    Answered { ask, begin, end, status: reply.status, lsn, is_repeat: false, body: reply.json() }
}

impl World {
    fn someone(&self, chance: &mut Chance) -> u64 {
        let known = self.known.lock().expect("no client panicked");
        // Often the last ones: those race.
        let from = if chance.one_in(2) { known.len().saturating_sub(8) } else { 0 };
        *chance.pick(&known[from..])
    }

    fn choose(&self, chance: &mut Chance) -> Ask {
        let member = self.someone(chance);
        match chance.below(20) {
            0..=5 => {
                Ask::Register { member: self.next_member.fetch_add(1, Ordering::Relaxed), sponsor: member }
            }
            // An existing member, below another sponsor.
            6 => Ask::Register { member, sponsor: self.someone(chance) },
            7 | 8 => Ask::Trigger { source: member, amount: chance.below(100_000) },
            9 => match self.bonuses.lock().expect("no client panicked").pop() {
                Some(bonus) => Ask::Pay { bonus },
                None => Ask::Distribution,
            },
            // Not the first ones, so that sponsors remain.
            10 if 20 < member => Ask::Status { member, is_active: !chance.one_in(3) },
            10..=13 => Ask::Member { member },
            14 => Ask::Rank { member },
            15 | 16 => Ask::Children { member },
            17 => Ask::Upline { member },
            18 => Ask::Bonuses { member },
            _ => Ask::Distribution,
        }
    }

    fn learn(&self, answer: &Answered) {
        match answer.ask {
            Ask::Register { member, .. } if answer.status == 201 => {
                self.known.lock().expect("no client panicked").push(member);
            }
            Ask::Trigger { .. } => {
                let made = answer.body["bonuses"].as_array().expect("a list");
                let ids = made.iter().map(|bonus| bonus["id"].as_str().expect("an id").to_owned());
                self.bonuses.lock().expect("no client panicked").extend(ids);
            }
            _ => {}
        }
    }
}
