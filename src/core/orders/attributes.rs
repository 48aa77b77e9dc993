//! The values that members' attributes were set to. None is ever changed: of several values of an attribute,
//! that with the greatest time of effect, and LSN, at or before an instant holds at it. What is set to the
//! value that it has at the time of effect leaves no row.

use bytemuck::{Pod, Zeroable};

use crate::core::{
    plan::commerce::{Commerce, MARKETS_MAX, MEMBER_TAGS_MAX},
    requests::attributes::Attribute,
    store::{
        column::freeze_fields,
        pace::Pace,
        rows::{Rows, SoFar, require},
        settled::Settled,
        sparse::Sparse,
    },
    words::types::{MemberIx, NONE, Timestamp},
};

/// Values of attributes that a network can have, past ones included.
pub const ATTRIBUTE_VALUES_MAX: usize = 1 << 31;
/// Values that a member's attributes can have had. Setting and reading attributes looks through them.
pub const MEMBER_VALUES_MAX: usize = 1 << 14;

/// The time of a bound that is not there.
const NO_FROM: Timestamp = Timestamp(i64::MIN);
const NO_UNTIL: Timestamp = Timestamp(i64::MAX);
/// Code of [`Attribute::Market`].
const MARKET: u8 = 1;
/// Code of [`Attribute::Owner`].
const OWNER: u8 = 2;
/// Code of [`Attribute::Tag`].
const TAG: u8 = 3;

/// A value that an attribute of a member was set to. Ascending by command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttributeRow {
    pub member: u32,
    /// Code of the attribute: market, owner or tag.
    pub kind: u8,
    /// The position of the tag; 0 otherwise.
    pub number: u16,
    /// The position of the market, or the member that is the owner: [`NONE`] for none. Of a tag: 1, or 0 if
    /// it was taken away.
    pub value: u32,
    /// From when a tag holds, and when it ends: the least and the greatest number for no bound.
    pub from: Timestamp,
    pub until: Timestamp,
    /// Since when the value holds.
    pub effective: Timestamp,
    /// The command that set it.
    pub lsn: u64,
}

/// What an attribute is set to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttributeValue {
    /// The position of a market.
    Market(Option<u16>),
    /// `None` for the member itself.
    Owner(Option<MemberIx>),
    /// From when the tag holds, and when it ends; `None` in place of both if the member does not have it.
    Tag(u16, Option<[Option<Timestamp>; 2]>),
}

impl AttributeValue {
    /// That of an attribute which was never set.
    pub fn initial(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Market => Self::Market(None),
            Attribute::Owner => Self::Owner(None),
            Attribute::Tag(tag) => Self::Tag(tag, None),
        }
    }

    /// The attribute whose value it is.
    pub fn attribute(self) -> Attribute {
        match self {
            Self::Market(_) => Attribute::Market,
            Self::Owner(_) => Attribute::Owner,
            Self::Tag(tag, _) => Attribute::Tag(tag),
        }
    }
}

impl AttributeRow {
    /// The row of a value.
    pub fn new(member: MemberIx, value: AttributeValue, effective: Timestamp, lsn: u64) -> Self {
        let unbounded = [NO_FROM, NO_UNTIL];
        let (kind, number, value, [from, until]) = match value {
            AttributeValue::Market(market) => (MARKET, 0, market.map_or(NONE, u32::from), unbounded),
            AttributeValue::Owner(owner) => (OWNER, 0, MemberIx::to_column(owner), unbounded),
            AttributeValue::Tag(tag, None) => (TAG, tag, 0, unbounded),
            AttributeValue::Tag(tag, Some([from, until])) => {
                (TAG, tag, 1, [from.unwrap_or(NO_FROM), until.unwrap_or(NO_UNTIL)])
            }
        };
        Self { member: member.0, kind, number, value, from, until, effective, lsn }
    }

    /// The value; `None` if it is none.
    fn value(&self) -> Option<AttributeValue> {
        let Self { kind, number, value, from, until, .. } = *self;
        let bounds = [(from, NO_FROM), (until, NO_UNTIL)];
        let bounds = bounds.map(|(bound, none)| (bound != none).then_some(bound));
        let is_plain = number == 0 && bounds == [None; 2];
        match (kind, value) {
            (MARKET, NONE) if is_plain => Some(AttributeValue::Market(None)),
            (MARKET, market) if is_plain && (market as usize) < MARKETS_MAX => {
                u16::try_from(market).ok().map(Some).map(AttributeValue::Market)
            }
            (OWNER, owner) if is_plain => Some(AttributeValue::Owner(MemberIx::from_column(owner))),
            (TAG, 0) if bounds == [None; 2] => Some(AttributeValue::Tag(number, None)),
            (TAG, 1) => Some(AttributeValue::Tag(number, Some(bounds))),
            _ => None,
        }
    }
}

/// A row with the one of the same member before it.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
struct Kept {
    member: u32,
    /// The code of the attribute, and the number above it.
    attribute: u32,
    value: u32,
    /// The place of the row before, plus one; 0 for none.
    before: u32,
    /// How many rows the member had with it.
    count: u64,
    from: Timestamp,
    until: Timestamp,
    effective: Timestamp,
    lsn: u64,
}

impl Kept {
    fn row(&self) -> AttributeRow {
        let [kind, low, high, _] = self.attribute.to_le_bytes();
        AttributeRow {
            member: self.member,
            kind,
            number: u16::from_le_bytes([low, high]),
            value: self.value,
            from: self.from,
            until: self.until,
            effective: self.effective,
            lsn: self.lsn,
        }
    }
}

pub(crate) struct Attributes {
    rows: Settled<Kept>,
    /// The place of the newest row of each member, plus one.
    newest: Sparse<u32>,
}

freeze_fields!(Attributes { rows } derived { newest });

impl Rows for Attributes {
    type Row = AttributeRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> AttributeRow {
        self.rows.get(at).row()
    }

    fn restore(&mut self, row: AttributeRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("attribute of member {}: {what}", row.member);
        require(row.member < so_far.members, || wrong("no such member"))?;
        let value = row.value().ok_or_else(|| wrong("an unknown attribute or an impossible value"))?;
        let is_known = match value {
            AttributeValue::Market(_) => true,
            AttributeValue::Owner(owner) => owner.is_none_or(|owner| owner.0 < so_far.members),
            AttributeValue::Tag(tag, _) => usize::from(tag) < MEMBER_TAGS_MAX,
        };
        require(is_known, || wrong("no such owner or tag"))?;
        require(row.from < row.until, || wrong("a tag that ends before it begins"))?;
        let before = self.rows.len().checked_sub(1).map_or(0, |last| self.rows.get(last).lsn);
        let is_next = before.max(1) <= row.lsn && row.lsn <= so_far.lsn;
        require(is_next, || wrong("set by no command so far, or out of order"))?;
        require(self.has_room(MemberIx(row.member), 1), || wrong("one too many"))?;
        self.push(row);
        Ok(())
    }
}

impl Attributes {
    pub fn new() -> Self {
        Self { rows: Settled::new(), newest: Sparse::new() }
    }

    fn index_derived(&mut self) {
        self.newest = Sparse::new();
        for (row, place) in self.rows.iter().zip(1..) {
            *self.newest.get_mut(row.member as usize) = place;
        }
    }

    /// Whether none was ever set.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// Checks that all values are of what the plan declares, which a plan change never takes away.
    ///
    /// # Errors
    /// The member that has another one.
    pub fn check_names(&self, commerce: &Commerce) -> Result<(), String> {
        let is_known = |value| match value {
            AttributeValue::Market(market) => {
                market.is_none_or(|market| usize::from(market) < commerce.markets.len())
            }
            AttributeValue::Owner(_) => commerce.has_owners,
            AttributeValue::Tag(tag, _) => usize::from(tag) < commerce.member_tags.len(),
        };
        self.rows.iter().map(Kept::row).paced().try_for_each(|row| {
            let is_good = row.value().is_some_and(is_known);
            require(is_good, || format!("attribute of member {}: not declared by the plan", row.member))
        })
    }

    /// Whether so many more values of a member fit.
    pub fn has_room(&self, member: MemberIx, more: usize) -> bool {
        let count = self.newest(member).map_or(0, |newest| newest.count);
        self.rows.len() + more <= ATTRIBUTE_VALUES_MAX && count + more as u64 <= MEMBER_VALUES_MAX as u64
    }

    /// Adds a value of the newest command.
    pub fn push(&mut self, row: AttributeRow) {
        let AttributeRow { member, kind, number, value, from, until, effective, lsn } = row;
        let count = self.newest(MemberIx(member)).map_or(0, |newest| newest.count) + 1;
        let place = u32::try_from(self.rows.len()).expect("limited by ATTRIBUTE_VALUES_MAX");
        let before = std::mem::replace(self.newest.get_mut(member as usize), place + 1);
        let [low, high] = number.to_le_bytes();
        let attribute = u32::from_le_bytes([kind, low, high, 0]);
        self.rows.push(Kept { member, attribute, value, before, count, from, until, effective, lsn });
    }

    fn newest(&self, member: MemberIx) -> Option<&Kept> {
        self.at(self.newest.get(member.at()))
    }

    /// The row at a place plus one; `None` for 0.
    fn at(&self, place: u32) -> Option<&Kept> {
        place.checked_sub(1).map(|place| self.rows.get(place as usize))
    }

    /// The values that hold for a member at an instant, by attribute; those that were never set are not
    /// among them. O(values of the member).
    pub fn of(&self, member: MemberIx, at: Timestamp) -> Vec<AttributeValue> {
        let mut holding: Vec<(Attribute, Timestamp, AttributeValue)> = Vec::new();
        let rows = std::iter::successors(self.newest(member), |kept| self.at(kept.before));
        for row in rows.map(Kept::row).filter(|row| row.effective <= at) {
            let value = row.value().expect("it was one");
            let attribute = value.attribute();
            match holding.iter_mut().find(|(known, ..)| *known == attribute) {
                // The rows come newest first.
                Some((_, effective, _)) if row.effective <= *effective => {}
                Some(known) => *known = (attribute, row.effective, value),
                None => holding.push((attribute, row.effective, value)),
            }
        }
        holding.sort_unstable_by_key(|(attribute, ..)| *attribute);
        holding.into_iter().map(|(_, _, value)| value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: MemberIx = MemberIx(1);

    fn set(attributes: &mut Attributes, lsn: u64, effective: i64, value: AttributeValue) {
        attributes.push(AttributeRow::new(MEMBER, value, Timestamp(effective), lsn));
    }

    #[test]
    fn of_several_values_that_of_the_greatest_time_and_command_holds() {
        let mut attributes = Attributes::new();
        let market = |number| AttributeValue::Market(Some(number));
        let tag = AttributeValue::Tag(3, Some([None, Some(Timestamp(70))]));
        set(&mut attributes, 1, 10, market(1));
        set(&mut attributes, 2, 20, market(2));
        set(&mut attributes, 2, 20, tag);
        // Corrections: between the two, at the first, and in the future.
        set(&mut attributes, 3, 15, market(3));
        set(&mut attributes, 4, 10, market(4));
        set(&mut attributes, 5, 90, AttributeValue::Market(None));
        let at = |at| attributes.of(MEMBER, Timestamp(at));
        assert_eq!(at(9), []);
        assert_eq!((at(10), at(14)), (vec![market(4)], vec![market(4)]));
        assert_eq!((at(15), at(19)), (vec![market(3)], vec![market(3)]));
        assert_eq!((at(20), at(89)), (vec![market(2), tag], vec![market(2), tag]));
        assert_eq!(at(90), [AttributeValue::Market(None), tag]);
        assert_eq!(attributes.of(MemberIx(0), Timestamp(90)), []);
    }

    #[test]
    fn rows_of_an_image_are_checked() {
        let so_far = SoFar { lsn: 9, members: 3, ..SoFar::default() };
        let good = AttributeRow::new(MEMBER, AttributeValue::Owner(Some(MemberIx(2))), Timestamp(7), 4);
        let tag = AttributeRow::new(MEMBER, AttributeValue::Tag(3, Some([None; 2])), Timestamp(7), 4);
        let mut attributes = Attributes::new();
        for row in [good, tag, AttributeRow { lsn: 9, ..good }] {
            assert_eq!(attributes.restore(row, &so_far), Ok(()));
            assert_eq!(attributes.row_at(attributes.count() - 1), row);
        }
        let last = AttributeRow { lsn: 9, ..good };
        let table = [
            ("a member", AttributeRow { member: 3, ..last }),
            ("an owner", AttributeRow { value: 3, ..last }),
            ("a kind", AttributeRow { kind: 4, ..last }),
            ("a market", AttributeRow { kind: MARKET, value: 256, ..last }),
            ("a tag", AttributeRow { number: 64, lsn: 9, ..tag }),
            ("a number of an owner", AttributeRow { number: 1, ..last }),
            ("a bound of an owner", AttributeRow { from: Timestamp(0), ..last }),
            ("bounds", AttributeRow { from: Timestamp(5), until: Timestamp(5), lsn: 9, ..tag }),
            ("a tag that is neither", AttributeRow { value: 2, lsn: 9, ..tag }),
            ("a bound of no tag", AttributeRow { value: 0, from: Timestamp(5), lsn: 9, ..tag }),
            ("a command before the last", AttributeRow { lsn: 8, ..last }),
            ("a command to come", AttributeRow { lsn: 10, ..last }),
        ];
        for (about, row) in table {
            assert!(attributes.restore(row, &so_far).is_err(), "{about}");
        }
    }
}
