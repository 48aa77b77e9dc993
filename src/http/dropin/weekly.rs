//! The weekly report: totals first, then the entries, oldest first.
//!
//! A receiver's entries are walked newest first, but the report needs the reverse without holding them all.
//! The first pass counts, sums, and marks the position of every n-th entry; the second visits the pieces
//! between marks from oldest to newest and reverses each. The marks stay below [`MARKS_MAX`], whatever the
//! receiver earned.

use super::{
    lists::{print_bonus, shown},
    render::{print_amount, print_id, print_integer},
};
use crate::{
    engine::{MemberIx, ReceivedWalk, State, Timestamp},
    http::{
        auth::Sight,
        limits::{SLICE_STEPS, STREAM_ROWS},
        stream::{RowIdOf, Rows},
    },
};

/// The window: seven days.
pub const WINDOW_MICROSECONDS: i64 = 7 * 24 * 3_600 * 1_000_000;

/// Positions marked in the first pass. When there are more, every other one is dropped and pieces become
/// twice as long.
const MARKS_MAX: usize = 4_096;

/// Initial number of entries between two marks: a piece fits a slice.
const PIECE_BEGIN: usize = STREAM_ROWS;

/// A report in progress.
pub struct Weekly {
    sight: Sight,
    user_id: [u8; 16],
    /// Entries before this are not in the report.
    since: Timestamp,
    total: i128,
    count: u64,
    /// Entries of the window in the first pass, void ones included: pieces are cut by their number, which
    /// does not change when one becomes void before the second pass.
    walked: u64,
    /// Entries with an index below this existed when it began.
    before: u64,
    /// Position of the walk.
    at: Option<ReceivedWalk>,
    /// Position before every `piece`-th entry of the report, newest first.
    marks: Vec<ReceivedWalk>,
    piece: usize,
    stage: Stage,
    /// Entries of the current piece, newest first.
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
    /// `receiver` is `None` for users that are not members.
    pub fn new(
        state: &State,
        sight: Sight,
        user_id: [u8; 16],
        receiver: Option<MemberIx>,
        now: Timestamp,
    ) -> Self {
        Self {
            sight,
            user_id,
            since: Timestamp(now.0.saturating_sub(WINDOW_MICROSECONDS)),
            total: 0,
            count: 0,
            walked: 0,
            before: state.entries(),
            at: receiver.map(|receiver| state.received(receiver)),
            marks: Vec::new(),
            piece: PIECE_BEGIN,
            stage: Stage::Count,
            rows: Vec::new(),
            has_rows: false,
        }
    }

    /// Returns the next entry of the report from `self.at` on, and its position; `None` at the end, or when
    /// the steps are used up (then `self.at` is set).
    fn next_in_window(&mut self, state: &State, steps: &mut usize) -> Option<(u64, ReceivedWalk)> {
        while let Some(walk) = &mut self.at {
            if *steps == 0 {
                return None;
            }
            *steps -= 1;
            let place = *walk;
            let next = state.received_step(walk).filter(|index| self.since <= state.entry(*index).time);
            match next {
                Some(index) if index < self.before => return Some((index, place)),
                Some(_) => {}
                None => self.at = None,
            }
        }
        None
    }

    /// The first pass. Returns true when it is done.
    fn count(&mut self, state: &State) -> bool {
        let mut steps = SLICE_STEPS;
        while let Some((index, place)) = self.next_in_window(state, &mut steps) {
            if self.walked.is_multiple_of(self.piece as u64) {
                self.marks.push(place);
            }
            self.walked += 1;
            let entry = state.entry(index);
            if shown(None).contains(entry.status) {
                self.count += 1;
                self.total += i128::from(entry.amount.0);
            }
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
            // The original sums an empty list, which gives an integer.
            out.push('0');
        } else {
            print_amount(self.total, state.plan().currency.exponent, out);
        }
        out.push_str(",\"count\":");
        print_integer(self.count, out);
        out.push_str(",\"bonuses\":[");
    }

    /// Advances to the oldest remaining piece. Returns false when there is none.
    fn begin_piece(&mut self) -> bool {
        self.at = self.marks.pop();
        self.stage = Stage::Collect;
        self.at.is_some()
    }

    /// Collects the entries of a piece. Returns true when it is complete.
    fn collect(&mut self, state: &State) -> bool {
        let mut steps = SLICE_STEPS;
        while self.rows.len() < self.piece {
            let Some((index, _)) = self.next_in_window(state, &mut steps) else { break };
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
                    let entry = state.entry(index);
                    if !shown(None).contains(entry.status) {
                        continue;
                    }
                    if self.has_rows {
                        out.push(',');
                    }
                    self.has_rows = true;
                    print_bonus(row_id, state, &self.sight.of_entry(state, &entry), "+00:00", out);
                }
            }
        }
        true
    }
}

/// Ends the report; nothing follows it.
fn end(out: &mut String) -> bool {
    out.push_str("]}");
    false
}
