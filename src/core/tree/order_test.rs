//! Orders of forests whose indexes say nothing about parents, and the refusal of links that are no forest.

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::core::tree::genealogy::Genealogy;

fn below(random: &mut Pcg64, bound: usize) -> usize {
    random.next_u32() as usize % bound
}

/// A random parent for each member, or none; may lead in circles.
fn any_parents(random: &mut Pcg64, members: usize) -> Vec<u32> {
    (0..members)
        .map(|_| if random.next_u32().is_multiple_of(9) { NONE } else { index(below(random, members)).0 })
        .collect()
}

/// Links with these parents, each child in the next slot.
fn linked(parents: &[u32]) -> Genealogy {
    let mut tree = Genealogy::new(false);
    parents.iter().for_each(|parent| {
        tree.attach_unlinked(MemberIx::from_column(*parent).map(|parent| (parent, 0)));
    });
    tree.link_rest(MemberIx(0), |tree, parent, _| Some(tree.link(parent).children)).unwrap();
    tree
}

/// Whether a member is below itself, the slow way.
fn is_below_itself(parents: &[u32], member: usize) -> bool {
    let mut at = parents[member];
    for _ in 0..parents.len() {
        if at == NONE {
            return false;
        }
        if at as usize == member {
            return true;
        }
        at = parents[at as usize];
    }
    false
}

#[test]
fn orders_are_found_for_forests_and_nothing_else() {
    let (mut forests, mut others) = (0, 0);
    for seed in 0..400 {
        let mut random = Pcg64::new(seed, 1);
        let members = 1 + below(&mut random, 12);
        let parents = any_parents(&mut random, members);
        let tree = linked(&parents);
        let circles: Vec<MemberIx> =
            (0..members).filter(|member| is_below_itself(&parents, *member)).map(index).collect();
        assert_eq!(below_themselves(&tree.links), circles, "{parents:?}");
        let Ok(order) = Order::walked(&tree.links) else {
            assert!(!circles.is_empty(), "{parents:?}");
            others += 1;
            continue;
        };
        assert!(circles.is_empty(), "{parents:?}");
        forests += 1;
        check(&parents, &order);
    }
    assert!(20 < forests && 20 < others, "{forests} forests, {others} others");
}

/// Each member once, after its parent.
fn check(parents: &[u32], order: &Order) {
    let listed: Vec<MemberIx> = order.parents_first().collect();
    assert_eq!(listed.len(), parents.len());
    let mut seen = vec![false; parents.len()];
    for (position, member) in listed.iter().enumerate() {
        assert_eq!(order.member_at(position), *member);
        let parent = parents[member.at()];
        assert!(parent == NONE || seen[parent as usize], "{member:?} is before its parent: {parents:?}");
        assert!(!std::mem::replace(&mut seen[member.at()], true), "{member:?} is there twice");
    }
    assert!(order.children_first().eq(listed.iter().rev().copied()));
}

#[test]
fn join_order_costs_no_list() {
    let mut tree = Genealogy::new(false);
    for parent in [None, Some(0), Some(0), Some(2), None] {
        let place = parent.map(MemberIx).map(|parent| (parent, tree.link(parent).children));
        tree.attach_uncounted(place);
    }
    let order = tree.order();
    assert!(tree.is_in_join_order() && order.listed.is_none());
    assert!(order.parents_first().eq((0..5).map(MemberIx)));
    check(&[NONE, 0, 0, 2, NONE], &Order::walked(&tree.links).unwrap());
}

#[test]
fn lists_that_lead_in_a_circle_or_to_the_children_of_others_are_refused() {
    let links = |parents: &[u32]| linked(parents).links;
    let parents = [NONE, 0, 0, 1];
    assert!(Order::walked(&links(&parents)).is_ok());
    let mut circle = links(&parents);
    circle.get_mut(2).next_sibling = 1;
    assert!(Order::walked(&circle).is_err());
    let mut stray = links(&parents);
    stray.get_mut(1).next_sibling = 3;
    assert_eq!(Order::walked(&stray).err(), Some(MemberIx(3)));
    let mut lost = links(&parents);
    lost.get_mut(1).next_sibling = NONE;
    assert_eq!(Order::walked(&lost).err(), Some(MemberIx(2)));
}
