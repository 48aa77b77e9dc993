//! An explanation is of one state, whatever is written before it is printed.

use http_body_util::BodyExt;
use serde_json::Value;

use super::network::Network;
use crate::{
    engine::{Command, EntryStatus},
    http::{auth::Principal, v1::explain::told_to},
};

#[tokio::test]
async fn what_is_written_meanwhile_is_not_told_in_part() {
    let network = Network::new(7, 60).await;
    let engine = &network.engine;
    let find = |state: &crate::engine::State| {
        (0..state.entries()).find(|entry| {
            state.entry(*entry).status == EntryStatus::Pending
                && state.reverses(*entry).is_none()
                && state.reversal_of(*entry).is_none()
        })
    };
    let entry = engine.read(|state, _| find(state)).expect("something is pending");
    let told = engine.explain(entry).unwrap().unwrap();
    let lsn = engine.read(|state, _| state.lsn());
    assert_eq!((told.lsn, told.paid.as_ref(), told.reversed_by), (lsn, None, None));
    network.write(vec![Command::PayEntry { entry }, Command::ReverseEntry { entry }]).await;
    let reply = told_to(&Principal::anonymous(), engine, &told);
    assert_eq!(reply.headers()["x-lsn"], lsn.to_string().as_str());
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    let json: Value = serde_json::from_slice(&bytes).unwrap();
    let bonus = &json["bonus"];
    assert_eq!(
        (&bonus["status"], &bonus["reversed_by"], &json["paid"]),
        (&"pending".into(), &Value::Null, &Value::Null),
        "{json}"
    );
    // Asked now, it is as of now.
    let now = engine.explain(entry).unwrap().unwrap();
    assert!(
        now.paid.is_some() && now.reversed_by.is_some() && now.lsn == engine.read(|state, _| state.lsn())
    );
}
