//! What commands contain, as fields of a record.

use super::{
    bytes::Reader,
    error::{DecodeError, EncodeError},
    fields::{Bound, Field, RECORD_V1, RECORD_V2, RECORD_V3},
};
use crate::core::{
    command::{
        Carried, ChangeEntry, ImportEntry, Origin, PayFilter, PlacementRequest, Register, SponsorRef,
        TriggerBonus,
    },
    types::Status,
};

/// What all fields of some content together need. Those after `and` came later than others of their type.
macro_rules! of_all {
    ($type:ident { $($field:ident),+ } $(and $later:ident since $since:literal)?) => {
        fn bound(&self) -> Bound {
            let $type { $($field),+ } = self;
            Bound::default()$(.and($field.bound()))+
        }

        fn since(&self) -> u32 {
            let $type { $($field),+ } = self;
            1$(.max($field.since()))+$(.max(if $later.is_some() { $since } else { 1 }))?
        }
    };
}

/// Contents whose fields follow one another in all versions.
macro_rules! in_order {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl Field for $type {
            of_all!($type { $($field),+ });

            #[inline]
            fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                let $type { $($field),+ } = self;
                $($field.put(version, out)?;)+
                Ok(())
            }

            #[inline]
            fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
                $(let $field = Field::take(body, version)?;)+
                Ok($type { $($field),+ })
            }
        }
    };
}
pub(super) use {in_order, of_all};

in_order!(Register { member, sponsor, placement, code, role, joined_at, origin });
in_order!(PayFilter { up_to_lsn, kind, receiver, from, until });
in_order!(ChangeEntry { entry, change, reason });

impl Field for SponsorRef {
    #[inline]
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            SponsorRef::None => out.push(0),
            SponsorRef::Member(member) => {
                out.push(1);
                member.put(version, out)?;
            }
            SponsorRef::Code(code) => {
                out.push(2);
                code.put(version, out)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        match body.u8()? {
            0 => Ok(SponsorRef::None),
            1 => Field::take(body, version).map(SponsorRef::Member),
            2 => Field::take(body, version).map(SponsorRef::Code),
            _ => Err(body.error_before("an unknown kind of sponsor")),
        }
    }

    fn bound(&self) -> Bound {
        match self {
            SponsorRef::None => Bound::of(1),
            SponsorRef::Member(member) => Bound::of(1).and(member.bound()),
            SponsorRef::Code(code) => Bound::of(1).and(code.bound()),
        }
    }
}

impl Field for PlacementRequest {
    #[inline]
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            PlacementRequest::PlanDefault => out.push(0),
            PlacementRequest::Rule(rule) => {
                out.push(1);
                rule.put(version, out)?;
            }
            PlacementRequest::Slot { parent, slot } => {
                out.push(2);
                parent.put(version, out)?;
                slot.put(version, out)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        match body.u8()? {
            0 => Ok(PlacementRequest::PlanDefault),
            1 => Field::take(body, version).map(PlacementRequest::Rule),
            2 => Ok(PlacementRequest::Slot {
                parent: Field::take(body, version)?,
                slot: Field::take(body, version)?,
            }),
            _ => Err(body.error_before("an unknown kind of placement")),
        }
    }

    fn bound(&self) -> Bound {
        match self {
            PlacementRequest::PlanDefault => Bound::of(1),
            PlacementRequest::Rule(rule) => Bound::of(1).and(rule.bound()),
            PlacementRequest::Slot { parent, slot } => Bound::of(1).and(parent.bound()).and(slot.bound()),
        }
    }
}

impl Field for Origin {
    #[inline]
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Origin::Signup => out.push(0),
            Origin::Import(carried) => {
                out.push(1);
                if version != RECORD_V1 {
                    put_carried(*carried, version, out)?;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        match (body.u8()?, version) {
            (0, version) if version != RECORD_V2 => Ok(Origin::Signup),
            (1, RECORD_V1) => Ok(Origin::Import(Carried::default())),
            (1, _) => take_carried(body, version).map(Origin::Import),
            _ => Err(body.error_before("an unknown origin")),
        }
    }

    fn bound(&self) -> Bound {
        let Carried { row_id, lifetime_rank, turn, status, sponsor_too } = self.carried();
        let carried = row_id.bound().and(lifetime_rank.bound()).and(turn.bound());
        Bound::of(1).and(carried).and(status.bound()).and(sponsor_too.bound())
    }
}

#[inline]
fn put_carried(carried: Carried, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Carried { row_id, lifetime_rank, turn, status, sponsor_too } = carried;
    row_id.put(version, out)?;
    lifetime_rank.put(version, out)?;
    turn.put(version, out)?;
    if RECORD_V3 <= version {
        status.put(version, out)?;
        sponsor_too.put(version, out)?;
    } else if status != Status::Active || sponsor_too {
        return Err(EncodeError::NotBefore(3));
    }
    Ok(())
}

#[inline]
fn take_carried(body: &mut Reader<'_>, version: u16) -> Result<Carried, DecodeError> {
    let mut carried = Carried {
        row_id: Field::take(body, version)?,
        lifetime_rank: Field::take(body, version)?,
        turn: Field::take(body, version)?,
        ..Carried::default()
    };
    if RECORD_V3 <= version {
        carried.status = Field::take(body, version)?;
        carried.sponsor_too = Field::take(body, version)?;
    }
    if carried == Carried::default() && version == RECORD_V2 {
        return Err(body.error("something carried along that is nothing"));
    }
    Ok(carried)
}

/// The reference came with version 3.
impl Field for TriggerBonus {
    #[inline]
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let TriggerBonus { source, trigger, amount, once, reference } = self;
        source.put(version, out)?;
        trigger.put(version, out)?;
        amount.put(version, out)?;
        once.put(version, out)?;
        if RECORD_V3 <= version { reference.put(version, out) } else { Ok(()) }
    }

    #[inline]
    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        Ok(TriggerBonus {
            source: Field::take(body, version)?,
            trigger: Field::take(body, version)?,
            amount: Field::take(body, version)?,
            once: Field::take(body, version)?,
            reference: if RECORD_V3 <= version { Field::take(body, version)? } else { None },
        })
    }

    of_all!(TriggerBonus { source, trigger, amount, once, reference });
}

/// Version 1 has no row id, version 2 always one. Reference and reversed entry came with version 3.
impl Field for ImportEntry {
    #[inline]
    fn put(&self, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let ImportEntry { receiver, source, kind, level, amount, status, time, row_id, reference, reverses } =
            self;
        receiver.put(version, out)?;
        source.put(version, out)?;
        kind.put(version, out)?;
        level.put(version, out)?;
        amount.put(version, out)?;
        status.put(version, out)?;
        time.put(version, out)?;
        if RECORD_V3 <= version {
            row_id.put(version, out)?;
            reference.put(version, out)?;
            reverses.put(version, out)
        } else {
            row_id.map_or(Ok(()), |id| id.put(version, out))
        }
    }

    #[inline]
    fn take(body: &mut Reader<'_>, version: u16) -> Result<Self, DecodeError> {
        let mut entry = ImportEntry {
            receiver: Field::take(body, version)?,
            source: Field::take(body, version)?,
            kind: Field::take(body, version)?,
            level: Field::take(body, version)?,
            amount: Field::take(body, version)?,
            status: Field::take(body, version)?,
            time: Field::take(body, version)?,
            row_id: None,
            reference: None,
            reverses: None,
        };
        match version {
            RECORD_V1 => {}
            RECORD_V2 => entry.row_id = Some(Field::take(body, version)?),
            _ => {
                entry.row_id = Field::take(body, version)?;
                entry.reference = Field::take(body, version)?;
                entry.reverses = Field::take(body, version)?;
            }
        }
        Ok(entry)
    }

    of_all!(ImportEntry {
        receiver, source, kind, level, amount, status, time, row_id, reference, reverses
    } and reverses since 3);
}
