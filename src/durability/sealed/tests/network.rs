//! Networks at boundaries: full, and as differences.

use super::*;
use crate::durability::{
    memory::{Fault, Survival},
    sealed::network::{self, Boundary, BoundaryManifest, BoundaryMember, BoundaryTag, KnownBoundary},
};

type Network = Vec<BoundaryMember<'static>>;

fn member(number: u32) -> BoundaryMember<'static> {
    let tag = |tag: &str, since: Option<i64>, until: Option<i64>| BoundaryTag {
        tag: tag.to_owned().into(),
        since: since.map(Timestamp),
        until: until.map(Timestamp),
    };
    let has = |every: u32| number % every == 1;
    BoundaryMember {
        id: uuid(number.into()),
        joined_at: Timestamp(1_700_000_000_000_000 + i64::from(number)),
        code: has(3).then(|| format!("CODE{number}").into()),
        sponsor: number.checked_sub(1).map(|before| before / 2),
        parent: number.checked_sub(1),
        slot: number % 3,
        status: if has(5) { "inactive" } else { "active" }.into(),
        role: "member".into(),
        rank: has(4).then_some(7),
        market: has(2).then(|| "DE".into()),
        owner: has(6).then_some(0),
        tags: match number % 4 {
            0 => Vec::new(),
            1 => vec![tag("founder", None, None)],
            2 => vec![tag("fee", Some(5), None), tag("founder", None, Some(-9))],
            _ => vec![tag("fee", Some(i64::MIN), Some(i64::MAX))],
        },
    }
}

fn members(count: u32) -> Network {
    (0..count).map(member).collect()
}

fn write(
    storage: &Arc<dyn Storage>,
    lsn: u64,
    base: Option<KnownBoundary>,
    network: &Network,
) -> crate::durability::Result<(BoundaryManifest, KnownBoundary)> {
    let members = u32::try_from(network.len()).expect("it is small");
    let boundary = Boundary { lsn, members, base };
    let manifest =
        network::write(storage, &root(), boundary, &mut |number| network[number as usize].clone())?;
    let known = KnownBoundary { lsn, hash: manifest.own_hash() };
    Ok((manifest, known))
}

fn read(storage: &Arc<dyn Storage>, known: KnownBoundary) -> crate::durability::Result<Network> {
    let mut read = Vec::new();
    network::read(storage, &root(), known, &mut |number, member| {
        assert_eq!(number as usize, read.len());
        read.push(member);
        ControlFlow::Continue(())
    })?;
    Ok(read)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn boundaries_give_the_network_that_was(
        steps in proptest::collection::vec(
            (0..40_u32, proptest::collection::vec((0..400_usize, 0..6_u8), 0..60)), 1..6,
        ),
        first in 0..300_u32,
    ) {
        let memory = directory();
        let storage = memory.shared();
        let mut network = members(first);
        let (mut base, mut known, mut then) = (None, Vec::new(), Vec::new());
        for (lsn, (joined, changes)) in (100..).zip(steps) {
            let count = u32::try_from(network.len()).expect("it is small");
            network.extend((count..count + joined).map(member));
            for (number, what) in changes {
                let Some(member) = network.get_mut(number) else { continue };
                match what {
                    0 => member.status = "terminated".into(),
                    1 => member.rank = Some(9),
                    2 => member.tags.clear(),
                    3 => member.slot += 1,
                    4 => member.code = None,
                    _ => member.tags.push(BoundaryTag { tag: "x".into(), since: None, until: None }),
                }
            }
            let (manifest, own) = write(&storage, lsn, base, &network).expect("the disk works");
            if manifest.base.is_none() {
                prop_assert_eq!(manifest.rows, network.len() as u64);
                base = Some(own);
            } else {
                prop_assert!(manifest.rows * 4 <= network.len() as u64, "much smaller");
            }
            known.push(own);
            then.push(network.clone());
        }
        for (known, then) in known.iter().zip(&then) {
            prop_assert_eq!(&read(&storage, *known).expect("it is whole"), then);
        }
        prop_assert_eq!(network::verify(&storage, &root(), &known).expect("the disk works"), vec![]);
        let swept = network::sweep(&storage, &root(), &known).expect("the disk works");
        prop_assert_eq!(swept, Vec::<PathBuf>::new());
    }
}

/// A full boundary, and a difference.
fn written() -> (Memory, Vec<KnownBoundary>) {
    let memory = directory();
    let storage = memory.shared();
    let mut network = members(200);
    let (_, full) = write(&storage, 10, None, &network).expect("the disk works");
    network[7].rank = Some(1);
    network.push(member(200));
    let (manifest, difference) = write(&storage, 20, Some(full), &network).expect("the disk works");
    assert_eq!((manifest.rows, manifest.base), (2, Some((10, full.hash))));
    (memory, vec![full, difference])
}

#[test]
fn damage_of_a_boundary_is_named() {
    let (memory, known) = written();
    for (path, content) in memory.all() {
        for at in (0..content.len()).step_by(content.len().div_ceil(40)).chain([content.len() - 1]) {
            let memory = memory.copy();
            memory.rot(&path, at, 0x20);
            let damage = network::verify(&memory.shared(), &root(), &known).expect("the disk works");
            assert!(!damage.is_empty(), "byte {at} of {}", path.display());
            assert!(damage.iter().all(|damage| damage.file == path), "byte {at} of {}", path.display());
        }
        let missing = memory.copy();
        missing.forget(&path);
        let damage = network::verify(&missing.shared(), &root(), &known).expect("the disk works");
        assert!(damage.iter().all(|damage| damage.file == path) && !damage.is_empty());
    }
}

#[test]
fn a_boundary_that_is_interrupted_leaves_the_others() {
    let (memory, known) = written();
    let again = |memory: &Memory| write(&memory.shared(), 30, Some(known[0]), &members(240));
    let dry = memory.copy();
    dry.set_fault(None);
    let (_, third) = again(&dry).expect("the disk works");
    for at in 1..=dry.calls() + 1 {
        for survival in [Survival::Synced, Survival::Everything, Survival::Chance(at)] {
            let memory = memory.copy();
            memory.set_fault(Some(Fault::PowerLoss { at }));
            let result = again(&memory);
            let after = memory.crash(survival);
            let known = match result {
                Ok(_) => [&known[..], &[third]].concat(),
                Err(_) => known.clone(),
            };
            let storage = after.shared();
            network::sweep(&storage, &root(), &known).expect("the disk works");
            assert_eq!(network::verify(&storage, &root(), &known).expect("the disk works"), []);
            assert_eq!(
                network::sweep(&storage, &root(), &known).expect("the disk works"),
                [] as [PathBuf; 0]
            );
        }
    }
}
