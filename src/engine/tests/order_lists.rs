//! Lists of orders while periods are sealed and sealed orders come back, against a plain filter of all.

use proptest::prelude::*;

use super::{
    seals::{Shop, order, refund},
    *,
};
use crate::engine::{ListPosition, NextOrder, OrderFilter, OrderPages, State};

/// What a list says of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    lsn: u64,
    id: String,
    member: u64,
    has_customer: bool,
    has_group: bool,
    period: u32,
    time: i64,
    refunds: usize,
}

/// A shop, all of its orders, and what happens next.
struct Script {
    shop: Shop,
    orders: Vec<Row>,
    random: u64,
    /// Periods that are open, posted and sealed, by count: each of 1,000 ticks.
    open: u32,
    posted: u32,
    sealed: u32,
    names: u32,
    /// Refunds of sealed orders.
    recalls: u32,
}

const PERIOD: i64 = 1_000;

fn period(number: u32) -> PeriodRef {
    PeriodRef { calendar: 0, period: number }
}

impl Script {
    fn new(random: u64) -> Self {
        let shop = Shop::posted();
        let orders = [("A", 0), ("B", 1)].map(|(name, refunds)| {
            let lsn = shop.view(name).unwrap().lsn;
            let (id, time) = (name.to_owned(), 1_500);
            Row { lsn, id, member: 1, has_customer: true, has_group: true, period: 0, time, refunds }
        });
        let (open, posted) = (2, 1);
        Self { shop, orders: orders.into(), random, open, posted, sealed: 0, names: 0, recalls: 0 }
    }

    fn below(&mut self, most: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % most
    }

    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}-{}", self.names)
    }

    /// Something happens: an order, a refund, the end of a period, or a seal.
    fn goes_on(&mut self) {
        match self.below(12) {
            0..6 => self.places(),
            6..9 => self.refunds(),
            9 => self.posts(),
            _ => self.seals(),
        }
    }

    fn places(&mut self) {
        let (id, member) = (self.name("O"), 1 + self.below(2));
        let time = PERIOD * i64::from(self.open) + 1 + self.below(900).cast_signed();
        let [has_customer, has_group] = [(); 2].map(|()| self.below(2) == 0);
        let mut order = order(&id, member, 100);
        order.time = Some(Timestamp(time));
        order.customer =
            order.customer.filter(|_| has_customer).map(|_| OrderId::parse(&format!("C-{member}")).unwrap());
        order.group = order.group.filter(|_| has_group);
        let answer = self.shop.answer(Command::PlaceOrder(Box::new(order)));
        assert!(matches!(answer.applied.outcome, Outcome::OrderPlaced { changed: true, .. }), "{answer:?}");
        let (lsn, period) = (answer.applied.lsn, self.open - 1);
        self.orders.push(Row { lsn, id, member, has_customer, has_group, period, time, refunds: 0 });
    }

    fn refunds(&mut self) {
        let at = usize::try_from(self.below(self.orders.len() as u64)).unwrap();
        let (id, of) = (self.name("R"), self.orders[at].id.clone());
        let is_open = |shop: &Shop| {
            shop.engine.read(|state, _| state.order_number(&OrderId::parse(&of).unwrap()).is_some())
        };
        self.recalls += u32::from(!is_open(&self.shop));
        self.shop.does(refund(&id, &of, RefundScope::Part(WHOLE / 1_000)));
        self.orders[at].refunds += 1;
    }

    fn posts(&mut self) {
        let next = i64::from(self.open) + 1;
        self.shop.opens(period(self.open), (PERIOD * next, PERIOD * (next + 1)));
        self.open += 1;
        self.shop.posts(period(self.posted), PERIOD * next + 1);
        self.posted += 1;
    }

    fn seals(&mut self) {
        if self.sealed < self.posted {
            let outcome = self.shop.seals(period(self.sealed));
            assert!(matches!(outcome, Outcome::PeriodSealed { changed: true, .. }), "{outcome:?}");
            self.sealed += 1;
        }
    }

    /// A filter, and the orders that it lets through, newest first.
    fn some_filter(&mut self) -> (Filter, Vec<Row>) {
        let filter = Filter {
            member: (self.below(2) == 0).then(|| 1 + self.below(2)),
            customer: (self.below(3) == 0).then(|| 1 + self.below(2)),
            group: self.below(3) == 0,
            period: (self.below(3) == 0).then(|| u32::try_from(self.below(self.open.into())).unwrap()),
            from: (self.below(4) == 0).then(|| self.below(4_000).cast_signed()),
        };
        let newest_first = self.orders.iter().rev();
        let expected = newest_first.filter(|row| filter.lets(row)).cloned().collect();
        (filter, expected)
    }
}

#[derive(Clone, Debug)]
struct Filter {
    member: Option<u64>,
    customer: Option<u64>,
    group: bool,
    period: Option<u32>,
    from: Option<i64>,
}

impl Filter {
    fn lets(&self, row: &Row) -> bool {
        self.member.is_none_or(|member| member == row.member)
            && self.customer.is_none_or(|member| row.has_customer && member == row.member)
            && (!self.group || row.has_group)
            && self.period.is_none_or(|period| period == row.period)
            && self.from.is_none_or(|from| from <= row.time)
    }

    fn of(&self) -> OrderFilter {
        let id = |text: String| OrderId::parse(&text).unwrap();
        OrderFilter {
            // Member 1 joined first.
            member: self.member.map(|member| MemberIx(u32::try_from(member - 1).unwrap())),
            customer: self.customer.map(|member| id(format!("C-{member}"))),
            group: self.group.then(|| id("party".into())),
            period: self.period.map(period),
            from: Timestamp(self.from.unwrap_or(i64::MIN)),
            ..OrderFilter::ALL
        }
    }
}

/// When a list is read.
#[derive(Clone, Copy)]
enum When<'s> {
    /// While other things happen: between two pages, and between a read of files and one of the state.
    Busy,
    Quiet,
    /// Of the past.
    Past(&'s State),
}

impl When<'_> {
    fn read<R>(self, shop: &Shop, read: impl FnOnce(&State) -> R) -> R {
        match self {
            When::Busy | When::Quiet => shop.engine.read(|state, _| read(state)),
            When::Past(state) => read(state),
        }
    }

    fn goes_on(self, script: &mut Script, one_of: u64) {
        if matches!(self, When::Busy) && script.below(one_of) == 0 {
            script.goes_on();
        }
    }
}

/// A page of a list, and where the next one begins.
fn page(
    script: &mut Script,
    filter: &Filter,
    rows: usize,
    after: Option<ListPosition>,
    when: When<'_>,
) -> (Vec<Row>, Option<ListPosition>) {
    let mut pages = when.read(&script.shop, |state| match after {
        None => OrderPages::new(state, filter.of()),
        Some(position) => OrderPages::resume(state, filter.of(), position).expect("a position of it"),
    });
    let mut found = Vec::new();
    loop {
        when.goes_on(script, 6);
        pages.prepare(&script.shop.engine, rows).unwrap();
        when.goes_on(script, 6);
        let mut steps = usize::try_from(1 + script.below(200)).unwrap();
        let more = when.read(&script.shop, |state| {
            while found.len() < rows {
                let order = match pages.next(state, &mut steps) {
                    NextOrder::Open(order) | NextOrder::Sealed(order) => order,
                    NextOrder::NeedsFiles | NextOrder::Tired => return true,
                    NextOrder::End => return false,
                };
                found.push(Row {
                    lsn: order.lsn,
                    id: order.id.to_string(),
                    member: u64::from(order.credits[0].0.0) + 1,
                    has_customer: order.customer.is_some(),
                    has_group: order.group.is_some(),
                    period: order.periods[0].period,
                    time: order.time.0,
                    refunds: order.refunds.len(),
                });
            }
            true
        });
        if !more {
            return (found, None);
        }
        if found.len() == rows {
            return (found, Some(pages.position()));
        }
    }
}

/// All pages of a list.
fn listed(script: &mut Script, filter: &Filter, rows: usize, when: When<'_>) -> Vec<Row> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = page(script, filter, rows, after, when);
        found.extend(page);
        if next.is_none() {
            return found;
        }
        after = next;
        when.goes_on(script, 1);
    }
}

/// As orders were before their refunds.
fn without_refunds(rows: &[Row]) -> Vec<Row> {
    rows.iter().map(|row| Row { refunds: 0, ..row.clone() }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn pages_are_a_plain_filter_of_all_orders_whatever_is_sealed_between_them(random in any::<u64>()) {
        let mut script = Script::new(random);
        for _ in 0..25 {
            script.goes_on();
        }
        for _ in 0..8 {
            let (filter, expected) = script.some_filter();
            let rows = 1 + usize::try_from(script.below(9)).unwrap();
            let begun = script.shop.engine.read(|state, _| state.lsn());
            let mut found = listed(&mut script, &filter, rows, When::Busy);
            // What is placed before the first page is complete may be in it.
            found.retain(|row| row.lsn <= begun);
            prop_assert_eq!(without_refunds(&found), without_refunds(&expected), "{:?}, {}", filter, rows);
            let (filter, expected) = script.some_filter();
            let found = listed(&mut script, &filter, rows, When::Quiet);
            prop_assert_eq!(found, expected, "quiet: {:?}, {}", filter, rows);
        }
        let lsn = script.shop.engine.read(|state, _| state.lsn());
        let lists: Vec<(Filter, Vec<Row>)> = (0..8).map(|_| script.some_filter()).collect();
        for _ in 0..25 {
            script.goes_on();
        }
        // Who holds a state of the past keeps seals from having theirs.
        let past = script.shop.engine.state_at(lsn).unwrap();
        for (filter, expected) in lists {
            let found = listed(&mut script, &filter, 3, When::Past(&past));
            prop_assert_eq!(found, expected, "of the past: {:?}", filter);
        }
        // Few scripts seal or recall nothing; such a one does not count as a case.
        prop_assume!(1 < script.sealed && script.recalls != 0, "orders came and went");
    }
}
