//! What the server and the command line share about access: names of rights, the service key file, and the
//! file of secrets shared with a token issuer.

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
