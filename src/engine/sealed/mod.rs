//! Sealed orders: the files that hold them, and the way into and out of them.
//!
//! The state no longer has a sealed order. Its id stays taken: admission looks for the ids of orders and
//! refunds in the files too (`known.rs`). A refund brings its order back into the state first (`recall.rs`).
//! A seal writes the files, shows them to admission, and only then submits the command (`seal.rs`): at no
//! moment is an id in neither place.

mod boundary;
mod check;
mod convert;
pub(super) mod files;
mod known;
mod list;
mod mend;
mod named;
mod orders;
mod past;
mod recall;
mod seal;
mod write;

#[cfg(test)]
pub(super) use self::write::complete_seal;
pub use self::{
    check::verify_sealed,
    list::{ListPosition, NextOrder, OrderFilter, OrderPages},
    mend::{LeftDamaged, SealedLook, SealedRepair},
    orders::{SealedOrders, SealedRow},
    seal::{BegunSeal, SealError, SealStart},
};
