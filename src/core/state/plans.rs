//! The plans as a part of the state: the one in force, and which was in force when, known without the log.

use std::sync::Arc;

use crate::core::{
    ledger::part::Ledger,
    plan::{
        BonusRule, LevelPay, Plan, RankRule,
        calendar::{Calendar, Every},
        commerce::Commerce,
    },
    requests::command::Rejection,
    store::{
        column::{Scalar, freeze_fields},
        held::Held,
    },
    words::types::Timestamp,
};

/// Versions that a state knows: the newest ones. Older ones are in the log alone.
pub const PLAN_VERSIONS_MAX: usize = 1_024;

/// A plan that was activated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanVersion {
    /// Counted from 1, the plan that the network began with.
    pub version: u32,
    /// LSN of the command that activated it: it is in force from the state right after that command on. 0 for
    /// version 1, which no command activated.
    pub lsn: u64,
    /// Log time of that command; 0 for version 1.
    pub time: Timestamp,
    /// False for the oldest version known to a state that came from a snapshot of a format before 4, unless
    /// it is version 1: it was activated at `lsn`, the snapshot's, or before.
    pub is_exact: bool,
    pub plan: Arc<Plan>,
}

/// The versions known to a state: without a gap, the last one in force. Shared by frozen copies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanVersions(Arc<Vec<PlanVersion>>);

impl PlanVersions {
    /// The versions of a network that begins with `plan`.
    pub(in crate::core) fn new(plan: Arc<Plan>) -> Self {
        let first = PlanVersion { version: 1, lsn: 0, time: Timestamp(0), is_exact: true, plan };
        Self(Arc::new(vec![first]))
    }

    /// What is known where only the plan in force at `lsn` was kept.
    pub fn of_one(version: u32, plan: Plan, lsn: u64, time: Timestamp) -> Self {
        let plan = Arc::new(plan);
        if version == 1 {
            return Self::new(plan);
        }
        Self(Arc::new(vec![PlanVersion { version, lsn, time, is_exact: false, plan }]))
    }

    /// The versions of an image at `lsn`.
    ///
    /// # Errors
    /// Why they cannot be the versions of a state.
    pub fn of_list(versions: Vec<PlanVersion>, lsn: u64) -> Result<Self, String> {
        let wrong =
            |version: &PlanVersion, what: &str| Err(format!("plan version {}: {what}", version.version));
        if !(1..=PLAN_VERSIONS_MAX).contains(&versions.len()) {
            return Err(format!("{} plan versions", versions.len()));
        }
        for (position, version) in versions.iter().enumerate() {
            let is_first_ever = version.version == 1;
            let is_in_order = match position.checked_sub(1).map(|before| &versions[before]) {
                Some(before) => {
                    before.version.checked_add(1) == Some(version.version)
                        && before.lsn < version.lsn
                        && before.time <= version.time
                        && version.is_exact
                }
                None => version.version != 0 && (!is_first_ever || version.is_exact),
            };
            if !is_in_order || version.lsn > lsn || is_first_ever != (version.lsn == 0) {
                return wrong(version, "out of order");
            }
            if version.plan.validate().is_err() {
                return wrong(version, "not a valid plan");
            }
        }
        Ok(Self(Arc::new(versions)))
    }

    /// Adds the version that a command activates. O(1) unless a frozen copy shares the list; O(versions)
    /// then, and when the oldest is dropped.
    pub(in crate::core) fn push(&mut self, version: PlanVersion) {
        let versions = Arc::make_mut(&mut self.0);
        if PLAN_VERSIONS_MAX <= versions.len() {
            versions.remove(0);
        }
        versions.push(version);
    }

    /// All that are known, oldest first; never empty.
    pub fn list(&self) -> &[PlanVersion] {
        &self.0
    }

    /// The version in force right after the command `lsn`. `None` before the oldest known. O(log versions).
    pub fn at(&self, lsn: u64) -> Option<&PlanVersion> {
        let after = self.0.partition_point(|version| version.lsn <= lsn);
        self.0.get(after.checked_sub(1)?)
    }
}

/// The plans of a network. They are in every frozen view.
pub(in crate::core) struct Plans {
    now: Scalar<Known>,
}

#[derive(Clone)]
struct Known {
    /// In force.
    plan: Arc<Plan>,
    /// The number of the trigger name of each of its rules, by position.
    kinds: Vec<u16>,
    /// Plans activated, the first included.
    version: u32,
    /// The last is `plan`.
    versions: PlanVersions,
}

impl Held for Plan {
    fn bytes(&self) -> usize {
        let pay = |rule: &BonusRule| match &rule.pay {
            LevelPay::Fixed(amounts) => size_of_val(amounts.as_slice()),
            LevelPay::Share(rates) => size_of_val(rates.as_slice()),
        };
        let bonuses: usize =
            self.bonuses.iter().map(|rule| size_of_val(rule) + rule.trigger.len() + pay(rule)).sum();
        let ranks: usize = self.ranks.steps().iter().map(|step| size_of_val(step) + step.name.len()).sum();
        let lists = self.name.len() + size_of_val(self.placement.other_rules.as_slice());
        lists + bonuses + ranks + self.commerce.bytes()
    }
}

impl Held for Commerce {
    fn bytes(&self) -> usize {
        let of_names =
            |names: &[Box<str>]| size_of_val(names) + names.iter().map(|name| name.len()).sum::<usize>();
        let of_calendar = |calendar: &Calendar| {
            let pattern = match &calendar.every {
                Every::Periods { pattern, .. } => size_of_val(pattern.as_slice()),
                _ => 0,
            };
            size_of_val(calendar) + calendar.name.len() + calendar.timezone.len() + pattern
        };
        let calendars: usize = self.calendars.iter().map(of_calendar).sum();
        let volumes: usize = self.volumes.iter().map(|volume| size_of_val(volume) + volume.name.len()).sum();
        let names = [&self.order_kinds, &self.order_tags, &self.markets, &self.member_tags];
        calendars + volumes + names.map(|names| of_names(names)).into_iter().sum::<usize>()
    }
}

impl Held for Known {
    fn bytes(&self) -> usize {
        // The plan in force is the last of the versions.
        let Self { plan: _, kinds, version: _, versions } = self;
        let of_version = |version: &PlanVersion| size_of_val(version) + version.plan.bytes();
        kinds.bytes() + versions.0.iter().map(of_version).sum::<usize>()
    }
}

freeze_fields!(Plans { now });

/// What judging a plan found.
pub(in crate::core) struct PlanChange {
    /// By position of its rule, the number of each trigger name that has one already.
    kinds: Vec<Option<u16>>,
}

impl Plans {
    /// Of a network that begins with `plan`. Its trigger names have no numbers yet.
    pub fn new(plan: Plan) -> Self {
        let plan = Arc::new(plan);
        let versions = PlanVersions::new(Arc::clone(&plan));
        Self { now: Scalar::new(Known { plan, kinds: Vec::new(), version: 1, versions }) }
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.now.plan
    }

    pub fn version(&self) -> u32 {
        self.now.version
    }

    pub fn versions(&self) -> &PlanVersions {
        &self.now.versions
    }

    /// The number of the trigger name of a rule, by its position.
    pub fn kind(&self, rule: usize) -> u16 {
        self.now.kinds[rule]
    }

    /// Takes the numbers of trigger names from those of a ledger. `None` if one has none.
    pub fn number_kinds(&mut self, ledger: &Ledger) -> Option<()> {
        let numbers = self.now.plan.bonuses.iter().map(|rule| ledger.kinds().number(&rule.trigger));
        let kinds = numbers.collect::<Option<_>>()?;
        self.now.kinds = kinds;
        Some(())
    }

    /// Sets what is known, for a restore. The last version is in force.
    pub fn set_versions(&mut self, versions: PlanVersions) {
        if let Some(last) = versions.list().last() {
            self.now.version = last.version;
        }
        self.now.versions = versions;
    }

    /// Judges a plan for a network with or without members, with or without orders, periods and attributes,
    /// and with or without an opening state.
    pub fn judge(
        &self,
        plan: &Plan,
        [has_members, has_commerce, has_opening]: [bool; 3],
        ledger: &Ledger,
        kinds_max: usize,
    ) -> Result<PlanChange, Rejection> {
        let present = &*self.now.plan;
        if plan == present {
            return Err(Rejection::PlanUnchanged);
        }
        if has_members && plan.placement != present.placement {
            return Err(Rejection::PlanPlacementFixed);
        }
        // Amounts of orders and of the opening state are in the currency too.
        let of_orders = has_commerce && present.commerce.takes_orders();
        let has_amounts = ledger.entries().len() != 0 || of_orders || has_opening;
        if has_amounts && plan.currency != present.currency {
            return Err(Rejection::PlanCurrencyFixed);
        }
        let same_rule = matches!(
            (&plan.ranks, &present.ranks),
            (RankRule::Thresholds { .. }, RankRule::Thresholds { .. })
                | (RankRule::LevelFill { .. }, RankRule::LevelFill { .. })
        );
        if has_members && (!same_rule || plan.ranks.steps().len() < present.ranks.steps().len()) {
            return Err(Rejection::PlanRanksRemoved);
        }
        if has_commerce && plan.commerce.continues(&present.commerce).is_err() {
            return Err(Rejection::PlanNamesRemoved);
        }
        let number = |rule: &BonusRule| ledger.kinds().number(&rule.trigger);
        let kinds: Vec<Option<u16>> = plan.bonuses.iter().map(number).collect();
        let new = kinds.iter().filter(|kind| kind.is_none()).count();
        if !ledger.kinds().has_room(new, kinds_max) {
            return Err(Rejection::PlanKindsFull);
        }
        Ok(PlanChange { kinds })
    }

    /// Activates a plan by the command `lsn`: its trigger names get numbers. Returns the plan before.
    pub fn activate(
        &mut self,
        plan: Arc<Plan>,
        change: &PlanChange,
        ledger: &mut Ledger,
        (lsn, time): (u64, Timestamp),
    ) -> Arc<Plan> {
        let numbered = plan.bonuses.iter().zip(&change.kinds);
        let number = |(rule, known): (&BonusRule, &Option<u16>)| {
            known.unwrap_or_else(|| ledger.add_kind(&rule.trigger))
        };
        let kinds = numbered.map(number).collect();
        let now = &mut *self.now;
        now.kinds = kinds;
        now.version += 1;
        let version = now.version;
        now.versions.push(PlanVersion { version, lsn, time, is_exact: true, plan: Arc::clone(&plan) });
        std::mem::replace(&mut now.plan, plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: u32, lsn: u64) -> PlanVersion {
        let plan = Arc::new(crate::plan_file::default_plan());
        PlanVersion { version, lsn, time: Timestamp(lsn.cast_signed()), is_exact: true, plan }
    }

    #[test]
    fn the_version_of_an_lsn_is_the_last_one_activated_by_then() {
        let mut versions = PlanVersions::new(Arc::new(crate::plan_file::default_plan()));
        versions.push(version(2, 5));
        versions.push(version(3, 9));
        let found: Vec<u32> = [0, 4, 5, 8, 9, 100].map(|lsn| versions.at(lsn).unwrap().version).to_vec();
        assert_eq!(found, [1, 1, 2, 2, 3, 3]);
        let one = PlanVersions::of_one(7, crate::plan_file::default_plan(), 20, Timestamp(3));
        assert_eq!((one.at(19), one.at(20).map(|version| version.is_exact)), (None, Some(false)));
    }

    #[test]
    fn the_oldest_versions_are_dropped() {
        let mut versions = PlanVersions::new(Arc::new(crate::plan_file::default_plan()));
        let all = PLAN_VERSIONS_MAX as u64 + 10;
        (2..=all).for_each(|at| versions.push(version(u32::try_from(at).unwrap(), at)));
        assert_eq!((versions.list().len(), versions.list()[0].version), (PLAN_VERSIONS_MAX, 11));
        assert_eq!((versions.at(10), versions.at(11).map(|found| found.version)), (None, Some(11)));
        assert_eq!(PlanVersions::of_list(versions.list().to_vec(), all).as_ref(), Ok(&versions));
    }

    #[test]
    fn impossible_lists_are_refused() {
        let first = || version(1, 0);
        let inexact = |number, lsn| PlanVersion { is_exact: false, ..version(number, lsn) };
        // versions, whether they can be those of a state at LSN 10
        let table = [
            (vec![first()], true),
            (vec![first(), version(2, 10)], true),
            (vec![inexact(4, 8), version(5, 9)], true),
            (vec![version(4, 8)], true),
            (vec![], false),
            (vec![first(), version(3, 4)], false),
            (vec![first(), version(2, 11)], false),
            (vec![first(), version(2, 0)], false),
            (vec![version(1, 3)], false),
            (vec![version(0, 3)], false),
            (vec![first(), inexact(2, 4)], false),
            (vec![version(2, 4), version(3, 4)], false),
        ];
        for (versions, good) in table {
            assert_eq!(PlanVersions::of_list(versions.clone(), 10).is_ok(), good, "{versions:?}");
        }
    }
}
