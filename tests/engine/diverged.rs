//! Two diverged copies of one directory: any mix of their files is refused, or is common history.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use upline::{
    durability::{Error as DurabilityError, repair::Repair},
    engine::{Digest, Disk, Engine, OpenError, load, state_digest},
};

use super::common::{copy_of, digest, grow, open, options, signup, submit};

/// Members before the copies diverge, and members added to each.
const COMMON: u64 = 400;
const OWN: u64 = 1_000;

/// The result of one copy.
struct Copy {
    path: PathBuf,
    /// Recorded LSNs and digests.
    states: Vec<(u64, Digest)>,
}

/// Grows a copy by its own members, with snapshots in the middle of groups and at the end of one, but not at
/// the end of the log.
fn go_on(path: PathBuf, first: u64) -> Copy {
    let engine = open(&path);
    let mut states = Vec::new();
    for part in 0..4 {
        for number in first + part * OWN / 4..first + (part + 1) * OWN / 4 {
            submit(&engine, signup(number, Some(number % COMMON)));
        }
        let info = engine.snapshot_now_blocking().expect("a snapshot");
        states.push((info.lsn, digest(&engine)));
    }
    // The newest snapshot is not at the end of the log.
    submit(&engine, signup(first + OWN, Some(0)));
    states.push((engine.status().lsn.applied, digest(&engine)));
    drop(engine);
    Copy { path, states }
}

fn two_copies(place: &Path) -> [Copy; 2] {
    let origin = place.join("origin");
    let engine = open(&origin);
    grow(&engine, 0, COMMON / 2);
    engine.snapshot_now_blocking().expect("a snapshot");
    grow(&engine, COMMON / 2, COMMON);
    drop(engine);
    // No member number is in both.
    [("one", 10_000), ("other", 20_000)].map(|(name, first)| go_on(copy_of(&origin, place.join(name)), first))
}

fn names(path: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for directory in ["snapshots", "log", "archive"] {
        for entry in fs::read_dir(path.join(directory)).expect("a directory") {
            names.insert(format!("{directory}/{}", entry.expect("an entry").file_name().to_string_lossy()));
        }
    }
    names
}

/// Checks a mix: it is refused as damaged, or it ends as one of the copies, and so does every state of its
/// history.
fn judge(mix: &Path, copies: &[Copy; 2], what: &str) -> Option<String> {
    println!("{what}");
    let known: Vec<(u64, Digest)> = copies.iter().flat_map(|copy| copy.states.iter().copied()).collect();
    let loaded = match load(&Disk::shared(), mix, &mut |_| {}) {
        Err(OpenError::Data(DurabilityError::Damaged(damage))) => return Some(damage.to_string()),
        Err(error) => panic!("{what}: {error}"),
        Ok(loaded) => loaded,
    };
    let present = (loaded.state.lsn(), state_digest(&loaded.state));
    assert!(known.contains(&present), "{what}: LSN {} is of neither history", present.0);
    // Identify the copy; no state of its history may be of the other one.
    let whose = copies.iter().find(|copy| copy.states.contains(&present)).expect("just found");
    let mut damaged = loaded.snapshots.verify_archived().expect("the archive is there");
    damaged.extend(loaded.files.history_damage.clone());
    drop(loaded);
    let (engine, _) = Engine::open(options(mix)).expect("it was just loaded");
    for (lsn, digest) in &whose.states {
        if let Ok(state) = engine.state_at(*lsn) {
            assert_eq!(state_digest(&state), *digest, "{what}: the state at LSN {lsn}");
        }
    }
    drop(engine);
    (!damaged.is_empty()).then(|| damaged[0].to_string())
}

#[test]
fn every_mix_of_files_is_refused_or_common_history() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let copies = two_copies(place.path());
    let [one, other] = &copies;
    for copy in &copies {
        assert_eq!(judge(&copy.path, &copies, "a copy as it is"), None);
    }
    let mut refused = 0;
    for name in names(&other.path) {
        let (theirs, ours) = (other.path.join(&name), one.path.join(&name));
        let is_common = fs::read(&ours).ok() == fs::read(&theirs).ok();
        let mix = copy_of(&one.path, place.path().join("mix"));
        fs::copy(&theirs, mix.join(&name)).expect("a copy");
        let found = judge(&mix, &copies, &name);
        assert!(!is_common || found.is_none(), "{name}: {found:?}");
        if name.starts_with("snapshots/") {
            let found = found.expect("a snapshot of another history is refused");
            assert!(found.contains("another history") || found.contains("the log ends"), "{name}: {found}");
            // A repair removes the foreign one, and keeps what was acknowledged here.
            let look = Repair::look(&Disk::shared(), &mix).expect("it can be looked at");
            assert!(
                look.found().problems.iter().any(|problem| problem.file == mix.join(&name)),
                "{name}: {:?}",
                look.found()
            );
            assert_eq!(look.found().last_good_lsn, one.states.last().expect("some").0, "{name}");
            refused += 1;
        } else {
            refused += u32::from(found.is_some());
        }
        fs::remove_dir_all(&mix).expect("it goes");
    }
    assert!(8 <= refused, "{refused}");
    // Whole directories, one or two of the three.
    for mask in 1..7 {
        let mix = copy_of(&one.path, place.path().join("mix"));
        for (bit, directory) in ["snapshots", "log", "archive"].into_iter().enumerate() {
            if mask >> bit & 1 == 1 {
                fs::remove_dir_all(mix.join(directory)).expect("it goes");
                copy_of(&other.path.join(directory), mix.join(directory));
            }
        }
        let found = judge(&mix, &copies, &format!("directories {mask:03b}"));
        assert!(found.is_some(), "directories {mask:03b}");
        fs::remove_dir_all(&mix).expect("it goes");
    }
}

/// At any LSN: a snapshot taken exactly where the copies diverge is common, one command later it is not.
#[test]
fn a_snapshot_is_refused_from_the_first_command_that_differs() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let origin = place.path().join("origin");
    let engine = open(&origin);
    grow(&engine, 0, 20);
    drop(engine);
    for own in 0..3_u64 {
        let [one, other] = [100, 200].map(|first| {
            let path = copy_of(&origin, place.path().join(format!("{own}-{first}")));
            let engine = open(&path);
            for number in first..first + own {
                submit(&engine, signup(number, Some(0)));
            }
            engine.snapshot_now_blocking().expect("a snapshot");
            // The following commands differ in any case.
            for number in first + 50..first + 53 {
                submit(&engine, signup(number, Some(1)));
            }
            drop(engine);
            path
        });
        let name = format!("snapshots/{:020}.snap", 20 + own);
        fs::copy(other.join(&name), one.join(&name)).expect("a copy");
        let loaded = load(&Disk::shared(), &one, &mut |_| {});
        match loaded {
            Ok(loaded) => assert_eq!((own, loaded.state.lsn()), (0, 23)),
            Err(OpenError::Data(DurabilityError::Damaged(damage))) => {
                assert!(own != 0 && damage.reason.contains("another history"), "{damage}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
