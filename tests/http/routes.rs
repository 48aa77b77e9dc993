//! Each route is wired everywhere it must be: in the description, on the page, and behind authorization.

use std::{collections::BTreeSet, fs, path::Path};

use upline::http::{description, request_series};

use super::auth::support::Place;
use crate::common::uuid;

/// Public routes, with or without credentials.
const OPEN: [&str; 6] = ["/", "/livez", "/readyz", "/version", "/health", "/status"];

/// Whether a path is counted under any method: those of operators, and what no route answered.
fn is_any(path: &str) -> bool {
    let methods: BTreeSet<&str> = request_series().iter().map(|(method, _)| *method).collect();
    methods.iter().all(|method| request_series().contains(&(method, path)))
}

/// Returns method and path of every route with a specific method.
fn known() -> BTreeSet<(&'static str, &'static str)> {
    let with_own = request_series().iter().filter(|(_, path)| !is_any(path));
    with_own.filter(|(method, _)| *method != "HEAD").copied().collect()
}

/// The path with an id in place of each parameter.
fn with_ids(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { uuid(1) } else { part.into() });
    parts.collect::<Vec<String>>().join("/")
}

#[test]
fn every_route_is_described_and_in_the_page() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).unwrap();
    let rows: BTreeSet<&str> =
        page.lines().filter(|line| line.contains(" /v1/") && line.starts_with("| `")).collect();
    let description = description();
    let mut expected = BTreeSet::new();
    for (method, path) in known() {
        let operation = &description["paths"][path][method.to_lowercase()];
        let summary =
            operation["summary"].as_str().unwrap_or_else(|| panic!("{method} {path} is not described"));
        if path.starts_with("/v1/") {
            expected.insert(format!("| `{method} {path}` | {summary}"));
        }
    }
    assert!(30 < expected.len(), "{expected:?}");
    for row in &expected {
        assert!(rows.iter().any(|line| line.starts_with(row.as_str())), "docs/api.md lacks {row}");
    }
    assert_eq!(rows.len(), expected.len(), "docs/api.md has a route that is none");
}

#[test]
fn every_route_is_behind_the_door() {
    let place = Place::new();
    place.key(&["--role", "admin"]);
    // As many failures from one address as there are routes.
    let server = place.serve(&["--rate-failures-per-minute", "0"]);
    let mut behind = 0;
    for (method, path) in known().into_iter().filter(|(_, path)| !OPEN.contains(path)) {
        assert_eq!(server.request(method, &with_ids(path), &[], b"").status, 401, "{method} {path}");
        behind += 1;
    }
    assert!(45 < behind, "{behind} routes");
}

#[test]
fn every_row_of_the_table_has_its_handler() {
    let place = Place::new();
    let server = place.serve(&[]);
    let of_operators: BTreeSet<&str> = request_series()
        .iter()
        .map(|(_, path)| *path)
        .filter(|path| is_any(path) && *path != "unmatched")
        .collect();
    assert!(6 < of_operators.len(), "{of_operators:?}");
    for path in of_operators {
        let status = server.request("GET", path, &[], b"").status;
        assert!([200, 307].contains(&status), "GET {path}: {status}");
    }
    // An endless answer, and one that waits for its body, have tests of their own.
    for (method, path) in known().into_iter().filter(|(_, path)| *path != "/v1/events") {
        let answer = server.request(method, &with_ids(path), &[], b"");
        assert!(answer.status != 405 && answer.status < 500, "{method} {path}: {}", answer.status);
        assert!(!String::from_utf8_lossy(&answer.body).contains("route_unknown"), "{method} {path}");
    }
}
