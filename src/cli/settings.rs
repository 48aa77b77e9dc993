//! `upline config`: shows the effective configuration, and checks a configuration file.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    exit::{Exit, Failure},
    plan_choice, screen, serve,
};
use crate::config::{self, Config, Given, Sources};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(clap::Subcommand, Debug)]
enum ConfigCommand {
    /// Print every setting as `serve` with these flags would take it, in the form of a configuration file
    Show {
        /// Only these settings
        #[arg(
            value_name = "KEY",
            value_parser = clap::builder::PossibleValuesParser::new(
                config::SETTINGS.iter().map(|setting| setting.key)
            )
        )]
        keys: Vec<String>,
        #[command(flatten)]
        serve: Box<serve::Args>,
        /// Say where each value comes from: flag, variable, file and line, or default
        #[arg(long)]
        origin: bool,
        /// One JSON object on the last line of standard output
        #[arg(long)]
        json: bool,
    },
    /// Say what is wrong with a configuration file and with the plan that it names; flags and variables do
    /// not count
    Check {
        file: PathBuf,
        /// One JSON object on the last line of standard output
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        ConfigCommand::Show { keys, serve, origin, json } => show(&serve.config()?, keys, *origin, *json),
        ConfigCommand::Check { file, json } => check(file, *json),
    }
}

fn show(config: &Config, keys: &[String], origin: bool, json: bool) -> Result<(), Failure> {
    let wanted = |given: &&Given| keys.is_empty() || keys.iter().any(|key| key == given.key);
    let given: Vec<&Given> = config.given.iter().filter(wanted).collect();
    let settings: serde_json::Map<String, Value> = given
        .iter()
        .map(|given| {
            (given.key.to_owned(), json!({"value": typed(&given.text), "origin": given.origin.to_string()}))
        })
        .collect();
    let object = json!({"command": "config show", "settings": settings, "warnings": config.warnings});
    screen::say_result(json, &object, || {
        let width = given.iter().map(|given| line(given).chars().count()).max().unwrap_or_default();
        let lines = given.iter().map(|given| {
            if origin { format!("{:<width$}  # {}", line(given), given.origin) } else { line(given) }
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// Formats a setting as a line of a configuration file; an unset one as a comment.
fn line(given: &Given) -> String {
    match typed(&given.text) {
        Value::Null => format!("# {} =", given.key),
        value => format!("{} = {value}", given.key),
    }
}

/// Converts a text to its value in a file. JSON's strings, numbers and booleans are TOML's too, once control
/// characters beyond ASCII's first are escaped alike, and those are not in any value that passed the checks.
fn typed(text: &str) -> Value {
    match text {
        "" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text
            .parse::<u64>()
            .ok()
            .filter(|number| number.to_string() == text)
            .map_or_else(|| text.into(), Value::from),
    }
}

fn check(file: &Path, json: bool) -> Result<(), Failure> {
    // The default data directory is not a matter of the file: a start may have a home where this command has
    // none.
    let environment = [("HOME".to_owned(), "/".to_owned())].into();
    let sources = Sources { config_file: Some(file.to_path_buf()), environment, ..Sources::default() };
    let (errors, warnings) = match Config::resolve(&sources) {
        Err(error) => (error.0, Vec::new()),
        Ok(config) => {
            (plan_choice(&config).err().map(|failure| failure.message).into_iter().collect(), config.warnings)
        }
    };
    let object = json!({
        "command": "config check", "valid": errors.is_empty(), "errors": errors, "warnings": warnings,
    });
    for warning in &warnings {
        screen::tell(&format!("upline: {warning}"));
    }
    if errors.is_empty() {
        return screen::say_result(json, &object, || format!("{} is valid", file.display()));
    }
    for error in &errors {
        screen::tell(error);
    }
    if json {
        screen::say(&object.to_string())?;
    }
    // The file may be invalid, or not be there.
    Err(Failure::new(Exit::Config, format!("{} is not a configuration that can be used", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_a_configuration_file_that_says_the_same() {
        let flags = [
            ("addr", "127.0.0.1:1"),
            ("data_dir", "a \"b\" \\c"),
            ("max_children", "5"),
            ("test_data", "true"),
        ];
        let sources = Sources {
            flags: flags.iter().map(|(key, text)| (*key, (*text).to_string())).collect(),
            ..Sources::default()
        };
        let config = Config::resolve(&sources).unwrap();
        let text: String = config.given.iter().map(|given| line(given) + "\n").collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let again = Config::resolve(&Sources { config_file: Some(file.path().into()), ..Sources::default() })
            .unwrap();
        let texts = |config: &Config| config.given.iter().map(|given| given.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&config), texts(&again), "{text}");
    }
}
