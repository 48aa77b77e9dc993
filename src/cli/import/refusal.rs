//! Why a row was not imported.

use std::fmt;

use super::{cells::ROW_BYTES_MAX, lines::LineFault, visible::visible};
use crate::{
    core::{command::Rejection, plan::NAME_BYTES_MAX, types::KINDS_MAX},
    time_text::TimeFault,
};

/// The reason why one row was refused. Its `name` is stable; the text is for humans.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    Line(LineFault),
    NoMember,
    /// The column.
    BadName(&'static str),
    /// The column that has the digits of a UUID in no form of one.
    AlmostId(&'static str),
    /// A new member has the nil UUID.
    NilId,
    OwnSponsor,
    OwnParent,
    BadSlot,
    /// `Left` or `Right` where there are not exactly two slots.
    SideWithoutSides,
    SlotWithoutParent,
    /// The cell, and why it is not a time.
    BadTime(String, TimeFault),
    BadCode,
    BadStatus,
    BadRole,
    BadAmount(String),
    BadLevel,
    BadRowId,
    BadReference,
    /// The column.
    BadReversed(&'static str),
    /// Another row of the bonus file, on this line, has the same number.
    DuplicateNumber(u64),
    /// A word of `paid_once` that no trigger can be named.
    BadTrigger(String),
    /// A word of `tags` that is no tag.
    BadTag(String),
    /// Why the entry that a negative amount reverses was not found.
    ReversalUnmatched(&'static str),
    /// The column.
    BadNumber(&'static str),
    /// The member was named on an earlier line.
    DuplicateLine(u64),
    /// The member is in the network, with another sponsor or place.
    DuplicateMember,
    /// No member of that name in the file or the network.
    UnknownSponsor(String),
    UnknownParent(String),
    /// The sponsor's row was refused, or waits for one that was.
    SponsorRefused {
        name: String,
        line: u64,
    },
    ParentRefused {
        name: String,
        line: u64,
    },
    Cycle,
    /// Receiver or source of a bonus, or an owner.
    UnknownMember(String),
    /// Receiver or source of a bonus, whose row in the member file was refused.
    MemberRefused {
        name: String,
        line: u64,
    },
    /// Not a name or code, and similar to several codes.
    AmbiguousCode(String),
    Rule(Rejection),
}

impl Refusal {
    /// Returns the stable name by which the report counts.
    pub fn name(&self) -> &'static str {
        match self {
            Refusal::Line(LineFault::NotUtf8) => "not_utf8",
            Refusal::Line(LineFault::NotUtf16) => "not_utf16",
            Refusal::Line(LineFault::TooLong) => "too_long",
            Refusal::Line(LineFault::CutOff) => "cut_off",
            Refusal::Line(LineFault::OpenQuote { .. }) => "open_quote",
            Refusal::Line(LineFault::TextAfterQuote { .. }) => "text_after_quote",
            Refusal::Line(LineFault::BadJson(_)) => "bad_json",
            Refusal::Line(LineFault::KeyMissing(_)) => "key_missing",
            Refusal::NoMember => "no_member",
            Refusal::BadName(_) | Refusal::AlmostId(_) | Refusal::NilId => "bad_name",
            Refusal::OwnSponsor => "own_sponsor",
            Refusal::OwnParent => "own_parent",
            Refusal::BadSlot | Refusal::SideWithoutSides | Refusal::SlotWithoutParent => "bad_slot",
            Refusal::BadTime(..) => "bad_time",
            Refusal::BadCode => "bad_code",
            Refusal::BadStatus => "bad_status",
            Refusal::BadRole => "bad_role",
            Refusal::BadAmount(_) => "bad_amount",
            Refusal::BadLevel => "bad_level",
            Refusal::BadRowId => "bad_id",
            Refusal::BadReference => "bad_reference",
            Refusal::BadReversed(_) => "bad_reverses",
            Refusal::DuplicateNumber(_) => "duplicate_number",
            Refusal::BadTrigger(_) => "bad_paid_once",
            Refusal::BadTag(_) => "bad_tags",
            Refusal::ReversalUnmatched(_) => Rejection::ReversalUnmatched.name(),
            Refusal::BadNumber(_) => "bad_number",
            Refusal::DuplicateLine(_) | Refusal::DuplicateMember => "duplicate",
            Refusal::UnknownSponsor(_) => "unknown_sponsor",
            Refusal::UnknownParent(_) => "unknown_parent",
            Refusal::SponsorRefused { .. } => "sponsor_refused",
            Refusal::ParentRefused { .. } => "parent_refused",
            Refusal::Cycle => "cycle",
            Refusal::UnknownMember(_) => "unknown_member",
            Refusal::MemberRefused { .. } => "member_refused",
            Refusal::AmbiguousCode(_) => "code_ambiguous",
            Refusal::Rule(rejection) => rejection.name(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Line(fault) => fault.fmt(out),
            Refusal::NoMember => out.write_str("names no member"),
            Refusal::BadName(column) => {
                write!(out, "the {column} has more than 255 bytes or control characters")
            }
            Refusal::AlmostId(column) => write!(
                out,
                "the {column} has the digits of a UUID, but in no form of one: hyphenated, also in braces or \
                 after `urn:uuid:`, or 32 digits alone"
            ),
            Refusal::NilId => out.write_str("the nil UUID stands for no member"),
            Refusal::OwnSponsor => {
                out.write_str("is its own sponsor (--own-sponsor-is-root takes such rows as roots)")
            }
            Refusal::OwnParent => out.write_str("is its own parent"),
            Refusal::BadSlot => out.write_str("the slot is not a number"),
            Refusal::SideWithoutSides => out
                .write_str("left and right are slots where the plan has two; here slots are numbers from 0"),
            Refusal::SlotWithoutParent => out.write_str("names a slot but no parent"),
            Refusal::BadTime(text, fault) => {
                write!(out, "`{}` is {fault}", visible(text))?;
                let can_be_named = matches!(fault, TimeFault::NotATime | TimeFault::DayOrMonthFirst);
                let has_digits = text.contains(|character: char| character.is_ascii_digit());
                if can_be_named && has_digits {
                    out.write_str(" (--time-format reads other forms, e.g. %d/%m/%Y)")
                } else {
                    Ok(())
                }
            }
            Refusal::BadCode => out.write_str("the code is not 1 to 64 of A-Z, a-z, 0-9, `_`, `-`"),
            Refusal::BadStatus => out.write_str(
                "the status is not active, inactive or terminated (bonuses: pending, paid, held or void)",
            ),
            Refusal::BadRole => out.write_str("the role is neither member nor admin"),
            Refusal::BadAmount(reason) => write!(out, "the amount {reason}"),
            Refusal::BadLevel => out.write_str("the level is not a number"),
            Refusal::BadRowId => out.write_str("the id is not a UUID"),
            Refusal::BadReference => out.write_str("the reference is not 1 to 64 printable characters"),
            Refusal::BadReversed("number") => out.write_str("the number is none"),
            Refusal::BadReversed(column) => write!(out, "the {column} names no bonus of an earlier row"),
            Refusal::DuplicateNumber(line) => {
                write!(out, "the number is that of line {line} too: `reverses` could mean either")
            }
            Refusal::BadTrigger(word) => write!(
                out,
                "`{}` in paid_once is no name of a trigger (1 to {NAME_BYTES_MAX} of a-z, 0-9, `_`, `-`)",
                visible(word)
            ),
            Refusal::BadTag(word) => write!(
                out,
                "`{}` in tags is neither a tag nor `tag@from/until`, or is there twice",
                visible(word)
            ),
            Refusal::ReversalUnmatched(reason) => write!(out, "the amount {reason}"),
            Refusal::BadNumber(column) => write!(out, "the {column} is not a number of at most 65535"),
            Refusal::DuplicateLine(line) => write!(out, "the member is on line {line} already"),
            Refusal::DuplicateMember => {
                out.write_str("the member is in the network already, with another sponsor or place")
            }
            Refusal::UnknownSponsor(name) => write!(out, "sponsor {} is not known", visible(name)),
            Refusal::UnknownParent(name) => write!(out, "parent {} is not known", visible(name)),
            Refusal::SponsorRefused { name, line } => {
                write!(out, "sponsor {} on line {line} was refused", visible(name))
            }
            Refusal::ParentRefused { name, line } => {
                write!(out, "parent {} on line {line} was refused", visible(name))
            }
            Refusal::Cycle => out.write_str("sponsors and parents lead back to the row itself"),
            Refusal::UnknownMember(name) => write!(out, "{} is not known", visible(name)),
            Refusal::MemberRefused { name, line } => {
                write!(out, "member {} on line {line} was refused", visible(name))
            }
            Refusal::AmbiguousCode(name) => {
                write!(out, "{} is not known, and several referral codes are like it", visible(name))
            }
            Refusal::Rule(Rejection::CodeReadsAsId) => {
                out.write_str("the code reads as a UUID, which would be taken for an id")
            }
            Refusal::Rule(Rejection::RowIdTaken) => {
                out.write_str("another row has this id, or this network gives it to one itself")
            }
            Refusal::Rule(Rejection::RankUnknown) => {
                out.write_str("the plan has no rank of the number in lifetime_rank")
            }
            Refusal::Rule(Rejection::TurnUnknown) => {
                out.write_str("the plan does not place round robin, or has no slot of the number in turn")
            }
            Refusal::Rule(Rejection::ReversalUnmatched) => out.write_str(
                "a reversal has receiver, source, level and kind of the bonus that it takes back, \
                 and the opposite amount",
            ),
            Refusal::Rule(Rejection::EntryChangeNotAllowed) => out.write_str(
                "a reversal is void exactly if the bonus that it takes back is, and held only if that \
                     is held or paid",
            ),
            Refusal::Rule(Rejection::PlanKindsFull) => {
                write!(out, "a network has at most {KINDS_MAX} names of bonuses and triggers")
            }
            Refusal::Rule(rejection) => write!(out, "refused by a rule: {}", rejection.name()),
        }
    }
}

impl fmt::Display for LineFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineFault::NotUtf8 => out.write_str("the line is not UTF-8 text"),
            LineFault::NotUtf16 => out.write_str(
                "the line is not UTF-16 text: it has half a surrogate pair, an odd byte at the end of the \
                 file, or U+FFFD in place of a lost character",
            ),
            LineFault::TooLong => write!(out, "the row is longer than {ROW_BYTES_MAX} bytes"),
            LineFault::CutOff => out.write_str("cut off: the number of cells is not that of the header"),
            LineFault::OpenQuote { line, at_end: true } => {
                write!(
                    out,
                    "the quote that opens on line {line} is not closed: \
                     everything to the end of the file is in it"
                )
            }
            LineFault::OpenQuote { line, at_end: false } => {
                write!(
                    out,
                    "the quote that opens on line {line} is not closed within the {ROW_BYTES_MAX} \
                     bytes of a row"
                )
            }
            LineFault::TextAfterQuote { opened, closed } => {
                write!(
                    out,
                    "text follows the quote on line {closed} that closes the one opened on line {opened}"
                )
            }
            LineFault::BadJson(reason) => write!(out, "not an object of plain values: {}", visible(reason)),
            LineFault::KeyMissing(column) => {
                write!(out, "the object has no key for {column} (null stands for none)")
            }
        }
    }
}

/// A refused row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refused {
    pub line: u64,
    /// The member as named in the file; empty where that could not be read.
    pub member: String,
    pub reason: Refusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: ", self.line)?;
        if !self.member.is_empty() {
            write!(out, "{}: ", visible(&self.member))?;
        }
        self.reason.fmt(out)
    }
}
