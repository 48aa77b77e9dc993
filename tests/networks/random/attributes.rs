//! Random attributes of members.

use upline::core::{
    command::{AttributeChange, SetAttributes},
    types::Timestamp,
};

use super::StepMaker;

impl StepMaker {
    /// Few members, so that values follow one another.
    pub(super) fn attributes(&mut self) -> SetAttributes {
        let first = self.ids.first().copied().filter(|_| self.chance.percent(50));
        let member = first.unwrap_or_else(|| self.somebody());
        let mut changes: Vec<AttributeChange> = Vec::new();
        for _ in 0..self.chance.between(1, 3) {
            changes.push(self.attribute());
        }
        // Mostly each attribute once.
        if self.chance.percent(95) {
            changes.sort_by_key(AttributeChange::attribute);
            changes.dedup_by_key(|change| change.attribute());
        }
        let effective = if self.chance.percent(40) { self.order_time() } else { None };
        SetAttributes { member, changes, effective }
    }

    fn attribute(&mut self) -> AttributeChange {
        let (markets, tags) = (self.plan.commerce.markets.len(), self.plan.commerce.member_tags.len());
        let has_owners = self.plan.commerce.has_owners || self.chance.percent(5);
        match self.chance.below(3) {
            0 if markets != 0 => AttributeChange::Market(self.position(markets, 20)),
            1 if has_owners => {
                AttributeChange::Owner(if self.chance.percent(75) { Some(self.somebody()) } else { None })
            }
            _ => {
                let tag = self.position(tags, 0).unwrap_or(0);
                let set = self.chance.percent(70);
                let bounds = [set, set].map(|set| {
                    let is_bound = self.chance.percent(if set { 40 } else { 2 });
                    is_bound.then(|| Timestamp(self.chance.below(6) as i64))
                });
                AttributeChange::Tag { tag, from: bounds[0], until: bounds[1], set }
            }
        }
    }
}
