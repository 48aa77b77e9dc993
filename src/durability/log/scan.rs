//! Reads a segment as recovery must: up to the first frame that does not verify, and classifies what follows.
//!
//! The rule (`first frame that does not verify`): a. only zeros after it: the clean end; b. a later frame
//! verifies and says that the log was durable up to the bad frame's LSN or beyond: damage; c. what is there
//! ends in a complete trailer and no sector in it is all zero: it was written completely, so this is damage;
//! d. otherwise the write never completed, so it was never acknowledged: a torn tail, to be cut.

use super::{
    frame::{self, End, Form, Header, Kind},
    position::Position,
    segment::HEADER_BYTES,
};

/// A segment read up to where it stops verifying.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Scan {
    pub at: Position,
    pub groups: u64,
    /// Position before the first frame that no later one proves to be on disk; `at` if there is none.
    pub first_unrecorded: Position,
    pub tail: Tail,
}

/// What follows the last frame that verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Tail {
    /// Zeros.
    Clean,
    /// A write that never completed: bytes up to the last nonzero one.
    Torn {
        bytes: u64,
    },
    /// The last frame is complete except for the end of its trailer.
    ShortTrailer,
    Damaged {
        rule: DamageRule,
        offset: u64,
        reason: String,
    },
}

/// What proves that bytes were damaged, and not merely never written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DamageRule {
    /// Rule b: a later frame records them as durable.
    LaterDurable,
    /// Rule c: they were written completely.
    Complete,
    /// A frame verifies by itself, but does not belong there.
    OutOfPlace,
    /// A frame without its end is followed by another.
    FramesFollow,
}

/// Scans a whole segment. `start` is the position of the first frame, from the segment's header.
pub(crate) fn scan(bytes: &[u8], form: Form, start: Position) -> Scan {
    debug_assert_eq!(start.offset, HEADER_BYTES as u64);
    let mut scan = Scan { at: start, groups: 0, first_unrecorded: start, tail: Tail::Clean };
    // Positions before such frames, with the durable LSN that would prove them to be on disk; few, since a
    // writer has few groups in flight.
    let mut unrecorded: Vec<(u64, Position)> = Vec::new();
    let mut short_trailer = false;
    loop {
        let offset = usize::try_from(scan.at.offset).expect("a segment is in memory");
        let found = read_frame(bytes, form, &scan.at, offset);
        let (header, crc, short) = match found {
            Found::Frame { header, crc, short } => (header, crc, short),
            Found::Damaged(reason) => {
                scan.tail = Tail::Damaged { rule: DamageRule::OutOfPlace, offset: scan.at.offset, reason };
                break;
            }
            Found::Nothing if short_trailer && frame::is_zero(&bytes[offset..]) => {
                scan.tail = Tail::ShortTrailer;
                break;
            }
            Found::Nothing => {
                scan.tail = classify(bytes, form, offset, scan.at.next_lsn);
                break;
            }
        };
        if short_trailer {
            // A later frame was begun, so the earlier one had been written completely: this is not a torn
            // write.
            let reason = "the end of a frame is missing, and frames follow".into();
            scan.tail = Tail::Damaged { rule: DamageRule::FramesFollow, offset: scan.at.offset, reason };
            break;
        }
        short_trailer = short;
        // A group is known to be on disk when its last LSN is; a mark or seal, when a command after it is.
        let known_from = if header.kind == Kind::Group { header.next_lsn() - 1 } else { header.next_lsn() };
        unrecorded.push((known_from, scan.at));
        unrecorded.retain(|(known_from, _)| header.durable_lsn < *known_from);
        scan.groups += u64::from(header.kind == Kind::Group);
        scan.at = Position {
            offset: scan.at.offset + header.frame_bytes() as u64,
            next_lsn: header.next_lsn(),
            previous_crc: crc,
            durable_lsn: scan.at.durable_lsn.max(header.durable_lsn),
            time: scan.at.time.max(header.time),
            sealed: header.kind == Kind::Seal,
            chain: header.chain(),
        };
        if scan.at.sealed {
            // Nothing is ever written after a seal. Anything there is not part of the log.
            if short_trailer {
                scan.tail = Tail::ShortTrailer;
            }
            break;
        }
    }
    scan.first_unrecorded = unrecorded.first().map_or(scan.at, |(_, position)| *position);
    scan
}

enum Found {
    Frame {
        header: Header,
        crc: u32,
        short: bool,
    },
    /// Not a frame; an incomplete write may leave this behind.
    Nothing,
    /// No incomplete write can leave this behind.
    Damaged(String),
}

fn read_frame(bytes: &[u8], form: Form, at: &Position, offset: usize) -> Found {
    let rest = bytes.get(offset..).unwrap_or_default();
    let Some(header) = frame::parse_header(rest, form) else { return Found::Nothing };
    let Some(whole) = rest.get(..header.frame_bytes()) else {
        return Found::Damaged("a frame reaches beyond the end of its segment".into());
    };
    let (crc, short) = match frame::check_end(form, whole) {
        End::Whole(crc) => (crc, false),
        End::ShortTrailer(crc) => (crc, true),
        End::BadTrailer => return Found::Damaged("the trailer of a complete frame was altered".into()),
        End::BadBody => return Found::Nothing,
    };
    match check_chain(&header, at) {
        Ok(()) => Found::Frame { header, crc, short },
        Err(reason) => Found::Damaged(reason),
    }
}

/// Checks that a frame that verifies by itself belongs where it is.
pub(crate) fn check_chain(header: &Header, at: &Position) -> Result<(), String> {
    if header.first_lsn != at.next_lsn {
        return Err(format!("a frame begins with LSN {} where {} is next", header.first_lsn, at.next_lsn));
    }
    if header.previous_crc != at.previous_crc {
        return Err("a frame does not follow the one before it".into());
    }
    if header.durable_lsn < at.durable_lsn {
        return Err("a frame says that less is durable than an earlier one did".into());
    }
    if header.kind != Kind::Group && header.chain() != at.chain {
        return Err("a frame without commands says another chain than the one before it".into());
    }
    Ok(())
}

fn classify(bytes: &[u8], form: Form, bad: usize, bad_lsn: u64) -> Tail {
    let rest = &bytes[bad.min(bytes.len())..];
    let Some(last) = rest.iter().rposition(|byte| *byte != 0) else { return Tail::Clean };
    let written = &rest[..=last];
    let offset = bad as u64;
    for (later, _) in written.chunks(frame::ALIGNMENT).enumerate() {
        let Some(header) = frame::parse_header(&rest[later * frame::ALIGNMENT..], form) else { continue };
        if bad_lsn <= header.durable_lsn {
            let reason = format!(
                "a frame does not verify, and a later one says that LSN {} was durable",
                header.durable_lsn
            );
            return Tail::Damaged { rule: DamageRule::LaterDurable, offset, reason };
        }
    }
    if written.ends_with(&frame::TRAILER) && !frame::has_zero_sector(written, offset) {
        return Tail::Damaged {
            rule: DamageRule::Complete,
            offset,
            reason: "a frame that was written completely does not verify".into(),
        };
    }
    Tail::Torn { bytes: written.len() as u64 }
}
