//! The program as people and scripts meet it: the real binary, its output, its exit codes, its files.

#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/directory.rs"]
mod directory;
#[path = "cli/export.rs"]
mod export;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/import_files.rs"]
mod import_files;
#[path = "cli/inspect.rs"]
mod inspect;
#[path = "cli/interrupt.rs"]
mod interrupt;
#[path = "cli/look.rs"]
mod look;
#[path = "cli/plan.rs"]
mod plan;
#[path = "cli/private_files.rs"]
mod private_files;
#[path = "cli/real_data.rs"]
mod real_data;
#[path = "cli/repair.rs"]
mod repair;
#[path = "cli/serve.rs"]
mod serve;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/times.rs"]
mod times;
