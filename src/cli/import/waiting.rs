//! Rows of an import that wait for the row of another member.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use super::member_row::MemberRow;
use crate::{cli::names::Name, core::types::MemberId};

/// What a row waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// A member of this name or code.
    Name(Name),
    /// The row of this existing member.
    Row(MemberId),
}

/// Lines that need not wait any more.
pub(super) type Ready = BinaryHeap<Reverse<u64>>;

/// Waiting rows by line, and what they wait for.
#[derive(Default)]
pub(super) struct Waiting {
    pub rows: BTreeMap<u64, MemberRow>,
    /// By the key of the member's name, and by its id.
    pub lines: HashMap<MemberId, u64>,
    /// By key or id of the member waited for.
    pub for_member: HashMap<MemberId, Vec<u64>>,
    /// By code, for names that may turn out to be codes: [`Code::alike`].
    pub for_code: HashMap<String, Vec<u64>>,
}

impl Waiting {
    pub fn add(&mut self, row: MemberRow, wanted: &Wanted) {
        match wanted {
            Wanted::Row(id) => self.for_member.entry(*id).or_default().push(row.line),
            Wanted::Name(name) => {
                self.for_member.entry(name.key).or_default().push(row.line);
                for code in name.codes() {
                    self.for_code.entry(code.alike()).or_default().push(row.line);
                }
            }
        }
        self.lines.insert(row.member.key, row.line);
        self.lines.insert(row.member.id, row.line);
        self.rows.insert(row.line, row);
    }

    /// Releases the rows that waited for a member. A line may be listed twice, or no longer wait.
    pub fn release(&mut self, ids: [MemberId; 3], ready: &mut Ready) {
        if self.for_member.is_empty() {
            return;
        }
        let free = ids.iter().filter_map(|id| self.for_member.remove(id)).flatten();
        ready.extend(free.map(Reverse));
    }
}
