//! The periods of a data directory without a server: they are opened and closed before anything is done with
//! them, as a server does when it starts.

use super::{exit::Failure, network::Network, problem::refused, screen};
use crate::{
    calendars,
    engine::{self, OpenPeriod, Timestamp, calendar::Calendar},
};

/// Computes the periods that a calendar lacks, for the engine, which knows no time zones.
///
/// # Errors
/// See [`calendars::CalendarFault`].
pub(super) fn missing_periods(
    calendars: &[Calendar],
    opened: &[Vec<OpenPeriod>],
    calendar: u8,
    [now, until]: [Timestamp; 2],
    most: usize,
) -> Result<Vec<OpenPeriod>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(calendars::missing(calendars, opened, calendar, [now, until], most)?)
}

/// Opens and closes what is due in a network.
///
/// # Errors
/// When a rule refuses it: our bug.
pub(super) fn keep(network: &mut Network) -> Result<(), Failure> {
    loop {
        let (commands, failures) = engine::due_periods(&network.state, network.time(), missing_periods);
        if commands.is_empty() {
            for (calendar, why) in failures {
                let name = &network.state.plan().commerce.calendars[usize::from(calendar)].name;
                screen::tell(&format!("upline: the next period of {name} cannot be opened: {why}"));
            }
            return Ok(());
        }
        for command in commands {
            network.apply(command).map_err(refused)?;
        }
    }
}
