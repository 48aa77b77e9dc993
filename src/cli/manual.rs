//! `upline completions` and `upline man`: what shells and readers of manuals want to know, made from the same
//! description that parses the command line.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{
    Cli,
    exit::{Exit, Failure},
    screen,
};

#[derive(clap::Args, Debug)]
pub(super) struct CompletionArgs {
    shell: Shell,
}

#[derive(clap::Args, Debug)]
pub(super) struct ManArgs {
    /// Write a page for each command into this directory, which is made if need be
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionArgs) -> Result<(), Failure> {
    // Into memory first: what writes for itself panics when nobody reads any more.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "upline", &mut script);
    screen::say_bytes(&script)
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    if let Some(directory) = &args.output {
        return write_pages(directory);
    }
    let mut page = Vec::new();
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot make the page: {error}"));
    clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
    screen::say_bytes(&page)
}

fn write_pages(directory: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot write into {}: {error}", directory.display()))
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory).map_err(failed)
}
