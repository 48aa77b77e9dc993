//! The parts of a state that the reader of a frozen view names, and which views there are.

use crate::core::store::column::ViewId;

/// A part of a state that the reader of a frozen view can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Ids, join times, flags, ranks, numbers of accounts.
    Members,
    /// The placement tree; also the sponsor tree where the plan makes both the same.
    Placement,
    Sponsors,
    /// What placement rules keep to find free slots.
    Slots,
    Codes,
    /// Entries, the accounts of those who received them, references, reversals, row ids, trigger names,
    /// breakage.
    Ledger,
    /// Idempotency keys, and the commands that changed nothing.
    Requests,
    /// The deep counts of admins.
    Admins,
    /// What the trees count: tours and level counts. Without it a tree is copied as an uncounted one.
    Counts,
}

/// A set of parts. What exists once per network (LSN, time, plan) is in every view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts(u32);

impl Parts {
    /// Everything: the copy equals the state.
    pub const ALL: Self = Self(u32::MAX);
    /// What ranks follow from.
    pub const RANKED: Self =
        Self::of(&[Part::Members, Part::Placement, Part::Sponsors, Part::Counts, Part::Admins]);

    /// The set of these parts.
    pub const fn of(parts: &[Part]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < parts.len() {
            set |= 1 << parts[at] as u32;
            at += 1;
        }
        Self(set)
    }

    /// These parts and one more.
    #[must_use]
    pub const fn with(self, part: Part) -> Self {
        Self(self.0 | 1 << part as u32)
    }

    /// Whether `part` is in the set.
    pub const fn has(self, part: Part) -> bool {
        self.0 >> part as u32 & 1 != 0
    }

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(in crate::core) const fn shares_some_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The frozen views of a state.
#[derive(Default)]
pub(in crate::core) struct Views {
    /// The number of the newest view so far.
    pub newest: u64,
    /// Oldest first.
    pub live: Vec<LiveView>,
}

pub(in crate::core) struct LiveView {
    pub id: ViewId,
    pub parts: Parts,
    /// A plan change replaced columns under it.
    pub is_lost: bool,
}

impl Views {
    pub fn find(&self, id: ViewId) -> Option<&LiveView> {
        self.live.iter().find(|live| live.id == id && !live.is_lost)
    }
}
