//! `upline`: a network engine for multi-level marketing.
#![forbid(unsafe_code)]

pub mod access;
pub mod amount;
pub mod calendars;
pub mod cli;
pub mod command_json;
pub mod config;
pub mod core;
pub mod durability;
pub mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod huge_pages;
pub mod metrics;
mod opening_text;
pub mod owner;
mod plan_document;
pub mod plan_file;
pub mod private_file;
pub mod shapes;
pub mod time_text;
pub mod toml_reader;
pub mod trust;
pub mod version;
pub mod workload;
