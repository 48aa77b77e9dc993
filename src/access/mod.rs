//! What the server and the command line share about access: the words for rights, the file of service keys,
//! and that of secrets shared with an issuer of tokens.

mod keys;
mod rights;
mod secrets;

pub use self::{
    keys::{
        KEY_ID_PREFIX, KEYS_MAX, KeyFile, KeyFileError, KeyRefusal, KeyRing, KeyStatus, NAME_CHARS_MAX,
        NewKey, ServiceKey, Stamp, is_key_id, is_name,
    },
    rights::{Role, Scope, Scopes},
    secrets::shared_secrets,
};
