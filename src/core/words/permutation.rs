//! A keyed permutation of numbers: a Feistel network of two halves, which may differ in width.

/// Each pair of rounds changes both halves. Two pairs make a permutation that looks random if the round
/// function does; the third is margin and costs a few nanoseconds.
const ROUND_PAIRS: u8 = 3;

/// A permutation of the numbers of `left_bits + right_bits` bits. It hides order; it is not encryption.
pub(in crate::core) struct Permutation<F> {
    left_bits: u32,
    right_bits: u32,
    round: F,
}

impl<F: Fn(u8, u64) -> u64> Permutation<F> {
    /// Each half has 1 to 64 bits. `round` is a hash under the key: it gives what one half is changed by,
    /// from the number of the round and the other half.
    pub fn new(left_bits: u32, right_bits: u32, round: F) -> Self {
        Self { left_bits, right_bits, round }
    }

    /// Returns the image of a value.
    pub fn permute(&self, value: u128) -> u128 {
        let [mut left, mut right] = self.halves(value);
        for pair in 0..ROUND_PAIRS {
            left ^= low_bits((self.round)(2 * pair, right), self.left_bits);
            right ^= low_bits((self.round)(2 * pair + 1, left), self.right_bits);
        }
        self.whole([left, right])
    }

    /// Returns the value with this image: the inverse of [`Permutation::permute`].
    pub fn undo(&self, image: u128) -> u128 {
        let [mut left, mut right] = self.halves(image);
        for pair in (0..ROUND_PAIRS).rev() {
            right ^= low_bits((self.round)(2 * pair + 1, left), self.right_bits);
            left ^= low_bits((self.round)(2 * pair, right), self.left_bits);
        }
        self.whole([left, right])
    }

    fn halves(&self, value: u128) -> [u64; 2] {
        let half =
            |value: u128, bits| low_bits(u64::try_from(value & u128::from(u64::MAX)).expect("masked"), bits);
        [half(value >> self.right_bits, self.left_bits), half(value, self.right_bits)]
    }

    fn whole(&self, [left, right]: [u64; 2]) -> u128 {
        u128::from(left) << self.right_bits | u128::from(right)
    }
}

fn low_bits(value: u64, bits: u32) -> u64 {
    value & (u64::MAX >> (u64::BITS - bits))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use xxhash_rust::xxh3::xxh3_64_with_seed;

    use super::*;

    #[test]
    fn each_value_has_an_image_of_its_own_and_comes_back() {
        for (left_bits, right_bits) in [(1, 1), (3, 7), (7, 3), (6, 6)] {
            let by = |key| {
                Permutation::new(left_bits, right_bits, move |round: u8, half: u64| {
                    xxh3_64_with_seed(&[&half.to_le_bytes()[..], &[round]].concat(), key)
                })
            };
            let all = 0..1_u128 << (left_bits + right_bits);
            let images: HashSet<u128> = all.clone().map(|value| by(7).permute(value)).collect();
            assert!(images.len() == all.clone().count() && images.iter().all(|image| all.contains(image)));
            assert!(all.clone().all(|value| by(7).undo(by(7).permute(value)) == value));
            let same = all.clone().filter(|value| by(7).permute(*value) == by(8).permute(*value)).count();
            assert!(all.end < 1_000 || same < 20, "the key decides: {same}");
        }
        let widest = Permutation::new(64, 64, |round: u8, half: u64| half.rotate_left(9) ^ u64::from(round));
        for value in [0, 1, u128::MAX, 1 << 64] {
            assert_eq!(widest.undo(widest.permute(value)), value);
        }
    }
}
