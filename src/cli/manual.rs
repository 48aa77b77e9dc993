//! `upline completions` and `upline man`: shell completions and manual pages, generated from the definition
//! that parses the command line.

use std::path::{Path, PathBuf};

use clap_complete::Shell;

use super::{
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

pub(super) fn completions(args: &CompletionArgs, mut program: clap::Command) -> Result<(), Failure> {
    // Into memory first: the generator panics when its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "upline", &mut script);
    screen::say_bytes(&script)
}

pub(super) fn man(args: &ManArgs, program: clap::Command) -> Result<(), Failure> {
    if let Some(directory) = &args.output {
        return write_pages(directory, program);
    }
    let mut page = Vec::new();
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot make the page: {error}"));
    clap_mangen::Man::new(program).render(&mut page).map_err(failed)?;
    screen::say_bytes(&page)
}

fn write_pages(directory: &Path, program: clap::Command) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot write into {}: {error}", directory.display()))
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(program.disable_help_subcommand(true), directory).map_err(failed)
}
