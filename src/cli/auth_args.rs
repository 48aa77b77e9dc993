//! The flags of authorization and rate limits.

/// Who may come in, and how often. All of them also as variables `UPLINE_*` and in the configuration file.
#[derive(clap::Args, Clone, Default, Debug)]
#[command(next_help_heading = "Authorization and limits")]
pub(super) struct AuthArgs {
    /// on, off, or auto: on where there are service keys or tokens are configured [default: auto]
    #[arg(long, value_name = "MODE")]
    auth: Option<String>,
    /// Answer /metrics without credentials
    #[arg(long)]
    metrics_open: bool,
    /// Answer /docs and /openapi.json without credentials
    #[arg(long)]
    docs_open: bool,
    /// `iss` that bearer tokens must have; without it no tokens are taken
    #[arg(long, value_name = "ISSUER")]
    jwt_issuer: Option<String>,
    /// `aud` that bearer tokens must name
    #[arg(long, value_name = "AUDIENCE")]
    jwt_audience: Option<String>,
    /// Public keys of the issuer as a JWK set: a file, or an https:// address
    #[arg(long, value_name = "FILE or URL")]
    jwt_jwks: Option<String>,
    /// Secrets shared with an issuer that signs with HS256, instead of --jwt-jwks: a line each, 32 bytes or
    /// more, or hex:, base64:
    #[arg(long, value_name = "FILE")]
    jwt_hs256_secret_file: Option<String>,
    /// Claims that a token may lack: iss, aud. One that is there must be right all the same
    #[arg(long, value_name = "LIST")]
    jwt_allow_missing: Option<String>,
    /// Signature algorithms that are taken [default: RS256,ES256,EdDSA]
    #[arg(long, value_name = "LIST")]
    jwt_algorithms: Option<String>,
    /// Claim with the user_id of a member [default: sub]
    #[arg(long, value_name = "CLAIM")]
    jwt_member_claim: Option<String>,
    /// Claim that names the role, or a list of roles; without it the role is member [default: role]
    #[arg(long, value_name = "CLAIM")]
    jwt_role_claim: Option<String>,
    /// What that claim may say and which role it means [default: each role by its own name]
    #[arg(long, value_name = "LIST")]
    jwt_roles: Option<String>,
    /// How far clocks may differ when exp and nbf are checked [default: 30]
    #[arg(long, value_name = "SECONDS")]
    jwt_leeway_seconds: Option<String>,
    /// Seconds between two looks at the issuer's keys [default: 300]
    #[arg(long, value_name = "SECONDS")]
    jwt_refresh_seconds: Option<String>,
    /// Certificates (PEM) that an https:// address of the keys is checked with [default: the system's]
    #[arg(long, value_name = "FILE")]
    jwt_ca_file: Option<String>,
    /// Requests per second of one principal; 0 is no limit [default: 0]
    #[arg(long, value_name = "N")]
    rate_principal_per_second: Option<String>,
    /// Requests of one principal at once before that limit holds [default: 100]
    #[arg(long, value_name = "N")]
    rate_principal_burst: Option<String>,
    /// Requests per second from one address; 0 is no limit [default: 0]
    #[arg(long, value_name = "N")]
    rate_address_per_second: Option<String>,
    /// Requests from one address at once before that limit holds [default: 200]
    #[arg(long, value_name = "N")]
    rate_address_burst: Option<String>,
    /// Failed authentications from one address; 0 is no limit [default: 60]
    #[arg(long, value_name = "N")]
    rate_failures_per_minute: Option<String>,
    /// Units of work (a row of a list is 8) per second of one member; 0 is no limit [default: 50000]
    #[arg(long, value_name = "N")]
    cost_member_per_second: Option<String>,
    /// Units of work of one member at once before that limit holds [default: 500000]
    #[arg(long, value_name = "N")]
    cost_member_burst: Option<String>,
    /// Units of work per second of anybody else; 0 is no limit [default: 0]
    #[arg(long, value_name = "N")]
    cost_other_per_second: Option<String>,
    /// Units of work of anybody else at once before that limit holds [default: 5000000]
    #[arg(long, value_name = "N")]
    cost_other_burst: Option<String>,
    /// Addresses or networks whose X-Forwarded-For, -Proto and -Host are believed, e.g. 10.0.0.0/8
    #[arg(long, value_name = "LIST")]
    trusted_proxies: Option<String>,
    /// Names of this server, in addition to loopback and its address, while nobody is asked for credentials;
    /// `*` is any
    #[arg(long, value_name = "LIST")]
    allowed_hosts: Option<String>,
}

impl AuthArgs {
    /// Returns the settings that were given, by key.
    pub fn flags(&self) -> impl Iterator<Item = (&'static str, String)> {
        let texts = [
            ("auth", &self.auth),
            ("jwt_issuer", &self.jwt_issuer),
            ("jwt_audience", &self.jwt_audience),
            ("jwt_jwks", &self.jwt_jwks),
            ("jwt_hs256_secret_file", &self.jwt_hs256_secret_file),
            ("jwt_allow_missing", &self.jwt_allow_missing),
            ("jwt_algorithms", &self.jwt_algorithms),
            ("jwt_member_claim", &self.jwt_member_claim),
            ("jwt_role_claim", &self.jwt_role_claim),
            ("jwt_roles", &self.jwt_roles),
            ("jwt_leeway_seconds", &self.jwt_leeway_seconds),
            ("jwt_refresh_seconds", &self.jwt_refresh_seconds),
            ("jwt_ca_file", &self.jwt_ca_file),
            ("rate_principal_per_second", &self.rate_principal_per_second),
            ("rate_principal_burst", &self.rate_principal_burst),
            ("rate_address_per_second", &self.rate_address_per_second),
            ("rate_address_burst", &self.rate_address_burst),
            ("rate_failures_per_minute", &self.rate_failures_per_minute),
            ("cost_member_per_second", &self.cost_member_per_second),
            ("cost_member_burst", &self.cost_member_burst),
            ("cost_other_per_second", &self.cost_other_per_second),
            ("cost_other_burst", &self.cost_other_burst),
            ("trusted_proxies", &self.trusted_proxies),
            ("allowed_hosts", &self.allowed_hosts),
        ];
        let texts = texts.map(|(key, text)| Some((key, text.clone()?)));
        let switches = [("metrics_open", self.metrics_open), ("docs_open", self.docs_open)];
        let open = switches.into_iter().filter(|(_, on)| *on).map(|(key, _)| (key, "true".to_owned()));
        texts.into_iter().flatten().chain(open)
    }
}
