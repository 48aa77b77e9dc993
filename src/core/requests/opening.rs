//! The opening state: what commands about the past of a company that moves in contain.
//!
//! Each row says one thing of one member from before the first period. Names of metrics, ladders, bonuses and
//! ranks are texts here: the plan is not asked about them.

use std::ops::RangeInclusive;

use strum::{EnumString, FromRepr, IntoStaticStr, VariantArray};

use crate::core::words::{
    actor::Actor,
    all::all,
    types::{MemberId, Timestamp},
};

/// Rows that one command adds.
pub const OPENING_BATCH_MAX: usize = 200;
/// Bytes of a name or text.
pub const OPENING_TEXT_BYTES_MAX: usize = 64;
/// Decimal digits of a value.
pub const OPENING_DECIMALS_MAX: u8 = 8;
/// The largest value, whatever its decimals.
pub const OPENING_VALUE_MAX: i64 = 1_000_000_000_000_000_000;
/// How far back the value of a period can be: a value of each day for almost three years.
pub const OPENING_BACK_MAX: u32 = 1_000;
/// Periods that history for `held` covers: a bit for each.
pub const OPENING_HELD_MAX: u32 = 64;
/// The highest number of a leg, and of free periods.
pub const OPENING_POSITION_MAX: u32 = 1_000_000;

/// What a row of the opening state says. Codes are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[derive(FromRepr, IntoStaticStr, VariantArray, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum OpeningKind {
    /// The value of a metric over all time.
    Lifetime = 1,
    /// The value of a metric in a period: `position` counts back, 1 is the last period before the first.
    LastN = 2,
    /// A rank of a ladder that the member has reached, and when.
    Rank = 3,
    /// Past periods in which a predicate, or a rank of a ladder, held: a bit of `value` for each, the lowest
    /// for the last one.
    Held = 4,
    /// Volume that waits in a leg (`position`) to be paired; with a time it is a lot of its own.
    Carry = 5,
    /// Something that is paid once was paid, for the key in `text`.
    Once = 6,
    /// The balance of a ladder's bank, with its free periods in `position`.
    Bank = 7,
    /// Money of a bonus that waits to be released.
    Escrow = 8,
    /// A status that was frozen, with its value in `text`.
    Frozen = 9,
    /// Money that the member is owed.
    Balance = 10,
    /// Money that the member owes.
    Debt = 11,
}

/// Whether a row of a kind has a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    Never,
    May,
    Must,
}

/// What the value of a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpeningValue {
    /// There is none: the value is 0.
    Nothing,
    /// A decimal, which may be negative.
    Number,
    /// A decimal from 0 on.
    Volume,
    /// An amount of the plan's currency, from 0 on.
    Money,
    /// A bit for each of [`OPENING_HELD_MAX`] periods, at least one.
    Periods,
}

/// What the rows of a kind have, and what of it tells them apart. A row is told apart by its member, its
/// kind, its name, its calendar, and whatever is said here.
#[derive(Clone, Debug)]
pub struct OpeningShape {
    pub name: Need,
    pub text: Need,
    pub calendar: Need,
    /// Those that the position may have; 0 is none.
    pub position: RangeInclusive<u32>,
    pub since: Need,
    pub value: OpeningValue,
    pub text_is_key: bool,
    pub position_is_key: bool,
    pub since_is_key: bool,
}

impl OpeningKind {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What rows of this kind have.
    pub fn shape(self) -> OpeningShape {
        let plain = OpeningShape {
            name: Need::Must,
            text: Need::Never,
            calendar: Need::Never,
            position: 0..=0,
            since: Need::Never,
            value: OpeningValue::Nothing,
            text_is_key: false,
            position_is_key: false,
            since_is_key: false,
        };
        match self {
            Self::Lifetime => OpeningShape { value: OpeningValue::Number, ..plain },
            Self::LastN => OpeningShape {
                calendar: Need::Must,
                position: 1..=OPENING_BACK_MAX,
                value: OpeningValue::Number,
                position_is_key: true,
                ..plain
            },
            Self::Rank => OpeningShape { text: Need::Must, since: Need::Must, text_is_key: true, ..plain },
            Self::Held => OpeningShape {
                text: Need::May,
                calendar: Need::Must,
                value: OpeningValue::Periods,
                text_is_key: true,
                ..plain
            },
            Self::Carry => OpeningShape {
                position: 0..=OPENING_POSITION_MAX,
                since: Need::May,
                value: OpeningValue::Volume,
                position_is_key: true,
                since_is_key: true,
                ..plain
            },
            Self::Once => OpeningShape { text: Need::Must, since: Need::May, text_is_key: true, ..plain },
            Self::Bank => {
                OpeningShape { position: 0..=OPENING_POSITION_MAX, value: OpeningValue::Number, ..plain }
            }
            Self::Escrow => {
                OpeningShape { since: Need::May, value: OpeningValue::Money, since_is_key: true, ..plain }
            }
            Self::Frozen => OpeningShape { text: Need::Must, since: Need::May, ..plain },
            Self::Balance | Self::Debt => {
                OpeningShape { name: Need::May, value: OpeningValue::Money, ..plain }
            }
        }
    }
}

/// A name or a text of a row: printable characters, no blank at either end. May be empty, which says nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct OpeningText(Box<str>);

impl OpeningText {
    /// Returns `None` unless the text is one: at most [`OPENING_TEXT_BYTES_MAX`] bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let is_printable = |letter: char| letter == ' ' || !letter.is_control() && !letter.is_whitespace();
        let fits = text.len() <= OPENING_TEXT_BYTES_MAX && text.chars().all(is_printable);
        (fits && text.trim() == text).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A row of the opening state. [`OpeningKind`] says what the fields are for each kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpeningEntry {
    pub member: MemberId,
    pub kind: OpeningKind,
    pub name: OpeningText,
    pub text: OpeningText,
    /// The position of a calendar in the plan.
    pub calendar: Option<u8>,
    pub position: u32,
    pub since: Option<Timestamp>,
    /// In units of 10^-`decimals`, with as few decimals as it needs.
    pub value: i64,
    pub decimals: u8,
}

/// Adds rows to the opening state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddOpening {
    /// 1 to [`OPENING_BATCH_MAX`], ascending: by member in the order of joining, then by kind, name, and what
    /// else tells rows of the kind apart. All of them come after the rows that are there.
    pub rows: Vec<OpeningEntry>,
}

/// Ends the opening state: it is complete, and what was meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloseOpening {
    /// How many rows it has.
    pub rows: u64,
    /// BLAKE3 of all of them.
    pub digest: [u8; 32],
    /// Who says so: kept with it.
    pub by: Actor,
}

impl OpeningEntry {
    /// What is wrong with the row, whatever the state: the field, and words to follow its name. `exponent`:
    /// decimal digits of the currency.
    pub fn fault(&self, exponent: u8) -> Option<(&'static str, String)> {
        let Self { member: _, kind, name, text, calendar, position, since, value, decimals } = self;
        let shape = kind.shape();
        let kind = kind.name();
        let present = [
            ("name", shape.name, !name.as_str().is_empty()),
            ("text", shape.text, !text.as_str().is_empty()),
            ("calendar", shape.calendar, calendar.is_some()),
            ("since", shape.since, since.is_some()),
        ];
        for (field, need, is_there) in present {
            match (need, is_there) {
                (Need::Must, false) => return Some((field, format!("is missing: `{kind}` needs it"))),
                (Need::Never, true) => return Some((field, format!("is not of `{kind}`"))),
                _ => {}
            }
        }
        if !shape.position.contains(position) {
            let (least, most) = shape.position.into_inner();
            let why = match most {
                0 => format!("is not of `{kind}`"),
                _ => format!("must be from {least} to {most}"),
            };
            return Some(("position", why));
        }
        value_fault(shape.value, *value, *decimals, exponent).map(|why| ("value", why))
    }
}

fn value_fault(is: OpeningValue, value: i64, decimals: u8, exponent: u8) -> Option<String> {
    let is_shortest = decimals == 0 || value % 10 != 0;
    let is_decimal =
        decimals <= OPENING_DECIMALS_MAX && is_shortest && value.unsigned_abs() <= OPENING_VALUE_MAX as u64;
    match is {
        OpeningValue::Nothing if value != 0 || decimals != 0 => Some("is not of this kind".into()),
        OpeningValue::Periods if value == 0 || decimals != 0 => Some("names no period".into()),
        OpeningValue::Nothing | OpeningValue::Periods => None,
        _ if !is_decimal => Some("is not a decimal that can be kept".into()),
        OpeningValue::Volume | OpeningValue::Money if value < 0 => Some("must not be negative".into()),
        OpeningValue::Money if exponent < decimals => {
            Some(format!("has more decimals than the {exponent} of the currency"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> OpeningText {
        OpeningText::parse(text).unwrap()
    }

    /// A row that has all that its kind must have.
    fn least(kind: OpeningKind) -> OpeningEntry {
        let shape = kind.shape();
        let of = |need: Need| if need == Need::Must { text("a b") } else { text("") };
        let is_periods = shape.value == OpeningValue::Periods;
        OpeningEntry {
            member: MemberId([1; 16]),
            kind,
            name: of(shape.name),
            text: of(shape.text),
            calendar: (shape.calendar == Need::Must).then_some(0),
            position: *shape.position.start(),
            since: (shape.since == Need::Must).then_some(Timestamp(0)),
            value: i64::from(is_periods),
            decimals: 0,
        }
    }

    /// Gives a row a field, or takes it away.
    type Change = fn(&mut OpeningEntry, bool);

    #[test]
    fn a_row_has_what_its_kind_has_and_nothing_else() {
        for kind in OpeningKind::ALL {
            let (row, shape) = (least(kind), kind.shape());
            assert_eq!(row.fault(2), None, "{kind:?}");
            let changes: [(&str, Need, Change); 4] = [
                ("name", shape.name, |row, is| row.name = text(if is { "x" } else { "" })),
                ("text", shape.text, |row, is| row.text = text(if is { "x" } else { "" })),
                ("calendar", shape.calendar, |row, is| row.calendar = is.then_some(0)),
                ("since", shape.since, |row, is| row.since = is.then_some(Timestamp(0))),
            ];
            for (field, need, set) in changes {
                for is_there in [false, true] {
                    let mut row = row.clone();
                    set(&mut row, is_there);
                    let is_wrong = need == if is_there { Need::Never } else { Need::Must };
                    let fault = row.fault(2).map(|(field, _)| field);
                    assert_eq!(fault, is_wrong.then_some(field), "{kind:?} {field} {is_there}");
                }
            }
            let beyond = OpeningEntry { position: shape.position.end() + 1, ..row };
            assert_eq!(beyond.fault(2).map(|(field, _)| field), Some("position"), "{kind:?}");
        }
    }

    #[test]
    fn values_are_of_their_kind() {
        use OpeningKind as Kind;
        // kind, value, decimals, whether it can be
        let table = [
            (Kind::Lifetime, -5, 8, true),
            (Kind::Lifetime, OPENING_VALUE_MAX, 0, true),
            (Kind::Lifetime, OPENING_VALUE_MAX + 1, 0, false),
            (Kind::Lifetime, i64::MIN, 0, false),
            (Kind::Lifetime, 5, 9, false),
            (Kind::Lifetime, 50, 1, false),
            (Kind::Carry, 0, 0, true),
            (Kind::Carry, -1, 0, false),
            (Kind::Carry, 1, 3, true),
            (Kind::Balance, 1, 2, true),
            (Kind::Balance, 1, 3, false),
            (Kind::Balance, -1, 0, false),
            (Kind::Bank, -1, 0, true),
            (Kind::Rank, 1, 0, false),
            (Kind::Held, 0, 0, false),
            (Kind::Held, i64::MIN, 0, true),
            (Kind::Held, 1, 1, false),
        ];
        for (kind, value, decimals, is_good) in table {
            let row = OpeningEntry { value, decimals, ..least(kind) };
            assert_eq!(row.fault(2).is_none(), is_good, "{kind:?} {value} {decimals}");
        }
    }

    #[test]
    fn texts_are_printable_and_short() {
        for good in ["", "PV", "Silver Executive", "F\u{fc}hrung", &"x".repeat(64)] {
            assert!(OpeningText::parse(good).is_some(), "{good}");
        }
        for wrong in [" x", "x ", "a\tb", "a\nb", "\u{7}", "a\u{2003}b", &"x".repeat(65)] {
            assert!(OpeningText::parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
