//! The file of secrets shared with a token issuer (`jwt_hs256_secret_file`).
//!
//! UTF-8 text, one secret per line: newest first by convention, several during rotation. Empty lines and
//! lines that begin with `#` are skipped. After `hex:` or `base64:` (standard or URL alphabet, padded or not)
//! the rest of the line is decoded; any other line *is* the secret, byte for byte, like the secrets that
//! programs read from a variable. Nothing is guessed: 64 hexadecimal digits without `hex:` are 64 bytes.
//!
//! Anyone who can read this file can sign tokens for anybody, so only its owner and group may read it.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::Path,
};

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Least bytes of a secret: HS256 requires at least as many as its hash has (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;
/// Limit on bytes of a line.
const SECRET_BYTES_MAX: usize = 4 * 1024;
/// Limit on secrets: the current one, the next and the previous, and room to spare. A refused token is tried
/// against each.
pub const SECRETS_MAX: usize = 8;
/// Limit on bytes of the file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Forbidden mode bits: writing by the group, anything by others.
const MODE_REFUSED: u32 = 0o027;

/// Reads the secrets.
///
/// # Errors
/// A sentence that names the file and never reveals its content.
pub fn shared_secrets(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let wrong = |reason: &str| format!("{}: {reason}", path.display());
    let cannot = |what: &str, error: std::io::Error| wrong(&format!("it cannot be {what}: {error}"));
    // Checked before opening: opening a pipe blocks until there is a writer.
    if !fs::metadata(path).map_err(|error| cannot("opened", error))?.is_file() {
        return Err(wrong("it is no file"));
    }
    let file = File::open(path).map_err(|error| cannot("opened", error))?;
    let facts = file.metadata().map_err(|error| cannot("looked at", error))?;
    if facts.mode() & MODE_REFUSED != 0 {
        let mode = facts.mode() & 0o777;
        return Err(wrong(&format!(
            "others may read or change it (mode {mode:03o}); `chmod 600`, or 640 for a group of its own"
        )));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot("read", error))?;
    if FILE_BYTES_MAX < bytes.len() as u64 {
        return Err(wrong("it is too large to hold secrets"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| wrong("it is not UTF-8 text; write a secret of other bytes as `hex:` or `base64:`"))?;
    parse(&text).map_err(|reason| wrong(&reason))
}

fn parse(text: &str) -> Result<Vec<Vec<u8>>, String> {
    // A public key as the secret would let everybody who has it sign tokens.
    if text.contains("-----BEGIN")
        || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
    {
        return Err(
            "it holds a key of another kind, not a shared secret; public keys belong to jwt_jwks".into()
        );
    }
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let secret = secret(line).map_err(|reason| format!("line {number} {reason}"))?;
        if secrets.contains(&secret) {
            return Err(format!("line {number} has a secret that is there before"));
        }
        secrets.push(secret);
        if SECRETS_MAX < secrets.len() {
            return Err(format!("it has more than {SECRETS_MAX} secrets"));
        }
    }
    if secrets.is_empty() { Err("it has no secret".into()) } else { Ok(secrets) }
}

fn secret(line: &str) -> Result<Vec<u8>, String> {
    if SECRET_BYTES_MAX < line.len() {
        return Err(format!("has more than {SECRET_BYTES_MAX} bytes"));
    }
    // Leading or trailing blanks are invisible, yet they change the signature.
    if line.trim() != line {
        return Err("begins or ends with a blank".into());
    }
    let secret = if let Some(digits) = line.strip_prefix("hex:") {
        unhex(digits).ok_or("has something else than pairs of hexadecimal digits after `hex:`")?
    } else if let Some(text) = line.strip_prefix("base64:") {
        unbase64(text).ok_or("has something else than base64 after `base64:`")?
    } else {
        line.as_bytes().to_vec()
    };
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!(
            "has a secret of {} bytes; HS256 needs {SECRET_BYTES_MIN} (256 bits) or more",
            secret.len()
        ));
    }
    if secret.iter().all(|byte| *byte == secret[0]) {
        return Err("has one byte over and over, which is no secret".into());
    }
    Ok(secret)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn lines_are_secrets_and_nothing_is_guessed() {
        let raw = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let bytes: Vec<u8> = unhex(raw).unwrap();
        // text of the file, its secrets
        let table: [(&str, Vec<Vec<u8>>); 8] = [
            (raw, vec![raw.as_bytes().to_vec()]),
            (&format!("{raw}\n"), vec![raw.as_bytes().to_vec()]),
            (&format!("{raw}\r\n"), vec![raw.as_bytes().to_vec()]),
            (&format!("hex:{raw}"), vec![bytes.clone()]),
            (&format!("hex:{}", raw.to_uppercase()), vec![bytes.clone()]),
            ("base64:ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8=", vec![bytes.clone()]),
            (
                "base64:-_8jRWeJq83vASNFZ4mrze8BI0VniavN7wEjRWeJq80",
                vec![
                    [
                        &[0xfb, 0xff],
                        &unhex("23456789abcdef0123456789abcdef0123456789abcdef0123456789abcd").unwrap()[..],
                    ]
                    .concat(),
                ],
            ),
            (
                &format!(
                    "# the next one\nhex:{raw}\n\n# the present one\na secret with blanks, of 35 bytes....\n"
                ),
                vec![bytes, b"a secret with blanks, of 35 bytes....".to_vec()],
            ),
        ];
        for (text, secrets) in table {
            assert_eq!(parse(text), Ok(secrets), "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_is_named_and_not_shown() {
        let long = "x".repeat(31) + "y";
        let eight: Vec<String> = (0..=SECRETS_MAX).map(|number| format!("{long}{number}")).collect();
        // text of the file, the error
        let table = [
            ("", "it has no secret"),
            ("# only a note\n", "it has no secret"),
            ("changeme", "line 1 has a secret of 8 bytes"),
            (&long[1..], "line 1 has a secret of 31 bytes"),
            ("hex:00112233445566778899aabbccddeeff", "line 1 has a secret of 16 bytes"),
            ("hex:zz", "line 1 has something else than pairs"),
            ("hex:123", "line 1 has something else than pairs"),
            ("base64:!!!!", "line 1 has something else than base64"),
            (
                "hex:0000000000000000000000000000000000000000000000000000000000000000",
                "line 1 has one byte over and over",
            ),
            (&format!("{long} \n"), "line 1 begins or ends with a blank"),
            (&format!("{long}\n{long}\n"), "line 2 has a secret that is there before"),
            (&eight.join("\n"), "it has more than 8 secrets"),
            (&"x".repeat(5_000), "line 1 has more than 4096 bytes"),
            (
                "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n\
                 -----END PUBLIC KEY-----\n",
                "a key of another kind",
            ),
            ("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "a key of another kind"),
        ];
        for (text, said) in table {
            let reason = parse(text).expect_err(text);
            assert!(reason.contains(said), "{text}: {reason}");
            assert!(text.len() < 8 || !reason.contains(text.trim()), "{reason}");
        }
    }

    #[test]
    fn nobody_else_may_read_or_change_the_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("secret");
        fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        // mode, whether the file is read
        for (mode, is_read) in [
            (0o600, true),
            (0o400, true),
            (0o440, true),
            (0o640, true),
            (0o660, false),
            (0o644, false),
            (0o604, false),
            (0o602, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = shared_secrets(&path);
            assert_eq!(read.is_ok(), is_read, "{mode:o}: {read:?}");
            assert!(is_read || read.unwrap_err().contains("chmod 600"), "{mode:o}");
        }
        assert!(shared_secrets(place.path()).unwrap_err().contains("it is no file"));
        assert!(shared_secrets(&place.path().join("absent")).unwrap_err().contains("it cannot be opened"));
    }
}
