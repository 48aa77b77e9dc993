//! What the repairs of the log and of sealed files say in common.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    command_json::time_text,
    core::types::Timestamp,
    durability::{Damage, repair::Moved},
    version,
};

/// The command that looks at a directory.
pub(super) fn command_line(data_dir: &Path) -> String {
    format!("upline repair --data-dir {}", data_dir.display())
}

/// Damage, as an object.
pub(super) fn problem_json(problem: &Damage) -> Value {
    json!({
        "file": problem.file, "offset": problem.offset, "lsn": problem.lsn, "reason": problem.reason,
        "lost": problem.lost,
    })
}

/// The report of a repair: `object` says what was found and done.
pub(super) fn report_text(mut object: Value, began: Timestamp, moved: &[Moved], is_finished: bool) -> String {
    let files: Vec<Value> = moved
        .iter()
        .map(|moved| {
            let content = moved.content.as_ref();
            let blake3 = content.map(|content| blake3::Hash::from_bytes(content.blake3).to_hex().to_string());
            json!({
                "file": moved.file,
                "kept_as": moved.kept_as,
                "bytes": content.map(|content| content.bytes),
                "crc32c": content.map(|content| format!("{:08x}", content.crc32c)),
                "blake3": blake3,
                "first_lsn": moved.lsns.map(|(first, _)| first),
                "last_whole_lsn": moved.lsns.map(|(_, last)| last),
            })
        })
        .collect();
    object["finished"] = is_finished.into();
    object["began"] = time_text(began).into();
    object["version"] = version::SHOWN.into();
    object["user"] = json!(std::env::var("USER").ok());
    object["files"] = files.into();
    format!("{object:#}\n")
}
