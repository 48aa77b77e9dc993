//! The command line: one file per subcommand, each translating between files or terminals and the layers
//! below.
//!
//! Results go to standard output, messages and progress to standard error; with `--json` the last line of
//! standard output is one object. Exit codes are listed in `exit.rs`.

mod announce;
mod args;
mod bench;
mod bonus;
mod clock;
mod command_line;
mod demo;
mod descriptors;
mod dot;
mod exit;
mod export;
mod export_orders;
mod export_stop;
mod files;
mod flags;
mod import;
mod in_order;
mod inspect;
mod inspect_lines;
mod inspect_seals;
mod interrupt;
mod keys;
mod ledger;
mod logging;
mod manual;
mod member;
mod member_attributes;
mod member_on_server;
mod names;
mod network;
mod open_periods;
mod opening;
mod orders;
mod os_user;
mod period;
mod plan;
mod plan_words;
mod problem;
mod record;
mod remote;
mod repair;
mod repair_report;
mod repair_sealed;
mod row_text;
mod scratch;
mod screen;
mod serve;
mod settings;
mod snapshot;
mod source;
mod spreadsheet;
mod tables;
mod target;
mod tree;
mod verify;

use self::args::{DataDirArgs, PlanArgs, TreeName, log_options, plan_choice, plan_choice_or};
#[cfg(any(test, fuzzing))]
pub(crate) use self::import::fuzzing::{import_rows, order_rows};
pub use self::{command_line::run, exit::Exit, names::NAME_NAMESPACE};
