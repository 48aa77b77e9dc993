//! The frozen form of rows, by version. Rows are stored as columns: whole columns are copied, where rows
//! would be written field by field.
//!
//! These types are the format: they never change. A new version gets new types, with an upgrade from these.

use rkyv::{Archive, Serialize, api::high, rancor, util::AlignedVec};

use super::container::Section;
use crate::{
    core::{
        RowKind,
        command::{Applied, RequestKey},
        image::{
            CodeRow, EntryRow, ImageRows, KeyRow, MemberRow, OnceRow, ReferenceRow, ReversalRow, RowIdRow,
            TriggerRow, UnchangedRow,
        },
        types::{EntryStatus, Timestamp},
    },
    durability::codec::{self, OUTCOME_BYTES},
};

#[derive(Archive, Serialize)]
pub(super) struct MembersV1 {
    ids: Vec<[u8; 16]>,
    joined_at: Vec<i64>,
    sponsor: Vec<u32>,
    parent: Vec<u32>,
    slot: Vec<u32>,
    flags: Vec<u32>,
    paid_as: Vec<u16>,
    lifetime: Vec<u16>,
    turn: Vec<u16>,
}

#[derive(Archive, Serialize)]
pub(super) struct CodesV1 {
    member: Vec<u32>,
    /// Length of each code in bytes; the codes are concatenated in `text`.
    length: Vec<u8>,
    text: Vec<u8>,
}

#[derive(Archive, Serialize)]
pub(super) struct TriggersV1 {
    lsn: Vec<u64>,
    time: Vec<i64>,
    amount: Vec<i64>,
    source: Vec<u32>,
    first_entry: Vec<u32>,
    plan_version: Vec<u32>,
    kind: Vec<u16>,
}

#[derive(Archive, Serialize)]
pub(super) struct EntriesV1 {
    amount: Vec<i64>,
    receiver: Vec<u32>,
    level: Vec<u32>,
    status: Vec<u8>,
}

#[derive(Archive, Serialize)]
pub(super) struct KeysV1 {
    key: Vec<[u8; 16]>,
    fingerprint: Vec<u64>,
    time: Vec<i64>,
    lsn: Vec<u64>,
    outcome: Vec<[u8; OUTCOME_BYTES]>,
}

#[derive(Archive, Serialize)]
pub(super) struct UnchangedV1 {
    lsn: Vec<u64>,
    reason: Vec<u16>,
}

#[derive(Archive, Serialize)]
pub(super) struct RowIdsV1 {
    id: Vec<[u8; 16]>,
    index: Vec<u32>,
    kind: Vec<u8>,
}

#[derive(Archive, Serialize)]
pub(super) struct ReferencesV1 {
    trigger: Vec<u32>,
    /// Length of each reference in bytes; the references are concatenated in `text`.
    length: Vec<u16>,
    text: Vec<u8>,
}

#[derive(Archive, Serialize)]
pub(super) struct ReversalsV1 {
    entry: Vec<u32>,
    reverses: Vec<u32>,
}

#[derive(Archive, Serialize)]
pub(super) struct OnceV1 {
    member: Vec<u32>,
    kind: Vec<u16>,
}

/// Archives are written to and read from memory of this alignment.
pub(super) type Bytes = AlignedVec<16>;

/// A part of an image's rows, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowsRef<'a> {
    Members(&'a [MemberRow]),
    Codes(&'a [CodeRow]),
    Triggers(&'a [TriggerRow]),
    Entries(&'a [EntryRow]),
    Keys(&'a [KeyRow]),
    Unchanged(&'a [UnchangedRow]),
    RowIds(&'a [RowIdRow]),
    References(&'a [ReferenceRow]),
    Reversals(&'a [ReversalRow]),
    Once(&'a [OnceRow]),
}

impl<'a> RowsRef<'a> {
    pub(super) fn new(rows: &'a ImageRows) -> Self {
        match rows {
            ImageRows::Members(rows) => Self::Members(rows),
            ImageRows::Codes(rows) => Self::Codes(rows),
            ImageRows::Triggers(rows) => Self::Triggers(rows),
            ImageRows::Entries(rows) => Self::Entries(rows),
            ImageRows::Keys(rows) => Self::Keys(rows),
            ImageRows::Unchanged(rows) => Self::Unchanged(rows),
            ImageRows::RowIds(rows) => Self::RowIds(rows),
            ImageRows::References(rows) => Self::References(rows),
            ImageRows::Reversals(rows) => Self::Reversals(rows),
            ImageRows::Once(rows) => Self::Once(rows),
        }
    }

    pub(super) fn section(self) -> Section {
        match self {
            Self::Members(_) => Section::Members,
            Self::Codes(_) => Section::Codes,
            Self::Triggers(_) => Section::Triggers,
            Self::Entries(_) => Section::Entries,
            Self::Keys(_) => Section::Keys,
            Self::Unchanged(_) => Section::Unchanged,
            Self::RowIds(_) => Section::RowIds,
            Self::References(_) => Section::References,
            Self::Reversals(_) => Section::Reversals,
            Self::Once(_) => Section::Once,
        }
    }

    pub(super) fn len(self) -> usize {
        match self {
            Self::Members(rows) => rows.len(),
            Self::Codes(rows) => rows.len(),
            Self::Triggers(rows) => rows.len(),
            Self::Entries(rows) => rows.len(),
            Self::Keys(rows) => rows.len(),
            Self::Unchanged(rows) => rows.len(),
            Self::RowIds(rows) => rows.len(),
            Self::References(rows) => rows.len(),
            Self::Reversals(rows) => rows.len(),
            Self::Once(rows) => rows.len(),
        }
    }

    /// Returns the first `most` rows, and the rest.
    pub(super) fn split(self, most: usize) -> (Self, Self) {
        fn cut<T>(rows: &[T], most: usize) -> (&[T], &[T]) {
            rows.split_at(most.min(rows.len()))
        }
        match self {
            Self::Members(rows) => (Self::Members(cut(rows, most).0), Self::Members(cut(rows, most).1)),
            Self::Codes(rows) => (Self::Codes(cut(rows, most).0), Self::Codes(cut(rows, most).1)),
            Self::Triggers(rows) => (Self::Triggers(cut(rows, most).0), Self::Triggers(cut(rows, most).1)),
            Self::Entries(rows) => (Self::Entries(cut(rows, most).0), Self::Entries(cut(rows, most).1)),
            Self::Keys(rows) => (Self::Keys(cut(rows, most).0), Self::Keys(cut(rows, most).1)),
            Self::Unchanged(rows) => (Self::Unchanged(cut(rows, most).0), Self::Unchanged(cut(rows, most).1)),
            Self::RowIds(rows) => (Self::RowIds(cut(rows, most).0), Self::RowIds(cut(rows, most).1)),
            Self::References(rows) => {
                (Self::References(cut(rows, most).0), Self::References(cut(rows, most).1))
            }
            Self::Reversals(rows) => (Self::Reversals(cut(rows, most).0), Self::Reversals(cut(rows, most).1)),
            Self::Once(rows) => (Self::Once(cut(rows, most).0), Self::Once(cut(rows, most).1)),
        }
    }

    /// Returns the rows' archive; reuses the memory of `into`.
    ///
    /// # Errors
    /// If a row has no on-disk form.
    pub(super) fn archive(self, mut into: Bytes) -> Result<Bytes, String> {
        into.clear();
        let archived = match self {
            Self::Members(rows) => high::to_bytes_in::<_, rancor::Error>(&MembersV1::new(rows), into),
            Self::Codes(rows) => high::to_bytes_in::<_, rancor::Error>(&CodesV1::new(rows)?, into),
            Self::Triggers(rows) => high::to_bytes_in::<_, rancor::Error>(&TriggersV1::new(rows), into),
            Self::Entries(rows) => high::to_bytes_in::<_, rancor::Error>(&EntriesV1::new(rows), into),
            Self::Keys(rows) => high::to_bytes_in::<_, rancor::Error>(&KeysV1::new(rows), into),
            Self::Unchanged(rows) => high::to_bytes_in::<_, rancor::Error>(&UnchangedV1::new(rows), into),
            Self::RowIds(rows) => high::to_bytes_in::<_, rancor::Error>(&RowIdsV1::new(rows), into),
            Self::References(rows) => high::to_bytes_in::<_, rancor::Error>(&ReferencesV1::new(rows)?, into),
            Self::Reversals(rows) => high::to_bytes_in::<_, rancor::Error>(&ReversalsV1::new(rows), into),
            Self::Once(rows) => high::to_bytes_in::<_, rancor::Error>(&OnceV1::new(rows), into),
        };
        archived.map_err(|error| error.to_string())
    }
}

/// Returns the lengths of some texts, as narrow as the format has them.
pub(super) fn lengths<T: TryFrom<usize>>(
    lengths: impl Iterator<Item = usize>,
    what: &str,
) -> Result<Vec<T>, String> {
    lengths.map(|length| T::try_from(length).map_err(|_| format!("{what} of {length} bytes"))).collect()
}

/// Splits the texts concatenated in `text`.
pub(super) fn texts(lengths: impl Iterator<Item = usize>, text: &[u8]) -> Result<Vec<Box<str>>, String> {
    let mut rest = text;
    let mut take = |length: usize| -> Result<Box<str>, String> {
        let (taken, after) = rest.split_at_checked(length).ok_or("a column of texts is too short")?;
        rest = after;
        Ok(std::str::from_utf8(taken).map_err(|error| error.to_string())?.into())
    };
    let texts = lengths.map(&mut take).collect::<Result<_, _>>()?;
    if rest.is_empty() { Ok(texts) } else { Err("a column of texts is too long".into()) }
}

/// One column of some rows.
fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

impl MembersV1 {
    fn new(rows: &[MemberRow]) -> Self {
        Self {
            ids: column(rows, |row| row.id),
            joined_at: column(rows, |row| row.joined_at.0),
            sponsor: column(rows, |row| row.sponsor),
            parent: column(rows, |row| row.parent),
            slot: column(rows, |row| row.slot),
            flags: column(rows, |row| row.flags),
            paid_as: column(rows, |row| row.paid_as),
            lifetime: column(rows, |row| row.lifetime),
            turn: column(rows, |row| row.turn),
        }
    }
}

impl CodesV1 {
    fn new(rows: &[CodeRow]) -> Result<Self, String> {
        Ok(Self {
            member: column(rows, |row| row.member),
            length: lengths(rows.iter().map(|row| row.code.len()), "a referral code")?,
            text: rows.iter().flat_map(|row| row.code.bytes()).collect(),
        })
    }
}

impl TriggersV1 {
    fn new(rows: &[TriggerRow]) -> Self {
        Self {
            lsn: column(rows, |row| row.lsn),
            time: column(rows, |row| row.time.0),
            amount: column(rows, |row| row.amount),
            source: column(rows, |row| row.source),
            first_entry: column(rows, |row| row.first_entry),
            plan_version: column(rows, |row| row.plan_version),
            kind: column(rows, |row| row.kind),
        }
    }
}

impl EntriesV1 {
    fn new(rows: &[EntryRow]) -> Self {
        Self {
            amount: column(rows, |row| row.amount),
            receiver: column(rows, |row| row.receiver),
            level: column(rows, |row| row.level),
            status: column(rows, |row| row.status as u8),
        }
    }
}

impl KeysV1 {
    fn new(rows: &[KeyRow]) -> Self {
        Self {
            key: column(rows, |row| row.key.key),
            fingerprint: column(rows, |row| row.key.fingerprint),
            time: column(rows, |row| row.time.0),
            lsn: column(rows, |row| row.applied.lsn),
            outcome: column(rows, |row| codec::encode_outcome(row.applied.outcome)),
        }
    }
}

impl UnchangedV1 {
    fn new(rows: &[UnchangedRow]) -> Self {
        Self { lsn: column(rows, |row| row.lsn), reason: column(rows, |row| row.reason) }
    }
}

impl RowIdsV1 {
    fn new(rows: &[RowIdRow]) -> Self {
        Self {
            id: column(rows, |row| row.id),
            index: column(rows, |row| row.index),
            kind: column(rows, |row| row.kind as u8),
        }
    }
}

impl ReferencesV1 {
    fn new(rows: &[ReferenceRow]) -> Result<Self, String> {
        Ok(Self {
            trigger: column(rows, |row| row.trigger),
            length: lengths(rows.iter().map(|row| row.text.len()), "a reference")?,
            text: rows.iter().flat_map(|row| row.text.bytes()).collect(),
        })
    }
}

impl ReversalsV1 {
    fn new(rows: &[ReversalRow]) -> Self {
        Self { entry: column(rows, |row| row.entry), reverses: column(rows, |row| row.reverses) }
    }
}

impl OnceV1 {
    fn new(rows: &[OnceRow]) -> Self {
        Self { member: column(rows, |row| row.member), kind: column(rows, |row| row.kind) }
    }
}

/// Reads the rows of an archive whose checksum was right.
///
/// # Errors
/// If the archive is not of this version, or does not hold `count` rows.
pub(super) fn rows_of(section: Section, count: u32, archive: &Bytes) -> Result<ImageRows, String> {
    let count = count as usize;
    match section {
        Section::Header => Err("a header where rows should be".into()),
        Section::Members => members_of(count, archive).map(ImageRows::Members),
        Section::Codes => codes_of(count, archive).map(ImageRows::Codes),
        Section::Triggers => triggers_of(count, archive).map(ImageRows::Triggers),
        Section::Entries => entries_of(count, archive).map(ImageRows::Entries),
        Section::Keys => keys_of(count, archive).map(ImageRows::Keys),
        Section::Unchanged => unchanged_of(count, archive).map(ImageRows::Unchanged),
        Section::RowIds => row_ids_of(count, archive).map(ImageRows::RowIds),
        Section::References => references_of(count, archive).map(ImageRows::References),
        Section::Reversals => reversals_of(count, archive).map(ImageRows::Reversals),
        Section::Once => once_of(count, archive).map(ImageRows::Once),
    }
}

fn check_lengths(count: usize, lengths: &[usize]) -> Result<(), String> {
    if lengths.iter().all(|length| *length == count) {
        Ok(())
    } else {
        Err("columns of different lengths".into())
    }
}

fn members_of(count: usize, archive: &Bytes) -> Result<Vec<MemberRow>, String> {
    let rows =
        high::access::<ArchivedMembersV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    let lengths = [
        rows.ids.len(),
        rows.joined_at.len(),
        rows.sponsor.len(),
        rows.parent.len(),
        rows.slot.len(),
        rows.flags.len(),
    ];
    check_lengths(count, &lengths)?;
    check_lengths(count, &[rows.paid_as.len(), rows.lifetime.len(), rows.turn.len()])?;
    let row = |at: usize| MemberRow {
        id: rows.ids[at],
        joined_at: Timestamp(rows.joined_at[at].to_native()),
        sponsor: rows.sponsor[at].to_native(),
        parent: rows.parent[at].to_native(),
        slot: rows.slot[at].to_native(),
        flags: rows.flags[at].to_native(),
        paid_as: rows.paid_as[at].to_native(),
        lifetime: rows.lifetime[at].to_native(),
        turn: rows.turn[at].to_native(),
    };
    Ok((0..count).map(row).collect())
}

fn codes_of(count: usize, archive: &Bytes) -> Result<Vec<CodeRow>, String> {
    let rows = high::access::<ArchivedCodesV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    check_lengths(count, &[rows.member.len(), rows.length.len()])?;
    let codes = texts(rows.length.iter().map(|length| usize::from(*length)), &rows.text)?;
    Ok(rows
        .member
        .iter()
        .zip(codes)
        .map(|(member, code)| CodeRow { member: member.to_native(), code })
        .collect())
}

fn triggers_of(count: usize, archive: &Bytes) -> Result<Vec<TriggerRow>, String> {
    let rows =
        high::access::<ArchivedTriggersV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    check_lengths(count, &[rows.lsn.len(), rows.time.len(), rows.amount.len(), rows.source.len()])?;
    check_lengths(count, &[rows.first_entry.len(), rows.plan_version.len(), rows.kind.len()])?;
    let row = |at: usize| TriggerRow {
        lsn: rows.lsn[at].to_native(),
        time: Timestamp(rows.time[at].to_native()),
        amount: rows.amount[at].to_native(),
        source: rows.source[at].to_native(),
        first_entry: rows.first_entry[at].to_native(),
        plan_version: rows.plan_version[at].to_native(),
        kind: rows.kind[at].to_native(),
    };
    Ok((0..count).map(row).collect())
}

fn entries_of(count: usize, archive: &Bytes) -> Result<Vec<EntryRow>, String> {
    let rows =
        high::access::<ArchivedEntriesV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    check_lengths(count, &[rows.amount.len(), rows.receiver.len(), rows.level.len(), rows.status.len()])?;
    let row = |at: usize| {
        Ok(EntryRow {
            amount: rows.amount[at].to_native(),
            receiver: rows.receiver[at].to_native(),
            level: rows.level[at].to_native(),
            status: EntryStatus::from_code(rows.status[at]).ok_or("an unknown entry status")?,
        })
    };
    (0..count).map(row).collect()
}

fn keys_of(count: usize, archive: &Bytes) -> Result<Vec<KeyRow>, String> {
    let rows = high::access::<ArchivedKeysV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    check_lengths(
        count,
        &[rows.key.len(), rows.fingerprint.len(), rows.time.len(), rows.lsn.len(), rows.outcome.len()],
    )?;
    let row = |at: usize| {
        let outcome = codec::decode_outcome(&rows.outcome[at]).map_err(|error| error.to_string())?;
        Ok(KeyRow {
            key: RequestKey { key: rows.key[at], fingerprint: rows.fingerprint[at].to_native() },
            time: Timestamp(rows.time[at].to_native()),
            applied: Applied { outcome, lsn: rows.lsn[at].to_native() },
        })
    };
    (0..count).map(row).collect()
}

fn unchanged_of(count: usize, archive: &Bytes) -> Result<Vec<UnchangedRow>, String> {
    let rows =
        high::access::<ArchivedUnchangedV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    check_lengths(count, &[rows.lsn.len(), rows.reason.len()])?;
    Ok((0..count)
        .map(|at| UnchangedRow { lsn: rows.lsn[at].to_native(), reason: rows.reason[at].to_native() })
        .collect())
}

fn row_ids_of(count: usize, archive: &Bytes) -> Result<Vec<RowIdRow>, String> {
    let rows = high::access::<ArchivedRowIdsV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    check_lengths(count, &[rows.id.len(), rows.index.len(), rows.kind.len()])?;
    let row = |at: usize| {
        let kind = RowKind::from_code(rows.kind[at]).ok_or("an unknown kind of row")?;
        Ok(RowIdRow { id: rows.id[at], kind, index: rows.index[at].to_native() })
    };
    (0..count).map(row).collect()
}

fn references_of(count: usize, archive: &Bytes) -> Result<Vec<ReferenceRow>, String> {
    let rows =
        high::access::<ArchivedReferencesV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    check_lengths(count, &[rows.trigger.len(), rows.length.len()])?;
    let all = texts(rows.length.iter().map(|length| usize::from(length.to_native())), &rows.text)?;
    Ok(rows
        .trigger
        .iter()
        .zip(all)
        .map(|(trigger, text)| ReferenceRow { trigger: trigger.to_native(), text })
        .collect())
}

fn reversals_of(count: usize, archive: &Bytes) -> Result<Vec<ReversalRow>, String> {
    let rows =
        high::access::<ArchivedReversalsV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    check_lengths(count, &[rows.entry.len(), rows.reverses.len()])?;
    Ok((0..count)
        .map(|at| ReversalRow { entry: rows.entry[at].to_native(), reverses: rows.reverses[at].to_native() })
        .collect())
}

fn once_of(count: usize, archive: &Bytes) -> Result<Vec<OnceRow>, String> {
    let rows = high::access::<ArchivedOnceV1, rancor::Error>(archive).map_err(|error| error.to_string())?;
    check_lengths(count, &[rows.member.len(), rows.kind.len()])?;
    Ok((0..count)
        .map(|at| OnceRow { member: rows.member[at].to_native(), kind: rows.kind[at].to_native() })
        .collect())
}
