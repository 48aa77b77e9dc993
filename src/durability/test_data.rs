//! Commands, plans and images that the tests of this layer share. They need not make sense together: this
//! layer knows no rules.

use std::sync::Arc;

use crate::core::{
    Breakage, BreakageReason, PlanVersion, PlanVersions, RowKind, Sum,
    command::{
        Command, Origin, Outcome, PlacementRequest, Register, Rejection, RequestKey, SponsorRef, Stamped,
    },
    plan::{
        BonusRule, Currency, LevelPay, Placement, PlacementRule, Plan, RankBasis, RankRule, RankStep,
        commerce::Commerce,
    },
    sections::{self, ImageHeader, ImageRows, RowCounts, Section, sections},
    types::{EntryStatus, MemberId, MemberIx, Money, Role, Timestamp, Tree},
};

pub(crate) fn plan() -> Plan {
    Plan {
        name: "matrix".into(),
        currency: Currency { code: *b"USD", exponent: 2 },
        placement: Placement {
            width: Some(3),
            default_rule: PlacementRule::BreadthFirst,
            other_rules: vec![PlacementRule::Balanced, PlacementRule::PowerLeg],
            strategic: true,
        },
        count_sponsor_tree: true,
        level_cap: 15,
        bonuses: vec![BonusRule {
            trigger: "referral".into(),
            tree: Tree::Placement,
            pay: LevelPay::Fixed(vec![Money(1_000), Money(500), Money(200), Money(100)]),
            on_registration: false,
            admins_beyond: false,
        }],
        commerce: Commerce::default(),
        ranks: RankRule::Thresholds {
            tree: Tree::Sponsor,
            basis: RankBasis::Direct,
            steps: vec![
                RankStep { name: "Bronze".into(), minimum: 3, reward: None },
                RankStep { name: "Silver".into(), minimum: 10, reward: Some(Money(5_000)) },
            ],
        },
    }
}

/// Returns a signup whose content follows from its LSN.
pub(crate) fn signup(lsn: u64) -> Stamped {
    let mut id = [0x40; 16];
    id[..8].copy_from_slice(&lsn.to_be_bytes());
    Stamped {
        lsn,
        time: Timestamp(1_700_000_000_000_000 + lsn.cast_signed() * 1_000),
        key: lsn.is_multiple_of(3).then_some(RequestKey { key: [7; 16], fingerprint: lsn }),
        actor: None,
        format: 1,
        command: Command::Register(Register {
            member: MemberId(id),
            sponsor: SponsorRef::None,
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        }),
    }
}

/// Returns signups with these LSNs.
pub(crate) fn group(first: u64, count: u64) -> Vec<Stamped> {
    (first..first + count).map(signup).collect()
}

/// Returns the assumed outcome hash before a group.
pub(crate) fn outcome_hash(lsn: u64) -> u64 {
    lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Returns the plan versions of an image: as many of three as its LSN allows.
fn versions(lsn: u64) -> PlanVersions {
    let version = |version: u32, lsn: u64| PlanVersion {
        version,
        lsn,
        time: Timestamp(lsn.cast_signed()),
        is_exact: true,
        plan: Arc::new(Plan { level_cap: 15 - u8::try_from(version).expect("few"), ..plan() }),
    };
    let all = [version(1, 0), version(2, 1), version(3, 2)].into_iter().filter(|version| version.lsn <= lsn);
    PlanVersions::of_list(all.collect(), lsn).expect("in order")
}

/// Returns an image at an LSN with this many members, and rows in all sections.
pub(crate) fn image(lsn: u64, members: u32) -> (ImageHeader, Vec<ImageRows>) {
    let plans = versions(lsn);
    let last = plans.list().last().expect("the first plan is there");
    let counts = RowCounts::of(|section| match section {
        Section::Members | Section::Entries => members,
        section => members / (1 + u32::try_from(section.position()).unwrap()),
    });
    let header = ImageHeader {
        lsn,
        time: Timestamp(1_700_000_000_000_000 + lsn.cast_signed() * 1_000),
        key_lag: 6,
        outcome_hash: outcome_hash(lsn + 1),
        code_key: 77.into(),
        plan: (*last.plan).clone(),
        plan_version: last.version,
        plans: plans.clone(),
        kinds: vec!["referral".into(), "rank:1".into()],
        breakage_levels: 3,
        breakage_amount: -4,
        itemized_from: (lsn != 0).then_some(1),
        breakage: Breakage::of_parts([Sum { entries: 3, amount: -(1 << 70) }; BreakageReason::ALL.len()]),
        rows: counts,
        unchanged_after: lsn / 2,
    };
    let mut rows: Vec<ImageRows> =
        Section::IN_ORDER.map(|section| sample_rows(section, counts[section])).into();
    rows.retain(|rows| !rows.is_empty());
    (header, rows)
}

/// A field of the `at`-th row of an image.
trait Sample {
    fn sample(at: u32) -> Self;
}

macro_rules! samples {
    ($($type:ty: |$at:ident| $sample:expr;)+) => {
        $(
            impl Sample for $type {
                fn sample($at: u32) -> Self {
                    $sample
                }
            }
        )+
    };
}
samples! {
    u8: |at| u8::try_from(at % 200).unwrap();
    [u8; 32]: |at| [u8::try_from(at % 200).unwrap(); 32];
    u16: |at| u16::try_from(at % 60_000).unwrap();
    u32: |at| at;
    u64: |at| u64::from(at) * 2;
    i64: |at| i64::from(at) * 3 - 5;
    [u8; 16]: |at| u128::from(at).to_le_bytes();
    Box<str>: |at| format!("Text-{at}").into();
    Timestamp: |at| Timestamp(i64::from(at) * 13);
    EntryStatus: |at| if at.is_multiple_of(2) { EntryStatus::Paid } else { EntryStatus::Pending };
    RowKind: |at| RowKind::ALL[at as usize % 2];
    Outcome: |at| match at {
        0 => Outcome::Rejected(Rejection::SlotTaken),
        at => Outcome::Registered { member: MemberIx(at) },
    };
}

macro_rules! samples_of_sections {
    ($(
        $number:literal $section:ident $name:literal since $since:literal:
        $row:ident $(in $part:ident.$list:ident: $List:ident)? { $($column:ident: $stored:ty),+ $(,)? }
        $(before $version:literal: $older:ident { $($older_columns:tt)* })*
    )+) => {
        fn sample_rows(section: Section, count: u32) -> ImageRows {
            match section {
                $(Section::$section => ImageRows::$section(
                    (0..count).map(|at| sections::$row { $($column: Sample::sample(at),)+ }).collect(),
                ),)+
            }
        }

        /// Joins chunks of the same section.
        pub(crate) fn joined(chunks: impl IntoIterator<Item = ImageRows>) -> Vec<ImageRows> {
            let mut all: Vec<ImageRows> = Vec::new();
            for rows in chunks {
                match (all.last_mut(), rows) {
                    $((Some(ImageRows::$section(before)), ImageRows::$section(rows)) => before.extend(rows),)+
                    (_, rows) => all.push(rows),
                }
            }
            all
        }
    };
}
sections!(samples_of_sections);
