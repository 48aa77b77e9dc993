//! Configuration: flags > `UPLINE_*` environment > configuration file > defaults. Every value records its
//! origin, and all errors are reported at once, each with its place.
//!
//! [`SETTINGS`] is the single list of settings: flag `--data-dir`, variable `UPLINE_DATA_DIR` and file key
//! `data_dir` are the same setting.

mod access;
mod bounds;
mod place;
mod resolve;
mod settings;
mod size;
mod sources;
mod values;

pub use self::{
    access::{ANY_HOST, AuthConfig, AuthMode, JwtAlgorithm, JwtConfig, JwtKeys, RateConfig, is_loopback},
    bounds::*,
    resolve::{Config, ConfigError, HttpConfig},
    settings::{SETTINGS, Setting},
    sources::{Given, Origin, Sources, read_text},
    values::{LogFormat, LogRetention},
};

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
