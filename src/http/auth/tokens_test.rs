//! Valid tokens, and every way in which one can be invalid.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use strum::VariantArray;

use super::*;
use crate::config::JwtKeys;

const MEMBER: &str = "00000000-0000-4000-8000-000000000001";
const FAR: u64 = 4_000_000_000;

fn ec(number: u8) -> EncodingKey {
    EncodingKey::from_ec_der(match number {
        1 => include_bytes!("../../../tests/fixtures/keys/ec1.p8"),
        _ => include_bytes!("../../../tests/fixtures/keys/ec2.p8"),
    })
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_der(include_bytes!("../../../tests/fixtures/keys/rsa.p1"))
}

fn ed() -> EncodingKey {
    EncodingKey::from_ed_der(include_bytes!("../../../tests/fixtures/keys/ed.p8"))
}

/// A public key as an issuer publishes it.
fn public(key: &EncodingKey, algorithm: Algorithm, id: Option<&str>) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
    let object = jwk.as_object_mut().unwrap();
    object.remove("alg");
    if let Some(id) = id {
        object.insert("kid".into(), id.into());
    }
    jwk
}

const ALL: [JwtAlgorithm; 4] =
    [JwtAlgorithm::Rs256, JwtAlgorithm::Ps256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa];

fn rules() -> Rules {
    Rules::new(JwtConfig {
        issuer: Some("https://id.example".into()),
        audience: Some("upline".into()),
        may_lack_issuer: false,
        may_lack_audience: false,
        algorithms: ALL.into(),
        keys: JwtKeys::File("unused".into()),
        member_claim: "sub".into(),
        role_claim: "role".into(),
        roles: Role::VARIANTS.iter().map(|role| (format!("u-{}", role.name()), *role)).collect(),
        leeway: Duration::from_secs(30),
        refresh: Duration::from_secs(300),
        ca_file: None,
    })
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(&json!({ "keys": keys }).to_string(), &ALL).unwrap()
}

fn two_keys() -> KeySet {
    set(&[public(&ec(1), Algorithm::ES256, Some("ec")), public(&rsa(), Algorithm::RS256, Some("rsa"))])
}

fn claims() -> Value {
    json!({ "iss": "https://id.example", "aud": "upline", "sub": MEMBER, "exp": FAR })
}

fn token(algorithm: Algorithm, id: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = id.map(String::from);
    encode(&header, claims, key).unwrap()
}

fn with(name: &str, value: Value) -> Value {
    let mut all = claims();
    all[name] = value;
    all
}

fn without(name: &str) -> Value {
    let mut all = claims();
    all.as_object_mut().unwrap().remove(name);
    all
}

#[test]
fn every_configured_kind_of_key_signs() {
    // algorithm, key
    let table = [
        (Algorithm::ES256, Algorithm::ES256, ec(1)),
        (Algorithm::RS256, Algorithm::RS256, rsa()),
        (Algorithm::PS256, Algorithm::RS256, rsa()),
        (Algorithm::EdDSA, Algorithm::EdDSA, ed()),
    ];
    for (algorithm, published_as, key) in table {
        let keys = set(&[public(&key, published_as, Some("k"))]);
        for id in [Some("k"), None] {
            let principal = rules().check(&keys, &token(algorithm, id, &key, &claims())).unwrap();
            assert_eq!(
                (principal.role, principal.subject.unwrap().to_string().as_str()),
                (Role::Member, MEMBER),
                "{algorithm:?}"
            );
        }
        let other = token(algorithm, Some("other"), &key, &claims());
        assert_eq!(rules().check(&keys, &other).err(), Some(AuthOutcome::TokenKey), "{algorithm:?}");
    }
}

#[test]
fn roles_come_from_a_closed_list() {
    // claims, role, scopes
    let table = [
        (with("role", json!("u-admin")), Ok((Role::Admin, vec![]))),
        (with("role", json!("u-auditor")), Ok((Role::Auditor, vec![]))),
        (with("role", json!("u-member")), Ok((Role::Member, vec![]))),
        (claims(), Ok((Role::Member, vec![]))),
        (with("role", json!("admin")), Err(AuthOutcome::TokenClaim)),
        (with("role", json!("")), Err(AuthOutcome::TokenClaim)),
        (with("role", json!(["u-admin"])), Ok((Role::Admin, vec![]))),
        (with("role", json!(["u-member", "u-auditor", "anything"])), Ok((Role::Auditor, vec![]))),
        (with("role", json!(["u-service", "u-admin", "u-auditor"])), Ok((Role::Admin, vec![]))),
        (with("role", json!(["u-member"])), Ok((Role::Member, vec![]))),
        (with("role", json!([])), Ok((Role::Member, vec![]))),
        (with("role", json!(["admin"])), Err(AuthOutcome::TokenClaim)),
        (with("role", json!(["u-admin", 7])), Err(AuthOutcome::TokenClaim)),
        (with("role", json!([["u-admin"]])), Err(AuthOutcome::TokenClaim)),
        (with("role", json!({"u-admin": true})), Err(AuthOutcome::TokenClaim)),
        (with("role", json!(vec!["u-admin"; ROLES_MAX + 1])), Err(AuthOutcome::TokenClaim)),
        (with("role", json!(null)), Err(AuthOutcome::TokenClaim)),
        (with("sub", json!("not a member")), Err(AuthOutcome::TokenSubject)),
        (with("sub", json!("")), Err(AuthOutcome::TokenClaim)),
        (with("sub", json!(7)), Err(AuthOutcome::TokenClaim)),
    ];
    for (claims, expected) in table {
        let got = rules().check(&two_keys(), &token(Algorithm::ES256, Some("ec"), &ec(1), &claims));
        assert_eq!(
            got.map(|principal| (principal.role, principal.scopes.iter().collect::<Vec<_>>())),
            expected,
            "{claims}"
        );
    }
    let mut service = with("role", json!("u-service"));
    service["sub"] = "nightly".into();
    service["scope"] = "openid metrics members:read profile".into();
    let principal =
        rules().check(&two_keys(), &token(Algorithm::ES256, Some("ec"), &ec(1), &service)).unwrap();
    assert_eq!((principal.role, principal.subject, &*principal.name), (Role::Service, None, "nightly"));
    assert_eq!(principal.scopes.iter().collect::<Vec<_>>(), [Scope::MembersRead, Scope::Metrics]);
}

#[test]
fn claims_must_be_there_and_right() {
    let now = jsonwebtoken::get_current_timestamp();
    // claims, why not
    let table = [
        (without("exp"), AuthOutcome::TokenClaim),
        (without("iss"), AuthOutcome::TokenClaim),
        (without("aud"), AuthOutcome::TokenClaim),
        (without("sub"), AuthOutcome::TokenClaim),
        (with("exp", json!("soon")), AuthOutcome::TokenClaim),
        (with("exp", json!(null)), AuthOutcome::TokenClaim),
        (with("exp", json!(now - 31)), AuthOutcome::TokenExpired),
        (with("nbf", json!(now + 120)), AuthOutcome::TokenExpired),
        (with("iss", json!("https://evil.example")), AuthOutcome::TokenIssuer),
        (with("iss", json!(["https://evil.example", "https://id.example"])), AuthOutcome::TokenIssuer),
        (with("aud", json!("other")), AuthOutcome::TokenAudience),
        (with("aud", json!([])), AuthOutcome::TokenAudience),
        (with("aud", json!(["other"])), AuthOutcome::TokenAudience),
    ];
    for (claims, expected) in table {
        let got = rules().check(&two_keys(), &token(Algorithm::ES256, Some("ec"), &ec(1), &claims));
        assert_eq!(got.err(), Some(expected), "{claims}");
    }
    for good in
        [with("aud", json!(["other", "upline"])), with("exp", json!(now - 20)), with("nbf", json!(now + 20))]
    {
        assert!(
            rules().check(&two_keys(), &token(Algorithm::ES256, Some("ec"), &ec(1), &good)).is_ok(),
            "{good}"
        );
    }
}

/// The header chooses a key, and nothing else.
#[test]
fn no_header_talks_the_algorithm_down() {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let keys = two_keys();
    let outcome = |token: &str| rules().check(&keys, token).err();
    // Unsigned, in several spellings.
    for algorithm in ["none", "None", "NONE", ""] {
        let unsigned = format!("{}.{}.", part(&json!({ "alg": algorithm, "kid": "ec" })), part(&claims()));
        assert_eq!(outcome(&unsigned), Some(AuthOutcome::TokenAlgorithm), "{algorithm}");
    }
    // A public key used as a shared secret, in each form available to an attacker.
    let published = public(&rsa(), Algorithm::RS256, Some("rsa"));
    let modulus = published["n"].as_str().unwrap();
    for secret in [
        published.to_string().into_bytes(),
        modulus.as_bytes().to_vec(),
        BASE64_URL_SAFE_NO_PAD.decode(modulus).unwrap(),
    ] {
        let forged = token(Algorithm::HS256, Some("rsa"), &EncodingKey::from_secret(&secret), &claims());
        assert_eq!(outcome(&forged), Some(AuthOutcome::TokenAlgorithm));
    }
    // Another key's algorithm, another key's signature, another family that is not configured.
    assert_eq!(
        outcome(&token(Algorithm::RS256, Some("ec"), &rsa(), &claims())),
        Some(AuthOutcome::TokenAlgorithm)
    );
    assert_eq!(
        outcome(&token(Algorithm::RS512, Some("rsa"), &rsa(), &claims())),
        Some(AuthOutcome::TokenAlgorithm)
    );
    assert_eq!(
        outcome(&token(Algorithm::ES256, Some("ec"), &ec(2), &claims())),
        Some(AuthOutcome::TokenSignature)
    );
    assert_eq!(outcome(&token(Algorithm::EdDSA, Some("ed"), &ed(), &claims())), Some(AuthOutcome::TokenKey));
    // Changed after signing.
    let good = token(Algorithm::ES256, Some("ec"), &ec(1), &claims());
    let mut parts: Vec<&str> = good.split('.').collect();
    let other = part(&with("sub", json!("00000000-0000-4000-8000-000000000002")));
    parts[1] = &other;
    assert_eq!(outcome(&parts.join(".")), Some(AuthOutcome::TokenSignature));
    // No signature at all, malformed tokens, an extension that must be understood.
    let head_and_claims = good.rsplit_once('.').unwrap().0;
    assert_eq!(outcome(&format!("{head_and_claims}.")), Some(AuthOutcome::TokenSignature));
    for broken in ["", ".", "..", "a.b.c", head_and_claims, &format!("{good}.x"), &good[..good.len() / 3]] {
        assert!(outcome(broken).is_some(), "{broken}");
    }
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("ec".into());
    header.crit = Some(vec!["exp".into()]);
    assert_eq!(outcome(&encode(&header, &claims(), &ec(1)).unwrap()), Some(AuthOutcome::TokenMalformed));
}

#[test]
fn without_a_name_a_key_must_be_the_only_one() {
    let two =
        set(&[public(&ec(1), Algorithm::ES256, Some("a")), public(&ec(2), Algorithm::ES256, Some("b"))]);
    let unnamed = token(Algorithm::ES256, None, &ec(1), &claims());
    assert_eq!(rules().check(&two, &unnamed).err(), Some(AuthOutcome::TokenKey));
    assert!(rules().check(&two_keys(), &unnamed).is_ok(), "the other key is of another kind");
}

#[test]
fn key_sets_are_read_carefully() {
    let good = public(&ec(1), Algorithm::ES256, Some("a"));
    let changed = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let shared = json!({ "kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "HS256" });
    // keys, how many can be used
    let table = [
        (vec![good.clone()], 1),
        (vec![good.clone(), shared.clone(), json!({ "kty": "unheard of" }), json!(7)], 1),
        (vec![shared], 0),
        (vec![changed("use", json!("enc"))], 0),
        (vec![changed("use", json!("sig"))], 1),
        (vec![changed("alg", json!("ES256"))], 1),
        (vec![changed("alg", json!("ES384"))], 0),
        (vec![changed("key_ops", json!(["sign"]))], 0),
        (vec![changed("key_ops", json!(["verify"]))], 1),
        (vec![changed("crv", json!("P-384"))], 0),
        (vec![public(&rsa(), Algorithm::RS256, None)], 1),
        (vec![], 0),
    ];
    for (keys, usable) in table {
        let text = json!({ "keys": keys }).to_string();
        assert_eq!(KeySet::parse(&text, &ALL).map_or(0, |set| set.len()), usable, "{text}");
    }
    let only_ec = KeySet::parse(
        &json!({ "keys": [public(&rsa(), Algorithm::RS256, None)] }).to_string(),
        &[JwtAlgorithm::Es256],
    );
    assert!(only_ec.is_err(), "no key of a configured algorithm");
    for bad in
        ["", "[]", "{}", "{\"keys\":7}", &format!("{{\"keys\":{}}}", json!(vec![good.clone(); KEYS_MAX + 1]))]
    {
        assert!(KeySet::parse(bad, &ALL).is_err(), "{bad}");
    }
}

#[test]
fn an_issuer_is_asked_by_https_if_its_certificate_is_trusted() {
    let keys = json!({ "keys": [public(&ec(1), Algorithm::ES256, Some("ec"))] }).to_string();
    let (port, certificate) = crate::trust::tests::serve(keys, 2);
    let (_, other) = crate::trust::tests::serve(String::new(), 0);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ca.pem");
    let keys = JwtKeys::Url(format!("https://localhost:{port}/keys"));
    let config = JwtConfig { keys, ca_file: Some(file.clone()), ..rules().config().clone() };
    std::fs::write(&file, other).unwrap();
    assert!(crate::http::auth::jwks::fetch(&config).is_err_and(|reason| reason.contains("cannot get")));
    std::fs::write(&file, certificate).unwrap();
    assert_eq!(crate::http::auth::jwks::fetch(&config).map(|keys| keys.len()), Ok(1));
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

fn shared(secrets: &[&str]) -> KeySet {
    KeySet::shared(&secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect::<Vec<_>>())
}

fn signed(secret: &str, claims: &Value) -> String {
    token(Algorithm::HS256, None, &EncodingKey::from_secret(secret.as_bytes()), claims)
}

#[test]
fn shared_secrets_sign_with_one_algorithm_and_rotate() {
    let both = shared(&[OTHER_SECRET, SECRET]);
    for secret in [SECRET, OTHER_SECRET] {
        assert_eq!(rules().check(&both, &signed(secret, &claims())).unwrap().role, Role::Member);
    }
    // A key name, which shared secrets do not have, changes nothing.
    let named = token(Algorithm::HS256, Some("any"), &EncodingKey::from_secret(SECRET.as_bytes()), &claims());
    assert!(rules().check(&both, &named).is_ok());
    let only_one = shared(&[OTHER_SECRET]);
    assert_eq!(rules().check(&only_one, &signed(SECRET, &claims())).err(), Some(AuthOutcome::TokenSignature));
    // Any other fault is named, whichever secret signed the token.
    for secret in [SECRET, OTHER_SECRET] {
        assert_eq!(
            rules().check(&both, &signed(secret, &with("exp", json!(1_000)))).err(),
            Some(AuthOutcome::TokenExpired)
        );
    }
    // Other algorithms, with the same secret or with a public key.
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let other = token(algorithm, None, &EncodingKey::from_secret(SECRET.as_bytes()), &claims());
        assert_eq!(rules().check(&both, &other).err(), Some(AuthOutcome::TokenAlgorithm), "{algorithm:?}");
    }
    for (algorithm, key) in [
        (Algorithm::ES256, ec(1)),
        (Algorithm::RS256, rsa()),
        (Algorithm::PS256, rsa()),
        (Algorithm::EdDSA, ed()),
    ] {
        let other = token(algorithm, None, &key, &claims());
        assert_eq!(rules().check(&both, &other).err(), Some(AuthOutcome::TokenAlgorithm), "{algorithm:?}");
    }
    for algorithm in ["none", "None", "NONE", "", "hs256"] {
        let head = part(&json!({ "alg": algorithm }));
        for signature in ["", "AAAA"] {
            let unsigned = format!("{head}.{}.{signature}", part(&claims()));
            assert_eq!(
                rules().check(&both, &unsigned).err(),
                Some(AuthOutcome::TokenAlgorithm),
                "{algorithm}"
            );
        }
    }
    // A secret is never used as a public key, nor a public key as a secret, whichever a token claims.
    let public_text = public(&rsa(), Algorithm::RS256, None).to_string();
    let forged = signed(&public_text, &claims());
    assert_eq!(rules().check(&both, &forged).err(), Some(AuthOutcome::TokenSignature));
    assert_eq!(
        rules().check(&two_keys(), &signed(SECRET, &claims())).err(),
        Some(AuthOutcome::TokenAlgorithm)
    );
}

/// What the original's authentication service issues: an e-mail as `sub`, a list of roles, neither `iss` nor
/// `aud`.
#[test]
fn what_may_be_missing_is_named_by_the_configuration() {
    let keys = shared(&[SECRET]);
    let rules = |issuer: Option<&str>, audience: Option<&str>, may_lack: [bool; 2], member_claim: &str| {
        let config = JwtConfig {
            issuer: issuer.map(String::from),
            audience: audience.map(String::from),
            may_lack_issuer: may_lack[0],
            may_lack_audience: may_lack[1],
            member_claim: member_claim.into(),
            role_claim: "roles".into(),
            ..super::tests::rules().config().clone()
        };
        Rules::new(config)
    };
    let original = |more: Value| {
        let mut claims = json!({ "sub": "ann@example.com", "exp": FAR });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    let (us, id) = (Some("upline"), Some("https://id.example"));
    let issued = json!({ "iss": "https://id.example", "aud": "upline" });
    let of = |claims: &Value, more: Value| {
        let mut all = claims.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        original(all)
    };
    let admin = json!({ "roles": ["u-admin"] });
    // issuer, audience, which of them a token may lack, claims, outcome
    let table = [
        (None, None, [true, true], original(admin.clone()), Ok(Role::Admin)),
        (id, us, [false, false], original(admin.clone()), Err(AuthOutcome::TokenClaim)),
        (id, us, [true, false], original(admin.clone()), Err(AuthOutcome::TokenClaim)),
        (id, us, [false, true], original(admin.clone()), Err(AuthOutcome::TokenClaim)),
        (id, us, [true, true], original(admin.clone()), Ok(Role::Admin)),
        (id, us, [true, true], of(&issued, admin.clone()), Ok(Role::Admin)),
        // A claim that is present must be right; where none is configured, none may be present.
        (id, us, [true, true], of(&json!({ "iss": "other" }), admin.clone()), Err(AuthOutcome::TokenIssuer)),
        (
            id,
            us,
            [true, true],
            of(&json!({ "aud": "other" }), admin.clone()),
            Err(AuthOutcome::TokenAudience),
        ),
        (id, us, [true, true], of(&json!({ "aud": 7 }), admin.clone()), Err(AuthOutcome::TokenAudience)),
        (id, us, [true, true], of(&json!({ "aud": null }), admin.clone()), Err(AuthOutcome::TokenAudience)),
        (id, us, [true, true], of(&json!({ "aud": [] }), admin.clone()), Err(AuthOutcome::TokenAudience)),
        (id, us, [true, true], of(&json!({ "iss": null }), admin.clone()), Err(AuthOutcome::TokenIssuer)),
        (
            None,
            None,
            [true, true],
            of(&json!({ "iss": "https://id.example" }), admin.clone()),
            Err(AuthOutcome::TokenIssuer),
        ),
        (
            None,
            None,
            [true, true],
            of(&json!({ "aud": "upline" }), admin.clone()),
            Err(AuthOutcome::TokenAudience),
        ),
        (None, None, [true, true], of(&json!({ "aud": ["upline"] }), admin), Err(AuthOutcome::TokenAudience)),
        // An e-mail may be a service, an auditor or an admin, but never a member.
        (None, None, [true, true], original(json!({ "roles": ["u-service"] })), Ok(Role::Service)),
        (None, None, [true, true], original(json!({ "roles": "u-auditor" })), Ok(Role::Auditor)),
        (
            None,
            None,
            [true, true],
            original(json!({ "roles": ["u-member"] })),
            Err(AuthOutcome::TokenSubject),
        ),
        (None, None, [true, true], original(json!({ "roles": [] })), Err(AuthOutcome::TokenSubject)),
        (None, None, [true, true], original(json!({})), Err(AuthOutcome::TokenSubject)),
    ];
    for (issuer, audience, may_lack, claims, expected) in table {
        let got = rules(issuer, audience, may_lack, "sub").check(&keys, &signed(SECRET, &claims));
        assert_eq!(
            got.map(|principal| principal.role),
            expected,
            "{issuer:?} {audience:?} {may_lack:?} {claims}"
        );
    }
    // Only the configured claim names the member.
    let named = rules(None, None, [true, true], "user_id");
    let member = named.check(&keys, &signed(SECRET, &original(json!({ "user_id": MEMBER })))).unwrap();
    assert_eq!(
        (member.role, member.subject.unwrap().to_string().as_str(), &*member.name),
        (Role::Member, MEMBER, &*format!("member:{MEMBER}"))
    );
    let by_sub = json!({ "sub": MEMBER, "exp": FAR });
    for wrong in [
        by_sub,
        original(json!({ "user_id": 7 })),
        original(json!({ "user_id": "ann" })),
        original(json!({ "user_id": null })),
    ] {
        assert_eq!(
            named.check(&keys, &signed(SECRET, &wrong)).err(),
            Some(AuthOutcome::TokenSubject),
            "{wrong}"
        );
    }
}
