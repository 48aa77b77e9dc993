//! Literal answers of the drop-in, for its description. Failure texts come from the code that answers them,
//! so they cannot differ; tests compare the others with real answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    body::{self, Refusal, RegisterBody, TriggerBody},
    errors::status_and_detail,
};
use crate::{
    engine::Rejection,
    http::{
        auth::{Denied, TurnedAway},
        route_table::Operation,
    },
};

/// A name, and the example's value.
pub type Example = (&'static str, Value);

const ROOT: &str = "00000000-0000-4000-8000-000000000001";
const MEMBER: &str = "00000000-0000-4000-8000-000000000002";
const BELOW: &str = "00000000-0000-4000-8000-000000000003";

fn detail(text: &str) -> Value {
    json!({ "detail": text })
}

fn root() -> Value {
    json!({
        "id": "8a4e2f60-51c7-4d0b-9b2e-6f1d3c5a7e90", "user_id": ROOT, "parent_id": null, "level": 1,
        "created_at": "2026-11-20T18:35:03.068920Z", "updated_at": null, "children": [],
    })
}

fn member(children: &[Value]) -> Value {
    json!({
        "id": "b1c0a7d2-8e3f-4a56-8c9d-0e1f2a3b4c5d", "user_id": MEMBER, "parent_id": ROOT, "level": 2,
        "created_at": "2026-11-20T18:36:41.502113Z", "updated_at": null, "children": children,
    })
}

fn below() -> Value {
    json!({
        "id": "c7e9b3a1-2d4f-4e68-9a0b-1c2d3e4f5a6b", "user_id": BELOW, "parent_id": MEMBER, "level": 3,
        "created_at": "2026-11-20T18:37:12.000450Z", "updated_at": null, "children": [],
    })
}

/// The report's times have another suffix than those of the other routes.
fn bonus(status: &str, offset: &str) -> Value {
    json!({
        "id": "352693df-2619-447b-a2ab-3ffe66d3817e", "user_id": ROOT, "source_user_id": MEMBER, "level": 1,
        "amount": 10.0,
        "type": "referral", "status": status, "created_at": format!("2026-11-20T18:40:00.123456{offset}"),
    })
}

/// An operation's answers when it has a result.
pub fn successes(operation: Operation) -> Vec<Example> {
    let one = |value: Value| vec![("answer", value)];
    match operation {
        Operation::Welcome => one(json!({ "message": "Welcome to MLM API" })),
        Operation::Health => one(json!({ "status": "healthy" })),
        Operation::Status => one(json!({ "status": "running" })),
        Operation::Register => vec![("below_a_parent", member(&[])), ("root", root())],
        Operation::RootUser => one(root()),
        Operation::Downline => vec![("downline", json!([member(&[below()])])), ("nobody", json!([]))],
        Operation::DownlineCount => one(json!(12)),
        Operation::AddTestData => {
            one(json!({ "message": "Test data added successfully!", "root_user_id": ROOT }))
        }
        Operation::Trigger => one(detail("Bonuses distributed")),
        Operation::BonusesOf | Operation::Bonuses => {
            vec![("bonuses", json!([bonus("pending", "Z")])), ("none", json!([]))]
        }
        Operation::MarkPaid => one(bonus("paid", "Z")),
        Operation::MarkAllPaid => {
            vec![("paid", detail("All bonuses have been paid.")), ("none", detail("No unpaid bonuses found"))]
        }
        Operation::EvaluateRank => {
            vec![
                ("rank", json!({ "message": "Assigned rank: Bronze" })),
                ("no_rank", json!({ "message": "Assigned rank: No rank" })),
            ]
        }
        Operation::Weekly => vec![
            (
                "bonuses",
                json!({
                    "user_id": ROOT, "total_bonus": 10.0, "count": 1, "bonuses": [bonus("pending", "+00:00")],
                }),
            ),
            ("none", json!({ "user_id": MEMBER, "total_bonus": 0, "count": 0, "bonuses": [] })),
        ],
    }
}

/// Bodies that an operation accepts.
pub fn bodies(operation: Operation) -> Vec<Example> {
    match operation {
        Operation::Register => {
            vec![
                ("below_a_parent", json!({ "user_id": MEMBER, "parent_id": ROOT })),
                ("root", json!({ "user_id": ROOT })),
            ]
        }
        Operation::RootUser => vec![("root", json!({ "user_id": ROOT }))],
        Operation::Trigger => vec![
            ("referral", json!({ "source_user_id": MEMBER, "trigger_type": "referral" })),
            ("purchase", json!({ "source_user_id": MEMBER, "trigger_type": "purchase" })),
        ],
        _ => Vec::new(),
    }
}

/// An operation's answers with an error status. `path` names its parameter.
pub fn failures(operation: Operation, path: &str, status: &str) -> Vec<Example> {
    let rule = |name, rejection| (name, detail(status_and_detail(operation, rejection).1));
    match (operation, status) {
        (Operation::Register | Operation::RootUser, "400") => {
            shared(status).into_iter().chain([rule("member_exists", Rejection::MemberExists)]).collect()
        }
        (Operation::Register, "404") => vec![rule("parent_unknown", Rejection::SponsorUnknown)],
        (Operation::Trigger, "404") => vec![rule("source_unknown", Rejection::MemberUnknown)],
        (Operation::MarkPaid, "404") => vec![rule("bonus_unknown", Rejection::EntryUnknown)],
        (Operation::MarkPaid, "409") => vec![rule("held_or_void", Rejection::EntryChangeNotAllowed)],
        (_, "404") => vec![("not_found", detail("Not Found"))],
        (Operation::Register, "409") => vec![rule("parent_not_active", Rejection::SponsorNotActive)],
        (Operation::AddTestData, "409") => vec![("not_empty", detail("The network is not empty"))],
        (_, "409") => {
            vec![
                rule("no_such_bonus", Rejection::TriggerUnknown),
                rule("amount_missing", Rejection::AmountMissing),
            ]
        }
        (_, "422") => invalid(operation, path),
        (Operation::Trigger, "507") => vec![rule("ledger_full", Rejection::LedgerFull)],
        (_, "507") => {
            vec![rule("network_full", Rejection::NetworkFull), rule("ledger_full", Rejection::LedgerFull)]
        }
        _ => shared(status),
    }
}

/// Answers of all routes outside of `/v1` with a status, whatever they do.
pub fn shared(status: &str) -> Vec<Example> {
    let turned_away = |name, reason: TurnedAway| (name, detail(reason.words().1));
    match status {
        "400" => vec![
            ("host_invalid", detail("The Host header is missing, there twice, or not a host")),
            ("not_text", detail("There was an error parsing the body")),
        ],
        "401" => vec![
            turned_away("missing", TurnedAway::Missing),
            turned_away("invalid", TurnedAway::Invalid { was_token: false }),
            turned_away("not_member", TurnedAway::NotMember),
        ],
        "403" => {
            vec![
                turned_away("forbidden", TurnedAway::Denied(Denied::Forbidden)),
                turned_away("page_of_others", TurnedAway::PageForeign),
            ]
        }
        "421" => vec![turned_away("host_unknown", TurnedAway::HostUnknown)],
        "408" => vec![("too_slow", detail("Request body took too long"))],
        "413" => vec![("too_large", detail("Request body is too large"))],
        "415" => vec![("encoded", detail("Content-Encoding is not supported: send the body as it is"))],
        "429" => vec![turned_away("too_often", TurnedAway::TooOften(Duration::ZERO))],
        "503" => vec![
            ("overloaded", detail("Overloaded: too many writes are waiting, nothing was done")),
            ("starting", detail("Starting: the network is being loaded")),
            ("stopping", detail("Stopping: nothing was done")),
            ("read_only", detail("Read-only: an earlier write to the log failed, nothing was done")),
            ("no_room", detail("The log has no room at present, nothing was done")),
            ("clock_jumped", detail("The clock of the server jumped, nothing was done")),
            turned_away("keys_missing", TurnedAway::KeysMissing),
        ],
        _ => Vec::new(),
    }
}

fn invalid(operation: Operation, path: &str) -> Vec<Example> {
    let key_reused = ("key_reused", detail(status_and_detail(operation, Rejection::KeyReused).1));
    let parameter = path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name);
    let of_path = || {
        parameter
            .and_then(|name| body::path_uuid(name, "1234").err())
            .map(|refusal| ("not_a_uuid", items(refusal)))
    };
    let mut examples: Vec<Example> = match operation {
        Operation::Register | Operation::RootUser => {
            let read = |body: &str| RegisterBody::read(None, body.as_bytes(), true).err().map(items);
            let found = [
                ("missing", read("{}")),
                ("not_a_uuid", read("{\"user_id\":\"1234\"}")),
                ("not_json", read("{")),
            ];
            found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
        }
        Operation::Trigger => {
            let read = |trigger: &str| {
                let body = format!("{{\"source_user_id\":\"{MEMBER}\"{trigger}}}");
                TriggerBody::read(None, body.as_bytes()).err().map(items)
            };
            let found = [("missing", read("")), ("no_such_trigger", read(",\"trigger_type\":\"Referral\""))];
            found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
        }
        _ => of_path().into_iter().collect(),
    };
    if operation.is_keyed() {
        examples.push(key_reused);
    }
    examples
}

/// The answer to refused content.
fn items(refusal: Refusal) -> Value {
    match refusal {
        Refusal::Invalid(items) => serde_json::from_str(&items.into_json()).expect("answers are JSON"),
        Refusal::Unparsable => detail("There was an error parsing the body"),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::{
        engine::SubmitError,
        http::{content::ReadError, dropin::errors, edge::Edge, reply::Reply},
    };

    async fn text(reply: Reply) -> Value {
        let bytes = axum::body::to_bytes(reply.into_body(), 1 << 16).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn words_are_those_that_are_answered() {
        let mut answers = Vec::new();
        for error in [ReadError::TooLarge, ReadError::TooSlow] {
            answers.push(Edge::Dropin.unread(error));
        }
        let not_submitted = [
            SubmitError::Overloaded,
            SubmitError::Stopping,
            SubmitError::ReadOnly,
            SubmitError::NoRoom,
            SubmitError::ClockJumped,
        ];
        for error in not_submitted {
            answers.push(errors::not_submitted(error).into());
        }
        for answer in answers {
            let status = answer.status();
            assert!(status == StatusCode::SERVICE_UNAVAILABLE || status.is_client_error());
            let examples = shared(status.as_str());
            let answer = text(answer).await;
            assert!(examples.iter().any(|(_, example)| *example == answer), "{status}: {answer}");
        }
        let unparsable = text(errors::refused(Refusal::Unparsable).into()).await;
        let host_invalid = text(Edge::Dropin.host_invalid()).await;
        assert_eq!(
            failures(Operation::Trigger, "/bonus/", "400"),
            [("host_invalid", host_invalid), ("not_text", unparsable)]
        );
    }

    #[test]
    fn invalid_content_is_shown_as_the_contract_has_it() {
        let found = failures(Operation::BonusesOf, "/bonus/user/{user_id}", "422");
        let reason = "invalid length: expected length 32 for simple format, found 4";
        let item = json!({
            "type": "uuid_parsing", "loc": ["path", "user_id"],
            "msg": format!("Input should be a valid UUID, {reason}"),
            "input": "1234", "ctx": { "error": reason },
        });
        assert_eq!(found, [("not_a_uuid", json!({ "detail": [item] }))]);
        let names = |operation, path| {
            failures(operation, path, "422").into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(
            names(Operation::Register, "/user/register"),
            ["missing", "not_a_uuid", "not_json", "key_reused"]
        );
        assert_eq!(names(Operation::MarkPaid, "/bonus/{bonus_id}/mark-paid"), ["not_a_uuid", "key_reused"]);
        assert_eq!(names(Operation::MarkAllPaid, "/bonus/mark-paid/all"), ["key_reused"]);
    }
}
