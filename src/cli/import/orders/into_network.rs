//! Orders of a file into a network in memory.

use std::sync::Arc;

use super::{
    sink::{OnLine, Reader, Sink, ambiguous_code, order_id, unknown_member},
    taken::{Reason, Taken},
};
use crate::{
    cli::{
        exit::Failure,
        names::{Ambiguous, Name},
        network::{KnownMember, Network},
    },
    core::{
        command::{Command, Credit, Outcome, PlaceOrder, Rejection, WHOLE},
        plan::Plan,
        state::Verdict,
        types::Timestamp,
    },
    http::offline::{self, Difference, NotCarried, OrderGiven},
};

/// Orders whose memory is prefetched together, so that the waits for it overlap.
const ORDERS_PREFETCHED: usize = 64;

/// Places orders in a network in memory.
pub struct IntoNetwork<'n> {
    network: &'n mut Network,
    /// Orders that were there before.
    base: u32,
}

/// Reads orders under a plan.
pub struct UnderPlan {
    plan: Arc<Plan>,
    lsn: u64,
    now: Timestamp,
}

/// An order that is read, but for its members.
pub struct Uncredited {
    /// Of a table it names the member that the name is most likely to be.
    order: Box<PlaceOrder>,
    members: Members,
}

enum Members {
    Named(Name),
    /// As the order gives them.
    Given(Box<OrderGiven>),
}

impl Reader for UnderPlan {
    type Order = Uncredited;

    fn row(&self, given: OrderGiven, member: Name) -> Result<Uncredited, Reason> {
        let mut order = given.uncredited(&self.plan, self.lsn, self.now).map_err(Reason::of)?;
        order.credits = vec![Credit { member: member.key, part: WHOLE }];
        Ok(Uncredited { order: Box::new(order), members: Members::Named(member) })
    }

    fn object(&self, text: &[u8]) -> Result<Uncredited, Reason> {
        let given = offline::read_order(text).map_err(Reason::of)?;
        let order = given.uncredited(&self.plan, self.lsn, self.now).map_err(Reason::of)?;
        Ok(Uncredited { order: Box::new(order), members: Members::Given(Box::new(given)) })
    }
}

impl<'n> IntoNetwork<'n> {
    pub fn new(network: &'n mut Network) -> Self {
        let base = network.state.orders_len();
        Self { network, base }
    }

    /// Whether an order was placed, and not there before.
    fn placed(&mut self, mut order: Box<PlaceOrder>, members: &Members) -> Result<bool, Reason> {
        let network = &mut *self.network;
        let known = match members {
            Members::Named(name) => {
                let found = member_named(network, name)?;
                order.credits = vec![Credit { member: found.0, part: WHOLE }];
                Some(found)
            }
            Members::Given(given) => {
                order.credits = given.credits(&network.state, &network.directory).map_err(Reason::of)?;
                None
            }
        };
        let there = network.state.order_number(&order.id);
        let command = Command::PlaceOrder(order);
        let Some(there) = there else {
            let outcome = network.apply_known(command, known.as_slice()).map_err(Reason::of)?;
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
                let reason = Reason::of(rejection);
                let so_far = if is_refund { ": the order came in, and not all of its refunds" } else { "" };
                let words = format!("{}{so_far}", reason.words);
                Reason { words, ..reason }
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

/// The member that a table names.
fn member_named(network: &Network, name: &Name) -> Result<KnownMember, Reason> {
    let Network { state, directory, .. } = network;
    let found = match name.named(state, directory) {
        Some(member) => Some(member),
        None => name.by_code(state, directory).map_err(|Ambiguous| ambiguous_code(&name.to_string()))?,
    };
    let member = found.ok_or_else(|| unknown_member(&name.to_string()))?;
    Ok((state.id(member), Some(member)))
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
    type Reader = UnderPlan;

    fn volumes(&self) -> Result<Vec<String>, Failure> {
        let volumes = &self.network.state.plan().commerce.volumes;
        Ok(volumes.iter().map(|volume| volume.name.to_string()).collect())
    }

    fn reader(&self) -> UnderPlan {
        let Network { state, .. } = &*self.network;
        UnderPlan { plan: Arc::clone(state.plan()), lsn: state.lsn(), now: self.network.time() }
    }

    fn place(&mut self, orders: Vec<OnLine<Uncredited>>, taken: &mut Taken) -> Result<(), Failure> {
        let mut orders = orders.into_iter();
        while !orders.as_slice().is_empty() {
            let together = orders.as_slice().iter().take(ORDERS_PREFETCHED);
            self.network.prefetch_orders(together.map(|(_, order)| &*order.order));
            for (line, Uncredited { order, members }) in orders.by_ref().take(ORDERS_PREFETCHED) {
                let id = order.id.clone();
                match self.placed(order, &members) {
                    Ok(true) => taken.orders += 1,
                    Ok(false) => taken.already_there += 1,
                    Err(reason) => taken.refuse(line, id.as_str().to_owned(), reason),
                }
            }
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
