//! Queries on a state. Nothing here changes it, and each call is bounded: O(1) or O(log n) unless stated
//! otherwise.

use std::{borrow::Cow, hint::black_box, sync::Arc};

use crate::core::{
    ledger::{accounts::Balance, breakage::Breakage, entries::Entry, sum::Sum},
    network::rank::{self, NextRank},
    plan::{KIND_REGISTRATION, PlacementRule, Plan},
    requests::{command::Rejection, unchanged::Unchanged},
    state::{
        bonus::{KIND_RANK, KIND_RANK_PREFIX, KIND_SIGNUP, Kind, kind_from_name},
        parts::State,
        plans::PlanVersions,
    },
    store::{
        held::Held,
        view_parts::{Part, PartBytes},
    },
    tree::{placement::Spot, preorder::Preorder},
    words::{
        directory::Directory,
        row_ids::RowIds,
        row_kind::RowKind,
        types::{
            Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money, Reference, Role, Status, Timestamp,
            Tree,
        },
    },
};

/// One member, as stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    pub index: MemberIx,
    pub id: MemberId,
    pub sponsor: Option<MemberIx>,
    pub parent: Option<MemberIx>,
    /// Slot under the parent, from 0; 0 for a root.
    pub slot: u32,
    /// Level in the placement tree; 1 for a root.
    pub level: u32,
    /// Level in the sponsor tree; 1 for a root.
    pub sponsor_level: u32,
    pub joined_at: Timestamp,
    pub status: Status,
    pub role: Role,
}

/// A member's rank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RankView {
    /// In force now; 0 is "no rank".
    pub paid_as: u16,
    /// The best ever.
    pub lifetime: u16,
    /// Requirements of the next rank; `None` at the top.
    pub next: Option<NextRank>,
}

/// Bytes held by the parts of a state, in lifecycle order: the source of the memory report. Each list counts
/// in exactly one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryUse {
    pub members: usize,
    pub links: usize,
    pub counts: usize,
    pub slots: usize,
    /// Given codes and imported row ids.
    pub codes: usize,
    pub ledger: usize,
    /// Idempotency keys, and commands that changed nothing.
    pub requests: usize,
    /// Orders, refunds, customers, and volumes that are kept live.
    pub orders: usize,
    /// Plans, deep counts of admins, and what exists once per network.
    pub others: usize,
}

impl State {
    /// Commands applied so far.
    pub fn lsn(&self) -> u64 {
        self.scalars.lsn
    }

    /// Log time of the last command.
    pub fn time(&self) -> Timestamp {
        self.scalars.time
    }

    /// Rolling hash over all outcomes.
    pub fn outcome_hash(&self) -> u64 {
        self.scalars.outcome_hash
    }

    /// Members; their indexes are `0..len`.
    pub fn len(&self) -> u32 {
        u32::try_from(self.network.members().len()).expect("limited by MEMBERS_MAX")
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<Plan> {
        self.plans.plan()
    }

    /// Number of plans activated, the first included.
    pub fn plan_version(&self) -> u32 {
        self.plans.version()
    }

    /// The plans that are known, with the LSNs from which they hold; the last is in force.
    pub fn plan_versions(&self) -> &PlanVersions {
        self.plans.versions()
    }

    /// Deepest level of the placement tree; 0 when empty.
    pub fn depth(&self) -> u32 {
        self.network.depth()
    }

    /// Members by paid-as rank; trailing ranks never held may be missing.
    pub fn rank_distribution(&self) -> &[u64] {
        self.network.rank_distribution()
    }

    /// Levels withheld so far because their receiver may not earn, and their total amount.
    pub fn breakage(&self) -> (u64, Money) {
        let unpaid = self.ledger.unpaid();
        (unpaid.levels, Money(unpaid.amount))
    }

    /// What was paid to nobody, by reason, since the command at [`State::itemized_from`].
    pub fn breakage_by_reason(&self) -> &Breakage {
        &self.ledger.unpaid().by_reason
    }

    /// The first command whose breakage was itemized; `None` if there was none yet. A network that was made
    /// by an older release itemizes from the first command on that a newer one logged.
    pub fn itemized_from(&self) -> Option<u64> {
        self.ledger.unpaid().itemized_from
    }

    /// By external id, among the present members.
    pub fn find<D: Directory>(&self, directory: &D, id: &MemberId) -> Option<MemberIx> {
        directory.member(id, |member| self.network.members().is(member, id))
    }

    /// As [`State::find`]; without such a member, returns a stand-in (none in an empty network), so that an
    /// unknown id takes the same steps as a known one. It is a function of the id, so repeated queries take
    /// the same time.
    ///
    /// # Errors
    /// The stand-in.
    pub fn find_or_stand_in<D: Directory>(
        &self,
        directory: &D,
        id: &MemberId,
    ) -> Result<MemberIx, Option<MemberIx>> {
        self.find(directory, id).ok_or_else(|| {
            let stand_in = self.stand_in(u128::from_le_bytes(id.0));
            stand_in.inspect(|stand_in| {
                black_box(self.network.members().is(*stand_in, id));
            })
        })
    }

    /// A member selected by a number; `None` in an empty network.
    pub fn stand_in(&self, number: u128) -> Option<MemberIx> {
        let chosen = number.checked_rem(u128::from(self.len()))?;
        Some(MemberIx(u32::try_from(chosen).expect("below the number of members")))
    }

    /// By referral code, including generated ones, exact matches only.
    pub fn member_by_code<D: Directory>(&self, directory: &D, code: &Code) -> Option<MemberIx> {
        self.owner_of_exact_code(directory, &code.folded())
    }

    /// As [`State::member_by_code`]; `folded` is [`Code::folded`].
    pub(in crate::core) fn owner_of_exact_code<D: Directory>(
        &self,
        directory: &D,
        folded: &str,
    ) -> Option<MemberIx> {
        self.network.codes().owner(self.network.code_key(), directory, folded, self.len())
    }

    /// By referral code as people write it: the exact one, or else, with O as 0 and I and L as 1, the only
    /// similar one.
    ///
    /// # Errors `CodeAmbiguous` when it is similar to several and equal to none.
    pub fn look_up_code<D: Directory>(
        &self,
        directory: &D,
        code: &Code,
    ) -> Result<Option<MemberIx>, Rejection> {
        self.owner_of_code(directory, &code.folded())
    }

    /// As [`State::look_up_code`]; `folded` is [`Code::folded`].
    pub(in crate::core) fn owner_of_code<D: Directory>(
        &self,
        directory: &D,
        folded: &str,
    ) -> Result<Option<MemberIx>, Rejection> {
        self.network
            .codes()
            .look_up(self.network.code_key(), directory, folded, self.len())
            .map_err(|_| Rejection::CodeAmbiguous)
    }

    /// A member's external id: one column of what [`State::member`] reads.
    pub fn id(&self, index: MemberIx) -> MemberId {
        *self.network.members().id(index)
    }

    /// A member's columns.
    pub fn member(&self, index: MemberIx) -> Member {
        let placement = self.network.placement().link(index);
        let sponsor = self.tree(Tree::Sponsor).link(index);
        Member {
            index,
            id: *self.network.members().id(index),
            sponsor: MemberIx::from_column(sponsor.parent),
            parent: MemberIx::from_column(placement.parent),
            slot: placement.slot,
            level: placement.level,
            sponsor_level: sponsor.level,
            joined_at: self.network.members().joined_at(index),
            status: self.network.members().status(index),
            role: self.network.members().role(index),
        }
    }

    /// A member's referral code.
    pub fn code(&self, index: MemberIx) -> Code {
        self.network.codes().of(self.network.code_key(), index)
    }

    /// Appends a member's referral code, folded for comparison (`Code::folded`), as bytes. For bulk work.
    pub fn fold_code(&self, index: MemberIx, out: &mut Vec<u8>) {
        self.network.codes().fold_into(self.network.code_key(), index, out);
    }

    /// Children in a tree.
    pub fn direct(&self, tree: Tree, index: MemberIx) -> u32 {
        self.tree(tree).link(index).children
    }

    /// The whole downline; `None` where the plan does not count this tree. O(log n) at any depth.
    pub fn downline(&self, tree: Tree, index: MemberIx) -> Option<u32> {
        self.tree(tree).downline(index)
    }

    /// Head-counts of levels 1 to 15, those above the plan's cap 0; `None` where the plan does not count this
    /// tree.
    pub fn levels(&self, tree: Tree, index: MemberIx) -> Option<[u32; LEVELS_MAX]> {
        let mut levels = self.tree(tree).levels(index)?;
        levels[usize::from(self.plans.plan().level_cap)..].fill(0);
        Some(levels)
    }

    /// An admin's head-counts of the levels beyond `LEVELS_MAX`; `None` for others, and where the plan does
    /// not count this tree.
    pub fn deep_levels_of(&self, tree: Tree, index: MemberIx) -> Option<&[u32]> {
        if !self.tree(tree).is_counted() {
            return None;
        }
        self.network.admins().get(&index).map(|deep| deep[self.network.kept_tree(tree) as usize].as_slice())
    }

    /// Ordinal of the rank in force; 0 is "no rank".
    pub fn paid_as(&self, index: MemberIx) -> u16 {
        self.network.members().ranks(index).paid_as
    }

    pub fn rank(&self, index: MemberIx) -> RankView {
        let ranks = self.network.members().ranks(index);
        RankView {
            paid_as: ranks.paid_as,
            lifetime: ranks.lifetime,
            next: rank::next_rank(&self.plans.plan().ranks, &self.standing(index)),
        }
    }

    /// Parent first, up to the root. O(depth) for the whole.
    pub fn upline(&self, tree: Tree, index: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        self.tree(tree).upline(index)
    }

    /// The lowest free slot under `parent`. O(1) in a family that is wide or has no gap, else O(children).
    pub fn lowest_free_slot(&self, parent: MemberIx) -> u32 {
        self.network.placement().lowest_free(parent)
    }

    /// In slot order; in the sponsor tree that is join order.
    pub fn children(&self, tree: Tree, index: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        self.tree(tree).children(index)
    }

    /// Edges from `ancestor` down to `member`; `None` when it is not an ancestor.
    pub fn distance(&self, tree: Tree, ancestor: MemberIx, member: MemberIx) -> Option<u32> {
        let tree = self.tree(tree);
        tree.is_ancestor(ancestor, member).then(|| tree.link(member).level - tree.link(ancestor).level)
    }

    /// Whether `member` is in the team of `top`: itself, or below it in the placement tree. Since a member's
    /// parent is its sponsor or below its sponsor (enforced by registration, by restore and by the audit),
    /// that includes its downline in the sponsor tree. O(log n), and the same steps for every pair of
    /// members.
    pub fn is_in_team(&self, top: MemberIx, member: MemberIx) -> bool {
        self.network.placement().contains(top, member).expect("the placement tree is always counted")
    }

    /// A walk through the present downline of `top` (without `top` itself), for [`State::preorder_step`].
    pub fn preorder(&self, tree: Tree, top: MemberIx) -> Preorder {
        self.tree(tree).preorder(top, top, self.len())
    }

    /// The next member of a walk through `tree`, the one it was begun in: parents before children, siblings
    /// in slot order. `None` when it is over, or when `steps`, which it decrements, are used up:
    /// [`Preorder::is_over`] tells which. O(steps).
    pub fn preorder_step(&self, tree: Tree, walk: &mut Preorder, steps: &mut usize) -> Option<MemberIx> {
        self.tree(tree).preorder_next(walk, steps)
    }

    /// The next member of `top`'s downline (not `top` itself) in preorder after `after` (start with `top`),
    /// among members with an index below `before`. Amortized O(1), but one call may climb the whole depth:
    /// under a lock, use [`State::preorder_step`].
    pub fn preorder_next(&self, tree: Tree, top: MemberIx, after: MemberIx, before: u32) -> Option<MemberIx> {
        let tree = self.tree(tree);
        let mut steps = usize::MAX;
        tree.preorder_next(&mut tree.preorder(top, after, before), &mut steps)
    }

    /// Where `rule` would place the next signup under `sponsor`.
    ///
    /// # Errors
    /// `RuleNotAllowed` when the plan does not allow the rule.
    pub fn preview(&self, sponsor: MemberIx, rule: PlacementRule) -> Result<Spot, Rejection> {
        let placement = &self.plans.plan().placement;
        if !placement.allows(rule) {
            return Err(Rejection::RuleNotAllowed);
        }
        Ok(self.network.spot(self.plan(), sponsor, rule))
    }

    /// Ledger entries; their indexes are `0..entries`.
    pub fn entries(&self) -> u64 {
        self.ledger.entries().len()
    }

    /// Pending entries.
    pub fn pending(&self) -> u64 {
        self.ledger.entries().sum(EntryStatus::Pending).entries
    }

    /// The entries in a state. O(1).
    pub fn entries_in(&self, status: EntryStatus) -> Sum {
        self.ledger.entries().sum(status)
    }

    /// What all entries of a member come to, by state. O(1).
    pub fn balance(&self, member: MemberIx) -> Balance {
        let account = self.network.members().account(member);
        account.map_or(Balance::default(), |account| self.ledger.accounts().balance(account))
    }

    pub fn entry(&self, index: u64) -> Entry {
        self.ledger.entries().entry(index)
    }

    /// Whether all entries are in time order. Imported ones may not be.
    pub fn entry_times_ascend(&self) -> bool {
        self.ledger.entries().times_ascend()
    }

    /// Whether the entries made up to an entry's command are those that a list shows from it on: whether
    /// nothing was imported out of the order of times at it or since. O(triggers / 64) at worst.
    pub fn is_in_list_order(&self, entry: u64) -> bool {
        let entries = self.ledger.entries();
        let is_after = entries.late_from(entries.trigger_of(entry) + 1);
        entries.times_ascend() || !entries.is_late(entry) && is_after.is_none()
    }

    /// The external reference behind an entry. O(log references).
    pub fn reference_of(&self, entry: u64) -> Option<Reference> {
        self.ledger.reference_of(entry)
    }

    /// The entry that this one reverses. O(log reversals).
    pub fn reverses(&self, entry: u64) -> Option<u64> {
        self.ledger.reversals().reverses(entry)
    }

    /// The entry that reverses this one. O(1).
    pub fn reversal_of(&self, entry: u64) -> Option<u64> {
        self.ledger.reversals().reversal_of(entry)
    }

    /// The command that released an entry last, since format 5. O(1).
    pub fn released(&self, entry: u64) -> Option<u64> {
        self.ledger.released().of(entry)
    }

    /// Number of reversals.
    pub fn reversal_count(&self) -> usize {
        self.ledger.reversals().len()
    }

    /// Number of triggers that have entries and a reference.
    pub fn reference_count(&self) -> usize {
        self.ledger.references().len()
    }

    /// The kind of entries printed under this name; `None` if no plan or entry ever had it.
    pub fn kind_named(&self, name: &str) -> Option<u16> {
        match kind_from_name(name)? {
            Kind::Signup => Some(KIND_SIGNUP),
            Kind::Rank(rank) => Some(KIND_RANK + rank),
            Kind::Trigger => self.ledger.kinds().number(name),
        }
    }

    /// The printed kind of an entry: the trigger's name, `registration`, or `rank:<ordinal>`.
    pub fn kind_name(&self, kind: u16) -> Cow<'_, str> {
        match kind {
            KIND_SIGNUP => KIND_REGISTRATION.into(),
            KIND_RANK.. => format!("{KIND_RANK_PREFIX}{}", kind - KIND_RANK).into(),
            _ => Cow::Borrowed(&self.ledger.kinds().names()[usize::from(kind)]),
        }
    }

    /// Why the command at an LSN changed nothing; `None` if it changed something, or if unknown: see
    /// [`State::changed_nothing_after`]. O(log of the number that did not).
    pub fn changed_nothing(&self, lsn: u64) -> Option<Unchanged> {
        self.requests.unchanged().find(lsn)
    }

    /// For every command after this LSN it is known whether it changed anything. 0 for a network that was
    /// never in a directory of format 1, and had at most [`super::UNCHANGED_MAX`] such commands.
    pub fn changed_nothing_after(&self) -> u64 {
        self.requests.unchanged().complete_after()
    }

    /// The imported id of a row. O(1).
    pub fn carried_row_id(&self, kind: RowKind, index: u64) -> Option<[u8; 16]> {
        self.ledger.row_ids().id_of(kind, index)
    }

    /// The row with an imported id. O(1).
    pub fn row_that_carried(&self, id: &[u8; 16]) -> Option<(RowKind, u64)> {
        self.ledger.row_ids().row_of(id)
    }

    /// The UUID of a row: imported with it, or else computed. O(1).
    pub fn row_id(&self, computed: RowIds, kind: RowKind, index: u64) -> [u8; 16] {
        self.carried_row_id(kind, index).unwrap_or_else(|| computed.encode(kind, index))
    }

    /// What a row's UUID names. A row has one id: if it was imported, the computed one names nothing. The
    /// index may be beyond the rows that exist. O(1).
    pub fn row_of(&self, computed: RowIds, id: &[u8; 16]) -> Option<(RowKind, u64)> {
        let is_its_id = |(kind, index): &(RowKind, u64)| self.carried_row_id(*kind, *index).is_none();
        self.row_that_carried(id).or_else(|| computed.decode(*id).filter(is_its_id))
    }

    /// Number of imported row ids.
    pub fn carried_row_ids(&self) -> usize {
        self.ledger.row_ids().len()
    }

    /// Round robin: the slot that the next spill from a member goes to; 0 if the plan has no turns. O(1).
    pub fn turn(&self, member: MemberIx) -> u16 {
        self.network.slots().turn(member)
    }

    /// Bytes held.
    pub fn memory(&self) -> MemoryUse {
        let bytes = self.bytes_by_part();
        let counts = self.network.placement().counts_bytes() + self.network.sponsors().counts_bytes();
        let row_ids = self.ledger.row_ids().bytes();
        MemoryUse {
            members: bytes.of(Part::Members),
            links: bytes.of(Part::Placement) + bytes.of(Part::Sponsors) - counts,
            counts,
            slots: bytes.of(Part::Slots),
            codes: bytes.of(Part::Codes) + row_ids,
            ledger: bytes.of(Part::Ledger) - row_ids,
            requests: bytes.of(Part::Requests),
            orders: bytes.of(Part::Orders),
            others: bytes.of(Part::Admins) + bytes.always,
        }
    }

    /// From the same tables as frozen views: what a view copies, and what is derived from it.
    fn bytes_by_part(&self) -> PartBytes {
        let mut bytes = PartBytes::default();
        self.add_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod memory_tests;
