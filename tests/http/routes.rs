//! Each route is wired everywhere it must be: in the description, on the page, and behind authorization.

use std::{collections::BTreeSet, fs, path::Path};

use upline::http::{description, routes};

use super::auth::support::Place;
use crate::common::uuid;

/// Public routes, with or without credentials.
const OPEN: [&str; 6] = ["/", "/livez", "/readyz", "/version", "/health", "/status"];

/// Returns method and path of every route with a specific method; those of operators are counted under any.
fn known() -> BTreeSet<(&'static str, &'static str)> {
    let methods: BTreeSet<&str> = routes().iter().map(|(method, _)| *method).collect();
    let is_any = |path: &str| methods.iter().all(|method| routes().contains(&(method, path)));
    let with_own = routes().iter().filter(|(_, path)| !is_any(path));
    with_own.filter(|(method, _)| *method != "HEAD").copied().collect()
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
    let server = place.serve(&[]);
    let mut behind = 0;
    for (method, path) in known().into_iter().filter(|(_, path)| !OPEN.contains(path)) {
        let asked = path.split('/').map(|part| if part.starts_with('{') { uuid(1) } else { part.into() });
        let asked = asked.collect::<Vec<String>>().join("/");
        assert_eq!(server.request(method, &asked, &[], b"").status, 401, "{method} {path}");
        behind += 1;
    }
    assert!(45 < behind, "{behind} routes");
}
