//! One table of times through every input that accepts a time: files, the API's bodies, filters and past
//! moments, command lines.

use serde_json::{Value, json};

use crate::support::{Place, Server, command, run, verified};

const ROOT: &str = "00000000-0000-4000-8000-000000000001";

/// Text, and its moment in UTC; `None` if it is refused.
const TIMES: [(&str, Option<&str>); 22] = [
    ("2025-03-01T10:00:00Z", Some("2025-03-01T10:00:00.000000Z")),
    ("2025-03-01T10:00:00.25+01:00", Some("2025-03-01T09:00:00.250000Z")),
    ("2025-03-01T10:00:00[America/New_York]", Some("2025-03-01T15:00:00.000000Z")),
    ("2025-07-01T10:00:00[America/New_York]", Some("2025-07-01T14:00:00.000000Z")),
    ("2025-03-01T10:00:00-05:00[America/New_York]", Some("2025-03-01T15:00:00.000000Z")),
    ("2025-03-01T10:00:00Z[America/New_York]", Some("2025-03-01T10:00:00.000000Z")),
    ("2025-11-02T01:30:00-05:00[America/New_York]", Some("2025-11-02T06:30:00.000000Z")),
    (
        "2025-03-01T10:00:00.123456789-03:00[America/Argentina/ComodRivadavia]",
        Some("2025-03-01T13:00:00.123456Z"),
    ),
    ("2025-03-01T10:00:00[Nowhere/Town]", None),
    ("2025-03-01T10:00:00Z[Nowhere/Town]", None),
    ("2025-03-01T10:00:00-08:00[America/New_York]", None),
    ("2025-03-09T02:30:00[America/New_York]", None),
    ("2025-11-02T01:30:00[America/New_York]", None),
    ("1969-12-31T23:59:59.9999999Z", None),
    ("1900-01-01T00:00:00[Europe/Berlin]", None),
    ("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59.000000Z")),
    ("9999-12-31T23:59:59.999999Z", Some("9999-12-31T23:59:59.999999Z")),
    ("9999-12-31T23:59:59-01:00", None),
    ("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59.000000Z")),
    ("2025-03-01T10:00:00+23:59", Some("2025-02-28T10:01:00.000000Z")),
    ("2025-03-01T10:00:00+24:00", None),
    ("2025-03-01T10:00:00 CET", None),
];

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_time_is_the_same_moment_at_every_door() {
    let place = Place::new();
    let data = place.text("data");
    let mut members = format!("member,sponsor,joined_at\n{ROOT},,2020-01-01\n");
    let mut bonuses = String::from("receiver,source,level,amount,kind,status,created_at\n");
    for (number, (text, _)) in TIMES.iter().enumerate() {
        members += &format!("m{number},{ROOT},{text}\n");
        bonuses += &format!("{ROOT},{ROOT},1,{}.00,referral,paid,{text}\n", number + 1);
    }
    let (members, bonuses) = (place.file("members.csv", members), place.file("bonuses.csv", bonuses));
    let refused = TIMES.iter().filter(|(_, moment)| moment.is_none()).count();
    let ran = run(["import", &members, "--bonuses", &bonuses, "--data-dir", &data, "--json"]).ends_with(16);
    assert_eq!(ran.json()["refused_by_reason"], json!({ "bad_time": 2 * refused }), "{}", ran.err);
    let paid = place.text("paid.csv");
    let rows = run(["export", "--data-dir", &data, "--bonuses", &paid]).ends_with(0).out;
    let paid = std::fs::read_to_string(paid).unwrap();

    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    for (number, (text, moment)) in TIMES.iter().enumerate() {
        let row = rows
            .lines()
            .find(|row| row.contains(&format!(",m{number},")))
            .map(|row| row.split(',').nth(5).unwrap());
        assert_eq!(row, *moment, "import: {text}");
        let amount = format!(",{}.00,", number + 1);
        let row = paid.lines().find(|row| row.contains(&amount)).map(|row| row.rsplit(',').next().unwrap());
        assert_eq!(row, *moment, "import of bonuses: {text}");

        let id = format!("00000000-0000-4000-8000-{:012}", number + 100);
        let body = json!({ "user_id": id, "sponsor": { "user_id": ROOT }, "joined_at": text }).to_string();
        let (status, body) = server.request("POST", "/v1/members", &body);
        assert_eq!(status, if moment.is_some() { 201 } else { 422 }, "joined_at: {text}: {body}");
        if let Some(moment) = moment {
            let (_, body) = server.request("GET", &format!("/v1/members/{id}"), "");
            assert_eq!(json_of(&body)["joined_at"], *moment, "joined_at: {text}");
        }

        let window = escaped(text);
        let (status, body) =
            server.request("GET", &format!("/v1/members/{ROOT}/report?from={window}&to={window}"), "");
        assert_eq!(status, if moment.is_some() { 200 } else { 422 }, "from and to: {text}: {body}");
        if let Some(moment) = moment {
            let body = json_of(&body);
            assert_eq!(
                (&body["from"], &body["to"]),
                (&(*moment).into(), &(*moment).into()),
                "from and to: {text}"
            );
        }

        let past =
            |text: &str| server.request("GET", &format!("/v1/members/{ROOT}?as_of={}", escaped(text)), "");
        let (status, body) = past(text);
        match moment {
            Some(moment) => {
                let (expected, expected_body) = past(moment);
                assert_eq!(
                    (status, &json_of(&body)["code"]),
                    (expected, &json_of(&expected_body)["code"]),
                    "as_of: {text}"
                );
                assert_ne!(json_of(&body)["code"], "parameter_invalid", "as_of: {text}");
            }
            None => assert_eq!(
                (status, &json_of(&body)["code"]),
                (422, &"parameter_invalid".into()),
                "as_of: {text}"
            ),
        }
    }
    server.signal("TERM");
    server.end().ends_with(0);
}

/// The last second of the year 9999, which the time-zone library cannot represent: accepted by every input,
/// printed by every output, and accepted again.
#[test]
fn the_last_second_of_the_calendar_goes_all_the_way() {
    const LAST: &str = "9999-12-31T23:59:59Z";
    const CHILD: &str = "00000000-0000-4000-8000-000000000002";
    let place = Place::new();
    let (data, copy) = (place.text("data"), place.text("copy"));
    let members = place.file("members.csv", format!("member,sponsor,joined_at\n{ROOT},,{LAST}\n"));
    let bonuses = place.file(
        "bonuses.csv",
        format!(
            "receiver,source,level,amount,kind,status,created_at\n{ROOT},{ROOT},1,1.00,referral,paid,{LAST}\n"
        ),
    );
    run(["import", &members, "--bonuses", &bonuses, "--data-dir", &data]).ends_with(0);

    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    let body = json!({ "user_id": CHILD, "sponsor": { "user_id": ROOT }, "joined_at": LAST }).to_string();
    let (status, body) = server.request("POST", "/v1/members", &body);
    assert_eq!(
        (status, &json_of(&body)["joined_at"]),
        (201, &"9999-12-31T23:59:59.000000Z".into()),
        "{body}"
    );
    let of_dropin = |path: String| {
        let (status, body) = server.request("GET", &path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    };
    for path in [format!("/user/downline/{ROOT}"), format!("/bonus/user/{ROOT}")] {
        let body = of_dropin(path);
        assert!(body.contains("\"created_at\":\"9999-12-31T23:59:59"), "{body}");
    }
    server.signal("TERM");
    server.end().ends_with(0);

    let (out, paid) = (place.text("out.csv"), place.text("paid.csv"));
    run(["export", "--data-dir", &data, "--output", &out, "--bonuses", &paid]).ends_with(0);
    for (file, rows) in [(&out, 2), (&paid, 1)] {
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text.matches("9999-12-31T23:59:59.000000Z").count(), rows, "{text}");
    }
    run(["import", &out, "--bonuses", &paid, "--data-dir", &copy]).ends_with(0);
    assert_eq!(verified(&copy)["network_digest"], verified(&data)["network_digest"]);
}

#[test]
fn the_end_of_a_key_is_a_time_like_others() {
    let place = Place::new();
    let data = place.text("data");
    let file = place.file("members.csv", "member,sponsor,joined_at\nroot,,\n");
    run(["import", &file, "--data-dir", &data]).ends_with(0);
    // text, moment or message
    let table = [
        ("2999-01-31", Ok("2999-01-31T00:00:00Z")),
        ("2999-01-31T12:30:00", Ok("2999-01-31T12:30:00Z")),
        ("2999-01-31T10:00:00[America/New_York]", Ok("2999-01-31T15:00:00Z")),
        ("2999-01-31T10:00:00+01:00", Ok("2999-01-31T09:00:00Z")),
        ("2999-01-31[America/New_York]", Ok("2999-01-31T05:00:00Z")),
        ("2999-01-31T10:00:00[Nowhere/Town]", Err("a time in a zone that is not known")),
        (
            "2999-01-31T10:00:00-08:00[America/New_York]",
            Err("a time with an offset that its zone did not have then"),
        ),
        ("2999-03-10T02:30:00[America/New_York]", Err("a time that its zone skipped")),
        ("2999-11-03T01:30:00[America/New_York]", Err("a time that its zone had twice")),
        ("9999-12-31T23:59:59Z", Ok("9999-12-31T23:59:59Z")),
        ("9999-12-31T23:59:59-01:00", Err("outside of the years 1970 to 9999")),
        ("2999-01-31T10:00:00-24:00", Err("a time whose offset from UTC is a day or more")),
        ("1969-12-31", Err("outside of the years 1970 to 9999")),
        ("31.01.2999", Err("a date that can begin with its day or its month")),
        ("tomorrow", Err("not a time such as")),
    ];
    for (text, expected) in table {
        let ran = run(["keys", "create", "--name", "a", "--data-dir", &data, "--expires", text, "--json"]);
        match expected {
            Ok(moment) => assert_eq!(ran.ends_with(0).json()["expires_at"], moment, "{text}"),
            Err(said) => _ = ran.ends_with(2).says(said),
        }
    }
}
