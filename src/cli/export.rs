//! `upline export`: the members in join order, and the ledger in its order, as CSV or NDJSON.
//!
//! The output can be imported again, with the same network digest. `level`, `direct` and `downline` are those
//! of the placement tree, `level` is 1 for a root; times are ISO 8601 in UTC to the microsecond; `rank` is
//! the name of the rank in force, empty for none.
//!
//! Further columns appear only if some value differs from what an import without them would give: `id`, the
//! UUID that the row had in another system (of members and of bonuses); `lifetime_rank`, the number of the
//! highest rank ever where that is above the one in force; `turn`, the slot of the next round-robin spillover
//! where that is not the first; `paid_once`, the names of the triggers that were paid with `once`, separated
//! by blanks. Bonuses also have `reference`, the external reference of their origin; `number`, on those that
//! another reverses; and `reverses`, on that one, the `number` of the one that it reverses.
//!
//! # Spreadsheets
//!
//! A spreadsheet evaluates cells that begin with `=`, `+`, `-` or `@`. Codes, rank names and bonus kinds are
//! user input, so in CSV such a cell is prefixed with an apostrophe, which `import` strips again. So is a
//! cell that already begins with apostrophes before such a character. NDJSON is exact.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    DataDirArgs,
    exit::{Exit, Failure},
    files::{self, Named},
    interrupt::Interrupt,
    screen,
    spreadsheet::mark_of,
};
use crate::{
    amount,
    core::{
        RowKind,
        state::State,
        types::{MemberIx, Tree},
    },
    durability::storage::Disk,
    engine::{self, Loaded},
    private_file, time_text,
};

/// Rows between two updates of progress and checks for interruption.
const LOOK_EVERY_ROWS: u64 = 1_024;

/// The message for an interrupted export.
const INCOMPLETE: &str = "the export is not complete";

const MEMBER_COLUMNS: [&str; 12] = [
    "member",
    "sponsor",
    "parent",
    "slot",
    "level",
    "joined_at",
    "direct",
    "downline",
    "rank",
    "code",
    "status",
    "role",
];

/// Columns of bonuses that appear only if some value is not empty.
struct Links {
    ids: bool,
    references: bool,
    reversals: bool,
}

impl Links {
    fn of(state: &State) -> Self {
        Self {
            ids: has_ids(state, RowKind::Entry, state.entries()),
            references: state.reference_count() != 0,
            reversals: state.reversal_count() != 0,
        }
    }

    fn columns(&self) -> impl Iterator<Item = &'static str> {
        let columns = [
            (self.ids, "id"),
            (self.references, "reference"),
            (self.reversals, "number"),
            (self.reversals, "reverses"),
        ];
        columns.into_iter().filter(|(is_there, _)| *is_there).map(|(_, column)| column)
    }

    fn cells(&self, state: &State, entry: u64) -> impl Iterator<Item = Cell> {
        let id = self.ids.then(|| id_cell(state, RowKind::Entry, entry));
        let reference = self
            .references
            .then(|| state.reference_of(entry).map_or(Cell::Empty, |text| Cell::Text(text.as_str().into())));
        let numbered = |entry: Option<u64>| entry.map_or(Cell::Empty, Cell::Number);
        let number = self.reversals.then(|| numbered(state.reversal_of(entry).map(|_| entry)));
        let reverses = self.reversals.then(|| numbered(state.reverses(entry)));
        [id, reference, number, reverses].into_iter().flatten()
    }
}

const BONUS_COLUMNS: [&str; 7] = ["receiver", "source", "level", "amount", "kind", "status", "created_at"];

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    Csv,
    Ndjson,
}

/// Writes members and bonuses for `import`, spreadsheets and programs.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArgs,
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// Write the members there instead of to standard output (`-`); files appear when all are complete
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the ledger there; `-` is standard output
    #[arg(long, value_name = "FILE")]
    bonuses: Option<PathBuf>,
    /// One JSON object on the last line of standard output
    #[arg(long, requires = "output")]
    json: bool,
}

/// Where rows go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output<'a> {
    Standard,
    File(&'a Path),
}

impl<'a> Output<'a> {
    /// `-` is standard output, here as in all programs.
    fn named(path: &'a Path) -> Self {
        if path.as_os_str() == "-" { Output::Standard } else { Output::File(path) }
    }

    fn file(self) -> Option<&'a Path> {
        match self {
            Output::Standard => None,
            Output::File(path) => Some(path),
        }
    }
}

impl Args {
    fn members(&self) -> Output<'_> {
        self.output.as_deref().map_or(Output::Standard, Output::named)
    }

    fn ledger(&self) -> Option<Output<'_>> {
        self.bonuses.as_deref().map(Output::named)
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let loaded = interrupt.interruptible(INCOMPLETE, || load(args))?;
    let state = &loaded.state;
    let members = |out: &mut dyn Write| write_members(state, args.format, out, &interrupt);
    let bonuses = |out: &mut dyn Write| write_bonuses(state, args.format, out, &interrupt);
    let both: [(Option<Output<'_>>, &RowWriter<'_>); 2] =
        [(Some(args.members()), &members), (args.ledger(), &bonuses)];
    // Files appear when everything is written, so that no two are of different exports.
    let (mut replaced, mut direct) = (Vec::new(), Vec::new());
    for (out, rows) in both {
        match out {
            Some(Output::File(path)) if is_replaced(path) => replaced.push((path, rows)),
            Some(out) => direct.push((out, rows)),
            None => {}
        }
    }
    for (out, rows) in direct {
        interrupt.interruptible(INCOMPLETE, || write_directly(out, rows)).or_else(|failure| {
            // A reader that has read enough is no failure.
            if failure.exit == Exit::Ok { Ok(()) } else { Err(failure) }
        })?;
    }
    let complete: Result<Vec<Aside>, Failure> =
        replaced.into_iter().map(|(path, rows)| Aside::write(path, rows)).collect();
    publish(complete?)?;
    if args.json {
        let bonuses = args.bonuses.is_some().then(|| state.entries());
        let digest = crate::core::network_digest(state).to_string();
        let object = json!({
            "command": "export", "members": state.len(), "bonuses": bonuses, "lsn": state.lsn(),
            "network_digest": digest,
        });
        screen::say(&object.to_string())?;
    }
    Ok(())
}

/// Writes the rows of one output.
type RowWriter<'a> = dyn Fn(&mut dyn Write) -> Result<(), Stop> + 'a;

/// Loads the network, after checking that its files can be written.
fn load(args: &Args) -> Result<Loaded, Failure> {
    let config = args.data_dir.resolve([].into())?;
    check_files(args, &config.data_dir)?;
    let mut loading = screen::Loading::new();
    let loaded = engine::load(&Disk::shared(), &config.data_dir, &mut |progress| loading.show(progress))?;
    loading.finish();
    Ok(loaded)
}

/// Refuses files of which one would overwrite the other, or the input.
fn check_files(args: &Args, data_dir: &Path) -> Result<(), Failure> {
    let outputs = [("--output", Some(args.members())), ("--bonuses", args.ledger())];
    let standard = outputs.iter().filter(|(_, output)| *output == Some(Output::Standard)).count();
    if 1 < standard + usize::from(args.json) {
        let what = if args.json { "rows and --json" } else { "members and bonuses" };
        let message = format!("{what} would both go to standard output: one of them needs a file");
        return Err(Failure::new(Exit::Usage, message));
    }
    let written: Vec<Named<'_>> = outputs
        .iter()
        .filter_map(|(how, output)| Some(Named { how, path: output.as_ref()?.file()? }))
        .collect();
    // Each also has a temporary name while incomplete.
    let unfinished: Vec<(String, PathBuf)> = written
        .iter()
        .filter(|file| is_replaced(file.path))
        .map(|file| (format!("the unfinished file of {}", file.how), unfinished(&resolved(file.path))))
        .collect();
    let config_file = args.data_dir.config_file();
    let config_file = config_file.iter().map(|path| Named { how: "the configuration file", path });
    let unfinished = unfinished.iter().map(|(how, path)| Named { how, path });
    written.iter().try_for_each(|file| files::refuse_inside(file, data_dir))?;
    if standard != 0 {
        written.iter().try_for_each(files::refuse_standard_output)?;
    }
    let written = written.iter().map(|file| Named { how: file.how, path: file.path });
    files::refuse_same(&config_file.chain(written).chain(unfinished).collect::<Vec<_>>())
}

/// The reason why writing stopped.
enum Stop {
    Io(io::Error),
    Interrupted,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

impl Stop {
    fn of_file(self, path: &Path) -> Failure {
        let name = path.display();
        match self {
            Stop::Io(error) => Failure::new(Exit::Failed, format!("cannot write {name}: {error}")),
            Stop::Interrupted => self.into_failure(""),
        }
    }

    fn into_failure(self, name: &str) -> Failure {
        match self {
            Stop::Io(error) => screen::output_failure(&error, name),
            Stop::Interrupted => Failure::interrupted(INCOMPLETE),
        }
    }
}

/// Returns whether the output replaces the file of this name. A pipe or a device is written directly.
fn is_replaced(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |data| data.is_file())
}

/// Returns the temporary name of an incomplete file.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Resolves a link, so that its target is replaced and not the link.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Writes to standard output, a pipe or a device. Nothing of it can be undone: a signal ends that at once,
/// since a pipe may never get a reader.
fn write_directly(out: Output<'_>, rows: &RowWriter<'_>) -> Result<(), Failure> {
    let Output::File(path) = out else {
        let mut out = screen::bulk_output();
        let written = rows(&mut out).and_then(|()| out.flush().map_err(Stop::Io));
        return written.map_err(|stop| stop.into_failure("standard output"));
    };
    let written = File::options().write(true).open(path).map_err(Stop::Io).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        rows(&mut out)?;
        Ok(out.flush()?)
    });
    written.map_err(|stop| stop.of_file(path))
}

/// A complete file under its temporary name, readable by its owner alone: it gets our mode, regardless of an
/// older file's. Removed unless it is published.
struct Aside {
    /// As it was given, for messages.
    name: PathBuf,
    partial: PathBuf,
    path: PathBuf,
    is_published: bool,
}

impl Aside {
    fn write(name: &Path, rows: &RowWriter<'_>) -> Result<Self, Failure> {
        let path = resolved(name);
        let partial = unfinished(&path);
        let file = private_file::create_anew(&partial).map_err(|error| Stop::Io(error).of_file(name))?;
        let aside = Self { name: name.into(), partial, path, is_published: false };
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let written = rows(&mut out).and_then(|()| {
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok(file.sync_all()?)
        });
        written.map_err(|stop| stop.of_file(name))?;
        Ok(aside)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.is_published {
            // A partial file is worthless; the failure itself matters more than failing to remove it.
            _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Renames complete files into place.
fn publish(mut files: Vec<Aside>) -> Result<(), Failure> {
    let mut replaced = String::new();
    for file in &mut files {
        std::fs::rename(&file.partial, &file.path).map_err(|error| {
            let message = format!("cannot write {}: {error}{replaced}", file.name.display());
            Failure::new(Exit::Failed, message)
        })?;
        file.is_published = true;
        replaced = format!("; {} was replaced already", file.name.display());
    }
    Ok(())
}

/// Member values that do not follow from the other columns.
struct History {
    ids: bool,
    lifetime_ranks: bool,
    turns: bool,
    /// The triggers that were paid once, by member, ascending.
    paid_once: HashMap<MemberIx, BTreeSet<Box<str>>>,
}

impl History {
    fn of(state: &State) -> Self {
        let any = |has: &dyn Fn(MemberIx) -> bool| (0..state.len()).map(MemberIx).any(has);
        let mut paid_once: HashMap<MemberIx, BTreeSet<Box<str>>> = HashMap::new();
        for (member, trigger) in state.all_paid_once() {
            paid_once.entry(member).or_default().insert(trigger.into());
        }
        Self {
            ids: has_ids(state, RowKind::Member, state.len().into()),
            lifetime_ranks: any(&|member| lifetime_rank(state, member).is_some()),
            turns: any(&|member| state.turn(member) != 0),
            paid_once,
        }
    }

    fn columns(&self) -> impl Iterator<Item = &'static str> {
        let columns = [
            (self.ids, "id"),
            (self.lifetime_ranks, "lifetime_rank"),
            (self.turns, "turn"),
            (!self.paid_once.is_empty(), "paid_once"),
        ];
        columns.into_iter().filter(|(is_there, _)| *is_there).map(|(_, column)| column)
    }

    fn cells(&self, state: &State, member: MemberIx) -> impl Iterator<Item = Cell> {
        let number = |number: Option<u16>| number.map_or(Cell::Empty, |number| Cell::Number(number.into()));
        let turn = Some(state.turn(member)).filter(|turn| *turn != 0);
        let id = self.ids.then(|| id_cell(state, RowKind::Member, member.0.into()));
        let rank = self.lifetime_ranks.then(|| number(lifetime_rank(state, member)));
        let names = |names: &BTreeSet<Box<str>>| {
            Cell::Text(names.iter().map(|name| &**name).collect::<Vec<_>>().join(" "))
        };
        let paid_once =
            (!self.paid_once.is_empty()).then(|| self.paid_once.get(&member).map_or(Cell::Empty, names));
        [id, rank, self.turns.then(|| number(turn)), paid_once].into_iter().flatten()
    }
}

/// Returns the highest rank ever, where it is above the one in force. An import derives both from the counts,
/// which only grow.
fn lifetime_rank(state: &State, member: MemberIx) -> Option<u16> {
    let rank = state.rank(member);
    (rank.paid_as < rank.lifetime).then_some(rank.lifetime)
}

fn has_ids(state: &State, kind: RowKind, rows: u64) -> bool {
    state.carried_row_ids() != 0 && (0..rows).any(|index| state.carried_row_id(kind, index).is_some())
}

fn id_cell(state: &State, kind: RowKind, index: u64) -> Cell {
    state.carried_row_id(kind, index).map_or(Cell::Empty, |id| Cell::Text(Uuid::from_bytes(id).to_string()))
}

fn write_members(
    state: &State,
    format: Format,
    out: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), Stop> {
    let bar = screen::progress("members", Some(state.len().into()), false);
    let history = History::of(state);
    let columns: Vec<&'static str> = MEMBER_COLUMNS.into_iter().chain(history.columns()).collect();
    let mut rows = Rows::begin(format, &columns, out)?;
    let rank_names: Vec<String> = (0..state.rank_distribution().len())
        .map(|rank| rank_name(state, u16::try_from(rank).unwrap_or(u16::MAX)))
        .collect();
    for index in 0..state.len() {
        let member = MemberIx(index);
        let row = state.member(member);
        let id_of = |other: Option<MemberIx>| {
            other.map_or(Cell::Empty, |other| Cell::Text(state.member(other).id.to_string()))
        };
        let rank = state.rank(member).paid_as;
        let rank = rank_names.get(usize::from(rank)).cloned().unwrap_or_else(|| rank_name(state, rank));
        let cells = [
            Cell::Text(row.id.to_string()),
            id_of(row.sponsor),
            id_of(row.parent),
            if row.parent.is_some() { Cell::Number(row.slot.into()) } else { Cell::Empty },
            Cell::Number(row.level.into()),
            Cell::Text(time_text::print(row.joined_at)),
            Cell::Number(state.direct(Tree::Placement, member).into()),
            state.downline(Tree::Placement, member).map_or(Cell::Empty, |count| Cell::Number(count.into())),
            if rank.is_empty() { Cell::Empty } else { Cell::Text(rank) },
            Cell::Text(state.code(member).as_str().into()),
            Cell::Text(row.status.name().into()),
            Cell::Text(row.role.name().into()),
        ];
        rows.write(cells.into_iter().chain(history.cells(state, member)))?;
        look(u64::from(index), &bar, interrupt)?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn rank_name(state: &State, rank: u16) -> String {
    state.plan().ranks.name_of(rank).unwrap_or_default()
}

fn write_bonuses(
    state: &State,
    format: Format,
    out: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), Stop> {
    let bar = screen::progress("bonuses", Some(state.entries()), false);
    let exponent = state.plan().currency.exponent;
    let links = Links::of(state);
    let columns: Vec<&'static str> = BONUS_COLUMNS.into_iter().chain(links.columns()).collect();
    let mut rows = Rows::begin(format, &columns, out)?;
    for index in 0..state.entries() {
        let entry = state.entry(index);
        let cells = [
            Cell::Text(state.member(entry.receiver).id.to_string()),
            Cell::Text(state.member(entry.source).id.to_string()),
            Cell::Number(entry.level.into()),
            Cell::Amount(amount::print(entry.amount, exponent)),
            Cell::Text(state.kind_name(entry.kind).into_owned()),
            Cell::Text(entry.status.name().into()),
            Cell::Text(time_text::print(entry.time)),
        ];
        rows.write(cells.into_iter().chain(links.cells(state, index)))?;
        look(index, &bar, interrupt)?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn look(row: u64, bar: &indicatif::ProgressBar, interrupt: &Interrupt) -> Result<(), Stop> {
    if !row.is_multiple_of(LOOK_EVERY_ROWS) {
        return Ok(());
    }
    bar.set_position(row);
    if interrupt.asked() { Err(Stop::Interrupted) } else { Ok(()) }
}

enum Cell {
    /// Null in NDJSON.
    Empty,
    Text(String),
    Number(u64),
    /// Decimal text; a string in NDJSON too, so that no reader parses it as a float.
    Amount(String),
}

/// Writes the rows of one file in either format.
struct Rows<'a> {
    format: Format,
    columns: Vec<&'static str>,
    out: &'a mut dyn Write,
}

impl<'a> Rows<'a> {
    fn begin(format: Format, columns: &[&'static str], out: &'a mut dyn Write) -> io::Result<Self> {
        if format == Format::Csv {
            writeln!(out, "{}", columns.join(","))?;
        }
        Ok(Self { format, columns: columns.to_vec(), out })
    }

    fn write(&mut self, cells: impl IntoIterator<Item = Cell>) -> io::Result<()> {
        match self.format {
            Format::Csv => {
                for (position, cell) in cells.into_iter().enumerate() {
                    if position != 0 {
                        self.out.write_all(b",")?;
                    }
                    write_csv_cell(self.out, &cell)?;
                }
                self.out.write_all(b"\n")
            }
            Format::Ndjson => {
                let value = |cell| match cell {
                    Cell::Empty => Value::Null,
                    Cell::Text(text) | Cell::Amount(text) => Value::String(text),
                    Cell::Number(number) => Value::from(number),
                };
                self.out.write_all(b"{")?;
                for (position, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
                    let comma = if position == 0 { "" } else { "," };
                    write!(self.out, "{comma}\"{column}\":{}", value(cell))?;
                }
                self.out.write_all(b"}\n")
            }
        }
    }
}

/// Writes one cell, quoted where it needs to be. (The writer of `csv-core` fills a buffer that its caller
/// must flush: more code than this.)
fn write_csv_cell(out: &mut dyn Write, cell: &Cell) -> io::Result<()> {
    match cell {
        Cell::Empty => Ok(()),
        Cell::Number(number) => write!(out, "{number}"),
        Cell::Amount(text) => out.write_all(text.as_bytes()),
        Cell::Text(text) => {
            let mark = mark_of(text);
            if text.contains([',', '"', '\n', '\r']) {
                write!(out, "\"{mark}{}\"", text.replace('"', "\"\""))
            } else {
                write!(out, "{mark}{text}")
            }
        }
    }
}

/// Exports both files of a network in memory.
#[cfg(test)]
pub(super) fn files_of(state: &State) -> (Vec<u8>, Vec<u8>) {
    let (mut members, mut bonuses) = (Vec::new(), Vec::new());
    let written = write_members(state, Format::Csv, &mut members, &Interrupt::never());
    assert!(written.is_ok(), "a vector takes everything");
    let written = write_bonuses(state, Format::Csv, &mut bonuses, &Interrupt::never());
    assert!(written.is_ok(), "a vector takes everything");
    (members, bonuses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_marked_where_needed() {
        // text, cell
        let table = [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("-code", "'-code"),
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("+x,y", "\"'+x,y\""),
        ];
        for (text, expected) in table {
            let mut out = Vec::new();
            write_csv_cell(&mut out, &Cell::Text(text.into())).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn both_formats_write_the_same_row() {
        let row = || [Cell::Text("=x".into()), Cell::Empty, Cell::Number(7), Cell::Amount("-1.50".into())];
        let columns = &["a", "b", "c", "d"];
        let mut csv = Vec::new();
        Rows::begin(Format::Csv, columns, &mut csv).unwrap().write(row()).unwrap();
        assert_eq!(String::from_utf8(csv).unwrap(), "a,b,c,d\n'=x,,7,-1.50\n");
        let mut json = Vec::new();
        Rows::begin(Format::Ndjson, columns, &mut json).unwrap().write(row()).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), "{\"a\":\"=x\",\"b\":null,\"c\":7,\"d\":\"-1.50\"}\n");
    }
}
