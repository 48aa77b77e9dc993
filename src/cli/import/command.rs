//! The import command: its arguments, and the pass over the files.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Map, Value, json};

use super::{
    bonus_row::{self, BonusRow, Resolved},
    intake::{Intake, Taken},
    layout::Layout,
    lines::{FileFault, LineFault, Lines, NextRow},
    member_row::MemberRow,
    meter::Meter,
    options::FileArgs,
    reading::Reading,
    refusal::{Refusal, Refused},
    visible::visible,
};
use crate::cli::{
    DataDirArgs, PlanArgs, announce,
    clock::ClockRule,
    exit::{Exit, Failure},
    files::{self, Named},
    in_order::in_order,
    interrupt::Interrupt,
    log_options,
    names::{Ids, Name},
    network::Network,
    plan_choice, screen,
    target::Target,
};
use crate::core::{
    Digest,
    command::Command,
    network_digest,
    state::State,
    types::{MemberId, MemberIx},
};

/// Rows whose members are looked up together, so that the waits for memory overlap.
const ROWS_PREFETCHED: usize = 64;

/// Takes members, and with `--bonuses` the ledger, from CSV or NDJSON files into a new or an existing data
/// directory.
#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Args {
    /// File of members, CSV or NDJSON, plain or gzip; `-` is standard input
    file: PathBuf,
    /// File of bonuses, as `export --bonuses` writes it
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
    /// Import although the clock is behind the log's last time by more than clock_jump_max: what is written
    /// gets that time
    #[arg(long)]
    accept_clock: bool,
    #[command(flatten)]
    files: FileArgs,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

/// The result of the bonus file.
#[derive(Default)]
pub(super) struct TakenBonuses {
    pub(super) refused: Vec<Refused>,
    pub(super) entries: u64,
    pub(super) already_there: u64,
    /// Rows with only empty cells.
    pub(super) empty: u64,
}

/// The result of the member file.
struct TakenMembers {
    rows: Taken,
    /// Rows with only empty cells.
    empty: u64,
    /// Imported members without a sponsor.
    roots: u64,
    /// Hash of the file's bytes.
    hash: String,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let interrupt = Interrupt::listen()?;
    let Tried { mut target, taken, bonuses } =
        interrupt.interruptible("nothing was imported", || try_everything(args))?;
    let members = &taken.rows;
    let refused = members.refused.len() + bonuses.refused.len();
    let good = members.members + members.already_there + bonuses.entries + bonuses.already_there;
    // A file without any valid row is the wrong file: no network is made from it.
    let spoilt = refused != 0 && (args.strict || good == 0);
    let writes = !args.dry_run && !spoilt;
    let commit = || target.commit(args.strict);
    let written = if writes { interrupt.carried_through("nothing was imported", commit)? } else { None };
    if writes && target.is_new() {
        announce::network(target.path());
    }
    let digest = written.unwrap_or_else(|| network_digest(&target.network.state));
    let mut object = summary(args, &taken, &bonuses, &target.network.state, digest);
    object.insert("source_blake3".into(), taken.hash.as_str().into());
    object.insert("imported".into(), writes.into());
    object.insert("seconds".into(), json!(started.elapsed().as_secs_f64()));
    screen::say_result(args.json, &Value::Object(object), || {
        in_words(args, &taken, &bonuses, writes, started)
    })?;
    let rows = screen::counted(refused as u64, "row");
    let was_or_were = if refused == 1 { "was" } else { "were" };
    if spoilt {
        let why = if args.strict { " (--strict)" } else { ": not one row can be taken" };
        return Err(Failure::new(
            Exit::RowsRefused,
            format!("{rows} {was_or_were} refused, so nothing was imported{why}"),
        ));
    }
    if refused != 0 {
        let verb = if writes { was_or_were } else { "would be" };
        let all = if writes { "all others are in the network" } else { "all others would be imported" };
        return Err(Failure::new(Exit::RowsLeftOut, format!("{rows} {verb} refused; {all}")));
    }
    Ok(())
}

/// The result of the files, on the network in memory.
struct Tried {
    target: Target,
    taken: TakenMembers,
    bonuses: TakenBonuses,
}

/// Reads all files into the network, reports the rows that need attention, and writes nothing.
fn try_everything(args: &Args) -> Result<Tried, Failure> {
    let config = args.data_dir.resolve(args.plan.given.clone())?;
    if let Some(bonuses) = &args.bonuses {
        // One file for both would be refused row by row, or be a drained pipe.
        files::refuse_same(&[
            Named { how: "FILE", path: &args.file },
            Named { how: "--bonuses", path: bonuses },
        ])?;
    }
    let (member_layout, bonus_layout) = (args.files.member_layout()?, args.files.bonus_layout()?);
    let clock = ClockRule::of(&config, args.accept_clock);
    let mut target =
        Target::open(config.data_dir.clone(), log_options(&config), plan_choice(&config)?, clock)?;
    let reading = args.files.reading(target.network.state.plan());
    let taken = take_members(&args.file, &member_layout, &reading, &mut target.network)?;
    let bonuses = match &args.bonuses {
        Some(path) => take_bonuses(path, &bonus_layout, &reading, &mut target.network)?,
        None => TakenBonuses::default(),
    };
    let members = &taken.rows;
    report_refused(&args.file, &members.refused);
    for (line, member, difference) in &members.differing {
        screen::tell(&format!(
            "{}: line {line}: {}: is there already, {difference}",
            args.file.display(),
            visible(member)
        ));
    }
    report_refused(args.bonuses.as_deref().unwrap_or(Path::new("")), &bonuses.refused);
    Ok(Tried { target, taken, bonuses })
}

fn take_members(
    path: &Path,
    layout: &Layout,
    reading: &Reading,
    network: &mut Network,
) -> Result<TakenMembers, Failure> {
    let before = network.state.len();
    let mut intake = Intake::new(network, reading.update);
    // Anything but a file, such as a pipe, can be read only once.
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    if is_file {
        let mut lines = Lines::open(path, layout, |source| source).map_err(file_failure)?;
        declare(&mut lines, &mut intake)?;
    }
    let meter = Meter::new(path, "members");
    let mut lines = meter.open(layout).map_err(file_failure)?;
    note_ignored(path, &lines);
    let rows = each_member(&mut lines, intake, !is_file, reading)?;
    note_missing_rows(path, &lines);
    let is_root = |member: &u32| network.state.member(MemberIx(*member)).sponsor.is_none();
    let roots = (before..network.state.len()).filter(is_root).count() as u64;
    Ok(TakenMembers { rows, empty: lines.empty, roots, hash: meter.finish() })
}

/// Declares all members of a file to the intake.
pub(super) fn declare(lines: &mut Lines, intake: &mut Intake<'_>) -> Result<(), Failure> {
    let named = |row: NextRow<'_>| Some(Name::parse(row.ok()?.cell(0)).ok()?.ids());
    each_batch(
        lines,
        |rows| rows.filter_map(named).collect::<Vec<Ids>>(),
        |members| {
            members.iter().for_each(|member| intake.declare(member));
            ControlFlow::Continue(())
        },
    )
}

/// Reads a file to its end: its rows are split on one thread, parsed in batches on others, and handed on in
/// order on this one, unless `take` has had enough.
pub(super) fn each_batch<T: Send>(
    lines: &mut Lines,
    parse: impl Fn(&mut dyn Iterator<Item = NextRow<'_>>) -> T + Sync,
    take: impl FnMut(T) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let columns = lines.columns();
    each_parsed(|| lines.next_batch(), |batch| parse(&mut columns.rows(&batch)), take)
}

/// The same of a file in batches of any kind.
pub(super) fn each_parsed<B: Send, T: Send>(
    mut next: impl FnMut() -> Result<Option<B>, FileFault> + Send,
    parse: impl Fn(B) -> T + Sync,
    mut take: impl FnMut(T) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let mut is_readable = true;
    let read = in_order(
        || {
            let batch = next().transpose().filter(|_| is_readable);
            is_readable = matches!(batch, Some(Ok(_)));
            batch
        },
        |batch| batch.map(&parse),
        |parsed| match take(parsed.map_err(Some)?) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(None),
        },
    );
    match read {
        Err(Some(fault)) => Err(file_failure(fault)),
        Ok(()) | Err(None) => Ok(()),
    }
}

/// Imports every row of a member file. Unless all its members were declared before, its rows are buffered in
/// memory until they are.
pub(super) fn each_member(
    lines: &mut Lines,
    mut intake: Intake<'_>,
    is_to_declare: bool,
    reading: &Reading,
) -> Result<Taken, Failure> {
    intake.begin();
    let mut kept = Vec::new();
    let read = each_batch(
        lines,
        |rows| rows.map(|row| parse_member(row, reading)).collect::<Vec<ReadRow>>(),
        |batch| {
            if is_to_declare {
                batch.iter().filter_map(member_of).for_each(|member| intake.declare(&member.ids()));
                kept.push(batch);
            } else {
                take_all(&mut intake, batch);
            }
            ControlFlow::Continue(())
        },
    );
    if read.is_ok() {
        kept.into_iter().for_each(|batch| take_all(&mut intake, batch));
    }
    let taken = intake.finish();
    read.map(|()| taken)
}

fn member_of(row: &ReadRow) -> Option<&Name> {
    match row {
        Ok(row) => Some(&row.member),
        Err((_, member, _)) => member.as_ref(),
    }
}

fn take_all(intake: &mut Intake<'_>, batch: Vec<ReadRow>) {
    let mut batch = batch.into_iter();
    while !batch.as_slice().is_empty() {
        let together = batch.as_slice().iter().take(ROWS_PREFETCHED);
        intake.prefetch(together.filter_map(|row| row.as_ref().ok()));
        batch.by_ref().take(ROWS_PREFETCHED).for_each(|row| take(intake, row));
    }
}

fn take(intake: &mut Intake<'_>, row: ReadRow) {
    match row {
        Ok(row) => intake.offer(row),
        Err((line, member, reason)) => intake.refuse(line, member.as_ref(), reason),
    }
}

/// A parsed row, or its line, its member if known, and its fault.
type ReadRow = Result<MemberRow, (u64, Option<Name>, Refusal)>;

fn parse_member(row: NextRow<'_>, reading: &Reading) -> ReadRow {
    let row = row.map_err(|(line, fault)| (line, None, Refusal::Line(fault)))?;
    MemberRow::parse(&row, reading).map_err(|reason| (row.line, Name::parse(row.cell(0)).ok(), reason))
}

fn take_bonuses(
    path: &Path,
    layout: &Layout,
    reading: &Reading,
    network: &mut Network,
) -> Result<TakenBonuses, Failure> {
    let meter = Meter::new(path, "bonuses");
    let mut lines = meter.open(layout).map_err(file_failure)?;
    note_ignored(path, &lines);
    let held = network.state.entries();
    let taken = each_bonus(&mut lines, network, reading)?;
    note_missing_rows(path, &lines);
    meter.finish();
    if taken.already_there < held {
        let message = format!(
            "the network has {held} bonuses already, and {} does not begin with them: \
             importing it could pay twice; nothing was imported",
            path.display()
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok(taken)
}

/// Imports every row of a bonus file, up to the first that differs from the ledger's entry at its position.
pub(super) fn each_bonus(
    lines: &mut Lines,
    network: &mut Network,
    reading: &Reading,
) -> Result<TakenBonuses, Failure> {
    let mut before = bonus_row::Before::new(network.state.entries());
    let mut taken = TakenBonuses::default();
    let exponent = network.state.plan().currency.exponent;
    each_batch(
        lines,
        |rows| rows.map(|row| parse_bonus(row, reading, exponent)).collect::<Vec<ReadBonus>>(),
        |mut batch| {
            for together in batch.chunks_mut(ROWS_PREFETCHED) {
                let ids: Vec<MemberId> = together.iter().flat_map(ids_of).collect();
                let found = network.state.find_receivers(&network.directory, &ids);
                for (row, found) in together.iter_mut().zip(found.as_chunks().0) {
                    take_bonus(row, *found, network, &mut before, &mut taken)?;
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    taken.empty = lines.empty;
    Ok(taken)
}

/// A parsed row, or its line and its fault.
type ReadBonus = Result<BonusRow, (u64, LineFault)>;

fn parse_bonus(row: NextRow<'_>, reading: &Reading, exponent: u8) -> ReadBonus {
    row.map(|row| BonusRow::parse(&row, reading, exponent))
}

/// The ids that the names of a row's members are, or the nil id.
fn ids_of(row: &ReadBonus) -> [MemberId; 2] {
    row.as_ref().map_or([MemberId([0; 16]); 2], BonusRow::ids)
}

/// Imports one bonus, or skips it. `found` are the members with its ids. Breaks off if the ledger has a
/// different entry at its position.
fn take_bonus(
    row: &mut ReadBonus,
    found: [Option<MemberIx>; 2],
    network: &mut Network,
    before: &mut bonus_row::Before,
    taken: &mut TakenBonuses,
) -> ControlFlow<()> {
    let result = match row {
        Err((_, fault)) => Err(Refusal::Line(fault.clone())),
        Ok(row) => row.resolve(network, before, found).and_then(|resolved| post(network, before, resolved)),
    };
    match result {
        Ok(BonusStep::There) => taken.already_there += 1,
        Ok(BonusStep::Taken) => taken.entries += 1,
        Ok(BonusStep::OtherLedger) => return ControlFlow::Break(()),
        Err(reason) => {
            let (line, member) = match row {
                Ok(row) => (row.line, row.receiver_text()),
                Err((line, _)) => (*line, String::new()),
            };
            taken.refused.push(Refused { line, member, reason });
        }
    }
    ControlFlow::Continue(())
}

/// The result of a bonus that was not refused.
enum BonusStep {
    There,
    Taken,
    /// The ledger has a different entry at its position.
    OtherLedger,
}

/// Imports one bonus, which its file may number, or skips it.
fn post(
    network: &mut Network,
    before: &mut bonus_row::Before,
    Resolved { number, entry, members }: Resolved,
) -> Result<BonusStep, Refusal> {
    let is_held = before.is_held();
    if is_held && !bonus_row::is_same(network, &network.state.entry(before.end), &entry) {
        // The ledger has no trace of rows that were refused when it was written.
        return bonus_row::refused_before(network, before, &entry).map_or(Ok(BonusStep::OtherLedger), Err);
    }
    if !is_held {
        network.apply_known(Command::ImportEntry(entry), &members).map_err(Refusal::Rule)?;
    }
    before.pass(&network.state, number);
    Ok(if is_held { BonusStep::There } else { BonusStep::Taken })
}

pub(super) fn file_failure(fault: FileFault) -> Failure {
    Failure::new(Exit::Failed, fault)
}

fn note_ignored(path: &Path, lines: &Lines) {
    if !lines.ignored.is_empty() {
        screen::tell(&format!(
            "{}: columns not read: {}",
            path.display(),
            visible(&lines.ignored.join(", "))
        ));
    }
}

/// For a file that was read to its end: it may be an export of an empty network, or of one that went wrong.
fn note_missing_rows(path: &Path, lines: &Lines) {
    if !lines.has_rows {
        screen::tell(&format!("{}: only a header, and no row", path.display()));
    }
}

/// Prints one line per refused row, however many: the user has to fix each.
fn report_refused(path: &Path, refused: &[Refused]) {
    for row in refused {
        screen::tell(&format!("{}: {row}", path.display()));
    }
}

fn summary(
    args: &Args,
    taken: &TakenMembers,
    bonuses: &TakenBonuses,
    state: &State,
    digest: Digest,
) -> Map<String, Value> {
    let members = &taken.rows;
    let mut reasons = Map::new();
    for refused in members.refused.iter().chain(&bonuses.refused) {
        let count = reasons.entry(refused.reason.name()).or_insert_with(|| 0.into());
        *count = (count.as_u64().unwrap_or(0) + 1).into();
    }
    let object = json!({
        "command": "import",
        "dry_run": args.dry_run,
        "members": members.members,
        "roots": taken.roots,
        "members_already_there": members.already_there,
        "members_updated": members.updated,
        "members_already_there_differing": members.differing.len(),
        "members_refused": members.refused.len(),
        "members_waited": members.waited,
        "names_not_kept_as_codes": members.names_not_kept,
        "names_in_another_case": members.respelled,
        "triggers_kept_once": members.kept_once,
        "bonuses": bonuses.entries,
        "bonuses_already_there": bonuses.already_there,
        "bonuses_refused": bonuses.refused.len(),
        "rows_empty": taken.empty + bonuses.empty,
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

fn in_words(
    args: &Args,
    taken: &TakenMembers,
    bonuses: &TakenBonuses,
    writes: bool,
    started: Instant,
) -> String {
    let members = &taken.rows;
    let verb = match (writes, args.dry_run) {
        (true, _) => "imported",
        (false, true) => "would import",
        (false, false) => "did not import",
    };
    let mut text = format!("{verb} {}", screen::counted(members.members, "member"));
    if members.members != 0 {
        text += &format!(" ({})", screen::counted(taken.roots, "root"));
    }
    if args.bonuses.is_some() {
        text += &format!(" and {}", screen::counted(bonuses.entries, "bonus"));
    }
    text += &format!(
        ", {} refused",
        screen::counted((members.refused.len() + bonuses.refused.len()) as u64, "row")
    );
    let notes = [
        (members.already_there + bonuses.already_there, "already there"),
        (members.updated, "of those set to another status or role"),
        (members.differing.len() as u64, "of those with something else, where what is there stays"),
        (members.waited, "came before their sponsor or parent"),
        (members.names_not_kept, "names could not be kept as referral codes"),
        (members.kept_once, "triggers marked as paid once"),
        (members.respelled, "cells with a name in another case than where it came first"),
    ];
    for (number, note) in notes.into_iter().filter(|(number, _)| *number != 0) {
        text += &format!(", {} {note}", screen::grouped(number));
    }
    let empty = taken.empty + bonuses.empty;
    if empty != 0 {
        text += &format!(", {} passed over", screen::counted(empty, "empty row"));
    }
    text + &format!(" ({:.1} s)", started.elapsed().as_secs_f64())
}

/// Imports a member file from memory.
#[cfg(test)]
pub(super) fn members_from(network: &mut Network, bytes: &[u8], own_sponsor_is_root: bool) -> Taken {
    let is_binary = network.state.plan().placement.width == Some(2);
    read_members(network, bytes, &Reading { own_sponsor_is_root, is_binary, ..Reading::default() })
}

/// The same, with other reading options.
#[cfg(test)]
pub(super) fn read_members(network: &mut Network, bytes: &[u8], reading: &Reading) -> Taken {
    let open = || {
        let file: Box<dyn std::io::Read + Send> = Box::new(std::io::Cursor::new(bytes.to_vec()));
        Lines::read("the file".into(), file, &Layout::new(&super::columns::MEMBER_COLUMNS))
            .expect("the header is right")
    };
    let mut intake = Intake::new(network, reading.update);
    // Files and pipes are read differently, with the same result.
    let is_file = bytes.len().is_multiple_of(2);
    if is_file {
        declare(&mut open(), &mut intake).expect("it can be read");
    }
    each_member(&mut open(), intake, !is_file, reading).expect("it can be read")
}

#[cfg(test)]
#[path = "again_test.rs"]
mod again_test;
#[cfg(test)]
#[path = "resolve_test.rs"]
mod resolve_test;
#[cfg(test)]
#[path = "resume_test.rs"]
mod resume_test;
#[cfg(test)]
#[path = "round_trip_test.rs"]
mod round_trip_test;
