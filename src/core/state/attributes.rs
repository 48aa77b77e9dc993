//! Attributes of members: market, owner and tags, as the plan declares them.

use crate::core::{
    orders::attributes::{AttributeRow, AttributeValue},
    requests::command::{AttributeChange, Outcome, Rejection, SetAttributes},
    state::{
        parts::State,
        prepare::Aside,
        rules::{FormatRules, Rules, kinds},
    },
    words::{
        directory::Directory,
        types::{MemberIx, Timestamp},
    },
};

/// What judging found: the values that change something.
pub(in crate::core) struct NewValues {
    member: MemberIx,
    values: Vec<AttributeValue>,
    effective: Timestamp,
}

impl Rules for kinds::SetAttributes {
    type Content<'a> = &'a SetAttributes;
    type Found = NewValues;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        change: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.judge_attributes(directory, change)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        _change: Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.set_attributes(&found)
    }
}

impl State {
    fn judge_attributes<D: Directory>(
        &self,
        directory: &D,
        change: &SetAttributes,
    ) -> Result<NewValues, Rejection> {
        let member = self.find(directory, &change.member).ok_or(Rejection::MemberUnknown)?;
        if !change.is_well_formed() {
            return Err(Rejection::AttributeMalformed);
        }
        if change.effective.is_some_and(|at| !self.orders.periods().is_correctable(at)) {
            return Err(Rejection::AttributePeriodLocked);
        }
        let effective = change.effective.unwrap_or(self.scalars.time);
        let attributes = self.orders.attributes();
        let holding = attributes.of(member, effective);
        let mut values = Vec::new();
        for change in &change.changes {
            let value = self.judge_attribute(directory, member, change)?;
            let holds = holding.iter().find(|held| held.attribute() == value.attribute());
            if value != holds.copied().unwrap_or(AttributeValue::initial(value.attribute())) {
                values.push(value);
            }
        }
        let has_room = attributes.has_room(member, values.len());
        if has_room { Ok(NewValues { member, values, effective }) } else { Err(Rejection::AttributesFull) }
    }

    fn judge_attribute<D: Directory>(
        &self,
        directory: &D,
        member: MemberIx,
        change: &AttributeChange,
    ) -> Result<AttributeValue, Rejection> {
        let commerce = &self.plan().commerce;
        match *change {
            AttributeChange::Market(_) if commerce.markets.is_empty() => Err(Rejection::AttributeUnknown),
            AttributeChange::Market(Some(market)) if commerce.markets.len() <= usize::from(market) => {
                Err(Rejection::MarketUnknown)
            }
            AttributeChange::Market(market) => Ok(AttributeValue::Market(market)),
            AttributeChange::Owner(_) if !commerce.has_owners => Err(Rejection::AttributeUnknown),
            AttributeChange::Owner(None) => Ok(AttributeValue::Owner(None)),
            AttributeChange::Owner(Some(owner)) => {
                let owner = self.find(directory, &owner).ok_or(Rejection::OwnerUnknown)?;
                Ok(AttributeValue::Owner((owner != member).then_some(owner)))
            }
            AttributeChange::Tag { tag, .. } if commerce.member_tags.len() <= usize::from(tag) => {
                Err(Rejection::AttributeUnknown)
            }
            AttributeChange::Tag { tag, from, until, set } => {
                Ok(AttributeValue::Tag(tag, set.then_some([from, until])))
            }
        }
    }

    fn set_attributes(&mut self, found: &NewValues) -> Outcome {
        let NewValues { member, values, effective } = found;
        for value in values {
            let row = AttributeRow::new(*member, *value, *effective, self.scalars.lsn);
            self.orders.attributes_mut().push(row);
        }
        Outcome::AttributesSet { member: *member, changed: !values.is_empty() }
    }
}
