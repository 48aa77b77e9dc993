//! What is sealed is read again, to the bit.

use super::*;
use crate::durability::memory::Fault;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn orders_are_read_as_they_were_sealed(orders in some_orders(40)) {
        let memory = directory();
        let storage = memory.shared();
        let mut known = Vec::new();
        let manifest = seal(&storage, &mut known, &orders);
        let lines: u64 = orders.iter().map(|order| u64::from(order.lines)).sum();
        let refunds: usize = orders.iter().map(|order| order.refunds.len()).sum();
        prop_assert_eq!([manifest.orders, manifest.lines], [orders.len() as u64, lines]);
        prop_assert_eq!(manifest.refunds, refunds as u64);
        memory.set_fault(Some(Fault::Stutter));
        let store = open(&storage, &known);
        let all = all(&store, 1);
        prop_assert_eq!(all.len(), orders.len());
        for order in &orders {
            let (place, read) = &all[&*order.id];
            prop_assert_eq!(read, order);
            let found = store.find(&order.id).expect("it is whole").expect("it was sealed");
            let expected = Found { what: What::Order, fingerprint: order.fingerprint, place: *place };
            prop_assert_eq!(found, expected);
            prop_assert_eq!(&store.order(*place).expect("it is whole"), order);
            for refund in &order.refunds {
                let found = store.find(&refund.id).expect("it is whole").expect("it was sealed");
                prop_assert_eq!((found.what, found.fingerprint), (What::Refund, refund.fingerprint));
                prop_assert_eq!(store.order_of_refund(found.place).expect("it is whole"), *place);
            }
        }
        prop_assert_eq!(store.find("nothing").expect("it is whole"), None);
    }
}

#[test]
fn row_groups_pages_and_batches_change_nothing() {
    let memory = directory();
    let storage = memory.shared();
    let mut known = Vec::new();
    // More lines than a row group has, and pages that end inside orders.
    let orders: Vec<SealedOrder<'static>> = (0..60_000)
        .map(|number| {
            let mut order = order(&format!("A-{number}"), number + 1);
            order.lines = u8::try_from(number % 5 + 1).expect("it is small");
            order.values =
                (0..i64::from(order.lines) * 4).map(|value| value * number.cast_signed()).collect();
            order.customer = (number % 3 == 0).then(|| format!("C-{number}").into());
            if number % 1_000 == 7 {
                order.refunds = (0..3)
                    .map(|refund_number| refund(&format!("R-{number}.{refund_number}"), number, [0, 1]))
                    .collect();
            }
            order
        })
        .collect();
    seal(&storage, &mut known, &orders);
    let store = open(&storage, &known);
    let all = all(&store, 1);
    assert_eq!(all.len(), orders.len());
    for order in &orders {
        assert_eq!(all[&*order.id].1, *order);
    }
    for order in orders.iter().step_by(997).chain([&orders[59_999], &orders[7], &orders[59_007]]) {
        let place = store.find(&order.id).expect("it is whole").expect("it was sealed").place;
        assert_eq!(store.order(place).expect("it is whole"), *order);
        // A place inside an order, or after the end, is refused.
        if 1 < order.lines {
            assert!(store.order(Place { row: place.row + 1, ..place }).is_err());
        }
    }
    assert!(store.order(Place { row: 10_000_000, seal: 1, month: all["A-0"].0.month }).is_err());
}

#[test]
fn the_same_orders_give_the_same_files() {
    let orders: Vec<SealedOrder<'static>> = (1..2_000).map(|lsn| order(&format!("A-{lsn}"), lsn)).collect();
    let [one, other] = [(); 2].map(|()| {
        let memory = directory();
        let manifest = seal(&memory.shared(), &mut Vec::new(), &orders);
        (manifest, memory.all())
    });
    assert_eq!(one, other);
    let mut changed = orders;
    changed[5].values[0] += 1;
    let manifest = seal(&directory().shared(), &mut Vec::new(), &changed);
    assert_ne!(manifest.digest, one.0.digest);
}

#[test]
fn an_order_that_is_sealed_again_counts_there() {
    let memory = directory();
    let storage = memory.shared();
    let mut known = Vec::new();
    seal(&storage, &mut known, &[order("A-1", 1), order("A-2", 2)]);
    let mut again = order("A-1", 1);
    again.supersedes = Some(1);
    again.refunds = vec![refund("R-1", 9, [0, WHOLE / 2])];
    let manifest = seal(&storage, &mut known, &[again.clone(), order("A-3", 3)]);
    assert_eq!(manifest.supersedes, [1]);
    let store = open(&storage, &known);
    let place = |id: &str| store.find(id).expect("it is whole").expect("it was sealed").place;
    assert_eq!([place("A-1").seal, place("A-2").seal, place("A-3").seal], [2, 1, 2]);
    assert_eq!(store.order(place("A-1")).expect("it is whole"), again);
    assert_eq!(again.refunded(0), WHOLE / 2);
    let merged = store.merged().expect("the disk works").expect("it is due");
    assert_eq!((merged.id_files_count(), merged.ids_count()), (1, 4), "three orders and a refund");
    assert_eq!(merged.find("A-1").expect("it is whole").expect("it was sealed").place, place("A-1"));
}

#[test]
fn what_has_no_form_is_refused() {
    let memory = directory();
    let storage = memory.shared();
    let refused = |change: &dyn Fn(&mut SealedOrder<'static>)| {
        let mut writer =
            Writer::begin(&storage, &root(), 1, schema(), Layout::NEWEST).expect("the disk works");
        let mut order = order("A-1", 1);
        change(&mut order);
        let error = writer.add(&order).expect_err("it has no form");
        assert!(matches!(error, crate::durability::Error::BadSeal(_)), "{error}");
    };
    refused(&|order| order.id = "".into());
    refused(&|order| order.lines = 0);
    refused(&|order| order.credits.clear());
    refused(&|order| order.values.push(1));
    refused(&|order| order.values = vec![0; 5]);
    refused(&|order| order.values[0] = 1_000_000_000_000_000_000);
    refused(&|order| order.periods.push("x".into()));
    refused(&|order| order.time = Timestamp(i64::MIN));
    refused(&|order| order.group = Some("x".repeat(300).into()));
    let mut twice = Writer::begin(&storage, &root(), 1, schema(), Layout::NEWEST).expect("the disk works");
    twice.add(&order("A-1", 1)).expect("it is an order");
    twice.add(&order("A-1", 2)).expect("it is an order");
    assert!(twice.finish(Basis::default()).is_err(), "two orders with one id");
    let mut same = schema();
    same.volumes[1].name = "pv".into();
    assert!(Writer::begin(&storage, &root(), 1, same, Layout::NEWEST).is_err(), "two volumes with one name");
}
