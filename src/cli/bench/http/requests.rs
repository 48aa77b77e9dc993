//! The requests: signups on the route that the replaced service's clients use, orders, and the four queries
//! about one member.

use std::{io::Write, net::SocketAddr, ops::Range, sync::Arc};

use rand_pcg::{Pcg64, rand_core::RngCore};
use uuid::{Builder, Uuid};

use crate::shapes;

/// Upline levels per request: as many as plans pay.
const UPLINE_STEPS: usize = 15;

/// The queries, in rotation. The count uses the compatible route, which is the one its clients use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Question {
    Member,
    Rank,
    Count,
    Upline,
}

impl Question {
    pub const ALL: [Self; 4] = [Self::Member, Self::Rank, Self::Count, Self::Upline];

    /// The route in axum's syntax.
    pub fn route(self) -> &'static str {
        match self {
            Self::Member => "/v1/members/{id}",
            Self::Rank => "/v1/members/{id}/rank",
            Self::Count => "/user/downline/{id}/count",
            Self::Upline => "/v1/members/{id}/upline",
        }
    }

    /// Returns its name in the report.
    pub fn shown(self) -> String {
        match self {
            Self::Upline => format!("{}?limit={UPLINE_STEPS}", self.route()),
            other => other.route().to_owned(),
        }
    }

    pub fn path(self, id: Uuid) -> String {
        self.shown().replace("{id}", &id.to_string())
    }
}

/// An expensive query about the first member, whose downline is all or most of the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heavy {
    /// A page of a thousand of its downline.
    Downline,
    /// A window of a thousand of its tree.
    Tree,
    /// A page of a thousand of a deep level.
    Level,
    /// The explanation of one of its bonuses.
    Explain,
    /// The member at an earlier LSN, a different one each time.
    AsOf,
}

impl Heavy {
    pub const ALL: [Self; 5] = [Self::Downline, Self::Tree, Self::Level, Self::Explain, Self::AsOf];

    /// Returns its name in the report.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Downline => "/v1/members/{id}/downline?limit=1000",
            Self::Tree => "/v1/members/{id}/tree?depth=32&limit=1000&siblings=1000",
            Self::Level => "/v1/members/{id}/levels/20?limit=1000",
            Self::Explain => "/v1/bonuses/{id}/explain",
            Self::AsOf => "/v1/members/{id}?as_of={lsn}",
        }
    }

    fn path(self, members: &Members, random: &mut Pcg64) -> String {
        let mut below = |bound: u64| random.next_u64() % bound.max(1);
        let facts = &members.facts;
        let id = match self {
            Self::Explain if !facts.bonuses.is_empty() => {
                facts.bonuses[usize::try_from(below(facts.bonuses.len() as u64)).unwrap_or(0)]
            }
            _ => members.first(),
        };
        let lsn = facts.lsns.start + below(facts.lsns.end.saturating_sub(facts.lsns.start));
        self.shown().replace("{id}", &id.to_string()).replace("{lsn}", &lsn.to_string())
    }
}

/// The parameters of heavy queries.
#[derive(Clone, Default)]
pub(super) struct Facts {
    pub bonuses: Vec<Uuid>,
    pub lsns: Range<u64>,
}

/// The members of the initial network, drawn at random.
#[derive(Clone)]
pub(super) struct Members {
    pub seed: u64,
    pub count: u32,
    pub facts: Arc<Facts>,
}

impl Members {
    pub fn new(seed: u64, count: u32) -> Self {
        Self { seed, count, facts: Arc::default() }
    }

    pub fn first(&self) -> Uuid {
        Uuid::from_bytes(shapes::member_id(self.seed, 0).0)
    }

    pub fn pick(&self, random: &mut Pcg64) -> Uuid {
        let number = random.next_u64() % u64::from(self.count);
        let number = u32::try_from(number).expect("below the number of members");
        Uuid::from_bytes(shapes::member_id(self.seed, number).0)
    }
}

/// Generates requests. Two with different `stream`s never sign up the same member, except with a probability
/// of 2^-60.
pub(super) struct Requests {
    kind: Kind,
    members: Members,
    random: Pcg64,
    host: String,
    turn: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// New members, sponsors drawn from the members.
    Signups,
    /// Orders of one line, credited to members drawn at random.
    Orders,
    /// Each of [`Question::ALL`] in turn, about members drawn at random.
    Reads,
    /// Heavy queries, of which the server may refuse some.
    Heavy(Heavy),
}

impl Requests {
    pub fn new(kind: Kind, members: Members, host: SocketAddr, stream: u64) -> Self {
        let random = Pcg64::new(u128::from(members.seed), u128::from(stream));
        Self { kind, members, random, host: host.to_string(), turn: 0 }
    }

    /// Returns whether a response with this status only signals overload.
    pub fn may_be_refused(&self, status: u16) -> bool {
        matches!(self.kind, Kind::Heavy(_)) && matches!(status, 429 | 503)
    }

    /// Writes the next request to `out`, replacing its content.
    pub fn next(&mut self, out: &mut Vec<u8>) {
        out.clear();
        match self.kind {
            Kind::Signups => self.signup(out),
            Kind::Orders => self.order(out),
            Kind::Reads => self.read(out),
            Kind::Heavy(question) => {
                let path = question.path(&self.members, &mut self.random);
                write!(out, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host)
                    .expect("memory takes everything");
            }
        }
    }

    fn signup(&mut self, out: &mut Vec<u8>) {
        let mut bytes = [0; 16];
        self.random.fill_bytes(&mut bytes);
        let (member, sponsor) =
            (Builder::from_random_bytes(bytes).into_uuid(), self.members.pick(&mut self.random));
        let body_bytes = SIGNUP_PARTS[0].len() + SIGNUP_PARTS[1].len() + SIGNUP_PARTS[2].len() + 2 * 36;
        let written = write!(
            out,
            "POST /user/register HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {body_bytes}\r\n\r\n{}{member}{}{sponsor}{}",
            self.host, SIGNUP_PARTS[0], SIGNUP_PARTS[1], SIGNUP_PARTS[2],
        );
        written.expect("memory takes everything");
    }

    fn order(&mut self, out: &mut Vec<u8>) {
        let mut bytes = [0; 16];
        self.random.fill_bytes(&mut bytes);
        let (order, member) =
            (Builder::from_random_bytes(bytes).into_uuid().simple(), self.members.pick(&mut self.random));
        let [begin, middle, end] = ORDER_PARTS;
        let body_bytes = begin.len() + 32 + middle.len() + 36 + end.len();
        let written = write!(
            out,
            "POST /v1/orders HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {body_bytes}\r\n\r\n{begin}{order}{middle}{member}{end}",
            self.host,
        );
        written.expect("memory takes everything");
    }

    fn read(&mut self, out: &mut Vec<u8>) {
        let question = Question::ALL[self.turn % Question::ALL.len()];
        self.turn += 1;
        let member = self.members.pick(&mut self.random);
        let (before, after) = question.route().split_once("{id}").expect("each route has an id");
        let mut put = || -> std::io::Result<()> {
            write!(out, "GET {before}{member}{after}")?;
            if question == Question::Upline {
                write!(out, "?limit={UPLINE_STEPS}")?;
            }
            write!(out, " HTTP/1.1\r\nhost: {}\r\n\r\n", self.host)
        };
        put().expect("memory takes everything");
    }
}

/// The text before, between and after the ids in a signup's body.
const SIGNUP_PARTS: [&str; 3] = ["{\"user_id\":\"", "\",\"parent_id\":\"", "\"}"];

/// The text before, between and after the ids in an order's body.
const ORDER_PARTS: [&str; 3] = [
    "{\"order_id\":\"",
    "\",\"user_id\":\"",
    "\",\"kind\":\"retail\",\"lines\":[{\"amount\":\"49.95\",\"volumes\":{\"pv\":\"40\"}}]}",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn requests(kind: Kind, stream: u64) -> Requests {
        Requests::new(kind, Members::new(3, 10), "127.0.0.1:80".parse().unwrap(), stream)
    }

    fn texts(kind: Kind, stream: u64) -> Vec<String> {
        let (mut source, mut out) = (requests(kind, stream), Vec::new());
        let next = |_| {
            source.next(&mut out);
            String::from_utf8(out.clone()).unwrap()
        };
        (0..8).map(next).collect()
    }

    #[test]
    fn a_signup_names_its_length_and_is_json() {
        for text in texts(Kind::Signups, 1) {
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{text}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let ids: Vec<Uuid> =
                ["user_id", "parent_id"].map(|name| body[name].as_str().unwrap().parse().unwrap()).into();
            assert!((0..10).any(|number| shapes::member_id(3, number).0 == *ids[1].as_bytes()), "{text}");
        }
    }

    #[test]
    fn an_order_names_its_length_and_is_json() {
        let mut orders = HashSet::new();
        for text in texts(Kind::Orders, 1) {
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{text}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(orders.insert(body["order_id"].as_str().unwrap().to_owned()), "{text}");
            let member: Uuid = body["user_id"].as_str().unwrap().parse().unwrap();
            assert!((0..10).any(|number| shapes::member_id(3, number).0 == *member.as_bytes()), "{text}");
        }
    }

    #[test]
    fn streams_differ_and_repeat() {
        assert_eq!(texts(Kind::Signups, 1), texts(Kind::Signups, 1));
        assert_ne!(texts(Kind::Signups, 1), texts(Kind::Signups, 2));
    }

    #[test]
    fn each_question_is_asked_in_turn() {
        let lines: Vec<String> =
            texts(Kind::Reads, 1).iter().map(|text| text.lines().next().unwrap().to_owned()).collect();
        for (line, question) in lines.iter().zip(Question::ALL.iter().cycle()) {
            let id: Uuid = line.split('/').find_map(|part| part.get(..36)?.parse().ok()).unwrap();
            assert_eq!(*line, format!("GET {} HTTP/1.1", question.path(id)));
        }
    }
}
