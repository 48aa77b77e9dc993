//! Plan changes and a new admin on a network that is signed up to and read from: how long others are held up,
//! and that nothing comes out wrong.
//!
//! `UPLINE_MEMBERS=n` makes the networks larger or smaller than 500,000, from which on the bounds are
//! asserted with `UPLINE_STRICT=1`, for a machine that does nothing else. Files are in memory where the
//! machine has such a file system (`/dev/shm`), so that what is measured is the engine and not the disk of
//! the day.

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use upline::{
    core::{
        Need, Preparation,
        state::{CopyProgress, FrozenCopy},
    },
    engine::{
        Command, Engine, EngineOptions, LevelPay, MemberId, MemberIx, Money, Origin, Outcome,
        PlacementRequest, Plan, PlanChoice, RankRule, Register, Role, SnapshotPolicy, SponsorRef, Stamped,
        state_digest,
    },
    metrics::Metrics,
    plan_file,
    shapes::member_id,
};

use crate::common::{assert_within, turn};

const SEED: u64 = 7;
/// Longest that a reader or a signup may be held up in the middle of a change: the pause of the design, 50
/// ms, with room for a machine whose cores others use too.
const HOLD_UP: Duration = Duration::from_millis(250);
/// From this many members on the change itself takes so much longer that a stop of the world would be seen.
const JUDGED_FROM: u32 = 500_000;

fn members() -> u32 {
    std::env::var("UPLINE_MEMBERS").map_or(500_000, |text| text.parse().expect("UPLINE_MEMBERS is a number"))
}

/// A directory for data in memory, where this system has such a file system; else in the ordinary place for
/// temporary files.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

fn shipped(plan: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(plan)
}

fn open(directory: &Path, plan: Plan) -> Engine {
    let choice = PlanChoice { plan, plan_is_explicit: false, width_is_explicit: false };
    let mut options = EngineOptions::new(directory.into(), choice, Metrics::new(&[]));
    options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
    Engine::open(options).expect("it opens").0
}

/// A network that `upline demo` made under one of the shipped plans.
fn network(directory: &Path, plan: &str) -> Engine {
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_upline"))
        .args([
            "demo",
            "--no-serve",
            "--shape",
            "real",
            "--json",
            "--members",
            &members().to_string(),
            "--seed",
            &SEED.to_string(),
        ])
        .arg("--plan")
        .arg(shipped(plan))
        .arg("--data-dir")
        .arg(directory)
        .output()
        .expect("the binary runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    open(directory, plan_of(plan))
}

fn plan_of(name: &str) -> Plan {
    plan_file::parse(&std::fs::read_to_string(shipped(name)).expect("it is shipped")).expect("it is valid")
}

fn present_plan(engine: &Engine) -> Plan {
    engine.read(|state, _| Plan::clone(state.plan()))
}

/// All minima of ranks a little lower.
fn with_lower_minima(mut plan: Plan) -> Plan {
    let (RankRule::Thresholds { steps, .. } | RankRule::LevelFill { steps, .. }) = &mut plan.ranks;
    for step in steps {
        step.minimum -= step.minimum / 3;
    }
    plan
}

fn with_other_bonuses(mut plan: Plan) -> Plan {
    for rule in &mut plan.bonuses {
        match &mut rule.pay {
            LevelPay::Fixed(amounts) => amounts.iter_mut().for_each(|amount| *amount = Money(amount.0 + 1)),
            LevelPay::Share(rates) => rates.iter_mut().for_each(|rate| rate.0 += 1),
        }
    }
    plan
}

/// What a change did to others.
#[derive(Debug)]
struct HeldUp {
    took: Duration,
    /// The longest single read and signup while it was made.
    read: Duration,
    signup: Duration,
    signups: u32,
}

impl HeldUp {
    fn print(&self, name: &str) {
        let Self { took, read, signup, signups } = self;
        println!(
            "{name:32} took {took:>9.2?}; longest read {read:>9.2?}, longest of {signups} signups {signup:>9.2?}"
        );
    }
}

/// The longest of calls made one after the other until `done`, and how many there were.
fn longest(done: &AtomicBool, mut call: impl FnMut(u32)) -> (Duration, u32) {
    let (mut longest, mut calls) = (Duration::ZERO, 0);
    while !done.load(Ordering::Acquire) {
        let started = Instant::now();
        call(calls);
        longest = longest.max(started.elapsed());
        calls += 1;
    }
    (longest, calls)
}

/// Does `work` while one thread reads and one signs members up.
fn during(engine: &Engine, series: u64, work: impl FnOnce()) -> HeldUp {
    let done = AtomicBool::new(false);
    let members = members();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            longest(&done, |call| {
                black_box(engine.read(|state, _| state.rank(MemberIx(call.wrapping_mul(7_919) % members))));
                // A reader that never rests takes a core; so do few of them, not one.
                std::thread::sleep(Duration::from_micros(50));
            })
        });
        let signer = scope.spawn(|| {
            longest(&done, |call| {
                let sponsor = member_id(
                    SEED,
                    u32::try_from(u64::from(call) * 104_729 % u64::from(members)).expect("below members"),
                );
                let register = Register {
                    member: member_id(SEED + series, call),
                    sponsor: SponsorRef::Member(sponsor),
                    placement: PlacementRequest::PlanDefault,
                    code: None,
                    role: Role::Member,
                    joined_at: None,
                    origin: Origin::Signup,
                };
                let answer =
                    engine.submit_blocking(Command::Register(register), None).expect("the engine is open");
                assert!(matches!(answer.applied.outcome, Outcome::Registered { .. }));
            })
        });
        std::thread::sleep(Duration::from_millis(50));
        let started = Instant::now();
        work();
        let took = started.elapsed();
        std::thread::sleep(Duration::from_millis(50));
        done.store(true, Ordering::Release);
        let ((read, _), (signup, signups)) =
            (reader.join().expect("no panic"), signer.join().expect("no panic"));
        HeldUp { took, read, signup, signups }
    })
}

fn change_plan(engine: &Engine, series: u64, name: &str, plan: Plan) {
    change(engine, series, name, Command::PutPlan(Box::new(plan)));
}

fn change(engine: &Engine, series: u64, name: &str, command: Command) {
    let held_up = during(engine, series, || {
        // Servers submit in one way, tools in the other.
        let answer = if series.is_multiple_of(2) {
            engine.submit_blocking(command, None)
        } else {
            runtime().block_on(engine.submit(command, None))
        };
        let answer = answer.expect("the engine is open");
        assert!(
            matches!(
                answer.applied.outcome,
                Outcome::PlanActivated { .. } | Outcome::RoleSet { changed: true, .. }
            ),
            "{answer:?}"
        );
    });
    held_up.print(name);
    let HeldUp { read, signup, .. } = held_up;
    if JUDGED_FROM <= members() {
        assert_within(HOLD_UP, read, &format!("{name}: a read was held up"));
        assert_within(HOLD_UP, signup, &format!("{name}: a signup was held up"));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// The same without a preparation, as commands that are queued in order have none: what everybody would wait
/// for. Nothing is asserted of that.
///
/// To be compared, when a number of members is asked for; the change is made in any case.
fn compute_under_the_lock(engine: &Engine, series: u64, name: &str, command: Command) {
    if std::env::var_os("UPLINE_MEMBERS").is_none() {
        let answer = engine.submit_blocking(command, None).expect("the engine is open");
        assert!(matches!(
            answer.applied.outcome,
            Outcome::PlanActivated { .. } | Outcome::RoleSet { changed: true, .. }
        ));
        return;
    }
    let held_up = during(engine, series, || {
        let answer = runtime().block_on(async {
            engine.queue(command, None).await.expect("the engine is open").answer().await
        });
        let outcome = answer.expect("the engine is open").applied.outcome;
        assert!(
            matches!(outcome, Outcome::PlanActivated { .. } | Outcome::RoleSet { changed: true, .. }),
            "{outcome:?}"
        );
    });
    held_up.print(&format!("  unprepared: {name}"));
}

/// What is done under the write lock, with a preparation and without, on a copy that nobody else uses. Both
/// give the same state.
fn under_the_lock(engine: &Engine, name: &str, command: Command) {
    let copy = || Arc::into_inner(engine.frozen_view()).expect("the engine does not keep it");
    let (mut computed, mut exchanged) = (copy(), copy());
    let stamped = Stamped { lsn: computed.lsn() + 1, time: computed.time(), key: None, actor: None, command };
    engine.read(|_, directory| {
        let (_, compute) = timed(|| computed.apply(&mut directory.write(), &stamped));
        let need = exchanged.preparation_for(directory, &stamped.command, 1).expect("it is worth it");
        let mut preparation = match (&stamped.command, need) {
            (_, Need::Admin(member)) => Preparation::of_admin(&exchanged, member),
            (Command::PutPlan(plan), Need::Plan) => {
                let mut frozen = FrozenCopy::default();
                exchanged.freeze();
                while exchanged.copy_frozen_for_plan(&mut frozen) == CopyProgress::More {}
                drop(exchanged.thaw());
                Preparation::of_plan(frozen.into_state(), plan).expect("it is accepted")
            }
            (other, _) => panic!("{other:?} needs no plan"),
        };
        while !preparation.advance(&exchanged, 1_024) {}
        let ((), complete) = timed(|| preparation.complete(&exchanged));
        let ((_, replaced), exchange) = timed(|| exchanged.apply_prepared(&mut directory.write(), &stamped, Some(preparation)));
        let ((), give_back) = timed(|| drop(replaced));
        println!("{name} under the lock: computing {compute:.2?}, exchanging {exchange:.2?} (before it, in the writer {complete:.2?}; after it, elsewhere {give_back:.2?})");
        assert_eq!(state_digest(&computed), state_digest(&exchanged), "{name}");
    });
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed())
}

/// Everything kept is what a recount gives, and the log gives the same state again, without any preparation.
fn check(engine: Engine, directory: &Path) {
    let view = engine.frozen_view();
    assert_eq!(upline::core::audit(&view, 3), Vec::<String>::new());
    let digest = state_digest(&view);
    drop(view);
    engine.shutdown();
    drop(engine);
    let again = open(directory, plan_of("matrix.toml"));
    assert_eq!(state_digest(&again.frozen_view()), digest, "the log gives the same state again");
    again.shutdown();
}

fn root() -> MemberId {
    member_id(SEED, 0)
}

#[test]
fn nobody_waits_for_a_plan_change_or_a_new_admin() {
    let _turn = turn();
    let scratch = scratch();
    println!("{} members, `real`", members());
    let directory = scratch.path().join("matrix");
    let engine = network(&directory, "matrix.toml");
    let nothing = during(&engine, 1, || std::thread::sleep(Duration::from_secs(2)));
    println!("nothing changes, two seconds: {nothing:.2?}");
    change_plan(&engine, 2, "bonuses only", with_other_bonuses(present_plan(&engine)));
    let first = present_plan(&engine);
    let counted = Plan { count_sponsor_tree: true, ..first.clone() };
    under_the_lock(&engine, "rank thresholds", Command::PutPlan(Box::new(with_lower_minima(first.clone()))));
    under_the_lock(&engine, "sponsor tree", Command::PutPlan(Box::new(counted)));
    under_the_lock(&engine, "root admin", Command::SetRole { member: root(), role: Role::Admin });
    change_plan(&engine, 3, "rank thresholds", with_lower_minima(present_plan(&engine)));
    compute_under_the_lock(&engine, 4, "thresholds", Command::PutPlan(Box::new(first)));
    change(&engine, 5, "the root becomes an admin", Command::SetRole { member: root(), role: Role::Admin });
    change(&engine, 6, "the root is no admin", Command::SetRole { member: root(), role: Role::Member });
    compute_under_the_lock(&engine, 7, "root admin", Command::SetRole { member: root(), role: Role::Admin });
    let counted = Plan { count_sponsor_tree: true, ..present_plan(&engine) };
    let uncounted = Plan { count_sponsor_tree: false, ..counted.clone() };
    change_plan(&engine, 8, "the sponsor tree is counted", counted.clone());
    change_plan(&engine, 9, "the sponsor tree is not counted", uncounted);
    compute_under_the_lock(&engine, 10, "sponsor tree", Command::PutPlan(Box::new(counted)));
    check(engine, &directory);

    let directory = scratch.path().join("levels");
    let engine = network(&directory, "levels.toml");
    let first = present_plan(&engine);
    under_the_lock(&engine, "level fill", Command::PutPlan(Box::new(with_lower_minima(first.clone()))));
    change(
        &engine,
        11,
        "level fill: root becomes admin",
        Command::SetRole { member: root(), role: Role::Admin },
    );
    change_plan(&engine, 12, "level fill: minima", with_lower_minima(present_plan(&engine)));
    compute_under_the_lock(&engine, 13, "level fill", Command::PutPlan(Box::new(first)));
    check(engine, &directory);
}
