//! Import rules: the floors of the core, and no import cycles.

use std::{collections::BTreeMap, fmt::Write};

use petgraph::{algo::tarjan_scc, graph::DiGraph};

use crate::layers::{Source, paths, source, sources};

/// The floors of the core, bottom up: each may use those before it (`src/core/mod.rs`).
const FLOORS: [&str; 10] =
    ["words", "plan", "store", "tree", "requests", "orders", "ledger", "network", "state", "read"];

/// Keywords that declare an item of a module.
const DECLARATIONS: [&str; 8] = ["struct", "enum", "trait", "fn", "const", "static", "type", "macro_rules!"];

/// Returns paths by which a file of the core uses a floor above its own.
fn ways_up(source: &Source) -> Vec<String> {
    let floor = |name: &str| FLOORS.iter().position(|floor| *floor == name);
    let Some(rest) = source.name.strip_prefix("core/") else { return Vec::new() };
    let Some(own) = floor(rest.split(['/', '.']).next().unwrap_or_default()) else { return Vec::new() };
    let mut ways = paths(&source.program);
    ways.retain(|path| {
        let to = path.strip_prefix("crate::core::").and_then(|rest| rest.split("::").next());
        to.is_some_and(|to| !to.is_empty() && floor(to).is_none_or(|to| own < to))
    });
    ways.dedup();
    ways
}

#[test]
fn floors_of_the_core_use_those_below_them() {
    let mut findings = String::new();
    for source in sources("src") {
        for path in ways_up(&source) {
            writeln!(findings, "src/{} uses {path}", source.name).expect("a string takes it");
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
    let ways = |name: &str, text: &str| ways_up(&source(name.into(), text.into())).len();
    assert_eq!(ways("core/tree/x.rs", "use crate::core::{state::parts::State, words::types::NONE};"), 1);
    assert_eq!(ways("core/state/x.rs", "use crate::core::tree::tour::Tour;"), 0);
    assert_eq!(ways("core/state/x.rs", "use crate::core::Entry;"), 1, "through the face of the core");
}

/// Returns the module of a file.
fn module_of(name: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = name.trim_end_matches(".rs").split('/').collect();
    if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
        parts.pop();
    }
    parts
}

/// Returns whether a file declares an item of this name.
fn declares(program: &str, item: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    DECLARATIONS.iter().any(|declaration| {
        let text = format!("{declaration} {item}");
        program.match_indices(&text).any(|(at, _)| ends(&program[at + text.len()..]))
    })
}

/// Resolves a path that begins with `crate`, `super` or `self` to one from the crate root.
fn absolute<'a>(module: &[&'a str], path: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = path.split("::").peekable();
    let mut base = module.to_vec();
    matches!(parts.peek(), Some(&("crate" | "super" | "self"))).then_some(())?;
    while let Some(step) = parts.next_if(|step| matches!(*step, "crate" | "super" | "self")) {
        match step {
            "crate" => base.clear(),
            "super" => _ = base.pop(),
            _ => {}
        }
    }
    base.extend(parts);
    Some(base)
}

/// Returns the file that a path leads to. A reexport of a `mod.rs` leads to none: it is declared elsewhere.
fn target(files: &BTreeMap<Vec<&str>, usize>, sources: &[Source], path: &[&str]) -> Option<usize> {
    let (length, file) =
        (0..=path.len()).rev().find_map(|length| Some((length, *files.get(&path[..length])?)))?;
    let Source { name, program, .. } = &sources[file];
    let is_face = ["mod.rs", "lib.rs", "main.rs"].iter().any(|face| name.ends_with(face));
    let item = path.get(length).copied().unwrap_or_default();
    (!is_face || declares(program, item)).then_some(file)
}

/// Returns groups of files with cyclic imports.
fn cycles(sources: &[Source]) -> Vec<Vec<&str>> {
    let files: BTreeMap<Vec<&str>, usize> =
        sources.iter().enumerate().map(|(file, source)| (module_of(&source.name), file)).collect();
    let mut graph = DiGraph::<usize, ()>::new();
    let nodes: Vec<_> = (0..sources.len()).map(|file| graph.add_node(file)).collect();
    for (from, source) in sources.iter().enumerate() {
        // Before braces a path is incomplete.
        for path in paths(&source.program).iter().filter(|path| !path.ends_with("::")) {
            let path = absolute(&module_of(&source.name), path).map(|path| target(&files, sources, &path));
            if let Some(Some(to)) = path.filter(|to| *to != Some(from)) {
                graph.update_edge(nodes[from], nodes[to], ());
            }
        }
    }
    let groups = tarjan_scc(&graph).into_iter().filter(|group| 1 < group.len());
    groups.map(|group| group.into_iter().map(|node| sources[graph[node]].name.as_str()).collect()).collect()
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut all = sources("src");
    // Tests may use what they test.
    all.retain(|source| !source.program.trim().is_empty());
    assert_eq!(cycles(&all), Vec::<Vec<&str>>::new(), "move what both need to a file of its own");
    let files = |texts: &[(&str, &str)]| -> Vec<Source> {
        texts.iter().map(|(name, text)| source((*name).into(), (*text).into())).collect()
    };
    let direct = files(&[("a.rs", "use crate::b::X;"), ("b.rs", "pub struct X; fn f() { crate::a::go() }")]);
    assert_eq!(cycles(&direct).len(), 1);
    let by_face = files(&[("a/mod.rs", "pub use self::b::X; pub fn go() {}"), ("a/b.rs", "use super::go;")]);
    assert_eq!(cycles(&by_face).len(), 1, "the face declares what its part uses");
    let handed_on =
        files(&[("a/mod.rs", "pub use self::{b::X, c::Y};"), ("a/b.rs", "use super::Y;"), ("a/c.rs", "")]);
    assert_eq!(cycles(&handed_on), Vec::<Vec<&str>>::new(), "the face only hands on");
}
