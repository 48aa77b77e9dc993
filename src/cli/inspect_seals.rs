//! `upline inspect seals`: shows sealed orders and the networks at boundaries, file by file.
//!
//! As all of `inspect` it takes no lock and loads no network: which seals count, it reads from the newest
//! snapshot and the log after it. With `--json` the types of lines are `seal` and `boundary`, each followed
//! by the `file` lines of its files, `ids`, `leftover`, `damage`, and last `summary`.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};

use super::{
    DataDirArgs,
    exit::{Exit, Failure},
    inspect_lines::{Lines, check_is_directory, hex},
    screen,
};
use crate::durability::{
    Damage, inspect,
    sealed::{self, BoundarySeen, FileSeen, IdsSeen, SealSeen, SealedItem},
    storage::Disk,
};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Counts of items seen.
#[derive(Default)]
struct Summary {
    seals: u64,
    orders: u64,
    refunds: u64,
    boundaries: u64,
    files: u64,
    bytes: u64,
    leftovers: u64,
    damage: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.data_dir.resolve([].into())?;
    let (storage, path) = (Disk::shared(), config.data_dir.as_path());
    check_is_directory(&storage, path)?;
    let named = inspect::named_seals(&storage, path)?;
    let (mut lines, mut summary) = (Lines::new(args.json), Summary::default());
    let mut failed = Ok(());
    sealed::inspect(&*storage, path, &named, &mut |item| {
        failed = show(path, &item, &mut summary, &mut lines);
        failed.is_ok()
    })?;
    failed?;
    show_summary(&summary, &mut lines)?;
    lines.finish()?;
    for damage in &summary.damage {
        screen::tell(&format!("upline: {damage}"));
    }
    if summary.damage.is_empty() {
        return Ok(());
    }
    let places = screen::counted(summary.damage.len() as u64, "place");
    let message = format!("the sealed files of {} are damaged in {places}", path.display());
    Err(Failure::new(Exit::Damaged, message))
}

fn show(root: &Path, item: &SealedItem, summary: &mut Summary, lines: &mut Lines) -> Result<(), Failure> {
    match item {
        SealedItem::Seal(seal) => show_seal(root, seal, summary, lines),
        SealedItem::Boundary(boundary) => show_boundary(boundary, summary, lines),
        SealedItem::Ids(ids) => show_ids(ids, summary, lines),
        SealedItem::Leftover(file) => {
            summary.leftovers += 1;
            lines.line(
                || json!({"what": "leftover", "file": file}),
                || format!("leftover {}: no command names it, and the next start removes it", file.display()),
            )
        }
        SealedItem::Damage(damage) => show_damage(damage, summary, lines),
    }
}

fn show_seal(root: &Path, seal: &SealSeen, summary: &mut Summary, lines: &mut Lines) -> Result<(), Failure> {
    summary.seals += 1;
    let bytes: u64 = seal.files.iter().map(|file| file.bytes).sum();
    lines.line(
        || {
            let manifest = seal.manifest.as_ref().map(|(manifest, hash)| {
                json!({
                    "blake3": hex(hash),
                    "basis_lsn": manifest.basis_lsn,
                    "periods": manifest.periods,
                    "orders": manifest.orders,
                    "lines": manifest.lines,
                    "refunds": manifest.refunds,
                    "supersedes": manifest.supersedes,
                    "digest": hex(&manifest.digest),
                })
            });
            json!({
                "what": "seal", "number": seal.number, "named_by_lsn": seal.named_by, "manifest": manifest,
                "files": seal.files.len(), "bytes": bytes, "ok": seal.damage.is_empty(),
            })
        },
        || seal_text(seal, bytes),
    )?;
    if let Some((manifest, _)) = &seal.manifest {
        summary.orders += manifest.orders;
        summary.refunds += manifest.refunds;
    }
    let rows = |file: &FileSeen| {
        let (manifest, _) = seal.manifest.as_ref()?;
        let listed = manifest.files.iter().find(|listed| root.join(&listed.path) == file.path)?;
        Some((listed.rows, listed.lsns))
    };
    for file in &seal.files {
        show_file(file, rows(file), summary, lines)?;
    }
    seal.damage.iter().try_for_each(|damage| show_damage(damage, summary, lines))
}

fn seal_text(seal: &SealSeen, bytes: u64) -> String {
    let mut text = format!("seal {}", seal.number);
    match &seal.manifest {
        Some((manifest, hash)) => {
            let periods: Vec<String> =
                manifest.periods.iter().map(|(calendar, label)| format!("{calendar} {label}")).collect();
            _ = write!(
                text,
                " up to {}: {}, {}, {}, LSN {}, {} of {} bytes",
                if periods.is_empty() { "no period".into() } else { periods.join(" and ") },
                screen::counted(manifest.orders, "order"),
                screen::counted(manifest.lines, "line"),
                screen::counted(manifest.refunds, "refund"),
                manifest.basis_lsn,
                screen::counted(seal.files.len() as u64, "file"),
                screen::grouped(bytes),
            );
            text += &by_whom(seal.named_by);
            _ = write!(text, "\n  manifest {}", hex(hash));
        }
        None => text += &format!(", without its manifest{}", by_whom(seal.named_by)),
    }
    text
}

fn by_whom(lsn: Option<u64>) -> String {
    lsn.map_or(", named by no command that is known".into(), |lsn| format!(", named by command {lsn}"))
}

fn show_boundary(boundary: &BoundarySeen, summary: &mut Summary, lines: &mut Lines) -> Result<(), Failure> {
    summary.boundaries += 1;
    let manifest = boundary.manifest.as_ref();
    lines.line(
        || {
            json!({
                "what": "boundary", "lsn": boundary.lsn, "manifest": hex(&boundary.hash),
                "members": manifest.map(|manifest| manifest.members),
                "rows": manifest.map(|manifest| manifest.rows),
                "base_lsn": manifest.and_then(|manifest| manifest.base).map(|(lsn, _)| lsn),
                "files": boundary.files.len(), "ok": boundary.damage.is_empty(),
            })
        },
        || {
            let mut text = format!("network at LSN {}", boundary.lsn);
            match manifest {
                Some(manifest) => {
                    let members = screen::counted(manifest.members.into(), "member");
                    let against = manifest.base.map_or("all of it".into(), |(lsn, _)| {
                        format!("{} that differ from LSN {lsn}", screen::counted(manifest.rows, "row"))
                    });
                    _ = write!(text, ": {members}, {against}");
                }
                None => text += ", without its manifest",
            }
            _ = write!(text, "\n  manifest {}", hex(&boundary.hash));
            text
        },
    )?;
    let is_members = |file: &FileSeen| file.path.extension().is_some_and(|extension| extension == "parquet");
    for file in &boundary.files {
        let rows = manifest.filter(|_| is_members(file)).map(|manifest| (manifest.rows, [0, boundary.lsn]));
        show_file(file, rows, summary, lines)?;
    }
    boundary.damage.iter().try_for_each(|damage| show_damage(damage, summary, lines))
}

fn show_file(
    file: &FileSeen,
    rows: Option<(u64, [u64; 2])>,
    summary: &mut Summary,
    lines: &mut Lines,
) -> Result<(), Failure> {
    summary.files += 1;
    summary.bytes += file.bytes;
    lines.line(
        || {
            json!({
                "what": "file", "file": file.path, "bytes": file.bytes, "blake3": hex(&file.hash),
                "rows": rows.map(|(rows, _)| rows), "lsns": rows.map(|(_, lsns)| lsns),
                "verifies": file.verifies,
            })
        },
        || {
            let rows = rows.map_or(String::new(), |(rows, [first, last])| {
                format!(", {}, LSN {first} to {last}", screen::counted(rows, "row"))
            });
            let verdict = if file.verifies { "" } else { " DAMAGE: does not verify" };
            format!(
                "  {}: {} bytes{rows}, blake3 {}{verdict}",
                file.path.display(),
                file.bytes,
                hex(&file.hash)
            )
        },
    )
}

fn show_ids(ids: &IdsSeen, summary: &mut Summary, lines: &mut Lines) -> Result<(), Failure> {
    lines.line(
        || {
            json!({
                "what": "ids", "file": ids.path, "first": ids.first, "last": ids.last, "ids": ids.entries,
                "ok": ids.damage.is_none(),
            })
        },
        || {
            let count = ids.entries.map_or("unreadable".into(), |count| screen::counted(count, "id"));
            format!("ids of seals {} to {} {}: {count}", ids.first, ids.last, ids.path.display())
        },
    )?;
    ids.damage.iter().try_for_each(|damage| show_damage(damage, summary, lines))
}

fn show_damage(damage: &Damage, summary: &mut Summary, lines: &mut Lines) -> Result<(), Failure> {
    summary.damage.push(damage.to_string());
    lines.line(
        || {
            json!({
                "what": "damage", "file": damage.file, "offset": damage.offset, "reason": damage.reason,
                "lost": damage.lost,
            })
        },
        || format!("  DAMAGE {} at byte {}: {}", damage.file.display(), damage.offset, damage.reason),
    )
}

fn show_summary(summary: &Summary, lines: &mut Lines) -> Result<(), Failure> {
    let damaged = summary.damage.len() as u64;
    lines.line(
        || -> Value {
            json!({
                "what": "summary", "ok": damaged == 0, "seals": summary.seals, "orders": summary.orders,
                "refunds": summary.refunds, "boundaries": summary.boundaries, "files": summary.files,
                "bytes": summary.bytes, "leftovers": summary.leftovers, "damaged_places": damaged,
            })
        },
        || {
            format!(
                "{}, {}, {}, {}, {} of {} bytes; {}, {}",
                screen::counted(summary.seals, "seal"),
                screen::counted(summary.orders, "order"),
                screen::counted(summary.refunds, "refund"),
                screen::counted(summary.boundaries, "network"),
                screen::counted(summary.files, "file"),
                screen::grouped(summary.bytes),
                screen::counted(summary.leftovers, "leftover"),
                screen::counted(damaged, "damaged place")
            )
        },
    )
}
