//! The functions that fuzzers call with arbitrary bytes. Compiled only for them (`fuzz/`) and for tests: no
//! binary contains them.
//!
//! Each checks more than the absence of panics: what is decoded encodes to the same bytes, a log that was
//! tampered with is refused or yields a prefix, a snapshot that loads has the state it was made from. Each
//! returns whether the bytes were valid, so that the tests can check that the corpus in `fuzz/corpus/` still
//! gets in. Where checksums would reject everything, the first byte of an input requests valid ones, as an
//! attacker with a hex editor could compute.
//!
//! This file checks data files and collects the checks of the rest (`durability/log/fuzzing.rs`,
//! `http/fuzzing.rs`, `cli/import/fuzzing.rs`); `fuzzing/orders.rs` has the network that takes orders.

mod orders;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::orders::{order_body, order_rows};
use crate::{
    cli,
    core::{
        Digest, audit,
        command::{Command, Origin, PlacementRequest, Register, SponsorRef, Stamped, TriggerBonus},
        state::State,
        state_digest,
        types::{Code, MemberId, Role, Status, Timestamp},
    },
    durability::{
        self, Error, Genesis, InstanceId, LogOptions, Retention, SEGMENT_BYTES_MIN, decode_group,
        encode_group, memory::Memory, reseal_segment, reseal_snapshot,
    },
    engine::{EngineOptions, OpenError, PlanChoice, SnapshotPolicy, SteppedEngine, Submitted, create},
    http,
    metrics::Metrics,
    plan_file,
};

/// A fuzz target: returns whether the bytes were valid.
pub type Target = fn(&[u8]) -> bool;

/// All targets, by the names of their fuzzers and of their corpus folders.
pub const TARGETS: [(&str, Target); 10] = [
    ("frame", frame),
    ("recovery", recovery),
    ("snapshot", snapshot),
    ("request_body", request_body),
    ("plan_file", plan_file),
    ("import_rows", import_rows),
    ("cursor", cursor),
    ("token", token),
    ("order_body", order_body),
    ("order_rows", order_rows),
];

/// Limit on edits per input: enough to damage each frame of the log, few enough that an input runs fast.
const EDITS_MAX: usize = 64;
const ROOT: &str = "/data";
/// Members of the network whose files are tampered with.
const MEMBERS: u8 = 12;
/// Members that exist when its snapshot is made.
const MEMBERS_BEFORE_SNAPSHOT: u8 = 5;

/// Takes a frame of the log, or the records in one.
pub fn frame(bytes: &[u8]) -> bool {
    durability::frame(bytes)
}

/// Tampers with the log of a directory: `{mode u8, rest}`. The rest is edits (see `edited`) of the original
/// log or, with the lowest bit of the mode, the log itself; with the next bit its checksums are recomputed.
///
/// # Panics
/// If the directory opens as anything but a prefix of what was written that holds all that the snapshot knows
/// to be durable, or differently the second time. One changed byte must not lose a single command. A log with
/// forged checksums can say anything, but its state must keep the rules.
pub fn recovery(bytes: &[u8]) -> bool {
    let Some((mode, rest)) = bytes.split_first() else { return false };
    BASE.with(|base| {
        let mut log = base.log.clone();
        let mut one_byte = false;
        if mode & 1 == 0 {
            one_byte = edited(&mut log[..base.log_end], rest);
        } else {
            log.fill(0);
            let length = rest.len().min(log.len());
            log[..length].copy_from_slice(&rest[..length]);
        }
        let made_up = mode & 2 != 0;
        if made_up {
            reseal_segment(&mut log);
        }
        let disk = base.disk.copy();
        disk.set_content(&base.log_path, &log);
        let Some((lsn, digest)) = opened(&disk) else { return false };
        assert!(base.durable <= lsn, "the log ends with LSN {lsn}, {} was durable", base.durable);
        if !made_up {
            assert_eq!(base.digests.get(&lsn), Some(&digest), "LSN {lsn} is no prefix of what was written");
            assert!(!one_byte || lsn == base.last, "one byte cost what is behind LSN {lsn}");
        }
        assert_eq!(opened(&disk), Some((lsn, digest)), "opened a second time");
        true
    })
}

/// Tampers with the only snapshot of a directory: modes as for [`recovery`].
///
/// # Panics
/// If a file other than the one written is accepted without recomputed checksums, or if what opens is not the
/// original state.
pub fn snapshot(bytes: &[u8]) -> bool {
    let Some((mode, rest)) = bytes.split_first() else { return false };
    BASE.with(|base| {
        let mut content = base.snapshot.clone();
        if mode & 1 == 0 {
            edited(&mut content, rest);
        } else {
            content = rest.to_vec();
        }
        let made_up = mode & 2 != 0;
        if made_up {
            reseal_snapshot(&mut content);
        }
        let disk = base.disk.copy();
        disk.forget(&base.older_snapshot_path);
        disk.set_content(&base.snapshot_path, &content);
        let Some(found) = opened(&disk) else {
            assert!(content != base.snapshot, "what was written is taken");
            return false;
        };
        assert!(made_up || content == base.snapshot, "an altered snapshot is taken");
        assert_eq!(found, (base.last, base.digests[&base.last]), "the state that there was");
        true
    })
}

/// Takes a body as sent to any route that accepts one.
pub fn request_body(bytes: &[u8]) -> bool {
    http::fuzzing::request_body(bytes)
}

/// Takes a plan file.
///
/// # Panics
/// If a plan that parses does not print to a file, and to a log record, that are the same plan, or if a
/// refusal names no fault.
pub fn plan_file(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match plan_file::parse(text) {
        Err(errors) => {
            assert!(
                !errors.is_empty() && errors.iter().all(|error| !error.to_string().is_empty()),
                "a refusal has a reason"
            );
            false
        }
        Ok(plan) => {
            assert_eq!(plan.validate(), Ok(()), "what is read is valid");
            let printed = plan_file::to_text(&plan);
            assert_eq!(plan_file::parse(&printed).as_ref(), Ok(&plan), "{printed}");
            let command = Command::PutPlan(Box::new(plan));
            let group = [Stamped { lsn: 1, time: Timestamp(0), key: None, actor: None, format: 1, command }];
            let (mut body, mut again) = (Vec::new(), Vec::new());
            encode_group(&group, &mut body).expect("a valid plan has a form on disk");
            decode_group(&body, 1, 1, &mut again).expect("what was written is read");
            assert_eq!(again, group);
            true
        }
    }
}

/// Takes the files of an import.
pub fn import_rows(bytes: &[u8]) -> bool {
    cli::import_rows(bytes)
}

/// Takes a cursor, and the words of a forged one.
pub fn cursor(bytes: &[u8]) -> bool {
    BASE.with(|base| http::fuzzing::cursor(base.engine.engine(), bytes))
}

/// Takes a token, the claims of one, or an issuer's keys.
pub fn token(bytes: &[u8]) -> bool {
    http::fuzzing::token(bytes)
}

/// Tampers with a file, four bytes per edit: `{offset u16, what u8, value u8}`. What: 0 changes a byte, 1
/// zeroes some, 2 copies 64 bytes from elsewhere, 3 zeroes everything after the offset. Returns true if the
/// only edit was to change one byte.
fn edited(content: &mut [u8], edits: &[u8]) -> bool {
    let (edits, _) = edits.as_chunks::<4>();
    for [low, high, what, value] in edits.iter().take(EDITS_MAX).copied() {
        let length = content.len();
        let at = usize::from(u16::from_le_bytes([low, high])) % length;
        let value = usize::from(value);
        match what % 4 {
            0 => content[at] ^= u8::try_from(value).expect("it was a byte").max(1),
            1 => content[at..length.min(at + 8 * value)].fill(0),
            2 => {
                let from = (64 * value) % length;
                let bytes = 64.min(length - at).min(length - from);
                content.copy_within(from..from + bytes, at);
            }
            _ => content[at..].fill(0),
        }
    }
    matches!(edits, [[_, _, what, _]] if what % 4 == 0)
}

/// An in-memory directory, and its state at each LSN.
struct Base {
    disk: Memory,
    log: Vec<u8>,
    /// Where its last frame ends.
    log_end: usize,
    log_path: PathBuf,
    snapshot: Vec<u8>,
    snapshot_path: PathBuf,
    older_snapshot_path: PathBuf,
    /// LSN that was durable when the newest snapshot was published.
    durable: u64,
    last: u64,
    /// State digest after each group.
    digests: BTreeMap<u64, Digest>,
    /// Runs on a copy of the directory.
    engine: SteppedEngine,
}

thread_local! {
    static BASE: Base = Base::new();
}

impl Base {
    fn new() -> Self {
        let disk = Memory::new();
        let genesis = Genesis {
            id: InstanceId([5; 16]),
            network_id: 1,
            row_key: 66,
            code_key: 77.into(),
            created: Timestamp(88),
        };
        let state = State::new(plan_file::default_plan(), genesis.code_key);
        create(&disk.shared(), Path::new(ROOT), &genesis, log_options(), &state, &mut |_| {})
            .expect("a directory in memory");
        let (mut engine, _) = SteppedEngine::open(options(&disk)).expect("it was just made");
        let mut digests = BTreeMap::from([(0, state_digest(&state))]);
        let mut durable = 0;
        for number in 0..MEMBERS {
            let queued: Vec<Submitted> = commands(number)
                .into_iter()
                .map(|command| engine.writing().submit(command, None, |_| true))
                .collect();
            assert!(engine.writing().step(), "something was queued");
            drop(queued);
            let (lsn, digest) = engine.engine().read(|state, _| (state.lsn(), state_digest(state)));
            digests.insert(lsn, digest);
            if number == MEMBERS_BEFORE_SNAPSHOT {
                durable = engine.snapshot(&mut |_, _| true).expect("a disk in memory does not fail").lsn;
            }
        }
        let last = engine.engine().read(|state, _| state.lsn());
        drop(engine);
        let disk = disk.copy();
        let root = Path::new(ROOT);
        let log_path = root.join("log/00000000000000000001.log");
        let log = disk.content(&log_path).expect("the first segment");
        let log_end = log.iter().rposition(|byte| *byte != 0).expect("it has frames") + 1;
        let snapshot_of = |lsn: u64| root.join(format!("snapshots/{lsn:020}.snap"));
        let snapshot_path = snapshot_of(durable);
        let snapshot = disk.content(&snapshot_path).expect("the snapshot that was made");
        let (engine, _) = SteppedEngine::open(options(&disk.copy())).expect("nothing is wrong with it");
        Self {
            disk,
            log,
            log_end,
            log_path,
            snapshot,
            snapshot_path,
            older_snapshot_path: snapshot_of(0),
            durable,
            last,
            digests,
            engine,
        }
    }
}

/// Returns a group of the base: a member below an earlier one, and now and then commands that pay and change
/// it.
fn commands(number: u8) -> Vec<Command> {
    let id = |number: u8| MemberId([number + 1; 16]);
    let mut commands = vec![Command::Register(Register {
        member: id(number),
        sponsor: if number == 0 { SponsorRef::None } else { SponsorRef::Member(id((number - 1) / 2)) },
        placement: PlacementRequest::PlanDefault,
        code: if number % 3 == 1 { Code::parse(&format!("code-{number}")) } else { None },
        role: if number == 4 { Role::Admin } else { Role::Member },
        joined_at: None,
        origin: Origin::Signup,
    })];
    if number % 4 == 3 {
        let trigger = plan_file::default_plan().bonuses[0].trigger.clone();
        commands.push(Command::TriggerBonus(TriggerBonus {
            source: id(number - 1),
            trigger,
            amount: None,
            once: false,
            reference: None,
        }));
        commands.push(Command::PayEntry { entry: 0 });
        commands.push(Command::SetStatus { member: id(number - 1), status: Status::Inactive });
    }
    commands
}

fn log_options() -> LogOptions {
    LogOptions { segment_bytes: SEGMENT_BYTES_MIN, prepare_in_background: false, retention: Retention::Keep }
}

fn options(disk: &Memory) -> EngineOptions {
    let plan =
        PlanChoice { plan: plan_file::default_plan(), plan_is_explicit: false, width_is_explicit: false };
    let mut options = EngineOptions::new(ROOT.into(), plan, Metrics::new(&[]));
    options.clock = Arc::new(|| Timestamp(1_700_000_000_000_000));
    // The times in the log may have been changed like its other bytes.
    options.clock_jump_max = None;
    options.storage = disk.shared();
    options.log = log_options();
    options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
    options.queue_max = 64;
    options
}

/// Opens a directory as `serve` does; returns its last LSN and its state.
fn opened(disk: &Memory) -> Option<(u64, Digest)> {
    match SteppedEngine::open(options(disk)) {
        Ok((engine, _)) => Some(engine.engine().read(|state, _| {
            let findings = audit(state, 3);
            assert!(findings.is_empty(), "{findings:?}");
            (state.lsn(), state_digest(state))
        })),
        Err(error) => {
            assert!(!matches!(error, OpenError::Data(Error::Io { .. })), "no call failed: {error}");
            None
        }
    }
}

#[cfg(test)]
#[path = "fuzzing_test.rs"]
mod tests;
