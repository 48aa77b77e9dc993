//! Workloads for the benches: networks of a shape, always the same for the same seed, and what is done to them. Time goes by one microsecond per
//! command, so the digest of a result depends on nothing but the workload: an optimisation that changes meaning changes it.

use std::path::Path;

use upline::{
    core::{
        Digest, Restore,
        command::{Command, Origin, Outcome, PlacementRequest, Register, SponsorRef, Stamped, TriggerBonus},
        image::{ImageHeader, ImageRows},
        state::State,
        state_digest,
        types::{MemberIx, Role, Timestamp},
    },
    durability::{CHUNK_ROWS_MAX, Creation, DataDir, Genesis, InstanceId, LogOptions, memory::Memory},
    engine::MemberDirectory,
    plan_file,
    shapes::{self, Shape, member_id},
};

/// The shapes that exercise different things: one place to look at, cache misses everywhere, a realistic mixture, depth.
pub const SHAPES: [Shape; 4] = [Shape::Root, Shape::Uniform, Shape::Real, Shape::Chain];

const SEED: u64 = 1;

/// A network under the default plan, with the directory of the engine.
pub struct Network {
    pub state: State,
    pub directory: MemberDirectory,
}

impl Network {
    /// Without members; room for `members` of them.
    pub fn empty(members: u32) -> Self {
        let state = State::new(plan_file::default_plan(), 1);
        Self { state, directory: MemberDirectory::with_capacity(members as usize, 0) }
    }

    /// With the members of a shape.
    pub fn grown(shape: Shape, members: u32) -> Self {
        let mut network = Self::empty(members);
        network.apply(&signups(shape, members));
        network
    }

    /// Applies commands, all of which succeed.
    pub fn apply(&mut self, commands: &[Stamped]) {
        for command in commands {
            let applied = self.state.apply(&mut self.directory, command);
            assert!(!matches!(applied.outcome, Outcome::Rejected(_)), "{command:?}: {applied:?}");
        }
    }

    pub fn digest(&self) -> Digest {
        state_digest(&self.state)
    }
}

fn stamped(lsn: u64, command: Command) -> Stamped {
    Stamped { lsn, time: Timestamp(i64::try_from(lsn).expect("small")), key: None, command }
}

/// The signups of a shape, for an empty network.
pub fn signups(shape: Shape, members: u32) -> Vec<Stamped> {
    let register = |number: u32, sponsor: Option<u32>| Register {
        member: member_id(SEED, number),
        sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(member_id(SEED, sponsor))),
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    };
    let sponsors = (0_u32..).zip(shapes::sponsors(shape, members, SEED));
    sponsors.map(|(number, sponsor)| stamped(u64::from(number) + 1, Command::Register(register(number, sponsor)))).collect()
}

/// A referral trigger of each of `members` members, for the network just after their signups.
pub fn referrals(members: u32) -> Vec<Stamped> {
    let trigger = |number| TriggerBonus { source: member_id(SEED, number), trigger: "referral".into(), amount: None, once: false };
    let lsn = |number| u64::from(members) + u64::from(number) + 1;
    (0..members).map(|number| stamped(lsn(number), Command::TriggerBonus(trigger(number)))).collect()
}

/// Picks members; its quality does not matter, its repeatability does.
pub struct Pick {
    state: u64,
    members: u32,
}

impl Pick {
    pub fn of(members: u32) -> Self {
        Self { state: SEED, members }
    }

    pub fn member(&mut self) -> MemberIx {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        MemberIx(u32::try_from(((self.state >> 32) * u64::from(self.members)) >> 32).expect("below the number of members"))
    }
}

/// The rows of a network, as a snapshot takes them.
pub fn image(network: &Network) -> (ImageHeader, Vec<ImageRows>) {
    (network.state.image_header(), network.state.image_rows(CHUNK_ROWS_MAX).collect())
}

/// Builds a network from its rows, as opening a directory does.
pub fn restored((header, rows): (ImageHeader, Vec<ImageRows>)) -> Network {
    let mut directory = MemberDirectory::with_capacity(header.members as usize, 0);
    let mut restore = Restore::new(header).expect("the header of a state");
    for rows in rows {
        restore.push(&mut directory, rows).expect("the rows of a state");
    }
    Network { state: restore.finish().expect("all rows of a state"), directory }
}

/// A data directory in memory that is being made: what a snapshot can be written into without a disk.
pub fn creation() -> Creation {
    let genesis = Genesis { id: InstanceId([1; 16]), network_id: 1, row_key: 1, code_key: 1, created: Timestamp(0) };
    let options = LogOptions { prepare_in_background: false, ..LogOptions::default() };
    DataDir::create(&Memory::new().shared(), Path::new("/bench"), &genesis, options).expect("memory takes it")
}

/// Encodes the rows of a network into a snapshot; how many bytes it has before its manifest.
pub fn snapshot_bytes(creation: &Creation, network: &Network) -> u64 {
    let mut snapshot = creation.begin_snapshot(&network.state.image_header()).expect("memory takes it");
    for rows in network.state.image_rows(CHUNK_ROWS_MAX) {
        snapshot.push(&rows).expect("memory takes it");
    }
    snapshot.bytes()
}
