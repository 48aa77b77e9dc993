//! Several frozen views at once, without a scheduler.

use super::{
    rig::{in_memory, plan, signup},
    *,
};

/// An engine on an in-memory disk.
fn stepped() -> SteppedEngine {
    SteppedEngine::open(in_memory(plan())).unwrap().0
}

#[test]
fn a_view_is_made_while_a_snapshot_is_being_copied() {
    let mut engine = stepped();
    let signs_up = |writer: &mut SteppedWriter, number: u64| {
        drop(writer.submit(signup(number, number.checked_sub(1)), None, |_| false));
        assert!(writer.step());
    };
    (0..300).for_each(|number| signs_up(engine.writing(), number));
    let (mut number, mut views) = (300_u64, Vec::new());
    let info = engine
        .snapshot(&mut |writer, step| {
            if step == SnapshotStep::Copy && number < 306 {
                signs_up(writer, number);
                number += 1;
                let parts = if number.is_multiple_of(2) { Parts::ALL } else { Parts::RANKED };
                let view = writer.engine().frozen_view_of(parts);
                assert_eq!((view.lsn(), u64::from(view.len())), (number, number));
                views.push(view);
            }
            true
        })
        .unwrap();
    assert_eq!((info.lsn, views.len()), (300, 6), "the snapshot is of the moment when it began");
    assert_eq!(engine.engine().read(|state, _| state.views()), 0, "no view is left behind");
    assert_eq!(engine.engine().inner.shared.views.making(), 0);
}

#[test]
fn a_view_of_few_parts_has_only_these_and_any_view_with_them_serves() {
    let rig = rig(|_, _, _| {});
    for number in 0..50 {
        rig.engine.submit_blocking(signup(number, number.checked_sub(1)), None).unwrap();
    }
    let links = rig.engine.frozen_view_of(Parts::of(&[Part::Members, Part::Placement]));
    assert_eq!((links.lsn(), links.len(), links.plan()), (50, 50, &Arc::new(plan())));
    let (first, last) = (MemberIx(0), MemberIx(49));
    assert_eq!(links.upline(Tree::Placement, last).count(), 49);
    assert_eq!((links.downline(Tree::Placement, first), links.downline(Tree::Placement, last)), (None, None));
    assert_eq!(
        links.distance(Tree::Placement, first, last),
        Some(49),
        "found by jumps, as in a tree without counts"
    );
    let ranked = rig.engine.frozen_view_of(Parts::RANKED);
    assert_eq!(ranked.downline(Tree::Placement, first), Some(49));
    let whole = rig.engine.frozen_view();
    assert!(!Arc::ptr_eq(&ranked, &whole));
    drop((links, ranked));
    assert!(Arc::ptr_eq(&whole, &rig.engine.frozen_view_of(Parts::RANKED)), "a view with more parts serves");
}
