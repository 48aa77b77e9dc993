//! `apply`, the only function that changes a state.
//!
//! It is a flat match with two functions per command. The first *judges* (reads only; a rejection changes
//! nothing but the LSN) and returns what it found: members, rules, entries, places. The second acts on that,
//! and looks up nothing again. Admission runs the same judgment before a command is logged (`check`), so each
//! rule is implemented once.

use crate::core::{
    requests::command::{Applied, CodeRules, Command, EntryRules, Outcome, Rejection, RequestKey, Stamped},
    state::{
        parts::State,
        prepare::{Aside, Preparation},
        view::KeptPages,
    },
    words::{directory::Directory, types::KINDS_MAX},
};

/// Result of [`State::check`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// No rule refuses it now.
    Admit,
    /// It breaks a rule now.
    Reject(Rejection),
    /// An earlier command with the same key did it.
    Repeat(Applied),
}

impl State {
    /// Applies the next command. Deterministic: the same state and command give the same outcome and state on
    /// every machine.
    ///
    /// # Panics
    /// When `stamped.lsn` is not the next one, or its time is before that of the last: a caller's bug.
    pub fn apply<D: Directory>(&mut self, directory: &mut D, stamped: &Stamped) -> Applied {
        self.advance(directory, stamped, &mut Aside::default())
    }

    /// As `apply`, with the same outcome and state, but uses the preparation if it fits the command. Drop the
    /// result after releasing the lock: it holds the replaced memory.
    ///
    /// # Panics
    /// As `apply`.
    pub fn apply_prepared<D: Directory>(
        &mut self,
        directory: &mut D,
        stamped: &Stamped,
        prepared: Option<Preparation>,
    ) -> (Applied, KeptPages) {
        let is_good =
            prepared.as_ref().is_some_and(|prepared| prepared.is_good_for(self, directory, &stamped.command));
        let mut work = prepared.map(Preparation::into_work);
        let mut aside = Aside { prepared: work.take_if(|_| is_good), ..Aside::default() };
        let applied = self.advance(directory, stamped, &mut aside);
        let Aside { prepared: unused, replaced: mut pages } = aside;
        pages.extend(work.into_iter().chain(unused));
        (applied, KeptPages { pages })
    }

    fn advance<D: Directory>(&mut self, directory: &mut D, stamped: &Stamped, aside: &mut Aside) -> Applied {
        assert_eq!(stamped.lsn, self.scalars.lsn + 1, "commands are applied in order, each once");
        assert!(self.scalars.time <= stamped.time, "log time never goes backwards");
        self.step(stamped);
        self.requests.expire(stamped.time);
        let applied = match self.check_key(stamped.key) {
            Verdict::Repeat(earlier) => earlier,
            Verdict::Reject(rejection) => Applied { outcome: Outcome::Rejected(rejection), lsn: stamped.lsn },
            Verdict::Admit => self.act(directory, stamped, aside),
        };
        self.note(&applied, stamped.lsn);
        applied
    }

    /// Advances LSN and clocks to a command.
    fn step(&mut self, stamped: &Stamped) {
        // The first command has no previous time to step from.
        let bounded = stamped.is_of_format_3() && self.scalars.lsn != 0;
        self.requests.step(self.scalars.time, stamped.time, bounded);
        self.scalars.lsn = stamped.lsn;
        self.scalars.time = stamped.time;
        if stamped.is_of_format_4() {
            self.ledger.itemize_from(stamped.lsn);
        }
    }

    /// Folds the outcome of the command `lsn` into the rolling hash, and adds it to the list if it changed
    /// nothing.
    fn note(&mut self, applied: &Applied, lsn: u64) {
        self.scalars.outcome_hash = roll(self.scalars.outcome_hash, applied);
        self.requests.note(applied, lsn);
    }

    /// Applies the next command, or changes nothing at all, not even the LSN, if it breaks a rule: like
    /// `check` then `apply`, but judged once. For networks that are built before anything is logged; such
    /// commands have no idempotency keys.
    ///
    /// # Errors
    /// The rejection.
    ///
    /// # Panics
    /// As `apply`; for a command with a key.
    pub fn apply_unless_rejected<D: Directory>(
        &mut self,
        directory: &mut D,
        stamped: &Stamped,
    ) -> Result<Applied, Rejection> {
        assert!(stamped.key.is_none(), "a repeated command is neither applied nor rejected");
        let before = (self.scalars.lsn, self.scalars.time);
        let (lag, unpaid) = (self.requests.lag(), *self.ledger.unpaid());
        assert_eq!(stamped.lsn, before.0 + 1, "commands are applied in order, each once");
        assert!(before.1 <= stamped.time, "log time never goes backwards");
        self.step(stamped);
        let applied = self.act(directory, stamped, &mut Aside::default());
        if let Outcome::Rejected(rejection) = applied.outcome {
            // A rejected command was judged before anything was changed.
            (self.scalars.lsn, self.scalars.time) = before;
            self.requests.set_lag(lag);
            self.ledger.set_unpaid(unpaid);
            return Err(rejection);
        }
        self.requests.expire(stamped.time);
        self.note(&applied, stamped.lsn);
        Ok(applied)
    }

    /// What `apply` would return now, without side effects: a rejection, the result of an earlier command
    /// with the same key, or admission. A command may still be rejected when it is applied, if another came
    /// between.
    pub fn check<D: Directory>(&self, directory: &D, key: Option<RequestKey>, command: &Command) -> Verdict {
        match self.check_key(key) {
            Verdict::Admit => {
                self.judge(directory, command).map_or_else(Verdict::Reject, |()| Verdict::Admit)
            }
            decided => decided,
        }
    }

    /// The answer to a request with this key, independent of its content: its first result, or that the key
    /// was used for another request. `None` without a key, or if it is not kept. O(1).
    pub fn known(&self, key: Option<RequestKey>) -> Option<Applied> {
        match self.check_key(key) {
            Verdict::Repeat(applied) => Some(applied),
            Verdict::Reject(reason) => Some(Applied { outcome: Outcome::Rejected(reason), lsn: self.lsn() }),
            Verdict::Admit => None,
        }
    }

    fn check_key(&self, key: Option<RequestKey>) -> Verdict {
        let Some((key, row)) =
            key.and_then(|key| Some((key, self.requests.get(&key.key, self.scalars.time)?)))
        else {
            return Verdict::Admit;
        };
        if row.fingerprint == key.fingerprint {
            Verdict::Repeat(row.applied())
        } else {
            Verdict::Reject(Rejection::KeyReused)
        }
    }

    /// Judges as admission does, under the rules of today.
    fn judge<D: Directory>(&self, directory: &D, command: &Command) -> Result<(), Rejection> {
        match command {
            Command::Register(register) => {
                self.judge_register(directory, register, CodeRules::Alike).map(drop)
            }
            Command::TriggerBonus(trigger) => self.judge_trigger(directory, trigger).map(drop),
            Command::PayEntry { entry } => self.ledger.judge_pay(*entry).map(drop),
            Command::PayAll => Ok(()),
            Command::SetStatus { member, status } => self.judge_status(directory, member, *status).map(drop),
            Command::SetRole { member, role } => self.judge_role(directory, member, *role).map(drop),
            Command::PutPlan(plan) => self.judge_plan(plan, KINDS_MAX).map(drop),
            Command::ImportEntry(entry) => self.judge_import_entry(directory, entry),
            Command::ReverseEntry { entry } => self.ledger.judge_reverse(*entry).map(drop),
            Command::PayMatching(filter) => self.payout(directory, filter, EntryRules::InPairs).map(drop),
            Command::ChangeEntry(change) => self.ledger.judge_change(change, EntryRules::InPairs).map(drop),
            Command::KeepOnce { source, trigger } => {
                self.judge_keep_once(directory, source, trigger, KINDS_MAX).map(drop)
            }
        }
    }

    /// Judges a command under the rules of its format, then acts on what was found.
    fn judge_and_act<D: Directory>(
        &mut self,
        directory: &mut D,
        stamped: &Stamped,
        aside: &mut Aside,
    ) -> Result<Outcome, Rejection> {
        Ok(match &stamped.command {
            Command::Register(register) => {
                let found = self.judge_register(directory, register, stamped.code_rules())?;
                self.register(directory, register, &found)
            }
            Command::TriggerBonus(trigger) => {
                let found = self.judge_trigger(directory, trigger)?;
                self.trigger_bonus(trigger, &found)
            }
            Command::PayEntry { entry } => {
                let found = self.ledger.judge_pay(*entry)?;
                self.pay_entry(&found)
            }
            Command::PayAll => Outcome::AllPaid { entries: self.ledger.pay_pending().entries },
            Command::SetStatus { member, status } => {
                let found = self.judge_status(directory, member, *status)?;
                self.set_status(*status, found)
            }
            Command::SetRole { member, role } => {
                let found = self.judge_role(directory, member, *role)?;
                self.set_role(*role, found, aside)
            }
            Command::PutPlan(plan) => {
                let found = self.judge_plan(plan, stamped.kinds_max())?;
                self.put_plan(plan, &found, aside)
            }
            Command::ImportEntry(entry) => {
                let (kinds_max, rules) = (stamped.kinds_max(), stamped.entry_rules());
                let found = self.judge_import(directory, entry, kinds_max, rules)?;
                self.import_entry(entry, &found)
            }
            Command::ReverseEntry { entry } => {
                let found = self.ledger.judge_reverse(*entry)?;
                self.reverse_entry(&found, stamped.entry_rules())
            }
            Command::PayMatching(filter) => {
                let found = self.payout(directory, filter, stamped.entry_rules())?;
                self.pay_matching(filter, &found)
            }
            Command::ChangeEntry(change) => {
                let found = self.ledger.judge_change(change, stamped.entry_rules())?;
                self.change_entry(&found, stamped.entry_rules())
            }
            Command::KeepOnce { source, trigger } => {
                let found = self.judge_keep_once(directory, source, trigger, stamped.kinds_max())?;
                self.keep_once(trigger, &found)
            }
        })
    }

    /// Keeps the outcome for the command's key, unless a rule refused it.
    fn act<D: Directory>(&mut self, directory: &mut D, stamped: &Stamped, aside: &mut Aside) -> Applied {
        let result = self.judge_and_act(directory, stamped, aside);
        let applied = Applied { outcome: result.unwrap_or_else(Outcome::Rejected), lsn: stamped.lsn };
        if let (Some(key), Ok(_)) = (stamped.key, result) {
            self.requests.remember(key, stamped.time, applied);
        }
        applied
    }
}

/// Folds one outcome into the rolling hash stored in the log.
fn roll(hash: u64, applied: &Applied) -> u64 {
    let [kind, first, second] = applied.outcome.words();
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(8).zip([kind, first, second, applied.lsn]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, hash)
}
