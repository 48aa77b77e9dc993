//! The table, row by row, and what members see of random trees against a naive model of them.

use std::collections::BTreeSet;

use rand_pcg::{Pcg64, rand_core::RngCore, rand_core::SeedableRng};

use super::*;
use crate::{
    core::{
        command::{Command, Origin, Outcome, PlacementRequest, Register, SponsorRef, Stamped},
        plan::{Placement, PlacementRule, Plan},
        steps::steps_of,
        types::{Code, Role as NetworkRole, Timestamp},
    },
    engine::MemberDirectory,
    plan_file::default_plan,
};

fn id(number: u32) -> MemberId {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    MemberId(bytes)
}

/// A network with a naive model of it: sponsor and parent of each member, recorded at registration.
struct Network {
    state: State,
    names: MemberDirectory,
    sponsors: Vec<Option<u32>>,
    parents: Vec<Option<u32>>,
}

impl Network {
    fn new(plan: Plan) -> Self {
        Self {
            state: State::new(plan, 7),
            names: MemberDirectory::with_capacity(0, 0),
            sponsors: Vec::new(),
            parents: Vec::new(),
        }
    }

    /// Registers the next member; a taken or impossible slot falls back to the plan's rule.
    fn add(&mut self, sponsor: Option<u32>, slot: Option<(u32, u32)>) -> u32 {
        let number = u32::try_from(self.sponsors.len()).unwrap();
        let mut placements = vec![PlacementRequest::PlanDefault];
        if let Some((parent, slot)) = slot {
            placements.push(PlacementRequest::Slot { parent: id(parent), slot });
        }
        for placement in placements.into_iter().rev() {
            let register = Register {
                member: id(number),
                sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(id(sponsor))),
                placement,
                code: None::<Code>,
                role: NetworkRole::Member,
                joined_at: None,
                origin: Origin::Signup,
            };
            let lsn = self.state.lsn() + 1;
            let stamped = Stamped {
                lsn,
                time: Timestamp(0),
                key: None,
                actor: None,
                format: 1,
                command: Command::Register(register),
            };
            if let Outcome::Registered { member } = self.state.apply(&mut self.names, &stamped).outcome {
                assert_eq!(member, MemberIx(number));
                self.sponsors.push(sponsor);
                self.parents.push(self.state.member(member).parent.map(|parent| parent.0));
                return number;
            }
        }
        panic!("the plan's own rule finds a place");
    }

    /// The model: walks up from `member`.
    fn is_at_or_below(&self, top: u32, member: u32) -> bool {
        [&self.sponsors, &self.parents].into_iter().any(|above| {
            let mut at = Some(member);
            while at.is_some_and(|at| at != top) {
                at = at.and_then(|at| above[at as usize]);
            }
            at.is_some()
        })
    }
}

fn member(subject: MemberId) -> Principal {
    Principal::new(Role::Member, Some(subject), "someone", Scopes::NONE)
}

#[test]
fn the_table_is_this() {
    // action, member, its scopes, auditor
    let table = [
        (Action::ReadMember, true, "members:read, support", true),
        (Action::ReadBonuses, true, "bonuses:read, support", true),
        (Action::ReadNetwork, false, "network:read, support", true),
        (Action::RegisterMember, false, "members:register", false),
        (Action::ManageMember, false, "members:manage", false),
        (Action::TriggerBonus, false, "bonuses:trigger", false),
        (Action::PayBonus, false, "bonuses:pay", false),
        (Action::ReadPlan, false, "plan:read, support", true),
        (Action::ChangePlan, false, "plan:change", false),
        (Action::ReadOperations, false, "operations:read", true),
        (Action::Operate, false, "operate", false),
        (Action::ReadEvents, false, "events:read", true),
        (Action::ReadMetrics, false, "metrics", true),
        // No scope grants this to a service.
        (Action::ReadAudit, false, "", true),
        (Action::WriteOrders, false, "orders:write", false),
        (Action::ReadPeriods, false, "finance, support", true),
        (Action::RunPeriod, false, "finance", false),
        (Action::StepPeriod, false, "", false),
    ];
    assert_eq!(table.map(|row| row.0), Action::VARIANTS);
    let mut network = Network::new(default_plan());
    let top = network.add(None, None);
    let (state, names) = (&network.state, &network.names);
    let every: Scopes = Scope::VARIANTS.iter().copied().collect();
    for (action, for_member, scopes, for_auditor) in table {
        let scopes: Scopes = scopes.split(", ").filter_map(|scope| scope.parse::<Scope>().ok()).collect();
        assert_eq!(scopes, action.rule().scopes, "{action:?}");
        let asked = |principal: &Principal, target| authorize(principal, action, target, state, names);
        let forbidden = |allowed: bool| if allowed { Ok(()) } else { Err(Denied::Forbidden) };
        let target = Target::Member(MemberIx(top));
        assert_eq!(asked(&member(id(top)), target), forbidden(for_member), "{action:?}");
        assert_eq!(asked(&member(id(top)), Target::Network), Err(Denied::Forbidden), "{action:?}");
        assert_eq!(
            asked(&member(id(99)), target),
            if for_member { Err(Denied::Unseen) } else { Err(Denied::Forbidden) },
            "{action:?}"
        );
        for target in [target, Target::Network, Target::Unknown { stand_in: None }, Target::Entry(5)] {
            let service = |scopes| Principal::new(Role::Service, None, "key", scopes);
            for scope in scopes.iter() {
                assert_eq!(asked(&service([scope].into_iter().collect()), target), Ok(()), "{action:?}");
            }
            let others: Scopes = every.iter().filter(|other| !scopes.has(*other)).collect();
            assert_eq!(asked(&service(others), target), Err(Denied::Forbidden), "{action:?}");
            assert_eq!(asked(&Principal::nobody(), target), Err(Denied::Forbidden), "{action:?}");
            assert_eq!(
                asked(&Principal::new(Role::Auditor, None, "key", every), target),
                forbidden(for_auditor),
                "{action:?}"
            );
            assert_eq!(asked(&Principal::anonymous(), target), Ok(()), "{action:?}");
        }
    }
    let stray = Principal::new(Role::Member, None, "a token without a member", every);
    assert_eq!(
        authorize(&stray, Action::ReadMember, Target::Member(MemberIx(top)), state, names),
        Err(Denied::Forbidden)
    );
}

/// What support may use: routes that read members, bonuses, orders, periods and the plan, and none that acts.
#[test]
fn support_reads_and_acts_nowhere() {
    use crate::http::route_table::{Access, ROUTES};
    // Of the process and the log rather than of members.
    let not_for_support = [
        "/metrics",
        "/v1/audit",
        "/v1/clock",
        "/v1/digest",
        "/v1/digest/network",
        "/v1/events",
        "/v1/snapshots",
        "/v1/stats",
        "/bonus/mark-paid/all",
        "/user/add_test_data",
    ];
    let support = Principal::new(Role::Service, None, "key", Scopes::NONE.with(Scope::Support));
    let mut reads = 0;
    for route in &ROUTES {
        let actions: &[Action] = match &route.access {
            Access::Open | Access::Docs => continue,
            Access::Metrics(action) | Access::May(action) | Access::MayOfMember(action) => {
                std::slice::from_ref(action)
            }
            Access::Asks(actions) => actions,
        };
        // Ranks are kept up to date: the original's route to evaluate one only shows it.
        let is_read = route.method == "GET" || route.path == "/ranks/evaluate/{user_id}";
        let expected = is_read && !not_for_support.contains(&route.path);
        for action in actions {
            let may = permit(&support, *action).is_ok();
            assert_eq!(may, expected, "{} {}: {action:?}", route.method, route.path);
        }
        reads += usize::from(expected);
    }
    assert!(30 <= reads, "{reads}");
}

#[test]
fn whether_it_was_asked_is_remembered_by_all_copies() {
    let principal = Principal::anonymous();
    let copy = principal.clone();
    assert_eq!(principal.verdict(), Verdict::NotAsked);
    assert_eq!(permit(&copy, Action::Operate), Ok(()));
    assert_eq!(principal.verdict(), Verdict::Allowed);
    let nobody = Principal::nobody();
    assert_eq!(permit(&nobody, Action::Operate), Err(Denied::Forbidden));
    assert_eq!(nobody.verdict(), Verdict::Forbidden);
}

/// Timing would prove too little, so the steps of the query are counted: they are the same for every pair of
/// members, and for ids that do not exist.
#[test]
fn what_is_hidden_and_what_is_not_there_take_the_same_steps() {
    const CHAIN: u32 = 1_500;
    for plan in plans().into_iter().chain([default_plan()]) {
        let mut network = Network::new(plan);
        // A chain of sponsors, and other roots with a few below them.
        for number in 0..CHAIN {
            network.add(number.checked_sub(1), None);
        }
        for number in CHAIN..2 * CHAIN {
            network.add((number % 10 != 0).then(|| number - number % 10), None);
        }
        let (state, names) = (&network.state, &network.names);
        let mut all = BTreeSet::new();
        for asker in [0, 1, CHAIN / 2, CHAIN - 1, CHAIN, 2 * CHAIN - 1] {
            let principal = member(id(asker));
            let mut decided = [0; 2];
            // The second half of the ids is unused.
            for target in (0..4 * CHAIN).step_by(7) {
                let (decision, steps) = steps_of(|| {
                    let target = Target::member(state, names, &id(target));
                    authorize(&principal, Action::ReadMember, target, state, names)
                });
                assert!(decision.is_err() || target < 2 * CHAIN);
                decided[usize::from(decision.is_ok())] += 1;
                all.insert(steps);
            }
            assert!(0 < decided[0] && (0 < decided[1] || asker % 7 != 0), "{asker}: {decided:?}");
            // Codes and bonuses are checked in the same way.
            for code in [
                state.code(MemberIx(CHAIN)),
                state.code(MemberIx(3)),
                Code::parse("nobody-has-this").unwrap(),
            ] {
                let asked = || {
                    authorize(
                        &principal,
                        Action::ReadMember,
                        Target::by_code(state, state.member_by_code(names, &code), &code),
                        state,
                        names,
                    )
                };
                all.insert(steps_of(asked).1);
            }
            let asked = || {
                authorize(
                    &principal,
                    Action::ReadBonuses,
                    Target::entry(state, id(asker).0, Some(7)),
                    state,
                    names,
                )
            };
            let (decision, steps) = steps_of(asked);
            assert_eq!(decision, Err(Denied::Unseen));
            all.insert(steps);
        }
        assert_eq!(all.len(), 1, "steps differ: {all:?}");
        assert!(all.iter().all(|steps| (1..2_000).contains(steps)), "{all:?}");
    }
}

/// Trees of the property below, over all plans.
const TREES: u32 = 100_000;
/// Trees that share a network: members of other trees must be hidden too.
const TREES_PER_NETWORK: u32 = 500;

fn plans() -> Vec<Plan> {
    let rules = [
        (Some(3), PlacementRule::BreadthFirst),
        (Some(2), PlacementRule::WeakLegEven),
        (Some(2), PlacementRule::Left),
        (Some(2), PlacementRule::PowerLeg),
        (None, PlacementRule::Unilevel),
    ];
    let plan = |(width, default_rule): (Option<u16>, PlacementRule)| Plan {
        placement: Placement { width, default_rule, other_rules: Vec::new(), strategic: width.is_some() },
        ..default_plan()
    };
    rules.into_iter().map(plan).collect()
}

/// A tree of up to twelve members, occasionally of a hundred: random sponsors, a third of the members in a
/// slot they choose.
fn grow(network: &mut Network, random: &mut Pcg64) -> std::ops::Range<u32> {
    let mut below = |bound: u32| u32::try_from(random.next_u64() % u64::from(bound)).unwrap();
    let root = network.add(None, None);
    let size = if below(100) == 0 { 100 } else { 1 + below(12) };
    for grown in 1..size {
        let sponsor = root + below(grown);
        let slot = (below(3) == 0).then(|| (root + below(grown), below(3)));
        network.add(Some(sponsor), slot);
    }
    root..root + size
}

#[test]
fn a_member_never_sees_outside_its_own_downline() {
    let seed = std::env::var("UPLINE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut trees, mut shown, mut hidden) = (0, 0_u64, 0_u64);
    let plans = plans();
    while trees < TREES {
        let mut random = Pcg64::seed_from_u64(seed + u64::from(trees));
        let mut network = Network::new(plans[(trees / TREES_PER_NETWORK) as usize % plans.len()].clone());
        for _ in 0..TREES_PER_NETWORK {
            let tree = grow(&mut network, &mut random);
            let top =
                tree.start + u32::try_from(random.next_u64() % u64::from(tree.end - tree.start)).unwrap();
            let principal = member(id(top));
            let elsewhere = u32::try_from(random.next_u64() % u64::from(tree.end)).unwrap();
            for target in tree.chain([elsewhere]) {
                let asked = |action| {
                    authorize(
                        &principal,
                        action,
                        Target::Member(MemberIx(target)),
                        &network.state,
                        &network.names,
                    )
                };
                let expected = network.is_at_or_below(top, target);
                let place = format!("seed {seed}, tree {trees}: {top} asks for {target}");
                assert_eq!(
                    asked(Action::ReadMember),
                    if expected { Ok(()) } else { Err(Denied::Unseen) },
                    "{place}"
                );
                assert_eq!(asked(Action::ManageMember), Err(Denied::Forbidden), "{place}");
                shown += u64::from(expected);
                hidden += u64::from(!expected);
                // Closed downward: a list of a downline needs no second query.
                let above = [network.sponsors[target as usize], network.parents[target as usize]];
                let seen_above = above.into_iter().flatten().any(|above| network.is_at_or_below(top, above));
                assert!(expected || !seen_above, "{place}");
            }
            trees += 1;
        }
    }
    assert!(
        u64::from(TREES) <= shown && u64::from(TREES) <= hidden,
        "both happen: {shown} shown, {hidden} hidden"
    );
}
