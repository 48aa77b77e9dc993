//! The rules: the real core against a naive model, against written scenarios, and against its own recount.

mod model;
#[path = "../networks/mod.rs"]
mod networks;
mod recompute;
mod scenarios;
