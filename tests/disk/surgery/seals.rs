//! Files of seals removed, cut, flipped, swapped and made up, with the real binary.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::directory;
use crate::common::{Server, binary};

type Content = BTreeMap<PathBuf, Vec<u8>>;

/// The expected result for a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Exit code 5, the file and the way out named, nothing changed.
    Refused,
    /// It is served; `verify` reports the damage, and the log of the server names the way out.
    Noticed,
    /// The start makes up for it.
    Mended,
}

/// Runs the program; returns exit code and output.
fn told(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary())
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .env_clear()
        .env("UPLINE_SEGMENT_BYTES", "1048576")
        .output()
        .expect("it starts");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Runs the program, which must succeed; returns its last line of output.
fn run(data: &Path, arguments: &[&str]) -> Value {
    let (exit, said) = told(data, &[arguments, &["--json"]].concat());
    assert_eq!(exit, Some(0), "{arguments:?}: {said}");
    let mut objects = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.rfind(|object| object["command"].is_string()).expect("an object")
}

/// Makes a directory with two seals.
fn make(data: &Path) {
    let (exit, said) = told(data, &["demo", "--members", "40", "--orders", "300", "--no-serve"]);
    assert_eq!(exit, Some(0), "{said}");
    let listed = run(data, &["period", "list", "month"]);
    let periods = listed["periods"].as_array().expect("a list").iter().rev();
    for period in periods.filter(|period| period["state"] == "posted").take(2) {
        run(data, &["period", "seal", "month", period["label"].as_str().expect("a label")]);
    }
}

/// Writes files with the folders that they are in.
fn write(data: &Path, content: &Content) {
    directory::write(data, &Content::new());
    for (name, bytes) in content {
        let path = data.join(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }
}

/// Returns all operations with their expected results.
fn operations(content: &Content) -> Vec<(&'static str, Fate, Content)> {
    use Fate::{Mended, Noticed, Refused};
    let named = |folder: &str, end: &str| -> Vec<PathBuf> {
        let names = content.keys().filter(|name| name.starts_with(folder));
        names.filter(|name| name.to_string_lossy().ends_with(end)).cloned().collect()
    };
    let (orders, refunds) = (named("orders", "0.parquet"), named("orders", ".refunds.parquet"));
    let (ids, network) = (named("order-ids", ".ids"), named("network", "members.parquet"));
    let (manifests, sums) = (named("orders/seals", ".toml"), named("orders/seals", ".sums"));
    let network_manifest = &named("network", ".toml")[0];
    let mut all = Vec::new();
    let mut add = |what, fate, change: &dyn Fn(&mut Content)| {
        let mut changed = content.clone();
        change(&mut changed);
        assert!(changed != *content, "{what}: nothing was changed");
        all.push((what, fate, changed));
    };
    let flip = |files: &mut Content, name: &Path| {
        let bytes = files.get_mut(name).expect("it is there");
        let at = bytes.len() / 3;
        bytes[at] ^= 0x20;
    };
    add("a manifest is missing", Refused, &|files| _ = files.remove(&manifests[0]));
    add("a manifest has another digit", Refused, &|files| flip(files, &manifests[1]));
    add("two manifests are swapped", Refused, &|files| {
        let (one, other) = (files[&manifests[0]].clone(), files[&manifests[1]].clone());
        files.insert(manifests[0].clone(), other);
        files.insert(manifests[1].clone(), one);
    });
    add("a file of orders is missing", Noticed, &|files| _ = files.remove(&orders[0]));
    add("a file of orders is cut", Noticed, &|files| {
        files.get_mut(&orders[1]).expect("it is there").truncate(100);
    });
    add("a file of orders has another bit", Noticed, &|files| flip(files, &orders[0]));
    add("a file of refunds is missing", Noticed, &|files| _ = files.remove(&refunds[0]));
    add("checksums are missing", Noticed, &|files| _ = files.remove(&sums[0]));
    add("the orders of another month", Noticed, &|files| {
        files.insert(orders[0].clone(), files[&orders[1]].clone());
    });
    add("the members at a boundary are missing", Noticed, &|files| _ = files.remove(&network[0]));
    add("the manifest of a boundary is missing", Noticed, &|files| _ = files.remove(network_manifest));
    add("all files of seals are missing", Refused, &|files| {
        files.retain(|name, _| {
            !["orders", "order-ids", "network"].iter().any(|folder| name.starts_with(folder))
        });
    });
    add("ids are missing", Mended, &|files| _ = files.remove(&ids[0]));
    add("ids have another bit in their first block", Mended, &|files| {
        files.get_mut(&ids[0]).expect("it is there")[20] ^= 1;
    });
    add("a seal that no command names lies about", Mended, &|files| {
        files.insert("orders/seals/00000002.toml".into(), files[&manifests[0]].clone());
        files.insert("orders/seals/00000003.sums.tmp".into(), vec![1; 99]);
    });
    all
}

/// Each is refused, noticed or made up for; and a repair gives back all that was there, to the byte.
#[test]
fn damaged_files_of_seals_are_noticed_and_made_again() {
    let place = crate::common::scratch();
    let whole = place.path().join("whole");
    make(&whole);
    let content = directory::content(&whole);
    let orders = run(&whole, &["orders", "list", "--limit", "1000"])["orders"].clone();
    let is_sealed = |name: &Path| name.starts_with("orders") || name.starts_with("network");
    let sealed: BTreeMap<_, _> = content.iter().filter(|(name, _)| is_sealed(name)).collect();
    for (what, fate, changed) in operations(&content) {
        let data = place.path().join("case");
        write(&data, &changed);
        match fate {
            Fate::Refused => {
                let (exit, said) = told(&data, &["serve", "--addr", "127.0.0.1:0"]);
                assert_eq!(exit, Some(5), "{what}: {said}");
                assert!(said.contains("orders/seals") && said.contains("upline repair"), "{what}: {said}");
                assert!(directory::content(&data) == changed, "{what}: refused, and changed");
            }
            Fate::Noticed => {
                let (exit, said) = told(&data, &["verify"]);
                assert_eq!(exit, Some(9), "{what}: {said}");
                let (exit, said) = told(&data, &["inspect", "seals"]);
                assert_eq!(exit, Some(5), "{what}: {said}");
            }
            Fate::Mended => {}
        }
        if fate != Fate::Mended {
            let (exit, said) = told(&data, &["repair"]);
            assert_eq!(exit, Some(14), "{what}: {said}");
            assert!(directory::content(&data) == changed, "{what}: a look changes nothing");
            run(&data, &["repair", "--apply"]);
        }
        let running = Server::start(&data, &["--log", "error"]);
        running.terminate();
        assert!(running.wait().success(), "{what}");
        run(&data, &["verify"]);
        assert_eq!(run(&data, &["orders", "list", "--limit", "1000"])["orders"], orders, "{what}");
        let after = directory::content(&data);
        let found: BTreeMap<_, _> = after.iter().filter(|(name, _)| is_sealed(name)).collect();
        assert!(found == sealed, "{what}: other files than before");
        fs::remove_dir_all(&data).expect("it was made here");
    }
}
