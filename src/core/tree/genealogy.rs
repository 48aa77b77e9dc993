//! One tree over the arena: links between members, and counts along them.
//!
//! The same structure serves the sponsor tree and the placement tree. New members are attached below existing
//! ones, so a tree that only grows is in join order: each parent joined before its children. A tree may also
//! be restored that is not (`settle.rs`); [`Genealogy::order`] gives an order of its members in either case.
//! Counting is optional, since a plan may not need it for the sponsor tree.

use crate::core::{
    store::{
        column::{Column, Freeze, Scalar, ViewId},
        freeing::Freeing,
        held::Held,
        pace::Pace,
        region::Region,
        steps,
    },
    tree::{
        counting::{CHAIN, Counts, NEAR, NearUpline, Watch},
        families::Siblings,
        link::{Link, NO_LINK},
        order::Order,
        tour::{Spans, Split, Tour},
    },
    words::types::{LEVELS_MAX, MemberIx, NONE},
};

pub(crate) struct Genealogy {
    pub(in crate::core) links: Column<Link>,
    counts: Option<Counts>,
    pub(in crate::core) siblings: Siblings,
    /// Whether each parent has a smaller index than its children.
    pub(super) in_join_order: Scalar<bool>,
}

impl Held for Genealogy {
    fn bytes(&self) -> usize {
        let Self { links, counts, siblings, in_join_order } = self;
        links.bytes() + counts.bytes() + siblings.bytes() + in_join_order.bytes()
    }
}

impl Freeze for Genealogy {
    fn freeze(&mut self, view: ViewId) {
        let Self { links, counts, siblings, in_join_order } = self;
        links.freeze(view);
        if !view.lean {
            counts.freeze(view);
        }
        siblings.freeze(view);
        in_join_order.freeze(view);
    }

    fn thaw(&mut self, view: ViewId, freeing: &mut Freeing) {
        let Self { links, counts, siblings, in_join_order } = self;
        links.thaw(view, freeing);
        counts.thaw(view, freeing);
        siblings.thaw(view, freeing);
        in_join_order.thaw(view, freeing);
    }

    /// A copy without the counts is not complete before `set_jumps`.
    fn copy_step(&self, view: ViewId, copy: &mut Self) -> bool {
        let Self { links, counts, siblings, in_join_order } = self;
        links.copy_step(view, &mut copy.links)
            && (view.lean || counts.copy_step(view, &mut copy.counts))
            && siblings.copy_step(view, &mut copy.siblings)
            && in_join_order.copy_step(view, &mut copy.in_join_order)
    }

    fn skip(&self, view: ViewId) {
        let Self { links, counts, siblings, in_join_order } = self;
        links.skip(view);
        counts.skip(view);
        siblings.skip(view);
        in_join_order.skip(view);
    }

    fn release(&mut self, view: ViewId, freeing: &mut Freeing) {
        let Self { links, counts, siblings, in_join_order } = self;
        links.release(view, freeing);
        counts.release(view, freeing);
        siblings.release(view, freeing);
        in_join_order.release(view, freeing);
    }

    fn share(&mut self, other: &Self, freeing: &mut Freeing) {
        let Self { links, counts, siblings, in_join_order } = self;
        links.share(&other.links, freeing);
        counts.share(&other.counts, freeing);
        siblings.share(&other.siblings, freeing);
        in_join_order.share(&other.in_join_order, freeing);
    }
}

impl Genealogy {
    pub fn new(counted: bool) -> Self {
        Self { counts: counted.then(|| Counts::with_tour(Tour::new())), ..Self::empty_copy() }
    }

    /// The initial value of a frozen copy.
    pub fn empty_copy() -> Self {
        Self {
            links: Column::new(),
            counts: None,
            siblings: Siblings::default(),
            in_join_order: Scalar::new(true),
        }
    }

    pub fn len(&self) -> usize {
        self.links.len()
    }

    #[inline]
    pub fn link(&self, member: MemberIx) -> &Link {
        self.links.get(member.at())
    }

    /// Corrupts a link, for a test of the audit.
    #[cfg(test)]
    pub fn link_mut(&mut self, member: MemberIx) -> &mut Link {
        self.links.get_mut(member.at())
    }

    /// Corrupts the counts below a member that has children, likewise.
    #[cfg(test)]
    pub fn tally_mut(&mut self, member: MemberIx) -> &mut [u32; CHAIN] {
        let family = self.link(member).family as usize;
        self.counts.as_mut().expect("a counted tree").tallies.get_mut(family)
    }

    pub fn is_counted(&self) -> bool {
        self.counts.is_some()
    }

    /// The counts, where the tree is counted.
    pub fn counts(&self) -> Option<&Counts> {
        self.counts.as_ref()
    }

    /// What of the tour the newest member divided: see [`Tour::take_split`].
    pub fn take_split(&mut self) -> Option<Split> {
        self.counts.as_mut()?.tour.take_split()
    }

    /// Whether each parent joined before its children. Then members that joined after another one are never
    /// above it.
    #[inline]
    pub fn is_in_join_order(&self) -> bool {
        *self.in_join_order
    }

    /// An order of all members, parents first. O(1) in a tree in join order, else O(members).
    pub fn order(&self) -> Order {
        if self.is_in_join_order() {
            return Order::joined(self.links.len());
        }
        Order::walked(&self.links).expect("a tree that is not in join order was walked when it was settled")
    }

    /// Prefetches what attaching below each of `parents` will touch, step by step for all of them: see
    /// `network::prefetch`. The result is meaningless.
    pub fn prefetch(&self, parents: &[MemberIx]) -> u32 {
        let Some(counts) = &self.counts else { return 0 };
        let mut seen = 0;
        for parent in parents {
            seen ^= counts.tour.prefetch_leaf(*parent) ^ self.prefetch_last_child(*parent);
        }
        for parent in parents {
            // A first child derives its family from that of its grandparent.
            let link = self.link(*parent);
            let above = if link.family == NONE && link.parent != NONE {
                self.links.get(link.parent as usize).family
            } else {
                link.family
            };
            if above != NONE {
                seen ^= counts.chains.get(above as usize)[0];
            }
            seen ^= counts.tour.prefetch_tokens(*parent);
        }
        for parent in parents {
            let link = self.link(*parent);
            let above = if link.family == NONE && link.parent != NONE {
                self.links.get(link.parent as usize).family
            } else {
                link.family
            };
            if above == NONE {
                continue;
            }
            for family in counts.chains.get(above as usize) {
                if *family == NONE {
                    break;
                }
                seen ^= counts.tallies.get(*family as usize)[NEAR];
            }
        }
        seen
    }

    /// Prefetches the last child of a member. The result is meaningless.
    pub fn prefetch_last_child(&self, member: MemberIx) -> u32 {
        let last = self.link(member).last_child;
        if last == NONE { 0 } else { self.links.get(last as usize).slot }
    }

    /// As [`Genealogy::prefetch`], for attaching uncounted. Absent parents, and those not attached yet, are
    /// skipped.
    pub fn prefetch_uncounted(&self, parents: impl Iterator<Item = u32> + Clone) -> u32 {
        let members = self.links.len();
        let known = parents.filter(|parent| (*parent as usize) < members).map(MemberIx);
        let mut seen = known.clone().fold(0, |seen, parent| seen ^ self.link(parent).last_child);
        if !self.is_counted() {
            // Two jumps up from each parent: see `jump_below`. Those not linked yet have none.
            let jump = |from: u32| {
                if (from as usize) < members { self.links.get(from as usize).family } else { NONE }
            };
            let near = |parent: MemberIx| jump(self.link(parent).family);
            seen ^= known.clone().fold(0, |seen, parent| seen ^ near(parent));
            seen ^= known.clone().fold(0, |seen, parent| seen ^ jump(near(parent)));
        }
        known.fold(seen, |seen, parent| seen ^ self.prefetch_last_child(parent))
    }

    /// Adds the next member in `slot` under `parent`, or as a root. The slot must be free. Owners of counts
    /// that reached a watched number are added to `reached`, nearest first. O(log n), plus the ancestors
    /// whose downline is below the highest watched one.
    pub fn attach(&mut self, place: Option<(MemberIx, u32)>, watch: &Watch, reached: &mut Vec<MemberIx>) {
        let member = self.attach_uncounted(place);
        let Some((parent, _)) = place else {
            self.counts.iter_mut().for_each(|counts| counts.tour.push(member, None));
            return;
        };
        if let Some(counts) = &mut self.counts {
            counts.tour.push(member, Some(parent));
            counts.found_family(&mut self.links, parent);
            counts.count(self.links.get(parent.at()).family, watch, reached);
        }
    }

    /// As `attach`, but without counting: for bulk attaching before `count_anew`. Returns the member.
    pub fn attach_uncounted(&mut self, place: Option<(MemberIx, u32)>) -> MemberIx {
        let member = MemberIx(u32::try_from(self.links.len()).expect("members are limited to MEMBERS_MAX"));
        let family =
            if self.is_counted() { NONE } else { self.jump_below(place.map(|(parent, _)| parent), member) };
        let Some((parent, slot)) = place else {
            self.links.push(Link { family, ..NO_LINK });
            return member;
        };
        let level = self.link(parent).level + 1;
        self.links.push(Link { parent: parent.0, slot, level, family, ..NO_LINK });
        self.link_child(parent, member, slot);
        member
    }

    /// Parent first, up to the root.
    pub fn upline(&self, member: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
        let parent = MemberIx::from_column(self.link(member).parent);
        std::iter::successors(parent, |above| MemberIx::from_column(self.link(*above).parent))
    }

    /// The nearest ancestors, parent first, at most `most` of them and `LEVELS_MAX + 1`: from the chain where
    /// there is one.
    pub fn near_upline(&self, member: MemberIx, most: usize) -> NearUpline {
        let mut near = NearUpline { members: [MemberIx(NONE); CHAIN], len: 0 };
        let Some(parent) = MemberIx::from_column(self.link(member).parent) else { return near };
        if let Some(counts) = &self.counts {
            for family in counts.chains.get(self.link(parent).family as usize).iter().take(most) {
                if *family == NONE {
                    break;
                }
                near.add(MemberIx(*counts.owners.get(*family as usize)));
            }
        } else {
            self.upline(member).take(most.min(CHAIN)).for_each(|above| near.add(above));
        }
        near
    }

    /// Head-counts of levels 1 to 15. `None` where the tree is not counted.
    pub fn levels(&self, member: MemberIx) -> Option<[u32; LEVELS_MAX]> {
        let counts = self.counts.as_ref()?;
        let mut levels = [0; LEVELS_MAX];
        if let Some(tally) = counts.tally(self.link(member)) {
            levels.copy_from_slice(&tally[1..]);
        }
        Some(levels)
    }

    /// The whole downline, or any number from `near_cap` up if it is at least that: the input of ranks, in
    /// O(1).
    pub fn near_downline(&self, member: MemberIx) -> Option<u32> {
        Some(self.counts.as_ref()?.tally(self.link(member)).map_or(0, |tally| tally[NEAR]))
    }

    /// The whole downline. `None` where the tree is not counted. O(log n).
    pub fn downline(&self, member: MemberIx) -> Option<u32> {
        let counts = self.counts.as_ref()?;
        if self.link(member).first_child == NONE { Some(0) } else { Some(counts.tour.downline(member)) }
    }

    /// Whether `ancestor` is above `member`. O(log n).
    pub fn is_ancestor(&self, ancestor: MemberIx, member: MemberIx) -> bool {
        if self.link(member).level <= self.link(ancestor).level {
            return false;
        }
        match &self.counts {
            Some(counts) => counts.tour.is_ancestor(ancestor, member),
            None => self.above_at(self.link(ancestor).level, member) == ancestor,
        }
    }

    /// Whether `member` is `top` or below it, in the same number of steps for every pair. `None` where the
    /// tree is not counted. O(log n).
    pub fn contains(&self, top: MemberIx, member: MemberIx) -> Option<bool> {
        Some(self.counts.as_ref()?.tour.contains(top, member))
    }

    /// The jump target of a member below `parent` in an uncounted tree: an ancestor chosen such that every
    /// level above a member can be reached in O(log depth) jumps and steps up (Myers, "An applicative
    /// random-access stack", 1983). It reuses the family's word, which only counted trees need, so it costs
    /// no memory. A root jumps to itself. O(1).
    pub(super) fn jump_below(&self, parent: Option<MemberIx>, member: MemberIx) -> u32 {
        let Some(parent) = parent else { return member.0 };
        let near = self.links.get(self.link(parent).family as usize);
        let far = self.links.get(near.family as usize);
        // Two consecutive jumps of equal length become one of twice that plus one.
        if self.link(parent).level - near.level == near.level - far.level { near.family } else { parent.0 }
    }

    /// The ancestor of `member` at a level, or `member` itself, in an uncounted tree. O(log depth).
    fn above_at(&self, level: u32, member: MemberIx) -> MemberIx {
        let mut at = member;
        while level < self.link(at).level {
            steps::add(1);
            let Link { parent, family: jump, .. } = *self.link(at);
            at = MemberIx(if self.links.get(jump as usize).level < level { parent } else { jump });
        }
        at
    }

    /// Whether a member's jump follows from its parent's, in an uncounted tree. For the audit.
    pub fn jump_follows(&self, member: MemberIx) -> bool {
        let link = self.link(member);
        link.family == self.jump_below(MemberIx::from_column(link.parent), member)
    }

    /// Head-counts of levels `LEVELS_MAX + 1 ..= deepest` below a member, by a scan of its downline. Only
    /// where counted.
    pub fn deep_levels(&self, member: MemberIx, deepest: usize) -> Vec<u32> {
        let mut deep = Vec::new();
        let top = self.link(member).level;
        let (mut walk, mut steps) = (self.preorder(member, member, NONE), usize::MAX);
        while let Some(next) = self.preorder_next(&mut walk, &mut steps) {
            let depth = (self.link(next).level - top) as usize;
            if LEVELS_MAX < depth && depth <= deepest {
                let place = depth - LEVELS_MAX - 1;
                if deep.len() <= place {
                    deep.resize(place + 1, 0);
                }
                deep[place] += 1;
            }
        }
        deep
    }

    /// Stops counting this tree. Returns the counts, if any. O(n): family words become jumps.
    pub fn stop_counting(&mut self) -> Option<Box<dyn std::any::Any + Send + Sync>> {
        let counts = self.counts.take()?;
        self.set_jumps();
        Some(Box::new(counts))
    }

    /// Sets the jumps of a tree without counts, whatever the words hold. O(n).
    pub fn set_jumps(&mut self) {
        // A jump follows from those of the parent.
        for member in self.order().parents_first() {
            let jump = self.jump_below(MemberIx::from_column(self.link(member).parent), member);
            self.links.get_mut(member.at()).family = jump;
        }
    }

    /// Counts this tree from its links, replacing any counts. Returns the positions of each member's tokens
    /// in the tour. O(n), with one or two lines of memory per member, where attaching one by one changes
    /// those of up to fifteen ancestors each.
    pub fn count_anew(&mut self, watch: &Watch) -> Spans {
        let (families, spans) = self.count_families();
        self.set_counts(families, Tour::whole(&spans), watch, &spans);
        spans
    }

    /// The first part of [`Genealogy::count_anew`]: everything but the tour, which follows from the spans.
    /// Until [`Genealogy::set_counts`] the tree can be asked for its links alone.
    pub fn count_families(&mut self) -> (Counts, Spans) {
        let mut counts = Counts::with_tour(Tour::empty_copy());
        let order = self.order();
        counts.found_families(&mut self.links, &order);
        counts.add_up(&self.links);
        let mut sizes: Region<u32> = Region::zeroed(self.links.len());
        for (family, owner) in counts.owners.iter().enumerate().paced() {
            sizes[*owner as usize] = counts.tallies.get(family)[NEAR];
        }
        let spans = Spans::new(order.parents_first().map(|member| (member, self.link(member).parent)), sizes);
        (counts, spans)
    }

    /// The last part of [`Genealogy::count_anew`].
    pub fn set_counts(&mut self, families: Counts, tour: Tour, watch: &Watch, spans: &Spans) {
        self.counts = Some(Counts { tour, ..families });
        self.rewatch(watch, spans.sizes());
    }

    /// Sets the near downlines from exact ones, after the watched numbers changed. `sizes` holds each
    /// member's downline.
    pub fn rewatch(&mut self, watch: &Watch, sizes: &[u32]) {
        let Some(counts) = &mut self.counts else { return };
        for (family, owner) in counts.owners.iter().enumerate().paced() {
            let near = sizes[*owner as usize].min(watch.near_cap());
            if counts.tallies.get(family)[NEAR] != near {
                counts.tallies.get_mut(family)[NEAR] = near;
            }
        }
    }

    /// What of its bytes is the counts'.
    pub fn counts_bytes(&self) -> usize {
        self.counts.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::store::steps::steps_of;

    /// A leg of `depth` members under the first member, then a second child of it.
    fn deep_leg(depth: u32) -> Genealogy {
        let mut tree = Genealogy::new(false);
        let parents = std::iter::once(None)
            .chain((0..depth).map(|above| Some((MemberIx(above), 0))))
            .chain([Some((MemberIx(0), 1))]);
        parents.for_each(|place| tree.attach(place, &Watch::default(), &mut Vec::new()));
        tree
    }

    /// A tree built from parents, each child in the next slot.
    fn grown(parents: impl Iterator<Item = Option<u32>>) -> Genealogy {
        let mut tree = Genealogy::new(false);
        for parent in parents.map(|parent| parent.map(MemberIx)) {
            let place = parent.map(|parent| (parent, tree.link(parent).children));
            tree.attach(place, &Watch::default(), &mut Vec::new());
        }
        tree
    }

    #[test]
    fn ancestors_are_found_in_few_steps_without_counts() {
        const MEMBERS: u32 = 40_000;
        let mut random = 42_u64;
        let mut below = |bound: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u32::try_from((random >> 33) % u64::from(bound)).unwrap()
        };
        let any: Vec<u32> = (0..MEMBERS).map(|member| below(member.max(1))).collect();
        let chain = (0..MEMBERS).map(|member| member.checked_sub(1));
        let pair = (0..MEMBERS).map(|member| member.checked_sub(1).map(|before| before / 2));
        let comb = (0..MEMBERS).map(|member| member.checked_sub(1 + member % 3));
        let forest = (0..MEMBERS).map(|member| (member % 50 != 0).then(|| any[member as usize]));
        let shapes: [Box<dyn Iterator<Item = Option<u32>>>; 4] =
            [Box::new(chain), Box::new(pair), Box::new(comb), Box::new(forest)];
        for (shape, parents) in shapes.into_iter().enumerate() {
            let mut tree = grown(parents);
            let mut counted = Genealogy::new(false);
            (0..MEMBERS).for_each(|member| {
                let link = *tree.link(MemberIx(member));
                counted
                    .attach_uncounted(MemberIx::from_column(link.parent).map(|parent| (parent, link.slot)));
            });
            counted.count_anew(&Watch::default());
            for stage in ["grown", "stopped"] {
                let wrong = (0..MEMBERS).find(|member| !tree.jump_follows(MemberIx(*member)));
                assert_eq!(wrong, None, "shape {shape}, {stage}");
                for _ in 0..3_000 {
                    let (one, other) = (MemberIx(below(MEMBERS)), MemberIx(below(MEMBERS)));
                    let (found, steps) = steps_of(|| tree.is_ancestor(one, other));
                    assert_eq!(
                        found,
                        counted.is_ancestor(one, other),
                        "shape {shape}, {stage}: {one:?} above {other:?}"
                    );
                    assert!(
                        steps <= 3 * 16,
                        "shape {shape}, {stage}: {steps} steps from {other:?} to {one:?}"
                    );
                }
                // A tree that is no longer counted must find the way up too.
                tree.count_anew(&Watch::default());
                tree.stop_counting();
            }
        }
    }

    #[test]
    fn a_walk_rests_wherever_its_steps_end() {
        const DEPTH: u32 = 1_000;
        let mut tree = deep_leg(DEPTH);
        let before = DEPTH + 2;
        for steps_each in [1, 7, 100, usize::MAX] {
            let mut walk = tree.preorder(MemberIx(0), MemberIx(0), before);
            let (mut found, mut rests) = (Vec::new(), 0);
            while !walk.is_over() {
                let mut steps = steps_each;
                found.extend(std::iter::from_fn(|| tree.preorder_next(&mut walk, &mut steps)));
                rests += 1;
                // Members join while the walk pauses, behind it and ahead of it; not endlessly, since
                // skipping each takes a step.
                let newest = MemberIx(u32::try_from(tree.len()).unwrap() - 1);
                for parent in [newest, MemberIx(0), MemberIx(DEPTH / 2)]
                    .into_iter()
                    .filter(|_| rests % 10 == 1 && rests < 1_000)
                {
                    let slot = tree.children(parent).last().map_or(0, |last| tree.link(last).slot + 1);
                    tree.attach(Some((parent, slot)), &Watch::default(), &mut Vec::new());
                }
            }
            assert_eq!(found, (1..before).map(MemberIx).collect::<Vec<_>>(), "{steps_each} steps");
            assert!(
                steps_each == usize::MAX || 2 * DEPTH as usize / steps_each <= rests,
                "{rests} rests with {steps_each} steps"
            );
        }
    }
}
