//! The sender of a command: stored in the log with it, and not part of the state.

use std::{fmt, sync::Arc};

use strum::{EnumString, FromRepr, IntoStaticStr, VariantArray};

use crate::core::words::all::all;

/// The most bytes of an actor's id; a longer one is cut at a character boundary.
pub const ACTOR_ID_BYTES_MAX: usize = 128;

/// The kind of sender. The numbers are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[derive(EnumString, FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ActorKind {
    /// Not recorded, as for all commands logged before format 3.
    Unknown = 0,
    /// A member with a token of its own; the id is the token's subject.
    Member = 1,
    /// A service; the id is that of its key, or the token's subject.
    Service = 2,
    Auditor = 3,
    Admin = 4,
    /// A CLI command of this program that wrote to the directory itself; the id is the operating system's
    /// user.
    Cli = 5,
    /// No authentication was required; the id is the peer's address.
    Anonymous = 6,
    /// The server itself: it opens and closes periods when it is time.
    System = 7,
}

impl ActorKind {
    /// All of them, by number.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Who sent a command. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Actor {
    kind: ActorKind,
    id: Arc<str>,
}

impl Actor {
    /// Creates an actor. Only the first [`ACTOR_ID_BYTES_MAX`] bytes of a longer id are kept, or fewer so
    /// that no character is split.
    pub fn new(kind: ActorKind, id: &str) -> Self {
        Self { kind, id: id[..id.floor_char_boundary(ACTOR_ID_BYTES_MAX)].into() }
    }

    /// As [`Actor::new`], with a shared id.
    pub fn shared(kind: ActorKind, id: &Arc<str>) -> Self {
        if ACTOR_ID_BYTES_MAX < id.len() { Self::new(kind, id) } else { Self { kind, id: Arc::clone(id) } }
    }

    /// For commands without a named sender: those of tests, benches and simulations.
    pub fn unknown() -> Self {
        Self::new(ActorKind::Unknown, "")
    }

    /// The kind of sender.
    pub fn kind(&self) -> ActorKind {
        self.kind
    }

    /// Its id, whose meaning depends on the kind. At most [`ACTOR_ID_BYTES_MAX`] bytes.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind.name())?;
        if self.id.is_empty() { Ok(()) } else { write!(out, " {}", self.id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_id_is_cut_between_characters() {
        // id, bytes kept
        let table = [
            (String::new(), 0),
            ("a".repeat(128), 128),
            ("a".repeat(129), 128),
            ("ä".repeat(80), 128),
            (format!("a{}", "ä".repeat(80)), 127),
        ];
        for (id, kept) in table {
            let actor = Actor::new(ActorKind::Service, &id);
            assert_eq!(actor.id().len(), kept, "{id}");
            assert!(id.starts_with(actor.id()));
        }
    }
}
