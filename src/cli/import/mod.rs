//! `upline import`: members, and the bonuses they were paid, from CSV files.
//!
//! # The files
//!
//! Members: a header line and at least the columns `member,sponsor,joined_at`, in any order; also `parent,slot,code,status,role`, and of what the network
//! was elsewhere `id` (of the member's row, a UUID), `lifetime_rank` (the number of the highest rank ever) and `turn` (round robin). `level`,
//! `direct`, `downline` and `rank`, which `export` writes too, follow from the rest and are not read; columns of other names are named in
//! a note and not read. Plain or gzip, with or without a byte order mark, LF or CRLF.
//!
//! - A member is a UUID in any of its forms. Any other name becomes the version-5 UUID of that name in a fixed namespace
//!   ([`NAME_NAMESPACE`]), and is kept as the referral code if it can be one and is free.
//! - An `id`, in the bonus file too, is that of the row in the service the network comes from, where other systems know it. It is kept. It must be
//!   no other row's, and none that this network makes itself.
//! - A sponsor or parent is named the same way, or by referral code. An empty sponsor makes a root.
//! - An empty `joined_at` is the time of the import. 1970-01-01 is a date like another.
//! - A row may come before its sponsor or parent: it waits. Otherwise rows are placed in the order of the file, by the plan's default rule unless
//!   they name a parent (and slot; without one it is the lowest free one).
//!
//! # Nothing half-done
//!
//! Everything is tried on the network in memory first. Into a new directory the result is then written as its first snapshot, which
//! is published in one step. Into an existing directory what was accepted is appended to the log in groups; a crash in the middle of
//! that leaves the first of them, and importing the same files again adds the rest, since rows that are there already, unchanged, are no errors.
//! With `--strict` it leaves none of them: they stand only when all of them do.
//! Bonuses have no names by which they could be recognised, so they go only where the ledger is empty or holds just what the file begins with.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    time::Instant,
};

use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

pub use self::member_row::NAME_NAMESPACE;
pub(super) use self::member_row::print_time;
use self::{
    intake::{Intake, Taken},
    lines::{FileFault, Lines},
    member_row::{MemberRow, Name},
    refusal::{Refusal, Refused},
};
use super::{
    DataDirArgs, PlanArgs,
    exit::{Exit, Failure},
    interrupt::Interrupt,
    log_options,
    network::Network,
    plan_choice, screen,
    target::Target,
};
use crate::{
    core::{Digest, command::Command, network_digest, state::State, types::MemberIx},
    engine::MemberDirectory,
};

mod bonus_row;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod intake;
mod lines;
mod member_row;
mod refusal;

#[cfg(test)]
mod round_trip_test;

/// Rows between two looks at progress and interruption.
const LOOK_EVERY_ROWS: u64 = 1_024;

/// Batches of so many rows that are read ahead of those that are taken in: enough that neither waits for the other, some two megabytes.
const BATCHES_AHEAD: usize = 8;

/// Takes members, and with `--bonuses` the ledger, from CSV files into a new or an existing data directory.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// CSV file of members, plain or gzip; `-` is standard input
    file: PathBuf,
    /// CSV file of bonuses, as `export --bonuses` writes it
    #[arg(long, value_name = "FILE")]
    bonuses: Option<PathBuf>,
    #[command(flatten)]
    data_dir: DataDirArgs,
    #[command(flatten)]
    plan: PlanArgs,
    /// Try everything and write nothing
    #[arg(long)]
    dry_run: bool,
    /// All or nothing: import nothing if any row is refused, and leave nothing if it is cut short
    #[arg(long)]
    strict: bool,
    /// Take a member that is its own sponsor as a root
    #[arg(long)]
    own_sponsor_is_root: bool,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

/// What came of the bonus file.
#[derive(Default)]
struct TakenBonuses {
    refused: Vec<Refused>,
    entries: u64,
    already_there: u64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let interrupt = Interrupt::listen()?;
    let config = args.data_dir.resolve(&args.plan, [].into())?;
    let mut target = Target::open(config.data_dir.clone(), log_options(&config), plan_choice(&config)?)?;
    let (members, hash) = take_members(args, &mut target.network, &interrupt)?;
    let bonuses = match &args.bonuses {
        Some(path) => take_bonuses(path, &mut target.network, &interrupt)?,
        None => TakenBonuses::default(),
    };
    report_refused(&args.file, &members.refused);
    for (line, member, difference) in &members.differing {
        screen::tell(&format!("{}: line {line}: {member}: is there already, {difference}", args.file.display()));
    }
    report_refused(args.bonuses.as_deref().unwrap_or(Path::new("")), &bonuses.refused);
    let refused = members.refused.len() + bonuses.refused.len();
    let taken = members.members + members.already_there + bonuses.entries + bonuses.already_there;
    // A file of which nothing can be taken is the wrong file: no network is made of it.
    let spoilt = refused != 0 && (args.strict || taken == 0);
    let writes = !args.dry_run && !spoilt;
    let written = if writes { target.commit(args.strict)? } else { None };
    let digest = written.unwrap_or_else(|| network_digest(&target.network.state));
    let mut object = summary(args, &members, &bonuses, &target.network.state, digest);
    object.insert("source_blake3".into(), hash.into());
    object.insert("imported".into(), writes.into());
    object.insert("seconds".into(), json!(started.elapsed().as_secs_f64()));
    screen::say_result(args.json, &Value::Object(object), || in_words(args, &members, &bonuses, writes, started))?;
    if spoilt {
        let why = if args.strict { " (--strict)" } else { ": not one row can be taken" };
        return Err(Failure::new(Exit::RowsRefused, format!("{refused} rows were refused, so nothing was imported{why}")));
    }
    Ok(())
}

fn take_members(args: &Args, network: &mut Network, interrupt: &Interrupt) -> Result<(Taken, String), Failure> {
    let meter = Meter::new(&args.file, "members");
    let mut lines = meter.open(&member_row::COLUMNS)?;
    note_ignored(&args.file, &lines);
    let taken = each_member(&mut lines, network, args.own_sponsor_is_root, &mut || stop_if_asked(interrupt))?;
    Ok((taken, meter.finish()))
}

/// Takes every row of a member file. `look` is called now and then and may stop it.
fn each_member(
    lines: &mut Lines,
    network: &mut Network,
    own_sponsor_is_root: bool,
    look: &mut dyn FnMut() -> Result<(), Failure>,
) -> Result<Taken, Failure> {
    // Reading a row and taking it in cost about the same, so each has a thread; the rows arrive in the order of the file.
    std::thread::scope(|scope| {
        let (sender, batches) = mpsc::sync_channel(BATCHES_AHEAD);
        scope.spawn(move || read_ahead(lines, own_sponsor_is_root, &sender));
        let mut intake = Intake::new(network);
        while let Ok(batch) = batches.recv() {
            for row in batch.map_err(file_failure)? {
                match row {
                    Ok(row) => intake.offer(row),
                    Err((line, member, reason)) => intake.refuse(line, member.as_ref(), reason),
                }
            }
            look()?;
        }
        Ok(intake.finish())
    })
}

/// Rows that were read, each ready to be taken in, or its line, its member if that can be told, and what is wrong with it.
type Batch = Vec<Result<MemberRow, (u64, Option<Name>, Refusal)>>;

/// Reads a file to its end, or until nobody wants its rows any more.
fn read_ahead(lines: &mut Lines, own_sponsor_is_root: bool, to: &mpsc::SyncSender<Result<Batch, FileFault>>) {
    loop {
        let batch = read_batch(lines, own_sponsor_is_root);
        let is_last = batch.as_ref().map_or(true, Vec::is_empty);
        if to.send(batch).is_err() || is_last {
            return;
        }
    }
}

/// The next rows; none at the end.
fn read_batch(lines: &mut Lines, own_sponsor_is_root: bool) -> Result<Batch, FileFault> {
    let mut batch = Batch::new();
    while (batch.len() as u64) < LOOK_EVERY_ROWS
        && let Some(row) = lines.next_row()?
    {
        batch.push(match row {
            Err((line, fault)) => Err((line, None, Refusal::Line(fault))),
            Ok(row) => MemberRow::parse(&row, own_sponsor_is_root).map_err(|reason| (row.line, Name::parse(row.cell(0)), reason)),
        });
    }
    Ok(batch)
}

fn take_bonuses(path: &Path, network: &mut Network, interrupt: &Interrupt) -> Result<TakenBonuses, Failure> {
    let meter = Meter::new(path, "bonuses");
    let mut lines = meter.open(&bonus_row::COLUMNS)?;
    note_ignored(path, &lines);
    let held = network.state.entries();
    let taken = each_bonus(&mut lines, network, &mut || stop_if_asked(interrupt))?;
    meter.finish();
    if taken.already_there < held {
        let message = format!(
            "the network has {held} bonuses already, and {} does not begin with them: importing it could pay twice; nothing was imported",
            path.display()
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok(taken)
}

/// Takes every row of a bonus file, up to the first that is not the one that the ledger holds in its place. `look` is called now and then and may stop it.
fn each_bonus(lines: &mut Lines, network: &mut Network, look: &mut dyn FnMut() -> Result<(), Failure>) -> Result<TakenBonuses, Failure> {
    let held = network.state.entries();
    let mut taken = TakenBonuses::default();
    while let Some(row) = lines.next_row().map_err(file_failure)? {
        let (line, receiver, entry) = match row {
            Err((line, fault)) => (line, String::new(), Err(Refusal::Line(fault))),
            Ok(row) => (row.line, row.cell(0).to_string(), bonus_row::parse(&row, network)),
        };
        let known = taken.already_there;
        if let Ok(entry) = &entry
            && known < held
        {
            if !bonus_row::is_same(network, &network.state.entry(known), entry) {
                break;
            }
            taken.already_there += 1;
        } else if let Err(reason) = entry.and_then(|entry| network.apply(Command::ImportEntry(entry)).map(|_| ()).map_err(Refusal::Rule)) {
            taken.refused.push(Refused { line, member: receiver, reason });
        } else {
            taken.entries += 1;
        }
        if line.is_multiple_of(LOOK_EVERY_ROWS) {
            look()?;
        }
    }
    Ok(taken)
}

/// The member that a person or file names: by UUID, by the name it was imported under, or by referral code.
pub(super) fn find_member(state: &State, directory: &MemberDirectory, text: &str) -> Option<MemberIx> {
    Name::parse(text).and_then(|name| name.find(state, directory))
}

fn stop_if_asked(interrupt: &Interrupt) -> Result<(), Failure> {
    if interrupt.asked() { Err(Failure::interrupted("nothing was imported")) } else { Ok(()) }
}

fn file_failure(fault: FileFault) -> Failure {
    Failure::new(Exit::Failed, fault)
}

fn note_ignored(path: &Path, lines: &Lines) {
    if !lines.ignored.is_empty() {
        screen::tell(&format!("{}: columns not read: {}", path.display(), lines.ignored.join(", ")));
    }
}

/// One line per refused row, whatever their number: they are what somebody has to mend.
fn report_refused(path: &Path, refused: &[Refused]) {
    for row in refused {
        screen::tell(&format!("{}: {row}", path.display()));
    }
}

fn summary(args: &Args, members: &Taken, bonuses: &TakenBonuses, state: &State, digest: Digest) -> Map<String, Value> {
    let mut reasons = Map::new();
    for refused in members.refused.iter().chain(&bonuses.refused) {
        let count = reasons.entry(refused.reason.name()).or_insert_with(|| 0.into());
        *count = (count.as_u64().unwrap_or(0) + 1).into();
    }
    let object = json!({
        "command": "import",
        "dry_run": args.dry_run,
        "members": members.members,
        "members_already_there": members.already_there,
        "members_already_there_differing": members.differing.len(),
        "members_refused": members.refused.len(),
        "members_waited": members.waited,
        "names_not_kept_as_codes": members.names_not_kept,
        "bonuses": bonuses.entries,
        "bonuses_already_there": bonuses.already_there,
        "bonuses_refused": bonuses.refused.len(),
        "refused_by_reason": reasons,
        "network_members": state.len(),
        "network_bonuses": state.entries(),
        "network_digest": digest.to_string(),
    });
    match object {
        Value::Object(map) => map,
        _ => unreachable!("the macro was given an object"),
    }
}

fn in_words(args: &Args, members: &Taken, bonuses: &TakenBonuses, writes: bool, started: Instant) -> String {
    let verb = match (writes, args.dry_run) {
        (true, _) => "imported",
        (false, true) => "would import",
        (false, false) => "did not import",
    };
    let mut text = format!("{verb} {}", screen::counted(members.members, "member"));
    if args.bonuses.is_some() {
        text += &format!(" and {}", screen::counted(bonuses.entries, "bonus"));
    }
    text += &format!(", {} refused", screen::counted((members.refused.len() + bonuses.refused.len()) as u64, "row"));
    let notes = [
        (members.already_there + bonuses.already_there, "already there"),
        (members.differing.len() as u64, "of those with another time or code, where what is there stays"),
        (members.waited, "came before their sponsor or parent"),
        (members.names_not_kept, "names could not be kept as referral codes"),
    ];
    for (number, note) in notes.into_iter().filter(|(number, _)| *number != 0) {
        text += &format!(", {} {note}", screen::grouped(number));
    }
    text + &format!(" ({:.1} s)", started.elapsed().as_secs_f64())
}

/// Watches a file being read: a progress bar over its bytes, and their hash for the report.
struct Meter<'a> {
    path: &'a Path,
    bar: ProgressBar,
    hash: Arc<Mutex<blake3::Hasher>>,
}

impl<'a> Meter<'a> {
    fn new(path: &'a Path, what: &'static str) -> Self {
        let bytes = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        Self { path, bar: screen::progress(what, bytes, true), hash: Arc::default() }
    }

    fn open(&self, columns: &[(&'static str, bool)]) -> Result<Lines, Failure> {
        let (bar, hash) = (self.bar.clone(), Arc::clone(&self.hash));
        Lines::open(self.path, columns, |source| Box::new(Metered { source, bar, hash })).map_err(file_failure)
    }

    /// The hash of the file's bytes, as far as they were read.
    fn finish(self) -> String {
        self.bar.finish_and_clear();
        self.hash.lock().map(|hash| hash.finalize().to_hex().to_string()).unwrap_or_default()
    }
}

struct Metered {
    source: Box<dyn Read + Send>,
    bar: ProgressBar,
    hash: Arc<Mutex<blake3::Hasher>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bar.inc(count as u64);
        if let Ok(mut hash) = self.hash.lock() {
            hash.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// Takes a member file that is in memory.
#[cfg(test)]
fn members_from(network: &mut Network, bytes: &[u8], own_sponsor_is_root: bool) -> Taken {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("a temporary file can be written");
    let mut lines = Lines::open(file.path(), &member_row::COLUMNS, |source| source).expect("the header is right");
    each_member(&mut lines, network, own_sponsor_is_root, &mut || Ok(())).expect("nobody interrupts")
}
