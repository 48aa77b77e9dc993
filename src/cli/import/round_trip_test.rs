//! Export, then import, gives the same network, whatever the network.

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::{
    cli::export,
    core::{
        command::{Origin, PlacementRequest, Register, SponsorRef, TriggerBonus},
        types::{Code, MemberId, Money, Role, Status, Timestamp},
    },
    plan_file, shapes,
};

const PLANS: [&str; 3] = [plan_file::DEFAULT_PLAN, include_str!("../../../plans/levels.toml"), include_str!("../../../plans/binary.toml")];

struct Random(Pcg64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0.next_u32() % bound
    }

    fn member(&mut self, network: &Network) -> MemberId {
        network.state.member(MemberIx(self.below(network.state.len()))).id
    }
}

fn empty(plan: &str, now: i64) -> Network {
    let state = State::new(plan_file::parse(plan).expect("shipped plans are valid"), 1);
    Network::new(state, MemberDirectory::with_capacity(0, 0), Timestamp(now))
}

/// One random command; what the rules refuse is as good as any other.
fn step(random: &mut Random, network: &mut Network, number: u32) {
    let new = shapes::member_id(0, number);
    let command = match random.below(12) {
        0 => Command::SetStatus { member: random.member(network), status: Status::ALL[random.below(3) as usize] },
        1 => Command::PayEntry { entry: u64::from(random.below(100)) },
        2 | 3 => {
            let trigger = ["referral", "purchase"][random.below(2) as usize].into();
            let amount = Some(Money(i64::from(random.below(100_000))));
            Command::TriggerBonus(TriggerBonus { source: random.member(network), trigger, amount, once: false })
        }
        kind => {
            let allowed = &network.state.plan().placement;
            let rules: Vec<_> = allowed.other_rules.iter().copied().chain([allowed.default_rule]).collect();
            let placement = match random.below(4) {
                0 => PlacementRequest::Rule(rules[random.below(u32::try_from(rules.len()).unwrap()) as usize]),
                1 => PlacementRequest::Slot { parent: random.member(network), slot: random.below(3) },
                _ => PlacementRequest::PlanDefault,
            };
            let code = ["-lead", "_x", "Q", "=", "e5"][random.below(5) as usize];
            Command::Register(Register {
                member: new,
                sponsor: if kind == 4 { SponsorRef::None } else { SponsorRef::Member(random.member(network)) },
                placement: if kind == 4 { PlacementRequest::PlanDefault } else { placement },
                code: Code::parse(&format!("{code}{number}")).filter(|_| random.below(2) == 0),
                role: if random.below(20) == 0 { Role::Admin } else { Role::Member },
                joined_at: (random.below(2) == 0).then(|| Timestamp(i64::from(random.0.next_u32()) * 1_000_003 - 1_000_000_000)),
                origin: Origin::Signup,
            })
        }
    };
    _ = network.apply(command);
}

#[test]
fn every_network_survives() {
    for seed in 0..150 {
        let plan = PLANS[seed as usize % PLANS.len()];
        let mut random = Random(Pcg64::new(seed, 0));
        let mut network = empty(plan, 1_000_000);
        let root = Register {
            member: shapes::member_id(0, u32::MAX),
            sponsor: SponsorRef::None,
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        };
        network.apply(Command::Register(root)).unwrap();
        (0..120).for_each(|number| step(&mut random, &mut network, number));
        let (members, bonuses) = export::files_of(&network.state);

        let mut copy = empty(plan, 2_000_000);
        let taken = members_from(&mut copy, &members, false);
        assert_eq!(taken.refused, [], "seed {seed}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bonuses).unwrap();
        let taken = take_bonuses(file.path(), &mut copy, &Interrupt::never()).ok().unwrap();
        assert_eq!(taken.refused, [], "seed {seed}");
        assert_eq!(copy.state.entries(), network.state.entries(), "seed {seed}");
        assert_eq!(network_digest(&copy.state), network_digest(&network.state), "seed {seed}");
        assert_eq!(crate::core::audit(&copy.state, 10), Vec::<String>::new(), "seed {seed}");
        assert_eq!(export::files_of(&copy.state), (members, bonuses), "seed {seed}: the files are the same, to the byte");
    }
}
