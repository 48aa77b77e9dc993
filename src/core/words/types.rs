//! The domain's terms as types: members, positions, times, amounts.
//!
//! Everything here is plain data of fixed size. Widths are fixed by design (`ARCHITECTURE.md`, "numbers on
//! disk"): member index `u32`, LSN and ledger index `u64`, time `i64` microseconds UTC, money `i64` minor
//! units.

use std::fmt;

use bytemuck::{Pod, Zeroable};
use strum::{EnumString, FromRepr, IntoStaticStr, VariantArray};

use crate::core::words::all::all;

/// Sentinel for an absent index in columns. Never leaves the core: the public API uses `Option<MemberIx>`.
pub(crate) const NONE: u32 = u32::MAX;

/// The most members one network can hold. Indexes `0..MEMBERS_MAX`; tour tokens need one extra bit.
pub const MEMBERS_MAX: u32 = (1 << 31) - 2;

/// Levels counted for every member, and the deepest level a plan may pay or rank by (members that are not
/// admins).
pub const LEVELS_MAX: usize = 15;

/// How deep an admin's levels are counted and ranked.
pub const ADMIN_LEVELS_MAX: usize = 1_024;

/// Admins in one network.
pub const ADMINS_MAX: usize = 64;

/// A member's index in the arena: members are numbered as they join. It says nothing of their places: a tree
/// is asked for its order (`tree::order`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MemberIx(pub u32);

impl MemberIx {
    /// The index as a `usize`, for slices.
    #[inline]
    pub fn at(self) -> usize {
        self.0 as usize
    }

    /// From a column value, where `u32::MAX` means "none".
    #[inline]
    pub fn from_column(value: u32) -> Option<Self> {
        (value != NONE).then_some(Self(value))
    }

    /// To a column value.
    pub fn to_column(index: Option<Self>) -> u32 {
        index.map_or(NONE, |index| index.0)
    }
}

/// The member at a position of a column.
pub(in crate::core) fn index(position: usize) -> MemberIx {
    MemberIx(u32::try_from(position).expect("limited by MEMBERS_MAX"))
}

/// A member's external identity: the UUID given by the authentication service, as its 16 bytes.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct MemberId(pub [u8; 16]);

impl fmt::Display for MemberId {
    /// Lower-case hyphenated, the only form that is printed.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (position, byte) in self.0.iter().enumerate() {
            at += usize::from(matches!(position, 4 | 6 | 8 | 10));
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        out.write_str(std::str::from_utf8(&text).expect("digits and hyphens"))
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Microseconds since 1970-01-01T00:00:00Z. Log time never goes backwards.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Timestamp(pub i64);

/// An amount in minor units of the plan's currency (cents, for an exponent of 2).
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Money(pub i64);

impl Money {
    /// The largest amount, either sign, that may enter the engine: amounts up to here survive a round trip
    /// through an IEEE double with two decimals, which is how the drop-in API prints them.
    pub const MAX: Money = Money(10_000_000_000_000);

    /// `rate` of this amount. Rounded half away from zero, once; the only rounding of money in the engine.
    #[must_use]
    pub fn basis_points(self, rate: BasisPoints) -> Money {
        let product = i128::from(self.0) * i128::from(rate.0);
        let half = if product < 0 { -5_000 } else { 5_000 };
        let rounded = (product + half) / 10_000;
        Money(
            i64::try_from(rounded).expect("amounts and rates are bounded, so their product over 10,000 fits"),
        )
    }

    /// Whether the amount is within `-Money::MAX..=Money::MAX`.
    pub fn in_range(self) -> bool {
        -Self::MAX.0 <= self.0 && self.0 <= Self::MAX.0
    }
}

/// A rate in hundredths of a percent: 10,000 is 100%.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BasisPoints(pub u32);

impl BasisPoints {
    /// 100%.
    pub const WHOLE: BasisPoints = BasisPoints(10_000);
}

/// One of the two genealogies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, FromRepr)]
#[repr(u8)]
pub enum Tree {
    /// Who recruited whom; unlimited width.
    Sponsor = 0,
    /// Who sits below whom, in which slot.
    Placement = 1,
}

/// Account status. Codes are on disk: never renumbered.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[derive(EnumString, FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    #[default]
    Active = 0,
    /// Keeps slot and counts, cannot sponsor, earns nothing; may become active again.
    Inactive = 1,
    /// As inactive, permanently.
    Terminated = 2,
}

impl Status {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Role inside the network (not an access right). Codes are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[derive(EnumString, FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    Member = 0,
    /// Counted and paid beyond the level cap (at most `ADMINS_MAX` in a network).
    Admin = 1,
}

impl Role {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// State of a bonus entry. Codes are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[derive(EnumString, FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum EntryStatus {
    /// Owed: a payout takes it.
    Pending = 0,
    Paid = 1,
    /// Owed, but no payout takes it until it is released.
    Held = 2,
    /// Never to be paid.
    Void = 3,
}

impl EntryStatus {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Trigger names that a network may have in its life.
pub const KINDS_MAX: usize = 4_096;
/// The same limit for commands that were logged before format 4.
pub(crate) const KINDS_MAX_BEFORE_FORMAT_4: usize = 16;

/// The longest referral code, in bytes.
pub const CODE_BYTES_MAX: usize = 64;

/// A referral code as its owner writes it: `[A-Za-z0-9_-]{1,64}`. Codes are case-insensitive.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Code(Box<str>);

impl Code {
    /// Checks length and alphabet. E-mail addresses are refused by the alphabet: no personal data in the
    /// engine.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let length_is_right = (1..=CODE_BYTES_MAX).contains(&text.len());
        (length_is_right && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0.into()
    }

    /// The form in which codes are compared and looked up.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// As [`Code::folded`], with O as 0 and with I and L as 1: codes that people confuse share one form.
    pub fn alike(&self) -> String {
        alike(&self.folded())
    }

    /// Whether it reads as a UUID: 32 hexadecimal digits with the usual four hyphens, or with none. Other
    /// UUID forms are outside a code's alphabet.
    pub fn reads_as_id(&self) -> bool {
        let hyphens = self.0.len() == 36 && [8, 13, 18, 23].iter().all(|at| self.0.as_bytes()[*at] == b'-');
        let digits = self.0.bytes().filter(u8::is_ascii_hexdigit).count();
        digits == 32 && (self.0.len() == 32 || hyphens)
    }
}

/// See [`Code::alike`]; `folded` is [`Code::folded`].
pub fn alike(folded: &str) -> String {
    let alike = |letter| match letter {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    folded.chars().map(alike).collect()
}

/// The longest reference, in characters.
pub const REFERENCE_CHARS_MAX: usize = 64;

/// The external name of the order, invoice or payment behind a bonus: 1 to 64 printable characters, no blanks
/// at the ends. Compared exactly.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reference(Box<str>);

impl Reference {
    /// Checks length and characters. Invisible characters (control, directional and zero-width) are refused:
    /// two references that look the same are the same.
    pub fn parse(text: &str) -> Option<Self> {
        is_line(text, REFERENCE_CHARS_MAX).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// Why somebody did something, in a person's words: 1 to 200 printable characters, no blanks at the ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason(Box<str>);

impl Reason {
    /// Checks length and characters, as for a [`Reference`].
    pub fn parse(text: &str) -> Option<Self> {
        is_line(text, REASON_CHARS_MAX).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is a line of 1 to `chars_max` visible characters without blanks at its ends.
fn is_line(text: &str, chars_max: usize) -> bool {
    let hidden = |letter: char| {
        let is_format = matches!(
            letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        );
        letter.is_control() || is_format
    };
    let length_is_right = (1..=chars_max).contains(&text.chars().take(chars_max + 1).count());
    length_is_right && text.trim() == text && !text.contains(hidden)
}

const _: () = assert!(size_of::<MemberIx>() == 4);
const _: () = assert!(size_of::<Money>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_half_away_from_zero() {
        // amount, basis points, result
        let table = [
            (1, 5_000, 1),
            (-1, 5_000, -1),
            (1, 4_999, 0),
            (333, 3_333, 111),
            (-333, 3_333, -111),
            (0, 10_000, 0),
            (Money::MAX.0, 10_000, Money::MAX.0),
        ];
        for (amount, rate, expected) in table {
            assert_eq!(Money(amount).basis_points(BasisPoints(rate)), Money(expected), "{amount} at {rate}");
        }
    }

    #[test]
    fn codes_have_one_alphabet_and_no_case() {
        let longest = "x".repeat(CODE_BYTES_MAX);
        for good in ["a", "Ab-9_", longest.as_str()] {
            assert!(Code::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a@b", "a b", "ü", &format!("{longest}x")] {
            assert!(Code::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(Code::parse("AbC").unwrap().folded(), "abc");
        assert_eq!(Code::parse("O0-Il1L_x").unwrap().alike(), "00-1111_x");
    }

    #[test]
    fn codes_that_read_as_ids_are_told() {
        // code, whether it reads as a UUID
        let table = [
            ("00010203-0405-0607-0809-0a0b0c0d0eff", true),
            ("00010203-0405-0607-0809-0A0B0C0D0EFF", true),
            ("000102030405060708090a0b0c0d0eff", true),
            ("00010203-0405-0607-0809-0a0b0c0d0efg", false),
            ("000102030-405-0607-0809-0a0b0c0d0eff", false),
            ("000102030405060708090a0b0c0d0ef", false),
            ("000102030405060708090a0b0c0d0eff0", false),
            ("00010203_0405_0607_0809_0a0b0c0d0eff", false),
            ("27964E70", false),
        ];
        for (text, expected) in table {
            assert_eq!(Code::parse(text).unwrap().reads_as_id(), expected, "{text}");
        }
    }

    #[test]
    fn references_are_short_and_show() {
        let longest = "\u{fc}".repeat(REFERENCE_CHARS_MAX);
        for good in ["7", "Order 7/2026", "\u{bd}\u{2116}", longest.as_str()] {
            assert_eq!(Reference::parse(good).as_ref().map(Reference::as_str), Some(good));
        }
        for bad in
            ["", " ", "7 ", "\t7", "7\n", "a\u{200b}b", "\u{feff}7", "a\u{202e}b", &format!("{longest}x")]
        {
            assert_eq!(Reference::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ids_print_hyphenated() {
        let id = MemberId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(id.to_string(), "00010203-0405-0607-0809-0a0b0c0d0eff");
    }
}
