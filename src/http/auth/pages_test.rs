//! What browsers send for foreign pages, and what programs send.

use axum::{body::Body, http::Request};

use super::*;

fn names(bound: &str, allowed: &[&str]) -> Names {
    Names::new(bound.parse().unwrap(), &allowed.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())
}

/// Names and values.
type Headers<'a> = &'a [(&'a str, &'a str)];

fn request(method: &str, target: &str, headers: Headers<'_>) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap().into_parts().0
}

#[test]
fn hosts_are_loopback_the_bound_address_or_allowed() {
    // bound, allowed, Host, whether it is ours
    let table: [(&str, &[&str], &str, bool); 30] = [
        ("127.0.0.1", &[], "127.0.0.1:8000", true),
        ("127.0.0.1", &[], "127.0.0.1", true),
        ("127.0.0.1", &[], "127.8.8.8:1", true),
        ("127.0.0.1", &[], "localhost:8000", true),
        ("127.0.0.1", &[], "LocalHost", true),
        ("127.0.0.1", &[], "localhost.", true),
        ("127.0.0.1", &[], "[::1]:8000", true),
        ("127.0.0.1", &[], "[::ffff:127.0.0.1]:8000", true),
        ("127.0.0.1", &[], "0.0.0.0:8000", false),
        ("127.0.0.1", &[], "192.168.1.7:8000", false),
        ("127.0.0.1", &[], "evil.example:8000", false),
        ("127.0.0.1", &[], "localhost.evil.example", false),
        ("127.0.0.1", &[], "evil-localhost", false),
        ("127.0.0.1", &[], "127.0.0.1.evil.example", false),
        ("127.0.0.1", &[], "127.0.0.1@evil.example", false),
        ("127.0.0.1", &[], "evil.example@127.0.0.1", false),
        ("127.0.0.1", &[], "", true),
        ("127.0.0.1", &[], "a b", false),
        ("127.0.0.1", &[], "localhost:port", false),
        ("127.0.0.1", &["mlm"], "mlm:11000", true),
        ("127.0.0.1", &["mlm"], "MLM.", true),
        ("127.0.0.1", &["mlm"], "mlm.evil.example", false),
        ("127.0.0.1", &["*"], "evil.example", true),
        ("192.168.1.7", &[], "192.168.1.7:8000", true),
        ("192.168.1.7", &[], "192.168.1.8:8000", false),
        ("192.168.1.7", &[], "127.0.0.1:8000", true),
        ("0.0.0.0", &[], "192.168.1.7:8000", true),
        ("0.0.0.0", &[], "mlm:8000", false),
        ("::", &[], "[2001:db8::1]:8000", true),
        ("::1", &[], "evil.example", false),
    ];
    for (bound, allowed, host, is_ours) in table {
        let checked = names(bound, allowed).check(&request("GET", "/bonus/", &[("host", host)]));
        assert_eq!(
            checked,
            if is_ours { Ok(()) } else { Err(TurnedAway::HostUnknown) },
            "{bound} {allowed:?} {host}"
        );
    }
    // The target names a host too, and every `Host` counts.
    let ours = names("127.0.0.1", &[]);
    let table = [
        ("http://evil.example/bonus/", vec![("host", "127.0.0.1")], false),
        ("http://127.0.0.1/bonus/", vec![("host", "127.0.0.1")], true),
        ("http://127.0.0.1/bonus/", vec![("host", "evil.example")], false),
        ("/bonus/", vec![("host", "127.0.0.1"), ("host", "evil.example")], false),
        ("/bonus/", vec![], true),
    ];
    for (target, headers, is_ours) in table {
        assert_eq!(ours.check(&request("GET", target, &headers)).is_ok(), is_ours, "{target} {headers:?}");
    }
}

#[test]
fn pages_of_others_read_and_change_nothing() {
    let ours = names("127.0.0.1", &["app.example"]);
    // Host, other headers, whether such a request may change something
    let table: [(&str, Headers<'_>, bool); 27] = [
        // Programs.
        ("127.0.0.1:8000", &[], true),
        (
            "127.0.0.1:8000",
            &[("content-type", "application/json"), ("user-agent", "python-httpx/0.27")],
            true,
        ),
        // Our own page, typed addresses and bookmarks.
        ("127.0.0.1:8000", &[("origin", "http://127.0.0.1:8000"), ("sec-fetch-site", "same-origin")], true),
        ("127.0.0.1:8000", &[("origin", "http://127.0.0.1:8000")], true),
        ("127.0.0.1:8000", &[("sec-fetch-site", "none")], true),
        ("LOCALHOST:8000", &[("origin", "http://localhost:8000")], true),
        ("[::1]:8000", &[("origin", "http://[::1]:8000")], true),
        ("app.example", &[("origin", "https://app.example")], true),
        ("app.example", &[("origin", "https://app.example:443")], true),
        ("app.example:443", &[("origin", "https://app.example")], true),
        ("127.0.0.1:8000", &[("referer", "http://127.0.0.1:8000/docs")], true),
        // Foreign pages.
        ("127.0.0.1:8000", &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")], false),
        ("127.0.0.1:8000", &[("origin", "https://evil.example")], false),
        ("127.0.0.1:8000", &[("origin", "null")], false),
        ("127.0.0.1:8000", &[("origin", "")], false),
        ("127.0.0.1:8000", &[("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "same-site")], false),
        ("127.0.0.1:8000", &[("origin", "http://127.0.0.1")], false),
        ("127.0.0.1:8000", &[("origin", "http://localhost:8000")], false),
        ("127.0.0.1:8000", &[("origin", "file://127.0.0.1:8000")], false),
        ("127.0.0.1:8000", &[("origin", "http://127.0.0.1:8000"), ("origin", "https://evil.example")], false),
        ("127.0.0.1:8000", &[("sec-fetch-site", "cross-site")], false),
        ("127.0.0.1:8000", &[("sec-fetch-site", "same-site")], false),
        ("127.0.0.1:8000", &[("sec-fetch-site", "something new")], false),
        ("127.0.0.1:8000", &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
        ("127.0.0.1:8000", &[("referer", "https://evil.example/page")], false),
        ("app.example", &[("origin", "https://app.example:8443")], false),
        ("app.example", &[("origin", "https://app.example.evil.example")], false),
    ];
    // Requests that may change something, by method or despite it, and requests that only read.
    let changes = [
        ("POST", "/user/register"),
        ("POST", "/bonus/"),
        ("POST", "/ranks/evaluate/x"),
        ("PATCH", "/bonus/x/mark-paid"),
        ("GET", "/bonus/mark-paid/all"),
        ("GET", "/bonus/mark%2Dpaid/all"),
        ("GET", "/user/add_test_data"),
        ("PUT", "/v1/plan"),
        ("POST", "/v1/bonuses/pay-all"),
        ("DELETE", "/anything"),
        ("FOO", "/bonus/"),
    ];
    let reads = [
        ("GET", "/bonus/"),
        ("GET", "/v1/bonuses"),
        ("HEAD", "/livez"),
        ("OPTIONS", "/user/register"),
        ("GET", "/nowhere"),
    ];
    for (host, headers, may) in table {
        let headers = [&[("host", host)], headers].concat();
        for (method, path) in changes {
            let checked = ours.check(&request(method, path, &headers));
            assert_eq!(
                checked,
                if may { Ok(()) } else { Err(TurnedAway::PageForeign) },
                "{method} {path} {headers:?}"
            );
        }
        for (method, path) in reads {
            assert_eq!(ours.check(&request(method, path, &headers)), Ok(()), "{method} {path} {headers:?}");
        }
    }
    // A page's request without a host cannot be same-origin.
    assert_eq!(
        ours.check(&request("POST", "/bonus/", &[("origin", "http://127.0.0.1:8000")])),
        Err(TurnedAway::PageForeign)
    );
}
