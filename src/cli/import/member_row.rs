//! One row of a member file: text to typed values, or the reason why not.

use jiff::{Timestamp as Instant, civil, tz::TimeZone};
use uuid::Uuid;

use super::{lines::Row, refusal::Refusal};
use crate::{
    cli::names::Name,
    core::{
        command::Carried,
        types::{Code, Role, Status, Timestamp},
    },
};

/// Columns of a member file, and whether they are needed. `level`, `direct`, `downline` and `rank` are what `export` writes beside; they follow
/// from the rest and are not read.
pub(super) const COLUMNS: [(&str, bool); 15] = [
    ("member", true),
    ("sponsor", true),
    ("joined_at", true),
    ("parent", false),
    ("slot", false),
    ("code", false),
    ("status", false),
    ("role", false),
    ("id", false),
    ("lifetime_rank", false),
    ("turn", false),
    ("level", false),
    ("direct", false),
    ("downline", false),
    ("rank", false),
];

/// A row that can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MemberRow {
    pub line: u64,
    pub member: Name,
    pub sponsor: Option<Name>,
    pub parent: Option<Name>,
    pub slot: Option<u32>,
    pub joined_at: Option<Timestamp>,
    /// The code that the row names, other than its member's name.
    pub code: Option<Code>,
    /// Where the row says it.
    pub status: Option<Status>,
    pub role: Option<Role>,
    pub carried: Carried,
}

impl MemberRow {
    /// Reads a row. With `own_sponsor_is_root`, a member that is its own sponsor counts as a root.
    pub fn parse(row: &Row<'_>, own_sponsor_is_root: bool) -> Result<Self, Refusal> {
        let [member, sponsor, joined_at, parent, slot, code, status, role, id, lifetime_rank, turn] =
            std::array::from_fn(|column| row.cell(column));
        if member.is_empty() {
            return Err(Refusal::NoMember);
        }
        let member = Name::parse(member).ok_or(Refusal::BadName("member"))?;
        let mut sponsor = optional(sponsor, Name::parse, Refusal::BadName("sponsor"))?;
        let is_member = |name: &Option<Name>| name.as_ref().is_some_and(|name| name.key == member.key);
        if is_member(&sponsor) {
            if !own_sponsor_is_root {
                return Err(Refusal::OwnSponsor);
            }
            sponsor = None;
        }
        let parent = optional(parent, Name::parse, Refusal::BadName("parent"))?;
        if is_member(&parent) {
            return Err(Refusal::OwnParent);
        }
        // `export` writes slot 0 for roots.
        let slot = optional(slot, |text| text.parse::<u32>().ok(), Refusal::BadSlot)?.filter(|slot| parent.is_some() || *slot != 0);
        if parent.is_none() && slot.is_some() {
            return Err(Refusal::SlotWithoutParent);
        }
        Ok(Self {
            line: row.line,
            member,
            sponsor,
            parent,
            slot,
            joined_at: optional(joined_at, parse_time, Refusal::BadTime(joined_at.into()))?,
            code: optional(code, Code::parse, Refusal::BadCode)?,
            status: optional(status, Status::from_name, Refusal::BadStatus)?,
            role: optional(role, Role::from_name, Refusal::BadRole)?,
            carried: Carried {
                row_id: optional(id, parse_row_id, Refusal::BadRowId)?,
                lifetime_rank: optional(lifetime_rank, |text| text.parse().ok(), Refusal::BadNumber("lifetime_rank"))?.unwrap_or(0),
                turn: optional(turn, |text| text.parse().ok(), Refusal::BadNumber("turn"))?.unwrap_or(0),
                ..Carried::default()
            },
        })
    }
}

/// The id of a row elsewhere: a UUID in any of its forms.
pub(super) fn parse_row_id(text: &str) -> Option<[u8; 16]> {
    Uuid::try_parse(text).ok().map(Uuid::into_bytes)
}

/// An empty cell is none; another one must parse.
pub(super) fn optional<T>(cell: &str, parse: impl FnOnce(&str) -> Option<T>, refusal: Refusal) -> Result<Option<T>, Refusal> {
    if cell.is_empty() { Ok(None) } else { parse(cell).map(Some).ok_or(refusal) }
}

/// `2025-03-01T10:00:00.000001Z` with any offset, `2025-03-01T10:00:00` and `2025-03-01` in UTC. To the microsecond.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    let instant = match text.parse::<Instant>() {
        Ok(instant) => instant,
        // A date alone is read as midnight.
        Err(_) => text.parse::<civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    Some(Timestamp(instant.as_microsecond()))
}

/// ISO 8601 in UTC with six digits of microseconds: what [`parse_time`] reads back exactly.
pub(in super::super) fn print_time(time: Timestamp) -> String {
    match Instant::from_microsecond(time.0) {
        Ok(instant) => format!("{instant:.6}"),
        // No way in leads here: files, clients and clocks are bounded by the years -9999 to 9999.
        Err(_) => format!("{}us", time.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_microsecond() {
        // text, microseconds since 1970
        let table = [
            ("1970-01-01", Some(0)),
            ("1970-01-01T00:00:01Z", Some(1_000_000)),
            ("1970-01-01T02:00:00.000001+02:00", Some(1)),
            ("1970-01-01 00:00:00.5", Some(500_000)),
            ("1969-12-31T23:59:59.999999Z", Some(-1)),
            ("2025-13-01", None),
            ("2025-02-30", None),
            ("2025-03-", None),
            ("yesterday", None),
            ("1700000000", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_time(text), expected.map(Timestamp), "{text}");
        }
    }

    #[test]
    fn printed_times_are_read_back() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -62_135_596_800_000_000] {
            let text = print_time(Timestamp(micros));
            assert_eq!(parse_time(&text), Some(Timestamp(micros)), "{text}");
        }
        assert_eq!(print_time(Timestamp(1_700_000_000_000_000)), "2023-11-14T22:13:20.000000Z");
    }
}
