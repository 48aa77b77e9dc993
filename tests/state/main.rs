//! The rules: the real core against a naive model, against written scenarios, and against itself from scratch.

mod model;
#[path = "../networks/mod.rs"]
mod networks;
mod recompute;
mod scenarios;
