//! `upline repair`: diagnoses a data directory that is refused, and repairs it.
//!
//! By default it only reports: what is wrong, where, what a repair would do, what would be lost. `--apply`
//! carries out repairs without loss. Commands that may have been acknowledged are dropped only if the user
//! repeats the last good LSN from the report: `--drop-acknowledged-after LSN`. Files that are removed are
//! kept whole in `damaged-<time>/` of the data directory, next to `report.json` and `dropped.ndjson`.

use std::{collections::BTreeSet, path::Path};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    DataDirArgs,
    exit::{Exit, Failure},
    repair_report::{command_line, problem_json, report_text},
    repair_sealed, screen,
    verify::{does_not_verify, judge},
};
use crate::{
    command_json::stamped_json,
    core::{command::Stamped, types::Timestamp},
    durability::{
        Error,
        repair::{Look, Moved, Papers, Repair, Verdict},
        storage::Disk,
    },
    engine::{self, RowIds, RowKind},
};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArgs,
    /// Carry the repair out, if it loses nothing
    #[arg(long, conflicts_with = "drop_acknowledged_after")]
    apply: bool,
    /// Carry the repair out and drop all commands after this LSN, acknowledged or not; it must be the last
    /// good LSN that the look names
    #[arg(long, value_name = "LSN")]
    drop_acknowledged_after: Option<u64>,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.data_dir.resolve([].into())?;
    let data_dir = config.data_dir.as_path();
    let mut repair =
        Repair::look(&Disk::shared(), data_dir).map_err(|error| beyond_repair(error, data_dir))?;
    rule_out_others(&mut repair, data_dir)?;
    // The findings about a directory that opens are those of `verify`.
    for problem in repair.found().problems.iter().filter(|_| repair.found().verdict != Verdict::Healthy) {
        screen::tell(&format!("upline: {problem}"));
    }
    if let Some(cut) = &repair.found().pending_cut {
        screen::tell(&format!("upline: {cut}"));
    }
    if !decide(args, &mut repair)? {
        let look = repair.found().clone();
        // Its locks are needed to open the directory.
        drop(repair);
        return show(args, data_dir, &look);
    }
    let look = repair.found().clone();
    let now = jiff::Timestamp::now();
    let name = format!("damaged-{}", now.strftime("%Y%m%dT%H%M%S%3fZ"));
    let rows = RowIds::new(repair.instance().row_key);
    let mut writer = Writer { began: Timestamp(now.as_microsecond()), rows, look: &look };
    let kept_in = repair.carry_out(&name, &mut writer)?;
    drop(repair);
    let report = kept_in.join("report.json");
    // What the files hold is judged as well, as `verify` does.
    let judged = judge(data_dir)?;
    let findings = judged.all_findings();
    for finding in &findings {
        screen::tell(&format!("upline: {finding}"));
    }
    let mut object = object_of(&look);
    object["kept_in"] = json!(kept_in);
    object["report"] = json!(report);
    object["findings"] = json!(findings);
    screen::say_result(args.json, &object, || {
        let dropped = match look.verdict {
            Verdict::WouldLose => format!(
                "dropped everything after LSN {}, and what is of another history; {} of it could be read: {}",
                look.last_good_lsn,
                screen::counted(look.dropped.commands, "command"),
                kept_in.join("dropped.ndjson").display()
            ),
            Verdict::Healthy | Verdict::WithoutLoss => "nothing was dropped".into(),
        };
        format!(
            "repaired up to LSN {}\n{dropped}\nwhat was taken away, and the report: {}",
            look.last_good_lsn,
            report.display()
        )
    })?;
    match (findings.is_empty(), judged.findings.is_empty()) {
        (true, _) => Ok(()),
        (false, false) => Err(does_not_verify(data_dir)),
        (false, true) => Err(Failure::new(
            Exit::VerifyFailed,
            format!("the log is repaired; now look at the sealed files: {}", command_line(data_dir)),
        )),
    }
}

/// Finds out whether snapshots that reach further than the log can be later states of its network. Those that
/// lack its members are of another history, and no loss.
fn rule_out_others(repair: &mut Repair, data_dir: &Path) -> Result<(), Failure> {
    let further = match repair.found().verdict {
        Verdict::WouldLose => repair.further()?,
        Verdict::Healthy | Verdict::WithoutLoss => Vec::new(),
    };
    if further.is_empty() {
        return Ok(());
    }
    // A log that does not replay decides nothing.
    let Ok(loaded) = engine::load(&repair.tried_out()?, data_dir, &mut |_| {}) else { return Ok(()) };
    let mut others = BTreeSet::new();
    for (path, mut snapshot) in further {
        if !engine::may_continue(&loaded.state, &mut snapshot)? {
            others.insert(path);
        }
    }
    if others.is_empty() { Ok(()) } else { Ok(repair.rule_out(&others)?) }
}

/// Decides whether to carry out the repair, and chooses the way that was named.
fn decide(args: &Args, repair: &mut Repair) -> Result<bool, Failure> {
    let look = repair.found();
    let refuse = |reason: String| Err(Failure::new(Exit::Usage, format!("{reason}; nothing was changed")));
    match (look.verdict, args.drop_acknowledged_after) {
        (Verdict::WouldLose, Some(after)) => {
            let lsns = [look].into_iter().chain(&look.others).map(|way| way.last_good_lsn.to_string());
            let lsns: Vec<String> = lsns.collect();
            if repair.choose(after) {
                return Ok(true);
            }
            refuse(format!("{after} is not the last good LSN, which is {}", lsns.join(" or ")))
        }
        (Verdict::WithoutLoss, None) => Ok(args.apply),
        (Verdict::WithoutLoss, Some(_)) => {
            refuse("this can be repaired without dropping anything: --apply".into())
        }
        (Verdict::Healthy, Some(_)) => refuse("nothing of the log is damaged".into()),
        (Verdict::Healthy | Verdict::WouldLose, None) => Ok(false),
    }
}

/// Looks at what no file of the log shows. Files that all verify may still hold a network that does not: the
/// directory is healthy only if `verify` has no finding either. Sealed files are repaired here.
fn look_further(args: &Args, data_dir: &Path, look: &Look) -> Result<(), Failure> {
    let judged = judge(data_dir)?;
    let mut object = object_of(look);
    let findings = judged.all_findings();
    object["findings"] = json!(findings);
    if judged.findings.is_empty() {
        let how = repair_sealed::How { apply: args.apply, json: args.json };
        return repair_sealed::run(&how, data_dir, judged, object, &text_of(look));
    }
    for finding in &findings {
        screen::tell(&format!("upline: {finding}"));
    }
    object["verdict"] = "beyond repair".into();
    screen::say_result(args.json, &object, || {
        "every file is whole, and what they hold does not verify: this is nothing that a repair mends".into()
    })?;
    Err(does_not_verify(data_dir))
}

/// Reports the findings, and exits accordingly.
fn show(args: &Args, data_dir: &Path, look: &Look) -> Result<(), Failure> {
    if look.verdict == Verdict::Healthy {
        return look_further(args, data_dir, look);
    }
    let mut object = object_of(look);
    object["findings"] = json!([]);
    screen::say_result(args.json, &object, || text_of(look))?;
    let line = command_line(data_dir);
    match look.verdict {
        Verdict::Healthy => Ok(()),
        Verdict::WithoutLoss => Err(Failure::new(
            Exit::Repairable,
            format!("nothing was changed; this repairs it: {line} --apply"),
        )),
        Verdict::WouldLose => {
            let others: Vec<String> = look
                .others
                .iter()
                .map(|way| {
                    format!(
                        " Or, as the other way above: {line} --drop-acknowledged-after {}",
                        way.last_good_lsn
                    )
                })
                .collect();
            Err(Failure::new(
                Exit::WouldLose,
                format!(
                    "nothing was changed. A backup that is whole up to LSN {} or beyond loses nothing, \
                     or less. Without one, this drops what comes after LSN {}, acknowledged or not: \
                     {line} --drop-acknowledged-after {}{}",
                    look.known_lsn,
                    look.last_good_lsn,
                    look.last_good_lsn,
                    others.concat()
                ),
            ))
        }
    }
}

fn text_of(look: &Look) -> String {
    let mut lines = vec![match look.verdict {
        Verdict::Healthy => format!("healthy: every file verifies, up to LSN {}", look.last_good_lsn),
        Verdict::WithoutLoss => {
            format!("can be repaired without loss: everything up to LSN {} is there", look.last_good_lsn)
        }
        Verdict::WouldLose => {
            format!(
                "would lose commands: whole up to LSN {}, known to reach LSN {} or beyond",
                look.last_good_lsn, look.known_lsn
            )
        }
    }];
    lines.extend(loss_of(look));
    for other in &look.others {
        lines.push(format!(
            "another way keeps LSN {} (snapshot of LSN {} and the log after it), and drops other commands:",
            other.last_good_lsn, other.snapshot_lsn
        ));
        lines.extend(loss_of(other));
    }
    lines.join("\n")
}

/// What a way drops, and its steps.
fn loss_of(look: &Look) -> Vec<String> {
    let mut lines = Vec::new();
    if look.verdict == Verdict::WouldLose {
        let dropped = look.dropped;
        lines.push(match dropped.commands {
            0 => "no command that it drops can be read any more".into(),
            count => format!(
                "{} that it drops can still be read, LSN {} to {}",
                screen::counted(count, "command"),
                dropped.first_lsn,
                dropped.last_lsn
            ),
        });
    }
    lines.extend(look.steps.iter().map(|step| format!("  would {step}")));
    lines
}

fn object_of(look: &Look) -> Value {
    let problems: Vec<Value> = look.problems.iter().map(problem_json).collect();
    let range = (look.dropped.commands != 0).then_some((look.dropped.first_lsn, look.dropped.last_lsn));
    json!({
        "command": "repair",
        "verdict": match look.verdict {
            Verdict::Healthy => "healthy",
            Verdict::WithoutLoss => "without loss",
            Verdict::WouldLose => "would lose",
        },
        "problems": problems,
        "snapshot_lsn": look.snapshot_lsn,
        "last_good_lsn": look.last_good_lsn,
        "known_lsn": look.known_lsn,
        "dropped_commands": look.dropped.commands,
        "dropped_first_lsn": range.map(|(first, _)| first),
        "dropped_last_lsn": range.map(|(_, last)| last),
        "steps": look.steps,
        "others": look.others.iter().map(object_of).collect::<Vec<_>>(),
        "pending_cut": look.pending_cut.map(|cut| json!({"after": cut.after, "last_lsn": cut.last_lsn})),
    })
}

/// The failure for damage that cannot be repaired from the directory, with an alternative.
fn beyond_repair(error: Error, data_dir: &Path) -> Failure {
    let Error::Damaged(damage) = &error else { return error.into() };
    let way_out = if damage.file == data_dir.join("instance") {
        "It holds the keys of this network and cannot be recomputed, but it never changes: put the file \
         `instance` of any backup or copy of this very directory, however old, in its place, and look again. \
         Without one, restore a whole backup"
    } else if damage.file == data_dir.join("log").join("cut") {
        "If this file is from another copy of the directory, move it away and look again. Otherwise restore \
         a backup; without one, move it away too: what it was to drop was never acknowledged, and stays then"
    } else {
        "There is nothing to begin from: restore a backup; or put a snapshot of this directory from a \
         backup, however old, into `snapshots`, and look again: where the log goes back far enough it \
         makes up for the rest"
    };
    Failure::new(
        Exit::Damaged,
        format!("{damage}\nnothing was changed, and this cannot be repaired from what is here. {way_out}"),
    )
}

/// Writes the records of a repair.
struct Writer<'a> {
    began: Timestamp,
    rows: RowIds,
    look: &'a Look,
}

impl Papers for Writer<'_> {
    fn command(&mut self, stamped: &Stamped) -> String {
        let bonus_id = |entry| Uuid::from_bytes(self.rows.encode(RowKind::Entry, entry));
        format!("{}\n", stamped_json(stamped, &bonus_id))
    }

    fn report(&mut self, moved: &[Moved], is_finished: bool) -> String {
        let mut object = object_of(self.look);
        object["dropped_in"] = "dropped.ndjson".into();
        report_text(object, self.began, moved, is_finished)
    }
}
