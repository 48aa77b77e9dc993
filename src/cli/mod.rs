//! The command line: one file per subcommand, each a translator between files or terminals and the layers
//! below.
//!
//! Results go to standard output, messages and progress to standard error; with `--json` the last line of
//! standard output is one object. How a command ends is listed in `exit.rs`.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

pub use self::exit::Exit;
use self::exit::Failure;
use crate::{
    config::{self, Config, LogRetention, Sources},
    core::{plan::Plan, types::Tree},
    durability::{LogOptions, Retention},
    engine::PlanChoice,
    plan_file, version,
};

mod announce;
mod auth_args;
mod bench;
mod clock;
mod demo;
mod descriptors;
mod dot;
mod exit;
mod export;
mod files;
mod import;
#[cfg(any(test, fuzzing))]
pub(crate) use self::import::fuzzing::import_rows;
mod inspect;
mod interrupt;
mod keys;
mod logging;
mod manual;
mod member;
mod names;
mod network;
mod os_user;
mod plan;
mod remote;
mod repair;
mod scratch;
mod screen;
mod serve;
mod settings;
mod snapshot;
mod source;
mod target;
mod tree;
mod verify;

pub use self::names::NAME_NAMESPACE;

/// A network engine for multi-level marketing: placement, counts, ranks and bonuses, exact and durable.
///
/// Without a subcommand it serves, on 127.0.0.1:8000 with its data in snapshots/live of a checkout, else in
/// ~/.local/state/upline.
#[derive(Parser, Debug)]
#[command(name = "upline", version = version::SHOWN, after_help = exit::HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve the HTTP API (what a bare `upline` does)
    Serve(serve::Args),
    /// Take members and bonuses from CSV or NDJSON files into a data directory
    Import(import::Args),
    /// Write the members, and with --bonuses the ledger, as CSV or NDJSON
    Export(export::Args),
    /// Check a data directory: files, invariants, every count and rank against a recount; print its digests
    Verify(verify::Args),
    /// Show what is in the files of a data directory: log frames and commands, snapshot chunks, and any
    /// damage
    Inspect(inspect::Args),
    /// Say what can be done about a damaged data directory, and do it; drops what may have been acknowledged
    /// only when told so
    Repair(repair::Args),
    /// Make a snapshot now, of a directory or by a running server
    Snapshot(snapshot::Args),
    /// Show how the clock stands to the log, or accept a clock that jumped
    Clock(clock::Args),
    /// Show all of one member: place, counts, rank and what is missing for the next, last bonuses
    Member(member::Args),
    /// Draw a part of a tree in the terminal
    Tree(tree::Args),
    /// Draw a tree, or a part of it, in Graphviz's language
    Dot(dot::Args),
    /// Show the configuration, or check a configuration file
    Config(settings::Args),
    /// Work with plan files
    Plan(plan::Args),
    /// Create, list and revoke the keys of services
    Keys(keys::Args),
    /// Make a network up, with a referral bonus per member, and serve it
    Demo(demo::Args),
    /// Measure how fast this program is on this machine, and what bounds it
    Bench(bench::Args),
    /// What bounds the server, as a program: for `upline bench http`, which starts it
    #[command(hide = true)]
    BenchStub(bench::StubArgs),
    /// Print a script that completes command lines, for a shell
    Completions(manual::CompletionArgs),
    /// Print the manual page, or write one for each command
    Man(manual::ManArgs),
}

/// Runs the program with the arguments of the process (its name first).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; where nobody reads them there is nothing to say.
            _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    let result = match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Import(args)) => import::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Verify(args)) => verify::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Repair(args)) => repair::run(&args),
        Some(Command::Snapshot(args)) => snapshot::run(&args),
        Some(Command::Clock(args)) => clock::run(&args),
        Some(Command::Member(args)) => member::run(&args),
        Some(Command::Tree(args)) => tree::run(&args),
        Some(Command::Dot(args)) => dot::run(&args),
        Some(Command::Config(args)) => settings::run(&args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Keys(args)) => keys::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::BenchStub(args)) => bench::run_stub(&args),
        Some(Command::Completions(args)) => manual::completions(&args),
        Some(Command::Man(args)) => manual::man(&args),
    };
    match result {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                screen::tell(&failure.line());
            }
            failure.exit.into()
        }
    }
}

/// Which data directory.
#[derive(clap::Args, Clone, Default, Debug)]
struct DataDirArgs {
    /// Data directory [default: snapshots/live in a checkout, else $XDG_STATE_HOME/upline, else
    /// ~/.local/state/upline]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Configuration file (TOML); also UPLINE_CONFIG
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum TreeName {
    Placement,
    Sponsor,
}

impl TreeName {
    fn tree(self) -> Tree {
        match self {
            TreeName::Placement => Tree::Placement,
            TreeName::Sponsor => Tree::Sponsor,
        }
    }
}

/// Which plan, for a new directory.
#[derive(clap::Args, Clone, Default, Debug)]
struct PlanArgs {
    /// Plan file for a new data directory; an existing one must agree with it [default: the plan in
    /// plans/matrix.toml]
    #[arg(long, value_name = "FILE")]
    plan: Option<String>,
    /// Width of the placement tree for a new data directory, in place of the plan's; an existing one must
    /// agree with it
    #[arg(long, value_name = "N")]
    max_children: Option<String>,
}

impl DataDirArgs {
    /// The configuration file that is read, if one is.
    fn config_file(&self) -> Option<PathBuf> {
        let variable =
            || std::env::var_os("UPLINE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.config.clone().or_else(variable)
    }

    /// The configuration that these flags, the environment and the configuration file make.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn resolve(&self, plan: &PlanArgs, more: BTreeMap<&'static str, String>) -> Result<Config, Failure> {
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

/// The plan that a configuration asks for.
///
/// # Errors
/// What is wrong with the plan file.
fn plan_choice(config: &Config) -> Result<PlanChoice, Failure> {
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

fn log_options(config: &Config) -> LogOptions {
    let retention = match config.log_retention {
        LogRetention::All => Retention::Keep,
        LogRetention::Bytes(bytes) => Retention::Bytes(bytes),
        LogRetention::Days(days) => Retention::Days(days),
    };
    LogOptions { segment_bytes: config.segment_bytes, retention, ..LogOptions::default() }
}

/// Ends the process without looking back: somebody asked twice. What is durable stays so; nothing else was
/// promised.
fn end_at_once(exit: Exit) -> ! {
    std::process::exit(i32::from(exit as u8))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// A flag that the configuration does not know would be a flag without effect, and the other way round.
    #[test]
    fn every_setting_is_a_flag_of_serve() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").expect("it is there");
        let flags: Vec<&str> =
            serve.get_arguments().filter_map(clap::Arg::get_long).filter(|flag| *flag != "help").collect();
        for setting in &config::SETTINGS {
            assert!(flags.contains(&setting.key.replace('_', "-").as_str()), "{} has no flag", setting.key);
        }
        assert_eq!(flags.len(), config::SETTINGS.len() + 1, "all settings and --config: {flags:?}");
    }
}
