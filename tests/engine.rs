//! The engine on real files: what was answered is there after a crash, and what cannot be right is refused.

#[path = "engine/clock.rs"]
mod clock;
#[path = "engine/common.rs"]
mod common;
#[path = "engine/crash.rs"]
mod crash;
#[path = "engine/diverged.rs"]
mod diverged;
#[path = "engine/faults.rs"]
mod faults;
#[path = "engine/history.rs"]
mod history;
#[path = "common/naive_clock.rs"]
mod naive_clock;
#[path = "engine/opening.rs"]
mod opening;
#[path = "engine/serving.rs"]
mod serving;
#[path = "engine/stepped.rs"]
mod stepped;
