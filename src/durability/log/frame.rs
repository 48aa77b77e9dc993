//! One frame: header, whitened body, body CRC, trailer.
//!
//! The layout, offsets in bytes, little-endian:
//!
//! | at | size | what |
//! | --- | --- | --- |
//! | 0 | 4 | magic |
//! | 4 | 2 | kind: 1 group, 2 mark, 3 seal |
//! | 6 | 2 | 0 |
//! | 8 | 4 | body length |
//! | 12 | 4 | number of commands |
//! | 16 | 8 | LSN of the first command (of the next one, if there is none) |
//! | 24 | 8 | durable LSN when written |
//! | 32 | 8 | rolling hash over the outcomes of all commands before this frame |
//! | 40 | 8 | term, 0 until there is replication |
//! | 48 | 8 | log time of the newest command, this frame's included |
//! | 56 | 4 | body CRC of the previous frame; for the first frame, CRC of the segment header |
//! | 60 | 4 | salt of the whitening |
//! | 64 | 8 | since version 3: the chain after this frame's commands (`chain.rs`) |
//! | H-8 | 4 | 0 |
//! | H-4 | 4 | CRC of bytes 0..H-4 |
//! | H | length | body, whitened; then padding of `0xA5` |
//! | | 4 | CRC of body and padding, continuing the header's |
//! | | 8 | trailer |
//!
//! The header has H = 80 bytes (72 in segments of versions before 3). Frames begin at multiples of 8. All
//! CRCs are CRC-32C seeded with the instance id and the segment number, so that a frame from another
//! directory or segment never verifies.

use crate::core::types::Timestamp;

/// Bytes before the body, in a segment of the newest version.
pub(crate) const HEADER_BYTES: usize = 80;
/// The same before version 3.
const HEADER_BYTES_BEFORE_3: usize = 72;
/// Body CRC and trailer.
pub(super) const FOOTER_BYTES: usize = 12;
/// What a frame is aligned to.
pub(crate) const ALIGNMENT: usize = 8;
/// What a disk writes atomically.
pub(crate) const SECTOR_BYTES: usize = 512;
/// A frame without commands, of the newest version: the largest there is.
pub(crate) const EMPTY_FRAME_BYTES: usize = frame_bytes(0);

pub(super) const MAGIC: [u8; 4] = *b"uFRM";
pub(super) const PADDING: u8 = 0xA5;
/// No byte is zero, and no single flipped bit makes one zero: a trailer that ends in zeros was cut short, one
/// that differs otherwise was damaged.
pub(crate) const TRAILER: [u8; 8] = *b"\xE7frm\xB5end";

const _: () = assert!(EMPTY_FRAME_BYTES.is_multiple_of(ALIGNMENT));

/// Returns the bytes of a frame with a body of `length` bytes, in a segment of the newest version.
pub(crate) const fn frame_bytes(length: usize) -> usize {
    framed(HEADER_BYTES, length)
}

const fn framed(header_bytes: usize, length: usize) -> usize {
    (header_bytes + length + FOOTER_BYTES).next_multiple_of(ALIGNMENT)
}

/// What all frames of one segment share: the length of their headers and the seed of their checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Form {
    version: u32,
    seed: u32,
}

impl Form {
    /// Returns the form of the frames of a segment whose header has this version.
    pub(crate) fn new(version: u32, instance: &[u8; 16], segment: u64) -> Self {
        Self { version, seed: crc32c::crc32c_append(crc32c::crc32c(instance), &segment.to_le_bytes()) }
    }

    /// Returns the seed of the header checksums.
    #[cfg(any(test, fuzzing))]
    pub(super) fn seed(self) -> u32 {
        self.seed
    }

    /// Returns whether the frames hold the chain after them.
    pub(crate) fn is_chained(self) -> bool {
        3 <= self.version
    }

    /// Bytes before the body.
    pub(crate) fn header_bytes(self) -> usize {
        if self.is_chained() { HEADER_BYTES } else { HEADER_BYTES_BEFORE_3 }
    }

    /// Returns the bytes of a frame with a body of `length` bytes.
    pub(crate) fn frame_bytes(self, length: usize) -> usize {
        framed(self.header_bytes(), length)
    }

    /// Returns the body length of a mark at `offset` that ends at a sector boundary.
    pub(crate) fn mark_padding(self, offset: u64) -> usize {
        let empty = self.frame_bytes(0);
        let end = (offset + empty as u64).next_multiple_of(SECTOR_BYTES as u64);
        usize::try_from(end - offset).expect("less than two sectors") - empty
    }
}

/// The purpose of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub(crate) enum Kind {
    /// Commands.
    Group = 1,
    /// Records how far the log is durable, after an idle moment. Its body, if any, is padding.
    Mark = 2,
    /// The last frame of a segment: the log continues in the next one, whose file exists.
    Seal = 3,
}

/// A frame's header without the computed fields (magic, CRCs, salt).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub form: Form,
    pub kind: Kind,
    pub length: u32,
    pub count: u32,
    pub first_lsn: u64,
    pub durable_lsn: u64,
    pub outcome_hash: u64,
    pub term: u64,
    pub time: Timestamp,
    pub previous_crc: u32,
    pub salt: u32,
    /// The chain after the frame's commands; 0 if the form has none.
    pub chain: u64,
}

impl Header {
    pub(crate) fn frame_bytes(&self) -> usize {
        self.form.frame_bytes(self.length as usize)
    }

    /// Returns the chain after the frame's commands, if the form has one.
    pub(crate) fn chain(&self) -> Option<u64> {
        self.form.is_chained().then_some(self.chain)
    }

    /// Returns the LSN of the first command after this frame.
    pub(crate) fn next_lsn(&self) -> u64 {
        self.first_lsn.saturating_add(u64::from(self.count))
    }

    /// Checks invariants of every frame we write, whatever its checksums say.
    fn is_plausible(&self) -> bool {
        let has_commands = self.count != 0 && self.length != 0;
        let has_none = self.count == 0 && self.length == 0;
        let kind_fits = match self.kind {
            Kind::Group => has_commands,
            // A mark may be padded.
            Kind::Mark => self.count == 0,
            Kind::Seal => has_none,
        };
        kind_fits
            && self.first_lsn != 0
            && self.durable_lsn < self.first_lsn
            && self.first_lsn.checked_add(u64::from(self.count)).is_some()
    }
}

/// Completes the frame in `out`, which holds space for the header, then the plain body. The frame will be at
/// `offset` of its file. Sets `header.length` and `header.salt`. Returns the CRC that the next frame must
/// name.
pub(crate) fn finish(mut header: Header, offset: u64, out: &mut Vec<u8>) -> u32 {
    let begin = header.form.header_bytes();
    let length = out.len() - begin;
    header.length = u32::try_from(length).expect("groups are limited to far less than 4 GiB");
    out.resize(header.frame_bytes() - FOOTER_BYTES, PADDING);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&TRAILER);
    header.salt = 0;
    loop {
        whiten(header.salt, &mut out[begin..begin + length]);
        let crc = put_checksums(&header, out);
        // Almost always true at once. If a sector comes out all zero, another salt changes it.
        if !has_zero_sector(out, offset) {
            return crc;
        }
        whiten(header.salt, &mut out[begin..begin + length]);
        header.salt = header.salt.checked_add(1).expect("some salt in 2^32 leaves no sector of zeros");
    }
}

fn put_checksums(header: &Header, out: &mut [u8]) -> u32 {
    let (begin, body_end) = (header.form.header_bytes(), out.len() - FOOTER_BYTES);
    let fields = &mut out[..begin];
    fields[0..4].copy_from_slice(&MAGIC);
    fields[4..6].copy_from_slice(&(header.kind as u16).to_le_bytes());
    fields[6..8].copy_from_slice(&[0; 2]);
    fields[8..12].copy_from_slice(&header.length.to_le_bytes());
    fields[12..16].copy_from_slice(&header.count.to_le_bytes());
    fields[16..24].copy_from_slice(&header.first_lsn.to_le_bytes());
    fields[24..32].copy_from_slice(&header.durable_lsn.to_le_bytes());
    fields[32..40].copy_from_slice(&header.outcome_hash.to_le_bytes());
    fields[40..48].copy_from_slice(&header.term.to_le_bytes());
    fields[48..56].copy_from_slice(&header.time.0.to_le_bytes());
    fields[56..60].copy_from_slice(&header.previous_crc.to_le_bytes());
    fields[60..64].copy_from_slice(&header.salt.to_le_bytes());
    if header.form.is_chained() {
        fields[64..72].copy_from_slice(&header.chain.to_le_bytes());
    }
    fields[begin - 8..begin - 4].copy_from_slice(&[0; 4]);
    let header_crc = crc32c::crc32c_append(header.form.seed, &fields[..begin - 4]);
    fields[begin - 4..].copy_from_slice(&header_crc.to_le_bytes());
    let body_crc = crc32c::crc32c_append(header_crc, &out[begin..body_end]);
    out[body_end..body_end + 4].copy_from_slice(&body_crc.to_le_bytes());
    body_crc
}

/// Parses a header at the front of `bytes`. `None` if it does not verify.
pub(crate) fn parse_header(bytes: &[u8], form: Form) -> Option<Header> {
    let fields = bytes.get(..form.header_bytes())?;
    let crc_at = fields.len() - 4;
    // The magic first: that makes a search for frames fast.
    if fields[0..4] != MAGIC || crc32c::crc32c_append(form.seed, &fields[..crc_at]) != u32_at(fields, crc_at)
    {
        return None;
    }
    let kind = match u16::from_le_bytes([fields[4], fields[5]]) {
        1 => Kind::Group,
        2 => Kind::Mark,
        3 => Kind::Seal,
        _ => return None,
    };
    let header = Header {
        form,
        kind,
        length: u32_at(fields, 8),
        count: u32_at(fields, 12),
        first_lsn: u64_at(fields, 16),
        durable_lsn: u64_at(fields, 24),
        outcome_hash: u64_at(fields, 32),
        term: u64_at(fields, 40),
        time: Timestamp(u64_at(fields, 48).cast_signed()),
        previous_crc: u32_at(fields, 56),
        salt: u32_at(fields, 60),
        chain: if form.is_chained() { u64_at(fields, 64) } else { 0 },
    };
    header.is_plausible().then_some(header)
}

/// The state of a frame's end, once its header has verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Everything verifies. The CRC is the one the next frame must name.
    Whole(u32),
    /// Body and CRC verify, the trailer ends in zeros: the write was torn in its last bytes, and no content
    /// is missing.
    ShortTrailer(u32),
    /// Body and CRC verify, but the trailer is neither ours nor a torn one.
    BadTrailer,
    /// The body does not verify.
    BadBody,
}

/// Checks the rest of a frame; `frame` holds all of its bytes.
pub(crate) fn check_end(form: Form, frame: &[u8]) -> End {
    let (begin, body_end) = (form.header_bytes(), frame.len() - FOOTER_BYTES);
    let header_crc = u32_at(frame, begin - 4);
    let crc = crc32c::crc32c_append(header_crc, &frame[begin..body_end]);
    if crc != u32_at(frame, body_end) {
        return End::BadBody;
    }
    let trailer = &frame[body_end + 4..];
    if trailer == TRAILER {
        return End::Whole(crc);
    }
    let written = trailer.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if trailer[..written] == TRAILER[..written] { End::ShortTrailer(crc) } else { End::BadTrailer }
}

/// Recovers the plain body of a frame that verified.
pub(crate) fn plain_body(header: &Header, frame: &[u8], out: &mut Vec<u8>) {
    let begin = header.form.header_bytes();
    out.clear();
    out.extend_from_slice(&frame[begin..begin + header.length as usize]);
    whiten(header.salt, out);
}

/// Returns the plain form of a body.
#[cfg(any(test, fuzzing))]
pub(super) fn unwhitened(salt: u32, body: &[u8]) -> Vec<u8> {
    let mut plain = body.to_vec();
    whiten(salt, &mut plain);
    plain
}

/// XORs bytes with a stream derived from the salt; applying it twice restores them. The stream's `i`-th eight
/// bytes are, little-endian, `x ^ (x >> 29)` with `x = (salt + i + 1) * 0x9E37_79B9_7F4A_7C15`, modulo 2^64.
fn whiten(salt: u32, bytes: &mut [u8]) {
    let word = |position: u64| {
        let mixed = (u64::from(salt) + position + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 29)
    };
    let mut position = 0;
    let mut words = bytes.chunks_exact_mut(8);
    for chunk in &mut words {
        let plain = u64::from_le_bytes(chunk.try_into().expect("chunks have eight bytes"));
        chunk.copy_from_slice(&(plain ^ word(position)).to_le_bytes());
        position += 1;
    }
    for (byte, stream) in words.into_remainder().iter_mut().zip(word(position).to_le_bytes()) {
        *byte ^= stream;
    }
}

/// Returns whether any sector of `bytes` at `offset`, or partial sector at either end, is all zero.
pub(crate) fn has_zero_sector(bytes: &[u8], offset: u64) -> bool {
    let into_sector = usize::try_from(offset % SECTOR_BYTES as u64).expect("a remainder of 512 fits");
    let (head, rest) = bytes.split_at((SECTOR_BYTES - into_sector).min(bytes.len()));
    is_zero_part(head) || rest.chunks(SECTOR_BYTES).any(is_zero_part)
}

fn is_zero_part(part: &[u8]) -> bool {
    !part.is_empty() && is_zero(part)
}

/// Returns whether all bytes are zero. Written to run at memory speed: recovery calls it on the unused rest
/// of a segment.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let mut chunks = bytes.chunks_exact(64);
    chunks.all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
        && bytes[bytes.len() - bytes.len() % 64..].iter().all(|byte| *byte == 0)
}

/// Returns the offsets at which a frame may begin: those with its magic.
pub(crate) fn places(segment: &[u8]) -> impl Iterator<Item = usize> {
    segment
        .chunks(ALIGNMENT)
        .enumerate()
        .filter(|(_, chunk)| chunk.starts_with(&MAGIC))
        .map(|(at, _)| at * ALIGNMENT)
}

/// Returns whether anything after the header may be a frame, of whatever segment: then the file is not merely
/// a prepared one.
pub(crate) fn holds_frame(segment: &[u8]) -> bool {
    places(segment).next().is_some()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
