//! Who is paid what, and the ledger.

use upline::core::{
    command::{
        ChangeEntry, EntryChange, ImportEntry, Outcome, PayFilter, Rejection, TriggerBonus, WideMoney,
    },
    plan::{BonusRule, LevelPay},
    types::{EntryStatus, Money, Reference, Role, Status},
};

use super::super::picture::EntryPicture;
use super::{ADMIN_LEVELS_MAX, Naive, Payment, index, kind_is_trigger};

impl Naive {
    /// Returns the payments of `rule` by level, including those to members who may not earn.
    pub(super) fn payments(
        &self,
        rule: &BonusRule,
        source: usize,
        amount: Option<Money>,
        kind: &str,
    ) -> Vec<Payment> {
        let levels = rule.pay.levels();
        let mut payments = Vec::new();
        for (above, receiver) in self.upline(rule.tree, source).enumerate() {
            let level = above + 1;
            let beyond =
                rule.admins_beyond && level <= ADMIN_LEVELS_MAX && self.members[receiver].role == Role::Admin;
            if levels < level && !beyond {
                continue;
            }
            let amount = rule.pay.at(level.min(levels), amount).expect("amounts were checked");
            if amount != Money(0) {
                payments.push(Payment { receiver, level: level as u32, amount, kind: kind.to_owned() });
            }
        }
        payments
    }

    /// Books payments; returns the number of entries made and of payments withheld from members who may not
    /// earn.
    pub(super) fn pay(
        &mut self,
        source: usize,
        payments: Vec<Payment>,
        reference: Option<&Reference>,
    ) -> (u32, u32) {
        let (mut paid, mut withheld) = (0, 0);
        for payment in payments {
            if self.members[payment.receiver].status == Status::Active {
                self.entries.push(EntryPicture {
                    lsn: self.lsn,
                    time: self.time,
                    receiver: index(payment.receiver),
                    source: index(source),
                    level: payment.level,
                    amount: payment.amount,
                    kind: payment.kind,
                    status: EntryStatus::Pending,
                    plan_version: self.plan_version,
                    reference: reference.cloned(),
                    reverses: None,
                });
                paid += 1;
            } else {
                self.breakage.0 += 1;
                self.breakage.1 += payment.amount.0;
                withheld += 1;
                let is_terminated = self.members[payment.receiver].status == Status::Terminated;
                self.itemize(if is_terminated { "terminated" } else { "inactive" }, payment.amount);
            }
        }
        (paid, withheld)
    }

    fn itemize(&mut self, reason: &'static str, amount: Money) {
        if self.itemized_from.is_some() && amount != Money(0) {
            let sum = self.breakage_by_reason.entry(reason).or_default();
            sum.0 += 1;
            sum.1 += i128::from(amount.0);
        }
    }

    /// Itemizes what a rule pays to levels on which nobody is, and to admins that are too far up.
    pub(super) fn itemize_unreached(&mut self, rule: &BonusRule, source: usize, amount: Option<Money>) {
        let levels = rule.pay.levels();
        let upline: Vec<usize> = self.upline(rule.tree, source).collect();
        let at = |level: usize| rule.pay.at(level, amount).expect("amounts were checked");
        for level in upline.len() + 1..=levels {
            self.itemize("short_upline", at(level));
        }
        for ancestor in upline.into_iter().skip(ADMIN_LEVELS_MAX) {
            if rule.admins_beyond && self.members[ancestor].role == Role::Admin {
                self.itemize("level_cap", at(levels));
            }
        }
    }

    pub(super) fn trigger_bonus(&mut self, trigger: &TriggerBonus) -> Result<Outcome, Rejection> {
        let source = self.find(&trigger.source)?;
        let rule = self.plan.bonus(&trigger.trigger).ok_or(Rejection::TriggerUnknown)?.clone();
        if matches!(rule.pay, LevelPay::Share(_)) && trigger.amount.is_none() {
            return Err(Rejection::AmountMissing);
        }
        let good = |amount: Money| 0 <= amount.0 && amount.in_range();
        // A level's amount is checked whether or not a member is there.
        let mut shares = (1..=rule.pay.levels()).filter_map(|level| rule.pay.at(level, trigger.amount));
        if trigger.amount.is_some_and(|amount| !good(amount)) || !shares.all(good) {
            return Err(Rejection::AmountOutOfRange);
        }
        let mark = (source, trigger.trigger.to_string());
        if trigger.once && self.once.contains(&mark) {
            return Err(Rejection::TriggeredBefore);
        }
        let payments = self.payments(&rule, source, trigger.amount, &trigger.trigger);
        if trigger.once {
            self.once.insert(mark);
        }
        let first_entry = self.entries.len() as u64;
        self.itemize_unreached(&rule, source, trigger.amount);
        let (entries, withheld) = self.pay(source, payments, trigger.reference.as_ref());
        Ok(Outcome::BonusPaid { first_entry, entries, withheld })
    }

    pub(super) fn pay_entry(&mut self, entry: u64) -> Result<Outcome, Rejection> {
        let row = usize::try_from(entry)
            .ok()
            .and_then(|at| self.entries.get_mut(at))
            .ok_or(Rejection::EntryUnknown)?;
        if matches!(row.status, EntryStatus::Held | EntryStatus::Void) {
            return Err(Rejection::EntryChangeNotAllowed);
        }
        let changed = row.status == EntryStatus::Pending;
        row.status = EntryStatus::Paid;
        Ok(Outcome::EntryPaid { entry, changed })
    }

    pub(super) fn change_entry(&mut self, command: &ChangeEntry) -> Result<Outcome, Rejection> {
        let ChangeEntry { entry, change, reason: _ } = command;
        let at = usize::try_from(*entry).ok().filter(|at| *at < self.entries.len());
        let at = at.ok_or(Rejection::EntryUnknown)?;
        let is_reversed = self.entries.iter().any(|other| other.reverses == Some(*entry));
        let row = &mut self.entries[at];
        let (now, changed) = match (change, row.status) {
            (EntryChange::Hold, EntryStatus::Held)
            | (EntryChange::Release, EntryStatus::Pending)
            | (EntryChange::Void, EntryStatus::Void) => (row.status, false),
            (EntryChange::Hold, EntryStatus::Pending) => (EntryStatus::Held, true),
            (EntryChange::Release, EntryStatus::Held) => (EntryStatus::Pending, true),
            (EntryChange::Void, EntryStatus::Pending | EntryStatus::Held) => {
                if row.reverses.is_some() {
                    return Err(Rejection::EntryIsReversal);
                }
                if is_reversed {
                    return Err(Rejection::ReversedBefore);
                }
                (EntryStatus::Void, true)
            }
            _ => return Err(Rejection::EntryChangeNotAllowed),
        };
        row.status = now;
        Ok(Outcome::EntryChanged { entry: *entry, changed })
    }

    pub(super) fn pay_all(&mut self) -> Outcome {
        let mut entries = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.status == EntryStatus::Pending) {
            entry.status = EntryStatus::Paid;
            entries += 1;
        }
        Outcome::AllPaid { entries }
    }

    /// Returns a reversible entry.
    fn reversible(&self, entry: u64) -> Result<&EntryPicture, Rejection> {
        let found =
            usize::try_from(entry).ok().and_then(|at| self.entries.get(at)).ok_or(Rejection::EntryUnknown)?;
        if found.status == EntryStatus::Void {
            return Err(Rejection::EntryChangeNotAllowed);
        }
        if found.reverses.is_some() {
            return Err(Rejection::EntryIsReversal);
        }
        let is_reversed = self.entries.iter().any(|other| other.reverses == Some(entry));
        if is_reversed { Err(Rejection::ReversedBefore) } else { Ok(found) }
    }

    pub(super) fn reverse_entry(&mut self, entry: u64) -> Result<Outcome, Rejection> {
        let reversed = self.reversible(entry)?.clone();
        self.entries.push(EntryPicture {
            lsn: self.lsn,
            time: self.time,
            amount: Money(-reversed.amount.0),
            status: EntryStatus::Pending,
            plan_version: self.plan_version,
            reverses: Some(entry),
            ..reversed
        });
        Ok(Outcome::Reversed { entry, reversal: self.entries.len() as u64 - 1 })
    }

    pub(super) fn pay_matching(&mut self, filter: &PayFilter) -> Result<Outcome, Rejection> {
        let PayFilter { up_to_lsn, kind, receiver, from, until } = filter;
        let receiver = receiver.as_ref().map(|receiver| self.find(receiver)).transpose()?.map(index);
        if let Some(kind) = kind {
            let is_known =
                kind_is_trigger(kind).is_some_and(|trigger| !trigger || self.kinds.contains(&**kind));
            if !is_known {
                return Err(Rejection::TriggerUnknown);
            }
        }
        let is_meant = |entry: &EntryPicture| {
            entry.status == EntryStatus::Pending
                && up_to_lsn.is_none_or(|lsn| entry.lsn <= lsn)
                && kind.as_ref().is_none_or(|kind| **kind == *entry.kind)
                && receiver.is_none_or(|receiver| receiver == entry.receiver)
                && from.is_none_or(|from| from <= entry.time)
                && until.is_none_or(|until| entry.time < until)
        };
        let (mut entries, mut amount) = (0, 0);
        for entry in self.entries.iter_mut().filter(|entry| is_meant(entry)) {
            entry.status = EntryStatus::Paid;
            entries += 1;
            amount += i128::from(entry.amount.0);
        }
        Ok(Outcome::MatchingPaid { entries, amount: WideMoney::new(amount) })
    }

    pub(super) fn import_entry(&mut self, entry: &ImportEntry) -> Result<Outcome, Rejection> {
        let receiver = self.find(&entry.receiver)?;
        let source = self.find(&entry.source)?;
        if entry.row_id.is_some_and(|id| self.row_ids.contains(&id)) {
            return Err(Rejection::RowIdTaken);
        }
        let trigger = kind_is_trigger(&entry.kind).ok_or(Rejection::TriggerUnknown)?;
        let new = trigger && !self.kinds.contains(&*entry.kind);
        if new && self.kinds_max <= self.kinds.len() {
            return Err(Rejection::PlanKindsFull);
        }
        if !entry.amount.in_range() {
            return Err(Rejection::AmountOutOfRange);
        }
        if let Some(reverses) = entry.reverses {
            let reversed = self.reversible(reverses)?;
            let same = (index(receiver), index(source), entry.level, &*entry.kind, -entry.amount.0);
            if same
                != (
                    reversed.receiver,
                    reversed.source,
                    reversed.level,
                    reversed.kind.as_str(),
                    reversed.amount.0,
                )
            {
                return Err(Rejection::ReversalUnmatched);
            }
            if entry.status == EntryStatus::Void {
                return Err(Rejection::EntryChangeNotAllowed);
            }
        } else if entry.amount.0 < 0 {
            return Err(Rejection::ReversalUnmatched);
        }
        self.row_ids.extend(entry.row_id);
        if new {
            self.kinds.insert(entry.kind.to_string());
        }
        self.entries.push(EntryPicture {
            lsn: self.lsn,
            time: entry.time,
            receiver: index(receiver),
            source: index(source),
            level: entry.level,
            amount: entry.amount,
            kind: entry.kind.to_string(),
            status: entry.status,
            plan_version: self.plan_version,
            reference: entry.reference.clone(),
            reverses: entry.reverses,
        });
        Ok(Outcome::EntryImported { entry: self.entries.len() as u64 - 1 })
    }
}
