//! Properties that hold for any client input.

#[cfg(test)]
pub(crate) use super::auth::fuzzing::signed;
use super::{auth, dropin, v1};
use crate::engine::{Command, Directory, Engine, State, Timestamp};

/// A body, read as each kind that some route accepts.
pub(crate) fn request_body(bytes: &[u8]) -> bool {
    let dropin = dropin::fuzzing::body(bytes);
    let v1 = v1::fuzzing::body(bytes);
    dropin || v1
}

/// A body or a line of a batch about orders: the command that it asks for, if some route accepts it.
pub(crate) fn order_command(
    bytes: &[u8],
    state: &State,
    directory: &impl Directory,
    now: Timestamp,
) -> Option<Command> {
    v1::fuzzing::order_command(bytes, state, directory, now)
}

/// A cursor as sent, and positions sealed as one, passed to the lists of this network.
pub(crate) fn cursor(engine: &Engine, bytes: &[u8]) -> bool {
    v1::fuzzing::cursor(engine, bytes)
}

/// Positions at the ends of their ranges, sealed as cursors.
#[cfg(test)]
pub(crate) fn forged_cursors(engine: &Engine, rounds: usize, below: &mut dyn FnMut(usize) -> usize) -> usize {
    v1::fuzzing::forged(engine, rounds, below)
}

/// A token as sent, claims signed with a known key, a key set.
pub(crate) fn token(bytes: &[u8]) -> bool {
    auth::fuzzing::token(bytes)
}
