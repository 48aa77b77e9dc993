//! `upline verify`: all offline checks of a data directory.
//!
//! Opening it already checks every byte of the snapshot in use and of the live log, the digest of the
//! snapshot, and the outcome of every replayed command. Retained history is read as well: the older snapshot,
//! archived snapshots and archived log. Then all invariants are checked the slow way: links, slots, counts
//! per level, downlines and ranks against a recount from scratch, the ledger. Nothing is changed.

use std::{path::Path, time::Instant};

use serde_json::{Value, json};

use super::{
    DataDirArgs,
    clock::in_words,
    exit::{Exit, Failure},
    screen,
};
use crate::{
    core::{audit, both, network_digest, state_digest},
    durability::{Damage, past, storage::Disk},
    engine::{self, OpenError},
    time_text,
};

/// Maximum findings printed. Where one thing is wrong, often everything is.
const FINDINGS_MAX: usize = 100;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArgs,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

/// A directory as it opens, and everything that is wrong with it nevertheless.
pub(super) struct Judged {
    pub loaded: engine::Loaded,
    pub findings: Vec<String>,
    /// What is wrong with files of seals.
    pub sealed: Vec<Damage>,
}

impl Judged {
    /// All findings, for people.
    pub fn all_findings(&self) -> Vec<String> {
        let sealed = self.sealed.iter().map(|damage| format!("sealed files: {damage}"));
        self.findings.iter().cloned().chain(sealed).collect()
    }
}

/// Opens a directory as `serve` does, without changing it, and checks everything. What `verify` and `repair`
/// say of a directory that is not refused comes from here.
///
/// # Errors
/// As of an opening.
pub(super) fn judge(data_dir: &Path) -> Result<Judged, Failure> {
    let mut loading = screen::Loading::new();
    let loaded = engine::load(&Disk::shared(), data_dir, &mut |progress| loading.show(progress))?;
    loading.finish();
    let bar = screen::progress("auditing", None, false);
    let (mut findings, past) = both(
        || audit(&loaded.state, FINDINGS_MAX),
        || past(&loaded.files, &loaded.snapshots, &*loaded.log).map_err(OpenError::Data),
    );
    // Damage that opening tolerates is still a finding.
    findings
        .extend(loaded.report.fallbacks.iter().map(|reason| format!("a snapshot was not usable: {reason}")));
    let past = past?;
    let sealed = engine::verify_sealed(&Disk::shared(), data_dir, &loaded.state)?;
    findings.extend(past.iter().map(|(place, damage)| format!("{place}: {damage}")));
    bar.finish_and_clear();
    Ok(Judged { loaded, findings, sealed })
}

/// The failure of a directory that opens, and has findings.
pub(super) fn does_not_verify(data_dir: &Path) -> Failure {
    Failure::new(Exit::VerifyFailed, format!("{} does not verify", data_dir.display()))
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let config = args.data_dir.resolve([].into())?;
    let judged = judge(&config.data_dir)?;
    let (findings, loaded) = (judged.all_findings(), &judged.loaded);
    let state = &loaded.state;
    let (digest, network) = (state_digest(state), network_digest(state));
    for finding in &findings {
        screen::tell(&format!("upline: {finding}"));
    }
    for cut in &loaded.report.cuts {
        screen::tell(&format!("upline: a write that never completed is left out: {cut}"));
    }
    if let Some(cut) = &loaded.files.finished_cut {
        screen::tell(&format!("upline: {cut}"));
    }
    let plan = state.plan();
    let ranks: Vec<Value> = state
        .rank_distribution()
        .iter()
        .zip(0_u16..)
        .map(|(members, rank)| json!({"rank": rank, "name": plan.ranks.name_of(rank), "members": members}))
        .collect();
    let (breakage_levels, breakage_amount) = state.breakage();
    let object = json!({
        "command": "verify",
        "ok": findings.is_empty(),
        "findings": findings,
        "digest": digest.to_string(),
        "network_digest": network.to_string(),
        "members": state.len(),
        "depth": state.depth(),
        "bonuses": state.entries(),
        "bonuses_pending": state.pending(),
        "orders": state.orders_len(),
        "breakage_levels": breakage_levels,
        "breakage_minor_units": breakage_amount.0,
        "ranks": ranks,
        "plan": plan.name,
        "plan_version": state.plan_version(),
        "lsn": state.lsn(),
        "last_command": loaded.report.time.map(time_text::print),
        "clock_ahead_seconds": loaded.report.clock_ahead.as_secs_f64(),
        "clock_behind_seconds": loaded.report.clock_behind.as_secs_f64(),
        "snapshot_lsn": loaded.report.snapshot_lsn,
        "replayed": loaded.report.replayed,
        "log_segments": loaded.files.log_segments,
        "log_bytes": loaded.files.log_bytes,
        "log_groups": loaded.files.log_groups,
        "cuts": loaded.report.cuts,
        "pending_cut": loaded.files.finished_cut.map(
            |cut| json!({"after": cut.after, "last_lsn": cut.last_lsn})
        ),
        "seconds": started.elapsed().as_secs_f64(),
    });
    screen::say_result(args.json, &object, || {
        format!(
            "{}: {}, depth {}, {} ({} pending), plan `{}` version {}, LSN {}\nclock          {}\n\
             digest         {digest}\nnetwork_digest {network}",
            if findings.is_empty() { "everything holds" } else { "NOT everything holds" },
            screen::counted(state.len().into(), "member"),
            screen::grouped(state.depth().into()),
            screen::counted(state.entries(), "bonus"),
            screen::grouped(state.pending()),
            plan.name,
            state.plan_version(),
            state.lsn(),
            in_words(&loaded.report, config.clock_jump_max),
        )
    })?;
    if findings.is_empty() { Ok(()) } else { Err(does_not_verify(&config.data_dir)) }
}
