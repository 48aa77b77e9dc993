//! Invalid data directories.

use std::path::{Path, PathBuf};

use crate::support::{Place, Server, command, run, verified};

fn demo(place: &Place, name: &str) -> String {
    let data = place.text(name);
    run(["demo", "--orders", "0", "--members", "200", "--data-dir", &data, "--no-serve"]).ends_with(0);
    data
}

/// Returns every file below a directory with its content.
fn content(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                files.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn only_file(directory: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.swap_remove(0)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_refused_named_and_left_alone() {
    let place = Place::new();
    for (name, file, at) in [("snapshot", "snapshots", 5_000), ("log", "log", 20)] {
        let data = demo(&place, name);
        let path = only_file(&Path::new(&data).join(file));
        flip(&path, at);
        let before = content(Path::new(&data));
        let commands: [&[&str]; 4] = [
            &["verify", "--data-dir", &data],
            &["serve", "--addr", "127.0.0.1:0", "--data-dir", &data],
            &["export", "--data-dir", &data],
            &["import", &place.file("rows.csv", "member,sponsor,joined_at\na,,\n"), "--data-dir", &data],
        ];
        for arguments in commands {
            run(arguments).ends_with(5).says(path.file_name().unwrap().to_str().unwrap());
            assert!(content(Path::new(&data)) == before, "{name}: {arguments:?} changed something");
        }
    }
}

#[test]
fn foreign_directories_are_refused_and_left_alone() {
    let place = Place::new();
    let data = place.text("photos");
    std::fs::create_dir(&data).unwrap();
    place.file("photos/cat.jpg", "meow");
    let rows = place.file("rows.csv", "member,sponsor,joined_at\na,,\n");
    let commands: [&[&str]; 10] = [
        &["verify", "--data-dir", &data],
        &["repair", "--data-dir", &data],
        &["keys", "create", "--name", "a", "--data-dir", &data],
        &["keys", "list", "--data-dir", &data],
        &["keys", "revoke", "ulk_a", "--data-dir", &data],
        &["serve", "--addr", "127.0.0.1:0", "--data-dir", &data],
        &["export", "--data-dir", &data],
        &["dot", "--data-dir", &data],
        &["import", &rows, "--data-dir", &data],
        &["demo", "--data-dir", &data, "--no-serve"],
    ];
    for arguments in commands {
        run(arguments).ends_with(7);
        assert_eq!(
            content(Path::new(&data)),
            [(place.path("photos/cat.jpg"), b"meow".to_vec())],
            "{arguments:?}"
        );
    }
    run(["verify", "--data-dir", &place.text("nowhere")]).ends_with(7).says("does not exist");
    run(["verify", "--data-dir", &rows]).ends_with(7).says("it is a file");
    run(["verify", "--data-dir", "/dev/null"]).ends_with(7).says("it is no directory");
    run(["serve", "--addr", "127.0.0.1:0", "--data-dir", "/dev/null"])
        .ends_with(7)
        .says("/dev/null is no directory");
    run(["import", &rows, "--data-dir", &format!("{rows}/below")])
        .ends_with(7)
        .says("rows.csv is no directory");
}

#[test]
fn verify_says_what_it_saw() {
    let place = Place::new();
    let data = demo(&place, "data");
    let before = content(Path::new(&data));
    let object = verified(&data);
    assert_eq!(object["members"], 200);
    assert_eq!(object["plan"], "matrix");
    assert_eq!(object["digest"].as_str().unwrap().len(), 64);
    assert_eq!(object["network_digest"].as_str().unwrap().len(), 64);
    let ranked: u64 =
        object["ranks"].as_array().unwrap().iter().map(|rank| rank["members"].as_u64().unwrap()).sum();
    assert_eq!(ranked, 200);
    let text = run(["verify", "--data-dir", &data]).ends_with(0).out;
    assert!(text.starts_with("everything holds: 200 members"), "{text}");
    assert!(text.contains(object["digest"].as_str().unwrap()), "{text}");
    assert!(content(Path::new(&data)) == before, "verifying changes nothing");
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let place = Place::new();
    let data = demo(&place, "data");
    // `snapshots/README.md`: the version is at byte 8 of `instance`, the checksum of all before it in the
    // last four bytes.
    let path = Path::new(&data).join("instance");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] += 1;
    let (body, checksum) = bytes.split_at_mut(124);
    checksum.copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let before = content(Path::new(&data));
    for arguments in
        [["verify", "--data-dir", &data], ["serve", "--data-dir", &data], ["export", "--data-dir", &data]]
    {
        run(arguments)
            .ends_with(6)
            .says(&format!("format version {}", upline::durability::FORMAT_VERSION + 1));
        assert!(content(Path::new(&data)) == before, "{arguments:?}");
    }
}

#[test]
fn a_snapshot_that_is_not_needed_is_a_finding_and_no_loss() {
    let place = Place::new();
    let data = place.text("data");
    // Two snapshots: that of the import, and that of a stopped server.
    let rows = place.file("rows.csv", "member,sponsor,joined_at\na,,2025-01-01\n");
    run(["import", &rows, "--data-dir", &data]).ends_with(0);
    let rows = place.file("rows.csv", "member,sponsor,joined_at\nb,a,2025-01-01\n");
    run(["import", &rows, "--data-dir", &data]).ends_with(0);
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    assert_eq!(
        server.request("POST", "/user/register", "{\"user_id\":\"00000000-0000-4000-8000-000000000001\"}").0,
        200
    );
    server.signal("TERM");
    server.end().ends_with(0);
    let digest = verified(&data)["digest"].clone();
    let mut snapshots: Vec<PathBuf> = std::fs::read_dir(Path::new(&data).join("snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    snapshots.sort();
    assert_eq!(snapshots.len(), 2);
    flip(&snapshots[1], 700);
    let ran = run(["verify", "--data-dir", &data, "--json"]).ends_with(9).says("does not verify");
    let object = ran.json();
    assert_eq!((&object["ok"], &object["digest"], &object["members"]), (&false.into(), &digest, &3.into()));
    assert_eq!(object["findings"].as_array().unwrap().len(), 1, "{object}");
}
