//! Corrupt images. Checksums detect damaged files; this is about rows that were written wrong: restoring them
//! must end in a refusal, or in a state that an audit can judge, and never in a panic.

use std::panic::{self, AssertUnwindSafe};

use upline::{
    core::{
        Breakage, Restore, RowKind, Sum, audit,
        command::{Outcome, Stamped},
        sections::{ImageHeader, ImageRows, Section, sections},
        state::State,
        types::{EntryStatus, MemberIx, Timestamp, Tree},
    },
    shapes::Shape,
    workload,
};

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
    damage_row(chance, &mut rows[at], value)
}

fn damage_header(chance: &mut Chance, header: &mut ImageHeader, value: u64) {
    match chance.below(16) {
        0 => header.unchanged_after = value,
        1 => header.kinds.push("one-more".into()),
        2 => header.kinds.clear(),
        3 => header.plan_version = value as u32,
        4 => header.breakage_amount = value as i64,
        5 => header.itemized_from = Some(value).filter(|lsn| lsn % 3 != 0),
        6 => {
            let sum = Sum { entries: value, amount: i128::from(value) };
            header.breakage = Breakage::of_parts([sum; 4]);
        }
        _ => header.rows[chance.of_slice(&Section::IN_ORDER)] = value as u32,
    }
}

macro_rules! damages_of_sections {
    ($(
        $number:literal $section:ident $name:literal since $since:literal:
        $row:ident $(in $part:ident.$list:ident: $List:ident)? { $($column:ident: $stored:ty),+ $(,)? }
        $(before $version:literal: $older:ident { $($older_columns:tt)* })*
    )+) => {
        /// Changes one field of one row of a chunk; describes the row.
        fn damage_row(chance: &mut Chance, rows: &mut ImageRows, value: u64) -> String {
            match rows {
                $(ImageRows::$section(rows) => {
                    let at = chance.below(rows.len() as u64) as usize;
                    let row = &mut rows[at];
                    let fields: &mut [&mut dyn Field] = &mut [$(&mut row.$column,)+];
                    let field = chance.below(fields.len() as u64) as usize;
                    fields[field].damage(chance, value);
                    format!("{row:?}")
                },)+
            }
        }
    };
}
sections!(damages_of_sections);

/// A field of a row.
trait Field {
    /// Gives it another value.
    fn damage(&mut self, chance: &mut Chance, value: u64);
}

macro_rules! fields {
    ($($type:ty: |$field:ident, $chance:ident, $value:ident| $damage:expr;)+) => {
        $(
            impl Field for $type {
                fn damage(&mut self, $chance: &mut Chance, $value: u64) {
                    let $field = self;
                    $damage;
                }
            }
        )+
    };
}
fields! {
    u8: |field, _chance, value| *field = value as u8;
    u16: |field, _chance, value| *field = value as u16;
    u32: |field, _chance, value| *field = value as u32;
    u64: |field, _chance, value| *field = value;
    i64: |field, _chance, value| *field = value as i64;
    [u8; 16]: |field, chance, value| match chance.below(2) {
        0 => field[0] ^= 1,
        _ => *field = [value as u8; 16],
    };
    [u8; 32]: |field, _chance, value| *field = [value as u8; 32];
    Timestamp: |field, _chance, value| field.0 = value as i64;
    Box<str>: |field, chance, _value| *field = chance.of_slice(
        &["", " ", "a@b", "CODE-1", "code-1", "a\u{200b}"]
    ).into();
    EntryStatus: |field, chance, _value| *field = chance.of_slice(&EntryStatus::ALL);
    RowKind: |field, chance, _value| *field = chance.of_slice(&RowKind::ALL);
    Outcome: |field, _chance, value| *field = Outcome::AllPaid { entries: value };
}
