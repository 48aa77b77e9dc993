//! Status, role and attributes of existing members: how a file differs and, with `--update`, how it is
//! applied.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    attributes::set_owner,
    member_row::MemberRow,
    refusal::{Refusal, Refused},
};
use crate::{
    cli::network::Network,
    core::{
        command::Command,
        state::State,
        types::{MemberIx, Role, Status},
    },
};

/// What rows say about existing members.
#[derive(Default)]
pub(super) struct Updates {
    sets: bool,
    /// By member: the first line that gave a value, and the values given since.
    said: HashMap<MemberIx, (u64, Option<Status>, Option<Role>)>,
    /// Rows whose owners are set at the end of the file, which may name them anywhere.
    owned: Vec<(MemberIx, MemberRow)>,
}

impl Updates {
    /// With `sets`, differences are applied; otherwise they are reported.
    pub fn new(sets: bool) -> Self {
        Self { sets, ..Self::default() }
    }

    /// Returns the differences that remain, phrased for a sentence.
    pub fn difference(&self, state: &State, there: MemberIx, row: &MemberRow) -> [Option<String>; 3] {
        if self.sets {
            return [None, None, None];
        }
        let held = state.member(there);
        let status = row.status.filter(|named| *named != held.status);
        let role = row.role.filter(|named| *named != held.role);
        [
            status.map(|named| format!("its status is {}, not {}", held.status.name(), named.name())),
            role.map(|named| format!("its role is {}, not {}", held.role.name(), named.name())),
            row.attributes.difference(state, there),
        ]
    }

    /// Sets the market and the tags of a row's member, and keeps its owner for [`Updates::set_owners`].
    ///
    /// # Errors
    /// A rule refuses it.
    pub fn set_attributes(
        &mut self,
        network: &mut Network,
        member: MemberIx,
        row: &MemberRow,
    ) -> Result<(), Refusal> {
        if row.attributes.owner().is_some() {
            self.owned.push((member, row.clone()));
        }
        row.attributes.set(network, member, self.sets)
    }

    /// Sets the owners that rows named. Adds rows whose owner is not known, and those that differ.
    pub fn set_owners(
        self,
        network: &mut Network,
        refused: &mut Vec<Refused>,
        differing: &mut Vec<(u64, String, String)>,
    ) {
        for (member, row) in self.owned {
            let owner = row.attributes.owner().expect("only such rows are kept");
            match set_owner(network, member, owner, self.sets) {
                Ok(false) => {}
                Ok(true) => differing.push((row.line, row.member.shown(), "its owner is another".into())),
                Err(reason) => refused.push(Refused { line: row.line, member: row.member.shown(), reason }),
            }
        }
    }

    /// Returns the changes of a row.
    ///
    /// # Errors
    /// When an earlier line conflicts: which of them is meant cannot be known, and importing the file again
    /// would set the other.
    pub fn note(&mut self, state: &State, there: MemberIx, row: &MemberRow) -> Result<Vec<Command>, Refusal> {
        if !self.sets || (row.status.is_none() && row.role.is_none()) {
            return Ok(Vec::new());
        }
        let (known_status, known_role) = match self.said.entry(there) {
            Entry::Vacant(entry) => {
                entry.insert((row.line, row.status, row.role));
                (None, None)
            }
            Entry::Occupied(mut entry) => {
                let (line, status, role) = entry.get_mut();
                let known = (*status, *role);
                if differs(*status, row.status) || differs(*role, row.role) {
                    return Err(Refusal::DuplicateLine(*line));
                }
                (*status, *role) = (status.or(row.status), role.or(row.role));
                known
            }
        };
        let held = state.member(there);
        let mut changes = Vec::new();
        if let Some(status) = row.status.filter(|status| known_status.is_none() && *status != held.status) {
            changes.push(Command::SetStatus { member: held.id, status });
        }
        if let Some(role) = row.role.filter(|role| known_role.is_none() && *role != held.role) {
            changes.push(Command::SetRole { member: held.id, role });
        }
        Ok(changes)
    }
}

fn differs<T: PartialEq + Copy>(known: Option<T>, named: Option<T>) -> bool {
    known.is_some() && named.is_some() && known != named
}
