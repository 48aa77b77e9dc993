//! `upline repair`, the part about sealed files: what is lost of them is made again from log and snapshots,
//! or named with the way out.

use std::{fmt::Write, path::Path};

use serde_json::{Value, json};

use super::{
    exit::{Exit, Failure},
    repair_report::{command_line, problem_json, report_text},
    screen,
    verify::{Judged, judge},
};
use crate::{
    core::types::Timestamp,
    durability::storage::Disk,
    engine::{LeftDamaged, SealedLook, SealedRepair},
};

/// What was asked for.
pub(super) struct How {
    pub apply: bool,
    pub json: bool,
}

/// Looks at the sealed files of a directory whose log is whole, and repairs them if that was asked for.
/// `object` and `text` say what the look at the log found.
pub(super) fn run(
    how: &How,
    data_dir: &Path,
    judged: Judged,
    mut object: Value,
    text: &str,
) -> Result<(), Failure> {
    let repair = SealedRepair::new(&Disk::shared(), data_dir, judged.loaded);
    let look = repair.look(judged.sealed)?;
    add(&mut object, &look);
    if look.is_healthy() {
        return screen::say_result(how.json, &object, || format!("{text}{}", leftovers(&look)));
    }
    look.problems.iter().for_each(|problem| screen::tell(&format!("upline: {problem}")));
    look.left.iter().for_each(|left| screen::tell(&format!("upline: {}", way_out(left))));
    if !how.apply || look.steps.is_empty() {
        screen::say_result(how.json, &object, || in_words(&look))?;
        return Err(not_repaired(&look, data_dir));
    }
    let now = jiff::Timestamp::now();
    let name = format!("damaged-{}", now.strftime("%Y%m%dT%H%M%S%3fZ"));
    let began = Timestamp(now.as_microsecond());
    let told = object.clone();
    let mut report = |moved: &[_], is_finished| report_text(told.clone(), began, moved, is_finished);
    let kept_in = repair.carry_out(&look, &name, &mut report)?;
    // Its locks are needed to open the directory.
    drop(repair);
    let findings = judge(data_dir)?.all_findings();
    findings.iter().for_each(|finding| screen::tell(&format!("upline: {finding}")));
    let report = kept_in.join("report.json");
    object["kept_in"] = json!(kept_in);
    object["report"] = json!(report);
    object["findings"] = json!(findings);
    screen::say_result(how.json, &object, || {
        let done: Vec<String> = look.steps.iter().map(|step| format!("done: {step}")).collect();
        format!("{}\nwhat was taken away, and the report: {}", done.join("\n"), report.display())
    })?;
    if findings.is_empty() { Ok(()) } else { Err(beyond(&look)) }
}

/// Adds what was found of sealed files.
fn add(object: &mut Value, look: &SealedLook) {
    let left = look.left.iter().map(|left| {
        let blake3 = left.blake3.map(|hash| blake3::Hash::from_bytes(hash).to_hex().to_string());
        json!({
            "file": left.damage.file, "of": left.of, "reason": left.reason, "blake3": blake3,
            "found": left.damage.reason,
        })
    });
    if !look.is_healthy() {
        object["verdict"] = match (look.steps.is_empty(), look.left.is_empty()) {
            (_, true) => "without loss".into(),
            (false, false) => "in part".into(),
            (true, false) => "beyond repair".into(),
        };
        object["problems"] = look.problems.iter().map(problem_json).collect();
        object["steps"] = json!(look.steps);
    }
    object["left"] = left.collect();
    object["leftovers"] = json!(look.leftovers);
}

/// What is not made again, and what to do about it.
fn way_out(left: &LeftDamaged) -> String {
    let LeftDamaged { damage, of, reason, blake3 } = left;
    let file = damage.file.display();
    let mut text = format!("{file} ({of}) cannot be made again: {reason}. ");
    match blake3 {
        Some(hash) => {
            let hash = blake3::Hash::from_bytes(*hash).to_hex();
            _ = write!(text, "Put it back from a backup: its BLAKE3 is {hash}");
        }
        None => text += "What it needs has to be put back from a backup first; then look again",
    }
    text
}

fn in_words(look: &SealedLook) -> String {
    let mut lines = vec!["log and snapshots are whole; sealed files are not".to_owned()];
    lines.extend(look.steps.iter().map(|step| format!("  would {step}")));
    lines.extend(look.leftovers.iter().map(|file| format!("  would move {} aside", file.display())));
    lines.join("\n")
}

fn leftovers(look: &SealedLook) -> String {
    match look.leftovers.len() {
        0 => String::new(),
        count => format!(
            "\n{} of seals that were not completed: the next start removes them",
            screen::counted(count as u64, "file")
        ),
    }
}

fn not_repaired(look: &SealedLook, data_dir: &Path) -> Failure {
    if look.steps.is_empty() {
        return beyond(look);
    }
    let rest = match look.left.len() {
        0 => String::new(),
        count => format!(", all but {}", screen::counted(count as u64, "file")),
    };
    let line = command_line(data_dir);
    Failure::new(
        Exit::Repairable,
        format!("nothing was changed; this repairs the sealed files{rest}: {line} --apply"),
    )
}

fn beyond(look: &SealedLook) -> Failure {
    let count = screen::counted(look.left.len() as u64, "sealed file");
    Failure::new(
        Exit::Damaged,
        format!(
            "{count} cannot be made again from what is here: put back what is named above, and look again"
        ),
    )
}
