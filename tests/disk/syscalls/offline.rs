//! Commands that write to a directory without serving it, killed and failing at each of their calls: the
//! first `keys create`, and an `import --strict` into an existing network.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use upline::{
    config::AuthConfig,
    core::audit,
    engine::{Engine, EngineOptions, LogOptions, PlanChoice, state_digest},
    http::auth::Gate,
    metrics::Metrics,
};

use super::{
    copy,
    traced::{self, Fault, Point},
};
use crate::{common, proof};

const FAULTS: &[Fault] = &[Fault::Kill, Fault::Error("EIO"), Fault::Error("ENOSPC")];
const CALLS: [(&str, &[Fault]); 8] = [
    ("openat", FAULTS),
    ("write", FAULTS),
    ("fsync", FAULTS),
    ("rename", FAULTS),
    ("unlink", FAULTS),
    ("mkdir", FAULTS),
    ("flock", FAULTS),
    ("ftruncate", FAULTS),
];

/// Small segments, so that an import spans several of them.
const SEGMENT_BYTES: (&str, &str) = ("UPLINE_SEGMENT_BYTES", "1048576");

/// Runs the program without `strace`, to completion.
pub fn run_plainly(arguments: &[String]) -> std::process::Output {
    let mut command = Command::new(common::binary());
    command.args(arguments).env_clear().env(SEGMENT_BYTES.0, SEGMENT_BYTES.1).output().expect("it starts")
}

/// Runs the program under `strace`, to completion.
fn run(strace: &[&str], arguments: &[&str]) -> ExitStatus {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq"])
        .args(strace)
        .arg(common::binary())
        .args(arguments)
        .env_clear()
        .env(SEGMENT_BYTES.0, SEGMENT_BYTES.1);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("strace starts")
}

/// Returns all points of a run of the program. `data` is the directory that it modifies.
pub fn points(place: &Path, data: &Path, calls: &[(&str, &[Fault])], arguments: &[&str]) -> Vec<Point> {
    let trace = place.join("trace");
    let names: Vec<&str> = calls.iter().map(|(name, _)| *name).collect();
    let status =
        run(&["-o", trace.to_str().expect("UTF-8"), "-e", &format!("trace={}", names.join(","))], arguments);
    assert!(status.success(), "without a fault all goes well");
    traced::points(&fs::read_to_string(trace).expect("a trace"), data, calls)
}

pub fn with_fault(point: &Point, arguments: &[&str]) -> bool {
    run(&["-o", "/dev/null", "-e", &format!("trace={}", point.call), "-e", &point.inject()], arguments)
        .success()
}

/// Returns how a server would find the keys: whether it asks for credentials, or why it does not start.
fn gate(data: &Path) -> Result<bool, String> {
    let address: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let gate = Gate::open(&AuthConfig::default(), data, address, &Metrics::new(&[]));
    gate.map(|gate| gate.is_on()).map_err(|error| error.to_string())
}

#[test]
fn a_first_key_that_is_not_finished_keeps_nobody_from_starting() {
    let _turn = crate::common::turn();
    if !traced::is_there() {
        println!("NOT RUN: strace is not there or may not trace");
        assert!(
            std::env::var_os("UPLINE_PROOF_COMPLETE").is_none(),
            "where the proof is to be complete, strace must work"
        );
        return;
    }
    let place = crate::common::scratch();
    let arguments = |data: &Path| -> Vec<String> {
        ["keys", "create", "--name", "gateway", "--data-dir", data.to_str().expect("UTF-8")]
            .map(str::to_owned)
            .to_vec()
    };
    let first = place.path().join("first");
    let owned = arguments(&first);
    let all = points(place.path(), &first, &CALLS, &owned.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(20 < all.len(), "{}", all.len());
    let (mut open, mut closed) = (0_u64, 0_u64);
    for (number, point) in all.iter().enumerate() {
        let data = place.path().join(format!("data-{number}"));
        let owned = arguments(&data);
        let texts: Vec<&str> = owned.iter().map(String::as_str).collect();
        let is_done = with_fault(point, &texts);
        let asks = gate(&data).unwrap_or_else(|error| panic!("{point:?}: the next start refuses: {error}"));
        assert_eq!(asks, data.join("keys").exists(), "{point:?}");
        assert!(asks || !is_done, "{point:?}: a key was shown, and the door is open");
        *if asks { &mut closed } else { &mut open } += 1;
        // It can be repeated, and from then on a lost file is detected.
        let again = run_plainly(&owned);
        assert!(again.status.success(), "{point:?}: {}", String::from_utf8_lossy(&again.stderr));
        assert_eq!(gate(&data), Ok(true), "{point:?}");
        fs::rename(data.join("keys"), data.join("keys.new")).expect("a file");
        assert!(gate(&data).is_err(), "{point:?}: the keys are gone, and the door is open");
        let again = run_plainly(&owned);
        assert!(!again.status.success(), "{point:?}: the renamed keys were taken for a leftover");
        fs::remove_file(data.join("keys.new")).expect("a file");
        assert!(gate(&data).is_err(), "{point:?}: the keys are gone, and the door is open");
    }
    proof::summary(&format!("keys: points={} open={open} closed={closed} refused=0", all.len()));
    assert!(0 < open && 0 < closed);
}

#[test]
fn a_strict_import_is_all_or_nothing_wherever_it_ends() {
    const THERE: u64 = 200;
    // More than a segment holds.
    const ROWS: u64 = 14_000;
    let _turn = crate::common::turn();
    if !traced::is_there() {
        println!("NOT RUN: strace is not there or may not trace");
        assert!(
            std::env::var_os("UPLINE_PROOF_COMPLETE").is_none(),
            "where the proof is to be complete, strace must work"
        );
        return;
    }
    let place = crate::common::scratch();
    let row =
        |number: u64| if number == 0 { "m0,,\n".to_owned() } else { format!("m{number},m{},\n", number / 3) };
    let file = |name: &str, rows: std::ops::Range<u64>| -> PathBuf {
        let path = place.path().join(name);
        fs::write(&path, "member,sponsor,joined_at\n".to_owned() + &rows.map(row).collect::<String>())
            .expect("a file");
        path
    };
    let (small, large) = (file("small.csv", 0..THERE), file("large.csv", THERE..THERE + ROWS));
    let whole = place.path().join("whole");
    let import = |file: &Path, data: &Path| {
        ["import", file.to_str().expect("UTF-8"), "--strict", "--data-dir", data.to_str().expect("UTF-8")]
            .map(str::to_owned)
            .to_vec()
    };
    assert!(run_plainly(&import(&small, &whole)).status.success());
    let before = place.path().join("before");
    copy(&whole, &before);
    let calls: [(&str, &[Fault]); 6] = [
        ("fdatasync", &[Fault::Kill, Fault::Error("EIO")]),
        ("fsync", &[Fault::Kill, Fault::Error("EIO")]),
        ("rename", &[Fault::Kill]),
        ("unlink", &[Fault::Kill, Fault::Error("EIO")]),
        ("openat", &[Fault::Kill]),
        ("pwrite64", &[Fault::Kill]),
    ];
    let owned = import(&large, &whole);
    let all = points(place.path(), &whole, &calls, &owned.iter().map(String::as_str).collect::<Vec<_>>());
    let total = all.len();
    // The points that decide, and an even sample of the others.
    let step =
        total.div_ceil(usize::try_from(proof::number("UPLINE_STRICT_POINTS", 12)).expect("a number")).max(1);
    let is_chosen = |(number, point): &(usize, Point)| {
        number % step == 0 || matches!(point.call.as_str(), "unlink" | "rename")
    };
    let all: Vec<Point> = all.into_iter().enumerate().filter(is_chosen).map(|(_, point)| point).collect();
    let complete = proof::verified(&whole);
    assert_eq!(complete["members"], THERE + ROWS);
    let none = proof::verified(&before);
    let (mut nothing, mut everything) = (0_u64, 0_u64);
    for (number, point) in all.iter().enumerate() {
        let data = place.path().join(format!("data-{number}"));
        copy(&before, &data);
        let owned = import(&large, &data);
        let is_done = with_fault(point, &owned.iter().map(String::as_str).collect::<Vec<_>>());
        let found = proof::verified(&data);
        let is_whole = found["members"] == complete["members"];
        assert!(is_whole || !is_done, "{point:?}: done, and not there");
        if is_whole {
            everything += 1;
            assert_eq!(found["bonuses"], complete["bonuses"], "{point:?}");
        } else {
            nothing += 1;
            assert_eq!(
                (&found["members"], &found["digest"], &found["lsn"]),
                (&none["members"], &none["digest"], &none["lsn"]),
                "{point:?}"
            );
        }
        // A server sees the same, in its log and in its history, and the rest can be imported afterwards.
        assert_history(&data, found["lsn"].as_u64().expect("a number"));
        if number % 4 == 0 {
            let again = run_plainly(&import(&large, &data));
            assert!(again.status.success(), "{point:?}: {}", String::from_utf8_lossy(&again.stderr));
            assert_eq!(proof::verified(&data)["members"], complete["members"], "{point:?}");
        }
        fs::remove_dir_all(&data).expect("it was made here");
    }
    let kinds: BTreeSet<&str> = all.iter().map(|point| point.call.as_str()).collect();
    proof::summary(&format!(
        "strict: points={} of={total} calls={} nothing={nothing} everything={everything} part=0",
        all.len(),
        kinds.into_iter().collect::<Vec<_>>().join(",")
    ));
    assert!(0 < nothing && 0 < everything);
}

/// The change feed, and the history rebuilt from the log, contain the commands up to `lsn` and no others.
fn assert_history(data: &Path, lsn: u64) {
    let plan = PlanChoice {
        plan: upline::plan_file::default_plan(),
        plan_is_explicit: false,
        width_is_explicit: false,
    };
    let mut options = EngineOptions::new(data.to_path_buf(), plan, Metrics::new(&[]));
    options.log = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
    let (engine, _) = Engine::open(options).expect("it opens");
    let (now, faults) = engine.read(|state, _| (state_digest(state), audit(state, 10)));
    assert_eq!(faults, Vec::<String>::new());
    let past = engine.state_at(lsn).expect("the past is there");
    assert_eq!((past.lsn(), state_digest(&past)), (lsn, now));
    assert!(engine.state_at(lsn + 1).is_err());
    let oldest = engine.oldest_log_lsn();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut feed = engine.feed(oldest).expect("the log is there");
    let mut next = oldest;
    runtime.block_on(async {
        while next <= lsn {
            for event in feed.next_batch().await.expect("the log is read").expect("the engine runs") {
                assert_eq!(event.stamped.lsn, next);
                next += 1;
            }
        }
    });
    assert_eq!(next, lsn + 1);
    engine.shutdown();
}
