//! `bench import`: imports a CSV file into an empty directory with the program itself, until it is durable
//! (P7).

use std::{
    io::{self, BufWriter, Write},
    path::Path,
    time::Duration,
};

use super::{Args, Report, child::Child, disk, on_disk, stop_if_asked, timing::rate};
use crate::{
    cli::{
        exit::{Exit, Failure},
        interrupt::Interrupt,
        scratch::Scratch,
    },
    core::{
        plan::Plan,
        types::{MemberIx, Timestamp, Tree},
    },
    durability::storage::Disk,
    engine, private_file,
    shapes::{self, Shape, member_id},
    time_text,
};

/// The two files that P7 names.
const BINARY_MEMBERS: u32 = 2_000_000;
const BINARY_LONGEST: Duration = Duration::from_secs(4);
const MEMBERS: u32 = 10_000_000;
const LONGEST: Duration = Duration::from_secs(20);
/// Minimum share of the disk's rate for the same bytes.
const DISK_SHARE_MIN: f64 = 0.8;

/// Join time of the first member, 2025-01-01, and the interval between members.
const FIRST_JOINED: i64 = 1_735_689_600_000_000;
const JOINED_EVERY: i64 = 1_000_000;

/// Members between two checks for interruption.
const LOOK_EVERY: u32 = 4_096;

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let shape = args.shape(Shape::Real);
    let mut binary = args.plan()?;
    binary.placement.width = Some(2);
    let binary = Content::Binary(binary);
    let all = [(binary, BINARY_MEMBERS, BINARY_LONGEST), (Content::Sponsors(args.plan()?), MEMBERS, LONGEST)];
    all.into_iter()
        .map(|(file, members, longest)| one(args, &file, shape, (members, longest), interrupt))
        .collect()
}

/// The content of the imported file.
enum Content {
    /// A tree of width 2 with explicit parents.
    Binary(Plan),
    /// Sponsors only; the plan determines the parents.
    Sponsors(Plan),
}

impl Content {
    fn plan(&self) -> &Plan {
        let (Content::Binary(plan) | Content::Sponsors(plan)) = self;
        plan
    }
}

fn one(
    args: &Args,
    file: &Content,
    shape: Shape,
    (full, longest): (u32, Duration),
    interrupt: &Interrupt,
) -> Result<Report, Failure> {
    let members = args.members(full);
    let (name, plan) = (if matches!(file, Content::Binary(_)) { "binary" } else { "sponsors" }, file.plan());
    let what = if matches!(file, Content::Binary(_)) {
        "2 M members of an unbalanced binary tree"
    } else {
        "10 M members"
    };
    let target = format!("P7: {what} in <= {} s, or 80% of the disk's rate", longest.as_secs());
    let mut report = args.report("import", target, members, shape, plan);
    report.param("file", name);
    let scratch = args.scratch()?;
    let csv = scratch.folder().join("members.csv");
    write_csv(&csv, file, shape, members, args.seed, interrupt)?;
    let (csv_bytes, read_rate) = disk::read_rate(&csv)?;
    let ended = import(&scratch, &csv, plan, interrupt)?;
    if ended.said["members"] != members {
        return Err(Failure::new(
            Exit::Failed,
            format!("the import did not take all members: {}", ended.said),
        ));
    }
    let (snapshot_bytes, _) = disk::read_rate(&disk::largest_file(&scratch.data_dir().join("snapshots"))?)?;
    let write_rate = disk::write_rate(scratch.folder(), snapshot_bytes)?;
    report.figure("seconds", ended.took.as_secs_f64());
    report.figure("members_per_second", rate(members.into(), ended.took));
    report.figure("csv_bytes", csv_bytes);
    report.figure("snapshot_bytes", snapshot_bytes);
    if let Some(peak) = ended.peak_bytes {
        report.figure("peak_bytes", peak);
    }
    report.digest = Some(digest(&scratch)?);
    report.limit("disk_write_bytes_per_second", write_rate);
    report.limit("cached_read_bytes_per_second", read_rate);
    let bound = csv_bytes as f64 / read_rate + snapshot_bytes as f64 / write_rate;
    report.limit("read_and_write_seconds", bound);
    report.compare(bound, ended.took.as_secs_f64());
    let keeps = ended.took <= longest || DISK_SHARE_MIN * ended.took.as_secs_f64() <= bound;
    report.met = (members == full && shape == Shape::Real).then_some(keeps);
    Ok(report)
}

fn import(
    scratch: &Scratch,
    csv: &Path,
    plan: &Plan,
    interrupt: &Interrupt,
) -> Result<super::child::Ended, Failure> {
    let (csv, data_dir) = (csv.display().to_string(), scratch.data_dir().display().to_string());
    let width = plan.placement.width.map(|width| width.to_string());
    let mut arguments = vec!["import", &csv, "--json", "--strict", "--data-dir", &data_dir];
    if let Some(width) = &width {
        arguments.extend(["--max-children", width]);
    }
    Child::run(scratch.folder(), &arguments, interrupt)
}

/// Returns the digest of what follows from the file: the keys of a new network, from which codes are derived,
/// are random.
fn digest(scratch: &Scratch) -> Result<String, Failure> {
    let loaded = engine::load(&Disk::shared(), &scratch.data_dir(), &mut |_| {})?;
    let mut hash = blake3::Hasher::new();
    for member in (0..loaded.state.len()).map(MemberIx) {
        let (row, rank) = (loaded.state.member(member), loaded.state.rank(member));
        let numbers = [
            MemberIx::to_column(row.sponsor),
            MemberIx::to_column(row.parent),
            row.slot,
            row.level,
            rank.paid_as.into(),
        ];
        let mut bytes = [0; 44];
        bytes[..16].copy_from_slice(&row.id.0);
        bytes[16..24].copy_from_slice(&row.joined_at.0.to_le_bytes());
        bytes[24..]
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(numbers)
            .for_each(|(place, number)| *place = number.to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// Writes a file as other systems export it: ids as text, times as text.
fn write_csv(
    path: &Path,
    file: &Content,
    shape: Shape,
    members: u32,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let network = match file {
        Content::Binary(plan) => Some(on_disk::grown(plan, shape, members, seed, interrupt)?),
        Content::Sponsors(_) => None,
    };
    let named =
        |number: Option<u32>| number.map(|number| member_id(seed, number).to_string()).unwrap_or_default();
    let failed =
        |error: io::Error| Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()));
    let mut out = BufWriter::with_capacity(1 << 20, private_file::create_anew(path).map_err(failed)?);
    writeln!(out, "member,sponsor,parent,joined_at").map_err(failed)?;
    for (number, sponsor) in (0..members).zip(shapes::sponsors(shape, members, seed)) {
        if number.is_multiple_of(LOOK_EVERY) {
            stop_if_asked(interrupt)?;
        }
        let parent = network
            .as_ref()
            .and_then(|network| network.state.upline(Tree::Placement, MemberIx(number)).next());
        let joined_at = time_text::print(Timestamp(FIRST_JOINED + i64::from(number) * JOINED_EVERY));
        let (member, sponsor, parent) =
            (member_id(seed, number), named(sponsor), named(parent.map(|parent| parent.0)));
        writeln!(out, "{member},{sponsor},{parent},{joined_at}").map_err(failed)?;
    }
    out.flush().map_err(failed)
}
