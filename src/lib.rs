//! `upline`: a network engine for multi-level marketing.
#![forbid(unsafe_code)]

pub mod cli;
pub mod core;
pub mod durability;
pub mod engine;
pub mod http;
pub mod metrics;
