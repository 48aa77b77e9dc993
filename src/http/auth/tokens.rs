//! Bearer tokens: the issuer's keys, and the claims of a signed token.
//!
//! A token's header chooses nothing but the key it names: each key has its own list of algorithms, derived
//! from the configuration and the key's type, and a token of another algorithm is refused before anything is
//! computed. An issuer has public keys or shared secrets, never both, and a key read as one kind is never
//! tried as the other.

use std::time::Duration;

use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::{Map, Value};

use super::{
    identity,
    policy::{Credential, Principal},
};
use crate::{
    access::{Role, Scope, Scopes},
    config::{JwtAlgorithm, JwtConfig},
    engine::MemberId,
    metrics::AuthOutcome,
};

/// Keys of one issuer: the current one, the next one and the previous one are usual.
const KEYS_MAX: usize = 64;
/// Entries of a list of roles.
const ROLES_MAX: usize = 64;

/// A public key and what it may be used with.
struct PublicKey {
    id: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

/// The keys of an issuer, all of one kind, which decides the algorithms. A public key verifies with what its
/// type and the configuration allow, a shared secret with HS256; neither can ever be tried as the other,
/// whatever a token says.
pub enum KeySet {
    Public(PublicKeys),
    /// Any of them may have signed: a token's `kid` is ignored.
    Shared(Vec<DecodingKey>),
}

/// The public keys of a JWK set.
pub struct PublicKeys(Vec<PublicKey>);

impl KeySet {
    /// Reads a JWK set (RFC 7517). Keys that are not for signatures, or of a type that is not configured, are
    /// skipped, shared secrets in particular.
    ///
    /// # Errors
    /// A sentence, when it is no JWK set or has no usable key.
    pub fn parse(text: &str, configured: &[JwtAlgorithm]) -> Result<Self, String> {
        let document: Value =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let keys = document
            .get("keys")
            .and_then(Value::as_array)
            .ok_or("it is no JWK set: it has no list `keys`")?;
        if KEYS_MAX < keys.len() {
            return Err(format!("it has more than {KEYS_MAX} keys"));
        }
        let usable: Vec<PublicKey> = keys.iter().filter_map(|key| public_key(key, configured)).collect();
        if usable.is_empty() {
            return Err(format!("none of its {} keys fits a configured signature algorithm", keys.len()));
        }
        Ok(KeySet::Public(PublicKeys(usable)))
    }

    /// The key set of secrets shared with the issuer.
    pub fn shared(secrets: &[Vec<u8>]) -> Self {
        KeySet::Shared(secrets.iter().map(|secret| DecodingKey::from_secret(secret)).collect())
    }

    pub fn len(&self) -> usize {
        match self {
            KeySet::Public(keys) => keys.0.len(),
            KeySet::Shared(secrets) => secrets.len(),
        }
    }

    /// The keys that may have signed a token with this header, and their algorithms.
    fn candidates(&self, header: &Header) -> Result<(Vec<&DecodingKey>, Vec<Algorithm>), AuthOutcome> {
        match self {
            KeySet::Public(keys) => {
                let found = keys.find(header.kid.as_deref(), header.alg)?;
                Ok((vec![&found.key], found.algorithms.clone()))
            }
            KeySet::Shared(secrets) if header.alg == SHARED_ALGORITHM => {
                Ok((secrets.iter().collect(), vec![SHARED_ALGORITHM]))
            }
            KeySet::Shared(_) => Err(AuthOutcome::TokenAlgorithm),
        }
    }
}

/// The algorithm of shared secrets.
const SHARED_ALGORITHM: Algorithm = Algorithm::HS256;

impl PublicKeys {
    /// The key that a header names. Without a name there must be only one candidate.
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
        AlgorithmParameters::RSA(_) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            &[Algorithm::ES256]
        }
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => {
            &[Algorithm::ES384]
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        // Shared secrets in particular.
        _ => &[],
    };
    let configured =
        |algorithm: &Algorithm| configured.iter().any(|known| algorithm_of(*known) == *algorithm);
    let named =
        |algorithm: &Algorithm| common.key_algorithm.is_none_or(|own| signature_of(own) == Some(*algorithm));
    let algorithms: Vec<Algorithm> = of_kind
        .iter()
        .copied()
        .filter(|algorithm| signs && configured(algorithm) && named(algorithm))
        .collect();
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

/// The signature algorithm that a key's own `alg` binds it to; `None` for one of another purpose.
fn signature_of(own: KeyAlgorithm) -> Option<Algorithm> {
    own.to_string().parse().ok()
}

/// Claims that tokens must have.
pub struct Rules {
    config: JwtConfig,
    validation: Validation,
}

impl Rules {
    pub fn new(config: JwtConfig) -> Self {
        // Algorithms are set for each token, by the key.
        let mut validation = Validation::new(SHARED_ALGORITHM);
        validation.algorithms = Vec::new();
        let optional = [("iss", config.may_lack_issuer), ("aud", config.may_lack_audience)];
        let required = optional.iter().filter(|(_, may_lack)| !may_lack).map(|(claim, _)| *claim);
        validation.set_required_spec_claims(&required.chain(["exp", "sub"]).collect::<Vec<_>>());
        config.issuer.iter().for_each(|issuer| validation.set_issuer(&[issuer]));
        config.audience.iter().for_each(|audience| validation.set_audience(&[audience]));
        validation.leeway = config.leeway.as_secs();
        validation.validate_exp = true;
        validation.validate_nbf = true;
        validation.validate_aud = true;
        Self { config, validation }
    }

    pub fn config(&self) -> &JwtConfig {
        &self.config
    }

    /// Returns the principal of a token. One signature check (with shared secrets, up to one for each): some
    /// 30 to 100 us, which is why it runs on the request's own thread.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, keys: &KeySet, token: &str) -> Result<Principal, AuthOutcome> {
        let header = decode_header(token).map_err(|error| match error.into_kind() {
            // `none` and all unknown algorithms.
            ErrorKind::Json(_) if token.split('.').count() == 3 => AuthOutcome::TokenAlgorithm,
            _ => AuthOutcome::TokenMalformed,
        })?;
        // Critical extensions that are not supported.
        if header.crit.is_some() {
            return Err(AuthOutcome::TokenMalformed);
        }
        let (candidates, algorithms) = keys.candidates(&header)?;
        let validation = Validation { algorithms, ..self.validation.clone() };
        let mut refused = AuthOutcome::TokenSignature;
        for key in candidates {
            match jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation) {
                Ok(decoded) => return self.principal(&decoded.claims),
                Err(error) => refused = outcome_of(error.kind()),
            }
            // Signatures are checked first: any other fault is the same under every secret.
            if refused != AuthOutcome::TokenSignature {
                break;
            }
        }
        Err(refused)
    }

    fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, AuthOutcome> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        self.check_issuer_and_audience(claims)?;
        let subject = text("sub").filter(|subject| !subject.is_empty()).ok_or(AuthOutcome::TokenClaim)?;
        let role = self.role(claims)?;
        let ends = Duration::try_from_secs_f64(claims.get("exp").and_then(Value::as_f64).unwrap_or_default());
        // A time beyond what it holds is far enough.
        let ends = ends.unwrap_or(Duration::MAX).saturating_add(self.config.leeway);
        let until = i64::try_from(ends.as_secs()).unwrap_or(i64::MAX);
        let credential = Credential::Token { until };
        if role == Role::Member {
            let id = text(&self.config.member_claim)
                .and_then(|id| uuid::Uuid::parse_str(id).ok())
                .ok_or(AuthOutcome::TokenSubject)?;
            let id = MemberId(id.into_bytes());
            let principal = Principal::new(role, Some(id), identity::of_member(id), Scopes::NONE);
            return Ok(principal.by(credential));
        }
        // RFC 8693: words separated by spaces; unknown ones mean nothing here.
        let scopes = text("scope")
            .unwrap_or_default()
            .split(' ')
            .filter_map(|scope| scope.parse::<Scope>().ok())
            .collect();
        Ok(Principal::new(role, None, identity::of_token(subject), scopes).by(credential))
    }

    /// Optional claims are missing or right. The library ignores a claim of the wrong type, and accepts a
    /// list that contains the right issuer.
    fn check_issuer_and_audience(&self, claims: &Map<String, Value>) -> Result<(), AuthOutcome> {
        let JwtConfig { issuer, audience, may_lack_issuer, may_lack_audience, .. } = &self.config;
        let is_issuer = |said: &Value| said.as_str().is_some() && said.as_str() == issuer.as_deref();
        if !claims.get("iss").map_or(*may_lack_issuer, is_issuer) {
            return Err(AuthOutcome::TokenIssuer);
        }
        let names_us = |said: &Value| said.as_str().is_some() && said.as_str() == audience.as_deref();
        let is_audience =
            |said: &Value| said.as_array().map_or_else(|| names_us(said), |all| all.iter().any(names_us));
        if claims.get("aud").map_or(*may_lack_audience, is_audience) {
            Ok(())
        } else {
            Err(AuthOutcome::TokenAudience)
        }
    }

    /// One role, or the strongest of a list: unknown names grant nothing, but a claim that grants nothing at
    /// all is a mistake. Without the claim, or with an empty list, it is a member.
    fn role(&self, claims: &Map<String, Value>) -> Result<Role, AuthOutcome> {
        /// Strongest first.
        const ORDER: [Role; 4] = [Role::Admin, Role::Auditor, Role::Service, Role::Member];
        let said: Vec<&str> = match claims.get(&self.config.role_claim) {
            None => return Ok(Role::Member),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) if all.is_empty() => return Ok(Role::Member),
            Some(Value::Array(all)) if all.len() <= ROLES_MAX => {
                all.iter().map(Value::as_str).collect::<Option<_>>().ok_or(AuthOutcome::TokenClaim)?
            }
            Some(_) => return Err(AuthOutcome::TokenClaim),
        };
        let means = |role: &Role| {
            self.config.roles.iter().any(|(known, meant)| meant == role && said.contains(&known.as_str()))
        };
        ORDER.into_iter().find(means).ok_or(AuthOutcome::TokenClaim)
    }
}

fn outcome_of(error: &ErrorKind) -> AuthOutcome {
    match error {
        ErrorKind::InvalidSignature => AuthOutcome::TokenSignature,
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => AuthOutcome::TokenExpired,
        ErrorKind::InvalidIssuer => AuthOutcome::TokenIssuer,
        ErrorKind::InvalidAudience => AuthOutcome::TokenAudience,
        ErrorKind::InvalidAlgorithm | ErrorKind::MissingAlgorithm | ErrorKind::UnsupportedAlgorithm => {
            AuthOutcome::TokenAlgorithm
        }
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::InvalidSubject => {
            AuthOutcome::TokenClaim
        }
        _ => AuthOutcome::TokenMalformed,
    }
}

/// Total time to fetch an issuer's keys.
pub const FETCH_TIME_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
#[path = "tokens_test.rs"]
mod tests;
