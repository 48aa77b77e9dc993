//! The drop-in's lists, each as a walk that can pause after any row.

use strum::{EnumString, IntoStaticStr};

use super::render::{BonusObject, MEMBER_CLOSE, MemberObject};
use crate::{
    engine::{EntryFilter, EntryStatus, Listed, Member, MemberIx, Preorder, RowKind, State, Statuses, Tree},
    http::{
        auth::{HIDDEN_SOURCE, SeenEntry, Sight},
        limits::{SLICE_STEPS, STREAM_ROWS},
        stream::{RowIdOf, Rows},
    },
};

/// Prints a member object up to its children.
pub fn print_member(row_id: RowIdOf<'_>, state: &State, member: &Member, out: &mut String) {
    let parent = member.parent.map(|parent| state.member(parent).id);
    let object = MemberObject {
        id: row_id(RowKind::Member, u64::from(member.index.0)),
        user_id: &member.id.0,
        parent_id: parent.as_ref().map(|parent| &parent.0),
        level: member.level,
        created_at: member.joined_at.0,
    };
    object.print_open(out);
}

/// Prints a bonus object; `zone` is the suffix of its time.
pub fn print_bonus(row_id: RowIdOf<'_>, state: &State, entry: &SeenEntry, zone: &str, out: &mut String) {
    let object = BonusObject {
        id: row_id(RowKind::Entry, entry.index),
        user_id: &state.member(entry.receiver).id.0,
        source_user_id: &entry.source.map_or(HIDDEN_SOURCE, |source| state.id(source)).0,
        level: entry.level,
        amount: entry.amount.0,
        exponent: state.plan().currency.exponent,
        kind: &state.kind_name(entry.kind),
        status: OldStatus::of(entry.status).name(),
        created_at: entry.time.0,
        zone,
    };
    object.print(out);
}

/// The empty list.
pub struct Nothing;

impl Rows for Nothing {
    fn print_slice(&mut self, _: RowIdOf<'_>, _: &State, out: &mut String) -> bool {
        out.push_str("[]");
        false
    }
}

/// The nested downline of a member. Nesting comes from the levels of a preorder walk: a row one level deeper
/// than the previous one is its child; otherwise objects are closed first, until as many are open as the row
/// has ancestors in the list.
pub struct Downline {
    top_level: u32,
    walk: Preorder,
    /// The row to print once `to_close` objects have been closed.
    next: Next,
    to_close: u32,
    /// Open objects.
    open: u32,
    separator: Separator,
}

/// The state of the walk.
enum Next {
    /// Still searching.
    Searching,
    Row(Member),
    /// All rows are printed.
    End,
}

/// What precedes a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// The first row of all.
    Begin,
    /// The first in its parent's `children`.
    FirstChild,
    Sibling,
}

impl Downline {
    pub fn new(state: &State, top: MemberIx) -> Self {
        Self {
            top_level: state.member(top).level,
            walk: state.preorder(Tree::Placement, top),
            next: Next::Searching,
            to_close: 0,
            open: 0,
            separator: Separator::Begin,
        }
    }

    /// Advances to the next row, and counts the objects to close before it. Returns false when a slice's
    /// steps were not enough to find it.
    fn search(&mut self, state: &State, steps: &mut usize) -> bool {
        if !matches!(self.next, Next::Searching) {
            return true;
        }
        match state.preorder_step(Tree::Placement, &mut self.walk, steps) {
            Some(found) => {
                let member = state.member(found);
                // A row at depth d below the top has d - 1 rows around it.
                self.to_close = (self.open + 1).saturating_sub(member.level - self.top_level);
                self.next = Next::Row(member);
            }
            None if self.walk.is_over() => {
                self.to_close = self.open;
                self.next = Next::End;
            }
            None => return false,
        }
        true
    }

    /// Closes as many objects as a slice may. Returns true when all that had to be closed are.
    fn close(&mut self, steps: &mut usize, out: &mut String) -> bool {
        while 0 < self.to_close && 0 < *steps {
            out.push_str(MEMBER_CLOSE);
            self.to_close -= 1;
            self.open -= 1;
            *steps -= 1;
            self.separator = Separator::Sibling;
        }
        self.to_close == 0
    }
}

impl Rows for Downline {
    fn print_slice(&mut self, row_id: RowIdOf<'_>, state: &State, out: &mut String) -> bool {
        let mut steps = SLICE_STEPS;
        for _ in 0..STREAM_ROWS {
            if !self.search(state, &mut steps) || !self.close(&mut steps, out) {
                return true;
            }
            if self.separator == Separator::Begin {
                out.push('[');
            }
            let Next::Row(member) = std::mem::replace(&mut self.next, Next::Searching) else {
                out.push(']');
                return false;
            };
            if self.separator == Separator::Sibling {
                out.push(',');
            }
            print_member(row_id, state, &member, out);
            self.open += 1;
            self.separator = Separator::FirstChild;
        }
        true
    }
}

/// Prints the brackets and commas of a flat list.
#[derive(Default)]
struct Brackets {
    has_begun: bool,
}

impl Brackets {
    fn before_row(&mut self, out: &mut String) {
        out.push(if self.has_begun { ',' } else { '[' });
        self.has_begun = true;
    }

    fn end(&self, out: &mut String) {
        out.push_str(if self.has_begun { "]" } else { "[]" });
    }
}

/// The statuses that the original knows: its clients are told no others. A held entry is pending to them: it
/// is owed, and not paid yet. A void one is not shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum OldStatus {
    Pending,
    Paid,
}

impl OldStatus {
    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What an entry in this state is shown as. Void ones are shown only where one is asked for by its id.
    pub fn of(status: EntryStatus) -> Self {
        match status {
            EntryStatus::Paid => OldStatus::Paid,
            EntryStatus::Pending | EntryStatus::Held | EntryStatus::Void => OldStatus::Pending,
        }
    }
}

/// The states of the entries that are shown under a status, or at all.
pub const fn shown(status: Option<OldStatus>) -> Statuses {
    match status {
        None => Statuses::of(&[EntryStatus::Pending, EntryStatus::Paid, EntryStatus::Held]),
        Some(OldStatus::Pending) => Statuses::of(&[EntryStatus::Pending, EntryStatus::Held]),
        Some(OldStatus::Paid) => Statuses::of(&[EntryStatus::Paid]),
    }
}

/// A list of entries: newest first, by time and then by LSN, with levels ascending.
pub struct Entries {
    sight: Sight,
    walk: Listed,
    /// Steps of the last slice.
    looked: usize,
    brackets: Brackets,
}

impl Entries {
    /// All entries of one receiver.
    pub fn of(state: &State, sight: Sight, receiver: MemberIx) -> Self {
        let statuses = shown(None);
        Self::listed(
            state,
            sight,
            EntryFilter { receiver: Some(receiver), statuses, ..EntryFilter::default() },
        )
    }

    /// All entries, or all of a status that the original knows.
    pub fn all(state: &State, sight: Sight, status: Option<OldStatus>) -> Self {
        Self::listed(state, sight, EntryFilter { statuses: shown(status), ..EntryFilter::default() })
    }

    fn listed(state: &State, sight: Sight, filter: EntryFilter) -> Self {
        Self { sight, walk: state.listed(filter), looked: 0, brackets: Brackets::default() }
    }
}

impl Rows for Entries {
    fn print_slice(&mut self, row_id: RowIdOf<'_>, state: &State, out: &mut String) -> bool {
        let mut steps = SLICE_STEPS;
        for _ in 0..STREAM_ROWS {
            let Some(index) = state.listed_step(&mut self.walk, &mut steps) else { break };
            self.brackets.before_row(out);
            print_bonus(row_id, state, &self.sight.of_entry(state, &state.entry(index)), "Z", out);
        }
        self.looked = SLICE_STEPS - steps;
        if self.walk.is_over() {
            self.brackets.end(out);
        }
        !self.walk.is_over()
    }

    fn looked(&self) -> usize {
        self.looked
    }
}

#[cfg(test)]
#[path = "lists_test.rs"]
mod tests;
