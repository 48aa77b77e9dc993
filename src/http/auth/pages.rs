//! Keeps web pages out of a server that asks for no credentials.
//!
//! Such a server trusts every client that reaches its address: on loopback, the programs of this machine. But
//! this machine's browser sends requests for every page that it shows, in two ways:
//!
//! - *DNS rebinding*: the page's own name is made to resolve to loopback, so the page talks to us as if we
//!   were its server, and reads the answers. `Host` gives it away: it is not one of our names.
//! - *Cross-site requests*: a form, an image or a script sends a request to our address. The page cannot read
//!   the answer (nothing here allows it to), but the request may already have changed something. Browsers say
//!   where it comes from: `Sec-Fetch-Site`, `Origin`, or at least `Referer`. The media type tells nothing,
//!   since the original takes bodies of any.
//!
//! Programs send none of those headers, and name the address they connect to: nothing changes for them. Where
//! credentials are asked for, none of this is checked: credentials are headers that a page does not have and
//! that browsers never add by themselves; there are no cookies.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header, request::Parts, uri::Authority};

use super::answers::TurnedAway;
use crate::{config::ANY_HOST, http::routing::may_change};

/// The names of this server.
pub struct Names {
    bound: IpAddr,
    /// Lowercase, without ports.
    allowed: Vec<String>,
}

impl Names {
    /// Names of a server that listens on `bound`, as configured (`allowed_hosts`).
    pub fn new(bound: IpAddr, allowed: &[String]) -> Self {
        Self { bound: bound.to_canonical(), allowed: allowed.to_vec() }
    }

    /// Checks whether a request without credentials may proceed.
    ///
    /// # Errors
    /// `HostUnknown`, `PageForeign`.
    pub fn check(&self, parts: &Parts) -> Result<(), TurnedAway> {
        let hosts = hosts(parts).map_err(|()| TurnedAway::HostUnknown)?;
        if !hosts.iter().all(|host| self.is_ours(host)) {
            return Err(TurnedAway::HostUnknown);
        }
        if may_change(&parts.method, parts.uri.path()) && is_of_other_page(&parts.headers, hosts.first()) {
            return Err(TurnedAway::PageForeign);
        }
        Ok(())
    }

    fn is_ours(&self, authority: &Authority) -> bool {
        // A host and at most a port: text before an `@` is neither, and no browser sends it.
        let has_more = authority.port_u16().is_none() && authority.as_str() != authority.host();
        if has_more || authority.as_str().contains('@') {
            return false;
        }
        let host = host_of(authority);
        if self.allowed.iter().any(|allowed| *allowed == host || allowed == ANY_HOST) || host == "localhost" {
            return true;
        }
        // Rebinding needs a name. A request to an address is meant for this machine.
        let is_ours =
            |address: IpAddr| address.is_loopback() || address == self.bound || self.bound.is_unspecified();
        host.parse().is_ok_and(|address: IpAddr| is_ours(address.to_canonical()))
    }
}

/// Lowercase, without brackets and without the trailing dot of a full name.
fn host_of(authority: &Authority) -> String {
    authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// Every host that a request names: that of its target, if it has one, and `Host`. Old programs send none, or
/// an empty one; browsers always send one.
fn hosts(parts: &Parts) -> Result<Vec<Authority>, ()> {
    let of_target = parts.uri.authority().cloned().map(Ok);
    let of_header = |value: &header::HeaderValue| Authority::try_from(value.as_bytes()).map_err(|_| ());
    of_target
        .into_iter()
        .chain(parts.headers.get_all(header::HOST).iter().filter(|value| !value.is_empty()).map(of_header))
        .collect()
}

/// Whether a request says that it comes from another server's page. If the browser's own headers say nothing,
/// its `Referer` is checked; a request with none of these comes from a program.
fn is_of_other_page(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    let all = |name: &str| headers.get_all(name).iter().collect::<Vec<_>>();
    let (sites, origins, referers) = (all("sec-fetch-site"), all("origin"), all("referer"));
    // `none`: the user typed the address or has it bookmarked. Unknown values are not trusted.
    let is_own_site = |value: &&header::HeaderValue| {
        ["same-origin", "none"].iter().any(|own| value.as_bytes() == own.as_bytes())
    };
    let is_own =
        |value: &&header::HeaderValue| host.is_some_and(|host| is_same_origin(value.as_bytes(), host));
    if sites.is_empty() && origins.is_empty() {
        return !referers.iter().all(is_own);
    }
    !sites.iter().all(is_own_site) || !origins.iter().all(is_own)
}

/// Whether an address (an `Origin`, or a `Referer`) has the host that the request names, with its scheme's
/// default port unless written. `null`, which sandboxed pages and files send, has no host.
fn is_same_origin(address: &[u8], host: &Authority) -> bool {
    let Ok(address) = Uri::try_from(address) else { return false };
    let port = match address.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let port_of = |authority: &Authority| authority.port_u16().unwrap_or(port);
    let is_same = |named: &Authority| host_of(named) == host_of(host) && port_of(named) == port_of(host);
    address.authority().is_some_and(is_same)
}

#[cfg(test)]
#[path = "pages_test.rs"]
mod tests;
