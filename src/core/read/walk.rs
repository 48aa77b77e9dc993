//! Walks through a downline level by level: nearest members first, inside a level in tree order (slots, or
//! joins in the sponsor tree).
//!
//! Two walks give this one order. [`BreadthFirst`] is for streams: linear in what it shows, with a queue of
//! its own. [`LevelOrder`] is for pages: it needs no queue between steps, so it fits a cursor, and pays for
//! that with climbs. Both count their work in steps to bound lock hold times, both show only members that
//! existed when they began, and neither is disturbed by later joins.

use std::{collections::VecDeque, hint::black_box};

use crate::core::{
    network::prefetch::TOGETHER,
    state::parts::State,
    tree::genealogy::Genealogy,
    words::types::{MemberIx, NONE, Tree},
};

/// Members per block of a [`Queue`]: blocks of 16 KiB are small relative to a long queue and large relative
/// to their table.
const BLOCK: usize = 4_096;

/// A FIFO queue that grows and shrinks by blocks: a `VecDeque` of members would double, and never shrink.
#[derive(Default)]
struct Queue {
    blocks: VecDeque<Vec<u32>>,
    /// Number taken from the first block.
    taken: usize,
    len: u32,
}

impl Queue {
    fn push(&mut self, member: MemberIx) {
        if self.blocks.back().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push_back(Vec::with_capacity(BLOCK));
        }
        let block = self.blocks.back_mut().expect("there is one now");
        block.push(member.0);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<MemberIx> {
        let first = self.blocks.front()?;
        let member = *first.get(self.taken)?;
        self.taken += 1;
        self.len -= 1;
        if self.taken == BLOCK {
            self.blocks.pop_front();
            self.taken = 0;
        }
        Some(MemberIx(member))
    }

    /// The next members to prefetch, once as many were taken; otherwise empty.
    fn to_prefetch(&self) -> &[u32] {
        match self.blocks.front() {
            Some(block) if self.taken.is_multiple_of(TOGETHER) => {
                &block[self.taken..block.len().min(self.taken + TOGETHER)]
            }
            _ => &[],
        }
    }
}

const _: () = assert!(BLOCK.is_multiple_of(TOGETHER));

/// A walk through a downline, level by level, whose queue holds the first child of each member passed that
/// has any. Children that later join before that one are left out anyway.
///
/// Linear: a step per member and per member with children. Memory: 4 bytes for each member *with children* of
/// one level, which is half of a downline at most (20 MB at ten million members, where each of five million
/// has one child; less in any other shape).
pub struct BreadthFirst {
    /// Members from this index on are left out.
    before: u32,
    /// Levels to descend below the top.
    deepest: u32,
    /// Depth of the members found now; 1 for children of the top.
    depth: u32,
    /// First children.
    queue: Queue,
    /// Number of queued first children at `depth`.
    above: u32,
    /// The next child to visit; `NONE` when the next one comes from the queue.
    candidate: u32,
}

impl BreadthFirst {
    /// Whether the walk is over.
    pub fn is_over(&self) -> bool {
        self.candidate == NONE && self.queue.len == 0
    }

    /// Bytes the walk holds now.
    pub fn bytes(&self) -> usize {
        self.queue.blocks.len() * BLOCK * size_of::<u32>()
    }
}

/// A level-by-level walk through a downline that fits in a cursor.
///
/// The members of one level are those of a preorder walk that goes no deeper. Where one level ends, the next
/// begins below its first member with children, and stays below the nearest common ancestor of all that have
/// any. So a chain costs a step per member; in general a level costs the members above it within that common
/// ancestor's downline, not only its own: two legs of depth d cost O(d) per level. A page is therefore
/// limited in steps as well as in rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LevelOrder {
    /// Members from this index on are left out.
    before: u32,
    /// Level, counted from the root of the tree, of the members found now.
    level: u32,
    /// The last level to show.
    last_level: u32,
    /// All members of this level are below this one.
    base: MemberIx,
    at: MemberIx,
    /// Whether the children of `at` come next; otherwise everything below `at` is done.
    down: bool,
    /// The first member of this level with children; `NONE` until one is found.
    first_inner: u32,
    /// Common ancestor of all members found on this level that have children.
    next_base: u32,
    /// The highest member between whose children the walk moved since then.
    crossing: u32,
}

/// Words in the portable form of a [`LevelOrder`].
pub const LEVEL_ORDER_WORDS: usize = 9;

impl LevelOrder {
    /// Whether the walk is over.
    pub fn is_over(&self) -> bool {
        !self.down && self.at == self.base && (self.first_inner == NONE || self.level == self.last_level)
    }

    /// The portable form for a cursor; read by [`State::level_order_from`].
    pub fn to_words(&self) -> [u32; LEVEL_ORDER_WORDS] {
        [
            self.before,
            self.level,
            self.last_level,
            self.base.0,
            self.at.0,
            u32::from(self.down),
            self.first_inner,
            self.next_base,
            self.crossing,
        ]
    }
}

impl Genealogy {
    fn breadth_first(&self, top: MemberIx, deepest: u32, before: u32) -> BreadthFirst {
        let candidate = if deepest == 0 { NONE } else { self.link(top).first_child };
        BreadthFirst { before, deepest, depth: 1, queue: Queue::default(), above: 0, candidate }
    }

    fn breadth_first_next(&self, walk: &mut BreadthFirst, steps: &mut usize) -> Option<(MemberIx, u32)> {
        while 0 < *steps && !walk.is_over() {
            *steps -= 1;
            if let Some(member) = MemberIx::from_column(walk.candidate) {
                let link = self.link(member);
                walk.candidate = link.next_sibling;
                let is_shown = member.0 < walk.before;
                // Only in a tree in join order is nobody older below a newer member.
                let descends = is_shown || !self.is_in_join_order();
                if descends && link.first_child != NONE && walk.depth < walk.deepest {
                    walk.queue.push(MemberIx(link.first_child));
                }
                if is_shown {
                    return Some((member, walk.depth));
                }
                continue;
            }
            if walk.above == 0 {
                walk.above = walk.queue.len;
                walk.depth += 1;
            }
            black_box(self.prefetch_siblings(walk.queue.to_prefetch()));
            walk.candidate = walk.queue.pop().expect("a walk that is not over has somebody to look at").0;
            walk.above -= 1;
        }
        None
    }

    /// Prefetches the links of `first_children` and their next siblings, step by step for all. The result is
    /// meaningless.
    fn prefetch_siblings(&self, first_children: &[u32]) -> u32 {
        let next = |child: u32| if child == NONE { NONE } else { self.link(MemberIx(child)).next_sibling };
        let second = first_children.iter().fold(0, |seen, child| seen ^ next(*child));
        first_children.iter().fold(second, |seen, child| seen ^ next(next(*child)))
    }

    /// Levels `first..=deepest` below `top`.
    fn level_order(&self, top: MemberIx, first: u32, deepest: u32, before: u32) -> LevelOrder {
        let level = self.link(top).level;
        LevelOrder {
            before,
            level: level.saturating_add(first),
            last_level: level.saturating_add(deepest),
            base: top,
            at: top,
            down: 0 < first && first <= deepest,
            first_inner: NONE,
            next_base: NONE,
            crossing: NONE,
        }
    }

    fn level_order_next(&self, walk: &mut LevelOrder, steps: &mut usize) -> Option<MemberIx> {
        while 0 < *steps && !walk.is_over() {
            *steps -= 1;
            let next = if walk.down {
                walk.down = false;
                self.link(walk.at).first_child
            } else if walk.at == walk.base {
                self.begin_level(walk);
                continue;
            } else {
                let link = self.link(walk.at);
                if link.next_sibling == NONE {
                    // A forged walk whose base is no ancestor would otherwise leave the tree.
                    walk.at = MemberIx::from_column(link.parent).unwrap_or(walk.base);
                    continue;
                }
                if walk.first_inner != NONE {
                    walk.crossing = self.higher(walk.crossing, link.parent);
                }
                link.next_sibling
            };
            let Some(member) = MemberIx::from_column(next) else { continue };
            walk.at = member;
            // A member that joined after the walk began is left out, but in a tree that is not in join order
            // there may be older ones below it.
            let is_shown = member.0 < walk.before;
            if !is_shown && self.is_in_join_order() {
                continue;
            }
            if self.link(member).level < walk.level {
                walk.down = true;
                continue;
            }
            self.note_inner(walk, member);
            if is_shown {
                return Some(member);
            }
        }
        None
    }

    /// Continues with the next level.
    fn begin_level(&self, walk: &mut LevelOrder) {
        let first = MemberIx(walk.first_inner);
        walk.level += 1;
        (walk.at, walk.base, walk.down) = (first, MemberIx(walk.next_base), true);
        (walk.first_inner, walk.next_base, walk.crossing) = (NONE, NONE, NONE);
        debug_assert!(self.link(walk.base).level <= self.link(first).level);
    }

    /// Records a member of the present level for the next one.
    fn note_inner(&self, walk: &mut LevelOrder, member: MemberIx) {
        if self.link(member).first_child == NONE {
            return;
        }
        if walk.first_inner == NONE {
            (walk.first_inner, walk.next_base) = (member.0, member.0);
        } else {
            walk.next_base = self.higher(walk.next_base, walk.crossing);
        }
        walk.crossing = NONE;
    }

    /// The one closer to the root.
    fn higher(&self, one: u32, other: u32) -> u32 {
        let level = |member: u32| if member == NONE { u32::MAX } else { self.link(MemberIx(member)).level };
        if level(other) < level(one) { other } else { one }
    }

    /// Whether `member` is `top` or below it.
    fn is_within(&self, top: MemberIx, member: MemberIx) -> bool {
        top == member || self.is_ancestor(top, member)
    }

    /// Restores a walk of `top`'s downline from its words; `None` when no walk of it can have had them.
    fn level_order_from(&self, top: MemberIx, words: [u32; LEVEL_ORDER_WORDS]) -> Option<LevelOrder> {
        let [before, level, last_level, base, at, down, first_inner, next_base, crossing] = words;
        let (base, at, down) = (MemberIx(base), MemberIx(at), down == 1);
        let known = |member: u32| (member as usize) < self.len();
        let (is_before_known, are_known) = (before as usize <= self.len(), known(base.0) && known(at.0));
        if !is_before_known
            || !are_known
            || last_level < level
            || !self.is_within(top, base)
            || !self.is_within(base, at)
        {
            return None;
        }
        let at_level = self.link(at).level;
        if level < at_level || down && at_level == level {
            return None;
        }
        if first_inner != NONE {
            let is_inner =
                known(first_inner) && known(next_base) && self.link(MemberIx(first_inner)).level == level;
            if !is_inner
                || !self.is_within(top, MemberIx(next_base))
                || !self.is_within(MemberIx(next_base), MemberIx(first_inner))
            {
                return None;
            }
            // It becomes the base only if it is above the known one.
            let is_deeper = |crossing| self.link(MemberIx(next_base)).level <= self.link(crossing).level;
            let can_cross = |crossing| {
                self.is_within(top, crossing)
                    && (is_deeper(crossing) || self.is_within(crossing, MemberIx(next_base)))
            };
            if crossing != NONE && !(known(crossing) && can_cross(MemberIx(crossing))) {
                return None;
            }
        } else if next_base != NONE || crossing != NONE {
            return None;
        }
        Some(LevelOrder { before, level, last_level, base, at, down, first_inner, next_base, crossing })
    }
}

impl State {
    /// A walk through the present downline of `top`, `deepest` levels down (`u32::MAX` for all), for
    /// [`State::breadth_first_step`].
    pub fn breadth_first(&self, tree: Tree, top: MemberIx, deepest: u32) -> BreadthFirst {
        self.tree(tree).breadth_first(top, deepest, self.len())
    }

    /// The next member of a walk through `tree`, the one it was begun in, with its depth below the top.
    /// `None` when the walk is over, or when `steps`, which it decrements, are used up:
    /// [`BreadthFirst::is_over`] tells which. O(steps).
    pub fn breadth_first_step(
        &self,
        tree: Tree,
        walk: &mut BreadthFirst,
        steps: &mut usize,
    ) -> Option<(MemberIx, u32)> {
        self.tree(tree).breadth_first_next(walk, steps)
    }

    /// A walk through the present levels `first..=deepest` below `top`, for [`State::level_order_step`].
    /// Levels count from 1.
    pub fn level_order(&self, tree: Tree, top: MemberIx, first: u32, deepest: u32) -> LevelOrder {
        self.tree(tree).level_order(top, first, deepest, self.len())
    }

    /// The next member of a walk through `tree`, the one it was begun in. `None` when it is over, or when
    /// `steps`, which it decrements, are used up: [`LevelOrder::is_over`] tells which. O(steps).
    pub fn level_order_step(&self, tree: Tree, walk: &mut LevelOrder, steps: &mut usize) -> Option<MemberIx> {
        self.tree(tree).level_order_next(walk, steps)
    }

    /// Restores a walk through the downline of `top` from its words; `None` for words that no such walk can
    /// have. It never leaves the downline of `top`, whatever the words. O(log n).
    pub fn level_order_from(
        &self,
        tree: Tree,
        top: MemberIx,
        words: [u32; LEVEL_ORDER_WORDS],
    ) -> Option<LevelOrder> {
        self.tree(tree).level_order_from(top, words)
    }
}

#[cfg(test)]
#[path = "walk_test.rs"]
mod tests;
