//! Who is paid what, and the ledger.

use upline::core::{
    command::{
        ChangeEntry, EntryChange, ImportEntry, Outcome, PayFilter, Rejection, TriggerBonus, WideMoney,
    },
    plan::{BonusRule, LevelPay},
    types::{EntryStatus, MemberId, Money, Reference, Role, Status},
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
                    released: None,
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
        let to = match change {
            EntryChange::Hold => EntryStatus::Held,
            EntryChange::Release => EntryStatus::Pending,
            EntryChange::Void => EntryStatus::Void,
        };
        let is_unpaid = |status| matches!(status, EntryStatus::Pending | EntryStatus::Held);
        let status = self.entries[at].status;
        if status != to && !is_unpaid(status) {
            return Err(Rejection::EntryChangeNotAllowed);
        }
        let other = self.other_half(at);
        let moved_too = other.filter(|other| self.in_pairs && is_unpaid(self.entries[*other].status));
        if status != to && to == EntryStatus::Void && other.is_some() && moved_too.is_none() {
            let is_reversal = self.entries[at].reverses.is_some();
            return Err(if is_reversal { Rejection::EntryIsReversal } else { Rejection::ReversedBefore });
        }
        let mut changed = false;
        for half in [Some(at), moved_too].into_iter().flatten() {
            let row = &mut self.entries[half];
            if row.status != to {
                row.status = to;
                changed = true;
                if self.in_pairs && to == EntryStatus::Pending {
                    row.released = Some(self.lsn);
                }
            }
        }
        Ok(Outcome::EntryChanged { entry: *entry, changed })
    }

    /// Returns the reversal of an entry, or what it reverses.
    fn other_half(&self, at: usize) -> Option<usize> {
        match self.entries[at].reverses {
            Some(reversed) => usize::try_from(reversed).ok(),
            None => self.entries.iter().position(|other| other.reverses == Some(at as u64)),
        }
    }

    pub(super) fn keep_once(&mut self, source: &MemberId, trigger: &str) -> Result<Outcome, Rejection> {
        let member = self.find(source)?;
        if kind_is_trigger(trigger) != Some(true) {
            return Err(Rejection::TriggerUnknown);
        }
        if !self.kinds.contains(trigger) && self.kinds_max <= self.kinds.len() {
            return Err(Rejection::PlanKindsFull);
        }
        self.kinds.insert(trigger.to_owned());
        let changed = self.once.insert((member, trigger.to_owned()));
        Ok(Outcome::OnceKept { member: index(member), changed })
    }

    pub(super) fn pay_all(&mut self) -> Outcome {
        let mut entries = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.status == EntryStatus::Pending) {
            entry.status = EntryStatus::Paid;
            entries += 1;
        }
        Outcome::AllPaid { entries }
    }

    /// Returns a reversible entry. Only an import of today may reverse a void one.
    fn reversible(&self, entry: u64, or_void: bool) -> Result<&EntryPicture, Rejection> {
        let found =
            usize::try_from(entry).ok().and_then(|at| self.entries.get(at)).ok_or(Rejection::EntryUnknown)?;
        if found.status == EntryStatus::Void && !or_void {
            return Err(Rejection::EntryChangeNotAllowed);
        }
        if found.reverses.is_some() {
            return Err(Rejection::EntryIsReversal);
        }
        let is_reversed = self.entries.iter().any(|other| other.reverses == Some(entry));
        if is_reversed { Err(Rejection::ReversedBefore) } else { Ok(found) }
    }

    pub(super) fn reverse_entry(&mut self, entry: u64) -> Result<Outcome, Rejection> {
        let reversed = self.reversible(entry, false)?.clone();
        let held = self.in_pairs && reversed.status == EntryStatus::Held;
        self.entries.push(EntryPicture {
            lsn: self.lsn,
            time: self.time,
            amount: Money(-reversed.amount.0),
            status: if held { EntryStatus::Held } else { EntryStatus::Pending },
            plan_version: self.plan_version,
            reverses: Some(entry),
            released: None,
            ..reversed
        });
        Ok(Outcome::Reversed { entry, reversal: self.entries.len() as u64 - 1, held })
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
        let in_pairs = self.in_pairs;
        let is_meant = |entry: &EntryPicture| {
            entry.status == EntryStatus::Pending
                && up_to_lsn.is_none_or(|lsn| entry.lsn <= lsn)
                && up_to_lsn.is_none_or(|lsn| !in_pairs || entry.released.is_none_or(|then| then <= lsn))
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
            let reversed = self.reversible(reverses, self.in_pairs)?;
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
            let is_possible = match (reversed.status, entry.status) {
                (EntryStatus::Void, EntryStatus::Void) => self.in_pairs,
                (EntryStatus::Void, _) | (_, EntryStatus::Void) => false,
                (EntryStatus::Pending, EntryStatus::Held) => !self.in_pairs,
                _ => true,
            };
            if !is_possible {
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
            released: None,
        });
        Ok(Outcome::EntryImported { entry: self.entries.len() as u64 - 1 })
    }
}
