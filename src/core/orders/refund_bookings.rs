//! How refunds act in each calendar.

use bytemuck::{Pod, Zeroable};
use strum::{FromRepr, IntoStaticStr, VariantArray};

use crate::core::{
    store::{
        column::{Column, freeze_fields},
        rows::{Rows, SoFar, require},
    },
    words::all::all,
};

/// How a refund acts in a calendar. Codes are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[derive(FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum RefundState {
    /// It lowers the order in the order's period.
    Lowered = 0,
    /// The order's period is locked: it waits until that is unlocked or posted.
    Waiting = 1,
    /// The order's period was posted: it is a correction in a later one, whose volumes it does not change.
    Correction = 2,
    /// A correction that lowers the volumes of its period.
    LowersLater = 3,
}

impl RefundState {
    /// All of them, by code.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// A correction, which lowers volumes if the plan says so.
    pub fn correction(lowers_volume: bool) -> Self {
        if lowers_volume { Self::LowersLater } else { Self::Correction }
    }

    /// Whether it is in a later period than its order.
    pub fn is_later(self) -> bool {
        matches!(self, Self::Correction | Self::LowersLater)
    }

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A refund in a calendar. Those of a refund follow one another, in the order of calendars.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefundBookingRow {
    /// The order's period; the period that has the correction, for a correction.
    pub period: u32,
    /// Code of the [`RefundState`].
    pub state: u8,
}

impl RefundBookingRow {
    pub fn state(&self) -> RefundState {
        RefundState::from_repr(self.state).expect("it was one")
    }
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Kept {
    period: u32,
    state: u32,
}

pub(crate) struct RefundBookings {
    rows: Column<Kept>,
}

freeze_fields!(RefundBookings { rows });

impl Rows for RefundBookings {
    type Row = RefundBookingRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> RefundBookingRow {
        let Kept { period, state } = *self.rows.get(at);
        RefundBookingRow { period, state: u8::try_from(state).expect("it was one") }
    }

    fn restore(&mut self, row: RefundBookingRow, _so_far: &SoFar) -> Result<(), String> {
        require(RefundState::from_repr(row.state).is_some(), || "a refund in an unknown state".into())?;
        self.push(row);
        Ok(())
    }
}

impl RefundBookings {
    pub fn new() -> Self {
        Self { rows: Column::new() }
    }

    pub fn push(&mut self, row: RefundBookingRow) {
        self.rows.push(Kept { period: row.period, state: row.state.into() });
    }

    pub fn set(&mut self, place: u32, row: RefundBookingRow) {
        *self.rows.get_mut(place as usize) = Kept { period: row.period, state: row.state.into() };
    }
}
