//! One row of a member file: text to typed values, or the reason why not.

use uuid::Uuid;

use super::{lines::Row, options::Reading, refusal::Refusal};
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

pub(in super::super) use crate::time_text::print as print_time;

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
    /// Where the row says it.
    pub status: Option<Status>,
    pub role: Option<Role>,
    pub carried: Carried,
}

impl MemberRow {
    /// Reads a row.
    pub fn parse(row: &Row<'_>, reading: &Reading) -> Result<Self, Refusal> {
        let member = row.cell(0);
        let [sponsor, joined_at, parent, slot, code, status, role, id, lifetime_rank, turn] =
            std::array::from_fn(|column| match COLUMNS[column + 1].0 {
                "slot" | "lifetime_rank" | "turn" => reading.unmarked_number(row.cell(column + 1)),
                _ => reading.unmarked(row.cell(column + 1)),
            });
        if member.is_empty() {
            return Err(Refusal::NoMember);
        }
        let member = Name::parse(member).ok_or(Refusal::BadName("member"))?;
        let mut sponsor = optional(sponsor, Name::parse, Refusal::BadName("sponsor"))?;
        if sponsor.as_ref() == Some(&member) {
            if !reading.own_sponsor_is_root {
                return Err(Refusal::OwnSponsor);
            }
            sponsor = None;
        }
        let parent = optional(parent, Name::parse, Refusal::BadName("parent"))?;
        if parent.as_ref() == Some(&member) {
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
            parent,
            slot,
            joined_at: if joined_at.is_empty() { None } else { Some(reading.time(joined_at)?) },
            code: optional(code, Code::parse, Refusal::BadCode)?,
            status: optional(status, Status::from_name, Refusal::BadStatus)?,
            role: optional(role, Role::from_name, Refusal::BadRole)?,
            carried: Carried {
                row_id: optional(id, parse_row_id, Refusal::BadRowId)?,
                lifetime_rank: optional(lifetime_rank, |text| text.parse().ok(), Refusal::BadNumber("lifetime_rank"))?.unwrap_or(0),
                turn: optional(turn, |text| text.parse().ok(), Refusal::BadNumber("turn"))?.unwrap_or(0),
            },
        };
        if row.sponsor.is_none() {
            row.sponsor = reading.sponsor_of_none(&row);
        }
        Ok(row)
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
}
