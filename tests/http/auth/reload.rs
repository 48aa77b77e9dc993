//! SIGHUP: reloads what can be reloaded, at once, and keeps the last good version of what cannot be read.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    issuer::{FLAGS, first, key_set, second},
    support::{Place, upline},
};
use crate::common::binary;

/// Generous, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a readable log.
struct Logged {
    child: Child,
    log: std::path::PathBuf,
}

impl Logged {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let log = place.file("log");
        let child = Command::new(binary())
            .args(["serve", "--addr", "127.0.0.1:0", "--log-format", "text"])
            .args(arguments)
            .arg("--data-dir")
            .arg(place.data())
            .env_clear()
            .envs([crate::common::SMALL_SEGMENTS])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let logged = Self { child, log };
        logged.wait_for("open", 1);
        logged
    }

    fn count(&self, text: &str) -> usize {
        fs::read_to_string(&self.log).unwrap().matches(text).count()
    }

    /// Waits until the log contains a text this many times.
    fn wait_for(&self, text: &str, times: usize) {
        let begin = Instant::now();
        while self.count(text) < times {
            assert!(
                begin.elapsed() < PATIENCE,
                "`{text}` {times} times: {}",
                fs::read_to_string(&self.log).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn hang_up(&self) {
        assert!(
            Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap().success()
        );
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn keys_and_key_sets_are_read_again_when_told_to() {
    let place = Place::new();
    place.key(&[]);
    let set = place.file("keys.json");
    fs::write(&set, key_set(&[first()])).unwrap();
    // Long enough that nothing is reloaded automatically during the test.
    let flags =
        [&FLAGS[..], &["--jwt-jwks", set.to_str().unwrap(), "--jwt-refresh-seconds", "3600"]].concat();
    let server = Logged::start(&place, &flags);
    let keys = |count: usize| format!("the token issuer's keys read keys={count}");
    server.hang_up();
    server.wait_for(&keys(1), 1);
    server.wait_for("service keys read", 1);
    fs::write(&set, key_set(&[first(), second()])).unwrap();
    server.hang_up();
    server.wait_for(&keys(2), 1);
    // An invalid set leaves the last one in force, and the log gives the reason each time.
    fs::write(&set, "no set").unwrap();
    for times in 1..=2 {
        server.hang_up();
        server.wait_for("the token issuer's keys cannot be read; the last good ones, if any, go on", times);
    }
    assert_eq!((server.count(&keys(1)), server.count(&keys(2))), (1, 1));
    // So do service keys.
    let path = place.data().join("keys");
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[1..]).unwrap();
    let failed = "the service keys cannot be read; the last good ones go on";
    server.wait_for(failed, 1);
    let before = server.count(failed);
    server.hang_up();
    server.wait_for(failed, before + 1);
    fs::write(&path, &good).unwrap();
    fs::write(&set, key_set(&[second()])).unwrap();
    server.hang_up();
    server.wait_for(&keys(1), 2);
}

#[test]
fn shared_secrets_are_read_again_when_told_to() {
    let place = Place::new();
    let secrets = place.file("secrets");
    let write = |text: &str| {
        fs::write(&secrets, text).unwrap();
        fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("0123456789abcdef0123456789abcdef\n");
    let flags = [
        "--jwt-hs256-secret-file",
        secrets.to_str().unwrap(),
        "--jwt-allow-missing",
        "iss,aud",
        "--jwt-refresh-seconds",
        "3600",
    ];
    let server = Logged::start(&place, &flags);
    write("fedcba9876543210fedcba9876543210\n0123456789abcdef0123456789abcdef\n");
    server.hang_up();
    server.wait_for("the token issuer's keys read keys=2", 1);
    write("short\n");
    server.hang_up();
    server.wait_for("HS256 needs 32 (256 bits) or more", 1);
}

/// The serving user, and another one.
const SERVER: u32 = 4_711;
const OTHER: u32 = 4_712;

/// Returns everything in a directory that does not belong to a user.
fn of_others(directory: &Path, user: u32) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(path) = left.pop() {
        let data = fs::symlink_metadata(&path).unwrap();
        if data.uid() != user {
            found.push(format!("{} is of {}", path.display(), data.uid()));
        }
        if data.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// Root creates keys, imports, takes snapshots; the server runs as another user. Only root can run this test.
#[test]
fn what_root_makes_belongs_to_the_user_that_serves() {
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    if fs::metadata(place.file("")).unwrap().uid() != 0 {
        println!("not run: only root can give files away");
        return;
    }
    // Others must be able to execute the program and to reach the directory.
    fs::set_permissions(place.file(""), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.file("upline");
    fs::copy(binary(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let as_user = |user: u32, arguments: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(place.data())
            .env_clear()
            .envs([crate::common::SMALL_SEGMENTS])
            .current_dir("/")
            .stdin(Stdio::null())
            .uid(user)
            .gid(user);
        command
    };
    let create = ["keys", "create", "--name", "a"];
    // Before anything but the parent directory exists.
    let above = place.file("data");
    fs::create_dir(&above).unwrap();
    chown(&above, Some(SERVER), Some(SERVER)).unwrap();
    assert!(upline(&place.data(), &create).status.success());
    assert_eq!(of_others(&place.data(), SERVER), Vec::<String>::new());
    let rows = place.file("rows.csv");
    fs::write(&rows, "member,sponsor,joined_at\na,,\n").unwrap();
    for arguments in [&["import", rows.to_str().unwrap()][..], &["snapshot"], &create] {
        let ran = upline(&place.data(), arguments);
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(of_others(&place.data(), SERVER), Vec::<String>::new(), "{arguments:?}");
    }
    for arguments in [&["verify"][..], &["keys", "list"], &create] {
        let ran = as_user(SERVER, arguments).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    // Any other user is refused, and nothing is changed.
    fs::set_permissions(place.data(), fs::Permissions::from_mode(0o777)).unwrap();
    for name in ["keys", "keys.lock", "keys.writing"] {
        fs::remove_file(place.data().join(name)).unwrap();
    }
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(place.data()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let ran = as_user(OTHER, &create).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(1), &b""[..]), "{said}");
    assert!(said.contains(&format!("belongs to the user {SERVER}")) && said.contains("sudo -u"), "{said}");
    assert_eq!(names(), before);
    // A group-shared directory of root's, as orchestrators mount them: the serving user may create its keys.
    let shared = place.file("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = Command::new(&program)
        .args(create)
        .arg("--data-dir")
        .arg(&shared)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .current_dir("/")
        .uid(OTHER)
        .gid(OTHER)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
