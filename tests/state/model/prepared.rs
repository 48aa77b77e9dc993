//! Random sequences with plan changes and new admins, once as they are and once with preparations: nothing
//! may differ.
//!
//! A preparation starts some steps before its command, while other steps continue: members join, roles and
//! plans change, the view is copied and the preparation catches up in small pieces. Some are then used with a
//! different command than the one they were made for.

use upline::core::{
    Need, Preparation, audit,
    command::{Command, Outcome, Stamped},
    state::{CopyProgress, FrozenCopy, State, ViewId},
    state_digest,
    types::{MemberIx, Role, Timestamp, Tree},
};
use upline::{
    shapes::{Shape, member_id},
    workload::Signups,
};

use super::FIRST_SEED;
use crate::networks::{
    network::Real,
    picture::Network,
    random::{Chance, Scenario, Step, scenario, scenario_of_shop},
};

/// Maximum steps between the start of a preparation and its command.
const AHEAD_MAX: usize = 30;

/// A preparation for the step at `due`.
struct Ahead {
    due: usize,
    began_with: u32,
    stage: Stage,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Stage {
    Copying(ViewId, FrozenCopy, Command),
    CatchingUp(Preparation),
}

#[derive(Default, Debug)]
struct Used {
    plans: u32,
    admins: u32,
    seals: u32,
    /// Of both: with members who joined since the preparation started.
    grown: u32,
    /// For the wrong command, or stale because of another plan.
    not_good: u32,
}

#[test]
fn prepared_changes_do_what_the_others_do() {
    let mut used = Used::default();
    for seed in (0..96).map(|case| FIRST_SEED + case) {
        println!("seed {seed}");
        run(seed, scenario(seed, 200), &mut used);
    }
    for seed in (0..48).map(|case| FIRST_SEED + case) {
        println!("shop {seed}");
        run(seed, scenario_of_shop(seed, 200), &mut used);
    }
    println!("{used:?}");
    assert!(
        20 <= used.seals && 50 <= used.plans && 50 <= used.admins && 50 <= used.grown && 10 <= used.not_good,
        "{used:?}"
    );
}

/// Counts for one member are not used for another, however deep both are.
#[test]
fn a_preparation_for_one_admin_is_of_no_use_to_another() {
    let mut real = Real::new(upline::plan_file::default_plan());
    for signup in Signups::new(Shape::Chain, 60, 1).batch() {
        real.apply(&signup);
    }
    let (lsn, command) =
        (real.state.lsn() + 1, |member| Command::SetRole { member: member_id(1, member), role: Role::Admin });
    let mut preparation = Preparation::on_network(&real.state, &real.directory, &command(5)).unwrap();
    while !preparation.advance(&real.state, 3) {}
    preparation.complete(&real.state);
    assert!(preparation.is_good_for(&real.state, &real.directory, &command(5)));
    assert!(!preparation.is_good_for(&real.state, &real.directory, &command(1)));
    let stamped =
        Stamped { lsn, time: real.state.time(), key: None, actor: None, format: 1, command: command(1) };
    drop(real.state.apply_prepared(&mut real.directory, &stamped, Some(preparation)));
    assert_eq!(audit(&real.state, 3), Vec::<String>::new());
    // A chain of 60: 58 below it, 43 of them beyond the fifteenth level.
    assert_eq!(real.state.deep_levels_of(Tree::Placement, MemberIx(1)).map(<[u32]>::len), Some(43));
}

/// A result is of one command and of what its computation read, which for an admin is the whole network.
#[test]
fn a_result_computed_ahead_is_good_while_nothing_that_it_read_changed() {
    let mut real = Real::new(upline::plan_file::default_plan());
    let signups = Signups::new(Shape::Chain, 60, 1).batch();
    for signup in &signups[..59] {
        real.apply(signup);
    }
    let command = Command::SetRole { member: member_id(1, 3), role: Role::Admin };
    let mut preparation = Preparation::on_network(&real.state, &real.directory, &command).unwrap();
    let is_good = |real: &Real, preparation: &Preparation, command: &Command| {
        preparation.is_good_for(&real.state, &real.directory, command)
    };
    preparation.complete(&real.state);
    assert!(!is_good(&real, &preparation, &command), "it has not caught up");
    while !preparation.advance(&real.state, 3) {}
    preparation.complete(&real.state);
    assert!(is_good(&real, &preparation, &command));
    real.apply(&signups[59]);
    assert!(!is_good(&real, &preparation, &command), "a member joined");
    while !preparation.advance(&real.state, 3) {}
    preparation.complete(&real.state);
    assert!(is_good(&real, &preparation, &command));
    assert!(!is_good(&real, &preparation, &Command::SetRole { member: member_id(1, 4), role: Role::Admin }));
    let back = Command::SetRole { member: member_id(1, 3), role: Role::Member };
    assert!(!is_good(&real, &preparation, &back) && !Preparation::is_possible(&back));
    assert!(Preparation::on_network(&real.state, &real.directory, &Command::PayAll).is_none());
}

fn run(seed: u64, Scenario { plan, steps }: Scenario, used: &mut Used) {
    let mut chance = Chance::of(!seed);
    let (mut plain, mut prepared) = (Real::new(plan.clone()), Real::new(plan));
    let mut ahead = None;
    for (at, step) in steps.iter().enumerate() {
        let stamped = stamped(&plain, step);
        ahead = match ahead.take() {
            None => begin(&mut prepared, &mut chance, &steps, at),
            Some(ahead) => go_on(&mut prepared, &mut chance, ahead),
        };
        let expected = plain.state.apply(&mut plain.directory, &stamped);
        let is_due = ahead.as_ref().is_some_and(|ahead| ahead.due == at || chance.percent(2));
        let outcome = match if is_due { ahead.take() } else { None } {
            Some(ahead) => apply(&mut prepared, &stamped, ahead, used),
            None => prepared.state.apply(&mut prepared.directory, &stamped).outcome,
        };
        assert_eq!(outcome, expected.outcome, "seed {seed}, step {at}");
        assert_eq!(
            state_digest(&prepared.state),
            state_digest(&plain.state),
            "seed {seed}, step {at}: {step:?}"
        );
    }
    assert_eq!(audit(&prepared.state, 3), Vec::<String>::new(), "seed {seed}");
    assert_eq!(prepared.state.outcome_hash(), plain.state.outcome_hash(), "seed {seed}");
}

fn stamped(real: &Real, step: &Step) -> Stamped {
    let code_of = |id: &_| real.state.find(&real.directory, id).map(|member| real.state.code(member));
    let time = Timestamp(real.state.time().0 + step.pause);
    Stamped {
        lsn: real.state.lsn() + 1,
        time,
        key: step.key,
        actor: None,
        format: 1,
        command: step.command(code_of),
    }
}

/// Starts a preparation for one of the next steps, if one of them warrants it.
fn begin(real: &mut Real, chance: &mut Chance, steps: &[Step], at: usize) -> Option<Ahead> {
    let until = steps.len().min(at + 1 + chance.below(AHEAD_MAX as u64) as usize);
    let due = (at..until)
        .rev()
        .filter(|due| is_written(&real.state, &steps[*due].command))
        .find(|due| real.state.preparation_for(&real.directory, &steps[*due].command, 0).is_some())?;
    let began_with = real.state.len();
    let stage = match real.state.preparation_for(&real.directory, &steps[due].command, 0)? {
        Need::Copy(parts) => {
            let view = real.state.freeze(parts).expect("the only view");
            Stage::Copying(view, FrozenCopy::default(), steps[due].command.clone())
        }
        Need::Network => {
            Stage::CatchingUp(Preparation::on_network(&real.state, &real.directory, &steps[due].command)?)
        }
    };
    let mut ahead = Ahead { due, began_with, stage };
    // The files of a seal are mostly of a few steps before: its view is copied at once.
    while matches!(&ahead.stage, Stage::Copying(_, _, Command::SealPeriod(_))) {
        ahead = go_on(real, chance, ahead)?;
    }
    Some(ahead)
}

/// Whether the files of a seal are written by now. Other commands have none.
fn is_written(state: &State, command: &Command) -> bool {
    !matches!(command, Command::SealPeriod(seal) if state.lsn() < seal.as_of)
}

/// Runs the next piece of a preparation.
fn go_on(real: &mut Real, chance: &mut Chance, mut ahead: Ahead) -> Option<Ahead> {
    ahead.stage = match ahead.stage {
        Stage::Copying(view, mut copy, command) => match real.state.copy_frozen(view, &mut copy) {
            CopyProgress::More => Stage::Copying(view, copy, command),
            CopyProgress::Complete => {
                drop(real.state.thaw(view));
                Stage::CatchingUp(Preparation::on_copy(copy.into_state(), &command)?)
            }
            CopyProgress::Lost => {
                drop(real.state.thaw(view));
                return None;
            }
        },
        Stage::CatchingUp(mut preparation) => {
            preparation.advance(&real.state, chance.below(4) as usize);
            Stage::CatchingUp(preparation)
        }
    };
    Some(ahead)
}

/// Finishes the preparation and applies any command with it.
fn apply(real: &mut Real, stamped: &Stamped, ahead: Ahead, used: &mut Used) -> Outcome {
    let mut preparation = match ahead.stage {
        Stage::CatchingUp(preparation) => preparation,
        Stage::Copying(view, ..) => {
            // Too late: the command comes first, and drops the view if it must.
            let outcome = real.state.apply(&mut real.directory, stamped).outcome;
            drop(real.state.thaw(view));
            return outcome;
        }
    };
    while !preparation.advance(&real.state, 3) {}
    preparation.complete(&real.state);
    let is_good = preparation.is_good_for(&real.state, &real.directory, &stamped.command);
    let members = real.state.len();
    let (applied, replaced) = real.state.apply_prepared(&mut real.directory, stamped, Some(preparation));
    drop(replaced);
    match applied.outcome {
        _ if !is_good => used.not_good += 1,
        Outcome::PlanActivated { .. } => used.plans += 1,
        Outcome::RoleSet { changed: true, .. } => used.admins += 1,
        Outcome::PeriodSealed { changed: true, .. } => used.seals += 1,
        _ => return applied.outcome,
    }
    used.grown += u32::from(is_good && ahead.began_with < members);
    applied.outcome
}
