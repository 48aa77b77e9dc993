//! `upline member attributes`: shows the attributes of a member, and sets them, in a data directory or by a
//! running server.
//!
//! The printed objects use the terms of `/v1`. In a directory the same rules refuse as on a server, with the
//! same reasons.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    clock::ClockRule,
    exit::{Exit, Failure},
    log_options,
    member_on_server::{find_on_server, user_id},
    names::find_member,
    open_periods,
    problem::refused,
    remote::Remote,
    screen,
    source::{self, Source, suggest_server},
    tables,
    target::Target,
};
use crate::{
    core::command::{Command, Outcome},
    http::offline,
};

/// The attributes that are not tags.
const MARKET: &str = "market";
const OWNER: &str = "owner";

const TAG_COLUMNS: [(&str, &str); 4] =
    [("tag", "name"), ("from", "from"), ("until", "until"), ("holds", "holds")];

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// UUID, name or referral code
    member: String,
    /// Set an attribute: market=NAME, owner=MEMBER, or a tag: TAG, or TAG=FROM/UNTIL where it has a bound
    /// (either may be empty); several may be given
    #[arg(long, value_name = "ATTRIBUTE[=VALUE]", value_parser = set)]
    set: Vec<Set>,
    /// Take an attribute away: market, owner or a tag; several may be given
    #[arg(long, value_name = "ATTRIBUTE")]
    unset: Vec<String>,
    /// Since when it holds, for a correction: a time in a period that is not locked
    #[arg(long, value_name = "TIME")]
    effective: Option<String>,
    #[command(flatten)]
    source: source::Args,
    /// Write although the clock is behind the log's last time by more than clock_jump_max: what is written
    /// gets that time
    #[arg(long, conflicts_with = "url")]
    accept_clock: bool,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

/// An attribute to set.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Set {
    Market(String),
    /// As it was named.
    Owner(String),
    Tag {
        name: String,
        from: Option<String>,
        until: Option<String>,
    },
}

fn set(text: &str) -> Result<Set, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let bound = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match (name, value) {
        (MARKET | OWNER, None | Some("")) => {
            Err(format!("{name} needs a value; --unset {name} takes it away"))
        }
        (MARKET, Some(value)) => Ok(Set::Market(value.into())),
        (OWNER, Some(value)) => Ok(Set::Owner(value.into())),
        ("", _) => Err("must be market=NAME, owner=MEMBER, TAG or TAG=FROM/UNTIL".into()),
        (tag, None) => Ok(Set::Tag { name: tag.into(), from: None, until: None }),
        (tag, Some(value)) => {
            let (from, until) = value.split_once('/').ok_or("the bounds of a tag are FROM/UNTIL")?;
            Ok(Set::Tag { name: tag.into(), from: bound(from), until: bound(until) })
        }
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message.into())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.set.is_empty() && args.unset.is_empty() {
        if args.effective.is_some() {
            return Err(usage("--effective goes with --set or --unset"));
        }
        return show(args);
    }
    let (lsn, set) = match args.source.server()? {
        Some(remote) => set_on_server(&remote, args)?,
        None => set_in_directory(args)?,
    };
    let attributes = &set["attributes"];
    let object = json!({
        "command": "member attributes", "lsn": lsn, "changed": set["changed"], "attributes": attributes,
    });
    screen::say_result(args.json, &object, || in_words(attributes))
}

fn show(args: &Args) -> Result<(), Failure> {
    let (lsn, attributes) = match args.source.open()? {
        Source::Directory(loaded) => {
            let member = find_member(&loaded.state, &loaded.directory, &args.member)?;
            (Some(loaded.state.lsn()), offline::attributes(&loaded.state, member))
        }
        Source::Server(remote) => {
            let answer = remote.get(&path_of(&remote, &args.member)?)?;
            (answer.lsn, answer.body)
        }
    };
    let object = json!({"command": "member attributes", "lsn": lsn, "attributes": attributes});
    screen::say_result(args.json, &object, || in_words(&attributes))
}

fn path_of(remote: &Remote, member: &str) -> Result<String, Failure> {
    let (member, _) = find_on_server(remote, member)?;
    Ok(format!("/v1/members/{}/attributes", user_id(&member)?))
}

fn set_on_server(remote: &Remote, args: &Args) -> Result<(Option<u64>, Value), Failure> {
    let path = path_of(remote, &args.member)?;
    let owner = |name: &str| {
        let (owner, _) = find_on_server(remote, name)?;
        user_id(&owner).map(str::to_owned)
    };
    let answer = remote.put_json(&path, &body(args, owner)?)?;
    Ok((answer.lsn, answer.body))
}

fn set_in_directory(args: &Args) -> Result<(Option<u64>, Value), Failure> {
    let config = args.source.config()?;
    let clock = ClockRule::of(&config, args.accept_clock);
    let mut target =
        Target::existing(config.data_dir.clone(), log_options(&config), clock).map_err(suggest_server)?;
    let network = &mut target.network;
    let member = find_member(&network.state, &network.directory, &args.member)?;
    let owner = |name: &str| {
        find_member(&network.state, &network.directory, name).map(|owner| network.state.id(owner).to_string())
    };
    let body = body(args, owner)?;
    open_periods::keep(network)?;
    let change =
        offline::set_attributes(body.to_string().as_bytes(), member, &network.state).map_err(refused)?;
    let outcome = network.apply(Command::SetAttributes(Box::new(change))).map_err(refused)?;
    target.commit(false).map_err(suggest_server)?;
    let state = &target.network.state;
    let changed = matches!(outcome, Outcome::AttributesSet { changed: true, .. });
    Ok((Some(state.lsn()), json!({"changed": changed, "attributes": offline::attributes(state, member)})))
}

/// The body of a request that sets what the arguments say. `owner` finds the id of a member that is named.
fn body(args: &Args, owner: impl Fn(&str) -> Result<String, Failure>) -> Result<Value, Failure> {
    let mut fields = Map::new();
    let mut tags = BTreeMap::new();
    let once = |name: &str, is_new: bool| {
        if is_new { Ok(()) } else { Err(usage(format!("{name} is there twice"))) }
    };
    for set in &args.set {
        match set {
            Set::Market(market) => once(MARKET, fields.insert(MARKET.into(), json!(market)).is_none())?,
            Set::Owner(name) => once(OWNER, fields.insert(OWNER.into(), json!(owner(name)?)).is_none())?,
            Set::Tag { name, from, until } => {
                let tag = json!({"from": from, "until": until});
                once(name, tags.insert(name.clone(), tag).is_none())?;
            }
        }
    }
    for name in &args.unset {
        let is_new = match name.as_str() {
            MARKET | OWNER => fields.insert(name.clone(), Value::Null).is_none(),
            tag => tags.insert(tag.to_owned(), Value::Null).is_none(),
        };
        once(name, is_new)?;
    }
    fields.insert("tags".into(), json!(tags));
    fields.insert("effective".into(), json!(args.effective));
    Ok(fields.into())
}

fn in_words(attributes: &Value) -> String {
    let mut facts = tables::plain();
    for (name, field) in [("member", "user_id"), (MARKET, MARKET), (OWNER, OWNER)] {
        facts.add_row([name.to_owned(), tables::shown(&attributes[field])]);
    }
    let tags = attributes["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tags = match tags {
        [] => "no tags".into(),
        _ => tables::of_objects(&TAG_COLUMNS, tags),
    };
    format!("{}\n\n{tags}", facts.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_has_a_name_and_perhaps_a_value() {
        let tag = |name: &str, from: Option<&str>, until: Option<&str>| Set::Tag {
            name: name.into(),
            from: from.map(str::to_owned),
            until: until.map(str::to_owned),
        };
        // text, what it sets
        let table = [
            ("market=us", Ok(Set::Market("us".into()))),
            ("owner=bob", Ok(Set::Owner("bob".into()))),
            ("founder", Ok(tag("founder", None, None))),
            ("fee=/2027-01-01T00:00:00Z", Ok(tag("fee", None, Some("2027-01-01T00:00:00Z")))),
            ("fee=2026-01-01T00:00:00Z/", Ok(tag("fee", Some("2026-01-01T00:00:00Z"), None))),
            ("market", Err(())),
            ("owner=", Err(())),
            ("", Err(())),
            ("=x", Err(())),
            ("fee=2027", Err(())),
        ];
        for (text, expected) in table {
            assert_eq!(set(text).map_err(drop), expected, "{text}");
        }
    }
}
