use rand_pcg::{Pcg64Mcg, rand_core::RngCore};

use super::{super::weekly::Weekly, *};
use crate::engine::{
    Carried, ChangeEntry, Command, Entry, EntryChange, ImportEntry, MemberDirectory, MemberId, Money, Origin,
    PlacementRequest, Plan, Reason, Register, Role, SponsorRef, Stamped, Timestamp, TriggerBonus,
};

/// A network built by commands, one microsecond apart.
struct Network {
    state: State,
    directory: MemberDirectory,
}

fn id_of(number: u32) -> MemberId {
    MemberId(u128::from(number).to_be_bytes())
}

impl Network {
    fn new(width: u16) -> Self {
        let mut plan: Plan = crate::plan_file::default_plan();
        plan.placement.width = Some(width);
        Self { state: State::new(plan, 1), directory: MemberDirectory::with_capacity(0, 0) }
    }

    fn apply(&mut self, time: i64, command: Command) {
        let stamped = Stamped {
            lsn: self.state.lsn() + 1,
            time: Timestamp(time),
            key: None,
            actor: None,
            format: 1,
            command,
        };
        self.state.apply(&mut self.directory, &stamped);
    }

    fn join(&mut self, member: u32, sponsor: Option<u32>) {
        let register = Register {
            member: id_of(member),
            sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(id_of(sponsor))),
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        };
        self.apply(i64::from(member), Command::Register(register));
    }

    fn refer(&mut self, time: i64, source: u32) {
        self.apply(
            time,
            Command::TriggerBonus(TriggerBonus {
                source: id_of(source),
                trigger: "referral".into(),
                amount: None,
                once: false,
                reference: None,
            }),
        );
    }
}

fn row_id(kind: RowKind, index: u64) -> [u8; 16] {
    (u128::from(index) << 8 | kind as u128).to_be_bytes()
}

/// Prints a list, changing the network between slices.
fn print_between(
    network: &mut Network,
    mut rows: impl Rows,
    mut between: impl FnMut(&mut Network),
) -> String {
    let mut out = String::new();
    loop {
        let before = out.len();
        let goes_on = rows.print_slice(&row_id, &network.state, &mut out);
        assert!(out.len() - before < 256 * 1024, "a slice of {} bytes", out.len() - before);
        if !goes_on {
            return out;
        }
        between(network);
    }
}

/// The nested downline, computed recursively.
fn nested(state: &State, member: MemberIx) -> String {
    let children: Vec<String> = state
        .children(Tree::Placement, member)
        .map(|child| {
            let mut out = String::new();
            print_member(&row_id, state, &state.member(child), &mut out);
            out + &nested(state, child) + "}"
        })
        .collect();
    children.join(",") + "]"
}

#[test]
fn downlines_nest_as_the_tree_does() {
    let seed = 3;
    println!("seed {seed}");
    let mut random = Pcg64Mcg::new(seed);
    for width in [1, 2, 3, 10] {
        let mut network = Network::new(width);
        network.join(0, None);
        for member in 1..600 {
            let sponsor =
                if random.next_u32().is_multiple_of(40) { None } else { Some(random.next_u32() % member) };
            network.join(member, sponsor);
        }
        for top in 0..600 {
            let expected = format!("[{}", nested(&network.state, MemberIx(top)));
            let rows = Downline::new(&network.state, MemberIx(top));
            let printed = print_between(&mut network, rows, |_| {});
            assert_eq!(printed, expected, "width {width}, top {top}");
        }
    }
}

#[test]
fn who_joins_while_a_downline_is_read_is_not_in_it() {
    let mut network = Network::new(3);
    network.join(0, None);
    for member in 1..5_000 {
        network.join(member, Some(member / 7));
    }
    let expected = format!("[{}", nested(&network.state, MemberIx(0)));
    let rows = Downline::new(&network.state, MemberIx(0));
    let mut next = 5_000;
    let printed = print_between(&mut network, rows, |network| {
        for _ in 0..300 {
            network.join(next, Some(next / 9));
            next += 1;
        }
    });
    assert!(5_000 < next, "nobody joined");
    assert_eq!(printed, expected);
}

#[test]
fn a_chain_of_a_million_is_printed_on_a_small_stack() {
    let depth = 1_000_000;
    let run = move || {
        let mut network = Network::new(1);
        network.join(0, None);
        for member in 1..=depth {
            network.join(member, Some(member - 1));
        }
        let mut rows = Downline::new(&network.state, MemberIx(0));
        let mut opened = 0;
        let mut closed = 0;
        let mut slice = String::new();
        loop {
            slice.clear();
            let goes_on = rows.print_slice(&row_id, &network.state, &mut slice);
            assert!(slice.len() < 256 * 1024);
            opened += slice.matches("\"user_id\"").count();
            closed += slice.matches("]}").count();
            if !goes_on {
                break;
            }
        }
        assert_eq!((opened, closed), (depth as usize, depth as usize));
        assert!(slice.ends_with("]}]"));
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap();
}

/// The `id`s of a printed list of bonuses, as entry indexes.
fn indexes(printed: &str) -> Vec<u64> {
    let rows: Vec<serde_json::Value> = serde_json::from_str(printed).unwrap();
    rows.iter().map(index_of).collect()
}

fn index_of(row: &serde_json::Value) -> u64 {
    let id = super::super::uuid::parse(row["id"].as_str().unwrap()).unwrap();
    u64::try_from(u128::from_be_bytes(id) >> 8).unwrap()
}

/// A chain of five and a referral of each: entries 0; 1, 2; 3, 4, 5; 6 to 9; then 10 to 13 of the last one
/// again.
fn small_network() -> Network {
    let mut network = Network::new(1);
    network.join(0, None);
    for member in 1..5 {
        network.join(member, Some(member - 1));
    }
    for (time, source) in [(100, 1), (200, 2), (300, 3), (400, 4), (500, 4)] {
        network.refer(time, source);
    }
    network
}

#[test]
fn bonuses_come_newest_command_first_then_by_level() {
    let mut network = small_network();
    let all = Entries::all(&network.state, Sight::All, None);
    assert_eq!(
        indexes(&print_between(&mut network, all, |_| {})),
        [10, 11, 12, 13, 6, 7, 8, 9, 3, 4, 5, 1, 2, 0]
    );
    network.apply(600, Command::PayEntry { entry: 7 });
    let paid = Entries::all(&network.state, Sight::All, Some(OldStatus::Paid));
    assert_eq!(indexes(&print_between(&mut network, paid, |_| {})), [7]);
    let pending = Entries::all(&network.state, Sight::All, Some(OldStatus::Pending));
    assert_eq!(
        indexes(&print_between(&mut network, pending, |_| {})),
        [10, 11, 12, 13, 6, 8, 9, 3, 4, 5, 1, 2, 0]
    );
    // To clients of the original a held entry is pending, and a void one is not there.
    for (entry, change) in [(9, EntryChange::Hold), (8, EntryChange::Void)] {
        let reason = Reason::parse("a test").unwrap();
        network.apply(600, Command::ChangeEntry(ChangeEntry { entry, change, reason }));
    }
    let pending = Entries::all(&network.state, Sight::All, Some(OldStatus::Pending));
    let printed = print_between(&mut network, pending, |_| {});
    assert_eq!(indexes(&printed), [10, 11, 12, 13, 6, 9, 3, 4, 5, 1, 2, 0]);
    assert!(!printed.contains("held"), "{printed}");
    let all = Entries::all(&network.state, Sight::All, None);
    assert_eq!(
        indexes(&print_between(&mut network, all, |_| {})),
        [10, 11, 12, 13, 6, 7, 9, 3, 4, 5, 1, 2, 0]
    );
    let root = Entries::of(&network.state, Sight::All, MemberIx(0));
    assert_eq!(indexes(&print_between(&mut network, root, |_| {})), [13, 9, 5, 2, 0]);
    let leaf = Entries::of(&network.state, Sight::All, MemberIx(4));
    assert_eq!(print_between(&mut network, leaf, |_| {}), "[]");
}

/// A signup may pay one receiver twice: as sponsor and as an upline of the placement tree.
#[test]
fn what_one_command_pays_one_receiver_is_listed_by_level() {
    let mut network = Network::new(3);
    let mut plan = (**network.state.plan()).clone();
    plan.bonuses[0].on_registration = true;
    plan.bonuses[1].on_registration = true;
    (plan.bonuses[0].tree, plan.bonuses[1].tree) = (Tree::Placement, Tree::Sponsor);
    network.apply(0, Command::PutPlan(Box::new(plan)));
    network.join(0, None);
    // The fourth recruit spills over: level 1 of the sponsor tree, level 2 of the placement tree.
    (1..=4).for_each(|member| network.join(member, Some(0)));
    let newest = network.state.entry(network.state.received_entries(MemberIx(0)).next().unwrap()).lsn;
    let listed = Entries::of(&network.state, Sight::All, MemberIx(0));
    let indexes = indexes(&print_between(&mut network, listed, |_| {}));
    let entries: Vec<Entry> = indexes.iter().map(|index| network.state.entry(*index)).collect();
    let first: Vec<u32> =
        entries.iter().filter(|entry| entry.lsn == newest).map(|entry| entry.level).collect();
    assert_eq!(first, [1, 2]);
    assert!(entries.is_sorted_by_key(|entry| (std::cmp::Reverse(entry.lsn), entry.level)));
    assert_eq!(entries.len(), 8);
}

/// After a deep leg the walk has far to climb to the next leg: it pauses on the way.
#[test]
fn a_slice_is_short_also_where_a_deep_leg_ends() {
    let mut network = Network::new(2);
    network.join(0, None);
    let mut place = |member: u32, parent: u32, slot: u32| {
        let register = Register {
            member: id_of(member),
            sponsor: SponsorRef::Member(id_of(0)),
            placement: PlacementRequest::Slot { parent: id_of(parent), slot },
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Import(Carried::default()),
        };
        network.apply(i64::from(member), Command::Register(register));
    };
    let depth = 50_000;
    (1..=depth).for_each(|member| place(member, member - 1, 0));
    place(depth + 1, 0, 1);
    let mut rows = Downline::new(&network.state, MemberIx(0));
    let (mut out, mut silent) = (String::new(), 0);
    loop {
        let before = out.len();
        let goes_on = rows.print_slice(&row_id, &network.state, &mut out);
        silent += usize::from(out.len() == before);
        if !goes_on {
            break;
        }
    }
    // The slices with the first and the last step of the climb print something.
    assert!(depth as usize / SLICE_STEPS - 2 < silent, "{silent} rests on a climb of {depth}");
    assert_eq!(out.matches("\"user_id\"").count(), depth as usize + 1);
    assert!(out.ends_with("\"children\":[]}]"));
}

#[test]
fn entries_made_while_a_list_is_read_are_not_in_it() {
    let mut network = small_network();
    for time in 0..1_000 {
        network.refer(1_000 + time, 4);
    }
    let before = network.state.entries();
    let rows = Entries::all(&network.state, Sight::All, None);
    let printed = print_between(&mut network, rows, |network| network.refer(5_000, 4));
    assert_eq!(indexes(&printed).len() as u64, before);
    assert!(before < network.state.entries());
}

/// The report as a value, and its entries as indexes.
fn report(network: &mut Network, receiver: u32, now: i64) -> (serde_json::Value, Vec<u64>) {
    let rows =
        Weekly::new(&network.state, Sight::All, id_of(receiver).0, Some(MemberIx(receiver)), Timestamp(now));
    let printed = print_between(network, rows, |_| {});
    let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let indexes = report["bonuses"].as_array().unwrap().iter().map(index_of).collect();
    (report, indexes)
}

const WEEK: i64 = super::super::weekly::WINDOW_MICROSECONDS;

#[test]
fn the_week_is_counted_back_from_now() {
    let mut network = small_network();
    let (whole, indexes) = report(&mut network, 0, 500);
    assert_eq!(indexes, [0, 2, 5, 9, 13], "oldest first");
    assert_eq!(
        (whole["total_bonus"].as_f64(), whole["count"].as_u64()),
        (Some(10.0 + 5.0 + 2.0 + 1.0 + 1.0), Some(5))
    );
    // An entry exactly a week old is included.
    assert_eq!(report(&mut network, 0, 300 + WEEK).1, [5, 9, 13]);
    assert_eq!(report(&mut network, 0, 301 + WEEK).1, [9, 13]);
    let rows = Weekly::new(&network.state, Sight::All, id_of(0).0, Some(MemberIx(0)), Timestamp(501 + WEEK));
    let nothing =
        "{\"user_id\":\"00000000-0000-0000-0000-000000000000\",\"total_bonus\":0,\"count\":0,\"bonuses\":[]}";
    assert_eq!(print_between(&mut network, rows, |_| {}), nothing);
}

#[test]
fn entries_imported_out_of_order_are_all_found() {
    let mut network = small_network();
    let import = |time| {
        Command::ImportEntry(ImportEntry {
            receiver: id_of(0),
            source: id_of(1),
            kind: "referral".into(),
            level: 1,
            amount: Money(7),
            status: EntryStatus::Paid,
            time: Timestamp(time),
            row_id: None,
            reference: None,
            reverses: None,
        })
    };
    network.apply(600, import(-WEEK));
    network.apply(700, import(650));
    network.apply(800, import(-2 * WEEK));
    assert_eq!(report(&mut network, 0, 500).1, [0, 2, 5, 9, 13, 15]);
    assert_eq!(report(&mut network, 0, 0).1, [14, 0, 2, 5, 9, 13, 15], "oldest first, by time");
}

#[test]
fn long_reports_stay_in_order_while_others_are_paid() {
    let mut network = small_network();
    let already = 5;
    // More than the marks hold at first, so that pieces grow.
    let more = 4_096 * 256 + 12_345;
    for time in 0..more {
        network.refer(1_000 + time, 1);
    }
    let rows =
        Weekly::new(&network.state, Sight::All, id_of(0).0, Some(MemberIx(0)), Timestamp(1_000 + more));
    let mut slices = 0;
    let printed = print_between(&mut network, rows, |network| {
        slices += 1;
        if u32::is_multiple_of(slices, 1_000) {
            network.refer(9_000_000, 1);
        }
    });
    let begin = printed.find("\"bonuses\":[").unwrap();
    assert!(printed.starts_with("{\"user_id\":\"00000000-0000-0000-0000-000000000000\",\"total_bonus\":"));
    assert!(printed[..begin].ends_with(&format!("\"count\":{},", more + already)), "{}", &printed[..begin]);
    let times: Vec<&str> = printed[begin..]
        .split("\"created_at\":\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(i64::try_from(times.len()), Ok(more + already));
    assert!(times.is_sorted());
}
