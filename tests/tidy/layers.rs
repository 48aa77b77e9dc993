//! Enforces the shape of the source tree: which layer may use what, maximum file length, forbidden text.
//!
//! Reads the files as text. Comments do not count; tests inside a file and test files are excluded where a
//! rule is about the program alone.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

/// Maximum lines of a file without its tests. At around 500 a file has two subjects.
const FILE_LINES_MAX: usize = 660;
/// Maximum lines of tests inside a file; more move to a separate file.
const INLINE_TEST_LINES_MAX: usize = 200;

/// What a folder must not use.
struct Layer {
    folder: &'static str,
    /// Paths, including everything below them.
    paths: &'static [&'static str],
    /// Single words: crates, types, keywords, macros.
    words: &'static [&'static str],
    /// Words restricted to certain files: the word, and the files of the folder that may use it.
    homes: &'static [(&'static str, &'static [&'static str])],
}

/// The table of `ARCHITECTURE.md`, "Layers".
const LAYERS: [Layer; 4] = [
    Layer {
        folder: "core",
        paths: &[
            "crate::access",
            "crate::amount",
            "crate::calendars",
            "crate::cli",
            "crate::config",
            "crate::durability",
            "crate::engine",
            "crate::http",
            "crate::metrics",
            "crate::opening_text",
            "crate::plan_document",
            "crate::plan_file",
            "crate::shapes",
            "crate::time_text",
            "crate::toml_reader",
            "crate::workload",
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::os",
            "std::process",
            "std::thread",
            "std::time",
        ],
        words: &[
            "async",
            "axum",
            "clap",
            "dashmap",
            "f32",
            "f64",
            "hyper",
            "jiff",
            "metrics",
            "parking_lot",
            "rand",
            "rand_pcg",
            "rkyv",
            "serde",
            "serde_json",
            "tokio",
            "toml",
            "tracing",
            "uuid",
            "Condvar",
            "Instant",
            "Mutex",
            "OnceLock",
            "RwLock",
            "SystemTime",
        ],
        homes: &[
            ("memmap2", &["store/room.rs"]),
            ("ouroboros", &["store/room.rs"]),
            ("petgraph", &["read/graph.rs"]),
            (
                "rayon",
                &[
                    "store/parallel.rs",
                    "state/all_ranks.rs",
                    "tree/passes/inner.rs",
                    "tree/passes/recount.rs",
                ],
            ),
        ],
    },
    Layer {
        folder: "durability",
        paths: &[
            "crate::access",
            "crate::amount",
            "crate::calendars",
            "crate::cli",
            "crate::config",
            "crate::core::audit",
            "crate::core::state",
            "crate::core::Restore",
            "crate::engine",
            "crate::http",
            "crate::metrics",
            "crate::opening_text",
            "crate::plan_document",
            "crate::plan_file",
            "crate::shapes",
            "crate::time_text",
            "crate::toml_reader",
            "crate::workload",
        ],
        words: &[
            "async",
            "axum",
            "clap",
            "dashmap",
            "hyper",
            "jiff",
            "rand",
            "serde",
            "serde_json",
            "tokio",
            "toml",
            "Instant",
            "SystemTime",
        ],
        homes: &[("rkyv", &["snapshot/header.rs", "snapshot/rows.rs"])],
    },
    Layer {
        folder: "engine",
        paths: &[
            "crate::access",
            "crate::amount",
            "crate::calendars",
            "crate::cli",
            "crate::config",
            "crate::http",
            "crate::opening_text",
            "crate::plan_document",
            "crate::plan_file",
            "crate::shapes",
            "crate::time_text",
            "crate::toml_reader",
            "crate::workload",
        ],
        words: &["axum", "clap", "hyper", "jiff", "rkyv", "serde", "serde_json", "toml"],
        // The log is known by its traits, except where files are opened.
        homes: &[("dashmap", &["directory.rs"]), ("DataDir", &["open.rs"]), ("FileJournal", &[])],
    },
    Layer {
        folder: "http",
        paths: &[
            "crate::cli",
            "crate::core",
            "crate::durability",
            "crate::plan_file",
            "crate::shapes",
            "crate::toml_reader",
            "crate::workload",
        ],
        words: &["clap", "dashmap", "rkyv", "toml"],
        homes: &[],
    },
];

/// What the program must not contain outside its tests, and the exceptions.
const NOWHERE: [(&str, &[&str]); 13] = [
    (".unwrap()", &[]),
    ("todo!", &[]),
    ("unimplemented!", &[]),
    ("dbg!", &[]),
    // All output goes through one place that survives a closed pipe.
    ("println!", &[]),
    ("eprintln!", &[]),
    // The program exits by returning, except on a second Ctrl-C.
    ("process::exit", &["cli/exit.rs"]),
    // The process must not outlive a broken writer thread.
    ("process::abort", &["engine"]),
    // Files are readable by their owner alone, regardless of the umask: they are created in one place.
    ("File::create", &["private_file.rs"]),
    ("fs::write", &["private_file.rs"]),
    ("OpenOptions::new", &["private_file.rs", "durability/storage.rs"]),
    (".create(true)", &["private_file.rs"]),
    ("create_new(true)", &["private_file.rs"]),
];

pub struct Source {
    /// Relative to `src` or `tests`.
    pub name: String,
    /// Without comments and strings' line comments, without the tests inside.
    pub program: String,
    /// The tests inside, or everything for a test file.
    tests: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Returns all Rust files below a folder.
pub fn sources(folder: &str) -> Vec<Source> {
    let top = root().join(folder);
    let mut left = vec![top.clone()];
    let mut sources = Vec::new();
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).expect("the folder is there") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(&top)
                    .expect("it is below")
                    .to_str()
                    .expect("names are UTF-8")
                    .replace('\\', "/");
                sources.push(source(name, std::fs::read_to_string(&path).expect("sources are UTF-8")));
            }
        }
    }
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(!sources.is_empty(), "{folder} has sources");
    sources
}

pub fn source(name: String, text: String) -> Source {
    let file = name.rsplit('/').next().expect("a name has a last part");
    let is_test = name.split('/').any(|part| part == "tests") || file.contains("test");
    let split = if is_test { 0 } else { tests_inside(&text) };
    let code = |text: &str| text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    Source { program: code(&text[..split]), tests: code(&text[split..]), name, text }
}

/// Returns where the tests inside a file begin: at a module with a body; one that is only declared (`mod
/// tests;`) is another file.
fn tests_inside(text: &str) -> usize {
    let begins = |at: &usize| {
        let module = text[*at..].lines().nth(1).unwrap_or_default();
        module.trim_start_matches("pub(crate) ").starts_with("mod ") && module.ends_with('{')
    };
    text.match_indices("#[cfg(test)]").map(|(at, _)| at).find(begins).unwrap_or(text.len())
}

/// Returns a line up to its comment. `//` inside a string survives when no blank precedes it, as in
/// addresses.
fn without_comment(line: &str) -> &str {
    let mut end = line.len();
    for (at, _) in line.match_indices("//") {
        if line[..at].chars().next_back().is_none_or(char::is_whitespace) {
            end = at;
            break;
        }
    }
    &line[..end]
}

/// Returns whether the code contains a whole word.
fn has_word(code: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at]
            .chars()
            .next_back()
            .is_some_and(|character| is_part(character) || character == '"' || character == '`');
        let after = code[at + word.len()..]
            .chars()
            .next()
            .is_some_and(|character| is_part(character) || character == '"');
        !before && !after
    })
}

/// Returns every path in the code, with the braces of `use` expanded.
pub fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for statement in code.split("use ").skip(1) {
        let tree = statement.split(';').next().unwrap_or_default();
        expand("", &tree.split_whitespace().collect::<Vec<_>>().join(" "), &mut paths);
    }
    let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    paths.extend(
        code.split(|character| !is_part(character)).filter(|path| path.contains("::")).map(String::from),
    );
    paths
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        paths.push(format!("{prefix}{}", tree.split(" as ").next().unwrap_or(tree)));
        return;
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut start) = (0, 0);
    let prefix = format!("{prefix}{}", head.trim());
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &inner[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inner[start..].trim().is_empty() {
        expand(&prefix, &inner[start..], paths);
    }
}

fn is_below(path: &str, banned: &str) -> bool {
    path.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn findings_of_layer(layer: &Layer, source: &Source, findings: &mut String) {
    let Some(file) = source.name.strip_prefix(layer.folder).and_then(|rest| rest.strip_prefix('/')) else {
        return;
    };
    let paths = paths(&source.program);
    for banned in layer.paths {
        if paths.iter().any(|path| is_below(path, banned)) {
            writeln!(findings, "src/{} uses {banned}, which {} must not know", source.name, layer.folder)
                .expect("a string takes it");
        }
    }
    for banned in layer.words {
        if has_word(&source.program, banned) {
            writeln!(findings, "src/{} uses `{banned}`, which {} must not know", source.name, layer.folder)
                .expect("a string takes it");
        }
    }
    for (word, homes) in layer.homes {
        if !homes.contains(&file) && has_word(&source.program, word) {
            writeln!(findings, "src/{} uses `{word}`, whose home is {homes:?}", source.name)
                .expect("a string takes it");
        }
    }
}

#[test]
fn layers_know_only_what_is_below_them() {
    let mut findings = String::new();
    for source in sources("src") {
        LAYERS.iter().for_each(|layer| findings_of_layer(layer, &source, &mut findings));
    }
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn the_traits_of_the_log_name_no_file() {
    let all = sources("src");
    let journal = all.iter().find(|source| source.name == "durability/journal.rs").expect("it is there");
    for word in ["File", "Path", "PathBuf", "Storage", "fs", "io", "path", "paths", "storage"] {
        assert!(!has_word(&journal.program, word), "`{word}`");
    }
}

#[test]
fn nothing_unfinished_or_careless_stays() {
    let mut findings = String::new();
    for source in sources("src") {
        for (banned, homes) in NOWHERE {
            let at_home = homes.iter().any(|home| source.name.starts_with(home));
            if !at_home && source.program.contains(banned) {
                writeln!(findings, "src/{}: {banned}", source.name).expect("a string takes it");
            }
        }
    }
    // Split, so that this file does not match itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore")];
    for folder in ["src", "tests"] {
        for source in sources(folder) {
            for mark in marks.iter().filter(|mark| source.text.contains(**mark)) {
                writeln!(findings, "{folder}/{}: {mark}", source.name).expect("a string takes it");
            }
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn files_are_short_and_explain_themselves() {
    let mut findings = String::new();
    for source in sources("src") {
        let (program, tests) = (source.program.lines().count(), source.tests.lines().count());
        if FILE_LINES_MAX < program {
            writeln!(
                findings,
                "src/{} has {program} lines without tests, more than {FILE_LINES_MAX}",
                source.name
            )
            .expect("a string takes it");
        }
        if program != 0 && INLINE_TEST_LINES_MAX < tests {
            let name = &source.name;
            writeln!(
                findings,
                "src/{name} has {tests} lines of tests inside, more than {INLINE_TEST_LINES_MAX}"
            )
            .expect("a string takes it");
        }
        if program != 0 && !source.text.starts_with("//!") {
            writeln!(findings, "src/{} does not begin with what it is (`//!`)", source.name)
                .expect("a string takes it");
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

/// The comments of a file: each line with its number.
fn comments(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.filter(|(_, line)| line.trim_start().starts_with("//"))
}

/// Comments say things in words that a native reader would use. Their width is a rule of `widths.rs`.
#[test]
fn comments_are_plain() {
    // Written in two parts, so that this file does not find itself.
    let words = [concat!("who", "ever"), concat!("an", "ew"), concat!("brought", " along")];
    let mut findings = String::new();
    for folder in ["src", "tests", "benches", "fuzz"] {
        for source in sources(folder) {
            for (number, line) in comments(&source.text) {
                for word in words.iter().filter(|word| has_word(&line.to_lowercase(), word)) {
                    writeln!(findings, "{folder}/{}:{number}: {word}", source.name)
                        .expect("a string takes it");
                }
            }
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
    let found: Vec<usize> =
        comments("// a\nlet x = 1; // b\n    /// c\n").map(|(number, _)| number).collect();
    assert_eq!(found, [1, 3]);
}

/// Each program of the tests is linked with the whole crate: a new file is a module of one of them.
#[test]
fn the_tests_are_few_programs() {
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(root().join("tests")).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists() {
            programs.push(path.file_stem().expect("a name").to_string_lossy().into_owned());
        }
    }
    programs.sort();
    let known = ["cli", "disk", "engine", "http", "load", "memory", "simulation", "state", "tidy"];
    assert_eq!(programs, known);
}

/// The rules above must detect violations.
#[test]
fn the_rules_bite() {
    let found = |name: &str, text: &str| {
        let mut findings = String::new();
        let source = source(name.into(), text.into());
        LAYERS.iter().for_each(|layer| findings_of_layer(layer, &source, &mut findings));
        !findings.is_empty()
    };
    // file, text, whether something is wrong with it
    let table = [
        ("core/x.rs", "use std::{collections::HashMap, fs::{self, File}};", true),
        ("core/x.rs", "use std::collections::HashMap;", false),
        ("core/x.rs", "fn f() { std::time::Instant::now(); }", true),
        ("core/x.rs", "// std::fs is not used here, nor f64\nfn f() {}", false),
        ("core/x.rs", "fn f(x: f64) {}", true),
        ("core/x.rs", "fn half(x: u64) { crate::engine::go() }", true),
        ("core/x.rs", "use crate::{core::plan::Plan, http};", true),
        ("core/x.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}", false),
        ("core/x.rs", "#[cfg(test)]\nmod tests;\nuse std::fs;", true),
        ("core/read/graph.rs", "use petgraph::dot::Dot;", false),
        ("core/state.rs", "use petgraph::dot::Dot;", true),
        ("durability/x.rs", "use crate::core::types::Money;", false),
        ("durability/x.rs", "use crate::{\n    core::{\n        state::State,\n    },\n};", true),
        ("engine/x.rs", "use serde::Serialize;", true),
        ("engine/x.rs", "use crate::durability::{FileJournal, Journal};", true),
        ("engine/x.rs", "use crate::durability::{Journal, LogReader};", false),
        ("http/x.rs", "use crate::engine::{Engine, State};", false),
        ("http/x.rs", "use crate::{core::types::Money, engine};", true),
        ("cli/x.rs", "use crate::{core::state::State, durability::DataDir};", false),
    ];
    for (name, text, wrong) in table {
        assert_eq!(found(name, text), wrong, "{name}: {text}");
    }
}
