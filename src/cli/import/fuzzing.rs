//! Invariants for arbitrary bytes as import files.

use std::io::Cursor;

use super::{
    columns::{BONUS_COLUMNS, Column, MEMBER_COLUMNS},
    command::{declare, each_bonus, each_member},
    intake::{Intake, Taken},
    layout::Layout,
    lines::Lines,
    orders,
    reading::Reading,
};
use crate::{
    cli::network::Network,
    core::{audit, network_digest, state::State, types::Timestamp},
    engine::MemberDirectory,
    plan_file,
};

/// Separates the member file from the bonus file.
const BETWEEN: &[u8] = b"\n===\n";

/// Imports a member file, and after `\n===\n`, if present, a bonus file, into an empty network. Returns true
/// when a row was imported.
///
/// # Panics
/// When a row is neither imported nor refused, when the network then violates an invariant, or when importing
/// the same files again changes it by more than the rows that waited for the others.
pub(crate) fn import_rows(bytes: &[u8]) -> bool {
    let split = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN);
    let (members, bonuses) = match split {
        Some(at) => (&bytes[..at], &bytes[at + BETWEEN.len()..]),
        None => (bytes, &[][..]),
    };
    let mut network = Network::new(
        State::new(plan_file::default_plan(), 7),
        MemberDirectory::with_capacity(0, 0),
        Timestamp(1_000_000),
    );
    let reading = Reading {
        own_sponsor_is_root: bytes.len() % 2 == 1,
        update: bytes.len() % 3 == 1,
        ..Reading::default()
    };
    let taken = take_members(&mut network, members, &reading);
    take_bonuses(&mut network, bonuses);
    let findings = audit(&network.state, 3);
    assert!(findings.is_empty(), "{findings:?}");
    if taken {
        again(&mut network, members, &reading);
    }
    taken
}

/// Imports a file of orders into a state with members, a plan that takes orders, and periods.
pub(crate) fn order_rows(state: State, directory: MemberDirectory, now: Timestamp, bytes: &[u8]) -> bool {
    orders::fuzzing::order_rows(&mut Network::new(state, directory, now), bytes)
}

fn lines(bytes: &[u8], columns: &'static [Column]) -> Option<Lines> {
    Lines::read("the file".into(), Box::new(Cursor::new(bytes.to_vec())), &Layout::new(columns)).ok()
}

/// Returns the number of rows in a file; `None` where it cannot be read to its end.
fn rows(bytes: &[u8], columns: &'static [Column]) -> Option<u64> {
    let mut lines = lines(bytes, columns)?;
    let mut rows = 0;
    while let Some(batch) = lines.next_batch().ok()? {
        rows += batch.len() as u64;
    }
    Some(rows)
}

/// Imports as a file that can be read twice.
fn taken(network: &mut Network, bytes: &[u8], reading: &Reading) -> Option<Taken> {
    let mut intake = Intake::new(network, reading.update);
    declare(&mut lines(bytes, &MEMBER_COLUMNS)?, &mut intake).ok()?;
    each_member(&mut lines(bytes, &MEMBER_COLUMNS)?, intake, false, reading).ok()
}

fn take_members(network: &mut Network, bytes: &[u8], reading: &Reading) -> bool {
    let Some(taken) = taken(network, bytes, reading) else { return false };
    let rows = rows(bytes, &MEMBER_COLUMNS).expect("it was just read");
    assert_eq!(taken.members, u64::from(network.state.len()), "members taken are members there");
    let told = taken.members + taken.already_there + taken.refused.len() as u64;
    assert_eq!(rows, told, "a row is taken or refused");
    for refused in &taken.refused {
        assert!(!refused.to_string().is_empty() && !refused.reason.name().is_empty());
    }
    0 < taken.members
}

fn take_bonuses(network: &mut Network, bytes: &[u8]) {
    let Some(mut lines) = lines(bytes, &BONUS_COLUMNS) else { return };
    let before = network.state.entries();
    let Ok(taken) = each_bonus(&mut lines, network, &Reading::default()) else { return };
    assert_eq!(taken.entries, network.state.entries() - before, "entries taken are entries there");
    if before == 0 {
        let rows = rows(bytes, &BONUS_COLUMNS).expect("it was just read");
        assert_eq!(rows, taken.entries + taken.refused.len() as u64, "a row is taken or refused");
    }
}

/// Imports the same file twice more: the second time nothing changes.
fn again(network: &mut Network, members: &[u8], reading: &Reading) {
    let mut take = || {
        let taken = taken(network, members, reading).expect("it was read before");
        (taken.members, network_digest(&network.state))
    };
    let first = take();
    let second = take();
    assert!(
        second.0 == 0 || 0 < first.0,
        "{} members more, of a file that brought none the time before",
        second.0
    );
    if first.0 == 0 {
        assert_eq!(second.1, first.1, "a file that brings nobody changes nothing");
    }
}
