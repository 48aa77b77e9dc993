//! A plan, commands, and engines on temporary directories.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use upline::{
    core::plan::commerce::Commerce,
    engine::{
        Answer, BasisPoints, BonusRule, Code, Command, Currency, Digest, Engine, EngineOptions, LevelPay,
        LogOptions, MemberId, MemberIx, Money, Origin, Outcome, Placement, PlacementRequest, PlacementRule,
        Plan, PlanChoice, RankBasis, RankRule, RankStep, Register, Role, SnapshotPolicy, SponsorRef, Tree,
        TriggerBonus, state_digest,
    },
    metrics::Metrics,
};

pub fn plan() -> Plan {
    let fixed = |amounts: &[i64]| LevelPay::Fixed(amounts.iter().map(|amount| Money(*amount)).collect());
    let bonus = |trigger: &str, pay| BonusRule {
        trigger: trigger.into(),
        tree: Tree::Placement,
        pay,
        on_registration: false,
        admins_beyond: false,
    };
    let step = |name: &str, minimum| RankStep { name: name.into(), minimum, reward: Some(Money(500)) };
    Plan {
        name: "matrix".into(),
        currency: Currency { code: *b"EUR", exponent: 2 },
        placement: Placement {
            width: Some(3),
            default_rule: PlacementRule::BreadthFirst,
            other_rules: vec![],
            strategic: true,
        },
        count_sponsor_tree: true,
        level_cap: 15,
        bonuses: vec![
            bonus("referral", fixed(&[1_000, 500, 200, 100])),
            bonus("purchase", LevelPay::Share(vec![BasisPoints(500), BasisPoints(100)])),
        ],
        commerce: Commerce::default(),
        ranks: RankRule::Thresholds {
            tree: Tree::Sponsor,
            basis: RankBasis::Downline,
            steps: vec![step("Bronze", 3), step("Silver", 10)],
        },
    }
}

/// Snapshots only on demand, small segments so that tests see rotation, no plan given.
pub fn options(path: &Path) -> EngineOptions {
    let choice = PlanChoice { plan: plan(), plan_is_explicit: false, width_is_explicit: false };
    let mut options = EngineOptions::new(path.to_path_buf(), choice, Metrics::new(&[]));
    options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
    options.log = LogOptions { segment_bytes: 64 * 1_024, ..LogOptions::default() };
    options
}

/// Opens an undamaged directory.
pub fn open(path: &Path) -> Engine {
    let (engine, report) = Engine::open(options(path)).expect("a directory that opens");
    assert_eq!((report.fallbacks, report.cuts), (vec![], vec![]));
    engine
}

pub fn member(number: u64) -> MemberId {
    let mut id = [0x40; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    MemberId(id)
}

pub fn signup(number: u64, sponsor: Option<u64>) -> Command {
    Command::Register(Register {
        member: member(number),
        sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(member(sponsor))),
        placement: PlacementRequest::PlanDefault,
        code: number.is_multiple_of(3).then(|| Code::parse(&format!("Code-{number}")).expect("a code")),
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    })
}

pub fn trigger(number: u64) -> Command {
    Command::TriggerBonus(TriggerBonus {
        source: member(number),
        trigger: "referral".into(),
        amount: None,
        once: false,
        reference: None,
    })
}

pub fn submit(engine: &Engine, command: Command) -> Answer {
    engine.submit_blocking(command, None).expect("an outcome")
}

/// Signs up members `from..to`, each under the member of half its number.
pub fn grow(engine: &Engine, from: u64, to: u64) {
    for number in from..to {
        let answer = submit(engine, signup(number, number.checked_sub(1).map(|last| last / 2)));
        assert_eq!(
            answer.applied.outcome,
            Outcome::Registered { member: MemberIx(u32::try_from(number).expect("few")) }
        );
    }
}

pub fn digest(engine: &Engine) -> Digest {
    engine.read(|state, _| state_digest(state))
}

/// Copies a directory as a crash would leave it if nothing more is written: without what the process holds in
/// memory.
pub fn copy_of(path: &Path, to: PathBuf) -> PathBuf {
    let mut pending = vec![(path.to_path_buf(), to.clone())];
    while let Some((from, to)) = pending.pop() {
        std::fs::create_dir_all(&to).expect("a directory to copy to");
        for entry in std::fs::read_dir(&from).expect("a directory") {
            let entry = entry.expect("an entry");
            let target = to.join(entry.file_name());
            if entry.file_type().expect("a type").is_dir() {
                pending.push((entry.path(), target));
            } else {
                std::fs::copy(entry.path(), &target).expect("a copy");
            }
        }
    }
    to
}

/// Returns all files below a path with their content.
pub fn contents(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut pending = vec![path.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("a file");
                files.push((path, bytes));
            }
        }
    }
    files.sort();
    files
}

/// Returns an `Arc` of the engine's own storage, for tests that modify files through it.
pub fn disk() -> Arc<dyn upline::engine::Storage> {
    upline::engine::Disk::shared()
}
