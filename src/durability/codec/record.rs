//! The record of a command.

use super::{
    bytes::{Reader, put_optional, put_text},
    error::{DecodeError, EncodeError},
    plan::{decode_plan, encode_plan},
};
use crate::core::{
    ACTOR_ID_BYTES_MAX, Actor, ActorKind,
    command::{
        Carried, ChangeEntry, Command, EntryChange, ImportEntry, Origin, PayFilter, PlacementRequest,
        Register, RequestKey, SponsorRef, Stamped, TriggerBonus,
    },
    plan::PlacementRule,
    types::{Code, EntryStatus, MemberId, Money, Reason, Reference, Role, Status, Timestamp},
};

/// Version of records of formats 1 and 2 that carry nothing over.
const RECORD_V1: u16 = 1;
/// Version of registrations and imported entries of format 2 that carry something over: the fields of version
/// 1, followed by that. Those that carry nothing over are of version 1, so that each command has one form.
const RECORD_V2: u16 = 2;
/// Version of all records of format 3: the actor precedes the fields, and carried-over values are always
/// included. Commands without an actor come from a log of an older format, and keep their form: older
/// releases can read that log as long as nothing of format 3 is in it.
const RECORD_V3: u16 = 3;
/// Version of all records of format 4: the fields of version 3, with more states of an imported entry and one
/// more kind. It tells commands that are replayed under the rules of format 4 from those before.
const RECORD_V4: u16 = 4;
/// `{kind u16, version u16, length u32}`.
pub const RECORD_HEADER_BYTES: usize = 8;
/// Limit on bytes of a record: the largest full plan takes about 8 KiB. This and the number of commands bound
/// a group.
pub const RECORD_BYTES_MAX: usize = 12 * 1_024;

/// Appends the records of a group to `out`.
///
/// # Errors
/// A text or list is too long; `out` may then hold a part of the group.
pub fn encode_group(group: &[Stamped], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    group.iter().try_for_each(|stamped| encode_record(stamped, out))
}

/// Decodes the records of `count` commands from `first_lsn` on, and appends the commands to `out`.
///
/// # Errors
/// The first error in the bytes; `out` may then hold some commands before it.
pub fn decode_group(
    body: &[u8],
    first_lsn: u64,
    count: u32,
    out: &mut Vec<Stamped>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    // Trust a count only as far as the bytes could hold it.
    let least_bytes = RECORD_HEADER_BYTES + 9;
    out.reserve((count as usize).min(body.len() / least_bytes + 1));
    for position in 0..u64::from(count) {
        let lsn = first_lsn.checked_add(position).ok_or_else(|| reader.error("an LSN beyond 64 bits"))?;
        out.push(decode_record(&mut reader, lsn)?);
    }
    reader.finish()
}

/// Iterates over the records of a group's plain body.
pub(crate) fn records(body: &[u8]) -> Records<'_> {
    Records(Reader::new(body))
}

/// See [`records`].
pub(crate) struct Records<'a>(Reader<'a>);

impl<'a> Records<'a> {
    /// Returns the bytes of the next record, header included.
    ///
    /// # Errors
    /// If there is none, or it is longer than the bytes that are left.
    pub(crate) fn next_record(&mut self) -> Result<&'a [u8], DecodeError> {
        let header = self.0.peek(RECORD_HEADER_BYTES)?;
        let length = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
        self.0.take(RECORD_HEADER_BYTES.saturating_add(length as usize))
    }
}

/// Returns the bytes of one command's record.
///
/// # Errors
/// As `encode_group`.
pub fn record_bytes(stamped: &Stamped) -> Result<usize, EncodeError> {
    let mut out = Vec::with_capacity(256);
    encode_record(stamped, &mut out)?;
    Ok(out.len())
}

fn encode_record(stamped: &Stamped, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&stamped.command.kind().to_le_bytes());
    let version = version_of(stamped);
    if version < RECORD_V3 && stamped.command.needs_format_3() {
        return Err(EncodeError::NotBeforeFormat3);
    }
    if version < RECORD_V4 && stamped.command.needs_format_4() {
        return Err(EncodeError::NotBeforeFormat4);
    }
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&stamped.time.0.to_le_bytes());
    match &stamped.key {
        None => out.push(0),
        Some(key) => {
            out.push(1);
            out.extend_from_slice(&key.key);
            out.extend_from_slice(&key.fingerprint.to_le_bytes());
        }
    }
    if let Some(actor) = &stamped.actor {
        out.push(actor.kind() as u8);
        put_text(actor.id(), out)?;
    }
    match &stamped.command {
        Command::Register(register) => encode_register(register, version, out)?,
        Command::TriggerBonus(trigger) => {
            out.extend_from_slice(&trigger.source.0);
            put_text(&trigger.trigger, out)?;
            put_optional(trigger.amount.map(|amount| amount.0), out);
            out.push(u8::from(trigger.once));
            if RECORD_V3 <= version {
                put_reference(trigger.reference.as_ref(), out)?;
            }
        }
        Command::PayEntry { entry } | Command::ReverseEntry { entry } => {
            out.extend_from_slice(&entry.to_le_bytes());
        }
        Command::PayAll => {}
        Command::SetStatus { member, status } => {
            out.extend_from_slice(&member.0);
            out.push(*status as u8);
        }
        Command::SetRole { member, role } => {
            out.extend_from_slice(&member.0);
            out.push(*role as u8);
        }
        Command::PutPlan(plan) => encode_plan(plan, out)?,
        Command::ImportEntry(entry) => {
            out.extend_from_slice(&entry.receiver.0);
            out.extend_from_slice(&entry.source.0);
            put_text(&entry.kind, out)?;
            out.extend_from_slice(&entry.level.to_le_bytes());
            out.extend_from_slice(&entry.amount.0.to_le_bytes());
            out.push(entry.status as u8);
            out.extend_from_slice(&entry.time.0.to_le_bytes());
            if RECORD_V3 <= version {
                put_links(entry, out)?;
            } else {
                out.extend_from_slice(entry.row_id.as_ref().map_or(&[], |id| &id[..]));
            }
        }
        Command::PayMatching(filter) => encode_filter(filter, out)?,
        Command::ChangeEntry(ChangeEntry { entry, change, reason }) => {
            out.extend_from_slice(&entry.to_le_bytes());
            out.push(*change as u8);
            put_text(reason.as_str(), out)?;
        }
    }
    let length = out.len() - start - RECORD_HEADER_BYTES;
    let length =
        u32::try_from(length).expect("every part of a record is bounded, so its length fits 32 bits");
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn encode_register(register: &Register, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.extend_from_slice(&register.member.0);
    match &register.sponsor {
        SponsorRef::None => out.push(0),
        SponsorRef::Member(member) => {
            out.push(1);
            out.extend_from_slice(&member.0);
        }
        SponsorRef::Code(code) => {
            out.push(2);
            put_text(code.as_str(), out)?;
        }
    }
    match register.placement {
        PlacementRequest::PlanDefault => out.push(0),
        PlacementRequest::Rule(rule) => out.extend_from_slice(&[1, rule as u8]),
        PlacementRequest::Slot { parent, slot } => {
            out.push(2);
            out.extend_from_slice(&parent.0);
            out.extend_from_slice(&slot.to_le_bytes());
        }
    }
    match &register.code {
        None => out.push(0),
        Some(code) => {
            out.push(1);
            put_text(code.as_str(), out)?;
        }
    }
    out.push(register.role as u8);
    put_optional(register.joined_at.map(|time| time.0), out);
    match register.origin {
        Origin::Signup => out.push(0),
        Origin::Import(carried) => {
            out.push(1);
            if version != RECORD_V1 {
                put_carried(carried, version, out)?;
            }
        }
    }
    Ok(())
}

fn put_carried(carried: Carried, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Carried { row_id, lifetime_rank, turn, status, sponsor_too } = carried;
    out.push(u8::from(row_id.is_some()));
    out.extend_from_slice(row_id.as_ref().map_or(&[], |id| &id[..]));
    out.extend_from_slice(&lifetime_rank.to_le_bytes());
    out.extend_from_slice(&turn.to_le_bytes());
    if RECORD_V3 <= version {
        out.extend_from_slice(&[status as u8, u8::from(sponsor_too)]);
    } else if status != Status::Active || sponsor_too {
        return Err(EncodeError::NotBeforeFormat3);
    }
    Ok(())
}

/// Writes its row id, its reference and the entry that it takes back, each preceded by a flag.
fn put_links(entry: &ImportEntry, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_flagged(entry.row_id.as_ref().map(|id| &id[..]), out);
    put_reference(entry.reference.as_ref(), out)?;
    put_flagged(entry.reverses.map(u64::to_le_bytes).as_ref().map(|entry| &entry[..]), out);
    Ok(())
}

fn encode_filter(filter: &PayFilter, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let PayFilter { up_to_lsn, kind, receiver, from, until } = filter;
    put_flagged(up_to_lsn.map(u64::to_le_bytes).as_ref().map(|lsn| &lsn[..]), out);
    out.push(u8::from(kind.is_some()));
    if let Some(kind) = kind {
        put_text(kind, out)?;
    }
    put_flagged(receiver.as_ref().map(|receiver| &receiver.0[..]), out);
    put_optional(from.map(|time| time.0), out);
    put_optional(until.map(|time| time.0), out);
    Ok(())
}

fn decode_filter(body: &mut Reader<'_>) -> Result<PayFilter, DecodeError> {
    Ok(PayFilter {
        up_to_lsn: if body.flag()? { Some(body.u64()?) } else { None },
        kind: if body.flag()? { Some(body.text()?.into()) } else { None },
        receiver: if body.flag()? { Some(MemberId(body.array()?)) } else { None },
        from: body.optional_i64()?.map(Timestamp),
        until: body.optional_i64()?.map(Timestamp),
    })
}

fn put_reference(reference: Option<&Reference>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(u8::from(reference.is_some()));
    reference.map_or(Ok(()), |reference| put_text(reference.as_str(), out))
}

fn decode_reference(body: &mut Reader<'_>) -> Result<Option<Reference>, DecodeError> {
    if !body.flag()? {
        return Ok(None);
    }
    let error = body.error("no reference");
    Reference::parse(body.text()?).map(Some).ok_or(error)
}

fn put_flagged(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    out.push(u8::from(bytes.is_some()));
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn version_of(stamped: &Stamped) -> u16 {
    if stamped.is_of_format_3() {
        return if stamped.is_of_format_4() { RECORD_V4 } else { RECORD_V3 };
    }
    let carries = match &stamped.command {
        Command::Register(register) => {
            !matches!(register.origin, Origin::Signup)
                && register.origin != Origin::Import(Carried::default())
        }
        Command::ImportEntry(entry) => entry.row_id.is_some(),
        _ => false,
    };
    if carries { RECORD_V2 } else { RECORD_V1 }
}

fn decode_record(outer: &mut Reader<'_>, lsn: u64) -> Result<Stamped, DecodeError> {
    let kind_error = outer.error("an unknown kind of record");
    let kind = outer.u16()?;
    let version_error = outer.error("an unknown version of a record");
    let version = outer.u16()?;
    let is_known = match version {
        RECORD_V1 => kind <= 9,
        RECORD_V2 => matches!(kind, 1 | 9),
        RECORD_V3 => kind <= 11,
        RECORD_V4 => true,
        _ => false,
    };
    if !is_known {
        return Err(version_error);
    }
    let length = outer.u32()? as usize;
    let mut body = outer.sub(length)?;
    let time = Timestamp(body.i64()?);
    let key =
        if body.flag()? { Some(RequestKey { key: body.array()?, fingerprint: body.u64()? }) } else { None };
    let actor = if RECORD_V3 <= version { Some(decode_actor(&mut body)?) } else { None };
    let command = match kind {
        1 => Command::Register(decode_register(&mut body, version)?),
        2 => Command::TriggerBonus(TriggerBonus {
            source: MemberId(body.array()?),
            trigger: body.text()?.into(),
            amount: body.optional_i64()?.map(Money),
            once: body.flag()?,
            reference: if RECORD_V3 <= version { decode_reference(&mut body)? } else { None },
        }),
        3 => Command::PayEntry { entry: body.u64()? },
        4 => Command::PayAll,
        5 => Command::SetStatus {
            member: MemberId(body.array()?),
            status: body.code(Status::from_code, "an unknown status")?,
        },
        6 => Command::SetRole {
            member: MemberId(body.array()?),
            role: body.code(Role::from_code, "an unknown role")?,
        },
        7 => Command::PutPlan(Box::new(decode_plan(&mut body)?)),
        9 => Command::ImportEntry(decode_import(&mut body, version)?),
        10 => Command::ReverseEntry { entry: body.u64()? },
        11 => Command::PayMatching(decode_filter(&mut body)?),
        12 => Command::ChangeEntry(ChangeEntry {
            entry: body.u64()?,
            change: body.code(EntryChange::from_code, "an unknown change of an entry")?,
            reason: decode_reason(&mut body)?,
        }),
        _ => return Err(kind_error),
    };
    body.finish()?;
    let format = match version {
        RECORD_V1 | RECORD_V2 => 1,
        version => u32::from(version),
    };
    Ok(Stamped { lsn, time, key, actor, format, command })
}

fn decode_reason(body: &mut Reader<'_>) -> Result<Reason, DecodeError> {
    let error = body.error("no reason");
    Reason::parse(body.text()?).ok_or(error)
}

fn decode_actor(body: &mut Reader<'_>) -> Result<Actor, DecodeError> {
    let kind = body.code(ActorKind::from_code, "an unknown kind of actor")?;
    let error = body.error("the id of an actor that is too long");
    let id = body.text()?;
    if ACTOR_ID_BYTES_MAX < id.len() { Err(error) } else { Ok(Actor::new(kind, id)) }
}

fn decode_import(body: &mut Reader<'_>, version: u16) -> Result<ImportEntry, DecodeError> {
    let mut entry = ImportEntry {
        receiver: MemberId(body.array()?),
        source: MemberId(body.array()?),
        kind: body.text()?.into(),
        level: body.u32()?,
        amount: Money(body.i64()?),
        status: body.code(
            if RECORD_V4 <= version { EntryStatus::from_code } else { entry_status_before_format_4 },
            "an unknown entry status",
        )?,
        time: Timestamp(body.i64()?),
        row_id: None,
        reference: None,
        reverses: None,
    };
    if version == RECORD_V2 || RECORD_V3 <= version && body.flag()? {
        entry.row_id = Some(body.array()?);
    }
    if RECORD_V3 <= version {
        entry.reference = decode_reference(body)?;
        entry.reverses = if body.flag()? { Some(body.u64()?) } else { None };
    }
    Ok(entry)
}

fn decode_register(body: &mut Reader<'_>, version: u16) -> Result<Register, DecodeError> {
    Ok(Register {
        member: MemberId(body.array()?),
        sponsor: match body.u8()? {
            0 => SponsorRef::None,
            1 => SponsorRef::Member(MemberId(body.array()?)),
            2 => SponsorRef::Code(decode_code(body)?),
            _ => return Err(body.error_before("an unknown kind of sponsor")),
        },
        placement: match body.u8()? {
            0 => PlacementRequest::PlanDefault,
            1 => PlacementRequest::Rule(body.code(PlacementRule::from_code, "an unknown placement rule")?),
            2 => PlacementRequest::Slot { parent: MemberId(body.array()?), slot: body.u32()? },
            _ => return Err(body.error_before("an unknown kind of placement")),
        },
        code: if body.flag()? { Some(decode_code(body)?) } else { None },
        role: body.code(Role::from_code, "an unknown role")?,
        joined_at: body.optional_i64()?.map(Timestamp),
        origin: decode_origin(body, version)?,
    })
}

fn decode_code(body: &mut Reader<'_>) -> Result<Code, DecodeError> {
    let error = body.error("no referral code");
    Code::parse(body.text()?).ok_or(error)
}

/// Returns the status of an imported entry by its code in records of earlier versions.
fn entry_status_before_format_4(code: u8) -> Option<EntryStatus> {
    EntryStatus::from_code(code).filter(|status| matches!(status, EntryStatus::Pending | EntryStatus::Paid))
}

fn decode_origin(body: &mut Reader<'_>, version: u16) -> Result<Origin, DecodeError> {
    match (body.u8()?, version) {
        (0, RECORD_V1 | RECORD_V3 | RECORD_V4) => Ok(Origin::Signup),
        (1, RECORD_V1) => Ok(Origin::Import(Carried::default())),
        (1, RECORD_V2 | RECORD_V3 | RECORD_V4) => {
            let row_id = if body.flag()? { Some(body.array()?) } else { None };
            let mut carried =
                Carried { row_id, lifetime_rank: body.u16()?, turn: body.u16()?, ..Carried::default() };
            if RECORD_V3 <= version {
                carried.status = body.code(Status::from_code, "an unknown status")?;
                carried.sponsor_too = body.flag()?;
            }
            if carried == Carried::default() && version == RECORD_V2 {
                Err(body.error("something carried along that is nothing"))
            } else {
                Ok(Origin::Import(carried))
            }
        }
        _ => Err(body.error_before("an unknown origin")),
    }
}
