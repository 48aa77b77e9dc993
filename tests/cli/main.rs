//! The program as users and scripts see it: the real binary, its output, its exit codes, its files; and the
//! documentation, benches and clients in other languages around it.

mod attributes;
mod bench;
mod bench_http;
mod bonus;
mod clients;
#[path = "../common/mod.rs"]
mod common;
mod demo;
mod directory;
mod export;
mod import;
mod import_files;
mod inspect;
mod interrupt;
mod loadtest;
mod look;
mod opening;
mod orders;
mod orders_moved;
mod plan;
mod private_files;
mod readme;
mod real_data;
mod repair;
mod seals;
mod serve;
mod support;
mod times;
