//! Checks what follows from orders: the totals of periods, refunds that wait, and live volumes. All of it is
//! added up again from the orders, with what the totals have of sealed ones, and along the parents of each
//! member.

use std::collections::BTreeMap;

use crate::core::{
    orders::{
        live::{LiveVolume, PERIODS_LIVE},
        refund_bookings::RefundState,
        totals::{PeriodTotals, VALUES_MAX},
    },
    requests::command::PeriodRef,
    state::parts::State,
    store::{pace::Pace, parallel::both, sparse::Sparse},
    tree::order::Order,
    words::types::{MemberIx, Tree, index},
};

/// What is wrong, at most `most` findings. A copy of a state has none of what is checked here. O(orders, and
/// members * levels for each live volume that has bookings).
pub(super) fn faults_of_volumes(state: &State, most: usize) -> Vec<String> {
    let mut faults = Faults { list: Vec::new(), most };
    let periods = state.orders.periods().counts();
    let is_copy = state.orders.live().is_empty() && periods.iter().any(|count| *count != 0);
    if !is_copy {
        let recount = Recount::of(state);
        recount.check_periods(state, &mut faults);
        recount.check_live(state, &mut faults);
    }
    faults.list
}

struct Faults {
    list: Vec<String>,
    most: usize,
}

impl Faults {
    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.list.len() < self.most {
            self.list.push(what());
        }
    }

    fn add(&mut self, other: Vec<String>) {
        let room = self.most - self.list.len();
        self.list.extend(other.into_iter().take(room));
    }
}

/// By calendar and number of the period.
type Place = (u8, u32);

/// What the orders come to.
struct Recount {
    totals: BTreeMap<Place, PeriodTotals>,
    waiting: BTreeMap<Place, Vec<u32>>,
    /// The periods whose volumes may be live: by value, what each member booked.
    own: BTreeMap<Place, Vec<Sparse<i64>>>,
}

impl Recount {
    fn of(state: &State) -> Self {
        let (totals, waiting) = (BTreeMap::new(), BTreeMap::new());
        let mut recount = Self { totals, waiting, own: BTreeMap::new() };
        for (calendar, count) in (0..).zip(state.orders.periods().counts()) {
            let newest = (0..count).rev().take(PERIODS_LIVE);
            let own = newest.map(|period| ((calendar, period), vec![]));
            recount.own.extend(own);
        }
        for (period, totals) in state.orders.sealed_totals() {
            recount.totals_of(period).add(&totals);
        }
        recount.add_orders(state);
        recount.add_refunds(state);
        recount
    }

    fn add_orders(&mut self, state: &State) {
        for order in (0..state.orders_len()).paced() {
            for booked in state.orders.booked_values(order) {
                self.totals_of(booked.period).orders += 1;
                self.add(booked.period, &booked.values, &booked.shares);
            }
        }
    }

    fn add_refunds(&mut self, state: &State) {
        for refund in (0..state.orders.refunds_len()).paced() {
            for (period, acts) in state.orders.refund_states(refund) {
                match acts {
                    RefundState::Waiting => self.waiting.entry(place(period)).or_default().push(refund),
                    _ => self.totals_of(period).refunds += 1,
                }
            }
            for booked in state.orders.corrected_values(refund) {
                self.add(booked.period, &booked.values, &booked.shares);
            }
        }
    }

    fn totals_of(&mut self, period: PeriodRef) -> &mut PeriodTotals {
        self.totals.entry(place(period)).or_default()
    }

    fn add(&mut self, period: PeriodRef, values: &[i64], shares: &[(MemberIx, Vec<i64>)]) {
        let sums = &mut self.totals_of(period).sums;
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        let Some(own) = self.own.get_mut(&place(period)) else { return };
        own.resize_with(own.len().max(values.len()), Sparse::new);
        for (member, share) in shares {
            for (own, value) in own.iter_mut().zip(share).filter(|(_, value)| **value != 0) {
                *own.get_mut(member.at()) += value;
            }
        }
    }

    fn check_periods(&self, state: &State, faults: &mut Faults) {
        for (calendar, count) in (0..).zip(state.orders.periods().counts()) {
            for period in (0..count).map(|period| PeriodRef { calendar, period }) {
                let (kept, real) = (state.period_totals(period), self.totals.get(&place(period)));
                let real = real.copied().unwrap_or_default();
                faults.require(kept == real, || format!("totals of {period:?}: {kept:?}, are {real:?}"));
                let (kept, real) = (state.orders.waiting_for(period), self.waiting.get(&place(period)));
                let real = real.map_or(&[][..], Vec::as_slice);
                faults.require(kept == real, || {
                    format!("refunds that wait for {period:?}: {kept:?}, are {real:?}")
                });
            }
        }
    }

    fn check_live(&self, state: &State, faults: &mut Faults) {
        let has_orders = state.orders_len() != 0 || !state.seals().is_empty();
        for ((calendar, period), own) in &self.own {
            let period = PeriodRef { calendar: *calendar, period: *period };
            let row = state.period(period).expect("it was counted");
            for value in 0..u8::try_from(VALUES_MAX).expect("few") {
                let kept = state.orders.live().read(period, value);
                let is_live = row.live >> value & 1 != 0 && !state.orders.has_sealed(period);
                faults.require(kept.is_some() == is_live, || {
                    format!("value {value} of {period:?} should be live: {is_live}")
                });
                let Some(kept) = kept.filter(|_| has_orders) else { continue };
                let nothing = Sparse::new();
                let own = own.get(usize::from(value)).unwrap_or(&nothing);
                let volume = Volume { state, kept, own, levels: row.live_levels.into(), most: faults.most };
                let found = volume.faults();
                faults.add(
                    found.into_iter().map(|fault| format!("value {value} of {period:?}: {fault}")).collect(),
                );
            }
        }
    }
}

fn place(period: PeriodRef) -> Place {
    (period.calendar, period.period)
}

/// A live volume, and what each member booked.
struct Volume<'s> {
    state: &'s State,
    kept: LiveVolume<'s>,
    own: &'s Sparse<i64>,
    levels: usize,
    most: usize,
}

impl Volume<'_> {
    fn faults(&self) -> Vec<String> {
        let mut faults = Faults { list: Vec::new(), most: self.most };
        for member in self.members() {
            let (kept, real) = (self.kept.own(member), self.own.get(member.at()));
            faults.require(kept == real, || format!("own of {member:?}: {kept}, is {real}"));
        }
        let (one, other) = both(|| self.along(Tree::Sponsor), || self.along(Tree::Placement));
        faults.add(one);
        faults.add(other);
        faults.list
    }

    fn members(&self) -> impl Iterator<Item = MemberIx> + use<> {
        (0..self.state.len() as usize).map(index).paced()
    }

    /// Groups and levels in one of the trees. A tree that is not counted has none.
    fn along(&self, name: Tree) -> Vec<String> {
        let mut faults = Faults { list: Vec::new(), most: self.most };
        let (links, trees) = (self.state.tree(name), self.state.network.volume_trees());
        let is_kept = self.state.network.kept_tree(name) == name && links.is_counted();
        let members = self.state.len() as usize;
        let order = Order::walked(&links.links);
        let Some(order) = order.ok().filter(|_| is_kept && members != 0) else { return faults.list };
        let parent_of = |member: MemberIx| MemberIx::from_column(links.link(member).parent);
        let own = || (0..members).map(|member| self.own.get(member)).collect::<Vec<i64>>();
        let mut groups = own();
        for member in order.children_first() {
            if let Some(parent) = parent_of(member) {
                groups[parent.at()] += groups[member.at()];
            }
        }
        for member in self.members() {
            let (kept, real) = (self.kept.group(&trees, name, member), groups[member.at()]);
            faults
                .require(kept == Some(real), || format!("{name:?} group of {member:?}: {kept:?}, is {real}"));
        }
        drop(groups);
        // What those so many levels below a member booked is what those one level less below its children
        // did.
        let mut below = own();
        for level in 0..self.levels {
            let mut sums = vec![0; members];
            for member in self.members() {
                if let Some(parent) = parent_of(member) {
                    sums[parent.at()] += below[member.at()];
                }
            }
            for member in self.members() {
                let kept = self.kept.levels(&trees, name, member).map(|levels| levels[level]);
                let real = sums[member.at()];
                faults.require(kept == Some(real), || {
                    format!("level {} of the {name:?} tree below {member:?}: {kept:?}, is {real}", level + 1)
                });
            }
            below = sums;
        }
        faults.list
    }
}
