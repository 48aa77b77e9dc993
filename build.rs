//! Tells the program what it is: version, and the commit it was built from where that is known.
//!
//! The commit is `UPLINE_COMMIT` of the environment, or, for release builds, what the checkout's `.git` says,
//! read without running git. Nothing of it is needed: a source archive builds too. Other builds do not look
//! at `.git`, since they would then be built anew after each commit.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Hexadecimal digits of a commit that are shown.
const COMMIT_DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=UPLINE_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let named = env::var("UPLINE_COMMIT").ok().filter(|commit| is_plain(commit));
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = named.or_else(|| if is_release { commit_of_checkout() } else { None });
    let shown = match &commit {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    // Not `UPLINE_...`: `cargo run` hands them to the program, which takes what begins so for settings.
    println!("cargo::rustc-env=BUILT_COMMIT={}", commit.unwrap_or_default());
    println!("cargo::rustc-env=BUILT_VERSION={shown}");
}

/// What goes into banners and answers without a second thought.
fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
}

/// The commit that is checked out, as `.git` says it.
fn commit_of_checkout() -> Option<String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let entry = root.join(".git");
    // A worktree has a file that says where its part of the repository is.
    let git = match fs::read_to_string(&entry) {
        Ok(text) => root.join(text.strip_prefix("gitdir: ")?.trim()),
        Err(_) if entry.is_dir() => entry,
        Err(_) => return None,
    };
    let common =
        fs::read_to_string(git.join("commondir")).map_or_else(|_| git.clone(), |text| git.join(text.trim()));
    let head = read(&git.join("HEAD"))?;
    // Each commit adds a line here, also where the branch moves from the packed references to a file of its
    // own.
    let history = git.join("logs/HEAD");
    if history.is_file() {
        println!("cargo::rerun-if-changed={}", history.display());
    }
    let commit = match head.strip_prefix("ref: ") {
        None => head,
        Some(reference) => {
            read(&common.join(reference)).or_else(|| packed(&common.join("packed-refs"), reference))?
        }
    };
    let is_hash = COMMIT_DIGITS <= commit.len() && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| commit[..COMMIT_DIGITS].to_owned())
}

/// A small file's text; the build is done anew when it changes.
fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    println!("cargo::rerun-if-changed={}", path.display());
    Some(text.trim().to_owned())
}

fn packed(path: &Path, reference: &str) -> Option<String> {
    let text = read(path)?;
    text.lines().find_map(|line| {
        line.split_once(' ').filter(|(_, name)| *name == reference).map(|(commit, _)| commit.to_owned())
    })
}
