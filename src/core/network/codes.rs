//! Referral codes: given ones are stored, generated ones are computed from the member's index and decoded
//! back to it.
//!
//! A generated code is eight characters of an alphabet without letters that look like digits: some 40 bits
//! that hold the index and seven or eight check bits, permuted under a key of the instance, so that codes
//! cannot be guessed from each other and most misspelt ones are refused. It takes no memory. If another
//! member was already given the code that would be generated, the member gets it with a number appended,
//! stored.

use strum::FromRepr;

use bytemuck::{Pod, Zeroable};

use crate::core::{
    store::{
        column::{Scalar, freeze_fields},
        search::partition_point,
        settled::Settled,
    },
    words::{
        directory::Directory,
        permutation::Permutation,
        types::{Code, MemberIx, alike},
    },
};

/// Crockford's base 32: no letters that look like digits.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The same without E, and its letters: a code made of them never reads as a number, with or without an
/// exponent.
const WITHOUT_E: &[u8; 31] = b"0123456789ABCDFGHJKMNPQRSTVWXYZ";
const LETTERS: &[u8; 21] = b"ABCDFGHJKMNPQRSTVWXYZ";
/// By folded letter, its place in an alphabet, from 1; 0 for others.
type Digits = [u8; 256];
static CROCKFORD_DIGITS: Digits = digits(CROCKFORD);
static WITHOUT_E_DIGITS: Digits = digits(WITHOUT_E);
static LETTER_DIGITS: Digits = digits(LETTERS);
const GENERATED_BYTES: usize = 8;
/// Bits of the right half of the permuted value.
const RIGHT_BITS: u32 = 20;

/// How codes are generated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeKey {
    /// The key of the permutation: other keys give other codes.
    pub key: u64,
    pub form: CodeForm,
}

/// The form of generated codes. Numbers are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromRepr)]
#[repr(u8)]
pub enum CodeForm {
    /// Eight digits or letters of Crockford's base 32, as in networks made before format 3. Some look like
    /// numbers (`27964070`, `27964E70`), which spreadsheets and loosely typed programs reformat.
    Any = 0,
    /// A letter, then seven digits or letters, and no E.
    LetterFirst = 1,
}

/// The form of networks made before format 3.
impl From<u64> for CodeKey {
    fn from(key: u64) -> Self {
        Self { key, form: CodeForm::Any }
    }
}

impl CodeForm {
    /// Bits held by a code: the index, followed by check bits.
    const fn bits(self) -> u32 {
        match self {
            CodeForm::Any => 40,
            CodeForm::LetterFirst => 39,
        }
    }

    const fn check_bits(self) -> u32 {
        self.bits() - u32::BITS
    }
}

/// A code is similar to several others and equal to none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::core) struct Ambiguous;

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(C)]
struct StoredCode {
    member: u32,
    len: u32,
    offset: u64,
}

/// Given codes, ascending by member since a code comes with the signup.
pub(crate) struct Codes {
    stored: Settled<StoredCode>,
    bytes: Settled<u8>,
    /// Stored codes that look like generated ones. While there are none, no generated code can be taken.
    lookalikes: Scalar<u32>,
}

freeze_fields!(Codes { stored, bytes, lookalikes });

impl Codes {
    pub fn new() -> Self {
        Self { stored: Settled::new(), bytes: Settled::new(), lookalikes: Scalar::new(0) }
    }

    /// Number of stored codes.
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

    /// Stores the code of the newest member; `folded` is [`Code::folded`]. Owners must ascend.
    pub fn push(&mut self, key: CodeKey, member: MemberIx, code: &Code, folded: &str) {
        debug_assert!(self.last_owner().is_none_or(|last| last < member));
        let text = code.as_str().as_bytes();
        let row = StoredCode {
            member: member.0,
            len: u32::try_from(text.len()).expect("codes are short"),
            offset: self.bytes.len() as u64,
        };
        self.stored.push(row);
        *self.lookalikes += u32::from(index_in(key, folded).is_some());
        text.iter().for_each(|byte| self.bytes.push(*byte));
    }

    pub fn last_owner(&self) -> Option<MemberIx> {
        self.stored.len().checked_sub(1).map(|last| MemberIx(self.stored.get(last).member))
    }

    /// A member's code, stored or generated. O(log stored).
    pub fn of(&self, key: CodeKey, member: MemberIx) -> Code {
        self.find(member).map_or_else(|| generated(key, member), |index| self.stored(index).1)
    }

    /// Appends a member's code, folded for comparison. O(log stored), without allocating.
    pub fn fold_into(&self, key: CodeKey, member: MemberIx, out: &mut Vec<u8>) {
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
    pub fn owner(
        &self,
        key: CodeKey,
        directory: &impl Directory,
        folded: &str,
        members: u32,
    ) -> Option<MemberIx> {
        let stored = directory.code(folded).filter(|owner| owner.0 < members);
        stored.or_else(|| {
            index_in(key, folded).filter(|owner| owner.0 < members && self.find(*owner).is_none())
        })
    }

    /// The owner of a code among the first `members` members, as people write codes: the exact one, or else
    /// the only similar one ([`Code::alike`]).
    pub fn look_up(
        &self,
        key: CodeKey,
        directory: &impl Directory,
        folded: &str,
        members: u32,
    ) -> Result<Option<MemberIx>, Ambiguous> {
        let exact = self.owner(key, directory, folded, members);
        if exact.is_some() {
            return Ok(exact);
        }
        // One code may be written in exactly its alike form; all others similar to it are in the directory's
        // table.
        let alike = alike(folded);
        let mut owner = self.owner(key, directory, &alike, members);
        let mut others = false;
        directory.codes_alike(&alike, &mut |candidate| {
            if candidate.0 < members
                && self.find(candidate).is_some_and(|index| self.stored(index).1.alike() == alike)
            {
                others |= owner.is_some();
                owner = Some(candidate);
            }
        });
        if others { Err(Ambiguous) } else { Ok(owner) }
    }

    /// The code to store for a member who gave none, because the generated one is taken.
    pub fn replacement(&self, key: CodeKey, directory: &impl Directory, member: MemberIx) -> Option<Code> {
        if *self.lookalikes == 0 {
            return None;
        }
        let code = generated(key, member);
        directory.code(&code.folded())?;
        let numbered = |number: u32| {
            Code::parse(&format!("{}-{number}", code.as_str())).expect("a code with a number is a code")
        };
        (2..=u32::MAX).map(numbered).find(|code| directory.code(&code.folded()).is_none())
    }

    /// Reads the likely location of a member's code. The result is meaningless.
    pub fn prefetch(&self, member: MemberIx) -> u32 {
        if self.stored.len() <= member.at() {
            return 0;
        }
        let row = self.stored.get(member.at());
        row.len ^ usize::try_from(row.offset).map_or(0, |start| u32::from(*self.bytes.get(start)))
    }

    /// Where a member's code is stored. O(1) if all members up to it have one, as after most imports, else
    /// O(log stored).
    fn find(&self, member: MemberIx) -> Option<usize> {
        // Owners ascend: the code at `n` belongs to member `n` or a later one.
        let at = member.at();
        if at < self.stored.len() && self.stored.get(at).member == member.0 {
            return Some(at);
        }
        let before = 0..self.stored.len().min(at);
        let at = partition_point(before, |index| self.stored.get(index).member < member.0);
        (at < self.stored.len() && self.stored.get(at).member == member.0).then_some(at)
    }
}

/// The code generated for a member.
fn generated(key: CodeKey, member: MemberIx) -> Code {
    let letters = generated_letters(key, member);
    Code::parse(std::str::from_utf8(&letters).expect("the alphabet is ASCII"))
        .expect("the alphabet is that of codes")
}

fn generated_letters(key: CodeKey, member: MemberIx) -> [u8; GENERATED_BYTES] {
    let value = whole(permutation(key).permute(halves(u64::from(member.0) << key.form.check_bits())));
    match key.form {
        CodeForm::Any => std::array::from_fn(|position| {
            CROCKFORD[(value >> (5 * (GENERATED_BYTES - 1 - position)) & 31) as usize]
        }),
        CodeForm::LetterFirst => {
            let mut rest = value;
            let mut next = |alphabet: &[u8]| {
                let at = usize::try_from(rest % alphabet.len() as u64).expect("below the length");
                let letter = alphabet[at];
                rest /= alphabet.len() as u64;
                letter
            };
            std::array::from_fn(|position| next(if position == 0 { LETTERS } else { WITHOUT_E }))
        }
    }
}

const fn digits(alphabet: &[u8]) -> Digits {
    let (mut digits, mut at) = ([0; 256], 0_u8);
    while (at as usize) < alphabet.len() {
        digits[alphabet[at as usize].to_ascii_lowercase() as usize] = at + 1;
        at += 1;
    }
    digits
}

/// The index in a generated code; `None` for any other text.
fn index_in(key: CodeKey, folded: &str) -> Option<MemberIx> {
    if folded.len() != GENERATED_BYTES {
        return None;
    }
    let digit = |digits: &Digits, letter: u8| Some(digits[usize::from(letter)].checked_sub(1)?.into());
    let mut letters = folded.bytes();
    let value = match key.form {
        CodeForm::Any => {
            letters.try_fold(0, |value, letter| Some(value << 5 | digit(&CROCKFORD_DIGITS, letter)?))?
        }
        CodeForm::LetterFirst => {
            let first: u64 = digit(&LETTER_DIGITS, letters.next()?)?;
            let rest = letters.rev().try_fold(0, |value, letter| {
                Some(value * WITHOUT_E.len() as u64 + digit(&WITHOUT_E_DIGITS, letter)?)
            })?;
            rest * LETTERS.len() as u64 + first
        }
    };
    // Eight letters can hold slightly more values than are used.
    if value >> key.form.bits() != 0 {
        return None;
    }
    let plain = whole(permutation(key).undo(halves(value)));
    let check = plain & ((1 << key.form.check_bits()) - 1);
    (check == 0).then_some(MemberIx(u32::try_from(plain >> key.form.check_bits()).ok()?))
}

/// The permutation of the form's bits under a key.
fn permutation(key: CodeKey) -> Permutation<impl Fn(u8, u64) -> u64> {
    Permutation::new([key.form.bits() - RIGHT_BITS, RIGHT_BITS], move |round: u8, half: u64| {
        xxhash_rust::xxh3::xxh3_64_with_seed(&(half << 8 | u64::from(round)).to_le_bytes(), key.key)
    })
}

fn halves(value: u64) -> [u64; 2] {
    [value >> RIGHT_BITS, value & ((1 << RIGHT_BITS) - 1)]
}

fn whole([left, right]: [u64; 2]) -> u64 {
    left << RIGHT_BITS | right
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn generated_codes_lead_back_and_differ() {
        for form in [CodeForm::Any, CodeForm::LetterFirst] {
            let key = |key| CodeKey { key, form };
            let mut seen = HashSet::new();
            for index in (0..200_000).chain([u32::MAX - 2]) {
                let code = generated(key(99), MemberIx(index));
                assert_eq!(index_in(key(99), &code.folded()), Some(MemberIx(index)));
                assert!(seen.insert(code.folded()));
                assert_eq!(code.folded(), code.alike(), "no letter of it is taken for a digit");
            }
            assert_eq!(index_in(key(99), "too-long-or-not"), None);
            assert_eq!(index_in(key(99), "uuuuuuuu"), None, "u is not in the alphabet");
            let wrong = (0..10_000)
                .filter(|index| index_in(key(100), &generated(key(99), MemberIx(*index)).folded()).is_some())
                .count();
            assert!(wrong < 200, "another instance's codes are mostly refused: {wrong}");
        }
    }

    /// The encoding of releases before format 3, reimplemented independently.
    fn generated_before_3(key: u64, member: u32) -> String {
        let mask = (1 << 20) - 1;
        let value = u64::from(member) << 8;
        let (mut left, mut right) = (value >> 20, value & mask);
        for number in 0..6_u64 {
            let changed =
                xxhash_rust::xxh3::xxh3_64_with_seed(&(right << 8 | number).to_le_bytes(), key) & mask;
            (left, right) = (right, left ^ changed);
        }
        let value = left << 20 | right;
        (0..8)
            .map(|position| {
                char::from(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(value >> (5 * (7 - position)) & 31) as usize])
            })
            .collect()
    }

    #[test]
    fn codes_of_networks_before_format_3_never_change() {
        for member in (0..2_000).chain([u32::MAX - 2]) {
            assert_eq!(generated(77.into(), MemberIx(member)).as_str(), generated_before_3(77, member));
        }
    }

    /// Codes are printed and sent around. These were computed from the definition by another program.
    #[test]
    fn generated_codes_never_change() {
        // key, member, its code of each form
        let table = [
            (7, 0, "3DXXV89D", "CJ5VY6CX"),
            (7, 1, "RB8JVV39", "ZSY3PASH"),
            (7, 4_711, "YWFEYXVK", "VXNSGYVW"),
            (7, u32::MAX - 2, "SF3K65HZ", "KP63T41S"),
            (99, 0, "S2T74TKP", "CAWA77TG"),
            (u64::MAX, 123_456, "RWEG7X8Q", "ZN73KRB0"),
        ];
        for (key, member, any, letter_first) in table {
            let code = |form| generated(CodeKey { key, form }, MemberIx(member)).into_string();
            assert_eq!(code(CodeForm::Any), any, "{key} {member}");
            assert_eq!(code(CodeForm::LetterFirst), letter_first, "{key} {member}");
        }
    }

    #[test]
    fn new_generated_codes_look_like_no_number() {
        let key = CodeKey { key: 7, form: CodeForm::LetterFirst };
        for index in 0..100_000 {
            let code = generated(key, MemberIx(index));
            assert!(
                code.as_str().as_bytes()[0].is_ascii_alphabetic() && !code.as_str().contains('E'),
                "{code:?}"
            );
            assert!(code.as_str().parse::<f64>().is_err());
        }
    }

    #[test]
    fn stored_codes_are_found_by_member() {
        let mut codes = Codes::new();
        for (member, text) in [(3, "three"), (7, "Seven"), (8, "8")] {
            let code = Code::parse(text).unwrap();
            codes.push(1.into(), MemberIx(member), &code, &code.folded());
        }
        assert_eq!(codes.of(1.into(), MemberIx(7)).as_str(), "Seven");
        assert_eq!(codes.of(1.into(), MemberIx(8)).as_str(), "8");
        assert_eq!(codes.of(1.into(), MemberIx(4)), generated(1.into(), MemberIx(4)));
        assert_eq!(codes.last_owner(), Some(MemberIx(8)));
        for member in 0..20 {
            let mut folded = Vec::new();
            codes.fold_into(1.into(), MemberIx(member), &mut folded);
            assert_eq!(folded, codes.of(1.into(), MemberIx(member)).folded().as_bytes());
        }
    }
}
