//! Referral codes: those that were given are stored, generated ones are computed from the member's index and back.
//!
//! A generated code is eight characters of a 32-letter alphabet: 40 bits that hold the index and eight check bits, shuffled by a key of
//! the instance, so that codes cannot be guessed from each other and a misspelt one is mostly refused. It costs no memory.
//! When the code that would be generated was already given to somebody else, the member gets it with a number behind it, stored.

use super::{
    column::{Column, Scalar, freeze_fields},
    state::Directory,
    types::{Code, MemberIx},
};

/// Crockford's base 32: no letters that look like digits.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GENERATED_BYTES: usize = 8;
const CHECK_BITS: u32 = 8;
const HALF_BITS: u32 = 20;
const HALF_MASK: u64 = (1 << HALF_BITS) - 1;
const ROUNDS: u64 = 6;

#[derive(Clone, Copy)]
struct StoredCode {
    member: u32,
    len: u32,
    offset: u64,
}

/// Codes that were given, ascending by member since a code comes with the signup.
pub(crate) struct Codes {
    stored: Column<StoredCode>,
    bytes: Column<u8>,
    /// Stored codes that look like generated ones. As long as there are none, no generated code can be taken.
    lookalikes: Scalar<u32>,
}

freeze_fields!(Codes { stored, bytes, lookalikes });

impl Codes {
    pub fn new() -> Self {
        Self { stored: Column::new(StoredCode { member: 0, len: 0, offset: 0 }), bytes: Column::new(0), lookalikes: Scalar::new(0) }
    }

    /// How many are stored.
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// The `index`-th stored code and its owner.
    pub fn stored(&self, index: usize) -> (MemberIx, Code) {
        let mut bytes = Vec::new();
        self.copy_bytes(index, &mut bytes);
        let text = std::str::from_utf8(&bytes).expect("codes are ASCII");
        (MemberIx(self.stored.get(index).member), Code::parse(text).expect("only codes are stored"))
    }

    /// Appends the bytes of the `index`-th stored code.
    fn copy_bytes(&self, index: usize, out: &mut Vec<u8>) {
        let row = self.stored.get(index);
        let start = usize::try_from(row.offset).expect("offsets are positions in memory");
        self.bytes.copy_range(start..start + row.len as usize, out);
    }

    /// Stores the code of the newest member. Owners must ascend.
    pub fn push(&mut self, key: u64, member: MemberIx, code: &Code) {
        debug_assert!(self.last_owner().is_none_or(|last| last < member));
        let text = code.as_str().as_bytes();
        let row =
            StoredCode { member: member.0, len: u32::try_from(text.len()).expect("codes are short"), offset: self.bytes.len() as u64 };
        self.stored.push(row);
        *self.lookalikes += u32::from(index_in(key, &code.folded()).is_some());
        text.iter().for_each(|byte| self.bytes.push(*byte));
    }

    pub fn last_owner(&self) -> Option<MemberIx> {
        self.stored.len().checked_sub(1).map(|last| MemberIx(self.stored.get(last).member))
    }

    /// A member's code, stored or generated. O(log stored).
    pub fn of(&self, key: u64, member: MemberIx) -> Code {
        self.find(member).map_or_else(|| generated(key, member), |index| self.stored(index).1)
    }

    /// Appends a member's code in the form in which codes are compared. O(log stored), and no memory of its own.
    pub fn fold_into(&self, key: u64, member: MemberIx, out: &mut Vec<u8>) {
        let Some(index) = self.find(member) else {
            let letters = generated_letters(key, member);
            out.extend(letters.iter().map(u8::to_ascii_lowercase));
            return;
        };
        let before = out.len();
        self.copy_bytes(index, out);
        out[before..].make_ascii_lowercase();
    }

    /// The owner of a code among the first `members` members.
    pub fn owner(&self, key: u64, directory: &impl Directory, folded: &str, members: u32) -> Option<MemberIx> {
        let stored = directory.code(folded).filter(|owner| owner.0 < members);
        stored.or_else(|| index_in(key, folded).filter(|owner| owner.0 < members && self.find(*owner).is_none()))
    }

    /// The code for a member who gave none, when it has to be stored because somebody else has the generated one.
    pub fn replacement(&self, key: u64, directory: &impl Directory, member: MemberIx) -> Option<Code> {
        if *self.lookalikes == 0 {
            return None;
        }
        let code = generated(key, member);
        directory.code(&code.folded())?;
        let numbered = |number: u32| Code::parse(&format!("{}-{number}", code.as_str())).expect("a code with a number is a code");
        (2..=u32::MAX).map(numbered).find(|code| directory.code(&code.folded()).is_none())
    }

    /// Reads where a member's code most likely is. What it is means nothing.
    pub fn peek(&self, member: MemberIx) -> u32 {
        if self.stored.len() <= member.at() {
            return 0;
        }
        let row = self.stored.get(member.at());
        row.len ^ usize::try_from(row.offset).map_or(0, |start| u32::from(*self.bytes.get(start)))
    }

    pub fn size_bytes(&self) -> usize {
        self.stored.bytes() + self.bytes.bytes()
    }

    /// Where a member's code is stored. O(1) where everybody up to it has one, as after most imports, else O(log stored).
    fn find(&self, member: MemberIx) -> Option<usize> {
        // Owners ascend: the code at `n` is that of member `n` or of a later one.
        let at = member.at();
        if at < self.stored.len() && self.stored.get(at).member == member.0 {
            return Some(at);
        }
        let (mut low, mut high) = (0, self.stored.len().min(at));
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.stored.get(middle).member < member.0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low < self.stored.len() && self.stored.get(low).member == member.0).then_some(low)
    }
}

/// The code generated for a member.
fn generated(key: u64, member: MemberIx) -> Code {
    let letters = generated_letters(key, member);
    Code::parse(std::str::from_utf8(&letters).expect("the alphabet is ASCII")).expect("the alphabet is that of codes")
}

fn generated_letters(key: u64, member: MemberIx) -> [u8; GENERATED_BYTES] {
    let value = shuffle(key, u64::from(member.0) << CHECK_BITS);
    std::array::from_fn(|position| ALPHABET[(value >> (5 * (GENERATED_BYTES - 1 - position)) & 31) as usize])
}

/// The index in a generated code; `None` for any other text.
fn index_in(key: u64, folded: &str) -> Option<MemberIx> {
    if folded.len() != GENERATED_BYTES {
        return None;
    }
    let digit = |letter: u8| ALPHABET.iter().position(|known| known.to_ascii_lowercase() == letter);
    let value = folded.bytes().try_fold(0_u64, |value, letter| Some(value << 5 | digit(letter)? as u64))?;
    let plain = unshuffle(key, value);
    (plain & ((1 << CHECK_BITS) - 1) == 0).then_some(MemberIx(u32::try_from(plain >> CHECK_BITS).ok()?))
}

fn round(key: u64, round: u64, half: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&(half << 8 | round).to_le_bytes(), key) & HALF_MASK
}

/// A permutation of 40 bits: a Feistel network. It hides order, it does not keep secrets.
fn shuffle(key: u64, value: u64) -> u64 {
    let (mut left, mut right) = (value >> HALF_BITS, value & HALF_MASK);
    for number in 0..ROUNDS {
        (left, right) = (right, left ^ round(key, number, right));
    }
    left << HALF_BITS | right
}

fn unshuffle(key: u64, value: u64) -> u64 {
    let (mut left, mut right) = (value >> HALF_BITS, value & HALF_MASK);
    for number in (0..ROUNDS).rev() {
        (left, right) = (right ^ round(key, number, left), left);
    }
    left << HALF_BITS | right
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn generated_codes_lead_back_and_differ() {
        let mut seen = HashSet::new();
        for index in (0..200_000).chain([u32::MAX - 2]) {
            let code = generated(99, MemberIx(index));
            assert_eq!(index_in(99, &code.folded()), Some(MemberIx(index)));
            assert!(seen.insert(code.folded()));
        }
        assert_eq!(index_in(99, "too-long-or-not"), None);
        assert_eq!(index_in(99, "uuuuuuuu"), None, "u is not in the alphabet");
        let wrong = (0..10_000).filter(|index| index_in(100, &generated(99, MemberIx(*index)).folded()).is_some()).count();
        assert!(wrong < 100, "another instance's codes are mostly refused: {wrong}");
    }

    #[test]
    fn stored_codes_are_found_by_member() {
        let mut codes = Codes::new();
        for (member, text) in [(3, "three"), (7, "Seven"), (8, "8")] {
            codes.push(1, MemberIx(member), &Code::parse(text).unwrap());
        }
        assert_eq!(codes.of(1, MemberIx(7)).as_str(), "Seven");
        assert_eq!(codes.of(1, MemberIx(8)).as_str(), "8");
        assert_eq!(codes.of(1, MemberIx(4)), generated(1, MemberIx(4)));
        assert_eq!(codes.last_owner(), Some(MemberIx(8)));
        for member in 0..20 {
            let mut folded = Vec::new();
            codes.fold_into(1, MemberIx(member), &mut folded);
            assert_eq!(folded, codes.of(1, MemberIx(member)).folded().as_bytes());
        }
    }
}
