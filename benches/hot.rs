//! The hot functions in isolation, for counting instructions: times vary by a factor of two on a shared
//! machine, instruction counts hardly at all.
//!
//! - `hot NAME` runs one function, between two calls of [`measured`], where an instruction counter starts and
//!   stops. `.ci/instructions` runs each under valgrind and compares with `benches/baseline.json`.
//! - Otherwise (`cargo test`) each runs once, and the baseline must list the same names.
#![forbid(unsafe_code)]

use std::{collections::BTreeSet, hint::black_box};

use upline::{
    core::{
        command::Stamped,
        on_threads, recomputed_ranks, state_digest,
        types::{MemberIx, Tree},
    },
    durability::{decode_group, encode_group},
    plan_file,
    shapes::{Shape, member_id},
    workload::{self, Apply, Network, Pick, Signups},
};

/// Members in the initial network, and the operations measured.
const MEMBERS: u32 = 20_000;
const OPERATIONS: u32 = 5_000;
const SEED: u64 = 1;

/// The counted region. Never inlined: the counting tool looks for its name.
#[inline(never)]
fn measured<R>(work: impl FnOnce() -> R) -> R {
    black_box(work())
}

/// A name, and the work, which returns its number of operations.
type Hot = (&'static str, fn() -> u32);

const HOT: [Hot; 18] = [
    ("signup_root", || signups(Shape::Root)),
    ("signup_uniform", || signups(Shape::Uniform)),
    ("signup_real", || signups(Shape::Real)),
    ("signup_chain", || signups(Shape::Chain)),
    ("check_signup", check_signups),
    ("trigger_bonus", triggers),
    ("encode_signup", encode),
    ("decode_signup", decode),
    ("find_member", find),
    ("read_member", || reads(|network, member| u64::from(network.state.member(member).level))),
    ("read_code", || reads(|network, member| network.state.code(member).as_str().len() as u64)),
    ("read_levels", || {
        reads(|network, member| {
            network.state.levels(Tree::Placement, member).map_or(0, |levels| u64::from(levels[0]))
        })
    }),
    ("read_downline", || {
        reads(|network, member| network.state.downline(Tree::Placement, member).map_or(0, u64::from))
    }),
    ("read_rank", || reads(|network, member| u64::from(network.state.rank(member).paid_as))),
    ("read_upline", || reads(|network, member| network.state.upline(Tree::Placement, member).count() as u64)),
    ("recount_ranks", recount),
    ("state_digest", digest),
    ("restore", restore),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = HOT.iter().find(|(name, _)| arguments.iter().any(|argument| argument == name));
    match named {
        Some((name, work)) => println!("{name} {}", work()),
        None if arguments.iter().any(|argument| argument == "--list") => {}
        None => check(),
    }
}

/// Runs each once; the baseline must list exactly these.
fn check() {
    let baseline: serde_json::Value =
        serde_json::from_str(include_str!("baseline.json")).expect("the baseline is JSON");
    let known: BTreeSet<&str> =
        baseline["instructions"].as_object().expect("by name").keys().map(String::as_str).collect();
    assert_eq!(
        known,
        HOT.iter().map(|(name, _)| *name).collect(),
        "benches/baseline.json is of other functions: .ci/instructions --write"
    );
    for (name, work) in HOT {
        assert!(0 < work(), "{name} does something");
    }
    println!("hot: all {} functions ran", HOT.len());
}

fn grown(shape: Shape) -> Network {
    Network::grown(plan_file::default_plan(), shape, MEMBERS, SEED)
}

/// Returns the next signups in a network of a shape.
fn next_signups(shape: Shape) -> Vec<Stamped> {
    let mut signups = Signups::new(shape, MEMBERS + OPERATIONS, SEED);
    let all = std::iter::repeat_with(|| signups.batch()).take_while(|batch| !batch.is_empty()).flatten();
    all.skip(MEMBERS as usize).collect()
}

fn signups(shape: Shape) -> u32 {
    let (mut network, commands) = (grown(shape), next_signups(shape));
    measured(|| network.apply(&commands));
    network.state.len() - MEMBERS
}

fn check_signups() -> u32 {
    let (network, commands) = (grown(Shape::Real), next_signups(Shape::Real));
    measured(|| {
        for stamped in &commands {
            black_box(network.state.check(&network.directory, None, &stamped.command));
        }
    });
    OPERATIONS
}

fn triggers() -> u32 {
    let mut network = grown(Shape::Real);
    let commands = workload::referrals(network.state.lsn(), MEMBERS, SEED, 0..OPERATIONS.into());
    measured(|| network.apply(&commands));
    OPERATIONS
}

fn encode() -> u32 {
    let commands = next_signups(Shape::Real);
    let mut bytes = Vec::new();
    measured(|| encode_group(&commands, &mut bytes)).expect("signups can be encoded");
    OPERATIONS
}

fn decode() -> u32 {
    let commands = next_signups(Shape::Real);
    let (mut bytes, mut back) = (Vec::new(), Vec::new());
    encode_group(&commands, &mut bytes).expect("signups can be encoded");
    let first = commands.first().map_or(1, |stamped| stamped.lsn);
    measured(|| decode_group(&bytes, first, OPERATIONS, &mut back)).expect("what was encoded can be decoded");
    assert_eq!(back.len(), commands.len());
    OPERATIONS
}

fn find() -> u32 {
    let network = grown(Shape::Real);
    let mut pick = Pick::of(MEMBERS, SEED);
    let ids: Vec<_> = (0..OPERATIONS).map(|_| member_id(SEED, pick.member().0)).collect();
    measured(|| {
        ids.iter()
            .filter_map(|id| network.state.find(&network.directory, id))
            .map(|member| u64::from(member.0))
            .sum::<u64>()
    });
    OPERATIONS
}

fn reads(read: fn(&Network, MemberIx) -> u64) -> u32 {
    let network = grown(Shape::Real);
    let mut pick = Pick::of(MEMBERS, SEED);
    let members: Vec<MemberIx> = (0..OPERATIONS).map(|_| pick.member()).collect();
    measured(|| members.iter().map(|member| read(&network, *member)).sum::<u64>());
    OPERATIONS
}

fn recount() -> u32 {
    let network = grown(Shape::Real);
    on_threads(1, || measured(|| recomputed_ranks(&network.state)));
    MEMBERS
}

fn digest() -> u32 {
    let network = grown(Shape::Real);
    on_threads(1, || measured(|| state_digest(&network.state)));
    MEMBERS
}

fn restore() -> u32 {
    let image = workload::image(&grown(Shape::Real));
    on_threads(1, || measured(|| workload::restored(image)));
    MEMBERS
}
