//! Volumes that are kept live: which periods have them, and how they follow the trees.

use crate::core::{
    orders::live::PERIODS_LIVE, requests::command::PeriodRef, state::parts::State, store::freeing::Freeing,
    words::types::Tree,
};

impl State {
    /// What the plan keeps live: a bit for each value, and the levels.
    pub(in crate::core) fn live_values(&self) -> (u16, u8) {
        let commerce = &self.plans.plan().commerce;
        let of_volumes = (1..).zip(&commerce.volumes).filter(|(_, volume)| volume.live);
        let live = of_volumes.fold(u16::from(commerce.amount_live), |live, (value, _)| live | 1 << value);
        (live, commerce.live_levels)
    }

    /// Keeps the live volumes of a period that was opened, unless orders of it were sealed. What is no longer
    /// kept goes to `replaced`. Only the newest are kept, whichever of them were sealed: a state that is
    /// restored opens them all once more, and must come to the same.
    pub(in crate::core) fn open_live(&mut self, period: PeriodRef, replaced: &mut Freeing) {
        let row = self.orders.periods().get(period).expect("it was opened");
        let (live, levels) = (row.live, row.live_levels);
        let commerce = &self.plans.plan().commerce;
        let values =
            usize::from(commerce.amount_live) + commerce.volumes.iter().filter(|volume| volume.live).count();
        let expected = commerce.calendars.len() * values * PERIODS_LIVE;
        if let Some((_, unused)) = self.orders.live_mut().open(period, live, levels, expected) {
            replaced.push(Box::new(unused));
        }
        let kept = u32::try_from(PERIODS_LIVE).expect("few");
        let older = period.period.checked_sub(kept);
        let older = older.map(|older| PeriodRef { period: older, ..period });
        let sealed = self.orders.has_sealed(period).then_some(period);
        for closed in older.into_iter().chain(sealed) {
            replaced.push(Box::new(self.orders.live_mut().close(closed)));
        }
    }

    /// Completes the orders of an image, and books them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(in crate::core) fn complete_orders(&mut self) -> Result<(), String> {
        let Self { plans, orders, .. } = self;
        orders.complete(&plans.plan().commerce)?;
        self.rebook(&mut Freeing::new());
        Ok(())
    }

    /// Whether lists of orders, totals of periods and live volumes are there. A copy of a frozen view has
    /// none of them: lists are empty, totals are zero, and no volumes are kept, whatever its orders say.
    pub fn has_order_lists(&self) -> bool {
        self.orders.is_complete()
    }

    /// Completes a copy of a frozen view for those who ask it for lists of orders, totals of periods or
    /// volumes: see [`State::has_order_lists`]. Volumes need a view with counts. O(orders and members).
    ///
    /// # Errors
    /// What is wrong with the orders.
    pub fn complete_order_lists(&mut self) -> Result<(), String> {
        if self.has_order_lists() {
            return Ok(());
        }
        self.orders.index_lists();
        self.complete_orders()
    }

    /// Books all orders of a state that has none of their volumes yet. O(orders).
    pub(in crate::core) fn rebook(&mut self, replaced: &mut Freeing) {
        let periods = self.orders.periods().counts();
        for (calendar, periods) in (0..).zip(periods) {
            (0..periods).for_each(|period| self.open_live(PeriodRef { calendar, period }, replaced));
        }
        self.orders.book_all();
        self.add_up_volumes();
    }

    /// Adds up the volumes of uplines from the members' own: after a tree was counted from scratch.
    /// O(members).
    pub(in crate::core) fn add_up_volumes(&mut self) {
        let Self { network, orders, .. } = self;
        if !orders.live().is_empty() {
            orders.live_mut().rebuild(&network.volume_trees());
        }
    }

    /// Lets volumes follow the tours after a member joined.
    pub(in crate::core) fn follow_tours(&mut self) {
        let Self { network, orders, .. } = self;
        for tree in [Tree::Sponsor, Tree::Placement] {
            let split = network.take_split(tree);
            if let Some(split) = split.filter(|_| !orders.live().is_empty()) {
                orders.live_mut().follow(&network.volume_trees(), tree, &split);
            }
        }
    }
}
