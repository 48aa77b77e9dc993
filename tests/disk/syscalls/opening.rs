//! `upline opening import`, killed at each write, sync and rename of its rows and of their end.
//!
//! After each kill all rows are there with their end, or none, and a server serves them. Run again, the
//! import ends with the rows, the totals and the digest of one that was not killed.
//!
//! `UPLINE_ORDER_KILLS` (2) kills are taken from the shuffled list of all. `UPLINE_SEED` shuffles.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    copy, offline,
    orders::{KILLS, assert_recounted, begin, is_possible, shuffle},
};
use crate::{
    common::{Server, uuid},
    proof::{self, Chance},
};

const MEMBERS: u64 = 24;
/// Of each member. All of them together are more than a segment of the log holds.
const KEYS: u64 = 360;

/// Rows of several kinds; how many, and their text.
fn rows() -> (u64, String) {
    let (mut count, mut text) = (0, "kind,member,name,text,calendar,position,value\n".to_owned());
    let mut add = |row: String| {
        count += 1;
        text += &row;
    };
    for member in 1..=MEMBERS {
        let user = uuid(member);
        add(format!("balance,{user},,,,,{member}.25\n"));
        add(format!("last_n,{user},PV,,month,{member},{}\n", 10 * member));
        for key in 0..KEYS {
            add(format!("once,{user},{:a<60},{key:0>60},,,\n", "a-bonus-"));
        }
    }
    (count, text)
}

fn import(data: &Path, file: &Path) -> Vec<String> {
    let [data, file] = [data, file].map(|path| path.to_str().expect("UTF-8"));
    ["opening", "import", file, "--json", "--data-dir", data].map(str::to_owned).into()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn last_line(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(out.lines().last().expect("a line")).expect("JSON")
}

/// What the program shows of the opening state, but when it was closed.
fn shown(data: &Path) -> Value {
    let arguments = ["opening", "show", "--json", "--data-dir", data.to_str().expect("UTF-8")];
    let mut shown = last_line(&offline::run_plainly(&arguments.map(str::to_owned)))["opening"].take();
    if let Some(closed) = shown["closed"].as_object_mut() {
        closed.retain(|name, _| !matches!(name.as_str(), "lsn" | "time"));
    }
    shown
}

#[test]
fn an_opening_import_survives_a_kill_at_every_sync() {
    let _turn = crate::common::turn();
    if !is_possible("opening") {
        return;
    }
    let wanted = proof::number("UPLINE_ORDER_KILLS", 2);
    let seed = proof::number("UPLINE_SEED", 1);
    let place = crate::common::scratch();
    let begin = begin(place.path(), MEMBERS);
    let (count, text) = rows();
    let file = place.path().join("opening.csv");
    fs::write(&file, text).expect("a file");
    let [whole, traced] = ["whole", "traced"].map(|name| place.path().join(name));
    copy(&begin, &whole);
    copy(&begin, &traced);
    last_line(&offline::run_plainly(&import(&whole, &file)));
    let mut all = offline::points(place.path(), &traced, &KILLS, &words(&import(&traced, &file)));
    let (none, expected) = (shown(&begin), shown(&whole));
    assert_eq!(expected["rows"], count, "{expected}");
    assert_recounted(&whole);
    let total = all.len();
    shuffle(&mut all, &mut Chance::new(seed));
    let (mut kills, mut nothing, mut everything) = (0_u64, 0_u64, 0_u64);
    for point in all.iter().cycle().take(2 * total.max(usize::try_from(wanted).expect("few"))) {
        if wanted <= kills {
            break;
        }
        println!("{point:?}");
        let data = place.path().join("data");
        copy(&begin, &data);
        let owned = import(&data, &file);
        let is_done = offline::with_fault(point, &words(&owned));
        kills += u64::from(!is_done);
        let found = shown(&data);
        let is_there = found == expected;
        assert!(is_there || found == none, "all or nothing: {found}");
        assert!(is_there || !is_done, "done, and not there");
        *if is_there { &mut everything } else { &mut nothing } += 1;
        let again = last_line(&offline::run_plainly(&owned));
        let there = if is_there { count } else { 0 };
        assert_eq!((&again["rows"], &again["rows_already_there"]), (&json!(count - there), &json!(there)));
        assert_eq!(again["digest"], expected["closed"]["digest"]);
        assert_eq!(shown(&data), expected, "as without a kill");
        let server = Server::start(&data, &[]);
        let told = server.get("/v1/opening").json();
        assert_eq!(told["closed"]["digest"], expected["closed"]["digest"]);
        drop(server);
        assert_recounted(&data);
        fs::remove_dir_all(&data).expect("it was made here");
    }
    proof::summary(&format!(
        "opening: seed={seed} kills={kills} of={total} nothing={nothing} everything={everything} part=0"
    ));
    assert!(wanted <= kills, "{kills} kills");
}
