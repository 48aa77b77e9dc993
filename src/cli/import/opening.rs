//! `upline opening import`: what members bring from before the first period, from CSV or NDJSON files.
//!
//! CSV has a header line with at least `kind,member`; also `name`, `text`, `calendar`, `position`, `since`
//! and `value`. NDJSON has on each line an object with these fields. `docs/opening.md` says what rows of each
//! kind have. Rows may stand in any order, in several files: they are sorted, and so is what the digest
//! covers.
//!
//! All or nothing: if a row is refused, or a total is not as expected, nothing is imported. If all rows are
//! there already, nothing is to do.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};

use super::{
    columns::Column,
    command::{each_batch, file_failure},
    expected::{self, Compared, Expected},
    layout::{Layout, parse_delimiter},
    lines::{LineFault, NextRow, Row},
    meter::Meter,
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
        os_user, problem, screen, tables,
        target::Target,
    },
    core::{
        OPENING_BATCH_MAX, OPENING_TEXT_BYTES_MAX, OpeningNeed, OpeningRow,
        command::{AddOpening, CloseOpening, Command, OpeningEntry, OpeningKind, OpeningText, Rejection},
        plan::Plan,
        types::{MemberId, MemberIx, Timestamp},
    },
    http::{Problem, offline},
    opening_text,
    time_text::{self, TimeForm},
};

/// Columns of a file, and whether they are required.
const COLUMNS: [Column; 8] = [
    ("kind", true),
    ("member", true),
    ("name", false),
    ("text", false),
    ("calendar", false),
    ("position", false),
    ("since", false),
    ("value", false),
];
const KIND: usize = 0;
const MEMBER: usize = 1;
const NAME: usize = 2;
const TEXT: usize = 3;
const CALENDAR: usize = 4;
const POSITION: usize = 5;
const SINCE: usize = 6;
const VALUE: usize = 7;

/// Refused rows that are printed one by one.
const REFUSED_SHOWN_MAX: usize = 1_000;

const TOTAL_COLUMNS: [(&str, &str); 7] = [
    ("kind", "kind"),
    ("name", "name"),
    ("text", "text"),
    ("calendar", "calendar"),
    ("position", "position"),
    ("rows", "rows"),
    ("sum", "sum"),
];

/// Takes the opening state of a network from CSV or NDJSON files into a data directory.
#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Args {
    /// Files of rows, CSV or NDJSON, plain or gzip; `-` is standard input. Together they are the whole
    /// opening state
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    data_dir: DataDirArgs,
    /// Check everything and write nothing
    #[arg(long)]
    check: bool,
    /// What there should be, CSV or NDJSON: kind, name, text, calendar, position, rows, sum; an empty cell
    /// covers all. Nothing is imported unless all of it is so
    #[arg(long, value_name = "FILE")]
    totals: Option<PathBuf>,
    /// What there should be of a kind, e.g. balance=1200:55310.20 or carry/binary/left=80:4100; several may
    /// be given
    #[arg(
        long, value_name = "KIND[/NAME[/TEXT|POSITION]]=ROWS[:SUM]", value_parser = expected::parse_argument
    )]
    total: Vec<Expected>,
    /// Import although the clock is behind the log's last time by more than clock_jump_max: what is written
    /// gets that time
    #[arg(long)]
    accept_clock: bool,
    /// What separates cells: comma, semicolon, tab, pipe, or an ASCII punctuation character other than
    /// "'-+._:@ [default: the one of , ; tab | with which the header has its columns]
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// What the header calls columns, e.g. member=ID,value=Amount
    #[arg(long, value_name = "COLUMN=NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// The form of all times in CSV, as strftime has it, e.g. %d/%m/%Y; without %z or %Q they are in UTC
    #[arg(long, value_name = "FORM", value_parser = TimeForm::new)]
    time_format: Option<TimeForm>,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

/// Why a row was refused: a stable name, and words.
struct Reason {
    name: String,
    words: String,
}

impl Reason {
    fn new(name: &str, words: impl Into<String>) -> Self {
        Self { name: name.into(), words: words.into() }
    }

    fn malformed(field: &str, why: &str) -> Self {
        Self::new(Rejection::OpeningMalformed.name(), format!("{field} {why}"))
    }

    fn of_rule(rejection: Rejection) -> Self {
        let problem = Problem::from(rejection);
        let status = problem.code().status().as_u16();
        Self::new(rejection.name(), problem::in_words(status, Some(&problem.to_json())))
    }
}

/// Where a row stands: the number of its file, and its line.
type Place = (usize, u64);

struct Refused {
    place: Place,
    reason: Reason,
}

/// A row as it was read; its member is still a name.
struct Read {
    line: u64,
    content: Result<(Name, OpeningEntry), Reason>,
}

#[derive(Default)]
struct Taken {
    /// Rows that were added.
    rows: u64,
    already_there: u64,
    refused: Vec<Refused>,
    hashes: Vec<String>,
    compared: Compared,
    /// Of all rows, unless one was refused.
    digest: Option<[u8; 32]>,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let interrupt = Interrupt::listen()?;
    let (mut target, taken) = interrupt.interruptible("nothing was imported", || try_everything(args))?;
    let is_good = taken.refused.is_empty() && taken.compared.agrees();
    let writes =
        is_good && !args.check && target.network.record.as_ref().is_some_and(|record| !record.is_empty());
    if writes {
        interrupt.carried_through("nothing was imported", || target.commit(true))?;
    }
    let object = summary(args, &taken, &target.network, writes, started);
    screen::say_result(args.json, &object, || in_words(args, &taken, &object, started))?;
    let refused = taken.refused.len() as u64;
    if refused != 0 {
        let verb = if refused == 1 { "was" } else { "were" };
        let rows = screen::counted(refused, "row");
        return Err(Failure::new(
            Exit::RowsRefused,
            format!("{rows} {verb} refused, so nothing was imported"),
        ));
    }
    if !is_good {
        let message = "the totals are not those that were expected, so nothing was imported";
        return Err(Failure::new(Exit::RowsRefused, message));
    }
    Ok(())
}

/// Reads the files into the network in memory, reports what is refused, and writes nothing.
fn try_everything(args: &Args) -> Result<(Target, Taken), Failure> {
    let layout = Layout::new(&COLUMNS)
        .given(args.delimiter, "--columns", &args.columns)
        .map_err(|reason| Failure::new(Exit::Usage, reason))?;
    let config = args.data_dir.resolve([].into())?;
    let clock = ClockRule::of(&config, args.accept_clock);
    let mut target = Target::existing(config.data_dir.clone(), log_options(&config), clock)?;
    let network = &mut target.network;
    let mut wanted = args.total.clone();
    if let Some(path) = &args.totals {
        wanted.extend(expected::read(path, network.state.plan())?);
    }
    let mut intake = Intake { network, rows: Vec::new(), taken: Taken::default() };
    for (number, path) in args.files.iter().enumerate() {
        intake.read(number, path, &layout, args.time_format.as_ref())?;
    }
    let mut taken = intake.finish()?;
    taken.refused.sort_by_key(|refused| refused.place);
    for Refused { place: (file, line), reason } in taken.refused.iter().take(REFUSED_SHOWN_MAX) {
        screen::tell(&format!("{}: line {line}: {}", args.files[*file].display(), reason.words));
    }
    if let Some(more) = taken.refused.len().checked_sub(REFUSED_SHOWN_MAX).filter(|more| *more != 0) {
        screen::tell(&format!("and {} more", screen::counted(more as u64, "row")));
    }
    if taken.refused.is_empty() {
        let state = &network.state;
        taken.compared = expected::compare(&wanted, &state.opening_totals(), state.plan());
        let digest = state.opening_digest();
        taken.digest = Some(digest);
        if taken.compared.agrees() {
            let (rows, by) = (state.opening_len().into(), os_user::actor());
            let is_closed = state.opening_close().is_some();
            let close = Command::CloseOpening(Box::new(CloseOpening { rows, digest, by }));
            if !is_closed {
                network.apply(close).map_err(problem::refused)?;
            }
        }
    }
    Ok((target, taken))
}

struct Intake<'n> {
    network: &'n mut Network,
    rows: Vec<(OpeningRow, Place)>,
    taken: Taken,
}

impl Intake<'_> {
    /// Reads a file, and finds the members of its rows.
    fn read(
        &mut self,
        number: usize,
        path: &Path,
        layout: &Layout,
        time_form: Option<&TimeForm>,
    ) -> Result<(), Failure> {
        let meter = Meter::new(path, "opening");
        let mut lines = meter.open(layout).map_err(file_failure)?;
        if !lines.ignored.is_empty() {
            let ignored = lines.ignored.join(", ");
            screen::tell(&format!("{}: columns not read: {}", path.display(), visible(&ignored)));
        }
        let reading =
            Reading { plan: (**self.network.state.plan()).clone(), time_form, now: self.network.time() };
        each_batch(
            &mut lines,
            |rows| rows.map(|row| reading.read(row)).collect::<Vec<_>>(),
            |rows| {
                for Read { line, content } in rows {
                    let place = (number, line);
                    let found = content.and_then(|(name, entry)| Ok((self.member(&name)?, entry)));
                    match found {
                        Ok((member, entry)) => self.rows.push((OpeningRow::new(member, &entry), place)),
                        Err(reason) => self.taken.refused.push(Refused { place, reason }),
                    }
                }
                ControlFlow::Continue(())
            },
        )?;
        drop(lines);
        self.taken.hashes.push(meter.finish());
        Ok(())
    }

    fn member(&self, name: &Name) -> Result<MemberIx, Reason> {
        let Network { state, directory, .. } = &*self.network;
        if let Some(member) = name.named(state, directory) {
            return Ok(member);
        }
        let found = name.by_code(state, directory).map_err(|Ambiguous| {
            let words = format!("{} is not known, and several referral codes are like it", name.shown());
            Reason::new("code_ambiguous", words)
        })?;
        found.ok_or_else(|| Reason::new("unknown_member", format!("member {} is not known", name.shown())))
    }

    /// Sorts the rows, and adds those that are not there, unless one is refused.
    ///
    /// # Errors
    /// The network cannot take any row, or has others.
    fn finish(mut self) -> Result<Taken, Failure> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|(one, at), (other, place)| one.key().cmp(&other.key()).then(at.cmp(place)));
        let repeats: Vec<bool> = rows.windows(2).map(|pair| pair[0].0.key() == pair[1].0.key()).collect();
        let mut new = Vec::new();
        for (at, (row, place)) in rows.iter().enumerate() {
            if at != 0 && repeats[at - 1] {
                let (first, (_, line)) = &rows[at - 1];
                let same = if first == row { "the same" } else { "something else of the same" };
                let words = format!("line {line} says {same}: a row is there once");
                self.refuse(*place, Reason::new("row_twice", words));
                continue;
            }
            match self.network.state.opening_position(row) {
                None => new.push((row, *place)),
                Some(there) if self.network.state.opening_row(there) == *row => self.taken.already_there += 1,
                Some(_) => {
                    let words = "the opening state says something else of the same";
                    self.refuse(*place, Reason::new("row_differs", words));
                }
            }
        }
        self.judge_whole(new.len() as u64)?;
        if self.taken.refused.is_empty() {
            self.add(&new);
        }
        Ok(self.taken)
    }

    fn refuse(&mut self, place: Place, reason: Reason) {
        self.taken.refused.push(Refused { place, reason });
    }

    /// Whether new rows can be added at all, and the rows that are there are among those of the files.
    fn judge_whole(&self, new: u64) -> Result<(), Failure> {
        let state = &self.network.state;
        let refused = !self.taken.refused.is_empty();
        let lacking = u64::from(state.opening_len()).saturating_sub(self.taken.already_there);
        if new == 0 && self.taken.already_there == 0 && !refused {
            return Err(Failure::new(Exit::RowsRefused, "the files have no rows, so nothing was imported"));
        }
        if new != 0 || state.opening_close().is_none() {
            state.judge_opening().map_err(problem::refused)?;
        }
        if lacking != 0 && !refused {
            let rows = screen::counted(lacking, "row");
            let message = format!(
                "the opening state has {rows} that the files lack: together they must have all of it, so \
                 nothing was imported"
            );
            return Err(Failure::new(Exit::RowsRefused, message));
        }
        Ok(())
    }

    /// Adds rows in batches. Of a batch that a rule refuses, the row that it refuses is found.
    fn add(&mut self, new: &[(&OpeningRow, Place)]) {
        let bar = screen::progress("rows", Some(new.len() as u64), false);
        for batch in new.chunks(OPENING_BATCH_MAX) {
            if let Err(rejection) = self.add_batch(batch) {
                let at = batch.iter().position(|row| self.add_batch(std::slice::from_ref(row)).is_err());
                let place = batch[at.unwrap_or(0)].1;
                self.refuse(place, Reason::of_rule(rejection));
                break;
            }
            self.taken.rows += batch.len() as u64;
            bar.inc(batch.len() as u64);
        }
        bar.finish_and_clear();
    }

    fn add_batch(&mut self, batch: &[(&OpeningRow, Place)]) -> Result<(), Rejection> {
        let state = &self.network.state;
        let entry = |(row, _): &(&OpeningRow, Place)| {
            let text = |text: &str| OpeningText::parse(text).expect("it was one");
            OpeningEntry {
                member: state.id(MemberIx(row.member)),
                kind: row.kind(),
                name: text(&row.name),
                text: text(&row.text),
                calendar: row.calendar(),
                position: row.position,
                since: row.since(),
                value: row.value,
                decimals: row.decimals,
            }
        };
        let rows = batch.iter().map(entry).collect();
        self.network.apply(Command::AddOpening(Box::new(AddOpening { rows }))).map(drop)
    }
}

/// How rows are read.
struct Reading<'a> {
    plan: Plan,
    time_form: Option<&'a TimeForm>,
    now: Timestamp,
}

impl Reading<'_> {
    fn read(&self, row: NextRow<'_>) -> Read {
        match row {
            Ok(row) => Read { line: row.line, content: self.content(&row) },
            Err((line, fault)) => Read { line, content: Err(of_line(&fault)) },
        }
    }

    fn content(&self, row: &Row<'_>) -> Result<(Name, OpeningEntry), Reason> {
        let cell = |column: usize| row.cell(column);
        let kind: OpeningKind = cell(KIND).parse().map_err(|_| {
            let kinds = OpeningKind::ALL.map(OpeningKind::name).join(", ");
            Reason::malformed("kind", &format!("`{}` is none of {kinds}", visible(cell(KIND))))
        })?;
        let member = cell(MEMBER);
        let name = Name::parse(member)
            .map_err(|_| Reason::new("unknown_member", format!("member {} is not known", visible(member))))?;
        let text = |column: usize| {
            OpeningText::parse(cell(column)).ok_or_else(|| {
                let why = format!("has more than {OPENING_TEXT_BYTES_MAX} bytes, or is not printable");
                Reason::malformed(COLUMNS[column].0, &why)
            })
        };
        let shape = kind.shape();
        let (value, decimals) = opening_text::parse_value(shape.value, cell(VALUE))
            .map_err(|why| Reason::malformed("value", &value_in_words(cell(VALUE), &why)))?;
        let entry = OpeningEntry {
            member: MemberId([0; 16]),
            kind,
            name: text(NAME)?,
            text: text(TEXT)?,
            calendar: self.calendar(cell(CALENDAR), shape.calendar)?,
            position: position(cell(POSITION), kind)?,
            since: self.since(cell(SINCE))?,
            value,
            decimals,
        };
        match entry.fault(self.plan.currency.exponent) {
            Some((field, why)) => Err(Reason::malformed(field, &why)),
            None => Ok((name, entry)),
        }
    }

    /// The position of a calendar. A plan's only one need not be named.
    fn calendar(&self, cell: &str, need: OpeningNeed) -> Result<Option<u8>, Reason> {
        let calendars = &self.plan.commerce.calendars;
        if cell.is_empty() {
            return Ok((need == OpeningNeed::Must && calendars.len() == 1).then_some(0));
        }
        let found = self.plan.commerce.calendar(cell).and_then(|at| u8::try_from(at).ok());
        let unknown = || {
            let words = format!("the plan has no calendar {}", visible(cell));
            Reason::new(Rejection::CalendarUnknown.name(), words)
        };
        found.map(Some).ok_or_else(unknown)
    }

    fn since(&self, cell: &str) -> Result<Option<Timestamp>, Reason> {
        if cell.is_empty() {
            return Ok(None);
        }
        let read = self.time_form.map_or_else(|| time_text::lenient(cell), |form| form.read(cell));
        let since =
            read.map_err(|fault| Reason::malformed("since", &format!("`{}` is {fault}", visible(cell))))?;
        if self.now < since {
            return Err(Reason::malformed("since", &format!("`{}` is yet to come", visible(cell))));
        }
        Ok(Some(since))
    }
}

fn value_in_words(cell: &str, why: &str) -> String {
    if cell.is_empty() { "is missing".into() } else { format!("`{}` {why}", visible(cell)) }
}

fn position(cell: &str, kind: OpeningKind) -> Result<u32, Reason> {
    let missing = || Reason::malformed("position", "is missing: it says which leg, such as left or 0");
    match cell {
        "" if kind == OpeningKind::Carry => Err(missing()),
        "" => Ok(0),
        _ => opening_text::parse_position(kind, cell)
            .ok_or_else(|| Reason::malformed("position", &format!("`{}` is not a number", visible(cell)))),
    }
}

fn of_line(fault: &LineFault) -> Reason {
    Reason::new("bad_row", fault.to_string())
}

// --- results

fn summary(args: &Args, taken: &Taken, network: &Network, writes: bool, started: Instant) -> Value {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for refused in &taken.refused {
        *reasons.entry(&refused.reason.name).or_default() += 1;
    }
    let shown = offline::opening(&network.state);
    json!({
        "command": "opening import",
        "check": args.check,
        "imported": writes,
        "rows": taken.rows,
        "rows_already_there": taken.already_there,
        "rows_refused": taken.refused.len(),
        "refused_by_reason": reasons,
        "totals": if taken.refused.is_empty() { shown["totals"].clone() } else { Value::Null },
        "differences": taken.compared.differences,
        "totals_not_compared": taken.compared.left,
        "digest": taken.digest.map(|digest| blake3::Hash::from_bytes(digest).to_hex().to_string()),
        "source_blake3": taken.hashes,
        "seconds": started.elapsed().as_secs_f64(),
    })
}

fn in_words(args: &Args, taken: &Taken, object: &Value, started: Instant) -> String {
    let mut text = String::new();
    if let Value::Array(totals) = &object["totals"] {
        text += &tables::of_objects(&TOTAL_COLUMNS, totals);
        text += "\n\n";
    }
    if !taken.compared.agrees() {
        text += &format!("not as expected:\n{}\n\n", expected::table(&taken.compared));
    } else if taken.compared.left != 0 && taken.compared.wanted != 0 {
        text += &format!("{} not compared\n", screen::counted(taken.compared.left, "total"));
    }
    let is_good = taken.refused.is_empty() && taken.compared.agrees();
    let verb = match (is_good, args.check, taken.rows) {
        (true, false, 0) => "nothing to import",
        (true, false, _) => "imported",
        (true, true, _) => "would import",
        (false, ..) => "did not import",
    };
    let rows = if is_good && taken.rows == 0 && !args.check {
        String::new()
    } else {
        format!(" {}", screen::counted(taken.rows, "row"))
    };
    text += &format!("{verb}{rows}");
    if taken.already_there != 0 {
        text += &format!(", {} already there", screen::grouped(taken.already_there));
    }
    text += &format!(" ({:.1} s)", started.elapsed().as_secs_f64());
    if let Some(digest) = object["digest"].as_str() {
        text += &format!("\ndigest {digest}");
    }
    text
}

#[cfg(test)]
#[path = "opening_test.rs"]
mod tests;
