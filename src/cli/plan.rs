//! `upline plan check`: whether a plan file is valid, and what it says.

use std::path::PathBuf;

use serde_json::json;

use super::{
    exit::{Exit, Failure},
    screen,
};
use crate::{config, core::plan::Plan, plan_file};

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
        Err(errors) => errors.iter().map(|error| json!({"line": error.line, "field": error.field, "reason": error.reason})).collect(),
    };
    let canonical = parsed.as_ref().ok().map(plan_file::to_text);
    let object = json!({"command": "plan check", "valid": parsed.is_ok(), "errors": errors, "canonical": canonical});
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
    let rates = plan.bonuses.iter().filter_map(|rule| match &rule.pay {
        crate::core::plan::LevelPay::Share(rates) => Some((&rule.trigger, rates.iter().map(|rate| u64::from(rate.0)).sum::<u64>())),
        crate::core::plan::LevelPay::Fixed(_) => None,
    });
    let mut warnings = String::new();
    for (trigger, sum) in rates.filter(|(_, sum)| 10_000 < *sum) {
        warnings += &format!("# note: `{trigger}` pays {}.{:02}% of its amount over all levels\n", sum / 100, sum % 100);
    }
    format!("# valid; with all defaults filled in:\n{warnings}{}", plan_file::to_text(plan).trim_end())
}
