#[path = "model/mod.rs"]
mod model;
