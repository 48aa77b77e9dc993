//! The preparation of a seal: the lists of orders without those that leave.

use crate::core::{
    orders::sealing::{Known, Remaining},
    requests::command::SealPeriod,
    state::{
        ahead::{Ahead, ResultId},
        parts::State,
    },
    store::view_parts::{Part, Parts},
};

/// The lists without the orders of a seal.
pub(in crate::core) struct Unsealed {
    seal: Box<SealPeriod>,
    remaining: Box<Remaining>,
    /// The final step was taken: nothing can be added any more.
    is_complete: bool,
}

/// Identifies the result of a seal as the next command.
pub(in crate::core) fn result(state: &State, seal: &SealPeriod) -> ResultId {
    // This text has all fields, and never leaves the process.
    ResultId::of_network("seal", format!("{seal:?}").as_bytes(), state)
}

impl Unsealed {
    /// The parts of a frozen view that it begins with.
    pub const READS: Parts = Parts::of(&[Part::Orders]);

    /// Begins on a copy; `None` if that is older than the files: what became final since would stay.
    /// O(orders).
    pub fn new(copy: &State, seal: &SealPeriod) -> Option<Self> {
        if copy.lsn() < seal.as_of {
            return None;
        }
        let mut remaining = Box::new(Remaining::new(Known::by(seal)));
        remaining.advance(&copy.orders, usize::MAX);
        Some(Self { seal: Box::new(seal.clone()), remaining, is_complete: false })
    }
}

impl Unsealed {
    /// Whether another seal came first: the orders have other numbers, and the command will be refused.
    fn is_overtaken(&self, state: &State) -> bool {
        state.orders.seals().list().len() != self.seal.seal as usize
    }

    pub fn into_remaining(self) -> Box<Remaining> {
        self.remaining
    }
}

impl Ahead for Unsealed {
    fn id(&self, state: &State) -> ResultId {
        result(state, &self.seal)
    }

    fn advance(&mut self, state: &State, steps: usize) -> bool {
        self.is_overtaken(state) || self.remaining.advance(&state.orders, steps)
    }

    fn complete(&mut self, state: &State) -> bool {
        if !std::mem::replace(&mut self.is_complete, true) && !self.is_overtaken(state) {
            self.remaining.complete(&state.orders);
            return true;
        }
        false
    }
}
