//! The configuration as a whole: collected from its sources and checked.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    access::{self, AuthConfig},
    bounds::{
        BODY_BYTES_MAX, BODY_SECONDS, CLOCK_JUMP_SECONDS_MAX, CLOCK_JUMP_SECONDS_MIN, CONNECTIONS_DEFAULT,
        CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_DEFAULT, DRAIN_SECONDS_DEFAULT, DRAIN_SECONDS_MAX,
        HEADER_SECONDS, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SNAPSHOT_COMMANDS_MIN, SNAPSHOT_SECONDS_MAX,
        SNAPSHOT_SECONDS_MIN,
    },
    place,
    settings::SETTINGS,
    sources::{Given, Origin, Sources, pick, read_file, use_original_environment},
    values::{LogFormat, LogRetention, Values},
};
use crate::core::plan::WIDTH_MAX;

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
    /// How far the clock may jump from one command to the next; `None`: unlimited.
    pub clock_jump_max: Option<Duration>,
    pub http: HttpConfig,
    pub auth: AuthConfig,
    pub log_format: LogFormat,
    pub log: String,
    /// Every setting with its origin, in the order of [`SETTINGS`].
    pub given: Vec<Given>,
    /// Warnings to log once at startup.
    pub warnings: Vec<String>,
}

/// The part of the configuration that the HTTP edge needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpConfig {
    pub connections_max: usize,
    /// Per address that is no trusted proxy; 0 is unlimited.
    pub connections_per_address: usize,
    /// A second address to listen on, for operations.
    pub ops_address: Option<SocketAddr>,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub body_bytes_max: usize,
    /// Time to drain running requests at shutdown.
    pub drain: Duration,
    /// `GET /user/add_test_data` works (on an empty network only).
    pub test_data: bool,
    /// The text `None` as `parent_id` means null: the original's gateway sends it for users without a parent.
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

/// All errors of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the configuration is not valid:\n  {}", .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Returns a listening address that other machines can reach, if there is one; else the main one.
    pub fn exposed_addr(&self) -> SocketAddr {
        let ops = self.http.ops_address.filter(|ops| self.addr.ip().is_loopback() && !ops.ip().is_loopback());
        ops.unwrap_or(self.addr)
    }

    /// Collects and checks all values.
    ///
    /// # Errors
    /// All errors, in the order of the settings.
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

/// Parses texts into values, collecting the errors of each.
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
        snapshot_every: values
            .period("snapshot_every_seconds", SNAPSHOT_SECONDS_MIN, SNAPSHOT_SECONDS_MAX)
            .map(Duration::from_secs),
        segment_bytes: values.size("segment_bytes", SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
        log_retention: values.log_retention(),
        clock_jump_max: values
            .period("clock_jump_max", CLOCK_JUMP_SECONDS_MIN, CLOCK_JUMP_SECONDS_MAX)
            .map(Duration::from_secs),
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
