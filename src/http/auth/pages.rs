//! Keeps web pages out of a server that asks nobody for credentials.
//!
//! Such a server trusts everybody who reaches its address: on loopback, the programs of this machine. But the
//! browser of this machine sends requests for every page that it shows, and does so in two ways:
//!
//! - *DNS rebinding*: the page's own name is made to resolve to loopback, and the page talks to us as if we
//!   were its server, and reads the answers. It gives itself away by `Host`, which is a name that is none of
//!   ours.
//! - *Cross-site requests*: a form, an image or a script sends a request to our address. The page cannot read
//!   the answer (nothing here allows it to), but a request that changes something has done so. Browsers say
//!   where it comes from: `Sec-Fetch-Site`, `Origin`, or at least `Referer`. The media type tells nothing,
//!   since the original takes bodies of any.
//!
//! Programs send none of those headers, and name the address they connect to: nothing changes for them. Where
//! credentials are asked for none of this is looked at: credentials are headers that a page does not have and
//! that browsers never add by themselves; there are no cookies.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header, request::Parts, uri::Authority};

use super::answers::TurnedAway;
use crate::{config::ANY_HOST, http::route_table::may_change};

/// The names of this server.
pub struct Names {
    bound: IpAddr,
    /// In small letters, without ports.
    allowed: Vec<String>,
}

impl Names {
    /// Of a server that listens on `bound`, and as configured (`allowed_hosts`).
    pub fn new(bound: IpAddr, allowed: &[String]) -> Self {
        Self { bound: bound.to_canonical(), allowed: allowed.to_vec() }
    }

    /// Whether a request may go on that nobody is asked to sign.
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
        // A host and at most a port: what stands before an `@` is neither, and no browser sends it.
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

/// In small letters, without brackets and without the dot that ends a full name.
fn host_of(authority: &Authority) -> String {
    authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// Every host that a request names: that of its target, if it has one, and `Host`. None at all, or an empty
/// one, is what old programs send and no browser does.
fn hosts(parts: &Parts) -> Result<Vec<Authority>, ()> {
    let of_target = parts.uri.authority().cloned().map(Ok);
    let of_header = |value: &header::HeaderValue| Authority::try_from(value.as_bytes()).map_err(|_| ());
    of_target
        .into_iter()
        .chain(parts.headers.get_all(header::HOST).iter().filter(|value| !value.is_empty()).map(of_header))
        .collect()
}

/// Whether a request says that it comes from a page which is not this server's own. Where a browser says
/// nothing of the request its `Referer` is looked at; who says nothing at all is a program.
fn is_of_other_page(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    let all = |name: &str| headers.get_all(name).iter().collect::<Vec<_>>();
    let (sites, origins, referers) = (all("sec-fetch-site"), all("origin"), all("referer"));
    // `none` is what the user typed or has among the bookmarks. What is not known is not trusted.
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

/// Whether an address (an `Origin`, or a `Referer`) is of the host that the request names, with the port that
/// its scheme has unless written. `null`, which sandboxed pages and files send, is of no host.
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
