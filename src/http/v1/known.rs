//! What a route's description names is all that it takes: any other parameter of the query is refused by name, and so is a body where none is described.
//!
//! The check is made of the description itself and stands before every route, so no route can forget it, and the description cannot leave out a
//! parameter that works.

use std::sync::LazyLock;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderValue, Method, header},
    middleware::Next,
};
use percent_encoding::percent_decode_str;
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, ParameterIn, PathItem},
};

use super::{
    STREAMED,
    problem::{Code, Problem},
};
use crate::http::{
    content::Content,
    reply::{self, Reply},
    routes::RouteIndex,
};

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
    items.flat_map(|(path, item)| of_item(item).map(|(method, operation)| known(method, path, operation))).collect()
}

fn of_item(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let methods = [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("PATCH", &item.patch), ("DELETE", &item.delete)];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn known(method: &'static str, path: &str, operation: &Operation) -> Known {
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        RefOr::T(_) | RefOr::Ref(_) => None,
    });
    Known { method, path: path.to_owned(), parameters: parameters.collect(), takes_body: operation.request_body.is_some() }
}

/// Position of the operation that a method and the template of a path name.
fn find(method: &Method, path: &str) -> Option<usize> {
    // Axum answers HEAD by the route's GET.
    let method = if method == Method::HEAD { Method::GET.as_str() } else { method.as_str() };
    operations().iter().position(|known| known.method == method && known.path == path)
}

impl Known {
    /// # Errors
    /// `parameter_unknown`; `field_unknown` for a body that is not asked for.
    fn check(&self, request: &Request) -> Result<(), Problem> {
        let query = request.uri().query().unwrap_or_default();
        if let Some(name) = names(query).find(|name| !self.parameters.contains(name)) {
            let known = if self.parameters.is_empty() { "none".to_owned() } else { format!("`{}`", self.parameters.join("`, `")) };
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

/// Lets a request through to its route if it names nothing else than the description, and tells the service which route answered, so that it
/// can be counted.
pub async fn guard(request: Request, next: Next) -> Reply {
    let template = request.extensions().get::<MatchedPath>();
    let Some(position) = template.and_then(|template| find(request.method(), template.as_str())) else {
        return next.run(request).await;
    };
    let known = &operations()[position];
    let mut reply = match known.check(&request) {
        Ok(()) => next.run(request).await,
        // What a stream sends along is not read.
        Err(problem) if known.path == STREAMED => reply::with_header(problem.into(), header::CONNECTION, HeaderValue::from_static("close")),
        Err(problem) => problem.into(),
    };
    reply.extensions_mut().insert(RouteIndex::of_v1(position));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_query_are_decoded() {
        // query, names
        let table: [(&str, &[&str]); 6] =
            [("", &[]), ("&", &[]), ("a", &["a"]), ("a=1&b=2=3&", &["a", "b"]), ("%61+b=1", &["a b"]), ("=1&%ff", &["", "\u{fffd}"])];
        for (query, expected) in table {
            assert_eq!(names(query).collect::<Vec<_>>(), expected, "{query}");
        }
    }

    #[test]
    fn each_operation_is_found() {
        for (position, known) in operations().iter().enumerate() {
            assert_eq!(find(&known.method.parse().unwrap(), &known.path), Some(position), "{} {}", known.method, known.path);
        }
        assert_eq!(find(&Method::HEAD, "/v1/plan"), find(&Method::GET, "/v1/plan"));
        assert_eq!(find(&Method::DELETE, "/v1/plan"), None);
        let known = &operations()[find(&Method::GET, "/v1/members/{id}/downline").unwrap()];
        assert_eq!((&known.parameters[..], known.takes_body), (&["tree", "depth", "limit", "cursor"].map(String::from)[..], false));
    }
}
