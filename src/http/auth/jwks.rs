//! Fetches the issuer's keys, from a file or from an address. Everything here blocks.

use std::{path::Path, time::Duration};

use ureq::Agent;

use super::tokens::{FETCH_TIME_MAX, KeySet};
use crate::{
    access::shared_secrets,
    config::{JwtConfig, JwtKeys, is_loopback},
    trust::{self, read_bounded},
};

/// Bytes of a key set: 64 RSA keys with their certificates take less.
const BYTES_MAX: u64 = 512 * 1024;

/// Fetches the current keys.
///
/// # Errors
/// A sentence.
pub fn fetch(config: &JwtConfig) -> Result<KeySet, String> {
    let of_set = |text: String| KeySet::parse(&text, &config.algorithms);
    match &config.keys {
        JwtKeys::File(path) => {
            read_bounded(path, BYTES_MAX).and_then(of_set).map_err(|reason| format!("jwt_jwks: {reason}"))
        }
        JwtKeys::Url(url) => get(url, config.ca_file.as_deref())
            .and_then(of_set)
            .map_err(|reason| format!("jwt_jwks: {reason}")),
        JwtKeys::SharedSecrets(path) => {
            let secrets =
                shared_secrets(path).map_err(|reason| format!("jwt_hs256_secret_file: {reason}"))?;
            Ok(KeySet::shared(&secrets))
        }
    }
}

fn get(url: &str, ca_file: Option<&Path>) -> Result<String, String> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(FETCH_TIME_MAX))
        .timeout_connect(Some(FETCH_TIME_MAX / 2))
        // A redirect would let its target choose the keys.
        .max_redirects(0)
        .max_idle_connections(0)
        .max_idle_age(Duration::ZERO)
        .user_agent(concat!("upline/", env!("CARGO_PKG_VERSION")))
        .accept("application/jwk-set+json, application/json");
    match url.strip_prefix("http://") {
        // No proxy for this machine's own addresses.
        Some(rest) if is_loopback(rest) => config = config.proxy(None),
        Some(_) => {}
        None => config = config.https_only(true).tls_config(trust::tls(ca_file)?),
    }
    let mut response =
        config.build().new_agent().get(url).call().map_err(|error| format!("cannot get {url}: {error}"))?;
    if response.status() != 200 {
        return Err(format!("cannot get {url}: it answers {}", response.status()));
    }
    let body = response.body_mut().with_config().limit(BYTES_MAX);
    body.read_to_string().map_err(|error| format!("cannot get {url}: {error}"))
}
