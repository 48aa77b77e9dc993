//! The on-disk format: every version's golden directory still opens and yields the recorded contents, and
//! this release still writes exactly the bytes of the newest one.
//!
//! `UPLINE_REGENERATE_GOLDEN=1 cargo test --test disk format::` regenerates the newest version's directory,
//! and the one of a version above it. That is right only together with a new format version, or before the
//! version was ever released: the existing directory is what users have.

mod durable;
mod later;
mod newer;
mod orders;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use upline::{
    core::{
        Actor, ActorKind, BreakageReason, Digest, Restore, RowKind,
        command::{
            Carried, ChangeEntry, Command, CommandKind, EntryChange, ImportEntry, Origin, PayFilter,
            PlacementRequest, Register, RequestKey, SponsorRef, Stamped, TriggerBonus,
        },
        network_digest,
        plan::{
            BonusRule, Currency, LevelPay, Placement, PlacementRule, Plan, RankBasis, RankRule, RankStep,
            calendar::{Calendar, Date, Every, Grace, Late, Weekday},
            commerce::{Commerce, Rounding, Volume, VolumeForm, VolumeOf},
        },
        sections::{ImageRows, Section},
        state::State,
        state_digest, state_digest_of_format_1,
        types::{
            BasisPoints, Code, EntryStatus, MemberId, MemberIx, Money, Reason, Reference, Role, Status,
            Timestamp, Tree,
        },
    },
    durability::{
        DataDir, Error, FORMAT_VERSION, Genesis, InstanceId, Journal, LogOptions, Opened, PendingCut,
        Retention, SnapshotStore,
        inspect::{self, LogItem, SegmentHeaderSeen},
        storage::Disk,
    },
    engine::MemberDirectory,
};

const CODE_KEY: u64 = 0x0102_0304_0506_0708;
const ROW_KEY: u64 = 0x1112_1314_1516_1718;
const NETWORK_ID: u32 = 42;
const CREATED: i64 = 1_767_225_600_000_000;
const COMMANDS: u64 = 360;

fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("snapshots/golden/v{version}"))
}

fn plan() -> Plan {
    let step = |name: &str, minimum, reward| RankStep { name: name.into(), minimum, reward };
    Plan {
        name: "golden".into(),
        currency: Currency { code: *b"EUR", exponent: 2 },
        placement: Placement {
            width: Some(3),
            default_rule: PlacementRule::BreadthFirst,
            other_rules: vec![PlacementRule::Balanced, PlacementRule::RoundRobin, PlacementRule::PowerLeg],
            strategic: true,
        },
        count_sponsor_tree: true,
        level_cap: 10,
        bonuses: vec![
            BonusRule {
                trigger: "referral".into(),
                tree: Tree::Placement,
                pay: LevelPay::Fixed(vec![Money(1_000), Money(500), Money(200), Money(100)]),
                on_registration: true,
                admins_beyond: true,
            },
            BonusRule {
                trigger: "purchase".into(),
                tree: Tree::Sponsor,
                pay: LevelPay::Share(vec![BasisPoints(1_000), BasisPoints(333)]),
                on_registration: false,
                admins_beyond: false,
            },
        ],
        commerce: Commerce::default(),
        ranks: RankRule::Thresholds {
            tree: Tree::Placement,
            basis: RankBasis::Downline,
            steps: vec![
                step("Bronze", 3, None),
                step("Silver", 10, Some(Money(5_000))),
                step("Gold", 25, None),
            ],
        },
    }
}

/// A plan with the other kind of ranks, which is refused once there are members, but is in the log.
fn refused_plan() -> Plan {
    let steps = (1..=5)
        .map(|level| RankStep { name: format!("Level {level}").into(), minimum: level, reward: None })
        .collect();
    Plan { ranks: RankRule::LevelFill { tree: Tree::Sponsor, steps }, ..plan() }
}

/// The new plan: one rank more, and all of them by personal recruits.
/// From version 4 on also a trigger of a name that has no flag, and from version 6 on orders.
fn second_plan(version: u32) -> Plan {
    let mut bonuses = plan().bonuses;
    if 4 <= version {
        bonuses.push(BonusRule { trigger: LATE_TRIGGER.into(), ..bonuses[0].clone() });
    }
    let mut steps = plan().ranks.steps().to_vec();
    steps.push(RankStep { name: "Diamond".into(), minimum: 50, reward: Some(Money(100_000)) });
    let ranks = RankRule::Thresholds { tree: Tree::Sponsor, basis: RankBasis::Direct, steps };
    let commerce = if 6 <= version { commerce() } else { Commerce::default() };
    Plan { ranks, bonuses, commerce, ..plan() }
}

/// What the second plan says about orders: each length of periods, each form of a volume, and all lists.
fn commerce() -> Commerce {
    let date = Date { year: 2026, month: 2, day: 28 };
    let calendar = |name: &str, every| Calendar {
        name: name.into(),
        every,
        timezone: "America/Denver".into(),
        grace: Grace { days: 3, hours: 6 },
        late: Late::Book,
        first: None,
        four_eyes: false,
    };
    let volume = |name: &str, form| Volume { name: name.into(), exponent: 2, form, live: false };
    let percent = |of, rate| VolumeForm::Percent { of, rate: BasisPoints(rate) };
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect::<Vec<Box<str>>>();
    Commerce {
        calendars: vec![
            Calendar { late: Late::Refuse, ..calendar("day", Every::Day) },
            calendar("week", Every::Week { begins: Weekday::Sunday }),
            calendar("half-month", Every::HalfMonth),
            Calendar { first: Some(date), four_eyes: true, ..calendar("month", Every::Month) },
            calendar("quarter", Every::Quarter),
            calendar("year", Every::Year { from_month: 4 }),
            calendar("ten-days", Every::Days { count: 10, anchor: date }),
            calendar("fiscal-month", Every::Periods { of: 1, pattern: vec![4, 4, 5] }),
        ],
        volumes: vec![
            Volume { live: true, ..volume("pv", VolumeForm::Given) },
            volume("cv", percent(VolumeOf::Volume(0), 8_000)),
            volume("qv", percent(VolumeOf::Amount, 12_345)),
        ],
        amount_live: true,
        live_levels: 9,
        order_kinds: names(&["retail", "autoship"]),
        order_tags: names(&["online"]),
        markets: names(&["us", "de", "ca"]),
        has_owners: true,
        member_tags: names(&["founder", "fee-paid"]),
        rounding: Rounding::HalfEven,
        refund_lowers_volume: Some(true),
    }
}

/// The name of a trigger of the second plan.
const LATE_TRIGGER: &str = "late";

fn member(number: u64) -> MemberId {
    let mut id = *b"golden-member-\0\0";
    id[14..].copy_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
    MemberId(id)
}

/// An imported row id.
fn row_id(lsn: u64) -> [u8; 16] {
    let mut id = *b"golden-row-id-\0\0";
    id[14..].copy_from_slice(&u16::try_from(lsn).unwrap().to_be_bytes());
    id
}

/// Returns the digest stored in snapshots of a version.
fn digest_of(version: u32, state: &State) -> Digest {
    if version == 1 { state_digest_of_format_1(state) } else { state_digest(state) }
}

/// Returns the command of an LSN: every kind, every way to name a sponsor and a place, some of them rejected.
/// From version 2 on imports carry values that only later versions can store.
fn command(version: u32, lsn: u64) -> Stamped {
    let code = |number: u64| Code::parse(&format!("Golden-{number}")).unwrap();
    // A member that signed up at LSN 2, 22, 42, ...
    let sponsor = member(if lsn < 30 { 1 } else { lsn / 60 * 20 + 2 });
    let signup = |register: &dyn Fn(&mut Register)| {
        let mut signup = Register {
            member: member(lsn),
            sponsor: SponsorRef::Member(sponsor),
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        };
        register(&mut signup);
        Command::Register(signup)
    };
    let change = |entry: u64, change: EntryChange| {
        let reason = Reason::parse(&format!("golden {lsn}")).unwrap();
        Command::ChangeEntry(ChangeEntry { entry, change, reason })
    };
    let command = match lsn {
        1 => signup(&|signup| signup.sponsor = SponsorRef::None),
        6 => signup(&|signup| {
            (signup.sponsor, signup.role, signup.code) =
                (SponsorRef::Member(member(1)), Role::Admin, Some(code(6)));
        }),
        179 => Command::PutPlan(Box::new(refused_plan())),
        180 => Command::PutPlan(Box::new(second_plan(version))),
        250 => Command::PayAll,
        lsn if later::has_turn(version, lsn) => later::command(version, lsn).expect("it has a turn"),
        _ => match lsn % 20 {
            2 => signup(&|signup| signup.code = Some(code(lsn))),
            3 => signup(&|signup| signup.sponsor = SponsorRef::Code(code(6))),
            4 => signup(&|signup| signup.placement = PlacementRequest::Slot { parent: sponsor, slot: 2 }),
            5 => Command::TriggerBonus(TriggerBonus {
                source: sponsor,
                trigger: "referral".into(),
                amount: None,
                once: true,
                reference: None,
            }),
            7 => Command::TriggerBonus(TriggerBonus {
                source: sponsor,
                trigger: "purchase".into(),
                amount: Some(Money(12_345)),
                once: false,
                reference: Reference::parse(&format!("order {}", lsn % 40))
                    .filter(|_| 3 <= version && lsn % 40 == 7),
            }),
            8 => Command::PayEntry { entry: lsn / 9 },
            9 => Command::SetStatus { member: sponsor, status: Status::Active },
            10 => Command::SetStatus { member: member(lsn.saturating_sub(11)), status: Status::Inactive },
            12 => signup(&|signup| {
                let carried =
                    Carried { row_id: Some(row_id(lsn)), lifetime_rank: 2, turn: 1, ..Carried::default() };
                let carried = if version == 1 { Carried::default() } else { carried };
                (signup.joined_at, signup.origin) =
                    (Some(Timestamp(CREATED - 1_000)), Origin::Import(carried));
            }),
            13 => Command::ImportEntry(ImportEntry {
                receiver: member(1),
                source: sponsor,
                kind: if 4 <= version { format!("old-{lsn}").into() } else { "referral".into() },
                level: 2,
                amount: Money(777),
                status: if 4 <= version && lsn % 40 == 13 { EntryStatus::Held } else { EntryStatus::Paid },
                time: Timestamp(CREATED - 500),
                row_id: (version != 1).then(|| row_id(lsn)),
                reference: None,
                reverses: None,
            }),
            14 => Command::SetRole { member: sponsor, role: Role::Member },
            15 => signup(&|signup| signup.placement = PlacementRequest::Rule(PlacementRule::RoundRobin)),
            16 if 3 <= version && lsn % 60 == 16 => Command::ReverseEntry { entry: lsn / 10 },
            17 if 3 <= version && lsn % 80 == 17 => Command::PayMatching(PayFilter {
                up_to_lsn: Some(lsn - 3),
                kind: (lsn < 100).then(|| "referral".into()),
                receiver: (100 < lsn).then(|| member(1)),
                from: None,
                until: Some(Timestamp(CREATED + 400 * 3_600_000_000)),
            }),
            11 if 4 <= version => Command::ImportEntry(ImportEntry {
                receiver: member(2),
                source: sponsor,
                kind: format!("old-{lsn}").into(),
                level: 3,
                amount: Money(1 << 40),
                status: EntryStatus::Pending,
                time: Timestamp(CREATED - 400),
                row_id: None,
                reference: None,
                reverses: None,
            }),
            18 if 4 <= version => {
                change(lsn / 20 * 3 + 40, EntryChange::ALL[usize::try_from(lsn / 20).unwrap() % 3])
            }
            // Of the entries that were held two commands ago, every other one is released; the others are
            // reversed, and then both halves released.
            0 if 5 <= version && lsn % 120 == 20 => change((lsn - 2) / 20 * 3 + 40, EntryChange::Release),
            6 if 5 <= version && lsn % 120 == 86 => Command::ReverseEntry { entry: (lsn - 8) / 20 * 3 + 40 },
            1 if 5 <= version && lsn % 120 == 101 && 200 < lsn => {
                change((lsn - 23) / 20 * 3 + 40, EntryChange::Release)
            }
            1 if 5 <= version => Command::KeepOnce {
                source: sponsor,
                trigger: if lsn % 40 == 1 { "purchase".into() } else { format!("kept-{lsn}").into() },
            },
            19 if 4 <= version && 180 < lsn => Command::TriggerBonus(TriggerBonus {
                source: sponsor,
                trigger: LATE_TRIGGER.into(),
                amount: None,
                once: true,
                reference: None,
            }),
            0 => later::command(version, lsn).unwrap_or_else(|| signup(&|_| {})),
            _ => signup(&|_| {}),
        },
    };
    let key = (lsn % 6 == 3)
        .then(|| RequestKey { key: member(lsn % 90).0, fingerprint: lsn % 90 + u64::from(lsn == 303) });
    // Since version 3 a command has an actor, and a clock jump expires no key.
    // The server itself is one since version 6.
    let kinds = &ActorKind::ALL[..if 6 <= version { 8 } else { 7 }];
    let actor = (3 <= version).then(|| {
        Actor::new(kinds[usize::try_from(lsn).unwrap() % kinds.len()], &format!("golden-{}", lsn % 5))
    });
    let jump = if 3 <= version && 150 <= lsn { 300 * 3_600_000_000 } else { 0 };
    Stamped {
        lsn,
        time: Timestamp(CREATED + i64::try_from(lsn).unwrap() * 60_000_000 + jump),
        key,
        actor,
        format: if version < 3 { 1 } else { version },
        command,
    }
}

fn options() -> LogOptions {
    LogOptions { segment_bytes: 16 * 1_024, prepare_in_background: false, retention: Retention::Keep }
}

fn write_snapshot(state: &State, store: &SnapshotStore, durable_lsn: u64) -> u64 {
    let mut writer = store.begin(&state.image_header()).unwrap();
    for rows in state.image_rows(50) {
        writer.push(&rows).unwrap();
    }
    writer.publish(durable_lsn, state_digest(state).0, network_digest(state).0).unwrap().oldest_kept_lsn
}

/// Creates the directory of this version, and describes its contents.
fn generate(path: &Path) -> String {
    let (storage, mut maps) = (Disk::shared(), MemberDirectory::with_capacity(0, 0));
    let mut state = State::new(plan(), CODE_KEY);
    let genesis = Genesis {
        id: InstanceId(*b"a golden version"),
        network_id: NETWORK_ID,
        row_key: ROW_KEY,
        code_key: CODE_KEY.into(),
        created: Timestamp(CREATED),
    };
    let creation = DataDir::create(&storage, path, &genesis, options()).unwrap();
    let writer = creation.begin_snapshot(&state.image_header()).unwrap();
    creation.finish(writer, state_digest(&state).0, network_digest(&state).0).unwrap();
    let mut opened = DataDir::open(&storage, path, options()).unwrap();
    let mut lsn = 0;
    while lsn < COMMANDS {
        let size = (1 + lsn % 7).min(COMMANDS - lsn);
        let group: Vec<Stamped> = (lsn + 1..=lsn + size).map(|lsn| command(FORMAT_VERSION, lsn)).collect();
        opened.journal.append(&group, state.outcome_hash()).unwrap();
        let durable = opened.journal.sync().unwrap();
        for (position, stamped) in group.iter().enumerate() {
            state.apply(&mut maps, stamped);
            // One of the two is inside a group.
            if stamped.lsn == 200 || stamped.lsn == 320 && position != 0 {
                let until = write_snapshot(&state, &opened.snapshots, durable);
                opened.journal.purge_prefix(until, None).unwrap();
            }
        }
        lsn += size;
    }
    opened.journal.mark(state.outcome_hash()).unwrap();
    opened.journal.sync().unwrap();
    drop(opened);
    describe(FORMAT_VERSION, path)
}

/// Opens a directory, rebuilds the state, and lists the facts to compare.
fn describe(version: u32, path: &Path) -> String {
    let mut opened = DataDir::open(&Disk::shared(), path, options()).unwrap();
    let mut out = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| writeln!(out, "{name} = {value}").unwrap();
    let manifest = *opened.snapshot.manifest();
    line("instance", &opened.instance.id);
    line("network_id", &opened.instance.network_id);
    line("row_key", &opened.instance.row_key);
    line("code_key", &opened.instance.code_key.key);
    line("created", &opened.instance.created.0);
    line("snapshots", &format_args!("{:?}", opened.snapshots.list().unwrap()));
    line("snapshot.lsn", &manifest.lsn);
    line("snapshot.durable_lsn", &manifest.durable_lsn);
    line("snapshot.chunks", &manifest.chunks);
    // The sections of version 1: `expected.txt` is older than the others.
    for section in Section::IN_ORDER.into_iter().filter(|section| section.since() == 1) {
        line(&format!("snapshot.{}", section.name()), &manifest.rows[section]);
    }
    line("snapshot.state_digest", &hex(&manifest.state_digest));
    line("snapshot.network_digest", &hex(&manifest.network_digest));
    let report = opened.report.clone();
    line("log.first_lsn", &report.log_first_lsn);
    line("log.last_lsn", &report.log_last_lsn);
    line("log.segments", &report.log_segments);
    line("log.groups", &report.log_groups);
    line("log.bytes", &report.log_bytes);
    line("archive.segments", &opened.journal.figures().archived_segments);
    assert_eq!((report.torn, report.damaged_snapshots.len(), report.history_damage), (None, 0, None));
    let state = replay(version, &mut opened);
    line("lsn", &state.lsn());
    line("members", &state.len());
    line("entries", &state.entries());
    line("pending", &state.pending());
    line("plan_version", &state.plan_version());
    line("ranks", &format_args!("{:?}", state.rank_distribution()));
    line("outcome_hash", &format_args!("{:016x}", state.outcome_hash()));
    line("state_digest", &hex(&digest_of(version, &state).0));
    line("network_digest", &hex(&network_digest(&state).0));
    if version != 1 {
        let unchanged: Vec<u64> =
            (1..=state.lsn()).filter(|lsn| state.changed_nothing(*lsn).is_some()).collect();
        line("changed_nothing", &format_args!("{unchanged:?} after {}", state.changed_nothing_after()));
        let carried: Vec<_> =
            (1..=state.lsn()).filter_map(|lsn| state.row_that_carried(&row_id(lsn))).collect();
        line("row_ids", &format_args!("{carried:?}"));
        assert_eq!(carried.len(), state.carried_row_ids());
        assert!(
            carried.iter().any(|(kind, _)| *kind == RowKind::Member)
                && carried.iter().any(|(kind, _)| *kind == RowKind::Entry)
        );
        let turns = (0..state.len()).filter(|member| state.turn(MemberIx(*member)) != 0).count();
        line("members_with_turns", &turns);
    }
    if 3 <= version {
        line("snapshot.chain", &format_args!("{:016x}", manifest.chain.unwrap()));
        line("key_lag", &state.image_header().key_lag);
        assert_ne!(state.image_header().key_lag, 0);
    }
    if 4 <= version {
        let in_state = EntryStatus::ALL.map(|status| state.entries_in(status).entries);
        line("entries_by_state", &format_args!("{in_state:?}"));
        let breakage: Vec<_> = state.breakage_by_reason().items().collect();
        line("breakage", &format_args!("{breakage:?} from {:?}", state.itemized_from()));
        let header = state.image_header();
        line("paid_once", &header.rows[Section::Once]);
        assert!(in_state.iter().all(|entries| 0 < *entries) && 2 <= breakage.len());
        assert!(0 < header.rows[Section::Once] && 16 < header.kinds.len());
    }
    if 5 <= version {
        let released: Vec<_> =
            (0..state.entries()).filter_map(|entry| Some((entry, state.released(entry)?))).collect();
        line("released", &format_args!("{released:?}"));
        let marked = state.all_paid_once().filter(|(_, name)| name.starts_with("kept-")).count();
        line("kept_once", &marked);
        let held = |entry: u64| state.entry(entry).status == EntryStatus::Held;
        let pairs = (0..state.entries()).filter_map(|entry| Some((entry, state.reverses(entry)?)));
        let held = pairs.filter(|(entry, reverses)| held(*entry) && held(*reverses)).count();
        line("pairs_held", &held);
        assert!(3 <= released.len() && 4 <= marked && held != 0, "{released:?} {marked} {held}");
    }
    // What was in force is known from the log's beginning on, or from the snapshot of an older format on.
    let versions = state.plan_versions().list();
    let known: Vec<_> = versions.iter().map(|known| (known.version, known.lsn, known.is_exact)).collect();
    if 4 <= version {
        line("plan_versions", &format_args!("{known:?}"));
        assert_eq!(known, [(1, 0, true), (2, 180, true)]);
    } else {
        assert_eq!(known, [(2, manifest.lsn, false)]);
    }
    out
}

/// Rebuilds the state from the snapshot and the tail, and compares it with every stored check value.
fn replay(version: u32, opened: &mut Opened) -> State {
    let mut maps = MemberDirectory::with_capacity(0, 0);
    let mut restore = Restore::new(opened.snapshot.header().clone()).unwrap();
    for rows in &mut opened.snapshot {
        restore.push(&mut maps, rows.unwrap()).unwrap();
    }
    let mut state = restore.finish().unwrap();
    assert_eq!(opened.snapshot.manifest().version, version);
    assert_eq!(digest_of(version, &state).0, opened.snapshot.manifest().state_digest);
    assert_eq!(network_digest(&state).0, opened.snapshot.manifest().network_digest);
    for group in &mut opened.tail {
        let group = group.unwrap();
        if let Some(hash) = group.outcome_hash_before {
            assert_eq!(hash, state.outcome_hash(), "before LSN {}", group.commands[0].lsn);
        }
        for stamped in &group.commands {
            assert_eq!(*stamped, command(version, stamped.lsn));
            state.apply(&mut maps, stamped);
        }
    }
    state
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

/// Returns all files below a directory, by relative path.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for part in ["", "log", "archive", "snapshots"] {
        for entry in fs::read_dir(directory.join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                found.insert(
                    format!("{part}/{}", entry.file_name().to_string_lossy()),
                    fs::read(entry.path()).unwrap(),
                );
            }
        }
    }
    found.remove("/expected.txt");
    found
}

/// The inverse of `files`.
fn write_files(directory: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for part in ["log", "archive", "snapshots"] {
        fs::create_dir_all(directory.join(part)).unwrap();
    }
    for (name, content) in files {
        fs::write(directory.join(name.trim_start_matches('/')), content).unwrap();
    }
}

/// Makes a working copy: opening may write.
fn copy_of(version: u32) -> tempfile::TempDir {
    let place = crate::common::scratch();
    write_files(place.path(), &files(&golden(version)));
    place
}

fn regenerate_if_asked() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if std::env::var_os("UPLINE_REGENERATE_GOLDEN").is_none() {
        return;
    }
    ONCE.call_once(|| {
        let path = golden(FORMAT_VERSION);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        let expected = generate(&path);
        fs::write(path.join("expected.txt"), expected).unwrap();
        newer::generate();
        println!("wrote {}", path.display());
    });
}

#[test]
fn every_version_still_opens_and_gives_what_was_recorded() {
    regenerate_if_asked();
    for version in 1..=FORMAT_VERSION {
        let place = copy_of(version);
        let expected = fs::read_to_string(golden(version).join("expected.txt")).unwrap();
        assert_eq!(describe(version, place.path()), expected, "version {version}");
        // Opening and closing changed nothing that matters.
        assert_eq!(describe(version, place.path()), expected, "version {version}, again");
    }
}

#[test]
fn this_release_still_writes_the_newest_version_to_the_byte() {
    regenerate_if_asked();
    let place = crate::common::scratch();
    let path = place.path().join("new");
    let expected = generate(&path);
    assert_eq!(expected, fs::read_to_string(golden(FORMAT_VERSION).join("expected.txt")).unwrap());
    let (written, recorded) = (files(&path), files(&golden(FORMAT_VERSION)));
    assert_eq!(written.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    for (name, content) in &written {
        let differs = content.iter().zip(&recorded[name]).position(|(new, old)| new != old);
        assert!(content == &recorded[name], "{name} differs from byte {differs:?} on");
    }
}

#[test]
fn the_newest_version_has_every_kind_of_command() {
    regenerate_if_asked();
    let place = copy_of(FORMAT_VERSION);
    let opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
    let groups = opened.journal.reader().read_from(1).unwrap().map(Result::unwrap);
    let found: BTreeSet<CommandKind> =
        groups.flat_map(|group| group.commands).map(|stamped| stamped.command.kind()).collect();
    assert_eq!(found, CommandKind::ALL.into_iter().collect());
}

#[test]
fn the_whole_log_of_version_1_replays_from_nothing_through_the_archive() {
    regenerate_if_asked();
    let place = copy_of(1);
    let mut opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
    let (mut state, mut maps) = (State::new(plan(), CODE_KEY), MemberDirectory::with_capacity(0, 0));
    for group in opened.journal.reader().read_from(1).unwrap() {
        let group = group.unwrap();
        assert_eq!(group.outcome_hash_before, Some(state.outcome_hash()));
        for stamped in &group.commands {
            state.apply(&mut maps, stamped);
        }
    }
    assert_eq!(state.lsn(), COMMANDS);
    let replayed = replay(1, &mut opened);
    assert_eq!(digest_of(1, &state), digest_of(1, &replayed));
    // What format 1 did not record is known if the commands themselves were replayed.
    assert_eq!((state.changed_nothing_after(), replayed.changed_nothing_after()), (0, 320));
    for lsn in 321..=COMMANDS {
        assert_eq!(replayed.changed_nothing(lsn), state.changed_nothing(lsn), "{lsn}");
    }
    assert!((1..=320).any(|lsn| state.changed_nothing(lsn).is_some()));
}

/// The offsets in `snapshots/README.md`, read without any of the code that wrote them.
#[test]
fn headers_of_version_1_are_where_the_specification_says() {
    regenerate_if_asked();
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let files = files(&golden(1));
    let instance = &files["/instance"];
    assert_eq!((instance.len(), &instance[..8]), (128, &b"uplinDIR"[..]));
    assert_eq!(
        (u32_at(instance, 8), u32_at(instance, 12), &instance[16..32]),
        (1, NETWORK_ID, &b"a golden version"[..])
    );
    assert_eq!(
        (u64_at(instance, 32), u64_at(instance, 40), u64_at(instance, 48)),
        (ROW_KEY, CODE_KEY, CREATED.unsigned_abs())
    );
    assert_eq!(u32_at(instance, 124), crc32c::crc32c(&instance[..124]));

    let segment = &files["archive/00000000000000000001.log"];
    assert_eq!((segment.len(), &segment[..8]), (16 * 1_024, &b"uplinLOG"[..]));
    assert_eq!(
        (u32_at(segment, 8), u32_at(segment, 12), &segment[16..32]),
        (1, NETWORK_ID, &b"a golden version"[..])
    );
    assert_eq!((u64_at(segment, 32), u64_at(segment, 40), u64_at(segment, 48)), (1, 1, 16 * 1_024));
    assert_eq!(u32_at(segment, 508), crc32c::crc32c(&segment[..508]));
    let frame = &segment[512..];
    assert_eq!((&frame[..4], u16_at(frame, 4), u16_at(frame, 6)), (&b"uFRM"[..], 1, 0));
    let length = u32_at(frame, 8) as usize;
    // One command, LSN 1, nothing durable before, no term, its own time.
    assert_eq!((u32_at(frame, 12), u64_at(frame, 16), u64_at(frame, 24), u64_at(frame, 40)), (1, 1, 0, 0));
    assert_eq!(u64_at(frame, 48), (CREATED + 60_000_000).unsigned_abs());
    assert_eq!(u32_at(frame, 56), u32_at(segment, 508));
    let seed = crc32c::crc32c_append(crc32c::crc32c(b"a golden version"), &1_u64.to_le_bytes());
    assert_eq!(u32_at(frame, 68), crc32c::crc32c_append(seed, &frame[..68]));
    let body_end = (72 + length + 12).next_multiple_of(8) - 12;
    assert!(frame[72 + length..body_end].iter().all(|byte| *byte == 0xA5));
    assert_eq!(u32_at(frame, body_end), crc32c::crc32c_append(u32_at(frame, 68), &frame[72..body_end]));
    assert_eq!(&frame[body_end + 4..body_end + 12], b"\xE7frm\xB5end");
    // The body, without its whitening, is the record of a signup: kind 1, version 1, the time.
    let salt = u64::from(u32_at(frame, 60));
    let word = |at: usize| {
        let mixed = (salt + at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        u64_at(frame, 72 + 8 * at) ^ mixed ^ (mixed >> 29)
    };
    assert_eq!(word(0), 1 | 1 << 16 | (length as u64 - 8) << 32);
    assert_eq!(word(1), (CREATED + 60_000_000).unsigned_abs());

    let snapshot = &files["snapshots/00000000000000000320.snap"];
    assert_eq!(
        (&snapshot[..8], u32_at(snapshot, 8), u32_at(snapshot, 12)),
        (&b"uplinSNP"[..], 1, NETWORK_ID)
    );
    assert_eq!((&snapshot[16..32], u64_at(snapshot, 32)), (&b"a golden version"[..], 320));
    assert_eq!(u32_at(snapshot, 60), crc32c::crc32c(&snapshot[..60]));
    let chunk = &snapshot[64..];
    assert_eq!(
        (&chunk[..4], u16_at(chunk, 4), u16_at(chunk, 6), u32_at(chunk, 12), u32_at(chunk, 24)),
        (&b"uCHK"[..], 1, 1, 1, 0)
    );
    let archive = &chunk[32..32 + u32_at(chunk, 8) as usize];
    assert_eq!(u64_at(chunk, 16), xxhash_rust::xxh3::xxh3_64(archive));
    assert_eq!(u32_at(chunk, 28), crc32c::crc32c_append(u32_at(snapshot, 60), &chunk[..28]));
    let manifest = &snapshot[snapshot.len() - 256..];
    assert_eq!((&manifest[..8], u32_at(manifest, 8), u64_at(manifest, 32)), (&b"uplinEND"[..], 1, 320));
    assert_eq!(u64_at(manifest, 48), snapshot.len() as u64 - 256);
    assert_eq!(u32_at(manifest, 252), crc32c::crc32c(&manifest[..252]));
}

/// The archives of version 1, read by the specification alone: a vector is `{offset i32 from itself, length
/// u32}`, the root is at the end.
#[test]
fn archives_of_version_1_are_laid_out_as_specified() {
    regenerate_if_asked();
    let place = copy_of(1);
    let opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
    let header = opened.snapshot.header().clone();
    let first_members = opened.snapshot.map(|rows| rows.unwrap()).next().unwrap();
    let ImageRows::Members(members) = first_members else { panic!("members come first") };
    let snapshot = &files(&golden(1))["snapshots/00000000000000000320.snap"];
    let archive_at = |at: usize| {
        let length = u32::from_le_bytes(snapshot[at + 8..at + 12].try_into().unwrap()) as usize;
        (&snapshot[at + 32..at + 32 + length], at + 32 + length.next_multiple_of(16))
    };
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let vector = |bytes: &[u8], at: usize| {
        let offset = i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        (usize::try_from(i32::try_from(at).unwrap() + offset).unwrap(), length)
    };
    let (archive, next) = archive_at(64);
    let root = archive.len() - 104;
    assert_eq!(
        (number(archive, root), number(archive, root + 16), number(archive, root + 24)),
        (320, header.outcome_hash, CODE_KEY)
    );
    assert_eq!(archive[root + 40], 2, "plan version");
    let (lengths, kinds) = vector(archive, root + 44);
    let (text, text_bytes) = vector(archive, root + 52);
    assert_eq!((kinds, text_bytes), (header.kinds.len(), header.kinds.iter().map(|kind| kind.len()).sum()));
    assert_eq!(usize::from(archive[lengths]), header.kinds[0].len());
    assert_eq!(&archive[text..text + header.kinds[0].len()], header.kinds[0].as_bytes());
    assert_eq!(
        u32::from_le_bytes(archive[root + 80..root + 84].try_into().unwrap()),
        header.rows[Section::Members]
    );

    let (archive, _) = archive_at(next);
    let root = archive.len() - 72;
    let columns: Vec<(usize, usize)> = (0..9).map(|column| vector(archive, root + 8 * column)).collect();
    assert!(columns.iter().all(|(_, length)| *length == members.len()));
    for (row, member) in members.iter().enumerate() {
        let cell = |column: usize, bytes: usize| &archive[columns[column].0 + row * bytes..][..bytes];
        assert_eq!(cell(0, 16), member.id);
        assert_eq!(cell(1, 8), member.joined_at.0.to_le_bytes());
        for (column, value) in [(2, member.sponsor), (3, member.parent), (4, member.slot), (5, member.flags)]
        {
            assert_eq!(cell(column, 4), value.to_le_bytes());
        }
        for (column, value) in [(6, member.paid_as), (7, member.lifetime), (8, member.turn)] {
            assert_eq!(cell(column, 2), value.to_le_bytes());
        }
    }
}

/// What version 2 added, read by the specification alone.
#[test]
fn what_version_2_added_is_where_the_specification_says() {
    regenerate_if_asked();
    let place = copy_of(2);
    let opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
    let header = opened.snapshot.header().clone();
    let rows: Vec<ImageRows> = opened.snapshot.map(|rows| rows.unwrap()).collect();
    let snapshot = &files(&golden(2))["snapshots/00000000000000000320.snap"];
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(u32_at(snapshot, 8), 2);
    let manifest = &snapshot[snapshot.len() - 256..];
    assert_eq!(
        (u32_at(manifest, 8), u32_at(manifest, 168), u32_at(manifest, 172)),
        (2, header.rows[Section::Unchanged], header.rows[Section::RowIds])
    );
    // The archives of each section, in row order.
    let (mut at, mut archives) = (64, BTreeMap::<u16, VecDeque<_>>::new());
    while at < snapshot.len() - 256 {
        let length = u32_at(snapshot, at + 8) as usize;
        let archive = (u16_at(snapshot, at + 6), &snapshot[at + 32..at + 32 + length]);
        archives.entry(u16_at(snapshot, at + 4)).or_default().push_back(archive);
        at += 32 + length.next_multiple_of(16);
    }
    let mut next = |section: u16| archives.get_mut(&section).and_then(VecDeque::pop_front).unwrap();
    let (version, archive) = next(1);
    let root = archive.len() - 120;
    assert_eq!((version, u64_at(archive, root)), (2, 320));
    assert_eq!(
        (u32_at(archive, root + 100), u32_at(archive, root + 104)),
        (header.rows[Section::Unchanged], header.rows[Section::RowIds])
    );
    assert_eq!((u64_at(archive, root + 112), header.unchanged_after), (0, 0));
    let vector = |bytes: &[u8], at: usize| {
        let offset = i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        (usize::try_from(i32::try_from(at).unwrap() + offset).unwrap(), u32_at(bytes, at + 4) as usize)
    };
    for rows in &rows {
        match rows {
            ImageRows::Unchanged(rows) => {
                let (version, archive) = next(7);
                let [lsn, reason] = [0, 8].map(|at| vector(archive, archive.len() - 16 + at));
                assert_eq!((version, lsn.1, reason.1), (1, rows.len(), rows.len()));
                for (place, row) in rows.iter().enumerate() {
                    let found = (u64_at(archive, lsn.0 + 8 * place), u16_at(archive, reason.0 + 2 * place));
                    assert_eq!(found, (row.lsn, row.reason));
                }
            }
            ImageRows::RowIds(rows) => {
                let (version, archive) = next(8);
                let [id, index, kind] = [0, 8, 16].map(|at| vector(archive, archive.len() - 24 + at));
                assert_eq!((version, id.1, index.1, kind.1), (1, rows.len(), rows.len(), rows.len()));
                for (place, row) in rows.iter().enumerate() {
                    assert_eq!(archive[id.0 + 16 * place..][..16], row.id);
                    assert_eq!(
                        (u32_at(archive, index.0 + 4 * place), archive[kind.0 + place]),
                        (row.index, row.kind as u8)
                    );
                }
            }
            _ => {}
        }
    }
    assert!(header.rows[Section::Unchanged] != 0 && header.rows[Section::RowIds] != 0);
}

/// What version 3 added, read by the specification alone.
#[test]
fn what_version_3_added_is_where_the_specification_says() {
    regenerate_if_asked();
    let files = files(&golden(3));
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let chained = xxhash_rust::xxh3::xxh3_64_with_seed;
    // The chain, over every record of every segment.
    let mut chain = chained(b"a golden version", 0);
    let (mut records, mut chains) = (0, BTreeMap::from([(0, chain)]));
    let mut names: Vec<&String> =
        files.keys().filter(|name| Path::new(name).extension().is_some_and(|end| end == "log")).collect();
    names.sort_by_key(|name| name.rsplit('/').next().unwrap().to_owned());
    for name in names {
        let segment = &files[name];
        if segment.iter().all(|byte| *byte == 0) {
            continue;
        }
        assert_eq!((u32_at(segment, 8), u64_at(segment, 88)), (3, chain), "{name}");
        let seed = crc32c::crc32c_append(crc32c::crc32c(b"a golden version"), &segment[32..40]);
        let mut at = 512;
        while segment[at..].starts_with(b"uFRM") {
            let frame = &segment[at..];
            let (length, count) = (u32_at(frame, 8) as usize, u32_at(frame, 12));
            assert_eq!(
                (u32_at(frame, 72), u32_at(frame, 76)),
                (0, crc32c::crc32c_append(seed, &frame[..76]))
            );
            let salt = u64::from(u32_at(frame, 60));
            let mut body = frame[80..80 + length].to_vec();
            for (position, word) in body.chunks_mut(8).enumerate() {
                let mixed = (salt + position as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let stream = (mixed ^ (mixed >> 29)).to_le_bytes();
                word.iter_mut().zip(stream).for_each(|(byte, stream)| *byte ^= stream);
            }
            let mut record = &body[..];
            for _ in 0..count {
                let (this, rest) = record.split_at(8 + u32_at(record, 4) as usize);
                chain = chained(this, chain);
                records += 1;
                chains.insert(records, chain);
                // Version 3; the actor follows the time and the request key.
                assert_eq!(u16_at(this, 2), 3);
                let actor = if this[16] == 1 { 17 + 24 } else { 17 };
                // The seven kinds of that version.
                let kind = usize::try_from(records).unwrap() % 7;
                assert_eq!(usize::from(this[actor]), kind, "record {records}");
                let id = format!("golden-{}", records % 5);
                assert_eq!(
                    (usize::from(u16_at(this, actor + 1)), &this[actor + 3..][..id.len()]),
                    (id.len(), id.as_bytes())
                );
                record = rest;
            }
            assert_eq!(u64_at(frame, 64), chain, "{name} at {at}");
            at += (80 + length + 12).next_multiple_of(8);
        }
    }
    assert_eq!(records, COMMANDS);
    // Each snapshot records the chain at its LSN.
    let mut linked = 0;
    for (name, snapshot) in
        files.iter().filter(|(name, _)| Path::new(name).extension().is_some_and(|end| end == "snap"))
    {
        let manifest = &snapshot[snapshot.len() - 256..];
        assert_eq!(
            (u64_at(manifest, 176), u32_at(manifest, 184)),
            (chains[&u64_at(manifest, 32)], 1),
            "{name}"
        );
        let chunk = &snapshot[64..];
        let archive = &chunk[32..32 + u32_at(chunk, 8) as usize];
        assert_eq!((u16_at(chunk, 4), u16_at(chunk, 6)), (1, 3));
        let lag = u64_at(archive, archive.len() - 16);
        let counts = [u32_at(archive, archive.len() - 8), u32_at(archive, archive.len() - 4)];
        assert_eq!(counts, [u32_at(manifest, 188), u32_at(manifest, 192)], "references and reversals");
        linked = linked.max(counts.into_iter().min().unwrap_or(0));
        assert_eq!(lag != 0, 150 <= u64_at(manifest, 32), "{name}: {lag}");
    }
    assert!(2 <= linked, "there are references and reversals");
}

/// What version 4 added, read by the specification alone.
#[test]
fn what_version_4_added_is_where_the_specification_says() {
    regenerate_if_asked();
    let files = files(&golden(4));
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let snapshot = &files["snapshots/00000000000000000320.snap"];
    let manifest = &snapshot[snapshot.len() - 256..];
    let place = copy_of(4);
    let mut opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
    let header = opened.snapshot.header().clone();
    let rows: Vec<ImageRows> = (&mut opened.snapshot).map(|rows| rows.unwrap()).collect();
    // The chunks, by section.
    let mut chunks: BTreeMap<u16, Vec<&[u8]>> = BTreeMap::new();
    let mut at = 64;
    while snapshot[at..].starts_with(b"uCHK") {
        let chunk = &snapshot[at..];
        let archive = &chunk[32..32 + u32_at(chunk, 8) as usize];
        assert_eq!(u16_at(chunk, 6), if u16_at(chunk, 4) == 1 { 4 } else { 1 });
        chunks.entry(u16_at(chunk, 4)).or_default().push(archive);
        at += 32 + archive.len().next_multiple_of(16);
    }
    let vector = |bytes: &[u8], at: usize| {
        let offset = i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        (usize::try_from(i32::try_from(at).unwrap() + offset).unwrap(), u32_at(bytes, at + 4) as usize)
    };
    let archive = chunks[&1][0];
    let root = archive.len() - 200;
    let paid_once = header.rows[Section::Once];
    assert_eq!((u32_at(manifest, 196), u64_at(archive, root + 176)), (paid_once, 1));
    let [levels, amounts] = [184, 192].map(|at| vector(archive, root + at));
    assert_eq!((levels.1, amounts.1), (BreakageReason::ALL.len(), 2 * BreakageReason::ALL.len()));
    for (place, reason) in BreakageReason::ALL.into_iter().enumerate() {
        let sum = header.breakage.of(reason);
        let [low, high] = [0, 8].map(|half| u64_at(archive, amounts.0 + 16 * place + half));
        let amount = i128::from(high.cast_signed()) << 64 | i128::from(low);
        assert_eq!((u64_at(archive, levels.0 + 8 * place), amount), (sum.entries, sum.amount));
    }
    let once: Vec<_> = rows
        .iter()
        .filter_map(|rows| if let ImageRows::Once(rows) = rows { Some(rows) } else { None })
        .flatten()
        .collect();
    let archive = chunks[&11][0];
    let [member, kind] = [0, 8].map(|at| vector(archive, archive.len() - 16 + at));
    assert_eq!((member.1, kind.1, once.len()), (once.len(), once.len(), paid_once as usize));
    for (place, row) in once.iter().enumerate() {
        let found = (u32_at(archive, member.0 + 4 * place), u16_at(archive, kind.0 + 2 * place));
        assert_eq!(found, (row.member, row.kind));
    }
    let entries = chunks[&5].iter().flat_map(|archive| {
        let status = vector(archive, archive.len() - 8);
        archive[status.0..status.0 + status.1].to_vec()
    });
    let states: BTreeSet<u8> = entries.collect();
    assert_eq!(states, BTreeSet::from([0, 1, 2, 3]), "all states of entries");
}

/// What version 5 added, read by the specification alone.
#[test]
fn what_version_5_added_is_where_the_specification_says() {
    regenerate_if_asked();
    let files = files(&golden(5));
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let snapshot = &files["snapshots/00000000000000000320.snap"];
    let manifest = &snapshot[snapshot.len() - 256..];
    let place = copy_of(5);
    let mut opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
    let rows: Vec<ImageRows> = (&mut opened.snapshot).map(|rows| rows.unwrap()).collect();
    let released: Vec<_> = rows
        .iter()
        .filter_map(|rows| if let ImageRows::Released(rows) = rows { Some(rows) } else { None })
        .flatten()
        .collect();
    assert_eq!(u32_at(manifest, 200) as usize, released.len());
    let mut at = 64;
    let mut seen = 0;
    while snapshot[at..].starts_with(b"uCHK") {
        let chunk = &snapshot[at..];
        let archive = &chunk[32..32 + u32_at(chunk, 8) as usize];
        assert_eq!(u16_at(chunk, 6), if u16_at(chunk, 4) == 1 { 4 } else { 1 });
        if u16_at(chunk, 4) == 12 {
            let vector = |at: usize| {
                let offset = i32::from_le_bytes(archive[at..at + 4].try_into().unwrap());
                usize::try_from(i32::try_from(at).unwrap() + offset).unwrap()
            };
            let [entry, lsn] = [0, 8].map(|at| vector(archive.len() - 16 + at));
            for place in 0..u32_at(chunk, 12) as usize {
                let found = (u32_at(archive, entry + 4 * place), u64_at(archive, lsn + 8 * place));
                assert_eq!(found, (released[seen].entry, released[seen].lsn));
                seen += 1;
            }
        }
        at += 32 + archive.len().next_multiple_of(16);
    }
    assert!(seen == released.len() && 2 <= seen, "{seen}");
}

/// The plan versions that version 4 added, likewise.
#[test]
fn plan_versions_are_where_the_specification_says() {
    regenerate_if_asked();
    let files = files(&golden(4));
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mut seen = Vec::new();
    for (name, snapshot) in
        files.iter().filter(|(name, _)| Path::new(name).extension().is_some_and(|end| end == "snap"))
    {
        let chunk = &snapshot[64..];
        assert_eq!((u16_at(chunk, 4), u16_at(chunk, 6)), (1, 4), "{name}");
        let archive = &chunk[32..32 + u32_at(chunk, 8) as usize];
        let root = archive.len() - 200;
        // A vector is an offset from its own place, and a length.
        let vector = |at: usize| {
            let place = root + at;
            let start = place.checked_add_signed(u32_at(archive, place).cast_signed() as isize).unwrap();
            (start, u32_at(archive, place + 4) as usize)
        };
        let (lsns, times, lengths, plans) = (vector(136), vector(144), vector(152), vector(160));
        assert_eq!((times.1, lengths.1 + 1), (lsns.1, lsns.1), "{name}");
        let known: Vec<(u64, u64)> = (0..lsns.1)
            .map(|at| (u64_at(archive, lsns.0 + 8 * at), u64_at(archive, times.0 + 8 * at)))
            .collect();
        let bytes: usize = (0..lengths.1).map(|at| u32_at(archive, lengths.0 + 4 * at) as usize).sum();
        assert_eq!(bytes, plans.1, "{name}");
        assert_eq!((archive[root + 168], &archive[root + 169..root + 176]), (1, &[0; 7][..]), "{name}");
        seen.extend(known.into_iter().map(|known| (u64_at(archive, root), known)));
    }
    let time = (CREATED + 180 * 60_000_000 + 300 * 3_600_000_000).cast_unsigned();
    let expected = [(0, (0, 0)), (200, (0, 0)), (200, (180, time)), (320, (0, 0)), (320, (180, time))];
    seen.sort_unstable();
    assert_eq!(seen, expected);
}

/// A directory of an older version continues in the newest. No segment whose header has an older version
/// holds anything that a release of that time would not understand: after its own segments it sees a newer
/// format.
#[test]
fn an_older_directory_is_upgraded_by_its_first_command_and_not_before() {
    regenerate_if_asked();
    for version in 1..FORMAT_VERSION {
        let place = copy_of(version);
        let before = files(place.path());
        let mut opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
        let mut state = replay(version, &mut opened);
        opened.journal.mark(state.outcome_hash()).unwrap();
        opened.journal.sync().unwrap();
        drop(opened);
        // Older releases do not know `durable`, and leave it alone.
        let is_changed = |(name, content): &(&String, &Vec<u8>)| {
            before.get(*name) != Some(*content) && *name != "/durable"
        };
        for (name, content) in files(place.path()).iter().filter(is_changed) {
            assert!(
                content.iter().all(|byte| *byte == 0),
                "version {version}: {name} was changed by opening alone"
            );
        }
        let mut opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
        let next = Stamped { lsn: COMMANDS + 1, ..command(FORMAT_VERSION, COMMANDS + 1) };
        opened.journal.append(std::slice::from_ref(&next), state.outcome_hash()).unwrap();
        opened.journal.sync().unwrap();
        state.apply(&mut MemberDirectory::with_capacity(0, 0), &next);
        drop(opened);
        let mut seen = Vec::new();
        let mut present = 0;
        inspect::log(&Disk::shared(), place.path(), &mut |item| {
            match item {
                LogItem::Segment(segment) => {
                    assert_eq!(segment.damage, None);
                    if let SegmentHeaderSeen::Good { version, chain, .. } = segment.header {
                        assert_eq!(chain.is_some(), 3 <= version);
                        present = version;
                    }
                }
                LogItem::Frame(frame) => {
                    for stamped in frame.commands.unwrap() {
                        assert_eq!(stamped.is_of_format_3(), 3 <= present, "LSN {}", stamped.lsn);
                        assert_eq!(stamped.is_of_format_4(), 4 <= present, "LSN {}", stamped.lsn);
                        assert_eq!(5 <= stamped.format, 5 <= present, "LSN {}", stamped.lsn);
                        assert_eq!(6 <= stamped.format, 6 <= present, "LSN {}", stamped.lsn);
                        seen.push(stamped.lsn);
                    }
                }
                LogItem::End(_) => {}
                LogItem::Missing { .. } => panic!("a segment is missing"),
            }
            true
        })
        .unwrap();
        assert_eq!(seen, (1..=COMMANDS + 1).collect::<Vec<_>>(), "version {version}");
        // An interrupted cut is finished in the old form: what is left is a directory that an older release
        // reads.
        let place = copy_of(version);
        let mut cut =
            [&b"uplinCUT"[..], &(COMMANDS - 2).to_le_bytes(), &before["/instance"][16..32]].concat();
        cut.extend_from_slice(&crc32c::crc32c(&cut).to_le_bytes());
        fs::write(place.path().join("log/cut"), cut).unwrap();
        if 3 <= version {
            // A cut is finished only if nothing that it drops counts as acknowledged.
            let path = place.path().join("durable");
            let mut durable = fs::read(&path).unwrap();
            for slot in [0, 4_096] {
                durable[slot + 32..slot + 40].copy_from_slice(&(COMMANDS - 2).to_le_bytes());
                let crc = crc32c::crc32c(&durable[slot..slot + 48]);
                durable[slot + 48..slot + 52].copy_from_slice(&crc.to_le_bytes());
                // Without the chain, which would be that of another LSN.
                durable[slot + 52..slot + 512].fill(0);
            }
            fs::write(path, durable).unwrap();
        }
        let opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
        assert_eq!(opened.report.finished_cut, Some(PendingCut { after: COMMANDS - 2, last_lsn: COMMANDS }));
        drop(opened);
        let opened = DataDir::open(&Disk::shared(), place.path(), options()).unwrap();
        assert_eq!((opened.report.log_last_lsn, opened.report.finished_cut), (COMMANDS - 2, None));
    }
}

#[test]
fn damage_in_a_golden_directory_gives_its_error() {
    regenerate_if_asked();
    // file, byte, kind of error, whether the older snapshot takes over
    let table = [
        ("instance", 20, false),
        ("log/00000000000000000003.log", 30, false),
        ("log/00000000000000000003.log", 600, false),
        ("snapshots/00000000000000000320.snap", 200, true),
    ];
    for (name, at, falls_back) in table {
        let place = copy_of(1);
        let path = place.path().join(name);
        let mut content = fs::read(&path).unwrap();
        content[at] ^= 4;
        fs::write(&path, content).unwrap();
        match DataDir::open(&Disk::shared(), place.path(), options()) {
            Err(Error::Damaged(damage)) => assert!(!falls_back && damage.file == path, "{name}: {damage}"),
            Ok(mut opened) => {
                assert!(falls_back, "{name}");
                assert_eq!(opened.report.damaged_snapshots[0].file, path);
                assert_eq!(opened.report.snapshot_lsn, 200);
                assert_eq!(replay(1, &mut opened).lsn(), COMMANDS);
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}
