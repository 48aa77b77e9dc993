use super::*;
use crate::{
    core::{Capture, network_digest},
    engine::{
        Command, MemberId, MemberIx, Origin, PlacementRequest, Register, Role, SnapshotStep, SponsorRef,
        Status, SteppedEngine, SteppedWriter, tests::rig::in_memory,
    },
};

/// An engine on an in-memory disk.
fn stepped() -> SteppedEngine {
    SteppedEngine::open(in_memory(crate::plan_file::default_plan())).unwrap().0
}

fn id_of(number: u32) -> MemberId {
    MemberId(u128::from(number).to_be_bytes())
}

fn writes(writer: &mut SteppedWriter, command: Command) {
    drop(writer.submit(command, None, |_| false));
    assert!(writer.step());
}

fn signs_up(writer: &mut SteppedWriter, number: u32) {
    writes(
        writer,
        Command::Register(Register {
            member: id_of(number),
            sponsor: number
                .checked_sub(1)
                .map_or(SponsorRef::None, |last| SponsorRef::Member(id_of(last / 3))),
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        }),
    );
}

fn terminates(writer: &mut SteppedWriter, number: u32) {
    writes(writer, Command::SetStatus { member: id_of(number), status: Status::Terminated });
}

fn capture(engine: &Engine) -> Capture {
    engine.read(|state, _| state.capture_sums(0))
}

fn check(engine: &Engine) -> NetworkDigest {
    let digest = engine.network_digest();
    let (lsn, expected) = engine.read(|state, _| (state.lsn(), network_digest(state)));
    assert_eq!((digest.lsn, digest.digest), (lsn, expected));
    digest
}

#[test]
fn the_digest_of_the_network_hashes_only_what_changed() {
    let mut stepped = stepped();
    (0..300).for_each(|number| signs_up(stepped.writing(), number));
    let engine = stepped.engine();
    assert!(100 < capture(engine).stale());
    check(engine);
    assert_eq!(capture(engine).stale(), 0, "what was hashed is kept");
    terminates(stepped.writing(), 7);
    assert_eq!(capture(stepped.engine()).stale(), 1);
    let (network, digests) = (check(stepped.engine()), stepped.engine().digests());
    assert_eq!((digests.lsn, digests.network), (network.lsn, network.digest));
}

#[test]
fn with_much_that_is_stale_a_view_is_hashed() {
    let mut stepped = stepped();
    // Two members to a chunk in unit tests.
    let members = u32::try_from(SUMS_STALE_MAX * 2 + 10).unwrap();
    (0..members).for_each(|number| signs_up(stepped.writing(), number));
    let engine = stepped.engine();
    assert!(SUMS_STALE_MAX < capture(engine).stale());
    check(engine);
    assert_eq!((capture(engine).stale(), engine.read(|state, _| state.views())), (0, 0));
}

#[test]
fn a_snapshot_gives_its_sums_back_while_signups_go_on() {
    let mut stepped = stepped();
    (0..300).for_each(|number| signs_up(stepped.writing(), number));
    let mut number = 300;
    let made = stepped.snapshot(&mut |writer, step| {
        if step == SnapshotStep::Copy && number < 306 {
            terminates(writer, number - 100);
            signs_up(writer, number);
            number += 1;
        }
        true
    });
    assert!(made.is_ok());
    let stale = capture(stepped.engine()).stale();
    assert!((1..60).contains(&stale), "{stale}");
    check(stepped.engine());
}

#[test]
fn sums_are_refreshed_as_long_as_they_may_be() {
    let mut stepped = stepped();
    (0..300).for_each(|number| signs_up(stepped.writing(), number));
    let engine = stepped.engine();
    let (all, mut asked) = (capture(engine).stale(), 0);
    let is_done = engine.inner.shared.refresh_sums(&mut || {
        asked += 1;
        asked <= 20
    });
    assert_eq!((is_done, capture(engine).stale()), (false, all - 20));
    assert!(engine.inner.shared.refresh_sums(&mut || true));
    assert_eq!(capture(engine).stale(), 0);
    terminates(stepped.writing(), 1);
    let mut never = || panic!("a few are left to the digest");
    assert!(stepped.engine().inner.shared.refresh_sums(&mut never));
    assert_eq!(stepped.engine().read(|state, _| state.member(MemberIx(1)).status), Status::Terminated);
}
