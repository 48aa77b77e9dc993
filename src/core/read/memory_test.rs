use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

use super::*;
use crate::{
    core::{
        read::received::network::{id_of, network, plan},
        requests::command::{
            Command, ImportEntry, Origin, PlacementRequest, Register, RequestKey, SponsorRef, Stamped,
            TriggerBonus,
        },
    },
    engine::MemberDirectory,
};

fn total(memory: &MemoryUse) -> usize {
    let MemoryUse { members, links, counts, slots, codes, ledger, requests, orders, others } = *memory;
    members + links + counts + slots + codes + ledger + requests + orders + others
}

fn apply(state: &mut State, directory: &MemberDirectory, key: Option<u8>, command: Command) {
    let stamped = Stamped {
        lsn: state.lsn() + 1,
        time: Timestamp(state.time().0 + 1),
        key: key.map(|key| RequestKey { key: [key; 16], fingerprint: 1 }),
        actor: None,
        format: Stamped::FORMAT,
        command,
    };
    state.apply(&mut directory.write(), &stamped);
}

fn register(number: u32, code: Option<&str>, role: Role) -> Command {
    Command::Register(Register {
        member: id_of(number),
        sponsor: SponsorRef::None,
        placement: PlacementRequest::PlanDefault,
        code: code.and_then(Code::parse),
        role,
        joined_at: None,
        origin: Origin::Signup,
    })
}

/// The part of a report that has to grow.
type Field = fn(&MemoryUse) -> usize;

#[test]
fn every_list_counts_in_one_place() {
    let (mut state, directory) = network(&mut Pcg64Mcg::seed_from_u64(5), 500);
    let count = state.len();
    let trigger = |trigger: &str, once, reference: Option<&str>| {
        Command::TriggerBonus(TriggerBonus {
            source: id_of(count - 1),
            trigger: trigger.into(),
            amount: None,
            once,
            reference: reference.and_then(Reference::parse),
        })
    };
    let entry = Command::ImportEntry(ImportEntry {
        receiver: id_of(0),
        source: id_of(1),
        level: 1,
        amount: Money(1),
        kind: "old".into(),
        status: EntryStatus::Held,
        time: Timestamp(1),
        row_id: Some([9; 16]),
        reference: None,
        reverses: None,
    });
    let mut wide = plan();
    for number in 0..20 {
        let mut rule = wide.bonuses[0].clone();
        (rule.trigger, rule.on_registration) = (format!("trigger-{number}").into(), false);
        wide.bonuses.push(rule);
    }
    let table: [(&str, Option<u8>, Command, Field); 10] = [
        ("a member", None, register(count, None, Role::Member), |memory| memory.members),
        ("its links", None, register(count + 1, None, Role::Member), |memory| memory.links),
        ("a code", None, register(count + 2, Some("own"), Role::Member), |memory| memory.codes),
        ("an admin", None, register(count + 3, None, Role::Admin), |memory| memory.others),
        ("a key", Some(7), register(count + 4, None, Role::Member), |memory| memory.requests),
        ("a rejection", None, register(count, None, Role::Member), |memory| memory.requests),
        ("a reference", None, trigger("placed", false, Some("a long order number")), |memory| memory.ledger),
        ("a row id", None, entry, |memory| memory.codes),
        ("a plan", None, Command::PutPlan(Box::new(wide)), |memory| memory.others),
        ("a trigger once", None, trigger("trigger-19", true, None), |memory| memory.ledger),
    ];
    for (what, key, command, field) in table {
        let before = state.memory();
        apply(&mut state, &directory, key, command);
        let after = state.memory();
        assert!(field(&before) < field(&after), "{what}: {before:?}, {after:?}");
        assert_eq!(total(&after), state.bytes_by_part().total(), "{what}");
    }
}
