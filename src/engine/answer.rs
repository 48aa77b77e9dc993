//! Who sends a command, and its result.

use crate::core::{
    Actor,
    command::{Applied, RequestKey},
};

/// Who sends a command, and under which key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    pub actor: Actor,
    /// The client's idempotency key, if it sent one.
    pub key: Option<RequestKey>,
}

impl From<(Actor, Option<RequestKey>)> for Sent {
    fn from((actor, key): (Actor, Option<RequestKey>)) -> Self {
        Self { actor, key }
    }
}

/// For tests, benches and simulations: the log records no actor. Servers name the sender;
/// `tests/http/audit.rs` sends a write to every route and checks.
impl From<Option<RequestKey>> for Sent {
    fn from(key: Option<RequestKey>) -> Self {
        Self { actor: Actor::unknown(), key }
    }
}

/// The result of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The outcome and its LSN. For a refusal before the log: the LSN of the state it was judged against.
    pub applied: Applied,
    pub by: AnsweredBy,
}

/// How an answer was found. All of them are final and durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnsweredBy {
    /// The command was logged and applied. (If an earlier one with the same key won the race, the outcome and
    /// LSN are that one's.)
    Log,
    /// It broke a rule and was refused before the log.
    Admission,
    /// An earlier command with the same key had done it.
    Repeat,
    /// The same order or refund was sealed. The number in the outcome is none.
    Seal,
}
