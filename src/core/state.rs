//! The state of one network, and `apply`, the only thing that changes it.
//!
//! `apply` is a flat match with one function per command. Each first *judges* (reads only; a rejection
//! changes nothing but the LSN) and then acts, and the judging is also what admission asks before a command
//! is logged (`check`), so there is one home for each rule. Queries are in `query.rs`, the way to and from
//! plain rows in `restore.rs`.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    codes::{CodeKey, Codes},
    column::{Freeze, Kept, Scalar, freeze_fields},
    command::{Applied, CodeRules, Command, Outcome, Rejection, RequestKey, Stamped},
    genealogy::{Genealogy, Watch},
    image::{KeyRow, UnchangedRow},
    keys::{Clock, Keys},
    ledger::Ledger,
    members::{Members, ONCE_KINDS},
    placement::SlotFinder,
    plan::Plan,
    prepare::{Beside, Preparation},
    rank,
    references::References,
    reversals::Reversals,
    row_ids::CarriedIds,
    types::{MemberId, MemberIx, Money, Timestamp, Tree},
    unchanged::{Unchanged, UnchangedList},
};

/// Where the state looks members up by what the outside calls them. Get and insert only: no iteration order
/// can leak into results.
pub trait Directory {
    /// The member of this id for whom `is` says that it is meant. Several may be asked about: a directory
    /// need not keep ids, since the state does.
    fn member(&self, id: &MemberId, is: impl Fn(MemberIx) -> bool) -> Option<MemberIx>;
    /// Adds a member whose id nobody has. `id_of` tells the id of any member added, this one included.
    fn add_member(&mut self, id: &MemberId, member: MemberIx, id_of: impl Fn(MemberIx) -> MemberId);
    /// Adds a member unless an earlier one has its id; whether it was added.
    fn add_new_member(
        &mut self,
        id: &MemberId,
        member: MemberIx,
        id_of: impl Fn(MemberIx) -> MemberId,
    ) -> bool {
        let is_new = self.member(id, |other| other < member && id_of(other) == *id).is_none();
        if is_new {
            self.add_member(id, member, id_of);
        }
        is_new
    }
    /// Members that may have these ids, without making sure: what `State::look_ahead` reads for. A directory
    /// that cannot guess cheaply does not.
    fn guess<'a>(&self, _ids: impl Iterator<Item = &'a MemberId>, _guesses: &mut Vec<MemberIx>) {}
    /// `folded` is `Code::folded`.
    fn code(&self, folded: &str) -> Option<MemberIx>;
    fn add_code(&mut self, folded: &str, member: MemberIx);
    /// Calls `each` with all members whose code was added, is `alike` in the sense of `Code::alike`, and is
    /// not written so itself; maybe with others too.
    fn codes_alike(&self, alike: &str, each: &mut dyn FnMut(MemberIx));
}

/// A network at one LSN.
pub struct State {
    pub(super) scalars: Scalar<Scalars>,
    pub(super) members: Members,
    /// Also the sponsor tree where the plan makes both the same.
    pub(super) placement: Genealogy,
    pub(super) sponsors: Genealogy,
    pub(super) slots: SlotFinder,
    pub(super) codes: Codes,
    pub(super) ledger: Ledger,
    pub(super) keys: Keys,
    pub(super) unchanged: UnchangedList,
    pub(super) row_ids: CarriedIds,
    pub(super) references: References,
    pub(super) reversals: Reversals,
    pub(super) admins: Scalar<Admins>,
    pub(super) view: View,
    pub(super) beside: Beside,
}

freeze_fields!(State {
    scalars,
    members,
    placement,
    sponsors,
    slots,
    codes,
    ledger,
    keys,
    unchanged,
    row_ids,
    references,
    reversals,
    admins,
    view,
    beside
});

/// What became of the frozen view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum View {
    None,
    Frozen,
    /// A plan change rebuilt columns under it.
    Lost,
}

impl Freeze for View {
    fn freeze(&mut self) {
        *self = View::Frozen;
    }
    fn thaw(&mut self, _kept: &mut Kept) {
        *self = View::None;
    }
    fn release(&mut self, _kept: &mut Kept) {}
    fn copy_step(&self, _copy: &mut Self) -> bool {
        true
    }
}

/// Head-counts beyond `LEVELS_MAX` of each admin: by tree, then level.
pub(super) type Admins = BTreeMap<MemberIx, [Vec<u32>; 2]>;

/// What is one value for the network.
#[derive(Clone)]
pub(super) struct Scalars {
    pub lsn: u64,
    pub time: Timestamp,
    /// Microseconds of log time that did not count toward the expiry of keys (`keys.rs`).
    pub key_lag: i64,
    pub outcome_hash: u64,
    pub code_key: CodeKey,
    pub plan: Arc<Plan>,
    pub plan_version: u32,
    /// Trigger names ever in a plan or imported, in order of first appearance.
    pub kinds: Vec<Box<str>>,
    pub breakage_levels: u64,
    pub breakage_amount: i64,
    pub depth: u32,
    /// Members by paid-as rank.
    pub rank_distribution: Vec<u64>,
    /// Counts at which ranks are looked at again, by tree.
    pub watches: [Arc<Watch>; 2],
}

/// Answer of [`State::check`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing speaks against it now.
    Admit,
    /// It breaks a rule now.
    Reject(Rejection),
    /// An earlier command with the same key did it.
    Repeat(Applied),
}

impl State {
    /// An empty network at LSN 0, which no command has touched. `code_key` says how referral codes are
    /// generated.
    ///
    /// # Panics
    /// When the plan is not valid (`Plan::validate`).
    pub fn new(plan: Plan, code_key: impl Into<CodeKey>) -> Self {
        assert_eq!(plan.validate(), Ok(()), "plans are validated where they come from");
        let mut state = Self {
            placement: Genealogy::new(true),
            sponsors: Genealogy::new(plan.count_sponsor_tree),
            slots: SlotFinder::new(&plan.placement),
            ..Self::empty(plan, code_key.into())
        };
        state.scalars.kinds = state.scalars.plan.bonuses.iter().map(|rule| rule.trigger.clone()).collect();
        state
    }

    /// Nothing at all: what a frozen copy starts from.
    pub(super) fn empty(plan: Plan, code_key: CodeKey) -> Self {
        let watches = watches(&plan);
        Self {
            slots: SlotFinder::new(&plan.placement),
            scalars: Scalar::new(Scalars {
                lsn: 0,
                time: Timestamp(0),
                key_lag: 0,
                outcome_hash: 0,
                code_key,
                plan: Arc::new(plan),
                plan_version: 1,
                kinds: Vec::new(),
                breakage_levels: 0,
                breakage_amount: 0,
                depth: 0,
                rank_distribution: Vec::new(),
                watches,
            }),
            members: Members::new(),
            placement: Genealogy::empty_copy(),
            sponsors: Genealogy::empty_copy(),
            codes: Codes::new(),
            ledger: Ledger::new(),
            keys: Keys::new(),
            unchanged: UnchangedList::new(),
            row_ids: CarriedIds::new(),
            references: References::new(),
            reversals: Reversals::new(),
            admins: Scalar::new(Admins::new()),
            view: View::None,
            beside: Beside::default(),
        }
    }

    /// Applies the next command. Deterministic: the same state and command give the same outcome and state on
    /// every machine.
    ///
    /// # Panics
    /// When `stamped.lsn` is not the next one, or its time lies before that of the last: a bug of the caller.
    pub fn apply<D: Directory>(&mut self, directory: &mut D, stamped: &Stamped) -> Applied {
        let applied = self.advance(directory, stamped);
        self.beside.replaced.clear();
        applied
    }

    /// As `apply`, with the same outcome and state: what was prepared for the command is used if it is good
    /// for it. What comes back is to be dropped after the lock is released: it is the memory of what was
    /// replaced.
    ///
    /// # Panics
    /// As `apply`.
    pub fn apply_prepared<D: Directory>(
        &mut self,
        directory: &mut D,
        stamped: &Stamped,
        prepared: Option<Preparation>,
    ) -> (Applied, KeptPages) {
        self.beside.prepared = prepared;
        let applied = self.advance(directory, stamped);
        let unused = self.beside.prepared.take();
        let mut pages = std::mem::take(&mut self.beside.replaced);
        if let Some(unused) = unused {
            pages.push(Box::new(unused));
        }
        (applied, KeptPages { pages })
    }

    fn advance<D: Directory>(&mut self, directory: &mut D, stamped: &Stamped) -> Applied {
        assert_eq!(stamped.lsn, self.scalars.lsn + 1, "commands are applied in order, each once");
        assert!(self.scalars.time <= stamped.time, "log time never goes backwards");
        self.step(stamped);
        self.keys.expire(self.key_clock().now());
        let applied = match self.check_key(stamped.key) {
            Verdict::Repeat(earlier) => earlier,
            Verdict::Reject(rejection) => Applied { outcome: Outcome::Rejected(rejection), lsn: stamped.lsn },
            Verdict::Admit => self.act(directory, stamped),
        };
        self.note(&applied, stamped.lsn);
        applied
    }

    /// Moves LSN and clocks on to a command.
    fn step(&mut self, stamped: &Stamped) {
        // There is nothing before the first command that it could be a step from.
        let bounded = stamped.is_of_format_3() && self.scalars.lsn != 0;
        self.scalars.key_lag = self.key_clock().step(stamped.time, bounded).lag;
        self.scalars.lsn = stamped.lsn;
        self.scalars.time = stamped.time;
    }

    /// The clock by which keys expire.
    pub(super) fn key_clock(&self) -> Clock {
        Clock { time: self.scalars.time, lag: self.scalars.key_lag }
    }

    /// Takes the outcome of the command `lsn` into the rolling hash, and into the list of those that changed
    /// nothing.
    fn note(&mut self, applied: &Applied, lsn: u64) {
        self.scalars.outcome_hash = roll(self.scalars.outcome_hash, applied);
        if let Some(reason) = Unchanged::of(lsn, applied) {
            self.unchanged.push(UnchangedRow { lsn, reason: reason.code() });
        }
    }

    /// Applies the next command, or changes nothing at all, not even the LSN, if it breaks a rule: as `check`
    /// and then `apply`, but judged once. For networks that are made before anything is logged; such commands
    /// have no idempotency keys.
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
        let before = (self.scalars.lsn, self.scalars.time, self.scalars.key_lag);
        assert_eq!(stamped.lsn, before.0 + 1, "commands are applied in order, each once");
        assert!(before.1 <= stamped.time, "log time never goes backwards");
        self.step(stamped);
        let applied = self.act(directory, stamped);
        self.beside.replaced.clear();
        if let Outcome::Rejected(rejection) = applied.outcome {
            // Whoever is refused was judged before anything was done.
            (self.scalars.lsn, self.scalars.time, self.scalars.key_lag) = before;
            return Err(rejection);
        }
        self.keys.expire(self.key_clock().now());
        self.note(&applied, stamped.lsn);
        Ok(applied)
    }

    /// What `apply` would answer now without doing anything: a rejection, the result of an earlier command
    /// with the same key, or nothing that speaks against it. A command may still be rejected when it is
    /// applied, if another came between.
    pub fn check<D: Directory>(&self, directory: &D, key: Option<RequestKey>, command: &Command) -> Verdict {
        match self.check_key(key) {
            Verdict::Admit => {
                self.judge(directory, command).map_or_else(Verdict::Reject, |()| Verdict::Admit)
            }
            decided => decided,
        }
    }

    /// What is answered to a request with this key before it is looked at what it asks for: what it came to
    /// the first time, or that the key was used for another request. `None` for a key that is not kept, or
    /// none. O(1).
    pub fn known(&self, key: Option<RequestKey>) -> Option<Applied> {
        match self.check_key(key) {
            Verdict::Repeat(applied) => Some(applied),
            Verdict::Reject(reason) => Some(Applied { outcome: Outcome::Rejected(reason), lsn: self.lsn() }),
            Verdict::Admit => None,
        }
    }

    fn check_key(&self, key: Option<RequestKey>) -> Verdict {
        let Some((key, row)) =
            key.and_then(|key| Some((key, self.keys.get(&key.key, self.key_clock().now())?)))
        else {
            return Verdict::Admit;
        };
        if row.key.fingerprint == key.fingerprint {
            Verdict::Repeat(row.applied)
        } else {
            Verdict::Reject(Rejection::KeyReused)
        }
    }

    fn judge<D: Directory>(&self, directory: &D, command: &Command) -> Result<(), Rejection> {
        match command {
            Command::Register(register) => {
                self.judge_register(directory, register, CodeRules::Alike).map(|_| ())
            }
            Command::TriggerBonus(trigger) => self.judge_trigger(directory, trigger).map(|_| ()),
            Command::PayEntry { entry } => self.judge_pay(*entry),
            Command::PayAll => Ok(()),
            Command::SetStatus { member, status } => {
                self.judge_status(directory, member, *status).map(|_| ())
            }
            Command::SetRole { member, role } => self.judge_role(directory, member, *role).map(|_| ()),
            Command::PutPlan(plan) => self.judge_plan(plan),
            Command::ImportEntry(entry) => self.judge_import_entry(directory, entry).map(|_| ()),
            Command::ReverseEntry { entry } => self.judge_reverse(*entry),
            Command::PayMatching(filter) => self.payout(directory, filter).map(|_| ()),
        }
    }

    fn act<D: Directory>(&mut self, directory: &mut D, stamped: &Stamped) -> Applied {
        let result = match &stamped.command {
            Command::Register(register) => self.register(directory, register, stamped.code_rules()),
            Command::TriggerBonus(trigger) => self.trigger_bonus(directory, trigger),
            Command::PayEntry { entry } => self.pay_entry(*entry),
            Command::PayAll => Ok(Outcome::AllPaid { entries: self.ledger.pay_all() }),
            Command::SetStatus { member, status } => self.set_status(directory, member, *status),
            Command::SetRole { member, role } => self.set_role(directory, member, *role),
            Command::PutPlan(plan) => self.put_plan(plan),
            Command::ImportEntry(entry) => self.import_entry(directory, entry),
            Command::ReverseEntry { entry } => self.reverse_entry(*entry),
            Command::PayMatching(filter) => self.pay_matching(directory, filter),
        };
        let applied = Applied { outcome: result.unwrap_or_else(Outcome::Rejected), lsn: stamped.lsn };
        if let (Some(key), Ok(_)) = (stamped.key, result) {
            self.keys.push(KeyRow { key, time: self.key_clock().now(), applied });
        }
        applied
    }

    /// Under which name a tree is kept: the placement tree serves as both where the plan makes them the same.
    pub(super) fn kept_tree(&self, tree: Tree) -> Tree {
        if self.scalars.plan.placement.trees_coincide() { Tree::Placement } else { tree }
    }

    pub(super) fn tree(&self, tree: Tree) -> &Genealogy {
        match self.kept_tree(tree) {
            Tree::Sponsor => &self.sponsors,
            Tree::Placement => &self.placement,
        }
    }

    /// Trees that are kept apart and counted.
    pub(super) fn counted_trees(&self) -> impl Iterator<Item = Tree> + use<> {
        let sponsors = self.kept_tree(Tree::Sponsor) == Tree::Sponsor && self.sponsors.is_counted();
        [Tree::Placement].into_iter().chain(sponsors.then_some(Tree::Sponsor))
    }

    /// Adds to what was not paid because the receiver may not earn.
    pub(super) fn withhold(&mut self, amount: Money) {
        self.scalars.breakage_levels += 1;
        self.scalars.breakage_amount = self.scalars.breakage_amount.saturating_add(amount.0);
    }

    /// The number of a trigger name, if it has one.
    pub(super) fn kind_of(&self, name: &str) -> Option<usize> {
        self.scalars.kinds.iter().position(|kind| &**kind == name)
    }

    /// How many of `names` have no number yet and how many more may get one.
    pub(super) fn has_room_for_kinds<'a>(&self, names: impl Iterator<Item = &'a str>) -> bool {
        let new = names.filter(|name| self.kind_of(name).is_none()).count();
        self.scalars.kinds.len() + new <= ONCE_KINDS
    }

    /// The number of a trigger name, given now if it has none. Room was checked.
    pub(super) fn intern_kind(&mut self, name: &str) -> usize {
        self.kind_of(name).unwrap_or_else(|| {
            self.scalars.kinds.push(name.into());
            self.scalars.kinds.len() - 1
        })
    }
}

/// What ranks watch in each tree, under a plan.
pub(super) fn watches(plan: &Plan) -> [Arc<Watch>; 2] {
    let coincide = plan.placement.trees_coincide();
    [Tree::Sponsor, Tree::Placement].map(|tree| Arc::new(rank::watch(&plan.ranks, tree, coincide)))
}

/// Folds one outcome into the rolling hash that the log carries.
fn roll(hash: u64, applied: &Applied) -> u64 {
    let [kind, first, second] = applied.outcome.words();
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(8).zip([kind, first, second, applied.lsn]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, hash)
}

/// A frozen state on its way to become a state of its own.
#[derive(Default)]
pub struct FrozenCopy(pub(super) Option<State>);

/// Pages that were kept for a frozen view, or columns that were replaced.
#[must_use = "drop it outside of the lock"]
pub struct KeptPages {
    pages: Kept,
}

impl KeptPages {
    /// Whether there is any memory to give back.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}

/// How far a copy of the frozen view got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyProgress {
    More,
    Complete,
    /// The view is gone: a plan change rebuilt what it was made of. Freeze again and start over.
    Lost,
}

impl State {
    /// Starts the frozen view at the present LSN, without copying anything. One at a time.
    pub fn freeze(&mut self) {
        Freeze::freeze(self);
    }

    /// Ends the frozen view. Harmless when there is none. What comes back is to be dropped after the lock is
    /// released: it is the memory of all pages that were kept.
    pub fn thaw(&mut self) -> KeptPages {
        let mut kept = Kept::new();
        Freeze::thaw(self, &mut kept);
        KeptPages { pages: kept }
    }

    /// Takes out what the view holds for parts that were copied, to be dropped after the lock is released.
    /// O(columns).
    pub fn release(&mut self) -> KeptPages {
        let mut kept = Kept::new();
        Freeze::release(self, &mut kept);
        KeptPages { pages: kept }
    }

    /// Copies the next part, some 64 KiB, of the frozen view. There is one copy of each view: what was copied
    /// is not kept any more.
    pub fn copy_frozen(&self, copy: &mut FrozenCopy) -> CopyProgress {
        if self.view != View::Frozen {
            return CopyProgress::Lost;
        }
        let copy =
            copy.0.get_or_insert_with(|| Self::empty((*self.scalars.plan).clone(), self.scalars.code_key));
        if self.copy_step(copy) { CopyProgress::Complete } else { CopyProgress::More }
    }

    /// Gives up a frozen view before columns are replaced rather than changed.
    pub(super) fn lose_view(&mut self) {
        if self.view == View::Frozen {
            let KeptPages { pages } = self.thaw();
            self.beside.replaced.extend(pages);
            self.view = View::Lost;
        }
    }
}

impl FrozenCopy {
    /// The state as it was when the view was frozen.
    ///
    /// # Panics
    /// When the copy is not complete.
    pub fn into_state(self) -> State {
        let mut state = self.0.expect("a complete copy");
        state.keys.index_copy();
        state.row_ids.index_copy();
        state.reversals.index_copy();
        state
    }
}
