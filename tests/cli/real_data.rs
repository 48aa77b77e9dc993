//! The shared files of real trees. They are not part of the project; where they are missing, these tests say
//! so.

use std::path::{Path, PathBuf};

use crate::support::{Place, run, verified};

/// File, members, roots, and the deepest level of the sponsor tree, as published with the data.
const FILES: [(&str, u64, u64, u64); 4] = [
    ("nyjazz.csv", 264, 13, 11),
    ("freebsd_mentors.csv", 446, 32, 11),
    ("linux_distros.csv", 556, 96, 5),
    ("glottolog.csv.gz", 27_253, 427, 26),
];

fn file(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("NOT TESTED: ../shared/data/{name} is not here");
    None
}

/// Imports, verifies, exports and imports again, by a plan.
fn round_trip(name: &str, plan: &str, members: u64, roots: u64) -> Option<(Place, u64)> {
    let source = file(name)?;
    let place = Place::new();
    let (first, second, rows) = (place.text("first"), place.text("second"), place.text("rows.csv"));
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(plan);
    let plan = plan.to_str().unwrap();
    let import =
        ["import", source.to_str().unwrap(), "--data-dir", &first, "--plan", plan, "--strict", "--json"];
    let object = run(import).ends_with(0).json();
    assert_eq!(object["members"], members, "{name}");
    let digest = verified(&first)["network_digest"].clone();
    assert_eq!(object["network_digest"], digest);
    run(["export", "--data-dir", &first, "--output", &rows]).ends_with(0);
    let text = std::fs::read_to_string(&rows).unwrap();
    let exported_roots = text.lines().skip(1).filter(|row| row.split(',').nth(1) == Some("")).count();
    assert_eq!((text.lines().count() as u64, exported_roots as u64), (members + 1, roots), "{name}");
    run(["import", &rows, "--data-dir", &second, "--plan", plan, "--strict"]).ends_with(0);
    assert_eq!(verified(&second)["network_digest"], digest, "{name}: export, then import");
    let depth = verified(&second)["depth"].as_u64().unwrap();
    Some((place, depth))
}

#[test]
fn real_trees_survive_export_and_import_in_a_matrix() {
    for (name, members, roots, _) in FILES {
        round_trip(name, "matrix.toml", members, roots);
    }
}

#[test]
fn real_trees_survive_export_and_import_in_unlimited_width() {
    for (name, members, roots, deepest) in FILES {
        let Some((_, depth)) = round_trip(name, "levels.toml", members, roots) else { continue };
        // Every member sits directly under the sponsor, so the depth is the published one; a root is level 1
        // here, 0 there.
        assert_eq!(depth, deepest + 1, "{name}");
    }
}

#[test]
fn real_trees_survive_export_and_import_in_a_binary_tree() {
    for (name, members, roots, _) in FILES {
        round_trip(name, "binary.toml", members, roots);
    }
}
