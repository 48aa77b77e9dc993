use serde_json::Value as Json;

use super::{super::print::print_float, *};

/// A fixture's body: bytes written as code points 0 to 255.
fn bytes_of(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}

fn scan_to_text(body: &[u8]) -> Result<String, JsonError> {
    let decoded = Decoded::new(body)?;
    let document = decoded.scan()?;
    let mut out = String::new();
    document.root().print(&mut out);
    Ok(out)
}

#[test]
fn documents_are_read_as_cpython_reads_them() {
    let table = include_str!("../../../../tests/fixtures/python_json.jsonl");
    let mut rows = 0;
    for line in table.lines() {
        let row: Vec<Json> = serde_json::from_str(line).unwrap();
        let body = bytes_of(row[0].as_str().unwrap());
        let got = scan_to_text(&body);
        let expected = match row[1].as_str().unwrap() {
            "value" => Ok(row[2].as_str().unwrap().to_owned()),
            "raise" => Err(JsonError::Unreadable),
            _ => {
                let offset = usize::try_from(row[3].as_u64().unwrap()).unwrap();
                match &got {
                    Err(JsonError::Decode { message, offset: got_offset }) => {
                        assert_eq!((*message, *got_offset), (row[2].as_str().unwrap(), offset), "{}", row[0]);
                        rows += 1;
                        continue;
                    }
                    other => panic!("{}: {other:?} instead of {} at {offset}", row[0], row[2]),
                }
            }
        };
        assert_eq!(got, expected, "{}", row[0]);
        rows += 1;
    }
    assert!(700 < rows, "only {rows} rows");
}

#[test]
fn nesting_is_bounded_and_needs_no_stack() {
    let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    assert_eq!(scan_to_text(&nested(DEPTH_MAX)), Ok(String::from_utf8(nested(DEPTH_MAX)).unwrap()));
    assert_eq!(scan_to_text(&nested(DEPTH_MAX + 1)), Err(JsonError::Unreadable));
    assert_eq!(scan_to_text(&b"{\"a\":".repeat(30_000)), Err(JsonError::Unreadable));
    // A syntax error that comes before the nesting goes too far is found first, as in CPython.
    assert_eq!(scan_to_text(b"[x[[["), Err(JsonError::Decode { message: EXPECTING_VALUE, offset: 1 }));
}

#[test]
fn the_last_of_repeated_keys_wins_at_the_place_of_the_first() {
    let decoded = Decoded::new(br#"{"a":1,"b":2,"a":[3]}"#).unwrap();
    let document = decoded.scan().unwrap();
    let mut out = String::new();
    document.root().get("a").unwrap().print(&mut out);
    assert_eq!(out, "[3]");
    assert!(document.root().get("c").is_none());
    assert_eq!(scan_to_text(br#"{"a":1,"b":2,"a":[3]}"#).unwrap(), r#"{"a":[3],"b":2}"#);
}

#[test]
fn floats_print_as_python_prints_them() {
    // float, repr
    let table = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (10.0, "10.0"),
        (0.1, "0.1"),
        (1e15, "1000000000000000.0"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (1.5e-5, "1.5e-05"),
        (0.0001, "0.0001"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::NAN, "null"),
        (f64::NEG_INFINITY, "null"),
    ];
    for (value, expected) in table {
        let mut out = String::new();
        print_float(value, &mut out);
        assert_eq!(out, expected);
    }
}

#[test]
fn random_bytes_never_panic() {
    use rand_pcg::rand_core::RngCore;
    let seed = 7;
    println!("seed {seed}");
    let mut random = rand_pcg::Pcg64Mcg::new(seed);
    let alphabet = br#"{}[]",:\u0dD8eE+-.1 nullNaNtruefalse"#;
    for _ in 0..50_000 {
        let length = random.next_u32() as usize % 24;
        let body: Vec<u8> = (0..length)
            .map(|_| {
                if random.next_u32().is_multiple_of(16) {
                    random.next_u32().to_le_bytes()[0]
                } else {
                    alphabet[random.next_u32() as usize % alphabet.len()]
                }
            })
            .collect();
        let _ = scan_to_text(&body);
    }
}
