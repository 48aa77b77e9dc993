//! `upline plan check`: validates a plan file, and prints it.

use std::path::PathBuf;

use serde_json::json;

use super::{
    exit::{Exit, Failure},
    screen,
};
use crate::{config, core::plan::Plan, plan_document::print_percent, plan_file};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: PlanCommand,
}

#[derive(clap::Subcommand, Debug)]
enum PlanCommand {
    /// Say what is wrong with a plan file, with line and reason, or print it with all defaults filled in
    Check {
        file: PathBuf,
        /// One JSON object on the last line of standard output
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let PlanCommand::Check { file, json } = &args.command;
    let text = config::read_text(file).map_err(|reason| Failure::new(Exit::Failed, reason))?;
    let parsed = plan_file::parse(&text);
    let errors = match &parsed {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .iter()
            .map(|error| json!({"line": error.line, "field": error.field, "reason": error.reason}))
            .collect(),
    };
    let canonical = parsed.as_ref().ok().map(plan_file::to_text);
    let warned = parsed.iter().flat_map(Plan::above_whole);
    let warnings: Vec<_> = warned
        .map(|warning| {
            json!({
                "trigger": warning.trigger, "percent": print_percent(warning.basis_points),
                "detail": warning.to_string(),
            })
        })
        .collect();
    let object = json!({
        "command": "plan check", "valid": parsed.is_ok(), "errors": errors, "warnings": warnings,
        "canonical": canonical,
    });
    match parsed {
        Ok(plan) => screen::say_result(*json, &object, || in_words(&plan)),
        Err(errors) => {
            for error in &errors {
                screen::tell(&format!("{}: {error}", file.display()));
            }
            if *json {
                screen::say(&object.to_string())?;
            }
            Err(Failure::new(Exit::Config, format!("{} is not a valid plan", file.display())))
        }
    }
}

fn in_words(plan: &Plan) -> String {
    let mut warnings = String::new();
    for warning in plan.above_whole() {
        warnings += &format!("# note: {warning}\n");
    }
    format!("# valid; with all defaults filled in:\n{warnings}{}", plan_file::to_text(plan).trim_end())
}
