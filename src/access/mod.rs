//! What the server and the command line share about access: the words for rights, and the file of service keys.

mod keys;
mod rights;

pub use self::{
    keys::{
        KEYS_MAX, KeyFile, KeyFileError, KeyRefusal, KeyRing, KeyStatus, NAME_CHARS_MAX, NewKey, ServiceKey, Stamp, is_key_id, is_name,
    },
    rights::{Role, Scope, Scopes},
};
