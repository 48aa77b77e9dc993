//! References in the pages resolve: settings, exit codes, files and their sections, metrics.

use std::{fs, path::Path, process::Command};

use super::{page, pages};

#[test]
fn every_setting_is_in_its_page() {
    let page = page("docs/settings.md");
    for setting in &upline::config::SETTINGS {
        let default =
            if setting.default.is_empty() { "none".to_owned() } else { format!("`{}`", setting.default) };
        let row = format!("\n| `{}` | {default} | ", setting.key);
        assert!(page.contains(&row), "the table of settings lacks: {row}");
    }
}

#[test]
fn every_exit_code_is_in_its_page() {
    let output = Command::new(env!("CARGO_BIN_EXE_upline"))
        .arg("--help")
        .env_clear()
        .output()
        .expect("the binary starts");
    let help = String::from_utf8(output.stdout).expect("help is UTF-8");
    let (_, codes) = help.split_once("Exit codes:\n").expect("help lists them");
    let page = page("docs/exit-codes.md");
    let mut count = 0;
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once(' ').expect("a code and what it means");
        let row = format!("\n| {code} | {} |\n", meaning.trim());
        assert!(page.contains(&row), "the table of exit codes lacks: {row}");
        count += 1;
    }
    assert_eq!(count, 18);
}

#[test]
fn every_link_of_a_page_resolves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for name in pages() {
        let folder = Path::new(&name).parent().expect("a page is in a folder");
        for link in page(&name).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https://") {
                continue;
            }
            count += 1;
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { root.join(&name) } else { root.join(folder).join(file) };
            assert!(target.exists(), "{name} links to {link}, and there is no such file");
            if !place.is_empty() {
                let text = fs::read_to_string(&target).expect("a link with a place leads to a page");
                assert!(
                    anchors(&text).iter().any(|anchor| anchor == place),
                    "{name} links to {link}: no such place"
                );
            }
        }
    }
    assert!(50 <= count, "{count} links");
}

/// Returns the anchors of a page, as GitHub derives them from its headings.
fn anchors(page: &str) -> Vec<String> {
    let mut in_block = false;
    let headings = page.lines().filter(|line| {
        in_block ^= line.trim_start().starts_with("```");
        !in_block && line.starts_with('#')
    });
    let kept = |character: &char| character.is_alphanumeric() || " -_".contains(*character);
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| heading.chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn places_are_those_of_the_headings() {
    let page = "# The API: `/v1`\n```sh\n# no heading\n```\n## Web pages, kept out\ntext\n### bench http\n";
    assert_eq!(anchors(page), ["the-api-v1", "web-pages-kept-out", "bench-http"]);
}

#[test]
fn every_metric_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let metrics =
        fs::read_to_string(root.join("src/metrics/table.rs")).expect("the table of metrics is there");
    for name in pages() {
        let text = page(&name);
        for word in
            text.split('`').filter(|word| word.starts_with("upline_") && !word.contains(['*', ' ', '{']))
        {
            assert!(metrics.contains(&format!("\"{word}\"")), "{name} names the metric {word}");
        }
    }
}
