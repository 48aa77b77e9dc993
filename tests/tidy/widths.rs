//! No line of a program is wider than `max_width` in `rustfmt.toml`. rustfmt breaks no literals, and leaves
//! the arguments of macros and attributes that it cannot read as they are.

use std::{
    ffi::OsStr,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use super::layers::root;

const WIDTH: usize = 110;
/// The folders with programs.
const FOLDERS: [&str; 7] = [".ci", "benches", "clients", "fuzz", "loadtest", "src", "tests"];
/// Folders in them that tools make.
const GENERATED: [&str; 4] = ["__pycache__", "dist", "node_modules", "target"];
/// The endings of programs; a script has none, and begins with `#!`.
const ENDINGS: [&str; 6] = ["js", "mjs", "py", "rs", "sh", "ts"];

/// Adds every program below a folder, with its text.
fn programs(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().and_then(OsStr::to_str).expect("names are UTF-8");
        let ending = path.extension().and_then(OsStr::to_str);
        if path.is_dir() {
            if !GENERATED.contains(&name) {
                programs(&path, found);
            }
        } else if ending.is_none_or(|ending| ENDINGS.contains(&ending)) {
            let bytes = fs::read(&path).expect("it can be read");
            if ending.is_some() || bytes.starts_with(b"#!") {
                found.push((path, String::from_utf8(bytes).expect("programs are UTF-8")));
            }
        }
    }
}

/// Returns whether a line cannot be broken: a row of a table in a comment, a raw literal without a blank, or
/// one that a page sends as it is.
fn is_excused(line: &str) -> bool {
    let text = line.trim_start();
    let is_row = text.starts_with("//") && text.trim_start_matches(['/', '!', ' ']).starts_with('|');
    let raw = text.split_once("r#\"").and_then(|(_, rest)| rest.split_once("\"#"));
    is_row || raw.is_some_and(|(literal, _)| !literal.contains(' ')) || text.starts_with("<noscript>")
}

fn is_too_wide(line: &str) -> bool {
    WIDTH < line.chars().count() && !is_excused(line)
}

#[test]
fn lines_are_narrow() {
    let settings = fs::read_to_string(root().join("rustfmt.toml")).expect("it is there");
    assert!(settings.contains(&format!("max_width = {WIDTH}\n")), "rustfmt has another width: {settings}");
    let mut found = Vec::new();
    for folder in FOLDERS {
        programs(&root().join(folder), &mut found);
    }
    found.sort();
    let mut findings = String::new();
    for (path, text) in found {
        for (at, _) in text.lines().enumerate().filter(|(_, line)| is_too_wide(line)) {
            writeln!(findings, "{}:{} is too wide", path.display(), at + 1).expect("a string takes it");
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

/// The rule must detect violations.
#[test]
fn what_is_too_wide_is_found() {
    let (wide, blanks) = ("é".repeat(WIDTH), "é ".repeat(WIDTH));
    // line, whether it is too wide
    let table = [
        (wide.clone(), false),
        (format!("{wide}e"), true),
        (format!("// {wide}"), true),
        (format!("    //! | {blanks} |"), false),
        (format!("    | {blanks} |"), true),
        (format!("    let text = \"{wide}\";"), true),
        (format!("    let text = r#\"{wide}\"#;"), false),
        (format!("    let text = r#\"{blanks}\"#;"), true),
    ];
    for (line, expected) in table {
        assert_eq!(is_too_wide(&line), expected, "{line}");
    }
}
