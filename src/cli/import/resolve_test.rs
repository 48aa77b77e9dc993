//! Resolves the cells of random files and compares with a reference resolver that is written from the rule in
//! `names.rs` and knows nothing about waiting.

use std::collections::BTreeMap;

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::*;
use crate::{
    core::{
        audit,
        types::{Code, MemberIx, Timestamp},
    },
    engine::MemberDirectory,
    plan_file,
};

struct Random(Pcg64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u32() as usize % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Returns a random spelling of a name.
    fn spelled(&mut self, name: &str) -> String {
        match self.below(4) {
            0 => name.to_uppercase(),
            1 => name.to_lowercase(),
            _ => name.to_string(),
        }
    }
}

/// A row as written: member, sponsor, code.
type Written = (String, String, String);

fn file_of(rows: &[Written]) -> String {
    rows.iter().fold("member,sponsor,joined_at,code\n".into(), |text, (member, sponsor, code)| {
        text + &format!("{member},{sponsor},2020-01-01,{code}\n")
    })
}

fn network(plan: &str) -> Network {
    Network::new(
        State::new(plan_file::parse(plan).unwrap(), 7),
        MemberDirectory::with_capacity(0, 0),
        Timestamp(0),
    )
}

/// Generates the names of a file, each once, with the code of its row. A code in a name's own form is one
/// that no other member has.
fn random_rows(random: &mut Random) -> Vec<Written> {
    const NAMES: [&str; 14] = [
        "Anna",
        "bob",
        "B0B1",
        "42",
        "17",
        "Il1",
        "carl@x.org",
        "Dora@X.org",
        "e5",
        "0xAbC",
        "f",
        "G-1",
        "h_2",
        "x y",
    ];
    let mut names: Vec<&str> = NAMES.to_vec();
    for at in (1..names.len()).rev() {
        names.swap(at, random.below(at + 1));
    }
    names.truncate(3 + random.below(NAMES.len() - 3));
    // Codes that are names in the file, in any spelling, unknown names, and similar ones.
    let mut rows: Vec<Written> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let code = match random.below(4) {
            0 => NAMES[random.below(NAMES.len())].to_uppercase(),
            1 => format!("kode-{at}"),
            _ => String::new(),
        };
        let code = if Code::parse(&code).is_some() { code } else { String::new() };
        // Mostly an earlier member, so that there are few cycles.
        let sponsor = match (at, random.below(8)) {
            (0, _) => String::new(),
            (_, 0) => random.of(&names).to_string(),
            (_, 1) => format!("KODE-{}", random.below(at)),
            (_, 2) => format!("k0de-{}", random.below(at)),
            (_, 3) => random.of(&["nobody", "1l1", "ANNA", "17", "e5", "OxABC"]).to_string(),
            _ => names[random.below(at)].to_string(),
        };
        rows.push((random.spelled(name), random.spelled(&sponsor), code));
    }
    for at in (1..rows.len()).rev() {
        if random.below(3) == 0 {
            rows.swap(at, random.below(at + 1));
        }
    }
    rows
}

/// Resolves a sponsor cell: the row of that name, or else the row whose member has that code, or else the
/// only one with a similar code. Returns the row's position; `None` for no match, or several.
fn meant(cell: &str, rows: &[Written], code_of: &BTreeMap<usize, String>) -> Option<usize> {
    let like = |text: &str| text.to_lowercase().replace('o', "0").replace(['i', 'l'], "1");
    let row_of = |is: &dyn Fn(&Written) -> bool| rows.iter().position(is);
    if let Some(named) = row_of(&|(member, ..)| member.eq_ignore_ascii_case(cell)) {
        return Some(named);
    }
    if let Some((owner, _)) = code_of.iter().find(|(_, code)| code.eq_ignore_ascii_case(cell)) {
        return Some(*owner);
    }
    let mut alike = code_of.iter().filter(|(_, code)| like(code) == like(cell));
    let owner = alike.next()?;
    alike.next().is_none().then_some(*owner.0)
}

#[test]
fn every_cell_means_whom_the_rule_says() {
    let (mut taken_in, mut refused) = (0, 0);
    for seed in 0..600_u64 {
        let mut random = Random(Pcg64::new(seed.into(), 3));
        let rows = random_rows(&mut random);
        let mut network = network(plan_file::DEFAULT_PLAN);
        let file = file_of(&rows);
        let taken = members_from(&mut network, file.as_bytes(), false);
        assert_eq!(audit(&network.state, 3), Vec::<String>::new());
        let state = &network.state;
        let find = |text: &str| network.names.named(&Name::parse(text).unwrap(), state, &network.directory);
        let ids: BTreeMap<usize, MemberIx> =
            rows.iter().enumerate().filter_map(|(at, row)| Some((at, find(&row.0)?))).collect();
        // Names are all different, so a member is in the network if and only if its row was taken.
        assert_eq!(ids.len() as u64, taken.members, "seed {seed}\n{file}");
        let code_of: BTreeMap<usize, String> =
            ids.iter().map(|(at, member)| (*at, state.code(*member).into_string())).collect();
        for (at, member) in &ids {
            let cell = &rows[*at].1;
            let sponsor = state.member(*member).sponsor;
            let expected = if cell.is_empty() { None } else { meant(cell, &rows, &code_of) };
            let is_right = match expected {
                Some(row) => sponsor == ids.get(&row).copied() && sponsor.is_some(),
                // A text that resembled one code when the row was imported may resemble two in the end.
                None => cell.is_empty() == sponsor.is_none(),
            };
            assert!(is_right, "seed {seed}: row {at}, {cell} means row {expected:?}\n{file}");
        }
        for row in &taken.refused {
            let at = usize::try_from(row.line).unwrap() - 2;
            assert!(!ids.contains_key(&at), "seed {seed}: {row}\n{file}");
            if let Refusal::UnknownSponsor(name) = &row.reason {
                assert_eq!(meant(name, &rows, &code_of), None, "seed {seed}: {row}\n{file}");
            }
        }
        (taken_in, refused) = (taken_in + taken.members, refused + taken.refused.len() as u64);
        // Again: all members exist, nothing changes, no member is added.
        let digest = network_digest(&network.state);
        let again = members_from(&mut network, file.as_bytes(), false);
        assert_eq!((again.members, network_digest(&network.state)), (0, digest), "seed {seed}\n{file}");
    }
    assert!(2_000 < taken_in && 200 < refused, "{taken_in} taken in, {refused} refused");
}

#[test]
fn a_name_of_the_file_wins_over_a_code() {
    // file, sponsor of 5, or why it is refused
    let header = "member,sponsor,joined_at,code\n";
    let table = [
        ("17,,,42\n5,42,,5\n42,17,,7\n", Ok("42")),
        ("17,,,42\n42,17,,7\n5,42,,5\n", Ok("42")),
        ("17,,,42\n42,17,yesterday,7\n5,42,,5\n", Err("sponsor 42 on line 3 was refused")),
        ("17,,,42\n5,42,,5\n42,17,yesterday,7\n", Err("sponsor 42 on line 4 was refused")),
        ("17,,,42\n5,42,,5\n", Ok("17")),
        ("17,,,B0B\n5,bob,,5\n", Ok("17")),
        ("5,bob,,5\n17,,,B0B\n18,,,BO8\n", Ok("17")),
    ];
    for (file, expected) in table {
        let mut network = network(plan_file::DEFAULT_PLAN);
        let taken = members_from(&mut network, format!("{header}{file}").as_bytes(), false);
        let Network { state, directory, .. } = &network;
        let id = |name: &str| Name::parse(name).unwrap().named(state, directory);
        let reason = || {
            taken
                .refused
                .iter()
                .find(|refused| refused.member == "5")
                .map(|refused| refused.reason.to_string())
        };
        match expected {
            Ok(sponsor) => assert_eq!(
                id("5").and_then(|member| state.member(member).sponsor),
                id(sponsor),
                "{file}: {:?}",
                reason()
            ),
            Err(said) => assert_eq!(reason().as_deref(), Some(said), "{file}"),
        }
    }
}

#[test]
fn a_name_that_is_the_code_of_a_member_from_before_is_that_member() {
    let uuid = "00000000-0000-4000-8000-000000000001";
    let mut network = network(plan_file::DEFAULT_PLAN);
    members_from(&mut network, format!("member,sponsor,joined_at,code\n{uuid},,,GOLD\n").as_bytes(), false);
    let taken = members_from(
        &mut network,
        b"member,sponsor,joined_at\nx,gold,\ngold,,\ny,GOLD,\nG0LD,gold,\n",
        false,
    );
    assert_eq!((taken.members, taken.already_there, taken.refused.len()), (3, 1, 0));
    let Network { state, directory, .. } = &network;
    for name in ["x", "y", "G0LD"] {
        let member = crate::cli::names::find_member(state, directory, name)
            .unwrap_or_else(|failure| panic!("{}", failure.message));
        assert_eq!(state.member(member).sponsor, Some(MemberIx(0)), "{name}");
    }
    // A name that only resembles a code is new, and cannot have it as its code.
    assert_ne!(state.code(MemberIx(3)).as_str(), "G0LD");
    assert_eq!(taken.names_not_kept, 1);
}

#[test]
fn spellings_of_one_name_are_one_member() {
    let mut network = network(plan_file::DEFAULT_PLAN);
    let file = "member,sponsor,joined_at\n0xAbCd,,\nANNA@x.org,0XABCD,\nanna@X.org,0xabcd,\n\
                b,Anna@x.org,\n0xABCD,,\n";
    let taken = members_from(&mut network, file.as_bytes(), false);
    let refused: Vec<_> = taken.refused.iter().map(|refused| (refused.line, refused.reason.name())).collect();
    assert_eq!((taken.members, refused), (3, vec![(4, "duplicate"), (6, "duplicate")]));
    assert_eq!(taken.respelled, 2, "two sponsors are spelled otherwise");
    assert_eq!(
        network.state.id(MemberIx(0)),
        Name::parse("0xabcd").unwrap().id,
        "all spellings make the same id"
    );
    // In another file, and for lookups.
    let taken = members_from(&mut network, b"member,sponsor,joined_at\n0xabcd,,\nc,0XABCD,\n", false);
    assert_eq!((taken.members, taken.already_there, taken.respelled), (1, 1, 2));
    let found = crate::cli::names::find_member(&network.state, &network.directory, "0XABCD");
    assert_eq!(found.ok(), Some(MemberIx(0)));
}

/// The names of an earlier file are not stored: their ids must lead from any spelling to the member.
#[test]
fn spellings_of_one_name_are_one_member_across_files() {
    let header = "member,sponsor,joined_at\n";
    let spellings = ["Joe@X.org", "joe@x.org", "JOE@X.ORG"];
    for (first, second) in spellings.iter().flat_map(|first| spellings.map(|second| (*first, second))) {
        let mut network = network(plan_file::DEFAULT_PLAN);
        members_from(&mut network, format!("{header}{first},,\nBob O'Neil,{first},\n").as_bytes(), false);
        // Another run knows nothing of the names in the first file.
        let Network { state, directory, .. } = network;
        let mut network = Network::new(state, directory, Timestamp(0));
        let file = format!("{header}{second},,\nx,{second},\nBOB o'neil,{second},\n");
        let taken = members_from(&mut network, file.as_bytes(), false);
        assert_eq!((taken.members, taken.already_there, taken.refused.len()), (1, 2, 0), "{first}, {second}");
        assert_eq!(network.state.member(MemberIx(2)).sponsor, Some(MemberIx(0)), "{first}, {second}");
        for text in spellings {
            let found = crate::cli::names::find_member(&network.state, &network.directory, text);
            assert_eq!(found.ok(), Some(MemberIx(0)), "{first}, {second}, {text}");
        }
        let found = crate::cli::names::find_member(&network.state, &network.directory, "bob o'neil");
        assert_eq!(found.ok(), Some(MemberIx(1)), "{first}, {second}");
    }
}

/// Older releases derived the id from the spelling. Their members keep it, and are found as they were.
#[test]
fn members_of_older_releases_keep_their_ids() {
    let mut network = network(plan_file::DEFAULT_PLAN);
    for name in ["Joe@X.org", "Bob"] {
        let register = crate::core::command::Register {
            member: Name::parse(name).unwrap().id,
            sponsor: crate::core::command::SponsorRef::None,
            placement: crate::core::command::PlacementRequest::PlanDefault,
            code: Code::parse(name),
            role: crate::core::types::Role::Member,
            joined_at: None,
            origin: crate::core::command::Origin::Signup,
        };
        network.apply(Command::Register(register)).unwrap();
    }
    let file = "member,sponsor,joined_at\nJoe@X.org,,\nx,joe@x.org,\nbob,,\nAnn@X.org,JOE@x.org,\n";
    for (members, already_there) in [(2, 2), (0, 4)] {
        let Network { state, directory, .. } = network;
        network = Network::new(state, directory, Timestamp(0));
        let taken = members_from(&mut network, file.as_bytes(), false);
        assert_eq!((taken.members, taken.already_there, taken.refused.len()), (members, already_there, 0));
        assert_eq!(taken.respelled, 3, "joe@x.org, bob and JOE@x.org");
    }
    let found = |text| crate::cli::names::find_member(&network.state, &network.directory, text).ok();
    let table = [("Joe@X.org", Some(0)), ("joe@x.org", None), ("BOB", Some(1)), ("ann@x.ORG", Some(3))];
    for (text, expected) in table {
        assert_eq!(found(text), expected.map(MemberIx), "{text}");
    }
}

/// What is almost a UUID, and the nil UUID, name no new member.
#[test]
fn ids_are_whole_or_refused() {
    let uuid = "00000000-0000-4000-8000-000000000001";
    let simple = uuid.replace('-', "");
    let nil = "00000000-0000-0000-0000-000000000000";
    let file = format!(
        "member,sponsor,joined_at\n{uuid},,\n{{{simple}}},,\na,{{{simple}}},\nurn:uuid:{simple},,\n\
         b,urn:uuid:{uuid},\n{nil},,\nc,{nil},\n"
    );
    let mut network = network(plan_file::DEFAULT_PLAN);
    let taken = members_from(&mut network, file.as_bytes(), false);
    let refused: Vec<_> = taken.refused.iter().map(|refused| (refused.line, refused.reason.name())).collect();
    let expected =
        [(3, "bad_name"), (4, "bad_name"), (5, "bad_name"), (7, "bad_name"), (8, "sponsor_refused")];
    assert_eq!((taken.members, refused), (2, expected.to_vec()));
}

/// A code that differs from its member's name only in case is not another spelling of the name.
#[test]
fn a_code_as_it_is_is_no_other_spelling() {
    let mut network = network(plan_file::DEFAULT_PLAN);
    let file =
        "member,sponsor,joined_at,code\nanna,,,ANNA\nBob,anna,,bob\na,ANNA,,\nb,bob,,\nc,Anna,,\nd,BOB,,\n";
    let taken = members_from(&mut network, file.as_bytes(), false);
    assert_eq!((taken.members, taken.refused.len(), taken.respelled), (6, 0, 2), "c and d respell");
    let taken = members_from(&mut network, b"member,sponsor,joined_at\ne,ANNA,\nf,bob,\ng,bOB,\n", false);
    assert_eq!((taken.members, taken.refused.len(), taken.respelled), (3, 0, 1), "g respells");
}

#[test]
fn old_codes_that_read_as_ids_are_found_and_new_ones_refused() {
    let code = "000102030405060708090a0b0c0d0eff";
    let mut network = network(plan_file::DEFAULT_PLAN);
    let file = format!("member,sponsor,joined_at,code\nr,,,\na,r,,{code}\n");
    let taken = members_from(&mut network, file.as_bytes(), false);
    let refused: Vec<_> = taken.refused.iter().map(|refused| (refused.line, refused.reason.name())).collect();
    assert_eq!(refused, [(3, "code_reads_as_id")]);
    // A code chosen before format 3.
    let register = crate::core::command::Register {
        member: Name::parse("a").unwrap().id,
        sponsor: crate::core::command::SponsorRef::None,
        placement: crate::core::command::PlacementRequest::PlanDefault,
        code: Code::parse(code),
        role: crate::core::types::Role::Member,
        joined_at: None,
        origin: crate::core::command::Origin::Signup,
    };
    let lsn = network.state.lsn() + 1;
    let time = network.state.time();
    let old = crate::core::command::Stamped {
        lsn,
        time,
        key: None,
        actor: None,
        format: 1,
        command: Command::Register(register),
    };
    network.state.apply_unless_rejected(&mut network.directory, &old).unwrap();
    for text in [code, &code.to_uppercase(), "00010203-0405-0607-0809-0a0b0c0d0eff"] {
        let found = crate::cli::names::find_member(&network.state, &network.directory, text);
        assert_eq!(found.ok(), Some(MemberIx(1)), "{text}");
        let file = format!("member,sponsor,joined_at\nx{},{text},\n", text.len() + usize::from(text == code));
        assert_eq!(members_from(&mut network, file.as_bytes(), false).members, 1, "{text}");
    }
}

/// Returns the sibling steps of an import.
fn steps(file: &str, plan: &str) -> u64 {
    let mut network = network(plan);
    let mut taken = None;
    let steps =
        crate::core::family_work::of(|| taken = Some(members_from(&mut network, file.as_bytes(), false)));
    let taken = taken.unwrap();
    assert_eq!(taken.refused, [], "{} taken in", taken.members);
    steps
}

/// A row by its number.
type RowOf<'a> = &'a dyn Fn(usize) -> String;

#[test]
fn twice_the_children_of_one_parent_are_twice_the_work() {
    let wide = plan_file::DEFAULT_PLAN.replace("width = 3", "width = 1000");
    let unlimited = include_str!("../../../plans/levels.toml");
    let no_slot = |number: usize| format!("m{number},r,,r,\n");
    // Each row comes before all others, or anywhere.
    let backwards = |number: usize| format!("m{number},r,,r,{}\n", 999 - number);
    let scattered = |number: usize| format!("m{number},r,,r,{}\n", number * 387 % 1_000);
    // Fewer than the parent has room for: when one fills up, it is prepared once for being skipped.
    let rows: [(&str, usize, &str, RowOf<'_>); 4] = [
        ("unlimited", 8_000, unlimited, &no_slot),
        ("no slot", 900, &wide, &no_slot),
        ("backwards", 900, &wide, &backwards),
        ("scattered", 900, &wide, &scattered),
    ];
    for (name, count, plan, row) in rows {
        let file = |count: usize| {
            (0..count).fold("member,sponsor,joined_at,parent,slot\nr,,,,\n".to_string(), |text, number| {
                text + &row(number)
            })
        };
        let (half, whole) = (steps(&file(count / 2), plan), steps(&file(count), plan));
        assert!(
            2 * whole <= 5 * half.max(count as u64),
            "{name}: {half} steps for {} rows, {whole} for twice as many",
            count / 2
        );
    }
}

/// Signups by the default rule under a full parent: those find a child with room.
#[test]
fn full_parents_of_many_are_passed_in_a_bounded_time() {
    for rule in ["breadth-first", "breadth-first-by-slot", "round-robin"] {
        let plan = plan_file::DEFAULT_PLAN
            .replace("width = 3", "width = 1000")
            .replace("rule = \"breadth-first\"", &format!("rule = \"{rule}\""));
        let file = |count: usize| {
            (0..count).fold("member,sponsor,joined_at\nr,,\n".to_string(), |text, number| {
                text + &format!("m{number},r,\n")
            })
        };
        let (full, beyond) = (steps(&file(1_000), &plan), steps(&file(3_000), &plan));
        let each = (beyond - full) / 2_000;
        assert!(each <= 3 * 64, "{rule}: {each} steps for each member beyond the first thousand");
    }
}
