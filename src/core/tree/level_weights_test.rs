//! Sums of levels while a tree grows, compared with sums along the parents, and who has rows.

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::core::{tree::counting::Watch, words::types::index};

const DEEPEST: usize = 3;

/// Gives the parent of the next member.
type Parent = fn(&mut Pcg64, usize) -> Option<usize>;

fn below(random: &mut Pcg64, bound: usize) -> usize {
    usize::try_from(random.next_u64() % bound as u64).unwrap()
}

fn weight(weight: i64) -> Fields {
    let mut fields = [0; FIELDS_MAX];
    fields[0] = weight;
    fields
}

struct Model {
    links: Genealogy,
    own: Vec<i64>,
    levels: LevelWeights,
}

impl Model {
    fn new() -> Self {
        Self { links: Genealogy::new(true), own: Vec::new(), levels: LevelWeights::new(1, DEEPEST) }
    }

    fn counts(&self) -> &Counts {
        self.links.counts().unwrap()
    }

    fn join(&mut self, parent: Option<usize>) {
        let place = parent.map(|parent| (index(parent), self.links.link(index(parent)).children));
        self.links.attach(place, &Watch::default(), &mut Vec::new());
        self.own.push(0);
        if let Some(split) = self.links.take_split() {
            // Twice is as good as once.
            for _ in 0..2 {
                let counts = self.links.counts().unwrap();
                self.levels.follow((&self.links, counts), &split, |member| weight(self.own[member.at()]));
            }
        }
    }

    fn add(&mut self, member: usize, more: i64) {
        self.own[member] += more;
        if let Some(parent) = MemberIx::from_column(self.links.link(index(member)).parent) {
            let family = self.links.link(parent).family;
            self.levels.add(self.links.counts().unwrap(), family, &weight(more));
        }
    }

    fn check(&self, seen: &str) {
        let mut expected = vec![[0; LEVELS_MAX]; self.own.len()];
        for (member, own) in self.own.iter().enumerate() {
            for (level, above) in self.links.upline(index(member)).take(DEEPEST).enumerate() {
                expected[above.at()][level] += own;
            }
        }
        for (member, expected) in expected.iter().enumerate() {
            assert_eq!(self.found(member), *expected, "{seen}: {member}");
        }
    }

    fn found(&self, member: usize) -> [i64; LEVELS_MAX] {
        let own = |member: MemberIx| self.own[member.at()];
        self.levels.levels((&self.links, self.counts()), index(member), 0, own)
    }

    /// Members with rows, and those whose tokens are in different leaves and that have somebody below.
    fn kept(&self) -> (usize, usize) {
        let owners = || (0..).zip(self.counts().owners.iter());
        let kept = owners().filter(|(family, _)| self.levels.has_rows(*family));
        let parted = owners().filter(|(_, owner)| !is_in_one_leaf(&self.counts().tour, MemberIx(**owner)));
        (kept.count(), parted.count())
    }
}

#[test]
fn sums_are_those_along_the_parents_whatever_splits() {
    let shapes: [(&str, Parent); 5] = [
        ("uniform", |random, members| Some(below(random, members))),
        ("chain", |_, members| Some(members - 1)),
        ("star", |_, _| Some(0)),
        ("three wide", |_, members| Some((members - 1) / 3)),
        ("roots", |random, members| (!members.is_multiple_of(50)).then(|| below(random, members))),
    ];
    for (shape, parent) in shapes {
        let mut random = Pcg64::new(7, 1);
        let mut model = Model::new();
        model.join(None);
        for round in 0..3 {
            for _ in 0..700 {
                let place = parent(&mut random, model.own.len());
                model.join(place);
                if !random.next_u32().is_multiple_of(3) {
                    let member = below(&mut random, model.own.len());
                    model.add(member, i64::from(random.next_u32() % 2_001) - 1_000);
                }
            }
            model.check(&format!("{shape}, round {round}"));
            if round == 1 {
                // A recount numbers families and leaves another way.
                drop(model.links.count_anew(&Watch::default()));
                let counts = model.links.counts().unwrap();
                model.levels.rebuild((&model.links, counts), |member| weight(model.own[member.at()]));
                model.check(&format!("{shape}, from scratch"));
            }
        }
        let (kept, parted) = model.kept();
        assert!(kept <= parted, "{shape}: {kept} of {parted}");
    }
}

#[test]
fn only_members_in_different_leaves_have_rows() {
    let mut random = Pcg64::new(3, 1);
    let mut model = Model::new();
    model.join(None);
    for members in 1..20_000 {
        model.join(Some((members - 1) / 3));
        let member = below(&mut random, members + 1);
        model.add(member, 1);
    }
    let (kept, parted) = model.kept();
    assert!(kept == usize::try_from(model.levels.kept).unwrap() && kept <= parted);
    assert!((200..20_000 / 12).contains(&kept), "{kept}");
    // Rebuilding comes to the same sums with as few rows.
    let before: Vec<_> = (0..model.own.len()).map(|member| model.found(member)).collect();
    let counts = model.links.counts().unwrap();
    model.levels.rebuild((&model.links, counts), |member| weight(model.own[member.at()]));
    assert!(before == (0..model.own.len()).map(|member| model.found(member)).collect::<Vec<_>>());
    assert!(model.kept().0 <= parted);
}
