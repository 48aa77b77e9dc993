//! Random opening states.

use upline::core::{
    command::{AddOpening, CloseOpening, OpeningEntry, OpeningKind, OpeningText},
    types::{MemberId, Timestamp},
};

use super::StepMaker;
use crate::networks::naive::opening::digest;

/// What the maker of steps knows of the opening state.
#[derive(Default)]
pub(super) struct Known {
    rows: Vec<OpeningEntry>,
    is_closed: bool,
    /// The member from which on rows can be added.
    next: usize,
}

impl StepMaker {
    pub(super) fn opening_added(&mut self, add: &AddOpening) {
        let last = add.rows.last().and_then(|row| self.ids.iter().position(|id| *id == row.member));
        self.opening.next = last.map_or(0, |last| last + 1);
        self.opening.rows.extend(add.rows.iter().cloned());
    }

    pub(super) fn opening_closed(&mut self) {
        self.opening.is_closed = true;
    }

    /// Whether it is time to close: what is not closed holds up the first lock.
    pub(super) fn is_opening_unfinished(&self) -> bool {
        !self.opening.rows.is_empty() && !self.opening.is_closed
    }

    /// Mostly rows that ascend, after those that are there.
    pub(super) fn add_opening(&mut self) -> AddOpening {
        let mut rows = Vec::new();
        let mut member = if self.chance.percent(10) { 0 } else { self.opening.next };
        for _ in 0..self.chance.between(1, 3) {
            let id = self.ids.get(member).copied().unwrap_or(MemberId([0xEE; 16]));
            let kinds = self.chance.between(1, 4);
            let mut of_member: Vec<OpeningEntry> = (0..kinds).map(|_| self.opening_entry(id)).collect();
            of_member.sort_by_key(|row| (row.kind, row.name.clone()));
            if self.chance.percent(90) {
                of_member.dedup_by_key(|row| row.kind);
            }
            rows.extend(of_member);
            member += self.chance.between(1, 2) as usize;
            if self.ids.len() <= member && self.chance.percent(90) {
                break;
            }
        }
        if self.chance.percent(3) {
            rows.reverse();
        }
        if self.chance.percent(2) {
            rows.clear();
        }
        AddOpening { rows }
    }

    fn opening_entry(&mut self, member: MemberId) -> OpeningEntry {
        let kind = self.chance.of_slice(&OpeningKind::ALL);
        let text = |text: &str| OpeningText::parse(text).expect("a text");
        let calendars = self.plan.commerce.calendars.len() as u64;
        let mut row = OpeningEntry {
            member,
            kind,
            name: text(self.chance.of_slice(&["pv", "title", "binary"])),
            text: text(""),
            calendar: None,
            position: 0,
            since: None,
            value: self.chance.of_slice(&[0, 5, 125, 12_300_001, 7]),
            decimals: 0,
        };
        let since = Some(Timestamp(self.chance.below(3) as i64));
        match kind {
            OpeningKind::Lifetime | OpeningKind::Bank => row.value = -row.value,
            OpeningKind::LastN | OpeningKind::Held => {
                // Sometimes one that the plan does not have.
                let unknown = u64::from(self.chance.percent(10) || calendars == 0);
                row.calendar = Some(self.chance.below(calendars + unknown) as u8);
                (row.position, row.value) = match kind {
                    OpeningKind::LastN => (self.chance.between(1, 3) as u32, row.value),
                    _ => (0, self.chance.between(1, 9) as i64),
                };
            }
            OpeningKind::Rank | OpeningKind::Once | OpeningKind::Frozen => {
                (row.text, row.since, row.value) = (text("Silver Executive"), since, 0);
            }
            OpeningKind::Carry => {
                (row.position, row.since) = (self.chance.below(2) as u32, since);
            }
            OpeningKind::Escrow => row.since = since,
            OpeningKind::Balance | OpeningKind::Debt => row.name = text(""),
        }
        if row.value % 10 != 0 && !matches!(kind, OpeningKind::Held) && self.chance.percent(40) {
            row.decimals = self.chance.between(1, 2) as u8;
        }
        match self.chance.below(60) {
            0 => row.decimals = 9,
            1 => row.text = text("x"),
            2 => row.position = 2_000_000,
            3 => row.name = text(""),
            4 => row.since = since,
            5 => row.value = i64::MAX,
            _ => {}
        }
        row
    }

    /// Mostly what the opening state is.
    pub(super) fn close_opening(&mut self) -> CloseOpening {
        let mut close = CloseOpening {
            rows: self.opening.rows.len() as u64,
            digest: digest(&self.opening.rows),
            by: self.operator(),
        };
        match self.chance.below(12) {
            0 => close.rows += 1,
            1 => close.digest[7] ^= 1,
            _ => {}
        }
        close
    }
}
