//! The column `paid_once`: the names of the triggers that were paid once for a member, separated by blanks.
//!
//! Such a trigger must not be paid again, so what a file says is added to what the network holds, with and
//! without `--update`, and nothing is ever taken away. That also completes an import that died between a
//! member and its marks.

use super::refusal::Refusal;
use crate::{
    cli::network::Network,
    core::{
        command::{Command, Outcome, Rejection},
        is_trigger_name,
        state::State,
        types::{KINDS_MAX, MemberIx},
    },
};

/// The names in one cell.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Names(Option<Box<str>>);

impl Names {
    /// Parses a cell.
    ///
    /// # Errors
    /// A word that no trigger can be named, or more names than a network can have.
    pub fn parse(cell: &str) -> Result<Self, Refusal> {
        if let Some(word) = cell.split_whitespace().find(|word| !is_trigger_name(word)) {
            return Err(Refusal::BadTrigger(word.into()));
        }
        if KINDS_MAX < cell.split_whitespace().count() {
            return Err(Refusal::Rule(Rejection::PlanKindsFull));
        }
        Ok(Self((!cell.trim().is_empty()).then(|| cell.into())))
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.as_deref().unwrap_or_default().split_whitespace()
    }

    /// Checks that the network has room for the names, before anything of the row is imported.
    ///
    /// # Errors
    /// There is none.
    pub fn judge(&self, state: &State) -> Result<(), Refusal> {
        let mut new: Vec<&str> = self.iter().filter(|name| state.kind_named(name).is_none()).collect();
        new.sort_unstable();
        new.dedup();
        if state.has_room_for_names(new.len()) {
            Ok(())
        } else {
            Err(Refusal::Rule(Rejection::PlanKindsFull))
        }
    }

    /// Marks the triggers that are not marked yet; returns how many these were.
    ///
    /// # Errors
    /// A rule refuses one.
    pub fn keep(&self, network: &mut Network, member: MemberIx) -> Result<u64, Refusal> {
        let mut kept = 0;
        for name in self.iter() {
            if network.state.was_paid_once(member, name) {
                continue;
            }
            let source = network.state.id(member);
            let command = Command::KeepOnce { source, trigger: name.into() };
            let outcome = network.apply(command).map_err(Refusal::Rule)?;
            kept += u64::from(matches!(outcome, Outcome::OnceKept { changed: true, .. }));
        }
        Ok(kept)
    }
}
