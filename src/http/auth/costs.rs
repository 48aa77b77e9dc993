//! Work limits: an account for each principal, in units that are counted while the work is done.
//!
//! The cost of a request is known only afterwards, so it is charged afterwards. An account may go into debt;
//! while it is, costly requests of its principal are answered 429. Small ones (a member, a count, a rank)
//! cost nothing and are always answered.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::rates::client_of;
use crate::{
    access::Role,
    config::RateConfig,
    metrics::{LimitedBy, Metrics},
};

/// Longest time for which an account is in debt, whatever its last request cost: no client is told to come
/// back tomorrow.
const DEBT_MAX: Duration = Duration::from_secs(60);
/// Accounts of their own; further principals share [`SHARED`] accounts.
const ACCOUNTS_MAX: usize = 100_000;
const SHARED: u64 = 1_024;

/// One kind of principals.
struct Accounts {
    per_unit: Duration,
    burst: Duration,
    /// When each debt will be paid off, in time since the start.
    paid_at: Mutex<HashMap<u64, Duration>>,
}

impl Accounts {
    fn new((per_second, burst): (NonZeroU32, NonZeroU32)) -> Self {
        let per_unit = Duration::from_secs(1) / per_second.get();
        // A rate above 10^9 would make it nothing.
        let per_unit = per_unit.max(Duration::from_nanos(1));
        Self { per_unit, burst: per_unit * burst.get(), paid_at: Mutex::default() }
    }

    fn key(accounts: &HashMap<u64, Duration>, key: u64) -> u64 {
        if ACCOUNTS_MAX <= accounts.len() && !accounts.contains_key(&key) { key % SHARED } else { key }
    }

    fn check(&self, key: u64, now: Duration) -> Result<(), Duration> {
        let accounts = self.paid_at.lock();
        let paid_at = accounts.get(&Self::key(&accounts, key)).copied().unwrap_or_default();
        let wait = paid_at.saturating_sub(self.burst).saturating_sub(now);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    fn charge(&self, key: u64, units: u64, now: Duration) {
        let mut accounts = self.paid_at.lock();
        let key = Self::key(&accounts, key);
        let paid_at = accounts.entry(key).or_default();
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        *paid_at =
            ((*paid_at).max(now) + self.per_unit.saturating_mul(units)).min(now + self.burst + DEBT_MAX);
    }

    fn clean(&self, now: Duration) {
        let mut accounts = self.paid_at.lock();
        accounts.retain(|_, paid_at| now < *paid_at);
        accounts.shrink_to_fit();
    }
}

/// All accounts; a kind without a limit has none.
pub struct Costs {
    began: Instant,
    members: Option<Accounts>,
    others: Option<Accounts>,
    hasher: RandomState,
    metrics: Arc<Metrics>,
}

impl Costs {
    pub fn new(config: &RateConfig, metrics: &Arc<Metrics>) -> Arc<Self> {
        let (members, others) = (config.member_cost.map(Accounts::new), config.other_cost.map(Accounts::new));
        Arc::new(Self {
            began: Instant::now(),
            members,
            others,
            hasher: RandomState::new(),
            metrics: Arc::clone(metrics),
        })
    }

    /// The account of a principal of this name and role, or of its address where no credentials are asked
    /// for.
    pub fn payer(self: &Arc<Self>, name: &str, role: Role, address: Option<IpAddr>) -> Payer {
        let is_member = role == Role::Member;
        let key = match address {
            Some(address) => self.hasher.hash_one(client_of(address)),
            None => self.hasher.hash_one(name),
        };
        Payer(Some(Account { costs: Arc::clone(self), is_member, key }))
    }

    fn accounts(&self, is_member: bool) -> Option<&Accounts> {
        if is_member { self.members.as_ref() } else { self.others.as_ref() }
    }

    /// To be called every few seconds, from a thread that may block.
    pub fn clean(&self) {
        let now = self.began.elapsed();
        [&self.members, &self.others].into_iter().flatten().for_each(|accounts| accounts.clean(now));
    }
}

/// Who pays for a request. Cheap to clone; a stream keeps it and pays as it progresses.
#[derive(Clone, Default)]
pub struct Payer(Option<Account>);

#[derive(Clone)]
struct Account {
    costs: Arc<Costs>,
    is_member: bool,
    key: u64,
}

impl Payer {
    /// Whether costly work may begin.
    ///
    /// # Errors
    /// How long to wait, at most a minute.
    pub fn check(&self) -> Result<(), Duration> {
        let Some(Account { costs, is_member, key }) = &self.0 else { return Ok(()) };
        let Some(accounts) = costs.accounts(*is_member) else { return Ok(()) };
        accounts
            .check(*key, costs.began.elapsed())
            .inspect_err(|_| costs.metrics.access.limited(LimitedBy::Cost))
    }

    /// Charges for work that was done. Units are those of `limits`: a step of a walk is 1.
    pub fn charge(&self, units: u64) {
        let Some(Account { costs, is_member, key }) = &self.0 else { return };
        costs.metrics.access.charged(*is_member, units);
        if let Some(accounts) = costs.accounts(*is_member) {
            accounts.charge(*key, units, costs.began.elapsed());
        }
    }
}

impl fmt::Debug for Payer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "Payer" } else { "nobody" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn accounts(per_second: u32, burst: u32) -> Accounts {
        Accounts::new((NonZeroU32::new(per_second).unwrap(), NonZeroU32::new(burst).unwrap()))
    }

    #[test]
    fn work_is_charged_afterwards_and_debts_are_paid_by_waiting() {
        let accounts = accounts(1_000, 5_000);
        // At ten seconds: all of the burst, and one unit more.
        let now = 10 * SECOND;
        assert_eq!(accounts.check(1, now), Ok(()));
        accounts.charge(1, 5_000, now);
        assert_eq!(accounts.check(1, now), Ok(()), "the burst is there to be used");
        accounts.charge(1, 2_000, now);
        assert_eq!(accounts.check(1, now), Err(2 * SECOND));
        assert_eq!(accounts.check(2, now), Ok(()), "each has an account of its own");
        assert_eq!(accounts.check(1, now + 2 * SECOND), Ok(()));
        accounts.charge(1, u64::MAX, now);
        assert_eq!(accounts.check(1, now), Err(DEBT_MAX), "nobody waits for longer");
        accounts.clean(now + DEBT_MAX + 5 * SECOND);
        assert!(accounts.paid_at.lock().is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let accounts = accounts(1, 1);
        for key in 0..2 * ACCOUNTS_MAX as u64 {
            accounts.charge(key, 10, SECOND);
        }
        assert!(accounts.paid_at.lock().len() as u64 <= ACCOUNTS_MAX as u64 + SHARED);
        assert!(
            accounts.check(2 * ACCOUNTS_MAX as u64 - 1, SECOND).is_err(),
            "who shares an account is still held"
        );
    }

    #[test]
    fn members_and_others_have_limits_of_their_own() {
        let metrics = Metrics::new(&[]);
        let pair = Some((NonZeroU32::new(10).unwrap(), NonZeroU32::new(10).unwrap()));
        let costs = Costs::new(&RateConfig { member_cost: pair, ..RateConfig::default() }, &metrics);
        let other = || costs.payer("a", Role::Service, None);
        let member = costs.payer("a", Role::Member, None);
        for payer in
            [member.clone(), other(), costs.payer("anonymous", Role::Service, Some([127, 0, 0, 1].into()))]
        {
            payer.charge(1_000);
        }
        assert!(member.check().is_err());
        assert_eq!(other().check(), Ok(()));
        assert_eq!(Payer::default().check(), Ok(()));
        let told = metrics.render();
        assert!(
            told.contains("upline_cost_units_total{of=\"member\"} 1000")
                && told.contains("upline_rate_limited_total{by=\"cost\"} 1")
        );
    }
}
