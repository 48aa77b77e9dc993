//! Properties that hold for any bytes sent as a token, or served as an issuer's keys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Map, Value, json};
use strum::VariantArray;

use super::{
    credentials::{self, Credentials},
    policy::Principal,
    tokens::{KeySet, Rules},
};
use crate::{
    access::Role,
    config::{JwtAlgorithm, JwtConfig, JwtKeys},
};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "upline";
const LEEWAY_SECONDS: u64 = 30;
const ALGORITHMS: [JwtAlgorithm; 3] = [JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa];

/// The signing key used here, and the rules and keys that accept it.
struct Issuer {
    key: EncodingKey,
    rules: Rules,
    keys: KeySet,
}

impl Issuer {
    fn new() -> Self {
        let key = EncodingKey::from_ed_der(include_bytes!("../../../tests/fixtures/keys/ed.p8"));
        let jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).expect("a key that signs has a public one");
        let keys =
            KeySet::parse(&json!({ "keys": [jwk] }).to_string(), &ALGORITHMS).expect("a set of one good key");
        let rules = Rules::new(JwtConfig {
            issuer: Some(ISSUER.into()),
            audience: Some(AUDIENCE.into()),
            may_lack_issuer: false,
            may_lack_audience: false,
            algorithms: ALGORITHMS.into(),
            keys: JwtKeys::File("unused".into()),
            member_claim: "sub".into(),
            role_claim: "role".into(),
            roles: Role::VARIANTS.iter().map(|role| (format!("u-{}", role.name()), *role)).collect(),
            leeway: Duration::from_secs(LEEWAY_SECONDS),
            refresh: Duration::from_secs(300),
            ca_file: None,
        });
        Self { key, rules, keys }
    }
}

thread_local! {
    static HERE: Issuer = Issuer::new();
}

/// A token signed with the known key, as a seed for inputs.
#[cfg(test)]
pub(crate) fn signed(claims: &Value) -> String {
    HERE.with(|here| {
        encode(&Header::new(Algorithm::EdDSA), claims, &here.key).expect("claims are plain data")
    })
}

/// Tries bytes as a token, as the claims of one, and as a key set. Returns true when one of them was
/// accepted.
///
/// # Panics
/// When a token is accepted that lacks a required claim or has an invalid signature.
pub(in crate::http) fn token(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    bearer(text);
    let keys = KeySet::parse(text, &ALGORITHMS);
    assert!(
        keys.as_ref().is_ok_and(|keys| 0 < keys.len())
            || keys.as_ref().is_err_and(|reason| !reason.is_empty())
    );
    let taken = HERE.with(|here| {
        let sent = here.rules.check(&here.keys, text).ok();
        if let Some(principal) = &sent {
            let claims = text
                .split('.')
                .nth(1)
                .and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok())
                .unwrap_or_default();
            check_claims(
                &serde_json::from_slice(&claims).expect("claims that were taken are an object"),
                principal,
            );
        }
        sent.is_some() || serde_json::from_str(text).is_ok_and(|claims| as_claims(here, &claims))
    });
    taken || keys.is_ok()
}

/// Signs claims and checks the token.
fn as_claims(here: &Issuer, claims: &Map<String, Value>) -> bool {
    let token = encode(&Header::new(Algorithm::EdDSA), claims, &here.key).expect("claims are plain data");
    let (signed, signature) = token.rsplit_once('.').expect("a token has three parts");
    let mut other = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("we made it");
    let at = claims.len() % other.len();
    other[at] ^= 1;
    let other = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(other));
    assert!(here.rules.check(&here.keys, &other).is_err(), "another signature");
    assert!(here.rules.check(&here.keys, &format!("{signed}.")).is_err(), "no signature");
    match here.rules.check(&here.keys, &token) {
        Ok(principal) => {
            check_claims(claims, &principal);
            true
        }
        Err(_) => false,
    }
}

/// Claims that a principal requires.
fn check_claims(claims: &Map<String, Value>, principal: &Principal) {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    assert_eq!(text("iss"), Some(ISSUER));
    let is_ours = |value: &Value| value.as_str() == Some(AUDIENCE);
    let audience = &claims["aud"];
    assert!(
        is_ours(audience) || audience.as_array().is_some_and(|all| all.iter().any(is_ours)),
        "{audience}"
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let ends = claims["exp"].as_f64().expect("a time is a number");
    assert!((now as f64) - LEEWAY_SECONDS as f64 - 2.0 <= ends, "expired at {ends}");
    let subject = text("sub").expect("somebody");
    let said = claims.get("role").and_then(Value::as_str);
    assert_eq!(
        principal.role,
        said.map_or(Role::Member, |said| said[2..].parse().expect("a role that is configured"))
    );
    match principal.role {
        Role::Member => {
            let id = uuid::Uuid::parse_str(subject).expect("members are UUIDs");
            assert_eq!(principal.subject.map(|subject| subject.0), Some(id.into_bytes()));
            assert!(principal.scopes.iter().next().is_none(), "members have no scopes");
        }
        _ => assert_eq!(principal.subject, None, "only members are somebody in the network"),
    }
}

/// The text as a bearer token in a header.
fn bearer(text: &str) {
    let Ok(value) = HeaderValue::from_bytes(format!("Bearer {text}").as_bytes()) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, value);
    match credentials::read(&headers) {
        Ok(Credentials::Token(found)) => assert_eq!(found, text.trim_matches(' ')),
        Ok(Credentials::Key { id, secret }) => assert_eq!(format!("{id}.{secret}"), text.trim_matches(' ')),
        Err(_) => {}
    }
}
