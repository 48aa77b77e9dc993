//! `apply`, the only function that changes a state.
//!
//! What is the same for all commands is here. The rules of each are a [`Rules`](super::rules::Rules), which
//! judges the command and then acts.

use crate::core::{
    requests::command::{Applied, Command, Outcome, Rejection, RequestKey, Stamped},
    state::{
        parts::State,
        prepare::{Aside, Preparation},
        view::KeptPages,
    },
    words::directory::Directory,
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
    /// between, or where that is a question of time: it is applied at a later time than the newest command.
    pub fn check<D: Directory>(&self, directory: &D, key: Option<RequestKey>, command: &Command) -> Verdict {
        match self.check_key(key) {
            Verdict::Admit => match self.judge(directory, command) {
                Err(reason) if !is_passing(command, reason) => Verdict::Reject(reason),
                _ => Verdict::Admit,
            },
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

    /// Keeps the outcome for the command's key, unless a rule refused it.
    fn act<D: Directory>(&mut self, directory: &mut D, stamped: &Stamped, aside: &mut Aside) -> Applied {
        let result = self.judge_and_act(directory, stamped, aside);
        let applied = Applied { outcome: result.unwrap_or_else(Outcome::Rejected), lsn: stamped.lsn };
        // A seal is refused while it acts: a count of what would leave is part of its work.
        let is_refused = matches!(applied.outcome, Outcome::Rejected(_));
        if let (Some(key), false) = (stamped.key, is_refused) {
            self.requests.remember(key, stamped.time, applied);
        }
        applied
    }
}

/// Whether a reason may have passed by the time at which the command is applied.
fn is_passing(command: &Command, reason: Rejection) -> bool {
    match (command, reason) {
        (Command::PlaceOrder(order), Rejection::BeforeOpening) => order.time.is_none(),
        (Command::ClosePeriod(_), Rejection::PeriodNotOver) => true,
        _ => false,
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
