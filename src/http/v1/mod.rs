//! Our own API, under `/v1`.
//!
//! One module per resource; each declares its routes with their description, and the router and
//! `/openapi.json` are built from the same declarations. A route has its row in `route_table` as well. Shared
//! modules: failures (`problem`), input (`extract`), lists (`page`), common types (`types`).
//!
//! Rules for a route: describe its input (`known` refuses anything else) and read it through `extract`; ask
//! `authorize`, for an action that the route's row names, under the same read lock that looks the target up,
//! so that nothing hidden leaks; answer with [`answer`], which names the LSN of the state that was read or
//! written.

mod answer;
pub mod as_of;
mod attributes;
mod audit;
mod batch;
mod bonus_lists;
mod calendars;
mod clock;
mod declared;
pub mod desk;
mod entry_rows;
pub mod event_schema;
mod events;
mod explain;
mod hold;
mod levels;
mod lists;
mod manage;
mod members;
pub mod offline;
mod opening;
mod operate;
mod order_lists;
mod orders;
mod pay;
mod periods;
mod plan;
mod rank;
mod register;
mod roster;
mod router;
mod search;
mod stats;
mod top;
mod totals;
mod tree;
mod unfinished;
mod volume_columns;
mod volumes;

pub mod examples;
pub mod page;
mod plan_body;
pub mod problem;

mod caller;
mod carried;
mod decimal;
mod extract;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod known;
mod media;
mod order_body;
mod order_view;
mod strict_json;
mod types;

pub use self::{
    answer::{X_LSN, answer},
    declared::description,
    router::Routes,
};

#[cfg(test)]
pub use self::known::operations_of;
#[cfg(test)]
#[path = "tests/orders/mod.rs"]
mod orders_tests;
#[cfg(test)]
#[path = "tests/reads/mod.rs"]
mod reads_tests;
