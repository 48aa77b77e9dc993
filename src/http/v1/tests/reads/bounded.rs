//! However much there is to search, one request does a bounded amount; the next one continues.

use serde_json::Value;

use super::network::{Network, member, texts};
use crate::{
    engine::{Command, Money, Origin, PlacementRequest, Register, Role, SponsorRef, TriggerBonus},
    http::limits::{PAGE_SLICES_MAX, SLICE_STEPS},
};

/// Commands that are written at once.
const AT_ONCE: usize = 1_024;

fn id(number: usize) -> crate::engine::MemberId {
    crate::engine::MemberId((0xabcd_0000_0000_4000_8000_0000_0000_0000_u128 + number as u128).to_be_bytes())
}

fn signup(number: usize, sponsor: Option<usize>) -> Command {
    Command::Register(Register {
        member: id(number),
        sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(id(sponsor))),
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    })
}

async fn write_all(network: &Network, commands: impl Iterator<Item = Command>) {
    let commands: Vec<Command> = commands.collect();
    for batch in commands.chunks(AT_ONCE) {
        network.write(batch.to_vec()).await;
    }
}

fn path(number: usize) -> String {
    format!("/v1/members/{}", uuid::Uuid::from_bytes(id(number).0))
}

/// Pages with their rows, in order, however many are empty.
async fn rows_of_pages(network: &Network, path: &str, limit: usize) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = network.get(&format!("{path}&limit={limit}{cursor}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut page = answer.json();
        let Value::Array(rows) = page["items"].take() else { panic!("{page}") };
        pages.push(rows);
        assert!(pages.len() < 200, "it does not end");
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

/// A receiver with more bonuses than one request scans, and a level behind more members than one request
/// passes.
#[tokio::test]
async fn a_page_of_a_level_goes_on_with_the_work_that_was_too_much() {
    let one_request = PAGE_SLICES_MAX * SLICE_STEPS;
    let network = Network::new(41, 20).await;
    // A star in the sponsor tree, where one of the last members recruits.
    let (star, last) = (100_000, one_request + 100);
    write_all(&network, std::iter::once(signup(star, None))).await;
    write_all(&network, (1..=last).map(|number| signup(star + number, Some(star)))).await;
    write_all(&network, std::iter::once(signup(1, Some(star + last)))).await;
    let level = format!("{}/levels/2?tree=sponsor", path(star));
    let pages = rows_of_pages(&network, &level, 10).await;
    let empty = pages.iter().filter(|rows| rows.is_empty()).count();
    assert_eq!(texts(&pages.concat(), "/member/user_id"), [path(1).rsplit('/').next().unwrap()]);
    assert!((1..=8).contains(&empty), "{empty} requests walked by {last} members");

    // A member that brought far more bonuses than one request scans.
    let (top, below) = (2, 3);
    write_all(&network, [signup(top, None)].into_iter()).await;
    write_all(&network, (0..3).map(|number| signup(below + number, Some(top)))).await;
    let bonuses = 2 * one_request + 1_000;
    let trigger = |_| {
        Command::TriggerBonus(TriggerBonus {
            source: id(below),
            trigger: "placed".into(),
            amount: None::<Money>,
            once: false,
            reference: None,
        })
    };
    write_all(&network, (0..bonuses).map(trigger)).await;
    let level = format!("{}/levels/1?tree=placement", path(top));
    let streamed = network.stream(&level).await.lines();
    let brought = streamed[0]["commission"]["bonuses"].as_u64().unwrap();
    assert!(bonuses as u64 <= brought, "{}", streamed[0]);
    for limit in [10, 2, 1] {
        let pages = rows_of_pages(&network, &level, limit).await;
        assert_eq!(pages.concat(), streamed, "pages of {limit}");
        let empty = pages.iter().filter(|rows| rows.is_empty()).count();
        let whole = pages.len() - empty;
        assert_eq!(empty, 2 * whole, "each page takes three requests: the work is not begun again with each");
    }

    // Work that was dropped is restarted, with the same result.
    let first = network.get(&format!("{level}&limit=10")).await.json();
    let next = first["next"].as_str().unwrap();
    let again = || async { network.get(&format!("{level}&limit=10&cursor={next}")).await.json() };
    let (kept, dropped) = (again().await, again().await);
    assert!(kept["items"].as_array().unwrap().is_empty() && dropped["items"].as_array().unwrap().is_empty());
    let mut cursor = dropped["next"].as_str().unwrap().to_owned();
    let rows = loop {
        let page = network.get(&format!("{level}&limit=10&cursor={cursor}")).await.json();
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break page["items"].clone(),
        }
    };
    assert_eq!(rows, Value::from(streamed.clone()));

    // A cursor of another's work gives no access to it.
    let other = member(uuid::Uuid::from_bytes(id(below).0));
    let refused = network.ask(other, &format!("{level}&limit=10&cursor={next}"), "application/json").await;
    assert_eq!(refused.status, 404, "{}", refused.text);
}

/// Matches of a filter may come after more members than one request examines.
#[tokio::test]
async fn a_page_of_members_ends_after_so_many_and_goes_on() {
    let one_request = PAGE_SLICES_MAX * SLICE_STEPS;
    let network = Network::new(42, 20).await;
    let members = 3 * one_request + 100;
    write_all(&network, std::iter::once(signup(0, None))).await;
    write_all(&network, (1..members).map(|number| signup(number, Some(0)))).await;
    let terminated = crate::engine::Status::Terminated;
    write_all(
        &network,
        [1, members - 1]
            .into_iter()
            .map(|number| Command::SetStatus { member: id(number), status: terminated }),
    )
    .await;
    let expected = |numbers: &[usize]| -> Vec<String> {
        numbers.iter().map(|number| path(*number)["/v1/members/".len()..].to_owned()).collect()
    };
    // order, matches
    for (order, found) in [("oldest", [1, members - 1]), ("newest", [members - 1, 1])] {
        let pages =
            rows_of_pages(&network, &format!("/v1/members?status=terminated&order={order}"), 10).await;
        assert_eq!(texts(&pages.concat(), "/user_id"), expected(&found), "{order}");
        let empty = pages.iter().filter(|rows| rows.is_empty()).count();
        assert!((2..=4).contains(&empty), "{order}: {empty} requests passed by {members} members");
        let streamed = network.stream(&format!("/v1/members?status=terminated&order={order}")).await.lines();
        assert_eq!(texts(&streamed, "/user_id"), expected(&found), "{order}");
    }
}
