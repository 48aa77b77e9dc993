//! `upline export`: the members in join order, the ledger in its order, and the opening state, as CSV or
//! NDJSON; the orders as objects (`export_orders.rs`).
//!
//! The output can be imported again, with the same network digest. `level`, `direct` and `downline` are those
//! of the placement tree, `level` is 1 for a root; times are ISO 8601 in UTC to the microsecond; `rank` is
//! the name of the rank in force, empty for none.
//!
//! Further columns appear only if some value differs from what an import without them would give: `id`, the
//! UUID that the row had in another system (of members and of bonuses); `lifetime_rank`, the number of the
//! highest rank ever where that is above the one in force; `turn`, the slot of the next round-robin spillover
//! where that is not the first; `paid_once`, the names of the triggers that were paid with `once`, separated
//! by blanks; `market`, `owner` and `tags`, the attributes that members have now. Bonuses also have
//! `reference`, the external reference of their origin; `number`, on those that another reverses; and
//! `reverses`, on that one, the `number` of the one that it reverses.
//!
//! The opening state is written as `opening import` reads it, and has the same digest then.
//!
//! # Spreadsheets
//!
//! A spreadsheet evaluates cells that begin with `=`, `+`, `-` or `@`. Codes, rank names and bonus kinds are
//! user input, so in CSV such a cell is prefixed with an apostrophe, which `import` strips again. So is a
//! cell that already begins with apostrophes before such a character. NDJSON is exact.

use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use serde_json::json;

use super::{
    DataDirArgs,
    exit::{Exit, Failure},
    export_orders,
    export_stop::{INCOMPLETE, Stop},
    files::{self, Named},
    in_order::in_order,
    interrupt::Interrupt,
    row_text::{Format, RowText},
    screen,
};
use crate::{
    core::{
        MemberTag, RowKind,
        state::State,
        types::{MemberIx, Reference, Timestamp, Tree},
    },
    durability::storage::Disk,
    engine::{self, Loaded, SealedOrders},
    opening_text, private_file, time_text,
};

/// Rows that are printed together, between two updates of progress and checks for interruption.
const PIECE_ROWS: usize = 1_024;
/// About the bytes of a row.
const ROW_BYTES: usize = 256;

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

    fn print(&self, state: &State, entry: u64, row: &mut RowText<'_>) {
        if self.ids {
            row.row_id(state.carried_row_id(RowKind::Entry, entry));
        }
        if self.references {
            row.text_or_empty(state.reference_of(entry).as_ref().map(Reference::as_str));
        }
        if self.reversals {
            row.number_or_empty(state.reversal_of(entry).map(|_| entry));
            row.number_or_empty(state.reverses(entry));
        }
    }
}

const OPENING_COLUMNS: [&str; 8] =
    ["kind", "member", "name", "text", "calendar", "position", "since", "value"];

const BONUS_COLUMNS: [&str; 7] = ["receiver", "source", "level", "amount", "kind", "status", "created_at"];

/// Writes members, bonuses and the opening state for `import`, spreadsheets and programs, and orders.
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
    /// Write the opening state there; `-` is standard output
    #[arg(long, value_name = "FILE")]
    opening: Option<PathBuf>,
    /// Write the orders there, sealed ones too, with their refunds: in either format a JSON object a line;
    /// `-` is standard output
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
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

    fn opening(&self) -> Option<Output<'_>> {
        self.opening.as_deref().map(Output::named)
    }

    fn orders(&self) -> Option<Output<'_>> {
        self.orders.as_deref().map(Output::named)
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let (loaded, sealed) = interrupt.interruptible(INCOMPLETE, || load(args))?;
    let state = &loaded.state;
    let members = |out: &mut dyn Write| write_members(state, args.format, out, &interrupt);
    let bonuses = |out: &mut dyn Write| write_bonuses(state, args.format, out, &interrupt);
    let opening = |out: &mut dyn Write| write_opening(state, args.format, out, &interrupt);
    let orders_written = Cell::new(None);
    let orders = |out: &mut dyn Write| {
        orders_written.set(Some(export_orders::write(&loaded, &sealed, out, &interrupt)?));
        Ok(())
    };
    let all: [(Option<Output<'_>>, &RowWriter<'_>); 4] = [
        (Some(args.members()), &members),
        (args.ledger(), &bonuses),
        (args.opening(), &opening),
        (args.orders(), &orders),
    ];
    // Files appear when everything is written, so that no two are of different exports.
    let (mut replaced, mut direct) = (Vec::new(), Vec::new());
    for (out, rows) in all {
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
        let opening = args.opening.is_some().then(|| state.opening_len());
        let digest = crate::core::network_digest(state).to_string();
        let object = json!({
            "command": "export", "members": state.len(), "bonuses": bonuses, "opening": opening,
            "orders": orders_written.get(), "lsn": state.lsn(), "network_digest": digest,
        });
        screen::say(&object.to_string())?;
    }
    Ok(())
}

/// Writes the rows of one output.
type RowWriter<'a> = dyn Fn(&mut dyn Write) -> Result<(), Stop> + 'a;

/// Loads the network, after checking that its files can be written.
fn load(args: &Args) -> Result<(Loaded, SealedOrders), Failure> {
    let config = args.data_dir.resolve([].into())?;
    check_files(args, &config.data_dir)?;
    let mut loading = screen::Loading::new();
    let loaded = engine::load(&Disk::shared(), &config.data_dir, &mut |progress| loading.show(progress))?;
    loading.finish();
    let sealed = match args.orders {
        Some(_) => SealedOrders::open(&Disk::shared(), &config.data_dir, &loaded.state)?,
        None => SealedOrders::default(),
    };
    Ok((loaded, sealed))
}

/// Refuses files of which one would overwrite the other, or the input.
fn check_files(args: &Args, data_dir: &Path) -> Result<(), Failure> {
    let outputs = [
        ("--output", "members", Some(args.members())),
        ("--bonuses", "bonuses", args.ledger()),
        ("--opening", "the opening state", args.opening()),
        ("--orders", "orders", args.orders()),
    ];
    let on_standard = outputs.iter().filter(|(.., output)| *output == Some(Output::Standard));
    let mut on_standard: Vec<&str> = on_standard.map(|(_, what, _)| *what).collect();
    let standard = on_standard.len();
    if args.json {
        on_standard.truncate(1);
        on_standard.iter_mut().for_each(|what| *what = "rows");
        on_standard.push("--json");
    }
    if let [first, second, ..] = on_standard[..] {
        let message =
            format!("{first} and {second} would both go to standard output: one of them needs a file");
        return Err(Failure::new(Exit::Usage, message));
    }
    let written: Vec<Named<'_>> = outputs
        .iter()
        .filter_map(|(how, _, output)| Some(Named { how, path: output.as_ref()?.file()? }))
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
    markets: bool,
    owners: bool,
    tags: bool,
}

impl History {
    fn of(state: &State) -> Self {
        let any = |has: &dyn Fn(MemberIx) -> bool| (0..state.len()).map(MemberIx).any(has);
        let mut paid_once: HashMap<MemberIx, BTreeSet<Box<str>>> = HashMap::new();
        for (member, trigger) in state.all_paid_once() {
            paid_once.entry(member).or_default().insert(trigger.into());
        }
        let has_attributes = state.has_attributes();
        Self {
            ids: has_ids(state, RowKind::Member, state.len().into()),
            lifetime_ranks: any(&|member| lifetime_rank(state, member).is_some()),
            turns: any(&|member| state.turn(member) != 0),
            paid_once,
            markets: has_attributes && any(&|member| state.attributes(member, None).market.is_some()),
            owners: has_attributes && any(&|member| state.attributes(member, None).owner != member),
            tags: has_attributes && any(&|member| !state.attributes(member, None).tags.is_empty()),
        }
    }

    fn columns(&self) -> impl Iterator<Item = &'static str> {
        let columns = [
            (self.ids, "id"),
            (self.lifetime_ranks, "lifetime_rank"),
            (self.turns, "turn"),
            (!self.paid_once.is_empty(), "paid_once"),
            (self.markets, "market"),
            (self.owners, "owner"),
            (self.tags, "tags"),
        ];
        columns.into_iter().filter(|(is_there, _)| *is_there).map(|(_, column)| column)
    }

    fn print(&self, state: &State, member: MemberIx, row: &mut RowText<'_>) {
        if self.ids {
            row.row_id(state.carried_row_id(RowKind::Member, member.0.into()));
        }
        if self.lifetime_ranks {
            row.number_or_empty(lifetime_rank(state, member).map(u64::from));
        }
        if self.turns {
            row.number_or_empty(Some(state.turn(member)).filter(|turn| *turn != 0).map(u64::from));
        }
        if !self.paid_once.is_empty() {
            let names =
                |names: &BTreeSet<Box<str>>| names.iter().map(|name| &**name).collect::<Vec<_>>().join(" ");
            row.text_or_empty(self.paid_once.get(&member).map(names).as_deref());
        }
        if self.markets || self.owners || self.tags {
            self.print_attributes(state, member, row);
        }
    }

    fn print_attributes(&self, state: &State, member: MemberIx, row: &mut RowText<'_>) {
        let held = state.attributes(member, None);
        if self.markets {
            let name = |market: u16| &*state.plan().commerce.markets[usize::from(market)];
            row.text_or_empty(held.market.map(name));
        }
        if self.owners {
            if held.owner == member { row.empty() } else { row.id(state.id(held.owner)) }
        }
        if self.tags {
            let tags: Vec<String> = held.tags.iter().map(|tag| tag_text(state, tag)).collect();
            row.text_or_empty(Some(tags.join(";")).as_deref().filter(|tags| !tags.is_empty()));
        }
    }
}

/// Returns a tag as `import` reads it: its name, and its bounds if it has any.
fn tag_text(state: &State, tag: &MemberTag) -> String {
    let name = &state.plan().commerce.member_tags[usize::from(tag.tag)];
    let time = |time: Option<Timestamp>| time.map(time_text::print).unwrap_or_default();
    match (tag.from, tag.until) {
        (None, None) => name.to_string(),
        (from, until) => format!("{name}@{}/{}", time(from), time(until)),
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

fn write_members(
    state: &State,
    format: Format,
    out: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), Stop> {
    let bar = screen::progress("members", Some(state.len().into()), false);
    let history = History::of(state);
    let columns: Vec<&'static str> = MEMBER_COLUMNS.into_iter().chain(history.columns()).collect();
    let rank_names: Vec<String> = (0..state.rank_distribution().len())
        .map(|rank| rank_name(state, u16::try_from(rank).unwrap_or(u16::MAX)))
        .collect();
    write_rows(format, &columns, state.len().into(), out, (&bar, interrupt), |index, row| {
        let member = MemberIx(u32::try_from(index).expect("members are limited to MEMBERS_MAX"));
        let facts = state.member(member);
        let id_of = |other: Option<MemberIx>, row: &mut RowText<'_>| match other {
            Some(other) => row.id(state.id(other)),
            None => row.empty(),
        };
        row.id(facts.id);
        id_of(facts.sponsor, row);
        id_of(facts.parent, row);
        row.number_or_empty(facts.parent.map(|_| facts.slot.into()));
        row.number(facts.level.into());
        row.time(facts.joined_at);
        row.number(state.direct(Tree::Placement, member).into());
        row.number_or_empty(state.downline(Tree::Placement, member).map(u64::from));
        let rank = state.rank(member).paid_as;
        match rank_names.get(usize::from(rank)) {
            Some(name) => row.text_or_empty(Some(name.as_str()).filter(|name| !name.is_empty())),
            None => row.text_or_empty(Some(&*rank_name(state, rank)).filter(|name| !name.is_empty())),
        }
        row.text(state.code(member).as_str());
        row.plain(|out| out.push_str(facts.status.name()));
        row.plain(|out| out.push_str(facts.role.name()));
        history.print(state, member, row);
    })
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
    write_rows(format, &columns, state.entries(), out, (&bar, interrupt), |index, row| {
        let entry = state.entry(index);
        row.id(state.id(entry.receiver));
        row.id(state.id(entry.source));
        row.number(entry.level.into());
        row.amount(entry.amount, exponent);
        row.text(&state.kind_name(entry.kind));
        row.plain(|out| out.push_str(entry.status.name()));
        row.time(entry.time);
        links.print(state, index, row);
    })
}

fn write_opening(
    state: &State,
    format: Format,
    out: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), Stop> {
    let rows = u64::from(state.opening_len());
    let bar = screen::progress("opening", Some(rows), false);
    let calendars = &state.plan().commerce.calendars;
    write_rows(format, &OPENING_COLUMNS, rows, out, (&bar, interrupt), |index, row| {
        let found = state.opening_row(u32::try_from(index).expect("rows are limited to OPENING_ROWS_MAX"));
        let (kind, given) = (found.kind(), |text| Some(text).filter(|text: &&str| !text.is_empty()));
        let shape = kind.shape();
        row.plain(|out| out.push_str(kind.name()));
        row.id(state.id(MemberIx(found.member)));
        row.text_or_empty(given(&found.name));
        row.text_or_empty(given(&found.text));
        let calendar = found.calendar().map(|calendar| &*calendars[usize::from(calendar)].name);
        row.text_or_empty(calendar);
        row.number_or_empty((*shape.position.end() != 0).then_some(found.position.into()));
        match found.since() {
            Some(since) => row.time(since),
            None => row.empty(),
        }
        match opening_text::print_value(shape.value, found.value, found.decimals) {
            // A negative number is not marked: a spreadsheet shall read it as the number that it is.
            Some(value) => row.plain(|out| out.push_str(&value)),
            None => row.empty(),
        }
    })
}

/// Prints rows in pieces, on all cores, and writes the pieces in order. `print` appends the row at an index.
fn write_rows(
    format: Format,
    columns: &[&'static str],
    rows: u64,
    out: &mut dyn Write,
    (bar, interrupt): (&ProgressBar, &Interrupt),
    print: impl Fn(u64, &mut RowText<'_>) + Sync,
) -> Result<(), Stop> {
    out.write_all(RowText::header(format, columns).as_bytes())?;
    let mut firsts = (0..rows).step_by(PIECE_ROWS);
    in_order(
        || firsts.next(),
        |first| {
            let mut piece = RowText::with_capacity(format, columns, PIECE_ROWS * ROW_BYTES);
            let end = rows.min(first + PIECE_ROWS as u64);
            for index in first..end {
                print(index, &mut piece);
                piece.end();
            }
            (end, piece.into_bytes())
        },
        |(end, piece)| {
            bar.set_position(end);
            if interrupt.asked() {
                return Err(Stop::Interrupted);
            }
            Ok(out.write_all(&piece)?)
        },
    )?;
    bar.finish_and_clear();
    Ok(())
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
