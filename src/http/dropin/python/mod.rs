//! How Python treats JSON, number by number and byte by byte, as visible in the original's answers.

pub mod error;
pub mod json;
pub mod print;
pub mod text;
