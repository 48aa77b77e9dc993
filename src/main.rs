//! The program: a thin wrapper around the library's `cli`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    upline::cli::run(std::env::args_os())
}
