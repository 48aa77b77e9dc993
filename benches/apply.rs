//! The core alone: applying signups and triggers, querying, recounting, encoding and restoring a network.
//! Single-threaded, no disk, no HTTP; only recounting and digests are parallel.
//!
//! - `cargo bench --bench apply` measures, on networks of [`MEMBERS`] members, and first prints the digest of
//!   each.
//! - Otherwise (`cargo test`, `cargo bench -- --test`) each workload runs once on a network of
//!   [`MEMBERS_IN_TESTS`] and its digest is compared with the one recorded here: the workload must not
//!   change.
#![forbid(unsafe_code)]

mod harness;

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use upline::{
    core::command::Stamped,
    core::{
        recomputed_ranks, state_digest,
        types::{MemberIx, Tree},
    },
    plan_file,
    shapes::{Shape, member_id},
    workload::{self, Apply, Network, Pick, Signups},
};

/// Shapes that exercise different things: one hot spot, cache misses everywhere, a realistic mixture, depth.
const SHAPES: [Shape; 4] = [Shape::Root, Shape::Uniform, Shape::Real, Shape::Chain];
const SEED: u64 = 1;

/// Large enough that the networks do not fit the inner caches, small enough that the whole bench takes some
/// minutes.
const MEMBERS: u32 = 100_000;
const MEMBERS_IN_TESTS: u32 = 2_000;

/// The first 64 bits of the state digest after the signups of a shape in tests, and after a referral of each
/// member on top.
const DIGESTS_IN_TESTS: [(Shape, &str, &str); 4] = [
    (Shape::Root, "e8c43961fb6af826", "4bdd47c3729be8dc"),
    (Shape::Uniform, "5417d9e925ca7bd7", "1cdbcabeb9ca4e83"),
    (Shape::Real, "2c38daaeb0773c88", "328298fbe693dcbd"),
    (Shape::Chain, "c0957598444e770c", "5aa96a2d243be22e"),
];

fn grown(shape: Shape, members: u32) -> Network {
    Network::grown(plan_file::default_plan(), shape, members, SEED)
}

/// Returns all signups of a shape.
fn all_signups(shape: Shape, members: u32) -> Vec<Stamped> {
    let mut signups = Signups::new(shape, members, SEED);
    std::iter::repeat_with(|| signups.batch()).take_while(|batch| !batch.is_empty()).flatten().collect()
}

/// Returns a referral per member, for the network right after their signups.
fn all_referrals(members: u32) -> Vec<Stamped> {
    workload::referrals(members.into(), members, SEED, 0..members.into())
}

fn main() {
    let criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    harness::run(criterion, measure, check);
}

fn measure(criterion: &mut Criterion) {
    for shape in SHAPES {
        println!("digest {} {MEMBERS} {}", shape.name(), grown(shape, MEMBERS).digest());
    }
    signups(criterion);
    referrals(criterion);
    reads(criterion);
    whole_network(criterion);
}

fn signups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signup");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(MEMBERS.into()));
    for shape in SHAPES {
        let commands = all_signups(shape, MEMBERS);
        group.bench_function(shape.name(), |bencher| {
            let apply = |mut network: Network| {
                network.apply(&commands);
                network
            };
            bencher.iter_batched(
                || Network::empty(plan_file::default_plan(), MEMBERS),
                apply,
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn referrals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("referral");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(MEMBERS.into()));
    let commands = all_referrals(MEMBERS);
    for shape in [Shape::Root, Shape::Real] {
        group.bench_function(shape.name(), |bencher| {
            let apply = |mut network: Network| {
                network.apply(&commands);
                network
            };
            bencher.iter_batched(|| grown(shape, MEMBERS), apply, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let mut network = grown(Shape::Real, MEMBERS);
    network.apply(&all_referrals(MEMBERS));
    let Network { state, directory } = &network;
    let mut group = criterion.benchmark_group("read");
    let mut pick = Pick::of(MEMBERS, SEED);
    let ids: Vec<_> = (0..1 << 16).map(|_| member_id(1, pick.member().0)).collect();
    let mut at = 0;
    group.bench_function("member by id", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % ids.len();
            state.find(directory, &ids[at]).map(|member| state.member(member))
        });
    });
    group.bench_function("levels", |bencher| bencher.iter(|| state.levels(Tree::Placement, pick.member())));
    group.bench_function("downline", |bencher| {
        bencher.iter(|| state.downline(Tree::Placement, pick.member()));
    });
    group.bench_function("rank", |bencher| bencher.iter(|| state.rank(pick.member())));
    group.bench_function("code", |bencher| bencher.iter(|| state.code(pick.member())));
    group.bench_function("upline, 100", |bencher| {
        bencher.iter(|| {
            state
                .upline(Tree::Placement, pick.member())
                .take(100)
                .map(|above| state.member(above).level)
                .sum::<u32>()
        });
    });
    group.bench_function("is ancestor", |bencher| {
        bencher.iter(|| state.distance(Tree::Placement, pick.member(), pick.member()));
    });
    group.bench_function("bonuses, 20", |bencher| {
        bencher.iter(|| {
            state
                .received_entries(pick.member())
                .take(20)
                .map(|entry| state.entry(entry).amount.0)
                .sum::<i64>()
        });
    });
    group.finish();
}

fn whole_network(criterion: &mut Criterion) {
    let mut network = grown(Shape::Real, MEMBERS);
    network.apply(&all_referrals(MEMBERS));
    let mut group = criterion.benchmark_group("network");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(MEMBERS.into()));
    group.bench_function("recount ranks", |bencher| bencher.iter(|| recomputed_ranks(&network.state)));
    group.bench_function("digest", |bencher| bencher.iter(|| state_digest(&network.state)));
    group.bench_function("encode snapshot", |bencher| {
        bencher.iter_batched_ref(
            workload::creation,
            |creation| workload::snapshot_bytes(creation, &network),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("restore", |bencher| {
        bencher.iter_batched(|| workload::image(&network), workload::restored, BatchSize::PerIteration);
    });
    group.finish();
}

/// Runs every workload once, small, and compares its results.
fn check() {
    let mut others = Vec::new();
    for (shape, signed_up, paid) in DIGESTS_IN_TESTS {
        let mut network = grown(shape, MEMBERS_IN_TESTS);
        let after_signups = network.digest().to_string();
        network.apply(&all_referrals(MEMBERS_IN_TESTS));
        let after_referrals = network.digest().to_string();
        println!(
            "digest {} {MEMBERS_IN_TESTS} {after_signups}, with referrals {after_referrals}",
            shape.name()
        );
        if (&after_signups[..16], &after_referrals[..16]) != (signed_up, paid) {
            others.push(shape.name());
        }

        let ranks: Vec<u16> =
            (0..MEMBERS_IN_TESTS).map(|member| network.state.rank(MemberIx(member)).paid_as).collect();
        assert_eq!(recomputed_ranks(&network.state), ranks, "{}", shape.name());
        let creation = workload::creation();
        assert!(
            u64::from(MEMBERS_IN_TESTS) < workload::snapshot_bytes(&creation, &network),
            "{}",
            shape.name()
        );
        assert_eq!(
            workload::restored(workload::image(&network)).digest(),
            network.digest(),
            "{}",
            shape.name()
        );
    }
    assert!(others.is_empty(), "the network is another one than it was, see above: {others:?}");
    // Reads are not compared here (the model tests do that); they must only run.
    let network = grown(Shape::Real, MEMBERS_IN_TESTS);
    let mut pick = Pick::of(MEMBERS_IN_TESTS, SEED);
    for _ in 0..100 {
        let member = pick.member();
        let id = member_id(1, member.0);
        assert_eq!(network.state.find(&network.directory, &id), Some(member));
        let below: u32 = black_box(network.state.levels(Tree::Placement, member))
            .expect("the placement tree is counted")
            .iter()
            .sum();
        assert!(
            below <= network.state.downline(Tree::Placement, member).expect("the placement tree is counted")
        );
    }
    println!("apply: all workloads did what they always do");
}
