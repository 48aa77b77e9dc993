//! The engine on real files: acknowledged writes survive a crash, and invalid state is refused.

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
