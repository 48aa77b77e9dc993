//! Ctrl-C and SIGTERM while a command waits for a pipe: the first signal ends it, with nothing half-done.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::support::{Place, command, run, signal, wait};

const HEADER: &str = "member,sponsor,joined_at\n";

/// SIGTERM in the mask of `/proc/PID/status`.
const TERM_BIT: u64 = 1 << 14;

/// Time for a command that handles signals to reach its blocking point.
const ON_THE_WAY: Duration = Duration::from_millis(300);

/// Makes a named pipe that is not opened.
fn pipe(place: &Place, name: &str) -> String {
    let made = Command::new("mkfifo").arg(place.path(name)).status().expect("mkfifo is there");
    assert!(made.success());
    place.text(name)
}

/// Starts the program, with pipes for its input and output, and waits until signals no longer end it by
/// default.
fn start<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Child {
    let child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask");
        u64::from_str_radix(mask.trim(), 16).expect("a number")
    };
    while caught() & TERM_BIT == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(ON_THE_WAY);
    child
}

#[test]
fn the_first_signal_ends_an_import_that_waits() {
    for name in ["INT", "TERM"] {
        let place = Place::new();
        let (data, pipe) = (place.text("data"), pipe(&place, "pipe"));
        let members = place.file("members.csv", format!("{HEADER}root,,\n"));
        let here = |arguments: &[&str]| -> Vec<String> {
            [arguments, &["--data-dir", &data]].concat().into_iter().map(str::to_owned).collect()
        };
        // It waits for a writer of the members, of the bonuses, of the plan, of the configuration; for more
        // data on a silent standard input.
        let table = [
            here(&["import", &pipe]),
            here(&["import", &members, "--bonuses", &pipe]),
            here(&["import", &members, "--plan", &pipe]),
            here(&["import", &members, "--config", &pipe]),
            here(&["import", "-"]),
        ];
        for arguments in table {
            let mut child = start(&arguments);
            let input = child.stdin.take();
            signal(&child, name);
            let ran = wait(child).ends_with(130).says("upline: interrupted: nothing was imported");
            assert!(!ran.err.contains("once more"), "{arguments:?}: {}", ran.err);
            drop(input);
            assert!(!place.path("data").exists(), "{arguments:?}");
        }
        // A writer that sends no more.
        let mut child = start(here(&["import", &pipe]));
        let mut writer = File::options().write(true).open(&pipe).expect("it has a reader");
        writer.write_all(format!("{HEADER}root,,\n").as_bytes()).expect("it is read");
        std::thread::sleep(ON_THE_WAY);
        signal(&child, name);
        drop(child.stdin.take());
        wait(child).ends_with(130).says("interrupted: nothing was imported");
        drop(writer);
        assert!(!place.path("data").exists());
    }
}

/// An import into an existing directory changes none of its bytes.
#[test]
fn an_import_into_a_network_that_is_there_leaves_it_as_it_is() {
    let place = Place::new();
    let data = place.text("data");
    let members = place.file("members.csv", format!("{HEADER}root,,\n"));
    run(["import", &members, "--data-dir", &data]).ends_with(0);
    let digest =
        || run(["verify", "--data-dir", &data, "--json"]).ends_with(0).json()["network_digest"].clone();
    let before = digest();
    let mut child = start(["import", "-", "--data-dir", &data]);
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(format!("{HEADER}root,,\nnew,root,\n").as_bytes()).expect("it reads");
    signal(&child, "TERM");
    wait(child).ends_with(130).says("interrupted: nothing was imported");
    drop(input);
    assert_eq!(digest(), before);
}

/// Refused rows are listed on standard error, which may be a pipe that is not read.
#[test]
fn a_message_that_nobody_reads_keeps_no_command_alive() {
    let place = Place::new();
    let data = place.text("data");
    let rows: String =
        (0..20_000).flat_map(|number| ["m".into(), number.to_string(), ",nobody,\n".into()]).collect();
    let members = place.file("members.csv", format!("{HEADER}{rows}"));
    let mut child = start(["import", &members, "--data-dir", &data]);
    let mut err = child.stderr.take().expect("it is piped");
    // More than a pipe holds was written: the command blocks.
    let mut first = [0; 1];
    err.read_exact(&mut first).expect("rows are refused");
    std::thread::sleep(ON_THE_WAY);
    signal(&child, "TERM");
    wait(child).ends_with(130);
    drop(err);
    assert!(!place.path("data").exists());
}

#[test]
fn the_first_signal_ends_an_export_that_waits() {
    let place = Place::new();
    let (data, pipe) = (place.text("data"), pipe(&place, "pipe"));
    let rows: String =
        (0..5_000).flat_map(|number| ["m".into(), number.to_string(), ",root,\n".into()]).collect();
    let members = place.file("members.csv", format!("{HEADER}root,,\n{rows}"));
    run(["import", &members, "--data-dir", &data]).ends_with(0);
    let out = place.text("members-out.csv");
    let bonuses = place.text("bonuses.csv");
    // It waits for a reader of the members, of the bonuses, of the rest of standard output.
    let table: [&[&str]; 3] =
        [&["--output", &pipe, "--bonuses", &bonuses], &["--output", &out, "--bonuses", &pipe], &[]];
    for more in table {
        let child = start([&["export", "--data-dir", &data], more].concat());
        signal(&child, "TERM");
        let mut child = child;
        let unread = child.stdout.take();
        wait(child).ends_with(130).says("upline: interrupted: the export is not complete");
        drop(unread);
        assert!(!place.path("bonuses.csv").exists() && !place.path("members-out.csv.partial").exists());
    }
}

#[test]
fn the_first_signal_ends_a_start_that_waits() {
    let place = Place::new();
    let (data, pipe) = (place.text("data"), pipe(&place, "pipe"));
    let serve = ["serve", "--data-dir", &data, "--addr", "127.0.0.1:0", "--plan", &pipe];
    let child = start(serve);
    signal(&child, "TERM");
    // As with any other stop.
    wait(child).ends_with(0);
    assert!(!place.path("data").exists());
    let temporary = place.path("temporary");
    std::fs::create_dir(&temporary).expect("it can be made");
    let child = {
        let mut command = command(["demo", "--addr", "127.0.0.1:0", "--plan", &pipe]);
        let child = command.env("TMPDIR", &temporary).stderr(Stdio::piped()).spawn().expect("it starts");
        std::thread::sleep(ON_THE_WAY);
        child
    };
    signal(&child, "TERM");
    wait(child).ends_with(130).says("upline: interrupted: no network was made");
    assert_eq!(std::fs::read_dir(&temporary).expect("it is there").count(), 0, "nothing is left behind");
}
