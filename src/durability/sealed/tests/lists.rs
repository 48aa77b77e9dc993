//! Lists against a plain filter of all orders.

use super::*;

/// Whether a filter lets an order through.
fn lets(filter: &Filter<'_>, order: &SealedOrder<'_>) -> bool {
    let calendars = ["month", "week"];
    filter.member.is_none_or(|member| order.credits.iter().any(|credit| credit.member == member))
        && filter.customer.is_none_or(|customer| order.customer.as_deref() == Some(customer))
        && filter.group.is_none_or(|group| order.group.as_deref() == Some(group))
        && filter.from.is_none_or(|from| from <= order.time)
        && filter.until.is_none_or(|until| order.time < until)
        && filter.period.is_none_or(|(calendar, label)| {
            let calendar = calendars.iter().position(|name| *name == calendar);
            calendar.is_some_and(|calendar| order.periods.get(calendar).is_some_and(|period| period == label))
        })
}

/// Pages of a list of some seals until its end, and how many of them were not full and not the last.
fn pages(store: &Store, filter: &Filter<'_>, seals: u32, limit: usize) -> (Vec<SealedOrder<'static>>, usize) {
    let (mut orders, mut before, mut short) = (Vec::new(), None, 0);
    loop {
        let page = store.list(filter, seals, before, limit).expect("it is whole");
        assert!(page.orders.len() <= limit);
        let is_in = |order: &SealedOrder<'_>| {
            before.is_none_or(|before| order.lsn < before) && page.next.is_none_or(|next| next <= order.lsn)
        };
        assert!(page.orders.iter().all(is_in), "a page has what is between its ends");
        assert!(page.next.is_none_or(|next| next < before.unwrap_or(u64::MAX)), "it goes on");
        short += usize::from(page.next.is_some() && page.orders.len() < limit);
        orders.extend(page.orders);
        match page.next {
            Some(next) => before = Some(next),
            None => return (orders, short),
        }
    }
}

/// The orders as they were after a seal, by LSN.
type Valid = BTreeMap<u64, SealedOrder<'static>>;

/// Orders in three seals; some of the first are in a later one again. With what there was after each.
fn sealed(seed: u64) -> (Memory, Vec<Known>, Vec<Valid>) {
    let memory = directory();
    let storage = memory.shared();
    let (mut known, mut valid, mut after_each) = (Vec::new(), Valid::new(), Vec::new());
    let mut random = seed;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut lsn = 0;
    for number in 1..=3 {
        let mut orders: Vec<SealedOrder<'static>> = Vec::new();
        for _ in 0..60 {
            lsn += 1 + next(4);
            let mut order = order(&format!("A-{lsn}"), lsn);
            order.time = Timestamp(1_782_000_000_000_000 + next(60 * 86_400_000_000).cast_signed());
            order.credits[0].member = uuid(next(8));
            if next(4) == 0 {
                order.credits = (0..3).map(|_| Credit { member: uuid(next(8)), part: 7 }).collect();
            }
            order.customer = (next(2) == 0).then(|| format!("C-{}", next(5)).into());
            order.group = (next(3) == 0).then(|| format!("G-{}", next(5)).into());
            order.periods = vec![format!("2026-0{}", next(3)).into(), format!("2026-W{}", next(9)).into()];
            order.periods.truncate(usize::try_from(next(3)).expect("it is small"));
            orders.push(order);
        }
        if 1 < number {
            let earlier: Vec<SealedOrder<'static>> = valid.values().cloned().collect();
            for mut again in earlier.into_iter().filter(|_| next(6) == 0) {
                let found =
                    open(&storage, &known).find(&again.id).expect("it is whole").expect("it was sealed");
                again.supersedes = Some(found.place.seal);
                again.refunds.push(refund(&format!("R-{number}-{}", again.lsn), 900, [0, 5]));
                orders.push(again);
            }
        }
        // Not in the order of their LSNs.
        orders.sort_by_key(|order| order.fingerprint);
        seal(&storage, &mut known, &orders);
        valid.extend(orders.into_iter().map(|order| (order.lsn, order)));
        after_each.push(valid.clone());
    }
    (memory, known, after_each)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn lists_have_what_a_filter_of_all_orders_has(
        seed in any::<u64>(),
        filters in proptest::collection::vec(
            (
                proptest::option::of(0..9_u64), proptest::option::of(0..6_u8), proptest::option::of(0..6_u8),
                proptest::option::of((any::<bool>(), 0..4_u8)),
                proptest::option::of(0..70_i64), proptest::option::of(0..70_i64), 1..50_usize, 0..3_u32,
            ),
            1..12,
        ),
    ) {
        let (memory, known, after_each) = sealed(seed);
        let store = open(&memory.shared(), &known);
        let day = |day: i64| Timestamp(1_782_000_000_000_000 + day * 86_400_000_000);
        for (member, customer, group, period, from, until, limit, seal) in filters {
            // Two of them at most, or nothing is left.
            let customer = customer.map(|number| format!("C-{number}"));
            let group = group.filter(|_| customer.is_none()).map(|number| format!("G-{number}"));
            let label = period.map(|(is_month, number)| {
                if is_month { format!("2026-0{number}") } else { format!("2026-W{number}") }
            });
            let calendar = if period.is_some_and(|(is_month, _)| is_month) { "month" } else { "week" };
            let filter = Filter {
                member: member.map(uuid),
                customer: customer.as_deref(),
                group: group.as_deref(),
                period: label.as_deref().map(|label| (calendar, label)),
                from: from.map(day),
                until: until.map(day),
            };
            // Of all seals, or as it was before the newest.
            let newest_first = after_each[seal as usize].values().rev();
            let expected: Vec<_> = newest_first.filter(|order| lets(&filter, order)).cloned().collect();
            prop_assert_eq!(pages(&store, &filter, 2 + seal, limit).0, expected);
        }
        let newest_first: Vec<_> = after_each[2].values().rev().cloned().collect();
        let (all, short) = pages(&store, &Filter::default(), u32::MAX, 300);
        prop_assert_eq!(all, newest_first);
        prop_assert!(short != 0, "a page reads only so many row groups");
        let nothing = Filter { period: Some(("year", "2026")), ..Filter::default() };
        prop_assert_eq!(pages(&store, &nothing, u32::MAX, 17), (vec![], 0));
    }
}
