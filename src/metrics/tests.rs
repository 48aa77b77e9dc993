use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::core::command::{OrderId, PlaceOrder, RefundOrder, RefundScope};

/// One scraped series: name, labels, value.
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Parses the text format as strictly as a scraper: each sample must follow the type line of its family.
fn parse(text: &str) -> (BTreeMap<String, String>, Vec<Series>) {
    let mut types = BTreeMap::new();
    let mut series = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has two type lines");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series_name, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series_name.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series_name, ""),
        };
        let labels = labels
            .split(',')
            .filter(|label| !label.is_empty())
            .map(|label| label.split_once('=').unwrap())
            .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        series.push(Series { name: name.to_owned(), labels, value: value.parse().unwrap() });
    }
    (types, series)
}

fn value_of(series: &[Series], name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let found: Vec<&Series> =
        series.iter().filter(|series| series.name == name && series.labels == wanted).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}");
    found[0].value
}

#[test]
fn the_table_follows_the_naming_conventions() {
    let names: BTreeSet<&str> = TABLE.iter().map(|definition| definition.name).collect();
    assert_eq!(names.len(), TABLE.len(), "a name stands in the table twice");
    for definition in TABLE {
        let name = definition.name;
        assert!(name.starts_with("upline_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            definition.kind == Kind::Counter,
            "{name}: counters and nothing else end in _total"
        );
        assert_eq!(name.ends_with("_seconds"), definition.unit == metrics::Unit::Seconds, "{name}");
        assert_eq!(name.ends_with("_bytes"), definition.unit == metrics::Unit::Bytes, "{name}");
        assert!(definition.help.ends_with('.'), "{name}: help is a sentence");
        if let Kind::Histogram { buckets } = definition.kind {
            assert!(buckets.windows(2).all(|pair| pair[0] < pair[1]), "{name}: buckets rise");
        }
    }
}

#[test]
fn everything_scraped_is_in_the_table_with_its_type() {
    let metrics = Metrics::new(&[("GET", "/health"), ("POST", "/user/register")]);
    metrics.writes.signups.increment(3);
    metrics.writes.command(&Command::PayAll);
    metrics.writes.rejection(Rejection::RootWithPlacement, RejectionStage::Log);
    metrics.writes.refusal(Refusal::Stopping);
    metrics.writes.sync_seconds.record(0.000_3);
    metrics.writes.group_commands.record(17.0);
    metrics.network.set_ranks(&[5, 4, 0, 2]);
    metrics.orders.set_periods(&[[1, 0, 0, 0, 7, 2], [0, 2, 0, 0, 0, 0]]);
    metrics.orders.set_booked(&[1_250, 0, 3, 0, 0, 0, 0, 0, 0]);
    for (kind, answer) in [
        (None, OrderAnswer::Refused),
        (Some(3), OrderAnswer::Done),
        (Some(3), OrderAnswer::Done),
        (Some(u16::MAX), OrderAnswer::Refused),
    ] {
        metrics.orders.answered(&order(kind), answer);
    }
    metrics.orders.answered(&refund(), OrderAnswer::Repeated);
    metrics.orders.answered(&Command::PayAll, OrderAnswer::Done);
    metrics.http.request(1, 201, 0.000_2);
    metrics.http.request(1, 418, 0.1);
    metrics.upkeep();

    let (types, series) = parse(&metrics.render());
    for (name, kind) in &types {
        if name.starts_with("process_") {
            continue;
        }
        let definition = TABLE
            .iter()
            .find(|definition| definition.name == name)
            .unwrap_or_else(|| panic!("{name} is not in the table"));
        let expected = match definition.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram { .. } => "histogram",
        };
        assert_eq!(kind, expected, "{name}");
    }
    for definition in TABLE {
        assert!(types.contains_key(definition.name), "{} is not scraped", definition.name);
    }
    assert_eq!(types["process_resident_memory_bytes"], "gauge");
    assert_eq!(types["process_cpu_seconds_total"], "counter");

    assert!((value_of(&series, "upline_signups_total", &[]) - 3.0).abs() < f64::EPSILON);
    assert!((value_of(&series, "upline_commands_total", &[("kind", "pay_all")]) - 1.0).abs() < f64::EPSILON);
    let rejection = [("reason", "root_with_placement"), ("stage", "log")];
    assert!((value_of(&series, "upline_rejections_total", &rejection) - 1.0).abs() < f64::EPSILON);
    assert!(
        (value_of(&series, "upline_refused_writes_total", &[("reason", "stopping")]) - 1.0).abs()
            < f64::EPSILON
    );
    assert!(
        (value_of(&series, "upline_write_sync_seconds_bucket", &[("le", "0.00025")])).abs() < f64::EPSILON
    );
    assert!(
        (value_of(&series, "upline_write_sync_seconds_bucket", &[("le", "0.0005")]) - 1.0).abs()
            < f64::EPSILON
    );
    assert!((value_of(&series, "upline_group_commands_sum", &[]) - 17.0).abs() < f64::EPSILON);
    assert!((value_of(&series, "upline_rank_members", &[("rank", "3")]) - 2.0).abs() < f64::EPSILON);
    for (calendar, state, count) in [("0", "posted", 7.0), ("1", "closing", 2.0), ("7", "open", 0.0)] {
        let found = value_of(&series, "upline_periods", &[("calendar", calendar), ("state", state)]);
        assert!((found - count).abs() < f64::EPSILON, "{calendar} {state}");
    }
    for (kind, answer, count) in [("none", "refused", 2.0), ("3", "done", 2.0), ("none", "done", 0.0)] {
        let labels = [("kind", kind), ("answer", answer)];
        let found = value_of(&series, "upline_orders_answered_total", &labels);
        assert!((found - count).abs() < f64::EPSILON, "{kind} {answer}");
    }
    let kinds = series.iter().filter(|series| series.name == "upline_orders_answered_total").count();
    assert_eq!(kinds, 4, "series of kinds appear with their first order");
    let refunds = value_of(&series, "upline_refunds_answered_total", &[("answer", "repeated")]);
    assert!((refunds - 1.0).abs() < f64::EPSILON);
    for (value, units) in [("amount", 1_250.0), ("1", 3.0), ("7", 0.0)] {
        let found = value_of(&series, "upline_order_units", &[("value", value)]);
        assert!((found - units).abs() < f64::EPSILON, "{value}");
    }
    for (status, path) in [("201", "/user/register"), ("other", "/user/register")] {
        let labels = [("method", "POST"), ("route", path), ("status", status)];
        assert!((value_of(&series, "upline_http_requests_total", &labels) - 1.0).abs() < f64::EPSILON);
    }
}

fn order(kind: Option<u16>) -> Command {
    let order = PlaceOrder {
        id: OrderId::parse("A-1").expect("an id"),
        credits: Vec::new(),
        customer: None,
        time: None,
        kind,
        tags: 0,
        group: None,
        market: None,
        lines: Vec::new(),
    };
    Command::PlaceOrder(Box::new(order))
}

fn refund() -> Command {
    let id = |text| OrderId::parse(text).expect("an id");
    let refund = RefundOrder { id: id("R-1"), order: id("A-1"), time: None, scope: RefundScope::Rest };
    Command::RefundOrder(Box::new(refund))
}

#[test]
fn status_labels_are_the_statuses() {
    for (status, label) in STATUSES.iter().zip(STATUS_LABELS) {
        assert_eq!(status.to_string(), label);
    }
}

#[test]
fn ranks_beyond_the_ladder_share_a_series() {
    let metrics = Metrics::new(&[]);
    let mut distribution = vec![1; RANKS_MAX + 1];
    distribution.extend([10, 20]);
    metrics.network.set_ranks(&distribution);
    let (_, series) = parse(&metrics.render());
    assert!((value_of(&series, "upline_rank_members", &[("rank", "above")]) - 30.0).abs() < f64::EPSILON);
    metrics.network.set_ranks(&[7]);
    let (_, series) = parse(&metrics.render());
    assert!((value_of(&series, "upline_rank_members", &[("rank", "above")])).abs() < f64::EPSILON);
    assert!((value_of(&series, "upline_rank_members", &[("rank", "64")])).abs() < f64::EPSILON);
}

/// Dashboards and alerts use them. A variant that is renamed keeps its label by `#[strum(serialize = ...)]`.
#[test]
fn labels_never_change() {
    let table: [(&[&str], &str); 8] = [
        (
            AuthOutcome::VARIANTS,
            "key token anonymous missing malformed key_unknown key_secret key_expired key_revoked \
             token_not_taken token_malformed token_algorithm token_key token_signature token_expired \
             token_issuer token_audience token_claim token_keys_missing token_subject host_unknown \
             page_foreign",
        ),
        (LimitedBy::VARIANTS, "principal address failures cost"),
        (Loaded::VARIANTS, "keys jwks"),
        (
            Refusal::VARIANTS,
            "overloaded read_only outcome_unknown stopping too_large no_room clock_jumped \
             seals_unreadable",
        ),
        (ConnectionRefused::VARIANTS, "busy address"),
        (ConnectionCut::VARIANTS, "idle slow_reader"),
        (Lane::VARIANTS, "present past search"),
        (OrderAnswer::VARIANTS, "done repeated refused"),
    ];
    for (labels, expected) in table {
        assert_eq!(labels.join(" "), expected);
    }
}
