//! The `instance` file: makes a directory a data directory, and gives it its identity.

use std::{fmt, path::Path};

use crate::{
    core::{CodeForm, CodeKey, types::Timestamp},
    durability::{
        FORMAT_VERSION,
        error::{Error, Result},
        storage::{Access, Storage},
    },
};

pub(crate) const INSTANCE_BYTES: usize = 128;
const MAGIC: [u8; 8] = *b"uplinDIR";

/// The identity of a data directory. A copy of a directory has the same one: log and snapshots may be
/// exchanged between the two.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceId(pub [u8; 16]);

impl InstanceId {
    /// Returns a new one: 122 random bits.
    pub fn random() -> Self {
        Self(*uuid::Uuid::new_v4().as_bytes())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// What is fixed when a directory is created.
///
/// | at | size | what |
/// | --- | --- | --- |
/// | 0 | 8 | magic `uplinDIR` |
/// | 8 | 4 | format version |
/// | 12 | 4 | network id |
/// | 16 | 16 | instance id |
/// | 32 | 8 | row key |
/// | 40 | 8 | code key |
/// | 48 | 8 | time of creation, microseconds UTC |
/// | 56 | 1 | form of generated codes (`CodeForm`); 0 before format 3 |
/// | 57 | 67 | 0 |
/// | 124 | 4 | CRC-32C of bytes 0..124 |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instance {
    pub id: InstanceId,
    pub network_id: u32,
    /// Key from which row ids are derived.
    pub row_key: u64,
    /// How generated referral codes are made; images hold it too.
    pub code_key: CodeKey,
    pub created: Timestamp,
}

impl Instance {
    pub(crate) fn encode(&self) -> [u8; INSTANCE_BYTES] {
        let mut out = [0; INSTANCE_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.network_id.to_le_bytes());
        out[16..32].copy_from_slice(&self.id.0);
        out[32..40].copy_from_slice(&self.row_key.to_le_bytes());
        out[40..48].copy_from_slice(&self.code_key.key.to_le_bytes());
        out[48..56].copy_from_slice(&self.created.0.to_le_bytes());
        out[56] = self.code_key.form as u8;
        let crc = crc32c::crc32c(&out[..INSTANCE_BYTES - 4]);
        out[INSTANCE_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads and checks the file.
    ///
    /// # Errors
    /// `NotADataDirectory` for a file of something else, `NewerFormat`, `Damaged`, `Io`.
    pub(crate) fn read(storage: &dyn Storage, path: &Path, directory: &Path) -> Result<Self> {
        let file = storage.open(path, Access::Read).map_err(Error::opening(path))?;
        let length = file.len().map_err(Error::io("look at", path))?;
        let damaged =
            |reason: &str| Error::damaged(path, 0, None, reason, "which network this is, and its keys");
        let mut bytes = [0; INSTANCE_BYTES];
        let readable = usize::try_from(length).unwrap_or(INSTANCE_BYTES).min(INSTANCE_BYTES);
        file.read_exact_at(&mut bytes[..readable], 0).map_err(Error::io("read", path))?;
        // A flipped bit in the magic must not make the file a foreign one: a similar magic is ours, damaged.
        let alike = bytes[..8].iter().zip(MAGIC).filter(|(found, expected)| **found == *expected).count();
        if alike < 6 && length != INSTANCE_BYTES as u64 {
            let reason = "its file `instance` is something else's".into();
            return Err(Error::NotADataDirectory { path: directory.to_path_buf(), reason });
        }
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if length != INSTANCE_BYTES as u64 {
            return Err(damaged(&format!("it is {length} bytes long, not {INSTANCE_BYTES}")));
        }
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..INSTANCE_BYTES - 4]) != u32_at(INSTANCE_BYTES - 4) {
            return Err(damaged("it does not verify"));
        }
        if FORMAT_VERSION < u32_at(8) {
            return Err(Error::NewerFormat {
                path: path.to_path_buf(),
                found: u32_at(8),
                supported: FORMAT_VERSION,
            });
        }
        let form = CodeForm::from_repr(bytes[56])
            .ok_or_else(|| damaged("its generated codes have an unknown form"))?;
        Ok(Self {
            id: InstanceId(bytes[16..32].try_into().expect("sixteen bytes")),
            network_id: u32_at(12),
            row_key: u64_at(32),
            code_key: CodeKey { key: u64_at(40), form },
            created: Timestamp(u64_at(48).cast_signed()),
        })
    }
}
