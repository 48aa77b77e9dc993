//! Metrics of authentication, authorization and rate limits.

use std::sync::Arc;

use metrics::{Counter, Gauge};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::{counter_of, gauge_of, table};

/// The result of checking a request's credentials, in the order of [`OUTCOMES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthOutcome {
    Key,
    Token,
    /// Authorization is off.
    Anonymous,
    /// No credentials.
    Missing,
    /// Unreadable headers, or two kinds of credentials at once.
    Malformed,
    KeyUnknown,
    KeySecret,
    KeyExpired,
    KeyRevoked,
    /// Tokens are not accepted here.
    TokenNotTaken,
    TokenMalformed,
    TokenAlgorithm,
    TokenKey,
    TokenSignature,
    TokenExpired,
    TokenIssuer,
    TokenAudience,
    /// A claim is missing or invalid.
    TokenClaim,
    /// The issuer's keys were never loaded.
    TokenKeysMissing,
    /// A member's token names no member.
    TokenSubject,
    /// No credentials are required, and `Host` is no name of this server.
    HostUnknown,
    /// No credentials are required, and another web page wants to change something.
    PageForeign,
}

/// Label values, in the order of [`AuthOutcome`].
const OUTCOMES: [&str; 22] = [
    "key",
    "token",
    "anonymous",
    "missing",
    "malformed",
    "key_unknown",
    "key_secret",
    "key_expired",
    "key_revoked",
    "token_not_taken",
    "token_malformed",
    "token_algorithm",
    "token_key",
    "token_signature",
    "token_expired",
    "token_issuer",
    "token_audience",
    "token_claim",
    "token_keys_missing",
    "token_subject",
    "host_unknown",
    "page_foreign",
];

const _: () = assert!(AuthOutcome::PageForeign as usize + 1 == OUTCOMES.len());

/// Which limit was exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LimitedBy {
    Principal = 0,
    Address = 1,
    Failures = 2,
    Cost = 3,
}

/// What was reloaded while running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loaded {
    Keys = 0,
    Jwks = 1,
}

/// Who was admitted, who was refused, and how fresh the sources are.
pub struct AccessMetrics {
    outcomes: [Counter; OUTCOMES.len()],
    denied: [Counter; 2],
    limited: [Counter; 4],
    /// Units of work of members, and of others.
    costs: [Counter; 2],
    pub enabled: Gauge,
    pub keys_active: Gauge,
    pub jwks_keys: Gauge,
    ages: [Gauge; 2],
    failures: [Counter; 2],
}

impl AccessMetrics {
    pub(super) fn new(recorder: &Arc<PrometheusRecorder>) -> Self {
        let sources = ["keys", "jwks"];
        Self {
            outcomes: OUTCOMES.map(|outcome| counter_of(recorder, &table::AUTH_REQUESTS, &[outcome])),
            denied: ["unseen", "forbidden"]
                .map(|reason| counter_of(recorder, &table::AUTH_DENIED, &[reason])),
            limited: ["principal", "address", "failures", "cost"]
                .map(|by| counter_of(recorder, &table::RATE_LIMITED, &[by])),
            costs: ["member", "other"].map(|of| counter_of(recorder, &table::COST_UNITS, &[of])),
            enabled: gauge_of(recorder, &table::AUTH_ENABLED, &[]),
            keys_active: gauge_of(recorder, &table::KEYS_ACTIVE, &[]),
            jwks_keys: gauge_of(recorder, &table::JWKS_KEYS, &[]),
            ages: sources.map(|source| gauge_of(recorder, &table::CREDENTIALS_AGE, &[source])),
            failures: sources.map(|source| counter_of(recorder, &table::CREDENTIALS_FAILURES, &[source])),
        }
    }

    pub fn outcome(&self, outcome: AuthOutcome) {
        self.outcomes[outcome as usize].increment(1);
    }

    /// Counts a resource that was hidden from the principal, or a request that was forbidden.
    pub fn denied(&self, is_unseen: bool) {
        self.denied[usize::from(!is_unseen)].increment(1);
    }

    pub fn limited(&self, by: LimitedBy) {
        self.limited[by as usize].increment(1);
    }

    /// Counts units of work charged to a principal.
    pub fn charged(&self, is_member: bool, units: u64) {
        self.costs[usize::from(!is_member)].increment(units);
    }

    pub fn set_age(&self, source: Loaded, seconds: f64) {
        self.ages[source as usize].set(seconds);
    }

    pub fn load_failed(&self, source: Loaded) {
        self.failures[source as usize].increment(1);
    }
}
