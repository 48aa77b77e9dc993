//! The fixed parts of a snapshot file: header, chunk headers, manifest.

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    core::{
        sections::{RowCounts, SECTIONS, Section},
        types::Timestamp,
    },
    durability::FORMAT_VERSION,
};

/// Limit on rows of a chunk. 64 Ki members take 3 MiB: far below the limit of an archive, and enough to keep
/// a disk busy.
pub const CHUNK_ROWS_MAX: usize = 64 * 1_024;
/// No archive is longer, whatever it holds (architecture: at most 64 MiB).
pub(crate) const ARCHIVE_BYTES_MAX: usize = 64 * 1_024 * 1_024;
pub(super) const FILE_HEADER_BYTES: usize = 64;
pub(super) const CHUNK_HEADER_BYTES: usize = 32;
pub(super) const MANIFEST_BYTES: usize = 256;
/// Archives begin at multiples of this, and are padded to it with zeros.
pub(super) const ARCHIVE_ALIGNMENT: usize = 16;

const FILE_MAGIC: [u8; 8] = *b"uplinSNP";
pub(super) const CHUNK_MAGIC: [u8; 4] = *b"uCHK";
const MANIFEST_MAGIC: [u8; 8] = *b"uplinEND";

/// What a chunk holds: the header of the image, or rows of a section. In the order of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Content {
    Header,
    Rows(Section),
}

impl Content {
    const HEADER_CODE: u16 = 1;
    const HEADER_VERSION: u16 = 5;

    fn code(self) -> u16 {
        match self {
            Content::Header => Self::HEADER_CODE,
            Content::Rows(section) => section as u16,
        }
    }

    fn from_code(code: u16) -> Option<Self> {
        if code == Self::HEADER_CODE {
            return Some(Content::Header);
        }
        Section::from_code(code).map(Content::Rows)
    }

    /// The version that is written; all versions up to it can be read.
    fn version(self) -> u16 {
        match self {
            Content::Header => Self::HEADER_VERSION,
            Content::Rows(section) => section.version(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Content::Header => "header",
            Content::Rows(section) => section.name(),
        }
    }
}

/// Where a snapshot says how many rows a section has: wherever there was room when it was added.
#[derive(Clone, Copy)]
enum Place {
    Header(usize),
    Manifest(usize),
}

impl Place {
    /// Sections with a place in the manifest.
    const IN_MANIFEST: usize = 7 + (MANIFEST_BYTES - 4 - 188) / 4;

    fn of(section: Section) -> Self {
        const { assert!(SECTIONS <= Self::IN_MANIFEST + 20 / 4, "no room is left") };
        match section.position() {
            position @ 0..5 => Self::Manifest(60 + 4 * position),
            position @ 5..7 => Self::Manifest(168 + 4 * (position - 5)),
            position @ 7..Self::IN_MANIFEST => Self::Manifest(188 + 4 * (position - 7)),
            position => Self::Header(40 + 4 * (position - Self::IN_MANIFEST)),
        }
    }

    fn in_header(self) -> Option<usize> {
        if let Self::Header(at) = self { Some(at) } else { None }
    }

    fn in_manifest(self) -> Option<usize> {
        if let Self::Manifest(at) = self { Some(at) } else { None }
    }

    /// Writes the counts that have a place of one kind.
    fn put(rows: &RowCounts, kind: fn(Self) -> Option<usize>, out: &mut [u8]) {
        for section in Section::IN_ORDER {
            if let Some(at) = kind(Self::of(section)) {
                out[at..at + 4].copy_from_slice(&rows[section].to_le_bytes());
            }
        }
    }
}

/// The first 64 bytes.
///
/// | at | size | what |
/// | --- | --- | --- |
/// | 0 | 8 | magic `uplinSNP` |
/// | 8 | 4 | format version |
/// | 12 | 4 | network id |
/// | 16 | 16 | instance id |
/// | 32 | 8 | LSN |
/// | 40 | 20 | rows of sections for which the manifest has no room, in order, 4 bytes each; 0 after them |
/// | 60 | 4 | CRC-32C of bytes 0..60 |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileHeader {
    pub network: u32,
    pub instance: [u8; 16],
    pub lsn: u64,
    /// Only of sections for which the manifest has no room.
    pub rows: RowCounts,
}

/// The result of parsing fixed bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parsed<T> {
    Good(T),
    Newer(u32),
    Bad,
}

impl FileHeader {
    /// Returns the bytes, and their CRC, which seeds those of the chunks.
    pub(super) fn encode(&self) -> ([u8; FILE_HEADER_BYTES], u32) {
        let mut out = [0; FILE_HEADER_BYTES];
        out[0..8].copy_from_slice(&FILE_MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.network.to_le_bytes());
        out[16..32].copy_from_slice(&self.instance);
        out[32..40].copy_from_slice(&self.lsn.to_le_bytes());
        Place::put(&self.rows, Place::in_header, &mut out);
        let crc = seal(&mut out);
        (out, crc)
    }

    pub(super) fn parse(bytes: &[u8; FILE_HEADER_BYTES]) -> Parsed<(Self, u32)> {
        match check(bytes, FILE_MAGIC) {
            Parsed::Good(crc) => Parsed::Good((
                Self {
                    network: u32_at(bytes, 12),
                    instance: id_at(bytes),
                    lsn: u64_at(bytes, 32),
                    rows: RowCounts::of(|section| {
                        Place::of(section).in_header().map_or(0, |at| u32_at(bytes, at))
                    }),
                },
                crc,
            )),
            Parsed::Newer(version) => Parsed::Newer(version),
            Parsed::Bad => Parsed::Bad,
        }
    }
}

/// The 32 bytes before an archive.
///
/// | at | size | what |
/// | --- | --- | --- |
/// | 0 | 4 | magic `uCHK` |
/// | 4 | 2 | section |
/// | 6 | 2 | version of the section's rows |
/// | 8 | 4 | bytes of the archive |
/// | 12 | 4 | rows |
/// | 16 | 8 | XXH3-64 of the archive |
/// | 24 | 4 | number of the chunk, from 0 |
/// | 28 | 4 | CRC-32C of bytes 0..28, continuing that of the file header |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ChunkHeader {
    pub content: Content,
    pub version: u16,
    pub bytes: u32,
    pub rows: u32,
    pub checksum: u64,
    pub number: u32,
}

impl ChunkHeader {
    /// The header of a chunk of the version that is written.
    pub(super) fn new(content: Content, bytes: u32, rows: u32, checksum: u64, number: u32) -> Self {
        Self { content, version: content.version(), bytes, rows, checksum, number }
    }

    pub(super) fn encode(&self, file_crc: u32) -> [u8; CHUNK_HEADER_BYTES] {
        let mut out = [0; CHUNK_HEADER_BYTES];
        out[0..4].copy_from_slice(&CHUNK_MAGIC);
        out[4..6].copy_from_slice(&self.content.code().to_le_bytes());
        out[6..8].copy_from_slice(&self.version.to_le_bytes());
        out[8..12].copy_from_slice(&self.bytes.to_le_bytes());
        out[12..16].copy_from_slice(&self.rows.to_le_bytes());
        out[16..24].copy_from_slice(&self.checksum.to_le_bytes());
        out[24..28].copy_from_slice(&self.number.to_le_bytes());
        let crc = crc32c::crc32c_append(file_crc, &out[..CHUNK_HEADER_BYTES - 4]);
        out[28..32].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` if it does not verify, or has values unknown to this version.
    pub(super) fn parse(bytes: &[u8; CHUNK_HEADER_BYTES], file_crc: u32) -> Option<Self> {
        let crc = crc32c::crc32c_append(file_crc, &bytes[..CHUNK_HEADER_BYTES - 4]);
        let version = u16::from_le_bytes([bytes[6], bytes[7]]);
        if bytes[0..4] != CHUNK_MAGIC || crc != u32_at(bytes, 28) {
            return None;
        }
        let content = Content::from_code(u16::from_le_bytes([bytes[4], bytes[5]]))?;
        let known = (1..=content.version()).contains(&version);
        known.then(|| Self {
            content,
            version,
            bytes: u32_at(bytes, 8),
            rows: u32_at(bytes, 12),
            checksum: u64_at(bytes, 16),
            number: u32_at(bytes, 24),
        })
    }

    /// Bytes of archive and padding.
    pub(super) fn padded_bytes(&self) -> usize {
        (self.bytes as usize).next_multiple_of(ARCHIVE_ALIGNMENT)
    }

    /// Bytes of header, archive and padding.
    pub(super) fn whole_bytes(&self) -> u64 {
        (CHUNK_HEADER_BYTES + self.padded_bytes()) as u64
    }

    /// Returns whether a chunk of this size can have been written, with `room` bytes for header, archive and
    /// padding. Check this before allocating memory for it, whatever its checksum says.
    pub(super) fn is_possible(&self, room: u64) -> bool {
        (1..=ARCHIVE_BYTES_MAX).contains(&(self.bytes as usize))
            && self.rows as usize <= CHUNK_ROWS_MAX
            && self.whole_bytes() <= room
    }
}

/// The last 256 bytes of a snapshot: what it holds, and that it is complete.
///
/// | at | size | what |
/// | --- | --- | --- |
/// | 0 | 8 | magic `uplinEND` |
/// | 8 | 4 | format version |
/// | 12 | 4 | network id |
/// | 16 | 16 | instance id |
/// | 32 | 8 | LSN |
/// | 40 | 8 | durable LSN when published |
/// | 48 | 8 | offset of the manifest |
/// | 56 | 4 | number of chunks |
/// | 60 | 20 | rows of members, codes, triggers, entries, keys, 4 bytes each |
/// | 80 | 32 | state digest |
/// | 112 | 32 | network digest |
/// | 144 | 8 | chunk checksums chained: from 0, XXH3-64 of `{value so far u64, checksum u64}`, in order |
/// | 152 | 8 | log time of the LSN |
/// | 160 | 8 | outcome hash after the LSN |
/// | 168 | 8 | since version 2: commands that changed nothing, row ids, 4 bytes each; 0 before |
/// | 176 | 8 | since version 3: the chain after the LSN (`log/chain.rs`); 0 before |
/// | 184 | 4 | since version 3: 1 if there is one, 0 if the log at the LSN is older; 0 before |
/// | 188 | 8 | since version 3: references, reversals, 4 bytes each; 0 before |
/// | 196 | 56 | 4 bytes for each later section, in order, while there was room; 0 before it |
/// | 252 | 4 | CRC-32C of bytes 0..252 |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Format version of the file.
    pub version: u32,
    pub network: u32,
    pub instance: [u8; 16],
    pub lsn: u64,
    /// How far the log was durable when the snapshot was published: a log that ends earlier has lost
    /// something.
    pub durable_lsn: u64,
    /// Offset of the manifest: bytes of everything before.
    pub offset: u64,
    pub chunks: u32,
    pub rows: RowCounts,
    pub state_digest: [u8; 32],
    pub network_digest: [u8; 32],
    pub checksums: u64,
    pub time: Timestamp,
    pub outcome_hash: u64,
    /// The chain after the LSN: identifies the history of the directory that the snapshot belongs to. None if
    /// the log at the LSN is older than format 3.
    pub chain: Option<u64>,
}

impl Manifest {
    pub(super) fn encode(&self) -> [u8; MANIFEST_BYTES] {
        let mut out = [0; MANIFEST_BYTES];
        out[0..8].copy_from_slice(&MANIFEST_MAGIC);
        out[8..12].copy_from_slice(&self.version.to_le_bytes());
        out[12..16].copy_from_slice(&self.network.to_le_bytes());
        out[16..32].copy_from_slice(&self.instance);
        out[32..40].copy_from_slice(&self.lsn.to_le_bytes());
        out[40..48].copy_from_slice(&self.durable_lsn.to_le_bytes());
        out[48..56].copy_from_slice(&self.offset.to_le_bytes());
        out[56..60].copy_from_slice(&self.chunks.to_le_bytes());
        Place::put(&self.rows, Place::in_manifest, &mut out);
        out[80..112].copy_from_slice(&self.state_digest);
        out[112..144].copy_from_slice(&self.network_digest);
        out[144..152].copy_from_slice(&self.checksums.to_le_bytes());
        out[152..160].copy_from_slice(&self.time.0.to_le_bytes());
        out[160..168].copy_from_slice(&self.outcome_hash.to_le_bytes());
        out[176..184].copy_from_slice(&self.chain.unwrap_or(0).to_le_bytes());
        out[184..188].copy_from_slice(&u32::from(self.chain.is_some()).to_le_bytes());
        seal(&mut out);
        out
    }

    /// `header` has the rows of sections for which there is no room here.
    pub(super) fn parse(bytes: &[u8; MANIFEST_BYTES], header: &RowCounts) -> Parsed<Self> {
        match check(bytes, MANIFEST_MAGIC) {
            Parsed::Good(_) => {}
            Parsed::Newer(version) => return Parsed::Newer(version),
            Parsed::Bad => return Parsed::Bad,
        }
        Parsed::Good(Self {
            version: u32_at(bytes, 8),
            network: u32_at(bytes, 12),
            instance: id_at(bytes),
            lsn: u64_at(bytes, 32),
            durable_lsn: u64_at(bytes, 40),
            offset: u64_at(bytes, 48),
            chunks: u32_at(bytes, 56),
            rows: RowCounts::of(|section| {
                Place::of(section).in_manifest().map_or(header[section], |at| u32_at(bytes, at))
            }),
            state_digest: bytes[80..112].try_into().expect("32 bytes"),
            network_digest: bytes[112..144].try_into().expect("32 bytes"),
            checksums: u64_at(bytes, 144),
            time: Timestamp(u64_at(bytes, 152).cast_signed()),
            outcome_hash: u64_at(bytes, 160),
            chain: (u32_at(bytes, 184) != 0).then(|| u64_at(bytes, 176)),
        })
    }
}

/// Returns the value of `Manifest::checksums` after one more chunk.
pub(super) fn chain(so_far: u64, checksum: u64) -> u64 {
    let mut pair = [0; 16];
    pair[..8].copy_from_slice(&so_far.to_le_bytes());
    pair[8..].copy_from_slice(&checksum.to_le_bytes());
    xxh3_64(&pair)
}

/// Writes the CRC of all bytes before them into the last four bytes.
pub(super) fn seal(out: &mut [u8]) -> u32 {
    let end = out.len() - 4;
    let crc = crc32c::crc32c(&out[..end]);
    out[end..].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Checks magic and CRC, which keep their places in later versions, and then the version.
fn check(bytes: &[u8], magic: [u8; 8]) -> Parsed<u32> {
    let end = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..end]);
    if bytes[0..8] != magic || crc != u32_at(bytes, end) {
        return Parsed::Bad;
    }
    let version = u32_at(bytes, 8);
    if FORMAT_VERSION < version { Parsed::Newer(version) } else { Parsed::Good(crc) }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn id_at(bytes: &[u8]) -> [u8; 16] {
    bytes[16..32].try_into().expect("sixteen bytes")
}
