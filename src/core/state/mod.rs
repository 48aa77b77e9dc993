//! The complete state. Commands are judged and applied here, and only here does a state change.

pub(in crate::core) mod ahead;
pub(in crate::core) mod all_ranks;
pub(in crate::core) mod apply;
pub(in crate::core) mod attributes;
pub(in crate::core) mod bonus;
pub(in crate::core) mod change;
pub(in crate::core) mod in_bulk;
pub(in crate::core) mod kept_sums;
pub(in crate::core) mod once;
pub(in crate::core) mod opening;
pub(in crate::core) mod order;
pub(in crate::core) mod parts;
pub(in crate::core) mod payout;
pub(in crate::core) mod period;
pub(in crate::core) mod plans;
pub(in crate::core) mod prefetch;
pub(in crate::core) mod prepare;
pub(in crate::core) mod prepare_admin;
pub(in crate::core) mod prepare_plan;
pub(in crate::core) mod prepare_seal;
pub(in crate::core) mod repeat;
pub(in crate::core) mod restore;
pub(in crate::core) mod rules;
pub(in crate::core) mod seal;
pub mod sections;
#[cfg(test)]
#[path = "shop_test.rs"]
mod shop;
pub(in crate::core) mod signup;
pub(in crate::core) mod view;
pub(in crate::core) mod volumes;

pub use self::{
    apply::Verdict,
    parts::State,
    view::{CopyProgress, FrozenCopy, KeptPages, TooManyViews, VIEWS_MAX},
};
pub use super::{
    store::{
        column::ViewId,
        view_parts::{Part, Parts},
    },
    words::directory::Directory,
};
