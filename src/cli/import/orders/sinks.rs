//! Where the orders of a file go: into a network in memory, or to a running server.
//!
//! A server gets batches (`POST /v1/orders/batch`), one after the other. Each is answered before the next is
//! sent, so what was answered is durable, and an import that is cut short is resumed by the same command:
//! orders that are there are passed over.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    orders_taken::{Reason, Taken},
    visible::visible,
};
use crate::{
    cli::{
        exit::{Exit, Failure},
        interrupt::Interrupt,
        member_on_server::{find_on_server, user_id},
        names::{Ambiguous, Name},
        network::Network,
        problem,
        remote::Remote,
    },
    core::{
        command::{Command, Outcome, PlaceOrder, Rejection},
        plan::commerce::AMOUNT,
        state::Verdict,
    },
    http::offline::{self, Difference, NotCarried},
};

/// Orders of a batch: some groups of the server's log, whose answers fit what it keeps for a slow reader.
const BATCH_ORDERS: usize = 4_096;
/// Bytes after which a batch is sent.
const BATCH_BYTES: usize = 2 << 20;

/// Why an order does not come in: it is refused, or nothing comes in any more.
pub(super) enum Trouble {
    Refused(Reason),
    Failed(Failure),
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// What takes orders.
pub(super) trait Sink {
    /// The names of the plan's volumes.
    ///
    /// # Errors
    /// When they cannot be asked for.
    fn volumes(&self) -> Result<Vec<String>, Failure>;

    /// The id of the member that a cell names.
    ///
    /// # Errors
    /// When none is named.
    fn member(&mut self, cell: &str) -> Result<String, Trouble>;

    /// Places an order, unless it is there. `body` is as `POST /v1/orders` takes it, and may be anything.
    /// What comes of it, sooner or later, is added to `taken`.
    ///
    /// # Errors
    /// When nothing comes in any more.
    fn place(&mut self, line: u64, body: &[u8], taken: &mut Taken) -> Result<(), Failure>;

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

fn unknown_member(cell: &str) -> Trouble {
    let words = match cell {
        "" => "no member is named".to_owned(),
        _ => format!("member {} is not known", visible(cell)),
    };
    Reason::new("unknown_member", words).into()
}

fn ambiguous_code(cell: &str) -> Trouble {
    let words = format!("{} is not known, and several referral codes are like it", visible(cell));
    Reason::new("code_ambiguous", words).into()
}

/// The id in the text of an order, as far as it is one.
fn order_id(body: &[u8]) -> String {
    let object = serde_json::from_slice::<Value>(body).unwrap_or_default();
    object["order_id"].as_str().unwrap_or_default().to_owned()
}

/// Places orders in a network in memory.
pub(super) struct IntoNetwork<'n> {
    network: &'n mut Network,
    /// Orders that were there before.
    base: u32,
}

impl<'n> IntoNetwork<'n> {
    pub fn new(network: &'n mut Network) -> Self {
        let base = network.state.orders_len();
        Self { network, base }
    }

    /// Whether an order was placed, and not there before.
    fn placed(&mut self, body: &[u8]) -> Result<bool, Reason> {
        let network = &mut *self.network;
        let order = offline::place_order(body, &network.state, &network.directory, network.time());
        let order: PlaceOrder = order.map_err(Reason::of)?;
        let there = network.state.order_number(&order.id);
        let command = Command::PlaceOrder(Box::new(order));
        let Some(there) = there else {
            let outcome = network.apply(command).map_err(Reason::of)?;
            // A sealed order is there, though not in the state.
            return Ok(matches!(outcome, Outcome::OrderPlaced { changed: true, .. }));
        };
        match network.state.check(&network.directory, None, &command) {
            Verdict::Reject(rejection) if self.base <= there => {
                let words = "an order of this id is in the file before: rows of an order stand together";
                Err(Reason::new(rejection.name(), words))
            }
            Verdict::Reject(rejection) => Err(Reason::of(rejection)),
            Verdict::Admit | Verdict::Repeat(_) => Ok(false),
        }
    }
}

impl IntoNetwork<'_> {
    /// Places an order as it is written, and gives its refunds.
    fn carried(&mut self, body: &[u8], taken: &mut Taken) -> Result<(), Reason> {
        let network = &mut *self.network;
        let Network { state, directory, sealed, .. } = &*network;
        let carried = offline::carry_order(body, state, directory, sealed, network.time());
        let (mut is_placed, mut refunds) = (false, 0);
        for command in carried.map_err(not_carried)?.commands() {
            let is_refund = matches!(command, Command::RefundOrder(_));
            // It was told what comes of them: only what a network has no room for is refused here.
            network.apply(command).map_err(|rejection| {
                let Reason { name, words } = Reason::of(rejection);
                let so_far = if is_refund { ": the order came in, and not all of its refunds" } else { "" };
                Reason { name, words: format!("{words}{so_far}") }
            })?;
            is_placed |= !is_refund;
            refunds += u64::from(is_refund);
        }
        taken.orders += u64::from(is_placed);
        taken.already_there += u64::from(!is_placed);
        taken.refunds += refunds;
        Ok(())
    }
}

fn not_carried(why: NotCarried) -> Reason {
    let in_words = |what: &str, Difference { field, written, here }: Difference| {
        format!("{what}: {field} is {written} in the file, and {here} here")
    };
    match why {
        NotCarried::Refused(problem) => Reason::of(problem),
        NotCarried::Taken(difference) => {
            Reason::new(Rejection::OrderIdTaken.name(), in_words("another order has this id", difference))
        }
        NotCarried::Differs(difference) => {
            Reason::new("order_differs", in_words("it would be another order", difference))
        }
    }
}

impl Sink for IntoNetwork<'_> {
    fn volumes(&self) -> Result<Vec<String>, Failure> {
        let volumes = &self.network.state.plan().commerce.volumes;
        Ok(volumes.iter().map(|volume| volume.name.to_string()).collect())
    }

    fn member(&mut self, cell: &str) -> Result<String, Trouble> {
        let Network { state, directory, .. } = &*self.network;
        let name = Name::parse(cell).map_err(|_| unknown_member(cell))?;
        let found = match name.named(state, directory) {
            Some(member) => Some(member),
            None => name.by_code(state, directory).map_err(|Ambiguous| ambiguous_code(cell))?,
        };
        found.map(|member| state.id(member).to_string()).ok_or_else(|| unknown_member(cell))
    }

    fn place(&mut self, line: u64, body: &[u8], taken: &mut Taken) -> Result<(), Failure> {
        match self.placed(body) {
            Ok(true) => taken.orders += 1,
            Ok(false) => taken.already_there += 1,
            Err(reason) => taken.refuse(line, order_id(body), reason),
        }
        Ok(())
    }

    fn carry(&mut self, line: u64, body: &[u8], taken: &mut Taken) -> Result<(), Failure> {
        if let Err(reason) = self.carried(body, taken) {
            taken.refuse(line, order_id(body), reason);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Taken) -> Result<(), Failure> {
        Ok(())
    }
}

/// Sends orders to a server.
pub(super) struct ToServer<'i> {
    remote: Remote,
    interrupt: &'i Interrupt,
    /// The lines of the next batch.
    body: Vec<u8>,
    /// For each of them the line of the file, and where it ends in `body`.
    lines: Vec<(u64, usize)>,
    /// What texts that are no ids name.
    members: HashMap<String, Option<String>>,
}

impl<'i> ToServer<'i> {
    pub fn new(remote: Remote, interrupt: &'i Interrupt) -> Self {
        Self { remote, interrupt, body: Vec::new(), lines: Vec::new(), members: HashMap::new() }
    }

    /// Sends the batch.
    fn send(&mut self, taken: &mut Taken) -> Result<(), Failure> {
        if self.lines.is_empty() {
            return Ok(());
        }
        if self.interrupt.asked() {
            return Err(Failure::interrupted("the import was cut short"));
        }
        let (body, lines) = (std::mem::take(&mut self.body), std::mem::take(&mut self.lines));
        let answers = self.remote.post_lines("/v1/orders/batch", &body)?;
        let mut answers = answers.into_iter();
        let mut begin = 0;
        for (line, end) in lines {
            let text = &body[begin..end];
            begin = end;
            let cut_short = |why: &str| {
                let message = format!("the server ended a batch before line {line} of the file: {why}");
                Failure::new(Exit::Refused, message)
            };
            let Some(answer) = answers.next() else { return Err(cut_short("it gave no reason")) };
            match answer["status"].as_u64().and_then(|status| u16::try_from(status).ok()) {
                Some(201) => taken.orders += 1,
                Some(200) => taken.already_there += 1,
                // What is wrong is not the order.
                Some(status) if status == 401 || 500 <= status => {
                    return Err(cut_short(&problem::in_words(status, Some(&answer["problem"]))));
                }
                Some(status) => {
                    taken.refuse(line, order_id(text), Reason::of_json(status, &answer["problem"]));
                }
                None => return Err(cut_short("it answered no line: is it an upline server?")),
            }
        }
        Ok(())
    }
}

impl Sink for ToServer<'_> {
    fn volumes(&self) -> Result<Vec<String>, Failure> {
        let answer = self.remote.get("/v1/plan")?;
        let volumes = answer.body["plan"]["volume"].as_object().into_iter().flatten();
        // The amount has a column of its own.
        Ok(volumes.map(|(name, _)| name.clone()).filter(|name| name != AMOUNT).collect())
    }

    fn member(&mut self, cell: &str) -> Result<String, Trouble> {
        let name = Name::parse(cell).map_err(|_| unknown_member(cell))?;
        if name.text.is_none() {
            return Ok(name.id.to_string());
        }
        if let Some(known) = self.members.get(cell) {
            return known.clone().ok_or_else(|| unknown_member(cell));
        }
        let found = match find_on_server(&self.remote, cell) {
            Ok((member, _)) => Some(user_id(&member).map_err(Trouble::Failed)?.to_owned()),
            Err(failure) if failure.exit == Exit::Unknown => None,
            Err(failure) if failure.message.contains("code_ambiguous") => return Err(ambiguous_code(cell)),
            Err(failure) => return Err(Trouble::Failed(failure)),
        };
        self.members.insert(cell.to_owned(), found.clone());
        found.ok_or_else(|| unknown_member(cell))
    }

    fn place(&mut self, line: u64, body: &[u8], taken: &mut Taken) -> Result<(), Failure> {
        self.body.extend_from_slice(body);
        self.body.push(b'\n');
        self.lines.push((line, self.body.len()));
        if self.lines.len() < BATCH_ORDERS && self.body.len() < BATCH_BYTES {
            Ok(())
        } else {
            self.send(taken)
        }
    }

    /// Refuses it: what would come of it can be told only where the network is.
    fn carry(&mut self, line: u64, body: &[u8], taken: &mut Taken) -> Result<(), Failure> {
        let words = "orders of an export go into a data directory, not to a server";
        taken.refuse(line, order_id(body), Reason::new("order_exported", words));
        Ok(())
    }

    fn finish(&mut self, taken: &mut Taken) -> Result<(), Failure> {
        self.send(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cell_names_no_member() {
        let words = |cell: &str| match unknown_member(cell) {
            Trouble::Refused(reason) => reason.words,
            Trouble::Failed(failure) => failure.message,
        };
        assert_eq!(words(""), "no member is named");
        assert_eq!(words("zoe"), "member zoe is not known");
    }
}
