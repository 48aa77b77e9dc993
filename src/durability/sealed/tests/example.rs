//! An example on the real disk, which `.ci/duckdb/run` reads with DuckDB.

use std::{env, fmt::Write, fs};

use super::*;
use crate::durability::{
    sealed::network::{self, Boundary, BoundaryMember, BoundaryTag, KnownBoundary},
    storage::Disk,
};

/// Where the files stay for others; a folder that does not exist yet. Otherwise they go to a temporary one.
const KEPT: &str = "UPLINE_SEALED_EXAMPLE";

/// Two thousand orders of three months in two seals, the second of which has some of the first again.
fn orders(seal: u64, found: &dyn Fn(&str) -> Option<u32>) -> Vec<SealedOrder<'static>> {
    let numbers = if seal == 1 { 0..1_500_u64 } else { 1_400..2_000 };
    let orders = numbers.map(|number| {
        let mut order = order(&format!("A-{number}"), number + 1);
        order.time = Timestamp(1_780_000_000_000_000 + number.cast_signed() * 3_600_000_000);
        order.lines = u8::try_from(number % 3 + 1).expect("it is small");
        order.values = (0..i64::from(order.lines))
            .flat_map(|line| {
                let amount = 995 + number.cast_signed() * 7 % 400 + line;
                [amount, amount * 4 / 5, line, amount * 1_000_003]
            })
            .collect();
        order.kind = Some(if number % 4 == 0 { "autoship" } else { "retail" }.into());
        order.tags = if number % 9 == 0 { vec!["gift".into(), "new".into()] } else { Vec::new() };
        order.customer = (number % 2 == 0).then(|| format!("C-{}", number % 50).into());
        if number % 10 == 0 {
            let credit = |member, part| Credit { member: uuid(member), part };
            order.credits = vec![credit(number % 7, WHOLE / 4), credit(number % 7 + 1, WHOLE / 4 * 3)];
        }
        order.supersedes = found(&order.id);
        if order.supersedes.is_some() || number % 100 == 5 {
            order.refunds = vec![refund(&format!("R-{number}"), number + 5_000, [0, WHOLE / 2])];
        }
        order
    });
    orders.collect()
}

#[test]
fn an_example_on_the_real_disk_has_these_sums() {
    let temporary = tempfile::tempdir().expect("a folder");
    let root = env::var_os(KEPT).map_or_else(|| temporary.path().join("data"), PathBuf::from);
    fs::create_dir(&root).expect("it does not exist");
    let storage = Disk::shared();
    let mut known: Vec<Known> = Vec::new();
    for number in 1..=2_u32 {
        let store = Store::open(&storage, &root, &known).expect("it is whole");
        let found = |id: &str| store.find(id).expect("it is whole").map(|found| found.place.seal);
        let mut writer =
            Writer::begin(&storage, &root, number, schema(), Layout::NEWEST).expect("the disk works");
        for order in orders(number.into(), &found) {
            writer.add(&order).expect("it is an order");
        }
        let previous = known.last().map(|known| known.hash);
        let basis = Basis { lsn: 9_000, periods: vec![("month".into(), "2026-07".into())], previous };
        known.push(Known { number, hash: writer.finish(basis).expect("the disk works").hash() });
    }
    assert_eq!(verify(&storage, &root, &known).expect("the disk works").damage, []);
    let network: Vec<BoundaryMember<'static>> = (0..300)
        .map(|number: u32| BoundaryMember {
            id: uuid(number.into()),
            sponsor: number.checked_sub(1).map(|before| before / 3),
            status: "active".into(),
            role: "member".into(),
            tags: vec![BoundaryTag { tag: "founder".into(), since: Some(Timestamp(0)), until: None }],
            ..BoundaryMember::default()
        })
        .collect();
    let mut base = None;
    for (lsn, members) in [(9_000, 280), (9_500, 300)] {
        let mut member = |number: u32| {
            let mut member = network[number as usize].clone();
            member.rank = (lsn == 9_500 && number.is_multiple_of(50)).then_some(3);
            member
        };
        let boundary = Boundary { lsn, members, base };
        let manifest = network::write(&storage, &root, boundary, &mut member).expect("the disk works");
        base.get_or_insert(KnownBoundary { lsn, hash: manifest.own_hash() });
    }
    write_expected(&Store::open(&storage, &root, &known).expect("it is whole"), &root);
}

/// What DuckDB is to find: a line for each fact, by its name.
fn write_expected(store: &Store, root: &Path) {
    let mut valid = Vec::new();
    let mut before = None;
    loop {
        let page = store.list(&Filter::default(), u32::MAX, before, 300).expect("it is whole");
        valid.extend(page.orders);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(valid.len(), 2_000);
    let mut text = String::new();
    let mut put = |name: &str, value: i128| writeln!(text, "{name} {value}").expect("a string takes it");
    let lines =
        || valid.iter().flat_map(|order| order.values.chunks(order.width()).map(move |line| (order, line)));
    put("orders", valid.len() as i128);
    put("lines", lines().count() as i128);
    for (value, name) in ["amount", "pv", "volume_time", "points-3"].iter().enumerate() {
        put(name, lines().map(|(_, line)| i128::from(line[value])).sum());
    }
    for member in 0..8 {
        let share = |(order, line): (&SealedOrder<'_>, &[i64])| -> i128 {
            let credits = order.credits.iter().filter(|credit| credit.member == uuid(member));
            credits.map(|credit| i128::from(credit.part) * i128::from(line[1])).sum()
        };
        put(&format!("pv_of {}", ::uuid::Uuid::from_bytes(uuid(member))), lines().map(share).sum());
    }
    let refunded = |(order, line): (&SealedOrder<'_>, u8)| i128::from(order.refunded(line));
    put(
        "refunded",
        valid.iter().flat_map(|order| (0..order.lines).map(move |line| (order, line))).map(refunded).sum(),
    );
    put("refunds", valid.iter().map(|order| order.refunds.len() as i128).sum());
    put("times", valid.iter().map(|order| i128::from(order.time.0)).sum());
    put("tags", valid.iter().map(|order| order.tags.len() as i128).sum());
    fs::write(root.join("expected"), text).expect("the disk works");
}
