//! The series of requests: one for each route and method.

use std::sync::LazyLock;

use axum::http::Method;

use super::{
    route_table::{Api, dropin_routes, ops_routes, v1_routes},
    routing::Found,
};

/// Methods with their own series. Clients may send any method: those not listed count as the last one.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

/// Path of the series of requests that no route answered (404, 405, 307).
const UNMATCHED: &str = "unmatched";

/// Method and path of every series of requests, for `Metrics::new`.
///
/// First the paths counted under any method, each with all of `METHODS`; then the routes of the drop-in; then
/// those of `/v1`, each followed by its HEAD.
pub fn request_series() -> &'static [(&'static str, &'static str)] {
    static SERIES: LazyLock<Vec<(&'static str, &'static str)>> = LazyLock::new(|| {
        let any = std::iter::once(UNMATCHED).chain(ops_routes().iter().map(|route| route.path));
        let with_any = any.flat_map(|path| METHODS.map(|method| (method, path)));
        let dropin = dropin_routes().iter().map(|route| (route.method, route.path));
        let v1 =
            v1_routes().iter().flat_map(|route| [route.method, "HEAD"].map(|method| (method, route.path)));
        with_any.chain(dropin).chain(v1).collect()
    });
    &SERIES
}

/// Position in [`request_series`] of the route that answered, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeriesIndex(pub usize);

impl SeriesIndex {
    /// The index of a route. Those of operators count under any method, whether or not they have it.
    pub fn of(found: Found, method: &Method) -> Self {
        let Found { route, position } = found;
        let dropin = (1 + ops_routes().len()) * METHODS.len();
        Self(match route.api {
            Api::Ops => (1 + position) * METHODS.len() + of_method(method),
            Api::Dropin(_) => dropin + position,
            Api::V1 => dropin + dropin_routes().len() + 2 * position + usize::from(method == Method::HEAD),
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route_table::Route;

    #[test]
    fn each_route_has_a_series_of_its_own() {
        let series = |route: &'static Route, position, method: &Method| {
            request_series()[SeriesIndex::of(Found { route, position }, method).0]
        };
        for (position, route) in dropin_routes().iter().enumerate() {
            assert_eq!(series(route, position, &Method::GET), (route.method, route.path));
        }
        for text in METHODS.into_iter().chain(["TRACE", "BREW", "get", "other"]) {
            let method: Method = text.parse().unwrap();
            let label = if METHODS.contains(&text) { text } else { "other" };
            for (position, route) in ops_routes().iter().enumerate() {
                assert_eq!(series(route, position, &method), (label, route.path));
            }
            assert_eq!(request_series()[SeriesIndex::unmatched(&method).0], (label, "unmatched"));
        }
        for (position, route) in v1_routes().iter().enumerate() {
            let method: Method = route.method.parse().unwrap();
            assert_eq!(series(route, position, &method), (route.method, route.path));
            assert_eq!(series(route, position, &Method::HEAD), ("HEAD", route.path));
        }
    }
}
