//! `/v1/members/{id}/attributes`, on the running binary.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    common::{Reply, Server, described::validate, uuid},
    v1_writes::{lsn, post, send},
};

const PLAN: &str = r#"
name = "attributes"
currency = { code = "EUR", exponent = 2 }
[placement]
width = 2
rule = "breadth-first"
[ladder.live]
rule = "thresholds"
basis = "direct"
[[ladder.live.rank]]
name = "Pair"
minimum = 2
[attributes]
market = ["us", "ca"]
owner = true
tags = ["founder", "fee_paid"]
"#;

fn put(server: &Server, member: u64, body: &Value) -> Reply {
    send(server, "PUT", &path(member), &[], body)
}

fn path(member: u64) -> String {
    format!("/v1/members/{}/attributes", uuid(member))
}

/// Status, code and field of a refusal.
fn refused(reply: &Reply) -> (u16, String, String) {
    let problem = reply.json();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    (reply.status, text("code"), text("field"))
}

/// A server with a root and a member below it.
fn server(directory: &Path) -> Server {
    let plan = directory.join("plan.toml");
    std::fs::write(&plan, PLAN).unwrap();
    let server = Server::start(&directory.join("data"), &["--plan", plan.to_str().unwrap()]);
    for (number, sponsor) in [(1, json!(null)), (2, json!({ "user_id": uuid(1) }))] {
        let joined = post(&server, "/v1/members", &json!({ "user_id": uuid(number), "sponsor": sponsor }));
        assert_eq!(joined.status, 201, "{}", joined.text());
    }
    server
}

#[test]
fn attributes_are_set_and_read_by_the_names_of_the_plan() {
    let directory = crate::common::scratch();
    let server = server(directory.path());
    let read = |query: &str| server.request("GET", &format!("{}{query}", path(2)), &[], b"");
    let before = read("");
    let bare = json!({ "user_id": uuid(2), "market": null, "owner": uuid(2), "tags": [] });
    assert_eq!((before.status, before.json()), (200, bare.clone()));

    let body = json!({
        "market": "ca", "owner": uuid(1),
        "tags": {
            "founder": {},
            "fee_paid": { "from": "2020-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z" },
        },
    });
    let set = put(&server, 2, &body);
    let founder = json!({ "name": "founder", "from": null, "until": null, "holds": true });
    let paid = json!({
        "name": "fee_paid", "from": "2020-01-01T00:00:00.000000Z", "until": "2021-01-01T00:00:00.000000Z",
        "holds": false,
    });
    let expected = json!({ "user_id": uuid(2), "market": "ca", "owner": uuid(1), "tags": [founder, paid] });
    assert_eq!((set.status, set.json()), (200, json!({ "changed": true, "attributes": expected })));
    assert_eq!(read("").json(), expected);
    let again = put(&server, 2, &body);
    assert_eq!((again.status, &again.json()["changed"]), (200, &json!(false)));
    // Before it was set: then, and at an instant of then.
    assert_eq!(read(&format!("?as_of={}", lsn(&before))).json(), bare);
    assert_eq!(read("?at=2020-06-01T00:00:00Z").json()["market"], json!(null));

    let taken = json!({ "market": null, "owner": null, "tags": { "founder": null } });
    let taken = put(&server, 2, &taken).json();
    let rest = json!({ "user_id": uuid(2), "market": null, "owner": uuid(2), "tags": [paid] });
    assert_eq!(taken["attributes"], rest);

    let unknown = |code: &str, field: &str| (422, code.to_owned(), field.to_owned());
    let never = json!({ "from": "2021-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z" });
    let table = [
        (json!({ "market": "mars" }), unknown("market_unknown", "market")),
        (json!({ "tags": { "nobody": {} } }), unknown("attribute_unknown", "tags.nobody")),
        (json!({ "owner": uuid(9) }), unknown("owner_unknown", "owner")),
        (json!({ "tags": { "founder": never } }), unknown("attribute_malformed", "tags.founder")),
        (
            json!({ "market": "us", "effective": "2021-01-01T00:00:00Z" }),
            (409, "attribute_period_locked".into(), "effective".into()),
        ),
    ];
    for (body, expected) in table {
        assert_eq!(refused(&put(&server, 2, &body)), expected, "{body}");
    }
    assert_eq!(read("").json(), rest);
    assert_eq!(put(&server, 9, &json!({})).status, 404);

    // A repeat with a key is the same answer, whatever happened since.
    let keyed = |body: &Value| send(&server, "PUT", &path(2), &[("idempotency-key", "k")], body);
    assert_eq!(keyed(&json!({ "market": "us" })).json()["changed"], json!(true));
    assert_eq!(put(&server, 2, &json!({ "market": "ca" })).json()["changed"], json!(true));
    let repeat = keyed(&json!({ "market": "us" })).json();
    assert_eq!((&repeat["changed"], &repeat["attributes"]["market"]), (&json!(true), &json!("ca")));
    assert_eq!(keyed(&json!({ "market": "ca" })).status, 422);
}

/// Where the description has the answer to a line.
const LINE: &str =
    "/paths/~1v1~1members~1attributes~1batch/post/responses/200/content/application~1x-ndjson/schema";

#[test]
fn a_batch_sets_attributes_line_by_line() {
    let directory = crate::common::scratch();
    let server = server(directory.path());
    let of = |member: u64, more: Value| {
        let mut line = json!({ "user_id": uuid(member) });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line.to_string()
    };
    let changed = |changed: bool| (200, json!(changed), String::new(), String::new());
    let refused =
        |status: u64, code: &str, field: &str| (status, json!(null), code.to_owned(), field.to_owned());
    let never = json!({ "until": "2020-01-01T00:00:00Z", "from": "2021-01-01T00:00:00Z" });
    // line, answer
    let table = [
        (of(1, json!({ "market": "us", "tags": { "founder": {} } })), changed(true)),
        (of(1, json!({ "market": "us" })), changed(false)),
        (of(2, json!({ "owner": uuid(1), "market": null })), changed(true)),
        (of(2, json!({})), changed(false)),
        (of(9, json!({ "market": "us" })), refused(404, "member_unknown", "")),
        (of(1, json!({ "market": "mars" })), refused(422, "market_unknown", "market")),
        // One that is refused sets nothing of its line.
        (
            of(1, json!({ "market": "ca", "tags": { "nobody": {} } })),
            refused(422, "attribute_unknown", "tags.nobody"),
        ),
        (of(1, json!({ "tags": { "founder": never } })), refused(422, "attribute_malformed", "tags.founder")),
        (of(1, json!({ "owner": uuid(9) })), refused(422, "owner_unknown", "owner")),
        (of(1, json!({ "more": 1 })), refused(422, "field_unknown", "more")),
        (json!({ "market": "us" }).to_string(), refused(422, "field_invalid", "user_id")),
        ("nonsense".to_owned(), refused(400, "body_malformed", "")),
        (of(1, json!({ "tags": { "founder": null } })), changed(true)),
    ];
    let text = table.iter().map(|(line, _)| format!("{line}\n")).collect::<Vec<_>>().concat();
    let path = "/v1/members/attributes/batch";
    let reply = server.request("POST", path, &[("content-type", "application/x-ndjson")], text.as_bytes());
    let answers: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((reply.status, answers.len()), (200, table.len()), "{}", reply.text());
    for ((number, answer), (line, expected)) in (1_u64..).zip(&answers).zip(&table) {
        validate(LINE, answer, line);
        let problem = |name: &str| answer["problem"][name].as_str().unwrap_or_default().to_owned();
        let status = answer["status"].as_u64().unwrap();
        assert_eq!(
            (status, answer["changed"].clone(), problem("code"), problem("field")),
            *expected,
            "{line}"
        );
        assert_eq!(answer["line"], number);
    }
    let read = |member: u64| server.request("GET", &self::path(member), &[], b"").json();
    let expected = json!({ "user_id": uuid(1), "market": "us", "owner": uuid(1), "tags": [] });
    assert_eq!(read(1), expected);
    assert_eq!(read(2)["owner"], json!(uuid(1)));
    // The whole may be sent again: the member ends as before.
    server.request("POST", path, &[("content-type", "application/x-ndjson")], text.as_bytes());
    assert_eq!(read(1), expected);
}
