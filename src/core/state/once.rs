//! Triggers that were paid with `once`: of the first names each member has a flag, the others are rows of the
//! ledger.

use crate::core::{
    ledger::once::ONCE_BITS,
    requests::command::{Outcome, Rejection},
    state::{
        bonus::{Kind, kind_from_name},
        parts::State,
        prepare::Aside,
        rules::{FormatRules, Rules, kinds},
    },
    words::{
        directory::Directory,
        types::{KINDS_MAX, MemberId, MemberIx},
    },
};

/// What judging a mark found.
pub(in crate::core) struct DueOnce {
    source: MemberIx,
    /// `None` for a trigger name that has no number yet.
    kind: Option<u16>,
}

impl Rules for kinds::KeepOnce {
    type Content<'a> = (&'a MemberId, &'a Box<str>);
    type Found = DueOnce;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        (source, trigger): Self::Content<'_>,
        format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.judge_keep_once(directory, source, trigger, format.kinds_max)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        (_source, trigger): Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.keep_once(trigger, &found)
    }
}

impl State {
    /// Whether this member's trigger of this name was paid with `once`. O(1).
    pub(in crate::core) fn paid_once(&self, source: MemberIx, kind: u16) -> bool {
        if kind < ONCE_BITS {
            self.network.members().paid_once(source, kind)
        } else {
            self.ledger.paid_once(source, kind)
        }
    }

    pub(in crate::core) fn set_paid_once(&mut self, source: MemberIx, kind: u16) {
        if kind < ONCE_BITS {
            self.network.set_paid_once(source, kind);
        } else {
            self.ledger.set_paid_once(source, kind);
        }
    }

    pub(in crate::core) fn judge_keep_once<D: Directory>(
        &self,
        directory: &D,
        source: &MemberId,
        trigger: &str,
        kinds_max: usize,
    ) -> Result<DueOnce, Rejection> {
        let source = self.find(directory, source).ok_or(Rejection::MemberUnknown)?;
        if !is_trigger_name(trigger) {
            return Err(Rejection::TriggerUnknown);
        }
        let kind = self.ledger.kinds().number(trigger);
        if !self.ledger.kinds().has_room(usize::from(kind.is_none()), kinds_max) {
            return Err(Rejection::PlanKindsFull);
        }
        // The number that a new name would get.
        let number = usize::from(ONCE_BITS).min(self.ledger.kinds().len());
        let has_flag = kind.map_or(number, usize::from) < usize::from(ONCE_BITS);
        let is_new = !kind.is_some_and(|kind| self.paid_once(source, kind));
        if is_new && !has_flag && !self.ledger.has_room_for_once() {
            return Err(Rejection::LedgerFull);
        }
        Ok(DueOnce { source, kind })
    }

    pub(in crate::core) fn keep_once(&mut self, trigger: &str, due: &DueOnce) -> Outcome {
        let source = due.source;
        let kind = due.kind.unwrap_or_else(|| self.ledger.add_kind(trigger));
        let changed = !self.paid_once(source, kind);
        if changed {
            self.set_paid_once(source, kind);
        }
        Outcome::OnceKept { member: source, changed }
    }

    /// Whether a member's trigger of this name was paid with `once`. O(1).
    pub fn was_paid_once(&self, source: MemberIx, trigger: &str) -> bool {
        self.ledger.kinds().number(trigger).is_some_and(|kind| self.paid_once(source, kind))
    }

    /// The triggers that were paid with `once`, each with its member: first those with a flag, by member.
    /// O(members + such triggers).
    pub fn all_paid_once(&self) -> impl Iterator<Item = (MemberIx, &str)> + '_ {
        let names = self.ledger.kinds().names();
        let flagged = u16::try_from(names.len()).map_or(ONCE_BITS, |kinds| kinds.min(ONCE_BITS));
        let of_flags = (0..self.len()).map(MemberIx).flat_map(move |member| {
            let paid = move |kind: &u16| self.network.members().paid_once(member, *kind);
            (0..flagged).filter(paid).map(move |kind| (member, &*names[usize::from(kind)]))
        });
        let of_rows = self.ledger.once().map(|row| (MemberIx(row.member), &*names[usize::from(row.kind)]));
        of_flags.chain(of_rows)
    }

    /// Whether this many new trigger names can still get a number.
    pub fn has_room_for_names(&self, new: usize) -> bool {
        self.ledger.kinds().has_room(new, KINDS_MAX)
    }
}

/// Whether a trigger can have this name.
pub fn is_trigger_name(name: &str) -> bool {
    matches!(kind_from_name(name), Some(Kind::Trigger))
}
