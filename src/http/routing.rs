//! Which route of the table a request is for.
//!
//! The drop-in's routes are not matched by axum's router because the original differs in ways its clients can
//! see: it decodes the path before it matches, names only the first matching route's method in `allow`, and
//! redirects to the path with its last slash toggled, whatever the method.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::http::Method;
use percent_encoding::percent_decode_str;

use super::route_table::{Access, Api, Operation, Route, dropin_routes, ops_routes, v1_routes};

/// Prefix of all paths of our own API.
const V1_PREFIX: &str = "/v1";

/// Whether a path belongs to our own API, so that its failures are problems.
pub fn is_v1(path: &str) -> bool {
    path.strip_prefix(V1_PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A route that was found, and its position among those of its API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    pub route: &'static Route,
    pub position: usize,
}

/// Finds the route of operators at a path, under any method, or that of `/v1`. Those of the drop-in are found
/// by [`find_dropin`], after their path is decoded.
pub fn find(method: &Method, path: &str) -> Option<Found> {
    if is_v1(path) { find_v1(method, path) } else { find_ops(path) }
}

fn find_ops(path: &str) -> Option<Found> {
    let position = ops_routes().iter().position(|route| route.is_at(path))?;
    Some(Found { route: &ops_routes()[position], position })
}

/// Paths are matched by the same crate as in axum's router, so both agree.
fn find_v1(method: &Method, path: &str) -> Option<Found> {
    static POSITIONS: LazyLock<matchit::Router<Vec<usize>>> = LazyLock::new(v1_by_path);
    // Axum answers HEAD by the route's GET.
    let method = if method == Method::HEAD { Method::GET.as_str() } else { method.as_str() };
    let positions = POSITIONS.at(path).ok()?.value;
    let position = positions.iter().copied().find(|position| v1_routes()[*position].method == method)?;
    Some(Found { route: &v1_routes()[position], position })
}

/// Positions of the routes of each path.
fn v1_by_path() -> matchit::Router<Vec<usize>> {
    let mut positions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, route) in v1_routes().iter().enumerate() {
        positions.entry(route.path).or_default().push(position);
    }
    let mut router = matchit::Router::new();
    for (path, positions) in positions {
        router.insert(path, positions).expect("axum's router takes the same paths");
    }
    router
}

/// The access of the route outside of `/v1` whose path is written exactly so: other spellings do not match.
pub fn access_of(path: &str) -> Option<Access> {
    let mut routes = ops_routes().iter().chain(dropin_routes());
    routes.find(|route| route.is_at(path)).map(|route| route.access)
}

/// Whether a path is exempt from rate limits.
pub fn is_unlimited(path: &str) -> bool {
    ops_routes().iter().any(|route| route.is_unlimited && route.is_at(path))
}

/// Whether a path is answered on the connections reserved for operators.
pub fn is_spare(path: &str) -> bool {
    ops_routes().iter().any(|route| route.is_spare && route.is_at(path))
}

/// Whether a request may change something: by its method, or by its route for the original's GETs that do.
/// Takes the path as sent.
pub fn may_change(method: &Method, path: &str) -> bool {
    let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let path = percent_decode_str(path).decode_utf8_lossy();
    !is_read || matches!(find_dropin(method, &path), Match::Found { operation, .. } if operation.changes())
}

/// The result of matching a request of the drop-in.
#[derive(PartialEq, Eq, Debug)]
pub enum Match<'p> {
    /// With the text of the path's parameter, empty when the route has none.
    Found {
        operation: Operation,
        found: Found,
        parameter: &'p str,
    },
    /// The path exists with this method.
    WrongMethod {
        allow: &'static str,
    },
    /// The path exists with its last slash toggled.
    Redirect {
        path: String,
    },
    NotFound,
}

/// Finds the drop-in's route of a decoded path.
pub fn find_dropin<'p>(method: &Method, path: &'p str) -> Match<'p> {
    let mut wrong_method = None;
    for (position, route) in dropin_routes().iter().enumerate() {
        let Some(parameter) = parameter_of(route.path, path) else { continue };
        let Api::Dropin(operation) = route.api else { continue };
        if route.method == method.as_str() {
            return Match::Found { operation, found: Found { route, position }, parameter };
        }
        wrong_method = wrong_method.or(Some(route.method));
    }
    if let Some(allow) = wrong_method {
        return Match::WrongMethod { allow };
    }
    let toggled = match path.strip_suffix('/') {
        Some("") => return Match::NotFound,
        // The original strips all of them.
        Some(_) => path.trim_end_matches('/').to_owned(),
        None => format!("{path}/"),
    };
    let exists = dropin_routes().iter().any(|route| parameter_of(route.path, &toggled).is_some())
        || ops_routes().iter().any(|route| route.path == toggled);
    if exists { Match::Redirect { path: toggled } } else { Match::NotFound }
}

/// Matches a path against a pattern. Returns the text of its parameter, empty when it has none.
fn parameter_of<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, rest)) = pattern.split_once('{') else { return (pattern == path).then_some("") };
    let (_, after) = rest.split_once('}')?;
    let parameter = path.strip_prefix(before)?.strip_suffix(after)?;
    (!parameter.is_empty() && !parameter.contains('/')).then_some(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_find_the_first_matching_route() {
        // method, path, match
        let table = [
            ("GET", "/", "Welcome()"),
            ("POST", "/user/register", "Register()"),
            ("GET", "/user/downline/x", "Downline(x)"),
            ("GET", "/user/downline/x/count", "DownlineCount(x)"),
            ("GET", "/user/downline/count", "Downline(count)"),
            ("POST", "/bonus/", "Trigger()"),
            ("GET", "/bonus/", "Bonuses()"),
            ("GET", "/bonus/user/mark-paid", "BonusesOf(mark-paid)"),
            ("PATCH", "/bonus/user/mark-paid", "MarkPaid(user)"),
            ("GET", "/bonus/mark-paid/all", "MarkAllPaid()"),
            ("PATCH", "/bonus/bonus/mark-paid", "MarkPaid(bonus)"),
            ("PATCH", "/bonus/bonus/x/mark-paid", "MarkPaid(x)"),
            ("POST", "/bonus/bonus", "Trigger()"),
            ("GET", "/bonus/bonus/user/x", "BonusesOf(x)"),
            ("PUT", "/bonus/", "allow POST"),
            ("POST", "/bonus/mark-paid/all", "allow GET"),
            ("GET", "/ranks/evaluate/x", "allow POST"),
            ("HEAD", "/health", "allow GET"),
            ("OPTIONS", "/user/register", "allow POST"),
            ("DELETE", "/bonus/user/mark-paid", "allow GET"),
            ("POST", "/bonus", "to /bonus/"),
            ("PUT", "/bonus", "to /bonus/"),
            ("POST", "/user/register/", "to /user/register"),
            ("GET", "/health/", "to /health"),
            ("GET", "/health//", "to /health"),
            ("GET", "/docs/", "to /docs"),
            ("GET", "/user/downline/x/", "to /user/downline/x"),
            ("GET", "/user/downline/", "nothing"),
            ("GET", "/user/downline//count", "nothing"),
            ("GET", "/user/downline/a/b", "nothing"),
            ("POST", "/add-data", "nothing"),
            ("GET", "//", "nothing"),
            ("GET", "", "to /"),
            ("GET", "*", "nothing"),
        ];
        for (method, path, expected) in table {
            let found = match find_dropin(&method.parse().unwrap(), path) {
                Match::Found { operation, parameter, .. } => format!("{operation:?}({parameter})"),
                Match::WrongMethod { allow } => format!("allow {allow}"),
                Match::Redirect { path } => format!("to {path}"),
                Match::NotFound => "nothing".into(),
            };
            assert_eq!(found, expected, "{method} {path}");
        }
    }

    #[test]
    fn each_route_of_v1_is_found() {
        for (position, route) in v1_routes().iter().enumerate() {
            let path = route.path.replace(['{', '}'], "");
            let found = find(&route.method.parse().unwrap(), &path);
            assert_eq!(found, Some(Found { route, position }), "{} {path}", route.method);
        }
        assert_eq!(find(&Method::HEAD, "/v1/plan"), find(&Method::GET, "/v1/plan"));
        assert_eq!(find(&Method::DELETE, "/v1/plan"), None);
        assert_eq!(find(&Method::GET, "/v1/plan/"), None);
    }

    #[test]
    fn paths_outside_of_v1_are_compared_as_written() {
        // path, its access, exempt from rate limits, answered on reserved connections
        let table = [
            ("/", Some(Access::Open), false, false),
            ("/livez", Some(Access::Open), true, true),
            ("/readyz", Some(Access::Open), true, true),
            ("/metrics", Some(Access::Metrics(crate::http::auth::Action::ReadMetrics)), false, true),
            ("/docs", Some(Access::Docs), false, false),
            ("/docs/start.js", Some(Access::Docs), false, false),
            ("/docsy", None, false, false),
            ("/livez/", None, false, false),
            ("/%6Civez", None, false, false),
            ("/LIVEZ", None, false, false),
        ];
        for (path, access, is_exempt, is_reserved) in table {
            assert_eq!(
                (access_of(path), is_unlimited(path), is_spare(path)),
                (access, is_exempt, is_reserved),
                "{path}"
            );
        }
    }
}
