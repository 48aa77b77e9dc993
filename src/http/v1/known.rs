//! What a route's description names is all that it takes: any other parameter of the query is refused by
//! name, and so is a body where none is described.
//!
//! The check is made of the description itself and stands before every route, so no route can forget it, and
//! the description cannot leave out a parameter that works.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{extract::Request, http::Method};
use percent_encoding::percent_decode_str;
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, ParameterIn, PathItem},
};

use super::problem::{Code, Problem};
use crate::http::content::Content;

/// One operation: what it is called, and what it takes.
pub struct Known {
    pub method: &'static str,
    /// Template.
    pub path: String,
    /// Names of the query's parameters.
    parameters: Vec<String>,
    takes_body: bool,
}

/// Every operation, in the order of the description.
pub fn operations() -> &'static [Known] {
    static OPERATIONS: LazyLock<Vec<Known>> = LazyLock::new(|| all(&super::description()));
    &OPERATIONS
}

fn all(description: &OpenApi) -> Vec<Known> {
    let items = description.paths.paths.iter();
    items
        .flat_map(|(path, item)| of_item(item).map(|(method, operation)| known(method, path, operation)))
        .collect()
}

fn of_item(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let methods = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn known(method: &'static str, path: &str, operation: &Operation) -> Known {
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        RefOr::T(_) | RefOr::Ref(_) => None,
    });
    Known {
        method,
        path: path.to_owned(),
        parameters: parameters.collect(),
        takes_body: operation.request_body.is_some(),
    }
}

/// Position of the operation of a request. Paths are matched by the same crate as in axum's router, so both
/// find the same one.
pub fn find(method: &Method, path: &str) -> Option<usize> {
    static POSITIONS: LazyLock<matchit::Router<Vec<usize>>> = LazyLock::new(by_path);
    // Axum answers HEAD by the route's GET.
    let method = if method == Method::HEAD { Method::GET.as_str() } else { method.as_str() };
    let positions = POSITIONS.at(path).ok()?.value;
    positions.iter().copied().find(|position| operations()[*position].method == method)
}

/// Positions of the operations of each path.
fn by_path() -> matchit::Router<Vec<usize>> {
    let mut positions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, known) in operations().iter().enumerate() {
        positions.entry(&known.path).or_default().push(position);
    }
    let mut router = matchit::Router::new();
    for (path, positions) in positions {
        router.insert(path, positions).expect("axum's router takes the same paths");
    }
    router
}

impl Known {
    /// # Errors
    /// `parameter_unknown`; `field_unknown` for a body that is not asked for.
    pub fn check(&self, request: &Request) -> Result<(), Problem> {
        let query = request.uri().query().unwrap_or_default();
        if let Some(name) = names(query).find(|name| !self.parameters.contains(name)) {
            let known = if self.parameters.is_empty() {
                "none".to_owned()
            } else {
                format!("`{}`", self.parameters.join("`, `"))
            };
            let detail = format!("this route has no parameter `{name}`; it has {known}");
            return Err(Problem::new(Code::ParameterUnknown).with("field", name).detail(detail));
        }
        let has_body = request.extensions().get::<Content>().is_some_and(|Content(bytes)| !bytes.is_empty());
        if has_body && !self.takes_body {
            return Err(Problem::new(Code::FieldUnknown).detail("this route takes no body"));
        }
        Ok(())
    }
}

/// Names of the parameters in a query, decoded as forms are.
fn names(query: &str) -> impl Iterator<Item = String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let name = pair.split('=').next().unwrap_or_default().replace('+', " ");
        percent_decode_str(&name).decode_utf8_lossy().into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_query_are_decoded() {
        // query, names
        let table: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("&", &[]),
            ("a", &["a"]),
            ("a=1&b=2=3&", &["a", "b"]),
            ("%61+b=1", &["a b"]),
            ("=1&%ff", &["", "\u{fffd}"]),
        ];
        for (query, expected) in table {
            assert_eq!(names(query).collect::<Vec<_>>(), expected, "{query}");
        }
    }

    #[test]
    fn each_operation_is_found() {
        for (position, known) in operations().iter().enumerate() {
            let path = known.path.replace(['{', '}'], "");
            assert_eq!(
                find(&known.method.parse().unwrap(), &path),
                Some(position),
                "{} {path}",
                known.method
            );
        }
        assert_eq!(find(&Method::HEAD, "/v1/plan"), find(&Method::GET, "/v1/plan"));
        assert_eq!(find(&Method::DELETE, "/v1/plan"), None);
        assert_eq!(find(&Method::GET, "/v1/plan/"), None);
        let known = &operations()[find(&Method::GET, "/v1/members/x/downline").unwrap()];
        assert_eq!(
            (&known.parameters[..], known.takes_body),
            (&["tree", "depth", "limit", "cursor"].map(String::from)[..], false)
        );
    }
}
