//! One row of a member file: text to typed values, or the reason why not.

use jiff::{Timestamp as Instant, civil, tz::TimeZone};
use uuid::Uuid;

use super::{lines::Row, refusal::Refusal};
use crate::core::{
    command::Carried,
    state::{Directory, State},
    types::{Code, MemberId, MemberIx, Role, Status, Timestamp},
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

/// Namespace of the ids made from names: a member called `alice` gets the version-5 UUID of `alice` in this namespace, which is itself the
/// version-5 UUID of `members.upline` in the DNS namespace. Fixed for ever: other programs compute the same ids.
pub const NAME_NAMESPACE: Uuid = Uuid::from_u128(0x3f52_db3b_3a74_5127_9253_5d80_519d_a53c);

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// How a file names a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Name {
    pub id: MemberId,
    /// The text, if it is not a UUID.
    pub text: Option<Box<str>>,
}

impl Name {
    /// A UUID in any of its forms, or any other text of 1 to 255 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(id) = Uuid::try_parse(text) {
            return Some(Self { id: MemberId(*id.as_bytes()), text: None });
        }
        let good = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        good.then(|| Self { id: MemberId(*Uuid::new_v5(&NAME_NAMESPACE, text.as_bytes()).as_bytes()), text: Some(text.into()) })
    }

    /// The name as a referral code, if it can be one.
    pub fn code(&self) -> Option<Code> {
        self.text.as_deref().and_then(Code::parse)
    }

    /// The member of this name in a network: by id, failing that by referral code.
    pub fn find(&self, state: &State, directory: &impl Directory) -> Option<MemberIx> {
        let by_code = || self.code().and_then(|code| state.member_by_code(directory, &code));
        state.find(directory, &self.id).or_else(by_code)
    }

    /// As the file has it.
    pub fn shown(&self) -> String {
        self.text.as_deref().map_or_else(|| self.id.to_string(), str::to_string)
    }
}

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
    pub status: Status,
    pub role: Role,
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
        if sponsor.as_ref() == Some(&member) {
            if !own_sponsor_is_root {
                return Err(Refusal::OwnSponsor);
            }
            sponsor = None;
        }
        let parent = optional(parent, Name::parse, Refusal::BadName("parent"))?;
        if parent.as_ref() == Some(&member) {
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
            status: optional(status, Status::from_name, Refusal::BadStatus)?.unwrap_or(Status::Active),
            role: optional(role, Role::from_name, Refusal::BadRole)?.unwrap_or(Role::Member),
            carried: Carried {
                row_id: optional(id, parse_row_id, Refusal::BadRowId)?,
                lifetime_rank: optional(lifetime_rank, |text| text.parse().ok(), Refusal::BadNumber("lifetime_rank"))?.unwrap_or(0),
                turn: optional(turn, |text| text.parse().ok(), Refusal::BadNumber("turn"))?.unwrap_or(0),
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
    fn names_are_ids_or_make_ids() {
        let uuid = "00010203-0405-0607-0809-0a0b0c0d0eff";
        for form in [uuid, &uuid.to_uppercase(), &uuid.replace('-', ""), &format!("{{{uuid}}}"), &format!("urn:uuid:{uuid}")] {
            let name = Name::parse(form).unwrap();
            assert_eq!((name.id.to_string().as_str(), name.code()), (uuid, None), "{form}");
        }
        let alice = Name::parse("alice").unwrap();
        assert_eq!(alice.id.to_string(), "2962ef90-c4ec-509d-9762-d392726c79e0");
        assert_eq!(alice.code(), Code::parse("alice"));
        assert_ne!(alice.id, Name::parse("Alice").unwrap().id);
        assert_eq!(Name::parse("alice@example.com").unwrap().code(), None);
        assert_eq!(Name::parse(""), None);
        assert_eq!(Name::parse(&"x".repeat(256)), None);
        assert_eq!(Name::parse("a\tb"), None);
    }

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
