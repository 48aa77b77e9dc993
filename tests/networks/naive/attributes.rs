//! Attributes of members. What holds is found by setting everything again, in the order of time.

use std::collections::BTreeMap;

use upline::core::{
    command::{AttributeChange, Outcome, Rejection, SetAttributes},
    types::Timestamp,
};

use super::{Naive, index};
use crate::networks::picture::AttributesPicture;

/// Everything that was ever set to what it was not.
#[derive(Default)]
pub(super) struct Attributes {
    settings: Vec<Setting>,
}

struct Setting {
    member: usize,
    since: Timestamp,
    change: AttributeChange,
}

impl Naive {
    pub(super) fn has_attributes(&self) -> bool {
        !self.attributes.settings.is_empty()
    }

    pub(super) fn set_attributes(&mut self, set: &SetAttributes) -> Result<Outcome, Rejection> {
        let member = self.find(&set.member)?;
        let kinds: Vec<(u8, u16)> = set.changes.iter().map(kind).collect();
        let is_twice = (1..kinds.len()).any(|at| kinds[..at].contains(&kinds[at]));
        let never = |change: &AttributeChange| match *change {
            AttributeChange::Tag { from, until, set: false, .. } => from.is_some() || until.is_some(),
            AttributeChange::Tag { from: Some(from), until: Some(until), .. } => until <= from,
            _ => false,
        };
        if 64 < kinds.len() || is_twice || set.changes.iter().any(never) {
            return Err(Rejection::AttributeMalformed);
        }
        if set.effective.is_some_and(|at| !self.is_correctable(at)) {
            return Err(Rejection::AttributePeriodLocked);
        }
        let plan = &self.plan.commerce;
        for change in &set.changes {
            match *change {
                AttributeChange::Market(None) if plan.markets.is_empty() => {
                    return Err(Rejection::AttributeUnknown);
                }
                AttributeChange::Market(None) => {}
                AttributeChange::Market(Some(market)) => {
                    if plan.markets.is_empty() {
                        return Err(Rejection::AttributeUnknown);
                    }
                    plan.markets.get(usize::from(market)).ok_or(Rejection::MarketUnknown)?;
                }
                AttributeChange::Owner(_) if !plan.has_owners => return Err(Rejection::AttributeUnknown),
                AttributeChange::Owner(owner) => {
                    let known = owner.is_none_or(|owner| self.find(&owner).is_ok());
                    known.then_some(()).ok_or(Rejection::OwnerUnknown)?;
                }
                AttributeChange::Tag { tag, .. } => {
                    plan.member_tags.get(usize::from(tag)).ok_or(Rejection::AttributeUnknown)?;
                }
            }
        }
        let since = set.effective.unwrap_or(self.time);
        let before = self.attributes_at(member, since);
        for change in &set.changes {
            let now = self.attributes_at(member, since);
            self.attributes.settings.push(Setting { member, since, change: *change });
            if self.attributes_at(member, since) == now {
                self.attributes.settings.pop();
            }
        }
        let changed = self.attributes_at(member, since) != before;
        Ok(Outcome::AttributesSet { member: index(member), changed })
    }

    fn attributes_at(&self, member: usize, at: Timestamp) -> AttributesPicture {
        let settings = self.attributes.settings.iter();
        let mut settings: Vec<&Setting> =
            settings.filter(|set| set.member == member && set.since <= at).collect();
        // Of one time, the later command is set later.
        settings.sort_by_key(|set| set.since);
        let mut picture = AttributesPicture { market: None, owner: index(member), tags: BTreeMap::new() };
        for Setting { change, .. } in settings {
            match *change {
                AttributeChange::Market(market) => picture.market = market,
                AttributeChange::Owner(owner) => {
                    let owner = owner.map_or(member, |owner| self.find(&owner).expect("it was found"));
                    picture.owner = index(owner);
                }
                AttributeChange::Tag { tag, from, until, set: true } => {
                    picture.tags.insert(tag, (from, until));
                }
                AttributeChange::Tag { tag, .. } => _ = picture.tags.remove(&tag),
            }
        }
        picture
    }

    /// Those of a member at the log time, and where periods end.
    pub(super) fn attribute_pictures(&self, member: usize) -> Vec<(Timestamp, AttributesPicture)> {
        if !self.has_attributes() {
            return Vec::new();
        }
        let instants = std::iter::once(self.time).chain(self.boundaries());
        instants.map(|at| (at, self.attributes_at(member, at))).collect()
    }
}

fn kind(change: &AttributeChange) -> (u8, u16) {
    match change {
        AttributeChange::Market(_) => (0, 0),
        AttributeChange::Owner(_) => (1, 0),
        AttributeChange::Tag { tag, .. } => (2, *tag),
    }
}
