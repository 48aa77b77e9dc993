//! The command line as clap reads it, and which file carries out each command.

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

use super::{
    bench, bonus, clock, demo, dot,
    exit::{self, Exit},
    export, import, inspect, keys, manual, member, opening, orders, period, plan, repair, screen, serve,
    settings, snapshot, tree, verify,
};
use crate::version;

/// A network engine for multi-level marketing: placement, counts, ranks and bonuses, exact and durable.
///
/// Without a subcommand it serves, on 127.0.0.1:8000 with its data in snapshots/live of a checkout, else in
/// ~/.local/state/upline.
#[derive(Parser, Debug)]
#[command(
    name = "upline", version = version::SHOWN, after_help = exit::HELP, args_conflicts_with_subcommands = true
)]
pub(super) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
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
    /// List bonuses, and hold, release, void or take back one
    Bonus(bonus::Args),
    /// Show, list, refund and import orders
    Orders(orders::Args),
    /// Import and show what members bring from before the first period
    Opening(opening::Args),
    /// List the periods of calendars, and lock, unlock, approve, post or seal one
    Period(period::Args),
    /// Compute what a locked period pays, and record the result
    Run(period::RunArgs),
    /// Draw a part of a tree in the terminal
    Tree(tree::Args),
    /// Draw a tree, or a part of it, in Graphviz's language
    Dot(dot::Args),
    /// Show the configuration, or check a configuration file
    Config(settings::Args),
    /// Check plan files, and show the plans of a network
    Plan(plan::Args),
    /// Create, list and revoke the keys of services
    Keys(keys::Args),
    /// Make a network up, with referral bonuses and with orders of some months, and serve it
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

/// Runs the program with the arguments of the process (program name first).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; a closed output is ignored.
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
        Some(Command::Bonus(args)) => bonus::run(&args),
        Some(Command::Orders(args)) => orders::run(&args),
        Some(Command::Opening(args)) => opening::run(&args),
        Some(Command::Period(args)) => period::run(&args),
        Some(Command::Run(args)) => period::record_run(&args),
        Some(Command::Tree(args)) => tree::run(&args),
        Some(Command::Dot(args)) => dot::run(&args),
        Some(Command::Config(args)) => settings::run(&args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Keys(args)) => keys::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::BenchStub(args)) => bench::run_stub(&args),
        Some(Command::Completions(args)) => manual::completions(&args, Cli::command()),
        Some(Command::Man(args)) => manual::man(&args, Cli::command()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// A flag unknown to the configuration would have no effect, and vice versa.
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
