//! `upline keys`: creates, lists and revokes service keys. Works next to a running server, which sees the
//! change within two seconds.

use std::{
    io::ErrorKind,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use strum::VariantNames;

use super::{
    DataDirArgs, announce,
    exit::{Exit, Failure},
    screen,
};
use crate::{
    access::{KeyFile, NAME_CHARS_MAX, NewKey, Role, Scope, Scopes, ServiceKey, is_name},
    core::types::Timestamp,
    durability::{DataDir, storage::Disk},
    time_text,
};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Make a key and print it. The secret is shown this once and kept nowhere
    Create(Create),
    /// List all keys, without secrets
    List(Common),
    /// Revoke a key for good; a running server stops taking it within two seconds
    Revoke(Revoke),
}

#[derive(clap::Args, Debug)]
struct Common {
    #[command(flatten)]
    data_dir: DataDirArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct Create {
    #[command(flatten)]
    common: Common,
    /// What the key is for: stands in lists
    #[arg(long)]
    name: String,
    /// service (may do what its scopes say), auditor (reads everything), or admin (may do everything)
    #[arg(long, default_value = "service")]
    role: String,
    /// What a service may do; repeat for more [default: what the gateway of the original needs]
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// When the key ends: a date (its beginning in UTC), or a time with its offset or the name of its zone in
    /// brackets [default: never]
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
}

#[derive(clap::Args, Debug)]
struct Revoke {
    #[command(flatten)]
    common: Common,
    /// The key's id
    id: String,
}

/// # Errors
/// The arguments or the key file are invalid.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Create(args) => create(args),
        Command::List(args) => list(args),
        Command::Revoke(args) => revoke(args),
    }
}

impl Common {
    /// The key file of a data directory, or of a path where one can be created.
    fn file(&self) -> Result<KeyFile, Failure> {
        let config = self.data_dir.resolve([].into())?;
        DataDir::refuse_foreign(&Disk::shared(), &config.data_dir)?;
        Ok(KeyFile::of(&config.data_dir))
    }

    /// The same, for an existing directory: a missing one has no keys to list, and a mistyped name should not
    /// look like a directory without any.
    fn file_that_is_there(&self) -> Result<KeyFile, Failure> {
        let config = self.data_dir.resolve([].into())?;
        let path = &config.data_dir;
        let refused = |exit, reason: &dyn std::fmt::Display| {
            Err(Failure::new(exit, format!("{}: {reason}", path.display())))
        };
        match std::fs::metadata(path) {
            Ok(data) if data.is_dir() => {
                DataDir::refuse_foreign(&Disk::shared(), path)?;
                Ok(KeyFile::of(path))
            }
            Ok(_) => refused(Exit::Foreign, &"it is no directory"),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                refused(Exit::Foreign, &"there is no such directory")
            }
            Err(error) => refused(Exit::Failed, &error),
        }
    }
}

fn create(args: &Create) -> Result<(), Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    if !is_name(&args.name) {
        return Err(usage(format!(
            "a name has 1 to {NAME_CHARS_MAX} letters, digits, blanks or ._-/, and no blank at its ends"
        )));
    }
    let role = args.role.parse::<Role>().ok().filter(|role| *role != Role::Member);
    let role = role.ok_or_else(|| {
        usage(format!("there is no role `{}` for keys: service, auditor or admin", args.role))
    })?;
    let scopes = scopes(role, &args.scope).map_err(usage)?;
    let now = now();
    let expires = args.expires.as_deref().map(seconds_of).transpose().map_err(usage)?;
    if expires.is_some_and(|expires| expires <= now) {
        return Err(usage("a key that has ended already opens nothing".into()));
    }
    let file = args.common.file()?;
    let is_new = !file.directory().exists();
    let made = ServiceKey::random(&args.name, role, scopes, now, expires);
    let NewKey { key, secret } =
        made.map_err(|error| Failure::new(Exit::Failed, format!("no random numbers: {error}")))?;
    file.add(key.clone(), now)?;
    if is_new {
        announce::directory(file.directory());
    }
    let text = if args.common.json {
        let mut object = to_json(&key, now);
        object["secret"] = secret.into();
        object.to_string()
    } else {
        format!("X-Api-Key: {}\nX-Api-Secret: {secret}", key.id)
    };
    screen::say(&text).map_err(|failure| taken_back(&file, &key.id, now, &failure))?;
    if !args.common.json {
        screen::tell(
            "The secret is shown this once and kept nowhere. A running server takes the key within two \
             seconds.",
        );
    }
    Ok(())
}

/// Revokes a key whose secret could not be shown. (It is made before it is shown: a secret that somebody has
/// is of a key that exists.)
fn taken_back(file: &KeyFile, id: &str, now: i64, shown: &Failure) -> Failure {
    // A reader that went away ends other commands quietly.
    let why = if shown.exit == Exit::Ok { "standard output is closed" } else { &shown.message };
    let outcome = match file.revoke(id, now) {
        Ok(_) => "so the key is revoked; make another".into(),
        Err(error) => {
            format!(
                "and the key is active, for it could not be revoked: {error}; `upline keys revoke {id}` does"
            )
        }
    };
    Failure::new(Exit::Failed, format!("{why}: the secret of {id} was not shown, {outcome}"))
}

fn scopes(role: Role, names: &[String]) -> Result<Scopes, String> {
    if role != Role::Service {
        return if names.is_empty() { Ok(Scopes::NONE) } else { Err("only services have scopes".into()) };
    }
    if names.is_empty() {
        return Ok(Scopes::GATEWAY);
    }
    let known = || Scope::VARIANTS.join(", ");
    names
        .iter()
        .map(|name| {
            name.parse::<Scope>().map_err(|_| format!("there is no scope `{name}`; there are {}", known()))
        })
        .collect()
}

fn list(args: &Common) -> Result<(), Failure> {
    let ring = args.file_that_is_there()?.load()?.unwrap_or_default();
    let now = now();
    if args.json {
        let keys: Vec<Value> = ring.iter().map(|key| to_json(key, now)).collect();
        return screen::say(&json!({ "keys": keys }).to_string());
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["ID", "NAME", "ROLE", "STATUS", "CREATED", "EXPIRES", "SCOPES"]);
    for key in ring.iter() {
        let scopes: Vec<&str> = key.scopes.iter().map(Scope::name).collect();
        let expires = key.expires.map_or_else(|| "never".into(), time);
        let (role, status) = (key.role.name(), key.status(now).name());
        table.add_row([&*key.id, &key.name, role, status, &time(key.created), &expires, &scopes.join(" ")]);
    }
    screen::say(&table.trim_fmt())
}

fn revoke(args: &Revoke) -> Result<(), Failure> {
    let now = now();
    let key = args.common.file_that_is_there()?.revoke(&args.id, now)?;
    let key = key.ok_or_else(|| Failure::new(Exit::Failed, format!("there is no key `{}`", args.id)))?;
    if args.common.json {
        return screen::say(&to_json(&key, now).to_string());
    }
    screen::say(&format!(
        "{} ({}) is revoked; a running server stops taking it within two seconds",
        key.id, key.name
    ))
}

fn to_json(key: &ServiceKey, now: i64) -> Value {
    let scopes: Vec<&str> = key.scopes.iter().map(Scope::name).collect();
    json!({
        "id": &*key.id,
        "name": key.name,
        "role": key.role.name(),
        "scopes": scopes,
        "status": key.status(now).name(),
        "created_at": time(key.created),
        "expires_at": key.expires.map(time),
        "revoked_at": key.revoked.map(time),
    })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn time(seconds: i64) -> String {
    let civil = seconds.checked_mul(1_000_000).and_then(|micros| time_text::civil(Timestamp(micros)));
    civil.map_or_else(|| seconds.to_string(), |civil| format!("{civil}Z"))
}

fn seconds_of(text: &str) -> Result<i64, String> {
    time_text::lenient(text)
        .map(|time| time.0.div_euclid(1_000_000))
        .map_err(|fault| format!("`{text}` is {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_dates_or_times() {
        assert_eq!(seconds_of("2027-01-31"), Ok(1_801_353_600));
        assert_eq!(seconds_of("2027-01-31T01:00:00+01:00"), Ok(1_801_353_600));
        assert_eq!(time(1_801_353_600), "2027-01-31T00:00:00Z");
        assert_eq!(seconds_of("9999-12-31T23:59:59.5Z"), Ok(253_402_300_799));
        assert_eq!(time(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(time(i64::MAX), "9223372036854775807");
        for bad in ["", "tomorrow", "2027-13-01", "31.01.2027"] {
            assert!(seconds_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scopes_are_for_services_and_known() {
        assert_eq!(scopes(Role::Service, &[]), Ok(Scopes::GATEWAY));
        assert_eq!(scopes(Role::Service, &["metrics".into()]), Ok(Scopes::NONE.with(Scope::Metrics)));
        assert!(scopes(Role::Service, &["everything".into()]).unwrap_err().contains("members:read"));
        assert!(scopes(Role::Admin, &["metrics".into()]).is_err());
        assert_eq!(scopes(Role::Auditor, &[]), Ok(Scopes::NONE));
    }
}
