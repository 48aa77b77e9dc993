//! Who is asking, and whether they may.
//!
//! - `policy`: the one decision, [`authorize`], and its table.

mod policy;

pub use self::policy::{Action, Denied, Principal, Rule, Sight, Target, authorize, permit};
pub use crate::access::{Role, Scope, Scopes};
