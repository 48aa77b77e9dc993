//! Who comes in and who does not, on the running binary: keys, tokens, limits, web pages, and what each role
//! may do and is shown.

#[path = "http_auth/apart.rs"]
mod apart;
mod common;
#[path = "http_auth/entries.rs"]
mod entries;
#[path = "http_auth/issuer.rs"]
mod issuer;
#[path = "http_auth/keys.rs"]
mod keys;
#[path = "http_auth/limits.rs"]
mod limits;
#[path = "http_auth/pages.rs"]
mod pages;
#[path = "http_auth/reload.rs"]
mod reload;
#[path = "http_auth/roles.rs"]
mod roles;
#[path = "http_auth/shared_secret.rs"]
mod shared_secret;
#[path = "http_auth/support.rs"]
mod support;
#[path = "http_auth/tokens.rs"]
mod tokens;
