//! What commands without a server have applied, and are to write into the log when all is well.
//!
//! Commands are kept as the log has them, which takes a fraction of the memory, and a thread of its own makes
//! that form while the next ones are applied.

use std::{
    panic::resume_unwind,
    sync::mpsc::{self, Receiver, SyncSender},
    thread::{self, JoinHandle},
};

use crate::{
    core::command::Stamped,
    durability::{EncodeError, EncodedGroup, record_bytes_bound},
};

/// Commands per recorded group. The log accepts larger ones; this bounds what is encoded at once.
pub(super) const GROUP_COMMANDS: usize = if cfg!(test) { 32 } else { 4_096 };

/// Bytes of the records of a group, by an upper bound, unless one command alone has more: the smallest
/// segment holds it. A command of the opening state has many rows.
const GROUP_BYTES: usize = 1_000_000;

/// Groups that wait to be encoded.
const WAITING: usize = 4;

/// Commands that are recorded.
#[derive(Default)]
pub(super) struct Record {
    /// The group that is not full, and a bound on the bytes of its records.
    open: Commands,
    bytes: usize,
    encoder: Option<Encoder>,
}

/// A group of commands as they were applied.
#[derive(Default)]
struct Commands {
    outcome_hash_before: u64,
    commands: Vec<Stamped>,
}

/// A group of commands for the log.
pub(super) struct Group {
    /// Rolling hash over all outcomes before the group's first command.
    pub outcome_hash_before: u64,
    pub commands: EncodedGroup,
}

struct Encoder {
    queue: SyncSender<Commands>,
    thread: JoinHandle<Result<Vec<Group>, EncodeError>>,
}

impl Record {
    pub fn is_empty(&self) -> bool {
        self.open.commands.is_empty()
    }

    /// Adds the next command, and the hash over all outcomes before it.
    pub fn push(&mut self, stamped: Stamped, outcome_hash_before: u64) {
        let actor = stamped.actor.as_ref().map_or(0, |actor| actor.id().len());
        let bytes = record_bytes_bound(&stamped.command) + 4 + actor;
        let commands = self.open.commands.len();
        if commands == GROUP_COMMANDS || (commands != 0 && GROUP_BYTES < self.bytes + bytes) {
            self.send();
        }
        if self.open.commands.is_empty() {
            self.open.outcome_hash_before = outcome_hash_before;
        }
        self.bytes += bytes;
        self.open.commands.push(stamped);
    }

    /// Has the open group encoded.
    fn send(&mut self) {
        let group = std::mem::take(&mut self.open);
        self.bytes = 0;
        let encoder = self.encoder.get_or_insert_with(|| {
            let (queue, groups) = mpsc::sync_channel(WAITING);
            Encoder { queue, thread: thread::spawn(move || encode_all(&groups)) }
        });
        // After an error nobody takes it; the error is told at the end.
        _ = encoder.queue.send(group);
    }

    /// The groups in the order in which they were applied.
    ///
    /// # Errors
    /// A command has no form in the log.
    pub fn finish(self) -> Result<Vec<Group>, EncodeError> {
        let mut groups = match self.encoder {
            Some(Encoder { queue, thread }) => {
                drop(queue);
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))?
            }
            None => Vec::new(),
        };
        if !self.open.commands.is_empty() {
            groups.push(encoded(self.open)?);
        }
        Ok(groups)
    }
}

fn encode_all(groups: &Receiver<Commands>) -> Result<Vec<Group>, EncodeError> {
    groups.iter().map(encoded).collect()
}

fn encoded(Commands { outcome_hash_before, commands }: Commands) -> Result<Group, EncodeError> {
    let mut group = EncodedGroup::default();
    commands.iter().try_for_each(|stamped| group.push(stamped))?;
    Ok(Group { outcome_hash_before, commands: group })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{command::Command, types::Timestamp};

    #[test]
    fn groups_are_consecutive_and_bounded() {
        for count in [0, 1, GROUP_COMMANDS, GROUP_COMMANDS + 1, 20 * GROUP_COMMANDS + 5] {
            let mut record = Record::default();
            assert!(record.is_empty());
            for lsn in 1..=count as u64 {
                let command = Command::PayEntry { entry: lsn };
                let format = Stamped::FORMAT;
                let time = Timestamp(0);
                record.push(Stamped { lsn, time, key: None, actor: None, format, command }, lsn * 7);
                assert!(!record.is_empty());
            }
            let groups = record.finish().unwrap();
            assert!(groups.iter().all(|group| (1..=GROUP_COMMANDS).contains(&group.commands.len())));
            let mut lsns = Vec::new();
            for Group { outcome_hash_before, commands } in groups {
                let commands = commands.decode().unwrap();
                assert_eq!(outcome_hash_before, commands[0].lsn * 7);
                lsns.extend(commands.iter().map(|stamped| stamped.lsn));
            }
            assert_eq!(lsns, (1..=count as u64).collect::<Vec<_>>());
        }
    }
}
