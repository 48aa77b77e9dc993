//! Sealed orders in the tools: `inspect seals`, `repair`, `export --orders`, and a start without some files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{Place, Server, command, run, verified};

const ORDERS: usize = 600;

/// Makes a directory of which the first two periods are sealed.
fn sealed(place: &Place) -> String {
    let data = place.text("data");
    let orders = ORDERS.to_string();
    run(["demo", "--members", "60", "--orders", &orders, "--no-serve", "--data-dir", &data]).ends_with(0);
    let listed = run(["period", "list", "month", "--json", "--data-dir", &data]).ends_with(0).json();
    let periods = listed["periods"].as_array().unwrap().iter().rev();
    let posted = periods.filter(|period| period["state"] == "posted");
    for period in posted.take(2) {
        let label = period["label"].as_str().unwrap();
        run(["period", "seal", "month", label, "--data-dir", &data]).ends_with(0);
    }
    data
}

type Content = BTreeMap<PathBuf, Vec<u8>>;

/// All files of a directory but those that a repair put aside.
fn content(data: &str) -> Content {
    let (mut files, mut left) = (Content::new(), vec![PathBuf::from(data)]);
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_dir() {
                files.insert(path.strip_prefix(data).unwrap().into(), std::fs::read(&path).unwrap());
            } else if !path.file_name().unwrap().to_str().unwrap().starts_with("damaged-") {
                left.push(path);
            }
        }
    }
    files
}

/// The files of a folder whose names end so.
fn files(data: &str, folder: &str, end: &str) -> Vec<PathBuf> {
    let all = content(data).into_keys();
    let found: Vec<PathBuf> =
        all.filter(|path| path.starts_with(folder) && path.to_str().unwrap().ends_with(end)).collect();
    assert!(!found.is_empty(), "{folder} has no {end}");
    found
}

fn remove(data: &str, file: &Path) {
    std::fs::remove_file(Path::new(data).join(file)).unwrap();
}

fn flip(data: &str, file: &Path) {
    let path = Path::new(data).join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

fn listed(data: &str) -> Vec<Value> {
    let ran = run(["orders", "list", "--limit", "1000", "--json", "--data-dir", data]).ends_with(0);
    ran.json()["orders"].as_array().unwrap().clone()
}

fn inspected(data: &str, code: i32) -> Vec<Value> {
    let before = content(data);
    let ran = run(["inspect", "seals", "--json", "--data-dir", data]).ends_with(code);
    // The text says the same without failing.
    run(["inspect", "seals", "--data-dir", data]).ends_with(code);
    assert!(content(data) == before, "looking changed something");
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'l>(lines: &'l [Value], what: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["what"] == what).collect()
}

fn repaired(data: &str) -> Value {
    run(["repair", "--data-dir", data]).ends_with(14).says("--apply");
    run(["repair", "--data-dir", data, "--apply", "--json"]).ends_with(0).json()
}

#[test]
fn seals_are_shown_with_their_files_ids_and_networks() {
    let place = Place::new();
    let data = place.text("empty");
    run(["demo", "--members", "5", "--orders", "0", "--no-serve", "--data-dir", &data]).ends_with(0);
    assert_eq!(of(&inspected(&data, 0), "summary")[0]["seals"], 0);

    let data = sealed(&place);
    let shown = inspected(&data, 0);
    let seals = of(&shown, "seal");
    assert_eq!((seals.len(), &seals[0]["number"], &seals[1]["number"]), (2, &json!(0), &json!(1)));
    let manifest = &seals[0]["manifest"];
    let text = std::fs::read(Path::new(&data).join("orders/seals/00000000.toml")).unwrap();
    assert_eq!(manifest["blake3"], blake3::hash(&text).to_hex().as_str());
    assert!(0 < manifest["orders"].as_u64().unwrap() && seals[0]["named_by_lsn"].is_u64(), "{manifest}");
    let calendar = &manifest["periods"][0][0];
    assert_eq!(calendar, "month");
    // The files of a seal, its checksums, and those of the networks.
    let parquet = files(&data, "orders", ".parquet").len() + files(&data, "network", ".parquet").len();
    let sums = files(&data, "orders", ".sums").len() + files(&data, "network", ".sums").len();
    assert_eq!(of(&shown, "file").len(), parquet + sums);
    assert!(of(&shown, "file").iter().all(|file| file["verifies"] == true));
    assert_eq!(of(&shown, "boundary").len(), files(&data, "network", ".toml").len());
    assert_eq!(of(&shown, "ids").len(), files(&data, "order-ids", ".ids").len());
    let summary = of(&shown, "summary")[0];
    assert_eq!((&summary["ok"], &summary["leftovers"]), (&json!(true), &json!(0)));

    // What no command names, and damage of all kinds, is shown and no failure of the look.
    for (name, bytes) in [("orders/seals/00000007.sums", "x"), ("order-ids/00000001.run-1.tmp", "")] {
        std::fs::write(Path::new(&data).join(name), bytes).unwrap();
    }
    assert_eq!(of(&inspected(&data, 0), "leftover").len(), 2);
    let orders = files(&data, "orders", ".parquet");
    flip(&data, &orders[0]);
    remove(&data, &orders[1]);
    remove(&data, Path::new("orders/seals/00000001.toml"));
    flip(&data, &files(&data, "order-ids", ".ids")[0]);
    remove(&data, &files(&data, "network", "manifest.toml")[0]);
    let shown = inspected(&data, 5);
    assert_eq!(of(&shown, "file").iter().filter(|file| file["verifies"] == false).count(), 2);
    assert_eq!(of(&shown, "seal")[1]["manifest"], Value::Null);
    assert_eq!(of(&shown, "summary")[0]["damaged_places"], 5);
    run(["inspect", "seals", "--data-dir", &data]).says("00000001.toml is damaged at byte 0: it is missing");
    run(["inspect", "seals", "--data-dir", &place.text("nowhere")]).ends_with(7);
}

/// From what the log and the snapshots tell, each lost file is written again as it was, to the byte.
#[test]
fn lost_files_of_seals_are_made_again_from_the_log() {
    let place = Place::new();
    let data = sealed(&place);
    let (whole, orders) = (content(&data), listed(&data));
    let parquet = files(&data, "orders", "0.parquet");
    let network = files(&data, "network", "members.parquet");
    run(["repair", "--data-dir", &data]).ends_with(0);

    remove(&data, &parquet[0]);
    flip(&data, &parquet[1]);
    remove(&data, &network[0]);
    run(["verify", "--data-dir", &data]).ends_with(9).says("sealed files");
    let flipped = content(&data)[&parquet[1]].clone();
    let damaged = content(&data);
    let look = run(["repair", "--data-dir", &data, "--json"]).ends_with(14).json();
    assert_eq!((&look["verdict"], &look["left"]), (&json!("without loss"), &json!([])));
    assert_eq!(look["steps"].as_array().unwrap().len(), 3, "{look}");
    assert!(content(&data) == damaged, "looking changed something");
    let done = repaired(&data);
    assert!(content(&data) == whole, "it is not as it was");
    let kept_in = PathBuf::from(done["kept_in"].as_str().unwrap());
    assert_eq!(std::fs::read(kept_in.join(&parquet[1])).unwrap(), flipped);
    let report: Value = serde_json::from_slice(&std::fs::read(kept_in.join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["finished"], report["files"].as_array().unwrap().len()), (&json!(true), 1));
    verified(&data);
    assert_eq!(listed(&data), orders);

    // All of them, with the manifests, and the ids, which are then in one file.
    for folder in ["orders", "order-ids", "network"] {
        std::fs::remove_dir_all(Path::new(&data).join(folder)).unwrap();
    }
    run(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]).ends_with(5).says("upline repair");
    repaired(&data);
    let without_ids = |content: &Content| -> Content {
        content
            .iter()
            .filter(|(path, _)| !path.starts_with("order-ids"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    assert!(without_ids(&content(&data)) == without_ids(&whole), "it is not as it was");
    verified(&data);
    assert_eq!(listed(&data), orders);
}

#[test]
fn ids_and_checksums_are_made_again_from_the_other_files() {
    let place = Place::new();
    let data = sealed(&place);
    let orders = listed(&data);
    // Without the log: what is in the archive is needed for nothing else.
    std::fs::remove_dir_all(Path::new(&data).join("archive")).unwrap();
    verified(&data);
    for folder in ["orders", "network"] {
        remove(&data, &files(&data, folder, ".sums")[0]);
    }
    flip(&data, &files(&data, "order-ids", ".ids")[0]);
    let leftover = Path::new(&data).join("orders/seals/00000007.sums");
    std::fs::write(&leftover, "x").unwrap();
    let done = repaired(&data);
    assert_eq!(done["steps"].as_array().unwrap().len(), 3, "{done}");
    assert!(!leftover.exists(), "no command names it");
    verified(&data);
    assert_eq!(listed(&data), orders);
    // A leftover alone is no damage: the next start removes it.
    std::fs::write(&leftover, "x").unwrap();
    let look = run(["repair", "--data-dir", &data, "--json"]).ends_with(0).json();
    assert_eq!((&look["verdict"], look["leftovers"].as_array().unwrap().len()), (&json!("healthy"), 1));
    assert!(leftover.exists(), "a look changes nothing");
}

#[test]
fn where_the_log_does_not_reach_back_the_file_and_its_hash_are_named() {
    let place = Place::new();
    let data = sealed(&place);
    std::fs::remove_dir_all(Path::new(&data).join("archive")).unwrap();
    let lost = files(&data, "orders", "00000000.parquet").remove(0);
    let path = Path::new(&data).join(&lost);
    let whole = std::fs::read(&path).unwrap();
    remove(&data, &lost);
    let before = content(&data);
    let hash = blake3::hash(&whole).to_hex().to_string();
    for more in [&[][..], &["--apply"]] {
        run(["repair", "--data-dir", &data].iter().chain(more))
            .ends_with(5)
            .says(lost.to_str().unwrap())
            .says("(seal 0, of month ")
            .says("log and snapshots reach back to LSN")
            .says(&format!("Put it back from a backup: its BLAKE3 is {hash}"));
    }
    let look = run(["repair", "--data-dir", &data, "--json"]).ends_with(5).json();
    assert_eq!((&look["verdict"], &look["left"][0]["blake3"]), (&json!("beyond repair"), &json!(hash)));
    assert!(content(&data) == before, "something was changed");

    // What can be repaired is; the rest is named again.
    let network = files(&data, "network", ".sums").remove(0);
    remove(&data, &network);
    run(["repair", "--data-dir", &data]).ends_with(14).says("all but 1 file");
    run(["repair", "--data-dir", &data, "--apply"]).ends_with(5).says(&hash);
    assert!(content(&data) == before, "only the checksums were to be made");
    // The other periods can be served meanwhile, and the log says what is wrong.
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    server.signal("TERM");
    server.end().ends_with(0).says("upline repair");
    // A manifest, of which only the hash is known.
    let manifest = Path::new("orders/seals/00000000.toml");
    let hash = blake3::hash(&before[manifest]).to_hex().to_string();
    remove(&data, manifest);
    run(["repair", "--data-dir", &data]).ends_with(5).says(&hash);
    std::fs::write(Path::new(&data).join(manifest), &before[manifest]).unwrap();
    std::fs::write(&path, whole).unwrap();
    run(["repair", "--data-dir", &data]).ends_with(0);
}

#[test]
fn all_orders_are_exported_once() {
    let place = Place::new();
    let data = sealed(&place);
    let (members, orders) = (place.text("members.csv"), place.text("orders.ndjson"));
    let export = || -> Vec<Value> {
        let object =
            run(["export", "--data-dir", &data, "-o", &members, "--orders", &orders, "--json"]).ends_with(0);
        let text = std::fs::read_to_string(&orders).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(object.json()["orders"], rows.len());
        rows
    };
    assert_eq!(export(), listed(&data));
    // One that is recalled to be refunded is there once, with its refund.
    let whole = listed(&data).into_iter().rfind(|order| order["refunds"] == json!([])).unwrap();
    let id = whole["order_id"].as_str().unwrap();
    run(["orders", "refund", id, "--id", "late", "--data-dir", &data]).ends_with(0);
    let rows = export();
    assert_eq!(rows.len(), ORDERS);
    let of_id: Vec<&Value> = rows.iter().filter(|order| order["order_id"] == id).collect();
    assert_eq!((of_id.len(), &of_id[0]["refunds"][0]["refund_id"]), (1, &json!("late")));
    let lsns: Vec<u64> = rows.iter().map(|order| order["lsn"].as_u64().unwrap()).collect();
    assert!(lsns.is_sorted_by(|one, other| other < one), "it is where it was placed");
    assert_eq!(rows, listed(&data));
    run(["export", "--orders", "-", "--data-dir", &data])
        .ends_with(2)
        .says("members and orders would both go");
    // What cannot be read is no export.
    let sealed = listed(&data).pop().unwrap();
    let id_of_lost = sealed["order_id"].as_str().unwrap();
    remove(&data, &files(&data, "orders", "0.parquet")[0]);
    let before = std::fs::read(&orders).unwrap();
    run(["export", "--data-dir", &data, "-o", &members, "--orders", &orders])
        .ends_with(5)
        .says("upline repair");
    run(["orders", "show", id_of_lost, "--data-dir", &data]).ends_with(5).says("upline repair");
    assert_eq!(std::fs::read(&orders).unwrap(), before);
}
