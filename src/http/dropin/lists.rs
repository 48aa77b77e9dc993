//! The drop-in's lists, each as a walk that can rest after any row.

use super::render::{BonusObject, MEMBER_CLOSE, MemberObject};
use crate::{
    engine::{Entry, EntryStatus, Member, MemberIx, Preorder, Received, RowKind, State, Tree},
    http::{
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

/// Prints a bonus object; `zone` is how its time ends.
pub fn print_bonus(row_id: RowIdOf<'_>, state: &State, entry: &Entry, zone: &str, out: &mut String) {
    let object = BonusObject {
        id: row_id(RowKind::Entry, entry.index),
        user_id: &state.member(entry.receiver).id.0,
        source_user_id: &state.member(entry.source).id.0,
        level: entry.level,
        amount: entry.amount.0,
        exponent: state.plan().currency.exponent,
        kind: &state.kind_name(entry.kind),
        status: entry.status.name(),
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

/// The nested downline of a member. Nesting comes from the levels of a preorder walk: a row one level deeper than the one before is its
/// child; otherwise objects end first, until as many are open as the row has ancestors in the list.
pub struct Downline {
    top_level: u32,
    walk: Preorder,
    /// The row to print once `to_close` objects have ended.
    next: Next,
    to_close: u32,
    /// Objects that have begun and not ended.
    open: u32,
    separator: Separator,
}

/// What the walk has found.
enum Next {
    /// Nothing yet: it is on its way.
    Searching,
    Row(Member),
    /// All rows are printed.
    End,
}

/// What goes before a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// It is the first of all.
    Begin,
    /// It is the first in its parent's `children`.
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

    /// Goes on to the next row, and to how many objects end before it. False when a slice's steps were not enough to find it.
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

    /// Ends objects, as many as a slice may. True when all that had to end have.
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

/// All entries of one receiver: newest command first, then level ascending.
pub struct EntriesOf {
    walk: Received,
    brackets: Brackets,
}

impl EntriesOf {
    pub fn new(state: &State, receiver: MemberIx) -> Self {
        Self { walk: state.received(receiver), brackets: Brackets::default() }
    }
}

impl Rows for EntriesOf {
    fn print_slice(&mut self, row_id: RowIdOf<'_>, state: &State, out: &mut String) -> bool {
        for _ in 0..STREAM_ROWS {
            let Some(index) = state.received_step(&mut self.walk) else {
                self.brackets.end(out);
                return false;
            };
            self.brackets.before_row(out);
            print_bonus(row_id, state, &state.entry(index), "Z", out);
        }
        true
    }
}

/// All entries, or all of one status: newest command first, then level ascending.
pub struct AllEntries {
    after: Option<u64>,
    /// Entries that existed when the walk began.
    before: u64,
    status: Option<EntryStatus>,
    brackets: Brackets,
}

impl AllEntries {
    pub fn new(state: &State, status: Option<EntryStatus>) -> Self {
        Self { after: None, before: state.entries(), status, brackets: Brackets::default() }
    }
}

impl Rows for AllEntries {
    fn print_slice(&mut self, row_id: RowIdOf<'_>, state: &State, out: &mut String) -> bool {
        for _ in 0..STREAM_ROWS {
            let Some(index) = state.next_entry(self.after, self.before, self.status) else {
                self.brackets.end(out);
                return false;
            };
            self.brackets.before_row(out);
            print_bonus(row_id, state, &state.entry(index), "Z", out);
            self.after = Some(index);
        }
        true
    }
}

#[cfg(test)]
#[path = "lists_test.rs"]
mod tests;
