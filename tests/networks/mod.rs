//! Shared by the state tests and the simulation: a naive network written from the definitions, the real one
//! behind the same small interface, comparable pictures of both, a line language for plans and commands, and
//! random ones.
#![allow(dead_code, reason = "each of the two test programs uses its part")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "models are small")]

pub mod naive;
pub mod network;
pub mod picture;
pub mod random;
pub mod script;
