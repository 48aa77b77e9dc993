//! A route accepts only what its description names: any other parameter of the query is refused by name, and
//! so is a body where none is described. A parameter that is described as a whole number must have no sign:
//! number parsers would accept a `+`.
//!
//! The check is derived from the description itself and runs before every route, so no route can forget it,
//! and the description cannot omit a parameter that works.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    extract::Request,
    http::{Method, Uri},
};
use percent_encoding::percent_decode_str;
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, Parameter, ParameterIn, PathItem},
    schema::{Schema, SchemaType, Type},
};

use super::problem::{Code, Problem};
use crate::http::content::Content;

/// The error for a number with a sign.
const UNSIGNED: &str = "must be a whole number without a sign";

/// One operation: its name, and its input.
pub struct Known {
    pub method: &'static str,
    /// Template.
    pub path: String,
    /// Names of the query's parameters.
    parameters: Vec<String>,
    /// Parameters of the query and of the path that are whole numbers.
    numbers: Vec<String>,
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
    let named = |is_meant: &dyn Fn(&Parameter) -> bool| {
        let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        });
        parameters.filter(|parameter| is_meant(parameter)).map(|parameter| parameter.name.clone()).collect()
    };
    Known {
        method,
        path: path.to_owned(),
        parameters: named(&|parameter| parameter.parameter_in == ParameterIn::Query),
        numbers: named(&is_number),
        takes_body: operation.request_body.is_some(),
    }
}

fn is_number(parameter: &Parameter) -> bool {
    let Some(RefOr::T(Schema::Object(schema))) = &parameter.schema else { return false };
    match &schema.schema_type {
        SchemaType::Type(one) => *one == Type::Integer,
        SchemaType::Array(several) => several.contains(&Type::Integer),
        SchemaType::AnyValue => false,
    }
}

/// Position of the operation of a request. Paths are matched by the same crate as in axum's router, so both
/// agree.
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
    /// `parameter_unknown`; `parameter_invalid` for a number with a sign; `field_unknown` for an undescribed
    /// body.
    pub fn check(&self, request: &Request) -> Result<(), Problem> {
        let query = request.uri().query().unwrap_or_default();
        if let Some((name, _)) = pairs(query).find(|(name, _)| !self.parameters.contains(name)) {
            let known = if self.parameters.is_empty() {
                "none".to_owned()
            } else {
                format!("`{}`", self.parameters.join("`, `"))
            };
            let detail = format!("this route has no parameter `{name}`; it has {known}");
            return Err(Problem::new(Code::ParameterUnknown).with("field", name).detail(detail));
        }
        if let Some(name) = self.signed_number(request.uri()) {
            return Err(Problem::new(Code::ParameterInvalid).with("field", name).detail(UNSIGNED));
        }
        let has_body = request.extensions().get::<Content>().is_some_and(|Content(bytes)| !bytes.is_empty());
        if has_body && !self.takes_body {
            return Err(Problem::new(Code::FieldUnknown).detail("this route takes no body"));
        }
        Ok(())
    }

    /// The name of a number that is sent with a sign.
    fn signed_number(&self, uri: &Uri) -> Option<String> {
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        // Fast path: practically no request has one.
        if self.numbers.is_empty() || !path.contains(['+', '%']) && !query.contains('%') {
            return None;
        }
        let mut sent = self.of_path(path).chain(pairs(query));
        sent.find(|(name, value)| self.numbers.contains(name) && value.starts_with('+')).map(|(name, _)| name)
    }

    /// The parameters of a path that matched this operation, decoded. Each is one segment.
    fn of_path<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
        self.path.split('/').zip(path.split('/')).filter_map(|(template, segment)| {
            let name = template.strip_prefix('{')?.strip_suffix('}')?;
            Some((name.to_owned(), percent_decode_str(segment).decode_utf8_lossy().into_owned()))
        })
    }
}

/// The parameters of a query with their values, decoded as forms are.
fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_query_are_decoded() {
        // query, names and values
        let table: [(&str, &[(&str, &str)]); 6] = [
            ("", &[]),
            ("&", &[]),
            ("a", &[("a", "")]),
            ("a=1&b=2=3&", &[("a", "1"), ("b", "2=3")]),
            ("%61+b=%2B1", &[("a b", "+1")]),
            ("=+1&%ff", &[("", " 1"), ("\u{fffd}", "")]),
        ];
        for (query, expected) in table {
            let found: Vec<(String, String)> = pairs(query).collect();
            let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(found, expected, "{query}");
        }
    }

    #[test]
    fn numbers_are_known_by_their_description() {
        let numbers = |path: &str| &operations()[find(&Method::GET, path).unwrap()].numbers[..];
        assert_eq!(numbers("/v1/members/x/downline"), ["depth", "limit"].map(String::from));
        assert_eq!(numbers("/v1/members/x/levels/3"), ["level", "limit"].map(String::from));
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
