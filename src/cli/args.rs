//! Arguments shared by several commands, and their resolution.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    exit::{Exit, Failure},
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
    /// Data directory [default: snapshots/live in a checkout, else $XDG_STATE_HOME/upline, else
    /// ~/.local/state/upline]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
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
#[derive(clap::Args, Clone, Default, Debug)]
pub(super) struct PlanArgs {
    /// Plan file for a new data directory; an existing one must agree with it [default: the plan in
    /// plans/matrix.toml]
    #[arg(long, value_name = "FILE")]
    pub plan: Option<String>,
    /// Width of the placement tree for a new data directory, in place of the plan's; an existing one must
    /// agree with it
    #[arg(long, value_name = "N")]
    pub max_children: Option<String>,
}

impl DataDirArgs {
    /// Returns the configuration file to read, if any.
    pub fn config_file(&self) -> Option<PathBuf> {
        let variable =
            || std::env::var_os("UPLINE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.config.clone().or_else(variable)
    }

    /// Builds the configuration from these flags, the environment and the configuration file.
    ///
    /// # Errors
    /// Every error found in it.
    pub fn resolve(&self, plan: &PlanArgs, more: BTreeMap<&'static str, String>) -> Result<Config, Failure> {
        let mut flags = more;
        let own = [("data_dir", &self.data_dir), ("plan", &plan.plan), ("max_children", &plan.max_children)];
        flags.extend(own.into_iter().filter_map(|(key, text)| Some((key, text.clone()?))));
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
    let mut plan = match &config.plan {
        Some(path) => read_plan(path)?,
        None => plan_file::default_plan(),
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
    let text = config::read_text(path).map_err(|reason| Failure::new(Exit::Config, reason))?;
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
