//! Member and row ids as the original accepts them, and its reasons for refusing others.
//!
//! The original's validation library takes both from version 1.16 of the Rust `uuid` crate. Later versions word the reasons
//! differently, so they are made here; `tests/fixtures/request_bodies.jsonl` pins them.

const URN_PREFIX: &str = "urn:uuid:";

/// Where the groups of the hyphenated form begin.
const GROUP_STARTS: [usize; 5] = [0, 9, 14, 19, 24];

/// Reads 32 hexadecimal digits, or the hyphenated form, which may be in braces or behind `urn:uuid:`. Any case, any version.
///
/// # Errors
/// The reason, as the original words it.
pub fn parse(input: &str) -> Result<[u8; 16], String> {
    let bytes = input.as_bytes();
    let (shape, digits) = match bytes {
        _ if bytes.len() == 32 => (input, simple(bytes)),
        _ if bytes.len() == 36 => (input, hyphenated(bytes)),
        [b'{', inner @ .., b'}'] if inner.len() == 36 => (&input[1..37], hyphenated(inner)),
        _ => match input.strip_prefix(URN_PREFIX) {
            Some(inner) if inner.len() == 36 => (inner, hyphenated(inner.as_bytes())),
            _ => (input, None),
        },
    };
    // The original reports places inside the part that had the right length.
    digits.ok_or_else(|| reason(shape))
}

fn simple(digits: &[u8]) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = hex(pair[0])? << 4 | hex(pair[1])?;
    }
    Some(id)
}

fn hyphenated(text: &[u8]) -> Option<[u8; 16]> {
    let mut digits = [0; 32];
    let mut filled = 0;
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
        } else {
            digits[filled] = *byte;
            filled += 1;
        }
    }
    simple(&digits)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Why `input` is no UUID: first a character that has no place in one, then lengths.
fn reason(input: &str) -> String {
    let bytes = input.as_bytes();
    let (inner, offset, is_simple) = match (bytes, input.strip_prefix(URN_PREFIX)) {
        ([b'{', .., b'}'], _) => (&input[1..input.len() - 1], 1, false),
        (_, Some(inner)) => (inner, URN_PREFIX.len(), false),
        _ => (input, 0, true),
    };
    let mut hyphens = 0;
    let mut group_ends = [0; 4];
    for (at, character) in inner.char_indices() {
        if character == '-' {
            if let Some(end) = group_ends.get_mut(hyphens) {
                *end = at;
            }
            hyphens += 1;
        } else if !character.is_ascii_hexdigit() {
            let at = at + offset + 1;
            return format!(
                "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found `{character}` at {at}"
            );
        }
    }
    if hyphens == 0 && is_simple {
        return format!("invalid length: expected length 32 for simple format, found {}", input.len());
    }
    if hyphens != 4 {
        return format!("invalid group count: expected 5, found {}", hyphens + 1);
    }
    for (group, end) in group_ends.into_iter().enumerate() {
        let (start, next) = (GROUP_STARTS[group], GROUP_STARTS[group + 1]);
        if end != next - 1 {
            // Groups before this one have the right length, so `start` is where it begins.
            return format!("invalid group length in group {group}: expected {}, found {}", next - 1 - start, end - start);
        }
    }
    // The original counts braces and prefix into the last group.
    format!("invalid group length in group 4: expected 12, found {}", input.len() - GROUP_STARTS[4])
}

/// Prints lower-case hyphenated.
pub fn print(id: &[u8; 16], out: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for (at, byte) in id.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233-4455-6677-8899-aabbccddeeff";

    #[test]
    fn all_accepted_forms_are_one_id() {
        let simple = ID.replace('-', "");
        let forms =
            [ID.to_owned(), ID.to_uppercase(), simple.clone(), simple.to_uppercase(), format!("{{{ID}}}"), format!("urn:uuid:{ID}")];
        for form in forms {
            let id = parse(&form).unwrap_or_else(|reason| panic!("{form}: {reason}"));
            let mut printed = String::new();
            print(&id, &mut printed);
            assert_eq!(printed, ID, "{form}");
        }
        assert_eq!(parse("00000000-0000-0000-0000-000000000000"), Ok([0; 16]));
    }

    #[test]
    fn reasons_are_those_of_the_contract() {
        // input, reason
        let table = [
            ("", "invalid length: expected length 32 for simple format, found 0"),
            ("1234", "invalid length: expected length 32 for simple format, found 4"),
            ("not-a-uuid", "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found `n` at 1"),
            ("00000000-0000-4000-8000-00000000000", "invalid group length in group 4: expected 12, found 11"),
            ("00000000-0000-4000-8000", "invalid group count: expected 5, found 4"),
        ];
        for (input, reason) in table {
            assert_eq!(parse(input), Err(reason.to_owned()), "{input}");
        }
    }

    #[test]
    fn random_text_never_panics() {
        use rand_pcg::rand_core::RngCore;
        let seed = 11;
        println!("seed {seed}");
        let mut random = rand_pcg::Pcg64Mcg::new(seed);
        let pieces = ["{", "}", "urn:uuid:", "-", "0", "ff", "é", "g", "00000000", "0000-", "000000000000"];
        for _ in 0..100_000 {
            let length = random.next_u32() % 9;
            let text: String = (0..length).map(|_| pieces[random.next_u32() as usize % pieces.len()]).collect();
            let _ = parse(&text);
        }
    }
}
