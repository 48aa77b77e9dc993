//! The single list of settings.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Key in the file; the flag has `-` for `_`, the variable is in capitals after `UPLINE_`.
    pub key: &'static str,
    pub default: &'static str,
    pub help: &'static str,
}

/// Every setting, in display order.
pub const SETTINGS: [Setting; 45] = [
    Setting { key: "addr", default: "127.0.0.1:8000", help: "address or host name, and port, to listen on" },
    Setting {
        key: "ops_addr",
        default: "",
        help: "a second address for probes, metrics and operators; empty is none",
    },
    Setting {
        key: "insecure",
        default: "false",
        help: "allow an address beyond loopback without authorization",
    },
    Setting {
        key: "auth",
        default: "auto",
        help: "authorization: `on`, `off`, or `auto`: on with service keys or tokens",
    },
    Setting { key: "metrics_open", default: "false", help: "answer /metrics without credentials" },
    Setting {
        key: "docs_open",
        default: "false",
        help: "answer /docs and /openapi.json without credentials",
    },
    Setting {
        key: "jwt_issuer",
        default: "",
        help: "`iss` that bearer tokens must have; empty takes no tokens",
    },
    Setting { key: "jwt_audience", default: "", help: "`aud` that bearer tokens must name" },
    Setting {
        key: "jwt_jwks",
        default: "",
        help: "public keys of the issuer as a JWK set: a file, or an https:// address",
    },
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
    Setting {
        key: "jwt_algorithms",
        default: "RS256,ES256,EdDSA",
        help: "signature algorithms that are taken",
    },
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
    Setting {
        key: "jwt_leeway_seconds",
        default: "30",
        help: "how far clocks may differ when `exp` and `nbf` are checked",
    },
    Setting { key: "jwt_refresh_seconds", default: "300", help: "seconds between two looks at jwt_jwks" },
    Setting {
        key: "jwt_ca_file",
        default: "",
        help: "certificates (PEM) that an https:// jwt_jwks is checked with; empty is the system's",
    },
    Setting {
        key: "rate_principal_per_second",
        default: "0",
        help: "requests per second of one principal; 0 is no limit",
    },
    Setting {
        key: "rate_principal_burst",
        default: "100",
        help: "requests of one principal at once before that limit holds",
    },
    Setting {
        key: "rate_address_per_second",
        default: "0",
        help: "requests per second from one address; 0 is no limit",
    },
    Setting {
        key: "rate_address_burst",
        default: "200",
        help: "requests from one address at once before that limit holds",
    },
    Setting {
        key: "rate_failures_per_minute",
        default: "60",
        help: "failed authentications from one address; 0 is no limit",
    },
    Setting {
        key: "cost_member_per_second",
        default: "50000",
        help: "units of work per second of one member; 0 is no limit",
    },
    Setting {
        key: "cost_member_burst",
        default: "500000",
        help: "units of work of one member at once before that limit holds",
    },
    Setting {
        key: "cost_other_per_second",
        default: "0",
        help: "units of work per second of anybody else; 0 is no limit",
    },
    Setting {
        key: "cost_other_burst",
        default: "5000000",
        help: "units of work of anybody else at once before that limit holds",
    },
    Setting {
        key: "trusted_proxies",
        default: "",
        help: "addresses or networks whose X-Forwarded-For, -Proto and -Host are believed",
    },
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
    Setting {
        key: "plan",
        default: "",
        help: "plan file for a new data directory; an existing one must agree with it",
    },
    Setting {
        key: "max_children",
        default: "",
        help: "width of the placement tree for a new data directory; also MAX_CHILDREN",
    },
    Setting {
        key: "snapshot_every_commands",
        default: "1000000",
        help: "commands between two snapshots; 0 is never",
    },
    Setting {
        key: "snapshot_every_seconds",
        default: "900",
        help: "seconds between two snapshots; 0 is never",
    },
    Setting { key: "segment_bytes", default: "64M", help: "size of a log segment" },
    Setting {
        key: "log_retention_bytes",
        default: "",
        help: "keep at most so much archived log, e.g. 10G; empty keeps all",
    },
    Setting {
        key: "log_retention_days",
        default: "",
        help: "keep archived log for so many days; empty keeps all",
    },
    Setting {
        key: "clock_jump_max",
        default: "600",
        help: "seconds that the clock may jump before writes are refused; 0 is no limit",
    },
    Setting { key: "connections_max", default: "10000", help: "connections at once" },
    Setting {
        key: "connections_per_address",
        default: "1024",
        help: "connections at once of one address; 0 is no limit",
    },
    Setting {
        key: "drain_seconds",
        default: "7",
        help: "time that running requests get when the server stops",
    },
    Setting {
        key: "test_data",
        default: "false",
        help: "switch GET /user/add_test_data on; it only ever fills an empty network",
    },
    Setting {
        key: "none_parent_is_null",
        default: "true",
        help: "the text \"None\" as parent_id is null, as the original's gateway means it",
    },
    Setting { key: "log_format", default: "auto", help: "`text`, `json`, or `auto`: text on a terminal" },
    Setting { key: "log", default: "info", help: "what is logged, e.g. `warn` or `info,upline::http=debug`" },
];

/// The environment variable of a setting.
pub(super) fn variable(key: &str) -> String {
    format!("UPLINE_{}", key.to_ascii_uppercase())
}
