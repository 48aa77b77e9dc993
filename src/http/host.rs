//! The host a request is for: the `Host` header, and the host that a trusted proxy says its client asked for.

use std::net::Ipv6Addr;

use axum::http::{HeaderMap, Version, header, request::Parts};

/// Bytes of a host with its port: the longest DNS name, and a port.
const HOST_BYTES_MAX: usize = 255 + 6;

/// Whether a request names its host as RFC 9112 (3.2) requires: exactly one `Host` header that is a host; in
/// HTTP/1.0 it is optional. Two of them, or an invalid one, could mean one host to a proxy and another to us.
pub fn is_named(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => parts.version < Version::HTTP_11,
        (Some(host), None) => host.to_str().is_ok_and(is_host),
        (Some(_), Some(_)) => false,
    }
}

/// Whether a text is a host, with or without a port, by the grammar of RFC 3986 (without its escapes, which
/// no name needs).
pub fn is_host(text: &str) -> bool {
    if HOST_BYTES_MAX < text.len() {
        return false;
    }
    let (is_name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
            (0 < end && text.bytes().take(end).all(is_of_name), &text[end..])
        }
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    is_name && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// What a trusted proxy reports of the address that its client used. An extension of requests that have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forwarded {
    pub scheme: Option<&'static str>,
    pub host: Option<String>,
}

impl Forwarded {
    /// Reads `X-Forwarded-Proto` and `X-Forwarded-Host`; `None` where neither says anything. Of several
    /// values the last one counts, which the trusted proxy has written; earlier ones came from outside. An
    /// invalid scheme or host is ignored.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let scheme = last(headers, "x-forwarded-proto");
        let scheme = ["http", "https"]
            .into_iter()
            .find(|known| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(known)));
        let host = last(headers, "x-forwarded-host")
            .filter(|host| is_host(host) && has_right_port(host))
            .map(str::to_owned);
        (scheme.is_some() || host.is_some()).then_some(Self { scheme, host })
    }
}

/// Whether the port of a host, if it has one, is valid. The grammar also allows an empty one after the colon,
/// and any number of digits.
fn has_right_port(host: &str) -> bool {
    let behind_name = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    behind_name.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0))
}

fn last<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue, Request};

    use super::*;

    #[test]
    fn hosts_are_told_from_what_is_none() {
        for host in [
            "a",
            "mlm.example",
            "mlm.example:11000",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:80",
            "a_b",
            "xn--bcher-kva.example",
            "a:",
        ] {
            assert!(is_host(host), "{host}");
        }
        let long = "a".repeat(HOST_BYTES_MAX + 1);
        let others = [
            "",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "a\\b",
            "a?b",
            "a#b",
            "a:b",
            "a:80:80",
            "::1",
            "[::1",
            "[x]",
            "[::1]a",
            "a\r\nx: y",
            "b\u{fc}cher",
            "a\"",
            "<a>",
            "a%0d",
            &long,
        ];
        for text in others {
            assert!(!is_host(text), "{text}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        // version, headers, whether it does
        let table: [(Version, &[&str], bool); 8] = [
            (Version::HTTP_11, &["a"], true),
            (Version::HTTP_11, &[""], false),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &["a", "a"], false),
            (Version::HTTP_11, &["a b"], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_10, &["a"], true),
            (Version::HTTP_10, &["a", "b"], false),
        ];
        for (version, hosts, expected) in table {
            let mut request = Request::builder().version(version);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            assert_eq!(
                is_named(&request.body(()).unwrap().into_parts().0),
                expected,
                "{version:?} {hosts:?}"
            );
        }
    }

    #[test]
    fn the_last_value_counts_if_it_is_one() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            Forwarded::read(&headers)
        };
        let forwarded =
            |scheme, host: Option<&str>| Some(Forwarded { scheme, host: host.map(str::to_owned) });
        let (proto, host) = ("x-forwarded-proto", "x-forwarded-host");
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&[(proto, "HTTPS"), (host, "mlm.example")]),
            forwarded(Some("https"), Some("mlm.example"))
        );
        assert_eq!(
            of(&[(proto, "http, https"), (host, "evil.example"), (host, "a, b:1")]),
            forwarded(Some("https"), Some("b:1"))
        );
        assert_eq!(of(&[(proto, "https"), (host, "a b")]), forwarded(Some("https"), None));
        for wrong in ["a:99999", "a:", "a:0", "[::1]:", "[::1]:65536", "a:+80"] {
            assert_eq!(of(&[(host, wrong)]), None, "{wrong}");
        }
        for right in ["a", "a:1", "a:65535", "[::1]", "[::1]:8080"] {
            assert_eq!(of(&[(host, right)]), forwarded(None, Some(right)), "{right}");
        }
        assert_eq!(of(&[(proto, "javascript"), (host, "user@a")]), None);
    }
}
