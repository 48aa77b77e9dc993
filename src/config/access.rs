//! Authorization and rate-limit settings.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use strum::EnumString;

use super::{sources::Origin, values::Values};
use crate::access::Role;

/// Clocks further apart than this are broken; more leeway would only extend the life of expired tokens.
const LEEWAY_SECONDS_MAX: u64 = 300;
/// Refreshing more often would burden the issuer.
const REFRESH_SECONDS_MIN: u64 = 5;
/// A day: withdrawn keys must not stay valid longer.
const REFRESH_SECONDS_MAX: u64 = 24 * 3_600;
/// More than any machine serves: a higher limit is a typo.
const RATE_MAX: u64 = 10_000_000;
/// Entries in a setting that is a list.
const LIST_MAX: usize = 64;

/// Whether credentials are required.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum AuthMode {
    /// If there is a key file, or tokens are configured.
    Auto,
    On,
    Off,
}

/// Who gets access, and how often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthConfig {
    pub mode: AuthMode,
    /// Allows other machines to reach a server that requires no credentials.
    pub insecure: bool,
    pub metrics_open: bool,
    /// The documentation needs no credentials even where other routes do.
    pub docs_open: bool,
    /// `None`: tokens are not accepted.
    pub jwt: Option<JwtConfig>,
    pub rates: RateConfig,
    /// Networks (address and prefix length) whose `X-Forwarded-For` is trusted; IPv4 as mapped IPv6.
    pub trusted_proxies: Vec<(Ipv6Addr, u8)>,
    /// What `Host` may name in addition to loopback and the bound address while no credentials are required:
    /// lower case, without a port. Includes the host name in `addr`, if it is one.
    pub allowed_hosts: Vec<String>,
}

/// The entry of `allowed_hosts` that allows every name.
pub const ANY_HOST: &str = "*";

impl Default for AuthConfig {
    /// The defaults, with nothing configured.
    fn default() -> Self {
        let (mode, rates) = (AuthMode::Auto, RateConfig::default());
        let (trusted_proxies, allowed_hosts) = (Vec::new(), Vec::new());
        Self {
            mode,
            insecure: false,
            metrics_open: false,
            docs_open: false,
            jwt: None,
            rates,
            trusted_proxies,
            allowed_hosts,
        }
    }
}

/// Limits on request rate and on work; `None` is no limit. Each pair is a rate and a burst.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RateConfig {
    pub principal_per_second: Option<(NonZeroU32, NonZeroU32)>,
    pub address_per_second: Option<(NonZeroU32, NonZeroU32)>,
    pub failures_per_minute: Option<NonZeroU32>,
    /// Units of work per member.
    pub member_cost: Option<(NonZeroU32, NonZeroU32)>,
    /// Units of work per other principal; per address where no credentials are required.
    pub other_cost: Option<(NonZeroU32, NonZeroU32)>,
}

/// Signature algorithms that can be configured: those with public keys. A shared secret makes every holder an
/// issuer, so it is a separate kind of key with one algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumString)]
#[strum(serialize_all = "UPPERCASE")]
pub enum JwtAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    #[strum(serialize = "EdDSA")]
    EdDsa,
}

/// Where the issuer's keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JwtKeys {
    /// A JWK set of public keys.
    File(PathBuf),
    /// A JWK set at `https://`, or `http://` where that is allowed.
    Url(String),
    /// Secrets shared with the issuer (`access::shared_secrets`): HS256.
    SharedSecrets(PathBuf),
}

/// Which bearer tokens are accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JwtConfig {
    /// `None` only if `may_lack_issuer`: then no token may have an `iss`.
    pub issuer: Option<String>,
    /// `None` only if `may_lack_audience`: then no token may have an `aud`.
    pub audience: Option<String>,
    /// Tokens without `iss` are accepted. An `iss` that is present must match.
    pub may_lack_issuer: bool,
    /// The same for `aud`.
    pub may_lack_audience: bool,
    /// For public keys. Shared secrets are used with HS256 only, and nothing else is.
    pub algorithms: Vec<JwtAlgorithm>,
    pub keys: JwtKeys,
    /// Claim with the `user_id` of a member.
    pub member_claim: String,
    pub role_claim: String,
    /// Accepted values of the role claim, and the role each maps to.
    pub roles: Vec<(String, Role)>,
    pub leeway: Duration,
    pub refresh: Duration,
    pub ca_file: Option<PathBuf>,
}

pub(super) fn read(values: &mut Values<'_>, insecure: bool) -> AuthConfig {
    let mode = values.text("auth").parse().unwrap_or_else(|_| {
        values.wrong("auth", "is not one of auto, on, off");
        AuthMode::On
    });
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
        allowed_hosts: read_hosts(values),
        trusted_proxies: list(
            values,
            "trusted_proxies",
            "is not a list of addresses or networks such as 10.0.0.0/8",
            network,
        ),
    }
}

fn rate(values: &mut Values<'_>, rate: &str, burst: &str) -> Option<(NonZeroU32, NonZeroU32)> {
    let (rate, burst) = (values.number(rate, 0, RATE_MAX), values.number(burst, 1, RATE_MAX));
    Some((NonZeroU32::new(rate)?, NonZeroU32::new(burst)?))
}

/// What `Host` may name. Entries with a port are refused: they could never match.
fn read_hosts(values: &mut Values<'_>) -> Vec<String> {
    let is_name = |text: &str| {
        let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
        text == ANY_HOST || text.chars().all(is_allowed) || text.parse::<Ipv6Addr>().is_ok()
    };
    let named = |text: &str| is_name(text).then(|| text.trim_end_matches('.').to_ascii_lowercase());
    let mut hosts = list(
        values,
        "allowed_hosts",
        "is not a list of host names or addresses, without ports, or `*`",
        named,
    );
    let addr = values.text("addr");
    if let (Err(_), Some((host, _))) = (addr.parse::<std::net::SocketAddr>(), addr.rsplit_once(':')) {
        hosts.push(host.to_ascii_lowercase());
    }
    hosts
}

fn read_jwt(values: &mut Values<'_>, insecure: bool) -> Option<JwtConfig> {
    let keys = ["jwt_issuer", "jwt_audience", "jwt_jwks", "jwt_hs256_secret_file"];
    if keys.iter().all(|key| values.text(key).is_empty()) {
        return None;
    }
    let claim = |text: &str| ["iss", "aud"].into_iter().find(|claim| *claim == text);
    let may_lack = list(values, "jwt_allow_missing", "is not a list of `iss` and `aud`", claim);
    let (may_lack_issuer, may_lack_audience) = (may_lack.contains(&"iss"), may_lack.contains(&"aud"));
    for (key, claim, may_be_empty) in
        [("jwt_issuer", "iss", may_lack_issuer), ("jwt_audience", "aud", may_lack_audience)]
    {
        if !may_be_empty && values.text(key).is_empty() {
            values.wrong(
                key,
                &format!(
                    "must not be empty: tokens need jwt_issuer and jwt_audience \
                     (unless jwt_allow_missing names {claim})"
                ),
            );
        }
    }
    let algorithms = list(
        values,
        "jwt_algorithms",
        "is not a list of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        |name| name.parse::<JwtAlgorithm>().ok(),
    );
    if algorithms.is_empty() {
        values.wrong("jwt_algorithms", "must name at least one algorithm with public keys");
    }
    let meaning = |pair: &str| {
        let (said, role) = pair.split_once('=')?;
        Some((said.trim().to_owned(), role.trim().parse::<Role>().ok()?))
    };
    let roles = list(values, "jwt_roles", "is not a list such as `user=member,staff=auditor`", meaning);
    for key in ["jwt_role_claim", "jwt_member_claim"] {
        if values.text(key).is_empty() {
            values.wrong(key, "must not be empty");
        }
    }
    let filled = |text: String| (!text.is_empty()).then_some(text);
    Some(JwtConfig {
        issuer: filled(values.text("jwt_issuer")),
        audience: filled(values.text("jwt_audience")),
        may_lack_issuer,
        may_lack_audience,
        algorithms,
        keys: read_keys(values, insecure),
        member_claim: values.text("jwt_member_claim"),
        role_claim: values.text("jwt_role_claim"),
        roles,
        leeway: Duration::from_secs(values.number("jwt_leeway_seconds", 0, LEEWAY_SECONDS_MAX)),
        refresh: Duration::from_secs(values.number(
            "jwt_refresh_seconds",
            REFRESH_SECONDS_MIN,
            REFRESH_SECONDS_MAX,
        )),
        ca_file: filled(values.text("jwt_ca_file")).map(PathBuf::from),
    })
}

/// Public keys or shared secrets, never both: a server accepting both kinds is open to key confusion.
fn read_keys(values: &mut Values<'_>, insecure: bool) -> JwtKeys {
    let (jwks, secrets) = (values.text("jwt_jwks"), values.text("jwt_hs256_secret_file"));
    match (jwks.is_empty(), secrets.is_empty()) {
        (true, true) => {
            values.wrong("jwt_jwks", "must not be empty: tokens need jwt_jwks or jwt_hs256_secret_file");
        }
        (false, false) => values.wrong(
            "jwt_hs256_secret_file",
            "cannot be combined with jwt_jwks: an issuer has one kind of key",
        ),
        (true, false) => {
            for key in ["jwt_algorithms", "jwt_ca_file"] {
                if values.given(key).origin != Origin::Default {
                    values.wrong(
                        key,
                        "belongs to jwt_jwks; with jwt_hs256_secret_file tokens are signed with \
                         HS256 and nothing else",
                    );
                }
            }
            return JwtKeys::SharedSecrets(PathBuf::from(secrets));
        }
        (false, true) => {}
    }
    // A man in the middle of a plain `http://` request can choose the keys and so impersonate anybody.
    if let Some(rest) = jwks.strip_prefix("http://") {
        if !is_loopback(rest) && !insecure {
            values.wrong(
                "jwt_jwks",
                "could be changed on its way; use https://, or http:// on this machine only",
            );
        }
        return JwtKeys::Url(jwks);
    }
    if jwks.starts_with("https://") { JwtKeys::Url(jwks) } else { JwtKeys::File(PathBuf::from(jwks)) }
}

/// Returns whether the host of an address without its scheme is this machine.
pub fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // The part before an `@` is a user, and the host follows it.
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A comma-separated list; blanks around entries are ignored.
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

    const TOKENS: [(&str, &str); 3] =
        [("jwt_issuer", "https://id.example"), ("jwt_audience", "upline"), ("jwt_jwks", "keys.json")];

    #[test]
    fn tokens_need_three_settings_and_have_defaults_for_the_rest() {
        assert_eq!(resolve(&[]).unwrap().jwt, None);
        let jwt = resolve(&TOKENS).unwrap().jwt.unwrap();
        assert_eq!(jwt.algorithms, [JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa]);
        assert_eq!(
            (jwt.keys, jwt.role_claim.as_str(), jwt.member_claim.as_str()),
            (JwtKeys::File("keys.json".into()), "role", "sub")
        );
        assert!(!jwt.may_lack_issuer && !jwt.may_lack_audience);
        assert_eq!(jwt.roles.len(), <Role as strum::VariantArray>::VARIANTS.len());
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
            (
                "jwt_jwks",
                "http://id.example/keys",
                "jwt_jwks: `http://id.example/keys` could be changed on its way",
            ),
            (
                "jwt_jwks",
                "http://localhost@id.example/",
                "jwt_jwks: `http://localhost@id.example/` could be changed on its way",
            ),
            (
                "jwt_hs256_secret_file",
                "secret",
                "jwt_hs256_secret_file: `secret` cannot be combined with jwt_jwks",
            ),
            ("jwt_allow_missing", "iss,exp", "jwt_allow_missing: `iss,exp` is not a list of `iss` and `aud`"),
            ("jwt_member_claim", "", "jwt_member_claim: `` must not be empty"),
            ("allowed_hosts", "intranet:8000", "allowed_hosts: `intranet:8000` is not a list of host names"),
            (
                "allowed_hosts",
                "http://intranet",
                "allowed_hosts: `http://intranet` is not a list of host names",
            ),
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
    fn a_shared_secret_is_an_issuer_of_its_own_kind() {
        let secret = ("jwt_hs256_secret_file", "secret");
        let jwt = resolve(&[secret, ("jwt_allow_missing", "iss, aud")]).unwrap().jwt.unwrap();
        assert_eq!(
            (jwt.keys, jwt.issuer, jwt.audience),
            (JwtKeys::SharedSecrets("secret".into()), None, None)
        );
        assert!(jwt.may_lack_issuer && jwt.may_lack_audience);
        // what else is set, number of errors
        let table: [(&[(&str, &str)], usize); 6] = [
            (&[("jwt_issuer", "i"), ("jwt_audience", "a")], 0),
            (&[("jwt_issuer", "i"), ("jwt_allow_missing", "aud")], 0),
            (&[("jwt_issuer", "i")], 1),
            (&[], 2),
            (&[("jwt_allow_missing", "iss,aud"), ("jwt_algorithms", "RS256")], 1),
            (&[("jwt_allow_missing", "iss,aud"), ("jwt_jwks", "keys.json")], 1),
        ];
        for (more, errors) in table {
            let found = resolve(&[&[secret], more].concat()).map_or_else(|errors| errors.len(), |_| 0);
            assert_eq!(found, errors, "{more:?}");
        }
    }

    #[test]
    fn hosts_are_names_without_ports() {
        let hosts = |flags: &[(&'static str, &str)]| resolve(flags).unwrap().allowed_hosts;
        assert_eq!(
            hosts(&[("allowed_hosts", "MLM, app.example.com., 10.0.0.7, ::1")]),
            ["mlm", "app.example.com", "10.0.0.7", "::1"]
        );
        assert_eq!(hosts(&[("allowed_hosts", "*"), ("addr", "LocalHost:0")]), ["*", "localhost"]);
        assert!(hosts(&[("addr", "127.0.0.1:0")]).is_empty() && hosts(&[("addr", "[::1]:0")]).is_empty());
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
        assert_eq!(
            auth.trusted_proxies,
            [("::ffff:10.0.0.0".parse().unwrap(), 104), ("::1".parse().unwrap(), 128)]
        );
        let rate = |number| NonZeroU32::new(number).unwrap();
        assert_eq!(auth.rates.principal_per_second, Some((rate(5), rate(7))));
        assert_eq!(
            (auth.rates.address_per_second, auth.rates.failures_per_minute),
            (None, NonZeroU32::new(60))
        );
        assert_eq!(auth.mode, AuthMode::On);
    }
}
