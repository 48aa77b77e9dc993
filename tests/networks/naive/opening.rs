//! The opening state: a list of rows, looked through whenever something is asked.

use upline::core::{
    command::{AddOpening, CloseOpening, OpeningEntry, OpeningKind, Outcome, Rejection},
    types::Timestamp,
};

use super::{Naive, index};
use crate::networks::picture::{OpeningPicture, OpeningTotals};

#[derive(Default)]
pub(super) struct Opening {
    rows: Vec<OpeningEntry>,
    closed: Option<(u64, CloseOpening)>,
}

/// What the rows of a kind are told apart by, other than member and name.
type Key = (usize, u8, String, String, u16, u32, i64);

impl Naive {
    /// Whether a row names a calendar of the plan.
    pub(super) fn opening_has_calendars(&self) -> bool {
        self.opening.rows.iter().any(|row| row.calendar.is_some())
    }

    pub(super) fn has_opening(&self) -> bool {
        !self.opening.rows.is_empty()
    }

    pub(super) fn is_opening_unfinished(&self) -> bool {
        self.has_opening() && self.opening.closed.is_none()
    }

    fn judge_opening(&self) -> Result<(), Rejection> {
        if self.opening.closed.is_some() {
            return Err(Rejection::OpeningClosed);
        }
        if self.was_any_locked() { Err(Rejection::OpeningTooLate) } else { Ok(()) }
    }

    pub(super) fn add_opening(&mut self, add: &AddOpening) -> Result<Outcome, Rejection> {
        self.judge_opening()?;
        if add.rows.is_empty() || 200 < add.rows.len() {
            return Err(Rejection::OpeningMalformed);
        }
        for row in &add.rows {
            self.find(&row.member)?;
            if !is_good(row, self.plan.currency.exponent) {
                return Err(Rejection::OpeningMalformed);
            }
            if row.calendar.is_some_and(|calendar| self.plan.commerce.calendars.len() <= calendar.into()) {
                return Err(Rejection::CalendarUnknown);
            }
        }
        let all: Vec<OpeningEntry> = [&self.opening.rows[..], &add.rows].concat();
        let keys: Vec<Key> = all.iter().map(|row| self.key(row)).collect();
        if !keys.is_sorted_by(|before, after| before < after) {
            return Err(Rejection::OpeningOutOfOrder);
        }
        let first = self.opening.rows.len() as u32;
        self.opening.rows = all;
        Ok(Outcome::OpeningAdded { first, rows: add.rows.len() as u32 })
    }

    pub(super) fn close_opening(&mut self, close: &CloseOpening) -> Result<Outcome, Rejection> {
        let rows = self.opening.rows.len() as u64;
        let closed = |changed| Ok(Outcome::OpeningClosed { rows: rows as u32, changed });
        if let Some((_, before)) = &self.opening.closed
            && (before.rows, before.digest) == (close.rows, close.digest)
        {
            return closed(false);
        }
        self.judge_opening()?;
        if close.rows != rows || close.digest != digest(&self.opening.rows) {
            return Err(Rejection::OpeningMismatched);
        }
        self.opening.closed = Some((self.lsn, close.clone()));
        closed(true)
    }

    fn key(&self, row: &OpeningEntry) -> Key {
        use OpeningKind::{Carry, Escrow, Held, LastN, Once, Rank};
        let is = |kinds: &[OpeningKind]| kinds.contains(&row.kind);
        let since = row.since.map_or(i64::MIN, |since| since.0);
        (
            self.find(&row.member).expect("it was found"),
            row.kind as u8,
            row.name.as_str().to_owned(),
            if is(&[Rank, Held, Once]) { row.text.as_str().to_owned() } else { String::new() },
            row.calendar.map_or(u16::MAX, u16::from),
            if is(&[LastN, Carry]) { row.position } else { 0 },
            if is(&[Carry, Escrow]) { since } else { i64::MIN },
        )
    }

    pub(super) fn opening_picture(&self) -> OpeningPicture {
        let Opening { rows, closed } = &self.opening;
        let mut totals = OpeningTotals::new();
        for row in rows {
            use OpeningKind::{Carry, Frozen, Held, LastN, Once, Rank};
            let text = if matches!(row.kind, Rank | Held) { row.text.as_str() } else { "" };
            let position = matches!(row.kind, LastN | Carry).then_some(row.position);
            let key = (row.kind, row.name.as_str().to_owned(), text.to_owned(), row.calendar, position);
            let total = totals.entry(key).or_insert((0, None));
            total.0 += 1;
            let value = match row.kind {
                Rank | Once | Frozen => continue,
                Held => i128::from(row.value.count_ones()),
                _ => i128::from(row.value) * 10_i128.pow(8 - u32::from(row.decimals)),
            };
            total.1 = Some(total.1.unwrap_or(0) + value);
        }
        OpeningPicture {
            rows: rows
                .iter()
                .map(|row| (index(self.find(&row.member).expect("it was found")), row.clone()))
                .collect(),
            totals,
            digest: digest(rows),
            closed: closed.as_ref().map(|(lsn, close)| (*lsn, close.clone())),
        }
    }
}

/// BLAKE3 of rows, by their definition in `snapshots/README.md`.
pub fn digest(rows: &[OpeningEntry]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        let no_time = Timestamp(i64::MIN);
        hasher.update(&row.member.0);
        hasher.update(&[row.kind as u8]);
        hasher.update(&row.calendar.map_or(u16::MAX, u16::from).to_le_bytes());
        hasher.update(&row.position.to_le_bytes());
        hasher.update(&row.since.unwrap_or(no_time).0.to_le_bytes());
        hasher.update(&row.value.to_le_bytes());
        hasher.update(&[row.decimals]);
        for text in [row.name.as_str(), row.text.as_str()] {
            hasher.update(&[text.len() as u8]);
            hasher.update(text.as_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}

/// Whether a row has what its kind has, and nothing else.
fn is_good(row: &OpeningEntry, exponent: u8) -> bool {
    use OpeningKind as Kind;
    let (named, worded) = (!row.name.as_str().is_empty(), !row.text.as_str().is_empty());
    let (dated, on_calendar) = (row.since.is_some(), row.calendar.is_some());
    let without_value = row.value == 0 && row.decimals == 0;
    let is_short = row.decimals == 0 || row.decimals <= 8 && row.value % 10 != 0;
    let number = is_short && (-10_i128.pow(18)..=10_i128.pow(18)).contains(&row.value.into());
    let money = number && 0 <= row.value && row.decimals <= exponent;
    let plain = named && !worded && !on_calendar;
    match row.kind {
        Kind::Lifetime => plain && row.position == 0 && !dated && number,
        Kind::LastN => {
            named && !worded && on_calendar && (1..=1_000).contains(&row.position) && !dated && number
        }
        Kind::Rank => named && worded && !on_calendar && row.position == 0 && dated && without_value,
        Kind::Held => {
            named && on_calendar && row.position == 0 && !dated && row.value != 0 && row.decimals == 0
        }
        Kind::Carry => plain && row.position <= 1_000_000 && number && 0 <= row.value,
        Kind::Once | Kind::Frozen => named && worded && !on_calendar && row.position == 0 && without_value,
        Kind::Bank => plain && row.position <= 1_000_000 && !dated && number,
        Kind::Escrow => plain && row.position == 0 && money,
        Kind::Balance | Kind::Debt => !worded && !on_calendar && row.position == 0 && !dated && money,
    }
}
