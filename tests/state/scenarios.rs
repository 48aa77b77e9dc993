//! Runs the scenarios of `tests/scenarios/*.txt` against the real core and against the naive model.
//! `tests/scenarios/README.md` explains their language; they are the reference of the plan's rules by
//! example.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of a test are small, or meant to wrap"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use upline::core::{
    Actor, ActorKind,
    command::{
        CloseOpening, Command, OpeningKind, OrderId, Outcome, RecallOrder, Rejection, RequestKey, SealPeriod,
        Stamped,
    },
    types::{MemberIx, Money, Timestamp, Tree},
};

use crate::networks::{
    naive::Naive,
    network::Real,
    picture::{
        AttributesPicture, EntryPicture, Files, LivePicture, Make, MemberPicture, Network, OpeningPicture,
        PeriodPicture, Picture, TREES, Volumes,
    },
    script::{self, HOUR, Words, Wrong, name_of, print_money},
};

#[test]
fn the_core_does_what_the_scenarios_say() {
    check_all(&|plan| Box::new(Real::new(plan)));
}

#[test]
fn the_naive_model_does_what_the_scenarios_say() {
    check_all(&|plan| Box::new(Naive::new(plan)));
}

/// Limits of billions of rows, and of thousands of names (`model::directed` has those).
const NOT_IN_SCENARIOS: [Rejection; 9] = [
    Rejection::NetworkFull,
    Rejection::LedgerFull,
    Rejection::PlanKindsFull,
    Rejection::OrdersFull,
    Rejection::RefundsFull,
    Rejection::PeriodsFull,
    Rejection::VolumesFull,
    Rejection::AttributesFull,
    Rejection::OpeningFull,
];

#[test]
fn each_rejection_has_a_scenario() {
    let texts: Vec<String> = scenarios().into_iter().map(|(_, text)| text).collect();
    for rejection in Rejection::ALL {
        let expected = format!("-> rejected {}", rejection.name());
        let shown = texts.iter().any(|text| text.lines().any(|line| line.trim_end().ends_with(&expected)));
        assert_eq!(shown, !NOT_IN_SCENARIOS.contains(&rejection), "{expected}");
    }
}

#[test]
fn a_wrong_expectation_is_found() {
    let text = "== wrong on purpose\nplan\njoin A -> root\njoin B by A -> A:1\nmembers -> 3\n";
    let complaints = check("wrong.txt", text, &|plan| Box::new(Naive::new(plan)));
    assert_eq!(complaints.len(), 2, "{complaints:#?}");
    assert!(complaints[0].starts_with("wrong.txt:4: "), "{}", complaints[0]);
    assert!(complaints[1].starts_with("wrong.txt:5: "), "{}", complaints[1]);
}

/// Returns names and texts of all scenario files, sorted by name.
fn scenarios() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let paths: BTreeSet<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let texts = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    texts
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn check_all(make: Make) {
    let scenarios = scenarios();
    assert!(!scenarios.is_empty());
    let complaints: Vec<String> = scenarios.iter().flat_map(|(file, text)| check(file, text, make)).collect();
    assert!(complaints.is_empty(), "{} lines do not hold:\n{}", complaints.len(), complaints.join("\n"));
}

/// Runs one file; returns one error with its position for each line that does not hold.
fn check(file: &str, text: &str, make: Make) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut case: Option<Case> = None;
    let mut lines =
        text.lines().enumerate().map(|(at, line)| (at + 1, line.split('#').next().unwrap_or(""))).peekable();
    while let Some((number, line)) = lines.next() {
        let mut complain =
            |what: &str| complaints.push(format!("{file}:{number}: {} -- {what}", line.trim()));
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with("==") {
            case = None;
            continue;
        }
        let (ask, expected) =
            line.split_once("->").map_or((line, None), |(ask, expected)| (ask, Some(expected)));
        let answer = if ask.trim() == "plan" {
            let mut body = Vec::new();
            while let Some((_, line)) =
                lines.next_if(|(_, line)| line.starts_with(' ') || line.trim().is_empty())
            {
                body.extend((!line.trim().is_empty()).then_some(line));
            }
            script::plan(&body).map(|plan| {
                if let Some(case) = &mut case {
                    return case.submit(Command::PutPlan(Box::new(plan)), None);
                }
                case = Some(Case::new(make(plan)));
                String::new()
            })
        } else {
            case.as_mut().ok_or_else(|| "there is no plan yet".to_owned()).and_then(|case| case.line(ask))
        };
        match (answer, expected.map(|expected| expected.split_whitespace().collect::<Vec<_>>().join(" "))) {
            (Err(wrong), _) => complain(&wrong),
            (Ok(answer), Some(expected)) if answer != expected => complain(&format!("it was: {answer}")),
            (Ok(answer), None) if answer.starts_with("rejected") => complain(&format!("it was: {answer}")),
            (Ok(_), _) => {}
        }
    }
    complaints
}

struct Case {
    network: Box<dyn Network>,
    lsn: u64,
    time: i64,
    /// The files of the next seal, if they are written.
    files: Option<Files>,
    /// What the newest files of all seals have, by id.
    sealed: BTreeMap<String, RecallOrder>,
}

impl Case {
    fn new(network: Box<dyn Network>) -> Self {
        Self { network, lsn: 0, time: 0, files: None, sealed: BTreeMap::new() }
    }

    /// Executes a line and returns its result.
    fn line(&mut self, ask: &str) -> Result<String, Wrong> {
        if let Some((key, ask)) = ask.split_once('|') {
            let words = &mut Words::of(key);
            let key = match words.next("key")? {
                "key" => script::request_key(words.next("key")?, words.next("content")?),
                other => return Err(format!("`{other}` should be `key`")),
            };
            let words = &mut Words::of(ask);
            let command = script::command(words.next("command")?, words)?.ok_or("only commands have keys")?;
            return Ok(self.submit(command, Some(key)));
        }
        let ask = self.with_codes(ask);
        let words = &mut Words::of(&ask);
        let verb = words.next("word")?;
        match verb {
            "wait" => {
                let hours =
                    words.next("hours")?.strip_suffix('h').and_then(|hours| hours.parse::<i64>().ok());
                self.time += HOUR * hours.ok_or("wait for hours, as in 71h")?;
                return Ok(String::new());
            }
            "chain" => return self.chain(words),
            "close-opening" => return self.close_opening(words),
            "join" if ask.contains("..") => return self.join_many(words),
            "write-files" => {
                let files = self.network.files();
                let answer = format!("{} orders, {} refunds", files.orders.len(), files.refunds());
                self.files = Some(files);
                return Ok(answer);
            }
            "seal" => return self.seal(words),
            "recall" => return self.recall(words),
            _ => {}
        }
        match script::command(verb, words)? {
            Some(command) => Ok(self.submit(command, None)),
            None => self.question(verb, words),
        }
    }

    /// `seal PERIOD [number N] [orders N] [refunds N] [as-of LSN]`, by the files that are written, else by
    /// those that would be written now
    fn seal(&mut self, words: &mut Words) -> Result<String, Wrong> {
        let period = script::period(words.next("period")?)?;
        let files = self.files.take().unwrap_or_else(|| self.network.files());
        let refunds = files.refunds();
        let Files { seal, as_of, orders_known, refunds_known, orders } = files;
        let mut made = SealPeriod {
            period,
            seal,
            as_of,
            orders_known,
            refunds_known,
            orders: orders.len() as u32,
            refunds,
            manifest: [7; 32],

            boundary: 0,
            network: [6; 32],
            reason: None,
            by: Actor::unknown(),
        };
        while let Ok(word) = words.next("") {
            match word {
                "number" => made.seal = words.number("number")?,
                "orders" => made.orders = words.number("orders")?,
                "refunds" => made.refunds = words.number("refunds")?,
                "as-of" => made.as_of = words.number("LSN")?,
                other => return Err(format!("`{other}` is nothing that a seal has")),
            }
        }
        let answer = self.submit(Command::SealPeriod(Box::new(made)), None);
        if answer.ends_with("orders left") {
            self.sealed.extend(orders.into_iter().map(|order| (order.id.as_str().to_owned(), order)));
        }
        Ok(answer)
    }

    /// `recall ORDER [as ID] [period PERIOD]`, as files have it, or as another
    fn recall(&mut self, words: &mut Words) -> Result<String, Wrong> {
        let name = words.next("order")?;
        let mut order = self.sealed.get(name).cloned().ok_or_else(|| format!("no file has `{name}`"))?;
        while let Ok(word) = words.next("") {
            match word {
                "as" => order.id = OrderId::parse(words.next("id")?).ok_or("no id")?,
                "period" => {
                    let period = script::period(words.next("period")?)?;
                    order.periods[usize::from(period.calendar)] = period.period;
                }
                other => return Err(format!("`{other}` is nothing that is recalled")),
            }
        }
        Ok(self.submit(Command::RecallOrder(Box::new(order)), None))
    }

    /// Replaces `by-code-of NAME` by the member's code.
    fn with_codes(&self, ask: &str) -> String {
        let Some((before, after)) = ask.split_once("by-code-of ") else { return ask.to_owned() };
        let (name, after) = after.split_once(' ').unwrap_or((after, ""));
        let picture = self.network.picture();
        let code = picture
            .members
            .iter()
            .find(|member| member.id == script::id_of(name))
            .map_or("nobody", |member| &member.code);
        format!("{before}by-code {code} {after}")
    }

    /// `close-opening [rows N] [wrong]`: the end of the opening state, with other rows or digest than it has.
    fn close_opening(&mut self, words: &mut Words) -> Result<String, Wrong> {
        let OpeningPicture { rows, mut digest, .. } = self.network.picture().opening;
        let rows = if words.take("rows") { words.number("rows")? } else { rows.len() as u64 };
        if words.take("wrong") {
            digest[0] ^= 1;
        }
        words.end()?;
        let by = Actor::new(ActorKind::Cli, "ann");
        Ok(self.submit(Command::CloseOpening(Box::new(CloseOpening { rows, digest, by })), None))
    }

    /// `chain M0..M20`: each sponsored by the previous one.
    fn chain(&mut self, words: &mut Words) -> Result<String, Wrong> {
        let names = range(words.next("range")?)?;
        for (at, name) in names.iter().enumerate() {
            let by = if at == 0 { String::new() } else { format!("by {}", names[at - 1]) };
            self.must(&format!("join {name} {by}"))?;
        }
        Ok(String::new())
    }

    /// `join m1..m13 by R`
    fn join_many(&mut self, words: &mut Words) -> Result<String, Wrong> {
        let names = range(words.next("range")?)?;
        let rest = words.rest().join(" ");
        for name in names {
            self.must(&format!("join {name} {rest}"))?;
        }
        Ok(String::new())
    }

    fn must(&mut self, ask: &str) -> Result<(), Wrong> {
        let answer = self.line(ask)?;
        if answer.starts_with("rejected") { Err(format!("`{ask}` was: {answer}")) } else { Ok(()) }
    }

    fn submit(&mut self, command: Command, key: Option<RequestKey>) -> String {
        let entries_before = self.network.picture().entries.len();
        self.lsn += 1;
        // Codes follow the rules of format 3; the scenarios of keys wait longer than one of its steps counts.
        let actor = (key.is_none() && matches!(command, Command::Register(_))).then(Actor::unknown);
        let stamped = Stamped {
            lsn: self.lsn,
            time: Timestamp(self.time),
            key,
            actor,
            format: Stamped::FORMAT,
            command,
        };
        let applied = self.network.apply(&stamped);
        if applied.lsn != self.lsn {
            return "repeat".into();
        }
        self.network.check();
        let picture = self.network.picture();
        let mut parts = match applied.outcome {
            Outcome::Rejected(rejection) => vec![format!("rejected {}", rejection.name())],
            Outcome::Registered { member } => vec![position(&picture, member)],
            Outcome::BonusPaid { .. } | Outcome::Reversed { .. } => Vec::new(),
            Outcome::AllPaid { entries } => vec![format!("{entries} entries")],
            Outcome::MatchingPaid { entries, amount } => {
                let sum = i64::try_from(amount.sum()).expect("scenarios are small");
                vec![format!("{entries} entries of {}", print_money(Money(sum)))]
            }
            Outcome::PlanActivated { version } => vec![format!("version {version}")],
            Outcome::EntryImported { entry } => return format!("entry {entry}"),
            Outcome::OrderPlaced { order, changed: true } => return booked(&picture, order),
            Outcome::PeriodSealed { orders, changed: true, .. } => return format!("{orders} orders left"),
            Outcome::OrderRefunded { changed: true, .. } => {
                let Command::RefundOrder(refund) = &stamped.command else { panic!("it gave a refund") };
                return acts(&picture, refund.id.as_str());
            }
            other => return if other.is_no_op() { "unchanged" } else { "changed" }.into(),
        };
        parts.extend(picture.entries[entries_before..].iter().map(|entry| new_entry(&picture, entry)));
        if let Outcome::BonusPaid { withheld, .. } = applied.outcome {
            parts.extend((withheld != 0).then(|| format!("{withheld} withheld")));
        }
        if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
    }

    /// Answers a query about the network.
    fn question(&self, verb: &str, words: &mut Words) -> Result<String, Wrong> {
        let picture = self.network.picture();
        let member = |name: &str| {
            let found = picture.members.iter().position(|member| member.id == script::id_of(name));
            found.ok_or_else(|| format!("there is no {name}"))
        };
        let answer = match verb {
            "members" => picture.members.len().to_string(),
            "depth" => picture.depth.to_string(),
            "volume" => volume(&picture, member(words.next("member")?)?, words)?,
            "period" => period(&picture, words)?,
            "acts" => acts(&picture, words.next("refund")?),
            "opening" => {
                let closed = if picture.opening.closed.is_some() { ", closed" } else { "" };
                format!("{} rows{closed}", picture.opening.rows.len())
            }
            "total-of" => total_of(&picture, words)?,
            "orders" => {
                let ids: Vec<&str> = picture.orders.iter().map(|order| order.id.as_str()).collect();
                if ids.is_empty() { "none".into() } else { ids.join(" ") }
            }
            "attributes" => attributes(&picture, member(words.next("member")?)?, words)?,
            "customer" => {
                let customer = words.next("customer")?;
                name(&picture, picture.customers.get(customer).copied())
            }
            "breakage" => format!("{} levels, {}", picture.breakage.0, print_money(picture.breakage.1)),
            "breakage-by-reason" => breakage_by_reason(&picture),
            "total" => print_money(Money(picture.entries.iter().map(|entry| entry.amount.0).sum())),
            "pending" => picture.pending.to_string(),
            "version" => picture.plan_version.to_string(),
            "balances" => balances(&picture),
            "ranks" => distribution(&picture),
            "position" => position(&picture, MemberIx(member(words.next("member")?)? as u32)),
            "sponsor" => name(&picture, picture.members[member(words.next("member")?)?].sponsor),
            "joined" => {
                format!("hour {}", picture.members[member(words.next("member")?)?].joined_at.0 / HOUR)
            }
            "code" => picture.members[member(words.next("member")?)?].code.clone(),
            "balance" => {
                let sums = picture.members[member(words.next("member")?)?].balance;
                let [pending, held, paid] =
                    sums.map(|sum| print_money(Money(sum.try_into().expect("small"))));
                format!("pending {pending}, held {held}, paid {paid}")
            }
            "rank" => rank(&picture.members[member(words.next("member")?)?]),
            "counts" => {
                let tree = script::tree(words.next("tree")?)?;
                counts(&picture.members[member(words.next("member")?)?], tree)
            }
            "entries" => {
                let receiver = MemberIx(member(words.next("member")?)? as u32);
                let lines = picture
                    .entries
                    .iter()
                    .rev()
                    .filter(|entry| entry.receiver == receiver)
                    .map(|entry| full_entry(&picture, entry));
                lines.collect::<Vec<_>>().join("; ")
            }
            "preview" => {
                let sponsor = MemberIx(member(words.next("member")?)? as u32);
                match self.network.preview(sponsor, script::rule(words.next("rule")?)?) {
                    Ok((parent, slot)) => format!("{}:{slot}", name(&picture, Some(parent))),
                    Err(rejection) => format!("rejected {}", rejection.name()),
                }
            }
            other => return Err(format!("`{other}` is no word of this language")),
        };
        words.end()?;
        Ok(answer)
    }
}

/// `total-of KIND NAME [POSITION]`: the rows that are counted together, and their sum.
fn total_of(picture: &Picture, words: &mut Words) -> Result<String, Wrong> {
    let (kind, name) = (words.next("kind")?, words.next("name")?);
    let position: Option<u32> = words.number("position").ok();
    let mut totals = picture.opening.totals.iter();
    let found = totals.find(|((of, called, _, _, at), _)| {
        of.name() == kind && *called == *name && (position.is_none() || *at == position)
    });
    let ((of, ..), (rows, sum)) = found.ok_or("there are no such rows")?;
    let sum = sum.map(|sum| match of {
        OpeningKind::Held => format!(", {sum}"),
        _ => format!(", {}", print_money(Money((sum / 1_000_000) as i64))),
    });
    Ok(format!("{rows} rows{}", sum.unwrap_or_default()))
}

/// The periods into which an order was booked.
fn booked(picture: &Picture, order: u32) -> String {
    let periods = picture.orders[order as usize].periods.iter();
    periods.map(|(calendar, period)| format!("{calendar}:{period}")).collect::<Vec<_>>().join(" ")
}

/// What a refund does in each calendar.
fn acts(picture: &Picture, refund: &str) -> String {
    let mut refunds = picture.orders.iter().flat_map(|order| &order.refunds);
    let Some(found) = refunds.find(|other| other.id == refund) else { return "nothing".into() };
    let acts = found.acts.iter().enumerate();
    acts.map(|(calendar, (act, period))| format!("{act} {calendar}:{period}")).collect::<Vec<_>>().join(", ")
}

/// `MEMBER [at HOUR]`: the attributes now, or where one of the newest periods ends.
fn attributes(picture: &Picture, member: usize, words: &mut Words) -> Result<String, Wrong> {
    let at = if words.take("at") { Timestamp(words.number::<i64>("hour")? * HOUR) } else { picture.time };
    let known = &picture.members[member].attributes;
    if known.is_empty() {
        return Ok("none".into());
    }
    let found = known.iter().find(|(instant, _)| *instant == at).ok_or("no period ends there")?;
    let AttributesPicture { market, owner, tags } = &found.1;
    let hour = |time: &Option<Timestamp>| time.map_or(String::new(), |time| (time.0 / HOUR).to_string());
    let mut parts = vec![market.map_or("no market".into(), |market| format!("market {market}"))];
    parts.extend((owner.at() != member).then(|| format!("owner {}", name(picture, Some(*owner)))));
    parts.extend(tags.iter().map(|(tag, (from, until))| match (from, until) {
        (None, None) => format!("tag {tag}"),
        (from, until) => format!("tag {tag} {}..{}", hour(from), hour(until)),
    }));
    Ok(parts.join(", "))
}

/// `MEMBER PERIOD VALUE`: what a member has of a live value.
fn volume(picture: &Picture, member: usize, words: &mut Words) -> Result<String, Wrong> {
    let period = script::period(words.next("period")?)?;
    let value: u8 = words.number("value")?;
    let of = |live: &&LivePicture| {
        (live.calendar, live.period, live.value) == (period.calendar, period.period, value)
    };
    let Some(live) = picture.live.iter().find(of) else { return Ok("not kept".into()) };
    let Volumes { own, groups, levels } = &live.members[member];
    let money = |sum: &i64| print_money(Money(*sum));
    let mut parts = vec![format!("own {}", money(own))];
    for (at, tree) in ["sponsor", "placement"].into_iter().enumerate() {
        let (Some(group), Some(levels)) = (&groups[at], &levels[at]) else { continue };
        let filled = levels.iter().rposition(|sum| *sum != 0).map_or(0, |last| last + 1);
        let levels: Vec<String> = levels[..filled].iter().map(money).collect();
        parts.push(format!("{tree} {} [{}]", money(group), levels.join(" ")));
    }
    Ok(parts.join(", "))
}

/// `PERIOD`: where it stands, and what the company has in it.
fn period(picture: &Picture, words: &mut Words) -> Result<String, Wrong> {
    let period = script::period(words.next("period")?)?;
    let of = |other: &&PeriodPicture| other.calendar == period.calendar;
    let found = picture.periods.iter().filter(of).nth(period.period as usize).ok_or("no such period")?;
    let PeriodPicture { state, orders, refunds, sums, .. } = found;
    let sums: Vec<String> = sums.iter().map(|sum| print_money(Money(*sum))).collect();
    let state = state.to_lowercase();
    Ok(format!("{state}, {orders} orders, {refunds} refunds, {}", sums.join(" ")))
}

/// `M0..M20`: the names with these numbers.
fn range(word: &str) -> Result<Vec<String>, Wrong> {
    let wrong = || format!("`{word}` is no range of names like m1..m13");
    let (first, last) = word.split_once("..").ok_or_else(wrong)?;
    let stem = first.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let from: u32 = first[stem.len()..].parse().map_err(|_| wrong())?;
    let to: u32 = last.strip_prefix(stem).and_then(|digits| digits.parse().ok()).ok_or_else(wrong)?;
    Ok((from..=to).map(|number| format!("{stem}{number}")).collect())
}

fn name(picture: &Picture, member: Option<MemberIx>) -> String {
    member.map_or_else(|| "nobody".into(), |member| name_of(picture.members[member.at()].id))
}

fn position(picture: &Picture, member: MemberIx) -> String {
    let member = &picture.members[member.at()];
    if member.parent.is_none() {
        "root".into()
    } else {
        format!("{}:{}", name(picture, member.parent), member.slot)
    }
}

/// Formats an entry as its trigger shows it: the kind only for rank rewards.
fn new_entry(picture: &Picture, entry: &EntryPicture) -> String {
    let kind = if entry.kind.starts_with("rank:") { format!(" {}", entry.kind) } else { String::new() };
    let sign = if entry.amount.0 < 0 { "" } else { "+" };
    format!("{} {sign}{}{kind}", name(picture, Some(entry.receiver)), print_money(entry.amount))
}

fn full_entry(picture: &Picture, entry: &EntryPicture) -> String {
    let status = entry.status.name();
    let source = name(picture, Some(entry.source));
    let hour = entry.time.0 / HOUR;
    format!(
        "{} {} level {} from {source} {status} hour {hour} plan {}",
        print_money(entry.amount),
        entry.kind,
        entry.level,
        entry.plan_version
    )
}

fn breakage_by_reason(picture: &Picture) -> String {
    let item = |(reason, (levels, amount)): (&&str, &(u64, i128))| {
        format!("{reason} {levels} levels, {}", print_money(Money((*amount).try_into().expect("small"))))
    };
    let items: Vec<String> = picture.breakage_by_reason.iter().map(item).collect();
    if items.is_empty() { "nothing".into() } else { items.join("; ") }
}

fn balances(picture: &Picture) -> String {
    let sum = |index: usize| {
        picture
            .entries
            .iter()
            .filter(|entry| entry.receiver.at() == index)
            .map(|entry| entry.amount.0)
            .sum::<i64>()
    };
    let with_money = (0..picture.members.len())
        .map(|index| (index, Money(sum(index))))
        .filter(|(_, sum)| *sum != Money(0));
    with_money
        .map(|(index, sum)| format!("{} {}", name_of(picture.members[index].id), print_money(sum)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `rank:members` for ranks with members.
fn distribution(picture: &Picture) -> String {
    let held = picture.rank_distribution.iter().enumerate().filter(|(_, members)| **members != 0);
    held.map(|(rank, members)| format!("{rank}:{members}")).collect::<Vec<_>>().join(" ")
}

fn rank(member: &MemberPicture) -> String {
    let next = member.next.as_ref().map_or_else(String::new, |next| {
        let level = if next.level == 0 { String::new() } else { format!(" on level {}", next.level) };
        format!(", next {} missing {} of {}{level}", next.rank, next.missing, next.minimum)
    });
    format!("{}, lifetime {}{next}", member.paid_as, member.lifetime)
}

fn counts(member: &MemberPicture, tree: Tree) -> String {
    let at = TREES.iter().position(|other| *other == tree).expect("there are two");
    let direct = member.direct[at];
    let (Some(downline), Some(levels)) = (member.downline[at], member.levels[at]) else {
        return format!("direct {direct}");
    };
    let filled = levels.iter().rposition(|count| *count != 0).map_or(0, |last| last + 1);
    let levels: Vec<String> = levels[..filled].iter().map(u32::to_string).collect();
    format!(
        "direct {direct}, downline {downline}, levels {}",
        if levels.is_empty() { "none".into() } else { levels.join(" ") }
    )
}
