//! A keyed permutation of numbers: a Feistel network of two halves, which may differ in width.

/// Each pair of rounds changes both halves. Two pairs make a permutation that looks random if the round
/// function does; the third is margin and costs a few nanoseconds.
const ROUND_PAIRS: u8 = 3;

/// A permutation of pairs of numbers, each with a width of its own. It hides order; it is not encryption.
pub(in crate::core) struct Permutation<F> {
    masks: [u64; 2],
    round: F,
}

impl<F: Fn(u8, u64) -> u64> Permutation<F> {
    /// Each half has 1 to 64 bits. `round` is a hash under the key: it gives what one half is changed by,
    /// from the number of the round and the other half.
    #[inline]
    pub fn new(bits: [u32; 2], round: F) -> Self {
        Self { masks: bits.map(|bits| u64::MAX >> (u64::BITS - bits)), round }
    }

    /// Returns the image of two halves, which must fit their widths.
    #[inline]
    pub fn permute(&self, [mut left, mut right]: [u64; 2]) -> [u64; 2] {
        for pair in 0..ROUND_PAIRS {
            left ^= (self.round)(2 * pair, right) & self.masks[0];
            right ^= (self.round)(2 * pair + 1, left) & self.masks[1];
        }
        [left, right]
    }

    /// Returns the halves with this image: the inverse of [`Permutation::permute`].
    #[inline]
    pub fn undo(&self, [mut left, mut right]: [u64; 2]) -> [u64; 2] {
        for pair in (0..ROUND_PAIRS).rev() {
            right ^= (self.round)(2 * pair + 1, left) & self.masks[1];
            left ^= (self.round)(2 * pair, right) & self.masks[0];
        }
        [left, right]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use xxhash_rust::xxh3::xxh3_64_with_seed;

    use super::*;

    #[test]
    fn each_value_has_an_image_of_its_own_and_comes_back() {
        for bits in [[1, 1], [3, 7], [7, 3], [6, 6]] {
            let by = |key| {
                Permutation::new(bits, move |round: u8, half: u64| {
                    xxh3_64_with_seed(&[&half.to_le_bytes()[..], &[round]].concat(), key)
                })
            };
            let [lefts, rights] = bits.map(|bits| 0..1_u64 << bits);
            let all: Vec<[u64; 2]> =
                lefts.flat_map(|left| rights.clone().map(move |right| [left, right])).collect();
            let images: HashSet<[u64; 2]> = all.iter().map(|halves| by(7).permute(*halves)).collect();
            assert!(images.len() == all.len() && images.iter().all(|image| all.contains(image)));
            assert!(all.iter().all(|halves| by(7).undo(by(7).permute(*halves)) == *halves));
            let same = all.iter().filter(|halves| by(7).permute(**halves) == by(8).permute(**halves)).count();
            assert!(all.len() < 1_000 || same < 20, "the key decides: {same}");
        }
        let widest =
            Permutation::new([64, 64], |round: u8, half: u64| half.rotate_left(9) ^ u64::from(round));
        for halves in [[0, 0], [0, 1], [u64::MAX; 2], [1, 0]] {
            assert_eq!(widest.undo(widest.permute(halves)), halves);
        }
    }
}
