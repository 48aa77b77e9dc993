//! `upline export --orders`: all orders, an object a line, sealed ones too.
//!
//! Each order is there once, as it is now: an order that a later seal has again has its newest content, and
//! one that was recalled to be refunded is that of the network. The objects are those of
//! `GET /v1/orders/{id}`.

use std::{io::Write, ops::ControlFlow};

use super::{export_stop::Stop, interrupt::Interrupt, problem::refused, screen};
use crate::{
    engine::{Loaded, SealedOrders},
    http::offline,
};

/// Orders that are written between two looks at the interrupt.
const PIECE_ORDERS: u64 = 1_024;

/// Writes all orders. Returns their number.
pub(super) fn write(
    loaded: &Loaded,
    sealed: &SealedOrders,
    out: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<u64, Stop> {
    let bar = screen::progress("orders", None, false);
    let (mut count, mut stopped) = (0, None);
    let read = offline::each_order(&loaded.state, &loaded.directory, sealed, &mut |order| {
        count += 1;
        if count % PIECE_ORDERS == 0 {
            bar.set_position(count);
            if interrupt.asked() {
                stopped = Some(Stop::Interrupted);
                return ControlFlow::Break(());
            }
        }
        match writeln!(out, "{order}") {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                stopped = Some(error.into());
                ControlFlow::Break(())
            }
        }
    });
    bar.finish_and_clear();
    match stopped {
        Some(stop) => Err(stop),
        None => read.map(|()| count).map_err(|problem| Stop::Unreadable(refused(problem))),
    }
}
