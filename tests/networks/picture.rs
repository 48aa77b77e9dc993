//! Everything visible of a network, as plain comparable data.

use std::collections::{BTreeMap, BTreeSet};

use upline::core::{
    NextRank,
    command::{Applied, CloseOpening, OpeningEntry, OpeningKind, RecallOrder, Rejection, Stamped},
    plan::{PlacementRule, Plan},
    types::{EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money, Reference, Role, Status, Timestamp, Tree},
};

/// Both trees, in the order of per-tree pairs.
pub const TREES: [Tree; 2] = [Tree::Sponsor, Tree::Placement];

/// A network under test: the real core or the naive model.
pub trait Network {
    fn apply(&mut self, stamped: &Stamped) -> Applied;
    fn picture(&self) -> Picture;
    /// Panics when an invariant of the network is violated.
    fn check(&self);
    fn preview(&self, sponsor: MemberIx, rule: PlacementRule) -> Result<(MemberIx, u32), Rejection>;
    /// What a seal would be, if its files were written now.
    fn files(&self) -> Files;
}

/// What the files of a seal hold and know.
#[derive(Clone, PartialEq, Debug)]
pub struct Files {
    pub seal: u32,
    pub as_of: u64,
    pub orders_known: u32,
    pub refunds_known: u32,
    pub orders: Vec<RecallOrder>,
}

impl Files {
    pub fn refunds(&self) -> u32 {
        self.orders.iter().map(|order| order.refunds.len() as u32).sum()
    }
}

/// Makes an empty network with a plan.
pub type Make<'a> = &'a dyn Fn(Plan) -> Box<dyn Network>;

#[derive(Clone, PartialEq, Debug)]
pub struct Picture {
    pub lsn: u64,
    pub time: Timestamp,
    pub plan: Plan,
    pub plan_version: u32,
    /// Each plan so far: version, LSN and log time from which it holds.
    pub plan_versions: Vec<(u32, u64, Timestamp, Plan)>,
    pub depth: u32,
    /// Members at each paid-as rank, without trailing zeros.
    pub rank_distribution: Vec<u64>,
    pub breakage: (u64, Money),
    /// The first command since which breakage is itemized.
    pub itemized_from: Option<u64>,
    /// Levels and amount by reason, of those that occurred, by name.
    pub breakage_by_reason: BTreeMap<&'static str, (u64, i128)>,
    pub pending: u64,
    pub members: Vec<MemberPicture>,
    pub entries: Vec<EntryPicture>,
    /// Triggers paid once, or marked so.
    pub paid_once: BTreeSet<(MemberIx, String)>,
    /// Customers and the members to whom they belong.
    pub customers: BTreeMap<String, MemberIx>,
    /// By calendar, oldest first.
    pub periods: Vec<PeriodPicture>,
    pub orders: Vec<OrderPicture>,
    /// Volumes of the newest two periods of each calendar, by live value.
    pub live: Vec<LivePicture>,
    pub opening: OpeningPicture,
}

/// Rows and sum by kind, name, text, calendar and position.
pub type OpeningTotals =
    BTreeMap<(OpeningKind, String, String, Option<u8>, Option<u32>), (u64, Option<i128>)>;

/// What members bring from before the first period.
#[derive(Clone, PartialEq, Debug)]
pub struct OpeningPicture {
    pub rows: Vec<(MemberIx, OpeningEntry)>,
    pub totals: OpeningTotals,
    pub digest: [u8; 32],
    /// LSN and content of the command that closed it.
    pub closed: Option<(u64, CloseOpening)>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct MemberPicture {
    pub id: MemberId,
    pub sponsor: Option<MemberIx>,
    pub parent: Option<MemberIx>,
    pub slot: u32,
    pub level: u32,
    pub sponsor_level: u32,
    pub joined_at: Timestamp,
    pub status: Status,
    pub role: Role,
    pub code: String,
    /// Per tree, as in [`TREES`].
    pub direct: [u32; 2],
    pub downline: [Option<u32>; 2],
    pub levels: [Option<[u32; LEVELS_MAX]>; 2],
    pub paid_as: u16,
    pub lifetime: u16,
    pub next: Option<NextRank>,
    /// Sums of the entries received that are pending, held, and paid.
    pub balance: [i128; 3],
    /// At the log time, and where the newest two periods of each calendar end. Empty where none was ever set
    /// in the network.
    pub attributes: Vec<(Timestamp, AttributesPicture)>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct AttributesPicture {
    pub market: Option<u16>,
    pub owner: MemberIx,
    /// From when each tag holds, and when it ends.
    pub tags: BTreeMap<u16, (Option<Timestamp>, Option<Timestamp>)>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct EntryPicture {
    pub lsn: u64,
    pub time: Timestamp,
    pub receiver: MemberIx,
    pub source: MemberIx,
    pub level: u32,
    pub amount: Money,
    pub kind: String,
    pub status: EntryStatus,
    pub plan_version: u32,
    pub reference: Option<Reference>,
    /// The entry that it reverses.
    pub reverses: Option<u64>,
    /// The command of format 5 that released it last.
    pub released: Option<u64>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct PeriodPicture {
    pub calendar: u8,
    pub label: String,
    pub start: Timestamp,
    pub end: Timestamp,
    pub grace_until: Timestamp,
    pub state: String,
    pub orders: u64,
    pub refunds: u64,
    /// By value.
    pub sums: Vec<i64>,
    pub runs: u32,
}

#[derive(Clone, PartialEq, Debug)]
pub struct OrderPicture {
    pub id: String,
    pub lsn: u64,
    pub time: Timestamp,
    pub credits: Vec<(MemberIx, u32)>,
    pub customer: Option<String>,
    pub kind: Option<u16>,
    pub market: Option<u16>,
    pub tags: u64,
    pub group: Option<String>,
    /// Values as placed, and the part that was refunded.
    pub lines: Vec<(Vec<i64>, u32)>,
    /// Calendars and their periods.
    pub periods: Vec<(u8, u32)>,
    /// Oldest first.
    pub refunds: Vec<RefundPicture>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct RefundPicture {
    pub id: String,
    pub lsn: u64,
    pub time: Timestamp,
    /// Lines, and the part refunded before and with it.
    pub lines: Vec<(u8, u32, u32)>,
    /// By calendar: `lowers`, `waits` or `corrects`, and in which period.
    pub acts: Vec<(&'static str, u32)>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct LivePicture {
    pub calendar: u8,
    pub period: u32,
    pub value: u8,
    pub members: Vec<Volumes>,
}

/// What a member has of a value in a period. Raw sums.
#[derive(Clone, PartialEq, Debug)]
pub struct Volumes {
    pub own: i64,
    /// Per tree, as in [`TREES`].
    pub groups: [Option<i64>; 2],
    pub levels: [Option<[i64; LEVELS_MAX]>; 2],
}

impl Picture {
    /// Returns a member's sponsor or parent.
    pub fn above(&self, tree: Tree, member: MemberIx) -> Option<MemberIx> {
        match tree {
            Tree::Sponsor => self.members[member.at()].sponsor,
            Tree::Placement => self.members[member.at()].parent,
        }
    }

    /// The picture without what copies of frozen views do not have: sums that follow from the orders.
    pub fn of_a_copy(mut self) -> Picture {
        self.live.clear();
        for period in &mut self.periods {
            (period.orders, period.refunds) = (0, 0);
            period.sums.fill(0);
        }
        self
    }

    /// Describes the first difference between two pictures; `None` when they are equal.
    pub fn difference(&self, other: &Picture) -> Option<String> {
        // Usually they are equal, and then nothing need be copied.
        if self == other {
            return None;
        }
        let scalars = |picture: &Picture| Picture {
            members: Vec::new(),
            entries: Vec::new(),
            periods: Vec::new(),
            orders: Vec::new(),
            live: Vec::new(),
            ..picture.clone()
        };
        if scalars(self) != scalars(other) {
            return Some(format!("{:#?}\n  is not\n{:#?}", scalars(self), scalars(other)));
        }
        difference_of("member", &self.members, &other.members)
            .or_else(|| difference_of("entry", &self.entries, &other.entries))
            .or_else(|| difference_of("period", &self.periods, &other.periods))
            .or_else(|| difference_of("order", &self.orders, &other.orders))
            .or_else(|| difference_of_live(&self.live, &other.live))
    }
}

/// The first member whose volumes differ, or another difference of live volumes.
fn difference_of_live(left: &[LivePicture], right: &[LivePicture]) -> Option<String> {
    for (left, right) in left.iter().zip(right) {
        let of = |live: &LivePicture| (live.calendar, live.period, live.value);
        if of(left) != of(right) {
            return Some(format!("live {:?} is not {:?}", of(left), of(right)));
        }
        let found = difference_of("member", &left.members, &right.members);
        if let Some(difference) = found {
            return Some(format!("live {:?} of {difference}", of(left)));
        }
    }
    (left.len() != right.len()).then(|| format!("{} live values are not {}", left.len(), right.len()))
}

fn difference_of<T: PartialEq + std::fmt::Debug>(what: &str, left: &[T], right: &[T]) -> Option<String> {
    if let Some(index) = left.iter().zip(right).position(|(left, right)| left != right) {
        return Some(format!("{what} {index}:\n{:?}\n  is not\n{:?}", left[index], right[index]));
    }
    (left.len() != right.len()).then(|| {
        let shorter = left.len().min(right.len());
        let longer = if left.len() < right.len() { right } else { left };
        format!(
            "{} and {} of {what}, the first of the longer side alone: {:?}",
            left.len(),
            right.len(),
            longer[shorter]
        )
    })
}
