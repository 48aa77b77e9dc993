//! Why a row was not taken over.

use std::fmt;

use super::lines::LineFault;
use crate::core::command::Rejection;

/// The reason why one row was refused. Its `name` is stable; the text is for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    Line(LineFault),
    NoMember,
    /// Which column.
    BadName(&'static str),
    OwnSponsor,
    OwnParent,
    BadSlot,
    SlotWithoutParent,
    BadTime(String),
    BadCode,
    BadStatus,
    BadRole,
    BadAmount(String),
    BadLevel,
    BadRowId,
    BadReference,
    /// Which column.
    BadReversed(&'static str),
    /// Why the entry that a negative amount takes back was not found.
    ReversalUnmatched(&'static str),
    /// Which column.
    BadNumber(&'static str),
    /// The member was named on an earlier line.
    DuplicateLine(u64),
    /// The member is in the network, with another sponsor or place.
    DuplicateMember,
    /// Nobody of that name, in the file or the network.
    UnknownSponsor(String),
    UnknownParent(String),
    /// Whose row was refused itself, or waits for one that was.
    SponsorRefused {
        name: String,
        line: u64,
    },
    ParentRefused {
        name: String,
        line: u64,
    },
    Cycle,
    /// Receiver or source of a bonus.
    UnknownMember(String),
    Rule(Rejection),
}

impl Refusal {
    /// Stable name, by which the report counts.
    pub fn name(&self) -> &'static str {
        match self {
            Refusal::Line(LineFault::NotUtf8) => "not_utf8",
            Refusal::Line(LineFault::TooLong) => "too_long",
            Refusal::Line(LineFault::CutOff) => "cut_off",
            Refusal::NoMember => "no_member",
            Refusal::BadName(_) => "bad_name",
            Refusal::OwnSponsor => "own_sponsor",
            Refusal::OwnParent => "own_parent",
            Refusal::BadSlot | Refusal::SlotWithoutParent => "bad_slot",
            Refusal::BadTime(_) => "bad_time",
            Refusal::BadCode => "bad_code",
            Refusal::BadStatus => "bad_status",
            Refusal::BadRole => "bad_role",
            Refusal::BadAmount(_) => "bad_amount",
            Refusal::BadLevel => "bad_level",
            Refusal::BadRowId => "bad_id",
            Refusal::BadReference => "bad_reference",
            Refusal::BadReversed(_) => "bad_reverses",
            Refusal::ReversalUnmatched(_) => Rejection::ReversalUnmatched.name(),
            Refusal::BadNumber(_) => "bad_number",
            Refusal::DuplicateLine(_) | Refusal::DuplicateMember => "duplicate",
            Refusal::UnknownSponsor(_) => "unknown_sponsor",
            Refusal::UnknownParent(_) => "unknown_parent",
            Refusal::SponsorRefused { .. } => "sponsor_refused",
            Refusal::ParentRefused { .. } => "parent_refused",
            Refusal::Cycle => "cycle",
            Refusal::UnknownMember(_) => "unknown_member",
            Refusal::Rule(rejection) => rejection.name(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Line(LineFault::NotUtf8) => out.write_str("the line is not UTF-8 text"),
            Refusal::Line(LineFault::TooLong) => out.write_str("the line is too long"),
            Refusal::Line(LineFault::CutOff) => out.write_str("cut off: the number of cells is not that of the header, or a quote is open"),
            Refusal::NoMember => out.write_str("names no member"),
            Refusal::BadName(column) => write!(out, "the {column} has more than 255 bytes or control characters"),
            Refusal::OwnSponsor => out.write_str("is its own sponsor (--own-sponsor-is-root takes such rows as roots)"),
            Refusal::OwnParent => out.write_str("is its own parent"),
            Refusal::BadSlot => out.write_str("the slot is not a number"),
            Refusal::SlotWithoutParent => out.write_str("names a slot but no parent"),
            Refusal::BadTime(text) => write!(out, "`{text}` is not a time such as 2025-03-01T10:00:00Z"),
            Refusal::BadCode => out.write_str("the code is not 1 to 64 of A-Z, a-z, 0-9, `_`, `-`"),
            Refusal::BadStatus => out.write_str("the status is not active, inactive or terminated (bonuses: pending or paid)"),
            Refusal::BadRole => out.write_str("the role is neither member nor admin"),
            Refusal::BadAmount(reason) => write!(out, "the amount {reason}"),
            Refusal::BadLevel => out.write_str("the level is not a number"),
            Refusal::BadRowId => out.write_str("the id is not a UUID"),
            Refusal::BadReference => out.write_str("the reference is not 1 to 64 printable characters"),
            Refusal::BadReversed("number") => out.write_str("the number is none"),
            Refusal::BadReversed(column) => write!(out, "the {column} names no bonus of an earlier row"),
            Refusal::ReversalUnmatched(reason) => write!(out, "the amount {reason}"),
            Refusal::BadNumber(column) => write!(out, "the {column} is not a number of at most 65535"),
            Refusal::DuplicateLine(line) => write!(out, "the member is on line {line} already"),
            Refusal::DuplicateMember => out.write_str("the member is in the network already, with another sponsor or place"),
            Refusal::UnknownSponsor(name) => write!(out, "sponsor {name} is not known"),
            Refusal::UnknownParent(name) => write!(out, "parent {name} is not known"),
            Refusal::SponsorRefused { name, line } => write!(out, "sponsor {name} on line {line} was refused"),
            Refusal::ParentRefused { name, line } => write!(out, "parent {name} on line {line} was refused"),
            Refusal::Cycle => out.write_str("sponsors and parents lead back to the row itself"),
            Refusal::UnknownMember(name) => write!(out, "{name} is not known"),
            Refusal::Rule(Rejection::RowIdTaken) => out.write_str("another row has this id, or this network gives it to one itself"),
            Refusal::Rule(Rejection::RankUnknown) => out.write_str("the plan has no rank of the number in lifetime_rank"),
            Refusal::Rule(Rejection::TurnUnknown) => {
                out.write_str("the plan does not place round robin, or has no slot of the number in turn")
            }
            Refusal::Rule(Rejection::ReversalUnmatched) => {
                out.write_str("a reversal has receiver, source, level and kind of the bonus that it takes back, and the opposite amount")
            }
            Refusal::Rule(rejection) => write!(out, "refused by a rule: {}", rejection.name()),
        }
    }
}

/// A refused row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refused {
    pub line: u64,
    /// The member as the file names it; empty where that could not be read.
    pub member: String,
    pub reason: Refusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: ", self.line)?;
        if !self.member.is_empty() {
            write!(out, "{}: ", self.member)?;
        }
        self.reason.fmt(out)
    }
}
