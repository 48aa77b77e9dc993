//! The weekly report: totals first, then the entries, oldest first.
//!
//! Entries of a receiver are linked newest first, and the report wants them the other way round without holding them all. The first
//! walk counts, adds up, and remembers every n-th entry; the second goes through the pieces between those from the oldest to the newest and
//! turns each round. What is remembered stays below [`MARKS_MAX`], whatever the receiver earned.

use super::{
    lists::print_bonus,
    render::{print_amount, print_id, print_integer},
};
use crate::{
    engine::{MemberIx, State, Timestamp},
    http::{
        limits::{SLICE_STEPS, STREAM_ROWS},
        stream::{RowIdOf, Rows},
    },
};

/// The window: seven days.
pub const WINDOW_MICROSECONDS: i64 = 7 * 24 * 3_600 * 1_000_000;

/// Entries remembered in the first walk. When there are more, every other one is forgotten and pieces become twice as long.
const MARKS_MAX: usize = 4_096;

/// Entries between two remembered ones, at first: a piece fits a slice.
const PIECE_BEGIN: usize = STREAM_ROWS;

/// A report being made.
pub struct Weekly {
    user_id: [u8; 16],
    /// Entries before this are not in the report.
    since: Timestamp,
    total: i128,
    count: u64,
    /// Where the walk is: an entry to look at.
    at: Option<u64>,
    /// Every `piece`-th entry of the report, newest first.
    marks: Vec<u64>,
    piece: usize,
    stage: Stage,
    /// Entries of the piece in hand, newest first.
    rows: Vec<u64>,
    has_rows: bool,
}

enum Stage {
    /// Adding up.
    Count,
    /// Collecting a piece.
    Collect,
    /// Printing it.
    Print,
}

impl Weekly {
    /// `receiver` is `None` for users that are no members.
    pub fn new(state: &State, user_id: [u8; 16], receiver: Option<MemberIx>, now: Timestamp) -> Self {
        Self {
            user_id,
            since: Timestamp(now.0.saturating_sub(WINDOW_MICROSECONDS)),
            total: 0,
            count: 0,
            at: receiver.and_then(|receiver| state.newest_entry_of(receiver)),
            marks: Vec::new(),
            piece: PIECE_BEGIN,
            stage: Stage::Count,
            rows: Vec::new(),
            has_rows: false,
        }
    }

    /// The next entry of the report from `self.at` on; `None` at the end, or when the steps are used up (then `self.at` is set).
    fn next_in_window(&mut self, state: &State, steps: &mut usize) -> Option<u64> {
        while let Some(index) = self.at {
            if *steps == 0 {
                return None;
            }
            *steps -= 1;
            if self.since <= state.entry(index).time {
                self.at = state.older_entry(index);
                return Some(index);
            }
            // Imported entries may stand out of order: only where none do is the first old entry the end.
            self.at = if state.entry_times_ascend() { None } else { state.older_entry(index) };
        }
        None
    }

    /// The first walk. True when it is through.
    fn count(&mut self, state: &State) -> bool {
        let mut steps = SLICE_STEPS;
        while let Some(index) = self.next_in_window(state, &mut steps) {
            if self.count.is_multiple_of(self.piece as u64) {
                self.marks.push(index);
            }
            self.count += 1;
            self.total += i128::from(state.entry(index).amount.0);
            if MARKS_MAX < self.marks.len() {
                let mut position = 0;
                self.marks.retain(|_| {
                    position += 1;
                    position % 2 == 1
                });
                self.piece *= 2;
            }
        }
        self.at.is_none()
    }

    fn print_head(&self, state: &State, out: &mut String) {
        out.push_str("{\"user_id\":");
        print_id(&self.user_id, out);
        out.push_str(",\"total_bonus\":");
        if self.count == 0 {
            // The original adds up an empty list: an integer.
            out.push('0');
        } else {
            print_amount(self.total, state.plan().currency.exponent, out);
        }
        out.push_str(",\"count\":");
        print_integer(self.count, out);
        out.push_str(",\"bonuses\":[");
    }

    /// Goes on to the oldest piece that is left. False when there is none.
    fn begin_piece(&mut self) -> bool {
        self.at = self.marks.pop();
        self.stage = Stage::Collect;
        self.at.is_some()
    }

    /// Collects the entries of a piece. True when it is complete.
    fn collect(&mut self, state: &State) -> bool {
        let mut steps = SLICE_STEPS;
        while self.rows.len() < self.piece {
            let Some(index) = self.next_in_window(state, &mut steps) else { break };
            self.rows.push(index);
        }
        self.rows.len() == self.piece || self.at.is_none()
    }
}

impl Rows for Weekly {
    fn print_slice(&mut self, row_id: RowIdOf<'_>, state: &State, out: &mut String) -> bool {
        match self.stage {
            Stage::Count => {
                if self.count(state) {
                    self.print_head(state, out);
                    return self.begin_piece() || end(out);
                }
            }
            Stage::Collect => {
                if self.collect(state) {
                    self.stage = Stage::Print;
                }
            }
            Stage::Print => {
                for _ in 0..STREAM_ROWS {
                    let Some(index) = self.rows.pop() else { return self.begin_piece() || end(out) };
                    if self.has_rows {
                        out.push(',');
                    }
                    self.has_rows = true;
                    print_bonus(row_id, state, &state.entry(index), "+00:00", out);
                }
            }
        }
        true
    }
}

/// Ends the report; there is nothing after it.
fn end(out: &mut String) -> bool {
    out.push_str("]}");
    false
}
