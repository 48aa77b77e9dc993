//! Sizes in human form: bytes, or a number of K, M, G or T.

/// What a letter stands for, largest first.
const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

/// The error for a text that is not a size.
pub(super) const NO_SIZE: &str = "is not a size: a whole number of bytes, or one with K, M, \
    G or T behind it, such as 64M (each is 1,024 of the one before)";
/// The error for a size that overflows.
pub(super) const TOO_LARGE: &str = "is more bytes than there are numbers for";

/// Parses a size: digits alone, or directly followed by one of the letters `K`, `M`, `G`, `T`, each 1,024
/// times the one before.
///
/// # Errors
/// Why it is not a size.
pub(super) fn parse(text: &str) -> Result<u64, &'static str> {
    let unit = UNITS.iter().find_map(|(letter, shift)| Some((text.strip_suffix(*letter)?, *shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NO_SIZE);
    }
    let number = digits.parse::<u64>().map_err(|_| TOO_LARGE)?;
    number.checked_mul(1 << shift).ok_or(TOO_LARGE)
}

/// Prints bytes with the largest letter that leaves a whole number.
pub(super) fn print(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, shift)| bytes != 0 && *shift <= bytes.trailing_zeros());
    unit.map_or_else(|| bytes.to_string(), |(letter, shift)| format!("{}{letter}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_letter() {
        // text, bytes
        let table = [
            ("0", Ok(0)),
            ("1", Ok(1)),
            ("0064", Ok(64)),
            ("67108864", Ok(64 << 20)),
            ("1K", Ok(1_024)),
            ("64M", Ok(64 << 20)),
            ("10G", Ok(10 << 30)),
            ("3T", Ok(3 << 40)),
            ("0T", Ok(0)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("16777215T", Ok(16_777_215 << 40)),
            ("18446744073709551616", Err(TOO_LARGE)),
            ("16777216T", Err(TOO_LARGE)),
            ("99999999999999999999G", Err(TOO_LARGE)),
            ("", Err(NO_SIZE)),
            ("M", Err(NO_SIZE)),
            ("64m", Err(NO_SIZE)),
            ("64 M", Err(NO_SIZE)),
            (" 64M", Err(NO_SIZE)),
            ("64MB", Err(NO_SIZE)),
            ("64MiB", Err(NO_SIZE)),
            ("64MM", Err(NO_SIZE)),
            ("1.5G", Err(NO_SIZE)),
            ("-1M", Err(NO_SIZE)),
            ("+1M", Err(NO_SIZE)),
            ("1P", Err(NO_SIZE)),
            ("1e6", Err(NO_SIZE)),
            ("1_000", Err(NO_SIZE)),
            ("0x10", Err(NO_SIZE)),
            ("\u{664}M", Err(NO_SIZE)),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        let table = [
            (0, "0"),
            (1, "1"),
            (1_023, "1023"),
            (1_024, "1K"),
            (1 << 20, "1M"),
            (3 << 29, "1536M"),
            (1 << 50, "1024T"),
        ];
        for (bytes, text) in table {
            assert_eq!(print(bytes), text);
        }
        let bytes = (0..64)
            .flat_map(|shift| [1_u64 << shift, (1_u64 << shift) - 1, 5_u64.wrapping_shl(shift)])
            .chain([u64::MAX]);
        for bytes in bytes {
            assert_eq!(parse(&print(bytes)), Ok(bytes));
        }
    }
}
