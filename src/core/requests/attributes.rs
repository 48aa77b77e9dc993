//! What a command about the attributes of a member contains.

use crate::core::words::types::{MemberId, Timestamp};

/// Attributes that one command can set.
pub const ATTRIBUTE_CHANGES_MAX: usize = 64;

/// Sets attributes of a member. Names of the plan are their positions in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAttributes {
    pub member: MemberId,
    /// At most [`ATTRIBUTE_CHANGES_MAX`], each attribute once.
    pub changes: Vec<AttributeChange>,
    /// Since when they hold: a correction, which must lie in a period that is not locked. `None` for the time
    /// of the command.
    pub effective: Option<Timestamp>,
}

/// What an attribute is set to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttributeChange {
    /// The position of a market; `None` for none.
    Market(Option<u16>),
    /// The member to whom the position belongs; `None` for the member itself.
    Owner(Option<MemberId>),
    /// A tag, by its position, which is given or taken away. `from` and `until` are of one that is given:
    /// from when it holds, and the first instant at which it no longer does; `None` for no bound.
    Tag { tag: u16, from: Option<Timestamp>, until: Option<Timestamp>, set: bool },
}

/// An attribute that a member can have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Attribute {
    Market,
    Owner,
    /// A tag, by its position in the plan.
    Tag(u16),
}

impl AttributeChange {
    /// The attribute that is set.
    pub fn attribute(&self) -> Attribute {
        match self {
            Self::Market(_) => Attribute::Market,
            Self::Owner(_) => Attribute::Owner,
            Self::Tag { tag, .. } => Attribute::Tag(*tag),
        }
    }

    /// Whether a tag holds for some time, and has bounds only if it is given.
    fn is_well_formed(&self) -> bool {
        match *self {
            Self::Market(_) | Self::Owner(_) => true,
            Self::Tag { from: Some(from), until: Some(until), set, .. } => set && from < until,
            Self::Tag { from, until, set, .. } => set || from.or(until).is_none(),
        }
    }
}

impl SetAttributes {
    /// Whether the shape is one that can be judged: not too many changes, each attribute once.
    pub fn is_well_formed(&self) -> bool {
        let changes = &self.changes;
        let repeats = |(at, change): (usize, &AttributeChange)| {
            changes[..at].iter().any(|earlier| earlier.attribute() == change.attribute())
        };
        changes.len() <= ATTRIBUTE_CHANGES_MAX
            && changes.iter().all(AttributeChange::is_well_formed)
            && !changes.iter().enumerate().any(repeats)
    }
}
