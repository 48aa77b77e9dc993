//! Reads from a request who sent it: credentials from its headers, and the client address.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, header};

use crate::access::is_key_id;

/// Bytes of the longest token worth a look; signed tokens have one or two thousand.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Addresses of `X-Forwarded-For` that are examined: more proxies in a row than any deployment has.
const HOPS_MAX: usize = 16;

/// Credentials as sent, not yet verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Credentials<'r> {
    Key { id: &'r str, secret: &'r str },
    Token(&'r str),
}

/// Why no credentials could be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    Missing,
    /// Half a key, another scheme, a repeated header, or a key and a token at once, where it is ambiguous
    /// which one counts.
    Malformed,
}

/// Reads `X-Api-Key` with `X-Api-Secret`, or `Authorization: Bearer` with a token or with `<id>.<secret>` of
/// a key.
///
/// # Errors
/// See [`Unreadable`].
pub fn read(headers: &HeaderMap) -> Result<Credentials<'_>, Unreadable> {
    let (key, secret) = (one(headers, "x-api-key")?, one(headers, "x-api-secret")?);
    let bearer = one(headers, header::AUTHORIZATION.as_str())?;
    match (key, secret, bearer) {
        (None, None, None) => Err(Unreadable::Missing),
        (Some(id), Some(secret), None) => Ok(Credentials::Key { id, secret }),
        (None, None, Some(value)) => {
            let (scheme, text) = value.split_once(' ').ok_or(Unreadable::Malformed)?;
            let text = text.trim_matches(' ');
            if !scheme.eq_ignore_ascii_case("bearer") || text.is_empty() || TOKEN_BYTES_MAX < text.len() {
                return Err(Unreadable::Malformed);
            }
            match text.split_once('.') {
                Some((id, secret)) if is_key_id(id) => Ok(Credentials::Key { id, secret }),
                _ => Ok(Credentials::Token(text)),
            }
        }
        _ => Err(Unreadable::Malformed),
    }
}

/// The only header of a name, as text.
fn one<'r>(headers: &'r HeaderMap, name: &str) -> Result<Option<&'r str>, Unreadable> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unreadable::Malformed);
    }
    value.to_str().map(Some).map_err(|_| Unreadable::Malformed)
}

/// The address a request comes from: the peer of the connection, or, when the peer is a trusted proxy, the
/// address it reports, and so on. Read from the right: anything further left was written by untrusted
/// parties.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[(Ipv6Addr, u8)]) -> IpAddr {
    let mut address = peer.to_canonical();
    if trusted.is_empty() {
        return address;
    }
    let values = headers.get_all("x-forwarded-for").iter().rev();
    let hops = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
    for hop in hops.take(HOPS_MAX) {
        if !is_in(address, trusted) {
            break;
        }
        // An entry that is no address ends the chain.
        let Some(next) = hop_address(hop.trim()) else { break };
        address = next;
    }
    address
}

/// `10.0.0.1`, `10.0.0.1:80`, `::1`, or `[::1]:80`.
fn hop_address(text: &str) -> Option<IpAddr> {
    let address =
        text.parse::<IpAddr>().or_else(|_| text.parse().map(|socket: std::net::SocketAddr| socket.ip()));
    address
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()
        .map(|address| address.to_canonical())
}

/// Whether an address is one of the proxies that we trust.
pub fn is_trusted(address: IpAddr, trusted: &[(Ipv6Addr, u8)]) -> bool {
    !trusted.is_empty() && is_in(address.to_canonical(), trusted)
}

/// Whether an address, which is canonical, is in one of these networks.
fn is_in(address: IpAddr, networks: &[(Ipv6Addr, u8)]) -> bool {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    // A prefix of 0 bits shifts all bits out.
    let prefix = |bits: u128, length: u8| bits.checked_shr(128 - u32::from(length)).unwrap_or(0);
    networks.iter().any(|(network, length)| prefix(network.to_bits(), *length) == prefix(bits, *length))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn credentials_are_whole_and_of_one_kind() {
        let key = Ok(Credentials::Key { id: "ulk_1", secret: "s.t" });
        let (missing, malformed) = (Err(Unreadable::Missing), Err(Unreadable::Malformed));
        // headers, what they say
        let table: [(&[(&str, &str)], _); 16] = [
            (&[], missing),
            (&[("x-api-key", "ulk_1"), ("x-api-secret", "s.t")], key),
            (&[("authorization", "Bearer ulk_1.s.t")], key),
            (&[("authorization", "bearer  ulk_1.s.t ")], key),
            (&[("authorization", "Bearer a.b.c")], Ok(Credentials::Token("a.b.c"))),
            (&[("authorization", "Bearer x")], Ok(Credentials::Token("x"))),
            (&[("x-api-key", "ulk_1")], malformed),
            (&[("x-api-secret", "s")], malformed),
            (&[("authorization", "Basic dTpw")], malformed),
            (&[("authorization", "Bearer")], malformed),
            (&[("authorization", "Bearer ")], malformed),
            (&[("authorization", "")], malformed),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer a")], malformed),
            (&[("x-api-key", "ulk_1"), ("x-api-key", "ulk_1"), ("x-api-secret", "s")], malformed),
            (&[("x-api-key", "ulk_1"), ("x-api-secret", "s"), ("authorization", "Bearer a.b.c")], malformed),
            (&[("x-api-key", "ulk_1"), ("authorization", "Bearer a.b.c")], malformed),
        ];
        for (given, expected) in table {
            assert_eq!(read(&headers(given)), expected, "{given:?}");
        }
        let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1));
        assert_eq!(read(&headers(&[("authorization", &long)])), malformed);
        let mut binary = HeaderMap::new();
        binary.insert(header::AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xff").unwrap());
        assert_eq!(read(&binary), malformed);
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = [("::ffff:10.0.0.0".parse().unwrap(), 104), ("fd00::".parse().unwrap(), 8)];
        // peer, X-Forwarded-For, client
        let table: [(&str, &[&str], &str); 10] = [
            ("192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("fd00::1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("fd00::1", &["[2001:db8::1]:80"], "2001:db8::1"),
        ];
        for (peer, hops, client) in table {
            let pairs: Vec<(&str, &str)> = hops.iter().map(|hop| ("x-forwarded-for", *hop)).collect();
            let got = client_address(peer.parse().unwrap(), &headers(&pairs), &proxies);
            assert_eq!(got, client.parse::<IpAddr>().unwrap(), "{peer} {hops:?}");
        }
        let everybody = [(Ipv6Addr::UNSPECIFIED, 0)];
        assert_eq!(
            client_address(
                "192.0.2.1".parse().unwrap(),
                &headers(&[("x-forwarded-for", "198.51.100.1")]),
                &everybody
            ),
            "198.51.100.1".parse::<IpAddr>().unwrap()
        );
    }
}
