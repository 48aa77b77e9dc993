//! Every file with members or money in it is readable by its owner alone: mode 0600, in directories of 0700,
//! regardless of the umask.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;

use crate::support::{Place, Ran, Server, run};

/// From fully open to the strictest that a sane system has.
const UMASKS: [&str; 3] = ["000", "022", "077"];

/// Runs the program under an umask.
fn command(umask: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("umask {umask}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_upline")]).args(arguments);
    // No configuration is inherited from this process; the shell needs no PATH.
    command.env_clear().envs([crate::common::SMALL_SEGMENTS]).stdin(Stdio::null());
    command
}

fn ran(umask: &str, arguments: &[&str]) -> Ran {
    command(umask, arguments).output().expect("a shell starts it").into()
}

/// Returns all files and directories at or below a path.
fn everything(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_path_buf()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() {
            found.extend(fs::read_dir(&found[at]).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found
}

/// Asserts the modes of everything at or below a path; returns the number of files.
#[track_caller]
fn is_private(top: &Path, what: &str) -> usize {
    let mut files = 0;
    for path in everything(top) {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let (mode, allowed) =
            (metadata.permissions().mode() & 0o777, if metadata.is_dir() { 0o700 } else { 0o600 });
        assert_eq!(mode, allowed, "{what}: {} has mode {mode:03o}", path.display());
        files += usize::from(metadata.is_file());
    }
    files
}

/// Makes a file readable and writable by all.
fn open_to_all(path: &Path) {
    fs::write(path, "an older export\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
}

#[test]
fn what_commands_write_is_for_its_owner_alone() {
    for umask in UMASKS {
        let place = Place::new();
        let data = place.text("data");
        let (csv, bonuses) = (place.text("members.csv"), place.text("bonuses.csv"));
        let (ndjson, lines) = (place.text("members.ndjson"), place.text("lines.ndjson"));
        let imported = place.text("imported");
        // command, files it writes
        let table: [(&[&str], &[&str]); 8] = [
            (
                &[
                    "demo",
                    "--orders",
                    "0",
                    "--members",
                    "30",
                    "--seed",
                    "3",
                    "--data-dir",
                    &data,
                    "--no-serve",
                ],
                &["data"],
            ),
            (&["snapshot", "--data-dir", &data], &["data"]),
            (&["keys", "create", "--name", "shop", "--role", "admin", "--data-dir", &data], &["data"]),
            (
                &["export", "--data-dir", &data, "-o", &csv, "--bonuses", &bonuses],
                &["members.csv", "bonuses.csv"],
            ),
            (
                &["export", "--data-dir", &data, "--format", "ndjson", "-o", &ndjson, "--bonuses", &lines],
                &["members.ndjson", "lines.ndjson"],
            ),
            (&["import", &csv, "--bonuses", &bonuses, "--data-dir", &imported], &["imported"]),
            (
                &["keys", "create", "--name", "first", "--role", "admin", "--data-dir", &place.text("new")],
                &["new"],
            ),
            (&["verify", "--data-dir", &imported], &["imported"]),
        ];
        for round in ["nothing", "files that everybody may write"] {
            for (arguments, written) in table {
                // A command that creates a directory runs once.
                if round != "nothing" && arguments[0] != "export" {
                    continue;
                }
                ran(umask, arguments).ends_with(0);
                for name in written {
                    let what = format!("{arguments:?} over {round}, umask {umask}");
                    assert_ne!(is_private(&place.path(name), &what), 0, "{what}: no file in {name}");
                }
            }
            for name in ["members.csv", "bonuses.csv", "members.ndjson", "lines.ndjson"] {
                open_to_all(&place.path(name));
                open_to_all(&place.path(&format!("{name}.partial")));
            }
        }
    }
}

#[test]
fn what_a_server_makes_in_its_directory_is_for_its_owner_alone() {
    for umask in UMASKS {
        let place = Place::new();
        let data = place.text("data");
        let serve = ["serve", "--addr", "127.0.0.1:0", "--segment-bytes", "1048576", "--data-dir", &data];
        let server = Server::start(&mut command(umask, &serve));
        let register = |number: u32| {
            let body = json!({"user_id": format!("6f1f6d1e-0000-4000-8000-{number:012}")});
            assert_eq!(server.request("POST", "/user/register", &body.to_string()).0, 200);
        };
        // Several snapshots, so that older ones are archived.
        for number in 0..6 {
            register(number);
            assert_eq!(server.request("POST", "/v1/snapshots", "").0 / 100, 2);
        }
        register(6);
        let files = is_private(&place.path("data"), &format!("serving, umask {umask}"));
        assert!(8 <= files, "{files} files");
        server.signal("KILL");
        _ = server.end();
    }
}

#[test]
fn what_a_repair_puts_aside_is_for_its_owner_alone() {
    for umask in UMASKS {
        let place = Place::new();
        let data = place.text("data");
        let server =
            Server::start(&mut command(umask, &["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
        for number in 0..12 {
            let body = json!({"user_id": format!("6f1f6d1e-0000-4000-8000-{number:012}")});
            assert_eq!(server.request("POST", "/user/register", &body.to_string()).0, 200);
        }
        server.signal("KILL");
        _ = server.end();
        // In the middle of acknowledged data.
        let segment = place.path("data/log/00000000000000000001.log");
        let mut bytes = fs::read(&segment).unwrap();
        bytes[1_100] ^= 1;
        fs::write(&segment, bytes).unwrap();
        let look = run(["repair", "--data-dir", &data, "--json"]).json();
        let good = look["last_good_lsn"].as_u64().unwrap_or_else(|| panic!("{look}")).to_string();
        let repair = ["repair", "--data-dir", &data, "--drop-acknowledged-after", &good, "--json"];
        let kept_in = ran(umask, &repair).ends_with(0).json()["kept_in"].as_str().unwrap().to_owned();
        for name in ["report.json", "dropped.ndjson"] {
            assert!(Path::new(&kept_in).join(name).exists(), "{name}");
        }
        is_private(&place.path("data"), &format!("repaired, umask {umask}"));
    }
}

#[test]
fn what_a_command_keeps_for_itself_is_for_its_owner_alone() {
    for umask in UMASKS {
        let place = Place::new();
        let demo = ["demo", "--members", "30", "--addr", "127.0.0.1:0"];
        // It reports its directory, then its address.
        let server = Server::start_after(command(umask, &demo).env("TMPDIR", place.root()), 1);
        let folder = fs::read_dir(place.root())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .next()
            .expect("a folder of its own");
        assert!(4 <= is_private(&folder, &format!("demo, umask {umask}")));
        server.signal("TERM");
        server.end().ends_with(0);
    }
}
