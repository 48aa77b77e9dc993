//! A route accepts only what its description names: any other parameter of the query is refused by name, and
//! so is a body where none is described. A parameter that is described as a whole number must have no sign:
//! number parsers would accept a `+`.
//!
//! The check is derived from the description itself and runs before every route, so no route can forget it,
//! and the description cannot omit a parameter that works.

use std::sync::LazyLock;

use axum::{extract::Request, http::Uri};
use percent_encoding::percent_decode_str;
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, Parameter, ParameterIn, PathItem},
    schema::{Schema, SchemaType, Type},
};

use super::problem::{Code, Problem};
use crate::http::{
    content::Content,
    route_table::{Route, v1_routes},
};

/// The error for a number with a sign.
const UNSIGNED: &str = "must be a whole number without a sign";

/// The input of one route.
pub struct Known {
    /// Template.
    path: &'static str,
    /// Names of the query's parameters.
    parameters: Vec<String>,
    /// Parameters of the query and of the path that are whole numbers.
    numbers: Vec<String>,
    takes_body: bool,
}

/// The input of every route, in the order of the table.
///
/// # Panics
/// When a row of the table has no handler: its test names it.
pub fn inputs() -> &'static [Known] {
    static INPUTS: LazyLock<Vec<Known>> = LazyLock::new(|| {
        let description = super::description();
        v1_routes().iter().map(|route| known(&description, route)).collect()
    });
    &INPUTS
}

/// The operations of a path, by method, in the order of the description.
pub fn operations_of(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let methods = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn known(description: &OpenApi, route: &'static Route) -> Known {
    let item = description.paths.paths.get(route.path);
    let operation = item.and_then(|item| operations_of(item).find(|(method, _)| *method == route.method));
    let (_, operation) = operation.expect("each row of the table has its handler");
    let named = |is_meant: &dyn Fn(&Parameter) -> bool| {
        let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        });
        parameters.filter(|parameter| is_meant(parameter)).map(|parameter| parameter.name.clone()).collect()
    };
    Known {
        path: route.path,
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
    use axum::http::Method;

    use super::*;
    use crate::http::routing::find;

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

    fn input(path: &str) -> &'static Known {
        &inputs()[find(&Method::GET, path).unwrap().position]
    }

    #[test]
    fn numbers_are_known_by_their_description() {
        let numbers = |path: &str| &input(path).numbers[..];
        assert_eq!(numbers("/v1/members/x/downline"), ["depth", "limit"].map(String::from));
        assert_eq!(numbers("/v1/members/x/levels/3"), ["level", "limit"].map(String::from));
    }

    #[test]
    fn the_input_of_a_route_is_known_by_its_description() {
        let known = input("/v1/members/x/downline");
        assert_eq!(
            (&known.parameters[..], known.takes_body),
            (&["tree", "depth", "volumes", "limit", "cursor"].map(String::from)[..], false)
        );
    }
}
