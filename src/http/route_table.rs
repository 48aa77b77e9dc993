//! Routing: one table of every route, and the original's way of matching them.
//!
//! The drop-in's routes are not matched by axum's router because the original differs in ways its clients can
//! see: it decodes the path before it matches, names only the first matching route's method in `allow`, and
//! redirects to the path with its last slash toggled, whatever the method.

use axum::http::Method;
use percent_encoding::percent_decode_str;

/// The operation of a drop-in route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Welcome,
    Health,
    Status,
    Register,
    RootUser,
    Downline,
    DownlineCount,
    AddTestData,
    Trigger,
    BonusesOf,
    Bonuses,
    MarkPaid,
    MarkAllPaid,
    EvaluateRank,
    Weekly,
}

impl Operation {
    /// Whether it takes an `Idempotency-Key`.
    pub fn is_keyed(self) -> bool {
        matches!(
            self,
            Operation::Register
                | Operation::RootUser
                | Operation::Trigger
                | Operation::MarkPaid
                | Operation::MarkAllPaid
        )
    }

    /// Whether it may change something. Two do so by GET.
    fn changes(self) -> bool {
        match self {
            Operation::Register
            | Operation::RootUser
            | Operation::AddTestData
            | Operation::Trigger
            | Operation::MarkPaid
            | Operation::MarkAllPaid
            | Operation::EvaluateRank => true,
            Operation::Welcome
            | Operation::Health
            | Operation::Status
            | Operation::Downline
            | Operation::DownlineCount
            | Operation::BonusesOf
            | Operation::Bonuses
            | Operation::Weekly => false,
        }
    }
}

/// Whether a request may change something: by its method, or by its route for the original's GETs that do.
/// Takes the path as sent.
pub fn may_change(method: &Method, path: &str) -> bool {
    let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let path = percent_decode_str(path).decode_utf8_lossy();
    !is_read || matches!(find(method, &path), Match::Found { operation, .. } if operation.changes())
}

/// One route: method, path with at most one parameter, operation.
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub operation: Operation,
}

const fn route(method: &'static str, path: &'static str, operation: Operation) -> Route {
    Route { method, path, operation }
}

/// Routes of the drop-in, in matching order. The last four are those named in the original's README.
pub const DROPIN: [Route; 19] = [
    route("GET", "/", Operation::Welcome),
    route("GET", "/health", Operation::Health),
    route("GET", "/status", Operation::Status),
    route("POST", "/user/register", Operation::Register),
    route("POST", "/user/root_user", Operation::RootUser),
    route("GET", "/user/downline/{user_id}", Operation::Downline),
    route("GET", "/user/downline/{user_id}/count", Operation::DownlineCount),
    route("GET", "/user/add_test_data", Operation::AddTestData),
    route("POST", "/bonus/", Operation::Trigger),
    route("GET", "/bonus/user/{user_id}", Operation::BonusesOf),
    route("GET", "/bonus/", Operation::Bonuses),
    route("PATCH", "/bonus/{bonus_id}/mark-paid", Operation::MarkPaid),
    route("GET", "/bonus/mark-paid/all", Operation::MarkAllPaid),
    route("POST", "/ranks/evaluate/{user_id}", Operation::EvaluateRank),
    route("GET", "/reports/weekly/{user_id}", Operation::Weekly),
    route("POST", "/bonus/bonus", Operation::Trigger),
    route("GET", "/bonus/bonus/user/{user_id}", Operation::BonusesOf),
    route("GET", "/bonus/bonus", Operation::Bonuses),
    route("PATCH", "/bonus/bonus/{bonus_id}/mark-paid", Operation::MarkPaid),
];

/// Routes of operations, which axum's router matches. All answer GET and HEAD.
pub const OPS: [&str; 7] = ["/livez", "/readyz", "/version", "/metrics", "/openapi.json", "/docs", "/redoc"];

/// Paths answered on the connections reserved for operators when all others are busy.
pub const SPARE: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Methods with their own series. Clients may send any method: those not listed count as the last one.
pub const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

/// Path of the series of requests that no route answered (404, 405, 307).
pub const UNMATCHED: &str = "unmatched";

/// Position in `routes::routes` of the route that answered, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteIndex(pub usize);

impl RouteIndex {
    pub fn of_dropin(position: usize) -> Self {
        Self((1 + OPS.len()) * METHODS.len() + position)
    }

    /// The index of a route of `/v1`, by its position in `v1::operations`.
    pub fn of_v1(position: usize, method: &Method) -> Self {
        Self(
            (1 + OPS.len()) * METHODS.len()
                + DROPIN.len()
                + 2 * position
                + usize::from(method == Method::HEAD),
        )
    }

    /// The index of a path that axum's router matches, whether or not it has the method.
    pub fn of_ops(path: &str, method: &Method) -> Option<Self> {
        // The files of the page count as the page.
        let path = if path.starts_with("/docs/") { "/docs" } else { path };
        OPS.iter()
            .position(|known| *known == path)
            .map(|position| Self((1 + position) * METHODS.len() + of_method(method)))
    }

    /// The index of a request that no route answered.
    pub fn unmatched(method: &Method) -> Self {
        Self(of_method(method))
    }
}

/// Position in [`METHODS`].
fn of_method(method: &Method) -> usize {
    METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1)
}

/// Whether a path is one of operations.
pub fn is_of_ops(path: &str) -> bool {
    RouteIndex::of_ops(path, &Method::GET).is_some()
}

/// The result of matching a request.
#[derive(PartialEq, Eq, Debug)]
pub enum Match<'p> {
    /// With the text of the path's parameter, empty when the route has none.
    Found {
        operation: Operation,
        route: RouteIndex,
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

/// Finds the route of a decoded path.
pub fn find<'p>(method: &Method, path: &'p str) -> Match<'p> {
    let mut wrong_method = None;
    for (position, route) in DROPIN.iter().enumerate() {
        let Some(parameter) = parameter_of(route.path, path) else { continue };
        if route.method == method.as_str() {
            return Match::Found {
                operation: route.operation,
                route: RouteIndex::of_dropin(position),
                parameter,
            };
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
    let exists = DROPIN.iter().any(|route| parameter_of(route.path, &toggled).is_some())
        || OPS.contains(&toggled.as_str());
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
            let found = match find(&method.parse().unwrap(), path) {
                Match::Found { operation, parameter, .. } => format!("{operation:?}({parameter})"),
                Match::WrongMethod { allow } => format!("allow {allow}"),
                Match::Redirect { path } => format!("to {path}"),
                Match::NotFound => "nothing".into(),
            };
            assert_eq!(found, expected, "{method} {path}");
        }
    }
}
