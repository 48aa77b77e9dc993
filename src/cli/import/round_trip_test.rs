//! Export, then import, reproduces any network.

use rand_pcg::{Pcg64, rand_core::RngCore};

use super::{super::columns::BONUS_COLUMNS, *};
use crate::{
    cli::export,
    core::{
        MemberAttributes, MemberTag, RowKind,
        command::{
            AttributeChange, Carried, ChangeEntry, EntryChange, ImportEntry, Origin, Outcome,
            PlacementRequest, Register, Rejection, SetAttributes, SponsorRef, TriggerBonus,
        },
        plan::{Placement, PlacementRule, Plan, RankBasis, RankRule, RankStep, commerce::Commerce},
        types::{
            Code, EntryStatus, KINDS_MAX, MemberId, MemberIx, Money, Reason, Reference, Role, Status,
            Timestamp, Tree,
        },
    },
    engine::MemberDirectory,
    plan_file, shapes,
};

const PLANS: [&str; 3] = [
    plan_file::DEFAULT_PLAN,
    include_str!("../../../plans/levels.toml"),
    include_str!("../../../plans/binary.toml"),
];

struct Random(Pcg64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0.next_u32() % bound
    }

    fn member(&mut self, network: &Network) -> MemberId {
        network.state.member(MemberIx(self.below(network.state.len()))).id
    }
}

fn bonuses_from(path: &Path, network: &mut Network) -> Result<TakenBonuses, Failure> {
    take_bonuses(path, &Layout::new(&BONUS_COLUMNS), &Reading::default(), network)
}

fn empty(plan: &str, now: i64) -> Network {
    let state = State::new(plan_file::parse(plan).expect("shipped plans are valid"), 1);
    Network::new(state, MemberDirectory::with_capacity(0, 0), Timestamp(now))
}

/// Applies one random command; a rejected one is fine too.
fn step(random: &mut Random, network: &mut Network, number: u32) {
    let new = shapes::member_id(0, number);
    let command = match random.below(17) {
        16 => Command::PayAll,
        13..=15 => Command::ChangeEntry(ChangeEntry {
            entry: u64::from(random.below(60)),
            change: EntryChange::ALL[random.below(3) as usize],
            reason: Reason::parse("a test").expect("a reason"),
        }),
        12 => Command::ReverseEntry { entry: u64::from(random.below(60)) },
        0 => Command::SetStatus {
            member: random.member(network),
            status: Status::ALL[random.below(3) as usize],
        },
        1 => Command::PayEntry { entry: u64::from(random.below(100)) },
        2 | 3 => {
            let trigger = ["referral", "purchase"][random.below(2) as usize].into();
            let amount = Some(Money(i64::from(random.below(100_000))));
            Command::TriggerBonus(TriggerBonus {
                source: random.member(network),
                trigger,
                amount,
                once: random.below(3) == 0,
                reference: Reference::parse(["order 7", "=1", "-"][random.below(3) as usize])
                    .filter(|_| random.below(2) == 0),
            })
        }
        kind => {
            let allowed = &network.state.plan().placement;
            let rules: Vec<_> = allowed.other_rules.iter().copied().chain([allowed.default_rule]).collect();
            let placement = match random.below(4) {
                0 => {
                    PlacementRequest::Rule(rules[random.below(u32::try_from(rules.len()).unwrap()) as usize])
                }
                1 => PlacementRequest::Slot { parent: random.member(network), slot: random.below(3) },
                _ => PlacementRequest::PlanDefault,
            };
            let code = ["-lead", "_x", "Q", "=", "e5"][random.below(5) as usize];
            Command::Register(Register {
                member: new,
                sponsor: if kind == 4 {
                    SponsorRef::None
                } else {
                    SponsorRef::Member(random.member(network))
                },
                placement: if kind == 4 { PlacementRequest::PlanDefault } else { placement },
                code: Code::parse(&format!("{code}{number}")).filter(|_| random.below(2) == 0),
                role: if random.below(20) == 0 { Role::Admin } else { Role::Member },
                joined_at: (random.below(2) == 0)
                    .then(|| Timestamp(i64::from(random.0.next_u32()) * 1_000_003)),
                origin: Origin::Signup,
            })
        }
    };
    _ = network.apply(command);
}

/// The triggers that were paid once, by member and name.
fn paid_once(state: &State) -> Vec<(MemberId, String)> {
    let mut all: Vec<_> =
        state.all_paid_once().map(|(member, name)| (state.id(member), name.to_owned())).collect();
    all.sort_unstable();
    all
}

#[test]
fn every_network_survives() {
    for seed in 0..150 {
        let plan = PLANS[seed as usize % PLANS.len()];
        let mut random = Random(Pcg64::new(seed, 0));
        let mut network = empty(plan, 1_000_000);
        let root = Register {
            member: shapes::member_id(0, u32::MAX),
            sponsor: SponsorRef::None,
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        };
        network.apply(Command::Register(root)).unwrap();
        (0..120).for_each(|number| step(&mut random, &mut network, number));
        let (members, bonuses) = export::files_of(&network.state);

        let mut copy = empty(plan, 2_000_000);
        let taken = members_from(&mut copy, &members, false);
        assert_eq!(taken.refused, [], "seed {seed}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bonuses).unwrap();
        let taken = bonuses_from(file.path(), &mut copy).ok().unwrap();
        assert_eq!(taken.refused, [], "seed {seed}");
        assert_eq!(copy.state.entries(), network.state.entries(), "seed {seed}");
        assert_eq!(network_digest(&copy.state), network_digest(&network.state), "seed {seed}");
        assert_eq!(crate::core::audit(&copy.state, 10), Vec::<String>::new(), "seed {seed}");
        assert_eq!(paid_once(&copy.state), paid_once(&network.state), "seed {seed}");
        assert_eq!(
            export::files_of(&copy.state),
            (members, bonuses),
            "seed {seed}: the files are the same, to the byte"
        );
    }
}

/// Binary and round robin, with ranks by the downline at these minima.
fn round_robin(minima: [u32; 2]) -> Plan {
    let step = |minimum: u32| RankStep { name: format!("at {minimum}").into(), minimum, reward: None };
    Plan {
        placement: Placement {
            width: Some(2),
            default_rule: PlacementRule::RoundRobin,
            other_rules: Vec::new(),
            strategic: false,
        },
        commerce: Commerce::default(),
        ranks: RankRule::Thresholds {
            tree: Tree::Placement,
            basis: RankBasis::Downline,
            steps: minima.map(step).into(),
        },
        ..plan_file::parse(plan_file::DEFAULT_PLAN).expect("the default plan is valid")
    }
}

fn network_of(plan: Plan) -> Network {
    Network::new(State::new(plan, 1), MemberDirectory::with_capacity(0, 0), Timestamp(1_000_000))
}

fn join(network: &mut Network, number: u32, origin: Origin) {
    let sponsor = if number == 0 { SponsorRef::None } else { SponsorRef::Member(shapes::member_id(0, 0)) };
    let register = Register {
        member: shapes::member_id(0, number),
        sponsor,
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin,
    };
    network.apply(Command::Register(register)).unwrap();
}

fn imported(plan: Plan, (members, bonuses): &(Vec<u8>, Vec<u8>)) -> Network {
    let mut copy = network_of(plan);
    assert_eq!(members_from(&mut copy, members, false).refused, []);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bonuses).unwrap();
    assert_eq!(bonuses_from(file.path(), &mut copy).ok().unwrap().refused, []);
    copy
}

fn header_of(file: &[u8]) -> &str {
    std::str::from_utf8(file).unwrap().lines().next().unwrap()
}

#[test]
fn lifetime_ranks_and_turns_survive() {
    let mut network = network_of(round_robin([2, 4]));
    (0..12).for_each(|number| join(&mut network, number, Origin::Signup));
    let header = export::files_of(&network.state).0;
    assert!(
        header_of(&header).ends_with(",role,turn"),
        "in the middle of a turn, and nobody was ever better: {}",
        header_of(&header)
    );
    // Now the second rank needs more than any member has, and the first more than most.
    network.apply(Command::PutPlan(Box::new(round_robin([10, 100])))).unwrap();
    let files = export::files_of(&network.state);
    assert!(header_of(&files.0).ends_with(",role,lifetime_rank,turn"), "{}", header_of(&files.0));
    let mut copy = imported(round_robin([10, 100]), &files);
    assert_eq!(network_digest(&copy.state), network_digest(&network.state));
    assert_eq!(export::files_of(&copy.state), files);
    assert_eq!(crate::core::audit(&copy.state, 10), Vec::<String>::new());
    for number in 12..40 {
        for network in [&mut network, &mut copy] {
            join(network, number, Origin::Signup);
        }
        let (placed, expected) =
            (copy.state.member(MemberIx(number)), network.state.member(MemberIx(number)));
        assert_eq!((placed.parent, placed.slot), (expected.parent, expected.slot), "{number}");
    }
    for member in (0..40).map(MemberIx) {
        assert_eq!(copy.state.rank(member).lifetime, network.state.rank(member).lifetime);
        assert_eq!(copy.state.turn(member), network.state.turn(member));
    }
}

#[test]
fn row_ids_from_elsewhere_survive() {
    let mut network = network_of(round_robin([2, 4]));
    let origin = |id: u8| Origin::Import(Carried { row_id: Some([id; 16]), ..Carried::default() });
    (0..3).for_each(|number| join(&mut network, number, Origin::Import(Carried::default())));
    let entry = |row_id| ImportEntry {
        receiver: shapes::member_id(0, 0),
        source: shapes::member_id(0, 1),
        kind: "registration".into(),
        level: 1,
        amount: Money(100),
        status: EntryStatus::Paid,
        time: Timestamp(5),
        row_id,
        reference: None,
        reverses: None,
    };
    network.apply(Command::ImportEntry(entry(None))).unwrap();
    let (members, bonuses) = export::files_of(&network.state);
    assert!(
        !header_of(&members).contains(",id") && !header_of(&bonuses).contains(",id"),
        "none was imported"
    );
    join(&mut network, 3, origin(1));
    join(&mut network, 4, origin(2));
    network.apply(Command::ImportEntry(entry(Some([3; 16])))).unwrap();
    let files = export::files_of(&network.state);
    let copy = imported(round_robin([2, 4]), &files);
    assert_eq!(export::files_of(&copy.state), files);
    assert_eq!(network_digest(&copy.state), network_digest(&network.state));
    assert_eq!(copy.state.row_that_carried(&[2; 16]), Some((RowKind::Member, 4)));
    assert_eq!(copy.state.row_that_carried(&[3; 16]), Some((RowKind::Entry, 1)));
    assert_eq!((copy.state.carried_row_id(RowKind::Entry, 0), copy.state.carried_row_ids()), (None, 3));
}

#[test]
fn row_ids_that_are_taken_are_refused_with_their_line() {
    let mut network = network_of(round_robin([2, 4]));
    let ours = crate::engine::RowIds::new(7);
    network.row_ids = Some(ours);
    let id = |bytes: [u8; 16]| uuid::Uuid::from_bytes(bytes).to_string();
    let computed = id(ours.encode(RowKind::Entry, 1_000));
    let rows = [
        ("a", id([1; 16])),
        ("b", id([1; 16])),
        ("c", computed),
        ("d", "no-uuid".into()),
        ("e", String::new()),
        ("f", id([2; 16])),
    ];
    let mut file = "member,sponsor,joined_at,id,lifetime_rank,turn\n".to_string();
    rows.iter().for_each(|(member, id)| file += &format!("{member},,,{id},,\n"));
    file += "g,,,,3,\nh,,,,,2\ni,,,,2,1\n";
    let taken = members_from(&mut network, file.as_bytes(), false);
    let refused: Vec<_> = taken.refused.iter().map(|refused| (refused.line, refused.reason.name())).collect();
    let expected =
        [(3, "row_id_taken"), (4, "row_id_taken"), (5, "bad_id"), (8, "rank_unknown"), (9, "turn_unknown")];
    assert_eq!((refused, network.state.len(), network.state.carried_row_ids()), (expected.to_vec(), 4, 2));
    assert_eq!((network.state.rank(MemberIx(3)).lifetime, network.state.turn(MemberIx(3))), (2, 1));
}

/// A negative amount is a reversal: it names what it reverses, or there is only one candidate.
#[test]
fn negative_rows_are_reversals_or_refused() {
    let mut network = network_of(round_robin([2, 4]));
    (0..3).for_each(|number| join(&mut network, number, Origin::Import(Carried::default())));
    let [a, b] = [0, 1].map(|number| shapes::member_id(0, number).to_string());
    let rows = [
        format!("{a},{b},1,10.00,referral,paid,2025-01-01,7,"),
        format!("{a},{b},1,-10.00,referral,pending,2025-01-02,,7"),
        format!("{a},{b},1,-10.00,referral,pending,2025-01-02,,7"),
        format!("{a},{b},1,-10.00,referral,pending,2025-01-02,,"),
        format!("{a},{b},2,5.00,referral,paid,2025-01-01,,"),
        format!("{a},{b},2,-5.00,referral,paid,2025-01-03,,"),
        format!("{b},{b},1,3.00,referral,paid,2025-01-01,,"),
        format!("{b},{b},1,3.00,referral,paid,2025-01-01,8,"),
        format!("{b},{b},1,-3.00,referral,paid,2025-01-03,,"),
        format!("{b},{b},1,-3.00,referral,paid,2025-01-03,,9"),
        format!("{b},{b},1,-3.00,referral,paid,2025-01-03,,8"),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    let header = "receiver,source,level,amount,kind,status,created_at,number,reverses\n";
    std::fs::write(file.path(), header.to_owned() + &rows.join("\n")).unwrap();
    let (layout, reading) = (Layout::new(&BONUS_COLUMNS), Reading::default());
    let taken = take_bonuses(file.path(), &layout, &reading, &mut network).ok().unwrap();
    let refused: Vec<_> = taken.refused.iter().map(|refused| (refused.line, refused.reason.name())).collect();
    let expected =
        [(4, "reversed_before"), (5, "reversal_unmatched"), (10, "reversal_unmatched"), (11, "bad_reverses")];
    assert_eq!(refused, expected, "{:?}", taken.refused);
    let reversals: Vec<_> = (0..network.state.entries()).map(|entry| network.state.reverses(entry)).collect();
    assert_eq!(reversals, [None, Some(0), None, Some(2), None, None, Some(5)]);
}

/// What was paid once is not paid again after a move, whether or not it paid anybody, and whatever numbers
/// the names have in either network.
#[test]
fn what_was_paid_once_is_carried_over() {
    let mut network = network_of(round_robin([2, 4]));
    (0..3).for_each(|number| join(&mut network, number, Origin::Import(Carried::default())));
    let once = |network: &mut Network, number: u32| {
        network.apply(Command::TriggerBonus(TriggerBonus {
            source: shapes::member_id(0, number),
            trigger: "referral".into(),
            amount: None,
            once: true,
            reference: None,
        }))
    };
    assert!(!header_of(&export::files_of(&network.state).0).contains("paid_once"));
    // The root has no upline: this pays nobody.
    assert_eq!(once(&mut network, 0), Ok(Outcome::BonusPaid { first_entry: 0, entries: 0, withheld: 0 }));
    assert!(matches!(once(&mut network, 1), Ok(Outcome::BonusPaid { entries: 1, .. })));
    for name in (0..20).map(|number| format!("old-{number}")).chain(["-x".into()]) {
        let source = shapes::member_id(0, 1);
        network.apply(Command::KeepOnce { source, trigger: name.into() }).unwrap();
    }
    let files = export::files_of(&network.state);
    assert!(header_of(&files.0).ends_with(",role,paid_once"), "{}", header_of(&files.0));
    let mut copy = imported(round_robin([2, 4]), &files);
    assert_eq!(export::files_of(&copy.state), files, "to the byte");
    assert_eq!(paid_once(&copy.state), paid_once(&network.state));
    for number in [0, 1] {
        assert_eq!(once(&mut copy, number), Err(Rejection::TriggeredBefore), "{number}");
    }
    assert!(matches!(once(&mut copy, 2), Ok(Outcome::BonusPaid { entries: 1, .. })));
    // Once more changes nothing, with and without `update`; a network without the marks gets them.
    for update in [false, true] {
        let lsn = copy.state.lsn();
        let reading = Reading { update, is_binary: true, ..Reading::default() };
        let taken = read_members(&mut copy, &files.0, &reading);
        assert_eq!((taken.refused, taken.already_there, taken.kept_once), (vec![], 3, 0));
        assert_eq!(copy.state.lsn(), lsn);
    }
    let mut bare = network_of(round_robin([2, 4]));
    (0..3).for_each(|number| join(&mut bare, number, Origin::Import(Carried::default())));
    let taken = members_from(&mut bare, &files.0, false);
    assert_eq!((taken.refused, taken.members, taken.already_there, taken.kept_once), (vec![], 0, 3, 23));
    assert_eq!(paid_once(&bare.state), paid_once(&network.state));
}

#[test]
fn names_that_were_paid_once_are_refused_with_their_line() {
    let mut network = network_of(round_robin([2, 4]));
    let room = KINDS_MAX - network.state.image_header().kinds.len();
    let names = |count: usize| (0..count).map(|number| format!("n{number}")).collect::<Vec<_>>().join(" ");
    let file = format!(
        "member,sponsor,joined_at,paid_once\n\
         a,,,Referral\nb,,,registration\nc,,,x rank:1\nd,,, referral  referral \n\
         e,,,{}\nf,,,{}\ng,,,one-more\nh,,,n7 referral\n",
        names(room + 1),
        names(room),
    );
    let taken = members_from(&mut network, file.as_bytes(), false);
    let refused: Vec<_> = taken.refused.iter().map(|refused| (refused.line, refused.reason.name())).collect();
    let expected = [
        (2, "bad_paid_once"),
        (3, "bad_paid_once"),
        (4, "bad_paid_once"),
        (6, "plan_kinds_full"),
        (8, "plan_kinds_full"),
    ];
    assert_eq!((refused, taken.members), (expected.to_vec(), 3), "nothing of a refused row is imported");
    assert_eq!(taken.kept_once, 1 + room as u64 + 2);
    // The longest row that an export can have.
    let files = export::files_of(&network.state);
    assert_eq!(members_from(&mut network_of(round_robin([2, 4])), &files.0, false).refused, []);
}

/// Halves of a reversal in every pair of states that the rules allow.
#[test]
fn reversals_in_every_state_survive() {
    for number in 0..64_u32 {
        let mut network = network_of(round_robin([2, 4]));
        (0..2).for_each(|number| join(&mut network, number, Origin::Import(Carried::default())));
        let source = shapes::member_id(0, 1);
        let trigger =
            TriggerBonus { source, trigger: "referral".into(), amount: None, once: false, reference: None };
        network.apply(Command::TriggerBonus(trigger)).unwrap();
        let act = |entry: u64, act: u32| {
            let change = |change| {
                let reason = Reason::parse("a test").expect("a reason");
                Command::ChangeEntry(ChangeEntry { entry, change, reason })
            };
            match act {
                0 => change(EntryChange::Hold),
                1 => change(EntryChange::Void),
                2 => Command::PayEntry { entry },
                _ => change(EntryChange::Release),
            }
        };
        // Before the reversal, then of either half.
        _ = network.apply(act(0, number % 4));
        if network.apply(Command::ReverseEntry { entry: 0 }).is_err() {
            continue;
        }
        _ = network.apply(act(1, number / 4 % 4));
        _ = network.apply(act(0, number / 16));
        let files = export::files_of(&network.state);
        let copy = imported(round_robin([2, 4]), &files);
        assert_eq!(export::files_of(&copy.state), files, "{number}");
        assert_eq!(crate::core::audit(&copy.state, 10), Vec::<String>::new(), "{number}");
    }
}

#[test]
fn two_rows_of_one_number_are_refused() {
    let mut network = network_of(round_robin([2, 4]));
    (0..2).for_each(|number| join(&mut network, number, Origin::Import(Carried::default())));
    let [a, b] = [0, 1].map(|number| shapes::member_id(0, number).to_string());
    let rows = [
        format!("{a},{b},1,10.00,referral,paid,2025-01-01,7,"),
        format!("{a},{b},1,4.00,referral,paid,2025-01-01,7,"),
        format!("{a},{b},1,3.00,unknown,x,2025-01-01,8,"),
        format!("{a},{b},1,3.00,referral,paid,2025-01-01,8,"),
        format!("{a},{b},1,-10.00,referral,paid,2025-01-02,,7"),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    let header = "receiver,source,level,amount,kind,status,created_at,number,reverses\n";
    std::fs::write(file.path(), header.to_owned() + &rows.join("\n")).unwrap();
    let taken = bonuses_from(file.path(), &mut network).ok().unwrap();
    let refused: Vec<_> = taken.refused.iter().map(|refused| (refused.line, refused.reason.name())).collect();
    assert_eq!((refused, taken.entries), (vec![(3, "duplicate_number"), (4, "bad_status")], 3));
    assert!(taken.refused[0].to_string().contains("that of line 2 too"), "{}", taken.refused[0]);
    assert_eq!(network.state.reverses(2), Some(0));
    // The same again changes nothing, and says the same.
    let again = bonuses_from(file.path(), &mut network).ok().unwrap();
    assert_eq!((again.refused, again.already_there, again.entries), (taken.refused, 3, 0));
}

/// The attributes of a member, with the owner by id.
fn attributes_of(state: &State, number: u32) -> (Option<u16>, MemberId, Vec<MemberTag>) {
    let id = shapes::member_id(0, number);
    let member = (0..state.len()).map(MemberIx).find(|member| state.id(*member) == id).unwrap();
    let MemberAttributes { market, owner, tags } = state.attributes(member, None);
    (market, state.id(owner), tags)
}

#[test]
fn attributes_are_carried_over() {
    let commerce = Commerce {
        markets: vec!["us".into(), "ca".into()],
        has_owners: true,
        member_tags: vec!["founder".into(), "-fee".into()],
        ..Commerce::default()
    };
    let plan = || Plan { commerce: commerce.clone(), ..round_robin([2, 4]) };
    let mut network = network_of(plan());
    (0..4).for_each(|number| join(&mut network, number, Origin::Import(Carried::default())));
    assert!(!header_of(&export::files_of(&network.state).0).contains("market"));
    let set = |network: &mut Network, number: u32, changes: Vec<AttributeChange>| {
        let member = shapes::member_id(0, number);
        let set = SetAttributes { member, changes, effective: None };
        network.apply(Command::SetAttributes(Box::new(set))).unwrap();
    };
    let tag = |tag: u16, from: Option<i64>, until: Option<i64>| AttributeChange::Tag {
        tag,
        from: from.map(Timestamp),
        until: until.map(Timestamp),
        set: true,
    };
    // The owner of the root joined after it.
    set(&mut network, 0, vec![AttributeChange::Owner(Some(shapes::member_id(0, 3))), tag(0, None, None)]);
    set(&mut network, 1, vec![AttributeChange::Market(Some(1)), tag(1, Some(1), Some(7_000_001))]);
    set(&mut network, 2, vec![tag(0, None, Some(9)), tag(1, Some(5), None)]);
    let files = export::files_of(&network.state);
    assert!(header_of(&files.0).ends_with(",market,owner,tags"), "{}", header_of(&files.0));
    let mut copy = imported(plan(), &files);
    assert_eq!(export::files_of(&copy.state), files, "to the byte");
    assert_eq!(network_digest(&copy.state), network_digest(&network.state));
    for number in 0..4 {
        assert_eq!(attributes_of(&copy.state, number), attributes_of(&network.state, number), "{number}");
    }
    // Once more changes nothing; a network without them gets them.
    for update in [false, true] {
        let lsn = copy.state.lsn();
        let reading = Reading { update, is_binary: true, ..Reading::default() };
        let taken = read_members(&mut copy, &files.0, &reading);
        assert_eq!((taken.refused, taken.differing, copy.state.lsn()), (vec![], vec![], lsn));
    }
    let mut bare = network_of(plan());
    (0..4).for_each(|number| join(&mut bare, number, Origin::Import(Carried::default())));
    assert_eq!(members_from(&mut bare, &files.0, false).refused, []);
    assert_eq!(attributes_of(&bare.state, 0), attributes_of(&network.state, 0));
    // Other values are replaced with `update` alone.
    set(&mut copy, 1, vec![AttributeChange::Market(Some(0)), tag(1, None, None)]);
    set(&mut copy, 0, vec![AttributeChange::Owner(Some(shapes::member_id(0, 2)))]);
    let taken = members_from(&mut copy, &files.0, false);
    assert_eq!((taken.refused, taken.differing.len()), (vec![], 2));
    assert_eq!(attributes_of(&copy.state, 1).0, Some(0));
    let reading = Reading { update: true, is_binary: true, ..Reading::default() };
    assert_eq!(read_members(&mut copy, &files.0, &reading).refused, []);
    for number in 0..4 {
        assert_eq!(attributes_of(&copy.state, number), attributes_of(&network.state, number), "{number}");
    }
}

#[test]
fn attributes_that_are_none_are_refused_with_their_line() {
    let commerce = Commerce {
        markets: vec!["us".into()],
        has_owners: true,
        member_tags: vec!["founder".into()],
        ..Commerce::default()
    };
    let mut network = network_of(Plan { commerce, ..round_robin([2, 4]) });
    let file = "member,sponsor,joined_at,market,owner,tags\n\
        a,,2020-01-01,us,a,founder@/2026-12-31\n\
        b,a,2020-01-01,mars,,\n\
        c,a,2020-01-01,,nobody,\n\
        d,a,2020-01-01,,,stranger\n\
        e,a,2020-01-01,,,founder@2026\n\
        f,a,2020-01-01,,,founder;founder\n\
        g,a,2020-01-01,,,founder@2026-01-01/2026-01-01\n\
        h,a,2020-01-01,,,founder@soon/\n\
        i,a,2020-01-01,,a,founder\n";
    let taken = members_from(&mut network, file.as_bytes(), false);
    let refused: Vec<(u64, &str)> =
        taken.refused.iter().map(|refused| (refused.line, refused.reason.name())).collect();
    let expected = [
        (3, "market_unknown"),
        (4, "unknown_member"),
        (5, "attribute_unknown"),
        (6, "bad_tags"),
        (7, "bad_tags"),
        (8, "attribute_malformed"),
        (9, "bad_time"),
    ];
    assert_eq!((refused, taken.members), (expected.to_vec(), 2));
}
