//! Member and row ids as the original accepts them, and its reasons for refusing others.
//!
//! The original's validation library takes both from version 1.16 of the Rust `uuid` crate. Later versions
//! accept the same ids but word the reasons differently, so the texts are built here;
//! `tests/fixtures/request_bodies.jsonl` pins them.

const URN_PREFIX: &str = "urn:uuid:";

/// Where the groups of the hyphenated form begin.
const GROUP_STARTS: [usize; 5] = [0, 9, 14, 19, 24];

/// Reads 32 hexadecimal digits, or the hyphenated form, optionally in braces or after `urn:uuid:`. Any case,
/// any version.
///
/// # Errors
/// The reason, as the original words it.
pub fn parse(input: &str) -> Result<[u8; 16], String> {
    let bytes = input.as_bytes();
    let (shape, id) = match bytes {
        _ if matches!(bytes.len(), 32 | 36) => (input, read(bytes)),
        [b'{', inner @ .., b'}'] if inner.len() == 36 => (&input[1..37], read(inner)),
        _ => match input.strip_prefix(URN_PREFIX) {
            Some(inner) if inner.len() == 36 => (inner, read(inner.as_bytes())),
            _ => (input, None),
        },
    };
    // The original reports positions within the part that had the right length.
    id.ok_or_else(|| reason(shape))
}

/// 32 digits, or 36 characters with hyphens in their places.
fn read(text: &[u8]) -> Option<[u8; 16]> {
    ::uuid::Uuid::try_parse_ascii(text).ok().map(::uuid::Uuid::into_bytes)
}

/// Why `input` is no UUID: invalid characters first, then lengths.
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
                "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], \
                 found `{character}` at {at}"
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
            return format!(
                "invalid group length in group {group}: expected {}, found {}",
                next - 1 - start,
                end - start
            );
        }
    }
    // The original counts braces and prefix as part of the last group.
    format!("invalid group length in group 4: expected 12, found {}", input.len() - GROUP_STARTS[4])
}

/// Prints the hyphenated form in lowercase.
pub fn print(id: &[u8; 16], out: &mut String) {
    out.push_str(
        ::uuid::Uuid::from_bytes_ref(id).hyphenated().encode_lower(&mut ::uuid::Uuid::encode_buffer()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233-4455-6677-8899-aabbccddeeff";

    #[test]
    fn all_accepted_forms_are_one_id() {
        let simple = ID.replace('-', "");
        let forms = [
            ID.to_owned(),
            ID.to_uppercase(),
            simple.clone(),
            simple.to_uppercase(),
            format!("{{{ID}}}"),
            format!("urn:uuid:{ID}"),
        ];
        for form in forms {
            let id = parse(&form).unwrap_or_else(|reason| panic!("{form}: {reason}"));
            let mut printed = String::new();
            print(&id, &mut printed);
            assert_eq!(printed, ID, "{form}");
        }
        assert_eq!(parse("00000000-0000-0000-0000-000000000000"), Ok([0; 16]));
    }

    #[test]
    fn other_forms_of_the_right_length_are_none() {
        let forms = [
            "{00112233-4455-6677-8899-aabbccddee}",
            "urn:uuid:00112233445566778899aabbccd",
            "001122334455-6677-8899-aabb-ccddeeff",
            "0011223344556677-8899-aabbccddee",
            "00112233445566778899aabbccddeeff0011",
            "+0112233445566778899aabbccddeeff",
            "{00112233445566778899aabbccddeeff0011}",
            "URN:UUID:00112233-4455-6677-8899-aabbccddeeff",
        ];
        for form in forms {
            assert!(parse(form).is_err(), "{form}");
        }
    }

    #[test]
    fn reasons_are_those_of_the_contract() {
        // input, reason
        let table = [
            ("", "invalid length: expected length 32 for simple format, found 0"),
            ("1234", "invalid length: expected length 32 for simple format, found 4"),
            (
                "not-a-uuid",
                "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], \
                 found `n` at 1",
            ),
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
            let text: String =
                (0..length).map(|_| pieces[random.next_u32() as usize % pieces.len()]).collect();
            let _ = parse(&text);
        }
    }
}
