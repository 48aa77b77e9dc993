//! Each check of the audit, with a state corrupted by hand: what is missed here would be missed by `upline
//! verify`.

use super::*;
use crate::{
    core::{
        ledger::changes::StatusChange,
        network::members::Ranks,
        requests::command::{Command, Stamped},
        tree::{counting::Watch, genealogy::Genealogy},
        words::types::Timestamp,
    },
    plan_file,
    shapes::{Shape, member_id},
    workload::{Apply, Network, referrals},
};

const MEMBERS: u32 = 200;
/// A member with an upline, a downline and siblings in both trees.
const SOMEBODY: MemberIx = MemberIx(3);

/// A member without a downline in either tree.
const LAST: MemberIx = MemberIx(MEMBERS - 1);

/// Both trees counted, ranks reached, bonuses paid, one admin.
fn network() -> State {
    let mut plan = plan_file::default_plan();
    plan.count_sponsor_tree = true;
    let mut network = Network::grown(plan, Shape::Uniform, MEMBERS, 1);
    network.apply(&referrals(network.state.lsn(), MEMBERS, 1, 0..MEMBERS.into()));
    let lsn = network.state.lsn() + 1;
    let command = Command::SetRole { member: member_id(1, 0), role: Role::Admin };
    network.apply(&[Stamped {
        lsn,
        time: Timestamp(i64::try_from(lsn).unwrap()),
        key: None,
        actor: None,
        format: 1,
        command,
    }]);
    network.state
}

#[test]
fn nothing_is_found_where_nothing_is_broken() {
    let state = network();
    assert_eq!(audit(&state, 10), Vec::<String>::new());
    assert!(
        state.tree(Tree::Sponsor).is_counted() && state.network.kept_tree(Tree::Sponsor) == Tree::Sponsor
    );
    for tree in [Tree::Sponsor, Tree::Placement] {
        let link = state.tree(tree).link(SOMEBODY);
        assert!(link.parent != NONE && 1 < link.children, "{tree:?}");
    }
    assert!(0 < state.pending() && 1 < state.network.members().ranks(SOMEBODY).paid_as);
}

/// A corruption, and a finding that reports it.
type Broken = (&'static str, fn(&mut State));

#[test]
fn whatever_is_broken_is_found() {
    let broken: [Broken; 31] = [
        ("is before its Placement parent", |state| {
            state.network.placement_mut().link_mut(SOMEBODY).parent = SOMEBODY.0;
        }),
        ("MemberIx(3) is below itself in the Placement tree", |state| {
            state.network.placement_mut().link_mut(SOMEBODY).parent = SOMEBODY.0;
        }),
        ("MemberIx(3) is below itself in the Sponsor tree", |state| {
            let below = state.network.sponsors().children(SOMEBODY).last().unwrap();
            state.network.sponsors_mut().link_mut(SOMEBODY).parent = below.0;
        }),
        ("MemberIx(3) has a Placement parent that does not exist", |state| {
            state.network.placement_mut().link_mut(SOMEBODY).parent = MEMBERS;
        }),
        ("is not reached from a root of the Sponsor tree", |state| {
            state.network.sponsors_mut().link_mut(LAST).parent = NONE;
            state.network.sponsors_mut().link_mut(LAST).level = 1;
        }),
        ("names another Sponsor", |state| state.network.sponsors_mut().link_mut(LAST).parent = MEMBERS - 2),
        ("level of MemberIx(3) in the Placement tree", |state| {
            state.network.placement_mut().link_mut(SOMEBODY).level += 1;
        }),
        ("level of root MemberIx(0)", |state| state.network.placement_mut().link_mut(MemberIx(0)).level = 2),
        ("do not ascend in the Placement tree", |state| {
            let child = second_child(state, Tree::Placement);
            state.network.placement_mut().link_mut(child).slot = 0;
        }),
        ("direct count of MemberIx(3) in the Sponsor tree", |state| {
            state.network.sponsors_mut().link_mut(SOMEBODY).children += 1;
        }),
        ("Placement tree lists", |state| {
            let child = second_child(state, Tree::Placement);
            state.network.placement_mut().link_mut(child).next_sibling = NONE;
        }),
        ("do not ascend in the Placement tree", |state| {
            let circle = second_child(state, Tree::Placement);
            state.network.placement_mut().link_mut(circle).next_sibling = circle.0;
        }),
        ("near Placement downline of MemberIx(3)", |state| {
            state.network.placement_mut().tally_mut(SOMEBODY)[0] -= 1;
        }),
        ("Sponsor levels of MemberIx(3)", |state| state.network.sponsors_mut().tally_mut(SOMEBODY)[1] += 1),
        ("is outside its sponsor's placement subtree", |state| {
            let parent = state.member(LAST).parent.unwrap();
            let elsewhere = members(state)
                .find(|member| *member != parent && !state.network.placement().is_ancestor(*member, parent));
            *state.network.sponsors_mut() = sponsored(state, elsewhere);
        }),
        ("has a sponsor or a parent but not both", |state| {
            *state.network.sponsors_mut() = sponsored(state, None);
        }),
        ("is beyond the width", |state| {
            let last_child =
                members(state).find(|member| state.network.placement().link(*member).slot == 2).unwrap();
            state.network.placement_mut().link_mut(last_child).slot = 3;
        }),
        ("depth ", |state| *state.network.depth_mut() += 1),
        ("rank of MemberIx(3): 0", |state| {
            state.network.members_mut().set_ranks(SOMEBODY, Ranks { paid_as: 0, lifetime: 4 });
        }),
        ("best rank of MemberIx(3)", |state| {
            let paid_as = state.network.members().ranks(SOMEBODY).paid_as;
            state.network.members_mut().set_ranks(SOMEBODY, Ranks { paid_as, lifetime: paid_as - 1 });
        }),
        ("rank distribution", |state| state.network.rank_distribution_mut()[0] += 1),
        ("role of MemberIx(3) and the list of admins disagree", |state| {
            state.network.members_mut().set_role(SOMEBODY, Role::Admin);
        }),
        ("deep levels of admin MemberIx(0)", |state| {
            state.network.admins_mut().get_mut(&MemberIx(0)).unwrap()[Tree::Placement as usize].push(1);
        }),
        ("entries are listed by receiver", |state| state.network.members_mut().set_account(SOMEBODY, NONE)),
        ("is listed for MemberIx(3)", |state| {
            let others = state.network.members().account(MemberIx(0)).unwrap();
            state.network.members_mut().set_account(SOMEBODY, others);
        }),
        ("balance of MemberIx(3)", |state| {
            let account = state.network.members().account(SOMEBODY).unwrap();
            state.ledger.accounts_mut().add(account, EntryStatus::Held, 1);
        }),
        ("pending entries: ", |state| state.ledger.entries_mut().sum_mut(EntryStatus::Pending).entries += 1),
        ("of entry 0 and its reversal 1 only one is void", |state| {
            state.ledger.keep_reversal(1, 0);
            state.ledger.entries_mut().set_status(0, EntryStatus::Void);
        }),
        ("its reversal 1 only one is void", |state| {
            state.ledger.keep_reversal(1, 0);
            state.ledger.entries_mut().set_status(1, EntryStatus::Void);
        }),
        ("release of entry 0 by 1000", |state| {
            let change =
                StatusChange { entry: state.entry(0), to: EntryStatus::Pending, changed: true, other: None };
            state.ledger.keep_released(&change, 1_000);
        }),
        ("paid entries: ", |state| state.ledger.entries_mut().sum_mut(EntryStatus::Paid).amount -= 1),
    ];
    for (says, break_it) in broken {
        let mut state = network();
        break_it(&mut state);
        let findings = audit(&state, 1_000);
        assert!(findings.iter().any(|finding| finding.contains(says)), "{says}: {findings:?}");
        assert_eq!(audit(&state, 1).len(), 1, "{says}: no more than asked for");
    }
}

/// The sponsor tree as if the last member had another sponsor.
fn sponsored(state: &State, sponsor: Option<MemberIx>) -> Genealogy {
    let mut tree = Genealogy::new(true);
    for member in members(state) {
        let parent = if member == LAST {
            sponsor
        } else {
            MemberIx::from_column(state.network.sponsors().link(member).parent)
        };
        let place = parent.map(|parent| (parent, tree.link(parent).children));
        tree.attach(place, &Watch::default(), &mut Vec::new());
    }
    tree
}

fn second_child(state: &State, tree: Tree) -> MemberIx {
    state.tree(tree).children(SOMEBODY).nth(1).unwrap()
}
