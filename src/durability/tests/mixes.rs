//! Directories mixed at random from copies with a common beginning: what opening, `verify` and a repair say
//! of each, and what a repair keeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::*;
use crate::durability::{
    Damage, inspect_snapshot, names, past,
    repair::{Look, Repair, Verdict},
};

/// The LSN after which the copies differ.
const FORK: u64 = 360;

/// The test ends after as many mixes that fail.
const FAILURES_MAX: u64 = 20;

/// A command: its LSN, and the letter of the history that wrote it.
type Command = (u64, char);

/// A copy of the directory: its files below the root, its last LSN, and its history.
struct Copy {
    memory: Memory,
    files: BTreeMap<PathBuf, Vec<u8>>,
    last: u64,
    history: char,
}

/// The commands that the whole files of all copies hold.
#[derive(Default)]
struct Origins {
    segments: BTreeMap<Vec<u8>, Vec<Command>>,
    /// By LSN and chain, which a rewritten manifest keeps.
    snapshots: BTreeMap<(u64, Option<u64>), Vec<Command>>,
    /// Their bytes.
    whole: BTreeSet<Vec<u8>>,
}

fn history_at(lsn: u64, history: char) -> char {
    if lsn <= FORK { 'C' } else { history }
}

fn commands_of(first: u64, last: u64, history: char) -> Vec<Command> {
    (first..=last).map(|lsn| (lsn, history_at(lsn, history))).collect()
}

fn of(stamped: &Stamped) -> Command {
    let history = if *stamped == group(stamped.lsn, 1)[0] { 'S' } else { 'D' };
    (stamped.lsn, history_at(stamped.lsn, history))
}

/// Goes on up to an LSN, with snapshots at some.
fn grow(memory: &Memory, last: u64, history: char, snapshots: &[u64]) {
    let mut opened = open(&memory.shared(), root()).unwrap();
    let mut lsn = opened.report.log_last_lsn;
    while lsn < last {
        let count = 3.min(last - lsn);
        let commands =
            if history == 'D' && FORK <= lsn { other_group(lsn + 1, count) } else { group(lsn + 1, count) };
        opened.journal.append(&commands, outcome_hash(lsn + 1)).unwrap();
        lsn = opened.journal.sync().unwrap();
        if snapshots.contains(&lsn) {
            let kept = snapshot(&opened, lsn, lsn).unwrap();
            opened.journal.purge_prefix(kept, None).unwrap();
        }
    }
}

/// Three states of one network, and two of a copy that went another way after the first of them.
fn copies() -> Vec<Copy> {
    let first = with_groups(0);
    grow(&first, FORK, 'S', &[180]);
    let mut copies = vec![(first.copy(), FORK, 'S')];
    for history in ['S', 'D'] {
        let memory = first.copy();
        grow(&memory, 540, history, &[420]);
        copies.push((memory.copy(), 540, history));
        grow(&memory, 1_200, history, &[690, 960, 1_200]);
        copies.push((memory, 1_200, history));
    }
    let below = |memory: &Memory| {
        let files = memory.all().into_iter();
        let below =
            files.filter_map(|(path, content)| Some((path.strip_prefix(root()).ok()?.into(), content)));
        below
            .filter(|(path, _): &(PathBuf, _)| !path.ends_with("instance") && !path.ends_with("lock"))
            .collect()
    };
    copies
        .into_iter()
        .map(|(memory, last, history)| Copy { files: below(&memory), memory, last, history })
        .collect()
}

fn origins(copies: &[Copy]) -> Origins {
    let mut origins = Origins::default();
    for copy in copies {
        let first_lsn = |content: &[u8]| u64::from_le_bytes(content[40..48].try_into().unwrap());
        let segments: Vec<_> = copy.files.iter().filter(|(path, _)| number_of(path).is_some()).collect();
        for (path, content) in &copy.files {
            if let Some(lsn) = snapshot_of(path) {
                let seen = inspect_snapshot(&copy.memory, &root().join(path)).unwrap();
                let chain = seen.manifest.unwrap().chain;
                origins.snapshots.insert((lsn, chain), commands_of(1, lsn, copy.history));
                origins.whole.insert(content.clone());
            }
            let Some(number) = number_of(path).filter(|_| content[40..48] != [0; 8]) else { continue };
            let next = segments.iter().find(|(path, _)| number_of(path) == Some(number + 1));
            let next = next.map_or(0, |(_, content)| first_lsn(content));
            let last = if next == 0 { copy.last } else { next - 1 };
            origins.segments.insert(content.clone(), commands_of(first_lsn(content), last, copy.history));
        }
    }
    origins
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn number_of(path: &Path) -> Option<u64> {
    names::segment_number(name(path))
}

/// The path without the mark of an unfinished file, which a repair sees through.
fn plain(path: &Path) -> &Path {
    Path::new(path.to_str().and_then(|text| text.strip_suffix(".tmp").or(Some(text))).unwrap())
}

fn snapshot_of(path: &Path) -> Option<u64> {
    names::snapshot_lsn(name(path))
}

/// A generator of small numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Changes one thing, and says what.
fn change(memory: &Memory, copies: &[Copy], dice: &mut Dice) -> String {
    let here: Vec<PathBuf> = memory.all().into_keys().filter(|path| !path.ends_with("instance")).collect();
    let here: Vec<PathBuf> = here.into_iter().filter(|path| !path.ends_with("lock")).collect();
    if here.is_empty() {
        return "nothing left".into();
    }
    let path = dice.pick(&here).clone();
    let content = memory.content(&path).unwrap();
    let at = dice.below(copies.len());
    let other = &copies[at];
    let rename = |to: PathBuf| {
        memory.forget(&path);
        memory.set_content(&to, &content);
        format!("{} becomes {}", path.display(), to.display())
    };
    match dice.below(12) {
        // One file of another copy, in place of one or in addition.
        0..=5 => {
            let files: Vec<_> = other.files.iter().collect();
            let (name, content) = *dice.pick(&files);
            memory.set_content(&root().join(name), content);
            format!("{} of copy {at}", name.display())
        }
        // All of one kind.
        6 => {
            let folder = *dice.pick(&["log", "snapshots", "archive"]);
            here.iter()
                .filter(|path| path.starts_with(root().join(folder)))
                .for_each(|path| memory.forget(path));
            for (name, content) in other.files.iter().filter(|(name, _)| name.starts_with(folder)) {
                memory.set_content(&root().join(name), content);
            }
            format!("{folder} of copy {at}")
        }
        7 => {
            memory.forget(&path);
            format!("without {}", path.display())
        }
        8 => rename(Paths::temporary(&path)),
        9 => {
            memory.set_content(&Paths::temporary(&path), &content);
            format!("{} twice", path.display())
        }
        10 => {
            let folder = *dice.pick(&["log", "snapshots", "archive"]);
            if path.parent() == Some(root()) {
                return "nothing".into();
            }
            rename(root().join(folder).join(path.file_name().unwrap()))
        }
        _ => {
            let at = dice.below(content.len().max(1));
            let mut content = content;
            if let Some(byte) = content.get_mut(at) {
                *byte ^= 4;
            }
            memory.set_content(&path, &content);
            format!("byte {at} of {}", path.display())
        }
    }
}

/// What a directory holds after it was opened.
struct Held {
    last: u64,
    snapshot: Vec<Command>,
    log: BTreeSet<Command>,
}

impl Held {
    fn all(&self) -> BTreeSet<Command> {
        self.log.iter().chain(&self.snapshot).copied().collect()
    }
}

/// Opens a directory for writing.
fn held(memory: &Memory, origins: &Origins, what: &str) -> Held {
    let opened = open(&memory.shared(), root()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let last = opened.report.log_last_lsn;
    let manifest = opened.snapshot.manifest();
    let snapshot = origins.snapshots.get(&(manifest.lsn, manifest.chain)).cloned();
    let snapshot = snapshot.unwrap_or_else(|| panic!("{what}: an unknown snapshot is used"));
    let reader = opened.journal.reader();
    let mut log = BTreeSet::new();
    if reader.oldest_lsn() <= last {
        for group in reader.read_range(reader.oldest_lsn(), last).unwrap() {
            log.extend(group.unwrap().commands.iter().map(of));
        }
    }
    Held { last, snapshot, log }
}

#[derive(Default)]
struct Dropped(BTreeSet<Command>);

impl Papers for Dropped {
    fn command(&mut self, stamped: &Stamped) -> String {
        self.0.insert(of(stamped));
        String::new()
    }

    fn report(&mut self, _: &[Moved], _: bool) -> String {
        String::new()
    }
}

/// What opening and `verify` say: the findings, or why it is refused.
fn opening(memory: &Memory) -> std::result::Result<Vec<Damage>, Damage> {
    match DataDir::open_read_only(&memory.shared(), root()) {
        Ok(opened) => {
            let mut findings = opened.report.damaged_snapshots.clone();
            let log = opened.journal.reader();
            let past = past(&opened.report, &opened.snapshots, &*log).unwrap();
            findings.extend(past.into_iter().map(|(_, damage)| damage));
            Ok(findings)
        }
        Err(Error::Damaged(damage)) => Err(*damage),
        Err(error) => panic!("{error}"),
    }
}

/// Carries out the way that ends with this LSN, and returns what is held and what was dropped.
fn carried_out(mix: &Memory, look: &Look, origins: &Origins, what: &str) -> (Held, BTreeSet<Command>) {
    let memory = mix.copy();
    let mut repair = Repair::look(&memory.shared(), root()).unwrap();
    assert!(repair.choose(look.last_good_lsn), "{what}");
    let mut dropped = Dropped::default();
    repair.carry_out("damaged-1", &mut dropped).unwrap_or_else(|error| panic!("{what}: {error}"));
    let verdict = repair.found().verdict;
    drop(repair);
    let after = Repair::look(&memory.shared(), root()).unwrap();
    let found = after.found();
    assert_eq!((found.verdict, found.problems.len()), (Verdict::Healthy, 0), "{what}: {found:?}");
    drop(after);
    let (before, after) = (mix.all(), memory.all());
    let held = held(&memory, origins, what);
    assert_eq!(held.last, look.last_good_lsn, "{what}");
    // Whatever was in a whole file of the log that is gone, and is not kept, was written down.
    let removed = before.iter().filter(|(path, content)| {
        let parent = path.parent().unwrap();
        number_of(plain(path)).is_some()
            && (parent == root().join("log") || parent == root().join("archive"))
            && !after
                .iter()
                .any(|(path, other)| other == *content && !path.starts_with(root().join("damaged-1")))
    });
    let all = held.all();
    for (path, content) in removed {
        // A segment under another's name is not readable.
        let is_own =
            content.get(32..40).is_some_and(|own| own == number_of(plain(path)).unwrap().to_le_bytes());
        for command in origins.segments.get(content).filter(|_| is_own).into_iter().flatten() {
            let kept = all.contains(command) || dropped.0.contains(command);
            let is_other =
                verdict == Verdict::WithoutLoss && command.1 != history_at(command.0, history(&held));
            assert!(kept || is_other, "{what}: {command:?} of {} is nowhere", path.display());
        }
    }
    assert!(dropped.0.is_empty() || verdict == Verdict::WouldLose, "{what}");
    (held, dropped.0)
}

fn history(held: &Held) -> char {
    held.all().last().map_or('C', |(_, history)| *history)
}

/// Checks one mix.
fn check(mix: &Memory, copies: &[Copy], origins: &Origins, what: &str) -> &'static str {
    let opened = opening(mix);
    let before = mix.all();
    let repair = match Repair::look(&mix.shared(), root()) {
        Ok(repair) => repair,
        Err(error) => {
            let is_whole = |path: &&PathBuf| {
                let in_place = ["snapshots", "archive"].iter().any(|at| path.starts_with(root().join(at)));
                snapshot_of(plain(path)).is_some() && in_place && origins.whole.contains(&before[*path])
            };
            let whole: Vec<_> = before.keys().filter(is_whole).collect();
            assert!(opened.is_err() && whole.is_empty(), "{what}: {error}, {whole:?}");
            return "beyond repair";
        }
    };
    assert_eq!(mix.all(), before, "{what}: looking changed something");
    let look = repair.found().clone();
    drop(repair);
    match (&opened, look.verdict) {
        (Ok(findings), Verdict::Healthy) => assert_eq!(findings, &[], "{what}"),
        (Ok(findings), Verdict::WithoutLoss) => assert_ne!(findings, &[], "{what}"),
        (Err(_), Verdict::WithoutLoss | Verdict::WouldLose) => {}
        _ => panic!("{what}: {opened:?}, {look:?}"),
    }
    if look.verdict == Verdict::Healthy {
        held(mix, origins, what);
        return "healthy";
    }
    let (kept, _) = carried_out(mix, &look, origins, what);
    if look.verdict == Verdict::WithoutLoss {
        assert!(look.others.is_empty(), "{what}");
        // Everything that was recorded as durable, if that is known, is there.
        let durable = before.get(&root().join("durable"));
        let whose = copies.iter().filter(|copy| copy.files.get(Path::new("durable")) == durable);
        let all = kept.all();
        for copy in whose.filter(|_| opened.is_err()) {
            assert!(copy.last <= kept.last, "{what}: up to {} of {}", kept.last, copy.last);
            let is_there = all.contains(&(copy.last, history_at(copy.last, copy.history)));
            assert!(is_there, "{what}: LSN {} of {} is gone", copy.last, copy.history);
        }
        return if opened.is_ok() { "findings" } else { "without loss" };
    }
    let kept = kept.all();
    for other in &look.others {
        let (others, dropped) = carried_out(mix, other, origins, what);
        // A snapshot does not show whether it holds what the log does that it replaces.
        let is_known = dropped.is_disjoint(&kept);
        let keeps_more = is_known && kept.is_subset(&others.all());
        assert!(!keeps_more, "{what}: {} keeps all that {} does", other.last_good_lsn, look.last_good_lsn);
    }
    if look.others.is_empty() { "would lose" } else { "several ways" }
}

#[test]
fn opening_verify_and_repair_agree_about_every_mix_of_two_histories() {
    let number = |name: &str, or: u64| std::env::var(name).map_or(or, |text| text.parse().expect("a number"));
    let (first, mixes) = (number("UPLINE_SEED", 0), number("UPLINE_MIXES", 150));
    let copies = copies();
    let origins = origins(&copies);
    let mut verdicts: BTreeMap<&str, u64> = BTreeMap::new();
    for mix in 0..mixes {
        let mut dice = Dice((first << 32 | mix).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D);
        (0..4).for_each(|_| _ = dice.below(2));
        let base = dice.below(copies.len());
        let memory = copies[base].memory.copy();
        let changes = *dice.pick(&[1, 1, 2, 2, 3, 5]);
        let changes: Vec<_> = (0..changes).map(|_| change(&memory, &copies, &mut dice)).collect();
        let what = format!("seed {first}, mix {mix}: copy {base} with {changes:?}");
        // One failure shows less than several.
        let checked = catch_unwind(AssertUnwindSafe(|| check(&memory, &copies, &origins, &what)));
        *verdicts.entry(checked.unwrap_or("failures")).or_default() += 1;
        if verdicts.get("failures") == Some(&FAILURES_MAX) {
            break;
        }
    }
    verdicts.entry("failures").or_default();
    let counts: Vec<String> =
        verdicts.iter().map(|(verdict, count)| format!(" {}={count}", verdict.replace(' ', "_"))).collect();
    println!("mixes: seed={first} mixes={mixes}{}", counts.concat());
    assert_eq!(verdicts["failures"], 0);
    for verdict in ["healthy", "findings", "without loss", "would lose", "several ways"] {
        assert!(mixes < 150 || verdicts.contains_key(verdict), "{verdicts:?}");
    }
}
