//! Queries about the attributes of members.

use crate::core::{
    orders::attributes::AttributeValue,
    state::parts::State,
    words::types::{MemberIx, Timestamp},
};

/// The attributes of a member at an instant. Names of the plan are their positions in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberAttributes {
    pub market: Option<u16>,
    /// The member to whom the position belongs: often the member itself.
    pub owner: MemberIx,
    /// The tags that were given and not taken away, by position.
    pub tags: Vec<MemberTag>,
}

/// A tag of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberTag {
    pub tag: u16,
    /// From when it holds; `None` for no bound.
    pub from: Option<Timestamp>,
    /// The first instant at which it no longer holds; `None` for no bound.
    pub until: Option<Timestamp>,
}

impl MemberTag {
    /// Whether it holds at an instant.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

impl State {
    /// Whether any attribute was ever set.
    pub fn has_attributes(&self) -> bool {
        !self.orders.attributes().is_empty()
    }

    /// The attributes of a member, at the log time or at another instant, as far as they are known by now.
    /// O(values that the member's attributes ever had).
    pub fn attributes(&self, member: MemberIx, at: Option<Timestamp>) -> MemberAttributes {
        let mut attributes = MemberAttributes { market: None, owner: member, tags: Vec::new() };
        for value in self.orders.attributes().of(member, at.unwrap_or(self.scalars.time)) {
            match value {
                AttributeValue::Market(market) => attributes.market = market,
                AttributeValue::Owner(owner) => attributes.owner = owner.unwrap_or(member),
                AttributeValue::Tag(tag, Some([from, until])) => {
                    attributes.tags.push(MemberTag { tag, from, until });
                }
                AttributeValue::Tag(_, None) => {}
            }
        }
        attributes
    }
}
