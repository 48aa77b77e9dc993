//! `upline inspect`: shows the files of a data directory, frame by frame and chunk by chunk, damage included.
//!
//! Read-only, and takes no lock: it works on a damaged directory and next to a running server. A write in
//! progress looks like a torn write.
//!
//! With `--json` every line is one object, and `what` is its type: `segment`, `frame`, `command`, `end`,
//! `missing` (of a log), `snapshot`, `chunk`, `damage` (of a snapshot), those of `inspect_seals.rs`, and last
//! `summary`. `command_json.rs` defines the form of commands.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    DataDirArgs,
    exit::{Exit, Failure},
    inspect_lines::{Lines, check_is_directory, hex},
    inspect_seals, screen,
};
use crate::{
    command_json::{stamped_json, time_text},
    core::{command::Stamped, sections::Section},
    durability::{
        self, Error, Manifest, SnapshotSeen,
        inspect::{
            self, DamageRule, EndSeen, EndVerdict, FrameKind, FrameSeen, LogItem, SegmentHeaderSeen,
            SegmentSeen,
        },
        storage::Disk,
    },
    engine::{RowIds, RowKind},
};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Segments, frames and commands of the log, with what is wrong where
    Log(LogArgs),
    /// Chunks and manifest of a snapshot, or of all of a data directory
    Snapshot(SnapshotArgs),
    /// Sealed orders: manifests, files, ids and networks at boundaries, with what is missing or damaged
    Seals(inspect_seals::Args),
}

#[derive(clap::Args, Debug)]
struct LogArgs {
    #[command(flatten)]
    data_dir: DataDirArgs,
    /// Show frames and commands from this LSN on
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    from: u64,
    /// Show frames and commands up to this LSN
    #[arg(long, value_name = "LSN", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct SnapshotArgs {
    /// A snapshot file; without it, all of the data directory
    #[arg(value_name = "FILE", conflicts_with = "data_dir")]
    file: Option<PathBuf>,
    #[command(flatten)]
    data_dir: DataDirArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Log(args) => inspect_log(args),
        What::Snapshot(args) => inspect_snapshots(args),
        What::Seals(args) => inspect_seals::run(args),
    }
}

/// Counts of items seen.
#[derive(Default)]
struct Summary {
    segments: u64,
    frames: u64,
    commands: u64,
    damage: Vec<String>,
    torn: u64,
    first_lsn: Option<u64>,
    last_lsn: u64,
    durable_lsn: u64,
}

fn inspect_log(args: &LogArgs) -> Result<(), Failure> {
    if args.to < args.from {
        return Err(Failure::new(Exit::Usage, format!("--from {} is after --to {}", args.from, args.to)));
    }
    let config = args.data_dir.resolve([].into())?;
    let (storage, path) = (Disk::shared(), config.data_dir.as_path());
    check_is_directory(&storage, path)?;
    let mut lines = Lines::new(args.json);
    let mut summary = Summary::default();
    let rows = match inspect::instance(&storage, path) {
        Ok(instance) => Some(RowIds::new(instance.row_key)),
        Err(error @ (Error::NewerFormat { .. } | Error::NotADataDirectory { .. })) => {
            return Err(error.into());
        }
        Err(error) => {
            summary.damage.push(error.to_string());
            None
        }
    };
    let mut failed = Ok(());
    inspect::log(&storage, path, &mut |item| {
        failed = show_item(args, rows, item, &mut summary, &mut lines);
        failed.is_ok()
    })?;
    failed?;
    let of_another_history = inspect::log_of_another_history(&storage, path)?;
    summary.damage.extend(of_another_history.map(|why| format!("the log: {why}")));
    show_summary(&summary, &mut lines)?;
    lines.finish()?;
    for damage in &summary.damage {
        screen::tell(&format!("upline: {damage}"));
    }
    if summary.damage.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Damaged,
        format!("the log of {} is damaged in {} places", path.display(), summary.damage.len()),
    ))
}

fn show_item(
    args: &LogArgs,
    rows: Option<RowIds>,
    item: LogItem,
    summary: &mut Summary,
    lines: &mut Lines,
) -> Result<(), Failure> {
    match item {
        LogItem::Segment(segment) => show_segment(&segment, summary, lines),
        LogItem::Frame(frame) => show_frame(args, rows, &frame, summary, lines),
        LogItem::End(end) => show_end(&end, summary, lines),
        LogItem::Missing { from, to } => {
            summary.damage.push(format!("segments {from} to {to} are missing"));
            lines.line(
                || json!({"what": "missing", "from": from, "to": to}),
                || format!("MISSING: segments {from} to {to}"),
            )
        }
    }
}

fn show_segment(segment: &SegmentSeen, summary: &mut Summary, lines: &mut Lines) -> Result<(), Failure> {
    summary.segments += 1;
    summary
        .damage
        .extend(segment.damage.iter().map(|damage| format!("{}: {damage}", segment.file.display())));
    let (state, first_lsn, time, crc) = match segment.header {
        SegmentHeaderSeen::Good { first_lsn, time, crc, .. } => {
            ("good", Some(first_lsn), Some(time), Some(crc))
        }
        SegmentHeaderSeen::NeverUsed => ("never used", None, None, None),
        SegmentHeaderSeen::Newer(_) => ("newer", None, None, None),
        SegmentHeaderSeen::Bad => ("bad", None, None, None),
    };
    let (version, chain) = match segment.header {
        SegmentHeaderSeen::Good { version, chain, .. } => (Some(version), chain),
        SegmentHeaderSeen::Newer(version) => (Some(version), None),
        SegmentHeaderSeen::NeverUsed | SegmentHeaderSeen::Bad => (None, None),
    };
    summary.first_lsn = summary.first_lsn.or(first_lsn);
    lines.line(
        || {
            json!({
                "what": "segment",
                "file": segment.file,
                "number": segment.number,
                "archived": segment.is_archived,
                "bytes": segment.bytes,
                "header": state,
                "format": version,
                "chain_before": chain.map(hex64),
                "first_lsn": first_lsn,
                "time_before": time.map(time_text),
                "crc": crc.map(|crc| format!("{crc:08x}")),
                "damage": segment.damage,
            })
        },
        || {
            let mut text = format!(
                "segment {} {}: {} bytes, header {state}",
                segment.number,
                segment.file.display(),
                segment.bytes
            );
            if let Some((lsn, version)) = first_lsn.zip(version) {
                _ = write!(text, ", format {version}, from LSN {lsn}");
            }
            if let Some(damage) = &segment.damage {
                _ = write!(text, "\n  DAMAGE at byte 0: {damage}");
            }
            text
        },
    )
}

fn show_frame(
    args: &LogArgs,
    rows: Option<RowIds>,
    frame: &FrameSeen,
    summary: &mut Summary,
    lines: &mut Lines,
) -> Result<(), Failure> {
    summary.frames += 1;
    summary.durable_lsn = summary.durable_lsn.max(frame.durable_lsn);
    let commands: &[Stamped] = frame.commands.as_deref().unwrap_or_default();
    summary.commands += commands.len() as u64;
    if let Err(reason) = &frame.commands {
        summary.damage.push(format!(
            "the frame at byte {} (LSN {}) does not decode: {reason}",
            frame.offset, frame.first_lsn
        ));
    }
    let last_lsn = commands.last().map_or(frame.first_lsn, |stamped| stamped.lsn);
    if last_lsn < args.from || args.to < frame.first_lsn {
        return Ok(());
    }
    let kind = match frame.kind {
        FrameKind::Group => "group",
        FrameKind::Mark => "mark",
        FrameKind::Seal => "seal",
    };
    lines.line(
        || {
            json!({
                "what": "frame",
                "offset": frame.offset,
                "bytes": frame.bytes,
                "kind": kind,
                "first_lsn": frame.first_lsn,
                "commands": commands.len(),
                "durable_lsn": frame.durable_lsn,
                "time": time_text(frame.time),
                "outcome_hash": hex64(frame.outcome_hash),
                "chain": frame.chain.map(hex64),
                "header_crc": format!("{:08x}", frame.header_crc),
                "body_crc": format!("{:08x}", frame.body_crc),
                "damage": frame.commands.as_ref().err(),
            })
        },
        || {
            format!(
                "  {:>10} {kind:5} {} bytes, LSN {}, {}, durable {}, crc {:08x}/{:08x}",
                frame.offset,
                frame.bytes,
                frame.first_lsn,
                screen::counted(commands.len() as u64, "command"),
                frame.durable_lsn,
                frame.header_crc,
                frame.body_crc
            )
        },
    )?;
    let bonus_id =
        |entry| rows.map_or(Uuid::nil(), |rows| Uuid::from_bytes(rows.encode(RowKind::Entry, entry)));
    for stamped in commands.iter().filter(|stamped| (args.from..=args.to).contains(&stamped.lsn)) {
        let mut object = stamped_json(stamped, &bonus_id);
        let text = object.to_string();
        object["what"] = "command".into();
        lines.line(|| object, || format!("             {text}"))?;
    }
    Ok(())
}

fn show_end(end: &EndSeen, summary: &mut Summary, lines: &mut Lines) -> Result<(), Failure> {
    summary.last_lsn = end.next_lsn.saturating_sub(1);
    let (verdict, rule, said) = match &end.verdict {
        EndVerdict::Clean if end.is_sealed => {
            ("sealed", "none", "sealed: the log goes on in the next segment".to_owned())
        }
        EndVerdict::Clean => ("clean", "a", "clean: only zeros follow (rule a)".to_owned()),
        EndVerdict::Torn { bytes } => {
            summary.torn += 1;
            let said = format!(
                "{bytes} bytes of a write that never completed and was never acknowledged (rule d), \
                 or one that a server is just making"
            );
            ("torn", "d", said)
        }
        EndVerdict::ShortTrailer => {
            ("short trailer", "none", "the last frame is whole but for the end of its trailer".to_owned())
        }
        EndVerdict::Damaged { rule, reason } => {
            let rule = rule_name(*rule);
            summary.damage.push(format!("damage at byte {} (LSN {}): {reason}", end.offset, end.next_lsn));
            ("damaged", rule, format!("DAMAGE (rule {rule}): {reason}"))
        }
    };
    lines.line(
        || {
            json!({
                "what": "end",
                "offset": end.offset,
                "next_lsn": end.next_lsn,
                "frames": end.frames,
                "verdict": verdict,
                "rule": rule,
                "says": said,
            })
        },
        || format!("  {:>10} end   next LSN {}: {said}", end.offset, end.next_lsn),
    )
}

/// Numbered as in `snapshots/README.md`.
fn rule_name(rule: DamageRule) -> &'static str {
    match rule {
        DamageRule::LaterDurable => "b",
        DamageRule::Complete => "c",
        DamageRule::OutOfPlace => "out of place",
        DamageRule::FramesFollow => "frames follow",
    }
}

fn show_summary(summary: &Summary, lines: &mut Lines) -> Result<(), Failure> {
    lines.line(
        || {
            json!({
                "what": "summary",
                "ok": summary.damage.is_empty(),
                "segments": summary.segments,
                "frames": summary.frames,
                "commands": summary.commands,
                "first_lsn": summary.first_lsn,
                "last_lsn": summary.last_lsn,
                "recorded_durable_lsn": summary.durable_lsn,
                "torn": summary.torn,
                "damage": summary.damage,
            })
        },
        || {
            format!(
                "the whole log: {}, {}, {}, LSN {} to {}, recorded as durable up to {}; {}, {}",
                screen::counted(summary.segments, "segment"),
                screen::counted(summary.frames, "frame"),
                screen::counted(summary.commands, "command"),
                summary.first_lsn.unwrap_or_default(),
                summary.last_lsn,
                summary.durable_lsn,
                screen::counted(summary.torn, "torn end"),
                screen::counted(summary.damage.len() as u64, "damaged place")
            )
        },
    )
}

fn inspect_snapshots(args: &SnapshotArgs) -> Result<(), Failure> {
    let storage = Disk::shared();
    let (files, directory) = match &args.file {
        Some(file) => (vec![file.clone()], None),
        None => {
            let config = args.data_dir.resolve([].into())?;
            check_is_directory(&storage, &config.data_dir)?;
            (inspect::snapshot_files(&storage, &config.data_dir)?, Some(config.data_dir))
        }
    };
    let mut lines = Lines::new(args.json);
    let mut damaged = 0_u64;
    for file in &files {
        let mut seen = durability::inspect_snapshot(&*storage, file)?;
        if let Some((directory, manifest)) = directory.as_ref().zip(seen.manifest.as_ref()) {
            // An unreadable segment is reported by `inspect log`.
            let other = inspect::of_another_history(&storage, directory, manifest).unwrap_or(None);
            seen.damage.extend(other.map(|reason| (0, reason)));
        }
        damaged += seen.damage.len() as u64;
        show_snapshot(file, &seen, &mut lines)?;
        for (offset, reason) in &seen.damage {
            screen::tell(&format!("upline: {} at byte {offset}: {reason}", file.display()));
        }
    }
    lines.line(
        || {
            json!({
                "what": "summary", "ok": damaged == 0, "snapshots": files.len(), "damaged_places": damaged,
            })
        },
        || {
            format!(
                "{}, {}",
                screen::counted(files.len() as u64, "snapshot"),
                screen::counted(damaged, "damaged place")
            )
        },
    )?;
    lines.finish()?;
    if damaged == 0 {
        return Ok(());
    }
    Err(Failure::new(Exit::Damaged, screen::counted(damaged, "damaged place")))
}

fn show_snapshot(file: &Path, seen: &SnapshotSeen, lines: &mut Lines) -> Result<(), Failure> {
    lines.line(
        || {
            json!({
                "what": "snapshot",
                "file": file,
                "bytes": seen.bytes,
                "instance": seen.header.map(
                    |(_, instance, _)| format!("{:032x}", u128::from_be_bytes(instance))
                ),
                "network_id": seen.header.map(|(network, _, _)| network),
                "lsn": seen.header.map(|(_, _, lsn)| lsn),
                "manifest": seen.manifest.as_ref().map(manifest_json),
            })
        },
        || {
            let mut text = format!("snapshot {}: {} bytes", file.display(), seen.bytes);
            if let Some(manifest) = &seen.manifest {
                _ = write!(text, ", {}", manifest_text(manifest));
            }
            text
        },
    )?;
    for chunk in &seen.chunks {
        lines.line(
            || {
                json!({
                    "what": "chunk",
                    "offset": chunk.offset,
                    "section": chunk.section,
                    "rows": chunk.rows,
                    "bytes": chunk.bytes,
                    "checksum": format!("{:016x}", chunk.checksum),
                    "verifies": chunk.verifies,
                })
            },
            || {
                let verdict = if chunk.verifies { "" } else { " DAMAGE: does not verify" };
                format!(
                    "  {:>10} {:8} {}, {} bytes, checksum {:016x}{verdict}",
                    chunk.offset,
                    chunk.section,
                    screen::counted(chunk.rows.into(), "row"),
                    chunk.bytes,
                    chunk.checksum
                )
            },
        )?;
    }
    for (offset, reason) in &seen.damage {
        lines.line(
            || json!({"what": "damage", "offset": offset, "reason": reason}),
            || format!("  {offset:>10} DAMAGE: {reason}"),
        )?;
    }
    Ok(())
}

fn manifest_json(manifest: &Manifest) -> Value {
    let mut value = json!({
        "lsn": manifest.lsn,
        "durable_lsn": manifest.durable_lsn,
        "time": time_text(manifest.time),
        "chunks": manifest.chunks,
        "state_digest": hex(&manifest.state_digest),
        "network_digest": hex(&manifest.network_digest),
        "outcome_hash": hex64(manifest.outcome_hash),
        "chain": manifest.chain.map(hex64),
        "checksums": format!("{:016x}", manifest.checksums),
    });
    for section in Section::IN_ORDER {
        value[section.name()] = manifest.rows[section].into();
    }
    value
}

fn manifest_text(manifest: &Manifest) -> String {
    // Sections that were added later are named if they hold anything.
    let rows: Vec<String> = Section::IN_ORDER
        .into_iter()
        .filter(|section| section.since() == 1 || manifest.rows[*section] != 0)
        .map(|section| format!("{} {}", manifest.rows[section], section.name().replace('_', " ")))
        .collect();
    let rows = rows.join(", ");
    format!(
        "LSN {}, durable {}, {rows}\n  state digest   {}\n  network digest {}",
        manifest.lsn,
        manifest.durable_lsn,
        hex(&manifest.state_digest),
        hex(&manifest.network_digest)
    )
}

fn hex64(number: u64) -> String {
    format!("{number:016x}")
}
