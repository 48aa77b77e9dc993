//! The record of the clients' responses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Value, json};

use crate::common::uuid;

/// The content of a request.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Ask {
    Register { member: u64 },
    Trigger,
    Pay { bonus: String },
    Status { member: u64, is_active: bool },
    Plan { name: String },
    Order { order: u64 },
    Refund { refund: u64 },
}

/// An idempotent write.
#[derive(Clone, Debug)]
pub struct Request {
    pub ask: Ask,
    pub method: &'static str,
    pub path: String,
    pub key: Option<String>,
    pub body: String,
}

impl Request {
    pub fn register(member: u64, sponsor: Option<u64>, key: Option<String>) -> Self {
        let mut body = json!({ "user_id": uuid(member) });
        if let Some(sponsor) = sponsor {
            body["sponsor"] = json!({ "user_id": uuid(sponsor) });
        }
        Self {
            ask: Ask::Register { member },
            method: "POST",
            path: "/v1/members".into(),
            key,
            body: body.to_string(),
        }
    }
}

/// The id of an order by number.
pub fn order_id(order: u64) -> String {
    format!("A-{order}")
}

/// The id of a refund by number.
pub fn refund_id(refund: u64) -> String {
    format!("R-{refund}")
}

/// A write, and its response: `None` if none arrived.
#[derive(Clone, Debug)]
pub struct Told {
    pub request: Request,
    pub answer: Option<Answer>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub lsn: u64,
    /// Whether this request performed the write: then the LSN is its own, else that of the state in which it
    /// was found.
    pub is_first: bool,
    pub body: Value,
}

/// Returns whether a member's status changes. Such members do not sponsor: inactive ones cannot.
pub fn changes_status(member: u64) -> bool {
    member % 16 == 15
}

#[derive(Default)]
pub struct Ledger {
    /// By number: each registration and its response.
    pub members: BTreeMap<u64, (Request, Answer)>,
    /// By LSN.
    pub triggers: BTreeMap<u64, (Request, Value)>,
    pub paid: BTreeSet<String>,
    /// The last change of each member's status.
    pub statuses: BTreeMap<u64, (u64, bool)>,
    /// The last plan.
    pub plan: (u64, String),
    /// By number: each order and refund, and its response.
    pub orders: BTreeMap<u64, (Request, Answer)>,
    pub refunds: BTreeMap<u64, (Request, Answer)>,
    pub last_lsn: u64,
    /// Number of acknowledged writes of all kinds.
    pub acknowledged: u64,
}

impl Ledger {
    /// Records answered requests; returns the unanswered ones.
    pub fn take(&mut self, told: Vec<Told>) -> Vec<Request> {
        let mut unknown = Vec::new();
        for Told { request, answer } in told {
            match answer {
                Some(answer) => self.enter(request, answer),
                None => unknown.push(request),
            }
        }
        unknown
    }

    pub fn enter(&mut self, request: Request, answer: Answer) {
        self.last_lsn = self.last_lsn.max(answer.lsn);
        self.acknowledged += 1;
        match request.ask.clone() {
            Ask::Register { member } => _ = self.members.insert(member, (request, answer)),
            Ask::Trigger => _ = self.triggers.insert(answer.lsn, (request, answer.body)),
            Ask::Pay { bonus } => _ = self.paid.insert(bonus),
            Ask::Status { member, is_active } => {
                let last = self.statuses.entry(member).or_insert((answer.lsn, is_active));
                *last = (*last).max((answer.lsn, is_active));
            }
            Ask::Order { order } => _ = self.orders.insert(order, (request, answer)),
            Ask::Refund { refund } => _ = self.refunds.insert(refund, (request, answer)),
            Ask::Plan { name } => self.plan = self.plan.clone().max((answer.lsn, name)),
        }
    }

    /// Returns the numbers of possible sponsors.
    pub fn sponsors(&self) -> Vec<u64> {
        self.members.keys().copied().filter(|member| !changes_status(*member)).collect()
    }

    /// Returns the first unused number, counting requests without a response: those are settled before any
    /// new request.
    pub fn next_member(&self) -> u64 {
        self.members.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    /// Returns the first unused numbers of orders and refunds, as `next_member`.
    pub fn next_order(&self) -> u64 {
        self.orders.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    pub fn next_refund(&self) -> u64 {
        self.refunds.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    /// Returns bonuses without a request to mark them paid.
    pub fn unpaid(&self) -> Vec<String> {
        let made = self.triggers.values().flat_map(|(_, body)| body["bonuses"].as_array().expect("a list"));
        let ids = made.map(|bonus| bonus["id"].as_str().expect("an id").to_owned());
        ids.filter(|id| !self.paid.contains(id)).collect()
    }
}

/// The results over all networks.
#[derive(Default)]
pub struct Counts {
    pub kills: u64,
    /// Of those kills, before the directory was open.
    pub in_opening: u64,
    /// Of those kills, while a requested snapshot was incomplete.
    pub in_snapshot: u64,
    /// Of those kills, just after log rotation.
    pub at_rotation: u64,
    pub acknowledged: u64,
    pub signups: u64,
    pub orders: u64,
    pub refunds: u64,
    pub unknown: u64,
    /// Of the unknown, those that had been applied.
    pub unknown_done: u64,
    /// Acknowledged writes that were repeated with the original response.
    pub repeated: u64,
    pub lost: u64,
    pub doubled: u64,
    pub changed: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kills,
            in_opening,
            in_snapshot,
            at_rotation,
            acknowledged,
            signups,
            orders,
            refunds,
            unknown,
            unknown_done,
            repeated,
            ..
        } = self;
        write!(
            out,
            "kills={kills} in_opening={in_opening} in_snapshot={in_snapshot} at_rotation={at_rotation} "
        )?;
        write!(
            out,
            "acknowledged={acknowledged} signups={signups} orders={orders} refunds={refunds} \
             unknown={unknown} unknown_done={unknown_done} repeated={repeated} "
        )?;
        write!(out, "lost={} doubled={} changed={}", self.lost, self.doubled, self.changed)
    }
}
