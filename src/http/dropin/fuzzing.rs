//! Properties that hold for any bytes sent as a body to the drop-in routes.

use super::{
    body::{Refusal, RegisterBody, TriggerBody},
    python::json::INT_DIGITS_MAX,
    python::text::Decoded,
};

const JSON: Option<&[u8]> = Some(b"application/json");

/// Returns true when some route accepts it.
///
/// # Panics
/// When the answer to a refused body is not JSON, when printing is not stable, or when plain JSON is refused.
pub(in crate::http) fn body(bytes: &[u8]) -> bool {
    let printed = print(bytes);
    if let Some(printed) = &printed {
        assert_eq!(
            print(printed.as_bytes()).as_ref(),
            Some(printed),
            "what is printed is read back and printed the same"
        );
    }
    // Decimal numbers of any size are valid in Python, up to its digit limit.
    let longest = bytes.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or(0);
    if longest <= INT_DIGITS_MAX && serde_json::from_slice::<serde_json::Value>(bytes).is_ok() {
        assert!(printed.is_some(), "JSON is read");
    }
    let plain = RegisterBody::read(JSON, bytes, false);
    let lenient = RegisterBody::read(JSON, bytes, true);
    if let Ok(plain) = &plain {
        assert_eq!(lenient.as_ref(), Ok(plain), "leniency takes more, and nothing else");
    }
    let registers = told(lenient).map(|found| {
        let id = |id: [u8; 16]| uuid::Uuid::from_bytes(id).to_string();
        let again = serde_json::json!({ "user_id": id(found.user_id), "parent_id": found.parent_id.map(id) })
            .to_string();
        assert_eq!(
            RegisterBody::read(JSON, again.as_bytes(), false),
            Ok(found),
            "the plain form says the same"
        );
    });
    let triggers = told(TriggerBody::read(JSON, bytes));
    // Nothing is read of another type.
    let _ = told(plain);
    let other = told(RegisterBody::read(Some(b"text/plain"), bytes, true));
    assert!(other.is_none(), "a body that is not said to be JSON is not read as JSON");
    registers.is_some() || triggers.is_some()
}

fn print(bytes: &[u8]) -> Option<String> {
    let decoded = Decoded::new(bytes).ok()?;
    let document = decoded.scan().ok()?;
    let mut out = String::new();
    document.root().print(&mut out);
    Some(out)
}

/// A refusal is answered with JSON, whatever of the body it echoes.
fn told<T>(read: Result<T, Refusal>) -> Option<T> {
    match read {
        Ok(found) => Some(found),
        Err(Refusal::Unparsable) => None,
        Err(Refusal::Invalid(items)) => {
            let answer = items.into_json();
            // The answer nests the refused document three levels deeper, which our own reader may refuse;
            // that then does not show that it is invalid.
            let depth = answer.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
            assert!(
                depth + 3 > super::python::json::DEPTH_MAX || print(answer.as_bytes()).is_some(),
                "{answer}"
            );
            None
        }
    }
}
