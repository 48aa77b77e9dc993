//! An import that dies at any point and is repeated ends in the same state as one that does not die.

use super::*;
use crate::{
    cli::record::GROUP_COMMANDS,
    core::{audit, types::Status},
    durability::{
        LogOptions,
        memory::{Fault, Memory, Survival},
    },
    engine::PlanChoice,
    plan_file,
};

const ROOT: &str = "/data";

fn target(storage: &Memory, plan: &str) -> Result<Target, Failure> {
    let plan = plan_file::parse(plan).expect("shipped plans are valid");
    let choice = PlanChoice { plan, plan_is_explicit: false, width_is_explicit: false };
    let log = LogOptions { segment_bytes: 16 << 10, prepare_in_background: false, ..LogOptions::default() };
    Target::open_in(storage.shared(), ROOT.into(), log, choice, ClockRule { most: None, accept: false })
}

/// Opens the directory, imports a file, and commits. Returns the imported members, and the network's digest.
fn import(storage: &Memory, plan: &str, file: &str) -> Result<(u64, Digest), Failure> {
    let mut target = target(storage, plan)?;
    let taken = members_from(&mut target.network, file.as_bytes(), false);
    target.commit(false)?;
    assert_eq!(audit(&target.network.state, 3), Vec::<String>::new());
    Ok((taken.members, network_digest(&target.network.state)))
}

fn imported(storage: &Memory, plan: &str, file: &str) -> (u64, Digest) {
    import(storage, plan, file).unwrap_or_else(|failure| panic!("{}", failure.message))
}

/// Members, with inactive, terminated and admin ones among them, that recruit before and after; rows that
/// wait; sponsors by code, misspelled and not yet imported.
fn file(members: u32) -> String {
    let mut text = "member,sponsor,joined_at,code,status,role\n".to_string();
    for number in 0..members {
        let status = ["active", "inactive", "", "terminated", "active"][number as usize * 7 % 5];
        let role = if number % 97 == 3 { "admin" } else { "" };
        let sponsor = match number % 11 {
            // Follows later.
            3 if number + 2 < members => format!("M{}", number + 2),
            5 => format!("CODE-{}", number - 5),
            // Resembles a code, but is not one.
            7 => format!("c0de-{}", number - 7),
            _ => format!("m{}", number / 3),
        };
        let code = if number % 11 == 0 { format!("code-{number}") } else { String::new() };
        text += &format!(
            "m{number},{},2020-01-01,{code},{status},{role}\n",
            if number == 0 { String::new() } else { sponsor }
        );
    }
    text
}

#[test]
fn an_import_that_dies_at_any_point_is_finished_by_another() {
    for plan in [plan_file::DEFAULT_PLAN, include_str!("../../../plans/binary.toml")] {
        let base = Memory::new();
        imported(&base, plan, "member,sponsor,joined_at\nbefore,,2020-01-01\n");
        let file = file(u32::try_from(GROUP_COMMANDS).unwrap() * 5);
        let whole = base.copy();
        whole.set_fault(None);
        let (members, expected) = imported(&whole, plan, &file);
        let calls = whole.calls();
        assert!(GROUP_COMMANDS as u64 * 4 < members && 6 < calls, "{members} members, {calls} calls");
        let mut dead_between = 0;
        for at in 1..=calls {
            for survival in [Survival::Synced, Survival::Everything, Survival::Chance(at)] {
                let storage = base.copy();
                storage.set_fault(Some(Fault::PowerLoss { at }));
                let died = import(&storage, plan, &file).is_err();
                let left = storage.crash(survival);
                let (more, digest) = imported(&left, plan, &file);
                dead_between += u64::from(died && 0 < more && more < members);
                assert_eq!(
                    digest, expected,
                    "dead at call {at} of {calls}, {survival:?}: then {more} members more"
                );
            }
        }
        println!("{dead_between} of {} imports died between their first and last member", 3 * calls);
    }
}

/// Sponsors named by a text that only resembles a code. The members they add have codes that resemble it too:
/// so the same cell means `r`, and later is ambiguous.
fn ambiguous_file() -> String {
    let mut text = "member,sponsor,joined_at,code\nr,,2020-01-01,AN-01\n".to_string();
    let by_like_code = |text: &mut String, numbers: std::ops::Range<u32>| {
        for number in numbers {
            *text += &format!("a{number},AN-O1,2020-01-01,\n");
            for child in 0..3 {
                *text += &format!("c{number}-{child},a{number},2020-01-01,\n");
            }
        }
    };
    by_like_code(&mut text, 0..20);
    text += "like,a0,2020-01-01,AN-0I\n";
    by_like_code(&mut text, 20..22);
    (0..150).for_each(|number| text += &format!("z{number},a{},2020-01-01,\n", number % 20));
    text
}

#[test]
fn a_code_that_became_ambiguous_means_whom_it_meant() {
    let plan = plan_file::DEFAULT_PLAN;
    let refusals = |storage: &Memory, file: &str| {
        let mut target = target(storage, plan).unwrap_or_else(|failure| panic!("{}", failure.message));
        let taken = members_from(&mut target.network, file.as_bytes(), false);
        let lines: Vec<_> = taken.refused.iter().map(|row| (row.line, row.reason.name())).collect();
        (taken.already_there, lines)
    };
    let file = ambiguous_file();
    let base = Memory::new();
    imported(&base, plan, "member,sponsor,joined_at\nbefore,,2020-01-01\n");
    let (_, refused) = refusals(&base.copy(), &file);
    let ambiguous = refused.iter().filter(|(_, reason)| *reason == "code_ambiguous").count();
    assert_eq!((ambiguous, refused.len()), (2, 8), "two sponsors, and those whom they would bring");
    let whole = base.copy();
    whole.set_fault(None);
    let (members, expected) = imported(&whole, plan, &file);
    let calls = whole.calls();
    let mut dead_between = 0;
    for at in 1..=calls {
        let storage = base.copy();
        storage.set_fault(Some(Fault::PowerLoss { at }));
        let died = import(&storage, plan, &file).is_err();
        let left = storage.crash(Survival::Everything);
        let (there, refused_again) = refusals(&left.copy(), &file);
        assert_eq!(refused_again, refused, "dead at call {at} of {calls}, with {there} members there");
        let (more, digest) = imported(&left, plan, &file);
        dead_between += u64::from(died && 32 < more && more < members - 100);
        assert_eq!(digest, expected, "dead at call {at} of {calls}: then {more} members more");
    }
    assert_ne!(dead_between, 0, "none died behind the members with like codes");
}

#[test]
fn what_somebody_decided_since_stays() {
    let base = Memory::new();
    let plan = plan_file::DEFAULT_PLAN;
    imported(
        &base,
        plan,
        "member,sponsor,joined_at,status\nr,,2020-01-01,\na,r,2020-01-01,inactive\nb,r,2020-01-01,\n",
    );
    let mut target = target(&base, plan).unwrap_or_else(|failure| panic!("{}", failure.message));
    let id = |name: &str| Name::parse(name).unwrap().id;
    for (name, status) in [("a", Status::Active), ("b", Status::Terminated)] {
        target.network.apply(Command::SetStatus { member: id(name), status }).unwrap();
    }
    let file = "member,sponsor,joined_at,status\na,r,2020-01-01,inactive\nb,r,2020-01-01,\n\
                c,a,2020-01-01,\nd,b,2020-01-01,\n";
    let taken = members_from(&mut target.network, file.as_bytes(), false);
    let refused: Vec<_> = taken.refused.iter().map(|refused| (refused.line, refused.reason.name())).collect();
    assert_eq!(
        (taken.members, refused),
        (1, vec![(5, "sponsor_not_active")]),
        "b recruits nobody since it was terminated"
    );
    let state = &target.network.state;
    let status = |name| state.member(state.find(&target.network.directory, &id(name)).unwrap()).status;
    assert_eq!([status("a"), status("b")], [Status::Active, Status::Terminated]);
}
