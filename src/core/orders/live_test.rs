//! Live volumes while members join both trees and periods follow each other, compared with sums of a list of
//! bookings along the parents.

use std::collections::BTreeMap;

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::core::{
    tree::{counting::Watch, genealogy::Genealogy},
    words::types::index,
};

const TREES: [Tree; 2] = [Tree::Sponsor, Tree::Placement];
/// Calendars with the values that are kept live, a bit for each: others are booked as well.
const CALENDARS: [(u8, u16); 2] = [(0, 0b101), (3, 0b101)];
const VALUES: usize = 3;

fn at(calendar: u8, period: u32) -> PeriodRef {
    PeriodRef { calendar, period }
}

struct Model {
    random: Pcg64,
    /// By the number of the tree.
    trees: [Genealogy; 2],
    volumes: LiveVolumes,
    levels: u8,
    /// What each member booked of each value, by calendar and period.
    booked: BTreeMap<(u8, u32), Vec<[i64; VALUES]>>,
    splits: usize,
}

impl Model {
    fn new(seed: u64, levels: u8) -> Self {
        Self {
            random: Pcg64::new(seed.into(), 1),
            trees: [Genealogy::new(true), Genealogy::new(true)],
            volumes: LiveVolumes::new(),
            levels,
            booked: BTreeMap::new(),
            splits: 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.next_u64() % bound as u64).unwrap()
    }

    fn members(&self) -> usize {
        self.trees[0].len()
    }

    fn all(&self) -> Trees<'_> {
        let [sponsor, placement] = &self.trees;
        Trees { sponsor: Some(sponsor), placement }
    }

    /// A member joins: somewhere in one tree, near the newest ones in the other.
    fn join(&mut self) {
        let members = self.members();
        let parents = [self.below(members.max(1)), members.saturating_sub(1 + self.below(4))];
        for tree in TREES {
            let links = &mut self.trees[tree as usize];
            let parent = index(parents[tree as usize]);
            let place = (!members.is_multiple_of(500)).then(|| (parent, links.link(parent).children));
            links.attach(place, &Watch::default(), &mut Vec::new());
            if let Some(split) = links.take_split() {
                self.splits += 1;
                let [sponsor, placement] = &self.trees;
                self.volumes.follow(&Trees { sponsor: Some(sponsor), placement }, tree, &split);
            }
        }
    }

    /// Books a few values in each calendar, or takes them back, in one of its three newest periods.
    fn book(&mut self, newest: u32) {
        let member = index(self.below(self.members()));
        for (calendar, _) in CALENDARS {
            let period = newest.saturating_sub(u32::try_from(self.below(3)).unwrap());
            let values = [0; VALUES].map(|_| i64::from(self.random.next_u32() % 1_000) - 300);
            let sums = self.booked.entry((calendar, period)).or_default();
            sums.resize(self.trees[0].len().max(sums.len()), [0; VALUES]);
            sums[member.at()].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            let [sponsor, placement] = &self.trees;
            let trees = Trees { sponsor: Some(sponsor), placement };
            self.volumes.book([at(calendar, period)].into_iter(), &trees, member, &values);
        }
    }

    /// Compares all sums of all members.
    fn check(&self, newest: u32, seen: &str) {
        for (calendar, live) in CALENDARS {
            for (period, value) in
                (0..=newest).flat_map(|period| (0..VALUES).map(move |value| (period, value)))
            {
                let number = u8::try_from(value).unwrap();
                let found = self.volumes.read(at(calendar, period), number);
                let is_live = newest < period + 2 && live >> number & 1 != 0;
                assert_eq!(found.is_some(), is_live, "{seen}: calendar {calendar}, period {period}, {value}");
                let Some(found) = found else { continue };
                let mut own: Vec<i64> = (self.booked.get(&(calendar, period)))
                    .map_or(Vec::new(), |sums| sums.iter().map(|sums| sums[value]).collect());
                own.resize(self.members(), 0);
                TREES.iter().for_each(|tree| self.check_tree(*tree, found, &own, seen));
            }
        }
    }

    fn check_tree(&self, tree: Tree, found: LiveVolume<'_>, own: &[i64], seen: &str) {
        let links = &self.trees[tree as usize];
        let (mut groups, mut levels) = (own.to_vec(), vec![[0; LEVELS_MAX]; own.len()]);
        for member in (0..own.len()).rev() {
            for (level, above) in links.upline(index(member)).enumerate() {
                groups[above.at()] += own[member];
                if level < self.levels.into() {
                    levels[above.at()][level] += own[member];
                }
            }
        }
        for member in 0..own.len() {
            let at = index(member);
            assert_eq!(found.own(at), own[member], "{seen}, {tree:?}, {member}: own");
            assert_eq!(
                found.group(&self.all(), tree, at),
                Some(groups[member]),
                "{seen}, {tree:?}, {member}"
            );
            assert_eq!(
                found.levels(&self.all(), tree, at),
                Some(levels[member]),
                "{seen}, {tree:?}, {member}"
            );
        }
    }
}

#[test]
fn sums_are_those_of_the_bookings_along_the_parents() {
    for (seed, levels) in [(1, 7), (2, 1), (3, 15), (4, 8), (5, 3)] {
        let mut model = Model::new(seed, levels);
        for newest in 0..5 {
            for (calendar, live) in CALENDARS {
                let dropped = model.volumes.open(at(calendar, newest), live, levels, 8);
                let expected = newest.checked_sub(2).map(|period| at(calendar, period));
                assert_eq!(dropped.map(|(of, _)| of), expected);
                assert!(
                    model.volumes.open(at(calendar, newest), live, levels, 8).is_none(),
                    "it is open already"
                );
            }
            for _ in 0..200 {
                model.join();
                if model.below(3) != 0 {
                    model.book(newest);
                }
            }
            model.check(newest, &format!("seed {seed}, period {newest}"));
        }
        assert!(10 < model.splits, "{}", model.splits);
    }
}

#[test]
fn sums_are_the_same_from_scratch_and_go_on() {
    let mut model = Model::new(9, 7);
    for (calendar, live) in CALENDARS {
        assert!(
            model.volumes.open(at(calendar, 0), live, 7, 8).is_none()
                && model.volumes.open(at(calendar, 1), live, 7, 8).is_none()
        );
    }
    for round in 0..4 {
        for _ in 0..300 {
            model.join();
            model.book(1);
        }
        // A recount numbers families and leaves another way.
        model.trees.iter_mut().for_each(|tree| drop(tree.count_anew(&Watch::default())));
        let mut volumes = LiveVolumes::new();
        for (calendar, live) in CALENDARS {
            let opened = [1, 0].map(|period| volumes.open(at(calendar, period), live, 7, 3).is_none());
            assert_eq!(opened, [true; 2]);
        }
        for ((calendar, period), sums) in &model.booked {
            for (member, sums) in sums.iter().enumerate() {
                volumes.load(at(*calendar, *period), index(member), sums);
            }
        }
        // Once what was loaded, once what was there.
        for volumes in [volumes, std::mem::take(&mut model.volumes)] {
            model.volumes = volumes;
            let [sponsor, placement] = &model.trees;
            model.volumes.rebuild(&Trees { sponsor: Some(sponsor), placement });
            model.check(1, &format!("round {round}"));
        }
    }
}

#[test]
fn trees_that_are_not_counted_have_no_sums() {
    let mut model = Model::new(4, 7);
    assert!(model.volumes.open(at(0, 7), 1, 7, 1).is_none());
    model.trees[0] = Genealogy::new(false);
    for member in 0..100 {
        for tree in TREES {
            let place = (member != 0).then(|| (index(member / 2), u32::try_from(member).unwrap()));
            model.trees[tree as usize].attach(place, &Watch::default(), &mut Vec::new());
        }
    }
    let [uncounted, placement] = &model.trees;
    for sponsor in [None, Some(uncounted)] {
        let trees = Trees { sponsor, placement };
        model.volumes.book([at(0, 7)].into_iter(), &trees, index(99), &[5]);
        model.volumes.prefetch(&trees, &[index(99)]);
        let found = model.volumes.read(at(0, 7), 0).unwrap();
        assert_eq!(
            (found.group(&trees, Tree::Sponsor, index(0)), found.levels(&trees, Tree::Sponsor, index(0))),
            (None, None)
        );
    }
    let (trees, found) = (Trees { sponsor: None, placement }, model.volumes.read(at(0, 7), 0).unwrap());
    assert_eq!(found.group(&trees, Tree::Placement, index(0)), Some(10));
    assert_eq!(found.own(index(99)), 10);
    assert!(model.volumes.bytes() != 0);
}

#[test]
fn two_periods_of_each_calendar_are_kept_in_whatever_order_they_are_opened() {
    let mut volumes = LiveVolumes::new();
    assert!(volumes.is_empty());
    let mut dropped = Vec::new();
    for (calendar, period) in [(1, 5), (0, 9), (1, 3), (1, 4), (1, 1), (0, 8), (1, 6)] {
        dropped.extend(volumes.open(at(calendar, period), 0b11, 7, 4).map(|(of, _)| of));
    }
    assert_eq!(dropped, [at(1, 3), at(1, 1), at(1, 4)]);
    let kept: Vec<PeriodRef> = volumes.periods.iter().map(|kept| kept.of).collect();
    assert_eq!(kept, [at(0, 9), at(0, 8), at(1, 6), at(1, 5)]);
}

#[test]
fn a_table_goes_with_its_last_period_and_a_field_is_used_again() {
    let mut model = Model::new(6, 7);
    (0..50).for_each(|_| model.join());
    // period, levels; the period that is dropped, and the tables that go with it
    let table = [
        (0, 7, None),
        (1, 7, None),
        (2, 3, Some((0, 0))),
        (3, 3, Some((1, 1))),
        (4, 3, Some((2, 0))),
        (5, 3, Some((3, 0))),
    ];
    for (period, levels, expected) in table {
        let dropped = model.volumes.open(at(0, period), 1, levels, 2);
        let dropped = dropped.map(|(of, unused)| (of.period, unused.len()));
        assert_eq!(dropped, expected, "period {period}");
        let [sponsor, placement] = &model.trees;
        let trees = Trees { sponsor: Some(sponsor), placement };
        let found = model.volumes.read(at(0, period), 0).unwrap();
        assert_eq!((found.own(index(49)), found.group(&trees, Tree::Placement, index(0))), (0, Some(0)));
        let before = model.volumes.bytes();
        model.volumes.book([at(0, period)].into_iter(), &trees, index(49), &[5]);
        assert!(period < 4 || model.volumes.bytes() == before, "no memory is added");
        let found = model.volumes.read(at(0, period), 0).unwrap();
        assert_eq!((found.own(index(49)), found.group(&trees, Tree::Placement, index(0))), (5, Some(5)));
        let levels_seen = found.levels(&trees, Tree::Placement, index(0)).unwrap();
        assert!(levels_seen[usize::from(levels)..].iter().all(|sum| *sum == 0));
    }
    assert_eq!(model.volumes.tables.len(), 2);
}
