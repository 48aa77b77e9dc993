//! Getting the issuer's key set: from a file, or from an address. Everything here blocks.

use std::{io::Read, path::Path, sync::Arc, time::Duration};

use ureq::{
    Agent,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::tokens::{FETCH_TIME_MAX, KeySet};
use crate::config::{JwksSource, JwtConfig, is_loopback};

/// Bytes of a key set: 64 RSA keys with their certificates have less.
const BYTES_MAX: u64 = 512 * 1024;
/// Bytes of a bundle of certificates: those of common systems have some 220 KiB.
const BUNDLE_BYTES_MAX: u64 = 8 << 20;
/// Where systems keep the certificates that they trust (Debian, Fedora, Alpine and the BSDs).
const BUNDLES: [&str; 3] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Gets the key set as it is now.
///
/// # Errors
/// A sentence.
pub fn fetch(config: &JwtConfig) -> Result<KeySet, String> {
    let text = match &config.jwks {
        JwksSource::File(path) => read_bounded(path, BYTES_MAX)?,
        JwksSource::Url(url) => get(url, config.ca_file.as_deref())?,
    };
    KeySet::parse(&text, &config.algorithms)
}

fn read_bounded(path: &Path, bytes_max: u64) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    let bytes = file.take(bytes_max + 1).read_to_string(&mut text).map_err(cannot)?;
    if bytes_max < bytes as u64 {
        return Err(format!("{} has more than {bytes_max} bytes", path.display()));
    }
    Ok(text)
}

fn get(url: &str, ca_file: Option<&Path>) -> Result<String, String> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(FETCH_TIME_MAX))
        .timeout_connect(Some(FETCH_TIME_MAX / 2))
        // Whoever can redirect chooses the keys.
        .max_redirects(0)
        .max_idle_connections(0)
        .max_idle_age(Duration::ZERO)
        .user_agent(concat!("upline/", env!("CARGO_PKG_VERSION")))
        .accept("application/jwk-set+json, application/json");
    match url.strip_prefix("http://") {
        // A proxy has nothing to do with this machine.
        Some(rest) if is_loopback(rest) => config = config.proxy(None),
        Some(_) => {}
        None => config = config.https_only(true).tls_config(tls(ca_file)?),
    }
    let mut response = config.build().new_agent().get(url).call().map_err(|error| format!("cannot get {url}: {error}"))?;
    if response.status() != 200 {
        return Err(format!("cannot get {url}: it answers {}", response.status()));
    }
    let body = response.body_mut().with_config().limit(BYTES_MAX);
    body.read_to_string().map_err(|error| format!("cannot get {url}: {error}"))
}

/// TLS by rustls, with the roots of the system: a company's own issuer often has a certificate of the company's own authority, which is there
/// and in no list that a program brings along.
fn tls(ca_file: Option<&Path>) -> Result<TlsConfig, String> {
    let bundle = match ca_file {
        Some(path) => path,
        None => {
            BUNDLES.iter().map(Path::new).find(|path| path.is_file()).ok_or("the system has no certificates; name some in jwt_ca_file")?
        }
    };
    let text = read_bounded(bundle, BUNDLE_BYTES_MAX)?;
    let certificates: Vec<Certificate<'static>> = parse_pem(text.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(format!("{} has no certificate", bundle.display()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).unversioned_rustls_crypto_provider(provider).build())
}
