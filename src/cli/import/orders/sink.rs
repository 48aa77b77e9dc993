//! Where the orders of a file go: into a network in memory (`into_network.rs`), or to a running server
//! (`to_server.rs`).

use serde_json::Value;

use super::{
    super::visible::visible,
    taken::{Reason, Taken},
};
use crate::{
    cli::{exit::Failure, names::Name},
    http::offline::OrderGiven,
};

/// Why an order does not come in: it is refused, or nothing comes in any more.
pub enum Trouble {
    Refused(Reason),
    Failed(Failure),
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// What turns the orders of a file into those that a sink takes, as far as that needs no network: on any
/// thread.
pub trait Reader: Sync {
    type Order: Send;

    /// An order of a table, and how the table names its member.
    ///
    /// # Errors
    /// Why it is refused.
    fn row(&self, given: OrderGiven, member: Name) -> Result<Self::Order, Reason>;

    /// An order as `POST /v1/orders` takes it; `text` may be anything.
    ///
    /// # Errors
    /// Why it is refused.
    fn object(&self, text: &[u8]) -> Result<Self::Order, Reason>;
}

/// An order, and the line of the file on which it begins.
pub type OnLine<O> = (u64, O);

/// What takes orders.
pub trait Sink {
    type Reader: Reader;

    /// The names of the plan's volumes.
    ///
    /// # Errors
    /// When they cannot be asked for.
    fn volumes(&self) -> Result<Vec<String>, Failure>;

    fn reader(&self) -> Self::Reader;

    /// Places orders, those that are not there. What comes of them, sooner or later, is added to `taken`.
    ///
    /// # Errors
    /// When nothing comes in any more.
    fn place(
        &mut self,
        orders: Vec<OnLine<<Self::Reader as Reader>::Order>>,
        taken: &mut Taken,
    ) -> Result<(), Failure>;

    /// Takes an order as an export writes it, with its refunds, as far as it is not there.
    ///
    /// # Errors
    /// As [`Sink::place`].
    fn carry(&mut self, line: u64, body: &[u8], taken: &mut Taken) -> Result<(), Failure>;

    /// Waits for what comes of all orders.
    ///
    /// # Errors
    /// As [`Sink::place`].
    fn finish(&mut self, taken: &mut Taken) -> Result<(), Failure>;
}

pub fn unknown_member(cell: &str) -> Reason {
    let words = match cell {
        "" => "no member is named".to_owned(),
        _ => format!("member {} is not known", visible(cell)),
    };
    Reason::new("unknown_member", words)
}

pub fn ambiguous_code(cell: &str) -> Reason {
    let words = format!("{} is not known, and several referral codes are like it", visible(cell));
    Reason::new("code_ambiguous", words)
}

/// The id in the text of an order, as far as it is one.
pub fn order_id(body: &[u8]) -> String {
    let object = serde_json::from_slice::<Value>(body).unwrap_or_default();
    object["order_id"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cell_names_no_member() {
        assert_eq!(unknown_member("").words, "no member is named");
        assert_eq!(unknown_member("zoe").words, "member zoe is not known");
    }
}
