use super::*;

fn view(number: u64) -> ViewId {
    ViewId { number, lean: false }
}

fn copied(column: &Column<u64>, of: ViewId) -> Vec<u64> {
    let mut copy = Column::new();
    while !column.copy_step(of, &mut copy) {}
    assert!(column.copy_step(of, &mut copy));
    copy.iter().copied().collect()
}

#[test]
fn a_frozen_view_is_the_column_as_it_was() {
    for len in [0_u64, 1, 511, 512, 8_191, 8_192, 8_193, 30_000] {
        let mut column = Column::new();
        (0..len).for_each(|value| column.push(value));
        column.freeze(view(1));
        for index in (0..len).step_by(97) {
            *column.get_mut(usize::try_from(index).unwrap()) += 1_000_000;
            column.push(index);
        }
        (len..2 * len).for_each(|index| *column.get_mut(usize::try_from(index % (len.max(1))).unwrap()) += 1);
        assert_eq!(copied(&column, view(1)), (0..len).collect::<Vec<_>>(), "{len}");
        column.thaw(view(1), &mut Freeing::new());
        column.freeze(view(2));
        assert_eq!(copied(&column, view(2)), column.iter().copied().collect::<Vec<_>>(), "{len}");
    }
}

/// Pages that some view needs.
fn kept<T: Plain>(column: &Column<T>) -> usize {
    column.views.iter().flat_map(|views| &views.kept).map(RegionPages::pages).sum()
}

#[test]
fn writes_between_the_steps_of_a_copy_do_not_show_and_what_was_copied_is_not_kept() {
    // Three regions, the last one not full, of rows of half a kilobyte.
    const LEN: usize = 150_000;
    const ROW_BYTES: usize = 512;
    let rows = || (0_u64..).map(|value| [value; ROW_BYTES / 8]).take(LEN);
    let mut column = Column::new();
    rows().for_each(|row| column.push(row));
    column.freeze(view(1));
    let (mut copy, mut round, mut most) = (Column::new(), 0, 0);
    loop {
        // All pages: the worst case for copy-on-write.
        for index in (round % 8..LEN).step_by(8).take(if round < 8 { LEN } else { 100 }) {
            column.get_mut(index)[0] = u64::MAX;
        }
        round += 1;
        if column.copy_step(view(1), &mut copy) {
            break;
        }
        column.release(view(1), &mut Freeing::new());
        most = most.max(kept(&column) * PAGE_BYTES + copy.len() * ROW_BYTES);
    }
    assert!(copy.iter().copied().eq(rows()));
    assert!(LEN * ROW_BYTES < most, "{most}: all pages were kept before they were copied");
    assert!(most <= LEN * ROW_BYTES + region::REGION_BYTES, "{most}");
    column.release(view(1), &mut Freeing::new());
    assert_eq!(kept(&column), 0);
    column.get_mut(0)[0] = 8;
    assert_eq!(kept(&column), 0, "nobody asks for it any more");
}

#[test]
fn rows_larger_than_a_page_work() {
    let mut column = Column::new();
    (0_u8..20).for_each(|value| column.push([value; 8_192]));
    column.freeze(view(1));
    column.get_mut(3)[0] = 99;
    let mut copy = Column::new();
    while !column.copy_step(view(1), &mut copy) {}
    assert_eq!(copy.get(3)[0], 3);
}

#[test]
fn a_page_is_kept_once_for_all_views_that_need_it_and_once_more_for_each_later_moment() {
    let mut column = Column::new();
    (0..5_000_u64).for_each(|value| column.push(value));
    let touch = |column: &mut Column<u64>| (0..5_000).for_each(|row| *column.get_mut(row) += 1);
    let pages = 5_000 / 512 + 1;
    (1..=3).for_each(|number| column.freeze(view(number)));
    touch(&mut column);
    touch(&mut column);
    assert_eq!(kept(&column), pages, "three views of one moment");
    column.freeze(view(4));
    touch(&mut column);
    assert_eq!(kept(&column), 2 * pages, "two moments");
    column.thaw(view(3), &mut Freeing::new());
    column.thaw(view(1), &mut Freeing::new());
    assert_eq!(kept(&column), 2 * pages, "the second view inherits the pages of the third");
    assert_eq!(copied(&column, view(2)), (0..5_000).collect::<Vec<_>>());
    column.thaw(view(2), &mut Freeing::new());
    assert_eq!(kept(&column), pages);
    assert_eq!(copied(&column, view(4)), (2..5_002).collect::<Vec<_>>());
    column.thaw(view(4), &mut Freeing::new());
    assert!(column.views.is_none(), "the writer pays for nothing any more");
}

#[test]
fn pages_that_no_view_needs_are_used_again() {
    let mut column = Column::new();
    (0..50_000_u64).for_each(|value| column.push(value));
    let pages = 50_000_usize.div_ceil(512);
    column.freeze(view(1));
    // An old view that is not copied, and a hundred short ones.
    for number in 2..100 {
        (0..50_000).step_by(100).for_each(|row| *column.get_mut(row) += 1);
        column.freeze(view(number));
        (0..50_000).step_by(100).for_each(|row| *column.get_mut(row) += 1);
        column.thaw(view(number), &mut Freeing::new());
    }
    let resident: usize =
        column.views.iter().flat_map(|views| &views.kept).map(|kept| kept.resident(512)).sum();
    assert_eq!(kept(&column), pages);
    assert!(resident <= 2 * pages, "{resident} pages for two views at most");
    assert_eq!(copied(&column, view(1)), (0..50_000).collect::<Vec<_>>());
}

#[test]
fn giving_pages_up_takes_few_steps_at_a_time() {
    let mut column = Column::new();
    (0..100_000_u64).for_each(|value| column.push([value; 64]));
    let touch = |column: &mut Column<[u64; 64]>| {
        (0..100_000).step_by(8).for_each(|row| column.get_mut(row)[0] += 1);
    };
    column.freeze(view(1));
    touch(&mut column);
    column.freeze(view(2));
    touch(&mut column);
    column.skip(view(2));
    let mut holds = 0;
    loop {
        let mut freeing = Freeing::within(1);
        column.release(view(2), &mut freeing);
        if freeing.may_go_on() {
            break;
        }
        holds += 1;
    }
    assert_eq!(holds, column.regions.len(), "a region each time");
    column.thaw(view(2), &mut Freeing::within(1));
    let mut copy = Column::new();
    while !column.copy_step(view(1), &mut copy) {}
    assert!(copy.iter().copied().eq((0..100_000_u64).map(|value| [value; 64])));
}

/// A view, a clone of the column as it was frozen, and the copy so far.
struct Watched<T: Plain> {
    view: ViewId,
    clone: Vec<T>,
    copy: Column<T>,
}

/// Random writes, freezes at different moments, partial copies and ends. Each view that is copied to its end
/// equals the clone.
fn interleave<T: Plain + PartialEq>(
    seed: u64,
    (len, steps, views_max, rows_max): (usize, usize, usize, usize),
    row: impl Fn(u64) -> T,
) -> u32 {
    let mut random = seed;
    let mut below = |bound: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % bound
    };
    let (mut column, mut views, mut whole, mut number) = (Column::new(), Vec::<Watched<T>>::new(), 0, 0);
    (0..len).for_each(|at| column.push(row(at as u64)));
    for step in 0..steps {
        let value = row((len + step) as u64);
        match below(20) {
            0..6 => *column.get_mut(below(column.len())) = value,
            6..9 => {
                let first = below(column.len());
                (first..column.len().min(first + rows_max)).for_each(|at| *column.get_mut(at) = value);
            }
            9 => (0..below(rows_max)).for_each(|_| column.push(value)),
            10..12 if views.len() < views_max => {
                number += 1;
                column.freeze(view(number));
                let clone = column.iter().copied().collect();
                views.push(Watched { view: view(number), clone, copy: Column::new() });
            }
            12..17 if !views.is_empty() => {
                let at = below(views.len());
                let watched = &mut views[at];
                if column.copy_step(watched.view, &mut watched.copy) {
                    assert!(
                        watched.copy.iter().eq(watched.clone.iter()),
                        "seed {seed}, step {step}: view {}",
                        watched.view.number
                    );
                    whole += 1;
                    column.thaw(views.remove(at).view, &mut Freeing::new());
                }
            }
            17 if !views.is_empty() => {
                let at = below(views.len());
                column.release(views[at].view, &mut Freeing::within(below(3)));
            }
            18 if !views.is_empty() && below(4) == 0 => {
                let given_up = views.remove(below(views.len())).view;
                if below(2) == 0 {
                    column.skip(given_up);
                    column.release(given_up, &mut Freeing::within(1));
                }
                column.thaw(given_up, &mut Freeing::new());
            }
            _ => {}
        }
        assert_eq!(views.is_empty(), column.views.is_none(), "seed {seed}, step {step}");
    }
    for Watched { view, clone, mut copy } in views {
        while !column.copy_step(view, &mut copy) {}
        assert!(copy.iter().eq(clone.iter()), "seed {seed}: view {} at the end", view.number);
        column.thaw(view, &mut Freeing::new());
    }
    assert!(column.views.is_none());
    whole
}

#[test]
fn every_view_equals_a_clone_made_at_its_freeze() {
    let mut whole = 0;
    for seed in 0..60 {
        whole += interleave(seed, (1 + usize::try_from(seed).unwrap() * 331, 400, 5, 700), |value| value);
        whole +=
            interleave(seed, (1 + usize::try_from(seed).unwrap() % 60, 300, 5, 20), |value| [value; 600]);
    }
    assert!(100 < whole, "{whole} views were copied to their end");
    // Two regions, of rows of 16 KiB. Views that are left are copied at the end.
    interleave(7, (2_200, 3_000, 2, 3), |value| [value; 2_048]);
}
