//! `upline orders`: shows, lists, refunds and imports orders, in a data directory or by a running server.
//!
//! The printed objects use the terms of `/v1`. In a directory the same rules refuse as on a server, with the
//! same reasons.

use serde_json::{Value, json};

use super::{
    clock::ClockRule,
    exit::{Exit, Failure},
    import::orders as import,
    log_options,
    member_on_server::{find_on_server, user_id},
    names::find_member,
    network::Network,
    open_periods,
    period::encoded,
    problem::refused,
    remote::Remote,
    screen,
    source::{self, Source, suggest_server},
    tables,
    target::Target,
};
use crate::{
    core::command::{Command, OrderId, Rejection},
    durability::storage::Disk,
    engine::{Loaded, OrderFilter, SealedOrders},
    http::offline,
};

/// Default number of orders listed: one screen.
const LIMIT_DEFAULT: u32 = 20;
/// The longest page of a server.
const LIMIT_MAX: u32 = 1_000;

const COLUMNS: [(&str, &str); 6] = [
    ("order", "order_id"),
    ("time", "time"),
    ("credited to", "credited"),
    ("customer", "customer"),
    ("amount", "placed"),
    ("left", "left"),
];
const LINE_COLUMNS: [(&str, &str); 4] =
    [("line", "line"), ("amount", "amount"), ("volumes", "volumes"), ("refunded", "refunded")];

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: OrdersCommand,
}

#[derive(clap::Subcommand, Debug)]
enum OrdersCommand {
    /// Show an order as it stands, with its refunds
    Show(ShowArgs),
    /// List orders, newest first
    List(ListArgs),
    /// Refund an order: all that is left of it, a part, or some lines
    Refund(RefundArgs),
    /// Take orders from a CSV or NDJSON file into a data directory
    Import(import::Args),
}

#[derive(clap::Args, Debug)]
struct ShowArgs {
    /// Id of the order
    #[arg(value_parser = order_id)]
    id: OrderId,
    #[command(flatten)]
    source: source::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct ListArgs {
    /// Only those that are credited to this member (UUID, name or referral code)
    #[arg(long, value_name = "MEMBER")]
    member: Option<String>,
    /// Only those that this customer bought
    #[arg(long, value_name = "ID", value_parser = order_id)]
    customer: Option<OrderId>,
    /// Only those of this group
    #[arg(long, value_name = "ID", value_parser = order_id)]
    group: Option<OrderId>,
    /// Only those that this calendar booked in the period
    #[arg(long, value_name = "CALENDAR", requires = "period")]
    calendar: Option<String>,
    /// Label of a period of the calendar
    #[arg(long, value_name = "LABEL", requires = "calendar")]
    period: Option<String>,
    /// Orders to list, newest first, at most 1,000
    #[arg(
        long, value_name = "ORDERS", default_value_t = LIMIT_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(LIMIT_MAX))
    )]
    limit: u32,
    #[command(flatten)]
    source: source::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct RefundArgs {
    /// Id of the order
    #[arg(value_parser = order_id)]
    order: OrderId,
    /// Id of the refund, unique among orders and refunds: the same refund is given once
    #[arg(long, value_name = "REFUND", value_parser = order_id)]
    id: OrderId,
    /// A part of each line as it was placed, e.g. 0.5
    #[arg(long, value_name = "PART", conflicts_with = "line")]
    part: Option<String>,
    /// A line, counted from 0, or a part of one as it was placed: 2 or 2:0.5; several may be given
    #[arg(long, value_name = "LINE[:PART]", value_parser = line)]
    line: Vec<Line>,
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

/// A line to refund, and the part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    line: u8,
    part: Option<String>,
}

fn order_id(text: &str) -> Result<OrderId, String> {
    OrderId::parse(text).ok_or_else(|| "must be 1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `:` and `-`".into())
}

fn line(text: &str) -> Result<Line, String> {
    let (line, part) = match text.split_once(':') {
        Some((line, part)) => (line, Some(part.to_owned())),
        None => (text, None),
    };
    let line =
        line.parse().map_err(|_| "must be the number of a line, counted from 0: 2 or 2:0.5".to_owned())?;
    Ok(Line { line, part })
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        OrdersCommand::Show(args) => show(args),
        OrdersCommand::List(args) => list(args),
        OrdersCommand::Refund(args) => refund(args),
        OrdersCommand::Import(args) => import::run(args),
    }
}

// --- reading

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let (lsn, order) = match args.source.open()? {
        Source::Directory(loaded) => {
            let sealed = sealed_of(&loaded, &args.source)?;
            let order =
                offline::order(&args.id, &loaded.state, &loaded.directory, &sealed).map_err(refused)?;
            (Some(loaded.state.lsn()), order.ok_or_else(|| refused(Rejection::OrderUnknown))?)
        }
        Source::Server(remote) => {
            let answer = remote.get(&path(&args.id))?;
            (answer.lsn, answer.body)
        }
    };
    let object = json!({"command": "orders show", "lsn": lsn, "order": order});
    screen::say_result(args.json, &object, || in_words(&order))
}

/// The sealed orders of a directory.
fn sealed_of(loaded: &Loaded, source: &source::Args) -> Result<SealedOrders, Failure> {
    Ok(SealedOrders::open(&Disk::shared(), &source.config()?.data_dir, &loaded.state)?)
}

fn path(id: &OrderId) -> String {
    format!("/v1/orders/{}", encoded(id.as_str()))
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let (lsn, orders) = match args.source.open()? {
        Source::Directory(loaded) => {
            let (filter, sealed) = (filter(&loaded, args)?, sealed_of(&loaded, &args.source)?);
            let (state, directory) = (&loaded.state, &loaded.directory);
            let orders = offline::orders(filter, args.limit as usize, state, directory, &sealed);
            (Some(loaded.state.lsn()), orders.map_err(refused)?)
        }
        Source::Server(remote) => list_of_server(&remote, args)?,
    };
    let object = json!({"command": "orders list", "lsn": lsn, "orders": orders});
    screen::say_result(args.json, &object, || match &orders[..] {
        [] => "no orders".into(),
        _ => tables::of_objects(&COLUMNS, &orders.iter().map(row).collect::<Vec<_>>()),
    })
}

fn filter(loaded: &Loaded, args: &ListArgs) -> Result<OrderFilter, Failure> {
    let state = &loaded.state;
    let named = args.member.as_ref().map(|text| find_member(state, &loaded.directory, text));
    let period = args.calendar.as_ref().zip(args.period.as_ref());
    let period = period.map(|(calendar, label)| offline::find_period(state, calendar, label));
    Ok(OrderFilter {
        member: named.transpose()?,
        customer: args.customer.clone(),
        group: args.group.clone(),
        period: period.transpose().map_err(refused)?,
        ..OrderFilter::ALL
    })
}

fn list_of_server(remote: &Remote, args: &ListArgs) -> Result<(Option<u64>, Vec<Value>), Failure> {
    let member = args.member.as_ref().map(|text| find_on_server(remote, text)).transpose()?;
    let member = member.as_ref().map(|(member, _)| user_id(member)).transpose()?;
    let filters = [
        ("member", member),
        ("customer", args.customer.as_ref().map(OrderId::as_str)),
        ("group", args.group.as_ref().map(OrderId::as_str)),
        ("calendar", args.calendar.as_deref()),
        ("period", args.period.as_deref()),
    ];
    let given =
        filters.iter().filter_map(|(name, text)| text.map(|text| format!("&{name}={}", encoded(text))));
    let filters: String = given.collect();
    let (limit, mut cursor) = (args.limit as usize, String::new());
    let mut orders = Vec::new();
    loop {
        let left = limit.saturating_sub(orders.len());
        let mut answer = remote.get(&format!("/v1/orders?limit={left}{filters}{cursor}"))?;
        let Some(Value::Array(items)) = answer.body.get_mut("items").map(Value::take) else {
            let message = "the server's answer is not a list of orders: is it an upline server?";
            return Err(Failure::new(Exit::Refused, message));
        };
        orders.extend(items);
        match answer.body["next"].as_str().filter(|_| orders.len() < limit) {
            // A page may be short, or empty, and not be the last.
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok((answer.lsn, orders)),
        }
    }
}

// --- refunds

fn refund(args: &RefundArgs) -> Result<(), Failure> {
    let line = |Line { line, part }: &Line| json!({"line": line, "part": part});
    let lines = (!args.line.is_empty()).then(|| args.line.iter().map(line).collect::<Vec<_>>());
    let body = json!({"refund_id": args.id.as_str(), "part": args.part, "lines": lines});
    let (lsn, order) = match args.source.server()? {
        Some(remote) => {
            let answer = remote.post_json(&format!("{}/refund", path(&args.order)), &body)?;
            (answer.lsn, answer.body)
        }
        None => refund_in_directory(args, &body)?,
    };
    let object = json!({"command": "orders refund", "lsn": lsn, "order": order});
    screen::say_result(args.json, &object, || in_words(&order))
}

fn refund_in_directory(args: &RefundArgs, body: &Value) -> Result<(Option<u64>, Value), Failure> {
    let config = args.source.config()?;
    let clock = ClockRule::of(&config, args.accept_clock);
    let mut target =
        Target::existing(config.data_dir.clone(), log_options(&config), clock).map_err(suggest_server)?;
    let network = &mut target.network;
    open_periods::keep(network)?;
    let now = network.time();
    let refund =
        offline::refund_order(body.to_string().as_bytes(), args.order.clone(), now).map_err(refused)?;
    network.apply(Command::RefundOrder(Box::new(refund))).map_err(refused)?;
    target.commit(false).map_err(suggest_server)?;
    let Network { state, directory, sealed, .. } = &target.network;
    let order = offline::order(&args.order, state, directory, sealed).map_err(refused)?;
    Ok((Some(state.lsn()), order.ok_or_else(|| refused(Rejection::OrderUnknown))?))
}

// --- results

/// An order in one line of a table.
fn row(order: &Value) -> Value {
    json!({
        "order_id": order["order_id"],
        "time": order["time"],
        "credited": credited(order),
        "customer": order["customer"],
        "placed": order["placed"]["amount"],
        "left": order["left"]["amount"],
    })
}

fn credited(order: &Value) -> String {
    let credits = order["credits"].as_array().map_or(&[][..], Vec::as_slice);
    let shown = credits.iter().map(|credit| {
        let (member, part) = (tables::shown(&credit["user_id"]), tables::shown(&credit["part"]));
        if part == "1" { member } else { format!("{member} ({part})") }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn volumes(values: &Value) -> String {
    let volumes = values["volumes"].as_object().into_iter().flatten();
    volumes.map(|(name, units)| format!("{name} {}", tables::shown(units))).collect::<Vec<_>>().join(", ")
}

fn in_words(order: &Value) -> String {
    let part = |field: &str| tables::shown(&order[field]);
    let sums = |field: &str| {
        let (amount, volumes) = (tables::shown(&order[field]["amount"]), volumes(&order[field]));
        if volumes.is_empty() { amount } else { format!("{amount}, {volumes}") }
    };
    let mut text = format!("order {} of {}\n", part("order_id"), part("time"));
    text += &format!("credited to {}\n", credited(order));
    for field in ["customer", "kind", "group", "market"] {
        if !order[field].is_null() {
            text += &format!("{field} {}\n", part(field));
        }
    }
    let booking = order["booking"].as_object().into_iter().flatten();
    let booking = booking.map(|(calendar, label)| format!("{calendar} {}", tables::shown(label)));
    text += &format!("booked in {}\n", booking.collect::<Vec<_>>().join(", "));
    text += &format!("placed {}; left {}\n\n", sums("placed"), sums("left"));
    let lines = order["lines"].as_array().into_iter().flatten().enumerate().map(|(number, line)| {
        json!({
            "line": number, "amount": line["amount"], "volumes": volumes(line), "refunded": line["refunded"],
        })
    });
    text += &tables::of_objects(&LINE_COLUMNS, &lines.collect::<Vec<_>>());
    for refund in order["refunds"].as_array().into_iter().flatten() {
        let acts = refund["acts"].as_object().into_iter().flatten().map(|(calendar, act)| {
            format!("{calendar} {} {}", tables::shown(&act["period"]), tables::shown(&act["state"]))
        });
        let (id, time) = (tables::shown(&refund["refund_id"]), tables::shown(&refund["time"]));
        text += &format!("\nrefund {id} of {time}: {}", acts.collect::<Vec<_>>().join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_number_and_perhaps_a_part() {
        assert_eq!(line("2"), Ok(Line { line: 2, part: None }));
        assert_eq!(line("2:0.5"), Ok(Line { line: 2, part: Some("0.5".into()) }));
        for wrong in ["", "x", "-1", "256", ":0.5"] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
    }
}
