//! Corrupt images. Checksums detect damaged files; this is about rows that were written wrong: restoring them
//! must end in a refusal, or in a state that an audit can judge, and never in a panic.

use std::panic::{self, AssertUnwindSafe};

use upline::core::{
    Breakage, Restore, RowKind, Sum, audit,
    command::Stamped,
    image::{
        EntryRow, ImageHeader, ImageRows, KeyRow, MemberRow, OnceRow, ReferenceRow, ReversalRow, RowIdRow,
        TriggerRow, UnchangedRow,
    },
    state::State,
    types::{MemberIx, Money, Timestamp, Tree},
};
use upline::{shapes::Shape, workload};

use crate::networks::{
    network::{MapDirectory, Real},
    picture::Network,
    random::{Chance, scenario},
};

const SEEDS: u64 = 40;
const DAMAGES: u64 = 150;
const STEPS: usize = 80;

#[test]
fn damaged_images_are_refused_or_can_be_audited() {
    let mut accepted = 0;
    for seed in 1..=SEEDS {
        let (header, rows) = image(seed);
        restore(header.clone(), rows.clone()).expect("nothing is wrong with it yet");
        for number in 0..DAMAGES {
            let (mut header, mut rows) = (header.clone(), rows.clone());
            let what = damage(&mut Chance::of(seed * 1_000 + number), &mut header, &mut rows);
            let outcome =
                panic::catch_unwind(AssertUnwindSafe(|| restore(header, rows).map(|state| audit(&state, 3))));
            let outcome =
                outcome.unwrap_or_else(|_| panic!("seed {seed}, damage {number}: {what} led to a panic"));
            accepted += u64::from(outcome.is_ok());
        }
    }
    // Ids, amounts and times may have any value, so not all damage is detectable.
    assert!(accepted < SEEDS * DAMAGES * 2 / 3, "{accepted} of {} accepted", SEEDS * DAMAGES);
}

#[test]
fn images_with_too_few_or_too_many_rows_are_refused() {
    for seed in 1..=SEEDS {
        let (header, rows) = image(seed);
        for at in 0..rows.len() {
            let mut fewer = rows.clone();
            fewer.remove(at);
            assert!(restore(header.clone(), fewer).is_err(), "seed {seed} without chunk {at}");
            let mut more = rows.clone();
            more.insert(at, rows[at].clone());
            assert!(restore(header.clone(), more).is_err(), "seed {seed} with chunk {at} twice");
        }
    }
}

/// An invariant that no single link shows, and that authorization depends on.
#[test]
fn a_member_outside_of_its_sponsors_placement_subtree_is_refused() {
    let network = workload::Network::grown(upline::plan_file::default_plan(), Shape::Uniform, 50, 1);
    let (header, mut rows) = workload::image(&network);
    let Some(ImageRows::Members(members)) = rows.first_mut() else { panic!("members come first") };
    let last = members.last_mut().expect("there are some");
    let is_above = |member: &u32| {
        network.state.distance(Tree::Placement, MemberIx(*member), MemberIx(last.parent)).is_some()
    };
    last.sponsor = (0..49).find(|member| !is_above(member)).expect("not everybody is above");
    let error = restore(header, rows).err().expect("it is refused");
    assert!(error.contains("member 49: not in its sponsor's placement subtree"), "{error}");
}

/// Returns the image of a small random network, in chunks of seven rows.
fn image(seed: u64) -> (ImageHeader, Vec<ImageRows>) {
    let case = scenario(seed, STEPS);
    let mut real = Real::new(case.plan);
    let mut time = 0;
    for (step, lsn) in case.steps.iter().zip(1..) {
        time += step.pause;
        real.apply(&Stamped {
            lsn,
            time: Timestamp(time),
            key: step.key,
            actor: None,
            format: 1,
            command: step.command(|_| None),
        });
    }
    (real.state.image_header(), real.state.image_rows(7).collect())
}

fn restore(header: ImageHeader, rows: Vec<ImageRows>) -> Result<State, String> {
    let mut directory = MapDirectory::default();
    let mut restore = Restore::new(header)?;
    for rows in rows {
        restore.push(&mut directory, rows)?;
    }
    restore.finish()
}

/// Makes one change; describes it.
fn damage(chance: &mut Chance, header: &mut ImageHeader, rows: &mut [ImageRows]) -> String {
    const VALUES: [u64; 8] = [0, 1, 2, 5, 40, 1 << 16, u32::MAX as u64, u64::MAX];
    let value = chance.of_slice(&VALUES);
    if rows.is_empty() || chance.percent(10) {
        damage_header(chance, header, value);
        return format!("{header:?}");
    }
    let at = chance.below(rows.len() as u64) as usize;
    if chance.percent(10) {
        let other = chance.below(rows.len() as u64) as usize;
        rows.swap(at, other);
        return format!("chunks {at} and {other} swapped");
    }
    match &mut rows[at] {
        ImageRows::Members(rows) => change(chance, rows, |chance, row| damage_member(chance, row, value)),
        ImageRows::Codes(rows) => change(chance, rows, |chance, row| match chance.below(2) {
            0 => row.member = value as u32,
            _ => row.code = chance.of_slice(&["", "a@b", "CODE-1", "code-1"]).into(),
        }),
        ImageRows::Triggers(rows) => change(chance, rows, |chance, row| damage_trigger(chance, row, value)),
        ImageRows::Entries(rows) => {
            change(chance, rows, |chance, row: &mut EntryRow| match chance.below(3) {
                0 => row.amount = value as i64,
                1 => row.receiver = value as u32,
                _ => row.level = value as u32,
            })
        }
        ImageRows::Keys(rows) => change(chance, rows, |chance, row: &mut KeyRow| match chance.below(3) {
            0 => row.key.key[0] ^= 1,
            1 => row.time = Timestamp(value as i64),
            _ => row.applied.lsn = value,
        }),
        ImageRows::Unchanged(rows) => {
            change(chance, rows, |chance, row: &mut UnchangedRow| match chance.below(2) {
                0 => row.lsn = value,
                _ => row.reason = value as u16,
            })
        }
        ImageRows::RowIds(rows) => change(chance, rows, |chance, row: &mut RowIdRow| match chance.below(3) {
            0 => row.id = [value as u8; 16],
            1 => row.index = value as u32,
            _ => row.kind = RowKind::Member,
        }),
        ImageRows::References(rows) => {
            change(chance, rows, |chance, row: &mut ReferenceRow| match chance.below(2) {
                0 => row.trigger = value as u32,
                _ => row.text = chance.of_slice(&["", " ", "order 1", "a\u{200b}"]).into(),
            })
        }
        ImageRows::Reversals(rows) => {
            change(chance, rows, |chance, row: &mut ReversalRow| match chance.below(2) {
                0 => row.entry = value as u32,
                _ => row.reverses = value as u32,
            })
        }
        ImageRows::Once(rows) => change(chance, rows, |chance, row: &mut OnceRow| match chance.below(2) {
            0 => row.member = value as u32,
            _ => row.kind = value as u16,
        }),
    }
}

/// Changes one row of a chunk; describes the result.
fn change<Row: std::fmt::Debug>(
    chance: &mut Chance,
    rows: &mut [Row],
    damage: impl FnOnce(&mut Chance, &mut Row),
) -> String {
    let at = chance.below(rows.len() as u64) as usize;
    damage(chance, &mut rows[at]);
    format!("{:?}", rows[at])
}

fn damage_header(chance: &mut Chance, header: &mut ImageHeader, value: u64) {
    match chance.below(17) {
        14 => header.once = value as u32,
        15 => header.itemized_from = Some(value).filter(|lsn| lsn % 3 != 0),
        16 => {
            let sum = Sum { entries: value, amount: i128::from(value) };
            header.breakage = Breakage::of_parts([sum; 4]);
        }
        12 => header.references = value as u32,
        13 => header.reversals = value as u32,
        9 => header.unchanged = value as u32,
        10 => header.row_ids = value as u32,
        11 => header.unchanged_after = value,
        0 => header.members = value as u32,
        1 => header.codes = value as u32,
        2 => header.triggers = value as u32,
        3 => header.entries = value as u32,
        4 => header.keys = value as u32,
        5 => header.kinds.push("one-more".into()),
        6 => header.kinds.clear(),
        7 => header.plan_version = value as u32,
        _ => header.breakage_amount = value as i64,
    }
}

fn damage_member(chance: &mut Chance, row: &mut MemberRow, value: u64) {
    match chance.below(9) {
        0 => row.id[0] ^= 1,
        1 => row.sponsor = value as u32,
        2 => row.parent = value as u32,
        3 => row.slot = value as u32,
        4 => row.flags = value as u32,
        5 => row.paid_as = value as u16,
        6 => row.lifetime = value as u16,
        7 => row.turn = value as u16,
        _ => row.joined_at = Timestamp(value as i64),
    }
}

fn damage_trigger(chance: &mut Chance, row: &mut TriggerRow, value: u64) {
    match chance.below(7) {
        0 => row.lsn = value,
        1 => row.source = value as u32,
        2 => row.first_entry = value as u32,
        3 => row.plan_version = value as u32,
        4 => row.kind = value as u16,
        5 => row.time = Timestamp(value as i64),
        _ => row.amount = Money::MAX.0 + value as i64 / 2,
    }
}
