//! Every name of a data directory, with something else there than the file: nothing, a directory, a pipe, a
//! link to nothing, an empty file. No command waits, and what one refuses the others know too.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::directory;
use crate::{
    common::{self, Server},
    proof,
};

/// No command on such a small directory needs longer, whatever else runs.
const PATIENCE: Duration = Duration::from_secs(60);

const KINDS: [&str; 5] = ["missing", "directory", "pipe", "link", "empty"];

fn put(path: &Path, kind: &str) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("it was there");
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(path).expect("it was there");
    }
    match kind {
        "missing" => {}
        "directory" => fs::create_dir(path).expect("a directory"),
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo is there").success()),
        "link" => symlink("nowhere", path).expect("a link"),
        "empty" => fs::write(path, b"").expect("a file"),
        other => unreachable!("{other}"),
    }
}

/// Runs a command that must end; returns its exit code and what it wrote.
fn ended(arguments: &[&str], data: &Path) -> (i32, String) {
    let said = tempfile::NamedTempFile::new().expect("a temporary file");
    let into = || said.as_file().try_clone().expect("a second handle");
    let mut child = Command::new(common::binary())
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .stdin(Stdio::null())
        .stdout(into())
        .stderr(into())
        .spawn()
        .expect("it starts");
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            break status;
        }
        if PATIENCE < begin.elapsed() {
            child.kill().expect("it runs");
            panic!("{arguments:?} waits for ever on {}", data.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = String::from_utf8_lossy(&fs::read(said.path()).expect("it is there")).into_owned();
    (status.code().expect("no signal"), said)
}

/// Returns the names that are put in question: the last file of each sort, and the folders.
fn names(data: &Path) -> Vec<PathBuf> {
    let content = directory::content(data);
    let of = |folder: &str, suffix: &str| {
        let mut names = content.keys().filter(|name| {
            name.starts_with(folder) && name.extension().is_some_and(|extension| extension == suffix)
        });
        (names.next().expect("a first").clone(), names.next_back().expect("a last").clone())
    };
    let (segments, snapshots) = (of("log", "log"), of("snapshots", "snap"));
    let mut names: Vec<PathBuf> =
        ["instance", "lock", "durable", "log", "snapshots", "archive", "log/cut"].map(PathBuf::from).into();
    names.extend([segments.0, segments.1.with_extension("log.tmp"), segments.1]);
    names.extend([snapshots.0, snapshots.1.with_extension("snap.tmp"), snapshots.1]);
    names.extend(content.keys().filter(|name| name.starts_with("archive")).take(1).cloned());
    names.extend(content.keys().rfind(|name| name.starts_with("archive")).cloned());
    names
}

#[test]
fn no_command_waits_and_all_of_them_agree_whatever_has_a_name_of_the_directory() {
    let place = crate::common::scratch();
    let whole = place.path().join("whole");
    directory::make(&whole);
    let (content, names) = (directory::content(&whole), names(&whole));
    let (mut refused, mut served) = (0_u64, 0_u64);
    for name in &names {
        for kind in KINDS {
            let (data, what) = (place.path().join("case"), format!("{} {kind}", name.display()));
            directory::write(&data, &content);
            put(&data.join(name), kind);
            let (verified, said) = ended(&["verify"], &data);
            let (looked, found) = ended(&["repair"], &data);
            let (inspected, shown) = ended(&["inspect", "log"], &data);
            let is_shown = [0, 5].contains(&inspected) || inspected == verified;
            assert!(is_shown, "{what}: inspect log {inspected}: {shown}");
            match verified {
                0 | 9 => {
                    assert!([0, 14].contains(&looked), "{what}: repair {looked}: {found}");
                    let running = Server::start(&data, &["--log", "error"]);
                    running.terminate();
                    assert!(running.wait().success(), "{what}");
                    served += 1;
                }
                5 => {
                    assert!(said.contains(data.to_str().expect("UTF-8")), "{what}: {said}");
                    assert!([5, 14, 15].contains(&looked), "{what}: repair {looked}: {found}");
                    let (exit, said) = ended(&["serve", "--addr", "127.0.0.1:0"], &data);
                    assert_eq!(exit, 5, "{what}: {said}");
                    refused += 1;
                }
                // An empty file has none of our marks.
                7 if what == "instance empty" => assert_eq!(looked, 7, "{what}: {found}"),
                other => panic!("{what}: verify {other}: {said}"),
            }
            if looked == 14 {
                let (exit, said) = ended(&["repair", "--apply"], &data);
                assert!([0, 2].contains(&exit), "{what}: repair --apply {exit}: {said}");
                let (exit, said) = ended(&["verify"], &data);
                assert!([0, 9].contains(&exit), "{what}: verify after the repair {exit}: {said}");
            }
            fs::remove_dir_all(&data).expect("it was made here");
        }
    }
    proof::summary(&format!("kinds: names={} refused={refused} served={served} waits=0", names.len()));
}

#[test]
fn a_newest_snapshot_that_is_no_file_gives_way_to_the_older_one() {
    let place = crate::common::scratch();
    let whole = place.path().join("whole");
    directory::make(&whole);
    let content = directory::content(&whole);
    let newest = content.keys().rfind(|name| name.starts_with("snapshots")).expect("a snapshot");
    for kind in ["directory", "pipe", "link", "empty"] {
        let data = place.path().join("case");
        directory::write(&data, &content);
        put(&data.join(newest), kind);
        let (exit, said) = ended(&["verify"], &data);
        assert!(exit == 9 && said.contains(newest.to_str().expect("UTF-8")), "{kind}: {exit}: {said}");
        let server = Server::start(&data, &["--log", "error"]);
        server.terminate();
        assert!(server.wait().success(), "{kind}");
        assert_eq!(ended(&["verify"], &data).0, 0, "{kind}: it was set aside");
        fs::remove_dir_all(&data).expect("it was made here");
    }
}

#[test]
fn keys_that_are_no_file_are_refused() {
    let place = crate::common::scratch();
    let data = place.path().join("data");
    directory::make(&data);
    for kind in ["directory", "pipe"] {
        put(&data.join("keys"), kind);
        for command in [&["serve", "--addr", "127.0.0.1:0"][..], &["keys", "list"]] {
            let (exit, said) = ended(command, &data);
            assert!(exit == 5 && said.contains("keys"), "{kind}: {command:?}: {exit}: {said}");
        }
    }
}
