//! Sources of values: flags, the environment, a file, defaults.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    path::{Path, PathBuf},
};

use toml::de::DeValue;

use super::{
    place,
    settings::{SETTINGS, Setting},
};
use crate::toml_reader::{FILE_BYTES_MAX, Fields, Reader, describe};

/// Variables of the original service that have no effect here; a warning names them once.
const ORIGINAL_VARIABLES: [&str; 8] =
    ["DB_URL", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "REDIS_ENABLED", "REDIS_URL"];

/// Variables of ours that are not settings: where the file is, and the credentials that commands send to a
/// running server.
const OTHER_VARIABLES: [&str; 3] = ["UPLINE_CONFIG", "UPLINE_API_KEY", "UPLINE_API_SECRET"];

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    Flag(String),
    Environment(String),
    File { path: PathBuf, line: Option<usize> },
    Default,
}

impl Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => out.write_str(flag),
            Origin::Environment(variable) => write!(out, "environment {variable}"),
            Origin::File { path, line: Some(line) } => write!(out, "{} line {line}", path.display()),
            Origin::File { path, line: None } => write!(out, "{}", path.display()),
            Origin::Default => out.write_str("default"),
        }
    }
}

/// A value as it was given, for display.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    pub key: &'static str,
    pub text: String,
    pub origin: Origin,
}

/// Where values may come from.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// Values of flags by setting key.
    pub flags: BTreeMap<&'static str, String>,
    /// `--config`.
    pub config_file: Option<PathBuf>,
    /// The environment, or a test's replacement for it.
    pub environment: BTreeMap<String, String>,
    /// Where to look for the default data directory; empty for the working directory of this process.
    pub working_dir: PathBuf,
}

impl Sources {
    /// Flags, plus the environment of this process. Variables that are not UTF-8 are skipped: none of ours
    /// can be among them.
    pub fn of_process(flags: BTreeMap<&'static str, String>, config_file: Option<PathBuf>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { flags, config_file, environment, working_dir: PathBuf::new() }
    }
}

/// Returns the value of the source with the highest precedence. An empty variable counts as unset.
pub(super) fn pick(setting: &Setting, sources: &Sources, file: &BTreeMap<&'static str, Given>) -> Given {
    let key = setting.key;
    if let Some(text) = sources.flags.get(key) {
        return Given { key, text: text.clone(), origin: Origin::Flag(format!("--{}", setting.flag())) };
    }
    let variable = setting.variable();
    if let Some(text) = sources.environment.get(&variable).filter(|text| !text.is_empty()) {
        return Given { key, text: text.clone(), origin: Origin::Environment(variable) };
    }
    file.get(key).cloned().unwrap_or_else(|| {
        let found =
            || place::default_data_dir(&sources.working_dir, &sources.environment).unwrap_or_default();
        let text = if key == "data_dir" { found() } else { setting.default.into() };
        Given { key, text, origin: Origin::Default }
    })
}

/// Uses `MAX_CHILDREN`, and warns about other variables of the original and about unknown `UPLINE_*`
/// variables.
///
/// Unlike unknown keys of the file, the latter are no errors: orchestrators set variables such as
/// `UPLINE_SERVICE_HOST` for everything that runs alongside a service called `upline`.
pub(super) fn use_original_environment(sources: &Sources, given: &mut [Given], warnings: &mut Vec<String>) {
    if let Some(text) = sources.environment.get("MAX_CHILDREN").filter(|text| !text.is_empty()) {
        let width = given
            .iter_mut()
            .find(|given| given.key == "max_children")
            .expect("it is in the list of settings");
        if width.origin == Origin::Default {
            width.text.clone_from(text);
            width.origin = Origin::Environment("MAX_CHILDREN".into());
        }
    }
    let set = |name: &&str| sources.environment.contains_key(*name);
    let original: Vec<&str> = ORIGINAL_VARIABLES.into_iter().filter(|name| set(name)).collect();
    if !original.is_empty() {
        warnings.push(format!("ignored, since there is no database and no cache: {}", original.join(", ")));
    }
    let is_known = |name: &str| {
        OTHER_VARIABLES.contains(&name) || SETTINGS.iter().any(|setting| setting.variable() == name)
    };
    let unknown = |name: &&String| name.starts_with("UPLINE_") && !is_known(name);
    let unknown: Vec<&str> = sources.environment.keys().filter(unknown).map(String::as_str).collect();
    if !unknown.is_empty() {
        warnings.push(format!("ignored, not a setting: {}", unknown.join(", ")));
    }
}

/// Returns the values of the configuration file, if one is named.
pub(super) fn read_file(sources: &Sources, errors: &mut Vec<String>) -> BTreeMap<&'static str, Given> {
    let named = sources.config_file.clone();
    let variable =
        || sources.environment.get("UPLINE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let Some(path) = named.or_else(variable) else { return BTreeMap::new() };
    let values = read_text(&path).map_err(|unread| vec![unread]).and_then(|text| {
        let (reader, document) = Reader::parse(&text).map_err(|faults| with_path(&path, &faults))?;
        file_values(&path, reader, Fields::of(String::new(), document.get_ref()))
    });
    values.unwrap_or_else(|faults| {
        errors.extend(faults);
        BTreeMap::new()
    })
}

fn with_path(path: &Path, faults: &[impl Display]) -> Vec<String> {
    faults.iter().map(|fault| format!("{}: {fault}", path.display())).collect()
}

fn file_values(
    path: &Path,
    mut reader: Reader,
    mut fields: Fields<'_, '_>,
) -> Result<BTreeMap<&'static str, Given>, Vec<String>> {
    let mut values = BTreeMap::new();
    for setting in &SETTINGS {
        let key = setting.key;
        let Some(value) = fields.take(&mut reader, key) else { continue };
        let text = match value {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().into(),
            DeValue::Boolean(flag) => flag.to_string(),
            other => {
                reader.fault(
                    key,
                    format!("must be a string, a whole number, true or false, is {}", describe(other)),
                );
                continue;
            }
        };
        let origin = Origin::File { path: path.into(), line: reader.line(key) };
        values.insert(key, Given { key, text, origin });
    }
    fields.finish(&mut reader);
    if reader.is_faultless() { Ok(values) } else { Err(with_path(path, &reader.into_errors())) }
}

/// Reads a small text file.
///
/// # Errors
/// The file cannot be read, or is no small text file: one sentence that names it.
pub fn read_text(path: &Path) -> Result<String, String> {
    let error = |reason: &dyn Display| format!("cannot read {}: {reason}", path.display());
    let failed = |fault: std::io::Error| error(&fault);
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if FILE_BYTES_MAX < bytes {
        return Err(error(&format!("it has {bytes} bytes, more than {FILE_BYTES_MAX}")));
    }
    let content = std::fs::read(path).map_err(failed)?;
    String::from_utf8(content).map_err(|fault| {
        let valid = fault.utf8_error().valid_up_to();
        let line = fault.as_bytes()[..valid].split(|byte| *byte == b'\n').count();
        error(&format!("line {line} is not UTF-8 text"))
    })
}
