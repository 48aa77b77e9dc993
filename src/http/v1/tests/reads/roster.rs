//! The list of all members equals a scan of each of them, whatever the filters.

use uuid::Uuid;

use super::network::{Network, texts};
use crate::{
    engine::{Command, Member, MemberId, MemberIx, Role, Status},
    time_text,
};

const MEMBERS: u32 = 150;

/// A query, and its predicate.
type Query = (String, Box<dyn Fn(&Member, u16) -> bool>);

/// Current members in order of registration, each with its rank.
fn all(network: &Network) -> Vec<(Member, u16)> {
    network.engine.read(|state, _| {
        (0..state.len()).map(MemberIx).map(|member| (state.member(member), state.paid_as(member))).collect()
    })
}

fn queries(network: &Network) -> Vec<Query> {
    let middle = all(network)[MEMBERS as usize / 2].0.joined_at;
    let late = all(network)[MEMBERS as usize - 10].0.joined_at;
    let print = |time| time_text::print(time);
    vec![
        (String::new(), Box::new(|_, _| true)),
        ("roots=false".into(), Box::new(|_, _| true)),
        ("roots=true".into(), Box::new(|member, _| member.sponsor.is_none())),
        ("status=active".into(), Box::new(|member, _| member.status == Status::Active)),
        ("status=inactive".into(), Box::new(|member, _| member.status == Status::Inactive)),
        ("role=admin".into(), Box::new(|member, _| member.role == Role::Admin)),
        ("rank=0".into(), Box::new(|_, rank| rank == 0)),
        ("rank=2".into(), Box::new(|_, rank| rank == 2)),
        ("rank=1024".into(), Box::new(|_, _| false)),
        (format!("from={}", print(middle)), Box::new(move |member, _| middle <= member.joined_at)),
        (format!("to={}", print(middle)), Box::new(move |member, _| member.joined_at < middle)),
        (
            format!("from={}&to={}&roots=true&role=member", print(middle), print(late)),
            Box::new(move |member, _| {
                (middle..late).contains(&member.joined_at)
                    && member.sponsor.is_none()
                    && member.role == Role::Member
            }),
        ),
        (format!("from={}&to={}", print(late), print(middle)), Box::new(|_, _| false)),
    ]
}

fn ids(members: &[(Member, u16)], fits: &dyn Fn(&Member, u16) -> bool) -> Vec<String> {
    members
        .iter()
        .filter(|(member, rank)| fits(member, *rank))
        .map(|(member, _)| Uuid::from_bytes(member.id.0).to_string())
        .collect()
}

#[tokio::test]
async fn the_list_of_all_members_is_the_naive_list() {
    for seed in 0..4 {
        let mut network = Network::new(500 + seed, MEMBERS).await;
        let inactive: Vec<MemberId> = all(&network).iter().map(|(member, _)| member.id).step_by(7).collect();
        network
            .write(
                inactive
                    .into_iter()
                    .map(|member| Command::SetStatus { member, status: Status::Inactive })
                    .collect(),
            )
            .await;
        let mut shown = 0;
        for (query, fits) in queries(&network) {
            for (order, is_newest) in [("", false), ("&order=oldest", false), ("&order=newest", true)] {
                let path = format!("/v1/members?{query}{order}");
                let members = all(&network);
                let mut expected = ids(&members, &fits);
                if is_newest {
                    expected.reverse();
                }
                let streamed = network.stream(&path).await.lines();
                assert_eq!(texts(&streamed, "/user_id"), expected, "seed {seed}: {path} as a stream");
                for limit in [7, 1_000] {
                    assert_eq!(
                        network.pages(&path, limit, false).await,
                        streamed,
                        "seed {seed}: {path} in pages of {limit}"
                    );
                }
                // Each row equals the answer of the member's own route.
                for row in streamed.iter().take(2) {
                    let id = row["user_id"].as_str().unwrap();
                    assert_eq!(
                        network.get(&format!("/v1/members/{id}")).await.json(),
                        *row,
                        "seed {seed}: {path}"
                    );
                }
                shown += expected.len();
            }
        }
        assert!(1_000 < shown, "{shown}");
        // Members that join while a list is read are not in it; no other is lost.
        for order in ["oldest", "newest"] {
            let mut expected = ids(&all(&network), &|_, _| true);
            if order == "newest" {
                expected.reverse();
            }
            let paged = network.pages(&format!("/v1/members?order={order}"), 9, true).await;
            assert_eq!(texts(&paged, "/user_id"), expected, "seed {seed}: {order} first, with signups");
        }
    }
}
