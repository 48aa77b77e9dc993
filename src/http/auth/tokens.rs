//! Bearer tokens: the issuer's keys, and what a signed token says.
//!
//! A token's header chooses nothing but which key it claims: each key has its own list of algorithms, made of
//! the configuration and of what the key is, and a token of another algorithm is refused before anything is
//! computed. An issuer has public keys or shared secrets and never both, and nothing that is read as the one
//! kind is ever tried as the other.

use std::time::Duration;

use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::{Map, Value};

use super::{identity, policy::Principal};
use crate::{
    access::{Role, Scope, Scopes},
    config::{JwtAlgorithm, JwtConfig},
    engine::MemberId,
    metrics::AuthOutcome,
};

/// Keys of one issuer: it has the present one, the next one and the last one.
const KEYS_MAX: usize = 64;
/// Entries of a list of roles.
const ROLES_MAX: usize = 64;

/// A public key and what it may be used with.
struct PublicKey {
    id: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

/// The keys of an issuer: of one kind, which decides the algorithms. A public key verifies with what its kind
/// and the configuration allow, a shared secret with HS256; neither can ever be tried as the other, whatever
/// a token says.
pub enum KeySet {
    Public(PublicKeys),
    /// Any of them may have signed: what a token's `kid` says of them is not looked at.
    Shared(Vec<DecodingKey>),
}

/// The public keys of a JWK set.
pub struct PublicKeys(Vec<PublicKey>);

impl KeySet {
    /// Reads a JWK set (RFC 7517). Keys that are not for signatures, or of a kind that is not configured, are
    /// left out: shared secrets above all.
    ///
    /// # Errors
    /// A sentence, when it is no JWK set or no key of it can be used.
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
            return Err(format!(
                "none of its {} keys is for signatures of a configured algorithm",
                keys.len()
            ));
        }
        Ok(KeySet::Public(PublicKeys(usable)))
    }

    /// Of secrets that are shared with the issuer.
    pub fn shared(secrets: &[Vec<u8>]) -> Self {
        KeySet::Shared(secrets.iter().map(|secret| DecodingKey::from_secret(secret)).collect())
    }

    pub fn len(&self) -> usize {
        match self {
            KeySet::Public(keys) => keys.0.len(),
            KeySet::Shared(secrets) => secrets.len(),
        }
    }

    /// The keys that may have signed a token with this header, and the algorithms that those verify with.
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

/// What shared secrets sign with.
const SHARED_ALGORITHM: Algorithm = Algorithm::HS256;

impl PublicKeys {
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
        // Shared secrets above all.
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

    /// Who a token is. One signature check (of shared secrets, up to one for each): some 30 to 100 us, which
    /// is why it is done where the request is.
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
        let (candidates, algorithms) = keys.candidates(&header)?;
        let validation = Validation { algorithms, ..self.validation.clone() };
        let mut refused = AuthOutcome::TokenSignature;
        for key in candidates {
            match jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation) {
                Ok(decoded) => return self.principal(&decoded.claims),
                Err(error) => refused = outcome_of(error.kind()),
            }
            // Signatures come first: what else is wrong is wrong under every secret.
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
        if role == Role::Member {
            let id = text(&self.config.member_claim)
                .and_then(|id| uuid::Uuid::parse_str(id).ok())
                .ok_or(AuthOutcome::TokenSubject)?;
            let id = MemberId(id.into_bytes());
            return Ok(Principal::new(role, Some(id), identity::of_member(id), Scopes::NONE));
        }
        // RFC 8693: words with blanks between them; those of others mean nothing here.
        let scopes = text("scope").unwrap_or_default().split(' ').filter_map(Scope::from_name).collect();
        Ok(Principal::new(role, None, identity::of_token(subject), scopes))
    }

    /// What may be missing is missing or right. The library passes over a claim that is of another type, and
    /// takes a list that has the right issuer among others.
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

    /// One role, or the most that a list gives: what means nothing here gives nothing, but a claim that gives
    /// nothing at all is a mistake. Without the claim, or with an empty list, it is a member.
    fn role(&self, claims: &Map<String, Value>) -> Result<Role, AuthOutcome> {
        /// From the one that may do most.
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

/// How long the keys of an issuer may take to come, all in all.
pub const FETCH_TIME_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
#[path = "tokens_test.rs"]
mod tests;
