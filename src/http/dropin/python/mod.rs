//! What Python does to JSON, number by number and byte by byte: the original's answers show it.

pub mod error;
pub mod json;
pub mod print;
pub mod text;
