//! Reimporting a file changes nothing, and an import that died between any two commands ends, when repeated,
//! in the same state as one that did not: random files with several rows per member, statuses and dirty rows.

use std::io::Cursor;

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::{super::columns::BONUS_COLUMNS, *};
use crate::{
    cli::record::Record,
    core::{
        audit,
        types::{Status, Timestamp},
    },
    engine::MemberDirectory,
    plan_file,
    time_text::TimeForm,
};

const HEADER: &str = "member,sponsor,parent,joined_at,status,role,code\n";

fn empty() -> Network {
    Network::new(State::new(plan_file::default_plan(), 7), MemberDirectory::with_capacity(0, 0), Timestamp(0))
}

/// Builds a network of these rows.
fn of(rows: &str) -> Network {
    let mut network = empty();
    members_from(&mut network, format!("{HEADER}{rows}").as_bytes(), false);
    network
}

fn refused(taken: &[Refused]) -> Vec<String> {
    taken.iter().map(|refused| format!("{}: {}", refused.line, refused.reason.name())).collect()
}

fn rows(random: &mut Pcg64, count: usize, dirty: bool) -> String {
    const NAMES: [&str; 9] = ["ann", "Bob", "BOB", "c1", "CI", "d@x.y", "D@X.y", "eve", "f"];
    const NOT_ALWAYS: usize = 3;
    let mut below = |bound: usize| random.next_u32() as usize % bound;
    let mut text = String::new();
    for at in 0..count {
        let name = NAMES[below(NAMES.len())];
        let sponsor = if at == 0 || below(6) == 0 { "" } else { NAMES[below(NAMES.len())] };
        let parent = if below(8) == 0 { NAMES[below(NAMES.len())] } else { "" };
        let time = if dirty && below(6) == 0 { "notatime" } else { "2025-01-01" };
        let status = ["", "active", "inactive", "terminated"][below(4)];
        let role = if below(NOT_ALWAYS) == 0 { ["admin", "member"][below(2)] } else { "" };
        let code = if below(6) == 0 { ["eve", "k1", "KI", "bob"][below(4)] } else { "" };
        text += &format!("{name},{sponsor},{parent},{time},{status},{role},{code}\n");
    }
    text
}

#[test]
fn a_second_run_changes_nothing_and_a_died_one_is_finished() {
    let (mut cuts, mut updates) = (0, 0);
    for seed in 0..150_u64 {
        let mut random = Pcg64::new(seed.into(), 11);
        let count = random.next_u32() as usize;
        let before = rows(&mut random, count % 4, false);
        let mut lines: Vec<String> =
            rows(&mut random, 2 + count % 12, true).lines().map(String::from).collect();
        // Rows of existing members with a different status.
        for line in before.lines() {
            let mut cells: Vec<&str> = line.split(',').collect();
            cells[4] = ["", "active", "inactive", "terminated"][random.next_u32() as usize % 4];
            lines.insert(random.next_u32() as usize % (lines.len() + 1), cells.join(","));
        }
        let file = format!("{HEADER}{}\n", lines.join("\n"));
        let reading = Reading { update: seed % 2 == 0, ..Reading::default() };
        let mut whole = of(&before);
        whole.record = Some(Record::default());
        let first = read_members(&mut whole, file.as_bytes(), &reading);
        assert_eq!(audit(&whole.state, 3), Vec::<String>::new());
        let commands: Vec<Command> = whole
            .record
            .take()
            .unwrap()
            .finish()
            .unwrap()
            .into_iter()
            .flat_map(|group| group.commands.decode().unwrap())
            .map(|stamped| stamped.command)
            .collect();
        let expected = network_digest(&whole.state);
        let context = || format!("seed {seed}, before:\n{before}file:\n{file}");
        for dead_at in 0..=commands.len() {
            let mut left = of(&before);
            commands[..dead_at].iter().for_each(|command| _ = left.apply(command.clone()).unwrap());
            let again = read_members(&mut left, file.as_bytes(), &reading);
            assert_eq!(
                network_digest(&left.state),
                expected,
                "dead behind {dead_at} of {}: {}",
                commands.len(),
                context()
            );
            if dead_at == commands.len() {
                assert_eq!((again.members, again.updated), (0, 0), "{}", context());
            }
            cuts += 1;
        }
        updates += first.updated;
    }
    assert!(300 < cuts && 9 < updates, "{cuts} cuts, {updates} members set to something else");
}

#[test]
fn what_a_row_sets_is_set_before_the_rows_behind_it() {
    let mut network = of("u0,,,2025-01-01,inactive,,\n");
    let reading = Reading { update: true, ..Reading::default() };
    let file = format!("{HEADER}u1,u0,,2025-01-02,,,\nu0,,,2025-01-01,active,,\n");
    let taken = read_members(&mut network, file.as_bytes(), &reading);
    assert_eq!((taken.members, taken.updated, refused(&taken.refused)), (1, 1, vec![]));
}

#[test]
fn the_first_of_several_rows_counts_each_time() {
    let mut network = of("alice,,,2025-01-01,,,\n");
    let reading = Reading { update: true, ..Reading::default() };
    let file = format!(
        "{HEADER}alice,,,2025-01-01,,,\nbob,alice,,2025-01-02,,,\nbob,alice,,2025-01-02,inactive,,\n"
    );
    for members in [1, 0] {
        let taken = read_members(&mut network, file.as_bytes(), &reading);
        assert_eq!(
            (taken.members, taken.updated, refused(&taken.refused)),
            (members, 0, vec!["4: duplicate".to_string()])
        );
        assert_eq!(network.state.member(MemberIx(1)).status, Status::Active);
    }
    // An unreadable row does not count; rows that wait for its member wait for the one that does.
    let mut network = of("root,,,2025-01-01,,,\n");
    let file = format!(
        "{HEADER}x,,p,2025-01-01,,,\np,root,,notatime,,,\nx,root,,2025-01-01,,,\np,root,,2025-01-02,,,\n"
    );
    for members in [1, 0] {
        let taken = members_from(&mut network, file.as_bytes(), false);
        let expected = ["2: root_with_placement", "3: bad_time", "4: duplicate"];
        assert_eq!((taken.members, refused(&taken.refused)), (members, expected.map(String::from).to_vec()));
    }
}

#[test]
fn the_sponsor_of_all_others_is_not_its_own() {
    // --default-sponsor, rows, who has no sponsor
    let table = [
        ("company", "Company,,,2025-01-01,,,\nbob,,,2025-01-01,,,\nzed,bob,,2025-01-01,,,\n", "Company"),
        ("BOSS", "B0SS,,,2025-01-01,,,\nbob,,,2025-01-01,,,\n", "B0SS"),
        ("BOSS", "bob,,,2025-01-01,,,\nB0SS,,,2025-01-01,,,\nboss,,,2025-01-01,,,\n", "boss"),
        ("gold", "bob,,,2025-01-01,,,\nx,,,2025-01-01,,,Gold\n", "x"),
        ("G0LD", "bob,,,2025-01-01,,,\nx,,,2025-01-01,,,Gold\n", "x"),
    ];
    for (default, rows, root) in table {
        let reading = Reading { default_sponsor: Name::parse(default).ok(), ..Reading::default() };
        let mut network = empty();
        for _ in 0..2 {
            let taken = read_members(&mut network, format!("{HEADER}{rows}").as_bytes(), &reading);
            assert_eq!(refused(&taken.refused), Vec::<String>::new(), "{default}: {rows}");
            let state = &network.state;
            let roots: Vec<MemberIx> =
                (0..state.len()).map(MemberIx).filter(|at| state.member(*at).sponsor.is_none()).collect();
            let named = Name::parse(root).unwrap().named(state, &network.directory);
            assert_eq!(roots, Vec::from_iter(named), "{default}: {rows}");
        }
    }
}

fn bonuses(network: &mut Network, file: &str) -> (TakenBonuses, Vec<String>) {
    let taken = bonuses_by(network, file, &Reading::default());
    let refused = refused(&taken.refused);
    (taken, refused)
}

fn bonuses_by(network: &mut Network, file: &str, reading: &Reading) -> TakenBonuses {
    let source = Box::new(Cursor::new(file.as_bytes().to_vec()));
    let mut lines = Lines::read("the file".into(), source, &Layout::new(&BONUS_COLUMNS)).unwrap();
    each_bonus(&mut lines, network, reading).unwrap_or_else(|failure| panic!("{}", failure.message))
}

/// Without `reverses` a row takes back the one bonus that it fits, however many the receiver has, and
/// whatever their times.
#[test]
fn a_reversal_finds_what_it_takes_back_among_any_number_of_bonuses() {
    const OTHERS: u64 = 4_200;
    let cents = |number: u64| format!("{}.{:02}", number / 100, number % 100);
    let row = |amount: &str, status: &str, time: u64| {
        format!("root,x,1,{amount},referral,{status},{},,,\n", 1_700_000_000 + time)
    };
    let others =
        |time: u64| (1..=OTHERS).map(|number| row(&cents(number), "pending", time)).collect::<String>();
    let pair = |time: u64| row("777.77", "pending", time) + &row("-777.77", "pending", time);
    let second = row("-777.77", "pending", 0);
    // file, whether every row is taken
    let mut pairs = String::new();
    for number in 1..=3_000_u64 {
        // Times that fall, so that each bonus is behind those of earlier rows in the list of its receiver.
        pairs += &row(&cents(number), "pending", 9_000 - number);
        pairs += &row(&format!("-{}", cents(number)), "pending", 9_000 - number);
    }
    let table = [
        ("the pair is newest", others(1) + &pair(2), vec![]),
        ("the pair is oldest", others(1) + &pair(0), vec![]),
        ("what is taken back came first", row("777.77", "pending", 2) + &others(1) + &second, vec![]),
        ("all are pairs", pairs, vec![]),
        (
            "twice",
            others(1) + &pair(0) + &second,
            vec![(2 + OTHERS + 2, "has the opposite amount and is not")],
        ),
        (
            "two may be meant",
            row("777.77", "pending", 0) + &others(1) + &pair(2),
            vec![(2 + OTHERS + 2, "more than one bonus may be meant")],
        ),
        ("the other is taken back already", pair(0) + &others(1) + &pair(2), vec![]),
        (
            "void and not",
            row("1.00", "void", 0)
                + &row("-1.00", "pending", 0)
                + &row("2.00", "paid", 0)
                + &row("-2.00", "void", 0),
            vec![(3, "only void bonuses"), (5, "no void bonus")],
        ),
    ];
    let reading = Reading { time_form: Some(TimeForm::new("%s").unwrap()), ..Reading::default() };
    for (what, rows, expected) in table {
        let mut network = of("root,,,2025-01-01,,,\nx,root,,2025-01-01,,,\n");
        for round in 0..2 {
            let file =
                format!("receiver,source,level,amount,kind,status,created_at,id,number,reverses\n{rows}");
            let taken = bonuses_by(&mut network, &file, &reading);
            let refused: Vec<_> =
                taken.refused.iter().map(|refused| (refused.line, refused.reason.to_string())).collect();
            let is_expected = refused.len() == expected.len()
                && refused.iter().zip(&expected).all(|((line, reason), (expected_line, part))| {
                    line == expected_line && reason.contains(part)
                });
            assert!(is_expected, "{what}, round {round}: {refused:?}");
            let rows = (rows.lines().count() - expected.len()) as u64;
            let (new, there) = if round == 0 { (rows, 0) } else { (0, rows) };
            assert_eq!((taken.entries, taken.already_there), (new, there), "{what}, round {round}");
        }
    }
}

#[test]
fn bonuses_of_a_died_import_are_finished_whatever_was_refused() {
    const COLUMNS: &str = "receiver,source,level,amount,kind,status,created_at,id,number,reverses\n";
    const ID: &str = "aaaaaaaa-0000-4000-8000-00000000000";
    for seed in 0..50_u64 {
        let mut random = Pcg64::new(seed.into(), 5);
        let mut below = |bound: usize| random.next_u32() as usize % bound;
        let mut file = COLUMNS.to_string();
        for number in 0..4 + below(12) {
            let amount = ["1.00", "2.00", "-1.00", "-2.00", "3.001"][below(5)];
            let kind = ["referral", "referral", "referral", "No Kind!"][below(4)];
            let source = ["x", "x", "nobody"][below(3)];
            let status = ["pending", "pending", "paid", "held", "void"][below(5)];
            let id = if below(4) == 0 { format!("{ID}{}", below(4)) } else { String::new() };
            let reverses = match below(6) {
                0 if amount.starts_with('-') => format!("{ID}{}", below(4)),
                1 if amount.starts_with('-') => below(number + 1).to_string(),
                _ => String::new(),
            };
            file += &format!(
                "root,{source},1,{amount},{kind},{status},2025-01-0{},{id},{number},{reverses}\n",
                1 + below(9)
            );
        }
        let members = "root,,,2025-01-01,,,\nx,root,,2025-01-01,,,\n";
        let mut whole = of(members);
        whole.record = Some(Record::default());
        let (first, refused) = bonuses(&mut whole, &file);
        let commands: Vec<Command> = whole
            .record
            .take()
            .unwrap()
            .finish()
            .unwrap()
            .into_iter()
            .flat_map(|group| group.commands.decode().unwrap())
            .map(|stamped| stamped.command)
            .collect();
        let expected = network_digest(&whole.state);
        for dead_at in 0..=commands.len() {
            let mut left = of(members);
            commands[..dead_at].iter().for_each(|command| _ = left.apply(command.clone()).unwrap());
            let (again, refused_again) = bonuses(&mut left, &file);
            assert_eq!(again.already_there, dead_at as u64, "seed {seed}\n{file}");
            assert_eq!(
                (again.entries, &refused_again),
                (first.entries - dead_at as u64, &refused),
                "seed {seed}\n{file}"
            );
            assert_eq!(network_digest(&left.state), expected, "seed {seed}\n{file}");
        }
    }
    // A different ledger is still detected.
    let mut network = of("root,,,2025-01-01,,,\nx,root,,2025-01-01,,,\n");
    let row = |amount: &str| format!("root,x,1,{amount},referral,pending,2025-01-01,,,\n");
    bonuses(&mut network, &format!("{COLUMNS}{}{}", row("1.00"), row("2.00")));
    let (taken, refused) =
        bonuses(&mut network, &format!("{COLUMNS}{}{}{}", row("-9.00"), row("3.00"), row("1.00")));
    assert_eq!(
        (taken.already_there, taken.entries, refused),
        (0, 0, vec!["2: reversal_unmatched".to_string()])
    );
}
