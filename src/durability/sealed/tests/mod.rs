//! Tests of sealed files, on a disk in memory.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::{
    core::types::Timestamp,
    durability::{memory::Memory, storage::Storage},
};

mod crash;
mod damage;
mod example;
mod ids;
mod layouts;
mod lists;
mod network;
mod round_trip;

/// The data directory.
fn root() -> PathBuf {
    PathBuf::from("/data")
}

/// An empty data directory.
fn directory() -> Memory {
    let memory = Memory::new();
    memory.shared().create_dir(&root()).expect("the disk works");
    memory.shared().sync_dir(Path::new("/")).expect("the disk works");
    memory
}

fn schema() -> Schema {
    let volume = |name: &str, exponent| Volume { name: name.into(), exponent };
    Schema {
        currency: "USD".into(),
        amount_exponent: 2,
        volumes: vec![volume("pv", 2), volume("time", 0), volume("points-3", 8)],
        calendars: vec!["month".into(), "week".into()],
    }
}

/// Seals orders; the number of the seal follows those that are known.
fn seal(storage: &Arc<dyn Storage>, known: &mut Vec<Known>, orders: &[SealedOrder<'_>]) -> Manifest {
    let number = known.last().map_or(1, |known| known.number + 1);
    let mut writer =
        Writer::begin(storage, &root(), number, schema(), Layout::NEWEST).expect("the disk works");
    for order in orders {
        writer.add(order).expect("it is an order");
    }
    let previous = known.last().map(|known| known.hash);
    let periods = vec![("month".into(), "2026-07".into())];
    let manifest = writer.finish(Basis { lsn: 99, periods, previous }).expect("the disk works");
    known.push(Known { number, hash: manifest.hash() });
    manifest
}

fn open(storage: &Arc<dyn Storage>, known: &[Known]) -> Store {
    Store::open(storage, &root(), known).expect("it is whole")
}

/// The orders of a seal, by id.
fn all(store: &Store, seal: u32) -> BTreeMap<String, (Place, SealedOrder<'static>)> {
    let mut all = BTreeMap::new();
    let result = store.for_each(seal, &mut |place, order| {
        assert!(all.insert(order.id.to_string(), (place, order)).is_none(), "an order twice");
        ControlFlow::Continue(())
    });
    result.expect("it is whole");
    all
}

/// A simple order with one line.
fn order(id: &str, lsn: u64) -> SealedOrder<'static> {
    SealedOrder {
        id: id.to_owned().into(),
        lsn,
        time: Timestamp(1_783_000_000_000_000 + lsn.cast_signed() * 1_000_000),
        fingerprint: lsn.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        credits: vec![Credit { member: uuid(lsn % 7), part: WHOLE }],
        lines: 1,
        values: vec![1_250, 1_000, 3, 7],
        periods: vec!["2026-07".into(), "2026-W27".into()],
        ..SealedOrder::default()
    }
}

/// A refund of the first line of an order.
fn refund(id: &str, lsn: u64, [from, to]: [u32; 2]) -> SealedRefund<'static> {
    let booking = |period: &str| RefundBooking { period: period.to_owned().into(), state: "lowered".into() };
    SealedRefund {
        id: id.to_owned().into(),
        lsn,
        time: Timestamp(1_784_000_000_000_000),
        fingerprint: lsn,
        lines: vec![RefundedLine { line: 0, from, to }],
        bookings: vec![booking("2026-07"), booking("2026-W27")],
    }
}

/// The bytes of a member's UUID.
fn uuid(member: u64) -> [u8; 16] {
    blake3::hash(&member.to_le_bytes()).as_bytes()[..16].try_into().expect("sixteen bytes")
}

fn names(least: usize, most: usize) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[a-z0-9_-]{1,8}|ü{1,3}", least..=most)
}

fn own(texts: Vec<String>) -> Vec<std::borrow::Cow<'static, str>> {
    texts.into_iter().map(Into::into).collect()
}

prop_compose! {
    fn some_refund()(
        lsn in any::<u64>(), time in 0..253_000_000_000_000_000_i64, fingerprint in any::<u64>(),
        lines in proptest::collection::vec((0..64_u8, 0..=WHOLE, 0..=WHOLE), 0..5),
        bookings in proptest::collection::vec(("[a-z0-9-]{1,9}", "[a-z_]{1,9}"), 0..=2),
    ) -> SealedRefund<'static> {
        SealedRefund {
            id: "to be given".into(),
            lsn,
            time: Timestamp(time),
            fingerprint,
            lines: lines.into_iter().map(|(line, from, to)| RefundedLine { line, from, to }).collect(),
            bookings: bookings
                .into_iter()
                .map(|(period, state)| RefundBooking { period: period.into(), state: state.into() })
                .collect(),
        }
    }
}

prop_compose! {
    fn some_order()(
        (lsn, days, micros, fingerprint, supersedes) in
            (any::<u64>(), 0..200_i64, 0..86_400_000_000_i64, any::<u64>(), proptest::option::of(0..9_u32)),
        names in proptest::array::uniform4(proptest::option::of("[a-z]{0,3}")),
        tags in names(0, 3),
        credits in proptest::collection::vec((0..9_u64, 1..=WHOLE), 1..4),
        is_whole in any::<bool>(),
        (lines, width) in (1..=64_u8, 1..=4_usize),
        values in proptest::collection::vec(-999_999_999_999_999_999..=999_999_999_999_999_999_i64, 256),
        periods in names(0, 2),
        refunds in proptest::collection::vec(some_refund(), 0..3),
    ) -> SealedOrder<'static> {
        let [kind, market, group, customer] = names.map(|name| name.map(Into::into));
        let mut credits: Vec<Credit> =
            credits.into_iter().map(|(member, part)| Credit { member: uuid(member), part }).collect();
        if is_whole {
            credits.truncate(1);
            credits[0].part = WHOLE;
        }
        SealedOrder {
            id: "to be given".into(),
            lsn,
            time: Timestamp(1_767_225_600_000_000 + days * 86_400_000_000 + micros),
            fingerprint,
            supersedes,
            kind,
            market,
            tags: own(tags),
            group,
            customer,
            credits,
            lines,
            values: values[..usize::from(lines) * width].to_vec(),
            periods: own(periods),
            refunds,
        }
    }
}

/// Orders whose ids, and those of their refunds, differ.
fn some_orders(most: usize) -> impl Strategy<Value = Vec<SealedOrder<'static>>> {
    proptest::collection::vec(some_order(), 0..most).prop_map(|mut orders| {
        for (number, order) in orders.iter_mut().enumerate() {
            order.id = format!("A-{number}").into();
            for (refund, number_of) in order.refunds.iter_mut().zip(0..) {
                refund.id = format!("R-{number}.{number_of}").into();
            }
        }
        orders
    })
}
