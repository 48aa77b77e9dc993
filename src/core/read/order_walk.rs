//! Lists of orders in the state, in the order in which they were placed.

use crate::core::{orders::strays::OrderList, state::parts::State};

/// A walk through a list of orders, newest first by the commands that placed them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderWalk {
    list: OrderList,
    /// The next place of the list ([`State::order_at`]), whose strays are passed over. A seal changes places.
    next: Option<u32>,
    /// Orders of this command and of later ones were passed.
    before: u64,
}

/// What a walk came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peeked {
    /// An order, by the command that placed it and by number.
    Order { lsn: u64, number: u32 },
    /// Nothing is left.
    End,
    /// The steps were used up.
    Tired,
}

impl OrderWalk {
    /// Those of a list that were placed before a command.
    pub fn new(state: &State, list: OrderList, before: u64) -> Self {
        Self { list, next: state.first_order(list), before }
    }

    /// Goes on where another one of the same list in the same state was; `None` for a place that is not in
    /// the list.
    pub fn resume(state: &State, list: OrderList, (next, before): (Option<u32>, u64)) -> Option<Self> {
        next.is_none_or(|place| state.order_at(list, place).is_some()).then_some(Self { list, next, before })
    }

    /// Where it is: what [`OrderWalk::resume`] takes.
    pub fn position(&self) -> (Option<u32>, u64) {
        (self.next, self.before)
    }

    /// The command before which the rest were placed.
    pub fn before(&self) -> u64 {
        self.before
    }

    /// Passes over all that were placed by a command or later.
    pub fn pass(&mut self, lsn: u64) {
        self.before = self.before.min(lsn);
    }

    /// Finds its place again after a seal changed them.
    pub fn replace(&mut self, state: &State) {
        self.next = state.first_order(self.list);
    }

    /// Looks for the next order, without passing over it. Each place that is passed over takes a step.
    pub fn peek(&mut self, state: &State, steps: &mut usize) -> Peeked {
        let strays = state.orders.strays();
        let stray = strays.before(self.list, self.before);
        let settled = loop {
            let Some(place) = self.next else { break None };
            let Some((number, next)) = state.order_at(self.list, place) else { break None };
            let lsn = state.order_lsn(number);
            if lsn < self.before && !strays.has(lsn) {
                break Some((lsn, number));
            }
            let Some(left) = steps.checked_sub(1) else { return Peeked::Tired };
            *steps = left;
            self.next = next;
        };
        // A command placed one order, so the two differ.
        settled.max(stray).map_or(Peeked::End, |(lsn, number)| Peeked::Order { lsn, number })
    }
}
