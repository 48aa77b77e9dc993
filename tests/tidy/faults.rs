//! The deliberate faults of `tests/faults`: each still applies to the current source. `.ci/bite` shows that
//! each is detected, and builds the crate once per fault.

use std::{fs, path::Path, process::Command};

/// Checks that a patch still applies to its source file, or returns why not.
fn check(root: &Path, name: &str, patch: &str) -> Result<(), String> {
    let header =
        |key: &str| patch.lines().find_map(|line| line.strip_prefix(key)).filter(|text| !text.is_empty());
    header("Breaks: ").ok_or("it does not say what it breaks")?;
    let command = header("Caught-by: cargo test ").ok_or("it does not say what catches it")?;
    let words: Vec<&str> = command.split(' ').collect();
    match words[..] {
        ["--lib", ..] => {}
        ["--test", binary, ..]
            if [format!("tests/{binary}/main.rs"), format!("tests/{binary}.rs")]
                .iter()
                .any(|file| root.join(file).is_file()) => {}
        _ => return Err(format!("there is no such test: {command}")),
    }
    if !patch.contains("\ndiff --git a/src/") {
        return Err("it changes nothing in src".into());
    }
    let applied = Command::new("git")
        .args(["apply", "--check"])
        .arg(root.join("tests/faults").join(name))
        .current_dir(root)
        .output();
    match applied {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => {
            println!("NOT CHECKED whether it applies, since git does not start: {error}");
            Ok(())
        }
    }
}

#[test]
fn every_fault_applies_and_names_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/proof.md")).expect("the page is there");
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root.join("tests/faults")).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a patch is text");
        count += 1;
        let breaks = text.lines().next().and_then(|line| line.strip_prefix("Breaks: ")).unwrap_or_default();
        if !page.contains(&format!("| `{}`: {breaks} |", name.trim_end_matches(".patch"))) {
            wrong.push(format!("{name}: docs/proof.md does not have it as it is"));
        }
        if let Err(reason) = check(root, &name, &text) {
            wrong.push(format!("{name}: {reason}"));
        }
    }
    assert_eq!(
        wrong,
        Vec::<String>::new(),
        "mend the patch together with the source: it is the same fault in the new words"
    );
    assert!(20 <= count, "{count} faults");
}
