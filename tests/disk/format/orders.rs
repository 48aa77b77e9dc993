//! What version 6 added, read by the specification alone: what a plan says about orders.

use super::{files, golden, regenerate_if_asked};

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes()].concat()
}

/// Returns the bytes of a calendar: a zone, three days and six hours, and what differs.
fn calendar(name: &str, length: &[u8], late: u8, first: &[u8], four_eyes: u8) -> Vec<u8> {
    let grace = [3, 0, 6, 0];
    [&text(name)[..], length, &text("America/Denver"), &grace, &[late], first, &[four_eyes]].concat()
}

fn names(names: &[&str]) -> Vec<u8> {
    let length = u16::try_from(names.len()).unwrap().to_le_bytes();
    [length.to_vec(), names.iter().flat_map(|name| text(name)).collect()].concat()
}

/// What `super::commerce` says.
fn bytes() -> Vec<u8> {
    let date = [0xEA, 0x07, 2, 28];
    let calendars = [
        calendar("day", &[0], 1, &[0], 0),
        calendar("week", &[1, 6], 0, &[0], 0),
        calendar("half-month", &[2], 0, &[0], 0),
        calendar("month", &[3], 0, &[&[1][..], &date].concat(), 1),
        calendar("quarter", &[4], 0, &[0], 0),
        calendar("year", &[5, 4], 0, &[0], 0),
        calendar("ten-days", &[&[6, 10, 0][..], &date].concat(), 0, &[0], 0),
        calendar("fiscal-month", &[7, 1, 3, 4, 0, 4, 0, 5, 0], 0, &[0], 0),
    ];
    let volumes = [
        [&text("pv")[..], &[2, 1], &[0]].concat(),
        [&text("cv")[..], &[2, 0], &[2, 0], &8_000_u32.to_le_bytes()].concat(),
        [&text("qv")[..], &[2, 0], &[1], &12_345_u32.to_le_bytes()].concat(),
    ];
    [
        vec![8],
        calendars.concat(),
        vec![3],
        volumes.concat(),
        vec![1, 9],
        names(&["retail", "autoship"]),
        names(&["online"]),
        names(&["us", "de", "ca"]),
        names(&["founder", "fee-paid"]),
        vec![1, 1, 2],
    ]
    .concat()
}

#[test]
fn what_a_plan_says_about_orders_is_where_the_specification_says() {
    regenerate_if_asked();
    let files = files(&golden(6));
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    for (lsn, says) in [("200", true), ("320", true), ("000", false)] {
        let place = if says { "snapshots" } else { "archive" };
        let snapshot = &files[&format!("{place}/00000000000000000{lsn}.snap")];
        let chunk = &snapshot[64..];
        assert_eq!((u16_at(chunk, 4), u16_at(chunk, 6)), (1, 5), "{lsn}");
        let archive = &chunk[32..32 + u32_at(chunk, 8) as usize];
        let vector = archive.len() - 200 + 32;
        let start = vector.checked_add_signed(u32_at(archive, vector).cast_signed() as isize).unwrap();
        let plan = &archive[start..start + u32_at(archive, vector + 4) as usize];
        // The plan that the network began with says nothing: no calendars, no volumes, four empty lists.
        let nothing = [0; 2 + 2 + 8 + 3];
        let expected = if says { bytes() } else { nothing.to_vec() };
        assert!(plan.ends_with(&expected), "{lsn}: {plan:02x?}");
    }
}
