//! `upline orders import`: orders from CSV or NDJSON files.
//!
//! CSV has a header line with at least `order_id,user_id,amount`; also `customer`, `time`, `kind`, `tags`
//! (separated by blanks), `group`, `market`, and a column for each volume of the plan. Each row is a line of
//! an order. Rows with one order id stand one behind the other; what they say of the order itself stands in
//! the first one, and in the others again or not at all. A member is named as in member files: by UUID, name
//! or referral code. NDJSON has on each line an object as `POST /v1/orders` takes it.
//!
//! An order is taken whole or refused whole, with the line on which it begins. A row that cannot be read may
//! belong to the order before it and to the one behind it: both are refused. Orders that are there already
//! with the same content are not errors, so the same file may be imported again.

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
    visible::visible,
};
use crate::{
    cli::{
        DataDirArgs,
        clock::ClockRule,
        exit::{Exit, Failure},
        interrupt::Interrupt,
        log_options,
        names::{Ambiguous, Name},
        network::Network,
        open_periods, problem, screen,
        target::Target,
    },
    core::{
        command::{Command, PlaceOrder, Rejection},
        plan::Plan,
        state::Verdict,
    },
    http::{Problem, offline},
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

/// Takes orders from a CSV or NDJSON file into a data directory.
#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Args {
    /// File of orders, CSV or NDJSON, plain or gzip; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    data_dir: DataDirArgs,
    /// Try everything and write nothing
    #[arg(long)]
    dry_run: bool,
    /// All or nothing: import nothing if any order is refused, and leave nothing if it is cut short
    #[arg(long)]
    strict: bool,
    /// Import although the clock is behind the log's last time by more than clock_jump_max: what is written
    /// gets that time
    #[arg(long)]
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

/// Why an order was refused: a stable name, and words.
struct Reason {
    name: String,
    words: String,
}

impl Reason {
    fn new(name: &str, words: impl Into<String>) -> Self {
        Self { name: name.into(), words: words.into() }
    }

    fn of(problem: impl Into<Problem>) -> Self {
        let problem: Problem = problem.into();
        let (name, status) = (problem.code().name().to_owned(), problem.code().status().as_u16());
        let object = problem.to_json();
        let field = object["field"].as_str().map(|field| format!("{field}: ")).unwrap_or_default();
        Self { name, words: format!("{field}{}", problem::in_words(status, Some(&object))) }
    }

    fn of_line(fault: &LineFault) -> Self {
        Self::new("bad_row", fault.to_string())
    }
}

/// A refused order.
struct Refused {
    line: u64,
    order: String,
    reason: Reason,
}

#[derive(Default)]
struct Taken {
    orders: u64,
    already_there: u64,
    refused: Vec<Refused>,
    hash: String,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let interrupt = Interrupt::listen()?;
    let (mut target, taken) = interrupt.interruptible("nothing was imported", || try_everything(args))?;
    let refused = taken.refused.len() as u64;
    let spoilt = refused != 0 && (args.strict || taken.orders + taken.already_there == 0);
    let writes = !args.dry_run && !spoilt;
    if writes {
        target.commit(args.strict)?;
    }
    screen::say_result(args.json, &summary(args, &taken, &target.network, writes, started), || {
        in_words(args, &taken, writes, started)
    })?;
    if refused == 0 {
        return Ok(());
    }
    let orders = screen::counted(refused, "order");
    let verb = if refused == 1 { "was" } else { "were" };
    Err(if spoilt {
        let why = if args.strict { " (--strict)" } else { ": not one can be taken" };
        Failure::new(Exit::RowsRefused, format!("{orders} {verb} refused, so nothing was imported{why}"))
    } else {
        let all = if writes { "all others are in the network" } else { "all others would be imported" };
        Failure::new(Exit::RowsLeftOut, format!("{orders} {verb} refused; {all}"))
    })
}

/// Reads the file into the network in memory, reports what is refused, and writes nothing.
fn try_everything(args: &Args) -> Result<(Target, Taken), Failure> {
    let config = args.data_dir.resolve([].into())?;
    let clock = ClockRule::of(&config, args.accept_clock);
    let mut target = Target::existing(config.data_dir.clone(), log_options(&config), clock)?;
    let network = &mut target.network;
    if !network.state.plan().commerce.takes_orders() {
        return Err(problem::refused(Rejection::OrdersNotTaken));
    }
    open_periods::keep(network)?;
    let layout = layout_of(args, network.state.plan())?;
    let taken = take_file(&args.file, &layout, args.time_format.as_ref(), network)?;
    for Refused { line, order, reason } in &taken.refused {
        let order = if order.is_empty() { String::new() } else { format!("{}: ", visible(order)) };
        screen::tell(&format!("{}: line {line}: {order}{}", args.file.display(), reason.words));
    }
    Ok((target, taken))
}

fn take_file(
    path: &Path,
    layout: &Layout,
    time_form: Option<&TimeForm>,
    network: &mut Network,
) -> Result<Taken, Failure> {
    let meter = Meter::new(path, "orders");
    let mut intake = Intake::new(network, time_form);
    match OrderLines::open(&meter, layout).map_err(file_failure)? {
        OrderLines::Json(mut lines) => {
            while let Some((line, text)) = lines.next().map_err(file_failure)? {
                intake.take_json(line, text);
            }
        }
        OrderLines::Rows(mut lines) => {
            if !lines.ignored.is_empty() {
                let ignored = lines.ignored.join(", ");
                screen::tell(&format!("{}: columns not read: {}", path.display(), visible(&ignored)));
            }
            let cells = layout.wanted().count();
            each_batch(
                &mut lines,
                |rows| rows.map(|row| OrderRow::of(row, cells)).collect::<Vec<_>>(),
                |rows| {
                    rows.into_iter().for_each(|row| intake.take_row(row));
                    ControlFlow::Continue(())
                },
            )?;
        }
    }
    let mut taken = intake.finish();
    taken.hash = meter.finish();
    Ok(taken)
}

/// The layout of a CSV file: the columns of every file, and one for each volume that lines name.
fn layout_of(args: &Args, plan: &Plan) -> Result<Layout, Failure> {
    columns_of(plan)
        .given(args.delimiter, "--columns", &args.columns)
        .map_err(|reason| Failure::new(Exit::Usage, reason))
}

fn columns_of(plan: &Plan) -> Layout {
    Layout::with_more(&COLUMNS, plan.commerce.volumes.iter().map(|volume| volume.name.to_string()))
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

struct Intake<'n> {
    network: &'n mut Network,
    time_form: Option<&'n TimeForm>,
    /// Orders that were there before.
    base: u32,
    /// The order whose rows are being read.
    open: Option<Group>,
    /// The line of an unreadable row that may belong to the next order.
    unreadable: Option<u64>,
    taken: Taken,
}

impl<'n> Intake<'n> {
    fn new(network: &'n mut Network, time_form: Option<&'n TimeForm>) -> Self {
        let base = network.state.orders_len();
        Self { network, time_form, base, open: None, unreadable: None, taken: Taken::default() }
    }

    fn take_json(&mut self, line: u64, text: Result<&[u8], LineFault>) {
        let text = match text {
            Ok(text) => text,
            Err(fault) => return self.refuse(line, String::new(), Reason::of_line(&fault)),
        };
        let id = || {
            let object = serde_json::from_slice::<Value>(text).unwrap_or_default();
            object["order_id"].as_str().unwrap_or_default().to_owned()
        };
        if let Err(reason) = self.place(text) {
            let id = id();
            self.refuse(line, id, reason);
        }
    }

    fn take_row(&mut self, OrderRow { line, cells }: OrderRow) {
        let cells = match cells {
            Ok(cells) => cells,
            Err(fault) => {
                if let Some(open) = &mut self.open {
                    open.fault.get_or_insert_with(|| near_unreadable(line));
                }
                self.unreadable = Some(line);
                return self.refuse(line, String::new(), Reason::of_line(&fault));
            }
        };
        let unreadable = self.unreadable.take();
        if let Some(open) = self.open.as_mut().filter(|open| open.rows[0][ORDER_ID] == cells[ORDER_ID]) {
            open.rows.push(cells);
            return;
        }
        self.close();
        self.open = Some(Group { line, rows: vec![cells], fault: unreadable.map(near_unreadable) });
    }

    /// Takes or refuses the order whose rows were read.
    fn close(&mut self) {
        let Some(Group { line, rows, fault }) = self.open.take() else { return };
        let result = match fault {
            Some(fault) => Err(fault),
            None => self.object_of(&rows).and_then(|object| self.place(object.to_string().as_bytes())),
        };
        if let Err(reason) = result {
            self.refuse(line, rows[0][ORDER_ID].clone(), reason);
        }
    }

    fn refuse(&mut self, line: u64, order: String, reason: Reason) {
        self.taken.refused.push(Refused { line, order, reason });
    }

    /// The object that rows stand for.
    fn object_of(&self, rows: &[Vec<String>]) -> Result<Value, Reason> {
        let (first, others) = (&rows[0], &rows[1..]);
        for (at, (name, _)) in COLUMNS.iter().enumerate().filter(|(at, _)| *at != AMOUNT) {
            if others.iter().any(|row| !row[at].is_empty() && row[at] != first[at]) {
                let words = format!("its rows differ in {name}, which is of the whole order");
                return Err(Reason::new("rows_differ", words));
            }
        }
        let mut object = Map::new();
        object.insert("order_id".into(), first[ORDER_ID].as_str().into());
        object.insert("user_id".into(), self.member(&first[USER_ID])?.into());
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
        let volumes = &self.network.state.plan().commerce.volumes;
        let line = |row: &Vec<String>| {
            let named = volumes.iter().zip(&row[COLUMNS.len()..]).filter(|(_, cell)| !cell.is_empty());
            let named: Map<String, Value> =
                named.map(|(volume, cell)| (volume.name.to_string(), cell.as_str().into())).collect();
            json!({"amount": row[AMOUNT], "volumes": named})
        };
        object.insert("lines".into(), rows.iter().map(line).collect());
        Ok(object.into())
    }

    /// The id of the member that a cell names.
    fn member(&self, cell: &str) -> Result<String, Reason> {
        let Network { state, directory, .. } = &*self.network;
        let unknown = || Reason::new("unknown_member", format!("member {} is not known", visible(cell)));
        let name = Name::parse(cell).map_err(|_| unknown())?;
        let found = match name.named(state, directory) {
            Some(member) => Some(member),
            None => name.by_code(state, directory).map_err(|Ambiguous| {
                let words = format!("{} is not known, and several referral codes are like it", visible(cell));
                Reason::new("code_ambiguous", words)
            })?,
        };
        found.map(|member| state.id(member).to_string()).ok_or_else(unknown)
    }

    fn time(&self, cell: &str) -> Result<String, Reason> {
        let read = self.time_form.map_or_else(|| time_text::lenient(cell), |form| form.read(cell));
        let bad = |fault| Reason::new("bad_time", format!("time: `{}` is {fault}", visible(cell)));
        read.map(time_text::print).map_err(bad)
    }

    /// Places an order, unless it is there.
    fn place(&mut self, body: &[u8]) -> Result<(), Reason> {
        let network = &mut *self.network;
        let order = offline::place_order(body, &network.state, &network.directory, network.time());
        let order: PlaceOrder = order.map_err(Reason::of)?;
        let there = network.state.order_number(&order.id);
        let command = Command::PlaceOrder(Box::new(order));
        let Some(there) = there else {
            network.apply(command).map_err(Reason::of)?;
            self.taken.orders += 1;
            return Ok(());
        };
        match network.state.check(&network.directory, None, &command) {
            Verdict::Reject(rejection) if self.base <= there => {
                let words = "an order of this id is in the file before: rows of an order stand together";
                Err(Reason::new(rejection.name(), words))
            }
            Verdict::Reject(rejection) => Err(Reason::of(rejection)),
            Verdict::Admit | Verdict::Repeat(_) => {
                self.taken.already_there += 1;
                Ok(())
            }
        }
    }

    fn finish(mut self) -> Taken {
        self.close();
        self.taken.refused.sort_by_key(|refused| refused.line);
        self.taken
    }
}

fn near_unreadable(line: u64) -> Reason {
    Reason::new("near_bad_row", format!("the row on line {line} may belong to it, and cannot be read"))
}

fn summary(args: &Args, taken: &Taken, network: &Network, writes: bool, started: Instant) -> Value {
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
        "orders_refused": taken.refused.len(),
        "refused_by_reason": reasons,
        "network_orders": network.state.orders_len(),
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
    text += &format!(", {} refused", screen::grouped(taken.refused.len() as u64));
    if taken.already_there != 0 {
        text += &format!(", {} already there", screen::grouped(taken.already_there));
    }
    text + &format!(" ({:.1} s)", started.elapsed().as_secs_f64())
}

#[cfg(test)]
#[path = "orders_test.rs"]
mod tests;
