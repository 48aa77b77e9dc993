//! One row of a member file: parses text into typed values, or a refusal.

use uuid::Uuid;

use super::{
    attributes::Attributes, columns::MEMBER_COLUMNS, lines::Row, once::Names, reading::Reading,
    refusal::Refusal,
};
use crate::{
    cli::names::{Name, NoName},
    core::{
        command::Carried,
        types::{Code, Role, Status, Timestamp},
    },
};

/// A valid row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MemberRow {
    pub line: u64,
    pub member: Name,
    pub sponsor: Option<Name>,
    /// The row names no sponsor, and this is the default one.
    pub sponsor_is_default: bool,
    pub parent: Option<Name>,
    pub slot: Option<u32>,
    pub joined_at: Option<Timestamp>,
    /// The code in the row, if it differs from its member's name.
    pub code: Option<Code>,
    /// `None` if the row does not say.
    pub status: Option<Status>,
    pub role: Option<Role>,
    pub carried: Carried,
    /// Triggers that were paid once.
    pub paid_once: Names,
    pub attributes: Attributes,
}

impl MemberRow {
    /// Parses a row.
    pub fn parse(row: &Row<'_>, reading: &Reading) -> Result<Self, Refusal> {
        let member = row.cell(0);
        let [
            sponsor,
            joined_at,
            parent,
            slot,
            code,
            status,
            role,
            id,
            lifetime_rank,
            turn,
            paid_once,
            market,
            owner,
            tags,
        ] = std::array::from_fn(|column| match MEMBER_COLUMNS[column + 1].0 {
            "slot" | "lifetime_rank" | "turn" => reading.unmarked_number(row.cell(column + 1)),
            _ => reading.unmarked(row.cell(column + 1)),
        });
        if member.is_empty() {
            return Err(Refusal::NoMember);
        }
        let member = name(member, "member")?;
        let mut sponsor = optional_name(sponsor, "sponsor")?;
        let is_member = |name: &Option<Name>| name.as_ref().is_some_and(|name| name.key == member.key);
        if is_member(&sponsor) {
            if !reading.own_sponsor_is_root {
                return Err(Refusal::OwnSponsor);
            }
            sponsor = None;
        }
        let parent = optional_name(parent, "parent")?;
        if is_member(&parent) {
            return Err(Refusal::OwnParent);
        }
        let slot = if slot.is_empty() { None } else { Some(reading.slot(slot)?) };
        // `export` writes slot 0 for roots.
        let slot = slot.filter(|slot| parent.is_some() || *slot != 0);
        if parent.is_none() && slot.is_some() {
            return Err(Refusal::SlotWithoutParent);
        }
        let mut row = Self {
            line: row.line,
            member,
            sponsor,
            sponsor_is_default: false,
            parent,
            slot,
            joined_at: if joined_at.is_empty() { None } else { Some(reading.time(joined_at)?) },
            code: optional(code, Code::parse, Refusal::BadCode)?,
            status: optional(status, |text| text.parse().ok(), Refusal::BadStatus)?,
            role: optional(role, |text| text.parse().ok(), Refusal::BadRole)?,
            carried: Carried {
                row_id: optional(id, parse_row_id, Refusal::BadRowId)?,
                lifetime_rank: optional(
                    lifetime_rank,
                    |text| text.parse().ok(),
                    Refusal::BadNumber("lifetime_rank"),
                )?
                .unwrap_or(0),
                turn: optional(turn, |text| text.parse().ok(), Refusal::BadNumber("turn"))?.unwrap_or(0),
                ..Carried::default()
            },
            paid_once: Names::parse(paid_once)?,
            attributes: Attributes::parse(market, optional_name(owner, "owner")?, tags, reading)?,
        };
        if row.sponsor.is_none() {
            row.sponsor = reading.sponsor_of_none(&row.member);
            row.sponsor_is_default = row.sponsor.is_some();
        }
        Ok(row)
    }
}

fn name(cell: &str, column: &'static str) -> Result<Name, Refusal> {
    Name::parse(cell).map_err(|reason| match reason {
        NoName::Text => Refusal::BadName(column),
        NoName::AlmostId => Refusal::AlmostId(column),
    })
}

fn optional_name(cell: &str, column: &'static str) -> Result<Option<Name>, Refusal> {
    if cell.is_empty() { Ok(None) } else { name(cell, column).map(Some) }
}

/// Parses the id that a row has in another system: a UUID in any of its forms.
pub(super) fn parse_row_id(text: &str) -> Option<[u8; 16]> {
    Uuid::try_parse(text).ok().map(Uuid::into_bytes)
}

/// Returns `None` for an empty cell; any other must parse.
pub(super) fn optional<T>(
    cell: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    refusal: Refusal,
) -> Result<Option<T>, Refusal> {
    if cell.is_empty() { Ok(None) } else { parse(cell).map(Some).ok_or(refusal) }
}
