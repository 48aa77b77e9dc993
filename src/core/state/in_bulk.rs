//! Registering in bulk: into an empty network, without counting, with one count at the end.
//!
//! Counting a signup costs as much as everything else that it does, and reads memory all over the network;
//! counting all members at once is a pass or two over them. The result is the same: counts follow from the
//! trees, ranks from the counts, and both only grow while members are added, so the highest rank ever is at
//! least the final one. Outcomes, and so the outcome hash, do not depend on counts.
//!
//! What does depend on them is a placement rule that compares legs, and what a signup pays: a network that
//! is built by such a rule, or that is to pay meanwhile, must be counted throughout.

use crate::core::state::parts::State;

impl State {
    /// Stops counting until [`State::end_bulk`], if nothing that an import asks for depends on counts: there
    /// are no members yet, and the plan's default rule compares no legs. Returns whether it did. Until then
    /// counts and ranks are not right, and members may only be registered by the default rule or in named
    /// slots, as imported ones unless no rank has a reward.
    pub fn begin_bulk(&mut self) -> bool {
        let can_wait = self.is_empty() && self.views.live.is_empty() && !self.plan().placement.counts_legs();
        if can_wait {
            self.network.stop_counting();
        }
        can_wait
    }

    /// Counts and rates everybody. Does nothing to a network that is counted. O(members).
    pub fn end_bulk(&mut self) {
        if self.network.placement().is_counted() {
            return;
        }
        self.network.count_all(self.plans.plan());
        self.rerate_all();
    }
}

#[cfg(test)]
#[path = "in_bulk_test.rs"]
mod tests;
