//! What the server and the command line share about access: the words for rights, and the file of service keys.

mod rights;

pub use self::rights::{Role, Scope, Scopes};
