//! The series of requests: one for each route and method.

use std::sync::LazyLock;

use super::{
    route_table::{DROPIN, METHODS, OPS, UNMATCHED},
    v1,
};

/// Method and path of every series of requests, for `Metrics::new`.
///
/// First the paths counted under any method, each with all of [`METHODS`]; then the routes of the drop-in;
/// then those of `/v1`, each GET followed by its HEAD.
pub fn routes() -> &'static [(&'static str, &'static str)] {
    static ROUTES: LazyLock<Vec<(&'static str, &'static str)>> = LazyLock::new(|| {
        let with_any =
            std::iter::once(UNMATCHED).chain(OPS).flat_map(|path| METHODS.map(|method| (method, path)));
        let dropin = DROPIN.iter().map(|route| (route.method, route.path));
        let v1 = v1::operations()
            .iter()
            .flat_map(|known| [known.method, "HEAD"].map(|method| (method, known.path.as_str())));
        with_any.chain(dropin).chain(v1).collect()
    });
    &ROUTES
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;
    use crate::http::route_table::RouteIndex;

    #[test]
    fn each_route_has_a_series_of_its_own() {
        for (position, route) in DROPIN.iter().enumerate() {
            assert_eq!(routes()[RouteIndex::of_dropin(position).0], (route.method, route.path));
        }
        for text in METHODS.into_iter().chain(["TRACE", "BREW", "get", "other"]) {
            let method: Method = text.parse().unwrap();
            let label = if METHODS.contains(&text) { text } else { "other" };
            for path in OPS {
                assert_eq!(routes()[RouteIndex::of_ops(path, &method).unwrap().0], (label, path));
            }
            assert_eq!(routes()[RouteIndex::unmatched(&method).0], (label, "unmatched"));
        }
        for (position, known) in v1::operations().iter().enumerate() {
            let method: Method = known.method.parse().unwrap();
            assert_eq!(routes()[RouteIndex::of_v1(position, &method).0], (known.method, known.path.as_str()));
            assert_eq!(routes()[RouteIndex::of_v1(position, &Method::HEAD).0], ("HEAD", known.path.as_str()));
        }
        assert_eq!(RouteIndex::of_ops("/", &Method::GET), None);
    }
}
