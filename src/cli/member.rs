//! `upline member`: everything about one member, from a data directory or a running server. Its attributes
//! are in `member_attributes.rs`.
//!
//! The printed object uses the terms of `/v1`: `member` is the response of `GET /v1/members/{id}`, and so on.

use serde_json::{Value, json};

use super::{
    exit::Failure,
    ledger, member_attributes,
    member_on_server::{find_on_server, user_id},
    names::find_member,
    remote::Remote,
    screen,
    source::{self, Source},
    tables::{self, shown},
};
use crate::{
    core::{
        EntryFilter, RowIds,
        state::State,
        types::{MemberIx, Tree},
    },
    time_text,
};

/// Bonuses shown, newest first.
const BONUSES: usize = 10;

const BONUS_COLUMNS: [(&str, &str); 6] = [
    ("last bonuses", "time"),
    ("kind", "kind"),
    ("level", "level"),
    ("amount", "amount"),
    ("status", "status"),
    ("source", "source"),
];

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<MemberCommand>,
    /// UUID, name or referral code; one that is called as a command comes after `--`
    #[arg(required = true)]
    member: Option<String>,
    #[command(flatten)]
    source: source::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand, Debug)]
enum MemberCommand {
    /// Show the attributes of a member (market, owner, tags), or set them
    Attributes(member_attributes::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(MemberCommand::Attributes(args)) = &args.command {
        return member_attributes::run(args);
    }
    let name = args.member.as_deref().unwrap_or_default();
    let object = match args.source.open()? {
        Source::Directory(loaded) => {
            let member = find_member(&loaded.state, &loaded.directory, name)?;
            of_state(&loaded.state, RowIds::new(loaded.instance.row_key), member)
        }
        Source::Server(remote) => of_server(&remote, name)?,
    };
    screen::say_result(args.json, &object, || in_words(&object))
}

// --- from a directory

fn of_state(state: &State, rows: RowIds, index: MemberIx) -> Value {
    let member = state.member(index);
    let id = |other: Option<MemberIx>| other.map(|other| state.member(other).id.to_string());
    let counts = |tree| json!({"direct": state.direct(tree, index), "downline": state.downline(tree, index)});
    json!({
        "command": "member",
        "lsn": state.lsn(),
        "member": {
            "user_id": member.id.to_string(),
            "code": state.code(index).as_str(),
            "sponsor": id(member.sponsor),
            "parent": id(member.parent),
            "slot": member.slot,
            "level": member.level,
            "sponsor_level": member.sponsor_level,
            "joined_at": time_text::print(member.joined_at),
            "status": member.status.name(),
            "role": member.role.name(),
            "rank": state.rank(index).paid_as,
            "placement": counts(Tree::Placement),
            "sponsored": counts(Tree::Sponsor),
        },
        "levels": {
            "placement": levels(state, Tree::Placement, index),
            "sponsored": levels(state, Tree::Sponsor, index),
        },
        "rank": rank(state, index),
        "bonuses": bonuses(state, rows, index),
    })
}

/// Returns member counts per level, from level 1 to the plan's cap; null where the plan does not count this
/// tree.
fn levels(state: &State, tree: Tree, index: MemberIx) -> Value {
    let cap = usize::from(state.plan().level_cap);
    state.levels(tree, index).map_or(Value::Null, |levels| json!(levels[..cap]))
}

fn rank(state: &State, index: MemberIx) -> Value {
    let (view, plan) = (state.rank(index), state.plan());
    let named = |rank: u16| json!({"ordinal": rank, "name": plan.ranks.name_of(rank)});
    let next = view.next.map(|next| {
        json!({
            "ordinal": next.rank,
            "name": plan.ranks.name_of(next.rank),
            "level": (next.level != 0).then_some(next.level),
            "minimum": next.minimum,
            "held": next.minimum - next.missing,
            "missing": next.missing,
        })
    });
    json!({"paid_as": named(view.paid_as), "lifetime": named(view.lifetime), "next": next})
}

fn bonuses(state: &State, rows: RowIds, index: MemberIx) -> Vec<Value> {
    let filter = EntryFilter { receiver: Some(index), ..EntryFilter::default() };
    state.listed_entries(filter).take(BONUSES).map(|entry| ledger::bonus(state, rows, entry)).collect()
}

// --- from a server

fn of_server(remote: &Remote, text: &str) -> Result<Value, Failure> {
    let (member, lsn) = find_on_server(remote, text)?;
    let path = format!("/v1/members/{}", user_id(&member)?);
    let part = |rest: &str| remote.get(&format!("{path}{rest}")).map(|answer| answer.body);
    let levels = |tree: &str| part(&format!("/levels?tree={tree}")).map(|body| counts_by_level(&body));
    let mut rank = part("/rank")?;
    if let Value::Object(rank) = &mut rank {
        rank.remove("user_id");
    }
    let object = json!({
        "command": "member",
        "lsn": lsn,
        "levels": {"placement": levels("placement")?, "sponsored": levels("sponsor")?},
        "rank": rank,
        "bonuses": items(part(&format!("/bonuses?limit={BONUSES}"))?),
        "member": member,
    });
    Ok(object)
}

fn counts_by_level(body: &Value) -> Value {
    // A tree that the plan does not count has levels without counts.
    match body["levels"].as_array().filter(|levels| levels.iter().any(|level| !level["members"].is_null())) {
        Some(levels) => levels.iter().map(|level| level["members"].clone()).collect(),
        None => Value::Null,
    }
}

fn items(mut body: Value) -> Value {
    body["items"].take()
}

// --- in words

fn in_words(object: &Value) -> String {
    let mut facts = tables::plain();
    for (name, value) in facts_of(&object["member"], &object["rank"]) {
        facts.add_row([name.to_owned(), value]);
    }
    let mut parts = vec![facts.trim_fmt(), counts_table(object)];
    let bonuses = object["bonuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    parts.push(match bonuses {
        [] => "no bonuses".into(),
        _ => tables::of_objects(&BONUS_COLUMNS, bonuses),
    });
    parts.join("\n\n")
}

fn facts_of(member: &Value, rank: &Value) -> Vec<(&'static str, String)> {
    let text = |key: &str| shown(&member[key]);
    let parent = match &member["parent"] {
        Value::Null => "-".into(),
        parent => format!("{}, slot {}", shown(parent), text("slot")),
    };
    vec![
        ("member", text("user_id")),
        ("code", text("code")),
        ("status", text("status")),
        ("role", text("role")),
        ("joined", text("joined_at")),
        ("sponsor", text("sponsor")),
        ("parent", parent),
        ("level", format!("{} (sponsor tree {})", text("level"), text("sponsor_level"))),
        ("rank", format!("{} (best ever {})", rank_name(&rank["paid_as"]), rank_name(&rank["lifetime"]))),
        ("next rank", next_rank(&rank["next"])),
    ]
}

fn rank_name(rank: &Value) -> String {
    rank["name"].as_str().unwrap_or("none").to_owned()
}

fn next_rank(next: &Value) -> String {
    let Some(missing) = next["missing"].as_u64() else { return "-".into() };
    let place = next["level"].as_u64().map(|level| format!(" on level {level}")).unwrap_or_default();
    let minimum = next["minimum"].as_u64().unwrap_or_default();
    let (held, minimum) = (screen::grouped(minimum.saturating_sub(missing)), screen::grouped(minimum));
    let members = if missing == 1 { "member" } else { "members" };
    format!("{}: {} more {members}{place} ({held} of {minimum})", rank_name(next), screen::grouped(missing))
}

/// Formats direct, downline and levels of both trees, without trailing empty levels.
fn counts_table(object: &Value) -> String {
    let trees = [("placement tree", "placement"), ("sponsor tree", "sponsored")];
    let levels = |key: &str| object["levels"][key].as_array().map(Vec::as_slice).unwrap_or_default();
    let filled = |key: &str| levels(key).iter().rposition(|count| count != 0).map_or(0, |last| last + 1);
    let columns = trees.iter().map(|(_, key)| filled(key)).max().unwrap_or_default();
    let mut table = tables::plain();
    let header = [String::new(), "direct".into(), "downline".into()]
        .into_iter()
        .chain((1..=columns).map(|level| format!("level {level}")));
    table.add_row(header.collect::<Vec<_>>());
    for (name, key) in trees {
        let counts = &object["member"][key];
        let start = [name.to_owned(), shown(&counts["direct"]), shown(&counts["downline"])];
        let rest = (0..columns).map(|level| levels(key).get(level).map_or_else(|| "-".into(), shown));
        table.add_row(start.into_iter().chain(rest).collect::<Vec<_>>());
    }
    tables::align_right(&mut table, 1);
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_words() {
        // rank requirement, message
        let table = [
            (json!(null), "-"),
            (
                json!({"name": "Gold", "level": null, "minimum": 1025, "missing": 1000}),
                "Gold: 1,000 more members (25 of 1,025)",
            ),
            (
                json!({"name": "Gold", "level": null, "minimum": 3, "missing": 1}),
                "Gold: 1 more member (2 of 3)",
            ),
            (
                json!({"name": "L 4", "level": 4, "minimum": 81, "missing": 80}),
                "L 4: 80 more members on level 4 (1 of 81)",
            ),
        ];
        for (next, expected) in table {
            assert_eq!(next_rank(&next), expected);
        }
    }
}
