//! The frozen form of an image's header, by version.
//!
//! As in `rows.rs`: these types never change.

use std::sync::Arc;

use rkyv::{Archive, Serialize, api::high, rancor};

use super::rows::{Bytes, lengths, texts};
use crate::{
    core::{
        Breakage, BreakageReason, CodeForm, CodeKey, PlanVersion, PlanVersions, Sum,
        plan::Plan,
        sections::{ImageHeader, RowCounts, Section},
        types::Timestamp,
    },
    durability::codec::{self, PlanForm},
};

/// Written by format 1; read-only today.
#[derive(Archive)]
#[expect(dead_code, reason = "only its archived form is used")]
pub(super) struct HeaderV1 {
    lsn: u64,
    time: i64,
    outcome_hash: u64,
    code_key: u64,
    /// As in a `PutPlan` record.
    plan: Vec<u8>,
    plan_version: u32,
    /// Length of each kind's name in bytes; the names are concatenated in `kind_text`.
    kind_length: Vec<u16>,
    kind_text: Vec<u8>,
    breakage_levels: u64,
    breakage_amount: i64,
    members: u32,
    codes: u32,
    triggers: u32,
    entries: u32,
    keys: u32,
}

/// The fields of version 1, followed by those added in format 2. Written by format 2; read-only today.
#[derive(Archive)]
#[expect(dead_code, reason = "only its archived form is used")]
pub(super) struct HeaderV2 {
    lsn: u64,
    time: i64,
    outcome_hash: u64,
    code_key: u64,
    plan: Vec<u8>,
    plan_version: u32,
    kind_length: Vec<u16>,
    kind_text: Vec<u8>,
    breakage_levels: u64,
    breakage_amount: i64,
    members: u32,
    codes: u32,
    triggers: u32,
    entries: u32,
    keys: u32,
    unchanged: u32,
    row_ids: u32,
    unchanged_after: u64,
}

/// The fields of version 2, followed by those added in format 3. Written by format 3; read-only today.
#[derive(Archive)]
#[expect(dead_code, reason = "only its archived form is used")]
pub(super) struct HeaderV3 {
    lsn: u64,
    time: i64,
    outcome_hash: u64,
    code_key: u64,
    plan: Vec<u8>,
    plan_version: u32,
    kind_length: Vec<u16>,
    kind_text: Vec<u8>,
    /// Uses former padding.
    code_form: u8,
    breakage_levels: u64,
    breakage_amount: i64,
    members: u32,
    codes: u32,
    triggers: u32,
    entries: u32,
    keys: u32,
    unchanged: u32,
    row_ids: u32,
    unchanged_after: u64,
    key_lag: i64,
    references: u32,
    reversals: u32,
}

/// The fields of version 3, followed by those added in format 4. Version 5 of the header, of format 6, has
/// the same ones, and in them plans with what they say about orders.
#[derive(Archive, Serialize)]
pub(super) struct HeaderV4 {
    lsn: u64,
    time: i64,
    outcome_hash: u64,
    code_key: u64,
    plan: Vec<u8>,
    plan_version: u32,
    kind_length: Vec<u16>,
    kind_text: Vec<u8>,
    code_form: u8,
    breakage_levels: u64,
    breakage_amount: i64,
    members: u32,
    codes: u32,
    triggers: u32,
    entries: u32,
    keys: u32,
    unchanged: u32,
    row_ids: u32,
    unchanged_after: u64,
    key_lag: i64,
    references: u32,
    reversals: u32,
    /// Of each known plan version, oldest first; the last is that of `plan`. The versions have no gap.
    version_lsn: Vec<u64>,
    version_time: Vec<i64>,
    /// Bytes of each known plan but the last; the plans are concatenated in `earlier_plans`.
    earlier_length: Vec<u32>,
    earlier_plans: Vec<u8>,
    /// Whether the oldest known version began at its LSN, 1, or there or before, 0.
    oldest_is_exact: u8,
    /// 0: breakage is not itemized.
    itemized_from: u64,
    /// By code of the reason.
    breakage_by_levels: Vec<u64>,
    /// Likewise, each as the lower 64 bits and the upper ones with the sign.
    breakage_by_amount: Vec<u64>,
}

/// Returns the archive of an image's header.
///
/// # Errors
/// If the plan has no on-disk form.
pub(super) fn archive_header(header: &ImageHeader, into: Bytes) -> Result<Bytes, String> {
    let mut plan = Vec::new();
    codec::encode_plan(&header.plan, PlanForm::Whole, &mut plan).map_err(|error| error.to_string())?;
    let parts = || BreakageReason::ALL.into_iter().map(|reason| header.breakage.of(reason));
    let (mut earlier_length, mut earlier_plans) = (Vec::new(), Vec::new());
    let versions = header.plans.list();
    for version in versions.iter().rev().skip(1).rev() {
        let before = earlier_plans.len();
        codec::encode_plan(&version.plan, PlanForm::Whole, &mut earlier_plans)
            .map_err(|error| error.to_string())?;
        let length = u32::try_from(earlier_plans.len() - before).map_err(|_| "a plan is too long")?;
        earlier_length.push(length);
    }
    let version = HeaderV4 {
        lsn: header.lsn,
        time: header.time.0,
        outcome_hash: header.outcome_hash,
        code_key: header.code_key.key,
        plan,
        plan_version: header.plan_version,
        kind_length: lengths(header.kinds.iter().map(|kind| kind.len()), "the name of a kind")?,
        kind_text: header.kinds.iter().flat_map(|kind| kind.bytes()).collect(),
        code_form: header.code_key.form as u8,
        breakage_levels: header.breakage_levels,
        breakage_amount: header.breakage_amount,
        members: header.rows[Section::Members],
        codes: header.rows[Section::Codes],
        triggers: header.rows[Section::Triggers],
        entries: header.rows[Section::Entries],
        keys: header.rows[Section::Keys],
        unchanged: header.rows[Section::Unchanged],
        row_ids: header.rows[Section::RowIds],
        unchanged_after: header.unchanged_after,
        key_lag: header.key_lag,
        references: header.rows[Section::References],
        reversals: header.rows[Section::Reversals],
        version_lsn: versions.iter().map(|version| version.lsn).collect(),
        version_time: versions.iter().map(|version| version.time.0).collect(),
        earlier_length,
        earlier_plans,
        oldest_is_exact: u8::from(versions.first().is_some_and(|oldest| oldest.is_exact)),
        itemized_from: header.itemized_from.unwrap_or(0),
        breakage_by_levels: parts().map(|sum| sum.entries).collect(),
        breakage_by_amount: parts().flat_map(|sum| halves(sum.amount)).collect(),
    };
    high::to_bytes_in::<_, rancor::Error>(&version, into).map_err(|error| error.to_string())
}

/// Reads the header from an archive of this version whose checksum was right. The archive counts the rows of
/// the sections that there were in format 3; only the manifest, `manifest`, counts those of later ones.
///
/// # Errors
/// If the archive is not of this version.
pub(super) fn header_of(version: u16, archive: &Bytes, manifest: &RowCounts) -> Result<ImageHeader, String> {
    let form = if version < 5 { PlanForm::WithoutOrders } else { PlanForm::Whole };
    let later = RowCounts::of(|section| if 3 < section.since() { manifest[section] } else { 0 });
    /// Returns counts, with those that an archive has.
    macro_rules! rows {
        ($others:expr, $archived:expr, $($section:ident: $count:ident),+) => {{
            let mut rows = $others;
            $(rows[Section::$section] = $archived.$count.to_native();)+
            rows
        }};
    }
    /// The fields that all versions have. Format 1 did not record which commands changed nothing: this is
    /// recorded from the snapshot's LSN on.
    macro_rules! common {
        ($archived:expr) => {{
            let archived = $archived;
            let plan = plan_of(&archived.plan, form)?;
            let (lsn, time) = (archived.lsn.to_native(), Timestamp(archived.time.to_native()));
            let plan_version = archived.plan_version.to_native();
            ImageHeader {
                lsn,
                time,
                outcome_hash: archived.outcome_hash.to_native(),
                code_key: CodeKey { key: archived.code_key.to_native(), form: CodeForm::Any },
                // Formats before 4 kept the plan in force alone.
                plans: PlanVersions::of_one(plan_version, plan.clone(), lsn, time),
                plan,
                plan_version,
                kinds: texts(
                    archived.kind_length.iter().map(|length| usize::from(length.to_native())),
                    &archived.kind_text,
                )?,
                breakage_levels: archived.breakage_levels.to_native(),
                breakage_amount: archived.breakage_amount.to_native(),
                rows: rows!(
                    later, archived,
                    Members: members, Codes: codes, Triggers: triggers, Entries: entries, Keys: keys
                ),
                unchanged_after: lsn,
                key_lag: 0,
                itemized_from: None,
                breakage: Breakage::default(),
            }
        }};
    }
    /// The fields added in format 2.
    macro_rules! since_2 {
        ($archived:expr) => {{
            let archived = $archived;
            let common = common!(archived);
            ImageHeader {
                rows: rows!(common.rows, archived, Unchanged: unchanged, RowIds: row_ids),
                unchanged_after: archived.unchanged_after.to_native(),
                ..common
            }
        }};
    }
    /// The fields added in format 3.
    macro_rules! since_3 {
        ($archived:expr) => {{
            let archived = $archived;
            let form = CodeForm::from_repr(archived.code_form).ok_or("an unknown form of generated codes")?;
            let before = since_2!(archived);
            ImageHeader {
                code_key: CodeKey { key: archived.code_key.to_native(), form },
                key_lag: archived.key_lag.to_native(),
                rows: rows!(before.rows, archived, References: references, Reversals: reversals),
                ..before
            }
        }};
    }
    match version {
        1 => {
            let archived = high::access::<ArchivedHeaderV1, rancor::Error>(archive)
                .map_err(|error| error.to_string())?;
            Ok(common!(archived))
        }
        2 => {
            let archived = high::access::<ArchivedHeaderV2, rancor::Error>(archive)
                .map_err(|error| error.to_string())?;
            Ok(since_2!(archived))
        }
        3 => {
            let archived = high::access::<ArchivedHeaderV3, rancor::Error>(archive)
                .map_err(|error| error.to_string())?;
            Ok(since_3!(archived))
        }
        _ => {
            let archived = high::access::<ArchivedHeaderV4, rancor::Error>(archive)
                .map_err(|error| error.to_string())?;
            let levels: Vec<u64> = archived.breakage_by_levels.iter().map(|part| part.to_native()).collect();
            let amounts: Vec<u64> = archived.breakage_by_amount.iter().map(|part| part.to_native()).collect();
            let header = ImageHeader {
                itemized_from: Some(archived.itemized_from.to_native()).filter(|lsn| *lsn != 0),
                breakage: breakage_of(&levels, &amounts).ok_or("breakage by unknown reasons")?,
                ..since_3!(archived)
            };
            let plans = versions_of(archived, &header, form)?;
            Ok(ImageHeader { plans, ..header })
        }
    }
}

/// Splits a sum into its lower 64 bits and the upper ones.
#[expect(clippy::cast_possible_truncation, reason = "splits 128 bits")]
fn halves(sum: i128) -> [u64; 2] {
    let sum = sum.cast_unsigned();
    [sum as u64, (sum >> 64) as u64]
}

fn breakage_of(levels: &[u64], amounts: &[u64]) -> Option<Breakage> {
    let (pairs, []) = amounts.as_chunks::<2>() else { return None };
    if pairs.len() != levels.len() {
        return None;
    }
    let sums = levels.iter().zip(pairs).map(|(levels, [low, high])| Sum {
        entries: *levels,
        amount: i128::from(high.cast_signed()) << 64 | i128::from(*low),
    });
    sums.collect::<Vec<_>>().try_into().ok().map(Breakage::of_parts)
}

/// Reads a plan that fills `bytes`.
fn plan_of(bytes: &[u8], form: PlanForm) -> Result<Plan, String> {
    let mut plan = codec::Reader::new(bytes);
    let decoded = codec::decode_plan(&mut plan, form).and_then(|decoded| plan.finish().map(|()| decoded));
    decoded.map_err(|error| error.to_string())
}

/// Reads the plan versions.
fn versions_of(
    archived: &ArchivedHeaderV4,
    header: &ImageHeader,
    form: PlanForm,
) -> Result<PlanVersions, String> {
    let count = archived.version_lsn.len();
    let in_step = archived.version_time.len() == count && archived.earlier_length.len() + 1 == count;
    let first =
        u32::try_from(count).ok().and_then(|count| header.plan_version.checked_add(1)?.checked_sub(count));
    let first = first.filter(|_| in_step).ok_or("plan versions in columns of different lengths")?;
    let mut rest: &[u8] = &archived.earlier_plans;
    let mut versions = Vec::with_capacity(count);
    for (number, at) in (first..).zip(0..count) {
        let plan = match archived.earlier_length.get(at) {
            Some(length) => {
                let length = length.to_native() as usize;
                let (plan, after) = rest.split_at_checked(length).ok_or("the earlier plans are cut off")?;
                rest = after;
                plan_of(plan, form)?
            }
            None => header.plan.clone(),
        };
        versions.push(PlanVersion {
            version: number,
            lsn: archived.version_lsn[at].to_native(),
            time: Timestamp(archived.version_time[at].to_native()),
            is_exact: at != 0 || archived.oldest_is_exact != 0,
            plan: Arc::new(plan),
        });
    }
    if !rest.is_empty() {
        return Err("the earlier plans are too long".into());
    }
    PlanVersions::of_list(versions, header.lsn)
}
