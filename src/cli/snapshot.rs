//! `upline snapshot`: takes a snapshot now, by the running server or, without one, of the directory.

use serde_json::{Value, json};

use super::{
    DataDirArgs,
    exit::{Exit, Failure},
    log_options,
    remote::{self, Remote},
    screen,
    source::suggest_server,
};
use crate::{
    durability::{DataDir, Error, storage::Disk},
    engine::{Engine, EngineOptions, PlanChoice, SnapshotPolicy},
    metrics::Metrics,
    plan_file, time_text,
};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArgs,
    #[command(flatten)]
    remote: remote::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let made = match &args.remote.url {
        Some(url) => by_server(&Remote::new(url, &args.remote)?)?,
        None => of_directory(&args.data_dir).map_err(suggest_server)?,
    };
    let number = |key: &str| made[key].as_u64().unwrap_or_default();
    screen::say_result(args.json, &made, || {
        let what = if made["made"] == false { "nothing changed since the snapshot" } else { "snapshot" };
        format!(
            "{what} at LSN {}: {}, {}",
            number("lsn"),
            screen::counted(number("members"), "member"),
            screen::counted(number("bytes"), "byte")
        )
    })
}

fn by_server(remote: &Remote) -> Result<Value, Failure> {
    let answer = remote.post("/v1/snapshots")?;
    let Value::Object(mut made) = answer.body else {
        return Err(Failure::new(Exit::Refused, "the server's answer is not an object"));
    };
    made.insert("command".into(), "snapshot".into());
    made.entry("made").or_insert_with(|| answer.created.into());
    Ok(Value::Object(made))
}

/// Opens the directory as a server would, takes the snapshot, and closes it again.
fn of_directory(args: &DataDirArgs) -> Result<Value, Failure> {
    let config = args.resolve([].into())?;
    let storage = Disk::shared();
    if DataDir::is_free(&storage, &config.data_dir)? {
        // Opening would create one.
        let reason = "it does not exist or is empty".into();
        return Err(Error::NotADataDirectory { path: config.data_dir, reason }.into());
    }
    let mut loading = screen::Loading::new();
    let plan =
        PlanChoice { plan: plan_file::default_plan(), plan_is_explicit: false, width_is_explicit: false };
    let options = EngineOptions {
        snapshots: SnapshotPolicy { every_commands: None, every: None, on_shutdown: false },
        log: log_options(&config),
        storage,
        progress: Some(Box::new(move |progress| loading.show(progress))),
        ..EngineOptions::new(config.data_dir.clone(), plan, Metrics::new(&[]))
    };
    let (engine, report) = Engine::open(options)?;
    let made = engine.snapshot_now_blocking();
    engine.shutdown();
    let made = made.map_err(|error| Failure::new(Exit::Failed, error))?;
    Ok(json!({
        "command": "snapshot",
        "made": made.lsn != report.snapshot_lsn,
        "lsn": made.lsn,
        "members": made.members,
        "bytes": made.bytes,
        "seconds": made.duration.as_secs_f64(),
        "made_at": time_text::print(made.made_at),
        "state_digest": made.state_digest.to_string(),
        "network_digest": made.network_digest.to_string(),
    }))
}
