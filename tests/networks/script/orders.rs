//! Words about orders, refunds, periods and attributes, and the one about the opening state. Names of the
//! plan are given by their positions, from 0; value 0 is the amount.

use upline::core::{
    Actor, ActorKind,
    command::{
        AttributeChange, Command, Credit, LinePart, OpenPeriod, OrderId, OrderLine, PeriodRef, PeriodStep,
        PlaceOrder, RecordRun, RefundOrder, RefundScope, SetAttributes, StepPeriod, WHOLE,
    },
    plan::{
        calendar::{Calendar, Every, Grace, Late},
        commerce::{Commerce, Volume, VolumeForm, VolumeOf},
    },
    types::{BasisPoints, Money, Timestamp},
};

use super::{HOUR, Words, Wrong, id_of, money};

/// Parses a command about orders and periods. `None` when the verb is not one.
pub fn command(verb: &str, words: &mut Words) -> Result<Option<Command>, Wrong> {
    Ok(Some(match verb {
        "order" => Command::PlaceOrder(Box::new(order(words)?)),
        "refund" => Command::RefundOrder(Box::new(refund(words)?)),
        "open" => Command::OpenPeriod(open(words)?),
        "close" => Command::ClosePeriod(period(words.next("period")?)?),
        "lock" => step(PeriodStep::Lock, words)?,
        "unlock" => step(PeriodStep::Unlock, words)?,
        "approve" => step(PeriodStep::Approve, words)?,
        "post" => step(PeriodStep::Post, words)?,
        "run" => Command::RecordRun(Box::new(run(words)?)),
        "bring" => Command::AddOpening(Box::new(super::opening::rows(words)?)),
        "set" => Command::SetAttributes(Box::new(attributes(words)?)),
        _ => return Ok(None),
    }))
}

/// `1:0` is the first period of the second calendar.
pub fn period(word: &str) -> Result<PeriodRef, Wrong> {
    let wrong = || format!("`{word}` is no period like 1:0");
    let (calendar, period) = word.split_once(':').ok_or_else(wrong)?;
    let (calendar, period) = (calendar.parse().map_err(|_| wrong())?, period.parse().map_err(|_| wrong())?);
    Ok(PeriodRef { calendar, period })
}

fn id(word: &str) -> Result<OrderId, Wrong> {
    OrderId::parse(word).ok_or_else(|| format!("`{word}` is no id"))
}

fn hour(words: &mut Words) -> Result<Timestamp, Wrong> {
    Ok(Timestamp(words.number::<i64>("hour")? * HOUR))
}

/// `50%`, or so many of 10^9.
fn part(word: &str) -> Result<u32, Wrong> {
    let wrong = |_| format!("`{word}` is no part like 50% or 333333333");
    match word.strip_suffix('%') {
        Some(percent) => Ok(percent.parse::<u32>().map_err(wrong)? * (WHOLE / 100)),
        None => word.parse().map_err(wrong),
    }
}

/// `order ID MEMBER[=PART][+MEMBER=PART ...] [customer ID] [at HOUR] [kind N] [tag N] [group ID] [market N]
/// AMOUNT[/VOLUME ...] ...`: a word with amounts for each line
fn order(words: &mut Words) -> Result<PlaceOrder, Wrong> {
    let mut order = PlaceOrder {
        id: id(words.next("id")?)?,
        credits: Vec::new(),
        customer: None,
        time: None,
        kind: None,
        tags: 0,
        group: None,
        market: None,
        lines: Vec::new(),
    };
    for credit in words.next("member")?.split('+') {
        let (member, part) = match credit.split_once('=') {
            Some((member, word)) => (member, part(word)?),
            None => (credit, WHOLE),
        };
        order.credits.push(Credit { member: id_of(member), part });
    }
    while let Ok(word) = words.next("") {
        match word {
            "customer" => order.customer = Some(id(words.next("customer")?)?),
            "at" => order.time = Some(hour(words)?),
            "kind" => order.kind = Some(words.number("kind")?),
            "tag" => order.tags |= 1 << words.number::<u64>("tag")?,
            "group" => order.group = Some(id(words.next("group")?)?),
            "market" => order.market = Some(words.number("market")?),
            values => {
                let values: Vec<Money> = values.split('/').map(money).collect::<Result<_, _>>()?;
                let volumes = values[1..].iter().map(|volume| volume.0).collect();
                order.lines.push(OrderLine { amount: values[0], volumes });
            }
        }
    }
    Ok(order)
}

/// `refund ID of ORDER [at HOUR] [part PART | line N[=PART] ...]`; without parts and lines all that is left
fn refund(words: &mut Words) -> Result<RefundOrder, Wrong> {
    let refund = id(words.next("id")?)?;
    if !words.take("of") {
        return Err("`of` is missing".into());
    }
    let order = id(words.next("order")?)?;
    let (mut time, mut scope) = (None, RefundScope::Rest);
    while let Ok(word) = words.next("") {
        match word {
            "at" => time = Some(hour(words)?),
            "part" => scope = RefundScope::Part(part(words.next("part")?)?),
            "line" => {
                let word = words.next("line")?;
                let (line, part) = match word.split_once('=') {
                    Some((line, word)) => (line, Some(part(word)?)),
                    None => (word, None),
                };
                let line = line.parse().map_err(|_| format!("`{line}` is no line"))?;
                let mut lines = if let RefundScope::Lines(lines) = scope { lines } else { Vec::new() };
                lines.push(LinePart { line, part });
                scope = RefundScope::Lines(lines);
            }
            other => return Err(format!("`{other}` is nothing that a refund can have")),
        }
    }
    Ok(RefundOrder { id: refund, order, time, scope })
}

/// `open CALENDAR LABEL from HOUR to HOUR [grace HOURS]`
fn open(words: &mut Words) -> Result<OpenPeriod, Wrong> {
    let calendar = words.number("calendar")?;
    let label = id(words.next("label")?)?;
    let start = if words.take("from") { hour(words)? } else { return Err("`from` is missing".into()) };
    let end = if words.take("to") { hour(words)? } else { return Err("`to` is missing".into()) };
    let grace = if words.take("grace") { words.number::<i64>("hours")? * HOUR } else { 0 };
    Ok(OpenPeriod { calendar, label, start, end, grace_until: Timestamp(end.0 + grace) })
}

fn person(words: &mut Words) -> Result<Actor, Wrong> {
    let name = if words.take("by") { words.next("person")? } else { "ann" };
    Ok(Actor::new(ActorKind::Admin, name))
}

/// `lock|unlock|approve|post PERIOD [by PERSON]`
fn step(step: PeriodStep, words: &mut Words) -> Result<Command, Wrong> {
    let period = period(words.next("period")?)?;
    Ok(Command::StepPeriod(Box::new(StepPeriod { period, step, reason: None, by: person(words)? })))
}

/// `run PERIOD [by PERSON] [plan VERSION] [up-to LSN]`
fn run(words: &mut Words) -> Result<RecordRun, Wrong> {
    let period = period(words.next("period")?)?;
    let by = person(words)?;
    let plan_version = if words.take("plan") { words.number("version")? } else { 1 };
    let up_to_lsn = if words.take("up-to") { words.number("LSN")? } else { 0 };
    Ok(RecordRun { period, plan_version, up_to_lsn, lines: 0, digest: [7; 32], by })
}

/// `set MEMBER [market N|none] [owner MEMBER|none] [tag N [from HOUR] [until HOUR]] [untag N] ...
/// [effective HOUR]`
fn attributes(words: &mut Words) -> Result<SetAttributes, Wrong> {
    let member = id_of(words.next("member")?);
    let (mut changes, mut effective) = (Vec::new(), None);
    while let Ok(word) = words.next("") {
        match word {
            "market" if words.take("none") => changes.push(AttributeChange::Market(None)),
            "market" => changes.push(AttributeChange::Market(Some(words.number("market")?))),
            "owner" if words.take("none") => changes.push(AttributeChange::Owner(None)),
            "owner" => changes.push(AttributeChange::Owner(Some(id_of(words.next("owner")?)))),
            "tag" => {
                let tag = words.number("tag")?;
                let from = if words.take("from") { Some(hour(words)?) } else { None };
                let until = if words.take("until") { Some(hour(words)?) } else { None };
                changes.push(AttributeChange::Tag { tag, from, until, set: true });
            }
            "untag" => {
                let tag = words.number("tag")?;
                changes.push(AttributeChange::Tag { tag, from: None, until: None, set: false });
            }
            "effective" => effective = Some(hour(words)?),
            other => return Err(format!("`{other}` is nothing that is set")),
        }
    }
    Ok(SetAttributes { member, changes, effective })
}

/// Reads a line of a plan about orders. Returns whether it is one.
pub fn part_of_plan(word: &str, words: &mut Words, commerce: &mut Commerce) -> Result<bool, Wrong> {
    let names = |words: &mut Words| words.rest().into_iter().map(Into::into).collect();
    match word {
        "calendar" => {
            if !commerce.takes_orders() {
                (commerce.live_levels, commerce.refund_lowers_volume) = (7, Some(false));
            }
            commerce.calendars.push(Calendar {
                name: words.next("name")?.into(),
                every: Every::Month,
                timezone: "UTC".into(),
                grace: Grace::default(),
                late: if words.take("late-refused") { Late::Refuse } else { Late::Book },
                first: None,
                four_eyes: words.take("four-eyes"),
            });
        }
        "volume" => commerce.volumes.push(volume(words, commerce)?),
        "amount-live" => commerce.amount_live = true,
        "live-levels" => commerce.live_levels = words.number("levels")?,
        "order-kinds" => commerce.order_kinds = names(words),
        "order-tags" => commerce.order_tags = names(words),
        "markets" => commerce.markets = names(words),
        "owners" => commerce.has_owners = true,
        "member-tags" => commerce.member_tags = names(words),
        "rounding" => {
            let word = words.next("rounding")?;
            commerce.rounding = word.parse().map_err(|_| format!("`{word}` is no rounding"))?;
        }
        "refund-lowers-volume" => commerce.refund_lowers_volume = Some(true),
        _ => return Ok(false),
    }
    Ok(true)
}

/// `volume NAME [75% of amount|VOLUME] [live]`, with two decimals
fn volume(words: &mut Words, commerce: &Commerce) -> Result<Volume, Wrong> {
    let name = words.next("name")?.into();
    let (mut form, mut live) = (VolumeForm::Given, false);
    while let Ok(word) = words.next("") {
        match word {
            "live" => live = true,
            percent => {
                let digits =
                    percent.strip_suffix('%').ok_or_else(|| format!("`{percent}` is no percentage"))?;
                let rate: u32 = digits.parse().map_err(|_| format!("`{percent}` is no whole percentage"))?;
                if !words.take("of") {
                    return Err("`of` is missing".into());
                }
                let of = match words.next("volume")? {
                    "amount" => VolumeOf::Amount,
                    other => VolumeOf::Volume(commerce.volume(other).ok_or("no such volume")? as u8),
                };
                form = VolumeForm::Percent { of, rate: BasisPoints(rate * 100) };
            }
        }
    }
    Ok(Volume { name, exponent: 2, form, live })
}
