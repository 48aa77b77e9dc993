//! What the scenario and model tests share: a naive network written from the definitions, the real one behind
//! the same small interface, pictures of both that can be compared, and a line language for plans and
//! commands.
#![allow(dead_code, reason = "each of the two test programs uses its part")]

pub mod naive;
pub mod network;
pub mod picture;
pub mod script;
