//! The change feed: idle, and far behind.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::network::Network;
use crate::http::{
    auth::Principal,
    limits::{EVENT_HEARTBEAT, STREAM_ROWS},
};

/// With a clock that jumps to the next timer.
#[tokio::test(start_paused = true)]
async fn it_says_that_it_is_alive() {
    let mut network = Network::new(5, 3).await;
    let next = network.engine.read(|state, _| state.lsn()) + 1;
    for (accept, heartbeat) in [
        ("application/x-ndjson", format!("{}\n", json!({ "heartbeat": true, "next_lsn": next }))),
        ("text/event-stream", ": heartbeat\n\n".to_owned()),
    ] {
        let mut body = network.begin(Principal::anonymous(), "/v1/events", accept).await.into_body();
        for _ in 0..3 {
            let begin = Instant::now();
            let frame = body.frame().await.expect("it does not end").expect("it does not fail");
            assert_eq!(frame.into_data().expect("data"), heartbeat.as_bytes());
            let waited = begin.elapsed();
            assert!(
                (EVENT_HEARTBEAT..EVENT_HEARTBEAT + Duration::from_secs(1)).contains(&waited),
                "{accept}: {waited:?}"
            );
        }
    }
    // New events are sent before the next heartbeat.
    let mut body =
        network.begin(Principal::anonymous(), "/v1/events", "application/x-ndjson").await.into_body();
    network.grow(1).await;
    let frame =
        body.frame().await.expect("it does not end").expect("it does not fail").into_data().expect("data");
    let first: Value =
        serde_json::Deserializer::from_slice(&frame).into_iter().next().expect("a line").expect("JSON");
    assert_eq!(first["lsn"], next);
}

/// A reader that is far behind gets a piece at a time: printed as a whole, a batch of thousands of events
/// keeps a thread from everything else.
#[tokio::test]
async fn a_batch_is_sent_in_pieces() {
    let network = Network::new(5, 500).await;
    let newest = network.engine.read(|state, _| state.lsn());
    assert!(4 * STREAM_ROWS as u64 <= newest, "{newest}");
    let mut body =
        network.begin(Principal::anonymous(), "/v1/events?from=1", "application/x-ndjson").await.into_body();
    let (mut seen, mut largest) = (0, 0);
    while seen < newest {
        let frame = body.frame().await.expect("it does not end").expect("it does not fail");
        let piece = frame.into_data().expect("data");
        let mut events = 0;
        for event in serde_json::Deserializer::from_slice(&piece).into_iter::<Value>() {
            (seen, events) = (seen + 1, events + 1);
            assert_eq!(event.expect("JSON")["lsn"], seen);
        }
        largest = largest.max(events);
    }
    assert_eq!(largest, STREAM_ROWS);
}
