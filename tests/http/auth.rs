//! Authorization on the running binary: keys, tokens, limits, web pages, and what each role may do and see.

mod apart;
mod ends;
mod entries;
mod issuer;
mod keys;
mod pages;
mod rates;
mod reload;
mod roles;
mod shared_secret;
pub mod support;
mod tokens;
