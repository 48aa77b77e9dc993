//! The real binary, killed at each write, sync, rename and removal of a script that seals one period after
//! the other and refunds sealed orders; and `upline period seal`, killed likewise.
//!
//! After each kill the second start serves: all orders and refunds that were there or acknowledged are there
//! once, their ids stay taken, a repeat is answered as before, and the totals of the posted periods are what
//! they were. What was acknowledged as sealed is; the rest can be sealed. Who goes on ends with the orders,
//! volumes, periods and files of a run without a kill. `verify` reads all files, and the log, applied from
//! its beginning, gives the same state.
//!
//! `UPLINE_ORDER_KILLS` (6) kills are taken from the shuffled list of all, and a third of it of the command.
//! `UPLINE_SEED` makes the scripts.

mod script;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};

use super::{
    copy, offline,
    orders::{KILLS, PLAN, assert_recounted, is_possible, shuffle},
    script::Traced,
    traced::{self, Point},
};
use crate::{
    common::{Client, Server, uuid},
    proof::{self, Chance},
};
use script::{Beginning, Script, Step, Told, assert_idempotent, go_on, picture};

pub const MEMBERS: u64 = 6;

/// A directory with the orders of a script, July and its quarter posted.
fn begin(place: &Path, script: &Script) -> (PathBuf, Beginning) {
    let (data, plan) = (place.join("begin"), place.join("plan.toml"));
    _ = fs::remove_dir_all(&data);
    fs::write(&plan, PLAN).expect("a file");
    let server = Server::start(&data, &["--plan", plan.to_str().expect("UTF-8")]);
    for number in 1..=MEMBERS {
        let mut body = json!({ "user_id": uuid(number), "joined_at": "2026-06-30T00:00:00Z" });
        if number != 1 {
            body["sponsor"] = json!({ "user_id": uuid(number / 2) });
        }
        assert_eq!(server.post("/v1/members", &body.to_string()).status, 201);
    }
    let mut client = server.connect();
    go_on(&mut client, &script.before, &mut Told::default()).expect("nothing kills it");
    let beginning = Beginning::of(&mut client);
    server.terminate();
    assert!(server.wait().success());
    (data, beginning)
}

fn names_below(at: &Path, names: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(at).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names_below(&path, names);
        } else {
            names.insert(path);
        }
    }
}

/// The files of all seals, and how many those of boundaries are, whose names are LSNs. Files of ids may have
/// been merged or not: `verify` finds all seals in them.
fn files(data: &Path) -> (BTreeSet<PathBuf>, usize) {
    let names = |folder: &str| {
        let mut names = BTreeSet::new();
        names_below(&data.join(folder), &mut names);
        names
    };
    let is_unfinished = |path: &PathBuf| path.extension().is_none_or(|extension| extension == "tmp");
    let ids = names("order-ids");
    assert!(!ids.iter().any(is_unfinished), "{ids:?}");
    let below = |path: &PathBuf| path.strip_prefix(data).expect("it is below").to_owned();
    (names("orders").iter().map(below).collect(), names("network").len())
}

/// Runs the steps under `strace` with these arguments. Returns whether all of them were done.
fn run(data: &Path, arguments: &[&str], steps: &[Step], told: &mut Told) -> bool {
    let (server, address) = Traced::start(data, arguments);
    let is_done = address.is_some_and(|address| {
        let Ok(stream) = std::net::TcpStream::connect(address) else { return false };
        drop(stream);
        go_on(&mut Client::connect(address), steps, told).is_ok()
    });
    server.signal("TERM");
    server.wait();
    is_done
}

/// What a run without a kill leaves.
struct End {
    picture: Vec<Value>,
    files: (BTreeSet<PathBuf>, usize),
}

impl End {
    /// Of a directory that is served, and is not afterwards.
    fn of(data: &Path, server: Server) -> Self {
        let picture = picture(&mut server.connect());
        server.terminate();
        assert!(server.wait().success());
        assert_recounted(data);
        Self { picture, files: files(data) }
    }

    /// This is as without a kill.
    fn assert_is(&self, expected: &Self) {
        assert_eq!(self.files, expected.files);
        assert_eq!(self.picture.len(), expected.picture.len());
        for (found, expected) in self.picture.iter().zip(&expected.picture) {
            assert_eq!(found, expected);
        }
    }
}

fn undisturbed(place: &Path, begin: &Path, script: &Script) -> (Vec<Point>, End) {
    let (data, trace) = (place.join("undisturbed"), place.join("trace"));
    copy(begin, &data);
    let calls = KILLS.map(|(call, _)| call).join(",");
    let arguments = ["-o", trace.to_str().expect("UTF-8"), "-e", &format!("trace={calls}")];
    let is_done = run(&data, &arguments, &script.steps, &mut Told::default());
    assert!(is_done, "without a fault all goes well");
    let points = traced::points(&fs::read_to_string(&trace).expect("a trace"), &data, &KILLS);
    let end = End::of(&data, Server::start(&data, &[]));
    fs::remove_dir_all(&data).expect("it was made here");
    (points, end)
}

#[test]
fn seals_and_recalls_survive_a_kill_at_every_sync() {
    let _turn = crate::common::turn();
    if !is_possible("seals") {
        return;
    }
    let (wanted, seed) = (proof::number("UPLINE_ORDER_KILLS", 6), proof::number("UPLINE_SEED", 1));
    println!("seed {seed}");
    let (started, place) = (Instant::now(), crate::common::scratch());
    let (mut kills, mut points, mut scripts, mut was_done) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut in_seal, mut in_recall, mut acknowledged) = (0_u64, 0_u64, 0);
    while kills < wanted {
        let script = Script::of(seed + scripts);
        let (begin, beginning) = begin(place.path(), &script);
        let (mut all, expected) = undisturbed(place.path(), &begin, &script);
        shuffle(&mut all, &mut Chance::new(seed + scripts));
        scripts += 1;
        for (number, point) in all.iter().enumerate() {
            if wanted <= kills {
                break;
            }
            println!("script {scripts}, point {number} of {}: {point:?}", all.len());
            let data = place.path().join("data");
            copy(&begin, &data);
            let mut told = Told::default();
            let arguments =
                ["-o", "/dev/null", "-e", &format!("trace={}", point.call), "-e", &point.inject()];
            points += 1;
            let is_done = run(&data, &arguments, &script.steps, &mut told);
            kills += u64::from(!is_done);
            was_done += u64::from(is_done);
            match script.steps.get(told.steps) {
                Some(Step::Seal(_)) => in_seal += 1,
                Some(Step::Refund(..) | Step::TooMuch(..)) => in_recall += 1,
                _ => {}
            }
            acknowledged += told.ids.len() + told.sealed.len();
            let server = Server::start(&data, &[]);
            let mut client = server.connect();
            beginning.assert_kept(&mut client, &script, &told);
            assert_idempotent(&mut client, &script);
            go_on(&mut client, &script.steps, &mut told).expect("nothing kills it now");
            beginning.assert_kept(&mut client, &script, &told);
            End::of(&data, server).assert_is(&expected);
            fs::remove_dir_all(&data).expect("it was made here");
        }
        assert!(kills != 0, "no sync is reached");
    }
    proof::summary(&format!(
        "seals: seed={seed} kills={kills} points={points} not_reached={was_done} scripts={scripts} \
         in_seal={in_seal} in_recall={in_recall} acknowledged={acknowledged} lost=0 doubled=0 changed=0 \
         seconds={}",
        started.elapsed().as_secs()
    ));
    // Of fewer kills there may be none in a refund.
    assert!(wanted < 64 || 0 < in_seal && 0 < in_recall, "{in_seal} kills in seals, {in_recall} in refunds");
}

/// A directory at a moment of a script, and how its next period is sealed.
struct Sealable {
    data: PathBuf,
    told: Told,
    label: &'static str,
    points: Vec<Point>,
    expected: End,
}

fn arguments(data: &Path, label: &str) -> Vec<String> {
    ["period", "seal", "month", label, "--data-dir", data.to_str().expect("UTF-8")].map(str::to_owned).into()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// The directory of each moment at which a period is sealed next.
fn sealables(place: &Path, begin: &Path, script: &Script) -> Vec<Sealable> {
    let (mut sealables, mut told) = (Vec::new(), Told::default());
    let data = place.join("growing");
    copy(begin, &data);
    for (at, step) in script.steps.iter().enumerate() {
        let Step::Seal(label) = step else { continue };
        let server = Server::start(&data, &[]);
        go_on(&mut server.connect(), &script.steps[..at], &mut told).expect("nothing kills it");
        server.terminate();
        assert!(server.wait().success());
        let [before, sealed] = ["before", "sealed"].map(|name| place.join(format!("{name}-{label}")));
        copy(&data, &before);
        copy(&data, &sealed);
        let points = offline::points(place, &sealed, &KILLS, &words(&arguments(&sealed, label)));
        let expected = End::of(&sealed, Server::start(&sealed, &[]));
        sealables.push(Sealable { data: before, told: told.clone(), label, points, expected });
    }
    sealables
}

#[test]
fn the_command_that_seals_survives_a_kill_at_every_sync() {
    let _turn = crate::common::turn();
    if !is_possible("seal_command") {
        return;
    }
    let wanted = proof::number("UPLINE_ORDER_KILLS", 6).div_ceil(3);
    let seed = proof::number("UPLINE_SEED", 1);
    let place = crate::common::scratch();
    let script = Script::of(seed);
    let (begin, beginning) = begin(place.path(), &script);
    let sealables = sealables(place.path(), &begin, &script);
    let mut all: Vec<(&Sealable, &Point)> =
        sealables.iter().flat_map(|of| of.points.iter().map(move |point| (of, point))).collect();
    let total = all.len();
    shuffle(&mut all, &mut Chance::new(seed));
    let (mut kills, mut open, mut done) = (0_u64, 0_u64, 0_u64);
    for (of, point) in all.iter().cycle().take(2 * total.max(usize::try_from(wanted).expect("few"))) {
        if wanted <= kills {
            break;
        }
        println!("{}: {point:?}", of.label);
        let data = place.path().join("data");
        copy(&of.data, &data);
        let owned = arguments(&data, of.label);
        let is_done = offline::with_fault(point, &words(&owned));
        kills += u64::from(!is_done);
        let server = Server::start(&data, &[]);
        let mut client = server.connect();
        let period = client.request("GET", &format!("/v1/calendars/month/periods/{}", of.label), &[], b"");
        let is_sealed = period.json()["period"]["state"] == "sealed";
        *if is_sealed { &mut done } else { &mut open } += 1;
        assert!(is_sealed || !is_done, "told that it is sealed, and it is not");
        beginning.assert_kept(&mut client, &script, &of.told);
        assert_idempotent(&mut client, &script);
        server.terminate();
        assert!(server.wait().success());
        proof::verified(&data);
        let again = offline::run_plainly(&owned);
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        End::of(&data, Server::start(&data, &[])).assert_is(&of.expected);
        fs::remove_dir_all(&data).expect("it was made here");
    }
    proof::summary(&format!(
        "seal_command: seed={seed} command_kills={kills} of={total} open={open} sealed={done} lost=0 \
         doubled=0"
    ));
    assert!(wanted <= kills, "{kills} kills");
}
