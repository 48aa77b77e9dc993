//! `upline plan`: checks a plan file, and shows the plans of a network, from a data directory or a running
//! server.
//!
//! The printed objects use the terms of `/v1`, those of `GET /v1/plan` and `GET /v1/plan/versions`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{
    exit::{Exit, Failure},
    plan_words::about_orders,
    problem::refused,
    remote::Answer,
    screen,
    source::{self, Source},
    tables,
};
use crate::{
    config,
    core::plan::Plan,
    engine::{PlanVersion, plan_at},
    plan_document::{self, Format, Node, PlanDocument, print_percent},
    plan_file, time_text,
};

const COLUMNS: [(&str, &str); 4] =
    [("version", "version"), ("from LSN", "from_lsn"), ("from time", "from_time"), ("plan", "name")];

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
    /// Print the plan in force, or the one that was in force at an LSN, as a plan file
    Show {
        /// The plan that was in force right after the command with this LSN
        #[arg(long, value_name = "LSN")]
        at: Option<u64>,
        #[command(flatten)]
        asked: Asked,
    },
    /// List the known versions of the plan, newest first, with the LSN and the time from which each holds
    Versions(Asked),
}

#[derive(clap::Args, Debug)]
struct Asked {
    #[command(flatten)]
    source: source::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        PlanCommand::Check { file, json } => check(file, *json),
        PlanCommand::Show { at, asked } => show(*at, asked),
        PlanCommand::Versions(asked) => versions(asked),
    }
}

// --- a file

fn check(file: &Path, json: bool) -> Result<(), Failure> {
    let text = config::read_text(file).map_err(|unread| Failure::new(Exit::Config, unread))?;
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
        Ok(plan) => screen::say_result(json, &object, || valid_in_words(&plan)),
        Err(errors) => {
            for error in &errors {
                screen::tell(&format!("{}: {error}", file.display()));
            }
            if json {
                screen::say(&object.to_string())?;
            }
            Err(Failure::new(Exit::Config, format!("{} is not a valid plan", file.display())))
        }
    }
}

fn valid_in_words(plan: &Plan) -> String {
    let mut notes = String::new();
    for line in about_orders(plan) {
        notes += &format!("# {line}\n");
    }
    for warning in plan.above_whole() {
        notes += &format!("# note: {warning}\n");
    }
    format!("# valid; with all defaults filled in:\n{notes}{}", plan_file::to_text(plan).trim_end())
}

// --- a network

fn show(at: Option<u64>, asked: &Asked) -> Result<(), Failure> {
    let (lsn, shown) = match asked.source.open()? {
        Source::Directory(loaded) => {
            let known = plan_at(&loaded.state, at).map_err(refused)?;
            let mut shown = version(known);
            shown.insert("plan".into(), json!(PlanDocument::new(&known.plan)));
            (Some(loaded.state.lsn()), shown)
        }
        Source::Server(remote) => {
            let at = at.map(|at| format!("?at={at}")).unwrap_or_default();
            object(remote.get(&format!("/v1/plan{at}"))?)?
        }
    };
    let object = named("plan show", lsn, shown);
    if asked.json { screen::say(&object.to_string()) } else { screen::say(&plan_in_words(&object)?) }
}

fn versions(asked: &Asked) -> Result<(), Failure> {
    let (lsn, known) = match asked.source.open()? {
        Source::Directory(loaded) => {
            let listed = loaded.state.plan_versions().list().iter().rev().map(|known| {
                let mut version = version(known);
                version.insert("name".into(), Value::from(&*known.plan.name));
                Value::Object(version)
            });
            let known = [("versions".to_owned(), listed.collect())].into_iter().collect();
            (Some(loaded.state.lsn()), known)
        }
        Source::Server(remote) => object(remote.get("/v1/plan/versions")?)?,
    };
    let object = named("plan versions", lsn, known);
    screen::say_result(asked.json, &object, || {
        let versions = object["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        tables::of_objects(&COLUMNS, versions)
    })
}

/// What is known of a version, apart from the plan.
fn version(known: &PlanVersion) -> Map<String, Value> {
    let version: [(&str, Value); 4] = [
        ("version", known.version.into()),
        ("from_lsn", known.lsn.into()),
        ("from_time", (known.lsn != 0).then(|| time_text::print(known.time)).into()),
        ("exact", known.is_exact.into()),
    ];
    version.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A server's answer, with the LSN of its state.
fn object(answer: Answer) -> Result<(Option<u64>, Map<String, Value>), Failure> {
    match answer.body {
        Value::Object(object) => Ok((answer.lsn, object)),
        _ => Err(Failure::new(Exit::Refused, "the server's answer is not an object")),
    }
}

fn named(command: &str, lsn: Option<u64>, mut object: Map<String, Value>) -> Value {
    object.insert("command".into(), command.into());
    object.insert("lsn".into(), lsn.into());
    Value::Object(object)
}

/// Formats a plan as a plan file, whose first line says since when it holds.
fn plan_in_words(object: &Value) -> Result<String, Failure> {
    let read = serde_json::from_value::<Node>(object["plan"].clone());
    let plan = read.ok().and_then(|document| plan_document::read(&document, Format::Json).ok());
    let plan = plan.ok_or_else(|| {
        Failure::new(Exit::Refused, "the server has a plan that this release cannot read: see --json")
    })?;
    let part = |field: &str| tables::shown(&object[field]);
    let (version, from) = (part("version"), part("from_lsn"));
    let bound = if object["exact"] == false { " or before" } else { "" };
    let text = plan_file::to_text(&plan);
    Ok(format!("# version {version}, in force from LSN {from}{bound}\n{}", text.trim_end()))
}
