//! The opening state: what members bring from before the first period. Rows never change. They ascend, by
//! member, kind, name, and what else tells rows of a kind apart, so that those of a member are found by
//! halving, and no row is there twice.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use bytemuck::{Pod, Zeroable};

use crate::core::{
    requests::{
        command::Rejection,
        opening::{
            OPENING_DECIMALS_MAX, OPENING_HELD_MAX, OpeningEntry, OpeningKind, OpeningText, OpeningValue,
        },
    },
    store::{
        column::freeze_fields,
        held::holds_nothing,
        rows::{Rows, SoFar, require},
        search::partition_point,
        settled::Settled,
        texts::Texts,
    },
    words::types::{MemberId, MemberIx, NONE, Timestamp},
};

/// Rows of a network.
pub const OPENING_ROWS_MAX: usize = 1 << 31;
/// Rows of a member: they are shown together.
pub const OPENING_MEMBER_ROWS_MAX: usize = 1_000;
/// Sums that are kept: of each kind by name, and by what [`OpeningTotal`] has.
pub const OPENING_TOTALS_MAX: usize = 1_000;

/// The time of a row that has none.
const NO_TIME: Timestamp = Timestamp(i64::MIN);
/// The calendar of a row that has none.
const NO_CALENDAR: u16 = u16::MAX;

/// A row of the opening state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpeningRow {
    pub member: u32,
    /// Code of the [`OpeningKind`].
    pub kind: u8,
    /// The position of the calendar in the plan; the greatest number for none.
    pub calendar: u16,
    pub position: u32,
    /// The least number for none.
    pub time: Timestamp,
    /// In units of 10^-`decimals`.
    pub value: i64,
    pub decimals: u8,
    pub name: Box<str>,
    pub text: Box<str>,
}

impl OpeningRow {
    /// The row of a member that was found.
    pub fn new(member: MemberIx, entry: &OpeningEntry) -> Self {
        Self {
            member: member.0,
            kind: entry.kind as u8,
            calendar: entry.calendar.map_or(NO_CALENDAR, u16::from),
            position: entry.position,
            time: entry.since.unwrap_or(NO_TIME),
            value: entry.value,
            decimals: entry.decimals,
            name: entry.name.as_str().into(),
            text: entry.text.as_str().into(),
        }
    }

    pub fn kind(&self) -> OpeningKind {
        OpeningKind::from_repr(self.kind).expect("it was one")
    }

    /// The position of the calendar in the plan.
    pub fn calendar(&self) -> Option<u8> {
        u8::try_from(self.calendar).ok()
    }

    pub fn since(&self) -> Option<Timestamp> {
        (self.time != NO_TIME).then_some(self.time)
    }

    /// What tells it apart from all others, in the order in which rows ascend.
    pub fn key(&self) -> OpeningKey<'_> {
        let shape = self.kind().shape();
        (
            self.member,
            self.kind,
            &self.name,
            if shape.text_is_key { &self.text } else { "" },
            self.calendar,
            if shape.position_is_key { self.position } else { 0 },
            if shape.since_is_key { self.time } else { NO_TIME },
        )
    }

    /// Appends the bytes that digests cover. `member`: its id.
    pub fn put_bytes(&self, member: MemberId, out: &mut Vec<u8>) {
        out.extend_from_slice(&member.0);
        out.push(self.kind);
        out.extend_from_slice(&self.calendar.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.time.0.to_le_bytes());
        out.extend_from_slice(&self.value.to_le_bytes());
        out.push(self.decimals);
        for text in [&self.name, &self.text] {
            out.push(u8::try_from(text.len()).expect("limited by OPENING_TEXT_BYTES_MAX"));
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// The row as it came, for one member.
    fn entry(&self) -> Option<OpeningEntry> {
        let calendar = (self.calendar != NO_CALENDAR).then(|| u8::try_from(self.calendar));
        Some(OpeningEntry {
            member: MemberId([0; 16]),
            kind: OpeningKind::from_repr(self.kind)?,
            name: OpeningText::parse(&self.name)?,
            text: OpeningText::parse(&self.text)?,
            calendar: calendar.transpose().ok()?,
            position: self.position,
            since: self.since(),
            value: self.value,
            decimals: self.decimals,
        })
    }
}

/// Member, kind, name, text, calendar, position, time.
pub type OpeningKey<'r> = (u32, u8, &'r str, &'r str, u16, u32, Timestamp);

/// The sum of rows that are counted together: of a kind by name, of ranks and `held` by text, of the values
/// of periods by calendar and position, of carry by leg.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OpeningTotal {
    pub kind: OpeningKind,
    pub name: Box<str>,
    pub text: Box<str>,
    /// The position of the calendar in the plan.
    pub calendar: Option<u8>,
    /// The position where rows are told apart by it.
    pub position: Option<u32>,
    pub rows: u64,
    /// In units of 10^-[`OPENING_DECIMALS_MAX`]; the number of periods for `held`; `None` for kinds without
    /// values.
    pub sum: Option<i128>,
}

/// What is counted together: code of the kind, numbers of name and text, calendar, position.
type Group = (u8, u32, u32, u16, u32);

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Sum {
    rows: u64,
    units: i128,
}

holds_nothing!(Sum);

/// A row with the numbers of its texts.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
struct Kept {
    member: u32,
    /// [`NONE`] for an empty one.
    name: u32,
    text: u32,
    position: u32,
    time: Timestamp,
    value: i64,
    kind: u8,
    decimals: u8,
    calendar: u16,
    unused: u32,
}

pub(crate) struct Opening {
    rows: Settled<Kept>,
    texts: Texts,
    totals: BTreeMap<Group, Sum>,
}

freeze_fields!(Opening { rows, texts } derived { totals });

impl Rows for Opening {
    type Row = OpeningRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> OpeningRow {
        let Kept { member, name, text, position, time, value, kind, decimals, calendar, .. } =
            *self.rows.get(at);
        let (name, text) = (self.text(name), self.text(text));
        OpeningRow { member, kind, calendar, position, time, value, decimals, name, text }
    }

    fn restore(&mut self, row: OpeningRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("opening state of member {}: {what}", row.member);
        require(row.member < so_far.members, || wrong("no such member"))?;
        let entry = row.entry().ok_or_else(|| wrong("an unknown kind, or a text that is none"))?;
        if let Some((field, why)) = entry.fault(OPENING_DECIMALS_MAX) {
            return Err(wrong(&format!("{field} {why}")));
        }
        self.judge(std::slice::from_ref(&row)).map_err(|rejection| wrong(rejection.name()))?;
        self.push(&row);
        Ok(())
    }
}

impl Opening {
    pub fn new() -> Self {
        Self { rows: Settled::new(), texts: Texts::new(), totals: BTreeMap::new() }
    }

    fn index_derived(&mut self) {
        self.totals = self.recounted();
    }

    /// All sums, from scratch.
    fn recounted(&self) -> BTreeMap<Group, Sum> {
        let mut totals = BTreeMap::new();
        self.rows.iter().for_each(|kept| add(&mut totals, kept));
        totals
    }

    /// Whether any row names a calendar of the plan.
    pub fn has_calendars(&self) -> bool {
        self.calendars().next().is_some()
    }

    /// The calendars that rows name.
    pub fn calendars(&self) -> impl Iterator<Item = u8> + '_ {
        self.totals.keys().filter_map(|(.., calendar, _)| u8::try_from(*calendar).ok())
    }

    fn text(&self, number: u32) -> Box<str> {
        if number == NONE { "".into() } else { self.texts.text(number as usize) }
    }

    fn number(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NONE;
        }
        self.texts.find(text).unwrap_or_else(|| self.texts.push(text))
    }

    /// Whether rows, each of which is well formed, may be the next ones. O(rows * log of what is there).
    pub fn judge(&self, rows: &[OpeningRow]) -> Result<(), Rejection> {
        let last = self.rows.len().checked_sub(1).map(|last| self.row_at(last));
        let mut before = last.as_ref();
        let mut of_member = last.as_ref().map_or(0, |last| self.of(MemberIx(last.member)).len());
        let (mut new_groups, mut names) = (HashSet::new(), 0);
        for row in rows {
            if before.is_some_and(|before| row.key() <= before.key()) {
                return Err(Rejection::OpeningOutOfOrder);
            }
            of_member =
                if before.is_some_and(|before| before.member == row.member) { of_member + 1 } else { 1 };
            before = Some(row);
            if OPENING_MEMBER_ROWS_MAX < of_member {
                return Err(Rejection::OpeningFull);
            }
            names += 2;
            if !self.has_group(row) {
                let shape = row.kind().shape();
                let text = if is_counted_by_text(row.kind()) { &*row.text } else { "" };
                let position = if shape.position_is_key { row.position } else { 0 };
                new_groups.insert((row.kind, &*row.name, text, row.calendar, position));
            }
        }
        let has_room = self.rows.len() + rows.len() <= OPENING_ROWS_MAX
            && self.texts.len() + names < u32::MAX as usize / 2
            && self.totals.len() + new_groups.len() <= OPENING_TOTALS_MAX;
        if has_room { Ok(()) } else { Err(Rejection::OpeningFull) }
    }

    fn has_group(&self, row: &OpeningRow) -> bool {
        let number = |text: &str| if text.is_empty() { Some(NONE) } else { self.texts.find(text) };
        let (Some(name), Some(text)) = (number(&row.name), number(&row.text)) else { return false };
        self.totals.contains_key(&group(row.kind(), name, text, row.calendar, row.position))
    }

    /// Adds a row that was judged.
    pub fn push(&mut self, row: &OpeningRow) {
        let OpeningRow { member, kind, calendar, position, time, value, decimals, .. } = *row;
        let (name, text) = (self.number(&row.name), self.number(&row.text));
        let kept = Kept { member, name, text, position, time, value, kind, decimals, calendar, unused: 0 };
        add(&mut self.totals, &kept);
        self.rows.push(kept);
    }

    /// The rows of a member. O(log rows).
    pub fn of(&self, member: MemberIx) -> Range<usize> {
        let first = partition_point(0..self.rows.len(), |at| self.rows.get(at).member < member.0);
        let end = partition_point(first..self.rows.len(), |at| self.rows.get(at).member <= member.0);
        first..end
    }

    /// The sums by group, sorted. O(groups).
    pub fn totals(&self) -> Vec<OpeningTotal> {
        let total = |(group, sum): (&Group, &Sum)| {
            let (kind, name, text, calendar, position) = *group;
            let kind = OpeningKind::from_repr(kind).expect("it was one");
            let shape = kind.shape();
            OpeningTotal {
                kind,
                name: self.text(name),
                text: self.text(text),
                calendar: u8::try_from(calendar).ok(),
                position: shape.position_is_key.then_some(position),
                rows: sum.rows,
                sum: (shape.value != OpeningValue::Nothing).then_some(sum.units),
            }
        };
        let mut totals: Vec<OpeningTotal> = self.totals.iter().map(total).collect();
        totals.sort();
        totals
    }

    /// Checks that rows ascend and sums match a recount. O(rows).
    ///
    /// # Errors
    /// What does not.
    pub fn audit(&self) -> Result<(), String> {
        for at in 1..self.rows.len() {
            let (before, row) = (self.row_at(at - 1), self.row_at(at));
            require(before.key() < row.key(), || format!("row {at} of the opening state is out of order"))?;
        }
        require(self.totals == self.recounted(), || "the totals of the opening state".into())
    }
}

fn is_counted_by_text(kind: OpeningKind) -> bool {
    matches!(kind, OpeningKind::Rank | OpeningKind::Held)
}

fn group(kind: OpeningKind, name: u32, text: u32, calendar: u16, position: u32) -> Group {
    let text = if is_counted_by_text(kind) { text } else { NONE };
    (kind as u8, name, text, calendar, if kind.shape().position_is_key { position } else { 0 })
}

fn add(totals: &mut BTreeMap<Group, Sum>, kept: &Kept) {
    let kind = OpeningKind::from_repr(kept.kind).expect("it was one");
    let sum = totals.entry(group(kind, kept.name, kept.text, kept.calendar, kept.position)).or_default();
    sum.rows += 1;
    sum.units += match kind.shape().value {
        OpeningValue::Nothing => 0,
        OpeningValue::Periods => kept.value.count_ones().min(OPENING_HELD_MAX).into(),
        OpeningValue::Number | OpeningValue::Volume | OpeningValue::Money => units(kept.value, kept.decimals),
    };
}

/// A value in units of 10^-[`OPENING_DECIMALS_MAX`].
pub fn units(value: i64, decimals: u8) -> i128 {
    i128::from(value) * 10_i128.pow(OPENING_DECIMALS_MAX.saturating_sub(decimals).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::store::{
        column::{Freeze, ViewId},
        freeing::Freeing,
    };

    fn row(member: u32, kind: OpeningKind, name: &str, text: &str, value: i64) -> OpeningRow {
        let (calendar, position, time, decimals) = (NO_CALENDAR, 0, NO_TIME, 0);
        let (name, text) = (name.into(), text.into());
        OpeningRow { member, kind: kind as u8, calendar, position, time, value, decimals, name, text }
    }

    fn add(opening: &mut Opening, rows: &[OpeningRow]) -> Result<(), Rejection> {
        opening.judge(rows)?;
        rows.iter().for_each(|row| opening.push(row));
        Ok(())
    }

    #[test]
    fn a_member_and_the_totals_have_their_limits() {
        let mut opening = Opening::new();
        let key = |at: usize| row(3, OpeningKind::Once, "bonus", &format!("{at:04}"), 0);
        let keys: Vec<OpeningRow> = (0..OPENING_MEMBER_ROWS_MAX).map(key).collect();
        assert_eq!(add(&mut opening, &keys), Ok(()));
        assert_eq!(add(&mut opening, &[key(OPENING_MEMBER_ROWS_MAX)]), Err(Rejection::OpeningFull));
        let rank = |member: u32, at: usize| row(member, OpeningKind::Rank, "title", &format!("{at:04}"), 0);
        // One total is that of the keys.
        let ranks: Vec<OpeningRow> = (1..OPENING_TOTALS_MAX).map(|at| rank(4, at)).collect();
        assert_eq!(add(&mut opening, &ranks), Ok(()));
        assert_eq!(add(&mut opening, &[rank(5, 0)]), Err(Rejection::OpeningFull));
        assert_eq!(add(&mut opening, &[rank(5, 1)]), Ok(()));
        assert_eq!((opening.of(MemberIx(3)).len(), opening.of(MemberIx(4)).len()), (1_000, 999));
        assert_eq!((opening.of(MemberIx(2)).len(), opening.of(MemberIx(6)).len()), (0, 0));
        assert_eq!((opening.totals().len(), opening.audit()), (OPENING_TOTALS_MAX, Ok(())));
    }

    #[test]
    fn copies_have_the_rows_and_totals_of_their_time() {
        let mut opening = Opening::new();
        add(&mut opening, &[row(0, OpeningKind::Balance, "", "", 5)]).unwrap();
        opening.freeze(ViewId::FIRST);
        add(&mut opening, &[row(1, OpeningKind::Balance, "", "", 7)]).unwrap();
        let mut copy = Opening::new();
        while !opening.copy_step(ViewId::FIRST, &mut copy) {}
        opening.thaw(ViewId::FIRST, &mut Freeing::new());
        copy.index_copy();
        let sums = |opening: &Opening| opening.totals().iter().map(|total| total.sum).collect::<Vec<_>>();
        assert_eq!((sums(&copy), sums(&opening)), (vec![Some(500_000_000)], vec![Some(1_200_000_000)]));
        assert_eq!((copy.count(), copy.audit()), (1, Ok(())));
    }

    #[test]
    fn rows_that_cannot_be_are_not_restored() {
        let so_far = SoFar { lsn: 9, members: 2, ..SoFar::default() };
        let good = row(0, OpeningKind::Balance, "", "", 5);
        let mut opening = Opening::new();
        opening.restore(good.clone(), &so_far).unwrap();
        let wrong = [
            good.clone(),
            row(2, OpeningKind::Balance, "", "", 5),
            row(1, OpeningKind::Balance, "", "", -5),
            row(1, OpeningKind::Lifetime, "", "", 5),
            row(1, OpeningKind::Balance, " ", "", 5),
            OpeningRow { kind: 0, ..row(1, OpeningKind::Balance, "", "", 5) },
            OpeningRow { calendar: 300, ..row(1, OpeningKind::Balance, "", "", 5) },
        ];
        for row in wrong {
            assert!(opening.restore(row.clone(), &so_far).is_err(), "{row:?}");
        }
        assert_eq!(opening.restore(row(1, OpeningKind::Balance, "", "", 5), &so_far), Ok(()));
    }
}
