use proptest::prelude::*;

use super::*;

const SMALL_BYTES: usize = 64 * 1_024;

#[test]
fn regions_have_the_room_that_was_asked_for() {
    for rows in [0, 1, 100, SMALL_BYTES / 8, SMALL_BYTES / 8 + 1, 1_000_000, 10_000_000] {
        for region in
            [Region::<u64>::with_room(rows), Region::sparse(rows), Region::reserved(rows, rows.min(7))]
        {
            assert_eq!((region.room(), region.len()), (rows, 0));
            assert!(is_small::<u64>(rows) || region.room.rows().as_ptr().addr() % 4_096 == 0, "{rows}");
        }
    }
    assert_eq!(Region::filled(7_u16, 100_000), vec![7; 100_000]);
    assert_eq!(rows_within::<[u8; 24]>(SHARED_BYTES), 131_072);
    assert_eq!((rows_within::<[u8; 24]>(4_096), rows_within::<[u8; 8_192]>(4_096)), (128, 1));
}

#[test]
fn rows_of_a_mapping_begin_with_a_page() {
    // A row of 64 bytes is one line of memory then, not two.
    let region = Region::<[u32; 16]>::filled([7; 16], 100_000);
    assert_eq!(region.as_ptr().addr() % 4_096, 0);
}

#[test]
fn a_region_moves_only_while_it_is_small() {
    let (mut rows, mut moves, mut room) = (Region::empty(), 0, 0);
    for row in 0..500_000_u64 {
        rows.push_growing(row, 500_000);
        if rows.room() != room {
            assert!(rows.len() * 8 <= SMALL_BYTES + 8);
            (room, moves) = (rows.room(), moves + 1);
        }
    }
    assert!((2..20).contains(&moves), "{moves}");
    assert!(rows.iter().copied().eq(0..500_000));
}

#[test]
#[should_panic(expected = "index out of bounds")]
fn what_does_not_fit_is_our_bug() {
    let mut region = Region::with_room(2);
    (0..3_u32).for_each(|row| region.push(row));
}

/// What can be done to a region.
#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Extend(Vec<u32>),
    Resize(usize, u32),
    Write(usize, u32),
    Move,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<u32>().prop_map(Step::Push),
        proptest::collection::vec(any::<u32>(), 0..20_000).prop_map(Step::Extend),
        (0..20_000_usize, any::<u32>()).prop_map(|(more, value)| Step::Resize(more, value)),
        (any::<usize>(), any::<u32>()).prop_map(|(at, value)| Step::Write(at, value)),
        Just(Step::Move),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A region is a vector, whatever its memory is.
    #[test]
    fn a_region_holds_what_a_vector_holds(
        steps in proptest::collection::vec(step(), 0..40),
        room in prop_oneof![Just(1_000_000_usize), Just(800_000)],
        sparse in any::<bool>(),
    ) {
        let mut region = if sparse { Region::sparse(room) } else { Region::reserved(room, 0) };
        let mut vector = Vec::new();
        for step in steps {
            match step {
                Step::Push(value) => {
                    region.push(value);
                    vector.push(value);
                }
                Step::Extend(values) => {
                    region.extend_from_slice(&values);
                    vector.extend(values);
                }
                Step::Resize(more, value) => {
                    region.resize(region.len() + more, value);
                    vector.resize(vector.len() + more, value);
                }
                Step::Write(at, value) => {
                    if let Some(at) = at.checked_rem(vector.len()) {
                        *region.row_mut(at) = value;
                        region[at] ^= 1;
                        vector[at] = value ^ 1;
                    }
                }
                // Moving a region does not move its rows.
                Step::Move => {
                    let before = region.as_ptr();
                    let moved = Box::new(region);
                    region = *moved;
                    prop_assert_eq!(region.as_ptr(), before);
                }
            }
            prop_assert_eq!(&*region, &*vector);
            prop_assert!(vector.last().is_none_or(|last| region.row(vector.len() - 1) == last));
        }
    }
}
