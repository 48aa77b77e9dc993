use super::*;
use crate::{
    cli::import::command::members_from,
    core::{state::State, types::Timestamp},
    engine::MemberDirectory,
    plan_file,
};

fn network(plan: &str) -> Network {
    let plan = plan_file::parse(plan).unwrap();
    Network::new(State::new(plan, 7), MemberDirectory::with_capacity(0, 0), Timestamp(1_000))
}

fn matrix() -> Network {
    network(plan_file::DEFAULT_PLAN)
}

/// Imports a file and returns its refusals, as `line: reason`.
fn take(network: &mut Network, file: &str) -> (Taken, Vec<String>) {
    let taken = members_from(network, file.as_bytes(), false);
    let refused =
        taken.refused.iter().map(|refused| format!("{}: {}", refused.line, refused.reason.name())).collect();
    (taken, refused)
}

/// Returns the members in order as `name<sponsor@parent.slot`.
fn tree(network: &Network) -> Vec<String> {
    let state = &network.state;
    let name = |member: Option<MemberIx>| {
        member.map_or("-".into(), |member| state.code(member).as_str().to_string())
    };
    let members = (0..state.len()).map(|index| state.member(MemberIx(index)));
    members
        .map(|row| {
            format!("{}<{}@{}.{}", name(Some(row.index)), name(row.sponsor), name(row.parent), row.slot)
        })
        .collect()
}

#[test]
fn rows_are_placed_in_the_order_of_the_file() {
    let mut network = matrix();
    let (taken, refused) = take(&mut network, "member,sponsor,joined_at\nr,,\na,r,\nb,r,\nc,r,\nd,r,\n");
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!((taken.members, taken.waited), (5, 0));
    assert_eq!(tree(&network), ["r<-@-.0", "a<r@r.0", "b<r@r.1", "c<r@r.2", "d<r@a.0"]);
}

#[test]
fn children_wait_for_their_sponsor_and_go_in_file_order() {
    let mut network = matrix();
    let (taken, refused) = take(&mut network, "member,sponsor,joined_at\nd,b,\nb,a,\nc,a,\ne,b,\na,,\n");
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!((taken.members, taken.waited), (5, 4));
    assert_eq!(tree(&network), ["a<-@-.0", "b<a@a.0", "d<b@b.0", "c<a@a.1", "e<b@b.1"]);
}

#[test]
fn rows_wait_for_sponsor_and_parent() {
    let mut network = matrix();
    let file = "member,sponsor,joined_at,parent,slot\nx,a,,b,2\na,r,,,\nr,,,,\nb,a,,a,1\ny,a,,b,\n";
    let (taken, refused) = take(&mut network, file);
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(taken.waited, 2);
    assert_eq!(tree(&network), ["r<-@-.0", "a<r@r.0", "b<a@a.1", "x<a@b.2", "y<a@b.0"]);
}

#[test]
fn dirty_rows_are_refused_each_with_its_reason() {
    let file = "member,sponsor,joined_at,parent,slot,code,status,role\n\
        root,,1970-01-01,,,,,\n\
        self,self,,,,,,\n\
        a,root,2025-13-01,,,,,\n\
        b,nobody,,,,,,\n\
        root,,,,,,,\n\
        c,root,2025\n\
        d,e,,,,,,\n\
        e,f,,,,,,\n\
        f,d,,,,,,\n\
        g,d,,,,,,\n\
        h,a,,,,,,\n\
        i,root,,root,0,,,\n\
        j,root,,root,0,,,\n\
        k,root,,root,3,,,\n\
        l,root,,,1,,,\n\
        m,root,,root,x,,,\n\
        n,root,,,,a b,,\n\
        o,root,,,,ROOT,,\n\
        p,root,,,,,gone,\n\
        q,root,,,,,,boss\n\
        ,root,,,,,,\n\
        s,root,,s,0,,,\n\
        t,i,,root,1,,,\n\
        u,root,,ghost,0,,,\n\
        v,u,,,,,,\n\
        i,root,,,,,,\n\
        d,root,,,,,,\n\
        w,,,root,1,,,\n";
    let mut network = matrix();
    let (taken, refused) = take(&mut network, file);
    assert_eq!(
        refused,
        [
            "3: own_sponsor",
            "4: bad_time",
            "5: unknown_sponsor",
            "6: duplicate",
            "7: cut_off",
            "8: cycle",
            "9: cycle",
            "10: cycle",
            "11: sponsor_refused",
            "12: sponsor_refused",
            "14: slot_taken",
            "15: slot_out_of_range",
            "16: bad_slot",
            "17: bad_slot",
            "18: bad_code",
            "19: code_taken",
            "20: bad_status",
            "21: bad_role",
            "22: no_member",
            "23: own_parent",
            "24: parent_outside_sponsor_subtree",
            "25: unknown_parent",
            "26: sponsor_refused",
            "27: duplicate",
            "28: duplicate",
            "29: root_with_placement",
        ]
    );
    assert_eq!(taken.members, 2);
    assert_eq!(tree(&network), ["root<-@-.0", "i<root@root.0"]);
    let explained = taken.refused.iter().find(|refused| refused.line == 12).unwrap().to_string();
    assert_eq!(explained, "line 12: h: sponsor a on line 4 was refused");
}

#[test]
fn a_long_cycle_and_a_long_wait_take_no_recursion_and_linear_time() {
    const MEMBERS: u32 = 30_000;
    let mut cycle = String::from("member,sponsor,joined_at\n");
    (0..MEMBERS).for_each(|number| cycle += &format!("m{number},m{},\n", (number + 1) % MEMBERS));
    let (taken, _) = take(&mut matrix(), &cycle);
    assert_eq!((taken.members, taken.refused.len()), (0, MEMBERS as usize));
    assert!(taken.refused.iter().all(|refused| refused.reason == Refusal::Cycle));
    let backwards = cycle.replace(&format!("m{},m0,", MEMBERS - 1), &format!("m{},,", MEMBERS - 1));
    let (taken, refused) = take(&mut matrix(), &backwards);
    assert_eq!((taken.members, taken.waited), (u64::from(MEMBERS), u64::from(MEMBERS) - 1), "{refused:?}");
}

#[test]
fn sponsors_may_be_named_by_code() {
    let mut network = matrix();
    let file =
        "member,sponsor,joined_at,code\nb,Gold-1,,\n00000000-0000-4000-8000-000000000001,,,gold-1\nc,B,,\n";
    let (taken, refused) = take(&mut network, file);
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!((taken.members, taken.waited), (3, 1));
    assert_eq!(tree(&network), ["gold-1<-@-.0", "b<gold-1@gold-1.0", "c<b@b.0"]);
}

#[test]
fn names_that_cannot_be_codes_are_counted() {
    let mut network = matrix();
    let (taken, refused) = take(
        &mut network,
        "member,sponsor,joined_at\nAnna,,\nanna,r,\na@b.c,anna,\nAN-1,Anna,\nAN-l,Anna,\n",
    );
    assert_eq!(refused, ["3: duplicate"], "the case makes no other member");
    assert_eq!((taken.members, taken.names_not_kept, taken.respelled), (4, 2, 1), "AN-l is like AN-1");
    assert_eq!(network.state.code(MemberIx(0)).as_str(), "Anna");
    assert_eq!(network.state.member(MemberIx(1)).sponsor, Some(MemberIx(0)));
}

#[test]
fn members_that_are_not_active_have_their_recruits() {
    let mut network = matrix();
    let file =
        "member,sponsor,joined_at,status,role\nr,,,terminated,admin\na,r,,inactive,\nb,a,,active,member\n";
    let (_, refused) = take(&mut network, file);
    assert_eq!(refused, Vec::<String>::new());
    let statuses: Vec<Status> = (0..3).map(|index| network.state.member(MemberIx(index)).status).collect();
    assert_eq!(statuses, [Status::Terminated, Status::Inactive, Status::Active]);
}

#[test]
fn a_second_import_of_the_same_file_changes_nothing() {
    let mut network = matrix();
    let file = "member,sponsor,joined_at\nr,,\na,r,\nb,a,\n";
    take(&mut network, file);
    let lsn = network.state.lsn();
    let (taken, refused) = take(&mut network, &format!("{file}c,a,\nb,r,\n"));
    assert_eq!(refused, ["6: duplicate"]);
    assert_eq!((taken.members, taken.already_there), (1, 3));
    assert_eq!(network.state.lsn(), lsn + 1);
}

#[test]
fn a_row_that_is_there_with_another_time_or_code_is_named() {
    let mut network = matrix();
    take(&mut network, "member,sponsor,joined_at\nr,,2025-01-01\na,r,2025-01-02\n");
    let (taken, refused) =
        take(&mut network, "member,sponsor,joined_at,code\nr,,2025-01-01,r\na,r,2025-02-02,x\na,r,,\n");
    assert_eq!((taken.already_there, refused), (2, vec!["4: duplicate".to_string()]));
    let difference =
        "joined at 2025-01-02T00:00:00.000000Z, not 2025-02-02T00:00:00.000000Z; its code is a, not x";
    assert_eq!(taken.differing, [(3, "a".into(), difference.into())]);
}

#[test]
fn the_own_sponsor_of_a_root_can_be_forgiven() {
    let mut network = matrix();
    let taken = members_from(&mut network, b"member,sponsor,joined_at\nr,r,\na,r,\n", true);
    assert_eq!((taken.members, taken.refused.len()), (2, 0));
    assert_eq!(tree(&network), ["r<-@-.0", "a<r@r.0"]);
}

#[test]
fn unlimited_width_keeps_the_places_that_export_names() {
    let mut network = network(include_str!("../../../plans/levels.toml"));
    let file = "member,sponsor,joined_at,parent,slot\nr,,,,0\na,r,,r,0\nb,r,,r,1\nc,r,,r,3\nd,r,,a,0\n";
    let (_, refused) = take(&mut network, file);
    assert_eq!(refused, ["5: strategic_not_allowed", "6: strategic_not_allowed"]);
    assert_eq!(tree(&network), ["r<-@-.0", "a<r@r.0", "b<r@r.1"]);
}
