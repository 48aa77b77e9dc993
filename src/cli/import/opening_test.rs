use super::*;
use crate::{
    core::{
        plan::{
            calendar::{Calendar, Every, Grace, Late},
            commerce::Commerce,
        },
        state::State,
    },
    engine::MemberDirectory,
    plan_file,
};

/// 2026-11-15.
const NOW: i64 = 1_794_700_800_000_000;

const ROWS: &str = "kind,member,name,position,value\n\
    balance,bert,,,3\n\
    last_n,anna,pv,1,7.50\n\
    last_n,anna,pv,2,-1\n\
    lifetime,anna,pv,,100\n";

fn network() -> Network {
    let calendar = |name: &str| Calendar {
        name: name.into(),
        every: Every::Month,
        timezone: "UTC".into(),
        grace: Grace::default(),
        late: Late::Book,
        first: None,
        four_eyes: false,
    };
    let calendars = vec![calendar("month")];
    let commerce =
        Commerce { calendars, live_levels: 1, refund_lowers_volume: Some(false), ..Commerce::default() };
    let plan = Plan { commerce, count_sponsor_tree: true, ..plan_file::default_plan() };
    let mut network = Network::new(State::new(plan, 5), MemberDirectory::with_capacity(0, 0), Timestamp(NOW));
    let rows = b"member,sponsor,joined_at\nanna,,\nbert,anna,\n";
    assert_eq!(super::super::command::members_from(&mut network, rows, false).members, 2);
    network
}

fn take(network: &mut Network, texts: &[&str]) -> Result<Taken, Failure> {
    let place = tempfile::tempdir().unwrap();
    let layout = Layout::new(&COLUMNS);
    let mut intake = Intake { network, rows: Vec::new(), taken: Taken::default() };
    for (number, text) in texts.iter().enumerate() {
        let path = place.path().join(number.to_string());
        std::fs::write(&path, text)?;
        intake.read(number, &path, &layout, None)?;
    }
    intake.finish()
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::new(Exit::Failed, error)
    }
}

/// Number of the file, line, and name of the reason of each refused row.
fn refused(taken: &Taken) -> Vec<(usize, u64, &str)> {
    taken.refused.iter().map(|one| (one.place.0, one.place.1, one.reason.name.as_str())).collect()
}

#[test]
fn lines_and_files_do_not_matter() {
    let mut digests = Vec::new();
    let lines: Vec<&str> = ROWS.lines().collect();
    let file = |rows: &[usize]| {
        let rows = rows.iter().map(|at| lines[*at]);
        std::iter::once(lines[0]).chain(rows).collect::<Vec<_>>().join("\n")
    };
    for (one, other) in [(&[1, 2, 3, 4][..], &[][..]), (&[4, 3, 2, 1], &[]), (&[2, 1], &[4, 3])] {
        let mut network = network();
        let taken = take(&mut network, &[&file(one), &file(other)]).unwrap();
        assert_eq!((taken.rows, refused(&taken)), (4, vec![]));
        digests.push(network.state.opening_digest());
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

/// A log that ends in the middle, as only a repair leaves it, is completed by the same files.
#[test]
fn what_is_there_is_not_added_again() {
    let (mut whole, mut half) = (network(), network());
    take(&mut whole, &[ROWS]).unwrap();
    let of_anna = ROWS.replace("balance,bert,,,3\n", "");
    assert_eq!(take(&mut half, &[&of_anna]).unwrap().rows, 3);
    let rest = take(&mut half, &[ROWS]).unwrap();
    assert_eq!((rest.rows, rest.already_there, refused(&rest)), (1, 3, vec![]));
    assert_eq!(half.state.opening_digest(), whole.state.opening_digest());
    // Others that come before what is there cannot be added any more, and no row can be missing.
    let more = format!("{ROWS}bank,anna,tokens,,1\n");
    assert_eq!(refused(&take(&mut half, &[&more]).unwrap()), [(0, 6, "opening_out_of_order")]);
    let failure = take(&mut half, &[&of_anna]).err().unwrap();
    assert!(failure.message.contains("has 1 row that the files lack"), "{}", failure.message);
    let failure = take(&mut network(), &["kind,member\n"]).err().unwrap();
    assert!(failure.message.contains("no rows"), "{}", failure.message);
}

#[test]
fn a_row_that_is_there_twice_is_refused() {
    let mut network = network();
    let other = "kind,member,name,position,value\nlast_n,anna,pv,1,7.5\nlast_n,anna,pv,2,0\n";
    let taken = take(&mut network, &[ROWS, other]).unwrap();
    assert_eq!(refused(&taken), [(1, 2, "row_twice"), (1, 3, "row_twice")]);
    assert_eq!(network.state.opening_len(), 0);
}

#[test]
fn the_line_beyond_a_limit_is_named() {
    let mut network = network();
    let mut text = "kind,member,name,text\n".to_owned();
    (0..1_001).for_each(|key| text += &format!("once,anna,bonus,key-{key:04}\n"));
    let taken = take(&mut network, &[&text]).unwrap();
    assert_eq!(refused(&taken), [(0, 1_002, "opening_full")]);
}
