//! To be written.
pub mod dropin;
