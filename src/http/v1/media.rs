//! Media types named in requests.

use axum::http::{HeaderMap, header};

use super::problem::{Code, Problem};
use crate::http::content;

/// Whether a client asks for a media type by name. Ranges (`*/*`) do not count, and `q=0` excludes it.
pub fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut named =
        values.flat_map(|value| value.split(',')).filter(|part| essence_of(part).eq_ignore_ascii_case(kind));
    named.any(|part| !part.split(';').skip(1).any(is_zero_weight))
}

/// Whether a parameter of a media type is `q=0`, with any number of zeros.
fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else { return false };
    let weight = weight.trim();
    name.trim().eq_ignore_ascii_case("q")
        && !weight.is_empty()
        && weight.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

/// Checks that a body may be read: its type is one that the route accepts, and it is not compressed.
///
/// # Errors
/// `body_encoded`; `media_type_unsupported`, which names `expected`.
pub fn check_body(
    headers: &HeaderMap,
    takes: impl FnOnce(&str) -> bool,
    expected: &'static str,
) -> Result<(), Problem> {
    if content::is_encoded(headers) {
        return Err(Code::BodyEncoded.into());
    }
    if takes(&essence(headers)) {
        return Ok(());
    }
    Err(Problem::new(Code::MediaTypeUnsupported).detail(format!("this route takes {expected}")))
}

/// Media type of a body without its parameters, in lowercase; empty where none is named.
fn essence(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    essence_of(given).to_ascii_lowercase()
}

fn essence_of(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_type_is_asked_for_by_name() {
        // accept, whether NDJSON is asked for
        let table: [(&[&str], bool); 12] = [
            (&["application/x-ndjson"], true),
            (&["Application/X-NDJSON; q=1"], true),
            (&["application/json, application/x-ndjson"], true),
            (&["application/json", "application/x-ndjson;q=0.5"], true),
            (&["application/x-ndjson;q=0.001"], true),
            (&["application/x-ndjson;q=0"], false),
            (&["application/x-ndjson; charset=utf-8 ; Q = 0.000"], false),
            (&["application/x-ndjson;q=0, application/json"], false),
            (&["application/x-ndjson;q="], true),
            (&["*/*"], false),
            (&["application/json"], false),
            (&[], false),
        ];
        for (accept, expected) in table {
            let mut headers = HeaderMap::new();
            accept
                .iter()
                .for_each(|value| _ = headers.append(header::ACCEPT, HeaderValue::from_static(value)));
            assert_eq!(accepts(&headers, "application/x-ndjson"), expected, "{accept:?}");
        }
    }

    #[test]
    fn parameters_are_no_part_of_a_type() {
        for (given, expected) in
            [("application/JSON; charset=utf-8", "application/json"), (" text/plain", "text/plain"), ("", "")]
        {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(given))]);
            assert_eq!(essence(&headers), expected, "{given}");
        }
        assert_eq!(essence(&HeaderMap::new()), "");
    }
}
