//! SKELETON of the public API, bodies follow.
use std::sync::Arc;

use super::{
    command::{Applied, Command, Rejection, RequestKey, Stamped},
    image::{ImageHeader, ImageRows},
    plan::Plan,
    types::{Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money, Role, Status, Timestamp, Tree},
};

/// Where the state looks members up by what the outside calls them. Get and insert only: no iteration order can leak into results.
pub trait Directory {
    fn member(&self, id: &MemberId) -> Option<MemberIx>;
    fn add_member(&mut self, id: MemberId, member: MemberIx);
    /// `folded` is `Code::folded`.
    fn code(&self, folded: &str) -> Option<MemberIx>;
    fn add_code(&mut self, folded: &str, member: MemberIx);
}

pub struct State;

/// One member, as stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    pub index: MemberIx,
    pub id: MemberId,
    pub sponsor: Option<MemberIx>,
    pub parent: Option<MemberIx>,
    /// Slot under the parent, from 0; 0 for a root.
    pub slot: u32,
    /// 1 for a root.
    pub level: u32,
    pub joined_at: Timestamp,
    pub status: Status,
    pub role: Role,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RankView {
    /// In force now; 0 is "no rank".
    pub paid_as: u16,
    /// Best ever.
    pub lifetime: u16,
    /// What the next rank asks for; `None` at the top.
    pub next: Option<NextRank>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextRank {
    pub rank: u16,
    /// Level whose head-count is looked at, for level fill; 0 otherwise
    pub level: u32,
    pub minimum: u32,
    pub missing: u32,
}

/// One ledger entry with what its trigger says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Ledger index.
    pub index: u64,
    pub lsn: u64,
    pub time: Timestamp,
    pub receiver: MemberIx,
    pub source: MemberIx,
    pub level: u32,
    pub amount: Money,
    /// Position in `State::kinds`.
    pub kind: u16,
    pub status: EntryStatus,
    pub plan_version: u32,
}

impl State {
    /// An empty network at LSN 0.
    pub fn new(_plan: Plan, _code_key: u64) -> Self {
        todo!()
    }

    // --- writing
    /// Applies one command. Panics when `stamped.lsn` is not `self.lsn() + 1`.
    pub fn apply<D: Directory>(&mut self, _directory: &mut D, _stamped: &Stamped) -> Applied {
        todo!()
    }
    /// What `apply` would reject this command with now, or the earlier outcome that an idempotency key repeats.
    pub fn check<D: Directory>(&self, _directory: &D, _key: Option<RequestKey>, _command: &Command) -> Verdict {
        todo!()
    }

    // --- scalars
    pub fn lsn(&self) -> u64 {
        todo!()
    }
    pub fn time(&self) -> Timestamp {
        todo!()
    }
    pub fn outcome_hash(&self) -> u64 {
        todo!()
    }
    /// Members; indexes are `0..len`.
    pub fn len(&self) -> u32 {
        todo!()
    }
    pub fn plan(&self) -> &Arc<Plan> {
        todo!()
    }
    pub fn plan_version(&self) -> u32 {
        todo!()
    }
    /// Deepest level of the placement tree; 0 when empty.
    pub fn depth(&self) -> u32 {
        todo!()
    }
    /// Members at each paid-as rank, index = rank.
    pub fn rank_distribution(&self) -> &[u64] {
        todo!()
    }
    /// Levels withheld so far and what they would have been paid.
    pub fn breakage(&self) -> (u64, Money) {
        todo!()
    }

    // --- members
    pub fn member(&self, _index: MemberIx) -> Member {
        todo!()
    }
    pub fn code(&self, _index: MemberIx) -> Code {
        todo!()
    }
    /// By referral code, generated ones included.
    pub fn member_by_code<D: Directory>(&self, _directory: &D, _code: &Code) -> Option<MemberIx> {
        todo!()
    }
    pub fn direct(&self, _tree: Tree, _index: MemberIx) -> u32 {
        todo!()
    }
    /// The whole downline; `None` where the plan does not count this tree.
    pub fn downline(&self, _tree: Tree, _index: MemberIx) -> Option<u32> {
        todo!()
    }
    /// Head-counts of levels 1..=15 (those above the cap are 0); `None` where the plan does not count this tree.
    pub fn levels(&self, _tree: Tree, _index: MemberIx) -> Option<[u32; LEVELS_MAX]> {
        todo!()
    }
    pub fn rank(&self, _index: MemberIx) -> RankView {
        todo!()
    }
    /// Parent first, up to the root.
    pub fn upline(&self, _tree: Tree, _index: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        std::iter::empty()
    }
    /// In slot order (placement) or join order (sponsor).
    pub fn children(&self, _tree: Tree, _index: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        std::iter::empty()
    }
    /// The next member of `top`'s downline (not `top` itself) in preorder after `after` (start with `top`), among members below
    /// `before` (a length seen earlier): so that a walk in many short steps sees the downline as it stood when the
    /// walk began. Amortised O(1), no recursion.
    pub fn preorder_next(&self, _tree: Tree, _top: MemberIx, _after: MemberIx, _before: u32) -> Option<MemberIx> {
        todo!()
    }
    /// Where the next signup under `sponsor` would go by `rule`: parent and slot.
    pub fn preview(&self, _sponsor: MemberIx, _rule: crate::core::plan::PlacementRule) -> Result<(MemberIx, u32), Rejection> {
        todo!()
    }

    // --- ledger
    /// Number of entries; indexes are `0..entries`.
    pub fn entries(&self) -> u64 {
        todo!()
    }
    pub fn entry(&self, _index: u64) -> Entry {
        todo!()
    }
    pub fn kind_name(&self, _kind: u16) -> &str {
        todo!()
    }
    /// The newest entry of a receiver, and from there on the next older one of the same receiver.
    pub fn newest_entry_of(&self, _receiver: MemberIx) -> Option<u64> {
        todo!()
    }
    pub fn older_entry(&self, _entry: u64) -> Option<u64> {
        todo!()
    }
    /// All entries, newest command first, then level ascending: the entry after `after` (start with `None`) in that order among entries below `before`.
    pub fn next_entry(&self, _after: Option<u64>, _before: u64, _status: Option<EntryStatus>) -> Option<u64> {
        todo!()
    }
    /// Pending entries, in total.
    pub fn pending(&self) -> u64 {
        todo!()
    }

    // --- whole
    /// Everything primary, as an image: header first, then rows in chunks of at most `rows_max`.
    pub fn image_header(&self) -> ImageHeader {
        todo!()
    }
    pub fn image_rows(&self, _rows_max: usize) -> impl Iterator<Item = ImageRows> + '_ {
        std::iter::empty()
    }
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

/// Builds a state from an image, section by section; everything derived is computed in `finish`.
pub struct Restore;

impl Restore {
    pub fn new(_header: ImageHeader) -> Result<Self, String> {
        todo!()
    }
    /// # Errors
    /// What is wrong with the rows (out of order, too many, an index out of range, ...).
    pub fn push<D: Directory>(&mut self, _directory: &mut D, _rows: ImageRows) -> Result<(), String> {
        todo!()
    }
    pub fn finish(self) -> Result<State, String> {
        todo!()
    }
}

/// Digests of a state (`audit.rs`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest(pub [u8; 32]);

/// Everything: same log, same digest.
pub fn state_digest(_state: &State) -> Digest {
    todo!()
}
/// What the network is, whatever log led to it: ids, codes, edges, slots, joined_at, status, role, ranks, bonuses.
pub fn network_digest(_state: &State) -> Digest {
    todo!()
}
/// Every invariant that does not hold, at most `most` of them; incremental counts and ranks are compared with a recount from scratch.
pub fn audit(_state: &State, _most: usize) -> Vec<String> {
    todo!()
}
