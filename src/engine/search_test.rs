use std::time::Instant;

use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

use super::*;
use crate::{
    core::{
        command::{Command, Origin, PlacementRequest, Register, SponsorRef, Stamped},
        types::{Code, MemberId, Role, Timestamp},
    },
    durability::LogHealth,
    engine::{
        MemberDirectory, RowIds,
        clock::ClockGuard,
        marks::Marks,
        sealed::files::SealedFiles,
        sync::{AtomicBool, OnceLock, RwLock},
        system_boot_clock, system_clock,
        tests::empty_history,
        view_desk::ViewDesk,
    },
    metrics::Metrics,
};

/// An engine without threads.
fn empty() -> Shared {
    Shared {
        state: RwLock::new(State::new(crate::plan_file::default_plan(), 5)),
        directory: MemberDirectory::with_capacity(0, 0),
        marks: Marks::opened(0, 0),
        poison: OnceLock::new(),
        stopping: AtomicBool::new(false),
        history: empty_history(),
        sealed: SealedFiles::none(),
        metrics: Metrics::new(&[]),
        clock: ClockGuard::opened(system_clock(), system_boot_clock(), None, None),
        row_ids: RowIds::new(1),
        has_carried_row_ids: AtomicBool::new(false),
        instance_id: [0; 16],
        network_id: 1,
        log: Mutex::default(),
        log_health: LogHealth::default(),
        views: ViewDesk::new(),
    }
}

/// Adds members with random ids, some with a common prefix; every third one gives a code.
fn grow(shared: &Shared, random: &mut Pcg64Mcg, members: u32) {
    let mut state = shared.state.write();
    for _ in 0..members {
        let number = state.len();
        let mut id = [0; 16];
        random.fill_bytes(&mut id);
        if random.next_u32().is_multiple_of(4) {
            id[..6].copy_from_slice(&[0xab, 0xcd, 0xef, 0x01, 0x23, 0x45]);
        }
        let stems = ["Campaign-Of-Last-Winter-", "x", "X_", "7-"];
        let stem = stems[random.next_u32() as usize % stems.len()];
        let register = Register {
            member: MemberId(id),
            sponsor: SponsorRef::None,
            placement: PlacementRequest::PlanDefault,
            code: number
                .is_multiple_of(3)
                .then(|| Code::parse(&format!("{stem}{}-{number}", random.next_u32() % 50)).unwrap()),
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        };
        let lsn = state.lsn() + 1;
        state.apply(
            &mut shared.directory.write(),
            &Stamped {
                lsn,
                time: Timestamp(1),
                key: None,
                actor: None,
                format: 1,
                command: Command::Register(register),
            },
        );
    }
}

/// The text of one member that a prefix is matched against.
fn text_of(state: &State, prefix: &Prefix, member: u32) -> String {
    match prefix.kind() {
        Kind::Id => state.member(MemberIx(member)).id.to_string().replace('-', ""),
        Kind::Code => state.code(MemberIx(member)).folded(),
        Kind::CodeAlike => state.code(MemberIx(member)).alike(),
    }
}

/// A prefix of some member's text, or of none.
fn some_prefix(shared: &Shared, random: &mut Pcg64Mcg) -> (Prefix, String) {
    let state = shared.state.read();
    let member = MemberIx(random.next_u32() % state.len());
    let of_code = random.next_u32().is_multiple_of(2);
    let hyphenated = random.next_u32().is_multiple_of(2);
    let mut text = match (of_code, hyphenated) {
        (true, _) => state.code(member).as_str().to_owned(),
        (false, true) => state.member(member).id.to_string(),
        (false, false) => state.member(member).id.to_string().replace('-', ""),
    };
    text.truncate(random.next_u32() as usize % (text.len() + 1));
    if random.next_u32().is_multiple_of(8) && !text.is_empty() {
        text.pop();
        text.push('f');
    }
    let folded = text.to_ascii_lowercase();
    if of_code && random.next_u32().is_multiple_of(3) {
        let prefix = Prefix::of_code(&text).unwrap().alike().unwrap();
        return (prefix, crate::core::types::alike(&folded));
    }
    if of_code {
        return (Prefix::of_code(&text).unwrap(), folded);
    }
    // The letter may have replaced a hyphen.
    let digits = folded.replace('-', "");
    (Prefix::of_id(&text).or_else(|| Prefix::of_id(&digits)).unwrap(), digits)
}

#[test]
fn a_search_finds_what_a_scan_finds() {
    for seed in 0..4 {
        println!("seed {seed}");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let (shared, index) = (empty(), SearchIndex::new());
        // None, a tail alone, several runs, merging runs.
        for step in [0, 1, 300, TAIL_MAX, 3 * TAIL_MAX + 17, 100, 2 * TAIL_MAX] {
            grow(&shared, &mut random, step);
            if step == 0 {
                assert_eq!(index.find(&shared, &Prefix::of_id("").unwrap(), 10), Ok(vec![]));
                continue;
            }
            for _ in 0..60 {
                let (prefix, folded) = some_prefix(&shared, &mut random);
                let most = 1 + random.next_u32() as usize % 2_000;
                let found = index.find(&shared, &prefix, most).unwrap();
                let state = shared.state.read();
                let texts = (0..state.len()).map(|member| (text_of(&state, &prefix, member), member));
                let mut expected: Vec<(String, u32)> =
                    texts.filter(|(text, _)| text.starts_with(&folded)).collect();
                expected.sort();
                expected.truncate(most);
                let expected: Vec<MemberIx> =
                    expected.into_iter().map(|(_, member)| MemberIx(member)).collect();
                assert_eq!(found, expected, "seed {seed}: {prefix:?}, {folded}");
            }
        }
        let runs = index.ids.lock().sorted.clone();
        assert!(
            runs.windows(2).all(|pair| 2 * pair[1].len() < pair[0].len()),
            "{:?}",
            runs.iter().map(|run| run.len()).collect::<Vec<_>>()
        );
        let members = shared.state.read().len() as usize;
        assert!(index.bytes() <= 12 * members, "{} bytes for {members} members", index.bytes());
    }
}

#[test]
fn prefixes_are_read_strictly() {
    // text, digits of an id if it is the beginning of one
    let table = [
        ("", Some(0)),
        ("a", Some(1)),
        ("0001020304050607", Some(16)),
        ("00010203-", Some(8)),
        ("00010203-0405", Some(12)),
        ("00010203-0405-0607-0809-0a0b0c0d0eff", Some(32)),
        ("000102030405060708090A0B0C0D0EFF", Some(32)),
        ("00010203-04050607", None),
        ("0-", None),
        ("-", None),
        ("xyz", None),
        ("000102030405060708090a0b0c0d0eff0", None),
        ("00010203-0405-0607-0809-0a0b0c0d0eff-", None),
        ("é", None),
    ];
    for (text, expected) in table {
        let digits = match Prefix::of_id(text) {
            Some(Prefix::Id { digits, .. }) => Some(digits),
            _ => None,
        };
        assert_eq!(digits, expected, "{text}");
    }
    assert_eq!(Prefix::of_code("Ab_-9"), Some(Prefix::Code("ab_-9".into())));
    for bad in ["a b", "a@b", "ü", &"x".repeat(65)] {
        assert_eq!(Prefix::of_code(bad), None, "{bad}");
    }
}

#[test]
fn a_million_members_are_indexed_in_seconds_and_found_at_once() {
    let mut random = Pcg64Mcg::seed_from_u64(3);
    let (shared, index) = (empty(), SearchIndex::new());
    grow(&shared, &mut random, 1_000_000);
    for kind in ["abcdef0123", "Campaign-Of-Last-Winter-7"] {
        let prefix = Prefix::of_id(kind).or_else(|| Prefix::of_code(kind)).unwrap();
        let begin = Instant::now();
        let first = index.find(&shared, &prefix, 50).unwrap();
        let made = begin.elapsed();
        let begin = Instant::now();
        let again = index.find(&shared, &prefix, 50).unwrap();
        println!("{kind}: index made in {made:?}, searched in {:?}", begin.elapsed());
        assert_eq!((first.len(), first == again), (50, true));
    }
    assert!(index.bytes() <= 8_000_000);
}
