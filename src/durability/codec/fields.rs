//! Fields of a record: values that follow one another.

use super::{
    bytes::{Reader, put_text},
    commerce::commerce_bytes_bound,
    error::{DecodeError, EncodeError, PLAN_BYTES_MAX},
    plan::{COMMERCE_SINCE, PlanForm, decode_plan, encode_plan},
};
use crate::core::{
    command::EntryChange,
    plan::{PlacementRule, Plan, commerce::Commerce},
    types::{Code, EntryStatus, MemberId, Money, Reason, Reference, Role, Status, Timestamp},
};

/// Version of records of formats 1 and 2 that carry nothing over.
pub(super) const RECORD_V1: u16 = 1;
/// Version of registrations and imported entries of format 2 that carry something over: the fields of version
/// 1, followed by that. Those that carry nothing over are of version 1, so that each command has one form.
pub(super) const RECORD_V2: u16 = 2;
/// Version of all records of format 3: the actor precedes the fields, and carried-over values are always
/// included. Commands without an actor come from a log of an older format, and keep their form: older
/// releases can read that log as long as nothing of format 3 is in it.
pub(super) const RECORD_V3: u16 = 3;
/// Version of all records of format 4: the fields of version 3, with more states of an imported entry and one
/// more kind. It tells commands that are replayed under the rules of format 4 from those before.
pub(super) const RECORD_V4: u16 = 4;
/// Version of all records of format 5: the fields of version 4, and one more kind. It tells commands that are
/// replayed under the rules of format 5 from those before.
pub(super) const RECORD_V5: u16 = 5;
/// Version of all records of format 6: the fields of version 5, and plans with what they say about orders.
pub(super) const RECORD_V6: u16 = 6;
/// Version of all records of format 7: the fields of version 6, and more kinds.
pub(super) const RECORD_V7: u16 = 7;

/// A value with one form in records of a version.
pub(super) trait Field: Sized {
    /// Appends it to a record.
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Takes it off the front of a record.
    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError>;

    /// Returns a bound on its bytes in any version. O(1).
    fn bound(&self) -> Bound;

    /// Returns the first format whose logs can express it.
    fn since(&self) -> u32 {
        1
    }
}

/// How long the fields of a record can be.
#[derive(Clone, Copy, Default)]
pub(super) struct Bound {
    pub bytes: usize,
    /// Bytes of the longest text that may be as long as a client likes.
    pub longest_text: usize,
}

impl Bound {
    /// Returns the bound of a field of so many bytes.
    pub fn of(bytes: usize) -> Self {
        Self { bytes, longest_text: 0 }
    }

    /// Returns the bound of these fields and more.
    pub fn and(self, other: Self) -> Self {
        let Self { bytes, longest_text } = other;
        Self { bytes: self.bytes + bytes, longest_text: self.longest_text.max(longest_text) }
    }
}

/// Fields of a fixed size: at most that of the value in memory. How their bytes are put, and how they are
/// taken.
macro_rules! plain {
    ($($type:ty: |$value:ident, $out:ident| $put:expr, |$body:ident| $take:expr;)+) => {
        $(
            impl Field for $type {
                fn bound(&self) -> Bound {
                    Bound::of(size_of::<$type>())
                }

                #[inline]
                fn put(&self, _version: u16, $out: &mut Vec<u8>) -> Result<(), EncodeError> {
                    let $value = self;
                    $put;
                    Ok(())
                }

                #[inline]
                fn take($body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
                    $take
                }
            }
        )+
    };
}
plain! {
    bool: |value, out| out.push(u8::from(*value)), |body| body.flag();
    u8: |value, out| out.push(*value), |body| body.u8();
    u16: |value, out| out.extend_from_slice(&value.to_le_bytes()), |body| body.u16();
    u32: |value, out| out.extend_from_slice(&value.to_le_bytes()), |body| body.u32();
    u64: |value, out| out.extend_from_slice(&value.to_le_bytes()), |body| body.u64();
    i64: |value, out| out.extend_from_slice(&value.to_le_bytes()), |body| body.i64();
    [u8; 16]: |value, out| out.extend_from_slice(value), |body| body.array();
    [u8; 32]: |value, out| out.extend_from_slice(value), |body| body.array();
    MemberId: |value, out| out.extend_from_slice(&value.0), |body| Ok(MemberId(body.array()?));
    Money: |value, out| out.extend_from_slice(&value.0.to_le_bytes()), |body| Ok(Money(body.i64()?));
    Timestamp: |value, out| out.extend_from_slice(&value.0.to_le_bytes()), |body| Ok(Timestamp(body.i64()?));
    Status: |value, out| out.push(*value as u8), |body| body.code(Status::from_repr, "an unknown status");
    Role: |value, out| out.push(*value as u8), |body| body.code(Role::from_repr, "an unknown role");
    EntryChange: |value, out| out.push(*value as u8),
        |body| body.code(EntryChange::from_repr, "an unknown change of an entry");
    PlacementRule: |value, out| out.push(*value as u8),
        |body| body.code(PlacementRule::from_repr, "an unknown placement rule");
}

/// Held and void came with version 4.
impl Field for EntryStatus {
    #[inline]
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(*self as u8);
        Ok(())
    }

    #[inline]
    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        let status_of = |code| {
            let is_known =
                |status: &EntryStatus| RECORD_V4 <= version || matches!(status, Self::Pending | Self::Paid);
            Self::from_repr(code).filter(is_known)
        };
        body.code(status_of, "an unknown entry status")
    }

    fn bound(&self) -> Bound {
        Bound::of(1)
    }

    fn since(&self) -> u32 {
        if matches!(self, Self::Held | Self::Void) { 4 } else { 1 }
    }
}

/// A flag, and the value if it is 1.
impl<T: Field> Field for Option<T> {
    #[inline]
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.is_some().put(version, out)?;
        self.as_ref().map_or(Ok(()), |value| value.put(version, out))
    }

    #[inline]
    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        Ok(if body.flag()? { Some(T::take(body, version)?) } else { None })
    }

    fn bound(&self) -> Bound {
        let value = self.as_ref().map(Field::bound).unwrap_or_default();
        Bound::of(1).and(value)
    }

    fn since(&self) -> u32 {
        self.as_ref().map_or(1, Field::since)
    }
}

impl Field for Box<str> {
    #[inline]
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_text(self, out)
    }

    #[inline]
    fn take(body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
        Ok(body.text()?.into())
    }

    fn bound(&self) -> Bound {
        Bound { longest_text: self.len(), ..text_bound(self) }
    }
}

/// Returns the bound of a text.
fn text_bound(text: &str) -> Bound {
    Bound::of(2 + text.len())
}

impl Field for Code {
    #[inline]
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_text(self.as_str(), out)
    }

    #[inline]
    fn take(body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
        let error = body.error("no referral code");
        Code::parse(body.text()?).ok_or(error)
    }

    fn bound(&self) -> Bound {
        text_bound(self.as_str())
    }
}

impl Field for Reference {
    #[inline]
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_text(self.as_str(), out)
    }

    #[inline]
    fn take(body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
        let error = body.error("no reference");
        Reference::parse(body.text()?).ok_or(error)
    }

    fn bound(&self) -> Bound {
        text_bound(self.as_str())
    }

    fn since(&self) -> u32 {
        3
    }
}

impl Field for Reason {
    #[inline]
    fn put(&self, _version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_text(self.as_str(), out)
    }

    #[inline]
    fn take(body: &mut Reader<'_>, _version: u16) -> Result<Self, DecodeError> {
        let error = body.error("no reason");
        Reason::parse(body.text()?).ok_or(error)
    }

    fn bound(&self) -> Bound {
        text_bound(self.as_str())
    }
}

impl Field for Box<Plan> {
    #[inline]
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode_plan(self, plan_form(version), out)
    }

    #[inline]
    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        Ok(Box::new(decode_plan(body, plan_form(version))?))
    }

    /// That of any plan without orders; what it says about them is counted.
    fn bound(&self) -> Bound {
        Bound::of(PLAN_BYTES_MAX + commerce_bytes_bound(&self.commerce))
    }

    fn since(&self) -> u32 {
        if self.commerce == Commerce::default() { 1 } else { COMMERCE_SINCE }
    }
}

fn plan_form(version: u16) -> PlanForm {
    if version < RECORD_V6 { PlanForm::WithoutOrders } else { PlanForm::Whole }
}
