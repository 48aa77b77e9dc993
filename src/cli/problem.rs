//! Refusals in the words of `/v1`: those of a server, and those of a directory's own rules.

use serde_json::Value;

use super::exit::{Exit, Failure};
use crate::http::Problem;

/// The code of a problem that is no refusal: files of the directory are damaged.
const SEALS_UNREADABLE: &str = "seals_unreadable";

/// Returns the failure for what the rules of a directory refuse: a server would give the same reason.
pub(super) fn refused(why: impl Into<Problem>) -> Failure {
    let problem: Problem = why.into();
    let status = problem.code().status().as_u16();
    let problem = problem.to_json();
    let words = in_words(status, Some(&problem));
    if problem["code"] == SEALS_UNREADABLE {
        return Failure::new(Exit::Damaged, format!("{words}. What can be done, says `upline repair`"));
    }
    Failure::new(exit(status, Some(&problem)), words)
}

/// Returns the exit code of a refusal. A missing route is not a missing member or bonus: only the latter have
/// codes of their own.
pub(super) fn exit(status: u16, problem: Option<&Value>) -> Exit {
    let code = problem.and_then(|problem| problem["code"].as_str());
    let is_unknown = status == 404 && code.is_some_and(|code| !code.is_empty() && code != "route_unknown");
    if is_unknown { Exit::Unknown } else { Exit::Refused }
}

/// Describes a refusal: problem+json says what and why, other servers only a status.
pub(super) fn in_words(status: u16, problem: Option<&Value>) -> String {
    let text = |key: &str| problem.and_then(|problem| problem[key].as_str()).filter(|text| !text.is_empty());
    let words = match (text("title"), text("detail")) {
        (Some(title), Some(detail)) if title != detail => format!("{title}: {detail}"),
        (Some(title), Some(_)) => title.to_owned(),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => "no reason given; is it an upline server?".to_owned(),
    };
    match text("code") {
        Some(code) => format!("{words} ({status} {code})"),
        None => format!("{words} ({status})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rejection;

    #[test]
    fn a_rule_refuses_as_a_server_would() {
        let unknown = refused(Rejection::EntryUnknown);
        assert_eq!(unknown.exit, Exit::Unknown);
        assert_eq!(unknown.message, "There is no such bonus (404 entry_unknown)");
        let refused = refused(Rejection::ReversedBefore);
        assert_eq!(refused.exit, Exit::Refused);
        assert_eq!(refused.message, "This bonus was reversed before (409 reversed_before)");
    }
}
