//! Workloads for the benchmarks: networks of a shape, always the same for the same seed, and operations on
//! them. Time advances one microsecond per command, so the digest of a result depends only on the workload:
//! an optimization that changes semantics changes it.

use std::{hint::black_box, path::Path};

use crate::{
    core::{
        Actor, Digest, Restore,
        command::{
            Command, Credit, OpenPeriod, OrderId, OrderLine, Origin, Outcome, PlaceOrder, PlacementRequest,
            Register, SponsorRef, Stamped, TriggerBonus, WHOLE,
        },
        plan::{
            PlacementRule, Plan,
            calendar::{Calendar, Every, Grace, Late, Weekday},
            commerce::{Commerce, LIVE_LEVELS, Volume, VolumeForm},
        },
        sections::{ImageHeader, ImageRows, Section},
        state::{Directory, State},
        state_digest,
        types::{MemberId, MemberIx, Money, Role, Timestamp, Tree},
    },
    durability::{CHUNK_ROWS_MAX, Creation, DataDir, Genesis, InstanceId, LogOptions, memory::Memory},
    engine::{Engine, MemberDirectory, limits::APPLY_SLICE_MAX},
    shapes::{self, Shape, Sponsors, member_id},
};

/// Shapes that stress different things: one hot spot, cache misses everywhere, a realistic mixture, depth.
pub const SHAPES: [Shape; 4] = [Shape::Root, Shape::Uniform, Shape::Real, Shape::Chain];

/// A network, by default with the engine's directory, used by one thread.
pub struct Network<D: Directory = MemberDirectory> {
    pub state: State,
    pub directory: D,
}

impl Network {
    /// Returns an empty network with room for `members` members.
    pub fn empty(plan: Plan, members: u32) -> Self {
        Self::with_directory(plan, MemberDirectory::with_capacity(members as usize, 0))
    }

    /// Returns a network of a shape with `members` members.
    pub fn grown(plan: Plan, shape: Shape, members: u32, seed: u64) -> Self {
        let mut network = Self::empty(plan, members);
        let mut signups = Signups::new(shape, members, seed);
        loop {
            let batch = signups.batch();
            if batch.is_empty() {
                return network;
            }
            network.apply(&batch);
        }
    }
}

impl<D: Directory> Network<D> {
    /// Returns an empty network.
    pub fn with_directory(plan: Plan, directory: D) -> Self {
        Self { state: State::new(plan, 1), directory }
    }

    pub fn digest(&self) -> Digest {
        state_digest(&self.state)
    }
}

/// Networks that commands can be applied to, in slices, as the writer does.
pub trait Apply {
    /// Applies commands, all of which succeed.
    ///
    /// # Panics
    /// If one is refused: the workload does not suit the plan.
    fn apply(&mut self, commands: &[Stamped]);
}

impl Apply for Network {
    fn apply(&mut self, commands: &[Stamped]) {
        for slice in commands.chunks(APPLY_SLICE_MAX) {
            self.state.prefetch(&self.directory, slice);
            apply_slice(&mut self.state, &mut self.directory.write(), slice);
        }
    }
}

impl Apply for Network<Numbers> {
    fn apply(&mut self, commands: &[Stamped]) {
        for slice in commands.chunks(APPLY_SLICE_MAX) {
            self.state.prefetch(&self.directory, slice);
            apply_slice(&mut self.state, &mut self.directory, slice);
        }
    }
}

fn apply_slice(state: &mut State, directory: &mut impl Directory, slice: &[Stamped]) {
    for command in slice {
        let applied = state.apply(directory, command);
        assert!(!matches!(applied.outcome, Outcome::Rejected(_)), "{command:?}: {applied:?}");
    }
}

/// Commands generated and then applied together: a large network needs no large list of commands, and what is
/// timed takes longer than a tick of the system's clocks.
const BATCH: usize = 65_536;

fn stamped(lsn: u64, command: Command) -> Stamped {
    Stamped {
        lsn,
        time: Timestamp(i64::try_from(lsn).expect("fewer than 2^63 commands")),
        key: None,
        actor: None,
        format: 1,
        command,
    }
}

/// Returns the command that signs a member up at the plan's default place.
pub fn register(member: MemberId, sponsor: Option<MemberId>) -> Command {
    Command::Register(Register {
        member,
        sponsor: sponsor.map_or(SponsorRef::None, SponsorRef::Member),
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    })
}

/// A directory without lookups: ids are numbers. For measuring the rest of the core.
#[derive(Default)]
pub struct Numbers(u32);

impl Numbers {
    /// Returns the id of a member by number.
    pub fn id(number: u32) -> MemberId {
        MemberId(u128::from(number).to_be_bytes())
    }
}

impl Directory for Numbers {
    fn member(&self, id: &MemberId, _: impl Fn(MemberIx) -> bool) -> Option<MemberIx> {
        u32::try_from(u128::from_be_bytes(id.0)).ok().filter(|number| *number < self.0).map(MemberIx)
    }

    fn add_member(&mut self, _: &MemberId, member: MemberIx, _: impl Fn(MemberIx) -> MemberId) {
        self.0 = member.0 + 1;
    }

    fn candidates<'a>(&self, ids: impl Iterator<Item = &'a MemberId>, candidates: &mut Vec<MemberIx>) {
        candidates.extend(ids.filter_map(|id| self.member(id, |_| true)));
    }

    /// # Panics
    /// Always: codes are text.
    fn code(&self, folded: &str) -> Option<MemberIx> {
        unreachable!("no workload gives codes: {folded}")
    }

    /// # Panics
    /// Always: codes are text.
    fn add_code(&mut self, folded: &str, _: MemberIx) {
        unreachable!("no workload gives codes: {folded}")
    }

    fn codes_alike(&self, _: &str, _: &mut dyn FnMut(MemberIx)) {}
}

/// The signups of a shape, for an empty network, in batches.
pub struct Signups {
    sponsors: Sponsors,
    next: u32,
    id: Box<dyn Fn(u32) -> MemberId>,
}

impl Signups {
    pub fn new(shape: Shape, members: u32, seed: u64) -> Self {
        Self {
            sponsors: shapes::sponsors(shape, members, seed),
            next: 0,
            id: Box::new(move |number| member_id(seed, number)),
        }
    }

    /// The same with numbers as ids, for [`Numbers`].
    pub fn numbered(shape: Shape, members: u32, seed: u64) -> Self {
        Self { id: Box::new(Numbers::id), ..Self::new(shape, members, seed) }
    }

    /// Returns the next signups; none at the end.
    pub fn batch(&mut self) -> Vec<Stamped> {
        let (id, first) = (&self.id, self.next);
        let sponsors = self.sponsors.by_ref().take(BATCH);
        let signup = |(number, sponsor): (u32, Option<u32>)| {
            stamped(u64::from(number) + 1, register(id(number), sponsor.map(id)))
        };
        let batch: Vec<Stamped> = (first..).zip(sponsors).map(signup).collect();
        self.next += u32::try_from(batch.len()).expect("at most BATCH");
        batch
    }
}

/// Returns referral triggers, cycling through the members, for a network whose last LSN is `lsn`.
pub fn referrals(lsn: u64, members: u32, seed: u64, triggers: std::ops::Range<u64>) -> Vec<Stamped> {
    let trigger = |number: u64| {
        let member = u32::try_from(number % u64::from(members)).expect("below the number of members");
        let trigger = TriggerBonus {
            source: member_id(seed, member),
            trigger: "referral".into(),
            amount: None,
            once: false,
            reference: None,
        };
        stamped(lsn + number + 1, Command::TriggerBonus(trigger))
    };
    triggers.map(trigger).collect()
}

/// A plan with the default's live rules that takes orders: two calendars, one volume kept live, seven levels
/// of both trees.
pub fn shop_plan(plan: Plan, live: bool) -> Plan {
    let calendar = |name: &str, every| Calendar {
        name: name.into(),
        every,
        timezone: "UTC".into(),
        grace: Grace::default(),
        late: Late::Book,
        first: None,
        four_eyes: false,
    };
    let pv = Volume { name: "pv".into(), exponent: 2, form: VolumeForm::Given, live };
    let commerce = Commerce {
        calendars: vec![
            calendar("week", Every::Week { begins: Weekday::Monday }),
            calendar("month", Every::Month),
        ],
        volumes: vec![pv],
        live_levels: LIVE_LEVELS,
        refund_lowers_volume: Some(false),
        ..Commerce::default()
    };
    Plan { commerce, count_sponsor_tree: true, ..plan }
}

/// Returns the commands that open a period of each calendar of [`shop_plan`], for a network whose last LSN is
/// `lsn`.
pub fn periods(lsn: u64) -> Vec<Stamped> {
    let open = |calendar: u8| {
        let end = Timestamp(i64::MAX / 4);
        let label = OrderId::parse("1").expect("an id");
        OpenPeriod { calendar, label, start: Timestamp(0), end, grace_until: end }
    };
    (1..).zip(0..2).map(|(at, calendar)| today(lsn + at, Command::OpenPeriod(open(calendar)))).collect()
}

/// Returns orders of one line each by members picked at random, for a network whose last LSN is `lsn`.
pub fn orders(lsn: u64, members: u32, seed: u64, orders: std::ops::Range<u64>) -> Vec<Stamped> {
    let mut pick = Pick::of(members, seed ^ orders.start);
    let order = |number: u64| {
        let credit = Credit { member: member_id(seed, pick.member().0), part: WHOLE };
        let line = OrderLine { amount: Money(4_995), volumes: vec![4_000] };
        let order = PlaceOrder {
            id: OrderId::parse(&format!("order-{number}")).expect("an id"),
            credits: vec![credit],
            customer: None,
            time: None,
            kind: None,
            tags: 0,
            group: None,
            market: None,
            lines: vec![line],
        };
        today(lsn + number + 1, Command::PlaceOrder(Box::new(order)))
    };
    orders.map(order).collect()
}

/// A command of the format that is logged today.
fn today(lsn: u64, command: Command) -> Stamped {
    Stamped { actor: Some(Actor::unknown()), format: Stamped::FORMAT, ..stamped(lsn, command) }
}

/// Picks members; randomness quality does not matter, repeatability does.
pub struct Pick {
    state: u64,
    members: u32,
}

impl Pick {
    pub fn of(members: u32, seed: u64) -> Self {
        Self { state: seed, members }
    }

    pub fn member(&mut self) -> MemberIx {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        MemberIx(
            u32::try_from(((self.state >> 32) * u64::from(self.members)) >> 32)
                .expect("below the number of members"),
        )
    }
}

/// Returns the rows of a network, as a snapshot takes them.
pub fn image(network: &Network) -> (ImageHeader, Vec<ImageRows>) {
    (network.state.image_header(), network.state.image_rows(CHUNK_ROWS_MAX).collect())
}

/// Builds a network from its rows, as opening a directory does.
pub fn restored((header, rows): (ImageHeader, Vec<ImageRows>)) -> Network {
    let mut directory = MemberDirectory::with_capacity(header.rows[Section::Members] as usize, 0);
    let mut restore = Restore::new(header).expect("the header of a state");
    for rows in rows {
        restore.push(&mut directory, rows).expect("the rows of a state");
    }
    Network { state: restore.finish().expect("all rows of a state"), directory }
}

/// Returns an in-memory data directory being created: snapshots can be written into it without a disk.
pub fn creation() -> Creation {
    let genesis = Genesis {
        id: InstanceId([1; 16]),
        network_id: 1,
        row_key: 1,
        code_key: 1.into(),
        created: Timestamp(0),
    };
    let options = LogOptions { prepare_in_background: false, ..LogOptions::default() };
    DataDir::create(&Memory::new().shared(), Path::new("/bench"), &genesis, options).expect("memory takes it")
}

/// Encodes the rows of a network into a snapshot; returns its bytes before the manifest.
pub fn snapshot_bytes(creation: &Creation, network: &Network) -> u64 {
    let mut snapshot = creation.begin_snapshot(&network.state.image_header()).expect("memory takes it");
    for rows in network.state.image_rows(CHUNK_ROWS_MAX) {
        snapshot.push(&rows).expect("memory takes it");
    }
    snapshot.bytes()
}

/// A query about one member: by index, by id, and with another member.
pub type Query = fn(&Engine, MemberIx, MemberId, MemberIx);

/// Every query about one member. Lists are asked for their first page.
pub const QUERIES: [(&str, Query); 13] = [
    ("member by id", |engine, _, id, _| {
        black_box(
            engine.read(|state, directory| state.find(directory, &id).map(|index| state.member(index))),
        );
    }),
    ("code", |engine, member, _, _| {
        black_box(engine.read(|state, _| state.code(member)));
    }),
    ("member by code", |engine, member, _, _| {
        black_box(engine.read(|state, directory| state.member_by_code(directory, &state.code(member))));
    }),
    ("direct", |engine, member, _, _| {
        black_box(engine.read(|state, _| state.direct(Tree::Sponsor, member)));
    }),
    ("downline", |engine, member, _, _| {
        black_box(engine.read(|state, _| state.downline(Tree::Placement, member)));
    }),
    ("levels", |engine, member, _, _| {
        black_box(engine.read(|state, _| state.levels(Tree::Placement, member)));
    }),
    ("rank", |engine, member, _, _| {
        black_box(engine.read(|state, _| state.rank(member)));
    }),
    ("upline, 100", |engine, member, _, _| {
        black_box(engine.read(|state, _| {
            state
                .upline(Tree::Placement, member)
                .take(100)
                .map(|above| state.member(above).level)
                .sum::<u32>()
        }));
    }),
    ("children, 100", |engine, member, _, _| {
        black_box(engine.read(|state, _| {
            state
                .children(Tree::Sponsor, member)
                .take(100)
                .map(|child| state.member(child).level)
                .sum::<u32>()
        }));
    }),
    ("downline, 20", |engine, member, _, _| {
        black_box(engine.read(|state, _| {
            let next = |after: &MemberIx| state.preorder_next(Tree::Placement, member, *after, state.len());
            std::iter::successors(next(&member), next)
                .take(20)
                .map(|below| state.member(below).level)
                .sum::<u32>()
        }));
    }),
    ("is ancestor", |engine, member, _, other| {
        black_box(engine.read(|state, _| state.distance(Tree::Placement, other, member)));
    }),
    ("next place", |engine, member, _, _| {
        black_box(engine.read(|state, _| state.preview(member, PlacementRule::BreadthFirst)))
            .expect("the default rule is allowed");
    }),
    ("bonuses, 20", |engine, member, _, _| {
        black_box(engine.read(|state, _| {
            state.received_entries(member).take(20).map(|entry| state.entry(entry).amount.0).sum::<i64>()
        }));
    }),
];
