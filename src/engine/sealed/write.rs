//! Writes the files of a seal and of a boundary, from the states that they show: for a seal, and once more
//! where a repair makes lost files again.

use std::{path::Path, sync::Arc};

use super::convert;
use crate::{
    core::{
        command::{PeriodRef, RecallOrder},
        state::State,
        types::{MemberIx, Timestamp},
    },
    durability::{
        Error as DurabilityError,
        sealed::{
            Basis, CompleteSeal, Layout, Writer,
            network::{self, Boundary, BoundaryMember, BoundaryTag, CompleteBoundary},
        },
        storage::Storage,
    },
};

/// Writes the files of the next seal of a state, in a layout. `earlier` gives the seal that has an order
/// already.
///
/// # Errors
/// Those of the files, and of `earlier`.
pub(in crate::engine) fn complete_seal(
    storage: &Arc<dyn Storage>,
    root: &Path,
    view: &State,
    layout: Layout,
    earlier: &mut dyn FnMut(&RecallOrder) -> Result<Option<u32>, DurabilityError>,
) -> Result<CompleteSeal, DurabilityError> {
    let number = u32::try_from(view.seals().len()).expect("at most one for each period");
    let mut writer = Writer::begin(storage, root, number, convert::schema(view), layout)?;
    // What was placed later is in no file yet.
    let sealed_up_to = sealed_up_to(view);
    for number in view.sealable() {
        let order = view.order_in_files(number);
        let supersedes = if order.lsn <= sealed_up_to { earlier(&order)? } else { None };
        writer.add(&convert::to_files(view, &order, supersedes))?;
    }
    let previous = view.seals().last().map(|last| last.manifest);
    writer.complete(Basis { lsn: view.lsn(), periods: posted_periods(view), previous })
}

/// Orders that were placed later are in no file of a seal.
pub(super) fn sealed_up_to(view: &State) -> u64 {
    view.seals().last().map_or(0, |last| last.as_of)
}

/// The newest final period of each calendar, for people.
fn posted_periods(view: &State) -> Vec<(String, String)> {
    let calendars = (0_u8..).zip(&view.plan().commerce.calendars);
    calendars
        .filter_map(|(calendar, about)| {
            let periods = (0..view.periods_len(calendar)).rev();
            let mut rows = periods.filter_map(|period| view.period(PeriodRef { calendar, period }));
            let newest = rows.find(|row| row.state().is_final())?;
            Some((about.name.to_string(), newest.label.to_string()))
        })
        .collect()
}

/// Writes the files of the network `past` at an instant. `now` knows the attributes of its members as they
/// were corrected.
///
/// # Errors
/// Those of the files.
pub(super) fn complete_boundary(
    storage: &Arc<dyn Storage>,
    root: &Path,
    boundary: Boundary,
    [past, now]: [&State; 2],
    at: Timestamp,
) -> Result<CompleteBoundary, DurabilityError> {
    let member = &mut |number| member_at(past, now, MemberIx(number), at);
    network::complete(storage, root, boundary, member)
}

/// A member of the past, with the attributes that are known of that instant now.
fn member_at(past: &State, now: &State, number: MemberIx, at: Timestamp) -> BoundaryMember<'static> {
    let member = past.member(number);
    let commerce = &now.plan().commerce;
    let attributes = now.attributes(number, Some(at));
    let index = |member: Option<MemberIx>| member.map(|member| member.0);
    let tags = attributes.tags.iter().filter_map(|tag| {
        let name = commerce.member_tags.get(usize::from(tag.tag))?;
        Some(BoundaryTag { tag: name.to_string().into(), since: tag.from, until: tag.until })
    });
    BoundaryMember {
        id: member.id.0,
        joined_at: member.joined_at,
        code: Some(past.code(number).as_str().to_owned().into()),
        sponsor: index(member.sponsor),
        parent: index(member.parent),
        slot: member.slot,
        status: member.status.name().into(),
        role: member.role.name().into(),
        rank: Some(past.rank(number).paid_as),
        market: attributes
            .market
            .and_then(|market| commerce.markets.get(usize::from(market)))
            .map(|market| market.to_string().into()),
        owner: (attributes.owner != number).then_some(attributes.owner.0),
        tags: tags.collect(),
    }
}
