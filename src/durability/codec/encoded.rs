//! Commands that wait for the log in the form that they have there.

use super::{
    error::{DecodeError, EncodeError},
    record::{decode_group, encode_group},
};
use crate::core::{command::Stamped, types::Timestamp};

/// Commands with consecutive LSNs as the log has them: a fraction of the memory that commands take.
#[derive(Debug, Default)]
pub struct EncodedGroup {
    pub(in crate::durability) first_lsn: u64,
    pub(in crate::durability) commands: u32,
    /// That of the newest.
    pub(in crate::durability) time: Timestamp,
    pub(in crate::durability) records: Vec<u8>,
}

impl EncodedGroup {
    /// Adds the next command.
    ///
    /// # Errors
    /// It has no form in the log; the group is as it was.
    ///
    /// # Panics
    /// When its LSN does not follow.
    pub fn push(&mut self, stamped: &Stamped) -> Result<(), EncodeError> {
        if self.commands == 0 {
            self.first_lsn = stamped.lsn;
        }
        assert_eq!(stamped.lsn, self.first_lsn + u64::from(self.commands), "LSNs of a group are consecutive");
        let begin = self.records.len();
        encode_group(std::slice::from_ref(stamped), &mut self.records)
            .inspect_err(|_| self.records.truncate(begin))?;
        self.commands += 1;
        self.time = stamped.time;
        Ok(())
    }

    /// The number of commands.
    pub fn len(&self) -> usize {
        self.commands as usize
    }

    pub fn is_empty(&self) -> bool {
        self.commands == 0
    }

    /// The commands. O(bytes).
    ///
    /// # Errors
    /// A bug: what was encoded is read.
    pub fn decode(&self) -> Result<Vec<Stamped>, DecodeError> {
        let mut commands = Vec::with_capacity(self.len());
        decode_group(&self.records, self.first_lsn, self.commands, &mut commands)?;
        Ok(commands)
    }
}
