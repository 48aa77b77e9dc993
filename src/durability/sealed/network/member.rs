//! A member at a boundary, and its canonical bytes.

use std::borrow::Cow;

use crate::{
    core::types::Timestamp,
    durability::error::{Error, Result},
};

/// The longest text of a member.
const TEXT_BYTES_MAX: usize = 254;
const TAGS_MAX: usize = 255;

/// A member at the boundary of a period. Other members are named by their number: the position among all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BoundaryMember<'m> {
    /// The bytes of its UUID.
    pub id: [u8; 16],
    pub joined_at: Timestamp,
    /// Its referral code, if it was given one.
    pub code: Option<Cow<'m, str>>,
    pub sponsor: Option<u32>,
    pub parent: Option<u32>,
    pub slot: u32,
    pub status: Cow<'m, str>,
    pub role: Cow<'m, str>,
    pub rank: Option<u16>,
    pub market: Option<Cow<'m, str>>,
    /// The member that the position belongs to; `None` for itself.
    pub owner: Option<u32>,
    pub tags: Vec<BoundaryTag<'m>>,
}

/// A tag that a member has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoundaryTag<'m> {
    pub tag: Cow<'m, str>,
    /// From when it holds, and the first instant at which it no longer does.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl BoundaryMember<'_> {
    /// Replaces `out` by its canonical bytes: UUID, time of joining (8), sponsor, parent, slot, owner (4
    /// each, all ones for none), rank (4, likewise), the number of tags (1); code, status, role and market as
    /// texts; of each tag its name and both times. A text is its length plus one (1), 0 for none, and its
    /// bytes; a time that may be missing is 1 and the time (8), or 0.
    ///
    /// # Errors
    /// `BadSeal` for a text that is too long, or too many tags.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let bad = || Error::BadSeal(format!("member {}: too long", uuid::Uuid::from_bytes(self.id)));
        let texts = [self.code.as_deref(), Some(&*self.status), Some(&*self.role), self.market.as_deref()];
        let all = texts.iter().flatten().copied().chain(self.tags.iter().map(|tag| &*tag.tag));
        if TAGS_MAX < self.tags.len() || all.map(str::len).any(|length| TEXT_BYTES_MAX < length) {
            return Err(bad());
        }
        out.clear();
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.joined_at.0.to_le_bytes());
        let numbers = [self.sponsor, self.parent, Some(self.slot), self.owner, self.rank.map(u32::from)];
        for number in numbers {
            out.extend_from_slice(&number.unwrap_or(u32::MAX).to_le_bytes());
        }
        out.push(u8::try_from(self.tags.len()).map_err(|_| bad())?);
        for text in texts {
            put_text(text, out);
        }
        for tag in &self.tags {
            put_text(Some(&tag.tag), out);
            for time in [tag.since, tag.until] {
                out.push(time.is_some().into());
                out.extend(time.iter().flat_map(|time| time.0.to_le_bytes()));
            }
        }
        Ok(())
    }
}

/// Appends a text of checked length.
fn put_text(text: Option<&str>, out: &mut Vec<u8>) {
    out.push(text.map_or(0, |text| u8::try_from(text.len() + 1).expect("it was checked")));
    out.extend(text.iter().flat_map(|text| text.bytes()));
}
