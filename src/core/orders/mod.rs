//! Orders: what was placed and refunded, who is credited, the periods of calendars, and the volumes of
//! members in them; also the opening state, from which periods are computed. Together they are one part of
//! the state, [`part::Orders`].

pub(in crate::core) mod admission;
pub(in crate::core) mod attributes;
pub(in crate::core) mod bookings;
pub(in crate::core) mod credits;
pub(in crate::core) mod customers;
pub(in crate::core) mod groups;
pub(in crate::core) mod kept_log;
pub(in crate::core) mod lists;
pub(in crate::core) mod live;
mod live_table;
pub(in crate::core) mod opening;
pub(in crate::core) mod opening_close;
pub(in crate::core) mod part;
pub(in crate::core) mod periods;
pub(in crate::core) mod placed;
pub(in crate::core) mod recalling;
pub(in crate::core) mod refund_bookings;
pub(in crate::core) mod refund_lines;
pub(in crate::core) mod refunding;
pub(in crate::core) mod refunds;
pub(in crate::core) mod restore;
pub(in crate::core) mod runs;
pub(in crate::core) mod sealed_totals;
pub(in crate::core) mod sealing;
pub(in crate::core) mod seals;
pub(in crate::core) mod shares;
pub(in crate::core) mod steps;
pub(in crate::core) mod strays;
pub(in crate::core) mod totals;
pub(in crate::core) mod values;
