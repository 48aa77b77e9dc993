//! Logs: text for people on a terminal, JSON lines elsewhere, always on standard error.

use tracing_subscriber::EnvFilter;

use super::screen;
use crate::config::{Config, LogFormat};

/// Starts logging. Only the first call in a process has an effect.
pub(super) fn begin(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let text = match config.log_format {
        LogFormat::Auto => screen::on_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(screen::on_terminal());
    let begun = if text { builder.try_init() } else { builder.json().flatten_event(true).try_init() };
    if let Err(error) = begun {
        screen::tell(&format!("upline: no logs: {error}"));
    }
}
