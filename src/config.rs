//! Configuration: flags > `UPLINE_*` environment > configuration file > defaults. Every value knows where it came from, and everything
//! that is wrong is named at once, with its place.
//!
//! [`SETTINGS`] is the one list of what can be configured: flag `--data-dir`, variable `UPLINE_DATA_DIR` and file key `data_dir` are
//! the same setting. All bounds that a user can meet stand below, with assertions between them.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use toml::de::DeValue;

use crate::{
    core::plan::WIDTH_MAX,
    durability,
    toml_reader::{FILE_BYTES_MAX, Fields, Reader, describe},
};

// --- bounds

/// Commands between two snapshots: fewer would write the whole network again every few seconds under load.
pub const SNAPSHOT_COMMANDS_MIN: u64 = 1_000;
/// Seconds between two snapshots, for the same reason.
pub const SNAPSHOT_SECONDS_MIN: u64 = 10;
/// A month: beyond it a setting is a slip of the finger.
pub const SNAPSHOT_SECONDS_MAX: u64 = 31 * 24 * 3_600;
/// Bytes of one log segment: room for many full groups, so that rotation is rare.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// A segment is written full of zeros before its first use and read into memory by recovery.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// Bytes of one request body. A signup has some 150.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Time for a request's header, so that silent connections cannot pile up.
pub const HEADER_SECONDS: u64 = 5;
/// Time for a request's body.
pub const BODY_SECONDS: u64 = 10;
/// Connections at once, unless configured: each costs some 20 KiB and a file descriptor.
pub const CONNECTIONS_DEFAULT: usize = 10_000;
pub const CONNECTIONS_MAX: usize = 1_000_000;
/// Connections of one address, unless configured: ten addresses cannot fill the server, and no gateway needs more.
pub const CONNECTIONS_PER_ADDRESS_DEFAULT: usize = 1_024;
/// Seconds that running requests get when the server stops: leaves three of the ten that most supervisors wait before they kill.
pub const DRAIN_SECONDS_DEFAULT: u64 = 7;
pub const DRAIN_SECONDS_MAX: u64 = 600;
/// Seconds that the clock may jump between two commands: what NTP corrects by a step and what a leap second takes stay below.
pub const CLOCK_JUMP_SECONDS_MIN: u64 = 10;
/// A day: a bound beyond it keeps nothing out, and 0 says so more plainly.
pub const CLOCK_JUMP_SECONDS_MAX: u64 = 24 * 3_600;

mod access;
mod place;
mod size;

pub use self::access::{ANY_HOST, AuthConfig, AuthMode, JwtAlgorithm, JwtConfig, JwtKeys, RateConfig, is_loopback};

const _: () = assert!(SEGMENT_BYTES_MIN <= SEGMENT_BYTES_DEFAULT && SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX);
const _: () = assert!(4 * BODY_BYTES_MAX as u64 <= SEGMENT_BYTES_MIN, "the smallest segment holds several of the largest requests");
const _: () = assert!(HEADER_SECONDS <= BODY_SECONDS, "a body may take at least as long as its header");
const _: () = assert!(HEADER_SECONDS <= DRAIN_SECONDS_DEFAULT, "a request that just began can end while the server stops");
const _: () = assert!(durability::SEGMENT_BYTES_MIN <= SEGMENT_BYTES_MIN && SEGMENT_BYTES_MAX <= durability::SEGMENT_BYTES_MAX);
const _: () = assert!(SNAPSHOT_SECONDS_MIN < SNAPSHOT_SECONDS_MAX && CONNECTIONS_DEFAULT <= CONNECTIONS_MAX);

// --- settings

/// One thing that can be configured.
#[derive(Debug)]
pub struct Setting {
    /// Key in the file; with `-` for `_` the flag, in capitals after `UPLINE_` the variable.
    pub key: &'static str,
    pub default: &'static str,
    pub help: &'static str,
}

/// Every setting, in the order in which they are shown.
pub const SETTINGS: [Setting; 45] = [
    Setting { key: "addr", default: "127.0.0.1:8000", help: "address or host name, and port, to listen on" },
    Setting { key: "ops_addr", default: "", help: "a second address for probes, metrics and operators; empty is none" },
    Setting { key: "insecure", default: "false", help: "allow an address beyond loopback without authorization" },
    Setting { key: "auth", default: "auto", help: "authorization: `on`, `off`, or `auto`: on with service keys or tokens" },
    Setting { key: "metrics_open", default: "false", help: "answer /metrics without credentials" },
    Setting { key: "docs_open", default: "false", help: "answer /docs and /openapi.json without credentials" },
    Setting { key: "jwt_issuer", default: "", help: "`iss` that bearer tokens must have; empty takes no tokens" },
    Setting { key: "jwt_audience", default: "", help: "`aud` that bearer tokens must name" },
    Setting { key: "jwt_jwks", default: "", help: "public keys of the issuer as a JWK set: a file, or an https:// address" },
    Setting {
        key: "jwt_hs256_secret_file",
        default: "",
        help: "file of the secrets shared with an issuer that signs with HS256; instead of jwt_jwks",
    },
    Setting {
        key: "jwt_allow_missing",
        default: "",
        help: "claims that a token may lack: `iss`, `aud`; one that is there must be right all the same",
    },
    Setting { key: "jwt_algorithms", default: "RS256,ES256,EdDSA", help: "signature algorithms that are taken" },
    Setting { key: "jwt_member_claim", default: "sub", help: "claim with the user_id of a member" },
    Setting {
        key: "jwt_role_claim",
        default: "role",
        help: "claim that names the role, or a list of roles; without it the role is `member`",
    },
    Setting {
        key: "jwt_roles",
        default: "member=member,service=service,auditor=auditor,admin=admin",
        help: "what that claim may say and which role it means; anything else is refused",
    },
    Setting { key: "jwt_leeway_seconds", default: "30", help: "how far clocks may differ when `exp` and `nbf` are checked" },
    Setting { key: "jwt_refresh_seconds", default: "300", help: "seconds between two looks at jwt_jwks" },
    Setting {
        key: "jwt_ca_file",
        default: "",
        help: "certificates (PEM) that an https:// jwt_jwks is checked with; empty is the system's",
    },
    Setting { key: "rate_principal_per_second", default: "0", help: "requests per second of one principal; 0 is no limit" },
    Setting { key: "rate_principal_burst", default: "100", help: "requests of one principal at once before that limit holds" },
    Setting { key: "rate_address_per_second", default: "0", help: "requests per second from one address; 0 is no limit" },
    Setting { key: "rate_address_burst", default: "200", help: "requests from one address at once before that limit holds" },
    Setting { key: "rate_failures_per_minute", default: "60", help: "failed authentications from one address; 0 is no limit" },
    Setting { key: "cost_member_per_second", default: "50000", help: "units of work per second of one member; 0 is no limit" },
    Setting { key: "cost_member_burst", default: "500000", help: "units of work of one member at once before that limit holds" },
    Setting { key: "cost_other_per_second", default: "0", help: "units of work per second of anybody else; 0 is no limit" },
    Setting { key: "cost_other_burst", default: "5000000", help: "units of work of anybody else at once before that limit holds" },
    Setting { key: "trusted_proxies", default: "", help: "addresses or networks whose X-Forwarded-For, -Proto and -Host are believed" },
    Setting {
        key: "allowed_hosts",
        default: "",
        help: "names of this server, in addition to loopback and its address, while nobody is asked for credentials; `*` is any",
    },
    Setting {
        key: "data_dir",
        default: "",
        help: "data directory; made when absent. Empty is snapshots/live in a checkout, else $XDG_STATE_HOME/upline, else ~/.local/state/upline",
    },
    Setting { key: "plan", default: "", help: "plan file for a new data directory; an existing one must agree with it" },
    Setting { key: "max_children", default: "", help: "width of the placement tree for a new data directory; also MAX_CHILDREN" },
    Setting { key: "snapshot_every_commands", default: "1000000", help: "commands between two snapshots; 0 is never" },
    Setting { key: "snapshot_every_seconds", default: "900", help: "seconds between two snapshots; 0 is never" },
    Setting { key: "segment_bytes", default: "64M", help: "size of a log segment" },
    Setting { key: "log_retention_bytes", default: "", help: "keep at most so much archived log, e.g. 10G; empty keeps all" },
    Setting { key: "log_retention_days", default: "", help: "keep archived log for so many days; empty keeps all" },
    Setting { key: "clock_jump_max", default: "600", help: "seconds that the clock may jump before writes are refused; 0 is no limit" },
    Setting { key: "connections_max", default: "10000", help: "connections at once" },
    Setting { key: "connections_per_address", default: "1024", help: "connections at once of one address; 0 is no limit" },
    Setting { key: "drain_seconds", default: "7", help: "time that running requests get when the server stops" },
    Setting { key: "test_data", default: "false", help: "switch GET /user/add_test_data on; it only ever fills an empty network" },
    Setting {
        key: "none_parent_is_null",
        default: "true",
        help: "the text \"None\" as parent_id is null, as the original's gateway means it",
    },
    Setting { key: "log_format", default: "auto", help: "`text`, `json`, or `auto`: text on a terminal" },
    Setting { key: "log", default: "info", help: "what is logged, e.g. `warn` or `info,upline::http=debug`" },
];

/// Variables of the original service that mean nothing here; they are named once in a warning.
const ORIGINAL_VARIABLES: [&str; 8] = ["DB_URL", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "REDIS_ENABLED", "REDIS_URL"];

/// Variables that are ours and no settings: where the file is, and what commands show to a running server.
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

/// A value as it was given, for showing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    pub key: &'static str,
    pub text: String,
    pub origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

/// How much archived log is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogRetention {
    All,
    Bytes(u64),
    Days(u32),
}

/// A configuration that passed every check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    pub addr: SocketAddr,
    pub data_dir: PathBuf,
    /// Plan file, if one was named.
    pub plan: Option<PathBuf>,
    /// Width of the placement tree, if one was named.
    pub max_children: Option<u16>,
    pub snapshot_every_commands: Option<u64>,
    pub snapshot_every: Option<Duration>,
    pub segment_bytes: u64,
    pub log_retention: LogRetention,
    /// How far the clock may jump from one command to the next; `None`: as far as it likes.
    pub clock_jump_max: Option<Duration>,
    pub http: HttpConfig,
    pub auth: AuthConfig,
    pub log_format: LogFormat,
    pub log: String,
    /// Every setting with its origin, in the order of [`SETTINGS`].
    pub given: Vec<Given>,
    /// What should be said once at the start.
    pub warnings: Vec<String>,
}

/// The part of the configuration that the HTTP edge needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpConfig {
    pub connections_max: usize,
    /// Of one address that is no trusted proxy; 0 is no limit.
    pub connections_per_address: usize,
    /// A second address to listen on, for operations.
    pub ops_address: Option<SocketAddr>,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub body_bytes_max: usize,
    /// Time that running requests get when the server stops.
    pub drain: Duration,
    /// `GET /user/add_test_data` works (on an empty network only).
    pub test_data: bool,
    /// The text `None` as `parent_id` is null: the original's gateway writes it for users without a parent.
    pub none_parent_is_null: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_DEFAULT,
            connections_per_address: CONNECTIONS_PER_ADDRESS_DEFAULT,
            ops_address: None,
            header_timeout: Duration::from_secs(HEADER_SECONDS),
            body_timeout: Duration::from_secs(BODY_SECONDS),
            body_bytes_max: BODY_BYTES_MAX,
            drain: Duration::from_secs(DRAIN_SECONDS_DEFAULT),
            test_data: false,
            none_parent_is_null: true,
        }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the configuration is not valid:\n  {}", .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

/// Where values may come from.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// Values of flags by setting key.
    pub flags: BTreeMap<&'static str, String>,
    /// `--config`.
    pub config_file: Option<PathBuf>,
    /// The environment, or what a test gives for it.
    pub environment: BTreeMap<String, String>,
    /// Where the default data directory is looked for; empty for the working directory of this process.
    pub working_dir: PathBuf,
}

impl Sources {
    /// Flags beside the environment of this process. Variables that are not UTF-8 are left out: none of ours can be.
    pub fn of_process(flags: BTreeMap<&'static str, String>, config_file: Option<PathBuf>) -> Self {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        Self { flags, config_file, environment, working_dir: PathBuf::new() }
    }
}

impl Config {
    /// An address that other machines can reach, if one of those that are listened on is; else the main one.
    pub fn exposed_addr(&self) -> SocketAddr {
        let ops = self.http.ops_address.filter(|ops| self.addr.ip().is_loopback() && !ops.ip().is_loopback());
        ops.unwrap_or(self.addr)
    }

    /// Collects and checks all values.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the settings.
    pub fn resolve(sources: &Sources) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let file = read_file(sources, &mut errors);
        let mut given: Vec<Given> = SETTINGS.iter().map(|setting| pick(setting, sources, &file)).collect();
        let mut warnings = Vec::new();
        use_original_environment(sources, &mut given, &mut warnings);
        let config = read_values(given, warnings, &mut errors);
        if errors.is_empty() { Ok(config) } else { Err(ConfigError(errors)) }
    }
}

fn variable(key: &str) -> String {
    format!("UPLINE_{}", key.to_ascii_uppercase())
}

/// The highest source that has a value. An empty variable counts as not set.
fn pick(setting: &Setting, sources: &Sources, file: &BTreeMap<&'static str, Given>) -> Given {
    let key = setting.key;
    if let Some(text) = sources.flags.get(key) {
        return Given { key, text: text.clone(), origin: Origin::Flag(format!("--{}", key.replace('_', "-"))) };
    }
    let variable = variable(key);
    if let Some(text) = sources.environment.get(&variable).filter(|text| !text.is_empty()) {
        return Given { key, text: text.clone(), origin: Origin::Environment(variable) };
    }
    file.get(key).cloned().unwrap_or_else(|| {
        let found = || place::default_data_dir(&sources.working_dir, &sources.environment).unwrap_or_default();
        let text = if key == "data_dir" { found() } else { setting.default.into() };
        Given { key, text, origin: Origin::Default }
    })
}

/// `MAX_CHILDREN` is used, other variables of the original are named as ignored, and so are `UPLINE_*` variables that mean nothing.
///
/// The latter are no errors, other than unknown keys of the file: orchestrators put variables such as `UPLINE_SERVICE_HOST` into
/// the environment of everything that runs beside a service called `upline`.
fn use_original_environment(sources: &Sources, given: &mut [Given], warnings: &mut Vec<String>) {
    if let Some(text) = sources.environment.get("MAX_CHILDREN").filter(|text| !text.is_empty()) {
        let width = given.iter_mut().find(|given| given.key == "max_children").expect("it is in the list of settings");
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
    let is_known = |name: &str| OTHER_VARIABLES.contains(&name) || SETTINGS.iter().any(|setting| variable(setting.key) == name);
    let unknown = |name: &&String| name.starts_with("UPLINE_") && !is_known(name);
    let unknown: Vec<&str> = sources.environment.keys().filter(unknown).map(String::as_str).collect();
    if !unknown.is_empty() {
        warnings.push(format!("ignored, not a setting: {}", unknown.join(", ")));
    }
}

/// The values of the configuration file, if one is named.
fn read_file(sources: &Sources, errors: &mut Vec<String>) -> BTreeMap<&'static str, Given> {
    let named = sources.config_file.clone();
    let variable = || sources.environment.get("UPLINE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let Some(path) = named.or_else(variable) else { return BTreeMap::new() };
    let values = read_text(&path).map_err(|error| vec![error]).and_then(|text| {
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

fn file_values(path: &Path, mut reader: Reader, mut fields: Fields<'_, '_>) -> Result<BTreeMap<&'static str, Given>, Vec<String>> {
    let mut values = BTreeMap::new();
    for setting in &SETTINGS {
        let key = setting.key;
        let Some(value) = fields.take(&mut reader, key) else { continue };
        let text = match value {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().into(),
            DeValue::Boolean(flag) => flag.to_string(),
            other => {
                reader.fault(key, format!("must be a string, a whole number, true or false, is {}", describe(other)));
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
/// One sentence that names the file.
pub fn read_text(path: &Path) -> Result<String, String> {
    let error = |reason: &dyn Display| format!("cannot read {}: {reason}", path.display());
    let bytes = std::fs::metadata(path).map_err(|fault| error(&fault))?.len();
    if FILE_BYTES_MAX < bytes {
        return Err(error(&format!("it has {bytes} bytes, more than {FILE_BYTES_MAX}")));
    }
    std::fs::read_to_string(path).map_err(|fault| error(&fault))
}

/// Turns texts into values, noting what is wrong with each.
fn read_values(given: Vec<Given>, warnings: Vec<String>, errors: &mut Vec<String>) -> Config {
    let mut values = Values { given: &given, errors };
    let insecure = values.flag("insecure");
    let addr = values.address("addr");
    let data_dir = PathBuf::from(values.text("data_dir"));
    if data_dir.as_os_str().is_empty() {
        let is_default = values.given("data_dir").origin == Origin::Default;
        values.wrong("data_dir", if is_default { place::NOWHERE } else { "must not be empty" });
    }
    let plan = values.text("plan");
    let config = Config {
        addr,
        data_dir,
        plan: (!plan.is_empty()).then(|| PathBuf::from(plan)),
        max_children: values.optional("max_children", 1, WIDTH_MAX.into()),
        snapshot_every_commands: values.period("snapshot_every_commands", SNAPSHOT_COMMANDS_MIN, u64::MAX),
        snapshot_every: values.period("snapshot_every_seconds", SNAPSHOT_SECONDS_MIN, SNAPSHOT_SECONDS_MAX).map(Duration::from_secs),
        segment_bytes: values.size("segment_bytes", SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
        log_retention: values.log_retention(),
        clock_jump_max: values.period("clock_jump_max", CLOCK_JUMP_SECONDS_MIN, CLOCK_JUMP_SECONDS_MAX).map(Duration::from_secs),
        http: HttpConfig {
            connections_max: values.number("connections_max", 1, CONNECTIONS_MAX as u64),
            connections_per_address: values.number("connections_per_address", 0, CONNECTIONS_MAX as u64),
            ops_address: values.optional_address("ops_addr"),
            drain: Duration::from_secs(values.number("drain_seconds", 0, DRAIN_SECONDS_MAX)),
            test_data: values.flag("test_data"),
            none_parent_is_null: values.flag("none_parent_is_null"),
            ..HttpConfig::default()
        },
        auth: access::read(&mut values, insecure),
        log_format: values.log_format(),
        log: values.log(),
        given: Vec::new(),
        warnings,
    };
    Config { given, ..config }
}

struct Values<'a> {
    given: &'a [Given],
    errors: &'a mut Vec<String>,
}

impl Values<'_> {
    fn given(&self, key: &str) -> &Given {
        self.given.iter().find(|given| given.key == key).expect("it is in the list of settings")
    }

    fn text(&self, key: &str) -> String {
        self.given(key).text.clone()
    }

    fn wrong(&mut self, key: &str, reason: &str) {
        let Given { text, origin, .. } = self.given(key);
        let error = format!("{key}: `{text}` {reason} (from {origin})");
        self.errors.push(error);
    }

    fn read<T: FromStr>(&mut self, key: &str, what: &str) -> Option<T> {
        let value = self.given(key).text.parse().ok();
        if value.is_none() {
            self.wrong(key, &format!("is not {what}"));
        }
        value
    }

    /// The address to listen on.
    ///
    /// A host name is looked up. Where it has several addresses the first IPv4 one is listened on, since that is what clients of
    /// `localhost` that know one family know.
    fn address(&mut self, key: &str) -> SocketAddr {
        let nothing = ([127, 0, 0, 1], 0).into();
        let text = self.text(key);
        if let Ok(address) = text.parse::<SocketAddr>() {
            return address;
        }
        if !text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            self.wrong(key, "is not an address such as 127.0.0.1:8000 or localhost:8000");
            return nothing;
        }
        let found: Vec<SocketAddr> = match text.to_socket_addrs() {
            Ok(found) => found.collect(),
            Err(fault) => {
                self.wrong(key, &format!("cannot be looked up: {fault}"));
                return nothing;
            }
        };
        let Some(address) = found.iter().find(|address| address.is_ipv4()).or(found.first()) else {
            self.wrong(key, "is a name without an address");
            return nothing;
        };
        *address
    }

    /// As [`Values::address`], with empty for none.
    fn optional_address(&mut self, key: &str) -> Option<SocketAddr> {
        (!self.given(key).text.is_empty()).then(|| self.address(key))
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.given(key).text.as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.wrong(key, "is neither true nor false");
                false
            }
        }
    }

    /// A whole number in bounds; the lower bound stands in for a wrong one, which is an error anyway.
    fn number<T: TryFrom<u64>>(&mut self, key: &str, low: u64, high: u64) -> T {
        let number = self.read::<u64>(key, "a whole number").unwrap_or(low);
        if !(low..=high).contains(&number) {
            self.wrong(key, &format!("must be between {low} and {high}"));
        }
        let fits = |number| T::try_from(number).ok();
        fits(number).or_else(|| fits(low)).expect("the lower bound fits the type")
    }

    /// A size in bounds, in bytes or with a letter; the lower bound stands in for a wrong one.
    fn size(&mut self, key: &str, low: u64, high: u64) -> u64 {
        match size::parse(&self.given(key).text) {
            Ok(bytes) if (low..=high).contains(&bytes) => return bytes,
            Ok(_) => self.wrong(key, &format!("must be between {} and {}", size::print(low), size::print(high))),
            Err(reason) => self.wrong(key, reason),
        }
        low
    }

    /// As [`Values::number`], with empty for none.
    fn optional<T: TryFrom<u64>>(&mut self, key: &str, low: u64, high: u64) -> Option<T> {
        (!self.given(key).text.is_empty()).then(|| self.number(key, low, high))
    }

    /// As [`Values::number`], with 0 for never.
    fn period(&mut self, key: &str, low: u64, high: u64) -> Option<u64> {
        (self.given(key).text != "0").then(|| self.number(key, low, high))
    }

    fn log_retention(&mut self) -> LogRetention {
        let is_bounded = !self.given("log_retention_bytes").text.is_empty();
        let bytes = is_bounded.then(|| self.size("log_retention_bytes", 0, u64::MAX));
        let days = self.optional("log_retention_days", 0, u32::MAX.into());
        match (bytes, days) {
            (None, None) => LogRetention::All,
            (Some(bytes), None) => LogRetention::Bytes(bytes),
            (None, Some(days)) => LogRetention::Days(days),
            (Some(_), Some(days)) => {
                self.wrong("log_retention_days", "cannot be combined with log_retention_bytes");
                LogRetention::Days(days)
            }
        }
    }

    fn log_format(&mut self) -> LogFormat {
        match self.given("log_format").text.as_str() {
            "auto" => LogFormat::Auto,
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => {
                self.wrong("log_format", "is not one of auto, text, json");
                LogFormat::Auto
            }
        }
    }

    fn log(&mut self) -> String {
        let text = self.text("log");
        if let Err(fault) = tracing_subscriber::EnvFilter::try_new(&text) {
            self.wrong("log", &format!("is not a filter: {fault}"));
        }
        text
    }
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
