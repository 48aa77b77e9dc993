//! Sums of weights over the nearest levels below members, kept for those that need it.
//!
//! Most members have few below them: their tokens and those of their downline are in one leaf of the counted
//! tour (`tour.rs`), and a sum of a level is added up from there when it is asked for, from at most 62
//! weights. Only a member whose two tokens are in different leaves has its sums in rows here, one for each
//! level. So a change of a weight changes the rows of those among the nearest ancestors; and of ten million
//! members in a realistic network, some one in nine has rows.
//!
//! A leaf that splits parts tokens: the members whose tokens were in it, and no longer are in one, get rows
//! then. Tokens never come together again but by a cut or a splice, after which all is built again.

use std::hint::black_box;

use crate::core::{
    store::{
        held::Held,
        pace::Pace,
        sparse::Sparse,
        sum_rows::{FIELDS_MAX, Fields, SumRows},
    },
    tree::{
        counting::{CHAIN, Counts},
        genealogy::Genealogy,
        tour::{Split, Token, Tour},
    },
    words::types::{LEVELS_MAX, MemberIx, NONE},
};

/// The sums of a few numbers of each member over the nearest levels below, in one tree.
pub(in crate::core) struct LevelWeights {
    /// Levels kept.
    deepest: usize,
    /// Rows from one member's to the next one's: a power of two, so that they are in as few lines of memory
    /// as there can be.
    stride: usize,
    /// By family, that of the member whose sums they are: where its rows are, if this is known.
    places: Sparse<u32>,
    /// Members that have rows.
    kept: u32,
    rows: SumRows,
}

/// Where the sums of a family's parent are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has no rows. If its tokens are in different leaves, nothing was added for those below.
    Unknown,
    /// Its tokens are in one leaf: it needs no rows.
    OneLeaf,
    /// It has rows.
    Kept(u32),
}

impl Place {
    fn of_word(word: u32) -> Self {
        match word {
            0 => Place::Unknown,
            1 => Place::OneLeaf,
            number => Place::Kept(number - 2),
        }
    }

    fn to_word(self) -> u32 {
        match self {
            Place::Unknown => 0,
            Place::OneLeaf => 1,
            Place::Kept(number) => number + 2,
        }
    }
}

/// A member that a walk along the tokens has entered, and not yet left.
#[derive(Clone, Copy)]
enum Entered {
    /// Nothing is added to its sums.
    Passed,
    /// It gets rows as soon as there is something to be added.
    WithoutRows(MemberIx),
    Kept(u32),
}

impl Held for LevelWeights {
    fn bytes(&self) -> usize {
        self.places.bytes() + self.rows.bytes()
    }
}

impl LevelWeights {
    /// All weights are 0. Each member has `fields` of them, a power of two.
    pub fn new(fields: usize, deepest: usize) -> Self {
        let stride = deepest.next_power_of_two();
        Self { deepest, stride, places: Sparse::new(), kept: 0, rows: SumRows::new(fields) }
    }

    /// Levels kept.
    pub fn deepest(&self) -> usize {
        self.deepest
    }

    /// Adds to the weights of the children of `family`. O(levels).
    #[inline]
    pub fn add(&mut self, counts: &Counts, family: u32, more: &Fields) {
        let mut is_parted = false;
        for (level, family) in self.counting(counts.chains.get(family as usize)).enumerate() {
            let place = match Place::of_word(self.places.get(family as usize)) {
                Place::Unknown => self.find_place(counts, family, is_parted),
                known => known,
            };
            if let Place::Kept(number) = place {
                is_parted = true;
                self.rows.add(self.row(number, level), more);
            }
        }
    }

    /// Decides whether a family's parent has rows from now on. `is_parted` says that it has, as somebody
    /// below it does: the tokens of that one are between its own.
    #[cold]
    fn find_place(&mut self, counts: &Counts, family: u32, is_parted: bool) -> Place {
        let is_in_one_leaf = || is_in_one_leaf(&counts.tour, MemberIx(*counts.owners.get(family as usize)));
        if !is_parted && is_in_one_leaf() {
            self.set(family, Place::OneLeaf)
        } else {
            Place::Kept(self.keep(family))
        }
    }

    fn set(&mut self, family: u32, place: Place) -> Place {
        *self.places.get_mut(family as usize) = place.to_word();
        place
    }

    /// Gives a family's parent rows.
    fn keep(&mut self, family: u32) -> u32 {
        let number = self.kept;
        self.kept += 1;
        self.set(family, Place::Kept(number));
        number
    }

    /// Where the sums of a level, counted from 0, are.
    #[inline]
    fn row(&self, number: u32, level: usize) -> usize {
        number as usize * self.stride + level
    }

    /// Sets one of the weights of all members to 0. O(1).
    pub fn empty(&mut self, field: usize) {
        self.rows.empty(field);
    }

    /// The sums of one of the weights 1, 2, ... levels below a member; 0 beyond the levels that are kept.
    /// `own` tells the weight of a member. O(levels), and up to 62 weights.
    pub fn levels(
        &self,
        (links, counts): (&Genealogy, &Counts),
        member: MemberIx,
        field: usize,
        own: impl Fn(MemberIx) -> i64,
    ) -> [i64; LEVELS_MAX] {
        let mut levels = [0; LEVELS_MAX];
        let family = links.link(member).family;
        if family == NONE {
            return levels;
        }
        if let Place::Kept(number) = Place::of_word(self.places.get(family as usize)) {
            let kept = levels.iter_mut().take(self.deepest).enumerate();
            kept.for_each(|(level, sum)| *sum = self.rows.get(self.row(number, level), field));
        } else if is_in_one_leaf(&counts.tour, member) {
            let mut depth = 0;
            for word in counts.tour.between_in_leaf(member) {
                match Token::entered(*word) {
                    Some(below) => {
                        if depth < self.deepest {
                            levels[depth] += own(below);
                        }
                        depth += 1;
                    }
                    None => depth -= 1,
                }
            }
        }
        levels
    }

    /// Follows a split of the tour, which must be called for each one before the next push. `own` tells the
    /// weights of a member. O(tokens of two leaves), and a push in thirty or more splits anything.
    pub fn follow(
        &mut self,
        (links, counts): (&Genealogy, &Counts),
        split: &Split,
        own: impl Fn(MemberIx) -> Fields,
    ) {
        let tour = &counts.tour;
        let [left, right] = split.leaves;
        let is_parted = |member| tour.leaf_with(Token::Exit(member)) == right;
        let mut are_without_rows = false;
        let members = tour.tokens(left).iter().filter_map(|word| Token::entered(*word));
        for member in members.filter(|member| is_parted(*member)) {
            let family = links.link(member).family;
            if family != NONE && !self.has_rows(family) {
                self.set(family, Place::Unknown);
                are_without_rows = true;
            }
        }
        if are_without_rows {
            let enter = |this: &Self, leaf, member| {
                let gets_rows = || !this.has_rows(links.link(member).family);
                if leaf == left && is_parted(member) && gets_rows() {
                    Entered::WithoutRows(member)
                } else {
                    Entered::Passed
                }
            };
            self.sweep(links, tour, split.leaves.into_iter(), enter, own);
        }
    }

    fn has_rows(&self, family: u32) -> bool {
        matches!(Place::of_word(self.places.get(family as usize)), Place::Kept(_))
    }

    /// All sums from scratch. `own` tells the weights of a member. Needed after the tour was built again, or
    /// a piece of it cut out or spliced in. O(n).
    pub fn rebuild(&mut self, (links, counts): (&Genealogy, &Counts), own: impl Fn(MemberIx) -> Fields) {
        *self = Self::new(self.rows.fields(), self.deepest);
        let tour = &counts.tour;
        let enter = |_: &Self, leaf, member| {
            if tour.leaf_with(Token::Exit(member)) == leaf {
                Entered::Passed
            } else {
                Entered::WithoutRows(member)
            }
        };
        self.sweep(links, tour, tour.leaves_in_order().paced_by(1), enter, own);
    }

    /// Walks along the tokens of leaves that follow each other, and adds the weights of each member that is
    /// entered to the sums of those above it. `enter` says what becomes of a member's own sums.
    fn sweep(
        &mut self,
        links: &Genealogy,
        tour: &Tour,
        leaves: impl Iterator<Item = u32>,
        enter: impl Fn(&Self, u32, MemberIx) -> Entered,
        own: impl Fn(MemberIx) -> Fields,
    ) {
        let mut path: Vec<Entered> = Vec::new();
        for leaf in leaves {
            let tokens = tour.tokens(leaf);
            // All over memory, but known at once.
            let members = tokens.iter().filter_map(|word| Token::entered(*word));
            black_box(members.fold(0, |seen, member| seen ^ own(member)[0]));
            for word in tokens {
                let Some(member) = Token::entered(*word) else {
                    // Members above the first leaf are left without having been entered.
                    path.pop();
                    continue;
                };
                let more = own(member);
                if more != [0; FIELDS_MAX] {
                    self.add_along(&mut path, links, &more);
                }
                path.push(enter(self, leaf, member));
            }
        }
    }

    fn add_along(&mut self, path: &mut [Entered], links: &Genealogy, more: &Fields) {
        for (level, above) in path.iter_mut().rev().take(self.deepest).enumerate() {
            let number = match *above {
                Entered::Passed => continue,
                Entered::Kept(number) => number,
                Entered::WithoutRows(member) => {
                    let number = self.keep(links.link(member).family);
                    *above = Entered::Kept(number);
                    number
                }
            };
            self.rows.add(self.row(number, level), more);
        }
    }

    /// Prefetches what adding to the children of each of these families changes, and what decides about sums
    /// that were not asked for yet. The result is meaningless, see `network::prefetch`.
    pub fn prefetch(&self, counts: &Counts, families: &[u32]) -> i64 {
        // Each step finds all places first, and then does nothing but read: what is computed between two
        // reads leaves fewer of them in flight.
        let chains = || families.iter().map(|family| counts.chains.get(*family as usize));
        let mut seen = chains().fold(0, |seen, chain| seen ^ chain[0]);
        let mut above: Vec<u32> = Vec::with_capacity(families.len() * self.deepest);
        chains().for_each(|chain| above.extend(self.counting(chain)));
        seen ^= above.iter().fold(0, |seen, family| seen ^ self.places.get(*family as usize));
        let (mut rows, mut undecided) = (Vec::with_capacity(above.len()), Vec::new());
        chains().for_each(|chain| self.find_rows(chain, &mut rows, &mut undecided));
        let sums = rows.iter().fold(0, |seen, row| seen ^ self.rows.prefetch(*row));
        undecided.iter_mut().for_each(|family| *family = *counts.owners.get(*family as usize));
        let leaf_of = |owner: &u32| counts.tour.prefetch_leaf(MemberIx(*owner));
        seen ^= undecided.iter().fold(0, |seen, owner| seen ^ leaf_of(owner));
        sums ^ i64::from(seen)
    }

    /// The families of a chain whose parents count its children, nearest first.
    fn counting<'c>(&self, chain: &'c [u32; CHAIN]) -> impl Iterator<Item = u32> + use<'c> {
        chain[..self.deepest].iter().copied().take_while(|family| *family != NONE)
    }

    /// The rows that are changed above the children of a family, and the families for which this is not
    /// decided yet.
    fn find_rows(&self, chain: &[u32; CHAIN], rows: &mut Vec<usize>, undecided: &mut Vec<u32>) {
        let mut is_parted = false;
        for (level, family) in self.counting(chain).enumerate() {
            match Place::of_word(self.places.get(family as usize)) {
                Place::Kept(number) => {
                    is_parted = true;
                    rows.push(self.row(number, level));
                }
                Place::Unknown if !is_parted => undecided.push(family),
                Place::Unknown | Place::OneLeaf => {}
            }
        }
    }
}

fn is_in_one_leaf(tour: &Tour, member: MemberIx) -> bool {
    tour.leaf_with(Token::Enter(member)) == tour.leaf_with(Token::Exit(member))
}

#[cfg(test)]
#[path = "level_weights_test.rs"]
mod tests;
