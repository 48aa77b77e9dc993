//! `upline bonus`: lists bonuses, and holds, releases, voids or takes back one of them, in a data directory
//! or by a running server.
//!
//! The printed objects use the terms of `/v1`. In a directory the same rules refuse as on a server, with the
//! same reasons.

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    clock::ClockRule,
    exit::{Exit, Failure},
    ledger, log_options,
    member_on_server::{find_on_server, user_id},
    names::find_member,
    problem::refused,
    remote::Remote,
    screen,
    source::{self, Source, suggest_server},
    tables,
    target::Target,
};
use crate::{
    core::{
        EntryFilter, RowIds, RowKind,
        command::{ChangeEntry, Command, EntryChange, Outcome, Rejection},
        types::{EntryStatus, REASON_CHARS_MAX, Reason},
    },
    engine::Loaded,
};

/// Default number of bonuses listed: one screen.
const LIMIT_DEFAULT: u32 = 20;
/// The longest page of a server.
const LIMIT_MAX: u32 = 1_000;

const COLUMNS: [(&str, &str); 7] = [
    ("id", "id"),
    ("time", "time"),
    ("kind", "kind"),
    ("level", "level"),
    ("amount", "amount"),
    ("status", "status"),
    ("receiver", "receiver"),
];

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: BonusCommand,
}

#[derive(clap::Subcommand, Debug)]
enum BonusCommand {
    /// List bonuses, newest first
    List(ListArgs),
    /// Keep payouts from taking a bonus until it is released
    Hold(ReasonedArgs),
    /// Make a held bonus pending again
    Release(ReasonedArgs),
    /// Void a pending or held bonus, which is never paid then; this is final
    Void(ReasonedArgs),
    /// Take a bonus back, once, by a pending one of the negative amount
    Reverse(OneArgs),
}

#[derive(clap::Args, Debug)]
struct ListArgs {
    /// Only those that this member gets (UUID, name or referral code)
    #[arg(long, value_name = "MEMBER")]
    member: Option<String>,
    /// Only those with this status
    #[arg(long, value_parser = PossibleValuesParser::new(EntryStatus::ALL.map(EntryStatus::name)))]
    status: Option<String>,
    /// Bonuses to list, newest first, at most 1,000
    #[arg(
        long, value_name = "BONUSES", default_value_t = LIMIT_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(LIMIT_MAX))
    )]
    limit: u32,
    #[command(flatten)]
    source: source::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

/// One bonus to change, and where it is.
#[derive(clap::Args, Debug)]
struct OneArgs {
    /// Id of the bonus (UUID)
    id: Uuid,
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

#[derive(clap::Args, Debug)]
struct ReasonedArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Why, in a person's words: it is kept with the change
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Reason,
}

fn reason(text: &str) -> Result<Reason, String> {
    Reason::parse(text).ok_or_else(|| {
        format!("must have 1 to {REASON_CHARS_MAX} printable characters, neither blank at its ends")
    })
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        BonusCommand::List(args) => list(args),
        BonusCommand::Hold(args) => change(args, EntryChange::Hold),
        BonusCommand::Release(args) => change(args, EntryChange::Release),
        BonusCommand::Void(args) => change(args, EntryChange::Void),
        BonusCommand::Reverse(args) => reverse(args),
    }
}

// --- the list

fn list(args: &ListArgs) -> Result<(), Failure> {
    let (lsn, bonuses) = match args.source.open()? {
        Source::Directory(loaded) => list_of_directory(&loaded, args)?,
        Source::Server(remote) => list_of_server(&remote, args)?,
    };
    let object = json!({"command": "bonus list", "lsn": lsn, "bonuses": bonuses});
    screen::say_result(args.json, &object, || match &bonuses[..] {
        [] => "no bonuses".into(),
        _ => tables::of_objects(&COLUMNS, &bonuses),
    })
}

fn list_of_directory(loaded: &Loaded, args: &ListArgs) -> Result<(Option<u64>, Vec<Value>), Failure> {
    let (state, rows) = (&loaded.state, RowIds::new(loaded.instance.row_key));
    let named = args.member.as_ref().map(|text| find_member(state, &loaded.directory, text));
    let filter = EntryFilter {
        receiver: named.transpose()?,
        statuses: args.status.as_deref().and_then(|status| status.parse::<EntryStatus>().ok()).into(),
        ..EntryFilter::default()
    };
    let listed = state.listed_entries(filter).take(args.limit as usize);
    Ok((Some(state.lsn()), listed.map(|entry| ledger::bonus(state, rows, entry)).collect()))
}

fn list_of_server(remote: &Remote, args: &ListArgs) -> Result<(Option<u64>, Vec<Value>), Failure> {
    let path = match &args.member {
        None => "/v1/bonuses".to_owned(),
        Some(text) => format!("/v1/members/{}/bonuses", user_id(&find_on_server(remote, text)?.0)?),
    };
    let status = args.status.as_ref().map(|status| format!("&status={status}")).unwrap_or_default();
    let (limit, mut cursor) = (args.limit as usize, String::new());
    let mut bonuses = Vec::new();
    loop {
        let left = limit.saturating_sub(bonuses.len());
        let mut answer = remote.get(&format!("{path}?limit={left}{status}{cursor}"))?;
        let Some(Value::Array(items)) = answer.body.get_mut("items").map(Value::take) else {
            let message = "the server's answer is not a list of bonuses: is it an upline server?";
            return Err(Failure::new(Exit::Refused, message));
        };
        bonuses.extend(items);
        match answer.body["next"].as_str().filter(|_| bonuses.len() < limit) {
            // A page may be short, or empty, and not be the last.
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok((answer.lsn, bonuses)),
        }
    }
}

// --- changes

fn change(args: &ReasonedArgs, change: EntryChange) -> Result<(), Failure> {
    let one = &args.one;
    let (lsn, bonus) = match one.source.server()? {
        Some(remote) => {
            let path = format!("/v1/bonuses/{}/{}", one.id, change.name());
            let answer = remote.post_json(&path, &json!({"reason": args.reason.as_str()}))?;
            (answer.lsn, answer.body)
        }
        None => in_directory(one, |entry| {
            Command::ChangeEntry(ChangeEntry { entry, change, reason: args.reason.clone() })
        })?,
    };
    let object = json!({"command": format!("bonus {}", change.name()), "lsn": lsn, "bonus": bonus});
    screen::say_result(one.json, &object, || {
        format!("bonus {} is {}: {}", one.id, tables::shown(&bonus["status"]), in_words(&bonus))
    })
}

fn reverse(one: &OneArgs) -> Result<(), Failure> {
    let (lsn, reversal) = match one.source.server()? {
        Some(remote) => {
            let mut answer = remote.post(&format!("/v1/bonuses/{}/reverse", one.id))?;
            (answer.lsn, answer.body.get_mut("reversal").map(Value::take).unwrap_or_default())
        }
        None => in_directory(one, |entry| Command::ReverseEntry { entry })?,
    };
    let object = json!({"command": "bonus reverse", "lsn": lsn, "reversal": reversal});
    screen::say_result(one.json, &object, || {
        let id = tables::shown(&reversal["id"]);
        format!("bonus {} is taken back by {id}: {}", one.id, in_words(&reversal))
    })
}

fn in_words(bonus: &Value) -> String {
    let part = |field: &str| tables::shown(&bonus[field]);
    format!("{}, {}, level {}", part("amount"), part("kind"), part("level"))
}

/// Makes a change in the data directory; returns its LSN, and the bonus that it made or changed.
fn in_directory(
    one: &OneArgs,
    command: impl FnOnce(u64) -> Command,
) -> Result<(Option<u64>, Value), Failure> {
    let config = one.source.config()?;
    let clock = ClockRule::of(&config, one.accept_clock);
    let mut target =
        Target::existing(config.data_dir.clone(), log_options(&config), clock).map_err(suggest_server)?;
    let network = &mut target.network;
    let named =
        network.row_ids.and_then(|rows| network.state.row_of(rows, one.id.as_bytes()).map(|row| (rows, row)));
    let Some((rows, (RowKind::Entry, entry))) = named else { return Err(refused(Rejection::EntryUnknown)) };
    let outcome = network.apply(command(entry)).map_err(refused)?;
    target.commit(false).map_err(suggest_server)?;
    let shown = if let Outcome::Reversed { reversal, .. } = outcome { reversal } else { entry };
    let state = &target.network.state;
    Ok((Some(state.lsn()), ledger::bonus(state, rows, shown)))
}
