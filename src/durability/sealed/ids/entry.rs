//! An id of a sealed order or refund.

use super::super::place::{Found, Month, Place, What};

/// Bytes of an entry.
pub(super) const BYTES: usize = 36;

/// An entry: hash (16), fingerprint (8), seal (4), row (4), month (2), 0 for an order and 1 for a refund (1),
/// 0 (1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in super::super) struct Entry {
    /// The first 128 bits of the BLAKE3 of the id.
    pub hash: [u8; 16],
    pub found: Found,
}

impl Entry {
    pub fn put(&self, out: &mut [u8]) {
        let Found { what, fingerprint, place: Place { seal, month, row } } = self.found;
        out[..16].copy_from_slice(&self.hash);
        out[16..24].copy_from_slice(&fingerprint.to_le_bytes());
        out[24..28].copy_from_slice(&seal.to_le_bytes());
        out[28..32].copy_from_slice(&row.to_le_bytes());
        out[32..34].copy_from_slice(&month.0.to_le_bytes());
        out[34] = what as u8;
        out[35] = 0;
    }

    pub fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        self.put(&mut bytes);
        bytes
    }

    /// Reads one. `None` if it is none.
    pub fn take(bytes: &[u8]) -> Option<Self> {
        let what = match bytes[34..BYTES] {
            [0, 0] => What::Order,
            [1, 0] => What::Refund,
            _ => return None,
        };
        let four = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        Some(Self {
            hash: bytes[..16].try_into().expect("sixteen bytes"),
            found: Found {
                what,
                fingerprint: u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes")),
                place: Place {
                    seal: four(24),
                    month: Month(u16::from_le_bytes([bytes[32], bytes[33]])),
                    row: four(28),
                },
            },
        })
    }
}
