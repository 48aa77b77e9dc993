//! Bearer tokens: the issuer's public keys, and what a signed token says.
//!
//! A token's header chooses nothing but which key it claims: each key has its own list of algorithms, made of the configuration and of what
//! the key is, and a token of another algorithm is refused before anything is computed. Only algorithms with public keys can be
//! configured, so that a public key can never be taken for a shared secret.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::{Map, Value};

use super::policy::Principal;
use crate::{
    access::{Role, Scope, Scopes},
    config::{JwtAlgorithm, JwtConfig},
    engine::MemberId,
    metrics::AuthOutcome,
};

/// Keys of one issuer: it has the present one, the next one and the last one.
const KEYS_MAX: usize = 64;
/// Characters of a subject that is not a member, which stands in logs.
const SUBJECT_CHARS_MAX: usize = 128;

/// A public key and what it may be used with.
struct PublicKey {
    id: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

/// The keys of an issuer.
pub struct KeySet(Vec<PublicKey>);

impl KeySet {
    /// Reads a JWK set (RFC 7517). Keys that are not for signatures, or of a kind that is not configured, are left out.
    ///
    /// # Errors
    /// A sentence, when it is no JWK set or no key of it can be used.
    pub fn parse(text: &str, configured: &[JwtAlgorithm]) -> Result<Self, String> {
        let document: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or("it is no JWK set: it has no list `keys`")?;
        if KEYS_MAX < keys.len() {
            return Err(format!("it has more than {KEYS_MAX} keys"));
        }
        let usable: Vec<PublicKey> = keys.iter().filter_map(|key| public_key(key, configured)).collect();
        if usable.is_empty() {
            return Err(format!("none of its {} keys is for signatures of a configured algorithm", keys.len()));
        }
        Ok(Self(usable))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The key that a header names. Without a name it must be the only one that comes into question.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&PublicKey, AuthOutcome> {
        let mut named = self.0.iter().filter(|key| id.is_none() || key.id.as_deref() == id).peekable();
        if named.peek().is_none() {
            return Err(AuthOutcome::TokenKey);
        }
        let mut fitting = named.filter(|key| key.algorithms.contains(&algorithm));
        match (fitting.next(), fitting.next()) {
            (None, _) => Err(AuthOutcome::TokenAlgorithm),
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(AuthOutcome::TokenKey),
        }
    }
}

fn public_key(value: &Value, configured: &[JwtAlgorithm]) -> Option<PublicKey> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let of_kind: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512]
        }
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        // Shared secrets above all.
        _ => &[],
    };
    let configured = |algorithm: &Algorithm| configured.iter().any(|known| algorithm_of(*known) == *algorithm);
    let named = |algorithm: &Algorithm| common.key_algorithm.is_none_or(|own| signature_of(own) == Some(*algorithm));
    let algorithms: Vec<Algorithm> =
        of_kind.iter().copied().filter(|algorithm| signs && configured(algorithm) && named(algorithm)).collect();
    if algorithms.is_empty() {
        return None;
    }
    Some(PublicKey { id: common.key_id.clone(), key: DecodingKey::from_jwk(&jwk).ok()?, algorithms })
}

fn algorithm_of(configured: JwtAlgorithm) -> Algorithm {
    match configured {
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Rs384 => Algorithm::RS384,
        JwtAlgorithm::Rs512 => Algorithm::RS512,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Ps384 => Algorithm::PS384,
        JwtAlgorithm::Ps512 => Algorithm::PS512,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::Es384 => Algorithm::ES384,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// The signature algorithm that a key is bound to by its own `alg`; `None` for one of another purpose.
fn signature_of(own: KeyAlgorithm) -> Option<Algorithm> {
    own.to_string().parse().ok()
}

/// What tokens must say.
pub struct Rules {
    config: JwtConfig,
    validation: Validation,
}

impl Rules {
    pub fn new(config: JwtConfig) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.leeway = config.leeway.as_secs();
        validation.validate_exp = true;
        validation.validate_nbf = true;
        validation.validate_aud = true;
        Self { config, validation }
    }

    pub fn config(&self) -> &JwtConfig {
        &self.config
    }

    /// Who a token is. One signature check: some 30 to 100 us, which is why it is done where the request is.
    ///
    /// # Errors
    /// Why it is nobody.
    pub fn check(&self, keys: &KeySet, token: &str) -> Result<Principal, AuthOutcome> {
        let header = decode_header(token).map_err(|error| match error.into_kind() {
            // `none` and everything unknown.
            ErrorKind::Json(_) if token.split('.').count() == 3 => AuthOutcome::TokenAlgorithm,
            _ => AuthOutcome::TokenMalformed,
        })?;
        // Extensions that must be understood, and are not.
        if header.crit.is_some() {
            return Err(AuthOutcome::TokenMalformed);
        }
        let key = keys.find(header.kid.as_deref(), header.alg)?;
        let mut validation = self.validation.clone();
        validation.algorithms.clone_from(&key.algorithms);
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation);
        let claims = decoded.map_err(|error| outcome_of(error.kind()))?.claims;
        self.principal(&claims)
    }

    fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, AuthOutcome> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        // The library also takes a list that has the right one among others.
        if text("iss") != Some(&self.config.issuer) {
            return Err(AuthOutcome::TokenIssuer);
        }
        let subject = text("sub").filter(|subject| !subject.is_empty()).ok_or(AuthOutcome::TokenClaim)?;
        let role = match claims.get(&self.config.role_claim) {
            None => Role::Member,
            Some(Value::String(said)) => {
                let meant = self.config.roles.iter().find(|(known, _)| known == said).map(|(_, role)| *role);
                meant.ok_or(AuthOutcome::TokenClaim)?
            }
            Some(_) => return Err(AuthOutcome::TokenClaim),
        };
        if role == Role::Member {
            let id = uuid::Uuid::parse_str(subject).map_err(|_| AuthOutcome::TokenClaim)?;
            let id = MemberId(id.into_bytes());
            return Ok(Principal::new(role, Some(id), id.to_string(), Scopes::NONE));
        }
        // RFC 8693: words with blanks between them; those of others mean nothing here.
        let scopes = text("scope").unwrap_or_default().split(' ').filter_map(Scope::from_name).collect();
        let name: Arc<str> = subject.chars().take(SUBJECT_CHARS_MAX).collect::<String>().into();
        Ok(Principal::new(role, None, name, scopes))
    }
}

fn outcome_of(error: &ErrorKind) -> AuthOutcome {
    match error {
        ErrorKind::InvalidSignature => AuthOutcome::TokenSignature,
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => AuthOutcome::TokenExpired,
        ErrorKind::InvalidIssuer => AuthOutcome::TokenIssuer,
        ErrorKind::InvalidAudience => AuthOutcome::TokenAudience,
        ErrorKind::InvalidAlgorithm | ErrorKind::MissingAlgorithm | ErrorKind::UnsupportedAlgorithm => AuthOutcome::TokenAlgorithm,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::InvalidSubject => AuthOutcome::TokenClaim,
        _ => AuthOutcome::TokenMalformed,
    }
}

/// How long the keys of an issuer may take to come, all in all.
pub const FETCH_TIME_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
#[path = "tokens_test.rs"]
mod tests;
