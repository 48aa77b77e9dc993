//! Metrics of authentication, authorization and rate limits.

use std::sync::Arc;

use metrics::{Counter, Gauge};
use metrics_exporter_prometheus::PrometheusRecorder;
use strum::VariantNames;

use super::{counter_of, counters_by, gauge_of, table};

/// The result of checking a request's credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
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

/// Which limit was exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum LimitedBy {
    Principal = 0,
    Address = 1,
    Failures = 2,
    Cost = 3,
}

/// What was reloaded while running.
#[derive(Clone, Copy, PartialEq, Eq, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Loaded {
    Keys = 0,
    Jwks = 1,
}

/// Who was admitted, who was refused, and how fresh the sources are.
pub struct AccessMetrics {
    /// By [`AuthOutcome`].
    outcomes: Vec<Counter>,
    denied: [Counter; 2],
    /// By [`LimitedBy`].
    limited: Vec<Counter>,
    /// Units of work of members, and of others.
    costs: [Counter; 2],
    pub enabled: Gauge,
    pub keys_active: Gauge,
    pub jwks_keys: Gauge,
    /// By [`Loaded`].
    ages: Vec<Gauge>,
    failures: Vec<Counter>,
}

impl AccessMetrics {
    pub(super) fn new(recorder: &Arc<PrometheusRecorder>) -> Self {
        Self {
            outcomes: counters_by::<AuthOutcome>(recorder, &table::AUTH_REQUESTS),
            denied: ["unseen", "forbidden"]
                .map(|reason| counter_of(recorder, &table::AUTH_DENIED, &[reason])),
            limited: counters_by::<LimitedBy>(recorder, &table::RATE_LIMITED),
            costs: ["member", "other"].map(|of| counter_of(recorder, &table::COST_UNITS, &[of])),
            enabled: gauge_of(recorder, &table::AUTH_ENABLED, &[]),
            keys_active: gauge_of(recorder, &table::KEYS_ACTIVE, &[]),
            jwks_keys: gauge_of(recorder, &table::JWKS_KEYS, &[]),
            ages: Loaded::VARIANTS
                .iter()
                .map(|source| gauge_of(recorder, &table::CREDENTIALS_AGE, &[*source]))
                .collect(),
            failures: counters_by::<Loaded>(recorder, &table::CREDENTIALS_FAILURES),
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
