//! What is counted at the end is what would have been counted throughout.

use proptest::prelude::*;

use crate::{
    core::{
        plan::{PlacementRule, Plan, RankBasis, RankRule},
        read::{digest::state_digest, invariants::audit},
        requests::command::{
            Carried, Command, Origin, Outcome, PlacementRequest, Register, SponsorRef, Stamped,
        },
        state::parts::State,
        words::types::{Role, Status, Timestamp, Tree},
    },
    engine::MemberDirectory,
    plan_file,
    shapes::member_id,
};

/// A member of a random file: below which of those before it, and where.
#[derive(Clone, Debug)]
struct Imported {
    sponsor: Option<prop::sample::Index>,
    /// Below the sponsor, or by the plan's rule.
    slot: Option<u32>,
    role: Role,
    lifetime_rank: u16,
}

fn imported() -> impl Strategy<Value = Imported> {
    let sponsor = prop::option::weighted(0.95, any::<prop::sample::Index>());
    let role = prop_oneof![20 => Just(Role::Member), 1 => Just(Role::Admin)];
    (sponsor, prop::option::weighted(0.3, 0_u32..4), role, 0_u16..3)
        .prop_map(|(sponsor, slot, role, lifetime_rank)| Imported { sponsor, slot, role, lifetime_rank })
}

/// Every default rule that compares no legs; ranks by each basis and tree.
fn plan() -> impl Strategy<Value = Plan> {
    let rules: Vec<PlacementRule> = PlacementRule::ALL.to_vec();
    (prop::sample::select(rules), any::<[bool; 4]>(), 0_usize..3).prop_map(
        |(rule, [counts_sponsors, is_strategic, by_sponsors, is_direct], width)| {
            let mut plan = plan_file::default_plan();
            plan.placement.default_rule = rule;
            plan.placement.width = match rule {
                PlacementRule::Unilevel => None,
                _ => Some([1, 2, 3][width]),
            };
            plan.placement.strategic = is_strategic;
            plan.count_sponsor_tree = counts_sponsors;
            if let RankRule::Thresholds { tree, basis, .. } = &mut plan.ranks {
                *tree = if by_sponsors && counts_sponsors { Tree::Sponsor } else { Tree::Placement };
                *basis = if is_direct { RankBasis::Direct } else { RankBasis::Downline };
            }
            plan
        },
    )
}

struct Network {
    state: State,
    directory: MemberDirectory,
}

impl Network {
    fn new(plan: &Plan) -> Self {
        Self { state: State::new(plan.clone(), 7), directory: MemberDirectory::with_capacity(0, 0) }
    }

    fn import(&mut self, file: &[Imported]) -> Vec<Result<Outcome, crate::core::command::Rejection>> {
        file.iter().map(|row| self.register(row)).collect()
    }

    fn register(&mut self, row: &Imported) -> Result<Outcome, crate::core::command::Rejection> {
        let members = self.state.len();
        let sponsor = row.sponsor.as_ref().filter(|_| members != 0);
        let sponsor = sponsor
            .map(|sponsor| member_id(1, u32::try_from(sponsor.index(members as usize)).expect("a few")));
        let placement = match (sponsor, row.slot) {
            (Some(parent), Some(slot)) => PlacementRequest::Slot { parent, slot },
            _ => PlacementRequest::PlanDefault,
        };
        let carried =
            Carried { status: Status::Active, lifetime_rank: row.lifetime_rank, ..Carried::default() };
        let register = Register {
            member: member_id(1, members),
            sponsor: sponsor.map_or(SponsorRef::None, SponsorRef::Member),
            placement,
            code: None,
            role: row.role,
            joined_at: None,
            origin: Origin::Import(carried),
        };
        let lsn = self.state.lsn() + 1;
        let command = Command::Register(register);
        let stamped =
            Stamped { lsn, time: Timestamp(1), key: None, actor: None, format: Stamped::FORMAT, command };
        Ok(self.state.apply_unless_rejected(&mut self.directory, &stamped)?.outcome)
    }
}

proptest! {
    #[test]
    fn a_network_imported_in_bulk_is_the_same(
        plan in plan(),
        file in prop::collection::vec(imported(), 0..200),
        later in prop::collection::vec(imported(), 0..10),
    ) {
        prop_assume!(plan.validate().is_ok());
        let (mut counted, mut in_bulk) = (Network::new(&plan), Network::new(&plan));
        prop_assert_eq!(in_bulk.state.begin_bulk(), !plan.placement.counts_legs());
        prop_assert_eq!(counted.import(&file), in_bulk.import(&file));
        in_bulk.state.end_bulk();
        prop_assert_eq!(state_digest(&counted.state), state_digest(&in_bulk.state));
        prop_assert_eq!(audit(&in_bulk.state, 3), Vec::<String>::new());
        // Both go on alike.
        prop_assert!(in_bulk.state.is_empty() || !in_bulk.state.begin_bulk());
        in_bulk.state.end_bulk();
        prop_assert_eq!(counted.import(&later), in_bulk.import(&later));
        prop_assert_eq!(state_digest(&counted.state), state_digest(&in_bulk.state));
        prop_assert_eq!(audit(&in_bulk.state, 3), Vec::<String>::new());
    }
}
