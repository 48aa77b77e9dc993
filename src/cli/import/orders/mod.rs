//! `upline orders import`: orders from CSV or NDJSON files.
//!
//! CSV has a header line with at least `order_id,user_id,amount`; also `customer`, `time`, `kind`, `tags`
//! (separated by blanks), `group`, `market`, and a column for each volume of the plan. Each row is a line of
//! an order. Rows with one order id stand one behind the other; what they say of the order itself stands in
//! the first one, and in the others again or not at all. A member is named as in member files: by UUID, name
//! or referral code. NDJSON has on each line an object as `POST /v1/orders` takes it, or as `export --orders`
//! writes it: then the order comes in with its refunds, as it was, or not at all.
//!
//! An order is taken whole or refused whole, with the line on which it begins. A row that cannot be read may
//! belong to the order before it and to the one behind it: both are refused. Orders that are there already
//! with the same content are not errors, so the same file may be imported again.
//!
//! Orders go into a data directory, which gets them at the end of the file, or to a running server, which
//! gets them in batches that are durable one by one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};

use self::{
    held::Held,
    into_network::IntoNetwork,
    lines::OrderLines,
    reading::{Read, each_order},
    sink::{OnLine, Reader, Sink},
    table::{Table, columns_of},
    taken::Taken,
    to_server::ToServer,
};
use super::{
    command::file_failure,
    layout::{Layout, parse_delimiter},
    meter::Meter,
    visible::visible,
};
use crate::{
    cli::{
        clock::ClockRule,
        exit::{Exit, Failure},
        interrupt::Interrupt,
        log_options, open_periods, problem,
        remote::Remote,
        screen,
        source::{self, suggest_server},
        target::Target,
    },
    core::command::Rejection,
    time_text::TimeForm,
};

mod held;
mod into_network;
mod lines;
mod reading;
mod sink;
mod table;
mod taken;
mod to_server;

/// Takes orders from a CSV or NDJSON file into a data directory or to a running server.
#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Args {
    /// File of orders, CSV or NDJSON, plain or gzip; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    source: source::Args,
    /// Try everything and write nothing; not with --url
    #[arg(long, conflicts_with = "url")]
    dry_run: bool,
    /// All or nothing: import nothing if any order is refused, and leave nothing if it is cut short; not with
    /// --url, where each batch is durable by itself
    #[arg(long, conflicts_with = "url")]
    strict: bool,
    /// Import although the clock is behind the log's last time by more than clock_jump_max: what is written
    /// gets that time
    #[arg(long, conflicts_with = "url")]
    accept_clock: bool,
    /// What separates cells: comma, semicolon, tab, pipe, or an ASCII punctuation character other than
    /// "'-+._:@ [default: the one of , ; tab | with which the header has its columns]
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// What the header calls columns, e.g. order_id=Number,amount=Total
    #[arg(long, value_name = "COLUMN=NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// The form of all times in CSV, as strftime has it, e.g. %d/%m/%Y; without %z or %Q they are in UTC
    #[arg(long, value_name = "FORM", value_parser = TimeForm::new)]
    time_format: Option<TimeForm>,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let interrupt = Interrupt::listen()?;
    if let Some(remote) = args.source.server()? {
        return to_server(args, remote, &interrupt, started);
    }
    let (mut target, taken) = interrupt.interruptible("nothing was imported", || try_everything(args))?;
    let refused = taken.refused.len() as u64;
    let spoilt = refused != 0 && (args.strict || taken.orders + taken.already_there == 0);
    let writes = !args.dry_run && !spoilt;
    if writes {
        interrupt.carried_through("nothing was imported", || target.commit(args.strict))?;
    }
    let orders = Some(target.network.state.orders_len());
    screen::say_result(args.json, &summary(args, &taken, orders, writes, started), || {
        in_words(args, &taken, writes, started)
    })?;
    if refused == 0 {
        return Ok(());
    }
    let (orders, verb) = refused_in_words(refused);
    Err(if spoilt {
        let why = if args.strict { " (--strict)" } else { ": not one can be taken" };
        Failure::new(Exit::RowsRefused, format!("{orders} {verb} refused, so nothing was imported{why}"))
    } else {
        let all = if writes { "all others are in the network" } else { "all others would be imported" };
        Failure::new(Exit::RowsLeftOut, format!("{orders} {verb} refused; {all}"))
    })
}

fn refused_in_words(refused: u64) -> (String, &'static str) {
    (screen::counted(refused, "order"), if refused == 1 { "was" } else { "were" })
}

/// Reads the file into the network in memory, reports what is refused, and writes nothing.
fn try_everything(args: &Args) -> Result<(Target, Taken), Failure> {
    let config = args.source.config()?;
    let clock = ClockRule::of(&config, args.accept_clock);
    let mut target =
        Target::existing(config.data_dir.clone(), log_options(&config), clock).map_err(suggest_server)?;
    let network = &mut target.network;
    if !network.state.plan().commerce.takes_orders() {
        return Err(problem::refused(Rejection::OrdersNotTaken));
    }
    open_periods::keep(network)?;
    let mut taken = Taken::default();
    take_file(args, IntoNetwork::new(network), &mut taken)?;
    taken.tell_refused(&args.file);
    Ok((target, taken))
}

/// Sends the file to a server. What was answered before a failure stays there, and is told.
fn to_server(args: &Args, remote: Remote, interrupt: &Interrupt, started: Instant) -> Result<(), Failure> {
    let mut taken = Taken::default();
    let result = take_file(args, ToServer::new(remote, interrupt), &mut taken);
    taken.refused.sort_by_key(|refused| refused.line);
    taken.tell_refused(&args.file);
    let arrived = taken.orders + taken.already_there;
    if let Err(failure) = result {
        let message = match arrived {
            0 => failure.message,
            _ => format!(
                "{}; what was answered is in the network ({}): import the file again, and the rest comes in",
                failure.message,
                screen::counted(arrived, "order")
            ),
        };
        return Err(Failure { message, ..failure });
    }
    let writes = arrived != 0 || taken.refused.is_empty();
    screen::say_result(args.json, &summary(args, &taken, None, writes, started), || {
        in_words(args, &taken, writes, started)
    })?;
    let refused = taken.refused.len() as u64;
    let (orders, verb) = refused_in_words(refused);
    match (refused, arrived) {
        (0, _) => Ok(()),
        (_, 0) => {
            Err(Failure::new(Exit::RowsRefused, format!("{orders} {verb} refused, and there is no other")))
        }
        _ => Err(Failure::new(
            Exit::RowsLeftOut,
            format!("{orders} {verb} refused; all others are in the network"),
        )),
    }
}

/// Reads a file, and gives its orders to a sink.
///
/// # Errors
/// When the file cannot be read, and what the sink cannot do. `taken` has what came before.
fn take_file(args: &Args, sink: impl Sink, taken: &mut Taken) -> Result<(), Failure> {
    let layout = |volumes: &[String]| {
        columns_of(volumes)
            .given(args.delimiter, "--columns", &args.columns)
            .map_err(|reason| Failure::new(Exit::Usage, reason))
    };
    let intake = Intake::new(sink, args.time_format.as_ref(), taken);
    take_path(&args.file, layout, intake)
}

fn take_path<S: Sink>(
    path: &Path,
    layout: impl FnOnce(&[String]) -> Result<Layout, Failure>,
    mut intake: Intake<'_, S>,
) -> Result<(), Failure> {
    let meter = Meter::new(path, "orders");
    // Objects name their volumes; who sends them need not be allowed to read the plan.
    let volumes = intake.sink.volumes();
    let layout = layout(volumes.as_deref().unwrap_or_default())?;
    let lines = OrderLines::open(&meter, &layout).map_err(file_failure)?;
    if let OrderLines::Rows(lines) = &lines {
        intake.table.volumes = volumes?;
        if !lines.ignored.is_empty() {
            let ignored = lines.ignored.join(", ");
            screen::tell(&format!("{}: columns not read: {}", path.display(), visible(&ignored)));
        }
    }
    intake.take(lines)?.hash = meter.finish();
    Ok(())
}

/// Orders on their way from a file to a sink.
struct Intake<'t, S> {
    sink: S,
    table: Table<'t>,
    /// Orders of an export.
    exported: Held,
    taken: &'t mut Taken,
}

impl<'t, S: Sink> Intake<'t, S> {
    fn new(sink: S, time_form: Option<&'t TimeForm>, taken: &'t mut Taken) -> Self {
        Self { sink, table: Table { volumes: Vec::new(), time_form }, exported: Held::default(), taken }
    }

    /// Gives the orders of a file to the sink.
    fn take(mut self, mut lines: OrderLines) -> Result<&'t mut Taken, Failure> {
        let (table, reader) = (self.table.clone(), self.sink.reader());
        each_order(&mut lines, &table, &reader, |orders| self.take_orders(orders))?;
        let (sink, taken) = (&mut self.sink, &mut *self.taken);
        self.exported.each(|line, text| sink.carry(line, text, taken))?;
        self.sink.finish(self.taken)?;
        self.taken.refused.sort_by_key(|refused| refused.line);
        Ok(self.taken)
    }

    fn take_orders(&mut self, read: Vec<OnLine<Read<OrderOf<S>>>>) -> Result<(), Failure> {
        let mut orders = Vec::with_capacity(read.len());
        for (line, read) in read {
            match read {
                Read::Order(order) => orders.push((line, order)),
                Read::Refused { order, reason } => self.taken.refuse(line, order, reason),
                Read::Exported { lsn, text } => self.exported.hold(lsn, line, &text)?,
            }
        }
        self.sink.place(orders, self.taken)
    }
}

type OrderOf<S> = <<S as Sink>::Reader as Reader>::Order;

/// `orders`: those of the network afterwards, where that is known.
fn summary(args: &Args, taken: &Taken, orders: Option<u32>, writes: bool, started: Instant) -> Value {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for refused in &taken.refused {
        *reasons.entry(&refused.reason.name).or_default() += 1;
    }
    json!({
        "command": "orders import",
        "dry_run": args.dry_run,
        "imported": writes,
        "orders": taken.orders,
        "orders_already_there": taken.already_there,
        "refunds": taken.refunds,
        "orders_refused": taken.refused.len(),
        "refused_by_reason": reasons,
        "network_orders": orders,
        "source_blake3": taken.hash,
        "seconds": started.elapsed().as_secs_f64(),
    })
}

fn in_words(args: &Args, taken: &Taken, writes: bool, started: Instant) -> String {
    let verb = match (writes, args.dry_run) {
        (true, _) => "imported",
        (false, true) => "would import",
        (false, false) => "did not import",
    };
    let mut text = format!("{verb} {}", screen::counted(taken.orders, "order"));
    if taken.refunds != 0 {
        text += &format!(" and {}", screen::counted(taken.refunds, "refund"));
    }
    text += &format!(", {} refused", screen::grouped(taken.refused.len() as u64));
    if taken.already_there != 0 {
        text += &format!(", {} already there", screen::grouped(taken.already_there));
    }
    text + &format!(" ({:.1} s)", started.elapsed().as_secs_f64())
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
