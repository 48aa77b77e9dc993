//! Random command sequences on the real core and on a naive model, compared after every step; and directed
//! tests of extreme shapes.
//!
//! `UPLINE_SEED=n` runs the one case with this seed; `UPLINE_CASES` and `UPLINE_STEPS` set the number of
//! cases and of steps per case, and `UPLINE_FIRST_SEED` the first seed.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of a test are small, or meant to wrap"
)]

mod compare;
mod damage;
mod directed;
mod prepared;
mod reversals;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use compare::{Pace, Pair};
use upline::core::{
    Actor,
    command::{Command, OrderId, Outcome, Rejection, Stamped, commands},
    types::{EntryStatus, Timestamp},
};

use crate::networks::{
    naive::Naive,
    picture::{Network, Picture, Volumes},
    random::{Scenario, Step, scenario, scenario_of_shop},
};

const CASES: u64 = 256;
const STEPS: u64 = 200;
/// First seed of a plain test run; each case has its own.
const FIRST_SEED: u64 = 1;
/// One of so many cases is a shop: mostly orders, and periods that end soon and are sealed.
const SHOP_EVERY: u64 = 4;

#[test]
fn the_core_does_what_the_naive_model_does() {
    let cases = from_environment("UPLINE_CASES").unwrap_or(CASES);
    let steps = from_environment("UPLINE_STEPS").unwrap_or(STEPS) as usize;
    if let Some(seed) = from_environment("UPLINE_SEED") {
        return run(seed, steps);
    }
    let first = from_environment("UPLINE_FIRST_SEED").unwrap_or(FIRST_SEED);
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let case = next.fetch_add(1, Ordering::Relaxed)
                    && case < cases
                {
                    run(first + case, steps);
                }
            });
        }
    });
    println!("model: seeds={cases} first={first} steps={steps} differences=0");
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn case_of(seed: u64, steps: usize) -> Scenario {
    if seed.is_multiple_of(SHOP_EVERY) { scenario_of_shop(seed, steps) } else { scenario(seed, steps) }
}

/// Runs one case. When it fails, the steps needed for the failure are printed and run again.
fn run(seed: u64, steps: usize) {
    let case = case_of(seed, steps);
    let Err(failed_at) = attempt(seed, &case, Pace::NORMAL) else { return };
    let Scenario { plan, mut steps } = case;
    steps.truncate(failed_at + 1);
    println!("seed {seed} failed at step {failed_at} of {}", steps.len());
    let case = Scenario { plan, steps };
    // Shrinking works only if the failure does not depend on when the slower comparisons are made.
    let pace = if attempt(seed, &case, Pace::THOROUGH).is_err() { Pace::THOROUGH } else { Pace::NORMAL };
    let minimal = shrink(seed, case, pace);
    println!("the steps that are needed, under {:#?}", minimal.plan);
    for step in &minimal.steps {
        println!("  {step:?}");
    }
    let mut pair = Pair::new(minimal.plan.clone(), seed, pace);
    for step in &minimal.steps {
        pair.step(step);
    }
    pair.finish();
    panic!("seed {seed} fails, and its shortened form does not");
}

/// Runs a case; `Err` is the step at which it failed (the number of steps when only the end fails).
fn attempt(seed: u64, case: &Scenario, pace: Pace) -> Result<(), usize> {
    let mut done = 0;
    let attempt = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut pair = Pair::new(case.plan.clone(), seed, pace);
        for step in &case.steps {
            pair.step(step);
            done += 1;
        }
        pair.finish();
    }));
    attempt.map_err(|_| done)
}

/// Removes steps, many at once at first, as long as the case still fails.
fn shrink(seed: u64, mut case: Scenario, pace: Pace) -> Scenario {
    let mut part = case.steps.len().div_ceil(2);
    while 0 < part {
        let mut from = 0;
        while from < case.steps.len() {
            let without: Vec<Step> =
                [&case.steps[..from], &case.steps[case.steps.len().min(from + part)..]].concat();
            let shorter = Scenario { plan: case.plan.clone(), steps: without };
            if attempt(seed, &shorter, pace).is_err() {
                case = shorter;
            } else {
                from += part;
            }
        }
        part /= 2;
    }
    case
}

macro_rules! outcomes_of_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
    )+) => {
        /// The outcomes of the table of commands.
        const GIVEN: &[&str] = &[$($(stringify!($outcome),)?)+];
    };
}
commands!(outcomes_of_commands);

/// The name of its variant.
fn name_of(outcome: Outcome) -> String {
    format!("{outcome:?}").chars().take_while(|character| character.is_alphanumeric()).collect()
}

/// Reasons that a small network does not meet.
const FAR_AWAY: [Rejection; 11] = [
    Rejection::NetworkFull,
    Rejection::LedgerFull,
    Rejection::PlanKindsFull,
    Rejection::AdminsFull,
    Rejection::OrdersFull,
    Rejection::RefundsFull,
    Rejection::PeriodsFull,
    Rejection::VolumesFull,
    Rejection::AttributesFull,
    Rejection::OpeningFull,
    // Names of random plans are only added to.
    Rejection::PlanNamesRemoved,
];

/// Outcomes that are reached, but rarely.
const RARE: [&str; 5] =
    ["reversed, held true", "two changed at once", "OnceKept false", "kept back", "refunded after a recall"];

/// Outcomes that are reached often.
const OUTCOMES: [&str; 41] = [
    "repeat",
    "registered",
    "paid",
    "withheld",
    "EntryPaid true",
    "EntryPaid false",
    "EntryChanged true",
    "EntryChanged false",
    "all paid",
    "StatusSet true",
    "StatusSet false",
    "RoleSet true",
    "RoleSet false",
    "plan activated",
    "reversed, held false",
    "OnceKept true",
    "matching paid none",
    "matching paid some",
    "OrderPlaced true",
    "OrderPlaced false",
    "OrderRefunded true",
    "OrderRefunded false",
    "PeriodOpened true",
    "PeriodClosing true",
    "PeriodClosing false",
    "PeriodStepped true",
    "PeriodStepped false",
    "RunRecorded true",
    "PeriodSealed true",
    "PeriodSealed false",
    "OrderRecalled true",
    "OrderRecalled false",
    "sealed with orders",
    "sealed again",
    "refund lowers",
    "refund waits",
    "refund corrects",
    "negative volume",
    "volume of others",
    "volumes of trees differ",
    "shared",
];

/// The comparison is only worth what its steps reach: every kind of outcome, and every rejection possible in
/// a small network.
#[test]
fn random_steps_reach_everything() {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut variants = BTreeSet::new();
    let mut rewards = 0;
    for seed in (0..224).map(|case| FIRST_SEED + case) {
        let case = case_of(seed, STEPS as usize);
        let mut naive = Naive::new(case.plan);
        let (mut time, mut held_before) = (0, 0_usize);
        let mut recalled = BTreeSet::new();
        for (step, lsn) in case.steps.into_iter().zip(1..) {
            time += step.pause;
            let command = step.command(|id| naive.code_of(id));
            let applied = naive.apply(&Stamped {
                lsn,
                time: Timestamp(time),
                key: step.key,
                actor: Some(Actor::unknown()),
                format: Stamped::FORMAT,
                command: command.clone(),
            });
            for what in seen_of_seals(&command, applied.outcome, &naive, &mut recalled) {
                *seen.entry(what.to_owned()).or_default() += u64::from(applied.lsn == lsn);
            }
            let outcome = match applied.outcome {
                _ if applied.lsn != lsn => "repeat".to_owned(),
                Outcome::Rejected(rejection) => rejection.name().to_owned(),
                Outcome::Registered { .. } => "registered".to_owned(),
                Outcome::BonusPaid { withheld: 0, .. } => "paid".to_owned(),
                Outcome::BonusPaid { .. } => "withheld".to_owned(),
                Outcome::AllPaid { .. } => "all paid".to_owned(),
                Outcome::PlanActivated { .. } => "plan activated".to_owned(),
                Outcome::EntryImported { .. } => "entry imported".to_owned(),
                Outcome::Reversed { held, .. } => format!("reversed, held {held}"),
                Outcome::MatchingPaid { entries: 0, .. } => "matching paid none".to_owned(),
                Outcome::MatchingPaid { .. } => "matching paid some".to_owned(),
                other => format!("{} {}", name_of(other), !other.is_no_op()),
            };
            if applied.lsn == lsn {
                variants.insert(name_of(applied.outcome));
            }
            *seen.entry(outcome).or_default() += 1;
            let held = |picture: &Picture| -> usize {
                picture.entries.iter().filter(|entry| entry.status == EntryStatus::Held).count()
            };
            if matches!(applied.outcome, Outcome::EntryChanged { changed: true, .. }) {
                let now = naive.picture();
                let two = held_before.abs_diff(held(&now)) == 2;
                *seen.entry("two changed at once".to_owned()).or_default() += u64::from(two);
                held_before = held(&now);
            } else if matches!(applied.outcome, Outcome::OrderRefunded { changed: true, .. }) {
                let now = naive.picture();
                let is_negative = |volumes: &&Volumes| volumes.own < 0;
                let negative = now.live.iter().flat_map(|live| &live.members).filter(is_negative).count();
                *seen.entry("negative volume".to_owned()).or_default() += negative as u64;
                let refunds = now.orders.iter().flat_map(|order| &order.refunds);
                for (act, _) in refunds.filter(|refund| refund.lsn == lsn).flat_map(|refund| &refund.acts) {
                    *seen.entry(format!("refund {act}")).or_default() += 1;
                }
            } else if matches!(applied.outcome, Outcome::Reversed { .. } | Outcome::EntryImported { .. }) {
                held_before = held(&naive.picture());
            }
        }
        let picture = naive.picture();
        let volumes = || picture.live.iter().flat_map(|live| &live.members);
        let is_of_others = |volumes: &&Volumes| volumes.groups[0].is_some_and(|group| group != volumes.own);
        let differ = |volumes: &&Volumes| volumes.groups[0] != volumes.groups[1];
        let found = [
            ("volume of others", volumes().filter(is_of_others).count()),
            ("volumes of trees differ", volumes().filter(differ).count()),
            ("shared", picture.orders.iter().filter(|order| 2 < order.credits.len()).count()),
        ];
        found.iter().for_each(|(what, times)| *seen.entry((*what).to_owned()).or_default() += *times as u64);
        rewards += picture
            .entries
            .iter()
            .filter(|entry| entry.kind.starts_with("rank:") && entry.level == 0)
            .count();
    }
    for rejection in Rejection::ALL.into_iter().filter(|rejection| !FAR_AWAY.contains(rejection)) {
        assert!(seen.contains_key(rejection.name()), "no step met {}; met were {seen:#?}", rejection.name());
    }
    for outcome in GIVEN {
        assert!(variants.contains(*outcome), "no step gave {outcome}");
    }
    for outcome in OUTCOMES {
        assert!(seen.get(outcome).is_some_and(|times| 20 <= *times), "{outcome}: {seen:#?}");
    }
    for outcome in RARE {
        assert!(seen.get(outcome).is_some_and(|times| 2 <= *times), "{outcome}: {seen:#?}");
    }
    assert!(100 <= rewards, "only {rewards} rewards");
}

/// What a command did with sealed orders. `recalled` are those that came back and were not sealed since.
fn seen_of_seals(
    command: &Command,
    outcome: Outcome,
    naive: &Naive,
    recalled: &mut BTreeSet<OrderId>,
) -> Vec<&'static str> {
    let mut seen = Vec::new();
    let mut is = |what, holds: bool| seen.extend(holds.then_some(what));
    match (command, outcome) {
        (Command::SealPeriod(seal), Outcome::PeriodSealed { orders, changed: true, .. }) => {
            is("sealed with orders", orders != 0);
            is("kept back", orders < seal.orders);
            let there = naive.picture().orders;
            let before = recalled.len();
            recalled.retain(|id| there.iter().any(|order| order.id == id.as_str()));
            is("sealed again", recalled.len() < before);
        }
        (Command::RecallOrder(order), Outcome::OrderRecalled { changed: true, .. }) => {
            recalled.insert(order.id.clone());
        }
        (Command::RefundOrder(refund), Outcome::OrderRefunded { changed: true, .. }) => {
            is("refunded after a recall", recalled.contains(&refund.order));
        }
        _ => {}
    }
    seen
}
