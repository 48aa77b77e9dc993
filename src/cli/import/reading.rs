//! How the cells of a file are read.

use super::refusal::Refusal;
use crate::{
    cli::names::Name,
    core::types::Timestamp,
    time_text::{self, TimeForm},
};

/// How the cells of a file are read.
#[derive(Clone, Default, Debug)]
pub(super) struct Reading {
    /// A member that is its own sponsor counts as a root.
    pub own_sponsor_is_root: bool,
    /// Status and role of members that are there are set.
    pub update: bool,
    /// Cells that stand for none.
    pub root_marks: Vec<String>,
    /// Of rows that name no sponsor, but for its own.
    pub default_sponsor: Option<Name>,
    pub time_form: Option<TimeForm>,
    /// The placement tree has two slots, which have names.
    pub is_binary: bool,
}

impl Reading {
    /// A cell, empty where it is a mark that stands for none.
    pub fn unmarked<'a>(&self, cell: &'a str) -> &'a str {
        if self.root_marks.iter().any(|mark| mark == cell) { "" } else { cell }
    }

    /// The same of a cell that is a number: a mark that is one is that number.
    pub fn unmarked_number<'a>(&self, cell: &'a str) -> &'a str {
        if cell.parse::<u32>().is_ok() { cell } else { self.unmarked(cell) }
    }

    /// The sponsor of a row that names none; none for its own row by the name. What it is otherwise, such as
    /// a code, only the network knows.
    pub fn sponsor_of_none(&self, member: &Name) -> Option<Name> {
        self.default_sponsor.clone().filter(|sponsor| sponsor.key != member.key)
    }

    /// A cell that is a time.
    pub fn time(&self, cell: &str) -> Result<Timestamp, Refusal> {
        let read = match &self.time_form {
            Some(form) => form.read(cell),
            None => time_text::lenient(cell),
        };
        read.map_err(|fault| Refusal::BadTime(cell.into(), fault))
    }

    /// A cell that is a slot: its number or, where there are two, its side.
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
