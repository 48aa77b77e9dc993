//! `upline opening`: imports what members bring from before the first period, and shows it.

use serde_json::{Value, json};

use super::{
    exit::Failure,
    import::opening as import,
    member_on_server::{find_on_server, user_id},
    names::find_member,
    screen,
    source::{self, Source},
    tables,
};
use crate::http::offline;

const TOTAL_COLUMNS: [(&str, &str); 7] = [
    ("kind", "kind"),
    ("name", "name"),
    ("text", "text"),
    ("calendar", "calendar"),
    ("position", "position"),
    ("rows", "rows"),
    ("sum", "sum"),
];
const ROW_COLUMNS: [(&str, &str); 7] = [
    ("kind", "kind"),
    ("name", "name"),
    ("text", "text"),
    ("calendar", "calendar"),
    ("position", "position"),
    ("since", "since"),
    ("value", "value"),
];

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: OpeningCommand,
}

#[derive(clap::Subcommand, Debug)]
enum OpeningCommand {
    /// Take what members bring from before the first period from CSV or NDJSON files into a data directory
    Import(import::Args),
    /// Show the totals of the opening state and its digest, or the rows of a member
    Show(ShowArgs),
}

#[derive(clap::Args, Debug)]
struct ShowArgs {
    /// The rows of this member (UUID, name or referral code)
    #[arg(long, value_name = "MEMBER")]
    member: Option<String>,
    #[command(flatten)]
    source: source::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        OpeningCommand::Import(args) => import::run(args),
        OpeningCommand::Show(args) => show(args),
    }
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let (lsn, shown) = match args.source.open()? {
        Source::Directory(loaded) => {
            let state = &loaded.state;
            let shown = match &args.member {
                Some(text) => offline::opening_of(state, find_member(state, &loaded.directory, text)?),
                None => offline::opening(state),
            };
            (Some(state.lsn()), shown)
        }
        Source::Server(remote) => {
            let path = match &args.member {
                Some(text) => {
                    let (member, _) = find_on_server(&remote, text)?;
                    format!("/v1/members/{}/opening", user_id(&member)?)
                }
                None => "/v1/opening".into(),
            };
            let answer = remote.get(&path)?;
            (answer.lsn, answer.body)
        }
    };
    let object = json!({"command": "opening show", "lsn": lsn, "opening": shown});
    screen::say_result(args.json, &object, || match args.member {
        Some(_) => rows_in_words(&shown),
        None => in_words(&shown),
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn rows_in_words(shown: &Value) -> String {
    match list(&shown["rows"]) {
        [] => "no rows".into(),
        rows => tables::of_objects(&ROW_COLUMNS, rows),
    }
}

fn in_words(shown: &Value) -> String {
    let totals = list(&shown["totals"]);
    let mut text = String::new();
    if !totals.is_empty() {
        text += &tables::of_objects(&TOTAL_COLUMNS, totals);
        text += "\n\n";
    }
    text += &screen::counted(shown["rows"].as_u64().unwrap_or_default(), "row");
    let closed = &shown["closed"];
    if closed.is_null() {
        return text + ", not closed";
    }
    let by = [&closed["by"]["kind"], &closed["by"]["id"]].into_iter().filter_map(Value::as_str);
    let by = by.collect::<Vec<_>>().join(" ");
    text + &format!(
        ", closed {} by {by}\ndigest {}",
        tables::shown(&closed["time"]),
        tables::shown(&closed["digest"])
    )
}
