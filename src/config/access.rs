//! The settings of authorization and rate limits.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use super::Values;
use crate::access::Role;

/// Clocks further apart than this are broken; a longer leeway would only make expired tokens live.
const LEEWAY_SECONDS_MAX: u64 = 300;
/// More often, and the issuer would notice.
const REFRESH_SECONDS_MIN: u64 = 5;
/// A day: keys that were withdrawn must not be good for longer.
const REFRESH_SECONDS_MAX: u64 = 24 * 3_600;
/// More than any machine answers: beyond it a limit is a slip of the finger.
const RATE_MAX: u64 = 10_000_000;
/// Entries of a list in one setting.
const LIST_MAX: usize = 64;

/// Whether credentials are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthMode {
    /// Where there is a key file, or tokens are configured.
    Auto,
    On,
    Off,
}

/// Who may come in, and how often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthConfig {
    pub mode: AuthMode,
    /// Other machines may reach a server that asks for nothing.
    pub insecure: bool,
    pub metrics_open: bool,
    /// The documentation needs no credentials where other routes do.
    pub docs_open: bool,
    /// `None` takes no tokens.
    pub jwt: Option<JwtConfig>,
    pub rates: RateConfig,
    /// Networks (address and length of the prefix) whose `X-Forwarded-For` is believed; IPv4 as mapped IPv6.
    pub trusted_proxies: Vec<(Ipv6Addr, u8)>,
}

impl Default for AuthConfig {
    /// As configured by nothing at all.
    fn default() -> Self {
        let (mode, rates) = (AuthMode::Auto, RateConfig::default());
        Self { mode, insecure: false, metrics_open: false, docs_open: false, jwt: None, rates, trusted_proxies: Vec::new() }
    }
}

/// Limits on how often, and on how much work; `None` is none. Each pair is a rate and what may come at once.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RateConfig {
    pub principal_per_second: Option<(NonZeroU32, NonZeroU32)>,
    pub address_per_second: Option<(NonZeroU32, NonZeroU32)>,
    pub failures_per_minute: Option<NonZeroU32>,
    /// Units of work of one member.
    pub member_cost: Option<(NonZeroU32, NonZeroU32)>,
    /// The same of any other principal; where no credentials are asked for, of one address.
    pub other_cost: Option<(NonZeroU32, NonZeroU32)>,
}

/// Signature algorithms that can be configured: those with public keys. A shared secret would make every holder an issuer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JwtAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl JwtAlgorithm {
    const NAMES: [(&str, JwtAlgorithm); 9] = [
        ("RS256", JwtAlgorithm::Rs256),
        ("RS384", JwtAlgorithm::Rs384),
        ("RS512", JwtAlgorithm::Rs512),
        ("PS256", JwtAlgorithm::Ps256),
        ("PS384", JwtAlgorithm::Ps384),
        ("PS512", JwtAlgorithm::Ps512),
        ("ES256", JwtAlgorithm::Es256),
        ("ES384", JwtAlgorithm::Es384),
        ("EdDSA", JwtAlgorithm::EdDsa),
    ];
}

/// Where the issuer's public keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JwksSource {
    File(PathBuf),
    /// `https://`, or `http://` where that is allowed.
    Url(String),
}

/// Which bearer tokens are taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JwtConfig {
    pub issuer: String,
    pub audience: String,
    pub algorithms: Vec<JwtAlgorithm>,
    pub jwks: JwksSource,
    pub role_claim: String,
    /// What the role claim may say, and what it means.
    pub roles: Vec<(String, Role)>,
    pub leeway: Duration,
    pub refresh: Duration,
    pub ca_file: Option<PathBuf>,
}

pub(super) fn read(values: &mut Values<'_>, insecure: bool) -> AuthConfig {
    let mode = match values.text("auth").as_str() {
        "auto" => AuthMode::Auto,
        "on" => AuthMode::On,
        "off" => AuthMode::Off,
        _ => {
            values.wrong("auth", "is not one of auto, on, off");
            AuthMode::On
        }
    };
    let failures = values.number("rate_failures_per_minute", 0, RATE_MAX);
    AuthConfig {
        mode,
        insecure,
        metrics_open: values.flag("metrics_open"),
        docs_open: values.flag("docs_open"),
        jwt: read_jwt(values, insecure),
        rates: RateConfig {
            principal_per_second: rate(values, "rate_principal_per_second", "rate_principal_burst"),
            address_per_second: rate(values, "rate_address_per_second", "rate_address_burst"),
            failures_per_minute: NonZeroU32::new(failures),
            member_cost: rate(values, "cost_member_per_second", "cost_member_burst"),
            other_cost: rate(values, "cost_other_per_second", "cost_other_burst"),
        },
        trusted_proxies: list(values, "trusted_proxies", "is not a list of addresses or networks such as 10.0.0.0/8", network),
    }
}

fn rate(values: &mut Values<'_>, rate: &str, burst: &str) -> Option<(NonZeroU32, NonZeroU32)> {
    let (rate, burst) = (values.number(rate, 0, RATE_MAX), values.number(burst, 1, RATE_MAX));
    Some((NonZeroU32::new(rate)?, NonZeroU32::new(burst)?))
}

fn read_jwt(values: &mut Values<'_>, insecure: bool) -> Option<JwtConfig> {
    let keys = ["jwt_issuer", "jwt_audience", "jwt_jwks"];
    if keys.iter().all(|key| values.text(key).is_empty()) {
        return None;
    }
    for key in keys {
        if values.text(key).is_empty() {
            values.wrong(key, "must not be empty: tokens need jwt_issuer, jwt_audience and jwt_jwks");
        }
    }
    let named = |name: &str| JwtAlgorithm::NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm);
    let algorithms =
        list(values, "jwt_algorithms", "is not a list of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA", named);
    if algorithms.is_empty() {
        values.wrong("jwt_algorithms", "must name at least one algorithm with public keys");
    }
    let meaning = |pair: &str| {
        let (said, role) = pair.split_once('=')?;
        Some((said.trim().to_owned(), Role::from_name(role.trim())?))
    };
    let roles = list(values, "jwt_roles", "is not a list such as `user=member,staff=auditor`", meaning);
    let role_claim = values.text("jwt_role_claim");
    if role_claim.is_empty() {
        values.wrong("jwt_role_claim", "must not be empty");
    }
    let ca_file = values.text("jwt_ca_file");
    Some(JwtConfig {
        issuer: values.text("jwt_issuer"),
        audience: values.text("jwt_audience"),
        algorithms,
        jwks: read_source(values, insecure),
        role_claim,
        roles,
        leeway: Duration::from_secs(values.number("jwt_leeway_seconds", 0, LEEWAY_SECONDS_MAX)),
        refresh: Duration::from_secs(values.number("jwt_refresh_seconds", REFRESH_SECONDS_MIN, REFRESH_SECONDS_MAX)),
        ca_file: (!ca_file.is_empty()).then(|| PathBuf::from(ca_file)),
    })
}

/// Whoever can change the answer to a plain `http://` request chooses the keys and is everybody.
fn read_source(values: &mut Values<'_>, insecure: bool) -> JwksSource {
    let text = values.text("jwt_jwks");
    if let Some(rest) = text.strip_prefix("http://") {
        if !is_loopback(rest) && !insecure {
            values.wrong("jwt_jwks", "could be changed on its way; use https://, or http:// on this machine only");
        }
        return JwksSource::Url(text);
    }
    if text.starts_with("https://") { JwksSource::Url(text) } else { JwksSource::File(PathBuf::from(text)) }
}

/// Whether the host of an address without its scheme is this machine.
pub fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What stands before an `@` is a user, and what follows the host.
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A list with commas; blanks around its entries do not count.
fn list<T>(values: &mut Values<'_>, key: &str, what: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let text = values.text(key);
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let all: Option<Vec<T>> = entries.map(read).collect();
    match all {
        Some(all) if all.len() <= LIST_MAX => all,
        _ => {
            values.wrong(key, what);
            Vec::new()
        }
    }
}

fn network(text: &str) -> Option<(Ipv6Addr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let (address, before, bits) = match address.parse().ok()? {
        IpAddr::V4(address) => (address.to_ipv6_mapped(), 96, 32),
        IpAddr::V6(address) => (address, 0, 128),
    };
    let length = length.unwrap_or(bits);
    (length <= bits).then(|| (address, before + length))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError, Sources};
    use super::*;

    fn resolve(flags: &[(&'static str, &str)]) -> Result<AuthConfig, Vec<String>> {
        let flags = flags.iter().map(|(key, text)| (*key, (*text).to_string())).collect();
        let sources = Sources { flags, ..Sources::default() };
        Config::resolve(&sources).map(|config| config.auth).map_err(|ConfigError(errors)| errors)
    }

    const TOKENS: [(&str, &str); 3] = [("jwt_issuer", "https://id.example"), ("jwt_audience", "upline"), ("jwt_jwks", "keys.json")];

    #[test]
    fn tokens_need_three_settings_and_have_defaults_for_the_rest() {
        assert_eq!(resolve(&[]).unwrap().jwt, None);
        let jwt = resolve(&TOKENS).unwrap().jwt.unwrap();
        assert_eq!(jwt.algorithms, [JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa]);
        assert_eq!((jwt.jwks, jwt.role_claim.as_str()), (JwksSource::File("keys.json".into()), "role"));
        assert_eq!(jwt.roles.len(), Role::ALL.len());
        assert_eq!((jwt.leeway, jwt.refresh), (Duration::from_secs(30), Duration::from_secs(300)));
        let errors = resolve(&TOKENS[..1]).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        // key, text, what the error says
        let table = [
            ("auth", "maybe", "auth: `maybe` is not one of auto, on, off"),
            ("jwt_algorithms", "HS256", "jwt_algorithms: `HS256` is not a list of RS256"),
            ("jwt_algorithms", "none", "jwt_algorithms: `none` is not a list of RS256"),
            ("jwt_roles", "root=superuser", "jwt_roles: `root=superuser` is not a list such as"),
            ("jwt_jwks", "http://id.example/keys", "jwt_jwks: `http://id.example/keys` could be changed on its way"),
            ("jwt_jwks", "http://localhost@id.example/", "jwt_jwks: `http://localhost@id.example/` could be changed on its way"),
            ("jwt_leeway_seconds", "301", "jwt_leeway_seconds: `301` must be between 0 and 300"),
            ("jwt_refresh_seconds", "1", "jwt_refresh_seconds: `1` must be between 5"),
            ("rate_principal_per_second", "-1", "rate_principal_per_second: `-1` is not a whole number"),
            ("trusted_proxies", "10.0.0.0/33", "trusted_proxies: `10.0.0.0/33` is not a list of addresses"),
            ("trusted_proxies", "gateway", "trusted_proxies: `gateway` is not a list of addresses"),
        ];
        for (key, text, expected) in table {
            let mut flags = TOKENS.to_vec();
            flags.retain(|(other, _)| *other != key);
            flags.push((key, text));
            let errors = resolve(&flags).unwrap_err();
            assert!(errors.iter().any(|error| error.starts_with(expected)), "{key} {text}: {errors:?}");
        }
    }

    #[test]
    fn lists_and_rates_are_read() {
        let auth = resolve(&[
            ("trusted_proxies", "10.0.0.0/8, ::1"),
            ("rate_principal_per_second", "5"),
            ("rate_principal_burst", "7"),
            ("auth", "on"),
        ])
        .unwrap();
        assert_eq!(auth.trusted_proxies, [("::ffff:10.0.0.0".parse().unwrap(), 104), ("::1".parse().unwrap(), 128)]);
        let rate = |number| NonZeroU32::new(number).unwrap();
        assert_eq!(auth.rates.principal_per_second, Some((rate(5), rate(7))));
        assert_eq!((auth.rates.address_per_second, auth.rates.failures_per_minute), (None, NonZeroU32::new(60)));
        assert_eq!(auth.mode, AuthMode::On);
    }
}
