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
//! gets them in batches that are durable one by one (`order_sinks.rs`).

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Map, Value, json};

use super::{
    columns::Column,
    command::{each_batch, file_failure},
    layout::{Layout, parse_delimiter},
    lines::{LineFault, NextRow},
    meter::Meter,
    order_lines::OrderLines,
    order_sinks::{IntoNetwork, Sink, ToServer, Trouble},
    orders_taken::{Reason, Taken},
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
    http::offline,
    time_text::{self, TimeForm},
};

/// Columns of every file, and whether they are required. Volumes follow.
const COLUMNS: [Column; 9] = [
    ("order_id", true),
    ("user_id", true),
    ("amount", true),
    ("customer", false),
    ("time", false),
    ("kind", false),
    ("tags", false),
    ("group", false),
    ("market", false),
];
/// Where the columns are.
const ORDER_ID: usize = 0;
const USER_ID: usize = 1;
const AMOUNT: usize = 2;
/// From here to the volumes: what is said of the whole order.
const CUSTOMER: usize = 3;
const TIME: usize = 4;
const TAGS: usize = 6;

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
        intake.volumes = volumes?;
        if !lines.ignored.is_empty() {
            let ignored = lines.ignored.join(", ");
            screen::tell(&format!("{}: columns not read: {}", path.display(), visible(&ignored)));
        }
    }
    take_lines(lines, &layout, intake)?.hash = meter.finish();
    Ok(())
}

fn take_lines<'t, S: Sink>(
    lines: OrderLines,
    layout: &Layout,
    mut intake: Intake<'t, S>,
) -> Result<&'t mut Taken, Failure> {
    match lines {
        OrderLines::Json(mut lines) => {
            while let Some((line, text)) = lines.next().map_err(file_failure)? {
                intake.take_json(line, text)?;
            }
        }
        OrderLines::Rows(mut lines) => {
            let cells = layout.wanted().count();
            let mut result = Ok(());
            each_batch(
                &mut lines,
                |rows| rows.map(|row| OrderRow::of(row, cells)).collect::<Vec<_>>(),
                |rows| {
                    result = rows.into_iter().try_for_each(|row| intake.take_row(row));
                    if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                },
            )?;
            result?;
        }
    }
    intake.finish()
}

fn columns_of(volumes: &[String]) -> Layout {
    Layout::with_more(&COLUMNS, volumes.iter().cloned())
}

/// A row of a CSV file: its cells, or why it cannot be read.
struct OrderRow {
    line: u64,
    cells: Result<Vec<String>, LineFault>,
}

impl OrderRow {
    fn of(row: NextRow<'_>, cells: usize) -> Self {
        match row {
            Ok(row) => {
                let all = (0..cells).map(|cell| row.cell(cell).to_owned()).collect();
                Self { line: row.line, cells: Ok(all) }
            }
            Err((line, fault)) => Self { line, cells: Err(fault) },
        }
    }
}

/// The rows of one order.
struct Group {
    line: u64,
    rows: Vec<Vec<String>>,
    fault: Option<Reason>,
}

struct Intake<'t, S> {
    sink: S,
    /// The volumes that have a column of their own.
    volumes: Vec<String>,
    time_form: Option<&'t TimeForm>,
    /// The order whose rows are being read.
    open: Option<Group>,
    /// The line of an unreadable row that may belong to the next order.
    unreadable: Option<u64>,
    /// Orders of an export: they are held until all are read.
    exported: Vec<Exported>,
    taken: &'t mut Taken,
}

/// An order of an export.
struct Exported {
    /// The command that placed it in its network.
    lsn: u64,
    line: u64,
    text: Box<[u8]>,
}

impl<'t, S: Sink> Intake<'t, S> {
    fn new(sink: S, time_form: Option<&'t TimeForm>, taken: &'t mut Taken) -> Self {
        Self {
            sink,
            volumes: Vec::new(),
            time_form,
            open: None,
            unreadable: None,
            exported: Vec::new(),
            taken,
        }
    }

    fn take_json(&mut self, line: u64, text: Result<&[u8], LineFault>) -> Result<(), Failure> {
        match text {
            Ok(text) => match offline::lsn_of_exported(text) {
                Some(lsn) => {
                    self.exported.push(Exported { lsn, line, text: text.into() });
                    Ok(())
                }
                None => self.sink.place(line, text, self.taken),
            },
            Err(fault) => {
                self.taken.refuse(line, String::new(), Reason::of_line(&fault));
                Ok(())
            }
        }
    }

    fn take_row(&mut self, OrderRow { line, cells }: OrderRow) -> Result<(), Failure> {
        let cells = match cells {
            Ok(cells) => cells,
            Err(fault) => {
                if let Some(open) = &mut self.open {
                    open.fault.get_or_insert_with(|| near_unreadable(line));
                }
                self.unreadable = Some(line);
                self.taken.refuse(line, String::new(), Reason::of_line(&fault));
                return Ok(());
            }
        };
        let unreadable = self.unreadable.take();
        if let Some(open) = self.open.as_mut().filter(|open| open.rows[0][ORDER_ID] == cells[ORDER_ID]) {
            open.rows.push(cells);
            return Ok(());
        }
        self.close()?;
        self.open = Some(Group { line, rows: vec![cells], fault: unreadable.map(near_unreadable) });
        Ok(())
    }

    /// Takes or refuses the order whose rows were read.
    fn close(&mut self) -> Result<(), Failure> {
        let Some(Group { line, rows, fault }) = self.open.take() else { return Ok(()) };
        let object = match fault {
            Some(fault) => Err(Trouble::Refused(fault)),
            None => self.object_of(&rows),
        };
        match object {
            Ok(object) => self.sink.place(line, object.to_string().as_bytes(), self.taken),
            Err(Trouble::Refused(reason)) => {
                self.taken.refuse(line, rows[0][ORDER_ID].clone(), reason);
                Ok(())
            }
            Err(Trouble::Failed(failure)) => Err(failure),
        }
    }

    /// The object that rows stand for.
    fn object_of(&mut self, rows: &[Vec<String>]) -> Result<Value, Trouble> {
        let (first, others) = (&rows[0], &rows[1..]);
        for (at, (name, _)) in COLUMNS.iter().enumerate().filter(|(at, _)| *at != AMOUNT) {
            if others.iter().any(|row| !row[at].is_empty() && row[at] != first[at]) {
                let words = format!("its rows differ in {name}, which is of the whole order");
                return Err(Reason::new("rows_differ", words).into());
            }
        }
        let mut object = Map::new();
        object.insert("order_id".into(), first[ORDER_ID].as_str().into());
        object.insert("user_id".into(), self.sink.member(&first[USER_ID])?.into());
        for (at, (name, _)) in COLUMNS.iter().enumerate().skip(CUSTOMER) {
            let cell = first[at].as_str();
            if cell.is_empty() {
                continue;
            }
            let value = match at {
                TIME => self.time(cell)?.into(),
                TAGS => cell.split_whitespace().collect::<Vec<_>>().into(),
                _ => cell.into(),
            };
            object.insert((*name).into(), value);
        }
        let line = |row: &Vec<String>| {
            let named = self.volumes.iter().zip(&row[COLUMNS.len()..]).filter(|(_, cell)| !cell.is_empty());
            let named: Map<String, Value> =
                named.map(|(volume, cell)| (volume.clone(), cell.as_str().into())).collect();
            json!({"amount": row[AMOUNT], "volumes": named})
        };
        object.insert("lines".into(), rows.iter().map(line).collect());
        Ok(object.into())
    }

    fn time(&self, cell: &str) -> Result<String, Reason> {
        let read = self.time_form.map_or_else(|| time_text::lenient(cell), |form| form.read(cell));
        let bad = |fault| Reason::new("bad_time", format!("time: `{}` is {fault}", visible(cell)));
        read.map(time_text::print).map_err(bad)
    }

    /// Takes the orders of an export in the order in which they were placed, whatever that of the file is.
    fn take_exported(&mut self) -> Result<(), Failure> {
        self.exported.sort_by_key(|exported| exported.lsn);
        let exported = std::mem::take(&mut self.exported);
        exported
            .into_iter()
            .try_for_each(|Exported { line, text, .. }| self.sink.carry(line, &text, self.taken))
    }

    fn finish(mut self) -> Result<&'t mut Taken, Failure> {
        self.close()?;
        self.take_exported()?;
        self.sink.finish(self.taken)?;
        self.taken.refused.sort_by_key(|refused| refused.line);
        Ok(self.taken)
    }
}

fn near_unreadable(line: u64) -> Reason {
    Reason::new("near_bad_row", format!("the row on line {line} may belong to it, and cannot be read"))
}

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
#[path = "orders_fuzzing.rs"]
pub(crate) mod fuzzing;
#[cfg(test)]
#[path = "orders_test.rs"]
mod tests;
