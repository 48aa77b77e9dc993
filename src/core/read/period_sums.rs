//! What a member and those below it have sold in a period whose volumes are not kept live: added up from the
//! orders that are booked in it, and from the corrections in it.
//!
//! The walk is counted in steps. The sums are those of the state in which it was begun: orders and refunds
//! that come later are left out, and members never move. What may change meanwhile is how a refund acts, when
//! a period is unlocked or posted, and which trees are counted: [`State::period_sums_step`] notices it, and
//! the walk is begun again.

use std::collections::HashMap;

use crate::core::{
    orders::{
        placed::NO_ORDER,
        refund_bookings::RefundState,
        shares::{less, shares_of},
        totals::VALUES_MAX,
    },
    read::orders::{LiveAlong, LiveSums},
    requests::command::PeriodRef,
    state::parts::State,
    words::types::{LEVELS_MAX, MemberIx, Tree},
};

/// Looking at a booking or at a refund, in steps.
const LOOK_STEPS: usize = 4;
/// Asking whether a member is below another, in steps.
const BELOW_STEPS: usize = 4;
/// Levels that are climbed to find the leg of a member; where it is deeper, each leg is asked.
const CLIMB_MAX: u32 = 64;

/// Sums of a member in a period, as far as they are added up.
#[derive(Clone, Debug)]
pub struct PeriodSums {
    member: MemberIx,
    period: PeriodRef,
    levels: u32,
    /// Positions of the legs.
    legs: HashMap<MemberIx, usize>,
    /// The next booking, newest first.
    booking: Option<u32>,
    /// The next refund, oldest first, and the end of those that had come.
    refund: u32,
    refunds: u32,
    /// Steps of periods that had been taken, and the plan, which says which trees are counted.
    begun_with: (usize, u32),
    /// With the number of each value.
    values: Vec<(u8, SummedValue)>,
    /// Work so far, in steps.
    pub looked: u64,
}

/// The sums of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SummedValue {
    /// As those that are kept live.
    pub sums: LiveSums,
    /// The groups of the legs, in the order in which they were named.
    pub legs: Vec<i64>,
}

/// Refunds may have changed how they act while the sums were added up, or trees are counted that were not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeriodChanged;

impl PeriodSums {
    /// Whether all was added.
    pub fn is_over(&self) -> bool {
        self.booking.is_none() && self.refund == self.refunds
    }

    /// The sums of a value, by its number.
    pub fn of(&self, value: u8) -> Option<&SummedValue> {
        self.values.iter().find(|(number, _)| *number == value).map(|(_, summed)| summed)
    }

    /// Adds the share of a member that is in the group.
    fn add(&mut self, place: &Place, share: &[i64]) {
        for (number, summed) in &mut self.values {
            // Values that came with a later plan are not in older orders.
            let units = share.get(usize::from(*number)).copied().unwrap_or(0);
            summed.add(place, units);
        }
    }
}

impl SummedValue {
    fn add(&mut self, place: &Place, units: i64) {
        if place.is_top {
            self.sums.own += units;
        }
        for (along, depth) in self.sums.along.iter_mut().zip(place.depths) {
            let (Some(along), Some(depth)) = (along, depth) else { continue };
            along.group += units;
            if let Some(level) = depth.checked_sub(1)
                && level < place.levels
            {
                along.levels[level as usize] += units;
            }
        }
        if let Some(leg) = place.leg {
            self.legs[leg] += units;
        }
    }
}

/// Where a member stands below the one whose sums are added up.
struct Place {
    is_top: bool,
    /// Levels below it, along each tree by its number; `None` where it is not below it, and where the tree is
    /// not counted.
    depths: [Option<u32>; 2],
    levels: u32,
    leg: Option<usize>,
}

impl State {
    /// Begins to add up what a member and its groups have in a period: of these values, by their numbers, as
    /// many levels as the period keeps, and the groups of some of its children in the placement tree. `None`
    /// where there is no such period. The result needs [`State::period_sums_step`] until it is over.
    pub fn period_sums(
        &self,
        member: MemberIx,
        period: PeriodRef,
        values: &[u8],
        legs: &[MemberIx],
    ) -> Option<PeriodSums> {
        let row = self.period(period)?;
        let nothing = LiveAlong { group: 0, levels: [0; LEVELS_MAX] };
        let along = [Tree::Sponsor, Tree::Placement].map(|tree| self.network.tree(tree).is_counted());
        let sums = LiveSums { own: 0, along: along.map(|is_counted| is_counted.then_some(nothing)) };
        let summed = SummedValue { sums, legs: vec![0; legs.len()] };
        let newest = self.orders.newest_booking(period);
        Some(PeriodSums {
            member,
            period,
            levels: row.live_levels.into(),
            legs: legs.iter().enumerate().map(|(at, leg)| (*leg, at)).collect(),
            booking: Some(newest).filter(|newest| *newest != NO_ORDER),
            refund: 0,
            refunds: self.refunds_len(),
            begun_with: self.acts_since(),
            values: values
                .iter()
                .filter(|value| usize::from(**value) < VALUES_MAX)
                .map(|value| (*value, summed.clone()))
                .collect(),
            looked: 0,
        })
    }

    /// What changes whenever sums that were begun before can no longer be completed.
    fn acts_since(&self) -> (usize, u32) {
        (self.orders.steps().list().len(), self.plan_version())
    }

    /// Adds up some more, in about so many steps.
    ///
    /// # Errors
    /// [`PeriodChanged`]: begin again.
    pub fn period_sums_step(&self, sums: &mut PeriodSums, steps: usize) -> Result<(), PeriodChanged> {
        if sums.begun_with != self.acts_since() {
            return Err(PeriodChanged);
        }
        let mut done = 0;
        while done < steps
            && let Some(booked) = sums.booking.and_then(|booking| self.orders.booking(booking))
        {
            sums.booking = Some(booked.before).filter(|before| *before != NO_ORDER);
            done += LOOK_STEPS + self.add_order(sums, booked.order);
        }
        while done < steps && sums.booking.is_none() && sums.refund < sums.refunds {
            let refund = sums.refund;
            sums.refund += 1;
            done += LOOK_STEPS + self.add_correction(sums, refund);
        }
        sums.looked += done as u64;
        Ok(())
    }

    /// Adds what is left of an order in its period. Returns the work that it was, in steps.
    fn add_order(&self, sums: &mut PeriodSums, order: u32) -> usize {
        let (places, work) = self.places(sums, order);
        if places.iter().all(Option::is_none) {
            return work;
        }
        let (orders, before, calendar) = (&self.orders, sums.refunds, sums.period.calendar);
        let lowers = |refund| {
            let acts = || {
                orders
                    .refund_states(refund)
                    .any(|(period, state)| period.calendar == calendar && state == RefundState::Lowered)
            };
            refund < before && acts()
        };
        let left = orders.values_left(order, &orders.refunded(order, lowers));
        let shares = shares_of(&left, &self.parts(order));
        for (place, share) in places.iter().zip(&shares) {
            if let Some(place) = place {
                sums.add(place, share);
            }
        }
        work + self.work_of(order)
    }

    /// Takes off what a refund of an order of an earlier period corrects in this one, if it does. Returns the
    /// work that it was, in steps.
    fn add_correction(&self, sums: &mut PeriodSums, refund: u32) -> usize {
        let orders = &self.orders;
        let here = (sums.period, RefundState::LowersLater);
        if !orders.refund_states(refund).any(|act| act == here) {
            return 0;
        }
        let order = orders.refund(refund).order;
        let (places, work) = self.places(sums, order);
        if places.iter().all(Option::is_none) {
            return work;
        }
        let parts = self.parts(order);
        let before = orders.values_left(order, &orders.refunded(order, |other| other < refund));
        let after = orders.values_left(order, &orders.refunded(order, |other| other <= refund));
        let (before, after) = (shares_of(&before, &parts), shares_of(&after, &parts));
        for ((place, before), after) in places.iter().zip(&before).zip(&after) {
            if let Some(place) = place {
                sums.add(place, &less(before, after));
            }
        }
        work + 2 * self.work_of(order)
    }

    /// Computing what is left of an order, in steps.
    fn work_of(&self, order: u32) -> usize {
        let lines = usize::from(self.orders.order(order).lines);
        (lines + 1) * (1 + self.orders.refunds_of(order).count())
    }

    fn parts(&self, order: u32) -> Vec<u32> {
        self.orders.credits_of(order).map(|credit| credit.part).collect()
    }

    /// Where those to whom an order is credited stand, `None` for those outside of the group; and the work
    /// that it was to find out, in steps.
    fn places(&self, sums: &PeriodSums, order: u32) -> (Vec<Option<Place>>, usize) {
        let mut work = 0;
        let mut place = |member: MemberIx| {
            work += BELOW_STEPS;
            // A downline in the sponsor tree is in that of the placement tree.
            if !self.is_in_team(sums.member, member) {
                return None;
            }
            let depth = |tree: Tree| {
                let tree = self.network.tree(tree);
                let level = |member| tree.link(member).level;
                let is_below = tree.is_counted() && tree.contains(sums.member, member) == Some(true);
                is_below.then(|| level(member) - level(sums.member))
            };
            let depths = [Tree::Sponsor, Tree::Placement].map(depth);
            let (leg, climbed) = self.leg(sums, member, depths[Tree::Placement as usize]);
            work += 2 * BELOW_STEPS + climbed;
            Some(Place { is_top: member == sums.member, depths, levels: sums.levels, leg })
        };
        let places = self.orders.credits_of(order).map(|credit| place(MemberIx(credit.member))).collect();
        (places, work)
    }

    /// The leg in which a member stands so many levels below the top, and the work that it was to find it.
    fn leg(&self, sums: &PeriodSums, member: MemberIx, depth: Option<u32>) -> (Option<usize>, usize) {
        let Some(above) = depth.and_then(|depth| depth.checked_sub(1)).filter(|_| !sums.legs.is_empty())
        else {
            return (None, 0);
        };
        let tree = self.network.placement();
        if above <= CLIMB_MAX {
            let mut at = member;
            for _ in 0..above {
                at = MemberIx(tree.link(at).parent);
            }
            return (sums.legs.get(&at).copied(), above as usize);
        }
        let found = sums.legs.iter().find(|(leg, _)| tree.contains(**leg, member) == Some(true));
        (found.map(|(_, at)| *at), BELOW_STEPS * sums.legs.len())
    }
}
