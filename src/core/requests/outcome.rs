//! Outcomes as 24 bytes each: what is kept of the first answer to an idempotency key, in memory and in
//! snapshots.
//!
//! `{kind u16, small u16, middle u32, first u64, second u64}`. The kind is the number in the table of
//! commands (`core/requests/command.rs`), 0 for a rejection. Each field takes the first free place of its
//! size, a second number of 32 bits one of 64. Places that a kind does not use are 0.

use crate::core::{
    requests::command::{Outcome, Rejection, WideMoney, commands},
    words::types::MemberIx,
};

/// Bytes of an outcome.
pub const OUTCOME_BYTES: usize = 24;

/// What is wrong with bytes that are not an outcome, and the offset of it.
type Wrong = (usize, &'static str);

/// The places for the fields of an outcome, and how many of them are taken.
#[derive(Default)]
struct Places {
    small: u16,
    middle: u32,
    long: [u64; 2],
    is_middle_taken: bool,
    longs_taken: usize,
}

impl Places {
    /// Returns the next place of 64 bits.
    fn next_long(&mut self) -> &mut u64 {
        self.longs_taken += 1;
        &mut self.long[self.longs_taken - 1]
    }

    /// Returns the next number of 32 bits in a place of 64.
    fn long_u32(&mut self) -> Result<u32, Wrong> {
        u32::try_from(*self.next_long()).map_err(|_| (16, "an outcome with a number beyond 32 bits"))
    }
}

/// A field of an outcome.
trait Placed: Sized {
    fn put(self, places: &mut Places);

    fn take(places: &mut Places) -> Result<Self, Wrong>;
}

impl Placed for bool {
    fn put(self, places: &mut Places) {
        places.small = self.into();
    }

    fn take(places: &mut Places) -> Result<Self, Wrong> {
        Ok(places.small == 1)
    }
}

impl Placed for u32 {
    fn put(self, places: &mut Places) {
        if std::mem::replace(&mut places.is_middle_taken, true) {
            *places.next_long() = self.into();
        } else {
            places.middle = self;
        }
    }

    fn take(places: &mut Places) -> Result<Self, Wrong> {
        if std::mem::replace(&mut places.is_middle_taken, true) {
            places.long_u32()
        } else {
            Ok(places.middle)
        }
    }
}

impl Placed for MemberIx {
    fn put(self, places: &mut Places) {
        self.0.put(places);
    }

    fn take(places: &mut Places) -> Result<Self, Wrong> {
        u32::take(places).map(MemberIx)
    }
}

impl Placed for u64 {
    fn put(self, places: &mut Places) {
        *places.next_long() = self;
    }

    fn take(places: &mut Places) -> Result<Self, Wrong> {
        Ok(*places.next_long())
    }
}

/// The lower 64 bits, then the upper 32.
impl Placed for WideMoney {
    fn put(self, places: &mut Places) {
        let (high, low) = self.parts();
        low.put(places);
        u64::from(high.cast_unsigned()).put(places);
    }

    fn take(places: &mut Places) -> Result<Self, Wrong> {
        let low = u64::take(places)?;
        Ok(WideMoney::of_parts(places.long_u32()?.cast_signed(), low))
    }
}

macro_rules! outcomes_of_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
    )+) => {
        /// Puts the fields into their places, and returns the number of the kind.
        fn put(outcome: Outcome, places: &mut Places) -> u16 {
            match outcome {
                Outcome::Rejected(rejection) => {
                    places.small = rejection as u16;
                    0
                }
                $($(Outcome::$outcome { $($part),+ } => {
                    $($part.put(places);)+
                    $number
                })?)+
            }
        }

        fn take(kind: u16, places: &mut Places) -> Result<Outcome, Wrong> {
            Ok(match kind {
                0 => {
                    Outcome::Rejected(Rejection::from_repr(places.small).ok_or((2, "an unknown rejection"))?)
                }
                $($($number => Outcome::$outcome { $($part: Placed::take(places)?),+ },)?)+
                _ => return Err((0, "an unknown kind of outcome")),
            })
        }
    };
}
commands!(outcomes_of_commands);

impl Outcome {
    /// The outcome as bytes.
    pub fn to_bytes(self) -> [u8; OUTCOME_BYTES] {
        let mut places = Places::default();
        let kind = put(self, &mut places);
        let Places { small, middle, long: [first, second], .. } = places;
        let mut out = [0; OUTCOME_BYTES];
        out[0..2].copy_from_slice(&kind.to_le_bytes());
        out[2..4].copy_from_slice(&small.to_le_bytes());
        out[4..8].copy_from_slice(&middle.to_le_bytes());
        out[8..16].copy_from_slice(&first.to_le_bytes());
        out[16..24].copy_from_slice(&second.to_le_bytes());
        out
    }

    /// The outcome of these bytes.
    ///
    /// # Errors
    /// If they are not an outcome: an unknown kind or rejection, or a nonzero field that should be 0.
    pub fn of_bytes(bytes: &[u8; OUTCOME_BYTES]) -> Result<Self, Wrong> {
        let kind = u16::from_le_bytes(part(bytes, 0));
        let (small, middle) = (u16::from_le_bytes(part(bytes, 2)), u32::from_le_bytes(part(bytes, 4)));
        let long = [8, 16].map(|at| u64::from_le_bytes(part(bytes, at)));
        let outcome = take(kind, &mut Places { small, middle, long, ..Places::default() })?;
        // Each outcome has one form: we did not write anything that encodes differently.
        if outcome.to_bytes() != *bytes {
            return Err((0, "an outcome with fields it does not have"));
        }
        Ok(outcome)
    }
}

fn part<const N: usize>(bytes: &[u8; OUTCOME_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|byte| bytes[at + byte])
}
