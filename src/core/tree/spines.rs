//! Runs of members that pass newcomers on; the end is found from any of them.

use bytemuck::{Pod, Zeroable};

use crate::core::{
    store::column::{Column, Scalar, freeze_fields, freeze_optional},
    words::types::{MemberIx, NONE},
};

/// The most members in a segment. Segments that follow each other in a run together have more.
const SEGMENT_MAX: u32 = if cfg!(test) { 8 } else { 1_024 };

/// Spines: runs of members each of which passes a newcomer on to the next. The end is found from any member
/// in O(1).
///
/// A run is a list of segments, each of up to [`SEGMENT_MAX`] members; a member knows its segment, a segment
/// its run, and a run its last segment. So joining a member to either end of a run is O(1), and joining or
/// splitting runs renames the members of one segment and the segments of the shorter part: O(`SEGMENT_MAX` +
/// run / `SEGMENT_MAX`). A member alone is in no segment, and a run of one segment needs no other record, so
/// short runs, which are most, cost little memory.
pub(in crate::core) struct Spines {
    members: Column<Place>,
    segments: Column<Segment>,
    runs: Column<Run>,
    unused: Scalar<Unused>,
}

freeze_fields!(Spines { members, segments, runs, unused });

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Place {
    /// `NONE` for a member that is a run by itself.
    segment: u32,
    /// Where it passes newcomers on to; `NONE` at the end of a run.
    next: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Segment {
    /// `NONE` for the only segment of a run.
    run: u32,
    members: u32,
    first: u32,
    last: u32,
    /// The segment that follows in the run. Of an unused one: the next unused one.
    after: u32,
}

/// A run of several segments.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Run {
    /// Of an unused one: the next unused one.
    first: u32,
    last: u32,
    segments: u32,
}

/// The first unused segment and run.
#[derive(Clone, Copy)]
struct Unused {
    segment: u32,
    run: u32,
}

impl Spines {
    pub fn new() -> Self {
        Self {
            members: Column::new(),
            segments: Column::new(),
            runs: Column::new(),
            unused: Scalar::new(Unused { segment: NONE, run: NONE }),
        }
    }

    /// Adds the next member, a run by itself.
    pub fn push(&mut self, member: MemberIx) {
        debug_assert_eq!(self.members.len(), member.at());
        self.members.push(Place { segment: NONE, next: NONE });
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.members.bytes() + self.segments.bytes() + self.runs.bytes()
    }

    /// The end of the run that `member` is in. O(1).
    pub fn end(&self, member: MemberIx) -> MemberIx {
        let own = self.members.get(member.at()).segment;
        if own == NONE {
            return member;
        }
        let segment = self.segment(own);
        if segment.run == NONE {
            return MemberIx(segment.last);
        }
        MemberIx(self.segment(self.run(segment.run).last).last)
    }

    /// Makes `member`, the end of its run, pass newcomers on to `next`, the first of another run, from now
    /// on. O(1) if one of them is a run by itself, else O(`SEGMENT_MAX` + shorter run / `SEGMENT_MAX`).
    pub fn join(&mut self, member: MemberIx, next: MemberIx) {
        debug_assert_eq!(self.members.get(member.at()).next, NONE, "it is the end of its run");
        self.members.get_mut(member.at()).next = next.0;
        let [above, below] = [member, next].map(|member| self.members.get(member.at()).segment);
        if below == NONE && above != NONE && self.segment(above).members < SEGMENT_MAX {
            self.members.get_mut(next.at()).segment = above;
            let segment = self.segments.get_mut(above as usize);
            (segment.members, segment.last) = (segment.members + 1, next.0);
        } else if above == NONE && below != NONE && self.segment(below).members < SEGMENT_MAX {
            self.members.get_mut(member.at()).segment = below;
            let segment = self.segments.get_mut(below as usize);
            (segment.members, segment.first) = (segment.members + 1, member.0);
        } else if above == NONE && below == NONE {
            let both = Segment { run: NONE, members: 2, first: member.0, last: next.0, after: NONE };
            let both = self.add_segment(both);
            [member, next].into_iter().for_each(|member| self.members.get_mut(member.at()).segment = both);
        } else {
            let [upper, lower] = [member, next].map(|member| self.segment_of(member));
            self.chain(upper, lower);
            self.merge_if_few(upper, lower);
        }
    }
}

/// Splitting, which only a move needs.
#[cfg_attr(not(test), expect(dead_code, reason = "a command that moves members will call it"))]
impl Spines {
    /// Makes `member` the end of its run; the members after it become a run of their own. No effect at the
    /// end of a run. O(`SEGMENT_MAX` + run / `SEGMENT_MAX`).
    pub fn split(&mut self, member: MemberIx) {
        let Place { segment: upper, next } = *self.members.get(member.at());
        if next == NONE {
            return;
        }
        self.members.get_mut(member.at()).next = NONE;
        let lower = if self.members.get(next as usize).segment == upper {
            self.divide(upper, member.0, next)
        } else {
            self.segment(upper).after
        };
        self.unchain(upper, lower);
        self.tidy_last(upper);
        self.tidy_first(lower);
    }

    /// Moves the members of a segment after `last`, which begin with `first`, to a new segment of the same
    /// run, which follows. Returns it.
    fn divide(&mut self, upper: u32, last: u32, first: u32) -> u32 {
        let before = *self.segment(upper);
        let lower = self.add_segment(Segment { first, last: before.last, ..before });
        let members = self.rename(first, lower);
        self.segments.get_mut(lower as usize).members = members;
        let segment = self.segments.get_mut(upper as usize);
        (segment.members, segment.last, segment.after) = (before.members - members, last, NONE);
        if before.run == NONE {
            self.chain(upper, lower);
            return lower;
        }
        self.segments.get_mut(upper as usize).after = lower;
        let run = self.runs.get_mut(before.run as usize);
        run.segments += 1;
        if run.last == upper {
            run.last = lower;
        }
        lower
    }

    /// Divides a run between two segments that follow each other.
    fn unchain(&mut self, upper: u32, lower: u32) {
        let number = self.segment(upper).run;
        let whole = *self.run(number);
        let before = 1 + self.chain_from(whole.first).take_while(|segment| *segment != upper).count();
        let before = u32::try_from(before).expect("fewer segments than members");
        self.segments.get_mut(upper as usize).after = NONE;
        let above = Run { last: upper, segments: before, ..whole };
        let below = Run { first: lower, segments: whole.segments - before, ..whole };
        let (shorter, longer) = if below.segments < above.segments { (below, above) } else { (above, below) };
        *self.runs.get_mut(number as usize) = longer;
        let own = self.add_run(shorter);
        self.rename_run(shorter.first, own);
        [number, own].into_iter().for_each(|run| self.drop_run_of_one(run));
    }

    /// Merges the last segment of a run, which lost members, with the one before it if they are few.
    fn tidy_last(&mut self, last: u32) {
        let run = self.segment(last).run;
        if run == NONE {
            return self.drop_segment_of_one(last);
        }
        let before = self.chain_from(self.run(run).first).find(|at| self.segment(*at).after == last);
        self.merge_if_few(before.expect("a run with a record has several segments"), last);
    }

    /// As `tidy_last`, for the first.
    fn tidy_first(&mut self, first: u32) {
        match self.segment(first).after {
            NONE => self.drop_segment_of_one(first),
            after => self.merge_if_few(first, after),
        }
    }

    fn drop_segment_of_one(&mut self, number: u32) {
        let segment = *self.segment(number);
        if segment.members == 1 {
            self.members.get_mut(segment.first as usize).segment = NONE;
            self.drop_segment(number);
        }
    }

    /// The segments of a run from one on.
    fn chain_from(&self, segment: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(Some(segment), |at| {
            let after = self.segment(*at).after;
            (after != NONE).then_some(after)
        })
    }
}

impl Spines {
    fn segment(&self, number: u32) -> &Segment {
        self.segments.get(number as usize)
    }

    fn run(&self, number: u32) -> &Run {
        self.runs.get(number as usize)
    }

    /// The segment of a member, a new one if it had none.
    fn segment_of(&mut self, member: MemberIx) -> u32 {
        let known = self.members.get(member.at()).segment;
        if known != NONE {
            return known;
        }
        let alone = Segment { run: NONE, members: 1, first: member.0, last: member.0, after: NONE };
        let number = self.add_segment(alone);
        self.members.get_mut(member.at()).segment = number;
        number
    }

    /// Makes the run that begins with segment `lower` follow the one that ends with `upper`.
    fn chain(&mut self, upper: u32, lower: u32) {
        self.segments.get_mut(upper as usize).after = lower;
        let [above, below] = [upper, lower].map(|segment| self.segment(segment).run);
        match (above, below) {
            (NONE, NONE) => {
                let run = self.add_run(Run { first: upper, last: lower, segments: 2 });
                self.rename_run(upper, run);
            }
            (_, NONE) => {
                self.segments.get_mut(lower as usize).run = above;
                let run = self.runs.get_mut(above as usize);
                (run.last, run.segments) = (lower, run.segments + 1);
            }
            (NONE, _) => {
                self.segments.get_mut(upper as usize).run = below;
                let run = self.runs.get_mut(below as usize);
                (run.first, run.segments) = (upper, run.segments + 1);
            }
            _ => {
                let [one, other] = [above, below].map(|run| *self.run(run));
                let whole =
                    Run { first: one.first, last: other.last, segments: one.segments + other.segments };
                let (kept, dropped) =
                    if one.segments < other.segments { (below, above) } else { (above, below) };
                // Up to `upper` or from `lower` on, whichever is dropped; renaming stops at the kept ones.
                self.rename_run(if dropped == above { one.first } else { lower }, kept);
                *self.runs.get_mut(kept as usize) = whole;
                self.drop_run(dropped);
            }
        }
    }

    /// Puts the segments from `first` on into a run, up to the first one that is in it already.
    fn rename_run(&mut self, first: u32, run: u32) {
        let mut at = first;
        while at != NONE && self.segment(at).run != run {
            let segment = self.segments.get_mut(at as usize);
            segment.run = run;
            at = segment.after;
        }
    }

    /// Merges two segments that follow each other if they fit in one.
    fn merge_if_few(&mut self, upper: u32, lower: u32) {
        let (above, below) = (*self.segment(upper), *self.segment(lower));
        if SEGMENT_MAX < above.members + below.members {
            return;
        }
        self.rename(below.first, upper);
        *self.segments.get_mut(upper as usize) =
            Segment { members: above.members + below.members, last: below.last, after: below.after, ..above };
        let run = self.runs.get_mut(above.run as usize);
        run.segments -= 1;
        if run.last == lower {
            run.last = upper;
        }
        self.drop_segment(lower);
        self.drop_run_of_one(above.run);
    }

    /// Puts members from `first` on into a segment, as long as they are in the one that `first` is in.
    /// Returns how many.
    fn rename(&mut self, first: u32, segment: u32) -> u32 {
        let (before, mut at, mut renamed) = (self.members.get(first as usize).segment, first, 0);
        while at != NONE && self.members.get(at as usize).segment == before {
            let place = self.members.get_mut(at as usize);
            place.segment = segment;
            (at, renamed) = (place.next, renamed + 1);
        }
        renamed
    }

    /// A run of one segment needs no record.
    fn drop_run_of_one(&mut self, number: u32) {
        let run = *self.run(number);
        if run.segments == 1 {
            self.segments.get_mut(run.first as usize).run = NONE;
            self.drop_run(number);
        }
    }

    fn add_segment(&mut self, segment: Segment) -> u32 {
        let number = self.unused.segment;
        if number == NONE {
            self.segments.push(segment);
            return u32::try_from(self.segments.len() - 1).expect("fewer segments than members");
        }
        self.unused.segment = self.segment(number).after;
        *self.segments.get_mut(number as usize) = segment;
        number
    }

    fn drop_segment(&mut self, number: u32) {
        self.segments.get_mut(number as usize).after = self.unused.segment;
        self.unused.segment = number;
    }

    fn add_run(&mut self, run: Run) -> u32 {
        let number = self.unused.run;
        if number == NONE {
            self.runs.push(run);
            return u32::try_from(self.runs.len() - 1).expect("fewer runs than members");
        }
        self.unused.run = self.run(number).first;
        *self.runs.get_mut(number as usize) = run;
        number
    }

    fn drop_run(&mut self, number: u32) {
        self.runs.get_mut(number as usize).first = self.unused.run;
        self.unused.run = number;
    }
}

freeze_optional!([] Spines, Spines::new());

#[cfg(test)]
#[path = "spines_test.rs"]
mod tests;
