//! Old layouts stay: seals have them, and a repair must come to their bytes.

use super::*;

/// More lines than are written at a time, with everything that an order can have.
fn orders() -> Vec<SealedOrder<'static>> {
    let orders = (0..4_000_u64).map(|number| {
        let mut order = order(&format!("A-{number}"), number + 1);
        order.lines = u8::try_from(number % 3 + 1).expect("it is small");
        order.values = (0..i64::from(order.lines) * 4).map(|value| value * number.cast_signed()).collect();
        order.kind = Some(if number % 4 == 0 { "autoship" } else { "retail" }.into());
        order.tags = if number % 9 == 0 { vec!["gift".into(), "new".into()] } else { Vec::new() };
        order.group = (number % 11 == 0).then(|| format!("party-{}", number / 100).into());
        order.customer = (number % 2 == 0).then(|| format!("C-{}", number % 1_300).into());
        order.credits[0].member = uuid(number % 700);
        if number % 10 == 0 {
            let credit = |member, part| Credit { member: uuid(member), part };
            order.credits = vec![credit(number % 7, WHOLE / 4), credit(number % 7 + 1, WHOLE / 4 * 3)];
        }
        if number % 100 == 5 {
            order.refunds = vec![refund(&format!("R-{number}"), number + 5_000, [0, WHOLE / 2])];
        }
        order
    });
    orders.collect()
}

/// Where this fails after a change of our code, the change is wrong: seals that are on disk could not be made
/// again. Where it fails after an update of `parquet` or `zstd`, a repair needs the release that sealed from
/// then on: the changelog must say so, and the hashes change.
#[test]
fn each_layout_has_the_bytes_that_it_always_had() {
    let orders = orders();
    let mut digests = Vec::new();
    let hashes = Layout::ALL.map(|layout| {
        let memory = directory();
        let storage = memory.shared();
        let mut writer = Writer::begin(&storage, &root(), 1, schema(), layout).expect("the disk works");
        for order in &orders {
            writer.add(order).expect("it is an order");
        }
        let manifest = writer.finish(Basis::default()).expect("the disk works");
        let known = [Known { number: 1, hash: manifest.hash() }];
        assert_eq!(verify(&storage, &root(), &known).expect("the disk works").damage, []);
        let store = open(&storage, &known);
        let mut read: Vec<_> = all(&store, 1).into_values().collect();
        read.sort_by_key(|(place, _)| place.row);
        assert!(read.iter().map(|(_, order)| order).eq(&orders), "{layout:?}");
        for (place, order) in read.iter().step_by(37) {
            assert_eq!(&store.order(*place).expect("it is whole"), order, "{layout:?}");
        }
        digests.push(manifest.digest);
        let hash = manifest.hash();
        hash[..8].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    });
    assert_eq!(digests[0], digests[1], "digests are of what orders say");
    assert_eq!(hashes, ["9a4f06e03b9f58bc", "8a8bf3b07249540a"].map(String::from));
}
