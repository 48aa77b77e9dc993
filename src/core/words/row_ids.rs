//! Row ids: the `id` of a member row or a bonus, as a UUID that costs no storage and no index.
//!
//! A row id is a keyed permutation of (kind, index). 122 bits of a version-4 UUID are free; 64 hold the
//! index, 8 the kind, and the other 50 are zero before the permutation, so that a foreign UUID decodes with
//! those bits zero only once in 2^50 tries (2^-57 with the kinds that exist). The permutation has two 61-bit
//! halves and xxh3 under the instance's key as the round function. It hides order and number of rows from
//! outsiders; it is not cryptography, and knowing a row id authorizes nothing.
//!
//! Imported rows may carry the ids that other systems know them by; those are in the state
//! (`ledger/row_ids.rs`) and take precedence. An id that this instance computes cannot be imported.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{permutation::Permutation, row_kind::RowKind};

/// Bits of each half of the permuted value.
const HALF_BITS: u32 = 61;
/// Bits of the packed value that hold the index; the kind is above, then check bits.
const INDEX_BITS: u32 = 64;
const KIND_BITS: u32 = 8;

/// Encodes and decodes row ids for one instance.
#[derive(Clone, Copy)]
pub struct RowIds {
    key: u64,
}

impl RowIds {
    /// `key` is the instance's row key: other keys give other ids.
    pub fn new(key: u64) -> Self {
        Self { key }
    }

    /// The bytes of the row's UUID (version 4, RFC variant). O(1).
    pub fn encode(&self, kind: RowKind, index: u64) -> [u8; 16] {
        let packed = u128::from(index) | u128::from(kind as u8) << INDEX_BITS;
        into_uuid(whole(self.permutation().permute(halves(packed))))
    }

    /// What the UUID names, or `None` if this instance did not make it (up to one chance in 2^57). The index
    /// may be beyond the rows that exist. O(1).
    pub fn decode(&self, id: [u8; 16]) -> Option<(RowKind, u64)> {
        let packed = whole(self.permutation().undo(halves(from_uuid(id)?)));
        if packed >> (INDEX_BITS + KIND_BITS) != 0 {
            return None;
        }
        let kind = u8::try_from(packed >> INDEX_BITS).ok()?;
        Some((RowKind::from_repr(kind)?, u64::try_from(packed & mask(INDEX_BITS)).expect("64 bits")))
    }

    fn permutation(self) -> Permutation<impl Fn(u8, u64) -> u64> {
        Permutation::new([HALF_BITS; 2], move |round: u8, half: u64| {
            let mut input = [0; 9];
            input[..8].copy_from_slice(&half.to_le_bytes());
            input[8] = round;
            xxh3_64_with_seed(&input, self.key)
        })
    }
}

fn halves(packed: u128) -> [u64; 2] {
    let half = |bits| u64::try_from(bits & mask(HALF_BITS)).expect("61 bits");
    [half(packed >> HALF_BITS), half(packed)]
}

fn whole([left, right]: [u64; 2]) -> u128 {
    u128::from(left) << HALF_BITS | u128::from(right)
}

/// Spreads 122 bits around the version (bits 76..80) and the variant (bits 62..64) of a UUID.
fn into_uuid(value: u128) -> [u8; 16] {
    let low = value & mask(62);
    let middle = value >> 62 & mask(12);
    let high = value >> 74;
    (high << 80 | 0x4 << 76 | middle << 64 | 0b10 << 62 | low).to_be_bytes()
}

fn from_uuid(id: [u8; 16]) -> Option<u128> {
    let bits = u128::from_be_bytes(id);
    let is_ours = bits >> 76 & 0xf == 0x4 && bits >> 62 & 0b11 == 0b10;
    is_ours.then(|| (bits >> 80) << 74 | (bits >> 64 & mask(12)) << 62 | bits & mask(62))
}

fn mask(bits: u32) -> u128 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand_pcg::{Pcg64, rand_core::RngCore, rand_core::SeedableRng};

    use super::*;

    const SEED: u64 = 20_261_120;

    #[test]
    fn every_row_has_its_own_id_and_comes_back() {
        let ids = RowIds::new(SEED);
        let mut seen = HashSet::new();
        let edges = [u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX - 1, u64::MAX];
        for index in (0..100_000).chain(edges) {
            for kind in RowKind::ALL {
                let id = ids.encode(kind, index);
                assert_eq!(ids.decode(id), Some((kind, index)));
                assert!(seen.insert(id), "{kind:?} {index} has the id of another row");
                assert_eq!(uuid::Uuid::from_bytes(id).get_version_num(), 4);
                assert_eq!(uuid::Uuid::from_bytes(id).get_variant(), uuid::Variant::RFC4122);
            }
        }
    }

    /// Ids are kept by other systems. These were computed from the definition by another program.
    #[test]
    fn ids_never_change() {
        let table = [
            (SEED, RowKind::Member, 0, 0xd376_e39d_7e5c_49e8_961a_8601_7fe3_1bac_u128),
            (SEED, RowKind::Entry, 0, 0x9a64_e853_5cff_4321_abcc_e470_1a59_1269),
            (SEED, RowKind::Member, 4_711, 0xe169_ac6c_8c2f_4ae5_9048_ecd1_39db_bd7f),
            (7, RowKind::Entry, 1 << 32, 0x5d6e_b41f_e4ec_4a5a_be81_ae38_6d7f_4094),
            (u64::MAX, RowKind::Entry, u64::MAX, 0xee3d_29f5_ecc7_488d_923b_dd7a_3f89_9135),
        ];
        for (key, kind, index, id) in table {
            assert_eq!(RowIds::new(key).encode(kind, index), id.to_be_bytes(), "{key} {kind:?} {index}");
        }
    }

    #[test]
    fn foreign_ids_are_refused() {
        println!("seed {SEED}");
        let ids = RowIds::new(SEED);
        let others = RowIds::new(SEED + 1);
        let mut random = Pcg64::seed_from_u64(SEED);
        for index in 0..100_000 {
            let mut bytes = [0; 16];
            random.fill_bytes(&mut bytes);
            let foreign = uuid::Builder::from_random_bytes(bytes).into_uuid().into_bytes();
            assert_eq!(ids.decode(foreign), None);
            assert_eq!(ids.decode(others.encode(RowKind::Entry, index)), None, "an id of another instance");
        }
        assert_eq!(ids.decode([0; 16]), None);
        assert_eq!(ids.decode([0xff; 16]), None);
    }

    #[test]
    fn one_changed_bit_makes_an_id_foreign() {
        let ids = RowIds::new(SEED);
        let id = u128::from_be_bytes(ids.encode(RowKind::Member, 4_711));
        for bit in 0..128 {
            assert_eq!(ids.decode((id ^ 1 << bit).to_be_bytes()), None, "bit {bit}");
        }
    }

    #[test]
    fn neighbours_do_not_look_like_neighbours() {
        let ids = RowIds::new(SEED);
        let mut differing_bits = 0;
        for index in 0..1_000 {
            let first = u128::from_be_bytes(ids.encode(RowKind::Entry, index));
            let second = u128::from_be_bytes(ids.encode(RowKind::Entry, index + 1));
            differing_bits += (first ^ second).count_ones();
        }
        assert!(
            (55_000..=67_000).contains(&differing_bits),
            "{differing_bits} of 122,000 bits differ, half was expected"
        );
    }
}
