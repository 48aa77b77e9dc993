//! Networks for the tests of lists and sums: signups that pay along both trees, rewards, triggers, and
//! imported entries with any level and time.

use rand_pcg::{Pcg64Mcg, rand_core::RngCore};

use crate::{
    core::{
        plan::{BonusRule, LevelPay, Plan, RankBasis, RankRule, RankStep},
        requests::command::{
            Command, ImportEntry, Origin, PlacementRequest, Register, SponsorRef, Stamped, TriggerBonus,
        },
        state::{parts::State, restore::Restore},
        words::types::{EntryStatus, MemberId, Money, Reference, Role, Timestamp, Tree},
    },
    engine::MemberDirectory,
};

pub fn id_of(number: u32) -> MemberId {
    MemberId(u128::from(number).to_be_bytes())
}

/// Signups that pay along both trees, rewards, triggers, and imported entries with any level and time.
pub fn plan() -> Plan {
    let rule = |trigger: &str, tree| BonusRule {
        trigger: trigger.into(),
        tree,
        pay: LevelPay::Fixed([500, 300, 200].map(Money).to_vec()),
        on_registration: true,
        admins_beyond: false,
    };
    let mut plan = crate::plan_file::default_plan();
    plan.placement.width = Some(2);
    plan.count_sponsor_tree = true;
    plan.bonuses = vec![rule("sponsored", Tree::Sponsor), rule("placed", Tree::Placement)];
    let steps = [("Bronze", 2), ("Silver", 5)];
    let steps = steps
        .map(|(name, minimum)| RankStep { name: name.into(), minimum, reward: Some(Money(7_000)) })
        .to_vec();
    plan.ranks = RankRule::Thresholds { tree: Tree::Sponsor, basis: RankBasis::Downline, steps };
    plan
}

pub fn network(random: &mut Pcg64Mcg, commands: u32) -> (State, MemberDirectory) {
    let (mut state, directory) = (State::new(plan(), 1), MemberDirectory::with_capacity(0, 0));
    grow(random, &mut state, &directory, commands);
    (state, directory)
}

pub fn grow(random: &mut Pcg64Mcg, state: &mut State, directory: &MemberDirectory, commands: u32) {
    for _ in 0..commands {
        let pick = |random: &mut Pcg64Mcg| id_of(random.next_u32() % state.len().max(1));
        let reference = Reference::parse(&format!("order {}", random.next_u32() % 9))
            .filter(|_| random.next_u32().is_multiple_of(2));
        let command = match random.next_u32() % 9 {
            2 if state.entries() != 0 => {
                Command::ReverseEntry { entry: u64::from(random.next_u32()) % state.entries() }
            }
            0 if !state.is_empty() => Command::TriggerBonus(TriggerBonus {
                source: pick(random),
                trigger: "placed".into(),
                amount: None,
                once: false,
                reference,
            }),
            1 if !state.is_empty() => Command::ImportEntry(ImportEntry {
                receiver: pick(random),
                source: pick(random),
                level: random.next_u32() % 5_000,
                amount: Money(i64::from(random.next_u32())),
                kind: "old".into(),
                status: EntryStatus::ALL[random.next_u32() as usize % 4],
                time: Timestamp(i64::from(random.next_u32() % 2_000)),
                row_id: None,
                reference,
                reverses: None,
            }),
            _ => Command::Register(Register {
                member: id_of(state.len()),
                sponsor: if state.is_empty() { SponsorRef::None } else { SponsorRef::Member(pick(random)) },
                placement: PlacementRequest::PlanDefault,
                code: None,
                role: Role::Member,
                joined_at: None,
                origin: Origin::Signup,
            }),
        };
        let lsn = state.lsn() + 1;
        let time = Timestamp(i64::try_from(lsn - 1).unwrap() * 3);
        state.apply(
            &mut directory.write(),
            &Stamped { lsn, time, key: None, actor: None, format: 1, command },
        );
    }
}

/// The same network, restored from an image.
pub fn reopened(state: &State) -> State {
    let mut directory = MemberDirectory::with_capacity(0, 0);
    let mut restore = Restore::new(state.image_header()).expect("our own header is good");
    for rows in state.image_rows(50) {
        restore.push(&mut directory, rows).expect("our own rows are good");
    }
    restore.finish().expect("our own image is complete")
}
