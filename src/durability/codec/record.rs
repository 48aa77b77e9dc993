//! The record of a command. The fields of each kind are those of its line in the table of commands
//! (`core/requests/command.rs`), one after the other.

use super::{
    bytes::{Reader, put_text},
    error::{DecodeError, EncodeError},
    fields::{Bound, Field, RECORD_V1, RECORD_V2, RECORD_V3, RECORD_V4, RECORD_V5, RECORD_V6, RECORD_V7},
    orders::take_actor,
};
use crate::core::{
    command::{Carried, Command, CommandKind, Origin, RequestKey, Stamped, commands},
    types::Timestamp,
};

/// `{kind u16, version u16, length u32}`.
pub const RECORD_HEADER_BYTES: usize = 8;

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
    out.extend_from_slice(&(stamped.command.kind() as u16).to_le_bytes());
    let version = version_of(stamped);
    let format = format_of(&stamped.command);
    if u32::from(version).max(2) < format {
        return Err(EncodeError::NotBefore(format));
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
    put_content(&stamped.command, version, out)?;
    let length = out.len() - start - RECORD_HEADER_BYTES;
    let length =
        u32::try_from(length).expect("every part of a record is bounded, so its length fits 32 bits");
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

macro_rules! contents_of_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
    )+) => {
        fn put_content(command: &Command, version: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
            match command {
                $(Command::$kind $(($content))? $({ $($field),+ })? => {
                    $($content.put(version, out)?;)?
                    $($($field.put(version, out)?;)+)?
                })+
            }
            Ok(())
        }

        /// Returns the first format whose logs can express a command.
        pub(super) fn format_of(command: &Command) -> u32 {
            match command {
                $(Command::$kind $(($content))? $({ $($field),+ })? => {
                    $since $(.max($content.since()))? $($(.max($field.since()))+)?
                })+
            }
        }

        /// Returns a bound on what a command contains. O(1), where encoding it would copy it.
        fn bound(command: &Command) -> Bound {
            match command {
                $(Command::$kind $(($content))? $({ $($field),+ })? => {
                    Bound::default() $(.and($content.bound()))? $($(.and($field.bound()))+)?
                })+
            }
        }

        fn take_content(
            kind: CommandKind,
            body: &mut Reader<'_>,
            version: u16,
        ) -> Result<Command, DecodeError> {
            Ok(match kind {
                $(CommandKind::$kind => {
                    $(let $content = Field::take(body, version)?;)?
                    $($(let $field = Field::take(body, version)?;)+)?
                    Command::$kind $(($content))? $({ $($field),+ })?
                })+
            })
        }
    };
}
commands!(contents_of_commands);

fn version_of(stamped: &Stamped) -> u16 {
    if stamped.is_of_format_3() {
        return match stamped.format {
            ..4 => RECORD_V3,
            4 => RECORD_V4,
            5 => RECORD_V5,
            6 => RECORD_V6,
            _ => RECORD_V7,
        };
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
    if !(RECORD_V1..=RECORD_V7).contains(&version) {
        return Err(version_error);
    }
    let kind = CommandKind::from_code(kind).ok_or(kind_error)?;
    let is_possible = match version {
        RECORD_V1 => kind.since() < 3,
        RECORD_V2 => matches!(kind, CommandKind::Register | CommandKind::ImportEntry),
        version => kind.since() <= u32::from(version),
    };
    if !is_possible {
        return Err(version_error);
    }
    let length = outer.u32()? as usize;
    let mut body = outer.sub(length)?;
    let time = Timestamp(body.i64()?);
    let key =
        if body.flag()? { Some(RequestKey { key: body.array()?, fingerprint: body.u64()? }) } else { None };
    let actor = if RECORD_V3 <= version { Some(take_actor(&mut body)?) } else { None };
    let command = take_content(kind, &mut body, version)?;
    body.finish()?;
    let format = match version {
        RECORD_V1 | RECORD_V2 => 1,
        version => u32::from(version),
    };
    Ok(Stamped { lsn, time, key, actor, format, command })
}

/// Returns an upper bound on a command's record, without its actor. O(1), where encoding it would copy it.
pub fn record_bytes_bound(command: &Command) -> usize {
    /// Time, and a key.
    const STAMP: usize = 8 + 1 + 16 + 8;
    RECORD_HEADER_BYTES + STAMP + bound(command).bytes
}

/// Returns the length of the command's text that may be as long as a client likes; other texts are bounded
/// where they come from.
pub fn longest_text(command: &Command) -> usize {
    bound(command).longest_text
}
