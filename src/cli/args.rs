//! Arguments shared by several commands, and their resolution.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    exit::{Exit, Failure},
    flags::{Flags, OfDataDir, OfPlan},
    screen,
};
use crate::{
    config::{self, Config, LogRetention, Sources},
    core::{plan::Plan, types::Tree},
    durability::{LogOptions, Retention},
    engine::PlanChoice,
    plan_file,
};

/// Which data directory.
#[derive(clap::Args, Clone, Default, Debug)]
pub(super) struct DataDirArgs {
    #[command(flatten)]
    flags: Flags<OfDataDir>,
    /// Configuration file (TOML); also UPLINE_CONFIG
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum TreeName {
    Placement,
    Sponsor,
}

impl TreeName {
    pub fn tree(self) -> Tree {
        match self {
            TreeName::Placement => Tree::Placement,
            TreeName::Sponsor => Tree::Sponsor,
        }
    }
}

/// Which plan, for a new directory.
pub(super) type PlanArgs = Flags<OfPlan>;

impl DataDirArgs {
    /// Returns the configuration file to read, if any.
    pub fn config_file(&self) -> Option<PathBuf> {
        let variable =
            || std::env::var_os("UPLINE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.config.clone().or_else(variable)
    }

    /// Names the directory as `--data-dir` does.
    pub fn set(&mut self, directory: &Path) {
        self.flags.given.insert("data_dir", directory.display().to_string());
    }

    /// Returns whether `--data-dir` was given.
    pub fn is_given(&self) -> bool {
        !self.flags.given.is_empty()
    }

    /// Builds the configuration from these and more flags (texts by key), the environment and the
    /// configuration file.
    ///
    /// # Errors
    /// Every error found in it.
    pub fn resolve(&self, more: BTreeMap<&'static str, String>) -> Result<Config, Failure> {
        let mut flags = more;
        flags.extend(self.flags.given.clone());
        let config = Config::resolve(&Sources::of_process(flags, self.config.clone()))?;
        for warning in &config.warnings {
            screen::tell(&format!("upline: {warning}"));
        }
        Ok(config)
    }
}

/// Returns the plan that a configuration asks for.
///
/// # Errors
/// The plan file is invalid.
pub(super) fn plan_choice(config: &Config) -> Result<PlanChoice, Failure> {
    plan_choice_or(config, plan_file::default_plan)
}

/// As [`plan_choice`], with another default.
///
/// # Errors
/// As [`plan_choice`].
pub(super) fn plan_choice_or(config: &Config, default: fn() -> Plan) -> Result<PlanChoice, Failure> {
    let mut plan = match &config.plan {
        Some(path) => read_plan(path)?,
        None => default(),
    };
    if let Some(width) = config.max_children {
        plan.placement.width = Some(width);
        plan.validate().map_err(|errors| {
            let reasons: Vec<String> =
                errors.iter().map(|error| format!("{}: {}", error.field, error.reason)).collect();
            Failure::new(
                Exit::Config,
                format!("the plan does not go with max_children = {width}: {}", reasons.join("; ")),
            )
        })?;
    }
    Ok(PlanChoice {
        plan,
        plan_is_explicit: config.plan.is_some(),
        width_is_explicit: config.max_children.is_some(),
    })
}

fn read_plan(path: &std::path::Path) -> Result<Plan, Failure> {
    let text = config::read_text(path).map_err(|unread| Failure::new(Exit::Config, unread))?;
    plan_file::parse(&text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("{}: {error}", path.display())).collect();
        Failure::new(Exit::Config, lines.join("\n"))
    })
}

pub(super) fn log_options(config: &Config) -> LogOptions {
    let retention = match config.log_retention {
        LogRetention::All => Retention::Keep,
        LogRetention::Bytes(bytes) => Retention::Bytes(bytes),
        LogRetention::Days(days) => Retention::Days(days),
    };
    LogOptions { segment_bytes: config.segment_bytes, retention, ..LogOptions::default() }
}
