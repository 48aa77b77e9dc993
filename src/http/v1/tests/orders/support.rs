//! The scope `support`: reads of any member, no acts.

use serde_json::json;

use super::shop::{Shop, expect, id, order, service};
use crate::{access::Scope, http::auth::Principal};

fn support() -> Principal {
    service(&[Scope::Support])
}

#[tokio::test]
async fn support_reads_what_members_ask_about() {
    let shop = Shop::new().await;
    shop.place(&order("A-1", 5)).await;
    let member = format!("/v1/members/{}", id(5));
    let of = |rest: &str| format!("{member}{rest}");
    let paths = [
        member.clone(),
        "/v1/members/by-code/M5".into(),
        of("/attributes"),
        of("/bonuses"),
        of("/children?volumes=month"),
        of("/downline?volumes=month"),
        format!("/v1/members/{}/is-ancestor-of/{}", id(1), id(5)),
        of("/levels"),
        of("/levels/1"),
        of("/rank"),
        of("/report"),
        of("/tree"),
        of("/upline"),
        of("/volumes"),
        of("/volumes?calendar=month&period=old&volume=points"),
        "/v1/members?volumes=month".into(),
        "/v1/orders".into(),
        "/v1/orders?member=M5".into(),
        "/v1/orders/A-1".into(),
        "/v1/calendars".into(),
        "/v1/calendars/month/periods".into(),
        "/v1/calendars/month/periods/old".into(),
        "/v1/calendars/month/periods/old/runs".into(),
        "/v1/volumes/top?calendar=month&period=new&volume=pv".into(),
        "/v1/bonuses".into(),
        "/v1/search?q=M5".into(),
        "/v1/ranks".into(),
        "/v1/plan".into(),
        "/v1/plan/versions".into(),
        format!("/v1/placement/preview?sponsor={}", id(5)),
    ];
    for path in paths {
        let answer = shop.get_as(support(), &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    let order = shop.get_as(support(), "/v1/orders/A-1").await.json();
    assert_eq!(order["credits"][0]["user_id"], json!(id(5)), "it sees every member");
    for path in ["/v1/events", "/v1/audit", "/v1/stats", "/v1/clock", "/v1/digest", "/v1/snapshots"] {
        let answer = shop.0.ask(support(), path, "application/json").await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn support_acts_nowhere() {
    let shop = Shop::new().await;
    shop.place(&order("A-1", 5)).await;
    let before = shop.lsn();
    let nobody = "00000000-0000-4000-8000-000000000001";
    let period = "/v1/calendars/month/periods/old";
    let paths = [
        "/v1/members".to_owned(),
        "/v1/orders".into(),
        "/v1/orders/A-1/refund".into(),
        "/v1/bonuses".into(),
        "/v1/bonuses/pay-all".into(),
        format!("/v1/bonuses/{nobody}/pay"),
        format!("/v1/bonuses/{nobody}/hold"),
        format!("/v1/bonuses/{nobody}/reverse"),
        format!("{period}/lock"),
        format!("{period}/unlock"),
        format!("{period}/runs"),
        format!("{period}/approve"),
        format!("{period}/post"),
        "/v1/plan/check".into(),
        "/v1/snapshots".into(),
        "/v1/ranks/recompute".into(),
        "/v1/clock/accept".into(),
    ];
    for path in paths {
        let answer = shop.0.send(support(), &path, &[], String::new()).await;
        expect(&answer, (403, "forbidden", ""), &path);
    }
    for path in ["/v1/members/batch", "/v1/members/attributes/batch", "/v1/orders/batch"] {
        let lines = [("content-type", "application/x-ndjson")];
        let answer = shop.0.send(support(), path, &lines, "{}\n".into()).await;
        expect(&answer, (403, "forbidden", ""), path);
    }
    assert_eq!(shop.lsn(), before);
}
