//! Parses the texts of settings into values, and collects the errors of each.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

use strum::EnumString;

use super::{size, sources::Given};

/// The form of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumString)]
#[strum(serialize_all = "lowercase")]
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

/// The texts of all settings, and the errors found in them.
pub(super) struct Values<'a> {
    pub given: &'a [Given],
    pub errors: &'a mut Vec<String>,
}

impl Values<'_> {
    pub fn given(&self, key: &str) -> &Given {
        self.given.iter().find(|given| given.key == key).expect("it is in the list of settings")
    }

    pub fn text(&self, key: &str) -> String {
        self.given(key).text.clone()
    }

    pub fn wrong(&mut self, key: &str, reason: &str) {
        let Given { text, origin, .. } = self.given(key);
        let error = format!("{key}: `{text}` {reason} (from {origin})");
        self.errors.push(error);
    }

    pub fn read<T: FromStr>(&mut self, key: &str, what: &str) -> Option<T> {
        let value = self.given(key).text.parse().ok();
        if value.is_none() {
            self.wrong(key, &format!("is not {what}"));
        }
        value
    }

    /// Returns the address to listen on.
    ///
    /// A host name is looked up. If it has several addresses the first IPv4 one is used, since clients of
    /// `localhost` that know only one address family know IPv4.
    pub fn address(&mut self, key: &str) -> SocketAddr {
        let nothing = ([127, 0, 0, 1], 0).into();
        let text = self.text(key);
        if let Ok(address) = text.parse::<SocketAddr>() {
            return address;
        }
        if !text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        {
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

    /// As [`Values::address`]; empty is `None`.
    pub fn optional_address(&mut self, key: &str) -> Option<SocketAddr> {
        (!self.given(key).text.is_empty()).then(|| self.address(key))
    }

    pub fn flag(&mut self, key: &str) -> bool {
        match self.given(key).text.as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.wrong(key, "is neither true nor false");
                false
            }
        }
    }

    /// Returns a whole number within bounds; a wrong one is an error and becomes the lower bound.
    pub fn number<T: TryFrom<u64>>(&mut self, key: &str, low: u64, high: u64) -> T {
        let number = self.read::<u64>(key, "a whole number").unwrap_or(low);
        if !(low..=high).contains(&number) {
            self.wrong(key, &format!("must be between {low} and {high}"));
        }
        let fits = |number| T::try_from(number).ok();
        fits(number).or_else(|| fits(low)).expect("the lower bound fits the type")
    }

    /// Returns a size within bounds, in bytes or with a letter; a wrong one becomes the lower bound.
    pub fn size(&mut self, key: &str, low: u64, high: u64) -> u64 {
        match size::parse(&self.given(key).text) {
            Ok(bytes) if (low..=high).contains(&bytes) => return bytes,
            Ok(_) => {
                self.wrong(key, &format!("must be between {} and {}", size::print(low), size::print(high)));
            }
            Err(reason) => self.wrong(key, reason),
        }
        low
    }

    /// As [`Values::number`]; empty is `None`.
    pub fn optional<T: TryFrom<u64>>(&mut self, key: &str, low: u64, high: u64) -> Option<T> {
        (!self.given(key).text.is_empty()).then(|| self.number(key, low, high))
    }

    /// As [`Values::number`]; 0 means never.
    pub fn period(&mut self, key: &str, low: u64, high: u64) -> Option<u64> {
        (self.given(key).text != "0").then(|| self.number(key, low, high))
    }

    pub fn log_retention(&mut self) -> LogRetention {
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

    pub fn log_format(&mut self) -> LogFormat {
        self.given("log_format").text.parse().unwrap_or_else(|_| {
            self.wrong("log_format", "is not one of auto, text, json");
            LogFormat::Auto
        })
    }

    pub fn log(&mut self) -> String {
        let text = self.text("log");
        if let Err(fault) = tracing_subscriber::EnvFilter::try_new(&text) {
            self.wrong("log", &format!("is not a filter: {fault}"));
        }
        text
    }
}
