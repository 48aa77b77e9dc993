//! The engine on real files: what was answered is there after a crash, and what cannot be right is refused.

mod clock;
mod common;
mod crash;
mod diverged;
mod faults;
mod history;
#[path = "../common/naive_clock.rs"]
mod naive_clock;
mod opening;
mod serving;
mod stepped;
