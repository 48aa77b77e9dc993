//! What the scenario and model tests share: a naive network written from the definitions, the real one behind the same small interface,
//! and pictures of both that can be compared.

pub mod compare;
pub mod naive;
pub mod network;
pub mod picture;
pub mod random;
pub mod script;
