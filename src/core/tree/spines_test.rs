//! Runs that are joined and split at random, compared with a plain array of successors.

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::core::store::column::{Freeze, ViewId};
use crate::core::words::types::index;

struct Naive {
    next: Vec<Option<MemberIx>>,
}

impl Naive {
    fn end(&self, member: MemberIx) -> MemberIx {
        std::iter::successors(Some(member), |at| self.next[at.at()]).last().unwrap()
    }

    /// Whether nobody passes newcomers on to a member.
    fn is_first(&self, member: MemberIx) -> bool {
        !self.next.contains(&Some(member))
    }
}

fn below(random: &mut Pcg64, bound: usize) -> usize {
    random.next_u32() as usize % bound
}

/// Every end, and that segments and runs are what they should be: no more than are needed, none lost.
fn check(spines: &Spines, naive: &Naive, what: &str) {
    let (mut used, mut runs) = (0, 0);
    for member in (0..naive.next.len()).map(index) {
        assert_eq!(spines.end(member), naive.end(member), "{what}: end from {member:?}");
        if !naive.is_first(member) {
            continue;
        }
        let first = spines.members.get(member.at()).segment;
        if first == NONE {
            assert_eq!(naive.next[member.at()], None, "{what}: {member:?} is alone");
            continue;
        }
        let chain: Vec<Segment> = spines.chain_from(first).map(|at| *spines.segment(at)).collect();
        used += chain.len();
        runs += usize::from(chain.len() != 1);
        let members: u32 = chain.iter().map(|segment| segment.members).sum();
        let expected = std::iter::successors(Some(member), |at| naive.next[at.at()]).count();
        assert_eq!((members as usize, 1 < expected), (expected, true), "{what}: the run of {member:?}");
        assert_eq!(chain[0].run == NONE, chain.len() == 1, "{what}: a record for several segments");
        for pair in chain.windows(2) {
            assert!(SEGMENT_MAX < pair[0].members + pair[1].members, "{what}: they fit in one");
            assert_eq!(pair[0].run, pair[1].run, "{what}");
            assert_eq!(naive.next[pair[0].last as usize], Some(MemberIx(pair[1].first)), "{what}");
        }
        if chain[0].run != NONE {
            assert_eq!(spines.run(chain[0].run).segments as usize, chain.len(), "{what}");
        }
    }
    let unused = |first: u32, next: &dyn Fn(u32) -> u32| {
        std::iter::successors(Some(first).filter(|first| *first != NONE), |at| {
            Some(next(*at)).filter(|next| *next != NONE)
        })
        .count()
    };
    let segments = unused(spines.unused.segment, &|at| spines.segment(at).after);
    assert_eq!(used + segments, spines.segments.len(), "{what}: no segment is lost");
    let unused_runs = unused(spines.unused.run, &|at| spines.run(at).first);
    assert_eq!(runs + unused_runs, spines.runs.len(), "{what}: no run is lost");
}

#[test]
fn ends_are_those_of_a_walk_whatever_is_joined_and_split() {
    const MEMBERS: usize = 120;
    for seed in 0..30_u64 {
        let mut random = Pcg64::new(seed.into(), 5);
        let (mut spines, mut naive) = (Spines::new(), Naive { next: vec![None; MEMBERS] });
        (0..MEMBERS).for_each(|member| spines.push(index(member)));
        // Long runs, or many short ones.
        let splits = [3, 10, 40][usize::try_from(seed % 3).unwrap()];
        for step in 0..600 {
            let member = index(below(&mut random, MEMBERS));
            if below(&mut random, 100) < splits {
                spines.split(member);
                naive.next[member.at()] = None;
            } else {
                let (end, next) = (naive.end(member), index(below(&mut random, MEMBERS)));
                if naive.is_first(next) && naive.end(next) != end {
                    spines.join(end, next);
                    naive.next[end.at()] = Some(next);
                }
            }
            if step % 4 == 0 {
                check(&spines, &naive, &format!("seed {seed}, step {step}"));
            }
        }
    }
}

#[test]
fn a_run_grows_at_either_end() {
    const MEMBERS: usize = 100;
    for grows_down in [true, false] {
        let (mut spines, mut naive) = (Spines::new(), Naive { next: vec![None; MEMBERS] });
        (0..MEMBERS).for_each(|member| spines.push(index(member)));
        let pairs = (1..MEMBERS).map(|member| (index(member - 1), index(member)));
        let pairs: Vec<_> = if grows_down { pairs.collect() } else { pairs.rev().collect() };
        for (member, next) in pairs {
            spines.join(member, next);
            naive.next[member.at()] = Some(next);
            check(&spines, &naive, &format!("down: {grows_down}, {member:?}"));
        }
        // Segments are full but for the youngest.
        assert_eq!(spines.segments.len(), MEMBERS.div_ceil(SEGMENT_MAX as usize));
    }
}

#[test]
fn a_frozen_view_keeps_the_runs_that_it_was_made_of() {
    let (mut spines, mut naive) = (Spines::new(), Naive { next: vec![None; 50] });
    (0..50).for_each(|member| spines.push(index(member)));
    for member in 0..49 {
        spines.join(index(member), index(member + 1));
        naive.next[member] = Some(index(member + 1));
    }
    spines.freeze(ViewId::FIRST);
    (0..50).step_by(7).for_each(|member| spines.split(index(member)));
    let mut copy = Spines::new();
    while !spines.copy_step(ViewId::FIRST, &mut copy) {}
    check(&copy, &naive, "the copy");
}
