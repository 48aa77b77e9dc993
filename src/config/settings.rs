//! The single list of settings: the file, the environment, the command line and its help are driven by it.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Key in the file; the flag has `-` for `_`, the variable is in capitals after `UPLINE_`.
    pub key: &'static str,
    /// Name of the flag's value in the help; `None` for a switch, whose flag has no value and means `true`.
    pub value: Option<&'static str>,
    /// Empty if there is none.
    pub default: &'static str,
    /// Default as the help shows it, where that is not `default`; empty shows `default`.
    pub shown_default: &'static str,
    /// What it does, for the help of the flag.
    pub help: &'static str,
}

impl Setting {
    /// Returns the name of the flag, without its dashes.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Returns the name of the environment variable.
    pub fn variable(&self) -> String {
        format!("UPLINE_{}", self.key.to_ascii_uppercase())
    }

    const fn shown_as(mut self, default: &'static str) -> Self {
        self.shown_default = default;
        self
    }
}

const fn text(key: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { key, value: Some(value), default, shown_default: "", help }
}

const fn switch(key: &'static str, help: &'static str) -> Setting {
    Setting { key, value: None, default: "false", shown_default: "", help }
}

/// Every setting, in display order.
pub const SETTINGS: [Setting; 45] = [
    text(
        "addr",
        "ADDRESS",
        "127.0.0.1:8000",
        "Address or host name, and port, to listen on; port 0 takes any free one",
    ),
    text(
        "ops_addr",
        "ADDRESS",
        "",
        "A second address for probes, metrics and operators, whose connections are counted separately",
    )
    .shown_as("none"),
    switch("insecure", "Allow an address that other machines can reach, without any authorization"),
    text(
        "auth",
        "MODE",
        "auto",
        "on, off, or auto: on where there are service keys or tokens are configured",
    ),
    switch("metrics_open", "Answer /metrics without credentials"),
    switch("docs_open", "Answer /docs and /openapi.json without credentials"),
    text("jwt_issuer", "ISSUER", "", "`iss` that bearer tokens must have; without it no tokens are accepted"),
    text("jwt_audience", "AUDIENCE", "", "`aud` that bearer tokens must name"),
    text(
        "jwt_jwks",
        "FILE or URL",
        "",
        "Public keys of the issuer as a JWK set: a file, or an https:// address",
    ),
    text(
        "jwt_hs256_secret_file",
        "FILE",
        "",
        "Secrets shared with an issuer that signs with HS256, instead of --jwt-jwks: a line each, \
         32 bytes or more, or hex:, base64:",
    ),
    text(
        "jwt_allow_missing",
        "LIST",
        "",
        "Claims that a token may lack: iss, aud; a claim that is present must still be right",
    ),
    text("jwt_algorithms", "LIST", "RS256,ES256,EdDSA", "Accepted signature algorithms"),
    text("jwt_member_claim", "CLAIM", "sub", "Claim with the user_id of a member"),
    text(
        "jwt_role_claim",
        "CLAIM",
        "role",
        "Claim that names the role, or a list of roles; without it the role is member",
    ),
    text(
        "jwt_roles",
        "LIST",
        "member=member,service=service,auditor=auditor,admin=admin",
        "What that claim may say and which role it means",
    )
    .shown_as("each role by its own name"),
    text("jwt_leeway_seconds", "SECONDS", "30", "How far clocks may differ when exp and nbf are checked"),
    text("jwt_refresh_seconds", "SECONDS", "300", "Seconds between two reads of the issuer's keys"),
    text(
        "jwt_ca_file",
        "FILE",
        "",
        "Certificates (PEM) that an https:// address of the keys is checked with",
    )
    .shown_as("the system's"),
    text("rate_principal_per_second", "N", "0", "Requests per second of one principal; 0 is no limit"),
    text("rate_principal_burst", "N", "100", "Requests of one principal at once before that limit applies"),
    text("rate_address_per_second", "N", "0", "Requests per second from one address; 0 is no limit"),
    text("rate_address_burst", "N", "200", "Requests from one address at once before that limit applies"),
    text("rate_failures_per_minute", "N", "60", "Failed authentications from one address; 0 is no limit"),
    text(
        "cost_member_per_second",
        "N",
        "50000",
        "Units of work (a row of a list is 8) per second of one member; 0 is no limit",
    ),
    text("cost_member_burst", "N", "500000", "Units of work of one member at once before that limit applies"),
    text("cost_other_per_second", "N", "0", "Units of work per second of anybody else; 0 is no limit"),
    text(
        "cost_other_burst",
        "N",
        "5000000",
        "Units of work of anybody else at once before that limit applies",
    ),
    text(
        "trusted_proxies",
        "LIST",
        "",
        "Addresses or networks whose X-Forwarded-For, -Proto and -Host are trusted, e.g. 10.0.0.0/8",
    ),
    text(
        "allowed_hosts",
        "LIST",
        "",
        "Names of this server, in addition to loopback and its address, while nobody is asked for \
         credentials; `*` is any",
    ),
    text("data_dir", "DIR", "", "Data directory; created if absent")
        .shown_as("snapshots/live in a checkout, else $XDG_STATE_HOME/upline, else ~/.local/state/upline"),
    text("plan", "FILE", "", "Plan file for a new data directory; an existing one must agree with it")
        .shown_as("the plan in plans/matrix.toml"),
    text(
        "max_children",
        "N",
        "",
        "Width of the placement tree for a new data directory, in place of the plan's (also MAX_CHILDREN); \
         an existing one must agree with it",
    ),
    text("snapshot_every_commands", "N", "1000000", "Commands between two snapshots; 0 is never"),
    text("snapshot_every_seconds", "SECONDS", "900", "Seconds between two snapshots; 0 is never"),
    text("segment_bytes", "SIZE", "64M", "Size of a log segment, in bytes or with K, M, G or T"),
    text(
        "log_retention_bytes",
        "SIZE",
        "",
        "Keep at most so much archived log, in bytes or with K, M, G or T",
    )
    .shown_as("all"),
    text("log_retention_days", "DAYS", "", "Keep archived log for so many days").shown_as("all"),
    text(
        "clock_jump_max",
        "SECONDS",
        "600",
        "Seconds that the clock may jump before writes are refused; 0 is no limit",
    ),
    text("connections_max", "N", "10000", "Connections at once"),
    text(
        "connections_per_address",
        "N",
        "1024",
        "Connections at once of one address that is no trusted proxy; 0 is no limit",
    ),
    text("drain_seconds", "SECONDS", "7", "Time that running requests get when the server stops"),
    switch("test_data", "Switch GET /user/add_test_data on; it only ever fills an empty network"),
    text(
        "none_parent_is_null",
        "true|false",
        "true",
        "Whether the text \"None\" as parent_id is null, as the original's gateway means it",
    ),
    text("log_format", "FORMAT", "auto", "text, json, or auto: text on a terminal"),
    text("log", "FILTER", "info", "Which events are logged, e.g. `warn` or `info,upline::http=debug`"),
];
