//! Invariants for arbitrary bytes as a file of orders.

use std::io::Cursor;

use super::{Intake, IntoNetwork, OrderLines, Sink, Taken, columns_of};
use crate::{cli::network::Network, core::audit};

/// Imports a file of orders into a network that takes some. Returns true when one was taken.
///
/// # Panics
/// When an order is neither taken nor refused with a reason, when the network then violates an invariant, or
/// when importing the same file again takes another one.
pub(crate) fn order_rows(network: &mut Network, bytes: &[u8]) -> bool {
    let Some(first) = taken(network, bytes) else { return false };
    assert_eq!(first.orders, u64::from(network.state.orders_len()), "orders taken are orders there");
    assert!(first.refused.iter().all(|refused| !refused.reason.words.is_empty() && refused.line != 0));
    assert!(first.refused.is_sorted_by_key(|refused| refused.line), "reasons come in the order of lines");
    let findings = audit(&network.state, 3);
    assert!(findings.is_empty(), "{findings:?}");
    let again = taken(network, bytes).expect("it was read before");
    assert_eq!(again.orders, 0, "a file that was imported brings nothing");
    assert_eq!(again.refused.len(), first.refused.len(), "what was refused is refused again");
    assert_eq!(again.already_there, first.orders + first.already_there, "what was taken is there");
    0 < first.orders
}

/// `None` where the file cannot be read to its end.
fn taken(network: &mut Network, bytes: &[u8]) -> Option<Taken> {
    let sink = IntoNetwork::new(network);
    let volumes = sink.volumes().ok()?;
    let layout = columns_of(&volumes);
    let lines = OrderLines::read("the file".into(), Box::new(Cursor::new(bytes.to_vec())), &layout).ok()?;
    let mut taken = Taken::default();
    let mut intake = Intake::new(sink, None, &mut taken);
    intake.table.volumes = volumes;
    intake.take(lines).ok()?;
    Some(taken)
}
