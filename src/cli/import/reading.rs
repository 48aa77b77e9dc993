//! Options for reading the cells of a file.

use super::refusal::Refusal;
use crate::{
    cli::names::Name,
    core::types::Timestamp,
    time_text::{self, TimeForm},
};

/// Options for reading the cells of a file.
#[derive(Clone, Default, Debug)]
pub(super) struct Reading {
    /// A member that is its own sponsor counts as a root.
    pub own_sponsor_is_root: bool,
    /// Status and role of existing members are updated.
    pub update: bool,
    /// Marks for an empty cell.
    pub root_marks: Vec<String>,
    /// The sponsor of rows that name none, except its own row.
    pub default_sponsor: Option<Name>,
    pub time_form: Option<TimeForm>,
    /// The placement tree has two slots, left and right.
    pub is_binary: bool,
}

impl Reading {
    /// Returns a cell, empty where it is a mark for none.
    pub fn unmarked<'a>(&self, cell: &'a str) -> &'a str {
        if self.root_marks.iter().any(|mark| mark == cell) { "" } else { cell }
    }

    /// The same for a numeric cell: a mark that is a number is that number.
    pub fn unmarked_number<'a>(&self, cell: &'a str) -> &'a str {
        if cell.parse::<u32>().is_ok() { cell } else { self.unmarked(cell) }
    }

    /// Returns the sponsor of a row that names none; `None` for its own row by name. Whether the row names it
    /// in another way, such as a code, only the network knows.
    pub fn sponsor_of_none(&self, member: &Name) -> Option<Name> {
        self.default_sponsor.clone().filter(|sponsor| sponsor.key != member.key)
    }

    /// Parses a time cell.
    pub fn time(&self, cell: &str) -> Result<Timestamp, Refusal> {
        let read = match &self.time_form {
            Some(form) => form.read(cell),
            None => time_text::lenient(cell),
        };
        read.map_err(|fault| Refusal::BadTime(cell.into(), fault))
    }

    /// Parses a slot cell: its number or, where there are two, its side.
    pub fn slot(&self, cell: &str) -> Result<u32, Refusal> {
        let side = ["left", "right"]
            .iter()
            .position(|side| side.eq_ignore_ascii_case(cell) || side[..1].eq_ignore_ascii_case(cell));
        match (cell.parse().ok(), side) {
            (Some(slot), _) => Ok(slot),
            (None, Some(_)) if !self.is_binary => Err(Refusal::SideWithoutSides),
            (None, Some(0)) => Ok(0),
            (None, Some(_)) => Ok(1),
            (None, None) => Err(Refusal::BadSlot),
        }
    }
}
